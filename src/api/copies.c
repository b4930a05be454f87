/* Copies: what is known of them in words, the five lamps, and the routes. */
#include <errno.h>
#include "api/copies.h"

#define DAY ((int64_t)86400)
#define NAME_MAX_BYTES 120
#define PLACE_MAX 1000
#define LOCK_DAYS_MIN 90
#define LOCK_DAYS_MAX 3650

/* ---- facts ---- */

struct lamp_copy copy_facts(const json_t *row)
{
    const json_t *s = json_object_get(row, "state");
    const struct copy_kind *k = copy_kind(api_str(row, "kind"));
    return (struct lamp_copy){ .name = api_str(row, "name"),
        .detachable = k && k->detachable,
        .append_only = k && k->append_only,
        .elsewhere = api_bool(row, "elsewhere"),
        .same_disk = api_bool(s, "same_disk"),
        .attached = api_bool(s, "attached"),
        .complete = api_int(s, "done_s", 0) > 0 && !(api_int(s, "locked_until_s", 0) && api_int(s, "locked_until_s", 0) < api_now()),
        .covers_s = api_int(s, "covers_s", 0),
        .max_age_s = api_int(row, "max_days", 2) * DAY,
        .verified_s = api_int(s, "verified_s", 0),
        .sound = api_bool(s, "sound") };
}

struct lamp_facts copies_facts(struct api *a, struct lamp_copy room[COPIES_MAX], json_t **ret_rows)
{
    json_t *rows = api_rows(a, STATE_copies, STATE_NONE), *row, *check = state_setting(a->state, "vault_checked");
    struct lamp_facts f = { .now = api_now(), .copies = room };
    size_t i;
    json_array_foreach(rows, i, row)
        if (f.n < COPIES_MAX)
            room[f.n++] = copy_facts(row);
    f.newest_s = state_number(a->state, STATE_copies_newest, 0, STATE_NONE);
    f.generations = (uint64_t)api_int(json_object_get(a->vault, "totals"), "generations", 0);
    if (!f.generations && f.newest_s)
        f.generations = 1; /* the vault was not asked since */
    f.checked_s = api_int(check, "at_s", 0);
    f.sound = api_bool(check, "sound") &&
        state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t("damage"))) == 0;
    f.drill_failed = state_number(a->state, STATE_drill_verdict, 1, STATE_NONE) == 0;
    json_decref(check);
    *ret_rows = rows;
    return f;
}

bool copies_any(struct api *a)
{
    return state_number(a->state, STATE_copies_count, 0, STATE_NONE) > 0;
}

json_t *lamps_json(struct api *a, enum text_lang lang)
{
    struct lamp_copy room[COPIES_MAX];
    struct lamp lamps[LAMPS];
    json_t *rows, *out = json_array();
    struct lamp_facts f = copies_facts(a, room, &rows);
    lamps_compute(&f, lamps);
    for (size_t i = 0; i < LAMPS; i++) {
        const struct lamp *l = &lamps[i];
        api_append(out, json_pack("{s:s,s:s,s:s,s:o,s:o,s:o}", "id", lamp_words[i].id, "number", lamp_words[i].number,
            "state", lamp_state_names[l->state], "title", text_json(lang, lamp_words[i].title), "why",
            TEXT_SAY(lang, l->why, l->name), "todo",
            l->state == LAMP_ON ? json_string("") : TEXT_SAY(lang, l->todo, l->name)));
    }
    json_decref(rows);
    return out;
}

/* ---- in words ---- */

