#include "store_kit.h"

/* A hijacked client with a valid certificate, at the level of the library: everything it can say wrongly is refused
   and recorded,
 * and the generations of before are what they were. */

struct scene { struct kit k; struct kit_client other; struct kit_tree t; struct cid good, others_root, envelope,
    root; struct sm_buf others_chunk; struct cid others_cid;
    uint64_t refused; uint8_t before[32]; };

static int count_refused(void *arg, const struct journal_record *r)
{
    *(uint64_t *)arg += r->type == JOURNAL_REFUSED;
    return 0;
}

static uint64_t refusals(struct scene *s)
{
    uint64_t n = 0;
    assert_int_equal(store_log(s->k.st, 0, 1u << JOURNAL_REFUSED, 100000, count_refused, &n), 0);
    return n;
}

static void set(struct scene *s, const char *name)
{
    struct store_verdict v;
    memset(s, 0, sizeof *s);
    kit_init(&s->k, name);
    kit_client_make(&s->other, 2);
    kit_tree_init(&s->t, 3, 8, 400, 1);
    s->k.limits.refusals_per_hour = 100000;
    assert_int_equal(kit_open(&s->k, 0), 0);
    assert_int_equal(kit_join(&s->k, &s->k.client), 0);
    assert_int_equal(kit_join(&s->k, &s->other), 0);
    assert_int_equal(kit_generation(&s->k, &s->k.client, &s->t, 1, 0, NULL, &v), 0);
    s->good = v.manifest;
    struct kit_tree t;
    kit_tree_init(&t, 1, 1, 400, 50);
    assert_int_equal(kit_generation(&s->k, &s->other, &t, 1, 0, NULL, &v), 0);
    s->others_cid = kit_chunk(&s->other.id, t.seed[0][0], t.bytes, OBJ_ZSTD, &s->others_chunk);
    s->refused = refusals(s);
}

/* One more refusal than before, and the first generation is as it was. */
static void refused(struct scene *s, uint64_t n)
{
    struct verify_result r;
    struct store_generation g;
    assert_int_equal(refusals(s), s->refused + n);
    s->refused += n;
    assert_false(store_is_broken(s->k.st));
    assert_int_equal(store_generation(s->k.st, &s->good, &g), 0);
    assert_int_equal(kit_verify(&s->k, VERIFY_DATA, &r), 0);
    assert_true(r.sound);
}

static void done(struct scene *s)
{
    sm_buf_wipe(&s->others_chunk);
    kit_done(&s->k);
}

/* A whole pack in memory that the client may spoil. */
static struct sm_buf pack_bytes(struct scene *s, const struct client_id *c, const struct session_id *session,
    uint64_t seed, struct cid *ret_id)
{
    struct kit_load l;
    struct sm_buf b = { 0 }, out = { 0 };
    uint64_t bytes;
    kit_load_init(&l, &s->k, c, session);
    for (uint64_t i = 0; i < 5; i++) {
        sm_buf_clear(&b);
        struct cid cid = kit_chunk(c, seed + i, 600, OBJ_ZSTD, &b);
        kit_load_add(&l, &cid, sm_buf_span(&b));
    }
    assert_int_equal(pack_finish(l.data, ret_id, &bytes), 0);
    assert_int_equal(sm_buf_reserve(&out, bytes), 0);
    out.n = pack_copy(l.data, 0, out.p, bytes);
    kit_load_wipe(&l);
    sm_buf_wipe(&b);
    return out;
}

static int push(struct store_session *s, const struct cid *id, struct sm_span bytes)
{
    uint64_t have;
    bool duplicate;
    int err = store_pack_begin(s, id, bytes.n, &have);
    for (uint64_t at = have; !err && at < bytes.n; at += 700)
        err = store_pack_data(s, id, at, SM_SPAN(bytes.p + at, bytes.n - at < 700 ? bytes.n - at : 700));
    return err ? err : store_pack_end(s, id, &duplicate);
}

static struct store_session *session(struct scene *s, uint64_t run, struct session_id *ret)
{
    struct store_session *x;
    struct store_session_info info;
    assert_int_equal(kit_session(&s->k, &s->k.client, run, 0, &x), 0);
    store_session_info(x, &info);
    *ret = info.id;
    return x;
}

