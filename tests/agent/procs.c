#include "../test.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/proc.h"
#include "sakimori-agent/sensor/procs.h"
#include "sakimori-agent/sensor/users.h"

/* ---- what is heard of one child, known by a word in its line ---- */

struct heard {
    char mark[32];
    uint32_t pid;
    unsigned events, all, overflow, born, programs, ended, gone;
    uint64_t tree;
    json_t *event;
};

static void on_event(void *ctx, struct sm_span line)
{
    struct heard *h = ctx;
    json_t *o = NULL;
    assert_ok(sm_json_parse(line, 32768, &o, NULL));
    const char *action = json_string_value(json_object_get(o, "action"));
    h->all++;
    h->overflow += action && strcmp(action, "overflow") == 0 && json_integer_value(json_object_get(o, "Lost")) > 0;
    const char *text = json_string_value(json_object_get(o, "CommandLine"));
    if (text && h->mark[0] && strstr(text, h->mark) && strstr(text, "test-agent-procs")) {
        h->events++;
        json_decref(h->event);
        h->event = json_incref(o);
    }
    json_decref(o);
}

static void on_word(void *ctx, enum procs_what what, const struct proctree_row *row)
{
    struct heard *h = ctx;
    if (row->pid != h->pid)
        return;
    *(what == PROCS_BORN ? &h->born : what == PROCS_PROGRAM ? &h->programs : &h->ended) += 1;
    h->tree = row->tree;
}

static void on_gone(void *ctx, uint64_t tree)
{
    struct heard *h = ctx;
    h->gone += tree == h->tree;
}

/* A word of this run alone: the whole machine is heard, and others may run this test. */
static struct heard heard(const char *word)
{
    struct heard h = {0};
    snprintf(h.mark, sizeof h.mark, "mark-%d-%s", (int)getpid(), word);
    return h;
}

static struct procs *begin_as(struct heard *h, bool no_bpf, bool no_connector)
{
    const struct procs_config c = {.event = on_event, .word = on_word, .tree_gone = on_gone, .ctx = h, .no_bpf = no_bpf,
        .no_connector = no_connector};
    struct procs *p = NULL;
    assert_ok(procs_new(&c, &p));
    return p;
}

static struct procs *begin(struct heard *h)
{
    return begin_as(h, false, false);
}

static const char *how(const struct procs *p)
{
    static char text[32];
    json_t *state = json_object();
    assert_ok(procs_state(p, state));
    snprintf(text, sizeof text, "%s", json_string_value(json_object_get(state, "processes")));
    json_decref(state);
    return text;
}

static void run_child(struct heard *h)
{
    char *argv[] = {(char *)"test-agent-procs", (char *)"child", h->mark, NULL};
    struct plat_proc child;
    int status;
    assert_ok(plat_proc_spawn(&(struct plat_spawn){.argv = argv}, &child));
    h->pid = (uint32_t)child.pid;
    assert_ok(plat_proc_wait(&child, 60000, &status));
    plat_proc_close(&child);
}

/* One that stays until it was seen. */
static void run_patient(struct heard *h, struct procs *p, void (*hear)(struct procs *p))
{
    char *argv[] = {(char *)"test-agent-procs", (char *)"child", h->mark, (char *)"stay", NULL};
    int pipes[2], status;
    struct plat_proc child;
    assert_ok(pipe(pipes));
    const struct plat_spawn_fd fds[] = {{pipes[0], 5}};
    assert_ok(plat_proc_spawn(&(struct plat_spawn){.argv = argv, .fds = fds, .fds_n = 1}, &child));
    h->pid = (uint32_t)child.pid;
    close(pipes[0]);
    for (uint64_t until = plat_clock_mono_ms() + 60000; !h->events && plat_clock_mono_ms() < until; usleep(10000))
        hear(p);
    close(pipes[1]);
    assert_ok(plat_proc_wait(&child, 60000, &status));
    plat_proc_close(&child);
    for (uint64_t until = plat_clock_mono_ms() + 60000; !h->ended && plat_clock_mono_ms() < until; usleep(10000))
        hear(p);
}

static const char *field(const struct heard *h, const char *key)
{
    const char *s = json_string_value(json_object_get(h->event, key));
    return s ? s : "";
}

static void a_program_that_ended_at_once_is_an_event_with_its_parent(void **state)
{
    (void)state;
    struct heard h = heard("4711");
    struct procs *p = begin(&h);
    const struct proctree_row *row;
    char mine[4096];
    if (strcmp(how(p), "bpf") != 0) {
        json_t *told = json_object();
        assert_ok(procs_state(p, told));
        assert_true(json_array_size(json_object_get(told, "why")) > 0); /* less than the best is explained */
        json_decref(told);
        procs_free(p);
        skip();
    }
    run_child(&h);
    procs_drain(p);
    assert_int_equal(h.events, 1);
    assert_int_equal(h.born, 1);
    assert_int_equal(h.programs, 1);
    assert_int_equal(h.ended, 1);
    assert_string_equal(field(&h, "category"), "process_creation");
    assert_non_null(strstr(field(&h, "CommandLine"), h.mark));
    assert_int_equal(json_integer_value(json_object_get(h.event, "ProcessId")), h.pid);
    assert_int_equal(json_integer_value(json_object_get(h.event, "ParentProcessId")), getpid());
    assert_ok(plat_proc_exe(getpid(), mine, sizeof mine));
    assert_string_equal(field(&h, "ParentImage"), mine);
    assert_ok(proctree_get(procs_tree(p), (uint32_t)getpid(), &row));
    uint64_t own = row->tree;
    assert_ok(proctree_get(procs_tree(p), h.pid, &row));
    assert_true(row->bits & PROC_ENDED);
    assert_int_equal(row->tree, own);
    json_decref(h.event);
    procs_free(p);
}

