#include <errno.h>

#include "vault_test.h"

#include "plat/fault.h"

#include "vault/snapshot/dirpage.h"
#include "vault/snapshot/manifest.h"
#include "vault/snapshot/meta.h"
#include "vault/snapshot/streampage.h"

/* ---- items ---- */

static void parts_of(struct part *p, struct chunk_key *k, size_t n, size_t hole)
{
    for (size_t i = 0, j = 0; i < n; i++) {
        p[i] = (struct part){.length = 100 + i, .hole = i == hole};
        if (p[i].hole)
            continue;
        test_fill(p[i].cid.b, 32, 1000 + i);
        test_fill(k[j++].b, 32, 2000 + i);
    }
}

static void an_item_opens_only_with_its_f_counter_envelope_layout_and_parts(void **state)
{
    struct seal_ctx *c = test_ctx();
    struct file_key f = {{1}}, g = {{2}};
    struct chunk_key kf, kg, ko, keys[4];
    struct cid env = {{3}}, env2 = {{4}};
    struct part p[5], q[5];
    struct sm_buf item = {0}, out = {0};
    parts_of(p, keys, 5, 2);
    assert_int_equal(item_key(&f, &test_client, &kf), 0);
    assert_int_equal(item_key(&g, &test_client, &kg), 0);
    assert_int_equal(item_key(&f, &test_other_client, &ko), 0);
    assert_int_equal(item_seal(c, &kf, 7, &env, LAYOUT_CHUNKS, p, 5, keys, 4, &item), 0);
    assert_int_equal(item.n, 4 * 32 + 16);
    assert_int_equal(item_open(c, &kf, 7, &env, LAYOUT_CHUNKS, p, 5, sm_buf_span(&item), &out), 0);
    assert_memory_equal(out.p, keys, sizeof keys);
    sm_buf_clear(&out);
    struct sm_span s = sm_buf_span(&item);
    assert_int_equal(item_open(c, &kg, 7, &env, LAYOUT_CHUNKS, p, 5, s, &out), -SM_EAUTH);
    assert_int_equal(item_open(c, &ko, 7, &env, LAYOUT_CHUNKS, p, 5, s, &out), -SM_EAUTH);
    assert_int_equal(item_open(c, &kf, 8, &env, LAYOUT_CHUNKS, p, 5, s, &out), -SM_EAUTH);
    assert_int_equal(item_open(c, &kf, 7, &env2, LAYOUT_CHUNKS, p, 5, s, &out), -SM_EAUTH);
    assert_int_equal(item_open(c, &kf, 7, &env, LAYOUT_STREAMPAGES, p, 5, s, &out), -SM_EAUTH);
    assert_int_equal(item_open(c, &kf, 7, &env, LAYOUT_CHUNKS, p, 4, s, &out), -SM_EFORMAT);
    memcpy(q, p, sizeof p); /* the same parts in another order */
    q[0] = p[1];
    q[1] = p[0];
    assert_int_equal(item_open(c, &kf, 7, &env, LAYOUT_CHUNKS, q, 5, s, &out), -SM_EAUTH);
    memcpy(q, p, sizeof p);
    q[3].offset++;
    assert_int_equal(item_open(c, &kf, 7, &env, LAYOUT_CHUNKS, q, 5, s, &out), -SM_EAUTH);
    assert_int_equal(out.n, 0);
    sm_buf_wipe(&item);
    sm_buf_wipe(&out);
    seal_ctx_free(c);
}

/* The thief has what lies on the client after a run: K_id, the cache (item, cids, look-ups), all sealed bytes from the
 * box.  He can make the key of no chunk whose plain bytes he does not have: every key he can derive is refused. */
static void a_stolen_cache_with_k_id_opens_no_chunk_without_its_plain_bytes(void **state)
{
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    struct sm_buf sealed = {0}, item = {0}, out = {0};
    struct file_key f, guess_f = {{0}};
    struct chunk_key kf, try_k;
    struct chunk_info info = test_chunk(c, &k, OBJ_CHUNK, SM_SPAN_STR("the record of a patient"), 0, &sealed);
    struct part p = {.cid = info.cid, .length = 23};
    struct cid env = {{8}};
    struct chunk_hash h;
    uint8_t look[32];
    test_fill(f.b, 32, 5);
    assert_int_equal(item_key(&f, &test_client, &kf), 0);
    assert_int_equal(item_seal(c, &kf, 1, &env, LAYOUT_CHUNKS, &p, 1, &info.ck, 1, &item), 0);
    chunk_hash(SM_SPAN_STR("the record of a patient"), &h);
    chunk_look(&k, OBJ_CHUNK, &h, look);
    /* what he holds, tried as h: cid, look-up, item */
    const struct sm_span held[] = {
        SM_SPAN(info.cid.b, 32), SM_SPAN(look, 32), SM_SPAN(item.p, 32), SM_SPAN_STR("the record of a patienT")};
    for (size_t i = 0; i < 4; i++) {
        struct chunk_hash as_h;
        if (held[i].n == 32) {
            memcpy(as_h.b, held[i].p, 32);
            chunk_keys(&k, OBJ_CHUNK, &as_h, &try_k, NULL);
            assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &try_k, &out), -SM_EAUTH);
            memcpy(try_k.b, held[i].p, 32);
            assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &try_k, &out), -SM_EAUTH);
        }
        chunk_hash(held[i], &as_h);
        chunk_keys(&k, OBJ_CHUNK, &as_h, &try_k, NULL);
        assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &try_k, &out), -SM_EAUTH);
    }
    assert_int_equal(item_key(&guess_f, &test_client, &try_k), 0);
    assert_int_equal(item_open(c, &try_k, 1, &env, LAYOUT_CHUNKS, &p, 1, sm_buf_span(&item), &out), -SM_EAUTH);
    /* with F, and with the plain bytes guessed right, it opens: the latter is what THREATS must say */
    assert_int_equal(item_open(c, &kf, 1, &env, LAYOUT_CHUNKS, &p, 1, sm_buf_span(&item), &out), 0);
    memcpy(try_k.b, out.p, 32);
    sm_buf_clear(&out);
    assert_int_equal(chunk_open(c, sm_buf_span(&sealed), NULL, &try_k, &out), 0);
    sm_buf_wipe(&sealed);
    sm_buf_wipe(&item);
    sm_buf_wipe(&out);
    seal_ctx_free(c);
}

