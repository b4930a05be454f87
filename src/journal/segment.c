/* Segments: files of blocks, closed by a footer. */
#include "journal/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "plat/fs.h"

enum { ENTRY = 136, TRAILER = 44, FOOTER_MAX = EV_SEGMENT_BLOCKS_MAX * ENTRY + 4 + 8 * EV_SOURCES_MAX,
    WINDOW = 1 << 20 };
#define SOURCES_ALL UINT32_MAX

uint64_t ev_name_number(struct sm_span name, const char *prefix, const char *suffix)
{
    size_t a = strlen(prefix), b = strlen(suffix);
    uint64_t n = 0;

    if (name.n != a + 20 + b || memcmp(name.p, prefix, a) || memcmp(name.p + a + 20, suffix, b))
        return 0;
    for (size_t i = a; i < a + 20; i++) {
        if ((uint8_t)(name.p[i] - '0') > 9 || n > UINT64_MAX / 10 - 9)
            return 0;
        n = 10 * n + (uint64_t)(name.p[i] - '0');
    }
    return n;
}

int ev_at_read(void *arg, uint64_t off, size_t n, void *to)
{
    const struct ev_at *at = arg;

    return plat_fs_pread_all(at->fd, to, n, at->body + off);
}

/* ---- blocks ---- */

int ev_segment_header(int fd, uint64_t off, uint64_t size, struct sm_buf *ret)
{
    uint8_t head[EV_BLOCK_HEAD], said[32], hash[32];

    if (size < off || size - off < sizeof head)
        return 0;
    int r = plat_fs_pread_all(fd, head, sizeof head, off);
    if (r < 0)
        return r;
    struct sm_rd rd = SM_RD(SM_SPAN(head + 4, 4));
    uint32_t n = sm_rd_u32(&rd);
    if (memcmp(head, "SJB1", 4) || n > EV_HEADER_MAX || n < 64 || size - off - sizeof head < n + 32u)
        return 0;
    sm_buf_clear(ret);
    r = sm_buf_reserve(ret, n);
    if (r >= 0)
        r = plat_fs_pread_all(fd, ret->p, n, off + sizeof head);
    if (r >= 0)
        r = plat_fs_pread_all(fd, said, sizeof said, off + sizeof head + n);
    if (r < 0)
        return r;
    ret->n = n;
    ev_block_hash(sm_buf_span(ret), hash);
    return !memcmp(hash, said, sizeof hash);
}

int ev_segment_any(int fd, uint64_t from, uint64_t size)
{
    struct sm_buf header = SM_BUF_INIT(EV_HEADER_MAX);
    uint8_t *w = malloc(WINDOW);
    int r = w ? 0 : -ENOMEM;

    for (uint64_t off = from; off < size && !r; off += WINDOW - 3) {
        size_t n = size - off < WINDOW ? (size_t)(size - off) : WINDOW;
        r = plat_fs_pread_all(fd, w, n, off);
        const uint8_t *p = w, *end = w + n;
        while (!r && (p = memmem(p, (size_t)(end - p), "SJB1", 4))) {
            r = ev_segment_header(fd, off + (uint64_t)(p - w), size, &header);
            p++;
        }
    }
    free(w);
    sm_buf_wipe(&header);
    return r;
}

static void add_sources(struct ev_segment *s, const struct ev_head *h)
{
    s->sources_all |= h->flags & 1;
    for (size_t i = 0; i < h->sources && !s->sources_all; i++) {
        size_t k = 0;
        while (k < s->sources && s->source[k] != h->source[i])
            k++;
        if (k < s->sources)
            continue;
        if (s->sources == EV_SOURCES_MAX)
            s->sources_all = true;
        else
            s->source[s->sources++] = h->source[i];
    }
}

