#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"
#include "vault/scrub/scrub.h"
#include "vault/store/store_internal.h"

#define PIECE ((size_t)256 << 10)
enum state { CHECKING, LOOKING, WRITING, READING, DONE };

struct scrub_pack {
    struct store *st;
    uint32_t pack;
    struct cid id;
    uint64_t n, at, read;                  /* bytes of the pack; where we are; read in all */
    enum state state;
    enum scrub_verdict verdict;
    bool write;
    int fd, out;                           /* the pack; the new file under tmp */
    struct pack_check *check;
    struct parity_maker *maker;
    struct parity_heal *heal;
    struct parity_damage damage;
    struct sm_buf trailer;
    char tmp[96];
    uint8_t piece[PIECE];
};

static int done(struct scrub_pack *p, enum scrub_verdict v)
{
    p->verdict = v;
    p->state = DONE;
    if (p->fd >= 0)
        plat_fs_forget(p->fd, 0, p->n);
    return 0;
}

static int check_begin(struct scrub_pack *p)
{
    struct pack_expect e = { .id = &p->id, .vault = &p->st->vault };
    pack_check_free(p->check);
    parity_maker_free(p->maker);
    p->check = NULL;
    p->maker = NULL;
    p->at = 0;
    int r = pack_check_new(&e, NULL, NULL, &p->check);
    return r < 0 ? r : parity_maker_new(&p->id, p->n, &p->maker);
}

