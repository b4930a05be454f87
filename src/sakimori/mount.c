/*
 * mount: every generation of a vault as read-only folders (FUSE), with nothing but the vault's files and the recovery
 * sheet.  MOUNTPOINT/machine-source/time-number/… holds the files at the paths they had.  One thread; a generation is
 * opened when somebody looks into it, and closed again when others are wanted.
 */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fuse3/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include "plat/fs.h"
#include "sakimori/commands.h"
#include "sakimori/vaultdir.h"
#include "sakimori/vaultopen.h"
#include "vault/snapshot/reader.h"

#define GENERATIONS_MAX 65536u
#define OPEN_MAX 8u       /* generations opened at a time */
#define LINKS_MAX ((size_t)1 << 20)         /* groups of hard links of one generation that are remembered */
#define LINK_PATHS_MAX ((size_t)64 << 20)   /* bytes of their paths */

/* Where the bytes of a hard-link group stand. */
struct link { uint64_t group; size_t at, n; };
struct gen {
    struct mount *m;
    struct store_generation g;
    char top[96], name[96];
    struct sm_buf manifest;
    struct reader *reader;
    uint64_t used;
    unsigned handles;
    struct sm_buf links, link_paths; /* struct link, by group */
    bool links_known;
};
struct mount {
    struct cli *c;
    struct store *st;
    struct keyring open;
    struct gen *gen;
    size_t n;
    uint64_t clock;
};
/* An open file. */
struct handle { struct gen *g; struct reader_node node; uint32_t stream; uint64_t size; };

static struct mount *self(void)
{
    return fuse_get_context()->private_data;
}

/* What the kernel is told of an error of ours. */
static int to_errno(int e)
{
    if (e == -SM_ENOTFOUND)
        return -ENOENT;
    if (e == -SM_ELIMIT)
        return -E2BIG;
    return e < 0 && e > -4096 ? e : -EIO; /* damaged, missing, not to be opened: it reads as a bad sector would */
}

/* ---- opening generations ---- */

static int source_get(void *arg, const struct cid *cid, uint8_t type, struct sm_buf *ret)
{
    struct gen *g = arg;
    (void)type;
    int e = store_object(g->m->st, &g->g.client, cid, ret);
    return e == -SM_ENOTFOUND ? -SM_EMISSING : e;
}

static int source_key(void *arg, const struct cid *envelope, struct file_key *ret)
{
    struct gen *g = arg;
    return vaultopen_file_key(g->m->st, &g->g.client, &g->m->open, envelope, ret);
}

static void gen_close(struct gen *g)
{
    sm_buf_wipe(&g->links);
    sm_buf_wipe(&g->link_paths);
    g->links_known = false;
    reader_close(g->reader);
    g->reader = NULL;
    sm_buf_wipe(&g->manifest);
}

/* Close the one longest unused, when too many are open. */
static void make_room(struct mount *m)
{
    struct gen *old = NULL;
    size_t open = 0;
    for (size_t i = 0; i < m->n; i++) {
        struct gen *g = &m->gen[i];
        open += g->reader != NULL;
        if (g->reader && !g->handles && (!old || g->used < old->used))
            old = g;
    }
    if (open >= OPEN_MAX && old)
        gen_close(old);
}

static int gen_open(struct gen *g)
{
    g->used = ++g->m->clock;
    if (g->reader)
        return 0;
    make_room(g->m);
    g->manifest = SM_BUF_INIT(MANIFEST_MAX);
    if (vaultopen_manifest(g->m->c, g->m->st, &g->g, &g->manifest) != CLI_OK) {
        sm_buf_wipe(&g->manifest);
        return -EIO;
    }
    const struct reader_source source = { .get = source_get, .file_key = source_key, .names_checked = true, .arg = g };
    int e = reader_open(&source, sm_buf_span(&g->manifest), NULL, &g->reader);
    if (e < 0)
        sm_buf_wipe(&g->manifest);
    return e;
}

/* ---- paths ---- */

/* /top/name/rest: as far as it goes.  rest is "" or begins with '/'. */
struct where { bool top, gen; const char *top_name; size_t top_n; struct gen *g; const char *rest; };

