/* The part: its policy, its channel to the judge, and the folders of sources, which the supervisor tells. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/fs.h"
#include "sakimori-agent/sensor/sensor.h"

/* The agent of the machine.  Any other one, for trying or beside it, protects what it backs up and what it is told to. */
#define STANDARD_DATA "/var/lib/sakimori-agent"
#define STATE_MS 10000u
#define SOURCES_MAX 256u
#define ASKED_MAX 16u
#define NOFILE 12288u
#define FINDINGS_MAX 32u
#define BATCH_MAX ((size_t)64 << 10)

struct part {
    struct part_life life;
    struct sensor *sensor;
    struct sm_ipc *judge;
    struct sm_watch *watch;
    struct sm_timer *timer;
    struct agent_config config;
    struct agent_policy local;
    struct endpoint_policy policy;
    char path[AGENT_PATH_MAX + 32];
    json_t *paths; /* of sources, as told last */
    char *source[SOURCES_MAX];
    size_t source_n;
    struct sm_buf batch; /* events on their way, a line each */
    uint64_t unsent;
    struct sm_buf finding[FINDINGS_MAX]; /* that no judge was there for */
    size_t finding_n;
    int giveback;
    struct { uint64_t tree, id; } asked[ASKED_MAX]; /* who is of a tree: not answered yet */
    size_t asked_n;
    json_t *blocked; /* programs that orders block, besides the policy's: the last E_BLOCKED */
};

/* ---- to the judge ---- */

static void flush(struct part *p)
{
    if (p->batch.n && (!p->judge || sm_ipc_send(p->judge, E_EVENT, sm_buf_span(&p->batch), -1)))
        p->unsent++;
    sm_buf_clear(&p->batch);
}

static void members_said(struct part *p, struct sm_span body)
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    size_t kept = 0;
    if (sm_json_parse(body, E_FINDING_MAX, &o, NULL))
        return;
    uint64_t tree = (uint64_t)json_integer_value(json_object_get(o, "tree"));
    for (size_t i = 0; i < p->asked_n; i++) {
        if (p->asked[i].tree != tree)
            p->asked[kept++] = p->asked[i];
        else if (p->judge)
            (void)!sm_ipc_reply_id(p->judge, E_MEMBERS, p->asked[i].id, 0, body, -1); /* judge is going away then */
    }
    p->asked_n = kept;
}

/* The newest ones are kept. */
static void keep_finding(struct part *p, struct sm_span body)
{
    if (p->finding_n == FINDINGS_MAX) {
        sm_buf_wipe(&p->finding[0]);
        memmove(p->finding, p->finding + 1, (FINDINGS_MAX - 1) * sizeof p->finding[0]);
        p->finding_n--;
        p->unsent++;
    }
    struct sm_buf *b = &p->finding[p->finding_n];
    *b = SM_BUF_INIT(E_FINDING_MAX);
    if (sm_buf_put_span(b, body))
        p->unsent++;
    else
        p->finding_n++;
}

/* A judge that is away misses events; findings wait for it. */
static void on_say(void *ctx, int type, struct sm_span body)
{
    struct part *p = ctx;
    if (type == E_EVENT) {
        if (p->batch.n + body.n + 1 > BATCH_MAX)
            flush(p);
        if (sm_buf_put_span(&p->batch, body) || sm_buf_put_u8(&p->batch, '\n'))
            p->unsent++;
        return;
    }
    if (type == E_MEMBERS) {
        members_said(p, body);
        return;
    }
    flush(p);
    if (!p->judge || sm_ipc_send(p->judge, E_FINDING, body, -1))
        keep_finding(p, body);
}

static void tell_kept(struct part *p)
{
    size_t sent = 0;
    while (sent < p->finding_n && !sm_ipc_send(p->judge, E_FINDING, sm_buf_span(&p->finding[sent]), -1))
        sm_buf_wipe(&p->finding[sent++]);
    p->finding_n -= sent;
    memmove(p->finding, p->finding + sent, p->finding_n * sizeof p->finding[0]);
}

static void on_said(void *arg, int fd, unsigned events)
{
    struct part *p = arg;
    (void)fd;
    (void)events;
    sensor_deliver(p->sensor);
    flush(p);
}

