/*
 * A model of a disk for tests: every change below a folder, in order, and what is left of it when the power goes.
 * A file is an object with a number; names point to objects.  Bytes survive by fsync of the file, names
 * by fsync of their folder, which is what POSIX promises and no more.
 */
#include "plat/fault.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/fs.h"

bool plat_record_on;

struct op {
    struct plat_record_op pub;
    size_t object; /* WRITE, FSYNC of a file, TRUNCATE, CREATE */
    uint8_t *data;
};
struct object {
    uint64_t dev, ino;
    bool current; /* still the owner of dev/ino */
};
struct first { /* what was there at the start */
    char *path;
    bool dir;
    size_t object;
    struct sm_buf bytes;
};

static char root[PATH_MAX];
static struct op *ops;
static size_t ops_n;
static struct object *objects;
static size_t objects_n;
static struct first *firsts;
static size_t firsts_n;
static size_t bytes_held;
static int trouble; /* why the recording is not whole */

/* One more element, zeroed; NULL sets trouble. */
static void *more(void *list_ptr, size_t *n, size_t size)
{
    void **list = list_ptr;
    if ((*n & (*n - 1)) == 0) { /* full at every power of two */
        void *p = reallocarray(*list, *n ? *n * 2 : 1, size);
        if (!p) {
            trouble = -ENOMEM;
            return NULL;
        }
        *list = p;
    }
    void *e = (char *)*list + (*n)++ * size;
    memset(e, 0, size);
    return e;
}

static bool hold(size_t n)
{
    if (n > PLAT_RECORD_MAX - bytes_held) {
        trouble = -SM_ELIMIT;
        return false;
    }
    bytes_held += n;
    return true;
}

static size_t object_of(const struct stat *st)
{
    for (size_t i = objects_n; i-- > 0;) {
        if (objects[i].current && objects[i].dev == st->st_dev && objects[i].ino == st->st_ino)
            return i;
    }
    struct object *o = more(&objects, &objects_n, sizeof *o);
    if (!o)
        return 0;
    *o = (struct object){st->st_dev, st->st_ino, true};
    return objects_n - 1;
}

static char *join(const char *a, const char *b)
{
    char *s = NULL;
    if (asprintf(&s, "%s%s%s", a, *a && *b ? "/" : "", b) < 0) {
        trouble = -ENOMEM;
        return NULL;
    }
    return s;
}

/* The path of an open descriptor, relative to root; NULL when outside. */
static char *fd_path(int fd)
{
    char link[64], path[PATH_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (fd == AT_FDCWD)
        n = getcwd(path, sizeof path) ? (ssize_t)strlen(path) : -1;
    if (n <= 0)
        return NULL;
    path[n] = 0;
    size_t k = strlen(root);
    if (strncmp(path, root, k) != 0 || (path[k] && path[k] != '/'))
        return NULL;
    return strdup(path[k] ? path + k + 1 : "");
}

/* The path of name in dirfd: the folder must exist, name need not. */
static char *name_path(int dirfd, const char *name)
{
    const char *slash = strrchr(name, '/');
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - name) + 1 : 1, slash ? name : ".");
    int fd = openat(dirfd, folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *dir = fd_path(fd);
    close(fd);
    char *s = dir ? join(dir, slash ? slash + 1 : name) : NULL;
    free(dir);
    return s;
}

static bool fill_file_op(struct op *o, const struct plat_record_note *n)
{
    struct stat st;
    char *path = n->kind == PLAT_OP_CREATE ? name_path(n->dirfd, n->name) : fd_path(n->fd);
    o->pub.path = path;
    if (!path || fstat(n->fd, &st) < 0)
        return false;
    o->object = object_of(&st);
    if (n->kind != PLAT_OP_WRITE)
        return true;
    if (!hold(n->data.n) || !(o->data = malloc(n->data.n ? n->data.n : 1)))
        return false;
    memcpy(o->data, n->data.p, n->data.n);
    o->pub.len = n->data.n;
    return true;
}

