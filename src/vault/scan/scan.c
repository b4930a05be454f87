#include "vault/scan/scan.h"
#include <errno.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "plat/fs.h"
#include "vault/scan/names.h"

struct level {
    int fd;
    struct names *names;
    struct plat_meta meta;
    size_t path_n, name_n;      /* of this folder's path; of its last part */
    bool included, whole, root;
    struct sm_buf last;         /* of a remote: the name before, for one may come twice */
};
struct walk {
    const struct scan_config *c;
    const struct scan_calls *calls;
    struct level level[SCAN_DEPTH_MAX + 1];
    size_t depth;               /* levels in use */
    size_t root_n;
    struct sm_buf path;
    struct plat_id volume_of;   /* of the present root */
    const char *real;           /* where the present root is, when it is told as another path; else NULL */
};
struct root { const char *path, *shown; };

static int problem(struct walk *w, int err, const char *what)
{
    w->calls->problem(w->calls->arg, sm_buf_span(&w->path), err, what);
    if (w->depth)
        w->level[w->depth - 1].whole = false;
    return 0;
}

static struct level *top(struct walk *w)
{
    return w->depth ? &w->level[w->depth - 1] : NULL;
}

static struct scan_entry entry_of(const struct walk *w, const struct level *parent, const struct plat_meta *m,
    size_t name_n)
{
    const char *end = (const char *)w->path.p + w->path.n;
    return (struct scan_entry){
        .name = SM_SPAN(end - name_n, name_n), .path = sm_buf_span(&w->path), .meta = m, .root = !parent,
        .dirfd = parent ? parent->fd : AT_FDCWD, .at = !parent && w->real ? w->real : end - name_n,
        .root_n = w->root_n };
}

static int path_push(struct walk *w, struct sm_span name)
{
    if (w->path.n + name.n + 2 > SCAN_PATH_MAX)
        return -ENAMETOOLONG;
    int e = sm_buf_reserve(&w->path, name.n + 2);
    if (e < 0)
        return e;
    if (w->path.n && w->path.p[w->path.n - 1] != '/')
        w->path.p[w->path.n++] = '/';
    memcpy(w->path.p + w->path.n, name.p, name.n);
    w->path.n += name.n;
    w->path.p[w->path.n] = 0;
    return 0;
}

static void path_cut(struct walk *w, size_t n)
{
    w->path.n = n;
    w->path.p[n] = 0;
}

static bool is_skipped(const struct walk *w, const struct plat_id *id)
{
    for (size_t i = 0; i < w->c->skip_n; i++)
        if (plat_id_eq(&w->c->skip[i], id))
            return true;
    return false;
}

static bool same_volume(const struct plat_id *a, const struct plat_id *b)
{
    return memcmp(a->volume, b->volume, sizeof a->volume) == 0;
}

static bool crosses(const struct walk *w, const struct plat_meta *m)
{
    return w->c->one_file_system && !same_volume(&w->volume_of, &m->id);
}

/* File systems whose files are views of the kernel, endless or dangerous to read. */
static bool is_pseudo(int fd)
{
    static const uint32_t magic[] = { 0x9fa0, 0x62656572, 0x27e0eb, 0x63677270, 0x1cd1, 0x64626720, 0x74726163,
        0x73636673, 0xcafe4a11, 0x6165676c, 0x62656570, 0x19800202, 0x42494e4d, 0xde5e81e4, 0x67596969, 0x0187 };
    struct statfs f;
    if (fstatfs(fd, &f) < 0)
        return false;
    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
        if ((uint32_t)f.f_type == magic[i])
            return true;
    return false;
}

static int names_take(void *arg, struct sm_span name, unsigned char type)
{
    return names_add(arg, name, type);
}

static size_t names_limit(const struct walk *w)
{
    size_t used = 0;
    for (size_t i = 0; i < w->depth; i++)
        used += names_memory(w->level[i].names);
    return used < SCAN_NAMES_MEMORY ? SCAN_NAMES_MEMORY - used : 0;
}

static void level_wipe(struct level *l)
{
    names_free(l->names);
    plat_meta_wipe(&l->meta);
    sm_buf_wipe(&l->last);
    if (l->fd >= 0)
        (void)close(l->fd); /* was only read */
    *l = (struct level){ .fd = -1 };
}

