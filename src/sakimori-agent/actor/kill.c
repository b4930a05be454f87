/*
 * A tree of processes: killed, stopped or let go.  Who belongs to it comes with the order (number and start time of each, as the finding
 * has them) and is looked up again: children are found, whoever else got a number meanwhile is not meant.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "sakimori-agent/actor/actor.h"

enum { KILL_MS = 10000, ROOTS_MAX = 2048, MEMBERS_MS = 1500 };

/* args: {"processes":[{"pid","start"}…]} and, for what the sensor does too, {"tree"}. */
static size_t roots(const struct act *t, struct plat_proc_id *ret)
{
    const json_t *row;
    size_t i, n = 0;
    json_array_foreach(json_object_get(t->args, "processes"), i, row)
    {
        json_int_t pid = json_integer_value(json_object_get(row, "pid")), start = json_integer_value(json_object_get(row, "start"));
        if (n < ROOTS_MAX && pid > 0 && pid <= INT32_MAX && start > 0)
            ret[n++] = (struct plat_proc_id){(pid_t)pid, (uint64_t)start};
    }
    return n;
}

static uint64_t tree_of(const struct act *t)
{
    json_int_t n = json_integer_value(json_object_get(t->args, "tree"));
    return n > 0 ? (uint64_t)n : 0;
}

const char *actor_spare(void *arg, const struct plat_proc_look *p)
{
    static pid_t agent;
    (void)arg;
    if (!agent)
        agent = getppid();
    return p->pid == agent || p->parent == agent || p->pid == getpid() ? "the agent itself" : NULL;
}

static int check(struct act *t)
{
    struct plat_proc_id *root = calloc(ROOTS_MAX, sizeof *root);
    size_t n = root ? roots(t, root) : 0;
    int r = !root ? -ENOMEM : n || tree_of(t) ? 0 : -SM_EINVAL;
    for (size_t i = 0; i < n && !r; i++) {
        if (root[i].pid == 1 || root[i].pid == getpid() || root[i].pid == getppid()) {
            act_say(t, "%s", root[i].pid == 1 ? "process 1 is never killed" : "the agent does not kill itself");
            r = -SM_EDENIED;
        }
    }
    if (r == -SM_EINVAL)
        act_say(t, "no process was named");
    free(root);
    return r;
}

/* Who lives of the tree by now: the sensor knows also those whose parents are gone. */
struct members {
    struct act *t; /* NULL: it went on without the answer */
    struct sm_timer *late;
};

static void go_on(struct members *m)
{
    struct act *t = m->t;
    m->t = NULL;
    if (t)
        actor_go(t);
}

static void too_late(void *arg)
{
    go_on(arg);
}

static void members_told(void *arg, int err, const struct sm_ipc_msg *msg, const char *text)
{
    struct members *m = arg;
    sm_cleanup(sm_json_free) json_t *o = NULL;
    (void)text;
    if (m->t && !err && msg && !sm_json_parse(msg->body, ACTOR_ARGS_MAX * 4, &o, NULL)) {
        json_t *list = json_object_get(m->t->args, "processes");
        if (!json_is_array(list)) {
            list = json_array();
            (void)json_object_set_new(m->t->args, "processes", list); /* else only the tree's number is known */
        }
        (void)json_array_extend(list, json_object_get(o, "processes")); /* as above */
    }
    go_on(m);
    sm_timer_free(m->late);
    free(m);
}

static bool ask_members(struct act *t)
{
    struct sm_buf b = SM_BUF_INIT(E_TREE_MAX);
    struct members *m = tree_of(t) && t->a->judge ? calloc(1, sizeof *m) : NULL;
    bool asked = false;
    if (m && !sm_loop_timer(t->a->life.loop, MEMBERS_MS, 0, too_late, m, &m->late)) {
        m->t = t;
        asked = !sm_buf_printf(&b, "{\"tree\":%llu}", (unsigned long long)tree_of(t)) &&
                !sm_ipc_ask(t->a->judge, E_MEMBERS, sm_buf_span(&b), -1, members_told, m);
    }
    if (m && !asked) {
        sm_timer_free(m->late);
        free(m);
    }
    sm_buf_wipe(&b);
    return asked;
}

static void kill_tree(struct act *t)
{
    struct plat_proc_id *root = calloc(ROOTS_MAX, sizeof *root);
    struct plat_killed done = {0};
    struct plat_kill k = {.root = root, .spare = actor_spare, .arg = t, .timeout_ms = KILL_MS};
    k.root_n = root ? roots(t, root) : 0;
    int r = root ? plat_proc_kill_all(&k, &done) : -ENOMEM;
    free(root);
    act_fact(t, "killed", json_integer(done.killed));
    act_fact(t, "left", json_integer(done.left));
    if (done.spared)
        act_fact(t, "spared", json_sprintf("%u: %s", done.spared, done.why));
    if (r == -ESRCH)
        act_say(t, "none of these processes is there any more");
    else if (r == -SM_EDENIED)
        act_fail(t, r, "these processes are never killed");
    else if (r == -SM_ETIME)
        act_fail(t, r, "some of them are still there");
    else if (r)
        act_fail(t, r, "%s", sm_strerror(r));
    else
        act_say(t, "%s", done.spared ? "all but those that are never killed are ended" : "all of them are ended");
}

const struct action act_kill = {.name = "kill", .allow = ALLOW_KILL, .check = check, .before = ask_members, .run = kill_tree};

/* ---- through the sensor, which holds the tree ---- */

static int check_tree(struct act *t)
{
    if (tree_of(t))
        return 0;
    act_say(t, "no process was named");
    return -SM_EINVAL;
}

static void ask(struct act *t, const char *what, const char *said)
{
    int r = actor_tree(t->a, tree_of(t), what);
    if (r)
        act_fail(t, r, "the sensor is not there");
    else
        act_say(t, "%s", said);
}

static void stop(struct act *t)
{
    ask(t, "stop", "the processes stand still");
}
/* What it had written is there again before it goes on: it knows nothing of the roll-back. */
static void take_back(struct act *t)
{
    int r = giveback_take_back(t);
    if (r && r != -SM_ENOTFOUND && r != -SM_ESTATE)
        act_fail(t, r, "%s", r == -SM_EPARTIAL ? "some files could not be taken back" : sm_strerror(r));
}

static void resume(struct act *t)
{
    if (!t->err)
        ask(t, "go", "the processes go on");
}
static void excuse(struct act *t)
{
    ask(t, "excuse", "this program is not stopped again until it ends");
}

const struct action act_stop = {.name = "stop", .allow = ALLOW_ALWAYS, .check = check_tree, .ended = stop};
const struct action act_resume = {.name = "resume", .allow = ALLOW_NOBODY, .check = check_tree, .run = take_back, .ended = resume};
const struct action act_excuse = {.name = "excuse", .allow = ALLOW_NOBODY, .check = check_tree, .ended = excuse};
