#include "detect/sigma/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint16_t add_name(struct sigma_set *s, const char *name)
{
    return event_names_add(s->names, SM_SPAN_STR(name));
}

struct sigma_set *sigma_set_new(struct event_names *names)
{
    struct sigma_set *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->names = names;
    static const char *const at[AT_COUNT] = {
        [AT_TIMESTAMP] = "@timestamp",
        [AT_HOST] = "@host",
        [AT_PRODUCT] = "@product",
        [AT_CATEGORY] = "@category",
        [AT_SERVICE] = "@service",
        [AT_FORMAT] = "@format",
        [AT_SEVERITY] = "@severity",
    };
    s->at_first = UINT16_MAX;
    for (size_t i = 0; i < AT_COUNT; i++) {
        s->at[i] = add_name(s, at[i]);
        s->at_first = s->at[i] < s->at_first ? s->at[i] : s->at_first;
        s->at_last = s->at[i] > s->at_last ? s->at[i] : s->at_last;
    }
    return s;
}

void sigma_set_free(struct sigma_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->regex_n; i++)
        regex_free(s->regex[i]);
    free(s->regex);
    free(s->rule);
    free(s->source);
    pool_wipe(&s->pool);
    free(s);
}

int sigma_list(struct sigma_set *s, const char *name, const char *value)
{
    struct list *l = s->lists;

    while (l && strcmp(l->name, name))
        l = l->next;
    if (!l) {
        l = pool_get(&s->pool, sizeof *l);
        char *text = pool_text(&s->pool, name, strlen(name));
        if (!l || !text)
            return -ENOMEM;
        l->name = text;
        l->next = s->lists;
        s->lists = l;
    }
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 8;
        const char **more = pool_get(&s->pool, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        if (l->n)
            memcpy(more, l->value, l->n * sizeof *more);
        l->value = more;
        l->cap = cap;
    }
    l->value[l->n] = pool_text(&s->pool, value, strlen(value));
    return l->value[l->n++] ? 0 : -ENOMEM;
}

static int keep(struct sigma_set *s, struct rule *rule)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 256;
        struct rule **more = realloc(s->rule, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        s->rule = more;
        s->cap = cap;
    }
    rule->pub.number = (uint32_t)s->n;
    rule->pub.layer = s->layer;
    s->rule[s->n++] = rule;
    return 0;
}

struct adding {
    struct sigma_set *set;
    const char *file;
    sigma_fault_fn *fault;
    void *ctx;
    int loaded;
};

static void say(const struct adding *a, unsigned line, const char *why)
{
    struct sigma_fault f = { .file = a->file, .line = line };

    snprintf(f.why, sizeof f.why, "%s", why);
    if (a->fault)
        a->fault(a->ctx, &f);
}

static int add_document(void *ctx, struct node *document)
{
    struct adding *a = ctx;
    struct reader r = { .set = a->set, .pool = &a->set->pool, .file = a->file };
    struct rule *rule = NULL;

    if (document->kind == NODE_SCALAR && node_is_null(document))
        return 0; /* nothing between two --- */
    if (a->set->n == SIGMA_RULES_MAX) {
        say(a, document->line, "more rules than a set holds");
        return 0;
    }
    int err = rule_read(&r, document, &rule);
    if (err == -SM_EFORMAT) {
        say(a, r.line, r.why);
        return 0;
    }
    if (err < 0)
        return err;
    err = keep(a->set, rule);
    a->loaded += err == 0;
    return err;
}

int sigma_add(struct sigma_set *s, const char *file, struct sm_span text, sigma_fault_fn *fault, void *ctx)
{
    struct adding a = { .set = s, .fault = fault, .ctx = ctx };
    struct sigma_fault f;

    a.file = pool_text(&s->pool, file, strlen(file));
    if (!a.file)
        return -ENOMEM;
    int err = yaml_read(&s->pool, a.file, text, add_document, &a, &f);
    if (err == -SM_EFORMAT || err == -SM_ELIMIT)
        say(&a, f.line, f.why);
    else if (err < 0)
        return err;
    return a.loaded;
}