static json_t *error_text(const char *error, const char *why, enum text_lang lang)
{
    static const struct { const char *word; enum text_key key; } rows[] = { { "gone", T_COPY_ERR_GONE },
        { "label", T_COPY_ERR_LABEL }, { "full", T_COPY_ERR_FULL }, { "denied", T_COPY_ERR_DENIED },
        { "read", T_COPY_ERR_READ }, { "original", T_COPY_ERR_ORIGINAL }, { "foreign", T_COPY_ERR_FOREIGN },
        { "mount", T_COPY_ERR_MOUNT }, { "cancelled", T_COPY_ERR_CANCELLED }, { "box", T_COPY_ERR_BOX },
        { "forked", T_COPY_FORKED }, { "bucket", T_COPY_ERR_BUCKET }, { "nolock", T_COPY_ERR_NOLOCK },
        { "versions", T_COPY_ERR_NOLOCK }, { "keys", T_COPY_ERR_KEYS }, { "rights", T_COPY_ERR_RIGHTS },
        { "clock", T_COPY_ERR_CLOCK }, { "network", T_COPY_ERR_NETWORK }, { "busy", T_COPY_ERR_BUSY },
        { "refused", T_COPY_ERR_REFUSED }, { "code", T_COPY_ERR_CODE }, { "tls", T_COPY_ERR_TLS }, { "region", T_COPY_ERR_REGION }, { "taken", T_COPY_ERR_FOREIGN } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].word, error))
            return text_json(lang, rows[i].key);
    json_t *words = why_words("", why, lang), *out = TEXT_SAY(lang, T_COPY_ERR_OTHER, json_string_value(words));
    json_decref(words);
    return out;
}

/* What a person mistypes of another box is named in words; the rest is api_refused's. */
static bool code_refused(struct api_call *c, const struct sm_obj *o)
{
    static const struct { const char *field, *says; enum text_key key; } rows[] = { { "code", "\"code\"", T_COPY_CODE_BAD },
        { "place", "\"place\"", T_COPY_URL_BAD } };
    for (size_t i = 0; o->err < 0 && i < sizeof rows / sizeof *rows; i++)
        if (strstr(o->why, rows[i].says)) {
            api_fail_say(c, 400, "bad_request", rows[i].field, text_get(c->lang, rows[i].key), NULL);
            return true;
        }
    return false;
}

struct words { const char *state; json_t *text; };

/* What stands first decides: at work, forked, failed, unsound, never, to be pulled out, old, in order. */
static struct words words_of(struct api *a, const json_t *row, const struct lamp_facts *f, enum text_lang lang)
{
    const json_t *s = json_object_get(row, "state");
    const char *doing = copy_doing(a, api_str(row, "id")), *error = api_str(s, "error");
    struct lamp_copy c = copy_facts(row);
    char at[SM_TIME_TEXT];
    sm_time_jst((struct sm_time){ .s = c.covers_s }, at);
    if (doing)
        return (struct words){ !strcmp(doing, "waiting") ? "waiting" : !strcmp(doing, "verify") ? "verifying" : "running",
            text_json(lang, !strcmp(doing, "waiting") ? T_COPY_WAITING
                : !strcmp(doing, "verify") ? T_COPY_VERIFYING : T_COPY_RUNNING) };
    if (*error && strcmp(error, "cancelled") != 0)
        return (struct words){ !strcmp(error, "forked") ? "forked" : "failed", error_text(error, api_str(s, "why"), lang) };
    if (c.complete && c.verified_s && !c.sound)
        return (struct words){ "unsound", text_json(lang, T_COPY_UNSOUND) };
    if (!c.complete)
        return (struct words){ "never", *error ? error_text(error, "", lang) : text_json(lang, T_COPY_NEVER) };
    if (!lamp_current(f, &c))
        return (struct words){ "old", TEXT_SAY(lang, T_COPY_OLD, c.name, at) };
    if (c.detachable && c.attached)
        return (struct words){ "detach", text_json(lang, T_COPY_DETACH) };
    return (struct words){ "ok", TEXT_SAY(lang, T_COPY_OK, c.name, at) };
}

