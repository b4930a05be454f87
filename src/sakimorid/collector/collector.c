/* The process: doors, certificate, batches. */
#include "sakimorid/collector/collector.h"
#include <errno.h>
#include <unistd.h>
#include "core/log.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/random.h"
#include "crypto/tls.h"
#include "crypto/x509.h"
#include "plat/clock.h"

enum { FLUSH_MS = 20, TICK_MS = 1000, TELL_TICKS = 3, SIGN_MS = 2000, ROOM = PLAT_UDP_MANY * 65536 };

int64_t collector_now_ns(void)
{
    struct sm_time t = plat_clock_wall();

    return t.s * 1000000000 + t.ns;
}

/* ---- batches ---- */

static void push(struct collector *k);

static void batch_free(struct batch *b)
{
    sm_buf_wipe(&b->body);
    free(b);
}

static void on_taken(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct batch *b = arg, **at;
    struct collector *k = b->k;

    b->sent = false;
    if (err < 0 && err != -SM_EFORMAT) {
        if (err != -SM_EPEER)
            sm_warn("watch does not take a batch: %s", text ? text : sm_strerror(err));
        return; /* again when watch is there, or at the next tick */
    }
    if (err < 0)
        sm_error("watch finds a batch malformed: it is left out");
    for (at = &k->first; *at != b; at = &(*at)->next)
        ;
    *at = b->next;
    if (k->last == &b->next)
        k->last = at;
    k->flight -= b->body.n;
    batch_free(b);
    push(k);
}

/* Send what was not sent, in order; what cannot go now goes when the channel drained or watch is back. */
static void send_all(struct collector *k)
{
    struct sm_ipc *ipc = child_peer(k->c, WHO_WATCH);

    for (struct batch *b = k->first; ipc && b; b = b->next) {
        if (b->sent)
            continue;
        if (sm_ipc_ask(ipc, L_BATCH, sm_buf_span(&b->body), -1, on_taken, b) < 0)
            return;
        b->sent = true;
    }
}

static int batch_make(struct collector *k)
{
    struct batch *b = calloc(1, sizeof *b);
    int r = b ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    *b = (struct batch){ .k = k, .body = SM_BUF_INIT(SM_IPC_BODY_MAX), .number = k->next_number + 1 };
    r = sm_buf_reserve(&b->body, LOG_BATCH_FULL + QUANTUM + 1024);
    if (r >= 0)
        r = log_batch_begin(&b->body, k->stream, b->number);
    if (r >= 0)
        r = senders_take(k, &b->body);
    if (r < 0 && b->body.n <= LOG_BATCH_HEAD) {
        batch_free(b);
        return r;
    }
    k->next_number++;
    k->flight += b->body.n;
    *k->last = b;
    k->last = &b->next;
    return 0;
}

static void push(struct collector *k)
{
    while (k->queued && k->flight < FLIGHT_MAX && (k->queued >= LOG_BATCH_FULL || !k->flush_set))
        if (batch_make(k) < 0)
            break;
    send_all(k);
    if (k->queued && !k->flush_set && k->flight < FLIGHT_MAX) {
        k->flush_set = true;
        sm_timer_set(k->flush, FLUSH_MS, 0);
    }
}

static void on_flush(void *arg)
{
    struct collector *k = arg;

    k->flush_set = false;
    push(k);
}

/* A little is put together for a moment; much goes at once. */
void collector_queued(struct collector *k)
{
    if (!k->queued)
        return;
    if (!k->flush_set && k->queued < LOG_BATCH_FULL) {
        k->flush_set = true;
        sm_timer_set(k->flush, FLUSH_MS, 0);
        return;
    }
    push(k);
}

static void on_drained(void *arg)
{
    send_all(arg);
}

/* ---- doors ---- */