/* ---- a tree of another machine: what was told of a name stands behind it, after a NUL ---- */

struct told {
    uint64_t id, size;
    struct sm_time mtime, ctime, btime;
    uint32_t mode, uid, gid, dos;
    uint8_t type, has_btime;
};

const char *scan_below(const struct scan_entry *e)
{
    const char *p = (const char *)e->path.p + e->root_n;
    return *p == '/' ? p + 1 : p;
}

static int told_take(void *arg, struct sm_span name, const struct plat_meta *m)
{
    uint8_t row[SCAN_REMOTE_NAME_MAX + 1 + sizeof(struct told)];
    struct told t = { .size = m->size, .mtime = m->mtime, .ctime = m->ctime, .btime = m->btime, .mode = m->mode,
        .uid = m->uid, .gid = m->gid, .dos = m->dos_attributes, .type = (uint8_t)m->type, .has_btime = m->has_btime };
    bool dots = name.n && name.p[0] == '.' && (name.n == 1 || (name.n == 2 && name.p[1] == '.'));
    if (name.n == 0 || name.n > SCAN_REMOTE_NAME_MAX || dots || memchr(name.p, '/', name.n) ||
        memchr(name.p, 0, name.n))
        return -SM_EPROTO;
    memcpy(&t.id, m->id.id, sizeof t.id);
    memcpy(row, name.p, name.n);
    row[name.n] = 0;
    memcpy(row + name.n + 1, &t, sizeof t);
    return names_add(arg, SM_SPAN(row, name.n + 1 + sizeof t), 0);
}

static void told_get(const struct walk *w, struct sm_span row, struct sm_span *ret_name, struct plat_meta *ret)
{
    struct told t;
    memcpy(&t, row.p + row.n - sizeof t, sizeof t);
    *ret_name = SM_SPAN(row.p, row.n - sizeof t - 1);
    *ret = (struct plat_meta){ .type = t.type, .size = t.size, .blocks_bytes = t.size, .mtime = t.mtime, .ctime = t.ctime,
        .btime = t.btime, .has_btime = t.has_btime, .mode = t.mode, .uid = t.uid, .gid = t.gid,
        .dos_attributes = t.dos, .nlink = 1 };
    ret->id = w->volume_of;
    memcpy(ret->id.id, &t.id, sizeof t.id);
}

/* Does the folder stand in itself?  Some servers follow links by themselves and show what is behind as a folder; one
 * with the number and the last change of a folder above is that folder. */
static bool is_circle(const struct walk *w, const struct plat_meta *m)
{
    for (size_t i = 0; i < w->depth; i++) {
        const struct plat_meta *up = &w->level[i].meta;
        if (plat_id_eq(&up->id, &m->id) && sm_time_cmp(up->mtime, m->mtime) == 0)
            return true;
    }
    return false;
}

#define DOS_REPARSE 0x400u /* FILE_ATTRIBUTE_REPARSE_POINT: on a folder, a link to another one */

static int told_list(struct walk *w, struct level *l)
{
    struct scan_entry e = entry_of(w, NULL, &l->meta, 0);
    int r = w->c->remote->list(w->c->remote->arg, scan_below(&e), told_take, l->names);
    return r == -SM_ELIMIT ? -EOVERFLOW : r; /* more names than one folder may have: a problem of this folder */
}

/* Has this name come before?  The names of a level ascend. */
static int told_twice(struct level *l, struct sm_span name, bool *ret)
{
    *ret = sm_span_eq(sm_buf_span(&l->last), name);
    sm_buf_clear(&l->last);
    return sm_buf_put_span(&l->last, name);
}

/* Open the folder e, which must still be the one that was looked at; l->fd is then its descriptor. */
static int level_open(struct walk *w, const struct scan_entry *e, struct level *l)
{
    int fd = plat_fs_open_dir(e->dirfd, e->at);
    if (fd < 0)
        return fd;
    struct plat_meta now = { 0 };
    int r = plat_meta_read(fd, "", 0, &now);
    bool same = r == 0 && plat_id_eq(&now.id, &e->meta->id);
    plat_meta_wipe(&now);
    if (!same) {
        (void)close(fd); /* was only read */
        return r < 0 ? r : -SM_EAGAIN;
    }
    l->fd = fd;
    return 0;
}

