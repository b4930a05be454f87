/* Ending process trees, and the text of the packet filter's table; the table itself in a network namespace of its own. */
#include "../test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/netfilter.h"
#include "plat/prockill.h"

/* ---- trees ---- */

static struct plat_proc_id id_of(pid_t pid)
{
    struct plat_proc p;
    assert_ok(plat_proc_open(pid, &p));
    struct plat_proc_id id = {p.pid, p.start};
    plat_proc_close(&p);
    return id;
}

/* A child with children and their children; the number of processes comes over the pipe as bytes. */
static pid_t tree(int depth, int width, int fd)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    (void)!write(fd, "x", 1);
    for (int i = 0; depth > 0 && i < width; i++)
        tree(depth - 1, width, fd);
    for (;;)
        pause();
}

static void wait_for(int fd, int n)
{
    char c;
    for (int i = 0; i < n; i++)
        assert_int_equal(read(fd, &c, 1), 1);
}

static struct plat_kill all_of(const struct plat_proc_id *root)
{
    return (struct plat_kill){.root = root, .root_n = 1, .timeout_ms = 60000};
}

static void a_tree_is_killed_with_all_its_children(void **s)
{
    struct plat_killed done;
    int fd[2];
    (void)s;
    assert_ok(pipe(fd));
    struct plat_proc_id root = id_of(tree(3, 2, fd[1]));
    wait_for(fd[0], 1 + 2 + 4 + 8);
    struct plat_kill k = all_of(&root);
    assert_ok(plat_proc_kill_all(&k, &done));
    assert_int_equal(done.killed, 15);
    assert_int_equal(done.left, 0);
    close(fd[1]);
    char c;
    assert_int_equal(read(fd[0], &c, 1), 0); /* nobody holds the other end any more */
    close(fd[0]);
    assert_int_equal(waitpid(root.pid, NULL, 0), root.pid);
}

/* Each makes another and ends: who is looked at is mostly gone already. */
static void chase(int fd)
{
    (void)fd;
    for (int i = 0; i < 100000; i++) {
        pid_t pid = fork();
        if (pid > 0)
            waitpid(pid, NULL, 0);
        if (pid == 0)
            _exit(0);
    }
    for (;;)
        pause();
}

static void a_tree_that_makes_children_all_the_time_is_killed(void **s)
{
    struct plat_killed done;
    (void)s;
    pid_t pid = fork();
    if (!pid)
        chase(0);
    struct plat_proc_id root = id_of(pid);
    struct plat_kill k = all_of(&root);
    assert_ok(plat_proc_kill_all(&k, &done));
    assert_int_equal(done.left, 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_number_that_was_given_to_another_process_is_nobody(void **s)
{
    struct plat_killed done;
    int fd[2], status;
    (void)s;
    assert_ok(pipe(fd));
    struct plat_proc_id root = id_of(tree(0, 0, fd[1]));
    wait_for(fd[0], 1);
    struct plat_proc_id other = {root.pid, root.start + 1};
    struct plat_kill k = all_of(&other);
    assert_int_equal(plat_proc_kill_all(&k, &done), -ESRCH);
    assert_int_equal(waitpid(root.pid, &status, WNOHANG), 0);
    kill(root.pid, SIGKILL);
    assert_int_equal(waitpid(root.pid, NULL, 0), root.pid);
    close(fd[0]);
    close(fd[1]);
}

static pid_t spared_pid;
static const char *spare(void *arg, const struct plat_proc_look *p)
{
    (void)arg;
    return p->pid == spared_pid ? "one of ours" : NULL;
}

static void whoever_is_to_be_left_alone_is_and_it_is_said(void **s)
{
    struct plat_killed done;
    int fd[2], status;
    (void)s;
    assert_ok(pipe(fd));
    struct plat_proc_id root = id_of(tree(0, 0, fd[1]));
    wait_for(fd[0], 1);
    spared_pid = root.pid;
    struct plat_kill k = all_of(&root);
    k.spare = spare;
    assert_int_equal(plat_proc_kill_all(&k, &done), -SM_EDENIED);
    assert_string_equal(done.why, "one of ours");
    assert_int_equal(waitpid(root.pid, &status, WNOHANG), 0);
    const struct plat_proc_id one = {1, 0};
    k.root = &one;
    spared_pid = 0;
    /* Process 1 is everybody's parent: not touched, and so nobody is. */
    assert_int_equal(plat_proc_kill_all(&(struct plat_kill){.root = &one, .root_n = 1, .timeout_ms = 1}, &done), -SM_EDENIED);
    assert_string_equal(done.why, "process 1");
    kill(root.pid, SIGKILL);
    assert_int_equal(waitpid(root.pid, NULL, 0), root.pid);
    close(fd[0]);
    close(fd[1]);
}

static void everybody_is_seen_once_in_order(void **s)
{
    struct plat_proc_look *p;
    size_t n, me = 0;
    (void)s;
    assert_ok(plat_procs_look(&p, &n));
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || p[i - 1].pid < p[i].pid);
        if (p[i].pid == getpid()) {
            me++;
            assert_int_equal(p[i].parent, getppid());
            assert_int_equal(p[i].start, id_of(getpid()).start);
            assert_int_equal(p[i].uid, geteuid());
        }
    }
    assert_int_equal(me, 1);
    free(p);
}

