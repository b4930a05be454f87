/*
 * Parity of a pack against its paper (docs/FORMAT-vault.md 5.1): the code by a second, slow implementation and by
 * vectors; healing at its limit and one beyond; damage at random places.  `test_vault_parity FILE --make` writes the
 * vectors; it was run once.
 */
#include <fcntl.h>
#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vault_test.h"

#include "core/json.h"
#include "crypto/hash.h"
#include "vault/parity/parity.h"

static const char *file_name;

/* A pack, as far as parity is concerned: bytes.  And the file they stand in. */
struct sample { struct cid id; uint8_t *pack; uint64_t n; struct parity_shape s; struct sm_buf trailer; int fd; };

static uint64_t rnd(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void sample_make(struct sample *t, uint64_t n, size_t piece)
{
    struct parity_maker *m = NULL;
    *t = (struct sample){ .n = n, .pack = malloc(n), .fd = memfd_create("pack", MFD_CLOEXEC) };
    assert_non_null(t->pack);
    assert_true(t->fd >= 0);
    test_fill(t->pack, n, (unsigned)n);
    test_fill(t->id.b, 32, 7);
    assert_int_equal(parity_shape_for(n, &t->s), 0);
    assert_int_equal(parity_maker_new(&t->id, n, &m), 0);
    for (uint64_t at = 0; at < n; at += piece)
        assert_int_equal(parity_maker_put(m, SM_SPAN(t->pack + at, n - at < piece ? n - at : piece)), 0);
    assert_int_equal(parity_maker_put(m, SM_SPAN("x", 1)), -SM_ELIMIT);
    assert_int_equal(parity_maker_finish(m, &t->trailer), 0);
    assert_int_equal(t->trailer.n, parity_trailer_bytes(&t->s));
    parity_maker_free(m);
    assert_int_equal(pwrite(t->fd, t->pack, n, 0), n);
    assert_int_equal(pwrite(t->fd, t->trailer.p, t->trailer.n, (off_t)n), t->trailer.n);
}

static void sample_wipe(struct sample *t)
{
    free(t->pack);
    sm_buf_wipe(&t->trailer);
    close(t->fd);
}

/* The file as it was made. */
static void sample_mend(struct sample *t)
{
    assert_int_equal(ftruncate(t->fd, (off_t)(t->n + t->trailer.n)), 0);
    assert_int_equal(pwrite(t->fd, t->pack, t->n, 0), t->n);
    assert_int_equal(pwrite(t->fd, t->trailer.p, t->trailer.n, (off_t)t->n), t->trailer.n);
}

static void flip(const struct sample *t, uint64_t at)
{
    uint8_t b;
    assert_int_equal(pread(t->fd, &b, 1, (off_t)at), 1);
    b ^= 0x10;
    assert_int_equal(pwrite(t->fd, &b, 1, (off_t)at), 1);
}

/* Heal, and compare every byte: 1 healed (or sound), 0 said to be beyond repair.  Never anything else. */
static int heal(const struct sample *t, struct parity_damage *ret)
{
    struct parity_heal *h = NULL;
    struct parity_damage d = { 0 };
    int r = parity_heal_new(t->fd, &t->id, t->n, &h);
    if (r == -SM_ENOTFOUND) {
        if (ret)
            *ret = d;
        return 0;
    }
    assert_int_equal(r, 0);
    while ((r = parity_heal_step(h, 100000)) == 1)
        ;
    assert_int_equal(r, 0);
    parity_heal_damage(h, &d);
    bool whole = parity_heal_whole(h);
    for (uint64_t at = 0; whole && at < t->n; at += PARITY_BLOCK) {
        uint8_t b[PARITY_BLOCK];
        size_t n = t->n - at < sizeof b ? (size_t)(t->n - at) : sizeof b;
        assert_int_equal(parity_heal_read(h, at, b, n), 0);
        whole = d.pieces ? whole && !memcmp(b, t->pack + at, n) : whole;
        if (!d.pieces)
            assert_memory_equal(b, t->pack + at, n);
    }
    parity_heal_free(h);
    if (ret)
        *ret = d;
    return whole;
}

/* ---- the code ---- */

static uint8_t slow_mul(uint8_t a, uint8_t b)
{
    unsigned r = 0, x = a;
    for (; b; b >>= 1, x <<= 1) {
        if (x & 0x100)
            x ^= 0x11d;
        if (b & 1)
            r ^= x;
    }
    return (uint8_t)r;
}

static uint8_t slow_inverse(uint8_t a)
{
    for (unsigned i = 1; i < 256; i++)
        if (slow_mul(a, (uint8_t)i) == 1)
            return (uint8_t)i;
    fail();
    return 0;
}

static void the_code_is_what_the_paper_says(void **state)
{
    static const uint64_t sizes[] = { 1, 121, 4096, 4097, 500000, 1023999, 1024001, 2100000 };
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct sample t;
        sample_make(&t, sizes[k], 1 + k * 997);
        size_t table = 4 + (size_t)t.s.blocks * 8, pieces = (table - 1) / t.s.block + 1;
        size_t parity = 8 + 12 + table + 12 + 88 + (pieces + t.s.stripes * t.s.rows) * 8;
        uint64_t seed = sizes[k] + 1;
        for (unsigned i = 0; i < 200; i++) {
            uint32_t row = (uint32_t)(rnd(&seed) % t.s.rows), stripe = (uint32_t)(rnd(&seed) % t.s.stripes);
            size_t at = (size_t)(rnd(&seed) % t.s.block);
            uint8_t sum = 0;
            for (uint32_t b = stripe, j = 0; b < t.s.blocks; b += t.s.stripes, j++) {
                uint64_t off = (uint64_t)b * t.s.block + at;
                uint8_t v = off < t.n ? t.pack[off] : 0;
                sum ^= slow_mul(slow_inverse((uint8_t)((255 - row) ^ j)), v);
            }
            assert_int_equal(t.trailer.p[parity + ((size_t)row * t.s.stripes + stripe) * t.s.block + at], sum);
        }
        struct pack_trailer read;
        assert_int_equal(pack_trailer_parse(sm_buf_span(&t.trailer), &read), 0);
        assert_int_equal(read.block_size, 4096);
        assert_int_equal(read.hashes.n, (size_t)t.s.blocks * 8);
        sample_wipe(&t);
    }
    (void)state;
}

