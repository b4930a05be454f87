#include <zstd.h>

#include "vault_test.h"

#include "crypto/aead.h"

static const char text[] =
    "防人 keeps what the clinic wrote. 防人 keeps what the clinic wrote. 防人 keeps what the clinic wrote. "
    "防人 keeps what the clinic wrote. 防人 keeps what the clinic wrote. 防人 keeps what the clinic wrote. ";

static void a_chunk_opens_to_what_was_sealed(void **state)
{
    static uint8_t big[CHUNK_PLAIN_MAX];
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    const size_t sizes[] = {1, 2, 63, 64, 65, 16384, 100000, CHUNK_PLAIN_MAX};
    test_fill(big, sizeof big / 2, 3);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int level = 0; level <= 3; level += 3)
            for (uint8_t type = OBJ_CHUNK; type <= OBJ_CANARY; type += 4) {
                struct sm_buf sealed = {0}, plain = {0};
                struct sm_span in = SM_SPAN(big + sizeof big / 2 - sizes[i] / 2, sizes[i]);
                struct chunk_info info = test_chunk(c, &k, type, in, level, &sealed);
                assert_int_equal(obj_name_check(sm_buf_span(&sealed), &info.cid), 0);
                assert_int_equal(chunk_open(c, sm_buf_span(&sealed), &test_client, &info.ck, &plain), 0);
                assert_true(sm_span_eq(sm_buf_span(&plain), in));
                sm_buf_wipe(&sealed);
                sm_buf_wipe(&plain);
            }
    seal_ctx_free(c);
}

