/*
 * Vectors of format version 1: what is in the file opens today, and today's code makes the same bytes from the same
 * inputs.  `test_vault_vectors FILE --make` writes the file; it was run once, and is not to be run over a released
 * file. Bytes that zstd makes may differ from version to version: such objects are opened, not compared.
 */
#include "vault_test.h"

#include <jansson.h>

#include "core/json.h"
#include "vault/chunk/cut.h"
#include "vault/pack/pack.h"
#include "vault/snapshot/dirpage.h"
#include "vault/snapshot/manifest.h"
#include "vault/snapshot/streampage.h"

static const char *file_name;
static json_t *stored;

static json_t *hex_of(struct sm_span s)
{
    char *h = malloc(s.n * 2 + 1);
    json_t *j;
    assert_non_null(h);
    sm_hex(s.p, s.n, h);
    j = json_string(h);
    free(h);
    return j;
}

static void put_hex(json_t *o, const char *key, const void *p, size_t n)
{
    assert_int_equal(json_object_set_new(o, key, hex_of(SM_SPAN(p, n))), 0);
}

static void put_buf(json_t *o, const char *key, const struct sm_buf *b)
{
    put_hex(o, key, b->p, b->n);
}

static struct sm_buf bytes_of(const json_t *o, const char *key)
{
    struct sm_buf b = {0};
    const char *s = json_string_value(json_object_get(o, key));
    assert_non_null(s);
    assert_int_equal(sm_buf_reserve(&b, strlen(s) / 2 + 1), 0);
    b.n = strlen(s) / 2;
    assert_int_equal(sm_unhex(s, strlen(s), b.p, b.n), 0);
    return b;
}

/* ---- making ---- */

static void inputs(struct sm_buf ret[2])
{
    uint8_t noise[300];
    test_fill(noise, sizeof noise, 31);
    assert_int_equal(sm_buf_put(&ret[0], noise, sizeof noise), 0);
    for (int i = 0; i < 40; i++)
        assert_int_equal(sm_buf_put_span(&ret[1], SM_SPAN_STR("患者の記録を守る。Sakimori guards the record.\n")), 0);
}

static json_t *make_chunks(struct seal_ctx *c, const struct seal_keys *k)
{
    json_t *a = json_array();
    struct sm_buf in[2] = {{0}, {0}};
    inputs(in);
    for (int zstd = 0; zstd < 2; zstd++)
        for (uint8_t type = OBJ_CHUNK; type <= OBJ_CANARY; type += 4) {
            struct sm_buf sealed = {0};
            struct chunk_hash h;
            uint8_t look[32];
            struct chunk_info i = test_chunk(c, k, type, sm_buf_span(&in[zstd]), zstd ? 3 : 0, &sealed);
            json_t *o = json_object();
            chunk_hash(sm_buf_span(&in[zstd]), &h);
            chunk_look(k, type, &h, look);
            assert_int_equal(i.algorithm, zstd ? OBJ_ZSTD : OBJ_STORED);
            json_object_set_new(o, "type", json_integer(type));
            json_object_set_new(o, "algorithm", json_integer(i.algorithm));
            put_buf(o, "plain", &in[zstd]);
            put_hex(o, "h", h.b, 32);
            put_hex(o, "look", look, 32);
            put_hex(o, "ck", i.ck.b, 32);
            put_buf(o, zstd ? "zstd_sealed" : "sealed", &sealed);
            put_hex(o, zstd ? "zstd_cid" : "cid", i.cid.b, 32);
            json_array_append_new(a, o);
            sm_buf_wipe(&sealed);
        }
    sm_buf_wipe(&in[0]);
    sm_buf_wipe(&in[1]);
    return a;
}

static json_t *make_envelope(struct cid *ret)
{
    struct crypto_x25519_pair pair[2];
    struct sm_buf set = {0}, sealed = {0};
    struct file_key f;
    uint8_t eid[16], fp[32];
    json_t *o = json_object();
    test_recipients(pair, &set);
    test_fill(f.b, 32, 41);
    test_fill(eid, 16, 42);
    recipients_fingerprint(sm_buf_span(&set), fp);
    assert_int_equal(envelope_make_with(&test_vault, &test_client, sm_buf_span(&set), &f, eid, ret, &sealed), 0);
    put_hex(o, "f", f.b, 32);
    put_hex(o, "eid", eid, 16);
    put_hex(o, "secret_sheet", pair[0].secret, 32);
    put_hex(o, "secret_box", pair[1].secret, 32);
    put_buf(o, "recipients", &set);
    put_hex(o, "fingerprint", fp, 32);
    put_buf(o, "sealed", &sealed);
    put_hex(o, "cid", ret->b, 32);
    sm_buf_wipe(&set);
    sm_buf_wipe(&sealed);
    return o;
}