static const uint64_t vector_sizes[] = { 121, 70000, 512001, 1030000 };

static json_t *vectors_make(void)
{
    json_t *a = json_array();
    for (size_t i = 0; i < sizeof vector_sizes / sizeof *vector_sizes; i++) {
        struct sample t;
        uint8_t h[32], p[32];
        char hex[2][65];
        sample_make(&t, vector_sizes[i], 65536);
        crypto_sha256(SM_SPAN(t.pack, t.n), p);
        crypto_sha256(sm_buf_span(&t.trailer), h);
        sm_hex(p, 32, hex[0]);
        sm_hex(h, 32, hex[1]);
        json_array_append_new(a, json_pack("{s:I,s:I,s:I,s:I,s:s,s:s}", "bytes", (json_int_t)t.n, "stripes",
            (json_int_t)t.s.stripes, "rows", (json_int_t)t.s.rows, "trailer_bytes", (json_int_t)t.trailer.n,
            "pack_sha256", hex[0], "trailer_sha256", hex[1]));
        sample_wipe(&t);
    }
    return a;
}

static void the_vectors_are_made_again_byte_for_byte(void **state)
{
    json_t *stored = json_load_file(file_name, 0, NULL), *now = vectors_make();
    assert_non_null(stored);
    assert_true(json_equal(json_object_get(stored, "trailers"), now));
    json_decref(stored);
    json_decref(now);
    (void)state;
}

/* ---- limits ---- */

static void damage_stripe(const struct sample *t, uint32_t stripe, unsigned blocks)
{
    for (unsigned i = 0; i < blocks; i++)
        flip(t, ((uint64_t)stripe + (uint64_t)i * t->s.stripes) * t->s.block + i);
}

static void as_many_as_there_are_rows_are_healed_and_one_more_is_named(void **state)
{
    static const uint64_t sizes[] = { 9000, 500000, 520000, 3000000 };
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct sample t;
        struct parity_damage d;
        sample_make(&t, sizes[k], 65536);
        assert_int_equal(heal(&t, &d), 1);
        assert_int_equal(d.blocks, 0);
        for (uint32_t s = 0; s < t.s.stripes; s++)
            damage_stripe(&t, s, t.s.rows);
        assert_int_equal(heal(&t, &d), 1);
        assert_int_equal(d.blocks, t.s.stripes * t.s.rows);
        assert_int_equal(d.healed, d.blocks);
        sample_mend(&t);
        damage_stripe(&t, t.s.stripes / 2, t.s.rows + 1);
        assert_int_equal(heal(&t, &d), 0);
        assert_int_equal(d.blocks, t.s.rows + 1);
        sample_wipe(&t);
    }
    (void)state;
}

