/* A roll-back: what a tree changed, from the newest to the oldest. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "giveback/internal.h"
#include "giveback/select.h"
#include "plat/clock.h"
#include "plat/fs.h"

void giving_say(struct giving *g, struct sm_span path, const char *what, int err)
{
    if (g->say)
        g->say(g->ctx, path, what, err);
}

int giving_open(int folder, giveback_say_fn *say, void *ctx, struct giving *ret, int *ret_lock)
{
    struct giving g = {.folder = folder, .cdir = -1, .b = {.dir = -1, .kdir = -1, .fd = -1}, .say = say, .ctx = ctx};
    int lock = plat_fs_lock(folder, "back.lock");
    if (lock < 0)
        return lock;
    g.cdir = plat_fs_open_dir(folder, "c");
    if (g.cdir < 0) {
        close(lock);
        return g.cdir == -ENOENT ? -SM_ENOTFOUND : g.cdir;
    }
    *ret = g;
    *ret_lock = lock;
    return 0;
}

void giving_close(struct giving *g, int lock)
{
    back_wipe(&g->b);
    records_free(&g->rs);
    free(g->alias);
    close(g->cdir);
    close(lock);
}

/* Is what stands there the file of the record, or what was made for it by a roll-back? */
static bool same_file(const struct giving *g, const struct plat_object *now, const struct plat_object *was)
{
    if (plat_object_eq(now, was))
        return true;
    for (size_t i = 0; i < g->aliases; i++) {
        if (plat_object_eq(&g->alias[i].is, now) && plat_object_eq(&g->alias[i].was, was))
            return true;
    }
    return false;
}

static bool known(const struct plat_object *o)
{
    return o->ino || o->dev;
}

/* ---- contents: are they as they were? ---- */

static int same_bytes(int a, int b, uint64_t size)
{
    enum { PIECE = 128 << 10 };
    uint8_t *x = malloc(2 * PIECE);
    if (!x)
        return -ENOMEM;
    int r = 1;
    for (uint64_t off = 0; off < size && r == 1; off += PIECE) {
        size_t n = size - off < PIECE ? (size_t)(size - off) : PIECE;
        int err = plat_fs_pread_all(a, x, n, off);
        if (err == 0)
            err = plat_fs_pread_all(b, x + PIECE, n, off);
        r = err < 0 ? 0 : memcmp(x, x + PIECE, n) == 0;
    }
    free(x);
    return r;
}

static bool same_meta(const struct plat_meta *a, const struct plat_meta *b)
{
    if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid || sm_time_cmp(a->mtime, b->mtime) != 0 ||
        a->xattr_n != b->xattr_n)
        return false;
    for (size_t i = 0; i < a->xattr_n; i++) {
        if (strcmp(a->xattr[i].name, b->xattr[i].name) != 0 || a->xattr[i].value_n != b->xattr[i].value_n ||
            memcmp(a->xattr[i].value, b->xattr[i].value, a->xattr[i].value_n) != 0)
            return false;
    }
    return true;
}

/* 1: nothing to do. */
static int is_as_before(struct giving *g, const struct kept *k, const struct place *p)
{
    struct plat_meta was, now;
    char name[17];
    uint64_t size;
    int r = meta_get(k->r.meta, &was);
    if (r < 0)
        return r;
    r = plat_meta_read(p->dir, p->name, PLAT_META_XATTR, &now);
    if (r < 0) {
        plat_meta_wipe(&was);
        return r;
    }
    bool same = same_meta(&was, &now);
    bool quick = same && was.size == now.size && sm_time_cmp(was.ctime, now.ctime) == 0; /* nobody can set that one */
    plat_meta_wipe(&was);
    plat_meta_wipe(&now);
    if (quick || !same)
        return quick;
    id_name(k->r.from, name);
    int a = plat_fs_open_read(g->cdir, name), b = plat_fs_open_read(p->dir, p->name);
    if (a >= 0 && b >= 0 && plat_fs_size(a, &size) == 0 && size == now.size)
        r = same_bytes(a, b, size);
    if (a >= 0)
        close(a);
    if (b >= 0)
        close(b);
    return r;
}

/* ---- folders that are missing on the way ---- */