/* ---- envelopes ---- */

static void any_recipient_opens_an_envelope_and_gets_the_same_f(void **state)
{
    struct crypto_x25519_pair pair[2], stranger;
    struct sm_buf set = {0}, sealed = {0};
    struct file_key f, got;
    struct cid cid;
    struct envelope e;
    uint8_t fp[32], fp2[32];
    assert_int_equal(crypto_init(), 0);
    test_recipients(pair, &set);
    assert_int_equal(envelope_make(&test_vault, &test_client, sm_buf_span(&set), &f, &cid, &sealed), 0);
    for (int i = 0; i < 2; i++) {
        memset(&got, 0, sizeof got);
        assert_int_equal(envelope_open(&test_vault, &test_client, sm_buf_span(&sealed), &pair[i], &got), 0);
        assert_memory_equal(got.b, f.b, 32);
    }
    assert_int_equal(envelope_verify(&test_vault, &test_client, sm_buf_span(&sealed), &f), 0);
    got.b[0] ^= 1;
    assert_int_equal(envelope_verify(&test_vault, &test_client, sm_buf_span(&sealed), &got), -SM_EAUTH);
    assert_int_equal(crypto_x25519_generate(&stranger), 0);
    assert_int_equal(envelope_open(&test_vault, &test_client, sm_buf_span(&sealed), &stranger, &got), -SM_ENOTFOUND);
    assert_int_equal(
        envelope_open(&test_vault, &test_other_client, sm_buf_span(&sealed), &pair[0], &got), -SM_EMISMATCH);
    assert_int_equal(
        envelope_open(&(struct vault_id){{1}}, &test_client, sm_buf_span(&sealed), &pair[0], &got), -SM_EAUTH);
    assert_int_equal(envelope_parse(sm_buf_span(&sealed), &test_client, &e), 0);
    recipients_fingerprint(e.set_raw, fp);
    recipients_fingerprint(sm_buf_span(&set), fp2);
    assert_memory_equal(fp, fp2, 32);
    sm_buf_wipe(&set);
    sm_buf_wipe(&sealed);
}

static void one_changed_byte_of_an_envelope_is_found_by_every_opener(void **state)
{
    struct crypto_x25519_pair pair[2];
    struct sm_buf set = {0}, sealed = {0};
    struct file_key f, got;
    struct cid cid;
    assert_int_equal(crypto_init(), 0);
    test_recipients(pair, &set);
    assert_int_equal(envelope_make(&test_vault, &test_client, sm_buf_span(&set), &f, &cid, &sealed), 0);
    /* wraps, commitment, eid, set, header alike */
    for (size_t i = 0; i < sealed.n; i++) {
        sealed.p[i] ^= 1;
        for (int who = 0; who < 2; who++)
            assert_true(envelope_open(&test_vault, &test_client, sm_buf_span(&sealed), &pair[who], &got) < 0);
        assert_true(envelope_verify(&test_vault, &test_client, sm_buf_span(&sealed), &f) < 0);
        sealed.p[i] ^= 1;
    }
    sm_buf_wipe(&set);
    sm_buf_wipe(&sealed);
}

static void a_good_wrap_beside_a_bad_one_is_refused_by_both(void **state)
{
    struct crypto_x25519_pair pair[2];
    struct sm_buf set = {0}, a = {0}, b = {0};
    struct file_key f = {{1}}, g = {{2}}, got;
    const uint8_t eid[16] = {3};
    struct cid cid;
    struct envelope ea;
    size_t at;
    assert_int_equal(crypto_init(), 0);
    test_recipients(pair, &set);
    assert_int_equal(envelope_make_with(&test_vault, &test_client, sm_buf_span(&set), &f, eid, &cid, &a), 0);
    assert_int_equal(envelope_make_with(&test_vault, &test_client, sm_buf_span(&set), &g, eid, &cid, &b), 0);
    assert_int_equal(envelope_parse(sm_buf_span(&a), NULL, &ea), 0);
    /* the drill (role 2) gets F, the safe (role 1) a well-made wrap of another key */
    at = (size_t)(ea.wrap[0].p - a.p);
    memcpy(a.p + at, b.p + at, ea.wrap[0].n);
    assert_int_equal(envelope_open(&test_vault, &test_client, sm_buf_span(&a), &pair[1], &got), -SM_EAUTH);
    assert_int_equal(envelope_open(&test_vault, &test_client, sm_buf_span(&a), &pair[0], &got), -SM_EAUTH);
    sm_buf_wipe(&set);
    sm_buf_wipe(&a);
    sm_buf_wipe(&b);
}

