/* Machines: list, join codes, rename, revoke. */
#include <unistd.h>
#include <errno.h>
#include "api/alive.h"
#include "api/endpoint.h"
#include "api/internal.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#define CODE_LASTS_S 900
#define CODES_OPEN_MAX 50

static json_t *device_json(struct api *a, json_t *row)
{
    int64_t now = api_now(), seen = api_int(row, "last_seen_s", 0);
    const char *state = "ok";
    bool late = false;
    json_t *ids = json_array(),
           *sources = api_rows(a, STATE_sources_of_device, STATE_ARGS(state_t(api_str(row, "id")))), *s;
    size_t i;
    json_array_foreach(sources, i, s) {
        api_append(ids, json_string(api_str(s, "id")));
        late |= source_late(s, now);
    }
    json_decref(sources);
    if (!strcmp(api_str(row, "state"), "revoked"))
        state = "revoked";
    else if (!seen)
        state = "joining";
    else if (late)
        state = "late";
    else if (!device_there(row, now))
        state = "silent";
    static const char *const same[] = { "id", "client", "name", "hostname", "os", "agent_version", "confined",
        "features", "last_error" };
    json_t *d = json_object();
    for (size_t k = 0; k < sizeof same / sizeof *same; k++)
        api_set(d, same[k], json_incref(json_object_get(row, same[k])));
    api_set(d, "state", json_string(state));
    api_set(d, "last_seen", api_time(seen));
    api_set(d, "joined", api_time(api_int(row, "created_s", 0)));
    api_set(d, "cert_until", api_time(api_int(row, "cert_until_s", 0)));
    api_set(d, "sources", ids);
    api_set(d, "endpoint", endpoint_cover(row));
    api_set(d, "alive", alive_json(a, api_str(row, "id")));
    return d;
}

static void devices_room(struct api_call *c);

static void devices_room_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    int64_t at = api_int(c->mem, "at", 0);
    json_t *d = json_array_get(json_object_get(c->mem, "items"), (size_t)at), *j = NULL;
    (void)text;
    if (err >= 0 && sm_json_parse(body, 65536, &j, NULL) == 0)
        api_set(d, "kept", json_pack("{s:I,s:I,s:I}", "generations", (json_int_t)api_int(j, "generations", 0), "bytes",
            (json_int_t)api_int(j, "pack_bytes", 0), "quota", (json_int_t)api_int(j, "quota", 0)));
    json_decref(j);
    /* A vault that is away stays so for this list. */
    api_set(c->mem, "at", json_integer(err < 0 && err != -SM_ENOTFOUND ? INT64_MAX / 2 : at + 1));
    devices_room(c);
}

/* Machine after machine: how much of it is kept, and how much may be. */
static void devices_room(struct api_call *c)
{
    json_t *items = json_object_get(c->mem, "items");
    const json_t *d = json_array_get(items, (size_t)api_int(c->mem, "at", 0));
    if (d)
        api_ask(c, "V_CLIENT", json_pack("{s:s}", "client", api_str(d, "client")), devices_room_got);
    else
        api_reply(c, 200, json_pack("{s:O,s:n}", "items", items, "next"));
}

void h_devices(struct api_call *c)
{
    json_t *rows = api_rows(c->api, STATE_devices, STATE_NONE), *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        api_append(items, device_json(c->api, row));
    json_decref(rows);
    api_set(c->mem, "items", items);
    api_set(c->mem, "at", json_integer(0));
    devices_room(c);
}

void h_device(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->part[0])));
    if (!row)
        api_fail(c, 404, "not_found", NULL, NULL);
    else
        api_reply(c, 200, device_json(c->api, row));
    json_decref(row);
}

int code_text(const char *prefix, struct sm_span secret, struct sm_span pin, struct sm_buf *ret)
{
    struct sm_buf all = SM_BUF_INIT(64), b32 = SM_BUF_INIT(128);
    int r = sm_buf_put_span(&all, secret);
    if (r == 0)
        r = sm_buf_put_span(&all, pin);
    if (r == 0)
        r = sm_base32(sm_buf_span(&all), &b32);
    if (r == 0)
        r = sm_buf_put_span(ret, SM_SPAN_STR(prefix));
    for (size_t i = 0; i < b32.n && r == 0; i++) {
        if (i % 4 == 0)
            r = sm_buf_put_u8(ret, '-');
        if (r == 0)
            r = sm_buf_put_u8(ret, b32.p[i]);
    }
    sm_buf_wipe(&all);
    sm_buf_wipe(&b32);
    return r;
}

/* base32(secret ‖ pin); the pin covers all that a machine will believe, also the sheet's orders key: by it the machine
 * follows a change of recipients (docs/PROTOCOL-agent.md, Joining). */
static int device_code(const struct api *a, const uint8_t secret[JOIN_SECRET_LEN], struct sm_buf *ret)
{
    uint8_t ca[32], fp[32], order[32], orders[32], pin[CRYPTO_SHA256_LEN];
    if (sm_unhex(api_str(a->keys, "ca_sha256"), strlen(api_str(a->keys, "ca_sha256")), ca, 32) < 0 ||
        sm_unhex(api_str(a->keys, "fingerprint"), strlen(api_str(a->keys, "fingerprint")), fp, 32) < 0 ||
        sm_unhex(api_str(a->keys, "order_pub"), strlen(api_str(a->keys, "order_pub")), order, 32) < 0 ||
        sm_unhex(api_str(a->keys, "orders_pub"), strlen(api_str(a->keys, "orders_pub")), orders, 32) < 0)
        return -SM_ESTATE;
    const struct sm_span parts[] = { SM_SPAN_STR("sakimori/v2/pin"), SM_SPAN(ca, 32), SM_SPAN(fp, 32),
        SM_SPAN(order, 32), SM_SPAN(orders, 32) };
    crypto_sha256v(parts, 5, pin);
    return code_text("SKJ2", SM_SPAN(secret, JOIN_SECRET_LEN), SM_SPAN(pin, 16), ret);
}