static int folder_like_above(struct giving *g, uint64_t record, struct sm_span path, const struct place *p)
{
    struct plat_meta m;
    int r = plat_meta_read(p->dir, "", 0, &m);
    if (r < 0)
        return r;
    m.mtime = m.atime = plat_clock_wall();
    r = do_folder(g, record, path, &m);
    plat_meta_wipe(&m);
    return r;
}

/* As place_enter, making folders that are missing like the one above them. */
static int place_make(struct giving *g, uint64_t record, struct sm_span path, struct place *ret)
{
    int r = place_enter(path, ret);
    if (r != -ENOENT)
        return r;
    for (size_t at = 1; at < path.n; at++) {
        struct place p;
        struct plat_object o;
        if (path.p[at] != '/')
            continue;
        r = place_enter(SM_SPAN(path.p, at), &p);
        if (r < 0)
            return r;
        r = place_there(&p, &o) ? 0 : folder_like_above(g, record, SM_SPAN(path.p, at), &p);
        place_leave(&p);
        if (r < 0)
            return r;
    }
    return place_enter(path, ret);
}

/* ---- one record ---- */

static int give_content(struct giving *g, const struct kept *k, const struct place *p, uint8_t *ret)
{
    struct plat_object now;
    if (!place_there(p, &now)) {
        bool others = others_after(&g->rs, k, k->r.path, NULL);
        *ret = others ? RES_LEFT : RES_GIVEN;
        return others ? 0 : do_fresh(g, k, p);
    }
    if (!same_file(g, &now, &k->r.object) || others_after(&g->rs, k, k->r.path, &now)) {
        *ret = RES_LEFT;
        return 0;
    }
    int r = k->r.kind == GIVEBACK_REMOVED ? 1 : is_as_before(g, k, p);
    if (r != 0) {
        *ret = RES_UNCHANGED;
        return r < 0 ? r : 0;
    }
    *ret = RES_GIVEN;
    r = do_put(g, k, p, &now);
    if (r != -ETXTBSY)
        return r;
    r = do_aside(g, k->r.id, k->r.path, p, 0); /* it runs: it keeps its file, the name gets another one */
    return r < 0 ? r : do_fresh(g, k, p);
}

static int give_removed(struct giving *g, const struct kept *k, const struct place *p, uint8_t *ret)
{
    const struct kept *from = k->r.from ? records_find(&g->rs, k->r.from) : NULL;
    struct plat_object now;
    struct plat_meta m;
    if (from && from->r.kind == GIVEBACK_MADE) {
        *ret = RES_UNCHANGED; /* the tree made it and removed it */
        return 0;
    }
    if (k->r.from)
        return from ? give_content(g, k, p, ret) : -SM_ENOTFOUND;
    if (!k->r.meta.n)
        return -ENODATA; /* nobody held it open: lost */
    if (place_there(p, &now)) {
        *ret = RES_UNCHANGED;
        return 0;
    }
    if (others_after(&g->rs, k, k->r.path, NULL)) {
        *ret = RES_LEFT;
        return 0;
    }
    int r = meta_get(k->r.meta, &m);
    if (r < 0)
        return r;
    *ret = RES_GIVEN;
    r = do_folder(g, k->r.id, k->r.path, &m);
    plat_meta_wipe(&m);
    return r < 0 ? r : alias_add(g, &k->r.object, &g->b.step[g->b.steps - 1].object);
}

static int give_made(struct giving *g, const struct kept *k, const struct place *p, uint8_t *ret)
{
    struct plat_object now;
    *ret = RES_UNCHANGED;
    if (!place_there(p, &now))
        return 0;
    bool ours = !known(&k->r.object) || same_file(g, &now, &k->r.object);
    if (!ours || others_after(&g->rs, k, k->r.path, &now) || others_below(&g->rs, k)) {
        *ret = RES_LEFT;
        return 0;
    }
    *ret = RES_ASIDE;
    return do_aside(g, k->r.id, k->r.path, p, 0);
}

