#include "vault/scan/rules.h"
#include <errno.h>

/* A pattern becomes a row of tokens, walked as a set of states: linear in the path for every pattern, where the usual
 * back-tracking is exponential for some. */
enum token_kind { T_BYTE, T_ANY, T_CLASS, T_STAR, T_DEEP, T_MAYBE, T_TO_SLASH };
struct token { uint8_t kind, byte; uint16_t class_at; };
#define TOKENS_MAX (2 * SCAN_PATTERN_BYTES)
#define WORDS (TOKENS_MAX / 64 + 1)

enum anchor { ON_NAME, ON_ABSOLUTE, ON_RELATIVE };
struct pattern {
    enum anchor anchor;
    bool dir_only;
    size_t tokens_n;
    struct token *token;
    uint8_t (*class)[32];
    size_t classes_n;
};
struct scan_rules { struct pattern *p; size_t include_n, n; };

static void pattern_wipe(struct pattern *p)
{
    free(p->token);
    free(p->class);
}

void scan_rules_free(struct scan_rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        pattern_wipe(&r->p[i]);
    free(r->p);
    free(r);
}

/* Read "[...]" at s; returns the bytes used or -SM_EINVAL. */
static int class_read(const char *s, uint8_t set[32])
{
    size_t i = 1;
    bool invert = s[i] == '!' || s[i] == '^', first = true;
    memset(set, 0, 32);
    i += invert;
    for (; s[i] && (s[i] != ']' || first); first = false) {
        if (s[i] == '\\' && s[i + 1])
            i++;
        uint8_t lo = (uint8_t)s[i++], hi = lo;
        if (s[i] == '-' && s[i + 1] && s[i + 1] != ']') {
            hi = (uint8_t)s[i + 1];
            i += 2;
        }
        for (unsigned c = lo; c <= hi; c++)
            set[c >> 3] |= (uint8_t)(1u << (c & 7));
    }
    if (s[i] != ']')
        return -SM_EINVAL;
    for (size_t k = 0; invert && k < 32; k++)
        set[k] = (uint8_t)~set[k];
    set['/' >> 3] &= (uint8_t)~(1u << ('/' & 7));
    return (int)(i + 1);
}

static void token_put(struct pattern *p, uint8_t kind, uint8_t byte)
{
    p->token[p->tokens_n++] = (struct token){ .kind = kind, .byte = byte };
}

/* "**" at s[i]: returns how many bytes it took. */
static size_t deep_read(struct pattern *p, const char *s, size_t i, size_t n)
{
    bool begins = i == 0 || s[i - 1] == '/';
    if (begins && i + 2 < n && s[i + 2] == '/') {
        token_put(p, T_MAYBE, 0);
        token_put(p, T_TO_SLASH, 0);
        return 3;
    }
    token_put(p, T_DEEP, 0);
    return 2;
}

static int tokens_read(struct pattern *p, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        if (s[i] == '*' && i + 1 < n && s[i + 1] == '*') {
            i += deep_read(p, s, i, n);
        } else if (s[i] == '[') {
            int used = class_read(s + i, p->class[p->classes_n]);
            if (used < 0 || i + (size_t)used > n)
                return -SM_EINVAL;
            token_put(p, T_CLASS, 0);
            p->token[p->tokens_n - 1].class_at = (uint16_t)p->classes_n++;
            i += (size_t)used;
        } else {
            bool quoted = s[i] == '\\' && i + 1 < n;
            i += quoted;
            uint8_t kind = quoted ? T_BYTE : s[i] == '*' ? T_STAR : s[i] == '?' ? T_ANY : T_BYTE;
            token_put(p, kind, (uint8_t)s[i++]);
        }
    }
    return 0;
}

static int pattern_read(const char *s, struct pattern *ret)
{
    size_t n = strlen(s), brackets = 0;
    if (n > SCAN_PATTERN_BYTES)
        return -SM_ELIMIT;
    ret->dir_only = n > 0 && s[n - 1] == '/';
    n -= ret->dir_only;
    if (n == 0)
        return -SM_EINVAL;
    for (size_t i = 0; i < n; i++)
        brackets += s[i] == '[';
    ret->anchor = s[0] == '/' ? ON_ABSOLUTE : memchr(s, '/', n) ? ON_RELATIVE : ON_NAME;
    ret->token = calloc(n + 1, 2 * sizeof *ret->token);
    ret->class = calloc(brackets + 1, sizeof *ret->class);
    if (!ret->token || !ret->class)
        return -ENOMEM;
    return tokens_read(ret, s, n);
}