static void many_chunks_at_once_are_sealed_as_one_by_one(void **state)
{
    enum { N = 40 };
    static uint8_t big[N * 9000];
    static uint8_t out[N][N * 9000 + CHUNK_OVERHEAD];
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    struct chunk_work work[N];
    struct chunk_hash h[N], one;
    struct obj_named named[N];
    test_fill(big, sizeof big / 2, 3);
    for (size_t n = 1; n <= N; n += 13) {
        for (size_t i = 0; i < n; i++)
            work[i] = (struct chunk_work){.type = i % 5 == 4 ? OBJ_CANARY : OBJ_CHUNK, .how = {.level = (int)(i % 3), .match = i & 4 ? 5 : 0},
                .plain = SM_SPAN(big + i * 7, 1 + i * 9000), .hash = &h[i], .to = out[i]};
        assert_int_equal(chunk_hash_many(c, work, n, h), 0);
        assert_int_equal(chunk_seal_many(c, &k, work, n), 0);
        for (size_t i = 0; i < n; i++) {
            struct sm_buf sealed = {0};
            struct chunk_info info;
            chunk_hash(work[i].plain, &one);
            assert_memory_equal(&one, &h[i], sizeof one);
            assert_int_equal(chunk_seal(c, &k, work[i].type, work[i].plain, &one, work[i].how, &info, &sealed), 0);
            assert_true(sm_span_eq(sm_buf_span(&sealed), SM_SPAN(work[i].to, work[i].n)));
            assert_true(cid_eq(&info.cid, &work[i].info.cid));
            assert_memory_equal(&info.ck, &work[i].info.ck, sizeof info.ck);
            assert_int_equal(info.algorithm, work[i].info.algorithm);
            named[i] = (struct obj_named){.sealed = SM_SPAN(work[i].to, work[i].n), .name = &work[i].info.cid};
            sm_buf_wipe(&sealed);
        }
        assert_int_equal(obj_names_check(c, named, n), 0);
        for (size_t i = 0; i < n; i++)
            assert_true(named[i].same);
        work[n / 2].to[work[n / 2].n - 1] ^= 1;
        assert_int_equal(obj_names_check(c, named, n), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(named[i].same, i != n / 2);
    }
    work[0].plain.n = 0;
    assert_int_equal(chunk_seal_many(c, &k, work, 2), -SM_EINVAL);
    assert_int_equal(chunk_hash_many(c, work, CHUNK_MANY_MAX + 1, h), -SM_EINVAL);
    seal_ctx_free(c);
}

static void an_empty_or_too_long_chunk_is_not_sealed(void **state)
{
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    struct sm_buf sealed = {0};
    struct chunk_hash h = {{0}};
    struct chunk_info info;
    uint8_t *long_one = calloc(1, CHUNK_PLAIN_MAX + 1);
    struct seal_how how = {.level = 1};
    assert_int_equal(chunk_seal(c, &k, OBJ_CHUNK, SM_SPAN("", 0), &h, how, &info, &sealed), -SM_EINVAL);
    assert_int_equal(
        chunk_seal(c, &k, OBJ_CHUNK, SM_SPAN(long_one, CHUNK_PLAIN_MAX + 1), &h, how, &info, &sealed), -SM_EINVAL);
    assert_int_equal(chunk_seal(c, &k, OBJ_DIRPAGE, SM_SPAN("x", 1), &h, how, &info, &sealed), -SM_EINVAL);
    assert_int_equal(sealed.n, 0);
    free(long_one);
    seal_ctx_free(c);
}

static void a_flipped_bit_anywhere_is_refused(void **state)
{
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    struct sm_buf sealed = {0}, plain = {0};
    struct chunk_info info = test_chunk(c, &k, OBJ_CHUNK, SM_SPAN_STR(text), 3, &sealed);
    assert_int_equal(info.algorithm, OBJ_ZSTD);
    for (size_t i = 0; i < sealed.n * 8; i++) {
        sealed.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_true(chunk_open(c, sm_buf_span(&sealed), &test_client, &info.ck, &plain) < 0);
        assert_int_equal(obj_name_check(sm_buf_span(&sealed), &info.cid), -SM_ECORRUPT);
        assert_int_equal(plain.n, 0);
        sealed.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t n = 0; n < sealed.n; n++)
        assert_true(chunk_open(c, SM_SPAN(sealed.p, n), &test_client, &info.ck, &plain) < 0);
    sm_buf_wipe(&sealed);
    sm_buf_wipe(&plain);
    seal_ctx_free(c);
}

static void types_and_clients_never_share_keys_names_or_look_ups(void **state)
{
    struct seal_ctx *c = test_ctx();
    struct seal_keys k[2] = {test_keys_of(&test_client), test_keys_of(&test_other_client)};
    const uint8_t types[2] = {OBJ_CHUNK, OBJ_CANARY};
    struct chunk_info info[4];
    uint8_t look[4][32], nk[4][32];
    struct chunk_hash h;
    chunk_hash(SM_SPAN_STR(text), &h);
    for (int i = 0; i < 4; i++) {
        struct sm_buf sealed = {0}, plain = {0};
        struct chunk_key ck;
        info[i] = test_chunk(c, &k[i / 2], types[i % 2], SM_SPAN_STR(text), 3, &sealed);
        chunk_look(&k[i / 2], types[i % 2], &h, look[i]);
        chunk_keys(&k[i / 2], types[i % 2], &h, &ck, nk[i]);
        assert_memory_equal(ck.b, info[i].ck.b, 32);
        assert_int_equal(
            chunk_open(c, sm_buf_span(&sealed), i / 2 ? &test_client : &test_other_client, &ck, &plain), -SM_EMISMATCH);
        sm_buf_wipe(&sealed);
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) {
            assert_memory_not_equal(info[i].ck.b, info[j].ck.b, 32);
            assert_memory_not_equal(info[i].cid.b, info[j].cid.b, 32);
            assert_memory_not_equal(look[i], look[j], 32);
            assert_memory_not_equal(nk[i], nk[j], 32);
        }
    seal_ctx_free(c);
}

static void two_zstd_levels_give_two_nonces_and_both_restore(void **state)
{
    uint8_t plain[20000];
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    struct sm_buf a = {0}, b = {0}, s = {0}, out = {0};
    struct chunk_info ia, ib, is;
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)text[i * i % sizeof text];
    ia = test_chunk(c, &k, OBJ_CHUNK, SM_SPAN(plain, sizeof plain), 1, &a);
    ib = test_chunk(c, &k, OBJ_CHUNK, SM_SPAN(plain, sizeof plain), 19, &b);
    is = test_chunk(c, &k, OBJ_CHUNK, SM_SPAN(plain, sizeof plain), 0, &s);
    assert_memory_equal(ia.ck.b, ib.ck.b, 32); /* one key: this is why the nonces must differ */
    assert_memory_equal(ia.ck.b, is.ck.b, 32);
    assert_memory_not_equal(a.p + OBJ_HDR_LEN, b.p + OBJ_HDR_LEN, OBJ_NONCE_LEN);
    assert_memory_not_equal(a.p + OBJ_HDR_LEN, s.p + OBJ_HDR_LEN, OBJ_NONCE_LEN);
    assert_int_equal(chunk_open(c, sm_buf_span(&a), NULL, &ib.ck, &out), 0);
    assert_int_equal(chunk_open(c, sm_buf_span(&b), NULL, &ia.ck, &out), 0);
    assert_int_equal(chunk_open(c, sm_buf_span(&s), NULL, &ia.ck, &out), 0);
    assert_int_equal(out.n, 3 * sizeof plain);
    for (int i = 0; i < 3; i++)
        assert_memory_equal(out.p + (size_t)i * sizeof plain, plain, sizeof plain);
    sm_buf_wipe(&a);
    sm_buf_wipe(&b);
    sm_buf_wipe(&s);
    sm_buf_wipe(&out);
    seal_ctx_free(c);
}

