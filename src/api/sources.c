/* What is backed up and when, and the runs. */
#include <errno.h>
#include "api/internal.h"

#define PATHS_MAX 64
#define OWN_NAMES "sakimori:" /* the box's own backup is found by such a name in the vault */

static bool strings(const json_t *in, size_t longest, size_t max)
{
    size_t i;
    json_t *v;
    if (!json_is_array(in) || json_array_size(in) > max)
        return false;
    json_array_foreach(in, i, v)
        if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) > longest)
            return false;
    return true;
}

static bool absolute(const json_t *paths)
{
    size_t i;
    json_t *v;
    json_array_foreach(paths, i, v)
        if (json_string_value(v)[0] != '/')
            return false;
    return json_array_size(paths) > 0;
}

static bool one_of(const char *s, const char *list)
{
    size_t n = strlen(s);
    for (const char *p = strstr(list, s); n && p; p = strstr(p + 1, s))
        if ((p == list || p[-1] == '|') && (p[n] == '|' || p[n] == 0))
            return true;
    return false;
}

/* {"every","at","weekday"} in its stored form, or NULL. */
static json_t *schedule_of(const json_t *in)
{
    const char *every = api_str(in, "every"), *at = api_str(in, "at");
    int64_t weekday = api_int(in, "weekday", 0);
    bool timed = strlen(at) == 5 && at[2] == ':' && at[0] >= '0' && at[0] <= '2' && at[1] >= '0' && at[1] <= '9' &&
                 at[3] >= '0' && at[3] <= '5' && at[4] >= '0' && at[4] <= '9' && (at[0] < '2' || at[1] < '4');
    if (!one_of(every, "hour|day|week|off") || weekday < 0 || weekday > 6 || (*at && !timed))
        return NULL;
    return json_pack("{s:s,s:s,s:I}", "every", every, "at", *at ? at : "03:10", "weekday", (json_int_t)weekday);
}

struct source_in { json_t *v; const char *bad; enum text_key why; };

/* The options of the kind are replaced whole. */
static void source_merge_kind(const json_t *body, struct source_in *s)
{
    const char *kind = api_str(s->v, "kind"), *root = source_kind_root(kind);
    const json_t *x = json_object_get(body, "options");
    enum text_key why = T_BAD_REQUEST;
    if (x)
        api_set(s->v, "options", json_deep_copy(x));
    const char *bad = source_options_bad(kind, json_object_get(s->v, "options"), &why);
    if (bad && !s->bad) {
        s->bad = bad;
        s->why = why;
    }
    if (root)
        api_set(s->v, "paths", json_pack("[s]", root));
}

/* Merge the body over v (the present row, or standards) field by field; bad names what is wrong. */
static void source_merge(struct api *a, const json_t *body, struct source_in *s)
{
    static const struct {
        const char *key;
        size_t longest, max;
    } lists[] = { { "paths", 4096, PATHS_MAX }, { "include", 1024, 256 }, { "exclude", 1024, 256 } };
    static const char *const flags[] = { "canaries", "one_file_system", "enabled" };
    const json_t *x;
    for (size_t i = 0; i < 3; i++)
        if ((x = json_object_get(body, lists[i].key)) != NULL) {
            if (!strings(x, lists[i].longest, lists[i].max))
                s->bad = lists[i].key;
            api_set(s->v, lists[i].key, json_deep_copy(x));
        }
    for (size_t i = 0; i < 3; i++)
        if ((x = json_object_get(body, flags[i])) != NULL) {
            if (!json_is_boolean(x))
                s->bad = flags[i];
            api_set(s->v, flags[i], json_boolean(json_is_true(x)));
        }
    if ((x = json_object_get(body, "name")) != NULL) {
        if (!json_is_string(x) || json_string_length(x) < 1 || json_string_length(x) > 200 ||
            !strncmp(api_str(body, "name"), OWN_NAMES, sizeof OWN_NAMES - 1))
            s->bad = "name";
        api_set(s->v, "name", json_string(api_str(body, "name")));
    }
    if (json_object_get(body, "group")) {
        if (!one_of(api_str(body, "group"), "emr|receipt|image|share|front|room|other"))
            s->bad = "group";
        api_set(s->v, "group", json_string(api_str(body, "group")));
    }
    if (json_object_get(body, "bandwidth_kib_s")) {
        int64_t n = api_int(body, "bandwidth_kib_s", -1);
        if (n < 0 || n > 100000000)
            s->bad = "bandwidth_kib_s";
        api_set(s->v, "bandwidth_kib_s", json_integer(n));
    }
    if ((x = json_object_get(body, "schedule")) != NULL) {
        json_t *made = schedule_of(x);
        if (!made)
            s->bad = "schedule";
        api_set(s->v, "schedule", made);
    }
    if ((x = json_object_get(body, "responsible")) != NULL) {
        json_t *p = json_is_string(x) ? api_row(a, STATE_person, STATE_ARGS(state_t(json_string_value(x)))) : NULL;
        if (!p && !json_is_null(x))
            s->bad = "responsible";
        api_set(s->v, "responsible", json_incref((json_t *)x));
        json_decref(p);
    }
    source_merge_kind(body, s);
    if (!absolute(json_object_get(s->v, "paths")) && !s->bad)
        s->bad = "paths";
}