static int find(const struct mount *m, const char *path, struct where *ret)
{
    *ret = (struct where){ .rest = "" };
    if (!strcmp(path, "/"))
        return 0;
    const char *top = path + 1, *slash = strchr(top, '/');
    ret->top = true;
    ret->top_name = top;
    ret->top_n = slash ? (size_t)(slash - top) : strlen(top);
    const char *name = slash ? slash + 1 : NULL;
    size_t name_n = name ? strcspn(name, "/") : 0;
    bool known = false;
    for (size_t i = 0; i < m->n; i++) {
        struct gen *g = &m->gen[i];
        if (strlen(g->top) != ret->top_n || memcmp(g->top, top, ret->top_n) != 0)
            continue;
        known = true;
        if (name && strlen(g->name) == name_n && !memcmp(g->name, name, name_n)) {
            ret->gen = true;
            ret->g = g;
            ret->rest = name + name_n;
            return 0;
        }
    }
    return known && !name ? 0 : -ENOENT;
}

struct above { struct sm_span path; bool found; fuse_fill_dir_t fill; void *buf; char last[VAULT_NAME_MAX + 1]; };

/* A root's own path is absolute: /srv/karte makes a folder srv, though the generation holds nothing of it. */
static int above_root(void *arg, const struct reader_node *n)
{
    struct above *a = arg;
    struct sm_span r = n->e.name;
    if (r.n <= a->path.n || memcmp(r.p, a->path.p, a->path.n) != 0 || r.p[a->path.n] != '/')
        return 0;
    a->found = true;
    const uint8_t *part = r.p + a->path.n + 1;
    size_t left = r.n - a->path.n - 1, len = 0;
    while (len < left && part[len] != '/')
        len++;
    if (!a->fill || len == 0 || len > VAULT_NAME_MAX || (strlen(a->last) == len && !memcmp(a->last, part, len)))
        return 0;
    memcpy(a->last, part, len); /* roots ascend, so the same part comes again right after itself */
    a->last[len] = 0;
    return a->fill(a->buf, a->last, NULL, 0, 0) ? -ENOMEM : 0;
}

/* The node at rest of a generation ("": its top): 0; 1 when it is only above a root. */
static int node_at(struct gen *g, const char *rest, struct reader_node *ret)
{
    struct sm_span path = SM_SPAN_STR(rest);
    int e = reader_stat(g->reader, path.n ? path : SM_SPAN_STR("/"), ret); /* the whole machine may be a root */
    if (e != -SM_ENOTFOUND)
        return e;
    struct above a = { .path = path };
    e = reader_list_node(g->reader, NULL, above_root, &a);
    return e < 0 ? e : a.found || !path.n ? 1 : -SM_ENOTFOUND;
}

static int note_link(void *arg, enum reader_event event, struct sm_span path, const struct reader_node *n)
{
    struct gen *g = arg;
    struct meta_extra x;
    if (event != READER_ENTRY || n->e.kind != ENTRY_FILE || !n->e.nstreams || meta_extra_of(n->e.meta, &x) < 0 || !x.has_link)
        return 0;
    const struct link l = { x.link_group, g->link_paths.n, path.n };
    int e = sm_buf_put_span(&g->link_paths, path);
    return e < 0 ? e : sm_buf_put(&g->links, &l, sizeof l);
}

static int by_group(const void *a, const void *b)
{
    const struct link *x = a, *y = b;
    return x->group < y->group ? -1 : x->group > y->group;
}

/* One walk for all groups: a folder of many links asks for each of them. */
static int know_links(struct gen *g)
{
    if (g->links_known)
        return 0;
    g->links = SM_BUF_INIT(LINKS_MAX * sizeof(struct link));
    g->link_paths = SM_BUF_INIT(LINK_PATHS_MAX);
    int e = reader_walk(g->reader, SM_SPAN(NULL, 0), note_link, g);
    if (e < 0) {
        sm_buf_wipe(&g->links);
        sm_buf_wipe(&g->link_paths);
        return e;
    }
    if (g->links.n)
        qsort(g->links.p, g->links.n / sizeof(struct link), sizeof(struct link), by_group);
    g->links_known = true;
    return 0;
}

