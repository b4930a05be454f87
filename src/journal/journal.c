#include "journal/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "journal/writer.h"
#include "plat/fs.h"

enum { FRAME_HEAD = 12, MODE = 0600, BLOCK_KEPT = 8 << 20 };

/* ---- closing ---- */

uint8_t ev_lane_of(const struct evidence *j, const struct ev_lane *l)
{
    return (uint8_t)(l - j->lane);
}

int ev_lane_build(struct ev_lane *l)
{
    return l->build ? 0 : ev_build_new(&l->build);
}

int ev_closed_add(struct evidence *j, const struct ev_segment *s)
{
    struct ev_closed c = { .number = s->number, .bytes = s->size, .first_block = s->first_block, .klass = s->klass,
        .damaged = !s->closed, .sources_all = s->sources_all, .sources = s->sources, .inode = ev_inode(s->fd) };

    if (j->closed_n == j->closed_cap) {
        size_t cap = j->closed_cap ? 2 * j->closed_cap : 64;
        struct ev_closed *more = realloc(j->closed, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        j->closed = more;
        j->closed_cap = cap;
    }
    for (size_t i = 0; i < s->n; i++) {
        const struct ev_entry *e = &s->entry[i];
        if (!i)
            c.first = e->first, c.last = e->last, c.seen_first = e->seen_first, c.first_id = e->first_id;
        if (e->first.s < c.first.s)
            c.first = e->first;
        if (e->last.s > c.last.s)
            c.last = e->last;
        c.seen_last = !i || e->seen_last > c.seen_last ? e->seen_last : c.seen_last;
        c.seen_first = e->seen_first < c.seen_first ? e->seen_first : c.seen_first;
        c.last_block = e->number;
        c.last_id = e->last_id;
        c.events += e->events;
        c.raw_bytes += e->raw_bytes;
    }
    if (s->sources)
        memcpy(c.source, s->source, s->sources * sizeof *s->source);
    size_t at = j->closed_n;
    while (at && j->closed[at - 1].number > c.number)
        at--;
    memmove(j->closed + at + 1, j->closed + at, (j->closed_n - at) * sizeof *j->closed);
    j->closed[at] = c;
    j->closed_n++;
    return 0;
}

int ev_close_segment(struct evidence *j, struct ev_lane *l)
{
    struct sm_buf b = SM_BUF_INIT(1 << 20);
    struct ev_segment *s = &l->open;
    int r = ev_segment_footer(s, &b);

    if (r >= 0)
        r = plat_fs_pwrite_all(s->fd, sm_buf_span(&b), s->good);
    if (r >= 0)
        r = plat_fs_truncate(s->fd, s->good + b.n);
    if (r >= 0)
        r = plat_fs_sync(s->fd);
    if (r >= 0) {
        s->size = s->good + b.n;
        s->closed = true;
        r = ev_closed_add(j, s);
    }
    if (r >= 0)
        ev_segment_wipe(s);
    sm_buf_wipe(&b);
    return r;
}

static int open_segment(struct evidence *j, struct ev_lane *l)
{
    char name[EV_NAME_LEN];
    struct sm_buf h = SM_BUF_INIT(EV_SEGMENT_HEAD);
    struct ev_segment s = { .number = j->next_segment, .first_block = j->next_block, .klass = ev_lane_of(j, l),
        .good = EV_SEGMENT_HEAD, .size = EV_SEGMENT_HEAD };
    int r = sm_buf_put(&h, "SJG1\1\0\0\0", 8);

    if (r >= 0)
        r = sm_buf_put_u64(&h, s.number);
    if (r >= 0)
        r = sm_buf_put(&h, (const uint8_t[8]){ s.klass }, 8);
    if (r >= 0)
        r = sm_buf_put_u64(&h, s.first_block);
    if (r >= 0)
        r = sm_buf_put(&h, j->last_hash, 32);
    memcpy(s.before, j->last_hash, 32);
    snprintf(name, sizeof name, EV_SEGMENT_NAME, (unsigned long long)s.number);
    s.fd = r < 0 ? r : plat_fs_create(j->dirfd, name, PLAT_FS_TRUNC | PLAT_FS_RW, MODE);
    if (s.fd < 0)
        return sm_buf_wipe(&h), s.fd;
    r = plat_fs_pwrite_all(s.fd, sm_buf_span(&h), 0);
    if (r >= 0)
        r = plat_fs_sync(s.fd);
    if (r >= 0)
        r = plat_fs_sync_dir(j->dirfd);
    sm_buf_wipe(&h);
    if (r < 0) {
        (void)close(s.fd); /* its name is used again by the next try */
        return r;
    }
    l->open = s;
    j->next_segment++;
    return 0;
}

void ev_total(struct evidence *j, const struct ev_segment *s, size_t from)
{
    for (size_t i = from; i < s->n; i++) {
        const struct ev_entry *e = &s->entry[i];
        if (!j->total_events || e->first.s < j->first.s)
            j->first = e->first;
        if (!j->total_events || e->last.s > j->last.s)
            j->last = e->last;
        j->total_events += e->events;
        j->total_raw += e->raw_bytes;
    }
}

/* Room for a block of n bytes in the open segment of the class. */
static int segment_for(struct evidence *j, struct ev_lane *l, size_t n, int64_t seen_s)
{
    struct ev_segment *s = &l->open;
    int r = 0;

    if (s->fd >= 0 && s->n
        && (s->good + n > j->conf.segment_bytes || s->n == EV_SEGMENT_BLOCKS_MAX
            || seen_s - s->entry[0].seen_first > (int64_t)j->conf.segment_days * 86400))
        r = ev_close_segment(j, l);
    if (r >= 0 && s->fd < 0)
        r = open_segment(j, l);
    return r;
}

static int write_block(struct evidence *j, struct ev_lane *l, const struct sm_buf *block, const uint8_t hash[32])
{
    struct sm_rd rd = SM_RD(SM_SPAN(block->p + 4, 4));
    uint32_t header_n = sm_rd_u32(&rd);
    struct ev_head h;
    int r = ev_head_parse(SM_SPAN(block->p + EV_BLOCK_HEAD, header_n), &h); /* also a last look at what was made */

    if (r < 0)
        return r;
    r = segment_for(j, l, block->n, h.seen_last);
    struct ev_segment *s = &l->open;
    if (r >= 0) {
        r = plat_fs_pwrite_all(s->fd, sm_buf_span(block), s->good);
        if (r >= 0)
            r = plat_fs_datasync(s->fd);
        if (r < 0)
            (void)plat_fs_truncate(s->fd, s->good); /* gives room back; what stays is written over or cut later */
    }
    uint64_t off = s->good;
    if (r >= 0)
        r = ev_segment_add(s, &h, off, header_n, hash);
    if (r >= 0)
        s->size = s->good;
    ev_head_wipe(&h);
    return r;
}

static int frame_safe(struct evidence *j);

int ev_close_block(struct evidence *j, struct ev_lane *l)
{
    struct sm_buf *block = &j->block;
    uint8_t hash[32];

    block->max = (size_t)EV_BODY_MAX + EV_HEADER_MAX;
    sm_buf_clear(block);
    int r = frame_safe(j);
    if (r >= 0)
        r = ev_build_encode(l->build, j->next_block, ev_lane_of(j, l), j->last_hash, j->conf.level, block, hash);
    if (r >= 0)
        r = write_block(j, l, block, hash);
    if (block->cap > BLOCK_KEPT)
        sm_buf_wipe(block);
    if (r < 0)
        return r;
    memcpy(j->last_hash, hash, sizeof hash);
    j->last_block = j->next_block++;
    l->closed_id = ev_build_state(l->build).last_id;
    l->since_ms = 0;
    ev_total(j, &l->open, l->open.n - 1);
    ev_build_clear(l->build);
    ev_wal_clean(j);
    return 0;
}

/* ---- write-ahead files ---- */

/* The first event that is in no block; UINT64_MAX when all are. */
static uint64_t first_open(const struct evidence *j)
{
    uint64_t first = j->handed_written ? j->handed_next : UINT64_MAX;

    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++) {
        if (!j->lane[i].build)
            continue;
        struct ev_build_state s = ev_build_state(j->lane[i].build);
        if (s.events && s.first_id < first)
            first = s.first_id;
    }
    return first;
}

