/* Clean-up in the background, a step a turn of the loop; and what brain asks about retention: orders, holds, the date,
 * quotas.  No order is believed from brain: it is signed by the recovery sheet, and the key is asked of keyd. */
#include "sakimorid/vault/vaultd.h"
#include <errno.h>

#include "core/log.h"
#include "plat/clock.h"
#include "vault/clean/clean.h"

#define DAY_MS ((uint64_t)86400000)
#define CLEAN_EVERY_MS (20 * 3600000ull)  /* of running time, in the quiet hours */
#define CLEAN_LATEST_MS (36 * 3600000ull) /* whatever the hour */
#define QUIET_FROM 1
#define QUIET_TO 5
#define ORDERS_SHOWN 200
#define PLAN_SHOWN 2000
#define EXPIRE_SHOWN 500
#define STEP_MS 1
#define WEEK_MS (7 * DAY_MS)

/* ---- the run ---- */

static json_t *report_json(const struct cleaning *k, const struct clean_report *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "dry", json_boolean(k->dry));
    json_object_set_new(o, "phase", json_string(clean_phase_name(r->phase)));
    wire_int(o, "generations", r->generations);
    wire_int(o, "generations_total", r->generations_total);
    wire_int(o, "packs", r->packs);
    wire_int(o, "packs_total", r->packs_total);
    wire_int(o, "orders", r->orders);
    wire_int(o, "expired", r->expired);
    wire_int(o, "condemned", r->condemned);
    wire_int(o, "bytes_condemned", r->bytes_condemned);
    wire_int(o, "revived", r->revived);
    wire_int(o, "deleted", r->deleted);
    wire_int(o, "bytes_deleted", r->bytes_deleted);
    wire_int(o, "copied", r->copied);
    wire_int(o, "bytes_copied", r->bytes_copied);
    wire_int(o, "half_dead", r->half_dead);
    wire_int(o, "bytes_dead", r->bytes_dead);
    wire_int(o, "blocked", r->blocked);
    json_object_set(o, "expire", k->expire);
    return o;
}

static void on_expire(void *arg, const struct store_generation *g)
{
    struct vaultd *v = arg;
    if (json_array_size(v->cleaning.expire) < EXPIRE_SHOWN)
        json_array_append_new(v->cleaning.expire, query_generation_json(v, g));
}

void cleaning_end(struct vaultd *v)
{
    clean_free(v->cleaning.clean);
    v->cleaning.clean = NULL;
    sm_timer_free(v->cleaning.step);
    v->cleaning.step = NULL;
}

static void finish(struct vaultd *v, int r)
{
    struct clean_report report;
    char at[SM_TIME_TEXT];
    clean_report(v->cleaning.clean, &report);
    sm_time_rfc3339(plat_clock_wall(), at);
    json_t *o = report_json(&v->cleaning, &report);
    json_object_set_new(o, "at", json_string(at));
    if (r)
        json_object_set_new(o, "error", json_string(sm_strerror(r)));
    json_decref(v->cleaning.last);
    v->cleaning.last = json_deep_copy(o);
    json_object_del(o, "expire"); /* a notice is small: brain asks for the rest */
    cleaning_end(v);
    if (!v->cleaning.dry && !r)
        clean_room_take(v->store);
    vaultd_event(v, "cleaned", o);
    vaultd_after(v, r);
}

static void step(void *arg)
{
    struct vaultd *v = arg;
    int r = v->store ? clean_step(v->cleaning.clean) : -SM_ESTATE;
    if (v->cleaning.cancel && r > 0)
        r = -SM_ECANCEL;
    if (r <= 0)
        finish(v, r);
}

static int start(struct vaultd *v, bool dry)
{
    if (v->cleaning.clean)
        return -SM_ESTATE;
    struct clean_hooks h = {.expire = on_expire, .arg = v};
    json_decref(v->cleaning.expire);
    v->cleaning.expire = json_array();
    v->cleaning.dry = dry;
    v->cleaning.cancel = false;
    if (!dry) {
        clean_room_give(v->store);
        v->cleaning.last_ms = store_running_ms(v->store) + 1;
    }
    int r = clean_new(v->store, dry, &h, &v->cleaning.clean);
    if (!r)
        r = sm_loop_timer(v->c->loop, STEP_MS, STEP_MS, step, v, &v->cleaning.step);
    if (r && v->cleaning.clean)
        cleaning_end(v);
    return r;
}

