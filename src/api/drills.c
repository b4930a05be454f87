/*
 * Restore drills: the only proof that a backup can be restored.  A drill is a restore of a sample (or of everything) into a
 * scratch place on the machine, read back from its disk and compared with the vault, timed, and removed again; its report is
 * kept, and its hash stands in the vault's journal.
 */
#include <errno.h>
#include <string.h>
#include "api/internal.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

#define SAMPLE_FILES 200
#define SAMPLE_BYTES ((json_int_t)1 << 30)
#define DUE_S ((int64_t)30 * 86400) /* a drill is asked for when the last good one is older */

/* ---- beginning one ---- */

static void drill_noted(struct api_call *c, int err, struct sm_span body, const char *text)
{
    struct api *a = c->api;
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    const json_t *m = c->mem;
    const char *id = api_str(m, "id");
    if (!api_do(c, STATE_restore_add,
            STATE_ARGS(state_t(id), state_t(api_str(m, "load")), state_t(api_str(m, "device")), state_t(api_str(m, "client")),
                state_j(json_object_get(m, "body")), state_t(c->who.person), state_i(api_now()))) ||
        !api_do(c, STATE_drill_add,
            STATE_ARGS(state_t(id), state_t(api_str(m, "load")), state_t(api_str(m, "source")), state_t(api_str(m, "device")),
                state_j(json_object_get(m, "plan")), state_t(c->who.account), state_i(api_now()))))
        return;
    json_t *row = api_row(a, STATE_restore, STATE_ARGS(state_t(id)));
    restore_order(a, row);
    json_decref(row);
    api_event(a, "restore", id, json_pack("{s:s,s:s}", "id", id, "state", "waiting"));
    api_reply(c, 202, json_pack("{s:s}", "id", id));
}

static void drill_granted(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    api_ask(c, "V_ACCESS",
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:s}", "what", "drill", "who", c->who.account, "role", c->who.role,
            "from", c->who.remote, "client", api_str(c->mem, "client"), "manifest", api_str(c->mem, "load"), "path_count",
            (json_int_t)api_int(json_object_get(c->mem, "plan"), "files", 0), "why",
            c->who.by_itself ? "sample, by itself after the unlock" : api_str(c->mem, "amount"), "result", "ordered"),
        drill_noted);
}

/* What is to be restored is known: paths empty = everything. */
static void drill_order(struct api_call *c, json_t *paths /* taken */)
{
    char id[API_ID_TEXT];
    api_id(id);
    api_set(c->mem, "id", json_string(id));
    api_audit_what(c, "%s of %s", id, api_str(c->mem, "load"));
    api_set(c->mem, "body",
        json_pack("{s:o,s:{s:s,s:s+},s:s,s:s,s:b,s:b}", "paths_b64", paths, "target", "mode", "place", "place",
            "/var/tmp/sakimori-drill-", id, "existing", "overwrite", "why", "drill", "suspicious_ok", 1, "drill", 1));
    if (source_kind_staged(api_str(c->mem, "kind")))
        api_set(json_object_get(c->mem, "body"), "database", json_string(api_str(c->mem, "kind")));
    api_ask(c, "V_GRANT", json_pack("{s:s,s:s,s:I}", "grant", id, "client", api_str(c->mem, "client"), "until_s",
        (json_int_t)api_now() + 24 * 3600), drill_granted);
}

static void drill_sampled(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    bool all = !strcmp(api_str(c->mem, "amount"), "all");
    int64_t files = api_int(j, all ? "files_total" : "files", 0);
    if (files == 0) {
        json_decref(j);
        api_fail(c, 409, "empty", NULL, NULL);
        return;
    }
    api_set(c->mem, "plan",
        json_pack("{s:s,s:I,s:I,s:I,s:I}", "amount", api_str(c->mem, "amount"), "files", (json_int_t)files, "bytes",
            (json_int_t)api_int(j, all ? "bytes_total" : "bytes", 0), "files_total",
            (json_int_t)api_int(j, "files_total", 0), "bytes_total", (json_int_t)api_int(j, "bytes_total", 0)));
    if (c->who.by_itself)
        api_set(json_object_get(c->mem, "plan"), "by_itself", json_true());
    json_t *paths = all ? json_array() : json_incref(json_object_get(j, "paths"));
    json_decref(j);
    drill_order(c, paths);
}

