/* brain: joins the API to the other processes.  Holds the state database and the audit log; no network, no key, no
 * vault file. */
#include <errno.h>
#include "api/api.h"
#include "core/json.h"
#include "core/log.h"
#include "crypto/init.h"
#include "decide/decide.h"
#include "normalise/normalise.h"
#include "plat/fs.h"
#include "sakimorid/brain/decider.h"
#include "sakimorid/brain/responder.h"
#include "sakimorid/child.h"
#include "state/state.h"

#define FRAME ((size_t)900 << 10)      /* raw bytes of one frame of an answer */
#define PENDING_MAX 2048
#define HTTP_JSON_MAX ((size_t)128 << 10)

/* One request of front, from its arrival until the last frame of its answer is queued. */
struct pending {
    struct brain *b;
    struct pending *next, **prev;
    struct child_late late;
    int64_t req;
    uint64_t call;
    bool answered;
    struct sm_buf out;                 /* what is left to send */
    size_t at;
};

struct brain {
    struct child *c;
    struct state *state;
    struct api *api;
    struct decide *decide;
    struct pending *pending;
    size_t pending_n;
};

/* ---- answers to front ---- */

static void pending_free(struct pending *p)
{
    *p->prev = p->next;
    if (p->next)
        p->next->prev = p->prev;
    p->b->pending_n--;
    sm_buf_wipe(&p->out);
    free(p);
}

/* Send frames until all is out or front's queue is full; then drained goes on. */
static void pending_pump(struct pending *p)
{
    while (p->at < p->out.n) {
        size_t n = p->out.n - p->at < FRAME ? p->out.n - p->at : FRAME;
        bool more = p->at + n < p->out.n;
        int r = child_reply_late(p->b->c, &p->late, more ? SM_IPC_MORE : 0, SM_SPAN(p->out.p + p->at, n));
        if (r == -SM_EAGAIN)
            return;
        if (r < 0)
            break; /* front is gone: nobody reads it */
        p->at += n;
    }
    pending_free(p);
}

static void on_drained(void *arg)
{
    struct brain *b = arg;
    for (struct pending *p = b->pending, *next; p; p = next) {
        next = p->next;
        if (p->answered)
            pending_pump(p);
    }
}

static void on_answer(void *arg, const struct api_response *r)
{
    struct pending *p = arg;
    json_t *j = json_pack("{s:i,s:O?,s:O?}", "status", r->status, "headers", r->headers, "then", r->then);
    p->answered = true;
    p->out = SM_BUF_INIT(r->body.n + ((size_t)1 << 20));
    int e = j ? msg_join(j, r->body, &p->out) : -ENOMEM;
    json_decref(j);
    if (e == 0) {
        pending_pump(p);
        return;
    }
    child_reply_late_error(p->b->c, &p->late, e, "the answer could not be made");
    pending_free(p);
}

static void on_http(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct brain *b = c->state;
    json_t *req = NULL;
    struct sm_span raw;
    int r = msg_split(m->body, HTTP_JSON_MAX, &req, &raw, NULL);
    struct pending *p = r == 0 && b->pending_n < PENDING_MAX ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        child_reply_error(ipc, m, r < 0 ? r : -SM_EAGAIN, "too many requests at once");
        sm_json_drop_secret(req);
        return;
    }
    p->b = b;
    p->late = child_later(c, peer, m);
    p->req = json_integer_value(json_object_get(req, "req"));
    p->next = b->pending;
    if (p->next)
        p->next->prev = &p->next;
    p->prev = &b->pending;
    b->pending = p;
    b->pending_n++;
    uint64_t call = 0, number = p->late.id;
    api_handle(b->api, req, raw, on_answer, p, &call);
    sm_json_drop_secret(req);
    for (struct pending *q = b->pending; q; q = q->next) /* it may be answered and gone by now */
        if (q == p && q->late.id == number)
            q->call = call;
}

static void on_gone(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct brain *b = c->state;
    json_t *j = NULL;
    (void)peer;
    (void)ipc;
    if (msg_json(m->body, 1024, &j, NULL) < 0)
        return; /* a hint only */
    int64_t req = json_integer_value(json_object_get(j, "req"));
    json_decref(j);
    for (struct pending *p = b->pending; p; p = p->next)
        if (p->req == req && !p->answered && p->call) {
            api_gone(b->api, p->call);
            return;
        }
}

/* ---- notices ---- */

static void on_notice(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct brain *b = c->state;
    json_t *j = NULL;
    (void)peer;
    (void)ipc;
    if (msg_json(m->body, (size_t)256 << 10, &j, NULL) < 0) {
        sm_warn("%s: not a JSON object", msg_name(m->type));
        return;
    }
    switch (m->type) {
    case P_CHILD: api_on_child(b->api, j); break;
    case P_DISKS: api_on_disks(b->api, j); break;
    case Y_EVENT: api_on_copier(b->api, j); break;
    case N_EVENT: api_on_copier(b->api, j); break;
    case V_EVENT: api_on_vault(b->api, j); break;
    case K_EVENT: api_on_keyd(b->api, j); break;
    case W_SIGNALS: api_on_watch(b->api, j); break;
    case W_SOURCES: api_on_log_sources(b->api, j); break;
    case W_EVENT: api_on_log_event(b->api, j); break;
    case W_HITS: api_on_rule_hits(b->api, j); break;
    case H_STATE: api_on_house(b->api, j); break;
    case L_SENDERS: api_on_log_senders(b->api, j); break;
    case X_RESULT: api_on_sent(b->api, j); break;
    default: break;
    }
    json_decref(j);
}

