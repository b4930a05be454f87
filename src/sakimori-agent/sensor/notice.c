/* What happened in the folders: made, written, renamed, removed.  The scores are told, and what a roll-back needs is remembered. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/clock.h"
#include "sakimori-agent/sensor/internal.h"

#define ROUNDS_MAX 64 /* reads in a row: then asks are looked at again */

static void score(struct sensor *s, uint8_t how, uint64_t file, struct sm_span path, struct sm_span to, uint64_t size)
{
    const struct who *w = &s->who;
    struct ransom_verdict v;
    bool decoy = how != RANSOM_WRITTEN && decoy_is(s, path);
    if (decoy)
        say_decoy(s, path, true);
    const struct ransom_act act = {.tree = w->t->tree, .file = file, .pid = w->pid, .how = how, .who = w->bits, .group = w->group,
        .at_ms = sensor_now_ms(), .size = size, .path = path, .to = to, .program = SM_SPAN_STR(w->exe),
        .decoy = decoy, .line = SM_SPAN_STR(w->line)};
    if (!ransom_act(s->ransom, &act, &v))
        trees_verdict(s, w->t, &v, w->exe);
}

static void remember(struct sensor *s, uint8_t kind, uint64_t file, struct sm_span path, struct sm_span was)
{
    acts_add(s->acts, &(struct act){.tree = s->who.t->tree, .file = file, .at_s = plat_clock_wall().s, .pid = s->who.pid,
        .kind = kind, .path = path, .was = was});
}

/* ---- writing it down, once the tree has to be given back ---- */

struct writing {
    struct sensor *s;
    struct tree *t;
};

static void write_act(void *ctx, const struct act *a)
{
    const struct writing *w = ctx;
    struct sensor *s = w->s;
    struct held_file *f = a->file ? held_find(s->held, a->tree, a->file) : NULL;
    if (!f && a->file && a->kind == GIVEBACK_REMOVED)
        f = held_any(s->held, a->file);
    bool needs = a->kind == GIVEBACK_REMOVED || a->kind == GIVEBACK_MADE;
    struct giveback_what what = {.tree = a->tree, .pid = a->pid, .kind = a->kind, .fd = needs && f ? f->fd : -1, .path = a->path,
        .was = a->was, .at_s = a->at_s};
    uint64_t id = 0;
    int r = giveback_keep(s->give, &what, NULL, &id);
    atomic_store(&s->busy_ms, sensor_now_ms());
    if (!r && a->kind == GIVEBACK_REMOVED && what.fd >= 0)
        w->t->kept++;
    else if ((r || what.fd < 0) && a->kind == GIVEBACK_REMOVED) {
        w->t->unkept++;
        atomic_fetch_add(&s->unkept, 1);
    }
}

void acts_write(struct sensor *s, struct tree *t)
{
    struct writing w = {s, t};
    if (!s->give)
        return;
    if (acts_take(s->acts, t->tree, write_act, &w))
        t->bits |= TREE_KEEPS;
}

/* A tree that is suspected already: at once. */
static void write_now(struct sensor *s)
{
    if (s->who.t->bits & (TREE_SUSPECT | TREE_CONDEMNED))
        acts_write(s, s->who.t);
}

/* ---- the kinds ---- */

/* The name of this file is gone, the file itself is held. */
static void gone(struct sensor *s, struct held_file *f, struct sm_span path)
{
    struct stat st = {0};
    if (!f) {
        remember(s, GIVEBACK_REMOVED, 0, path, SM_SPAN(NULL, 0));
        return;
    }
    if (f->tree == s->who.t->tree && (f->bits & HELD_MADE))
        return; /* its own */
    if (!fstat(f->fd, &st) && !st.st_nlink)
        held_gone(s->held, f, (uint64_t)st.st_blocks * 512, GONE_BYTES);
    remember(s, GIVEBACK_REMOVED, f->file, path, SM_SPAN(NULL, 0));
}

