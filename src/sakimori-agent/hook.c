/*
 * The hook part: runs DATA/hooks/NAME, a program that the machine's administrator put there, as who started the agent
 * and with all its rights: that is what it is for (stop a service, mount a disk).  The box can only name one.  It runs
 * only when nobody but its owner (root, or who started the agent) can change it or exchange it.
 *
 *   argv: NAME before|after.  Environment: SAKIMORI_SOURCE, SAKIMORI_RUN, SAKIMORI_STATUS (after: complete, partial,
 *   failed, cancelled).  Standard input empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/helper.h"

#define TURN_MS 500

struct hooking {
    struct sm_ipc *up, *to;
    struct plat_proc proc;
    int out;
    struct sm_buf said;
    char end[200];
    bool good;
};

static bool own_alone(const struct stat *st)
{
    return (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & 022);
}

/* May it run?  Its folder too must be nobody else's. */
static int look(const char *data, const char *name, char *ret_path, char *why)
{
    struct stat st;
    snprintf(ret_path, AGENT_PATH_MAX, "%s/hooks", data);
    if (lstat(ret_path, &st) || !S_ISDIR(st.st_mode) || !own_alone(&st)) {
        snprintf(why, 200, "the folder of hooks is not this machine's administrator's alone");
        return -SM_EDENIED;
    }
    snprintf(ret_path, AGENT_PATH_MAX, "%s/hooks/%s", data, name);
    if (lstat(ret_path, &st)) {
        snprintf(why, 200, "this machine has no such hook");
        return -SM_ENOTFOUND;
    }
    if (!S_ISREG(st.st_mode) || !own_alone(&st) || !(st.st_mode & 0100)) {
        snprintf(why, 200, "others than its owner can change the hook, or it cannot be run");
        return -SM_EDENIED;
    }
    return 0;
}

