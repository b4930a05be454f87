#include "vault/backup/tree.h"
#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"

#define HEADER_LEN 56u
#define FRAME_HEAD 12u
#define END_TAIL 8u
#define NAME_LEN 160

/* ---- records ---- */

static void stream_read(struct sm_rd *rd, struct tree_stream *s)
{
    s->size = sm_rd_varint(rd);
    s->layout = sm_rd_u8(rd);
    if (s->layout == LAYOUT_NONE)
        return;
    sm_rd_copy(rd, s->envelope.b, sizeof s->envelope.b);
    s->counter = sm_rd_varint(rd);
    uint64_t n = sm_rd_varint(rd);
    if (s->layout > LAYOUT_DIRPAGES || n == 0 || n > VAULT_PARTS_MAX)
        rd->err = rd->err ? rd->err : -SM_EFORMAT;
    s->nparts = rd->err ? 0 : (uint32_t)n;
    s->parts_raw.p = rd->p;
    for (uint32_t i = 0; i < s->nparts && !rd->err; i++) {
        uint8_t hole = sm_rd_u8(rd);
        if (hole > 1)
            rd->err = rd->err ? rd->err : -SM_EFORMAT;
        if (!hole)
            (void)sm_rd_bytes(rd, 32);
        (void)sm_rd_varint(rd);
        (void)sm_rd_varint(rd);
    }
    s->parts_raw.n = (size_t)(rd->p - s->parts_raw.p);
    s->item = sm_rd_blob(rd, ITEM_MAX);
}

static struct sm_time time_read(struct sm_rd *rd)
{
    struct sm_time t;
    t.s = (int64_t)sm_rd_u64(rd);
    t.ns = sm_rd_u32(rd);
    return t;
}

static void entry_read(struct sm_rd *rd, struct tree_record *r)
{
    r->name = sm_rd_blob(rd, VAULT_NAME_MAX);
    r->kind = sm_rd_u8(rd);
    r->class = sm_rd_u8(rd);
    r->id = sm_rd_u64(rd);
    r->size = sm_rd_varint(rd);
    r->mtime = time_read(rd);
    r->ctime = time_read(rd);
    r->shared_plain = sm_rd_varint(rd);
    r->meta = sm_rd_blob(rd, VAULT_META_MAX);
    uint8_t has = sm_rd_u8(rd);
    r->has_stream = has & 1;
    r->has_sum = has & 2;
    if (r->has_sum)
        r->sum = sm_rd_u64(rd);
    if (r->kind < ENTRY_FILE || r->kind > ENTRY_BLOCK || has > 3 || r->name.n == 0)
        rd->err = rd->err ? rd->err : -SM_EFORMAT;
    if (r->has_stream && !rd->err)
        stream_read(rd, &r->stream);
}

int tree_record_parse(struct sm_span in, struct tree_record *ret)
{
    struct sm_rd rd = SM_RD(in);
    struct tree_record r = { .type = sm_rd_u8(&rd) };
    if (r.type == TREE_ENTER) {
        r.name = sm_rd_blob(&rd, VAULT_NAME_MAX);
        if (r.name.n == 0)
            rd.err = rd.err ? rd.err : -SM_EFORMAT;
    } else if (r.type == TREE_ENTRY || r.type == TREE_LEAVE) {
        entry_read(&rd, &r);
    } else {
        return -SM_EFORMAT;
    }
    if (rd.err)
        return rd.err;
    r.raw = SM_SPAN(in.p, (size_t)(rd.p - in.p));
    *ret = r;
    return 0;
}

void tree_parts(const struct tree_stream *s, struct part *ret)
{
    struct sm_rd rd = SM_RD(s->parts_raw);
    for (uint32_t i = 0; i < s->nparts; i++) {
        memset(&ret[i], 0, sizeof ret[i]);
        ret[i].hole = sm_rd_u8(&rd) != 0;
        if (!ret[i].hole)
            sm_rd_copy(&rd, ret[i].cid.b, sizeof ret[i].cid.b);
        ret[i].offset = sm_rd_varint(&rd);
        ret[i].length = sm_rd_varint(&rd);
    }
}

