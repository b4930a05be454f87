#include "store_kit.h"
#include "vault/clean/clean.h"

/*
 * Clean-up against a model: whatever happens in between, every acknowledged generation that no record says expired is
 * there to the last object, and nothing is deleted before its time.
 */
#define DAY ((int64_t)86400000)
#define HOUR ((int64_t)3600000)
#define T0 ((int64_t)1767229500)           /* 2026-01-01 10:05 in Japan, a Thursday */

struct world {
    struct kit k;
    int64_t wall, running;                 /* overrides */
    struct crypto_sign_pair orders;
    uint64_t n;                            /* runs so far */
};

static void settle_clock(struct world *w)
{
    plat_clock_override(w->wall, w->running);
}

static void world_init(struct world *w, const char *name)
{
    uint8_t seed[32] = { 42 };
    memset(w, 0, sizeof *w);
    settle_clock(w);
    w->wall = (T0 - plat_clock_wall().s) * 1000;   /* no test hangs on the hour it runs at */
    settle_clock(w);
    kit_init(&w->k, name);
    assert_int_equal(crypto_sign_from_seed(seed, &w->orders), 0);
    assert_int_equal(kit_open(&w->k, 0), 0);
    assert_int_equal(kit_join(&w->k, &w->k.client), 0);
}

static void world_done(struct world *w)
{
    kit_done(&w->k);
    plat_clock_override(0, 0);
}

/* Time passes with the box on. */
static void pass(struct world *w, int64_t ms)
{
    w->wall += ms;
    w->running += ms;
    settle_clock(w);
    (void)!store_clock(w->k.st, "hourly"); /* of a broken store it says so later */
}

/* The box is off: the wall goes on alone. */
static void off(struct world *w, int64_t ms)
{
    kit_close(&w->k);
    w->wall += ms;
    settle_clock(w);
    assert_int_equal(kit_open(&w->k, 0), 0);
}

static void again(struct world *w)
{
    kit_close(&w->k);
    int err = kit_open(&w->k, 0);
    if (err)
        print_message("open: %s (%s)\n", sm_errname(err), w->k.why);
    assert_int_equal(err, 0);
}

/* A tree whose one changing file is `seed`: little of it changes, so nothing looks like an attack. */
static void tree_of(struct kit_tree *t, uint64_t seed)
{
    kit_tree_init(t, 3, 6, 300, 1);
    t->seed[0][0] = 5000 + seed;
}

static int backup(struct world *w, const struct kit_client *c, const struct kit_tree *t, struct store_verdict *ret)
{
    return kit_generation(&w->k, c, t, ++w->n, 0, NULL, ret);
}

static struct cid must_backup(struct world *w, uint64_t seed)
{
    struct kit_tree t;
    struct store_verdict v;
    tree_of(&t, seed);
    assert_int_equal(backup(w, &w->k.client, &t, &v), 0);
    size_t changed;
    if (v.froze)
        assert_int_equal(store_thaw(w->k.st, &w->k.client.id, "test", "test", true), 0);
    assert_int_equal(store_mark(w->k.st, &changed), 0);
    return v.manifest;
}

static struct clean_report clean(struct world *w, bool dry)
{
    struct clean_report r;
    assert_int_equal(clean_run(w->k.st, dry, &r), 0);
    if (getenv("KIT_TELL"))
        print_message("clean: orders %d expired %d condemned %d revived %d deleted %d copied %d half-dead %d blocked %d\n",
            (int)r.orders, (int)r.expired, (int)r.condemned, (int)r.revived, (int)r.deleted, (int)r.copied,
            (int)r.half_dead, (int)r.blocked);
    return r;
}

struct reading { struct store *st; const struct client_id *client; int err; };

static int read_one(void *arg, const struct cid *cid, const struct store_place *place)
{
    struct reading *r = arg;
    struct sm_buf b = { 0 };
    (void)place;
    r->err = store_object(r->st, r->client, cid, &b);
    sm_buf_wipe(&b);
    return r->err;
}

static bool restores(struct world *w, const struct cid *manifest)
{
    struct store_generation g;
    if (store_generation(w->k.st, manifest, &g))
        return false;
    struct reading r = { w->k.st, &g.client, 0 };
    return store_closure(w->k.st, manifest, true, read_one, &r) == 0;
}

static void sound(struct world *w)
{
    struct verify_result r;
    assert_int_equal(kit_verify(&w->k, VERIFY_DATA, &r), 0);
    assert_true(r.sound);
}

static size_t files(struct world *w, const char *ending)
{
    static char names[4096][256];
    return kit_files(w->k.dir, ending, names, 4096);
}

/* Three in one hour: the first takes the slots, the third is the newest, the second only has its lock. */
static struct cid three(struct world *w, struct cid *first, struct cid *last)
{
    *first = must_backup(w, 1);
    pass(w, 60000);
    struct cid middle = must_backup(w, 2);
    pass(w, 60000);
    *last = must_backup(w, 3);
    return middle;
}

