/* What kinds of sources use: words to backup, files of the staging, programs with a limit. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/kinds/kind.h"
#include "sakimori-agent/kinds/names.h"

#define TURN_MS 500
#define NOW_MS 500
#define SECRET_FD 5
#define SHOWN_MAX 1000

static void say(struct prep *p, uint16_t type, json_t *o)
{
    struct sm_buf b = SM_BUF_INIT(16384);
    if (o && p->to && !sm_json_dump(o, &b) && sm_ipc_send(p->to, type, sm_buf_span(&b), -1) == -SM_EPEER)
        p->cancelled = true;
    json_decref(o);
    sm_buf_wipe(&b);
}

/* Words of programs: valid UTF-8, one line's characters, not endless. */
static json_t *shown(const char *s)
{
    char text[SHOWN_MAX + 1];
    size_t n = 0;
    for (; *s && n < SHOWN_MAX; s++)
        text[n++] = (unsigned char)*s < 0x20 || *s == 0x7f ? ' ' : *s;
    while (n && (text[n - 1] == ' ' || !sm_utf8_valid(SM_SPAN(text, n)))) {
        n--;
        if (n && n + 8 < SHOWN_MAX && !sm_utf8_valid(SM_SPAN(text, n))) /* not only cut at its end */
            break;
    }
    if (!sm_utf8_valid(SM_SPAN(text, n)))
        for (size_t i = 0; i < n; i++)
            text[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    return json_stringn(text, n);
}

void prep_problem(struct prep *p, const char *path, int err, const char *text, bool bad)
{
    p->failed += bad;
    if (!p->to) /* a person's command */
        fprintf(stderr, "%s: %s%s%s\n", path, err ? sm_strerror(err) : "", err && text[0] ? ": " : "", text);
    say(p, W_PROBLEM,
        json_pack("{s:o,s:s,s:o}", "path", shown(path), "error", err ? sm_strerror(err) : "", "what", shown(text)));
}

void prep_now(struct prep *p, const char *text)
{
    p->told_ms = plat_clock_mono_ms();
    say(p, W_NOW, json_pack("{s:o,s:I}", "now", shown(text), "bytes", (json_int_t)p->bytes));
}

int prep_check(struct prep *p)
{
    struct sm_ipc_msg m;
    if (!p->to)
        return 0; /* a person's command: ended by the person */
    int r = sm_ipc_recv(p->to, 0, &m);
    if (r != -SM_ETIME)
        p->cancelled = true; /* backup let go: nothing may come now */
    r = sm_ipc_recv(p->up, 0, &m);
    if (r != -SM_ETIME)
        p->cancelled = true; /* the agent ends */
    return p->cancelled ? -SM_ECANCEL : plat_clock_mono_ms() > p->until_ms ? -SM_ETIME : 0;
}

bool prep_listed(const struct prep *p, const char *key, const char *name, bool otherwise)
{
    const json_t *list = json_object_get(p->options, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && strcmp(s, name) == 0)
            return true;
    }
    return json_array_size(list) ? false : otherwise;
}

void prep_missing(struct prep *p, const char *key, char *const *have, size_t n)
{
    const json_t *list = json_object_get(p->options, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        bool there = false;
        for (size_t k = 0; s && k < n; k++)
            there |= strcmp(s, have[k]) == 0;
        if (s && !there)
            prep_problem(p, s, -SM_ENOTFOUND, "no such database", true);
    }
}

/* ---- files ---- */

int prep_create(struct prep *p, const char *name, const char *ending, char *ret_name)
{
    char file[NAMES_FILE_MAX];
    int r = names_file(name, ending, file);
    int fd = r ? r : plat_fs_create(p->staging, file, PLAT_FS_EXCL | PLAT_FS_RW, 0600);
    if (fd >= 0)
        memcpy(ret_name, file, strlen(file) + 1);
    return fd;
}

