/* A machine joins: hello, join, renew.  docs/PROTOCOL-agent.md, Joining. */
#include <errno.h>
#include "api/internal.h"
#include "api/watch.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

#define TRIES 3
#define TRIES_WAIT_S 60
#define CSR_MAX 8192

void join_code_hash(const uint8_t *secret, char ret[65])
{
    uint8_t h[CRYPTO_SHA256_LEN];
    const struct sm_span parts[] = { SM_SPAN_STR("sakimori/v1/join-code"), SM_SPAN(secret, JOIN_SECRET_LEN) };
    crypto_sha256v(parts, 2, h);
    sm_hex(h, sizeof h, ret);
}

void h_hello(struct api_call *c)
{
    const json_t *k = c->api->keys;
    if (!*api_str(k, "recipients")) {
        api_fail_say(c, 503, "setup_needed", NULL, "this box is not set up yet", NULL);
        return;
    }
    api_reply(c, 200,
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:[s,s]}", "box", "sakimori", "vault", api_str(k, "vault"), "ca_pem",
            api_str(k, "ca_pem"), "recipients", api_str(k, "recipients"), "order_pub", api_str(k, "order_pub"),
            "orders_pub", api_str(k, "orders_pub"), "head_pub", api_str(k, "head_pub"), "version", SM_VERSION, "features", "files", "restore"));
}

/* The DER inside a PEM request. */
static int pem_der(const char *pem, struct sm_buf *ret)
{
    static const char begin[] = "-----BEGIN ", end[] = "-----END ";
    const char *p = strstr(pem, begin);
    p = p ? strchr(p, '\n') : NULL;
    const char *e = p ? strstr(p, end) : NULL;
    if (!e)
        return -SM_EFORMAT;
    struct sm_buf b64 = SM_BUF_INIT(CSR_MAX);
    int r = 0;
    for (; p < e && r == 0; p++)
        if (*p != '\n' && *p != '\r' && *p != ' ')
            r = sm_buf_put_u8(&b64, (uint8_t)*p);
    if (r == 0)
        r = sm_unbase64(sm_buf_span(&b64), ret);
    sm_buf_wipe(&b64);
    return r;
}

static int proof_check(
    const char *csr, const uint8_t secret[JOIN_SECRET_LEN], const uint8_t pub[32], const uint8_t proof[64])
{
    struct sm_buf der = SM_BUF_INIT(CSR_MAX), message = SM_BUF_INIT(256);
    uint8_t h[CRYPTO_SHA256_LEN];
    int r = pem_der(csr, &der);
    if (r == 0) {
        crypto_sha256(sm_buf_span(&der), h);
        r = sm_buf_put_span(&message, SM_SPAN_STR("sakimori/v1/join"));
    }
    if (r == 0)
        r = sm_buf_put(&message, h, sizeof h);
    if (r == 0)
        r = sm_buf_put(&message, secret, JOIN_SECRET_LEN);
    if (r == 0)
        r = crypto_sign_verify(pub, sm_buf_span(&message), proof);
    sm_buf_wipe(&der);
    sm_buf_wipe(&message);
    return r;
}

/* Three wrong tries from one address wait a minute; kept in the same table as the people's. */
bool join_waits(struct api_call *c, const char *key)
{
    int64_t wait = fails_wait(c->api, key);
    if (!wait)
        return false;
    api_fail_say(c, 429, "rate", NULL, "too many wrong codes from this address", json_pack("{s:I}", "wait_s",
        (json_int_t)(wait > TRIES_WAIT_S ? TRIES_WAIT_S : wait)));
    return true;
}

void join_wrong(struct api_call *c, const char *key)
{
    int64_t now = api_now();
    int64_t n = state_number(c->api->state, STATE_fail_count, 0, STATE_ARGS(state_t(key), state_i(now - 3600))) + 1;
    /* Refused in any case; the count only slows the next tries. */
    (void)!state_do(c->api->state, STATE_fail_set,
        STATE_ARGS(state_t(key), state_i(n), state_i(n % TRIES == 0 ? now + TRIES_WAIT_S : 0), state_i(now)));
    api_fail_say(c, 403, "denied", "secret", "wrong, used or expired join code", NULL);
}

static void join_undo(struct api_call *c)
{
    /* The code may be used again: nothing was joined with it.  If even this fails, a new code is made by a person. */
    (void)!state_do(c->api->state, STATE_code_release, STATE_ARGS(state_t(api_str(c->mem, "hash"))));
}