static void a_run_of_bytes_as_long_as_the_paper_says_is_healed_wherever_it_lies(void **state)
{
    struct sample t;
    struct parity_damage d;
    sample_make(&t, (16u << 20) + 15000, 1 << 20);
    assert_int_equal(t.s.stripes, 17);
    size_t run = ((size_t)t.s.rows * t.s.stripes - 1) * t.s.block + 1;
    assert_int_equal(run, 274433);
    assert_true(t.trailer.n * 1000 < t.n * 21);
    uint8_t *zero = calloc(run, 1);
    uint64_t seed = 99;
    for (unsigned i = 0; i < 6; i++) {
        uint64_t at = i == 0 ? 0 : i == 1 ? t.n - run : rnd(&seed) % (t.n - run);
        assert_int_equal(pwrite(t.fd, zero, run, (off_t)at), run);
        assert_int_equal(heal(&t, &d), 1);
        sample_mend(&t);
    }
    /* one more block than parity blocks, from a block's begin */
    assert_int_equal(pwrite(t.fd, zero, run, 4096), run);
    flip(&t, 4096 + run + 4095);
    assert_int_equal(heal(&t, &d), 0);
    free(zero);
    sample_wipe(&t);
    (void)state;
}

static void a_sector_lost_anywhere_in_pack_or_trailer_is_healed(void **state)
{
    static const uint64_t sizes[] = { 130, 10000, 300000 };
    static const uint8_t zero[4096];
    unsigned n = 0;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct sample t;
        struct parity_damage d;
        sample_make(&t, sizes[k], 4000);
        uint64_t size = t.n + t.trailer.n;
        for (uint64_t at = 0; at < size; at += 4096, n++) {
            size_t len = size - at < 4096 ? (size_t)(size - at) : 4096;
            assert_int_equal(pwrite(t.fd, zero, len, (off_t)at), len);
            assert_int_equal(heal(&t, &d), 1);
            assert_true(d.blocks <= 2);
            sample_mend(&t);
        }
        sample_wipe(&t);
    }
    print_message("%u sectors\n", n);
    (void)state;
}

static void damage_at_random_places_is_healed_or_said_never_wrong(void **state)
{
    static const uint64_t sizes[] = { 5000, 90000, 700000, 2500000 };
    unsigned rounds = getenv("SAKIMORI_LONG") ? 1000 : 120, healed = 0, beyond = 0;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct sample t;
        sample_make(&t, sizes[k], 65536);
        uint64_t size = t.n + t.trailer.n;
        for (unsigned i = 0; i < rounds; i++) {
            uint64_t seed = 0x9e3779b97f4a7c15u * (i + 1) + k;
            uint8_t junk[6000];
            unsigned kinds = 1 + (unsigned)(rnd(&seed) % 4);
            for (unsigned j = 0; j < kinds; j++) {
                uint64_t at = rnd(&seed) % size, len = 1 + rnd(&seed) % sizeof junk;
                switch (rnd(&seed) % 4) {
                case 0: case 1: flip(&t, at); break;
                case 2:
                    len = len < size - at ? len : size - at;
                    test_fill(junk, (size_t)len, (unsigned)seed);
                    assert_int_equal(pwrite(t.fd, junk, (size_t)len, (off_t)at), len);
                    break;
                default:
                    at &= ~(uint64_t)4095;
                    len = size - at < 4096 ? size - at : 4096;
                    memset(junk, 0, (size_t)len);
                    assert_int_equal(pwrite(t.fd, junk, (size_t)len, (off_t)at), len);
                }
            }
            if (rnd(&seed) % 8 == 0) {
                size = t.n + t.trailer.n - rnd(&seed) % (t.trailer.n / 4);
                assert_int_equal(ftruncate(t.fd, (off_t)size), 0);
                size = t.n + t.trailer.n;
            }
            int whole = heal(&t, NULL);
            healed += whole == 1;
            beyond += whole == 0;
            sample_mend(&t);
        }
        sample_wipe(&t);
    }
    print_message("%u healed, %u beyond repair\n", healed, beyond);
    assert_true(healed > beyond);
    assert_true(beyond > 0);
    (void)state;
}

static void every_cut_of_the_trailer_heals_or_says_no(void **state)
{
    struct sample t;
    unsigned healed = 0;
    sample_make(&t, 20000, 4096);
    for (size_t left = 0; left <= t.trailer.n; left += left < 400 || t.trailer.n - left < 400 ? 1 : 97) {
        assert_int_equal(ftruncate(t.fd, (off_t)(t.n + left)), 0);
        flip(&t, 5000);
        healed += (unsigned)heal(&t, NULL);
        sample_mend(&t);
    }
    assert_true(healed > 50);
    sample_wipe(&t);
    (void)state;
}

