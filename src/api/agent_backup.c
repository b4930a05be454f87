/* A backup as the machine does it: upload session, packs, manifest, progress, end. */
#include "crypto/hash.h"
#include <errno.h>
#include "api/internal.h"

#define PACK_MAX ((int64_t)32 << 20)
#define DIED_LATE \
    "the process ended after the vault had accepted the generation; what could not be read is in the generation"
#define PACK_TARGET 16777216

/* The run named in the path, if it is this machine's; NULL after 404. */
static json_t *own_run(struct api_call *c, const char *id)
{
    json_t *run = api_row(c->api, STATE_run, STATE_ARGS(state_t(id)));
    if (run && !strcmp(api_str(run, "device"), c->who.device))
        return run;
    json_decref(run);
    api_fail(c, 404, "not_found", NULL, NULL);
    return NULL;
}

static json_t *own_upload(struct api_call *c)
{
    json_t *up = api_row(c->api, STATE_upload, STATE_ARGS(state_t(c->part[0])));
    if (up && !strcmp(api_str(up, "device"), c->who.device))
        return up;
    if (up)
        alarm_refusal(c->api, c->who.device, "another machine's upload session");
    json_decref(up);
    api_fail(c, 404, "not_found", NULL, NULL);
    return NULL;
}

static bool run_open(const json_t *run)
{
    return !strcmp(api_str(run, "state"), "waiting") || !strcmp(api_str(run, "state"), "running");
}

static void upload_made(struct api_call *c, int err, struct sm_span body, const char *text)
{
    struct api *a = c->api;
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    const char *run = api_str(c->mem, "run"), *source = api_str(c->mem, "source");
    int r = state_do(a->state, STATE_upload_add,
        STATE_ARGS(state_t(api_str(j, "session")), state_t(run), state_t(c->who.device), state_t(source),
            state_i(api_int(j, "number", 0)), state_i(api_now())));
    if (r >= 0)
        r = state_do(a->state, STATE_run_started, STATE_ARGS(state_i(api_now()), state_t(run)));
    if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_reply(c, 200,
            json_pack("{s:s,s:s,s:s,s:I,s:s,s:s,s:i,s:I,s:O*,s:O*}", "session", api_str(j, "session"), "vault",
                api_str(a->keys, "vault"), "client", c->who.client, "number", (json_int_t)api_int(j, "number", 0),
                "previous", api_str(j, "previous"), "head", api_str(j, "head_signed"), "pack_target", PACK_TARGET,
                "pack_max", (json_int_t)PACK_MAX, "algorithms", json_object_get(j, "algorithms"),
                "takeover", json_object_get(j, "takeover")));
    json_decref(j);
}

void h_upload(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *source = sm_obj_str(&o, "source", 32, 32), *id = sm_obj_str(&o, "run", 32, 32),
               *wraps_for = sm_obj_str_opt(&o, "recipients", 64);
    if (api_refused(c, &o))
        return;
    json_t *run = own_run(c, id);
    if (!run)
        return;
    if (strcmp(api_str(run, "source"), source) != 0 || !run_open(run)) {
        json_decref(run);
        api_fail_say(c, 409, "conflict", "run", "this run is over, or of another source", NULL);
        return;
    }
    if (*api_str(run, "manifest")) { /* else one order would be enough for a flood of generations */
        json_decref(run);
        alarm_refusal(c->api, c->who.device, "a second generation in one run");
        api_fail_say(c, 409, "conflict", "run", "this run has made its generation", NULL);
        return;
    }
    api_audit_what(c, "run %s", id);
    if (wraps_for)
        recipients_used(c, wraps_for);
    api_set(c->mem, "run", json_string(id));
    api_set(c->mem, "source", json_string(source));
    json_t *open = api_row(c->api, STATE_upload_of_run, STATE_ARGS(state_t(id)));
    json_t *ask = json_pack("{s:s,s:s,s:s,s:s,s:s}", "client", c->who.client, "source", source, "run", id, "run_kind",
        api_str(run, "kind"), "from", c->who.remote);
    if (open)
        api_set(ask, "session", json_string(api_str(open, "session")));
    json_decref(open);
    json_decref(run);
    api_ask(c, "V_SESSION", ask, upload_made);
}

