#include "vault/seal/seal_internal.h"

#include <errno.h>

int seal_ctx_new(struct seal_ctx **ret)
{
    struct seal_ctx *c = calloc(1, sizeof *c);
    int r;
    if (!c)
        return -ENOMEM;
    c->scratch = SM_BUF_INIT(PAGE_BODY_MAX + OBJ_TAG_LEN);
    r = crypto_aead_new(&c->aead);
    if (r < 0) {
        free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void seal_ctx_free(struct seal_ctx *c)
{
    if (!c)
        return;
    crypto_aead_free(c->aead);
    crypto_many_free(c->many);
    ZSTD_freeCCtx(c->cctx);
    ZSTD_freeDCtx(c->dctx);
    sm_buf_wipe(&c->scratch);
    free(c);
}

#define SAMPLE 4096u
#define SAMPLE_RUNS 8u

bool seal_looks_random(struct sm_span plain)
{
    /* Sum of squares of the byte counts of a sample: n + n(n-1)/256 for random bytes, more for anything with a
     * pattern.  One eighth above that is where zstd begins to save something worth its time. */
    uint32_t count[256] = {0};
    uint64_t squares = 0, expect;
    size_t run, n = plain.n < SAMPLE ? plain.n : SAMPLE;
    if (n < 512)
        return false;
    run = n / SAMPLE_RUNS;
    for (size_t i = 0; i < SAMPLE_RUNS; i++) {
        const uint8_t *p = plain.p + (plain.n - run) / (SAMPLE_RUNS - 1) * i;
        for (size_t j = 0; j < run; j++)
            count[p[j]]++;
    }
    n = run * SAMPLE_RUNS;
    for (size_t i = 0; i < 256; i++)
        squares += (uint64_t)count[i] * count[i];
    expect = n + (uint64_t)n * (n - 1) / 256;
    return squares < expect + expect / 8;
}

static int ready_cctx(struct seal_ctx *c, struct seal_how how)
{
    const struct { ZSTD_cParameter what; int value; } set[] = {{ZSTD_c_compressionLevel, how.level},
        {ZSTD_c_minMatch, how.match}, {ZSTD_c_hashLog, how.table}, {ZSTD_c_chainLog, how.table}}; /* 0: the level's */
    if (!c->cctx && !(c->cctx = ZSTD_createCCtx()))
        return -ENOMEM;
    if (c->set.level == how.level && c->set.match == how.match && c->set.table == how.table)
        return 0;
    c->set.level = 0;
    for (size_t i = 0; i < sizeof set / sizeof set[0]; i++)
        if (ZSTD_isError(ZSTD_CCtx_setParameter(c->cctx, set[i].what, set[i].value)))
            return -SM_EINVAL;
    c->set = how;
    return 0;
}

int seal_form(struct seal_ctx *c, struct sm_span body, struct seal_how how, uint8_t *to, size_t *ret_n,
    uint8_t *ret_algorithm)
{
    size_t room = body.n - body.n / 32;
    if (how.level != 0 && body.n >= 64 && !(how.probe && seal_looks_random(body))) {
        int r = ready_cctx(c, how);
        size_t z;
        if (r < 0)
            return r;
        /* Too little room is zstd's way of saying that it does not pay. */
        z = ZSTD_compress2(c->cctx, to, room, body.p, body.n);
        if (!ZSTD_isError(z) && z < body.n) {
            *ret_n = z;
            *ret_algorithm = OBJ_ZSTD;
            return 0;
        }
    }
    memcpy(to, body.p, body.n);
    *ret_n = body.n;
    *ret_algorithm = OBJ_STORED;
    return 0;
}

static int unzstd(struct seal_ctx *c, struct sm_span z, size_t max, struct sm_buf *ret)
{
    unsigned long long size = ZSTD_getFrameContentSize(z.p, z.n);
    size_t got;
    int r;
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR || size == 0)
        return -SM_EFORMAT;
    if (size > max)
        return -SM_ELIMIT;
    got = ZSTD_findFrameCompressedSize(z.p, z.n);
    if (ZSTD_isError(got) || got != z.n)
        return -SM_EFORMAT;
    if (!c->dctx && !(c->dctx = ZSTD_createDCtx()))
        return -ENOMEM;
    r = sm_buf_reserve(ret, (size_t)size);
    if (r < 0)
        return r;
    got = ZSTD_decompressDCtx(c->dctx, ret->p + ret->n, (size_t)size, z.p, z.n);
    if (ZSTD_isError(got) || got != size)
        return -SM_EFORMAT;
    ret->n += got;
    return 0;
}

int seal_unform(struct seal_ctx *c, const struct chunk_key *ck, const uint8_t *nonce, struct sm_span aad,
    struct sm_span boxed, uint8_t algorithm, size_t max, struct sm_buf *ret)
{
    size_t n;
    int r;
    if (boxed.n <= OBJ_TAG_LEN)
        return -SM_EFORMAT;
    n = boxed.n - OBJ_TAG_LEN;
    if (n > max)
        return -SM_ELIMIT;
    if (algorithm == OBJ_STORED) {
        r = sm_buf_reserve(ret, n);
        if (r < 0)
            return r;
        r = crypto_aead_open(c->aead, ck->b, nonce, aad, boxed, ret->p + ret->n);
        if (r == 0)
            ret->n += n;
        return r;
    }
    sm_buf_clear(&c->scratch);
    r = sm_buf_reserve(&c->scratch, n);
    if (r < 0)
        return r;
    r = crypto_aead_open(c->aead, ck->b, nonce, aad, boxed, c->scratch.p);
    if (r < 0)
        return r;
    return unzstd(c, SM_SPAN(c->scratch.p, n), max, ret);
}