/* ---- filters and correlations find their rules ---- */

static struct rule *find(const struct sigma_set *s, const char *id)
{
    struct rule *by_name = NULL;

    for (size_t i = 0; i < s->n && *id; i++) {
        if (!strcasecmp(s->rule[i]->pub.id, id))
            return s->rule[i];
        if (!by_name && !strcmp(s->rule[i]->pub.name, id))
            by_name = s->rule[i];
    }
    return by_name;
}

/* The rule has at least every word the filter has. */
static bool covers(const struct rule *filter, const struct rule *rule)
{
    return (!filter->product || filter->product == rule->product) &&
           (!filter->category || filter->category == rule->category) &&
           (!filter->service || filter->service == rule->service);
}

static int apply(struct sigma_set *s, struct rule *rule, struct rule *filter)
{
    struct reader r = { .set = s, .pool = &s->pool };
    struct expr *x = expr_new(&r, OP_AND, 2), *named = expr_new(&r, OP_AND, 1);
    size_t n = strlen(filter->pub.title) + 10;
    char *label = sigma_get(&r, n);

    if (!x || !named || !label)
        return -ENOMEM;
    snprintf(label, n, "filter %s", filter->pub.title);
    named->label = label;
    named->kid[named->n++] = filter->cond;
    x->kid[x->n++] = rule->cond;
    x->kid[x->n++] = named;
    rule->cond = x;
    if (*filter->pub.waits && !*rule->pub.waits)
        rule->pub.waits = filter->pub.waits;
    return 0;
}

static int link_filter(struct sigma_set *s, struct rule *f, const struct adding *a)
{
    int err = 0;

    for (size_t i = 0; i < s->n && f->filter->any && err >= 0; i++)
        if (s->rule[i]->pub.kind == SIGMA_RULE && covers(f, s->rule[i]))
            err = apply(s, s->rule[i], f);
    for (size_t i = 0; i < f->filter->n && err >= 0; i++) {
        struct rule *rule = find(s, f->filter->rule[i]);
        char why[SIGMA_WHY_MAX];
        if (rule && rule->pub.kind == SIGMA_RULE && covers(f, rule)) {
            err = apply(s, rule, f);
            continue;
        }
        snprintf(why, sizeof why, "the filter %.80s is for the rule %.80s, which %s", f->pub.title, f->filter->rule[i],
            rule ? "has another log source" : "is not there");
        say(a, f->pub.line, why);
    }
    return err;
}

/* Each correlation once for each it refers to: a circle never ends, so depth is bounded. */
static bool sound(const struct rule *rule, unsigned depth)
{
    if (depth > 8)
        return false;
    for (size_t i = 0; i < rule->correlation->rules_n; i++) {
        const struct sigma_rule *to = rule->correlation->rule[i];
        if (!to || (to->kind == SIGMA_CORRELATION && !sound((const struct rule *)to, depth + 1)))
            return false;
    }
    return true;
}

static void link_correlation(struct sigma_set *s, struct rule *c, const struct adding *a)
{
    for (size_t i = 0; i < c->correlation->rules_n; i++) {
        struct rule *to = find(s, c->correlation->rule_name[i]);
        if (to && to->pub.kind != SIGMA_FILTER) {
            c->correlation->rule[i] = &to->pub;
            continue;
        }
        char why[SIGMA_WHY_MAX];
        snprintf(why, sizeof why, "the correlation %.60s refers to the rule %.60s, which is not there: it is left out",
            c->pub.title, c->correlation->rule_name[i]);
        say(a, c->pub.line, why);
        c->pub.off = c->pub.broken = true;
    }
}

static void check_sound(struct rule *c, const struct adding *a)
{
    if (c->pub.off || sound(c, 0))
        return;
    say(a, c->pub.line,
        "correlations that refer to each other in a circle, more than 8 deep, or to one that was left out");
    c->pub.off = c->pub.broken = true;
}

/* What a correlation refers to is no signal of its own, unless it says `generate`, and as long as it is used: one that was
 * switched off must not keep its rules silent, too. */