static void a_slipped_in_recipient_changes_the_fingerprint_and_breaks_the_wraps(void **state)
{
    struct crypto_x25519_pair pair[2], thief;
    struct recipients set3 = {.n = 2};
    struct sm_buf set = {0}, other = {0}, sealed = {0}, forged = {0};
    struct file_key f, got;
    struct cid cid;
    struct envelope e;
    uint8_t fp[32], fp2[32];
    assert_int_equal(crypto_init(), 0);
    test_recipients(pair, &set);
    assert_int_equal(crypto_x25519_generate(&thief), 0);
    set3.r[0] = (struct recipient){1, RECIPIENT_X25519, SM_SPAN(pair[0].public_key, 32)};
    set3.r[1] = (struct recipient){2, RECIPIENT_X25519, SM_SPAN(thief.public_key, 32)};
    assert_int_equal(recipients_put(&set3, &other), 0);
    recipients_fingerprint(sm_buf_span(&set), fp);
    recipients_fingerprint(sm_buf_span(&other), fp2);
    assert_memory_not_equal(fp, fp2, 32);
    assert_int_equal(envelope_make(&test_vault, &test_client, sm_buf_span(&set), &f, &cid, &sealed), 0);
    assert_int_equal(envelope_parse(sm_buf_span(&sealed), NULL, &e), 0);
    assert_int_equal(sm_buf_put_span(&forged, sm_buf_span(&sealed)), 0);
    memcpy(forged.p + (e.set_raw.p - sealed.p), other.p, other.n);
    assert_int_equal(envelope_open(&test_vault, &test_client, sm_buf_span(&forged), &pair[0], &got), -SM_EAUTH);
    assert_int_equal(envelope_open(&test_vault, &test_client, sm_buf_span(&forged), &thief, &got), -SM_EAUTH);
    sm_buf_wipe(&set);
    sm_buf_wipe(&other);
    sm_buf_wipe(&sealed);
    sm_buf_wipe(&forged);
}

static void recipient_sets_have_one_form_and_low_order_keys_are_refused(void **state)
{
    struct crypto_x25519_pair pair[2];
    struct sm_buf set = {0}, twisted = {0}, sealed = {0};
    struct recipients s;
    struct file_key f;
    struct cid cid;
    uint8_t low[32] = {1};
    assert_int_equal(crypto_init(), 0);
    test_recipients(pair, &set);
    assert_int_equal(recipients_parse(sm_buf_span(&set), &s), 0);
    struct recipients back = {.n = 2, .r = {s.r[1], s.r[0]}};
    assert_int_equal(recipients_put(&back, &twisted), 0);
    assert_true(sm_span_eq(sm_buf_span(&set), sm_buf_span(&twisted)));
    memcpy(twisted.p + 1, set.p + 1 + 37, 37);
    memcpy(twisted.p + 1 + 37, set.p + 1, 37);
    assert_int_equal(recipients_parse(sm_buf_span(&twisted), &s), -SM_EFORMAT);
    memcpy(twisted.p + 1 + 37, twisted.p + 1, 37);
    assert_int_equal(recipients_parse(sm_buf_span(&twisted), &s), -SM_EFORMAT);
    sm_buf_clear(&twisted);
    back = (struct recipients){.n = 1, .r = {{1, RECIPIENT_X25519, SM_SPAN(low, 32)}}};
    assert_int_equal(recipients_put(&back, &twisted), 0);
    assert_int_equal(envelope_make(&test_vault, &test_client, sm_buf_span(&twisted), &f, &cid, &sealed), -SM_EAUTH);
    assert_int_equal(sealed.n, 0);
    sm_buf_wipe(&set);
    sm_buf_wipe(&twisted);
    sm_buf_wipe(&sealed);
}

/* ---- manifest ---- */

