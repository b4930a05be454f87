/* Inside src/normalise: a cursor over a text, and small questions about spans.  Nothing here reads past the end. */
#ifndef SM_NORMALISE_SCAN_H
#define SM_NORMALISE_SCAN_H

#include <string.h>
#include "core/buf.h"
#include "core/find.h"

struct scan { const uint8_t *p, *end; };

static const uint8_t scan_nothing[1];

static inline struct scan scan_of(struct sm_span s)
{
    return s.p ? (struct scan){ s.p, s.p + s.n } : (struct scan){ scan_nothing, scan_nothing };
}

static inline struct sm_span scan_rest(const struct scan *s)
{
    return SM_SPAN(s->p, (size_t)(s->end - s->p));
}

static inline size_t scan_left(const struct scan *s)
{
    return (size_t)(s->end - s->p);
}

static inline int scan_peek(const struct scan *s)
{
    return s->p < s->end ? *s->p : -1;
}

static inline bool scan_c(struct scan *s, char c)
{
    if (s->p == s->end || *s->p != (uint8_t)c)
        return false;
    s->p++;
    return true;
}

static inline bool scan_lit_n(struct scan *s, const char *lit, size_t n)
{
    if (scan_left(s) < n || memcmp(s->p, lit, n))
        return false;
    s->p += n;
    return true;
}
#define scan_lit(s, lit) scan_lit_n((s), (lit), sizeof(lit) - 1)

static inline void scan_blank(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
        s->p++;
}

/* Up to c, which is left; all that is left if there is none. */
static inline struct sm_span scan_until(struct scan *s, char c)
{
    const uint8_t *from = s->p;
    const uint8_t *q = s->p < s->end ? memchr(s->p, c, scan_left(s)) : NULL;

    s->p = q ? q : s->end;
    return SM_SPAN(from, (size_t)(s->p - from));
}

/* The same, and c is passed. */
static inline struct sm_span scan_past(struct scan *s, char c)
{
    struct sm_span r = scan_until(s, c);

    if (s->p < s->end)
        s->p++;
    return r;
}

/* A word: blanks before it passed, up to the next blank. */
static inline struct sm_span scan_word(struct scan *s)
{
    scan_blank(s);
    const uint8_t *from = s->p;
    while (s->p < s->end && *s->p != ' ' && *s->p != '\t')
        s->p++;
    return SM_SPAN(from, (size_t)(s->p - from));
}

static inline bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* A whole number of min .. max digits (max <= 19). */
static inline bool scan_uint(struct scan *s, int min, int max, uint64_t *ret)
{
    const uint8_t *q = s->p;
    uint64_t v = 0;

    while (q < s->end && q - s->p < max && is_digit(*q))
        v = v * 10 + (uint64_t)(*q++ - '0');
    if (q - s->p < min)
        return false;
    s->p = q;
    *ret = v;
    return true;
}

static inline bool span_is(struct sm_span s, const char *lit)
{
    size_t n = strlen(lit);

    return s.n == n && !memcmp(s.p, lit, n);
}

static inline bool span_starts(struct sm_span s, const char *lit)
{
    size_t n = strlen(lit);

    return s.n >= n && !memcmp(s.p, lit, n);
}

static inline const uint8_t *span_find(struct sm_span s, const char *lit)
{
    return s.p && s.n ? sm_find(s, lit, strlen(lit)) : NULL;
}

static inline bool span_has(struct sm_span s, const char *lit)
{
    return span_find(s, lit) != NULL;
}

static inline bool span_ends(struct sm_span s, const char *lit)
{
    size_t n = strlen(lit);

    return s.n >= n && !memcmp(s.p + s.n - n, lit, n);
}

static inline struct sm_span span_trim(struct sm_span s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* What follows the first lit in s; empty if it is not there. */
static inline struct sm_span span_after(struct sm_span s, const char *lit)
{
    const uint8_t *q = span_find(s, lit);

    if (!q)
        return SM_SPAN(s.p, 0);
    q += strlen(lit);
    return SM_SPAN(q, (size_t)(s.p + s.n - q));
}

/* The word that follows the first lit in s, ended by a blank or one of the bytes of stops. */
static inline struct sm_span span_word_after(struct sm_span s, const char *lit, const char *stops)
{
    struct sm_span r = span_after(s, lit);
    size_t n = 0;

    while (n < r.n && r.p[n] != ' ' && r.p[n] != '\t' && !(r.p[n] && strchr(stops, r.p[n])))
        n++;
    return SM_SPAN(r.p, n);
}

#endif
