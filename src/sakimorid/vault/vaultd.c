/* Life of the vault process: it opens the store when brain has said which vault this is, and closes it at the end. */
#include "sakimorid/vault/vaultd.h"

#include <errno.h>

#include "core/log.h"
#include "crypto/init.h"
#include "crypto/many.h"
#include "plat/fs.h"

#define FLUSH_MS 2
#define MARK_MS 1500
#define CLOCK_MS ((uint64_t)3600 * 1000)
#define SPACE_LOW_FACTOR 2 /* say so when less than this many reserves are free */

struct store *vaultd_store(struct vaultd *v, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    if (!v->store)
        child_reply_error(ipc, m, -SM_EAGAIN, "the vault is not open yet");
    return v->store;
}

bool vaultd_asked(struct child *c, struct sm_ipc *ipc, struct sm_ipc_msg *m, struct asked *ret)
{
    struct vaultd *v = vaultd_of(c);
    struct store *st = vaultd_store(v, ipc, m);
    json_t *in = st ? wire_body(ipc, m) : NULL;

    *ret = (struct asked){ .v = v, .st = st, .in = in, .o = SM_OBJ(in), .ipc = ipc, .m = m };
    return in != NULL;
}

void vaultd_answer(struct asked *q, json_t *out, int r, const char *why)
{
    wire_answer(q->ipc, q->m, out, r, why);
    json_decref(q->in);
}

void vaultd_event(struct vaultd *v, const char *what, json_t *o)
{
    if (!o)
        return;
    json_object_set_new(o, "what", json_string(what));
    (void)child_notify_json(v->c, WHO_BRAIN, V_EVENT, o); /* brain asks for the state itself when it comes back */
    json_decref(o);
}

static void say_space(struct vaultd *v)
{
    struct store_totals t;
    if (!store_totals(v->store, &t))
        vaultd_event(
            v, "space", json_pack("{s:I,s:I}", "avail", (json_int_t)t.disk_avail, "reserve", (json_int_t)t.reserve));
}

void vaultd_after(struct vaultd *v, int r)
{
    if (r == -ENOSPC && v->store)
        say_space(v); /* one alarm for all of them: brain opens it once */
    if (!r || !v->store || !store_is_broken(v->store))
        return;
    /* What reached the disk is found out by opening anew: the parent starts this process again. */
    vaultd_event(v, "broken", json_pack("{s:s}", "why", sm_strerror(r)));
    child_fatal(v->c, "a write to the vault failed: %s", sm_strerror(r));
}

static void on_flush(void *arg)
{
    struct vaultd *v = arg;
    if (v->store)
        uploads_flush(v);
}

void vaultd_flush_soon(struct vaultd *v)
{
    sm_timer_set(v->flush, FLUSH_MS, 0);
}

void vaultd_mark_soon(struct vaultd *v)
{
    sm_timer_set(v->mark, MARK_MS, 0);
}

static void on_mark(void *arg)
{
    struct vaultd *v = arg;
    size_t changed;
    if (v->store)
        vaultd_after(v, store_mark(v->store, &changed));
}

static void on_clock(void *arg)
{
    struct vaultd *v = arg;
    struct store_totals t;
    if (!v->store)
        return;
    vaultd_after(v, store_clock(v->store, "hourly"));
    cleaning_hour(v);
    if (v->store && !store_totals(v->store, &t) && t.disk_avail < SPACE_LOW_FACTOR * t.reserve)
        vaultd_event(
            v, "space", json_pack("{s:I,s:I}", "avail", (json_int_t)t.disk_avail, "reserve", (json_int_t)t.reserve));
}

static int sign(void *arg, struct sm_span message, uint8_t ret_sig[64])
{
    struct vaultd *v = arg;
    struct sm_buf sig = SM_BUF_INIT(256);
    int r = child_call(v->c, WHO_KEYD, K_SIGN_HEAD, message, 10000, &sig, NULL);
    if (!r && sig.n != 64)
        r = -SM_EPROTO;
    if (!r)
        memcpy(ret_sig, sig.p, 64);
    sm_buf_wipe(&sig);
    return r;
}

