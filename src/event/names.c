#include "event/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct known { const char *text; struct event_field_doc doc; };

static const struct known known[EVENT_F_COUNT] = {
    [EVENT_F_none] = { "", { 0 } },
#define F(symbol, text, type, group, ja, en, example) \
    [EVENT_F_##symbol] = { text, { text, #type, #group, ja, en, example } },
#define W(symbol, text) [EVENT_W_##symbol] = { text, { 0 } },
#include "event/event.def"
#undef F
#undef W
};

enum { SLOTS = 2 * EVENT_NAMES_MAX, BLOCK = 64 << 10 };

/* Texts stand in blocks that never move: event_names_text's spans live as long as the table. */
struct block { struct block *next; size_t n; char text[BLOCK]; };

struct event_names {
    struct sm_span text[EVENT_NAMES_MAX + 1];
    uint64_t seed;
    uint16_t slot[SLOTS];   /* open addressing, 0 empty; never more than half full */
    uint32_t n;             /* the highest number given out */
    struct block *blocks;
};

static uint64_t hash_of(const struct event_names *t, struct sm_span s)
{
    uint64_t h = t->seed ^ (s.n * 0x9e3779b97f4a7c15u);

    while (s.n >= 8) {
        uint64_t v;
        memcpy(&v, s.p, 8);
        h = (h ^ v) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
        s.p += 8;
        s.n -= 8;
    }
    uint64_t last = 0;
    if (s.n)
        memcpy(&last, s.p, s.n);
    h = (h ^ last) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 29;
}

/* The slot where name is, or the empty one where it would be. */
static size_t find(const struct event_names *t, struct sm_span name)
{
    size_t i = hash_of(t, name) & (SLOTS - 1);

    while (t->slot[i] && !sm_span_eq(t->text[t->slot[i]], name))
        i = (i + 1) & (SLOTS - 1);
    return i;
}

static int keep(struct event_names *t, struct sm_span name, struct sm_span *ret)
{
    struct block *b = t->blocks;

    if (!b || b->n + name.n + 1 > BLOCK) {
        b = malloc(sizeof *b);
        if (!b)
            return -ENOMEM;
        b->n = 0;
        b->next = t->blocks;
        t->blocks = b;
    }
    char *p = b->text + b->n;
    memcpy(p, name.p, name.n);
    p[name.n] = 0;
    b->n += name.n + 1;
    *ret = SM_SPAN(p, name.n);
    return 0;
}

struct event_names *event_names_new(void)
{
    struct event_names *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    /* Addresses of this process: a sender cannot choose names that fall into one slot. */
    t->seed = (uint64_t)(uintptr_t)t * 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)&t;
    for (uint16_t i = 1; i < EVENT_F_COUNT; i++) {
        t->text[i] = SM_SPAN_STR(known[i].text);
        t->slot[find(t, t->text[i])] = i;
    }
    t->text[0] = SM_SPAN("", 0);
    t->n = EVENT_F_COUNT - 1;
    return t;
}

void event_names_free(struct event_names *t)
{
    if (!t)
        return;
    for (struct block *b = t->blocks; b;) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
    free(t);
}

uint16_t event_names_find(const struct event_names *t, struct sm_span name)
{
    return name.n && name.n <= EVENT_NAME_MAX ? t->slot[find(t, name)] : 0;
}

uint16_t event_names_add(struct event_names *t, struct sm_span name)
{
    if (!name.n || name.n > EVENT_NAME_MAX)
        return EVENT_F_other;
    size_t i = find(t, name);
    if (t->slot[i])
        return t->slot[i];
    if (t->n >= EVENT_NAMES_MAX || !sm_utf8_valid(name) || keep(t, name, &t->text[t->n + 1]) < 0)
        return EVENT_F_other;
    t->slot[i] = (uint16_t)++t->n;
    return t->slot[i];
}

struct sm_span event_names_text(const struct event_names *t, uint16_t number)
{
    return number <= t->n ? t->text[number] : t->text[0];
}

size_t event_names_count(const struct event_names *t)
{
    return t->n;
}

const struct event_field_doc *event_field_doc(uint16_t number)
{
    return number < EVENT_F_COUNT && known[number].doc.name ? &known[number].doc : NULL;
}
