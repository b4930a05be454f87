/* What brain asks of the vault: one function a message; docs/PROCESSES.md has the bodies. */
#include <errno.h>

#include "sakimorid/vault/vaultd.h"
#include "vault/store/takeover.h"
#include "vault/snapshot/envelope.h"

#define LIST_MAX 500
#define RAW_MAX ((size_t)900 << 10)

static const char *const run_names[] = {"?", "scheduled", "adhoc", "made-up"};
static const char *const client_states[] = {"?", "joined", "revoked", "re-keyed"};

static int by_name(const char *const *names, size_t n, const char *text)
{
    for (size_t i = 1; i < n; i++)
        if (strcmp(names[i], text) == 0)
            return (int)i;
    return -SM_EINVAL;
}

void query_put_time(json_t *o, const char *key, struct sm_time t)
{
    char text[SM_TIME_TEXT];
    sm_time_rfc3339(t, text);
    json_object_set_new(o, key, json_string(text));
}

void query_put_head(json_t *o, const char *key, const struct journal_signed_head *h)
{
    struct sm_buf b = SM_BUF_INIT(JOURNAL_SIGNED_HEAD_BYTES);
    if (!journal_head_put(h, &b))
        wire_hex(o, key, b.p, b.n);
    sm_buf_wipe(&b);
}

static json_t *measures_json(const struct suspicion_measures *m)
{
    json_t *o = json_object();
    wire_int(o, "chunks", m->chunks);
    wire_int(o, "chunk_bytes", m->chunk_bytes);
    wire_int(o, "pages", m->pages);
    wire_int(o, "page_bytes", m->page_bytes);
    wire_int(o, "chunks_new", m->chunks_new);
    wire_int(o, "chunk_bytes_new", m->chunk_bytes_new);
    wire_int(o, "chunks_dropped", m->chunks_dropped);
    wire_int(o, "chunk_bytes_dropped", m->chunk_bytes_dropped);
    wire_int(o, "stored_bytes_new", m->stored_bytes_new);
    wire_int(o, "stored_bytes_dropped", m->stored_bytes_dropped);
    return o;
}

static json_t *reasons_json(const struct suspicion_result *s)
{
    json_t *a = json_array();
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(
            a, json_pack("{s:s,s:i,s:f,s:s}", "code", suspicion_code_name(s->reasons[i].code), "score",
                   (int)s->reasons[i].score, "value", s->reasons[i].value, "text", s->reasons[i].text));
    return a;
}

static json_t *slots_json(unsigned slots)
{
    static const char *const names[] = {"hourly", "daily", "weekly", "monthly"};
    json_t *a = json_array();
    for (unsigned i = 0; i < 4; i++)
        if (slots & 1u << i)
            json_array_append_new(a, json_string(names[i]));
    return a;
}

json_t *query_generation_json(struct vaultd *v, const struct store_generation *g)
{
    json_t *o = json_object();
    wire_hex(o, "manifest", g->manifest.b, 32);
    wire_hex(o, "client", g->client.b, 16);
    wire_hex(o, "source", g->source.b, 16);
    wire_int(o, "number", g->number);
    wire_int(o, "seq", g->seq);
    query_put_time(o, "at", g->time);
    wire_int(o, "running_ms", g->running_ms);
    json_object_set_new(o, "started_s", json_integer(g->started_s));
    json_object_set_new(o, "finished_s", json_integer(g->finished_s));
    json_object_set_new(o, "run", json_string(run_names[g->run <= 3 ? g->run : 0]));
    json_object_set_new(o, "status", json_string(g->status == RUN_COMPLETE ? "complete" : "partial"));
    wire_int(o, "score", g->score);
    json_object_set_new(o, "suspicious", json_boolean(g->suspicious));
    json_object_set_new(o, "pinned", json_boolean(g->pinned));
    json_object_set_new(o, "slots", slots_json(g->slots));
    wire_int(o, "locked_until_ms", g->locked_until_ms);
    json_object_set_new(o, "damaged", json_boolean(g->damaged));
    json_object_set_new(o, "measures", measures_json(&g->measures));
    struct store_generation clean;
    bool last =
        store_last_clean(v->store, &g->client, &g->source, &clean) == 0 && cid_eq(&clean.manifest, &g->manifest);
    json_object_set_new(o, "last_clean", json_boolean(last));
    return o;
}

