#include "sakimorid/child.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>
#include "core/log.h"
#include "plat/clock.h"
#include "plat/proc.h"

enum {
    CHANNEL_PARENT = 3, CONFIG_WAIT_MS = 15000, TICK_MS = 250, RETRIES = 2, QUEUE_STANDARD = 4 << 20,
    UID_FIRST = 64300,
};

/* An ask that waits for its peer, or that can be sent again. */
struct waiting {
    struct waiting *next;
    struct child *c;
    unsigned peer, flags, tries;
    uint16_t type;
    struct sm_buf body;
    sm_ipc_answer_fn fn;
    void *arg;
    uint64_t until_ms;
    bool had_frames;
};

struct peer {
    struct child *c;
    unsigned who;
    struct sm_ipc *ipc;
    uint64_t id;
    struct sm_ipc_rule rules[MSG_ROWS_MAX];
    size_t rules_n;
    void (*drained)(void *arg);
    void *drained_arg;
};

struct child_private {
    const struct child_spec *spec;
    struct peer peers[WHO_COUNT]; /* by the place of the WHO_ bit; the parent is 0 */
    uint64_t next_id;
    struct waiting *waiting;
    size_t waiting_n;
    struct sm_timer *tick, *end;
    bool up, stopping;
    pid_t parent;
};

static void put_aside(struct child *c, struct waiting *w);
static void end_now(void *arg);

static unsigned place_of(unsigned who)
{
    return (unsigned)__builtin_ctz(who);
}

static struct peer *peer_of(struct child *c, unsigned who)
{
    return &c->priv->peers[place_of(who)];
}

struct sm_ipc *child_peer(struct child *c, unsigned peer)
{
    return peer_of(c, peer)->ipc;
}

uint64_t child_peer_id(struct child *c, unsigned peer)
{
    struct peer *p = peer_of(c, peer);

    return p->ipc ? p->id : 0;
}

/* ---- asks ---- */

static void waiting_free(struct waiting *w)
{
    sm_buf_wipe(&w->body);
    free(w);
}

static void finish(struct waiting *w, int err, const struct sm_ipc_msg *m, const char *text)
{
    w->fn(w->arg, err, m, text);
    waiting_free(w);
}

static void on_answer(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct waiting *w = arg;
    struct child_private *p = w->c->priv;

    if (err == -SM_EPEER && !m && (w->flags & CHILD_IDEMPOTENT) && !w->had_frames && w->tries < RETRIES &&
        !p->stopping && p->waiting_n < CHILD_WAITING_MAX) {
        put_aside(w->c, w);
        return;
    }
    if (err >= 0 && m && (m->flags & SM_IPC_MORE)) {
        w->had_frames = true;
        w->fn(w->arg, err, m, text);
        return;
    }
    finish(w, err, m, text);
}

static void put_aside(struct child *c, struct waiting *w)
{
    struct waiting **end = &c->priv->waiting;

    while (*end)
        end = &(*end)->next;
    w->next = NULL;
    w->until_ms = plat_clock_mono_ms() + CHILD_WAIT_MS;
    *end = w;
    if (c->priv->waiting_n++ == 0)
        sm_timer_set(c->priv->tick, TICK_MS, TICK_MS);
}

/* Send it now.  1: sent, 0: not possible now, < 0 never. */
static int try_send(struct waiting *w)
{
    struct sm_ipc *ipc = child_peer(w->c, w->peer);
    int r;

    if (!ipc)
        return 0;
    r = sm_ipc_ask(ipc, w->type, sm_buf_span(&w->body), -1, on_answer, w);
    if (r == -SM_EAGAIN || r == -SM_EPEER)
        return 0;
    if (r < 0)
        return r;
    w->tries++;
    return 1;
}

/* Send what waits for peer (0: for anyone), give up what waited too long.  Callbacks may put more aside: only
 * what was there at the start is looked at. */