/* A whole number of at most 12 digits in a header; otherwise when it is absent, -1 when it is none. */
static int64_t header_number(const struct api_call *c, const char *name, int64_t otherwise)
{
    const json_t *v = json_object_get(json_object_get(c->req, "headers"), name);
    if (json_is_integer(v))
        return json_integer_value(v);
    const char *s = json_string_value(v);
    if (!s)
        return otherwise;
    size_t n = strlen(s);
    return n == 0 || n > 12 || strspn(s, "0123456789") != n ? -1 : strtoll(s, NULL, 10);
}

void h_pack_put(struct api_call *c)
{
    json_t *up = own_upload(c);
    if (!up)
        return;
    bool over = *api_str(up, "manifest");
    json_decref(up);
    int64_t offset = header_number(c, "x-sakimori-offset", 0), body = header_number(c, "content-length", -1);
    int64_t length = header_number(c, "x-sakimori-length", offset >= 0 && body >= 0 ? offset + body : -1);
    if (!api_is_hex(c->part[1], 64) || offset < 0 || length <= 0 || length > PACK_MAX || offset > length) {
        api_fail_say(c, 400, "bad_request", NULL, "pack name, X-Sakimori-Offset or X-Sakimori-Length", NULL);
        return;
    }
    if (over) {
        api_fail(c, 409, "conflict", NULL, NULL);
        return;
    }
    json_t *then = json_pack("{s:s,s:s,s:s,s:I,s:I}", "vault", "pack", "session", c->part[0], "pack", c->part[1],
        "offset", (json_int_t)offset, "length", (json_int_t)length);
    api_reply_raw(c, 200, SM_SPAN(NULL, 0), NULL, then);
}

static void pass_on(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (j)
        api_reply(c, 200, j);
}

void h_pack_get(struct api_call *c)
{
    json_t *up = own_upload(c);
    if (!up)
        return;
    json_decref(up);
    if (!api_is_hex(c->part[1], 64))
        api_fail(c, 400, "bad_request", "pack", NULL);
    else
        api_ask(c, "V_PACK_STATE", json_pack("{s:s,s:s}", "session", c->part[0], "pack", c->part[1]), pass_on);
}

static void raw_on(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err < 0)
        api_fail_err(c, err, text);
    else
        api_reply_raw(c, 200, body, json_pack("{s:s}", "Content-Type", "application/octet-stream"), NULL);
}

void h_have(struct api_call *c)
{
    json_t *up = own_upload(c);
    if (!up)
        return;
    json_decref(up);
    if (c->raw.n % 32 != 0)
        api_fail(c, 400, "bad_request", NULL, NULL);
    else
        api_ask_join(c, "V_HAVE", json_pack("{s:s}", "client", c->who.client), sm_buf_span(&c->raw), raw_on);
}

static void manifest_refused(struct api_call *c, json_t *j)
{
    const char *refusal = api_str(j, "refusal");
    if (!strcmp(refusal, "missing")) {
        json_t *out = json_pack("{s:{s:s,s:s},s:O,s:b}", "error", "code", "missing", "message", "objects are missing",
            "missing", json_object_get(j, "missing"), "more", api_bool(j, "more"));
        api_reply(c, 409, out);
    } else {
        api_fail_say(c, 422, refusal, NULL, api_str(j, "why"), NULL);
    }
    json_decref(j);
}

