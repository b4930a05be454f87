#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/fs.h"
#include "vault/backup/read_internal.h"
#include "vault/backup/reread.h"

struct name_row { uint32_t id; bool used; char name[PLAT_NAME_MAX]; };
struct reader {
    struct run *run;
    struct merge merge;
    struct content content;
    struct { uint64_t id; bool used; } *link;
    size_t links_n;
    struct name_row user[NAMES_CACHE], group[NAMES_CACHE];
    struct sm_buf meta;
    uint32_t canaries_seen;
    bool canary_seen[BACKUP_CANARIES_MAX];
};
/* What is known of one entry while it is taken. */
struct taking {
    const struct scan_entry *e;
    const struct tree_record *old;   /* borrowed from the tree reader; NULL: new */
    struct sm_buf old_copy;
    uint64_t id;
    int canary;                      /* index, or -1 */
    bool link, link_first;
    bool counted;                    /* as changed, by its times */
    size_t link_slot;
};

static uint64_t id_of(const struct plat_id *id)
{
    uint64_t h = 0xcbf29ce484222325;
    const uint8_t *p = id->volume;
    for (size_t i = 0; i < sizeof id->volume; i++)
        h = (h ^ p[i]) * 0x100000001b3;
    for (size_t i = 0; i < sizeof id->id; i++)
        h = (h ^ id->id[i]) * 0x100000001b3;
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15;
    return h ^ h >> 29;
}

/* ---- hard links ---- */

/* Is this the first name of a file with several?  Beyond LINKS_MAX every name is a file of its own. */
static void link_note(struct reader *r, struct taking *t)
{
    const struct plat_meta *m = t->e->meta;
    if (m->type == PLAT_DIR || m->nlink < 2)
        return;
    if (!r->link)
        r->link = calloc(LINKS_MAX * 2, sizeof *r->link);
    if (!r->link || r->links_n >= LINKS_MAX)
        return;
    size_t i = (size_t)t->id & (LINKS_MAX * 2 - 1);
    while (r->link[i].used && r->link[i].id != t->id)
        i = (i + 1) & (LINKS_MAX * 2 - 1);
    t->link = true;
    t->link_first = !r->link[i].used;
    t->link_slot = i;
    if (t->link_first) {
        r->link[i].used = true;
        r->link[i].id = t->id;
        r->links_n++;
    }
}

/* The first name could not be read: the next one is the first.  Nothing was noted in between, so the slot may go. */
static void link_forget(struct reader *r, const struct taking *t)
{
    if (t->link_first) {
        r->link[t->link_slot].used = false;
        r->links_n--;
    }
}

/* ---- owners' names ---- */

static const char *name_of(struct name_row *rows, uint32_t id, int (*ask)(uint32_t, char *, size_t))
{
    struct name_row *n = &rows[id % NAMES_CACHE];
    if (!n->used || n->id != id) {
        n->id = id;
        n->used = true;
        if (ask(id, n->name, sizeof n->name) < 0)
            n->name[0] = 0;
    }
    return n->name;
}

static int meta_put(struct reader *r, struct plat_meta *m, const struct taking *t, const struct meta_extra *extra)
{
    (void)snprintf(m->user, sizeof m->user, "%s", name_of(r->user, m->uid, plat_user_name));
    (void)snprintf(m->group, sizeof m->group, "%s", name_of(r->group, m->gid, plat_group_name));
    if (m->xattr_err)
        run_problem(r->run, t->e->path, m->xattr_err, "attributes");
    sm_buf_clear(&r->meta);
    int e = meta_from_plat(m, extra, 0, &r->meta);
    if (e != -SM_ELIMIT)
        return e;
    /* Too many attributes for the format: the file is worth more than they are. */
    run_problem(r->run, t->e->path, e, "attributes");
    m->xattr_n = 0;
    sm_buf_clear(&r->meta);
    return meta_from_plat(m, extra, 0, &r->meta);
}

/* ---- records ---- */

