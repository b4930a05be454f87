/* A fixed array of entries in three chained hashes (tree and file, file, name) and one list by age. */
#include "sakimori-agent/sensor/held.h"

#include <unistd.h>

enum { BY_KEY, BY_FILE, BY_PATH, INDEXES };
#define NONE (-1)

struct held {
    void (*dropped)(void *ctx, uint64_t file, int fd);
    void *ctx;
    size_t max, n, slots;   /* slots: a power of two */
    struct held_file *at;
    int32_t *head[INDEXES];
    int32_t oldest, newest, unused;
    uint64_t gone_bytes;
    uint64_t *bytes;        /* of each that is gone */
};

static uint64_t spread(uint64_t v)
{
    v ^= v >> 33;
    v *= 0xff51afd7ed558ccdu;
    return v ^ v >> 29;
}

uint64_t held_hash(struct sm_span path)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < path.n; i++)
        h = (h ^ path.p[i]) * 0x100000001b3u;
    return h ? h : 1;
}

static uint64_t key(const struct held_file *f, int index)
{
    return index == BY_KEY ? spread(f->tree) ^ f->file : index == BY_FILE ? f->file : f->path;
}

static int32_t *head(struct held *h, int index, uint64_t k)
{
    return &h->head[index][spread(k) & (h->slots - 1)];
}

static void enter(struct held *h, int32_t i, int index)
{
    int32_t *at = head(h, index, key(&h->at[i], index));
    h->at[i].next[index] = *at;
    *at = i;
}

static void leave(struct held *h, int32_t i, int index)
{
    int32_t *at = head(h, index, key(&h->at[i], index));
    while (*at != i)
        at = &h->at[*at].next[index];
    *at = h->at[i].next[index];
}

static void unlist(struct held *h, int32_t i)
{
    struct held_file *f = &h->at[i];
    *(f->older == NONE ? &h->oldest : &h->at[f->older].newer) = f->newer;
    *(f->newer == NONE ? &h->newest : &h->at[f->newer].older) = f->older;
}

static void list(struct held *h, int32_t i)
{
    struct held_file *f = &h->at[i];
    f->older = h->newest;
    f->newer = NONE;
    *(h->newest == NONE ? &h->oldest : &h->at[h->newest].newer) = i;
    h->newest = i;
}

struct held *held_new(size_t max, void (*dropped)(void *ctx, uint64_t file, int fd), void *ctx)
{
    struct held *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    *h = (struct held){.dropped = dropped, .ctx = ctx, .max = max, .slots = 1, .oldest = NONE, .newest = NONE, .unused = NONE};
    while (h->slots < max)
        h->slots *= 2;
    h->at = calloc(max, sizeof *h->at);
    h->bytes = calloc(max, sizeof *h->bytes);
    bool whole = h->at && h->bytes;
    for (int k = 0; k < INDEXES; k++) {
        h->head[k] = malloc(h->slots * sizeof *h->head[k]);
        whole = whole && h->head[k];
        for (size_t i = 0; h->head[k] && i < h->slots; i++)
            h->head[k][i] = NONE;
    }
    if (!whole) {
        held_free(h);
        return NULL;
    }
    return h;
}

void held_free(struct held *h)
{
    if (!h)
        return;
    while (h->at && h->oldest != NONE)
        held_drop(h, &h->at[h->oldest]);
    for (int k = 0; k < INDEXES; k++)
        free(h->head[k]);
    free(h->bytes);
    free(h->at);
    free(h);
}

struct held_file *held_find(struct held *h, uint64_t tree, uint64_t file)
{
    for (int32_t i = *head(h, BY_KEY, spread(tree) ^ file); i != NONE; i = h->at[i].next[BY_KEY])
        if (h->at[i].tree == tree && h->at[i].file == file)
            return &h->at[i];
    return NULL;
}

struct held_file *held_any(struct held *h, uint64_t file)
{
    for (int32_t i = *head(h, BY_FILE, file); i != NONE; i = h->at[i].next[BY_FILE])
        if (h->at[i].file == file)
            return &h->at[i];
    return NULL;
}

