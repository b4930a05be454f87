#include "detect/sigma/matcher.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN = 6, WANT_MAX = 1024 };

struct explain {
    struct view *v;
    const struct found *found;
    sigma_line_fn *line;
    void *ctx;
    char want[WANT_MAX];
};

static const char *name_of(const struct explain *x, uint16_t name)
{
    return (const char *)event_names_text(x->v->set->names, name).p;
}

/* The name under which the field stands in the event, when the log source gives it another. */
static const char *renamed(const struct explain *x, uint16_t name)
{
    for (size_t i = 0; i < x->found->rename_n; i++)
        if (x->found->rename[i].from == name)
            return name_of(x, x->found->rename[i].to);
    return "";
}

/* What an atom compares with: the pattern that matched, or the first ones. */
static const char *wanted(struct explain *x, const struct atom *a, const struct event_field *have)
{
    size_t n = 0;

    if (a->test == TEST_NULL)
        return "null";
    if (a->test != TEST_TEXT)
        return a->want;
    const uint8_t *folded = have ? view_folded(x->v, have) : NULL;
    for (uint32_t i = 0; i < a->n && folded; i++)
        if (pattern_match(&a->pattern[i], event_value(have), folded))
            return a->pattern[i].source;
    x->want[0] = 0;
    const char *last = NULL;
    for (uint32_t i = 0, shown = 0; i < a->n && n < sizeof x->want - 1; i++) {
        if (last && !strcmp(last, a->pattern[i].source))
            continue; /* variants of one value */
        last = a->pattern[i].source;
        if (shown++ == SHOWN) {
            n += (size_t)snprintf(x->want + n, sizeof x->want - n, ", … (%u)", a->n);
            break;
        }
        n += (size_t)snprintf(x->want + n, sizeof x->want - n, "%s%s", shown > 1 ? ", " : "", last);
    }
    return x->want;
}

/* The value to show: the one that makes it true, else the first. */
static const struct event_field *shown(struct explain *x, const struct atom *a)
{
    const struct event *e = x->v->e;

    if (a->name) {
        const struct event_field *first = view_get(x->v, a->name);
        for (const struct event_field *f = first; f && a->test == TEST_TEXT; f = view_next(x->v, f)) {
            const uint8_t *folded = view_folded(x->v, f);
            for (uint32_t i = 0; i < a->n && folded; i++)
                if (pattern_match(&a->pattern[i], event_value(f), folded))
                    return f;
        }
        return first;
    }
    for (size_t i = 0; i < e->n && a->test == TEST_TEXT; i++) {
        const uint8_t *folded = view_folded(x->v, &e->fields[i]);
        for (uint32_t k = 0; k < a->n && folded; k++)
            if (pattern_match(&a->pattern[k], event_value(&e->fields[i]), folded))
                return &e->fields[i];
    }
    return NULL;
}

static bool explain_expr(struct explain *x, const struct expr *e, const char *label, unsigned depth)
{
    static const char *const word[] = { [OP_AND] = "and", [OP_OR] = "or", [OP_NOT] = "not", [OP_NEVER] = "never" };
    const char *own = e->label ? e->label : label;
    bool truth = eval_expr(x->v, e);

    if (e->op == OP_ATOM) {
        const struct atom *a = e->atom;
        const struct event_field *have = shown(x, a);
        struct sigma_line l = { .depth = depth,
            .truth = truth,
            .what = own ? own : "",
            .want = wanted(x, a, have),
            .have = have ? event_value(have) : (struct sm_span){ 0 },
            .absent = !have,
            .field = a->name ? renamed(x, a->name)
                     : have  ? name_of(x, have->name)
                             : "" };
        x->line(x->ctx, &l);
        return truth;
    }
    /* A selection of one thing is that thing: no line of its own. */
    bool silent = e->n == 1 && e->op != OP_NOT && !e->label;
    if (!silent) {
        struct sigma_line l = {
            .depth = depth, .truth = truth, .what = e->label ? e->label : word[e->op], .want = "", .field = ""
        };
        x->line(x->ctx, &l);
    }
    for (uint32_t i = 0; i < e->n; i++)
        explain_expr(x, e->kid[i],
            e->op == OP_NOT            ? NULL
            : label && !e->label       ? label
            : e->kid[i]->op == OP_ATOM ? e->label
                                       : NULL,
            depth + !silent);
    return truth;
}

static void describe(const struct explain *x, const struct found *f, char *to, size_t n)
{
    size_t k = 0;

    if (f->place)
        k = (size_t)snprintf(to, n, "%s", f->place);
    else if (f->windows)
        k = (size_t)snprintf(to, n, "windows");
    else if (f->channel_n)
        k = (size_t)snprintf(to, n, "%s", f->channel[0]);
    else
        k = (size_t)snprintf(to, n, "%s/%s/%s", f->product ? name_of(x, f->product) : "",
            f->category ? name_of(x, f->category) : "", f->service ? name_of(x, f->service) : "");
    for (size_t i = 0; i < f->id_n && k < n; i++)
        k += (size_t)snprintf(to + k, n - k, "%s%u", i ? "," : " EventID ", f->id[i]);
}

/* One way in which the events of the rule come. */
static bool explain_way(
    struct explain *x, const struct sigma_matcher *m, struct sigma_scratch *s, const struct instance *in)
{
    char text[WANT_MAX];
    bool here = match_place(m, s, in);

    x->found = in->found;
    for (size_t i = 0; i < in->found->where_n && here; i++)
        here = eval_where(x->v, &in->found->where[i]);
    describe(x, in->found, text, sizeof text);
    x->line(x->ctx, &(struct sigma_line){ .truth = here, .what = "log source", .want = text, .field = "" });
    return here;
}

static int explain_with(struct explain *x, const struct rule *rule)
{
    int yes;

    x->v->rename = x->found->rename;
    x->v->rename_n = x->found->rename_n;
    yes = explain_expr(x, rule->cond, "condition", 0);
    x->v->rename_n = 0;
    return yes;
}

int sigma_explain(const struct sigma_matcher *m, struct sigma_scratch *s, const struct sigma_rule *pub,
    const struct event *e, sigma_line_fn *line, void *ctx)
{
    const struct rule *rule = (const struct rule *)pub; /* pub stands first */
    static const struct found nowhere;
    struct explain x = { .v = scratch_view(s), .found = &nowhere, .line = line, .ctx = ctx };
    bool tried = false;
    int match = 0;

    if (pub->kind != SIGMA_RULE)
        return -SM_ENOTFOUND;
    view_open(x.v, e);
    if (x.v->err < 0)
        return x.v->err;
    if (*pub->waits)
        line(ctx, &(struct sigma_line){ .what = "expand", .want = pub->waits, .absent = true, .field = "" });
    for (size_t i = 0; i < m->site_n; i++)
        for (size_t k = 0; k < m->site[i].n; k++) {
            const struct instance *in = m->site[i].instance[k];
            if (in->rule != rule || !explain_way(&x, m, s, in))
                continue;
            match |= explain_with(&x, rule);
            tried = true;
        }
    /* No way led here: the condition is told all the same, for whoever looks for the reason. */
    x.found = &nowhere;
    if (!tried && !*pub->waits)
        explain_with(&x, rule);
    return x.v->err < 0 ? x.v->err : match;
}
