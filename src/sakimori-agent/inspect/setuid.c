/* Programs that run with their owner's rights whoever starts them: in /usr, and where anybody may put files. */
#include "sakimori-agent/inspect/inspect.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { QUICK = 20000, QUICK_DEPTH = 3 };
/* A folder with more names than these bounds is not seen whole; what was seen of it counts all the same.  Looked at
 * often: where programs stand, and what anybody may fill; and rarely: the rest of the system. */
static const char *const folders[] = {"usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", NULL};
static const char *const anybodys[] = {"tmp", "var/tmp", "dev/shm", NULL};
static const char *const rest[] = {"usr", "opt", NULL};

struct walk {
    struct items *to;
    size_t seen, max;
    dev_t dev;
    bool rest; /* leave out what is looked at often */
};

static bool is_often(const char *path)
{
    for (size_t i = 0; folders[i]; i++)
        if (strcmp(folders[i], path) == 0)
            return true;
    return false;
}

static void put(const char *path, const struct stat *st, struct items *to)
{
    char key[ITEM_KEY + 1], text[24];
    snprintf(key, sizeof key, "/%s", path);
    items_add(to, SM_SPAN_STR(key));
    snprintf(text, sizeof text, "%04o", st->st_mode & 07777);
    items_keep(to, "Mode", SM_SPAN_STR(text));
    snprintf(text, sizeof text, "%u", st->st_uid);
    items_keep(to, "Owner", SM_SPAN_STR(text));
}

/* d_type tells folders from files where the file system says it, so most names cost one look. */
static void walk(int dir, const char *path, unsigned depth, struct walk *w)
{
    DIR *d = fdopendir(dir);
    if (!d) {
        close(dir);
        return;
    }
    for (struct dirent *e = readdir(d); e && w->seen < w->max; e = readdir(d), w->seen++) {
        char below[ITEM_KEY];
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || e->d_type == DT_LNK)
            continue;
        int n = snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        if (n < 0 || (size_t)n >= sizeof below || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
            st.st_dev != w->dev)
            continue;
        if (S_ISREG(st.st_mode) && ((st.st_mode & S_ISUID) || ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP))))
            put(below, &st, w->to);
        int fd = S_ISDIR(st.st_mode) && depth && !(w->rest && is_often(below))
                     ? openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                     : -1;
        if (fd >= 0)
            walk(fd, below, depth - 1, w);
    }
    closedir(d);
}

static void look_at(const struct inspect_look *l, const char *const *places, unsigned depth, struct walk w)
{
    for (size_t i = 0; places[i]; i++) {
        struct stat st;
        int fd = openat(l->root, places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (fstat(fd, &st)) {
            close(fd);
            continue;
        }
        w.dev = st.st_dev;
        w.seen = 0;
        walk(fd, places[i], depth, &w);
    }
}

static void look_often(const struct inspect_look *l, struct items *to)
{
    look_at(l, folders, 0, (struct walk){.to = to, .max = INSPECT_WALK});
    look_at(l, anybodys, QUICK_DEPTH, (struct walk){.to = to, .max = QUICK});
}

static void look_rest(const struct inspect_look *l, struct items *to)
{
    look_at(l, rest, INSPECT_DEPTH, (struct walk){.to = to, .max = INSPECT_WALK, .rest = true});
}

const struct inspect_sensor inspect_setuid = {.name = "setuid",
    .added = "setuid_added",
    .changed = "setuid_added",
    .key = "TargetFilename",
    .folders = folders,
    .every_s = 600,
    .look = look_often};
const struct inspect_sensor inspect_setuid_rest = {.name = "setuid_rest",
    .added = "setuid_added",
    .changed = "setuid_added",
    .key = "TargetFilename",
    .every_s = 6 * 3600,
    .look = look_rest};