/* ---- addresses ---- */

static struct plat_nf_to to(const char *text)
{
    struct plat_nf_to t;
    assert_ok(plat_nf_parse(text, &t));
    return t;
}

static void addresses_are_read_and_written_as_they_were(void **s)
{
    static const char *const good[] = {"192.0.2.1", "10.0.0.0/8", "2001:db8::1", "2001:db8::/32", "0.0.0.0/1", "8000::/1"};
    static const char *const bad[] = {"", "10.0.0.1/8", "1.2.3.4/33", "::/0", "0.0.0.0/0", "1.2.3", "x", "1.2.3.4/x", "1.2.3.4/-1", "2001:db8::1/64"};
    struct plat_nf_to t;
    char text[64];
    (void)s;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        t = to(good[i]);
        plat_nf_text(&t, text);
        assert_string_equal(text, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(plat_nf_parse(bad[i], &t), -SM_EFORMAT);
}

static void what_is_too_much_to_block_and_the_machine_itself_are_known(void **s)
{
    static const char *const wide[] = {"0.0.0.0/0", "::/0", "128.0.0.0/1", "10.0.0.0/7", "2000::/3", "2001::/15", "::ffff:128.0.0.0/97"};
    static const char *const not_wide[] = {"10.0.0.0/8", "2001::/16", "192.0.2.1", "2001:db8::1", "::ffff:10.0.0.0/104", "x/0", "a.example", "", "/", "/0"};
    static const char *const own[] = {"127.0.0.1", "127.0.0.0/8", "127.9.0.0/16", "::1", "::", "0.0.0.0", "::ffff:127.0.0.1", "::/16"};
    static const char *const others[] = {"192.0.2.1", "128.0.0.0/8", "126.0.0.0/8", "2001:db8::1", "10.0.0.0/8"};
    struct plat_nf_to t;
    (void)s;
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        assert_true(plat_nf_wide(wide[i]));
    for (size_t i = 0; i < sizeof not_wide / sizeof not_wide[0]; i++)
        assert_false(plat_nf_wide(not_wide[i]));
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        t = to(own[i]);
        assert_true(plat_nf_own(&t));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        t = to(others[i]);
        assert_false(plat_nf_own(&t));
    }
}

static void one_is_inside_of_another_or_not(void **s)
{
    struct plat_nf_to a = to("10.0.0.0/9"), b = to("10.127.0.1"), c = to("10.128.0.1"), d = to("2001:db8::/32");
    (void)s;
    assert_true(plat_nf_inside(&a, &b) && plat_nf_inside(&a, &a));
    assert_false(plat_nf_inside(&a, &c) || plat_nf_inside(&b, &a) || plat_nf_inside(&d, &b));
}

/* ---- the table ---- */

static const uint8_t box[1][16] = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7}};

static char *text_of(const struct plat_nf_rules *r)
{
    static struct sm_buf b = {.max = 1 << 20};
    sm_buf_clear(&b);
    assert_ok(plat_netfilter_text(r, &b));
    return (char *)(uintptr_t)sm_buf_str(&b);
}

static void a_prefix_inside_of_another_is_left_to_it(void **s)
{
    struct plat_nf_to list[] = {to("10.1.0.0/16"), to("10.1.2.3"), to("10.2.0.1"), to("10.2.0.1"), to("2001:db8::1")};
    (void)s;
    list[0].left_s = 100;
    list[3].left_s = 7; /* the same for a shorter time */
    const char *t = text_of(&(struct plat_nf_rules){.to = list, .to_n = 5});
    assert_non_null(strstr(t, "elements = { 10.1.0.0/16 timeout 100s, 10.2.0.1 }; }"));
    assert_null(strstr(t, "10.1.2.3"));
    assert_null(strstr(t, "timeout 7s"));
    assert_non_null(strstr(t, "elements = { 2001:db8::1 }; }"));
    assert_null(strstr(t, "apart_out"));
}