/* How much is in it, and the reasons of a suspicion, which only its record says. */
static void put_details(struct vaultd *v, const struct store_generation *g, json_t *o)
{
    json_t *record = NULL;
    uint64_t files, bytes;
    if (!store_facts(v->store, &g->manifest, &files, &bytes))
        json_object_set_new(
            o, "facts", json_pack("{s:I,s:I}", "files", (json_int_t)files, "bytes", (json_int_t)bytes));
    if (g->score && !store_generation_json(v->store, &g->manifest, &record)) {
        json_t *reasons = json_object_get(json_object_get(record, "suspicion"), "reasons");
        if (reasons)
            json_object_set(o, "reasons", reasons);
        json_decref(record);
    }
}

void query_client(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    struct store_client k = {0};
    sm_obj_hex(&ask.o, "client", k.id.b, 16);
    int r = ask.o.err;
    if (!r && json_object_get(ask.in, "sign_pub")) {
        snprintf(k.name, sizeof k.name, "%s", sm_obj_str(&ask.o, "name", 1, STORE_NAME_MAX));
        sm_obj_hex(&ask.o, "sign_pub", k.sign_pub, 32);
        sm_obj_hex(&ask.o, "recipients", k.recipients, 32);
        int state = by_name(client_states, 4, sm_obj_str(&ask.o, "state", 1, 16));
        r = ask.o.err ? ask.o.err : state < 0 ? state : 0;
        k.state = r ? 0 : (enum store_client_state)state;
        if (!r)
            r = store_client_put(ask.st, &k);
    }
    if (!r)
        r = store_client_get(ask.st, &k.id, &k);
    json_t *out = r ? NULL : json_object();
    if (out) {
        wire_hex(out, "client", k.id.b, 16);
        json_object_set_new(out, "name", json_string(k.name));
        wire_hex(out, "sign_pub", k.sign_pub, 32);
        wire_hex(out, "recipients", k.recipients, 32);
        json_object_set_new(out, "state", json_string(client_states[k.state <= 3 ? k.state : 0]));
        json_object_set_new(out, "frozen", json_boolean(k.frozen));
        wire_int(out, "packs", k.packs);
        wire_int(out, "pack_bytes", k.pack_bytes);
        wire_int(out, "unclaimed_bytes", k.unclaimed_bytes);
        wire_int(out, "generations", k.generations);
        wire_int(out, "quota", store_quota(ask.st, &k.id));
    }
    vaultd_after(ask.v, r);
    vaultd_answer(&ask, out, r, ask.o.why);
}

static json_t *session_json(struct vaultd *v, const struct store_session *s)
{
    struct store_session_info i;
    struct journal_head h = journal_durable(store_journal(v->store));
    store_session_info(s, &i);
    json_t *o = json_object(), *head = json_object();
    wire_hex(o, "session", i.id.b, 16);
    wire_hex(o, "client", i.client.b, 16);
    wire_hex(o, "source", i.source.b, 16);
    wire_hex(o, "vault", v->vault.b, 16);
    wire_int(o, "number", i.number);
    wire_hex(o, "previous", i.previous.b, 32);
    wire_int(head, "seq", h.seq);
    wire_hex(head, "hash", h.hash, 32);
    json_object_set_new(o, "head", head);
    struct journal_signed_head sh;
    if (!store_head(v->store, &sh))
        query_put_head(o, "head_signed", &sh);
    json_object_set_new(o, "algorithms", json_pack("[i,i,i]", OBJ_STORED, OBJ_ZSTD, OBJ_PLANES));
    if (store_takeover(v->store))
        json_object_set_new(o, "takeover", json_deep_copy(store_takeover(v->store)));
    return o;
}

void query_session(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    struct session_id id;
    struct store_session *s = NULL;
    bool known = wire_hex_opt(&ask.o, "session", id.b, 16);
    int r = ask.o.err;
    if (!r && sm_obj_bool(&ask.o, "end", false)) {
        s = known ? store_session_find(ask.st, &id) : NULL;
        if (s)
            store_session_end(s);
        vaultd_answer(&ask, json_object(), 0, NULL);
        return;
    }
    struct store_session_args a = {.resume = known ? &id : NULL};
    sm_obj_hex(&ask.o, "client", a.client.b, 16);
    sm_obj_hex(&ask.o, "source", a.source.b, 16);
    sm_obj_hex(&ask.o, "run", a.run.b, 16);
    int kind = by_name(run_names, 4, sm_obj_str(&ask.o, "run_kind", 1, 16));
    a.from = sm_obj_str_opt(&ask.o, "from", 255);
    r = ask.o.err ? ask.o.err : kind < 0 ? kind : 0;
    if (!r) {
        a.run_kind = (uint8_t)kind;
        r = store_session_open(ask.st, &a, &s);
    }
    if (!r)
        out = session_json(ask.v, s);
    vaultd_after(ask.v, r);
    vaultd_answer(&ask, out, r, ask.o.why);
}