/* Appends that remember the first error, for long rows of fields. */
struct put { struct sm_buf *b; int e; };
static void put_u8(struct put *p, uint8_t v) { p->e = p->e ? p->e : sm_buf_put_u8(p->b, v); }
static void put_u32(struct put *p, uint32_t v) { p->e = p->e ? p->e : sm_buf_put_u32(p->b, v); }
static void put_u64(struct put *p, uint64_t v) { p->e = p->e ? p->e : sm_buf_put_u64(p->b, v); }
static void put_var(struct put *p, uint64_t v) { p->e = p->e ? p->e : sm_buf_put_varint(p->b, v); }
static void put_blob(struct put *p, struct sm_span s) { p->e = p->e ? p->e : sm_buf_put_blob(p->b, s); }
static void put_bytes(struct put *p, const void *s, size_t n) { p->e = p->e ? p->e : sm_buf_put(p->b, s, n); }

static void stream_put(struct put *p, const struct tree_stream *s, const struct part *parts)
{
    put_var(p, s->size);
    put_u8(p, s->layout);
    if (s->layout == LAYOUT_NONE)
        return;
    put_bytes(p, s->envelope.b, sizeof s->envelope.b);
    put_var(p, s->counter);
    put_var(p, s->nparts);
    for (uint32_t i = 0; i < s->nparts; i++) {
        put_u8(p, parts[i].hole);
        if (!parts[i].hole)
            put_bytes(p, parts[i].cid.b, sizeof parts[i].cid.b);
        put_var(p, parts[i].offset);
        put_var(p, parts[i].length);
    }
    put_blob(p, s->item);
}

int tree_record_put(struct sm_buf *b, const struct tree_record *r, const struct part *parts)
{
    struct put p = { .b = b };
    size_t before = b->n;
    put_u8(&p, r->type);
    put_blob(&p, r->name);
    if (r->type != TREE_ENTER) {
        put_u8(&p, r->kind);
        put_u8(&p, r->class);
        put_u64(&p, r->id);
        put_var(&p, r->size);
        put_u64(&p, (uint64_t)r->mtime.s);
        put_u32(&p, r->mtime.ns);
        put_u64(&p, (uint64_t)r->ctime.s);
        put_u32(&p, r->ctime.ns);
        put_var(&p, r->shared_plain);
        put_blob(&p, r->meta);
        put_u8(&p, (uint8_t)(r->has_stream | r->has_sum << 1));
        if (r->has_sum)
            put_u64(&p, r->sum);
        if (r->has_stream)
            stream_put(&p, &r->stream, parts);
    }
    if (p.e)
        b->n = before;
    return p.e;
}

static void frame_check(uint64_t number, struct sm_span data, uint8_t ret[8])
{
    uint8_t n[8], h[CRYPTO_SHA256_LEN];
    for (size_t i = 0; i < 8; i++)
        n[i] = (uint8_t)(number >> (8 * i));
    crypto_sha256v((struct sm_span[]){ SM_SPAN(n, 8), data }, 2, h);
    memcpy(ret, h, 8);
}

/* ---- reading ---- */

struct tree_reader {
    int fd, err;
    uint64_t at, end;             /* next frame; offset of the last frame */
    uint64_t number;
    struct sm_buf frame;
    size_t used;
    bool have;
    struct tree_record now;
    struct tree_totals totals;
    struct cid *recut;
    uint32_t recut_n;
};

void tree_close(struct tree_reader *t)
{
    if (!t)
        return;
    if (t->fd >= 0)
        (void)close(t->fd); /* was only read */
    free(t->frame.p);
    free(t->recut);
    free(t);
}