static int give_name(struct giving *g, const struct kept *k, const struct place *p, uint8_t *ret)
{
    struct plat_object now, then;
    struct place to;
    bool here = place_there(p, &now);
    int r = place_make(g, k->r.id, k->r.was, &to);
    if (r < 0)
        return r;
    bool there = place_there(&to, &then);
    bool ours = here && (!known(&k->r.object) || same_file(g, &now, &k->r.object));
    *ret = RES_UNCHANGED;
    if (there && known(&k->r.object) && same_file(g, &then, &k->r.object))
        r = 0; /* it has its name already */
    else if (!here && !others_after(&g->rs, k, k->r.path, NULL))
        r = told_elsewhere(&g->rs, k) ? 0 : -ENOENT;
    else if (!ours || there || others_after(&g->rs, k, k->r.path, &now) || others_after(&g->rs, k, k->r.was, NULL))
        *ret = RES_LEFT;
    else {
        *ret = RES_GIVEN;
        r = do_name(g, k, p, &to);
    }
    place_leave(&to);
    return r;
}

static int give_one(struct giving *g, const struct kept *k, uint8_t *ret)
{
    struct place p;
    int r = k->r.kind == GIVEBACK_CONTENT || k->r.kind == GIVEBACK_REMOVED ? place_make(g, k->r.id, k->r.path, &p)
                                                                         : place_enter(k->r.path, &p);
    if ((r == -ENOENT || r == -ENOTDIR) && k->r.kind == GIVEBACK_MADE) {
        *ret = RES_UNCHANGED;
        return 0;
    }
    if (r < 0)
        return r;
    r = k->r.kind == GIVEBACK_CONTENT ? give_content(g, k, &p, ret)
        : k->r.kind == GIVEBACK_REMOVED ? give_removed(g, k, &p, ret)
        : k->r.kind == GIVEBACK_MADE ? give_made(g, k, &p, ret)
                                     : give_name(g, k, &p, ret);
    place_leave(&p);
    return r;
}

/* Killed between the last step of a record and its result. */
static uint8_t result_of_steps(const struct giving *g, const struct kept *k)
{
    const struct step *s = g->b.steps ? &g->b.step[g->b.steps - 1] : NULL;
    if (!s || s->record != k->r.id || !s->done || s->undone || !sm_span_eq(sm_buf_span(&s->path), k->r.path))
        return 0;
    if (s->act == ACT_ASIDE)
        return k->r.kind == GIVEBACK_MADE ? RES_ASIDE : 0;
    return RES_GIVEN;
}

static int roll_one(struct giving *g, const struct kept *k)
{
    static const char *const word[] = {"", "given", "unchanged", "left", "failed", "aside"};
    for (size_t i = 0; i < g->b.results; i++) {
        if (g->b.result[i].record == k->r.id)
            return 0;
    }
    uint8_t what = result_of_steps(g, k);
    int r = what ? 0 : give_one(g, k, &what);
    if (g->fatal)
        return g->fatal;
    if (r < 0)
        what = RES_FAILED;
    giving_say(g, k->r.path, what == RES_GIVEN && k->r.kind == GIVEBACK_RENAMED ? "renamed" : word[what], r);
    return back_result(&g->b, k->r.id, what, r);
}

void temp_remove(struct back *b)
{
    struct place p;
    if (!b->temp.n || b->temp_no < b->steps || place_enter(sm_buf_span(&b->temp), &p) < 0)
        return;
    if (plat_fs_unlink(p.dir, p.name) == -EISDIR)
        (void)plat_fs_rmdir(p.dir, p.name);
    place_leave(&p);
}

/* What earlier roll-backs made for removed files. */
static int aliases_load(struct giving *g, uint64_t tree)
{
    uint64_t *v;
    size_t n;
    int r = backs_numbers(g->folder, &v, &n);
    for (size_t i = 0; i < n && r == 0; i++) {
        struct back b;
        if (back_load(g->folder, v[i], false, &b) < 0)
            continue;
        for (size_t j = 0; j < b.steps && b.tree == tree && !b.undone && r == 0; j++) {
            const struct kept *k = records_find(&g->rs, b.step[j].record);
            if (k && b.step[j].act == ACT_FRESH && !b.step[j].undone &&
                sm_span_eq(sm_buf_span(&b.step[j].path), k->r.path)) /* not a folder on its way */
                r = alias_add(g, &k->r.object, &b.step[j].object);
        }
        back_wipe(&b);
    }
    free(v);
    return r;
}

