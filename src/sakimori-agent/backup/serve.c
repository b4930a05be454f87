/* What the supervisor and link have to say to the backup part: channels, settings, orders. */
#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/backup/backupd.h"
#include "sakimori-agent/follow.h"
#include "sakimori-agent/orders.h"

static void answer(struct backupd *b, const struct sm_ipc_msg *m, const char *state, const char *detail)
{
    struct sm_buf t = SM_BUF_INIT(4096);
    json_t *o = json_pack("{s:s,s:s}", "state", state, "detail", detail);
    if (o && !sm_json_dump(o, &t))
        (void)sm_ipc_reply(b->link, m, 0, sm_buf_span(&t), -1); /* link gone: the box offers the order again */
    json_decref(o);
    sm_buf_wipe(&t);
}

static bool is_hex32(const char *s)
{
    return strlen(s) == 32 && strspn(s, "0123456789abcdef") == 32;
}

static bool has_run(const struct backupd *b, const char *run)
{
    bool has = b->running && strcmp(run, b->now.run) == 0;
    for (size_t i = 0; i < b->queue_n; i++)
        has |= strcmp(run, b->queue[i].run) == 0;
    return has;
}

static const char *enqueue(struct backupd *b, const struct order *o)
{
    struct wanted w = {.reindex = strcmp(o->kind, "reindex") == 0 || json_is_true(json_object_get(o->args, "anew"))};
    struct sm_obj a = SM_OBJ(o->args);
    snprintf(w.source, sizeof w.source, "%s", sm_obj_str(&a, "source", 32, 32));
    snprintf(w.run, sizeof w.run, "%s", sm_obj_str(&a, "run", 32, 32));
    const char *reason = sm_obj_str_opt(&a, "reason", 15);
    snprintf(
        w.reason, sizeof w.reason, "%s", strcmp(reason ? reason : "schedule", "schedule") == 0 ? "scheduled" : reason);
    follow_pin(b->cache, sm_obj_str_opt(&a, "orders_pub", 64));
    if (a.err || !is_hex32(w.source) || !is_hex32(w.run))
        return "the order does not say which source and run";
    if (has_run(b, w.run))
        return NULL; /* ordered once more by a box that believed it lost */
    if (b->queue_n == QUEUE_MAX)
        return "too many runs are waiting";
    b->queue[b->queue_n++] = w;
    return NULL;
}

static void cancel(struct backupd *b, const struct order *o)
{
    const char *run = json_string_value(json_object_get(o->args, "run"));
    if (!run)
        return;
    if (b->running && strcmp(run, b->now.run) == 0)
        atomic_store(&b->cancelled, true);
    for (size_t i = 0; i < b->queue_n; i++) {
        if (strcmp(run, b->queue[i].run) == 0) {
            memmove(&b->queue[i], &b->queue[i + 1], (--b->queue_n - i) * sizeof b->queue[0]);
            break;
        }
    }
}

static void on_order(struct backupd *b, const struct sm_ipc_msg *m)
{
    json_t *row = NULL;
    struct order o;
    char why[160] = "", used[AGENT_PATH_MAX + 32];
    snprintf(used, sizeof used, "%s/cache/orders.used", b->config.data);
    int r = sm_json_parse(m->body, ORDER_MAX * 2, &row, why);
    if (!r)
        r = order_take(row, b->config.order_pub, b->config.device, used, &o, why);
    if (r == -SM_EEXISTS) { /* the acknowledgement was lost on the way, or with it the process that took the order */
        bool here = order_check(row, b->config.order_pub, b->config.device, &o, why) == 0;
        const char *run = here ? json_string_value(json_object_get(o.args, "run")) : NULL;
        bool lost = run && strcmp(o.kind, "cancel") != 0 && !has_run(b, run);
        answer(b, m, lost ? "lost" : "accepted", "known");
        if (here)
            order_wipe(&o);
        json_decref(row);
        return;
    }
    json_decref(row);
    if (r) {
        sm_warn("an order was refused: %s", why[0] ? why : sm_strerror(r));
        answer(b, m, "refused", why[0] ? why : sm_strerror(r));
        return;
    }
    const char *wrong = NULL;
    if (strcmp(o.kind, "cancel") == 0)
        cancel(b, &o);
    else if (strcmp(o.kind, "backup") == 0 || strcmp(o.kind, "reindex") == 0)
        wrong = enqueue(b, &o);
    else
        wrong = "this agent does not know such an order";
    answer(b, m, wrong ? "refused" : "accepted", wrong ? wrong : "");
    order_wipe(&o);
}

