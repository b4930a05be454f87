/*
 * link: the agent's only socket.  It polls the box for orders, hands each to the part it is for, and carries the
 * requests of the parts.  It never looks into what it carries, and may carry it only below /agent/v1/.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/agent.h"
#include "sakimori-agent/alive.h"
#include "sakimori-agent/http.h"
#include "sakimori-agent/orders.h"
#include "sakimori-agent/renew.h"

#define PREFIX "/agent/v1/"
#define POLL_WAIT_S 25
#define BACKOFF_MAX_MS 30000u
#define CARRY_MAX 32 /* requests under way for the parts */
#define PACK_PATIENCE_MS ((uint64_t)30 * 60 * 1000)
#define ORDERS_SEEN_MAX 64
#define QUEUE_MAX ((size_t)4 << 20)
#define GATHER ((size_t)256 << 10) /* of a stream, in one frame: its pieces are as small as records of TLS */
#define DRAIN_MS 5
#define ANOTHER_MS 30000 /* a part that died is there again before that, or something is badly wrong */
#define RUNS_MAX 32 /* accepted and not ended */
#define LOGS_STATE_MAX ((size_t)32 << 10) /* it goes into the poll */
#define POLL_BODY_MAX ((size_t)128 << 10)
#define JUDGE_MS 10000 /* and so long for what judge and sensor say: without it the box would take the machine for one that is not watched */
#define BORN_MS 3000 /* the first poll waits so long for the backup part: an order before it would count as sent */

enum { PART_BACKUP, PART_RESTORE, PART_LOGS, PART_JUDGE, PART_ACTOR, PART_SCAN, PARTS };

struct link {
    struct agent_config config;
    struct part_life self;
    struct http *http;
    struct sm_ipc *part[PARTS];
    struct sm_timer *poll_timer, *drain;
    struct http_call *poll;
    unsigned backoff_ms;
    uint64_t began_ms;
    size_t carrying;
    json_t *confined, *sources;
    json_t *local; /* {"features","os"?,"endpoint"} of A_LOCAL */
    json_t *endpoint;          /* of judge, for the poll; gone with it */
    json_t *logs, *logs_state; /* what the box wants of this machine's logs; how they are, for the poll */
    char boot_id[PLAT_BOOT_ID_TEXT], life[40];
    json_t *waiting_restore; /* poll row, until its process is attached */
    char restore[65];        /* the restore under way, until its end was told */
    char runs[RUNS_MAX][33]; /* the backups accepted, until their end was told */
    size_t runs_n;
    bool whole;              /* runs is all that the backup part has: it began under this link */
    struct sm_timer *died;   /* running: those of runs belong to a backup part that is gone */
    struct carry *carries;
    struct alive alive;
    struct http_call *renewing;
    uint64_t renew_ms;       /* when to look at the certificate again */
    char cert[AGENT_PATH_MAX + 48];
};

/* One carried request. */
struct carry {
    struct carry *next;
    struct link *l;
    int part;
    uint64_t part_gen; /* the channel it came from */
    uint16_t type;
    uint64_t id;
    struct http_call *call;
    bool started, paused;
    struct sm_buf gather; /* of a stream: not yet handed on */
    /* a pack */
    char path[L_PATH_MAX];
    int fd; /* -1: none */
    size_t length, offset;
    uint64_t bytes_s;
    uint64_t until_ms;
    unsigned backoff_ms;
    struct sm_timer *again;
    bool asking; /* the call under way asks how much the box holds */
    char header[2][64];
};

/* Counts the channels of each part, so that an answer never goes to a later process. */
static uint64_t part_gen[PARTS];

static void poll_soon(struct link *l, unsigned ms)
{
    sm_timer_set(l->poll_timer, ms, 0);
}

static unsigned back_off(unsigned *ms)
{
    unsigned now = *ms ? *ms : 1000;
    *ms = now * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : now * 2;
    return now;
}

/* ---- carrying ---- */

static struct sm_ipc *carry_ipc(struct carry *c)
{
    return part_gen[c->part] == c->part_gen ? c->l->part[c->part] : NULL;
}

static void carry_end(struct carry *c)
{
    for (struct carry **at = &c->l->carries; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            break;
        }
    }
    if (c->fd >= 0)
        close(c->fd); /* memory of the backup part, only read */
    sm_timer_free(c->again);
    sm_buf_wipe(&c->gather);
    c->l->carrying--;
    free(c);
}

/* status and body in as many frames as needed. */
static void carry_answer(struct carry *c, int status, struct sm_span body)
{
    struct sm_ipc *ipc = carry_ipc(c);
    struct sm_buf b = SM_BUF_INIT(SM_IPC_BODY_MAX);
    size_t at = 0;
    int r = 0;
    while (ipc && !r) {
        size_t n = body.n - at < L_CALL_BODY ? body.n - at : L_CALL_BODY;
        sm_buf_clear(&b);
        if (at == 0)
            r = sm_buf_put_u16(&b, (uint16_t)status);
        if (!r)
            r = sm_buf_put(&b, body.p + at, n);
        at += n;
        if (!r)
            r = sm_ipc_reply_id(ipc, c->type, c->id, at < body.n ? SM_IPC_MORE : 0, sm_buf_span(&b), -1);
        if (at >= body.n)
            break;
    }
    if (r)
        sm_warn("an answer could not be handed on: %s", sm_strerror(r));
    sm_buf_wipe(&b);
}

