#include <errno.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/sign.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "vault/store/store_internal.h"

#define HOUR_MS ((uint64_t)3600000)
#define PROMISE_HOURS 24
static const char *const scope_names[] = { "?", "client", "source", "manifest" };
static const char *const state_names[] = { "waiting", "cancelled", "executed", "refused" };

const char *store_scope_name(enum store_scope s)
{
    return s >= STORE_SCOPE_CLIENT && s <= STORE_SCOPE_MANIFEST ? scope_names[s] : scope_names[0];
}

const char *store_order_state_name(enum store_order_state s)
{
    return s <= STORE_ORDER_REFUSED ? state_names[s] : "?";
}

static struct store_hold *hold_row(const struct store *st, size_t i)
{
    return (struct store_hold *)st->deletion.holds.p + i;
}

static struct store_order *order_row(const struct store *st, size_t i)
{
    return (struct store_order *)st->deletion.orders.p + i;
}

void deletion_wipe(struct store *st)
{
    free(st->deletion.holds.p);
    free(st->deletion.orders.p);
    free(st->deletion.gains.p);
}

uint64_t store_on_ms(const struct store *st)
{
    return store_running_ms(st) - st->deletion.gained_ms;
}

static int record(struct store *st, enum journal_type type, json_t *o, bool ok)
{
    if (!ok) {
        json_decref(o);
        return -ENOMEM;
    }
    int err = store_record(st, type, NULL, o, NULL);
    return err ? err : store_sync(st);
}

static bool set_person(json_t *o, const char *why_key, const char *why, const char *by, const char *role)
{
    return json_set(o, why_key, json_text(why)) && json_set(o, "by", json_text(by)) &&
        json_set(o, "role", json_text(role));
}

/* ---- records into state ---- */

static size_t scope_bytes(enum store_scope s)
{
    return s == STORE_SCOPE_MANIFEST ? 32 : 16;
}

int apply_hold(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    struct store_hold h = { .seq = r->seq, .time = r->time };
    sm_obj_hex(&o, "id", h.id, sizeof h.id);
    const char *state = sm_obj_str(&o, "state", 1, 16);
    if (o.err)
        return -SM_ECORRUPT;
    if (strcmp(state, "release") == 0) {
        for (size_t i = 0; i < st->deletion.holds.n; i++)
            if (memcmp(hold_row(st, i)->id, h.id, sizeof h.id) == 0)
                *hold_row(st, i) = *hold_row(st, --st->deletion.holds.n);
        return 0;
    }
    const char *scope = sm_obj_str(&o, "scope", 1, 16);
    for (unsigned k = STORE_SCOPE_CLIENT; k <= STORE_SCOPE_MANIFEST; k++)
        if (strcmp(scope, scope_names[k]) == 0)
            h.scope = (enum store_scope)k;
    if (!h.scope)
        return -SM_ECORRUPT;
    sm_obj_hex(&o, scope, h.what, scope_bytes(h.scope));
    const char *reason = sm_obj_str_opt(&o, "reason", 1000), *by = sm_obj_str_opt(&o, "by", 1000);
    (void)snprintf(h.reason, sizeof h.reason, "%s", reason ? reason : ""); /* cut short is fine: for people */
    (void)snprintf(h.by, sizeof h.by, "%s", by ? by : "");                 /* see above */
    struct store_hold *row = o.err ? NULL : rows_next(&st->deletion.holds, sizeof h, STORE_HOLDS_MAX);
    if (!row)
        return o.err ? -SM_ECORRUPT : -ENOMEM;
    *row = h;
    st->deletion.holds.n++;
    return 0;
}

static struct store_order *order_find(const struct store *st, const uint8_t id[STORE_ORDER_ID])
{
    for (size_t i = 0; i < st->deletion.orders.n; i++)
        if (memcmp(order_row(st, i)->id, id, STORE_ORDER_ID) == 0)
            return order_row(st, i);
    return NULL;
}

static void order_id(struct sm_span text, uint8_t ret[STORE_ORDER_ID])
{
    uint8_t sum[32];
    crypto_sha256(text, sum);
    memcpy(ret, sum, STORE_ORDER_ID);
}

