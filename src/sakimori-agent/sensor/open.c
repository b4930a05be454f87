/* One ask for an open: who, how, what it is; the verdict; what was there is kept; the answer. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/clock.h"
#include "sakimori-agent/sensor/internal.h"

#define CUT_MS 20

/* One ask on its way. */
struct opened {
    const struct fswatch_ask *ask;
    int slot;
    bool second, decoy, service;
    bool ours;          /* opened through a mount that we see too */
    bool nowhere;       /* where it stands is not known: what it is called is what its opener calls it */
    uint8_t how;        /* enum ransom_how */
    struct stat st;
    uint64_t file, name;
    struct held_file *held;
    struct sm_span path;
};

static uint64_t file_number(int fd, const struct stat *st)
{
    uint64_t n;
    if (!fswatch_number(fd, &n))
        return n;
    n = (uint64_t)st->st_ino * 0x9e3779b97f4a7c15u ^ (uint64_t)st->st_dev << 7; /* a file system without handles */
    return n ? n : 1;
}

/* Nothing was in it, and it has not been changed since it was made: by this very open. */
static bool is_new(int fd, int flags, const struct stat *st)
{
    struct statx x;
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return true;
    if (!(flags & O_CREAT) || st->st_size)
        return false;
    if (flags & O_EXCL)
        return true;
    return !statx(fd, "", AT_EMPTY_PATH, STATX_BTIME | STATX_CTIME, &x) && (x.stx_mask & STATX_BTIME) &&
        x.stx_btime.tv_sec == x.stx_ctime.tv_sec && x.stx_btime.tv_nsec == x.stx_ctime.tv_nsec &&
        plat_clock_wall().s - x.stx_btime.tv_sec <= 5;
}

static uint8_t how_opened(const struct opened *o)
{
    int flags = 0;
    if (o->ask->folder)
        return RANSOM_LIST;
    if (o->ask->cut)
        return RANSOM_EMPTY;
    if (fswatch_how(o->ask->thread, &flags)) /* it cannot be told: taken for the worst */
        return RANSOM_WRITE;
    if (is_new(o->ask->fd, flags, &o->st))
        return RANSOM_NEW;
    if (flags & O_TRUNC)
        return RANSOM_EMPTY;
    return (flags & O_ACCMODE) == O_RDONLY ? RANSOM_READ : RANSOM_WRITE;
}

/* What was read may be cut by its name next; what is open for writing has its copy. */
static void guard(struct sensor *s, const struct opened *o)
{
    struct held_file *f = held_any(s->held, o->file);
    bool on = o->how == RANSOM_READ, is = f && (f->bits & HELD_GUARDED);
    if (on != is && fswatch_guard(s->w, o->ask->fd, on) < 0)
        return;
    if (f && !on)
        f->bits &= (uint8_t)~HELD_GUARDED;
}

void decide_piece(struct sensor *s, const struct fswatch_ask *a, int slot)
{
    struct stat st;
    struct held_file *f = fstat(a->fd, &st) ? NULL : held_any(s->held, file_number(a->fd, &st));
    if (!f || ++f->asked >= ASKED_MAX) {
        (void)!fswatch_guard(s->w, a->fd, false); /* it is gone, or was not guarded */
        if (f)
            f->bits &= (uint8_t)~HELD_GUARDED;
    }
    slot_answer(s, slot, true);
}

/* It may go on; our descriptor of it stays. */
static void go_on(struct sensor *s, const struct opened *o, uint8_t bits, uint64_t kept)
{
    struct tree *t = s->who.t;
    if (o->file && o->how != RANSOM_NEW)
        guard(s, o);
    int fd = slot_answer_keep(s, o->slot, true);
    if (fd >= 0 && o->how == RANSOM_NEW && !o->nowhere && !atomic_load(&s->filesystem))
        marks_file(s, fd, NULL); /* nobody waits for it any more: it is empty yet */
    if (!o->file) {
        close(fd);
        return;
    }
    struct held_file *f = held_put(s->held, t->tree, o->file, fd, o->name, sensor_now_ms());
    f->bits |= bits | (o->how == RANSOM_READ ? HELD_GUARDED : 0);
    if (fswatch_removable(s->path)) {
        f->bits |= HELD_REMOVABLE;
        if (o->ours)
            fswatch_disk(s->w, f->fd);
    }
    if (!f->size)
        f->size = (uint64_t)o->st.st_size;
    if (kept)
        f->kept = kept;
}

