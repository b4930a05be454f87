/* EVTX: file, chunks, records. */
#include "normalise/evtx.h"
#include "normalise/evtx_int.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <stdlib.h>

enum { FILE_HEAD = 4096, HEAD_READ = 128, DIRTY = 1, LOST_MIN = 8 };

static const uint8_t file_magic[8] = "ElfFile", chunk_magic[8] = "ElfChnk", record_magic[4] = { 0x2a, 0x2a, 0, 0 };

static uint32_t crc(uint32_t seed, const uint8_t *p, size_t n)
{
    return crc32_gzip_refl(seed, p, n);
}

int evtx_new(struct event_names *names, struct evtx **ret)
{
    struct evtx *x = calloc(1, sizeof *x);

    if (!x)
        return -ENOMEM;
    x->ansi = iconv_open("UTF-8", "CP932");
    x->names = names;
    x->values = malloc(EVTX_NEST_MAX * sizeof *x->values);
    x->buf = malloc(EVTX_CHUNK);
    if (x->ansi == (iconv_t)-1 || !x->values || !x->buf) {
        evtx_free(x);
        return -ENOMEM;
    }
    *ret = x;
    return 0;
}

void evtx_free(struct evtx *x)
{
    if (!x)
        return;
    evtx_forget_programs(x);
    evtx_kept_wipe(x);
    free(x->blocks);
    if (x->ansi != (iconv_t)-1)
        iconv_close(x->ansi);
    free(x->values);
    free(x->buf);
    free(x->ops);
    free(x->parts);
    free(x->stack);
    free(x);
}

bool evtx_is(struct sm_span first)
{
    size_t n = first.n < EVTX_FIRST_BYTES ? first.n : EVTX_FIRST_BYTES;

    return n >= 8 && (!memcmp(first.p, file_magic, 8) || memmem(first.p, n, chunk_magic, 8));
}

const struct evtx_place *evtx_place(const struct evtx *x)
{
    return &x->place;
}

const struct evtx_counts *evtx_counts(const struct evtx *x)
{
    return &x->counts;
}

/* ---- bytes of the file ---- */

/* Up to n bytes at `at`: where they are, and how many in *ret_n (fewer at the end). */
static int bytes(struct evtx *x, uint64_t at, uint8_t *into, size_t n, const uint8_t **ret, size_t *ret_n)
{
    uint64_t size = x->reader.read ? x->reader.size : x->file.n;
    size_t got = 0;

    n = at >= size ? 0 : size - at < n ? (size_t)(size - at) : n;
    *ret = into;
    if (!x->reader.read) {
        *ret = x->file.p + (n ? at : 0);
        got = n;
    }
    while (got < n) {
        int64_t k = x->reader.read(x->reader.ctx, at + got, into + got, n - got);
        if (k < 0)
            return (int)k;
        if (k == 0)
            break; /* the file became shorter */
        got += (size_t)k < n - got ? (size_t)k : n - got;
    }
    *ret_n = got;
    return 0;
}

static uint64_t file_size(const struct evtx *x)
{
    return x->reader.read ? x->reader.size : x->file.n;
}

/* ---- records of a chunk ---- */

/* A record's head at that place, whole within limit, its size said twice alike. */
static bool sound(const struct evtx *x, uint32_t at, uint32_t limit, bool magic)
{
    if (at > limit || limit - at < EVTX_RECORD_MIN || (magic && memcmp(x->chunk + at, record_magic, 4)))
        return false;
    uint32_t size = le32(x->chunk + at + 4);
    return size >= EVTX_RECORD_MIN && size <= limit - at && le32(x->chunk + at + size - 4) == size;
}

/* The next sound head from `from` on; limit if there is none. */
static uint32_t next_sound(const struct evtx *x, uint32_t from, uint32_t limit)
{
    while (from < limit) {
        const uint8_t *p = memmem(x->chunk + from, limit - from, record_magic, 4);
        if (!p)
            break;
        from = (uint32_t)(p - x->chunk);
        if (sound(x, from, limit, true))
            return from;
        from++;
    }
    return limit;
}

static bool all_zero(const uint8_t *p, size_t n)
{
    return !n || (!*p && !memcmp(p, p + 1, n - 1));
}

/* Windows 2000 up to the year 2100: outside of it a damaged record says nothing. */
static bool plausible(struct event_time t)
{
    return t.s > 946684800 && t.s < 4102444800;
}

