#include "detect/sigma/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MODIFIERS_MAX = 12, VARIANTS_MAX = 4096 };

enum shape { SHAPE_NONE, SHAPE_CONTAINS, SHAPE_STARTS, SHAPE_ENDS };

/* One key of a map: field and what its modifiers ask for. */
struct item {
    const char *key;
    unsigned line;
    uint16_t name;
    bool keyword, all, cased, neq, exists, ref, re, cidr, expand, has_compare;
    enum compare compare;
    enum unit unit;
    unsigned re_flags;
    enum shape shape;
    size_t n;
    const struct modifier *step[MODIFIERS_MAX]; /* those that change values, in their order */
};

/* What a value has become so far: its variants. */
struct variants {
    struct tokens *t;
    size_t n;
};
typedef void step_fn(struct reader *r, const struct item *it, struct variants *v);

struct modifier {
    const char *name;
    void (*note)(struct item *it);
    step_fn *step; /* NULL: it changes no text */
};

struct expr *expr_new(struct reader *r, enum op op, size_t kids)
{
    struct expr *x = sigma_get(r, sizeof *x);

    if (!x)
        return NULL;
    x->op = (uint8_t)op;
    x->kid = sigma_get(r, (kids ? kids : 1) * sizeof *x->kid);
    return x->kid ? x : NULL;
}

static struct expr *expr_atom(struct reader *r, struct atom *a)
{
    struct expr *x = a ? expr_new(r, OP_ATOM, 0) : NULL;

    if (x)
        x->atom = a;
    return x;
}

/* ---- steps that change values ---- */

static void variants_wipe(struct variants *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->t[i].t);
    free(v->t);
    *v = (struct variants){ 0 };
}

static struct tokens *variants_add(struct reader *r, struct variants *v)
{
    if (v->n == VARIANTS_MAX) {
        sigma_fail(r, r->line, "a value with more than %d variants", VARIANTS_MAX);
        return NULL;
    }
    struct tokens *more = realloc(v->t, (v->n + 1) * sizeof *more);
    if (!more) {
        r->err = -ENOMEM;
        return NULL;
    }
    v->t = more;
    v->t[v->n] = (struct tokens){ 0 };
    return &v->t[v->n++];
}

static void starred(struct variants *v, bool before, bool after)
{
    for (size_t i = 0; i < v->n; i++) {
        struct tokens *from = &v->t[i], to = { .err = from->err };
        if (before)
            tokens_put(&to, TOKEN_STAR);
        for (size_t k = 0; k < from->n; k++)
            tokens_put(&to, from->t[k]);
        if (after)
            tokens_put(&to, TOKEN_STAR);
        free(from->t);
        *from = to;
    }
}

static void step_contains(struct reader *r, const struct item *it, struct variants *v)
{
    starred(v, true, true);
}

static void step_starts(struct reader *r, const struct item *it, struct variants *v)
{
    starred(v, false, true);
}

static void step_ends(struct reader *r, const struct item *it, struct variants *v)
{
    starred(v, true, false);
}

/* Every dash and slash may be any of them: one token, so that permutations cost nothing. */
static void step_windash(struct reader *r, const struct item *it, struct variants *v)
{
    for (size_t i = 0; i < v->n; i++) {
        struct tokens *from = &v->t[i], to = { .err = from->err };
        for (size_t k = 0; k < from->n; k++) {
            const uint16_t *t = from->t + k;
            bool wide = from->n - k >= 3 && t[0] == 0xe2 && t[1] == 0x80 && t[2] >= 0x93 && t[2] <= 0x95;
            bool dash = wide || t[0] == '-' || t[0] == '/';
            tokens_put(&to, dash ? TOKEN_DASH : t[0]);
            k += wide ? 2 : 0;
        }
        free(from->t);
        *from = to;
    }
}

