#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"
#include "vault/backup/read_internal.h"
#include "vault/backup/reread.h"

#define READ_STEP ((size_t)1 << 20)
#define SPARSE_MIN 65536u    /* smaller files are stored without looking for holes */
#define HOLE_MIN 4096u

/* What is left of the file being read: chunks are cut from block[used..filled). */
struct reading {
    struct content *c;
    int fd;
    const struct cut_policy *policy;
    uint8_t type;
    uint64_t total;
    bool first;
    struct content_result *ret;
    struct sm_span name;
    uint64_t expected;
    struct content_sum sum;
};

static struct event *slot(struct content *c, uint8_t kind)
{
    struct event *e = pipe_slot(c->run->pipe);
    if (e)
        e->kind = kind;
    return e;
}

static struct seal_how how_for(const struct content *c, enum cut_compress compress)
{
    const bool planes = c->run->c->planes;
    const struct seal_how how[] = {
        [CUT_COMPRESS_NO] = { .level = 0 },
        [CUT_COMPRESS_YES] = { .level = RUN_LEVEL },
        [CUT_COMPRESS_PROBE] = { .level = RUN_LEVEL, .probe = true, .planes = planes },
        [CUT_COMPRESS_IMAGES] = RUN_HOW_IMAGES(planes),
    };
    return how[compress];
}

/* ---- shared chunks ---- */

static int shared_push(struct content *c, struct shared *s)
{
    if (!s->open)
        return 0;
    s->open = false;
    struct event *e = s->n ? slot(c, EV_GROUP) : NULL;
    if (!s->n) {
        pipe_release(c->run->pipe, s->block);
        return 0;
    }
    if (!e) {
        pipe_release(c->run->pipe, s->block);
        return -ECANCELED;
    }
    e->group = s->group;
    e->fresh = s->fresh;
    e->type = OBJ_CHUNK;
    e->how = s->plain ? (struct seal_how){ .level = 0 } : (struct seal_how)RUN_HOW_SHARED;
    e->block = s->block; /* the hold goes with it */
    e->plain = SM_SPAN(s->block->p, s->n);
    pipe_push(c->run->pipe);
    return 0;
}

int content_close_shared(struct content *c)
{
    c->waiting = 0;
    for (size_t i = 0; i < SHARED_OPEN; i++) {
        int e = shared_push(c, &c->shared[i]);
        if (e < 0)
            return e;
    }
    return 0;
}

int content_count(struct content *c)
{
    bool any = false;
    for (size_t i = 0; i < SHARED_OPEN; i++)
        any |= c->shared[i].open;
    if (!any) {
        c->waiting = 0;
        return 0;
    }
    return ++c->waiting < SHARED_WAIT ? 0 : content_close_shared(c);
}

/* The open shared chunk for this owner and kind with room for n bytes. */
static int shared_for(struct content *c, uint32_t uid, bool plain, size_t n, struct shared **ret)
{
    struct shared *s = NULL;
    for (size_t i = 0; i < SHARED_OPEN; i++)
        if (c->shared[i].open && c->shared[i].uid == uid && c->shared[i].plain == plain)
            s = &c->shared[i];
    if (s && s->n + n > BACKUP_SHARED_MAX) {
        int e = shared_push(c, s);
        if (e < 0)
            return e;
    }
    for (size_t i = 0; !s && i < SHARED_OPEN; i++)
        if (!c->shared[i].open)
            s = &c->shared[i];
    if (!s) {
        s = &c->shared[0];
        int e = shared_push(c, s);
        if (e < 0)
            return e;
    }
    if (!s->open) {
        struct block *b = pipe_block(c->run->pipe, true);
        if (!b)
            return -ECANCELED;
        *s = (struct shared){ .open = true, .uid = uid, .plain = plain, .fresh = true, .group = ++c->groups, .block = b };
    }
    *ret = s;
    return 0;
}

