/* One request: from the request line to the answer. */
#include <errno.h>
#include <strings.h>
#include "plat/clock.h"
#include "sakimorid/front/front.h"

/* A question to brain; outlives its request. */
struct ask {
    struct front *f;
    struct req *r;               /* NULL: nobody reads the answer */
    struct sm_buf answer;
};

/* The longest body a route takes; 0 = none.  '*' in a pattern is one part of the path.  First match wins. */
#define KIB(n) ((size_t)(n) << 10)
#define DROPPED_MAX 65536 /* of a refused body that much is read and dropped, so that its sender sees why */

static const struct { const char *method, *pattern; size_t max; } limits[] = {
    { "POST", "/agent/v1/sessions/*/manifest", KIB(256) + 1024 },
    { "POST", "/agent/v1/sessions/*/have", KIB(256) },
    { "POST", "/agent/v1/events", KIB(960) },
    { "POST", "/agent/v1/poll", KIB(128) },
    { "POST", "/agent/v1/findings", KIB(192) },
    { "POST", "/agent/v1/evidence/*/begin", KIB(96) },
    { "POST", "/agent/v1/evidence/*/put", KIB(960) },
    { "POST", "/agent/v1/quarantine", KIB(16) },
    { "POST", "/agent/v1/caches/*/put", KIB(256) },
    { "POST", "/agent/v1/restores/*/objects", KIB(64) },
    { "POST", "/agent/v1/restores/*/end", KIB(900) },
    { "POST", "/agent/v1/runs/*/end", KIB(900) },
    { "PUT", "/agent/v1/peer/manifests/*", KIB(256) },
    { "PUT", "/agent/v1/peer/journal/*", KIB(512) },
    { "POST", "/api/v1/restores", KIB(900) },
    { "POST", "/api/v1/sources", KIB(256) },
    { "PATCH", "/api/v1/sources/*", KIB(256) },
    { "PUT", "/api/v1/contacts", KIB(256) },
    { "POST", NULL, KIB(64) }, { "PUT", NULL, KIB(64) }, { "PATCH", NULL, KIB(64) }, { "DELETE", NULL, KIB(64) },
};

static const char *const pass_headers[] = { "cookie", "x-csrf-token", "content-type", "accept-language",
    "authorization", "user-agent", "origin", "sec-fetch-site", "last-event-id" };

static bool matches(const char *pattern, const char *path)
{
    while (*pattern && *path) {
        if (*pattern == '*') {
            pattern++;
            path += strcspn(path, "/");
            continue;
        }
        if (*pattern++ != *path++)
            return false;
    }
    return !*pattern && !*path;
}

static size_t body_limit(const struct req *r)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (!strcmp(limits[i].method, r->method) &&
            (!limits[i].pattern || matches(limits[i].pattern, r->target.path)))
            return limits[i].max;
    return 0;
}

static bool under(const char *path, const char *root)
{
    size_t n = strlen(root);

    return !strncmp(path, root, n) && (path[n] == '/' || path[n] == '\0');
}

/* ---- life ---- */

struct req *req_new(struct conn *c, const char *raw)
{
    struct req *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->conn = c;
    r->in_head = true;
    r->raw = strdup(raw);
    r->body.max = KIB(960);
    r->id = ++c->f->next_id;
    r->began_ms = plat_clock_mono_ms();
    if (!r->raw) {
        free(r);
        return NULL;
    }
    r->target_ok = target_parse(raw, &r->target) >= 0;
    c->req = r;
    c->fresh = false;
    return r;
}

static void ask_drop(struct req *r)
{
    json_t *j;

    if (!r->ask)
        return;
    r->ask->r = NULL;
    r->ask = NULL;
    j = json_pack("{sI}", "req", (json_int_t)r->id);
    if (j)
        (void)child_notify_json(r->conn->f->c, WHO_BRAIN, B_GONE, j); /* a hint only: brain may be away */
    json_decref(j);
}