static void a_manifest_reads_back_and_no_byte_of_it_can_change(void **state)
{
    struct crypto_sign_pair dev, head;
    struct cid roots[2] = {{{1}}, {{2}}}, id;
    uint8_t item[2 * 32 + 16] = {5}, seed[32] = {9}, sig[64];
    struct manifest m = {.vault = test_vault,
                        .client = test_client,
                        .number = 12,
                        .head_seq = 5,
                        .run = RUN_SCHEDULED,
                        .status = RUN_COMPLETE,
                        .started_s = -5,
                        .finished_s = 1790000000,
                        .envelope = {{7}},
                        .roots = roots,
                        .nroots = 2,
                        .counter = 3,
                        .item = SM_SPAN(item, sizeof item),
                        .facts = SM_SPAN_STR("{\"facts\":1}"),
                        .label = SM_SPAN_STR("毎晩")},
                    got;
    struct sm_buf b = {0};
    assert_int_equal(crypto_init(), 0);
    assert_int_equal(crypto_sign_from_seed(seed, &dev), 0);
    assert_int_equal(manifest_build(&m, &dev, &b), 0);
    assert_int_equal(manifest_parse(sm_buf_span(&b), &got), 0);
    assert_int_equal(got.number, 12);
    assert_int_equal(got.started_s, -5);
    assert_int_equal(got.nroots, 2);
    assert_memory_equal(got.roots, roots, sizeof roots);
    assert_true(sm_span_eq(got.label, m.label) && sm_span_eq(got.item, m.item) && sm_span_eq(got.facts, m.facts));
    assert_int_equal(manifest_verify(sm_buf_span(&b), dev.public_key), 0);
    for (size_t i = 0; i < b.n; i++) {
        b.p[i] ^= 4;
        assert_int_equal(manifest_verify(sm_buf_span(&b), dev.public_key), -SM_EAUTH);
        b.p[i] ^= 4;
    }
    for (size_t n = 0; n < b.n; n++)
        assert_true(manifest_parse(SM_SPAN(b.p, n), &got) < 0);
    manifest_id(sm_buf_span(&b), &id);
    seed[0] = 10;
    assert_int_equal(crypto_sign_from_seed(seed, &head), 0);
    assert_int_equal(manifest_countersign(&id, 77, 1790000001, &head, sig), 0);
    assert_int_equal(manifest_countersign_verify(&id, 77, 1790000001, head.public_key, sig), 0);
    assert_int_equal(manifest_countersign_verify(&id, 78, 1790000001, head.public_key, sig), -SM_EAUTH);
    m.nroots = 0;
    assert_int_equal(manifest_build(&m, &dev, &b), -SM_EINVAL);
    sm_buf_wipe(&b);
}

/* ---- metadata ---- */

static void metadata_comes_back_whole(void **state)
{
    struct plat_meta m = {.type = PLAT_CHAR,
                         .mode = 04755,
                         .uid = 1000,
                         .gid = 100,
                         .user = "sato",
                         .group = "clinic",
                         .mtime = {-1, 999999999},
                         .ctime = {2, 3},
                         .btime = {4, 5},
                         .has_btime = true,
                         .rdev_major = 1,
                         .rdev_minor = 9,
                         .attr_flags = 0x10 | 0x100000000ull},
                     got;
    struct meta_extra x = {.has_link = true,
                          .link_group = 42,
                          .link_count = 2,
                          .sparse = true,
                          .changed_while_read = true},
                      gx;
    struct sm_buf b = {0}, again = {0};
    assert_int_equal(plat_meta_add_xattr(&m, "user.a", SM_SPAN_STR("long value of the first")), 0);
    assert_int_equal(plat_meta_add_xattr(&m, "security.capability", SM_SPAN("\0\1\2", 3)), 0);
    assert_int_equal(plat_meta_add_xattr(&m, "system.posix_acl_access", SM_SPAN("\2\0\0\0", 4)), 0);
    assert_int_equal(meta_from_plat(&m, &x, META_WITH_CTIME, &b), 0);
    assert_int_equal(meta_check(sm_buf_span(&b)), 0);
    assert_int_equal(meta_to_plat(sm_buf_span(&b), PLAT_CHAR, &got, &gx), 0);
    assert_int_equal(got.mode, 04755);
    assert_int_equal(got.mtime.s, -1);
    assert_int_equal(got.mtime.ns, 999999999);
    assert_string_equal(got.user, "sato");
    assert_int_equal(got.xattr_n, 3);
    assert_int_equal(got.rdev_minor, 9);
    assert_int_equal(got.attr_flags, 0x10);
    assert_true(gx.has_link && gx.sparse && gx.changed_while_read && !gx.canary);
    assert_int_equal(gx.link_group, 42);
    assert_int_equal(meta_from_plat(&got, &gx, META_WITH_CTIME, &again), 0);
    assert_true(sm_span_eq(sm_buf_span(&b), sm_buf_span(&again)));
    plat_meta_wipe(&m);
    plat_meta_wipe(&got);
    sm_buf_wipe(&b);
    sm_buf_wipe(&again);
}

