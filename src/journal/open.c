/* Opening: what a crash left is brought in order. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "journal/writer.h"
#include "plat/fs.h"

enum { FILES_MAX = 1 << 20, MODE = 0600 };
struct names { uint64_t *seg, *wal; size_t segs, wals, seg_cap, wal_cap; };

static int number_add(uint64_t **p, size_t *n, size_t *cap, uint64_t v)
{
    if (*n == FILES_MAX)
        return -SM_ELIMIT;
    if (*n == *cap) {
        size_t c = *cap ? 2 * *cap : 64;
        uint64_t *more = realloc(*p, c * sizeof *more);
        if (!more)
            return -ENOMEM;
        *p = more;
        *cap = c;
    }
    (*p)[(*n)++] = v;
    return 0;
}

static int take_name(void *arg, struct sm_span name, unsigned char type)
{
    struct names *n = arg;
    uint64_t v;

    (void)type; /* opened as files, or not at all */
    if ((v = ev_name_number(name, "seg-", ".sjs")))
        return number_add(&n->seg, &n->segs, &n->seg_cap, v);
    if ((v = ev_name_number(name, "wal-", ".sjw")))
        return number_add(&n->wal, &n->wals, &n->wal_cap, v);
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* ---- segments ---- */

static void advance(struct evidence *j, const struct ev_segment *s)
{
    struct ev_lane *l = &j->lane[s->klass];

    for (size_t i = 0; i < s->n; i++) {
        const struct ev_entry *e = &s->entry[i];
        if (e->number >= j->next_block) {
            j->next_block = e->number + 1;
            j->last_block = e->number;
            memcpy(j->last_hash, e->hash, 32);
        }
        if (e->last_id >= j->front.next_id)
            j->front.next_id = e->last_id + 1;
        if (e->last_id > l->closed_id)
            l->closed_id = e->last_id;
    }
    ev_total(j, s, 0);
}

static void note(struct evidence_found *f, const char *what, uint64_t number)
{
    size_t n = strlen(f->note);

    snprintf(f->note + n, sizeof f->note - n, "%s%s %llu", n ? "; " : "", what, (unsigned long long)number);
}

static void damage(struct evidence_found *f, const char *what, uint64_t number)
{
    f->damaged = true;
    note(f, what, number);
}

/*
 * The last block of a segment without a footer: all of its bytes must be there.  When the power went its pages may
 * have been
 * written in any order; its events are then in the write-ahead file.
 */
static int last_is_whole(struct ev_segment *s, bool *ret)
{
    struct ev_at at;
    struct ev_block b;
    struct sm_span what;

    *ret = true;
    if (!s->n)
        return 0;
    int r = ev_segment_block(s, s->n - 1, &at, &b);
    if (r < 0)
        return r;
    r = ev_block_check(&b, &what);
    *ret = r >= 0;
    ev_block_wipe(&b);
    return r == -SM_ECORRUPT ? 0 : r;
}

/* Cut the torn end.  When a sound block follows the bad place it was no tear: then nothing is cut and nothing
 * written there. */
static int mend(struct ev_segment *s, struct evidence_found *f)
{
    bool whole;
    int r = last_is_whole(s, &whole);

    if (r < 0)
        return r;
    if (!whole)
        s->good = s->entry[--s->n].off;
    if (s->size > s->good) {
        r = ev_segment_any(s->fd, s->good + 1, s->size);
        if (r < 0)
            return r;
        if (r > 0) {
            damage(f, "damaged segment", s->number);
            return 1;
        }
        f->torn_block_bytes += s->size - s->good;
        note(f, "cut the torn end of segment", s->number);
        r = plat_fs_truncate(s->fd, s->good);
        if (r >= 0)
            r = plat_fs_sync(s->fd);
        s->size = s->good;
    }
    return r < 0 ? r : 0;
}

/* A segment that was begun and has no header yet, or no block: it is as if it were not there. */
static int begun_only(struct evidence *j, uint64_t number)
{
    char name[EV_NAME_LEN];

    snprintf(name, sizeof name, EV_SEGMENT_NAME, (unsigned long long)number);
    return plat_fs_unlink(j->dirfd, name);
}

