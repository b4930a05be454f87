/* Opening the keeping side: the list is read, a torn end cut, what has no record removed. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "giveback/keeper.h"
#include "plat/fs.h"

struct opening { struct giveback *g; char boot[16]; bool boot_seen; };

static void drop(struct giveback *g, struct entry *e)
{
    struct tree *t = keeper_tree(g, e->tree);
    e->dead = true;
    g->live--;
    g->files -= e->content;
    g->bytes -= e->room;
    g->dead_bytes += e->frame;
    if (t)
        t->entries--;
}

static int take_kept(struct giveback *g, struct sm_span p, size_t frame)
{
    struct record k;
    struct slot *s;
    if (record_get(p, &k) < 0 || keeper_entry(g, k.id))
        return 0; /* of no use; others are */
    if (g->live >= 2 * GIVEBACK_RECORDS_MAX)
        return -SM_EFORMAT;
    struct entry e = {.id = k.id, .tree = k.tree, .room = k.room, .at = k.at, .object = k.object, .kind = k.kind,
        .frame = (uint32_t)frame, .content = k.from == k.id};
    int r = keeper_add(g, &e);
    if (r < 0)
        return r;
    g->bytes += k.room;
    if (k.id >= g->next)
        g->next = k.id + 1;
    bool first = k.kind != GIVEBACK_RENAMED && (k.object.ino || k.object.dev) && !keeper_slot(g, k.tree, &k.object);
    if (!first || (k.kind != GIVEBACK_MADE && !e.content))
        return 0;
    r = keeper_slot_new(g, k.tree, &k.object, &s);
    if (r == 0) {
        s->id = k.id;
        s->kind = k.kind;
    }
    return r;
}

static int take_tree(struct giveback *g, struct sm_span p)
{
    struct sm_rd r = SM_RD(p);
    uint64_t id = sm_rd_varint(&r);
    uint8_t state = sm_rd_u8(&r);
    struct tree *t;
    if (r.err || id == 0 || (state != TREE_SUSPECTED && state != TREE_HARMLESS))
        return 0;
    int err = keeper_tree_new(g, id, &t);
    if (err == 0)
        t->state = state;
    return err;
}

static int take(void *ctx, uint64_t off, struct sm_span payload)
{
    struct opening *o = ctx;
    struct sm_span p = SM_SPAN(payload.p + 1, payload.n - 1);
    struct sm_rd r = SM_RD(p);
    uint64_t id;
    struct entry *e;
    switch (payload.p[0]) {
    case R_KEPT:
        return take_kept(o->g, p, FRAME_HEAD + payload.n);
    case R_GONE:
        id = sm_rd_varint(&r);
        e = keeper_entry(o->g, id);
        if (e)
            drop(o->g, e);
        o->g->dead_bytes += FRAME_HEAD + payload.n;
        return 0;
    case R_TREE:
        return take_tree(o->g, p);
    case R_BOOT:
        sm_rd_copy(&r, o->boot, sizeof o->boot);
        o->boot_seen = r.err == 0;
        return 0;
    case R_SYNCED:
        id = sm_rd_varint(&r);
        if (!r.err)
            o->g->synced = id;
        return 0;
    default:
        return 0; /* of a later version */
    }
}

static int list_open(struct giveback *g, struct opening *o)
{
    struct sm_buf head = SM_BUF_INIT(64);
    unsigned damaged;
    uint64_t size;
    int r = plat_fs_unlink(g->folder, "list.new");
    if (r < 0 && r != -ENOENT)
        return r;
    g->list = plat_fs_create(g->folder, "list", PLAT_FS_RW | PLAT_FS_EXISTING, 0600);
    if (g->list == -ENOENT) {
        r = frame_begin(&head, LIST_MAGIC);
        if (r == 0)
            r = plat_replace(g->folder, "list", sm_buf_span(&head), 0600);
        sm_buf_wipe(&head);
        g->list = r < 0 ? r : plat_fs_create(g->folder, "list", PLAT_FS_RW | PLAT_FS_EXISTING, 0600);
    }
    if (g->list < 0)
        return g->list;
    r = frame_read(g->list, LIST_MAGIC, take, o, &g->end, &damaged);
    if (r == 0)
        r = plat_fs_size(g->list, &size);
    return r < 0 || size == g->end ? r : plat_fs_truncate(g->list, g->end);
}

/* Contents that no record names are removed; records whose contents are missing are dropped. */
struct sweep { struct giveback *g; uint64_t *have; size_t n, cap; int err; };