static size_t code_point(const uint16_t *t, size_t n, uint32_t *ret)
{
    static const uint8_t first[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    size_t k = t[0] < 0x80 ? 1 : t[0] < 0xe0 ? 2 : t[0] < 0xf0 ? 3 : 4;

    if (k > n)
        k = 1;
    *ret = t[0] & first[k];
    for (size_t i = 1; i < k; i++)
        *ret = *ret << 6 | (t[i] & 0x3f);
    return k;
}

static void put_unit(struct tokens *to, uint32_t unit, bool big)
{
    tokens_put(to, (uint16_t)(big ? unit >> 8 : unit & 255));
    tokens_put(to, (uint16_t)(big ? unit & 255 : unit >> 8));
}

static void utf16(struct variants *v, bool big, bool bom)
{
    for (size_t i = 0; i < v->n; i++) {
        struct tokens *from = &v->t[i], to = { .err = from->err };
        if (bom)
            put_unit(&to, 0xfeff, big);
        for (size_t k = 0; k < from->n;) {
            uint32_t c;
            if (from->t[k] > 255) {
                tokens_put(&to, from->t[k++]);
                continue;
            }
            k += code_point(from->t + k, from->n - k, &c);
            if (c >= 0x10000) {
                put_unit(&to, 0xd800 | (c - 0x10000) >> 10, big);
                c = 0xdc00 | ((c - 0x10000) & 0x3ff);
            }
            put_unit(&to, c, big);
        }
        free(from->t);
        *from = to;
    }
}

static void step_utf16le(struct reader *r, const struct item *it, struct variants *v)
{
    utf16(v, false, false);
}

static void step_utf16be(struct reader *r, const struct item *it, struct variants *v)
{
    utf16(v, true, false);
}

static void step_utf16(struct reader *r, const struct item *it, struct variants *v)
{
    utf16(v, false, true);
}

/* The Base64 of t when `shift` bytes nobody knows stand before it, and others may follow: only what does not depend on
 * them. */
static void base64_at(struct reader *r, const struct tokens *t, size_t shift, bool part, struct tokens *ret)
{
    static const uint8_t skip[] = { 0, 2, 3 }, drop[] = { 0, 3, 2 };
    struct sm_buf in = SM_BUF_INIT(1 << 20), out = SM_BUF_INIT(2 << 20);
    int err = t->err;

    for (size_t i = 0; i < shift && err >= 0; i++)
        err = sm_buf_put_u8(&in, ' ');
    for (size_t i = 0; i < t->n && err >= 0; i++) {
        if (t->t[i] > 255)
            sigma_fail(r, r->line, "a wildcard in a value that is to be encoded in Base64");
        err = sm_buf_put_u8(&in, (uint8_t)t->t[i]);
    }
    size_t whole = in.n;
    if (err >= 0)
        err = sm_base64(sm_buf_span(&in), &out);
    if (err < 0) {
        r->err = r->err < 0 ? r->err : err;
    } else {
        size_t from = part ? skip[shift] : 0, less = part ? drop[whole % 3] : 0;
        for (size_t i = from; i + less < out.n; i++)
            tokens_put(ret, out.p[i]);
    }
    sm_buf_wipe(&in);
    sm_buf_wipe(&out);
}

static void base64(struct reader *r, struct variants *v, bool part)
{
    struct variants to = { 0 };

    for (size_t i = 0; i < v->n && r->err >= 0; i++)
        for (size_t shift = 0; shift < (part ? 3 : 1) && r->err >= 0; shift++) {
            struct tokens *t = variants_add(r, &to);
            if (t)
                base64_at(r, &v->t[i], shift, part, t);
        }
    variants_wipe(v);
    *v = to;
}

static void step_base64(struct reader *r, const struct item *it, struct variants *v)
{
    base64(r, v, false);
}

static void step_base64offset(struct reader *r, const struct item *it, struct variants *v)
{
    base64(r, v, true);
}

/* ---- the table of modifiers ---- */

#define NOTE(fn, statement)                                                                                            \
    static void note_##fn(struct item *it)                                                                             \
    {                                                                                                                  \
        statement;                                                                                                     \
    }
NOTE(none, (void)it)
NOTE(all, it->all = true)
NOTE(cased, it->cased = true)
NOTE(exists, it->exists = true)
NOTE(neq, it->neq = true)
NOTE(contains, it->shape = SHAPE_CONTAINS)
NOTE(startswith, it->shape = SHAPE_STARTS)
NOTE(endswith, it->shape = SHAPE_ENDS)
NOTE(re, it->re = true)
NOTE(i, it->re_flags |= REGEX_I)
NOTE(m, it->re_flags |= REGEX_M)
NOTE(s, it->re_flags |= REGEX_S)
NOTE(cidr, it->cidr = true)
NOTE(expand, it->expand = true)
NOTE(fieldref, it->ref = true)
NOTE(lt, it->has_compare = true; it->compare = CMP_LT)
NOTE(lte, it->has_compare = true; it->compare = CMP_LTE)
NOTE(gt, it->has_compare = true; it->compare = CMP_GT)
NOTE(gte, it->has_compare = true; it->compare = CMP_GTE)
NOTE(minute, it->unit = UNIT_MINUTE)
NOTE(hour, it->unit = UNIT_HOUR)
NOTE(day, it->unit = UNIT_DAY)
NOTE(week, it->unit = UNIT_WEEK)
NOTE(month, it->unit = UNIT_MONTH)
NOTE(year, it->unit = UNIT_YEAR)

static const struct modifier modifiers[] = {
    { "contains", note_contains, step_contains },
    { "startswith", note_startswith, step_starts },
    { "endswith", note_endswith, step_ends },
    { "all", note_all, NULL },
    { "cased", note_cased, NULL },
    { "exists", note_exists, NULL },
    { "neq", note_neq, NULL },
    { "windash", note_none, step_windash },
    { "wide", note_none, step_utf16le },
    { "utf16le", note_none, step_utf16le },
    { "utf16be", note_none, step_utf16be },
    { "utf16", note_none, step_utf16 },
    { "base64", note_none, step_base64 },
    { "base64offset", note_none, step_base64offset },
    { "re", note_re, NULL },
    { "i", note_i, NULL },
    { "m", note_m, NULL },
    { "s", note_s, NULL },
    { "cidr", note_cidr, NULL },
    { "expand", note_expand, NULL },
    { "fieldref", note_fieldref, NULL },
    { "lt", note_lt, NULL },
    { "lte", note_lte, NULL },
    { "gt", note_gt, NULL },
    { "gte", note_gte, NULL },
    { "minute", note_minute, NULL },
    { "hour", note_hour, NULL },
    { "day", note_day, NULL },
    { "week", note_week, NULL },
    { "month", note_month, NULL },
    { "year", note_year, NULL },
};

static const struct modifier *modifier_find(const char *p, size_t n)
{
    for (size_t i = 0; i < sizeof modifiers / sizeof *modifiers; i++)
        if (strlen(modifiers[i].name) == n && !memcmp(modifiers[i].name, p, n))
            return &modifiers[i];
    return NULL;
}

static void item_check(struct reader *r, const struct item *it)
{
    int kinds = it->re + it->cidr + it->exists + it->ref + (it->has_compare || it->unit);
    bool shaped = it->shape != SHAPE_NONE && (it->re || it->cidr || it->exists || it->has_compare || it->unit);

    if (kinds > 1 || shaped)
        sigma_fail(r, it->line, "the modifiers of \"%.120s\" cannot stand together", it->key);
    if (it->re_flags && !it->re)
        sigma_fail(r, it->line, "i, m and s belong to re: \"%.120s\"", it->key);
    if (it->n && kinds && !it->ref)
        sigma_fail(r, it->line, "\"%.120s\": this comparison takes the value as it is", it->key);
    if (it->keyword && (it->exists || it->ref || it->cidr || it->has_compare || it->unit || it->neq))
        sigma_fail(r, it->line, "\"%.120s\" needs a field", it->key);
}

static void item_read(struct reader *r, const struct node *key, struct item *it)
{
    const char *p = key->text, *bar = strchr(p, '|');
    size_t n = bar ? (size_t)(bar - p) : strlen(p);

    *it = (struct item){ .key = p, .line = key->line, .keyword = !n };
    while (bar && r->err >= 0) {
        const char *from = bar + 1;
        bar = strchr(from, '|');
        size_t len = bar ? (size_t)(bar - from) : strlen(from);
        const struct modifier *m = modifier_find(from, len);
        if (!m || it->n == MODIFIERS_MAX) {
            sigma_fail(r, key->line, m ? "too many modifiers: \"%.120s\"" : "a modifier nobody knows: \"%.120s\"", p);
            return;
        }
        m->note(it);
        if (m->step)
            it->step[it->n++] = m;
    }
    /* startswith and such say of a reference how the two are compared. */
    if (it->ref)
        it->n = 0;
    item_check(r, it);
    if (n) {
        it->name = event_names_add(r->set->names, SM_SPAN(p, n));
        if (it->name == EVENT_F_other && strcmp(p, "other"))
            sigma_fail(r, key->line, "no place for the field \"%.120s\"", p);
    }
}

/* ---- values ---- */

static struct list *list_find(const struct sigma_set *set, const char *name, size_t n)
{
    for (struct list *l = set->lists; l; l = l->next)
        if (strlen(l->name) == n && !memcmp(l->name, name, n))
            return l;
    return NULL;
}

/* The first %name% of text from *at on that no backslash stands before; *ret_n is that of the name. */
static const char *placeholder(const char *text, const char **at, size_t *ret_n)
{
    for (const char *p = *at; *p; p++) {
        if (*p == '\\' && p[1]) {
            p++;
        } else if (*p == '%') {
            const char *end = strchr(p + 1, '%');
            if (!end || end == p + 1)
                return NULL;
            *at = p;
            *ret_n = (size_t)(end - p - 1);
            return p + 1;
        }
    }
    return NULL;
}

/* \% is a percent sign. */
static void put_expanded(struct reader *r, struct variants *v, const char *text, size_t n)
{
    char *plain = sigma_get(r, n + 1);
    size_t k = 0;

    if (!plain)
        return;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\\' && i + 1 < n && text[i + 1] == '%')
            continue;
        plain[k++] = text[i];
    }
    struct tokens *t = variants_add(r, v);
    if (t)
        tokens_value(t, SM_SPAN(plain, k));
}

