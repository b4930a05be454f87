/*
 * SHA-256 of two messages side by side.  A processor's SHA instructions wait for each other within one message; two
 * messages in turn take hardly longer than one.  Only the compression of whole blocks is written here (FIPS 180-4 by
 * those instructions); where the processor lacks them both messages go to the library one after the other.
 */
#include <stdlib.h>

#include "crypto/hash.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define BLOCK 64u
#define WITH_SHA __attribute__((target("sha,sse4.1")))

static const uint32_t round_key[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* The eight words of the state as the instructions want them. */
struct state { __m128i abef, cdgh; };

/* One message on its way: parts, what stands between whole blocks, and the padding at its end. */
struct lane {
    struct state s;
    const struct sm_span *part;
    size_t parts, at;             /* at: of the first part */
    uint64_t length;              /* of the message so far */
    uint8_t edge[2 * BLOCK];      /* a block over the border of parts; at the end the last one or two */
    bool padded;
};

static WITH_SHA inline __attribute__((always_inline)) void load(const uint8_t *p, __m128i w[4])
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    for (unsigned i = 0; i < 4; i++)
        w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), swap);
}

/* Four rounds, and the words of the message that are due four steps later. */
static WITH_SHA inline __attribute__((always_inline)) void step(struct state *s, __m128i w[4], unsigned i)
{
    __m128i k = _mm_add_epi32(w[i & 3], _mm_load_si128((const __m128i *)(const void *)&round_key[4 * i]));
    s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, k);
    s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(k, 0x0e));
    if (i < 12) {
        __m128i t = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
        t = _mm_add_epi32(t, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
        w[i & 3] = _mm_sha256msg2_epu32(t, w[(i + 3) & 3]);
    }
}

static WITH_SHA inline __attribute__((always_inline)) struct state sum(struct state a, struct state b)
{
    return (struct state){_mm_add_epi32(a.abef, b.abef), _mm_add_epi32(a.cdgh, b.cdgh)};
}

static WITH_SHA void blocks_one(struct state *s, const uint8_t *p, size_t n)
{
    struct state x = *s;
    for (; n; n--, p += BLOCK) {
        struct state before = x;
        __m128i w[4];
        load(p, w);
#pragma GCC unroll 16
        for (unsigned i = 0; i < 16; i++)
            step(&x, w, i);
        x = sum(x, before);
    }
    *s = x;
}

static WITH_SHA void blocks_two(struct state *s, struct state *t, const uint8_t *p, const uint8_t *q, size_t n)
{
    struct state x = *s, y = *t;
    for (; n; n--, p += BLOCK, q += BLOCK) {
        struct state x0 = x, y0 = y;
        __m128i v[4], w[4];
        load(p, v);
        load(q, w);
#pragma GCC unroll 16
        for (unsigned i = 0; i < 16; i++) {
            step(&x, v, i);
            step(&y, w, i);
        }
        x = sum(x, x0);
        y = sum(y, y0);
    }
    *s = x;
    *t = y;
}

static WITH_SHA void lane_begin(struct lane *l, const struct sm_span *parts, size_t n)
{
    *l = (struct lane){.part = parts, .parts = n};
    l->s.abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
    l->s.cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
}

/* What is left of the message, at most n bytes of it. */
static size_t gather(struct lane *l, uint8_t *to, size_t n)
{
    size_t got = 0;
    while (got < n && l->parts) {
        size_t left = l->part->n - l->at, k = left < n - got ? left : n - got;
        if (k)
            memcpy(to + got, l->part->p + l->at, k);
        got += k;
        l->at += k;
        if (l->at == l->part->n) {
            l->part++;
            l->parts--;
            l->at = 0;
        }
    }
    l->length += got;
    return got;
}

/* The next whole blocks of the message that lie together, padding included; 0 after the last. */
static size_t next_blocks(struct lane *l, const uint8_t **ret)
{
    if (l->padded)
        return 0;
    size_t n = l->parts ? (l->part->n - l->at) / BLOCK : 0;
    if (n) {
        *ret = l->part->p + l->at;
        l->at += n * BLOCK;
        l->length += n * BLOCK;
        return n;
    }
    *ret = l->edge;
    size_t got = gather(l, l->edge, BLOCK);
    if (got == BLOCK)
        return 1;
    l->padded = true;
    size_t whole = got < BLOCK - 8 ? BLOCK : 2 * BLOCK;
    memset(l->edge + got, 0, whole - got);
    l->edge[got] = 0x80;
    for (unsigned i = 0; i < 8; i++)
        l->edge[whole - 1 - i] = (uint8_t)(l->length * 8 >> 8 * i);
    return whole / BLOCK;
}

