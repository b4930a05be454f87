/* actor: its channels, the life of an act, and what ends by itself. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/actor/actor.h"
#include "sakimori-agent/orders.h"

#define TICK_MS 30000u
#define STACK ((size_t)1 << 20)

int64_t actor_now_s(void)
{
    return plat_clock_wall().s;
}

/* ---- telling ---- */

static void journal(struct actor *a, json_t *line)
{
    int r = actlog_add(a->journal, line);
    if (r)
        sm_error("the journal of what was done could not be written: %s", sm_strerror(r));
}

void actor_event(struct actor *a, const char *action, json_t *fields)
{
    char at[SM_TIME_TEXT];
    struct sm_buf b = SM_BUF_INIT(E_EVENT_MAX);
    sm_time_rfc3339(plat_clock_wall(), at);
    json_t *o = fields ? fields : json_object();
    if (o && !json_object_set_new(o, "v", json_integer(1)) && !json_object_set_new(o, "at", json_string(at)) &&
        !json_object_set_new(o, "service", json_string("sakimori")) &&
        !json_object_set_new(o, "action", json_string(action)) && !sm_json_dump(o, &b) && a->judge)
        (void)!sm_ipc_send(a->judge, E_EVENT, sm_buf_span(&b), -1); /* the journal has it, and the box the act itself */
    json_decref(o);
    sm_buf_wipe(&b);
}

void actor_tell_blocked(struct actor *a)
{
    struct sm_buf b = SM_BUF_INIT(E_BLOCKED_MAX);
    json_t *list = json_array(), *row, *o;
    size_t i;
    json_array_foreach(hold_list(&a->hold, "files"), i, row)
        (void)json_array_append(list, json_object_get(row, "sha256")); /* all or what memory allows; told again */
    o = json_pack("{s:o}", "files", list);
    if (o && a->judge && !sm_json_dump(o, &b) && sm_ipc_send(a->judge, E_BLOCKED, sm_buf_span(&b), -1))
        sm_warn("the sensor could not be told what is blocked"); /* told again when judge is back */
    json_decref(o);
    sm_buf_wipe(&b);
}

/* How it is, for the poll. */
static void tell_state(struct actor *a)
{
    const json_t *isolated = json_object_get(a->hold.o, "isolated");
    struct sm_buf b = SM_BUF_INIT(E_PART_STATE_MAX);
    char until[SM_TIME_TEXT] = "";
    if (json_is_object(isolated))
        sm_time_rfc3339((struct sm_time){.s = json_integer_value(json_object_get(isolated, "until"))}, until);
    json_t *o = json_pack("{s:o,s:I,s:I,s:I,s:I}", "isolated", until[0] ? json_pack("{s:s}", "until", until) : json_null(), "to",
        (json_int_t)json_array_size(hold_list(&a->hold, "to")), "files", (json_int_t)json_array_size(hold_list(&a->hold, "files")),
        "accounts", (json_int_t)json_object_size(json_object_get(a->hold.o, "accounts")), "running", (json_int_t)a->acts_n);
    if (o && a->judge && !sm_json_dump(o, &b))
        (void)!sm_ipc_send(a->judge, E_PART_STATE, sm_buf_span(&b), -1); /* told again with the next change */
    json_decref(o);
    sm_buf_wipe(&b);
}

int actor_tree(struct actor *a, uint64_t tree, const char *what)
{
    struct sm_buf b = SM_BUF_INIT(E_TREE_MAX);
    int r = a->judge ? sm_buf_printf(&b, "{\"tree\":%llu,\"do\":\"%s\"}", (unsigned long long)tree, what) : -SM_EPEER;
    if (!r)
        r = sm_ipc_send(a->judge, E_TREE, sm_buf_span(&b), -1);
    sm_buf_wipe(&b);
    return r;
}

/* ---- the life of an act ---- */

static json_t *line_of(const struct act *t, const char *what)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:O,s:I,s:s}", "what", what, "id", t->id, "action", t->row->name, "by",
        t->by_order ? "order" : t->silent ? "self" : "policy", "finding", t->finding, "args", t->args, "for_s",
        (json_int_t)t->for_s, "detail", t->detail);
}