/* An object with any content under the AEAD, as a client gone bad could make it. */
static void forge(uint8_t algorithm, uint8_t type, const struct chunk_key *ck, struct sm_span clear,
    struct sm_span form, struct sm_buf *ret)
{
    struct crypto_aead *a;
    struct obj_hdr h = {algorithm, type, test_client};
    size_t head = OBJ_HDR_LEN + clear.n;
    sm_buf_clear(ret);
    assert_int_equal(sm_buf_reserve(ret, head + OBJ_NONCE_LEN + form.n + OBJ_TAG_LEN), 0);
    obj_hdr_put(&h, ret->p);
    if (clear.n)
        memcpy(ret->p + OBJ_HDR_LEN, clear.p, clear.n);
    memset(ret->p + head, 5, OBJ_NONCE_LEN);
    assert_int_equal(crypto_aead_new(&a), 0);
    assert_int_equal(
        crypto_aead_seal(a, ck->b, ret->p + head, SM_SPAN(ret->p, head), form, ret->p + head + OBJ_NONCE_LEN), 0);
    crypto_aead_free(a);
    ret->n = head + OBJ_NONCE_LEN + form.n + OBJ_TAG_LEN;
}

static void zstd_bombs_and_odd_frames_are_refused(void **state)
{
    size_t n = CHUNK_PLAIN_MAX + 1;
    uint8_t *zeros = calloc(1, n), *z = malloc(ZSTD_compressBound(n));
    struct seal_ctx *c = test_ctx();
    struct chunk_key ck = {{4}};
    struct sm_buf sealed = {0}, plain = {0};
    ZSTD_CCtx *zc = ZSTD_createCCtx();
    size_t zn = ZSTD_compressCCtx(zc, z, ZSTD_compressBound(n), zeros, n, 3);
    /* states one byte too many */
    forge(OBJ_ZSTD, OBJ_CHUNK, &ck, SM_SPAN(NULL, 0), SM_SPAN(z, zn), &sealed);
    assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &ck, &plain), -SM_ELIMIT);
    /* states no size */
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(zc, ZSTD_c_contentSizeFlag, 0)));
    zn = ZSTD_compress2(zc, z, ZSTD_compressBound(n), zeros, 1000);
    forge(OBJ_ZSTD, OBJ_CHUNK, &ck, SM_SPAN(NULL, 0), SM_SPAN(z, zn), &sealed);
    assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &ck, &plain), -SM_EFORMAT);
    /* says ten bytes and holds a thousand */
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(zc, ZSTD_c_contentSizeFlag, 1)));
    zn = ZSTD_compress2(zc, z, ZSTD_compressBound(n), zeros, 1000);
    assert_int_equal(ZSTD_getFrameContentSize(z, zn), 1000);
    z[5] = 10; /* magic 4, descriptor 1, then the size in 2 bytes, less 256 */
    z[6] = 0;
    forge(OBJ_ZSTD, OBJ_CHUNK, &ck, SM_SPAN(NULL, 0), SM_SPAN(z, zn), &sealed);
    assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &ck, &plain), -SM_EFORMAT);
    /* a byte, and then a whole frame, after the frame */
    zn = ZSTD_compress2(zc, z, ZSTD_compressBound(n), zeros, 1000);
    z[zn] = 0;
    forge(OBJ_ZSTD, OBJ_CHUNK, &ck, SM_SPAN(NULL, 0), SM_SPAN(z, zn + 1), &sealed);
    assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &ck, &plain), -SM_EFORMAT);
    memcpy(z + zn, z, zn);
    forge(OBJ_ZSTD, OBJ_CHUNK, &ck, SM_SPAN(NULL, 0), SM_SPAN(z, zn * 2), &sealed);
    assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &ck, &plain), -SM_EFORMAT);
    /* and as it should be */
    forge(OBJ_ZSTD, OBJ_CHUNK, &ck, SM_SPAN(NULL, 0), SM_SPAN(z, zn), &sealed);
    assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &ck, &plain), 0);
    assert_int_equal(plain.n, 1000);
    ZSTD_freeCCtx(zc);
    free(zeros);
    free(z);
    sm_buf_wipe(&sealed);
    sm_buf_wipe(&plain);
    seal_ctx_free(c);
}