struct held_file *held_named(struct held *h, uint64_t tree, uint64_t path)
{
    for (int32_t i = *head(h, BY_PATH, path); i != NONE; i = h->at[i].next[BY_PATH])
        if (h->at[i].path == path && (!tree || h->at[i].tree == tree) && !(h->at[i].bits & HELD_GONE))
            return &h->at[i];
    return NULL;
}

void held_drop(struct held *h, struct held_file *f)
{
    int32_t i = (int32_t)(f - h->at);
    for (int k = 0; k < INDEXES; k++)
        leave(h, i, k);
    unlist(h, i);
    if (!held_any(h, f->file) && h->dropped)
        h->dropped(h->ctx, f->file, f->fd);
    close(f->fd);
    h->gone_bytes -= h->bytes[i];
    h->bytes[i] = 0;
    h->n--;
    f->next[0] = h->unused;
    h->unused = i;
}

/* What makes room: the oldest that is only held for reading, if one is among the oldest few, else the oldest. */
static void make_room(struct held *h)
{
    int32_t i = h->oldest;
    for (unsigned k = 0; k < 64 && i != NONE && (h->at[i].bits & (HELD_GONE | HELD_KEPT)); k++)
        i = h->at[i].newer;
    held_drop(h, &h->at[i == NONE ? h->oldest : i]);
}

struct held_file *held_put(struct held *h, uint64_t tree, uint64_t file, int fd, uint64_t path, int64_t at_ms)
{
    struct held_file *f = held_find(h, tree, file);
    if (f) {
        close(fd);
        held_touch(h, f, at_ms);
        return f;
    }
    if (h->n == h->max)
        make_room(h);
    int32_t i = h->unused != NONE ? h->unused : (int32_t)h->n;
    if (h->unused != NONE)
        h->unused = h->at[i].next[0];
    f = &h->at[i];
    *f = (struct held_file){.tree = tree, .file = file, .fd = fd, .path = path, .at_ms = at_ms};
    h->n++;
    for (int k = 0; k < INDEXES; k++)
        enter(h, i, k);
    list(h, i);
    return f;
}

void held_touch(struct held *h, struct held_file *f, int64_t at_ms)
{
    int32_t i = (int32_t)(f - h->at);
    f->at_ms = at_ms;
    unlist(h, i);
    list(h, i);
}

void held_rename(struct held *h, struct held_file *f, uint64_t path)
{
    int32_t i = (int32_t)(f - h->at);
    leave(h, i, BY_PATH);
    f->path = path;
    enter(h, i, BY_PATH);
}

void held_gone(struct held *h, struct held_file *f, uint64_t bytes, uint64_t max_bytes)
{
    size_t own = (size_t)(f - h->at);
    f->bits |= HELD_GONE;
    h->gone_bytes += bytes - h->bytes[own];
    h->bytes[own] = bytes;
    for (int32_t i = h->oldest, next; i != NONE && h->gone_bytes > max_bytes; i = next) {
        next = h->at[i].newer;
        if ((h->at[i].bits & HELD_GONE) && (size_t)i != own)
            held_drop(h, &h->at[i]);
    }
}

void held_drop_tree(struct held *h, uint64_t tree)
{
    for (int32_t i = h->oldest, next; i != NONE; i = next) {
        next = h->at[i].newer;
        if (h->at[i].tree == tree)
            held_drop(h, &h->at[i]);
    }
}

void held_age(struct held *h, int64_t before_ms, int64_t before_other_ms)
{
    for (int32_t i = h->oldest, next; i != NONE; i = next) {
        next = h->at[i].newer;
        if (h->at[i].at_ms < before_ms || ((h->at[i].bits & HELD_REMOVABLE) && h->at[i].at_ms < before_other_ms))
            held_drop(h, &h->at[i]);
    }
}

size_t held_count(const struct held *h)
{
    return h->n;
}