static void log_recovery(struct vaultd *v)
{
    const struct store_recovery *r = store_recovered(v->store);
    if (!r->cut.happened && !r->packs_adopted && !r->packs_set_aside && !r->packs_missing)
        return;
    sm_warn("vault: recovered (%llu bytes cut, %llu packs adopted, %llu set aside, %llu missing)",
        (unsigned long long)r->cut.bytes, (unsigned long long)r->packs_adopted, (unsigned long long)r->packs_set_aside,
        (unsigned long long)r->packs_missing);
    vaultd_event(v, "recovered",
        json_pack("{s:I,s:I,s:I,s:I}", "cut_bytes", (json_int_t)r->cut.bytes, "packs_adopted",
            (json_int_t)r->packs_adopted, "packs_set_aside", (json_int_t)r->packs_set_aside, "packs_missing",
            (json_int_t)r->packs_missing));
}

static int open_store(struct vaultd *v, char *why)
{
    char dir[4096];
    snprintf(dir, sizeof dir, "%s/vault", v->c->data);
    struct store_config config = {.dir = dir, .limits = STORE_LIMITS_DEFAULT, .signer = {.sign = sign, .arg = v}};
    const json_t *settings = json_object_get(v->c->config, "settings"),
                 *reserve = json_object_get(settings, "disk_reserve");
    if (json_is_integer(reserve))
        config.limits.reserve_bytes = (uint64_t)json_integer_value(reserve);
    memcpy(config.signer.public_key, v->head_pub, 32);
    struct spare_healed healed = {0};
    int r = store_open(&config, &v->store, why);
    bool unsound = r == -SM_ECORRUPT || r == -SM_EFORMAT || r == -SM_EMISMATCH || r == -SM_EVERSION;
    if ((unsound || r == -SM_ENOTFOUND) && scrubbing_heal(v, dir, &healed) == 1)
        r = store_open(&config, &v->store, why);
    if (r == -SM_ENOTFOUND) {
        r = store_create(dir, &v->vault, SM_VERSION);
        if (!r)
            r = store_open(&config, &v->store, why);
    }
    if (!r && memcmp(store_vault(v->store), &v->vault, sizeof v->vault) != 0) {
        store_close(v->store);
        v->store = NULL;
        snprintf(why, STORE_WHY, "the vault's id does not belong to this box's keys");
        r = -SM_EMISMATCH;
    }
    if (r)
        return r;
    log_recovery(v);
    vaultd_after(v, store_clock(v->store, "start"));
    if (healed.records || healed.format)
        scrubbing_healed(v, &healed);
    return scrubbing_start(v);
}

/* When the oldest generation was taken, box time; 0 when there is none. */
static int64_t oldest(const struct vaultd *v)
{
    enum { PAGE = 256 };
    struct store_generation *g = calloc(PAGE, sizeof *g);
    struct store_query q = {0};
    int64_t s = 0;
    size_t n = g ? PAGE : 0;
    while (n == PAGE && (n = store_generations(v->store, &q, g, PAGE)) > 0) {
        s = g[n - 1].time.s;
        q.before_seq = g[n - 1].seq;
    }
    free(g);
    return s;
}

static json_t *totals_json(struct vaultd *v)
{
    struct store_totals t;
    if (store_totals(v->store, &t))
        return json_null();
    json_t *o = json_object();
    wire_int(o, "clients", t.clients);
    wire_int(o, "generations", t.generations);
    json_object_set_new(o, "oldest_s", json_integer(oldest(v)));
    wire_int(o, "packs", t.packs);
    wire_int(o, "pack_bytes", t.pack_bytes);
    wire_int(o, "objects", t.objects);
    wire_int(o, "disk_total", t.disk_total);
    wire_int(o, "disk_avail", t.disk_avail);
    wire_int(o, "reserve", t.reserve);
    wire_int(o, "index_memory", t.index_memory);
    return o;
}