static void a_pack_that_lies_is_refused(void **state)
{
    struct scene s;
    struct session_id id;
    struct cid pack, wrong;
    set(&s, "lie");
    struct store_session *x = session(&s, 2, &id);
    struct sm_buf b = pack_bytes(&s, &s.k.client.id, &id, 900, &pack);
    unsigned n = 0;
    for (size_t at = 0; at < b.n; at += kit_long() ? 1 : 29, n++) {       /* any byte changed */
        b.p[at] ^= 0x10;
        assert_true(push(x, &pack, sm_buf_span(&b)) < 0);
        b.p[at] ^= 0x10;
    }
    refused(&s, n);
    wrong = pack;
    wrong.b[5] ^= 1;
    assert_true(push(x, &wrong, sm_buf_span(&b)) < 0);                    /* a wrong name */
    refused(&s, 1);
    assert_true(push(x, &pack, SM_SPAN(b.p, b.n - 1)) < 0);               /* truncated */
    refused(&s, 1);
    assert_int_equal(sm_buf_put(&b, "x", 1), 0);
    assert_true(push(x, &pack, sm_buf_span(&b)) < 0);                     /* one byte more */
    b.n--;
    refused(&s, 1);
    for (size_t i = 0; i < 40; i++) {                                     /* two objects' entries exchanged */
        uint8_t t = b.p[80 + i];
        b.p[80 + i] = b.p[120 + i];
        b.p[120 + i] = t;
    }
    assert_true(push(x, &pack, sm_buf_span(&b)) < 0);
    refused(&s, 1);
    char parts[1][256];
    assert_int_equal(kit_files(s.k.dir, ".part", parts, 1), 0);           /* nothing of it is kept */
    sm_buf_wipe(&b);
    print_message("%u spoiled packs\n", n + 4);
    done(&s);
}

static void a_pack_of_another_client_session_or_vault_is_refused(void **state)
{
    struct scene s;
    struct session_id id, foreign = { { 5 } };
    struct cid pack;
    set(&s, "foreign");
    struct store_session *x = session(&s, 2, &id);
    struct sm_buf b = pack_bytes(&s, &s.other.id, &id, 900, &pack);
    assert_int_equal(push(x, &pack, sm_buf_span(&b)), -SM_EDENIED);
    sm_buf_wipe(&b);
    b = pack_bytes(&s, &s.k.client.id, &foreign, 900, &pack);
    assert_int_equal(push(x, &pack, sm_buf_span(&b)), -SM_EDENIED);
    sm_buf_wipe(&b);
    struct vault_id mine = s.k.vault;
    s.k.vault.b[0] ^= 1;
    b = pack_bytes(&s, &s.k.client.id, &id, 900, &pack);
    s.k.vault = mine;
    assert_int_equal(push(x, &pack, sm_buf_span(&b)), -SM_EDENIED);
    refused(&s, 3);
    sm_buf_wipe(&b);
    /* Another client asks for this session. */
    struct store_session_args a = { .client = s.other.id, .source = s.other.source, .run = kit_run(2),
        .run_kind = RUN_SCHEDULED, .resume = &id };
    assert_int_equal(store_session_open(s.k.st, &a, &x), -SM_EDENIED);
    refused(&s, 1);
    done(&s);
}

static void nothing_can_be_overwritten(void **state)
{
    struct scene s;
    struct session_id id;
    struct cid pack;
    uint64_t have;
    bool duplicate;
    set(&s, "overwrite");
    struct store_session *x = session(&s, 2, &id);
    struct sm_buf b = pack_bytes(&s, &s.k.client.id, &id, 900, &pack);
    assert_int_equal(push(x, &pack, sm_buf_span(&b)), 0);
    assert_int_equal(store_flush(s.k.st, NULL), 0);
    char files[16][256];
    size_t n = kit_files(s.k.dir, ".skp", files, 16);
    assert_int_equal(store_pack_begin(x, &pack, b.n, &have), 0);
    assert_int_equal(have, b.n);
    assert_int_equal(store_pack_data(x, &pack, 0, SM_SPAN_STR("other bytes")), -SM_ENOTFOUND);
    assert_int_equal(store_pack_end(x, &pack, &duplicate), 0);
    assert_true(duplicate);
    assert_int_equal(kit_files(s.k.dir, ".skp", files, 16), n);
    refused(&s, 0);
    sm_buf_wipe(&b);
    done(&s);
}

