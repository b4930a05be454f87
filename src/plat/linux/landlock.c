/*
 * Landlock: nothing but these, and everything but these.  It can only allow, and a rule counts for all below the file or
 * folder it stands at; so "everything but" is a rule at every neighbour of the path that leads to what stays out.
 */
#include "plat/sandbox.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "plat/fs.h"

/* Rights younger than the headers of Debian 12 (uapi/linux/landlock.h of 6.2 and 6.10). */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif
#define FILE_RIGHTS \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | \
        LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV)
#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define DEVICE_RIGHTS (LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_CHAR)
enum { RULES_MAX = 32, LEVELS_MAX = 64 };

int plat_sandbox_landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi < 0 ? 0 : (int)abi;
}

static uint64_t handled(int abi)
{
    uint64_t all = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1; /* version 1: execute .. make_sym */
    if (abi >= 2)
        all |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        all |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (abi >= 5)
        all |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
    return all;
}

/* Whole rights for what fd (O_PATH) is; those that concern folders are refused for a file and left out. */
static int add_fd(int ruleset, int fd, bool dir, uint64_t access)
{
    struct landlock_path_beneath_attr attr = {.allowed_access = dir ? access : access & FILE_RIGHTS, .parent_fd = fd};
    if (!attr.allowed_access)
        return 0;
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0 ? -errno : 0;
}

static int add_path(int ruleset, const char *path, bool optional, uint64_t access)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT && optional ? 0 : -errno;
    int r = fstat(fd, &st) < 0 ? -errno : add_fd(ruleset, fd, S_ISDIR(st.st_mode), access);
    close(fd);
    return r;
}

static int add_rule(int ruleset, const struct plat_path_rule *rule, uint64_t all)
{
    uint64_t write = all & ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | DEVICE_RIGHTS);
    uint64_t access = (rule->write ? write : READ_RIGHTS) | (rule->exec ? LANDLOCK_ACCESS_FS_EXECUTE : 0);
    return add_path(ruleset, rule->path, rule->optional, all & access);
}

static int ruleset_new(uint64_t all)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = all};
    int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
    return fd < 0 ? -errno : fd;
}

