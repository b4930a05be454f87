/*
 * Another box at the agent port: it is let in by a code, and then adds to its copy here (docs/PROTOCOL-peer.md).
 * All that
 * is decided here is who it is; what may come in is the vault process's to say.
 */
#include <errno.h>
#include "api/internal.h"

#define CSR_MAX 8192
#define CERT_DAYS 397 /* the near box renews it by itself, from 90 days before its end on */
#define CALLS_OF_ONE 8             /* at a time */
#define SEEN_EVERY_S 60
#define CHECK_EVERY_S (12 * 3600)  /* all is read again by itself every week; a person may ask at any time */
#define PIECE (512 << 10)
#define PACK_MAX ((int64_t)64 << 20)

/* ---- letting in ---- */

static void undo(struct api_call *c)
{
    /* The code may be used again: nobody was let in by it.  If even this fails, a person makes a new one. */
    (void)!state_do(c->api->state, STATE_peer_code_release, STATE_ARGS(state_t(api_str(c->mem, "hash"))));
}

static void joined(struct api_call *c)
{
    struct api *a = c->api;
    const json_t *m = c->mem;
    json_t *inst = state_setting(a->state, "institution");
    api_event(a, "peer", api_str(m, "id"), json_pack("{s:s}", "id", api_str(m, "id")));
    api_reply(c, 200, json_pack("{s:s,s:s,s:s,s:s,s:o,s:s}", "peer", api_str(m, "id"), "cert_pem", api_str(m,
        "cert_pem"),
        "ca_pem", api_str(a->keys, "ca_pem"), "vault", api_str(m, "vault"), "not_after",
        api_time(api_int(m, "until_s", 0)), "institution", api_str(inst, "name")));
    json_decref(inst);
}

/* The folder is there, with its label: now the certificate counts. */
static void folder_made(struct api_call *c, int err, struct sm_span body, const char *text)
{
    const json_t *m = c->mem;
    if (err < 0)
        undo(c);
    if (err == -SM_EAUTH || err == -SM_EMISMATCH || err == -SM_EDENIED || err == -SM_EFORMAT || err == -SM_EVERSION) {
        api_fail_say(c, 422, "label", "label", "the label is not of this vault and head key, or another one is there",
            NULL);
        return;
    }
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    int r = state_do(c->api->state, STATE_peer_add,
        STATE_ARGS(state_t(api_str(m, "id")), state_t(api_str(m, "name")), state_t(api_str(m, "vault")),
            state_t(api_str(m, "head_pub")), state_t(api_str(m, "cert")), state_i(api_int(m, "until_s", 0)),
            state_i(api_int(m, "quota", 0)), state_t(api_str(m, "institution")), state_i(api_now()),
            state_t(c->who.remote), state_t(api_str(m, "by"))));
    if (r < 0) {
        undo(c);
        api_fail_err(c, r, NULL);
        return;
    }
    joined(c);
}

/* A neighbour that is known: its certificate counts now, the one before is nobody's. */
static void known_joined(struct api_call *c)
{
    const json_t *m = c->mem;
    if (api_do(c, STATE_peer_cert,
            STATE_ARGS(state_t(api_str(m, "cert")), state_i(api_int(m, "until_s", 0)), state_t(api_str(m, "id")))))
        joined(c);
}

/* Its folder: there from before, or made anew, for a box that took over has none of them.  A label that does not fit changes
 * nothing there and is no reason to keep the neighbour out. */
static void folder_again(struct api_call *c, int err, struct sm_span body, const char *text)
{
    (void)body;
    (void)text;
    if (err >= 0)
        peer_back(c->api, api_str(c->mem, "id"));
    known_joined(c);
}