static void manifest_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    struct api *a = c->api;
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    if (*api_str(j, "refusal")) {
        manifest_refused(c, j);
        return;
    }
    const char *manifest = api_str(j, "manifest"), *head = api_str(j, "head");
    if (strlen(head) == 256)
        (void)snprintf(a->head, sizeof a->head, "%s", head); /* measured */
    api_audit_what(c, "manifest %s", manifest);
    /* The vault has it: what follows here can be found again from its journal. */
    (void)!state_do(a->state, STATE_upload_manifest, STATE_ARGS(state_t(manifest), state_t(c->part[0])));
    (void)!state_do(a->state, STATE_run_manifest, STATE_ARGS(state_t(manifest), state_t(api_str(c->mem, "run"))));
    const json_t *s = json_object_get(j, "suspicion");
    json_t *codes = json_array(), *row;
    size_t i;
    json_array_foreach(json_object_get(s, "reasons"), i, row)
        api_append(codes, json_is_string(row) ? json_incref(row) : json_string(api_str(row, "code")));
    json_t *out = json_pack("{s:s,s:O?,s:s,s:{s:I,s:o}}", "manifest", manifest, "seq", json_object_get(j, "seq"),
        "head", head, "suspicion", "score", (json_int_t)api_int(s, "score", 0), "reasons", codes);
    json_decref(j);
    api_reply(c, 200, out);
}

static void head_again(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_t *out = json_pack("{s:O,s:O?,s:O?,s:{s:i,s:[]}}", "manifest", json_object_get(c->mem, "manifest"), "seq",
        json_object_get(j, "seq"), "head", json_object_get(j, "head"), "suspicion", "score", 0, "reasons");
    json_decref(j);
    api_reply(c, 200, out);
}

/* The answer to this very manifest was lost on its way: say it again. */
static bool manifest_again(struct api_call *c, const char *had)
{
    uint8_t sum[CRYPTO_SHA256_LEN];
    char hex[2 * CRYPTO_SHA256_LEN + 1];
    crypto_sha256(sm_buf_span(&c->raw), sum);
    sm_hex(sum, sizeof sum, hex);
    if (strcmp(had, hex) != 0)
        return false;
    api_set(c->mem, "manifest", json_string(hex));
    api_ask(c, "V_HEAD", json_object(), head_again);
    return true;
}

void h_manifest(struct api_call *c)
{
    json_t *up = own_upload(c);
    if (!up)
        return;
    api_set(c->mem, "run", json_string(api_str(up, "run")));
    bool again = *api_str(up, "manifest") && manifest_again(c, api_str(up, "manifest"));
    json_decref(up);
    if (again)
        return;
    if (c->raw.n == 0)
        api_fail(c, 400, "bad_request", NULL, NULL);
    else
        api_ask_join(c, "V_MANIFEST", json_pack("{s:s,s:s}", "session", c->part[0], "from", c->who.remote),
            sm_buf_span(&c->raw), manifest_done);
}

/* ---- progress and end ---- */

/* The total is what there was the last time; 0 says it is not known.  What passes it is the total from then on. */
void progress_bound(json_t *p, const char *part, const char *whole)
{
    int64_t n = api_int(p, part, 0), all = api_int(p, whole, 0);
    if (all > 0 && n > all)
        api_set(p, whole, json_integer(n));
}

json_t *progress_of(struct sm_obj *o)
{
    static const char *const numbers[] = { "files", "files_total", "bytes", "bytes_total", "sent" };
    const char *phase = sm_obj_str_opt(o, "phase", 16), *now = NULL;
    if (json_is_string(json_object_get(o->o, "now")))
        now = sm_obj_str_opt(o, "now", 4096);
    json_t *p = json_pack("{s:s,s:o,s:I}", "phase", phase ? phase : "", "now", now ? json_string(now) : json_null(),
        "at_s", (json_int_t)api_now());
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        api_set(p, numbers[i], json_integer(sm_obj_int_opt(o, numbers[i], 0, INT64_MAX / 2, 0)));
    progress_bound(p, "files", "files_total");
    progress_bound(p, "bytes", "bytes_total");
    return p;
}