/* Binary XML of [at, end) into e: 1 if that gave a field. */
static int record(struct evtx *x, uint32_t at, uint32_t end, bool damaged, struct event *e)
{
    const uint8_t *head = x->chunk + at;
    uint32_t size = end - at, body = at + EVTX_RECORD_HEAD;

    event_clear(e);
    x->place = (struct evtx_place){ .chunk = x->chunk_at, .record = x->chunk_at + at, .number = le64(head + 8),
        .written = evtx_filetime(le64(head + 16)), .bad_chunk = x->bad_chunk, .slack = x->slack };
    x->record = at;
    x->record_end = end - (damaged ? 0 : 4); /* the size again */
    e->time = x->place.written;
    e->product = EVENT_W_windows;
    e->format = EVENT_W_evtx;
    e->raw = SM_SPAN(head, size);
    int r = evtx_run(x, body, x->record_end, e);
    if (r < 0)
        return r;
    if (damaged || x->slack)
        e->notes |= EVENT_DAMAGED;
    if ((e->notes & EVENT_DAMAGED) && !plausible(e->time)) {
        e->time = plausible(x->place.written) ? x->place.written : x->last_time;
        e->notes |= EVENT_NO_TIME;
    } else {
        x->last_time = e->time;
    }
    if (!e->n) {
        x->record = 0;
        return 0;
    }
    x->counts.records++;
    x->counts.damaged += (e->notes & EVENT_DAMAGED) != 0;
    return 1;
}

/* [at, end) is no record as it should be: what is left of it. */
static int remains(struct evtx *x, uint32_t at, uint32_t end, struct event *e)
{
    static const uint8_t head[4] = { 0x0f, 1, 1, 0 };
    int r = 0;

    if (end - at > EVTX_RECORD_MIN && (!memcmp(x->chunk + at, record_magic, 4) ||
        !memcmp(x->chunk + at + EVTX_RECORD_HEAD, head, 4)))
        r = record(x, at, end, true, e);
    if (!r && end - at >= LOST_MIN && !all_zero(x->chunk + at, end - at))
        x->counts.lost++;
    return r;
}

/* Behind the last record: is this still one, or the older content of a chunk used again?  Numbers of records only
 * grow. */
static bool goes_on(const struct evtx *x, uint32_t at)
{
    return !x->any || le64(x->chunk + at + 8) > x->last;
}

/* The next record of this chunk: 1, 0 at its end. */
static int in_chunk(struct evtx *x, struct event *e)
{
    while (x->at < x->limit) {
        uint32_t at = x->at, end;
        int r;
        if (sound(x, at, x->limit, true) || (!x->slack && x->sure && sound(x, at, x->limit, false))) {
            if (!x->sure && !x->slack && !goes_on(x, at))
                break;
            bool damaged = memcmp(x->chunk + at, record_magic, 4) != 0;
            end = at + le32(x->chunk + at + 4);
            x->at = end;
            x->last = le64(x->chunk + at + 8);
            x->any = true;
            r = record(x, at, end, damaged, e);
            if (!r)
                x->counts.lost++;
        } else {
            end = next_sound(x, at + 1, x->limit);
            if (!x->sure && !x->slack && end < x->limit && !goes_on(x, end))
                end = x->limit;
            x->at = end;
            r = x->slack ? 0 : remains(x, at, end, e);
        }
        if (r)
            return r;
    }
    return 0;
}

/* From the stated end on: records written after the head was, then old ones, if they are wanted. */
static bool beyond(struct evtx *x)
{
    if (x->slack)
        return false;
    uint32_t end = x->limit;
    if (x->sure && x->any && sound(x, end, x->size, true) && le64(x->chunk + end + 8) == x->last + 1) {
        x->at = end;
        x->limit = end + le32(x->chunk + end + 4);
        return true;
    }
    if (!(x->flags & EVTX_SLACK))
        return false;
    x->slack = true;
    x->at = x->sure ? x->limit : x->at;
    x->limit = x->size;
    return x->at < x->limit;
}

/* ---- chunks of the file ---- */

/* How far a chunk at p, of n bytes, goes: a whole one is followed by another or by the end; else up to where another
 * begins. */
static int extent(struct evtx *x, const uint8_t *p, size_t n, size_t *ret)
{
    uint8_t next[15];
    const uint8_t *q;
    size_t got = 0;

    *ret = n;
    if (n == EVTX_CHUNK && x->chunk_at + n == file_size(x))
        return 0;
    if (n == EVTX_CHUNK) {
        /* With the 7 bytes before it: the other may begin a little too early. */
        int r = bytes(x, x->chunk_at + n - 7, next, sizeof next, &q, &got);
        if (r < 0)
            return r;
        const uint8_t *magic = memmem(q, got, chunk_magic, 8);
        if (magic == q + 7)
            return 0;
        if (magic)
            *ret = n - 7 + (size_t)(magic - q);
    }
    q = memmem(p + 1, n - 1, chunk_magic, 8);
    if (q)
        *ret = (size_t)(q - p);
    return 0;
}

/* Does a place without a chunk's magic hold records all the same? */
static bool has_records(struct evtx *x, const uint8_t *p, size_t n)
{
    x->chunk = p;
    return n > EVTX_CHUNK_HEAD && next_sound(x, EVTX_CHUNK_HEAD, (uint32_t)n) < n;
}