static void cert_made(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *m = c->mem;
    if (err < 0)
        undo(c);
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    api_set(m, "cert", json_string(api_str(j, "cert_sha256")));
    api_set(m, "cert_pem", json_string(api_str(j, "cert_pem")));
    api_set(m, "until_s", json_integer(api_int(j, "not_after_s", 0)));
    json_decref(j);
    if (!api_bool(m, "known")) {
        json_t *peer = json_pack("{s:s,s:s,s:s,s:I}", "id", api_str(m, "id"), "vault", api_str(m, "vault"), "head_pub",
            api_str(m, "head_pub"), "quota", (json_int_t)api_int(m, "quota", 0));
        api_ask(c, "V_PEER", json_pack("{s:o,s:s,s:s}", "peer", peer, "label", api_str(m, "label"), "by",
            api_str(m, "by")), folder_made);
    } else if (*api_str(c->body, "label") && strlen(api_str(c->body, "label")) <= 512) {
        api_ask(c, "V_PEER", json_pack("{s:o,s:s,s:s}", "peer", peer_said(c->api, api_str(m, "id")), "label",
            api_str(c->body, "label"), "by", api_str(m, "by")), folder_again);
    } else {
        known_joined(c);
    }
}

/* Into c->mem what the code and the body say.  False after an answer. */
static bool take_body(struct api_call *c, const json_t *code, const char *hash)
{
    struct sm_obj o = SM_OBJ(c->body);
    char id[API_ID_TEXT];
    uint8_t vault[16], head_pub[32];
    const char *known = api_str(code, "peer");
    json_t *row = *known ? api_row(c->api, STATE_peer, STATE_ARGS(state_t(known))) : NULL;
    api_id(id);
    c->mem = (json_decref(c->mem), json_pack("{s:s,s:s,s:b,s:s,s:I,s:s}", "hash", hash, "id", row ? known : id, "known",
        row != NULL, "name", api_str(code, "name"), "quota", (json_int_t)api_int(code, "quota", 0), "by",
        api_str(code, "made_by")));
    if (row) {
        api_set(c->mem, "vault", json_string(api_str(row, "vault")));
        json_decref(row);
        return true;
    }
    sm_obj_hex(&o, "vault", vault, sizeof vault);
    sm_obj_hex(&o, "head_pub", head_pub, sizeof head_pub);
    const char *label = sm_obj_str(&o, "label", 1, 512), *inst = sm_obj_str_opt(&o, "institution", 255);
    if (api_refused(c, &o))
        return false;
    api_set(c->mem, "vault", json_string(api_str(c->body, "vault")));
    api_set(c->mem, "head_pub", json_string(api_str(c->body, "head_pub")));
    api_set(c->mem, "label", json_string(label));
    api_set(c->mem, "institution", json_string(inst ? inst : ""));
    row = api_row(c->api, STATE_peer_by_vault, STATE_ARGS(state_t(api_str(c->body, "vault"))));
    bool twice = row || !strcmp(api_str(c->body, "vault"), api_str(c->api->keys, "vault"));
    json_decref(row);
    if (twice)
        api_fail_say(c, 409, "known", "vault", "this vault has a copy here, or is this box's own", NULL);
    return !twice;
}

void h_far_join(struct api_call *c)
{
    struct api *a = c->api;
    struct sm_obj o = SM_OBJ(c->body);
    uint8_t secret[JOIN_SECRET_LEN];
    char hash[65], key[96], cn[sizeof PEER_CN + API_ID_TEXT];
    sm_obj_hex(&o, "secret", secret, sizeof secret);
    const char *csr = sm_obj_str(&o, "csr", 1, CSR_MAX);
    if (api_refused(c, &o))
        return;
    (void)snprintf(key, sizeof key, "j:%s", c->who.remote); /* fits */
    if (join_waits(c, key))
        return;
    join_code_hash(secret, hash);
    json_t *code = api_row(a, STATE_peer_code, STATE_ARGS(state_t(hash), state_i(api_now())));
    if (!code) {
        join_wrong(c, key);
        return;
    }
    bool good = take_body(c, code, hash);
    json_decref(code);
    if (!good)
        return;
    api_audit_what(c, "%s %s", api_str(c->mem, "id"), api_str(c->mem, "name"));
    (void)snprintf(cn, sizeof cn, PEER_CN "%s", api_str(c->mem, "id")); /* fits */
    if (state_do(a->state, STATE_peer_code_use, STATE_ARGS(state_i(api_now()), state_t(hash))) != 1)
        join_wrong(c, key);
    else
        api_ask(c, "K_CERT_DEVICE", json_pack("{s:s,s:s,s:i}", "csr", csr, "device", cn, "days", CERT_DAYS), cert_made);
}

