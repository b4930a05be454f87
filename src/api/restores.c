/* Unlocking, looking into generations, restoring. */
#include <errno.h>
#include "api/internal.h"
#include "crypto/random.h"

#define GRANT_LASTS_S (24 * 3600)
#define ORDER_LASTS_S (12 * 3600)
#define PATHS_MAX 2000
#define PATH_LONGEST 4096
#define PATHS_TEXT_MAX ((size_t)80 << 10) /* of all paths of one restore as base64: they stand in its order */
#define ROOTS_BYTES ((size_t)16 << 10) /* of an order: more roots than that are not told */

/* ---- unlock ---- */

static void ungrant_loaded(struct api *a)
{
    json_t *v;
    const char *manifest;
    json_object_foreach(a->loaded, manifest, v)
        api_tell(a, "V_UNGRANT", json_pack("{s:O}", "grant", v), NULL, NULL);
    (void)json_object_clear(a->loaded); /* an object: cannot fail */
}

/* The restore key closes: everything that was open because of it ends. */
void api_lock(struct api *a, const char *why)
{
    (void)why;
    if (!a->unlock.until_s)
        return;
    a->unlock = (struct api_unlock){ 0 };
    api_tell(a, "K_LOCK", json_object(), NULL, NULL);
    ungrant_loaded(a);
    if (a->opener_asked)
        api_tell(a, "P_OPENER", json_pack("{s:b}", "start", 0), NULL, NULL);
    a->opener_asked = false;
    api_event(a, "today", "", json_object());
}

static void unlock_noted(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err < 0)
        api_lock(c->api, "not recorded"); /* no access without its record */
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    api_reply(c, 200, json_pack("{s:s}", "until", c->api->unlock.until));
}

static void unlock_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    struct api *a = c->api;
    if (err == -SM_EAGAIN) {
        int wait = text ? (int)strtol(text, NULL, 10) : 60;
        api_fail(c, 423, "locked", NULL, json_pack("{s:i}", "wait_s", wait));
        return;
    }
    if (err == -SM_EAUTH || err == -SM_EFORMAT) {
        json_t *facts = json_pack("{s:s,s:s}", "who", c->who.account, "from", c->who.remote);
        if (err == -SM_EAUTH && fails_add(a, "unlock", 3) == 0) {
            struct alarm_new n = { .kind = "unlock", .state = "look", .key = "unlock", .facts = json_incref(facts) };
            alarm_open(a, &n);
        }
        json_decref(facts);
        api_fail_say(c, 403, "denied", err == -SM_EFORMAT ? "card" : NULL,
            text_get(c->lang, err == -SM_EFORMAT ? T_CARD_MISTYPED : T_UNLOCK_WRONG), NULL);
        return;
    }
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    a->unlock.until_s = api_now() + api_int(j, "unlocked_ms", 0) / 1000;
    json_decref(j);
    a->unlock.since_s = api_now();
    a->unlock.drilled = false;
    a->unlock.drill_tries = 0;
    a->unlock.drill_next_s = a->unlock.since_s + DRILL_CALM_S;
    (void)snprintf(a->unlock.by, sizeof a->unlock.by, "%s", c->who.person); /* same size */
    sm_time_rfc3339((struct sm_time){ .s = a->unlock.until_s }, a->unlock.until);
    fails_clear(a, "unlock");
    card_unlocked(a, c->who.person);
    api_ask(c, "V_ACCESS",
        json_pack("{s:s,s:s,s:s,s:s,s:s}", "what", "unlock", "who", c->who.account, "role", c->who.role, "from",
            c->who.remote, "result", "ok"),
        unlock_noted);
}

void h_unlock(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *password = sm_obj_str(&o, "password", 1, 256), *card = sm_obj_str(&o, "card", 1, 127);
    if (!api_refused(c, &o))
        api_ask(c, "K_UNLOCK", json_pack("{s:s,s:s}", "password", password, "card", card), unlock_done);
}

