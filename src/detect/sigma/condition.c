#include "detect/sigma/internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { CONDITION_MAX = 16 << 10 };

struct parse {
    struct reader *r;
    const struct named *named;
    size_t n;
    const char *p;
    unsigned line, depth;
    char word[160]; /* the token at hand; "" at the end */
};

static void next(struct parse *s)
{
    size_t n = 0;

    s->p += strspn(s->p, " \t\r\n");
    if (*s->p == '(' || *s->p == ')') {
        s->word[n++] = *s->p++;
    } else {
        size_t len = strcspn(s->p, " \t\r\n()");
        if (len >= sizeof s->word) {
            sigma_fail(s->r, s->line, "a word of the condition is too long");
            len = 0;
        }
        memcpy(s->word, s->p, len);
        n = len;
        s->p += len;
    }
    s->word[n] = 0;
}

static bool is(const struct parse *s, const char *word)
{
    return !strcasecmp(s->word, word);
}

static bool like(const char *pattern, const char *name)
{
    const char *star = NULL, *mark = NULL;

    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            mark = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++mark;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* `1 of` and `all of` have been read. */
static struct expr *of(struct parse *s, bool all)
{
    struct expr *x = expr_new(s->r, all ? OP_AND : OP_OR, s->n);
    bool them = is(s, "them");

    for (size_t i = 0; i < s->n && x; i++)
        if (them ? s->named[i].name[0] != '_' : like(s->word, s->named[i].name))
            x->kid[x->n++] = s->named[i].expr;
    if (x && !x->n)
        sigma_fail(s->r, s->line, "the condition speaks of \"%.100s\", which names no search identifier", s->word);
    char label[200];
    snprintf(label, sizeof label, "%s of %.150s", all ? "all" : "1", s->word);
    if (x && s->r->err >= 0) {
        x->label = pool_text(s->r->pool, label, strlen(label));
        next(s);
    }
    return s->r->err < 0 ? NULL : x;
}

static struct expr *either(struct parse *s);

static struct expr *single(struct parse *s)
{
    bool one = is(s, "1") || is(s, "any"), all = is(s, "all");

    if (one || all) {
        const char *before = s->p;
        char word[sizeof s->word];
        memcpy(word, s->word, sizeof word);
        next(s);
        if (is(s, "of")) {
            next(s);
            return of(s, all);
        }
        s->p = before; /* a search identifier may have that name */
        memcpy(s->word, word, sizeof word);
    }
    if (is(s, "(")) {
        if (++s->depth > SIGMA_DEPTH_MAX)
            sigma_fail(s->r, s->line, "brackets nested too deeply");
        next(s);
        struct expr *x = s->r->err < 0 ? NULL : either(s);
        if (x && !is(s, ")"))
            sigma_fail(s->r, s->line, "a bracket of the condition is not closed");
        s->depth--;
        next(s);
        return s->r->err < 0 ? NULL : x;
    }
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->named[i].name, s->word)) {
            next(s);
            return s->named[i].expr;
        }
    if (strpbrk(s->word, "|<>=") || !strcmp(s->word, "near"))
        sigma_fail(s->r, s->line,
            "\"%.60s\": counting in a condition is the old form; correlation rules took its place", s->word);
    else
        sigma_fail(s->r, s->line,
            s->word[0] ? "the condition speaks of \"%.100s\", which is no search identifier"
                       : "the condition ends too early%.0s",
            s->word);
    return NULL;
}

static struct expr *negation(struct parse *s)
{
    bool negative = false;

    while (is(s, "not")) {
        negative = !negative;
        next(s);
    }
    struct expr *x = single(s);
    if (!x || !negative)
        return x;
    struct expr *n = expr_new(s->r, OP_NOT, 1);
    if (n)
        n->kid[n->n++] = x;
    return n;
}

/* a, or a <word> b <word> c ... with as many kids as the condition may have. */
static struct expr *chain(struct parse *s, enum op op, const char *word, struct expr *(*part)(struct parse *))
{
    struct expr *first = part(s), *kid[256];
    size_t n = 0;

    kid[n++] = first;
    while (first && s->r->err >= 0 && is(s, word)) {
        if (n == sizeof kid / sizeof *kid) {
            sigma_fail(s->r, s->line, "the condition is too long");
            return NULL;
        }
        next(s);
        kid[n++] = part(s);
    }
    if (s->r->err < 0 || n == 1)
        return s->r->err < 0 ? NULL : first;
    struct expr *x = expr_new(s->r, op, n);
    if (x) {
        memcpy(x->kid, kid, n * sizeof *kid);
        x->n = (uint32_t)n;
    }
    return x;
}

static struct expr *both(struct parse *s)
{
    return chain(s, OP_AND, "and", negation);
}

static struct expr *either(struct parse *s)
{
    return chain(s, OP_OR, "or", both);
}

struct expr *condition_read(struct reader *r, const struct named *named, size_t n, const char *text, unsigned line)
{
    struct parse s = { .r = r, .named = named, .n = n, .p = text, .line = line };

    if (strlen(text) > CONDITION_MAX) {
        sigma_fail(r, line, "the condition is longer than 16 KiB");
        return NULL;
    }
    next(&s);
    struct expr *x = r->err < 0 ? NULL : either(&s);
    if (x && r->err >= 0 && s.word[0])
        sigma_fail(r, line, "the condition goes on with \"%.100s\" where and, or, or the end is expected", s.word);
    return r->err < 0 ? NULL : x;
}
