/*
 * Which logs a machine sends: what people set for it, or what is usual; what it said of them last.  The machine's own
 * policy has the last word (PROTOCOL-agent.md, "Logs"), so nothing here is a right to read.
 */
#include <errno.h>
#include <inttypes.h>
#include "api/watch.h"

enum { LOGS_MAX = 16, PATHS_MAX = 16, PATH_MAX_TEXT = 1000, NAME_MAX_TEXT = 48, SAID_MAX = 32, CLOCK_JUMP_S = 3600 };
#define CLOCK_MAX_S (INT64_C(1) << 40)

/* Inputs as the box knows them.  One that an agent does not know is its to say. */
static const struct {
    const char *name;
    bool paths;
} inputs[] = {
    {"file", true},
    {"audit", false},
    {"journald", false},
};
static const char *const states[] = {"ok", "absent", "refused", "waiting", "error"};

static const char usual[] =
    "[{\"name\":\"journal\",\"input\":\"journald\",\"paths\":[]},"
    "{\"name\":\"auth\",\"input\":\"file\",\"paths\":[\"/var/log/auth.log\",\"/var/log/"
    "secure\"],\"unless_journal\":true},"
    "{\"name\":\"syslog\",\"input\":\"file\",\"paths\":[\"/var/log/syslog\",\"/var/log/"
    "messages\"],\"unless_journal\":true},"
    "{\"name\":\"audit\",\"input\":\"audit\",\"paths\":[\"/var/log/audit/audit.log\"],\"format\":\"audit\"}]";

/* The rows of a machine; the caller's. */
static json_t *rows_of(const json_t *device)
{
    json_t *own = json_object_get(device, "logs");

    return json_is_array(own) ? json_incref(own) : json_loads(usual, 0, NULL);
}

json_t *device_logs_settings(const json_t *device)
{
    static const char *const same[] = {"name", "input", "paths", "from_start", "unless_journal"};
    json_t *rows = rows_of(device), *out = json_array(), *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        json_t *o = json_object();
        for (size_t k = 0; k < sizeof same / sizeof *same; k++)
            if (json_object_get(row, same[k]))
                api_set(o, same[k], json_incref(json_object_get(row, same[k])));
        api_append(out, o);
    }
    json_decref(rows);
    return out;
}

/* For watch: who a machine is, and as what its logs are read. */
json_t *device_logs_hints(struct api *a)
{
    json_t *devices = api_rows(a, STATE_devices_joined, STATE_NONE), *out = json_array(), *d, *row;
    size_t i, k;

    json_array_foreach(devices, i, d)
    {
        json_t *rows = rows_of(d), *formats = json_object();
        json_array_foreach(rows, k, row) if (*api_str(row, "format") || *api_str(row, "encoding"))
            api_set(formats, api_str(row, "name"),
                json_pack("{s:s,s:s}", "format", api_str(row, "format"), "encoding", api_str(row, "encoding")));
        api_set(formats, "endpoint", json_pack("{s:s,s:s}", "format", "endpoint", "encoding", "utf-8")); /* what its agent tells itself */
        api_append(out, json_pack("{s:s,s:s,s:o}", "device", api_str(d, "id"), "host",
                            *api_str(d, "hostname") ? api_str(d, "hostname") : api_str(d, "name"), "logs", formats));
        json_decref(rows);
    }
    json_decref(devices);
    return out;
}

/* ---- what the machine says ---- */

static const char *known_state(const char *s)
{
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (!strcmp(s, states[i]))
            return states[i];
    return NULL;
}

static bool name_good(const char *s)
{
    size_t n = strlen(s);

    return n >= 1 && n <= NAME_MAX_TEXT && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n && s[0] != '-' &&
           strcmp(s, "endpoint") != 0; /* the stream of the agent's own events */
}

/* Only what is known of a row is kept; NULL: it is none. */
static json_t *said_row(const json_t *row)
{
    static const char *const numbers[] = {"files", "records", "bytes", "cut", "gaps", "last_s"};
    struct sm_obj o = SM_OBJ(row);
    const char *name = sm_obj_str(&o, "name", 1, NAME_MAX_TEXT), *state = known_state(sm_obj_str(&o, "state", 1, 16)),
               *detail = sm_obj_str_opt(&o, "detail", 200);
    json_t *out = json_object();

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        api_set(out, numbers[i], json_integer(sm_obj_int_opt(&o, numbers[i], 0, INT64_MAX, 0)));
    if (o.err || !state || !name_good(name)) {
        json_decref(out);
        return NULL;
    }
    api_set(out, "name", json_string(name));
    api_set(out, "state", json_string(state));
    api_set(out, "detail", json_string(detail ? detail : ""));
    return out;
}