static void carry_error(struct carry *c, int err)
{
    struct sm_ipc *ipc = carry_ipc(c);
    const struct sm_ipc_msg to = {.type = c->type, .id = c->id, .fd = -1};
    if (ipc)
        (void)sm_ipc_reply_error(ipc, &to, err, sm_strerror(err)); /* the part is going away itself then */
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

/* The box knows how this run or restore went. */
static void work_ended(struct carry *c)
{
    struct link *l = c->l;
    if (c->part == PART_RESTORE) {
        l->restore[0] = 0;
        return;
    }
    for (size_t i = 0; i < l->runs_n; i++) {
        if (strstr(c->path, l->runs[i])) {
            memmove(l->runs[i], l->runs[i + 1], (--l->runs_n - i) * sizeof l->runs[0]);
            return;
        }
    }
}

static int gather_send(struct carry *c, struct sm_ipc *ipc)
{
    int r = sm_ipc_reply_id(ipc, c->type, c->id, SM_IPC_MORE, sm_buf_span(&c->gather), -1);
    sm_buf_clear(&c->gather);
    return r;
}

static void call_done(void *arg, int status, struct sm_span body)
{
    struct carry *c = arg;
    struct sm_ipc *ipc = carry_ipc(c);
    if (status >= 0 && ipc && c->gather.n && gather_send(c, ipc))
        status = -SM_EPEER;
    if (status == 200 && ends_with(c->path, "/end"))
        work_ended(c);
    if (status < 0)
        carry_error(c, status);
    else if (c->started)
        carry_answer(c, status, SM_SPAN(NULL, 0)); /* the end of a stream: an empty last frame with the status */
    else
        carry_answer(c, status, body);
    carry_end(c);
}

/* Pieces of a streamed answer: every frame but the last begins with status 200. */
static int call_data(void *arg, struct sm_span piece)
{
    struct carry *c = arg;
    struct sm_ipc *ipc = carry_ipc(c);
    if (!ipc)
        return -SM_EPEER;
    if (sm_ipc_queued(ipc) > QUEUE_MAX) {
        c->paused = true;
        sm_timer_set(c->l->drain, DRAIN_MS, 0);
        return -SM_EAGAIN;
    }
    int r = c->started ? 0 : sm_buf_put_u16(&c->gather, 200);
    c->started = true;
    if (!r && piece.n > SM_IPC_BODY_MAX - c->gather.n)
        r = gather_send(c, ipc);
    if (!r)
        r = sm_buf_put_span(&c->gather, piece);
    return r || c->gather.n < GATHER ? r : gather_send(c, ipc);
}

/* Streams that had to wait for their part go on once it has taken most of what was queued for it. */
static void on_drain(void *arg)
{
    struct link *l = arg;
    bool wait = false;
    for (struct carry *c = l->carries, *next; c; c = next) {
        struct sm_ipc *ipc = carry_ipc(c);
        next = c->next;
        if (!c->paused || !c->call || !ipc)
            continue;
        c->paused = sm_ipc_queued(ipc) > QUEUE_MAX / 2;
        wait |= c->paused;
        if (!c->paused)
            http_go_on(c->call);
    }
    if (wait)
        sm_timer_set(l->drain, DRAIN_MS, 0);
}

static bool path_ok(struct sm_span p)
{
    if (p.n < sizeof PREFIX || p.n >= L_PATH_MAX || memcmp(p.p, PREFIX, sizeof PREFIX - 1) != 0)
        return false;
    for (size_t i = 0; i < p.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789/_-", p.p[i]))
            return false;
    return true;
}

/* A batch of a log: the one call with a query, and the only one of the part that reads logs. */
static bool events_path_ok(struct sm_span p)
{
    static const char head[] = PREFIX "events?";
    if (p.n < sizeof head || p.n >= L_PATH_MAX || memcmp(p.p, head, sizeof head - 1) != 0)
        return false;
    for (size_t i = sizeof head - 1; i < p.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_-=&", p.p[i]))
            return false;
    return true;
}

static struct carry *carry_new(struct link *l, int part, const struct sm_ipc_msg *m)
{
    struct carry *c = l->carrying < CARRY_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return NULL;
    c->l = l;
    c->part = part;
    c->part_gen = part_gen[part];
    c->type = m->type;
    c->id = m->id;
    c->fd = -1;
    c->gather.max = SM_IPC_BODY_MAX;
    c->next = l->carries;
    l->carries = c;
    l->carrying++;
    return c;
}

/* What each part may ask the box for (u8 method: L_CALL). */
static bool may_all(unsigned method, struct sm_span path)
{
    return method <= 3 && path_ok(path);
}

/* The parts that send events. */
static bool may_events(unsigned method, struct sm_span path)
{
    return method == 2 && events_path_ok(path);
}

static bool path_is(struct sm_span path, const char *text)
{
    return path.n == strlen(text) && memcmp(path.p, text, path.n) == 0;
}

static bool may_judge(unsigned method, struct sm_span path)
{
    return may_events(method, path) || (method == 1 && path_is(path, PREFIX "findings"));
}

/* How an order that takes its time went on, and findings. */
static bool may_acts(unsigned method, struct sm_span path)
{
    static const char head[] = PREFIX "orders/";
    bool order = path.n > sizeof head && memcmp(path.p, head, sizeof head - 1) == 0;
    return method == 1 && path_ok(path) && (order || path_is(path, PREFIX "findings") || path_is(path, PREFIX "quarantine"));
}

/* And the pieces of an evidence pack. */
static bool may_actor(unsigned method, struct sm_span path)
{
    static const char head[] = PREFIX "evidence/";
    bool evidence = path.n > sizeof head && memcmp(path.p, head, sizeof head - 1) == 0;
    return may_acts(method, path) || (evidence && (method == 1 || method == 2) && path_ok(path));
}

static bool part_may(int part, unsigned method, struct sm_span path);

static int start_call(struct carry *c, struct sm_rd *rd)
{
    unsigned method = sm_rd_u8(rd);
    struct sm_span path = sm_rd_bytes(rd, sm_rd_u16(rd));
    if (rd->err || !part_may(c->part, method, path))
        return -SM_EPROTO;
    memcpy(c->path, path.p, path.n);
    struct http_request r = {
        .method = method ? "POST" : "GET",
        .path = c->path,
        .body = SM_SPAN(rd->p, rd->n),
        .copy_body = true,
        .done = call_done,
        .arg = c,
    };
    r.headers[0] = method == 1 ? "Content-Type: application/json" : "Content-Type: application/octet-stream";
    if (method == 3)
        r.data = call_data;
    else
        r.timeout_s = 300;
    return http_start(c->l->http, &r, &c->call);
}

/* ---- packs: sent until the box holds them, going on where a cut left off ---- */

static void pack_send(struct carry *c);
static void pack_ask(struct carry *c);

static void pack_again(void *arg)
{
    pack_ask(arg);
}

static void pack_later(struct carry *c, int err)
{
    if (plat_clock_mono_ms() > c->until_ms || !carry_ipc(c)) {
        carry_error(c, err);
        carry_end(c);
        return;
    }
    sm_timer_set(c->again, back_off(&c->backoff_ms), 0);
}

static void pack_done(void *arg, int status, struct sm_span body)
{
    struct carry *c = arg;
    c->call = NULL;
    bool asked = c->asking;
    c->asking = false;
    if (status < 0 || status == 503 || status == 502 || status == 500 || status == 429) {
        pack_later(c, status < 0 ? status : -SM_EPEER);
        return;
    }
    if (!asked && status != 409) {
        carry_answer(c, status, body);
        carry_end(c);
        return;
    }
    json_t *o = NULL;
    struct sm_obj f = SM_OBJ(NULL);
    int r = sm_json_parse(body, 1 << 16, &o, NULL);
    f.o = o;
    int64_t have = r ? -1 : sm_obj_int(&f, "have", 0, (int64_t)c->length);
    bool bad = r || f.err || (asked && status != 200);
    json_decref(o);
    if (bad) {
        carry_answer(c, status == 200 ? 502 : status, body);
        carry_end(c);
        return;
    }
    if ((size_t)have > c->offset)
        c->until_ms = plat_clock_mono_ms() + PACK_PATIENCE_MS; /* it goes forward */
    c->offset = (size_t)have < c->length ? (size_t)have : 0;
    c->backoff_ms = 0;
    pack_send(c);
}

static void pack_call(struct carry *c, const struct http_request *r)
{
    int e = http_start(c->l->http, r, &c->call);
    if (e)
        pack_later(c, e);
}

static void pack_ask(struct carry *c)
{
    const struct http_request r = {.method = "GET", .path = c->path, .timeout_s = 60, .done = pack_done, .arg = c};
    c->asking = true;
    pack_call(c, &r);
}

static void pack_send(struct carry *c)
{
    snprintf(c->header[0], sizeof c->header[0], "X-Sakimori-Offset: %zu", c->offset);
    snprintf(c->header[1], sizeof c->header[1], "X-Sakimori-Length: %zu", c->length);
    const struct http_request r = {
        .method = "PUT",
        .path = c->path,
        .body = SM_SPAN(NULL, c->length - c->offset),
        .from_fd = true,
        .body_fd = c->fd,
        .body_at = c->offset,
        .bytes_s = c->bytes_s,
        .done = pack_done,
        .arg = c,
        .headers = {"Content-Type: application/octet-stream", c->header[0], c->header[1]},
    };
    pack_call(c, &r);
}

static int start_pack(struct carry *c, struct sm_ipc_msg *m)
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    char why[160];
    int r = m->fd < 0 ? -SM_EPROTO : sm_json_parse(m->body, 4096, &o, why);
    if (r)
        return r;
    struct sm_obj f = SM_OBJ(o);
    const char *path = sm_obj_str(&f, "path", 1, L_PATH_MAX - 1);
    c->length = (size_t)sm_obj_int(&f, "length", 1, (int64_t)64 << 20);
    c->bytes_s = (uint64_t)sm_obj_int_opt(&f, "bytes_s", 0, INT64_MAX, 0);
    uint64_t size = 0;
    r = f.err ? f.err : path_ok(SM_SPAN_STR(path)) ? plat_fs_size(m->fd, &size) : -SM_EPROTO;
    if (!r && size < c->length)
        r = -SM_EPROTO;
    if (!r) {
        snprintf(c->path, sizeof c->path, "%s", path);
        c->fd = m->fd;
        m->fd = -1;
        r = sm_loop_timer(c->l->self.loop, (uint64_t)86400000, 0, pack_again, c, &c->again);
    }
    if (!r) {
        c->until_ms = plat_clock_mono_ms() + PACK_PATIENCE_MS;
        pack_send(c);
    }
    return r;
}

static void on_logs_state(struct link *l, struct sm_span body)
{
    json_t *o = NULL;
    if (sm_json_parse(body, LOGS_STATE_MAX, &o, NULL))
        return;
    json_decref(l->logs_state);
    l->logs_state = json_incref(json_object_get(o, "logs"));
    json_decref(o);
}

static void on_endpoint(struct link *l, struct sm_span body)
{
    json_t *o = NULL;
    if (sm_json_parse(body, L_ENDPOINT_MAX, &o, NULL))
        return;
    json_decref(l->endpoint);
    l->endpoint = o;
}

/* Only letters of names, addresses and ports: it goes to the library as it is. */
static void on_pinned(struct link *l, struct sm_span body)
{
    char text[901];
    if (body.n >= sizeof text)
        return;
    memcpy(text, body.p, body.n);
    text[body.n] = 0;
    if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:,[]_-") == body.n && text[0] != '-')
        http_pin(l->http, text);
}

static void on_part(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct link *l = arg;
    int part = 0;
    while (part < PARTS - 1 && ipc != l->part[part])
        part++;
    if (m->type == L_LOGS_STATE) {
        on_logs_state(l, m->body);
        return;
    }
    if (m->type == L_PINNED) {
        on_pinned(l, m->body);
        return;
    }
    if (m->type == L_ENDPOINT) {
        on_endpoint(l, m->body);
        return;
    }
    struct carry *c = carry_new(l, part, m);
    struct sm_rd rd = SM_RD(m->body);
    int r = !c ? -SM_EAGAIN : m->type == L_CALL ? start_call(c, &rd) : start_pack(c, m);
    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
    if (!r)
        return;
    (void)sm_ipc_reply_error(ipc, m, r, sm_strerror(r));
    if (c)
        carry_end(c);
}

static void told_end(void *arg, int status, struct sm_span body)
{
    (void)arg;
    (void)body;
    if (status != 200)
        sm_warn("the box did not take the end of a run or restore (%d)", status);
}

/* A part died before it could say how its work went: say it for it.  The box then orders the same work again. */
static void end_for(struct link *l, const char *kind, const char *id)
{
    static const char text[] =
        "{\"status\":\"failed\",\"died\":true,\"error\":\"the process ended unexpectedly\",\"files\":0,\"bytes\":0,"
        "\"counters\":{},\"problems\":[{\"path\":\"\",\"error\":\"the process ended unexpectedly\",\"what\":\"the run\"}],"
        "\"problems_total\":1}";
    char path[128];
    struct http_call *call;
    snprintf(path, sizeof path, PREFIX "%s/%s/end", kind, id);
    const struct http_request r = {.method = "POST",
        .path = path,
        .headers = {"Content-Type: application/json"},
        .body = SM_SPAN(text, sizeof text - 1),
        .timeout_s = 60,
        .done = told_end,
        .arg = l};
    sm_error("the process ended before its work was done (%s %s)", kind, id);
    if (http_start(l->http, &r, &call))
        sm_warn("that could not be told to the box");
}

static void tell_died(void *arg)
{
    struct link *l = arg;
    for (; l->runs_n; l->runs_n--)
        end_for(l, "runs", l->runs[l->runs_n - 1]);
}

static void on_part_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct link *l = arg;
    (void)err;
    bool restore = ipc == l->part[PART_RESTORE], backup = ipc == l->part[PART_BACKUP];
    for (int i = 0; i < PARTS; i++) {
        if (l->part[i] != ipc)
            continue;
        part_gen[i]++;
        l->part[i] = NULL;
        if (i == PART_JUDGE) { /* what it said holds no more */
            json_decref(l->endpoint);
            l->endpoint = NULL;
        }
    }
    for (struct carry *c = l->carries, *next; c; c = next) {
        next = c->next;
        if (carry_ipc(c))
            continue;
        if (c->call)
            http_cancel(c->call);
        carry_end(c);
    }
    sm_ipc_free(ipc);
    if (restore && l->restore[0]) {
        end_for(l, "restores", l->restore);
        l->restore[0] = 0;
    }
    if (backup && l->runs_n) /* told when there is another, for it is asked to go on at once */
        sm_timer_set(l->died, ANOTHER_MS, 0);
}

/* ---- orders ---- */

struct ack {
    struct link *l;
    char id[65], run[33];
};

static void ack_done(void *arg, int status, struct sm_span body)
{
    (void)arg;
    (void)body;
    if (status != 200 && status != 204)
        sm_warn("the box did not take an acknowledgement (%d)", status);
}

static void ack_send(struct link *l, const char *id, const char *state, const char *detail)
{
    char path[128];
    struct sm_buf b = SM_BUF_INIT(4096);
    struct http_call *call;
    json_t *o = json_pack("{s:s,s:s}", "state", state, "detail", detail);
    snprintf(path, sizeof path, PREFIX "orders/%s/ack", id);
    if (!o || !path_ok(SM_SPAN_STR(path)) || sm_json_dump(o, &b)) {
        json_decref(o);
        sm_buf_wipe(&b);
        return;
    }
    const struct http_request r = {.method = "POST",
        .path = path,
        .headers = {"Content-Type: application/json"},
        .body = sm_buf_span(&b),
        .copy_body = true,
        .timeout_s = 60,
        .done = ack_done,
        .arg = l};
    if (http_start(l->http, &r, &call))
        sm_warn("an acknowledgement could not be sent");
    json_decref(o);
    sm_buf_wipe(&b);
}

static void run_add(struct link *l, const char run[33])
{
    for (size_t i = 0; i < l->runs_n; i++)
        if (strcmp(l->runs[i], run) == 0)
            return;
    if (run[0] && l->runs_n < RUNS_MAX)
        memcpy(l->runs[l->runs_n++], run, 33);
    else if (run[0])
        l->whole = false;
}

static void order_answered(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct ack *a = arg;
    json_t *o = NULL;
    if (err && !m) { /* it died with the order in its hands: no answer, it is asked for again */
        run_add(a->l, a->run);
        free(a);
        return;
    }
    if (err || sm_json_parse(m->body, 65536, &o, NULL)) {
        ack_send(a->l, a->id, "refused", text ? text : "the part is not there");
    } else {
        const char *state = json_string_value(json_object_get(o, "state")),
                   *detail = json_string_value(json_object_get(o, "detail"));
        if (state && strcmp(state, "lost") == 0 && a->run[0]) {
            end_for(a->l, "runs", a->run);
            json_decref(o);
            free(a);
            return;
        }
        if (state && strcmp(state, "accepted") == 0)
            run_add(a->l, a->run);
        ack_send(a->l, a->id, state ? state : "refused", detail ? detail : "");
    }
    json_decref(o);
    free(a);
}

/* Only to route it: the part that acts checks everything again. */
static int peek(const json_t *row, char id[65], char kind[33], char run[33])
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    struct sm_buf text = SM_BUF_INIT(ORDER_TEXT_MAX);
    struct sm_obj r = SM_OBJ(row);
    const char *b64 = sm_obj_str(&r, "order", 1, ORDER_MAX);
    int e = r.err ? r.err : sm_unbase64(SM_SPAN_STR(b64), &text);
    if (!e)
        e = sm_json_parse(sm_buf_span(&text), ORDER_TEXT_MAX, &o, NULL);
    struct sm_obj f = SM_OBJ(o);
    if (!e) {
        snprintf(id, 65, "%s", sm_obj_str(&f, "id", 8, 64));
        snprintf(kind, 33, "%s", sm_obj_str(&f, "kind", 1, 32));
        const char *r_id = json_string_value(json_object_get(json_object_get(o, "args"), "run"));
        bool runs = strcmp(kind, "backup") == 0 || strcmp(kind, "reindex") == 0;
        snprintf(run, 33, "%s", runs && r_id && strlen(r_id) == 32 ? r_id : "");
        e = f.err;
    }
    sm_buf_wipe(&text);
    return e;
}