/* The generation is in the opener. */
void drill_go(struct api_call *c)
{
    api_ask(c, "O_SAMPLE",
        json_pack("{s:s,s:i,s:I}", "manifest", api_str(c->mem, "load"), "files", SAMPLE_FILES, "bytes", SAMPLE_BYTES),
        drill_sampled);
}

/* What is proved is of this source: another's generation would stand under its name. */
static void drill_found(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    struct sm_span raw;
    if (!answer_split(c, err, body, text, &j, &raw))
        return;
    const json_t *g = json_object_get(j, "generation");
    bool own = !strcmp(api_str(g, "source"), api_str(c->mem, "source"));
    api_set(c->mem, "client", json_string(api_str(g, "client")));
    json_decref(j);
    if (own)
        browse_load(c, api_str(c->mem, "manifest"));
    else
        api_fail(c, 400, "bad_request", "manifest", NULL);
}

void h_drill_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *source = sm_obj_str(&o, "source", 32, 32), *amount = sm_obj_str_opt(&o, "amount", 16),
               *device = sm_obj_str_opt(&o, "device", 64), *given = sm_obj_str_opt(&o, "manifest", 64);
    if (api_refused(c, &o))
        return;
    amount = amount ? amount : "sample";
    json_t *s = api_row(c->api, STATE_source_any, STATE_ARGS(state_t(source)));
    const char *manifest = given ? given : api_str(json_object_get(s, "clean"), "manifest");
    device = device ? device : api_str(s, "device");
    json_t *d = api_row(c->api, STATE_device, STATE_ARGS(state_t(device)));
    const char *bad = !s                                                        ? "source"
        : strcmp(amount, "sample") != 0 && strcmp(amount, "all") != 0          ? "amount"
        : given && !api_is_hex(given, 64)                                      ? "manifest"
        : !d || strcmp(api_str(d, "state"), "joined") != 0                     ? "device"
                                                                               : NULL;
    if (bad) {
        api_fail(c, 400, "bad_request", bad, NULL);
    } else if (!api_is_hex(manifest, 64)) {
        api_fail(c, 409, "empty", NULL, NULL); /* no clean generation yet */
    } else {
        api_set(c->mem, "source", json_string(source));
        api_set(c->mem, "device", json_string(device));
        /* A part of a database cannot be started: it is tried whole. */
        api_set(c->mem, "amount", json_string(source_kind_staged(api_str(s, "kind")) ? "all" : amount));
        api_set(c->mem, "kind", json_string(api_str(s, "kind")));
        api_set(c->mem, "manifest", json_string(manifest));
        api_ask(c, "V_GENERATION", json_pack("{s:s}", "manifest", manifest), drill_found);
    }
    json_decref(s);
    json_decref(d);
}

/* ---- by itself ---- */

#define TRIES 3         /* an unlock */
#define TRY_AGAIN_S 20  /* after one that could not begin: a child was busy or was being started again */

bool drill_by_itself(struct api *a)
{
    json_t *v = state_setting(a->state, "drills");
    bool no = json_is_false(json_object_get(v, "by_itself"));
    json_decref(v);
    return !no;
}

/* Somebody who restores after an attack needs the machine and the box for that. */
static bool calm(struct api *a)
{
    json_t *open = api_rows(a, STATE_restores_open, STATE_NONE), *alarms = api_rows(a, STATE_alarms_open, STATE_NONE), *row;
    bool quiet = json_array_size(open) == 0;
    size_t i;
    json_array_foreach(alarms, i, row)
        quiet &= strcmp(api_str(row, "state"), "call") != 0;
    json_decref(open);
    json_decref(alarms);
    return quiet;
}

/* When a sample of this source is due: since then, 0 = it is not, or not by itself.  A database is tried whole, with a
 * server: a person chooses when. */
static int64_t due_since(struct api *a, const json_t *s, int64_t now)
{
    const char *id = api_str(s, "id");
    int64_t good = state_number(a->state, STATE_drill_ok_of_source, 0, STATE_ARGS(state_t(id))),
            tried = state_number(a->state, STATE_drill_tried_of_source, 0, STATE_ARGS(state_t(id))),
            since = good ? good + DUE_S : api_int(s, "created_s", 0) + 86400;
    bool can = api_bool(s, "enabled") && !source_kind_staged(api_str(s, "kind")) && device_there(s, now) &&
               api_is_hex(api_str(json_object_get(s, "clean"), "manifest"), 64);
    return can && since < now && now - tried > 86400 ? since : 0;
}