static void unkept(struct sensor *s, const struct tree *t, uint64_t file, int fd)
{
    s->now_file = file;
    s->now_fd = fd;
    ransom_unkept(s->ransom, t->tree, file);
    s->now_file = 0;
}

/* What to do when the contents cannot be kept: a tree that is suspected is stopped instead of going on. */
static void go_unkept(struct sensor *s, const struct opened *o)
{
    struct tree *t = s->who.t;
    t->unkept++;
    atomic_fetch_add(&s->unkept, 1);
    unkept(s, t, o->file, o->ask->fd);
    if ((t->bits & (TREE_SUSPECT | TREE_CONDEMNED)) && atomic_load(&s->mode) >= ENDPOINT_STOP) {
        trees_stop(s, t);
        slot_answer(s, o->slot, false);
        return;
    }
    go_on(s, o, 0, 0);
}

static int copy_later(struct sensor *s, const struct opened *o)
{
    struct tree *t = s->who.t;
    bool suspect = t->bits & (TREE_SUSPECT | TREE_CONDEMNED);
    if (!suspect && (uint64_t)o->st.st_blocks * 512 > FILE_BYTES) /* holes cost nothing */
        return -EFBIG;
    struct job *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    *j = (struct job){.s = s, .what = WAIT_COPY, .slot = o->slot, .fd = o->ask->fd, .file = o->file, .size = (uint64_t)o->st.st_size,
        .until_ms = sensor_now_ms() + (suspect ? WAIT_SUSPECT_MS : WAIT_MS), .st = o->st,
        .keep = {.tree = t->tree, .pid = s->who.pid, .kind = GIVEBACK_CONTENT, .fd = o->ask->fd, .at_s = plat_clock_wall().s}};
    memcpy(j->path, o->path.p, o->path.n);
    j->keep.path = SM_SPAN(j->path, o->path.n);
    slot_waits(s, o->slot);
    int r = job_add(s, j);
    if (r)
        free(j);
    return r;
}

static void keep_first(struct sensor *s, const struct opened *o)
{
    struct tree *t = s->who.t;
    uint64_t id = 0;
    int r = !s->give ? -ENOSPC : o->nowhere ? -ESTALE : 0;
    if (!r)
        acts_write(s, t); /* what the tree did before stands before it in the list */
    t->bits |= TREE_KEEPS;
    if (!r && ((uint64_t)o->st.st_size > INLINE_BYTES || t->pending || atomic_load(&s->filesystem))) {
        r = copy_later(s, o);
        if (!r)
            return;
    } else if (!r) {
        const struct giveback_what w = {.tree = t->tree, .pid = s->who.pid, .kind = GIVEBACK_CONTENT, .fd = o->ask->fd,
            .path = o->path, .at_s = plat_clock_wall().s};
        r = giveback_keep(s->give, &w, NULL, &id);
        atomic_store_explicit(&s->unsynced, true, memory_order_relaxed);
    }
    if (r) {
        go_unkept(s, o);
        return;
    }
    t->kept++;
    go_on(s, o, HELD_KEPT, id);
}

/* A thread that asks again has come back from cutting files by their names: what they are now is looked at. */
static void settle_cuts(struct sensor *s, uint32_t thread, int64_t now)
{
    const struct who *w = &s->who;
    for (size_t i = 0; i < s->cut_n;) {
        struct ransom_verdict v;
        bool over = s->cut[i].thread == thread || now - s->cut[i].at_ms > CUT_MS;
        if (s->cut[i].tree != w->t->tree || !over) {
            i++;
            continue;
        }
        const struct ransom_act act = {.tree = w->t->tree, .file = s->cut[i].file, .pid = w->pid, .how = RANSOM_WRITTEN,
            .who = w->bits, .group = w->group, .at_ms = now, .program = SM_SPAN_STR(w->exe), .line = SM_SPAN_STR(w->line)};
        s->cut[i] = s->cut[--s->cut_n];
        if (!ransom_act(s->ransom, &act, &v))
            trees_verdict(s, w->t, &v, w->exe);
    }
}