/* Two of one name on one machine could not be told apart where a person chooses by name, least of all on the worst day. */
static void name_free(struct api *a, struct source_in *s, const char *id)
{
    const char *name = api_str(s->v, "name"), *device = api_str(s->v, "device");
    if (s->bad || state_number(a->state, STATE_source_named, 0, STATE_ARGS(state_t(device), state_t(name), state_t(id))) <= 0)
        return;
    s->bad = "name";
    s->why = T_SOURCE_NAMED;
}

static void source_refuse(struct api_call *c, const struct source_in *s)
{
    bool named = s->why == T_SOURCE_NAMED;
    api_fail_say(c, named ? 409 : 400, named ? "conflict" : "bad_request", s->bad, text_get(c->lang, s->why), NULL);
}

static bool source_store(struct api_call *c, const char *id, const json_t *v, bool fresh)
{
    const json_t *resp = json_object_get(v, "responsible");
    const struct state_arg device = state_t(api_str(v, "device")), name = state_t(api_str(v, "name")),
                           group = state_t(api_str(v, "group")), options = state_j(json_object_get(v, "options")),
                           paths = state_j(json_object_get(v, "paths")),
                           include = state_j(json_object_get(v, "include")),
                           exclude = state_j(json_object_get(v, "exclude")),
                           schedule = state_j(json_object_get(v, "schedule")),
                           responsible = state_t(json_string_value(resp)), canaries = state_i(api_bool(v, "canaries")),
                           bandwidth = state_i(api_int(v, "bandwidth_kib_s", 0)),
                           one = state_i(api_bool(v, "one_file_system")), enabled = state_i(api_bool(v, "enabled"));
    if (fresh)
        return api_do(c, STATE_source_add,
            STATE_ARGS(state_t(id), device, name, group, state_t(api_str(v, "kind")), options, paths, include, exclude, schedule, responsible, canaries,
                bandwidth, one, enabled, state_i(api_now()),
                state_i(schedule_next(json_object_get(v, "schedule"), api_now()))));
    return api_do(c, STATE_source_change,
        STATE_ARGS(name, group, options, paths, include, exclude, schedule, responsible, canaries, bandwidth, one, enabled,
            state_i(schedule_next(json_object_get(v, "schedule"), api_now())), state_t(id)));
}

json_t *source_json(struct api *a, json_t *row, enum text_lang lang)
{
    static const char *const same[] = { "id", "device", "name", "group", "kind", "options", "paths", "include", "exclude",
        "schedule", "responsible", "canaries", "enabled" };
    json_t *s = json_object();
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        api_set(s, same[i], json_incref(json_object_get(row, same[i])));
    api_set(s, "bandwidth_kib_s", json_integer(api_int(row, "bandwidth", 0)));
    api_set(s, "one_file_system", json_boolean(api_bool(row, "one_fs")));
    api_set(s, "where", source_where(a, row));
    api_set(s, "next", api_bool(row, "enabled") ? api_time(api_int(row, "next_s", 0)) : json_null());
    json_t *last = json_deep_copy(json_object_get(row, "last"));
    const char *state = "ok";
    if (state_number(a->state, STATE_runs_open_of, 0, STATE_ARGS(state_t(api_str(row, "id")))) > 0)
        state = "running";
    else if (json_is_object(last) && api_bool(last, "suspicious"))
        state = "suspicious";
    else if (source_failing(row))
        state = "failed";
    else if (source_late(row, api_now()))
        state = "late";
    api_set(s, "last", json_is_object(last) ? generation_words(last, lang) : json_null());
    if (!json_is_object(last))
        json_decref(last);
    api_set(s, "state", json_string(state));
    return s;
}

