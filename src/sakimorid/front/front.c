/* The process: doors, connections, certificate, clock. */
#include "sakimorid/front/front.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/log.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/tls.h"
#include "crypto/x509.h"
#include "plat/clock.h"
#include "plat/local.h"

enum { TICK_MS = 1000, RUNS_A_TURN = 64, SIGN_MS = 3000, TLS_IN = 16 << 10, TLS_IN_PACK = 256 << 10, IDLE_RUN_MS = 1000 };

static const char *const door_names[DOORS] = { "console", "agent", "local" };

/* ---- connections ---- */

/* An empty buffer of the size that what comes next is worth. */
static bool tls_room(struct conn *c)
{
    size_t want = c->req && c->req->is_pack ? TLS_IN_PACK : TLS_IN;

    if (c->in && c->in_size == want)
        return true;
    free(c->in);
    c->in = malloc(want);
    c->in_size = want;
    c->in_at = c->in_n = 0;
    return c->in != NULL;
}

/*
 * GnuTLS asks for five bytes, then for the rest of a record: two system calls a record.  With a buffer in between it is
 * one call for several.  MHD's epoll is edge-triggered and it reads until EAGAIN, so bytes that wait here are
 * never forgotten.
 */
static ssize_t tls_pull(gnutls_transport_ptr_t arg, void *to, size_t n)
{
    struct conn *c = arg;

    if (c->in_at == c->in_n) {
        ssize_t k;
        if (!tls_room(c)) {
            errno = ENOMEM;
            return -1;
        }
        k = recv(c->fd, c->in, c->in_size, MSG_DONTWAIT);
        c->door->progress += !(k < 0 && errno == EAGAIN);
        if (k <= 0)
            return k;
        c->in_at = 0;
        c->in_n = (size_t)k;
    }
    if (n > c->in_n - c->in_at)
        n = c->in_n - c->in_at;
    memcpy(to, c->in + c->in_at, n);
    c->in_at += n;
    c->door->progress++;
    return (ssize_t)n;
}

static int tls_pull_timeout(gnutls_transport_ptr_t arg, unsigned ms)
{
    struct conn *c = arg;
    struct pollfd p = { .fd = c->fd, .events = POLLIN };

    return c->in_at < c->in_n ? 1 : poll(&p, 1, (int)ms);
}

static ssize_t tls_push(gnutls_transport_ptr_t arg, const void *from, size_t n)
{
    struct conn *c = arg;
    ssize_t k = send(c->fd, from, n, MSG_NOSIGNAL | MSG_DONTWAIT);

    c->door->progress += !(k < 0 && errno == EAGAIN);
    return k;
}