static int sweep_name(void *arg, struct sm_span name, unsigned char type)
{
    struct sweep *s = arg;
    uint64_t id;
    struct entry *e = id_of_name(name, &id) == 0 ? keeper_entry(s->g, id) : NULL;
    (void)type;
    if (!e || !e->content) {
        (void)plat_fs_unlink(s->g->cdir, (const char *)name.p); /* again the next time */
        return 0;
    }
    if (s->n == s->cap) {
        size_t more = s->cap ? s->cap * 2 : 256;
        uint64_t *p = reallocarray(s->have, more, sizeof *p);
        if (!p)
            return -ENOMEM;
        s->have = p;
        s->cap = more;
    }
    s->have[s->n++] = id;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void forget(struct giveback *g, struct entry *e)
{
    struct slot *s = keeper_slot(g, e->tree, &e->object);
    if (s && s->id == e->id)
        s->use = 2;
    drop(g, e);
}

static int sweep(struct giveback *g, uint64_t from)
{
    struct sweep s = {.g = g};
    for (size_t i = 0; i < g->entries; i++) {
        if (!g->entry[i].dead && g->entry[i].id > from)
            forget(g, &g->entry[i]);
    }
    int r = plat_fs_list(g->cdir, sweep_name, &s);
    if (r == 0 && s.n)
        qsort(s.have, s.n, sizeof *s.have, by_number);
    for (size_t i = 0; i < g->entries && r == 0; i++) {
        struct entry *e = &g->entry[i];
        if (!e->dead && e->content &&
            (!s.n || !bsearch(&e->id, s.have, s.n, sizeof *s.have, by_number)))
            forget(g, e);
    }
    free(s.have);
    return r;
}

/* Slots of what a GONE named later in the list. */
static void slots_of_the_dead(struct giveback *g)
{
    for (size_t i = 0; i < g->slots; i++) {
        struct slot *s = &g->slot[i];
        if (s->use == 1 && !keeper_entry(g, s->id))
            s->use = 2;
    }
}

static int boot_note(struct giveback *g, const struct opening *o, const char *now)
{
    struct sm_buf b = SM_BUF_INIT(32);
    if (o->boot_seen && memcmp(o->boot, now, 16) == 0)
        return 0;
    int r = sm_buf_put_u8(&b, R_BOOT);
    if (r == 0)
        r = sm_buf_put(&b, now, 16);
    if (r == 0)
        r = list_append(g, sm_buf_span(&b));
    sm_buf_wipe(&b);
    return r;
}

/* Dropped records get their GONE, so that the giving side, which reads the list alone, drops them too. */
static int say_dropped(struct giveback *g)
{
    struct sm_buf b = SM_BUF_INIT(32);
    int r = 0;
    for (size_t i = 0; i < g->entries && r == 0; i++) {
        if (!g->entry[i].dead)
            continue;
        sm_buf_clear(&b);
        r = sm_buf_put_u8(&b, R_GONE);
        if (r == 0)
            r = sm_buf_put_varint(&b, g->entry[i].id);
        if (r == 0)
            r = list_append(g, sm_buf_span(&b));
    }
    sm_buf_wipe(&b);
    return r;
}

static int open_in(struct giveback *g)
{
    struct opening o = {.g = g};
    char now[16];
    int r = boot_now(now);
    if (r == 0) {
        g->lock_fd = plat_fs_lock(g->folder, "lock");
        r = g->lock_fd < 0 ? g->lock_fd : 0;
    }
    if (r == 0) {
        g->cdir = folder_below(g->folder, "c");
        r = g->cdir < 0 ? g->cdir : list_open(g, &o);
    }
    if (r < 0)
        return r;
    keeper_squeeze(g);
    slots_of_the_dead(g);
    bool other = o.boot_seen && memcmp(o.boot, now, 16) != 0;
    r = sweep(g, other ? g->synced : UINT64_MAX);
    /* The word for what is dropped first: with the new boot's name in the list, what was not synced would be believed. */
    if (r == 0)
        r = say_dropped(g);
    if (r == 0)
        r = boot_note(g, &o, now);
    keeper_squeeze(g);
    for (size_t i = 0; i < g->trees; i++) {
        if (g->tree[i].state == TREE_NEW)
            g->tree[i].state = TREE_EARLIER;
    }
    return r;
}

int giveback_open(int folder, const struct giveback_limits *l, struct giveback **ret)
{
    struct giveback *g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    g->limits = *l;
    g->next = 1;
    g->cdir = g->list = g->lock_fd = -1;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->settled, NULL);
    g->folder = plat_fs_open_dir(folder, ".");
    int r = g->folder < 0 ? g->folder : open_in(g);
    if (r < 0) {
        giveback_close(g);
        return r;
    }
    *ret = g;
    return 0;
}

void giveback_close(struct giveback *g)
{
    if (!g)
        return;
    const int fds[] = {g->list, g->cdir, g->folder, g->lock_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->settled);
    free(g->entry);
    free(g->slot);
    free(g->tree);
    free(g);
}
