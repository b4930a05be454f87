/* Trees and what is remembered of their files: tables, lists, bounds. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "detect/ransom/internal.h"

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

uint64_t path_hash(struct sm_span path)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < path.n; i++)
        h = (h ^ path.p[i]) * 0x100000001b3u;
    return h;
}

struct sm_span path_base(struct sm_span path)
{
    size_t at = path.n;
    if (!at)
        return SM_SPAN("", 0);
    while (at > 0 && path.p[at - 1] != '/')
        at--;
    return SM_SPAN(path.p + at, path.n - at);
}

struct sm_span file_path(const struct file *f)
{
    return SM_SPAN(f->path, f->path_n);
}

/* ---- trees ---- */
static struct tree **tree_slot(const struct ransom *r, uint64_t id)
{
    return &r->table[mix(id) % RANSOM_TREES_MAX];
}

struct tree *tree_find(const struct ransom *r, uint64_t id)
{
    struct tree *t = *tree_slot(r, id);
    while (t && t->id != id)
        t = t->chain;
    return t;
}

static void tree_unlink(struct ransom *r, struct tree *t)
{
    *(t->prev ? &t->prev->next : &r->quiet) = t->next;
    *(t->next ? &t->next->prev : &r->busy) = t->prev;
}

static void tree_append(struct ransom *r, struct tree *t)
{
    t->next = NULL;
    t->prev = r->busy;
    *(r->busy ? &r->busy->next : &r->quiet) = t;
    r->busy = t;
}

void tree_drop(struct ransom *r, struct tree *t)
{
    while (t->first)
        file_drop(r, t->first);
    struct tree **at = tree_slot(r, t->id);
    while (*at != t)
        at = &(*at)->chain;
    *at = t->chain;
    tree_unlink(r, t);
    r->trees--;
    free(t);
}

/* The quietest that nothing was said of yet, among the 64 quietest; else the quietest. */
static struct tree *tree_forgettable(const struct ransom *r, const struct tree *but)
{
    unsigned n = 0;
    for (struct tree *t = r->quiet; t && n < 64; t = t->next, n++)
        if (t != but && !t->destroyed && !score_of(r, t))
            return t;
    return r->quiet != but ? r->quiet : r->quiet ? r->quiet->next : NULL;
}

struct tree *tree_get(struct ransom *r, uint64_t id)
{
    struct tree *t = tree_find(r, id);
    if (t) {
        tree_unlink(r, t);
        tree_append(r, t);
        return t;
    }
    t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    if (r->trees == RANSOM_TREES_MAX) {
        tree_drop(r, tree_forgettable(r, NULL));
        r->forgotten++;
    }
    t->id = id;
    t->chain = *tree_slot(r, id);
    *tree_slot(r, id) = t;
    tree_append(r, t);
    r->trees++;
    return t;
}

/* ---- files ---- */
static struct file **file_slot(const struct ransom *r, uint64_t id)
{
    return &r->file_table[mix(id) % RANSOM_ALL_MAX];
}

struct file *file_find(const struct ransom *r, const struct tree *t, uint64_t id)
{
    struct file *f = id ? *file_slot(r, id) : NULL;
    while (f && (f->id != id || f->of != t))
        f = f->chain;
    return f;
}

struct file *file_at(const struct tree *t, struct sm_span path)
{
    uint64_t h = path_hash(path);
    struct file *f = t->last;
    while (f && f->path_hash != h)
        f = f->prev;
    return f;
}

static void list_remove(struct tree *t, struct file *f)
{
    *(f->prev ? &f->prev->next : &t->first) = f->next;
    *(f->next ? &f->next->prev : &t->last) = f->prev;
}

static void list_append(struct tree *t, struct file *f)
{
    f->next = NULL;
    f->prev = t->last;
    *(t->last ? &t->last->next : &t->first) = f;
    t->last = f;
}

void file_seen(struct tree *t, struct file *f)
{
    list_remove(t, f);
    list_append(t, f);
    f->acted = t->acts;
}

static void look_remove(struct ransom *r, struct file *f)
{
    *(f->look_prev ? &f->look_prev->look_next : &r->look) = f->look_next;
    *(f->look_next ? &f->look_next->look_prev : &r->look_last) = f->look_prev;
}

static void look_append(struct ransom *r, struct file *f)
{
    f->look_next = NULL;
    f->look_prev = r->look_last;
    *(r->look_last ? &r->look_last->look_next : &r->look) = f;
    r->look_last = f;
}

