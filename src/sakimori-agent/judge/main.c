/* The process: its birth, its channels, and what comes on them. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/judge/judge.h"

#define TICK_MS 10000u
#define SHIPPED_RULES "/usr/share/sakimori-agent/rules"

const char *const judge_peer_names[JUDGE_PEERS + 1] = {"sensor", "inspect", "scan", "actor", "media", "logs", "tamper"};

static void go(void *arg)
{
    struct judge *j = arg;
    uint64_t in_ms = judge_send(j);
    if (in_ms != UINT64_MAX)
        judge_wake(j, in_ms);
}

/* An earlier time that is set already stands; a later one is found again by go. */
void judge_wake(struct judge *j, uint64_t in_ms)
{
    sm_timer_set(j->go, in_ms, 0);
}

static void none(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    (void)ctx;
    (void)rule;
    (void)e; /* what ends by time alone names no process, and the box counts it as well */
}

static void tick(void *arg)
{
    struct judge *j = arg;
    struct sm_time now = plat_clock_wall();
    rules_tick(j->rules, (struct event_time){.s = now.s, .ns = now.ns}, none, NULL);
    judge_tell(j);
    judge_wake(j, 0);
}

/* ---- what parts tell ---- */

/* What actor wants of the sensor, who alone knows trees and what starts: handed on as it is, with the answer. */
struct relay {
    struct judge *j;
    uint64_t id;
    struct sm_ipc *from;
};

static void relayed(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct relay *r = arg;
    const struct sm_ipc_msg to = {.type = E_MEMBERS, .id = r->id, .fd = -1};
    if (r->j->peer[JUDGE_ACTOR] == r->from && (err || !m))
        (void)!sm_ipc_reply_error(r->from, &to, err ? err : -SM_EPEER, text ? text : ""); /* it is going away then */
    else if (r->j->peer[JUDGE_ACTOR] == r->from)
        (void)!sm_ipc_reply_id(r->from, E_MEMBERS, r->id, 0, m->body, -1); /* as above */
    free(r);
}

static void relay(struct judge *j, const struct sm_ipc_msg *m)
{
    struct sm_ipc *sensor = j->peer[JUDGE_SENSOR], *actor = j->peer[JUDGE_ACTOR];
    struct relay *r = NULL;
    int e = sensor ? 0 : -SM_EPEER;
    if (m->type != E_MEMBERS) {
        if (!e)
            (void)!sm_ipc_send(sensor, m->type, m->body, -1); /* told again when either is back */
        return;
    }
    if (!e)
        r = calloc(1, sizeof *r);
    if (r)
        *r = (struct relay){j, m->id, actor};
    if (!e)
        e = r ? sm_ipc_ask(sensor, E_MEMBERS, m->body, -1, relayed, r) : -ENOMEM;
    if (!e)
        return;
    free(r);
    (void)!sm_ipc_reply_error(actor, m, e, "the sensor is not there"); /* actor is going away then */
}

static void told(struct judge *j, int who, struct sm_ipc_msg *m)
{
    if (m->type == E_TREE || m->type == E_MEMBERS || m->type == E_BLOCKED) {
        relay(j, m);
        return;
    }
    if (m->type == E_LOG) {
        judge_log(j, m->body);
    } else if (m->type == E_EVENT) {
        judge_events(j, m->body);
    } else if (m->type == E_FINDING) {
        int r = cases_told(j->cases, m->body);
        if (r)
            sm_warn("a finding of %s was not understood: %s", judge_peer_names[who], sm_strerror(r));
        judge_wake(j, 0);
    } else {
        judge_state(j, who, m->body);
    }
}

static int peer_of(const struct judge *j, const struct sm_ipc *ipc)
{
    for (int i = 0; i < JUDGE_PEERS; i++)
        if (j->peer[i] == ipc)
            return i;
    return -1;
}

static void on_peer(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct judge *j = arg;
    int who = peer_of(j, ipc);
    if (who >= 0)
        told(j, who, m);
}

static void on_up(void *arg, struct sm_ipc_msg *m)
{
    told(arg, JUDGE_SUPERVISOR, m);
}

static void on_link(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    judge_order(arg, ipc, m);
}

/* ---- channels ---- */

static void on_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct judge *j = arg;
    int who = peer_of(j, ipc);
    if (err)
        sm_error("%s broke the rules of its channel: %s", who < 0 ? "link" : judge_peer_names[who], sm_strerror(err));
    if (ipc == j->link)
        j->link = NULL;
    if (who >= 0) {
        j->peer[who] = NULL;
        json_decref(j->state[who]); /* it is not so any more */
        j->state[who] = NULL;
        judge_tell(j);
    }
    sm_ipc_free(ipc); /* what was asked there is answered by that */
}

