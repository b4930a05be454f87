#include "event/event.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ARENA_FIRST = 64 << 10, ARENA_KEEP = 256 << 10, FIELDS_FIRST = 64 };

/* Blocks that only grow; the first one is kept from event to event, the largest when it is not too large. */
struct block { struct block *next; size_t cap, n; };
struct event_arena { struct block *blocks; size_t total; };

static void *bytes_of(struct block *b)
{
    return b + 1;
}

int event_init(struct event *e)
{
    *e = (struct event){ .severity = EVENT_NO_SEVERITY };
    e->arena = calloc(1, sizeof *e->arena);
    e->fields = malloc(FIELDS_FIRST * sizeof *e->fields);
    if (!e->arena || !e->fields) {
        event_wipe(e);
        return -ENOMEM;
    }
    e->cap = FIELDS_FIRST;
    return 0;
}

static void drop_blocks(struct block *b)
{
    while (b) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
}

void event_wipe(struct event *e)
{
    if (e->arena)
        drop_blocks(e->arena->blocks);
    free(e->arena);
    free(e->fields);
    *e = (struct event){ .severity = EVENT_NO_SEVERITY };
}

void event_clear(struct event *e)
{
    struct event_arena *a = e->arena;
    struct event_field *fields = e->fields;
    size_t cap = e->cap;
    struct block *first = a->blocks;

    if (first) {
        drop_blocks(first->next);
        first->next = NULL;
        first->n = 0;
        if (first->cap > ARENA_KEEP) {
            free(first);
            first = NULL;
        }
    }
    *a = (struct event_arena){ .blocks = first, .total = first ? first->cap : 0 };
    *e = (struct event){ .severity = EVENT_NO_SEVERITY, .arena = a, .fields = fields, .cap = cap };
}

void *event_room(struct event *e, size_t n)
{
    struct event_arena *a = e->arena;
    struct block *b = a->blocks;
    size_t want = (n + 7) & ~(size_t)7;

    if (n > EVENT_ARENA_MAX)
        return NULL;
    if (!b || b->cap - b->n < want) {
        size_t cap = b ? 2 * b->cap : ARENA_FIRST;
        if (cap < want)
            cap = want;
        if (cap > EVENT_ARENA_MAX - a->total)
            cap = want; /* near the end: only what is asked for */
        if (cap > EVENT_ARENA_MAX - a->total)
            return NULL;
        b = malloc(sizeof *b + cap);
        if (!b)
            return NULL;
        *b = (struct block){ .next = a->blocks, .cap = cap };
        a->blocks = b;
        a->total += cap;
    }
    void *p = (uint8_t *)bytes_of(b) + b->n;
    b->n += want;
    return p;
}

