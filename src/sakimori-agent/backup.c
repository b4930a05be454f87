/*
 * The backup part: reads the files of a source, seals them, and has link carry the packs.  No network;
 * CAP_DAC_READ_SEARCH; writes only its own cache.  One run at a time, others wait in line.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/carrier.h"
#include "sakimori-agent/heads.h"
#include "sakimori-agent/helper.h"
#include "sakimori-agent/orders.h"
#include "sakimori-agent/policy.h"
#include "vault/backup/canary.h"

#define TICK_MS 500
#define QUEUE_MAX 16
#define PROBLEMS_MAX 1000
#define PROBLEM_PATH_MAX 1024
#define END_PATIENCE_MS ((uint64_t)30 * 60 * 1000)
#define REOPENS_MAX 100u /* restarts of the box that one run survives */
#define PAUSE_MS 1000
#define SESSION_PATIENCE_MS ((uint64_t)10 * 60 * 1000)
#define PROGRESS_MS 1000
#define PATTERNS_MAX 1024
#define LEND_MS 60000
#define LEND_PATIENCE_MS 20000
#define PACKS_AHEAD 2u /* packs with link and not acknowledged: one is written while the next comes */
#define PACK_ROOM ((size_t)PACK_BYTES_MAX) /* address space; memory is taken as far as packs reach */
_Static_assert(PACKS_AHEAD <= BACKUP_WINDOW_MAX, "places of packs");

struct wanted {
    char source[33], run[33], reason[16];
    bool reindex;
};

/* A pack under way. */
struct pack_way {
    int fd;
    uint8_t *map;
    enum { PACK_NONE, PACK_SENT, PACK_ANSWERED } state;
    bool lost, abandoned;
    int err;
    uint64_t bytes, asked_seq;
    struct sm_buf answer;
    char path[L_PATH_MAX];
};

struct backupd {
    struct agent_config config;
    struct agent_keys keys;
    struct agent_policy policy;
    struct heads heads;
    struct sm_ipc *up, *link;
    pthread_mutex_t lending; /* lend is used by the thread that reads */
    struct sm_ipc *lend;
    bool lends;            /* there is such a part */
    atomic_bool lend_lost; /* waited for in vain: not again before it is back */
    int cache; /* folder of caches */
    json_t *sources;
    struct wanted queue[QUEUE_MAX];
    size_t queue_n;
    bool stop;
    /* the present run */
    bool running;
    struct wanted now;
    char session[33];
    uint64_t number;
    struct cid previous;
    unsigned reopened;
    atomic_bool cancelled;
    uint64_t told_ms, bandwidth, sent_bytes, sent_since_ms;
    struct pack_way *pack[PACKS_AHEAD];
    json_t *problems;
    uint64_t problems_total;
    struct assist assist;
    struct assist_ready ready;
    bool partial; /* something is missing that the walk cannot know of */
};

static void serve(struct backupd *b, int timeout_ms);

/* ---- orders ---- */

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
    struct wanted w = {.reindex = strcmp(o->kind, "reindex") == 0};
    struct sm_obj a = SM_OBJ(o->args);
    snprintf(w.source, sizeof w.source, "%s", sm_obj_str(&a, "source", 32, 32));
    snprintf(w.run, sizeof w.run, "%s", sm_obj_str(&a, "run", 32, 32));
    const char *reason = sm_obj_str_opt(&a, "reason", 15);
    snprintf(
        w.reason, sizeof w.reason, "%s", strcmp(reason ? reason : "schedule", "schedule") == 0 ? "scheduled" : reason);
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
static const struct sm_ipc_rule from_up[] = {{A_ATTACH, 4096, true, "A_ATTACH"}, {A_STOP, 16, false, "A_STOP"}};

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
static void serve(struct backupd *b, int timeout_ms)
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

/* ---- the sink ---- */

/* Ask until there is a link again: it restarts within seconds. */
static int wait_link(struct backupd *b)
{
    uint64_t until = plat_clock_mono_ms() + SESSION_PATIENCE_MS;
    while (!b->link && !b->stop && !atomic_load(&b->cancelled)) {
        if (plat_clock_mono_ms() > until)
            return -SM_EPEER;
        serve(b, 100);
    }
    return b->link ? 0 : -SM_ECANCEL;
}

/* A call that matters: through every link there will be, until the box has answered or patience ends.  A dead channel
 * is noticed by serve alone, so this must not loop on the one it began with. */
static int call_patient(
    struct backupd *b, const char *path, const json_t *body, uint64_t patience_ms, int *ret_status, json_t **ret)
{
    uint64_t until = plat_clock_mono_ms() + patience_ms;
    for (;;) {
        int status = 0, r = wait_link(b);
        if (!r)
            r = carrier_json(b->link, path, body, &status, ret);
        *ret_status = status;
        bool passing = r == -SM_EPEER || r == -SM_ETIME || r == -SM_EAGAIN ||
                       (!r && (status == 502 || status == 503 || status == 429));
        if (!passing || plat_clock_mono_ms() > until || atomic_load(&b->cancelled))
            return r;
        if (ret && !r) {
            json_decref(*ret);
            *ret = NULL;
        }
        serve(b, PAUSE_MS);
    }
}

