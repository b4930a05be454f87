#include "../test.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sensor/proctree.h"

/* ---- a small world to look at ---- */

enum { PIDS = 48, ALL = 40000 };
struct being {
    uint32_t pid;
    uint64_t start, tree; /* tree: as the tree of processes calls it, once asked */
    const struct being *born_of;
    bool of_gate, gate, dead;
    uint32_t now_below;
    const struct program *program;
};
static const struct program {
    const char *exe, *line;
    uint32_t bits;
    bool way; /* in a gate's place it is one */
} programs[] = {
    {"/usr/lib/systemd/systemd", "/sbin/init", PROC_PACKAGED, true},
    {"/usr/sbin/sshd", "sshd: staff [priv]", PROC_PACKAGED, true},
    {"/usr/bin/bash", "-bash", PROC_PACKAGED | PROC_SHELL | PROC_INTERPRETER | PROC_TERMINAL, true},
    {"/usr/bin/bash", "bash make-backup.sh", PROC_PACKAGED | PROC_SHELL | PROC_INTERPRETER | PROC_TERMINAL, false},
    {"/usr/bin/sudo", "sudo ls", PROC_PACKAGED, true},
    {"/usr/bin/python3.11", "python3 x.py", PROC_PACKAGED | PROC_INTERPRETER, false},
    {"/tmp/sshd", "/tmp/sshd", PROC_FRESH, false},
    {"/tmp/bash", "-bash", PROC_SHELL | PROC_TERMINAL, false},
};
enum { PROGRAMS = sizeof programs / sizeof programs[0] };

static struct world {
    struct being all[ALL];
    size_t n;
    struct being *now[PIDS];
    uint64_t clock, seed;
} w;

static uint32_t dice(uint32_t n)
{
    w.seed ^= w.seed << 13;
    w.seed ^= w.seed >> 7;
    w.seed ^= w.seed << 17;
    return (uint32_t)(w.seed % n);
}

static int look(void *ctx, uint32_t pid, struct proctree_row *ret)
{
    (void)ctx;
    const struct being *b = pid < PIDS ? w.now[pid] : NULL;
    if (!b)
        return -ESRCH;
    *ret = (struct proctree_row){.pid = pid, .parent = b->now_below, .start = b->start, .bits = b->program->bits};
    snprintf(ret->exe, sizeof ret->exe, "%s", b->program->exe);
    snprintf(ret->line, sizeof ret->line, "%s", b->program->line);
    return 0;
}

static void set_gate(struct being *b)
{
    b->gate = b->pid == 1 || (b->of_gate && b->program->way);
}

static struct being *birth(uint32_t pid, struct being *parent)
{
    struct being *b = &w.all[w.n++];
    *b = (struct being){.pid = pid, .start = ++w.clock, .born_of = parent, .of_gate = !parent || parent->gate,
        .now_below = parent ? parent->pid : 0, .program = parent ? parent->program : &programs[0]};
    set_gate(b);
    /* a forked shell does not lead a session */
    if (b->pid != 1 && (b->program->bits & PROC_TERMINAL))
        b->gate = false;
    w.now[pid] = b;
    return b;
}

static void begin(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.seed = seed;
    w.clock = 100;
    birth(1, NULL);
}

static int64_t now_ms(void)
{
    return (int64_t)w.clock * 10 + 5;
}

/* The one above which a new tree begins. */
static const struct being *root(const struct being *b)
{
    while (!b->of_gate && b->born_of)
        b = b->born_of;
    return b;
}

static uint32_t a_living(void)
{
    uint32_t pid = dice(PIDS);
    while (!w.now[pid])
        pid = (pid + 1) % PIDS;
    return pid;
}

/* One thing happens; told: the tree hears of it. */
static void happen(struct proctree *t, bool told)
{
    uint32_t pid = a_living(), what = dice(10), free_pid = dice(PIDS - 2) + 2;
    w.clock++;
    if (what < 5 && !w.now[free_pid]) {
        birth(free_pid, w.now[pid]);
        if (told)
            assert_ok(proctree_fork(t, pid, free_pid, now_ms()));
    } else if (what < 8 && pid != 1) {
        w.now[pid]->program = &programs[dice(PROGRAMS)];
        set_gate(w.now[pid]);
        if (told)
            assert_ok(proctree_exec(t, pid, now_ms()));
    } else if (what >= 8 && pid != 1) {
        w.now[pid]->dead = true;
        w.now[pid] = NULL;
        for (uint32_t i = 0; i < PIDS; i++)
            if (w.now[i] && w.now[i]->now_below == pid)
                w.now[i]->now_below = 1;
        if (told)
            proctree_exit(t, pid, now_ms());
    }
}

