#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/fs.h"
#include "vault/restore/restore_internal.h"

#define NOTE_EVERY_MS 5000
#define COPY_BYTES ((size_t)256 << 10)
#define LINK_SLOTS (RESTORE_LINKS_MAX * 2)
#define LINK_BYTES ((size_t)32 << 20) /* paths of files with several names */

struct link_row { uint64_t group; uint32_t path_at; bool used; };
/* The file at hand. */
struct current {
    bool active, skip, exists, compare_with; /* compare_with: what stands there may be the same file */
    bool holes, failed, same;
    int dir;                                 /* the temporary stands in: here, or the working folder */
    int fd, old;                             /* being written; being compared with */
    struct plat_meta meta;
    struct meta_extra extra;
    uint64_t size, written, group;
    uint8_t flags;
    size_t name_n;
};
struct writer {
    struct restore *r;
    struct target t;
    struct current f;
    struct link_row *link; size_t links;
    struct sm_buf link_paths;                /* u32 trusted_n | u32 n | bytes */
    uint8_t *copy;
    uint64_t noted_ms;
};

static const char *name_z(const struct writer *w, size_t name_n)
{
    return (const char *)w->t.path.p + w->t.path.n - name_n;
}

static void told(struct writer *w, int err, const char *what)
{
    restore_problem(w->r, target_told(&w->t), err, what);
}

static bool is_full(int e)
{
    return e == -ENOSPC || e == -EDQUOT || e == -ENOMEM;
}

/* ---- hard links ---- */

static struct link_row *link_find(struct writer *w, uint64_t group)
{
    if (!w->link && !(w->link = calloc(LINK_SLOTS, sizeof *w->link)))
        return NULL;
    size_t i = (size_t)(group * 0x9e3779b97f4a7c15) & (LINK_SLOTS - 1);
    while (w->link[i].used && w->link[i].group != group)
        i = (i + 1) & (LINK_SLOTS - 1);
    return &w->link[i];
}

/* The entry at hand is the first restored name of its group. */
static void link_note(struct writer *w, uint8_t flags, uint64_t group)
{
    struct link_row *l = flags & OPF_LINK ? link_find(w, group) : NULL;
    if (!l || l->used || w->links >= RESTORE_LINKS_MAX)
        return;
    uint32_t at = (uint32_t)w->link_paths.n;
    int e = sm_buf_put_u32(&w->link_paths, (uint32_t)w->t.trusted_n);
    e = e < 0 ? e : sm_buf_put_u32(&w->link_paths, (uint32_t)w->t.path.n);
    e = e < 0 ? e : sm_buf_put_span(&w->link_paths, sm_buf_span(&w->t.path));
    if (e < 0)
        return;
    *l = (struct link_row){ .group = group, .path_at = at, .used = true };
    w->links++;
}

/* The folder the first name stands in, and that name. */
static int link_open(struct writer *w, uint64_t group, char ret_name[256])
{
    struct link_row *l = link_find(w, group);
    if (!l || !l->used)
        return -SM_EMISSING;
    struct sm_rd rd = SM_RD(SM_SPAN(w->link_paths.p + l->path_at, w->link_paths.n - l->path_at));
    uint32_t trusted = sm_rd_u32(&rd), n = sm_rd_u32(&rd);
    struct sm_span path = sm_rd_bytes(&rd, n);
    size_t cut = path.n;
    while (cut > 0 && path.p[cut - 1] != '/')
        cut--;
    if (rd.err || path.n - cut == 0 || path.n - cut > 255)
        return -SM_EFORMAT;
    memcpy(ret_name, path.p + cut, path.n - cut);
    ret_name[path.n - cut] = 0;
    return target_open_dir(SM_SPAN(path.p, cut), trusted < cut ? trusted : cut, false);
}

/* ---- putting a finished temporary in its place ---- */