static void a_generation_goes_after_its_lock_and_its_packs_days_later(void **state)
{
    struct world w;
    struct cid first, last;
    world_init(&w, "clean-policy");
    struct cid middle = three(&w, &first, &last);
    pass(&w, 13 * DAY);
    struct clean_report r = clean(&w, false);
    assert_int_equal(r.expired, 0);
    assert_int_equal(r.condemned, 0);
    pass(&w, 2 * DAY);
    r = clean(&w, true);
    assert_int_equal(r.expired, 1);         /* dry: it says so, and changes nothing */
    assert_true(r.condemned > 0);
    assert_true(restores(&w, &middle));
    size_t manifests = files(&w, ".skm"), packs = files(&w, ".skp");
    r = clean(&w, false);
    assert_int_equal(r.expired, 1);
    assert_int_equal(r.condemned, 2);       /* what it alone needed: a chunk, two pages */
    assert_int_equal(r.deleted, 0);
    struct store_generation g;
    assert_int_equal(store_generation(w.k.st, &middle, &g), -SM_ENOTFOUND);
    assert_int_equal(files(&w, ".skm"), manifests - 1);
    assert_int_equal(files(&w, ".skp"), packs);
    pass(&w, 2 * DAY);
    assert_int_equal(clean(&w, false).deleted, 0);
    again(&w);
    pass(&w, 2 * DAY);
    r = clean(&w, false);
    assert_int_equal(r.deleted, 2);
    assert_int_equal(files(&w, ".skp"), packs - 2);
    assert_true(restores(&w, &first));
    assert_true(restores(&w, &last));
    sound(&w);
    again(&w);
    assert_int_equal(store_recovered(w.k.st)->packs_missing, 0);
    assert_true(restores(&w, &first));
    assert_int_equal(store_generation(w.k.st, &middle, &g), -SM_ENOTFOUND);
    sound(&w);
    /* The chain goes on, and what was deleted can come again. */
    struct cid back = must_backup(&w, 2);
    assert_true(restores(&w, &back));
    sound(&w);
    world_done(&w);
}

static void a_new_reference_revives_what_was_condemned(void **state)
{
    struct world w;
    struct cid first, last;
    struct kit_tree t;
    world_init(&w, "clean-revive");
    (void)three(&w, &first, &last);
    pass(&w, 15 * DAY);
    assert_int_equal(clean(&w, false).condemned, 2);
    /* A client that has it all in its cache and sends nothing but the manifest. */
    size_t packs = files(&w, ".skp");
    struct cid back = must_backup(&w, 2);
    assert_int_equal(files(&w, ".skp"), packs);
    pass(&w, 5 * DAY);
    struct clean_report r = clean(&w, false);
    assert_int_equal(r.revived, 2);
    assert_int_equal(r.deleted, 0);
    assert_true(restores(&w, &back));
    sound(&w);
    /* And a `have` answer keeps a pack, for a day. */
    pass(&w, 60000);
    (void)must_backup(&w, 6);
    pass(&w, 60000);
    (void)must_backup(&w, 7);
    pass(&w, 60000);
    (void)must_backup(&w, 8);
    pass(&w, 15 * DAY);
    r = clean(&w, false);
    assert_true(r.condemned > 0);
    struct sm_buf b = { 0 };
    tree_of(&t, 7);
    struct cid chunk = kit_chunk(&w.k.client.id, t.seed[0][0], t.bytes, t.algorithm[0][0], &b);
    sm_buf_wipe(&b);
    pass(&w, 4 * DAY);
    assert_int_equal(store_have(w.k.st, &w.k.client.id, &chunk, NULL), 1);
    store_promise(w.k.st, &w.k.client.id, &chunk);
    r = clean(&w, false);
    assert_true(r.revived >= 1);
    assert_int_equal(store_have(w.k.st, &w.k.client.id, &chunk, NULL), 1);
    world_done(&w);
}

static void an_upload_that_is_under_way_loses_nothing(void **state)
{
    struct world w;
    struct kit_tree t;
    struct store_session *s;
    struct store_session_info info;
    struct kit_load l;
    struct sm_buf b = { 0 }, bytes = { 0 };
    struct store_verdict v;
    world_init(&w, "clean-upload");
    tree_of(&t, 1);
    assert_int_equal(kit_session(&w.k, &w.k.client, ++w.n, 0, &s), 0);
    store_session_info(s, &info);
    kit_load_init(&l, &w.k, &w.k.client.id, &info.id);
    struct cid envelope = kit_envelope(&w.k.client.id, 77, &b);
    kit_load_add(&l, &envelope, sm_buf_span(&b));
    struct cid root = kit_tree_load(&t, &w.k.client.id, &envelope, &l);
    assert_int_equal(kit_send_load(&w.k, s, &l), 0);
    /* Ten days go by, with clean-up each, and the manifest comes at last. */
    for (int i = 0; i < 10; i++) {
        pass(&w, DAY);
        assert_int_equal(clean(&w, false).condemned, 0);
    }
    struct kit_manifest m;
    kit_manifest_init(&w.k, &m, &w.k.client, &root, &envelope, w.n);
    kit_manifest_bytes(&m, &bytes);
    assert_int_equal(store_manifest_commit(s, sm_buf_span(&bytes), &v), 0);
    sm_buf_wipe(&v.missing);
    assert_true(restores(&w, &v.manifest));
    /* A session nobody comes back to keeps its packs for thirty days only. */
    struct kit_load l2;
    assert_int_equal(kit_session(&w.k, &w.k.client, ++w.n, 0, &s), 0);
    store_session_info(s, &info);
    kit_load_init(&l2, &w.k, &w.k.client.id, &info.id);
    sm_buf_clear(&b);
    struct cid lone = kit_chunk(&w.k.client.id, 987654, 500, OBJ_ZSTD, &b);
    kit_load_add(&l2, &lone, sm_buf_span(&b));
    assert_int_equal(kit_send_load(&w.k, s, &l2), 0);
    pass(&w, 29 * DAY);
    assert_int_equal(clean(&w, false).condemned, 0);
    pass(&w, 2 * DAY);
    assert_int_equal(clean(&w, false).condemned, 1);
    pass(&w, 4 * DAY);
    assert_int_equal(clean(&w, false).deleted, 1);
    assert_int_equal(store_have(w.k.st, &w.k.client.id, &lone, NULL), 0);
    assert_true(restores(&w, &v.manifest));
    kit_load_wipe(&l);
    kit_load_wipe(&l2);
    sm_buf_wipe(&b);
    sm_buf_wipe(&bytes);
    world_done(&w);
}

