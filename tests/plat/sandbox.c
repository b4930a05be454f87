/*
 * Each test forks: the child confines itself, does one thing and ends with a number; the parent judges how it ended.
 * The filters of system calls are left out of sanitizer builds; there their tests are skipped, and run in the release
 * build.
 */
#include "../test.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "core/ipc.h"
#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/meta.h"
#include "plat/proc.h"
#include "plat/sandbox.h"

enum { FINE = 0, FAILED = 99 };
static char dir[] = "/tmp/sakimori-box-XXXXXX";

static int make_dir(void **state)
{
    if (!mkdtemp(dir) || chmod(dir, 0777) < 0)
        return -1;
    int fd = plat_fs_open_dir(AT_FDCWD, dir);
    int r = plat_replace(fd, "file", SM_SPAN_STR("content"), 0666);
    close(fd);
    return r;
}

static int remove_dir(void **state)
{
    return plat_fs_remove_tree(AT_FDCWD, dir);
}

/* How a child that runs fn ended, as waitpid tells it. */
static int ends(int (*fn)(void *), void *arg)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn(arg));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_ends_well(int (*fn)(void *), void *arg)
{
    char text[48];
    plat_proc_status_text(ends(fn, arg), text);
    assert_string_equal(text, "exit 0");
}

#define CHECK(condition) \
    do { \
        if (!(condition)) \
            return (int)(__LINE__ % 90) + 1; \
    } while (0)

/* ---- user, capabilities, hygiene ---- */

static int become_nobody(void *arg)
{
    struct plat_confined c = {0};
    CHECK(plat_sandbox_hygiene(64, getppid(), &c) == 0);
    CHECK(plat_sandbox_user(65534, 65534, NULL, 0, NULL, 0, &c) == 0);
    CHECK(c.uid && c.nnp && c.missing[0] == 0);
    CHECK(getuid() == 65534 && getegid() == 65534 && getgroups(0, NULL) == 0);
    CHECK(setuid(0) < 0 && open("/etc/shadow", O_RDONLY | O_CLOEXEC) < 0);
    CHECK(prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    int sig = 0;
    CHECK(prctl(PR_GET_PDEATHSIG, &sig) == 0 && sig == SIGKILL);
    struct rlimit l;
    CHECK(getrlimit(RLIMIT_CORE, &l) == 0 && l.rlim_max == 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_max == 64);
    cap_t caps = cap_get_proc();
    cap_flag_value_t v = CAP_SET;
    CHECK(caps && cap_get_flag(caps, CAP_DAC_OVERRIDE, CAP_PERMITTED, &v) == 0 && v == CAP_CLEAR);
    CHECK(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0) == 0);
    return FINE;
}

static void a_dropped_user_cannot_come_back(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_ends_well(become_nobody, NULL);
}

static int keep_reading_right(void *arg)
{
    struct plat_confined c = {0};
    const int caps[] = {CAP_DAC_READ_SEARCH};
    CHECK(plat_sandbox_user(65534, 65534, NULL, 0, caps, 1, &c) == 0);
    int fd = open("/etc/shadow", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(open("/etc/shadow", O_WRONLY | O_CLOEXEC) < 0);
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_DAC_READ_SEARCH, 0, 0) == 1);
    CHECK(chown(dir, 0, 0) < 0);
    return FINE;
}

static int only_caps(void *arg)
{
    struct plat_confined c = {0};
    const int caps[] = {CAP_CHOWN};
    CHECK(plat_sandbox_caps(caps, 1, &c) == 0);
    char path[64];
    (void)snprintf(path, sizeof path, "%s/file", dir);
    CHECK(chown(path, 1, 1) == 0 && chown(path, 0, 0) == 0);
    CHECK(setuid(1) < 0);
    return FINE;
}

static void only_the_listed_capabilities_stay(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_ends_well(keep_reading_right, NULL);
    assert_ends_well(only_caps, NULL);
}

