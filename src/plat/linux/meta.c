#include "plat/meta.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "plat/proc.h"

bool plat_id_eq(const struct plat_id *a, const struct plat_id *b)
{
    return memcmp(a->volume, b->volume, sizeof a->volume) == 0 && memcmp(a->id, b->id, sizeof a->id) == 0 &&
        a->generation == b->generation;
}

static enum plat_type type_of(uint16_t mode)
{
    static const struct {
        uint16_t bits;
        enum plat_type type;
    } row[] = {{S_IFREG, PLAT_FILE}, {S_IFDIR, PLAT_DIR}, {S_IFLNK, PLAT_SYMLINK}, {S_IFIFO, PLAT_FIFO},
        {S_IFSOCK, PLAT_SOCKET}, {S_IFCHR, PLAT_CHAR}, {S_IFBLK, PLAT_BLOCK}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        if ((mode & S_IFMT) == row[i].bits)
            return row[i].type;
    }
    return PLAT_FILE;
}

static struct sm_time time_of(struct statx_timestamp t)
{
    return (struct sm_time){t.tv_sec, t.tv_nsec};
}

static void fill(const struct statx *x, struct plat_meta *m)
{
    uint64_t dev = (uint64_t)x->stx_dev_major << 32 | x->stx_dev_minor;
    m->type = type_of(x->stx_mode);
    m->mode = x->stx_mode & 07777;
    m->uid = x->stx_uid;
    m->gid = x->stx_gid;
    m->size = x->stx_size;
    m->blocks_bytes = x->stx_blocks * 512;
    m->mtime = time_of(x->stx_mtime);
    m->ctime = time_of(x->stx_ctime);
    m->atime = time_of(x->stx_atime);
    m->has_btime = (x->stx_mask & STATX_BTIME) != 0;
    if (m->has_btime)
        m->btime = time_of(x->stx_btime);
    for (int i = 0; i < 8; i++) {
        m->id.volume[i] = (uint8_t)(dev >> (8 * i));
        m->id.id[i] = (uint8_t)(x->stx_ino >> (8 * i));
    }
    m->nlink = x->stx_nlink;
    m->rdev_major = x->stx_rdev_major;
    m->rdev_minor = x->stx_rdev_minor;
    m->attr_flags = x->stx_attributes & x->stx_attributes_mask;
}

static int read_target(int dirfd, const char *name, struct plat_meta *m)
{
    m->target.max = PATH_MAX;
    int r = sm_buf_reserve(&m->target, PATH_MAX);
    if (r < 0)
        return r;
    ssize_t n = readlinkat(dirfd, name, (char *)m->target.p, PATH_MAX);
    if (n < 0)
        return -errno;
    m->target.n = (size_t)n;
    return 0;
}

/* The l*xattr calls take paths only: one through the folder's descriptor. */
static int xattr_path(int dirfd, const char *name, char *ret, size_t n)
{
    int k;
    if (dirfd == AT_FDCWD)
        k = snprintf(ret, n, "%s", *name ? name : ".");
    else if (*name == '/')
        k = snprintf(ret, n, "%s", name);
    else
        k = snprintf(ret, n, "/proc/self/fd/%d/%s", dirfd, *name ? name : ".");
    return k < 0 || (size_t)k >= n ? -ENAMETOOLONG : 0;
}

int plat_meta_add_xattr(struct plat_meta *m, const char *name, struct sm_span value)
{
    size_t total = strlen(name) + value.n, at = 0;
    for (size_t i = 0; i < m->xattr_n; i++) {
        total += strlen(m->xattr[i].name) + m->xattr[i].value_n;
        int c = strcmp(m->xattr[i].name, name);
        if (c == 0)
            return -SM_EEXISTS;
        at += c < 0;
    }
    if (m->xattr_n >= PLAT_XATTR_MAX || total > PLAT_XATTR_BYTES)
        return -SM_ELIMIT;
    struct plat_xattr *list = reallocarray(m->xattr, m->xattr_n + 1, sizeof *list);
    if (!list)
        return -ENOMEM;
    m->xattr = list;
    struct plat_xattr x = {strdup(name), malloc(value.n ? value.n : 1), value.n};
    if (!x.name || !x.value) {
        free(x.name);
        free(x.value);
        return -ENOMEM;
    }
    if (value.n)
        memcpy(x.value, value.p, value.n);
    memmove(list + at + 1, list + at, (m->xattr_n - at) * sizeof *list);
    list[at] = x;
    m->xattr_n++;
    return 0;
}

/* What attributes are asked of: an open object where there is one, for that needs no walk of a path; fd -1: path. */
struct xattr_of {
    int fd;
    char path[PATH_MAX];
};