static const json_t *named(const json_t *rows, const char *name)
{
    size_t i;
    const json_t *row;

    json_array_foreach(rows, i, row) if (!strcmp(api_str(row, "name"), name)) return row;
    return NULL;
}

static void raise(struct api *a, const json_t *device, const char *kind, const char *what)
{
    char key[100];

    (void)snprintf(key, sizeof key, "%.16s:%.64s", kind, api_str(device, "id")); /* fits */
    struct alarm_new n = {.kind = kind,
        .state = "look",
        .key = key,
        .device = api_str(device, "id"),
        .facts = json_pack("{s:s}", "what", what)};
    alarm_open(a, &n);
}

static void look_at_gaps(struct api *a, const json_t *device, const json_t *before, const json_t *now)
{
    size_t i;
    const json_t *row;

    json_array_foreach(now, i, row)
    {
        const json_t *was = named(before, api_str(row, "name"));
        char what[200];
        if (was && api_int(row, "gaps", 0) > api_int(was, "gaps", 0)) {
            (void)snprintf(
                what, sizeof what, "%.120s: %.48s", api_str(device, "name"), api_str(row, "name")); /* cut is fine */
            while (*what && !sm_utf8_valid(SM_SPAN_STR(what)))
                what[strlen(what) - 1] = 0;
            raise(a, device, "log_gap", what);
        }
    }
}

/* A machine's clock against the time since it was started: a change of more than an hour under way is told. */
static void look_at_clock(struct api *a, const json_t *device, const json_t *poll)
{
    const char *id = api_str(device, "id"), *boot = api_str(poll, "boot_id");
    struct sm_obj o = SM_OBJ(poll);
    int64_t clock_s = sm_obj_int_opt(&o, "clock_s", 0, CLOCK_MAX_S, 0), up_s = sm_obj_int_opt(&o, "uptime_ms", 0, CLOCK_MAX_S * 1000, 0) / 1000;
    const json_t *was = json_object_get(a->clocks, id);

    if (o.err || !clock_s || !*boot)
        return; /* what no clock says is no jump of one */
    int64_t jump = clock_s - up_s - (api_int(was, "clock_s", 0) - api_int(was, "up_s", 0));
    if (was && !strcmp(api_str(was, "boot"), boot) && (jump > CLOCK_JUMP_S || jump < -CLOCK_JUMP_S))
        raise(a, device, "log_clock", api_str(device, "name"));
    api_set(a->clocks, id,
        json_pack("{s:s,s:I,s:I}", "boot", boot, "clock_s", (json_int_t)clock_s, "up_s", (json_int_t)up_s));
}

void device_logs_said(struct api *a, const json_t *device, const json_t *poll)
{
    const json_t *said = json_object_get(poll, "logs"), *before = json_object_get(device, "logs_state");
    size_t i;
    json_t *rows, *row;

    look_at_clock(a, device, poll);
    if (!json_is_array(said) || json_array_size(said) > SAID_MAX)
        return;
    rows = json_array();
    json_array_foreach((json_t *)(uintptr_t)said, i, row)
    {
        json_t *good = said_row(row);
        if (good)
            api_append(rows, good);
    }
    if (!json_equal(rows, before)) {
        look_at_gaps(a, device, before, rows);
        (void)!state_do(a->state, STATE_device_logs_state,
            STATE_ARGS(state_j(rows), state_t(api_str(device, "id")))); /* the next poll says it again */
    }
    json_decref(rows);
}

/* ---- routes ---- */