int prep_create_path(struct prep *p, const char *path)
{
    char part[256];
    int dir = dup(p->staging);
    for (const char *s = path; dir >= 0;) {
        size_t n = strcspn(s, "/");
        if (n >= sizeof part || !plat_fs_name_ok(SM_SPAN(s, n))) {
            close(dir);
            return -SM_EINVAL;
        }
        memcpy(part, s, n);
        part[n] = 0;
        int next = -1;
        if (s[n] == 0) {
            next = plat_fs_create(dir, part, PLAT_FS_EXCL | PLAT_FS_RW, 0600);
            close(dir);
            return next;
        }
        int r = plat_fs_mkdir(dir, part, 0711);
        next = r && r != -EEXIST ? r : plat_fs_open_dir(dir, part);
        if (next >= 0 && !r && fchmod(next, 0711))
            r = -errno;
        close(dir);
        dir = next;
        s += n + 1;
    }
    return dir < 0 ? dir : -SM_EINVAL;
}

/* ---- programs ---- */

/* /usr/lib/postgresql/9.6 comes before /usr/lib/postgresql/15. */
static int newest(const glob_t *g)
{
    size_t best = 0;
    for (size_t i = 1; i < g->gl_pathc; i++)
        if (strverscmp(g->gl_pathv[i], g->gl_pathv[best]) > 0)
            best = i;
    return (int)best;
}

char *prep_find(const char *const *paths)
{
    for (; paths && *paths; paths++) {
        glob_t g = {0};
        char *found = NULL;
        if (glob(*paths, 0, NULL, &g) == 0 && g.gl_pathc)
            found = strdup(g.gl_pathv[newest(&g)]);
        globfree(&g);
        if (found && access(found, X_OK) == 0)
            return found;
        free(found);
    }
    return NULL;
}

int prep_tools(struct prep *p, char *why)
{
    for (size_t i = 0; i < KIND_TOOLS_MAX && p->kind->tools[i]; i++) {
        p->tool[i] = prep_find(p->kind->tools[i]);
        if (p->tool[i])
            continue;
        size_t last = 0;
        while (p->kind->tools[i][last + 1])
            last++;
        snprintf(why, 160, "the program is not installed: %s", p->kind->tools[i][last]);
        return -SM_ENOTFOUND;
    }
    return 0;
}

int prep_user(const struct prep *p, uid_t *ret_uid, gid_t *ret_gid, char *ret_why)
{
    const char *user = p->access.as[0] ? p->access.as : p->kind->as;
    uid_t uid = 0;
    gid_t gid = 0;
    if (!p->kind->as || geteuid() != 0)
        return 0;
    if (plat_user_lookup(user, &uid, &gid) && p->kind->uid && user == p->kind->as) {
        uid = (uid_t)p->kind->uid; /* without such a user the number serves */
        gid = (gid_t)p->kind->uid;
    } else if (uid == 0 && plat_user_lookup(user, &uid, &gid)) {
        snprintf(ret_why, 160, "this system has no user %.60s", user);
        return -SM_ENOTFOUND;
    }
    if (uid == 0) {
        snprintf(ret_why, 160, "the tools of a database never run as root");
        return -SM_EDENIED;
    }
    *ret_uid = uid;
    *ret_gid = gid;
    return 0;
}


struct running {
    struct prep *p;
    struct plat_proc proc;
    int err_fd, out_fd;
    struct sm_buf said, *text;
};

/* The last of what it said is what explains its end. */
static void keep_tail(struct sm_buf *b, struct sm_span s)
{
    if (b->n + s.n > b->max) {
        size_t drop = b->n + s.n - b->max;
        sm_buf_shift(b, drop < b->n ? drop : b->n);
    }
    if (s.n > b->max)
        s = SM_SPAN(s.p + s.n - b->max, b->max);
    (void)!sm_buf_put_span(b, s); /* without memory it is lost, and the end is told all the same */
}

static int take_output(struct running *g, int *fd, bool tail)
{
    char piece[4096];
    ssize_t n = read(*fd, piece, sizeof piece);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0) {
        close(*fd);
        *fd = -1;
        return 0;
    }
    if (!tail)
        return sm_buf_put(g->text, piece, (size_t)n);
    keep_tail(&g->said, SM_SPAN(piece, (size_t)n));
    return 0;
}