static bool is_racy(const struct reader *r, struct sm_time ctime)
{
    uint64_t ms = r->run->c->racy_ms ? r->run->c->racy_ms : 2000;
    struct sm_time now = plat_clock_wall();
    __int128 gap = (__int128)(now.s - ctime.s) * 1000 + ((int64_t)now.ns - (int64_t)ctime.ns) / 1000000;
    return gap < (__int128)ms;
}

static int record_put(struct reader *r, const struct taking *t, uint8_t type, const struct plat_meta *m, uint8_t class,
    const struct content_result *c, struct sm_buf *to)
{
    struct tree_record rec = { .type = type, .name = t->e->name, .kind = (uint8_t)m->type, .class = class, .id = t->id,
        .size = m->type == PLAT_FILE ? m->size : 0, .mtime = m->mtime, .ctime = m->ctime, .meta = sm_buf_span(&r->meta),
        .has_sum = c != NULL, .sum = c ? c->sum : 0 };
    if (is_racy(r, m->ctime))
        rec.ctime.ns = UINT32_MAX; /* may change again within the same tick: never taken for unchanged */
    return tree_record_put(to, &rec, NULL);
}

static bool stream_is_sound(const struct run *run, const struct tree_record *o)
{
    if (o->stream.layout == LAYOUT_NONE || (run->missing_n == 0 && o->shared_plain == 0))
        return true;
    if (run_is_missing(run, &o->stream.envelope))
        return false;
    struct part *p = calloc(o->stream.nparts, sizeof *p);
    if (!p)
        return false;
    tree_parts(&o->stream, p);
    bool sound = true;
    for (uint32_t i = 0; sound && i < o->stream.nparts; i++)
        sound = p[i].hole || !run_is_missing(run, &p[i].cid);
    if (sound && o->shared_plain && tree_is_recut(run->old, &p[0].cid))
        sound = false;
    free(p);
    return sound;
}

static bool is_unchanged(const struct reader *r, const struct taking *t)
{
    const struct tree_record *o = t->old;
    const struct plat_meta *m = t->e->meta;
    if (!o || o->kind != (uint8_t)m->type || o->id != t->id || sm_time_cmp(o->mtime, m->mtime) != 0 ||
        sm_time_cmp(o->ctime, m->ctime) != 0)
        return false;
    if ((t->canary >= 0) != ((o->class & CLASS_CANARY) != 0))
        return false;
    if (m->type != PLAT_FILE)
        return true;
    bool wants = !t->link || t->link_first;
    return o->size == m->size && o->has_stream == wants && (!wants || stream_is_sound(r->run, o));
}

/* Read again only out of caution (too fresh to trust its time, or the box lost something): not a change of anybody's. */
static bool looks_the_same(const struct taking *t)
{
    const struct tree_record *o = t->old;
    const struct plat_meta *m = t->e->meta;
    bool fresh = o->ctime.ns == UINT32_MAX && o->ctime.s == m->ctime.s;
    if (t->link && !t->link_first && o->size == m->size && sm_time_cmp(o->mtime, m->mtime) == 0)
        return true; /* another name of a file whose content the first name tells */
    return o->id == t->id && o->size == m->size && sm_time_cmp(o->mtime, m->mtime) == 0 &&
        (fresh || sm_time_cmp(o->ctime, m->ctime) == 0);
}

static void count_entry(struct reader *r, struct taking *t, bool kept)
{
    struct backup_counts *c = &r->run->read;
    const struct plat_meta *m = t->e->meta;
    if (m->type != PLAT_FILE) {
        c->others++;
        return;
    }
    c->files++;
    c->bytes += m->size;
    atomic_fetch_add(&r->run->files, 1);
    if (!kept && t->old) {
        t->counted = !looks_the_same(t);
        c->files_changed += t->counted;
    } else if (!kept) {
        c->files_new++;
    }
}

/* Other times, another owner, restored in place: the same bytes are no change of the file. */
static bool same_content(const struct taking *t, const struct content_result *c)
{
    return t->old && t->old->has_sum && t->old->size == c->size && t->old->sum == c->sum;
}

static int push(struct reader *r, struct event *e)
{
    (void)e;
    pipe_push(r->run->pipe);
    return content_count(&r->content);
}