/* name NULL: the list of names. */
static ssize_t xattr_call(const struct xattr_of *o, const char *name, void *to, size_t n)
{
    if (o->fd >= 0)
        return name ? fgetxattr(o->fd, name, to, n) : flistxattr(o->fd, to, n);
    return name ? lgetxattr(o->path, name, to, n) : llistxattr(o->path, to, n);
}

/* Most lists and values are short, so the length is asked only of one that is not; it may grow before it is taken: a
 * few tries. */
static int xattr_get(const struct xattr_of *o, const char *name, struct sm_buf *b)
{
    char text[512];
    sm_buf_clear(b);
    ssize_t n = xattr_call(o, name, text, sizeof text);
    if (n >= 0)
        return sm_buf_put(b, text, (size_t)n);
    for (int attempt = 0; errno == ERANGE && attempt < 4; attempt++) {
        n = xattr_call(o, name, NULL, 0);
        if (n < 0)
            return -errno;
        int r = sm_buf_reserve(b, (size_t)n + 1);
        if (r < 0)
            return r;
        n = xattr_call(o, name, b->p, b->cap);
        if (n >= 0) {
            b->n = (size_t)n;
            return 0;
        }
    }
    return errno == ERANGE ? -SM_EAGAIN : -errno;
}

static int xattr_all(const struct xattr_of *o, struct plat_meta *m, struct sm_buf *list, struct sm_buf *value)
{
    int r = xattr_get(o, NULL, list);
    if (r == -EOPNOTSUPP)
        return 0;
    int first = r;
    for (size_t at = 0; r == 0 && at < list->n;) {
        const char *name = (const char *)list->p + at;
        size_t n = strnlen(name, list->n - at);
        at += n + 1;
        int one = at <= list->n ? xattr_get(o, name, value) : -SM_EFORMAT;
        if (one == 0)
            one = plat_meta_add_xattr(m, name, sm_buf_span(value));
        if (one < 0 && one != -ENODATA && first == 0)
            first = one; /* the others are still worth having */
    }
    return first;
}

static int xattr_find(int dirfd, const char *name, struct xattr_of *ret)
{
    ret->fd = *name || dirfd == AT_FDCWD ? -1 : dirfd;
    return ret->fd >= 0 ? 0 : xattr_path(dirfd, name, ret->path, sizeof ret->path);
}

static int read_xattr(int dirfd, const char *name, struct plat_meta *m)
{
    struct xattr_of o;
    int r = xattr_find(dirfd, name, &o);
    if (r < 0)
        return r;
    struct sm_buf list = SM_BUF_INIT(PLAT_XATTR_BYTES), value = SM_BUF_INIT(PLAT_XATTR_BYTES);
    r = xattr_all(&o, m, &list, &value);
    sm_buf_wipe(&list);
    sm_buf_wipe(&value);
    return r;
}

int plat_meta_read(int dirfd, const char *name, unsigned flags, struct plat_meta *ret)
{
    struct statx x;
    struct plat_meta m = {0};
    if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &x) <
        0)
        return -errno;
    fill(&x, &m);
    int r = m.type == PLAT_SYMLINK ? read_target(dirfd, name, &m) : 0;
    if (r < 0) {
        plat_meta_wipe(&m);
        return r;
    }
    if (flags & PLAT_META_XATTR)
        m.xattr_err = read_xattr(dirfd, name, &m);
    if (flags & PLAT_META_NAMES) {
        (void)plat_user_name(m.uid, m.user, sizeof m.user); /* "" says that there is none */
        (void)plat_group_name(m.gid, m.group, sizeof m.group);
    }
    *ret = m;
    return 0;
}

uint64_t plat_meta_generation(int fd)
{
    unsigned int v = 0;
    return ioctl(fd, FS_IOC_GETVERSION, &v) < 0 ? 0 : v;
}

void plat_meta_wipe(struct plat_meta *m)
{
    for (size_t i = 0; i < m->xattr_n; i++) {
        free(m->xattr[i].name);
        free(m->xattr[i].value);
    }
    free(m->xattr);
    sm_buf_wipe(&m->target);
    *m = (struct plat_meta){0};
}

/* ---- giving back ---- */

struct job {
    int dirfd;
    const char *name;
    const struct plat_meta *m;
    unsigned flags;
    struct plat_meta_report *report;
    struct stat st; /* as it was before */
    bool owner_ok, owner_set;
};

static void failed(struct job *j, int err, const char *what, const char *detail)
{
    struct plat_meta_report *r = j->report;
    if (r->n == PLAT_META_FAIL_MAX) {
        r->more++;
        return;
    }
    (void)snprintf(r->fail[r->n].what, sizeof r->fail[r->n].what, "%s%s", what, detail); /* cut when long */
    r->fail[r->n++].err = err;
}

