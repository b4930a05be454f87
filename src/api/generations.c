/* Generations as people see them, and what the vault and the box know. */
#include <errno.h>
#include "api/internal.h"
#include "plat/fs.h"

/* ---- words ---- */

static json_t *share_text(double value)
{
    char text[32];
    double percent = value <= 1.0 ? value * 100.0 : value;
    (void)snprintf(text, sizeof text, "%.0f", percent); /* fits */
    return json_string(text);
}

/* The reasons of a generation in words; vault codes are the ends of the text names. */
json_t *reasons_words(const json_t *reasons, enum text_lang lang)
{
    json_t *out = json_array(), *row;
    size_t i;
    json_array_foreach(reasons, i, row) {
        const char *code = json_is_string(row) ? json_string_value(row) : api_str(row, "code");
        char key[64];
        (void)snprintf(key, sizeof key, "REASON_%.40s", code); /* fits */
        const char *words = text_named(lang, key);
        const json_t *number = json_object_get(row, "value");
        /* The journal has no fractions and keeps thousandths; a fresh verdict is a real number. */
        double value = json_is_integer(number) ? (double)json_integer_value(number) / 1000 : json_number_value(number);
        json_t *n = share_text(value);
        const char *args[] = { json_string_value(n) };
        char *text = text_fill(lang, words ? words : text_get(lang, T_REASON_other), args, 1);
        json_t *r = json_pack("{s:s,s:s}", "code", code, "text", text ? text : "");
        if (strstr(code, "canary") || !strcmp(code, "lost_magic"))
            api_set(r, "count", json_integer((json_int_t)value));
        else
            api_set(r, "share", json_real(value));
        api_append(out, r);
        free(text);
        json_decref(n);
    }
    return out;
}

/* The vault's generation becomes the API's, in place. */
json_t *generation_words(json_t *g, enum text_lang lang)
{
    const json_t *m = json_object_get(g, "measures"), *facts = json_object_get(g, "facts");
    int64_t score = api_int(g, "score", 0), lock = api_int(g, "locked_until_ms", 0),
            running = api_int(g, "vault_running_ms", 0);
    bool suspicious = api_bool(g, "suspicious");
    json_t *reasons = reasons_words(json_object_get(g, "reasons"), lang);
    api_set(g, "id", json_incref(json_object_get(g, "manifest")));
    api_set(g, "run_kind", json_incref(json_object_get(g, "run")));
    api_set(g, "bytes", json_integer(api_int(facts, "bytes", api_int(m, "chunk_bytes", 0))));
    api_set(g, "bytes_new", json_integer(api_int(m, "chunk_bytes_new", 0)));
    api_set(g, "stored_new", json_integer(api_int(m, "chunk_bytes_new", 0)));
    api_set(g, "files",
        json_is_integer(json_object_get(facts, "files")) ? json_incref(json_object_get(facts, "files")) : json_null());
    api_set(g, "suspicion",
        json_pack("{s:I,s:s,s:o}", "score", (json_int_t)score, "level",
            suspicious    ? "high"
            : score >= 20 ? "low"
                          : "none",
            "reasons", reasons));
    api_set(g, "locked",
        json_pack("{s:I}", "days_left", (json_int_t)(lock > running && running ? (lock - running) / 86400000 : 0)));
    static const char *const inner[] = { "manifest", "run", "score", "vault_running_ms", "reasons", "client",
        "locked_until_ms", "running_ms", "self" };
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
        (void)json_object_del(g, inner[i]); /* may be absent */
    return g;
}

/* seen: the sources of this list that were looked up; most rows are of one of a few. */
static void with_places(struct api *a, json_t *g, json_t *seen)
{
    json_t *s = json_object_get(seen, api_str(g, "source"));
    if (!s) {
        json_t *row = api_row(a, STATE_source_any, STATE_ARGS(state_t(api_str(g, "source"))));
        s = json_pack("{s:s,s:s,s:b,s:b}", "device", api_str(row, "device"), "name", api_str(row, "name"), "self",
            self_is(a, api_str(g, "client")), "drilled",
            state_number(a->state, STATE_drills_of_source, 0, STATE_ARGS(state_t(api_str(g, "source")))) > 0);
        api_set(seen, api_str(g, "source"), s);
        json_decref(row);
    }
    api_set(g, "self", json_boolean(api_bool(s, "self")));
    api_set(g, "device", json_string(api_str(s, "device")));
    api_set(g, "drill", api_bool(s, "drilled") ? drill_last(a, api_str(g, "manifest")) : json_null());
    api_set(g, "source_name", json_string(api_str(s, "name")));
    api_set(g, "vault_running_ms", json_integer(api_int(a->vault, "running_ms", 0)));
}

