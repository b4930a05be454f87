/* What a reader sees of the folder: closed and open segments, and what lies in write-ahead files alone. */
#include "journal/house.h"
#include "journal/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "plat/fs.h"

enum { FILES_MAX = 1 << 20 };
struct list { uint64_t *n; size_t count, cap; };
struct names { struct list seg, wal; };

static int add(struct list *l, uint64_t v)
{
    if (l->count == FILES_MAX)
        return -SM_ELIMIT;
    if (l->count == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        uint64_t *more = realloc(l->n, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        l->n = more;
        l->cap = cap;
    }
    l->n[l->count++] = v;
    return 0;
}

static int take_name(void *arg, struct sm_span name, unsigned char type)
{
    struct names *n = arg;
    uint64_t v;

    (void)type; /* opened as files, or not at all */
    if ((v = ev_name_number(name, "seg-", ".sjs")))
        return add(&n->seg, v);
    if ((v = ev_name_number(name, "wal-", ".sjw")))
        return add(&n->wal, v);
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int open_number(const struct evreader *r, const char *form, uint64_t number)
{
    char name[EV_NAME_LEN];

    if (form[0] == 's')
        snprintf(name, sizeof name, EV_SEGMENT_NAME, (unsigned long long)number);
    else
        snprintf(name, sizeof name, EV_WAL_NAME, (unsigned long long)number);
    return plat_fs_open_read(r->dirfd, name);
}

/* ---- segments ---- */

static void seg_close(struct evreader *r, struct ev_segment *s)
{
    if (s->fd >= 0) {
        (void)close(s->fd); /* read only */
        r->open_fds--;
    }
    s->fd = -1;
}

static int seg_open(struct evreader *r, struct ev_segment *s)
{
    if (s->fd >= 0)
        return 0;
    for (size_t i = 0; i < r->segs && r->open_fds >= READER_FDS_MAX; i++)
        seg_close(r, &r->seg[i]);
    int fd = open_number(r, "seg", s->number);
    if (fd < 0)
        return fd;
    s->fd = fd;
    r->open_fds++;
    return 0;
}

static struct ev_segment *seg_find(struct evreader *r, uint64_t number)
{
    size_t from = 0, to = r->segs;

    while (from < to) {
        size_t mid = (from + to) / 2;
        if (r->seg[mid].number == number)
            return &r->seg[mid];
        if (r->seg[mid].number < number)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}

static void seg_drop(struct evreader *r, size_t i)
{
    seg_close(r, &r->seg[i]);
    ev_segment_wipe(&r->seg[i]);
    memmove(r->seg + i, r->seg + i + 1, (r->segs - i - 1) * sizeof *r->seg);
    r->segs--;
}

static int seg_load(struct evreader *r, uint64_t number)
{
    struct ev_segment s;
    int fd = open_number(r, "seg", number);

    if (fd == -ENOENT)
        return 0; /* removed by policy just now */
    if (fd < 0)
        return fd;
    int e = ev_segment_load(fd, &s);
    (void)close(fd);
    if (e < 0) {
        r->damaged += e == -SM_EFORMAT || e == -SM_ECORRUPT || e == -SM_EPARTIAL;
        return e == -ENOMEM ? e : 0;
    }
    s.fd = -1;
    if (r->segs == r->seg_cap) {
        size_t cap = r->seg_cap ? 2 * r->seg_cap : 64;
        struct ev_segment *more = realloc(r->seg, cap * sizeof *more);
        if (!more) {
            ev_segment_wipe(&s);
            return -ENOMEM;
        }
        r->seg = more;
        r->seg_cap = cap;
    }
    size_t at = r->segs;
    while (at && r->seg[at - 1].number > number)
        at--;
    memmove(r->seg + at + 1, r->seg + at, (r->segs - at) * sizeof *r->seg);
    r->seg[at] = s;
    r->segs++;
    return 0;
}

static bool in_list(const struct list *l, uint64_t v)
{
    return l->count && bsearch(&v, l->n, l->count, sizeof *l->n, by_number);
}

static int see_segments(struct evreader *r, const struct list *l)
{
    int e = 0;

    for (size_t i = r->segs; i; i--) { /* what is gone, and what was open when it was read */
        struct ev_segment *s = &r->seg[i - 1];
        uint64_t size = 0;
        if (in_list(l, s->number)) {
            if (s->closed || seg_open(r, s) < 0 || plat_fs_size(s->fd, &size) < 0 || size == s->size)
                continue;
        }
        seg_drop(r, i - 1);
    }
    for (size_t i = 0; i < l->count && e >= 0; i++)
        if (!seg_find(r, l->n[i]))
            e = seg_load(r, l->n[i]);
    memset(r->closed_id, 0, sizeof r->closed_id);
    for (size_t i = 0; i < r->segs; i++) {
        const struct ev_segment *s = &r->seg[i];
        for (size_t k = 0; k < s->n; k++)
            if (s->entry[k].last_id > r->closed_id[s->klass])
                r->closed_id[s->klass] = s->entry[k].last_id;
    }
    return e;
}

/* ---- write-ahead files ---- */

static void mem_wipe(struct evreader *r, size_t i)
{
    sm_buf_wipe(&r->mem[i].bytes);
}

static void tail_clear(struct evreader *r)
{
    for (size_t i = 0; i < r->mems; i++)
        mem_wipe(r, i);
    r->mems = 0;
    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++) {
        if (r->tail[i].build)
            ev_build_clear(r->tail[i].build);
        r->tail[i].changed = false;
        r->tail[i].made = -1;
        r->tail[i].first_id = 0;
    }
    for (size_t i = 0; i < r->wals; i++)
        r->wal[i].good = 0;
    r->overflow = false;
}

/* The open block of a class as bytes in memory, like a closed one. */
static int make_block(struct evreader *r, uint8_t klass)
{
    struct ev_tail *t = &r->tail[klass];
    struct ev_head h;
    uint8_t hash[32];
    static const uint8_t none[32];

    if (t->made < 0) {
        if (r->mems == READER_MEM_MAX)
            return -SM_ELIMIT;
        r->mem[r->mems] = (struct ev_mem){ .bytes.max = (size_t)EV_BODY_MAX + EV_HEADER_MAX, .klass = klass };
        t->made = (int)r->mems++;
    }
    struct ev_mem *m = &r->mem[t->made];
    sm_buf_clear(&m->bytes);
    int e = ev_build_encode(t->build, UINT64_MAX, klass, none, 1, &m->bytes, hash);
    if (e < 0)
        return e;
    uint32_t n;
    memcpy(&n, m->bytes.p + 4, 4);
    e = ev_head_parse(SM_SPAN(m->bytes.p + EV_BLOCK_HEAD, n), &h);
    if (e < 0)
        return e;
    m->entry = (struct ev_entry){ .len = m->bytes.n, .filter_off = m->bytes.n - h.filter_bytes,
        .filter_bytes = h.filter_bytes,
        .first_id = h.first_id, .last_id = h.last_id, .events = h.events, .first = h.first, .last = h.last };
    ev_head_wipe(&h);
    t->changed = false;
    return 0;
}

static int tail_event(void *arg, const struct ev_record *rec)
{
    struct evreader *r = arg;
    struct ev_tail *t = &r->tail[rec->klass];

    if (rec->id <= r->closed_id[rec->klass])
        return 0;
    int e = t->build ? 0 : ev_build_new(&t->build);
    if (e >= 0)
        e = ev_build_add(t->build, rec);
    if (e == 0) {
        e = make_block(r, rec->klass);
        if (e < 0)
            return e;
        t->made = -1; /* that one is full and stays */
        ev_build_clear(t->build);
        e = ev_build_add(t->build, rec);
    }
    if (!t->first_id)
        t->first_id = rec->id;
    t->changed = true;
    return e < 0 ? e : 0;
}

static int keep_wals(struct evreader *r, const struct list *l)
{
    struct ev_seen *n = calloc(l->count + 1, sizeof *n);

    if (!n)
        return -ENOMEM;
    for (size_t i = 0; i < l->count; i++) {
        n[i].number = l->n[i];
        for (size_t k = 0; k < r->wals; k++)
            if (r->wal[k].number == l->n[i])
                n[i].good = r->wal[k].good;
    }
    free(r->wal);
    r->wal = n;
    r->wals = l->count;
    return 0;
}

/* fd: of the files as they were listed before the segments were looked at. */
static int see_wals(struct evreader *r, const struct list *l, const int *fd)
{
    bool stale = false;
    int e = keep_wals(r, l);

    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++)
        stale |= r->tail[i].first_id && r->tail[i].first_id <= r->closed_id[i];
    if (stale)
        tail_clear(r);
    for (size_t i = 0; i < l->count && e >= 0; i++) {
        struct ev_wal_found f = { .good = r->wal[i].good };
        if (fd[i] < 0)
            continue;
        e = ev_wal_read(fd[i], tail_event, r, &f);
        if (e >= 0)
            r->wal[i].good = f.good;
        if (e == -SM_EFORMAT || e == -SM_EVERSION) {
            r->damaged++;
            e = 0;
        }
    }
    for (uint8_t i = 0; i < EVIDENCE_CLASSES_MAX && e >= 0; i++)
        if (r->tail[i].changed)
            e = make_block(r, i);
    return e;
}

int evreader_refresh(struct evreader *r)
{
    struct names n = { 0 };
    int fds[64], e;

    r->damaged = 0;
    e = plat_fs_list(r->dirfd, take_name, &n);
    if (n.seg.count)
        qsort(n.seg.n, n.seg.count, sizeof *n.seg.n, by_number);
    if (n.wal.count)
        qsort(n.wal.n, n.wal.count, sizeof *n.wal.n, by_number);
    if (n.wal.count > sizeof fds / sizeof *fds)
        n.wal.count = sizeof fds / sizeof *fds; /* a writer has ten at most */
    for (size_t i = 0; i < n.wal.count; i++)
        fds[i] = open_number(r, "wal", n.wal.n[i]);
    /* segments once more: an event may have gone from file to block while files were opened */
    struct names later = { 0 };
    if (e >= 0)
        e = plat_fs_list(r->dirfd, take_name, &later);
    if (later.seg.count)
        qsort(later.seg.n, later.seg.count, sizeof *later.seg.n, by_number);
    if (e >= 0)
        e = see_segments(r, &later.seg);
    if (e >= 0 && !r->closed_only)
        e = see_wals(r, &n.wal, fds);
    for (size_t i = 0; i < n.wal.count; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    struct list *const all[] = { &n.seg, &n.wal, &later.seg, &later.wal };
    for (size_t i = 0; i < 4; i++)
        free(all[i]->n);
    return e < 0 ? e : 0;
}

static int open_reader(const char *dir, bool closed_only, struct evreader **ret)
{
    struct evreader *r = calloc(1, sizeof *r);

    if (!r)
        return -ENOMEM;
    r->raw.max = 8 << 20;
    r->closed_only = closed_only;
    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++)
        r->tail[i].made = -1;
    r->dirfd = plat_fs_open_dir(AT_FDCWD, dir);
    r->names = event_names_new();
    int e = r->dirfd < 0 ? r->dirfd : !r->names ? -ENOMEM : event_init(&r->event);
    if (e >= 0)
        e = evreader_refresh(r);
    if (e < 0) {
        evreader_free(r);
        return e;
    }
    *ret = r;
    return 0;
}

int evreader_open(const char *dir, struct evreader **ret)
{
    return open_reader(dir, false, ret);
}

int evreader_open_closed(const char *dir, struct evreader **ret)
{
    return open_reader(dir, true, ret);
}

void evreader_free(struct evreader *r)
{
    if (!r)
        return;
    while (r->segs)
        seg_drop(r, r->segs - 1);
    for (size_t i = 0; i < r->mems; i++)
        mem_wipe(r, i);
    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++)
        ev_build_free(r->tail[i].build);
    free(r->seg);
    free(r->wal);
    event_names_free(r->names);
    if (r->event.arena)
        event_wipe(&r->event);
    sm_buf_wipe(&r->raw);
    if (r->dirfd >= 0)
        (void)close(r->dirfd);
    free(r);
}