void h_lock(struct api_call *c)
{
    api_lock(c->api, "asked");
    api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

/* ---- restores ---- */

static json_t *restore_json(struct api *a, json_t *row)
{
    json_t *out = json_deep_copy(json_object_get(row, "body")), *now = json_object_get(a->progress, api_str(row, "id"));
    static const char *const same[] = { "id", "manifest", "device", "state", "problems", "set_aside", "skipped",
        "started", "finished", "created", "ms" };
    out = out ? out : json_object();
    (void)json_object_del(out, "source"); /* for the order only; older rows have none */
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        api_set(out, same[i], json_incref(json_object_get(row, same[i])));
    api_set(out, "progress", json_incref(now ? now : json_object_get(row, "progress")));
    return out;
}

static json_t *restore_words(struct api_call *c, json_t *row)
{
    json_t *r = restore_json(c->api, row);
    problems_words(json_object_get(r, "problems"), c->lang);
    return r;
}

void h_restores(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    json_t *rows = api_rows(c->api, STATE_restores, STATE_ARGS(state_i(limit + 1), state_i(offset))),
           *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        json_t *r = restore_json(c->api, row);
        (void)json_object_del(r, "problems"); /* only in the single one */
        (void)json_object_del(r, "paths_b64");
        api_append(items, r);
    }
    json_decref(rows);
    api_reply_list(c, items, limit, offset);
}

void h_restore(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_restore, STATE_ARGS(state_t(c->part[0])));
    if (!row)
        api_fail(c, 404, "not_found", NULL, NULL);
    else
        api_reply(c, 200, restore_words(c, row));
    json_decref(row);
}

/* Where a whole generation stood, as far as the source tells (it may have been changed since): what the machine has to know
 * before it looks into the generation.  NULL: of no use, or not known. */
static json_t *order_roots(struct api *a, const json_t *body)
{
    if (json_array_size(json_object_get(body, "paths_b64")) || !*api_str(body, "source"))
        return NULL;
    json_t *source = api_row(a, STATE_source_any, STATE_ARGS(state_t(api_str(body, "source")))), *v, *out = NULL;
    struct sm_buf text = SM_BUF_INIT(2 * PATH_LONGEST);
    size_t i, bytes = 0;
    if (json_array_size(json_object_get(source, "paths")))
        out = json_array();
    json_array_foreach(json_object_get(source, "paths"), i, v) {
        sm_buf_clear(&text);
        if (!json_is_string(v) || sm_base64(SM_SPAN(json_string_value(v), json_string_length(v)), &text) < 0 ||
            (bytes += text.n) > ROOTS_BYTES)
            break;
        api_append(out, json_stringn((const char *)text.p, text.n));
    }
    sm_buf_wipe(&text);
    json_decref(source);
    return out;
}

static json_t *order_args(struct api *a, const json_t *row)
{
    const json_t *b = json_object_get(row, "body"), *target = json_object_get(b, "target");
    struct sm_buf place = SM_BUF_INIT(2 * PATH_LONGEST);
    const char *text = api_str(target, "place");
    json_t *t = json_pack("{s:s}", "mode", api_str(target, "mode"));
    if (*text && sm_base64(SM_SPAN_STR(text), &place) == 0)
        api_set(t, "place", json_stringn((const char *)place.p, place.n));
    sm_buf_wipe(&place);
    json_t *args = json_pack("{s:s,s:s,s:s,s:s,s:O,s:o,s:s,s:s}", "restore", api_str(row, "id"), "manifest",
        api_str(row, "manifest"), "vault", api_str(a->keys, "vault"), "client", api_str(row, "client"), "paths",
        json_object_get(b, "paths_b64"), "target", t, "existing", api_str(b, "existing"), "label", api_str(row, "id"));
    json_t *roots = order_roots(a, b);
    if (roots)
        api_set(args, "roots", roots);
    if (api_bool(b, "drill"))
        api_set(args, "drill", json_true());
    if (*api_str(b, "database"))
        api_set(args, "database", json_string(api_str(b, "database")));
    return args;
}