static void half_dead_packs_are_copied_out_and_then_go(void **state)
{
    struct world w;
    struct kit_tree t;
    struct store_verdict v;
    size_t changed;
    world_init(&w, "clean-copy");
    kit_tree_init(&t, 4, 8, 3000, 1);
    assert_int_equal(backup(&w, &w.k.client, &t, &v), 0);
    struct cid gone = v.manifest;
    /* Most of it is replaced; a hold keeps the clock of the rest out of the test. */
    for (unsigned d = 0; d < 3; d++)
        for (unsigned f = 0; f < 8; f++)
            t.seed[d][f] = 777000 + d * 100 + f;
    pass(&w, 60000);
    assert_int_equal(backup(&w, &w.k.client, &t, &v), 0);
    assert_int_equal(store_thaw(w.k.st, &w.k.client.id, "test", "test", true), 0);
    struct cid stays = v.manifest;
    assert_int_equal(store_mark(w.k.st, &changed), 0);
    /* The first goes by an order. */
    struct order o = { .kind = ORDER_DELETE, .vault = w.k.vault, .reason = "test", .made = "2026", .manifests = 1 };
    struct sm_buf text = SM_BUF_INIT(ORDER_TEXT_MAX), message = SM_BUF_INIT(ORDER_TEXT_MAX + 100);
    struct store_order_args a = { .by = "院長", .from = "test" };
    struct store_order row;
    char why[160];
    o.manifest[0] = gone;
    assert_int_equal(order_put(&o, &text), 0);
    assert_int_equal(order_message(sm_buf_span(&text), &message), 0);
    a.text = sm_buf_span(&text);
    memcpy(a.key, w.orders.public_key, 32);
    assert_int_equal(crypto_sign(&w.orders, sm_buf_span(&message), a.sig), 0);
    assert_int_equal(store_order_accept(w.k.st, &a, &row, why), 0);
    pass(&w, 7 * DAY + HOUR);
    struct clean_report r = clean(&w, false);
    assert_int_equal(r.orders, 1);
    assert_int_equal(r.copied, 2);          /* chunks, and pages */
    assert_true(restores(&w, &stays));
    sound(&w);
    again(&w);
    assert_true(restores(&w, &stays));
    r = clean(&w, false);
    assert_true(r.condemned >= 1);
    uint64_t before = w.k.st ? 0 : 1;
    struct store_totals totals;
    assert_int_equal(store_totals(w.k.st, &totals), 0);
    before = totals.pack_bytes;
    pass(&w, 4 * DAY);
    r = clean(&w, false);
    assert_true(r.deleted >= 1);
    assert_int_equal(store_totals(w.k.st, &totals), 0);
    assert_true(totals.pack_bytes < before * 2 / 3);
    assert_true(restores(&w, &stays));
    sound(&w);
    again(&w);
    assert_true(restores(&w, &stays));
    sm_buf_wipe(&text);
    sm_buf_wipe(&message);
    world_done(&w);
}

/* ---- orders, holds, the date ---- */

static int give(struct world *w, const struct order *o, const struct crypto_sign_pair *with, struct store_order *ret)
{
    struct sm_buf text = SM_BUF_INIT(ORDER_TEXT_MAX), message = SM_BUF_INIT(ORDER_TEXT_MAX + 100);
    struct store_order_args a = { .by = "院長", .from = "test" };
    char why[160];
    assert_int_equal(order_put(o, &text), 0);
    assert_int_equal(order_message(sm_buf_span(&text), &message), 0);
    a.text = sm_buf_span(&text);
    memcpy(a.key, w->orders.public_key, 32);
    assert_int_equal(crypto_sign(with, sm_buf_span(&message), a.sig), 0);
    int err = store_order_accept(w->k.st, &a, ret, why);
    sm_buf_wipe(&text);
    sm_buf_wipe(&message);
    return err;
}

static struct order delete_order(struct world *w, const struct cid *manifest, uint8_t nonce)
{
    struct order o = { .kind = ORDER_DELETE, .vault = w->k.vault, .reason = "間違えて入れた", .made = "2026-11-22",
        .manifests = 1 };
    o.manifest[0] = *manifest;
    memset(o.nonce, nonce, sizeof o.nonce);
    return o;
}