/* ---- what the API asks for ---- */

struct asking { api_frame_fn fn; void *arg; };

static void on_frame(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct asking *a = arg;
    bool more = err >= 0 && m && (m->flags & SM_IPC_MORE);
    a->fn(a->arg, err, err >= 0 && m ? m->body : SM_SPAN(NULL, 0), more, text);
    if (!more)
        free(a);
}

static const struct msg_row *row_named(const char *name)
{
    for (size_t i = 0; i < msg_table_n; i++)
        if (!strcmp(msg_table[i].name, name) && (msg_table[i].from & WHO_BRAIN))
            return &msg_table[i];
    return NULL;
}

static int op_ask(void *arg, const char *message, struct sm_span body, bool again, api_frame_fn fn, void *fn_arg)
{
    struct brain *b = arg;
    const struct msg_row *row = row_named(message);
    if (!row || row->kind != MSG_REQUEST)
        return -SM_EINVAL;
    if (body.n > row->body_max)
        return -SM_ELIMIT;
    struct asking *a = malloc(sizeof *a);
    if (!a)
        return -ENOMEM;
    *a = (struct asking){ fn, fn_arg };
    int r = child_ask(b->c, row->to, row->type, body, on_frame, a, again ? CHILD_IDEMPOTENT : 0);
    if (r < 0)
        free(a);
    return r;
}

static void op_note(void *arg, const json_t *body)
{
    struct brain *b = arg;
    child_note(b->c, body);
}

static void op_event(void *arg, const char *topic, const char *id, const json_t *data)
{
    struct brain *b = arg;
    json_t *j = json_pack("{s:s,s:s,s:O}", "topic", topic, "id", id, "data", data);
    if (j)
        (void)child_notify_json(b->c, WHO_FRONT, F_EVENT, j); /* a screen that misses one asks again by itself */
    json_decref(j);
}

static void op_drop(void *arg, const char *session)
{
    struct brain *b = arg;
    json_t *j = json_pack("{s:s}", "session", session);
    if (j)
        (void)child_notify_json(b->c, WHO_FRONT, F_DROP, j); /* front gone: its streams are, too */
    json_decref(j);
}

/* The chain comes as one text; front takes a list: server, CA. */
static void op_cert(void *arg, const char *chain)
{
    static const char end[] = "-----END CERTIFICATE-----\n";
    struct brain *b = arg;
    json_t *list = json_array();
    for (const char *p = chain, *e; list && (e = strstr(p, end)) != NULL; p = e + sizeof end - 1)
        if (json_array_append_new(list, json_stringn(p, (size_t)(e - p) + sizeof end - 1)) < 0)
            break;
    json_t *j = list ? json_pack("{s:o}", "cert_pem", list) : NULL;
    if (j) {
        (void)child_notify_json(b->c, WHO_FRONT, F_CERT, j); /* sent again whenever front is attached */
        (void)child_notify_json(b->c, WHO_COLLECTOR, F_CERT, j); /* as is this one */
    }
    json_decref(j);
}

static void op_doors(void *arg, const json_t *doors)
{
    struct brain *b = arg;
    json_t *j = json_pack("{s:O}", "doors", doors);
    if (j)
        (void)child_notify_json(b->c, WHO_COLLECTOR, L_DOORS, j); /* sent again whenever collector is attached */
    json_decref(j);
}

/* ---- what the courier asks the vault for ---- */

struct sealing { struct brain *b; struct child_late late; };

static void on_sealed(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct sealing *s = arg;
    if (err < 0)
        child_reply_late_error(s->b->c, &s->late, err, text);
    else
        (void)child_reply_late(s->b->c, &s->late, 0, m->body); /* gone meanwhile: nobody waits */
    free(s);
}

/* Only of the copy that is made just now. */
static void on_seal(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct brain *b = c->state;
    json_t *j = NULL;
    int r = msg_json(m->body, 1024, &j, NULL);
    const char *copy = json_string_value(json_object_get(j, "copy"));
    if (r >= 0 && (!copy || !api_copy_runs(b->api, copy)))
        r = -SM_EDENIED;
    struct sealing *s = r >= 0 ? malloc(sizeof *s) : NULL;
    if (r >= 0 && !s)
        r = -ENOMEM;
    if (r >= 0) {
        *s = (struct sealing){ .b = b, .late = child_later(c, peer, m) };
        r = child_ask_json(c, WHO_VAULT, V_COPY_SEAL, j, on_sealed, s, 0);
        if (r < 0)
            free(s);
    }
    if (r < 0)
        child_reply_error(ipc, m, r, "no such copy is made now");
    json_decref(j);
}