void restore_order(struct api *a, const json_t *row)
{
    order_make(a, api_str(row, "device"), "restore", api_str(row, "id"), ORDER_LASTS_S, order_args(a, row));
}

static void restore_noted(struct api_call *c, int err, struct sm_span body, const char *text)
{
    struct api *a = c->api;
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    const json_t *m = c->mem;
    if (!api_do(c, STATE_restore_add,
            STATE_ARGS(state_t(api_str(m, "id")), state_t(api_str(m, "manifest")), state_t(api_str(m, "device")),
                state_t(api_str(m, "client")), state_j(json_object_get(m, "body")), state_t(c->who.person),
                state_i(api_now()))))
        return;
    json_t *row = api_row(a, STATE_restore, STATE_ARGS(state_t(api_str(m, "id"))));
    restore_order(a, row);
    json_decref(row);
    api_event(a, "restore", api_str(m, "id"), json_pack("{s:s,s:s}", "id", api_str(m, "id"), "state", "waiting"));
    api_reply(c, 202, json_pack("{s:s}", "id", api_str(m, "id")));
}

static void restore_granted(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    api_ask(c, "V_ACCESS",
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:s}", "what", "restore", "who", c->who.account, "role",
            c->who.role, "from", c->who.remote, "client", api_str(c->mem, "client"), "manifest",
            api_str(c->mem, "manifest"), "path_count", (int)json_array_size(json_object_get(c->body, "paths_b64")),
            "why", api_str(c->body, "why"), "result", "ordered"),
        restore_noted);
}

/* Dumps of databases have no original place on the machine. */
static bool restore_homeless(struct api_call *c, const char *source)
{
    const json_t *target = json_object_get(json_object_get(c->mem, "body"), "target");
    json_t *row = api_row(c->api, STATE_source_any, STATE_ARGS(state_t(source)));
    bool homeless = source_kind_staged(api_str(row, "kind")) && !strcmp(api_str(target, "mode"), "original");
    json_decref(row);
    return homeless;
}

static void restore_generation(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    struct sm_span raw;
    if (!answer_split(c, err, body, text, &j, &raw))
        return;
    const json_t *g = json_object_get(j, "generation");
    if (self_is(c->api, api_str(g, "client"))) {
        json_decref(j);
        api_fail(c, 409, "self", "manifest", NULL);
        return;
    }
    if (api_bool(g, "suspicious") && !api_bool(c->body, "suspicious_ok")) {
        const json_t *s = json_object_get(json_object_get(j, "record"), "suspicion");
        json_t *extra = json_pack("{s:o}", "reasons", reasons_words(json_object_get(s, "reasons"), c->lang));
        json_decref(j);
        api_fail(c, 409, "suspicious", "suspicious_ok", extra);
        return;
    }
    if (restore_homeless(c, api_str(g, "source"))) {
        json_decref(j);
        api_fail_say(c, 400, "bad_request", "target", text_get(c->lang, T_RESTORE_PLACE), NULL);
        return;
    }
    char id[API_ID_TEXT];
    api_id(id);
    api_audit_what(c, "%s of %s", id, api_str(c->mem, "manifest"));
    api_set(c->mem, "id", json_string(id));
    api_set(c->mem, "client", json_string(api_str(g, "client")));
    api_set(json_object_get(c->mem, "body"), "source", json_string(api_str(g, "source")));
    json_decref(j);
    api_ask(c, "V_GRANT", json_pack("{s:s,s:s,s:I}", "grant", id, "client", api_str(c->mem, "client"), "until_s",
        (json_int_t)api_now() + GRANT_LASTS_S), restore_granted);
}