void req_free(struct req *r, bool complete)
{
    ask_drop(r);
    if (r->up)
        upload_cut(r->up);
    if (r->stream)
        stream_request_gone(r->stream);
    if (r->response)
        MHD_destroy_response(r->response);
    if (r->conn->req == r)
        r->conn->req = NULL;
    r->conn->idle_since_ms = plat_clock_mono_ms();
    if (r->target_ok)
        target_wipe(&r->target);
    sm_buf_wipe(&r->body);
    sm_zero(r->raw, strlen(r->raw)); /* a query may hold what should not stay in memory */
    free(r->raw);
    free(r);
}

void req_suspend(struct req *r)
{
    if (r->suspended)
        return;
    r->suspended = true;
    r->paused_since_ms = plat_clock_mono_ms();
    MHD_suspend_connection(r->conn->mc);
}

void req_resume(struct req *r)
{
    if (!r->suspended)
        return;
    r->suspended = false;
    r->paused_ms += plat_clock_mono_ms() - r->paused_since_ms;
    MHD_resume_connection(r->conn->mc);
    r->conn->door->resumed = 2; /* one run takes it up again, the next one works on it */
    front_kick(r->conn->door);
}

void req_answer(struct req *r, unsigned status, struct MHD_Response *response)
{
    if (r->response)
        MHD_destroy_response(r->response);
    r->response = response;
    r->status = status;
    r->phase = response ? REQ_READY : REQ_DROP;
    req_resume(r);
}

/* ---- to brain ---- */

struct gather { json_t *headers; size_t bytes, n, hosts; bool bad; const char *last; };

static bool passes(const char *name)
{
    if (!strncasecmp(name, "x-sakimori-", 11))
        return true;
    for (size_t i = 0; i < sizeof pass_headers / sizeof pass_headers[0]; i++)
        if (!strcasecmp(name, pass_headers[i]))
            return true;
    return false;
}

