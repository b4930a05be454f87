/* A lost tree from the log that the box kept. */
#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"
#include "vault/backup/keep_internal.h"

#define WINDOW (TREE_FRAME_MAX + ((size_t)1 << 20))
#define STATE_MIN (1u + 32 + 8 * 4 + 32 + 4)

/* n bytes of the stream from `at` on are the literals from `from` on. */
struct extent { uint64_t at, from, n; };
struct extents { struct extent *p; size_t n, cap; uint64_t bytes; };

struct keep_stream {
    int fd;               /* literals, one behind the other */
    uint64_t literals;
    struct extents now, next;
};

int keep_stream_new(int plain_fd, struct keep_stream **ret)
{
    struct keep_stream *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->fd = plain_fd;
    *ret = s;
    return 0;
}

void keep_stream_free(struct keep_stream *s)
{
    if (!s)
        return;
    free(s->now.p);
    free(s->next.p);
    free(s);
}

uint64_t keep_stream_bytes(const struct keep_stream *s)
{
    return s->now.bytes;
}

static int extent_add(struct extents *x, uint64_t from, uint64_t n)
{
    struct extent *last = x->n ? &x->p[x->n - 1] : NULL;
    if (!n)
        return 0;
    if (n > KEEP_LOG_MAX * 4 || x->bytes > KEEP_LOG_MAX * 4)
        return -SM_ELIMIT;
    if (last && last->from + last->n == from) {
        last->n += n;
        x->bytes += n;
        return 0;
    }
    if (x->n == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 256;
        struct extent *more = cap > KEEP_EXTENTS_MAX ? NULL : realloc(x->p, cap * sizeof *more);
        if (!more)
            return cap > KEEP_EXTENTS_MAX ? -SM_ELIMIT : -ENOMEM;
        x->p = more;
        x->cap = cap;
    }
    x->p[x->n++] = (struct extent){ .at = x->bytes, .from = from, .n = n };
    x->bytes += n;
    return 0;
}

static int copy_from(struct keep_stream *s, uint64_t at, uint64_t n)
{
    if (n == 0 || at > s->now.bytes || n > s->now.bytes - at)
        return -SM_EFORMAT;
    size_t lo = 0, hi = s->now.n;
    while (hi - lo > 1) { /* the last extent that begins at or before */
        size_t mid = lo + (hi - lo) / 2;
        if (s->now.p[mid].at <= at)
            lo = mid;
        else
            hi = mid;
    }
    int e = 0;
    for (; !e && n; lo++) {
        const struct extent *x = &s->now.p[lo];
        uint64_t skip = at - x->at, k = x->n - skip < n ? x->n - skip : n;
        e = extent_add(&s->next, x->from + skip, k);
        at += k;
        n -= k;
    }
    return e;
}

static int literal(struct keep_stream *s, struct sm_span raw)
{
    int e = raw.n ? plat_fs_write_all(s->fd, raw) : -SM_EFORMAT;
    e = e ? e : extent_add(&s->next, s->literals, raw.n);
    s->literals += raw.n;
    return e;
}

int keep_stream_piece(struct keep_stream *s, struct sm_span plain, bool *ret_state)
{
    struct sm_rd rd = SM_RD(plain);
    uint8_t kind = sm_rd_u8(&rd);
    int e = 0;
    *ret_state = false;
    if (kind == KEEP_STATE && plain.n >= STATE_MIN) {
        struct extents was = s->now;
        s->now = s->next;
        s->next = (struct extents){ .p = was.p, .cap = was.cap };
        *ret_state = true;
        return 0;
    }
    if (kind != KEEP_OPS)
        return -SM_EFORMAT;
    while (!e && rd.n && !rd.err) {
        uint8_t op = sm_rd_u8(&rd);
        if (op == OP_LITERAL) {
            struct sm_span raw = sm_rd_blob(&rd, CACHE_PLAIN_MAX);
            e = rd.err ? rd.err : literal(s, raw);
        } else if (op == OP_COPY) {
            uint64_t at = sm_rd_varint(&rd), n = sm_rd_varint(&rd);
            e = rd.err ? rd.err : copy_from(s, at, n);
        } else {
            e = -SM_EFORMAT;
        }
    }
    return e ? e : rd.err;
}

/* ---- the log ---- */

struct loader {
    int dirfd, got;
    const struct tree_ids *ids;
    struct seal_ctx *ctx;
    struct cache_key key;
    struct keep_stream *stream;
    struct sm_buf sealed, plain, state; /* state: the last whole one's plain piece */
    struct cid last, state_last;
    uint64_t at, state_at, base;
};

