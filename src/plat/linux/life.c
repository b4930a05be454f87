#include "plat/life.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/proc.h"

enum { TEXT_MAX = 8192, LEVELS_MAX = 64, SERVICE_MS = 1000 };

/* A small file of the kernel's, ended by NUL; what is longer is cut. */
static int slurp(const char *path, char *ret, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t k = 1;
    if (fd < 0)
        return -errno;
    while (n < size - 1 && (k = read(fd, ret + n, size - 1 - n)) > 0)
        n += (size_t)k;
    int r = k < 0 ? -errno : 0;
    ret[n] = 0;
    close(fd);
    return r;
}

static int spill(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return r;
}

int plat_life_look(pid_t pid, struct plat_life *ret)
{
    char path[64], text[TEXT_MAX];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    int r = slurp(path, text, sizeof text);
    if (r)
        return r == -ENOENT ? -ESRCH : r;
    const char *state = strstr(text, "\nState:\t"), *tracer = strstr(text, "\nTracerPid:\t");
    if (!state || !tracer)
        return -SM_EFORMAT;
    *ret = (struct plat_life){.state = state[8], .tracer = (pid_t)strtol(tracer + 12, NULL, 10)};
    return 0;
}

int plat_life_eyes(pid_t pid, unsigned *ret)
{
    char path[64], to[64];
    unsigned n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    if (!d)
        return errno == ENOENT ? -ESRCH : -errno;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        ssize_t k = readlinkat(dirfd(d), e->d_name, to, sizeof to - 1);
        if (k <= 0)
            continue;
        to[k] = 0;
        n += strncmp(to, "anon_inode:bpf", 14) == 0 || strncmp(to, "anon_inode:[perf_event", 22) == 0;
    }
    closedir(d);
    *ret = n;
    return 0;
}

/* ---- control groups ---- */

/* The two kinds of freezer: how its line in /proc/PID/cgroup begins, where it may be mounted, its switch, what is written into it. */
static const struct freezer {
    const char *line, *roots[3], *file, *freeze, *thaw;
} freezers[] = {
    {":freezer:", {"/sys/fs/cgroup/freezer", NULL}, "freezer.state", "FROZEN", "THAWED"},
    {"0::", {"/sys/fs/cgroup/unified", "/sys/fs/cgroup", NULL}, "cgroup.freeze", "1", "0"},
};
enum { FREEZERS = 2 };

/* The group's folder; the root itself has no switch and is none. */
static bool group_of(pid_t pid, const struct freezer *f, char *ret, size_t size, size_t *ret_root)
{
    char path[64], text[TEXT_MAX];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    if (slurp(path, text, sizeof text))
        return false;
    char *at = f->line[0] == '0' ? (strncmp(text, f->line, 3) == 0 ? text : strstr(text, "\n0::")) : strstr(text, f->line);
    char *end = at ? strchr(at + 1, '\n') : NULL;
    at = at ? strchr(at, '/') : NULL;
    if (!at || !end || at > end)
        return false;
    *end = 0;
    for (size_t i = 0; f->roots[i]; i++) {
        snprintf(path, sizeof path, "%s/cgroup.procs", f->roots[i]);
        size_t n = strlen(f->roots[i]);
        if (stat(path, &st) == 0 && n + strlen(at) < size) {
            snprintf(ret, size, "%s%s", f->roots[i], at[1] ? at : "");
            *ret_root = n;
            return true;
        }
    }
    return false;
}

/* Each group from that of pid up to the root: fn gives how many it counts, or -errno. */
static int each_group(pid_t pid, int (*fn)(const struct freezer *f, const char *group))
{
    char group[PATH_MAX];
    int n = 0;
    size_t root;
    for (int i = 0; i < FREEZERS; i++) {
        if (!group_of(pid, &freezers[i], group, sizeof group, &root))
            continue;
        for (int level = 0; level < LEVELS_MAX && strlen(group) > root; level++) {
            int r = fn(&freezers[i], group);
            if (r < 0)
                return r;
            n += r;
            *strrchr(group, '/') = 0;
        }
    }
    return n;
}