/* A freeze that nobody looked at is told again every week. */
static void tell_frozen(struct vaultd *v, uint64_t now)
{
    uint64_t before = v->cleaning.looked_ms;
    for (size_t i = 0; i < store_clients(v->store); i++) {
        struct store_client c;
        if (store_client_at(v->store, i, &c) || !c.frozen || now < c.frozen_ms)
            continue;
        uint64_t weeks = (now - c.frozen_ms) / WEEK_MS;
        if (weeks == 0 || (before >= c.frozen_ms && (before - c.frozen_ms) / WEEK_MS == weeks))
            continue;
        json_t *o = json_object();
        wire_hex(o, "client", c.id.b, 16);
        wire_int(o, "weeks", weeks);
        vaultd_event(v, "still-frozen", o);
    }
    v->cleaning.looked_ms = now;
}

void cleaning_hour(struct vaultd *v)
{
    struct sm_civil c;
    uint64_t now = store_running_ms(v->store), since = now - v->cleaning.last_ms;
    sm_time_civil_jst(plat_clock_wall(), &c);
    bool quiet = c.hour >= QUIET_FROM && c.hour < QUIET_TO;
    tell_frozen(v, now);
    keeping_tidy(v);
    /* Counted from the start of the process when none was in it: a box that is restarted all the time cleans too. */
    if ((quiet && (!v->cleaning.last_ms || since >= CLEAN_EVERY_MS)) || (v->cleaning.last_ms && since >= CLEAN_LATEST_MS))
        (void)start(v, false); /* one that runs already is as good; else the next hour tries again */
    else if (!v->cleaning.last_ms)
        v->cleaning.last_ms = now > CLEAN_EVERY_MS / 2 ? now - CLEAN_EVERY_MS / 2 : 1;
}

void cleaning_quota(struct vaultd *v, const struct client_id *client, uint64_t more)
{
    struct store_client c;
    uint64_t quota = store_quota(v->store, client), hour = plat_clock_mono_ms() / 3600000 + 1;
    if (!quota || store_client_get(v->store, client, &c) || c.pack_bytes + more <= quota ||
        v->cleaning.quota_told_hour == hour)
        return;
    v->cleaning.quota_told_hour = hour;
    json_t *o = json_object();
    wire_hex(o, "client", client->b, 16);
    wire_int(o, "quota", quota);
    wire_int(o, "bytes", c.pack_bytes);
    vaultd_event(v, "quota", o);
}

void cleaning_ask(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    bool go = sm_obj_bool(&ask.o, "start", false), dry = sm_obj_bool(&ask.o, "dry", false), stop = sm_obj_bool(&ask.o, "cancel", false);
    int r = ask.o.err;
    if (!r && stop) {
        ask.v->cleaning.cancel = true;
        out = json_object();
    } else if (!r && go) {
        r = start(ask.v, dry);
        out = r ? NULL : json_pack("{s:b}", "started", 1);
    } else if (!r) {
        struct clean_report report;
        if (ask.v->cleaning.clean)
            clean_report(ask.v->cleaning.clean, &report);
        out = json_object();
        json_object_set_new(out, "running", ask.v->cleaning.clean ? report_json(&ask.v->cleaning, &report) : json_null());
        json_object_set(out, "last", ask.v->cleaning.last ? ask.v->cleaning.last : json_null());
    }
    vaultd_answer(&ask, out, r, ask.o.err ? ask.o.why : r == -SM_ESTATE ? "a clean-up is running already" : NULL);
}

/* ---- what is kept, and why ---- */

static json_t *time_json(struct sm_time t)
{
    char text[SM_TIME_TEXT];
    sm_time_rfc3339(t, text);
    return t.s ? json_string(text) : json_null();
}

static json_t *policy_json(const struct retention_policy *p)
{
    return json_pack("{s:i,s:i,s:i,s:i,s:i}", "hourly", (int)p->hourly, "daily", (int)p->daily, "weekly", (int)p->weekly,
        "monthly", (int)p->monthly, "min_days", (int)p->min_days);
}