static bool is_blank(int fd, uint64_t size)
{
    uint8_t h[EV_SEGMENT_HEAD];
    static const uint8_t none[EV_SEGMENT_HEAD];

    if (size < sizeof h)
        return true;
    return size == sizeof h && plat_fs_pread_all(fd, h, sizeof h, 0) >= 0 && !memcmp(h, none, sizeof h);
}

static int one_segment(struct evidence *j, uint64_t number, bool last, struct evidence_found *f)
{
    char name[EV_NAME_LEN];
    struct ev_segment s;
    uint64_t size = 0;

    snprintf(name, sizeof name, EV_SEGMENT_NAME, (unsigned long long)number);
    int fd = plat_fs_create(j->dirfd, name, PLAT_FS_EXISTING | PLAT_FS_RW, MODE);
    if (fd < 0)
        return fd;
    int r = ev_segment_load(fd, &s);
    if (r < 0) {
        bool blank = plat_fs_size(fd, &size) >= 0 && is_blank(fd, size);
        (void)close(fd);
        if (r == -SM_EVERSION || r == -ENOMEM || (r != -SM_EFORMAT && r != -SM_ECORRUPT && r != -SM_EPARTIAL))
            return r;
        if (last && blank)
            return begun_only(j, number);
        damage(f, "unreadable segment", number);
        return 0; /* kept as it is; verify names it */
    }
    bool damaged = false;
    if (!s.closed) {
        r = mend(&s, f);
        damaged = r > 0;
    }
    if (r >= 0)
        advance(j, &s);
    struct ev_lane *l = &j->lane[s.klass];
    if (r >= 0 && !s.closed && !damaged && l->open.fd < 0) {
        l->open = s; /* goes on there */
        return 0;
    }
    if (r >= 0)
        r = ev_closed_add(j, &s);
    ev_segment_wipe(&s);
    return r < 0 ? r : 0;
}

static int open_segments(struct evidence *j, const struct names *n, struct evidence_found *f)
{
    int r = 0;

    /* From the newest: of a class only that may be open. */
    for (size_t i = n->segs; i && r >= 0; i--) {
        r = one_segment(j, n->seg[i - 1], i == n->segs, f);
        if (n->seg[i - 1] >= j->next_segment)
            j->next_segment = n->seg[i - 1] + 1;
    }
    return r;
}

/* ---- write-ahead files ---- */

struct replay { struct evidence *j; uint64_t last_id, events; };

static int replay_event(void *arg, const struct ev_record *r)
{
    struct replay *p = arg;
    struct evidence *j = p->j;
    struct ev_lane *l = &j->lane[r->klass];

    p->last_id = r->id > p->last_id ? r->id : p->last_id;
    if (r->id >= j->front.next_id)
        j->front.next_id = r->id + 1;
    if (r->id <= l->closed_id)
        return 0;
    int e = ev_lane_build(l);
    if (e >= 0)
        e = ev_build_add(l->build, r);
    if (e == 0) {
        e = ev_close_block(j, l);
        if (e >= 0)
            e = ev_build_add(l->build, r);
    }
    p->events += e == 1;
    return e < 0 ? e : 0;
}

