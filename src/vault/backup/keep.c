#include "vault/backup/keep.h"
#include <errno.h>
#include <unistd.h>
#include "crypto/random.h"
#include "plat/fs.h"
#include "vault/backup/keep_internal.h"

#define PIECE_PLAIN ((size_t)512 << 10)
#define ADD_HEAD (KEEP_STATE_LEN + 8u)  /* the state it leads to, and where its bytes go */
#define GARBAGE_MIN ((uint64_t)1 << 20) /* a log may be so much longer than twice its base */

void keep_name(const struct source_id *source, const char *end, char ret[64])
{
    char hex[33];
    sm_hex(source->b, sizeof source->b, hex);
    (void)snprintf(ret, 64, "keep-%s%s", hex, end);
}

void keep_tree_name(const struct source_id *source, const char *end, char ret[64])
{
    char hex[33];
    sm_hex(source->b, sizeof source->b, hex);
    (void)snprintf(ret, 64, "tree-%s%s", hex, end);
}

/* ---- state ---- */

int keep_state_put(const struct keep_state *s, struct sm_buf *b)
{
    size_t begun = b->n;
    uint8_t h[CRYPTO_SHA256_LEN];
    int e = sm_buf_put(b, "SKKP\1\0\0\0", 8);
    e = e ? e : sm_buf_put(b, s->log, sizeof s->log);
    e = e ? e : sm_buf_put_u64(b, s->bytes);
    e = e ? e : sm_buf_put_u64(b, s->base);
    e = e ? e : sm_buf_put(b, s->last.b, 32);
    e = e ? e : sm_buf_put(b, s->print, 32);
    e = e ? e : sm_buf_put(b, s->manifest.b, 32);
    if (e)
        return e;
    crypto_sha256(SM_SPAN(b->p + begun, b->n - begun), h);
    return sm_buf_put(b, h, 8);
}

int keep_state_get(struct sm_span in, struct keep_state *ret)
{
    uint8_t h[CRYPTO_SHA256_LEN];
    struct sm_rd rd = SM_RD(in);
    if (in.n < KEEP_STATE_LEN || memcmp(in.p, "SKKP\1\0\0\0", 8) != 0)
        return -SM_ECORRUPT;
    crypto_sha256(SM_SPAN(in.p, KEEP_STATE_LEN - 8), h);
    if (memcmp(h, in.p + KEEP_STATE_LEN - 8, 8) != 0)
        return -SM_ECORRUPT;
    (void)sm_rd_bytes(&rd, 8);
    sm_rd_copy(&rd, ret->log, sizeof ret->log);
    ret->bytes = sm_rd_u64(&rd);
    ret->base = sm_rd_u64(&rd);
    sm_rd_copy(&rd, ret->last.b, 32);
    sm_rd_copy(&rd, ret->print, 32);
    sm_rd_copy(&rd, ret->manifest.b, 32);
    return rd.err;
}

int keep_state_load(int dirfd, const struct source_id *source, struct keep_state *ret)
{
    char name[64];
    struct sm_buf b = SM_BUF_INIT(4096);
    keep_name(source, "", name);
    int e = plat_fs_read_file(dirfd, name, KEEP_STATE_LEN, &b);
    e = e == -ENOENT ? -SM_ENOTFOUND : e < 0 ? e : keep_state_get(sm_buf_span(&b), ret);
    sm_buf_wipe(&b);
    return e;
}

int keep_state_save(int dirfd, const struct source_id *source, const struct keep_state *s)
{
    char name[64];
    struct sm_buf b = SM_BUF_INIT(4096);
    keep_name(source, "", name);
    int e = keep_state_put(s, &b);
    e = e < 0 ? e : plat_replace(dirfd, name, sm_buf_span(&b), 0600);
    sm_buf_wipe(&b);
    return e;
}

/* ---- writing ---- */