void h_sources(struct api_call *c)
{
    json_t *rows = api_rows(c->api, STATE_sources, STATE_NONE), *items = json_array(), *row;
    const char *device = api_str(c->query, "device");
    size_t i;
    json_array_foreach(rows, i, row)
        if (!*device || !strcmp(device, api_str(row, "device")))
            api_append(items, source_json(c->api, row, c->lang));
    json_decref(rows);
    api_reply(c, 200, json_pack("{s:o,s:n}", "items", items, "next"));
}

static void source_answer(struct api_call *c, const char *id, int status)
{
    json_t *row = api_row(c->api, STATE_source, STATE_ARGS(state_t(id)));
    poll_wake(c->api, api_str(row, "device"));
    json_t *s = row ? source_json(c->api, row, c->lang) : NULL;
    json_decref(row);
    api_reply(c, status, s);
}

void h_source_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *device = sm_obj_str(&o, "device", 1, 64);
    (void)sm_obj_str(&o, "name", 1, 200);          /* required when new; source_merge reads them */
    const char *kind = sm_obj_str_opt(&o, "kind", 16);
    kind = kind && *kind ? kind : "files";
    if (!source_kind_root(kind))
        (void)sm_obj_arr(&o, "paths", PATHS_MAX);
    if (api_refused(c, &o))
        return;
    json_t *d = api_row(c->api, STATE_device, STATE_ARGS(state_t(device)));
    bool known = d && !strcmp(api_str(d, "state"), "joined");
    json_decref(d);
    struct source_in s = { json_pack("{s:s,s:s,s:s,s:{},s:[],s:[],s:{s:s,s:s,s:i},s:b,s:b,s:b,s:i}", "device", device, "group",
                               "other", "kind", kind, "options", "include", "exclude", "schedule", "every", "day", "at", "03:10", "weekday", 0,
                               "canaries", 1, "one_file_system", 0, "enabled", 1, "bandwidth_kib_s", 0),
        NULL, T_BAD_REQUEST };
    if (*c->who.person) /* somebody answers for it from the first day; null says nobody does */
        api_set(s.v, "responsible", json_string(c->who.person));
    source_merge(c->api, c->body, &s);
    if (!known || !source_kind_known(kind))
        s.bad = known ? "kind" : "device";
    name_free(c->api, &s, "");
    char id[API_ID_TEXT];
    api_id(id);
    api_audit_what(c, "%s %s", id, api_str(s.v, "name"));
    if (s.bad)
        source_refuse(c, &s);
    else if (source_store(c, id, s.v, true))
        source_answer(c, id, 201);
    json_decref(s.v);
}

void h_source_patch(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_source, STATE_ARGS(state_t(c->part[0])));
    if (!row) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    api_set(row, "one_file_system", json_boolean(api_bool(row, "one_fs")));
    api_set(row, "bandwidth_kib_s", json_integer(api_int(row, "bandwidth", 0)));
    struct source_in s = { row, NULL, T_BAD_REQUEST };
    bool renamed = json_object_get(c->body, "name") && strcmp(api_str(c->body, "name"), api_str(row, "name")) != 0;
    source_merge(c->api, c->body, &s);
    if (json_object_get(c->body, "kind") && strcmp(api_str(c->body, "kind"), api_str(row, "kind")) != 0)
        s.bad = "kind"; /* its generations would not be of one thing any more */
    api_audit_what(c, "%s %s", c->part[0], api_str(row, "name"));
    char id[API_ID_TEXT];
    (void)snprintf(id, sizeof id, "%s", api_str(row, "id")); /* same size */
    if (renamed) /* two of one name from before this rule can still be changed otherwise */
        name_free(c->api, &s, id);
    if (s.bad)
        source_refuse(c, &s);
    else if (source_store(c, id, row, false))
        source_answer(c, id, 200);
    json_decref(row);
}

void h_source_delete(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_source, STATE_ARGS(state_t(c->part[0])));
    if (!row) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    api_audit_what(c, "%s %s", c->part[0], api_str(row, "name"));
    if (api_do(c, STATE_source_stop, STATE_ARGS(state_t(c->part[0])))) {
        poll_wake(c->api, api_str(row, "device"));
        api_reply(c, 200, json_pack("{s:b}", "ok", 1));
    }
    json_decref(row);
}

void h_source_run(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_source, STATE_ARGS(state_t(c->part[0])));
    char run[API_ID_TEXT];
    if (!row) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    int r = run_make(c->api, row, "adhoc", c->who.person, run);
    json_decref(row);
    api_audit_what(c, "%s", c->part[0]);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_reply(c, 202, json_pack("{s:s}", "run", run));
}