/* The folder that the box keeps everything in is no place for a restore.  By the path alone: the machine looks closer. */
static bool in_the_box(const struct api *a, const char *place)
{
    size_t n = strlen(a->data);
    while (n > 1 && a->data[n - 1] == '/')
        n--;
    while (place[0] == '/' && place[1] == '/')
        place++;
    return a->data[0] == '/' && n > 1 && strncmp(place, a->data, n) == 0 && (place[n] == 0 || place[n] == '/');
}

/* All paths stand in the order, as base64; what does not fit is to be picked by its folders. */
static bool paths_too_many(const json_t *paths)
{
    size_t i, text = 0;
    json_t *v;
    json_array_foreach(paths, i, v)
        text += json_string_length(v) + 4;
    return json_array_size(paths) > PATHS_MAX || text > PATHS_TEXT_MAX;
}

/* NULL, or the field that is wrong. */
static const char *restore_check(struct api *a, const json_t *b)
{
    const json_t *paths = json_object_get(b, "paths_b64"), *target = json_object_get(b, "target");
    const char *mode = api_str(target, "mode"), *place = api_str(target, "place"), *existing = api_str(b, "existing");
    size_t i;
    json_t *v;
    if (!json_is_array(paths))
        return "paths_b64";
    struct sm_buf raw = SM_BUF_INIT(PATH_LONGEST);
    const char *bad = NULL;
    json_array_foreach(paths, i, v) {
        sm_buf_clear(&raw);
        if (!json_is_string(v) || sm_unbase64(SM_SPAN(json_string_value(v), json_string_length(v)), &raw) < 0 ||
            raw.n == 0 || memchr(raw.p, 0, raw.n))
            bad = "paths_b64";
    }
    sm_buf_wipe(&raw);
    bool original = !strcmp(mode, "original"), other = !strcmp(mode, "place");
    if (!bad && !original && !other)
        bad = "target.mode";
    if (!bad && other && (place[0] != '/' || strlen(place) > PATH_LONGEST || strstr(place, "/../") ||
            in_the_box(a, place)))
        bad = "target.place";
    if (!bad && strcmp(existing, "aside") != 0 && strcmp(existing, "skip") != 0 && strcmp(existing, "overwrite") != 0)
        bad = "existing";
    json_t *d = bad ? NULL : api_row(a, STATE_device, STATE_ARGS(state_t(api_str(b, "device"))));
    if (!bad && (!d || strcmp(api_str(d, "state"), "joined") != 0))
        bad = "device";
    json_decref(d);
    return bad;
}

void h_restore_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *manifest = sm_obj_str(&o, "manifest", 64, 64);
    (void)sm_obj_str(&o, "device", 1, 64);       /* looked up by restore_check */
    const char *why = sm_obj_str(&o, "why", 1, 500);
    (void)sm_obj_bool(&o, "suspicious_ok", false);
    if (api_refused(c, &o))
        return;
    if (paths_too_many(json_object_get(c->body, "paths_b64"))) {
        api_fail(c, 413, "too_many", "paths_b64", NULL);
        return;
    }
    const char *bad = !api_is_hex(manifest, 64) ? "manifest" : restore_check(c->api, c->body);
    if (bad) {
        api_fail(c, 400, "bad_request", bad, NULL);
        return;
    }
    api_set(c->mem, "manifest", json_string(manifest));
    api_set(c->mem, "device", json_string(api_str(c->body, "device")));
    api_set(c->mem, "body",
        json_pack("{s:O,s:O,s:s,s:s,s:b}", "paths_b64", json_object_get(c->body, "paths_b64"), "target",
            json_object_get(c->body, "target"), "existing", api_str(c->body, "existing"), "why", why, "suspicious_ok",
            api_bool(c->body, "suspicious_ok")));
    api_ask(c, "V_GENERATION", json_pack("{s:s}", "manifest", manifest), restore_generation);
}