static void remember_cut(struct sensor *s, const struct opened *o)
{
    const size_t max = sizeof s->cut / sizeof s->cut[0];
    if (s->cut_n == max)
        s->cut[0] = s->cut[--s->cut_n];
    s->cut[s->cut_n].tree = s->who.t->tree;
    s->cut[s->cut_n].file = o->file;
    s->cut[s->cut_n].thread = o->ask->thread;
    s->cut[s->cut_n++].at_ms = sensor_now_ms();
}

/* Of an old file that is empty now, since a moment, and that this tree had not open: somebody cut it by its name. */
static bool is_cut(const struct opened *o)
{
    enum { MOMENT_S = 2, OLD_S = 1 };
    struct statx x;
    if (o->held || o->st.st_size || (o->how != RANSOM_WRITE && o->how != RANSOM_EMPTY) ||
        statx(o->ask->fd, "", AT_EMPTY_PATH, STATX_BTIME | STATX_MTIME, &x) || !(x.stx_mask & STATX_BTIME))
        return false;
    int64_t now = plat_clock_wall().s;
    return now - x.stx_mtime.tv_sec <= MOMENT_S && x.stx_mtime.tv_sec - x.stx_btime.tv_sec >= OLD_S;
}

/* 0, or 1 when it waits and is asked again. */
static int ask_scores(struct sensor *s, struct opened *o)
{
    struct who *w = &s->who;
    struct ransom_verdict v;
    int64_t now = sensor_now_ms();
    const struct ransom_act act = {.tree = w->t->tree, .file = o->file, .pid = w->pid, .how = o->how,
        .who = (uint8_t)(w->bits | (o->service ? RANSOM_SERVICE : 0) | (is_cut(o) ? RANSOM_CUT : 0)), .decoy = o->decoy, .group = w->group, .at_ms = now,
        .size = (uint64_t)o->st.st_size, .path = o->path, .program = SM_SPAN_STR(w->exe), .line = SM_SPAN_STR(w->line)};
    if (o->how == RANSOM_WRITE || o->how == RANSOM_EMPTY || o->how == RANSOM_NEW) {
        if (!w->t->first_ms) {
            struct sm_time wall = plat_clock_wall();
            w->t->first_ms = now;
            w->t->first_wall_ms = wall.s * 1000 + wall.ns / 1000000;
        }
    }
    if (s->cut_n)
        settle_cuts(s, o->ask->thread, now);
    s->now_file = o->file;
    s->now_fd = o->ask->fd;
    int r = ransom_act(s->ransom, &act, &v);
    s->now_file = 0;
    if (r) {
        atomic_fetch_add(&s->lost_answers, 1);
        return 0;
    }
    if (v.wait_ms && !o->second && s->again_n < sizeof s->again / sizeof s->again[0]) {
        slot_waits(s, o->slot);
        s->again[s->again_n++] = (struct again){.slot = o->slot, .at_ms = now + v.wait_ms, .ask = *o->ask};
        return 1;
    }
    trees_verdict(s, w->t, &v, w->exe);
    return 0;
}

/* An act was looked at: how the open goes on. */
static void settle(struct sensor *s, const struct opened *o)
{
    struct tree *t = s->who.t;
    bool changes = o->how == RANSOM_WRITE || o->how == RANSOM_EMPTY;
    if (o->how == RANSOM_LIST || !o->file) {
        slot_answer(s, o->slot, true);
    } else if (o->how == RANSOM_NEW) {
        if (!o->nowhere)
            acts_add(s->acts, &(struct act){.tree = t->tree, .file = o->file, .at_s = plat_clock_wall().s, .pid = s->who.pid,
            .kind = GIVEBACK_MADE, .path = o->path});
        go_on(s, o, HELD_MADE, 0);
    } else if (changes && o->st.st_size && !o->service && !(o->held && (o->held->bits & (HELD_MADE | HELD_KEPT)))) {
        keep_first(s, o);
    } else {
        go_on(s, o, changes && !o->st.st_size && !o->held ? HELD_MADE : 0, 0);
    }
    if (t->bits & TREE_CONDEMNED && o->how == RANSOM_NEW)
        acts_write(s, t);
}

