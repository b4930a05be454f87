/* Trees of processes as the sensor sees them: their table, the verdict on them, and stopping them. */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crypto/random.h"
#include "plat/clock.h"
#include "plat/procinfo.h"
#include "sakimori-agent/sensor/internal.h"

#define WINDOW 16u      /* places a tree may stand in */
#define ROUNDS 64u      /* of looking for new members while stopping */
#define STOPPED_MAX 16384u

static size_t place(uint64_t tree)
{
    return (size_t)((tree * 0x9e3779b97f4a7c15u) >> 40) % TREES_MAX;
}

struct tree *trees_find(struct sensor *s, uint64_t tree)
{
    for (size_t k = 0, at = place(tree); k < WINDOW; k++)
        if (s->trees[(at + k) % TREES_MAX].tree == tree)
            return &s->trees[(at + k) % TREES_MAX];
    return NULL;
}

/* Nothing speaks against it: what was kept for it may go when room is needed. */
static void forget(struct sensor *s, struct tree *t)
{
    ransom_drop_tree(s->ransom, t->tree);
    held_drop_tree(s->held, t->tree);
    if (s->give && (t->bits & TREE_KEEPS) && !(t->bits & (TREE_SUSPECT | TREE_CONDEMNED)))
        giveback_suspect(s->give, t->tree, false);
    *t = (struct tree){0};
}

/* A place for a new tree: a free one, else the one of the tree that was quiet longest. */
static struct tree *make_place(struct sensor *s, uint64_t tree)
{
    struct tree *oldest = NULL;
    for (size_t k = 0, at = place(tree); k < WINDOW; k++) {
        struct tree *t = &s->trees[(at + k) % TREES_MAX];
        if (!t->tree)
            return t;
        bool may_go = !(t->bits & (TREE_CONDEMNED | TREE_SUSPECT)) && !t->pending;
        if (may_go && (!oldest || t->seen_ms < oldest->seen_ms))
            oldest = t;
    }
    if (!oldest) /* all are suspected: the one this number falls on goes, its kept files stay */
        oldest = &s->trees[place(tree)];
    forget(s, oldest);
    return oldest;
}

struct tree *trees_get(struct sensor *s, uint64_t tree, uint64_t base)
{
    struct tree *t = trees_find(s, tree);
    if (!t) {
        t = make_place(s, tree);
        *t = (struct tree){.tree = tree, .base = base};
    }
    t->seen_ms = sensor_now_ms();
    return t;
}

/* ---- stopping ---- */

static bool is_same(uint32_t pid, uint64_t start)
{
    struct procinfo now;
    return !procinfo_look(pid, &now) && (!start || now.start == start);
}

/* By a handle, so that the signal cannot reach another process that was given the number meanwhile. */
static bool signal_one(uint32_t pid, uint64_t start, int signo)
{
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    bool sent = fd >= 0 && is_same(pid, start) && syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0) == 0;
    if (fd >= 0)
        close(fd);
    return sent;
}

struct stopped {
    uint32_t pid;
    uint64_t start;
};

static bool is_in(const struct stopped *list, size_t n, const struct proctree_row *row)
{
    for (size_t i = n; i-- > 0;)
        if (list[i].pid == row->pid && list[i].start == row->start)
            return true;
    return false;
}

/* Signal all members, parents first, until a look finds no new one: what was forked meanwhile is found by the next round. */
static unsigned signal_all(struct sensor *s, const struct tree *t, int signo)
{
    struct stopped *list = NULL;
    size_t n = 0, room = 0;
    unsigned sent = 0;
    bool more = true;
    for (unsigned round = 0; round < ROUNDS && more; round++) {
        size_t members = who_members(s, t);
        more = false;
        for (size_t i = 0; i < members && n < STOPPED_MAX; i++) {
            if (is_in(list, n, &s->rows[i]))
                continue;
            if (n == room) {
                struct stopped *bigger = realloc(list, (room = 2 * room + 64) * sizeof *list);
                if (!bigger)
                    break;
                list = bigger;
            }
            list[n++] = (struct stopped){s->rows[i].pid, s->rows[i].start};
            sent += signal_one(s->rows[i].pid, s->rows[i].start, signo);
            more = true;
        }
        atomic_store(&s->busy_ms, sensor_now_ms()); /* it works, it does not stand */
        procs_drain(s->procs);
        if (more && procs_fd(s->procs) < 0)
            procs_tick(s->procs);
    }
    free(list);
    return sent;
}

/* A signal stops a process at its next step only: the system call that it is in, and the open that waits for our answer, are still
 * carried out.  The finding is told, and files are given back on it, once all of the tree stands; a process that hangs in the kernel
 * is not waited for longer than SETTLE_MS. */