static int ordinary_user(void *arg)
{
    struct plat_confined c = {0};
    CHECK(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
    CHECK(plat_sandbox_user(65533, 65533, NULL, 0, NULL, 0, &c) == 0);
    CHECK(!c.uid && strstr(c.missing, "not started as root"));
    CHECK(getuid() != 65533);
    return FINE;
}

static void an_ordinary_user_is_told_what_is_missing(void **state)
{
    assert_ends_well(ordinary_user, NULL);
}

static int wrong_parent(void *arg)
{
    struct plat_confined c = {0};
    CHECK(plat_sandbox_hygiene(64, 1 + (getppid() == 1), &c) == -SM_EPEER);
    CHECK(plat_sandbox_user(0, 0, NULL, 0, NULL, 0, &c) != 0 || geteuid() != 0);
    return FINE;
}

static void a_parent_that_is_gone_already_is_noticed(void **state)
{
    assert_ends_well(wrong_parent, NULL);
}

/* ---- Landlock ---- */

static int locked_in(void *arg)
{
    char path[64];
    struct plat_confined c = {0};
    const struct plat_path_rule rules[] = {{dir, true, false}, {"/etc", false, false}, {"/no/such", false, true}};
    CHECK(plat_sandbox_landlock(rules, 3, &c) == 0 && c.landlock && c.nnp);
    (void)snprintf(path, sizeof path, "%s/new", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && rename(path, dir) < 0 && unlink(path) == 0);
    CHECK(open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0);
    CHECK(open("/etc/passwd", O_RDWR | O_CLOEXEC) < 0 && errno == EACCES);
    CHECK(open("/usr/bin/env", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
    CHECK(open("/tmp/other", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EACCES);
    return FINE;
}

static int locked_out(void *arg)
{
    struct plat_confined c = {0};
    const struct plat_path_rule absent = {"/no/such", false, false};
    CHECK(plat_sandbox_landlock(&absent, 1, &c) == -ENOENT && !c.landlock);
    CHECK(plat_sandbox_landlock(NULL, 0, &c) == 0 && c.landlock);
    CHECK(open("/", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
    return FINE;
}

static void landlock_leaves_only_what_is_listed(void **state)
{
    if (plat_sandbox_landlock_abi() == 0)
        skip();
    assert_ends_well(locked_in, NULL);
    assert_ends_well(locked_out, NULL);
}

/* ---- system calls ---- */

static bool sanitizer_build(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

static void *in_thread(void *arg)
{
    *(int *)arg = (int)getpid();
    return NULL;
}

static int do_base(void)
{
    struct sm_time t = plat_clock_wall();
    char text[96];
    sm_time_wareki(t, text);
    sm_log_init("sandbox-test", SM_ERROR + 1);
    void *big = malloc(8 << 20);
    CHECK(big);
    memset(big, 1, 8 << 20);
    void *bigger = realloc(big, 64 << 20);
    CHECK(bigger);
    CHECK(mlock(bigger, 4096) == 0 && munlock(bigger, 4096) == 0);
    free(bigger);
    struct stat st;
    CHECK(fstat(0, &st) == 0);
    int fd[2];
    struct sm_loop *loop;
    CHECK(sm_loop_new(&loop) == 0);
    CHECK(pipe2(fd, O_CLOEXEC | O_NONBLOCK) == 0 && write(fd[1], "x", 1) == 1);
    struct sm_timer *timer;
    CHECK(sm_loop_timer(loop, 1, 0, free, NULL, &timer) == 0);
    CHECK(sm_loop_once(loop, 10) == 0);
    sm_timer_free(timer);
    sm_loop_free(loop);
    close(fd[0]);
    close(fd[1]);
    return FINE;
}

static int do_thread(void)
{
    pthread_t th;
    int pid = 0;
    CHECK(pthread_create(&th, NULL, in_thread, &pid) == 0 && pthread_join(th, NULL) == 0 && pid == getpid());
    return FINE;
}

static int do_read(void)
{
    char path[64];
    struct sm_buf b = {0};
    (void)snprintf(path, sizeof path, "%s/file", dir);
    CHECK(plat_fs_read_file(AT_FDCWD, path, 100, &b) == 0);
    sm_buf_wipe(&b);
    struct plat_meta m;
    CHECK(plat_meta_read(AT_FDCWD, path, PLAT_META_XATTR, &m) == 0 && m.xattr_err == 0);
    plat_meta_wipe(&m);
    struct plat_fs_space s;
    CHECK(plat_fs_space(AT_FDCWD, dir, &s) == 0);
    int fd = plat_fs_open_dir(AT_FDCWD, dir);
    CHECK(fd >= 0);
    int f = plat_fs_open_beneath(fd, "file", O_RDONLY, 0);
    CHECK(f >= 0);
    (void)plat_meta_generation(f);
    plat_fs_forget(f, 0, 0);
    close(f);
    close(fd);
    return FINE;
}

static int do_write(void)
{
    int fd = plat_fs_open_dir(AT_FDCWD, dir);
    CHECK(fd >= 0);
    CHECK(plat_replace(fd, "w", SM_SPAN_STR("x"), 0600) == 0);
    int f = plat_fs_create(fd, "w2", PLAT_FS_RW, 0600);
    CHECK(f >= 0 && plat_fs_pwrite_all(f, SM_SPAN_STR("abc"), 0) == 0 && plat_fs_truncate(f, 1) == 0);
    CHECK(plat_fs_datasync(f) == 0);
    void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, f, 0);
    CHECK(p != MAP_FAILED && munmap(p, 4096) == 0);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CHECK(fcntl(f, F_SETLK, &l) == 0); /* as SQLite locks */
    close(f);
    CHECK(plat_fs_unlink(fd, "w") == 0 && plat_fs_unlink(fd, "w2") == 0);
    CHECK(plat_fs_mkdir(fd, "d", 0700) == 0 && plat_fs_rmdir(fd, "d") == 0);
    int lock = plat_fs_lock(fd, "lock");
    CHECK(lock >= 0 && plat_fs_unlink(fd, "lock") == 0);
    close(lock);
    close(fd);
    return FINE;
}

static int do_memory_file(void)
{
    int fd = memfd_create("pack", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && plat_fs_write_all(fd, SM_SPAN_STR("x")) == 0);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == 0);
    close(fd);
    return FINE;
}

static int do_restore(void)
{
    int fd = plat_fs_open_dir(AT_FDCWD, dir);
    CHECK(fd >= 0 && plat_replace(fd, "r", SM_SPAN_STR("x"), 0600) == 0);
    struct plat_meta m;
    struct plat_meta_report report;
    CHECK(plat_meta_read(fd, "r", PLAT_META_XATTR, &m) == 0);
    CHECK(plat_meta_add_xattr(&m, "user.x", SM_SPAN_STR("y")) == 0);
    CHECK(plat_meta_apply(fd, "r", &m, PLAT_APPLY_ALL, &report) == 0);
    CHECK(fchownat(fd, "r", getuid(), getgid(), AT_SYMLINK_NOFOLLOW) == 0);
    CHECK(plat_fs_symlink("r", fd, "l") == 0 && plat_fs_link(fd, "r", fd, "h") == 0);
    CHECK(plat_fs_mknod(fd, "p", S_IFIFO | 0600, 0) == 0);
    plat_meta_wipe(&m);
    CHECK(plat_fs_unlink(fd, "r") == 0 && plat_fs_unlink(fd, "l") == 0 && plat_fs_unlink(fd, "h") == 0);
    CHECK(plat_fs_unlink(fd, "p") == 0);
    close(fd);
    return FINE;
}

static int do_connect(void)
{
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(s >= 0);
    (void)!connect(s, (struct sockaddr *)&a, sizeof a);
    close(s);
    return FINE;
}

static int inherited_listener = -1;

static int do_accept(void)
{
    CHECK(accept4(inherited_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) < 0 && errno == EAGAIN);
    return FINE;
}

static int bad_socket(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0;
}

static int bad_open(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC) < 0;
}

static int bad_open_write(void)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/bad", dir);
    return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0;
}

static int bad_exec(void)
{
    return execl("/bin/true", "true", (char *)NULL);
}

static int bad_fork(void)
{
    return fork() < 0;
}

static int bad_ptrace(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int bad_wx(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int bad_chown(void)
{
    return chown(dir, 0, 0);
}

static int bad_kill(void)
{
    return kill(getppid(), 0);
}

static int bad_unlink(void)
{
    return unlink("/tmp/sakimori-no-such-file");
}

/* What each profile must allow, and what it must die of.  exec, fork, kill, W+X memory: all of them. */
static const struct row {
    const char *profile;
    int (*good[5])(void);
    int (*bad[3])(void);
} row[] = {
    {"front", {do_base, do_read, do_thread, do_accept}, {bad_socket, bad_open_write, bad_unlink}},
    {"keyd", {do_base, do_read, do_write, do_thread}, {bad_socket, bad_chown}},
    {"brain", {do_base, do_read, do_write, do_thread}, {bad_socket, bad_chown}},
    {"vault", {do_base, do_read, do_write, do_thread}, {bad_socket, bad_chown}},
    {"opener", {do_base}, {bad_socket, bad_open, bad_unlink}},
    {"out", {do_base, do_read, do_connect, do_thread}, {bad_open_write, bad_unlink, bad_chown}},
    {"agent-link", {do_base, do_read, do_write, do_connect, do_thread}, {bad_chown}},
    {"agent-backup", {do_base, do_read, do_write, do_memory_file, do_thread}, {bad_socket, bad_chown}},
    {"agent-restore", {do_base, do_read, do_write, do_restore, do_thread}, {bad_socket}},
};
static int (*const always_bad[])(void) = {bad_exec, bad_fork, bad_ptrace, bad_wx, bad_kill};

static int run_good(void *arg)
{
    const struct row *r = arg;
    struct plat_confined c = {0};
    CHECK(plat_sandbox_seccomp(r->profile, &c) == 0 && c.seccomp && c.nnp && c.missing[0] == 0);
    for (size_t i = 0; i < 5 && r->good[i]; i++) {
        int k = r->good[i]();
        if (k)
            return k;
    }
    return FINE;
}

struct bad {
    const char *profile;
    int (*fn)(void);
};

static int run_bad(void *arg)
{
    const struct bad *b = arg;
    struct plat_confined c = {0};
    CHECK(plat_sandbox_seccomp(b->profile, &c) == 0);
    (void)!b->fn();
    return FAILED; /* still alive: it was let through */
}

static void assert_dies(const char *profile, int (*fn)(void), size_t which)
{
    struct bad b = {profile, fn};
    int status = ends(run_bad, &b);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
        fail_msg("%s lets forbidden thing %zu through: status %x", profile, which, (unsigned)status);
}

static void every_profile_allows_its_work(void **state)
{
    if (sanitizer_build())
        skip();
    inherited_listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr any = {.sa_family = AF_UNIX};
    assert_ok(bind(inherited_listener, &any, sizeof any.sa_family));
    assert_ok(listen(inherited_listener, 1));
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char text[48];
        assert_string_equal(plat_sandbox_profile(i), row[i].profile);
        plat_proc_status_text(ends(run_good, (void *)&row[i]), text);
        if (strcmp(text, "exit 0") != 0)
            fail_msg("%s: %s", row[i].profile, text);
    }
    assert_null(plat_sandbox_profile(sizeof row / sizeof row[0]));
    close(inherited_listener);
}

static void every_profile_dies_of_anything_else(void **state)
{
    if (sanitizer_build())
        skip();
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        for (size_t k = 0; k < 3 && row[i].bad[k]; k++)
            assert_dies(row[i].profile, row[i].bad[k], k);
        for (size_t k = 0; k < sizeof always_bad / sizeof always_bad[0]; k++)
            assert_dies(row[i].profile, always_bad[k], 10 + k);
    }
}

static int in_sanitizer_build(void *arg)
{
    struct plat_confined c = {0};
    CHECK(plat_sandbox_seccomp("vault", &c) == 0);
    CHECK(c.seccomp == !sanitizer_build());
    CHECK((strstr(c.missing, "sanitizer") != NULL) == sanitizer_build());
    return FINE;
}

static void a_sanitizer_build_says_that_it_has_no_filter(void **state)
{
    struct plat_confined c = {0};
    assert_int_equal(plat_sandbox_seccomp("no-such", &c), -SM_ENOTFOUND);
    assert_ends_well(in_sanitizer_build, NULL);
}

static void what_was_possible_travels_in_a_message(void **state)
{
    struct plat_confined c = {.uid = true, .landlock = true, .missing = "seccomp: none"}, d = {0};
    struct sm_buf b = {0};
    assert_ok(plat_confined_put(&c, &b));
    assert_ok(plat_confined_get(sm_buf_span(&b), &d));
    assert_true(d.uid && d.landlock && !d.seccomp && !d.nnp);
    assert_string_equal(d.missing, "seccomp: none");
    assert_int_equal(plat_confined_get(SM_SPAN_STR(""), &d), -SM_EFORMAT);
    assert_int_equal(plat_confined_get(SM_SPAN_STR("\x10"), &d), -SM_EFORMAT);
    assert_int_equal(plat_confined_get(SM_SPAN_STR("\x01\xff"), &d), -SM_EFORMAT);
    assert_true(d.landlock);
    sm_buf_wipe(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dropped_user_cannot_come_back),
        cmocka_unit_test(only_the_listed_capabilities_stay),
        cmocka_unit_test(an_ordinary_user_is_told_what_is_missing),
        cmocka_unit_test(a_parent_that_is_gone_already_is_noticed),
        cmocka_unit_test(landlock_leaves_only_what_is_listed),
        cmocka_unit_test(every_profile_allows_its_work),
        cmocka_unit_test(every_profile_dies_of_anything_else),
        cmocka_unit_test(a_sanitizer_build_says_that_it_has_no_filter),
        cmocka_unit_test(what_was_possible_travels_in_a_message),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