static void isolation_needs_a_box_and_an_end(void **s)
{
    struct sm_buf b = SM_BUF_INIT(65536);
    (void)s;
    assert_int_equal(plat_netfilter_text(&(struct plat_nf_rules){.isolated = true, .isolated_s = 5, .port = {8443, 8442}}, &b), -SM_EINVAL);
    assert_int_equal(plat_netfilter_text(&(struct plat_nf_rules){.isolated = true, .box = box, .box_n = 1, .port = {8443, 8442}}, &b), -SM_EINVAL);
    assert_int_equal(plat_netfilter_text(&(struct plat_nf_rules){.isolated = true, .isolated_s = 5, .box = box, .box_n = 1}, &b), -SM_EINVAL);
    sm_buf_wipe(&b);
    const char *t = text_of(&(struct plat_nf_rules){.isolated = true, .isolated_s = 5, .box = box, .box_n = 1, .port = {8443, 8442}});
    assert_non_null(strstr(t, "ipv4 timeout 5s"));
    assert_non_null(strstr(t, "ip daddr @box4 tcp dport { 8443, 8442 } accept"));
    assert_null(strstr(text_of(&(struct plat_nf_rules){0}), "table inet sakimori {"));
}

/* Sends a datagram to an address behind loopback; -errno. */
static int send_to(const char *address, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    assert_int_equal(inet_pton(AF_INET, address, &a.sin_addr), 1);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int r = sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof a) < 0 ? -errno : 0;
    close(fd);
    return r;
}

static bool ip(const char *const *args)
{
    char *argv[10] = {(char *)"ip"};
    struct plat_proc p;
    int status;
    for (size_t i = 0; args[i]; i++)
        argv[i + 1] = (char *)(uintptr_t)args[i];
    if (plat_proc_spawn(&(struct plat_spawn){.path = "/usr/sbin/ip", .argv = argv}, &p))
        return false;
    bool good = !plat_proc_wait(&p, 60000, &status) && status == 0;
    plat_proc_close(&p);
    return good;
}
#define IP(...) ip((const char *const[]){__VA_ARGS__, NULL})

/* In a namespace without a network only packets to itself can leave: a blocked one is refused before that is seen. */
static int inside(void)
{
    char why[PLAT_NF_WHY];
    if (unshare(CLONE_NEWNET))
        return 77;
    if (!IP("link", "set", "lo", "up") || !IP("addr", "add", "192.0.2.1/24", "dev", "lo") || !IP("route", "add", "default", "dev", "lo"))
        return 77;
    int r = plat_netfilter_set(&(struct plat_nf_rules){0}, why);
    if (r == -SM_EUNSUPPORTED || r == -EPERM)
        return 77;
    struct plat_nf_to list[] = {to("198.51.100.0/24")};
    if (r || send_to("198.51.100.5", 9) || send_to("203.0.113.5", 9))
        return 1;
    if (plat_netfilter_set(&(struct plat_nf_rules){.to = list, .to_n = 1}, why))
        return 2;
    if (send_to("198.51.100.5", 9) != -EPERM && send_to("198.51.100.5", 9) != -EACCES && send_to("198.51.100.5", 9) != -ENETUNREACH &&
        send_to("198.51.100.5", 9) != -EHOSTUNREACH)
        return 3;
    if (send_to("203.0.113.5", 9))
        return 4;
    list[0].left_s = 1;
    if (plat_netfilter_set(&(struct plat_nf_rules){.to = list, .to_n = 1}, why))
        return 5;
    for (int i = 0; i < 600 && send_to("198.51.100.5", 9); i++) /* it ends without us */
        plat_clock_sleep_ms(100);
    if (send_to("198.51.100.5", 9))
        return 6;
    return plat_netfilter_set(&(struct plat_nf_rules){0}, why) || send_to("198.51.100.5", 9) ? 7 : 0;
}

static void a_blocked_destination_is_refused_and_the_kernel_ends_it(void **s)
{
    int status;
    (void)s;
    pid_t pid = fork();
    if (!pid)
        _exit(inside());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_is_killed_with_all_its_children),
        cmocka_unit_test(a_tree_that_makes_children_all_the_time_is_killed),
        cmocka_unit_test(a_number_that_was_given_to_another_process_is_nobody),
        cmocka_unit_test(whoever_is_to_be_left_alone_is_and_it_is_said),
        cmocka_unit_test(everybody_is_seen_once_in_order),
        cmocka_unit_test(addresses_are_read_and_written_as_they_were),
        cmocka_unit_test(what_is_too_much_to_block_and_the_machine_itself_are_known),
        cmocka_unit_test(one_is_inside_of_another_or_not),
        cmocka_unit_test(a_prefix_inside_of_another_is_left_to_it),
        cmocka_unit_test(isolation_needs_a_box_and_an_end),
        cmocka_unit_test(a_blocked_destination_is_refused_and_the_kernel_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