static void tell_state(void *arg)
{
    struct part *p = arg;
    struct sm_buf b = SM_BUF_INIT(E_SENSOR_STATE_MAX);
    json_t *o = NULL;
    if (p->judge && !sensor_state(p->sensor, &o))
        json_object_set_new(o, "unsent", json_integer((json_int_t)p->unsent)); /* batches and findings that no judge took */
    if (o && !sm_json_dump(o, &b))
        (void)sm_ipc_send(p->judge, E_SENSOR_STATE, sm_buf_span(&b), -1); /* told again soon */
    json_decref(o);
    sm_buf_wipe(&b);
}

/* ---- from it ---- */

/* The policy's list and that of orders together. */
static int all_blocked(const struct part *p, struct endpoint_policy *ret)
{
    const json_t *list = json_object_get(p->blocked, "files"), *v;
    size_t i, n = p->policy.block_file_n;
    *ret = p->policy;
    ret->block_file = calloc(n + json_array_size(list) + 1, sizeof *ret->block_file);
    if (!ret->block_file)
        return -ENOMEM;
    if (n)
        memcpy(ret->block_file, p->policy.block_file, n * sizeof *ret->block_file);
    json_array_foreach(list, i, v) {
        const char *hex = json_string_value(v);
        if (hex && strlen(hex) == 64 && !sm_unhex(hex, 64, ret->block_file[n], 32))
            n++;
    }
    ret->block_file_n = n;
    return 0;
}

static void apply(struct part *p)
{
    struct endpoint_policy all;
    int r = all_blocked(p, &all);
    if (!r) {
        r = sensor_policy(p->sensor, &all, (const char *const *)p->source, p->source_n);
        free(all.block_file);
    }
    if (r)
        sm_error("the policy could not be put in force: %s", sm_strerror(r));
}

static void on_policy(struct part *p, struct sm_span body)
{
    const struct endpoint_own own = {.config = &p->config, .local = &p->local, .path = p->path};
    char why[160] = "";
    json_t *row = NULL;
    int r = sm_json_parse(body, ENDPOINT_ROW_MAX, &row, NULL);
    if (!r)
        r = endpoint_policy_take(row, &own, &p->policy, why);
    if (!r)
        apply(p);
    else if (r != -SM_EEXISTS)
        sm_warn("a policy was not taken: %s", why[0] ? why : sm_strerror(r));
    json_decref(row);
}

static void on_tree(struct part *p, struct sm_span body)
{
    static const char *const words[] = {[SENSOR_STOP] = "stop", [SENSOR_GO] = "go", [SENSOR_EXCUSE] = "excuse", [SENSOR_DROP] = "drop"};
    sm_cleanup(sm_json_free) json_t *o = NULL;
    if (sm_json_parse(body, E_TREE_MAX, &o, NULL))
        return;
    const char *what = json_string_value(json_object_get(o, "do"));
    json_int_t tree = json_integer_value(json_object_get(o, "tree"));
    for (int i = 0; what && tree > 0 && i < 4; i++)
        if (strcmp(what, words[i]) == 0 && sensor_tree(p->sensor, (uint64_t)tree, (enum sensor_do)i))
            sm_warn("too much is asked about trees at once");
}

static void on_members(struct part *p, struct sm_ipc *ipc, const struct sm_ipc_msg *m)
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    int r = p->asked_n < ASKED_MAX ? sm_json_parse(m->body, E_TREE_MAX, &o, NULL) : -SM_EAGAIN;
    json_int_t tree = json_integer_value(json_object_get(o, "tree"));
    if (!r)
        r = tree > 0 ? sensor_tree(p->sensor, (uint64_t)tree, SENSOR_MEMBERS) : -SM_EINVAL;
    if (r)
        (void)!sm_ipc_reply_error(ipc, m, r, sm_strerror(r)); /* judge is going away then */
    else {
        p->asked[p->asked_n].tree = (uint64_t)tree;
        p->asked[p->asked_n++].id = m->id;
    }
}

static void on_blocked(struct part *p, struct sm_span body)
{
    json_t *o = NULL;
    if (sm_json_parse(body, E_BLOCKED_MAX, &o, NULL))
        return;
    bool same = json_equal(o, p->blocked);
    json_decref(p->blocked);
    p->blocked = o;
    if (!same)
        apply(p);
}