static WITH_SHA void lane_end(struct lane *l, uint8_t ret[CRYPTO_SHA256_LEN])
{
    uint32_t w[8];
    _mm_storeu_si128((__m128i *)(void *)w, l->s.abef);
    _mm_storeu_si128((__m128i *)(void *)(w + 4), l->s.cdgh);
    const uint32_t h[8] = {w[3], w[2], w[7], w[6], w[1], w[0], w[5], w[4]};
    for (unsigned i = 0; i < 32; i++)
        ret[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    sm_zero(l, sizeof *l);
    sm_zero(w, sizeof w);
}

static void both(struct lane *a, struct lane *b)
{
    const uint8_t *p = NULL, *q = NULL;
    size_t n = 0, m = 0;
    for (;;) {
        n = n ? n : next_blocks(a, &p);
        m = m ? m : next_blocks(b, &q);
        size_t k = n < m ? n : m;
        if (k) {
            blocks_two(&a->s, &b->s, p, q, k);
        } else if (n || m) {
            k = n + m; /* one of them has ended */
            blocks_one(n ? &a->s : &b->s, n ? p : q, k);
        } else {
            return;
        }
        if (n) {
            n -= k;
            p += k * BLOCK;
        }
        if (m) {
            m -= k;
            q += k * BLOCK;
        }
    }
}

static bool has_sha(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) && (c & bit_SSSE3) &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

static bool pair_here(const struct sm_span *const parts[2], size_t n, uint8_t *const ret[2])
{
    static _Atomic int known; /* 1 yes, 2 no */
    if (!known)
        known = has_sha() ? 1 : 2;
    if (known == 2)
        return false;
    struct lane a, b;
    lane_begin(&a, parts[0], n);
    lane_begin(&b, parts[1], n);
    both(&a, &b);
    lane_end(&a, ret[0]);
    lane_end(&b, ret[1]);
    return true;
}

#else

static bool pair_here(const struct sm_span *const parts[2], size_t n, uint8_t *const ret[2])
{
    (void)parts;
    (void)n;
    (void)ret;
    return false;
}

#endif

/* parts[i] may begin with the pad of an HMAC. */
static void pair(const struct sm_span *const parts[2], size_t n, uint8_t *const ret[2])
{
    if (pair_here(parts, n, ret))
        return;
    for (unsigned i = 0; i < 2; i++)
        crypto_sha256v(parts[i], n, ret[i]);
}

void crypto_sha256_pair(
    struct sm_span a, struct sm_span b, uint8_t ret_a[CRYPTO_SHA256_LEN], uint8_t ret_b[CRYPTO_SHA256_LEN])
{
    pair((const struct sm_span *const[]){&a, &b}, 1, (uint8_t *const[]){ret_a, ret_b});
}

void crypto_hmac_pair(const struct crypto_hmac_key *const k[2], const struct sm_span *const parts[2], size_t n,
    uint8_t *const ret[2])
{
    struct sm_span in[2][CRYPTO_PARTS_MAX], out[2][2];
    uint8_t inner[2][CRYPTO_SHA256_LEN];
    if (n + 1 > CRYPTO_PARTS_MAX)
        abort();
    for (unsigned i = 0; i < 2; i++) {
        in[i][0] = SM_SPAN(k[i]->ipad, sizeof k[i]->ipad);
        memcpy(&in[i][1], parts[i], n * sizeof in[i][1]);
        out[i][0] = SM_SPAN(k[i]->opad, sizeof k[i]->opad);
        out[i][1] = SM_SPAN(inner[i], sizeof inner[i]);
    }
    pair((const struct sm_span *const[]){in[0], in[1]}, n + 1, (uint8_t *const[]){inner[0], inner[1]});
    pair((const struct sm_span *const[]){out[0], out[1]}, 2, ret);
    sm_zero(inner, sizeof inner);
}