static void expand(struct reader *r, struct variants *v, const char *text, unsigned depth)
{
    const char *at = text;
    size_t n = 0;
    const char *name = placeholder(text, &at, &n);

    if (!name) {
        put_expanded(r, v, text, strlen(text));
        return;
    }
    const struct list *l = list_find(r->set, name, n);
    if (!l || !l->n || depth == 4) {
        if (depth == 4)
            sigma_fail(r, r->line, "more than four placeholders in one value");
        const char *waits = pool_text(r->pool, name, n);
        if (!waits)
            r->err = -ENOMEM;
        else if (!r->waits)
            r->waits = waits;
        return;
    }
    for (size_t i = 0; i < l->n && r->err >= 0; i++) {
        size_t before = (size_t)(at - text), value = strlen(l->value[i]), after = strlen(name + n + 1);
        char *whole = sigma_get(r, before + value + after + 1);
        if (!whole)
            return;
        memcpy(whole, text, before);
        memcpy(whole + before, l->value[i], value);
        memcpy(whole + before + value, name + n + 1, after + 1);
        expand(r, v, whole, depth + 1);
    }
}

/* 0x1F of YAML is 31, but logs write it as rules do: both count. */
static void hexadecimal(struct reader *r, struct variants *v, const struct node *n)
{
    double d;
    char text[24];

    if (!n->plain || n->text_n < 3 || n->text_n > 15 || n->text[0] != '0' || (n->text[1] | 32) != 'x' ||
        !number_read(SM_SPAN(n->text, n->text_n), &d))
        return;
    int k = snprintf(text, sizeof text, "%.0f", d);
    struct tokens *t = variants_add(r, v);
    if (t)
        tokens_value(t, SM_SPAN(text, (size_t)k));
}