static bool stands(struct sensor *s, const struct tree *t)
{
    size_t n = who_members(s, t);
    for (size_t i = 0; i < n; i++)
        if (is_same(s->rows[i].pid, s->rows[i].start) && !procinfo_stands(s->rows[i].pid))
            return false;
    return !t->pending;
}

static void say_stopped(struct sensor *s, const struct tree *t, int64_t now)
{
    for (size_t i = 0; i < s->settling_n; i++)
        if (s->settling[i].tree == t->tree)
            return;
    if (s->settling_n < SETTLING_MAX)
        s->settling[s->settling_n++] = (struct settling){t->tree, now + SETTLE_MS};
}

void trees_settle(struct sensor *s, int64_t now)
{
    for (size_t i = 0; i < s->settling_n;) {
        struct tree *t = trees_find(s, s->settling[i].tree);
        if (t && now < s->settling[i].until_ms && !stands(s, t)) {
            i++;
            continue;
        }
        s->settling[i] = s->settling[--s->settling_n];
        if (t && (t->bits & TREE_CONDEMNED)) {
            acts_write(s, t);
            say_finding(s, t, "stopped");
        }
    }
}

void trees_stop(struct sensor *s, struct tree *t)
{
    bool first = !(t->bits & TREE_CONDEMNED);
    t->bits |= TREE_CONDEMNED | TREE_SUSPECT;
    if (!t->program[0] && s->who.t == t)
        memcpy(t->program, s->who.exe, sizeof t->program);
    unsigned n = signal_all(s, t, SIGSTOP);
    int64_t now = sensor_now_ms();
    if (first) {
        t->stop_ms = now;
        t->stopped = n;
    }
    if (s->give)
        giveback_suspect(s->give, t->tree, true);
    acts_write(s, t);
    if (first || now - t->said_ms > 1000)
        say_stopped(s, t, now);
}

void trees_verdict(struct sensor *s, struct tree *t, const struct ransom_verdict *v, const char *program)
{
    int mode = atomic_load(&s->mode);
    t->score = v->score;
    t->touched = v->touched;
    t->destroyed = v->destroyed;
    if (v->say == RANSOM_GO)
        return;
    if (!(t->bits & TREE_SUSPECT)) {
        t->bits |= TREE_SUSPECT;
        if (s->give)
            giveback_suspect(s->give, t->tree, true);
    }
    if (v->say != RANSOM_STOP || (t->bits & TREE_CONDEMNED))
        return;
    if (program)
        snprintf(t->program, sizeof t->program, "%s", program);
    if (mode >= ENDPOINT_STOP) {
        trees_stop(s, t);
    } else if (!(t->bits & TREE_SEEN)) {
        t->bits |= TREE_SEEN;
        acts_write(s, t);
        say_finding(s, t, "seen");
    }
}

void trees_command(struct sensor *s, uint64_t tree, enum sensor_do what)
{
    struct tree *t = trees_find(s, tree);
    uint64_t base;
    if (!t && (what == SENSOR_STOP || what == SENSOR_MEMBERS)) /* one that touched no file yet: its number is procs' own */
        t = (base = who_base(s, tree)) ? trees_get(s, tree, base) : NULL;
    if (what == SENSOR_MEMBERS) {
        say_members(s, tree, t);
        return;
    }
    if (!t)
        return;
    if (what == SENSOR_STOP) {
        trees_stop(s, t);
        return;
    }
    bool stood = t->bits & TREE_CONDEMNED;
    t->bits &= ~(uint32_t)(TREE_CONDEMNED | (what == SENSOR_GO ? 0 : TREE_SUSPECT));
    if (what == SENSOR_EXCUSE || what == SENSOR_GO)
        ransom_excuse(s->ransom, tree);
    if (what == SENSOR_DROP)
        forget(s, t);
    else if (stood && what == SENSOR_GO)
        (void)signal_all(s, t, SIGCONT);
}

/* ---- the end of trees ---- */

/* Told while procs works: what is done about it waits for trees_tick, after the notices of its last acts. */
void trees_gone(void *sensor, uint64_t base)
{
    struct sensor *s = sensor;
    if (s->trees && trees_find(s, base) && s->gone_n < sizeof s->gone / sizeof s->gone[0])
        s->gone[s->gone_n++] = base;
}

void trees_tick(struct sensor *s)
{
    for (size_t i = 0; i < s->gone_n; i++) {
        struct tree *t = trees_find(s, s->gone[i]);
        if (!t || t->pending)
            continue;
        if (t->bits & (TREE_CONDEMNED | TREE_SEEN))
            say_finding(s, t, "ended");
        forget(s, t);
    }
    s->gone_n = 0;
}