/* The node that carries the bytes: n itself, or the first name of its hard-link group.  ret is the caller's. */
static int with_bytes(struct gen *g, const struct reader_node *n, struct reader_node *ret)
{
    struct meta_extra x;
    if (n->e.nstreams || n->e.kind != ENTRY_FILE || meta_extra_of(n->e.meta, &x) < 0 || !x.has_link) {
        reader_node_copy(n, ret);
        return 0;
    }
    int e = know_links(g);
    const struct link key = { x.link_group, 0, 0 };
    const struct link *l = e < 0 || !g->links.n ? NULL
        : bsearch(&key, g->links.p, g->links.n / sizeof key, sizeof key, by_group);
    return e < 0 ? e : l ? reader_stat(g->reader, SM_SPAN(g->link_paths.p + l->at, l->n), ret) : -SM_ENOTFOUND;
}

static int main_stream(const struct reader_node *n, uint32_t *ret_i, uint64_t *ret_size)
{
    struct stream_view s;
    for (uint32_t i = 0; i < n->e.nstreams; i++) {
        int e = stream_at(&n->e, i, &s);
        if (e < 0 || s.kind == STREAM_MAIN) {
            *ret_i = i;
            *ret_size = e < 0 ? 0 : s.size;
            return e;
        }
    }
    return -SM_ENOTFOUND;
}

/* ---- what the kernel asks ---- */

static void as_folder(struct stat *st, int64_t mtime)
{
    memset(st, 0, sizeof *st);
    st->st_mode = S_IFDIR | 0555;
    st->st_nlink = 2;
    st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = (time_t)mtime;
}

static int as_node(struct gen *g, const struct reader_node *n, struct stat *st)
{
    static const mode_t types[] = { 0, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };
    struct plat_meta m = { 0 };
    struct meta_extra x;
    struct reader_node bytes = { .page = NULL };
    uint64_t size = 0;
    uint32_t i;
    if (n->e.kind >= sizeof types / sizeof *types)
        return -EIO;
    int e = meta_to_plat(n->e.meta, n->e.kind, &m, &x);
    if (e == 0 && n->e.kind == ENTRY_FILE && (e = with_bytes(g, n, &bytes)) == 0)
        (void)main_stream(&bytes, &i, &size); /* 0 for an empty one */
    reader_node_wipe(&bytes);
    if (e < 0) {
        plat_meta_wipe(&m);
        return e;
    }
    memset(st, 0, sizeof *st);
    st->st_mode = types[n->e.kind] | m.mode;
    st->st_nlink = n->e.kind == ENTRY_DIR ? 2 : x.has_link && x.link_count ? (nlink_t)x.link_count : 1;
    st->st_uid = m.uid;
    st->st_gid = m.gid;
    st->st_size = n->e.kind == ENTRY_SYMLINK ? (off_t)m.target.n : (off_t)size;
    st->st_blocks = (blkcnt_t)((size + 511) / 512);
    st->st_rdev = makedev(m.rdev_major, m.rdev_minor);
    st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = (time_t)m.mtime.s;
    st->st_mtim.tv_nsec = m.mtime.ns;
    plat_meta_wipe(&m);
    return 0;
}

/* A path into a generation that is open then.  1: only above a root, or the generation itself. */
static int node_of(const char *path, struct where *w, struct reader_node *ret)
{
    int e = find(self(), path, w);
    if (e < 0 || !w->gen)
        return e < 0 ? e : 1;
    e = gen_open(w->g);
    return e < 0 ? e : node_at(w->g, w->rest, ret);
}

static int op_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    struct where w;
    struct reader_node n = { .page = NULL };
    (void)fi;
    int e = find(self(), path, &w);
    if (e == 0 && (!w.gen || !*w.rest)) {
        as_folder(st, w.gen ? w.g->g.time.s : 0);
        return 0;
    }
    e = e < 0 ? e : node_of(path, &w, &n);
    if (e == 1)
        as_folder(st, w.g->g.time.s);
    else if (e == 0)
        e = as_node(w.g, &n, st);
    reader_node_wipe(&n);
    return e < 0 ? to_errno(e) : 0;
}

