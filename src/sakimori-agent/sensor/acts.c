/* Records of whole units follow each other; one that would reach over the end begins at the start again. */
#include "sakimori-agent/sensor/acts.h"

#define UNIT 64u
enum { RECORD_FREE, RECORD_ACT };
struct record {
    uint32_t units;
    uint8_t state, kind;
    uint16_t path_n, was_n;
    uint32_t pid;
    uint64_t tree, file;
    int64_t at_s;
};
_Static_assert(sizeof(struct record) <= UNIT, "a record's head is one unit");

struct acts {
    size_t units;
    size_t first, end, used; /* first: oldest record; end: where the next goes */
    uint8_t *at;
};

struct acts *acts_new(size_t bytes)
{
    struct acts *a = calloc(1, sizeof *a);
    if (a && !(a->at = malloc(bytes))) {
        free(a);
        return NULL;
    }
    if (a)
        a->units = bytes / UNIT;
    return a;
}

void acts_free(struct acts *a)
{
    if (a)
        free(a->at);
    free(a);
}

static struct record *record(const struct acts *a, size_t unit)
{
    return (struct record *)(void *)(a->at + unit * UNIT);
}

static void drop_oldest(struct acts *a)
{
    size_t n = record(a, a->first)->units;
    a->used -= n;
    a->first = (a->first + n) % a->units;
}

/* Units [end, end + n) become free of older records. */
static void make_room(struct acts *a, size_t n)
{
    while (a->used && a->used + n > a->units)
        drop_oldest(a);
}

void acts_add(struct acts *a, const struct act *act)
{
    const size_t head = sizeof(struct record);
    size_t n = (head + act->path.n + act->was.n + UNIT - 1) / UNIT, left = a->units - a->end;
    if (n > a->units / 4 || act->path.n > UINT16_MAX || act->was.n > UINT16_MAX)
        return;
    if (left < n) { /* the rest up to the end is one free record */
        make_room(a, left);
        *record(a, a->end) = (struct record){.units = (uint32_t)left, .state = RECORD_FREE};
        a->used += left;
        a->end = 0;
    }
    make_room(a, n);
    struct record *r = record(a, a->end);
    *r = (struct record){.units = (uint32_t)n, .state = RECORD_ACT, .kind = act->kind, .path_n = (uint16_t)act->path.n,
        .was_n = (uint16_t)act->was.n, .pid = act->pid, .tree = act->tree, .file = act->file, .at_s = act->at_s};
    memcpy((uint8_t *)r + head, act->path.p, act->path.n);
    if (act->was.n)
        memcpy((uint8_t *)r + head + act->path.n, act->was.p, act->was.n);
    a->used += n;
    a->end = (a->end + n) % a->units;
}

size_t acts_take(struct acts *a, uint64_t tree, void (*fn)(void *ctx, const struct act *act), void *ctx)
{
    size_t got = 0, at = a->first;
    for (size_t seen = 0; seen < a->used;) {
        struct record *r = record(a, at);
        if (r->state == RECORD_ACT && r->tree == tree) {
            const uint8_t *text = (const uint8_t *)r + sizeof *r;
            const struct act act = {.tree = tree, .file = r->file, .at_s = r->at_s, .pid = r->pid, .kind = r->kind,
                .path = SM_SPAN(text, r->path_n), .was = SM_SPAN(text + r->path_n, r->was_n)};
            r->state = RECORD_FREE;
            fn(ctx, &act);
            got++;
        }
        seen += r->units;
        at = (at + r->units) % a->units;
    }
    return got;
}