/* The source whose drill is due longest; NULL.  The caller's. */
static json_t *due_source(struct api *a, int64_t now)
{
    json_t *rows = api_rows(a, STATE_sources, STATE_NONE), *row, *best = NULL;
    int64_t first = 0;
    size_t i;
    json_array_foreach(rows, i, row) {
        int64_t since = due_since(a, row, now);
        if (since && (!best || since < first)) {
            best = row;
            first = since;
        }
    }
    json_incref(best);
    json_decref(rows);
    return best;
}

static void drill_begun(void *arg, const struct api_response *r)
{
    struct api *a = arg;
    a->unlock.drilled = r->status < 300;
    a->unlock.drill_next_s = api_now() + TRY_AGAIN_S;
}

void drill_tick(struct api *a)
{
    int64_t now = api_now();
    struct api_unlock *u = &a->unlock;
    if (!api_unlocked(a) || u->drilled || u->drill_tries >= TRIES || now < u->drill_next_s || !drill_by_itself(a) || !calm(a))
        return;
    json_t *person = api_row(a, STATE_person, STATE_ARGS(state_t(u->by))), *s = person ? due_source(a, now) : NULL;
    if (s) {
        u->drill_tries++;
        u->drilled = true; /* or it is said otherwise */
        struct api_caller_info who = { .bit = API_DIRECTOR, .remote = "box", .by_itself = true };
        (void)snprintf(who.person, sizeof who.person, "%s", u->by);                      /* same size */
        (void)snprintf(who.account, sizeof who.account, "%s", api_str(person, "account")); /* checked when it was made */
        (void)snprintf(who.name, sizeof who.name, "%s", api_str(person, "name"));          /* the same */
        (void)snprintf(who.role, sizeof who.role, "%s", api_str(person, "role"));          /* a word */
        api_by_itself(a, &who, "POST", "/api/v1/drills", json_pack("{s:s}", "source", api_str(s, "id")),
            drill_begun, a);
    }
    json_decref(s);
    json_decref(person);
}

/* ---- its end ---- */

/* By the slower of the two measures, since a sample has other sizes than the whole. */
static int64_t estimate_s(const json_t *plan, int64_t files, int64_t bytes, int64_t ms)
{
    int64_t files_total = api_int(plan, "files_total", 0), bytes_total = api_int(plan, "bytes_total", 0);
    double by_files = files > 0 ? (double)files_total / (double)files : 1,
           by_bytes = bytes > 0 ? (double)bytes_total / (double)bytes : 1;
    double factor = by_files > by_bytes ? by_files : by_bytes;
    return (int64_t)((double)ms / 1000 * (factor < 1 ? 1 : factor) + 0.999);
}

static void drill_alarm(struct api *a, const json_t *row, const json_t *report)
{
    struct alarm_new n = { .kind = "drill",
        .state = "look",
        .key = "drill",
        .source = api_str(row, "source"),
        .device = api_str(row, "device"),
        .manifest = api_str(row, "manifest"),
        .facts = json_pack("{s:s,s:I,s:I}", "drill", api_str(row, "id"), "differences",
            (json_int_t)api_int(report, "differences", 0), "problems", (json_int_t)api_int(report, "problems", 0)) };
    alarm_open(a, &n);
}

/* The hash of the report goes into the vault's journal, which is chained and whose head is signed. */
static void drill_record(struct api *a, const json_t *row, const char *hash, bool ok)
{
    char why[128];
    (void)snprintf(why, sizeof why, "report sha256 %s", hash); /* fits */
    access_note(a, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "what", "drill", "who", api_str(row, "by"), "role", "box",
                       "from", "box", "manifest", api_str(row, "manifest"), "why", why, "result", ok ? "passed" : "failed"));
}

