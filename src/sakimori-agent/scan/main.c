/* The process: orders of the box, the policy and looks from judge; what was found goes to judge, the end of an order to the box. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "crypto/hash.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/orders.h"
#include "sakimori-agent/policy.h"
#include "sakimori-agent/scan/scan.h"

#define SHIPPED_RULES "/usr/share/sakimori-agent/rules"
#define STANDARD_CLAMD "/run/clamav/clamd.ctl"
#define TICK_MS 5000u
#define SAVE_MS 10000u

struct part {
    struct agent_config config;
    struct agent_policy local;
    struct endpoint_own own;
    struct endpoint_policy policy;
    char folder[AGENT_PATH_MAX + 16], policy_path[AGENT_PATH_MAX + 32], used[AGENT_PATH_MAX + 32];
    const char *rules[POLICY_RULES_MAX + 1];
    struct part_life life;
    struct sm_ipc *link, *judge;
    struct worker *worker;
    struct scan_state state;
    struct media *media;
    int wake[2];
    struct sm_watch *watch;
    struct sm_timer *tick;
    bool telling;
    uint64_t saved_ms;
    json_t *told;               /* to judge */
    struct { int64_t at; uint64_t files, found; bool known; } last;
};

static void save(struct part *p)
{
    int r = scan_state_save(p->folder, &p->state);
    if (r)
        sm_warn("what is being scanned could not be written down: %s", sm_strerror(r));
    p->saved_ms = plat_clock_mono_ms();
}

/* ---- to judge ---- */

/* Bytes that are no UTF-8 stand as \xNN. */
static json_t *path_text(const char *path)
{
    struct sm_buf b = SM_BUF_INIT(4 * AGENT_PATH_MAX + 1);
    size_t n = strlen(path);
    bool good = sm_utf8_valid(SM_SPAN(path, n));
    for (size_t i = 0; i < n && !good; i++) {
        unsigned char c = (unsigned char)path[i];
        if (c < 0x80 ? sm_buf_put_u8(&b, c) : sm_buf_printf(&b, "\\x%02X", c))
            break;
    }
    json_t *v = good ? json_stringn(path, n) : json_stringn((const char *)b.p, b.n);
    sm_buf_wipe(&b);
    return v;
}

static void send_json(struct part *p, uint16_t type, json_t *take)
{
    struct sm_buf b = SM_BUF_INIT(E_EVENT_MAX);
    if (take && p->judge && !sm_json_dump(take, &b) && sm_ipc_send(p->judge, type, sm_buf_span(&b), -1))
        sm_warn("judge could not be told");
    json_decref(take);
    sm_buf_wipe(&b);
}

static void event(struct part *p, const char *action, json_t *take)
{
    char at[SM_TIME_TEXT];
    struct sm_time now = plat_clock_wall();
    now.ns = now.ns < 1000000 ? 1000000 : now.ns; /* with milliseconds */
    sm_time_rfc3339(now, at);
    json_t *o = json_pack("{s:i,s:s,s:s,s:s}", "v", 1, "at", at, "service", "sakimori", "action", action);
    if (o && take && json_object_update(o, take) == 0)
        send_json(p, E_EVENT, o);
    else
        json_decref(o);
    json_decref(take);
}

static json_t *time_or_null(int64_t s)
{
    char text[SM_TIME_TEXT];
    sm_time_rfc3339((struct sm_time){s, 0}, text);
    return s ? json_string(text) : json_null();
}