static int redo_last(struct giving *g)
{
    temp_remove(&g->b);
    for (size_t i = 0; i < g->b.steps; i++) {
        struct step *s = &g->b.step[i];
        if (!s->done && !s->undone && redo_step(g, s) < 0 && g->fatal)
            return g->fatal;
    }
    return 0;
}

static void count(const struct giving *g, struct giveback_done *ret)
{
    struct giveback_done d = {.bytes = g->bytes};
    for (size_t i = 0; i < g->b.results; i++) {
        uint8_t w = g->b.result[i].what;
        d.files += w == RES_GIVEN;
        d.unchanged += w == RES_UNCHANGED;
        d.left += w == RES_LEFT;
        d.failed += w == RES_FAILED;
        d.aside += w == RES_ASIDE;
    }
    *ret = d;
}

static int roll_all(struct giving *g, struct giveback_done *ret)
{
    struct sm_span *path = calloc(g->b.paths + 1, sizeof *path);
    if (!path)
        return -ENOMEM;
    for (size_t i = 0; i < g->b.paths; i++)
        path[i] = sm_buf_span(&g->b.path[i]);
    int r = select_records(&g->rs, g->b.tree, g->b.upto, path, g->b.paths);
    free(path);
    if (r == 0)
        r = redo_last(g);
    for (size_t i = g->rs.n; i > 0 && r == 0; i--) {
        if (g->rs.v[i - 1].chosen)
            r = roll_one(g, &g->rs.v[i - 1]);
    }
    if (r == 0)
        r = back_word(&g->b, J_END, true);
    if (r == 0)
        count(g, ret);
    return r;
}

/* An undo that was killed is finished first: half undone, nothing can be said of a file. */
static int finish_undo(struct giving *g, uint64_t tree)
{
    uint64_t *v;
    size_t n;
    int r = backs_numbers(g->folder, &v, &n);
    for (size_t i = 0; i < n && r == 0; i++) {
        struct giveback_done unused;
        if (back_load(g->folder, v[i], true, &g->b) < 0)
            continue;
        if (g->b.tree == tree && g->b.undoing && !g->b.undone)
            r = undo_all(g, &unused);
        back_wipe(&g->b);
    }
    free(v);
    return r;
}

static int begin(struct giving *g, uint64_t tree, const struct sm_span *paths, size_t n)
{
    uint64_t running;
    int r = backs_running(g->folder, tree, &running);
    if (r < 0)
        return r;
    if (running)
        return back_load(g->folder, running, true, &g->b);
    uint64_t upto = g->rs.n ? g->rs.v[g->rs.n - 1].r.id : 0;
    r = select_records(&g->rs, tree, upto, paths, n);
    bool any = false;
    for (size_t i = 0; i < g->rs.n; i++)
        any = any || g->rs.v[i].chosen;
    if (r == 0 && !any)
        r = -SM_ENOTFOUND;
    return r < 0 ? r : back_new(g->folder, tree, upto, paths, n, &g->b);
}

int giveback_roll_back(int folder, uint64_t tree, const struct sm_span *paths, size_t n, giveback_say_fn *say, void *ctx,
    uint64_t *ret_number, struct giveback_done *ret)
{
    struct giving g;
    int lock;
    if (n > PATHS_MAX)
        return -SM_ELIMIT;
    for (size_t i = 0; i < n; i++) {
        if (!path_ok(paths[i]))
            return -SM_EINVAL;
    }
    int r = giving_open(folder, say, ctx, &g, &lock);
    if (r < 0)
        return r;
    backs_forget(folder, plat_clock_wall().s);
    r = finish_undo(&g, tree);
    if (r == 0)
        r = records_load(folder, &g.rs);
    if (r == 0)
        r = records_mark(folder, &g.rs);
    if (r == 0)
        r = begin(&g, tree, paths, n);
    if (r == 0)
        r = aliases_load(&g, tree);
    if (r == 0)
        r = roll_all(&g, ret);
    if (r == 0)
        *ret_number = g.b.number;
    giving_close(&g, lock);
    return r;
}