struct writer {
    int fd;
    struct seal_ctx *ctx;
    struct cache_key key;
    struct cid last;
    struct sm_buf ops, piece;
    uint64_t bytes;                /* of pieces written */
    uint64_t copy_at, copy_n;      /* not yet said */
};

static int piece_write(struct writer *w)
{
    if (w->ops.n <= 1)
        return 0;
    sm_buf_clear(&w->piece);
    int e = sm_buf_put_u32(&w->piece, 0);
    e = e ? e : cache_seal(w->ctx, &w->key, &w->last, sm_buf_span(&w->ops), &w->last, &w->piece);
    if (e < 0)
        return e;
    uint32_t n = (uint32_t)(w->piece.n - KEEP_PIECE_HEAD);
    for (size_t i = 0; i < 4; i++)
        w->piece.p[i] = (uint8_t)(n >> (8 * i));
    w->bytes += w->piece.n;
    sm_buf_clear(&w->ops);
    e = plat_fs_write_all(w->fd, sm_buf_span(&w->piece));
    return e ? e : sm_buf_put_u8(&w->ops, KEEP_OPS);
}

static int copy_flush(struct writer *w)
{
    if (!w->copy_n)
        return 0;
    int e = sm_buf_put_u8(&w->ops, OP_COPY);
    e = e ? e : sm_buf_put_varint(&w->ops, w->copy_at);
    e = e ? e : sm_buf_put_varint(&w->ops, w->copy_n);
    w->copy_n = 0;
    return e ? e : w->ops.n >= PIECE_PLAIN ? piece_write(w) : 0;
}

static int say_copy(struct writer *w, uint64_t at, uint64_t n)
{
    if (w->copy_n && w->copy_at + w->copy_n == at) {
        w->copy_n += n;
        return 0;
    }
    int e = copy_flush(w);
    w->copy_at = at;
    w->copy_n = n;
    return e;
}

static int say_literal(struct writer *w, struct sm_span raw)
{
    int e = copy_flush(w);
    while (!e && raw.n) {
        size_t k = raw.n < PIECE_PLAIN ? raw.n : PIECE_PLAIN;
        e = sm_buf_put_u8(&w->ops, OP_LITERAL);
        e = e ? e : sm_buf_put_blob(&w->ops, SM_SPAN(raw.p, k));
        raw.p += k;
        raw.n -= k;
        if (!e && w->ops.n >= PIECE_PLAIN)
            e = piece_write(w);
    }
    return e;
}

/* ---- what changed between two trees ---- */

struct differ { struct tree_reader *old, *new; uint64_t at; struct writer *w; };

/* The record in front of one side with all below it: passed over, or said. */
static int one_side(struct differ *d, bool new)
{
    struct tree_reader *t = new ? d->new : d->old;
    const struct tree_record *r;
    size_t deep = 0;
    int e = 0;
    do {
        r = tree_peek(t);
        if (!r)
            break;
        deep += r->type == TREE_ENTER;
        deep -= r->type == TREE_LEAVE && deep;
        if (new)
            e = say_literal(d->w, r->raw);
        else
            d->at += r->raw.n;
        tree_take(t);
    } while (!e && deep);
    return e;
}

static int both_sides(struct differ *d, const struct tree_record *a, const struct tree_record *b)
{
    size_t n = a->raw.n;
    int e = sm_span_eq(a->raw, b->raw) ? say_copy(d->w, d->at, n) : say_literal(d->w, b->raw);
    d->at += n;
    tree_take(d->old);
    tree_take(d->new);
    return e;
}

static int differ_step(struct differ *d, const struct tree_record *a, const struct tree_record *b)
{
    if (!a || !b)
        return one_side(d, !a);
    bool end_a = a->type == TREE_LEAVE, end_b = b->type == TREE_LEAVE;
    if (end_a || end_b)
        return end_a && end_b ? both_sides(d, a, b) : one_side(d, end_a);
    int c = sm_span_cmp(a->name, b->name);
    if (c == 0 && a->type == b->type)
        return both_sides(d, a, b);
    int e = c <= 0 ? one_side(d, false) : 0;
    return e == 0 && c >= 0 ? one_side(d, true) : e;
}