static void push_waiting(struct child *c, unsigned peer)
{
    struct waiting *w = c->priv->waiting, *next, *first = NULL, **end = &first;
    uint64_t now = plat_clock_mono_ms();
    unsigned stuck = 0;

    c->priv->waiting = NULL;
    c->priv->waiting_n = 0;
    for (; w; w = next) {
        next = w->next;
        int r = (peer == 0 || w->peer == peer) && !(stuck & w->peer) ? try_send(w) : 0;
        if (r > 0)
            continue;
        stuck |= r == 0 ? w->peer : 0;
        if (r == 0 && now < w->until_ms) {
            *end = w;
            end = &w->next;
            c->priv->waiting_n++;
            continue;
        }
        r = r < 0 ? r : -SM_EPEER;
        finish(w, r, NULL, sm_strerror(r));
    }
    *end = c->priv->waiting;
    c->priv->waiting = first;
    if (!c->priv->waiting && c->priv->tick)
        sm_timer_stop(c->priv->tick);
}

static void on_tick(void *arg)
{
    push_waiting(arg, 0);
}

/* Nothing overtakes what waits already: pieces of one pack are asked in order. */
static bool must_queue(const struct child *c, unsigned peer)
{
    for (const struct waiting *w = c->priv->waiting; w; w = w->next)
        if (w->peer == peer)
            return true;
    return false;
}

int child_ask(struct child *c, unsigned peer, uint16_t type, struct sm_span body, sm_ipc_answer_fn fn, void *arg,
    unsigned flags)
{
    bool behind = must_queue(c, peer);
    struct sm_ipc *ipc = behind ? NULL : child_peer(c, peer);
    struct waiting *w;
    int r = -SM_EPEER;

    if (ipc && !(flags & CHILD_IDEMPOTENT))
        r = sm_ipc_ask(ipc, type, body, -1, fn, arg);
    if (r != -SM_EPEER && r != -SM_EAGAIN)
        return r;
    if (c->priv->waiting_n >= CHILD_WAITING_MAX || c->priv->stopping)
        return c->priv->stopping ? -SM_EPEER : -SM_EAGAIN;
    w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    *w = (struct waiting){ .c = c, .peer = peer, .flags = flags, .type = type, .fn = fn, .arg = arg,
        .body = SM_BUF_INIT(SM_IPC_BODY_MAX) };
    r = sm_buf_put_span(&w->body, body);
    if (r >= 0 && !behind)
        r = try_send(w);
    if (r < 0) {
        waiting_free(w);
        return r;
    }
    if (r == 0)
        put_aside(c, w);
    return 0;
}

int child_ask_json(struct child *c, unsigned peer, uint16_t type, const json_t *body, sm_ipc_answer_fn fn, void *arg,
    unsigned flags)
{
    struct sm_buf text = SM_BUF_INIT(SM_IPC_BODY_MAX);
    int r = sm_json_dump(body, &text);

    if (r >= 0)
        r = child_ask(c, peer, type, sm_buf_span(&text), fn, arg, flags);
    sm_buf_wipe(&text);
    return r;
}

int child_call(struct child *c, unsigned peer, uint16_t type, struct sm_span body, int timeout_ms,
    struct sm_buf *ret_body, char *ret_why)
{
    struct sm_ipc *ipc = child_peer(c, peer);

    if (!ipc)
        return -SM_EPEER;
    return sm_ipc_call(ipc, type, body, timeout_ms, ret_body, NULL, ret_why);
}

int child_notify(struct child *c, unsigned peer, uint16_t type, struct sm_span body)
{
    struct sm_ipc *ipc = child_peer(c, peer);
    const struct msg_row *row = msg_find(type);

    if (row && body.n > row->body_max) { /* the other side would end the channel, and the parent this process */
        sm_error("a %s of %zu bytes is not sent: it may have %u", msg_name(type), body.n, row->body_max);
        return -SM_ELIMIT;
    }
    return ipc ? sm_ipc_send(ipc, type, body, -1) : -SM_EPEER;
}

int child_notify_json(struct child *c, unsigned peer, uint16_t type, const json_t *body)
{
    struct sm_buf text = SM_BUF_INIT(SM_IPC_BODY_MAX);
    int r = sm_json_dump(body, &text);

    if (r >= 0)
        r = child_notify(c, peer, type, sm_buf_span(&text));
    sm_buf_wipe(&text);
    return r;
}