static void remember_restore(struct link *l, const json_t *row)
{
    struct sm_buf text = SM_BUF_INIT(ORDER_TEXT_MAX);
    json_t *o = NULL;
    const char *b64 = json_string_value(json_object_get(row, "order"));
    if (b64 && !sm_unbase64(SM_SPAN_STR(b64), &text) && !sm_json_parse(sm_buf_span(&text), ORDER_TEXT_MAX, &o, NULL)) {
        const char *id = json_string_value(json_object_get(json_object_get(o, "args"), "restore"));
        if (id && strlen(id) < sizeof l->restore && strspn(id, "0123456789abcdef") == strlen(id))
            snprintf(l->restore, sizeof l->restore, "%s", id);
    }
    json_decref(o);
    sm_buf_wipe(&text);
}

static void give(struct link *l, int part, const json_t *row, const char *id, const char *run)
{
    struct ack *a = calloc(1, sizeof *a);
    struct sm_buf b = SM_BUF_INIT(2 * ORDER_MAX);
    int r = a && l->part[part] ? sm_json_dump(row, &b) : -SM_EPEER;
    if (a) {
        a->l = l;
        snprintf(a->id, sizeof a->id, "%s", id);
        snprintf(a->run, sizeof a->run, "%s", run);
    }
    if (!r)
        r = sm_ipc_ask(l->part[part], L_ORDER, sm_buf_span(&b), -1, order_answered, a);
    if (r)
        free(a); /* no acknowledgement: the box offers the order again */
    sm_buf_wipe(&b);
}