/* Takes fd, also when r says that its rules could not be made. */
static int enforce(int fd, int r, int abi, struct plat_confined *c)
{
    /* Not asked for again: behind a filter of system calls it could not be. */
    if (r == 0 && !c->nnp && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = -errno;
    if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        r = -errno;
    close(fd);
    if (r < 0)
        return r;
    c->nnp = c->landlock = true;
    if (abi < 3)
        plat_confined_missing(c, "landlock: version %d of this kernel cannot guard truncation", abi);
    return 0;
}

int plat_sandbox_landlock(const struct plat_path_rule *rules, size_t n, struct plat_confined *c)
{
    if (n > RULES_MAX)
        return -SM_EINVAL;
    int abi = plat_sandbox_landlock_abi();
    if (abi < 1) {
        plat_confined_missing(c, "landlock: this kernel has none or it is switched off");
        return 0;
    }
    uint64_t all = handled(abi);
    int fd = ruleset_new(all), r = fd < 0 ? fd : 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_rule(fd, &rules[i], all);
    return fd < 0 ? r : enforce(fd, r, abi, c);
}

/* ---- everything but ---- */

/* Is path below folder, or the folder itself?  Both as plat_real_path gives them. */
static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strcmp(folder, "/") == 0 || (strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/'));
}

/* The rest of path, which does not exist, behind what was resolved. */
static int add_rest(char ret[PLAT_PATH_MAX], const char *rest)
{
    size_t n = strlen(ret);
    for (const char *p = rest; *(p += strspn(p, "/"));) {
        size_t k = strcspn(p, "/");
        if ((k == 1 && *p == '.') || (k == 2 && memcmp(p, "..", 2) == 0))
            return -SM_EINVAL;
        if (n + k + 2 > PLAT_PATH_MAX)
            return -ENAMETOOLONG;
        if (n > 1)
            ret[n++] = '/';
        memcpy(ret + n, p, k);
        ret[n += k] = 0;
        p += k;
    }
    return 0;
}

int plat_real_path(const char *path, char ret[PLAT_PATH_MAX], size_t *ret_there)
{
    char head[PLAT_PATH_MAX], real[PLAT_PATH_MAX];
    size_t n = strlen(path), all = n;
    if (path[0] != '/')
        return -SM_EINVAL;
    if (n >= sizeof head)
        return -ENAMETOOLONG;
    memcpy(head, path, n + 1);
    while (!realpath(head, real)) {
        if (errno != ENOENT && errno != ENOTDIR)
            return -errno;
        while (n > 1 && head[n - 1] == '/')
            n--;
        while (n > 1 && head[n - 1] != '/')
            n--;
        head[n] = 0;
    }
    size_t there = strlen(real);
    int r = n == all ? 0 : add_rest(real, path + n);
    if (r < 0)
        return r;
    memcpy(ret, real, strlen(real) + 1);
    *ret_there = there;
    return 0;
}

enum plat_place plat_but_place(const char *path, const char *excluded)
{
    return is_below(path, excluded) ? PLAT_INSIDE : is_below(excluded, path) ? PLAT_ABOVE : PLAT_BESIDE;
}

/* What is being kept out, and the folders that lead there ("levels"): nothing of these gets a rule of its own. */
struct but {
    int ruleset, dir;
    uint64_t access;
    char out[PLAT_OUT_MAX][PLAT_PATH_MAX];
    size_t out_n;
    char level[LEVELS_MAX][PLAT_PATH_MAX];
    size_t level_n;
    struct { unsigned major, minor; uint64_t ino; } id[LEVELS_MAX + PLAT_OUT_MAX];
    size_t id_n;
    const char *here;
    uint64_t rules;
};

static void know(struct but *b, const char *path)
{
    struct statx st;
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) < 0)
        return; /* not there (yet): its name keeps it out */
    b->id[b->id_n].major = st.stx_dev_major;
    b->id[b->id_n].minor = st.stx_dev_minor;
    b->id[b->id_n++].ino = st.stx_ino;
}

static bool known(const struct but *b, const struct statx *st)
{
    for (size_t i = 0; i < b->id_n; i++)
        if (b->id[i].ino == st->stx_ino && b->id[i].major == st->stx_dev_major && b->id[i].minor == st->stx_dev_minor)
            return true;
    return false;
}

static int take_out(struct but *b, const char *const *out, size_t n)
{
    size_t there;
    if (n == 0 || n > PLAT_OUT_MAX)
        return -SM_EINVAL;
    for (size_t i = 0; i < n; i++) {
        int r = plat_real_path(out[i], b->out[b->out_n], &there);
        if (r < 0)
            return r;
        if (strcmp(b->out[b->out_n], "/") == 0)
            return -SM_EINVAL;
        know(b, b->out[b->out_n++]);
    }
    return 0;
}

static bool is_level(const struct but *b, const char *path)
{
    for (size_t i = 0; i < b->level_n; i++)
        if (strcmp(b->level[i], path) == 0)
            return true;
    return false;
}

static bool is_out(const struct but *b, const char *path)
{
    for (size_t i = 0; i < b->out_n; i++)
        if (is_below(path, b->out[i]))
            return true;
    return false;
}

/* Every folder above the i-th, but for those that stay out themselves. */
static int take_levels(struct but *b, size_t i)
{
    char path[PLAT_PATH_MAX] = "/";
    for (size_t n = 0; b->out[i][n]; n++) {
        if (b->out[i][n] != '/')
            continue;
        memcpy(path, b->out[i], n ? n : 1);
        path[n ? n : 1] = 0;
        if (is_out(b, path))
            break;
        if (is_level(b, path))
            continue;
        if (b->level_n == LEVELS_MAX)
            return -SM_ELIMIT;
        memcpy(b->level[b->level_n++], path, sizeof path);
        know(b, path);
    }
    return 0;
}

