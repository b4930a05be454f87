/* Watching folders: the parsers always, the kernel where it lets us (root), only in a folder of this test's own. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/fswatch.h"

#define BOUND_MS 60000

static int flags_of(const char *text)
{
    int flags = -1;
    uint64_t at = 0;
    int r = fswatch_parse_call(SM_SPAN_STR(text), &flags, &at);
    return r ? r : at ? -1000000 : flags;
}

static void the_flags_of_an_open_stand_where_its_call_has_them(void **state)
{
    (void)state;
#if defined(__x86_64__)
    assert_int_equal(flags_of("257 0xffffff9c 0x7f 0x241 0x1b6 0x0 0x0 0x7ffd 0x7f12\n"), 0x241);
    assert_int_equal(flags_of("2 0x7f 0x2 0x0 0x0 0x0 0x0 0x7ffd 0x7f12\n"), O_RDWR);
    assert_int_equal(flags_of("85 0x7f 0x1b6 0x0 0x0 0x0 0x0 0x7ffd 0x7f12\n"), O_WRONLY | O_CREAT | O_TRUNC);
    assert_int_equal(flags_of("437 0xffffff9c 0x7f 0x7ffd10 0x18 0x0 0x0 0x7ffd 0x7f12\n"), -1000000);
    assert_int_equal(flags_of("59 0x7f 0x7f 0x7f 0x0 0x0 0x0 0x7ffd 0x7f12\n"), O_RDONLY);
    assert_int_equal(flags_of("426 0x3 0x1 0x0 0x0 0x0 0x0 0x7ffd 0x7f12\n"), -SM_ENOTFOUND); /* a ring: anything */
#endif
    assert_int_equal(flags_of("running\n"), -SM_ENOTFOUND);
    assert_int_equal(flags_of("-1 0x7ffd 0x7f12\n"), -SM_ENOTFOUND);
    assert_int_equal(flags_of(""), -SM_EFORMAT);
    assert_int_equal(flags_of("257 0xffffff9c"), -SM_EFORMAT);
    assert_int_equal(flags_of("x"), -SM_EFORMAT);
}

/* ---- with the kernel ---- */

struct kernel {
    char folder[64];
    struct fswatch *w;
    char why[240];
    int dir;
};

static int set_up(void **state)
{
    static struct kernel k;
    k = (struct kernel){.folder = "/tmp/fswatch-test-XXXXXX", .dir = -1};
    if (!mkdtemp(k.folder))
        return -1;
    k.dir = plat_fs_open_dir(AT_FDCWD, k.folder);
    if (fswatch_open(1u << FSWATCH_OPENS | 1u << FSWATCH_NOTICES, &k.w, k.why))
        k.w = NULL;
    *state = &k;
    return 0;
}

static int tear_down(void **state)
{
    struct kernel *k = *state;
    fswatch_close(k->w);
    close(k->dir);
    return plat_fs_remove_tree(AT_FDCWD, k->folder);
}

static void needs_kernel(const struct kernel *k)
{
    if (!k->w)
        skip();
}

/* Forks a child that works in the folder; it is killed by the alarm if nobody answers. */
static pid_t child(struct kernel *k, void (*work)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        fswatch_close(k->w); /* its own copy: else the group would outlive us */
        if (chdir(k->folder))
            _exit(9);
        work();
        _exit(0);
    }
    return pid;
}

struct answered {
    unsigned asks, writes, unknown;
};

/* Answers until the child ended. */
static struct answered answer_all(struct kernel *k, pid_t pid, bool allow, int *ret_status)
{
    struct answered a = {0};
    uint64_t until = plat_clock_mono_ms() + BOUND_MS, lost = 0;
    while (waitpid(pid, ret_status, WNOHANG) == 0 && plat_clock_mono_ms() < until) {
        struct fswatch_ask ask[8];
        struct pollfd p = {fswatch_fd(k->w, FSWATCH_OPENS), POLLIN, 0};
        (void)poll(&p, 1, 20);
        ssize_t n = fswatch_asks(k->w, FSWATCH_OPENS, ask, 8, &lost);
        for (ssize_t i = 0; i < n; i++) {
            int flags = 0, r = fswatch_how(ask[i].thread, &flags);
            a.asks++;
            a.unknown += r != 0;
            a.writes += !r && (flags & O_ACCMODE) != O_RDONLY;
            fswatch_answer(k->w, FSWATCH_OPENS, ask[i].fd, allow);
            close(ask[i].fd);
        }
    }
    return a;
}

static void write_and_read(void)
{
    int f = open("a", O_CREAT | O_WRONLY, 0600);
    close(f);
    f = open("a", O_RDONLY);
    close(f);
    if (f < 0)
        _exit(3);
}