/* Whose an order is.  One of a kind that is not known here is backup's to refuse. */
static int part_of(const char *kind)
{
    static const struct {
        const char *kind;
        int part;
    } rows[] = {{"backup", PART_BACKUP}, {"cancel", PART_BACKUP}, {"reindex", PART_BACKUP}, {"restore", PART_RESTORE},
        {"endpoint", PART_JUDGE}, {"act", PART_ACTOR}, {"scan", PART_SCAN}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(kind, rows[i].kind) == 0)
            return rows[i].part;
    return PART_BACKUP;
}

static void on_order(struct link *l, json_t *row, const char *now)
{
    char id[65], kind[33], run[33];
    if (!row || peek(row, id, kind, run)) {
        sm_warn("an order of the box could not be read");
        return;
    }
    json_object_set_new(row, "now", json_string(now));
    int part = part_of(kind);
    if (part != PART_RESTORE) {
        give(l, part, row, id, run);
        return;
    }
    if (l->part[PART_RESTORE])
        return; /* one at a time; the box offers it again */
    /* One that still waits lost its process before it was born whole: the newest order is tried again. */
    json_decref(l->waiting_restore);
    l->waiting_restore = json_incref(row);
    if (sm_ipc_send(l->self.up, A_RESTORE, SM_SPAN(NULL, 0), -1)) {
        json_decref(l->waiting_restore);
        l->waiting_restore = NULL;
    }
}