static void open_doors(struct collector *k)
{
    for (unsigned i = LOG_UDP; i <= LOG_TLS; i++) {
        struct door *d = &k->doors[i];
        if (d->fd < 0 || d->watch || (i == LOG_TLS && !k->tls_ready))
            continue;
        int r = sm_loop_fd(k->c->loop, d->fd, SM_READ, i == LOG_UDP ? udp_readable : stream_accept, d, &d->watch);
        if (r < 0)
            sm_error("listening for %s: %s", log_listener_name(i), sm_strerror(r));
    }
}

static void on_listen(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    static const char *const names[LOG_LISTENERS] = { "", "syslog-udp", "syslog-tcp", "syslog-tls", "" };
    struct collector *k = c->state;
    json_t *j = NULL;

    if (m->fd < 0 || msg_json(m->body, 1024, &j, NULL) < 0)
        return;
    const char *what = json_string_value(json_object_get(j, "what"));
    for (unsigned i = LOG_UDP; i <= LOG_TLS && what; i++)
        if (!strcmp(what, names[i]) && k->doors[i].fd < 0) {
            k->doors[i].fd = m->fd;
            m->fd = -1;
            break;
        }
    json_decref(j);
    open_doors(k);
}

/* [{listener, on}]: one that people shut takes nothing in: datagrams are thrown away, connections ended. */
static void on_doors(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct collector *k = c->state;
    json_t *j = NULL, *row;
    size_t i;

    if (msg_json(m->body, 1024, &j, NULL) < 0)
        return;
    json_array_foreach(json_object_get(j, "doors"), i, row) {
        const char *name = json_string_value(json_object_get(row, "listener"));
        for (unsigned n = LOG_UDP; n <= LOG_TLS && name; n++)
            if (!strcmp(name, log_listener_name(n)))
                k->doors[n].shut = json_is_false(json_object_get(row, "on"));
    }
    json_decref(j);
    for (struct conn *n = k->conns, *next; n; n = next) {
        next = n->next;
        if (k->doors[n->sender->listener].shut)
            stream_close(n);
    }
}

/* ---- certificate ---- */

static int sign(void *arg, unsigned algo, struct sm_span hash, struct sm_buf *ret_sig)
{
    struct collector *k = arg;
    struct sm_buf body = SM_BUF_INIT(256);
    int r = sm_buf_put_u32(&body, algo);

    if (r >= 0)
        r = sm_buf_put_span(&body, hash);
    if (r >= 0)
        r = child_call(k->c, WHO_KEYD, K_TLS_SIGN, sm_buf_span(&body), SIGN_MS, ret_sig, NULL);
    sm_buf_wipe(&body);
    return r;
}

static int use_chain(struct collector *k, const json_t *list)
{
    struct sm_span chain[4];
    struct crypto_tls_identity *id = NULL;
    size_t n = 0, i;
    json_t *v;

    json_array_foreach(list, i, v)
        if (n < 4 && json_is_string(v))
            chain[n++] = SM_SPAN(json_string_value(v), json_string_length(v));
    int r = n < 2 ? -SM_EFORMAT : crypto_tls_identity_new(chain, n, sign, k, &id);
    if (r < 0)
        return r;
    crypto_tls_install(id);
    k->tls_ready = true;
    return 0;
}

static void on_cert(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct collector *k = c->state;
    json_t *j = NULL;
    int r = msg_json(m->body, 64 << 10, &j, NULL);
    char *text = r >= 0 ? json_dumps(json_object_get(j, "cert_pem"), JSON_COMPACT) : NULL;

    if (text && (!k->chain || strcmp(text, k->chain) != 0)) {
        r = use_chain(k, json_object_get(j, "cert_pem"));
        if (r < 0)
            sm_error("the certificate cannot be used: %s", sm_strerror(r));
        free(k->chain);
        k->chain = text;
        text = NULL;
        open_doors(k);
    }
    free(text);
    json_decref(j);
}

/* ---- life ---- */

