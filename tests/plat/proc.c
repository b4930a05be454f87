#include "../test.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/loop.h"
#include "plat/local.h"
#include "plat/poll.h"
#include "plat/proc.h"

/* ---- what this program does when started by its own tests ---- */

static int child_fds(void)
{
    char c = 0;
    int open_n = 0;
    if (read(7, &c, 1) != 1 || write(5, &c, 1) != 1)
        return 1;
    for (int fd = 3; fd < 200; fd++)
        open_n += fcntl(fd, F_GETFD) >= 0;
    sigset_t blocked;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    return open_n == 2 && !sigismember(&blocked, SIGUSR1) && !getenv("SECRET_OF_THE_PARENT") ? 42 : 2;
}

/* Starts one that holds our descriptor 5 and ends with us. */
static int child_middle(void)
{
    char *argv[] = {(char *)"test-plat-proc", (char *)"child", (char *)"wait", NULL};
    const struct plat_spawn_fd fds[] = {{5, 5}};
    struct plat_proc p;
    if (plat_proc_spawn(&(struct plat_spawn){.argv = argv, .fds = fds, .fds_n = 1, .with_us = true}, &p) ||
        write(5, "k", 1) != 1)
        return 1;
    pause();
    return 3;
}

static int child(const char *what)
{
    if (strcmp(what, "middle") == 0)
        return child_middle();
    if (strcmp(what, "fds") == 0)
        return child_fds();
    if (strcmp(what, "wait") == 0)
        pause();
    return 3;
}

/* ---- processes ---- */

static struct plat_proc start(const char *what, const struct plat_spawn_fd *fds, size_t n)
{
    char *argv[] = {(char *)"test-plat-proc", (char *)"child", (char *)what, NULL};
    struct plat_proc p;
    assert_ok(plat_proc_spawn(&(struct plat_spawn){.argv = argv, .fds = fds, .fds_n = n}, &p));
    return p;
}

static void a_child_has_its_descriptors_and_nothing_else(void **state)
{
    int in[2], out[2], status = 0;
    char c = 0, text[48];
    assert_ok(setenv("SECRET_OF_THE_PARENT", "x", 1));
    assert_ok(pipe(in)); /* not close-on-exec: a careless library's */
    assert_ok(pipe(out));
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    struct plat_proc p = start("fds", (const struct plat_spawn_fd[]){{in[0], 7}, {out[1], 5}}, 2);
    assert_int_equal(write(in[1], "k", 1), 1);
    assert_int_equal(read(out[0], &c, 1), 1);
    assert_int_equal(c, 'k');
    assert_ok(plat_proc_wait(&p, 10000, &status));
    plat_proc_status_text(status, text);
    assert_string_equal(text, "exit 42");
    plat_proc_close(&p);
    sigprocmask(SIG_UNBLOCK, &block, NULL);
    for (int i = 0; i < 2; i++) {
        close(in[i]);
        close(out[i]);
    }
}

static void descriptors_may_change_places(void **state)
{
    int p[2], q[2], status = 0;
    char c;
    assert_ok(pipe2(p, O_CLOEXEC));
    assert_ok(pipe2(q, O_CLOEXEC));
    int seven = fcntl(q[1], F_DUPFD_CLOEXEC, 7), five = fcntl(p[0], F_DUPFD_CLOEXEC, 5);
    struct plat_proc k = start("fds", (const struct plat_spawn_fd[]){{five, 7}, {seven, 5}}, 2);
    assert_int_equal(write(p[1], "z", 1), 1);
    assert_int_equal(read(q[0], &c, 1), 1);
    assert_ok(plat_proc_wait(&k, 10000, &status));
    assert_int_equal(WEXITSTATUS(status), 42);
    plat_proc_close(&k);
    close(five);
    close(seven);
    for (int i = 0; i < 2; i++) {
        close(p[i]);
        close(q[i]);
    }
}

