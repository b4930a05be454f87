/*
 * sakimorid with the real parent, front and out, and small stand-ins for keyd, brain, vault and opener: each answers
 * just what front's and parent's tests ask.  The end-to-end tests use the real ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/tls.h"
#include "crypto/x509.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimorid/parent.h"

static void answer(struct sm_ipc *ipc, const struct sm_ipc_msg *m, json_t *j)
{
    child_reply_json(ipc, m, j);
    json_decref(j);
}

static char *file_in(struct child *c, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", c->data, name) < 0 ? NULL : path;
}

/* ---- keyd: one CA and one server key, kept over restarts ---- */

struct keyd { struct sm_buf ca_key, ca, key, cert; };

static int keep(struct child *c, const char *name, struct sm_buf *b, bool write)
{
    char *path = file_in(c, name);
    int r = write ? plat_replace(AT_FDCWD, path, sm_buf_span(b), 0600) : plat_fs_read_file(AT_FDCWD, path, 1 << 16, b);

    free(path);
    return r;
}

static int keyd_start(struct child *c)
{
    struct keyd *k = c->state;
    const char *names[] = { "localhost", "127.0.0.1" };
    int64_t now = plat_clock_wall().s;
    int r = crypto_init();

    if (r >= 0 && keep(c, "keys/cert", &k->cert, false) >= 0)
        return keep(c, "keys/ca", &k->ca, false) ?: keep(c, "keys/ca_key", &k->ca_key, false) ?: keep(c, "keys/key", &k->key, false);
    if (r >= 0)
        r = crypto_x509_key_new(&k->ca_key) ?: crypto_x509_key_new(&k->key);
    if (r >= 0)
        r = crypto_x509_ca_new(sm_buf_span(&k->ca_key), "試験クリニック", now, &k->ca);
    if (r >= 0)
        r = crypto_x509_server_new(sm_buf_span(&k->ca), sm_buf_span(&k->ca_key), sm_buf_span(&k->key), names, 2, now, &k->cert);
    if (r >= 0)
        r = keep(c, "keys/ca", &k->ca, true) ?: keep(c, "keys/ca_key", &k->ca_key, true) ?: keep(c, "keys/key", &k->key, true);
    return r < 0 ? r : keep(c, "keys/cert", &k->cert, true);
}

static void k_sign(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct keyd *k = c->state;
    struct sm_rd rd = SM_RD(m->body);
    struct sm_buf sig = SM_BUF_INIT(256);
    unsigned algo = sm_rd_u32(&rd);
    int r = crypto_tls_sign(sm_buf_span(&k->key), algo, SM_SPAN(rd.p, rd.n), &sig);

    if (r < 0)
        child_reply_error(ipc, m, r, "sign");
    else
        child_reply(ipc, m, sm_buf_span(&sig));
    sm_buf_wipe(&sig);
}

static json_t *pem(struct sm_buf *cert)
{
    struct sm_buf text = SM_BUF_INIT(1 << 16);
    json_t *j = crypto_x509_to_pem(sm_buf_span(cert), &text) < 0 ? NULL : json_stringn((char *)text.p, text.n);

    sm_buf_wipe(&text);
    return j;
}

static void k_status(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct keyd *k = c->state;

    answer(ipc, m, json_pack("{s[oo]}", "cert_pem", pem(&k->cert), pem(&k->ca)));
}

static void k_device(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct keyd *k = c->state;
    struct sm_buf cert = SM_BUF_INIT(1 << 16);
    json_t *j = NULL;
    int r = msg_json(m->body, 1 << 16, &j, NULL);

    if (r >= 0)
        r = crypto_x509_device_from_csr(sm_buf_span(&k->ca), sm_buf_span(&k->ca_key),
            SM_SPAN_STR(json_string_value(json_object_get(j, "csr"))), "dev1", plat_clock_wall().s, 30, &cert);
    json_decref(j);
    if (r < 0)
        child_reply_error(ipc, m, r, "csr");
    else
        answer(ipc, m, json_pack("{so}", "cert_pem", pem(&cert)));
    sm_buf_wipe(&cert);
}

