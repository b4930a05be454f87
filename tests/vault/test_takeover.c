/* The order by which another box goes on with a vault, and its record. */
#include "store_kit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "vault/store/takeover.h"

static struct crypto_sign_pair orders;

static void signed_order(const struct takeover *t, struct sm_buf *text, uint8_t sig[64])
{
    struct sm_buf m = SM_BUF_INIT(TAKEOVER_TEXT_MAX + 64);
    assert_int_equal(takeover_put(t, "2026-11-22T05:30:00Z", text), 0);
    assert_int_equal(takeover_message(sm_buf_span(text), &m), 0);
    assert_int_equal(crypto_sign(&orders, sm_buf_span(&m), sig), 0);
    sm_buf_wipe(&m);
}

static struct takeover order_for(const struct kit *k)
{
    struct takeover t = { .vault = k->vault, .from = journal_durable(store_journal(k->st)) };
    memset(t.nonce, 7, 16);
    return t;
}

static void an_order_for_the_present_head_is_recorded_and_found_again(void **s)
{
    struct kit k;
    struct sm_buf text = SM_BUF_INIT(TAKEOVER_TEXT_MAX);
    uint8_t sig[64];
    (void)s;
    kit_init(&k, "takeover");
    assert_int_equal(kit_open(&k, 0), 0);
    assert_null(store_takeover(k.st));
    struct takeover t = order_for(&k), got;
    signed_order(&t, &text, sig);
    assert_int_equal(store_took_over(k.st, sm_buf_span(&text), sig, orders.public_key), 0);
    assert_int_equal(journal_durable(store_journal(k.st)).seq, t.from.seq + 1);
    kit_close(&k);
    assert_int_equal(kit_open(&k, 0), 0);
    const char *kept = json_string_value(json_object_get(store_takeover(k.st), "order"));
    assert_non_null(kept);
    assert_int_equal(takeover_check(SM_SPAN_STR(kept), sig, orders.public_key, &got), 0);
    assert_int_equal(got.from.seq, t.from.seq);
    assert_memory_equal(got.from.hash, t.from.hash, 32);
    assert_memory_equal(got.nonce, t.nonce, 16);
    /* The same order is for that place alone. */
    assert_int_equal(store_took_over(k.st, sm_buf_span(&text), sig, orders.public_key), -SM_EMISMATCH);
    sm_buf_wipe(&text);
    kit_close(&k);
    kit_done(&k);
}

static void an_order_of_another_key_vault_or_head_is_not_recorded(void **s)
{
    struct kit k;
    struct crypto_sign_pair other;
    uint8_t sig[64];
    (void)s;
    kit_init(&k, "takeover2");
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(crypto_sign_generate(&other), 0);
    uint64_t seq = journal_durable(store_journal(k.st)).seq;
    for (int i = 0; i < 4; i++) {
        struct takeover t = order_for(&k);
        struct sm_buf text = SM_BUF_INIT(TAKEOVER_TEXT_MAX);
        t.vault.b[0] ^= i == 0;
        t.from.hash[0] ^= i == 1;
        t.from.seq += i == 2;
        signed_order(&t, &text, sig);
        assert_int_equal(store_took_over(k.st, sm_buf_span(&text), sig, i == 3 ? other.public_key : orders.public_key),
            i == 3 ? -SM_EAUTH : -SM_EMISMATCH);
        sm_buf_wipe(&text);
    }
    assert_int_equal(journal_durable(store_journal(k.st)).seq, seq);
    kit_close(&k);
    kit_done(&k);
}

static void every_altered_byte_of_a_take_over_is_refused(void **s)
{
    struct takeover t = { .from = { .seq = 12 } }, got;
    struct sm_buf text = SM_BUF_INIT(TAKEOVER_TEXT_MAX);
    uint8_t sig[64];
    (void)s;
    signed_order(&t, &text, sig);
    assert_int_equal(takeover_check(sm_buf_span(&text), sig, orders.public_key, &got), 0);
    for (size_t i = 0; i < text.n; i++) {
        text.p[i] ^= 1;
        assert_true(takeover_check(sm_buf_span(&text), sig, orders.public_key, &got) < 0);
        text.p[i] ^= 1;
    }
    /* Sound JSON that is not the one form of it. */
    struct sm_buf spaced = SM_BUF_INIT(TAKEOVER_TEXT_MAX);
    assert_int_equal(sm_buf_put_span(&spaced, sm_buf_span(&text)), 0);
    assert_int_equal(sm_buf_put_u8(&spaced, ' '), 0);
    assert_int_equal(takeover_parse(sm_buf_span(&spaced), &got), -SM_EFORMAT);
    sm_buf_wipe(&spaced);
    sm_buf_wipe(&text);
}

/* A client labels fifty and more of its generations as the box's: those of the box are still looked at. */
static void who_claims_to_be_the_box_uses_up_no_others_tries(void **s)
{
    struct takeover_tries *t = calloc(1, sizeof *t);
    struct client_id liar = {{1}}, box = {{2}};
    (void)s;
    assert_non_null(t);
    for (unsigned i = 0; i < 3 * TAKEOVER_TRIES; i++)
        assert_int_equal(takeover_may_try(t, &liar), i < TAKEOVER_TRIES);
    for (unsigned i = 0; i < TAKEOVER_TRIES; i++)
        assert_true(takeover_may_try(t, &box));
    assert_false(takeover_may_try(t, &box));
    for (unsigned i = 3; i <= TAKEOVER_CLIENTS; i++) {
        struct client_id c = {{(uint8_t)i, (uint8_t)(i >> 8), 3}};
        assert_true(takeover_may_try(t, &c));
    }
    struct client_id more = {{9, 9, 9}};
    assert_false(takeover_may_try(t, &more));
    assert_int_equal(t->n, TAKEOVER_CLIENTS);
    free(t);
}

static void what_a_client_put_in_the_place_of_the_keys_holds_nothing_up(void **s)
{
    struct kit k;
    struct sm_buf got = SM_BUF_INIT(64);
    (void)s;
    kit_init(&k, "takeover3");
    int dir = open(k.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = openat(dir, "plain", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(dir >= 0 && fd >= 0);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    close(fd);
    assert_int_equal(takeover_read(dir, "plain", 10, &got), 0);
    assert_int_equal(got.n, 10);
    assert_int_equal(takeover_read(dir, "plain", 9, &got), -SM_ELIMIT);
    assert_int_equal(symlinkat("plain", dir, "link"), 0);
    assert_int_equal(takeover_read(dir, "link", 64, &got), -ELOOP);
    assert_int_equal(mkfifoat(dir, "pipe", 0600), 0);
    (void)alarm(20); /* it would wait for ever */
    assert_int_equal(takeover_read(dir, "pipe", 64, &got), -SM_EFORMAT);
    (void)alarm(0);
    assert_int_equal(got.n, 10);
    close(dir);
    sm_buf_wipe(&got);
    kit_done(&k);
}

static int setup(void **s)
{
    (void)s;
    return crypto_init() || crypto_sign_generate(&orders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_for_the_present_head_is_recorded_and_found_again),
        cmocka_unit_test(an_order_of_another_key_vault_or_head_is_not_recorded),
        cmocka_unit_test(every_altered_byte_of_a_take_over_is_refused),
        cmocka_unit_test(what_a_client_put_in_the_place_of_the_keys_holds_nothing_up),
        cmocka_unit_test(who_claims_to_be_the_box_uses_up_no_others_tries),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
