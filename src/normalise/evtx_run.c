/* A record: compiled steps and values into the fields of an event. */
#include "normalise/evtx_int.h"

#include <errno.h>

enum { OUT_BLOCK = 16 << 10 };

struct run { struct bx_values values; unsigned nest; };

static int fragment(struct evtx *x, struct bx c, enum evtx_in in, unsigned nest);

/* n bytes where text may be written; NULL when out of memory. */
static uint8_t *room(struct evtx *x, size_t n)
{
    if ((size_t)(x->out_end - x->out) < n) {
        size_t want = n > OUT_BLOCK ? n : OUT_BLOCK;
        uint8_t *p = event_room(x->e, want);
        if (!p)
            return NULL;
        x->out = p;
        x->out_end = p + want;
    }
    return x->out;
}

static void written(struct evtx *x, size_t n)
{
    x->out += n;
    x->out_left -= n < x->out_left ? (uint32_t)n : x->out_left;
}

/* May there be another value?  Says so when not. */
static bool may(struct evtx *x)
{
    if (x->e->n < EVENT_FIELDS_MAX && x->data_n < EVTX_DATA_MAX && x->out_left && x->steps)
        return true;
    x->e->notes |= EVENT_CUT;
    return false;
}

static struct bx_value value_of(struct evtx *x, const struct run *r, uint32_t n)
{
    if (n < r->values.n)
        return r->values.v[n];
    x->e->notes |= EVENT_DAMAGED;
    return (struct bx_value){ (const uint8_t *)"", 0, BX_NULL };
}

static bool is_xml(const struct bx_value *v)
{
    return v->type == BX_XML;
}

static int unnamed(struct evtx *x, enum event_type type, struct sm_span text)
{
    x->data_any |= type != EVENT_NULL;
    x->data[x->data_n++] = text;
    return 0;
}

static int put(struct evtx *x, const struct evtx_op *o, uint16_t name, enum event_type type, struct sm_span text)
{
    if (type == EVENT_NULL && o->kind != OP_LEAF && o->kind != OP_DATA && o->kind != OP_DYNAMIC)
        return 0;
    return o->kind == OP_DATA ? unnamed(x, type, text) : event_add(x->e, name, type, text);
}

