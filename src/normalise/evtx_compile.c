/* Binary XML: tokens, and templates compiled into steps "value i → field". */
#include "normalise/evtx_int.h"

#include <errno.h>
#include <stdlib.h>

enum { NAME_UNITS_MAX = 256, BLOCK = 32 << 10, TAG_MAX = EVENT_NAME_MAX };

/* ---- tokens ---- */

static bool name_at(const struct bx *c, uint32_t at, struct bx_text *ret)
{
    if (at > c->size || c->size - at < 8)
        return false;
    uint32_t units = le16(c->chunk + at + 6);
    if (!units || units > NAME_UNITS_MAX || (c->size - at - 8) / 2 < units)
        return false;
    *ret = (struct bx_text){ c->chunk + at + 8, units };
    return true;
}

struct bx_text bx_name(struct bx *c)
{
    uint32_t at = bx_u32(c);
    struct bx_text t = { (const uint8_t *)"", 0 };

    if (c->bad)
        return t;
    if (!name_at(c, at, &t))
        c->bad = true;
    else if (at == c->at)
        (void)bx_take(c, 8 + 2 * t.units + 2); /* says itself when it is not all there */
    return t;
}

/* Is there a name where a head with (2) or without (0) a dependency says? */
static bool head_fits(const struct bx *c, uint32_t dependency)
{
    struct bx_text t;

    return bx_left(c) >= 9 + dependency && name_at(c, le32(c->chunk + c->at + 5 + dependency), &t);
}

struct bx_text bx_open(struct bx *c, bool in_template, bool *ret_more)
{
    uint32_t dependency = in_template ? 2 : 0;

    *ret_more = c->at < c->end && (c->chunk[c->at] & BX_MORE);
    if (!c->bad && !head_fits(c, dependency) && head_fits(c, 2 - dependency))
        dependency = 2 - dependency;
    (void)bx_take(c, 1 + dependency + 4);
    return bx_name(c);
}

struct bx_text bx_units(struct bx *c)
{
    uint32_t units = bx_u16(c);
    const uint8_t *p = bx_take(c, 2 * units);

    return (struct bx_text){ p ? p : (const uint8_t *)"", p ? units : 0 };
}

uint32_t bx_character(struct bx *c, struct bx_text *ret_name)
{
    static const struct { const char *name; uint32_t c; } known[] = {
        { "lt", '<' }, { "gt", '>' }, { "amp", '&' }, { "quot", '"' }, { "apos", '\'' },
    };
    *ret_name = (struct bx_text){ (const uint8_t *)"", 0 };
    if ((bx_u8(c) & ~(unsigned)BX_MORE) == BX_CHARACTER) {
        uint32_t v = bx_u16(c);
        return v && (v & 0xf800) != 0xd800 ? v : 0xfffd;
    }
    struct bx_text t = *ret_name = bx_name(c);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i].name), k = 0;
        while (k < n && t.units == n && le16(t.p + 2 * k) == (uint8_t)known[i].name[k])
            k++;
        if (k == n)
            return known[i].c;
    }
    return 0;
}

bool evtx_instance(struct bx *c, struct bx_value *room, struct bx_template *ret, struct bx_values *ret_values,
    bool *ret_cut)
{
    (void)bx_u8(c); /* 1 */
    ret->id = bx_u32(c);
    ret->at = bx_u32(c);
    if (c->bad)
        return false;
    if (ret->at == c->at) {
        const uint8_t *head = bx_take(c, 24);
        if (!head || !bx_take(c, le32(head + 20)))
            return false;
    }
    uint32_t n = bx_u32(c), i = 0;
    if (c->bad || n > bx_left(c) / 4) {
        c->bad = true;
        return false;
    }
    const uint8_t *d = bx_take(c, 4 * n);
    for (; i < n; i++, d += 4) {
        uint32_t size = le16(d), have = size < bx_left(c) ? size : bx_left(c);
        if (i < EVTX_VALUES_MAX)
            room[i] = (struct bx_value){ c->chunk + c->at, have, d[2] };
        else
            *ret_cut = true;
        c->at += have;
        c->bad |= have < size;
    }
    *ret_values = (struct bx_values){ room, n < EVTX_VALUES_MAX ? n : EVTX_VALUES_MAX };
    return true;
}