static void check_trees(struct proctree *t)
{
    for (uint32_t pid = 1; pid < PIDS; pid++) {
        const struct proctree_row *row;
        if (!w.now[pid])
            continue;
        assert_ok(proctree_get(t, pid, &row));
        w.now[pid]->tree = row->tree;
        assert_true(row->tree != 0);
        assert_string_equal(row->exe, w.now[pid]->program->exe);
        assert_int_equal(!!(row->bits & PROC_GATE), w.now[pid]->gate);
    }
    for (uint32_t a = 1; a < PIDS; a++) {
        size_t same = 0;
        for (uint32_t b = 1; b < PIDS && w.now[a]; b++) {
            if (!w.now[b])
                continue;
            assert_int_equal(root(w.now[a]) == root(w.now[b]), w.now[a]->tree == w.now[b]->tree);
            same += w.now[a]->tree == w.now[b]->tree;
        }
        if (w.now[a])
            assert_int_equal(proctree_members(t, w.now[a]->tree, NULL, 0), same);
    }
}

static void trees_are_those_of_a_simple_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct proctree *t;
        begin(seed * 7919);
        assert_ok(proctree_new(look, NULL, &t));
        for (int i = 0; i < 400; i++) {
            happen(t, true);
            if (i % 20 == 0)
                check_trees(t);
        }
        check_trees(t);
        proctree_free(t);
    }
}

static void what_was_lost_is_looked_at_again_after_a_doubt(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct proctree *t;
        begin(seed * 104729);
        assert_ok(proctree_new(look, NULL, &t));
        for (int i = 0; i < 300; i++) {
            happen(t, dice(4) != 0);
            if (i % 30)
                continue;
            proctree_doubt(t);
            for (uint32_t pid = 1; pid < PIDS; pid++) {
                const struct proctree_row *row;
                int r = proctree_get(t, pid, &row);
                if (w.now[pid]) {
                    assert_ok(r);
                    assert_int_equal(row->start, w.now[pid]->start);
                    assert_string_equal(row->exe, w.now[pid]->program->exe);
                    assert_false(row->bits & PROC_ENDED);
                } else {
                    assert_true(r == -ESRCH || (row->bits & PROC_ENDED));
                }
            }
        }
        proctree_free(t);
    }
}

/* ---- by hand ---- */

static struct proctree *fresh(void)
{
    struct proctree *t;
    begin(1);
    assert_ok(proctree_new(look, NULL, &t));
    return t;
}

static struct being *run(struct proctree *t, uint32_t parent, uint32_t pid, size_t program)
{
    w.clock++;
    struct being *b = birth(pid, w.now[parent]);
    assert_ok(proctree_fork(t, parent, pid, now_ms()));
    w.clock++;
    b->program = &programs[program];
    set_gate(b);
    assert_ok(proctree_exec(t, pid, now_ms()));
    return b;
}

static uint64_t tree_of(struct proctree *t, uint32_t pid)
{
    const struct proctree_row *row;
    assert_ok(proctree_get(t, pid, &row));
    return row->tree;
}

static uint64_t group_of(struct proctree *t, uint32_t pid)
{
    const struct proctree_row *row;
    assert_ok(proctree_get(t, pid, &row));
    return row->group;
}

static void leave(struct proctree *t, uint32_t pid)
{
    w.clock++;
    w.now[pid] = NULL;
    for (uint32_t i = 0; i < PIDS; i++)
        if (w.now[i] && w.now[i]->now_below == pid)
            w.now[i]->now_below = 1;
    proctree_exit(t, pid, now_ms());
}

static void two_commands_are_two_trees_of_one_session(void **state)
{
    (void)state;
    struct proctree *t = fresh();
    run(t, 1, 10, 1);  /* sshd */
    run(t, 10, 11, 1); /* of a login */
    run(t, 11, 12, 2); /* its shell */
    run(t, 12, 13, 5);
    run(t, 12, 14, 6);
    run(t, 14, 15, 6);
    run(t, 12, 16, 4); /* sudo */
    run(t, 16, 17, 5);
    assert_int_not_equal(tree_of(t, 13), tree_of(t, 14));
    assert_int_equal(tree_of(t, 15), tree_of(t, 14));
    assert_int_not_equal(tree_of(t, 17), tree_of(t, 16));
    assert_int_equal(group_of(t, 13), group_of(t, 14));
    assert_int_equal(group_of(t, 17), group_of(t, 14));
    run(t, 10, 21, 1);
    run(t, 21, 22, 2);
    run(t, 22, 23, 5);
    assert_int_not_equal(group_of(t, 23), group_of(t, 13));
    proctree_free(t);
}

