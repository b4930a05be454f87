#include "sakimori-agent/logs/roots.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/fs.h"
#include "plat/meta.h"
#include "sakimori-agent/logs/tail.h"

static const char standard[] = "/var/log";

/* Is path folder itself, or below it? */
static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/')
        n--;
    return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/' || n == 1);
}

/* Is the folder, or one it lies in, skipped?  real: without links. */
static bool is_in_skipped(const struct log_roots *r, const char *real)
{
    char path[AGENT_PATH_MAX];
    bool skipped = false;
    for (size_t n = strlen(real); n && !skipped; n = (size_t)(strrchr(path, '/') - path)) {
        struct plat_meta m;
        snprintf(path, sizeof path, "%.*s", (int)n, real);
        if (plat_meta_read(AT_FDCWD, path, 0, &m))
            return true; /* what cannot be told is not read */
        for (size_t i = 0; i < r->policy->skip_n; i++)
            skipped |= plat_id_eq(&m.id, &r->policy->skip[i]);
        plat_meta_wipe(&m);
    }
    return skipped;
}

/* Is path what rotation made of file? */
static bool is_turned_over(const char *path, const char *file)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    return folder && strncmp(path, file, folder) == 0 && !strchr(file + folder, '/') &&
           tail_is_rotated(slash + 1, file + folder);
}

static bool is_one_of(const char *path, char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_below(path, list[i]) || is_turned_over(path, list[i]))
            return true;
    return false;
}

/* By the name it is asked for, and by the one without links: a folder may have two. */
static bool is_never(const struct log_roots *r, const char *path, const char *real)
{
    return is_one_of(path, r->policy->nolog, r->policy->nolog_n) || is_one_of(real, r->never, r->never_n);
}

static int add(struct log_roots *r, const char *path)
{
    struct log_root *root = &r->root[r->n];
    size_t there;
    if (strlen(path) >= sizeof root->said || plat_real_path(path, root->real, &there) || root->real[there] ||
        strcmp(root->real, "/") == 0 || is_in_skipped(r, root->real))
        return 0; /* not there, the whole machine, or skipped */
    snprintf(root->said, sizeof root->said, "%s", path);
    r->n++;
    return 0;
}

static int add_never(struct log_roots *r, const char *path)
{
    char real[PLAT_PATH_MAX];
    size_t there;
    r->never[r->never_n] = strdup(plat_real_path(path, real, &there) ? path : real);
    return r->never[r->never_n++] ? 0 : -ENOMEM;
}

/* The library of the journal opens its files itself: a policy that names their folder means the journal. */
static bool is_journal_free(const struct log_roots *r)
{
    static const char *const folders[] = {"/var/log/journal", "/run/log/journal"};
    bool is_free = !r->policy->no_journal && !r->policy->no_logs;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && is_free; i++) {
        char real[PLAT_PATH_MAX];
        size_t there;
        if (plat_real_path(folders[i], real, &there))
            return false;
        is_free = !is_never(r, folders[i], real) && (real[there] || !is_in_skipped(r, real));
    }
    return is_free;
}

int log_roots_make(const struct agent_policy *policy, struct log_roots *ret)
{
    struct log_roots r = {.policy = policy, .root = calloc(POLICY_LOGS_MAX + 1, sizeof *r.root)};
    if (!r.root)
        return -ENOMEM;
    int e = 0;
    for (size_t i = 0; i < policy->nolog_n && !e; i++)
        e = add_never(&r, policy->nolog[i]);
    r.journal = !e && is_journal_free(&r);
    if (!e && !policy->no_logs)
        e = add(&r, standard);
    for (size_t i = 0; i < policy->logs_n && !policy->no_logs && !e; i++)
        e = add(&r, policy->logs[i]);
    *ret = r;
    return e;
}

void log_roots_free(struct log_roots *r)
{
    free(r->root);
    for (size_t i = 0; i < r->never_n; i++)
        free(r->never[i]);
    *r = (struct log_roots){0};
}

static const struct log_root *root_of(const struct log_roots *r, const char *path)
{
    for (size_t i = 0; i < r->n; i++)
        if (is_below(path, r->root[i].said))
            return &r->root[i];
    return NULL;
}

/* No link is followed below a root: what it is called without links follows from the root's. */
static bool is_never_in(const struct log_roots *r, const char *path)
{
    const struct log_root *root = root_of(r, path);
    char real[2 * AGENT_PATH_MAX];
    if (!root)
        return true;
    size_t n = strlen(root->said);
    while (n > 1 && root->said[n - 1] == '/')
        n--;
    snprintf(real, sizeof real, "%s%s", root->real, path + n);
    return is_never(r, path, real);
}

bool log_roots_allow(const struct log_roots *r, const char *path)
{
    size_t n = strlen(path);
    return path[0] == '/' && n < AGENT_PATH_MAX && !strstr(path, "/../") && !strstr(path, "/./") &&
           !strstr(path, "//") && (n < 3 || strcmp(path + n - 3, "/..") != 0) && root_of(r, path) && !is_never_in(r, path);
}

static bool is_skipped(const struct log_roots *r, int fd)
{
    struct plat_meta m;
    if (plat_meta_read(fd, "", 0, &m))
        return true; /* what cannot be told is not read */
    bool skipped = false;
    for (size_t i = 0; i < r->policy->skip_n && !skipped; i++)
        skipped = plat_id_eq(&m.id, &r->policy->skip[i]);
    plat_meta_wipe(&m);
    return skipped;
}

/* One folder down, never through a link; takes dir. */
static int step(const struct log_roots *r, int dir, const char *name, size_t n)
{
    char part[256];
    if (n >= sizeof part) {
        close(dir);
        return -ENAMETOOLONG;
    }
    memcpy(part, name, n);
    part[n] = 0;
    int fd = openat(dir, part, O_RDONLY | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    int e = fd < 0 ? -errno : is_skipped(r, fd) ? -EACCES : 0;
    close(dir);
    if (e && fd >= 0)
        close(fd);
    return e ? e : fd;
}

int log_roots_open_dir(const struct log_roots *r, const char *path)
{
    const struct log_root *root = root_of(r, path);
    if (!root || !log_roots_allow(r, path))
        return -EACCES;
    int fd = openat(AT_FDCWD, root->real, O_RDONLY | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t said = strlen(root->said);
    while (said > 1 && root->said[said - 1] == '/')
        said--;
    for (const char *s = path + said + strspn(path + said, "/"); *s && fd >= 0; s += strspn(s, "/")) {
        size_t n = strcspn(s, "/");
        fd = step(r, fd, s, n);
        s += n;
    }
    return fd;
}

int log_roots_open_file(const struct log_roots *r, int dir, const char *path)
{
    const char *name = strrchr(path, '/');
    struct stat st;
    name = name ? name + 1 : path;
    if (!plat_fs_name_ok(SM_SPAN_STR(name)) || is_never_in(r, path))
        return -EACCES;
    /* Looked at first: opening a device or a pipe does things. */
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISLNK(st.st_mode) ? -ELOOP : -EACCES;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || is_skipped(r, fd)) {
        close(fd);
        return -EACCES;
    }
    return fd;
}