static int room(struct ev_segment *s)
{
    if (!s->source)
        s->source = calloc(EV_SOURCES_MAX, sizeof *s->source);
    if (!s->source)
        return -ENOMEM;
    if (s->n < s->cap)
        return 0;
    size_t cap = s->cap ? 2 * s->cap : 16;
    struct ev_entry *more = realloc(s->entry, cap * sizeof *more);
    if (!more)
        return -ENOMEM;
    s->entry = more;
    s->cap = cap;
    return 0;
}

int ev_segment_add(struct ev_segment *s, const struct ev_head *h, uint64_t off, uint64_t header_len,
    const uint8_t hash[32])
{
    uint64_t body = off + EV_BLOCK_HEAD + header_len + 32;
    int r = room(s);

    if (r < 0)
        return r;
    struct ev_entry e = { .off = off, .len = body + h->body_len - off, .number = h->number, .first_id = h->first_id,
        .last_id = h->last_id, .filter_off = body + h->body_len - h->filter_bytes, .events = h->events,
        .filter_bytes = h->filter_bytes, .first = h->first, .last = h->last, .seen_first = h->seen_first,
        .seen_last = h->seen_last, .raw_bytes = h->raw_bytes };
    memcpy(e.hash, hash, 32);
    s->entry[s->n++] = e;
    s->good = off + e.len;
    add_sources(s, h);
    return 0;
}

int ev_segment_more(struct ev_segment *s)
{
    struct sm_buf header = SM_BUF_INIT(EV_HEADER_MAX);
    size_t had = s->n;
    int r = plat_fs_size(s->fd, &s->size);

    while (r >= 0 && s->n < EV_SEGMENT_BLOCKS_MAX) {
        struct ev_head h;
        uint8_t hash[32];
        r = ev_segment_header(s->fd, s->good, s->size, &header);
        if (r <= 0 || ev_head_parse(sm_buf_span(&header), &h) < 0)
            break;
        ev_block_hash(sm_buf_span(&header), hash);
        if (h.body_len > s->size - s->good - EV_BLOCK_HEAD - 32 - header.n || h.klass != s->klass) {
            ev_head_wipe(&h);
            break;
        }
        r = ev_segment_add(s, &h, s->good, header.n, hash);
        ev_head_wipe(&h);
    }
    sm_buf_wipe(&header);
    return r < 0 ? r : s->n > had;
}

int ev_segment_block(const struct ev_segment *s, size_t i, struct ev_at *at, struct ev_block *ret)
{
    struct sm_buf header = SM_BUF_INIT(EV_HEADER_MAX);
    uint8_t hash[32];
    int r = ev_segment_header(s->fd, s->entry[i].off, s->entry[i].off + s->entry[i].len, &header);

    r = r == 0 ? -SM_ECORRUPT : r;
    if (r > 0) {
        ev_block_hash(sm_buf_span(&header), hash);
        *at = (struct ev_at){ .fd = s->fd, .body = s->entry[i].off + EV_BLOCK_HEAD + 32 + header.n };
        r = memcmp(hash, s->entry[i].hash, 32) ? -SM_ECORRUPT : ev_block_init(ret, &header, ev_at_read, at);
    }
    sm_buf_wipe(&header);
    return r < 0 ? r : 0;
}

int ev_block_check(struct ev_block *b, struct sm_span *ret_what)
{
    struct sm_buf w = SM_BUF_INIT(EV_BODY_MAX);
    uint8_t hash[32];
    int r = 0;

    for (size_t i = 0; i <= b->head.columns && r >= 0; i++) {
        bool filter = i == b->head.columns;
        const struct ev_column *c = filter ? NULL : &b->head.column[i];
        uint64_t n = filter ? b->head.filter_bytes : c->values_stored + c->index_stored;
        sm_buf_clear(&w);
        r = sm_buf_reserve(&w, n + 1);
        if (r >= 0)
            r = b->read(b->arg, filter ? b->head.body_len - n : c->at, n, w.p);
        if (r < 0 && r != -SM_EPARTIAL)
            break;
        crypto_sha256(SM_SPAN(w.p, n), hash);
        if (r < 0 || memcmp(hash, filter ? b->head.filter_hash : c->hash, 32)) {
            *ret_what = filter ? SM_SPAN_STR("@filter") : c->name;
            r = -SM_ECORRUPT;
        }
    }
    sm_buf_wipe(&w);
    return r < 0 ? r : 0;
}

