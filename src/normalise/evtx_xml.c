/* A record as XML text for people. */
#include "normalise/evtx_int.h"

#include <errno.h>

struct xml {
    struct evtx *x;
    struct sm_buf *to;
    uint32_t steps, notes;
    int err;
    bool bad;
};

static void fragment(struct xml *w, struct bx c, unsigned nest);

static void put(struct xml *w, const void *p, size_t n)
{
    if (!w->err)
        w->err = sm_buf_put(w->to, p, n);
}

static void put_str(struct xml *w, const char *s)
{
    put(w, s, strlen(s));
}

/* Characters that XML 1.0 has not stand as U+FFFD. */
static void escaped(struct xml *w, const uint8_t *p, size_t n)
{
    size_t from = 0;

    for (size_t i = 0; i < n; i++) {
        const char *as = NULL;
        switch (p[i]) {
        case '<': as = "&lt;"; break;
        case '>': as = "&gt;"; break;
        case '&': as = "&amp;"; break;
        case '"': as = "&quot;"; break;
        case '\'': as = "&apos;"; break;
        case '\t': as = "&#9;"; break;
        case '\n': as = "&#10;"; break;
        case '\r': as = "&#13;"; break;
        default: as = p[i] < 0x20 ? "\xef\xbf\xbd" : NULL;
        }
        if (!as)
            continue;
        put(w, p + from, i - from);
        put_str(w, as);
        from = i + 1;
    }
    put(w, p + from, n - from);
}

static void text(struct xml *w, struct bx_text t, bool escape)
{
    bool replaced = false;
    uint8_t part[3 * 512 + 16];

    while (t.units && !w->err) {
        uint32_t k = t.units < 512 ? t.units : 512;
        if (k < t.units && (le16(t.p + 2 * k - 2) & 0xfc00) == 0xd800)
            k--; /* not between the halves of a character */
        size_t n = evtx_utf8((struct bx_text){ t.p, k }, part, &replaced);
        if (escape)
            escaped(w, part, n);
        else
            put(w, part, n);
        t.p += 2 * k;
        t.units -= k;
    }
}

static void value(struct xml *w, const struct bx_value *v)
{
    struct sm_buf b = SM_BUF_INIT(EVTX_OUT_MAX);
    enum event_type type;

    if (v->type == BX_UTF16) {
        uint32_t units = v->n / 2;
        while (units && !le16(v->p + 2 * units - 2))
            units--;
        text(w, (struct bx_text){ v->p, units }, true);
        return;
    }
    int r = sm_buf_reserve(&b, evtx_text_room(v));
    if (r < 0)
        w->err = w->err ? w->err : r;
    else
        escaped(w, b.p, evtx_text(w->x, v, b.p, &type, &w->notes));
    sm_buf_wipe(&b);
}

struct values { struct bx_values at; unsigned nest; };

/* A value in text; tag and to: bytes of the start tag that it stands in, to be said again for each of an array. */
static void substitute(struct xml *w, struct bx *c, const struct values *s, struct bx_text tag, size_t tag_at,
    size_t tag_n)
{
    (void)bx_take(c, 1);
    uint32_t n = bx_u16(c), at = 0;
    (void)bx_u8(c);
    if (c->bad || n >= s->at.n)
        return;
    struct bx_value v = s->at.v[n], one;
    if (v.type == BX_XML) {
        uint32_t from = (uint32_t)(v.p - w->x->chunk);
        fragment(w, (struct bx){ w->x->chunk, w->x->size, from, from + v.n, false }, s->nest + 1);
    } else if (!(v.type & BX_ARRAY)) {
        value(w, &v);
    }
    while ((v.type & BX_ARRAY) && evtx_element(&v, &at, &one) && w->steps && !w->err) {
        w->steps--;
        if (one.p != v.p && tag_n) {
            put_str(w, "</");
            text(w, tag, false);
            put_str(w, ">");
            if (!w->err && !(w->err = sm_buf_reserve(w->to, tag_n)))
                put(w, w->to->p + tag_at, tag_n);
        } else if (one.p != v.p) {
            put_str(w, " ");
        }
        value(w, &one);
    }
}

/* A piece of text at the cursor: true when it was one. */
static bool piece(struct xml *w, struct bx *c, const struct values *s, struct bx_text tag, size_t tag_at, size_t tag_n)
{
    struct bx_text name;
    uint8_t one[4];

    switch (bx_peek(c)) {
    case BX_TEXT:
        (void)bx_take(c, 2);
        text(w, bx_units(c), true);
        return true;
    case BX_CDATA:
        (void)bx_take(c, 1);
        text(w, bx_units(c), true);
        return true;
    case BX_CHARACTER:
    case BX_ENTITY: {
        uint32_t ch = bx_character(c, &name);
        if (ch)
            escaped(w, one, utf8_put(one, ch));
        else
            text(w, name, true);
        return true;
    }
    case BX_VALUE:
    case BX_OPTIONAL:
        substitute(w, c, s, tag, tag_at, tag_n);
        return true;
    default:
        return false;
    }
}