static void on_link(struct backupd *b, const struct sm_ipc_msg *m)
{
    if (m->type == L_ORDER) {
        on_order(b, m);
        return;
    }
    json_t *o = NULL;
    if (sm_json_parse(m->body, SM_IPC_BODY_MAX, &o, NULL))
        return;
    json_decref(b->sources);
    b->sources = json_incref(json_object_get(o, "sources"));
    json_decref(o);
}

static const struct sm_ipc_rule from_link[] = {
    {L_ORDER, 1 << 18, false, "L_ORDER"}, {L_SETTINGS, SM_IPC_BODY_MAX, false, "L_SETTINGS"}};

static void take_lend(struct backupd *b, struct sm_ipc_msg *m)
{
    const struct sm_ipc_config c = {.body_max = 4096, .queue_max = 65536};
    int fd = m->fd;
    m->fd = -1;
    atomic_store(&b->lend_lost, false);
    pthread_mutex_lock(&b->lending);
    sm_ipc_free(b->lend);
    b->lend = NULL;
    if (fd >= 0 && sm_ipc_new(NULL, fd, &c, &b->lend))
        sm_error("the channel to lend could not be made");
    pthread_mutex_unlock(&b->lending);
}

static void on_up(struct backupd *b, struct sm_ipc_msg *m)
{
    if (m->type == A_STOP) {
        b->stop = true;
        atomic_store(&b->cancelled, true);
        return;
    }
    if (sm_span_eq(m->body, SM_SPAN_STR("{\"peer\":\"lend\"}"))) {
        take_lend(b, m);
        return;
    }
    const struct sm_ipc_config c = {
        .may_receive = from_link, .may_receive_n = 2, .body_max = SM_IPC_BODY_MAX, .queue_max = (size_t)4 << 20};
    sm_cleanup(sm_json_free) json_t *o = NULL;
    int fd = m->fd;
    m->fd = -1;
    const char *peer = sm_json_parse(m->body, 4096, &o, NULL) ? NULL : json_string_value(json_object_get(o, "peer"));
    if (peer && strcmp(peer, "link") != 0) {
        assist_take(&b->assist, fd);
        return;
    }
    sm_ipc_free(b->link);
    b->link = NULL;
    if (fd >= 0 && sm_ipc_new(NULL, fd, &c, &b->link))
        sm_error("the channel to link could not be made");
}

/* Take what link and supervisor have to say.  The supervisor's end means the agent is going down. */
void backupd_serve(struct backupd *b, int timeout_ms)
{
    struct sm_ipc_msg m;
    int r;
    while ((r = sm_ipc_recv(b->up, 0, &m)) == 0)
        on_up(b, &m);
    if (r != -SM_ETIME) {
        b->stop = true;
        atomic_store(&b->cancelled, true);
        return;
    }
    if (!b->link) {
        plat_clock_sleep_ms((uint64_t)timeout_ms);
        return;
    }
    r = sm_ipc_recv(b->link, timeout_ms, &m);
    if (r == 0) {
        on_link(b, &m);
    } else if (r != -SM_ETIME) {
        sm_ipc_free(b->link);
        b->link = NULL; /* a new one is attached when link is back */
    }
}