void query_pack_state(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct store *st = vaultd_store(vaultd_of(c), ipc, m);
    json_t *in = st ? wire_body(ipc, m) : NULL, *out = NULL;
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    struct session_id id;
    struct cid pack;
    uint64_t have = 0;
    bool done = false;
    sm_obj_hex(&o, "session", id.b, 16);
    sm_obj_hex(&o, "pack", pack.b, 32);
    struct store_session *s = o.err ? NULL : store_session_find(st, &id);
    int r = o.err ? o.err : s ? store_pack_state(s, &pack, &have, &done) : -SM_ENOTFOUND;
    if (!r) {
        out = json_object();
        wire_int(out, "have", have);
        json_object_set_new(out, "done", json_boolean(done));
    }
    wire_answer(ipc, m, out, r, o.why);
    json_decref(in);
}

void query_have(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct store *st = vaultd_store(vaultd_of(c), ipc, m);
    json_t *in = NULL;
    struct sm_span raw;
    char why[160] = "";
    struct client_id client;
    uint8_t map[1 << 11] = {0};
    if (!st)
        return;
    int r = msg_split(m->body, 4096, &in, &raw, why);
    if (!r) {
        struct sm_obj o = SM_OBJ(in);
        sm_obj_hex(&o, "client", client.b, 16);
        r = o.err;
    }
    size_t n = raw.n / 32;
    if (!r && (raw.n % 32 || n > 8 * sizeof map))
        r = -SM_EINVAL;
    for (size_t i = 0; i < n && !r; i++) {
        struct cid cid;
        memcpy(cid.b, raw.p + 32 * i, 32);
        if (store_have(st, &client, &cid, NULL) == 1) {
            store_promise(st, &client, &cid);
            map[i / 8] |= (uint8_t)(1u << i % 8);
        }
    }
    json_decref(in);
    if (r)
        child_reply_error(ipc, m, r, why[0] ? why : sm_strerror(r));
    else
        child_reply(ipc, m, SM_SPAN(map, (n + 7) / 8));
}

/* ---- manifests ---- */

static json_t *accepted_json(const struct store_verdict *d)
{
    json_t *o = json_object(), *s = json_object();
    wire_hex(o, "manifest", d->manifest.b, 32);
    wire_int(o, "seq", d->seq);
    query_put_head(o, "head", &d->head);
    wire_int(s, "score", d->suspicion.score);
    json_object_set_new(s, "suspicious", json_boolean(d->suspicion.score >= SUSPICION_THRESHOLD));
    json_object_set_new(s, "reasons", reasons_json(&d->suspicion));
    json_object_set_new(o, "suspicion", s);
    json_object_set_new(o, "measures", measures_json(&d->measures));
    json_object_set_new(o, "froze", json_boolean(d->froze));
    json_object_set_new(o, "known", json_boolean(d->known));
    return o;
}

static json_t *refused_json(const struct store_verdict *d)
{
    json_t *o = json_object();
    json_object_set_new(o, "refusal", json_string(store_refusal_name(d->refusal)));
    json_object_set_new(o, "why", json_string(d->why));
    if (d->refusal != STORE_MISSING)
        return o;
    json_t *list = json_array();
    for (size_t i = 0; i + 32 <= d->missing.n; i += 32) {
        char hex[65];
        sm_hex(d->missing.p + i, 32, hex);
        json_array_append_new(list, json_string(hex));
    }
    json_object_set_new(o, "missing", list);
    json_object_set_new(o, "more", json_boolean(d->more));
    return o;
}

