/* A restore as the machine does it: file keys for its own temporary key, sealed objects, progress, end. */
#include <errno.h>
#include "api/internal.h"

static json_t *own_restore(struct api_call *c)
{
    json_t *r = api_row(c->api, STATE_restore, STATE_ARGS(state_t(c->part[0])));
    bool own = r && !strcmp(api_str(r, "device"), c->who.device);
    if (own && (!strcmp(api_str(r, "state"), "waiting") || !strcmp(api_str(r, "state"), "running")))
        return r;
    if (r && !own)
        alarm_refusal(c->api, c->who.device, "another machine's restore");
    json_decref(r);
    api_fail(c, 404, "not_found", NULL, NULL);
    return NULL;
}

static void key_granted(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err == -SM_ESTATE) {
        api_fail(c, 409, "unlock_needed", NULL, NULL);
        return;
    }
    if (err == -SM_EAUTH)
        alarm_refusal(c->api, c->who.device, "restore key not signed by the device");
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    api_reply(c, 200,
        json_pack("{s:O,s:O,s:O?,s:O}", "manifest_bytes", json_object_get(c->mem, "manifest_bytes"), "sign_pub",
            json_object_get(c->mem, "sign_pub"), "keys", json_object_get(j, "keys"), "more",
            json_object_get(c->mem, "more")));
    json_decref(j);
}

/* u32 n ‖ JSON ‖ raw, as some answers are.  False after the failure was said. */
bool answer_split(
    struct api_call *c, int err, struct sm_span body, const char *text, json_t **ret, struct sm_span *ret_raw)
{
    struct sm_rd rd = SM_RD(body);
    json_t *j = NULL;
    if (err >= 0) {
        uint32_t n = sm_rd_u32(&rd);
        struct sm_span part = sm_rd_bytes(&rd, n);
        err = rd.err < 0 ? rd.err : sm_json_parse(part, (size_t)1 << 20, &j, NULL);
    }
    if (err < 0) {
        api_fail_err(c, err, text);
        return false;
    }
    *ret = j;
    *ret_raw = SM_SPAN(rd.p, rd.n);
    return true;
}

static void key_closure(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    struct sm_span raw;
    if (!answer_split(c, err, body, text, &j, &raw))
        return;
    api_set(c->mem, "more",
        json_is_integer(json_object_get(j, "next")) ? json_incref(json_object_get(j, "next")) : json_null());
    json_decref(j);
    json_t *d = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->who.device)));
    json_t *ask = json_pack("{s:s,s:s,s:s,s:s,s:s}", "restore", c->part[0], "device", c->who.device, "eph_pub",
        api_str(c->body, "eph_pub"), "sig", api_str(c->body, "sig"), "sign_pub", api_str(d, "sign_pub"));
    json_decref(d);
    api_ask_join(c, "K_GRANT_AGENT", ask, raw, key_granted);
}

static void key_noted(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    api_ask(c, "V_CLOSURE",
        json_pack(
            "{s:s,s:I}", "manifest", api_str(c->mem, "manifest"), "cursor", (json_int_t)api_int(c->body, "cursor", 0)),
        key_closure);
}

static void key_generation(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    struct sm_span raw;
    if (!answer_split(c, err, body, text, &j, &raw))
        return;
    struct sm_buf b64 = SM_BUF_INIT((size_t)1 << 20);
    int r = sm_base64(raw, &b64);
    if (r == 0) {
        api_set(c->mem, "manifest_bytes", json_stringn((const char *)b64.p, b64.n));
        api_set(c->mem, "sign_pub", json_string(api_str(j, "sign_pub")));
    }
    sm_buf_wipe(&b64);
    json_decref(j);
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    /* In the vault's journal before any key goes out. */
    api_ask(c, "V_ACCESS",
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "what", "grant", "who", api_str(c->mem, "by"), "role", "director",
            "from", c->who.remote, "client", api_str(c->mem, "client"), "manifest", api_str(c->mem, "manifest"),
            "result", "ok"),
        key_noted);
}

void h_restore_key(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    uint8_t pub[32], sig[64];
    sm_obj_hex(&o, "eph_pub", pub, sizeof pub);
    sm_obj_hex(&o, "sig", sig, sizeof sig);
    (void)sm_obj_int_opt(&o, "cursor", 0, INT64_MAX / 2, 0); /* read again when it is used */
    json_t *r = NULL;
    if (api_refused(c, &o) || !(r = own_restore(c)))
        return;
    if (!api_unlocked(c->api)) {
        json_decref(r);
        api_fail(c, 409, "unlock_needed", NULL, NULL);
        return;
    }
    api_audit_what(c, "restore %s", c->part[0]);
    json_t *p = api_row(c->api, STATE_person, STATE_ARGS(state_t(api_str(r, "by"))));
    api_set(c->mem, "manifest", json_string(api_str(r, "manifest")));
    api_set(c->mem, "client", json_string(api_str(r, "client")));
    api_set(c->mem, "by", json_string(api_str(p, "account")));
    json_decref(p);
    json_decref(r);
    api_ask(c, "V_GENERATION", json_pack("{s:s}", "manifest", api_str(c->mem, "manifest")), key_generation);
}

