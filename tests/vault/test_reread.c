/* Reading again what the times say did not change. */
#include "engine_kit.h"
#include "plat/clock.h"
#include "vault/backup/reread.h"
#include "vault/backup/tree.h"

#define DAY_MS ((int64_t)86400 * 1000)

static void day(int n)
{
    plat_clock_override(n * DAY_MS, n * DAY_MS);
}

static int clean(void **state)
{
    (void)state;
    plat_clock_override(0, 0);
    return 0;
}

/* ---- the sum ---- */

static uint64_t sum_in_pieces(const uint8_t *p, size_t n, size_t piece)
{
    const struct run_sum_key k = { 0x1234567890abcdef, 0xfedcba0987654321 };
    struct content_sum s;
    sum_begin(&s, &k);
    for (size_t at = 0; at < n; at += piece)
        sum_add(&s, p + at, n - at < piece ? n - at : piece);
    return sum_end(&s);
}

static void the_sum_is_the_same_in_whatever_pieces_it_comes(void **state)
{
    uint8_t p[4099];
    uint64_t seed = 7;
    (void)state;
    for (size_t i = 0; i < sizeof p; i++)
        p[i] = (uint8_t)tree_random(&seed);
    uint64_t whole = sum_in_pieces(p, sizeof p, sizeof p);
    for (size_t piece = 1; piece < 70; piece++)
        assert_true(sum_in_pieces(p, sizeof p, piece) == whole);
    for (size_t bit = 0; bit < sizeof p * 8; bit += 97) {
        p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(sum_in_pieces(p, sizeof p, 512) != whole);
        p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void a_hole_and_its_zeros_have_the_same_sum(void **state)
{
    const struct run_sum_key k = { 1, 2 };
    (void)state;
    for (size_t before = 0; before < 20; before++)
        for (size_t hole = 0; hole < 40; hole++) {
            uint8_t p[80] = { 0 };
            struct content_sum a, b;
            memset(p, 0xa5, before);
            memset(p + before + hole, 0x5a, 11);
            sum_begin(&a, &k);
            sum_begin(&b, &k);
            sum_add(&a, p, before + hole + 11);
            sum_add(&b, p, before);
            sum_hole(&b, hole);
            sum_add(&b, p + before + hole, 11);
            assert_true(sum_end(&a) == sum_end(&b));
        }
}

/* ---- the round ---- */

#define PATHS 5000u

static void seen_times(const unsigned *seen, unsigned least, unsigned most)
{
    for (unsigned i = 0; i < PATHS; i++) {
        assert_true(seen[i] >= least);
        assert_true(seen[i] <= most);
    }
}

/* Each so often; the seconds that the test itself takes may move an end of an arc over a path or two. */
static void each_read(const unsigned *seen, unsigned times)
{
    unsigned all = 0;
    seen_times(seen, times, times + 1);
    for (unsigned i = 0; i < PATHS; i++)
        all += seen[i];
    assert_true(all <= PATHS * times + 10);
}

/* One run of a source of so many bytes, at the present time; counts how often each path was due. */
static void pass(struct kit *k, uint64_t total, unsigned *seen)
{
    struct run *r = calloc(1, sizeof *r);
    char path[64];
    kit_prepare(k);
    k->config.reread_days = 30;
    r->c = &k->config;
    r->sum_key = (struct run_sum_key){ 11, 22 };
    reread_plan(r, total);
    for (unsigned i = 0; i < PATHS; i++) {
        int n = snprintf(path, sizeof path, "/srv/karte/%u/patient-%u.txt", i % 17, i);
        seen[i] += reread_due(r, SM_SPAN(path, (size_t)n));
    }
    reread_done(r, false);
    free(r);
}


static void in_thirty_days_each_file_is_read_exactly_once(void **state)
{
    (void)state;
    for (int every = 1; every <= 3; every++) { /* runs every day, every two days, every three */
        struct kit *k = kit_new();
        unsigned seen[PATHS] = { 0 };
        day(0);
        pass(k, 1, seen);
        seen_times(seen, 0, 0);
        for (int d = every; d <= 30; d += every)
            day(d), pass(k, 1, seen);
        each_read(seen, 1);
        for (int d = 30 + every; d <= 60; d += every)
            day(d), pass(k, 1, seen);
        each_read(seen, 2);
        kit_free(k);
    }
}

static void hourly_runs_share_the_day_and_a_machine_that_was_off_catches_up_in_steps(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    unsigned seen[PATHS] = { 0 }, all = 0;
    day(0);
    pass(k, 1, seen);
    for (int h = 1; h <= 24; h++) {
        plat_clock_override(h * DAY_MS / 24, 0);
        pass(k, 1, seen);
    }
    for (unsigned i = 0; i < PATHS; i++)
        all += seen[i];
    assert_in_range(all, PATHS / 30 - PATHS / 100, PATHS / 30 + PATHS / 100);
    seen_times(seen, 0, 2);
    day(200); /* off for half a year: a third at once, no more */
    pass(k, 1, seen);
    unsigned then = 0;
    for (unsigned i = 0; i < PATHS; i++)
        then += seen[i];
    assert_in_range(then - all, PATHS / 3 - PATHS / 50, PATHS / 3 + PATHS / 50);
    kit_free(k);
}

static void a_limit_of_bytes_makes_the_round_longer_and_leaves_nothing_out(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    unsigned seen[PATHS] = { 0 };
    day(0);
    pass(k, 1000000, seen);
    for (int d = 1; d <= 100; d++) {
        struct run *r = calloc(1, sizeof *r);
        char path[64];
        day(d);
        kit_prepare(k);
        k->config.reread_days = 30;
        k->config.reread_bytes_max = 10000; /* a hundredth */
        r->c = &k->config;
        r->sum_key = (struct run_sum_key){ 11, 22 };
        reread_plan(r, 1000000);
        unsigned due = 0;
        for (unsigned i = 0; i < PATHS; i++) {
            int n = snprintf(path, sizeof path, "/srv/karte/%u/patient-%u.txt", i % 17, i);
            bool is = reread_due(r, SM_SPAN(path, (size_t)n));
            seen[i] += is;
            due += is;
        }
        assert_true(due < PATHS / 100 * 2);
        reread_done(r, false);
        free(r);
    }
    unsigned none = 0;
    for (unsigned i = 0; i < PATHS; i++)
        none += seen[i] == 0;
    assert_true(none <= 1); /* the last arc is rounded down */
    seen_times(seen, 0, 1);
    kit_free(k);
}

static void a_clock_that_goes_back_reads_nothing_again_and_goes_on_later(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    unsigned seen[PATHS] = { 0 };
    day(10);
    pass(k, 1, seen);
    day(3);
    pass(k, 1, seen);
    seen_times(seen, 0, 0);
    for (int d = 4; d <= 33; d++)
        day(d), pass(k, 1, seen);
    each_read(seen, 1);
    kit_free(k);
}

/* ---- whole runs ---- */

/* Make the client's memory believe that NAME has looked as it does now all the time: what a forged time stamp or a
 * change below the file system amounts to. */
static void forge(struct kit *k, const char *name)
{
    struct tree_ids ids = { k->v.vault, k->v.client, k->v.source };
    struct tree_reader *old = NULL;
    struct tree_writer *new = NULL;
    const struct tree_record *rec;
    char path[700], tree[48], hex[33];
    struct stat st;
    bool found = false;
    kit_path(k, name, path);
    assert_int_equal(stat(path, &st), 0);
    sm_hex(k->v.source.b, 16, hex);
    (void)snprintf(tree, sizeof tree, "tree-%s", hex);
    assert_int_equal(tree_open(k->state_dir, tree, &ids, &old), 0);
    assert_int_equal(tree_create(k->state_dir, tree, &ids, &new), 0);
    while ((rec = tree_peek(old)) != NULL) {
        struct sm_buf b = { 0 };
        struct tree_record mine = *rec;
        assert_int_equal(sm_buf_put_span(&b, rec->raw), 0);
        if (rec->type == TREE_ENTRY && sm_span_eq(rec->name, SM_SPAN_STR(name))) {
            struct part *parts = calloc(rec->stream.nparts + 1, sizeof *parts);
            tree_parts(&rec->stream, parts);
            mine.mtime = (struct sm_time){ .s = st.st_mtim.tv_sec, .ns = (uint32_t)st.st_mtim.tv_nsec };
            mine.ctime = (struct sm_time){ .s = st.st_ctim.tv_sec, .ns = (uint32_t)st.st_ctim.tv_nsec };
            mine.size = (uint64_t)st.st_size;
            sm_buf_clear(&b);
            assert_int_equal(tree_record_put(&b, &mine, parts), 0);
            free(parts);
            found = true;
        }
        assert_int_equal(tree_put(new, sm_buf_span(&b)), 0);
        sm_buf_wipe(&b);
        tree_take(old);
    }
    struct tree_totals t = tree_totals(old);
    assert_int_equal(tree_finish(new, &t), 0);
    assert_int_equal(tree_commit(new), 0);
    tree_close(old);
    tree_writer_free(new);
    assert_true(found);
}

static char silent_path[700];
static unsigned silent_n;
static void on_silent(void *arg, struct sm_span path)
{
    (void)arg;
    silent_n++;
    (void)snprintf(silent_path, sizeof silent_path, "%.*s", (int)path.n, path.p);
}

static int run_days(struct kit *k, uint32_t days)
{
    struct backup_sink sink = engine_sink(&k->v);
    struct backup_watch watch = { .problem = kit_problem, .silent = on_silent, .arg = k };
    kit_prepare(k);
    k->config.reread_days = days;
    k->problems = 0;
    return backup_run(&k->config, &sink, &watch, &k->result);
}

static void many_files(struct kit *k)
{
    char name[32];
    for (int i = 0; i < 60; i++) {
        (void)snprintf(name, sizeof name, "small-%02d.txt", i);
        tree_fill(k->src, name, 700 + (size_t)i * 13, 0, (uint64_t)i);
    }
    for (int i = 0; i < 6; i++) {
        (void)snprintf(name, sizeof name, "large-%02d.bin", i);
        tree_fill(k->src, name, 300000, 0, 100 + (uint64_t)i);
    }
}

/* Change one byte of NAME; its size stays. */
static void flip(struct kit *k, const char *name, off_t at)
{
    char path[700];
    uint8_t b;
    kit_path(k, name, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &b, 1, at), 1);
    b ^= 0x20;
    assert_int_equal(pwrite(fd, &b, 1, at), 1);
    close(fd);
}

static void a_silent_change_is_found_within_thirty_days_told_and_kept(void **state)
{
    static const char *const names[] = { "small-17.txt", "large-03.bin" };
    (void)state;
    for (size_t f = 0; f < 2; f++) {
        struct kit *k = kit_new();
        char path[700];
        unsigned found_on = 0;
        many_files(k);
        day(1);
        assert_int_equal(run_days(k, 30), 0);
        flip(k, names[f], 5);
        forge(k, names[f]);
        kit_path(k, names[f], path);
        silent_n = 0;
        uint64_t read = 0, stored = 0;
        for (int d = 2; d <= 31; d++) {
            day(d);
            assert_int_equal(run_days(k, 30), 0);
            assert_int_equal(k->result.status, RUN_COMPLETE);
            read += k->result.counts.reread;
            stored += k->result.counts.chunks_new;
            if (k->result.counts.reread_changed) {
                assert_int_equal(k->result.counts.reread_changed, 1);
                assert_int_equal(k->result.counts.files_read, 1);
                found_on = (unsigned)d;
            }
        }
        assert_true(found_on);
        assert_int_equal(silent_n, 1);
        assert_string_equal(silent_path, path);
        assert_in_range(read, 66, 68); /* each once */
        assert_in_range(stored, 1, 2); /* what did not change is not stored again */
        kit_restore_equal(k);
        kit_free(k);
    }
}

static void switched_off_nothing_is_read_again(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    many_files(k);
    day(1);
    assert_int_equal(run_days(k, 0), 0);
    flip(k, "small-17.txt", 5);
    forge(k, "small-17.txt");
    for (int d = 2; d <= 31; d++) {
        day(d);
        assert_int_equal(run_days(k, 0), 0);
        assert_int_equal(k->result.counts.reread, 0);
        assert_int_equal(k->result.counts.files_read, 0);
    }
    kit_free(k);
}

static void many_silent_changes_are_suspicious(void **state)
{
    (void)state;
    struct backup_counts few = { .files = 1000, .reread = 100, .reread_changed = 9 },
                         many = { .files = 1000, .reread = 100, .reread_changed = 40 };
    assert_int_equal(facts_suspicion(&few), 0);
    assert_true(facts_suspicion(&many) >= 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_is_the_same_in_whatever_pieces_it_comes),
        cmocka_unit_test(a_hole_and_its_zeros_have_the_same_sum),
        cmocka_unit_test_teardown(in_thirty_days_each_file_is_read_exactly_once, clean),
        cmocka_unit_test_teardown(hourly_runs_share_the_day_and_a_machine_that_was_off_catches_up_in_steps, clean),
        cmocka_unit_test_teardown(a_limit_of_bytes_makes_the_round_longer_and_leaves_nothing_out, clean),
        cmocka_unit_test_teardown(a_clock_that_goes_back_reads_nothing_again_and_goes_on_later, clean),
        cmocka_unit_test_teardown(a_silent_change_is_found_within_thirty_days_told_and_kept, clean),
        cmocka_unit_test_teardown(switched_off_nothing_is_read_again, clean),
        cmocka_unit_test_teardown(many_silent_changes_are_suspicious, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
