#include "detect/sigma/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS_MAX = 64 << 10 };

void tokens_put(struct tokens *t, uint16_t v)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        uint16_t *more = cap > TOKENS_MAX ? NULL : realloc(t->t, cap * sizeof *more);
        if (!more) {
            t->err = cap > TOKENS_MAX ? -SM_ELIMIT : -ENOMEM;
            return;
        }
        t->t = more;
        t->cap = cap;
    }
    t->t[t->n++] = v;
}

void tokens_value(struct tokens *t, struct sm_span value)
{
    for (size_t i = 0; i < value.n; i++) {
        uint8_t c = value.p[i];
        if (c == '*') {
            tokens_put(t, TOKEN_STAR);
        } else if (c == '?') {
            tokens_put(t, TOKEN_ONE);
        } else {
            if (c == '\\' && i + 1 < value.n &&
                (value.p[i + 1] == '*' || value.p[i + 1] == '?' || value.p[i + 1] == '\\'))
                c = value.p[++i];
            tokens_put(t, c);
        }
    }
}

static bool all_bytes(const uint16_t *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (t[i] > 255)
            return false;
    return true;
}

static uint8_t *bytes_of(struct pool *pool, const uint16_t *t, size_t n, bool cased)
{
    uint8_t *raw = pool_get(pool, n + 1), *to = cased ? raw : pool_get(pool, n + 1);

    if (!raw || !to)
        return NULL;
    for (size_t i = 0; i < n; i++)
        raw[i] = (uint8_t)t[i];
    if (!cased)
        fold_text(to, raw, n);
    return to;
}

static int make_glob(struct pool *pool, const uint16_t *t, size_t n, bool cased, struct pattern *ret)
{
    uint16_t *to = pool_get(pool, (n + 1) * sizeof *to);
    size_t k = 0;

    if (!to)
        return -ENOMEM;
    for (size_t i = 0; i < n;) {
        size_t run = 0;
        while (i + run < n && t[i + run] < 256)
            run++;
        if (run) {
            uint8_t *b = bytes_of(pool, t + i, run, cased);
            if (!b)
                return -ENOMEM;
            for (size_t j = 0; j < run; j++)
                to[k++] = b[j];
            i += run;
        } else {
            if (t[i] != TOKEN_STAR || !k || to[k - 1] != TOKEN_STAR)
                to[k++] = t[i];
            i++;
        }
    }
    ret->kind = PATTERN_GLOB;
    ret->token = to;
    ret->n = (uint32_t)k;
    return 0;
}

int pattern_make(struct pool *pool, const struct tokens *in, bool cased, const char *source, struct pattern *ret)
{
    static const uint16_t nothing;
    const uint16_t *t = in->n ? in->t : &nothing;
    size_t n = in->n, lead = 0, trail = 0;
    struct pattern p = { .cased = cased, .source = source };

    if (in->err < 0)
        return in->err;
    while (lead < n && t[lead] == TOKEN_STAR)
        lead++;
    while (trail < n - lead && t[n - 1 - trail] == TOKEN_STAR)
        trail++;
    if (all_bytes(t + lead, n - lead - trail)) {
        p.n = (uint32_t)(n - lead - trail);
        p.kind = !p.n && lead    ? PATTERN_ANY
                 : lead && trail ? PATTERN_CONTAINS
                 : lead          ? PATTERN_SUFFIX
                 : trail         ? PATTERN_PREFIX
                                 : PATTERN_EXACT;
        p.text = bytes_of(pool, t + lead, p.n, cased);
        if (!p.text)
            return -ENOMEM;
    } else {
        int r = make_glob(pool, t, n, cased, &p);
        if (r < 0)
            return r;
    }
    *ret = p;
    return 0;
}

static size_t letter_n(uint8_t lead)
{
    return lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Bytes of v that one token takes; 0 when it does not fit. */
static size_t takes(uint16_t token, const uint8_t *v, size_t n)
{
    if (!n)
        return 0;
    if (token < 256)
        return v[0] == token;
    if (token == TOKEN_ONE) {
        size_t k = letter_n(v[0]);
        return k < n ? k : n;
    }
    if (v[0] == '-' || v[0] == '/')
        return 1;
    return n >= 3 && v[0] == 0xe2 && v[1] == 0x80 && v[2] >= 0x93 && v[2] <= 0x95 ? 3 : 0;
}

static bool glob(const uint16_t *t, size_t tn, const uint8_t *v, size_t n)
{
    size_t i = 0, k = 0, star = SIZE_MAX, mark = 0;

    for (;;) {
        if (i < tn && t[i] == TOKEN_STAR) {
            star = ++i;
            if (star == tn)
                return true;
            mark = k;
        } else if (i == tn && k == n) {
            return true;
        } else {
            size_t step = i < tn ? takes(t[i], v + k, n - k) : 0;
            if (step) {
                i++;
                k += step;
                continue;
            }
            if (star == SIZE_MAX || mark >= n)
                return false;
            mark++;
            if (t[star] < 256) { /* on to where the stretch after the star may begin */
                const uint8_t *next = mark < n ? memchr(v + mark, t[star], n - mark) : NULL;
                if (!next)
                    return false;
                mark = (size_t)(next - v);
            }
            i = star;
            k = mark;
        }
    }
}

bool pattern_match(const struct pattern *p, struct sm_span value, const uint8_t *folded)
{
    const uint8_t *v = !value.n ? (const uint8_t *)"" : p->cased ? value.p : folded;

    switch (p->kind) {
    case PATTERN_ANY:
        return true;
    case PATTERN_EXACT:
        return value.n == p->n && (!p->n || !memcmp(v, p->text, p->n));
    case PATTERN_PREFIX:
        return value.n >= p->n && !memcmp(v, p->text, p->n);
    case PATTERN_SUFFIX:
        return value.n >= p->n && !memcmp(v + value.n - p->n, p->text, p->n);
    case PATTERN_CONTAINS:
        return value.n >= p->n && memmem(v, value.n, p->text, p->n);
    default:
        return glob(p->token, p->n, v, value.n);
    }
}

int pattern_stretch(struct pool *pool, const struct pattern *p, struct stretch *ret)
{
    struct stretch s = { 0 };
    size_t best = 0, at = 0;

    if (p->kind == PATTERN_ANY) {
        *ret = s;
        return 0;
    }
    if (p->kind != PATTERN_GLOB) {
        s.n = p->n;
        s.start = p->kind == PATTERN_EXACT || p->kind == PATTERN_PREFIX;
        s.end = p->kind == PATTERN_EXACT || p->kind == PATTERN_SUFFIX;
    } else {
        for (size_t i = 0, run = 0; i < p->n; i++) {
            run = p->token[i] < 256 ? run + 1 : 0;
            if (run > best) {
                best = run;
                at = i + 1 - run;
            }
        }
        s.n = (uint32_t)best;
        s.start = at == 0;
        s.end = at + best == p->n;
    }
    uint8_t *raw = pool_get(pool, s.n + 1);
    s.p = pool_get(pool, s.n + 1);
    if (!raw || !s.p)
        return -ENOMEM;
    for (size_t i = 0; i < s.n; i++)
        raw[i] = p->kind == PATTERN_GLOB ? (uint8_t)p->token[at + i] : p->text[i];
    fold_text(s.p, raw, s.n);
    *ret = s;
    return 0;
}
