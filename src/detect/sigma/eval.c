/* An event as the matcher sees it, and a condition held against it. */
#include "detect/sigma/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXTRAS = 8, RAW_AT = EVENT_FIELDS_MAX + EXTRAS, SLOTS = RAW_AT + 1, EXTRA_BYTES = 2048 };

int view_init(struct view *v, const struct sigma_set *set, int zone_s)
{
    *v = (struct view){ .set = set, .zone_s = zone_s };
    v->index = calloc((size_t)EVENT_NAMES_MAX + 1, sizeof *v->index);
    v->folded = calloc(SLOTS, sizeof *v->folded);
    v->regex = regex_state_new();
    if (v->index && v->folded && v->regex)
        return 0;
    view_wipe(v);
    return -ENOMEM;
}

void view_wipe(struct view *v)
{
    free(v->index);
    free(v->folded);
    free(v->room);
    regex_state_free(v->regex);
    *v = (struct view){ 0 };
}

/* Raw bytes are looked at for keywords when they are a line of text: not the wrapping of XML, JSON or EVTX. */
bool view_raw_counts(const struct view *v)
{
    const struct event *e = v->e;

    return e->raw.n && e->format != EVENT_W_evtx && e->format != EVENT_W_json && e->product != EVENT_W_windows &&
           !(e->notes & (EVENT_DECODED | EVENT_REPLACED));
}

void view_open(struct view *v, const struct event *e)
{
    size_t total = EXTRA_BYTES;

    v->e = e;
    v->err = 0;
    v->rename_n = 0;
    v->room_n = v->all_n = 0;
    if (!++v->stamp) {
        memset(v->index, 0, ((size_t)EVENT_NAMES_MAX + 1) * sizeof *v->index);
        v->stamp = 1;
    }
    for (size_t i = 0; i < e->n; i++) {
        uint16_t name = e->fields[i].name;
        total += e->fields[i].n + 1;
        if (v->index[name].stamp != v->stamp) {
            v->index[name].stamp = v->stamp;
            v->index[name].at = (uint16_t)i;
        }
    }
    memset(v->folded, 0, e->n * sizeof *v->folded);
    memset(v->folded + EVENT_FIELDS_MAX, 0, (EXTRAS + 1) * sizeof *v->folded);
    memset(v->extra, 0, sizeof v->extra);
    if (view_raw_counts(v))
        total += e->raw.n;
    if (total > v->room_cap) {
        free(v->room);
        v->room = malloc(total + 4096);
        v->room_cap = v->room ? total + 4096 : 0;
        if (!v->room)
            v->err = -ENOMEM;
    }
}

/* @timestamp, @host and such: what the event has beside its fields. */
static const struct event_field *extra(struct view *v, enum beside which)
{
    const struct sigma_set *s = v->set;
    struct event_field *f = &v->extra[which];
    const struct event *e = v->e;
    struct sm_span text = { 0 };

    if (f->p)
        return f;
    if (which == AT_TIMESTAMP) {
        int64_t local = e->time.s + v->zone_s;
        int n = snprintf(v->extra_text, sizeof v->extra_text, "%04.0f-%02.0f-%02.0fT%02.0f:%02.0f:%02d",
            unit_of(UNIT_YEAR, local), unit_of(UNIT_MONTH, local), unit_of(UNIT_DAY, local), unit_of(UNIT_HOUR, local),
            unit_of(UNIT_MINUTE, local), (int)((local % 60 + 60) % 60));
        text = SM_SPAN(v->extra_text, (size_t)n);
    } else if (which == AT_HOST) {
        text = e->host.n < 1024 ? e->host : SM_SPAN(e->host.p, 1024);
    } else if (which == AT_SEVERITY) {
        static const char digit[] = "01234567";
        text = e->severity < 8 ? SM_SPAN(digit + e->severity, 1) : (struct sm_span){ 0 };
    } else {
        uint16_t word = which == AT_PRODUCT    ? e->product
                        : which == AT_CATEGORY ? e->category
                        : which == AT_SERVICE  ? e->service
                                               : e->format;
        text = word ? event_names_text(s->names, word) : (struct sm_span){ 0 };
    }
    if (!text.n)
        return NULL;
    *f = (struct event_field){ .p = text.p, .n = (uint32_t)text.n, .name = s->at[which], .type = EVENT_TEXT };
    return f;
}

const struct event_field *view_get(struct view *v, uint16_t name)
{
    for (size_t i = 0; i < v->rename_n; i++)
        if (v->rename[i].from == name) {
            name = v->rename[i].to;
            break;
        }
    enum beside which = at_of(v->set, name);
    if (which != AT_COUNT)
        return extra(v, which); /* a field of that name, as some senders have, does not stand before it */
    if (v->index[name].stamp == v->stamp)
        return &v->e->fields[v->index[name].at];
    return NULL;
}

static bool is_extra(const struct view *v, const struct event_field *f)
{
    return f >= v->extra && f < v->extra + EXTRAS;
}

const struct event_field *view_next(struct view *v, const struct event_field *f)
{
    return is_extra(v, f) ? NULL : event_next(v->e, f);
}

static const uint8_t *fold_at(struct view *v, size_t slot, struct sm_span s)
{
    if (v->folded[slot])
        return v->folded[slot];
    if (v->room_cap - v->room_n < s.n) {
        v->err = v->room ? v->err : -ENOMEM;
        return NULL;
    }
    uint8_t *to = v->room + v->room_n;
    if (s.n)
        fold_text(to, s.p, s.n);
    v->room_n += s.n;
    v->folded[slot] = to;
    return to;
}