/* A box of before says nothing of logs: none are read. */
static void give_logs(struct link *l)
{
    struct sm_buf b = SM_BUF_INIT(SM_IPC_BODY_MAX);
    json_t *o = l->logs && l->part[PART_LOGS] ? json_pack("{s:O}", "logs", l->logs) : NULL;
    if (o && !sm_json_dump(o, &b) && sm_ipc_send(l->part[PART_LOGS], L_LOGS, sm_buf_span(&b), -1)) {
        json_decref(l->logs);
        l->logs = NULL; /* the next poll's go */
    }
    json_decref(o);
    sm_buf_wipe(&b);
}

static void on_settings(struct link *l, const json_t *settings)
{
    json_t *logs = json_object_get(settings, "logs");
    if (json_is_array(logs) && !json_equal(logs, l->logs)) {
        json_decref(l->logs);
        l->logs = json_deep_copy(logs);
        give_logs(l);
    }
    json_t *sources = json_object_get(settings, "sources");
    struct sm_buf b = SM_BUF_INIT(SM_IPC_BODY_MAX);
    if (!json_is_array(sources) || json_equal(sources, l->sources))
        return;
    json_decref(l->sources);
    l->sources = json_deep_copy(sources);
    json_t *theirs = json_pack("{s:O}", "sources", sources); /* the logs are not these parts' */
    if (theirs && !sm_json_dump(theirs, &b)) {
        if (l->part[PART_BACKUP])
            (void)sm_ipc_send(
                l->part[PART_BACKUP], L_SETTINGS, sm_buf_span(&b), -1); /* given again when it comes back */
        (void)sm_ipc_send(l->self.up, L_SETTINGS, sm_buf_span(&b), -1);      /* decoys; the same */
    }
    json_decref(theirs);
    sm_buf_wipe(&b);
}

