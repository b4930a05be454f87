/* Reading another box's copy again, a file a step. */
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

static int read_pack(struct far *f, const char *name, const struct cid *id)
{
    int fd = plat_fs_open_beneath(f->dir, name, O_RDONLY, 0);
    if (fd < 0)
        return fd == -ENOENT ? 1 : fd; /* replaced just now */
    plat_fs_sequential(fd);
    int r = far_pack_sound(f, fd, id);
    (void)close(fd); /* opened for reading */
    return r;
}

static int one(struct far *f)
{
    char name[COPY_NAME_MAX];
    struct cid id;
    bool pack = f->at_folder < 256;
    struct sm_rd rd = SM_RD(SM_SPAN(f->names.p + f->names.n - 40, 40));
    memcpy(id.b, sm_rd_bytes(&rd, 32).p, 32);
    f->round.bytes += sm_rd_u64(&rd);
    f->round.files++;
    f->names.n -= 40;
    if (pack)
        far_pack_name(&id, name);
    else
        far_manifest_name(&id, name);
    int r = pack ? read_pack(f, name, &id) : far_manifest_sound(f, &id);
    if (r == 1 || r == -SM_ENOTFOUND)
        return 1;
    if (r < 0 && r != -EIO)
        return r;
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