static json_t *order_json(struct vaultd *v, const struct store_order *x)
{
    uint64_t on = store_on_ms(v->store);
    json_t *o = json_object();
    wire_hex(o, "id", x->id, sizeof x->id);
    json_object_set_new(o, "kind", json_string(order_kind_name(x->kind)));
    json_object_set_new(o, "state", json_string(store_order_state_name(x->state)));
    json_object_set_new(o, "at", time_json(x->time));
    json_object_set_new(o, "by", json_string(x->by));
    json_object_set_new(o, "reason", json_string(x->reason));
    wire_int(o, "left_ms", x->state == STORE_ORDER_WAITING && x->due_on_ms > on ? x->due_on_ms - on : 0);
    wire_int(o, "manifests", x->manifests);
    if (x->kind == ORDER_POLICY)
        json_object_set_new(o, "policy", policy_json(&x->policy));
    if (x->kind == ORDER_DATE)
        wire_int(o, "credit_ms", x->credit_ms);
    json_object_set_new(o, "ended", time_json(x->ended));
    json_object_set_new(o, "ended_by", json_string(x->ended_by));
    json_object_set_new(o, "why", json_string(x->why));
    wire_int(o, "done", x->done);
    wire_int(o, "kept", x->kept);
    return o;
}

static json_t *orders_json(struct vaultd *v)
{
    json_t *a = json_array();
    for (size_t i = store_orders(v->store); i > 0 && json_array_size(a) < ORDERS_SHOWN; i--)
        json_array_append_new(a, order_json(v, store_order_at(v->store, i - 1)));
    return a;
}

static json_t *holds_json(struct vaultd *v)
{
    json_t *a = json_array();
    for (size_t i = 0; i < store_holds(v->store); i++) {
        const struct store_hold *h = store_hold_at(v->store, i);
        json_t *o = json_object();
        wire_hex(o, "id", h->id, sizeof h->id);
        json_object_set_new(o, "scope", json_string(store_scope_name(h->scope)));
        wire_hex(o, "what", h->what, h->scope == STORE_SCOPE_MANIFEST ? 32 : 16);
        json_object_set_new(o, "reason", json_string(h->reason));
        json_object_set_new(o, "by", json_string(h->by));
        json_object_set_new(o, "at", time_json(h->time));
        json_array_append_new(a, o);
    }
    return a;
}

static json_t *date_json(struct vaultd *v)
{
    struct store_date d;
    store_date(v->store, &d);
    json_t *o = json_object();
    json_object_set_new(o, "gap_ms", json_integer(d.gap_ms));
    wire_int(o, "may_ms", d.may_ms);
    wire_int(o, "gained_ms", d.gained_ms);
    json_object_set_new(o, "ask", json_boolean(d.ask));
    return o;
}

static json_t *totals_json(struct vaultd *v)
{
    struct store_deletion_totals t;
    store_deletion_totals(v->store, &t);
    json_t *o = json_object();
    wire_int(o, "expired", t.expired);
    wire_int(o, "packs_deleted", t.packs_deleted);
    wire_int(o, "packs_condemned", t.packs_condemned);
    wire_int(o, "bytes_condemned", t.bytes_condemned);
    wire_int(o, "bytes_deleted", t.bytes_deleted);
    return o;
}

struct plan_arg { struct vaultd *v; struct source_id source; json_t *items; };

static int plan_row(void *arg, const struct store_generation *g, const struct retention_verdict *r)
{
    struct plan_arg *p = arg;
    if (memcmp(g->source.b, p->source.b, sizeof g->source.b) != 0)
        return 0;
    if (json_array_size(p->items) >= PLAN_SHOWN)
        json_array_remove(p->items, 0);
    json_t *o = json_object();
    static const struct { uint8_t bit; const char *name; } slot[] = { {RETENTION_HOURLY, "hourly"},
        {RETENTION_DAILY, "daily"}, {RETENTION_WEEKLY, "weekly"}, {RETENTION_MONTHLY, "monthly"} };
    json_t *slots = json_array();
    for (size_t i = 0; i < 4; i++)
        if (r->slots & slot[i].bit)
            json_array_append_new(slots, json_string(slot[i].name));
    wire_hex(o, "manifest", g->manifest.b, 32);
    wire_int(o, "number", g->number);
    json_object_set_new(o, "at", time_json(g->time));
    json_object_set_new(o, "slots", slots);
    json_object_set_new(o, "why", json_string(retention_why_name(r->why)));
    json_object_set_new(o, "suspicious", json_boolean(g->suspicious));
    json_object_set_new(o, "pinned", json_boolean(r->pinned));
    uint64_t now = store_running_ms(p->v->store);
    wire_int(o, "locked_ms", r->locked_until_ms > now ? r->locked_until_ms - now : 0);
    return json_array_append_new(p->items, o) ? -ENOMEM : 0;
}

