/* Room: what is let go, and the list when most of it is dead. */
#include <errno.h>
#include <unistd.h>
#include "giveback/keeper.h"
#include "plat/clock.h"
#include "plat/fs.h"

enum { COMPACT_MIN = 1 << 20, HOLD_S = 3600 };

int list_append(struct giveback *g, struct sm_span payload)
{
    struct sm_buf b = SM_BUF_INIT(FRAME_MAX + FRAME_HEAD);
    int r = frame_put(&b, g->end, payload);
    if (r == 0)
        r = plat_fs_pwrite_all(g->list, sm_buf_span(&b), g->end);
    if (r == 0) {
        g->end += b.n;
        g->moved = true;
    }
    /* Otherwise what reached the file lies past its end: the next one is written over it. */
    sm_buf_wipe(&b);
    return r;
}

static void let_go(struct giveback *g, struct entry *e)
{
    struct slot *s = keeper_slot(g, e->tree, &e->object);
    struct tree *t = keeper_tree(g, e->tree);
    char name[17];
    /* The contents first: on a full disk the word for it may find no room, and an opening sees that they are missing. */
    if (e->content) {
        id_name(e->id, name);
        (void)plat_fs_unlink(g->cdir, name);
    }
    struct sm_buf b = SM_BUF_INIT(32);
    if (sm_buf_put_u8(&b, R_GONE) == 0 && sm_buf_put_varint(&b, e->id) == 0)
        (void)list_append(g, sm_buf_span(&b));
    sm_buf_wipe(&b);
    if (s && s->id == e->id)
        s->use = 2;
    if (t)
        t->entries--;
    g->bytes -= e->room;
    g->files -= e->content;
    g->dead_bytes += e->frame;
    g->live--;
    g->let_go++;
    e->dead = true;
}

static bool may_go(struct giveback *g, const struct entry *e, bool hard, int64_t now)
{
    const struct tree *t = keeper_tree(g, e->tree);
    if (e->dead || !t || t->state == TREE_SUSPECTED)
        return false;
    return t->state != TREE_NEW || (hard && now - e->at >= HOLD_S);
}

static bool fits(struct giveback *g, uint64_t bytes)
{
    struct plat_fs_space s;
    if (g->bytes + bytes > g->limits.max_bytes || g->live >= GIVEBACK_RECORDS_MAX)
        return false;
    if (!bytes)
        return true; /* a few bytes of the list: the disk itself will say */
    return plat_fs_space(g->folder, ".", &s) == 0 && s.avail_bytes >= bytes &&
        s.avail_bytes - bytes >= g->limits.reserve_bytes;
}

int room_for(struct giveback *g, uint64_t bytes)
{
    int64_t now = plat_clock_wall().s;
    if (bytes > g->limits.max_bytes)
        return -ENOSPC; /* nothing is let go for what cannot fit */
    for (int hard = 0; hard < 2; hard++) {
        for (size_t i = 0; i < g->entries; i++) {
            if (fits(g, bytes))
                return 0;
            while (i < g->entries && !may_go(g, &g->entry[i], hard == 1, now))
                i++;
            if (i < g->entries)
                let_go(g, &g->entry[i]);
        }
    }
    return fits(g, bytes) ? 0 : -ENOSPC;
}

void room_old(struct giveback *g, int64_t now)
{
    for (size_t i = 0; i < g->entries && g->limits.age_s > 0; i++) {
        struct entry *e = &g->entry[i];
        const struct tree *t = keeper_tree(g, e->tree);
        if (!e->dead && now - e->at > g->limits.age_s && t && t->state != TREE_SUSPECTED)
            let_go(g, e);
    }
    keeper_squeeze(g);
}

/* ---- a new list ---- */

struct copying { struct giveback *g; struct sm_buf out; int fd; uint64_t written; };

static int copy_out(struct copying *c, struct sm_span payload)
{
    int r = frame_put(&c->out, c->written + c->out.n, payload);
    if (r < 0 || c->out.n < (1 << 20))
        return r;
    r = plat_fs_pwrite_all(c->fd, sm_buf_span(&c->out), c->written);
    c->written += c->out.n;
    sm_buf_clear(&c->out);
    return r;
}

static int copy_frame(void *ctx, uint64_t off, struct sm_span payload)
{
    struct copying *c = ctx;
    struct record k;
    if (payload.p[0] == R_GONE || payload.p[0] == R_TREE || payload.p[0] == R_SYNCED)
        return 0; /* the dead are left out, states are written anew */
    if (payload.p[0] == R_KEPT &&
        (record_get(SM_SPAN(payload.p + 1, payload.n - 1), &k) < 0 || !keeper_entry(c->g, k.id)))
        return 0;
    return copy_out(c, payload);
}

static int put_states(struct copying *c)
{
    struct sm_buf b = SM_BUF_INIT(64);
    int r = sm_buf_put_u8(&b, R_SYNCED);
    if (r == 0)
        r = sm_buf_put_varint(&b, c->g->synced);
    if (r == 0)
        r = copy_out(c, sm_buf_span(&b));
    for (size_t i = 0; i < c->g->trees && r == 0; i++) {
        const struct tree *t = &c->g->tree[i];
        if (t->state != TREE_SUSPECTED && t->state != TREE_HARMLESS)
            continue;
        sm_buf_clear(&b);
        r = sm_buf_put_u8(&b, R_TREE);
        if (r == 0)
            r = sm_buf_put_varint(&b, t->tree);
        if (r == 0)
            r = sm_buf_put_u8(&b, t->state);
        if (r == 0)
            r = copy_out(c, sm_buf_span(&b));
    }
    sm_buf_wipe(&b);
    return r;
}

static int write_new(struct copying *c)
{
    uint64_t end;
    unsigned damaged;
    int r = frame_begin(&c->out, LIST_MAGIC);
    if (r == 0)
        r = frame_read(c->g->list, LIST_MAGIC, copy_frame, c, &end, &damaged);
    if (r == 0)
        r = put_states(c);
    if (r == 0)
        r = plat_fs_pwrite_all(c->fd, sm_buf_span(&c->out), c->written);
    c->written += c->out.n;
    if (r == 0)
        r = plat_fs_sync(c->fd);
    return r < 0 ? r : plat_fs_rename(c->g->folder, "list.new", c->g->folder, "list", true);
}

int list_compact(struct giveback *g)
{
    if (g->end < COMPACT_MIN || g->dead_bytes * 2 < g->end)
        return 0;
    struct copying c = {.g = g, .out = SM_BUF_INIT(FRAME_MAX * 2)};
    c.fd = plat_fs_create(g->folder, "list.new", PLAT_FS_TRUNC | PLAT_FS_RW, 0600);
    int r = c.fd < 0 ? c.fd : write_new(&c);
    sm_buf_wipe(&c.out);
    if (r < 0) {
        if (c.fd >= 0)
            close(c.fd);
        (void)plat_fs_unlink(g->folder, "list.new");
        return r;
    }
    close(g->list);
    g->list = c.fd;
    g->end = c.written;
    g->dead_bytes = 0;
    for (size_t i = 0; i < g->trees; i++)
        g->tree[i].saved = true;
    return plat_fs_sync_dir(g->folder);
}