static int fake_keyd(struct child *c)
{
    static const struct child_handler handlers[] = {
        { WHO_FRONT, K_TLS_SIGN, k_sign }, { WHO_BRAIN, K_STATUS, k_status }, { WHO_BRAIN, K_CERT_DEVICE, k_device } };
    static const struct child_spec spec = { .handlers = handlers, .handlers_n = 3, .start = keyd_start };
    struct keyd k = { 0 };
    int r;

    c->state = &k;
    r = child_run(c, &spec);
    sm_buf_wipe(&k.ca_key);
    sm_buf_wipe(&k.ca);
    sm_buf_wipe(&k.key);
    sm_buf_wipe(&k.cert);
    return r;
}

/* ---- vault ---- */

enum { UPLOADS = 64 };
struct fake_upload { uint32_t handle; char pack[65]; uint64_t length; int fd; };
struct fake_vault { struct fake_upload u[UPLOADS]; uint32_t next; };

static struct fake_upload *upload_of(struct fake_vault *v, uint32_t handle)
{
    for (int i = 0; i < UPLOADS; i++)
        if (handle && v->u[i].handle == handle)
            return &v->u[i];
    return NULL;
}

static void v_begin(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct fake_vault *v = c->state;
    struct fake_upload *u = NULL;
    json_t *j = NULL;
    char name[100], *path, text[32];
    uint64_t have = 0;

    if (msg_json(m->body, 4096, &j, NULL) < 0)
        return;
    struct sm_obj o = SM_OBJ(j);
    const char *pack = sm_obj_str(&o, "pack", 64, 64);
    uint64_t length = (uint64_t)sm_obj_int(&o, "length", 1, INT64_MAX), offset = (uint64_t)sm_obj_int(&o, "offset", 0, INT64_MAX);
    for (int i = 0; i < UPLOADS && !u; i++)
        if (!v->u[i].handle)
            u = &v->u[i];
    snprintf(name, sizeof name, "vault/%s", pack);
    path = file_in(c, name);
    *u = (struct fake_upload){ .handle = ++v->next, .length = length, .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) };
    free(path);
    snprintf(u->pack, sizeof u->pack, "%s", pack);
    (void)plat_fs_size(u->fd, &have);
    if (have != offset && have < length) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)have);
        child_reply_error(ipc, m, -SM_EMISMATCH, text);
        close(u->fd);
        u->handle = 0;
    } else {
        (void)lseek(u->fd, 0, SEEK_END);
        answer(ipc, m, json_pack("{sIsIsb}", "handle", (json_int_t)u->handle, "have", (json_int_t)have, "done", have == length));
    }
    json_decref(j);
}

static void v_data(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct sm_rd rd = SM_RD(m->body);
    struct fake_upload *u = upload_of(c->state, sm_rd_u32(&rd));
    int r = u ? plat_fs_write_all(u->fd, SM_SPAN(rd.p, rd.n)) : -SM_ENOTFOUND;

    if (r < 0)
        child_reply_error(ipc, m, r, "data");
    else
        child_reply(ipc, m, SM_SPAN(NULL, 0));
}

static int check_pack(struct fake_upload *u)
{
    struct sm_buf b = SM_BUF_INIT((size_t)64 << 20);
    uint8_t sum[32];
    char hex[65];
    uint64_t size = 0;
    int r = plat_fs_size(u->fd, &size);

    if (r >= 0)
        r = sm_buf_reserve(&b, size);
    if (r >= 0)
        r = plat_fs_pread_all(u->fd, b.p, size, 0);
    if (r >= 0) {
        crypto_sha256(SM_SPAN(b.p, size), sum);
        sm_hex(sum, 32, hex);
        r = strcmp(hex, u->pack) ? -SM_ECORRUPT : 0;
    }
    if (r == -SM_ECORRUPT && ftruncate(u->fd, 0) < 0)
        r = -errno;
    sm_buf_wipe(&b);
    return r;
}

