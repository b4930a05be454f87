/* Is what lies on the disk still what was written there?  And what can be put right when it is not. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "journal/writer.h"
#include "plat/fs.h"

enum { FRAME_HEAD = 12, MODE = 0600, READ_ALWAYS = 8 << 20, PIECE = 1 << 20 };
#define HARMED "harmed-"

/* ---- how a file stands ---- */

uint64_t ev_inode(int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 ? st.st_ino : 0;
}

void ev_stand_frame(struct ev_stand *s, const uint8_t hash[32])
{
    const struct sm_span parts[] = { SM_SPAN(s->chain, 32), SM_SPAN(hash, 32) };
    uint8_t next[32];

    crypto_sha256v(parts, 2, next);
    memcpy(s->chain, next, sizeof next);
}

void ev_stand_now(int fd, struct ev_stand *s)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return;
    s->inode = st.st_ino;
    s->ctime_s = st.st_ctim.tv_sec;
    s->ctime_ns = st.st_ctim.tv_nsec;
}

int ev_stand_read(int fd, uint64_t number, uint64_t size, uint8_t ret[32])
{
    struct sm_buf b = SM_BUF_INIT(EV_FRAME_MAX);
    struct ev_stand s = { 0 };
    uint8_t head[FRAME_HEAD], hash[32];
    uint64_t off = EV_WAL_HEAD;
    int r = 0;

    while (r >= 0 && off < size) {
        r = size - off < FRAME_HEAD ? -SM_ECORRUPT : plat_fs_pread_all(fd, head, sizeof head, off);
        struct sm_rd rd = SM_RD(SM_SPAN(head, 4));
        uint32_t n = sm_rd_u32(&rd);
        if (r >= 0 && (n > EV_FRAME_MAX || n > size - off - FRAME_HEAD))
            r = -SM_ECORRUPT;
        sm_buf_clear(&b);
        if (r >= 0)
            r = sm_buf_reserve(&b, n);
        if (r >= 0)
            r = plat_fs_pread_all(fd, b.p, n, off + FRAME_HEAD);
        if (r < 0)
            break;
        b.n = n;
        const struct sm_span payload = sm_buf_span(&b);
        ev_wal_hashv(number, off, &payload, 1, hash);
        if (memcmp(hash, head + 4, FRAME_HEAD - 4) != 0)
            r = -SM_ECORRUPT;
        ev_stand_frame(&s, hash);
        off += FRAME_HEAD + n;
    }
    sm_buf_wipe(&b);
    memcpy(ret, s.chain, 32);
    return r == -SM_EPARTIAL ? -SM_ECORRUPT : r < 0 ? r : 0;
}

/* 0: there, the same one, and long enough. */
static unsigned look(int dir, const char *name, uint64_t inode, uint64_t size, struct stat *st)
{
    if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? EVIDENCE_DELETED : 0;
    if (inode && st->st_ino != inode)
        return EVIDENCE_REPLACED;
    return (uint64_t)st->st_size < size ? EVIDENCE_CUT : 0;
}

static void tell(struct evidence_harm *h, const char *name, unsigned kind, bool rescued)
{
    *h = (struct evidence_harm){ .kind = (enum evidence_harm_kind)kind, .rescued = rescued };
    (void)snprintf(h->file, sizeof h->file, "%.39s", name); /* fits */
}

/* What stands there now is none of ours: kept under a name that nobody reads. */
static void put_away(struct evidence *j, const char *name)
{
    char as[64];

    (void)snprintf(as, sizeof as, HARMED "%.40s", name);           /* fits */
    (void)!plat_fs_rename(j->dirfd, name, j->dirfd, as, true);     /* not there: as well */
}

/* ---- write-ahead files ---- */

static unsigned wal_look(struct evidence *j, const char *name, uint64_t number, struct ev_stand *s, bool all)
{
    uint8_t chain[32];
    struct stat st;
    unsigned kind = look(j->dirfd, name, s->inode, s->size, &st);

    if (kind || !s->size)
        return kind;
    bool touched = st.st_ctim.tv_sec != s->ctime_s || st.st_ctim.tv_nsec != s->ctime_ns;
    if (!touched && (!all || s->size > READ_ALWAYS))
        return 0;
    int fd = plat_fs_open_read(j->dirfd, name);
    int r = fd < 0 ? fd : ev_stand_read(fd, number, s->size, chain);
    if (fd >= 0) {
        s->ctime_s = st.st_ctim.tv_sec;
        s->ctime_ns = st.st_ctim.tv_nsec;
        (void)close(fd); /* it was read */
    }
    if (r >= 0)
        r = memcmp(chain, s->chain, 32) != 0 ? -SM_ECORRUPT : 0;
    return r == -SM_ECORRUPT ? EVIDENCE_REWRITTEN : 0;
}

/* Every event of it is in an open block too: those are closed now, from memory. */
static int wal_harmed(struct evidence *j, const char *name, unsigned kind, struct evidence_harm *ret)
{
    put_away(j, name);
    int r = evidence_close(j);
    tell(ret, name, kind, r >= 0);
    return 1;
}

