#include "store_kit.h"

static void a_vault_is_made_once_and_opened_by_one(void **state)
{
    struct kit k;
    kit_init(&k, "once");
    assert_int_equal(store_create(k.dir, &k.vault, "x"), -SM_EEXISTS);
    assert_int_equal(kit_open(&k, 0), 0);
    struct store *first = k.st;
    assert_int_equal(kit_open(&k, 0), -SM_EAGAIN);
    assert_non_null(strstr(k.why, "another process"));
    assert_int_equal(kit_open(&k, STORE_READ_ONLY), 0);
    assert_int_equal(store_clock(k.st, "no"), -SM_ESTATE);
    kit_close(&k);
    k.st = first;
    kit_done(&k);
}

static void a_creation_cut_short_is_taken_up_again(void **state)
{
    struct kit k;
    kit_init(&k, "create");
    kit_remove(k.dir);
    for (uint64_t at = 1;; at++) {
        plat_fault_set(PLAT_OP_FILES | PLAT_FAULT_STICKY, at, EIO);
        int err = store_create(k.dir, &k.vault, "x");
        bool fired = plat_fault_fired();
        plat_fault_clear();
        if (!fired) {
            assert_int_equal(err, 0);
            break;
        }
        assert_true(err < 0);
        if (at % 40 == 7) {
            assert_int_equal(store_create(k.dir, &k.vault, "x"), 0);
            assert_int_equal(kit_open(&k, 0), 0);
            kit_close(&k);
            kit_remove(k.dir);
        }
        if (at > 20 && at < 250)
            at += 37;                       /* the 256 folders are all alike */
    }
    kit_done(&k);
}

static void a_later_or_foreign_format_is_refused_in_words(void **state)
{
    struct { const char *text; int err; } row[] = {
        { "sakimori vault 4\n07070707070707070707070707070707\n", -SM_EVERSION }, { "hello\n", -SM_EFORMAT },
        { "sakimori vault 1\n0707\n", -SM_ECORRUPT }, { "", -SM_EFORMAT },
    };
    struct kit k;
    kit_init(&k, "format");
    for (size_t i = 0; i < 4; i++) {
        int dir = plat_fs_open_dir(AT_FDCWD, k.dir);
        assert_int_equal(plat_replace(dir, "format", SM_SPAN_STR(row[i].text), 0600), 0);
        close(dir);
        assert_int_equal(kit_open(&k, 0), row[i].err);
        assert_true(strlen(k.why) > 10);
    }
    kit_done(&k);
}

static void what_was_sent_is_there_after_opening_again(void **state)
{
    struct kit k;
    struct kit_tree t;
    struct store_verdict v;
    struct verify_result r;
    kit_init(&k, "again");
    kit_tree_init(&t, 3, 5, 700, 1);
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(kit_join(&k, &k.client), 0);
    assert_int_equal(kit_generation(&k, &k.client, &t, 1, 0, NULL, &v), 0);
    assert_int_equal(v.measures.chunks, 15);
    assert_int_equal(v.measures.chunks_new, 15);
    assert_int_equal(v.measures.pages, 4);
    assert_int_equal(v.suspicion.score, 0);
    assert_int_equal(journal_head_verify(&v.head, k.head.public_key), 0);
    t.seed[1][2] = 4242;
    assert_int_equal(kit_generation(&k, &k.client, &t, 2, 0, NULL, &v), 0);
    assert_int_equal(v.measures.chunks_new, 1);
    assert_int_equal(v.measures.chunks_dropped, 1);
    kit_close(&k);
    for (int pass = 0; pass < 3; pass++) {
        assert_int_equal(kit_open(&k, pass == 1 ? STORE_READ_ONLY : 0), 0);
        struct store_generation g[4];
        struct store_query q = { .client = &k.client.id };
        assert_int_equal(store_generations(k.st, &q, g, 4), 2);
        assert_int_equal(g[0].number, 2);
        assert_int_equal(g[1].number, 1);
        assert_memory_equal(g[0].manifest.b, v.manifest.b, 32);
        assert_int_equal(g[0].measures.chunks_new, 1);
        assert_int_equal(kit_verify(&k, VERIFY_DATA, &r), 0);
        assert_true(r.sound);
        assert_int_equal(r.generations, 2);
        assert_int_equal(store_recovered(k.st)->packs_adopted, 0);
        kit_close(&k);
        if (pass == 1) {
            char cache[160];
            (void)snprintf(cache, sizeof cache, "%s/cache", k.dir);
            kit_remove(cache);              /* only a cache */
        }
    }
    kit_done(&k);
}

