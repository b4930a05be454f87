#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/fs.h"
#include "vault/restore/restore_internal.h"

#define ASIDE_INFIX ".before-restore-"
#define ASIDE_TRIES 100
#define PATH_BYTES ((size_t)64 << 10)

/* ---- folders by path ---- */

/* The next part of path from *at on; false at its end. */
static bool part_next(struct sm_span path, size_t *at, char ret[256])
{
    while (*at < path.n && path.p[*at] == '/')
        ++*at;
    size_t begin = *at;
    while (*at < path.n && path.p[*at] != '/')
        ++*at;
    size_t n = *at - begin;
    if (n == 0 || n > 255)
        return false;
    memcpy(ret, path.p + begin, n);
    ret[n] = 0;
    return true;
}

static int open_trusted(struct sm_span path, size_t n, bool create)
{
    char *z = malloc(n + 2);
    if (!z)
        return -ENOMEM;
    memcpy(z, path.p, n);
    z[n] = 0;
    if (n == 0)
        memcpy(z, "/", 2);
    int e = create ? plat_fs_mkdir_p(z, 0755) : 0;
    int fd = e < 0 ? e : open(z, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (e == 0 && fd < 0)
        fd = -errno;
    free(z);
    return fd;
}

int target_open_dir(struct sm_span path, size_t trusted_n, bool create)
{
    char part[256];
    size_t at = trusted_n;
    int fd = open_trusted(path, trusted_n, create);
    while (fd >= 0 && part_next(path, &at, part)) {
        int next = plat_fs_open_dir(fd, part);
        if (next == -ENOENT && create) {
            next = plat_fs_mkdir(fd, part, 0755);
            next = next < 0 && next != -EEXIST ? next : plat_fs_open_dir(fd, part);
        }
        (void)close(fd); /* only a way through */
        fd = next;
    }
    if (fd >= 0 && at < path.n) { /* a part longer than a name can be */
        (void)close(fd);
        return -ENAMETOOLONG;
    }
    return fd;
}

/* ---- where we are ---- */

void restore_work_name(const uint8_t id[16], char ret[RESTORE_WORK_NAME])
{
    char hex[17];
    sm_hex(id, 8, hex);
    (void)snprintf(ret, RESTORE_WORK_NAME, ".sakimori-%s.work", hex);
}

static bool is_one_of(const struct plat_id *id, const struct plat_id *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (plat_id_eq(id, &list[i]))
            return true;
    return false;
}

/* A folder this machine keeps for itself, or one that leads there. */
static bool is_kept(const struct target *t, int dir, const char *name)
{
    const struct restore_config *c = t->r->c;
    struct plat_meta m = { 0 };
    bool kept = c->keep_n + c->skip_n && plat_meta_read(dir, name, 0, &m) == 0 && m.type == PLAT_DIR &&
        (is_one_of(&m.id, c->keep, c->keep_n) || is_one_of(&m.id, c->skip, c->skip_n));
    plat_meta_wipe(&m);
    return kept;
}

/* fd, or -SM_EDENIED and it is closed. */
static int not_skipped(const struct target *t, int fd)
{
    struct plat_meta m = { 0 };
    bool skip = fd >= 0 && t->r->c->skip_n && plat_meta_read(fd, "", 0, &m) == 0 &&
        is_one_of(&m.id, t->r->c->skip, t->r->c->skip_n);
    plat_meta_wipe(&m);
    if (!skip)
        return fd;
    (void)close(fd); /* a folder: nothing to lose */
    return -SM_EDENIED;
}

void target_init(struct target *t, struct restore *r)
{
    char hex[17];
    memset(t, 0, sizeof *t);
    t->r = r;
    t->path.max = PATH_BYTES;
    for (size_t i = 0; i < TARGET_DEPTH; i++)
        t->level[i].fd = -1;
    sm_hex(r->c->id, 8, hex);
    restore_work_name(r->c->id, t->work);
    (void)snprintf(t->tmp, sizeof t->tmp, ".sakimori-%s.part", hex);
}

static void level_close(struct place_level *l)
{
    if (l->fd >= 0)
        (void)close(l->fd); /* a folder: nothing to lose */
    names_free(l->names);
    sm_buf_wipe(&l->peek);
    *l = (struct place_level){ .fd = -1 };
}

void target_wipe(struct target *t)
{
    while (t->depth)
        level_close(&t->level[--t->depth]);
    sm_buf_wipe(&t->path);
}

struct place_level *target_top(struct target *t)
{
    return t->depth ? &t->level[t->depth - 1] : NULL;
}

struct sm_span target_told(const struct target *t)
{
    return SM_SPAN(t->path.p + t->place_n, t->path.n - t->place_n);
}

int target_begin(struct target *t, struct sm_span parent, struct sm_span root)
{
    const struct restore_config *c = t->r->c;
    struct sm_span place = c->target == RESTORE_PLACE ? SM_SPAN_STR(c->place) : SM_SPAN(NULL, 0);
    while (place.n && place.p[place.n - 1] == '/')
        place.n--;
    while (t->depth)
        level_close(&t->level[--t->depth]);
    sm_buf_clear(&t->path);
    int e = sm_buf_put_span(&t->path, place);
    e = e < 0 ? e : sm_buf_put_span(&t->path, parent);
    e = e < 0 ? e : sm_buf_put_u8(&t->path, 0);
    if (e < 0)
        return e;
    t->path.n--;
    t->place_n = place.n;
    t->root_n = place.n + root.n;
    /* What leads to the source's own folder was set by its owner; from there on, and below a place, no link is followed. */
    size_t above = root.n;
    while (above > 1 && root.p[above - 1] != '/')
        above--;
    t->trusted_n = place.n ? place.n : above < parent.n ? above : parent.n;
    t->depth = 1;
    t->level[0] = (struct place_level){ .fd = -1, .path_n = t->path.n };
    int fd = not_skipped(t, target_open_dir(sm_buf_span(&t->path), t->trusted_n, !t->r->compare));
    if (fd < 0)
        restore_problem(t->r, target_told(t), fd, "folder");
    t->level[0].fd = fd;
    return 0;
}

int target_push_name(struct target *t, struct sm_span name)
{
    struct place_level *l = target_top(t);
    t->path.n = l->path_n;
    int e = sm_buf_reserve(&t->path, name.n + 2);
    if (e < 0)
        return e;
    if (t->path.n && t->path.p[t->path.n - 1] != '/')
        t->path.p[t->path.n++] = '/';
    memcpy(t->path.p + t->path.n, name.p, name.n);
    t->path.n += name.n;
    t->path.p[t->path.n] = 0;
    return 0;
}

void target_cut(struct target *t)
{
    t->path.n = target_top(t)->path_n;
    t->path.p[t->path.n] = 0;
}

/* ---- the aside folder ---- */

/* Open the folder below the aside folder that the present folder's content goes to.  inside: within the root itself,
 * for a root that is a file system of its own, or beside which nothing may be made. */
static int aside_open(struct target *t, bool inside)
{
    struct sm_buf p = SM_BUF_INIT(PATH_BYTES);
    const struct place_level *l = target_top(t);
    size_t below = l->path_n > t->root_n ? l->path_n : t->root_n;
    int e = sm_buf_put(&p, t->path.p, t->root_n);
    size_t trusted = t->trusted_n;
    while (p.n > 1 && p.p[p.n - 1] == '/')
        p.n--;
    if (e == 0 && (inside || p.n <= 1))
        e = sm_buf_put_u8(&p, '/');
    e = e < 0 ? e : sm_buf_printf(&p, ASIDE_INFIX "%s", t->r->stamp);
    if (e == 0 && below > t->root_n)
        e = sm_buf_put(&p, t->path.p + t->root_n, below - t->root_n);
    int fd = e < 0 ? e : target_open_dir(sm_buf_span(&p), trusted, true);
    sm_buf_wipe(&p);
    return fd;
}

static int aside_to(struct target *t, const char *name, bool inside)
{
    char to[256 + 8];
    int fd = aside_open(t, inside), e = fd;
    for (int i = 0; fd >= 0 && i < ASIDE_TRIES; i++) {
        (void)snprintf(to, sizeof to, i ? "%s~%d" : "%s", name, i);
        e = plat_fs_rename(target_top(t)->fd, name, fd, to, false);
        if (e != -EEXIST)
            break;
    }
    if (fd >= 0)
        (void)close(fd); /* a folder: nothing to lose */
    return e;
}

int target_aside(struct target *t, const char *name)
{
    if (is_kept(t, target_top(t)->fd, name))
        return -SM_EDENIED;
    int e = aside_to(t, name, false);
    if (e == -EXDEV || e == -EACCES) /* beside the root nothing may be made */
        e = aside_to(t, name, true);
    if (e == 0)
        t->r->result->set_aside++;
    return e;
}

/* ---- what stands in a folder ---- */

static bool is_ours(const struct target *t, struct sm_span name)
{
    const struct place_level *l = &t->level[t->depth - 1];
    if (sm_span_eq(name, SM_SPAN_STR(t->tmp)) || sm_span_eq(name, SM_SPAN_STR(t->work)))
        return true;
    size_t n = strlen(ASIDE_INFIX);
    return l->path_n == t->root_n && name.n >= n && memcmp(name.p, ASIDE_INFIX, n) == 0;
}

/* A name that the generation has not. */
static void extra(struct target *t, struct sm_span name)
{
    size_t n = t->path.n;
    struct sm_buf was = SM_BUF_INIT(PATH_BYTES);
    if (is_ours(t, name) || sm_buf_put_span(&was, sm_buf_span(&t->path)) < 0)
        return;
    int e = target_push_name(t, name);
    /* The machine's own: neither set aside nor told. */
    bool kept = e == 0 && is_kept(t, target_top(t)->fd, (const char *)t->path.p + t->path.n - name.n);
    if (e == 0 && !kept && t->r->compare)
        restore_problem(t->r, target_told(t), -SM_EMISMATCH, "extra");
    else if (e == 0 && !kept && (e = target_aside(t, (const char *)t->path.p + t->path.n - name.n)) < 0)
        restore_problem(t->r, target_told(t), e, "set aside");
    /* The caller's own name was pushed before: put it back. */
    t->path.n = 0;
    (void)!sm_buf_put_span(&t->path, sm_buf_span(&was)); /* fits: it was there */
    t->path.n = n;
    t->path.p[n] = 0;
    sm_buf_wipe(&was);
}

/* The next name that stood there into l->peek. */
static bool peek(struct place_level *l)
{
    struct sm_span name;
    unsigned char type;
    if (l->peeked)
        return l->any_peek;
    l->peeked = true;
    l->any_peek = names_next(l->names, &name, &type) == 1;
    sm_buf_clear(&l->peek);
    if (l->any_peek && sm_buf_put_span(&l->peek, name) < 0)
        l->any_peek = false;
    return l->any_peek;
}

bool target_exists(struct target *t, struct sm_span name)
{
    struct place_level *l = target_top(t);
    struct stat st;
    if (l->fresh || l->fd < 0)
        return false;
    while (l->names && peek(l)) {
        int c = sm_span_cmp(sm_buf_span(&l->peek), name);
        if (c > 0)
            break;
        l->peeked = false;
        if (c == 0)
            break;
        extra(t, sm_buf_span(&l->peek));
    }
    return fstatat(l->fd, (const char *)t->path.p + t->path.n - name.n, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int take_name(void *arg, struct sm_span name, unsigned char type)
{
    return names_add(arg, name, type);
}

/* List what stands in a folder that was there before.  Where that fails nothing counts as extra. */
static void list_names(struct target *t, struct place_level *l)
{
    bool wanted = t->r->compare || t->r->c->existing == RESTORE_ASIDE;
    if (!wanted || l->fd < 0 || names_new((size_t)1 << 20, t->r->c->state_dir, &l->names) < 0)
        return;
    int e = plat_fs_list(l->fd, take_name, l->names);
    e = e < 0 ? e : names_sort(l->names);
    if (e == 0)
        return;
    restore_problem(t->r, target_told(t), e, "list");
    names_free(l->names);
    l->names = NULL;
}

static int dir_make(struct target *t, const char *name, bool exists, bool *ret_made)
{
    struct place_level *l = target_top(t);
    int fd = exists ? plat_fs_open_dir(l->fd, name) : -ENOENT;
    if (fd >= 0 || t->r->compare || (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP))
        return fd;
    if (exists && t->r->c->existing == RESTORE_SKIP)
        return -ENOTDIR;
    int e = !exists ? 0 : t->r->c->existing == RESTORE_ASIDE ? target_aside(t, name) : plat_fs_unlink(l->fd, name);
    e = e < 0 ? e : plat_fs_mkdir(l->fd, name, 0700);
    *ret_made = e == 0;
    return e < 0 ? e : plat_fs_open_dir(l->fd, name);
}

void target_enter(struct target *t, struct sm_span name)
{
    struct place_level *l = target_top(t);
    bool made = false, passed = l->fd < 0;
    bool exists = target_exists(t, name); /* may move the path's bytes */
    int fd = passed ? -1 : dir_make(t, (const char *)t->path.p + t->path.n - name.n, exists, &made);
    if (!passed)
        fd = not_skipped(t, fd);
    if (!passed && fd < 0)
        restore_problem(t->r, target_told(t), fd == -ENOENT ? -SM_EMISMATCH : fd, exists ? "folder" : "missing");
    t->level[t->depth++] = (struct place_level){ .fd = fd < 0 ? -1 : fd, .path_n = t->path.n, .name_n = name.n,
        .fresh = made, .made = made };
    l = target_top(t);
    if (!made)
        list_names(t, l);
    if (fd >= 0 && !made && !t->r->compare)
        (void)!plat_fs_unlink(fd, t->tmp); /* left by a run that was killed; usually not there */
}

static void dir_meta(struct target *t, const struct op *op, struct sm_span meta, bool made)
{
    struct place_level *parent = &t->level[t->depth - 2], *l = target_top(t);
    const char *name = (const char *)t->path.p + t->path.n - l->name_n;
    struct plat_meta m = { 0 }, have = { 0 };
    struct meta_extra x;
    int e = what_meta(t->r->owners, meta, op->entry_kind, &m, &x);
    if (e < 0) {
        restore_problem(t->r, target_told(t), e, "metadata");
        return;
    }
    if (t->r->compare) {
        e = plat_meta_read(parent->fd, name, PLAT_META_XATTR, &have);
        if (e == 0)
            what_compare(t, &m, &have);
        else
            restore_problem(t->r, target_told(t), e, "metadata");
        plat_meta_wipe(&have);
    } else if (made || t->r->c->existing != RESTORE_SKIP) {
        what_apply(t, parent->fd, name, &m);
    }
    plat_meta_wipe(&m);
}

void target_leave(struct target *t, const struct op *op, struct sm_span meta)
{
    struct place_level *l = target_top(t);
    target_cut(t);
    while (l->names && !(op->flags & OPF_BROKEN) && peek(l)) {
        l->peeked = false;
        extra(t, sm_buf_span(&l->peek));
    }
    target_cut(t);
    if (l->fd >= 0) {
        dir_meta(t, op, meta, l->made);
        t->r->result->dirs++;
    }
    level_close(l);
    t->depth--;
}
