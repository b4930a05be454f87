/* The correlation section of a rule: what it says.  What it does is detect/correlate. */
#include "detect/sigma/internal.h"

#include <string.h>
#include <strings.h>

enum { RULES_MAX = 64, GROUPS_MAX = 16 };

static const char *const types[] = {
    [CORRELATE_EVENT_COUNT] = "event_count",
    [CORRELATE_VALUE_COUNT] = "value_count",
    [CORRELATE_TEMPORAL] = "temporal",
    [CORRELATE_TEMPORAL_ORDERED] = "temporal_ordered",
    [CORRELATE_VALUE_SUM] = "value_sum",
    [CORRELATE_VALUE_AVG] = "value_avg",
    [CORRELATE_VALUE_PERCENTILE] = "value_percentile",
    [CORRELATE_VALUE_MEDIAN] = "value_median",
};
static const char *const comparisons[CORRELATE_CMPS] = {
    [CORRELATE_GT] = "gt",
    [CORRELATE_GTE] = "gte",
    [CORRELATE_LT] = "lt",
    [CORRELATE_LTE] = "lte",
    [CORRELATE_EQ] = "eq",
    [CORRELATE_NEQ] = "neq",
};

static void type_read(struct reader *r, const struct node *map, struct correlation *c)
{
    const struct node *n = node_get(map, "type");
    const char *text = sigma_text(r, n);

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i], text)) {
            c->type = (enum correlate_type)i;
            return;
        }
    sigma_fail(r, n ? n->line : map->line, "correlation: no type called \"%.60s\"", text);
}

/* A list of texts or one text. */
static const char **names_read(struct reader *r, const struct node *n, size_t max, size_t *ret_n)
{
    size_t k = 0, count = !n ? 0 : n->kind == NODE_LIST ? n->n : 1;
    const char **to = sigma_get(r, (count + 1) * sizeof *to);

    *ret_n = 0;
    if (!to || !n)
        return to;
    if (count > max || n->kind == NODE_MAP) {
        sigma_fail(r, n->line, "\"%.40s\": a list of at most %zu names", n->key->text, max);
        return NULL;
    }
    for (const struct node *c = n->kind == NODE_LIST ? n->child : n; c; c = n->kind == NODE_LIST ? c->next : NULL) {
        if (c->kind != NODE_SCALAR || !c->text_n) {
            sigma_fail(r, c->line, "\"%.40s\": a list of names", n->key->text);
            return NULL;
        }
        to[k++] = c->text;
    }
    *ret_n = k;
    return to;
}

static int64_t timespan_read(struct reader *r, const struct node *n, unsigned line)
{
    const char *p = sigma_text(r, n);
    int64_t v = 0;
    size_t i = 0;

    for (; p[i] >= '0' && p[i] <= '9' && i < 7; i++)
        v = v * 10 + (p[i] - '0');
    int64_t unit = p[i] == 's' ? 1 : p[i] == 'm' ? 60 : p[i] == 'h' ? 3600 : p[i] == 'd' ? 86400 : 0;
    if (!i || !unit || p[i + 1] || !v || v * unit > 366 * (int64_t)86400) {
        sigma_fail(r, n ? n->line : line, "timespan: a number and s, m, h or d, at most 366 days, not \"%.40s\"", p);
        return 0;
    }
    return v * unit;
}

static uint16_t field_of(struct reader *r, const char *name, unsigned line)
{
    uint16_t f = event_names_add(r->set->names, SM_SPAN_STR(name));

    if (f == EVENT_F_other)
        sigma_fail(r, line, "not the name of a field: \"%.80s\"", name);
    return f;
}

static void alias_read(struct reader *r, const struct node *n, struct correlate_alias *a)
{
    a->name = n->key->text;
    if (n->kind != NODE_MAP || n->n > RULES_MAX) {
        sigma_fail(r, n->line, "aliases: \"%.60s\" has to be a map of rules and fields", a->name);
        return;
    }
    a->rule = sigma_get(r, (n->n + 1) * sizeof *a->rule);
    a->field = sigma_get(r, (n->n + 1) * sizeof *a->field);
    for (const struct node *c = n->child; c && r->err >= 0; c = c->next) {
        a->rule[a->n] = c->key->text;
        a->field[a->n++] = field_of(r, sigma_text(r, c), c->line);
    }
}