static void begin_chunk(struct evtx *x, const uint8_t *p, size_t n)
{
    bool head = n >= EVTX_CHUNK_HEAD && !memcmp(p, chunk_magic, 8) &&
        crc(crc(0, p, 120), p + 128, EVTX_CHUNK_HEAD - 128) == le32(p + 124);
    uint32_t end = head ? le32(p + 48) : 0;

    x->chunk = p;
    x->size = (uint32_t)n;
    x->sure = head && end >= EVTX_CHUNK_HEAD && end <= EVTX_CHUNK;
    x->limit = x->sure && end < n ? end : (uint32_t)n;
    x->at = EVTX_CHUNK_HEAD;
    x->slack = x->any = false;
    x->bad_chunk = !x->sure || end > n || crc(0, p + EVTX_CHUNK_HEAD, x->limit - EVTX_CHUNK_HEAD) != le32(p + 52);
    x->counts.chunks++;
    x->counts.bad_chunks += x->bad_chunk;
    evtx_forget_programs(x);
}

/* The place of the next magic from `from` on; the file's end if there is none. */
static int find_magic(struct evtx *x, uint64_t from, uint64_t *ret)
{
    const uint8_t *p, *q;
    size_t n = 0;

    for (;; from += n - 7) {
        int r = bytes(x, from, x->buf, EVTX_CHUNK, &p, &n);
        if (r < 0)
            return r;
        q = n >= 8 ? memmem(p, n, chunk_magic, 8) : NULL;
        if (q || n < EVTX_CHUNK) {
            *ret = q ? from + (uint64_t)(q - p) : file_size(x);
            return 0;
        }
    }
}

/* 1: the next chunk is begun; 0: there is none. */
static int next_chunk(struct evtx *x)
{
    for (;;) {
        const uint8_t *p;
        size_t n = 0, whole;
        x->chunk_at = x->next_at;
        x->record = 0;
        x->limit = x->at = x->size = 0;
        int r = bytes(x, x->chunk_at, x->buf, EVTX_CHUNK, &p, &n);
        if (r < 0)
            return r;
        x->counts.bytes = x->chunk_at + n;
        if (n <= EVTX_CHUNK_HEAD)
            return 0;
        if ((r = extent(x, p, n, &whole)) < 0)
            return r;
        x->next_at = x->chunk_at + whole;
        if (!memcmp(p, chunk_magic, 8) || has_records(x, p, whole)) {
            begin_chunk(x, p, whole);
            return 1;
        }
        if ((r = find_magic(x, x->chunk_at + 1, &x->next_at)) < 0)
            return r;
    }
}

/* Where the first chunk is, by the file's head if it has one. */
static int open_file(struct evtx *x)
{
    uint8_t head[HEAD_READ];
    const uint8_t *p;
    size_t n = 0;
    int r = bytes(x, 0, head, sizeof head, &p, &n);

    if (r < 0)
        return r;
    bool is = n == sizeof head && !memcmp(p, file_magic, 8);
    x->counts.bad_head = !is || crc(0, p, 120) != le32(p + 124);
    if (is) {
        x->counts.dirty = le32(p + 120) & DIRTY;
        x->next_at = le16(p + 40) >= HEAD_READ ? le16(p + 40) : FILE_HEAD;
    } else if (n < 8 || memcmp(p, chunk_magic, 8)) {
        /* No head: chunks may stand where they would with one, or anywhere. */
        if ((r = find_magic(x, 0, &x->next_at)) < 0)
            return r;
        if (x->next_at > FILE_HEAD && x->next_at < file_size(x) && x->next_at % EVTX_CHUNK == FILE_HEAD)
            x->next_at = FILE_HEAD;
        if (x->next_at >= file_size(x))
            return -SM_EFORMAT;
    }
    x->opened = true;
    return 0;
}

static void reset(struct evtx *x, uint32_t flags)
{
    evtx_kept_wipe(x);
    evtx_forget_programs(x);
    x->counts = (struct evtx_counts){ 0 };
    x->place = (struct evtx_place){ 0 };
    x->flags = flags;
    x->last_time = (struct event_time){ 0 };
    x->record = x->at = x->limit = x->size = 0;
    x->next_at = x->chunk_at = 0;
    x->sure = x->slack = x->any = x->opened = false;
    x->reader = (struct evtx_reader){ 0 };
    x->file = SM_SPAN("", 0);
}

int evtx_open(struct evtx *x, struct sm_span file, uint32_t flags)
{
    reset(x, flags);
    x->file = file;
    return open_file(x);
}

int evtx_open_reader(struct evtx *x, const struct evtx_reader *r, uint32_t flags)
{
    reset(x, flags);
    x->reader = *r;
    return open_file(x);
}

int evtx_next(struct evtx *x, struct event *e)
{
    if (!x->opened)
        return 0;
    for (;;) {
        int r = in_chunk(x, e);
        if (r)
            return r;
        if (x->size && beyond(x))
            continue;
        r = next_chunk(x);
        if (r <= 0) {
            x->record = 0;
            return r;
        }
    }
}