/* ---- answers ---- */

void child_reply(struct sm_ipc *ipc, const struct sm_ipc_msg *to, struct sm_span body)
{
    /* A channel that cannot take an answer is gone or dying; its on_gone says so. */
    (void)sm_ipc_reply(ipc, to, 0, body, -1);
}

void child_reply_json(struct sm_ipc *ipc, const struct sm_ipc_msg *to, const json_t *body)
{
    struct sm_buf text = SM_BUF_INIT(SM_IPC_BODY_MAX);

    if (sm_json_dump(body, &text) < 0)
        child_reply_error(ipc, to, -ENOMEM, "answer too large");
    else
        child_reply(ipc, to, sm_buf_span(&text));
    sm_buf_wipe(&text);
}

void child_reply_error(struct sm_ipc *ipc, const struct sm_ipc_msg *to, int err, const char *text)
{
    (void)sm_ipc_reply_error(ipc, to, err, text); /* as in child_reply */
}

struct child_late child_later(struct child *c, unsigned peer, const struct sm_ipc_msg *m)
{
    return (struct child_late){ .peer = peer, .peer_id = child_peer_id(c, peer), .id = m->id, .type = m->type };
}

int child_reply_late(struct child *c, const struct child_late *l, uint16_t extra_flags, struct sm_span body)
{
    if (!l->peer_id || l->peer_id != child_peer_id(c, l->peer))
        return -SM_EPEER;
    return sm_ipc_reply_id(child_peer(c, l->peer), l->type, l->id, extra_flags, body, -1);
}

void child_reply_late_json(struct child *c, const struct child_late *l, const json_t *body)
{
    struct sm_buf text = SM_BUF_INIT(SM_IPC_BODY_MAX);

    if (sm_json_dump(body, &text) < 0)
        child_reply_late_error(c, l, -ENOMEM, "answer too large");
    else
        (void)child_reply_late(c, l, 0, sm_buf_span(&text)); /* the asker may be gone: nobody to tell */
    sm_buf_wipe(&text);
}

void child_reply_late_error(struct child *c, const struct child_late *l, int err, const char *text)
{
    struct sm_ipc_msg m = { .type = l->type, .id = l->id, .fd = -1 };

    if (l->peer_id && l->peer_id == child_peer_id(c, l->peer))
        child_reply_error(child_peer(c, l->peer), &m, err, text);
}

void child_on_drained(struct child *c, unsigned peer, void (*fn)(void *arg), void *arg)
{
    struct peer *p = peer_of(c, peer);

    p->drained = fn;
    p->drained_arg = arg;
}

/* ---- parent ---- */

void child_note(struct child *c, const json_t *body)
{
    int r = child_notify_json(c, WHO_PARENT, C_NOTE, body);

    if (r < 0)
        sm_warn("note to the parent: %s", sm_strerror(r));
}

void child_fatal(struct child *c, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    json_t *j;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    sm_error("%s", text);
    j = json_pack("{ss%}", "text", text, strnlen(text, sizeof text));
    if (j && child_peer(c, WHO_PARENT))
        (void)child_notify_json(c, WHO_PARENT, C_FATAL, j); /* the log has it too */
    json_decref(j);
    sm_loop_stop(c->loop, 1);
}

void child_done(struct child *c)
{
    sm_loop_stop(c->loop, 0);
}

/* A peer broke the protocol: the parent ends it.  This side only lost a channel. */
static void accuse(struct child *c, unsigned who)
{
    json_t *j = json_pack("{ss}", "breach", msg_who_name(who));

    sm_error("%s sent what it may not", msg_who_name(who));
    if (j)
        child_note(c, j);
    json_decref(j);
}

static void on_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct peer *p = arg;
    struct child *c = p->c;

    p->ipc = NULL;
    sm_ipc_free(ipc);
    if (p->who == WHO_PARENT) {
        sm_loop_stop(c->loop, err < 0 ? 1 : 0);
        return;
    }
    if (err == -SM_EPROTO)
        accuse(c, p->who);
    if (c->priv->spec->gone)
        c->priv->spec->gone(c, p->who);
}