static void aliases_read(struct reader *r, const struct node *n, struct correlation *c)
{
    if (!n)
        return;
    if (n->kind != NODE_MAP || n->n > GROUPS_MAX) {
        sigma_fail(r, n->line, "aliases: a map of at most %d", GROUPS_MAX);
        return;
    }
    c->alias = sigma_get(r, (n->n + 1) * sizeof *c->alias);
    for (const struct node *a = n->child; a && r->err >= 0; a = a->next)
        alias_read(r, a, &c->alias[c->alias_n++]);
}

static void group_read(struct reader *r, const struct node *n, struct correlation *c)
{
    c->group_name = names_read(r, n, GROUPS_MAX, &c->group_n);
    c->group = sigma_get(r, (c->group_n + 1) * sizeof *c->group);
    for (size_t i = 0; i < c->group_n && r->err >= 0; i++) {
        bool alias = false;
        for (size_t k = 0; k < c->alias_n; k++)
            alias |= !strcmp(c->alias[k].name, c->group_name[i]);
        c->group[i] = alias ? 0 : field_of(r, c->group_name[i], n->line);
    }
}

static void limit_read(struct reader *r, const struct node *n, struct correlation *c)
{
    for (size_t i = 0; i < CORRELATE_CMPS; i++)
        if (!strcmp(n->key->text, comparisons[i])) {
            c->has[i] = number_read(SM_SPAN_STR(sigma_text(r, n)), &c->limit[i]);
            if (!c->has[i])
                sigma_fail(r, n->line, "condition: \"%.20s\" needs a number", n->key->text);
            return;
        }
    sigma_fail(r, n->line, "condition: nothing is called \"%.60s\"", n->key->text);
}

static bool is_temporal(const struct correlation *c)
{
    return c->type == CORRELATE_TEMPORAL || c->type == CORRELATE_TEMPORAL_ORDERED;
}

static bool says_not(const struct expr *x)
{
    bool not = x->op == OP_NOT;

    for (uint32_t i = 0; x->op != OP_RULE && i < x->n; i++)
        not |= says_not(x->kid[i]);
    return not;
}

bool correlation_when(const struct expr *when, uint64_t there)
{
    bool all = true, any = false;

    if (when->op == OP_RULE)
        return there >> when->n & 1;
    for (uint32_t i = 0; i < when->n; i++) {
        bool holds = correlation_when(when->kid[i], there);
        all &= holds;
        any |= holds;
    }
    return when->op == OP_NOT ? !any : when->op == OP_AND ? all : any;
}

/* Rules that are named in the condition alone. */
static void rules_of_condition(struct reader *r, const struct node *n, struct correlation *c)
{
    static const char space[] = " \t\r\n()";
    const char *p = n->text + strspn(n->text, space);

    c->rule_name = sigma_get(r, (RULES_MAX + 1) * sizeof *c->rule_name);
    for (size_t len; *p && c->rule_name; p += len + strspn(p + len, space)) {
        len = strcspn(p, space);
        char *word = pool_text(r->pool, p, len);
        bool known = !word || !strcasecmp(word, "and") || !strcasecmp(word, "or") || !strcasecmp(word, "not");
        for (size_t i = 0; i < c->rules_n && !known; i++)
            known = !strcmp(c->rule_name[i], word);
        if (known)
            continue;
        if (c->rules_n == RULES_MAX) {
            sigma_fail(r, n->line, "condition: at most %d rules", RULES_MAX);
            return;
        }
        c->rule_name[c->rules_n++] = word;
    }
}