const struct event_names *evreader_names(const struct evreader *r)
{
    return r->names;
}

int evreader_range(const struct evreader *r, struct event_time *ret_first, struct event_time *ret_last)
{
    const struct ev_entry *e;
    bool any = false;

    for (size_t i = 0; i < r->segs + r->mems; i++) {
        size_t n = i < r->segs ? r->seg[i].n : 1;
        for (size_t k = 0; k < n; k++) {
            e = i < r->segs ? &r->seg[i].entry[k] : &r->mem[i - r->segs].entry;
            if (!any || e->first.s < ret_first->s)
                *ret_first = e->first;
            if (!any || e->last.s > ret_last->s)
                *ret_last = e->last;
            any = true;
        }
    }
    return any;
}

/* ---- blocks ---- */

const struct ev_entry *ev_where_entry(const struct evreader *r, struct ev_where w)
{
    return w.mem >= 0 ? &r->mem[w.mem].entry : &r->seg[w.seg].entry[w.entry];
}

uint8_t ev_where_class(const struct evreader *r, struct ev_where w)
{
    return w.mem >= 0 ? r->mem[w.mem].klass : r->seg[w.seg].klass;
}

static int mem_read(void *arg, uint64_t off, size_t n, void *to)
{
    const struct ev_mem *m = arg;
    uint32_t header;

    memcpy(&header, m->bytes.p + 4, 4);
    uint64_t from = EV_BLOCK_HEAD + header + 32u + off;
    if (from > m->bytes.n || n > m->bytes.n - from)
        return -SM_EPARTIAL;
    memcpy(to, m->bytes.p + from, n);
    return 0;
}