void h_progress(struct api_call *c)
{
    struct api *a = c->api;
    struct sm_obj o = SM_OBJ(c->body);
    json_t *p = progress_of(&o), *run = NULL;
    if (api_refused(c, &o) || !(run = own_run(c, c->part[0]))) {
        json_decref(p);
        return;
    }
    if (!strcmp(api_str(run, "state"), "waiting")) /* said again by the next progress if it fails */
        (void)!state_do(a->state, STATE_run_started, STATE_ARGS(state_i(api_now()), state_t(c->part[0])));
    bool open = run_open(run), cancel = api_int(run, "cancel", 0) || !open;
    if (open) {
        api_event(a, "run", c->part[0],
            json_pack("{s:s,s:s,s:s,s:O}", "id", c->part[0], "source", api_str(run, "source"), "state", "running",
                "progress", p));
        api_set(a->progress, c->part[0], json_incref(p));
    }
    json_decref(p);
    json_decref(run);
    api_reply(c, 200, json_pack("{s:b}", "cancel", cancel));
}

/* [{path, error, what}] bounded and copied. */
json_t *problems_of(struct sm_obj *o)
{
    json_t *out = json_array(), *row;
    const json_t *in = json_object_get(o->o, "problems") ? sm_obj_arr(o, "problems", 1000) : NULL;
    size_t i;
    json_array_foreach(in, i, row) {
        struct sm_obj p = SM_OBJ(row);
        const char *path = sm_obj_str_opt(&p, "path", 4096), *error = sm_obj_str_opt(&p, "error", 200),
                   *what = sm_obj_str_opt(&p, "what", 500);
        if (p.err >= 0)
            api_append(out, json_pack("{s:s,s:s,s:s}", "path", path ? path : "", "error", error ? error : "", "what",
                                what ? what : ""));
    }
    return out;
}