static void one_started_with_us_ends_when_its_parent_is_killed(void **state)
{
    int out[2], status = 0;
    char c = 0;
    (void)state;
    assert_ok(pipe2(out, O_CLOEXEC));
    struct plat_proc p = start("middle", (const struct plat_spawn_fd[]){{out[1], 5}}, 1);
    close(out[1]);
    assert_int_equal(read(out[0], &c, 1), 1);
    assert_ok(plat_proc_kill(&p, SIGKILL));
    assert_ok(plat_proc_wait(&p, 10000, &status));
    struct pollfd gone = {.fd = out[0], .events = POLLIN};
    assert_int_equal(poll(&gone, 1, 10000), 1); /* nobody holds the other end any more */
    assert_int_equal(read(out[0], &c, 1), 0);
    close(out[0]);
    plat_proc_close(&p);
}

static void a_program_that_is_not_there_is_an_error_of_the_start(void **state)
{
    char *argv[] = {(char *)"x", NULL};
    struct plat_proc p = PLAT_PROC_NONE;
    assert_int_equal(plat_proc_spawn(&(struct plat_spawn){.path = "/no/such", .argv = argv}, &p), -ENOENT);
    assert_int_equal(p.pid, 0);
}

static void on_end(void *arg, int fd, unsigned events)
{
    sm_loop_stop(arg, 9);
}

static void the_loop_sees_the_end_of_a_process(void **state)
{
    struct sm_loop *loop;
    struct sm_watch *w;
    int status = 0;
    char text[48];
    struct plat_proc p = start("wait", NULL, 0), same;
    if (p.fd < 0)
        skip();
    assert_true(plat_proc_alive(&p));
    assert_int_equal(plat_proc_wait(&p, 0, &status), -SM_ETIME);
    assert_ok(plat_proc_open(p.pid, &same));
    assert_true(same.start == p.start);
    assert_ok(sm_loop_new(&loop));
    assert_ok(sm_loop_fd(loop, p.fd, SM_READ, on_end, loop, &w));
    assert_ok(plat_proc_kill(&p, SIGKILL));
    assert_int_equal(sm_loop_run(loop), 9);
    assert_false(plat_proc_alive(&p));
    assert_ok(plat_proc_wait(&p, 10000, &status));
    plat_proc_status_text(status, text);
    assert_string_equal(text, "signal 9 (Killed)");
    assert_int_equal(plat_proc_kill(&same, 0), -ESRCH);
    assert_false(plat_proc_alive(&same));
    sm_watch_free(w);
    sm_loop_free(loop);
    plat_proc_close(&p);
    plat_proc_close(&same);
}

static void a_number_given_to_another_process_is_not_the_same_process(void **state)
{
    struct plat_proc me, other;
    assert_ok(plat_proc_self(&me));
    assert_true(plat_proc_alive(&me));
    other = (struct plat_proc){me.pid, me.start - 1, -1};
    assert_false(plat_proc_alive(&other));
    assert_int_equal(plat_proc_kill(&other, 0), -ESRCH);
    assert_int_equal(plat_proc_kill(&PLAT_PROC_NONE, SIGKILL), -ESRCH);
    plat_proc_close(&me);
    char path[PATH_MAX];
    assert_ok(plat_proc_exe(getpid(), path, sizeof path));
    assert_non_null(strstr(path, "test-plat-proc"));
    assert_int_equal(plat_proc_exe(getpid(), path, 3), -ENAMETOOLONG);
}

static void users_and_groups_are_found_by_name_and_number(void **state)
{
    uid_t uid = 1;
    gid_t gid = 1;
    char name[64];
    assert_ok(plat_user_lookup("root", &uid, &gid));
    assert_int_equal(uid + gid, 0);
    assert_ok(plat_user_name(0, name, sizeof name));
    assert_string_equal(name, "root");
    assert_ok(plat_group_name(0, name, sizeof name));
    assert_ok(plat_group_lookup(name, &gid));
    assert_int_equal(plat_user_lookup("no-such-user", &uid, &gid), -SM_ENOTFOUND);
    assert_int_equal(plat_user_name(3999999999u, name, sizeof name), -SM_ENOTFOUND);
    assert_int_equal(plat_user_name(0, name, 3), -ENAMETOOLONG);
}

/* ---- local messages ---- */