/* What the box's refusal of a pack or manifest means here. */
static int refusal(int status, const json_t *answer_json)
{
    const char *code = json_string_value(json_object_get(json_object_get(answer_json, "error"), "code"));
    sm_warn("the box refused (%d %s)", status, code ? code : "");
    return status == 507                    ? -ENOSPC
           : status == 401 || status == 403 ? -SM_EDENIED
           : status == 404                  ? -SM_ENOTFOUND
           : status == 413                  ? -SM_ELIMIT
                                            : -SM_EPROTO;
}

struct session_answer { struct session_id id; uint64_t number; struct cid previous; };

static int ask_session(struct backupd *b, struct session_answer *ret)
{
    json_t *o = json_pack("{s:s,s:s,s:s}", "source", b->now.source, "run", b->now.run, "reason",
               strcmp(b->now.reason, "scheduled") == 0 ? "schedule" : b->now.reason),
           *got = NULL;
    struct session_answer a = { 0 };
    int status = 0, r = call_patient(b, "/agent/v1/sessions", o, SESSION_PATIENCE_MS, &status, &got);
    json_decref(o);
    if (!r && status != 200)
        r = refusal(status, got);
    struct sm_obj f = SM_OBJ(got);
    if (!r) {
        sm_obj_hex(&f, "session", a.id.b, 16);
        a.number = (uint64_t)sm_obj_int(&f, "number", 1, INT64_MAX);
        sm_obj_hex(&f, "previous", a.previous.b, 32);
        const char *head = sm_obj_str(&f, "head", 256, 256);
        r = f.err ? f.err : heads_prove(&b->heads, head, b->link);
        if (b->heads.alarm)
            sm_error("%s", b->heads.why);
        r = r == -SM_EMISMATCH ? 0 : r;
    }
    json_decref(got);
    if (!r)
        *ret = a;
    return r;
}

/*
 * A box that was started again takes up an upload from before only when it is asked for it: its answer 404 is no end of
 * the run.  The packs name their session, so it must be the same one, for the same generation.
 */
static bool reopened(struct backupd *b, int status)
{
    struct session_answer a;
    char id[33];
    if (status != 404 || b->reopened++ >= REOPENS_MAX || ask_session(b, &a))
        return false;
    sm_hex(a.id.b, 16, id);
    if (strcmp(id, b->session) != 0 || a.number != b->number || !cid_eq(&a.previous, &b->previous))
        return false;
    sm_info("the box takes up upload %s again", b->session);
    return true;
}

static int sink_have(void *arg, const struct cid *cids, size_t n, uint8_t *bitmap)
{
    struct backupd *b = arg;
    char path[L_PATH_MAX];
    struct sm_buf out = SM_BUF_INIT(1 << 16);
    int status = 0, r;
    snprintf(path, sizeof path, "/agent/v1/sessions/%s/have", b->session);
    do {
        sm_buf_wipe(&out);
        r = wait_link(b);
        if (!r)
            r = carrier_call(b->link, CARRY_POST_RAW, path, SM_SPAN(cids, 32 * n), 0, &status, &out);
    } while (!r && reopened(b, status));
    if (!r && (status != 200 || out.n != (n + 7) / 8))
        r = -SM_EPROTO;
    if (!r)
        memcpy(bitmap, out.p, out.n);
    sm_buf_wipe(&out);
    return r;
}

/* Hold back to the wanted bandwidth, measured from the start of the run. */
static void pace(struct backupd *b)
{
    while (b->bandwidth && !atomic_load(&b->cancelled)) {
        uint64_t due = b->sent_bytes * 1000 / b->bandwidth, passed = plat_clock_mono_ms() - b->sent_since_ms;
        if (passed >= due)
            return;
        serve(b, (int)(due - passed < 250 ? due - passed : 250));
    }
}

static int take_head(struct backupd *b, const json_t *o, uint64_t asked_seq)
{
    const char *head = json_string_value(json_object_get(o, "head"));
    int r = head ? heads_take_late(&b->heads, head, asked_seq) : -SM_EPROTO;
    if (b->heads.alarm)
        sm_error("%s", b->heads.why);
    return r == -SM_EMISMATCH ? 0 : r; /* told, and the data is kept all the same */
}

/* ---- packs under way ---- */

static void pack_free(struct pack_way *p)
{
    if (!p)
        return;
    if (p->map)
        munmap(p->map, PACK_ROOM);
    if (p->fd >= 0)
        close(p->fd); /* memory */
    sm_buf_wipe(&p->answer);
    free(p);
}