/* ---- memory of a chunk ---- */

void evtx_forget_programs(struct evtx *x)
{
    x->programs_n = x->ops_n = x->parts_n = x->stack_n = 0;
    memset(x->slot, 0, sizeof x->slot);
    x->compile_left = EVTX_COMPILE_MAX;
    while (x->blocks && x->blocks->next) {
        struct evtx_block *next = x->blocks->next;
        free(x->blocks);
        x->blocks = next;
    }
    if (x->blocks)
        x->blocks->n = 0;
}

static uint8_t *keep(struct evtx *x, size_t n)
{
    struct evtx_block *b = x->blocks;

    if (!b || b->cap - b->n < n) {
        size_t cap = n > BLOCK ? n : BLOCK;
        b = malloc(sizeof *b + cap);
        if (!b)
            return NULL;
        *b = (struct evtx_block){ .next = x->blocks, .cap = cap };
        x->blocks = b;
    }
    b->n += n;
    return (uint8_t *)(b + 1) + b->n - n;
}

int evtx_grow(void *at, uint32_t *cap, uint32_t n, size_t size)
{
    void **p = at;
    uint32_t more = *cap ? 2 * *cap : 256;

    if (n < *cap)
        return 0;
    void *q = realloc(*p, more * size);
    if (!q)
        return -ENOMEM;
    *p = q;
    *cap = more;
    return 0;
}

/* ---- building ---- */

struct build {
    struct evtx *x;
    struct bx c;
    bool in_template;
    bool damaged;
    unsigned depth;
    uint32_t values;
    int err;
};

/* An element whose content is being read. */
struct element {
    struct sm_span tag;
    uint8_t text[TAG_MAX];
    enum evtx_in outer, inner;
    uint32_t parts;         /* its first on the stack */
    uint32_t names;         /* parts of an attribute Name, which stand before them */
    bool named, attributes, elements;
};

static bool going(const struct build *b)
{
    return !b->err && !b->c.bad && !b->damaged;
}

static struct sm_span short_name(struct bx_text t, uint8_t to[TAG_MAX])
{
    uint8_t long_one[3 * NAME_UNITS_MAX + 16];
    bool replaced = false;
    size_t n = evtx_utf8(t, long_one, &replaced);

    n = n < TAG_MAX ? n : TAG_MAX; /* event_names_add says whether it is UTF-8 still */
    memcpy(to, long_one, n);
    return SM_SPAN(to, n);
}

static bool is(struct sm_span s, const char *word)
{
    return s.n == strlen(word) && !memcmp(s.p, word, s.n);
}

static void push(struct build *b, const uint8_t *p, uint32_t n)
{
    struct evtx *x = b->x;

    b->err = evtx_grow(&x->stack, &x->stack_cap, x->stack_n, sizeof *x->stack);
    if (!b->err)
        x->stack[x->stack_n++] = (struct evtx_part){ p, n };
}

static void push_text(struct build *b, struct bx_text t)
{
    bool replaced = false;
    uint8_t *p;

    if (!going(b) || !t.units)
        return;
    p = keep(b->x, 3 * (size_t)t.units + 16);
    if (!p)
        b->err = -ENOMEM;
    else
        push(b, p, (uint32_t)evtx_utf8(t, p, &replaced));
}

static void push_character(struct build *b)
{
    struct bx_text name;
    uint32_t c = bx_character(&b->c, &name);
    uint8_t *p;

    if (!going(b))
        return;
    if (!c) {
        push_text(b, name);
        return;
    }
    p = keep(b->x, 4);
    if (!p)
        b->err = -ENOMEM;
    else
        push(b, p, (uint32_t)utf8_put(p, c));
}