static void tell_state(struct part *p)
{
    struct worker_now n;
    worker_now(p->worker, &n);
    json_t *job = n.has_job ? json_pack("{s:s,s:I,s:I,s:I,s:I,s:o}", "why", p->state.job.why, "files", (json_int_t)n.job.files, "found",
                                  (json_int_t)n.job.found, "faults", (json_int_t)n.job.faults, "bytes", (json_int_t)n.job.bytes, "since",
                                  time_or_null(p->state.job.since))
                            : json_null();
    json_t *last = p->last.known ? json_pack("{s:o,s:I,s:I}", "at", time_or_null(p->last.at), "files", (json_int_t)p->last.files, "found",
                                       (json_int_t)p->last.found)
        : p->state.last_all ? json_pack("{s:o}", "at", time_or_null(p->state.last_all)) : json_null();
    json_t *why = json_array();
    if (!n.clamd)
        (void)json_array_append_new(why, json_string("no_clamd")); /* a word less */
    if (n.old)
        (void)json_array_append_new(why, json_string("definitions_old"));
    if (n.faults)
        (void)json_array_append_new(why, json_string("bad_indicators"));
    json_t *o = json_pack("{s:o,s:s,s:s,s:b,s:b,s:o,s:o,s:I,s:I,s:I,s:o}", "definitions",
        n.clamd && n.version.has_made ? time_or_null(n.version.made.s) : json_null(), "version", n.clamd ? n.version.definitions : "", "engine",
        n.clamd ? n.version.engine : "", "yara", n.yara, "running", n.has_job, "job", job, "last", last, "indicators",
        (json_int_t)n.indicators, "looked", (json_int_t)n.looked, "dropped", (json_int_t)n.dropped, "why", why);
    free(n.job.at);
    if (!o || json_equal(o, p->told) || !p->judge) {
        json_decref(o);
        return;
    }
    json_decref(p->told);
    p->told = json_incref(o);
    send_json(p, E_PART_STATE, o);
}

void scan_finding_id(const char *device, const char *path, const char *sha256, char ret[17])
{
    uint8_t hash[32];
    crypto_sha256v((struct sm_span[]){SM_SPAN_STR(device), SM_SPAN("", 1), SM_SPAN_STR(path), SM_SPAN("", 1), SM_SPAN_STR(sha256)}, 5, hash);
    sm_hex(hash, 8, ret);
}

static void finding(struct part *p, const struct scan_found *f, char id[17])
{
    char at[SM_TIME_TEXT];
    struct sm_buf b = SM_BUF_INIT(2 * AGENT_PATH_MAX);
    scan_finding_id(p->config.device, f->path, f->sha256, id);
    sm_time_rfc3339(plat_clock_wall(), at);
    if (sm_base64(SM_SPAN_STR(f->path), &b)) {
        sm_buf_wipe(&b);
        return;
    }
    json_t *o = json_pack("{s:s,s:s,s:I,s:s,s:s,s:o,s:[{s:s,s:i,s:i,s:s,s:s}],s:[],s:{s:i},s:[{s:s%,s:s,s:s,s:s}],s:{s:s,s:s,s:I,s:s}}", "id", id,
        "kind", "malware", "tree", (json_int_t)0, "at", at, "state", "seen", "program", path_text(f->path), "reasons", "id", f->engine, "points", 0,
        "times", 1, "ja", f->name, "en", f->name, "processes", "files", "touched", 1, "paths", "path", (const char *)b.p, b.n, "how", "malware", "was",
        "", "is", "", "object", "sha256", f->sha256, "name", f->name, "size", (json_int_t)f->size, "engine", f->engine);
    sm_buf_wipe(&b);
    send_json(p, E_FINDING, o);
}

static void found(struct part *p, const struct scan_found *f)
{
    char id[17] = "";
    sm_info("found: %s by %s", f->name, f->engine);
    finding(p, f, id);
    event(p, "malware_found", json_pack("{s:o,s:s,s:s,s:s,s:I,s:s}", "TargetFilename", path_text(f->path), "Signature", f->name, "Engine",
        f->engine, "Sha256", f->sha256, "Size", (json_int_t)f->size, "Finding", id));
}

/* ---- to the box ---- */

static void tell_next(struct part *p);

static void told(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct part *p = arg;
    struct sm_rd rd = SM_RD(m ? m->body : SM_SPAN(NULL, 0));
    unsigned status = err || !m ? 0 : sm_rd_u16(&rd);
    (void)text;
    p->telling = false;
    if (status != 200 && status != 400 && status != 404 && status != 413)
        return; /* with the next tick */
    (void)json_array_remove(p->state.tell, 0);
    save(p);
    tell_next(p);
}

