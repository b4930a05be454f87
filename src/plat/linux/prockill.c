#include "plat/prockill.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/fs.h"

#define KTHREAD 0x00200000u /* PF_KTHREAD of the flags in stat; proc(5) field 9 */
#define ROUND_MS 2

/* ---- looking ---- */

struct looked { struct plat_proc_look *p; size_t n, cap; int proc; };

static int parse_stat(const char *text, struct plat_proc_look *ret)
{
    const char *p = strrchr(text, ')');
    int ppid, pgrp, session, tty, tpgid;
    unsigned flags;
    unsigned long long start;
    char state;
    if (!p || sscanf(p + 1,
                  " %c %d %d %d %d %d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state, &ppid, &pgrp,
                  &session, &tty, &tpgid, &flags, &start) != 8)
        return -SM_EFORMAT;
    ret->state = state;
    ret->parent = ppid;
    ret->session = session;
    ret->start = start;
    ret->kernel = flags & KTHREAD;
    return 0;
}

static int look_one(int proc, const char *name, struct plat_proc_look *ret)
{
    char path[48], text[1024];
    struct stat st;
    (void)snprintf(path, sizeof path, "%.15s/stat", name); /* digits */
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = plat_fs_read(fd, text, sizeof text - 1);
    int r = n <= 0 || fstat(fd, &st) ? -ESRCH : 0;
    (void)close(fd); /* opened for reading */
    if (r)
        return r;
    text[n] = 0;
    ret->pid = (pid_t)strtol(name, NULL, 10);
    ret->uid = st.st_uid;
    return parse_stat(text, ret);
}

static int add(void *arg, struct sm_span name, unsigned char type)
{
    struct looked *l = arg;
    const char *s = (const char *)name.p;
    (void)type;
    if (name.n > 15 || strspn(s, "0123456789") != name.n)
        return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 1024;
        struct plat_proc_look *p = cap > PLAT_PROCS_MAX * 2 ? NULL : realloc(l->p, cap * sizeof *p);
        if (!p)
            return -ENOMEM;
        l->p = p;
        l->cap = cap;
    }
    if (look_one(l->proc, s, &l->p[l->n]) == 0) /* else it ended meanwhile */
        l->n++;
    return 0;
}