static json_t *answer(struct api *a, const json_t *device)
{
    static const char *const numbers[] = {"files", "records", "bytes", "cut", "gaps"};
    json_t *rows = rows_of(device), *out = json_array(), *row;
    const json_t *clock = json_object_get(a->clocks, api_str(device, "id"));
    size_t i;

    json_array_foreach(rows, i, row)
    {
        const json_t *said = named(json_object_get(device, "logs_state"), api_str(row, "name"));
        json_t *o = json_pack("{s:s,s:s,s:O?,s:s,s:s,s:b,s:b,s:s,s:s,s:o}", "name", api_str(row, "name"), "input",
            api_str(row, "input"), "paths", json_object_get(row, "paths"), "format", api_str(row, "format"), "encoding",
            api_str(row, "encoding"), "from_start", api_bool(row, "from_start"), "unless_journal",
            api_bool(row, "unless_journal"), "state", said ? api_str(said, "state") : "unknown", "detail",
            said ? api_str(said, "detail") : "", "last", api_time(api_int(said, "last_s", 0)));
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            api_set(o, numbers[k], json_integer(api_int(said, numbers[k], 0)));
        api_append(out, o);
    }
    json_decref(rows);
    return json_pack("{s:o,s:b,s:b,s:o}", "items", out, "usual", !json_is_array(json_object_get(device, "logs")),
        "told", json_is_array(json_object_get(device, "logs_state")), "clock_s",
        clock ? json_integer(api_int(clock, "clock_s", 0)) : json_null());
}

void h_device_logs(struct api_call *c)
{
    json_t *d = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->part[0])));

    if (d)
        api_reply(c, 200, answer(c->api, d));
    else
        api_fail(c, 404, "not_found", NULL, NULL);
    json_decref(d);
}

static bool path_good(const json_t *v)
{
    const char *s = json_string_value(v);
    size_t n = s ? strlen(s) : 0;

    return n >= 2 && n <= PATH_MAX_TEXT && s[0] == '/' && s[n - 1] != '/' && !strstr(s, "/../") && !strstr(s, "//") &&
           strcspn(s, "*?[") >= (size_t)(strrchr(s, '/') - s); /* patterns in the last part alone */
}

static const char *row_bad(struct api_call *c, const json_t *row)
{
    static const char *const known[] = {
        "name", "input", "paths", "format", "encoding", "from_start", "unless_journal", NULL};
    const struct api_log_names *names = &c->api->cfg.log_names;
    struct sm_obj o = SM_OBJ(row);
    const char *name = sm_obj_str(&o, "name", 1, NAME_MAX_TEXT), *input = sm_obj_str(&o, "input", 1, 16),
               *format = sm_obj_str_opt(&o, "format", 32), *encoding = sm_obj_str_opt(&o, "encoding", 16);
    const json_t *paths = json_object_get(row, "paths") ? sm_obj_arr(&o, "paths", PATHS_MAX) : NULL;
    size_t i = 0;

    (void)sm_obj_bool(&o, "from_start", false);
    (void)sm_obj_bool(&o, "unless_journal", false);
    sm_obj_only(&o, known);
    if (o.err || !json_is_object(row) || !name_good(name))
        return "name";
    while (i < sizeof inputs / sizeof *inputs && strcmp(inputs[i].name, input) != 0)
        i++;
    if (i == sizeof inputs / sizeof *inputs)
        return "input";
    if (inputs[i].paths && !json_array_size(paths))
        return "paths";
    for (size_t k = 0; k < json_array_size(paths); k++)
        if (!path_good(json_array_get(paths, k)))
            return "paths";
    if (format && *format && names->format && !names->format(format))
        return "format";
    return encoding && *encoding && names->encoding && !names->encoding(encoding) ? "encoding" : NULL;
}

/* {"items": [...]}; null: what is usual again. */
void h_device_logs_put(struct api_call *c)
{
    json_t *items = json_object_get(c->body, "items"), *row;
    const char *bad =
        json_is_null(items) || (json_is_array(items) && json_array_size(items) <= LOGS_MAX) ? NULL : "items";
    size_t i, k;

    api_audit_what(c, "%s %zu", c->part[0], json_array_size(items));
    json_array_foreach(items, i, row)
    {
        bad = bad ? bad : row_bad(c, row);
        for (k = 0; k < i && !bad; k++)
            bad = !strcmp(api_str(json_array_get(items, k), "name"), api_str(row, "name")) ? "name" : NULL;
    }
    if (bad) {
        api_fail(c, 400, "bad_request", bad, NULL);
        return;
    }
    int r = state_do(
        c->api->state, STATE_device_logs, STATE_ARGS(state_j(json_is_null(items) ? NULL : items), state_t(c->part[0])));
    if (r <= 0) {
        api_fail_err(c, r < 0 ? r : -SM_ENOTFOUND, NULL);
        return;
    }
    logs_configure(c->api, false);
    poll_wake(c->api, c->part[0]);
    h_device_logs(c);
}
