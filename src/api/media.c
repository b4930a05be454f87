/* Removable media: what the machines said of them, which serials are allowed, and where (the policy of endpoints has the rest). */
#include <errno.h>
#include <string.h>
#include "api/endpoint.h"

enum { MEDIA_OF_DEVICE = 200, LIST_MAX = 64, TEXT_MAX_BYTES = 128, SERIAL_MAX = 120 };

static bool text_good(const char *s)
{
    return s && strlen(s) < TEXT_MAX_BYTES && sm_utf8_valid(SM_SPAN_STR(s));
}

static void keep(struct api *a, const char *device, const json_t *row, int64_t now)
{
    struct sm_obj o = SM_OBJ(row);
    const char *serial = sm_obj_str_opt(&o, "serial", SERIAL_MAX), *name = sm_obj_str_opt(&o, "name", TEXT_MAX_BYTES - 1),
               *kind = sm_obj_str_opt(&o, "kind", 8), *mode = sm_obj_str_opt(&o, "mode", 16);
    int64_t bytes = sm_obj_int_opt(&o, "bytes", 0, INT64_MAX, 0);
    if (o.err || !text_good(serial) || !text_good(name) || !text_good(kind) || !text_good(mode))
        return; /* not of a program of ours */
    (void)!state_do(a->state, STATE_media_put,
        STATE_ARGS(state_t(device), state_t(serial), state_t(name), state_t(kind), state_i(bytes), state_t(mode), state_i(api_bool(row, "failed")),
            state_i(now), state_i(now))); /* the next poll says it again */
}

void media_said(struct api *a, const json_t *device, const json_t *said)
{
    const json_t *list = json_object_get(json_object_get(said, "media"), "list"),
                 *before = json_object_get(json_object_get(json_object_get(device, "endpoint_state"), "media"), "list");
    const char *id = api_str(device, "id");
    const json_t *row;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) > LIST_MAX || json_equal(list, before))
        return;
    (void)!state_do(a->state, STATE_media_gone, STATE_ARGS(state_i(api_now()), state_t(id))); /* and who is there is put back below */
    json_array_foreach((json_t *)(uintptr_t)list, i, row) keep(a, id, row, api_now());
    (void)!state_do(a->state, STATE_media_trim, STATE_ARGS(state_t(id), state_i(MEDIA_OF_DEVICE)));
    api_event(a, "media", id, json_pack("{s:s}", "id", id));
}

/* ---- routes ---- */

static bool in_list(const json_t *policy, const char *serial)
{
    const json_t *list = json_object_get(json_object_get(policy, "media"), "allow"), *v;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, v) if (!strcmp(json_string_value(v) ? json_string_value(v) : "", serial)) return true;
    return false;
}

static void allowed(struct api *a, json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        json_t *device = api_row(a, STATE_device, STATE_ARGS(state_t(api_str(row, "device")))), *policy = endpoint_policy_of(a, device);
        api_set(row, "allowed", json_boolean(*api_str(row, "serial") && in_list(policy, api_str(row, "serial"))));
        json_decref(policy);
        json_decref(device);
    }
}

void h_media(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    json_t *rows = api_rows(c->api, STATE_media, STATE_ARGS(state_t(""), state_i(limit + 1), state_i(offset)));
    allowed(c->api, rows);
    api_reply_list(c, rows, limit, offset);
}

void h_device_media(struct api_call *c)
{
    json_t *device = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->part[0])));
    if (!device) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    json_t *rows = api_rows(c->api, STATE_media, STATE_ARGS(state_t(c->part[0]), state_i(MEDIA_OF_DEVICE), state_i(0)));
    json_t *policy = endpoint_policy_of(c->api, device);
    allowed(c->api, rows);
    api_reply(c, 200, json_pack("{s:o,s:n,s:O?}", "items", rows, "next", "policy", json_object_get(policy, "media")));
    json_decref(policy);
    json_decref(device);
}

/* {"serial", "device"?}: for the institution, or for one machine alone. */
static void change(struct api_call *c, bool allow)
{
    static const char *const known[] = { "serial", "device", NULL };
    struct sm_obj o = SM_OBJ(c->body);
    const char *serial = sm_obj_str(&o, "serial", 1, SERIAL_MAX), *device = sm_obj_str_opt(&o, "device", 64), *bad = "serial";
    sm_obj_only(&o, known);
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%s%s%s", serial, device ? " " : "", device ? device : "");
    int r = endpoint_allow_medium(c->api, device, serial, allow, &bad);
    if (r == -SM_EINVAL)
        api_fail(c, 400, "bad_request", bad, NULL);
    else if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_reply(c, 200, json_pack("{s:s,s:b}", "serial", serial, "allowed", allow));
}

void h_media_allow(struct api_call *c)
{
    change(c, true);
}

void h_media_deny(struct api_call *c)
{
    change(c, false);
}