/* What stands at the cursor as a piece of text: true when it was one. */
static bool text_piece(struct build *b)
{
    switch (bx_peek(&b->c)) {
    case BX_TEXT:
        (void)bx_take(&b->c, 1);
        b->damaged |= bx_u8(&b->c) != BX_UTF16;
        push_text(b, bx_units(&b->c));
        return true;
    case BX_CDATA:
        (void)bx_take(&b->c, 1);
        push_text(b, bx_units(&b->c));
        return true;
    case BX_CHARACTER:
    case BX_ENTITY:
        push_character(b);
        return true;
    case BX_VALUE:
    case BX_OPTIONAL: {
        (void)bx_take(&b->c, 1);
        uint32_t n = bx_u16(&b->c);
        (void)bx_u8(&b->c); /* the type it should have; each value says its own */
        if (going(b) && n >= b->values)
            b->values = n + 1;
        if (going(b))
            push(b, NULL, n);
        return true;
    }
    default:
        return false;
    }
}

/* One more step, with the parts from first on the stack, names of which are its name. */
static void op(struct build *b, enum evtx_kind kind, enum evtx_in in, uint16_t name, uint32_t first, uint32_t n,
    uint32_t names)
{
    struct evtx *x = b->x;

    if (b->err)
        return;
    if (x->ops_n == EVTX_OPS_MAX || n > UINT16_MAX) {
        b->damaged = true;
        return;
    }
    b->err = evtx_grow(&x->ops, &x->ops_cap, x->ops_n, sizeof *x->ops);
    for (uint32_t i = 0; i < n && !b->err; i++) {
        b->err = evtx_grow(&x->parts, &x->parts_cap, x->parts_n + i, sizeof *x->parts);
        if (!b->err)
            x->parts[x->parts_n + i] = x->stack[first + i];
    }
    if (b->err)
        return;
    x->ops[x->ops_n++] = (struct evtx_op){ .name = name, .kind = (uint8_t)kind, .in = (uint8_t)in,
        .names = (uint16_t)names,
        .parts = (uint16_t)(n - names), .part = x->parts_n };
    x->parts_n += n;
}

static uint16_t name_of(struct build *b, struct sm_span tag, struct sm_span attribute)
{
    uint8_t both[2 * TAG_MAX + 1];

    if (!attribute.n)
        return event_names_add(b->x->names, tag);
    memcpy(both, tag.p, tag.n);
    both[tag.n] = '_';
    memcpy(both + tag.n + 1, attribute.p, attribute.n);
    return event_names_add(b->x->names, SM_SPAN(both, tag.n + 1 + attribute.n));
}

static void attribute(struct build *b, struct element *el)
{
    uint8_t text[TAG_MAX];
    uint32_t first = b->x->stack_n;

    (void)bx_take(&b->c, 1);
    struct sm_span name = short_name(bx_name(&b->c), text);
    while (going(b) && text_piece(b))
        continue;
    if (b->err)
        return;
    uint32_t n = b->x->stack_n - first;
    bool names_it = is(name, "Name") && (el->outer == IN_DATA || is(el->tag, "Data"));
    if (names_it && !el->named) {
        el->named = true;
        el->names = n;
        return; /* its parts stay on the stack, before those of the content */
    }
    if (el->outer != IN_NOTHING && !(name.n >= 5 && !memcmp(name.p, "xmlns", 5))) {
        bool time = el->outer == IN_SYSTEM && is(el->tag, "TimeCreated") && is(name, "SystemTime");
        op(b, time ? OP_TIME : OP_ATTRIBUTE, IN_OTHER, name_of(b, el->tag, name), first, n, 0);
        el->attributes = true;
    }
    b->x->stack_n = first;
}