static const struct sm_ipc_rule from_link[] = {{L_ORDER, SM_IPC_BODY_MAX, false, "L_ORDER"}};
static const struct sm_ipc_rule from_sensor[] = {{E_EVENT, E_EVENT_MAX, false, "E_EVENT"},
    {E_FINDING, E_FINDING_MAX, false, "E_FINDING"}, {E_SENSOR_STATE, E_SENSOR_STATE_MAX, false, "E_SENSOR_STATE"}};
static const struct sm_ipc_rule from_others[] = {{E_EVENT, E_EVENT_MAX, false, "E_EVENT"},
    {E_FINDING, E_FINDING_MAX, false, "E_FINDING"}, {E_PART_STATE, E_PART_STATE_MAX, false, "E_PART_STATE"}};

static const struct sm_ipc_rule from_actor[] = {{E_EVENT, E_EVENT_MAX, false, "E_EVENT"},
    {E_FINDING, E_FINDING_MAX, false, "E_FINDING"}, {E_PART_STATE, E_PART_STATE_MAX, false, "E_PART_STATE"},
    {E_TREE, E_TREE_MAX, false, "E_TREE"}, {E_MEMBERS, E_TREE_MAX, false, "E_MEMBERS"},
    {E_BLOCKED, E_BLOCKED_MAX, false, "E_BLOCKED"}};

static const struct sm_ipc_rule from_logs[] = {{E_LOG, SM_IPC_BODY_MAX, false, "E_LOG"}};
/* What each may send; the rest as others do. */
static const struct {
    const struct sm_ipc_rule *rule;
    size_t n, body_max;
} may[JUDGE_PEERS] = {
    [JUDGE_SENSOR] = {from_sensor, sizeof from_sensor / sizeof from_sensor[0], E_EVENT_MAX},
    [JUDGE_INSPECT] = {from_others, sizeof from_others / sizeof from_others[0], E_EVENT_MAX},
    [JUDGE_SCAN] = {from_others, sizeof from_others / sizeof from_others[0], E_EVENT_MAX},
    [JUDGE_ACTOR] = {from_actor, sizeof from_actor / sizeof from_actor[0], E_EVENT_MAX},
    [JUDGE_MEDIA] = {from_others, sizeof from_others / sizeof from_others[0], E_EVENT_MAX},
    [JUDGE_LOGS] = {from_logs, 1, SM_IPC_BODY_MAX}};

/* The lists of actor are told anew to a sensor that is new. */
static void tell_sensor(struct judge *j)
{
    if (j->peer[JUDGE_ACTOR])
        (void)!sm_ipc_send(j->peer[JUDGE_ACTOR], E_AGAIN, SM_SPAN(NULL, 0), -1); /* it is going away then, and tells when it is back */
}

static void attach_link(struct judge *j, int fd)
{
    const struct sm_ipc_config c = {.may_receive = from_link,
        .may_receive_n = 1,
        .body_max = SM_IPC_BODY_MAX,
        .queue_max = (size_t)4 << 20,
        .on_message = on_link,
        .on_gone = on_gone,
        .arg = j};
    if (j->link)
        on_gone(j, j->link, 0);
    if (sm_ipc_new(j->life.loop, fd, &c, &j->link))
        sm_error("the channel to link could not be made");
    json_decref(j->told);
    j->told = NULL;
    j->not_before_ms = j->backoff_ms = 0;
    cases_link_here(j->cases);
    judge_tell(j);
    judge_wake(j, 0);
}

static void on_attach(void *arg, const char *peer, bool fresh, int *fd)
{
    struct judge *j = arg;
    int who = 0, taken = *fd;
    (void)fresh;
    *fd = -1;
    if (strcmp(peer, "link") == 0) {
        attach_link(j, taken);
        return;
    }
    while (who < JUDGE_PEERS && strcmp(peer, judge_peer_names[who]) != 0)
        who++;
    if (who == JUDGE_PEERS) {
        close(taken);
        return;
    }
    const struct sm_ipc_config c = {.may_receive = may[who].rule,
        .may_receive_n = may[who].n,
        .body_max = may[who].body_max,
        .queue_max = (size_t)2 << 20,
        .on_message = on_peer,
        .on_gone = on_gone,
        .arg = j};
    if (j->peer[who])
        on_gone(j, j->peer[who], 0);
    if (sm_ipc_new(j->life.loop, taken, &c, &j->peer[who])) {
        sm_error("the channel to %s could not be made", peer);
        return;
    }
    judge_policy_give(j, who);
    if (who == JUDGE_ACTOR)
        cases_actor_here(j->cases);
    if (who == JUDGE_SENSOR)
        tell_sensor(j);
}

/* ---- birth ---- */