/* Shared memory that link may read and not change; used again from pack to pack. */
static int pack_new(struct pack_way **ret)
{
    struct pack_way *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->answer.max = SM_IPC_BODY_MAX;
    p->fd = memfd_create("pack", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (p->fd >= 0 && ftruncate(p->fd, PACK_ROOM) == 0)
        p->map = mmap(NULL, PACK_ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    p->map = p->map == MAP_FAILED ? NULL : p->map;
    if (!p->map || fcntl(p->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0) {
        int e = -errno;
        pack_free(p);
        return e;
    }
    *ret = p;
    return 0;
}

static void on_pack_answer(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct pack_way *p = arg;
    (void)text;
    if (!p->err)
        p->err = err < 0 ? err : sm_buf_put_span(&p->answer, m->body);
    p->lost = err < 0 && !m; /* link went away: the next one sends it again */
    if (m && m->flags & SM_IPC_MORE)
        return;
    p->state = PACK_ANSWERED;
    if (p->abandoned)
        pack_free(p);
}

static int pack_send(struct backupd *b, struct pack_way *p)
{
    for (;;) {
        int r = wait_link(b);
        p->err = 0;
        p->lost = false;
        sm_buf_clear(&p->answer);
        p->state = PACK_SENT;
        p->asked_seq = b->heads.last.seq;
        if (!r)
            r = carrier_pack_begin(b->link, p->path, p->fd, p->bytes, on_pack_answer, p);
        if (!r)
            return 0;
        p->state = PACK_NONE;
        if (r == -SM_EPEER)
            serve(b, 0); /* notices that link itself is gone */
        if (r != -SM_EPEER || atomic_load(&b->cancelled) || b->link)
            return r;
    }
}

static int sink_pack(
    void *arg, unsigned place, const struct cid *id, const struct pack_builder *pack, uint64_t bytes)
{
    struct backupd *b = arg;
    char hex[CID_HEX];
    int r = bytes > PACK_ROOM ? -SM_ELIMIT : b->pack[place] ? 0 : pack_new(&b->pack[place]);
    if (r)
        return r;
    struct pack_way *p = b->pack[place];
    if (pack_copy(pack, 0, p->map, PACK_ROOM) != bytes)
        return -SM_ESTATE;
    cid_hex(id, hex);
    snprintf(p->path, sizeof p->path, "/agent/v1/sessions/%s/packs/%s", b->session, hex);
    p->bytes = bytes;
    r = pack_send(b, p);
    b->sent_bytes += bytes;
    if (!r)
        pace(b);
    return r;
}

/* The answer to a pack is there.  0: the box holds it; -SM_EAGAIN: it is sent again, to a box that was restarted. */
static int pack_result(struct backupd *b, struct pack_way *p)
{
    json_t *o = NULL;
    int status = 0, r = p->err ? p->err : carrier_pack_answer(&p->answer, &status, &o);
    p->state = PACK_NONE;
    if (!r && reopened(b, status)) {
        r = pack_send(b, p);
        r = r ? r : -SM_EAGAIN;
    } else if (!r) {
        r = status == 200 ? take_head(b, o, p->asked_seq) : refusal(status, o);
    }
    json_decref(o);
    return r;
}

static int sink_acked(void *arg, bool wait, unsigned *ret_place)
{
    struct backupd *b = arg;
    serve(b, 0);
    for (int turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < PACKS_AHEAD; i++) {
            struct pack_way *p = b->pack[i];
            if (!p || p->state != PACK_ANSWERED)
                continue;
            int r = p->lost ? pack_send(b, p) : pack_result(b, p);
            if (!r && !p->lost && p->state == PACK_NONE) {
                *ret_place = i;
                return 0;
            }
            if (r && r != -SM_EAGAIN)
                return r;
        }
        if (!wait || turn)
            break;
        int r = b->link ? sm_ipc_await(b->link, BACKUP_ACK_WAIT_MS) : -SM_ETIME;
        if (r && (r != -SM_ETIME || !b->link))
            serve(b, b->link ? 0 : 100); /* notices that link is gone, waits for the next one */
    }
    return -SM_EAGAIN;
}

/* The run is over: what is still with link is let go when it answers, the rest now. */
static void packs_drop(struct backupd *b)
{
    for (unsigned i = 0; i < PACKS_AHEAD; i++) {
        struct pack_way *p = b->pack[i];
        b->pack[i] = NULL;
        if (p && p->state == PACK_SENT)
            p->abandoned = true;
        else
            pack_free(p);
    }
}

static int read_missing(const json_t *o, struct sm_buf *ret, bool *ret_more)
{
    const json_t *list = json_object_get(o, "missing");
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct cid cid;
        const char *hex = json_string_value(json_array_get(list, i));
        int r = hex ? cid_unhex(hex, &cid) : -SM_EPROTO;
        if (!r)
            r = sm_buf_put(ret, cid.b, 32);
        if (r)
            return r;
    }
    *ret_more = json_is_true(json_object_get(o, "more"));
    return -SM_EMISSING;
}

static int sink_manifest(
    void *arg, const struct cid *id, struct sm_span manifest, struct sm_buf *ret_missing, bool *ret_more)
{
    struct backupd *b = arg;
    char path[L_PATH_MAX];
    struct sm_buf body = SM_BUF_INIT(SM_IPC_BODY_MAX);
    json_t *o = NULL;
    int status = 0, r;
    (void)id;
    snprintf(path, sizeof path, "/agent/v1/sessions/%s/manifest", b->session);
    do {
        sm_buf_wipe(&body);
        r = wait_link(b);
        if (!r)
            r = carrier_call(b->link, CARRY_POST_RAW, path, manifest, 0, &status, &body);
    } while (!r && reopened(b, status));
    if (!r && body.n)
        r = sm_json_parse(sm_buf_span(&body), SM_IPC_BODY_MAX, &o, NULL);
    if (!r && status == 200)
        r = take_head(b, o, b->heads.last.seq);
    else if (!r && status == 409 && json_object_get(o, "missing"))
        r = read_missing(o, ret_missing, ret_more);
    else if (!r)
        r = refusal(status, o);
    json_decref(o);
    sm_buf_wipe(&body);
    return r;
}

/* ---- files the rules know nothing of ---- */

/* One try: a descriptor, or why not.  -SM_EPEER and -SM_ETIME: of the channel, which is then gone. */
static int ask_lend(struct backupd *b, const char *path)
{
    struct sm_buf none = SM_BUF_INIT(4096);
    int fd = -1, r = -SM_EPEER;
    pthread_mutex_lock(&b->lending);
    if (b->lend)
        r = sm_ipc_call(b->lend, L_LEND, SM_SPAN_STR(path), LEND_MS, &none, &fd, NULL);
    if (r == -SM_EPEER || r == -SM_ETIME || r == -SM_EPROTO) {
        sm_ipc_free(b->lend);
        b->lend = NULL;
        r = -SM_EPEER;
    }
    pthread_mutex_unlock(&b->lending);
    sm_buf_wipe(&none);
    if (r && fd >= 0)
        close(fd);
    return r ? r : fd >= 0 ? fd : -EACCES;
}

/* What appeared beside the box's folder after this process began has no rule: lend opens it.  It restarts within
 * seconds if it must. */
static int denied(void *arg, const char *path)
{
    struct backupd *b = arg;
    uint64_t until = plat_clock_mono_ms() + LEND_PATIENCE_MS;
    for (;;) {
        int r = ask_lend(b, path);
        if (r != -SM_EPEER || atomic_load(&b->lend_lost) || atomic_load(&b->cancelled))
            return r == -SM_EPEER ? -EACCES : r;
        if (plat_clock_mono_ms() > until)
            atomic_store(&b->lend_lost, true);
        plat_clock_sleep_ms(100);
    }
}

/* ---- watching ---- */

static const char *const phases[] = {"scan", "read", "send", "finish"};

/* Paths are bytes; JSON wants UTF-8. */
static json_t *shown_path(const char *p, size_t n)
{
    struct sm_buf b = SM_BUF_INIT(4 * PROBLEM_PATH_MAX);
    int r = 0;
    if (n > PROBLEM_PATH_MAX)
        n = PROBLEM_PATH_MAX;
    if (sm_utf8_valid(SM_SPAN(p, n)))
        return json_stringn(p, n);
    for (size_t i = 0; i < n && !r; i++)
        r = (unsigned char)p[i] < 0x80 && (unsigned char)p[i] >= 0x20 ? sm_buf_put_u8(&b, (uint8_t)p[i])
                                                                      : sm_buf_put(&b, "\xef\xbf\xbd", 3);
    json_t *s = json_stringn((const char *)b.p, b.n);
    sm_buf_wipe(&b);
    return s;
}

static void tell_progress(struct backupd *b, const struct backup_progress *p)
{
    uint64_t now = plat_clock_mono_ms();
    if (!b->link || now - b->told_ms < PROGRESS_MS)
        return;
    b->told_ms = now;
    char path[L_PATH_MAX];
    json_t *got = NULL,
           *o = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I}", "phase", phases[p->phase <= BACKUP_FINISH ? p->phase : 0],
               "files", (json_int_t)p->files, "files_total", (json_int_t)p->files_total, "bytes", (json_int_t)p->bytes,
               "bytes_total", (json_int_t)p->bytes_total, "sent", (json_int_t)p->sent_bytes);
    if (!o)
        return;
    json_object_set_new(o, "now", shown_path(p->now, strlen(p->now)));
    snprintf(path, sizeof path, "/agent/v1/runs/%s/progress", b->now.run);
    int status = 0;
    if (!carrier_json(b->link, path, o, &status, &got) && json_is_true(json_object_get(got, "cancel")))
        atomic_store(&b->cancelled, true);
    json_decref(o);
    json_decref(got);
}