static bool fill_name_op(struct op *o, const struct plat_record_note *n)
{
    o->pub.path = name_path(n->dirfd, n->name);
    if (n->kind == PLAT_OP_RENAME)
        o->pub.to = name_path(n->dirfd2, n->name2);
    return o->pub.path && (n->kind != PLAT_OP_RENAME || o->pub.to);
}

static void free_op(struct op *o)
{
    free((char *)o->pub.path);
    free((char *)o->pub.to);
    free(o->data);
}

/* The object a name stands for after all operations so far, SIZE_MAX if unknown. */
static size_t object_at(const char *path)
{
    for (size_t i = ops_n; i-- > 0;) {
        const struct op *o = &ops[i];
        if (o->pub.kind == PLAT_OP_CREATE && strcmp(o->pub.path, path) == 0)
            return o->object;
        if (o->pub.kind == PLAT_OP_RENAME && strcmp(o->pub.to, path) == 0)
            path = o->pub.path;
    }
    for (size_t i = 0; i < firsts_n; i++) {
        if (!firsts[i].dir && strcmp(firsts[i].path, path) == 0)
            return firsts[i].object;
    }
    return SIZE_MAX;
}

/* A removed file's inode number may come back as another file.  Asked before the operation is listed. */
static void forget_inode(const char *path)
{
    size_t i = object_at(path);
    if (i < objects_n)
        objects[i].current = false;
}

void plat_record_put(const struct plat_record_note *n)
{
    struct op o = {.pub = {.kind = n->kind, .off = n->off, .len = n->len, .dir = n->dir}};
    bool names = n->kind == PLAT_OP_RENAME || n->kind == PLAT_OP_UNLINK || n->kind == PLAT_OP_MKDIR;
    int saved = errno;
    bool ok = names ? fill_name_op(&o, n) : fill_file_op(&o, n);
    if (ok && names && n->kind != PLAT_OP_MKDIR)
        forget_inode(n->kind == PLAT_OP_RENAME ? o.pub.to : o.pub.path);
    struct op *slot = ok ? more(&ops, &ops_n, sizeof *slot) : NULL;
    if (slot)
        *slot = o;
    else
        free_op(&o);
    errno = saved;
}

/* ---- the state at the start ---- */

struct walk {
    int fd;
    const char *path;
};

static int load_entry(void *arg, struct sm_span name, unsigned char type);

static int load(int dirfd, const char *name, char *path)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    struct first *f = more(&firsts, &firsts_n, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->path = path;
    f->dir = S_ISDIR(st.st_mode);
    if (!f->dir) {
        f->object = object_of(&st);
        f->bytes = SM_BUF_INIT(PLAT_RECORD_MAX);
        int r = plat_fs_read_file(dirfd, name, PLAT_RECORD_MAX - bytes_held, &f->bytes);
        bytes_held += f->bytes.n;
        return r;
    }
    struct walk w = {plat_fs_open_dir(dirfd, name), path};
    if (w.fd < 0)
        return w.fd;
    int r = plat_fs_list(w.fd, load_entry, &w);
    close(w.fd);
    return r;
}

static int load_entry(void *arg, struct sm_span name, unsigned char type)
{
    const struct walk *w = arg;
    char *path = join(w->path, (const char *)name.p);
    return path ? load(w->fd, (const char *)name.p, path) : -ENOMEM;
}

int plat_record_start(const char *folder)
{
    plat_record_free();
    if (!realpath(folder, root))
        return -errno;
    int fd = plat_fs_open_dir(AT_FDCWD, root);
    if (fd < 0)
        return fd;
    struct walk w = {fd, ""};
    int r = plat_fs_list(fd, load_entry, &w);
    close(fd);
    if (r < 0)
        plat_record_free();
    else
        plat_record_on = true;
    return r;
}

void plat_record_stop(void)
{
    plat_record_on = false;
}