static void only_the_sheet_deletes_early_after_seven_days_and_anybody_may_stop_it(void **state)
{
    struct world w;
    struct store_order row, row2;
    struct crypto_sign_pair thief;
    uint8_t seed[32] = { 1 };
    world_init(&w, "clean-order");
    struct cid a = must_backup(&w, 1), b = must_backup(&w, 2), c = must_backup(&w, 3);
    struct order o = delete_order(&w, &a, 1);
    assert_int_equal(crypto_sign_from_seed(seed, &thief), 0);
    assert_int_equal(give(&w, &o, &thief, &row), -SM_EAUTH);
    o.vault.b[0] ^= 1;
    assert_int_equal(give(&w, &o, &w.orders, &row), -SM_EMISMATCH);
    o.vault.b[0] ^= 1;
    o.manifest[0].b[0] ^= 1;
    assert_int_equal(give(&w, &o, &w.orders, &row), -SM_ENOTFOUND);
    o.manifest[0].b[0] ^= 1;
    assert_int_equal(give(&w, &o, &w.orders, &row), 0);
    assert_int_equal(give(&w, &o, &w.orders, &row), -SM_EEXISTS);
    struct order o2 = delete_order(&w, &b, 2);
    assert_int_equal(give(&w, &o2, &w.orders, &row2), 0);
    pass(&w, 7 * DAY - HOUR);
    assert_int_equal(clean(&w, false).orders, 0);
    assert_int_equal(store_order_cancel(w.k.st, row2.id, "やめます", "受付", "staff"), 0);
    assert_int_equal(store_order_cancel(w.k.st, row2.id, "again", "x", "staff"), -SM_ESTATE);
    again(&w);
    pass(&w, 2 * HOUR);
    assert_int_equal(clean(&w, false).orders, 1);
    struct store_generation g;
    assert_int_equal(store_generation(w.k.st, &a, &g), -SM_ENOTFOUND);
    assert_true(restores(&w, &b));
    assert_true(restores(&w, &c));
    assert_int_equal(store_order_at(w.k.st, 0)->state, STORE_ORDER_EXECUTED);
    assert_int_equal(store_order_at(w.k.st, 0)->done, 1);
    assert_int_equal(store_order_at(w.k.st, 1)->state, STORE_ORDER_CANCELLED);
    assert_int_equal(give(&w, &o, &w.orders, &row), -SM_EEXISTS);   /* also long after it was executed */
    sound(&w);
    world_done(&w);
}

static void a_hold_or_a_freeze_stops_an_order(void **state)
{
    struct world w;
    struct store_order row;
    struct store_hold h = { .scope = STORE_SCOPE_MANIFEST, .reason = "訴訟", .by = "院長" };
    uint8_t id[16];
    world_init(&w, "clean-hold");
    struct cid a = must_backup(&w, 1), b = must_backup(&w, 2), c = must_backup(&w, 3);
    (void)c;
    memcpy(h.what, a.b, 32);
    assert_int_equal(store_hold_put(w.k.st, &h, "director", id), 0);
    struct order o = delete_order(&w, &a, 1), o2 = delete_order(&w, &b, 2);
    assert_int_equal(give(&w, &o, &w.orders, &row), 0);
    pass(&w, 8 * DAY);
    (void)clean(&w, false);
    assert_true(restores(&w, &a));
    assert_int_equal(store_order_at(w.k.st, 0)->kept, 1);
    assert_int_equal(store_hold_release(w.k.st, id, "済んだ", "院長", "director"), 0);
    assert_int_equal(store_holds(w.k.st), 0);
    assert_int_equal(store_freeze(w.k.st, &w.k.client.id, "test", "test"), 0);
    assert_int_equal(give(&w, &o2, &w.orders, &row), 0);
    pass(&w, 8 * DAY);
    (void)clean(&w, false);
    assert_true(restores(&w, &b));
    /* By source and by client too; a hold outlives every policy. */
    h.scope = STORE_SCOPE_CLIENT;
    memset(h.what, 0, sizeof h.what);
    memcpy(h.what, w.k.client.id.b, 16);
    assert_int_equal(store_hold_put(w.k.st, &h, "director", id), 0);
    assert_int_equal(store_thaw(w.k.st, &w.k.client.id, "test", "test", true), 0);
    pass(&w, 300 * DAY);
    again(&w);
    assert_int_equal(store_holds(w.k.st), 1);
    assert_string_equal(store_hold_at(w.k.st, 0)->reason, "訴訟");
    assert_int_equal(clean(&w, false).expired, 0);
    assert_true(restores(&w, &b));
    h.what[0] ^= 1;
    assert_int_equal(store_hold_put(w.k.st, &h, "director", id), -SM_ENOTFOUND);
    world_done(&w);
}

static void a_shorter_policy_needs_an_order_and_a_longer_one_does_not(void **state)
{
    struct world w;
    struct store_order row;
    struct retention_policy p = RETENTION_DEFAULT, q;
    world_init(&w, "clean-shorter");
    p.daily = 1;
    assert_int_equal(store_policy_set(w.k.st, &p, "brain"), -SM_EDENIED);
    struct order o = { .kind = ORDER_POLICY, .vault = w.k.vault, .reason = "x", .made = "x", .policy = p };
    assert_int_equal(give(&w, &o, &w.orders, &row), 0);
    pass(&w, 8 * DAY);
    assert_int_equal(clean(&w, false).orders, 1);
    store_policy(w.k.st, &q);
    assert_int_equal(q.daily, 1);
    p.daily = 2;
    assert_int_equal(store_policy_set(w.k.st, &p, "brain"), 0);
    p.min_days = RETENTION_DAYS_MAX + 1;
    assert_int_equal(store_policy_set(w.k.st, &p, "brain"), -SM_EINVAL);
    world_done(&w);
}