static int is_frozen(const struct freezer *f, const char *group)
{
    char path[PATH_MAX + 32], text[64];
    snprintf(path, sizeof path, "%s/%s", group, f->file);
    return slurp(path, text, sizeof text) == 0 && (text[0] == f->freeze[0] || strncmp(text, "FREEZING", 8) == 0);
}

static int thaw(const struct freezer *f, const char *group)
{
    char path[PATH_MAX + 32];
    if (!is_frozen(f, group))
        return 0;
    snprintf(path, sizeof path, "%s/%s", group, f->file);
    int r = spill(path, f->thaw);
    return r < 0 ? r : 1;
}

int plat_life_frozen(pid_t pid)
{
    return each_group(pid, is_frozen) > 0;
}

int plat_life_thaw(pid_t pid)
{
    return each_group(pid, thaw);
}

static char home[FREEZERS][TEXT_MAX]; /* of this process, before it went apart */

void plat_life_apart_back(void)
{
    char path[2 * TEXT_MAX + 32], me[16];
    snprintf(me, sizeof me, "%d", (int)getpid());
    for (int i = 0; i < FREEZERS; i++) {
        snprintf(path, sizeof path, "%s/cgroup.procs", home[i]);
        if (home[i][0])
            (void)spill(path, me); /* it may be gone */
    }
}

int plat_life_apart(const char *name)
{
    char group[PATH_MAX], path[PATH_MAX + 32], me[16];
    int r = -ENOENT;
    size_t root;
    snprintf(me, sizeof me, "%d", (int)getpid());
    for (int i = 0; i < FREEZERS; i++) {
        if (!group_of(getpid(), &freezers[i], group, sizeof group, &root))
            continue;
        snprintf(home[i], sizeof home[i], "%s", group);
        group[root] = 0;
        snprintf(path, sizeof path, "%s/sakimori-%s", group, name);
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return -errno;
        snprintf(path, sizeof path, "%s/sakimori-%s/cgroup.procs", group, name);
        r = spill(path, me);
        if (r < 0)
            return r;
    }
    return r;
}

void plat_life_apart_end(const char *name)
{
    char path[PATH_MAX];
    for (int i = 0; i < FREEZERS; i++)
        for (size_t k = 0; freezers[i].roots[k]; k++) {
            snprintf(path, sizeof path, "%s/sakimori-%s", freezers[i].roots[k], name);
            for (int tries = 0; tries < 20 && rmdir(path) < 0 && errno == EBUSY; tries++)
                plat_clock_sleep_ms(10); /* who was in it ended just now */
        }
}

/* ---- the service manager ---- */

bool plat_service_ours(void)
{
    return getppid() == 1 && getenv("INVOCATION_ID");
}

bool plat_service_ending(void)
{
    static char *argv[] = {(char *)"systemctl", (char *)"is-system-running", NULL};
    char said[32] = "";
    int pipe_[2];
    struct stat st;
    struct plat_proc p = PLAT_PROC_NONE;
    if (stat("/run/systemd/system", &st) < 0 || pipe2(pipe_, O_CLOEXEC) < 0)
        return false;
    const struct plat_spawn_fd fds[] = {{pipe_[1], 1}};
    const struct plat_spawn s = {.path = "/usr/bin/systemctl", .argv = argv, .fds = fds, .fds_n = 1};
    int r = plat_proc_spawn(&s, &p), status;
    close(pipe_[1]);
    struct pollfd f = {.fd = pipe_[0], .events = POLLIN};
    if (r == 0 && poll(&f, 1, SERVICE_MS) > 0 && read(pipe_[0], said, sizeof said - 1) < 0)
        said[0] = 0;
    close(pipe_[0]);
    if (r == 0 && plat_proc_wait(&p, 100, &status) == -SM_ETIME) {
        (void)plat_proc_kill(&p, SIGKILL); /* it may be gone by now */
        (void)plat_proc_wait(&p, 1000, &status);
    }
    plat_proc_close(&p);
    return strncmp(said, "stopping", 8) == 0;
}