int scan_rules_new(const char *const *include, size_t include_n, const char *const *exclude, size_t exclude_n,
    struct scan_rules **ret, const char **ret_bad)
{
    if (include_n > SCAN_PATTERNS_MAX || exclude_n > SCAN_PATTERNS_MAX - include_n)
        return -SM_ELIMIT;
    struct scan_rules *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->p = calloc(include_n + exclude_n + 1, sizeof *r->p);
    if (!r->p) {
        free(r);
        return -ENOMEM;
    }
    r->include_n = include_n;
    for (; r->n < include_n + exclude_n; r->n++) {
        const char *s = r->n < include_n ? include[r->n] : exclude[r->n - include_n];
        int e = pattern_read(s, &r->p[r->n]);
        if (e < 0) {
            if (ret_bad)
                *ret_bad = s;
            pattern_wipe(&r->p[r->n]);
            scan_rules_free(r);
            return e;
        }
    }
    *ret = r;
    return 0;
}

struct states { uint64_t w[WORDS]; };
static bool has(const struct states *s, size_t i) { return s->w[i >> 6] >> (i & 63) & 1; }

/* Enter state i, and those that follow without a byte. */
static void enter(const struct pattern *p, struct states *s, size_t i)
{
    for (;; i++) {
        s->w[i >> 6] |= (uint64_t)1 << (i & 63);
        if (i >= p->tokens_n)
            return;
        uint8_t kind = p->token[i].kind;
        if (kind == T_MAYBE) {           /* the loop behind it, or past it */
            s->w[(i + 1) >> 6] |= (uint64_t)1 << ((i + 1) & 63);
            i++;
        } else if (kind != T_STAR && kind != T_DEEP) {
            return;
        }
    }
}

static void step(const struct pattern *p, size_t i, uint8_t c, struct states *next)
{
    const struct token *t = &p->token[i];
    switch (t->kind) {
    case T_BYTE:
        if (c == t->byte)
            enter(p, next, i + 1);
        return;
    case T_ANY:
        if (c != '/')
            enter(p, next, i + 1);
        return;
    case T_CLASS:
        if (p->class[t->class_at][c >> 3] >> (c & 7) & 1)
            enter(p, next, i + 1);
        return;
    case T_STAR:
        if (c != '/')
            enter(p, next, i);
        return;
    case T_DEEP:
        enter(p, next, i);
        return;
    case T_TO_SLASH:
        next->w[i >> 6] |= (uint64_t)1 << (i & 63);
        if (c == '/')
            enter(p, next, i + 1);
        return;
    default:
        return;
    }
}

static bool tokens_match(const struct pattern *p, struct sm_span s)
{
    size_t words = p->tokens_n / 64 + 1;
    struct states now, next;
    memset(&now, 0, words * 8);
    enter(p, &now, 0);
    for (size_t k = 0; k < s.n; k++) {
        bool any = false;
        memset(&next, 0, words * 8);
        for (size_t i = 0; i < p->tokens_n; i++)
            if (has(&now, i))
                step(p, i, s.p[k], &next);
        for (size_t w = 0; w < words; w++)
            any |= next.w[w] != 0;
        if (!any)
            return false;
        memcpy(&now, &next, words * 8);
    }
    return has(&now, p->tokens_n);
}

static bool pattern_match(const struct pattern *p, const struct scan_subject *s)
{
    if (p->dir_only && !s->dir)
        return false;
    if (p->anchor == ON_NAME)
        return tokens_match(p, SM_SPAN(s->path.p + s->path.n - s->name_n, s->name_n));
    if (p->anchor == ON_ABSOLUTE)
        return tokens_match(p, s->path);
    size_t skip = s->root_n;
    while (skip < s->path.n && s->path.p[skip] == '/')
        skip++;
    return skip < s->path.n && tokens_match(p, SM_SPAN(s->path.p + skip, s->path.n - skip));
}

bool scan_rules_excludes(const struct scan_rules *r, const struct scan_subject *s)
{
    for (size_t i = r ? r->include_n : 0; r && i < r->n; i++)
        if (pattern_match(&r->p[i], s))
            return true;
    return false;
}

bool scan_rules_includes(const struct scan_rules *r, const struct scan_subject *s)
{
    if (!scan_rules_selective(r))
        return true;
    for (size_t i = 0; i < r->include_n; i++)
        if (pattern_match(&r->p[i], s))
            return true;
    return false;
}

bool scan_rules_selective(const struct scan_rules *r)
{
    return r && r->include_n > 0;
}