static int one_wal(struct evidence *j, uint64_t number, struct evidence_found *f)
{
    char name[EV_NAME_LEN];
    struct replay p = { .j = j };
    struct ev_wal_found w = { 0 };
    struct ev_stand stand = { 0 };

    snprintf(name, sizeof name, EV_WAL_NAME, (unsigned long long)number);
    int fd = plat_fs_create(j->dirfd, name, PLAT_FS_EXISTING | PLAT_FS_RW, MODE);
    if (fd < 0)
        return fd;
    int r = ev_wal_read(fd, replay_event, &p, &w);
    if (r >= 0) {
        f->events += p.events;
        if (w.size > w.good && w.good) {
            f->torn_bytes += w.size - w.good;
            r = plat_fs_truncate(fd, w.good);
        }
        if (w.skipped_bytes)
            damage(f, "damaged part in write-ahead file", number);
        stand.size = w.skipped_bytes ? 0 : w.good;
        if (r >= 0 && stand.size > EV_WAL_HEAD)
            r = ev_stand_read(fd, number, stand.size, stand.chain);
        if (r == -SM_ECORRUPT)
            r = 0, stand.size = 0;
        ev_stand_now(fd, &stand);
    }
    (void)close(fd);
    if (number >= j->wal_number)
        j->wal_number = number + 1;
    if (r < 0)
        return r == -SM_EFORMAT ? -SM_ECORRUPT : r;
    if (j->old_n == EV_WALS_MAX) { /* a crash loop made many: close what is open, then all but this one can go */
        r = evidence_flush(j);
        if (r < 0)
            return r;
    }
    j->old[j->old_n++] = (struct ev_wal){ .number = number, .last_id = p.last_id, .stand = stand };
    return 0;
}

static int open_wals(struct evidence *j, const struct names *n, struct evidence_found *f)
{
    int r = 0;

    for (size_t i = 0; i < n->wals && r >= 0; i++)
        r = one_wal(j, n->wal[i], f);
    if (r >= 0)
        ev_wal_clean(j);
    return r;
}

/* ---- all of it ---- */

static void standard(struct evidence_conf *c)
{
    if (!c->block_events || c->block_events > EVIDENCE_BLOCK_EVENTS_MAX)
        c->block_events = EVIDENCE_BLOCK_EVENTS_MAX;
    if (!c->block_bytes || c->block_bytes > EVIDENCE_BLOCK_BYTES_MAX)
        c->block_bytes = EVIDENCE_BLOCK_BYTES_MAX;
    if (!c->segment_bytes)
        c->segment_bytes = 128 << 20;
    if (!c->block_age_ms)
        c->block_age_ms = 3600000;
    if (!c->segment_days)
        c->segment_days = 7;
    if (!c->level)
        c->level = 3;
}

static struct evidence *new_journal(const struct evidence_conf *conf)
{
    struct evidence *j = calloc(1, sizeof *j);

    if (!j)
        return NULL;
    j->dirfd = j->lock = j->wal = j->ledger = -1;
    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++)
        j->lane[i].open.fd = -1;
    if (conf)
        j->conf = *conf;
    standard(&j->conf);
    j->next_block = j->next_segment = j->wal_number = 1;
    if (ev_front_init(&j->front) < 0 || ev_frame_init(&j->handed) < 0) {
        evidence_free(j);
        return NULL;
    }
    return j;
}

static int open_all(struct evidence *j, struct names *n, struct evidence_found *f)
{
    j->lock = plat_fs_lock(j->dirfd, "lock");
    if (j->lock < 0)
        return j->lock;
    int r = plat_fs_list(j->dirfd, take_name, n);
    if (r < 0)
        return r;
    if (n->segs)
        qsort(n->seg, n->segs, sizeof *n->seg, by_number);
    if (n->wals)
        qsort(n->wal, n->wals, sizeof *n->wal, by_number);
    r = open_segments(j, n, f);
    if (r >= 0)
        r = ev_ledger_open(j);
    return r < 0 ? r : open_wals(j, n, f);
}

int evidence_open(const char *dir, const struct evidence_conf *conf, struct evidence **ret,
    struct evidence_found *ret_found)
{
    struct evidence_found f = { 0 };
    struct names n = { 0 };
    struct evidence *j = new_journal(conf);
    int r = j ? 0 : -ENOMEM;

    if (j) {
        j->dirfd = plat_fs_open_dir(AT_FDCWD, dir);
        r = j->dirfd < 0 ? j->dirfd : open_all(j, &n, &f);
    }
    free(n.seg);
    free(n.wal);
    if (r < 0) {
        evidence_free(j);
        return r;
    }
    if (ret_found)
        *ret_found = f;
    *ret = j;
    return 0;
}