static int unlink_wal(struct evidence *j, uint64_t number)
{
    char name[EV_NAME_LEN];

    snprintf(name, sizeof name, EV_WAL_NAME, (unsigned long long)number);
    return plat_fs_unlink(j->dirfd, name);
}

/* Files whose events are all in blocks go; one that cannot be removed now is removed when the journal is opened
 * next. */
void ev_wal_clean(struct evidence *j)
{
    uint64_t open = first_open(j);
    size_t kept = 0;

    for (size_t i = 0; i < j->old_n; i++) {
        if (j->old[i].last_id < open)
            (void)unlink_wal(j, j->old[i].number);
        else
            j->old[kept++] = j->old[i];
    }
    j->old_n = kept;
    if (j->wal >= 0 && open == UINT64_MAX && j->wal_off > EV_WAL_HEAD) {
        (void)close(j->wal);
        j->wal = -1;
        (void)unlink_wal(j, j->wal_number);
        j->wal_number++;
    }
}

static int open_wal(struct evidence *j)
{
    char name[EV_NAME_LEN];
    struct sm_buf h = SM_BUF_INIT(EV_WAL_HEAD);
    int r = sm_buf_put(&h, "SJW1\1\0\0\0", 8);

    if (r >= 0)
        r = sm_buf_put_u64(&h, j->wal_number);
    snprintf(name, sizeof name, EV_WAL_NAME, (unsigned long long)j->wal_number);
    int fd = r < 0 ? r : plat_fs_create(j->dirfd, name, PLAT_FS_TRUNC | PLAT_FS_RW, MODE);
    r = fd < 0 ? fd : plat_fs_pwrite_all(fd, sm_buf_span(&h), 0);
    if (r >= 0)
        r = plat_fs_sync(fd);
    if (r >= 0)
        r = plat_fs_sync_dir(j->dirfd);
    sm_buf_wipe(&h);
    if (r < 0) {
        if (fd >= 0)
            (void)close(fd);
        return r;
    }
    j->wal = fd;
    j->wal_off = EV_WAL_HEAD;
    j->wal_last_id = 0;
    j->wal_stand = (struct ev_stand){ 0 };
    ev_stand_now(fd, &j->wal_stand);
    return 0;
}