static void put_state(json_t *out, const json_t *s)
{
    static const char *const times[][2] = { { "covers_s", "covers" }, { "done_s", "done" }, { "verified_s", "verified" },
        { "attached_s", "attached_at" }, { "detached_s", "detached_at" }, { "tried_s", "tried" },
        { "locked_until_s", "locked_until" } };
    static const char *const numbers[] = { "seq", "generations", "packs", "pack_bytes", "damaged", "total_bytes",
        "free_bytes", "stored_objects", "stored_bytes" };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        api_set(out, times[i][1], api_time(api_int(s, times[i][0], 0)));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        api_set(out, numbers[i], json_integer(api_int(s, numbers[i], 0)));
    api_set(out, "attached", json_boolean(api_bool(s, "attached")));
    api_set(out, "sound", api_int(s, "verified_s", 0) ? json_boolean(api_bool(s, "sound")) : json_null());
    api_set(out, "same_disk", json_boolean(api_bool(s, "same_disk")));
}

static json_t *copy_json(struct api *a, const json_t *row, const struct lamp_facts *f, enum text_lang lang)
{
    struct words w = words_of(a, row, f, lang);
    struct lamp_copy c = copy_facts(row);
    int64_t hour = api_int(row, "hour", -1);
    json_t *out = json_pack("{s:s,s:s,s:s,s:s,s:b,s:b,s:s,s:I,s:b,s:s,s:o}", "id", api_str(row, "id"), "kind",
        api_str(row, "kind"), "name", api_str(row, "name"), "place", api_str(row, "place"), "elsewhere", c.elsewhere,
        "detachable", c.detachable, "when", c.detachable ? "plugged" : hour < 0 ? "backup" : "daily", "max_days",
        (json_int_t)api_int(row, "max_days", 2), "enabled", api_bool(row, "enabled"), "state", w.state, "text", w.text);
    api_set(out, "hour", hour < 0 || c.detachable ? json_null() : json_integer(hour));
    put_state(out, json_object_get(row, "state"));
    if (a->copying && !strcmp(api_str(a->copying, "copy"), api_str(row, "id")))
        api_set(out, "progress", json_pack("{s:s,s:I,s:I}", "phase", api_str(a->copying, "phase"), "bytes",
            (json_int_t)api_int(a->copying, "bytes", 0), "bytes_total",
            (json_int_t)api_int(a->copying, "bytes_total", 0)));
    return out;
}

/* ---- routes ---- */

void h_copies(struct api_call *c)
{
    struct lamp_copy room[COPIES_MAX];
    json_t *rows, *row, *items = json_array();
    size_t i;
    struct lamp_facts f = copies_facts(c->api, room, &rows);
    json_array_foreach(rows, i, row)
        api_append(items, copy_json(c->api, row, &f, c->lang));
    json_decref(rows);
    const struct api_config *g = &c->api->cfg;
    api_reply(c, 200, json_pack("{s:o,s:n,s:o,s:{s:I,s:I,s:s?}}", "items", items, "next", "lamps",
        lamps_json(c->api, c->lang), "box", "uid", (json_int_t)g->copier_uid, "gid", (json_int_t)g->copier_gid, "disks",
        g->disks));
}

/* The row of the path, or NULL after 404. */
static json_t *row_of(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_copy, STATE_ARGS(state_t(c->part[0])));
    if (!row)
        api_fail(c, 404, "not_found", NULL, NULL);
    return row;
}

static json_t *one_json(struct api_call *c, const char *id)
{
    struct lamp_copy room[COPIES_MAX];
    json_t *rows, *row = api_row(c->api, STATE_copy, STATE_ARGS(state_t(id)));
    struct lamp_facts f = copies_facts(c->api, room, &rows);
    json_t *out = row ? copy_json(c->api, row, &f, c->lang) : json_object();
    json_decref(rows);
    json_decref(row);
    return out;
}

void h_copy(struct api_call *c)
{
    json_t *row = row_of(c);
    if (!row)
        return;
    json_decref(row);
    json_t *out = one_json(c, c->part[0]);
    api_set(out, "runs", api_rows(c->api, STATE_copy_runs, STATE_ARGS(state_t(c->part[0]))));
    api_reply(c, 200, out);
}