int apply_order(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    struct store_order row = { .seq = r->seq, .time = r->time };
    struct order *x = malloc(sizeof *x);
    char why[160];
    uint8_t key[32];
    const char *text = sm_obj_str(&o, "order", 1, ORDER_TEXT_MAX), *by = sm_obj_str_opt(&o, "by", 1000);
    sm_obj_hex(&o, "id", row.id, sizeof row.id);
    sm_obj_hex(&o, "key", key, sizeof key);
    row.due_on_ms = (uint64_t)sm_obj_int(&o, "due_on_ms", 0, INT64_MAX);
    int err = !x ? -ENOMEM : o.err || order_parse(SM_SPAN_STR(text), x, why) ? -SM_ECORRUPT : 0;
    if (!err && (x->kind == ORDER_RECIPIENTS) != (r->type == JOURNAL_RECIPIENTS))
        err = -SM_ECORRUPT;
    struct store_order *to = err ? NULL : rows_next(&st->deletion.orders, sizeof row, STORE_ORDERS_MAX);
    if (!err && !to)
        err = -ENOMEM;
    if (!err) {
        row.kind = x->kind;
        row.manifests = x->manifests;
        row.policy = x->policy;
        row.credit_ms = x->credit_ms;
        if (x->kind == ORDER_RECIPIENTS) {
            memcpy(row.before, x->recipients.before, sizeof row.before);
            memcpy(row.orders, x->recipients.orders, sizeof row.orders);
            recipients_fingerprint(SM_SPAN(x->recipients.set, x->recipients.set_n), row.after);
        }
        memcpy(row.nonce, x->nonce, sizeof row.nonce);
        memcpy(row.reason, x->reason, sizeof row.reason);
        (void)snprintf(row.by, sizeof row.by, "%s", by ? by : ""); /* cut short is fine: for people */
        *to = row;
        st->deletion.orders.n++;
        if (!st->deletion.has_key)
            memcpy(st->deletion.key, key, sizeof key);
        st->deletion.has_key = true;
    }
    free(x);
    return err;
}

int apply_order_end(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    uint8_t id[STORE_ORDER_ID];
    sm_obj_hex(&o, "id", id, sizeof id);
    const char *result = sm_obj_str(&o, "result", 1, 16), *by = sm_obj_str_opt(&o, "by", 1000),
        *why = sm_obj_str_opt(&o, "why", 1000);
    struct store_order *x = o.err ? NULL : order_find(st, id);
    if (!x)
        return -SM_ECORRUPT;
    for (unsigned k = STORE_ORDER_CANCELLED; k <= STORE_ORDER_REFUSED; k++)
        if (strcmp(result, state_names[k]) == 0)
            x->state = (enum store_order_state)k;
    x->ended = r->time;
    x->done = (uint64_t)sm_obj_int_opt(&o, "done", 0, INT64_MAX, 0);
    x->kept = (uint64_t)sm_obj_int_opt(&o, "kept", 0, INT64_MAX, 0);
    (void)snprintf(x->ended_by, sizeof x->ended_by, "%s", by ? by : ""); /* cut short is fine: for people */
    (void)snprintf(x->why, sizeof x->why, "%s", why ? why : "");         /* see above */
    if (x->kind == ORDER_RECIPIENTS && x->state == STORE_ORDER_EXECUTED) {
        memcpy(st->deletion.key, x->orders, sizeof st->deletion.key);
        memcpy(st->deletion.fingerprint, x->after, sizeof st->deletion.fingerprint);
        st->deletion.has_key = st->deletion.has_set = true;
    }
    return 0;
}

int apply_expired(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    struct cid id;
    sm_obj_hex(&o, "manifest", id.b, 32);
    uint32_t at = o.err ? STORE_NONE : store_find_generation(st, &id);
    if (at == STORE_NONE)
        return -SM_ECORRUPT;
    struct generation_row *g = store_generation_row(st, at);
    if (g->gone)
        return 0;
    g->gone = true;
    st->deletion.generations_gone++;
    store_client_row(st, g->client)->c.generations--;
    return 0;
}

typedef int (*pack_fn)(struct store *st, struct pack_row *row, const struct queued *r);

static int each_pack(struct store *st, const struct queued *r, pack_fn fn)
{
    struct sm_obj o = SM_OBJ(r->payload);
    const json_t *list = sm_obj_arr(&o, "packs", DELETION_BATCH);
    int err = o.err ? -SM_ECORRUPT : 0;
    for (size_t i = 0; !err && i < json_array_size(list); i++) {
        struct cid id;
        const char *hex = json_string_value(json_array_get(list, i));
        uint32_t at = hex && strlen(hex) == 64 && cid_unhex(hex, &id) == 0 ? store_find_pack(st, &id) : STORE_NONE;
        err = at == STORE_NONE ? -SM_ECORRUPT : fn(st, store_pack_row(st, at), r);
    }
    return err;
}