/* Version 2.2: a temporal correlation may say by and, or, not which rules have to be there. */
static void when_read(struct reader *r, const struct node *n, struct correlation *c)
{
    struct named *named = sigma_get(r, (c->rules_n + 1) * sizeof *named);

    for (size_t i = 0; named && i < c->rules_n && r->err >= 0; i++) {
        named[i] = (struct named){ .name = c->rule_name[i], .expr = expr_new(r, OP_RULE, 0) };
        if (named[i].expr)
            named[i].expr->n = (uint32_t)i;
    }
    if (r->err >= 0)
        c->when = condition_read(r, named, c->rules_n, n->text, n->line);
    c->absence = c->when && says_not(c->when);
    if (c->when && correlation_when(c->when, 0))
        sigma_fail(r, n->line, "condition: it would hold when nothing happens");
}

static void condition_of(struct reader *r, const struct node *n, struct correlation *c)
{
    bool any = false;

    c->percentile = -1;
    if (n && n->kind == NODE_SCALAR && is_temporal(c)) {
        when_read(r, n, c);
        return;
    }
    if (n && n->kind != NODE_MAP) {
        sigma_fail(r, n->line, is_temporal(c) ? "condition: a map of gt, gte, lt, lte, eq and neq, or rules joined by and, or, not"
                                              : "condition: a map of gt, gte, lt, lte, eq, neq and field");
        return;
    }
    for (const struct node *k = n ? n->child : NULL; k && r->err >= 0; k = k->next) {
        if (!strcmp(k->key->text, "field")) {
            c->field_name = names_read(r, k, GROUPS_MAX, &c->field_n);
            c->field = sigma_get(r, (c->field_n + 1) * sizeof *c->field);
            for (size_t i = 0; i < c->field_n && r->err >= 0; i++)
                c->field[i] = field_of(r, c->field_name[i], k->line);
        } else if (!strcmp(k->key->text, "percentile")) {
            if (!number_read(SM_SPAN_STR(sigma_text(r, k)), &c->percentile) || c->percentile < 0 || c->percentile > 100)
                sigma_fail(r, k->line, "percentile: a number from 0 to 100");
        } else {
            limit_read(r, k, c);
            any = true;
        }
    }
    if (!any && !is_temporal(c))
        sigma_fail(r, n ? n->line : r->line, "condition: one of gt, gte, lt, lte, eq and neq is needed");
    if (c->type != CORRELATE_EVENT_COUNT && !is_temporal(c) && !c->field_n)
        sigma_fail(r, n ? n->line : r->line, "condition: a field is needed");
    if (c->type != CORRELATE_VALUE_COUNT && c->field_n > 1)
        sigma_fail(r, n->line, "condition: value_count alone takes several fields");
    if (c->type == CORRELATE_VALUE_MEDIAN)
        c->percentile = 50;
}

struct correlation *correlation_read(struct reader *r, const struct node *map)
{
    struct correlation *c = sigma_get(r, sizeof *c);

    if (!c)
        return NULL;
    r->line = map->line;
    type_read(r, map, c);
    c->rule_name = names_read(r, node_get(map, "rules"), RULES_MAX, &c->rules_n);
    const struct node *condition = node_get(map, "condition");
    if (r->err >= 0 && !c->rules_n && condition && condition->kind == NODE_SCALAR && is_temporal(c))
        rules_of_condition(r, condition, c);
    if (r->err >= 0 && !c->rules_n)
        sigma_fail(r, map->line, "correlation: no rules");
    c->rule = sigma_get(r, (c->rules_n + 1) * sizeof *c->rule);
    aliases_read(r, node_get(map, "aliases"), c);
    group_read(r, node_get(map, "group-by"), c);
    c->timespan_s = timespan_read(r, node_get(map, "timespan"), map->line);
    condition_of(r, condition, c);
    c->generate = !strcasecmp(sigma_text(r, node_get(map, "generate")), "true");
    return r->err < 0 ? NULL : c;
}

const struct correlation *sigma_correlation(const struct sigma_rule *rule)
{
    /* pub stands first in struct rule. */
    return rule && rule->kind == SIGMA_CORRELATION ? ((const struct rule *)rule)->correlation : NULL;
}