/* The class whose open block holds the oldest event: closing it lets write-ahead files go. */
static int close_oldest(struct evidence *j)
{
    uint64_t first = first_open(j);

    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++) {
        struct ev_lane *l = &j->lane[i];
        if (l->build && ev_build_state(l->build).events && ev_build_state(l->build).first_id == first)
            return ev_close_block(j, l);
    }
    return 0;
}

static int turn_wal(struct evidence *j)
{
    while (j->old_n == EV_WALS_MAX) {
        size_t had = j->old_n;
        int r = close_oldest(j);
        if (r < 0)
            return r;
        if (j->old_n == had && first_open(j) == UINT64_MAX)
            break;
    }
    if (j->old_n == EV_WALS_MAX)
        return 0; /* goes on in the present file, which is only longer than it should be */
    (void)close(j->wal);
    j->wal_stand.size = j->wal_off;
    j->old[j->old_n++] = (struct ev_wal){ .number = j->wal_number, .last_id = j->wal_last_id, .stand = j->wal_stand };
    j->wal = -1;
    j->wal_number++;
    return 0;
}

static int frame_write(struct evidence *j)
{
    const struct ev_frame *f = &j->handed;
    uint8_t head[FRAME_HEAD], hash[32];
    struct sm_buf counts[2] = { SM_BUF_INIT(16), SM_BUF_INIT(16) };
    int r = sm_buf_put_varint(&counts[0], f->names_n);

    if (r >= 0)
        r = sm_buf_put_varint(&counts[1], f->events_n);
    const struct sm_span part[] = { SM_SPAN(head, sizeof head), sm_buf_span(&counts[0]), sm_buf_span(&f->names),
        sm_buf_span(&counts[1]), sm_buf_span(&f->events) };
    uint64_t n = part[1].n + part[2].n + part[3].n + part[4].n;
    if (r >= 0 && n > EV_FRAME_MAX)
        r = -SM_ELIMIT;
    if (r >= 0) {
        uint32_t n32 = (uint32_t)n;
        memcpy(head, &n32, 4);
        ev_wal_hashv(j->wal_number, j->wal_off, part + 1, 4, hash);
        memcpy(head + 4, hash, FRAME_HEAD - 4);
        r = plat_fs_pwritev_all(j->wal, part, 5, j->wal_off);
    }
    if (r >= 0) {
        plat_fs_write_soon(j->wal, j->wal_off, FRAME_HEAD + n);
        j->handed_off = j->wal_off;
        j->wal_off += FRAME_HEAD + n;
        j->wal_last_id = f->last_id;
        j->handed_written = j->handed_unsynced = true;
        memcpy(j->handed_hash, hash, sizeof hash);
    }
    sm_buf_wipe(&counts[0]);
    sm_buf_wipe(&counts[1]);
    return r;
}