static char format_of(const struct kit *k)
{
    struct sm_buf b = { 0 };
    int dir = plat_fs_open_dir(AT_FDCWD, k->dir);
    assert_int_equal(plat_fs_read_file(dir, "format", 100, &b), 0);
    char c = (char)b.p[15];
    close(dir);
    sm_buf_wipe(&b);
    return c;
}

static void a_pack_is_taken_up_where_it_was_cut_also_by_another_process(void **state)
{
    struct kit k;
    kit_init(&k, "resume");
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(kit_join(&k, &k.client), 0);
    struct store_session *s;
    struct store_session_info info;
    assert_int_equal(kit_session(&k, &k.client, 1, 0, &s), 0);
    store_session_info(s, &info);
    struct kit_load l;
    struct sm_buf b = { 0 };
    kit_load_init(&l, &k, &k.client.id, &info.id);
    for (uint64_t i = 0; i < 20; i++) {
        sm_buf_clear(&b);
        /* One in planes, anywhere: programs of before must not open the vault, whichever process saw it come. */
        struct cid c = kit_chunk(&k.client.id, i, 3000, i == 9 ? OBJ_PLANES : OBJ_STORED, &b);
        kit_load_add(&l, &c, sm_buf_span(&b));
    }
    struct cid id;
    uint64_t bytes, have;
    bool done;
    uint8_t p[4096];
    assert_int_equal(pack_finish(l.data, &id, &bytes), 0);
    assert_int_equal(store_pack_begin(s, &id, bytes, &have), 0);
    for (uint64_t at = 0; at < bytes;) {
        size_t n = pack_copy(l.data, at, p, 1 + at % 4000);
        assert_int_equal(store_pack_data(s, &id, at + 1, SM_SPAN(p, n)), -SM_EMISMATCH);
        assert_int_equal(store_pack_data(s, &id, at, SM_SPAN(p, n)), 0);
        at += n;
        assert_int_equal(store_pack_end(s, &id, &done), at < bytes ? -SM_EPARTIAL : 0);
        if (at >= bytes)
            break;
        kit_close(&k);                      /* the process dies */
        assert_int_equal(kit_open(&k, 0), 0);
        struct store_session_args a = { .client = k.client.id, .source = k.client.source, .run = kit_run(1),
            .run_kind = RUN_SCHEDULED, .resume = &info.id };
        assert_int_equal(store_session_open(k.st, &a, &s), 0);
        assert_int_equal(store_pack_state(s, &id, &have, &done), 0);
        assert_int_equal(have, at);
        assert_false(done);
        assert_int_equal(store_pack_begin(s, &id, bytes, &have), 0);
        assert_int_equal(have, at);
    }
    assert_int_equal(store_pending(k.st), 1);
    assert_int_equal(store_pack_begin(s, &id, bytes, &have), 0);
    assert_int_equal(have, bytes);
    assert_int_equal(format_of(&k), '1');
    assert_int_equal(store_flush(k.st, NULL), 0);
    assert_int_equal(format_of(&k), '3');
    assert_int_equal(store_pack_end(s, &id, &done), 0);
    assert_true(done);                      /* a duplicate: success at once */
    struct verify_result r;
    assert_int_equal(kit_verify(&k, VERIFY_DATA, &r), 0);
    assert_true(r.sound && r.objects == 20);
    kit_load_wipe(&l);
    sm_buf_wipe(&b);
    kit_done(&k);
}