static void answer_judge(struct act *t, const char *state)
{
    struct actor *a = t->a;
    struct sm_buf b = SM_BUF_INIT(8192);
    json_t *o = json_pack("{s:s,s:s,s:O*,s:O*}", "state", state, "detail", t->detail, "facts", t->facts, "files",
        json_object_get(t->facts, "files"));
    struct sm_ipc *to = t->judge_life == (t->by_scan ? a->scan_life : a->judge_life) ? t->by_scan ? a->scan : a->judge : NULL;
    if (o && to && !sm_json_dump(o, &b))
        (void)!sm_ipc_reply_id(to, t->judge_type, t->judge_ask, 0, sm_buf_span(&b), -1); /* it is going away then */
    json_decref(o);
    sm_buf_wipe(&b);
}

/* A person's act on a finding: judge writes it into the finding. */
static void tell_finding(struct act *t, const char *state)
{
    struct sm_buf b = SM_BUF_INIT(E_FINDING_MAX);
    const char *is = strcmp(state, "done") != 0 ? NULL : strcmp(t->row->name, "kill") == 0 ? "killed" : strcmp(t->row->name, "resume") == 0 ? "gone_on" : NULL;
    json_t *o = json_pack("{s:s,s:{s:s,s:s,s:s,s:s},s:s*,s:O*}", "id", t->finding, "act", "action", t->row->name, "by", "order", "state", state,
        "detail", t->detail, "state", is, "files", json_object_get(t->facts, "files"));
    if (o && t->a->judge && !sm_json_dump(o, &b))
        (void)!sm_ipc_send(t->a->judge, E_FINDING, sm_buf_span(&b), -1); /* the box has it from the order's end */
    json_decref(o);
    sm_buf_wipe(&b);
}

void actor_over(struct act *t)
{
    struct actor *a = t->a;
    const char *state = t->err ? "failed" : "done";
    if (t->row->ended)
        t->row->ended(t);
    state = t->err ? "failed" : "done";
    if (t->err && !t->detail[0])
        act_say(t, "%s", sm_strerror(t->err));
    for (struct act **at = &a->acts; *at; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            a->acts_n--;
            break;
        }
    }
    if (!t->silent) {
        json_t *line = line_of(t, "end");
        (void)json_object_set_new(line, "state", json_string(state)); /* else a line without it */
        (void)json_object_set_new(line, "ms", json_integer((json_int_t)(plat_clock_mono_ms() - t->began_ms)));
        if (t->facts)
            (void)json_object_set(line, "facts", t->facts);
        journal(a, line);
        hold_drop(&a->hold, "running", "id", t->id);
        if (hold_save(&a->hold))
            sm_warn("what is in force could not be written down");
    }
    if (t->by_order)
        report_order(a, t->id, state, t->detail, t->facts);
    else if (!t->silent)
        answer_judge(t, state);
    if (t->by_order && t->finding[0])
        tell_finding(t, state);
    if (!t->silent)
        tell_state(a);
    act_free(t);
}

static void *work(void *arg)
{
    struct act *t = arg;
    t->row->run(t);
    (void)!write(t->a->wake[1], &t, sizeof t); /* fewer than ACTS_MAX pointers always fit into a pipe */
    return NULL;
}

static void on_wake(void *arg, int fd, unsigned events)
{
    struct act *t = NULL;
    (void)arg;
    (void)events;
    if (plat_fs_read(fd, &t, sizeof t) == (ssize_t)sizeof t && (t->err || !t->row->after || !t->row->after(t)))
        actor_over(t);
}

void actor_begin(struct act *t)
{
    t->began_ms = plat_clock_mono_ms();
    t->next = t->a->acts;
    t->a->acts = t;
    t->a->acts_n++;
    if (!t->row->before || !t->row->before(t))
        actor_go(t);
}

void actor_go(struct act *t)
{
    pthread_attr_t attr;
    pthread_t thread;
    if (!t->row->run) {
        actor_over(t);
        return;
    }
    int e = pthread_attr_init(&attr);
    if (!e) {
        e = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        if (!e)
            e = pthread_attr_setstacksize(&attr, STACK);
        if (!e)
            e = pthread_create(&thread, &attr, work, t);
        (void)pthread_attr_destroy(&attr); /* it holds nothing */
    }
    if (!e)
        return;
    act_fail(t, -e, "%s", sm_strerror(-e));
    actor_over(t);
}