static void what_looks_random_is_stored_and_text_is_not(void **state)
{
    static uint8_t noise[65536];
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    struct chunk_hash h;
    struct chunk_info info;
    struct sm_buf sealed = {0};
    test_fill(noise, sizeof noise, 9);
    assert_true(seal_looks_random(SM_SPAN(noise, sizeof noise)));
    assert_false(seal_looks_random(SM_SPAN_STR(text)));
    chunk_hash(SM_SPAN(noise, sizeof noise), &h);
    assert_int_equal(chunk_seal(c, &k, OBJ_CHUNK, SM_SPAN(noise, sizeof noise), &h,
                         (struct seal_how){.level = 3, .probe = true}, &info, &sealed),
        0);
    assert_int_equal(info.algorithm, OBJ_STORED);
    assert_int_equal(sealed.n, sizeof noise + CHUNK_OVERHEAD);
    sm_buf_wipe(&sealed);
    seal_ctx_free(c);
}

/* Twelve bits in sixteen, the way a scanner writes them: the high byte seldom moves, the low one is noise. */
static void picture(uint8_t *to, size_t n, bool high_first)
{
    test_fill(to, n, 77);
    for (size_t i = 0; i < n; i++)
        if (i % 2 == (high_first ? 0 : 1))
            to[i] = (uint8_t)(i / 700 % 16);
        else
            to[i] &= 63;
}