/* Read the frame at off into t->frame; number NULL: take the number from what is tried (the END frame names it). */
static int frame_load(struct tree_reader *t, uint64_t off, uint64_t number)
{
    uint8_t head[FRAME_HEAD], check[8];
    int e = plat_fs_pread_all(t->fd, head, sizeof head, off);
    if (e < 0)
        return e;
    struct sm_rd rd = SM_RD(SM_SPAN(head, sizeof head));
    uint32_t n = sm_rd_u32(&rd);
    if (n == 0 || n > TREE_FRAME_MAX)
        return -SM_ECORRUPT;
    sm_buf_clear(&t->frame);
    e = sm_buf_reserve(&t->frame, n);
    if (e == 0)
        e = plat_fs_pread_all(t->fd, t->frame.p, n, off + FRAME_HEAD);
    if (e < 0)
        return e == -SM_EPARTIAL ? -SM_ECORRUPT : e;
    t->frame.n = n;
    frame_check(number, sm_buf_span(&t->frame), check);
    return memcmp(check, head + 4, 8) == 0 ? 0 : -SM_ECORRUPT;
}

static int end_load(struct tree_reader *t)
{
    uint64_t size;
    uint8_t tail[END_TAIL];
    int e = plat_fs_size(t->fd, &size);
    if (e < 0)
        return e;
    if (size < HEADER_LEN + FRAME_HEAD + END_TAIL)
        return -SM_ECORRUPT;
    e = plat_fs_pread_all(t->fd, tail, sizeof tail, size - END_TAIL);
    if (e < 0)
        return e;
    struct sm_rd tr = SM_RD(SM_SPAN(tail, sizeof tail));
    t->end = sm_rd_u64(&tr);
    if (t->end < HEADER_LEN || t->end > size - FRAME_HEAD - END_TAIL)
        return -SM_ECORRUPT;
    e = frame_load(t, t->end, UINT64_MAX);
    if (e < 0)
        return e;
    if (t->end + FRAME_HEAD + t->frame.n + END_TAIL != size)
        return -SM_ECORRUPT;
    struct sm_rd rd = SM_RD(sm_buf_span(&t->frame));
    bool is_end = sm_rd_u8(&rd) == TREE_END;
    t->totals.files = sm_rd_u64(&rd);
    t->totals.bytes = sm_rd_u64(&rd);
    uint32_t n = sm_rd_u32(&rd);
    if (rd.err || !is_end || n > TREE_RECUT_MAX || rd.n != (size_t)n * sizeof *t->recut)
        return -SM_ECORRUPT;
    t->recut = malloc((size_t)n * sizeof *t->recut + 1);
    if (!t->recut)
        return -ENOMEM;
    sm_rd_copy(&rd, t->recut, (size_t)n * sizeof *t->recut);
    t->recut_n = n;
    return 0;
}

static int header_check(const struct tree_reader *t, const struct tree_ids *ids)
{
    uint8_t h[HEADER_LEN];
    int e = plat_fs_pread_all(t->fd, h, sizeof h, 0);
    if (e < 0)
        return e == -SM_EPARTIAL ? -SM_ECORRUPT : e;
    if (memcmp(h, "SKTC", 4) != 0)
        return -SM_EFORMAT;
    if (h[4] != 1 || h[5] || h[6] || h[7])
        return -SM_EVERSION;
    bool same = memcmp(h + 8, ids->vault.b, 16) == 0 && memcmp(h + 24, ids->client.b, 16) == 0 &&
        memcmp(h + 40, ids->source.b, 16) == 0;
    return same ? 0 : -SM_EMISMATCH;
}

int tree_open(int dirfd, const char *name, const struct tree_ids *ids, struct tree_reader **ret)
{
    struct tree_reader *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->fd = plat_fs_open_read(dirfd, name);
    int e = t->fd == -ENOENT ? -SM_ENOTFOUND : t->fd < 0 ? t->fd : header_check(t, ids);
    if (e == 0)
        e = end_load(t);
    if (e < 0) {
        tree_close(t);
        return e;
    }
    sm_buf_clear(&t->frame);
    t->at = HEADER_LEN;
    plat_fs_sequential(t->fd);
    *ret = t;
    return 0;
}

struct tree_totals tree_totals(const struct tree_reader *t)
{
    return t->totals;
}