static void copy_add(struct api_call *c, const char *label)
{
    const char *id = api_str(c->mem, "id"), *kind = api_str(c->mem, "kind");
    int r = state_do(c->api->state, STATE_copy_add,
        STATE_ARGS(state_t(id), state_t(kind), state_t(api_str(c->mem, "name")), state_t(api_str(c->mem, "place")),
            state_i(api_bool(c->mem, "elsewhere")), state_i(copy_kind(kind)->max_days), state_i(api_now())));
    if (r == -SM_EEXISTS) {
        api_fail(c, 409, "conflict", "place", NULL);
    } else if (r < 0) {
        api_fail_err(c, r, NULL);
    } else {
        json_t *disks = c->api->disks ? json_pack("{s:O}", "disks", c->api->disks) : NULL;
        if (disks)
            api_on_disks(c->api, disks); /* it may be plugged in already */
        json_decref(disks);
        json_t *out = one_json(c, id);
        api_set(out, "label", json_string(label));
        api_set(out, "uid", json_integer(c->api->cfg.copier_uid));
        api_set(out, "gid", json_integer(c->api->cfg.copier_gid));
        if (json_object_get(c->mem, "warning"))
            api_set(out, "warning", json_incref(json_object_get(c->mem, "warning")));
        copy_changed(c->api, id);
        /* Whether the place and the keys are right shows the first run. */
        if (copy_kind(kind)->net)
            (void)copy_want(c->api, id, "copy", c->who.account); /* just added: it is not waiting */
        copies_tick(c->api);
        api_reply(c, 201, out);
    }
}

/* The parent has kept the address with its keys. */
static void address_kept(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    copy_add(c, api_str(c->mem, "label"));
}

static void label_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text), *address = json_object_get(c->mem, "address");
    if (!j)
        return;
    if (address) {
        api_set(address, "label", json_string(api_str(j, "label")));
        api_set(c->mem, "label", json_string(api_str(j, "label")));
        api_ask(c, "P_ADDRESS", json_pack("{s:s,s:O}", "copy", api_str(c->mem, "id"), "address", address), address_kept);
    } else {
        copy_add(c, api_str(j, "label"));
    }
    json_decref(j);
}

/* ---- copies over the network: where, and the keys, which go to the parent and nowhere else ---- */

/* What is kept of a bucket.  The place people see is the URL, without any key. */
static json_t *bucket_of(struct sm_obj *o, char ret_place[PLACE_MAX + 1])
{
    const char *endpoint = sm_obj_str(o, "endpoint", 8, 300), *bucket = sm_obj_str(o, "bucket", 3, 63),
               *prefix = sm_obj_str_opt(o, "prefix", 190), *region = sm_obj_str(o, "region", 1, 60),
               *access = sm_obj_str(o, "access_key", 1, 190), *secret = sm_obj_str(o, "secret_key", 1, 290),
               *style = sm_obj_str_opt(o, "style", 8), *ca = sm_obj_str_opt(o, "ca", 1000);
    bool plain = sm_obj_bool(o, "plain", false);
    int64_t days = sm_obj_int_opt(o, "lock_days", LOCK_DAYS_MIN, LOCK_DAYS_MAX, LOCK_DAYS_MIN),
            rate = sm_obj_int_opt(o, "rate_bytes", 0, INT64_C(1) << 40, 0);
    size_t n = strlen(endpoint);
    if (!o->err && strncmp(endpoint, "https://", 8) != 0 && !(plain && !strncmp(endpoint, "http://", 7))) {
        o->err = -SM_EINVAL;
        (void)snprintf(o->why, sizeof o->why, "field \"endpoint\": https://SERVER"); /* fits */
    }
    if (o->err)
        return NULL;
    (void)snprintf(ret_place, PLACE_MAX + 1, "%.*s/%s%s%s", (int)(n - (endpoint[n - 1] == '/')), endpoint, bucket,
        prefix && *prefix ? "/" : "", prefix ? prefix : ""); /* fits */
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:I,s:I,s:s}", "kind", "s3", "endpoint", endpoint, "bucket", bucket,
        "prefix", prefix ? prefix : "", "region", region, "access_key", access, "secret_key", secret, "style",
        style ? style : "path", "plain", plain, "lock_days", (json_int_t)days, "rate_bytes", (json_int_t)rate, "ca",
        ca ? ca : "");
}

