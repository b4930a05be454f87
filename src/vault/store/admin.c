#include <errno.h>
#include "plat/clock.h"
#include "vault/store/store_internal.h"

/* Record what was built, make it durable and true.  Takes o; ok false: building ran out of memory. */
static int put(struct store *st, enum journal_type type, json_t *o, bool ok)
{
    if (!ok) {
        json_decref(o);
        return -ENOMEM;
    }
    int err = store_record(st, type, NULL, o, NULL);
    return err ? err : store_sync(st);
}

int store_clock(struct store *st, const char *note)
{
    int err = store_writable(st);
    char boot[PLAT_BOOT_ID_TEXT] = "unknown", wall[SM_TIME_TEXT];
    struct sm_time now;
    uint64_t running;
    if (err)
        return err;
    if (plat_clock_boot_id(boot))
        (void)snprintf(boot, sizeof boot, "unknown"); /* fits; the record is of use without it */
    store_now(st, &now, &running);
    sm_time_rfc3339(now, wall);
    json_t *o = json_object();
    bool ok = json_set(o, "wall", json_string(wall)) && json_set(o, "running_ms", json_integer((json_int_t)running)) &&
        json_set(o, "boot", json_text(boot)) && json_set(o, "note", json_text(note));
    return put(st, JOURNAL_CLOCK, o, ok);
}

static const char *state_name(enum store_client_state s)
{
    return s == STORE_JOINED ? "joined" : s == STORE_REVOKED ? "revoked" : "re-keyed";
}

int store_client_put(struct store *st, const struct store_client *c)
{
    int err = store_writable(st);
    if (err)
        return err;
    size_t n = strnlen(c->name, sizeof c->name);
    if (!n || n > STORE_NAME_MAX || !sm_utf8_valid(SM_SPAN(c->name, n)) || c->state < STORE_JOINED ||
        c->state > STORE_REKEYED)
        return -SM_EINVAL;
    uint32_t at = store_find_client(st, &c->id);
    if (at == STORE_NONE && st->client_rows.n >= STORE_CLIENTS_MAX)
        return -SM_ELIMIT;
    const struct store_client *old = at == STORE_NONE ? NULL : &store_client_row(st, at)->c;
    if (old && strcmp(old->name, c->name) == 0 && old->state == c->state &&
        memcmp(old->sign_pub, c->sign_pub, 32) == 0 &&
        memcmp(old->recipients, c->recipients, 32) == 0)
        return 0;
    json_t *o = json_object();
    bool ok = json_set(o, "client", json_hex(c->id.b, 16)) && json_set(o, "name", json_text(c->name)) &&
        json_set(o, "sign_pub", json_hex(c->sign_pub, 32)) && json_set(o, "recipients", json_hex(c->recipients, 32)) &&
        json_set(o, "state", json_string(state_name(c->state)));
    return put(st, JOURNAL_CLIENT, o, ok);
}

static int freeze_record(struct store *st, enum journal_type type, const struct client_id *client, const char *reason,
    const char *by,
    const bool *false_alarm)
{
    int err = store_writable(st);
    if (!err && store_find_client(st, client) == STORE_NONE)
        err = -SM_ENOTFOUND;
    if (err)
        return err;
    json_t *o = json_object();
    bool ok = json_set(o, "client", json_hex(client->b, 16)) && json_set(o, "reason", json_text(reason)) &&
        json_set(o, "by", json_text(by)) &&
        (!false_alarm || json_set(o, "false_alarm", json_boolean(*false_alarm)));
    return put(st, type, o, ok);
}

int store_freeze(struct store *st, const struct client_id *client, const char *reason, const char *by)
{
    return freeze_record(st, JOURNAL_FREEZE, client, reason, by, NULL);
}

int store_thaw(struct store *st, const struct client_id *client, const char *reason, const char *by, bool false_alarm)
{
    return freeze_record(st, JOURNAL_THAW, client, reason, by, &false_alarm);
}

int policy_record(struct store *st, const struct retention_policy *p, const char *by, const uint8_t *order)
{
    json_t *o = json_object();
    bool ok = json_set(o, "hourly", json_integer(p->hourly)) && json_set(o, "daily", json_integer(p->daily)) &&
        json_set(o, "weekly", json_integer(p->weekly)) && json_set(o, "monthly", json_integer(p->monthly)) &&
        json_set(o, "min_days", json_integer(p->min_days)) && json_set(o, "by", json_text(by)) &&
        (!order || json_set(o, "order", json_hex(order, STORE_ORDER_ID)));
    return put(st, JOURNAL_POLICY, o, ok);
}