static void whatever_the_clock_does_no_lock_opens(void **state)
{
    struct world w;
    struct cid first, last;
    struct store_date d;
    uint64_t gained;
    world_init(&w, "clean-clock");
    struct cid middle = three(&w, &first, &last);
    /* Ten years ahead, back again, and ten years back. */
    off(&w, 3650 * DAY);
    assert_int_equal(clean(&w, false).expired, 0);
    off(&w, -7300 * DAY);
    assert_int_equal(clean(&w, false).expired, 0);
    off(&w, 3650 * DAY);
    /* 23 hours ahead, thirty times, and each time somebody says that the date is right. */
    for (int i = 0; i < 30; i++) {
        off(&w, 23 * HOUR);
        assert_int_equal(store_date_confirm(w.k.st, "受付", "staff", &gained), 0);
        assert_int_equal(clean(&w, false).expired, 0);
    }
    store_date(w.k.st, &d);
    assert_true(d.gained_ms <= (uint64_t)DAY);
    assert_true(d.gap_ms > 27 * DAY && d.gap_ms < 30 * DAY);
    /* Off for a month, and confirmed. */
    off(&w, 31 * DAY);
    store_date(w.k.st, &d);
    assert_true(d.ask);
    assert_int_equal(store_date_confirm(w.k.st, "受付", "staff", &gained), 0);
    assert_int_equal(gained, 0);
    store_date(w.k.st, &d);
    assert_false(d.ask);
    assert_int_equal(clean(&w, false).expired, 0);
    assert_true(restores(&w, &middle));
    again(&w);
    store_date(w.k.st, &d);
    assert_true(d.gained_ms > (uint64_t)DAY - 60000 && d.gained_ms <= (uint64_t)DAY);
    /* The rest of the time takes the sheet, and its seven days of a box that is on. */
    struct store_order row;
    struct order o = { .kind = ORDER_DATE, .vault = w.k.vault, .reason = "x", .made = "x", .credit_ms = 20 * DAY };
    assert_int_equal(give(&w, &o, &w.orders, &row), 0);
    off(&w, 100 * DAY);
    assert_int_equal(clean(&w, false).orders, 0);
    pass(&w, 7 * DAY + HOUR);
    assert_int_equal(clean(&w, false).orders, 1);
    assert_int_equal(clean(&w, false).expired, 0);    /* expired in the run before, right after the order */
    struct store_generation g;
    assert_int_equal(store_generation(w.k.st, &middle, &g), -SM_ENOTFOUND);
    assert_true(restores(&w, &first));
    world_done(&w);
}

static void a_quota_refuses_and_says_so_and_goes_away_again(void **state)
{
    struct world w;
    struct kit_tree t;
    struct store_verdict v;
    world_init(&w, "clean-quota");
    (void)must_backup(&w, 1);
    assert_int_equal(store_quota_set(w.k.st, &w.k.client.id, 1000, "院長"), 0);
    again(&w);
    assert_int_equal(store_quota(w.k.st, &w.k.client.id), 1000);
    kit_tree_init(&t, 3, 6, 300, 99);
    assert_int_equal(backup(&w, &w.k.client, &t, &v), -SM_ELIMIT);
    assert_false(store_is_broken(w.k.st));
    assert_int_equal(store_quota_set(w.k.st, &w.k.client.id, 0, "院長"), 0);
    assert_int_equal(backup(&w, &w.k.client, &t, &v), 0);
    world_done(&w);
}

/* ---- damage ---- */

static void what_vanishes_without_a_record_is_damage_and_blocks_its_client(void **state)
{
    struct world w;
    struct cid first, last;
    struct kit_client other;
    struct verify_result r;
    world_init(&w, "clean-damage");
    (void)three(&w, &first, &last);
    kit_client_make(&other, 9);
    assert_int_equal(kit_join(&w.k, &other), 0);
    struct kit_tree t;
    struct store_verdict v;
    for (unsigned i = 0; i < 3; i++) {
        tree_of(&t, 30 + i);
        assert_int_equal(backup(&w, &other, &t, &v), 0);
        pass(&w, 60000);
    }
    assert_int_equal(store_thaw(w.k.st, &other.id, "test", "test", true), 0);
    pass(&w, 15 * DAY);
    (void)clean(&w, false);
    pass(&w, 4 * DAY);
    assert_true(clean(&w, false).deleted >= 2);
    sound(&w);
    /* The packs with the pages of the first client's oldest generation are taken away. */
    kit_close(&w.k);
    char names[64][256];
    size_t n = kit_files(w.k.dir, ".skp", names, 64), removed = 0;
    for (size_t i = 0; i < n; i++) {
        struct sm_buf b = { 0 };
        struct pack_header h;
        assert_int_equal(plat_fs_read_file(AT_FDCWD, names[i], 1 << 20, &b), 0);
        if (pack_header_parse(sm_buf_span(&b), &h) == 0 && h.kind == PACK_META &&
            client_id_eq(&h.client, &w.k.client.id)) {
            assert_int_equal(unlink(names[i]), 0);
            removed++;
        }
        sm_buf_wipe(&b);
    }
    assert_true(removed > 0);
    assert_int_equal(kit_open(&w.k, 0), 0);
    assert_int_equal(store_recovered(w.k.st)->packs_missing, removed);
    assert_int_equal(kit_verify(&w.k, VERIFY_DATA, &r), 0);
    assert_false(r.sound);
    size_t packs = files(&w, ".skp");
    pass(&w, 30 * DAY);
    struct clean_report c = clean(&w, false);
    assert_int_equal(c.blocked, 1);
    pass(&w, 4 * DAY);
    (void)clean(&w, false);
    /* Of the damaged client not one more file went. */
    size_t left = 0;
    n = kit_files(w.k.dir, ".skp", names, 64);
    for (size_t i = 0; i < n; i++) {
        struct sm_buf b = { 0 };
        struct pack_header h;
        assert_int_equal(plat_fs_read_file(AT_FDCWD, names[i], 1 << 20, &b), 0);
        left += pack_header_parse(sm_buf_span(&b), &h) == 0 && client_id_eq(&h.client, &w.k.client.id);
        sm_buf_wipe(&b);
    }
    assert_true(left > 0);
    assert_true(n <= packs);
    world_done(&w);
}