/* A dump must never fill the disk that the database itself needs: a twentieth, or 2 GiB, stays free. */
static int check_space(struct prep *p)
{
    struct plat_fs_space s;
    if (!p->folder[0])
        return 0;
    if (plat_fs_space(AT_FDCWD, p->folder, &s))
        return 0;
    uint64_t keep = s.total_bytes / 20 < (uint64_t)2 << 30 ? s.total_bytes / 20 : (uint64_t)2 << 30;
    return s.avail_bytes < keep ? -ENOSPC : 0;
}

static int turn(struct running *g)
{
    struct pollfd f[3] = {{.fd = g->err_fd, .events = POLLIN}, {.fd = g->out_fd, .events = POLLIN},
        {.fd = g->proc.fd, .events = POLLIN}};
    int r = 0;
    if (poll(f, 3, TURN_MS) < 0 && errno != EINTR)
        return -errno;
    if (g->err_fd >= 0 && f[0].revents)
        r = take_output(g, &g->err_fd, true);
    if (!r && g->out_fd >= 0 && f[1].revents)
        r = take_output(g, &g->out_fd, false);
    if (!r)
        r = prep_check(g->p);
    return r ? r : check_space(g->p);
}

static int drive(struct running *g)
{
    int status = 0, r = 0;
    for (;;) {
        r = turn(g);
        if (r)
            break;
        bool ended = plat_proc_wait(&g->proc, 0, &status) == 0;
        if (!ended)
            continue;
        while (g->err_fd >= 0 && take_output(g, &g->err_fd, true) == 0 && g->said.n < g->said.max) {
            struct pollfd f = {.fd = g->err_fd, .events = POLLIN};
            if (poll(&f, 1, 0) <= 0)
                break;
        }
        while (!r && g->out_fd >= 0)
            r = take_output(g, &g->out_fd, false);
        return r ? r : WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -SM_EPARTIAL;
    }
    (void)plat_proc_kill(&g->proc, SIGKILL); /* it may have ended just now */
    (void)plat_proc_wait(&g->proc, 10000, &status);
    return r;
}

static int text_file(const char *text, const struct prep_run *t)
{
    int fd = memfd_create("text", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fchmod(fd, 0600) ? -errno : plat_fs_write_all(fd, SM_SPAN_STR(text));
    if (!r && t->as_user && fchown(fd, t->uid, t->gid))
        r = -errno;
    if (!r && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    if (r) {
        close(fd);
        return r;
    }
    return fd;
}

static int launch(struct running *g, const struct prep_run *t, int err_to, int out_to)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), secret = t->secret ? text_file(t->secret, t) : -1;
    int input = t->input ? text_file(t->input, t) : -1;
    int r = null < 0 ? -errno : t->secret && secret < 0 ? secret : t->input && input < 0 ? input : 0;
    const struct plat_spawn_fd fds[] = {
        {input >= 0 ? input : t->in > 0 ? t->in : null, 0}, {out_to >= 0 ? out_to : t->out >= 0 ? t->out : null, 1}, {err_to, 2}, {secret, SECRET_FD}};
    const char *argv[KIND_ARGS_MAX + 1] = {NULL};
    for (size_t i = 0; i < KIND_ARGS_MAX && t->argv[i]; i++)
        argv[i] = i == 0 && t->path ? t->path : t->argv[i]; /* some look for their companions beside themselves */
    const struct plat_spawn s = {.path = t->path, .argv = (char *const *)(uintptr_t)argv,
        .env = (char *const *)(uintptr_t)t->env, .fds = fds, .fds_n = t->secret ? 4 : 3, .as_user = t->as_user,
        .uid = t->uid, .gid = t->gid};
    if (!r)
        r = plat_proc_spawn(&s, &g->proc);
    if (null >= 0)
        close(null);
    if (secret >= 0)
        close(secret);
    if (input >= 0)
        close(input);
    return r;
}

/* ---- words without rows ---- */

static bool is_state(const char *s, size_t n)
{
    if (n < 5)
        return false;
    for (size_t i = 0; i < 5; i++)
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'A' && s[i] <= 'Z')))
            return false;
    return true;
}