static void an_open_waits_for_the_answer_and_its_flags_are_seen(void **state)
{
    struct kernel *k = *state;
    int status = -1;
    needs_kernel(k);
    assert_int_equal(fswatch_folder(k->w, k->dir, true), 0);
    struct answered a = answer_all(k, child(k, write_and_read), true, &status);
    assert_int_equal(status, 0);
    assert_int_equal(a.asks, 2);
    assert_int_equal(a.writes, 1);
    assert_int_equal(a.unknown, 0);
}

static void open_forbidden(void)
{
    int f = open("b", O_CREAT | O_WRONLY, 0600);
    _exit(f < 0 && errno == EPERM ? 5 : 6);
}

static void a_no_is_a_no(void **state)
{
    struct kernel *k = *state;
    int status = -1;
    needs_kernel(k);
    assert_int_equal(fswatch_folder(k->w, k->dir, true), 0);
    (void)answer_all(k, child(k, open_forbidden), false, &status);
    assert_int_equal(WEXITSTATUS(status), 5);
}

static void whoever_closes_lets_everybody_go(void **state)
{
    struct kernel *k = *state;
    int status = -1;
    needs_kernel(k);
    assert_int_equal(fswatch_folder(k->w, k->dir, true), 0);
    pid_t pid = child(k, write_and_read);
    struct pollfd p = {fswatch_fd(k->w, FSWATCH_OPENS), POLLIN, 0};
    assert_int_equal(poll(&p, 1, BOUND_MS), 1);
    fswatch_close(k->w);
    k->w = NULL;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

struct told {
    struct fswatch *w;
    char text[2048];
    uint64_t file;
};

static void on_notice(void *ctx, const struct fswatch_notice *n)
{
    struct told *t = ctx;
    char at[FSWATCH_PATH] = "?", to[FSWATCH_PATH] = "";
    size_t len = strlen(t->text);
    if (fswatch_path(t->w, &n->at, at) < 0 || (n->kind == FSWATCH_RENAMED && fswatch_path(t->w, &n->to, to) < 0))
        snprintf(at, sizeof at, "/%.*s", (int)n->at.name.n, (const char *)n->at.name.p); /* its folder is gone again */
    const char *from = strrchr(at, '/'), *into = strrchr(to, '/');
    snprintf(t->text + len, sizeof t->text - len, "%u%s%s%s ", n->kind, n->folder ? "d" : "", from, into ? into : "");
    t->file = n->file;
}

static void change_things(void)
{
    int f = open("x\n\xff", O_CREAT | O_WRONLY, 0600);
    (void)!write(f, "1", 1);
    close(f);
    if (mkdir("d", 0700) || rename("x\n\xff", "d/y") || rename("d/y", "z") || unlink("z") || rmdir("d"))
        _exit(4);
}

static void what_happened_is_told_with_names_of_any_bytes(void **state)
{
    struct kernel *k = *state;
    struct told t = {.w = k->w};
    int status = -1;
    needs_kernel(k);
    if (!fswatch_has(k->w, FSWATCH_NOTICES))
        skip();
    assert_int_equal(fswatch_folder(k->w, k->dir, true), 0);
    (void)answer_all(k, child(k, change_things), true, &status);
    assert_int_equal(status, 0);
    while (fswatch_notices(k->w, on_notice, &t) > 0)
        ;
    /* "d" is not marked, so what is in it is not told, but coming from there and going there is */
    assert_non_null(strstr(t.text, "1/x\n\xff "));
    assert_non_null(strstr(t.text, "4/x\n\xff "));
    assert_non_null(strstr(t.text, "1d/d "));
    assert_non_null(strstr(t.text, "2/z "));
    assert_non_null(strstr(t.text, "2d/d "));
}

static void touch(void)
{
    int f = open("n", O_CREAT | O_WRONLY, 0600);
    close(f);
}

static void a_notice_and_a_descriptor_give_a_file_the_same_number(void **state)
{
    struct kernel *k = *state;
    struct told t = {.w = k->w};
    int status = -1;
    uint64_t number = 0;
    needs_kernel(k);
    if (!fswatch_has(k->w, FSWATCH_NOTICES))
        skip();
    assert_int_equal(fswatch_folder(k->w, k->dir, true), 0);
    (void)answer_all(k, child(k, touch), true, &status);
    while (fswatch_notices(k->w, on_notice, &t) > 0)
        ;
    assert_int_equal(fswatch_folder(k->w, k->dir, false), 0);
    int f = openat(k->dir, "n", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fswatch_number(f, &number), 0);
    close(f);
    assert_true(number == t.file);
}

/* Both names, and one that is none of its file's. */
static void open_three_names(void)
{
    for (size_t i = 0; i < 3; i++) {
        static const char *const name[] = {"in/first", "second", "other"};
        int f = open(name[i], O_WRONLY);
        close(f);
        if (f < 0)
            _exit(3);
    }
}

static void a_file_is_asked_for_under_all_its_names(void **state)
{
    struct kernel *k = *state;
    needs_kernel(k);
    assert_int_equal(mkdirat(k->dir, "in", 0700), 0);
    int in = plat_fs_open_dir(k->dir, "in");
    close(openat(k->dir, "in/first", O_CREAT | O_WRONLY, 0600));
    close(openat(k->dir, "other", O_CREAT | O_WRONLY, 0600));
    assert_int_equal(linkat(k->dir, "in/first", k->dir, "second", 0), 0);
    assert_int_equal(symlinkat("../other", in, "link"), 0);
    assert_int_equal(fswatch_folder(k->w, in, true), 0);
    for (int pinned = 1; pinned >= 0; pinned--) {
        int status = -1;
        assert_int_equal(fswatch_file(k->w, in, "first", pinned), 0);
        assert_int_equal(fswatch_file(k->w, in, "link", pinned), 0); /* the link itself, not what it names */
        struct answered a = answer_all(k, child(k, open_three_names), true, &status);
        assert_int_equal(status, 0);
        assert_int_equal(a.asks, 2); /* once each, though folder and file are marked */
    }
    assert_int_equal(fswatch_file(k->w, in, "none", true), -ENOENT);
    int f = openat(k->dir, "other", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fswatch_file(k->w, f, NULL, true), 0);
    close(f);
    assert_int_equal(fswatch_marks(k->w, FSWATCH_OPENS), 4);
    fswatch_forget(k->w);
    assert_int_equal(fswatch_marks(k->w, FSWATCH_OPENS), 0);
    close(in);
}

static void marks_are_counted_and_taken_back(void **state)
{
    struct kernel *k = *state;
    needs_kernel(k);
    assert_int_equal(fswatch_marks(k->w, FSWATCH_OPENS), 0);
    assert_int_equal(fswatch_folder(k->w, k->dir, true), 0);
    assert_int_equal(fswatch_folder(k->w, k->dir, true), 0);
    assert_int_equal(fswatch_marks(k->w, FSWATCH_OPENS), 1);
    assert_int_equal(fswatch_folder(k->w, k->dir, false), 0);
    assert_int_equal(fswatch_marks(k->w, FSWATCH_OPENS), 0);
    assert_int_equal(fswatch_folder(k->w, k->dir, true), 0);
    fswatch_forget(k->w);
    assert_int_equal(fswatch_marks(k->w, FSWATCH_OPENS), 0);
}

/* A descriptor that a process with mounts of its own opened: there the folder is called otherwise. */
static int opened_elsewhere(const char *folder, const char *name, char ret_seen[FSWATCH_PATH])
{
    char path[200], c;
    int up[2], down[2], fd = -1;
    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        bool good = !unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
            !mount("none", "/srv", "tmpfs", 0, NULL) && !mkdir("/srv/elsewhere", 0700) &&
            !mount(folder, "/srv/elsewhere", NULL, MS_BIND, NULL);
        (void)!write(up[1], good ? "y" : "n", 1);
        (void)!read(down[0], &c, 1);
        _exit(0);
    }
    assert_int_equal(read(up[0], &c, 1), 1);
    if (c == 'y') {
        snprintf(path, sizeof path, "/proc/%d/root/srv/elsewhere/%s", (int)pid, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_true(fswatch_fd_path(fd, ret_seen) > 0);
    }
    assert_int_equal(write(down[1], "x", 1), 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    const int fds[] = {up[0], up[1], down[0], down[1]};
    for (size_t i = 0; i < 4; i++)
        close(fds[i]);
    return fd;
}

static void a_path_is_ours_whoever_opened_it(void **state)
{
    struct kernel *k = *state;
    char path[FSWATCH_PATH], own[100];
    bool ours = false;
    needs_kernel(k);
    snprintf(own, sizeof own, "%s/file", k->folder);
    int fd = open(own, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fswatch_own_path(k->w, fd, path, &ours), (int)strlen(own));
    assert_string_equal(path, own);
    assert_true(ours);
    fswatch_disk(k->w, k->dir);
    int other = opened_elsewhere(k->folder, "file", path);
    if (other < 0)
        skip(); /* no mounts here */
    assert_string_equal(path, "/srv/elsewhere/file");
    assert_int_equal(fswatch_own_path(k->w, other, path, &ours), (int)strlen(own));
    assert_string_equal(path, own);
    assert_false(ours);
    assert_int_equal(unlink(own), 0);
    assert_int_equal(fswatch_own_path(k->w, other, path, &ours), -ESTALE);
    close(other);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_path_is_ours_whoever_opened_it, set_up, tear_down),
        cmocka_unit_test(the_flags_of_an_open_stand_where_its_call_has_them),
        cmocka_unit_test_setup_teardown(an_open_waits_for_the_answer_and_its_flags_are_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_no_is_a_no, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whoever_closes_lets_everybody_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_happened_is_told_with_names_of_any_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_notice_and_a_descriptor_give_a_file_the_same_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_is_asked_for_under_all_its_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(marks_are_counted_and_taken_back, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("fswatch", tests, NULL, NULL);
}
