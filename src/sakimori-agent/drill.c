#include "sakimori-agent/drill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"

void drill_path(const char *id, char ret[DRILL_PATH_MAX])
{
    snprintf(ret, DRILL_PATH_MAX, DRILL_PARENT "/sakimori-drill-%.32s", id);
}

void proof_path(const char *id, char ret[DRILL_PATH_MAX])
{
    snprintf(ret, DRILL_PATH_MAX, DRILL_PARENT "/sakimori-proof-%.32s", id);
}

int drill_make(const char *path)
{
    struct stat st;
    int r = plat_fs_mkdir(AT_FDCWD, path, 0700);
    if (r != -EEXIST)
        return r;
    /* Anybody may put a name into the folder above: only what we made ourselves is gone on with. */
    if (lstat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0 ? 0 : -SM_EDENIED;
}

#define OLD_S ((time_t)2 * 86400)
#define PREFIX "sakimori-drill-"
#define PROOF "sakimori-proof-" /* as long */

static int clear_one(void *arg, struct sm_span name, unsigned char type)
{
    const int *dir = arg;
    struct stat st;
    (void)type;
    if (name.n != sizeof PREFIX - 1 + 32 ||
        (memcmp(name.p, PREFIX, sizeof PREFIX - 1) != 0 && memcmp(name.p, PROOF, sizeof PROOF - 1) != 0))
        return 0;
    if (fstatat(*dir, (const char *)name.p, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
        st.st_uid == geteuid() && (int64_t)st.st_mtime + OLD_S < plat_clock_wall().s)
        (void)!plat_fs_remove_tree(*dir, (const char *)name.p); /* tried again by the next drill */
    return 0;
}

void drill_clear(void)
{
    int dir = plat_fs_open_dir(AT_FDCWD, DRILL_PARENT);
    if (dir < 0)
        return;
    (void)!plat_fs_list(dir, clear_one, &dir); /* the same */
    close(dir);
}

bool drill_remove(const char *path)
{
    int r = plat_fs_remove_tree(AT_FDCWD, path);
    if (r == 0 || r == -ENOENT)
        return true;
    /* Where the folder above may not be changed from here, the empty folder stays. */
    return rmdir(path) < 0 && (errno == EACCES || errno == EPERM);
}
