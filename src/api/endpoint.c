/*
 * What machines are to watch, stop and block, and what they say of it.  A policy goes to a machine as an order of the kind `endpoint`
 * whose number rises; it is made anew until the machine's poll says that number.
 */
#include "api/endpoint.h"

#include <errno.h>
#include <inttypes.h>

enum { ORDER_LASTS_S = 3600, AGAIN_S = 60, STATE_BYTES = 32 << 10, POLICY_BYTES = 40 << 10 /* two of them fit into an order */, AHEAD_S = 366 * 86400, WHY_MAX = 16, WHY_BYTES = 200 };
#define SETTING "endpoint" /* the institution's */

/* ---- what a machine says ---- */

static const char *cover_of(const json_t *state)
{
    const json_t *sensor = json_object_get(state, "sensor");
    const char *waits = json_string_value(json_object_get(sensor, "waits"));
    if (!json_is_object(state))
        return "none";
    if (!json_is_true(json_object_get(sensor, "armed")))
        return !waits ? "off" : strcmp(waits, "start") == 0 ? "starting" : "empty";
    return json_array_size(json_object_get(sensor, "why")) ? "part" : "on";
}

json_t *endpoint_cover(const json_t *device)
{
    const json_t *state = json_object_get(device, "endpoint_state"), *v;
    json_t *why = json_array();
    size_t i;
    json_array_foreach(json_object_get(json_object_get(state, "sensor"), "why"), i, v)
        if (i < WHY_MAX && json_is_string(v) && json_string_length(v) <= WHY_BYTES)
            api_append(why, json_incref((json_t *)(uintptr_t)v));
    return json_pack("{s:s,s:o,s:o,s:o}", "cover", cover_of(state), "since", api_time(api_int(device, "endpoint_less_s", 0)), "said",
        api_time(api_int(device, "endpoint_said_s", 0)), "why", why);
}

static bool state_good(const json_t *v)
{
    struct sm_buf b = SM_BUF_INIT(STATE_BYTES);
    bool good = json_is_object(v) && sm_json_dump(v, &b) == 0;
    sm_buf_wipe(&b);
    return good;
}

/* Without the key the machine has no endpoint now: switched off there, or an agent of before. */
static void state_said(struct api *a, const json_t *device, const json_t *said)
{
    const json_t *before = json_object_get(device, "endpoint_state");
    const char *id = api_str(device, "id"), *was = cover_of(before), *is = cover_of(said);
    int64_t now = api_now(), less = api_int(device, "endpoint_less_s", 0);
    if (!said && !json_is_object(before))
        return;
    bool same = said && json_equal(said, before);
    if (same && now - api_int(device, "endpoint_said_s", 0) < AGAIN_S)
        return;
    bool ever = api_int(device, "endpoint_said_s", 0) > 0;
    less = !strcmp(is, "on") ? 0 : less && !(strcmp(was, "on") == 0) ? less : now;
    if (!said && !ever)
        less = 0;
    (void)!state_do(a->state, STATE_device_endpoint_said,
        STATE_ARGS(state_j(said), state_i(said ? now : api_int(device, "endpoint_said_s", 0)), state_i(less), state_t(id))); /* the next poll says it again */
    if (!same)
        api_event(a, "endpoint", id, json_pack("{s:s,s:s}", "id", id, "cover", is));
}

/* Its state comes with its next poll, up to half a minute later: what people see is right at once. */
void endpoint_isolated(struct api *a, const char *id, bool is, int64_t until_s)
{
    json_t *device = api_row(a, STATE_device, STATE_ARGS(state_t(id)));
    json_t *state = json_object_get(device, "endpoint_state"), *actor = json_object_get(state, "actor");
    if (json_is_object(actor)) {
        api_set(actor, "isolated", is ? json_pack("{s:o}", "until", api_time(until_s)) : json_null());
        (void)!state_do(a->state, STATE_device_endpoint_said, STATE_ARGS(state_j(state), state_i(api_int(device, "endpoint_said_s", 0)),
            state_i(api_int(device, "endpoint_less_s", 0)), state_t(id))); /* the next poll says it again */
        api_event(a, "endpoint", id, json_pack("{s:s,s:s}", "id", id, "cover", cover_of(state)));
    }
    json_decref(device);
}

/* ---- its policy ---- */

static json_t *policy_of(struct api *a, const json_t *device)
{
    json_t *all = state_setting(a->state, SETTING);
    json_t *out = endpoint_policy_join(json_object_get(device, "endpoint"), all);
    json_decref(all);
    return out;
}

/* The number it should have; a new one when the policy is another, or the machine has one that this box (put back from a copy) did
 * not give it.  0: nobody ever set anything. */