static json_t *status_json(struct vaultd *v)
{
    json_t *o = json_object(), *head = json_object(), *rec = json_object();
    const struct store_recovery *r = store_recovered(v->store);
    struct journal_head h = journal_durable(store_journal(v->store));
    struct retention_policy p;
    store_policy(v->store, &p);
    wire_hex(o, "vault", v->vault.b, 16);
    wire_int(head, "seq", h.seq);
    wire_hex(head, "hash", h.hash, 32);
    json_object_set_new(o, "head", head);
    wire_int(o, "running_ms", store_running_ms(v->store));
    json_object_set_new(o, "broken", json_boolean(store_is_broken(v->store)));
    json_object_set_new(o, "totals", totals_json(v));
    wire_int(rec, "cut_bytes", r->cut.happened ? r->cut.bytes : 0);
    wire_int(rec, "packs_adopted", r->packs_adopted);
    wire_int(rec, "packs_set_aside", r->packs_set_aside);
    wire_int(rec, "packs_missing", r->packs_missing);
    json_object_set_new(rec, "index_rebuilt", json_boolean(r->index_rebuilt));
    json_object_set_new(o, "recovered", rec);
    json_object_set_new(o, "policy",
        json_pack("{s:i,s:i,s:i,s:i,s:i}", "hourly", (int)p.hourly, "daily", (int)p.daily, "weekly", (int)p.weekly,
            "monthly", (int)p.monthly, "min_days", (int)p.min_days));
    struct store_date date;
    store_date(v->store, &date);
    json_object_set_new(o, "date_ask", json_boolean(date.ask));
    json_t *now = verifying_now(v);
    json_object_set_new(o, "verify", now ? now : json_null());
    json_object_set_new(o, "scrub", scrubbing_now(v));
    return o;
}

/* {"vault","head_pub"} opens (or makes) the vault; {} asks how it is. */
static void on_status(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct vaultd *v = vaultd_of(c);
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    char why[STORE_WHY] = "";
    struct vault_id vault;
    int r = 0;
    if (!v->store && wire_hex_opt(&o, "vault", vault.b, 16)) {
        v->vault = vault;
        sm_obj_hex(&o, "head_pub", v->head_pub, 32);
        r = o.err ? o.err : open_store(v, why);
        if (r)
            sm_error("vault: %s", why[0] ? why : sm_strerror(r));
    } else if (!v->store) {
        r = -SM_EAGAIN;
    }
    wire_answer(ipc, m, r ? NULL : status_json(v), r, o.err ? o.why : why);
    json_decref(in);
}

static void vaultd_gone(struct child *c, unsigned peer)
{
    struct vaultd *v = vaultd_of(c);
    uploads_forget(v, peer);
    objects_forget(v, peer);
}

static int vaultd_start(struct child *c)
{
    struct vaultd *v = vaultd_of(c);
    v->c = c;
    int r = crypto_init();
    if (!r)
        r = crypto_many_new(&v->many);
    if (!r)
        r = sm_loop_timer(c->loop, CLOCK_MS, CLOCK_MS, on_clock, v, &v->clock);
    if (!r)
        r = sm_loop_timer(c->loop, CLOCK_MS, 0, on_flush, v, &v->flush);
    if (!r)
        r = sm_loop_timer(c->loop, CLOCK_MS, 0, on_mark, v, &v->mark);
    if (!r)
        r = peers_start(v);
    return r;
}