static int push_kept(struct reader *r, const struct taking *t)
{
    struct event *e = pipe_slot(r->run->pipe);
    if (!e)
        return -ECANCELED;
    e->kind = EV_KEEP;
    int n = sm_buf_put_span(&e->rec, t->old->raw);
    return n < 0 ? n : push(r, e);
}

/* ---- taking an entry anew ---- */

static int push_record(struct reader *r, const struct taking *t, uint8_t kind, const struct plat_meta *m,
    const struct content_result *c)
{
    struct event *e = pipe_slot(r->run->pipe);
    if (!e)
        return -ECANCELED;
    e->kind = kind;
    uint8_t class = (uint8_t)((c ? c->class : CLASS_NONE) | (t->canary >= 0 ? CLASS_CANARY : 0));
    int n = record_put(r, t, TREE_ENTRY, m, class, c, &e->rec);
    /* Whether a canary has other bytes than before is seen when its chunks have names. */
    if (n == 0 && t->canary >= 0 && t->old && (t->old->class & CLASS_CANARY))
        n = sm_buf_put_span(&e->rec2, t->old->raw);
    if (n < 0)
        return n;
    if (c) {
        e->group = c->group;
        e->offset = c->offset;
        e->length = c->size;
    }
    return push(r, e);
}

static struct meta_extra extra_of(const struct taking *t, const struct plat_meta *m)
{
    return (struct meta_extra){ .has_link = t->link, .link_group = t->id, .link_count = m->nlink,
        .canary = t->canary >= 0, .sparse = m->type == PLAT_FILE && m->size >= 65536 && m->blocks_bytes + 4096 <= m->size };
}

/* Read an attribute list; the owner of an entry that cannot be looked at any more is told. */
static int meta_of(struct reader *r, const struct taking *t, struct plat_meta *ret)
{
    if (r->run->c->scan.remote) {
        *ret = *t->e->meta; /* holds nothing of its own: it came with the name */
        return 0;
    }
    int e = plat_meta_read(t->e->dirfd, t->e->at, PLAT_META_XATTR, ret);
    if (e < 0 && e != -ENOENT && e != -ENOMEM)
        run_problem(r->run, t->e->path, e, "stat");
    return e;
}

static int take_other(struct reader *r, struct taking *t)
{
    struct plat_meta m = { 0 };
    int e = meta_of(r, t, &m);
    if (e < 0)
        return e == -ENOMEM ? e : 0;
    struct meta_extra x = extra_of(t, &m);
    e = meta_put(r, &m, t, &x);
    if (e == 0)
        e = push_record(r, t, EV_OTHER, &m, NULL);
    plat_meta_wipe(&m);
    return e;
}

static int file_open(const struct backup_config *c, const struct scan_entry *e)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = openat(e->dirfd, e->at, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(e->dirfd, e->at, flags);
    int r = fd < 0 ? -errno : fd;
    return r == -EACCES && c->denied ? c->denied(c->denied_arg, (const char *)e->path.p) : r;
}

static int push_drop(struct reader *r)
{
    struct event *e = pipe_slot(r->run->pipe);
    if (!e)
        return -ECANCELED;
    e->kind = EV_DROP;
    pipe_push(r->run->pipe);
    return 0;
}

/* Did the file stay as it was while it was read?  m becomes what it is now. */
static int settle(const struct reader *r, int fd, struct plat_meta *m, bool *ret_same)
{
    const struct scan_remote *far = r->run->c->scan.remote;
    struct plat_meta now = { 0 };
    int e = far ? far->again(far->arg, &now) : plat_meta_read(fd, "", 0, &now);
    if (e < 0)
        return e;
    *ret_same = now.size == m->size && sm_time_cmp(now.mtime, m->mtime) == 0 && sm_time_cmp(now.ctime, m->ctime) == 0;
    m->size = now.size;
    m->blocks_bytes = now.blocks_bytes;
    m->mtime = now.mtime;
    m->ctime = now.ctime;
    plat_meta_wipe(&now);
    return 0;
}