static enum evtx_in inside(enum evtx_in outer, struct sm_span tag)
{
    if (outer == IN_NOTHING)
        return is(tag, "Event") ? IN_EVENT : IN_OTHER;
    if (outer != IN_EVENT)
        return outer == IN_RENDERING ? IN_RENDERING : IN_OTHER;
    if (is(tag, "System"))
        return IN_SYSTEM;
    return is(tag, "EventData") ? IN_DATA : is(tag, "RenderingInfo") ? IN_RENDERING : IN_OTHER;
}

static bool is_blank(const struct evtx_part *p)
{
    uint32_t i = 0;

    while (p->p && i < p->n && (p->p[i] == ' ' || p->p[i] == '\t' || p->p[i] == '\r' || p->p[i] == '\n'))
        i++;
    return p->p && i == p->n;
}

/* Name of a leaf: its tag, "RenderingInfo_" before it there (but its Message is the event's). */
static uint16_t leaf_name(struct build *b, const struct element *el)
{
    if (el->outer == IN_RENDERING && !is(el->tag, "Message"))
        return name_of(b, SM_SPAN("RenderingInfo", 13), el->tag);
    return name_of(b, el->tag, SM_SPAN("", 0));
}

/* Data with a Name: constant, it is a field's name without its blanks. */
static void named_leaf(struct build *b, const struct element *el, uint32_t first, uint32_t n)
{
    const struct evtx_part *name = &b->x->stack[first];
    uint8_t text[TAG_MAX];
    uint32_t k = 0;

    if (el->names != 1 || !name->p || name->n > TAG_MAX) {
        op(b, OP_DYNAMIC, el->inner, 0, first, n, el->names);
        return;
    }
    for (uint32_t i = 0; i < name->n; i++)
        if (name->p[i] != ' ')
            text[k++] = name->p[i];
    op(b, OP_LEAF, el->inner, name_of(b, SM_SPAN(text, k), SM_SPAN("", 0)), first + 1, n - 1, 0);
}

/* An element is closed: its text becomes a step. */
static void finish(struct build *b, const struct element *el)
{
    uint32_t first = el->parts - el->names, n = b->x->stack_n - first;
    bool frame = el->outer == IN_NOTHING ||
        (el->outer == IN_EVENT && (el->inner != IN_OTHER || is(el->tag, "UserData")));
    bool plain = !frame && !el->elements;

    if (plain && el->named) {
        named_leaf(b, el, first, n);
    } else if (plain && is(el->tag, "Data")) {
        op(b, OP_DATA, el->inner, EVENT_F_Data, first, n, 0);
    } else if (plain) {
        if (n || (!el->attributes && el->outer != IN_SYSTEM))
            op(b, el->outer == IN_SYSTEM ? OP_SYSTEM : OP_LEAF, el->inner, leaf_name(b, el), first, n, 0);
    } else {
        for (uint32_t i = el->names; i < n; i++)
            if (!is_blank(&b->x->stack[first + i]))
                op(b, OP_NEST, el->inner, leaf_name(b, el), first + i, 1, 0);
    }
    b->x->stack_n = first;
}

static void element(struct build *b, enum evtx_in outer);

/* Up to the closing token. */
static void content(struct build *b, struct element *el)
{
    while (going(b)) {
        if (text_piece(b))
            continue;
        switch (bx_peek(&b->c)) {
        case BX_OPEN:
            el->elements = true;
            element(b, el->inner);
            break;
        case BX_CLOSE:
            (void)bx_take(&b->c, 1);
            return;
        case BX_PI_TARGET:
            (void)bx_take(&b->c, 1);
            (void)bx_name(&b->c);
            break;
        case BX_PI_DATA:
            (void)bx_take(&b->c, 1);
            (void)bx_units(&b->c);
            break;
        default:
            b->damaged = true;
        }
    }
}