static void numbers_of_two_bytes_are_sealed_in_planes_and_open_again(void **state)
{
    static uint8_t big[200001];
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    const size_t sizes[] = {8192, 8193, 100000, 199999, 200000};
    for (size_t i = 0; i < 4 * sizeof sizes / sizeof sizes[0]; i++) {
        struct sm_buf sealed = {0}, plain = {0}, flat = {0};
        struct chunk_hash h;
        struct chunk_info info, without;
        struct seal_how how = {.level = 1, .probe = true, .planes = true};
        struct sm_span in = SM_SPAN(big + (i & 1), sizes[i / 4]);
        picture(big, sizeof big, i & 2);
        chunk_hash(in, &h);
        assert_true(seal_looks_paired(in));
        assert_int_equal(chunk_seal(c, &k, OBJ_CHUNK, in, &h, how, &info, &sealed), 0);
        assert_int_equal(info.algorithm, OBJ_PLANES);
        assert_int_equal(chunk_open(c, sm_buf_span(&sealed), &test_client, &info.ck, &plain), 0);
        assert_true(sm_span_eq(sm_buf_span(&plain), in));
        how.planes = false; /* a box of before */
        assert_int_equal(chunk_seal(c, &k, OBJ_CHUNK, in, &h, how, &without, &flat), 0);
        assert_int_equal(without.algorithm, OBJ_ZSTD);
        assert_true(sealed.n < flat.n);
        assert_memory_equal(&without.ck, &info.ck, sizeof info.ck); /* found again whichever way it was sealed */
        assert_memory_not_equal(flat.p + OBJ_HDR_LEN, sealed.p + OBJ_HDR_LEN, OBJ_NONCE_LEN);
        plain.n = 7;
        sealed.p[5] = OBJ_ZSTD; /* the algorithm is under the seal */
        assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &info.ck, &plain), -SM_EAUTH);
        assert_int_equal(plain.n, 7);
        sm_buf_wipe(&sealed);
        sm_buf_wipe(&plain);
        sm_buf_wipe(&flat);
    }
    seal_ctx_free(c);
}

static void text_noise_and_what_repeats_are_not_split(void **state)
{
    static uint8_t b[65536];
    test_fill(b, sizeof b, 5);
    assert_false(seal_looks_paired(SM_SPAN(b, sizeof b)));
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)text[i % (sizeof text - 1)];
    assert_false(seal_looks_paired(SM_SPAN(b, sizeof b)));
    memset(b, 0, sizeof b);
    assert_false(seal_looks_paired(SM_SPAN(b, sizeof b)));
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)(i >> 2 >> (i & 3) * 8); /* a counter of four bytes */
    assert_false(seal_looks_paired(SM_SPAN(b, sizeof b)));
    picture(b, sizeof b, false);
    assert_true(seal_looks_paired(SM_SPAN(b, sizeof b)));
    assert_false(seal_looks_paired(SM_SPAN(b, 4096))); /* too little to tell */
}

static void planes_are_the_even_bytes_and_then_the_odd_ones_and_odd_frames_are_refused(void **state)
{
    static const char *const rows[][2] = {{"02468a13579", "0123456789a"}, {"0213", "0123"}, {"x", "x"}};
    struct seal_ctx *c = test_ctx();
    struct chunk_key ck = {{4}};
    struct sm_buf sealed = {0}, plain = {0};
    uint8_t z[200];
    size_t n = CHUNK_PLAIN_MAX + 1, zn;
    for (size_t i = 0; i < 3; i++) {
        zn = ZSTD_compress(z, sizeof z, rows[i][0], strlen(rows[i][0]), 1);
        forge(OBJ_PLANES, OBJ_CANARY, &ck, SM_SPAN(NULL, 0), SM_SPAN(z, zn), &sealed);
        sm_buf_clear(&plain);
        assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &ck, &plain), 0);
        assert_true(sm_span_eq(sm_buf_span(&plain), SM_SPAN_STR(rows[i][1])));
        z[zn] = 0; /* a byte after the frame */
        forge(OBJ_PLANES, OBJ_CANARY, &ck, SM_SPAN(NULL, 0), SM_SPAN(z, zn + 1), &sealed);
        assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &ck, &plain), -SM_EFORMAT);
        assert_int_equal(plain.n, strlen(rows[i][1]));
    }
    uint8_t *zeros = calloc(1, n), *bomb = malloc(ZSTD_compressBound(n));
    zn = ZSTD_compress(bomb, ZSTD_compressBound(n), zeros, n, 1);
    forge(OBJ_PLANES, OBJ_CHUNK, &ck, SM_SPAN(NULL, 0), SM_SPAN(bomb, zn), &sealed);
    assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &ck, &plain), -SM_ELIMIT);
    plain.max = plain.n + 3; /* the caller's own bound holds too */
    zn = ZSTD_compress(z, sizeof z, "0213", 4, 1);
    forge(OBJ_PLANES, OBJ_CHUNK, &ck, SM_SPAN(NULL, 0), SM_SPAN(z, zn), &sealed);
    assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &ck, &plain), -SM_ELIMIT);
    free(zeros);
    free(bomb);
    sm_buf_wipe(&sealed);
    sm_buf_wipe(&plain);
    seal_ctx_free(c);
}