static void anothers_objects_are_as_good_as_not_there(void **state)
{
    struct scene s;
    struct sm_buf b = { 0 };
    set(&s, "read");
    assert_int_equal(store_have(s.k.st, &s.other.id, &s.others_cid, NULL), 1);
    assert_int_equal(store_have(s.k.st, &s.k.client.id, &s.others_cid, NULL), 0);
    assert_int_equal(store_object(s.k.st, &s.k.client.id, &s.others_cid, &b), -SM_ENOTFOUND);
    assert_int_equal(b.n, 0);
    done(&s);
}

struct trial { struct store_session *x; struct session_id id; struct kit_manifest m; };

static void trial(struct scene *s, struct trial *t, uint64_t run)
{
    struct kit_load l;
    struct sm_buf b = { 0 };
    t->x = session(s, run, &t->id);
    kit_load_init(&l, &s->k, &s->k.client.id, &t->id);
    s->envelope = kit_envelope(&s->k.client.id, 77, &b);
    kit_load_add(&l, &s->envelope, sm_buf_span(&b));
    s->root = kit_tree_load(&s->t, &s->k.client.id, &s->envelope, &l);
    kit_manifest_init(&s->k, &t->m, &s->k.client, &s->root, &s->envelope, run);
    kit_load_wipe(&l);
    sm_buf_wipe(&b);
}

static int commit(struct trial *t, const struct kit_client *signer, enum store_refusal *ret)
{
    struct sm_buf b = { 0 };
    struct store_verdict v;
    t->m.c = signer;
    kit_manifest_bytes(&t->m, &b);
    int err = store_manifest_commit(t->x, sm_buf_span(&b), &v);
    *ret = v.refusal;
    sm_buf_wipe(&v.missing);
    sm_buf_wipe(&b);
    return err;
}

static void a_manifest_that_lies_is_refused(void **state)
{
    struct scene s;
    struct trial t;
    enum store_refusal r;
    set(&s, "manifest");
    trial(&s, &t, 2);
    struct manifest good = t.m.m;
#define TRY(change, error, refusal) do { t.m.m = good; change; assert_int_equal(commit(&t, &s.k.client, &r), error); \
        assert_int_equal(r, refusal); refused(&s, 1); } while (0)
    assert_int_equal(commit(&t, &s.other, &r), -SM_EAUTH);                /* another device's signature */
    assert_int_equal(r, STORE_SIGNATURE);
    refused(&s, 1);
    TRY(t.m.m.client = s.other.id, -SM_EDENIED, STORE_FOREIGN);
    TRY(t.m.m.vault.b[3] ^= 1, -SM_EDENIED, STORE_FOREIGN);
    TRY(t.m.m.source.b[3] ^= 1, -SM_EDENIED, STORE_FOREIGN);
    TRY(t.m.m.run_id.b[3] ^= 1, -SM_EDENIED, STORE_FOREIGN);
    /* an ad hoc run that wants a slot, or the other way */
    TRY(t.m.m.run = RUN_ADHOC, -SM_EDENIED, STORE_FOREIGN);
    TRY(t.m.m.number = 1, -SM_EEXISTS, STORE_FORK);                       /* back-dated */
    TRY(t.m.m.number = 99, -SM_EEXISTS, STORE_FORK);                      /* forward-dated */
    TRY(t.m.m.previous.b[0] ^= 1, -SM_EEXISTS, STORE_FORK);
    TRY(memset(&t.m.m.previous, 0, 32), -SM_EEXISTS, STORE_FORK);
    TRY(t.m.m.head_hash[0] ^= 1, -SM_EMISMATCH, STORE_HEAD);
    TRY(t.m.m.head_seq += 1000, -SM_EMISMATCH, STORE_HEAD);
    TRY(t.m.m.envelope = s.root, -SM_ECORRUPT, STORE_CLOSURE);
    TRY((void)snprintf(t.m.facts, sizeof t.m.facts, "{\"files\":-4}"), -SM_EFORMAT, STORE_FORM);
    (void)snprintf(t.m.facts, sizeof t.m.facts, "{}");
    t.m.root = s.envelope;                                                /* a root that is no directory page */
    t.m.m = good;
    assert_int_equal(commit(&t, &s.k.client, &r), -SM_ECORRUPT);
    assert_int_equal(r, STORE_CLOSURE);
    refused(&s, 1);
    t.m.root = s.root;
    t.m.m = good;
    t.m.m.started_s = 0;                                                  /* client times decide nothing */
    t.m.m.finished_s = 4102444800;
    assert_int_equal(commit(&t, &s.k.client, &r), 0);
    struct store_generation g[2];
    struct store_query q = { .client = &s.k.client.id };
    assert_int_equal(store_generations(s.k.st, &q, g, 2), 2);
    assert_true(g[0].time.s < 4102444800 && g[0].number == 2);
    done(&s);
}