/* ---- histories ---- */

#define ACKS_MAX 64
struct history { struct world w; struct cid ack[ACKS_MAX]; size_t acks; uint64_t seed; unsigned crashes, cleans, deleted,
    revived, expired, copied; };

static bool expired_on_record(struct history *h, const struct cid *manifest);

static int find_expired(void *arg, const struct journal_record *r)
{
    char hex[CID_HEX];
    cid_hex(arg, hex);
    return memmem(r->payload.p, r->payload.n, hex, 64) ? 1 : 0;
}

static bool expired_on_record(struct history *h, const struct cid *manifest)
{
    return store_log(h->w.k.st, 0, 1u << JOURNAL_EXPIRED, 100000, find_expired, (void *)(uintptr_t)manifest) == 1;
}

static void everything_acknowledged_restores(struct history *h)
{
    for (size_t i = 0; i < h->acks; i++) {
        bool there = restores(&h->w, &h->ack[i]), gone = expired_on_record(h, &h->ack[i]);
        if (there == gone)
            print_message("seed %llu: generation %zu there %d expired %d\n", (unsigned long long)h->seed, i, there, gone);
        assert_true(there != gone);
    }
}

/* Any error may be a fault that was injected: the store is opened anew, as the parent does. */
static void mend(struct history *h)
{
    h->crashes += plat_fault_fired();
    plat_fault_clear();
    again(&h->w);
}

static uint64_t roll(uint64_t *seed, uint64_t n)
{
    return kit_random(seed) % n;
}

static int some_backup(struct history *h, uint64_t *seed)
{
    struct kit_tree t;
    struct store_verdict v = { 0 };
    kit_tree_init(&t, 2, 4, 200, 1);
    /* Few values a file: shared, omitted and revived all the time. */
    for (unsigned i = 0; i < 3; i++) {
        unsigned d = (unsigned)roll(seed, 2), f = (unsigned)roll(seed, 4);
        t.seed[d][f] = roll(seed, 4) == 0 ? 0 : 9000 + d * 10 + f + 100 * roll(seed, 3);
    }
    int err = kit_generation(&h->w.k, &h->w.k.client, &t, ++h->w.n, roll(seed, 6) == 0 ? RUN_ADHOC : 0, NULL, &v);
    if (!err && h->acks < ACKS_MAX)
        h->ack[h->acks++] = v.manifest;
    return err;
}

/* A client whose cache says that all of it is there: only the manifest comes. */
static int bold_backup(struct history *h, uint64_t *seed)
{
    struct kit_tree t;
    struct store_session *s = NULL;
    struct kit_load none;
    struct sm_buf b = { 0 }, bytes = { 0 };
    struct store_verdict v = { 0 };
    struct store_session_info info;
    kit_tree_init(&t, 2, 4, 200, 1);
    unsigned d = (unsigned)roll(seed, 2), f = (unsigned)roll(seed, 4);
    t.seed[d][f] = 9000 + d * 10 + f + 100 * roll(seed, 3);
    int err = kit_session(&h->w.k, &h->w.k.client, ++h->w.n, 0, &s);
    if (err)
        return err;
    store_session_info(s, &info);
    kit_load_init(&none, &h->w.k, &h->w.k.client.id, &info.id);
    struct cid envelope = kit_envelope(&h->w.k.client.id, 77, &b);
    struct cid root = kit_tree_load(&t, &h->w.k.client.id, &envelope, &none);
    struct kit_manifest m;
    kit_manifest_init(&h->w.k, &m, &h->w.k.client, &root, &envelope, h->w.n);
    kit_manifest_bytes(&m, &bytes);
    err = store_manifest_commit(s, sm_buf_span(&bytes), &v);
    if (!err && h->acks < ACKS_MAX)
        h->ack[h->acks++] = v.manifest;
    if (err == -SM_EMISSING)
        err = 0;                            /* it would now send what is missing */
    sm_buf_wipe(&v.missing);
    sm_buf_wipe(&b);
    sm_buf_wipe(&bytes);
    kit_load_wipe(&none);
    return err;
}

static int some_clean(struct history *h, uint64_t *seed)
{
    struct clean *c = NULL;
    struct clean_report r = { 0 };
    size_t changed;
    int err = store_mark(h->w.k.st, &changed);
    if (!err)
        err = clean_new(h->w.k.st, false, NULL, &c);
    for (int more = 1; !err && more > 0;) {
        more = clean_step(c);
        err = more < 0 ? more : 0;
        if (!err && roll(seed, 3) == 0)
            err = roll(seed, 2) ? some_backup(h, seed) : bold_backup(h, seed);
        if (roll(seed, 40) == 0)
            break;                          /* the run is cut short */
    }
    if (c)
        clean_report(c, &r);
    h->cleans++;
    h->deleted += (unsigned)r.deleted;
    h->revived += (unsigned)r.revived;
    h->expired += (unsigned)r.expired;
    h->copied += (unsigned)r.copied;
    clean_free(c);
    return err;
}