static void headers_of_other_formats_and_types_are_told_apart(void **state)
{
    uint8_t b[OBJ_HDR_LEN];
    struct obj_hdr h = {OBJ_ZSTD, OBJ_DIRPAGE, test_client}, got;
    obj_hdr_put(&h, b);
    assert_int_equal(obj_hdr_parse(SM_SPAN(b, sizeof b), &got), 0);
    assert_int_equal(obj_hdr_parse(SM_SPAN(b, sizeof b - 1), &got), -SM_EFORMAT);
    const struct {
        int at;
        uint8_t v;
        int err;
    } rows[] = {{0, 'x', SM_EFORMAT}, {4, 2, SM_EVERSION}, {5, 0, SM_EFORMAT}, {5, 3, SM_EFORMAT}, {6, 0, SM_EVERSION},
        {6, 6, SM_EVERSION}, {6, 7, SM_EVERSION}, {7, 1, SM_EFORMAT}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        obj_hdr_put(&h, b);
        b[rows[i].at] = rows[i].v;
        assert_int_equal(obj_hdr_parse(SM_SPAN(b, sizeof b), &got), -rows[i].err);
    }
    for (uint8_t type = OBJ_CHUNK; type <= OBJ_CANARY; type++) { /* only chunks have planes; nothing has a fourth algorithm */
        obj_hdr_put(&(struct obj_hdr){OBJ_PLANES, type, test_client}, b);
        assert_int_equal(obj_hdr_parse(SM_SPAN(b, sizeof b), &got), obj_is_chunk(type) ? 0 : -SM_EFORMAT);
        b[5] = 4;
        assert_int_equal(obj_hdr_parse(SM_SPAN(b, sizeof b), &got), -SM_EFORMAT);
    }
    obj_hdr_put(&h, b);
    assert_int_equal(obj_hdr_expect(SM_SPAN(b, sizeof b), OBJ_CHUNK, NULL, &got), -SM_EMISMATCH);
    assert_int_equal(obj_hdr_expect(SM_SPAN(b, sizeof b), OBJ_ANY, &test_other_client, &got), -SM_EMISMATCH);
}

static void sorted_cids(struct cid *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        test_fill(c[i].b, 32, i);
        c[i].b[0] = (uint8_t)(i >> 8);
        c[i].b[1] = (uint8_t)i;
    }
}