static int guard_wal(struct evidence *j, bool all, struct evidence_harm *ret)
{
    char name[EV_NAME_LEN];
    unsigned kind = 0;

    if (j->wal >= 0) {
        snprintf(name, sizeof name, EV_WAL_NAME, (unsigned long long)j->wal_number);
        j->wal_stand.size = j->wal_off;
        kind = wal_look(j, name, j->wal_number, &j->wal_stand, all);
        if (kind) {
            (void)close(j->wal);
            j->wal = -1;
            j->wal_number++;
            return wal_harmed(j, name, kind, ret);
        }
    }
    for (size_t i = 0; i < j->old_n; i++) {
        struct ev_wal *o = &j->old[i];
        snprintf(name, sizeof name, EV_WAL_NAME, (unsigned long long)o->number);
        kind = o->stand.inode ? wal_look(j, name, o->number, &o->stand, all) : 0;
        if (!kind)
            continue;
        memmove(o, o + 1, (j->old_n - i - 1) * sizeof *o);
        j->old_n--;
        return wal_harmed(j, name, kind, ret);
    }
    return 0;
}

/* ---- files whose descriptor is open: what was deleted is written again from it ---- */

static int write_again(struct evidence *j, int from, const char *name, uint64_t size)
{
    char tmp[64];
    struct sm_buf b = SM_BUF_INIT(PIECE);
    int r = sm_buf_reserve(&b, PIECE);

    (void)snprintf(tmp, sizeof tmp, ".%.40s.again", name); /* fits */
    int to = r < 0 ? r : plat_fs_create(j->dirfd, tmp, PLAT_FS_TRUNC | PLAT_FS_RW, MODE);
    r = to < 0 ? to : 0;
    for (uint64_t at = 0; r >= 0 && at < size;) {
        size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        r = plat_fs_pread_all(from, b.p, n, at);
        if (r >= 0)
            r = plat_fs_pwrite_all(to, SM_SPAN(b.p, n), at);
        at += n;
    }
    if (r >= 0)
        r = plat_fs_sync(to);
    if (r >= 0)
        put_away(j, name);
    if (r >= 0)
        r = plat_fs_rename(j->dirfd, tmp, j->dirfd, name, true);
    if (r >= 0)
        r = plat_fs_sync_dir(j->dirfd);
    sm_buf_wipe(&b);
    if (r < 0 && to >= 0) {
        (void)close(to);
        (void)!plat_fs_unlink(j->dirfd, tmp); /* written over by the next one */
    }
    return r < 0 ? r : to;
}

static int guard_ledger(struct evidence *j, struct evidence_harm *ret)
{
    struct stat st;
    unsigned kind = j->ledger_harmed ? 0 : look(j->dirfd, "seals", j->ledger_inode, j->ledger_off, &st);

    if (!kind)
        return 0;
    int fd = kind == EVIDENCE_CUT ? -EIO : write_again(j, j->ledger, "seals", j->ledger_off);
    if (fd >= 0) {
        (void)close(j->ledger);
        j->ledger = fd;
        j->ledger_inode = ev_inode(fd);
    }
    j->ledger_harmed = fd < 0;
    tell(ret, "seals", kind, fd >= 0);
    return 1;
}

static int guard_open(struct evidence *j, struct evidence_harm *ret)
{
    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++) {
        struct ev_segment *s = &j->lane[i].open;
        char name[EV_NAME_LEN];
        struct stat st;
        if (s->fd < 0)
            continue;
        snprintf(name, sizeof name, EV_SEGMENT_NAME, (unsigned long long)s->number);
        unsigned kind = look(j->dirfd, name, ev_inode(s->fd), s->good, &st);
        if (!kind)
            continue;
        int fd = kind == EVIDENCE_CUT ? -EIO : write_again(j, s->fd, name, s->good);
        if (fd >= 0) {
            (void)close(s->fd);
            s->fd = fd;
        } else { /* nothing more is written there */
            int r = ev_closed_add(j, s);
            if (r < 0)
                return r;
            ev_segment_wipe(s);
        }
        tell(ret, name, kind, fd >= 0);
        return 1;
    }
    return 0;
}

static int guard_closed(struct evidence *j, struct evidence_harm *ret)
{
    for (size_t i = 0; i < j->closed_n; i++) {
        struct ev_closed *c = &j->closed[i];
        char name[EV_NAME_LEN];
        struct stat st;
        if (c->damaged)
            continue;
        snprintf(name, sizeof name, EV_SEGMENT_NAME, (unsigned long long)c->number);
        unsigned kind = look(j->dirfd, name, c->inode, c->bytes, &st);
        if (!kind)
            continue;
        c->damaged = true; /* told once; and it is not let go as if it were whole */
        tell(ret, name, kind, false);
        return 1;
    }
    return 0;
}

int evidence_guard(struct evidence *j, bool all, struct evidence_harm *ret)
{
    int r = j->handed.events_n ? 0 : guard_wal(j, all, ret); /* else what the file holds is only partly in blocks */

    if (!r)
        r = guard_ledger(j, ret);
    if (!r)
        r = guard_open(j, ret);
    return r || !all ? r : guard_closed(j, ret);
}