static void on_progress(void *arg, const struct backup_progress *p)
{
    serve(arg, 0);
    tell_progress(arg, p);
}

static bool is_cancelled(void *arg)
{
    return atomic_load(&((struct backupd *)arg)->cancelled);
}

static void on_problem(void *arg, struct sm_span path, int err, const char *what)
{
    struct backupd *b = arg;
    b->problems_total++;
    if (json_array_size(b->problems) >= PROBLEMS_MAX)
        return;
    json_t *o = json_pack("{s:s,s:s}", "error", sm_strerror(err), "what", what);
    if (o)
        json_object_set_new(o, "path", shown_path((const char *)path.p, path.n));
    json_array_append_new(b->problems, o);
}

static void problem_text(struct backupd *b, const char *path, const char *error, const char *what)
{
    b->problems_total++;
    if (json_array_size(b->problems) < PROBLEMS_MAX)
        json_array_append_new(b->problems, json_pack("{s:s,s:s,s:s}", "path", path, "error", error, "what", what));
}

/* ---- helpers: hooks, and what makes the files of databases ---- */

static void helper_pump(void *arg, int ms)
{
    serve(arg, ms);
}

static void helper_problem(void *arg, const char *path, const char *error, const char *what)
{
    problem_text(arg, path, error, what);
}