void file_dirty(struct ransom *r, struct file *f, bool dirty)
{
    if (dirty == !!(f->marks & DIRTY))
        return;
    if (dirty)
        look_append(r, f);
    else
        look_remove(r, f);
    f->marks ^= DIRTY;
    f->of->dirty += dirty ? 1 : -1u;
}

void file_looked(struct ransom *r, struct file *f)
{
    look_remove(r, f);
    look_append(r, f);
}

static void file_unnumber(struct ransom *r, struct file *f)
{
    struct file **at = f->id ? file_slot(r, f->id) : NULL;
    while (at && *at != f)
        at = &(*at)->chain;
    if (at)
        *at = f->chain;
    f->id = 0;
}

void file_number(struct ransom *r, struct file *f, uint64_t id)
{
    file_unnumber(r, f);
    f->id = id;
    f->chain = *file_slot(r, id);
    *file_slot(r, id) = f;
}

void file_let_go(struct ransom *r, uint64_t id)
{
    struct file *f = id ? *file_slot(r, id) : NULL, *next;
    for (; f; f = next) {
        next = f->chain;
        if (f->id != id)
            continue;
        file_dirty(r, f, false);
        file_unnumber(r, f);
    }
}

void file_drop(struct ransom *r, struct file *f)
{
    struct tree *t = f->of;
    file_dirty(r, f, false);
    list_remove(t, f);
    file_unnumber(r, f);
    for (unsigned i = 0; i < t->shown_n; i++)
        if (t->shown[i] == f) {
            memmove(t->shown + i, t->shown + i + 1, (--t->shown_n - i) * sizeof t->shown[0]);
            break;
        }
    if ((f->marks & (GONE | SETTLED)) == GONE && t->gone)
        t->gone--;
    t->files--;
    r->all--;
    free(f->print);
    free(f->path);
    free(f);
}

/* One that was found harmless, the one longest without an act first. */
static void file_forget(struct ransom *r, struct tree *t)
{
    unsigned n = 0;
    for (struct file *f = t->first; f && n < 64; f = f->next, n++)
        if (!(f->marks & (DESTROYED | DIRTY)) && (f->marks & (GONE | SETTLED)) != GONE) {
            file_drop(r, f);
            return;
        }
    file_drop(r, t->first);
}

static void make_room(struct ransom *r, struct tree *t)
{
    if (t->files >= RANSOM_FILES_MAX)
        file_forget(r, t);
    if (r->all < RANSOM_ALL_MAX)
        return;
    struct tree *other = tree_forgettable(r, t);
    if (other && !other->files) {
        tree_drop(r, other);
        r->forgotten++;
        other = tree_forgettable(r, t);
    }
    if (!other || !other->files)
        file_forget(r, t);
    else
        file_forget(r, other);
}

int file_rename(struct file *f, struct sm_span path)
{
    size_t n = path.n < PATH_KEPT ? path.n : PATH_KEPT;
    uint8_t *p = malloc(n + 1);
    if (!p)
        return -ENOMEM;
    /* Of a long one its end: that is where the name is. */
    memcpy(p, path.p + (path.n - n), n);
    free(f->path);
    f->path = p;
    f->path_n = (uint16_t)n;
    f->path_hash = path_hash(path);
    return 0;
}

struct file *file_add(struct ransom *r, struct tree *t, uint64_t id, struct sm_span path)
{
    struct file *f = calloc(1, sizeof *f);
    if (!f || file_rename(f, path) < 0) {
        free(f);
        return NULL;
    }
    make_room(r, t);
    f->of = t;
    f->reason = REASON_NONE;
    if (id)
        file_number(r, f, id);
    list_append(t, f);
    f->acted = t->acts;
    t->files++;
    r->all++;
    return f;
}

void file_show(struct tree *t, struct file *f)
{
    for (unsigned i = 0; i < t->shown_n; i++)
        if (t->shown[i] == f)
            return;
    if (t->shown_n < SHOWN) {
        t->shown[t->shown_n++] = f;
        return;
    }
    /* Full: a destroyed one takes the place of one that was only touched. */
    for (unsigned i = 0; i < SHOWN && f->marks & DESTROYED; i++)
        if (!(t->shown[i]->marks & DESTROYED)) {
            t->shown[i] = f;
            return;
        }
}