static json_t *make_item(struct seal_ctx *c, const struct cid *envelope, struct part parts[3], struct sm_buf *ret)
{
    struct file_key f;
    struct chunk_key k, keys[2];
    json_t *o = json_object();
    test_fill(f.b, 32, 41);
    test_fill(keys, sizeof keys, 43);
    for (unsigned i = 0; i < 3; i++) {
        parts[i] = (struct part){.length = 1000 + i, .hole = i == 1};
        if (!parts[i].hole) {
            test_fill(parts[i].cid.b, 32, 44 + i);
            parts[i].offset = i * 5;
        }
    }
    assert_int_equal(item_key(&f, &test_client, &k), 0);
    assert_int_equal(item_seal(c, &k, 258, envelope, LAYOUT_CHUNKS, parts, 3, keys, 2, ret), 0);
    put_hex(o, "keys", keys, sizeof keys);
    put_hex(o, "k_item", k.b, 32);
    put_buf(o, "item", ret);
    return o;
}

static int keep(void *arg, const struct chunk_info *info, struct sm_span sealed)
{
    struct sm_buf *b = arg;
    return sm_buf_put(b, info, sizeof *info) < 0 ? -1 : sm_buf_put_span(b, sealed);
}

/* The body as the builder writes it, then sealed without zstd. */
static json_t *make_page(struct seal_ctx *c, const struct seal_keys *k, const struct cid *envelope,
    const struct part parts[3], struct sm_span item, struct sm_buf *ret, struct chunk_info *ret_info)
{
    struct dirpage_stream s = {.size = 3003,
        .layout = LAYOUT_CHUNKS,
        .envelope = *envelope,
        .counter = 258,
        .parts = parts,
        .nparts = 3,
        .item = item};
    struct dirpage_entry e[2] = {{.name = SM_SPAN_STR("karte.db"),
                                     .kind = ENTRY_FILE,
                                     .meta = SM_SPAN("\1\0\7\0", 4),
                                     .streams = &s,
                                     .nstreams = 1},
        {.name = SM_SPAN_STR("予約"), .kind = ENTRY_SYMLINK, .meta = SM_SPAN("\1\0\6\1x", 5)}};
    struct dirpage_builder *b;
    struct sm_buf got = {0}, body = {0};
    struct chunk_info info;
    struct page_refs refs;
    json_t *o = json_object();
    size_t n;
    assert_int_equal(dirpage_builder_new(c, k, false, keep, &got, &b), 0);
    assert_int_equal(dirpage_add(b, &e[0]), 0);
    assert_int_equal(dirpage_add(b, &e[1]), 0);
    assert_int_equal(dirpage_finish(b, &n), 0);
    dirpage_builder_free(b);
    memcpy(&info, got.p, sizeof info);
    assert_int_equal(
        page_open(c, SM_SPAN(got.p + sizeof info, got.n - sizeof info), OBJ_DIRPAGE, NULL, &info.ck, &refs, &body), 0);
    assert_int_equal(
        page_seal(c, k, OBJ_DIRPAGE, refs.ref, refs.n, sm_buf_span(&body), (struct seal_how){0}, ret_info, ret), 0);
    assert_memory_equal(info.ck.b, ret_info->ck.b, 32);
    put_buf(o, "body", &body);
    put_hex(o, "ck", ret_info->ck.b, 32);
    put_buf(o, "sealed", ret);
    put_hex(o, "cid", ret_info->cid.b, 32);
    sm_buf_wipe(&got);
    sm_buf_wipe(&body);
    return o;
}

static json_t *make_manifest(struct seal_ctx *c, const struct cid *envelope, const struct chunk_info *root)
{
    struct crypto_sign_pair dev;
    struct part p = {.cid = root->cid};
    struct file_key f;
    struct chunk_key k;
    struct sm_buf item = {0}, bytes = {0};
    uint8_t seed[32];
    struct cid id;
    json_t *o = json_object();
    test_fill(seed, 32, 51);
    test_fill(f.b, 32, 41);
    assert_int_equal(crypto_sign_from_seed(seed, &dev), 0);
    assert_int_equal(item_key(&f, &test_client, &k), 0);
    assert_int_equal(item_seal(c, &k, 259, envelope, LAYOUT_DIRPAGES, &p, 1, &root->ck, 1, &item), 0);
    struct manifest m = {.vault = test_vault,
        .client = test_client,
        .source = {{3}},
        .run_id = {{4}},
        .number = 1,
        .run = RUN_SCHEDULED,
        .status = RUN_COMPLETE,
        .started_s = 1790000000,
        .finished_s = 1790000100,
        .envelope = *envelope,
        .roots = &root->cid,
        .nroots = 1,
        .counter = 259,
        .item = sm_buf_span(&item),
        .facts = SM_SPAN_STR("{\"facts\":1}"),
        .label = SM_SPAN_STR("夜間")};
    assert_int_equal(manifest_build(&m, &dev, &bytes), 0);
    manifest_id(sm_buf_span(&bytes), &id);
    put_hex(o, "device_seed", seed, 32);
    put_hex(o, "device_public", dev.public_key, 32);
    put_buf(o, "bytes", &bytes);
    put_hex(o, "id", id.b, 32);
    sm_buf_wipe(&item);
    sm_buf_wipe(&bytes);
    return o;
}

