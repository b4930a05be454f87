/* What brain asks of the vault's records: freezing, rules, access, the log, heads and what is signed for copies. */
#include <errno.h>

#include "sakimorid/vault/vaultd.h"
#include "vault/copy/copy.h"

#define LIST_MAX 500
#define RAW_MAX ((size_t)900 << 10)

static void freeze_thaw(struct child *c, struct sm_ipc *ipc, struct sm_ipc_msg *m, bool thaw)
{
    struct vaultd *v = vaultd_of(c);
    struct store *st = vaultd_store(v, ipc, m);
    json_t *in = st ? wire_body(ipc, m) : NULL;
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    struct client_id client;
    sm_obj_hex(&o, "client", client.b, 16);
    const char *reason = sm_obj_str(&o, "reason", 1, 255), *by = sm_obj_str(&o, "by", 1, 255);
    bool false_alarm = sm_obj_bool(&o, "false_alarm", false);
    int r = o.err;
    if (!r)
        r = thaw ? store_thaw(st, &client, reason, by, false_alarm) : store_freeze(st, &client, reason, by);
    if (!r)
        keeping_drop(v, &client);
    vaultd_after(v, r);
    vaultd_mark_soon(v);
    wire_answer(ipc, m, r ? NULL : json_object(), r, o.why);
    json_decref(in);
}

void query_freeze(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    freeze_thaw(c, ipc, m, false);
}

void query_thaw(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    freeze_thaw(c, ipc, m, true);
}

void query_policy(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    struct retention_policy p;
    store_policy(ask.st, &p);
    if (json_object_get(ask.in, "daily")) {
        p.hourly = (uint32_t)sm_obj_int(&ask.o, "hourly", 0, RETENTION_SLOTS_MAX);
        p.daily = (uint32_t)sm_obj_int(&ask.o, "daily", 0, RETENTION_SLOTS_MAX);
        p.weekly = (uint32_t)sm_obj_int(&ask.o, "weekly", 0, RETENTION_SLOTS_MAX);
        p.monthly = (uint32_t)sm_obj_int(&ask.o, "monthly", 0, RETENTION_SLOTS_MAX);
        p.min_days = (uint32_t)sm_obj_int(&ask.o, "min_days", 1, RETENTION_DAYS_MAX);
        const char *by = sm_obj_str(&ask.o, "by", 1, 255);
        int r = ask.o.err ? ask.o.err : store_policy_set(ask.st, &p, by);
        vaultd_after(ask.v, r);
        vaultd_mark_soon(ask.v);
        if (r) {
            vaultd_answer(&ask, NULL, r, ask.o.why);
            return;
        }
    }
    out = json_pack("{s:i,s:i,s:i,s:i,s:i}", "hourly", (int)p.hourly, "daily", (int)p.daily, "weekly", (int)p.weekly,
        "monthly", (int)p.monthly, "min_days", (int)p.min_days);
    vaultd_answer(&ask, out, 0, NULL);
}

void query_access(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    struct client_id client;
    struct cid manifest;
    struct store_access a = {.what = sm_obj_str(&ask.o, "what", 1, 32)};
    a.who = sm_obj_str_opt(&ask.o, "who", 255);
    a.role = sm_obj_str_opt(&ask.o, "role", 255);
    a.from = sm_obj_str_opt(&ask.o, "from", 255);
    a.why = sm_obj_str_opt(&ask.o, "why", 255);
    a.result = sm_obj_str_opt(&ask.o, "result", 255);
    a.path_count = (uint64_t)sm_obj_int_opt(&ask.o, "path_count", 0, INT64_MAX, 0);
    if (wire_hex_opt(&ask.o, "client", client.b, 16))
        a.client = &client;
    if (wire_hex_opt(&ask.o, "manifest", manifest.b, 32))
        a.manifest = &manifest;
    int r = ask.o.err ? ask.o.err : store_access(ask.st, &a);
    if (!r) {
        out = json_object();
        wire_int(out, "seq", journal_durable(store_journal(ask.st)).seq);
    }
    vaultd_after(ask.v, r);
    vaultd_answer(&ask, out, r, ask.o.why);
}

struct log_arg {
    json_t *list;
    uint64_t last;
};

static int log_row(void *arg, const struct journal_record *r)
{
    struct log_arg *a = arg;
    json_t *o = json_object(), *payload = NULL;
    wire_int(o, "seq", r->seq);
    query_put_time(o, "at", r->time);
    wire_int(o, "type", r->type);
    if (sm_json_parse(r->payload, JOURNAL_PAYLOAD_MAX, &payload, NULL) == 0)
        json_object_set_new(o, "payload", payload);
    a->last = r->seq;
    return json_array_append_new(a->list, o) ? -ENOMEM : 0;
}

void query_log(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct store *st = vaultd_store(vaultd_of(c), ipc, m);
    json_t *in = st ? wire_body(ipc, m) : NULL, *out = NULL;
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    uint64_t before = (uint64_t)sm_obj_int_opt(&o, "before_seq", 0, INT64_MAX, 0);
    size_t limit = (size_t)sm_obj_int_opt(&o, "limit", 1, LIST_MAX, 100);
    uint32_t mask = 0;
    const json_t *types = json_object_get(in, "types");
    for (size_t i = 0; i < json_array_size(types) && i < 32; i++) {
        json_int_t t = json_integer_value(json_array_get(types, i));
        if (t > 0 && t < 32)
            mask |= 1u << t;
    }
    struct log_arg a = {.list = json_array()};
    int r = o.err ? o.err : store_log(st, before, mask ? mask : STORE_LOG_ACCESS, limit, log_row, &a);
    if (!r) {
        bool more = json_array_size(a.list) == limit;
        out = json_object();
        json_object_set(out, "items", a.list);
        json_object_set_new(out, "next_before_seq", more ? json_integer((json_int_t)a.last) : json_null());
    }
    json_decref(a.list);
    wire_answer(ipc, m, out, r, o.why);
    json_decref(in);
}