/* ---- footer ---- */

static int put_entry(const struct ev_entry *e, struct sm_buf *to)
{
    const uint64_t a[] = { e->off, e->len, e->number, e->first_id, e->last_id, e->filter_off, (uint64_t)e->first.s,
        (uint64_t)e->last.s, (uint64_t)e->seen_first, (uint64_t)e->seen_last, e->raw_bytes };
    const uint32_t b[] = { e->events, e->filter_bytes, e->first.ns, e->last.ns };
    int r = 0;

    for (size_t i = 0; i < sizeof a / sizeof *a && r >= 0; i++)
        r = sm_buf_put_u64(to, a[i]);
    for (size_t i = 0; i < sizeof b / sizeof *b && r >= 0; i++)
        r = sm_buf_put_u32(to, b[i]);
    return r < 0 ? r : sm_buf_put(to, e->hash, 32);
}

static void rd_entry(struct sm_rd *rd, struct ev_entry *e)
{
    e->off = sm_rd_u64(rd);
    e->len = sm_rd_u64(rd);
    e->number = sm_rd_u64(rd);
    e->first_id = sm_rd_u64(rd);
    e->last_id = sm_rd_u64(rd);
    e->filter_off = sm_rd_u64(rd);
    e->first.s = (int64_t)sm_rd_u64(rd);
    e->last.s = (int64_t)sm_rd_u64(rd);
    e->seen_first = (int64_t)sm_rd_u64(rd);
    e->seen_last = (int64_t)sm_rd_u64(rd);
    e->raw_bytes = sm_rd_u64(rd);
    e->events = sm_rd_u32(rd);
    e->filter_bytes = sm_rd_u32(rd);
    e->first.ns = sm_rd_u32(rd);
    e->last.ns = sm_rd_u32(rd);
    sm_rd_copy(rd, e->hash, 32);
}

int ev_segment_footer(const struct ev_segment *s, struct sm_buf *ret)
{
    size_t from = ret->n;
    uint8_t hash[32];
    int r = 0;

    for (size_t i = 0; i < s->n && r >= 0; i++)
        r = put_entry(&s->entry[i], ret);
    if (r >= 0)
        r = sm_buf_put_u32(ret, s->sources_all ? SOURCES_ALL : (uint32_t)s->sources);
    for (size_t i = 0; i < s->sources && !s->sources_all && r >= 0; i++)
        r = sm_buf_put_u64(ret, s->source[i]);
    if (r < 0)
        return r;
    uint32_t n = (uint32_t)(ret->n - from);
    crypto_sha256(SM_SPAN(ret->p + from, n), hash);
    r = sm_buf_put(ret, "SJF1", 4);
    if (r >= 0)
        r = sm_buf_put_u32(ret, (uint32_t)s->n);
    if (r >= 0)
        r = sm_buf_put_u32(ret, n);
    return r < 0 ? r : sm_buf_put(ret, hash, 32);
}

static bool entry_ok(const struct ev_segment *s, size_t i, uint64_t end)
{
    const struct ev_entry *e = &s->entry[i];
    uint64_t from = i ? s->entry[i - 1].off + s->entry[i - 1].len : EV_SEGMENT_HEAD;

    return e->off == from && e->len <= end - from && e->filter_off >= e->off && e->filter_bytes <= EV_FILTER_MAX
        && e->filter_off - e->off <= e->len - (e->filter_bytes < e->len ? e->filter_bytes : e->len)
        && !(e->filter_bytes & (e->filter_bytes - 1));
}

