/*
 * Cases on machines, as these tell them: kept by their own id, a newer telling (rev) in place of the older one.  What a machine says is
 * data: only what is known of it is kept, in bounds.
 */
#include "api/endpoint.h"

#include <errno.h>
#include "core/words.h"

enum { BODY_BYTES = 160 << 10, FINDINGS_MAX = 1000 /* of a machine; the oldest go */, PATHS_MAX = 32, PROCESSES_MAX = 200, REASONS_MAX = 48,
    ACTS_MAX = 100, TEXT_BYTES = 8192, PROGRAM_BYTES = 4096 };

static const char *const kinds[] = { "ransomware", "rule", "malware", "blocked", "tamper", "media", NULL };
static const char *const states[] = { "seen", "stopped", "killed", "gone_on", "ended", NULL };

static bool is_one(const char *s, const char *const *list)
{
    for (size_t i = 0; list[i]; i++)
        if (!strcmp(s, list[i]))
            return true;
    return false;
}

/* Names and plain values, one level. */
static bool flat(const json_t *o)
{
    const char *key;
    const json_t *v;
    if (!json_is_object(o) || json_object_size(o) > 40)
        return false;
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
        if (strlen(key) > 40 || json_is_object(v) || json_is_array(v) || json_string_length(v) > TEXT_BYTES)
            return false;
    return true;
}

static bool flat_list(const json_t *list, size_t max)
{
    if (!json_is_array(list) || json_array_size(list) > max)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!flat(json_array_get(list, i)))
            return false;
    return true;
}

/* What else it says, in bounds; NULL: something of it is none, and *ret_field says what. */
static json_t *rest_of(const json_t *f, const char **ret_field)
{
    static const struct {
        const char *key;
        size_t max; /* 0: an object */
    } parts[] = { { "reasons", REASONS_MAX }, { "processes", PROCESSES_MAX }, { "paths", PATHS_MAX }, { "acts", ACTS_MAX },
        { "files", 0 }, { "timing", 0 }, { "object", 0 } };
    static const char *const numbers[] = { "tree", "score", "threshold" };
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        json_t *v = json_object_get(f, parts[i].key);
        *ret_field = parts[i].key;
        if (v && !(parts[i].max ? flat_list(v, parts[i].max) : flat(v))) {
            json_decref(out);
            return NULL;
        }
        if (v)
            api_set(out, parts[i].key, json_incref(v));
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        json_t *v = json_object_get(f, numbers[i]);
        *ret_field = numbers[i];
        if (v && !json_is_integer(v)) {
            json_decref(out);
            return NULL;
        }
        if (v)
            api_set(out, numbers[i], json_incref(v));
    }
    const char *program = json_string_value(json_object_get(f, "program"));
    api_set(out, "program", json_string(program && strlen(program) <= PROGRAM_BYTES ? program : ""));
    return out;
}

static void tell(struct api *a, const json_t *f, const char *device)
{
    api_event(a, "finding", api_str(f, "id"),
        json_pack("{s:s,s:s,s:s,s:s,s:I}", "id", api_str(f, "id"), "device", device, "kind", api_str(f, "kind"), "state", api_str(f, "state"),
            "rev", (json_int_t)api_int(f, "rev", 0)));
}

