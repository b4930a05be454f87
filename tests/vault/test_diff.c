/* What differs between two generations, against what was done to the source between them. */
#include "engine_kit.h"
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

static struct reader *open_last(struct kit *k)
{
    struct reader_source source = engine_source(&k->v);
    struct reader *r = NULL;
    assert_int_equal(reader_open(&source, sm_buf_span(&k->v.last_manifest), k->v.device.public_key, &r), 0);
    return r;
}

struct told { char *line[4000]; size_t n; struct kit *k; int stop_after; };

static int hear(void *arg, const struct reader_difference *d)
{
    struct told *t = arg;
    char text[1200];
    size_t skip = strlen(t->k->src);
    assert_true(d->path.n >= skip);
    assert_true((d->was != NULL) == (d->change != READER_ADDED) && (d->is != NULL) == (d->change != READER_REMOVED));
    (void)snprintf(text, sizeof text, "%c%s%s%s %.*s", "?+-~"[d->change], d->what & READER_CONTENT ? "c" : "",
        d->what & READER_META ? "m" : "", d->what & READER_KIND ? "k" : "", (int)(d->path.n - skip), d->path.p + skip);
    assert_true(t->n < 4000);
    t->line[t->n++] = strdup(text);
    return t->stop_after && t->n == (size_t)t->stop_after ? -SM_ECANCEL : 0;
}

static void forget(struct told *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->line[i]);
    t->n = 0;
}

static void expect(struct kit *k, struct reader *a, struct reader *b, const char *path, const char *want)
{
    struct told t = { .k = k };
    char all[8192] = "";
    char full[700] = "";
    if (path)
        (void)snprintf(full, sizeof full, "%s%s", k->src, path);
    assert_int_equal(reader_diff(a, b, SM_SPAN_STR(full), hear, &t), 0);
    for (size_t i = 0; i < t.n; i++)
        (void)snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? "|" : "", t.line[i]);
    assert_string_equal(all, want);
    forget(&t);
}

static void every_kind_of_change_is_told_once(void **state)
{
    struct kit *k = kit_new();
    char p[700], q[700];
    (void)state;
    tree_text_file(k->src, "same", "same");
    tree_text_file(k->src, "edited", "before");
    tree_text_file(k->src, "gone", "gone");
    tree_text_file(k->src, "mode", "mode");
    tree_text_file(k->src, "turned", "a file");
    kit_path(k, "folder", p);
    assert_int_equal(mkdir(p, 0755), 0);
    kit_path(k, "quiet", p);
    assert_int_equal(mkdir(p, 0755), 0);
    tree_text_file(k->src, "folder/in", "1");
    tree_text_file(k->src, "quiet/in", "1");
    assert_int_equal(kit_backup(k), 0);
    struct reader *a = open_last(k);

    usleep(20000);
    tree_text_file(k->src, "edited", "after!");
    tree_text_file(k->src, "new", "new");
    tree_text_file(k->src, "folder/in2", "2");
    kit_path(k, "gone", p);
    assert_int_equal(unlink(p), 0);
    kit_path(k, "mode", p);
    assert_int_equal(chmod(p, 0600), 0);
    kit_path(k, "turned", p);
    assert_int_equal(unlink(p), 0);
    assert_int_equal(mkdir(p, 0755), 0);
    kit_path(k, "added", p);
    assert_int_equal(mkdir(p, 0755), 0);
    kit_path(k, "added/deep", q);
    assert_int_equal(mkdir(q, 0755), 0);
    assert_int_equal(kit_backup(k), 0);
    struct reader *b = open_last(k);

    expect(k, a, b, NULL, "+ /added|~cm /edited|+ /folder/in2|- /gone|~m /mode|+ /new|~k /turned");
    expect(k, b, a, NULL, "- /added|~cm /edited|- /folder/in2|+ /gone|~m /mode|- /new|~k /turned");
    expect(k, a, a, NULL, "");
    expect(k, a, b, "/folder", "+ /folder/in2");
    expect(k, a, b, "/quiet", "");
    expect(k, a, b, "/gone", "- /gone");
    struct told t = { .k = k };
    (void)snprintf(p, sizeof p, "%s/nowhere", k->src);
    assert_int_equal(reader_diff(a, b, SM_SPAN_STR(p), hear, &t), -SM_ENOTFOUND);
    t.stop_after = 2;
    assert_int_equal(reader_diff(a, b, SM_SPAN(NULL, 0), hear, &t), -SM_ECANCEL);
    assert_int_equal(t.n, 2);
    forget(&t);
    reader_close(a);
    reader_close(b);
    kit_free(k);
}