static int piece_read(struct loader *l, uint64_t size)
{
    uint8_t head[KEEP_PIECE_HEAD];
    struct sm_rd rd = SM_RD(SM_SPAN(head, sizeof head));
    if (size - l->at < sizeof head)
        return -SM_EFORMAT;
    int e = plat_fs_pread_all(l->got, head, sizeof head, l->at);
    uint32_t n = e ? 0 : sm_rd_u32(&rd);
    if (e || n == 0 || n > CACHE_SEALED_MAX || n > size - l->at - sizeof head)
        return e ? e : -SM_EFORMAT;
    sm_buf_clear(&l->sealed);
    sm_buf_clear(&l->plain);
    e = sm_buf_reserve(&l->sealed, n);
    e = e ? e : plat_fs_pread_all(l->got, l->sealed.p, n, l->at + sizeof head);
    l->sealed.n = n;
    e = e ? e : cache_open(l->ctx, &l->key, &l->last, sm_buf_span(&l->sealed), &l->last, &l->plain);
    l->at += e ? 0 : sizeof head + n;
    return e;
}

static bool is_ours(int e)
{
    return e == -ENOMEM || e == -ENOSPC || e == -EIO || e == -SM_ECRYPTO;
}

/* Read the log to the last whole state in it.  What stands behind that and is no good is told by *ret_rest. */
static int log_read(struct loader *l, bool *ret_rest)
{
    uint64_t size = 0;
    bool state = false;
    int e = plat_fs_size(l->got, &size);
    if (!e && size > KEEP_LOG_MAX)
        e = -SM_ELIMIT;
    while (!e && l->at < size) {
        e = piece_read(l, size);
        e = e ? e : keep_stream_piece(l->stream, sm_buf_span(&l->plain), &state);
        if (e || !state)
            continue;
        l->base = l->base ? l->base : l->at;
        l->state_at = l->at;
        l->state_last = l->last;
        sm_buf_clear(&l->state);
        e = sm_buf_put_span(&l->state, sm_buf_span(&l->plain));
    }
    if (is_ours(e) || !l->state.n)
        return e ? e : -SM_ENOTFOUND;
    *ret_rest = l->state_at < size;
    return 0;
}

/* ---- the tree ---- */

struct filler { struct loader *l; size_t extent; uint64_t used; struct sm_buf window; size_t from; };

/* More of the stream behind what the window holds.  1: there is no more. */
static int fill(struct filler *f)
{
    const struct extents *x = &f->l->stream->now;
    if (f->from) {
        memmove(f->window.p, f->window.p + f->from, f->window.n - f->from);
        f->window.n -= f->from;
        f->from = 0;
    }
    while (f->extent < x->n && f->window.n < WINDOW) {
        const struct extent *p = &x->p[f->extent];
        uint64_t left = p->n - f->used, room = WINDOW - f->window.n, k = left < room ? left : room;
        int e = sm_buf_reserve(&f->window, (size_t)k);
        e = e ? e : plat_fs_pread_all(f->l->stream->fd, f->window.p + f->window.n, (size_t)k, p->from + f->used);
        if (e)
            return e;
        f->window.n += (size_t)k;
        f->used += k;
        if (f->used == p->n) {
            f->extent++;
            f->used = 0;
        }
    }
    return f->window.n == 0;
}

static int records_put(struct filler *f, struct tree_writer *w)
{
    struct tree_record r;
    int64_t deep = 0;
    int e = fill(f);
    while (e == 0) {
        if (f->window.n - f->from < TREE_FRAME_MAX && f->extent < f->l->stream->now.n) {
            e = fill(f);
            continue;
        }
        if (f->from == f->window.n)
            break;
        e = tree_record_parse(SM_SPAN(f->window.p + f->from, f->window.n - f->from), &r);
        if (e)
            break;
        deep += (r.type == TREE_ENTER) - (r.type == TREE_LEAVE);
        e = deep < 0 || deep > (int64_t)VAULT_DEPTH_MAX ? -SM_EFORMAT : tree_put(w, r.raw);
        f->from += r.raw.n;
    }
    return e < 0 ? e : deep ? -SM_EFORMAT : 0;
}