static void on_tick(void *arg)
{
    struct collector *k = arg;
    uint64_t now = plat_clock_mono_ms();

    streams_tick(k, now);
    send_all(k);
    if (now / TICK_MS % TELL_TICKS == 0)
        senders_tell(k);
}

static void on_again(void *arg)
{
    struct collector *k = arg;

    streams_tick(k, plat_clock_mono_ms());
}

static int early(struct child *c)
{
    return crypto_init(); /* it looks at files of the system that this process will not see */
}

static int start(struct child *c)
{
    struct collector *k = c->state;
    int r = 0;


    crypto_random(k->stream, sizeof k->stream);
    crypto_random(k->secret, sizeof k->secret);
    k->room = r >= 0 ? malloc(ROOM) : NULL;
    if (r >= 0 && !k->room)
        r = -ENOMEM;
    if (r >= 0)
        r = sm_loop_timer(c->loop, UINT64_MAX, 0, on_flush, k, &k->flush);
    if (r >= 0)
        r = sm_loop_timer(c->loop, UINT64_MAX, 0, on_again, k, &k->again);
    if (r >= 0)
        r = sm_loop_timer(c->loop, TICK_MS, TICK_MS, on_tick, k, &k->tick);
    child_on_drained(c, WHO_WATCH, on_drained, k);
    return r;
}

static void attached(struct child *c, unsigned peer, struct sm_ipc *ipc)
{
    if (peer == WHO_WATCH)
        send_all(c->state);
}

/* What is here goes to watch, which ends after this process; a few seconds are all there is. */
static void stop_when_empty(void *arg)
{
    struct collector *k = arg;

    while (k->queued && batch_make(k) >= 0)
        ;
    send_all(k);
    if (!k->first)
        child_done(k->c);
}

static void stop(struct child *c)
{
    struct collector *k = c->state;

    for (unsigned i = 0; i < LOG_LISTENERS; i++) {
        sm_watch_free(k->doors[i].watch);
        k->doors[i].watch = NULL;
    }
    while (k->conns)
        stream_close(k->conns);
    sm_timer_free(k->tick);
    k->tick = NULL;
    if (sm_loop_timer(c->loop, 0, 50, stop_when_empty, k, &k->tick) < 0)
        child_done(c);
}

static void end(struct child *c)
{
    struct collector *k = c->state;

    while (k->conns)
        stream_close(k->conns);
    for (unsigned i = 0; i < LOG_LISTENERS; i++) {
        sm_watch_free(k->doors[i].watch);
        if (k->doors[i].fd >= 0)
            close(k->doors[i].fd);
    }
    sm_timer_free(k->flush);
    sm_timer_free(k->again);
    sm_timer_free(k->tick);
    while (k->first) {
        struct batch *b = k->first;
        k->first = b->next;
        batch_free(b);
    }
    senders_free(k);
    crypto_tls_install(NULL);
    free(k->chain);
    free(k->room);
}

int collector_main(struct child *c)
{
    static const struct child_handler handlers[] = {
        { WHO_PARENT, P_LISTEN, on_listen },
        { WHO_BRAIN, F_CERT, on_cert },
        { WHO_BRAIN, L_DOORS, on_doors },
    };
    static const struct child_spec spec = {
        .handlers = handlers, .handlers_n = sizeof handlers / sizeof handlers[0], .early = early, .start = start,
        .attached = attached, .stop = stop, .end = end, .queue_max = FLIGHT_MAX + (4 << 20),
    };
    struct collector *k = calloc(1, sizeof *k);

    if (!k)
        return 1;
    k->c = c;
    k->last = &k->first;
    for (unsigned i = 0; i < LOG_LISTENERS; i++)
        k->doors[i] = (struct door){ .k = k, .listener = i, .fd = -1 };
    c->state = k;
    int r = child_run(c, &spec);
    free(k);
    return r;
}
_Static_assert((int)ROOM >= (int)READ_ROOM, "one room for datagrams and for streams");