static void a_part_that_rotted_is_sent_again_from_the_start(void **state)
{
    struct kit k;
    kit_init(&k, "part");
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(kit_join(&k, &k.client), 0);
    struct store_session *s;
    struct store_session_info info;
    assert_int_equal(kit_session(&k, &k.client, 1, 0, &s), 0);
    store_session_info(s, &info);
    struct kit_load l;
    struct sm_buf b = { 0 };
    kit_load_init(&l, &k, &k.client.id, &info.id);
    struct cid c = kit_chunk(&k.client.id, 5, 9000, OBJ_STORED, &b), id;
    kit_load_add(&l, &c, sm_buf_span(&b));
    c = kit_chunk(&k.client.id, 6, 9000, OBJ_STORED, &b);
    kit_load_add(&l, &c, SM_SPAN(b.p + b.n / 2, b.n / 2));
    uint64_t bytes, have;
    uint8_t p[15000];
    assert_int_equal(pack_finish(l.data, &id, &bytes), 0);
    assert_int_equal(store_pack_begin(s, &id, bytes, &have), 0);
    assert_int_equal(store_pack_data(s, &id, 0, SM_SPAN(p, pack_copy(l.data, 0, p, sizeof p))), 0);
    kit_close(&k);
    char part[1][256];
    assert_int_equal(kit_files(k.dir, ".part", part, 1), 1);
    kit_flip(part[0], 1000, 4);
    assert_int_equal(kit_open(&k, 0), 0);
    struct store_session_args a = { .client = k.client.id, .source = k.client.source, .run = kit_run(1),
        .run_kind = RUN_SCHEDULED, .resume = &info.id };
    assert_int_equal(store_session_open(k.st, &a, &s), 0);
    assert_int_equal(store_pack_begin(s, &id, bytes, &have), 0);
    assert_int_equal(have, 0);
    assert_int_equal(kit_push(s, l.data, &id, bytes, 1000), 0);
    assert_int_equal(store_flush(k.st, NULL), 0);
    kit_load_wipe(&l);
    sm_buf_wipe(&b);
    kit_done(&k);
}

static void missing_objects_are_named_and_then_the_manifest_goes_through(void **state)
{
    struct kit k;
    kit_init(&k, "missing");
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(kit_join(&k, &k.client), 0);
    struct store_session *s;
    struct store_session_info info;
    assert_int_equal(kit_session(&k, &k.client, 9, 0, &s), 0);
    store_session_info(s, &info);
    struct kit_load whole, meta;
    struct sm_buf b = { 0 }, bytes = { 0 };
    struct kit_tree t;
    kit_tree_init(&t, 2, 6, 500, 3);
    kit_load_init(&whole, &k, &k.client.id, &info.id);
    struct cid envelope = kit_envelope(&k.client.id, 1, &b);
    kit_load_add(&whole, &envelope, sm_buf_span(&b));
    struct cid root = kit_tree_load(&t, &k.client.id, &envelope, &whole);
    struct kit_manifest m;
    struct store_verdict v;
    kit_manifest_init(&k, &m, &k.client, &root, &envelope, 9);
    kit_manifest_bytes(&m, &bytes);
    assert_int_equal(store_manifest_commit(s, sm_buf_span(&bytes), &v), -SM_EMISSING);
    assert_int_equal(v.missing.n, 64);      /* envelope and root: more is not known yet */
    sm_buf_wipe(&v.missing);
    meta = whole;
    assert_int_equal(kit_send(s, meta.meta, 333), 0);
    assert_int_equal(store_manifest_commit(s, sm_buf_span(&bytes), &v), -SM_EMISSING);
    assert_int_equal(v.refusal, STORE_MISSING);
    assert_int_equal(v.missing.n, 12 * 32);
    assert_false(v.more);
    sm_buf_wipe(&v.missing);
    assert_int_equal(kit_send(s, whole.data, 333), 0);
    assert_int_equal(store_manifest_commit(s, sm_buf_span(&bytes), &v), 0);
    struct cid id = v.manifest;
    assert_int_equal(v.missing.n, 0);
    /* The answer got lost: the same again. */
    assert_int_equal(kit_session(&k, &k.client, 9, 0, &s), 0);
    assert_int_equal(store_manifest_commit(s, sm_buf_span(&bytes), &v), 0);
    assert_true(v.known && cid_eq(&id, &v.manifest));
    sm_buf_wipe(&b);
    struct sm_buf envelopes = { 0 };
    assert_int_equal(store_envelopes(k.st, &id, &envelopes), 0);
    assert_int_equal(envelopes.n, 32);
    sm_buf_wipe(&envelopes);
    assert_int_equal(store_object(k.st, &k.client.id, &root, &b), 0);
    sm_buf_wipe(&b);
    sm_buf_wipe(&bytes);
    kit_load_wipe(&whole);
    kit_done(&k);
}