static bool starts(const char *s, size_t n, const char *with)
{
    return n >= strlen(with) && memcmp(s, with, strlen(with)) == 0;
}

static const char *in_words(const char *s, size_t n)
{
    size_t i = sizeof "ERROR " - 1;
    if (!starts(s, n, "ERROR "))
        return NULL;
    while (i < n && s[i] >= '0' && s[i] <= '9')
        i++;
    return starts(s + i, n - i, " (") && is_state(s + i + 2, n - i - 2) && n > i + 7 && s[i + 7] == ')' ? s + i + 2 : NULL;
}

void prep_sqlstate(struct sm_span text, bool log, char *ret)
{
    const char *s = (const char *)text.p, *found = text.n && !log ? in_words(s, text.n) : NULL;
    for (size_t at = 0; log && at < text.n;) {
        size_t n = text.n - at;
        if (is_state(s + at, n) && (starts(s + at + 5, n - 5, " ERROR:") || starts(s + at + 5, n - 5, " FATAL:")))
            found = s + at;
        const char *end = memchr(s + at, '\n', n);
        at = end ? (size_t)(end - s) + 1 : text.n;
    }
    if (found)
        memcpy(ret, found, 5);
    ret[found ? 5 : 0] = 0;
}

static uint64_t log_size(const struct prep *p)
{
    struct stat st;
    return p->quiet_log && lstat(p->quiet_log, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* What the server's log has got since then. */
static void log_state(const struct prep *p, uint64_t from, char *ret)
{
    char text[8192];
    uint64_t size = 0;
    int fd = open(p->quiet_log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && plat_fs_size(fd, &size) == 0 && size > from) {
        size_t n = size - from < sizeof text ? (size_t)(size - from) : sizeof text;
        if (plat_fs_pread_all(fd, text, n, size - n) == 0)
            prep_sqlstate(SM_SPAN(text, n), true, ret);
    }
    if (fd >= 0)
        close(fd);
    sm_zero(text, sizeof text);
}

static void say_quietly(const struct prep *p, int r, struct sm_span said, uint64_t log_from, char *ret_why)
{
    char state[6] = "";
    if (r && p->quiet_log)
        log_state(p, log_from, state);
    if (r && !state[0])
        prep_sqlstate(said, false, state);
    if (r == -ENOSPC)
        snprintf(ret_why, KIND_WHY, "stopped, for the disk of this machine is nearly full");
    else
        snprintf(ret_why, KIND_WHY, "%s%s", !r ? "" : state[0] ? "an error of the database: SQLSTATE " : "the program failed",
            state);
}

int prep_run(struct prep *p, const struct prep_run *t, struct sm_buf *ret_text, char *ret_why)
{
    uint64_t log_from = log_size(p);
    int err[2] = {-1, -1}, out[2] = {-1, -1};
    struct running g = {.p = p, .proc = PLAT_PROC_NONE, .said = SM_BUF_INIT(KIND_WHY - 1), .text = ret_text};
    int r = prep_check(p);
    if (r)
        return r;
    if (pipe2(err, O_CLOEXEC) || (t->out < 0 && pipe2(out, O_CLOEXEC)))
        r = -errno;
    if (!r)
        r = launch(&g, t, err[1], out[1]);
    if (err[1] >= 0)
        close(err[1]);
    if (out[1] >= 0)
        close(out[1]);
    g.err_fd = err[0];
    g.out_fd = out[0];
    if (!r)
        r = drive(&g);
    else
        snprintf(ret_why, KIND_WHY, "%s could not be started", t->path ? t->path : "the copy");
    if (p->quiet)
        say_quietly(p, r, sm_buf_span(&g.said), log_from, ret_why);
    else if (g.said.n)
        snprintf(ret_why, KIND_WHY, "%.*s", (int)g.said.n, (const char *)g.said.p);
    else if (r == -ENOSPC)
        snprintf(ret_why, KIND_WHY, "stopped, for the disk of this machine is nearly full");
    if (g.err_fd >= 0)
        close(g.err_fd);
    if (g.out_fd >= 0)
        close(g.out_fd);
    plat_proc_close(&g.proc);
    sm_buf_wipe(&g.said);
    return r;
}