static void helper_now(void *arg, const char *text, uint64_t bytes)
{
    const struct backup_progress p = {.phase = BACKUP_SCAN, .bytes = bytes, .now = text};
    ((struct backupd *)arg)->told_ms = 0; /* each step is worth telling */
    tell_progress(arg, &p);
}

static const char *option(const json_t *source, const char *a, const char *key)
{
    const json_t *o = json_object_get(source, "options");
    const char *s = json_string_value(json_object_get(a ? json_object_get(o, a) : o, key));
    return s ? s : "";
}

static uint32_t limit_of(const json_t *o, uint32_t otherwise, uint32_t max)
{
    json_int_t n = json_integer_value(json_object_get(o, "limit_s"));
    return n > 0 && n <= max ? (uint32_t)n : otherwise;
}

static void work_of(const struct backupd *b, const char *kind, const char *name, struct helper_work *w)
{
    memset(w, 0, sizeof *w);
    snprintf(w->kind, sizeof w->kind, "%s", kind);
    snprintf(w->name, sizeof w->name, "%s", name);
    snprintf(w->source, sizeof w->source, "%s", b->now.source);
    snprintf(w->run, sizeof w->run, "%s", b->now.run);
}

/* A hook that stopped something must be followed by the one that starts it again, whatever becomes of this process: its
 * work is kept in a file from before the first until after the second. */
#define PENDING "hook.after"

static void pending_set(struct backupd *b, const struct helper_work *w)
{
    if (plat_replace(b->cache, PENDING, SM_SPAN(w, sizeof *w), 0600))
        sm_warn("the hook after this run could not be noted");
}

static int hook_after(struct backupd *b, const struct helper_work *w)
{
    int r = assist_hook(&b->assist, w);
    if (!b->stop && (r == 0 || r == -SM_EPARTIAL))
        (void)!plat_fs_unlink(b->cache, PENDING); /* run again at the next start, at worst */
    return r;
}

/* One that a crash kept from running. */
static void pending_run(struct backupd *b)
{
    struct sm_buf t = SM_BUF_INIT(4096);
    struct helper_work w;
    if (plat_fs_read_file(b->cache, PENDING, 4096, &t) == 0) {
        if (helper_work_get(sm_buf_span(&t), &w) == 0)
            (void)!hook_after(b, &w); /* the log of the hook's own service tells more */
        else
            (void)!plat_fs_unlink(b->cache, PENDING);
        sm_info("the hook after a run that was cut off was run");
    }
    sm_buf_wipe(&t);
}

/* The hook before a run.  0: go on. */
static int hook_before(struct backupd *b, const json_t *s, struct helper_work *ret_after)
{
    struct helper_work w;
    const json_t *hooks = json_object_get(json_object_get(s, "options"), "hooks");
    const char *before = option(s, "hooks", "before"), *after = option(s, "hooks", "after");
    uint32_t limit = limit_of(hooks, HOOK_LIMIT_S, HOOK_LIMIT_MAX_S);
    work_of(b, "after", after, ret_after);
    ret_after->limit_s = limit;
    if (after[0])
        pending_set(b, ret_after);
    if (!before[0])
        return 0;
    work_of(b, "before", before, &w);
    w.limit_s = limit;
    int r = assist_hook(&b->assist, &w);
    if (r && strcmp(option(s, "hooks", "on_failure"), "partial") == 0) {
        b->partial = true;
        return 0;
    }
    return r;
}

/* Once nothing of the machine is read any more: what was stopped can go on. */
static void hook_end(struct backupd *b, struct helper_work *after, const char *status)
{
    if (!after->name[0])
        return;
    snprintf(after->status, sizeof after->status, "%s", status);
    if (hook_after(b, after))
        b->partial = true;
    after->name[0] = 0;
}

