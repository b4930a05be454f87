#include "sakimori/demo/demo.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/fs.h"

#define STEP_MS 100
extern char **environ;

static volatile sig_atomic_t stopped;

static void on_signal(int signo)
{
    (void)signo; /* any of them means the same */
    stopped = 1;
}

bool demo_stopped(void)
{
    return stopped;
}

void demo_catch_signals(void)
{
    struct sigaction a = { .sa_handler = on_signal };
    (void)sigaction(SIGTERM, &a, NULL); /* cannot fail for these */
    (void)sigaction(SIGINT, &a, NULL);
    (void)sigaction(SIGHUP, &a, NULL);
}

uint64_t demo_until(unsigned ms)
{
    return plat_clock_mono_ms() + ms;
}

bool demo_wait(uint64_t until_ms)
{
    if (stopped || plat_clock_mono_ms() >= until_ms)
        return false;
    cli_sleep_ms(STEP_MS);
    return true;
}

void demo_path(const struct demo *d, const char *name, char ret[DEMO_PATH])
{
    (void)snprintf(ret, DEMO_PATH, "%s/%s", d->dir, name); /* names of ours are short */
}

/* ---- programs ---- */

int demo_program(const struct demo *d, const char *name, char ret[DEMO_PATH])
{
    /* The simulator is built beside the command line; the others in folders of their own names. */
    const char *own = !strcmp(name, "sakimori-sim") ? "sakimori" : name;
    const char *const folders[] = { own, ".", "../sbin", "../libexec/sakimori" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        struct stat st;
        (void)snprintf(ret, DEMO_PATH, "%s/%s/%s", d->bin, folders[i], name); /* cut: then it is not there */
        if (stat(ret, &st) == 0 && S_ISREG(st.st_mode) && access(ret, X_OK) == 0)
            return CLI_OK;
    }
    cli_note(d->c, T(d->c, "%s が見つかりません(--bin で場所を)", "%s: not found (say where with --bin)"), name);
    return CLI_FAILED;
}

bool demo_find_shipped(const struct demo *d, const char *const *below, size_t n, char ret[PATH_MAX])
{
    char try[DEMO_PATH + 64], up[PATH_MAX];
    (void)snprintf(up, sizeof up, "%s", d->bin); /* same size */
    for (int level = 0; level < 6 && *up; level++) {
        for (size_t i = 0; i < n; i++) {
            if (snprintf(try, sizeof try, "%s/%s", up, below[i]) < PATH_MAX && access(try, R_OK) == 0) {
                memcpy(ret, try, strlen(try) + 1);
                return true;
            }
        }
        char *slash = strrchr(up, '/');
        *(slash ? slash : up) = 0;
    }
    return false;
}

int demo_find_share(struct demo *d)
{
    static const char *const below[] = { "share/demo/clinic", "share/sakimori/demo/clinic" };
    const char *given = getenv("SAKIMORI_SHARE");
    char try[DEMO_PATH + 64];
    if (given && snprintf(try, sizeof try, "%s/demo/clinic", given) < PATH_MAX && access(try, R_OK) == 0) {
        memcpy(d->share, try, strlen(try) + 1);
        return CLI_OK;
    }
    if (demo_find_shipped(d, below, 2, d->share))
        return CLI_OK;
    if (access(SAKIMORI_DATADIR "/demo/clinic", R_OK) == 0) {
        (void)snprintf(d->share, sizeof d->share, "%s", SAKIMORI_DATADIR "/demo/clinic"); /* fits */
        return CLI_OK;
    }
    cli_note(d->c,
        T(d->c, "見本のデータが見つかりません(SAKIMORI_SHARE で場所を)",
            "sample data not found (say where with SAKIMORI_SHARE)"));
    return CLI_FAILED;
}

int demo_start(struct demo *d, char *const *argv, int out, const char *log, struct plat_proc *ret)
{
    char path[DEMO_PATH];
    static const char called[] = "echo \"$0\" >/proc/sys/kernel/hostname && exec \"$@\"";
    const char *whole[32] = { "/usr/sbin/ip", "netns", "exec", d->inside, "/usr/bin/unshare", "--uts", "/bin/sh", "-c", called, d->machine };
    size_t n = d->machine && d->inside == d->agent_space ? 10 : 4; /* the machine has its own name */
    for (size_t i = 0; argv[i] && n < sizeof whole / sizeof *whole - 1; i++)
        whole[n++] = argv[i];
    if (d->inside) /* ip takes its place: the number of the process is the program's own */
        argv = (char *const *)(uintptr_t)whole;
    demo_path(d, log, path);
    int err = plat_fs_create(AT_FDCWD, path, PLAT_FS_APPEND, 0600);
    struct plat_spawn_fd fds[2] = { { err, 2 }, { out >= 0 ? out : err, 1 } };
    const struct plat_spawn s = {
        .path = argv[0], .argv = argv, .env = environ, .fds = fds, .fds_n = 2, .dir = d->dir
    };
    int r = err < 0 ? err : plat_proc_spawn(&s, ret);
    if (err >= 0)
        close(err);
    if (r < 0)
        cli_note(d->c, "%s: %s", argv[0], sm_errtext(r, d->c->ja));
    return r < 0 ? CLI_FAILED : CLI_OK;
}

static void drain(int fd, struct sm_buf *to)
{
    char block[4096];
    ssize_t n;
    while ((n = read(fd, block, sizeof block)) > 0)
        if (sm_buf_put(to, block, (size_t)n) < 0)
            return; /* the maximum: the rest is not wanted */
}