/* May it begin?  Written down first: what dies in the middle is known. */
static int admit(struct act *t)
{
    struct actor *a = t->a;
    if (a->acts_n >= ACTS_MAX)
        act_fail(t, -SM_EAGAIN, "too much is being done at once");
    else if (t->row->check)
        t->err = t->row->check(t);
    if (!t->err) {
        json_t *o = json_pack("{s:s,s:s,s:O,s:I,s:s,s:b}", "id", t->id, "action", t->row->name, "args", t->args, "for_s",
            (json_int_t)t->for_s, "finding", t->finding, "order", t->by_order);
        t->err = !o || json_array_append_new(hold_list(&a->hold, "running"), o) ? -ENOMEM : hold_save(&a->hold);
        if (t->err) {
            hold_drop(&a->hold, "running", "id", t->id);
            act_say(t, "it could not be written down");
        }
    }
    if (t->err && !t->detail[0])
        act_say(t, "%s", sm_strerror(t->err));
    journal(a, line_of(t, t->err ? "refused" : "begin"));
    return t->err;
}

/* ---- orders of the box ---- */

static void reply_order(struct actor *a, const struct sm_ipc_msg *m, const char *state, const char *detail)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    json_t *o = json_pack("{s:s,s:s}", "state", state, "detail", detail);
    if (o && !sm_json_dump(o, &b) && a->link)
        (void)!sm_ipc_reply(a->link, m, 0, sm_buf_span(&b), -1); /* link is gone: its end is told all the same */
    json_decref(o);
    sm_buf_wipe(&b);
}

static void refuse(struct actor *a, const struct sm_ipc_msg *m, const char *id, const char *why)
{
    sm_warn("an order was refused: %s", why);
    journal(a, json_pack("{s:s,s:s,s:s}", "what", "refused", "id", id, "detail", why));
    reply_order(a, m, "refused", why);
}

static int take(struct actor *a, const struct sm_ipc_msg *m, struct order *ret, char *why)
{
    char used[AGENT_PATH_MAX + 32];
    json_t *row = NULL;
    (void)snprintf(used, sizeof used, "%s/used", a->own); /* room was made */
    int r = sm_json_parse(m->body, 2 * ORDER_MAX, &row, why);
    if (!r)
        r = order_take(row, a->config.order_pub, a->config.device, used, ret, why);
    json_decref(row);
    if (!r && strcmp(ret->kind, "act") != 0) {
        order_wipe(ret);
        r = -SM_EINVAL;
    }
    return r;
}

static void on_order(struct actor *a, const struct sm_ipc_msg *m)
{
    struct order order = {0};
    char why[160] = "";
    int r = take(a, m, &order, why);
    if (r == -SM_EEXISTS) {
        reply_order(a, m, "accepted", ""); /* its end is told, or was */
        return;
    }
    if (r) {
        refuse(a, m, "", why[0] ? why : sm_strerror(r));
        return;
    }
    struct sm_obj o = SM_OBJ(order.args);
    const struct action *row = actor_find(sm_obj_str(&o, "action", 1, 32));
    const json_t *args = sm_obj_obj(&o, "args");
    int64_t for_s = sm_obj_int_opt(&o, "for_s", 0, INT64_C(366) * 86400, 0);
    const char *finding = sm_obj_str_opt(&o, "finding", 32);
    struct act *t = o.err || !row ? NULL : act_new(a, row, order.id, args);
    if (!t) {
        refuse(a, m, order.id, o.err ? o.why : row ? sm_strerror(-ENOMEM) : "this agent does not know such an action");
        order_wipe(&order);
        return;
    }
    t->by_order = true;
    t->for_s = for_s;
    (void)snprintf(t->finding, sizeof t->finding, "%s", finding ? finding : "");
    order_wipe(&order);
    if (admit(t)) {
        reply_order(a, m, "refused", t->detail);
        act_free(t);
        return;
    }
    reply_order(a, m, "accepted", "");
    actor_begin(t);
}

/* ---- what judge asks for ---- */

bool actor_allows(const struct actor *a, const struct action *row)
{
    const struct endpoint_policy *p = &a->policy;
    switch (row->allow) {
    case ALLOW_KILL:
        return p->ransom == ENDPOINT_KILL || p->answer == ENDPOINT_ANSWER_KILL;
    case ALLOW_GIVE_BACK:
        return p->give_back && p->ransom != ENDPOINT_OFF;
    case ALLOW_ISOLATE:
        return p->isolate_by_rule;
    case ALLOW_DISABLE:
        return p->may_disable;
    case ALLOW_SCAN:
        return p->answer != ENDPOINT_ANSWER_TELL;
    default:
        return row->allow == ALLOW_ALWAYS;
    }
}