static int launch(struct hooking *h, const struct helper_work *w, const char *path)
{
    char source[64], run[64], status[40];
    snprintf(source, sizeof source, "SAKIMORI_SOURCE=%s", w->source);
    snprintf(run, sizeof run, "SAKIMORI_RUN=%s", w->run);
    snprintf(status, sizeof status, "SAKIMORI_STATUS=%s", w->status);
    char *const argv[] = {(char *)(uintptr_t)w->name, (char *)(uintptr_t)w->kind, NULL};
    char *const env[] = {(char *)(uintptr_t) "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        (char *)(uintptr_t) "LANG=C.UTF-8", source, run, status, NULL};
    int pipe_fd[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return -errno;
    if (pipe2(pipe_fd, O_CLOEXEC)) {
        int e = -errno;
        close(null);
        return e;
    }
    const struct plat_spawn_fd fds[] = {{null, 0}, {pipe_fd[1], 1}, {pipe_fd[1], 2}};
    const struct plat_spawn s = {.path = path, .argv = argv, .env = env, .fds = fds, .fds_n = 3, .group = true};
    int r = plat_proc_spawn(&s, &h->proc);
    close(null);
    close(pipe_fd[1]);
    h->out = pipe_fd[0];
    return r;
}

static void hear(struct hooking *h)
{
    char piece[1024];
    ssize_t n = read(h->out, piece, sizeof piece);
    if (n <= 0) {
        if (n == 0 || errno != EINTR) {
            close(h->out);
            h->out = -1;
        }
        return;
    }
    if (h->said.n + (size_t)n > h->said.max)
        sm_buf_shift(&h->said, h->said.n + (size_t)n - h->said.max);
    (void)!sm_buf_put(&h->said, piece, (size_t)n); /* only what it said; its end is what counts */
}

/* Is backup still there (it wants to know the end), and the agent? */
static bool wanted(struct hooking *h)
{
    struct sm_ipc_msg m;
    return sm_ipc_recv(h->up, 0, &m) == -SM_ETIME;
}

static void drive(struct hooking *h, uint32_t limit_s)
{
    uint64_t until = plat_clock_mono_ms() + (uint64_t)limit_s * 1000;
    int status = 0;
    bool ended = false, late = false;
    while (!ended && !late && wanted(h)) {
        struct pollfd f[2] = {{.fd = h->out, .events = POLLIN}, {.fd = h->proc.fd, .events = POLLIN}};
        if (poll(f, 2, TURN_MS) > 0 && h->out >= 0 && f[0].revents)
            hear(h);
        /* Looked at, not reaped: while it stands there its group's number is nobody else's. */
        ended = !plat_proc_alive(&h->proc);
        late = plat_clock_mono_ms() > until;
    }
    if (!ended)
        (void)plat_proc_kill_group(&h->proc, SIGKILL); /* it may have ended just now */
    if (plat_proc_wait(&h->proc, 10000, &status) == 0 && ended) {
        plat_proc_status_text(status, h->end);
        h->good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    } else {
        snprintf(h->end, sizeof h->end, late ? "took longer than %u s" : "was stopped", limit_s);
    }
    for (int i = 0; i < 64 && h->out >= 0; i++) {
        struct pollfd f = {.fd = h->out, .events = POLLIN};
        if (poll(&f, 1, 0) <= 0)
            break; /* something it started in the background holds the pipe */
        hear(h);
    }
}

static int tell(struct hooking *h)
{
    struct sm_buf b = SM_BUF_INIT(16384);
    /* A tail may begin within a character, and a program may say anything. */
    while (h->said.n && (h->said.p[0] & 0xc0) == 0x80)
        sm_buf_shift(&h->said, 1);
    bool text = sm_utf8_valid(sm_buf_span(&h->said));
    for (size_t i = 0; i < h->said.n; i++)
        h->said.p[i] = h->said.p[i] < 0x20 || h->said.p[i] == 0x7f ? ' ' : text || h->said.p[i] < 0x80 ? h->said.p[i] : '?';
    while (h->said.n && h->said.p[h->said.n - 1] == ' ')
        h->said.n--;
    json_t *o = json_pack("{s:b,s:s,s:s%}", "good", h->good, "end", h->end, "said",
        h->said.n ? (const char *)h->said.p : "", h->said.n);
    int r = o ? sm_json_dump(o, &b) : -ENOMEM;
    if (!r)
        r = sm_ipc_send(h->to, W_READY, sm_buf_span(&b), -1);
    json_decref(o);
    sm_buf_wipe(&b);
    return r;
}

int hook_main(const char *data, const char *skip)
{
    static char path[AGENT_PATH_MAX];
    struct hooking h = {.proc = PLAT_PROC_NONE, .out = -1, .said = SM_BUF_INIT(HOOK_SAID_MAX - 1)};
    const struct sm_ipc_config c = {.may_receive = NULL, .may_receive_n = 0, .body_max = 4096, .queue_max = 65536};
    struct helper_work w = {0};
    int fd = -1, r = helper_begin(&w, &h.up, &fd);
    (void)skip; /* it reads no files of a source */
    if (!r)
        r = sm_ipc_new(NULL, fd, &c, &h.to);
    if (!r && look(data, w.name, path, h.end) == 0) {
        uint32_t limit = w.limit_s && w.limit_s <= HOOK_LIMIT_MAX_S ? w.limit_s : HOOK_LIMIT_S;
        int e = launch(&h, &w, path);
        if (e)
            snprintf(h.end, sizeof h.end, "could not be started: %s", sm_strerror(e));
        else
            drive(&h, limit);
    }
    if (!r)
        r = tell(&h);
    if (r && r != -SM_EPEER)
        sm_warn("a hook: %s", sm_strerror(r));
    if (h.out >= 0)
        close(h.out);
    plat_proc_close(&h.proc);
    sm_ipc_free(h.to);
    sm_ipc_free(h.up);
    sm_buf_wipe(&h.said);
    return r ? 1 : 0;
}