static enum MHD_Result gather_one(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct gather *g = arg;
    char lower[64];
    size_t n = strlen(name);

    value = value ? value : "";
    g->bytes += n + strlen(value) + 4;
    g->n++;
    if (g->bytes > FRONT_HEADER_BYTES || g->n > FRONT_HEADERS)
        return MHD_NO;
    /* Which of two would be believed? */
    if (!strcasecmp(name, "host") && g->hosts++)
        g->bad = true;
    if (n >= sizeof lower || !passes(name))
        return MHD_YES;
    for (size_t i = 0; i <= n; i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    /* Two of one name would let two readers see two different requests. */
    if (json_object_get(g->headers, lower) || json_object_set_new(g->headers, lower, json_string(value)) < 0)
        g->bad = true;
    return MHD_YES;
}

static json_t *peer_json(const struct conn *c)
{
    char until[SM_TIME_TEXT];

    if (!c->peer_ok || c->peer_not_after_s <= plat_clock_wall().s)
        return json_null();
    sm_time_rfc3339((struct sm_time){ .s = c->peer_not_after_s }, until);
    return json_pack("{ssssss}", "cert_sha256", c->peer_sha256, "cn", c->peer_cn, "not_after", until);
}

static json_t *describe(struct req *r, json_t *headers)
{
    static const char *const ports[DOORS] = { "console", "agent", "local" };
    const struct conn *c = r->conn;
    json_t *j = json_pack("{ss ss sO sO ss ss so sI}", "method", r->head ? "GET" : r->method, "path", r->target.path,
        "query", r->target.query, "headers", headers, "remote", c->remote, "port", ports[c->door->kind], "peer",
        peer_json(c), "req", (json_int_t)r->id);

    if (j && c->uid >= 0 && json_object_set_new(j, "uid", json_integer(c->uid)) < 0) {
        json_decref(j);
        return NULL;
    }
    if (j && c->peer_error[0])
        (void)json_object_set_new(j, "peer_error", json_string(c->peer_error)); /* for the log of brain alone */
    return j;
}

static void ask_answered(void *arg, int err, const struct sm_ipc_msg *m, const char *text);

static void ask_brain(struct req *r, json_t *headers)
{
    struct front *f = r->conn->f;
    struct ask *a = calloc(1, sizeof *a);
    struct sm_buf body = SM_BUF_INIT(SM_IPC_BODY_MAX);
    json_t *j = describe(r, headers);
    int e = a && j ? msg_join(j, sm_buf_span(&r->body), &body) : -ENOMEM;

    json_decref(j);
    if (e >= 0) {
        *a = (struct ask){ .f = f, .r = r, .answer = SM_BUF_INIT(FRONT_ANSWER_BYTES) };
        e = child_ask(f->c, WHO_BRAIN, B_HTTP, sm_buf_span(&body), ask_answered, a,
            r->idempotent ? CHILD_IDEMPOTENT : 0);
    }
    sm_buf_wipe(&body);
    sm_buf_wipe(&r->body);
    if (e < 0) {
        free(a);
        reply_error(r, e == -SM_ELIMIT ? 413 : 503, e == -SM_ELIMIT ? "too_large" : "unavailable", NULL);
        return;
    }
    r->ask = a;
    r->phase = REQ_ASKING;
    r->asked_ms = plat_clock_mono_ms();
    req_suspend(r);
}

static void plain_answer(struct req *r, unsigned status, const json_t *headers, struct sm_span raw)
{
    /* MHD wants a writable pointer and only copies from it. */
    struct MHD_Response *m = MHD_create_response_from_buffer(raw.n, (void *)(uintptr_t)raw.p, MHD_RESPMEM_MUST_COPY);

    if (m) {
        reply_headers(m, r->conn, REPLY_API);
        reply_copy_headers(m, headers);
        if (raw.n && !MHD_get_response_header(m, "Content-Type"))
            (void)MHD_add_response_header(m, "Content-Type", "application/json; charset=utf-8");
        if (!MHD_get_response_header(m, "Cache-Control"))
            (void)MHD_add_response_header(m, "Cache-Control", "no-store");
    }
    req_answer(r, status, m);
}

static void take_answer(struct req *r, const json_t *j, struct sm_span raw)
{
    const json_t *then = json_object_get(j, "then"), *headers = json_object_get(j, "headers");
    json_int_t status = json_integer_value(json_object_get(j, "status"));
    const char *vault = json_string_value(json_object_get(then, "vault"));
    const char *opener = json_string_value(json_object_get(then, "opener"));

    if (status < 200 || status > 599) {
        reply_error(r, 500, "internal", NULL);
        return;
    }
    if (!json_is_object(then) || r->head)
        plain_answer(r, (unsigned)status, headers, raw);
    else if (vault && !strcmp(vault, "pack") && r->is_pack)
        upload_begin(r, then);
    else if (vault && !strcmp(vault, "objects"))
        stream_objects(r, (unsigned)status, headers, then, raw);
    else if (opener && !strcmp(opener, "stream"))
        stream_file(r, (unsigned)status, headers, then);
    else if (json_object_get(then, "events"))
        stream_events(r, (unsigned)status, headers, then);
    else
        reply_error(r, 500, "internal", NULL);
}

static void ask_done(struct ask *a, int err)
{
    struct req *r = a->r;
    struct sm_span raw;
    json_t *j = NULL;

    r->ask = NULL;
    if (err >= 0)
        err = msg_split(sm_buf_span(&a->answer), SM_IPC_BODY_MAX, &j, &raw, NULL);
    if (err >= 0)
        take_answer(r, j, raw);
    else if (err == -SM_EPEER || err == -SM_EAGAIN || err == -SM_ETIME)
        reply_error(r, 503, "unavailable", NULL);
    else
        reply_error(r, 500, "internal", NULL);
    json_decref(j);
}

static void ask_answered(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct ask *a = arg;
    bool last = err < 0 || !m || !(m->flags & SM_IPC_MORE);

    if (err >= 0 && m && a->r && sm_buf_put_span(&a->answer, m->body) < 0) {
        /* The rest of an answer that is too long is still to come, and goes nowhere. */
        struct req *r = a->r;
        a->r = NULL;
        r->ask = NULL;
        reply_error(r, 500, "internal", NULL);
    }
    if (!last)
        return;
    if (a->r)
        ask_done(a, err);
    sm_buf_wipe(&a->answer);
    free(a);
}

/* ---- the head ---- */

static bool method_known(struct req *r, const char *method)
{
    static const char *const known[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(known[i], method)) {
            snprintf(r->method, sizeof r->method, "%s", method);
            r->head = i == 1;
            r->idempotent = i == 0 || i == 1 || i == 3;
            return true;
        }
    return false;
}

/* -1 none, -2 malformed, else the length. */
static int64_t content_length(struct req *r, bool *ret_chunked)
{
    const char *te = MHD_lookup_connection_value(r->conn->mc, MHD_HEADER_KIND, "Transfer-Encoding");
    const char *cl = MHD_lookup_connection_value(r->conn->mc, MHD_HEADER_KIND, "Content-Length");
    int64_t n = 0;

    *ret_chunked = te != NULL;
    if (te && (cl || strcasecmp(te, "chunked")))
        return -2;
    if (!cl)
        return -1;
    if (!*cl || strlen(cl) > 15)
        return -2;
    for (; *cl; cl++) {
        if (*cl < '0' || *cl > '9')
            return -2;
        n = n * 10 + (*cl - '0');
    }
    return n;
}

/* Is this path answered on this door at all, and by whom? */
enum place { PLACE_NONE, PLACE_BRAIN, PLACE_STATIC };
static enum place place_of(const struct req *r)
{
    const char *p = r->target.path;

    if (!strcmp(p, "/healthz") || (!strcmp(p, "/metrics") && r->conn->door->kind != DOOR_AGENT))
        return PLACE_BRAIN;
    switch (r->conn->door->kind) {
    case DOOR_AGENT:
        return under(p, "/agent") ? PLACE_BRAIN : PLACE_NONE;
    case DOOR_LOCAL:
        return under(p, "/api") ? PLACE_BRAIN : PLACE_NONE;
    default:
        return under(p, "/api") ? PLACE_BRAIN : under(p, "/agent") ? PLACE_NONE : PLACE_STATIC;
    }
}

static bool body_refused(struct req *r, int64_t length, bool chunked)
{
    size_t max = body_limit(r);

    r->is_pack = !strcmp(r->method, "PUT") && (matches("/agent/v1/sessions/*/packs/*", r->target.path) ||
        matches("/agent/v1/peer/packs/*", r->target.path));
    if (length == -2) {
        reply_error(r, 400, "bad_request", NULL);
        return true;
    }
    if (r->is_pack && (length < 0 || chunked)) {
        reply_error(r, 411, "length", NULL);
        return true;
    }
    if (length > (r->is_pack ? (int64_t)FRONT_PACK_MAX : (int64_t)max) || (chunked && !max)) {
        r->no_body_read |= length > DROPPED_MAX; /* announced is enough: nobody waits for what nobody reads */
        reply_error(r, 413, "too_large", NULL);
        return true;
    }
    r->content_length = length > 0 ? (uint64_t)length : 0;
    r->body.max = max;
    return false;
}

static json_t *gather_headers(struct req *r)
{
    struct gather g = { .headers = json_object() };
    int n = g.headers ? MHD_get_connection_values(r->conn->mc, MHD_HEADER_KIND, gather_one, &g) : -1;

    if (n >= 0 && !g.bad && g.bytes <= FRONT_HEADER_BYTES && g.n <= FRONT_HEADERS)
        return g.headers;
    json_decref(g.headers);
    if (g.bytes > FRONT_HEADER_BYTES || g.n > FRONT_HEADERS)
        reply_error(r, 431, "too_large", NULL);
    else
        reply_error(r, 400, "bad_request", NULL);
    return NULL;
}

static void decide(struct req *r, const char *method)
{
    const char *lang = MHD_lookup_connection_value(r->conn->mc, MHD_HEADER_KIND, "Accept-Language");
    bool chunked = false;
    int64_t length = content_length(r, &chunked);
    enum place place;
    json_t *headers;

    r->no_body_read = length == -2 || length > (int64_t)FRONT_PACK_MAX || chunked;
    r->english = r->conn->door->kind == DOOR_AGENT || (lang && !strncasecmp(lang, "en", 2));
    if (!r->target_ok) {
        bool long_one = strlen(r->raw) >= TARGET_RAW_MAX; /* 4096: reply.c says it */
        reply_error(r, long_one ? 414 : 400, long_one ? "too_long" : "bad_request", NULL);
        return;
    }
    place = place_of(r);
    if (!method_known(r, method) || (place == PLACE_STATIC && strcmp(r->method, "GET") && !r->head)) {
        /* Of brain's paths only brain knows which: here it is a method that none of them has. */
        r->allow = place == PLACE_STATIC ? "GET, HEAD" : "GET, HEAD, POST, PUT, PATCH, DELETE";
        reply_error(r, 405, "method", NULL);
        return;
    }
    if (place == PLACE_NONE) {
        reply_error(r, 404, "not_found", NULL);
        return;
    }
    if (body_refused(r, length, chunked))
        return;
    headers = gather_headers(r);
    if (!headers)
        return;
    if (place == PLACE_STATIC) {
        json_decref(headers);
        reply_static(r);
        return;
    }
    if (!r->is_pack && (r->content_length || chunked)) {
        json_decref(headers); /* read again when the body is there: nothing is kept twice */
        r->phase = REQ_BODY;
        return;
    }
    ask_brain(r, headers);
    json_decref(headers);
}

/* ---- MHD's calls ---- */

static enum MHD_Result queue(struct req *r)
{
    enum MHD_Result ok = MHD_queue_response(r->conn->mc, r->status, r->response);

    MHD_destroy_response(r->response);
    r->response = NULL;
    r->phase = REQ_SENT;
    return ok;
}

static enum MHD_Result take_body(struct req *r, const char *data, size_t *n)
{
    size_t before = *n;

    switch (r->phase) {
    case REQ_BODY:
        if (sm_buf_put(&r->body, data, *n) < 0)
            return MHD_NO; /* chunked and longer than allowed, or out of memory */
        *n = 0;
        break;
    case REQ_UPLOAD:
        upload_data(r, data, n);
        break;
    case REQ_DROP:
        return MHD_NO;
    default:
        *n = 0; /* the answer is settled; what still comes goes nowhere */
    }
    r->body_bytes += before - *n;
    return MHD_YES;
}

static void body_complete(struct req *r)
{
    json_t *headers;

    r->end_of_body = true;
    if (r->phase == REQ_UPLOAD) {
        upload_end(r);
        return;
    }
    headers = gather_headers(r);
    if (headers)
        ask_brain(r, headers);
    json_decref(headers);
}

/*
 * MHD calls for the head until the connection does not rest any more after the call; only then it reads a body.  The body
 * of what is refused by then is read and dropped when its length is known and bounded: closing before would reset the
 * connection, and the client might never see why.  Any other is answered at once, and MHD closes.
 */
static enum MHD_Result head_done(struct req *r)
{
    if (r->suspended)
        return MHD_YES;
    r->in_head = false;
    r->body_ms = plat_clock_mono_ms();
    r->paused_ms = 0;
    if (r->phase == REQ_DROP)
        return MHD_NO;
    return r->phase == REQ_READY && r->no_body_read ? queue(r) : MHD_YES;
}

enum MHD_Result req_handle(struct req *r, const char *method, const char *data, size_t *data_n)
{
    if (*data_n) {
        return take_body(r, data, data_n);
    }
    if (r->phase == REQ_HEAD)
        decide(r, method);
    if (r->in_head)
        return head_done(r);
    if (r->phase == REQ_BODY || (r->phase == REQ_UPLOAD && !r->end_of_body))
        body_complete(r);
    switch (r->phase) {
    case REQ_READY:
        return queue(r);
    case REQ_DROP:
        return MHD_NO;
    default:
        return MHD_YES;
    }
}

void req_tick(struct req *r, uint64_t now_ms)
{
    if (r->phase == REQ_ASKING && now_ms - r->asked_ms > FRONT_ANSWER_MS) {
        ask_drop(r);
        reply_error(r, 503, "unavailable", NULL);
    }
}

void req_gone(struct req *r)
{
    ask_drop(r);
    if (r->stream)
        stream_request_gone(r->stream);
    if (r->up)
        upload_cut(r->up);
    r->phase = REQ_DROP;
    req_resume(r);
}
