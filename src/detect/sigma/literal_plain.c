#include "detect/sigma/literal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Literals anywhere are found by a hash of their first three bytes, short and anchored ones one by one. */
enum { SLOT_BITS = 13, SLOTS = 1 << SLOT_BITS, NONE = UINT32_MAX };

struct plain {
    size_t n, bytes, direct_n;
    struct literal *list;
    uint32_t *next, *direct; /* chains; those looked at directly */
    uint32_t slot[SLOTS];
    uint8_t text[];
};

static uint32_t hash(const uint8_t *p)
{
    uint32_t v = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;

    return v * 2654435761u >> (32 - SLOT_BITS);
}

static void free_db(void *db)
{
    struct plain *p = db;

    if (!p)
        return;
    free(p->list);
    free(p->next);
    free(p->direct);
    free(p);
}

static int make(const struct literal *list, size_t n, void **ret_db)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += list[i].n;
    struct plain *p = calloc(1, sizeof *p + total);
    if (!p)
        return -ENOMEM;
    p->n = n;
    p->bytes = sizeof *p + total + n * (sizeof *list + 8);
    p->list = calloc(n, sizeof *p->list);
    p->next = calloc(n, sizeof *p->next);
    p->direct = calloc(n, sizeof *p->direct);
    if (!p->list || !p->next || !p->direct) {
        free_db(p);
        return -ENOMEM;
    }
    memset(p->slot, 0xff, sizeof p->slot);
    uint8_t *at = p->text;
    for (size_t i = 0; i < n; i++) {
        p->list[i] = list[i];
        p->list[i].p = at;
        memcpy(at, list[i].p, list[i].n);
        if (list[i].n < 3 || list[i].start || list[i].end) {
            p->direct[p->direct_n++] = (uint32_t)i;
        } else {
            uint32_t *slot = &p->slot[hash(at)];
            p->next[i] = *slot;
            *slot = (uint32_t)i;
        }
        at += list[i].n;
    }
    *ret_db = p;
    return 0;
}

static size_t bytes(const void *db)
{
    return ((const struct plain *)db)->bytes;
}

static int fit(const void *db, void **scratch)
{
    return 0;
}

static void free_scratch(void *scratch)
{
}

static bool direct(const struct literal *l, const uint8_t *text, size_t n)
{
    if (l->n > n || (l->start && l->end && l->n != n))
        return false;
    if (l->start)
        return !memcmp(text, l->p, l->n);
    if (l->end)
        return !memcmp(text + n - l->n, l->p, l->n);
    return memmem(text, n, l->p, l->n) != NULL;
}

static int scan(const void *db, void *scratch, const uint8_t *text, size_t n, literal_fn *found, void *ctx)
{
    const struct plain *p = db;

    for (size_t i = 0; i < p->direct_n; i++)
        if (direct(&p->list[p->direct[i]], text, n))
            found(ctx, p->direct[i]);
    for (size_t i = 0; i + 3 <= n; i++)
        for (uint32_t k = p->slot[hash(text + i)]; k != NONE; k = p->next[k])
            if (p->list[k].n <= n - i && !memcmp(text + i, p->list[k].p, p->list[k].n))
                found(ctx, k);
    return 0;
}

const struct literal_way literal_plain = { "plain", make, free_db, bytes, fit, free_scratch, scan };