/* The frame whose events are in open blocks, or are about to be, is in the write-ahead file and synced. */
static int frame_safe(struct evidence *j)
{
    int r = 0;

    if (!j->handed_begun)
        return 0;
    if (!j->handed_written && j->wal < 0)
        r = open_wal(j);
    if (r >= 0 && !j->handed_written)
        r = frame_write(j);
    if (r < 0 || !j->handed_unsynced)
        return r;
    r = plat_fs_datasync(j->wal);
    j->handed_unsynced = false;
    if (r < 0) { /* nobody knows what of it is on the disk: it is written again */
        j->handed_written = false;
        j->wal_off = j->handed_off;
        return r;
    }
    ev_stand_frame(&j->wal_stand, j->handed_hash);
    ev_stand_now(j->wal, &j->wal_stand);
    return 0;
}

static int build_add(struct evidence *j, struct ev_lane *l, const struct ev_record *r)
{
    int err = ev_lane_build(l);

    if (err < 0)
        return err;
    struct ev_build_state s = ev_build_state(l->build);
    bool full = s.events && (s.events >= j->conf.block_events || s.bytes >= j->conf.block_bytes);
    err = full ? 0 : ev_build_add(l->build, r);
    if (err)
        return err < 0 ? err : 0;
    err = ev_close_block(j, l);
    if (err >= 0)
        err = ev_build_add(l->build, r);
    return err < 0 ? err : err ? 0 : -SM_ELIMIT;
}

static int frame_names(const struct ev_frame *f, struct sm_span **ret)
{
    struct sm_rd rd = SM_RD(sm_buf_span(&f->names));
    struct sm_span *name = calloc(f->names_n + 1, sizeof *name);

    for (uint64_t i = 0; name && i < f->names_n; i++)
        name[i] = sm_rd_blob(&rd, EVENT_NAME_MAX);
    *ret = name;
    return name ? 0 : -ENOMEM;
}

/* The events of the frame into open blocks, from where the last try ended. */
static int frame_add(struct evidence *j)
{
    const struct ev_frame *f = &j->handed;
    struct sm_span *name = NULL;
    int r = frame_names(f, &name);

    while (r >= 0 && j->handed_at < f->events.n) {
        struct sm_rd rd = SM_RD(SM_SPAN(f->events.p + j->handed_at, f->events.n - j->handed_at));
        struct sm_span bytes = sm_rd_blob(&rd, EV_RECORD_MAX);
        struct ev_record rec;
        r = rd.err ? -SM_EFORMAT : ev_record_get(bytes, name, f->names_n, &j->store, &rec);
        for (size_t i = 0; r >= 0 && i < rec.n; i++)
            j->store.field[i].number = f->number[j->store.field[i].number - 1];
        if (r >= 0) {
            rec.within = f->within.p + j->handed_within;
            r = build_add(j, &j->lane[rec.klass], &rec);
        }
        if (r >= 0) {
            j->handed_within += rec.n;
            j->handed_at = f->events.n - rd.n;
            j->handed_next = rec.id + 1;
        }
    }
    free(name);
    return r;
}

int evidence_keep(struct evidence *j)
{
    struct ev_frame *f = &j->handed;
    int r = 0;

    if (!f->events_n)
        return 0;
    if (!j->handed_begun) {
        j->handed_begun = true;
        j->handed_at = j->handed_within = 0;
        j->handed_next = f->first_id;
    }
    if (!j->handed_written) {
        if (j->wal < 0)
            r = open_wal(j);
        if (r >= 0)
            r = frame_write(j);
    }
    /* The disk works while the events go into open blocks; closing one waits for it (ev_close_block). */
    if (r >= 0)
        r = frame_add(j);
    if (r >= 0)
        r = frame_safe(j);
    if (r < 0)
        return r;
    ev_frame_clear(f);
    j->handed_begun = j->handed_written = false;
    if (j->wal_off > EV_WAL_BYTES_MAX) {
        r = turn_wal(j);
        if (r < 0)
            return 0; /* the events are safe; making room is tried again after the next commit */
    }
    ev_wal_clean(j);
    return 0;
}