static void v_end(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    json_t *j = NULL;
    struct fake_upload *u;
    int r;

    if (msg_json(m->body, 1024, &j, NULL) < 0)
        return;
    u = upload_of(c->state, (uint32_t)json_integer_value(json_object_get(j, "handle")));
    json_decref(j);
    r = !u ? -SM_ENOTFOUND : m->type == V_PACK_END ? check_pack(u) : 0;
    if (r < 0)
        child_reply_error(ipc, m, r, "end");
    else
        answer(ipc, m, json_pack("{sssbss}", "pack", u->pack, "duplicate", 0, "head", "00"));
    if (u) {
        close(u->fd);
        u->handle = 0;
    }
}

/* Object: first byte of the name in KiB, filled with the second; 255 = missing. */
static void v_objects(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    static uint8_t fill[255 << 10];
    json_t *j = NULL;
    struct sm_span raw;
    int r = msg_split(m->body, 4096, &j, &raw, NULL);

    json_decref(j);
    for (size_t i = 0; r >= 0 && i < raw.n / 32; i++) {
        struct sm_buf b = SM_BUF_INIT(1 << 20);
        uint32_t n = raw.p[i * 32] == 255 ? 0 : raw.p[i * 32] * 1024u;
        memset(fill, raw.p[i * 32 + 1], n);
        r = sm_buf_put_u32(&b, raw.p[i * 32] == 255 ? 0xffffffffu : n);
        if (r >= 0)
            r = sm_buf_put(&b, fill, n);
        if (r >= 0)
            r = sm_ipc_reply(ipc, m, i + 1 < raw.n / 32 ? SM_IPC_MORE : 0, sm_buf_span(&b), -1);
        sm_buf_wipe(&b);
    }
    if (r < 0)
        child_reply_error(ipc, m, r, "objects");
}

static int vault_start(struct child *c)
{
    return crypto_init();
}

static int fake_vault(struct child *c)
{
    static const struct child_handler handlers[] = { { WHO_FRONT, V_PACK_BEGIN, v_begin }, { WHO_FRONT, V_PACK_DATA, v_data },
        { WHO_FRONT, V_PACK_END, v_end }, { WHO_FRONT, V_PACK_ABORT, v_end }, { WHO_FRONT, V_OBJECTS, v_objects } };
    static const struct child_spec spec = { .handlers = handlers, .handlers_n = 5, .start = vault_start,
        .queue_max = (size_t)64 << 20 };
    struct fake_vault v = { 0 };

    c->state = &v;
    return child_run(c, &spec);
}

/* ---- opener: the ticket says how many bytes ---- */

struct fake_opener { struct child_late late; uint64_t left; };

static void opener_pump(void *arg)
{
    static uint8_t piece[256 << 10];
    struct child *c = arg;
    struct fake_opener *o = c->state;

    while (o->left) {
        size_t n = o->left < sizeof piece ? (size_t)o->left : sizeof piece;
        memset(piece, 'x', sizeof piece);
        int r = child_reply_late(c, &o->late, n < o->left ? SM_IPC_MORE : 0, SM_SPAN(piece, n));
        if (r == -SM_EAGAIN)
            return;
        o->left = r < 0 ? 0 : o->left - n;
    }
}

static void o_stream(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct fake_opener *o = c->state;
    json_t *j = NULL;

    if (msg_json(m->body, 1024, &j, NULL) < 0)
        return;
    if (o->left)
        child_reply_late_error(c, &o->late, -SM_ECANCEL, "another download began");
    o->late = child_later(c, peer, m);
    o->left = strtoull(json_string_value(json_object_get(j, "ticket")), NULL, 10);
    json_decref(j);
    child_on_drained(c, peer, opener_pump, c);
    opener_pump(c);
}