static bool too_often(struct actor *a)
{
    uint64_t minute = plat_clock_mono_ms() / 60000;
    if (minute != a->minute)
        a->asked = 0;
    a->minute = minute;
    return ++a->asked > ASKED_A_MINUTE;
}

/* False: that was no request of ours, and the channel ends. */
static bool on_do(struct actor *a, struct sm_ipc *ipc, const struct sm_ipc_msg *m)
{
    static unsigned long long number;
    sm_cleanup(sm_json_free) json_t *o = NULL;
    char id[65];
    if (sm_json_parse(m->body, E_DO_MAX, &o, NULL))
        return false;
    struct sm_obj f = SM_OBJ(o);
    const char *name = sm_obj_str(&f, "action", 1, 32), *finding = sm_obj_str_opt(&f, "finding", 32);
    const json_t *args = sm_obj_obj(&f, "args");
    int64_t for_s = sm_obj_int_opt(&f, "for_s", 0, 86400, 86400);
    const struct action *row = f.err ? NULL : actor_find(name);
    bool scan = ipc == a->scan;
    if (!row || (scan && row != &act_quarantine))
        return false;
    (void)snprintf(id, sizeof id, "judge-%llx-%llu", (unsigned long long)plat_clock_boot_ns(), ++number); /* fits */
    struct act *t = act_new(a, row, id, args);
    if (!t)
        return false;
    (void)snprintf(t->finding, sizeof t->finding, "%s", finding ? finding : "");
    t->for_s = for_s;
    t->by_scan = scan;
    t->judge_life = scan ? a->scan_life : a->judge_life;
    t->judge_ask = m->id;
    t->judge_type = m->type;
    if (too_often(a))
        act_fail(t, -SM_ELIMIT, "asked for too often");
    else if (!actor_allows(a, row))
        act_fail(t, -SM_EDENIED, "the policy does not let it be done without an order");
    if (t->err)
        journal(a, line_of(t, "refused"));
    if (t->err || admit(t)) {
        answer_judge(t, "refused");
        act_free(t);
        return true;
    }
    actor_begin(t);
    return true;
}

static void on_policy(struct actor *a, const struct sm_ipc_msg *m)
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    char path[AGENT_PATH_MAX + 32], why[160] = "";
    (void)snprintf(path, sizeof path, "%s/policy.json", a->own); /* room was made */
    const struct endpoint_own own = {&a->config, &a->local, path};
    int r = sm_json_parse(m->body, ENDPOINT_ROW_MAX, &o, why);
    if (!r)
        r = endpoint_policy_take(o, &own, &a->policy, why);
    if (r && r != -SM_EEXISTS && r != -SM_ETIME)
        sm_warn("a policy was refused: %s", why[0] ? why : sm_strerror(r));
    if (!r)
        net_resolve(a); /* what it blocks, by name too */
}

/* ---- channels ---- */

static void on_link(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)ipc;
    on_order(arg, m);
}

static void on_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct actor *a = arg;
    if (err)
        sm_error("%s broke the rules of its channel: %s", ipc == a->link ? "link" : ipc == a->scan ? "scan" : "judge", sm_strerror(err));
    if (ipc == a->link) {
        a->link = NULL;
        reports_dropped(a);
    } else if (ipc == a->judge) {
        a->judge = NULL;
    } else if (ipc == a->scan) {
        a->scan = NULL;
    }
    sm_ipc_free(ipc);
}

static void on_judge(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct actor *a = arg;
    if (m->type == E_POLICY)
        on_policy(a, m);
    else if (m->type == E_AGAIN)
        actor_tell_blocked(a);
    else if (!on_do(a, ipc, m))
        on_gone(a, ipc, -SM_EPROTO);
}

static const struct sm_ipc_rule from_link[] = {{L_ORDER, 2 * ORDER_MAX, false, "L_ORDER"}};
static const struct sm_ipc_rule from_judge[] = {
    {E_POLICY, ENDPOINT_ROW_MAX, false, "E_POLICY"}, {E_DO, E_DO_MAX, false, "E_DO"}, {E_AGAIN, 16, false, "E_AGAIN"}};