void plat_record_free(void)
{
    plat_record_on = false;
    for (size_t i = 0; i < ops_n; i++)
        free_op(&ops[i]);
    for (size_t i = 0; i < firsts_n; i++) {
        free(firsts[i].path);
        sm_buf_wipe(&firsts[i].bytes);
    }
    free(ops);
    free(firsts);
    free(objects);
    ops = NULL;
    firsts = NULL;
    objects = NULL;
    ops_n = firsts_n = objects_n = bytes_held = 0;
    trouble = 0;
}

size_t plat_record_count(void)
{
    return ops_n;
}

const struct plat_record_op *plat_record_get(size_t i)
{
    return i < ops_n ? &ops[i].pub : NULL;
}

/* ---- the state after the power went ---- */

struct name {
    char *path;
    bool dir, gone;
    size_t object;
};
struct disk {
    struct name *names;
    size_t names_n;
    struct sm_buf *bytes; /* one for each object */
    size_t cut;
    enum plat_replay how;
};

static struct name *find_name(struct disk *d, const char *path)
{
    for (size_t i = d->names_n; i-- > 0;) {
        if (!d->names[i].gone && strcmp(d->names[i].path, path) == 0)
            return &d->names[i];
    }
    return NULL;
}

static int set_name(struct disk *d, const char *path, bool dir, size_t object)
{
    struct name *old = find_name(d, path);
    if (old)
        old->gone = true;
    struct name *n = more(&d->names, &d->names_n, sizeof *n);
    if (!n)
        return -ENOMEM;
    *n = (struct name){strdup(path), dir, false, object};
    return n->path ? 0 : -ENOMEM;
}

static bool in_folder(const char *path, const char *folder)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    return strlen(folder) == n && strncmp(path, folder, n) == 0;
}

/* Was what op i did made safe before the cut? */
static bool synced(const struct disk *d, size_t i)
{
    const struct op *o = &ops[i];
    bool bytes = o->pub.kind == PLAT_OP_WRITE || o->pub.kind == PLAT_OP_TRUNCATE;
    bool from = bytes, to = bytes || !o->pub.to;
    for (size_t k = i + 1; k < d->cut; k++) {
        const struct op *s = &ops[k];
        if (s->pub.kind != PLAT_OP_FSYNC)
            continue;
        if (bytes && !s->pub.dir && s->object == o->object)
            return true;
        if (bytes || !s->pub.dir)
            continue;
        from = from || in_folder(o->pub.path, s->pub.path);
        to = to || in_folder(o->pub.to, s->pub.path);
    }
    return !bytes && from && to;
}

static bool reached(const struct disk *d, size_t i)
{
    bool bytes = ops[i].pub.kind == PLAT_OP_WRITE || ops[i].pub.kind == PLAT_OP_TRUNCATE;
    if (d->how == PLAT_REPLAY_ALL || d->how == PLAT_REPLAY_TORN)
        return true;
    if ((bytes && d->how == PLAT_REPLAY_DATA) || (!bytes && d->how == PLAT_REPLAY_NAMES))
        return true;
    return synced(d, i);
}

static int set_length(struct sm_buf *b, size_t n)
{
    if (n > b->n) {
        int r = sm_buf_reserve(b, n - b->n);
        if (r < 0)
            return r;
        memset(b->p + b->n, 0, n - b->n);
    }
    b->n = n;
    return 0;
}

static int apply_write(struct disk *d, size_t i)
{
    const struct op *o = &ops[i];
    struct sm_buf *b = &d->bytes[o->object];
    size_t n = o->pub.len, end = o->pub.off + n;
    bool content = reached(d, i);
    if (d->how == PLAT_REPLAY_TORN && i + 1 == d->cut)
        end = o->pub.off + (n /= 2);
    /* NAMES: the length arrived, the bytes did not. */
    if (!content && d->how != PLAT_REPLAY_NAMES)
        return 0;
    int r = end > b->n ? set_length(b, end) : 0;
    if (r == 0 && content && n)
        memcpy(b->p + o->pub.off, o->data, n);
    return r;
}