/* Not in the middle of a character. */
static size_t cut(struct sm_span s, size_t max)
{
    size_t n = max;

    while (n && (s.p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

int event_add(struct event *e, uint16_t name, enum event_type type, struct sm_span value)
{
    if (e->n == EVENT_FIELDS_MAX) {
        e->notes |= EVENT_CUT;
        return 0;
    }
    if (e->n == e->cap) {
        struct event_field *more = realloc(e->fields, 2 * e->cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        e->fields = more;
        e->cap *= 2;
    }
    if (value.n > EVENT_VALUE_MAX) {
        value.n = cut(value, EVENT_VALUE_MAX);
        e->notes |= EVENT_CUT;
    }
    const uint8_t *p = value.p ? value.p : (const uint8_t *)"";
    e->fields[e->n++] = (struct event_field){ .p = p, .n = (uint32_t)value.n, .name = name, .type = (uint8_t)type };
    return 0;
}

int event_add_copy(struct event *e, uint16_t name, enum event_type type, struct sm_span value)
{
    if (value.n > EVENT_VALUE_MAX) {
        value.n = cut(value, EVENT_VALUE_MAX);
        e->notes |= EVENT_CUT;
    }
    uint8_t *p = event_room(e, value.n);
    if (!p) {
        if (e->arena->total + value.n <= EVENT_ARENA_MAX)
            return -ENOMEM;
        e->notes |= EVENT_CUT;
        return 0;
    }
    if (value.n)
        memcpy(p, value.p, value.n);
    return event_add(e, name, type, SM_SPAN(p, value.n));
}

const struct event_field *event_get(const struct event *e, uint16_t name)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->fields[i].name == name)
            return &e->fields[i];
    return NULL;
}

const struct event_field *event_next(const struct event *e, const struct event_field *f)
{
    for (const struct event_field *g = f + 1; g < e->fields + e->n; g++)
        if (g->name == f->name)
            return g;
    return NULL;
}

struct sm_span event_text(const struct event *e, uint16_t name)
{
    const struct event_field *f = event_get(e, name);

    return f ? event_value(f) : SM_SPAN("", 0);
}

/* ---- as JSON ---- */

static const struct { uint32_t bit; const char *name; } notes[] = {
    { EVENT_UNPARSED, "unparsed" }, { EVENT_CUT, "cut" }, { EVENT_NO_TIME, "no-time" }, { EVENT_NO_ZONE, "no-zone" },
    { EVENT_NO_YEAR, "no-year" }, { EVENT_DECODED, "decoded" }, { EVENT_REPLACED, "replaced" }, { EVENT_DAMAGED, "damaged" },
};

const char *event_note_name(uint32_t bit)
{
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        if (notes[i].bit == bit)
            return notes[i].name;
    return NULL;
}

/* A writer with a sticky error, so that each line below says one thing. */
struct to { struct sm_buf *b; int err; bool any; };

static void put(struct to *t, const char *p, size_t n)
{
    if (t->err >= 0)
        t->err = sm_buf_put(t->b, p, n);
}

static void text(struct to *t, struct sm_span s)
{
    size_t from = 0;

    put(t, "\"", 1);
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        char esc[8];
        put(t, (const char *)s.p + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\')
            snprintf(esc, sizeof esc, "\\%c", c);
        else if (c == '\n')
            snprintf(esc, sizeof esc, "\\n");
        else
            snprintf(esc, sizeof esc, "\\u%04x", c);
        put(t, esc, strlen(esc));
    }
    put(t, (const char *)s.p + from, s.n - from);
    put(t, "\"", 1);
}

static void key(struct to *t, struct sm_span name)
{
    put(t, t->any ? "," : "{", 1);
    t->any = true;
    text(t, name);
    put(t, ":", 1);
}

static void moment(struct to *t, const char *name, struct event_time at)
{
    struct tm tm;
    time_t s = (time_t)at.s;
    char out[80];

    if (!gmtime_r(&s, &tm))
        return;
    size_t n = strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%S", &tm);
    if (at.ns) {
        n += (size_t)snprintf(out + n, sizeof out - n, ".%09u", at.ns % 1000000000u);
        while (out[n - 1] == '0')
            n--;
    }
    out[n++] = 'Z';
    key(t, SM_SPAN_STR(name));
    text(t, SM_SPAN(out, n));
}

static void word(struct to *t, const struct event_names *names, const char *name, uint16_t w)
{
    if (!w)
        return;
    key(t, SM_SPAN_STR(name));
    text(t, event_names_text(names, w));
}

static void value(struct to *t, const struct event_field *f)
{
    if (f->type == EVENT_NULL)
        put(t, "null", 4);
    else if (f->type == EVENT_TEXT)
        text(t, event_value(f));
    else
        put(t, (const char *)f->p, f->n);
}

static void head(struct to *t, const struct event *e, const struct event_names *names)
{
    char number[32];

    moment(t, "@timestamp", e->time);
    if (e->seen.s || e->seen.ns)
        moment(t, "@seen", e->seen);
    if (e->host.n) {
        key(t, SM_SPAN_STR("@host"));
        text(t, e->host);
    }
    if (e->source) {
        key(t, SM_SPAN_STR("@source"));
        put(t, number, (size_t)snprintf(number, sizeof number, "%llu", (unsigned long long)e->source));
    }
    word(t, names, "@product", e->product);
    word(t, names, "@category", e->category);
    word(t, names, "@service", e->service);
    word(t, names, "@format", e->format);
    if (e->severity != EVENT_NO_SEVERITY) {
        key(t, SM_SPAN_STR("@severity"));
        put(t, number, (size_t)snprintf(number, sizeof number, "%u", e->severity));
    }
    if (!e->notes)
        return;
    key(t, SM_SPAN_STR("@notes"));
    const char *before = "[";
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        if (!(e->notes & notes[i].bit))
            continue;
        put(t, before, 1);
        text(t, SM_SPAN_STR(notes[i].name));
        before = ",";
    }
    put(t, "]", 1);
}

static bool came_before(const struct event *e, size_t i)
{
    return event_get(e, e->fields[i].name) != &e->fields[i];
}

int event_json(const struct event *e, const struct event_names *names, struct sm_buf *ret)
{
    struct to t = { .b = ret };
    size_t before = ret->n;

    head(&t, e, names);
    for (size_t i = 0; i < e->n && t.err >= 0; i++) {
        const struct event_field *f = &e->fields[i];
        if (came_before(e, i))
            continue;
        bool many = event_next(e, f) != NULL;
        key(&t, event_names_text(names, f->name));
        if (many)
            put(&t, "[", 1);
        for (const struct event_field *g = f; g; g = event_next(e, g)) {
            if (g != f)
                put(&t, ",", 1);
            value(&t, g);
        }
        if (many)
            put(&t, "]", 1);
    }
    put(&t, "}", 1);
    if (t.err < 0)
        ret->n = before;
    return t.err;
}