static int prepare_source(struct backupd *b, const json_t *s, const char *kind)
{
    struct helper_work w;
    const char *access = option(s, NULL, "access");
    work_of(b, kind, access[0] ? access : "local", &w);
    w.limit_s = limit_of(json_object_get(s, "options"), 86400, 86400);
    int r = assist_prepare(&b->assist, &w, s, &b->ready);
    if (!r)
        b->partial |= b->ready.partial;
    return r;
}

/* ---- a run ---- */

static const json_t *source_of(const struct backupd *b, const char *id)
{
    for (size_t i = 0; i < json_array_size(b->sources); i++) {
        const json_t *s = json_array_get(b->sources, i);
        const char *have = json_string_value(json_object_get(s, "source"));
        if (have && strcmp(have, id) == 0)
            return s;
    }
    return NULL;
}

static size_t texts(const json_t *list, const char **ret, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list) && n < max; i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && *s)
            ret[n++] = s;
    }
    return n;
}

static int open_session(struct backupd *b, struct backup_config *c)
{
    struct session_answer a;
    int r = ask_session(b, &a);
    if (r)
        return r;
    c->session = a.id;
    c->number = b->number = a.number;
    c->previous = b->previous = a.previous;
    c->head_seq = b->heads.last.seq;
    memcpy(c->head_hash, b->heads.last.hash, 32);
    sm_hex(a.id.b, 16, b->session);
    b->reopened = 0;
    return 0;
}

static const char *end_name(const struct backupd *b, int r, const struct backup_result *res)
{
    if (r == -SM_ECANCEL)
        return "cancelled";
    if (r)
        return "failed";
    return res->status == RUN_COMPLETE && !b->partial ? "complete" : "partial";
}

static json_t *counters_json(const struct backup_counts *n)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "files", (json_int_t)n->files, "dirs",
        (json_int_t)n->dirs, "others", (json_int_t)n->others, "bytes", (json_int_t)n->bytes, "files_new",
        (json_int_t)n->files_new, "files_changed", (json_int_t)n->files_changed, "files_deleted",
        (json_int_t)n->files_deleted, "bytes_read", (json_int_t)n->bytes_read, "bytes_new_plain",
        (json_int_t)n->bytes_new_plain, "bytes_new_stored", (json_int_t)n->bytes_new_stored, "sent",
        (json_int_t)n->sent_bytes, "unreadable", (json_int_t)n->unreadable, "changed_while_read",
        (json_int_t)n->changed_while_read);
}

static void tell_end(struct backupd *b, int r, const struct backup_result *res)
{
    char path[L_PATH_MAX], hex[CID_HEX];
    if (b->heads.alarm)
        json_array_append_new(
            b->problems, json_pack("{s:s,s:s,s:s}", "path", "", "error", b->heads.why, "what", "head"));
    if (r && r != -SM_ECANCEL) /* a run never fails without a reason that a person can read */
        on_problem(b, SM_SPAN_STR(""), r, r == -ENOSPC ? "the box's disk is full" : r == -SM_ELIMIT ?
            "over a limit: if the box refused, this machine's quota there is full" : "the run");
    json_t *o = json_pack("{s:s,s:O,s:I,s:o}", "status", end_name(b, r, res), "problems", b->problems, "problems_total",
        (json_int_t)b->problems_total, "counters", counters_json(&res->counts));
    if (o && !r) {
        cid_hex(&res->manifest, hex);
        json_object_set_new(o, "manifest", json_string(hex));
    }
    if (o && r && r != -SM_ECANCEL)
        json_object_set_new(o, "error", json_string(sm_strerror(r)));
    snprintf(path, sizeof path, "/agent/v1/runs/%s/end", b->now.run);
    int status = 0;
    atomic_store(&b->cancelled, false);
    if (o && call_patient(b, path, o, b->stop ? 0 : END_PATIENCE_MS, &status, NULL))
        sm_warn("the end of run %s could not be told", b->now.run);
    json_decref(o);
}

struct run_lists {
    const char *roots[SCAN_ROOTS_MAX], *include[PATTERNS_MAX], *exclude[PATTERNS_MAX], *canaries[BACKUP_CANARIES_MAX];
    struct scan_rules *rules;
    const char *shown[SCAN_ROOTS_MAX];
    struct canary decoys[BACKUP_CANARIES_MAX];
};

/* Decoys that were laid for this source (DATA/decoys, of the decoy part). */
static size_t load_canaries(struct backupd *b, struct run_lists *l, const struct source_id *source)
{
    char path[AGENT_PATH_MAX + 64];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/decoys", b->config.data);
    int folder = plat_fs_open_dir(AT_FDCWD, path);
    if (folder < 0 || canary_list_load(folder, source, l->decoys, BACKUP_CANARIES_MAX, &n))
        n = 0; /* none were laid, or the list cannot be read: as if none were */
    if (folder >= 0)
        close(folder);
    for (size_t i = 0; i < n; i++)
        l->canaries[i] = l->decoys[i].path;
    return n;
}

