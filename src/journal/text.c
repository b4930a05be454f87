/* Folding of text and the keys of filters.  Both are part of the form on disk: a change needs a new version of the
 * block. */
#include "journal/internal.h"

#include <errno.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { TRI_BITS = 1 << 21, KEYS_MAX = 1 << 21, SLOTS_FIRST = 1 << 14 };
enum { TAG_TOKEN = 1, TAG_PAIR, TAG_TRIPLE, TAG_TRI, TAG_CHAR, TAG_CHARS, TAG_VALUE };

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 m = (unsigned __int128)a * b;

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Fewer than eight bytes as one little-endian number. */
static uint64_t tail(const uint8_t *p, size_t n)
{
    uint32_t low, high;

    if (n >= 4) {
        memcpy(&low, p, 4);
        memcpy(&high, p + n - 4, 4);
        return low | (uint64_t)high << 8 * (n - 4);
    }
    return n ? p[0] | (uint64_t)p[n / 2] << 8 * (n / 2) | (uint64_t)p[n - 1] << 8 * (n - 1) : 0;
}

uint64_t ev_hash(const void *bytes, size_t n, uint64_t seed)
{
    const uint8_t *p = bytes;
    uint64_t h = seed ^ (n * 0x9e3779b97f4a7c15ULL), w;

    while (n >= 8) {
        memcpy(&w, p, 8);
        h = mix(h ^ w ^ 0xa0761d6478bd642fULL, 0xe7037ed1a0b428dbULL);
        p += 8;
        n -= 8;
    }
    w = tail(p, n);
    h = mix(h ^ w ^ 0x8ebc6af09c88c6e3ULL, 0x589965cc75374cc3ULL);
    return mix(h, 0x1d8e4e27c47d124fULL ^ h);
}

/* ---- folding ---- */

bool ev_folds_wide(struct sm_span s)
{
    if (!s.n)
        return false;
    for (const uint8_t *p = s.p, *end = s.p + s.n; (p = memchr(p, 0xef, (size_t)(end - p))); p++)
        if (end - p >= 3 && (p[1] == 0xbc || p[1] == 0xbd))
            return true;
    for (const uint8_t *p = s.p, *end = s.p + s.n; (p = memchr(p, 0xe3, (size_t)(end - p))); p++)
        if (end - p >= 3 && p[1] == 0x80 && p[2] == 0x80)
            return true;
    return false;
}

/* The ASCII byte that the three at p are a full-width form of, 0 if none. */
static uint8_t narrow(const uint8_t *p)
{
    if (p[0] == 0xe3)
        return p[1] == 0x80 && p[2] == 0x80 ? ' ' : 0;
    if (p[0] != 0xef || (p[1] != 0xbc && p[1] != 0xbd))
        return 0;
    unsigned code = 0xf000u | (unsigned)(p[1] & 0x3f) << 6 | (p[2] & 0x3fu);
    return code >= 0xff01 && code <= 0xff5e ? (uint8_t)(code - 0xff01 + 0x21) : 0;
}

void ev_lower_all(const uint8_t *p, size_t n, uint8_t *to)
{
    size_t i = 0;

#ifdef __SSE2__
    const __m128i before = _mm_set1_epi8((char)('A' - 1 + 128)), shift = _mm_set1_epi8((char)128),
                  after = _mm_set1_epi8((char)('Z' + 1 + 128)), bit = _mm_set1_epi8(0x20);
    for (; i + 16 <= n; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i)), u = _mm_add_epi8(v, shift);
        __m128i is = _mm_and_si128(_mm_cmpgt_epi8(u, before), _mm_cmpgt_epi8(after, u));
        _mm_storeu_si128((__m128i *)(void *)(to + i), _mm_or_si128(v, _mm_and_si128(is, bit)));
    }
#endif
    for (; i < n; i++)
        to[i] = ev_lower(p[i]);
}

static bool is_ascii(struct sm_span s)
{
    uint64_t w, any = 0;
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        memcpy(&w, s.p + i, 8);
        any |= w;
    }
    any |= tail(s.p + i, s.n - i);
    return !(any & 0x8080808080808080ULL);
}