/* A limit that cannot be read must not quietly be none. */
static bool times_ok(struct api_call *c)
{
    static const char *const keys[] = { "from", "to" };
    for (size_t i = 0; i < 2; i++) {
        struct sm_time t;
        const char *text = api_str(c->query, keys[i]);
        if (*text && sm_time_parse(text, &t) < 0) {
            api_fail(c, 400, "bad_request", keys[i], NULL);
            return false;
        }
    }
    return true;
}

static void generations_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text), *row, *items;
    if (!j)
        return;
    int64_t from = api_time_s(api_str(c->query, "from")), to = api_time_s(api_str(c->query, "to"));
    size_t i;
    items = json_array();
    json_t *seen = json_object();
    json_array_foreach(json_object_get(j, "items"), i, row) {
        int64_t at = api_time_s(api_str(row, "at"));
        if ((from && at < from) || (to && at >= to))
            continue;
        with_places(c->api, row, seen);
        if (api_bool(row, "self"))
            continue;
        api_append(items, json_incref(generation_words(row, c->lang)));
    }
    json_decref(seen);
    json_t *next = json_null();
    int64_t seq = api_int(j, "next_before_seq", 0);
    if (seq) {
        char cursor[32];
        (void)snprintf(cursor, sizeof cursor, "%lld", (long long)seq); /* fits */
        next = json_string(cursor);
    }
    json_decref(j);
    api_reply(c, 200, json_pack("{s:o,s:o}", "items", items, "next", next));
}

void h_generations(struct api_call *c)
{
    int64_t limit, before;
    if (!times_ok(c) || !api_page(c, &limit, &before))
        return;
    const char *source = api_str(c->query, "source"), *device = api_str(c->query, "device");
    json_t *ask = json_pack("{s:I}", "limit", (json_int_t)limit), *d = NULL;
    if (*device)
        d = api_row(c->api, STATE_device, STATE_ARGS(state_t(device)));
    if ((*source && !api_is_hex(source, 32)) || (*device && !d)) {
        json_decref(ask);
        json_decref(d);
        api_fail(c, 400, "bad_request", *device ? "device" : "source", NULL);
        return;
    }
    if (*source)
        api_set(ask, "source", json_string(source));
    if (d)
        api_set(ask, "client", json_string(api_str(d, "client")));
    json_decref(d);
    if (before)
        api_set(ask, "before_seq", json_integer(before));
    api_ask(c, "V_GENERATIONS", ask, generations_got);
}

static void generation_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    struct sm_span raw;
    if (!answer_split(c, err, body, text, &j, &raw))
        return;
    json_t *g = json_deep_copy(json_object_get(j, "generation"));
    const json_t *suspicion = json_object_get(json_object_get(j, "record"), "suspicion");
    api_set(g, "reasons", json_deep_copy(json_object_get(suspicion, "reasons")));
    api_set(g, "facts", json_deep_copy(json_object_get(j, "facts")));
    (void)json_object_del(json_object_get(g, "facts"), "machine"); /* what a machine is: devices/{id}/guide */
    json_t *seen = json_object();
    with_places(c->api, g, seen);
    json_decref(seen);
    json_decref(j);
    api_reply(c, 200, generation_words(g, c->lang));
}

void h_generation(struct api_call *c)
{
    if (!api_is_hex(c->part[0], 64))
        api_fail(c, 404, "not_found", NULL, NULL);
    else
        api_ask(c, "V_GENERATION", json_pack("{s:s}", "manifest", c->part[0]), generation_got);
}

/* ---- the access log, which is the vault's journal ---- */

void access_note(struct api *a, json_t *record)
{
    api_tell(a, "V_ACCESS", record, NULL, NULL);
}

/* Machines act under their id; a person reads the name, and the id stays beside it. */
void who_name(struct api *a, json_t *line)
{
    if (strcmp(api_str(line, "role"), "device") != 0)
        return;
    json_t *d = api_row(a, STATE_device, STATE_ARGS(state_t(api_str(line, "who"))));
    if (d)
        api_set(line, "who_name", json_string(api_str(d, "name")));
    json_decref(d);
}