static void metadata_of_other_systems_is_passed_over_and_disorder_refused(void **state)
{
    const uint8_t odd[] = {1, 0, 40, 1, 'x', 2, 1, 2, 1, 2, 3, 99, 0};
    const uint8_t disorder[] = {1, 2, 1, 0, 0, 40, 0}, twice[] = {1, 0, 40, 1, 'x', 0, 40, 1, 'x'};
    const uint8_t two_modes[] = {1, 1, 1, 4, 1, 0, 0, 0, 1, 1, 4, 2, 0, 0, 0}, short_mode[] = {1, 1, 1, 1, 1};
    struct meta_it it;
    struct meta_entry e;
    struct plat_meta m;
    assert_int_equal(meta_begin(SM_SPAN(odd, sizeof odd), &it), 0);
    assert_int_equal(meta_next(&it, &e), 1);
    assert_int_equal(e.type, 40);
    assert_int_equal(meta_next(&it, &e), 1);
    assert_int_equal(meta_next(&it, &e), 1);
    assert_int_equal(e.os, 3);
    assert_int_equal(meta_next(&it, &e), 0);
    assert_int_equal(meta_to_plat(SM_SPAN(odd, sizeof odd), PLAT_FILE, &m, NULL), 0);
    plat_meta_wipe(&m);
    assert_int_equal(meta_check(SM_SPAN(disorder, sizeof disorder)), -SM_EFORMAT);
    assert_int_equal(meta_check(SM_SPAN(twice, sizeof twice)), -SM_EFORMAT);
    assert_int_equal(meta_check(SM_SPAN("\2", 1)), -SM_EVERSION);
    assert_int_equal(meta_check(SM_SPAN("", 0)), -SM_EFORMAT);
    assert_int_equal(meta_to_plat(SM_SPAN(two_modes, sizeof two_modes), PLAT_FILE, &m, NULL), -SM_EFORMAT);
    assert_int_equal(meta_to_plat(SM_SPAN(short_mode, sizeof short_mode), PLAT_FILE, &m, NULL), -SM_EFORMAT);
}

/* ---- directory pages ---- */

struct pages {
    struct test_store store;
    struct sm_buf infos;
};

static int keep_page(void *arg, const struct chunk_info *info, struct sm_span sealed)
{
    struct pages *p = arg;
    int r = test_store_put(&p->store, &info->cid, sealed);
    return r < 0 ? r : sm_buf_put(&p->infos, info, sizeof *info);
}

static size_t page_count(const struct pages *p)
{
    return p->infos.n / sizeof(struct chunk_info);
}

static const struct chunk_info *page_info(const struct pages *p, size_t i)
{
    return (const struct chunk_info *)(const void *)p->infos.p + i;
}

static void pages_wipe(struct pages *p)
{
    test_store_wipe(&p->store);
    sm_buf_wipe(&p->infos);
}

static const struct sm_span plain_meta = {(const uint8_t *)"\1", 1};

static void build_folder(struct seal_ctx *c, struct pages *ret, unsigned from, unsigned to, unsigned skip)
{
    struct seal_keys k = test_keys();
    struct dirpage_builder *b;
    size_t n;
    assert_int_equal(dirpage_builder_new(c, &k, false, keep_page, ret, &b), 0);
    for (unsigned i = from; i < to; i++) {
        char name[32];
        struct part p = {.length = 10 + i};
        uint8_t item[48];
        struct dirpage_stream s = {.size = 10 + i,
            .layout = LAYOUT_CHUNKS,
            .envelope = {{0xee}},
            .counter = i,
            .parts = &p,
            .nparts = 1,
            .item = SM_SPAN(item, sizeof item)};
        struct dirpage_entry e = {.kind = ENTRY_FILE, .meta = plain_meta, .streams = &s, .nstreams = 1};
        if (i == skip)
            continue;
        test_fill(p.cid.b, 32, i);
        test_fill(item, sizeof item, i);
        (void)snprintf(name, sizeof name, "f%06u", i);
        e.name = SM_SPAN_STR(name);
        assert_int_equal(dirpage_add(b, &e), 0);
        assert_int_equal(dirpage_add(b, &e), -SM_EINVAL); /* twice the same name */
    }
    assert_int_equal(dirpage_finish(b, &n), 0);
    assert_int_equal(n, page_count(ret));
    dirpage_builder_free(b);
}

static void a_large_folder_becomes_pages_that_read_back(void **state)
{
    struct seal_ctx *c = test_ctx();
    struct pages p = {0};
    unsigned seen = 0;
    build_folder(c, &p, 0, 5000, 99999);
    assert_in_range(page_count(&p), 5000 / 1024, 5000 / 128);
    for (size_t i = 0; i < page_count(&p); i++) {
        struct page_refs refs;
        struct sm_buf body = {0};
        struct dirpage d;
        struct dirpage_it it;
        struct entry_view e;
        struct stream_view s;
        assert_int_equal(page_open(c, sm_buf_span(&test_store_find(&p.store, &page_info(&p, i)->cid)->bytes),
                             OBJ_DIRPAGE, &test_client, &page_info(&p, i)->ck, &refs, &body),
            0);
        assert_int_equal(dirpage_parse(&refs, sm_buf_span(&body), false, &d), 0);
        dirpage_begin(&d, &it);
        while (dirpage_next(&it, &e)) {
            char name[32];
            struct part part;
            (void)snprintf(name, sizeof name, "f%06u", seen);
            assert_true(sm_span_eq(e.name, SM_SPAN_STR(name)));
            assert_int_equal(dirpage_find(&d, e.name, &e), 1);
            assert_int_equal(stream_at(&e, 0, &s), 0);
            assert_int_equal(s.size, 10 + seen);
            assert_int_equal(s.counter, seen);
            assert_int_equal(s.envelope.b[0], 0xee);
            struct cid want;
            test_fill(want.b, 32, seen);
            parts_decode(s.parts_raw, &s.refs, s.nparts, &part);
            assert_true(cid_eq(&part.cid, &want));
            assert_int_equal(stream_at(&e, 1, &s), -SM_ENOTFOUND);
            seen++;
        }
        sm_buf_wipe(&body);
    }
    assert_int_equal(seen, 5000);
    pages_wipe(&p);
    seal_ctx_free(c);
}