static int revive(struct store *st, struct pack_row *row, const struct queued *r)
{
    (void)r;
    if (row->condemned) {
        st->deletion.packs_condemned--;
        st->deletion.bytes_condemned -= row->bytes;
    }
    row->condemned = false;
    return 0;
}

static int condemn(struct store *st, struct pack_row *row, const struct queued *r)
{
    if (row->condemned)
        return 0;
    row->condemned = true;
    row->condemned_on_ms = r->running_ms - st->deletion.gained_ms;
    st->deletion.packs_condemned++;
    st->deletion.bytes_condemned += row->bytes;
    return 0;
}

int apply_pack_state(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    const char *state = sm_obj_str(&o, "state", 1, 16);
    if (o.err)
        return -SM_ECORRUPT;
    return each_pack(st, r, strcmp(state, "condemned") == 0 ? condemn : revive);
}

static int delete_one(struct store *st, struct pack_row *row, const struct queued *r)
{
    int err = revive(st, row, r);
    struct client_row *c = store_client_row(st, row->client);
    row->gone = true;
    st->deletion.packs_gone++;
    st->deletion.bytes_deleted += row->bytes;
    st->objects -= row->objects;
    st->pack_bytes -= row->bytes;
    c->c.packs--;
    c->c.pack_bytes -= row->bytes;
    c->c.objects -= row->objects;
    c->unclaimed -= row->bytes < c->unclaimed ? row->bytes : c->unclaimed;
    return err;
}

int apply_pack_deleted(struct store *st, const struct queued *r)
{
    st->damage_seq = r->seq;               /* pages found closed before it may lead to what is gone */
    return each_pack(st, r, delete_one);
}

int apply_date(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    uint64_t gained = (uint64_t)sm_obj_int(&o, "gained_ms", 0, (int64_t)ORDER_CREDIT_MAX_MS);
    int64_t gap = sm_obj_int(&o, "gap_ms", INT64_MIN, INT64_MAX);
    bool by_order = json_is_string(json_object_get(r->payload, "order"));
    uint8_t id[STORE_ORDER_ID];
    if (by_order)
        sm_obj_hex(&o, "order", id, sizeof id);
    struct store_order *order = by_order && !o.err ? order_find(st, id) : NULL;
    if (order)
        order->counted = true;
    struct gain_row *row = o.err ? NULL : rows_next(&st->deletion.gains, sizeof *row, STORE_ORDERS_MAX * 10);
    if (!row)
        return o.err ? -SM_ECORRUPT : -ENOMEM;
    *row = (struct gain_row){ r->running_ms, by_order ? 0 : gained };
    st->deletion.gains.n++;
    st->deletion.gained_ms += gained;
    st->running_base_ms += gained;
    st->deletion.confirmed = true;
    st->deletion.confirmed_gap_ms = gap - (int64_t)gained;
    return 0;
}

int apply_quota(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    struct client_id client;
    sm_obj_hex(&o, "client", client.b, 16);
    uint64_t bytes = (uint64_t)sm_obj_int(&o, "bytes", 0, INT64_MAX);
    uint32_t at = o.err ? STORE_NONE : store_find_client(st, &client);
    if (at == STORE_NONE)
        return -SM_ECORRUPT;
    store_client_row(st, at)->quota = bytes;
    return 0;
}

/* ---- holds ---- */

bool deletion_held(const struct store *st, const struct generation_row *g)
{
    for (size_t i = 0; i < st->deletion.holds.n; i++) {
        const struct store_hold *h = hold_row(st, i);
        const uint8_t *is = h->scope == STORE_SCOPE_CLIENT ? store_client_row(st, g->client)->c.id.b :
            h->scope == STORE_SCOPE_SOURCE ? store_source_row(st, g->source)->id.b : g->manifest.b;
        if (memcmp(h->what, is, scope_bytes(h->scope)) == 0)
            return true;
    }
    return false;
}

static bool there(const struct store *st, const struct store_hold *h)
{
    struct client_id client;
    struct cid manifest;
    memcpy(client.b, h->what, sizeof client.b);
    memcpy(manifest.b, h->what, sizeof manifest.b);
    if (h->scope == STORE_SCOPE_CLIENT)
        return store_find_client(st, &client) != STORE_NONE;
    if (h->scope == STORE_SCOPE_MANIFEST) {
        uint32_t at = store_find_generation(st, &manifest);
        return at != STORE_NONE && !store_generation_row(st, at)->gone;
    }
    for (size_t i = 0; h->scope == STORE_SCOPE_SOURCE && i < st->source_rows.n; i++)
        if (memcmp(store_source_row(st, i)->id.b, h->what, 16) == 0)
            return true;
    return false;
}