/* ---- runs ---- */

static json_t *run_json(struct api *a, json_t *row)
{
    json_t *now = json_object_get(a->progress, api_str(row, "id"));
    if (now)
        api_set(row, "progress", json_incref(now));
    (void)json_object_del(row, "cancel"); /* inner matters */
    (void)json_object_del(row, "created_s");
    (void)json_object_del(row, "started_s");
    return json_incref(row);
}

#define GENERATIONS_SEEN 500 /* of so many runs of one answer it is said whether they are suspicious */

static void mark_suspicious(json_t *runs, const json_t *generations)
{
    json_t *run, *g;
    size_t i, k;
    json_array_foreach(runs, i, run) {
        const char *manifest = api_str(run, "manifest");
        json_array_foreach(generations, k, g) {
            if (*manifest && !strcmp(api_str(g, "manifest"), manifest)) {
                api_set(run, "suspicious", json_boolean(api_bool(g, "suspicious")));
                break;
            }
        }
    }
}

static void runs_reply(struct api_call *c)
{
    json_t *items = json_incref(json_object_get(c->mem, "items"));
    if (api_bool(c->mem, "one")) {
        api_reply(c, 200, json_incref(json_array_get(items, 0)));
        json_decref(items);
    } else {
        api_reply_list(c, items, api_int(c->mem, "limit", 0), api_int(c->mem, "offset", 0));
    }
}

/* A run that saved what an attack left is no good run.  A vault that does not answer leaves them without a word. */
static void runs_generations(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    (void)text;
    if (err >= 0 && sm_json_parse(body, (size_t)1 << 22, &j, NULL) == 0)
        mark_suspicious(json_object_get(c->mem, "items"), json_object_get(j, "items"));
    json_decref(j);
    runs_reply(c);
}

static void runs_mark(struct api_call *c, json_t *items)
{
    json_t *run, *names = json_array();
    size_t i;
    api_set(c->mem, "items", items);
    json_array_foreach(items, i, run)
        if (*api_str(run, "manifest") && json_array_size(names) < GENERATIONS_SEEN)
            api_append(names, json_incref(json_object_get(run, "manifest")));
    if (json_array_size(names)) {
        api_ask(c, "V_GENERATIONS", json_pack("{s:o}", "manifests", names), runs_generations);
    } else {
        json_decref(names);
        runs_reply(c);
    }
}

void h_runs(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    const char *source = api_str(c->query, "source"), *state = api_str(c->query, "state");
    json_t *rows = api_rows(c->api, STATE_runs,
        STATE_ARGS(
            state_t(source), state_t(source), state_t(state), state_t(state), state_i(limit + 1), state_i(offset)));
    json_t *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        (void)json_object_del(row, "problems"); /* only in the single one */
        api_append(items, run_json(c->api, row));
    }
    json_decref(rows);
    api_set(c->mem, "limit", json_integer(limit));
    api_set(c->mem, "offset", json_integer(offset));
    runs_mark(c, items);
}

void h_run(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_run, STATE_ARGS(state_t(c->part[0])));
    if (!row)
        api_fail(c, 404, "not_found", NULL, NULL);
    else {
        api_set(c->mem, "one", json_true());
        problems_words(json_object_get(row, "problems"), c->lang);
        runs_mark(c, json_pack("[o]", run_json(c->api, row)));
    }
    json_decref(row);
}

void h_run_cancel(struct api_call *c)
{
    struct api *a = c->api;
    json_t *row = api_row(a, STATE_run, STATE_ARGS(state_t(c->part[0])));
    const char *state = api_str(row, "state");
    api_audit_what(c, "%s", c->part[0]);
    if (!row) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    bool waiting = !strcmp(state, "waiting"), running = !strcmp(state, "running");
    if (!waiting && !running) {
        json_decref(row);
        api_fail(c, 409, "conflict", NULL, NULL);
        return;
    }
    if (api_do(c, STATE_run_cancel, STATE_ARGS(state_t(c->part[0])))) {
        /* The machine hears it with its next progress, and by an order in case it says none. */
        order_make(a, api_str(row, "device"), "cancel", c->part[0], 3600, json_pack("{s:s}", "run", c->part[0]));
        if (waiting)
            run_finish(a, c->part[0], "cancelled", NULL);
        api_reply(c, 202, json_pack("{s:b}", "ok", 1));
    }
    json_decref(row);
}