static void keys_kept(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    (void)copy_want(c->api, c->part[0], "copy", c->who.account); /* waiting already is as good */
    copies_tick(c->api);
    api_reply(c, 200, one_json(c, c->part[0]));
}

/* New keys for a copy over the network, or a new code; the rest of its address stays. */
void h_copy_keys(struct api_call *c)
{
    static const char *const known[] = { "access_key", "secret_key", NULL }, *const code[] = { "code", NULL };
    json_t *row = row_of(c), *address = NULL;
    if (!row)
        return;
    const struct copy_kind *k = copy_kind(api_str(row, "kind"));
    bool box = k && !strcmp(k->name, "box");
    struct sm_obj o = SM_OBJ(c->body);
    sm_obj_only(&o, box ? code : known);
    if (box) {
        address = copy_box_code(&o);
    } else {
        const char *access = sm_obj_str(&o, "access_key", 1, 190), *secret = sm_obj_str(&o, "secret_key", 1, 290);
        address = json_pack("{s:s,s:s}", "access_key", access, "secret_key", secret);
    }
    api_audit_what(c, "%s", c->part[0]);
    if ((box && code_refused(c, &o)) || api_refused(c, &o)) {
        sm_json_drop_secret(address);
    } else if (!k || !k->net) {
        sm_json_drop_secret(address);
        api_fail(c, 409, "conflict", "kind", NULL);
    } else {
        api_ask(c, "P_ADDRESS", json_pack("{s:s,s:o}", "copy", c->part[0], "address", address), keys_kept);
    }
    json_decref(row);
}