int store_hold_put(struct store *st, const struct store_hold *h, const char *role, uint8_t ret_id[16])
{
    int err = store_writable(st);
    uint8_t id[16];
    if (err || !h->reason[0] || !h->by[0])
        return err ? err : -SM_EINVAL;
    if (!there(st, h))
        return -SM_ENOTFOUND;
    if (st->deletion.holds.n >= STORE_HOLDS_MAX)
        return -SM_ELIMIT;
    crypto_random(id, sizeof id);
    json_t *o = json_object();
    bool ok = json_set(o, "id", json_hex(id, sizeof id)) && json_set(o, "state", json_string("hold")) &&
        json_set(o, "scope", json_string(scope_names[h->scope])) &&
        json_set(o, scope_names[h->scope], json_hex(h->what, scope_bytes(h->scope))) &&
        set_person(o, "reason", h->reason, h->by, role);
    err = record(st, JOURNAL_HOLD, o, ok);
    if (!err)
        memcpy(ret_id, id, sizeof id);
    return err;
}

int store_hold_release(struct store *st, const uint8_t id[16], const char *why, const char *by, const char *role)
{
    int err = store_writable(st);
    bool found = false;
    for (size_t i = 0; i < st->deletion.holds.n; i++)
        found |= memcmp(hold_row(st, i)->id, id, 16) == 0;
    if (err || !found)
        return err ? err : -SM_ENOTFOUND;
    json_t *o = json_object();
    bool ok = json_set(o, "id", json_hex(id, 16)) && json_set(o, "state", json_string("release")) &&
        set_person(o, "reason", why, by, role);
    return record(st, JOURNAL_HOLD, o, ok);
}

size_t store_holds(const struct store *st)
{
    return st->deletion.holds.n;
}

const struct store_hold *store_hold_at(const struct store *st, size_t i)
{
    return hold_row(st, i);
}

/* ---- orders ---- */

static int refuse(char *why, int err, const char *text)
{
    (void)snprintf(why, 160, "%s", text); /* fits: our own texts */
    return err;
}

/* The link goes into the journal with the order: it must be the one that was signed, for the set that was signed. */
static int recipients_check(const struct store *st, const struct store_order_args *a, const struct order *x, char *why)
{
    struct keylink k;
    struct cid name;
    size_t changes = 0;
    for (size_t i = 0; i < st->deletion.orders.n; i++) {
        const struct store_order *row = order_row(st, i);
        /* Both follow the present set: when the first is executed the second no longer does, and its card opens nothing. */
        if (row->kind == ORDER_RECIPIENTS && row->state == STORE_ORDER_WAITING)
            return refuse(why, -SM_ESTATE, "a change of recipients is waiting already");
        changes += row->kind == ORDER_RECIPIENTS && row->state != STORE_ORDER_CANCELLED;
    }
    if (changes >= KEYLINKS_MAX)
        return refuse(why, -SM_ELIMIT, "the recipients of this vault were changed too often");
    if (st->deletion.has_set && memcmp(st->deletion.fingerprint, x->recipients.before, FINGERPRINT_LEN) != 0)
        return refuse(why, -SM_EMISMATCH, "it does not follow the present recipients");
    obj_name(a->link, &name);
    if (keylink_parse(a->link, &k) || !cid_eq(&name, &x->recipients.link) ||
        !sm_span_eq(k.set_raw, SM_SPAN(x->recipients.set, x->recipients.set_n)))
        return refuse(why, -SM_EFORMAT, "the key link is not the one that was signed");
    return 0;
}

static int order_check(const struct store *st, const struct store_order_args *a, const struct order *x, char *why)
{
    size_t waiting = 0;
    int err = order_verify(a->text, a->sig, a->key);
    if (err)
        return refuse(why, err, "the signature is not that of the recovery sheet's orders key");
    if (st->deletion.has_key && memcmp(st->deletion.key, a->key, 32) != 0)
        return refuse(why, -SM_EAUTH, "another orders key than the one this vault knows");
    if (memcmp(x->vault.b, st->vault.b, 16) != 0)
        return refuse(why, -SM_EMISMATCH, "made for another vault");
    for (size_t i = 0; i < st->deletion.orders.n; i++) {
        waiting += order_row(st, i)->state == STORE_ORDER_WAITING;
        if (memcmp(order_row(st, i)->nonce, x->nonce, ORDER_NONCE) == 0)
            return refuse(why, -SM_EEXISTS, "this order was given before");
    }
    if (waiting >= STORE_ORDERS_WAITING_MAX || st->deletion.orders.n >= STORE_ORDERS_MAX)
        return refuse(why, -SM_ELIMIT, "too many orders are waiting");
    for (uint32_t i = 0; i < x->manifests; i++) {
        uint32_t at = store_find_generation(st, &x->manifest[i]);
        if (at == STORE_NONE || store_generation_row(st, at)->gone)
            return refuse(why, -SM_ENOTFOUND, "it names a generation that is not here");
    }
    return x->kind == ORDER_RECIPIENTS ? recipients_check(st, a, x, why) : 0;
}