/* why: a reason of the box's own, or NULL when the machine's are kept. */
static void run_end(struct api_call *c, const char *state, const char *why)
{
    struct api *a = c->api;
    api_audit_what(c, "run %s %s", c->part[0], state);
    run_finish(a, c->part[0], state, why);
    api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

/* Brain was away when the vault took the manifest: the vault's journal is the truth. */
static void run_end_generation(struct api_call *c, int err, struct sm_span body, const char *text)
{
    const char *manifest = api_str(c->body, "manifest"), *status = api_str(c->body, "status");
    json_t *j = NULL;
    struct sm_span raw;
    if (err == -SM_ENOTFOUND) {
        run_end(c, "failed", "the vault does not have the generation that the machine says it made");
        return;
    }
    if (!answer_split(c, err, body, text, &j, &raw))
        return;
    const json_t *g = json_object_get(j, "generation");
    bool own = !strcmp(api_str(g, "client"), c->who.client) && !strcmp(api_str(g, "source"), api_str(c->mem, "source"));
    json_decref(j);
    if (!own)
        run_end(c, "failed", "the generation that the machine names is of another machine or source");
    else if (api_do(c, STATE_run_manifest, STATE_ARGS(state_t(manifest), state_t(c->part[0]))))
        run_end(c, status, NULL);
}

/* Its process died after its generation was accepted: what the vault holds is how it went. */
static void died_generation(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    struct sm_span raw;
    if (!answer_split(c, err, body, text, &j, &raw))
        return;
    bool whole = !strcmp(api_str(json_object_get(j, "generation"), "status"), "complete");
    json_decref(j);
    run_end(c, whole ? "complete" : "partial", whole ? NULL : DIED_LATE);
}

/* Said by link for a backup process that can say nothing any more. */
static void run_end_died(struct api_call *c, const char *manifest)
{
    api_audit_what(c, "run %s: its process died", c->part[0]);
    if (*manifest) {
        api_set(c->mem, "manifest", json_string(manifest));
        api_ask(c, "V_GENERATION", json_pack("{s:s}", "manifest", manifest), died_generation);
        return;
    }
    run_died(c->api, c->part[0], "the backup process on the machine ended before its work was done, several times");
    api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

void h_run_end(struct api_call *c)
{
    static const char *const states[] = { "complete", "partial", "failed", "cancelled" };
    struct api *a = c->api;
    struct sm_obj o = SM_OBJ(c->body);
    const char *status = sm_obj_str(&o, "status", 1, 16);
    const json_t *counters = sm_obj_obj(&o, "counters");
    int64_t total = sm_obj_int_opt(&o, "problems_total", 0, INT64_MAX / 2, 0);
    bool known = false;
    for (size_t i = 0; i < 4; i++)
        known |= !strcmp(status, states[i]);
    json_t *problems = problems_of(&o), *run = NULL;
    if (api_refused(c, &o) || !(run = own_run(c, c->part[0]))) {
        json_decref(problems);
        return;
    }
    bool has = *api_str(run, "manifest"), good = !strcmp(status, "complete") || !strcmp(status, "partial");
    api_set(c->mem, "source", json_string(api_str(run, "source")));
    bool died = known && api_bool(c->body, "died");
    if (died && run_open(run))
        run_end_died(c, api_str(run, "manifest"));
    else if (died) /* its end was heard all the same */
        api_reply(c, 200, json_pack("{s:b}", "ok", 1));
    json_decref(run);
    if (!known || died) {
        json_decref(problems);
        if (!died)
            api_fail(c, 400, "bad_request", "status", NULL);
        return;
    }
    bool silent = json_array_size(problems) == 0;
    if (api_int(counters, "reread_changed", 0) > 0)
        alarm_silent_change(a, c->part[0], api_int(counters, "reread_changed", 0), problems);
    json_t *last = json_incref(json_object_get(a->progress, c->part[0]));
    bool kept = api_do(c, STATE_run_details,
        STATE_ARGS(state_j(problems), state_i(total), state_j(counters), state_j(last), state_t(c->part[0])));
    json_decref(last);
    json_decref(problems);
    if (!kept)
        return;
    /* Complete is what the vault accepted, not what a machine says. */
    if (!good || has)
        run_end(c, status, !strcmp(status, "failed") && silent ? "the machine gave no reason" : NULL);
    else if (api_is_hex(api_str(c->body, "manifest"), 64))
        api_ask(c, "V_GENERATION", json_pack("{s:s}", "manifest", api_str(c->body, "manifest")), run_end_generation);
    else
        run_end(c, "failed", "the machine says it is done, but the vault accepted no generation");
}

/* ---- the machine's cache, sealed by itself ---- */

static bool own_source(struct api_call *c)
{
    json_t *s = api_is_hex(c->part[0], 32) ? api_row(c->api, STATE_source, STATE_ARGS(state_t(c->part[0]))) : NULL;
    bool own = s && !strcmp(api_str(s, "device"), c->who.device);
    if (s && !own)
        alarm_refusal(c->api, c->who.device, "another machine's cache");
    json_decref(s);
    if (!own)
        api_fail(c, 404, "not_found", NULL, NULL);
    return own;
}

static void cache_put_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    json_decref(j);
    if (j)
        api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

void h_cache_put(struct api_call *c)
{
    if (own_source(c))
        api_ask_join(c, "V_CACHE_PUT", json_pack("{s:s,s:s}", "client", c->who.client, "source", c->part[0]),
            sm_buf_span(&c->raw), cache_put_done);
}

void h_cache_get(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    int64_t offset = sm_obj_int(&o, "offset", 0, INT64_MAX);
    if (!api_refused(c, &o) && own_source(c))
        api_ask(c, "V_CACHE_GET",
            json_pack("{s:s,s:s,s:I}", "client", c->who.client, "source", c->part[0], "offset", (json_int_t)offset), raw_on);
}

/* A head that is none of this record is an answer, and no fault of this box. */
static void ancestry_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err == -SM_EMISMATCH)
        api_fail_say(c, 409, "conflict", NULL, "that head is no part of this record", NULL);
    else
        raw_on(c, err, body, text);
}

void h_ancestry(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const json_t *from = sm_obj_obj(&o, "from"), *to = sm_obj_obj(&o, "to");
    if (api_refused(c, &o) || !from || !to) {
        if (o.err >= 0)
            api_fail(c, 400, "bad_request", from ? "to" : "from", NULL);
        return;
    }
    api_ask(c, "V_ANCESTRY", json_pack("{s:O,s:O,s:i,s:b}", "from", from, "to", to, "max", 900000, "part",
        json_is_true(json_object_get(c->body, "part"))), ancestry_got);
}