static struct sm_span head_of(const uint8_t *p, size_t n)
{
    return SM_SPAN(p, n < 4096 ? n : 4096);
}

static ssize_t read_from(const struct content *c, int fd, uint8_t *to, size_t n)
{
    const struct scan_remote *far = c->run->c->scan.remote;
    return fd == FD_REMOTE ? far->read(far->arg, to, n) : plat_fs_read(fd, to, n);
}

/* Up to n bytes from the beginning; fewer when the file is shorter. */
static int64_t read_small(const struct content *c, int fd, uint8_t *to, size_t n)
{
    size_t have = 0;
    while (have < n) {
        ssize_t k = read_from(c, fd, to + have, n - have);
        if (k < 0)
            return k;
        if (k == 0)
            break;
        have += (size_t)k;
    }
    return (int64_t)have;
}

static int read_member(struct content *c, int fd, const struct scan_entry *e, const struct plat_meta *m,
    struct content_result *ret)
{
    struct shared *s;
    /* Names decide where a small file goes: its bytes are not known before there is a place to read them to. */
    const struct cut_policy *p = cut_policy_for(e->name, SM_SPAN(NULL, 0), BACKUP_SMALL_MAX);
    int r = shared_for(c, m->uid, p->compress == CUT_COMPRESS_NO || p == &cut_policy_large, (size_t)m->size, &s);
    if (r < 0)
        return r;
    int64_t n = read_small(c, fd, s->block->p + s->n, (size_t)m->size);
    if (n < 0)
        return (int)n;
    ret->class = class_of(head_of(s->block->p + s->n, (size_t)n));
    ret->group = s->group;
    ret->offset = s->n;
    ret->size = (uint64_t)n;
    ret->member = n > 0;
    s->fresh = s->fresh && c->fresh;
    ret->data = ret->size;
    struct content_sum sum;
    sum_begin(&sum, &c->run->sum_key);
    sum_add(&sum, s->block->p + s->n, (size_t)n);
    ret->sum = sum_end(&sum);
    s->n += (size_t)n;
    return 0;
}

/* ---- large files ---- */

/* Room for at least one step: a new block takes over what is not yet cut. */
static int block_room(struct content *c)
{
    if (c->block && c->block->cap - c->filled >= READ_STEP / 4)
        return 0;
    struct block *b = pipe_block(c->run->pipe, false);
    if (!b)
        return -ECANCELED;
    size_t left = c->filled - c->used;
    if (left)
        memcpy(b->p, c->block->p + c->used, left);
    pipe_release(c->run->pipe, c->block);
    c->block = b;
    c->used = 0;
    c->filled = left;
    return 0;
}

static int chunk_push(struct reading *f, size_t n)
{
    struct content *c = f->c;
    struct event *e = slot(c, EV_CHUNK);
    if (!e)
        return -ECANCELED;
    e->type = f->type;
    e->fresh = c->fresh;
    e->how = how_for(c, f->policy->compress);
    e->block = c->block;
    e->plain = SM_SPAN(c->block->p + c->used, n);
    pipe_hold(c->block);
    pipe_push(c->run->pipe);
    c->used += n;
    f->total += n;
    return 0;
}

static int cut_all(struct reading *f, bool last)
{
    struct content *c = f->c;
    struct cut cut = { .table = &c->run->cut, .policy = f->policy };
    while (c->filled > c->used) {
        size_t n = cut_next(&cut, c->block->p + c->used, c->filled - c->used, last);
        if (n == 0)
            return 0;
        int e = chunk_push(f, n);
        if (e < 0)
            return e;
    }
    return 0;
}

static void look_at_head(struct reading *f, struct sm_span head)
{
    if (!f->first)
        return;
    f->first = false;
    f->policy = cut_policy_for(f->name, SM_SPAN(head.p, head.n < CUT_HEAD ? head.n : CUT_HEAD), f->expected);
    f->ret->class = class_of(head_of(head.p, head.n));
}

