#include "vault_test.h"

#include "vault/chunk/cut.h"

static struct cut_table table;

static int setup(void **state)
{
    struct seal_keys k;
    if (crypto_init() < 0)
        return -1;
    k = test_keys();
    cut_table_init(&table, &k.id);
    return 0;
}

static size_t cut_all(const struct cut *c, const uint8_t *p, size_t n, size_t *ends, size_t max)
{
    size_t at = 0, count = 0;
    while (at < n) {
        size_t len = cut_next(c, p + at, n - at, true);
        assert_true(len > 0 && len <= n - at);
        at += len;
        assert_true(count < max);
        ends[count++] = at;
    }
    return count;
}

static void chunks_keep_their_bounds_and_cover_every_byte(void **state)
{
    size_t n = (size_t)8 << 20, ends[4096], before, count;
    uint8_t *p = malloc(n);
    const struct cut_policy *rows[] = {&cut_policy_cdc, &cut_policy_large, &cut_policy_fixed16k};
    test_fill(p, n, 77);
    for (size_t i = 0; i < 3; i++) {
        struct cut c = {&table, rows[i]};
        before = 0;
        count = cut_all(&c, p, n, ends, 4096);
        assert_int_equal(ends[count - 1], n);
        for (size_t j = 0; j < count; j++) {
            assert_true(ends[j] - before <= rows[i]->max);
            assert_true(j + 1 == count || ends[j] - before >= rows[i]->min);
            before = ends[j];
        }
        assert_in_range(n / count, rows[i]->avg * 6 / 10, rows[i]->avg * 16 / 10);
    }
    free(p);
}

static void the_cut_does_not_depend_on_how_the_bytes_come(void **state)
{
    size_t n = (size_t)2 << 20, ends[512], count;
    uint8_t *p = malloc(n);
    struct cut c = {&table, &cut_policy_cdc};
    test_fill(p, n, 78);
    count = cut_all(&c, p, n, ends, 512);
    size_t at = 0, k = 0;
    for (size_t have = 0; at < n;) { /* odd pieces */
        size_t len;
        have = have + 7777 > n ? n : have + 7777;
        while ((len = cut_next(&c, p + at, have - at, have == n)) > 0) {
            at += len;
            assert_true(k < count);
            assert_int_equal(at, ends[k]);
            k++;
        }
        assert_true(have < n || at == n);
    }
    assert_int_equal(k, count);
    free(p);
}

static void an_inserted_byte_moves_few_borders(void **state)
{
    size_t n = (size_t)4 << 20, a[512], b[512], na, nb, same = 0;
    uint8_t *p = malloc(n + 1);
    struct cut c = {&table, &cut_policy_cdc};
    test_fill(p, n, 79);
    na = cut_all(&c, p, n, a, 512);
    memmove(p + 100001, p + 100000, n - 100000);
    p[100000] = 42;
    nb = cut_all(&c, p, n + 1, b, 512);
    for (size_t i = 0, j = 0; i < na && j < nb;) {
        size_t want = a[i] > 100000 ? a[i] + 1 : a[i];
        same += want == b[j];
        if (want <= b[j])
            i++;
        else
            j++;
    }
    assert_true(same + 6 >= na);
    free(p);
}

static void two_clients_cut_differently(void **state)
{
    size_t n = (size_t)1 << 20, a[256], b[256], na, nb;
    uint8_t *p = malloc(n), other_id[32] = {9};
    struct seal_keys k;
    static struct cut_table other;
    seal_keys_init(&k, other_id, other_id, &test_other_client);
    cut_table_init(&other, &k.id);
    test_fill(p, n, 80);
    na = cut_all(&(struct cut){&table, &cut_policy_cdc}, p, n, a, 256);
    nb = cut_all(&(struct cut){&other, &cut_policy_cdc}, p, n, b, 256);
    assert_true(na != nb || memcmp(a, b, na * sizeof a[0]) != 0);
    assert_true(a[0] != b[0]);
    free(p);
}

static void databases_are_cut_in_pages_and_pictures_in_large_pieces(void **state)
{
    uint8_t sqlite[512] = "SQLite format 3", jpeg[512] = {0xff, 0xd8, 0xff, 0xe0}, dicom[512] = {0}, pg[512] = {0};
    memcpy(dicom + 128, "DICM", 4);
    pg[18] = 4;
    pg[19] = 0x20;
    const struct {
        const char *name;
        const uint8_t *head;
        uint64_t size;
        const struct cut_policy *want;
    } rows[] = {
        {"karte", sqlite, 1 << 20, &cut_policy_fixed16k},
        {"IMG_1.JPG", jpeg, 1 << 20, &cut_policy_large},
        {"1.2.840", dicom, 1 << 20, &cut_policy_large},
        {"16384.1", pg, 8192 * 100, &cut_policy_fixed16k},
        {"16384.1", pg, 8192 * 100 + 1, &cut_policy_cdc},
        {"notes.txt", pg, 8192 * 100, &cut_policy_cdc},
        {"orca.IBD", NULL, 1 << 20, &cut_policy_fixed16k},
        {"notes.txt", NULL, 1 << 20, &cut_policy_cdc},
        {"small.db", sqlite, 4096, &cut_policy_cdc},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = rows[i].head ? 512 : 0;
        assert_ptr_equal(
            cut_policy_for(SM_SPAN_STR(rows[i].name), SM_SPAN(rows[i].head, n), rows[i].size), rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_keep_their_bounds_and_cover_every_byte),
        cmocka_unit_test(the_cut_does_not_depend_on_how_the_bytes_come),
        cmocka_unit_test(an_inserted_byte_moves_few_borders),
        cmocka_unit_test(two_clients_cut_differently),
        cmocka_unit_test(databases_are_cut_in_pages_and_pictures_in_large_pieces),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
