/* Following a box that took over from a copy: what an order of the recovery sheet explains, and what it does not. */
#include "../test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ipc.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "plat/fs.h"
#include "plat/local.h"
#include "sakimori-agent/follow.h"
#include "vault/store/takeover.h"

static char dir[64];
static int cache;
static struct crypto_sign_pair head_key, orders;
static const struct vault_id vault = {"0123456789abcde"};

/* The record behind (seq 7, hash of zeros), as the box would prove it, and the hash it leads to (FORMAT section 6). */
static uint8_t record[36 + 2 + 32], record_hash[32];

static void make_record(void)
{
    static const uint8_t before[32];
    const struct sm_span parts[] = {SM_SPAN_STR("sakimori/v1/journal"), SM_SPAN(before, 32), SM_SPAN(record, 38)};
    record[0] = sizeof record - 4;
    record[4] = 8;
    record[32] = 5;
    memcpy(record + 36, "{}", 2);
    crypto_sha256v(parts, 3, record_hash);
    memcpy(record + 38, record_hash, 32);
}

/* A link whose box answers every question about its chain with this status, and with 200 that record. */
struct box { int fd; uint16_t status; unsigned asked; };

static void *serve(void *arg)
{
    static const struct sm_ipc_rule rule[] = {{L_CALL, 1 << 20, false, "L_CALL"}};
    const struct sm_ipc_config c = {.may_receive = rule, .may_receive_n = 1, .body_max = 1 << 20, .queue_max = 1 << 20};
    struct box *b = arg;
    struct sm_ipc *ipc = NULL;
    struct sm_ipc_msg m;
    if (sm_ipc_new(NULL, b->fd, &c, &ipc))
        return NULL;
    while (sm_ipc_recv(ipc, 20000, &m) == 0) {
        uint8_t answer[2 + sizeof record] = {(uint8_t)b->status, (uint8_t)(b->status >> 8)};
        memcpy(answer + 2, record, sizeof record);
        b->asked++;
        (void)!sm_ipc_reply(ipc, &m, 0, SM_SPAN(answer, b->status == 200 ? sizeof answer : 2), -1); /* a test that ended */
    }
    sm_ipc_free(ipc);
    return NULL;
}

static void head_hex(uint64_t seq, char ret[257])
{
    struct journal_signed_head h = {.s = 1700000000};
    struct sm_buf m = SM_BUF_INIT(512), b = SM_BUF_INIT(256);
    memcpy(h.vault, vault.b, 16);
    h.head.seq = seq;
    memcpy(h.head.hash, record_hash, 32);
    assert_ok(journal_head_message(&h, &m));
    assert_ok(crypto_sign(&head_key, sm_buf_span(&m), h.sig));
    assert_ok(journal_head_put(&h, &b));
    sm_hex(b.p, b.n, ret);
    sm_buf_wipe(&m);
    sm_buf_wipe(&b);
}

static json_t *order_of(uint64_t seq, uint8_t nonce, const struct crypto_sign_pair *by, bool other_vault)
{
    struct takeover t = {.vault = vault, .from = {.seq = seq}};
    struct sm_buf text = SM_BUF_INIT(TAKEOVER_TEXT_MAX), m = SM_BUF_INIT(TAKEOVER_TEXT_MAX + 64);
    uint8_t sig[64];
    char hex[129];
    t.vault.b[0] ^= other_vault;
    memset(t.nonce, nonce, 16);
    assert_ok(takeover_put(&t, "2026-11-22T05:30:00Z", &text));
    assert_ok(takeover_message(sm_buf_span(&text), &m));
    assert_ok(crypto_sign(by, sm_buf_span(&m), sig));
    sm_hex(sig, 64, hex);
    json_t *o = json_pack("{s:s%,s:s}", "order", (const char *)text.p, text.n, "sig", hex);
    sm_buf_wipe(&text);
    sm_buf_wipe(&m);
    return o;
}

static struct heads heads_at(uint64_t seq, uint8_t fill)
{
    struct heads h = {.vault = vault};
    memcpy(h.head_pub, head_key.public_key, 32);
    h.last.seq = seq;
    memset(h.last.hash, fill, 32);
    return h;
}

/* The box's head is (seq 8); 1: followed. */
static int follow(struct heads *h, json_t *order, bool proven, uint16_t status)
{
    const struct sm_ipc_config c = {.body_max = 1 << 20, .queue_max = 1 << 20};
    int pair[2];
    char hex[257];
    pthread_t thread;
    struct sm_ipc *link = NULL;
    assert_ok(plat_local_pair(pair));
    struct box b = {.fd = pair[1], .status = status};
    assert_int_equal(pthread_create(&thread, NULL, serve, &b), 0);
    assert_ok(sm_ipc_new(NULL, pair[0], &c, &link));
    head_hex(8, hex);
    int r = follow_takeover(h, cache, order, hex, proven, link);
    sm_ipc_free(link);
    pthread_join(thread, NULL);
    json_decref(order);
    return r;
}

static void pin(const struct crypto_sign_pair *who)
{
    char hex[65];
    sm_hex(who->public_key, 32, hex);
    follow_pin(cache, hex);
}