/* It ended in whatever way: nothing of it stays open, and its order is not offered again. */
void restore_over(struct api *a, const char *restore)
{
    (void)json_object_del(a->progress, restore); /* may never have been there */
    (void)!state_do(a->state, STATE_orders_over, STATE_ARGS(state_t(restore))); /* else the machine refuses it */
    api_tell(a, "V_UNGRANT", json_pack("{s:s}", "grant", restore), NULL, NULL);
}

void restore_fail(struct api *a, const char *restore, const char *why)
{
    json_t *p = json_pack("[{s:s,s:s,s:s}]", "path", "", "error", "restore", "what", why ? why : "");
    int r = state_do(a->state, STATE_restore_end,
        STATE_ARGS(state_t("failed"), state_i(api_now()), state_j(NULL), state_j(p), state_i(0), state_i(0), state_i(0),
            state_t(restore)));
    json_decref(p);
    if (r > 0) {
        restore_over(a, restore);
        json_t *nothing = json_object();
        drill_ended(a, restore, "failed", nothing);
        json_decref(nothing);
        api_event(a, "restore", restore, json_pack("{s:s,s:s}", "id", restore, "state", "failed"));
    }
}

/* Its process on the machine died.  The same restore is ordered again: the machine goes on by its id. */
void restore_died(struct api *a, const char *id, const char *why)
{
    json_t *row = api_row(a, STATE_restore, STATE_ARGS(state_t(id)));
    bool open = !strcmp(api_str(row, "state"), "waiting") || !strcmp(api_str(row, "state"), "running");
    if (open && !api_int(row, "cancel", 0) && order_may_again(a, "restore", id)) {
        (void)!state_do(a->state, STATE_restore_again, STATE_ARGS(state_t(id)));
        restore_order(a, row);
    } else if (open) {
        restore_fail(a, id, why);
    }
    json_decref(row);
}

void h_restore_cancel(struct api_call *c)
{
    struct api *a = c->api;
    json_t *row = api_row(a, STATE_restore, STATE_ARGS(state_t(c->part[0])));
    const char *state = api_str(row, "state");
    bool waiting = !strcmp(state, "waiting");
    api_audit_what(c, "%s", c->part[0]);
    if (!row) {
        api_fail(c, 404, "not_found", NULL, NULL);
    } else if (!waiting && strcmp(state, "running") != 0) {
        api_fail(c, 409, "conflict", NULL, NULL);
    } else if (api_do(c, STATE_restore_cancel, STATE_ARGS(state_t(c->part[0])))) {
        order_make(a, api_str(row, "device"), "cancel", c->part[0], 3600, json_pack("{s:s}", "run", c->part[0]));
        if (waiting) { /* the order was not taken: it never will be */
            (void)!state_do(a->state, STATE_restore_state,
                STATE_ARGS(state_t("cancelled"), state_i(api_now()), state_t(c->part[0])));
            restore_over(a, c->part[0]);
        }
        api_reply(c, 202, json_pack("{s:b}", "ok", 1));
    }
    json_decref(row);
}

/* The vault was restarted and knows no grants: those of restores under way are given again. */
void restores_grant_again(struct api *a)
{
    json_t *rows = api_rows(a, STATE_restores_open, STATE_NONE), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        api_tell(a, "V_GRANT",
            json_pack("{s:s,s:s,s:I}", "grant", api_str(row, "id"), "client", api_str(row, "client"), "until_s",
                (json_int_t)api_now() + GRANT_LASTS_S),
            NULL, NULL);
    json_decref(rows);
}

void restores_tick(struct api *a)
{
    int64_t now = api_now();
    if (a->unlock.until_s && !api_unlocked(a))
        api_lock(a, "time");
    json_t *rows = api_rows(a, STATE_restores_orderless, STATE_ARGS(state_i(now - 30), state_i(now))), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        if (now - api_int(row, "created_s", 0) > ORDER_LASTS_S)
            restore_fail(a, api_str(row, "id"), "the machine did not fetch the order in time");
        else
            restore_order(a, row);
    }
    json_decref(rows);
}