/* ---- the certificate, before it ends ---- */

#define RENEW_LOOK_MS ((uint64_t)86400 * 1000)
#define RENEW_TAKE_MS 2000 /* the supervisor has kept it by then */

static void renew_done(void *arg, int status, struct sm_span body)
{
    struct link *l = arg;
    struct sm_buf pem = SM_BUF_INIT(16384);
    l->renewing = NULL;
    int r = status == 200 ? renew_take(l->config.data, body, &pem) : status < 0 ? status : -SM_EDENIED;
    if (!r)
        r = sm_ipc_send(l->self.up, A_CERT, sm_buf_span(&pem), -1);
    if (!r)
        l->renew_ms = plat_clock_mono_ms() + RENEW_TAKE_MS;
    else
        sm_warn("the certificate of this machine could not be renewed: %s", sm_strerror(r)); /* again tomorrow */
    sm_buf_wipe(&pem);
}

static void renew_look(struct link *l)
{
    char path[sizeof l->cert];
    struct sm_buf b = SM_BUF_INIT(65536);
    int64_t until_s = 0;
    uint64_t now = plat_clock_mono_ms();
    if (now < l->renew_ms || l->renewing)
        return;
    l->renew_ms = now + RENEW_LOOK_MS;
    int r = renew_pick(l->config.data, path, sizeof path, &until_s);
    if (!r && strcmp(path, l->cert) != 0)
        r = http_cert(l->http, path);
    if (!r)
        snprintf(l->cert, sizeof l->cert, "%s", path);
    if (!r && until_s - plat_clock_wall().s < RENEW_BEFORE_S)
        r = renew_request(l->config.data, &b);
    const struct http_request q = {.method = "POST",
        .path = PREFIX "renew",
        .headers = {"Content-Type: application/json"},
        .body = sm_buf_span(&b),
        .copy_body = true,
        .timeout_s = 60,
        .done = renew_done,
        .arg = l};
    if (!r && b.n)
        r = http_start(l->http, &q, &l->renewing);
    if (r)
        sm_warn("the certificate of this machine could not be looked at: %s", sm_strerror(r));
    sm_buf_wipe(&b);
}

/* ---- poll ---- */

static void poll_done(void *arg, int status, struct sm_span body)
{
    struct link *l = arg;
    sm_cleanup(sm_json_free) json_t *o = NULL;
    char why[160];
    l->poll = NULL;
    if (status != 200 || sm_json_parse(body, HTTP_ANSWER_MAX, &o, why)) {
        unsigned ms = back_off(&l->backoff_ms);
        if (ms <= 1000 || ms >= BACKOFF_MAX_MS)
            sm_warn("the box does not answer (%s)", status < 0 ? sm_strerror(status) : status == 200 ? why : "refused");
        poll_soon(l, ms);
        return;
    }
    if (l->backoff_ms)
        sm_info("the box answers again");
    l->backoff_ms = 0;
    renew_look(l);
    const char *now = json_string_value(json_object_get(o, "now"));
    on_settings(l, json_object_get(o, "settings"));
    json_t *orders = json_object_get(o, "orders");
    for (size_t i = 0; i < json_array_size(orders) && i < ORDERS_SEEN_MAX; i++)
        on_order(l, json_array_get(orders, i), now ? now : "");
    poll_soon(l, 0);
}