static void one_removed_file_changes_at_most_two_pages(void **state)
{
    struct seal_ctx *c = test_ctx();
    struct pages a = {0}, b = {0};
    size_t same = 0;
    build_folder(c, &a, 0, 5000, 99999);
    build_folder(c, &b, 0, 5000, 2500);
    for (size_t i = 0; i < page_count(&b); i++)
        same += test_store_find(&a.store, &page_info(&b, i)->cid) != NULL;
    assert_true(same + 2 >= page_count(&b));
    pages_wipe(&a);
    pages_wipe(&b);
    seal_ctx_free(c);
}

/* A body by hand: one file "a" with one chunk, refs {chunk, envelope} as given. */
struct body_with {
    uint64_t envelope, ref, offset, length, size;
    size_t item;
    const char *name;
    uint8_t layout, kind;
};

static int parse_body(struct body_with w, uint32_t nrefs)
{
    struct cid refs[3] = {{{1}}, {{2}}, {{3}}};
    struct page_refs r = {.ref = refs, .n = nrefs};
    struct sm_buf b = {0};
    struct dirpage d;
    uint8_t item[200] = {0};
    int e;
    if (sm_buf_put(&b, "\1\1", 2) < 0 || sm_buf_put_blob(&b, SM_SPAN_STR(w.name)) < 0 ||
        sm_buf_put_u8(&b, w.kind) < 0 || sm_buf_put_blob(&b, plain_meta) < 0 || sm_buf_put(&b, "\1\0", 2) < 0 ||
        sm_buf_put_varint(&b, w.size) < 0 || sm_buf_put_u8(&b, w.layout) < 0 || sm_buf_put_varint(&b, w.envelope) < 0 ||
        sm_buf_put(&b, "\5\1", 2) < 0 || sm_buf_put_varint(&b, w.ref) < 0 ||
        (w.ref && sm_buf_put_varint(&b, w.offset) < 0) || sm_buf_put_varint(&b, w.length) < 0 ||
        sm_buf_put_blob(&b, SM_SPAN(item, w.item)) < 0)
        fail();
    e = dirpage_parse(&r, sm_buf_span(&b), false, &d);
    sm_buf_wipe(&b);
    return e;
}

static void bodies_that_break_the_format_are_refused(void **state)
{
    const struct body_with good = {.envelope = 1,
        .ref = 1,
        .length = 9,
        .size = 9,
        .item = 48,
        .name = "a",
        .layout = LAYOUT_CHUNKS,
        .kind = ENTRY_FILE};
    struct body_with w;
    assert_int_equal(parse_body(good, 2), 0);
    assert_int_equal(parse_body(good, 3), -SM_EFORMAT); /* a ref nobody names */
    assert_int_equal(parse_body(good, 1), -SM_EFORMAT); /* index out of range */
#define BAD(field, value, err) w = good, w.field = value, assert_int_equal(parse_body(w, 2), -(err))
    BAD(ref, 3, SM_EFORMAT);
    BAD(ref, UINT64_MAX, SM_EFORMAT);
    BAD(ref, 2, SM_EFORMAT); /* then nobody names the first */
    BAD(envelope, 2, SM_EFORMAT);
    BAD(length, 8, SM_EFORMAT); /* not the size */
    BAD(length, 0, SM_EFORMAT);
    BAD(offset, CHUNK_PLAIN_MAX, SM_EFORMAT);
    BAD(offset, CHUNK_PLAIN_MAX - 8, SM_EFORMAT);
    BAD(item, 49, SM_EFORMAT);
    BAD(item, 16, SM_EFORMAT);
    BAD(name, "", SM_EFORMAT);
    BAD(name, ".", SM_EFORMAT);
    BAD(name, "..", SM_EFORMAT);
    BAD(name, "a/b", SM_EFORMAT);
    BAD(kind, ENTRY_DIR, SM_EFORMAT);
    BAD(kind, ENTRY_SYMLINK, SM_EFORMAT);
    BAD(kind, 8, SM_EFORMAT);
    BAD(layout, LAYOUT_DIRPAGES, SM_EFORMAT);
    BAD(layout, 4, SM_EFORMAT);
    w = good, w.offset = 5, w.layout = LAYOUT_STREAMPAGES;
    assert_int_equal(parse_body(w, 2), -SM_EFORMAT);
    w = good, w.ref = 0; /* only a hole, but an item */
    assert_int_equal(parse_body(w, 2), -SM_EFORMAT);
}