static int64_t number_wanted(struct api *a, const json_t *device, json_t *policy)
{
    const json_t *sent = json_object_get(device, "endpoint_sent"); /* null: none */
    int64_t number = api_int(device, "endpoint_number", 0), now = api_now();
    int64_t has = api_int(json_object_get(device, "endpoint_state"), "number", 0), most = (number > now ? number : now) + AHEAD_S;
    has = has < most ? has : 0; /* no box gave it that: it would leave no number above it */
    json_t *all = state_setting(a->state, SETTING);
    bool ever = all || json_is_object(json_object_get(device, "endpoint")) || json_is_object(sent);
    json_decref(all);
    if (!ever && !has)
        return 0;
    if (json_equal(sent, policy) && has <= number)
        return number;
    number = number > has ? number + 1 : has + 1;
    number = number > now ? number : now;
    if (state_do(a->state, STATE_device_endpoint_sent, STATE_ARGS(state_j(policy), state_i(number), state_t(api_str(device, "id")))) < 0)
        return 0; /* with the next poll */
    return number;
}

void endpoint_push(struct api *a, const char *id)
{
    json_t *device = api_row(a, STATE_device, STATE_ARGS(state_t(id)));
    const json_t *state = json_object_get(device, "endpoint_state");
    if (json_is_object(state) && device_there(device, api_now())) {
        json_t *policy = policy_of(a, device);
        int64_t number = number_wanted(a, device, policy), now = api_now();
        const json_t *asked = json_object_get(a->endpoint_asked, id);
        bool new = api_int(asked, "number", 0) != number;
        if (number && number != api_int(state, "number", 0) && (new || now - api_int(asked, "at_s", 0) >= AGAIN_S)) {
            char ref[32];
            (void)snprintf(ref, sizeof ref, "%" PRId64, number); /* fits */
            json_t *refused = new ? NULL : json_incref(json_object_get(asked, "refused"));
            json_t *mark = json_pack("{s:I,s:I}", "number", (json_int_t)number, "at_s", (json_int_t)now);
            if (refused)
                api_set(mark, "refused", refused);
            api_set(a->endpoint_asked, id, mark);
            order_make(a, id, "endpoint", ref, ORDER_LASTS_S, json_pack("{s:I,s:O}", "number", (json_int_t)number, "policy", policy));
        }
        json_decref(policy);
    }
    json_decref(device);
}

json_t *endpoint_policy_of(struct api *a, const json_t *device)
{
    return policy_of(a, device);
}

void endpoint_said(struct api *a, const json_t *device, const json_t *poll)
{
    const json_t *said = json_object_get(poll, "endpoint");
    if (state_good(said))
        media_said(a, device, said);
    state_said(a, device, state_good(said) ? said : NULL);
    endpoint_push(a, api_str(device, "id"));
}

void endpoint_acked(struct api *a, const json_t *order, const char *state, const char *detail)
{
    const char *id = api_str(order, "device");
    json_t *asked = json_object_get(a->endpoint_asked, id);
    char ref[32];
    (void)snprintf(ref, sizeof ref, "%" PRId64, api_int(asked, "number", 0)); /* fits */
    if (!asked || strcmp(ref, api_str(order, "ref")) != 0)
        return;
    if (!strcmp(state, "refused") || !strcmp(state, "failed"))
        api_set(asked, "refused", json_string(detail && sm_utf8_valid(SM_SPAN_STR(detail)) ? detail : ""));
    else
        json_object_del(asked, "refused");
    api_event(a, "endpoint", id, json_pack("{s:s}", "id", id));
}

/* ---- routes ---- */

static void everybody(struct api *a)
{
    json_t *rows = api_rows(a, STATE_devices_joined, STATE_NONE), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        endpoint_push(a, api_str(row, "id"));
    json_decref(rows);
}

void h_endpoint_policy(struct api_call *c)
{
    json_t *own = state_setting(c->api->state, SETTING);
    json_t *policy = endpoint_policy_join(own, NULL), *standard = endpoint_policy_join(NULL, NULL);
    /* {}: something was set once, and is no more. */
    api_reply(c, 200, json_pack("{s:o,s:O?,s:o}", "policy", policy, "own", json_object_size(own) ? own : NULL, "standard", standard));
    json_decref(own);
}

/* {"policy": {…}}: only what it names differs from the standard; null: nothing does.  The value is the body's. */
static bool policy_given(struct api_call *c, const json_t **ret)
{
    static const char *const known[] = { "policy", NULL };
    struct sm_obj o = SM_OBJ(c->body);
    json_t *policy = json_object_get(c->body, "policy");
    sm_obj_only(&o, known);
    if (api_refused(c, &o))
        return false;
    struct sm_buf size = SM_BUF_INIT(POLICY_BYTES);
    const char *bad = !policy ? "policy" : json_is_null(policy) ? NULL : endpoint_policy_check(policy);
    if (policy && !bad && sm_json_dump(policy, &size) < 0)
        bad = "policy";
    sm_buf_wipe(&size);
    if (bad) {
        api_fail(c, 400, "bad_request", bad, NULL);
        return false;
    }
    *ret = json_is_null(policy) || !json_object_size(policy) ? NULL : policy;
    return true;
}

void h_endpoint_policy_put(struct api_call *c)
{
    const json_t *policy = NULL;
    if (!policy_given(c, &policy))
        return;
    json_t *empty = json_object();
    int r = state_set(c->api->state, SETTING, policy ? policy : empty);
    json_decref(empty);
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    api_event(c->api, "endpoint", "", json_object());
    everybody(c->api);
    h_endpoint_policy(c);
}