/* Make room under the name: 1 = leave what stands there, 0 = go on. */
static int make_room(struct writer *w, const char *name, bool exists)
{
    struct place_level *l = target_top(&w->t);
    struct stat st;
    if (!exists)
        return 0;
    if (w->r->c->existing == RESTORE_SKIP)
        return 1;
    bool dir = fstatat(l->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    return w->r->c->existing == RESTORE_ASIDE || dir ? target_aside(&w->t, name) : 0;
}

/* from: the folder the temporary stands in. */
static int tmp_place(struct writer *w, int from, const char *name, bool exists)
{
    struct place_level *l = target_top(&w->t);
    int e = make_room(w, name, exists);
    return e < 0 ? e : plat_fs_rename(from, w->t.tmp, l->fd, name, true);
}

static void tmp_drop(struct writer *w)
{
    struct place_level *l = target_top(&w->t);
    if (l && l->fd >= 0)
        (void)!plat_fs_unlink(l->fd, w->t.tmp); /* may not be there */
    if (w->r->c->work >= 0 && !w->r->compare)
        (void)!plat_fs_unlink(w->r->c->work, w->t.tmp); /* nor there */
}

/* ---- entries without content ---- */

static int other_make(struct writer *w, const struct plat_meta *m, uint8_t kind)
{
    struct place_level *l = target_top(&w->t);
    struct sm_buf target = { 0 };
    mode_t type = kind == ENTRY_FIFO ? S_IFIFO : kind == ENTRY_SOCKET ? S_IFSOCK : kind == ENTRY_CHAR ? S_IFCHR : S_IFBLK;
    if (kind != ENTRY_SYMLINK)
        return plat_fs_mknod(l->fd, w->t.tmp, type | 0600, makedev(m->rdev_major, m->rdev_minor));
    int e = sm_buf_put_span(&target, sm_buf_span(&m->target));
    const char *z = e < 0 ? NULL : sm_buf_str(&target);
    e = z ? plat_fs_symlink(z, l->fd, w->t.tmp) : -ENOMEM;
    sm_buf_wipe(&target);
    return e;
}

static void other_compare(struct writer *w, const struct plat_meta *m, const char *name)
{
    struct plat_meta have = { 0 };
    int e = plat_meta_read(target_top(&w->t)->fd, name, PLAT_META_XATTR, &have);
    if (e < 0 || have.type != m->type)
        told(w, -SM_EMISMATCH, e == -ENOENT ? "missing" : "kind");
    else
        what_compare(&w->t, m, &have);
    plat_meta_wipe(&have);
}

static bool other_is_same(struct writer *w, const struct plat_meta *m, const char *name)
{
    struct plat_meta have = { 0 };
    bool same = plat_meta_read(target_top(&w->t)->fd, name, 0, &have) == 0 && have.type == m->type &&
        sm_span_eq(sm_buf_span(&have.target), sm_buf_span(&m->target)) && have.rdev_major == m->rdev_major &&
        have.rdev_minor == m->rdev_minor;
    plat_meta_wipe(&have);
    return same;
}

static int other_write(struct writer *w, const struct op *op, const struct plat_meta *m, const char *name, bool exists)
{
    struct place_level *l = target_top(&w->t);
    if (exists && w->r->c->existing == RESTORE_SKIP) {
        w->r->result->skipped++;
        return 0;
    }
    if (exists && other_is_same(w, m, name)) {
        what_apply(&w->t, l->fd, name, m);
        w->r->result->others++;
        return 0;
    }
    int e = other_make(w, m, op->entry_kind);
    if (e == 0) {
        what_apply(&w->t, l->fd, w->t.tmp, m);
        e = tmp_place(w, l->fd, name, exists);
    }
    if (e < 0)
        tmp_drop(w);
    else
        w->r->result->others++;
    return e;
}

static int on_other(struct writer *w, const struct op *op, struct sm_span name, struct sm_span meta)
{
    struct plat_meta m = { 0 };
    struct meta_extra x;
    int e = target_push_name(&w->t, name);
    if (e < 0)
        return e;
    bool exists = target_exists(&w->t, name);
    if (target_top(&w->t)->fd >= 0) {
        const char *z = name_z(w, name.n);
        e = what_meta(w->r->owners, meta, op->entry_kind, &m, &x);
        if (e == 0 && w->r->compare)
            other_compare(w, &m, z);
        else if (e == 0)
            e = other_write(w, op, &m, z, exists);
        if (e < 0)
            told(w, e, "write");
        else
            link_note(w, op->flags, op->group);
        plat_meta_wipe(&m);
    }
    target_cut(&w->t);
    return is_full(e) ? e : 0;
}

static int link_write(struct writer *w, const struct op *op, const char *name, bool exists)
{
    struct place_level *l = target_top(&w->t);
    char first[256];
    struct plat_meta a = { 0 }, b = { 0 };
    int fd = link_open(w, op->group, first), e = fd < 0 ? fd : plat_meta_read(fd, first, 0, &a);
    bool same = e == 0 && exists && plat_meta_read(l->fd, name, 0, &b) == 0 && plat_id_eq(&a.id, &b.id);
    if (e == 0 && w->r->compare && !same)
        told(w, -SM_EMISMATCH, exists ? "link" : "missing");
    else if (e == 0 && exists && !same && w->r->c->existing == RESTORE_SKIP)
        w->r->result->skipped++;
    else if (e == 0 && !same) {
        e = plat_fs_link(fd, first, l->fd, w->t.tmp);
        e = e < 0 ? e : tmp_place(w, l->fd, name, exists);
        if (e < 0)
            tmp_drop(w);
    }
    plat_meta_wipe(&a);
    plat_meta_wipe(&b);
    if (fd >= 0)
        (void)close(fd); /* a folder: nothing to lose */
    return e;
}

static int on_link(struct writer *w, const struct op *op, struct sm_span name)
{
    int e = target_push_name(&w->t, name);
    if (e < 0)
        return e;
    bool exists = target_exists(&w->t, name);
    if (target_top(&w->t)->fd >= 0) {
        e = link_write(w, op, name_z(w, name.n), exists);
        if (e < 0)
            told(w, e, "link");
        else if (op->entry_kind == ENTRY_FILE)
            w->r->result->files++;
        else
            w->r->result->others++;
    }
    target_cut(&w->t);
    return is_full(e) ? e : 0;
}

/* ---- files ---- */

static int file_create_in(struct writer *w, int dir)
{
    w->f.dir = dir;
    w->f.fd = plat_fs_create(dir, w->t.tmp, PLAT_FS_EXCL, 0600);
    if (w->f.fd == -EEXIST) { /* left by a killed run, in a folder made by it */
        tmp_drop(w);
        w->f.fd = plat_fs_create(dir, w->t.tmp, PLAT_FS_EXCL, 0600);
    }
    return w->f.fd < 0 ? w->f.fd : 0;
}

static int file_create(struct writer *w)
{
    int e = file_create_in(w, target_top(&w->t)->fd);
    if (e != -EACCES || w->r->c->work < 0)
        return e;
    tmp_drop(w); /* the name may have been made, only not opened */
    return file_create_in(w, w->r->c->work);
}

static void file_close(struct current *f)
{
    if (f->fd >= 0)
        (void)close(f->fd); /* errors of writing were seen when writing */
    if (f->old >= 0)
        (void)close(f->old); /* was only read */
    plat_meta_wipe(&f->meta);
    *f = (struct current){ .fd = -1, .old = -1 };
}

/* This file cannot be given back: say so once and pass over the rest of it. */
static int file_fail(struct writer *w, int e, const char *what)
{
    told(w, e, what);
    if (w->f.fd >= 0) {
        (void)close(w->f.fd); /* it is thrown away */
        w->f.fd = -1;
        tmp_drop(w);
    }
    w->f.skip = w->f.failed = true;
    return is_full(e) ? e : 0;
}

/* May what stands there be the file already? */
static bool looks_same(struct writer *w, const char *name, struct plat_meta *have)
{
    struct current *f = &w->f;
    if (plat_meta_read(target_top(&w->t)->fd, name, PLAT_META_XATTR, have) < 0 || have->type != PLAT_FILE)
        return false;
    /* A file with other names elsewhere must not be changed through this one. */
    if (!w->r->compare && have->nlink > 1 && !(f->flags & OPF_LINK))
        return false;
    return have->size == f->size && (w->r->compare || sm_time_cmp(have->mtime, f->meta.mtime) == 0);
}

static int file_compare_begin(struct writer *w, const char *name, struct plat_meta *have)
{
    struct current *f = &w->f;
    bool same = looks_same(w, name, have);
    if (w->r->compare && !same)
        return file_fail(w, -SM_EMISMATCH, have->type == PLAT_FILE ? "size" : f->exists ? "kind" : "missing");
    if (w->r->compare)
        what_compare(&w->t, &f->meta, have);
    if (same)
        f->old = plat_fs_open_read(target_top(&w->t)->fd, name);
    f->compare_with = f->old >= 0;
    if (w->r->compare && !f->compare_with)
        return file_fail(w, f->old, "open");
    return f->compare_with ? 0 : file_create(w);
}

static int on_begin(struct writer *w, const struct op *op, struct sm_span name, struct sm_span meta)
{
    struct current *f = &w->f;
    struct plat_meta have = { 0 };
    file_close(f);
    int e = target_push_name(&w->t, name);
    if (e < 0)
        return e;
    f->active = true;
    f->flags = op->flags;
    f->size = op->size;
    f->group = op->group;
    f->name_n = name.n;
    f->exists = target_exists(&w->t, name);
    if (target_top(&w->t)->fd < 0) {
        f->skip = f->failed = true;
        return 0;
    }
    const char *z = name_z(w, name.n);
    e = what_meta(w->r->owners, meta, op->entry_kind, &f->meta, &f->extra);
    if (e < 0)
        return file_fail(w, e, "metadata");
    if (op->flags & OPF_DONE) {
        f->skip = true;
        w->r->result->resumed++;
    } else if (f->exists && w->r->c->existing == RESTORE_SKIP && !w->r->compare) {
        f->skip = true;
        w->r->result->skipped++;
    } else {
        e = f->exists || w->r->compare ? file_compare_begin(w, z, &have) : file_create(w);
        plat_meta_wipe(&have);
    }
    return e < 0 ? file_fail(w, e, "write") : 0;
}

/* Are the next bytes of what stands there data (data.p NULL: zeros)?  1 yes, 0 no. */
static int same_bytes(struct writer *w, struct sm_span data, uint64_t off, uint64_t n)
{
    if (!w->copy && !(w->copy = malloc(COPY_BYTES)))
        return -ENOMEM;
    for (uint64_t done = 0; done < n;) {
        size_t k = n - done < COPY_BYTES ? (size_t)(n - done) : COPY_BYTES;
        int e = plat_fs_pread_all(w->f.old, w->copy, k, off + done);
        if (e < 0)
            return e == -SM_EPARTIAL ? 0 : e;
        bool zero = !data.p && w->copy[0] == 0 && memcmp(w->copy, w->copy + 1, k - 1) == 0;
        if (data.p ? memcmp(w->copy, data.p + done, k) != 0 : !zero)
            return 0;
        done += k;
    }
    return 1;
}

/* It was not the same file after all: write it anew, the beginning from what stands there and was found equal. */
static int stop_comparing(struct writer *w, uint64_t upto)
{
    struct current *f = &w->f;
    int e = file_create(w);
    for (uint64_t at = 0; e == 0 && at < upto;) {
        size_t k = upto - at < COPY_BYTES ? (size_t)(upto - at) : COPY_BYTES;
        e = plat_fs_pread_all(f->old, w->copy, k, at);
        e = e < 0 ? e : plat_fs_pwrite_all(f->fd, SM_SPAN(w->copy, k), at);
        at += k;
    }
    f->compare_with = false;
    f->written = upto;
    return e;
}

static int part_put(struct writer *w, struct sm_span data, uint64_t off, uint64_t n)
{
    struct current *f = &w->f;
    if (f->compare_with) {
        int same = same_bytes(w, data, off, n);
        if (same != 0)
            return same < 0 ? same : 0;
        if (w->r->compare)
            return -SM_EMISMATCH;
        int e = stop_comparing(w, off);
        if (e < 0)
            return e;
    }
    if (!data.p) {
        f->holes = true;
        return 0;
    }
    f->written = off + n;
    return plat_fs_pwrite_all(f->fd, data, off);
}

static int on_part(struct writer *w, const struct batch *b, const struct op *op)
{
    struct current *f = &w->f;
    struct sm_span data = { 0 };
    if (!f->active || f->skip)
        return 0;
    if (op->chunk >= 0 && (size_t)op->chunk >= b->chunks)
        return file_fail(w, -SM_EFORMAT, "content");
    if (op->chunk >= 0) {
        const struct batch_chunk *c = &b->chunk[op->chunk];
        if (c->err < 0)
            return file_fail(w, c->err, "content");
        if (op->offset > c->plain_n || op->length > c->plain_n - op->offset)
            return file_fail(w, -SM_EFORMAT, "content");
        data = SM_SPAN(b->plain.p + c->plain_at + op->offset, (size_t)op->length);
    }
    int e = part_put(w, data, op->size, op->length);
    if (e < 0)
        return file_fail(w, e, e == -SM_EMISMATCH ? "content" : "write");
    atomic_fetch_add(&w->r->bytes, op->length);
    return 0;
}

static int file_finish(struct writer *w)
{
    struct current *f = &w->f;
    struct place_level *l = target_top(&w->t);
    const char *name = name_z(w, f->name_n);
    if (f->compare_with) {
        if (!w->r->compare)
            what_apply(&w->t, l->fd, name, &f->meta);
        w->r->result->same++;
        return 0;
    }
    int e = f->written == f->size ? 0 : plat_fs_truncate(f->fd, f->size);
    if (e < 0)
        return e;
    what_apply(&w->t, f->fd, "", &f->meta);
    return tmp_place(w, f->dir, name, f->exists);
}

static void note_place(struct writer *w)
{
    uint64_t ms = plat_clock_mono_ms();
    struct sm_span path = target_told(&w->t);
    pthread_mutex_lock(&w->r->lock);
    size_t n = path.n < NOW_MAX - 1 ? path.n : NOW_MAX - 1;
    memcpy(w->r->now, path.p, n);
    w->r->now[n] = 0;
    pthread_mutex_unlock(&w->r->lock);
    if (ms - w->noted_ms < NOTE_EVERY_MS || w->r->compare)
        return;
    w->noted_ms = ms;
    resume_save(w->r, path);
}

static int on_end(struct writer *w, const struct op *op)
{
    struct current *f = &w->f;
    int e = 0;
    if (!f->active)
        return 0;
    if (!f->skip && (op->flags & OPF_BROKEN))
        e = file_fail(w, op->chunk, "content");
    if (!f->skip) {
        e = file_finish(w);
        e = e < 0 ? file_fail(w, e, "write") : 0;
    }
    if (!f->failed) {
        link_note(w, f->flags, f->group);
        w->r->result->files++;
        w->r->result->bytes += f->size;
        atomic_fetch_add(&w->r->files, 1);
        if (!f->skip)
            note_place(w);
    }
    file_close(f);
    target_cut(&w->t);
    return is_full(e) ? e : 0;
}

/* ---- the row of operations ---- */

static int op_do(struct writer *w, const struct batch *b, const struct op *op)
{
    struct sm_span name = SM_SPAN(b->arena.p + op->name_at, op->name_n);
    struct sm_span meta = SM_SPAN(b->arena.p + op->meta_at, op->meta_n);
    int e;
    switch (op->kind) {
    case OP_ROOT: return target_begin(&w->t, name, meta);
    case OP_ENTER:
        if (w->t.depth >= TARGET_DEPTH)
            return -SM_ELIMIT;
        e = target_push_name(&w->t, name);
        if (e == 0)
            target_enter(&w->t, name);
        return e;
    case OP_LEAVE:
        if (w->t.depth < 2)
            return -SM_ESTATE;
        target_leave(&w->t, op, meta);
        return 0;
    case OP_OTHER: return on_other(w, op, name, meta);
    case OP_LINK: return on_link(w, op, name);
    case OP_BEGIN: return on_begin(w, op, name, meta);
    case OP_PART: return on_part(w, b, op);
    case OP_END: return on_end(w, op);
    default: return -SM_ESTATE;
    }
}

static int batch_do(struct writer *w, const struct batch *b)
{
    const struct op *op = (const struct op *)(const void *)b->ops.p;
    for (size_t i = 0; i < b->ops.n / sizeof *op; i++) {
        int e = op_do(w, b, &op[i]);
        if (e < 0)
            return e;
        if ((i & 255) == 0 && restore_cancelled(w->r))
            return -SM_ECANCEL;
    }
    return 0;
}

void *write_thread(void *arg)
{
    struct restore *r = arg;
    struct writer *w = calloc(1, sizeof *w);
    struct batch *b;
    bool last = false;
    int e = w ? 0 : -ENOMEM;
    if (w) {
        w->r = r;
        w->f.fd = w->f.old = -1;
        w->link_paths.max = LINK_BYTES;
        w->noted_ms = plat_clock_mono_ms();
        target_init(&w->t, r);
    }
    while (e == 0 && !last && (b = ring_get(r, STAGE_WRITE))) {
        e = batch_do(w, b);
        last = b->last;
        if (e == 0)
            ring_done(r, STAGE_WRITE);
    }
    if (e == 0 && last && r->c->sync && !r->compare)
        sync();
    if (e < 0)
        restore_fail(r, e);
    if (w) {
        if (w->f.fd >= 0)
            tmp_drop(w);
        file_close(&w->f);
        target_wipe(&w->t);
        sm_buf_wipe(&w->link_paths);
        free(w->link);
        free(w->copy);
        free(w);
    }
    return NULL;
}