static int tree_make(struct loader *l, struct sm_rd *rd, const char *name, uint64_t stream)
{
    struct tree_totals t = { .files = sm_rd_u64(rd), .bytes = sm_rd_u64(rd) };
    struct filler f = { .l = l, .window = { .max = WINDOW + 64 } };
    struct tree_writer *w = NULL;
    (void)sm_rd_bytes(rd, 32);
    uint32_t n = sm_rd_u32(rd);
    if (rd->err || n > TREE_RECUT_MAX || rd->n != (size_t)n * sizeof(struct cid) || stream != l->stream->now.bytes)
        return -SM_EFORMAT;
    int e = tree_create(l->dirfd, name, l->ids, &w);
    e = e ? e : records_put(&f, w);
    for (uint32_t i = 0; !e && i < n; i++) {
        struct cid c;
        sm_rd_copy(rd, c.b, sizeof c.b);
        tree_recut(w, &c);
    }
    e = e ? e : tree_finish(w, &t);
    tree_writer_free(w);
    sm_buf_wipe(&f.window);
    return e;
}

/* The state's tree under NAME.new, checked against what its print was when it was kept; then in place. */
static int state_use(struct loader *l, const struct cid *previous, bool rest, enum keep_age *ret)
{
    char name[64], new[64];
    uint8_t print[32];
    uint64_t bytes;
    struct tree_reader *t = NULL;
    struct keep_state s = { .bytes = l->state_at, .base = l->base, .last = l->state_last };
    struct sm_rd rd = SM_RD(sm_buf_span(&l->state));
    (void)sm_rd_u8(&rd);
    sm_rd_copy(&rd, s.manifest.b, 32);
    (void)sm_rd_u64(&rd); /* the generation's number: for people who look at a piece */
    uint64_t stream = sm_rd_u64(&rd);
    memcpy(s.print, l->state.p + 1 + 32 + 8 * 4, 32);
    memcpy(s.log, l->key.log, sizeof s.log);
    keep_tree_name(&l->ids->source, "", name);
    keep_tree_name(&l->ids->source, ".new", new);
    int e = tree_make(l, &rd, name, stream);
    e = e ? e : tree_open(l->dirfd, new, l->ids, &t);
    e = e ? e : tree_print(t, print, &bytes);
    if (!e && memcmp(print, s.print, sizeof print) != 0)
        e = -SM_EMISMATCH;
    tree_close(t);
    if (!e)
        e = plat_fs_rename(l->dirfd, new, l->dirfd, name, true);
    if (e) {
        (void)!plat_fs_unlink(l->dirfd, new); /* only half made */
        return e;
    }
    if (keep_state_save(l->dirfd, &l->ids->source, &s))
        keep_add_not(l->dirfd, &l->ids->source); /* a base is sent next time */
    *ret = !rest && cid_eq(&s.manifest, previous) ? KEEP_EXACT : KEEP_OLD;
    return 0;
}

bool keep_wanted(int dirfd, const struct tree_ids *ids)
{
    char name[64];
    struct tree_reader *t = NULL;
    keep_tree_name(&ids->source, "", name);
    bool sound = tree_open(dirfd, name, ids, &t) == 0;
    tree_close(t);
    return !sound;
}

int keep_load(int dirfd, const struct tree_ids *ids, const uint8_t *k_id, const uint8_t log[CACHE_LOG_LEN],
    const struct cid *previous, enum keep_age *ret)
{
    char got[64], plain[64];
    struct loader l = { .dirfd = dirfd, .ids = ids, .sealed = { .max = CACHE_SEALED_MAX },
        .plain = { .max = CACHE_PLAIN_MAX },
        .state = { .max = CACHE_PLAIN_MAX } };
    bool rest = false;
    keep_name(&ids->source, ".got", got);
    keep_name(&ids->source, ".plain", plain);
    l.got = plat_fs_open_read(dirfd, got);
    if (l.got < 0)
        return l.got == -ENOENT ? -SM_ENOTFOUND : l.got;
    int fd = plat_fs_create(dirfd, plain, PLAT_FS_TRUNC | PLAT_FS_RW, 0600);
    if (fd >= 0)
        (void)!plat_fs_unlink(dirfd, plain); /* goes with its descriptor */
    int e = fd < 0 ? fd : seal_ctx_new(&l.ctx);
    e = e ? e : keep_stream_new(fd, &l.stream);
    cache_key_make(k_id, &ids->vault, &ids->client, &ids->source, log, &l.key);
    e = e ? e : log_read(&l, &rest);
    e = e ? e : state_use(&l, previous, rest, ret);
    keep_stream_free(l.stream);
    seal_ctx_free(l.ctx);
    if (fd >= 0)
        (void)close(fd);
    (void)close(l.got); /* was only read */
    sm_buf_wipe(&l.sealed);
    sm_buf_wipe(&l.plain);
    sm_buf_wipe(&l.state);
    sm_zero(&l.key, sizeof l.key);
    return e;
}
