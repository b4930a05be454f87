#include "plat/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/fs.h"

enum { FDS_MAX = 16 };

/* ---- starting ---- */

static const char *const passed_env[] = {
    "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "LLVM_PROFILE_FILE"};

static void fail(int report, int err)
{
    (void)!write(report, &err, sizeof err); /* the parent sees an end without it too */
    _exit(127);
}

/* First out of the way of all targets, then to their places.  Returns the (moved) report descriptor. */
static int place_fds(const struct plat_spawn *s, int report)
{
    int high[FDS_MAX];
    int top = 3;
    for (size_t i = 0; i < s->fds_n; i++)
        top = s->fds[i].to >= top ? s->fds[i].to + 1 : top;
    int moved = fcntl(report, F_DUPFD_CLOEXEC, top);
    if (moved < 0)
        fail(report, errno);
    for (size_t i = 0; i < s->fds_n; i++) {
        high[i] = fcntl(s->fds[i].from, F_DUPFD_CLOEXEC, top);
        if (high[i] < 0)
            fail(moved, errno);
    }
    (void)close_range(3, (unsigned)top - 1, 0); /* top > 3, or nothing is to be closed */
    for (size_t i = 0; i < s->fds_n; i++) {
        if (dup2(high[i], s->fds[i].to) < 0)
            fail(moved, errno);
    }
    return moved;
}

static void reset_signals(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL); /* KILL and STOP refuse, rightly */
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void child(const struct plat_spawn *s, char *const *env, pid_t parent, int report)
{
    reset_signals();
    report = place_fds(s, report);
    /* Whatever was opened without close-on-exec, by a library perhaps, ends here. */
    int top = 3;
    for (size_t i = 0; i < s->fds_n; i++)
        top = s->fds[i].to >= top ? s->fds[i].to + 1 : top;
    (void)syscall(SYS_close_range, (unsigned)top, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
    if (chdir(s->dir ? s->dir : "/") < 0)
        fail(report, errno);
    if (s->group && setsid() < 0)
        fail(report, errno);
    if (s->as_user && (setgroups(0, NULL) < 0 || setresgid(s->gid, s->gid, s->gid) < 0 ||
                          setresuid(s->uid, s->uid, s->uid) < 0))
        fail(report, errno);
    if (s->with_us && prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0) /* after the change of user, which forgets it */
        fail(report, errno);
    if (s->with_us && getppid() != parent)
        _exit(0); /* it ended before that was said */
    (void)execve(s->path ? s->path : "/proc/self/exe", s->argv, env);
    fail(report, errno);
}

static size_t default_env(char *list[], size_t max)
{
    size_t n = 0;
    list[n++] = (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    list[n++] = (char *)"LANG=C.UTF-8";
    for (size_t i = 0; i < sizeof passed_env / sizeof passed_env[0] && n + 1 < max; i++) {
        size_t k = strlen(passed_env[i]);
        for (char **e = environ; *e && n + 1 < max; e++) {
            if (strncmp(*e, passed_env[i], k) == 0 && (*e)[k] == '=')
                list[n++] = *e;
        }
    }
    list[n] = NULL;
    return n;
}

/* Does the child say that exec failed?  0 when it started. */
static int exec_result(int report, pid_t pid)
{
    int err = 0;
    ssize_t n = plat_fs_read(report, &err, sizeof err);
    if (n == 0)
        return 0;
    (void)waitpid(pid, NULL, 0);
    return n == (ssize_t)sizeof err && err > 0 ? -err : -EIO;
}

int plat_proc_spawn(const struct plat_spawn *s, struct plat_proc *ret)
{
    char *env[16];
    int report[2];
    if (s->fds_n > FDS_MAX)
        return -SM_EINVAL;
    (void)default_env(env, sizeof env / sizeof env[0]);
    if (pipe2(report, O_CLOEXEC) < 0)
        return -errno;
    const pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        int err = -errno;
        close(report[0]);
        close(report[1]);
        return err;
    }
    if (pid == 0)
        child(s, s->env ? s->env : env, parent, report[1]);
    close(report[1]);
    int r = exec_result(report[0], pid);
    close(report[0]);
    if (r < 0)
        return r;
    r = plat_proc_open(pid, ret);
    if (r < 0) { /* a child we could not hold on to must not run on */
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    return r;
}

/* ---- holding ---- */

/* Start time and state of pid from /proc.  proc(5): field 22 and 3; the name in field 2 may hold anything. */
static int read_stat(pid_t pid, uint64_t *ret_start, char *ret_state)
{
    char path[48], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    ssize_t n = plat_fs_read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return -ESRCH;
    text[n] = 0;
    const char *p = strrchr(text, ')');
    if (!p || p[1] != ' ')
        return -SM_EFORMAT;
    *ret_state = p[2];
    p += 2;
    for (int field = 3; field < 22 && p; field++) {
        p = strchr(p, ' ');
        p = p ? p + 1 : NULL;
    }
    if (!p)
        return -SM_EFORMAT;
    *ret_start = strtoull(p, NULL, 10);
    return 0;
}

int plat_proc_open(pid_t pid, struct plat_proc *ret)
{
    struct plat_proc p = {.pid = pid};
    char state;
    if (pid <= 0)
        return -ESRCH;
    p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (p.fd < 0 && errno != ENOSYS && errno != EPERM)
        return -errno;
    /* Read after the pidfd is held: the number cannot have passed to another process in between unseen. */
    int r = read_stat(pid, &p.start, &state);
    if (r < 0) {
        plat_proc_close(&p);
        return r;
    }
    *ret = p;
    return 0;
}

int plat_proc_self(struct plat_proc *ret)
{
    return plat_proc_open(getpid(), ret);
}

void plat_proc_close(struct plat_proc *p)
{
    if (p->fd >= 0 && p->pid > 0)
        close(p->fd);
    *p = PLAT_PROC_NONE;
}

bool plat_proc_alive(const struct plat_proc *p)
{
    uint64_t start;
    char state;
    if (p->pid <= 0 || read_stat(p->pid, &start, &state) < 0)
        return false;
    return start == p->start && state != 'Z' && state != 'X';
}

int plat_proc_kill(const struct plat_proc *p, int signo)
{
    if (p->pid <= 0)
        return -ESRCH;
    if (p->fd >= 0)
        return syscall(SYS_pidfd_send_signal, p->fd, signo, NULL, 0) < 0 ? -errno : 0;
    if (!plat_proc_alive(p))
        return -ESRCH;
    return kill(p->pid, signo) < 0 ? -errno : 0;
}

int plat_proc_kill_group(const struct plat_proc *p, int signo)
{
    /* The leader's number cannot be given to another process while one of its group lives. */
    return p->pid <= 1 ? -ESRCH : kill(-p->pid, signo) < 0 ? -errno : 0;
}

int plat_proc_wait(struct plat_proc *p, int timeout_ms, int *ret_status)
{
    uint64_t until = plat_clock_mono_ms() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0);
    for (;;) {
        int status;
        pid_t r = waitpid(p->pid, &status, timeout_ms < 0 ? 0 : WNOHANG);
        if (r == p->pid) {
            *ret_status = status;
            return 0;
        }
        if (r < 0 && errno != EINTR)
            return -errno;
        uint64_t now = plat_clock_mono_ms();
        if (timeout_ms >= 0 && now >= until)
            return -SM_ETIME;
        struct pollfd f = {.fd = p->fd, .events = POLLIN};
        int left = timeout_ms < 0 ? 1000 : (int)(until - now);
        (void)poll(&f, 1, p->fd < 0 && left > 20 ? 20 : left); /* why it woke shows in waitpid */
    }
}

void plat_proc_status_text(int status, char *ret)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigdescr_np(WTERMSIG(status));
        (void)snprintf(ret, 48, "signal %d (%s)", WTERMSIG(status), name ? name : "?");
    } else {
        (void)snprintf(ret, 48, "exit %d", WIFEXITED(status) ? WEXITSTATUS(status) : status);
    }
}