/* Read once, and once more if it changed meanwhile. */
static int read_twice(struct reader *r, const struct taking *t, int fd, struct plat_meta *m, struct content_result *c,
    bool *ret_changed)
{
    for (int attempt = 0;; attempt++) {
        bool same = true;
        int e = content_read(&r->content, fd, t->e, m, t->canary >= 0, c);
        if (e < 0)
            return e;
        e = settle(r, fd, m, &same);
        same = same && c->size == m->size;
        *ret_changed = !same;
        if (e < 0 || same || attempt == 1)
            return e;
        e = push_drop(r);
        if (e == 0 && fd != FD_REMOTE && lseek(fd, 0, SEEK_SET) < 0)
            e = -errno;
        if (e < 0)
            return e;
    }
}

static void set_now(struct run *run, struct sm_span path)
{
    size_t n = path.n < RUN_NOW_MAX - 1 ? path.n : RUN_NOW_MAX - 1;
    pthread_mutex_lock(&run->note_lock);
    memcpy(run->now, path.p, n);
    run->now[n] = 0;
    pthread_mutex_unlock(&run->note_lock);
}

static void count_read(struct reader *r, const struct taking *t, const struct content_result *c, bool changed)
{
    struct backup_counts *n = &r->run->read;
    n->files_read++;
    n->bytes_read += c->data;
    n->changed_while_read += changed;
    n->files_changed -= t->counted && same_content(t, c);
    n->lost_magic += t->old && class_is_lost(t->old->class, c->class);
}

static int take_open_file(struct reader *r, struct taking *t, int fd, struct plat_meta *m)
{
    struct content_result c = { 0 };
    bool changed = false;
    r->content.fresh = !t->old;
    int e = read_twice(r, t, fd, m, &c, &changed);
    if (e == 0) {
        struct meta_extra x = extra_of(t, m);
        x.changed_while_read = changed;
        if (changed)
            m->ctime.ns = UINT32_MAX;
        m->size = c.size;
        count_read(r, t, &c, changed);
        e = meta_put(r, m, t, &x);
        return e < 0 ? e : push_record(r, t, c.member ? EV_MEMBER : EV_FILE, m, &c);
    }
    if (e == -ECANCELED || e == -SM_ECANCEL || e == -ENOMEM || (r->run->c->scan.remote && scan_remote_over(e)))
        return e;
    /* Parts read before it failed must not stand in the next file. */
    run_problem(r->run, t->e->path, e, "read");
    link_forget(r, t);
    return push_drop(r);
}

/* The number and the attributes of a remote file are those of the listing: not every server gives the same number for an
 * open file, and what changed is seen by the times. */
static int open_remote(const struct scan_remote *far, const struct taking *t, struct plat_meta *ret)
{
    struct plat_meta now = { 0 };
    int e = far->open(far->arg, scan_below(t->e), &now);
    if (e < 0)
        return e;
    *ret = *t->e->meta;
    ret->size = ret->blocks_bytes = now.size;
    ret->mtime = now.mtime;
    ret->ctime = now.ctime;
    return FD_REMOTE;
}

/* Open the file and read the metadata of what was opened: a file saved by renaming may have come in between. */
static int open_with_meta(const struct backup_config *c, struct taking *t, struct plat_meta *ret)
{
    if (c->scan.remote)
        return open_remote(c->scan.remote, t, ret);
    int fd = file_open(c, t->e);
    int e = fd < 0 ? fd : plat_meta_read(fd, "", PLAT_META_XATTR, ret);
    if (e == 0 && ret->type == PLAT_FILE)
        return fd;
    if (e == 0)
        plat_meta_wipe(ret);
    if (fd >= 0)
        (void)close(fd); /* was only read */
    return e < 0 ? e : -SM_EAGAIN;
}

