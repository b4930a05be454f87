/* The client's tree, kept sealed by the box: what is sent, and what a lost one is made of. */
#include "engine_kit.h"
#include "plat/clock.h"
#include "vault/backup/keep.h"

static struct tree_ids ids_of(const struct kit *k)
{
    return (struct tree_ids){ k->v.vault, k->v.client, k->v.source };
}

static int run_keep(struct kit *k)
{
    kit_prepare(k);
    k->config.keep = true;
    return kit_run(k);
}

/* The box's side: a log in memory. */
struct log { uint8_t id[CACHE_LOG_LEN]; struct sm_buf b; uint64_t sent; unsigned bases; };

static void log_take(struct kit *k, struct log *l)
{
    struct keep_add add;
    int fd = -1;
    assert_int_equal(keep_add_open(k->state_dir, &k->v.source, &add, &fd), 0);
    if (add.at == 0) {
        sm_buf_clear(&l->b);
        memcpy(l->id, add.log, sizeof l->id);
        l->bases++;
    }
    assert_memory_equal(l->id, add.log, sizeof l->id);
    assert_true(add.at <= l->b.n);
    l->b.n = (size_t)add.at;
    assert_int_equal(sm_buf_reserve(&l->b, (size_t)add.bytes), 0);
    assert_int_equal(read(fd, l->b.p + l->b.n, (size_t)add.bytes), (ssize_t)add.bytes);
    l->b.n += (size_t)add.bytes;
    l->sent = add.bytes;
    close(fd);
    keep_add_done(k->state_dir, &k->v.source);
}