static void names_out_of_order_or_double_are_refused(void **state)
{
    const char *const pairs[][2] = {{"b", "a"}, {"a", "a"}, {"aa", "a"}};
    for (size_t i = 0; i < 3; i++) {
        struct sm_buf b = {0};
        struct page_refs none = {0};
        struct dirpage d;
        assert_int_equal(sm_buf_put(&b, "\1\2", 2), 0);
        for (int j = 0; j < 2; j++) {
            assert_int_equal(sm_buf_put_blob(&b, SM_SPAN_STR(pairs[i][j])), 0);
            assert_int_equal(sm_buf_put(&b, "\4\1\1\0", 4), 0);
        }
        assert_int_equal(dirpage_parse(&none, sm_buf_span(&b), false, &d), -SM_EFORMAT);
        sm_buf_wipe(&b);
    }
}

static void roots_are_absolute_paths_in_their_one_form(void **state)
{
    const char *good[] = {"/", "/a", "/home/佐藤/x"}, *bad[] = {"", "a", "//", "/a/", "/a//b", "/a/../b", "/.", "/a/."};
    for (size_t i = 0; i < 3; i++)
        assert_true(dirpage_name_ok(SM_SPAN_STR(good[i]), true));
    for (size_t i = 0; i < 8; i++)
        assert_false(dirpage_name_ok(SM_SPAN_STR(bad[i]), true));
}

/* ---- stream pages ---- */

static void a_stream_of_any_length_is_listed_whole(void **state)
{
    const size_t counts[] = {0, 1, 2048, 2049, 20000, 1200000};
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    for (size_t i = 0; i < 6; i++) {
        struct pages p = {0};
        struct stream_builder *b;
        struct stream_result s;
        uint64_t sum = 0;
        assert_int_equal(stream_builder_new(c, &k, keep_page, &p, &b), 0);
        for (size_t j = 0; j < counts[i]; j++) {
            struct part part = {.length = 1000, .hole = j % 1000 == 999};
            struct chunk_key ck = {{1}};
            uint64_t seed = j;
            uint64_t v = test_next(&seed);
            memcpy(part.cid.b, &v, 8);
            assert_int_equal(stream_add(b, &part, &ck), 0);
        }
        assert_int_equal(stream_finish(b, &s), 0);
        assert_int_equal(s.size, counts[i] * 1000);
        assert_int_equal(s.layout, counts[i] == 0     ? LAYOUT_NONE
                                   : counts[i] > 2048 ? LAYOUT_STREAMPAGES
                                                      : LAYOUT_CHUNKS);
        assert_true(s.nparts <= 2048);
        for (size_t j = 0; j < s.nparts; j++)
            sum += s.parts[j].length;
        assert_int_equal(sum, s.size);
        assert_int_equal(page_count(&p) > 0, counts[i] > 2048);
        for (size_t j = 0; j < page_count(&p); j++) {
            struct page_refs refs;
            struct sm_buf body = {0};
            struct streampage sp;
            assert_int_equal(page_open(c, sm_buf_span(&p.store.o[j].bytes), OBJ_STREAMPAGE, NULL, &page_info(&p, j)->ck,
                                 &refs, &body),
                0);
            assert_int_equal(streampage_parse(&refs, sm_buf_span(&body), &sp), 0);
            sm_buf_wipe(&body);
            if (j > 200)
                break;
        }
        stream_builder_free(b);
        pages_wipe(&p);
    }
    seal_ctx_free(c);
}

