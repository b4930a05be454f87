/*
 * Templates of sound chunks, remembered for damaged ones: a definition that is lost here stands most often in another chunk
 * of the same file too, under the same number.
 */
#include "normalise/evtx_int.h"

#include <stdlib.h>

void evtx_kept_wipe(struct evtx *x)
{
    while (x->kept_n)
        free(x->kept[--x->kept_n].memory);
    x->kept_bytes = 0;
}

static struct evtx_kept *find(struct evtx *x, uint32_t id, enum evtx_in in)
{
    for (uint32_t i = 0; i < x->kept_n; i++)
        if (x->kept[i].id == id && x->kept[i].program.in == in)
            return &x->kept[i];
    return NULL;
}

/* Steps, parts, and the texts of the parts, in one piece of memory. */
static bool copy(struct evtx *x, const struct evtx_program *p, struct evtx_kept *to)
{
    const struct evtx_op *ops = x->ops + p->op;
    uint32_t first = ops[0].part, n = 0, text = 0;

    for (uint32_t i = 0; i < p->ops; i++)
        n += ops[i].names + ops[i].parts;
    for (uint32_t i = 0; i < n; i++)
        text += x->parts[first + i].p ? x->parts[first + i].n : 0;
    size_t size = p->ops * sizeof *ops + n * sizeof *x->parts + text;
    if (size > EVTX_KEPT_BYTES - x->kept_bytes)
        return false;
    uint8_t *at = malloc(size);
    if (!at)
        return false;
    x->kept_bytes += size;
    struct evtx_part *parts = (struct evtx_part *)(void *)at;
    *to = (struct evtx_kept){ .program = *p, .parts = parts, .parts_n = n, .memory = at };
    at += n * sizeof *parts;
    to->ops = memcpy(at, ops, p->ops * sizeof *ops);
    at += p->ops * sizeof *ops;
    for (uint32_t i = 0; i < n; i++) {
        parts[i] = x->parts[first + i];
        if (!parts[i].p)
            continue;
        if (parts[i].n)
            memcpy(at, parts[i].p, parts[i].n);
        parts[i].p = at;
        at += parts[i].n;
    }
    for (uint32_t i = 0; i < p->ops; i++)
        to->ops[i].part -= first;
    return true;
}

void evtx_remember(struct evtx *x, uint32_t id, const struct evtx_program *p)
{
    if (x->bad_chunk || p->bad || !p->ops || x->kept_n == EVTX_KEPT_MAX || find(x, id, (enum evtx_in)p->in))
        return;
    struct evtx_kept *to = &x->kept[x->kept_n];
    if (!copy(x, p, to))
        return; /* full, or no memory: it is only a help */
    to->id = id;
    x->kept_n++;
}

const struct evtx_program *evtx_recall(struct evtx *x, uint32_t id, enum evtx_in in, uint32_t values)
{
    struct evtx_kept *k = x->bad_chunk ? find(x, id, in) : NULL;

    if (!k || k->program.values > values)
        return NULL;
    if (k->here == x->counts.chunks)
        return &k->program;
    /* Into this chunk's steps; parts go on pointing to the remembered texts. */
    for (uint32_t i = 0; i < k->program.ops; i++)
        if (evtx_grow(&x->ops, &x->ops_cap, x->ops_n + i, sizeof *x->ops) < 0)
            return NULL;
    for (uint32_t i = 0; i < k->parts_n; i++)
        if (evtx_grow(&x->parts, &x->parts_cap, x->parts_n + i, sizeof *x->parts) < 0)
            return NULL;
    for (uint32_t i = 0; i < k->program.ops; i++) {
        x->ops[x->ops_n + i] = k->ops[i];
        x->ops[x->ops_n + i].part += x->parts_n;
    }
    if (k->parts_n)
        memcpy(x->parts + x->parts_n, k->parts, k->parts_n * sizeof *k->parts);
    k->program.op = x->ops_n;
    k->here = x->counts.chunks;
    x->ops_n += k->program.ops;
    x->parts_n += k->parts_n;
    return &k->program;
}
