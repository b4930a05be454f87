#include "vault/seal/seal_internal.h"

#include <errno.h>

int seal_ctx_new(struct seal_ctx **ret)
{
    struct seal_ctx *c = calloc(1, sizeof *c);
    int r;
    if (!c)
        return -ENOMEM;
    c->scratch = SM_BUF_INIT(PAGE_BODY_MAX + OBJ_TAG_LEN);
    c->planes = SM_BUF_INIT(CHUNK_PLAIN_MAX);
    r = crypto_aead_new_quick(&c->aead);
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
    sm_buf_wipe(&c->planes);
    free(c);
}

/* What is left in the planes are runs and noise: nothing that a better search would find. */
#define PLANES_HOW ((struct seal_how){.level = 1})

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

bool seal_looks_paired(struct sm_span plain)
{
    /* Of neighbouring pairs that are not equal: in how many does one place stand still?  Pictures of 12 or 16 bits: nearly
     * all; text and records: few, and both places alike; noise: none.  Where most pairs repeat, zstd needs no help. */
    size_t run = SAMPLE / SAMPLE_RUNS, even = 0, odd = 0, both = 0;
    if (plain.n < 2 * SAMPLE)
        return false;
    for (size_t i = 0; i < SAMPLE_RUNS; i++) {
        /* at an even place, so that all runs speak of the same two planes */
        const uint8_t *p = plain.p + ((plain.n - run) / (SAMPLE_RUNS - 1) * i & ~(size_t)1);
        for (size_t j = 2; j + 1 < run; j += 2) {
            bool a = p[j] == p[j - 2], b = p[j + 1] == p[j - 1];
            even += a && !b;
            odd += b && !a;
            both += !a && !b;
        }
    }
    size_t differ = even + odd + both, still = even > odd ? even : odd;
    return differ >= SAMPLE / 8 && still >= differ / 4 * 3;
}

static void planes_split(struct sm_span plain, uint8_t *to)
{
    size_t half = plain.n / 2;
    uint8_t *a = to, *b = to + (plain.n - half);
    for (size_t i = 0; i < half; i++) {
        a[i] = plain.p[2 * i];
        b[i] = plain.p[2 * i + 1];
    }
    if (plain.n & 1)
        a[half] = plain.p[plain.n - 1];
}

static void planes_join(const uint8_t *planes, size_t n, uint8_t *to)
{
    size_t half = n / 2;
    const uint8_t *a = planes, *b = planes + (n - half);
    for (size_t i = 0; i < half; i++) {
        to[2 * i] = a[i];
        to[2 * i + 1] = b[i];
    }
    if (n & 1)
        to[n - 1] = a[half];
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

/* *ret_n 0: it does not pay. */
static int compress(struct seal_ctx *c, struct sm_span body, struct seal_how how, uint8_t *to, size_t *ret_n)
{
    size_t room = body.n - body.n / 32, z;
    int r = ready_cctx(c, how);
    if (r < 0)
        return r;
    /* Too little room is zstd's way of saying that it does not pay. */
    z = ZSTD_compress2(c->cctx, to, room, body.p, body.n);
    *ret_n = !ZSTD_isError(z) && z < body.n ? z : 0;
    return 0;
}

int seal_form(struct seal_ctx *c, struct sm_span body, struct seal_how how, uint8_t *to, size_t *ret_n,
    uint8_t *ret_algorithm)
{
    bool planes = how.level != 0 && how.planes && seal_looks_paired(body);
    size_t n = 0;
    int r = 0;
    if (planes) {
        sm_buf_clear(&c->planes);
        r = sm_buf_reserve(&c->planes, body.n);
        if (r < 0)
            return r;
        planes_split(body, c->planes.p);
        r = compress(c, SM_SPAN(c->planes.p, body.n), PLANES_HOW, to, &n);
    } else if (how.level != 0 && body.n >= 64 && !(how.probe && seal_looks_random(body))) {
        r = compress(c, body, how, to, &n);
    }
    if (r < 0)
        return r;
    if (n) {
        *ret_n = n;
        *ret_algorithm = planes ? OBJ_PLANES : OBJ_ZSTD;
        return 0;
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
    if (algorithm != OBJ_PLANES)
        return unzstd(c, SM_SPAN(c->scratch.p, n), max, ret);
    sm_buf_clear(&c->planes);
    r = unzstd(c, SM_SPAN(c->scratch.p, n), max, &c->planes);
    if (r == 0)
        r = sm_buf_reserve(ret, c->planes.n);
    if (r < 0)
        return r;
    planes_join(c->planes.p, c->planes.n, ret->p + ret->n);
    ret->n += c->planes.n;
    return 0;
}