static int apply_rename(struct disk *d, const struct op *o)
{
    struct name *n = find_name(d, o->pub.path);
    if (!n)
        return 0; /* its creation never reached the disk */
    size_t object = n->object, k = strlen(o->pub.path);
    bool dir = n->dir;
    n->gone = true;
    int r = set_name(d, o->pub.to, dir, object);
    for (size_t i = 0, end = d->names_n; dir && i < end && r == 0; i++) {
        if (d->names[i].gone || strncmp(d->names[i].path, o->pub.path, k) != 0 || d->names[i].path[k] != '/')
            continue;
        char *moved = join(o->pub.to, d->names[i].path + k + 1);
        r = moved ? set_name(d, moved, d->names[i].dir, d->names[i].object) : -ENOMEM;
        free(moved);
        d->names[i].gone = true;
    }
    return r;
}

static int apply(struct disk *d, size_t i)
{
    const struct op *o = &ops[i];
    struct name *n;
    if (o->pub.kind == PLAT_OP_WRITE)
        return apply_write(d, i);
    if (!reached(d, i))
        return 0;
    switch (o->pub.kind) {
    case PLAT_OP_TRUNCATE:
        return set_length(&d->bytes[o->object], o->pub.len);
    case PLAT_OP_CREATE:
        n = find_name(d, o->pub.path);
        return n && n->object == o->object ? 0 : set_name(d, o->pub.path, false, o->object);
    case PLAT_OP_MKDIR:
        return set_name(d, o->pub.path, true, 0);
    case PLAT_OP_UNLINK:
        n = find_name(d, o->pub.path);
        if (n)
            n->gone = true;
        return 0;
    case PLAT_OP_RENAME:
        return apply_rename(d, o);
    default:
        return 0;
    }
}

static int write_out(const struct disk *d, const char *to)
{
    int r = plat_fs_mkdir_p(to, 0700);
    int at = r < 0 ? r : plat_fs_open_dir(AT_FDCWD, to);
    if (at < 0)
        return at;
    for (size_t i = 0; i < d->names_n && r >= 0; i++) {
        const struct name *n = &d->names[i];
        if (n->gone)
            continue;
        if (n->dir) {
            r = mkdirat(at, n->path, 0700) < 0 && errno != EEXIST ? -errno : 0;
            continue;
        }
        int fd = openat(at, n->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 && errno == ENOENT)
            continue; /* its folder never reached the disk */
        r = fd < 0 ? -errno : plat_fs_write_all(fd, sm_buf_span(&d->bytes[n->object]));
        if (fd >= 0)
            close(fd);
    }
    close(at);
    return r;
}

int plat_record_replay(const char *to, size_t n, enum plat_replay how)
{
    if (trouble)
        return trouble;
    bool recording = plat_record_on;
    plat_record_on = false;
    struct disk d = {.cut = n < ops_n ? n : ops_n, .how = how};
    int r = 0;
    d.bytes = calloc(objects_n ? objects_n : 1, sizeof *d.bytes);
    if (!d.bytes)
        r = -ENOMEM;
    for (size_t i = 0; i < objects_n && r == 0; i++)
        d.bytes[i].max = PLAT_RECORD_MAX;
    for (size_t i = 0; i < firsts_n && r == 0; i++) {
        r = set_name(&d, firsts[i].path, firsts[i].dir, firsts[i].object);
        if (r == 0 && !firsts[i].dir && d.bytes[firsts[i].object].n == 0)
            r = sm_buf_put_span(&d.bytes[firsts[i].object], sm_buf_span(&firsts[i].bytes));
    }
    for (size_t i = 0; i < d.cut && r == 0; i++)
        r = apply(&d, i);
    if (r == 0)
        r = write_out(&d, to);
    for (size_t i = 0; i < d.names_n; i++)
        free(d.names[i].path);
    for (size_t i = 0; d.bytes && i < objects_n; i++)
        sm_buf_wipe(&d.bytes[i]);
    free(d.names);
    free(d.bytes);
    plat_record_on = recording;
    return r;
}