static bool place_ok(const struct copy_kind *k, const char *place)
{
    if (!k->detachable)
        return place[0] == '/' && place[1] && !strstr(place, "/../");
    size_t n = strspn(place, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-");
    return n > 0 && n <= 64 && !place[n];
}

void h_copy_post(struct api_call *c)
{
    static const char *const known[] = { "kind", "name", "place", "elsewhere", NULL },
        *const bucket[] = { "kind", "name", "elsewhere", "endpoint", "bucket", "prefix", "region", "access_key",
            "secret_key", "style", "plain", "ca", "lock_days", "rate_bytes", NULL },
        *const box[] = { "kind", "name", "elsewhere", "place", "code", "rate_bytes", NULL };
    struct sm_obj o = SM_OBJ(c->body);
    char id[API_ID_TEXT], url[PLACE_MAX + 1] = "";
    const struct copy_kind *k = copy_kind(api_str(c->body, "kind"));
    bool net = k && k->net, other_box = net && !strcmp(k->name, "box");
    sm_obj_only(&o, other_box ? box : net ? bucket : known);
    const char *kind = sm_obj_str(&o, "kind", 1, 16), *name = sm_obj_str(&o, "name", 1, NAME_MAX_BYTES),
               *place = net ? url : sm_obj_str(&o, "place", 1, PLACE_MAX);
    bool elsewhere = sm_obj_bool(&o, "elsewhere", net);
    json_t *address = other_box ? copy_box_address(c, &o, url, sizeof url) : net ? bucket_of(&o, url) : NULL;
    if ((other_box && code_refused(c, &o)) || api_refused(c, &o))
        return;
    if (net)
        api_set(c->mem, "address", address);
    api_audit_what(c, "%s %s", kind, place);
    if (!k || (!net && !place_ok(k, place))) {
        api_fail(c, 400, "bad_request", k ? "place" : "kind", NULL);
        return;
    }
    if (state_number(c->api->state, STATE_copies_count, 0, STATE_NONE) >= COPIES_MAX) {
        api_fail(c, 409, "conflict", "kind", NULL);
        return;
    }
    if (!net && !k->detachable && copy_place_refused(c, place))
        return;
    api_id(id);
    api_set(c->mem, "id", json_string(id));
    api_set(c->mem, "kind", json_string(kind));
    api_set(c->mem, "name", json_string(name));
    api_set(c->mem, "place", json_string(place));
    api_set(c->mem, "elsewhere", json_boolean(elsewhere));
    api_ask(c, "V_COPY_LABEL", json_pack("{s:s}", "copy", id), label_got);
}

void h_copy_patch(struct api_call *c)
{
    static const char *const known[] = { "name", "elsewhere", "hour", "max_days", "enabled", NULL };
    json_t *row = row_of(c);
    if (!row)
        return;
    struct sm_obj o = SM_OBJ(c->body);
    sm_obj_only(&o, known);
    const char *name = sm_obj_str_opt(&o, "name", NAME_MAX_BYTES);
    bool elsewhere = sm_obj_bool(&o, "elsewhere", api_bool(row, "elsewhere")),
         enabled = sm_obj_bool(&o, "enabled", api_bool(row, "enabled"));
    int64_t hour = json_is_null(json_object_get(c->body, "hour")) ? -1
        : sm_obj_int_opt(&o, "hour", 0, 23, api_int(row, "hour", -1)),
            days = sm_obj_int_opt(&o, "max_days", 1, 400, api_int(row, "max_days", 2));
    if (!o.err && name && !*name) {
        o.err = -SM_EINVAL;
        (void)snprintf(o.why, sizeof o.why, "field \"name\": empty"); /* fits */
    }
    if (!api_refused(c, &o)) {
        api_audit_what(c, "%s", c->part[0]);
        if (api_do(c, STATE_copy_change,
                STATE_ARGS(state_t(name ? name : api_str(row, "name")), state_i(elsewhere), state_i(hour), state_i(days),
                    state_i(enabled), state_t(c->part[0])))) {
            copy_changed(c->api, c->part[0]);
            api_event(c->api, "today", "", json_object());
            api_reply(c, 200, one_json(c, c->part[0]));
        }
    }
    json_decref(row);
}

/* Only the box forgets it: what lies at the place stays. */
void h_copy_delete(struct api_call *c)
{
    static const char *const kinds[] = { "copy_old", "copy_failed", "copy_damage", "copy_forked" };
    json_t *row = row_of(c);
    if (!row)
        return;
    api_audit_what(c, "%s %s", api_str(row, "kind"), api_str(row, "place"));
    json_decref(row);
    copy_cancel(c->api, c->part[0]);
    api_tell(c->api, "P_ADDRESS", json_pack("{s:s}", "copy", c->part[0]), NULL, NULL); /* its keys, if it has any */
    if (!api_do(c, STATE_copy_remove, STATE_ARGS(state_t(c->part[0]))))
        return;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char key[96];
        (void)snprintf(key, sizeof key, "%s:%.40s", kinds[i], c->part[0]); /* fits */
        alarm_close_key(c->api, key, c->who.account);
    }
    copy_changed(c->api, c->part[0]);
    api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

void h_copy_run(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    bool verify = sm_obj_bool(&o, "verify", false);
    json_t *row = api_refused(c, &o) ? NULL : row_of(c);
    if (!row)
        return;
    bool gone = copy_kind(api_str(row, "kind")) && copy_kind(api_str(row, "kind"))->detachable &&
        !api_bool(json_object_get(row, "state"), "attached");
    json_decref(row);
    api_audit_what(c, "%s %s", c->part[0], verify ? "verify" : "copy");
    if (gone) {
        api_fail(c, 409, "not_plugged", NULL, NULL);
    } else if (!copy_want(c->api, c->part[0], verify ? "verify" : "copy", c->who.account)) {
        api_fail(c, 409, "conflict", NULL, NULL);
    } else {
        copies_tick(c->api);
        api_reply(c, 202, one_json(c, c->part[0]));
    }
}

void h_copy_cancel(struct api_call *c)
{
    json_t *row = row_of(c);
    if (!row)
        return;
    json_decref(row);
    api_audit_what(c, "%s", c->part[0]);
    copy_cancel(c->api, c->part[0]);
    api_reply(c, 200, one_json(c, c->part[0]));
}