static void head_arg(struct sm_obj *o, const char *key, struct journal_head *ret)
{
    struct sm_obj h = SM_OBJ(sm_obj_obj(o, key));
    ret->seq = (uint64_t)sm_obj_int(&h, "seq", 0, INT64_MAX);
    sm_obj_hex(&h, "hash", ret->hash, 32);
    if (h.err && !o->err) {
        o->err = h.err;
        memcpy(o->why, h.why, sizeof o->why);
    }
}

void query_ancestry(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct store *st = vaultd_store(vaultd_of(c), ipc, m);
    json_t *in = st ? wire_body(ipc, m) : NULL;
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    struct journal_head from, to;
    struct sm_buf raw = SM_BUF_INIT(SM_IPC_BODY_MAX);
    head_arg(&o, "from", &from);
    head_arg(&o, "to", &to);
    size_t max = (size_t)sm_obj_int_opt(&o, "max", 1, (int64_t)RAW_MAX, (int64_t)RAW_MAX);
    bool part = json_is_true(json_object_get(in, "part"));
    int r = o.err ? o.err
          : part  ? journal_ancestry_part(store_journal(st), &from, &to, max, &raw)
                  : journal_ancestry(store_journal(st), &from, &to, max, &raw);
    if (r)
        child_reply_error(ipc, m, r, o.err ? o.why : sm_strerror(r));
    else
        child_reply(ipc, m, sm_buf_span(&raw));
    sm_buf_wipe(&raw);
    json_decref(in);
}

/* Is a head that somebody kept one of this journal?  hash: all of it, or its first 8 bytes. */
static int head_check(struct store *st, struct sm_obj *o, uint64_t now, const char **ret)
{
    uint8_t hash[32], is[32];
    uint64_t seq = (uint64_t)sm_obj_int(o, "seq", 0, INT64_MAX);
    const char *hex = sm_obj_str(o, "hash", 16, 64);
    size_t n = strlen(hex) / 2;
    int r = o->err ? o->err : (n != 8 && n != 32) || sm_unhex(hex, 2 * n, hash, n) ? -SM_EINVAL : 0;
    if (!r && seq <= now)
        r = journal_hash_at(store_journal(st), seq, is);
    if (!r)
        *ret = seq > now ? "rolled-back" : memcmp(is, hash, n) == 0 ? "continues" : "forked";
    return r;
}

void query_head(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    struct journal_signed_head h;
    json_t *out = NULL;
    const char *check = NULL;
    int r = store_head(ask.st, &h);
    if (!r && json_object_get(ask.in, "hash"))
        r = head_check(ask.st, &ask.o, h.head.seq, &check);
    if (!r) {
        out = json_object();
        query_put_head(out, "head", &h);
        wire_int(out, "seq", h.head.seq);
        wire_hex(out, "hash", h.head.hash, 32);
        if (check)
            json_object_set_new(out, "check", json_string(check));
    }
    vaultd_after(ask.v, r);
    vaultd_answer(&ask, out, r, ask.o.why);
}

/* {"copy","number","digest"} → {"sig"}: a root of a copy over the network (FORMAT section 12.1), signed with the head key. */
void query_copy_seal(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    struct copy_root_name name = {.vault = ask.v->vault};
    struct sm_buf message = SM_BUF_INIT(256), sig = SM_BUF_INIT(256);
    sm_obj_hex(&ask.o, "copy", name.copy, sizeof name.copy);
    sm_obj_hex(&ask.o, "digest", name.digest, sizeof name.digest);
    name.number = (uint64_t)sm_obj_int(&ask.o, "number", 1, INT64_MAX);
    int r = ask.o.err ? ask.o.err : copy_root_message(&name, &message);
    if (!r)
        r = child_call(c, WHO_KEYD, K_SIGN_HEAD, sm_buf_span(&message), 10000, &sig, NULL);
    if (!r && sig.n != 64)
        r = -SM_EPROTO;
    if (!r) {
        out = json_object();
        wire_hex(out, "sig", sig.p, sig.n);
    }
    sm_buf_wipe(&message);
    sm_buf_wipe(&sig);
    vaultd_answer(&ask, out, r, ask.o.err ? ask.o.why : NULL);
}

/* {"copy"} → {"label"}: what a prepared target carries, signed with the head key. */
void query_copy_label(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    struct copy_label l = {.vault = ask.v->vault};
    struct sm_buf message = SM_BUF_INIT(128), sig = SM_BUF_INIT(256), text = SM_BUF_INIT(COPY_LABEL_MAX);
    sm_obj_hex(&ask.o, "copy", l.copy, sizeof l.copy);
    int r = ask.o.err ? ask.o.err : copy_label_message(&l, &message);
    if (!r)
        r = child_call(c, WHO_KEYD, K_SIGN_HEAD, sm_buf_span(&message), 10000, &sig, NULL);
    if (!r && sig.n != sizeof l.sig)
        r = -SM_EPROTO;
    if (!r) {
        memcpy(l.sig, sig.p, sizeof l.sig);
        r = copy_label_put(&l, &text);
    }
    if (!r) {
        out = json_object();
        wire_text(out, "label", sm_buf_span(&text));
    }
    sm_buf_wipe(&message);
    sm_buf_wipe(&sig);
    sm_buf_wipe(&text);
    vaultd_answer(&ask, out, r, ask.o.err ? ask.o.why : NULL);
}