static void tell(struct vaultd *v, const struct store_verdict *d, const struct client_id *client, int r)
{
    if (r == -SM_EMISSING)
        return;
    if (r) {
        json_t *o = refused_json(d);
        wire_hex(o, "client", client->b, 16);
        vaultd_event(v, "refused", o);
        return;
    }
    struct store_generation g;
    if (d->known || store_generation(v->store, &d->manifest, &g))
        return;
    vaultd_event(v, "generation", query_generation_json(v, &g));
    if (!d->froze)
        return;
    json_t *o = json_object();
    wire_hex(o, "client", g.client.b, 16);
    wire_hex(o, "source", g.source.b, 16);
    wire_hex(o, "manifest", g.manifest.b, 32);
    wire_int(o, "score", d->suspicion.score);
    json_object_set_new(o, "reasons", reasons_json(&d->suspicion));
    vaultd_event(v, "froze", o);
}

void query_manifest(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct vaultd *v = vaultd_of(c);
    struct store *st = vaultd_store(v, ipc, m);
    json_t *in = NULL, *out = NULL;
    struct sm_span raw;
    char why[160] = "";
    if (!st)
        return;
    int r = msg_split(m->body, 4096, &in, &raw, why);
    struct session_id id;
    if (!r) {
        struct sm_obj o = SM_OBJ(in);
        sm_obj_hex(&o, "session", id.b, 16);
        r = o.err;
    }
    struct store_session *s = r ? NULL : store_session_find(st, &id);
    struct store_verdict d = {0};
    if (!r && !s)
        r = -SM_ENOTFOUND;
    if (!r) {
        struct store_session_info info;
        store_session_info(s, &info);
        r = store_manifest_commit(s, raw, &d);
        if (!r)
            out = accepted_json(&d);
        else if (d.refusal != STORE_OK)
            out = refused_json(&d);
        tell(v, &d, &info.client, r);
        vaultd_after(v, r);
        vaultd_mark_soon(v);
    }
    wire_answer(ipc, m, out, out ? 0 : r, why);
    sm_buf_wipe(&d.missing);
    json_decref(in);
}

/* ---- generations ---- */

/* Of the named ones what the index knows: no manifest is read for it. */
static json_t *named_generations(struct vaultd *v, const json_t *names)
{
    json_t *list = json_array(), *name;
    size_t i;
    json_array_foreach(names, i, name) {
        struct cid id;
        struct store_generation g;
        if (json_string_length(name) == 64 && !sm_unhex(json_string_value(name), 64, id.b, 32) &&
            !store_generation(v->store, &id, &g))
            json_array_append_new(list, query_generation_json(v, &g));
    }
    return json_pack("{s:o,s:n}", "items", list, "next_before_seq");
}

void query_generations(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    struct client_id client;
    struct source_id source;
    struct store_query q = {0};
    if (wire_hex_opt(&ask.o, "client", client.b, 16))
        q.client = &client;
    if (wire_hex_opt(&ask.o, "source", source.b, 16))
        q.source = &source;
    q.before_seq = (uint64_t)sm_obj_int_opt(&ask.o, "before_seq", 0, INT64_MAX, 0);
    size_t limit = (size_t)sm_obj_int_opt(&ask.o, "limit", 1, LIST_MAX, 100);
    const json_t *names = json_object_get(ask.in, "manifests") ? sm_obj_arr(&ask.o, "manifests", LIST_MAX) : NULL;
    struct store_generation *rows = ask.o.err || names ? NULL : calloc(limit, sizeof *rows);
    int r = ask.o.err ? ask.o.err : rows || names ? 0 : -ENOMEM;
    if (!r && names) {
        out = named_generations(ask.v, names);
    } else if (!r) {
        size_t n = store_generations(ask.st, &q, rows, limit);
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++) {
            json_t *row = query_generation_json(ask.v, &rows[i]);
            put_details(ask.v, &rows[i], row);
            json_array_append_new(list, row);
        }
        out = json_object();
        json_object_set_new(out, "items", list);
        json_object_set_new(
            out, "next_before_seq", n == limit ? json_integer((json_int_t)rows[n - 1].seq) : json_null());
    }
    free(rows);
    vaultd_answer(&ask, out, r, ask.o.why);
}

static int manifest_arg(json_t *in, struct cid *ret, char *why)
{
    struct sm_obj o = SM_OBJ(in);
    sm_obj_hex(&o, "manifest", ret->b, 32);
    snprintf(why, 160, "%s", o.why);
    return o.err;
}