int plat_proc_exe(pid_t pid, char *ret, size_t n)
{
    char link[48], path[PATH_MAX];
    (void)snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    ssize_t k = readlink(link, path, sizeof path - 1);
    if (k < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    if ((size_t)k >= n)
        return -ENAMETOOLONG;
    memcpy(ret, path, (size_t)k);
    ret[k] = 0;
    return 0;
}

void plat_proc_background(void)
{
    enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_BEST_EFFORT_LOWEST = 2 << 13 | 7 };
    (void)setpriority(PRIO_PROCESS, 0, 10);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_BEST_EFFORT_LOWEST);
}

/* ---- names ---- */

static int copy_name(const char *name, char *ret, size_t n)
{
    size_t k = strlen(name);
    if (k >= n)
        return -ENAMETOOLONG;
    memcpy(ret, name, k + 1);
    return 0;
}

int plat_user_lookup(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
    char room[8192];
    struct passwd pw, *found = NULL;
    int err = getpwnam_r(name, &pw, room, sizeof room, &found);
    if (!found)
        return err && err != ENOENT ? -err : -SM_ENOTFOUND;
    *ret_uid = pw.pw_uid;
    *ret_gid = pw.pw_gid;
    return 0;
}

int plat_user_name(uid_t uid, char *ret, size_t n)
{
    char room[8192];
    struct passwd pw, *found = NULL;
    int err = getpwuid_r(uid, &pw, room, sizeof room, &found);
    if (!found)
        return err && err != ENOENT ? -err : -SM_ENOTFOUND;
    return copy_name(pw.pw_name, ret, n);
}

int plat_group_lookup(const char *name, gid_t *ret_gid)
{
    char room[32768];
    struct group gr, *found = NULL;
    int err = getgrnam_r(name, &gr, room, sizeof room, &found);
    if (!found)
        return err && err != ENOENT ? -err : -SM_ENOTFOUND;
    *ret_gid = gr.gr_gid;
    return 0;
}

int plat_group_name(gid_t gid, char *ret, size_t n)
{
    char room[32768];
    struct group gr, *found = NULL;
    int err = getgrgid_r(gid, &gr, room, sizeof room, &found);
    if (!found)
        return err && err != ENOENT ? -err : -SM_ENOTFOUND;
    return copy_name(gr.gr_name, ret, n);
}