struct filling { fuse_fill_dir_t fill; void *buf; };

static int fill_one(void *arg, const struct reader_node *n)
{
    const struct filling *f = arg;
    char name[VAULT_NAME_MAX + 1];
    if (n->e.name.n > VAULT_NAME_MAX)
        return 0;
    memcpy(name, n->e.name.p, n->e.name.n);
    name[n->e.name.n] = 0;
    return f->fill(f->buf, name, NULL, 0, 0) ? -ENOMEM : 0;
}

/* The folders of sources, or the generations of one. */
static void fill_tops(const struct mount *m, const struct where *w, fuse_fill_dir_t fill, void *buf)
{
    const char *last = "";
    for (size_t i = 0; i < m->n; i++) {
        const struct gen *g = &m->gen[i];
        if (w->top && (strlen(g->top) != w->top_n || memcmp(g->top, w->top_name, w->top_n) != 0))
            continue;
        if (w->top)
            (void)fill(buf, g->name, NULL, 0, 0); /* a full buffer is not possible without offsets */
        else if (strcmp(last, g->top) != 0)
            (void)fill(buf, g->top, NULL, 0, 0);
        last = g->top; /* sorted by top */
    }
}

static int op_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off, struct fuse_file_info *fi,
    enum fuse_readdir_flags flags)
{
    struct where w;
    struct reader_node n = { .page = NULL };
    (void)off;
    (void)fi;
    (void)flags;
    int e = find(self(), path, &w);
    if (e < 0)
        return to_errno(e);
    (void)fill(buf, ".", NULL, 0, 0);
    (void)fill(buf, "..", NULL, 0, 0);
    if (!w.gen) {
        fill_tops(self(), &w, fill, buf);
        return 0;
    }
    struct filling f = { fill, buf };
    struct above a = { .path = SM_SPAN_STR(w.rest), .fill = fill, .buf = buf };
    e = node_of(path, &w, &n);
    if (e == 0)
        e = n.e.kind == ENTRY_DIR ? reader_list_node(w.g->reader, &n, fill_one, &f) : -ENOTDIR;
    else if (e == 1)
        e = reader_list_node(w.g->reader, NULL, above_root, &a);
    reader_node_wipe(&n);
    return e < 0 ? to_errno(e) : 0;
}

static int op_readlink(const char *path, char *buf, size_t size)
{
    struct where w;
    struct reader_node n = { .page = NULL };
    struct plat_meta m = { 0 };
    struct meta_extra x;
    int e = node_of(path, &w, &n);
    if (e == 0)
        e = n.e.kind == ENTRY_SYMLINK ? meta_to_plat(n.e.meta, n.e.kind, &m, &x) : -EINVAL;
    if (e == 0) {
        size_t len = m.target.n < size - 1 ? m.target.n : size - 1;
        memcpy(buf, m.target.p, len);
        buf[len] = 0;
    }
    plat_meta_wipe(&m);
    reader_node_wipe(&n);
    return e == 1 ? -EINVAL : e < 0 ? to_errno(e) : 0;
}

static int op_open(const char *path, struct fuse_file_info *fi)
{
    struct where w;
    if ((fi->flags & O_ACCMODE) != O_RDONLY)
        return -EROFS;
    struct handle *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    struct reader_node n = { .page = NULL };
    int e = node_of(path, &w, &n);
    if (e == 0)
        e = n.e.kind == ENTRY_FILE ? with_bytes(w.g, &n, &h->node) : -EISDIR;
    if (e == 0) {
        h->g = w.g;
        (void)main_stream(&h->node, &h->stream, &h->size); /* size 0: nothing is read */
        w.g->handles++;
        fi->fh = (uint64_t)(uintptr_t)h;
        fi->keep_cache = 1; /* a generation never changes */
    }
    reader_node_wipe(&n);
    if (e != 0)
        free(h);
    return e == 1 ? -EISDIR : e < 0 ? to_errno(e) : 0;
}