static void the_signer_that_is_away_loses_nothing(void **state)
{
    struct kit k;
    struct kit_tree t;
    struct store_verdict v;
    kit_init(&k, "signer");
    kit_tree_init(&t, 1, 2, 100, 1);
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(kit_join(&k, &k.client), 0);
    k.sign_fails = true;
    assert_int_equal(kit_generation(&k, &k.client, &t, 1, 0, NULL, &v), -SM_EPEER);
    assert_false(store_is_broken(k.st));
    struct store_query q = { 0 };
    struct store_generation g;
    assert_int_equal(store_generations(k.st, &q, &g, 1), 0);
    k.sign_fails = false;
    assert_int_equal(kit_generation(&k, &k.client, &t, 1, 0, NULL, &v), 0);
    kit_done(&k);
}

static int collect(void *arg, const struct journal_record *r)
{
    struct sm_buf *b = arg;
    return sm_buf_printf(b, "%u:%.*s\n", r->type, (int)r->payload.n, (const char *)r->payload.p);
}

static void how_much_is_in_a_generation_is_known_without_its_manifest(void **state)
{
    struct kit k;
    struct kit_tree t;
    struct store_verdict v;
    uint64_t files = 0, bytes = 0;
    char hex[CID_HEX], path[512];
    kit_init(&k, "facts");
    kit_tree_init(&t, 2, 4, 900, 1);
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(kit_join(&k, &k.client), 0);
    assert_int_equal(kit_generation(&k, &k.client, &t, 1, 0, "{\"bytes\":123,\"files\":7}", &v), 0);
    cid_hex(&v.manifest, hex);
    (void)snprintf(path, sizeof path, "%s/manifests/%s.skm", k.dir, hex);
    kit_close(&k);
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(store_facts(k.st, &v.manifest, &files, &bytes), 0);
    assert_int_equal(files, 7);
    assert_int_equal(bytes, 123);
    memset(v.manifest.b, 1, 32);
    assert_int_equal(store_facts(k.st, &v.manifest, &files, &bytes), -SM_ENOTFOUND);
    kit_done(&k);
    (void)state;
}

static void freezing_pins_the_clean_and_thawing_lets_go(void **state)
{
    struct kit k;
    struct kit_tree t, bad;
    struct store_verdict v;
    struct store_client c;
    struct store_generation g;
    size_t changed;
    kit_init(&k, "freeze");
    kit_tree_init(&t, 4, 16, 900, 1);
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(kit_join(&k, &k.client), 0);
    assert_int_equal(kit_generation(&k, &k.client, &t, 1, 0, NULL, &v), 0);
    struct cid clean = v.manifest;
    kit_tree_init(&bad, 4, 16, 900, 2);
    assert_int_equal(kit_generation(&k, &k.client, &bad, 2, 0, NULL, &v), 0);
    assert_true(v.froze && v.suspicion.score >= SUSPICION_THRESHOLD);
    struct cid hit = v.manifest;
    /* The day after, nothing changes any more: still compared with the last clean one. */
    assert_int_equal(kit_generation(&k, &k.client, &bad, 3, 0, NULL, &v), 0);
    assert_true(v.suspicion.score >= SUSPICION_THRESHOLD);
    assert_false(v.froze);
    assert_int_equal(store_last_clean(k.st, &k.client.id, &k.client.source, &g), 0);
    assert_memory_equal(g.manifest.b, clean.b, 32);
    assert_int_equal(store_mark(k.st, &changed), 0);
    assert_int_equal(changed, 3);
    assert_int_equal(store_mark(k.st, &changed), 0);
    assert_int_equal(changed, 0);
    assert_int_equal(store_generation(k.st, &clean, &g), 0);
    assert_true(g.pinned && g.slots);
    assert_int_equal(g.locked_until_ms, g.running_ms + 14 * 86400000ull);
    kit_close(&k);
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(store_client_get(k.st, &k.client.id, &c), 0);
    assert_true(c.frozen);
    assert_int_equal(store_generation(k.st, &hit, &g), 0);
    assert_true(g.suspicious && !g.pinned);
    assert_int_equal(store_thaw(k.st, &k.client.id, "年次の整理でした", "院長", true), 0);
    assert_int_equal(store_generation(k.st, &hit, &g), 0);
    assert_false(g.suspicious);
    assert_int_equal(kit_generation(&k, &k.client, &bad, 4, 0, NULL, &v), 0);
    assert_int_equal(v.suspicion.score, 0);
    struct sm_buf log = { 0 };
    assert_int_equal(store_log(k.st, 0, STORE_LOG_ACCESS, 10, collect, &log), 0);
    const char *text = sm_buf_str(&log);
    assert_non_null(strstr(text, "7:{\"by\":\"院長\""));
    assert_true(strstr(text, "7:") < strstr(text, "6:"));
    sm_buf_wipe(&log);
    kit_done(&k);
}