static void access_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text), *row, *items;
    if (!j)
        return;
    const char *person = api_str(c->query, "person");
    int64_t from = api_time_s(api_str(c->query, "from")), to = api_time_s(api_str(c->query, "to"));
    size_t i;
    items = json_array();
    json_array_foreach(json_object_get(j, "items"), i, row) {
        json_t *p = json_object_get(row, "payload");
        int64_t at = api_time_s(api_str(row, "at"));
        if ((*person && strcmp(person, api_str(p, "who")) != 0) || (from && at < from) || (to && at >= to))
            continue;
        json_t *out = json_deep_copy(p);
        out = out ? out : json_object();
        api_set(out, "at", json_incref(json_object_get(row, "at")));
        api_set(out, "seq", json_incref(json_object_get(row, "seq")));
        who_name(c->api, out);
        access_words(out, c->lang);
        api_append(items, out);
    }
    int64_t seq = api_int(j, "next_before_seq", 0);
    json_t *next = json_null();
    if (seq) {
        char cursor[32];
        (void)snprintf(cursor, sizeof cursor, "%lld", (long long)seq); /* fits */
        next = json_string(cursor);
    }
    json_decref(j);
    api_reply(c, 200, json_pack("{s:o,s:o}", "items", items, "next", next));
}

void h_access(struct api_call *c)
{
    int64_t limit, before;
    if (!times_ok(c) || !api_page(c, &limit, &before))
        return;
    json_t *ask = json_pack("{s:I,s:[i]}", "limit", (json_int_t)limit, "types", 5);
    if (before)
        api_set(ask, "before_seq", json_integer(before));
    api_ask(c, "V_LOG", ask, access_got);
}

/* ---- verify ---- */

static void verify_started(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    access_note(c->api, json_pack("{s:s,s:s,s:s,s:s,s:s}", "what", "verify", "who", c->who.account, "role", c->who.role,
                            "from", c->who.remote, "result", "started"));
    api_reply(c, 202, json_pack("{s:b}", "started", 1));
}

void h_verify_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    bool cancel = sm_obj_bool(&o, "cancel", false);
    const char *kind = cancel ? "structure" : sm_obj_str(&o, "kind", 1, 16);
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%s", cancel ? "cancel" : kind);
    if (strcmp(kind, "structure") != 0 && strcmp(kind, "data") != 0)
        api_fail(c, 400, "bad_request", "kind", NULL);
    else
        api_ask(
            c, "V_VERIFY", cancel ? json_pack("{s:b}", "cancel", 1) : json_pack("{s:s}", "kind", kind), verify_started);
}

static void verify_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (j)
        api_reply(c, 200, j);
}

void h_verify_get(struct api_call *c)
{
    api_ask(c, "V_VERIFY", json_object(), verify_got);
}

/* ---- scrub ---- */

static void scrub_started(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    access_note(c->api, json_pack("{s:s,s:s,s:s,s:s,s:s}", "what", "verify", "who", c->who.account, "role", c->who.role,
                            "from", c->who.remote, "result", "scrub started"));
    api_reply(c, 202, json_pack("{s:b}", "started", 1));
}

void h_scrub_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    bool start = sm_obj_bool(&o, "start", false);
    if (api_refused(c, &o))
        return;
    if (!start)
        api_fail(c, 400, "bad_request", "start", NULL);
    else
        api_ask(c, "V_SCRUB", json_pack("{s:b}", "start", 1), scrub_started);
}

void h_scrub_get(struct api_call *c)
{
    api_ask(c, "V_SCRUB", json_object(), verify_got); /* passed on as it is */
}

/* ---- the box ---- */

static json_t *children_json(struct api *a)
{
    json_t *out = json_array(), *v;
    const char *name;
    json_object_foreach(a->children, name, v)
        api_append(out, json_pack("{s:s,s:s,s:I,s:O?}", "name", name, "state", api_str(v, "state"), "restarts",
            (json_int_t)api_int(v, "restarts", 0), "confined", json_object_get(v, "confined")));
    return out;
}