static void reply_joined(
    struct sm_ipc *ipc, struct sm_ipc_msg *m, json_t *o, struct sm_span raw, int r, const char *why)
{
    struct sm_buf b = SM_BUF_INIT(SM_IPC_BODY_MAX);
    if (!r)
        r = o ? msg_join(o, raw, &b) : -ENOMEM;
    if (r)
        child_reply_error(ipc, m, r, why && why[0] ? why : sm_strerror(r));
    else
        child_reply(ipc, m, sm_buf_span(&b));
    sm_buf_wipe(&b);
    json_decref(o);
}

void query_generation(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct vaultd *v = vaultd_of(c);
    struct store *st = vaultd_store(v, ipc, m);
    json_t *in = st ? wire_body(ipc, m) : NULL, *out = NULL, *record = NULL, *facts = NULL;
    if (!in)
        return;
    char why[160] = "";
    struct cid id;
    struct store_generation g;
    struct store_client k;
    struct manifest parsed;
    struct sm_buf raw = SM_BUF_INIT(MANIFEST_MAX);
    int r = manifest_arg(in, &id, why);
    if (!r)
        r = store_generation(st, &id, &g);
    if (!r)
        r = store_manifest(st, &id, &raw);
    if (!r)
        r = manifest_parse(sm_buf_span(&raw), &parsed);
    if (!r)
        r = store_client_get(st, &g.client, &k);
    if (!r)
        r = store_generation_json(st, &id, &record);
    if (!r) {
        out = json_object();
        json_object_set_new(out, "generation", query_generation_json(v, &g));
        json_object_set_new(out, "record", record);
        if (parsed.facts.n && sm_json_parse(parsed.facts, MANIFEST_FACTS_MAX, &facts, NULL) == 0)
            json_object_set_new(out, "facts", facts);
        wire_hex(out, "sign_pub", k.sign_pub, 32);
    }
    reply_joined(ipc, m, out, sm_buf_span(&raw), r, why);
    sm_buf_wipe(&raw);
    json_decref(in);
}

/* Envelopes from cursor on, as many as fit; *ret_next is 0 at the end. */
static int closure_part(struct store *st, const struct client_id *client, const struct sm_buf *cids, size_t from,
    struct sm_buf *ret, size_t *ret_next)
{
    struct sm_buf one = SM_BUF_INIT(ENVELOPE_MAX);
    size_t i = from, n = cids->n / 32;
    int r = 0;
    for (; i < n && !r; i++) {
        struct cid cid;
        memcpy(cid.b, cids->p + 32 * i, 32);
        sm_buf_clear(&one);
        r = store_object(st, client, &cid, &one);
        if (!r && ret->n + 4 + one.n > RAW_MAX)
            break;
        if (!r)
            r = sm_buf_put_u32(ret, (uint32_t)one.n);
        if (!r)
            r = sm_buf_put_span(ret, sm_buf_span(&one));
    }
    *ret_next = i < n ? i : 0;
    sm_buf_wipe(&one);
    return r;
}

void query_closure(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    char why[160] = "";
    struct cid id;
    struct store_generation g;
    struct sm_buf cids = SM_BUF_INIT((size_t)64 << 20), raw = SM_BUF_INIT(SM_IPC_BODY_MAX);
    struct sm_obj o = SM_OBJ(ask.in);
    size_t next = 0, from = (size_t)sm_obj_int_opt(&o, "cursor", 0, INT32_MAX, 0);
    bool only = sm_obj_bool(&o, "cids", false);
    int r = o.err ? o.err : manifest_arg(ask.in, &id, why);
    if (!r)
        r = store_generation(ask.st, &id, &g);
    if (!r)
        r = store_envelopes(ask.st, &id, &cids);
    if (!r && only) {
        next = cids.n - 32 * from > RAW_MAX / 32 * 32 ? from + RAW_MAX / 32 : 0;
        r = 32 * from > cids.n ? -SM_EINVAL
                               : sm_buf_put(&raw, cids.p + 32 * from, (next ? next : cids.n / 32) * 32 - 32 * from);
    } else if (!r) {
        r = closure_part(ask.st, &g.client, &cids, from, &raw, &next);
    }
    if (!r) {
        out = json_object();
        wire_int(out, "total", cids.n / 32);
        json_object_set_new(out, "next", next ? json_integer((json_int_t)next) : json_null());
    }
    reply_joined(ipc, m, out, sm_buf_span(&raw), r, why);
    sm_buf_wipe(&cids);
    sm_buf_wipe(&raw);
    json_decref(ask.in);
}
