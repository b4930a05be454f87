/* The box as the backup part sees it through link: its answers, an upload, the manifest. */
#include <errno.h>

#include "core/log.h"
#include "plat/clock.h"
#include "sakimori-agent/backup/backupd.h"
#include "sakimori-agent/carrier.h"
#include "sakimori-agent/follow.h"

#define REOPENS_MAX 100u /* restarts of the box that one run survives */
#define PAUSE_MS 1000
#define PROOF_PATIENCE_MS 120000u
#define RAW_PATIENCE_MS 120000u
#define SESSION_PATIENCE_MS ((uint64_t)10 * 60 * 1000)

/* Ask until there is a link again: it restarts within seconds. */
int backupd_wait_link(struct backupd *b)
{
    uint64_t until = plat_clock_mono_ms() + SESSION_PATIENCE_MS;
    while (!b->link && !b->stop && !atomic_load(&b->cancelled)) {
        if (plat_clock_mono_ms() > until)
            return -SM_EPEER;
        backupd_serve(b, 100);
    }
    return b->link ? 0 : -SM_ECANCEL;
}

/* A call that matters: through every link there will be, until the box has answered or patience ends.  A dead channel
 * is noticed by serve alone, so this must not loop on the one it began with. */
int backupd_call(
    struct backupd *b, const char *path, const json_t *body, uint64_t patience_ms, int *ret_status, json_t **ret)
{
    uint64_t until = plat_clock_mono_ms() + patience_ms;
    for (;;) {
        int status = 0, r = backupd_wait_link(b);
        if (!r)
            r = carrier_json(b->link, path, body, &status, ret);
        *ret_status = status;
        bool passing = r == -SM_EPEER || r == -SM_ETIME || r == -SM_EAGAIN ||
                       (!r && (status == 502 || status == 503 || status == 429));
        if (!passing || plat_clock_mono_ms() > until || atomic_load(&b->cancelled))
            return r;
        if (ret && !r) {
            json_decref(*ret);
            *ret = NULL;
        }
        backupd_serve(b, PAUSE_MS);
    }
}

/* What the box's refusal of a pack or manifest means here. */
int backupd_refusal(int status, const json_t *answer_json)
{
    const char *code = json_string_value(json_object_get(json_object_get(answer_json, "error"), "code"));
    sm_warn("the box refused (%d %s)", status, code ? code : "");
    return status == 507                    ? -ENOSPC
           : status == 401 || status == 403 ? -SM_EDENIED
           : status == 404                  ? -SM_ENOTFOUND
           : status == 413                  ? -SM_ELIMIT
                                            : -SM_EPROTO;
}

/* The proof matters too: a line that is cut while it comes ends no run. */
static int prove_head(struct backupd *b, const char *head)
{
    uint64_t until = plat_clock_mono_ms() + PROOF_PATIENCE_MS;
    for (;;) {
        int r = backupd_wait_link(b);
        if (!r)
            r = heads_prove(&b->heads, head, b->link);
        bool passing = r == -SM_EPEER || r == -SM_ETIME || r == -SM_EAGAIN;
        if (!passing || plat_clock_mono_ms() > until || atomic_load(&b->cancelled))
            return r;
        backupd_serve(b, PAUSE_MS);
    }
}

/* The head of a new upload.  One that does not go on from the last is told and the data kept all the same; a take-over
 * that the recovery sheet signed explains it. */
static int session_head(struct backupd *b, const char *head, const json_t *takeover)
{
    bool before = b->heads.alarm;
    uint64_t seen = b->heads.last.seq;
    char text[160];
    int r = prove_head(b, head);
    bool followed = takeover && (r == 0 || r == -SM_EMISMATCH) &&
                    follow_takeover(&b->heads, b->cache, takeover, head, r == 0, b->link);
    if (followed) {
        b->heads.alarm = before;
        b->followed = true;
        snprintf(text, sizeof text, "the box was made anew from an older copy (record %llu was seen here): "
            "everything is read again and what it lacks is sent again", (unsigned long long)seen);
        sm_warn("%s", text);
        backupd_problem_text(b, "", text, "takeover");
        if (heads_save(&b->heads))
            sm_warn("the box's last head could not be kept");
        r = 0;
    }
    if (b->heads.alarm)
        sm_error("%s", b->heads.why);
    return r == -SM_EMISMATCH ? 0 : r;
}