/* ---- life ---- */

/* Names and addresses of the box together, each once, as the certificate wants them. */
static int64_t port_of(const struct child *c, const char *option)
{
    return json_integer_value(json_object_get(json_object_get(c->config, "settings"), option));
}

static json_t *names_of(const json_t *config)
{
    static const char *const keys[] = { "names", "ips" };
    json_t *out = json_array(), *v, *w;
    for (size_t k = 0; out && k < 2; k++) {
        size_t i, n;
        json_array_foreach(json_object_get(config, keys[k]), i, v) {
            bool known = json_array_size(out) >= 32;
            json_array_foreach(out, n, w)
                known |= json_equal(v, w);
            if (!known && json_is_string(v) && json_array_append(out, v) < 0)
                break;
        }
    }
    return out;
}

static const char *log_format_at(size_t i)
{
    const struct normalise_row *row = normalise_row(i);
    return row ? row->name : NULL;
}

static int brain_start(struct child *c)
{
    struct brain *b = c->state;
    char path[4200];
    int n = snprintf(path, sizeof path, "%s/state/state.db", c->data);
    int r = n < 0 || (size_t)n >= sizeof path ? -SM_ELIMIT : crypto_init();
    if (r == 0)
        r = state_open(path, &b->state);
    if (r < 0) {
        child_fatal(c, "state database: %s", sm_strerror(r));
        return r;
    }
    b->decide = decide_new((uint64_t)state_number(b->state, STATE_incident_next, 1, STATE_NONE));
    if (!b->decide)
        return -ENOMEM;
    json_t *names = names_of(c->config);
    const struct api_config config = { .loop = c->loop,
        .state = b->state,
        .data = c->data,
        .names = names,
        .disks = json_string_value(json_object_get(json_object_get(c->config, "settings"), "disks")),
        .machine = json_string_value(json_object_get(c->config, "machine")),
        .copier_uid = json_integer_value(json_object_get(json_object_get(c->config, "copier"), "uid")),
        .copier_gid = json_integer_value(json_object_get(json_object_get(c->config, "copier"), "gid")),
        .agent_url = json_string_value(json_object_get(c->config, "agent_url")),
        .decide = decider_ask,
        .decide_arg = b->decide,
        .log_names = { normalise_knows_format, normalise_knows_encoding, log_format_at },
        .log_ports = { port_of(c, "syslog_udp"), port_of(c, "syslog_tcp"), port_of(c, "syslog_tls") },
        .respond = responder_ask,
        .ops = { .arg = b, .ask = op_ask, .note = op_note, .event = op_event, .drop = op_drop, .cert = op_cert, .doors = op_doors } };
    r = api_new(&config, &b->api);
    json_decref(names);
    if (r < 0)
        child_fatal(c, "audit log or worker: %s", sm_strerror(r));
    child_on_drained(c, WHO_FRONT, on_drained, b);
    return r;
}

static int brain_ready(struct child *c)
{
    struct brain *b = c->state;
    api_start(b->api);
    return 0;
}

static void brain_attached(struct child *c, unsigned peer, struct sm_ipc *ipc)
{
    struct brain *b = c->state;
    (void)ipc;
    api_on_peer(b->api, msg_who_name(peer), true);
}

static void brain_gone(struct child *c, unsigned peer)
{
    struct brain *b = c->state;
    api_on_peer(b->api, msg_who_name(peer), false);
}

static void brain_end(struct child *c)
{
    struct brain *b = c->state;
    api_free(b->api);
    decide_free(b->decide);
    while (b->pending)
        pending_free(b->pending);
    state_close(b->state);
}

static const struct child_handler handlers[] = {
    { WHO_FRONT, B_HTTP, on_http },
    { WHO_FRONT, B_GONE, on_gone },
    { WHO_PARENT, P_CHILD, on_notice },
    { WHO_PARENT, P_DISKS, on_notice },
    { WHO_COPIER, Y_EVENT, on_notice },
    { WHO_COURIER, N_EVENT, on_notice },
    { WHO_COURIER, N_SEAL, on_seal },
    { WHO_VAULT, V_EVENT, on_notice },
    { WHO_KEYD, K_EVENT, on_notice },
    { WHO_OUT, X_RESULT, on_notice },
    { WHO_WATCH, W_SIGNALS, on_notice },
    { WHO_WATCH, W_SOURCES, on_notice },
    { WHO_WATCH, W_EVENT, on_notice },
    { WHO_WATCH, W_HITS, on_notice },
    { WHO_COLLECTOR, L_SENDERS, on_notice },
    { WHO_HOUSE, H_STATE, on_notice },
};

int brain_main(struct child *c)
{
    struct brain b = { .c = c };
    const struct child_spec spec = { .handlers = handlers,
        .handlers_n = sizeof handlers / sizeof handlers[0],
        .start = brain_start,
        .ready = brain_ready,
        .attached = brain_attached,
        .gone = brain_gone,
        .end = brain_end,
        .queue_max = (size_t)16 << 20 };
    c->state = &b;
    return child_run(c, &spec);
}