static int fill_roots(struct backupd *b, const json_t *s, struct run_lists *l, struct backup_config *c)
{
    c->scan.roots = l->roots;
    if (b->ready.folder[0]) { /* made for this run: stands for what it was made of */
        l->roots[0] = b->ready.folder;
        l->shown[0] = b->ready.root;
        c->scan.shown = l->shown;
        c->scan.roots_n = 1;
        return 0;
    }
    c->scan.roots_n = texts(json_object_get(s, "paths"), l->roots, SCAN_ROOTS_MAX);
    for (size_t i = 0; i < c->scan.roots_n; i++) {
        if (!policy_may_read(&b->policy, l->roots[i])) {
            on_problem(b, SM_SPAN_STR(l->roots[i]), -SM_EDENIED, "this machine's policy");
            return -SM_EDENIED;
        }
    }
    return 0;
}

static int fill(struct backupd *b, const json_t *s, struct run_lists *l, struct backup_config *c)
{
    const char *bad = NULL;
    int r = fill_roots(b, s, l, c);
    if (r)
        return r;
    size_t inc = texts(json_object_get(s, "include"), l->include, PATTERNS_MAX / 2);
    size_t exc = texts(json_object_get(s, "exclude"), l->exclude, PATTERNS_MAX / 2);
    r = scan_rules_new(l->include, inc, l->exclude, exc, &l->rules, &bad);
    if (r && bad)
        on_problem(b, SM_SPAN_STR(bad), r, "pattern");
    c->scan.rules = l->rules;
    c->scan.one_file_system = json_is_true(json_object_get(s, "one_file_system"));
    c->scan.skip = b->policy.skip;
    c->scan.skip_n = b->policy.skip_n;
    c->scan.tmp_dir = -1;
    c->canaries = l->canaries;
    c->canaries_n = load_canaries(b, l, &c->source);
    b->bandwidth = (uint64_t)json_integer_value(json_object_get(s, "bandwidth_kib_s")) * 1024;
    return r;
}

static uint8_t run_kind(const char *reason)
{
    return strcmp(reason, "adhoc") == 0 ? RUN_ADHOC : strcmp(reason, "made-up") == 0 ? RUN_MADE_UP : RUN_SCHEDULED;
}

static int read_source(struct backupd *b, const json_t *s, struct backup_result *res)
{
    struct run_lists *l = calloc(1, sizeof *l);
    struct backup_config c = {
        .vault = b->config.vault,
        .client = b->config.client,
        .run = run_kind(b->now.reason),
        .k_id = b->keys.k_id,
        .k_look = b->keys.k_look,
        .device = &b->keys.device,
        .recipients = sm_buf_span(&b->config.recipients),
        .state_dir = b->cache,
        .forget = b->now.reindex,
        .denied = b->lends ? denied : NULL,
        .denied_arg = b,
        .partial = b->partial,
    };
    const struct backup_sink sink = {.have = sink_have,
        .put_pack = sink_pack,
        .acked = sink_acked,
        .window = PACKS_AHEAD,
        .put_manifest = sink_manifest,
        .arg = b};
    const struct backup_watch watch = {
        .progress = on_progress, .cancelled = is_cancelled, .problem = on_problem, .arg = b};
    int r = l ? 0 : -ENOMEM;
    if (!r)
        r = sm_unhex(b->now.source, 32, c.source.b, 16);
    if (!r)
        r = sm_unhex(b->now.run, 32, c.run_id.b, 16);
    if (!r)
        r = fill(b, s, l, &c);
    if (!r)
        r = open_session(b, &c);
    b->sent_since_ms = plat_clock_mono_ms();
    b->sent_bytes = 0;
    if (!r)
        r = backup_run(&c, &sink, &watch, res);
    packs_drop(b);
    if (l)
        scan_rules_free(l->rules);
    free(l);
    return r;
}

static int run_once(struct backupd *b, struct backup_result *res)
{
    struct helper_work after = {.name = ""};
    sm_cleanup(sm_json_free) json_t *s = json_deep_copy(source_of(b, b->now.source)); /* new settings may come meanwhile */
    const char *kind = json_string_value(json_object_get(s, "kind"));
    if (!s)
        return -SM_ENOTFOUND;
    bool staged = kind && strcmp(kind, "files") != 0;
    int r = hook_before(b, s, &after);
    if (!r && staged)
        r = prepare_source(b, s, kind);
    if (!r && staged)
        hook_end(b, &after, b->partial ? "partial" : "complete");
    if (!r)
        r = read_source(b, s, res);
    assist_end(&b->assist);
    hook_end(b, &after, end_name(b, r, res));
    return r;
}