static void an_old_manifest_again_is_refused(void **state)
{
    struct scene s;
    struct store_verdict v;
    struct sm_buf old = { 0 };
    set(&s, "replay");
    assert_int_equal(store_manifest(s.k.st, &s.good, &old), 0);
    s.t.seed[0][0] = 777;
    assert_int_equal(kit_generation(&s.k, &s.k.client, &s.t, 2, 0, NULL, &v), 0);
    struct session_id id;
    struct store_session *x = session(&s, 1, &id);
    assert_int_equal(store_manifest_commit(x, sm_buf_span(&old), &v), -SM_EEXISTS);
    assert_int_equal(v.refusal, STORE_REPLAY);
    refused(&s, 1);
    for (size_t i = 0; i < old.n; i += kit_long() ? 1 : 7) {              /* garbage of every kind */
        old.p[i] ^= 0x41;
        assert_true(store_manifest_commit(x, sm_buf_span(&old), &v) < 0);
        sm_buf_wipe(&v.missing);
        old.p[i] ^= 0x41;
    }
    assert_int_equal(store_manifest_commit(x, SM_SPAN(old.p, 10), &v), -SM_EFORMAT);
    sm_buf_wipe(&old);
    done(&s);
}

static void pages_that_reach_anothers_objects_or_too_deep_are_refused(void **state)
{
    struct scene s;
    struct trial t;
    enum store_refusal r;
    set(&s, "closure");
    trial(&s, &t, 2);
    struct kit_load l;
    struct sm_buf b = { 0 };
    kit_load_init(&l, &s.k, &s.k.client.id, &t.id);
    struct cid refs[2] = { s.others_cid, s.envelope };
    struct cid theft = kit_page(&s.k.client.id, OBJ_DIRPAGE, refs, 2, 1, 10, &b);
    kit_load_add(&l, &theft, sm_buf_span(&b));
    struct cid deep[70];
    for (unsigned i = 0; i < 70; i++) {
        sm_buf_clear(&b);
        struct cid one = i ? deep[i - 1] : s.envelope;
        deep[i] = kit_page(&s.k.client.id, i % 2 ? OBJ_STREAMPAGE : OBJ_DIRPAGE, &one, 1, 100 + i, 10, &b);
        kit_load_add(&l, &deep[i], sm_buf_span(&b));
    }
    sm_buf_clear(&b);                                                     /* a page whose refs are out of order */
    struct cid bad = kit_page(&s.k.client.id, OBJ_DIRPAGE, refs, 2, 5, 10, &b);
    uint8_t x[32];
    memcpy(x, b.p + 28, 32);
    memmove(b.p + 28, b.p + 60, 32);
    memcpy(b.p + 60, x, 32);
    obj_name(sm_buf_span(&b), &bad);
    kit_load_add(&l, &bad, sm_buf_span(&b));
    assert_int_equal(kit_send_load(&s.k, t.x, &l), 0);
    t.m.root = theft;
    assert_int_equal(commit(&t, &s.k.client, &r), -SM_EMISSING);          /* not its own: not there */
    t.m.root = deep[68];
    assert_int_equal(commit(&t, &s.k.client, &r), -SM_ECORRUPT);
    assert_int_equal(r, STORE_CLOSURE);
    refused(&s, 1);
    t.m.root = bad;
    assert_int_equal(commit(&t, &s.k.client, &r), -SM_ECORRUPT);
    refused(&s, 1);
    /* 64 below the root are allowed, also when known closed */
    t.m.root = deep[64];
    assert_int_equal(commit(&t, &s.k.client, &r), 0);
    trial(&s, &t, 3);
    t.m.root = deep[68];
    assert_int_equal(commit(&t, &s.k.client, &r), -SM_ECORRUPT);
    refused(&s, 1);
    kit_load_wipe(&l);
    sm_buf_wipe(&b);
    done(&s);
}