void h_restore_objects(struct api_call *c)
{
    json_t *r = own_restore(c);
    if (!r)
        return;
    json_decref(r);
    if (c->raw.n == 0 || c->raw.n % 32 != 0) {
        api_fail(c, 400, "bad_request", NULL, NULL);
        return;
    }
    api_reply_raw(c, 200, sm_buf_span(&c->raw), json_pack("{s:s}", "Content-Type", "application/octet-stream"),
        json_pack("{s:s,s:s}", "vault", "objects", "grant", c->part[0]));
}

void h_restore_progress(struct api_call *c)
{
    struct api *a = c->api;
    struct sm_obj o = SM_OBJ(c->body);
    json_t *p = progress_of(&o), *r = NULL;
    if (api_refused(c, &o)) {
        json_decref(p);
        return;
    }
    r = api_row(a, STATE_restore, STATE_ARGS(state_t(c->part[0])));
    if (!r || strcmp(api_str(r, "device"), c->who.device) != 0) {
        json_decref(p);
        json_decref(r);
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    bool open = !strcmp(api_str(r, "state"), "waiting") || !strcmp(api_str(r, "state"), "running");
    bool cancel = api_int(r, "cancel", 0) || !open;
    json_decref(r);
    if (open) { /* said again by the next progress if it fails */
        (void)!state_do(a->state, STATE_restore_started, STATE_ARGS(state_i(api_now()), state_t(c->part[0])));
        api_event(
            a, "restore", c->part[0], json_pack("{s:s,s:s,s:O}", "id", c->part[0], "state", "running", "progress", p));
        api_set(a->progress, c->part[0], json_incref(p));
    }
    json_decref(p);
    api_reply(c, 200, json_pack("{s:b}", "cancel", cancel));
}

void h_restore_end(struct api_call *c)
{
    static const char *const states[] = { "complete", "partial", "failed", "cancelled" };
    struct api *a = c->api;
    struct sm_obj o = SM_OBJ(c->body);
    const char *status = sm_obj_str(&o, "status", 1, 16);
    int64_t aside = sm_obj_int_opt(&o, "set_aside", 0, INT64_MAX / 2, 0),
            skipped = sm_obj_int_opt(&o, "skipped", 0, INT64_MAX / 2, 0);
    int64_t ms = sm_obj_int_opt(&o, "ms", 0, INT64_MAX / 2, 0),
            files = sm_obj_int_opt(&o, "files", 0, INT64_MAX / 2, 0);
    int64_t bytes = sm_obj_int_opt(&o, "bytes", 0, INT64_MAX / 2, 0);
    bool known = false;
    for (size_t i = 0; i < 4; i++)
        known |= !strcmp(status, states[i]);
    json_t *problems = problems_of(&o), *r = NULL;
    if (api_refused(c, &o) || !(r = own_restore(c))) {
        json_decref(problems);
        return;
    }
    if (known && api_bool(c->body, "died")) { /* said by link, for a process that can say nothing any more */
        api_audit_what(c, "restore %s: its process died", c->part[0]);
        restore_died(a, c->part[0], "the restore process on the machine ended before its work was done, several times");
        api_reply(c, 200, json_pack("{s:b}", "ok", 1));
        json_decref(problems);
        json_decref(r);
        return;
    }
    if (!strcmp(status, "failed") && json_array_size(problems) == 0) {
        const char *why = sm_obj_str_opt(&o, "error", 200);
        api_append(problems, json_pack("{s:s,s:s,s:s}", "path", "", "error", "restore", "what",
                                 why && *why ? why : "the machine gave no reason"));
    }
    json_t *p = json_deep_copy(json_object_get(a->progress, c->part[0]));
    p = p ? p : json_object();
    api_set(p, "files", json_integer(files));
    api_set(p, "bytes", json_integer(bytes));
    api_audit_what(c, "restore %s %s", c->part[0], status);
    if (!known)
        api_fail(c, 400, "bad_request", "status", NULL);
    else if (api_do(c, STATE_restore_end,
                 STATE_ARGS(state_t(status), state_i(api_now()), state_j(p), state_j(problems), state_i(aside),
                     state_i(skipped), state_i(ms), state_t(c->part[0])))) {
        restore_over(a, c->part[0]);
        access_note(a, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "what", "restore", "who", c->who.device, "role",
                           "device", "from", c->who.remote, "client", api_str(r, "client"), "manifest",
                           api_str(r, "manifest"), "result", status));
        drill_ended(a, c->part[0], status, c->body);
        api_event(a, "restore", c->part[0], json_pack("{s:s,s:s}", "id", c->part[0], "state", status));
        api_reply(c, 200, json_pack("{s:b}", "ok", 1));
    }
    json_decref(problems);
    json_decref(p);
    json_decref(r);
}