static int take_file(struct reader *r, struct taking *t)
{
    struct plat_meta m = { 0 };
    int fd = open_with_meta(r->run->c, t, &m);
    if (fd < 0) {
        link_forget(r, t);
        if (fd != -ENOENT)
            run_problem(r->run, t->e->path, fd, "open");
        return fd == -ENOMEM || (r->run->c->scan.remote && scan_remote_over(fd)) ? fd : 0;
    }
    if (id_of(&m.id) != t->id) { /* another file under this name by now */
        link_forget(r, t);
        t->link = t->link_first = false;
        t->id = id_of(&m.id);
    }
    set_now(r->run, t->e->path);
    int e = take_open_file(r, t, fd, &m);
    plat_meta_wipe(&m);
    if (fd == FD_REMOTE)
        r->run->c->scan.remote->close(r->run->c->scan.remote->arg);
    else
        (void)close(fd); /* was only read */
    return e;
}

static int canary_index(const struct reader *r, struct sm_span path)
{
    const struct backup_config *c = r->run->c;
    for (size_t i = 0; i < c->canaries_n; i++)
        if (sm_span_eq(path, SM_SPAN_STR(c->canaries[i])))
            return (int)i;
    return -1;
}

/* An unchanged file whose turn it is: is it what it was?  *kept becomes false when it has to be taken anew. */
static int read_again(struct reader *r, const struct taking *t, bool *kept)
{
    struct run *run = r->run;
    enum reread_found found = REREAD_MOVED;
    uint64_t bytes = 0;
    if (!t->old->has_sum) { /* of an older program: the next generation has one */
        *kept = false;
        return 0;
    }
    int fd = file_open(run->c, t->e);
    int e = fd < 0 ? fd : reread_look(run, fd, t->e->meta, t->old->sum, &bytes, &found);
    if (fd >= 0)
        (void)close(fd); /* was only read */
    run->read.reread++;
    run->read.reread_bytes += bytes;
    if (e == -ENOMEM || e == -SM_ECANCEL)
        return e;
    if (e < 0 && e != -ENOENT) {
        /* The vault has the good bytes, and this generation keeps them; that the disk has not is told. */
        run_problem(run, t->e->path, e, "reread");
        return 0;
    }
    *kept = found == REREAD_SAME;
    if (found == REREAD_CHANGED) {
        run->read.reread_changed++;
        run_silent(run, t->e->path);
    }
    return 0;
}

static int on_entry(void *arg, const struct scan_entry *e)
{
    struct reader *r = arg;
    struct taking t = { .e = e, .id = id_of(&e->meta->id), .canary = canary_index(r, e->path) };
    const struct tree_record *o = merge_find(&r->merge, e->name);
    bool replaced = o && o->type == TREE_ENTER;
    if (run_cancelled(r->run))
        return -SM_ECANCEL;
    t.old = replaced ? NULL : o;
    link_note(r, &t);
    if (t.canary >= 0)
        r->canary_seen[t.canary] = true;
    bool kept = is_unchanged(r, &t);
    int n = 0;
    if (kept && e->meta->type == PLAT_FILE && t.old->has_stream && e->meta->size && reread_due(r->run, e->path))
        n = read_again(r, &t, &kept);
    count_entry(r, &t, kept);
    if (n < 0)
        return n;
    if (kept)
        n = push_kept(r, &t);
    else if (e->meta->type != PLAT_FILE || (t.link && !t.link_first)) /* nothing to read */
        n = take_other(r, &t);
    else
        n = take_file(r, &t);
    if (!t.old)
        merge_new(&r->merge, t.id, e->name);
    if (o)
        merge_done(&r->merge, replaced);
    return n;
}

static int on_enter(void *arg, const struct scan_entry *d)
{
    struct reader *r = arg;
    int n = content_close_shared(&r->content);
    struct event *e = n < 0 ? NULL : pipe_slot(r->run->pipe);
    if (!e)
        return n < 0 ? n : -ECANCELED;
    merge_enter(&r->merge, d->name);
    e->kind = EV_ENTER;
    struct tree_record rec = { .type = TREE_ENTER, .name = d->name };
    n = tree_record_put(&e->rec, &rec, NULL);
    if (n < 0)
        return n;
    r->run->read.dirs++;
    pipe_push(r->run->pipe);
    return 0;
}