static int read_footer(struct ev_segment *s, const uint8_t *p, uint32_t count, uint32_t n, uint64_t end)
{
    struct sm_rd rd = SM_RD(SM_SPAN(p, n));
    int r = 0;

    for (uint32_t i = 0; i < count && r >= 0; i++) {
        r = room(s);
        if (r < 0)
            return r;
        rd_entry(&rd, &s->entry[s->n]);
        if (rd.err || !entry_ok(s, s->n, end))
            return -SM_ECORRUPT;
        s->n++;
    }
    uint32_t sources = sm_rd_u32(&rd);
    s->sources_all = sources == SOURCES_ALL;
    if (!s->sources_all && sources > EV_SOURCES_MAX)
        return -SM_ECORRUPT;
    r = room(s);
    for (uint32_t i = 0; r >= 0 && !s->sources_all && i < sources; i++)
        s->source[s->sources++] = sm_rd_u64(&rd);
    return r < 0 ? r : sm_rd_done(&rd) < 0 ? -SM_ECORRUPT : 0;
}

/* 1 closed, 0 it has no footer. */
static int load_footer(struct ev_segment *s)
{
    uint8_t t[TRAILER], hash[32];

    if (s->size < EV_SEGMENT_HEAD + TRAILER)
        return 0;
    int r = plat_fs_pread_all(s->fd, t, sizeof t, s->size - TRAILER);
    if (r < 0)
        return r;
    struct sm_rd rd = SM_RD(SM_SPAN(t + 4, 8));
    uint32_t count = sm_rd_u32(&rd), n = sm_rd_u32(&rd);
    if (memcmp(t, "SJF1", 4) || n > FOOTER_MAX || count > EV_SEGMENT_BLOCKS_MAX
        || n > s->size - TRAILER - EV_SEGMENT_HEAD)
        return 0;
    uint8_t *p = malloc(n + 1u);
    if (!p)
        return -ENOMEM;
    s->good = s->size - TRAILER - n;
    r = plat_fs_pread_all(s->fd, p, n, s->good);
    crypto_sha256(SM_SPAN(p, n), hash);
    if (r >= 0)
        r = memcmp(hash, t + 12, 32) ? -SM_ECORRUPT : read_footer(s, p, count, n, s->good);
    free(p);
    return r < 0 ? r : 1;
}

int ev_segment_load(int fd, struct ev_segment *ret)
{
    struct ev_segment s = { .fd = fd };
    uint8_t h[EV_SEGMENT_HEAD];
    int r = plat_fs_size(fd, &s.size);

    if (r >= 0)
        r = s.size < sizeof h ? -SM_EFORMAT : plat_fs_pread_all(fd, h, sizeof h, 0);
    if (r < 0)
        return r;
    struct sm_rd rd = SM_RD(SM_SPAN(h + 4, sizeof h - 4));
    uint32_t version = sm_rd_u32(&rd);
    if (memcmp(h, "SJG1", 4))
        return -SM_EFORMAT;
    if (version != 1)
        return -SM_EVERSION;
    s.number = sm_rd_u64(&rd);
    s.klass = sm_rd_u8(&rd);
    (void)sm_rd_bytes(&rd, 7); /* reserved */
    s.first_block = sm_rd_u64(&rd);
    sm_rd_copy(&rd, s.before, 32);
    if (s.klass >= EVIDENCE_CLASSES_MAX)
        return -SM_EFORMAT;
    r = load_footer(&s);
    s.closed = r == 1;
    if (r == 0) {
        s.n = 0;
        s.sources = 0;
        s.good = EV_SEGMENT_HEAD;
        r = ev_segment_more(&s);
    }
    if (r < 0) {
        s.fd = -1;
        ev_segment_wipe(&s);
        return r;
    }
    *ret = s;
    return 0;
}

void ev_segment_wipe(struct ev_segment *s)
{
    if (s->fd >= 0)
        (void)close(s->fd); /* read, or synced before */
    free(s->entry);
    free(s->source);
    *s = (struct ev_segment){ .fd = -1 };
}