/* ---- a new certificate before the old one ends ---- */

static void peer_renewed(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    /* The one it came with goes on until its own end: the answer may be lost on its way. */
    if (api_do(c, STATE_peer_renew,
            STATE_ARGS(state_t(api_str(json_object_get(c->req, "peer"), "cert_sha256")), state_t(api_str(j, "cert_sha256")),
                state_i(api_int(j, "not_after_s", 0)), state_t(c->who.device))))
        api_reply(c, 200, json_pack("{s:s,s:o}", "cert_pem", api_str(j, "cert_pem"), "not_after",
            api_time(api_int(j, "not_after_s", 0))));
    json_decref(j);
}

void h_far_renew(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    char cn[sizeof PEER_CN + API_ID_TEXT];
    const char *csr = sm_obj_str(&o, "csr", 1, CSR_MAX);
    if (api_refused(c, &o))
        return;
    (void)snprintf(cn, sizeof cn, PEER_CN "%s", c->who.device); /* fits */
    api_ask(c, "K_CERT_DEVICE", json_pack("{s:s,s:s,s:i}", "csr", csr, "device", cn, "days", CERT_DAYS), peer_renewed);
}

/* ---- every request after that ---- */

/* What the vault is told of the caller, or NULL after an answer. */
static json_t *caller(struct api_call *c)
{
    unsigned n = 0;
    for (const struct api_call *o = c->api->calls; o; o = o->next)
        n += o != c && !o->ended && o->who.bit == API_PEER && !strcmp(o->who.device, c->who.device);
    json_t *row = n < CALLS_OF_ONE ? api_row(c->api, STATE_peer, STATE_ARGS(state_t(c->who.device))) : NULL;
    if (!row) {
        api_fail(c, n < CALLS_OF_ONE ? 404 : 429, n < CALLS_OF_ONE ? "not_found" : "rate", NULL, NULL);
        return NULL;
    }
    int64_t now = api_now(), last = api_int(row, "last_s", 0);
    if (now - last >= SEEN_EVERY_S || now < last) /* only shown to people */
        (void)!state_do(c->api->state, STATE_peer_seen,
            STATE_ARGS(state_i(now), state_t(c->who.remote), state_t(c->who.device)));
    json_decref(row);
    return peer_said(c->api, c->who.device);
}

/* A number of at most 15 digits, or -1. */
static int64_t number(const char *s)
{
    size_t n = strlen(s);
    return n == 0 || n > 15 || strspn(s, "0123456789") != n ? -1 : strtoll(s, NULL, 10);
}

static int64_t header(const struct api_call *c, const char *name)
{
    return number(api_str(json_object_get(c->req, "headers"), name));
}

/* What the vault would not do, in the words of the protocol. */
static void far_fail(struct api_call *c, int err, const char *text)
{
    static const struct { int err, status; const char *code; } rows[] = { { SM_EDENIED, 409, "forked" },
        { SM_ECORRUPT, 422, "content" }, { SM_EFORMAT, 422, "content" }, { SM_EAUTH, 422, "signature" },
        { SM_EMISMATCH, 422, "foreign" }, { SM_EVERSION, 422, "version" }, { SM_ESTATE, 409, "offset" },
        { SM_EPARTIAL, 409, "incomplete" }, { ENOSPC, 507, "full" }, { SM_EINVAL, 400, "bad_request" },
        { SM_ELIMIT, 413, "too_large" }, { SM_ENOTFOUND, 404, "not_found" } };
    if (err == -ENOSPC)
        peer_full(c->api, c->who.device);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].err == -err) {
            api_fail_say(c, rows[i].status, rows[i].code, NULL, text && *text ? text : sm_strerror(err), NULL);
            return;
        }
    api_fail_err(c, err, text);
}

