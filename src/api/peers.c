/* Other boxes whose copies are kept here: who, how much, since when; and the codes that let one in. */
#include <errno.h>
#include "api/internal.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#define CODE_LASTS_S 3600          /* it is told over the telephone, or carried to another house */
#define CODES_OPEN_MAX 10
#define PEERS_MAX 16
#define NAME_BYTES 120
#define GIB ((int64_t)1 << 30)
#define QUOTA_GIB_MAX 1000000
#define FULL_PERCENT 90

/* ---- what the others of this room ask ---- */

void peer_by_certificate(struct api *a, const char *cert, struct api_caller_info *ret)
{
    json_t *row = api_row(a, STATE_peer_by_cert, STATE_ARGS(state_t(cert)));
    if (row && api_bool(row, "accepting") && api_int(row, "cert_until_s", 0) > api_now()) {
        ret->bit = API_PEER;
        (void)snprintf(ret->device, sizeof ret->device, "%s", api_str(row, "id")); /* same size */
    }
    json_decref(row);
}

json_t *peer_said(struct api *a, const char *id)
{
    json_t *row = api_row(a, STATE_peer, STATE_ARGS(state_t(id)));
    json_t *o = row ? json_pack("{s:s,s:s,s:s,s:I}", "id", id, "vault", api_str(row, "vault"), "head_pub",
        api_str(row, "head_pub"), "quota", (json_int_t)api_int(row, "quota", 0)) : NULL;
    json_decref(row);
    return o;
}

static json_t *facts_of(struct api *a, const char *id, const char *why)
{
    json_t *row = api_row(a, STATE_peer, STATE_ARGS(state_t(id)));
    json_t *facts = json_pack("{s:s,s:s,s:s}", "what", api_str(row, "name"), "peer", id, "numbers", why);
    json_decref(row);
    return facts;
}

static void raise(struct api *a, const char *kind, const char *state, const char *id, const char *why)
{
    char key[96];
    (void)snprintf(key, sizeof key, "%s:%.40s", kind, id); /* fits */
    struct alarm_new n = { .kind = kind, .state = state, .key = key, .facts = facts_of(a, id, why) };
    alarm_open(a, &n);
}

static void lower(struct api *a, const char *kind, const char *id)
{
    char key[96];
    (void)snprintf(key, sizeof key, "%s:%.40s", kind, id); /* fits */
    if (state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(key))) > 0)
        alarm_close_key(a, key, "sakimori");
}

void peer_forked(struct api *a, const char *id, const char *why)
{
    raise(a, "peer_forked", "call", id, why);
}

bool peer_is_forked(struct api *a, const char *id)
{
    char key[96];
    (void)snprintf(key, sizeof key, "peer_forked:%.40s", id); /* fits */
    return state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(key))) > 0;
}

void peers_lost(struct api *a)
{
    json_t *rows = api_rows(a, STATE_peers, STATE_NONE), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        if (api_bool(row, "accepting"))
            raise(a, "peer_gone", "look", api_str(row, "id"), "");
    json_decref(rows);
}

void peer_back(struct api *a, const char *id)
{
    lower(a, "peer_gone", id);
}

void peer_full(struct api *a, const char *id)
{
    raise(a, "peer_full", "look", id, "");
}

void peer_keep(struct api *a, const char *id, const json_t *state)
{
    json_t *s = json_deep_copy(state);
    int64_t quota = api_int(s, "quota", 0), used = api_int(s, "used", 0);
    const json_t *checked = json_object_get(s, "checked");
    if (quota && used / (quota / 100 + 1) < FULL_PERCENT)
        lower(a, "peer_full", id);
    if (api_int(checked, "rotten", 0))
        raise(a, "peer_damage", "look", id, "");
    else if (api_int(checked, "at_s", 0))
        lower(a, "peer_damage", id);
    /* Only what was last known: the vault says it again. */
    (void)!state_do(a->state, STATE_peer_state, STATE_ARGS(state_j(s), state_t(id)));
    json_decref(s);
    api_event(a, "peer", id, json_pack("{s:s}", "id", id));
}

static void opened(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    (void)text;
    if (err >= 0 && *api_str(answer, "peer"))
        peer_keep(a, api_str(mem, "id"), answer);
}