static int collect(void *arg, struct sm_span piece)
{
    return sm_buf_put_span(arg, piece);
}

/* One object, so that there is but one order. */
static json_t *make_pack(const struct sm_buf *page, const struct chunk_info *info)
{
    struct pack_builder *b;
    struct sm_buf bytes = {0};
    struct cid id;
    uint64_t n;
    json_t *o = json_object();
    assert_int_equal(pack_builder_new(&test_vault, &test_client, &test_session, PACK_META, &b), 0);
    assert_int_equal(pack_add(b, &info->cid, sm_buf_span(page)), 0);
    assert_int_equal(pack_finish(b, &id, &n), 0);
    assert_int_equal(pack_emit(b, 0, collect, &bytes), 0);
    pack_builder_free(b);
    put_buf(o, "bytes", &bytes);
    put_hex(o, "id", id.b, 32);
    sm_buf_wipe(&bytes);
    return o;
}

static json_t *make_all(void)
{
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    struct part parts[3];
    struct sm_buf item = {0}, page = {0};
    struct chunk_info info;
    struct cid env;
    static struct cut_table t;
    uint8_t key[32];
    json_t *o = json_object();
    json_object_set_new(o, "format", json_integer(1));
    test_fill(key, 32, 101);
    put_hex(o, "k_id", key, 32);
    test_fill(key, 32, 102);
    put_hex(o, "k_look", key, 32);
    put_hex(o, "client", test_client.b, 16);
    put_hex(o, "vault", test_vault.b, 16);
    cut_table_init(&t, &k.id);
    put_hex(o, "gear_0_and_1", t.gear, 16); /* little-endian machines only, like all we build for */
    json_object_set_new(o, "chunks", make_chunks(c, &k));
    json_object_set_new(o, "envelope", make_envelope(&env));
    json_object_set_new(o, "item", make_item(c, &env, parts, &item));
    json_object_set_new(o, "page", make_page(c, &k, &env, parts, sm_buf_span(&item), &page, &info));
    json_object_set_new(o, "manifest", make_manifest(c, &env, &info));
    json_object_set_new(o, "pack", make_pack(&page, &info));
    sm_buf_wipe(&item);
    sm_buf_wipe(&page);
    seal_ctx_free(c);
    return o;
}

/* ---- testing ---- */

static void forget_zstd(json_t *all)
{
    size_t i;
    json_t *o;
    json_array_foreach(json_object_get(all, "chunks"), i, o)
    {
        json_object_del(o, "zstd_sealed");
        json_object_del(o, "zstd_cid");
    }
}

static void today_makes_the_same_bytes(void **state)
{
    json_t *now = make_all(), *then = json_deep_copy(stored);
    const char *key;
    json_t *v;
    forget_zstd(now);
    forget_zstd(then);
    json_object_foreach(then, key, v)
    {
        if (!json_equal(v, json_object_get(now, key)))
            fail_msg("%s differs from the vector", key);
    }
    assert_int_equal(json_object_size(then), json_object_size(now));
    json_decref(now);
    json_decref(then);
}

static void every_chunk_vector_opens(void **state)
{
    struct seal_ctx *c = test_ctx();
    size_t i;
    json_t *o;
    assert_int_equal(json_array_size(json_object_get(stored, "chunks")), 4);
    json_array_foreach(json_object_get(stored, "chunks"), i, o)
    {
        bool zstd = json_integer_value(json_object_get(o, "algorithm")) == OBJ_ZSTD;
        struct sm_buf sealed = bytes_of(o, zstd ? "zstd_sealed" : "sealed"),
                      cid = bytes_of(o, zstd ? "zstd_cid" : "cid"), ck = bytes_of(o, "ck"),
                      plain = bytes_of(o, "plain"), out = {0};
        assert_int_equal(obj_name_check(sm_buf_span(&sealed), (const struct cid *)(void *)cid.p), 0);
        assert_int_equal(
            chunk_open(c, sm_buf_span(&sealed), &test_client, (const struct chunk_key *)(void *)ck.p, &out), 0);
        assert_true(sm_span_eq(sm_buf_span(&plain), sm_buf_span(&out)));
        assert_int_equal(sealed.p[6], json_integer_value(json_object_get(o, "type")));
        sm_buf_wipe(&sealed);
        sm_buf_wipe(&cid);
        sm_buf_wipe(&ck);
        sm_buf_wipe(&plain);
        sm_buf_wipe(&out);
    }
    seal_ctx_free(c);
}