int store_policy_set(struct store *st, const struct retention_policy *p, const char *by)
{
    int err = store_writable(st);
    if (!err)
        err = retention_policy_check(p, NULL);
    if (!err && retention_shorter(&st->policy, p))
        err = -SM_EDENIED;
    return err ? err : policy_record(st, p, by, NULL);
}

void store_policy(const struct store *st, struct retention_policy *ret)
{
    *ret = st->policy;
}

/* ---- marks ---- */

static struct retention_generation planned(const struct store *st, const struct generation_row *row)
{
    const struct client_row *c = store_client_row(st, row->client);
    return (struct retention_generation){ .source = row->source, .seq = row->seq, .box_s = row->time.s,
        .running_ms = row->running_ms, .locked_until_ms = row->locked_until_ms, .run = row->run,
        .status = row->status, .suspicious = generation_suspicious(row), .frozen = c->c.frozen,
        .damaged = row->damaged, .held = deletion_held(st, row), .slots_held = row->slots_held,
        .frozen_ms = c->freeze_ms, .bytes = row->m.chunk_bytes + row->m.page_bytes,
        .new_bytes = row->m.chunk_bytes_new };
}

int store_verdicts(const struct store *st, const struct retention_policy *p, struct retention_verdict **ret)
{
    size_t n = st->generation_rows.n, m = 0;
    struct retention_generation *g = calloc(n + 1, sizeof *g);
    struct retention_verdict *v = calloc(n + 1, sizeof *v);
    int err = g && v ? 0 : -ENOMEM;
    for (size_t i = 0; !err && i < n; i++)
        if (!store_generation_row(st, i)->gone)
            g[m++] = planned(st, store_generation_row(st, i));
    if (!err)
        err = retention_plan(p, g, m, store_running_ms(st), v);
    /* From the end: verdict m - 1 belongs to the last row that is not gone. */
    for (size_t i = n; !err && i > 0; i--)
        v[i - 1] = store_generation_row(st, i - 1)->gone ? (struct retention_verdict){ 0 } : v[--m];
    free(g);
    if (err)
        free(v);
    else
        *ret = v;
    return err;
}