int evidence_commit(struct evidence *j)
{
    int r = evidence_keep(j); /* what a try before left */

    if (r >= 0)
        r = evidence_hand(j);
    return r < 0 ? r : evidence_keep(j);
}

/* ---- the clock, the end ---- */

int evidence_step(struct evidence *j, uint64_t monotonic_ms)
{
    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++) {
        struct ev_lane *l = &j->lane[i];
        if (!l->build || !ev_build_state(l->build).events)
            continue;
        if (!l->since_ms)
            l->since_ms = monotonic_ms ? monotonic_ms : 1;
        if (monotonic_ms - l->since_ms < j->conf.block_age_ms || monotonic_ms < l->since_ms)
            continue;
        int r = ev_close_block(j, l);
        if (r < 0)
            return r;
    }
    return 0;
}

int evidence_close(struct evidence *j)
{
    int r = j->handed.events_n ? -SM_EAGAIN : 0;

    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX && r >= 0; i++) {
        struct ev_lane *l = &j->lane[i];
        r = l->build && ev_build_state(l->build).events ? ev_close_block(j, l) : 0;
    }
    if (r >= 0)
        ev_wal_clean(j);
    return r;
}

int evidence_flush(struct evidence *j)
{
    int r = evidence_commit(j);

    return r < 0 ? r : evidence_close(j);
}

void evidence_free(struct evidence *j)
{
    if (!j)
        return;
    const int fd[] = { j->wal, j->ledger, j->lock, j->dirfd };
    for (size_t i = 0; i < sizeof fd / sizeof *fd; i++)
        if (fd[i] >= 0)
            (void)close(fd[i]); /* synced as far as anything was promised */
    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++) {
        ev_build_free(j->lane[i].build);
        ev_segment_wipe(&j->lane[i].open);
    }
    ev_front_wipe(&j->front);
    ev_frame_wipe(&j->handed);
    sm_buf_wipe(&j->block);
    free(j->store.field);
    free(j->closed);
    free(j);
}

/* Without the numbers that a take-over left free. */
static uint64_t ev_blocks(const struct evidence *j)
{
    return j->last_block < j->link.next_block || !j->link.next_block ? j->last_block :
        j->last_block - (j->link.next_block - 1 - j->link.block);
}

void evidence_status(const struct evidence *j, struct evidence_status *ret)
{
    struct evidence_status s = { .events = j->total_events, .raw_bytes = j->total_raw, .segments = j->closed_n,
        .waiting = j->front.frame.events_n + j->handed.events_n, .next_id = j->front.next_id,
        .next_block = j->next_block, .blocks = ev_blocks(j), .last_block = j->last_block,
        .sealed_block = j->sealed_block, .first = j->first, .last = j->last };

    for (size_t i = 0; i < j->closed_n; i++)
        s.stored_bytes += j->closed[i].bytes;
    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++) {
        const struct ev_lane *l = &j->lane[i];
        s.stored_bytes += l->open.fd >= 0 ? l->open.good : 0;
        s.segments += l->open.fd >= 0;
        if (!l->build)
            continue;
        s.open_events += ev_build_state(l->build).events;
        s.open_bytes += ev_build_state(l->build).bytes;
    }
    *ret = s;
}

void evidence_class_status(const struct evidence *j, uint8_t klass, struct evidence_class *ret)
{
    struct evidence_class s = { 0 };

    if (klass < EVIDENCE_CLASSES_MAX && j->lane[klass].open.fd >= 0) {
        s.bytes = j->lane[klass].open.good;
        s.segments = 1;
    }
    for (size_t i = 0; i < j->closed_n; i++) {
        const struct ev_closed *c = &j->closed[i];
        if (c->klass != klass)
            continue;
        s.bytes += c->bytes;
        s.segments++;
        if (c->events && (!s.first.s || c->first.s < s.first.s))
            s.first = c->first;
    }
    *ret = s;
}

int evidence_segments(const struct evidence *j, evidence_segment_fn fn, void *arg)
{
    int r = 0;

    for (size_t i = 0; i < j->closed_n && !r; i++) {
        const struct ev_closed *c = &j->closed[i];
        char name[EV_NAME_LEN];
        snprintf(name, sizeof name, EV_SEGMENT_NAME, (unsigned long long)c->number);
        r = fn(arg, name, c->bytes, c->first_block, c->last_block);
    }
    return r;
}
