/* Files below a folder, in the order of their names, so that an interrupted scan goes on where it was. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "plat/fs.h"
#include "sakimori-agent/scan/scan.h"

struct walk { const char *after; const bool *cancel; scan_file_fn *fn; void *ctx; char path[AGENT_PATH_MAX]; size_t n; };
struct names { char **v; size_t n, cap; };

static int add_name(void *arg, struct sm_span name, unsigned char type)
{
    struct names *s = arg;
    (void)type;
    if (s->n >= SCAN_FOLDER_NAMES)
        return -SM_ELIMIT;
    if (s->n == s->cap) {
        size_t more = s->cap ? s->cap * 2 : 64;
        char **v = reallocarray(s->v, more, sizeof *v);
        if (!v)
            return -ENOMEM;
        s->v = v;
        s->cap = more;
    }
    s->v[s->n] = strdup((const char *)name.p);
    return s->v[s->n] ? (s->n++, 0) : -ENOMEM;
}

static void names_free(struct names *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* File systems that hold no files of anybody. */
static bool is_unreal(int fd)
{
    static const unsigned long magic[] = {0x9fa0 /* proc */, 0x62656572 /* sysfs */, 0x64626720 /* debugfs */, 0x74726163 /* tracefs */,
        0x27e0eb /* cgroup */, 0x63677270 /* cgroup2 */, 0x1cd1 /* devpts */, 0xcafe4a11 /* bpf */, 0x73636673 /* securityfs */};
    struct statfs s;
    if (fstatfs(fd, &s) < 0)
        return true;
    for (size_t i = 0; i < sizeof magic / sizeof magic[0]; i++)
        if ((unsigned long)s.f_type == magic[i])
            return true;
    return false;
}

/* Is what stands at path, and below it, before or at `after`?  Compared part by part, as folders are walked. */
static bool is_past(const char *path, const char *after, bool folder)
{
    while (*path && *path == *after) {
        path++;
        after++;
    }
    if (!*path)
        return folder ? *after == 0 : *after == 0 || *after == '/'; /* a folder that holds `after` is entered */
    if (!*after)
        return false;
    unsigned char p = *path == '/' ? 0 : (unsigned char)*path, a = *after == '/' ? 0 : (unsigned char)*after;
    return p < a;
}

static int walk_at(struct walk *w, int dir, const char *name, unsigned depth);

static int walk_folder(struct walk *w, int fd, unsigned depth)
{
    struct names list = {0};
    int r = depth >= SCAN_DEPTH || is_unreal(fd) ? 0 : plat_fs_list(fd, add_name, &list);
    if (list.n)
        qsort(list.v, list.n, sizeof *list.v, by_name);
    for (size_t i = 0; i < list.n && (r == 0 || r == -SM_ELIMIT); i++)
        r = walk_at(w, fd, list.v[i], depth + 1);
    names_free(&list);
    return r;
}

static int open_kind(int dir, const char *name, bool *ret_folder)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return -SM_EINVAL;
    *ret_folder = S_ISDIR(st.st_mode);
    int fd = *ret_folder ? plat_fs_open_dir(dir, name) : plat_fs_open_read(dir, name);
    if (fd >= 0 && (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode) != *ret_folder || (!*ret_folder && !S_ISREG(st.st_mode)))) {
        close(fd);
        return -SM_EINVAL; /* another thing by now */
    }
    return fd;
}

static int walk_at(struct walk *w, int dir, const char *name, unsigned depth)
{
    size_t before = w->n, n = strlen(name);
    bool folder = false;
    if (w->cancel && __atomic_load_n(w->cancel, __ATOMIC_RELAXED))
        return -SM_ECANCEL;
    if (w->n + n + 2 > sizeof w->path)
        return 0;
    w->path[w->n++] = '/';
    memcpy(w->path + w->n, name, n + 1);
    w->n += n;
    int fd = open_kind(dir, name, &folder), r = 0;
    if (fd >= 0 && !(w->after && is_past(w->path, w->after, folder)))
        r = folder ? walk_folder(w, fd, depth) : w->fn(w->ctx, w->path, fd);
    if (fd >= 0)
        close(fd);
    w->n = before;
    w->path[before] = 0;
    return r == -EACCES || r == -ENOENT ? 0 : r;
}

int scan_files(const char *path, const char *after, const bool *cancel, scan_file_fn *fn, void *ctx)
{
    struct walk w = {.after = after, .cancel = cancel, .fn = fn, .ctx = ctx};
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0 || path[0] != '/' || n >= sizeof w.path)
        return -SM_EINVAL;
    int root = plat_fs_open_dir(AT_FDCWD, "/");
    if (root < 0)
        return root;
    if (n == 1) {
        int r = walk_folder(&w, root, 0);
        close(root);
        return r == -SM_ELIMIT ? 0 : r;
    }
    memcpy(w.path, path, n);
    w.path[n] = 0;
    size_t cut = n;
    while (w.path[cut - 1] != '/')
        cut--;
    char name[256];
    int r = n - cut < sizeof name ? 0 : -ENAMETOOLONG;
    if (r == 0)
        memcpy(name, w.path + cut, n - cut + 1);
    w.path[cut > 1 ? cut - 1 : 0] = 0;
    int dir = r ? r : plat_fs_open_beneath(root, cut > 1 ? w.path + 1 : ".", O_RDONLY | O_DIRECTORY, 0);
    w.n = strlen(w.path);
    close(root);
    if (dir < 0)
        return dir;
    r = walk_at(&w, dir, name, 0);
    close(dir);
    return r == -SM_ELIMIT ? 0 : r;
}