static void on_removed(struct sensor *s, const struct fswatch_notice *n, struct sm_span path)
{
    struct tree *t = s->who.t;
    if (n->folder)
        return;
    struct held_file *f = n->file ? held_find(s->held, t->tree, n->file) : NULL;
    if (!f && n->file)
        f = held_any(s->held, n->file);
    bool own = f && f->tree == t->tree && (f->bits & HELD_MADE);
    if (!own && !(t->bits & TREE_REMOVED)) {
        t->bits |= TREE_REMOVED;
        pending_tell(s, &s->who);
    }
    gone(s, f, path);
    score(s, RANSOM_REMOVED, f && f->tree == t->tree ? f->file : 0, path, SM_SPAN(NULL, 0), f ? f->size : 0);
}

/* Where it is now; of one that left what is watched by itself.  Bytes in s->to, 0 when nobody knows. */
static size_t moved_to(struct sensor *s, const struct fswatch_notice *n)
{
    ssize_t len = fswatch_path(s->w, n->to.folder.n ? &n->to : &n->self, s->to);
    return len > 0 ? (size_t)len : 0;
}

/* A folder that came or went: what is below it is watched, or no longer.  A file that went is followed, so that it cannot be
 * destroyed where nobody looks. */
static void on_moved(struct sensor *s, const struct fswatch_notice *n, bool from_in, bool to_in)
{
    if (n->folder) {
        fswatch_moved(s->w);
        if (from_in != to_in && s->to[0])
            walk_add(s, s->to, to_in);
    } else if (from_in && !to_in && atomic_load(&s->mode) >= ENDPOINT_WATCH) {
        (void)fswatch_follow(s->w, &n->self); /* gone again, or of a file system without handles */
    }
}

static void on_renamed(struct sensor *s, const struct fswatch_notice *n, struct sm_span path)
{
    struct stat st;
    const struct sm_span to = SM_SPAN(s->to, moved_to(s, n));
    s->to[to.n] = 0;
    const uint64_t tree = s->who.t->tree, name = held_hash(to);
    on_moved(s, n, path.n && roots_have(s, (const char *)path.p), to.n && roots_have(s, s->to));
    if (!path.n || !to.n) {
        if (path.n) /* nobody knows where to: to a roll-back it is gone */
            remember(s, GIVEBACK_REMOVED, n->file, path, SM_SPAN(NULL, 0));
        return;
    }
    struct held_file *moved = n->file ? held_find(s->held, tree, n->file) : NULL;
    struct held_file *hit = held_named(s->held, tree, name);
    hit = hit ? hit : held_named(s->held, 0, name);
    if (hit && hit->file != n->file && !fstat(hit->fd, &st) && !st.st_nlink)
        gone(s, hit, to); /* what stood there */
    if (moved)
        held_rename(s->held, moved, name);
    if (s->pending_n && !(moved && moved->bits & HELD_MADE))
        pending_moved(s, to);
    remember(s, GIVEBACK_RENAMED, 0, to, path);
    score(s, RANSOM_RENAMED, moved ? moved->file : 0, path, to, moved ? moved->size : 0);
}

/* Something that can be started was written: scan looks at it before anybody does.  Whether it may be run yet says little, for that is
 * often set afterwards; its first bytes say it. */
static void tell_program(struct sensor *s, const struct held_file *f, struct sm_span path)
{
    uint8_t head[4] = {0};
    ssize_t n = pread(f->fd, head, sizeof head, 0);
    bool program = n == 4 && (!memcmp(head, "\177ELF", 4) || !memcmp(head, "#!", 2) || !memcmp(head, "MZ", 2));
    int64_t second = sensor_now_ms() / 1000;
    if (second != s->written_s)
        s->written = 0;
    s->written_s = second;
    if (program && s->written++ < WRITTEN_MAX)
        say_written(s, path); /* past it the first start of each is looked at all the same */
}