static void keep(struct api_call *c, const json_t *f, json_t *rest, int64_t at_s)
{
    struct api *a = c->api;
    const char *id = api_str(f, "id"), *state = api_str(f, "state");
    json_t *before = api_row(a, STATE_finding, STATE_ARGS(state_t(id)));
    int64_t now = api_now(), rev = api_int(f, "rev", 0);
    if (before && strcmp(api_str(before, "device"), c->who.device) != 0) {
        json_decref(before);
        api_fail(c, 409, "known", "finding", NULL);
        return;
    }
    /* The log of what was done has its beginning and each turn; what comes between is in the finding. */
    c->audit_not = before && (rev <= api_int(before, "rev", 0) || !strcmp(state, api_str(before, "state")));
    json_decref(before);
    api_audit_what(c, "%s %s %s", id, api_str(f, "kind"), state);
    int r = state_do(a->state, STATE_finding_put,
        STATE_ARGS(state_t(id), state_t(c->who.device), state_i(rev), state_t(api_str(f, "kind")), state_t(state), state_i(at_s), state_i(now),
            state_i(now), state_j(rest)));
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    if (r > 0) {
        (void)!state_do(a->state, STATE_findings_trim, STATE_ARGS(state_t(c->who.device), state_i(FINDINGS_MAX))); /* with the next one */
        tell(a, f, c->who.device);
    }
    api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

void h_finding_post(struct api_call *c)
{
    const json_t *f = json_object_get(c->body, "finding");
    struct sm_obj o = SM_OBJ(f);
    struct sm_buf size = SM_BUF_INIT(BODY_BYTES);
    const char *field = "finding";
    json_t *rest = NULL;
    bool good = json_is_object(f);
    if (good) {
        const char *id = sm_obj_str(&o, "id", 16, 16), *kind = sm_obj_str(&o, "kind", 1, 16), *state = sm_obj_str(&o, "state", 1, 16);
        (void)sm_obj_int(&o, "rev", 1, INT64_MAX - 1);
        (void)sm_obj_str(&o, "at", 20, 40);
        if (api_refused(c, &o))
            return;
        field = !api_is_hex(id, 16) ? "id" : !is_one(kind, kinds) ? "kind" : !is_one(state, states) ? "state"
            : !api_time_s(api_str(f, "at"))                                                         ? "at" : NULL;
        good = !field && (rest = rest_of(f, &field)) != NULL;
    }
    if (good && sm_json_dump(rest, &size) < 0) {
        good = false;
        field = "finding";
    }
    sm_buf_wipe(&size);
    if (good)
        keep(c, f, rest, api_time_s(api_str(f, "at")));
    else
        api_fail(c, 400, "bad_request", field, NULL);
    json_decref(rest);
}

/* ---- for people ---- */

enum { PATH_SHOWN = 1024 }; /* many stand in one answer */

static json_t *finding_json(const json_t *row, bool whole)
{
    static const char *const head[] = { "id", "device", "device_name", "rev", "kind", "state", "at", "seen", "last" };
    static const char *const brief[] = { "program", "score", "threshold", "files", "timing", "object", "tree" };
    static const char *const more[] = { "reasons", "processes", "paths", "acts" };
    const json_t *body = json_object_get(row, "body");
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        api_set(o, head[i], json_incref(json_object_get(row, head[i])));
    for (size_t i = 0; i < sizeof brief / sizeof *brief; i++)
        api_set(o, brief[i], json_object_get(body, brief[i]) ? json_incref(json_object_get(body, brief[i])) : json_null());
    for (size_t i = 0; i < sizeof more / sizeof *more && whole; i++)
        api_set(o, more[i], json_object_get(body, more[i]) ? json_incref(json_object_get(body, more[i])) : json_array());
    const json_t *path = json_object_get(json_array_get(json_object_get(body, "paths"), 0), "path"); /* tells two of one program apart */
    bool shown = json_is_string(path) && json_string_length(path) <= PATH_SHOWN;
    api_set(o, "path", shown ? json_string(json_string_value(path)) : json_null());
    return o;
}

enum { OF_INCIDENT = 50, BEFORE_S = 3600 };

json_t *findings_of(struct api *a, const json_t *entities, int64_t first_s)
{
    json_t *out = json_array(), *row, *f;
    size_t i, k;
    json_array_foreach((json_t *)(uintptr_t)entities, i, row) {
        const char *kind = json_string_value(json_array_get(row, 0)), *text = json_string_value(json_array_get(row, 1));
        json_t *d = kind && text && !strcmp(kind, "host") ? device_of_host(a, text) : NULL;
        json_t *rows = d ? api_rows(a, STATE_findings_since, STATE_ARGS(state_t(api_str(d, "id")), state_i(first_s - BEFORE_S), state_i(OF_INCIDENT))) : NULL;
        json_array_foreach(rows, k, f)
            if (json_array_size(out) < OF_INCIDENT)
                api_append(out, finding_json(f, false));
        json_decref(rows);
        json_decref(d);
    }
    return out;
}

/* ?device=ID, ?open=1. */
void h_findings(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    bool open = !strcmp(api_str(c->query, "open"), "1");
    json_t *rows = api_rows(c->api, STATE_findings,
        STATE_ARGS(state_t(api_str(c->query, "device")), state_i(open), state_i(limit + 1), state_i(offset))), *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        api_append(items, finding_json(row, false));
    json_decref(rows);
    api_reply_list(c, items, limit, offset);
}

void h_finding(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_finding, STATE_ARGS(state_t(c->part[0])));
    json_t *o = row ? finding_json(row, true) : NULL, *act;
    size_t i;
    json_array_foreach(json_object_get(o, "acts"), i, act) { /* texts of words.def, as actions of machines have them; else as told */
        const char *words = sm_word(SM_WORDS_PART, api_str(act, "detail"), c->lang == TEXT_JA);
        if (words)
            api_set(act, "detail", json_string(words));
    }
    if (o)
        api_reply(c, 200, o);
    else
        api_fail(c, 404, "not_found", NULL, NULL);
    json_decref(row);
}