static struct atom *atom_new(struct reader *r, const struct item *it, enum test test, const struct node *value)
{
    struct atom *a = sigma_get(r, sizeof *a);

    if (!a)
        return NULL;
    *a = (struct atom){ .test = (uint8_t)test,
        .name = it->name,
        .cased = it->cased,
        .compare = (uint8_t)it->compare,
        .unit = (uint8_t)it->unit,
        .want = value ? value->text : "" };
    return a;
}

/* Patterns there is room for when there are n: a power of two, so that a long list is not copied for each of its
 * values. */
static uint32_t room_for(uint32_t n)
{
    uint32_t cap = 1;

    while (cap < n)
        cap *= 2;
    return cap;
}

/* The patterns one value stands for, added to a. */
static void atom_texts(struct reader *r, const struct item *it, const struct node *value, struct atom *a)
{
    struct variants v = { 0 };

    if (it->expand) {
        expand(r, &v, value->text, 0);
    } else {
        struct tokens *t = variants_add(r, &v);
        if (t)
            tokens_value(t, SM_SPAN(value->text, value->text_n));
        hexadecimal(r, &v, value);
    }
    for (size_t i = 0; i < it->n && r->err >= 0; i++)
        it->step[i]->step(r, it, &v);
    if (it->keyword)
        starred(&v, true, true);
    struct pattern *p = a->pattern;
    if (room_for(a->n) < a->n + v.n || !p) {
        p = sigma_get(r, room_for((uint32_t)(a->n + v.n)) * sizeof *p);
        if (p && a->n)
            memcpy(p, a->pattern, a->n * sizeof *p);
    }
    for (size_t i = 0; i < v.n && p && r->err >= 0; i++) {
        int err = pattern_make(r->pool, &v.t[i], it->cased, value->text, &p[a->n + i]);
        if (err == -SM_ELIMIT)
            sigma_fail(r, value->line, "a value longer than 64 KiB");
        else if (err < 0)
            r->err = err;
    }
    if (p && r->err >= 0) {
        a->pattern = p;
        a->n += (uint32_t)v.n;
    }
    variants_wipe(&v);
}

