/* The audit log: whatever is done to its file shows, and where. */
#include "api_kit.h"
#include <stdio.h>
#include <unistd.h>
#include "api/audit.h"
#include "crypto/init.h"
#include "plat/fs.h"

struct log { char dir[64], path[96]; struct audit_head head; struct sm_buf text; };

static void add(struct audit *a, const char *what)
{
    const struct audit_entry e = { "hanako", "director", "192.0.2.1", "test", what, "ok" };
    assert_int_equal(audit_add(a, &e), 0);
}

static int open_log(void **state)
{
    struct log *l = calloc(1, sizeof *l);
    struct audit *a = NULL;
    assert_int_equal(crypto_init(), 0);
    (void)snprintf(l->dir, sizeof l->dir, "/tmp/sk-audit-XXXXXX");
    assert_non_null(mkdtemp(l->dir));
    (void)snprintf(l->path, sizeof l->path, "%s/audit-000001.jsonl", l->dir);
    assert_int_equal(audit_open(l->dir, &a), 0);
    add(a, "one");
    add(a, "二つ目 \"quoted\"\n");
    add(a, "three");
    add(a, "four");
    l->head = audit_head(a);
    audit_close(a);
    l->text = SM_BUF_INIT(1 << 20);
    assert_int_equal(plat_fs_read_file(AT_FDCWD, l->path, 1 << 20, &l->text), 0);
    *state = l;
    return 0;
}

static int close_log(void **state)
{
    struct log *l = *state;
    int dir = plat_fs_open_dir(AT_FDCWD, "/tmp");
    assert_int_equal(plat_fs_remove_tree(dir, l->dir + 5), 0);
    (void)close(dir);
    sm_buf_wipe(&l->text);
    free(l);
    return 0;
}

static void write_back(const struct log *l, const char *text, size_t n)
{
    int fd = open(l->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), (ssize_t)n);
    (void)close(fd);
}

static struct audit_report check(const struct log *l)
{
    struct audit_report r;
    assert_int_equal(audit_verify(l->dir, &l->head, &r), 0);
    return r;
}

/* Start of line i (from 1), and of the one after the last. */
static char *line_at(struct log *l, unsigned i)
{
    char *p = (char *)(uintptr_t)sm_buf_str(&l->text);
    while (--i)
        p = strchr(p, '\n') + 1;
    return p;
}

static void an_untouched_log_is_sound(void **state)
{
    struct audit_report r = check(*state);
    assert_true(r.ok);
    assert_int_equal(r.lines, 4);
}

static void a_changed_line_is_named(void **state)
{
    struct log *l = *state;
    memcpy(strstr(line_at(l, 3), "three"), "thREE", 5);
    write_back(l, (char *)l->text.p, l->text.n);
    struct audit_report r = check(l);
    assert_false(r.ok);
    assert_int_equal(r.bad_line, 3);
    assert_string_equal(r.why, "changed");
}

static void every_flipped_byte_shows(void **state)
{
    struct log *l = *state;
    for (size_t i = 0; i < l->text.n; i++) {
        l->text.p[i] ^= 1;
        write_back(l, (char *)l->text.p, l->text.n);
        l->text.p[i] ^= 1;
        assert_false(check(l).ok);
    }
}

static void a_removed_line_is_named(void **state)
{
    struct log *l = *state;
    char *two = line_at(l, 2), *three = line_at(l, 3);
    memmove(two, three, strlen(three) + 1);
    write_back(l, (char *)l->text.p, strlen((char *)l->text.p));
    struct audit_report r = check(l);
    assert_false(r.ok);
    assert_int_equal(r.bad_line, 2);
    assert_string_equal(r.why, "removed");
}

static void swapped_lines_are_named(void **state)
{
    struct log *l = *state;
    struct sm_buf b = SM_BUF_INIT(1 << 20);
    char *two = line_at(l, 2), *three = line_at(l, 3), *four = line_at(l, 4);
    assert_int_equal(sm_buf_put(&b, l->text.p, (size_t)(two - (char *)l->text.p)), 0);
    assert_int_equal(sm_buf_put(&b, three, (size_t)(four - three)), 0);
    assert_int_equal(sm_buf_put(&b, two, (size_t)(three - two)), 0);
    assert_int_equal(sm_buf_put(&b, four, strlen(four)), 0);
    write_back(l, (char *)b.p, b.n);
    sm_buf_wipe(&b);
    struct audit_report r = check(l);
    assert_false(r.ok);
    assert_int_equal(r.bad_line, 2);
}

static void a_log_cut_at_a_line_shows_by_the_head_kept_elsewhere(void **state)
{
    struct log *l = *state;
    write_back(l, (char *)l->text.p, (size_t)(line_at(l, 4) - (char *)l->text.p));
    struct audit_report r = check(l);
    assert_false(r.ok);
    assert_string_equal(r.why, "cut");
    assert_int_equal(r.bad_line, 4);
}

static void an_emptied_log_shows(void **state)
{
    struct log *l = *state;
    write_back(l, "", 0);
    assert_string_equal(check(l).why, "cut");
}

static void a_torn_last_line_is_cut_off_and_said(void **state)
{
    struct log *l = *state;
    struct audit *a = NULL;
    json_t *list = NULL;
    write_back(l, (char *)l->text.p, l->text.n - 30);
    assert_int_equal(audit_open(l->dir, &a), 0);
    assert_int_equal(audit_list(a, 0, 10, &list), 0);
    assert_int_equal(json_array_size(list), 4);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "act")), "audit.tail");
    json_decref(list);
    audit_close(a);
    struct audit_report r;
    assert_int_equal(audit_verify(l->dir, NULL, &r), 0);
    assert_true(r.ok);
}

static void numbering_goes_on_after_opening_again(void **state)
{
    struct log *l = *state;
    struct audit *a = NULL;
    assert_int_equal(audit_open(l->dir, &a), 0);
    assert_int_equal(audit_head(a).n, 4);
    add(a, "five");
    l->head = audit_head(a);
    audit_close(a);
    assert_true(check(l).ok);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_log, close_log)
int main(void)
{
    const struct CMUnitTest tests[] = { T(an_untouched_log_is_sound), T(a_changed_line_is_named),
        T(every_flipped_byte_shows), T(a_removed_line_is_named), T(swapped_lines_are_named),
        T(a_log_cut_at_a_line_shows_by_the_head_kept_elsewhere), T(an_emptied_log_shows),
        T(a_torn_last_line_is_cut_off_and_said), T(numbering_goes_on_after_opening_again) };
    return cmocka_run_group_tests_name("api audit", tests, NULL, NULL);
}
