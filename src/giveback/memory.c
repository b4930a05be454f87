/* The keeper's tables. */
#include <errno.h>
#include <stdlib.h>
#include "giveback/keeper.h"

static int grow(void **p, size_t *cap, size_t n, size_t one)
{
    if (n < *cap)
        return 0;
    size_t more = *cap ? *cap * 2 : 64;
    void *q = reallocarray(*p, more, one);
    if (!q)
        return -ENOMEM;
    *p = q;
    *cap = more;
    return 0;
}

int keeper_add(struct giveback *g, const struct entry *e)
{
    struct tree *t;
    int r = grow((void **)&g->entry, &g->entries_cap, g->entries, sizeof *g->entry);
    if (r == 0)
        r = keeper_tree_new(g, e->tree, &t);
    if (r < 0)
        return r;
    size_t at = g->entries++;
    /* Threads end in another order than they began: few places back. */
    for (; at > 0 && g->entry[at - 1].id > e->id; at--)
        g->entry[at] = g->entry[at - 1];
    g->entry[at] = *e;
    t->entries++;
    g->live++;
    g->files += e->content;
    return 0;
}

struct entry *keeper_entry(struct giveback *g, uint64_t id)
{
    size_t from = 0, to = g->entries;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (g->entry[mid].id < id)
            from = mid + 1;
        else
            to = mid;
    }
    struct entry *e = from < g->entries ? &g->entry[from] : NULL;
    return e && e->id == id && !e->dead ? e : NULL;
}

/* ---- from a tree and a file to its record ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static size_t first_slot(const struct giveback *g, uint64_t tree, const struct plat_object *o)
{
    uint64_t h = mix(mix(mix(mix(tree, o->ino), o->dev), (uint64_t)o->born_s), o->born_ns);
    return (size_t)(h & (g->slots - 1));
}

struct slot *keeper_slot(struct giveback *g, uint64_t tree, const struct plat_object *o)
{
    if (!g->slots || (!o->ino && !o->dev))
        return NULL;
    for (size_t i = first_slot(g, tree, o);; i = (i + 1) & (g->slots - 1)) {
        struct slot *s = &g->slot[i];
        if (s->use == 0)
            return NULL;
        if (s->use != 2 && s->tree == tree && plat_object_eq(&s->object, o))
            return s;
    }
}

static void slot_set(struct giveback *g, const struct slot *what, struct slot **ret)
{
    size_t i = first_slot(g, what->tree, &what->object);
    while (g->slot[i].use == 1 || g->slot[i].use == 3)
        i = (i + 1) & (g->slots - 1);
    g->slots_used += g->slot[i].use == 0;
    g->slot[i] = *what;
    *ret = &g->slot[i];
}

static int rehash(struct giveback *g)
{
    size_t taken = 0, n = 64;
    for (size_t i = 0; i < g->slots; i++)
        taken += g->slot[i].use == 1 || g->slot[i].use == 3;
    while (n < taken * 3)
        n *= 2;
    struct slot *old = g->slot, *unused, *fresh = calloc(n, sizeof *fresh);
    size_t old_n = g->slots;
    if (!fresh)
        return -ENOMEM;
    g->slot = fresh;
    g->slots = n;
    g->slots_used = 0;
    for (size_t i = 0; i < old_n; i++) {
        if (old[i].use == 1 || old[i].use == 3)
            slot_set(g, &old[i], &unused);
    }
    free(old);
    return 0;
}

int keeper_slot_new(struct giveback *g, uint64_t tree, const struct plat_object *o, struct slot **ret)
{
    if (g->slots_used * 3 >= g->slots * 2) {
        int r = rehash(g);
        if (r < 0)
            return r;
    }
    slot_set(g, &(struct slot){.object = *o, .tree = tree, .use = 1}, ret);
    return 0;
}

/* ---- trees ---- */

static size_t tree_place(const struct giveback *g, uint64_t tree)
{
    size_t from = 0, to = g->trees;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (g->tree[mid].tree < tree)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

struct tree *keeper_tree(struct giveback *g, uint64_t tree)
{
    size_t at = tree_place(g, tree);
    return at < g->trees && g->tree[at].tree == tree ? &g->tree[at] : NULL;
}

int keeper_tree_new(struct giveback *g, uint64_t tree, struct tree **ret)
{
    *ret = keeper_tree(g, tree);
    if (*ret)
        return 0;
    int r = grow((void **)&g->tree, &g->trees_cap, g->trees, sizeof *g->tree);
    if (r < 0)
        return r;
    size_t at = tree_place(g, tree);
    memmove(g->tree + at + 1, g->tree + at, (g->trees - at) * sizeof *g->tree);
    g->tree[at] = (struct tree){.tree = tree, .saved = true};
    g->trees++;
    *ret = &g->tree[at];
    return 0;
}

void keeper_squeeze(struct giveback *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->entries; i++) {
        if (!g->entry[i].dead)
            g->entry[n++] = g->entry[i];
    }
    g->entries = n;
    n = 0;
    for (size_t i = 0; i < g->trees; i++) {
        if (g->tree[i].entries || g->tree[i].state == TREE_SUSPECTED)
            g->tree[n++] = g->tree[i];
    }
    g->trees = n;
}