void cleaning_retention(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    struct retention_policy p;
    struct plan_arg plan = {.v = ask.v, .items = json_array()};
    store_policy(ask.v->store, &p);
    int r = 0;
    if (wire_hex_opt(&ask.o, "source", plan.source.b, 16) && !ask.o.err)
        r = store_plan(ask.v->store, &p, plan_row, &plan);
    r = ask.o.err ? ask.o.err : r;
    if (!r) {
        out = json_object();
        json_object_set_new(out, "policy", policy_json(&p));
        wire_int(out, "lock_max_days", RETENTION_DAYS_MAX);
        wire_int(out, "order_wait_ms", STORE_ORDER_WAIT_MS);
        wire_int(out, "pack_wait_ms", STORE_CONDEMNED_WAIT_MS);
        wire_int(out, "running_ms", store_running_ms(ask.v->store));
        wire_int(out, "on_ms", store_on_ms(ask.v->store));
        json_object_set_new(out, "date", date_json(ask.v));
        json_object_set_new(out, "orders", orders_json(ask.v));
        json_object_set_new(out, "holds", holds_json(ask.v));
        json_object_set_new(out, "totals", totals_json(ask.v));
        json_object_set(out, "items", plan.items);
    }
    json_decref(plan.items);
    vaultd_answer(&ask, out, r, ask.o.why);
}

/* ---- orders ---- */

static int order_take(struct vaultd *v, struct sm_obj *o, json_t **ret, char *why)
{
    struct sm_buf key = SM_BUF_INIT(256);
    struct store_order row;
    uint8_t link[KEYLINK_MAX];
    struct sm_span text = wire_get(o, "order", ORDER_TEXT_MAX);
    struct store_order_args a = {.text = text, .by = sm_obj_str(o, "by", 1, 255), .from = sm_obj_str_opt(o, "from", 255)};
    const char *hex = sm_obj_str_opt(o, "link", 2 * sizeof link);
    sm_obj_hex(o, "sig", a.sig, sizeof a.sig);
    a.link = SM_SPAN(link, hex ? strlen(hex) / 2 : 0);
    int r = o->err ? o->err : hex ? sm_unhex(hex, 2 * a.link.n, link, a.link.n) : 0;
    if (!r)
        r = child_call(v->c, WHO_KEYD, K_ORDERS_PUB, SM_SPAN(NULL, 0), 10000, &key, NULL);
    if (!r && key.n != sizeof a.key)
        r = -SM_EPROTO;
    if (!r) {
        memcpy(a.key, key.p, sizeof a.key);
        r = store_order_accept(v->store, &a, &row, why);
    }
    if (!r)
        *ret = order_json(v, &row);
    sm_buf_wipe(&key);
    return r;
}

static const struct store_order *order_of(const struct vaultd *v, const uint8_t id[STORE_ORDER_ID])
{
    for (size_t i = 0; i < store_orders(v->store); i++) {
        const struct store_order *x = store_order_at(v->store, i);
        if (!memcmp(x->id, id, STORE_ORDER_ID))
            return x;
    }
    return NULL;
}

