#include "../test.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/proc.h"
#include "plat/procwatch.h"

/* ---- what this program does when started by its own tests ---- */

static int child_main(void)
{
    return 0; /* born, another program, ended: that is all */
}

/* ---- what was heard of one process and of one port ---- */

struct heard {
    uint32_t pid, parent;
    unsigned forks, execs, exits, connects, accepts;
    uint16_t port;
    bool in_order, seen;
    char line[PROCWATCH_ARGS], name[256];
};

static void listen_to(void *ctx, const struct procwatch_word *w)
{
    struct heard *h = ctx;
    if (w->kind == PROCWATCH_CONNECT && w->to_port == h->port && w->pid == (uint32_t)getpid())
        h->connects++;
    if (w->kind == PROCWATCH_ACCEPT && w->from_port == h->port)
        h->accepts++;
    if (!h->pid || w->pid != h->pid)
        return;
    if (w->kind == PROCWATCH_FORK) {
        h->forks++;
        h->parent = w->parent;
        h->in_order = true;
    } else if (w->kind == PROCWATCH_EXEC) {
        h->in_order = h->in_order && h->forks == 1 && !h->exits;
        h->execs++;
        h->seen = w->seen;
        procinfo_join(w->args, h->line, sizeof h->line);
        snprintf(h->name, sizeof h->name, "%.*s", (int)w->name.n, (const char *)w->name.p);
    } else if (w->kind == PROCWATCH_EXIT) {
        h->in_order = h->in_order && h->execs == 1;
        h->exits++;
    }
}

/* NULL (and the test is left out) where this machine does not allow it. */
static struct procwatch *open_as(enum procwatch_how how)
{
    struct procwatch *w = NULL;
    char why[240] = "";
    assert_ok(procwatch_open(how, &w, why));
    if (procwatch_how(w) == how) {
        assert_int_equal(why[0], 0);
        assert_true(procwatch_fd(w) >= 0);
        return w;
    }
    assert_true(why[0] != 0); /* said in words */
    print_message("not here: %s\n", why);
    procwatch_close(w);
    return NULL;
}

/* One child lives and ends; all words of it within a minute. */
static void hear_a_child(struct procwatch *w, struct heard *h)
{
    char *argv[] = {(char *)"test-plat-procwatch", (char *)"child", (char *)"two words", NULL};
    struct plat_proc p;
    int status;
    assert_ok(plat_proc_spawn(&(struct plat_spawn){.argv = argv}, &p));
    h->pid = (uint32_t)p.pid;
    assert_ok(plat_proc_wait(&p, 60000, &status));
    plat_proc_close(&p);
    for (uint64_t until = plat_clock_mono_ms() + 60000; !h->exits && plat_clock_mono_ms() < until;) {
        struct pollfd f = {procwatch_fd(w), POLLIN, 0};
        (void)procwatch_drain(w, 0, listen_to, h);
        if (!h->exits)
            (void)poll(&f, 1, 20);
    }
    assert_int_equal(h->forks, 1);
    assert_int_equal(h->execs, 1);
    assert_int_equal(h->exits, 1);
    assert_true(h->in_order);
    assert_int_equal(h->parent, getpid());
}

static void a_life_is_heard_through_bpf_with_its_line(void **state)
{
    (void)state;
    struct heard h = {0};
    struct procwatch *w = open_as(PROCWATCH_BPF);
    if (!w)
        skip();
    hear_a_child(w, &h);
    assert_true(h.seen);
    assert_string_equal(h.line, "test-plat-procwatch child two words");
    assert_string_equal(h.name, "/proc/self/exe");
    procwatch_close(w);
}

static void a_life_is_heard_through_the_connector(void **state)
{
    (void)state;
    struct heard h = {0};
    struct procwatch *w = open_as(PROCWATCH_CONNECTOR);
    if (!w)
        skip();
    hear_a_child(w, &h);
    assert_false(h.seen);
    procwatch_close(w);
}

static void a_connection_is_heard_through_bpf(void **state)
{
    (void)state;
    struct heard h = {0};
    struct procwatch *w = open_as(PROCWATCH_BPF);
    if (!w)
        skip();
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_ok(bind(s, (struct sockaddr *)&at, sizeof at));
    assert_ok(listen(s, 1));
    assert_ok(getsockname(s, (struct sockaddr *)&at, &n));
    h.port = ntohs(at.sin_port);
    assert_ok(connect(c, (struct sockaddr *)&at, sizeof at));
    int a = accept4(s, NULL, NULL, SOCK_CLOEXEC);
    assert_true(a >= 0);
    (void)procwatch_drain(w, 0, listen_to, &h);
    assert_int_equal(h.connects, 1);
    assert_int_equal(h.accepts, 1);
    close(a);
    close(c);
    close(s);
    procwatch_close(w);
}

static void without_any_way_it_opens_and_says_nothing_came(void **state)
{
    (void)state;
    struct procwatch *w = NULL;
    struct heard h = {0};
    char why[240] = "x";
    assert_ok(procwatch_open(PROCWATCH_NONE, &w, why));
    assert_int_equal(procwatch_how(w), PROCWATCH_NONE);
    assert_int_equal(procwatch_fd(w), -1);
    assert_int_equal(procwatch_drain(w, 0, listen_to, &h), 0);
    procwatch_close(w);
}

static void words_of_the_connector_are_read_or_refused(void **state)
{
    (void)state;
    uint8_t m[20 + 16 + 24] = {0};
    struct procwatch_word w;
    m[0] = 1; /* CN_IDX_PROC */
    m[16] = 40;
    m[20] = 1; /* fork */
    const uint32_t f[4] = {10, 10, 11, 11};
    memcpy(m + 20 + 16, f, sizeof f);
    assert_int_equal(procwatch_parse_connector(SM_SPAN(m, sizeof m), &w), 1);
    assert_int_equal(w.kind, PROCWATCH_FORK);
    assert_int_equal(w.parent, 10);
    assert_int_equal(w.pid, 11);
    m[20 + 16 + 8] = 12; /* a thread of 11 */
    assert_int_equal(procwatch_parse_connector(SM_SPAN(m, sizeof m), &w), 0);
    for (size_t n = 0; n < 52; n++)
        assert_int_equal(procwatch_parse_connector(SM_SPAN(m, n), &w), -SM_EFORMAT);
    m[20] = 9; /* nothing that we know */
    assert_int_equal(procwatch_parse_connector(SM_SPAN(m, sizeof m), &w), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "child") == 0)
        return child_main();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_is_heard_through_bpf_with_its_line),
        cmocka_unit_test(a_life_is_heard_through_the_connector),
        cmocka_unit_test(a_connection_is_heard_through_bpf),
        cmocka_unit_test(without_any_way_it_opens_and_says_nothing_came),
        cmocka_unit_test(words_of_the_connector_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