/* A GUID that a program wrote as text: in small letters, as those that are values of that type. */
static void small_guid(uint8_t *p)
{
    for (int i = 1; i < 37; i++) {
        bool dash = i == 9 || i == 14 || i == 19 || i == 24;
        uint8_t c = p[i];
        if (dash ? c != '-' : !((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')))
            return;
    }
    for (int i = 1; i < 37; i++)
        p[i] |= p[i] >= 'A' && p[i] <= 'F' ? 0x20 : 0;
}

/* One value that is neither array nor XML. */
static int put_value(struct evtx *x, const struct evtx_op *o, uint16_t name, const struct bx_value *v)
{
    enum event_type type;

    if (!may(x))
        return 0;
    uint8_t *to = room(x, evtx_text_room(v));
    if (!to)
        return -ENOMEM;
    size_t n = evtx_text(x, v, to, &type, &x->e->notes);
    if (n == 38 && to[0] == '{' && to[37] == '}')
        small_guid(to);
    written(x, n);
    return put(x, o, name, type, SM_SPAN(to, n));
}

static int put_array(struct evtx *x, const struct evtx_op *o, uint16_t name, const struct bx_value *v)
{
    struct bx_value one = { v->p, 0, BX_NULL };
    uint32_t at = 0;
    int r = 0;

    if (!v->n)
        return put_value(x, o, name, &one);
    while (!r && may(x) && evtx_element(v, &at, &one)) {
        x->steps--;
        r = put_value(x, o, name, &one);
    }
    return r;
}

/* Several pieces as one text. */
static int join(struct evtx *x, const struct run *r, const struct evtx_part *p, uint32_t n, struct sm_span *ret)
{
    enum event_type type;
    size_t need = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct bx_value v = p[i].p ? (struct bx_value){ 0 } : value_of(x, r, p[i].n);
        need += p[i].p ? p[i].n : evtx_text_room(&v);
    }
    *ret = SM_SPAN("", 0);
    if (!need)
        return 0;
    if (need > EVTX_OUT_MAX || !may(x)) {
        x->e->notes |= EVENT_CUT;
        return 0;
    }
    uint8_t *to = room(x, need);
    if (!to)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        if (p[i].p) {
            memcpy(to + ret->n, p[i].p, p[i].n);
            ret->n += p[i].n;
        } else {
            struct bx_value v = value_of(x, r, p[i].n);
            if (!is_xml(&v))
                ret->n += evtx_text(x, &v, to + ret->n, &type, &x->e->notes);
        }
    }
    ret->p = to;
    written(x, ret->n);
    return 0;
}

static int nested(struct evtx *x, const struct run *r, const struct evtx_op *o, const struct bx_value *v)
{
    uint32_t at = (uint32_t)(v->p - x->chunk);

    return fragment(x, (struct bx){ x->chunk, x->size, at, at + v->n, false }, (enum evtx_in)o->in, r->nest + 1);
}

/* XML among several pieces: done for itself, the text is joined of the others.  1: there was some, and no text beside
 * it. */
static int nested_pieces(struct evtx *x, const struct run *r, const struct evtx_op *o, uint32_t part)
{
    bool text = false, any = false;
    int e = 0;

    for (uint32_t i = 0; i < o->parts && !e && x->steps; i++) {
        struct evtx_part p = x->parts[part + i];
        struct bx_value v = p.p ? (struct bx_value){ 0 } : value_of(x, r, p.n);
        x->steps--;
        text |= p.p || (!is_xml(&v) && v.type != BX_NULL);
        any |= is_xml(&v);
        if (is_xml(&v))
            e = nested(x, r, o, &v);
    }
    return e ? e : any && !text;
}

/* Steps and parts may move when a template is compiled inside of another's value: o is a copy, parts are named by
 * number. */
static int leaf(struct evtx *x, const struct run *r, const struct evtx_op *o, uint16_t name, uint32_t part)
{
    struct evtx_part one = o->parts == 1 ? x->parts[part] : (struct evtx_part){ 0 };
    struct sm_span text = { one.p, one.n };

    if (o->parts == 1 && !one.p) {
        struct bx_value v = value_of(x, r, one.n);
        if (o->kind == OP_TIME && v.type == BX_FILETIME && v.n == 8)
            x->e->time = evtx_filetime(le64(v.p));
        if (is_xml(&v))
            return nested(x, r, o, &v);
        return v.type & BX_ARRAY ? put_array(x, o, name, &v) : put_value(x, o, name, &v);
    }
    if (!may(x))
        return 0;
    if (o->parts != 1) {
        int e = nested_pieces(x, r, o, part);
        e = e ? e : join(x, r, x->parts + part, o->parts, &text);
        if (e)
            return e < 0 ? e : 0;
    }
    return put(x, o, name, EVENT_TEXT, text);
}

static int dynamic(struct evtx *x, const struct run *r, const struct evtx_op *o)
{
    struct sm_span name;
    uint8_t text[EVENT_NAME_MAX];
    size_t n = 0;
    int e = join(x, r, x->parts + o->part, o->names, &name);

    for (size_t i = 0; i < name.n && n < sizeof text; i++)
        if (name.p[i] != ' ')
            text[n++] = name.p[i];
    if (e < 0)
        return e;
    if (n)
        return leaf(x, r, o, event_names_add(x->names, SM_SPAN(text, n)), o->part + o->names);
    struct evtx_op plain = *o;
    plain.kind = OP_DATA;
    return leaf(x, r, &plain, EVENT_F_Data, o->part + o->names);
}

/* Where only XML is expected, a value that is none is text only if it is any. */
static int nest(struct evtx *x, const struct run *r, const struct evtx_op *o)
{
    struct evtx_part p = x->parts[o->part];

    if (!p.p) {
        struct bx_value v = value_of(x, r, p.n);
        if (v.type == BX_NULL || !v.n)
            return 0;
    }
    return leaf(x, r, o, o->name, o->part);
}

static int steps(struct evtx *x, const struct run *r, const struct evtx_program *p)
{
    int e = 0;

    for (uint32_t i = 0; i < p->ops && !e; i++) {
        struct evtx_op o = x->ops[p->op + i];
        if (!x->steps) {
            x->e->notes |= EVENT_CUT;
            break;
        }
        x->steps--;
        if (o.kind == OP_NEST)
            e = nest(x, r, &o);
        else if (o.kind == OP_DYNAMIC)
            e = dynamic(x, r, &o);
        else
            e = leaf(x, r, &o, o.name, o.part);
    }
    return e;
}

/* The template is lost: its values as Data, and what is inside of them. */
static int without_template(struct evtx *x, const struct run *r, enum evtx_in in)
{
    static const struct evtx_op plain = { .kind = OP_DATA };
    int e = 0;

    x->e->notes |= EVENT_DAMAGED;
    for (uint32_t i = 0; i < r->values.n && !e && x->steps; i++) {
        const struct bx_value *v = &r->values.v[i];
        x->steps--;
        if (is_xml(v))
            e = fragment(x, (struct bx){ x->chunk, x->size, (uint32_t)(v->p - x->chunk),
            (uint32_t)(v->p - x->chunk) + v->n,
                false }, in == IN_NOTHING ? IN_EVENT : in, r->nest + 1);
        else if (v->type & BX_ARRAY)
            e = put_array(x, &plain, EVENT_F_Data, v);
        else
            e = put_value(x, &plain, EVENT_F_Data, v);
    }
    return e;
}

static int instance(struct evtx *x, struct bx *c, enum evtx_in in, unsigned nest_n)
{
    struct bx_template t;
    struct run r = { .nest = nest_n };
    bool cut = false;
    uint32_t i;

    (void)bx_take(c, 1);
    if (!evtx_instance(c, x->values[nest_n], &t, &r.values, &cut))
        return 0;
    x->e->notes |= cut ? EVENT_CUT : 0;
    int e = evtx_compile(x, t.at, in, &i);
    if (e == -ENOMEM)
        return e;
    bool other = e < 0 || x->programs[i].bad || le32(x->chunk + t.at + 4) != t.id;
    const struct evtx_program *kept = other ? evtx_recall(x, t.id, in, r.values.n) : NULL;
    if (kept) {
        struct evtx_program p = *kept;
        x->e->notes |= EVENT_DAMAGED;
        return steps(x, &r, &p);
    }
    if (e < 0 || (!x->programs[i].ops && (x->programs[i].bad || in == IN_NOTHING)))
        return without_template(x, &r, in);
    if (other)
        x->e->notes |= EVENT_DAMAGED;
    struct evtx_program p = x->programs[i];
    return steps(x, &r, &p);
}

/* An element that is written out in the record. */
static int plain_element(struct evtx *x, struct bx *c, enum evtx_in in, unsigned nest_n)
{
    uint32_t ops = x->ops_n, parts = x->parts_n;
    struct evtx_program p = { 0 };
    struct run r = { .nest = nest_n };
    int e = evtx_compile_here(x, c, in, &p);

    if (e)
        return e;
    x->e->notes |= p.values ? EVENT_DAMAGED : 0; /* it has none to fill in */
    uint32_t built = x->ops_n;
    e = steps(x, &r, &p);
    if (built == x->ops_n) { /* no template came behind it meanwhile */
        x->ops_n = ops;
        x->parts_n = parts;
    }
    return e;
}

static int fragment(struct evtx *x, struct bx c, enum evtx_in in, unsigned nest_n)
{
    int e = 0;

    if (nest_n == EVTX_NEST_MAX) {
        x->e->notes |= EVENT_CUT;
        return 0;
    }
    while (!e && !c.bad && c.at < c.end) {
        unsigned token = bx_peek(&c);
        if (token == BX_END)
            break;
        if (!x->steps)
            return 0; /* said where it was used up */
        x->steps--;
        if (token == BX_HEAD)
            (void)bx_take(&c, 4);
        else if (token == BX_TEMPLATE)
            e = instance(x, &c, in, nest_n);
        else if (token == BX_OPEN)
            e = plain_element(x, &c, in, nest_n);
        else
            c.bad = true;
    }
    x->e->notes |= c.bad ? EVENT_DAMAGED : 0;
    return e;
}

/* Values without names, joined. */
static int finish_data(struct evtx *x)
{
    size_t n = x->data_n ? x->data_n - 1 : 0;

    if (!x->data_n)
        return 0;
    if (!x->data_any)
        return event_add(x->e, EVENT_F_Data, EVENT_NULL, SM_SPAN("", 0));
    if (x->data_n == 1)
        return event_add(x->e, EVENT_F_Data, EVENT_TEXT, x->data[0]);
    for (uint32_t i = 0; i < x->data_n; i++)
        n += x->data[i].n;
    uint8_t *to = room(x, n), *w = to;
    if (!to)
        return -ENOMEM;
    for (uint32_t i = 0; i < x->data_n; i++) {
        if (i)
            *w++ = '\n';
        if (x->data[i].n)
            memcpy(w, x->data[i].p, x->data[i].n);
        w += x->data[i].n;
    }
    written(x, n);
    return event_add(x->e, EVENT_F_Data, EVENT_TEXT, SM_SPAN(to, n));
}

int evtx_run(struct evtx *x, uint32_t at, uint32_t end, struct event *e)
{
    static const uint8_t severity[] = { EVENT_NO_SEVERITY, 2, 3, 4, 6, 7 };

    x->e = e;
    x->out = x->out_end = NULL;
    x->out_left = EVTX_OUT_MAX;
    x->steps = EVTX_STEPS_MAX;
    x->data_n = 0;
    x->data_any = false;
    int r = fragment(x, (struct bx){ x->chunk, x->size, at, end, false }, IN_NOTHING, 0);
    if (r < 0)
        return r;
    if ((r = finish_data(x)) < 0)
        return r;
    struct sm_span level = event_text(e, EVENT_F_Level);
    if (level.n == 1 && level.p[0] >= '1' && level.p[0] <= '5')
        e->severity = severity[level.p[0] - '0'];
    e->host = event_text(e, EVENT_F_Computer);
    return 0;
}