int ev_where_open(struct evreader *r, struct ev_where w, struct ev_open *ret)
{
    struct sm_buf header = SM_BUF_INIT(EV_HEADER_MAX);
    int e;

    *ret = (struct ev_open){ .where = w };
    if (w.mem >= 0) {
        struct ev_mem *m = &r->mem[w.mem];
        uint32_t n;
        memcpy(&n, m->bytes.p + 4, 4);
        e = sm_buf_put(&header, m->bytes.p + EV_BLOCK_HEAD, n);
        if (e >= 0)
            e = ev_block_init(&ret->block, &header, mem_read, m);
        sm_buf_wipe(&header);
    } else {
        e = seg_open(r, &r->seg[w.seg]);
        if (e >= 0)
            e = ev_segment_block(&r->seg[w.seg], w.entry, &ret->at, &ret->block);
    }
    ret->there = e >= 0;
    return e;
}

void ev_open_wipe(struct ev_open *o)
{
    if (o->there)
        ev_block_wipe(&o->block);
    o->there = false;
}

int ev_where_has(struct evreader *r, struct ev_where w, uint64_t key)
{
    const struct ev_entry *e = ev_where_entry(r, w);
    uint64_t bit[3];

    if (!e->filter_bytes)
        return 1;
    key += !key;
    ev_filter_bits(key, e->filter_bytes, bit);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t byte;
        uint64_t off = e->filter_off + (bit[i] >> 3);
        if (w.mem >= 0) {
            byte = r->mem[w.mem].bytes.p[off];
        } else {
            int err = seg_open(r, &r->seg[w.seg]);
            if (err >= 0)
                err = plat_fs_pread_all(r->seg[w.seg].fd, &byte, 1, off);
            if (err < 0)
                return err;
        }
        if (!(byte >> (bit[i] & 7) & 1))
            return 0;
    }
    return 1;
}