/* The own part of a policy (NULL: none) with this serial in media.allow or without it; where it said nothing of it, what held before is
 * taken over.  The caller's. */
static json_t *with_serial(const json_t *own, const json_t *held, const char *serial, bool allow)
{
    json_t *out = json_is_object(own) ? json_deep_copy(own) : json_object(), *list = json_array(), *v;
    json_t *media = json_object_get(out, "media") ? json_incref(json_object_get(out, "media")) : json_object();
    const json_t *was = json_object_get(media, "allow") ? json_object_get(media, "allow") : json_object_get(json_object_get(held, "media"), "allow");
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)was, i, v) if (strcmp(json_string_value(v) ? json_string_value(v) : "", serial) != 0)
        api_append(list, json_incref(v));
    if (allow)
        api_append(list, json_string(serial));
    api_set(media, "allow", list);
    api_set(out, "media", media);
    return out;
}

int endpoint_allow_medium(struct api *a, const char *device, const char *serial, bool allow, const char **ret_bad)
{
    json_t *d = device ? api_row(a, STATE_device, STATE_ARGS(state_t(device))) : NULL, *all = state_setting(a->state, SETTING);
    json_t *held = endpoint_policy_join(all, NULL), *policy = with_serial(device ? json_object_get(d, "endpoint") : all, held, serial, allow);
    *ret_bad = endpoint_policy_check(policy);
    int r = device && !d ? -SM_ENOTFOUND : *ret_bad ? -SM_EINVAL : 0;
    if (!r)
        r = device ? state_do(a->state, STATE_device_endpoint, STATE_ARGS(state_j(policy), state_t(device))) : state_set(a->state, SETTING, policy);
    json_decref(policy);
    json_decref(held);
    json_decref(all);
    json_decref(d);
    if (r < 0)
        return r;
    api_event(a, "endpoint", device ? device : "", json_object());
    if (device)
        endpoint_push(a, device);
    else
        everybody(a);
    return 0;
}

static json_t *policy_answer(struct api *a, const json_t *device)
{
    json_t *all = state_setting(a->state, SETTING);
    json_t *own = json_object_get(device, "endpoint");
    json_t *o = json_pack("{s:o,s:o,s:o}", "policy", policy_of(a, device), "own", json_is_object(own) ? json_incref(own) : json_null(), "institution",
        endpoint_policy_join(all, NULL));
    const json_t *state = json_object_get(device, "endpoint_state"), *asked = json_object_get(a->endpoint_asked, api_str(device, "id"));
    int64_t wanted = api_int(device, "endpoint_number", 0), has = api_int(state, "number", 0);
    bool refused = json_object_get(asked, "refused") && api_int(asked, "number", 0) == wanted && has != wanted;
    api_set(o, "number", json_integer(wanted));
    api_set(o, "has", json_integer(has));
    api_set(o, "state", json_string(!json_is_object(state) ? "none" : has == wanted ? "holds" : refused ? "refused" : "on_its_way"));
    api_set(o, "detail", json_string(refused ? api_str(asked, "refused") : ""));
    json_decref(all);
    return o;
}

static json_t *device_of(struct api_call *c)
{
    json_t *d = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->part[0])));
    if (!d)
        api_fail(c, 404, "not_found", NULL, NULL);
    return d;
}

void h_device_endpoint_policy(struct api_call *c)
{
    json_t *d = device_of(c);
    if (d)
        api_reply(c, 200, policy_answer(c->api, d));
    json_decref(d);
}

void h_device_endpoint_policy_put(struct api_call *c)
{
    const json_t *policy = NULL;
    api_audit_what(c, "%s", c->part[0]);
    if (!policy_given(c, &policy))
        return;
    int r = state_do(c->api->state, STATE_device_endpoint, STATE_ARGS(state_j(policy), state_t(c->part[0])));
    if (r <= 0) {
        api_fail_err(c, r < 0 ? r : -SM_ENOTFOUND, NULL);
        return;
    }
    api_event(c->api, "endpoint", c->part[0], json_pack("{s:s}", "id", c->part[0]));
    endpoint_push(c->api, c->part[0]);
    h_device_endpoint_policy(c);
}

void h_device_endpoint(struct api_call *c)
{
    json_t *d = device_of(c);
    if (!d)
        return;
    const char *id = api_str(d, "id");
    json_t *state = json_object_get(d, "endpoint_state"), *o = endpoint_cover(d);
    api_set(o, "device", json_string(id));
    api_set(o, "state", json_is_object(state) ? json_incref(state) : json_null());
    api_set(o, "policy", policy_answer(c->api, d));
    api_set(o, "findings",
        json_pack("{s:I,s:I}", "open", (json_int_t)state_number(c->api->state, STATE_findings_n, 0, STATE_ARGS(state_t(id), state_i(1))),
            "all", (json_int_t)state_number(c->api->state, STATE_findings_n, 0, STATE_ARGS(state_t(id), state_i(0)))));
    json_decref(d);
    api_reply(c, 200, o);
}