/* Everything that the kernel or the way of starting did not give: plain words for the page of the box. */
json_t *not_separated(struct api *a, enum text_lang lang)
{
    json_t *out = json_array(), *v;
    const char *name;
    bool uid = false, sandbox = false;
    json_object_foreach(a->children, name, v) {
        const json_t *c = json_object_get(v, "confined");
        if (!c || strcmp(api_str(v, "state"), "up") != 0)
            continue;
        uid |= !api_bool(c, "uid");
        sandbox |= !api_bool(c, "seccomp") || !api_bool(c, "landlock");
    }
    if (uid)
        api_append(out, text_json(lang, T_NOT_SEPARATED_UID));
    if (sandbox)
        api_append(out, text_json(lang, T_NOT_SEPARATED_SANDBOX));
    if (plat_clock_is_overridden())
        api_append(out, text_json(lang, T_CLOCK_MOVED));
    return out;
}

static json_t *clock_json(void)
{
    char now[SM_TIME_TEXT], boot[PLAT_BOOT_ID_TEXT] = "";
    sm_time_rfc3339(plat_clock_wall(), now);
    if (plat_clock_boot_id(boot) < 0)
        boot[0] = 0;
    return json_pack("{s:s,s:I,s:b,s:s}", "now", now, "running_s", (json_int_t)(plat_clock_running_ns() / 1000000000),
        "moved", plat_clock_is_overridden(), "boot_id", boot);
}

static void box_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    struct api *a = c->api;
    (void)text;
    json_t *v = NULL;
    if (err >= 0 && sm_json_parse(body, API_ANSWER_MAX, &v, NULL) == 0) {
        json_decref(a->vault);
        a->vault = v;
    }
    const json_t *t = json_object_get(a->vault, "totals");
    int64_t total = api_int(t, "disk_total", 0), free_bytes = api_int(t, "disk_avail", 0);
    json_t *j = json_pack("{s:s,s:o,s:{s:I,s:I,s:I},s:{s:I,s:I,s:I,s:I,s:O?,s:b,s:O?},s:o,s:o,s:O,s:b}", "version",
        SM_VERSION, "children", children_json(a), "disk", "free", (json_int_t)free_bytes, "used",
        (json_int_t)(total - free_bytes), "reserve", (json_int_t)api_int(t, "reserve", 0), "vault", "packs",
        (json_int_t)api_int(t, "packs", 0), "bytes", (json_int_t)api_int(t, "pack_bytes", 0), "generations",
        (json_int_t)api_int(t, "generations", 0), "clients", (json_int_t)api_int(t, "clients", 0), "head",
        json_object_get(a->vault, "head"), "broken", api_bool(a->vault, "broken"), "recovered",
        json_object_get(a->vault, "recovered"), "clock", clock_json(), "not_separated", not_separated(a, c->lang),
        "addresses", a->names, "vault_answers", err >= 0);
    api_set(j, "vault_id", json_string(api_str(a->keys, "vault")));
    api_set(j, "ca_sha256", json_string(api_str(a->keys, "ca_sha256")));
    api_set(j, "ca_pem", json_string(api_str(a->keys, "ca_pem")));
    api_reply(c, 200, j);
}

void h_box(struct api_call *c)
{
    api_ask(c, "V_STATUS", json_object(), box_got);
}

void h_healthz(struct api_call *c)
{
    struct api *a = c->api;
    json_t *v;
    const char *name, *down = NULL;
    json_object_foreach(a->children, name, v)
        if (api_child_lasting(name) && strcmp(api_str(v, "state"), "up") != 0)
            down = name;
    if (down)
        api_reply(c, 503, json_pack("{s:b,s:s,s:s+}", "ok", 0, "version", SM_VERSION, "why", down, " is down"));
    else
        api_reply(c, 200, json_pack("{s:b,s:s}", "ok", 1, "version", SM_VERSION));
}

/* For `sakimori status` on the local socket without signing in; elsewhere it says no more than healthz. */
void h_status(struct api_call *c)
{
    struct api *a = c->api;
    json_t *j = json_pack("{s:s,s:b}", "version", SM_VERSION, "setup_done", api_setup_done(a));
    if (!strcmp(api_str(c->req, "port"), "local") ||
        (c->who.bit & (API_STAFF | API_MANAGER | API_DIRECTOR | API_VENDOR))) {
        json_t *today = today_json(a, c->lang);
        api_set(j, "children", children_json(a));
        api_set(j, "state", json_incref(json_object_get(today, "state")));
        api_set(j, "headline", json_incref(json_object_get(today, "headline")));
        api_set(j, "vault", json_string(api_str(a->keys, "vault")));
        api_set(j, "ca_sha256", json_string(api_str(a->keys, "ca_sha256")));
        json_decref(today);
    }
    api_reply(c, 200, j);
}