static void save_status(struct backupd *b, int r, const struct backup_result *res)
{
    struct sm_buf t = SM_BUF_INIT(65536);
    char at[SM_TIME_TEXT];
    sm_time_rfc3339(plat_clock_wall(), at);
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:I,s:s,s:o}", "at", at, "run", b->now.run, "source", b->now.source,
        "status", end_name(b, r, res), "problems", (json_int_t)b->problems_total, "alarm",
        b->heads.alarm ? b->heads.why : "", "counters", counters_json(&res->counts));
    if (o && !sm_json_dump(o, &t))
        (void)plat_replace(b->cache, "status.json", sm_buf_span(&t), 0644); /* only for `status` */
    json_decref(o);
    sm_buf_wipe(&t);
}

static void run(struct backupd *b)
{
    struct backup_result res = {0};
    b->now = b->queue[0];
    memmove(&b->queue[0], &b->queue[1], --b->queue_n * sizeof b->queue[0]);
    b->running = true;
    atomic_store(&b->cancelled, b->stop);
    b->problems = json_array();
    b->problems_total = 0;
    b->partial = false;
    memset(&b->ready, 0, sizeof b->ready);
    /* The settings with a new source may be a poll behind its first order. */
    for (uint64_t until = plat_clock_mono_ms() + 30000;
         !source_of(b, b->now.source) && plat_clock_mono_ms() < until && !b->stop;)
        serve(b, 200);
    int r = run_once(b, &res);
    if (r)
        sm_warn("run %s: %s", b->now.run, sm_strerror(r));
    if (heads_save(&b->heads))
        sm_warn("the box's last head could not be kept");
    tell_end(b, r, &res);
    save_status(b, r, &res);
    json_decref(b->problems);
    b->problems = NULL;
    b->running = false;
    (void)malloc_trim(0); /* between runs the machine is its user's */
}

/* ---- life ---- */

static int confine(struct backupd *b, const char *skip, struct plat_confined *c)
{
    static char cache[AGENT_PATH_MAX + 16];
    static const int caps[] = {CAP_DAC_READ_SEARCH};
    snprintf(cache, sizeof cache, "%s/cache", b->config.data);
    const struct plat_path_rule paths[] = {{cache, true, false}, {skip ? b->config.data : "/", false, false}};
    const struct part_rules rules = {.profile = "agent-backup",
        .user = "_sakimori-backup",
        .uid = 64321,
        .caps = caps,
        .caps_n = 1,
        .paths = paths,
        .paths_n = 2,
        .landlock = true,
        .out = skip,
        .nofile = 1024};
    plat_proc_background();
    return part_confine(&rules, c);
}

static int backup_start(struct backupd *b, const char *data, const char *skip, char *why)
{
    char path[AGENT_PATH_MAX + 32];
    struct plat_confined c = {0};
    struct sm_buf t = SM_BUF_INIT(1024);
    int r = agent_config_load(data, &b->config, why);
    if (!r)
        r = policy_load(data, skip, &b->policy, why);
    if (!r)
        r = confine(b, skip, &c);
    if (!r)
        r = agent_keys_load(data, &b->keys, why);
    snprintf(path, sizeof path, "%s/cache", data);
    if (!r) {
        b->cache = plat_fs_open_dir(AT_FDCWD, path);
        r = b->cache < 0 ? b->cache : 0;
    }
    b->assist = (struct assist){.pump = helper_pump, .stopped = is_cancelled, .problem = helper_problem,
        .now = helper_now, .arg = b};
    snprintf(path, sizeof path, "%s/cache/head", data);
    if (!r)
        r = heads_open(&b->heads, path, b->config.head_pub, &b->config.vault);
    const struct sm_ipc_config up = {.may_receive = from_up, .may_receive_n = 2, .body_max = 65536, .queue_max = 65536};
    if (!r)
        r = sm_ipc_new(NULL, 3, &up, &b->up);
    b->assist.up = b->up;
    if (!r)
        r = plat_confined_put(&c, &t);
    if (!r)
        r = sm_ipc_send(b->up, A_READY, sm_buf_span(&t), -1);
    sm_buf_wipe(&t);
    return r;
}

int backup_main(const char *data, const char *skip)
{
    struct backupd *b = calloc(1, sizeof *b);
    char why[160] = "";
    (void)mallopt(M_ARENA_MAX, 1); /* one heap for all threads: memory counts more here than a little waiting */
    if (b) {
        pthread_mutex_init(&b->lending, NULL);
        b->lends = skip != NULL;
    }
    int r = b ? backup_start(b, data, skip, why) : -ENOMEM;
    if (r)
        sm_error("%s", why[0] ? why : sm_strerror(r));
    if (!r)
        pending_run(b);
    while (!r && !b->stop) {
        if (b->queue_n && b->link)
            run(b);
        else
            serve(b, TICK_MS);
    }
    if (b) {
        assist_end(&b->assist);
        sm_ipc_free(b->link);
        sm_ipc_free(b->lend);
        sm_ipc_free(b->up);
        json_decref(b->sources);
        agent_keys_wipe(&b->keys);
        agent_config_wipe(&b->config);
    }
    free(b);
    return r ? 1 : 0;
}