/* A file of the same bytes that was written anew is a change of its time, not of its content. */
static void the_same_bytes_written_anew_are_no_change_of_content(void **state)
{
    struct kit *k = kit_new();
    char p[700];
    (void)state;
    tree_fill(k->src, "big", 3000000, 0, 7);
    tree_fill(k->src, "small", 900, 0, 8);
    assert_int_equal(kit_backup(k), 0);
    struct reader *a = open_last(k);
    usleep(20000);
    for (unsigned i = 0; i < 2; i++) {
        kit_path(k, i ? "small" : "big", p);
        assert_int_equal(unlink(p), 0);
    }
    tree_fill(k->src, "big", 3000000, 0, 7);
    tree_fill(k->src, "small", 900, 0, 8);
    tree_fill(k->src, "neighbour", 800, 0, 9);
    assert_int_equal(kit_backup(k), 0);
    struct reader *b = open_last(k);
    expect(k, a, b, NULL, "~m /big|+ /neighbour|~m /small");
    reader_close(a);
    reader_close(b);
    kit_free(k);
}

/* In a folder of many pages the unchanged ones are not even fetched. */
static void pages_that_did_not_change_are_not_read(void **state)
{
    struct kit *k = kit_new();
    char name[64];
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        (void)snprintf(name, sizeof name, "f%05u", i);
        tree_text_file(k->src, name, "x");
    }
    assert_int_equal(kit_backup(k), 0);
    struct reader *a = open_last(k);
    usleep(20000);
    tree_text_file(k->src, "f07777", "y");
    tree_text_file(k->src, "f1234x", "z");
    assert_int_equal(kit_backup(k), 0);
    struct reader *b = open_last(k);
    uint64_t before = k->v.fetched;
    expect(k, a, b, NULL, "~cm /f07777|+ /f1234x");
    assert_in_range(k->v.fetched - before, 1, 24);
    reader_close(a);
    reader_close(b);
    kit_free(k);
}

static void a_folder_has_a_mark_that_changes_with_it(void **state)
{
    struct kit *k = kit_new();
    char p[700];
    uint64_t one = 0, two = 0, three = 0;
    struct reader_node n;
    (void)state;
    kit_path(k, "d", p);
    assert_int_equal(mkdir(p, 0755), 0);
    tree_text_file(k->src, "d/in", "1");
    assert_int_equal(kit_backup(k), 0);
    struct reader *a = open_last(k);
    tree_text_file(k->src, "other", "1");
    assert_int_equal(kit_backup(k), 0);
    struct reader *b = open_last(k);
    tree_text_file(k->src, "d/more", "1");
    assert_int_equal(kit_backup(k), 0);
    struct reader *c = open_last(k);
    struct reader *r[] = { a, b, c };
    uint64_t *mark[] = { &one, &two, &three };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(reader_stat(r[i], SM_SPAN_STR(p), &n), 0);
        assert_true(reader_folder_mark(&n, SM_SPAN_STR(p), mark[i]));
        reader_node_wipe(&n);
        reader_close(r[i]);
    }
    assert_true(one == two && two != three);
    kit_free(k);
}

/* Random histories: what is told is exactly what the two trees say. */
static void random_histories_are_told_exactly(void **state)
{
    struct kit *k = kit_new();
    char name[64], p[700], want[8192], kinds[60];
    (void)state;
    srand(11);
    memset(kinds, 0, sizeof kinds);
    kinds[0] = 1;
    tree_text_file(k->src, "n00", "0");
    assert_int_equal(kit_backup(k), 0);
    for (unsigned round = 0; round < 25; round++) {
        struct reader *a = open_last(k);
        char change[60] = "";
        usleep(15000);
        for (unsigned i = 0; i < 60; i++) {
            if (rand() % 6)
                continue;
            (void)snprintf(name, sizeof name, "n%02u", i);
            kit_path(k, name, p);
            if (kinds[i] && rand() % 2) {
                assert_int_equal(unlink(p), 0);
                kinds[i] = 0;
                change[i] = '-';
            } else {
                char text[32];
                (void)snprintf(text, sizeof text, "%u %u", round, i);
                tree_text_file(k->src, name, text);
                change[i] = kinds[i] ? '~' : '+';
                kinds[i] = 1;
            }
        }
        assert_int_equal(kit_backup(k), 0);
        struct reader *b = open_last(k);
        want[0] = 0;
        for (unsigned i = 0; i < 60; i++)
            if (change[i])
                (void)snprintf(want + strlen(want), sizeof want - strlen(want), "%s%c%s /n%02u", want[0] ? "|" : "",
                    change[i], change[i] == '~' ? "cm" : "", i);
        expect(k, a, b, NULL, want);
        reader_close(a);
        reader_close(b);
    }
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_change_is_told_once),
        cmocka_unit_test(the_same_bytes_written_anew_are_no_change_of_content),
        cmocka_unit_test(pages_that_did_not_change_are_not_read),
        cmocka_unit_test(a_folder_has_a_mark_that_changes_with_it),
        cmocka_unit_test(random_histories_are_told_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
