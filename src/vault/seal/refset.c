#include "vault/seal/refset.h"

#include <errno.h>

void refset_wipe(struct refset *s)
{
    sm_buf_wipe(&s->cids);
    sm_buf_wipe(&s->sorted);
    sm_buf_wipe(&s->map);
    free(s->slot);
    *s = (struct refset){0};
}

void refset_clear(struct refset *s)
{
    sm_buf_clear(&s->cids);
    sm_buf_clear(&s->sorted);
    sm_buf_clear(&s->map);
    if (s->slots)
        memset(s->slot, 0, s->slots * sizeof *s->slot);
}

size_t refset_n(const struct refset *s)
{
    return s->cids.n / sizeof(struct cid);
}

static const struct cid *at(const struct refset *s, size_t i)
{
    return (const struct cid *)(const void *)s->cids.p + i;
}

/* cids are hashes: their own bytes spread well enough. */
static size_t home(const struct refset *s, const struct cid *c)
{
    uint64_t v;
    memcpy(&v, c->b, sizeof v);
    return (size_t)v & (s->slots - 1);
}

static int grow(struct refset *s)
{
    size_t n = refset_n(s), slots = s->slots ? s->slots * 2 : 512;
    uint32_t *slot = calloc(slots, sizeof *slot);
    if (!slot)
        return -ENOMEM;
    free(s->slot);
    s->slot = slot;
    s->slots = slots;
    for (size_t i = 0; i < n; i++) {
        size_t k = home(s, at(s, i));
        while (s->slot[k])
            k = (k + 1) & (slots - 1);
        s->slot[k] = (uint32_t)i + 1;
    }
    return 0;
}

int64_t refset_add(struct refset *s, const struct cid *c)
{
    size_t n = refset_n(s), k;
    int r;
    if ((n + 1) * 2 > s->slots && (r = grow(s)) < 0)
        return r;
    for (k = home(s, c); s->slot[k]; k = (k + 1) & (s->slots - 1))
        if (cid_eq(at(s, s->slot[k] - 1), c))
            return s->slot[k] - 1;
    if (n >= PAGE_REFS_MAX)
        return -SM_ELIMIT;
    r = sm_buf_put(&s->cids, c, sizeof *c);
    if (r < 0)
        return r;
    s->slot[k] = (uint32_t)n + 1;
    return (int64_t)n;
}

struct numbered { struct cid cid; uint32_t number; };

static int numbered_cmp(const void *a, const void *b)
{
    return cid_cmp(&((const struct numbered *)a)->cid, &((const struct numbered *)b)->cid);
}

int refset_sort(struct refset *s)
{
    size_t n = refset_n(s);
    struct numbered *v = malloc((n ? n : 1) * sizeof *v);
    int r;
    if (!v)
        return -ENOMEM;
    sm_buf_clear(&s->sorted);
    sm_buf_clear(&s->map);
    if ((r = sm_buf_reserve(&s->sorted, n * sizeof(struct cid))) < 0 ||
        (r = sm_buf_reserve(&s->map, n * sizeof(uint32_t))) < 0) {
        free(v);
        return r;
    }
    for (size_t i = 0; i < n; i++)
        v[i] = (struct numbered){*at(s, i), (uint32_t)i};
    qsort(v, n, sizeof *v, numbered_cmp);
    for (size_t i = 0; i < n; i++) {
        memcpy(s->sorted.p + i * sizeof(struct cid), &v[i].cid, sizeof(struct cid));
        ((uint32_t *)(void *)s->map.p)[v[i].number] = (uint32_t)i;
    }
    s->sorted.n = n * sizeof(struct cid);
    s->map.n = n * sizeof(uint32_t);
    free(v);
    return 0;
}

const struct cid *refset_sorted(const struct refset *s)
{
    return (const struct cid *)(const void *)s->sorted.p;
}

uint32_t refset_index(const struct refset *s, uint32_t number)
{
    return ((const uint32_t *)(const void *)s->map.p)[number];
}