static void a_page_opens_and_its_refs_need_no_key(void **state)
{
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    struct cid *refs = malloc(PAGE_REFS_MAX * sizeof *refs);
    const size_t counts[] = {0, 1, 2, 300, PAGE_REFS_MAX};
    sorted_cids(refs, PAGE_REFS_MAX);
    for (size_t i = 0; i < 5; i++) {
        struct sm_buf sealed = {0}, body = {0};
        struct chunk_info info;
        struct page_refs r;
        assert_int_equal(page_seal(c, &k, OBJ_DIRPAGE, refs, counts[i], SM_SPAN_STR(text),
                             (struct seal_how){.level = 3}, &info, &sealed),
            0);
        assert_int_equal(page_refs(sm_buf_span(&sealed), &test_client, &r), 0);
        assert_int_equal(r.n, counts[i]);
        assert_memory_equal(r.ref, refs, counts[i] * sizeof *refs);
        assert_int_equal(page_refs(sm_buf_span(&sealed), &test_other_client, &r), -SM_EMISMATCH);
        assert_int_equal(page_open(c, sm_buf_span(&sealed), OBJ_STREAMPAGE, NULL, &info.ck, &r, &body), -SM_EMISMATCH);
        assert_int_equal(page_open(c, sm_buf_span(&sealed), OBJ_DIRPAGE, &test_client, &info.ck, &r, &body), 0);
        assert_true(sm_span_eq(sm_buf_span(&body), SM_SPAN_STR(text)));
        if (counts[i] > 0) {
            assert_int_equal(page_refs_find(&r, &refs[counts[i] - 1]), counts[i] - 1);
            sm_buf_clear(&body);
            sealed.p[OBJ_HDR_LEN + 4 + 31] ^= 1; /* the box swaps a ref */
            assert_int_equal(page_open(c, sm_buf_span(&sealed), OBJ_DIRPAGE, NULL, &info.ck, &r, &body), -SM_EAUTH);
        }
        sm_buf_wipe(&sealed);
        sm_buf_wipe(&body);
    }
    free(refs);
    seal_ctx_free(c);
}

static void unsorted_and_double_refs_are_refused(void **state)
{
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    struct cid refs[3];
    struct sm_buf sealed = {0};
    struct chunk_info info;
    struct page_refs r;
    struct seal_how how = {.level = 0};
    sorted_cids(refs, 3);
    assert_int_equal(page_seal(c, &k, OBJ_DIRPAGE, refs, 3, SM_SPAN_STR(text), how, &info, &sealed), 0);
    memcpy(sealed.p + OBJ_HDR_LEN + 4, &refs[1], 32); /* double */
    assert_int_equal(page_refs(sm_buf_span(&sealed), NULL, &r), -SM_EFORMAT);
    memcpy(sealed.p + OBJ_HDR_LEN + 4, &refs[2], 32); /* unsorted */
    assert_int_equal(page_refs(sm_buf_span(&sealed), NULL, &r), -SM_EFORMAT);
    memcpy(sealed.p + OBJ_HDR_LEN, "\x01\x00\x01\x00", 4); /* one ref too many for any page */
    assert_int_equal(page_refs(sm_buf_span(&sealed), NULL, &r), -SM_ELIMIT);
    memcpy(sealed.p + OBJ_HDR_LEN, "\x00\x10\x00\x00", 4); /* more than there are bytes */
    assert_int_equal(page_refs(sm_buf_span(&sealed), NULL, &r), -SM_EFORMAT);
    refs[0] = refs[1];
    assert_int_equal(page_seal(c, &k, OBJ_DIRPAGE, refs, 3, SM_SPAN_STR(text), how, &info, &sealed), -SM_EINVAL);
    sm_buf_wipe(&sealed);
    seal_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_opens_to_what_was_sealed),
        cmocka_unit_test(many_chunks_at_once_are_sealed_as_one_by_one),
        cmocka_unit_test(an_empty_or_too_long_chunk_is_not_sealed),
        cmocka_unit_test(a_flipped_bit_anywhere_is_refused),
        cmocka_unit_test(types_and_clients_never_share_keys_names_or_look_ups),
        cmocka_unit_test(two_zstd_levels_give_two_nonces_and_both_restore),
        cmocka_unit_test(zstd_bombs_and_odd_frames_are_refused),
        cmocka_unit_test(what_looks_random_is_stored_and_text_is_not),
        cmocka_unit_test(numbers_of_two_bytes_are_sealed_in_planes_and_open_again),
        cmocka_unit_test(text_noise_and_what_repeats_are_not_split),
        cmocka_unit_test(planes_are_the_even_bytes_and_then_the_odd_ones_and_odd_frames_are_refused),
        cmocka_unit_test(headers_of_other_formats_and_types_are_told_apart),
        cmocka_unit_test(a_page_opens_and_its_refs_need_no_key),
        cmocka_unit_test(unsorted_and_double_refs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
