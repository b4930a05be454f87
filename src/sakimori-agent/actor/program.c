/* The programs of the system that actor may start: these, by these paths, and no others. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/actor/actor.h"

enum { ARGS_MAX = 12 };

static const struct {
    const char *name, *path;
} programs[] = {
    {"usermod", "/usr/sbin/usermod"},       /* account.c: PAM, shadow and its locks are the system's */
    {"loginctl", "/usr/bin/loginctl"},      /* account.c */
    {"journalctl", "/usr/bin/journalctl"},  /* evidence: the last of the journal, as text */
};

static const char *path_of(const char *name)
{
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
        if (strcmp(programs[i].name, name) == 0)
            return programs[i].path;
    return NULL;
}

bool actor_has_program(const char *name)
{
    const char *path = path_of(name);
    return path && access(path, X_OK) == 0;
}

/* Until it is closed, the time is over (-SM_ETIME), or there is no more room (-SM_ELIMIT). */
static int take_output(int fd, uint64_t until, struct sm_buf *out)
{
    uint8_t piece[4096];
    for (;;) {
        uint64_t now = plat_clock_mono_ms();
        struct pollfd f = {.fd = fd, .events = POLLIN};
        if (now >= until || poll(&f, 1, (int)(until - now)) == 0)
            return -SM_ETIME;
        ssize_t n = plat_fs_read(fd, piece, sizeof piece);
        if (n <= 0)
            return (int)n;
        int r = out ? sm_buf_put(out, piece, (size_t)n) : 0;
        if (r)
            return r;
    }
}

int actor_program(const char *name, const char *const *args, unsigned limit_s, struct sm_buf *ret_out)
{
    char *argv[ARGS_MAX + 2] = {(char *)(uintptr_t)name};
    struct plat_proc p = PLAT_PROC_NONE;
    const char *path = path_of(name);
    const uint64_t until = plat_clock_mono_ms() + (uint64_t)limit_s * 1000;
    int fd[2] = {-1, -1}, status = 0;
    for (size_t i = 0; args[i]; i++) {
        if (i == ARGS_MAX)
            return -SM_EINVAL;
        argv[i + 1] = (char *)(uintptr_t)args[i];
    }
    if (!path)
        return -ENOENT;
    int none = open("/dev/null", O_RDWR | O_CLOEXEC);
    int r = none < 0 || pipe2(fd, O_CLOEXEC) ? -errno : 0;
    const struct plat_spawn_fd fds[] = {{none, 0}, {fd[1], 1}, {none, 2}};
    const struct plat_spawn s = {.path = path, .argv = argv, .fds = fds, .fds_n = 3, .group = true};
    if (!r)
        r = plat_proc_spawn(&s, &p);
    if (fd[1] >= 0)
        (void)close(fd[1]); /* the child's */
    if (!r) {
        r = take_output(fd[0], until, ret_out);
        if (r)
            (void)plat_proc_kill_group(&p, SIGKILL); /* gone already, perhaps */
        uint64_t now = plat_clock_mono_ms();
        int e = plat_proc_wait(&p, r || now >= until ? 5000 : (int)(until - now), &status);
        if (e == -SM_ETIME)
            (void)plat_proc_kill_group(&p, SIGKILL); /* as above */
        r = r ? r : e ? e : status ? -SM_EPARTIAL : 0;
        plat_proc_close(&p);
    }
    if (fd[0] >= 0)
        (void)close(fd[0]); /* only read */
    if (none >= 0)
        (void)close(none); /* nothing was written */
    return r;
}