static struct atom *atom_regex(struct reader *r, const struct item *it, const struct node *value)
{
    struct atom *a = atom_new(r, it, TEST_REGEX, value);
    struct sigma_set *set = r->set;

    if (!a)
        return NULL;
    if (set->regex_n == set->regex_cap) {
        size_t cap = set->regex_cap ? 2 * set->regex_cap : 64;
        struct regex **more = realloc(set->regex, cap * sizeof *more);
        if (!more) {
            r->err = -ENOMEM;
            return NULL;
        }
        set->regex = more;
        set->regex_cap = cap;
    }
    char why[SIGMA_WHY_MAX];
    int err = regex_new(value->text, value->text_n, it->re_flags, &a->regex, why);
    if (err == -SM_EFORMAT)
        sigma_fail(r, value->line, "%s", why);
    else if (err < 0)
        r->err = err;
    else
        set->regex[set->regex_n++] = a->regex;
    return r->err < 0 ? NULL : a;
}

static struct atom *atom_ref(struct reader *r, const struct item *it, const struct node *value)
{
    static const uint8_t kind[] = { PATTERN_EXACT, PATTERN_CONTAINS, PATTERN_PREFIX, PATTERN_SUFFIX };
    struct atom *a = atom_new(r, it, TEST_REF, value);

    if (!a)
        return NULL;
    a->ref_kind = kind[it->shape];
    a->ref = event_names_add(r->set->names, SM_SPAN(value->text, value->text_n));
    if (a->ref == EVENT_F_other)
        sigma_fail(r, value->line, "fieldref: not the name of a field: \"%.80s\"", value->text);
    return a;
}

static struct atom *atom_number(struct reader *r, const struct item *it, const struct node *value)
{
    struct atom *a = atom_new(r, it, it->unit ? TEST_UNIT : TEST_NUMBER, value);

    if (a && !number_read(SM_SPAN(value->text, value->text_n), &a->number))
        sigma_fail(r, value->line, "\"%.80s\" is compared with a number, not with \"%.60s\"", it->key, value->text);
    return a;
}

static struct atom *atom_exists(struct reader *r, const struct item *it, const struct node *value)
{
    struct atom *a = atom_new(r, it, TEST_EXISTS, value);
    bool yes = !strcasecmp(value->text, "true") || !strcasecmp(value->text, "yes");

    if (!yes && strcasecmp(value->text, "false") && strcasecmp(value->text, "no"))
        sigma_fail(r, value->line, "exists: true or false, not \"%.60s\"", value->text);
    if (a)
        a->number = yes;
    return a;
}

/* Everything but plain text. */
static struct atom *atom_other(struct reader *r, const struct item *it, const struct node *value)
{
    if (it->re)
        return atom_regex(r, it, value);
    if (it->ref)
        return atom_ref(r, it, value);
    if (it->exists)
        return atom_exists(r, it, value);
    if (it->has_compare || it->unit)
        return atom_number(r, it, value);
    struct atom *a = atom_new(r, it, TEST_CIDR, value);
    if (a && !cidr_read(SM_SPAN(value->text, value->text_n), &a->cidr))
        sigma_fail(r, value->line, "not a network: \"%.60s\"", value->text);
    return a;
}