int store_order_accept(struct store *st, const struct store_order_args *a, struct store_order *ret, char *ret_why)
{
    int err = store_writable(st);
    struct order *x = malloc(sizeof *x);
    uint8_t id[STORE_ORDER_ID];
    if (!err)
        err = x ? order_parse(a->text, x, ret_why) : -ENOMEM;
    if (!err)
        err = order_check(st, a, x, ret_why);
    bool recipients = !err && x->kind == ORDER_RECIPIENTS;
    free(x);
    if (err)
        return err;
    order_id(a->text, id);
    uint64_t due = store_on_ms(st) + STORE_ORDER_WAIT_MS;
    json_t *o = json_object();
    bool ok = json_set(o, "id", json_hex(id, sizeof id)) &&
        json_set(o, "order", json_stringn((const char *)a->text.p, a->text.n)) &&
        json_set(o, "sig", json_hex(a->sig, 64)) && json_set(o, "key", json_hex(a->key, 32)) &&
        json_set(o, "due_on_ms", json_integer((json_int_t)due)) && json_set(o, "by", json_text(a->by)) &&
        json_set(o, "from", json_text(a->from)) &&
        (!recipients || json_set(o, "link", json_hex(a->link.p, a->link.n)));
    err = record(st, recipients ? JOURNAL_RECIPIENTS : JOURNAL_ORDER, o, ok);
    if (!err)
        *ret = *order_find(st, id);
    return err;
}

static int order_end(struct store *st, const struct store_order *x, enum store_order_state state, const char *why,
    const char *by, const char *role, uint64_t done, uint64_t kept)
{
    json_t *o = json_object();
    bool ok = json_set(o, "id", json_hex(x->id, sizeof x->id)) && json_set(o, "result",
        json_string(state_names[state])) && set_person(o, "why", why, by, role) &&
        json_set(o, "done", json_integer((json_int_t)done)) && json_set(o, "kept", json_integer((json_int_t)kept));
    return record(st, x->kind == ORDER_RECIPIENTS ? JOURNAL_RECIPIENTS_END : JOURNAL_ORDER_END, o, ok);
}

int store_order_cancel(struct store *st, const uint8_t id[STORE_ORDER_ID], const char *why, const char *by,
    const char *role)
{
    int err = store_writable(st);
    const struct store_order *x = order_find(st, id);
    if (!err && (!x || x->state != STORE_ORDER_WAITING))
        err = x ? -SM_ESTATE : -SM_ENOTFOUND;
    return err ? err : order_end(st, x, STORE_ORDER_CANCELLED, why, by, role, 0, 0);
}

size_t store_orders(const struct store *st)
{
    return st->deletion.orders.n;
}

const struct store_order *store_order_at(const struct store *st, size_t i)
{
    return order_row(st, i);
}

struct proof { struct sm_buf *text, *link; uint8_t *sig; };

static int unhex_put(struct sm_buf *to, const char *hex)
{
    size_t n = strlen(hex) / 2;
    int err = sm_buf_reserve(to, n);
    if (!err)
        err = sm_unhex(hex, 2 * n, to->p + to->n, n);
    if (!err)
        to->n += n;
    return err;
}

static int proof_of(void *arg, const struct journal_record *r)
{
    const struct proof *to = arg;
    json_t *v = NULL;
    int err = sm_json_parse(r->payload, JOURNAL_RECORD_MAX, &v, NULL);
    struct sm_obj o = SM_OBJ(v);
    uint8_t sig[64];
    if (!err) {
        const char *text = sm_obj_str(&o, "order", 1, ORDER_TEXT_MAX), *link = sm_obj_str_opt(&o, "link", 2 * KEYLINK_MAX);
        sm_obj_hex(&o, "sig", sig, sizeof sig);
        err = o.err ? -SM_ECORRUPT : sm_buf_put_span(to->text, SM_SPAN_STR(text));
        if (!err && to->link && link)
            err = unhex_put(to->link, link);
    }
    if (!err && to->sig)
        memcpy(to->sig, sig, sizeof sig);
    sm_json_free(&v);
    return err ? err : 1;
}