int demo_run(struct demo *d, char *const *argv, const char *log, unsigned timeout_ms, struct sm_buf *ret_out)
{
    struct plat_proc p = PLAT_PROC_NONE;
    struct sm_buf out = SM_BUF_INIT(1 << 20);
    int pair[2], status = -1, r = -SM_ETIME;
    uint64_t until = demo_until(timeout_ms);
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return CLI_FAILED;
    int e = demo_start(d, argv, pair[1], log, &p);
    close(pair[1]);
    while (e == CLI_OK && r == -SM_ETIME) {
        drain(pair[0], &out);
        r = plat_proc_wait(&p, 0, &status);
        if (r == -SM_ETIME && !demo_wait(until))
            break;
    }
    drain(pair[0], &out);
    close(pair[0]);
    if (e == CLI_OK && r == -SM_ETIME) {
        (void)plat_proc_kill(&p, SIGKILL); /* it may have ended just now */
        (void)plat_proc_wait(&p, 5000, &status);
    }
    plat_proc_close(&p);
    if (e == CLI_OK && (r < 0 || !WIFEXITED(status)))
        e = CLI_FAILED;
    else if (e == CLI_OK)
        e = WEXITSTATUS(status);
    if (ret_out)
        *ret_out = out;
    else
        sm_buf_wipe(&out);
    return e;
}

/* ---- the clinic ---- */

static int tool(
    struct demo *d, const char *program, const char *a, const char *b, const char *third, const char *fourth)
{
    char *argv[] = { (char *)program, (char *)a, (char *)b, (char *)third, (char *)fourth, NULL };
    int e = demo_run(d, argv, "demo.log", 60000, NULL);
    if (e != CLI_OK && !demo_stopped())
        cli_note(d->c, "%s: %d", program, e);
    return e == CLI_OK ? CLI_OK : CLI_FAILED;
}

int demo_put(const char *dir, const char *name, const char *text, bool append)
{
    char path[DEMO_PATH + 256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name); /* fits */
    int fd = plat_fs_create(AT_FDCWD, path, append ? PLAT_FS_APPEND : PLAT_FS_TRUNC, 0644);
    int r = fd < 0 ? fd : plat_fs_write_all(fd, SM_SPAN_STR(text));
    if (fd >= 0)
        close(fd);
    return r;
}

int demo_make_clinic(struct demo *d)
{
    char clinic[DEMO_PATH], from[DEMO_PATH];
    demo_path(d, "clinic", clinic);
    if (plat_fs_mkdir_p(clinic, 0755) < 0 || chmod(clinic, 0755) < 0) {
        cli_note(d->c, "%s: %s", clinic, sm_errtext(-errno, d->c->ja));
        return CLI_FAILED;
    }
    (void)snprintf(from, sizeof from, "%s/standard_root", d->share); /* fits */
    int e = tool(d, "/bin/cp", "-r", from, clinic, NULL);
    (void)snprintf(from, sizeof from, "%s/clinic-share-synthetic.tar.gz", d->share); /* fits */
    if (e == CLI_OK)
        e = tool(d, "/bin/tar", "-xzf", from, "-C", clinic);
    if (e == CLI_OK && demo_put(clinic, "予約.csv", "日付,時刻,名前\n", false) < 0)
        e = CLI_FAILED;
    return e == CLI_OK ? demo_work_a_day(d, 1) : e;
}

int demo_work_a_day(struct demo *d, unsigned day)
{
    char clinic[DEMO_PATH], name[64], line[256];
    int r = 0;
    demo_path(d, "clinic", clinic);
    for (unsigned i = 0; i < 40 && r == 0; i++) {
        (void)snprintf(line, sizeof line, "2026-11-%02u,%02u:%02u,見本 患者%03u\n", day, 9 + i / 6, i % 6 * 10,
            day * 40 + i); /* fits */
        r = demo_put(clinic, "予約.csv", line, true);
    }
    (void)snprintf(name, sizeof name, "日報-%02u.txt", day);                          /* fits */
    (void)snprintf(line, sizeof line, "%u日目の日報\n外来40名。特に変わりなし。\n", day); /* fits */
    if (r == 0)
        r = demo_put(clinic, name, line, false);
    if (r < 0)
        cli_note(d->c, "%s: %s", clinic, sm_errtext(r, d->c->ja));
    return r < 0 ? CLI_FAILED : CLI_OK;
}

/* ---- the end ---- */

void demo_end(struct plat_proc *p)
{
    int status;
    if (p->pid <= 0)
        return;
    (void)plat_proc_kill(p, SIGTERM); /* it may have ended by itself */
    if (plat_proc_wait(p, 20000, &status) == -SM_ETIME) {
        (void)plat_proc_kill(p, SIGKILL);
        (void)plat_proc_wait(p, 5000, &status);
    }
    plat_proc_close(p);
    *p = PLAT_PROC_NONE;
}

void demo_clear(struct demo *d)
{
    demo_end(&d->agent);
    demo_end(&d->box);
    if (d->made_dir && !cli_flag(d->c, "keep") && plat_fs_remove_tree(AT_FDCWD, d->dir) < 0 &&
        access(d->dir, F_OK) == 0)
        cli_note(d->c, T(d->c, "%s を消せませんでした", "%s could not be removed"), d->dir);
    json_decref(d->said);
    json_decref(d->secrets);
    json_decref(d->attacks);
    json_decref(d->alarm);
    json_decref(d->before);
    json_decref(d->generations);
    sm_zero(d->password, sizeof d->password);
}