/* Read [at, end) and cut it; fewer bytes when the file ends before. */
static int read_range(struct reading *f, uint64_t at, uint64_t end)
{
    struct content *c = f->c;
    bool eof = false;
    c->used = c->filled; /* nothing of what came before belongs to this run of data */
    while (at < end && !eof) {
        if (run_cancelled(c->run))
            return -SM_ECANCEL;
        int e = block_room(c);
        if (e < 0)
            return e;
        size_t room = c->block->cap - c->filled;
        size_t want = room < READ_STEP ? room : READ_STEP;
        want = end - at < want ? (size_t)(end - at) : want;
        ssize_t n = read_from(c, f->fd, c->block->p + c->filled, want);
        if (n < 0)
            return (int)n;
        eof = n == 0;
        at += (uint64_t)n;
        sum_add(&f->sum, c->block->p + c->filled, (size_t)n);
        f->ret->data += (uint64_t)n;
        c->filled += (size_t)n;
        look_at_head(f, SM_SPAN(c->block->p + c->used, c->filled - c->used));
        e = cut_all(f, at >= end || eof);
        if (e < 0)
            return e;
        atomic_fetch_add(&c->run->bytes, (unsigned long long)n);
    }
    return 0;
}

static int hole_push(struct reading *f, uint64_t n)
{
    struct event *e = slot(f->c, EV_HOLE);
    if (!e)
        return -ECANCELED;
    e->length = n;
    f->total += n;
    sum_hole(&f->sum, n);
    pipe_push(f->c->run->pipe);
    return 0;
}

static int read_sparse(struct reading *f, uint64_t size)
{
    uint64_t at = 0, start, end;
    while (at < size) {
        int r = plat_fs_next_data(f->fd, at, size, &start, &end);
        if (r < 0)
            return r;
        if (r == 0)
            start = end = size;
        if (start - at < HOLE_MIN)
            start = at;
        else if ((r = hole_push(f, start - at)) < 0)
            return r;
        if (start < end && lseek(f->fd, (off_t)start, SEEK_SET) < 0)
            return -errno;
        if (start < end && (r = read_range(f, start, end)) < 0)
            return r;
        at = end;
    }
    return 0;
}

static int read_large(struct content *c, int fd, const struct scan_entry *e, const struct plat_meta *m, bool canary,
    struct content_result *ret)
{
    struct reading f = { .c = c, .fd = fd, .type = canary ? OBJ_CANARY : OBJ_CHUNK, .first = true, .ret = ret,
        .name = e->name, .expected = m->size, .policy = &cut_policy_cdc };
    bool sparse = m->size >= SPARSE_MIN && m->blocks_bytes + HOLE_MIN <= m->size;
    if (fd != FD_REMOTE)
        plat_fs_sequential(fd);
    sum_begin(&f.sum, &c->run->sum_key);
    int r = sparse ? read_sparse(&f, m->size) : read_range(&f, 0, m->size);
    ret->size = f.total;
    ret->sum = sum_end(&f.sum);
    return r;
}

int content_read(struct content *c, int fd, const struct scan_entry *e, const struct plat_meta *m, bool canary,
    struct content_result *ret)
{
    *ret = (struct content_result){ .class = CLASS_EMPTY };
    if (m->size > 0 && m->size <= BACKUP_SMALL_MAX && !canary) {
        int r = read_member(c, fd, e, m, ret);
        if (r == 0)
            atomic_fetch_add(&c->run->bytes, (unsigned long long)ret->size);
        return r;
    }
    return read_large(c, fd, e, m, canary, ret);
}

void content_wipe(struct content *c)
{
    for (size_t i = 0; i < SHARED_OPEN; i++)
        if (c->shared[i].open)
            pipe_release(c->run->pipe, c->shared[i].block);
    pipe_release(c->run->pipe, c->block);
}