static void the_access_log_and_policies_are_kept(void **state)
{
    struct kit k;
    kit_init(&k, "log");
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(kit_join(&k, &k.client), 0);
    struct store_access a = { .what = "restore", .who = "佐藤", .role = "director", .from = "127.0.0.1", .why = "訓練",
        .client = &k.client.id, .path_count = 3 };
    for (int i = 0; i < 700; i++)
        assert_int_equal(i % 7 ? store_refused(k.st, NULL, "x", "y") : store_access(k.st, &a), 0);
    static const char *const words[] = { "audit", "card", "recovery" }; /* what the box notes besides reading */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        a.what = words[i];
        assert_int_equal(store_access(k.st, &a), 0);
    }
    a.what = "delete everything";
    assert_int_equal(store_access(k.st, &a), -SM_EINVAL);
    struct retention_policy p = { 49, 36, 27, 64, 15 }, q;
    assert_int_equal(store_policy_set(k.st, &p, "院長"), 0);
    p.min_days = 0;
    assert_int_equal(store_policy_set(k.st, &p, "院長"), -SM_EINVAL);
    p.min_days = 14;                        /* shorter: not without the recovery sheet */
    assert_int_equal(store_policy_set(k.st, &p, "院長"), -SM_EDENIED);
    assert_int_equal(store_clock(k.st, "start"), 0);
    kit_close(&k);
    assert_int_equal(kit_open(&k, 0), 0);
    store_policy(k.st, &q);
    assert_int_equal(q.monthly, 64);
    assert_int_equal(q.min_days, 15);
    struct sm_buf log = { 0 };
    assert_int_equal(store_log(k.st, 0, 1u << JOURNAL_ACCESS, 1000, collect, &log), 0);
    size_t n = 0;
    for (size_t i = 0; i < log.n; i++)
        n += log.p[i] == '\n';
    assert_int_equal(n, 100 + sizeof words / sizeof *words);
    sm_buf_clear(&log);
    assert_int_equal(store_log(k.st, 0, 1u << JOURNAL_REFUSED, 1000, collect, &log), 0);
    for (n = 0; log.n; log.n--)
        n += log.p[log.n - 1] == '\n';
    assert_int_equal(n, 100);               /* a flood of refusals is bounded */
    sm_buf_wipe(&log);
    kit_done(&k);
}

static void running_time_only_grows_and_survives(void **state)
{
    struct kit k;
    kit_init(&k, "clock");
    plat_clock_override(0, 0);
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(store_clock(k.st, "start"), 0);
    uint64_t before = store_running_ms(k.st);
    plat_clock_override(86400000ll * 400, 3600000);   /* the wall jumps a year, the box ran an hour */
    uint64_t after = store_running_ms(k.st);
    assert_in_range(after - before, 3600000, 3600000 + 60000);
    assert_int_equal(store_clock(k.st, "hourly"), 0);
    kit_close(&k);
    plat_clock_override(-86400000ll * 400, 0);        /* another boot, the battery is empty */
    assert_int_equal(kit_open(&k, 0), 0);
    assert_true(store_running_ms(k.st) >= after);
    assert_true(store_running_ms(k.st) < after + 60000);
    plat_clock_override(0, 0);
    kit_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vault_is_made_once_and_opened_by_one),
        cmocka_unit_test(a_creation_cut_short_is_taken_up_again),
        cmocka_unit_test(a_later_or_foreign_format_is_refused_in_words),
        cmocka_unit_test(what_was_sent_is_there_after_opening_again),
        cmocka_unit_test(a_pack_is_taken_up_where_it_was_cut_also_by_another_process),
        cmocka_unit_test(a_part_that_rotted_is_sent_again_from_the_start),
        cmocka_unit_test(missing_objects_are_named_and_then_the_manifest_goes_through),
        cmocka_unit_test(the_signer_that_is_away_loses_nothing),
        cmocka_unit_test(how_much_is_in_a_generation_is_known_without_its_manifest),
        cmocka_unit_test(freezing_pins_the_clean_and_thawing_lets_go),
        cmocka_unit_test(the_access_log_and_policies_are_kept),
        cmocka_unit_test(running_time_only_grows_and_survives),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
