/* A roll-back taken back, step by step, from the last to the first. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "giveback/internal.h"
#include "plat/fs.h"

/* Is the file still as the step left it?  One that was being undone when we were killed need not be. */
static bool untouched(const struct step *s, const struct place *p)
{
    struct stat st;
    if (s->undoing || !s->done)
        return true;
    if (fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    return S_ISDIR(st.st_mode) || ((uint64_t)st.st_size == s->after_size && st.st_mtim.tv_sec == s->after_time.s &&
        (uint32_t)st.st_mtim.tv_nsec == s->after_time.ns);
}

static int undo_put(struct giving *g, struct step *s, const struct place *p, uint8_t *ret)
{
    struct plat_object now;
    struct plat_meta m;
    char name[17];
    if (!place_there(p, &now) || !plat_object_eq(&now, &s->object) || !untouched(s, p)) {
        *ret = RES_LEFT;
        return 0;
    }
    id_name(s->no, name);
    int fd = plat_fs_open_read(g->b.kdir, name);
    if (fd < 0)
        return fd;
    int r = meta_get(sm_buf_span(&s->meta), &m);
    if (r == 0) {
        r = copy_over(fd, &m, p->dir, p->name, &s->object);
        plat_meta_wipe(&m);
    }
    close(fd);
    return r;
}

static int undo_fresh(struct giving *g, struct step *s, const struct place *p, uint8_t *ret)
{
    struct plat_object now;
    char temp[80];
    (void)snprintf(temp, sizeof temp, ".sakimori-back-%llu-%llu", (unsigned long long)g->b.number,
        (unsigned long long)s->no);
    struct place t = {.dir = p->dir};
    memcpy(t.name, temp, sizeof temp);
    bool waits = place_there(&t, &now) && plat_object_eq(&now, &s->object); /* killed before it was renamed */
    const struct place *at = waits ? &t : p;
    if (!waits && !place_there(p, &now)) {
        *ret = s->undoing || !s->done ? RES_GIVEN : RES_LEFT;
        return 0;
    }
    if (!plat_object_eq(&now, &s->object) || (!waits && !untouched(s, p))) {
        *ret = RES_LEFT;
        return 0;
    }
    int r = plat_fs_unlink(at->dir, at->name);
    if (r == -EISDIR || r == -EPERM)
        r = plat_fs_rmdir(at->dir, at->name);
    if (r == -ENOTEMPTY || r == -EEXIST) {
        *ret = RES_LEFT;
        return 0;
    }
    return r;
}

/* A copy comes back under a temporary name first, so that it is there whole or not at all. */
static int bring_copy(struct giving *g, const char *saved, const struct plat_meta *m, const struct place *p)
{
    char temp[80], target[GIVEBACK_PATH_MAX + 1];
    struct plat_meta_report report;
    (void)snprintf(temp, sizeof temp, ".sakimori-back-%llu-%s", (unsigned long long)g->b.number, saved);
    int r = plat_fs_unlink(p->dir, temp);
    if (r == -EISDIR || r == -EPERM)
        (void)plat_fs_rmdir(p->dir, temp);
    if (m->type == PLAT_FILE) {
        int fd = plat_fs_open_read(g->b.kdir, saved);
        r = fd < 0 ? fd : copy_to(fd, m, p->dir, temp);
        if (fd >= 0)
            close(fd);
        return r < 0 ? r : plat_fs_rename(p->dir, temp, p->dir, p->name, false);
    }
    memcpy(target, m->target.p ? (const char *)m->target.p : "", m->target.n);
    target[m->target.n] = 0;
    r = m->type == PLAT_DIR ? plat_fs_mkdir(p->dir, temp, 0700)
        : m->type == PLAT_SYMLINK ? plat_fs_symlink(target, p->dir, temp)
                                  : plat_fs_mknod(p->dir, temp, S_IFIFO | 0600, 0);
    if (r == 0)
        r = plat_meta_apply(p->dir, temp, m, PLAT_APPLY_OWNER | PLAT_APPLY_XATTR | PLAT_APPLY_PRUNE, &report);
    r = r == -SM_EPARTIAL ? 0 : r;
    return r < 0 ? r : plat_fs_rename(p->dir, temp, p->dir, p->name, false);
}

static int undo_aside(struct giving *g, struct step *s, const struct place *p, uint8_t *ret)
{
    struct plat_object now;
    struct plat_meta m;
    struct stat st;
    char name[17];
    id_name(s->no, name);
    if (place_there(p, &now)) {
        bool back = plat_object_eq(&now, &s->object) || (s->undoing && s->saved == 1);
        *ret = back ? RES_GIVEN : RES_LEFT;
        return 0;
    }
    if (s->saved == 2) {
        if (fstatat(g->b.kdir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return -errno;
        int r = plat_fs_rename(g->b.kdir, name, p->dir, p->name, false);
        return r < 0 ? r : plat_fs_sync_dir(p->dir);
    }
    int r = meta_get(sm_buf_span(&s->meta), &m);
    if (r < 0)
        return r;
    r = bring_copy(g, name, &m, p);
    plat_meta_wipe(&m);
    return r < 0 ? r : plat_fs_sync_dir(p->dir);
}

static int undo_name(struct step *s, const struct place *p, uint8_t *ret)
{
    struct plat_object now;
    struct place to;
    if (place_there(p, &now)) {
        *ret = plat_object_eq(&now, &s->object) ? RES_GIVEN : RES_LEFT;
        return 0;
    }
    int r = place_enter(sm_buf_span(&s->to), &to);
    if (r < 0)
        return r;
    if (!place_there(&to, &now) || !plat_object_eq(&now, &s->object))
        *ret = RES_LEFT;
    else
        r = plat_fs_rename(to.dir, to.name, p->dir, p->name, false);
    if (r == 0)
        r = plat_fs_sync_dir(p->dir);
    place_leave(&to);
    return r;
}

int undo_step(struct giving *g, struct step *s, uint8_t *ret_what)
{
    struct place p;
    uint8_t what = RES_GIVEN;
    int r = place_enter(sm_buf_span(&s->path), &p);
    if (r < 0)
        return r;
    switch (s->act) {
    case ACT_PUT:
        r = undo_put(g, s, &p, &what);
        break;
    case ACT_FRESH:
        r = undo_fresh(g, s, &p, &what);
        break;
    case ACT_ASIDE:
        r = undo_aside(g, s, &p, &what);
        break;
    default:
        r = undo_name(s, &p, &what);
    }
    place_leave(&p);
    if (r == 0)
        *ret_what = what;
    return r;
}

static int undo_one(struct giving *g, struct step *s, struct giveback_done *d)
{
    uint8_t what = RES_FAILED;
    struct sm_span path = sm_buf_span(&s->path);
    if (s->undone)
        return 0;
    int r = s->undoing ? 0 : back_undoing(&g->b, s);
    if (r < 0)
        return r;
    int err = undo_step(g, s, &what);
    d->files += err == 0 && what == RES_GIVEN;
    d->left += err == 0 && what == RES_LEFT;
    d->failed += err < 0;
    giving_say(g, path, err < 0 ? "failed" : what == RES_LEFT ? "left" : "undone", err);
    return back_undone(&g->b, s, err < 0 ? RES_FAILED : what, err);
}

int undo_all(struct giving *g, struct giveback_done *ret)
{
    struct giveback_done d = {0};
    int r = g->b.undone ? -SM_ESTATE : g->b.undoing ? 0 : back_word(&g->b, J_UNDO, true);
    temp_remove(&g->b);
    for (size_t i = g->b.steps; i > 0 && r == 0; i--)
        r = undo_one(g, &g->b.step[i - 1], &d);
    if (r == 0)
        r = back_word(&g->b, J_UNDO_END, true);
    if (r == 0)
        *ret = d;
    return r;
}

int giveback_undo(int folder, uint64_t number, giveback_say_fn *say, void *ctx, struct giveback_done *ret)
{
    struct giving g;
    int lock, r = giving_open(folder, say, ctx, &g, &lock);
    if (r < 0)
        return r;
    r = back_load(folder, number, true, &g.b);
    if (r == 0)
        r = undo_all(&g, ret);
    giving_close(&g, lock);
    return r;
}
