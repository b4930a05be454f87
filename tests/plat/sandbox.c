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
#include <sched.h>
#include <sys/mman.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/* ---- everything but ---- */

/* <dir>/home holds the box ("box", with a folder and a file) among other things; its path in ret. */
static void home_make(char ret[64])
{
    static const char *const folder[] = {"", "/docs", "/box", "/box/packs", "/gone"};
    static const char *const file[] = {"/notes", "/docs/letter", "/box/secret", "/box/packs/one"};
    char path[128];
    (void)snprintf(ret, 64, "%s/home", dir);
    for (size_t i = 0; i < 5; i++) {
        (void)snprintf(path, sizeof path, "%s%s", ret, folder[i]);
        assert_ok(mkdir(path, 0777));
        assert_ok(chmod(path, 0777)); /* whoever asks: only Landlock is in the way */
    }
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s%s", ret, file[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        assert_true(fd >= 0 && write(fd, "content", 7) == 7 && fchmod(fd, 0666) == 0);
        close(fd);
    }
    (void)snprintf(path, sizeof path, "%s/way", ret);
    assert_ok(symlink("box", path));
}

struct but_case {
    struct plat_but but;
    const char *home;
    bool user; /* as an ordinary one */
};

/* errno of an open in home, or 0. */
static int opens(const char *home, const char *name, int flags)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s%s", home, name);
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? errno : 0;
}

static int renames(const char *home, const char *from, const char *to)
{
    char a[256], b[256];
    (void)snprintf(a, sizeof a, "%s%s", home, from);
    (void)snprintf(b, sizeof b, "%s%s", home, to);
    return rename(a, b) < 0 ? errno : 0;
}