struct reading { char *to; uint64_t from; size_t size; };

static int take(void *arg, uint64_t offset, struct sm_span data)
{
    struct reading *r = arg;
    size_t at = (size_t)(offset - r->from);
    if (at >= r->size || data.n > r->size - at)
        return -EIO;
    if (data.p)
        memcpy(r->to + at, data.p, data.n);
    else
        memset(r->to + at, 0, data.n);
    return 0;
}

static int op_read(const char *path, char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
    struct handle *h = (struct handle *)(uintptr_t)fi->fh;
    (void)path;
    if (off < 0 || (uint64_t)off >= h->size)
        return 0;
    if (size > h->size - (uint64_t)off)
        size = (size_t)(h->size - (uint64_t)off);
    struct reading r = { buf, (uint64_t)off, size };
    int e = reader_read(h->g->reader, &h->node, h->stream, (uint64_t)off, size, take, &r);
    return e < 0 ? to_errno(e) : (int)size;
}

static int op_release(const char *path, struct fuse_file_info *fi)
{
    struct handle *h = (struct handle *)(uintptr_t)fi->fh;
    (void)path;
    reader_node_wipe(&h->node);
    h->g->handles--;
    free(h);
    return 0;
}

static int attributes(const char *path, struct plat_meta *ret)
{
    struct where w;
    struct reader_node n = { .page = NULL };
    struct meta_extra x;
    int e = node_of(path, &w, &n);
    if (e == 0)
        e = meta_to_plat(n.e.meta, n.e.kind, ret, &x);
    reader_node_wipe(&n);
    return e;
}

static int op_getxattr(const char *path, const char *name, char *value, size_t size)
{
    struct plat_meta m = { 0 };
    int e = attributes(path, &m), ret = e < 0 ? to_errno(e) : -ENODATA;
    for (size_t i = 0; e == 0 && i < m.xattr_n; i++) {
        const struct plat_xattr *x = &m.xattr[i];
        if (strcmp(x->name, name) != 0)
            continue;
        ret = size && size < x->value_n ? -ERANGE : (int)x->value_n;
        if (size && ret > 0)
            memcpy(value, x->value, x->value_n);
    }
    plat_meta_wipe(&m);
    return ret;
}

static int op_listxattr(const char *path, char *list, size_t size)
{
    struct plat_meta m = { 0 };
    int e = attributes(path, &m);
    size_t need = 0;
    for (size_t i = 0; e == 0 && i < m.xattr_n; i++) {
        size_t n = strlen(m.xattr[i].name) + 1;
        if (size && need + n <= size)
            memcpy(list + need, m.xattr[i].name, n);
        need += n;
    }
    plat_meta_wipe(&m);
    return e < 0 ? to_errno(e) : size && need > size ? -ERANGE : (int)need;
}

static int op_statfs(const char *path, struct statvfs *st)
{
    (void)path;
    memset(st, 0, sizeof *st);
    st->f_bsize = st->f_frsize = 4096;
    st->f_namemax = 255;
    st->f_flag = ST_RDONLY;
    return 0;
}

static void *op_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
    (void)conn;
    config->use_ino = 0;
    config->kernel_cache = 1;
    config->entry_timeout = config->attr_timeout = 3600; /* what is mounted never changes */
    return fuse_get_context()->private_data;
}

static const struct fuse_operations ops = {
    .init = op_init, .getattr = op_getattr, .readdir = op_readdir, .readlink = op_readlink, .open = op_open,
    .read = op_read, .release = op_release, .getxattr = op_getxattr, .listxattr = op_listxattr, .statfs = op_statfs,
};

/* ---- the names of the folders ---- */