static void tell_next(struct part *p)
{
    const json_t *one = json_array_get(p->state.tell, 0);
    struct sm_buf b = SM_BUF_INIT(8192);
    char path[L_PATH_MAX];
    if (!one || p->telling || !p->link)
        return;
    int n = snprintf(path, sizeof path, "/agent/v1/orders/%.64s/ack", json_string_value(json_object_get(one, "order")));
    int r = sm_buf_put_u8(&b, 1);
    if (!r)
        r = sm_buf_put_u16(&b, (uint16_t)n);
    if (!r)
        r = sm_buf_put(&b, path, (size_t)n);
    if (!r)
        r = sm_json_dump(json_object_get(one, "body"), &b);
    if (!r)
        p->telling = sm_ipc_ask(p->link, L_CALL, sm_buf_span(&b), -1, told, p) == 0;
    sm_buf_wipe(&b);
}

static void order_over(struct part *p, const char *id, const char *state, const char *detail, json_t *take)
{
    json_t *o = json_pack("{s:s,s:{s:s,s:s,s:o*}}", "order", id, "body", "state", state, "detail", detail, "facts", take);
    if (!o || json_array_append_new(p->state.tell, o))
        sm_warn("the end of the order %s may stay unsaid", id);
    save(p);
    tell_next(p);
}

/* ---- jobs ---- */

/* What came of a job, in words that every language has. */
static const char *outcome(const struct worker_now *n)
{
    if (n->cancelled)
        return "the scan was ended";
    if (n->job.found)
        return "something was found: see the findings";
    if (!n->job.files)
        return "there was no file to look at";
    return n->clamd ? "nothing was found" : "looked at without ClamAV, which is not installed: by rules alone";
}

static void job_over(struct part *p, const struct worker_now *n)
{
    bool all = strcmp(p->state.job.why, "media") != 0 && !n->cancelled;
    struct scan_job *j = &p->state.job;
    p->last.at = plat_clock_wall().s;
    p->last.files = n->job.files;
    p->last.found = n->job.found;
    p->last.known = true;
    if (all && strcmp(j->why, "order") != 0)
        p->state.last_all = p->last.at;
    sm_info("scan (%s) over: %llu files, %llu found", j->why, (unsigned long long)n->job.files, (unsigned long long)n->job.found);
    if (j->id[0])
        order_over(p, j->id, n->cancelled ? "failed" : "done", outcome(n),
            json_pack("{s:I,s:I,s:I,s:I}", "files", (json_int_t)n->job.files, "found", (json_int_t)n->job.found, "faults",
                (json_int_t)n->job.faults, "bytes", (json_int_t)n->job.bytes));
    scan_job_wipe(j);
    p->state.has_job = false;
    save(p);
}

static struct scan_job copy_of(const struct scan_job *j)
{
    struct scan_job c = *j;
    c.at = j->at ? strdup(j->at) : NULL;
    c.n = 0;
    for (size_t i = 0; i < j->n; i++)
        if ((c.path[c.n] = strdup(j->path[i])) != NULL)
            c.n++;
    return c;
}

static int begin_job(struct part *p)
{
    struct scan_job c = copy_of(&p->state.job);
    int r = worker_job(p->worker, &c);
    scan_job_wipe(&c);
    if (r == 0)
        sm_info("scan (%s) begins", p->state.job.why);
    return r;
}

static void add_path(struct scan_job *j, const char *path)
{
    if (j->n < SCAN_PATHS_MAX && path[0] == '/' && (j->path[j->n] = strdup(path)) != NULL)
        j->n++;
}

/* The folders of people's data, or those the policy names. */
static void all_paths(const struct part *p, struct scan_job *j)
{
    const struct endpoint_texts *t = p->policy.scan_paths.n ? &p->policy.scan_paths : &p->policy.protect;
    for (size_t i = 0; i < t->n; i++)
        add_path(j, t->at[i]);
    if (!j->n && p->policy.protect_auto)
        add_path(j, "/");
}

static int new_job(struct part *p, struct scan_job *take)
{
    if (p->state.has_job || !take->n) {
        int r = take->n ? -SM_EAGAIN : -SM_EINVAL;
        scan_job_wipe(take);
        return r;
    }
    take->since = plat_clock_wall().s;
    p->state.job = *take;
    p->state.has_job = true;
    save(p);
    return begin_job(p);
}