/* Is the value at the cursor one that makes its attribute be left out? */
static bool left_out(const struct bx *c, const struct values *s)
{
    if (bx_peek(c) != BX_OPTIONAL || bx_left(c) < 4)
        return false;
    uint32_t n = le16(c->chunk + c->at + 1);
    return n >= s->at.n || s->at.v[n].type == BX_NULL;
}

static void attribute(struct xml *w, struct bx *c, const struct values *s)
{
    (void)bx_take(c, 1);
    struct bx_text name = bx_name(c);
    size_t before = w->to->n;
    bool out = left_out(c, s);

    put_str(w, " ");
    text(w, name, false);
    put_str(w, "=\"");
    while (!w->err && !c->bad && piece(w, c, s, name, 0, 0))
        continue;
    put_str(w, "\"");
    if (out && !w->err)
        w->to->n = before;
}

static void element(struct xml *w, struct bx *c, const struct values *s, bool in_template, unsigned depth);

static void content(struct xml *w, struct bx *c, const struct values *s, bool in_template, unsigned depth,
    struct bx_text tag,
    size_t tag_at, size_t tag_n)
{
    while (!w->err && !c->bad && !w->bad && w->steps) {
        w->steps--;
        if (piece(w, c, s, tag, tag_at, tag_n))
            continue;
        unsigned token = bx_peek(c);
        if (token == BX_OPEN) {
            element(w, c, s, in_template, depth + 1);
        } else if (token == BX_CLOSE) {
            (void)bx_take(c, 1);
            return;
        } else if (token == BX_PI_TARGET || token == BX_PI_DATA) {
            (void)bx_take(c, 1);
            (void)(token == BX_PI_TARGET ? bx_name(c) : bx_units(c));
        } else {
            c->bad = true;
        }
    }
}

static void element(struct xml *w, struct bx *c, const struct values *s, bool in_template, unsigned depth)
{
    bool more;
    size_t at = w->to->n;
    struct bx_text tag = bx_open(c, in_template, &more);

    if (depth == EVTX_DEPTH_MAX || c->bad) {
        c->bad = true;
        return;
    }
    put_str(w, "<");
    text(w, tag, false);
    if (more)
        (void)bx_u32(c);
    while (!w->err && !c->bad && more && bx_peek(c) == BX_ATTRIBUTE)
        attribute(w, c, s);
    if (bx_u8(c) != BX_CLOSE_START) {
        put_str(w, "/>");
        return;
    }
    put_str(w, ">");
    content(w, c, s, in_template, depth, tag, at, w->to->n - at);
    put_str(w, "</");
    text(w, tag, false);
    put_str(w, ">");
}

static void instance(struct xml *w, struct bx *c, unsigned nest)
{
    struct values s = { .nest = nest };
    struct bx_template t;
    bool cut = false;
    const struct evtx *x = w->x;

    (void)bx_take(c, 1);
    if (!evtx_instance(c, w->x->values[nest], &t, &s.at, &cut))
        return;
    w->bad |= cut;
    if (t.at < EVTX_CHUNK_HEAD || t.at > x->size || x->size - t.at < 24) {
        w->bad = true;
        return;
    }
    uint32_t size = le32(x->chunk + t.at + 20), have = x->size - t.at - 24;
    struct bx d = { x->chunk, x->size, t.at + 24, t.at + 24 + (size < have ? size : have), false };
    while (!w->err && !d.bad && w->steps && bx_peek(&d) != BX_END) {
        w->steps--;
        if (bx_peek(&d) == BX_OPEN)
            element(w, &d, &s, true, 0);
        else if (bx_peek(&d) == BX_HEAD)
            (void)bx_take(&d, 4);
        else
            d.bad = true;
    }
    w->bad |= d.bad;
}

static void fragment(struct xml *w, struct bx c, unsigned nest)
{
    struct values none = { .nest = nest };

    if (nest == EVTX_NEST_MAX) {
        w->bad = true;
        return;
    }
    while (!w->err && !c.bad && w->steps && bx_peek(&c) != BX_END) {
        w->steps--;
        if (bx_peek(&c) == BX_HEAD)
            (void)bx_take(&c, 4);
        else if (bx_peek(&c) == BX_TEMPLATE)
            instance(w, &c, nest);
        else if (bx_peek(&c) == BX_OPEN)
            element(w, &c, &none, false, 0);
        else
            c.bad = true;
    }
    w->bad |= c.bad;
}

int evtx_xml(struct evtx *x, struct sm_buf *ret)
{
    struct xml w = { .x = x, .to = ret, .steps = EVTX_STEPS_MAX };
    size_t before = ret->n;

    if (!x->record)
        return -SM_ESTATE;
    fragment(&w, (struct bx){ x->chunk, x->size, x->record + EVTX_RECORD_HEAD, x->record_end, false }, 0);
    if (w.bad || !w.steps)
        put_str(&w, "<!-- damaged -->");
    if (w.err)
        ret->n = before;
    return w.err;
}