static int differ_run(struct differ *d)
{
    uint64_t same = 0;
    int e = d->old ? tree_same(d->old, d->new, &same) : 0;
    if (e == 0 && same)
        e = say_copy(d->w, 0, same);
    d->at = same;
    while (e == 0) {
        const struct tree_record *a = d->old ? tree_peek(d->old) : NULL, *b = tree_peek(d->new);
        if (!a && !b)
            break;
        e = differ_step(d, a, b);
    }
    e = e ? e : tree_error(d->new);
    e = e ? e : d->old ? tree_error(d->old) : 0;
    return e ? e : copy_flush(d->w);
}

/* ---- a note ---- */

static int say_state(struct writer *w, const struct tree_reader *new, const struct keep_state *s, uint64_t stream,
    uint64_t number)
{
    struct tree_totals t = tree_totals(new);
    uint32_t n;
    const struct cid *recut = tree_recuts(new, &n);
    int e = piece_write(w);
    sm_buf_clear(&w->ops);
    e = e ? e : sm_buf_put_u8(&w->ops, KEEP_STATE);
    e = e ? e : sm_buf_put(&w->ops, s->manifest.b, 32);
    e = e ? e : sm_buf_put_u64(&w->ops, number);
    e = e ? e : sm_buf_put_u64(&w->ops, stream);
    e = e ? e : sm_buf_put_u64(&w->ops, t.files);
    e = e ? e : sm_buf_put_u64(&w->ops, t.bytes);
    e = e ? e : sm_buf_put(&w->ops, s->print, 32);
    e = e ? e : sm_buf_put_u32(&w->ops, n);
    e = e ? e : sm_buf_put(&w->ops, recut, (size_t)n * sizeof *recut);
    return e ? e : piece_write(w);
}

/* Does the box hold the tree that was there before this run, and is its log not mostly of the past? */
static bool may_add(int dirfd, const struct tree_ids *ids, const struct tree_reader *old, struct keep_state *ret)
{
    uint8_t print[32];
    uint64_t bytes;
    return old && keep_state_load(dirfd, &ids->source, ret) == 0 && tree_print(old, print, &bytes) == 0 &&
        memcmp(print, ret->print, sizeof print) == 0 && ret->bytes < 2 * ret->base + GARBAGE_MIN;
}

static int note_write(struct writer *w, struct differ *d, struct keep_state *s, uint64_t at, uint64_t number)
{
    struct sm_buf head = SM_BUF_INIT(4096);
    uint64_t stream = 0;
    uint8_t zeros[ADD_HEAD] = { 0 };
    int e = plat_fs_write_all(w->fd, SM_SPAN(zeros, sizeof zeros));
    e = e ? e : sm_buf_put_u8(&w->ops, KEEP_OPS);
    e = e ? e : differ_run(d);
    e = e ? e : tree_print(d->new, s->print, &stream);
    e = e ? e : say_state(w, d->new, s, stream, number);
    s->last = w->last;
    s->bytes = at + w->bytes;
    s->base = at ? s->base : w->bytes;
    e = e ? e : keep_state_put(s, &head);
    e = e ? e : sm_buf_put_u64(&head, at);
    e = e ? e : plat_fs_pwrite_all(w->fd, sm_buf_span(&head), 0); /* whole only now */
    sm_buf_wipe(&head);
    return e;
}