static int own_job(struct part *p, const char *why, const char *path)
{
    struct scan_job j = {0};
    (void)snprintf(j.why, sizeof j.why, "%s", why);
    if (path)
        add_path(&j, path);
    else
        all_paths(p, &j);
    return new_job(p, &j);
}

/* ---- orders ---- */

static void reply_order(struct part *p, const struct sm_ipc_msg *m, const char *state, const char *detail)
{
    struct sm_buf b = SM_BUF_INIT(1024);
    json_t *o = json_pack("{s:s,s:s}", "state", state, "detail", detail);
    if (o && !sm_json_dump(o, &b) && p->link)
        (void)!sm_ipc_reply(p->link, m, 0, sm_buf_span(&b), -1); /* offered again when link is back */
    json_decref(o);
    sm_buf_wipe(&b);
}

static int order_job(struct part *p, const char *id, const json_t *args)
{
    const json_t *list = json_object_get(args, "paths");
    struct scan_job j = {.why = "order"};
    (void)snprintf(j.id, sizeof j.id, "%s", id);
    if (json_is_true(json_object_get(args, "cancel"))) {
        worker_cancel(p->worker);
        order_over(p, id, "done", "", NULL);
        return 0;
    }
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_string(json_array_get(list, i)))
            add_path(&j, json_string_value(json_array_get(list, i)));
    if (!list)
        all_paths(p, &j);
    return new_job(p, &j);
}

static void on_link(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct part *p = arg;
    struct order order = {0};
    sm_cleanup(sm_json_free) json_t *row = NULL;
    char why[160] = "";
    (void)ipc;
    int r = sm_json_parse(m->body, 2 * ORDER_MAX, &row, why);
    if (!r)
        r = order_take(row, p->config.order_pub, p->config.device, p->used, &order, why);
    if (!r && (strcmp(order.kind, "scan") != 0 || strcmp(json_string_value(json_object_get(order.args, "action")) ? json_string_value(json_object_get(order.args, "action")) : "", "scan") != 0))
        r = -SM_EINVAL;
    if (!r)
        r = order_job(p, order.id, json_object_get(order.args, "args"));
    if (r == -SM_EAGAIN)
        reply_order(p, m, "refused", "another scan is under way");
    else if (r && r != -SM_EEXISTS)
        reply_order(p, m, "refused", why[0] ? why : sm_strerror(r));
    else
        reply_order(p, m, "accepted", ""); /* one that was used: its end is told, or was */
    order_wipe(&order);
}

/* ---- judge ---- */

static void on_policy(struct part *p, const struct sm_ipc_msg *m)
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    char why[160] = "";
    int r = sm_json_parse(m->body, ENDPOINT_ROW_MAX, &o, why);
    if (!r)
        r = endpoint_policy_take(o, &p->own, &p->policy, why);
    if (r && r != -SM_EEXISTS && r != -SM_ETIME)
        sm_warn("a policy was refused: %s", why[0] ? why : sm_strerror(r));
}

/* {"path"}: a program that was started or written; {"to","program"}: where a connection went. */
static void on_look(struct part *p, const struct sm_ipc_msg *m)
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    char words[INDICATORS_WORDS + 1];
    if (sm_json_parse(m->body, E_LOOK_MAX, &o, NULL))
        return;
    const char *path = json_string_value(json_object_get(o, "path")), *to = json_string_value(json_object_get(o, "to"));
    const char *program = json_string_value(json_object_get(o, "program"));
    if (path && path[0] == '/' && p->policy.scan_on_write)
        worker_look(p->worker, path);
    if (to && worker_indicator(p->worker, to, words))
        event(p, "indicator_seen", json_pack("{s:s,s:s,s:s}", "DestinationIp", to, "Image", program ? program : "", "Signature", words));
}

static void on_judge(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)ipc;
    if (m->type == E_POLICY)
        on_policy(arg, m);
    else
        on_look(arg, m);
}

/* ---- time ---- */

static void watch_definitions(struct part *p, const struct worker_now *n, int64_t now)
{
    if (!n->clamd || !n->old || now - p->state.last_old < 86400)
        return;
    p->state.last_old = now;
    save(p);
    event(p, "definitions_old", json_pack("{s:I,s:s}", "Days", (json_int_t)((now - n->version.made.s) / 86400), "Version",
        n->version.definitions));
}