static void on_judge(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    if (m->type == E_POLICY)
        on_policy(arg, m->body);
    else if (m->type == E_MEMBERS)
        on_members(arg, ipc, m);
    else if (m->type == E_BLOCKED)
        on_blocked(arg, m->body);
    else
        on_tree(arg, m->body);
}

static void on_judge_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct part *p = arg;
    if (err)
        sm_error("judge broke the rules of its channel: %s", sm_strerror(err));
    p->judge = NULL;
    p->asked_n = 0;
    sm_ipc_free(ipc);
}

static void on_attach(void *arg, const char *peer, bool fresh, int *fd)
{
    static const struct sm_ipc_rule rule[] = {
        {E_POLICY, ENDPOINT_ROW_MAX, false, "E_POLICY"}, {E_TREE, E_TREE_MAX, false, "E_TREE"},
        {E_MEMBERS, E_TREE_MAX, false, "E_MEMBERS"}, {E_BLOCKED, E_BLOCKED_MAX, false, "E_BLOCKED"}};
    struct part *p = arg;
    const struct sm_ipc_config c = {.may_receive = rule,
        .may_receive_n = sizeof rule / sizeof rule[0],
        .body_max = SM_IPC_BODY_MAX,
        .queue_max = (size_t)4 << 20,
        .on_message = on_judge,
        .on_gone = on_judge_gone,
        .arg = p};
    int taken = *fd;
    (void)fresh;
    *fd = -1;
    if (strcmp(peer, "judge") != 0) {
        close(taken);
        return;
    }
    if (p->judge)
        on_judge_gone(p, p->judge, 0);
    if (sm_ipc_new(p->life.loop, taken, &c, &p->judge))
        sm_error("the channel to judge could not be made");
    else
        tell_kept(p);
    tell_state(p);
}

/* ---- from the supervisor: what is backed up ---- */

static void drop_sources(struct part *p)
{
    for (size_t i = 0; i < p->source_n; i++)
        free(p->source[i]);
    p->source_n = 0;
}

static void add_source(struct part *p, const json_t *path)
{
    if (json_is_string(path) && p->source_n < SOURCES_MAX && (p->source[p->source_n] = strdup(json_string_value(path))))
        p->source_n++;
}

/* The paths of all sources, as they are told, to know when they are others. */
static json_t *all_paths(const json_t *sources)
{
    json_t *all = json_array();
    const json_t *source;
    size_t i;
    json_array_foreach(sources, i, source) {
        const char *kind = json_string_value(json_object_get(source, "kind"));
        if (!kind || strcmp(kind, "files") == 0) /* those of others are no folders of this machine */
            json_array_extend(all, json_object_get(source, "paths"));
    }
    return all;
}

static void on_settings(void *arg, struct sm_ipc_msg *m)
{
    struct part *p = arg;
    sm_cleanup(sm_json_free) json_t *o = NULL;
    const json_t *path;
    size_t i;
    if (sm_json_parse(m->body, SM_IPC_BODY_MAX, &o, NULL))
        return;
    json_t *paths = all_paths(json_object_get(o, "sources"));
    if (json_equal(paths, p->paths)) { /* they come again and again */
        json_decref(paths);
        return;
    }
    json_decref(p->paths);
    p->paths = paths;
    drop_sources(p);
    json_array_foreach(paths, i, path)
        add_source(p, path);
    apply(p);
}

/* ---- life ---- */

static int open_giveback(const char *data)
{
    char path[AGENT_PATH_MAX + 16];
    int r = endpoint_folder(data, "giveback", "", 0);
    snprintf(path, sizeof path, "%s/giveback", data);
    return r ? r : plat_fs_open_dir(AT_FDCWD, path);
}

/* A tenth of what is free, 4 GiB at most; a twentieth of the disk, 1 GiB at least, is left. */
static struct giveback_limits limits(int folder)
{
    struct plat_fs_space space = {0};
    struct giveback_limits l = {.max_bytes = (uint64_t)1 << 30, .reserve_bytes = (uint64_t)1 << 30, .file_max_bytes = (uint64_t)2 << 30,
        .age_s = 7 * 86400};
    if (!plat_fs_space(folder, ".", &space)) {
        l.max_bytes = space.avail_bytes / 10 < (uint64_t)4 << 30 ? space.avail_bytes / 10 : (uint64_t)4 << 30;
        l.reserve_bytes = space.total_bytes / 20 > l.reserve_bytes ? space.total_bytes / 20 : l.reserve_bytes;
    }
    return l;
}