bool tree_is_recut(const struct tree_reader *t, const struct cid *chunk)
{
    size_t lo = 0, hi = t->recut_n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = cid_cmp(&t->recut[mid], chunk);
        if (c == 0)
            return true;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

const struct tree_record *tree_peek(struct tree_reader *t)
{
    if (t->have || t->err)
        return t->have ? &t->now : NULL;
    if (t->used == t->frame.n) {
        if (t->at >= t->end)
            return NULL;
        t->err = frame_load(t, t->at, t->number);
        if (t->err)
            return NULL;
        t->at += FRAME_HEAD + t->frame.n;
        t->number++;
        t->used = 0;
    }
    t->err = tree_record_parse(SM_SPAN(t->frame.p + t->used, t->frame.n - t->used), &t->now);
    t->have = t->err == 0;
    return t->have ? &t->now : NULL;
}

void tree_take(struct tree_reader *t)
{
    if (!t->have)
        return;
    t->used += t->now.raw.n;
    t->have = false;
}

int tree_error(const struct tree_reader *t)
{
    return t->err;
}

const struct cid *tree_recuts(const struct tree_reader *t, uint32_t *ret_n)
{
    *ret_n = t->recut_n;
    return t->recut;
}

static int head_at(const struct tree_reader *t, uint64_t at, uint8_t ret[FRAME_HEAD], uint32_t *ret_n)
{
    int e = plat_fs_pread_all(t->fd, ret, FRAME_HEAD, at);
    struct sm_rd rd = SM_RD(SM_SPAN(ret, FRAME_HEAD));
    *ret_n = e < 0 ? 0 : sm_rd_u32(&rd);
    return e < 0 ? e : *ret_n == 0 || *ret_n > TREE_FRAME_MAX ? -SM_ECORRUPT : 0;
}

int tree_print(const struct tree_reader *t, uint8_t ret[32], uint64_t *ret_bytes)
{
    struct crypto_sha256_ctx *h = NULL;
    uint8_t head[FRAME_HEAD];
    uint64_t bytes = 0;
    uint32_t n;
    int e = crypto_sha256_new(&h);
    if (e < 0)
        return e;
    for (uint64_t at = HEADER_LEN; at <= t->end; at += FRAME_HEAD + n) {
        e = head_at(t, at, head, &n);
        if (e < 0)
            break;
        crypto_sha256_put(h, SM_SPAN(head, sizeof head));
        bytes += at < t->end ? n : 0;
    }
    if (e == 0) {
        crypto_sha256_final(h, ret);
        *ret_bytes = bytes;
    }
    crypto_sha256_free(h);
    return e;
}

int tree_same(struct tree_reader *a, struct tree_reader *b, uint64_t *ret_bytes)
{
    uint8_t x[FRAME_HEAD], y[FRAME_HEAD];
    uint64_t bytes = 0;
    uint32_t n, m;
    while (a->at < a->end && b->at < b->end) {
        int e = head_at(a, a->at, x, &n);
        e = e < 0 ? e : head_at(b, b->at, y, &m);
        if (e < 0)
            return e;
        if (memcmp(x, y, sizeof x) != 0)
            break;
        a->at += FRAME_HEAD + n;
        b->at += FRAME_HEAD + n;
        a->number++;
        b->number++;
        bytes += n;
    }
    *ret_bytes = bytes;
    return 0;
}

/* ---- writing ---- */

struct tree_writer {
    int dirfd, fd;
    char name[NAME_LEN], tmp[NAME_LEN];
    struct sm_buf frame;
    uint64_t at, number;
    struct cid *recut;
    uint32_t recut_n;
};

void tree_writer_free(struct tree_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        (void)close(w->fd); /* tree_finish has synced what counts */
    free(w->frame.p);
    free(w->recut);
    free(w);
}

static int header_write(struct tree_writer *w, const struct tree_ids *ids)
{
    uint8_t h[HEADER_LEN] = { 'S', 'K', 'T', 'C', 1 };
    memcpy(h + 8, ids->vault.b, 16);
    memcpy(h + 24, ids->client.b, 16);
    memcpy(h + 40, ids->source.b, 16);
    w->at = HEADER_LEN;
    return plat_fs_write_all(w->fd, SM_SPAN(h, sizeof h));
}

int tree_create(int dirfd, const char *name, const struct tree_ids *ids, struct tree_writer **ret)
{
    struct tree_writer *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->fd = -1;
    w->dirfd = dirfd;
    int n = snprintf(w->name, sizeof w->name, "%s", name);
    int m = snprintf(w->tmp, sizeof w->tmp, "%s.new", name);
    if (n < 0 || m < 0 || (size_t)m >= sizeof w->tmp) {
        tree_writer_free(w);
        return -SM_EINVAL;
    }
    w->fd = plat_fs_create(dirfd, w->tmp, PLAT_FS_TRUNC, 0600);
    int e = w->fd < 0 ? w->fd : header_write(w, ids);
    if (e < 0) {
        tree_writer_free(w);
        return e;
    }
    *ret = w;
    return 0;
}

static int frame_write(struct tree_writer *w, uint64_t number)
{
    uint8_t head[FRAME_HEAD];
    uint32_t n = (uint32_t)w->frame.n;
    for (size_t i = 0; i < 4; i++)
        head[i] = (uint8_t)(n >> (8 * i));
    frame_check(number, sm_buf_span(&w->frame), head + 4);
    int e = plat_fs_write_all(w->fd, SM_SPAN(head, sizeof head));
    if (e == 0)
        e = plat_fs_write_all(w->fd, sm_buf_span(&w->frame));
    if (e < 0)
        return e;
    w->at += FRAME_HEAD + w->frame.n;
    w->number++;
    sm_buf_clear(&w->frame);
    return 0;
}

int tree_put(struct tree_writer *w, struct sm_span record)
{
    if (record.n > TREE_FRAME_MAX)
        return -SM_ELIMIT;
    if (w->frame.n && w->frame.n + record.n > TREE_FRAME_TARGET) {
        int e = frame_write(w, w->number);
        if (e < 0)
            return e;
    }
    return sm_buf_put_span(&w->frame, record);
}

void tree_recut(struct tree_writer *w, const struct cid *chunk)
{
    if (w->recut_n >= TREE_RECUT_MAX)
        return;
    if ((w->recut_n & 63) == 0) {
        struct cid *more = realloc(w->recut, (w->recut_n + 64) * sizeof *more);
        if (!more)
            return; /* only a hint for the next run */
        w->recut = more;
    }
    w->recut[w->recut_n++] = *chunk;
}

static int recut_cmp(const void *a, const void *b)
{
    return cid_cmp(a, b);
}

int tree_finish(struct tree_writer *w, const struct tree_totals *totals)
{
    int e = w->frame.n ? frame_write(w, w->number) : 0;
    if (e < 0)
        return e;
    if (w->recut_n)
        qsort(w->recut, w->recut_n, sizeof *w->recut, recut_cmp);
    struct put p = { .b = &w->frame };
    uint64_t end = w->at;
    put_u8(&p, TREE_END);
    put_u64(&p, totals->files);
    put_u64(&p, totals->bytes);
    put_u32(&p, w->recut_n);
    put_bytes(&p, w->recut, (size_t)w->recut_n * sizeof *w->recut);
    /* The last frame has a number of its own, so that no frame before can stand for it. */
    e = p.e ? p.e : frame_write(w, UINT64_MAX);
    if (e < 0)
        return e;
    put_u64(&p, end);
    e = p.e ? p.e : plat_fs_write_all(w->fd, sm_buf_span(&w->frame));
    return e < 0 ? e : plat_fs_sync(w->fd);
}

int tree_commit(struct tree_writer *w)
{
    int e = plat_fs_rename(w->dirfd, w->tmp, w->dirfd, w->name, true);
    return e < 0 ? e : plat_fs_sync_dir(w->dirfd);
}