static void a_flood_is_bounded(void **state)
{
    struct scene s;
    set(&s, "flood");
    kit_close(&s.k);
    s.k.limits.unclaimed_bytes = 20000;
    s.k.limits.packs_in_flight = 2;
    s.k.limits.sessions = 3;
    s.k.limits.refusals_per_hour = 50;
    assert_int_equal(kit_open(&s.k, 0), 0);
    struct session_id id[10];
    struct store_session *x = NULL;
    for (unsigned i = 0; i < 10; i++)
        x = session(&s, 10 + i, &id[i]);
    unsigned alive = 0;
    for (unsigned i = 0; i < 10; i++)
        alive += store_session_find(s.k.st, &id[i]) != NULL;
    assert_int_equal(alive, 3);
    uint64_t have;
    for (unsigned i = 0; i < 4; i++) /* two are held at a time: the older one gives way */
        assert_int_equal(store_pack_begin(x, &(struct cid){ { (uint8_t)i } }, 5000, &have), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(store_pack_data(x, &(struct cid){ { (uint8_t)i } }, 0, SM_SPAN(NULL, 0)), i < 2 ? -SM_ENOTFOUND : 0);
    store_pack_abort(x, &(struct cid){ { 2 } });
    store_pack_abort(x, &(struct cid){ { 3 } });
    unsigned taken = 0;
    for (unsigned i = 0; i < 200; i++) {
        struct cid pack;
        struct sm_buf b = pack_bytes(&s, &s.k.client.id, &id[9], 5000 + i * 10, &pack);
        int err = push(x, &pack, sm_buf_span(&b));
        assert_true(err == 0 || err == -SM_ELIMIT);
        taken += !err;
        sm_buf_wipe(&b);
        assert_int_equal(store_flush(s.k.st, NULL), 0);
    }
    assert_in_range(taken, 2, 8);
    assert_int_equal(refusals(&s), 50);                                   /* the record of it too */
    /* Also after the box was started again, and in another session. */
    kit_close(&s.k);
    assert_int_equal(kit_open(&s.k, 0), 0);
    x = session(&s, 30, &id[0]);
    struct cid pack;
    struct sm_buf b = pack_bytes(&s, &s.k.client.id, &id[0], 9000, &pack);
    assert_int_equal(push(x, &pack, sm_buf_span(&b)), -SM_ELIMIT);
    sm_buf_wipe(&b);
    /* Others go on. */
    struct kit_tree t;
    struct store_verdict v;
    kit_tree_init(&t, 1, 1, 400, 51);
    assert_int_equal(kit_generation(&s.k, &s.other, &t, 2, 0, NULL, &v), 0);
    done(&s);
}

static void a_revoked_or_unknown_client_gets_no_session(void **state)
{
    struct scene s;
    struct store_session *x;
    struct kit_client nobody;
    struct store_client c;
    set(&s, "revoked");
    kit_client_make(&nobody, 9);
    assert_int_equal(kit_session(&s.k, &nobody, 1, 0, &x), -SM_ENOTFOUND);
    assert_int_equal(store_client_get(s.k.st, &s.k.client.id, &c), 0);
    c.state = STORE_REVOKED;
    assert_int_equal(store_client_put(s.k.st, &c), 0);
    assert_int_equal(kit_session(&s.k, &s.k.client, 2, 0, &x), -SM_EDENIED);
    refused(&s, 1);
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pack_that_lies_is_refused),
        cmocka_unit_test(a_pack_of_another_client_session_or_vault_is_refused),
        cmocka_unit_test(nothing_can_be_overwritten),
        cmocka_unit_test(anothers_objects_are_as_good_as_not_there),
        cmocka_unit_test(a_manifest_that_lies_is_refused),
        cmocka_unit_test(an_old_manifest_again_is_refused),
        cmocka_unit_test(pages_that_reach_anothers_objects_or_too_deep_are_refused),
        cmocka_unit_test(a_flood_is_bounded),
        cmocka_unit_test(a_revoked_or_unknown_client_gets_no_session),
    };
    return cmocka_run_group_tests_name("store_hostile", tests, NULL, NULL);
}