static void on_drained(void *arg, struct sm_ipc *ipc)
{
    struct peer *p = arg;

    push_waiting(p->c, p->who);
    if (p->ipc == ipc && p->drained)
        p->drained(p->drained_arg);
}

static void on_message(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct peer *p = arg;
    const struct child_spec *s = p->c->priv->spec;

    for (size_t i = 0; i < s->handlers_n; i++) {
        const struct child_handler *h = &s->handlers[i];
        if (h->type != m->type || !(h->peer & p->who))
            continue;
        h->fn(p->c, p->who, ipc, m);
        return;
    }
    if (m->id)
        child_reply_error(ipc, m, -SM_EUNSUPPORTED, "nobody here answers that");
}

static void attach(struct child *c, struct sm_ipc_msg *m)
{
    json_t *j = NULL;
    struct sm_obj o;
    struct peer *p;
    unsigned who;
    int r;

    if (m->fd < 0 || msg_json(m->body, 1024, &j, NULL) < 0) {
        child_fatal(c, "bad P_ATTACH");
        return;
    }
    o = SM_OBJ(j);
    who = msg_who(sm_obj_str(&o, "peer", 1, 16));
    json_decref(j);
    if (o.err || !who || who == c->row->who || who == WHO_PARENT) {
        child_fatal(c, "P_ATTACH for nobody");
        return;
    }
    p = peer_of(c, who);
    if (p->ipc) {
        struct sm_ipc *old = p->ipc;
        p->ipc = NULL;
        sm_ipc_free(old);
        if (c->priv->spec->gone)
            c->priv->spec->gone(c, who);
    }
    r = sm_ipc_new(c->loop, m->fd,
        &(struct sm_ipc_config){ .may_receive = p->rules, .may_receive_n = p->rules_n, .body_max = SM_IPC_BODY_MAX,
            .queue_max = c->priv->spec->queue_max ? c->priv->spec->queue_max : QUEUE_STANDARD,
            .on_message = on_message, .on_gone = on_gone, .on_drained = on_drained, .arg = p },
        &p->ipc);
    if (r < 0) {
        child_fatal(c, "channel to %s: %s", msg_who_name(who), sm_strerror(r));
        return;
    }
    m->fd = -1;
    p->id = ++c->priv->next_id;
    if (c->priv->spec->attached)
        c->priv->spec->attached(c, who, p->ipc);
    push_waiting(c, who);
}

static void take_config(struct child *c, struct sm_ipc_msg *m)
{
    char why[160];
    json_t *j = NULL;
    struct sm_obj o;

    if (msg_json(m->body, 64 << 10, &j, why) < 0) {
        child_fatal(c, "P_CONFIG: %s", why);
        return;
    }
    o = SM_OBJ(j);
    const char *data = sm_obj_str(&o, "data", 1, 4000);
    if (o.err) {
        json_decref(j);
        child_fatal(c, "P_CONFIG: %s", o.why);
        return;
    }
    json_decref(c->config);
    c->config = j;
    c->data = data;
    if (c->priv->up && c->priv->spec->config)
        c->priv->spec->config(c);
}

static void stop(struct child *c)
{
    if (c->priv->stopping)
        return;
    c->priv->stopping = true;
    if (!c->priv->spec->stop) {
        child_done(c);
        return;
    }
    sm_timer_set(c->priv->end, 5000, 0);
    c->priv->spec->stop(c);
}

static void end_now(void *arg)
{
    struct child *c = arg;

    sm_warn("did not finish in time");
    child_done(c);
}

static void on_parent(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct peer *p = arg;

    switch (m->type) {
    case P_CONFIG:
        take_config(p->c, m);
        return;
    case P_ATTACH:
        attach(p->c, m);
        return;
    case P_STOP:
        stop(p->c);
        return;
    default:
        on_message(arg, ipc, m);
    }
}

/* ---- confinement ---- */

static const char *folder_path(struct child *c, const char *path, char *buf, size_t n)
{
    int k;

    if (path[0] == '/')
        return path;
    k = snprintf(buf, n, "%s/%s", c->data, path);
    return k > 0 && (size_t)k < n ? buf : "/nonexistent";
}