static int proof_read(const struct store *st, const struct store_order *o, struct proof to)
{
    if (!st->journal)
        return -SM_ESTATE;
    int err = journal_each(st->journal, o->seq, proof_of, &to, NULL);
    return err == 1 ? 0 : err ? err : -SM_ECORRUPT;
}

int store_order_text(const struct store *st, const struct store_order *o, struct sm_buf *ret)
{
    return proof_read(st, o, (struct proof){ ret, NULL, NULL });
}

int store_order_proof(const struct store *st, const struct store_order *o, struct sm_buf *ret_text, uint8_t ret_sig[64],
    struct sm_buf *ret_link)
{
    return proof_read(st, o, (struct proof){ ret_text, ret_link, ret_sig });
}

int store_keylinks(const struct store *st, struct sm_buf *ret)
{
    int err = 0;
    for (size_t i = 0; !err && st->journal && i < st->deletion.orders.n; i++) {
        const struct store_order *x = order_row(st, i);
        struct sm_buf text = SM_BUF_INIT(ORDER_TEXT_MAX + 1), link = SM_BUF_INIT(KEYLINK_MAX);
        if (x->kind != ORDER_RECIPIENTS || x->state != STORE_ORDER_EXECUTED)
            continue;
        err = store_order_proof(st, x, &text, NULL, &link);
        if (!err)
            err = sm_buf_put_u32(ret, (uint32_t)link.n);
        if (!err)
            err = sm_buf_put_span(ret, sm_buf_span(&link));
        sm_buf_wipe(&text);
        sm_buf_wipe(&link);
    }
    return err;
}

static int execute_delete(struct store *st, const struct store_order *row, const struct order *x)
{
    uint64_t done = 0, kept = 0;
    struct store_order o = *row;           /* rows may move */
    int err = 0;
    for (uint32_t i = 0; !err && i < x->manifests; i++) {
        uint32_t at = store_find_generation(st, &x->manifest[i]);
        const struct generation_row *g = at == STORE_NONE ? NULL : store_generation_row(st, at);
        if (!g || g->gone)
            continue;
        bool stays = deletion_held(st, g) || store_client_row(st, g->client)->c.frozen;
        kept += stays;
        done += !stays;
        if (!stays)
            err = deletion_expire(st, at, o.id);
    }
    if (!err)
        err = store_sync(st);
    for (uint32_t i = 0; !err && i < x->manifests; i++) {
        uint32_t at = store_find_generation(st, &x->manifest[i]);
        if (at != STORE_NONE && store_generation_row(st, at)->gone)
            deletion_unlink_manifest(st, &x->manifest[i]);
    }
    return err ? err : order_end(st, &o, STORE_ORDER_EXECUTED, "its waiting period is over", "sakimori", "box", done,
        kept);
}

static int date_record(struct store *st, uint64_t gained, int64_t gap, const char *by, const char *role,
    const uint8_t *order)
{
    char wall[SM_TIME_TEXT];
    sm_time_rfc3339(plat_clock_wall(), wall);
    json_t *o = json_object();
    bool ok = json_set(o, "gained_ms", json_integer((json_int_t)gained)) &&
        json_set(o, "gap_ms", json_integer(gap)) && json_set(o, "wall", json_string(wall)) &&
        json_set(o, "by", json_text(by)) && json_set(o, "role", json_text(role)) &&
        (!order || json_set(o, "order", json_hex(order, STORE_ORDER_ID)));
    return record(st, JOURNAL_DATE, o, ok);
}

/* The others end by the record that says so; delete has counts of its own. */
static int execute_other(struct store *st, const struct store_order *o, const struct order *x)
{
    struct store_date date;
    int err = 0;
    if (o->kind == ORDER_POLICY) {
        err = policy_record(st, &x->policy, "sakimori", o->id);
    } else if (o->kind == ORDER_DATE && !o->counted) { /* counted: a crash came between its record and its end */
        store_date(st, &date);
        uint64_t gap = date.gap_ms > 0 ? (uint64_t)date.gap_ms : 0;
        err = date_record(st, x->credit_ms < gap ? x->credit_ms : gap, date.gap_ms, "sakimori", "box", o->id);
    }
    return err ? err : order_end(st, o, STORE_ORDER_EXECUTED, "its waiting period is over", "sakimori", "box", 1, 0);
}