static void vaultd_end(struct child *c)
{
    struct vaultd *v = vaultd_of(c);
    if (v->verify)
        verifying_end(v);
    if (v->cleaning.clean)
        cleaning_end(v);
    scrubbing_end(v);
    peers_end(v);
    objects_forget(v, WHO_FRONT);
    objects_forget(v, WHO_OPENER);
    sm_timer_free(v->clock);
    sm_timer_free(v->flush);
    sm_timer_free(v->mark);
    store_close(v->store);
    crypto_many_free(v->many);
    free(v->spare_out.p);
    json_decref(v->damaged);
    json_decref(v->last);
    json_decref(v->cleaning.last);
    json_decref(v->cleaning.expire);
}

static const struct child_handler handlers[] = {
    {WHO_FRONT | WHO_SELF, V_PACK_BEGIN, uploads_begin},
    {WHO_FRONT | WHO_SELF, V_PACK_DATA, uploads_data},
    {WHO_FRONT | WHO_SELF, V_PACK_END, uploads_end},
    {WHO_FRONT, V_PACK_ABORT, uploads_abort},
    {WHO_FRONT | WHO_OPENER, V_OBJECTS, objects_ask},
    {WHO_BRAIN, V_STATUS, on_status},
    {WHO_BRAIN, V_CLIENT, query_client},
    {WHO_BRAIN, V_SESSION, query_session},
    {WHO_BRAIN, V_PACK_STATE, query_pack_state},
    {WHO_BRAIN | WHO_SELF, V_HAVE, query_have},
    {WHO_BRAIN | WHO_SELF, V_MANIFEST, query_manifest},
    {WHO_BRAIN, V_GENERATIONS, query_generations},
    {WHO_BRAIN, V_GENERATION, query_generation},
    {WHO_BRAIN, V_CLOSURE, query_closure},
    {WHO_BRAIN, V_GRANT, objects_grant},
    {WHO_BRAIN, V_UNGRANT, objects_ungrant},
    {WHO_BRAIN, V_FREEZE, query_freeze},
    {WHO_BRAIN, V_THAW, query_thaw},
    {WHO_BRAIN, V_POLICY, query_policy},
    {WHO_BRAIN, V_ACCESS, query_access},
    {WHO_BRAIN, V_LOG, query_log},
    {WHO_BRAIN, V_VERIFY, verifying_ask},
    {WHO_BRAIN, V_SCRUB, scrubbing_ask},
    {WHO_BRAIN, V_ANCESTRY, query_ancestry},
    {WHO_BRAIN, V_HEAD, query_head},
    {WHO_BRAIN, V_RETENTION, cleaning_retention},
    {WHO_BRAIN, V_ORDER, cleaning_order},
    {WHO_BRAIN, V_RECIPIENTS, cleaning_recipients},
    {WHO_BRAIN, V_CHANGE, cleaning_change},
    {WHO_BRAIN, V_HOLD, cleaning_hold},
    {WHO_BRAIN, V_CLEAN, cleaning_ask},
    {WHO_BRAIN, V_DATE, cleaning_date},
    {WHO_BRAIN, V_QUOTA, cleaning_set_quota},
    {WHO_BRAIN, V_COPY_LABEL, query_copy_label},
    {WHO_BRAIN, V_CACHE_PUT, keeping_put},
    {WHO_BRAIN, V_CACHE_GET, keeping_get},
    {WHO_BRAIN, V_PEER, peers_ask},
    {WHO_BRAIN, V_PEER_PACK, peers_pack},
    {WHO_BRAIN, V_PEER_FILE, peers_file},
    {WHO_BRAIN, V_PEER_READ, peers_read},
    {WHO_BRAIN, V_PEER_LIST, peers_list},
    {WHO_BRAIN, V_COPY_SEAL, query_copy_seal},
};

int vault_main(struct child *c)
{
    struct vaultd *v = calloc(1, sizeof *v);
    if (!v)
        return 1;
    const struct child_spec spec = {
        .handlers = handlers,
        .handlers_n = sizeof handlers / sizeof handlers[0],
        .start = vaultd_start,
        .gone = vaultd_gone,
        .end = vaultd_end,
    };
    c->state = v;
    int r = child_run(c, &spec);
    free(v);
    return r;
}