static const struct sm_ipc_rule from_scan[] = {{E_DO, E_DO_MAX, false, "E_DO"}};
enum { PEER_LINK, PEER_JUDGE, PEER_SCAN, PEERS };
/* Who may say what. */
static const struct {
    const char *name;
    const struct sm_ipc_rule *may;
    size_t may_n;
    sm_ipc_fn said;
} peers[PEERS] = {
    [PEER_LINK] = {"link", from_link, 1, on_link},
    [PEER_JUDGE] = {"judge", from_judge, 3, on_judge},
    [PEER_SCAN] = {"scan", from_scan, 1, on_judge},
};

static void on_attach(void *arg, const char *peer, bool fresh, int *fd)
{
    struct actor *a = arg;
    size_t i = 0;
    (void)fresh;
    while (i < PEERS && strcmp(peer, peers[i].name) != 0)
        i++;
    if (i == PEERS)
        return;
    const struct sm_ipc_config c = {.may_receive = peers[i].may,
        .may_receive_n = peers[i].may_n,
        .body_max = SM_IPC_BODY_MAX,
        .queue_max = (size_t)4 << 20,
        .on_message = peers[i].said,
        .on_gone = on_gone,
        .arg = a};
    struct sm_ipc **to = i == PEER_LINK ? &a->link : i == PEER_JUDGE ? &a->judge : &a->scan;
    int taken = *fd;
    *fd = -1;
    if (*to)
        on_gone(a, *to, 0);
    if (sm_ipc_new(a->life.loop, taken, &c, to)) {
        sm_error("the channel to %s could not be made", peer);
        return;
    }
    if (i == PEER_LINK) {
        reports_go(a);
        net_pin(a);
    }
    a->scan_life += i == PEER_SCAN;
    if (i != PEER_JUDGE)
        return;
    a->judge_life++;
    actor_tell_blocked(a);
    tell_state(a);
}

/* ---- what ends by itself ---- */

static void on_tick(void *arg)
{
    struct actor *a = arg;
    char why[PLAT_NF_WHY];
    json_t *gone = NULL, *row;
    size_t i;
    if (!hold_expire(&a->hold, actor_now_s(), &gone) && gone) {
        int r = net_apply(a, why);
        if (r)
            sm_error("the packet filter could not be set: %s", why[0] ? why : sm_strerror(r));
        if (hold_save(&a->hold))
            sm_warn("what is in force could not be written down");
        actor_tell_blocked(a);
        tell_state(a);
        json_array_foreach(gone, i, row)
        {
            const char *what = json_string_value(json_object_get(row, "what"));
            journal(a, json_pack("{s:s,s:s,s:O}", "what", "expired", "of", what, "value", json_object_get(row, "value")));
            actor_event(a, strcmp(what, "isolated") == 0 ? "released" : "unblocked",
                json_pack("{s:s,s:O}", "by", "time", "value", json_object_get(row, "value")));
        }
    }
    json_decref(gone);
    reports_go(a);
    if (plat_clock_mono_ms() - a->resolved_ms > 600000)
        net_resolve(a);
    int64_t next = hold_next(&a->hold), left = next ? next - actor_now_s() : INT64_MAX;
    sm_timer_set(a->tick, left < (int64_t)(TICK_MS / 1000) ? (left > 0 ? (uint64_t)left * 1000 : 200) : TICK_MS, 0);
}

void actor_tick_soon(struct actor *a)
{
    sm_timer_set(a->tick, 0, 0);
}

/* ---- start ---- */

/* What the one before had begun: done again where that is right, else told as failed. */
static void take_up(struct actor *a)
{
    json_t *rows = json_copy(hold_list(&a->hold, "running")), *row;
    size_t i;
    json_array_clear(hold_list(&a->hold, "running"));
    json_array_foreach(rows, i, row)
    {
        const char *id = json_string_value(json_object_get(row, "id")), *name = json_string_value(json_object_get(row, "action")),
                   *finding = json_string_value(json_object_get(row, "finding"));
        const struct action *r = name ? actor_find(name) : NULL;
        struct act *t = r && id ? act_new(a, r, id, json_object_get(row, "args")) : NULL;
        bool order = json_is_true(json_object_get(row, "order"));
        if (!t)
            continue;
        t->by_order = order;
        t->for_s = json_integer_value(json_object_get(row, "for_s"));
        (void)snprintf(t->finding, sizeof t->finding, "%s", finding ? finding : "");
        if (r->again && !admit(t)) {
            actor_begin(t);
            continue;
        }
        act_fail(t, -SM_EPEER, "the agent ended before this was done");
        journal(a, line_of(t, "end"));
        if (order)
            report_order(a, t->id, "failed", t->detail, NULL);
        act_free(t);
    }
    json_decref(rows);
}