/* A change that was cancelled: keyd forgets what it kept for it. */
static void change_forget(struct vaultd *v, const struct store_order *x)
{
    json_t *o = x && x->kind == ORDER_RECIPIENTS ? json_object() : NULL;
    struct sm_buf text = SM_BUF_INIT(256), answer = SM_BUF_INIT(4096);
    if (!o)
        return;
    wire_hex(o, "nonce", x->nonce, sizeof x->nonce);
    int r = sm_json_dump(o, &text);
    if (!r)
        r = child_call(v->c, WHO_KEYD, K_CHANGE_DROP, sm_buf_span(&text), 10000, &answer, NULL);
    if (r) /* what is left there can be taken over by nobody: only an executed one is asked for */
        sm_warn("the keys of a change that was cancelled were not thrown away: %s", sm_strerror(r));
    json_decref(o);
    sm_buf_wipe(&text);
    sm_buf_wipe(&answer);
}

void cleaning_order(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    char why[160] = "";
    uint8_t id[STORE_ORDER_ID];
    int r;
    if (wire_hex_opt(&ask.o, "cancel", id, sizeof id)) {
        const char *said = sm_obj_str(&ask.o, "why", 1, 255), *by = sm_obj_str(&ask.o, "by", 1, 255),
                   *role = sm_obj_str(&ask.o, "role", 1, 32);
        r = ask.o.err ? ask.o.err : store_order_cancel(ask.v->store, id, said, by, role);
        if (!r)
            change_forget(ask.v, order_of(ask.v, id));
        out = r ? NULL : json_object();
    } else {
        r = order_take(ask.v, &ask.o, &out, why);
    }
    vaultd_after(ask.v, r);
    vaultd_answer(&ask, out, r, ask.o.err ? ask.o.why : why);
}

/* ---- recipients ---- */

/* Every change that was executed, oldest first, with what proves it. */
static int change_json(struct vaultd *v, const struct store_order *x, json_t *list)
{
    struct sm_buf text = SM_BUF_INIT(ORDER_TEXT_MAX + 1), link = SM_BUF_INIT(KEYLINK_MAX);
    uint8_t sig[64];
    char hex[2 * KEYLINK_MAX + 1];
    int r = store_order_proof(v->store, x, &text, sig, &link);
    json_t *o = r ? NULL : order_json(v, x);
    if (o) {
        wire_text(o, "order", sm_buf_span(&text));
        wire_hex(o, "sig", sig, sizeof sig);
        wire_hex(o, "before", x->before, sizeof x->before);
        wire_hex(o, "after", x->after, sizeof x->after);
        sm_hex(link.p, link.n, hex);
        json_object_set_new(o, "link", json_string(hex));
        r = json_array_append_new(list, o) ? -ENOMEM : 0;
    }
    sm_buf_wipe(&text);
    sm_buf_wipe(&link);
    return r;
}

void cleaning_recipients(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct vaultd *v = vaultd_of(c);
    if (!vaultd_store(v, ipc, m))
        return;
    json_t *list = json_array();
    int r = list ? 0 : -ENOMEM;
    for (size_t i = 0; !r && i < store_orders(v->store); i++) {
        const struct store_order *x = store_order_at(v->store, i);
        if (x->kind == ORDER_RECIPIENTS && x->state == STORE_ORDER_EXECUTED)
            r = change_json(v, x, list);
    }
    wire_answer(ipc, m, r ? NULL : json_pack("{s:O}", "changes", list), r, NULL);
    json_decref(list);
}

int cleaning_change_due(const struct store_order *x)
{
    if (!x || x->kind != ORDER_RECIPIENTS)
        return -SM_EINVAL;
    return x->state == STORE_ORDER_EXECUTED ? 0 : -SM_ESTATE;
}

/* keyd takes it from this process and no other that a change waited and was executed. */
static int change_bring(struct vaultd *v, const struct store_order *x, struct sm_buf *ret, char *ret_why)
{
    struct sm_buf order = SM_BUF_INIT(ORDER_TEXT_MAX + 1), text = SM_BUF_INIT(2 * ORDER_TEXT_MAX);
    uint8_t sig[64];
    int r = cleaning_change_due(x);
    if (!r)
        r = store_order_proof(v->store, x, &order, sig, NULL);
    json_t *o = r ? NULL : json_object();
    if (!r)
        r = o ? 0 : -ENOMEM;
    if (!r) {
        wire_text(o, "order", sm_buf_span(&order));
        wire_hex(o, "sig", sig, sizeof sig);
        r = sm_json_dump(o, &text);
    }
    if (!r)
        r = child_call(v->c, WHO_KEYD, K_CHANGE_TAKE, sm_buf_span(&text), 10000, ret, ret_why);
    json_decref(o);
    sm_buf_wipe(&order);
    sm_buf_wipe(&text);
    return r;
}