void peers_open(struct api *a)
{
    json_t *rows = api_rows(a, STATE_peers, STATE_NONE), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        api_tell(a, "V_PEER", json_pack("{s:o}", "peer", peer_said(a, api_str(row, "id"))), opened,
            json_pack("{s:s}", "id", api_str(row, "id")));
    json_decref(rows);
}

void peers_event(struct api *a, const json_t *e)
{
    const char *id = api_str(e, "peer");
    json_t *row = api_row(a, STATE_peer, STATE_ARGS(state_t(id)));
    if (row && !strcmp(api_str(e, "event"), "forked"))
        peer_forked(a, id, api_str(e, "why"));
    if (row && !strcmp(api_str(e, "event"), "checked")) {
        json_t *s = json_deep_copy(json_object_get(row, "state"));
        api_set(s, "checked", json_incref(json_object_get(e, "checked")));
        peer_keep(a, id, s);
        json_decref(s);
    }
    json_decref(row);
}

/* ---- routes of people ---- */

static json_t *peer_json(const json_t *row)
{
    const json_t *s = json_object_get(row, "state"), *k = json_object_get(s, "checked");
    const char *state = !api_bool(row, "accepting") ? "stopped" : !api_int(s, "seq", 0) ? "empty" : "ok";
    if (api_int(k, "rotten", 0) || api_bool(s, "journal_rotten"))
        state = "damaged";
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:b,s:s,s:I,s:I,s:I,s:I,s:I}", "id", api_str(row, "id"), "name",
        api_str(row, "name"), "institution", api_str(row, "institution"), "vault", api_str(row, "vault"), "accepting",
        api_bool(row, "accepting"), "state", state, "quota", (json_int_t)api_int(row, "quota", 0), "used",
        (json_int_t)api_int(s, "used", 0), "packs", (json_int_t)api_int(s, "packs", 0), "generations",
        (json_int_t)api_int(s, "generations", 0), "seq", (json_int_t)api_int(s, "seq", 0));
    api_set(o, "head_at", api_time(api_int(s, "head_s", 0)));
    api_set(o, "joined", api_time(api_int(row, "created_s", 0)));
    api_set(o, "last_seen", api_time(api_int(row, "last_s", 0)));
    api_set(o, "checked", api_time(api_int(k, "at_s", 0)));
    api_set(o, "rotten", json_integer(api_int(k, "rotten", 0)));
    api_set(o, "cert_until", api_time(api_int(row, "cert_until_s", 0)));
    return o;
}

static json_t *path_of(const struct api *a, const char *id)
{
    return json_sprintf("%s/peers/%s/sakimori-copy", a->data, id);
}

void h_peers(struct api_call *c)
{
    json_t *rows = api_rows(c->api, STATE_peers, STATE_NONE), *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        api_append(items, peer_json(row));
    json_decref(rows);
    api_reply(c, 200, json_pack("{s:o,s:n,s:s}", "items", items, "next", "url", c->api->agent_url));
}

static void one_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    (void)text;
    /* A vault that is away, or a folder that cannot be read: what was last known is shown. */
    if (err >= 0 && sm_json_parse(body, API_ANSWER_MAX, &j, NULL) == 0)
        peer_keep(c->api, c->part[0], j);
    json_decref(j);
    json_t *row = api_row(c->api, STATE_peer, STATE_ARGS(state_t(c->part[0])));
    json_t *o = peer_json(row);
    api_set(o, "path", path_of(c->api, c->part[0]));
    json_decref(row);
    api_reply(c, 200, o);
}

static void ask_one(struct api_call *c, const char *record, bool check)
{
    json_t *said = peer_said(c->api, c->part[0]);
    if (!said) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    json_t *o = json_pack("{s:o,s:b}", "peer", said, "check", check);
    if (record) {
        api_set(o, "record", json_string(record));
        api_set(o, "by", json_string(c->who.account));
    }
    api_ask(c, "V_PEER", o, one_got);
}

void h_peer(struct api_call *c)
{
    ask_one(c, NULL, false);
}

void h_peer_check(struct api_call *c)
{
    api_audit_what(c, "%s", c->part[0]);
    ask_one(c, NULL, true);
}