/* Read and sort the names of the folder on top.  Only lack of memory and of room for temporary files end the walk. */
static int level_list(struct walk *w)
{
    struct level *l = top(w);
    size_t limit = names_limit(w);
    int e = names_new(limit, w->c->tmp_dir, &l->names);
    if (e < 0)
        return e;
    e = w->c->remote ? told_list(w, l) : plat_fs_list(l->fd, names_take, l->names);
    if (e == -ENOMEM || e == -ENOSPC || (w->c->remote && scan_remote_over(e)))
        return e;
    if (e < 0)
        (void)problem(w, e, "list");
    e = names_sort(l->names);
    if (e == -ENOMEM || e == -ENOSPC)
        return e;
    return e < 0 ? problem(w, e, "list") : 0;
}

/* Go into the folder whose path stands in w->path; takes m.  1 when it was entered. */
static int folder(struct walk *w, struct plat_meta *m, size_t name_n, bool included)
{
    struct level *parent = top(w);
    struct scan_entry e = entry_of(w, parent, m, name_n);
    if (w->depth > SCAN_DEPTH_MAX)
        return problem(w, -SM_ELIMIT, "depth");
    if (w->c->remote && (m->dos_attributes & DOS_REPARSE || is_circle(w, m)))
        return problem(w, -ELOOP, "folder");
    struct level l = { .fd = -1 };
    int r = w->c->remote ? 0 : level_open(w, &e, &l);
    if (r == -ENOENT)
        return 0; /* went away meanwhile: deleted */
    int opened = r;
    bool other = parent ? !same_volume(&parent->meta.id, &m->id) : true;
    bool closed = r < 0 || crosses(w, m) || (other && l.fd >= 0 && is_pseudo(l.fd));
    r = w->calls->enter(w->calls->arg, &e);
    if (r != 0) {
        level_wipe(&l);
        return r == SCAN_PRUNE ? 0 : r;
    }
    l.meta = *m;
    *m = (struct plat_meta){ 0 };
    l.path_n = w->path.n;
    l.name_n = name_n;
    l.included = included;
    l.whole = true;
    l.root = !parent;
    w->level[w->depth++] = l;
    if (opened < 0)
        (void)problem(w, opened, "open");
    if (closed)
        return 1;
    r = level_list(w);
    return r < 0 ? r : 1;
}

/* One name of the folder on top. */
static int visit(struct walk *w, struct sm_span name)
{
    struct level *l = top(w);
    bool included = l->included, twice = false;
    struct plat_meta m = { 0 };
    if (w->c->remote)
        told_get(w, name, &name, &m);
    int r = path_push(w, name);
    if (r < 0)
        return r == -ENOMEM ? r : problem(w, r, "stat");
    if (w->c->remote)
        r = told_twice(l, name, &twice);
    else
        r = plat_meta_read(l->fd, (const char *)w->path.p + w->path.n - name.n, 0, &m);
    r = twice ? -EEXIST : r;
    if (r < 0) {
        /* A name that went away between listing and looking is no problem: it is deleted. */
        if (r != -ENOENT && r != -ENOMEM)
            (void)problem(w, r, "stat");
        path_cut(w, l->path_n);
        return r == -ENOMEM ? r : 0;
    }
    struct scan_subject s = { .path = sm_buf_span(&w->path), .root_n = w->root_n, .name_n = name.n,
        .dir = m.type == PLAT_DIR };
    bool out = scan_rules_excludes(w->c->rules, &s) || (s.dir && is_skipped(w, &m.id));
    included = included || scan_rules_includes(w->c->rules, &s);
    r = 0;
    if (!out && s.dir)
        r = folder(w, &m, name.n, included);
    else if (!out && !s.dir && included) {
        struct scan_entry e = entry_of(w, l, &m, name.n);
        r = w->calls->entry(w->calls->arg, &e);
    }
    plat_meta_wipe(&m);
    if (r == 0)
        path_cut(w, l->path_n);
    return r < 0 ? r : 0;
}