static void the_same_program_many_times_is_told_in_few_words(void **state)
{
    (void)state;
    struct heard h = heard("4712");
    struct procs *p = begin(&h);
    if (strcmp(how(p), "bpf") != 0) {
        procs_free(p);
        skip();
    }
    uint64_t from = plat_clock_mono_ms();
    for (int i = 0; i < 30; i++) {
        run_child(&h);
        procs_drain(p);
    }
    unsigned windows = (unsigned)((plat_clock_mono_ms() - from) / 10000) + 1; /* a slow machine opens more of them */
    procs_tick(p);
    assert_true(h.events >= 1 && h.events <= 2 * windows);
    json_decref(h.event);
    procs_free(p);
}

static void without_bpf_a_program_is_looked_at_when_it_is_told(void **state)
{
    (void)state;
    struct heard h = heard("4714");
    struct procs *p = begin_as(&h, true, false);
    const struct proctree_row *row;
    if (strcmp(how(p), "connector") != 0) {
        procs_free(p);
        skip();
    }
    run_patient(&h, p, procs_drain);
    assert_int_equal(h.events, 1);
    assert_int_equal(h.born, 1);
    assert_int_equal(h.ended, 1);
    assert_non_null(strstr(field(&h, "Image"), "test-agent-procs"));
    assert_int_equal(json_integer_value(json_object_get(h.event, "ParentProcessId")), getpid());
    assert_ok(proctree_get(procs_tree(p), h.pid, &row));
    assert_true(row->bits & PROC_ENDED);
    json_decref(h.event);
    procs_free(p);
}

static void without_any_watcher_looking_finds_what_stays(void **state)
{
    (void)state;
    struct heard h = heard("4715");
    struct procs *p = begin_as(&h, true, true);
    assert_string_equal(how(p), "none");
    assert_int_equal(procs_fd(p), -1);
    run_patient(&h, p, procs_tick);
    assert_int_equal(h.events, 1);
    assert_int_equal(h.ended, 1);
    assert_non_null(strstr(field(&h, "CommandLine"), h.mark));
    json_decref(h.event);
    procs_free(p);
}

/* More births and ends than the ring holds, while nobody drains; then all is well again. */
static void a_storm_of_processes_is_said_and_survived(void **state)
{
    (void)state;
    struct heard h = heard("4713");
    struct procs *p = begin(&h);
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)"i=0; while [ $i -lt 30000 ]; do (:); i=$((i+1)); done", NULL};
    struct plat_proc storm;
    int status;
    if (strcmp(how(p), "bpf") != 0) {
        procs_free(p);
        skip();
    }
    assert_ok(plat_proc_spawn(&(struct plat_spawn){.path = "/bin/sh", .argv = argv}, &storm));
    assert_ok(plat_proc_wait(&storm, 220000, &status));
    plat_proc_close(&storm);
    procs_tick(p);
    assert_int_equal(h.overflow, 1);
    assert_true(h.all < 5000); /* whatever else this machine does meanwhile */
    assert_true(proctree_count(procs_tree(p)) <= PROCTREE_MAX);
    run_child(&h);
    procs_drain(p);
    assert_int_equal(h.events, 1);
    json_decref(h.event);
    procs_free(p);
}

static void names_of_accounts_come_from_their_file(void **state)
{
    (void)state;
    static const char passwd[] =
        "root:x:0:0:root:/root:/bin/bash\n:x:5:5::/:\nbad\nhanako:x:1000:1000::/home/h:/bin/sh\nno:x:7";
    char name[USERS_NAME];
    struct users *u;
    assert_ok(users_find(SM_SPAN_STR(passwd), 1000, name));
    assert_string_equal(name, "hanako");
    assert_int_equal(users_find(SM_SPAN_STR(passwd), 5, name), -SM_ENOTFOUND);
    assert_int_equal(users_find(SM_SPAN_STR(passwd), 7, name), -SM_ENOTFOUND);
    assert_ok(users_new(&u));
    users_name(u, 0, name);
    assert_string_equal(name, "root");
    users_name(u, 4000000000u, name);
    assert_string_equal(name, "4000000000");
    users_free(u);
}

int main(int argc, char **argv)
{
    char c;
    if (argc > 3 && strcmp(argv[3], "stay") == 0)
        return read(5, &c, 1) == 0 ? 0 : 1;
    if (argc > 1 && strcmp(argv[1], "child") == 0)
        return 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_that_ended_at_once_is_an_event_with_its_parent),
        cmocka_unit_test(the_same_program_many_times_is_told_in_few_words),
        cmocka_unit_test(without_bpf_a_program_is_looked_at_when_it_is_told),
        cmocka_unit_test(without_any_watcher_looking_finds_what_stays),
        cmocka_unit_test(a_storm_of_processes_is_said_and_survived),
        cmocka_unit_test(names_of_accounts_come_from_their_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
