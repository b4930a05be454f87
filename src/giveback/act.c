/* The steps of a roll-back. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "giveback/internal.h"
#include "plat/fs.h"

static int own(struct sm_buf *b, struct sm_span s)
{
    b->max = FRAME_MAX;
    return s.n ? sm_buf_put_span(b, s) : 0;
}

static int step_begin(struct step *s, uint64_t record, uint8_t act, struct sm_span path, const struct plat_meta *m)
{
    *s = (struct step){.record = record, .act = act, .meta = SM_BUF_INIT(META_MAX)};
    int r = own(&s->path, path);
    if (r == 0 && m)
        r = meta_put(&s->meta, m);
    if (r < 0)
        step_wipe(s);
    return r;
}

/* The step into the journal; what cannot be written there is not done. */
static int write_step(struct giving *g, struct step *take, struct step **ret)
{
    int r = back_step(&g->b, take, ret);
    if (r < 0)
        g->fatal = r;
    return r;
}

/* It acted, or could not: then what it had saved is put back as far as that goes, and the step is void. */
static int finish(struct giving *g, struct step *s, int r, const struct place *at)
{
    uint8_t what;
    int err = 0;
    if (r == 0) {
        err = back_done(&g->b, s, at ? at->dir : -1, at ? at->name : "");
    } else {
        s->undoing = true;
        (void)undo_step(g, s, &what); /* the first error is the one to tell */
        err = back_undone(&g->b, s, RES_FAILED, r);
    }
    if (err < 0)
        g->fatal = err;
    return r < 0 ? r : err;
}

static int content_open(struct giving *g, uint64_t id)
{
    char name[17];
    id_name(id, name);
    int fd = plat_fs_open_read(g->cdir, name);
    return fd == -ENOENT ? -SM_ENOTFOUND : fd;
}

/* ---- put ---- */

/* Of this very file, contents and metadata of one: the name belongs to whoever has the folder.  *m is made anew. */
static int save_copy(struct giving *g, const struct place *p, const struct plat_object *o, struct plat_meta *m)
{
    char name[17];
    struct plat_object now;
    id_name(g->b.steps, name);
    (void)plat_fs_unlink(g->b.kdir, name); /* of a step that was not written, by a kill */
    int from = plat_fs_open_read(p->dir, p->name);
    if (from < 0)
        return from;
    plat_meta_wipe(m);
    *m = (struct plat_meta){0};
    int r = plat_object_of(from, "", &now);
    if (r == 0)
        r = plat_object_eq(&now, o) ? plat_meta_read(from, "", PLAT_META_XATTR, m) : -SM_EAGAIN;
    const struct plat_meta plain = {.type = PLAT_FILE, .mode = 0600, .uid = geteuid(), .gid = getegid(), .mtime = m->mtime,
        .atime = m->atime};
    if (r == 0)
        r = copy_to(from, &plain, g->b.kdir, name);
    close(from);
    return r < 0 ? r : plat_fs_sync_dir(g->b.kdir);
}

static int act_put(struct giving *g, uint64_t from, struct sm_span meta, const struct place *p, const struct plat_object *o)
{
    struct plat_meta m;
    int fd = content_open(g, from);
    if (fd < 0)
        return fd;
    int r = meta_get(meta, &m);
    if (r == 0) {
        r = copy_over(fd, &m, p->dir, p->name, o);
        plat_meta_wipe(&m);
    }
    close(fd);
    return r;
}

int do_put(struct giving *g, const struct kept *k, const struct place *p, const struct plat_object *o)
{
    struct plat_meta m = {0};
    struct step step, *s;
    int fd = content_open(g, k->r.from);
    if (fd < 0)
        return fd;
    close(fd);
    fd = plat_fs_create(p->dir, p->name, PLAT_FS_EXISTING | PLAT_FS_RW, 0); /* can it be written at all? */
    if (fd < 0)
        return fd;
    close(fd);
    int r = save_copy(g, p, o, &m);
    if (r == 0)
        r = step_begin(&step, k->r.id, ACT_PUT, k->r.path, &m);
    g->bytes += m.size;
    plat_meta_wipe(&m);
    if (r < 0)
        return r;
    step.saved = 1;
    step.object = *o;
    r = write_step(g, &step, &s);
    return r < 0 ? r : finish(g, s, act_put(g, k->r.from, k->r.meta, p, o), p);
}

/* ---- fresh ---- */

/* Says the temporary name before it is made. */
static int temporary(struct giving *g, struct sm_span path, char *ret, size_t n)
{
    struct sm_buf p = SM_BUF_INIT(GIVEBACK_PATH_MAX + 64);
    size_t cut = path.n;
    while (path.p[cut - 1] != '/')
        cut--;
    (void)snprintf(ret, n, ".sakimori-back-%llu-%zu", (unsigned long long)g->b.number, g->b.steps);
    int r = sm_buf_put_u8(&p, J_TEMP);
    if (r == 0)
        r = sm_buf_put_varint(&p, g->b.steps);
    if (r == 0)
        r = sm_buf_put_varint(&p, cut + strlen(ret));
    if (r == 0)
        r = sm_buf_put(&p, path.p, cut);
    if (r == 0)
        r = sm_buf_put(&p, ret, strlen(ret));
    if (r == 0)
        r = back_entry(&g->b, sm_buf_span(&p), false);
    sm_buf_wipe(&p);
    if (r < 0)
        g->fatal = r;
    return r;
}