static void far_answer(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    if (err >= 0)
        err = sm_json_parse(body, API_ANSWER_MAX, &j, NULL);
    if (err < 0)
        far_fail(c, err, text);
    else
        api_reply(c, 200, j);
}

static void far_state(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    if (err >= 0)
        err = sm_json_parse(body, API_ANSWER_MAX, &j, NULL);
    if (err < 0) {
        far_fail(c, err, text);
        return;
    }
    peer_keep(c->api, c->who.device, j);
    api_reply(c, 200, j);
}

void h_far_state(struct api_call *c)
{
    json_t *peer = caller(c);
    if (peer)
        api_ask(c, "V_PEER", json_pack("{s:o}", "peer", peer), far_state);
}

void h_far_check(struct api_call *c)
{
    json_t *peer = caller(c);
    if (!peer)
        return;
    json_t *row = api_row(c->api, STATE_peer, STATE_ARGS(state_t(c->who.device)));
    int64_t now = api_now(), at = api_int(json_object_get(json_object_get(row, "state"), "checked"), "at_s", 0);
    json_decref(row);
    bool lately = at && now >= at && now - at < CHECK_EVERY_S;
    api_ask(c, "V_PEER", json_pack("{s:o,s:b}", "peer", peer, "check", !lately), far_state);
}

void h_far_pack_get(struct api_call *c)
{
    int64_t length = number(api_str(c->query, "length"));
    json_t *peer = caller(c);
    if (!peer)
        return;
    if (!api_is_hex(c->part[0], 64) || length <= 0) {
        json_decref(peer);
        api_fail_say(c, 400, "bad_request", NULL, "pack name, length", NULL);
        return;
    }
    api_ask(c, "V_PEER_PACK", json_pack("{s:o,s:s,s:I}", "peer", peer, "pack", c->part[0], "length",
        (json_int_t)length), far_answer);
}

void h_far_pack_put(struct api_call *c)
{
    int64_t offset = header(c, "x-sakimori-offset"), length = header(c, "x-sakimori-length");
    json_t *peer = caller(c);
    if (!peer)
        return;
    if (!api_is_hex(c->part[0], 64) || offset < 0 || length <= 0 || length > PACK_MAX || offset > length) {
        json_decref(peer);
        api_fail_say(c, 400, "bad_request", NULL, "pack name, X-Sakimori-Offset or X-Sakimori-Length", NULL);
        return;
    }
    api_reply_raw(c, 200, SM_SPAN(NULL, 0), NULL, json_pack("{s:s,s:o,s:s,s:I,s:I}", "vault", "pack", "peer", peer,
        "pack", c->part[0], "offset", (json_int_t)offset, "length", (json_int_t)length));
}

/* o is taken; NULL: the caller was answered. */
static void put_file(struct api_call *c, json_t *peer, json_t *o)
{
    api_set(o, "peer", peer);
    api_ask_join(c, "V_PEER_FILE", o, sm_buf_span(&c->raw), far_answer);
}

void h_far_manifest(struct api_call *c)
{
    json_t *peer = caller(c);
    if (!peer)
        return;
    if (!api_is_hex(c->part[0], 64)) {
        json_decref(peer);
        api_fail(c, 400, "bad_request", "id", NULL);
        return;
    }
    put_file(c, peer, json_pack("{s:s,s:s}", "what", "manifest", "id", c->part[0]));
}