int scrub_pack_new(struct store *st, uint32_t pack, bool write, struct scrub_pack **ret)
{
    if (pack >= st->pack_rows.n)
        return -SM_EINVAL;
    struct scrub_pack *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    const struct pack_row *row = store_pack_row(st, pack);
    *p = (struct scrub_pack){ .st = st, .pack = pack, .id = row->id, .n = row->bytes, .write = write,
        .fd = -1, .out = -1, .trailer = SM_BUF_INIT(PARITY_TRAILER_MAX) };
    int r = check_begin(p);
    if (r < 0) {
        scrub_pack_free(p);
        return r;
    }
    p->fd = place_open_pack(st, pack);
    if (p->fd == -ENOENT || p->fd == -EACCES || p->fd == -EIO || p->fd == -ELOOP)
        (void)done(p, SCRUB_MISSING);      /* sets state and verdict; always 0 */
    else if (p->fd < 0) {
        r = p->fd;
        scrub_pack_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

static void out_drop(struct scrub_pack *p)
{
    if (p->out < 0)
        return;
    (void)close(p->out);                   /* nothing of it counts */
    p->out = -1;
    (void)plat_fs_unlink(p->st->tmp, p->tmp); /* only space; removed at the next open else */
}

void scrub_pack_free(struct scrub_pack *p)
{
    if (!p)
        return;
    out_drop(p);
    if (p->fd >= 0)
        (void)close(p->fd);                /* opened for reading */
    pack_check_free(p->check);
    parity_maker_free(p->maker);
    parity_heal_free(p->heal);
    sm_buf_wipe(&p->trailer);
    free(p);
}

enum scrub_verdict scrub_pack_verdict(const struct scrub_pack *p)
{
    return p->verdict;
}

void scrub_pack_damage(const struct scrub_pack *p, struct parity_damage *ret)
{
    *ret = p->damage;
}

uint64_t scrub_pack_bytes(const struct scrub_pack *p)
{
    return p->read;
}

/* ---- the trailer ---- */

/* Does this trailer stand behind the pack, and nothing else? */
static int trailer_stands(struct scrub_pack *p, bool *ret)
{
    uint64_t size = 0;
    int r = plat_fs_size(p->fd, &size);
    *ret = r == 0 && size == p->n + p->trailer.n;
    for (size_t at = 0; r == 0 && *ret && at < p->trailer.n; at += PIECE) {
        size_t n = p->trailer.n - at < PIECE ? p->trailer.n - at : PIECE;
        int got = plat_fs_pread_all(p->fd, p->piece, n, p->n + at);
        *ret = got == 0 && memcmp(p->piece, p->trailer.p + at, n) == 0;
    }
    return r;
}

static bool room_for(const struct scrub_pack *p, uint64_t bytes)
{
    struct plat_fs_space space;
    return plat_fs_space(p->st->dir, ".", &space) == 0 && space.avail_bytes >= p->st->limits.reserve_bytes + bytes;
}

/* Behind the pack only: its own bytes are never written to.  A failure leaves a pack without a trailer, or with a torn
 * one, which is the same. */
static int trailer_write(struct scrub_pack *p)
{
    char path[80];
    uint64_t size = 0;
    pack_path(&p->id, path);
    int fd = plat_fs_create(p->st->packs, path, PLAT_FS_EXISTING, 0600);
    if (fd < 0)
        return fd;
    int r = plat_fs_size(fd, &size);
    if (r == 0 && size > p->n)
        r = plat_fs_truncate(fd, p->n);
    if (r == 0)
        r = plat_fs_pwrite_all(fd, sm_buf_span(&p->trailer), p->n);
    if (r == 0)
        r = plat_fs_datasync(fd);
    if (r < 0)
        (void)plat_fs_truncate(fd, p->n);  /* what is left of it is no trailer either way */
    (void)close(fd);                       /* synced, or the error is told */
    return r;
}

static int sound(struct scrub_pack *p)
{
    bool stands = false;
    int r = parity_maker_finish(p->maker, &p->trailer);
    if (r == 0)
        r = trailer_stands(p, &stands);
    if (r < 0)
        return r;
    if (stands)
        return done(p, SCRUB_SOUND);
    if (!p->write)
        return done(p, SCRUB_PROTECTED);
    if (!room_for(p, p->trailer.n) || trailer_write(p) < 0)
        return done(p, SCRUB_BARE);
    p->read += p->trailer.n;
    return done(p, SCRUB_PROTECTED);
}

/* ---- healing ---- */

static int look_begin(struct scrub_pack *p)
{
    int r = parity_heal_new(p->fd, &p->id, p->n, &p->heal);
    if (r == -SM_ENOTFOUND || r == -EIO)
        return done(p, SCRUB_BEYOND);
    p->state = LOOKING;
    return r;
}

static int step_check(struct scrub_pack *p, size_t n)
{
    for (size_t took = 0; took < n && p->at < p->n; ) {
        size_t len = p->n - p->at < PIECE ? (size_t)(p->n - p->at) : PIECE;
        int r = plat_fs_pread_all(p->fd, p->piece, len, p->at);
        if (r == -SM_EPARTIAL || r == -EIO)
            return look_begin(p);
        if (r == 0)
            r = parity_maker_put(p->maker, SM_SPAN(p->piece, len));
        if (r < 0)
            return r;
        int64_t used = pack_check_put(p->check, SM_SPAN(p->piece, len));
        if (used == -ENOMEM)
            return -ENOMEM;
        p->at += len;
        p->read += len;
        took += len;
        if (used != (int64_t)len)
            return look_begin(p);
    }
    if (p->at < p->n)
        return 0;
    return pack_check_left(p->check) == 0 ? sound(p) : look_begin(p);
}

/* The new file: in tmp, where the next open removes what was left behind. */
static int write_begin(struct scrub_pack *p)
{
    char hex[CID_HEX];
    int r = check_begin(p);
    if (r < 0)
        return r;
    p->state = WRITING;
    if (!p->write)
        return 0;
    cid_hex(&p->id, hex);
    (void)snprintf(p->tmp, sizeof p->tmp, "heal-%s.skp", hex); /* fits */
    p->out = plat_fs_create(p->st->tmp, p->tmp, PLAT_FS_TRUNC | PLAT_FS_RW, 0600);
    return p->out < 0 ? done(p, SCRUB_NO_ROOM) : 0;
}

static int step_look(struct scrub_pack *p, size_t n)
{
    int r = parity_heal_step(p->heal, n);
    parity_heal_damage(p->heal, &p->damage);
    p->read += n < p->n ? n : p->n;
    if (r != 0)
        return r < 0 ? r : 0;
    if (!parity_heal_whole(p->heal))
        return done(p, SCRUB_BEYOND);
    return write_begin(p);
}

static int no_room(struct scrub_pack *p)
{
    out_drop(p);
    return done(p, SCRUB_NO_ROOM);
}

static int write_end(struct scrub_pack *p)
{
    if (pack_check_left(p->check) != 0) {  /* the hashes were satisfied, the name is not */
        out_drop(p);
        return done(p, SCRUB_BEYOND);
    }
    if (!p->write)
        return done(p, SCRUB_HEALED);
    int r = parity_maker_finish(p->maker, &p->trailer);
    if (r < 0)
        return r;
    if (plat_fs_pwrite_all(p->out, sm_buf_span(&p->trailer), p->n) < 0 || plat_fs_sync(p->out) < 0)
        return no_room(p);
    plat_fs_forget(p->out, 0, p->n);       /* so that reading it again asks the disk */
    r = check_begin(p);
    p->state = READING;
    return r;
}

static int step_write(struct scrub_pack *p, size_t n)
{
    for (size_t took = 0; took < n && p->at < p->n; took += PARITY_BLOCK) {
        size_t len = p->n - p->at < PARITY_BLOCK ? (size_t)(p->n - p->at) : PARITY_BLOCK;
        int r = parity_heal_read(p->heal, p->at, p->piece, len);
        if (r == -SM_EPARTIAL || r == -EIO) {
            out_drop(p);
            return done(p, SCRUB_BEYOND);
        }
        if (r == 0)
            r = parity_maker_put(p->maker, SM_SPAN(p->piece, len));
        if (r < 0)
            return r;
        int64_t used = pack_check_put(p->check, SM_SPAN(p->piece, len));
        if (used == -ENOMEM)
            return -ENOMEM;
        if (used != (int64_t)len) {
            out_drop(p);
            return done(p, SCRUB_BEYOND);
        }
        if (p->out >= 0 && plat_fs_pwrite_all(p->out, SM_SPAN(p->piece, len), p->at) < 0)
            return no_room(p);
        p->at += len;
    }
    return p->at < p->n ? 0 : write_end(p);
}

static int rename_over(struct scrub_pack *p)
{
    char path[80], folder[3];
    /* Gone meanwhile (clean-up): what was deleted does not come back. */
    int fd = store_pack_row(p->st, p->pack)->gone ? -ENOENT : place_open_pack(p->st, p->pack);
    if (fd == -ENOENT) {
        out_drop(p);
        return done(p, SCRUB_MISSING);
    }
    if (fd >= 0)
        (void)close(fd);                   /* opened for reading */
    pack_path(&p->id, path);
    int r = plat_fs_rename(p->st->tmp, p->tmp, p->st->packs, path, true);
    if (r < 0)
        return no_room(p);
    (void)close(p->out);                   /* synced before */
    p->out = -1;
    sm_hex(p->id.b, 1, folder);
    fd = plat_fs_open_dir(p->st->packs, folder);
    r = fd < 0 ? fd : plat_fs_sync_dir(fd);
    if (fd >= 0)
        (void)close(fd);                   /* synced, or the error is told */
    if (r == 0)
        r = plat_fs_sync_dir(p->st->tmp);
    return r < 0 ? r : done(p, SCRUB_HEALED);
}

/* What was written is read again, from the disk as far as the system lets us. */
static int step_read(struct scrub_pack *p, size_t n)
{
    for (size_t took = 0; took < n && p->at < p->n; ) {
        size_t len = p->n - p->at < PIECE ? (size_t)(p->n - p->at) : PIECE;
        int r = plat_fs_pread_all(p->out, p->piece, len, p->at);
        int64_t used = r < 0 ? r : pack_check_put(p->check, SM_SPAN(p->piece, len));
        if (used != (int64_t)len)
            return used == -ENOMEM ? -ENOMEM : no_room(p);
        p->at += len;
        took += len;
    }
    return p->at < p->n ? 0 : pack_check_left(p->check) == 0 ? rename_over(p) : no_room(p);
}

int scrub_pack_step(struct scrub_pack *p, size_t n)
{
    static int (*const steps[])(struct scrub_pack *, size_t) = { step_check, step_look, step_write, step_read };
    if (p->state == DONE)
        return 0;
    int r = steps[p->state](p, n);
    if (r < 0) {
        out_drop(p);
        return r;
    }
    return p->state != DONE;
}