static int some_thing(struct history *h, uint64_t *seed)
{
    switch (roll(seed, 8)) {
    case 0: case 1: case 2: return some_backup(h, seed);
    case 3: return bold_backup(h, seed);
    case 4: case 5: return some_clean(h, seed);
    case 6: return store_thaw(h->w.k.st, &h->w.k.client.id, "test", "test", roll(seed, 3) != 0);
    default: return 0;
    }
}

static void play(struct history *h)
{
    uint64_t seed = h->seed;
    struct retention_policy p = RETENTION_DEFAULT;
    /* As an order would have set it: most of what is made goes soon. */
    struct order o = { .kind = ORDER_POLICY, .vault = h->w.k.vault, .reason = "x", .made = "x",
        .policy = { 1, (uint32_t)roll(&seed, 2), 0, 0, 1 + (uint32_t)roll(&seed, 2) } };
    struct store_order row;
    (void)p;
    assert_int_equal(give(&h->w, &o, &h->w.orders, &row), 0);
    pass(&h->w, 7 * DAY + HOUR);
    (void)clean(&h->w, false);
    for (unsigned i = 0; i < 14; i++) {
        if (roll(&seed, 3) == 0)
            plat_fault_set(PLAT_OP_FILES | (roll(&seed, 2) ? PLAT_FAULT_STICKY : 0), 1 + roll(&seed, 60),
                roll(&seed, 2) ? EIO : ENOSPC);
        int err = some_thing(h, &seed);
        if (err || plat_fault_fired())
            mend(h);
        plat_fault_clear();
        pass(&h->w, (int64_t)roll(&seed, 4 * 24) * HOUR);
        if (roll(&seed, 5) == 0)
            again(&h->w);
    }
    (void)clean(&h->w, false);
    everything_acknowledged_restores(h);
    sound(&h->w);
    again(&h->w);
    everything_acknowledged_restores(h);
}

static void random_histories_lose_nothing_that_was_acknowledged(void **state)
{
    const char *only = getenv("HISTORY");
    unsigned n = getenv("HISTORIES") ? (unsigned)strtoul(getenv("HISTORIES"), NULL, 10) : kit_long() ? 1000 : 200;
    unsigned acks = 0, crashes = 0, deleted = 0, revived = 0, expired = 0, copied = 0;
    for (unsigned i = 0; i < n; i++) {
        struct history h = { .seed = only ? strtoull(only, NULL, 10) : i + 1 };
        world_init(&h.w, "history");
        play(&h);
        acks += (unsigned)h.acks;
        crashes += h.crashes;
        deleted += h.deleted;
        revived += h.revived;
        expired += h.expired;
        copied += h.copied;
        world_done(&h.w);
        if (only)
            break;
    }
    print_message("%u histories: %u generations acknowledged, %u expired, %u packs deleted, %u revived, %u copied out, "
        "%u faults\n", n, acks, expired, deleted, revived, copied, crashes);
    assert_true(only || (acks > 3 * n && expired > n && deleted > n / 3 && revived > n / 50 && copied > n / 3 &&
        crashes > n));
}

/* ---- every write of a clean-up fails, or is the last one ---- */

/* A vault in which the next clean-up executes an order, expires, condemns, deletes and copies out. */
static void prepare(struct world *w, struct cid keep[3])
{
    struct kit_tree t;
    struct store_verdict v;
    struct store_order row;
    struct order o = { .kind = ORDER_POLICY, .vault = w->k.vault, .reason = "x", .made = "x", .policy = { 1, 1, 0, 0, 1 } };
    assert_int_equal(give(w, &o, &w->orders, &row), 0);
    pass(w, 8 * DAY);
    (void)clean(w, false);
    kit_tree_init(&t, 2, 6, 2000, 1);
    assert_int_equal(backup(w, &w->k.client, &t, &v), 0);
    pass(w, 3 * DAY);
    for (unsigned f = 0; f < 6; f++)
        t.seed[0][f] = 7000 + f;
    for (unsigned f = 0; f < 3; f++)
        t.seed[1][f] = 7100 + f;
    assert_int_equal(backup(w, &w->k.client, &t, &v), 0);
    assert_int_equal(store_thaw(w->k.st, &w->k.client.id, "test", "test", true), 0);
    keep[0] = v.manifest;
    pass(w, 40 * DAY);
    (void)clean(w, false);
    (void)clean(w, false);
    t.seed[1][5] = 7105;
    assert_int_equal(backup(w, &w->k.client, &t, &v), 0);
    struct cid dropped = v.manifest;
    pass(w, 60000);
    t.seed[1][5] = 7106;
    assert_int_equal(backup(w, &w->k.client, &t, &v), 0);
    assert_int_equal(store_thaw(w->k.st, &w->k.client.id, "test", "test", true), 0);
    keep[1] = v.manifest;
    struct order d = delete_order(w, &dropped, 77);
    assert_int_equal(give(w, &d, &w->orders, &row), 0);
    keep[2] = dropped;
    pass(w, 8 * DAY);
    kit_close(&w->k);
}

static void check_after(struct world *w, const struct cid keep[3])
{
    struct store_generation g;
    assert_int_equal(kit_open(&w->k, 0), 0);
    assert_int_equal(store_recovered(w->k.st)->packs_missing, 0);
    sound(w);
    assert_true(restores(w, &keep[1]));
    bool dropped = store_generation(w->k.st, &keep[2], &g) == -SM_ENOTFOUND;
    assert_true(dropped || restores(w, &keep[2]));
    /* And it goes on from there to the same end. */
    (void)clean(w, false);
    assert_int_equal(store_generation(w->k.st, &keep[2], &g), -SM_ENOTFOUND);
    assert_true(restores(w, &keep[1]));
    sound(w);
    kit_close(&w->k);
}