const uint8_t *view_folded(struct view *v, const struct event_field *f)
{
    if (!v->room)
        return NULL;
    return fold_at(
        v, is_extra(v, f) ? (size_t)(EVENT_FIELDS_MAX + (f - v->extra)) : (size_t)(f - v->e->fields), event_value(f));
}

const uint8_t *view_folded_raw(struct view *v)
{
    return v->room ? fold_at(v, RAW_AT, v->e->raw) : NULL;
}

/* Asked for before any single value of the event (match.c), so that the room holds them in a row. */
const uint8_t *view_folded_all(struct view *v, size_t *ret_n)
{
    const struct event *e = v->e;

    if (!v->room)
        return NULL;
    for (size_t i = 0; i < e->n && !v->all_n; i++)
        if (e->fields[i].n && fold_at(v, i, event_value(&e->fields[i])))
            v->room[v->room_n++] = '\n';
    if (!v->all_n && view_raw_counts(v))
        (void)fold_at(v, RAW_AT, e->raw);
    v->all_n = v->all_n ? v->all_n : v->room_n;
    *ret_n = v->all_n;
    return v->room;
}

static bool any_pattern(struct view *v, const struct atom *a, struct sm_span value, const uint8_t *folded)
{
    if (!folded)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (pattern_match(&a->pattern[i], value, folded))
            return true;
    return false;
}

static bool regex(struct view *v, const struct atom *a, struct sm_span value)
{
    int r = regex_match(a->regex, v->regex, value);

    if (r == -SM_ELIMIT) {
        v->regex_limits++;
        v->limit = true;
    }
    return r == 1;
}

static bool refer(struct view *v, const struct atom *a, const struct event_field *f)
{
    for (const struct event_field *g = view_get(v, a->ref); g; g = view_next(v, g)) {
        struct pattern p = {
            .kind = a->ref_kind, .cased = a->cased, .n = g->n, .text = a->cased ? g->p : view_folded(v, g)
        };
        const uint8_t *have = view_folded(v, f);
        if (p.text && have && pattern_match(&p, event_value(f), have))
            return true;
    }
    return false;
}

static bool unit(struct view *v, const struct atom *a, const struct event_field *f)
{
    double have;

    if (f->name == v->set->at[AT_TIMESTAMP] && is_extra(v, f))
        have = unit_of((enum unit)a->unit, v->e->time.s + v->zone_s);
    else if (!unit_read((enum unit)a->unit, event_value(f), &have))
        return false;
    return number_compare((enum compare)a->compare, have, a->number);
}

/*
 * One value of the event.  One that is null is an empty text: the same record has the one in EVTX and the other in XML, and
 * in JSON as the sender pleases, so no rule may tell them apart.
 */
static bool value_holds(struct view *v, const struct atom *a, const struct event_field *f)
{
    double have;

    switch (a->test) {
    case TEST_TEXT:
        return any_pattern(v, a, event_value(f), view_folded(v, f));
    case TEST_REGEX:
        return regex(v, a, event_value(f));
    case TEST_CIDR:
        return cidr_match(&a->cidr, event_value(f));
    case TEST_NUMBER:
        return number_read(event_value(f), &have) && number_compare((enum compare)a->compare, have, a->number);
    case TEST_REF:
        return refer(v, a, f);
    case TEST_NULL:
        return !f->n;
    default:
        return unit(v, a, f);
    }
}

static bool keyword(struct view *v, const struct atom *a)
{
    for (size_t i = 0; i < v->e->n; i++)
        if (value_holds(v, a, &v->e->fields[i]))
            return true;
    if (!view_raw_counts(v) || a->test != TEST_TEXT)
        return false;
    return any_pattern(v, a, v->e->raw, view_folded_raw(v));
}

bool eval_atom(struct view *v, const struct atom *a)
{
    if (!a->name)
        return keyword(v, a);
    const struct event_field *f = view_get(v, a->name);
    if (a->test == TEST_EXISTS)
        return (f != NULL) == (a->number > 0);
    if (a->test == TEST_NULL && !f)
        return true;
    for (; f; f = view_next(v, f))
        if (value_holds(v, a, f))
            return true;
    return false;
}

bool eval_expr(struct view *v, const struct expr *x)
{
    switch (x->op) {
    case OP_ATOM:
        return eval_atom(v, x->atom);
    case OP_AND:
        for (uint32_t i = 0; i < x->n; i++)
            if (!eval_expr(v, x->kid[i]))
                return false;
        return true;
    case OP_OR:
        for (uint32_t i = 0; i < x->n; i++)
            if (eval_expr(v, x->kid[i]))
                return true;
        return false;
    case OP_NOT:
        return !eval_expr(v, x->kid[0]);
    default:
        return false;
    }
}

bool eval_where(struct view *v, const struct where *w)
{
    for (const struct event_field *f = view_get(v, w->name); f; f = view_next(v, f)) {
        const uint8_t *have = view_folded(v, f);
        for (size_t i = 0; i < w->n && have; i++)
            if (strlen(w->value[i]) == f->n && !memcmp(w->value[i], have, f->n))
                return true;
    }
    return false;
}