static void mark_referred(struct sigma_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        s->rule[i]->pub.correlated = false;
    for (size_t k = 0; k < s->n; k++) {
        const struct rule *c = s->rule[k];
        if (c->pub.kind != SIGMA_CORRELATION || c->pub.off || c->correlation->generate)
            continue;
        for (size_t i = 0; i < c->correlation->rules_n; i++)
            s->rule[c->correlation->rule[i]->number]->pub.correlated = true;
    }
}

/* Public collections have different rules under one id.  The same id for the same log source is one rule twice. */
static void say_twice(struct sigma_set *s, size_t i, const struct adding *a)
{
    struct rule *rule = s->rule[i];
    const struct rule *first = find(s, rule->pub.id);
    char why[SIGMA_WHY_MAX];

    if (!first || first == rule || first->pub.kind != rule->pub.kind || first->product != rule->product ||
        first->category != rule->category || first->service != rule->service)
        return;
    rule->pub.off = rule->pub.broken = true;
    rule->pub.replaced = true;
    if (first->pub.layer != rule->pub.layer)
        return; /* that is what layers are for */
    snprintf(why, sizeof why, "the same rule stands in %.150s, which counts", first->pub.file);
    say(a, rule->pub.line, why);
}

int sigma_link(struct sigma_set *s, sigma_fault_fn *fault, void *ctx)
{
    struct adding a = { .set = s, .fault = fault, .ctx = ctx };
    int err = 0;

    for (size_t i = 0; i < s->n && err >= 0; i++) {
        a.file = s->rule[i]->pub.file;
        say_twice(s, i, &a);
        if (s->rule[i]->pub.kind == SIGMA_FILTER && !s->rule[i]->pub.off)
            err = link_filter(s, s->rule[i], &a);
        else if (s->rule[i]->pub.kind == SIGMA_CORRELATION)
            link_correlation(s, s->rule[i], &a);
    }
    for (size_t i = 0; i < s->n && err >= 0; i++) {
        a.file = s->rule[i]->pub.file;
        if (s->rule[i]->pub.kind == SIGMA_CORRELATION)
            check_sound(s->rule[i], &a);
    }
    mark_referred(s);
    return err < 0 ? err : 0;
}

int sigma_switch(struct sigma_set *s, const char *id, bool on)
{
    struct rule *rule = find(s, id);

    if (!rule)
        return -SM_ENOTFOUND;
    if (on && rule->pub.broken)
        return 0; /* what was left out has nothing to be switched on */
    rule->pub.off = !on;
    if (rule->pub.kind == SIGMA_CORRELATION)
        mark_referred(s);
    return 0;
}

void sigma_layer(struct sigma_set *s, unsigned layer)
{
    s->layer = layer;
}

size_t sigma_refers(const struct sigma_set *s, const struct sigma_rule *correlation, const struct sigma_rule **ret, size_t max)
{
    const struct rule *c = correlation->number < s->n ? s->rule[correlation->number] : NULL;
    size_t n = 0;

    for (size_t i = 0; c && c->correlation && i < c->correlation->rules_n; i++)
        if (c->correlation->rule[i] && n < max)
            ret[n++] = c->correlation->rule[i];
    return n;
}

size_t sigma_feeds(const struct sigma_set *s, const struct sigma_rule *rule, const struct sigma_rule **ret, size_t max)
{
    size_t n = 0;

    for (size_t k = 0; k < s->n; k++) {
        const struct rule *c = s->rule[k];
        for (size_t i = 0; c->correlation && i < c->correlation->rules_n; i++)
            if (c->correlation->rule[i] == rule) {
                if (n < max)
                    ret[n++] = &c->pub;
                break;
            }
    }
    return n;
}

size_t sigma_count(const struct sigma_set *s)
{
    return s->n;
}

const struct sigma_rule *sigma_rule_at(const struct sigma_set *s, size_t i)
{
    return i < s->n ? &s->rule[i]->pub : NULL;
}

const struct sigma_rule *sigma_find(const struct sigma_set *s, const char *id)
{
    const struct rule *rule = find(s, id);

    return rule ? &rule->pub : NULL;
}