/* Why it cannot be carried out any more, or NULL: then only trouble of this box can stop it, and it is tried again. */
static const char *order_impossible(const struct store *st, const struct store_order *o, int read)
{
    if (read)
        return "its text does not read as an order";
    if (o->kind == ORDER_RECIPIENTS && st->deletion.has_set &&
        memcmp(st->deletion.fingerprint, o->before, FINGERPRINT_LEN) != 0)
        return "it does not follow the present recipients: another change came first";
    if (o->kind == ORDER_DATE && !o->counted && st->deletion.gains.n >= STORE_ORDERS_MAX * 10)
        return "the date was changed too often";
    return NULL;
}

static int execute(struct store *st, const struct store_order *row)
{
    struct store_order o = *row;
    struct sm_buf text = SM_BUF_INIT(ORDER_TEXT_MAX + 1);
    struct order *x = malloc(sizeof *x);
    char said[160];
    int err = x ? store_order_text(st, &o, &text) : -ENOMEM;
    int read = err ? 0 : order_parse(sm_buf_span(&text), x, said);
    if (read == -ENOMEM)
        err = read;
    const char *why = err ? NULL : order_impossible(st, &o, read);
    if (why)
        err = order_end(st, &o, STORE_ORDER_REFUSED, why, "sakimori", "box", 0, 0);
    else if (!err && o.kind == ORDER_DELETE)
        err = execute_delete(st, &o, x);
    else if (!err)
        err = execute_other(st, &o, x);
    free(x);
    sm_buf_wipe(&text);
    return err;
}

int store_orders_execute(struct store *st, size_t *ret_done)
{
    size_t done = 0;
    int err = store_writable(st);
    uint64_t on = store_on_ms(st);
    for (size_t i = 0; !err && i < st->deletion.orders.n; i++) {
        const struct store_order *x = order_row(st, i);
        if (x->state != STORE_ORDER_WAITING || on < x->due_on_ms)
            continue;
        err = execute(st, x);
        done += !err;
    }
    if (!err)
        *ret_done = done;
    return err;
}

/* ---- the date ---- */

void store_date(const struct store *st, struct store_date *ret)
{
    uint64_t running = store_running_ms(st), recent = 0;
    struct sm_time now = plat_clock_wall();
    int64_t wall = (now.s - st->deletion.first_s) > INT64_MAX / 2000 ? INT64_MAX / 2 :
        (now.s - st->deletion.first_s) * 1000 + now.ns / 1000000;
    int64_t gap = wall - (int64_t)(running < INT64_MAX / 2 ? running : INT64_MAX / 2);
    for (size_t i = 0; i < st->deletion.gains.n; i++) {
        const struct gain_row *g = (const struct gain_row *)st->deletion.gains.p + i;
        if (g->running_ms + STORE_GAIN_SPAN_MS > running)
            recent += g->gained_ms;
    }
    uint64_t left = recent < STORE_GAIN_MAX_MS ? STORE_GAIN_MAX_MS - recent : 0;
    uint64_t most = gap > 0 ? (uint64_t)gap : 0;
    int64_t before = st->deletion.confirmed ? st->deletion.confirmed_gap_ms : 0;
    *ret = (struct store_date){ .gap_ms = gap, .may_ms = most < left ? most : left,
        .gained_ms = st->deletion.gained_ms, .ask = gap - before >= STORE_DATE_ASK_MS || before - gap >= STORE_DATE_ASK_MS };
}

int store_date_confirm(struct store *st, const char *by, const char *role, uint64_t *ret_gained)
{
    struct store_date d;
    int err = store_writable(st);
    if (err || !by || !by[0])
        return err ? err : -SM_EINVAL;
    if (st->deletion.gains.n >= STORE_ORDERS_MAX * 10)
        return -SM_ELIMIT;
    store_date(st, &d);
    err = date_record(st, d.may_ms, d.gap_ms, by, role, NULL);
    if (!err)
        *ret_gained = d.may_ms;
    return err;
}

/* ---- quota, promises, totals ---- */

int store_quota_set(struct store *st, const struct client_id *client, uint64_t bytes, const char *by)
{
    int err = store_writable(st);
    uint32_t at = store_find_client(st, client);
    if (!err && (at == STORE_NONE || bytes > INT64_MAX))
        err = at == STORE_NONE ? -SM_ENOTFOUND : -SM_EINVAL;
    if (err || store_client_row(st, at)->quota == bytes)
        return err;
    json_t *o = json_object();
    bool ok = json_set(o, "client", json_hex(client->b, 16)) && json_set(o, "bytes",
        json_integer((json_int_t)bytes)) && json_set(o, "by", json_text(by));
    return record(st, JOURNAL_QUOTA, o, ok);
}

uint64_t store_quota(const struct store *st, const struct client_id *client)
{
    uint32_t at = store_find_client(st, client);
    uint64_t own = at == STORE_NONE ? 0 : store_client_row(st, at)->quota;
    return own ? own : st->limits.client_bytes;
}