int keep_note(int dirfd, const struct tree_ids *ids, const uint8_t *k_id, const struct cid *manifest, uint64_t number)
{
    char name[64], add[64];
    struct keep_state s = { 0 };
    struct writer w = { .fd = -1, .ops = { .max = CACHE_PLAIN_MAX + 64 }, .piece = { .max = CACHE_SEALED_MAX + 64 } };
    struct differ d = { .w = &w };
    keep_name(&ids->source, ".add", add);
    keep_tree_name(&ids->source, "", name);
    if (tree_open(dirfd, name, ids, &d.old) < 0)
        d.old = NULL; /* none, or not sound: a base is sent */
    keep_tree_name(&ids->source, ".new", name);
    int e = tree_open(dirfd, name, ids, &d.new);
    e = e ? e : seal_ctx_new(&w.ctx);
    uint64_t at = 0;
    if (!e && may_add(dirfd, ids, d.old, &s)) {
        at = s.bytes;
        w.last = s.last;
    } else if (!e) {
        tree_close(d.old);
        d.old = NULL;
        s = (struct keep_state){ 0 };
        crypto_random(s.log, sizeof s.log);
    }
    s.manifest = *manifest;
    cache_key_make(k_id, &ids->vault, &ids->client, &ids->source, s.log, &w.key);
    if (!e) {
        w.fd = plat_fs_create(dirfd, add, PLAT_FS_TRUNC, 0600);
        e = w.fd < 0 ? w.fd : note_write(&w, &d, &s, at, number);
    }
    if (e && w.fd >= 0)
        (void)!plat_fs_unlink(dirfd, add); /* not whole: it would be refused */
    if (w.fd >= 0)
        (void)close(w.fd); /* a cache: not synced, what is torn does not fit its hash */
    tree_close(d.old);
    tree_close(d.new);
    seal_ctx_free(w.ctx);
    sm_buf_wipe(&w.ops);
    sm_buf_wipe(&w.piece);
    sm_zero(&w.key, sizeof w.key);
    return e;
}

/* ---- sending ---- */

int keep_add_open(int dirfd, const struct source_id *source, struct keep_add *ret, int *ret_fd)
{
    char name[64];
    uint8_t head[ADD_HEAD];
    struct keep_state s;
    uint64_t size = 0;
    keep_name(source, ".add", name);
    int fd = plat_fs_open_read(dirfd, name), e = 0;
    if (fd < 0)
        return fd == -ENOENT ? -SM_ENOTFOUND : fd;
    e = plat_fs_pread_all(fd, head, sizeof head, 0);
    e = e ? (e == -SM_EPARTIAL ? -SM_ECORRUPT : e) : keep_state_get(SM_SPAN(head, KEEP_STATE_LEN), &s);
    e = e ? e : plat_fs_size(fd, &size);
    struct sm_rd rd = SM_RD(SM_SPAN(head + KEEP_STATE_LEN, 8));
    uint64_t at = sm_rd_u64(&rd);
    if (!e && (at > s.bytes || size - sizeof head != s.bytes - at || lseek(fd, sizeof head, SEEK_SET) < 0))
        e = -SM_ECORRUPT;
    if (e) {
        (void)close(fd); /* was only read */
        return e;
    }
    memcpy(ret->log, s.log, sizeof ret->log);
    ret->at = at;
    ret->bytes = s.bytes - at;
    *ret_fd = fd;
    return 0;
}

void keep_add_done(int dirfd, const struct source_id *source)
{
    char name[64];
    uint8_t head[ADD_HEAD];
    struct keep_state s;
    keep_name(source, ".add", name);
    int fd = plat_fs_open_read(dirfd, name);
    int e = fd < 0 ? fd : plat_fs_pread_all(fd, head, sizeof head, 0);
    e = e ? e : keep_state_get(SM_SPAN(head, KEEP_STATE_LEN), &s);
    if (!e)
        (void)!keep_state_save(dirfd, source, &s); /* else a base is sent next time */
    if (fd >= 0)
        (void)close(fd); /* was only read */
    (void)!plat_fs_unlink(dirfd, name); /* sent again at worst: the same bytes at the same place */
}

void keep_add_not(int dirfd, const struct source_id *source)
{
    char name[64];
    keep_name(source, ".add", name);
    (void)!plat_fs_unlink(dirfd, name); /* as above */
    keep_name(source, "", name);
    (void)!plat_fs_unlink(dirfd, name);
}
