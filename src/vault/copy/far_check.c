/* Reading another box's copy again, a slice a step: all of it in rounds, or the pack that somebody asked for. */
#include <errno.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"
#include "vault/copy/far_internal.h"

#define FOLDERS 512u                 /* packs by two digits, then manifests */

static int next_folder(struct far *f)
{
    char digits[3];
    (void)snprintf(digits, sizeof digits, "%02x", f->at_folder & 255); /* fits */
    sm_buf_clear(&f->names);
    return far_list(f, f->at_folder < 256, digits, &f->names);
}

/* ---- a pack, slice by slice ---- */

void far_reading_end(struct far_reading *r)
{
    pack_check_free(r->check);
    if (r->fd >= 0)
        (void)close(r->fd); /* opened for reading */
    *r = (struct far_reading){ .fd = -1 };
}

static int reading_begin(struct far *f, struct far_reading *r, const struct cid *id)
{
    char name[COPY_NAME_MAX];
    struct pack_expect e = { .id = &r->id, .vault = &f->vault };
    r->id = *id;
    far_pack_name(id, name);
    r->fd = plat_fs_open_beneath(f->dir, name, O_RDONLY, 0);
    if (r->fd < 0)
        return r->fd == -ENOENT ? -SM_ENOTFOUND : r->fd;
    plat_fs_sequential(r->fd);
    int err = pack_check_new(&e, NULL, NULL, &r->check);
    if (err)
        far_reading_end(r);
    return err;
}

/* 1 sound, 0 not, and then it is over; -SM_EAGAIN: more; an error. */
static int reading_slice(struct far *f, struct far_reading *r)
{
    uint64_t left = 0;
    int err = 0;
    for (size_t n, done = 0; !err && done < FAR_SLICE && (left = pack_check_left(r->check)) > 0; done += n) {
        n = left < FAR_PIECE ? (size_t)left : FAR_PIECE;
        err = plat_fs_pread_all(r->fd, f->piece, n, pack_check_taken(r->check));
        int64_t took = err ? 0 : pack_check_put(r->check, SM_SPAN(f->piece, n));
        if (took < 0)
            err = (int)took;
    }
    if (!err && pack_check_left(r->check))
        return -SM_EAGAIN;
    far_reading_end(r);
    return err == -ENOMEM || err == -SM_ECRYPTO ? err : err == 0;
}

/* ---- what was asked for ---- */

static struct far_verdict *verdict_of(const struct far *f, const struct cid *id)
{
    uint64_t now = plat_clock_mono_ms();
    for (size_t i = 0; i < FAR_JUDGED; i++)
        if (now < f->judged[i].until_ms && cid_eq(&f->judged[i].id, id))
            return (struct far_verdict *)&f->judged[i];
    return NULL;
}

static void judge_keep(struct far *f, const struct cid *id, bool sound)
{
    struct far_verdict *v = verdict_of(f, id);
    if (!v)
        v = &f->judged[f->judged_at++ % FAR_JUDGED];
    *v = (struct far_verdict){ .id = *id, .until_ms = plat_clock_mono_ms() + FAR_JUDGED_MS, .sound = sound };
}

bool far_judged_unsound(const struct far *f, const struct cid *id)
{
    const struct far_verdict *v = verdict_of(f, id);
    return v && !v->sound;
}

void far_judge_forget(struct far *f, const struct cid *id)
{
    struct far_verdict *v = verdict_of(f, id);
    if (v)
        v->until_ms = 0;
    /* What is under way reads the file that was there before. */
    if (f->judging.check && cid_eq(&f->judging.id, id))
        far_reading_end(&f->judging);
    if (f->reading.check && cid_eq(&f->reading.id, id))
        far_reading_end(&f->reading);
}

int far_judge(struct far *f, const struct cid *id)
{
    const struct far_verdict *v = verdict_of(f, id);
    if (v)
        return v->sound;
    int r = f->judging.check ? 0 : reading_begin(f, &f->judging, id);
    return r == -SM_ENOTFOUND ? 0 : r ? r : -SM_EAGAIN;
}

int far_judge_step(struct far *f)
{
    if (!f->judging.check)
        return 0;
    struct cid id = f->judging.id;
    int r = reading_slice(f, &f->judging);
    if (r == 0 || r == 1)
        judge_keep(f, &id, r);
    return r == -SM_EAGAIN ? 1 : r < 0 ? r : 0;
}

/* ---- rounds ---- */

static int read_pack(struct far *f, const struct cid *id)
{
    int r = f->reading.check ? 0 : reading_begin(f, &f->reading, id);
    if (r)
        return r == -SM_ENOTFOUND ? 1 : r; /* replaced just now */
    r = reading_slice(f, &f->reading);
    if (r == 0)
        judge_keep(f, id, false);
    return r;
}

static int one(struct far *f)
{
    char name[COPY_NAME_MAX];
    struct cid id;
    bool pack = f->at_folder < 256;
    struct sm_rd rd = SM_RD(SM_SPAN(f->names.p + f->names.n - 40, 40));
    memcpy(id.b, sm_rd_bytes(&rd, 32).p, 32);
    uint64_t size = sm_rd_u64(&rd);
    int r = pack ? read_pack(f, &id) : far_manifest_sound(f, &id);
    if (r == -SM_EAGAIN)
        return 1;
    f->round.bytes += size;
    f->round.files++;
    f->names.n -= 40;
    if (r == 1 || r == -SM_ENOTFOUND)
        return 1;
    if (r < 0 && r != -EIO)
        return r;
    if (pack)
        far_pack_name(&id, name);
    else
        far_manifest_name(&id, name);
    f->round.rotten++;
    if (f->round.names_n < FAR_ROTTEN_MAX)
        (void)snprintf(f->round.names[f->round.names_n++], COPY_NAME_MAX, "%s", name); /* same size */
    return 1;
}

int far_check_step(struct far *f)
{
    while (!f->names.n) {
        if (f->at_folder == FOLDERS) {
            f->checked = f->round;
            f->checked.done_s = plat_clock_wall().s;
            f->round = (struct far_checked){ 0 };
            f->at_folder = 0;
            return 0;
        }
        int r = next_folder(f);
        f->at_folder += f->names.n || r ? 0 : 1;
        if (r)
            return r;
        if (!f->names.n)
            continue;
        return 1;
    }
    int r = one(f);
    f->at_folder += f->names.n ? 0 : 1;
    return r;
}

void far_checked(const struct far *f, struct far_checked *ret)
{
    *ret = f->checked;
}