int backupd_ask_recipients(struct backupd *b)
{
    char path[AGENT_PATH_MAX + 32], why[160];
    struct agent_config now;
    json_t *got = NULL, *o = json_object();
    int status = 0;
    /* `sakimori-agent trust` may have pinned others since this part began. */
    if (agent_config_load(b->config.data, &now, why) == 0) {
        agent_config_wipe(&b->config);
        b->config = now;
    }
    snprintf(path, sizeof path, "%s/cache/recipients.json", b->config.data);
    recips_wipe(&b->recips);
    int r = o ? recips_open(&b->recips, &b->config, path) : -ENOMEM;
    if (!r)
        r = backupd_call(b, "/agent/v1/recipients", o, SESSION_PATIENCE_MS, &status, &got);
    if (!r && status == 200)
        r = recips_take(&b->recips, json_object_get(got, "changes"));
    if (!r && b->recips.alarm)
        sm_error("%s", b->recips.why);
    if (!r && b->recips.can)
        follow_trust(b->cache, b->recips.s.orders);
    json_decref(o);
    json_decref(got);
    return r; /* a box of an older version has no such call: then what is pinned holds */
}

/* A box of before says nothing of algorithms: it knows the first two. */
static bool knows_planes(const json_t *answer)
{
    const json_t *list = json_object_get(answer, "algorithms");
    bool known = false;
    for (size_t i = 0; i < json_array_size(list); i++)
        known |= json_integer_value(json_array_get(list, i)) == OBJ_PLANES;
    return known;
}

int backupd_ask_session(struct backupd *b, struct session_answer *ret)
{
    char set[2 * FINGERPRINT_LEN + 1];
    sm_hex(b->recips.s.fingerprint, FINGERPRINT_LEN, set);
    json_t *o = json_pack("{s:s,s:s,s:s,s:s}", "recipients", set, "source", b->now.source, "run", b->now.run, "reason",
               strcmp(b->now.reason, "scheduled") == 0 ? "schedule" : b->now.reason),
           *got = NULL;
    struct session_answer a = { 0 };
    int status = 0, r = backupd_call(b, "/agent/v1/sessions", o, SESSION_PATIENCE_MS, &status, &got);
    json_decref(o);
    if (!r && status != 200)
        r = backupd_refusal(status, got);
    struct sm_obj f = SM_OBJ(got);
    if (!r) {
        sm_obj_hex(&f, "session", a.id.b, 16);
        a.number = (uint64_t)sm_obj_int(&f, "number", 1, INT64_MAX);
        sm_obj_hex(&f, "previous", a.previous.b, 32);
        a.planes = knows_planes(got);
        const char *head = sm_obj_str(&f, "head", 256, 256);
        r = f.err ? f.err : session_head(b, head, json_object_get(got, "takeover"));
    }
    json_decref(got);
    if (!r)
        *ret = a;
    return r;
}

/*
 * A box that was started again takes up an upload from before only when it is asked for it: its answer 404 is no end of
 * the run.  The packs name their session, so it must be the same one, for the same generation.
 */
bool backupd_reopened(struct backupd *b, int status)
{
    struct session_answer a;
    char id[33];
    if (status != 404 || b->reopened++ >= REOPENS_MAX || backupd_ask_session(b, &a))
        return false;
    sm_hex(a.id.b, 16, id);
    if (strcmp(id, b->session) != 0 || a.number != b->number || !cid_eq(&a.previous, &b->previous))
        return false;
    sm_info("the box takes up upload %s again", b->session);
    return true;
}

