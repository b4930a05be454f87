#include "store_kit.h"
#include "vault/index/run.h"

struct t { char dir[96]; int fd; struct index_table *t; bool unsound; };
static const struct index_config config = { .key_bytes = 32, .value_bytes = 16, .memory_bytes = INDEX_MEMORY_MIN };

static void make(struct t *x)
{
    assert_int_equal(crypto_init(), 0);
    (void)snprintf(x->dir, sizeof x->dir, "%s/sakimori-index-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(x->dir));
    x->fd = plat_fs_open_dir(AT_FDCWD, x->dir);
    assert_int_equal(index_open(x->fd, "test", &config, &x->t, &x->unsound), 0);
    assert_false(x->unsound);
}

static void again(struct t *x)
{
    index_close(x->t);
    assert_int_equal(index_open(x->fd, "test", &config, &x->t, &x->unsound), 0);
}

static void done(struct t *x)
{
    index_close(x->t);
    close(x->fd);
    kit_remove(x->dir);
}

static void row(uint64_t i, uint8_t key[32], uint8_t value[16])
{
    uint64_t s = i;
    for (size_t k = 0; k < 4; k++) {
        uint64_t v = kit_random(&s);
        memcpy(key + k * 8, &v, 8);
    }
    memset(value, 0, 16);
    memcpy(value, &i, 8);
}

static void put(struct t *x, uint64_t i, uint64_t extra)
{
    uint8_t k[32], v[16];
    row(i, k, v);
    memcpy(v + 8, &extra, 8);
    assert_int_equal(index_put(x->t, k, v), 0);
}

static void expect(const struct t *x, uint64_t i, uint64_t extra)
{
    uint8_t k[32], v[16], got[16];
    row(i, k, v);
    memcpy(v + 8, &extra, 8);
    assert_int_equal(index_get(x->t, k, got), 1);
    assert_memory_equal(got, v, 16);
}

static int ascending(void *arg, const uint8_t *key, const uint8_t *value)
{
    struct { uint8_t last[32]; uint64_t n; } *s = arg;
    (void)value;
    assert_true(s->n == 0 || memcmp(s->last, key, 32) < 0);
    memcpy(s->last, key, 32);
    s->n++;
    return 0;
}

static void many_rows_in_little_memory(void **state)
{
    struct t x;
    const uint64_t n = kit_long() ? 400000 : 60000;
    make(&x);
    for (uint64_t i = 0; i < n; i++) {
        put(&x, i, 0);
        assert_true(index_runs(x.t) <= INDEX_RUNS_MAX);
    }
    assert_true(index_memory(x.t) <= INDEX_MEMORY_MIN + 4096);
    for (uint64_t i = 0; i < n; i += 3)
        put(&x, i, 9);                      /* replaced */
    index_set_mark(x.t, SM_SPAN_STR("here"));
    assert_int_equal(index_flush(x.t), 0);
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t i = 0; i < n; i++)
            expect(&x, i, i % 3 ? 0 : 9);
        for (uint64_t i = n; i < n + 5000; i++) {
            uint8_t k[32], v[16];
            row(i, k, v);
            assert_int_equal(index_get(x.t, k, v), 0);
        }
        struct { uint8_t last[32]; uint64_t n; } s = { .n = 0 };
        assert_int_equal(index_each(x.t, ascending, &s), 0);
        assert_int_equal(s.n, n);
        again(&x);
        assert_false(x.unsound);
        assert_true(sm_span_eq(index_mark(x.t), SM_SPAN_STR("here")));
    }
    print_message("%llu rows, %zu runs\n", (unsigned long long)n, index_runs(x.t));
    done(&x);
}

static void keys_that_are_not_spread_are_found_too(void **state)
{
    struct t x;
    make(&x);
    uint8_t k[32] = { 0 }, v[16] = { 0 };
    for (uint32_t i = 0; i < 6000; i++) {
        k[0] = i < 5990 ? 0 : 0xff;
        k[30] = (uint8_t)(i >> 8);
        k[31] = (uint8_t)i;
        assert_int_equal(index_put(x.t, k, v), 0);
    }
    assert_int_equal(index_flush(x.t), 0);
    for (uint32_t i = 0; i < 6000; i++) {
        k[0] = i < 5990 ? 0 : 0xff;
        k[30] = (uint8_t)(i >> 8);
        k[31] = (uint8_t)i;
        assert_int_equal(index_get(x.t, k, NULL), 1);
    }
    done(&x);
}

static void damage_anywhere_begins_an_empty_table(void **state)
{
    struct t x;
    make(&x);
    for (uint64_t i = 0; i < 300; i++)
        put(&x, i, 0);
    assert_int_equal(index_flush(x.t), 0);
    char files[8][256];
    size_t n = kit_files(x.dir, "", files, 8);
    assert_int_equal(n, 2);
    unsigned flips = 0;
    for (size_t f = 0; f < n; f++) {
        uint64_t size = kit_size(files[f]);
        for (uint64_t at = 0; at < size; at += size > 1000 ? 61 : 1, flips++) {
            kit_flip(files[f], at, 0x40);
            struct index_config ro = config;
            ro.read_only = true;
            struct index_table *t;
            bool unsound;
            assert_int_equal(index_open(x.fd, "test", &ro, &t, &unsound), 0);
            assert_true(unsound);
            assert_int_equal(index_rows(t), 0);
            assert_int_equal(index_mark(t).n, 0);
            index_close(t);
            kit_flip(files[f], at, 0x40);
        }
    }
    again(&x);
    assert_false(x.unsound);
    assert_int_equal(index_rows(x.t), 300);
    assert_int_equal(index_reset(x.t), 0);
    again(&x);
    assert_int_equal(index_rows(x.t), 0);
    print_message("%u flips\n", flips);
    done(&x);
}

static void a_failing_disk_leaves_the_old_table_or_the_new(void **state)
{
    for (uint64_t k = 1;; k++) {
        struct t x;
        make(&x);
        for (uint64_t i = 0; i < 100; i++)
            put(&x, i, 1);
        assert_int_equal(index_flush(x.t), 0);
        for (uint64_t i = 50; i < 180; i++)
            put(&x, i, 2);
        plat_fault_set(PLAT_OP_FILES | (k % 2 ? PLAT_FAULT_SHORT : 0), k, ENOSPC);
        int err = index_flush(x.t);
        bool fired = plat_fault_fired();
        plat_fault_clear();
        for (uint64_t i = 0; i < 180; i++)
            expect(&x, i, i < 50 ? 1 : 2);  /* in memory nothing was lost */
        if (err)
            assert_int_equal(index_flush(x.t), 0);
        again(&x);
        assert_false(x.unsound);
        for (uint64_t i = 0; i < 180; i++)
            expect(&x, i, i < 50 ? 1 : 2);
        done(&x);
        if (!fired)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_rows_in_little_memory),
        cmocka_unit_test(keys_that_are_not_spread_are_found_too),
        cmocka_unit_test(damage_anywhere_begins_an_empty_table),
        cmocka_unit_test(a_failing_disk_leaves_the_old_table_or_the_new),
    };
    return cmocka_run_group_tests_name("store_index", tests, NULL, NULL);
}