static void the_k_th_write_of_a_clean_up_fails_for_every_k(void **state)
{
    struct world w;
    struct cid keep[3];
    char template[160];
    struct clean_report r;
    unsigned total = 0;
    world_init(&w, "clean-faults");
    prepare(&w, keep);
    (void)snprintf(template, sizeof template, "%s/template", w.k.base);
    kit_copy_tree(w.k.dir, template);
    for (unsigned sticky = 0; sticky < 2; sticky++)
        for (uint64_t at = 1;; at++, total++) {
            kit_remove(w.k.dir);
            kit_copy_tree(template, w.k.dir);
            assert_int_equal(kit_open(&w.k, 0), 0);
            plat_fault_set(PLAT_OP_FILES | (sticky ? PLAT_FAULT_STICKY : 0), at, sticky ? ENOSPC : EIO);
            int err = clean_run(w.k.st, false, &r);
            bool fired = plat_fault_fired();
            plat_fault_clear();
            kit_close(&w.k);
            if (!fired) {
                assert_int_equal(err, 0);
                assert_true(r.orders == 1 && r.deleted > 0);
                break;
            }
            check_after(&w, keep);
        }
    print_message("%u faults\n", total);
    world_done(&w);
}

static void the_power_goes_after_every_write_of_a_clean_up(void **state)
{
    static const enum plat_replay how[] = { PLAT_REPLAY_ALL, PLAT_REPLAY_TORN, PLAT_REPLAY_SYNCED, PLAT_REPLAY_NAMES,
        PLAT_REPLAY_DATA };
    struct world w, after;
    struct cid keep[3];
    struct clean_report r;
    unsigned total = 0;
    world_init(&w, "clean-power");
    prepare(&w, keep);
    assert_int_equal(plat_record_start(w.k.dir), 0);
    assert_int_equal(kit_open(&w.k, 0), 0);
    assert_int_equal(clean_run(w.k.st, false, &r), 0);
    assert_true(r.orders == 1 && r.deleted > 0);
    kit_close(&w.k);
    plat_record_stop();
    size_t n = plat_record_count();
    after = w;
    (void)snprintf(after.k.dir, sizeof after.k.dir, "%.90s/after", w.k.base);
    for (size_t cut = 0; cut <= n; cut++)
        for (size_t h = 0; h < 5; h++, total++) {
            assert_int_equal(plat_record_replay(after.k.dir, cut, how[h]), 0);
            check_after(&after, keep);
            kit_remove(after.k.dir);
        }
    print_message("%zu operations, %u ways to lose power\n", n, total);
    plat_record_free();
    world_done(&w);
}

/* ---- a client, or brain, that wants something gone ---- */

static void no_client_can_make_anything_go(void **state)
{
    struct world w;
    struct cid first, last;
    struct kit_tree t;
    struct store_verdict v;
    world_init(&w, "clean-hostile");
    struct cid middle = three(&w, &first, &last);
    size_t manifests = files(&w, ".skm");
    for (unsigned i = 0; i < 60; i++) {
        /* A flood of empty, encrypted and huge generations, scheduled, ad hoc and made up, with the clock running. */
        kit_tree_init(&t, 1 + i % 4, 1 + i % 5, 100 + 10 * i, 1000 + i);
        (void)kit_generation(&w.k, &w.k.client, &t, ++w.n, (uint8_t)(1 + i % 3), NULL, &v);
        w.wall += i % 7 ? HOUR : 40 * DAY;
        pass(&w, HOUR);
        struct clean_report r = clean(&w, false);
        assert_int_equal(r.deleted, 0);
        assert_true(restores(&w, &first));
        assert_true(restores(&w, &middle));
        assert_true(restores(&w, &last));
    }
    assert_true(files(&w, ".skm") >= manifests);
    struct retention_policy p = { 0, 0, 0, 0, 1 };
    assert_int_equal(store_policy_set(w.k.st, &p, "brain"), -SM_EDENIED);
    sound(&w);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_generation_goes_after_its_lock_and_its_packs_days_later),
        cmocka_unit_test(a_new_reference_revives_what_was_condemned),
        cmocka_unit_test(an_upload_that_is_under_way_loses_nothing),
        cmocka_unit_test(half_dead_packs_are_copied_out_and_then_go),
        cmocka_unit_test(only_the_sheet_deletes_early_after_seven_days_and_anybody_may_stop_it),
        cmocka_unit_test(a_hold_or_a_freeze_stops_an_order),
        cmocka_unit_test(a_shorter_policy_needs_an_order_and_a_longer_one_does_not),
        cmocka_unit_test(whatever_the_clock_does_no_lock_opens),
        cmocka_unit_test(a_quota_refuses_and_says_so_and_goes_away_again),
        cmocka_unit_test(what_vanishes_without_a_record_is_damage_and_blocks_its_client),
        cmocka_unit_test(no_client_can_make_anything_go),
        cmocka_unit_test(the_k_th_write_of_a_clean_up_fails_for_every_k),
        cmocka_unit_test(the_power_goes_after_every_write_of_a_clean_up),
        cmocka_unit_test(random_histories_lose_nothing_that_was_acknowledged),
    };
    return cmocka_run_group_tests_name("clean", tests, NULL, NULL);
}
