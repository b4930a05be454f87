#include "detect/sigma/internal.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REGEX_TEXT_MAX = 16 << 10,
    REGEX_STEPS = 200000, /* PCRE2's match limit: some milliseconds at the very most */
    REGEX_DEPTH = 2000,
    REGEX_HEAP_KIB = 4096,
    REGEX_STACK_FIRST = 32 << 10,
    REGEX_STACK_MAX = 1 << 20,
};

struct regex {
    pcre2_code *code;
    char *text;
    size_t n;
};
struct regex_state {
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
};

int regex_new(const char *text, size_t n, unsigned flags, struct regex **ret, char *ret_why)
{
    uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE |
                       (flags & REGEX_I ? PCRE2_CASELESS : 0) | (flags & REGEX_M ? PCRE2_MULTILINE : 0) |
                       (flags & REGEX_S ? PCRE2_DOTALL : 0);
    int err = 0;
    PCRE2_SIZE at = 0;

    if (n > REGEX_TEXT_MAX) {
        snprintf(ret_why, SIGMA_WHY_MAX, "a regular expression of more than 16 KiB");
        return -SM_EFORMAT;
    }
    struct regex *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    /* Named or numbered groups may be referred to: then they have to be kept. */
    if (memchr(text, '\\', n))
        options &= ~(uint32_t)PCRE2_NO_AUTO_CAPTURE;
    r->code = pcre2_compile((PCRE2_SPTR)text, n, options, &err, &at, NULL);
    if (!r->code) {
        PCRE2_UCHAR what[120] = "";
        pcre2_get_error_message(err, what, sizeof what);
        snprintf(ret_why, SIGMA_WHY_MAX, "regular expression, at byte %zu: %s", (size_t)at, (const char *)what);
        free(r);
        return -SM_EFORMAT;
    }
#ifndef SIGMA_NO_JIT /* the agent's part may have no memory that can be executed */
    (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without it, the same, slower */
#endif
    r->text = malloc(n + 1);
    if (!r->text) {
        regex_free(r);
        return -ENOMEM;
    }
    memcpy(r->text, text, n);
    r->text[n] = 0;
    r->n = n;
    *ret = r;
    return 0;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    free(r->text);
    free(r);
}

struct regex_state *regex_state_new(void)
{
    struct regex_state *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->context = pcre2_match_context_create(NULL);
    s->data = pcre2_match_data_create(8, NULL);
    s->stack = pcre2_jit_stack_create(REGEX_STACK_FIRST, REGEX_STACK_MAX, NULL);
    if (!s->context || !s->data) {
        regex_state_free(s);
        return NULL;
    }
    pcre2_set_match_limit(s->context, REGEX_STEPS);
    pcre2_set_depth_limit(s->context, REGEX_DEPTH);
    pcre2_set_heap_limit(s->context, REGEX_HEAP_KIB);
    if (s->stack)
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
    return s;
}

void regex_state_free(struct regex_state *s)
{
    if (!s)
        return;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    free(s);
}

int regex_match(const struct regex *r, struct regex_state *s, struct sm_span value)
{
    /* Values are valid UTF-8 (event.h); an empty span may have no address. */
    int got =
        pcre2_match(r->code, value.n ? value.p : (PCRE2_SPTR) "", value.n, 0, PCRE2_NO_UTF_CHECK, s->data, s->context);

    if (got >= 0)
        return 1;
    return got == PCRE2_ERROR_NOMATCH ? 0 : -SM_ELIMIT;
}

/* Where the bracket that opens at i closes; n if it does not. */
static size_t skip_class(const char *t, size_t n, size_t i)
{
    size_t first = ++i;

    if (i < n && t[i] == '^')
        first = ++i;
    for (; i < n; i++) {
        if (t[i] == '\\')
            i++;
        else if (t[i] == ']' && i > first)
            return i;
    }
    return n;
}

static size_t skip_group(const char *t, size_t n, size_t i)
{
    size_t depth = 0;

    for (; i < n; i++) {
        if (t[i] == '\\')
            i++;
        else if (t[i] == '[')
            i = skip_class(t, n, i);
        else if (t[i] == '(')
            depth++;
        else if (t[i] == ')' && !--depth)
            return i;
    }
    return n;
}

/* A byte that stands for itself at i (escapes looked through), or -1; *ret_next is behind it. */
static int plain_at(const char *t, size_t n, size_t i, size_t *ret_next)
{
    unsigned char c = (unsigned char)t[i];

    *ret_next = i + 1;
    if (c == '\\') {
        if (i + 1 == n)
            return -1;
        c = (unsigned char)t[i + 1];
        *ret_next = i + 2;
        bool word = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        return word || c >= 0x80 ? -1 : c;
    }
    return c >= 0x80 || strchr(".^$*+?()[]{}|", c) ? -1 : c;
}

/* A quantifier at i that may be none; *ret_next is behind any quantifier. */
static bool optional_at(const char *t, size_t n, size_t i, bool *ret_any, size_t *ret_next)
{
    *ret_any = false;
    *ret_next = i;
    if (i == n)
        return false;
    bool optional = t[i] == '*' || t[i] == '?' || (t[i] == '{' && i + 1 < n && (t[i + 1] == '0' || t[i + 1] == ','));
    if (!optional && t[i] != '+' && t[i] != '{')
        return false;
    *ret_any = true;
    if (t[i] == '{')
        while (i < n && t[i] != '}')
            i++;
    i += i < n;
    while (i < n && (t[i] == '?' || t[i] == '+'))
        i++;
    *ret_next = i;
    return optional;
}

/* Only the outermost level is read; `|` there, (?...) settings or a verbose form mean that nothing is known. */
int regex_stretch(struct pool *pool, const struct regex *r, struct stretch *ret)
{
    const char *t = r->text;
    size_t n = r->n, best = 0, run = 0;
    uint8_t *now = pool_get(pool, n + 1), *most = pool_get(pool, n + 1), *low = pool_get(pool, n + 1);

    if (!now || !most || !low)
        return -ENOMEM;
    *ret = (struct stretch){ 0 };
    for (size_t i = 0; i < n;) {
        size_t next;
        bool quantified;
        int c = plain_at(t, n, i, &next);
        if (t[i] == '|' || (t[i] == '(' && i + 2 < n && t[i + 1] == '?' && t[i + 2] != ':'))
            return 0;
        if (c < 0) {
            if (t[i] == '[')
                next = skip_class(t, n, i) + 1;
            else if (t[i] == '(')
                next = skip_group(t, n, i) + 1;
            else if (t[i] == '\\' && (i + 1 == n || !strchr("dDsSwWbB", t[i + 1])))
                return 0; /* \x41, \Q, \1 ...: not looked into */
            run = 0;
        }
        if (next > n)
            return 0;
        size_t after;
        bool optional = optional_at(t, n, next, &quantified, &after);
        if (c >= 0 && !optional)
            now[run++] = (uint8_t)c;
        if (run > best) {
            best = run;
            memcpy(most, now, run);
        }
        if (quantified)
            run = 0;
        i = after;
    }
    fold_text(low, most, best);
    ret->p = low;
    ret->n = (uint32_t)best;
    return 0;
}