/* Nothing to decide: not a file of people's, or of ours. */
static bool is_free(struct sensor *s, struct opened *o)
{
    if (who_is_us(s, o->ask->thread) || fstat(o->ask->fd, &o->st))
        return true;
    if (!S_ISREG(o->st.st_mode) && !o->ask->folder)
        return true;
    int flags = 0;
    if (!o->ask->folder && !o->st.st_nlink) /* it has no name, or nobody finds it any more */
        return fswatch_how(o->ask->thread, &flags) || (flags & O_TMPFILE) != O_TMPFILE || flags & O_EXCL || /* it may be given one */
            who_is(s, o->ask->thread, &s->who) || s->who.own;
    return who_is(s, o->ask->thread, &s->who) || s->who.own;
}

/* Into s->path.  A file that nobody finds where we look is judged by the name its opener has for it, but nothing is written there. */
static ssize_t path_of(struct sensor *s, struct opened *o)
{
    ssize_t n = fswatch_own_path(s->w, o->ask->fd, s->path, &o->ours);
    o->nowhere = n == -ESTALE;
    return o->nowhere ? fswatch_fd_path(o->ask->fd, s->path) : n;
}

void decide_open(struct sensor *s, const struct fswatch_ask *a, int slot, bool second)
{
    struct opened o = {.ask = a, .slot = slot, .second = second};
    if (atomic_load(&s->mode) == ENDPOINT_OFF || is_free(s, &o)) {
        slot_answer(s, slot, true);
        return;
    }
    struct tree *t = s->who.t;
    o.how = how_opened(&o);
    if (!a->folder) {
        o.file = file_number(a->fd, &o.st);
        o.held = held_find(s->held, t->tree, o.file);
    }
    bool stopped = t->bits & TREE_CONDEMNED;
    /* Seen already, and nothing of it is at stake: the way of most opens. */
    if (o.held && !stopped && (o.how == RANSOM_READ || (o.held->bits & HELD_MADE))) {
        held_touch(s->held, o.held, sensor_now_ms());
        slot_answer(s, slot, true);
        return;
    }
    ssize_t n = path_of(s, &o);
    if (n <= 0 || (!o.nowhere && atomic_load(&s->filesystem) && !roots_have(s, s->path))) {
        slot_answer(s, slot, true);
        return;
    }
    o.path = SM_SPAN(s->path, (size_t)n);
    o.name = held_hash(o.path);
    o.service = s->who.service && o.st.st_uid == s->who.uid;
    o.decoy = decoy_is(s, o.path);
    if (o.decoy)
        say_decoy(s, o.path, o.how != RANSOM_READ);
    if (stopped)
        trees_stop(s, t); /* it moves although it was stopped */
    else if (ask_scores(s, &o))
        return;
    if (a->cut)
        remember_cut(s, &o);
    settle(s, &o);
}

/* ---- copies that were waited for ---- */

static void hold_copied(struct sensor *s, const struct job *j, int fd)
{
    struct held_file *f = held_put(s->held, j->keep.tree, j->file, fd, held_hash(j->keep.path), sensor_now_ms());
    f->size = f->size ? f->size : j->size;
    if (!j->err) {
        f->bits |= HELD_KEPT;
        f->kept = j->id;
    }
}

void decide_kept(struct sensor *s, struct job *j)
{
    struct tree *t = trees_find(s, j->keep.tree);
    bool allow = true;
    if (t && !j->err)
        t->kept++;
    if (t && j->err && !j->answered) {
        t->unkept++;
        atomic_fetch_add(&s->unkept, 1);
        unkept(s, t, j->file, j->fd);
        if ((t->bits & (TREE_SUSPECT | TREE_CONDEMNED)) && atomic_load(&s->mode) >= ENDPOINT_STOP) {
            trees_stop(s, t);
            allow = false;
        }
    }
    int fd = j->answered ? j->fd : slot_answer_keep(s, j->slot, allow);
    if (allow)
        hold_copied(s, j, fd);
    else
        close(fd);
}

/* It took too long: the program goes on, what comes of the copy is thrown away. */
void decide_late(struct sensor *s, struct job *j)
{
    struct tree *t = trees_find(s, j->keep.tree);
    j->cancel = true;
    j->answered = true;
    atomic_fetch_add(&s->unkept, 1);
    bool stop = t && (t->bits & (TREE_SUSPECT | TREE_CONDEMNED)) && atomic_load(&s->mode) >= ENDPOINT_STOP;
    if (t) {
        t->unkept++;
        unkept(s, t, j->file, j->fd);
        if (stop)
            trees_stop(s, t);
    }
    j->fd = slot_answer_keep(s, j->slot, !stop);
}