static void tls_begin(struct conn *c)
{
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(c->mc, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session = i ? i->tls_session : NULL;

    if (!session)
        return;
    gnutls_transport_set_ptr(session, c);
    gnutls_transport_set_pull_function(session, tls_pull);
    gnutls_transport_set_pull_timeout_function(session, tls_pull_timeout);
    gnutls_transport_set_push_function(session, tls_push);
    if (c->door->kind == DOOR_AGENT)
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
}

static void conn_open(struct door *d, struct MHD_Connection *mc, void **context)
{
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(mc, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct conn *c = calloc(1, sizeof *c);
    struct plat_peer peer;

    d->progress++;
    *context = c;
    if (!c)
        return; /* its requests are refused */
    *c = (struct conn){ .f = d->f, .door = d, .mc = mc, .fd = i ? i->connect_fd : -1, .uid = -1, .fresh = true,
        .idle_since_ms = plat_clock_mono_ms() };
    snprintf(c->remote, sizeof c->remote, "local");
    if (d->kind == DOOR_LOCAL) {
        if (plat_local_peer(c->fd, &peer) >= 0)
            c->uid = peer.uid;
    } else if (plat_tcp_peer(c->fd, c->remote, NULL) < 0) {
        snprintf(c->remote, sizeof c->remote, "unknown");
    }
    c->prev = &d->f->conns;
    c->next = d->f->conns;
    if (c->next)
        c->next->prev = &c->next;
    d->f->conns = c;
    if (d->kind != DOOR_LOCAL)
        tls_begin(c);
}

static void conn_close(struct conn *c)
{
    if (!c)
        return;
    if (c->next)
        c->next->prev = c->prev;
    *c->prev = c->next;
    free(c->in);
    free(c);
}

static void on_connection(void *arg, struct MHD_Connection *mc, void **context,
    enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        conn_open(arg, mc, context);
        return;
    }
    conn_close(*context);
    *context = NULL;
}

/* Who showed a certificate: ours, valid, for clients?  Once a connection; TLS 1.3 here has no renegotiation. */
static void conn_know_peer(struct conn *c)
{
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(c->mc, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    struct sm_buf der = SM_BUF_INIT(CRYPTO_CERT_MAX);
    struct crypto_cert_info info;
    int r = i && i->tls_session ? crypto_tls_peer_cert(i->tls_session, &der) : -SM_ENOTFOUND;

    c->peer_known = true;
    if (r >= 0)
        r = crypto_x509_verify_client(sm_buf_span(&c->f->ca_der), sm_buf_span(&der), plat_clock_wall().s, &info);
    sm_buf_wipe(&der);
    if (r >= 0) {
        c->peer_ok = true;
        sm_hex(info.fingerprint, 32, c->peer_sha256);
        snprintf(c->peer_cn, sizeof c->peer_cn, "%.127s", info.cn);
        c->peer_not_after_s = info.not_after_s;
    } else if (r != -SM_ENOTFOUND) {
        snprintf(c->peer_error, sizeof c->peer_error, "%s", sm_errname(r));
    }
}

/* ---- MHD's callbacks ---- */

static struct conn *conn_of(struct MHD_Connection *mc)
{
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(mc, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return i ? i->socket_context : NULL;
}

static void *on_target(void *arg, const char *uri, struct MHD_Connection *mc)
{
    struct conn *c = conn_of(mc);

    return c ? req_new(c, uri) : NULL;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *mc, const char *url, const char *method,
    const char *version, const char *data, size_t *data_n, void **context)
{
    struct door *d = arg;
    struct req *r = *context;

    d->progress++;
    if (!r)
        return MHD_NO;
    if (d->kind == DOOR_AGENT && !r->conn->peer_known)
        conn_know_peer(r->conn);
    return req_handle(r, method, data, data_n);
}

static void on_completed(void *arg, struct MHD_Connection *mc, void **context, enum MHD_RequestTerminationCode code)
{
    ((struct door *)arg)->progress++;
    if (*context)
        req_free(*context, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    *context = NULL;
}

/* Names are decoded in target.c from the bytes as they came; MHD's own copy is not looked at. */
static size_t keep_escaped(void *arg, struct MHD_Connection *mc, char *s)
{
    return strlen(s);
}

/* ---- doors ---- */

/*
 * Let MHD work until it has nothing to do.  MHD 0.9.75 keeps a TLS handshake that waits for its client on the list of
 * ready connections: a run in which no byte moved and no callback ran therefore ends the turn as well, and
 * the next bytes wake us through epoll.
 */
static void door_run(struct door *d)
{
    MHD_UNSIGNED_LONG_LONG wait = IDLE_RUN_MS;

    for (int i = 0; i < RUNS_A_TURN; i++) {
        uint64_t before = d->progress;
        d->kicked = false;
        if (MHD_run(d->d) != MHD_YES) {
            child_fatal(d->f->c, "the %s door is broken", door_names[d->kind]);
            return;
        }
        bool more = MHD_get_timeout(d->d, &wait) == MHD_YES && wait == 0, owed = d->resumed > 0;
        d->resumed -= owed;
        if (!d->kicked && !owed && !(more && d->progress != before)) {
            sm_timer_set(d->timer, IDLE_RUN_MS, 0);
            return;
        }
    }
    sm_timer_set(d->timer, 0, 0);
}

static void on_door(void *arg, int fd, unsigned events)
{
    door_run(arg);
}

static void on_door_timer(void *arg)
{
    door_run(arg);
}

void front_kick(struct door *d)
{
    d->kicked = true;
    if (d->timer)
        sm_timer_set(d->timer, 0, 0);
}

#define OPTIONS_OF(d, fd)                                                                                              \
    MHD_OPTION_LISTEN_SOCKET, (fd), MHD_OPTION_URI_LOG_CALLBACK, on_target, (d), MHD_OPTION_NOTIFY_CONNECTION,           \
        on_connection, (d), MHD_OPTION_NOTIFY_COMPLETED, on_completed, (d), MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped,  \
        (d), MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_LIMIT, (d)->f->connections,                          \
        MHD_OPTION_CONNECTION_TIMEOUT, (d)->f->idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)FRONT_POOL,           \
        MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)(32 << 10)

static struct MHD_Daemon *start_daemon(struct door *d)
{
    const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    int fd = fcntl(d->fd, F_DUPFD_CLOEXEC, 3);
    struct MHD_Daemon *m;

    if (fd < 0)
        return NULL;
    if (d->kind == DOOR_LOCAL)
        m = MHD_start_daemon(flags, 0, NULL, NULL, on_request, d, OPTIONS_OF(d, fd), MHD_OPTION_END);
    else
        m = MHD_start_daemon(flags | MHD_USE_TLS, 0, NULL, NULL, on_request, d, OPTIONS_OF(d, fd),
            MHD_OPTION_PER_IP_CONNECTION_LIMIT, d->f->per_address, MHD_OPTION_HTTPS_PRIORITIES, CRYPTO_TLS_PRIORITY,
            MHD_OPTION_HTTPS_CERT_CALLBACK, crypto_tls_cert_callback, MHD_OPTION_END);
    if (!m)
        close(fd);
    return m;
}

static int door_open(struct door *d)
{
    const union MHD_DaemonInfo *i;
    int r;

    if (d->d || d->fd < 0 || (d->kind != DOOR_LOCAL && !d->f->chain))
        return 0;
    r = sm_loop_timer(d->f->c->loop, UINT64_MAX, 0, on_door_timer, d, &d->timer);
    if (r < 0)
        return r;
    d->d = start_daemon(d);
    if (!d->d)
        return -SM_ECRYPTO;
    i = MHD_get_daemon_info(d->d, MHD_DAEMON_INFO_EPOLL_FD);
    if (!i)
        return -SM_EUNSUPPORTED;
    r = sm_loop_fd(d->f->c->loop, i->epoll_fd, SM_READ, on_door, d, &d->watch);
    if (r >= 0)
        sm_timer_set(d->timer, 0, 0);
    return r;
}

static void door_close(struct door *d)
{
    sm_watch_free(d->watch);
    d->watch = NULL;
    if (d->d)
        MHD_stop_daemon(d->d);
    d->d = NULL;
    sm_timer_free(d->timer);
    d->timer = NULL;
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

static void open_doors(struct front *f)
{
    for (int i = 0; i < DOORS; i++) {
        int r = door_open(&f->doors[i]);
        if (r < 0)
            child_fatal(f->c, "the %s door does not open: %s", door_names[i], sm_strerror(r));
    }
}

static void on_listen(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct front *f = c->state;
    json_t *j = NULL;
    const char *what;

    if (m->fd < 0 || msg_json(m->body, 1024, &j, NULL) < 0)
        return;
    what = json_string_value(json_object_get(j, "what"));
    for (int i = 0; i < DOORS && what; i++)
        if (!strcmp(what, door_names[i]) && f->doors[i].fd < 0) {
            f->doors[i].fd = m->fd;
            m->fd = -1;
            break;
        }
    json_decref(j);
    open_doors(f);
}

/* ---- certificate ---- */

static int sign(void *arg, unsigned algo, struct sm_span hash, struct sm_buf *ret_sig)
{
    struct front *f = arg;
    struct sm_buf body = SM_BUF_INIT(256);
    int r = sm_buf_put_u32(&body, algo);

    if (r >= 0)
        r = sm_buf_put_span(&body, hash);
    if (r >= 0)
        r = child_call(f->c, WHO_KEYD, K_TLS_SIGN, sm_buf_span(&body), SIGN_MS, ret_sig, NULL);
    sm_buf_wipe(&body);
    return r;
}

/* The chain as one PEM text, whether it came as text or as array. */
static char *chain_text(const json_t *v)
{
    struct sm_buf all = SM_BUF_INIT(CRYPTO_CERT_MAX * 4);
    json_t *one;
    size_t i;
    int r = 0;
    char *text = NULL;

    if (json_is_string(v))
        return strdup(json_string_value(v));
    json_array_foreach (v, i, one)
        if (r >= 0 && json_is_string(one))
            r = sm_buf_printf(&all, "%s\n", json_string_value(one));
    if (r >= 0 && all.n)
        text = strndup((const char *)all.p, all.n);
    sm_buf_wipe(&all);
    return text;
}

static size_t split_chain(const char *text, struct sm_span ret[4])
{
    static const char end[] = "-----END CERTIFICATE-----";
    size_t n = 0;

    for (const char *p = strstr(text, "-----BEGIN"); p && n < 4; p = strstr(p, "-----BEGIN")) {
        const char *e = strstr(p, end);
        if (!e)
            break;
        e += sizeof end - 1;
        ret[n++] = SM_SPAN(p, (size_t)(e - p));
        p = e;
    }
    return n;
}

static void say_serving(struct front *f)
{
    json_t *j = json_pack("{sbss}", "serving", 1, "ca_fingerprint", f->ca_sha256);

    if (j)
        child_note(f->c, j);
    json_decref(j);
}

static int use_chain(struct front *f, char *text)
{
    struct sm_span chain[4];
    struct sm_buf der = SM_BUF_INIT(CRYPTO_CERT_MAX);
    struct crypto_tls_identity *id = NULL;
    uint8_t hash[32];
    size_t n = split_chain(text, chain);
    int r = n < 2 ? -SM_EFORMAT : crypto_x509_to_der(chain[n - 1], &der);

    if (r >= 0)
        r = crypto_tls_identity_new(chain, n, sign, f, &id);
    if (r < 0) {
        sm_buf_wipe(&der);
        return r;
    }
    crypto_tls_install(id);
    sm_buf_wipe(&f->ca_der);
    f->ca_der = der;
    crypto_sha256(sm_buf_span(&der), hash);
    sm_hex(hash, sizeof hash, f->ca_sha256);
    free(f->chain);
    f->chain = text;
    return 0;
}

static void on_cert(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct front *f = c->state;
    json_t *j = NULL;
    char *text = NULL;
    int r = msg_json(m->body, 64 << 10, &j, NULL);

    if (r >= 0)
        text = chain_text(json_object_get(j, "cert_pem"));
    json_decref(j);
    if (!text || (f->chain && !strcmp(text, f->chain))) {
        free(text);
        return;
    }
    r = use_chain(f, text);
    if (r < 0) {
        free(text);
        sm_error("the certificate cannot be used: %s", sm_strerror(r));
        return;
    }
    open_doors(f);
    say_serving(f);
}

/* ---- events ---- */

static void on_event(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    json_t *j = NULL;

    if (msg_json(m->body, 256 << 10, &j, NULL) >= 0)
        stream_on_event(c->state, j);
    json_decref(j);
}

static void on_drop(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    json_t *j = NULL;
    const char *session;

    if (msg_json(m->body, 1024, &j, NULL) >= 0 &&
        (session = json_string_value(json_object_get(j, "session"))) != NULL)
        stream_on_drop(c->state, session);
    json_decref(j);
}

/* ---- the clock ---- */

/* Is this connection too slow for what it is doing? */
static bool too_slow(const struct conn *c, uint64_t now)
{
    const struct req *r = c->req;
    uint64_t idle = c->f->idle_s * 1000ull, head = idle < FRONT_HEAD_MS ? idle : FRONT_HEAD_MS, used;

    if (!r)
        return now - c->idle_since_ms > (c->fresh ? head : idle + head);
    if (r->phase == REQ_HEAD)
        return now - r->began_ms > head;
    if (r->in_head || r->suspended || r->phase == REQ_SENT)
        return false;
    used = now - r->body_ms - r->paused_ms;
    return used > FRONT_BODY_SLACK_MS + r->body_bytes * 1000 / FRONT_BODY_BYTES_PER_S;
}

/* A connection that rests is not read from, so MHD does not see its client go: look. */
static bool client_gone(const struct conn *c)
{
    struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };

    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void on_tick(void *arg)
{
    struct front *f = arg;
    uint64_t now = plat_clock_mono_ms();

    for (struct conn *c = f->conns; c; c = c->next) {
        if (too_slow(c, now)) {
            (void)shutdown(c->fd, SHUT_RDWR); /* MHD then reads the end */
            continue;
        }
        if (!c->req)
            continue;
        if (c->req->suspended && now - c->req->paused_since_ms > 500 && client_gone(c)) {
            req_gone(c->req);
            continue;
        }
        req_tick(c->req, now);
    }
    stream_tick(f);
}

/* ---- life ---- */

/* The console's files may lie where only the starting user can read. */
static int early(struct child *c)
{
    struct front *f = c->state;
    struct sm_obj o = SM_OBJ(c->config);
    const char *web = sm_obj_str(&o, "web", 1, 4000);
    int r = o.err ? o.err : web_load(web, &f->web);

    if (r < 0)
        sm_warn("no console: %s: %s", web, sm_strerror(r)); /* the API works without */
    return crypto_init();
}

static int start(struct child *c)
{
    struct front *f = c->state;
    struct sm_obj s = SM_OBJ(json_object_get(c->config, "settings"));

    f->connections = (unsigned)sm_obj_int_opt(&s, "connections", 1, 4096, 256);
    f->per_address = (unsigned)sm_obj_int_opt(&s, "connections_per_address", 1, 4096, 64);
    f->idle_s = (unsigned)sm_obj_int_opt(&s, "idle", 1, 600, 60);
    return sm_loop_timer(c->loop, TICK_MS, TICK_MS, on_tick, f, &f->tick);
}

static void gone(struct child *c, unsigned peer)
{
    struct front *f = c->state;

    if (peer == WHO_OPENER)
        f->opener_paused = false;
}

static void stop_soon(void *arg)
{
    struct front *f = arg;

    child_done(f->c);
}

/* No new connections; answers under way get a moment. */
static void stop(struct child *c)
{
    struct front *f = c->state;

    f->stopping = true;
    stream_end_all(f);
    for (int i = 0; i < DOORS; i++)
        if (f->doors[i].d) {
            int fd = MHD_quiesce_daemon(f->doors[i].d);
            if (fd >= 0)
                close(fd);
        }
    sm_timer_free(f->tick);
    f->tick = NULL;
    if (sm_loop_timer(c->loop, f->conns ? 300 : 0, 0, stop_soon, f, &f->tick) < 0)
        child_done(c);
}

static void end(struct child *c)
{
    struct front *f = c->state;

    /* MHD wants no connection to rest when it stops. */
    for (struct conn *k = f->conns; k; k = k->next)
        if (k->req && k->req->suspended)
            req_gone(k->req);
    for (int i = 0; i < DOORS; i++)
        door_close(&f->doors[i]);
    sm_timer_free(f->tick);
    crypto_tls_install(NULL);
    web_wipe(&f->web);
    sm_buf_wipe(&f->ca_der);
    free(f->chain);
}

int front_main(struct child *c)
{
    static const struct child_handler handlers[] = {
        { WHO_PARENT, P_LISTEN, on_listen },
        { WHO_BRAIN, F_CERT, on_cert },
        { WHO_BRAIN, F_EVENT, on_event },
        { WHO_BRAIN, F_DROP, on_drop },
    };
    static const struct child_spec spec = {
        .handlers = handlers, .handlers_n = sizeof handlers / sizeof handlers[0], .early = early,
        .start = start, .gone = gone,
        .stop = stop, .end = end, .queue_max = 16 << 20,
    };
    struct front f = { .c = c };

    for (int i = 0; i < DOORS; i++)
        f.doors[i] = (struct door){ .f = &f, .kind = (enum door_kind)i, .fd = -1 };
    c->state = &f;
    return child_run(c, &spec);
}
