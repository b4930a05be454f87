/* The keeping side: what is told is kept. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "giveback/keeper.h"
#include "plat/clock.h"
#include "plat/fs.h"

static int put_tree(struct giveback *g, struct tree *t)
{
    struct sm_buf b = SM_BUF_INIT(32);
    int r = sm_buf_put_u8(&b, R_TREE);
    if (r == 0)
        r = sm_buf_put_varint(&b, t->tree);
    if (r == 0)
        r = sm_buf_put_u8(&b, t->state);
    if (r == 0)
        r = list_append(g, sm_buf_span(&b));
    sm_buf_wipe(&b);
    t->saved = r == 0;
    return r;
}

void giveback_suspect(struct giveback *g, uint64_t tree, bool yes)
{
    struct tree *t = NULL;
    pthread_mutex_lock(&g->lock);
    /* Nothing is remembered of a harmless tree that has nothing here: most trees. */
    int r = yes ? keeper_tree_new(g, tree, &t) : 0;
    if (!yes)
        t = keeper_tree(g, tree);
    uint8_t state = yes ? TREE_SUSPECTED : TREE_HARMLESS;
    if (r == 0 && t && t->state != state) {
        t->state = state;
        (void)put_tree(g, t); /* giveback_sync tries again */
    }
    pthread_mutex_unlock(&g->lock);
}

/* ---- one ---- */

struct keeping {
    struct giveback *g;
    const struct giveback_what *w;
    struct plat_meta meta;
    struct record k;
    bool content;       /* contents are kept */
};

static int look(struct keeping *c)
{
    const struct giveback_what *w = c->w;
    if (!w->tree || w->kind > GIVEBACK_REMOVED || !path_ok(w->path) || (w->kind == GIVEBACK_RENAMED) != (w->was.n > 0) ||
        (w->was.n && !path_ok(w->was)) || (w->kind == GIVEBACK_CONTENT && w->fd < 0))
        return -SM_EINVAL;
    if (w->fd < 0)
        return 0;
    bool whole = w->kind == GIVEBACK_CONTENT || w->kind == GIVEBACK_REMOVED;
    int r = plat_meta_read(w->fd, "", whole ? PLAT_META_XATTR : 0, &c->meta);
    if (r == 0)
        r = plat_object_of(w->fd, "", &c->k.object);
    if (r < 0)
        return r;
    c->content = whole && c->meta.type == PLAT_FILE;
    if (whole && !c->content && !(w->kind == GIVEBACK_REMOVED && c->meta.type == PLAT_DIR))
        return -SM_EINVAL;
    return c->content && c->meta.size > c->g->limits.file_max_bytes ? -EFBIG : 0;
}

/* Under the lock: is there one of this file already?  1: yes, *ret_id; 0: *ret is a busy place for it, or NULL. */
static int claim(struct keeping *c, uint64_t *ret_id, struct slot **ret)
{
    struct giveback *g = c->g;
    struct slot *s;
    *ret = NULL;
    while ((s = keeper_slot(g, c->w->tree, &c->k.object)) && s->use == 3)
        pthread_cond_wait(&g->settled, &g->lock);
    if (s && c->w->kind == GIVEBACK_CONTENT) {
        *ret_id = s->id;
        return 1;
    }
    if (s && c->w->kind == GIVEBACK_REMOVED) {
        c->k.from = s->id; /* its first contents; or nothing, when the tree itself had made it */
        c->content = false;
    }
    if (s || c->w->kind == GIVEBACK_RENAMED || !(c->k.object.ino || c->k.object.dev) || c->meta.type != PLAT_FILE)
        return 0;
    return keeper_slot_new(g, c->w->tree, &c->k.object, ret);
}

static int copy_contents(struct keeping *c, const bool *cancel)
{
    char name[17];
    id_name(c->k.id, name);
    int fd = plat_fs_create(c->g->cdir, name, PLAT_FS_EXCL | PLAT_FS_RW, 0600);
    if (fd < 0)
        return fd;
    int r = plat_clone(c->w->fd, fd, c->meta.size, cancel);
    if (r == 0)
        r = plat_clone_room(fd, &c->k.room);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r < 0)
        (void)plat_fs_unlink(c->g->cdir, name);
    return r;
}

static int write_record(struct keeping *c)
{
    struct sm_buf meta = SM_BUF_INIT(META_MAX), b = SM_BUF_INIT(FRAME_MAX);
    int r = c->meta.type ? meta_put(&meta, &c->meta) : 0;
    c->k.meta = sm_buf_span(&meta);
    if (r == 0)
        r = record_put(&b, &c->k);
    struct entry e = {.id = c->k.id, .tree = c->k.tree, .room = c->k.room, .at = c->k.at, .object = c->k.object,
        .frame = (uint32_t)b.n + FRAME_HEAD, .kind = c->k.kind, .content = c->content};
    if (r == 0)
        r = list_append(c->g, sm_buf_span(&b));
    if (r == 0 && (r = keeper_add(c->g, &e)) < 0)
        c->g->end -= e.frame; /* not acknowledged: the next frame is written over it */
    sm_buf_wipe(&meta);
    sm_buf_wipe(&b);
    return r;
}