static int step_temp(const struct giving *g, const struct step *s, char *ret, size_t n)
{
    int k = snprintf(ret, n, ".sakimori-back-%llu-%llu", (unsigned long long)g->b.number, (unsigned long long)s->no);
    return k < 0 || (size_t)k >= n ? -ENAMETOOLONG : 0;
}

static int act_fresh(struct giving *g, struct step *s, const struct place *p)
{
    char temp[80];
    int r = step_temp(g, s, temp, sizeof temp);
    if (r == 0)
        r = plat_fs_rename(p->dir, temp, p->dir, p->name, false);
    return r < 0 ? r : plat_fs_sync_dir(p->dir);
}

/* The temporary one stands: step, rename. */
static int fresh_from(struct giving *g, uint64_t record, struct sm_span path, const struct place *p, const char *temp,
    bool folder)
{
    struct step step, *s;
    int r = step_begin(&step, record, ACT_FRESH, path, NULL);
    if (r == 0) {
        r = plat_object_of(p->dir, temp, &step.object);
        if (r < 0)
            step_wipe(&step);
        else
            r = write_step(g, &step, &s);
    }
    if (r == 0)
        r = finish(g, s, act_fresh(g, s, p), p);
    if (r < 0)
        (void)(folder ? plat_fs_rmdir(p->dir, temp) : plat_fs_unlink(p->dir, temp)); /* it may be renamed already */
    return r;
}

int alias_add(struct giving *g, const struct plat_object *was, const struct plat_object *is)
{
    if (g->aliases == g->aliases_cap) {
        size_t n = g->aliases_cap ? g->aliases_cap * 2 : 64;
        struct alias *v = reallocarray(g->alias, n, sizeof *v);
        if (!v)
            return -ENOMEM;
        g->alias = v;
        g->aliases_cap = n;
    }
    g->alias[g->aliases++] = (struct alias){*was, *is};
    return 0;
}

int do_fresh(struct giving *g, const struct kept *k, const struct place *p)
{
    char temp[80];
    struct plat_meta m;
    const struct kept *source = records_find(&g->rs, k->r.from);
    int fd = content_open(g, k->r.from);
    if (fd < 0)
        return fd;
    int r = meta_get(source ? source->r.meta : k->r.meta, &m);
    if (r < 0) {
        close(fd);
        return r;
    }
    r = temporary(g, k->r.path, temp, sizeof temp);
    if (r == 0)
        r = copy_to(fd, &m, p->dir, temp);
    g->bytes += m.size;
    plat_meta_wipe(&m);
    close(fd);
    if (r == 0)
        r = fresh_from(g, k->r.id, k->r.path, p, temp, false);
    return r < 0 ? r : alias_add(g, &k->r.object, &g->b.step[g->b.steps - 1].object);
}

int do_folder(struct giving *g, uint64_t record, struct sm_span path, const struct plat_meta *m)
{
    char temp[80];
    struct place p;
    struct plat_meta_report report;
    int r = place_enter(path, &p);
    if (r < 0)
        return r;
    r = temporary(g, path, temp, sizeof temp);
    if (r == 0)
        r = plat_fs_mkdir(p.dir, temp, 0700);
    if (r == 0) {
        r = plat_meta_apply(p.dir, temp, m, PLAT_APPLY_OWNER | PLAT_APPLY_XATTR | PLAT_APPLY_PRUNE, &report);
        r = r == -SM_EPARTIAL ? 0 : r;
        if (r == 0)
            r = fresh_from(g, record, path, &p, temp, true);
        else
            (void)plat_fs_rmdir(p.dir, temp);
    }
    place_leave(&p);
    return r;
}

/* ---- aside ---- */

static int act_aside(struct giving *g, const struct step *s, const struct place *p, bool folder)
{
    char name[17];
    id_name(s->no, name);
    if (s->saved == 2) {
        int r = plat_fs_rename(p->dir, p->name, g->b.kdir, name, false);
        if (r == 0)
            r = plat_fs_sync_dir(g->b.kdir);
        return r < 0 ? r : plat_fs_sync_dir(p->dir);
    }
    int r = folder ? plat_fs_rmdir(p->dir, p->name) : plat_fs_unlink(p->dir, p->name);
    return r < 0 ? r : plat_fs_sync_dir(p->dir);
}

struct below { struct giving *g; uint64_t record; struct sm_span path; struct place *p; unsigned depth; };