static void the_chain_from_a_recipient_to_the_keys_opens(void **state)
{
    struct seal_ctx *c = test_ctx();
    json_t *e = json_object_get(stored, "envelope"), *m = json_object_get(stored, "manifest"),
           *p = json_object_get(stored, "page"), *it = json_object_get(stored, "item");
    const char *who[] = {"secret_sheet", "secret_box"};
    struct sm_buf env = bytes_of(e, "sealed"), man = bytes_of(m, "bytes"), dev = bytes_of(m, "device_public"),
                  page = bytes_of(p, "sealed"), keys = bytes_of(it, "keys");
    for (int i = 0; i < 2; i++) {
        struct sm_buf secret = bytes_of(e, who[i]), page_key = {0}, body = {0}, got = {0}, parts_buf = {0};
        struct crypto_x25519_pair pair;
        struct file_key f;
        struct chunk_key k;
        struct manifest mf;
        struct part root = {0};
        struct page_refs refs;
        struct dirpage d;
        struct entry_view v;
        struct stream_view s;
        assert_int_equal(crypto_x25519_from_secret(secret.p, &pair), 0);
        assert_int_equal(envelope_open(&test_vault, &test_client, sm_buf_span(&env), &pair, &f), 0);
        assert_int_equal(manifest_verify(sm_buf_span(&man), dev.p), 0);
        assert_int_equal(manifest_parse(sm_buf_span(&man), &mf), 0);
        assert_int_equal(item_key(&f, &test_client, &k), 0);
        root.cid = mf.roots[0];
        assert_int_equal(item_open(c, &k, mf.counter, &mf.envelope, LAYOUT_DIRPAGES, &root, 1, mf.item, &page_key), 0);
        assert_int_equal(obj_name_check(sm_buf_span(&page), &mf.roots[0]), 0);
        assert_int_equal(page_open(c, sm_buf_span(&page), OBJ_DIRPAGE, &test_client,
                             (const struct chunk_key *)(void *)page_key.p, &refs, &body),
            0);
        assert_int_equal(dirpage_parse(&refs, sm_buf_span(&body), false, &d), 0);
        assert_int_equal(dirpage_find(&d, SM_SPAN_STR("karte.db"), &v), 1);
        assert_int_equal(stream_at(&v, 0, &s), 0);
        assert_int_equal(stream_parts(&s, &parts_buf), 0);
        assert_int_equal(item_open(c, &k, s.counter, &s.envelope, s.layout, (struct part *)(void *)parts_buf.p,
                             s.nparts, s.item, &got),
            0);
        assert_true(sm_span_eq(sm_buf_span(&got), sm_buf_span(&keys)));
        sm_buf_wipe(&secret);
        sm_buf_wipe(&page_key);
        sm_buf_wipe(&body);
        sm_buf_wipe(&got);
        sm_buf_wipe(&parts_buf);
    }
    sm_buf_wipe(&env);
    sm_buf_wipe(&man);
    sm_buf_wipe(&dev);
    sm_buf_wipe(&page);
    sm_buf_wipe(&keys);
    seal_ctx_free(c);
}

static void the_pack_vector_proves_itself(void **state)
{
    json_t *o = json_object_get(stored, "pack");
    struct sm_buf bytes = bytes_of(o, "bytes"), id = bytes_of(o, "id");
    struct pack_expect x = {(const struct cid *)(void *)id.p, &test_vault, &test_client, &test_session};
    struct pack_check *c;
    assert_int_equal(pack_check_new(&x, NULL, NULL, &c), 0);
    assert_int_equal(pack_check_put(c, sm_buf_span(&bytes)), bytes.n);
    assert_int_equal(pack_check_left(c), 0);
    pack_check_free(c);
    sm_buf_wipe(&bytes);
    sm_buf_wipe(&id);
}

static int load(void **state)
{
    stored = json_load_file(file_name, JSON_REJECT_DUPLICATES, NULL);
    return stored && crypto_init() == 0 ? 0 : -1;
}

static int unload(void **state)
{
    json_decref(stored);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(today_makes_the_same_bytes),
        cmocka_unit_test(every_chunk_vector_opens),
        cmocka_unit_test(the_chain_from_a_recipient_to_the_keys_opens),
        cmocka_unit_test(the_pack_vector_proves_itself),
    };
    if (argc < 2)
        return 64;
    file_name = argv[1];
    if (argc == 3 && strcmp(argv[2], "--make") == 0) {
        json_t *all = make_all();
        int r = json_dump_file(all, file_name, JSON_INDENT(1));
        json_decref(all);
        return r != 0;
    }
    return cmocka_run_group_tests(tests, load, unload);
}