/* Bytes to the box and back.  Both calls that use it may be made twice: the box knows what it has. */
static int raw_call(struct backupd *b, const char *path, struct sm_span bytes, int *ret_status, struct sm_buf *ret)
{
    uint64_t until = plat_clock_mono_ms() + RAW_PATIENCE_MS;
    for (;;) {
        sm_buf_wipe(ret);
        *ret_status = 0;
        int r = backupd_wait_link(b);
        if (!r)
            r = carrier_call(b->link, CARRY_POST_RAW, path, bytes, 0, ret_status, ret);
        bool passing = r == -SM_EPEER || r == -SM_ETIME || r == -SM_EAGAIN ||
                       (!r && (*ret_status == 502 || *ret_status == 503 || *ret_status == 429));
        if ((!passing || plat_clock_mono_ms() > until || atomic_load(&b->cancelled)) &&
            (r || !backupd_reopened(b, *ret_status)))
            return r;
        if (passing)
            backupd_serve(b, PAUSE_MS);
    }
}

int backupd_have(void *arg, const struct cid *cids, size_t n, uint8_t *bitmap)
{
    struct backupd *b = arg;
    char path[L_PATH_MAX];
    struct sm_buf out = SM_BUF_INIT(1 << 16);
    int status = 0, r;
    snprintf(path, sizeof path, "/agent/v1/sessions/%s/have", b->session);
    r = raw_call(b, path, SM_SPAN(cids, 32 * n), &status, &out);
    if (!r && (status != 200 || out.n != (n + 7) / 8))
        r = -SM_EPROTO;
    if (!r)
        memcpy(bitmap, out.p, out.n);
    sm_buf_wipe(&out);
    return r;
}

int backupd_take_head(struct backupd *b, const json_t *o, uint64_t asked_seq)
{
    const char *head = json_string_value(json_object_get(o, "head"));
    int r = head ? heads_take_late(&b->heads, head, asked_seq) : -SM_EPROTO;
    if (b->heads.alarm)
        sm_error("%s", b->heads.why);
    return r == -SM_EMISMATCH ? 0 : r; /* told, and the data is kept all the same */
}

static int read_missing(const json_t *o, struct sm_buf *ret, bool *ret_more)
{
    const json_t *list = json_object_get(o, "missing");
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct cid cid;
        const char *hex = json_string_value(json_array_get(list, i));
        int r = hex ? cid_unhex(hex, &cid) : -SM_EPROTO;
        if (!r)
            r = sm_buf_put(ret, cid.b, 32);
        if (r)
            return r;
    }
    *ret_more = json_is_true(json_object_get(o, "more"));
    return -SM_EMISSING;
}

int backupd_put_manifest(
    void *arg, const struct cid *id, struct sm_span manifest, struct sm_buf *ret_missing, bool *ret_more)
{
    struct backupd *b = arg;
    char path[L_PATH_MAX];
    struct sm_buf body = SM_BUF_INIT(SM_IPC_BODY_MAX);
    json_t *o = NULL;
    int status = 0, r;
    (void)id;
    backupd_packs_drop(b); /* all are acknowledged: what the rest of the run needs is not on top of their memory */
    snprintf(path, sizeof path, "/agent/v1/sessions/%s/manifest", b->session);
    r = raw_call(b, path, manifest, &status, &body);
    if (!r && body.n)
        r = sm_json_parse(sm_buf_span(&body), SM_IPC_BODY_MAX, &o, NULL);
    if (!r && status == 200)
        r = backupd_take_head(b, o, b->heads.last.seq);
    else if (!r && status == 409 && json_object_get(o, "missing"))
        r = read_missing(o, ret_missing, ret_more);
    else if (!r)
        r = backupd_refusal(status, o);
    json_decref(o);
    sm_buf_wipe(&body);
    return r;
}