static void element(struct build *b, enum evtx_in outer)
{
    struct element el = { .outer = outer };
    uint32_t base = b->x->stack_n;
    bool more;

    if (b->depth == EVTX_DEPTH_MAX) {
        b->damaged = true;
        return;
    }
    b->depth++;
    el.tag = short_name(bx_open(&b->c, b->in_template, &more), el.text);
    el.inner = inside(outer, el.tag);
    if (more)
        (void)bx_u32(&b->c); /* size of the attributes: they end by themselves */
    while (going(b) && more && bx_peek(&b->c) == BX_ATTRIBUTE)
        attribute(b, &el);
    el.parts = b->x->stack_n;
    unsigned token = going(b) ? bx_u8(&b->c) : BX_END;
    if (token == BX_CLOSE_START)
        content(b, &el);
    else if (token != BX_CLOSE_EMPTY)
        b->damaged = true;
    /* What broke off keeps what it had. */
    if (!b->err && (going(b) || b->x->stack_n > el.parts))
        finish(b, &el);
    b->x->stack_n = base;
    b->depth--;
}

/* From the cursor to the end of what is there. */
static int build(struct build *b, enum evtx_in in, bool one, struct evtx_program *ret)
{
    uint32_t from = b->c.at, before = b->x->ops_n;

    while (going(b) && b->c.at < b->c.end) {
        unsigned token = bx_peek(&b->c);
        if (token == BX_END)
            break;
        if (token == BX_OPEN)
            element(b, in);
        else if (token == BX_HEAD)
            (void)bx_take(&b->c, 4);
        else
            b->damaged = true;
        if (one && token == BX_OPEN)
            break;
    }
    uint32_t read = b->c.at - from + 16;
    b->x->compile_left -= read < b->x->compile_left ? read : b->x->compile_left;
    ret->bad = b->damaged || b->c.bad;
    ret->op = before;
    ret->ops = b->x->ops_n - before;
    ret->values = b->values;
    ret->in = (uint8_t)in;
    return b->err;
}

int evtx_compile(struct evtx *x, uint32_t at, enum evtx_in in, uint32_t *ret_index)
{
    uint32_t i = (at * 0x9e3779b1u ^ (uint32_t)in * 0x85ebca6bu) >> 22;

    _Static_assert(2 * EVTX_PROGRAMS_MAX == 1 << 10, "the slot is made of 10 bits");
    for (; x->slot[i]; i = (i + 1) % (2 * EVTX_PROGRAMS_MAX)) {
        const struct evtx_program *p = &x->programs[x->slot[i] - 1];
        if (p->at == at && p->in == in) {
            *ret_index = x->slot[i] - 1u;
            return 0;
        }
    }
    if (at < EVTX_CHUNK_HEAD || at > x->size || x->size - at < 24 || x->programs_n == EVTX_PROGRAMS_MAX ||
        !x->compile_left)
        return -SM_EFORMAT;
    uint32_t size = le32(x->chunk + at + 20), have = x->size - at - 24;
    if (!size)
        return -SM_EFORMAT;
    struct build b = { .x = x, .in_template = true, .damaged = size > have };
    struct evtx_program p = { .at = at, .end = at + 24 + (size < have ? size : have) };
    b.c = (struct bx){ x->chunk, x->size, at + 24, p.end, false };
    bool cut = b.damaged;
    b.damaged = false;
    int r = build(&b, in, false, &p);
    if (r < 0)
        return r;
    p.bad |= cut;
    x->programs[x->programs_n++] = p;
    x->slot[i] = (uint16_t)x->programs_n;
    evtx_remember(x, le32(x->chunk + at + 4), &p);
    *ret_index = x->programs_n - 1;
    return 0;
}

int evtx_compile_here(struct evtx *x, struct bx *c, enum evtx_in in, struct evtx_program *ret)
{
    struct build b = { .x = x, .c = *c };

    if (!x->compile_left) {
        c->bad = true;
        return 0;
    }
    int r = build(&b, in, true, ret);
    *c = b.c;
    c->bad |= b.damaged;
    return r;
}