static int leave(struct walk *w)
{
    struct level *l = top(w), *parent = w->depth > 1 ? l - 1 : NULL;
    path_cut(w, l->path_n);
    struct scan_entry e = entry_of(w, parent, &l->meta, l->name_n);
    if (parent && !l->whole)
        parent->whole = false;
    int r = w->calls->leave(w->calls->arg, &e, l->whole);
    level_wipe(l);
    w->depth--;
    if (parent)
        path_cut(w, parent->path_n);
    return r;
}

static int levels_walk(struct walk *w)
{
    while (w->depth) {
        struct level *l = top(w);
        struct sm_span name;
        unsigned char type;
        if (w->calls->cancelled && w->calls->cancelled(w->calls->arg))
            return -SM_ECANCEL;
        int r = l->names ? names_next(l->names, &name, &type) : 0;
        if (r < 0)
            return r;
        r = r == 0 ? leave(w) : visit(w, name);
        if (r != 0)
            return r;
    }
    return 0;
}

static int root_walk(struct walk *w, const struct root *which)
{
    const char *root = which->shown;
    size_t n = strlen(root);
    while (n > 1 && root[n - 1] == '/')
        n--;
    w->real = which->path != which->shown ? which->path : NULL;
    sm_buf_clear(&w->path);
    int r = sm_buf_reserve(&w->path, n + 2);
    if (r < 0)
        return r;
    memcpy(w->path.p, root, n);
    w->path.n = n;
    w->path.p[n] = 0;
    w->root_n = n;
    struct plat_meta m = { 0 };
    if (w->c->remote)
        r = w->c->remote->look(w->c->remote->arg, &m);
    else
        r = plat_meta_read(AT_FDCWD, w->real ? w->real : (const char *)w->path.p, 0, &m);
    if (r < 0)
        return r == -ENOMEM || (w->c->remote && scan_remote_over(r)) ? r : problem(w, r, "root");
    w->volume_of = m.id;
    if (m.type == PLAT_SYMLINK) {
        /* Storing the link alone would look like success while nothing behind it is saved. */
        r = problem(w, -ELOOP, "root");
    } else if (m.type == PLAT_DIR) {
        r = is_skipped(w, &m.id) ? problem(w, -SM_EDENIED, "root")
                                 : folder(w, &m, n, !scan_rules_selective(w->c->rules));
        r = r == 1 ? levels_walk(w) : r;
    } else {
        struct scan_entry e = entry_of(w, NULL, &m, n);
        r = w->calls->entry(w->calls->arg, &e);
    }
    plat_meta_wipe(&m);
    return r;
}

static int root_cmp(const void *a, const void *b)
{
    const struct root *x = a, *y = b;
    return strcmp(x->shown, y->shown);
}

int scan_walk(const struct scan_config *c, const struct scan_calls *calls)
{
    if (c->roots_n == 0 || c->roots_n > SCAN_ROOTS_MAX || c->skip_n > SCAN_SKIP_MAX ||
        (c->remote && c->roots_n != 1))
        return -SM_EINVAL;
    struct root root[SCAN_ROOTS_MAX];
    for (size_t i = 0; i < c->roots_n; i++) {
        const char *shown = c->shown && c->shown[i] ? c->shown[i] : c->roots[i];
        root[i] = (struct root){c->roots[i], shown};
        if (c->roots[i][0] != '/' || shown[0] != '/' || strlen(shown) > NAMES_ONE_MAX)
            return -SM_EINVAL;
    }
    qsort(root, c->roots_n, sizeof *root, root_cmp);
    struct walk *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->c = c;
    w->calls = calls;
    for (size_t i = 0; i <= SCAN_DEPTH_MAX; i++)
        w->level[i].fd = -1;
    int r = 0;
    for (size_t i = 0; r == 0 && i < c->roots_n; i++)
        if (i == 0 || strcmp(root[i].shown, root[i - 1].shown) != 0)
            r = root_walk(w, &root[i]);
    while (w->depth)
        level_wipe(&w->level[--w->depth]);
    sm_buf_wipe(&w->path);
    free(w);
    return r;
}