/* One name in a folder that leads to what stays out. */
static int add_neighbour(void *arg, struct sm_span name, unsigned char type)
{
    struct but *b = arg;
    char path[PLAT_PATH_MAX];
    struct statx st;
    bool dir = type == DT_DIR;
    int n = snprintf(path, sizeof path, "%s/%s", strcmp(b->here, "/") == 0 ? "" : b->here, (const char *)name.p);
    if (type == DT_LNK || n < 0 || (size_t)n >= sizeof path || is_level(b, path) || is_out(b, path))
        return 0;
    int fd = openat(b->dir, (const char *)name.p, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) /* gone meanwhile, or nothing of ours */
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
    int r = statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st);
    if (r == 0)
        dir = S_ISDIR(st.stx_mode);
    if (r == 0 && (S_ISLNK(st.stx_mode) || known(b, &st)))
        r = 0;
    else if (++b->rules > PLAT_RULES_MAX)
        r = -SM_ELIMIT;
    else
        r = add_fd(b->ruleset, fd, dir, b->access);
    close(fd);
    return r == -ENOMEM || r == -SM_ELIMIT ? r : 0; /* anything else: not a file that a rule can be for */
}

static int add_level(struct but *b, const char *path)
{
    b->dir = plat_fs_open_dir(AT_FDCWD, path);
    if (b->dir < 0) /* not there yet, or not to be listed by us: nothing beside the path is allowed */
        return b->dir == -EMFILE || b->dir == -ENOMEM ? b->dir : 0;
    b->here = path;
    int r = plat_fs_list(b->dir, add_neighbour, b);
    close(b->dir);
    return r == -ENOMEM || r == -SM_ELIMIT || r == -EMFILE || r == -ENFILE ? r : 0;
}

static int add_changes(const struct but *b, const struct plat_but *w, uint64_t all)
{
    const uint64_t change = LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |
        LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
        LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | DEVICE_RIGHTS |
        LANDLOCK_ACCESS_FS_REFER;
    const uint64_t add = w->add ? LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER : 0;
    int r = add_path(b->ruleset, "/", false, all & (LANDLOCK_ACCESS_FS_READ_DIR | add));
    for (size_t i = 0; i < w->change_n && r == 0; i++)
        r = is_level(b, w->change[i]) ? add_path(b->ruleset, w->change[i], false, all & change) : -SM_EINVAL;
    for (size_t i = 0; i < w->also_n && r == 0; i++)
        r = add_rule(b->ruleset, &w->also[i], all);
    return r;
}

static int but_rules(struct but *b, const struct plat_but *w, uint64_t all)
{
    b->access = w->write ? all & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE : all & READ_RIGHTS;
    int r = take_out(b, w->out, w->out_n);
    for (size_t i = 0; i < b->out_n && r == 0; i++)
        r = take_levels(b, i);
    for (size_t i = 0; i < b->level_n && r == 0; i++)
        r = add_level(b, b->level[i]);
    return r < 0 ? r : add_changes(b, w, all);
}

int plat_sandbox_landlock_but(const struct plat_but *w, struct plat_confined *c)
{
    int abi = plat_sandbox_landlock_abi();
    if (w->also_n > RULES_MAX || w->change_n > LEVELS_MAX)
        return -SM_EINVAL;
    if (abi < 1 || (w->write && abi < 2)) {
        plat_confined_missing(c, abi < 1 ? "landlock: this kernel has none or it is switched off"
                                         : "landlock: version 1 of this kernel lets nothing be moved between folders");
        return 0;
    }
    struct but *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    uint64_t all = handled(abi);
    int r = b->ruleset = ruleset_new(all);
    if (r >= 0)
        r = enforce(b->ruleset, but_rules(b, w, all), abi, c);
    free(b);
    return r;
}