/* What the device measured, as it signed it (sakimori-agent/restore.c, drill_told): canonical JSON.  The caller's. */
static json_t *drill_measured(const json_t *row, const char *status, const json_t *told)
{
    json_t *d = json_copy(json_object_get(told, "drill"));
    (void)json_object_del(d, "sig"); /* not of what is signed; may not be there */
    return json_pack("{s:i,s:O,s:O,s:s,s:I,s:I,s:I,s:o?}", "v", 1, "restore", json_object_get(row, "id"), "manifest",
        json_object_get(row, "manifest"), "status", status, "files", (json_int_t)api_int(told, "files", 0), "bytes",
        (json_int_t)api_int(told, "bytes", 0), "problems", (json_int_t)api_int(told, "problems_total", 0), "drill", d);
}

/* By the key of the device that did it. */
static bool drill_signed(struct api *a, const json_t *row, const json_t *measured, const char *sig)
{
    uint8_t pub[CRYPTO_SIGN_PUBLIC_LEN], raw[CRYPTO_SIGN_LEN];
    struct sm_buf b = SM_BUF_INIT(CRYPTO_SIGN_MESSAGE_MAX);
    json_t *dev = api_row(a, STATE_device, STATE_ARGS(state_t(api_str(row, "device"))));
    const char *key = api_str(dev, "sign_pub");
    bool ok = measured && sm_unhex(key, strlen(key), pub, sizeof pub) == 0 && sm_unhex(sig, strlen(sig), raw, sizeof raw) == 0 &&
              sm_buf_put(&b, "sakimori/v1/drill", 17) == 0 && sm_json_dump(measured, &b) == 0 &&
              crypto_sign_verify(pub, sm_buf_span(&b), raw) == 0;
    sm_buf_wipe(&b);
    json_decref(dev);
    return ok;
}

/* What is known of a database beyond its files; NULL for other sources. */
static json_t *drill_server(struct api *a, const json_t *row, const json_t *told)
{
    json_t *server = json_object_get(told, "server");
    json_t *s = api_row(a, STATE_source_any, STATE_ARGS(state_t(api_str(row, "source"))));
    bool database = source_kind_staged(api_str(s, "kind"));
    json_decref(s);
    if (json_is_object(server))
        return json_incref(server);
    return database ? json_pack("{s:s,s:s}", "state", "files", "why", "agent") : NULL; /* an older agent, or no equal files */
}

static json_t *drill_report(struct api *a, const json_t *row, const char *status, const json_t *told, bool *ret_ok)
{
    const json_t *plan = json_object_get(row, "plan"), *d = json_object_get(told, "drill");
    const char *sig = api_str(d, "sig");
    int64_t files = api_int(told, "files", 0), bytes = api_int(told, "bytes", 0), ms = api_int(d, "restore_ms", 0);
    json_t *server = drill_server(a, row, d), *measured = drill_measured(row, status, told);
    int64_t server_ms = api_int(server, "start_ms", 0) + api_int(server, "load_ms", 0) + api_int(server, "check_ms", 0);
    bool ok = !strcmp(status, "complete") && api_bool(d, "equal") && files >= api_int(plan, "files", 0) &&
              strcmp(api_str(server, "state"), "failed") != 0;
    json_t *report = json_pack("{s:i,s:s,s:s,s:s,s:s,s:O,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:I,s:O?}", "version", 2, "id",
        api_str(row, "id"), "manifest", api_str(row, "manifest"), "source", api_str(row, "source"), "status", status, "plan",
        plan, "files", (json_int_t)files, "bytes", (json_int_t)bytes, "restore_ms", (json_int_t)ms, "compare_ms",
        (json_int_t)api_int(d, "compare_ms", 0), "differences", (json_int_t)api_int(d, "differences", 0), "problems",
        (json_int_t)api_int(told, "problems_total", 0), "removed", api_bool(d, "removed"), "ok", ok, "estimate_s",
        (json_int_t)estimate_s(plan, files, bytes, ms + server_ms), "head", json_object_get(a->vault, "head"));
    if (report) {
        api_set(report, "signed", json_boolean(drill_signed(a, row, measured, sig)));
        api_set(report, "sig", json_string(sig));
        api_set(report, "measured", json_incref(measured));
        if (a->head[0]) /* of the vault's journal, signed by the box */
            api_set(report, "head_signed", json_string(a->head));
        if (server)
            api_set(report, "server", json_incref(server));
    }
    json_decref(server);
    json_decref(measured);
    *ret_ok = ok;
    return report;
}