static void apply_owner(struct job *j)
{
    uid_t uid = j->m->uid;
    gid_t gid = j->m->gid, unused;
    if (j->flags & PLAT_APPLY_BY_NAME && j->m->user[0])
        (void)plat_user_lookup(j->m->user, &uid, &unused); /* unknown here: the number stands */
    if (j->flags & PLAT_APPLY_BY_NAME && j->m->group[0])
        (void)plat_group_lookup(j->m->group, &gid);
    if (j->st.st_uid == uid && j->st.st_gid == gid)
        return;
    j->owner_set = true;
    if (fchownat(j->dirfd, j->name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0) {
        j->owner_ok = false;
        failed(j, -errno, "owner", "");
    }
}

static void apply_mode(struct job *j)
{
    mode_t mode = j->m->mode;
    if (j->m->type == PLAT_SYMLINK)
        return; /* links have none of their own */
    if (!j->owner_ok)
        mode &= ~(mode_t)(S_ISUID | S_ISGID); /* never another's rights to the wrong owner */
    if (!j->owner_set && (j->st.st_mode & 07777) == mode)
        return;
    struct stat st = j->st;
    /* fchmodat follows links: make sure there is none in its place. */
    if (*j->name && (fstatat(j->dirfd, j->name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISLNK(st.st_mode))) {
        failed(j, -ELOOP, "mode", "");
        return;
    }
    int r = *j->name ? fchmodat(j->dirfd, j->name, mode, 0) : fchmod(j->dirfd, mode);
    if (r < 0)
        failed(j, -errno, "mode", "");
}

static const struct plat_xattr *find_xattr(const struct plat_meta *m, const char *name)
{
    for (size_t i = 0; i < m->xattr_n; i++) {
        if (strcmp(m->xattr[i].name, name) == 0)
            return &m->xattr[i];
    }
    return NULL;
}

static int xattr_remove(const struct xattr_of *o, const char *name)
{
    return o->fd >= 0 ? fremovexattr(o->fd, name) : lremovexattr(o->path, name);
}

static int xattr_set(const struct xattr_of *o, const struct plat_xattr *x)
{
    return o->fd >= 0 ? fsetxattr(o->fd, x->name, x->value, x->value_n, 0)
                      : lsetxattr(o->path, x->name, x->value, x->value_n, 0);
}

static void apply_xattrs(struct job *j)
{
    struct xattr_of o;
    int r = xattr_find(j->dirfd, j->name, &o);
    struct plat_meta now = {0};
    if (r == 0 && j->flags & PLAT_APPLY_PRUNE)
        r = read_xattr(j->dirfd, j->name, &now);
    if (r < 0)
        failed(j, r, "xattr", "");
    for (size_t i = 0; i < now.xattr_n; i++) {
        const char *name = now.xattr[i].name;
        /* Labels of the machine's own policy are not the restored object's business. */
        if (!find_xattr(j->m, name) && strncmp(name, "security.", 9) != 0 && xattr_remove(&o, name) < 0)
            failed(j, -errno, "xattr ", name);
    }
    for (size_t i = 0; i < j->m->xattr_n && r == 0; i++) {
        const struct plat_xattr *x = &j->m->xattr[i], *old = find_xattr(&now, x->name);
        if (old && old->value_n == x->value_n && memcmp(old->value, x->value, x->value_n) == 0)
            continue;
        if (!j->owner_ok && strcmp(x->name, "security.capability") == 0)
            failed(j, -EPERM, "xattr ", x->name);
        else if (xattr_set(&o, x) < 0)
            failed(j, -errno, "xattr ", x->name);
    }
    plat_meta_wipe(&now);
}

int plat_meta_apply_times(int dirfd, const char *name, const struct plat_meta *m)
{
    struct timespec t[2] = {
        {.tv_sec = m->atime.s, .tv_nsec = m->atime.ns},
        {.tv_sec = m->mtime.s, .tv_nsec = m->mtime.ns},
    };
    int r = *name ? utimensat(dirfd, name, t, AT_SYMLINK_NOFOLLOW) : futimens(dirfd, t);
    return r < 0 ? -errno : 0;
}

int plat_meta_apply(int dirfd, const char *name, const struct plat_meta *m, unsigned flags,
    struct plat_meta_report *ret_report)
{
    struct job j = {.dirfd = dirfd, .name = name, .m = m, .flags = flags, .report = ret_report, .owner_ok = true};
    *ret_report = (struct plat_meta_report){0};
    if (fstatat(dirfd, name, &j.st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return -errno;
    if (flags & PLAT_APPLY_OWNER)
        apply_owner(&j); /* first: it clears set-user-id bits and capabilities */
    else
        j.owner_ok = j.st.st_uid == m->uid && j.st.st_gid == m->gid;
    apply_mode(&j);
    if (flags & PLAT_APPLY_XATTR)
        apply_xattrs(&j);
    int r = plat_meta_apply_times(dirfd, name, m);
    if (r < 0)
        failed(&j, r, "times", "");
    return ret_report->n ? -SM_EPARTIAL : 0;
}