static int confine_folders(struct child *c)
{
    struct plat_path_rule rules[CHILD_FOLDERS_MAX + 6];
    char *paths = calloc(CHILD_FOLDERS_MAX, 4200);
    size_t n = 0;
    int r;

    if (!paths)
        return -ENOMEM;
    for (size_t i = 0; i < CHILD_FOLDERS_MAX && c->row->folders[i].path; i++) {
        rules[n] = c->row->folders[i];
        rules[n].path = folder_path(c, rules[n].path, paths + i * 4200, 4200);
        n++;
    }
    const char *job = json_string_value(json_object_get(json_object_get(c->config, "job"), "path"));
    if (c->row->job_folder && job)
        rules[n++] = (struct plat_path_rule){ .path = job, .write = true };
    const char *shipped = json_string_value(json_object_get(c->config, "rules"));
    if (c->row->rules_folder && shipped && *shipped)
        rules[n++] = (struct plat_path_rule){ .path = shipped, .optional = true };
    rules[n++] = (struct plat_path_rule){ .path = "/dev/urandom", .optional = true };
    rules[n++] = (struct plat_path_rule){ .path = "/etc/localtime", .optional = true };
    rules[n++] = (struct plat_path_rule){ .path = "/usr/share/zoneinfo", .optional = true };
    r = plat_sandbox_landlock(rules, n, &c->confined);
    free(paths);
    return r;
}

void child_user(const struct child_row *row, uid_t *ret_uid, gid_t *ret_gid)
{
    uid_t uid = UID_FIRST + place_of(row->who) - 1;
    gid_t gid = uid;

    *ret_uid = geteuid();
    *ret_gid = getegid();
    if (geteuid() != 0)
        return;
    if (plat_user_lookup(row->user, &uid, &gid) < 0)
        gid = uid = UID_FIRST + place_of(row->who) - 1;
    *ret_uid = uid;
    *ret_gid = gid;
}

static int confine_user(struct child *c)
{
    uid_t uid;
    gid_t gid;

    child_user(c->row, &uid, &gid);
    return plat_sandbox_user(uid, gid, NULL, 0, c->row->caps, c->row->caps_n, &c->confined);
}

static int confine_first(struct child *c, pid_t parent)
{
    struct sm_obj o = SM_OBJ(c->config);
    const char *clock = sm_obj_str_opt(&o, "test_clock", 4000);
    int r = 0;

    if (clock && *clock)
        r = plat_clock_override_file(clock);
    if (r >= 0)
        r = plat_sandbox_hygiene(c->row->nofile ? c->row->nofile : 256, parent, &c->confined);
    if (r >= 0)
        r = confine_folders(c);
    if (r >= 0)
        r = confine_user(c);
    return r;
}

static int say_ready(struct child *c)
{
    const struct plat_confined *k = &c->confined;
    json_t *j = json_pack("{s{sbsbsbsbss}}", "confined", "uid", k->uid, "seccomp", k->seccomp, "landlock",
        k->landlock, "nnp", k->nnp, "missing", k->missing);
    int r = j ? child_notify_json(c, WHO_PARENT, C_READY, j) : -ENOMEM;

    json_decref(j);
    return r;
}

/* ---- life ---- */

static int channels_new(struct child *c)
{
    struct child_private *p = c->priv;

    for (unsigned i = 0; i < WHO_COUNT; i++) {
        p->peers[i].c = c;
        p->peers[i].who = 1u << i;
        p->peers[i].rules_n = msg_rules(c->row->who, 1u << i, p->peers[i].rules);
    }
    int r = sm_loop_timer(c->loop, UINT64_MAX, 0, on_tick, c, &p->tick);
    if (r >= 0)
        r = sm_loop_timer(c->loop, UINT64_MAX, 0, end_now, c, &p->end);
    if (r < 0)
        return r;
    struct peer *parent = &p->peers[0];
    return sm_ipc_new(c->loop, CHANNEL_PARENT,
        &(struct sm_ipc_config){ .may_receive = parent->rules, .may_receive_n = parent->rules_n,
            .body_max = 64 << 10, .queue_max = 1 << 20, .on_message = on_parent, .on_gone = on_gone, .arg = parent },
        &parent->ipc);
}