static int confine_but(const struct but_case *t, struct plat_confined *c)
{
    CHECK(!t->user || geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
    CHECK(plat_sandbox_landlock_but(&t->but, c) == 0 && c->landlock && c->nnp);
    return FINE;
}

/* Nothing of the box can be had, by whatever way; only that it is there. */
static int box_is_out(const char *home)
{
    struct stat st;
    char path[256];
    CHECK(opens(home, "/box", O_RDONLY | O_DIRECTORY) == 0); /* names are not kept */
    CHECK(opens(home, "/box/secret", O_RDONLY) == EACCES && opens(home, "/way/secret", O_RDONLY) == EACCES);
    CHECK(opens(home, "/box/packs/one", O_RDONLY) == EACCES && opens(home, "/box/packs/one", O_WRONLY) == EACCES);
    CHECK(opens(home, "/box/secret", O_RDWR) == EACCES && opens(home, "/box/secret", O_RDWR | O_TRUNC) == EACCES);
    (void)snprintf(path, sizeof path, "%s/box/secret", home);
    CHECK(plat_sandbox_landlock_abi() < 3 || (truncate(path, 0) < 0 && errno == EACCES));
    CHECK(stat(path, &st) == 0 && st.st_size == 7);
    return FINE;
}

static int box_is_fixed(const char *home)
{
    CHECK(opens(home, "/box/new", O_RDWR | O_CREAT) == EACCES);
    CHECK(renames(home, "/box/secret", "/docs/secret") != 0 && renames(home, "/docs/letter", "/box/secret") != 0);
    CHECK(renames(home, "/box", "/docs/box") != 0 && renames(home, "/box", "/box2") != 0);
    char path[256];
    (void)snprintf(path, sizeof path, "%s/box/secret", home);
    CHECK(unlink(path) < 0 && errno == EACCES);
    return FINE;
}

static int reads_beside(void *arg)
{
    const struct but_case *t = arg;
    struct plat_confined c = {0};
    int r = confine_but(t, &c);
    r = r ? r : box_is_out(t->home);
    r = r ? r : box_is_fixed(t->home);
    if (r)
        return r;
    CHECK(opens(t->home, "", O_RDONLY | O_DIRECTORY) == 0 && opens("/", "", O_RDONLY | O_DIRECTORY) == 0);
    CHECK(opens(t->home, "/notes", O_RDONLY) == 0 && opens(t->home, "/docs/letter", O_RDONLY) == 0);
    CHECK(opens("/etc/passwd", "", O_RDONLY) == 0 && opens("/usr/bin/env", "", O_RDONLY) == 0);
    CHECK(opens(t->home, "/notes", O_WRONLY) == EACCES && opens(t->home, "/docs/new", O_WRONLY | O_CREAT) == EACCES);
    return FINE;
}

static int writes_beside(void *arg)
{
    const struct but_case *t = arg;
    struct plat_confined c = {0};
    int r = confine_but(t, &c);
    r = r ? r : box_is_out(t->home);
    r = r ? r : box_is_fixed(t->home);
    if (r)
        return r;
    CHECK(opens(t->home, "/docs/new", O_RDWR | O_CREAT | O_EXCL) == 0 && renames(t->home, "/docs/new", "/docs/n2") == 0);
    CHECK(opens(t->home, "/docs/letter", O_RDWR | O_TRUNC) == 0 && opens(t->home, "/notes", O_RDWR) == 0);
    CHECK(opens(t->home, "/new", O_RDWR | O_CREAT) == EACCES && renames(t->home, "/notes", "/notes2") == EACCES);
    CHECK(renames(t->home, "/docs/n2", "/gone/n2") == 0 && renames(t->home, "/gone/n2", "/docs/n2") == 0);
    return FINE;
}

/* The levels may be changed, but nothing is read or written there. */
static int changes_level(void *arg)
{
    const struct but_case *t = arg;
    struct plat_confined c = {0};
    int r = confine_but(t, &c);
    r = r ? r : box_is_out(t->home);
    if (r)
        return r;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/docs/w", t->home);
    CHECK(opens(path, "", O_RDWR | O_CREAT | O_EXCL) == 0 && renames(t->home, "/docs/w", "/w") == 0);
    CHECK(opens(t->home, "/w", O_RDONLY) == EACCES);
    (void)snprintf(path, sizeof path, "%s/made", t->home);
    CHECK(mkdir(path, 0700) == 0 && renames(t->home, "/docs/n2", "/made/n2") == 0);
    CHECK(opens(t->home, "/made/x", O_RDWR | O_CREAT) == EACCES && renames(t->home, "/made/n2", "/docs/n2") != 0);
    (void)snprintf(path, sizeof path, "%s/w", t->home);
    CHECK(unlink(path) == 0);
    return FINE;
}

static int adds_to_level(void *arg)
{
    const struct but_case *t = arg;
    struct plat_confined c = {0};
    int r = confine_but(t, &c);
    r = r ? r : box_is_out(t->home);
    if (r)
        return r;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/docs/decoy", t->home);
    CHECK(opens(path, "", O_RDWR | O_CREAT | O_EXCL) == 0 && renames(t->home, "/docs/decoy", "/decoy") == 0);
    CHECK(opens(path, "", O_RDWR | O_CREAT | O_EXCL) == 0 && renames(t->home, "/docs/decoy", "/box/secret") == EACCES);
    (void)snprintf(path, sizeof path, "%s/decoy", t->home);
    CHECK(unlink(path) < 0 && errno == EACCES);
    return FINE;
}

static void everything_but_a_folder_is_what_it_says(void **state)
{
    char home[64], box[80], box2[80], decoy[96];
    struct plat_confined c = {0};
    if (plat_sandbox_landlock_abi() < 2)
        skip();
    home_make(home);
    (void)snprintf(box, sizeof box, "%s/box", home);
    (void)snprintf(box2, sizeof box2, "%s/gone/not/yet", home); /* one that is not there */
    (void)snprintf(decoy, sizeof decoy, "%s/decoy", home);
    const char *const out[] = {box, box2}, *const level[] = {home}, *const none[] = {"/"}, *const relative[] = {"box"};
    for (int user = 0; user < 2; user++) {
        struct but_case t = {{.out = out, .out_n = 1}, home, user};
        assert_ends_well(reads_beside, &t);
        t.but.write = true;
        assert_ends_well(writes_beside, &t);
        t.but.change = level;
        t.but.change_n = 1;
        assert_ends_well(changes_level, &t);
        t.but.change_n = 0;
        t.but.add = true;
        assert_ends_well(adds_to_level, &t);
        assert_ok(unlink(decoy));
        assert_ok(unlink((snprintf(decoy, sizeof decoy, "%s/docs/decoy", home), decoy)));
        assert_ok(plat_fs_remove_tree(AT_FDCWD, (snprintf(decoy, sizeof decoy, "%s/made", home), decoy)));
        (void)snprintf(decoy, sizeof decoy, "%s/decoy", home);
    }
    struct plat_but bad = {.out = none, .out_n = 1};
    assert_int_equal(plat_sandbox_landlock_but(&bad, &c), -SM_EINVAL);
    bad.out = relative;
    assert_int_equal(plat_sandbox_landlock_but(&bad, &c), -SM_EINVAL);
    bad = (struct plat_but){.out = out, .out_n = 1, .change = out, .change_n = 1};
    assert_int_equal(plat_sandbox_landlock_but(&bad, &c), -SM_EINVAL);
    assert_false(c.landlock);
}

/* Two folders stay out, one of which is made afterwards; what comes into a level later cannot be read either. */
static int two_are_out(void *arg)
{
    char path[256];
    const struct but_case *t = arg;
    struct plat_confined c = {0};
    int r = confine_but(t, &c);
    r = r ? r : box_is_out(t->home);
    if (r)
        return r;
    const int go[] = {1};
    (void)!write(4, go, 1);
    char done;
    CHECK(read(5, &done, 1) == 1);
    CHECK(opens(t->home, "/gone/not/yet/late", O_RDONLY) == EACCES && opens(t->home, "/later", O_RDONLY) == EACCES);
    CHECK(opens(t->home, "/docs/later", O_RDONLY) == 0);
    (void)snprintf(path, sizeof path, "%s/later", t->home);
    struct stat st;
    CHECK(stat(path, &st) == 0);
    return FINE;
}

static void write_file(const char *home, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s%s", home, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_true(fd >= 0 && write(fd, "x", 1) == 1);
    close(fd);
}

static void what_comes_into_a_level_later_stays_out_too(void **state)
{
    char home[64], box[80], late[80], path[128], go;
    int to[2], from[2], status;
    if (plat_sandbox_landlock_abi() < 2)
        skip();
    (void)snprintf(home, sizeof home, "%s/home", dir);
    (void)snprintf(box, sizeof box, "%s/box", home);
    (void)snprintf(late, sizeof late, "%s/gone/not/yet", home);
    const char *const out[] = {box, late};
    struct but_case t = {{.out = out, .out_n = 2}, home, false};
    assert_ok(pipe(to));
    assert_ok(pipe(from));
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(from[1], 4);
        (void)dup2(to[0], 5);
        _exit(two_are_out(&t));
    }
    close(from[1]);
    assert_int_equal(read(from[0], &go, 1), 1);
    for (const char *p = "/gone/not\0/gone/not/yet\0"; *p; p += strlen(p) + 1) {
        (void)snprintf(path, sizeof path, "%s%s", home, p);
        assert_ok(mkdir(path, 0755));
    }
    write_file(home, "/gone/not/yet/late");
    write_file(home, "/later");
    write_file(home, "/docs/later");
    assert_int_equal(write(to[1], "g", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    plat_proc_status_text(status, path);
    assert_string_equal(path, "exit 0");
    close(to[0]), close(to[1]), close(from[0]);
}

static void paths_are_resolved_as_far_as_they_are_there(void **state)
{
    char real[PLAT_PATH_MAX], path[256], want[256];
    size_t there;
    (void)snprintf(path, sizeof path, "%s/home/way/packs//new/", dir);
    (void)snprintf(want, sizeof want, "%s/home/box/packs/new", dir);
    assert_ok(plat_real_path(path, real, &there));
    assert_string_equal(real, want);
    assert_int_equal(there, strlen(want) - 4);
    assert_ok(plat_real_path("/no-such-at-all/x", real, &there));
    assert_string_equal(real, "/no-such-at-all/x");
    assert_int_equal(there, 1);
    assert_int_equal(plat_real_path("/no-such-at-all/../etc", real, &there), -SM_EINVAL);
    assert_int_equal(plat_real_path("x", real, &there), -SM_EINVAL);
    assert_int_equal(plat_but_place("/a/b", "/a/b"), PLAT_INSIDE);
    assert_int_equal(plat_but_place("/a/b/c", "/a/b"), PLAT_INSIDE);
    assert_int_equal(plat_but_place("/a", "/a/b"), PLAT_ABOVE);
    assert_int_equal(plat_but_place("/", "/a/b"), PLAT_ABOVE);
    assert_int_equal(plat_but_place("/a/bc", "/a/b"), PLAT_BESIDE);
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

/* Behind the filter, as the restore part does it when it knows its order. */
static int do_confine(void)
{
    const char *const out[] = {dir};
    const struct plat_but but = {.out = out, .out_n = 1, .write = true};
    struct plat_confined c = {.nnp = true};
    CHECK(plat_sandbox_landlock_but(&but, &c) == 0);
    CHECK(!c.landlock || (open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600) < 0 && errno == EACCES));
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

/* The C library takes a no. */
static int refused_socket(void)
{
    CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 && errno == EPERM);
    return FINE;
}

/* A server that nothing but this machine can reach, and that reaches nothing else. */
static int local_socket_only(void)
{
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(s >= 0);
    close(s);
    static const int families[] = {AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        CHECK(socket(families[i], SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 && errno == ENOSYS);
    return FINE;
}

static int bad_connect(void)
{
    struct sockaddr any = {.sa_family = AF_UNIX};
    return connect(0, &any, sizeof any);
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

/* The programs of a database are started and waited for. */
static int do_tool(void)
{
    char *const argv[] = {(char *)(uintptr_t) "true", NULL};
    const struct plat_spawn s = {.path = "/bin/true", .argv = argv, .group = true};
    struct plat_proc p = PLAT_PROC_NONE;
    int status = -1;
    CHECK(plat_proc_spawn(&s, &p) == 0 && plat_proc_wait(&p, 10000, &status) == 0 && status == 0);
    plat_proc_close(&p);
    return FINE;
}

static int cannot(void)
{
    errno = 0;
    CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 && errno == ENOSYS);
    CHECK(unshare(CLONE_NEWNS) < 0 && errno == ENOSYS);
    CHECK(mount("none", "/mnt", "tmpfs", 0, NULL) < 0 && errno == ENOSYS);
    CHECK(syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == ENOSYS);
    CHECK(syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == ENOSYS);
    return FINE;
}

static int do_watch(void)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    CHECK(fd >= 0 && inotify_add_watch(fd, "/", IN_CREATE) >= 0);
    close(fd);
    return FINE;
}

/* What each profile must allow, and what it must die of.  exec, fork, kill, W+X memory: all of them. */
static const struct row {
    const char *profile;
    int (*good[7])(void);
    int (*bad[3])(void);
    bool foreign; /* what is not allowed fails instead */
} row[] = {
    {"front", {do_base, do_read, do_thread, do_accept}, {bad_socket, bad_open_write, bad_unlink}},
    {"keyd", {do_base, do_read, do_write, do_thread}, {bad_socket, bad_chown}},
    {"brain", {do_base, do_read, do_write, do_thread}, {bad_socket, bad_chown}},
    {"vault", {do_base, do_read, do_write, do_thread}, {bad_socket, bad_chown}},
    {"opener", {do_base}, {bad_socket, bad_open, bad_unlink}},
    {"selfsave", {do_base, do_read, do_write, do_thread, refused_socket}, {bad_chown}},
    {"copier", {do_base, do_read, do_write}, {bad_socket, bad_chown}},
    {"courier", {do_base, do_read, do_connect, do_thread}, {bad_open_write, bad_unlink, bad_chown}},
    {"out", {do_base, do_read, do_connect, do_thread}, {bad_open_write, bad_unlink, bad_chown}},
    {"agent-link", {do_base, do_read, do_write, do_connect, do_thread}, {bad_chown}},
    {"agent-backup", {do_base, do_read, do_write, do_memory_file, do_thread, refused_socket}, {bad_chown}},
    {"agent-restore", {do_base, do_read, do_write, do_restore, do_thread, do_confine, refused_socket}, {bad_connect}},
    {"agent-lend", {do_base, do_read}, {bad_socket, bad_open_write, bad_unlink}},
    {"agent-logs", {do_base, do_read, do_write, do_watch, refused_socket}, {bad_chown}},
    {"agent-inspect", {do_base, do_read, do_write, do_watch, refused_socket}, {bad_chown}},
    {"agent-scan", {do_base, do_read, do_write, do_thread}, {bad_socket, bad_chown}},
    {"agent-yara", {do_base, do_read, do_thread}, {NULL}, true},
    {"agent-judge", {do_base, do_read, do_write, refused_socket}, {bad_chown}},
    {"agent-dump", {do_base, do_read, do_write, do_connect, do_tool}, {NULL}, true},
    {"agent-proof", {do_base, do_read, do_write, local_socket_only, do_tool}, {NULL}, true},
    {"agent-actor", {do_base, do_read, do_write, do_restore, do_connect, do_thread, do_tool}, {NULL}, true},
    {"agent-sqlite", {do_base, do_read, do_write, do_thread}, {bad_socket}},
};
static int (*const always_bad[])(void) = {bad_exec, bad_fork, bad_ptrace, bad_wx, bad_kill};

static int run_good(void *arg)
{
    const struct row *r = arg;
    struct plat_confined c = {0};
    CHECK(plat_sandbox_seccomp(r->profile, &c) == 0 && c.seccomp && c.nnp && c.missing[0] == 0);
    for (size_t i = 0; i < 7 && r->good[i]; i++) {
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
        if (row[i].foreign)
            continue;
        for (size_t k = 0; k < 3 && row[i].bad[k]; k++)
            assert_dies(row[i].profile, row[i].bad[k], k);
        for (size_t k = 0; k < sizeof always_bad / sizeof always_bad[0]; k++)
            assert_dies(row[i].profile, always_bad[k], 10 + k);
    }
}

static int run_cannot(void *arg)
{
    struct plat_confined c = {0};
    CHECK(plat_sandbox_seccomp(arg, &c) == 0);
    return cannot();
}

static void a_profile_of_foreign_programs_refuses_what_is_dangerous(void **state)
{
    if (sanitizer_build())
        skip();
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (row[i].foreign)
            assert_ends_well(run_cannot, (void *)(uintptr_t)row[i].profile);
}

static int run_only_the_listed(void *arg)
{
    const struct plat_path_rule rules[] = {{"/", false, false, false}, {"/bin/true", false, false, true},
        {"/lib64/ld-linux-x86-64.so.2", false, true, true}, {"/lib/ld-linux-aarch64.so.1", false, true, true}};
    char *const argv[] = {(char *)(uintptr_t) "x", NULL};
    struct plat_spawn s = {.path = "/bin/true", .argv = argv};
    struct plat_proc p = PLAT_PROC_NONE;
    struct plat_confined c = {0};
    int status = -1;
    (void)arg;
    CHECK(plat_sandbox_landlock(rules, 4, &c) == 0);
    if (!c.landlock)
        return FINE;
    CHECK(plat_proc_spawn(&s, &p) == 0 && plat_proc_wait(&p, 10000, &status) == 0 && status == 0);
    plat_proc_close(&p);
    s.path = "/bin/false";
    CHECK(plat_proc_spawn(&s, &p) == -EACCES);
    return FINE;
}

static void landlock_lets_only_the_listed_programs_start(void **state)
{
    assert_ends_well(run_only_the_listed, NULL);
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
        cmocka_unit_test(everything_but_a_folder_is_what_it_says),
        cmocka_unit_test(what_comes_into_a_level_later_stays_out_too),
        cmocka_unit_test(paths_are_resolved_as_far_as_they_are_there),
        cmocka_unit_test(every_profile_allows_its_work),
        cmocka_unit_test(every_profile_dies_of_anything_else),
        cmocka_unit_test(a_profile_of_foreign_programs_refuses_what_is_dangerous),
        cmocka_unit_test(landlock_lets_only_the_listed_programs_start),
        cmocka_unit_test(a_sanitizer_build_says_that_it_has_no_filter),
        cmocka_unit_test(what_was_possible_travels_in_a_message),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