static int fake_opener(struct child *c)
{
    static const struct child_handler handlers[] = { { WHO_FRONT, O_STREAM, o_stream } };
    static const struct child_spec spec = { .handlers = handlers, .handlers_n = 1 };
    struct fake_opener o = { 0 };

    c->state = &o;
    return child_run(c, &spec);
}

/* ---- brain: the path says what to do ---- */

struct brain {
    struct child *c;
    json_t *children, *results;
    unsigned gone;
    char *chain;
};
struct waiting_http { struct brain *b; struct child_late late; struct sm_timer *timer; uint64_t tag; };

static void http(struct brain *b, const struct child_late *l, int status, json_t *then, json_t *headers, struct sm_span raw)
{
    struct sm_buf body = SM_BUF_INIT(SM_IPC_BODY_MAX);
    json_t *j = json_pack("{sisoso}", "status", status, "headers", headers ? headers : json_object(), "then",
        then ? then : json_null());

    if (msg_join(j, raw, &body) >= 0)
        (void)child_reply_late(b->c, l, 0, sm_buf_span(&body));
    sm_buf_wipe(&body);
    json_decref(j);
}

static void http_json(struct brain *b, const struct child_late *l, int status, json_t *v)
{
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

    http(b, l, status, NULL, NULL, SM_SPAN_STR(text));
    free(text);
    json_decref(v);
}

static void on_later(void *arg)
{
    struct waiting_http *w = arg;

    http_json(w->b, &w->late, 200, json_pack("{sb}", "late", 1));
    sm_timer_free(w->timer);
    free(w);
}

static void passed_on(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct waiting_http *w = arg;
    json_t *j = NULL;

    if (err >= 0 && m->body.n && msg_json(m->body, 1 << 16, &j, NULL) >= 0)
        http_json(w->b, &w->late, 200, j);
    else
        http_json(w->b, &w->late, err < 0 ? 502 : 200, json_pack("{siss}", "err", -err, "text", text ? text : ""));
    free(w);
}

static void pass_on(struct brain *b, const struct child_late *l, unsigned to, uint16_t type, struct sm_span raw, unsigned flags)
{
    struct waiting_http *w = calloc(1, sizeof *w);

    *w = (struct waiting_http){ .b = b, .late = *l };
    if (child_ask(b->c, to, type, raw, passed_on, w, flags) < 0)
        passed_on(w, -SM_EAGAIN, NULL, "not asked");
}

static void big(struct brain *b, const struct child_late *l)
{
    struct sm_buf body = SM_BUF_INIT(SM_IPC_BODY_MAX);
    json_t *j = json_pack("{sis{ss}}", "status", 200, "headers", "content-type", "application/octet-stream");
    char *piece = malloc(900 << 10);

    memset(piece, 'b', 900 << 10);
    (void)!msg_join(j, SM_SPAN(piece, 900 << 10), &body);
    (void)child_reply_late(b->c, l, SM_IPC_MORE, sm_buf_span(&body));
    for (int i = 1; i < 10; i++)
        (void)child_reply_late(b->c, l, i < 9 ? SM_IPC_MORE : 0, SM_SPAN(piece, 900 << 10));
    free(piece);
    sm_buf_wipe(&body);
    json_decref(j);
}

static const char *q(const json_t *req, const char *name)
{
    const char *v = json_string_value(json_object_get(json_object_get(req, "query"), name));

    return v ? v : "";
}

static void agent_paths(struct brain *b, const struct child_late *l, const json_t *req, struct sm_span raw, const char *path)
{
    const json_t *h = json_object_get(req, "headers");
    const char *pack = strrchr(path, '/') + 1, *off, *len;

    if (strstr(path, "/packs/")) {
        off = json_string_value(json_object_get(h, "x-sakimori-offset"));
        len = json_string_value(json_object_get(h, "x-sakimori-length"));
        if (!strncmp(pack, "denied", 6))
            http_json(b, l, 403, json_pack("{s{ss}}", "error", "code", "denied"));
        else
            http(b, l, 200, json_pack("{sssssssIsI}", "vault", "pack", "session", "s1", "pack", pack, "offset",
                (json_int_t)strtoll(off ? off : "0", NULL, 10), "length", (json_int_t)strtoll(len ? len : "0", NULL, 10)),
                NULL, SM_SPAN(NULL, 0));
    } else if (strstr(path, "/objects")) {
        http(b, l, 200, json_pack("{ssss}", "vault", "objects", "grant", "g"), NULL, raw);
    } else {
        json_t *copy = json_deep_copy(req);
        json_object_set_new(copy, "body_n", json_integer((json_int_t)raw.n));
        http_json(b, l, 200, copy);
    }
}