void h_far_journal(struct api_call *c)
{
    int64_t file = number(c->part[0]), at = header(c, "x-sakimori-offset");
    json_t *peer = caller(c);
    if (!peer)
        return;
    if (file <= 0 || file > 1000000 || at < 0) {
        json_decref(peer);
        api_fail_say(c, 400, "bad_request", NULL, "number of the file, X-Sakimori-Offset", NULL);
        return;
    }
    put_file(c, peer, json_pack("{s:s,s:I,s:I}", "what", "journal", "file", (json_int_t)file, "at", (json_int_t)at));
}

void h_far_format(struct api_call *c)
{
    json_t *peer = caller(c);
    if (peer)
        put_file(c, peer, json_pack("{s:s}", "what", "format"));
}

/* The same head again, and what was refused and told to a person already, leave no line: each costs a flush. */
static void head_answer(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    if (err >= 0 && sm_json_parse(body, API_ANSWER_MAX, &j, NULL) == 0)
        c->audit_not = !api_bool(j, "moved");
    else
        c->audit_not = err != -SM_EDENIED || api_bool(c->mem, "known");
    json_decref(j);
    far_answer(c, err, body, text);
}

void h_far_head(struct api_call *c)
{
    json_t *peer = caller(c);
    if (!peer)
        return;
    c->mem = (json_decref(c->mem), json_pack("{s:b}", "known", peer_is_forked(c->api, c->who.device)));
    json_t *o = json_pack("{s:s,s:o}", "what", "head", "peer", peer);
    api_ask_join(c, "V_PEER_FILE", o, sm_buf_span(&c->raw), head_answer);
}

static void far_raw(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err < 0)
        far_fail(c, err, text);
    else
        api_reply_raw(c, 200, body, json_pack("{s:s}", "Content-Type", "application/octet-stream"), NULL);
}

void h_far_file(struct api_call *c)
{
    int64_t offset = number(api_str(c->query, "offset")), length = number(api_str(c->query, "length"));
    const char *name = api_str(c->query, "name");
    json_t *peer = caller(c);
    if (!peer)
        return;
    if (offset < 0 || length < 0 || length > PIECE || !*name || strlen(name) > 95) {
        json_decref(peer);
        api_fail_say(c, 400, "bad_request", NULL, "name, offset, length", NULL);
        return;
    }
    api_ask(c, "V_PEER_READ", json_pack("{s:o,s:s,s:I,s:I}", "peer", peer, "name", name, "offset", (json_int_t)offset,
        "length", (json_int_t)length), far_raw);
}

void h_far_list(struct api_call *c)
{
    bool packs = !strcmp(c->part[0], "packs");
    json_t *peer = caller(c);
    if (!peer)
        return;
    if ((!packs && strcmp(c->part[0], "manifests") != 0) || !api_is_hex(c->part[1], 2)) {
        json_decref(peer);
        api_fail(c, 400, "bad_request", NULL, NULL);
        return;
    }
    api_ask(c, "V_PEER_LIST", json_pack("{s:o,s:b,s:s}", "peer", peer, "packs", packs, "digits", c->part[1]), far_raw);
}

/* The other box says by itself that its record does not fit what is here. */
void h_far_forked(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *why = sm_obj_str_opt(&o, "why", 200);
    if (api_refused(c, &o))
        return;
    /* While a person was called for it and did not answer yet, it is in the vault's journal already: that cannot shrink. */
    bool known = peer_is_forked(c->api, c->who.device);
    json_t *peer = caller(c);
    if (!peer)
        return;
    peer_forked(c->api, c->who.device, why ? why : "");
    c->audit_not = known; /* it stands there once until a person answered */
    json_t *say = json_pack("{s:o}", "peer", peer);
    if (!known) {
        api_set(say, "record", json_string("refused"));
        api_set(say, "by", json_string("peer"));
    }
    api_ask(c, "V_PEER", say, far_state);
}