static void on_written(struct sensor *s, const struct fswatch_notice *n, struct sm_span path)
{
    struct held_file *f = n->file ? held_find(s->held, s->who.t->tree, n->file) : NULL;
    struct stat st;
    if (f)
        tell_program(s, f, path);
    score(s, RANSOM_WRITTEN, f ? f->file : 0, path, SM_SPAN(NULL, 0), f && !fstat(f->fd, &st) ? (uint64_t)st.st_size : 0);
}

/* Where nobody could be asked: a file that was read, and not opened for writing, is shorter now: cut by its name. */
static void on_changed(struct sensor *s, const struct fswatch_notice *n, struct sm_span path)
{
    struct held_file *f = n->file ? held_find(s->held, s->who.t->tree, n->file) : NULL;
    struct stat st;
    if (!f || (f->bits & (HELD_KEPT | HELD_MADE)) || fstat(f->fd, &st) || (uint64_t)st.st_size >= f->size)
        return;
    s->who.t->unkept++;
    atomic_fetch_add(&s->unkept, 1);
    score(s, RANSOM_EMPTY, f->file, path, SM_SPAN(NULL, 0), (uint64_t)st.st_size);
}

static void on_made(struct sensor *s, struct sm_span path)
{
    remember(s, GIVEBACK_MADE, 0, path, SM_SPAN(NULL, 0));
    pending_add(s, s->path, &s->who);
}

static void on_notice(void *ctx, const struct fswatch_notice *n)
{
    struct sensor *s = ctx;
    atomic_store(&s->busy_ms, sensor_now_ms());
    if (n->kind == FSWATCH_OVERFLOW) {
        atomic_fetch_add(&s->overflows, 1);
        marks_anew(s); /* new folders may have been among what was lost */
        return;
    }
    if (n->kind == FSWATCH_MADE && !n->folder)
        return; /* its maker's open is asked for */
    if (!n->pid)
        return;
    if (who_is(s, n->pid, &s->who)) { /* born since the last word of processes, and gone already: `rm` of one file */
        procs_drain(s->procs);
        if (who_is(s, n->pid, &s->who))
            return;
    }
    if (s->who.own)
        return;
    if (n->kind == FSWATCH_REMOVED && n->folder)
        fswatch_moved(s->w);
    bool in = n->kind == FSWATCH_RENAMED && !n->at.folder.n; /* from where nobody looks */
    const struct fswatch_name *at = n->kind == FSWATCH_CHANGED && !n->at.folder.n ? &n->self : &n->at;
    ssize_t len = in ? 0 : fswatch_path(s->w, at, s->path);
    if (in) {
        on_renamed(s, n, SM_SPAN(NULL, 0));
        return;
    }
    if (len <= 0 && n->kind == FSWATCH_MADE && len != -ESTALE)
        marks_anew(s); /* a new folder whose place is not known */
    if (len <= 0 || (atomic_load(&s->filesystem) && n->kind != FSWATCH_RENAMED && !roots_have(s, s->path)))
        return;
    const struct sm_span path = SM_SPAN(s->path, (size_t)len);
    if (n->kind == FSWATCH_MADE)
        on_made(s, path);
    else if (n->kind == FSWATCH_WRITTEN && !n->folder)
        on_written(s, n, path);
    else if (n->kind == FSWATCH_RENAMED)
        on_renamed(s, n, path);
    else if (n->kind == FSWATCH_REMOVED)
        on_removed(s, n, path);
    else if (n->kind == FSWATCH_CHANGED)
        on_changed(s, n, path);
    write_now(s);
}

void notices_take(struct sensor *s)
{
    if (!fswatch_has(s->w, FSWATCH_NOTICES) || atomic_load(&s->mode) == ENDPOINT_OFF)
        return;
    for (int i = 0; i < ROUNDS_MAX && fswatch_notices(s->w, on_notice, s) > 0; i++)
        ;
}