static bool is_text(const struct item *it)
{
    return !it->re && !it->cidr && !it->exists && !it->ref && !it->has_compare && !it->unit;
}

/* Of a value that stands alone or in a list. */
static void value_add(
    struct reader *r, const struct item *it, const struct node *value, struct expr *x, struct atom **texts)
{
    struct atom *a;

    if (value->kind != NODE_SCALAR) {
        sigma_fail(r, value->line, "\"%.120s\": a value has to be a text, a number or null", it->key);
        return;
    }
    if (node_is_null(value)) {
        if (it->n || !is_text(it) || it->keyword)
            sigma_fail(r, value->line, "\"%.120s\": null takes no modifier", it->key);
        a = atom_new(r, it, TEST_NULL, NULL);
    } else if (is_text(it) && !it->all && *texts) {
        atom_texts(r, it, value, *texts);
        return;
    } else if (is_text(it)) {
        a = atom_new(r, it, TEST_TEXT, NULL);
        if (a)
            atom_texts(r, it, value, a);
        *texts = a;
    } else {
        a = atom_other(r, it, value);
    }
    struct expr *kid = r->err < 0 ? NULL : expr_atom(r, a);
    if (kid)
        x->kid[x->n++] = kid;
}

/* neq: as `not` of the comparison, which is how the reference reads it; a field that is absent is different too. */
static struct expr *negated(struct reader *r, struct expr *x)
{
    struct expr *without = expr_new(r, OP_NOT, 1);

    if (without)
        without->kid[without->n++] = x;
    return without;
}

static struct expr *values_read(struct reader *r, const struct item *it, const struct node *value)
{
    bool list = value->kind == NODE_LIST;
    struct expr *x = expr_new(r, it->all ? OP_AND : OP_OR, list ? value->n : 1);
    struct atom *texts = NULL;

    if (!x)
        return NULL;
    r->line = value->line;
    if (list && !value->n) {
        sigma_fail(r, value->line, "\"%.120s\": an empty list", it->key);
        return NULL;
    }
    if (!list)
        value_add(r, it, value, x, &texts);
    for (const struct node *c = list ? value->child : NULL; c && r->err >= 0; c = c->next)
        value_add(r, it, c, x, &texts);
    if (r->err < 0)
        return NULL;
    if (x->n == 1)
        x = x->kid[0];
    if (it->neq)
        x = negated(r, x);
    if (x && !x->label)
        x->label = it->key;
    return x;
}

static struct expr *map_read(struct reader *r, const struct node *map)
{
    struct expr *x = expr_new(r, OP_AND, map->n);

    if (!map->n)
        sigma_fail(r, map->line, "an empty selection");
    for (const struct node *c = map->child; c && x && r->err >= 0; c = c->next) {
        struct item it;
        item_read(r, c->key, &it);
        struct expr *kid = r->err < 0 ? NULL : values_read(r, &it, c);
        if (kid)
            x->kid[x->n++] = kid;
    }
    return r->err < 0 ? NULL : x;
}

static struct expr *keyword_read(struct reader *r, const struct node *value)
{
    const struct item it = { .key = "keywords", .line = value->line, .keyword = true };

    return values_read(r, &it, value);
}

struct expr *detection_read(struct reader *r, const struct node *value, const char *label)
{
    struct expr *x = NULL;

    if (value->kind == NODE_MAP) {
        x = map_read(r, value);
    } else if (value->kind == NODE_SCALAR) {
        x = keyword_read(r, value);
    } else if (!value->n) {
        sigma_fail(r, value->line, "an empty selection");
    } else {
        x = expr_new(r, OP_OR, value->n);
        for (const struct node *c = value->child; c && x && r->err >= 0; c = c->next) {
            struct expr *kid = c->kind == NODE_MAP      ? map_read(r, c)
                               : c->kind == NODE_SCALAR ? keyword_read(r, c)
                                                        : NULL;
            if (kid)
                x->kid[x->n++] = kid;
            else
                sigma_fail(r, c->line, "a list in a list");
        }
    }
    if (r->err < 0 || !x)
        return NULL;
    /* Its own node: a map of one field shares nothing with its label. */
    struct expr *named = expr_new(r, OP_AND, 1);
    if (!named)
        return NULL;
    named->label = label;
    named->kid[named->n++] = x;
    return named;
}