void store_promise(struct store *st, const struct client_id *client, const struct cid *cid)
{
    struct place p;
    uint32_t c = store_find_client(st, client);
    if (c != STORE_NONE && place_find(st, c, cid, &p))
        store_pack_row(st, p.pack)->promised_h = (uint32_t)(store_on_ms(st) / HOUR_MS) + 1;
}

void store_deletion_totals(const struct store *st, struct store_deletion_totals *ret)
{
    const struct deletion *d = &st->deletion;
    *ret = (struct store_deletion_totals){ d->generations_gone, d->packs_gone, d->packs_condemned, d->bytes_condemned,
        d->bytes_deleted };
}

/* ---- removing ---- */

int deletion_expire(struct store *st, uint32_t generation, const uint8_t *order)
{
    const struct generation_row *g = store_generation_row(st, generation);
    int err = store_writable(st);
    if (!err)
        err = store_format_raise(st, FORMAT_DELETED);
    if (err)
        return err;
    json_t *o = json_object();
    bool ok = json_set(o, "manifest", json_hex(g->manifest.b, 32)) &&
        json_set(o, "client", json_hex(store_client_row(st, g->client)->c.id.b, 16)) &&
        json_set(o, "source", json_hex(store_source_row(st, g->source)->id.b, 16)) &&
        json_set(o, "number", json_integer((json_int_t)g->number)) &&
        json_set(o, "why", json_string(order ? "order" : "policy")) &&
        (!order || json_set(o, "order", json_hex(order, STORE_ORDER_ID)));
    if (!ok) {
        json_decref(o);
        return -ENOMEM;
    }
    return store_record(st, JOURNAL_EXPIRED, NULL, o, NULL);
}

void deletion_unlink_manifest(struct store *st, const struct cid *manifest)
{
    char hex[CID_HEX], name[96];
    cid_hex(manifest, hex);
    (void)snprintf(name, sizeof name, "%s.skm", hex); /* fits */
    (void)plat_fs_unlink(st->manifests, name); /* only space; the next open tries again */
    (void)snprintf(name, sizeof name, "spare/manifests/%s.skm", hex); /* 84 bytes and NUL */
    (void)plat_fs_unlink(st->dir, name); /* its second copy, if there is one; else the scrub sweeps it up */
}

void deletion_unlink_pack(struct store *st, const struct cid *pack)
{
    char path[80], folder[3];
    pack_path(pack, path);
    (void)snprintf(folder, sizeof folder, "%.2s", path); /* fits */
    int fd = plat_fs_open_dir(st->packs, folder);
    if (fd < 0)
        return;                            /* only space; the next open tries again */
    (void)plat_fs_unlink(fd, path + 3); /* see above */
    (void)close(fd); /* opened for reading */
}

static json_t *packs_json(const struct store *st, const uint32_t *packs, size_t n, uint64_t *ret_bytes)
{
    json_t *a = json_array();
    for (size_t i = 0; a && i < n; i++) {
        *ret_bytes += store_pack_row(st, packs[i])->bytes;
        if (json_array_append_new(a, json_hex(store_pack_row(st, packs[i])->id.b, 32))) {
            json_decref(a);
            return NULL;
        }
    }
    return a;
}

int deletion_pack_state(struct store *st, bool condemned, const uint32_t *packs, size_t n)
{
    uint64_t bytes = 0;
    json_t *o = json_object();
    bool ok = json_set(o, "state", json_string(condemned ? "condemned" : "revived")) &&
        json_set(o, "packs", packs_json(st, packs, n, &bytes));
    return record(st, JOURNAL_PACK_STATE, o, ok);
}

int deletion_packs(struct store *st, const uint32_t *packs, size_t n)
{
    uint64_t bytes = 0;
    int err = store_writable(st);
    if (!err)
        err = store_format_raise(st, FORMAT_DELETED);
    /* Before the record: between here and there nothing walks, and a failure has changed nothing. */
    if (!err)
        err = index_reset(st->closed);
    if (err)
        return err;
    json_t *o = json_object(), *a = packs_json(st, packs, n, &bytes);
    bool ok = json_set(o, "packs", a);
    ok = json_set(o, "bytes", json_integer((json_int_t)bytes)) && ok;
    err = record(st, JOURNAL_PACK_DELETED, o, ok);
    if (err)
        return err;
    place_marks(st);
    for (size_t i = 0; i < n; i++)
        deletion_unlink_pack(st, &store_pack_row(st, packs[i])->id);
    return 0;
}