void drill_ended(struct api *a, const char *id, const char *status, const json_t *told)
{
    json_t *row = api_row(a, STATE_drill, STATE_ARGS(state_t(id)));
    if (!row)
        return; /* an ordinary restore */
    bool ok = false;
    json_t *report = drill_report(a, row, status, told, &ok);
    char *text = report ? json_dumps(report, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    uint8_t h[CRYPTO_SHA256_LEN];
    char hash[2 * CRYPTO_SHA256_LEN + 1] = "";
    if (text) {
        crypto_sha256(SM_SPAN_STR(text), h);
        sm_hex(h, sizeof h, hash);
    }
    int r = text ? state_do(a->state, STATE_drill_end,
                       STATE_ARGS(state_i(api_now()), state_i(ok), state_j(report), state_t(hash), state_t(id)))
                 : -ENOMEM;
    if (r > 0) {
        drill_record(a, row, hash, ok);
        if (ok)
            (void)!state_do(a->state, STATE_tasks_done, /* else it is asked for once more */
                STATE_ARGS(state_i(api_now()), state_t(api_str(row, "by")), state_t("drill")));
        else if (strcmp(status, "cancelled") != 0)
            drill_alarm(a, row, report);
        api_event(a, "today", "", json_object());
    }
    free(text);
    json_decref(report);
    json_decref(row);
}

/* ---- looking ---- */

static json_t *drill_json(struct api *a, const json_t *row)
{
    json_t *out = json_object(), *r = api_row(a, STATE_restore, STATE_ARGS(state_t(api_str(row, "id"))));
    json_t *s = api_row(a, STATE_source_any, STATE_ARGS(state_t(api_str(row, "source"))));
    json_t *d = api_row(a, STATE_device, STATE_ARGS(state_t(api_str(row, "device"))));
    json_t *now = json_object_get(a->progress, api_str(row, "id"));
    static const char *const same[] = { "id", "manifest", "source", "device", "plan", "by", "created", "finished", "report",
        "hash" };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        api_set(out, same[i], json_incref(json_object_get(row, same[i])));
    bool over = json_is_object(json_object_get(row, "report"));
    api_set(out, "ok", over ? json_boolean(api_bool(row, "ok")) : json_null());
    api_set(out, "state", json_string(*api_str(r, "state") ? api_str(r, "state") : "failed"));
    api_set(out, "progress", json_incref(now ? now : json_object_get(r, "progress")));
    api_set(out, "problems", json_incref(json_object_get(r, "problems")));
    api_set(out, "source_name", json_string(api_str(s, "name")));
    api_set(out, "device_name", json_string(api_str(d, "name")));
    json_decref(r);
    json_decref(s);
    json_decref(d);
    return out;
}

void h_drills(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    json_t *rows = api_rows(c->api, STATE_drills, STATE_ARGS(state_i(limit + 1), state_i(offset))), *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        json_t *d = drill_json(c->api, row);
        (void)json_object_del(d, "problems"); /* only in the single one */
        api_append(items, d);
    }
    json_decref(rows);
    api_reply_list(c, items, limit, offset);
}

void h_drill(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_drill, STATE_ARGS(state_t(c->part[0])));
    if (!row) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    json_t *out = drill_json(c->api, row), *inst = state_setting(c->api->state, "institution");
    problems_words(json_object_get(out, "problems"), c->lang);
    api_set(out, "institution", json_string(api_str(inst, "name")));
    api_set(out, "responsible", json_incref(json_object_get(inst, "responsible")));
    json_decref(inst);
    json_decref(row);
    api_reply(c, 200, out);
}

/* {"at","ok"} of the last one, of a generation when manifest is given; null when there is none. */
json_t *drill_last(struct api *a, const char *manifest)
{
    json_t *row = manifest ? api_row(a, STATE_drill_of, STATE_ARGS(state_t(manifest))) : api_row(a, STATE_drill_newest, STATE_NONE);
    json_t *out = row ? json_pack("{s:O,s:b}", "at", json_object_get(row, "finished"), "ok", api_bool(row, "ok")) : json_null();
    json_decref(row);
    return out;
}

/* Is a drill to be asked for: something clean is there, and no good drill for a month? */
bool drill_due(struct api *a, int64_t now)
{
    int64_t first = state_number(a->state, STATE_drill_first_clean, 0, STATE_NONE),
            last = state_number(a->state, STATE_drill_last_ok, 0, STATE_NONE);
    return first > 0 && now - first > 86400 && now - last > DUE_S;
}
