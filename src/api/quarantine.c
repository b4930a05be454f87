/* Files that machines set aside: what each told of one last.  Giving back and removing are actions on the machine. */
#include "api/endpoint.h"

#include <errno.h>

enum { ENTRIES_MAX = 2000 /* of a machine; the oldest go */, PATH_BYTES = 8192, TEXT_BYTES = 400 };

static bool is_state(const char *s)
{
    return !strcmp(s, "kept") || !strcmp(s, "given") || !strcmp(s, "removed");
}

/* NULL: good; or the field that is not. */
static const char *bad_field(const json_t *e)
{
    struct sm_buf path = SM_BUF_INIT(PATH_BYTES);
    bool absolute = sm_unbase64(SM_SPAN_STR(api_str(e, "path")), &path) == 0 && path.n > 1 && path.p[0] == '/' && !memchr(path.p, 0, path.n);
    sm_buf_wipe(&path);
    return !api_is_hex(api_str(e, "id"), 16)        ? "id"
        : !absolute                                 ? "path"
        : !api_is_hex(api_str(e, "sha256"), 64)     ? "sha256"
        : !is_state(api_str(e, "state"))            ? "state"
        : api_int(e, "size", -1) < 0                ? "size"
        : api_int(e, "at", 0) <= 0                  ? "at"
        : api_int(e, "changed", 0) <= 0             ? "changed"
        : strlen(api_str(e, "reason")) > TEXT_BYTES ? "reason"
        : strlen(api_str(e, "by")) > TEXT_BYTES     ? "by"
        : strlen(api_str(e, "finding")) > 64        ? "finding"
                                                    : NULL;
}

void h_quarantine_post(struct api_call *c)
{
    struct api *a = c->api;
    const json_t *e = json_object_get(c->body, "entry");
    const char *field = json_is_object(e) ? bad_field(e) : "entry";
    if (field) {
        api_fail(c, 400, "bad_request", field, NULL);
        return;
    }
    const char *id = api_str(e, "id");
    api_audit_what(c, "%s %s %.200s", id, api_str(e, "state"), api_str(e, "reason"));
    int r = state_do(a->state, STATE_quarantine_put,
        STATE_ARGS(state_t(c->who.device), state_t(id), state_t(api_str(e, "path")), state_i(api_int(e, "size", 0)), state_t(api_str(e, "sha256")),
            state_t(api_str(e, "reason")), state_t(api_str(e, "by")), state_t(api_str(e, "finding")), state_i(api_int(e, "at", 0)),
            state_i(api_int(e, "changed", 0)), state_t(api_str(e, "state")), state_i(api_int(e, "links", 1))));
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    if (r > 0) {
        (void)!state_do(a->state, STATE_quarantine_trim, STATE_ARGS(state_t(c->who.device), state_i(ENTRIES_MAX))); /* with the next one */
        api_event(a, "quarantine", id, json_pack("{s:s,s:s,s:s}", "id", id, "device", c->who.device, "state", api_str(e, "state")));
    }
    api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

void h_quarantine(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    json_t *rows = api_rows(c->api, STATE_quarantine, STATE_ARGS(state_t(api_str(c->query, "device")), state_i(limit + 1), state_i(offset))),
           *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        api_append(items, json_incref(row));
    json_decref(rows);
    api_reply_list(c, items, limit, offset);
}