int ev_fold(struct sm_span s, struct sm_buf *ret)
{
    int r = sm_buf_reserve(ret, s.n);

    if (r < 0 || !s.n)
        return r;
    uint8_t *to = ret->p + ret->n;
    if (is_ascii(s) || !ev_folds_wide(s)) {
        ev_lower_all(s.p, s.n, to);
        ret->n += s.n;
        return 0;
    }
    for (size_t i = 0; i < s.n;) {
        uint8_t c = s.n - i >= 3 ? narrow(s.p + i) : 0;
        *to++ = ev_lower(c ? c : s.p[i]);
        i += c ? 3 : 1;
    }
    ret->n = (size_t)(to - ret->p);
    return 0;
}

/* ---- keys ---- */

static bool joins(uint8_t c)
{
    return c == '.' || c == ':' || c == '-' || c == '_' || c == '/' || c == '\\' || c == '@';
}

static bool is_number_like(const uint8_t *p, size_t n)
{
    bool hex = true;

    if ((uint8_t)(p[0] - '0') < 10)
        return true;
    for (size_t i = 0; i < n && hex; i++)
        hex = (uint8_t)(p[i] - '0') < 10 || (uint8_t)(p[i] - 'a') < 6;
    return hex;
}

struct token { size_t at, end; bool whole; };

static void token_keys(const uint8_t *p, const struct token t[3], unsigned known, const struct ev_keys *k)
{
    if (!t[0].whole)
        return;
    k->put(k->arg, ev_hash(p + t[0].at, t[0].end - t[0].at, TAG_TOKEN));
    if (known < 2 || !t[1].whole || t[0].at != t[1].end + 1 || !joins(p[t[1].end]))
        return;
    k->put(k->arg, ev_hash(p + t[1].at, t[0].end - t[1].at, TAG_PAIR));
    if (known < 3 || !t[2].whole || t[1].at != t[2].end + 1 || !joins(p[t[2].end]))
        return;
    for (unsigned i = 0; i < 3; i++)
        if (!is_number_like(p + t[i].at, t[i].end - t[i].at))
            return;
    k->put(k->arg, ev_hash(p + t[2].at, t[0].end - t[2].at, TAG_TRIPLE));
}

/* Which of the n ≤ 16 bytes at p are of words. */
static unsigned word_bits(const uint8_t *p, size_t n)
{
    unsigned bits = 0;

#ifdef __SSE2__
    if (n == 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p), small = _mm_or_si128(v, _mm_set1_epi8(0x20));
        __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(small, _mm_set1_epi8('a' - 1)),
            _mm_cmpgt_epi8(_mm_set1_epi8('z' + 1), small));
        __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8('0' - 1)),
            _mm_cmpgt_epi8(_mm_set1_epi8('9' + 1), v));
        return (unsigned)_mm_movemask_epi8(_mm_or_si128(letter, digit));
    }
#endif
    for (size_t i = 0; i < n; i++)
        bits |= (unsigned)ev_is_word(p[i]) << i;
    return bits;
}

struct walk { struct token t[3]; unsigned known; };

static void token_end(struct walk *w, struct sm_span s, size_t end, const struct ev_keys *k)
{
    w->t[0].end = end;
    w->t[0].whole = !(k->open_left && !w->t[0].at) && !(k->open_right && end == s.n);
    w->known++;
    token_keys(s.p, w->t, w->known, k);
}

static void tokens(struct sm_span s, const struct ev_keys *k)
{
    struct walk w = { 0 };
    unsigned before = 0; /* 1: the byte before is of a word */

    for (size_t i = 0; i < s.n; i += 16) {
        unsigned bits = word_bits(s.p + i, s.n - i < 16 ? s.n - i : 16), in = before;
        unsigned edges = (bits ^ (bits << 1 | before)) & 0xffff;
        before = bits >> 15 & 1;
        for (; edges; edges &= edges - 1) {
            size_t at = i + (unsigned)__builtin_ctz(edges);
            in = !in;
            if (!in) {
                token_end(&w, s, at, k);
                continue;
            }
            w.t[2] = w.t[1];
            w.t[1] = w.t[0];
            w.t[0].at = at;
        }
        if (in && i + 16 >= s.n) /* to the end; where it ends at a full sixteen there is no edge behind it */
            token_end(&w, s, s.n, k);
    }
}