static int make(struct part *p, const char *data)
{
    char why[400] = "";
    p->giveback = open_giveback(data);
    if (p->giveback < 0)
        sm_warn("the folder for what is given back: %s", sm_strerror(p->giveback));
    const struct sensor_setup setup = {.data = data, .giveback = p->giveback < 0 ? -1 : p->giveback,
        .limits = limits(p->giveback < 0 ? AT_FDCWD : p->giveback), .boss = (uint32_t)getppid(), .say = on_say, .ctx = p,
        .everywhere = strcmp(data, STANDARD_DATA) == 0};
    int r = sensor_new(&setup, &p->sensor, why);
    if (why[0])
        sm_warn("%s", why);
    if (!setup.everywhere)
        sm_info("only folders of sources, and those that are named, are protected: this is not the agent in " STANDARD_DATA);
    return r;
}

static int confine(struct plat_confined *c)
{
    static const int caps[] = {CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_KILL};
    const struct part_rules rules = {.profile = "agent-sensor", .user = "", .caps = caps, .caps_n = 4, .nofile = NOFILE};
    int r = part_confine(&rules, c);
    if (!r)
        plat_confined_missing(c, "landlock: it looks at other programs, which Landlock does not allow");
    return r;
}

static int begin_loop(struct part *p)
{
    static const struct sm_ipc_rule also[] = {{L_SETTINGS, SM_IPC_BODY_MAX, false, "L_SETTINGS"}};
    int r = sm_loop_new(&p->life.loop);
    if (!r)
        r = sm_loop_fd(p->life.loop, sensor_fd(p->sensor), SM_READ, on_said, p, &p->watch);
    if (!r)
        r = sm_loop_timer(p->life.loop, STATE_MS, STATE_MS, tell_state, p, &p->timer);
    p->life.beat_ms = 1000; /* others wait for its answers: it is looked after closely (guard/tend.h) */
    p->life.attach = on_attach;
    p->life.message = on_settings;
    p->life.also = also;
    p->life.also_n = 1;
    p->life.arg = p;
    return r;
}

static int begin(struct part *p, const char *data, const char *skip, char *why)
{
    struct plat_confined c = {0};
    const struct endpoint_own own = {.config = &p->config, .local = &p->local, .path = p->path};
    snprintf(p->path, sizeof p->path, "%s/sensor/policy.json", data);
    int r = policy_load(data, skip, &p->local, why);
    if (!r)
        r = agent_config_load(data, &p->config, why);
    if (!r)
        r = endpoint_folder(data, "sensor", "", 0);
    if (!r)
        r = make(p, data);
    if (!r)
        r = confine(&c);
    if (!r)
        r = begin_loop(p);
    if (!r)
        r = sensor_start(p->sensor);
    if (r)
        return r;
    r = endpoint_policy_load(&own, &p->policy, why);
    if (r == -ENOMEM)
        return r;
    if (r) /* damaged: what holds without one is in force, and the box sends it again */
        sm_warn("the policy that was kept: %s", why[0] ? why : sm_strerror(r));
    why[0] = 0;
    apply(p);
    return part_begin(&p->life, &c);
}

int sensor_main(const char *data, const char *skip)
{
    static struct part p;
    char why[160] = "";
    p = (struct part){.giveback = -1, .batch.max = BATCH_MAX + E_EVENT_MAX};
    int r = begin(&p, data, skip, why);
    if (r)
        sm_error("%s", why[0] ? why : sm_strerror(r));
    else
        r = sm_loop_run(p.life.loop);
    sensor_free(p.sensor);
    drop_sources(&p);
    json_decref(p.paths);
    endpoint_policy_wipe(&p.policy);
    policy_wipe(&p.local);
    agent_config_wipe(&p.config);
    sm_buf_wipe(&p.batch);
    for (size_t i = 0; i < p.finding_n; i++)
        sm_buf_wipe(&p.finding[i]);
    return r ? 1 : 0;
}