static void a_program_cannot_divide_its_tree_by_shells_of_its_own(void **state)
{
    (void)state;
    struct proctree *t = fresh();
    run(t, 1, 10, 1);
    run(t, 10, 11, 2);
    run(t, 11, 12, 6); /* a stranger */
    run(t, 12, 13, 2); /* which starts an interactive shell with a terminal */
    run(t, 13, 14, 5);
    run(t, 12, 15, 1); /* or the real sshd */
    run(t, 15, 16, 5);
    run(t, 11, 17, 7); /* or calls itself bash */
    run(t, 17, 18, 5);
    for (uint32_t pid = 13; pid <= 16; pid++)
        assert_int_equal(tree_of(t, pid), tree_of(t, 12));
    assert_int_equal(tree_of(t, 18), tree_of(t, 17));
    proctree_free(t);
}

static uint64_t gone_tree;
static unsigned gone_n;
static void on_gone(void *ctx, uint64_t tree)
{
    (void)ctx;
    gone_tree = tree;
    gone_n++;
}

static void a_tree_outlives_its_first_process(void **state)
{
    (void)state;
    struct proctree *t = fresh();
    json_t *told = NULL;
    gone_n = 0;
    proctree_on_gone(t, on_gone, NULL);
    run(t, 1, 10, 6);
    run(t, 10, 11, 6);
    uint64_t tree = tree_of(t, 10);
    leave(t, 10);
    assert_int_equal(tree_of(t, 11), tree);
    run(t, 11, 10, 5); /* the number of the first again */
    assert_int_equal(tree_of(t, 10), tree);
    assert_int_equal(proctree_members(t, tree, NULL, 0), 2);
    leave(t, 11);
    assert_int_equal(gone_n, 0);
    leave(t, 10);
    assert_int_equal(gone_n, 1);
    assert_int_equal(gone_tree, tree);
    assert_ok(proctree_tell(t, tree, &told));
    assert_int_equal(json_array_size(told), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(told, 0), "exe")), "/tmp/sshd");
    assert_true(json_integer_value(json_object_get(json_array_get(told, 0), "ended")) > 0);
    json_decref(told);
    proctree_free(t);
}

static void ended_ones_are_forgotten_after_their_time(void **state)
{
    (void)state;
    struct proctree *t = fresh();
    const struct proctree_row *row;
    json_t *told = NULL;
    run(t, 1, 10, 6);
    uint64_t tree = tree_of(t, 10);
    leave(t, 10);
    assert_ok(proctree_get(t, 10, &row));
    assert_true(row->bits & PROC_ENDED);
    w.clock += PROCTREE_AFTER_MS / 10 + 2;
    run(t, 1, 11, 5);
    assert_int_equal(proctree_get(t, 10, &row), -ESRCH);
    assert_int_equal(proctree_tell(t, tree, &told), -SM_ENOTFOUND);
    proctree_free(t);
}

static void words_out_of_order_or_doubled_do_no_harm(void **state)
{
    (void)state;
    struct proctree *t = fresh();
    const struct proctree_row *row;
    run(t, 1, 10, 6);
    uint64_t tree = tree_of(t, 10);
    /* a child whose end is told before its birth */
    proctree_exit(t, 11, now_ms() + 20);
    assert_ok(proctree_fork(t, 10, 11, now_ms() + 10));
    assert_ok(proctree_get(t, 11, &row));
    assert_true(row->bits & PROC_ENDED);
    assert_int_equal(row->tree, tree);
    /* a birth told twice, and an old one */
    struct being *b = run(t, 10, 12, 5);
    size_t n = proctree_count(t);
    assert_ok(proctree_fork(t, 10, 12, (int64_t)b->start * 10 + 5));
    assert_ok(proctree_fork(t, 1, 12, 50));
    assert_int_equal(proctree_count(t), n);
    assert_int_equal(tree_of(t, 12), tree);
    /* an end of one that had the number before */
    proctree_exit(t, 12, 50);
    assert_ok(proctree_get(t, 12, &row));
    assert_false(row->bits & PROC_ENDED);
    proctree_free(t);
}

static void a_process_that_nobody_could_read_has_its_parents_tree(void **state)
{
    (void)state;
    struct proctree *t = fresh();
    const struct proctree_row *row;
    run(t, 1, 10, 6);
    w.clock++;
    assert_ok(proctree_fork(t, 10, 11, now_ms()));
    assert_ok(proctree_exec(t, 11, now_ms()));
    proctree_exit(t, 11, now_ms());
    assert_ok(proctree_get(t, 11, &row));
    assert_int_equal(row->tree, tree_of(t, 10));
    assert_int_equal(proctree_get(t, 40, &row), -ESRCH);
    proctree_free(t);
}