static void after_a_change_of_the_sheet_only_the_new_one_explains_anything(void **s)
{
    struct crypto_sign_pair next;
    struct heads h = heads_at(20, 1);
    (void)s;
    assert_ok(crypto_sign_generate(&next));
    pin(&orders);
    follow_trust(cache, next.public_key);
    pin(&orders); /* of an order that is signed by the box alone */
    assert_int_equal(follow(&h, order_of(7, 61, &orders, false), false, 200), 0);
    assert_int_equal(h.last.seq, 20);
    assert_int_equal(follow(&h, order_of(7, 62, &next, false), false, 200), 1);
    follow_trust(cache, orders.public_key);
}

static void only_an_order_of_the_sheet_explains_a_head_that_went_back(void **s)
{
    struct crypto_sign_pair other;
    struct heads h = heads_at(20, 1);
    (void)s;
    assert_ok(crypto_sign_generate(&other));
    assert_int_equal(follow(&h, order_of(7, 1, &orders, false), false, 200), 0); /* no key is kept here yet */
    pin(&orders);
    pin(&other); /* the first one stays */
    assert_int_equal(follow(&h, order_of(7, 1, &other, false), false, 200), 0);
    assert_int_equal(follow(&h, order_of(7, 1, &orders, true), false, 200), 0);
    assert_int_equal(follow(&h, order_of(20, 1, &orders, false), false, 200), 0); /* nothing that was behind it */
    assert_int_equal(follow(&h, order_of(7, 1, &orders, false), false, 409), 0);  /* the box does not go on from there */
    assert_int_equal(follow(&h, order_of(7, 1, &orders, false), false, 413), 0);  /* "too long" is no proof */
    assert_int_equal(follow(&h, order_of(9, 1, &orders, false), false, 200), 0);  /* its head is before that */
    assert_int_equal(h.last.seq, 20);
    assert_int_equal(follow(&h, order_of(7, 1, &orders, false), false, 200), 1);
    assert_int_equal(h.last.seq, 8);
    /* Rolled back once more, with the same paper. */
    h = heads_at(30, 1);
    assert_int_equal(follow(&h, order_of(7, 1, &orders, false), false, 200), 0);
    assert_int_equal(h.last.seq, 30);
    assert_int_equal(follow(&h, order_of(7, 2, &orders, false), false, 200), 1);
}

static void an_order_that_was_not_needed_is_used_up_all_the_same(void **s)
{
    struct heads h = heads_at(6, 1);
    (void)s;
    pin(&orders);
    assert_int_equal(follow(&h, order_of(7, 9, &orders, false), true, 200), 0);
    assert_int_equal(h.last.seq, 6);
    h = heads_at(12, 1);
    assert_int_equal(follow(&h, order_of(7, 9, &orders, false), false, 200), 0);
    assert_int_equal(h.last.seq, 12);
}

static void forgetting_takes_every_cache_about_the_vault_and_nothing_else(void **s)
{
    static const char tree[] = "tree-00112233445566778899aabbccddeeff", other[] = "tree-00112233445566778899aabbccddeef0";
    (void)s;
    for (size_t i = 0; i < 2; i++)
        assert_ok(plat_replace(cache, i ? other : tree, SM_SPAN_STR("x"), 0600));
    assert_ok(plat_replace(cache, "look.0", SM_SPAN_STR("x"), 0600));
    assert_ok(plat_replace(cache, "head", SM_SPAN_STR("x"), 0600));
    follow_forget(cache);
    assert_int_not_equal(faccessat(cache, tree, F_OK, 0), 0);
    assert_int_not_equal(faccessat(cache, other, F_OK, 0), 0);
    assert_int_not_equal(faccessat(cache, "look.0", F_OK, 0), 0);
    assert_int_equal(faccessat(cache, "head", F_OK, 0), 0);
    /* What makes the next run of each source ask before it sends. */
    assert_int_equal(faccessat(cache, "tree-00112233445566778899aabbccddeeff.new", F_OK, 0), 0);
    assert_int_equal(faccessat(cache, "tree-00112233445566778899aabbccddeef0.new", F_OK, 0), 0);
}

static int setup(void **s)
{
    (void)s;
    snprintf(dir, sizeof dir, "/tmp/sakimori-follow-XXXXXX");
    make_record();
    if (!mkdtemp(dir))
        return -1;
    cache = plat_fs_open_dir(AT_FDCWD, dir);
    return cache < 0 || crypto_init() || crypto_sign_generate(&head_key) || crypto_sign_generate(&orders);
}

static int teardown(void **s)
{
    (void)s;
    close(cache);
    return plat_fs_remove_tree(AT_FDCWD, dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_an_order_of_the_sheet_explains_a_head_that_went_back),
        cmocka_unit_test(an_order_that_was_not_needed_is_used_up_all_the_same),
        cmocka_unit_test(forgetting_takes_every_cache_about_the_vault_and_nothing_else),
        cmocka_unit_test(after_a_change_of_the_sheet_only_the_new_one_explains_anything),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
