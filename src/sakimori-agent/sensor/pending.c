/*
 * New folders.  Marking one at once would make a program that unpacks thousands of files ask for each of them, although there is
 * nothing of anybody's in its new folders yet.  So a folder is marked when its maker ends, becomes another program or rests; at the
 * latest after a while.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/sensor/internal.h"

#define TELL_FILES 256u

static void drop(struct sensor *s, size_t i)
{
    free(s->pending[i].path);
    s->pending[i] = s->pending[--s->pending_n];
}

static void mark(struct sensor *s, size_t i)
{
    walk_add(s, s->pending[i].path, true);
    drop(s, i);
}

/* Processor time a process has used, in ticks; UINT64_MAX when it is not there. */
static uint64_t used(uint32_t pid)
{
    char path[48], text[1024];
    unsigned long long user = 0, sys = 0;
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return UINT64_MAX;
    text[n] = 0;
    const char *p = strrchr(text, ')'); /* its name may hold anything */
    if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &sys) != 2)
        return UINT64_MAX;
    return user + sys;
}

void pending_add(struct sensor *s, const char *path, const struct who *who)
{
    int64_t now = sensor_now_ms();
    if (s->pending_n == PENDING_MAX)
        mark(s, 0);
    char *copy = strdup(path);
    if (!copy) {
        marks_anew(s);
        return;
    }
    s->pending[s->pending_n++] = (struct pending){.path = copy, .tree = who->t->tree, .start = who->start, .pid = who->pid,
        .cpu = used(who->pid), .made_ms = now};
}

void pending_tick(struct sensor *s)
{
    int64_t now = sensor_now_ms();
    for (size_t i = 0; i < s->pending_n;) {
        struct pending *p = &s->pending[i];
        if (now - p->made_ms < QUIET_MS) {
            i++;
            continue;
        }
        uint64_t cpu = used(p->pid);
        bool rests = cpu == UINT64_MAX || cpu - p->cpu < 2; /* ticks of 10 ms, since the last look */
        p->cpu = cpu;
        if (rests || now - p->made_ms > BUSY_MS)
            mark(s, i);
        else
            i++;
    }
}

void pending_word(void *sensor, enum procs_what what, const struct proctree_row *row)
{
    struct sensor *s = sensor;
    if (what == PROCS_BORN)
        return;
    for (size_t i = 0; i < s->pending_n;) {
        if (s->pending[i].pid == row->pid)
            mark(s, i);
        else
            i++;
    }
}

/* ---- what lies in folders that are not marked yet ---- */

struct telling {
    struct sensor *s;
    const struct who *who;
    const char *folder;
    int dir;
    unsigned n;
};

static void score_file(const struct telling *t, uint64_t file, const struct stat *st, struct sm_span path)
{
    struct ransom_verdict v;
    struct ransom_act act = {.tree = t->who->t->tree, .file = file, .pid = t->who->pid, .how = RANSOM_NEW, .who = t->who->bits,
        .group = t->who->group, .at_ms = sensor_now_ms(), .path = path, .program = SM_SPAN_STR(t->who->exe),
        .line = SM_SPAN_STR(t->who->line)};
    if (ransom_act(t->s->ransom, &act, &v))
        return;
    act.how = RANSOM_WRITTEN;
    act.size = (uint64_t)st->st_size;
    if (!ransom_act(t->s->ransom, &act, &v))
        trees_verdict(t->s, t->who->t, &v, t->who->exe);
}

/* Made after the folder was, as far as the file system tells. */
static bool is_younger(int dir, int fd)
{
    struct statx of, d;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &of) || statx(dir, "", AT_EMPTY_PATH, STATX_BTIME, &d) ||
        !(of.stx_mask & d.stx_mask & STATX_BTIME))
        return true;
    return of.stx_btime.tv_sec != d.stx_btime.tv_sec ? of.stx_btime.tv_sec > d.stx_btime.tv_sec :
        of.stx_btime.tv_nsec >= d.stx_btime.tv_nsec;
}

static int on_name(void *arg, struct sm_span name, unsigned char type)
{
    struct telling *t = arg;
    struct stat st;
    uint64_t file;
    char path[FSWATCH_PATH];
    int n = snprintf(path, sizeof path, "%s/%s", t->folder, (const char *)name.p);
    if (type != DT_REG || n >= (int)sizeof path)
        return 0;
    if (t->n++ >= TELL_FILES)
        return 1;
    int fd = openat(t->dir, (const char *)name.p, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return 0;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || fswatch_number(fd, &file) || held_find(t->s->held, t->who->t->tree, file)) {
        close(fd);
        return 0;
    }
    if (!is_younger(t->dir, fd)) { /* moved in: nothing that was made here */
        close(fd);
        return 0;
    }
    const struct sm_span whole = SM_SPAN(path, (size_t)n);
    held_put(t->s->held, t->who->t->tree, file, fd, held_hash(whole), sensor_now_ms())->bits |= HELD_MADE;
    score_file(t, file, &st, whole);
    return 0;
}

/* The folder above is watched, so opening this one would ask us, who are about to wait for it. */
static int tell_folder(struct sensor *s, struct telling *t, bool list)
{
    int at = open(t->folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (at < 0)
        return 0;
    int r = fswatch_unasked(s->w, at, true);
    if (!r) {
        t->dir = plat_fs_open_dir(at, ".");
        r = t->dir < 0 ? t->dir : list ? plat_fs_list(t->dir, on_name, t) : 0;
        /* What it makes from now on is asked for: earlier files are at stake.  Not before the list, which opens what lies there. */
        r = r < 0 ? r : fswatch_folder(s->w, t->dir, true);
        if (t->dir >= 0)
            close(t->dir);
        (void)!fswatch_unasked(s->w, at, false); /* it was removed meanwhile */
    }
    close(at);
    return r;
}

/* Before the first removal by a tree counts: what it made in new folders may be copies of what it removes, plain ones or not.
 * Opening there asks nobody, since the folders are not marked; where whole file systems are, nothing waits here. */
void pending_tell(struct sensor *s, const struct who *who)
{
    struct telling t = {.s = s, .who = who};
    for (size_t i = 0; i < s->pending_n && !atomic_load(&s->filesystem); i++) {
        struct pending *p = &s->pending[i];
        if (p->tree != who->t->tree || p->told)
            continue;
        p->told = true;
        t.folder = p->path;
        if (tell_folder(s, &t, true) < 0)
            s->pending[i].told = false;
    }
}

void pending_moved(struct sensor *s, struct sm_span path)
{
    struct telling t = {.s = s};
    while (path.n && path.p[path.n - 1] != '/')
        path.n--;
    for (size_t i = 0; i < s->pending_n && path.n > 1 && !atomic_load(&s->filesystem); i++) {
        struct pending *p = &s->pending[i];
        if (p->marked || p->told || strlen(p->path) != path.n - 1 || memcmp(p->path, path.p, path.n - 1) != 0)
            continue;
        t.folder = p->path;
        p->marked = tell_folder(s, &t, false) >= 0;
    }
}