static void api_paths(struct brain *b, const struct child_late *l, json_t *req, struct sm_span raw, const char *name)
{
    struct waiting_http *w;

    if (!strcmp(name, "late")) {
        w = calloc(1, sizeof *w);
        *w = (struct waiting_http){ .b = b, .late = *l };
        (void)!sm_loop_timer(b->c->loop, strtoull(q(req, "ms"), NULL, 10), 0, on_later, w, &w->timer);
    } else if (!strcmp(name, "never")) {
        return;
    } else if (!strcmp(name, "gone")) {
        http_json(b, l, 200, json_pack("{si}", "gone", (int)b->gone));
    } else if (!strcmp(name, "children")) {
        http_json(b, l, 200, json_deep_copy(b->children));
    } else if (!strcmp(name, "results")) {
        http_json(b, l, 200, json_deep_copy(b->results));
    } else if (!strcmp(name, "config")) {
        http_json(b, l, 200, json_deep_copy(b->c->config));
    } else if (!strcmp(name, "events")) {
        http(b, l, 200, json_pack("{s[ss]ss}", "events", "today", "run", "session", q(req, "session")), NULL, SM_SPAN(NULL, 0));
    } else if (!strcmp(name, "fire")) {
        json_t *e = json_pack("{ssss s{ss}}", "topic", q(req, "topic"), "id", "7", "data", "text", q(req, "text"));
        (void)child_notify_json(b->c, WHO_FRONT, F_EVENT, e);
        json_decref(e);
        http_json(b, l, 200, json_object());
    } else if (!strcmp(name, "drop")) {
        json_t *e = json_pack("{ss}", "session", q(req, "session"));
        (void)child_notify_json(b->c, WHO_FRONT, F_DROP, e);
        json_decref(e);
        http_json(b, l, 200, json_object());
    } else if (!strcmp(name, "file")) {
        http(b, l, 200, json_pack("{sssssI}", "opener", "stream", "ticket", q(req, "n"), "length",
            (json_int_t)strtoll(q(req, "n"), NULL, 10)), json_pack("{ss}", "content-disposition", "attachment"), SM_SPAN(NULL, 0));
    } else if (!strcmp(name, "big")) {
        big(b, l);
    } else if (!strcmp(name, "cookies")) {
        http(b, l, 200, NULL, json_pack("{s[ss]ssss}", "Set-Cookie", "a=1", "b=2", "X-Evil", "no", "Content-Type", "text/plain"),
            SM_SPAN("hi", 2));
    } else if (!strcmp(name, "opener") || !strcmp(name, "mailset")) {
        pass_on(b, l, WHO_PARENT, !strcmp(name, "opener") ? P_OPENER : P_MAIL, raw, 0);
    } else if (!strcmp(name, "wallset") || !strcmp(name, "houseset")) {
        pass_on(b, l, WHO_PARENT, !strcmp(name, "wallset") ? P_FIREWALL : P_HOUSE, raw, 0);
    } else if (!strcmp(name, "mail") || !strcmp(name, "hook")) {
        pass_on(b, l, WHO_OUT, !strcmp(name, "mail") ? X_MAIL : X_WEBHOOK, raw, 0);
    } else if (!strcmp(name, "device")) {
        pass_on(b, l, WHO_KEYD, K_CERT_DEVICE, raw, CHILD_IDEMPOTENT);
    } else {
        json_object_set_new(req, "body_n", json_integer((json_int_t)raw.n));
        http_json(b, l, 200, json_incref(req));
    }
}