static void a_hole_is_never_a_chunk_and_holes_side_by_side_are_one(void **state)
{
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    struct pages p = {0};
    struct stream_builder *b;
    struct stream_result s;
    struct part hole = {.length = 1 << 20, .hole = true};
    assert_int_equal(stream_builder_new(c, &k, keep_page, &p, &b), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(stream_add(b, &hole, NULL), 0);
    assert_int_equal(stream_finish(b, &s), 0);
    assert_int_equal(s.layout, LAYOUT_NONE);
    assert_int_equal(s.size, 3 << 20);
    stream_reset(b);
    assert_int_equal(stream_add(b, &(struct part){.length = 5}, NULL), -SM_EINVAL);
    assert_int_equal(stream_add(b, &hole, NULL), 0);
    assert_int_equal(stream_add(b, &hole, NULL), 0);
    assert_int_equal(stream_add(b, &(struct part){.cid = {{1}}, .length = 5}, &(struct chunk_key){{2}}), 0);
    assert_int_equal(stream_finish(b, &s), 0);
    assert_int_equal(s.layout, LAYOUT_CHUNKS);
    assert_int_equal(s.nparts, 2);
    assert_int_equal(s.nkeys, 1);
    stream_builder_free(b);
    pages_wipe(&p);
    seal_ctx_free(c);
}

/* ---- faults ---- */

static int pages_back(struct seal_ctx *c, const struct pages *p, struct sm_buf *body)
{
    struct page_refs refs;
    struct dirpage d;
    struct sm_span sealed = sm_buf_span(&p->store.o[0].bytes);
    int e = page_open(c, sealed, OBJ_DIRPAGE, NULL, &page_info(p, 0)->ck, &refs, body);
    return e < 0 ? e : dirpage_parse(&refs, sm_buf_span(body), false, &d);
}

static int write_folder(struct seal_ctx *c, const struct seal_keys *k, const struct cid *env, struct pages *p)
{
    struct part part[2] = {{.cid = {{1}}, .length = 5}, {.cid = {{2}}, .length = 6}};
    const struct chunk_key keys[2] = {{{3}}, {{4}}};
    struct sm_buf item = {0};
    struct dirpage_stream s = {.size = 11, .layout = LAYOUT_CHUNKS, .envelope = *env, .parts = part, .nparts = 2};
    struct dirpage_entry e = {.name = SM_SPAN_STR("a"), .kind = ENTRY_FILE, .streams = &s, .nstreams = 1};
    struct dirpage_builder *b;
    size_t n;
    int r = item_seal(c, &keys[0], 1, env, LAYOUT_CHUNKS, part, 2, keys, 2, &item);
    s.item = sm_buf_span(&item);
    e.meta = plain_meta;
    if (r == 0 && (r = dirpage_builder_new(c, k, false, keep_page, p, &b)) == 0) {
        if ((r = dirpage_add(b, &e)) == 0)
            r = dirpage_finish(b, &n);
        dirpage_builder_free(b);
    }
    sm_buf_wipe(&item);
    return r;
}

static int a_run(struct seal_ctx *c, const struct seal_keys *k, struct sm_span set, struct sm_buf out[3],
    struct pages *p, struct crypto_sign_pair *dev)
{
    struct file_key f;
    struct cid env;
    uint8_t item[48] = {0};
    struct plat_meta pm = {.type = PLAT_SYMLINK}, back;
    int r;
    if ((r = envelope_make(&test_vault, &test_client, set, &f, &env, &out[0])) < 0 ||
        (r = write_folder(c, k, &env, p)) < 0 || (r = pages_back(c, p, &out[1])) < 0)
        return r;
    struct manifest m = {.run = RUN_ADHOC,
        .status = RUN_PARTIAL,
        .roots = &env,
        .nroots = 1,
        .item = SM_SPAN(item, sizeof item)};
    if ((r = manifest_build(&m, dev, &out[2])) < 0 || (r = manifest_verify(sm_buf_span(&out[2]), dev->public_key)) < 0)
        return r;
    sm_buf_clear(&out[2]);
    if ((r = sm_buf_put(&pm.target, "x", 1)) == 0 && (r = meta_from_plat(&pm, NULL, 0, &out[2])) == 0 &&
        (r = meta_to_plat(sm_buf_span(&out[2]), PLAT_SYMLINK, &back, NULL)) == 0)
        plat_meta_wipe(&back);
    plat_meta_wipe(&pm);
    return r;
}

static void every_failing_allocation_is_a_clean_error(void **state)
{
    struct crypto_x25519_pair pair[2];
    struct crypto_sign_pair dev;
    struct seal_keys k;
    struct sm_buf set = {0};
    bool fired = true;
    uint64_t n;
    assert_int_equal(crypto_init(), 0);
    k = test_keys();
    test_recipients(pair, &set);
    assert_int_equal(crypto_sign_generate(&dev), 0);
    for (n = 1; fired; n++) {
        struct seal_ctx *c = test_ctx();
        struct sm_buf out[3] = {{0}, {0}, {0}};
        struct pages p = {0};
        int r;
        plat_fault_set(PLAT_OP_ALLOC, n, ENOMEM);
        r = a_run(c, &k, sm_buf_span(&set), out, &p, &dev);
        fired = plat_fault_fired();
        plat_fault_clear();
        assert_int_equal(r, fired ? -ENOMEM : 0);
        for (int i = 0; i < 3; i++)
            sm_buf_wipe(&out[i]);
        pages_wipe(&p);
        seal_ctx_free(c);
    }
    assert_true(n > 20);
    sm_buf_wipe(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_opens_only_with_its_f_counter_envelope_layout_and_parts),
        cmocka_unit_test(a_stolen_cache_with_k_id_opens_no_chunk_without_its_plain_bytes),
        cmocka_unit_test(any_recipient_opens_an_envelope_and_gets_the_same_f),
        cmocka_unit_test(one_changed_byte_of_an_envelope_is_found_by_every_opener),
        cmocka_unit_test(a_good_wrap_beside_a_bad_one_is_refused_by_both),
        cmocka_unit_test(a_slipped_in_recipient_changes_the_fingerprint_and_breaks_the_wraps),
        cmocka_unit_test(recipient_sets_have_one_form_and_low_order_keys_are_refused),
        cmocka_unit_test(a_manifest_reads_back_and_no_byte_of_it_can_change),
        cmocka_unit_test(metadata_comes_back_whole),
        cmocka_unit_test(metadata_of_other_systems_is_passed_over_and_disorder_refused),
        cmocka_unit_test(a_large_folder_becomes_pages_that_read_back),
        cmocka_unit_test(one_removed_file_changes_at_most_two_pages),
        cmocka_unit_test(bodies_that_break_the_format_are_refused),
        cmocka_unit_test(names_out_of_order_or_double_are_refused),
        cmocka_unit_test(roots_are_absolute_paths_in_their_one_form),
        cmocka_unit_test(a_stream_of_any_length_is_listed_whole),
        cmocka_unit_test(a_hole_is_never_a_chunk_and_holes_side_by_side_are_one),
        cmocka_unit_test(every_failing_allocation_is_a_clean_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
