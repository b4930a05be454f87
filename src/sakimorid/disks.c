#include "sakimorid/disks.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/log.h"
#include "plat/fs.h"
#include "plat/local.h"
#include "plat/mount.h"
#include "plat/proc.h"
#include "sakimorid/diskwork.h"

enum { LOOK_MS = 2000, PATH_BYTES = 4300, END_MS = 20000 };

/* given_up: its time was over, it was killed, and whoever waited has been answered; a disk that hangs keeps it. */
struct work {
    enum { WORK_NONE, WORK_MOUNT, WORK_UNMOUNT } kind;
    bool given_up;
    struct plat_proc proc;
    int result;
    struct sm_watch *watch;
    disks_fn fn;
    void *arg;
};

struct disks {
    struct disks_config c;
    char base[PATH_BYTES];
    struct sm_timer *timer, *limit;
    char names[PLAT_DISKS_MAX][PLAT_DISK_NAME_MAX + 1];
    int n;
    char mounted[PATH_BYTES + PLAT_DISK_NAME_MAX + 2]; /* "" = none */
    struct work work;
};

/* ---- one process at a time ---- */

static void answer(struct work *w, int err, const char *path)
{
    disks_fn fn = w->fn;
    w->fn = NULL;
    if (fn)
        fn(w->arg, err, path);
}

static int work_read(struct work *w)
{
    int r = 0; /* what it says counts, not how it ended */
    if (recv(w->result, &r, sizeof r, MSG_DONTWAIT) != (ssize_t)sizeof r)
        r = -SM_EPEER;
    return r > 0 ? -SM_EPROTO : r;
}

static void work_drop(struct work *w)
{
    sm_watch_free(w->watch);
    plat_proc_close(&w->proc);
    if (w->result >= 0)
        close(w->result);
    w->watch = NULL;
    w->proc = PLAT_PROC_NONE;
    w->result = -1;
    w->kind = WORK_NONE;
    w->given_up = false;
}

static void unmount_begin(struct disks *d, disks_fn fn, void *arg);

static void on_end(void *arg, int fd, unsigned events)
{
    struct disks *d = arg;
    struct work *w = &d->work;
    int status;
    (void)fd;
    (void)events;
    if (plat_proc_wait(&w->proc, 0, &status) == -SM_ETIME)
        return;
    bool mount = w->kind == WORK_MOUNT, late = w->given_up;
    int r = work_read(w);
    sm_timer_stop(d->limit);
    work_drop(w);
    if (mount && late) { /* perhaps it was mounted after all */
        unmount_begin(d, NULL, NULL);
        return;
    }
    if (!mount || r < 0)
        d->mounted[0] = '\0';
    answer(w, mount ? r : 0, mount && r == 0 ? d->mounted : NULL);
}

static void on_limit(void *arg)
{
    struct disks *d = arg;
    struct work *w = &d->work;
    if (w->kind == WORK_NONE || w->given_up)
        return;
    sm_warn("%s: %s takes too long and is given up", d->mounted, w->kind == WORK_MOUNT ? "mounting" : "unmounting");
    w->given_up = true;
    (void)!plat_proc_kill(&w->proc, SIGKILL); /* ends when the disk lets it */
    answer(w, w->kind == WORK_MOUNT ? -SM_ETIME : 0, NULL);
}

/* argv[0], argv[1] are filled in here. */
static int work_begin(struct disks *d, int kind, const char *what, char **argv, unsigned limit_ms)
{
    struct work *w = &d->work;
    char name[32];
    int pair[2];
    int r = plat_local_pair(pair);
    if (r < 0)
        return r;
    (void)snprintf(name, sizeof name, DISK_WORK "%s", what); /* short words */
    argv[0] = (char *)(uintptr_t) "sakimorid";
    argv[1] = name;
    const struct plat_spawn_fd fd = { pair[1], DISK_RESULT_FD };
    r = plat_proc_spawn(&(struct plat_spawn){ .path = d->c.helper, .argv = argv, .fds = &fd, .fds_n = 1 }, &w->proc);
    close(pair[1]);
    if (r >= 0)
        r = sm_loop_fd(d->c.loop, w->proc.fd, SM_READ, on_end, d, &w->watch);
    w->result = pair[0];
    if (r < 0) {
        if (w->proc.pid)
            (void)!plat_proc_kill(&w->proc, SIGKILL); /* reaped with us */
        work_drop(w);
        return r;
    }
    w->kind = kind;
    sm_timer_set(d->limit, limit_ms, 0);
    return 0;
}

static void unmount_begin(struct disks *d, disks_fn fn, void *arg)
{
    char *argv[] = { NULL, NULL, d->mounted, NULL };
    d->work.fn = fn;
    d->work.arg = arg;
    int r = work_begin(d, WORK_UNMOUNT, "unmount", argv, d->c.unmount_ms);
    if (r == 0)
        return;
    sm_warn("unmounting %s: %s", d->mounted, sm_strerror(r)); /* it stays, and is refused when it is wanted */
    d->mounted[0] = '\0';
    answer(&d->work, 0, NULL);
}