static void file_put(struct kit *k, const char *end, struct sm_span b)
{
    char name[64];
    keep_name(&k->v.source, end, name);
    int fd = openat(k->state_dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(plat_fs_write_all(fd, b), 0);
    close(fd);
}

static void tree_get(struct kit *k, struct sm_buf *ret)
{
    char hex[33], name[64];
    sm_hex(k->v.source.b, 16, hex);
    (void)snprintf(name, sizeof name, "tree-%s", hex);
    sm_buf_clear(ret);
    assert_int_equal(plat_fs_read_file(k->state_dir, name, (size_t)1 << 28, ret), 0);
}

/* As if the folder of caches had been lost. */
static void lose(struct kit *k)
{
    close(k->state_dir);
    tree_remove(k->state);
    assert_int_equal(mkdir(k->state, 0700), 0);
    k->state_dir = open(k->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(k->state_dir >= 0);
}

static int load(struct kit *k, const struct log *l, const struct cid *previous, enum keep_age *ret)
{
    struct tree_ids ids = ids_of(k);
    file_put(k, ".got", sm_buf_span(&l->b));
    return keep_load(k->state_dir, &ids, k->v.k_id, l->id, previous, ret);
}

static void some_files(struct kit *k, int n)
{
    char name[64], dir[700];
    for (int d = 0; d < 5; d++) {
        (void)snprintf(name, sizeof name, "d%d", d);
        kit_path(k, name, dir);
        (void)mkdir(dir, 0755);
    }
    for (int i = 0; i < n; i++) {
        (void)snprintf(name, sizeof name, "d%d/file-%03d.txt", i % 5, i);
        tree_fill(k->src, name, 300 + (size_t)i * 7, 0, (uint64_t)i);
    }
    tree_fill(k->src, "large.bin", 900000, 1, 5);
}

static void a_lost_tree_is_made_again_byte_for_byte_and_no_file_is_read(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    struct log l = { .b = { 0 } };
    struct sm_buf was = { 0 }, is = { 0 };
    enum keep_age age = KEEP_OLD;
    struct tree_ids ids = ids_of(k);
    some_files(k, 200);
    assert_int_equal(run_keep(k), 0);
    log_take(k, &l);
    usleep(5000);
    assert_int_equal(run_keep(k), 0);
    log_take(k, &l);
    assert_int_equal(l.bases, 1);
    tree_get(k, &was);
    lose(k);
    assert_true(keep_wanted(k->state_dir, &ids));
    assert_int_equal(load(k, &l, &k->v.previous, &age), 0);
    assert_int_equal(age, KEEP_EXACT);
    tree_get(k, &is);
    assert_true(sm_span_eq(sm_buf_span(&was), sm_buf_span(&is)));
    assert_false(keep_wanted(k->state_dir, &ids));
    kit_prepare(k);
    k->config.keep = k->config.fetched = true;
    assert_int_equal(kit_run(k), 0);
    assert_int_equal(k->result.counts.files_read, 0);
    assert_int_equal(k->result.counts.chunks_new, 0);
    log_take(k, &l); /* goes on with the same log */
    assert_int_equal(l.bases, 1);
    kit_restore_equal(k);
    /* A file that changed later is asked for before it is sent: the look table was lost too. */
    tree_fill(k->src, "large.bin", 900016, 1, 5);
    uint64_t bytes = k->v.bytes_put;
    assert_int_equal(run_keep(k), 0);
    assert_true(k->v.bytes_put - bytes < 500000);
    assert_int_equal(k->v.duplicates, 0);
    kit_restore_equal(k);
    sm_buf_wipe(&was);
    sm_buf_wipe(&is);
    sm_buf_wipe(&l.b);
    kit_free(k);
}

/* One change of a random kind. */
static void change(struct kit *k, uint64_t *seed, int n)
{
    char name[64], path[700], to[700];
    uint64_t what = tree_random(seed) % 5, i = tree_random(seed) % 60;
    (void)snprintf(name, sizeof name, "d%llu/file-%03llu.txt", (unsigned long long)(i % 5), (unsigned long long)i);
    kit_path(k, name, path);
    if (what == 0) {
        (void)unlink(path);
    } else if (what == 1) {
        (void)snprintf(name, sizeof name, "d%llu/new-%d", (unsigned long long)(i % 5), n);
        tree_fill(k->src, name, 100 + (size_t)(tree_random(seed) % 60000), 0, (uint64_t)n);
    } else if (what == 2) {
        (void)snprintf(name, sizeof name, "d%llu", (unsigned long long)(i % 5));
        kit_path(k, name, path);
        (void)snprintf(name, sizeof name, "moved-%d", n);
        kit_path(k, name, to);
        (void)rename(path, to);
        (void)mkdir(path, 0755);
    } else {
        tree_fill(k->src, name, 50 + (size_t)(tree_random(seed) % 3000), 0, tree_random(seed));
    }
}

static void any_history_of_changes_comes_back_at_every_step(void **state)
{
    (void)state;
    struct sm_buf was = { 0 }, is = { 0 };
    for (uint64_t h = 0; h < 6; h++) {
        struct kit *k = kit_new();
        struct log l = { .b = { 0 } };
        uint64_t seed = h + 1;
        some_files(k, 60);
        for (int n = 0; n < 25; n++) {
            enum keep_age age = KEEP_OLD;
            for (uint64_t c = tree_random(&seed) % 4; c > 0; c--)
                change(k, &seed, n * 4 + (int)c);
            assert_int_equal(run_keep(k), 0);
            log_take(k, &l);
            tree_get(k, &was);
            if (tree_random(&seed) % 4 == 0)
                lose(k);
            assert_int_equal(load(k, &l, &k->v.previous, &age), 0);
            assert_int_equal(age, KEEP_EXACT);
            tree_get(k, &is);
            assert_true(sm_span_eq(sm_buf_span(&was), sm_buf_span(&is)));
        }
        kit_restore_equal(k);
        sm_buf_wipe(&l.b);
        kit_free(k);
    }
    sm_buf_wipe(&was);
    sm_buf_wipe(&is);
}

static void tiny_changes_cost_little_over_hundreds_of_generations(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    struct log l = { .b = { 0 } };
    uint64_t all = 0, base;
    char text[64];
    some_files(k, 400);
    assert_int_equal(run_keep(k), 0);
    log_take(k, &l);
    base = l.sent;
    for (int n = 0; n < 300; n++) {
        (void)snprintf(text, sizeof text, "generation %d", n);
        tree_text_file(k->src, "d3/counter.txt", text);
        assert_int_equal(run_keep(k), 0);
        log_take(k, &l);
        all += l.sent;
        assert_true(l.b.n <= 2 * base + ((uint64_t)1 << 20) + 8192);
    }
    print_message("base %llu bytes, then %llu a run\n", (unsigned long long)base, (unsigned long long)(all / 300));
    assert_true(all / 300 < 4096);
    sm_buf_wipe(&l.b);
    kit_free(k);
}

static void what_is_altered_foreign_or_cut_is_never_used_as_the_last(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    struct log l = { .b = { 0 } }, bad = { .b = { 0 } };
    struct sm_buf last = { 0 }, before = { 0 }, is = { 0 };
    enum keep_age age;
    struct cid earlier;
    some_files(k, 40);
    assert_int_equal(run_keep(k), 0);
    log_take(k, &l);
    size_t first = l.b.n;
    tree_get(k, &before);
    earlier = k->v.previous;
    tree_text_file(k->src, "d1/file-001.txt", "changed");
    assert_int_equal(run_keep(k), 0);
    log_take(k, &l);
    tree_get(k, &last);
    memcpy(bad.id, l.id, sizeof bad.id);
    for (size_t at = 0; at < l.b.n; at += l.b.n / 240 + 1) { /* one bit anywhere */
        lose(k);
        sm_buf_clear(&bad.b);
        assert_int_equal(sm_buf_put_span(&bad.b, sm_buf_span(&l.b)), 0);
        bad.b.p[at] ^= 0x10;
        int e = load(k, &bad, &k->v.previous, &age);
        assert_int_equal(e == 0, at >= first);
        if (e == 0) { /* what stood before it is sound, and is told to be of an earlier generation */
            assert_int_equal(age, KEEP_OLD);
            tree_get(k, &is);
            assert_true(sm_span_eq(sm_buf_span(&is), sm_buf_span(&before)));
        }
    }
    for (size_t n = 0; n < l.b.n; n += l.b.n / 100 + 1) { /* cut short anywhere */
        lose(k);
        sm_buf_clear(&bad.b);
        assert_int_equal(sm_buf_put(&bad.b, l.b.p, n), 0);
        int e = load(k, &bad, &k->v.previous, &age);
        assert_true(e == 0 ? n >= first && age == KEEP_OLD : n < first);
    }
    lose(k); /* rolled back by the box: sound, and of an earlier generation */
    sm_buf_clear(&bad.b);
    assert_int_equal(sm_buf_put(&bad.b, l.b.p, first), 0);
    assert_int_equal(load(k, &bad, &k->v.previous, &age), 0);
    assert_int_equal(age, KEEP_OLD);
    assert_int_equal(load(k, &bad, &earlier, &age), 0);
    assert_int_equal(age, KEEP_EXACT);
    sm_buf_clear(&bad.b); /* the base twice: a piece at another place */
    assert_int_equal(sm_buf_put(&bad.b, l.b.p, first), 0);
    assert_int_equal(sm_buf_put(&bad.b, l.b.p, first), 0);
    assert_int_equal(load(k, &bad, &earlier, &age), 0);
    assert_int_equal(age, KEEP_OLD);
    struct tree_ids ids = ids_of(k); /* another source, another log, other keys */
    lose(k);
    file_put(k, ".got", sm_buf_span(&l.b));
    uint8_t other[OBJ_KEY_LEN] = { 1 }, log[CACHE_LOG_LEN] = { 2 };
    assert_true(keep_load(k->state_dir, &ids, other, l.id, &k->v.previous, &age) < 0);
    assert_true(keep_load(k->state_dir, &ids, k->v.k_id, log, &k->v.previous, &age) < 0);
    ids.vault.b[0] ^= 1;
    assert_true(keep_load(k->state_dir, &ids, k->v.k_id, l.id, &k->v.previous, &age) < 0);
    ids = ids_of(k);
    assert_true(keep_wanted(k->state_dir, &ids)); /* nothing was put in place */
    sm_buf_wipe(&l.b);
    sm_buf_wipe(&bad.b);
    sm_buf_wipe(&last);
    sm_buf_wipe(&before);
    sm_buf_wipe(&is);
    kit_free(k);
}

static void an_older_tree_is_a_hint_and_what_the_box_has_no_more_is_read_again(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    struct log l = { .b = { 0 } };
    enum keep_age age = KEEP_EXACT;
    some_files(k, 80);
    assert_int_equal(run_keep(k), 0);
    usleep(5000);
    assert_int_equal(run_keep(k), 0);
    log_take(k, &l);
    for (int n = 0; n < 3; n++) {
        tree_text_file(k->src, "d2/file-002.txt", n % 2 ? "odd" : "even and longer");
        assert_int_equal(run_keep(k), 0); /* never sent: the net was down */
        keep_add_not(k->state_dir, &k->v.source);
    }
    tree_text_file(k->src, "d4/file-004.txt", "after all that");
    lose(k);
    assert_int_equal(load(k, &l, &k->v.previous, &age), 0);
    assert_int_equal(age, KEEP_OLD);
    kit_prepare(k);
    k->config.keep = k->config.fetched = k->config.fetched_old = true;
    assert_int_equal(kit_run(k), 0);
    assert_int_equal(k->result.counts.files_read, 2); /* what changed since that generation, no more */
    assert_int_equal(k->result.counts.rounds, 1);
    kit_restore_equal(k);
    /* The same again, with a box that has cleaned up what only the older generation needed. */
    lose(k);
    assert_int_equal(load(k, &l, &k->v.previous, &age), 0);
    assert_true(engine_lose(&k->v, OBJ_CHUNK, 0));
    kit_prepare(k);
    k->config.keep = k->config.fetched = k->config.fetched_old = true;
    assert_int_equal(kit_run(k), 0);
    assert_true(k->result.counts.files_read > 0);
    assert_int_equal(k->result.counts.rounds, 1); /* known before it was needed */
    kit_restore_equal(k);
    sm_buf_wipe(&l.b);
    kit_free(k);
}

static void a_tree_that_is_not_what_the_box_holds_begins_a_new_log(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    struct log l = { .b = { 0 } };
    some_files(k, 40);
    assert_int_equal(run_keep(k), 0);
    log_take(k, &l);
    tree_text_file(k->src, "d1/file-001.txt", "one");
    kit_prepare(k); /* a run that leaves nothing to be sent */
    assert_int_equal(kit_run(k), 0);
    tree_text_file(k->src, "d1/file-001.txt", "two, longer");
    assert_int_equal(run_keep(k), 0);
    log_take(k, &l);
    assert_int_equal(l.bases, 2);
    enum keep_age age = KEEP_OLD;
    lose(k);
    assert_int_equal(load(k, &l, &k->v.previous, &age), 0);
    assert_int_equal(age, KEEP_EXACT);
    sm_buf_wipe(&l.b);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_tree_is_made_again_byte_for_byte_and_no_file_is_read),
        cmocka_unit_test(any_history_of_changes_comes_back_at_every_step),
        cmocka_unit_test(tiny_changes_cost_little_over_hundreds_of_generations),
        cmocka_unit_test(what_is_altered_foreign_or_cut_is_never_used_as_the_last),
        cmocka_unit_test(an_older_tree_is_a_hint_and_what_the_box_has_no_more_is_read_again),
        cmocka_unit_test(a_tree_that_is_not_what_the_box_holds_begins_a_new_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