static int confine(const struct actor *a, struct plat_confined *c)
{
    static const int caps[] = {CAP_KILL, CAP_NET_ADMIN, CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_FOWNER, CAP_SYS_PTRACE};
    const struct part_rules rules = {
        .profile = "agent-actor", .user = "", .caps = caps, .caps_n = sizeof caps / sizeof caps[0], .nofile = 1024};
    (void)a;
    return part_confine(&rules, c);
}

static int open_all(struct actor *a, const char *skip, char *why)
{
    char path[AGENT_PATH_MAX + 32];
    (void)snprintf(a->own, sizeof a->own, "%s/actor", a->data); /* room was made */
    (void)snprintf(path, sizeof path, "%s/policy.json", a->own);
    int r = agent_config_load(a->data, &a->config, why);
    if (!r)
        r = policy_load(a->data, skip, &a->local, why);
    a->beside_box = skip != NULL;
    if (!r)
        r = endpoint_folder(a->data, "actor", "", 0);
    a->folder = r ? -1 : plat_fs_open_dir(AT_FDCWD, a->own);
    r = r ? r : a->folder < 0 ? a->folder : 0;
    const struct endpoint_own own = {&a->config, &a->local, path};
    if (!r && endpoint_policy_load(&own, &a->policy, why)) {
        sm_warn("the policy that was kept could not be read: %s", why);
        why[0] = 0;
    }
    return r;
}

static int start(struct actor *a, const char *skip, char *why)
{
    struct plat_confined c = {0};
    int r = open_all(a, skip, why);
    if (!r)
        (void)!plat_netfilter_load(); /* what needs it says so */
    if (!r)
        r = confine(a, &c);
    if (!r && pipe2(a->wake, O_CLOEXEC) < 0)
        r = -errno;
    if (!r)
        r = sm_loop_new(&a->life.loop);
    if (!r)
        r = sm_loop_fd(a->life.loop, a->wake[0], SM_READ, on_wake, a, &a->wake_watch);
    if (!r)
        r = sm_loop_timer(a->life.loop, 0, 0, on_tick, a, &a->tick);
    if (!r)
        r = reports_open(a);
    int h = r ? 0 : hold_open(a->folder, &a->hold);
    if (h == -SM_EFORMAT)
        sm_error("what was in force could not be read: it is set aside as actor/hold.damaged");
    r = r ? r : h == -SM_EFORMAT ? 0 : h;
    int j = r ? 0 : actlog_open(a->folder, &a->journal);
    if (j == -SM_ECORRUPT)
        sm_error("the journal of what was done is not what it was");
    r = r ? r : j == -SM_ECORRUPT ? 0 : j;
    a->life.attach = on_attach;
    a->life.arg = a;
    return r ? r : part_begin(&a->life, &c);
}

int actor_main(const char *data, const char *skip)
{
    static struct actor a;
    char why[PLAT_NF_WHY] = "";
    a = (struct actor){.data = data, .folder = -1};
    int r = start(&a, skip, why);
    if (r) {
        sm_error("%s", why[0] ? why : sm_strerror(r));
        return 1;
    }
    journal(&a, json_pack("{s:s,s:s}", "what", "start", "version", SM_VERSION));
    json_t *gone = NULL;
    if (hold_expire(&a.hold, actor_now_s(), &gone))
        sm_warn("what is over could not be ended"); /* the tick does it */
    json_decref(gone);
    if (json_is_true(json_object_get(a.hold.o, "table")) || json_is_object(json_object_get(a.hold.o, "isolated")) ||
        json_array_size(hold_list(&a.hold, "to"))) {
        r = net_apply(&a, why);
        if (r)
            sm_error("the packet filter could not be set: %s", why[0] ? why : sm_strerror(r));
    }
    take_up(&a);
    net_resolve(&a);
    r = sm_loop_run(a.life.loop);
    agent_config_wipe(&a.config);
    return r ? 1 : 0;
}