static void make_code(struct api_call *c, const char *name, int64_t days)
{
    struct api *a = c->api;
    int64_t now = api_now();
    if (state_number(a->state, STATE_codes_open, 0, STATE_ARGS(state_i(now))) >= CODES_OPEN_MAX) {
        api_fail(c, 429, "rate", NULL, json_pack("{s:i}", "wait_s", CODE_LASTS_S));
        return;
    }
    uint8_t secret[JOIN_SECRET_LEN];
    char hash[65];
    crypto_random(secret, sizeof secret);
    join_code_hash(secret, hash);
    struct sm_buf text = SM_BUF_INIT(256), command = SM_BUF_INIT(1024);
    int r = device_code(a, secret, &text);
    if (r == 0)
        r = sm_buf_printf(&command, "sakimori-agent join %s %s", a->agent_url, sm_buf_str(&text));
    sm_zero(secret, sizeof secret);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else if (api_do(c, STATE_code_add,
                 STATE_ARGS(state_t(hash), state_t(name), state_i(days), state_i(now + CODE_LASTS_S),
                     state_t(c->who.person), state_i(now)))) {
        api_audit_what(c, "%s", name);
        api_reply(c, 201,
            json_pack("{s:s,s:o,s:s,s:s}", "code", sm_buf_str(&text), "until", api_time(now + CODE_LASTS_S), "command",
                sm_buf_str(&command), "url", a->agent_url));
    }
    sm_buf_wipe(&text);
    sm_buf_wipe(&command);
}

void h_device_code(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *name = sm_obj_str(&o, "name", 1, 200);
    int64_t days = sm_obj_int_opt(&o, "days", 1, 3650, 365);
    if (!api_refused(c, &o))
        make_code(c, name, days);
}

/* After a take-over the machine of the box is one of those that joined the old box, when it is the same one: a second one of
 * the same machine would have none of its places.  A person is told what to do, and until then it waits. */
#define LOCAL_KNOWN "local_known"
static bool joined_before(struct api_call *c, const char *machine_id)
{
    struct api *a = c->api;
    json_t *d = machine_id && *machine_id ? self_joined_before(a, machine_id) : NULL;
    if (!d)
        return false;
    if (state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(LOCAL_KNOWN))) <= 0) {
        struct alarm_new n = { .kind = LOCAL_KNOWN, .state = "look", .key = LOCAL_KNOWN, .device = api_str(d, "id"),
            .facts = json_pack("{s:s}", "what", api_str(d, "name")) };
        alarm_open(a, &n);
    }
    json_decref(d);
    c->audit_not = true; /* asked every few seconds */
    api_fail(c, 409, "known", NULL, NULL);
    return true;
}

void device_settled(struct api *a)
{
    if (state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(LOCAL_KNOWN))) > 0)
        alarm_close_key(a, LOCAL_KNOWN, "sakimori");
}

/* The agent beside the box asks for itself; its name is that of the machine. */
void h_local_code(struct api_call *c)
{
    char host[65] = "";
    struct sm_obj o = SM_OBJ(c->body);
    const char *machine_id = sm_obj_str_opt(&o, "machine_id", 64);
    if (api_refused(c, &o))
        return;
    if (gethostname(host, sizeof host - 1) || !host[0])
        (void)snprintf(host, sizeof host, "sakimori");
    if (!api_setup_done(c->api))
        api_fail(c, 409, "setup_needed", NULL, NULL);
    else if (!joined_before(c, machine_id))
        make_code(c, host, 365);
}

void h_device_patch(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *name = sm_obj_str(&o, "name", 1, 200);
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%s %s", c->part[0], name);
    int r = state_do(c->api->state, STATE_device_name, STATE_ARGS(state_t(name), state_t(c->part[0])));
    if (r <= 0) {
        api_fail_err(c, r < 0 ? r : -SM_ENOTFOUND, NULL);
        return;
    }
    json_t *row = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->part[0])));
    api_reply(c, 200, device_json(c->api, row));
    json_decref(row);
}

static void revoked(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

void h_device_delete(struct api_call *c)
{
    struct api *a = c->api;
    struct sm_obj o = SM_OBJ(c->body);
    const char *reason = sm_obj_str_opt(&o, "reason", 500);
    if (api_refused(c, &o))
        return;
    json_t *d = api_row(a, STATE_device, STATE_ARGS(state_t(c->part[0])));
    if (!d) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    api_audit_what(c, "%s %s", c->part[0], reason ? reason : "");
    /* First the door, then the vault's record: a revoked machine must not get one more call in. */
    if (api_do(c, STATE_device_revoke, STATE_ARGS(state_t(reason), state_t(c->part[0])))) {
        json_t *open = api_rows(a, STATE_runs_open_of_device, STATE_ARGS(state_t(c->part[0]))), *row;
        size_t i;
        json_array_foreach(open, i, row)
            run_finish(a, api_str(row, "id"), "cancelled", "the machine was revoked");
        json_decref(open);
        poll_wake(a, c->part[0]);
        device_settled(a);
        api_event(a, "device", c->part[0], json_pack("{s:s,s:s}", "id", c->part[0], "state", "revoked"));
        api_ask(c, "V_CLIENT",
            json_pack("{s:s,s:s,s:s,s:s,s:s}", "client", api_str(d, "client"), "name", api_str(d, "name"), "sign_pub",
                api_str(d, "sign_pub"), "recipients", api_str(a->keys, "fingerprint"), "state", "revoked"),
            revoked);
    }
    json_decref(d);
}