static void b_http(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct brain *b = c->state;
    struct child_late l = child_later(c, peer, m);
    json_t *req = NULL;
    struct sm_span raw;
    const char *path;

    if (msg_split(m->body, SM_IPC_BODY_MAX, &req, &raw, NULL) < 0)
        return;
    path = json_string_value(json_object_get(req, "path"));
    if (!strncmp(path, "/agent/", 7))
        agent_paths(b, &l, req, raw, path);
    else
        api_paths(b, &l, req, raw, strrchr(path, '/') + 1);
    json_decref(req);
}

static void b_gone(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct brain *b = c->state;

    b->gone++;
}

static void p_child(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct brain *b = c->state;
    json_t *j = NULL;

    if (msg_json(m->body, 8192, &j, NULL) >= 0)
        json_object_set(b->children, json_string_value(json_object_get(j, "name")), j);
    json_decref(j);
}

static void x_result(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct brain *b = c->state;
    json_t *j = NULL;

    if (msg_json(m->body, 8192, &j, NULL) >= 0)
        json_array_append(b->results, j);
    json_decref(j);
}

static void got_cert(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct brain *b = arg;

    if (err < 0)
        return;
    free(b->chain);
    b->chain = strndup((const char *)m->body.p, m->body.n);
    (void)child_notify(b->c, WHO_FRONT, F_CERT, SM_SPAN_STR(b->chain));
}

static void brain_attached(struct child *c, unsigned peer, struct sm_ipc *ipc)
{
    struct brain *b = c->state;

    if (peer == WHO_FRONT && b->chain)
        (void)child_notify(c, WHO_FRONT, F_CERT, SM_SPAN_STR(b->chain));
    else if (peer == WHO_FRONT)
        (void)!child_ask(c, WHO_KEYD, K_STATUS, SM_SPAN("{}", 2), got_cert, b, CHILD_IDEMPOTENT);
}

static int brain_ready(struct child *c)
{
    json_t *j = json_pack("{ss}", "setup_code", "TEST-CODE");

    child_note(c, j);
    json_decref(j);
    return 0;
}

static int fake_brain(struct child *c)
{
    static const struct child_handler handlers[] = { { WHO_FRONT, B_HTTP, b_http }, { WHO_FRONT, B_GONE, b_gone },
        { WHO_PARENT, P_CHILD, p_child }, { WHO_OUT, X_RESULT, x_result } };
    static const struct child_spec spec = { .handlers = handlers, .handlers_n = 4, .ready = brain_ready,
        .attached = brain_attached, .queue_max = (size_t)32 << 20 };
    struct brain b = { .c = c, .children = json_object(), .results = json_array() };
    int r;

    c->state = &b;
    r = child_run(c, &spec);
    json_decref(b.children);
    json_decref(b.results);
    free(b.chain);
    return r;
}

#define W(p) { .path = (p), .write = true }
#define R(p) { .path = (p), .optional = true }
static const struct child_row rows[] = {
    { "keyd", WHO_KEYD, fake_keyd, "keyd", "_sakimori-keyd", { W("keys") }, 64, false },
    { "vault", WHO_VAULT, fake_vault, "vault", "_sakimori-vault", { W("vault") }, 256, false },
    { "brain", WHO_BRAIN, fake_brain, "brain", "_sakimori-brain", { W("state") }, 256, false },
    { "out", WHO_OUT, out_main, "out", "_sakimori-out", { R("/etc"), R("/usr/lib"), R("/lib"), R("/lib64") }, 256, false },
    { "front", WHO_FRONT, front_main, "front", "_sakimori-front", { { 0 } }, 4096, false },
    { "opener", WHO_OPENER, fake_opener, "opener", "_sakimori-opener", { { 0 } }, 64, true },
};

int main(int argc, char **argv)
{
    return sakimorid_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