void h_peer_patch(struct api_call *c)
{
    static const char *const known[] = { "name", "quota_gib", "accepting", NULL };
    json_t *row = api_row(c->api, STATE_peer, STATE_ARGS(state_t(c->part[0])));
    if (!row) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    struct sm_obj o = SM_OBJ(c->body);
    sm_obj_only(&o, known);
    const char *name = sm_obj_str_opt(&o, "name", NAME_BYTES);
    bool was = api_bool(row, "accepting"), now = sm_obj_bool(&o, "accepting", was);
    int64_t gib = sm_obj_int_opt(&o, "quota_gib", 1, QUOTA_GIB_MAX, 0),
            quota = gib ? gib * GIB : api_int(row, "quota", 0);
    if (!api_refused(c, &o)) {
        api_audit_what(c, "%s%s", c->part[0], was == now ? "" : now ? " accepting" : " stopped");
        if (api_do(c, STATE_peer_change,
                STATE_ARGS(state_t(name && *name ? name : api_str(row, "name")), state_i(quota), state_i(now),
                    state_t(c->part[0]))))
            ask_one(c, was == now ? NULL : now ? "accepting" : "stopped", false);
    }
    json_decref(row);
}

/* The code pins this box's CA, and nothing else: that is all the other one will believe. */
static int peer_code(const struct api *a, const uint8_t secret[JOIN_SECRET_LEN], struct sm_buf *ret)
{
    uint8_t ca[32], pin[CRYPTO_SHA256_LEN];
    if (sm_unhex(api_str(a->keys, "ca_sha256"), strlen(api_str(a->keys, "ca_sha256")), ca, 32) < 0)
        return -SM_ESTATE;
    const struct sm_span parts[] = { SM_SPAN_STR("sakimori/v1/pin-peer"), SM_SPAN(ca, 32) };
    crypto_sha256v(parts, 2, pin);
    return code_text("SKP1", SM_SPAN(secret, JOIN_SECRET_LEN), SM_SPAN(pin, 16), ret);
}

static void make_code(struct api_call *c, const char *name, int64_t quota, const char *peer)
{
    struct api *a = c->api;
    int64_t now = api_now();
    uint8_t secret[JOIN_SECRET_LEN];
    char hash[65];
    struct sm_buf text = SM_BUF_INIT(256);
    crypto_random(secret, sizeof secret);
    join_code_hash(secret, hash);
    int r = peer_code(a, secret, &text);
    sm_zero(secret, sizeof secret);
    if (r < 0) {
        api_fail_err(c, r, NULL);
    } else if (api_do(c, STATE_peer_code_add,
                   STATE_ARGS(state_t(hash), state_t(name), state_i(quota), state_i(now + CODE_LASTS_S),
                       state_t(c->who.account), state_i(now), state_t(peer)))) {
        api_audit_what(c, "%s%s%s", name, peer ? " " : "", peer ? peer : "");
        api_reply(c, 201, json_pack("{s:s,s:o,s:s}", "code", sm_buf_str(&text), "until", api_time(now + CODE_LASTS_S),
            "url", a->agent_url));
    }
    sm_buf_wipe(&text);
}

/* {name, quota_gib} lets a new neighbour in; {peer} gives a known one a new certificate (its box was made anew). */
void h_peer_code(struct api_call *c)
{
    static const char *const known[] = { "name", "quota_gib", "peer", NULL };
    struct api *a = c->api;
    struct sm_obj o = SM_OBJ(c->body);
    sm_obj_only(&o, known);
    const char *peer = sm_obj_str_opt(&o, "peer", 32), *name = peer ? "" : sm_obj_str(&o, "name", 1, NAME_BYTES);
    int64_t gib = peer ? 0 : sm_obj_int(&o, "quota_gib", 1, QUOTA_GIB_MAX);
    if (api_refused(c, &o))
        return;
    json_t *row = peer ? api_row(a, STATE_peer, STATE_ARGS(state_t(peer))) : NULL;
    if (peer && !row)
        api_fail(c, 404, "not_found", "peer", NULL);
    else if (state_number(a->state, STATE_peer_codes_open, 0, STATE_ARGS(state_i(api_now()))) >= CODES_OPEN_MAX)
        api_fail(c, 429, "rate", NULL, json_pack("{s:i}", "wait_s", CODE_LASTS_S));
    else if (!peer && state_number(a->state, STATE_peers_count, 0, STATE_NONE) >= PEERS_MAX)
        api_fail(c, 409, "conflict", NULL, NULL);
    else
        make_code(c, row ? api_str(row, "name") : name, gib * GIB, peer);
    json_decref(row);
}