static int aside_child(void *arg, struct sm_span name, unsigned char type)
{
    struct below *b = arg;
    struct sm_buf path = SM_BUF_INIT(GIVEBACK_PATH_MAX);
    struct place p = {.dir = b->p->dir};
    (void)type;
    memcpy(p.name, name.p, name.n);
    p.name[name.n] = 0;
    int r = sm_buf_put_span(&path, b->path);
    if (r == 0)
        r = sm_buf_put_u8(&path, '/');
    if (r == 0)
        r = sm_buf_put_span(&path, name);
    if (r == 0)
        r = do_aside(b->g, b->record, sm_buf_span(&path), &p, b->depth + 1);
    sm_buf_wipe(&path);
    return r;
}

/* A folder of another file system is emptied first, name by name. */
static int aside_below(struct giving *g, uint64_t record, struct sm_span path, const struct place *p, unsigned depth)
{
    if (depth >= 64)
        return -SM_ELIMIT;
    struct place in = {.dir = plat_fs_open_dir(p->dir, p->name)};
    if (in.dir < 0)
        return in.dir;
    struct below b = {g, record, path, &in, depth};
    int r = plat_fs_list(in.dir, aside_child, &b);
    close(in.dir);
    return r;
}

int do_aside(struct giving *g, uint64_t record, struct sm_span path, const struct place *p, unsigned depth)
{
    struct stat here, there;
    struct plat_meta m;
    struct step step, *s;
    if (fstat(p->dir, &here) < 0 || fstat(g->b.kdir, &there) < 0)
        return -errno;
    bool move = here.st_dev == there.st_dev;
    struct plat_object o;
    int r = plat_object_of(p->dir, p->name, &o);
    if (r == 0)
        r = plat_meta_read(p->dir, p->name, PLAT_META_XATTR, &m);
    if (r < 0)
        return r;
    bool folder = m.type == PLAT_DIR;
    if (!move && folder)
        r = aside_below(g, record, path, p, depth);
    else if (!move && m.type == PLAT_FILE)
        r = save_copy(g, p, &o, &m);
    else if (!move && m.type != PLAT_SYMLINK && m.type != PLAT_FIFO)
        r = -SM_EUNSUPPORTED;
    if (r == 0)
        r = step_begin(&step, record, ACT_ASIDE, path, &m);
    plat_meta_wipe(&m);
    if (r < 0)
        return r;
    step.saved = move ? 2 : 1;
    step.object = o;
    r = write_step(g, &step, &s);
    return r < 0 ? r : finish(g, s, act_aside(g, s, p, folder), NULL);
}

/* ---- name ---- */

static int act_name(const struct place *from, const struct place *to)
{
    int r = plat_fs_rename(from->dir, from->name, to->dir, to->name, false);
    if (r == 0)
        r = plat_fs_sync_dir(to->dir);
    return r < 0 ? r : plat_fs_sync_dir(from->dir);
}

int do_name(struct giving *g, const struct kept *k, const struct place *from, const struct place *to)
{
    struct step step, *s;
    int r = step_begin(&step, k->r.id, ACT_NAME, k->r.path, NULL);
    if (r < 0)
        return r;
    r = own(&step.to, k->r.was);
    if (r == 0)
        r = plat_object_of(from->dir, from->name, &step.object);
    if (r < 0) {
        step_wipe(&step);
        return r;
    }
    r = write_step(g, &step, &s);
    return r < 0 ? r : finish(g, s, act_name(from, to), NULL);
}

/* ---- after a kill ---- */

static int redo_at(struct giving *g, struct step *s, const struct place *p)
{
    struct plat_object now;
    bool there = place_there(p, &now), same = there && plat_object_eq(&now, &s->object);
    const struct kept *k = records_find(&g->rs, s->record);
    struct plat_meta m;
    if (s->act == ACT_PUT)
        return !same || !k ? -SM_ENOTFOUND : act_put(g, k->r.from, k->r.meta, p, &s->object);
    if (s->act == ACT_FRESH)
        return same ? 0 : act_fresh(g, s, p);
    if (!same)
        return 0; /* moved aside, or renamed, already */
    if (s->act == ACT_ASIDE) {
        int r = meta_get(sm_buf_span(&s->meta), &m);
        if (r < 0)
            return r;
        bool folder = m.type == PLAT_DIR;
        plat_meta_wipe(&m);
        return act_aside(g, s, p, folder);
    }
    struct place to;
    int r = place_enter(sm_buf_span(&s->to), &to);
    if (r < 0)
        return r;
    r = act_name(p, &to);
    place_leave(&to);
    return r;
}

int redo_step(struct giving *g, struct step *s)
{
    struct place p;
    int r = place_enter(sm_buf_span(&s->path), &p);
    if (r < 0)
        return finish(g, s, r, NULL);
    bool made = s->act == ACT_PUT || s->act == ACT_FRESH;
    r = finish(g, s, redo_at(g, s, &p), made ? &p : NULL);
    place_leave(&p);
    const struct kept *k = records_find(&g->rs, s->record);
    if (r == 0 && s->act == ACT_FRESH && k && sm_span_eq(sm_buf_span(&s->path), k->r.path))
        r = alias_add(g, &k->r.object, &s->object);
    return r;
}