static void watch_time(struct part *p, const struct worker_now *n, int64_t now)
{
    struct sm_civil c;
    bool planned = p->policy.scan_weekday != ENDPOINT_NO_DAY;
    sm_time_civil_jst((struct sm_time){now, 0}, &c);
    if (!planned || p->state.has_job || !(n->clamd || n->yara || n->indicators))
        return;
    bool today = (p->policy.scan_weekday == ENDPOINT_EVERY_DAY || p->policy.scan_weekday == c.weekday) && c.hour == p->policy.scan_hour;
    if (today && now - p->state.last_all > 2 * 3600) {
        (void)!own_job(p, "schedule", NULL); /* tried again with the next tick of this hour */
    } else if (now - p->state.last_all > (int64_t)SCAN_IDLE_DAYS * 86400) {
        if (!own_job(p, "idle", NULL))
            event(p, "idle_scan", json_pack("{s:I}", "Days", (json_int_t)(p->state.last_all ? (now - p->state.last_all) / 86400 : 0)));
    }
}

static void watch_media(struct part *p)
{
    char *path[8];
    size_t n = media_look(p->media, path, 8);
    for (size_t i = 0; i < n; i++) {
        if (p->policy.scan_on_media && own_job(p, "media", path[i]))
            sm_warn("a medium was not scanned: another scan is under way");
        free(path[i]);
    }
}

static void take_found(struct part *p)
{
    struct scan_found *all = worker_found(p->worker);
    for (const struct scan_found *f = all; f; f = f->next)
        found(p, f);
    scan_found_free(all);
}

static void look_around(struct part *p)
{
    struct worker_now n;
    int64_t now = plat_clock_wall().s;
    take_found(p);
    worker_now(p->worker, &n);
    if (n.ended && p->state.has_job) {
        job_over(p, &n);
    } else if (n.has_job && p->state.has_job) {
        free(p->state.job.at);
        p->state.job.at = n.job.at;
        n.job.at = NULL;
        p->state.job.files = n.job.files;
        p->state.job.found = n.job.found;
        p->state.job.faults = n.job.faults;
        p->state.job.bytes = n.job.bytes;
        if (plat_clock_mono_ms() - p->saved_ms > SAVE_MS)
            save(p);
    }
    free(n.job.at);
    watch_definitions(p, &n, now);
    watch_time(p, &n, now);
}

static void on_tick(void *arg)
{
    struct part *p = arg;
    look_around(p);
    watch_media(p);
    tell_next(p);
    tell_state(p);
}

static void on_wake(void *arg, int fd, unsigned events)
{
    char drop[256];
    (void)events;
    (void)!plat_fs_read(fd, drop, sizeof drop); /* what woke us is looked at below */
    look_around(arg);
    tell_state(arg);
}

/* ---- channels and birth ---- */

static void on_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct part *p = arg;
    if (err)
        sm_error("%s broke the rules of its channel: %s", ipc == p->link ? "link" : "judge", sm_strerror(err));
    if (ipc == p->link) {
        p->link = NULL;
        p->telling = false;
    } else {
        p->judge = NULL;
        json_decref(p->told);
        p->told = NULL;
    }
    sm_ipc_free(ipc);
}

static void on_attach(void *arg, const char *peer, bool fresh, int *fd)
{
    static const struct sm_ipc_rule from_link[] = {{L_ORDER, 2 * ORDER_MAX, false, "L_ORDER"}};
    static const struct sm_ipc_rule from_judge[] = {{E_POLICY, ENDPOINT_ROW_MAX, false, "E_POLICY"}, {E_LOOK, E_LOOK_MAX, false, "E_LOOK"}};
    struct part *p = arg;
    bool link = strcmp(peer, "link") == 0;
    int taken = *fd;
    (void)fresh;
    *fd = -1;
    if (strcmp(peer, "yara") == 0) {
        worker_yara(p->worker, taken);
        return;
    }
    struct sm_ipc **to = link ? &p->link : &p->judge;
    const struct sm_ipc_config c = {.may_receive = link ? from_link : from_judge, .may_receive_n = link ? 1 : 2, .body_max = SM_IPC_BODY_MAX,
        .queue_max = (size_t)2 << 20, .on_message = link ? on_link : on_judge, .on_gone = on_gone, .arg = p};
    if (!link && strcmp(peer, "judge") != 0) {
        close(taken);
        return;
    }
    if (*to)
        on_gone(p, *to, 0);
    if (sm_ipc_new(p->life.loop, taken, &c, to)) {
        sm_error("the channel to %s could not be made", peer);
        return;
    }
    if (link)
        tell_next(p);
    else
        tell_state(p);
}