static int confine(const struct judge *j, const char *data, struct plat_confined *c)
{
    char folder[AGENT_PATH_MAX + 16];
    struct plat_path_rule paths[POLICY_RULES_MAX + 2];
    size_t n = 0;
    snprintf(folder, sizeof folder, "%s/judge", data);
    paths[n++] = (struct plat_path_rule){folder, true, false};
    paths[n++] = (struct plat_path_rule){SHIPPED_RULES, false, true};
    for (size_t i = 0; i < j->local.rules_n; i++)
        paths[n++] = (struct plat_path_rule){j->local.rules[i], false, true};
    const struct part_rules rules = {.profile = "agent-judge",
        .user = JUDGE_USER,
        .uid = JUDGE_UID,
        .paths = paths,
        .paths_n = n,
        .landlock = true,
        .nofile = 64};
    return part_confine(&rules, c);
}

static int folder_of(const char *data, const char *name)
{
    char path[AGENT_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/judge/%s", data, name);
    int r = plat_fs_mkdir_p(path, 0700);
    return r ? r : plat_fs_open_dir(AT_FDCWD, path);
}

static int make_rules(struct judge *j)
{
    const char *folders[POLICY_RULES_MAX + 1] = {SHIPPED_RULES};
    struct rules_counts n;
    for (size_t i = 0; i < j->local.rules_n; i++)
        folders[i + 1] = j->local.rules[i];
    int r = rules_load(folders, j->local.rules_n + 1, &j->rules);
    if (r)
        return r;
    rules_counts(j->rules, &n);
    sm_info("%zu rules, %zu could not be loaded", n.rules, n.faults);
    return 0;
}

static int make(struct judge *j, const char *data)
{
    int r = make_rules(j), spool = r ? -1 : folder_of(data, "spool"), findings = r ? -1 : folder_of(data, "findings");
    j->ways = judge_ways;
    j->ways.ctx = j;
    if (!r)
        r = spool < 0 ? spool : findings < 0 ? findings : judge_policy_load(j);
    if (!r)
        r = spool_open(spool, SPOOL_BYTES_MAX, &j->spool);
    if (!r)
        r = cases_open(findings, &j->ways, &j->policy, &j->cases);
    if (!r)
        r = sm_loop_new(&j->life.loop);
    if (!r)
        r = sm_loop_timer(j->life.loop, UINT64_MAX, 0, go, j, &j->go);
    return r ? r : sm_loop_timer(j->life.loop, TICK_MS, TICK_MS, tick, j, &j->tick);
}

/* What stood in its channels when it was killed is nobody's: that is said. */
#define RUNNING "running"
static void begun(struct judge *j, const char *data)
{
    char path[AGENT_PATH_MAX + 32], at[SM_TIME_TEXT];
    snprintf(path, sizeof path, "%s/judge/" RUNNING, data);
    bool unclean = access(path, F_OK) == 0;
    if (plat_replace(AT_FDCWD, path, SM_SPAN(NULL, 0), 0600))
        sm_warn("%s could not be written", path);
    if (!unclean)
        return;
    cases_time(j->ways.wall_ms(), at);
    json_t *e = json_pack("{s:i,s:s,s:s,s:s,s:s}", "v", 1, "at", at, "service", "sakimori", "action", "overflow", "What", "judge");
    if (e)
        judge_fact(j, e);
    json_decref(e);
}

static int begin(struct judge *j, const char *data, const char *skip, char *why)
{
    static const struct sm_ipc_rule also[] = {{E_EVENT, E_EVENT_MAX, false, "E_EVENT"}, {E_FINDING, E_FINDING_MAX, false, "E_FINDING"},
        {E_PART_STATE, E_PART_STATE_MAX, false, "E_PART_STATE"}};
    struct plat_confined c = {0};
    int r = agent_config_load(data, &j->config, why);
    if (!r)
        r = policy_load(data, skip, &j->local, why);
    snprintf(j->policy_path, sizeof j->policy_path, "%s/judge/policy.json", data);
    j->own = (struct endpoint_own){.config = &j->config, .local = &j->local, .path = j->policy_path};
    if (!r)
        r = confine(j, data, &c);
    if (!r)
        r = make(j, data);
    if (!r)
        begun(j, data);
    j->life.attach = on_attach;
    j->life.message = on_up;
    j->life.also = also;
    j->life.also_n = sizeof also / sizeof also[0];
    j->life.arg = j;
    return r ? r : part_begin(&j->life, &c);
}

int judge_main(const char *data, const char *skip)
{
    static struct judge j;
    char why[160] = "";
    int r = begin(&j, data, skip, why);
    if (r)
        sm_error("%s", why[0] ? why : sm_strerror(r));
    else
        r = sm_loop_run(j.life.loop);
    if (!r) {
        char path[AGENT_PATH_MAX + 32];
        snprintf(path, sizeof path, "%s/judge/" RUNNING, data);
        (void)!plat_fs_unlink(AT_FDCWD, path); /* else a loss is said that was none */
    }
    cases_free(j.cases);
    spool_free(j.spool);
    rules_free(j.rules);
    endpoint_policy_wipe(&j.policy);
    policy_wipe(&j.local);
    agent_config_wipe(&j.config);
    return r ? 1 : 0;
}
