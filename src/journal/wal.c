/* The form of the write-ahead file: event records and frames. */
#include "journal/internal.h"

#include <errno.h>
#include <stdlib.h>

#include "crypto/hash.h"
#include "plat/fs.h"

enum { FRAME_HEAD = 12 };

/* ---- records ---- */

/* The writers below write where room was made before. */
static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

static uint8_t *put_blob(uint8_t *p, struct sm_span s)
{
    p = put_varint(p, s.n);
    if (s.n)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

static uint8_t *put_time(uint8_t *p, struct event_time t)
{
    return put_varint(put_varint(p, ev_zigzag(t.s)), t.ns);
}

int ev_record_put(const struct ev_record *r, const uint32_t *names, struct sm_buf *to)
{
    enum { VARINT = 10, FIXED = 18 * VARINT };
    const struct sm_span text[] = { r->word[0], r->word[1], r->word[2], r->word[3], r->host, r->rules };
    size_t most = FIXED + r->rest.n;

    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        most += text[i].n;
    for (size_t i = 0; i < r->n; i++)
        most += 2 * VARINT + 1 + r->fields[i].value.n;
    int e = sm_buf_reserve(to, most);
    if (e < 0)
        return e;
    uint8_t *p = put_varint(to->p + to->n, r->id);
    *p++ = r->klass;
    p = put_time(put_time(p, r->time), r->seen);
    p = put_varint(p, r->source);
    *p++ = r->severity;
    p = put_varint(put_varint(p, r->notes), r->raw_n);
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        p = put_blob(p, text[i]);
    p = put_varint(p, r->n);
    for (size_t i = 0; i < r->n; i++) {
        p = put_varint(p, names[i]);
        *p++ = r->fields[i].type;
        p = put_blob(p, r->fields[i].value);
    }
    p = put_blob(p, r->rest);
    to->n = (size_t)(p - to->p);
    return 0;
}

/* Most numbers are one byte. */
static inline uint64_t rd_varint(struct sm_rd *rd)
{
    if (rd->n && rd->p[0] < 0x80 && !rd->err) {
        rd->n--;
        return *rd->p++;
    }
    return sm_rd_varint(rd);
}

static inline struct sm_span rd_blob(struct sm_rd *rd, size_t max)
{
    if (rd->n && rd->p[0] < 0x80 && rd->p[0] < rd->n && rd->p[0] <= max && !rd->err) {
        struct sm_span s = SM_SPAN(rd->p + 1, rd->p[0]);
        rd->p += 1 + s.n;
        rd->n -= 1 + s.n;
        return s;
    }
    return sm_rd_blob(rd, max);
}

static inline uint8_t rd_u8(struct sm_rd *rd)
{
    if (rd->n && !rd->err) {
        rd->n--;
        return *rd->p++;
    }
    return sm_rd_u8(rd);
}

static struct event_time rd_time(struct sm_rd *rd)
{
    struct event_time t = { .s = ev_unzigzag(rd_varint(rd)) };

    t.ns = (uint32_t)(rd_varint(rd) % 1000000000u);
    return t;
}

static int rd_fields(struct sm_rd *rd, const struct sm_span *names, size_t names_n, struct ev_record_buf *store,
    struct ev_record *r)
{
    r->n = rd_varint(rd);
    if (rd->err || r->n > EVENT_FIELDS_MAX)
        return -SM_EFORMAT;
    if (r->n > store->cap) {
        struct ev_field *more = realloc(store->field, EVENT_FIELDS_MAX * sizeof *more);
        if (!more)
            return -ENOMEM;
        store->field = more;
        store->cap = EVENT_FIELDS_MAX;
    }
    for (size_t i = 0; i < r->n; i++) {
        struct ev_field *f = &store->field[i];
        uint64_t name = rd_varint(rd);
        *f = (struct ev_field){ .type = rd_u8(rd), .number = (uint16_t)(name + 1) };
        f->value = rd_blob(rd, EVENT_VALUE_MAX);
        if (rd->err || name >= names_n || f->type > EVENT_NULL)
            return -SM_EFORMAT;
        f->name = names[name];
    }
    r->fields = store->field;
    return 0;
}

int ev_record_get(struct sm_span in, const struct sm_span *names, size_t names_n, struct ev_record_buf *store,
    struct ev_record *ret)
{
    struct sm_rd rd = SM_RD(in);
    struct ev_record r = { .id = rd_varint(&rd) };

    r.klass = rd_u8(&rd);
    r.time = rd_time(&rd);
    r.seen = rd_time(&rd);
    r.source = rd_varint(&rd);
    r.severity = rd_u8(&rd);
    r.notes = (uint32_t)rd_varint(&rd);
    r.raw_n = rd_varint(&rd);
    for (size_t i = 0; i < 4; i++)
        r.word[i] = rd_blob(&rd, EVENT_NAME_MAX);
    r.host = rd_blob(&rd, EVENT_VALUE_MAX);
    r.rules = rd_blob(&rd, EVIDENCE_RULES_MAX);
    int e = rd_fields(&rd, names, names_n, store, &r);
    if (e < 0)
        return e;
    r.rest = rd_blob(&rd, EV_RECORD_MAX);
    if (sm_rd_done(&rd) < 0 || !r.id || r.klass >= EVIDENCE_CLASSES_MAX || r.raw_n > EVENT_RAW_MAX)
        return -SM_EFORMAT;
    *ret = r;
    return 0;
}

/* ---- frames ---- */

void ev_wal_hashv(uint64_t number, uint64_t off, const struct sm_span *payload, size_t n, uint8_t ret[32])
{
    const uint64_t where[2] = { number, off };
    struct sm_span parts[8] = { SM_SPAN(where, sizeof where) };

    for (size_t i = 0; i < n && i < 7; i++)
        parts[i + 1] = payload[i];
    crypto_sha256v(parts, n + 1, ret);
}

void ev_wal_check(uint64_t number, uint64_t off, struct sm_span payload, uint8_t ret[8])
{
    uint8_t hash[32];

    ev_wal_hashv(number, off, &payload, 1, hash);
    memcpy(ret, hash, 8);
}

int ev_frame_read(struct sm_span payload, ev_wal_fn fn, void *arg, uint64_t *events)
{
    struct sm_rd rd = SM_RD(payload);
    struct ev_record_buf store = { 0 };
    uint64_t n = sm_rd_varint(&rd);
    struct sm_span *name = rd.err || n > EVENT_NAMES_MAX || n > rd.n ? NULL : calloc(n + 1, sizeof *name);
    int r = name ? 0 : -SM_EFORMAT;

    for (uint64_t i = 0; r >= 0 && i < n; i++)
        name[i] = sm_rd_blob(&rd, EVENT_NAME_MAX);
    uint64_t count = r < 0 ? 0 : sm_rd_varint(&rd);
    for (uint64_t i = 0; i < count && r >= 0; i++) {
        struct ev_record rec;
        struct sm_span s = sm_rd_blob(&rd, EV_RECORD_MAX);
        r = rd.err ? -SM_EFORMAT : ev_record_get(s, name, n, &store, &rec);
        if (r >= 0)
            r = fn(arg, &rec);
        *events += r >= 0;
    }
    if (r >= 0 && sm_rd_done(&rd) < 0)
        r = -SM_EFORMAT;
    free(name);
    free(store.field);
    return r;
}

/* The frame at off: 1 whole (payload in ret), 0 not. */
static int frame_at(int fd, uint64_t number, uint64_t off, uint64_t size, struct sm_buf *ret, uint64_t *ret_next)
{
    uint8_t h[FRAME_HEAD], check[8];

    if (size - off < FRAME_HEAD)
        return 0;
    int r = plat_fs_pread_all(fd, h, sizeof h, off);
    if (r < 0)
        return r;
    struct sm_rd rd = SM_RD(SM_SPAN(h, 4));
    uint32_t n = sm_rd_u32(&rd);
    *ret_next = off + FRAME_HEAD + n;
    if (!n || n > EV_FRAME_MAX || n > size - off - FRAME_HEAD)
        return 0;
    sm_buf_clear(ret);
    r = sm_buf_reserve(ret, n);
    if (r >= 0)
        r = plat_fs_pread_all(fd, ret->p, n, off + FRAME_HEAD);
    if (r < 0)
        return r;
    ret->n = n;
    ev_wal_check(number, off, sm_buf_span(ret), check);
    return !memcmp(check, h + 4, sizeof check);
}

static int wal_frames(int fd, ev_wal_fn fn, void *arg, struct ev_wal_found *f, struct sm_buf *b)
{
    uint64_t off = EV_WAL_HEAD, next = 0;

    if (f->good > off && f->good <= f->size)
        off = f->good; /* the caller has seen what is before */
    f->good = off;
    while (off < f->size) {
        int r = frame_at(fd, f->number, off, f->size, b, &next);
        if (r < 0)
            return r;
        if (!r) { /* torn here, unless a good one stands where this one says it ends */
            uint64_t bad = off, beyond;
            if (next <= off || next >= f->size)
                return 0;
            r = frame_at(fd, f->number, next, f->size, b, &beyond);
            if (r <= 0)
                return r;
            f->skipped_at = f->skipped_bytes ? f->skipped_at : bad;
            f->skipped_bytes += next - bad;
            off = next;
            next = beyond;
        }
        r = ev_frame_read(sm_buf_span(b), fn, arg, &f->events);
        if (r < 0)
            return r;
        f->good = off = next;
    }
    return 0;
}

int ev_wal_read(int fd, ev_wal_fn fn, void *arg, struct ev_wal_found *ret)
{
    struct sm_buf b = SM_BUF_INIT(EV_FRAME_MAX);
    struct ev_wal_found f = { .good = ret->good };
    uint8_t h[EV_WAL_HEAD];
    int r = plat_fs_size(fd, &f.size);

    if (r >= 0 && f.size < EV_WAL_HEAD) { /* made, and then the power went: nothing was in it */
        f.good = 0;
        *ret = f;
        return 0;
    }
    if (r >= 0)
        r = plat_fs_pread_all(fd, h, sizeof h, 0);
    if (r < 0)
        return r;
    struct sm_rd rd = SM_RD(SM_SPAN(h + 4, sizeof h - 4));
    uint32_t version = sm_rd_u32(&rd);
    f.number = sm_rd_u64(&rd);
    static const uint8_t none[EV_WAL_HEAD];
    if (!memcmp(h, none, sizeof h)) { /* the same, with its length alone on the disk */
        f.good = 0;
        *ret = f;
        return 0;
    }
    if (memcmp(h, "SJW1", 4))
        return -SM_EFORMAT;
    if (version != 1)
        return -SM_EVERSION;
    r = wal_frames(fd, fn, arg, &f, &b);
    sm_buf_wipe(&b);
    if (r >= 0)
        *ret = f;
    return r;
}