/* ---- roots that lie ---- */

static void a_root_of_another_pack_or_shape_is_not_believed(void **state)
{
    struct sample t;
    struct parity_root root;
    struct cid other = { { 1 } };
    sample_make(&t, 30000, 4096);
    struct sm_span tail = sm_buf_span(&t.trailer);
    assert_int_equal(parity_root_find(tail, t.n, &t.id, &root), 0);
    assert_int_equal(root.shape.stripes, 1);
    assert_int_equal(root.at, t.n);
    assert_int_equal(parity_root_find(tail, t.n, NULL, &root), 0);
    assert_int_equal(parity_root_find(tail, t.n, &other, &root), -SM_ENOTFOUND);
    assert_int_equal(parity_root_find(tail, t.n + 1, &t.id, &root), -SM_ENOTFOUND);
    /* any byte of both roots changed: there is none */
    size_t at = (size_t)((const uint8_t *)memmem(tail.p, tail.n, "SKPR", 4) - tail.p);
    size_t bytes = 88 + (1 + 2) * 8, second = tail.n - 12 - (4 + 8 * 8) - bytes;
    assert_memory_equal(tail.p + at, tail.p + second, bytes);
    for (size_t i = 0; i < bytes; i++) {
        t.trailer.p[at + i] ^= 1;
        assert_int_equal(parity_root_find(tail, t.n, &t.id, &root), 0);
        t.trailer.p[second + i] ^= 1;
        assert_int_equal(parity_root_find(tail, t.n, &t.id, &root), -SM_ENOTFOUND);
        t.trailer.p[at + i] ^= 1;
        assert_int_equal(parity_root_find(tail, t.n, &t.id, &root), 0);
        t.trailer.p[second + i] ^= 1;
    }
    sample_wipe(&t);
    (void)state;
}

static void shapes_outside_the_limits_are_refused(void **state)
{
    struct parity_shape s, good;
    assert_int_equal(parity_shape_for(0, &s), -SM_EINVAL);
    assert_int_equal(parity_shape_for(PACK_BYTES_MAX + 1, &s), -SM_EINVAL);
    assert_int_equal(parity_shape_for(PACK_BYTES_MAX, &s), 0);
    assert_int_equal(parity_shape_check(&s), 0);
    assert_int_equal(parity_shape_for(3000000, &good), 0);
    assert_int_equal(parity_shape_check(&good), 0);
#define REFUSED(change) do { s = good; change; assert_int_equal(parity_shape_check(&s), -SM_EFORMAT); } while (0)
    REFUSED(s.block = 2048);
    REFUSED(s.block = 4097);
    REFUSED(s.block = 1 << 17);
    REFUSED(s.rows = 0);
    REFUSED(s.rows = PARITY_ROWS_MAX + 1);
    REFUSED(s.stripes = 0);
    REFUSED(s.stripes = PARITY_STRIPES_MAX + 1);
    REFUSED(s.stripes = 1);
    REFUSED(s.blocks++);
    REFUSED(s.pack_bytes = 0);
    (void)state;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_code_is_what_the_paper_says),
        cmocka_unit_test(the_vectors_are_made_again_byte_for_byte),
        cmocka_unit_test(as_many_as_there_are_rows_are_healed_and_one_more_is_named),
        cmocka_unit_test(a_run_of_bytes_as_long_as_the_paper_says_is_healed_wherever_it_lies),
        cmocka_unit_test(a_sector_lost_anywhere_in_pack_or_trailer_is_healed),
        cmocka_unit_test(damage_at_random_places_is_healed_or_said_never_wrong),
        cmocka_unit_test(every_cut_of_the_trailer_heals_or_says_no),
        cmocka_unit_test(a_root_of_another_pack_or_shape_is_not_believed),
        cmocka_unit_test(shapes_outside_the_limits_are_refused),
    };
    file_name = argc > 1 ? argv[1] : "";
    if (crypto_init() < 0)
        return 1;
    if (argc > 2) {
        json_t *o = json_pack("{s:s,s:o}", "what", "trailers of packs whose bytes are test_fill(bytes, seed = length), "
            "pack id test_fill(32, 7); see tests/vault/vault_test.h", "trailers", vectors_make());
        int r = json_dump_file(o, file_name, JSON_INDENT(1) | JSON_SORT_KEYS) ? 1 : 0;
        json_decref(o);
        return r;
    }
    return cmocka_run_group_tests_name("parity", tests, NULL, NULL);
}