static void poll_now(void *arg)
{
    struct link *l = arg;
    struct sm_buf b = SM_BUF_INIT(POLL_BODY_MAX);
    if (l->poll)
        return;
    uint64_t age_ms = plat_clock_mono_ms() - l->began_ms;
    bool judged = json_is_object(json_object_get(l->endpoint, "sensor")) || (l->local && !json_is_true(json_object_get(l->local, "endpoint")));
    if ((!l->part[PART_BACKUP] && age_ms < BORN_MS) || (!judged && age_ms < (l->local ? JUDGE_MS : BORN_MS))) {
        poll_soon(l, 50);
        return;
    }
    json_t *o = json_pack("{s:s,s:s,s:I,s:i,s:{s:b,s:b},s:[s,s,s]}", "agent_version", SM_VERSION, "boot_id", l->boot_id,
        "uptime_ms", (json_int_t)(plat_clock_boot_ns() / 1000000), "wait_s", POLL_WAIT_S, "state", "backup",
        l->part[PART_BACKUP] != NULL, "restore", l->part[PART_RESTORE] != NULL || l->waiting_restore != NULL, "features",
        "backup", "restore", "canaries");
    if (o && l->confined)
        json_object_set(o, "confined", l->confined);
    json_object_set_new(o, "link", json_string(l->life));
    struct sm_time clock = plat_clock_wall();
    json_object_set_new(o, "clock_s", json_integer(clock.s));
    if (l->logs_state)
        json_object_set(o, "logs", l->logs_state);
    if (l->endpoint)
        json_object_set(o, "endpoint", l->endpoint);
    if (json_object_get(l->local, "os"))
        json_object_set(o, "os", json_object_get(l->local, "os"));
    json_t *features = json_object_get(o, "features");
    for (size_t i = 0; i < json_array_size(json_object_get(l->local, "features")); i++)
        json_array_append(features, json_array_get(json_object_get(l->local, "features"), i));
    json_t *running = json_array();
    for (size_t i = 0; i < l->runs_n; i++)
        json_array_append_new(running, json_string(l->runs[i]));
    json_object_set_new(json_object_get(o, "state"), "running", running);
    json_object_set_new(json_object_get(o, "state"), "whole", json_boolean(l->whole));
    int r = o ? sm_json_dump(o, &b) : -ENOMEM;
    const struct http_request q = {.method = "POST",
        .path = PREFIX "poll",
        .headers = {"Content-Type: application/json"},
        .body = sm_buf_span(&b),
        .copy_body = true,
        .timeout_s = POLL_WAIT_S + 20,
        .done = poll_done,
        .arg = l};
    if (!r)
        r = http_start(l->http, &q, &l->poll);
    if (r)
        poll_soon(l, back_off(&l->backoff_ms));
    json_decref(o);
    sm_buf_wipe(&b);
}

/* ---- life ---- */

static const struct sm_ipc_rule from_part[] = {
    {L_CALL, SM_IPC_BODY_MAX, false, "L_CALL"},
    {L_PACK, 4096, true, "L_PACK"},
};
static const struct sm_ipc_rule from_logs[] = {
    {L_CALL, SM_IPC_BODY_MAX, false, "L_CALL"},
    {L_LOGS_STATE, LOGS_STATE_MAX, false, "L_LOGS_STATE"},
};
static const struct sm_ipc_rule from_judge[] = {
    {L_CALL, SM_IPC_BODY_MAX, false, "L_CALL"},
    {L_ENDPOINT, L_ENDPOINT_MAX, false, "L_ENDPOINT"},
};
static const struct sm_ipc_rule from_actor[] = {{L_CALL, SM_IPC_BODY_MAX, false, "L_CALL"}, {L_PINNED, 900, false, "L_PINNED"}};
static const struct sm_ipc_rule from_acting[] = {{L_CALL, SM_IPC_BODY_MAX, false, "L_CALL"}};
#define RULES(r) r, sizeof r / sizeof r[0]
/* Who has a channel to link, what it may say there, and what it may ask the box for. */
static const struct {
    const char *name;
    const struct sm_ipc_rule *may;
    size_t may_n;
    bool (*ask)(unsigned method, struct sm_span path);
} parts[PARTS] = {
    [PART_BACKUP] = {"backup", RULES(from_part), may_all},
    [PART_RESTORE] = {"restore", RULES(from_part), may_all},
    [PART_LOGS] = {"logs", RULES(from_logs), may_events},
    [PART_JUDGE] = {"judge", RULES(from_judge), may_judge},
    [PART_ACTOR] = {"actor", RULES(from_actor), may_actor},
    [PART_SCAN] = {"scan", RULES(from_acting), may_acts},
};

static bool part_may(int part, unsigned method, struct sm_span path)
{
    return parts[part].ask(method, path);
}
static const struct sm_ipc_rule from_supervisor[] = {
    {A_CONFINED, 65536, false, "A_CONFINED"},
    {A_LOCAL, 65536, false, "A_LOCAL"},
    {A_ALIVE, ALIVE_BODY_MAX, false, "A_ALIVE"},
    {A_BYE, 1024, false, "A_BYE"},
};