static void a_local_socket_knows_who_calls(void **state)
{
    char dir[] = "/tmp/sakimori-local-XXXXXX", path[64], file[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/s", dir);
    (void)snprintf(file, sizeof file, "%s/f", dir);
    int l = plat_local_listen(path, 0600);
    assert_true(l >= 0);
    struct plat_peer peer = {0};
    assert_int_equal(plat_local_accept(l, &peer), -SM_EAGAIN);
    int c = plat_local_connect(path);
    assert_true(c >= 0);
    assert_int_equal(plat_poll_one(l, PLAT_POLL_READ, 1000), 1);
    int s = plat_local_accept(l, &peer);
    assert_true(s >= 0);
    assert_int_equal(peer.pid, getpid());
    assert_int_equal(peer.uid, geteuid());
    close(s);
    close(c);
    close(l);
    l = plat_local_listen(path, 0600); /* the old one is in the way */
    assert_true(l >= 0);
    close(l);
    int f = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(f);
    assert_int_equal(plat_local_listen(file, 0600), -SM_EEXISTS);
    assert_ok(unlink(file));
    assert_ok(unlink(path));
    assert_int_equal(plat_local_connect(path), -ENOENT);
    assert_ok(rmdir(dir));
}

static void a_network_address_is_bound_and_told(void **state)
{
    uint16_t port = 0, again = 0;
    char text[64];
    int l = plat_tcp_listen("127.0.0.1", 0, &port);
    assert_true(l >= 0);
    assert_true(port != 0);
    assert_int_equal(plat_tcp_listen("127.0.0.1", port, &again), -EADDRINUSE);
    assert_int_equal(plat_tcp_listen("localhost", 0, NULL), -SM_EINVAL);
    assert_int_equal(plat_tcp_listen("", 0, NULL), -SM_EINVAL);
    assert_int_equal(plat_tcp_peer(l, text, NULL), -ENOTCONN);
    assert_true(plat_tcp_is_loopback("127.3.2.1"));
    assert_true(plat_tcp_is_loopback("::1"));
    assert_false(plat_tcp_is_loopback("192.0.2.1"));
    assert_false(plat_tcp_is_loopback("x"));
    close(l);
    l = plat_tcp_listen("::1", 0, &port);
    assert_true(l >= 0 || l == -EADDRNOTAVAIL || l == -EAFNOSUPPORT);
    if (l >= 0)
        close(l);
}

static void not_loopback(void *arg, const char *interface, const char *address)
{
    assert_false(plat_tcp_is_loopback(address));
    assert_true(*interface);
}

static void the_service_manager_hears_when_there_is_one(void **state)
{
    char dir[] = "/tmp/sakimori-notify-XXXXXX", path[64], got[32] = "";
    assert_ok(plat_tcp_addresses(not_loopback, NULL));
    assert_ok(unsetenv("NOTIFY_SOCKET"));
    assert_ok(plat_notify("READY=1"));
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/n", dir);
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr a = {.sa_family = AF_UNIX};
    char room[128] = {0};
    memcpy(room, &a.sa_family, sizeof a.sa_family);
    memcpy(room + sizeof a.sa_family, path, strlen(path));
    assert_ok(bind(s, (struct sockaddr *)(void *)room, (socklen_t)(sizeof a.sa_family + strlen(path) + 1)));
    assert_ok(setenv("NOTIFY_SOCKET", path, 1));
    assert_ok(plat_notify("READY=1"));
    assert_int_equal(recv(s, got, sizeof got - 1, 0), 7);
    assert_string_equal(got, "READY=1");
    close(s);
    assert_ok(unlink(path));
    assert_int_equal(plat_notify("READY=1"), -ENOENT);
    assert_ok(setenv("NOTIFY_SOCKET", "nonsense", 1));
    assert_int_equal(plat_notify("READY=1"), -SM_EINVAL);
    assert_ok(rmdir(dir));
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "child") == 0)
        return child(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_has_its_descriptors_and_nothing_else),
        cmocka_unit_test(descriptors_may_change_places),
        cmocka_unit_test(one_started_with_us_ends_when_its_parent_is_killed),
        cmocka_unit_test(a_program_that_is_not_there_is_an_error_of_the_start),
        cmocka_unit_test(the_loop_sees_the_end_of_a_process),
        cmocka_unit_test(a_number_given_to_another_process_is_not_the_same_process),
        cmocka_unit_test(users_and_groups_are_found_by_name_and_number),
        cmocka_unit_test(a_local_socket_knows_who_calls),
        cmocka_unit_test(a_network_address_is_bound_and_told),
        cmocka_unit_test(the_service_manager_hears_when_there_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