static json_t *slots_json(uint8_t slots)
{
    static const struct { uint8_t bit; const char *name; } row[] = {
        { RETENTION_HOURLY, "hourly" }, { RETENTION_DAILY, "daily" }, { RETENTION_WEEKLY, "weekly" },
            { RETENTION_MONTHLY, "monthly" },
    };
    json_t *a = json_array();
    for (size_t i = 0; a && i < 4; i++)
        if (slots & row[i].bit && json_array_append_new(a, json_string(row[i].name))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static int mark_one(struct store *st, const struct generation_row *g, const struct retention_verdict *v)
{
    uint64_t until = v->locked_until_ms > INT64_MAX ? INT64_MAX : v->locked_until_ms;
    json_t *o = json_object();
    bool ok = json_set(o, "manifest", json_hex(g->manifest.b, 32)) && json_set(o, "slots", slots_json(v->slots)) &&
        json_set(o, "locked_until_running_ms", json_integer((json_int_t)until)) &&
            json_set(o, "pinned", json_boolean(v->pinned));
    if (!ok) {
        json_decref(o);
        return -ENOMEM;
    }
    return store_record(st, JOURNAL_MARK, NULL, o, NULL);
}

int store_mark(struct store *st, size_t *ret_changed)
{
    struct retention_verdict *v = NULL;
    size_t changed = 0;
    int err = store_writable(st);
    if (!err)
        err = store_verdicts(st, &st->policy, &v);
    for (size_t i = 0; !err && i < st->generation_rows.n; i++) {
        const struct generation_row *g = store_generation_row(st, i);
        if (g->gone || (g->slots == v[i].slots && g->pinned == v[i].pinned && g->locked_until_ms == v[i].locked_until_ms))
            continue;
        err = mark_one(st, g, &v[i]);
        changed++;
    }
    free(v);
    if (!err)
        err = store_sync(st);
    if (!err)
        *ret_changed = changed;
    return err;
}

int store_plan(const struct store *st, const struct retention_policy *p, store_plan_fn fn, void *arg)
{
    struct retention_verdict *v = NULL;
    int err = store_verdicts(st, p, &v);
    for (size_t i = 0; !err && i < st->generation_rows.n; i++) {
        struct store_generation g;
        if (store_generation_row(st, i)->gone)
            continue;
        err = store_generation(st, &store_generation_row(st, i)->manifest, &g);
        if (!err)
            err = fn(arg, &g, &v[i]);
    }
    free(v);
    return err;
}

/* ---- other records ---- */

int store_access(struct store *st, const struct store_access *a)
{
    static const char *const known[] = { "unlock", "list", "read", "restore", "download", "verify", "grant", "audit",
        "card", "recovery", "drill" };
    bool is_known = false;
    for (size_t i = 0; a->what && i < sizeof known / sizeof *known; i++)
        is_known |= strcmp(a->what, known[i]) == 0;
    int err = store_writable(st);
    if (err || !is_known)
        return err ? err : -SM_EINVAL;
    json_t *o = json_object();
    bool ok = json_set(o, "what", json_text(a->what)) && json_set(o, "who", json_text(a->who)) &&
        json_set(o, "role", json_text(a->role)) &&
        json_set(o, "from", json_text(a->from)) && json_set(o, "why", json_text(a->why)) &&
            json_set(o, "result", json_text(a->result)) &&
        json_set(o, "client", a->client ? json_hex(a->client->b, 16) : json_null()) &&
        json_set(o, "manifest", a->manifest ? json_hex(a->manifest->b, 32) : json_null()) &&
        json_set(o, "path_count", json_integer((json_int_t)(a->path_count & INT64_MAX)));
    return put(st, JOURNAL_ACCESS, o, ok);
}

int store_peer(struct store *st, const struct store_peer *p)
{
    static const char *const known[] = { "joined", "head", "refused", "stopped", "accepting" };
    bool is_known = false;
    for (size_t i = 0; p->what && i < sizeof known / sizeof *known; i++)
        is_known |= strcmp(p->what, known[i]) == 0;
    int err = store_writable(st);
    if (err || !is_known)
        return err ? err : -SM_EINVAL;
    json_t *o = json_object();
    bool ok = json_set(o, "what", json_text(p->what)) && json_set(o, "peer", json_hex(p->peer, 16)) &&
        json_set(o, "vault", json_hex(p->vault, 16)) && json_set(o, "why", json_text(p->why)) &&
        json_set(o, "by", json_text(p->by)) &&
        json_set(o, "seq", p->head ? json_integer((json_int_t)(p->head->seq & INT64_MAX)) : json_null()) &&
        json_set(o, "hash", p->head ? json_hex(p->head->hash, 32) : json_null());
    return put(st, JOURNAL_PEER, o, ok);
}

int store_damage(struct store *st, const struct store_damage *d)
{
    int err = store_writable(st);
    if (err || !d->what || !d->what[0])
        return err ? err : -SM_EINVAL;
    json_t *o = json_object();
    bool ok = json_set(o, "what", json_text(d->what)) && json_set(o, "object", d->object ? json_hex(d->object->b, 32) :
        json_null()) &&
        json_set(o, "file", json_text(d->file)) && json_set(o, "offset",
            json_integer((json_int_t)(d->offset & INT64_MAX))) &&
        json_set(o, "found_by", json_text(d->found_by));
    err = put(st, JOURNAL_DAMAGE, o, ok);
    /* Pages were found closed while this was thought sound: look at them again. */
    if (!err && st->closed && index_reset(st->closed) == 0)
        place_marks(st);
    return err;
}

int store_verified(struct store *st, const char *kind, uint64_t packs, uint64_t objects, uint64_t bytes,
    uint64_t damaged, uint64_t ms)
{
    int err = store_writable(st);
    if (err)
        return err;
    json_t *o = json_object();
    bool ok = json_set(o, "kind", json_text(kind)) && json_set(o, "packs", json_integer((json_int_t)packs)) &&
        json_set(o, "objects", json_integer((json_int_t)objects)) &&
            json_set(o, "bytes", json_integer((json_int_t)bytes)) &&
        json_set(o, "damaged", json_integer((json_int_t)damaged)) && json_set(o, "ms", json_integer((json_int_t)ms));
    return put(st, JOURNAL_VERIFY, o, ok);
}

int store_head(struct store *st, struct journal_signed_head *ret)
{
    return store_sign_head(st, ret);
}