static void attach(void *arg, const char *peer, bool fresh, int *from)
{
    struct link *l = arg;
    int part = 0;
    while (part < PARTS && strcmp(peer, parts[part].name) != 0)
        part++;
    if (part == PARTS)
        return;
    const struct sm_ipc_config config = {.may_receive = parts[part].may,
        .may_receive_n = parts[part].may_n,
        .body_max = SM_IPC_BODY_MAX,
        .queue_max = 4 * QUEUE_MAX,
        .on_message = on_part,
        .on_gone = on_part_gone,
        .arg = l};
    if (l->part[part])
        on_part_gone(l, l->part[part], 0);
    int fd = *from;
    *from = -1;
    if (sm_ipc_new(l->self.loop, fd, &config, &l->part[part]))
        return;
    if (part == PART_RESTORE && !l->waiting_restore && fresh) {
        on_part_gone(l, l->part[part], 0); /* asked for twice: without an order it would only stand in the way */
        return;
    }
    if (part == PART_RESTORE && l->waiting_restore) {
        char id[65], kind[33], run[33];
        if (!peek(l->waiting_restore, id, kind, run)) {
            remember_restore(l, l->waiting_restore);
            give(l, PART_RESTORE, l->waiting_restore, id, "");
        }
        json_decref(l->waiting_restore);
        l->waiting_restore = NULL;
    }
    if (part == PART_LOGS)
        give_logs(l);
    if (part == PART_BACKUP) {
        json_decref(l->sources);
        l->sources = NULL; /* the next poll's settings go to the new process */
        l->whole = fresh;
        sm_timer_stop(l->died);
        if (l->whole)
            tell_died(l);
    }
}

static void on_up(void *arg, struct sm_ipc_msg *m)
{
    struct link *l = arg;
    if (m->type == A_ALIVE) {
        alive_told(&l->alive, m->body);
        return;
    }
    if (m->type == A_BYE) {
        alive_bye(&l->alive, m);
        return;
    }
    json_t *o = NULL, **to = m->type == A_LOCAL ? &l->local : &l->confined;
    if (!sm_json_parse(m->body, 65536, &o, NULL)) {
        json_decref(*to);
        *to = o;
    }
}

static int confine(struct link *l, struct plat_confined *c)
{
    static char folder[AGENT_PATH_MAX + 16];
    static struct plat_path_rule paths[] = {
        {NULL, false, false},
        {"/etc", false, true},
        {"/usr", false, true},
        {"/lib", false, true},
        {"/run/systemd/resolve", false, true},
        {"/run/resolvconf", false, true},
    };
    snprintf(folder, sizeof folder, "%s/link", l->config.data);
    paths[0].path = folder;
    const struct part_rules rules = {.profile = "agent-link",
        .user = "_sakimori-link",
        .uid = 64320,
        .paths = paths,
        .paths_n = sizeof paths / sizeof paths[0],
        .landlock = true,
        .nofile = 256};
    return part_confine(&rules, c);
}

static int link_start(struct link *l, const char *data, char *why)
{
    char ca[AGENT_PATH_MAX + 32], cert[AGENT_PATH_MAX + 32], key[AGENT_PATH_MAX + 32];
    struct plat_confined c = {0};
    int r = agent_config_load(data, &l->config, why);
    l->began_ms = plat_clock_mono_ms();
    snprintf(l->life, sizeof l->life, "%llx-%x", (unsigned long long)plat_clock_boot_ns(), (unsigned)getpid());
    if (!r)
        r = plat_clock_boot_id(l->boot_id);
    if (!r)
        r = confine(l, &c);
    if (!r)
        r = sm_loop_new(&l->self.loop);
    snprintf(ca, sizeof ca, "%s/link/ca.pem", data);
    snprintf(cert, sizeof cert, "%s/link/cert.pem", data);
    snprintf(key, sizeof key, "%s/link/tls.key", data);
    if (!r && access(cert, R_OK)) {
        r = -errno;
        snprintf(why, 160, "link/cert.pem: %s (every folder above the agent's must be enterable)", sm_strerror(r));
    }
    int64_t until_s;
    if (!r && renew_pick(data, l->cert, sizeof l->cert, &until_s))
        snprintf(l->cert, sizeof l->cert, "%s", cert); /* the connection will say what is wrong with it */
    const struct http_config h = {
        .loop = l->self.loop, .base = l->config.url, .ca_file = ca, .cert_file = l->cert, .key_file = key};
    if (!r)
        r = http_new(&h, &l->http);
    if (!r)
        r = sm_loop_timer(l->self.loop, 200, 0, poll_now, l, &l->poll_timer);
    if (!r)
        r = sm_loop_timer(l->self.loop, UINT64_MAX, 0, tell_died, l, &l->died);
    if (!r)
        r = sm_loop_timer(l->self.loop, UINT64_MAX, 0, on_drain, l, &l->drain);
    l->alive.loop = l->self.loop;
    l->alive.http = l->http;
    l->alive.up = &l->self.up;
    if (!r)
        r = alive_init(&l->alive);
    l->self.attach = attach;
    l->self.message = on_up;
    l->self.also = from_supervisor;
    l->self.also_n = sizeof from_supervisor / sizeof from_supervisor[0];
    l->self.arg = l;
    return r ? r : part_begin(&l->self, &c);
}

int link_main(const char *data, const char *skip)
{
    struct link l = {0};
    char why[160] = "";
    (void)skip; /* it reads no files */
    int r = link_start(&l, data, why);
    if (r)
        sm_error("%s", why[0] ? why : sm_strerror(r));
    else
        r = sm_loop_run(l.self.loop);
    http_free(l.http);
    alive_wipe(&l.alive);
    json_decref(l.confined);
    json_decref(l.local);
    json_decref(l.sources);
    json_decref(l.logs);
    json_decref(l.logs_state);
    json_decref(l.endpoint);
    json_decref(l.waiting_restore);
    agent_config_wipe(&l.config);
    return r ? 1 : 0;
}