static int confine(const struct part *p, struct plat_confined *c)
{
    static const int caps[] = {CAP_DAC_READ_SEARCH};
    const struct plat_path_rule paths[] = {{p->folder, true, false}, {"/", false, false}};
    const struct part_rules rules = {.profile = "agent-scan", .user = SCAN_USER, .uid = SCAN_UID, .caps = caps, .caps_n = 1, .paths = paths,
        .paths_n = 2, .landlock = true, .nofile = 512};
    return part_confine(&rules, c);
}

static int make(struct part *p)
{
    size_t n = 1;
    p->rules[0] = SHIPPED_RULES;
    for (size_t i = 0; i < p->local.rules_n; i++)
        p->rules[n++] = p->local.rules[i];
    if (pipe2(p->wake, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    const struct worker_ways ways = {.clamd = p->local.clamd ? p->local.clamd : STANDARD_CLAMD, .rules = p->rules, .rules_n = n,
        .skip = p->local.skip_path, .skip_n = p->local.skip_n, .wake = p->wake[1]};
    int r = sm_loop_new(&p->life.loop);
    if (!r)
        r = media_new(&p->media);
    if (!r)
        r = worker_start(&ways, &p->worker);
    if (!r)
        r = sm_loop_fd(p->life.loop, p->wake[0], SM_READ, on_wake, p, &p->watch);
    if (!r)
        r = sm_loop_timer(p->life.loop, 1000, TICK_MS, on_tick, p, &p->tick);
    if (r)
        return r;
    scan_state_load(p->folder, &p->state);
    if (p->state.has_job && begin_job(p))
        sm_warn("the scan that was under way could not go on");
    char why[160];
    r = endpoint_policy_load(&p->own, &p->policy, why);
    if (r && r != -ENOMEM)
        sm_warn("the policy that was kept is not used: %s", why);
    return r == -ENOMEM ? r : 0;
}

static int begin(struct part *p, const char *data, const char *skip, char *why)
{
    struct plat_confined c = {0};
    int r = agent_config_load(data, &p->config, why);
    if (!r)
        r = policy_load(data, skip, &p->local, why);
    (void)snprintf(p->folder, sizeof p->folder, "%s/scan", data);
    (void)snprintf(p->policy_path, sizeof p->policy_path, "%s/scan/policy.json", data);
    (void)snprintf(p->used, sizeof p->used, "%s/scan/used", data);
    p->own = (struct endpoint_own){.config = &p->config, .local = &p->local, .path = p->policy_path};
    if (!r)
        r = confine(p, &c);
    if (!r)
        r = make(p);
    p->life.attach = on_attach;
    p->life.arg = p;
    return r ? r : part_begin(&p->life, &c);
}

int scan_main(const char *data, const char *skip)
{
    struct part p = {.wake = {-1, -1}};
    char why[160] = "";
    plat_proc_background();
    int r = begin(&p, data, skip, why);
    if (r)
        sm_error("scan: %s", why[0] ? why : sm_strerror(r));
    else
        r = sm_loop_run(p.life.loop);
    if (p.state.has_job)
        save(&p); /* it goes on with the next life */
    worker_stop(p.worker);
    media_free(p.media);
    scan_job_wipe(&p.state.job);
    json_decref(p.state.tell);
    json_decref(p.told);
    sm_ipc_free(p.link);
    sm_ipc_free(p.judge);
    endpoint_policy_wipe(&p.policy);
    policy_wipe(&p.local);
    agent_config_wipe(&p.config);
    return r ? 1 : 0;
}