/* ---- which are there ---- */

static void look(void *arg)
{
    struct disks *d = arg;
    char now[PLAT_DISKS_MAX][PLAT_DISK_NAME_MAX + 1] = { { 0 } };
    int n = plat_disks(d->c.folder, now);
    if (n < 0)
        return; /* looked at again in two seconds */
    bool same = n == d->n;
    for (int i = 0; same && i < n; i++)
        same = strcmp(now[i], d->names[i]) == 0;
    if (same)
        return;
    memcpy(d->names, now, sizeof now);
    d->n = n;
    d->c.fn(d->c.arg);
}

static int left_over(void *arg, struct sm_span name, unsigned char type)
{
    bool *some = arg;
    (void)type;
    *some |= plat_disk_name_ok((const char *)name.p);
    return 0;
}

static void tidy_begin(struct disks *d)
{
    char *argv[] = { NULL, NULL, d->base, NULL };
    bool some = false;
    int fd = plat_fs_open_dir(AT_FDCWD, d->base);
    if (fd < 0)
        return;
    (void)!plat_fs_list(fd, left_over, &some); /* what stays mounted is refused when it is wanted */
    close(fd);
    if (some)
        (void)!work_begin(d, WORK_UNMOUNT, "tidy", argv, d->c.unmount_ms); /* the same */
}

int disks_new(const struct disks_config *c, struct disks **ret)
{
    struct disks *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->c = *c;
    d->c.mount_ms = c->mount_ms ? c->mount_ms : DISKS_MOUNT_MS;
    d->c.unmount_ms = c->unmount_ms ? c->unmount_ms : DISKS_UNMOUNT_MS;
    d->work = (struct work){ .proc = PLAT_PROC_NONE, .result = -1 };
    (void)snprintf(d->base, sizeof d->base, "%.4200s/run/disks", c->data); /* data is a real path */
    int r = sm_loop_timer(c->loop, UINT64_MAX, 0, on_limit, d, &d->limit);
    if (r == 0 && *c->folder)
        r = sm_loop_timer(c->loop, LOOK_MS, LOOK_MS, look, d, &d->timer);
    if (r < 0) {
        sm_timer_free(d->limit);
        free(d);
        return r;
    }
    tidy_begin(d);
    r = *c->folder ? plat_disks(c->folder, d->names) : 0;
    d->n = r > 0 ? r : 0;
    *ret = d;
    return 0;
}

void disks_free(struct disks *d)
{
    int status;
    if (!d)
        return;
    d->work.fn = NULL;
    if (d->mounted[0] && d->work.kind == WORK_NONE)
        unmount_begin(d, NULL, NULL);
    if (d->work.kind != WORK_NONE && plat_proc_wait(&d->work.proc, END_MS, &status) == -SM_ETIME)
        sm_warn("%s still hangs", d->mounted);
    work_drop(&d->work);
    sm_timer_free(d->timer);
    sm_timer_free(d->limit);
    free(d);
}

json_t *disks_list(const struct disks *d)
{
    json_t *list = json_array();
    for (int i = 0; list && i < d->n; i++)
        if (json_array_append_new(list, json_string(d->names[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list ? json_pack("{s:o}", "disks", list) : NULL;
}

/* ---- the one for a copy ---- */

int disks_take(struct disks *d, const char *uuid, uid_t uid, gid_t gid, const char *must, disks_fn fn, void *arg)
{
    char device[PATH_BYTES], u[24], g[24], folder[64];
    if (!plat_disk_name_ok(uuid))
        return -SM_EINVAL;
    if (d->mounted[0] || d->work.kind != WORK_NONE)
        return -SM_ESTATE;
    if (snprintf(device, sizeof device, "%s/%s", d->c.folder, uuid) >= (int)sizeof device)
        return -ENAMETOOLONG;
    if (faccessat(AT_FDCWD, device, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return -SM_ENOTFOUND;
    (void)snprintf(d->mounted, sizeof d->mounted, "%s/%s", d->base, uuid); /* fits: a checked name */
    (void)snprintf(u, sizeof u, "%u", (unsigned)uid);
    (void)snprintf(g, sizeof g, "%u", (unsigned)gid);
    (void)snprintf(folder, sizeof folder, "%s", must); /* a word of ours */
    char *argv[] = { NULL, NULL, device, d->mounted, u, g, folder, NULL };
    d->work.fn = fn;
    d->work.arg = arg;
    int r = work_begin(d, WORK_MOUNT, "mount", argv, d->c.mount_ms);
    if (r < 0) {
        d->mounted[0] = '\0';
        d->work.fn = NULL;
    }
    return r;
}

bool disks_busy(const struct disks *d)
{
    return d->work.kind != WORK_NONE && !d->work.given_up;
}

void disks_release(struct disks *d, disks_fn fn, void *arg)
{
    if (d->mounted[0] && d->work.kind == WORK_NONE)
        unmount_begin(d, fn, arg);
    else if (fn)
        fn(arg, 0, NULL);
}