/* Under the lock, which is let go while contents are copied. */
static int keep_claimed(struct keeping *c, const bool *cancel, struct slot *s)
{
    struct giveback *g = c->g;
    struct plat_object object = c->k.object;
    uint64_t need = c->content ? c->meta.blocks_bytes < c->meta.size + 4096 ? c->meta.blocks_bytes : c->meta.size : 0;
    int r = room_for(g, need);
    if (r < 0)
        goto out;
    c->k.id = g->next++;
    if (s) {
        s = keeper_slot(g, c->k.tree, &object);
        s->use = 3;
        s->id = c->k.id;
        s->kind = c->k.kind;
    }
    if (c->content) {
        g->bytes += need;
        pthread_mutex_unlock(&g->lock);
        r = copy_contents(c, cancel);
        pthread_mutex_lock(&g->lock);
        g->bytes -= need;
        c->k.from = c->k.id;
    }
    if (r == 0)
        r = write_record(c);
    if (r == 0)
        g->bytes += c->k.room;
    if (r < 0 && c->content) {
        char name[17];
        id_name(c->k.id, name);
        (void)plat_fs_unlink(g->cdir, name);
    }
out:
    s = s ? keeper_slot(g, c->k.tree, &object) : NULL; /* the table may have moved */
    if (s)
        s->use = r == 0 ? 1 : 2;
    pthread_cond_broadcast(&g->settled);
    return r;
}

int giveback_keep(struct giveback *g, const struct giveback_what *w, const bool *cancel, uint64_t *ret_id)
{
    struct keeping c = {.g = g, .w = w};
    struct slot *s;
    uint64_t id = 0;
    int r = look(&c);
    if (r < 0) {
        plat_meta_wipe(&c.meta);
        return r;
    }
    c.k.tree = w->tree;
    c.k.pid = w->pid;
    c.k.kind = w->kind;
    c.k.at = w->at_s;
    c.k.path = w->path;
    c.k.was = w->was;
    pthread_mutex_lock(&g->lock);
    r = claim(&c, &id, &s);
    if (r == 0) {
        r = keep_claimed(&c, cancel, s);
        id = c.k.id;
    }
    pthread_mutex_unlock(&g->lock);
    plat_meta_wipe(&c.meta);
    if (r < 0)
        return r;
    *ret_id = id;
    return 0;
}

/* ---- reading ---- */

static int content_of(struct giveback *g, uint64_t id)
{
    char name[17];
    pthread_mutex_lock(&g->lock);
    const struct entry *e = keeper_entry(g, id);
    bool there = e && e->content;
    pthread_mutex_unlock(&g->lock);
    if (!there)
        return -SM_ENOTFOUND;
    id_name(id, name);
    int fd = plat_fs_open_read(g->cdir, name);
    return fd == -ENOENT ? -SM_ENOTFOUND : fd;
}

ssize_t giveback_read(struct giveback *g, uint64_t id, uint64_t offset, uint8_t *buf, size_t n)
{
    int fd = content_of(g, id);
    if (fd < 0)
        return fd;
    ssize_t k;
    do
        k = pread(fd, buf, n, (off_t)offset);
    while (k < 0 && errno == EINTR);
    k = k < 0 ? -errno : k;
    close(fd);
    return k;
}

int giveback_size(struct giveback *g, uint64_t id, uint64_t *ret)
{
    int fd = content_of(g, id);
    if (fd < 0)
        return fd;
    int r = plat_fs_size(fd, ret);
    close(fd);
    return r;
}

void giveback_room(const struct giveback *g, struct giveback_room *ret)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&g->lock; /* counting changes nothing */
    pthread_mutex_lock(lock);
    *ret = (struct giveback_room){g->bytes, g->files, g->let_go};
    pthread_mutex_unlock(lock);
}

static uint64_t settled_id(const struct giveback *g)
{
    uint64_t id = g->next - 1;
    for (size_t i = 0; i < g->slots; i++) {
        if (g->slot[i].use == 3 && g->slot[i].id && g->slot[i].id <= id)
            id = g->slot[i].id - 1;
    }
    return id;
}

static int say_synced(struct giveback *g, uint64_t id)
{
    struct sm_buf b = SM_BUF_INIT(32);
    int r = sm_buf_put_u8(&b, R_SYNCED);
    if (r == 0)
        r = sm_buf_put_varint(&b, id);
    if (r == 0)
        r = list_append(g, sm_buf_span(&b));
    sm_buf_wipe(&b);
    if (r == 0)
        r = plat_fs_datasync(g->list);
    if (r == 0)
        g->synced = id;
    return r;
}

int giveback_sync(struct giveback *g)
{
    pthread_mutex_lock(&g->lock);
    room_old(g, plat_clock_wall().s);
    for (size_t i = 0; i < g->trees; i++) {
        if (!g->tree[i].saved)
            (void)put_tree(g, &g->tree[i]); /* again the next time */
    }
    uint64_t id = settled_id(g);
    bool moved = g->moved;
    g->moved = false;
    pthread_mutex_unlock(&g->lock);
    int r = moved && syncfs(g->folder) < 0 ? -errno : 0;
    pthread_mutex_lock(&g->lock);
    if (r == 0 && moved) {
        r = id > g->synced ? say_synced(g, id) : 0;
        g->moved = g->next - 1 != g->synced;
    } else if (r < 0) {
        g->moved = true;
    }
    if (r == 0)
        r = list_compact(g);
    pthread_mutex_unlock(&g->lock);
    return r;
}