/* The folder's own entry: old metadata serves as long as nothing about the folder changed. */
static int dir_record(struct reader *r, struct taking *t, const struct tree_record *old, struct sm_buf *to)
{
    const struct plat_meta *m = t->e->meta;
    bool same = old && old->id == t->id && sm_time_cmp(old->mtime, m->mtime) == 0 &&
        sm_time_cmp(old->ctime, m->ctime) == 0;
    if (same) {
        sm_buf_clear(&r->meta);
        int n = sm_buf_put_span(&r->meta, old->meta);
        return n < 0 ? n : record_put(r, t, TREE_LEAVE, m, CLASS_NONE, NULL, to);
    }
    struct plat_meta now = { 0 };
    int n = r->run->c->scan.remote ? meta_of(r, t, &now)
                                   : plat_meta_read(t->e->dirfd, t->e->at, PLAT_META_XATTR, &now);
    if (n == 0 && now.type != PLAT_DIR)
        n = -SM_EAGAIN;
    if (n == -ENOMEM)
        return n;
    if (n == 0)
        n = meta_put(r, &now, t, NULL);
    else {
        /* The folder went away under the walk: what was read of it is kept, with what was known of it. */
        struct plat_meta was = *m;
        was.target = (struct sm_buf){ 0 };
        n = meta_put(r, &was, t, NULL);
    }
    plat_meta_wipe(&now);
    return n < 0 ? n : record_put(r, t, TREE_LEAVE, m, CLASS_NONE, NULL, to);
}

static int on_leave(void *arg, const struct scan_entry *d, bool whole)
{
    struct reader *r = arg;
    struct taking t = { .e = d, .id = id_of(&d->meta->id), .canary = -1 };
    const struct tree_record *old = NULL;
    (void)whole;
    int n = content_close_shared(&r->content);
    struct event *e = n < 0 ? NULL : pipe_slot(r->run->pipe);
    if (!e)
        return n < 0 ? n : -ECANCELED;
    uint64_t gone = merge_leave(&r->merge, &old);
    e->kind = EV_LEAVE;
    e->intact = old && gone == 0 && old->has_stream && stream_is_sound(r->run, old);
    n = dir_record(r, &t, old, &e->rec);
    if (n == 0 && old)
        n = sm_buf_put_span(&e->rec2, old->raw);
    merge_left(&r->merge);
    if (n < 0)
        return n;
    pipe_push(r->run->pipe);
    return 0;
}

static void on_problem(void *arg, struct sm_span path, int err, const char *what)
{
    struct reader *r = arg;
    run_problem(r->run, path, err, what);
}

static bool on_cancelled(void *arg)
{
    const struct reader *r = arg;
    return run_cancelled(r->run);
}

static int reader_end(struct reader *r)
{
    const struct tree_record *rest;
    (void)merge_leave(&r->merge, &rest);
    for (size_t i = 0; i < r->run->c->canaries_n; i++)
        r->run->read.canaries_missing += !r->canary_seen[i];
    r->run->read.canaries = r->run->c->canaries_n;
    int n = content_close_shared(&r->content);
    struct event *e = n < 0 ? NULL : pipe_slot(r->run->pipe);
    if (!e)
        return n < 0 ? n : -ECANCELED;
    e->kind = EV_END;
    pipe_push(r->run->pipe);
    return 0;
}

void *run_reader(void *arg)
{
    struct run *run = arg;
    struct reader *r = calloc(1, sizeof *r);
    int e = r ? 0 : -ENOMEM;
    if (r) {
        r->run = r->merge.run = r->content.run = run;
        r->merge.level[0].old = run->old != NULL;
        struct scan_config sc = run->c->scan;
        if (sc.tmp_dir < 0)
            sc.tmp_dir = run->c->state_dir;
        struct scan_calls calls = { .enter = on_enter, .entry = on_entry, .leave = on_leave, .problem = on_problem,
            .cancelled = on_cancelled, .arg = r };
        e = scan_walk(&sc, &calls);
        if (e == 0)
            e = reader_end(r);
        merge_wipe(&r->merge);
        content_wipe(&r->content);
        sm_buf_wipe(&r->meta);
        free(r->link);
        free(r);
    }
    if (e < 0)
        pipe_fail(run->pipe, e);
    return NULL;
}