static void a_process_that_lost_only_its_first_thread_is_in_its_tree_again(void **state)
{
    (void)state;
    struct proctree *t = fresh();
    run(t, 1, 10, 6);
    run(t, 10, 11, 6);
    uint64_t tree = tree_of(t, 10);
    proctree_exit(t, 11, now_ms());
    assert_int_equal(proctree_members(t, tree, NULL, 0), 1);
    w.now[10]->now_below = 1;
    assert_int_equal(tree_of(t, 11), tree); /* looked at, and there it is */
    assert_int_equal(proctree_members(t, tree, NULL, 0), 2);
    proctree_free(t);
}

static int thread_of(void *ctx, uint32_t id, uint32_t *ret_pid)
{
    ++*(unsigned *)ctx;
    if (id < 30)
        return -ESRCH;
    *ret_pid = 10;
    return 0;
}

static void a_thread_is_found_without_a_look(void **state)
{
    (void)state;
    struct proctree *t = fresh();
    const struct proctree_row *row;
    unsigned asked = 0;
    run(t, 1, 10, 6);
    proctree_threads(t, thread_of, &asked);
    assert_ok(proctree_get(t, 35, &row)); /* the world knows nothing of 35: a look would fail */
    assert_int_equal(row->pid, 10);
    assert_ok(proctree_get(t, 10, &row));
    assert_int_equal(asked, 1); /* a process that is known needs no asking */
    assert_int_equal(proctree_get(t, 29, &row), -ESRCH);
    proctree_free(t);
}

static int look_crowd(void *ctx, uint32_t pid, struct proctree_row *ret)
{
    (void)ctx;
    *ret = (struct proctree_row){.pid = pid, .parent = pid > 1 ? 1 : 0, .start = 1};
    return 0;
}

static void a_crowd_beyond_the_bound_is_counted_and_still_has_trees(void **state)
{
    (void)state;
    struct proctree *t;
    const struct proctree_row *row;
    assert_ok(proctree_new(look_crowd, NULL, &t));
    assert_ok(proctree_fork(t, 1, 2, 100));
    for (uint32_t pid = 3; pid < PROCTREE_MAX + 500; pid++)
        assert_ok(proctree_fork(t, 2, pid, 100 + pid));
    assert_int_equal(proctree_count(t), PROCTREE_MAX);
    assert_true(proctree_unkept(t) >= 499);
    assert_ok(proctree_get(t, PROCTREE_MAX + 400, &row));
    assert_true(row->tree != 0);
    /* ended ones make room */
    for (uint32_t pid = 3; pid < 1000; pid++)
        proctree_exit(t, pid, 200000);
    uint64_t unkept = proctree_unkept(t);
    for (uint32_t pid = 100000; pid < 100400; pid++)
        assert_ok(proctree_fork(t, 2, pid, 200001));
    assert_int_equal(proctree_unkept(t), unkept);
    proctree_free(t);
}

static void names_that_are_no_text_are_told_in_text(void **state)
{
    (void)state;
    struct proctree *t = fresh();
    json_t *told = NULL;
    struct proctree_row row = {.pid = 30, .parent = 1, .start = 90, .exe = "/tmp/a\nb", .line = "x \xff\xfe y"};
    assert_ok(proctree_exec_seen(t, &row, now_ms()));
    assert_ok(proctree_tell(t, tree_of(t, 30), &told));
    const json_t *one = json_array_get(told, 0);
    assert_string_equal(json_string_value(json_object_get(one, "exe")), "/tmp/a\nb");
    assert_string_equal(json_string_value(json_object_get(one, "line")), "x \\xFF\\xFE y");
    json_decref(told);
    proctree_number_from(t, 1000000);
    run(t, 1, 31, 5);
    assert_true(tree_of(t, 31) >= 1000000);
    proctree_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_are_those_of_a_simple_model),
        cmocka_unit_test(what_was_lost_is_looked_at_again_after_a_doubt),
        cmocka_unit_test(two_commands_are_two_trees_of_one_session),
        cmocka_unit_test(a_program_cannot_divide_its_tree_by_shells_of_its_own),
        cmocka_unit_test(a_tree_outlives_its_first_process),
        cmocka_unit_test(ended_ones_are_forgotten_after_their_time),
        cmocka_unit_test(words_out_of_order_or_doubled_do_no_harm),
        cmocka_unit_test(a_process_that_nobody_could_read_has_its_parents_tree),
        cmocka_unit_test(a_process_that_lost_only_its_first_thread_is_in_its_tree_again),
        cmocka_unit_test(a_thread_is_found_without_a_look),
        cmocka_unit_test(a_crowd_beyond_the_bound_is_counted_and_still_has_trees),
        cmocka_unit_test(names_that_are_no_text_are_told_in_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