static size_t char_len(const uint8_t *p, size_t n)
{
    size_t len = 1;

    while (len < n && len < 4 && (p[len] & 0xc0) == 0x80)
        len++;
    return len;
}

/* Characters beyond ASCII, alone and with their neighbours. */
static void wide(struct sm_span s, const struct ev_keys *k)
{
    size_t before = 0; /* length of the character before i */

    for (size_t i = 0; i < s.n;) {
        if (s.p[i] < 0x80 && (i + 1 >= s.n || s.p[i + 1] < 0x80)) {
            before = 1;
            i++;
            continue;
        }
        size_t len = s.p[i] < 0x80 ? 1 : char_len(s.p + i, s.n - i);
        if (s.p[i] >= 0x80)
            k->put(k->arg, ev_hash(s.p + i, len, TAG_CHAR));
        if (before && (s.p[i] >= 0x80 || s.p[i - before] >= 0x80))
            k->put(k->arg, ev_hash(s.p + i - before, before + len, TAG_CHARS));
        before = len;
        i += len;
        if (i < s.n && s.p[i] < 0x80) {
            k->put(k->arg, ev_hash(s.p + i - before, before + 1, TAG_CHARS));
            before = 1;
            i++;
        }
    }
}

static uint64_t tri_key(const uint8_t *p)
{
    return ev_hash(p, 3, TAG_TRI);
}

void ev_keys_of(struct sm_span s, const struct ev_keys *k)
{
    tokens(s, k);
    for (size_t i = 0; k->trigrams && i + 3 <= s.n; i++)
        if (!((s.p[i] | s.p[i + 1] | s.p[i + 2]) & 0x80))
            k->put(k->arg, tri_key(s.p + i));
    if (!is_ascii(s))
        wide(s, k);
}

uint64_t ev_key_value(struct sm_span name, struct sm_span folded)
{
    uint8_t lower[EVENT_NAME_MAX];
    size_t n = name.n < sizeof lower ? name.n : sizeof lower;

    for (size_t i = 0; i < n; i++)
        lower[i] = ev_lower(name.p[i]);
    return ev_hash(folded.p, folded.n, ev_hash(lower, n, TAG_VALUE));
}

/* ---- sets of keys ---- */

int ev_keyset_init(struct ev_keyset *s)
{
    *s = (struct ev_keyset){ .cap = SLOTS_FIRST };
    s->slot = calloc(s->cap, sizeof *s->slot);
    s->tri = calloc(1, TRI_BITS / 8);
    if (s->slot && s->tri)
        return 0;
    ev_keyset_wipe(s);
    return -ENOMEM;
}

void ev_keyset_wipe(struct ev_keyset *s)
{
    free(s->slot);
    free(s->tri);
    *s = (struct ev_keyset){ 0 };
}

void ev_keyset_clear(struct ev_keyset *s)
{
    if (s->cap > 1 << 18) { /* do not keep the memory of one large block for ever */
        uint64_t *small = calloc(SLOTS_FIRST, sizeof *small);
        if (small) {
            free(s->slot);
            s->slot = small;
            s->cap = SLOTS_FIRST;
        }
    }
    memset(s->slot, 0, s->cap * sizeof *s->slot);
    memset(s->tri, 0, TRI_BITS / 8);
    s->n = s->waiting = 0;
    s->full = false;
}

static void grow(struct ev_keyset *s)
{
    uint64_t *more = s->n < KEYS_MAX ? calloc(2 * s->cap, sizeof *more) : NULL;

    if (!more) { /* the filter then gives no answer, and the block is read: slower, never wrong */
        s->full = true;
        return;
    }
    for (size_t i = 0; i < s->cap; i++) {
        if (!s->slot[i])
            continue;
        size_t at = s->slot[i] & (2 * s->cap - 1);
        while (more[at])
            at = (at + 1) & (2 * s->cap - 1);
        more[at] = s->slot[i];
    }
    free(s->slot);
    s->slot = more;
    s->cap *= 2;
}