static int wait_config(struct child *c)
{
    uint64_t until = plat_clock_mono_ms() + CONFIG_WAIT_MS;

    while (!c->config) {
        uint64_t now = plat_clock_mono_ms();
        if (!child_peer(c, WHO_PARENT))
            return -SM_EPEER;
        if (now >= until)
            return -SM_ETIME;
        int r = sm_loop_once(c->loop, (int)(until - now));
        if (r < 0)
            return r;
    }
    return 0;
}

static void take_log_level(struct child *c)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    struct sm_obj o = SM_OBJ(json_object_get(c->config, "settings"));
    const char *level = sm_obj_str_opt(&o, "log_level", 16);
    char name[40];

    snprintf(name, sizeof name, "sakimorid-%s", c->name);
    for (int i = 0; level && i < 4; i++)
        if (!strcmp(level, names[i]))
            sm_log_init(name, (enum sm_level)i);
}

static int begin(struct child *c)
{
    const struct child_spec *spec = c->priv->spec;
    const char *step = "early start";
    int r;

    take_log_level(c);
    r = spec->early ? spec->early(c) : 0;
    if (r >= 0) {
        step = "confinement";
        r = confine_first(c, c->priv->parent);
    }
    if (r >= 0) {
        step = "start";
        r = spec->start ? spec->start(c) : 0;
    }
    if (r >= 0) {
        step = "seccomp";
        r = plat_sandbox_seccomp(c->row->profile, &c->confined);
    }
    if (r >= 0) {
        step = "ready";
        c->priv->up = true;
        r = say_ready(c);
    }
    if (r >= 0 && spec->ready)
        r = spec->ready(c);
    if (r < 0)
        child_fatal(c, "%s: %s", step, sm_strerror(r));
    return r;
}

static void drop_channels(struct child *c)
{
    struct child_private *p = c->priv;

    p->stopping = true;
    for (unsigned i = WHO_COUNT; i-- > 0;) {
        struct sm_ipc *ipc = p->peers[i].ipc;
        p->peers[i].ipc = NULL;
        sm_ipc_free(ipc);
    }
    while (p->waiting) {
        struct waiting *w = p->waiting;
        p->waiting = w->next;
        finish(w, -SM_EPEER, NULL, sm_strerror(SM_EPEER));
    }
    sm_timer_free(p->tick);
    sm_timer_free(p->end);
    p->tick = p->end = NULL;
}

/* What is still to be said (C_FATAL, last answers) goes out before the end; bounded. */
static void flush_channels(struct child *c)
{
    uint64_t until = plat_clock_mono_ms() + 500;

    while (child_peer(c, WHO_PARENT) && sm_ipc_queued(child_peer(c, WHO_PARENT)) &&
        plat_clock_mono_ms() < until)
        if (sm_loop_once(c->loop, 50) < 0)
            return;
}

int child_run(struct child *c, const struct child_spec *spec)
{
    int r;

    c->priv->spec = spec;
    r = channels_new(c);
    if (r >= 0)
        r = wait_config(c);
    if (r < 0)
        sm_error("channel to the parent: %s", sm_strerror(r));
    else
        r = begin(c);
    if (r >= 0)
        r = sm_loop_run(c->loop);
    flush_channels(c);
    drop_channels(c);
    if (spec->end)
        spec->end(c);
    return r;
}

int child_start(const struct child_row *row, pid_t parent)
{
    struct child_private priv = { .parent = parent };
    struct child c = { .row = row, .name = row->name, .priv = &priv };
    char name[40];
    int r;

    snprintf(name, sizeof name, "sakimorid-%s", row->name);
    sm_log_init(name, SM_INFO);
    r = sm_loop_new(&c.loop);
    if (r < 0) {
        sm_error("loop: %s", sm_strerror(r));
        return 1;
    }
    /* Ctrl-C and the service manager speak to the whole group: the parent alone decides when a child ends. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    r = row->entry(&c);
    json_decref(c.config);
    sm_loop_free(c.loop);
    return r < 0 ? 1 : r;
}