void cleaning_change(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    struct sm_buf answer = SM_BUF_INIT(SM_IPC_BODY_MAX);
    uint8_t id[STORE_ORDER_ID];
    char why[160] = "";
    sm_obj_hex(&ask.o, "id", id, sizeof id);
    int r = ask.o.err ? ask.o.err : change_bring(ask.v, order_of(ask.v, id), &answer, why);
    if (r)
        child_reply_error(ipc, m, r, ask.o.err ? ask.o.why : *why ? why : sm_strerror(r));
    else
        child_reply(ipc, m, sm_buf_span(&answer));
    sm_buf_wipe(&answer);
    json_decref(ask.in);
}

/* ---- holds, the date, quotas ---- */

static int hold_put(struct vaultd *v, struct sm_obj *o, json_t **ret)
{
    struct store_hold h = {0};
    uint8_t id[16];
    const char *scope = sm_obj_str(o, "scope", 1, 16);
    for (unsigned k = STORE_SCOPE_CLIENT; k <= STORE_SCOPE_MANIFEST; k++)
        if (!strcmp(scope, store_scope_name((enum store_scope)k)))
            h.scope = (enum store_scope)k;
    if (!o->err && !h.scope)
        return -SM_EINVAL;
    sm_obj_hex(o, "what", h.what, h.scope == STORE_SCOPE_MANIFEST ? 32 : 16);
    snprintf(h.reason, sizeof h.reason, "%s", sm_obj_str(o, "reason", 1, STORE_PERSON_MAX));
    snprintf(h.by, sizeof h.by, "%s", sm_obj_str(o, "by", 1, STORE_PERSON_MAX));
    const char *role = sm_obj_str(o, "role", 1, 32);
    int r = o->err ? o->err : store_hold_put(v->store, &h, role, id);
    if (!r) {
        *ret = json_object();
        wire_hex(*ret, "id", id, sizeof id);
    }
    return r;
}

void cleaning_hold(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    uint8_t id[16];
    int r;
    if (wire_hex_opt(&ask.o, "release", id, sizeof id)) {
        const char *why = sm_obj_str(&ask.o, "why", 1, 255), *by = sm_obj_str(&ask.o, "by", 1, 255),
                   *role = sm_obj_str(&ask.o, "role", 1, 32);
        r = ask.o.err ? ask.o.err : store_hold_release(ask.v->store, id, why, by, role);
        out = r ? NULL : json_object();
    } else {
        r = hold_put(ask.v, &ask.o, &out);
    }
    vaultd_after(ask.v, r);
    vaultd_mark_soon(ask.v);
    vaultd_answer(&ask, out, r, ask.o.why);
}

void cleaning_date(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    uint64_t gained = 0;
    int r = 0;
    if (sm_obj_bool(&ask.o, "confirm", false)) {
        const char *by = sm_obj_str(&ask.o, "by", 1, 255), *role = sm_obj_str(&ask.o, "role", 1, 32);
        r = ask.o.err ? ask.o.err : store_date_confirm(ask.v->store, by, role, &gained);
    }
    r = ask.o.err ? ask.o.err : r;
    if (!r) {
        out = date_json(ask.v);
        wire_int(out, "gained_now_ms", gained);
    }
    vaultd_after(ask.v, r);
    vaultd_answer(&ask, out, r, ask.o.why);
}

void cleaning_set_quota(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    struct client_id client;
    sm_obj_hex(&ask.o, "client", client.b, 16);
    uint64_t bytes = (uint64_t)sm_obj_int(&ask.o, "bytes", 0, INT64_MAX);
    const char *by = sm_obj_str(&ask.o, "by", 1, 255);
    int r = ask.o.err ? ask.o.err : store_quota_set(ask.v->store, &client, bytes, by);
    vaultd_after(ask.v, r);
    vaultd_answer(&ask, r ? NULL : json_object(), r, ask.o.why);
}