static void settle(struct ev_keyset *s)
{
    for (size_t i = 0; i < s->waiting && !s->full; i++) {
        uint64_t key = s->wait[i];
        size_t at = key & (s->cap - 1);
        while (s->slot[at] && s->slot[at] != key)
            at = (at + 1) & (s->cap - 1);
        if (s->slot[at])
            continue;
        s->slot[at] = key;
        if (++s->n > s->cap / 2)
            grow(s);
    }
    s->waiting = 0;
}

/* The table is far larger than the caches: slots are asked for early and looked at late. */
void ev_keyset_put(struct ev_keyset *s, uint64_t key)
{
    key += !key; /* 0 marks a free slot */
    __builtin_prefetch(&s->slot[key & (s->cap - 1)], 1);
    s->wait[s->waiting++] = key;
    if (s->waiting == EV_KEYS_WAIT)
        settle(s);
}

static void put_key(void *arg, uint64_t key)
{
    ev_keyset_put(arg, key);
}

void ev_keyset_folded(struct ev_keyset *s, struct sm_span f)
{
    const struct ev_keys k = { .put = put_key, .arg = s };

    ev_keys_of(f, &k);
    if (f.n < 3)
        return;
    /* Trigrams have a table of their own: there are many, and few different ones. */
    uint32_t w = (uint32_t)f.p[0] << 8 | f.p[1];
    for (size_t i = 2; i < f.n; i++) {
        w = w << 8 | f.p[i];
        if (w & 0x808080)
            continue;
        uint32_t bit = (w & 0x7f) | (w >> 1 & 0x3f80) | (w >> 2 & 0x1fc000);
        s->tri[bit >> 3] |= (uint8_t)(1u << (bit & 7));
    }
}

int ev_keyset_text(struct ev_keyset *s, struct sm_span text, struct sm_buf *scratch)
{
    sm_buf_clear(scratch);
    int r = ev_fold(text, scratch);
    if (r >= 0)
        ev_keyset_folded(s, sm_buf_span(scratch));
    return r;
}

static size_t tri_count(const struct ev_keyset *s)
{
    size_t n = 0;
    uint64_t w;

    for (size_t i = 0; i < TRI_BITS / 8; i += 8) {
        memcpy(&w, s->tri + i, 8);
        n += (size_t)__builtin_popcountll(w);
    }
    return n;
}

static void set_bits(uint8_t *filter, uint64_t bytes, uint64_t key)
{
    uint64_t bit[3];

    key += !key;
    ev_filter_bits(key, bytes, bit);
    for (unsigned i = 0; i < 3; i++)
        filter[bit[i] >> 3] |= (uint8_t)(1u << (bit[i] & 7));
}

int ev_keyset_filter(struct ev_keyset *s, struct sm_buf *ret)
{
    settle(s);
    size_t keys = s->n + tri_count(s), bytes = 64;

    while (bytes < keys && bytes < EV_FILTER_MAX)
        bytes *= 2;
    if (s->full || bytes < keys / 2)
        return 0;
    int r = sm_buf_reserve(ret, bytes);
    if (r < 0)
        return r;
    uint8_t *filter = ret->p + ret->n;
    memset(filter, 0, bytes);
    for (size_t i = 0; i < s->cap; i++)
        if (s->slot[i])
            set_bits(filter, bytes, s->slot[i]);
    for (uint32_t i = 0; i < TRI_BITS; i++) {
        if (!(i & 7) && !s->tri[i >> 3]) {
            i += 7;
            continue;
        }
        if (!(s->tri[i >> 3] >> (i & 7) & 1))
            continue;
        const uint8_t t[3] = { (uint8_t)(i >> 14), (uint8_t)(i >> 7 & 0x7f), (uint8_t)(i & 0x7f) };
        set_bits(filter, bytes, tri_key(t));
    }
    ret->n += bytes;
    return 0;
}