/* A machine's name as a file name: what could not stand in one becomes '_'. */
static void name_gen(struct mount *m, struct gen *g)
{
    struct store_client who = { 0 };
    char source[33];
    struct tm t;
    time_t s = (time_t)(g->g.time.s + 9 * 3600); /* shown in JST */
    if (store_client_get(m->st, &g->g.client, &who) < 0 || !who.name[0])
        (void)snprintf(who.name, sizeof who.name, "machine");
    for (char *p = who.name; *p; p++)
        if (*p == '/' || (unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '_';
    sm_hex(g->g.source.b, 16, source);
    (void)snprintf(g->top, sizeof g->top, "%.60s-%.8s", who.name[0] == '.' ? "machine" : who.name, source);
    gmtime_r(&s, &t);
    (void)snprintf(g->name, sizeof g->name, "%04d-%02d-%02dT%02d%02d%02d-%06llu%s%s", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
        t.tm_hour, t.tm_min, t.tm_sec, (unsigned long long)g->g.number, g->g.suspicious ? "-suspicious" : "",
        g->g.damaged ? "-damaged" : "");
}

static int by_name(const void *a, const void *b)
{
    const struct gen *x = a, *y = b;
    int c = strcmp(x->top, y->top);
    return c ? c : strcmp(x->name, y->name);
}

static int load(struct mount *m)
{
    struct store_query q = { 0 };
    struct store_generation g[64];
    size_t n;
    m->gen = calloc(GENERATIONS_MAX, sizeof *m->gen);
    if (!m->gen)
        return -ENOMEM;
    while ((n = store_generations(m->st, &q, g, 64)) > 0) {
        for (size_t i = 0; i < n && m->n < GENERATIONS_MAX; i++) {
            m->gen[m->n] = (struct gen){ .m = m, .g = g[i] };
            name_gen(m, &m->gen[m->n++]);
        }
        q.before_seq = g[n - 1].seq;
    }
    qsort(m->gen, m->n, sizeof *m->gen, by_name);
    return 0;
}

static int serve(struct mount *m, const char *place)
{
    struct cli *c = m->c;
    /* No default_permissions: nobody but who mounted can look, and whoever has the sheet may read what others owned. */
    char name[] = "sakimori", opt[] = "-o", what[] = "ro,nosuid,nodev,noexec,fsname=sakimori,subtype=vault";
    char *argv[] = { name, opt, what, NULL };
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    struct fuse *f = fuse_new(&args, &ops, sizeof ops, m);
    int e = f ? CLI_OK : CLI_FAILED;
    if (f && fuse_mount(f, place) != 0)
        e = CLI_FAILED;
    if (e != CLI_OK) {
        cli_note(c, T(c, "%s に世代を出せません(fuse3 のパッケージと、空のフォルダーが要ります)",
            "cannot mount on %s (the package fuse3 and an empty folder are needed)"), place);
    } else {
        cli_note(c, T(c, "%zu 世代を %s に出しました。終わるときは Ctrl-C、または fusermount3 -u %s",
            "%zu generations are at %s; Ctrl-C or fusermount3 -u %s ends it"), m->n, place, place);
        if (fuse_set_signal_handlers(fuse_get_session(f)) == 0) {
            e = fuse_loop(f) < 0 ? CLI_FAILED : CLI_OK;
            fuse_remove_signal_handlers(fuse_get_session(f));
        }
        fuse_unmount(f);
    }
    if (f)
        fuse_destroy(f);
    fuse_opt_free_args(&args);
    return e;
}

int cmd_mount(struct cli *c)
{
    struct mount m = { .c = c };
    char *place = realpath(cli_arg(c, 0), NULL);
    if (!place) {
        cli_note(c, "%s: %s", cli_arg(c, 0), sm_errtext(-errno, c->ja));
        return CLI_NOT_FOUND;
    }
    int e = vaultdir_open(c, &m.st);
    if (e == CLI_OK)
        e = vaultopen_sheet(c, m.st, &m.open);
    if (e == CLI_OK && load(&m) < 0)
        e = CLI_FAILED;
    if (e == CLI_OK)
        e = serve(&m, place);
    for (size_t i = 0; i < m.n; i++)
        gen_close(&m.gen[i]);
    free(m.gen);
    keyring_wipe(&m.open);
    if (m.st)
        store_close(m.st);
    free(place);
    return e;
}