static int by_pid(const void *a, const void *b)
{
    const struct plat_proc_look *x = a, *y = b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int plat_procs_look(struct plat_proc_look **ret, size_t *ret_n)
{
    struct looked l = {.proc = plat_fs_open_dir(AT_FDCWD, "/proc")};
    int r = l.proc < 0 ? l.proc : plat_fs_list(l.proc, add, &l);
    if (l.proc >= 0)
        (void)close(l.proc); /* opened for reading */
    if (r) {
        free(l.p);
        return r;
    }
    if (l.n)
        qsort(l.p, l.n, sizeof *l.p, by_pid);
    *ret = l.p;
    *ret_n = l.n;
    return 0;
}

/* ---- ending ---- */

struct member { pid_t pid; uint64_t start; bool stopped, told; };
struct hunt {
    const struct plat_kill *k;
    struct plat_killed *done;
    struct member *m;               /* by pid; each number once at a time */
    size_t n, cap;
    struct plat_proc_look *now;
    size_t now_n;
    bool met;                       /* somebody was there at all */
};

static struct member *find(struct hunt *h, pid_t pid, uint64_t start)
{
    for (size_t a = 0, b = h->n; a < b;) {
        size_t i = (a + b) / 2;
        if (h->m[i].pid == pid)
            return h->m[i].start == start ? &h->m[i] : NULL;
        if (h->m[i].pid < pid)
            a = i + 1;
        else
            b = i;
    }
    return NULL;
}

static const struct plat_proc_look *seen(const struct hunt *h, pid_t pid)
{
    const struct plat_proc_look key = {.pid = pid};
    return h->now_n ? bsearch(&key, h->now, h->now_n, sizeof key, by_pid) : NULL;
}

static int join(struct hunt *h, const struct plat_proc_look *p)
{
    if (h->n == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 256;
        struct member *m = cap > PLAT_PROCS_MAX * 2 ? NULL : realloc(h->m, cap * sizeof *m);
        if (!m)
            return -ENOMEM;
        h->m = m;
        h->cap = cap;
    }
    size_t i = 0;
    while (i < h->n && h->m[i].pid < p->pid)
        i++;
    if (i < h->n && h->m[i].pid == p->pid) { /* the one before ended, this one has its number */
        h->m[i] = (struct member){p->pid, p->start, false, false};
        return 0;
    }
    memmove(h->m + i + 1, h->m + i, (h->n - i) * sizeof *h->m);
    h->m[i] = (struct member){p->pid, p->start, false, false};
    h->n++;
    return 0;
}

static bool is_root(const struct hunt *h, const struct plat_proc_look *p)
{
    for (size_t i = 0; i < h->k->root_n; i++)
        if (h->k->root[i].pid == p->pid && (!h->k->root[i].start || h->k->root[i].start == p->start))
            return true;
    return h->k->by_user && p->uid == h->k->uid;
}

static bool belongs(struct hunt *h, const struct plat_proc_look *p)
{
    if (is_root(h, p))
        return true;
    const struct plat_proc_look *up = p->parent > 1 ? seen(h, p->parent) : NULL;
    return up && find(h, up->pid, up->start);
}

/* NULL: it may be touched. */
static const char *spared(const struct hunt *h, const struct plat_proc_look *p)
{
    if (p->pid == 1)
        return "process 1";
    if (p->kernel || p->pid == 2)
        return "a thread of the kernel";
    return h->k->spare ? h->k->spare(h->k->arg, p) : NULL;
}

static bool ended(char state)
{
    return state == 'Z' || state == 'X' || state == 'x';
}

static void note_spared(struct hunt *h, const char *why, bool first)
{
    if (first && !h->done->why[0])
        (void)snprintf(h->done->why, sizeof h->done->why, "%s", why); /* a phrase of ours; cut is fine */
    if (first)
        h->done->spared++;
}

/* Takes in everybody new, children of new ones too; *ret_new says how many. */
static int gather(struct hunt *h, bool first, size_t *ret_new)
{
    size_t all = 0, more;
    do {
        more = 0;
        for (size_t i = 0; i < h->now_n; i++) {
            const struct plat_proc_look *p = &h->now[i];
            if (ended(p->state) || find(h, p->pid, p->start) || !belongs(h, p))
                continue;
            const char *why = spared(h, p);
            h->met = true;
            if (why) {
                note_spared(h, why, first && all == 0);
                continue;
            }
            int r = join(h, p);
            if (r)
                return r;
            more++;
        }
        all += more;
    } while (more);
    *ret_new = all;
    return 0;
}

static void signal_one(const struct member *m, int signo)
{
    struct plat_proc p;
    if (plat_proc_open(m->pid, &p))
        return; /* gone */
    if (p.start == m->start)
        (void)plat_proc_kill(&p, signo); /* gone meanwhile, or seen again in the next round */
    plat_proc_close(&p);
}

static unsigned living(struct hunt *h)
{
    unsigned n = 0;
    for (size_t i = 0; i < h->n; i++) {
        const struct plat_proc_look *p = seen(h, h->m[i].pid);
        n += p && p->start == h->m[i].start && !ended(p->state);
    }
    return n;
}

static int look(struct hunt *h)
{
    free(h->now);
    h->now = NULL;
    h->now_n = 0;
    return plat_procs_look(&h->now, &h->now_n);
}

static int one_round(struct hunt *h, bool first, bool *killing, unsigned *ret_left)
{
    size_t fresh = 0;
    int r = look(h);
    if (!r)
        r = gather(h, first, &fresh);
    if (r)
        return r;
    *ret_left = living(h);
    if (!fresh)
        *killing = true; /* everybody was stopped when this look began */
    for (size_t i = 0; i < h->n; i++) {
        if (!*killing && !h->m[i].stopped)
            signal_one(&h->m[i], SIGSTOP);
        h->m[i].stopped = true;
        if (*killing && !h->m[i].told)
            signal_one(&h->m[i], SIGKILL);
        h->m[i].told |= *killing;
    }
    return 0;
}

int plat_proc_kill_all(const struct plat_kill *k, struct plat_killed *ret)
{
    struct plat_killed done = {0};
    struct hunt h = {.k = k, .done = &done};
    const uint64_t until = plat_clock_mono_ms() + k->timeout_ms;
    bool killing = false;
    unsigned left = 0;
    int r = one_round(&h, true, &killing, &left);
    while (!r && h.n && plat_clock_mono_ms() < until) {
        bool before = killing;
        if (before)
            plat_clock_sleep_ms(ROUND_MS);
        r = one_round(&h, false, &killing, &left);
        if (!r && before && !left)
            break;
    }
    done.left = left;
    done.killed = h.n > left ? (unsigned)h.n - left : 0;
    if (!r)
        r = !h.met ? -ESRCH : !h.n ? -SM_EDENIED : left ? -SM_ETIME : 0;
    free(h.m);
    free(h.now);
    *ret = done;
    return r;
}