static void join_client(struct api_call *c, int err, struct sm_span body, const char *text)
{
    struct api *a = c->api;
    const json_t *m = c->mem, *k = a->keys;
    if (err < 0)
        join_undo(c);
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    int r = state_do(a->state, STATE_device_add,
        STATE_ARGS(state_t(api_str(m, "device")), state_t(api_str(m, "client")), state_t(api_str(m, "name")),
            state_t(api_str(c->body, "hostname")), state_t(api_str(c->body, "os")),
            state_t(api_str(c->body, "machine_id")), state_t(api_str(c->body, "agent_version")),
            state_t(api_str(c->body, "sign_pub")), state_t(api_str(m, "cert")), state_i(api_int(m, "until_s", 0)),
            state_i(api_int(m, "days", 0)), state_i(api_now()), state_j(json_object_get(c->body, "features"))));
    if (r < 0) {
        join_undo(c);
        api_fail_err(c, r, NULL);
        return;
    }
    logs_configure(a, false); /* its logs bear its name */
    json_t *inst = state_setting(a->state, "institution");
    api_event(a, "device", api_str(m, "device"),
        json_pack("{s:s,s:s,s:s}", "id", api_str(m, "device"), "name", api_str(m, "name"), "state", "ok"));
    json_t *out = json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:s,s:s,s:s,s:s,s:s}", "device", api_str(m, "device"), "client",
        api_str(m, "client"), "cert_pem", api_str(m, "cert_pem"), "ca_pem", api_str(k, "ca_pem"), "vault",
        api_str(k, "vault"), "not_after", api_time(api_int(m, "until_s", 0)), "recipients", api_str(k, "recipients"),
        "order_pub", api_str(k, "order_pub"), "head_pub", api_str(k, "head_pub"), "institution", api_str(inst, "name"),
        "name", api_str(m, "name"));
    json_decref(inst);
    api_reply(c, 200, out);
}

static void join_cert(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err < 0)
        join_undo(c);
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    api_set(c->mem, "cert", json_string(api_str(j, "cert_sha256")));
    api_set(c->mem, "cert_pem", json_string(api_str(j, "cert_pem")));
    api_set(c->mem, "until_s", json_integer(api_int(j, "not_after_s", 0)));
    json_decref(j);
    api_ask(c, "V_CLIENT",
        json_pack("{s:s,s:s,s:s,s:s,s:s}", "client", api_str(c->mem, "client"), "name", api_str(c->mem, "name"),
            "sign_pub", api_str(c->body, "sign_pub"), "recipients", api_str(c->api->keys, "fingerprint"), "state",
            "joined"),
        join_client);
}

void h_join(struct api_call *c)
{
    struct api *a = c->api;
    struct sm_obj o = SM_OBJ(c->body);
    uint8_t secret[JOIN_SECRET_LEN], pub[32], proof[64];
    char hash[65], key[96], device[API_ID_TEXT], client[API_ID_TEXT];
    sm_obj_hex(&o, "secret", secret, sizeof secret);
    const char *csr = sm_obj_str(&o, "csr", 1, CSR_MAX), *host = sm_obj_str(&o, "hostname", 1, 255);
    sm_obj_hex(&o, "sign_pub", pub, sizeof pub);
    sm_obj_hex(&o, "sign_proof", proof, sizeof proof);
    (void)sm_obj_str_opt(&o, "os", 255);            /* looked at for their length alone */
    (void)sm_obj_str_opt(&o, "machine_id", 128);
    (void)sm_obj_str_opt(&o, "agent_version", 64);
    if (json_object_get(c->body, "features"))
        (void)sm_obj_arr(&o, "features", 64);
    if (api_refused(c, &o))
        return;
    (void)snprintf(key, sizeof key, "j:%s", c->who.remote); /* fits */
    if (join_waits(c, key))
        return;
    join_code_hash(secret, hash);
    api_audit_what(c, "%s", host);
    json_t *code = api_row(a, STATE_code, STATE_ARGS(state_t(hash), state_i(api_now())));
    if (!code || proof_check(csr, secret, pub, proof) < 0) {
        json_decref(code);
        join_wrong(c, key);
        return;
    }
    api_id(device);
    api_id(client);
    c->mem = (json_decref(c->mem), json_pack("{s:s,s:s,s:s,s:s,s:I}", "hash", hash, "device", device, "client", client,
                                       "name", api_str(code, "name"), "days", (json_int_t)api_int(code, "days", 365)));
    json_decref(code);
    api_audit_what(c, "%s %s", device, host);
    if (!c->mem || state_do(a->state, STATE_code_use, STATE_ARGS(state_i(api_now()), state_t(hash))) != 1)
        join_wrong(c, key);
    else
        api_ask(c, "K_CERT_DEVICE",
            json_pack("{s:s,s:s,s:I}", "csr", csr, "device", device, "days", (json_int_t)api_int(c->mem, "days", 365)),
            join_cert);
}

static void renewed(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    /* The one it came with goes on until its own end: the answer may be lost on its way, and that more than once. */
    if (api_do(c, STATE_device_cert,
            STATE_ARGS(state_t(api_str(json_object_get(c->req, "peer"), "cert_sha256")),
                state_t(api_str(j, "cert_sha256")), state_i(api_int(j, "not_after_s", 0)), state_t(c->who.device))))
        api_reply(c, 200,
            json_pack(
                "{s:s,s:o}", "cert_pem", api_str(j, "cert_pem"), "not_after", api_time(api_int(j, "not_after_s", 0))));
    json_decref(j);
}

void h_renew(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *csr = sm_obj_str(&o, "csr", 1, CSR_MAX);
    if (api_refused(c, &o))
        return;
    json_t *d = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->who.device)));
    int64_t days = api_int(d, "days", 365);
    json_decref(d);
    api_ask(c, "K_CERT_DEVICE",
        json_pack("{s:s,s:s,s:I}", "csr", csr, "device", c->who.device, "days", (json_int_t)days), renewed);
}
