/* The restore key at rest, FORMAT-vault.md section 9.  The vectors were made apart from this code (Python's cryptography,
 * RFC 9180 by hand): secrets and public bytes are arithmetic series, named below. */
#include "vault_test.h"

#include "core/err.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "vault/seal/restorekey.h"

static const char escrow_hex[] =
    "534b45310100000102030405060708090a0b0c0d0e0f14ee0e07f34e3a17030c6eecf66d3705e80d1e153f7a0ca5b345"
    "e83ce9d62643bb50ff9e82a574cfbf820e97f60fb9c143ec7415cf514f8cfd98eff59e0596148344397780de3e2add15"
    "0c06052386de1d6b22722c18c2c55fdbf6834946515ef7703107c573c7080a72dc60c148a107f23f62afe9c67110360c"
    "47be26eff873c4d3e867827219efb55f767696e67d76";
static const char wrap_hex[] =
    "534b573101000000040003000000010000006465666768696a6b6c6d6e6f7071727332333435363738393a3b3c3dcf91"
    "2298fd858f51c99c080dfcd1e45305a36ca0e19556b77ee4eb126af4cea8375ef534abb9c3735be0d6f51da0434c14ee"
    "0e07f34e3a17030c6eecf66d3705e80d1e153f7a0ca5b345e83ce9d62643";
static const char sig_hex[] =
    "2c499f9a95bf06f21750417dbc0e3fc2d86adeb500932235a45fa5ffe9f878b2476e1a7671d85713d955773100e3a695"
    "7d79e0d2219f57b0b206097e3766d50d";
static const struct sm_span password = {(const uint8_t *)"sakura-2026-naika", 17};
static const struct vault_id vault = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
static uint8_t escrow[RESTOREKEY_ESCROW_LEN], wrap[RESTOREKEY_WRAP_LEN], sig[64];
static uint8_t card[16], open_secret[32], restore_secret[32], orders_seed[32], challenge[32];
static const struct crypto_pass_cost cheap = {64, 1, 1};

static void series(uint8_t *to, size_t n, unsigned step, unsigned from)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(step * i + from);
}

static int setup(void **state)
{
    (void)state;
    series(card, 16, 31, 0);
    series(open_secret, 32, 7, 3);
    series(restore_secret, 32, 11, 5);
    series(orders_seed, 32, 17, 1);
    series(challenge, 32, 19, 2);
    return sm_unhex(escrow_hex, 2 * sizeof escrow, escrow, sizeof escrow) ||
           sm_unhex(wrap_hex, 2 * sizeof wrap, wrap, sizeof wrap) || sm_unhex(sig_hex, 128, sig, 64) || crypto_init();
}

static void the_escrow_of_the_vector_opens_to_its_key(void **state)
{
    struct crypto_x25519_pair pair;
    (void)state;
    assert_int_equal(restorekey_escrow_open(SM_SPAN(escrow, sizeof escrow), open_secret, &pair), 0);
    assert_memory_equal(pair.secret, restore_secret, 32);
}

static void an_escrow_opens_with_the_sheet_it_was_sealed_to_and_no_other(void **state)
{
    struct crypto_x25519_pair sheet, pair, got;
    struct sm_buf b = SM_BUF_INIT(1024);
    struct restorekey_escrow e;
    uint8_t other[32];
    (void)state;
    assert_int_equal(crypto_x25519_generate(&sheet), 0);
    assert_int_equal(crypto_x25519_generate(&pair), 0);
    assert_int_equal(restorekey_escrow(&vault, sheet.public_key, &pair, &b), 0);
    assert_int_equal(b.n, RESTOREKEY_ESCROW_LEN);
    assert_int_equal(restorekey_escrow_parse(sm_buf_span(&b), &e), 0);
    assert_memory_equal(e.restore_public, pair.public_key, 32);
    assert_int_equal(restorekey_escrow_open(sm_buf_span(&b), sheet.secret, &got), 0);
    assert_memory_equal(got.secret, pair.secret, 32);
    memcpy(other, sheet.secret, 32);
    other[5] ^= 1;
    assert_int_equal(restorekey_escrow_open(sm_buf_span(&b), other, &got), -SM_EMISMATCH);
    sm_buf_wipe(&b);
}

static void every_flipped_bit_of_an_escrow_is_refused(void **state)
{
    struct crypto_x25519_pair pair;
    (void)state;
    for (size_t bit = 0; bit < 8 * sizeof escrow; bit++) {
        escrow[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(restorekey_escrow_open(SM_SPAN(escrow, sizeof escrow), open_secret, &pair) < 0);
        escrow[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < sizeof escrow; n++)
        assert_int_equal(restorekey_escrow_open(SM_SPAN(escrow, n), open_secret, &pair), -SM_EFORMAT);
}

/* Sealed to the right sheet by somebody who does not have the key it names. */
static void an_escrow_that_holds_another_key_than_it_names_is_refused(void **state)
{
    struct crypto_x25519_pair sheet, pair, got;
    struct sm_buf b = SM_BUF_INIT(1024);
    (void)state;
    assert_int_equal(crypto_x25519_generate(&sheet), 0);
    assert_int_equal(crypto_x25519_generate(&pair), 0);
    pair.public_key[0] ^= 1;
    assert_int_equal(restorekey_escrow(&vault, sheet.public_key, &pair, &b), 0);
    assert_int_equal(restorekey_escrow_open(sm_buf_span(&b), sheet.secret, &got), -SM_EAUTH);
    sm_buf_wipe(&b);
}

static void the_wrap_of_the_vector_opens_with_its_password_and_card(void **state)
{
    struct crypto_x25519_pair pair;
    uint8_t pub[32];
    (void)state;
    assert_int_equal(restorekey_wrap_check(SM_SPAN(wrap, sizeof wrap), &crypto_pass_wrap, pub), 0);
    assert_int_equal(restorekey_unwrap(SM_SPAN(wrap, sizeof wrap), password, card, &pair), 0);
    assert_memory_equal(pair.secret, restore_secret, 32);
    assert_memory_equal(pair.public_key, pub, 32);
}

static void a_wrap_opens_with_password_and_card_together_only(void **state)
{
    struct crypto_x25519_pair pair, got;
    struct sm_buf b = SM_BUF_INIT(1024);
    uint8_t other[16];
    (void)state;
    assert_int_equal(crypto_x25519_generate(&pair), 0);
    assert_int_equal(restorekey_wrap(password, card, &cheap, &pair, &b), 0);
    assert_int_equal(restorekey_unwrap(sm_buf_span(&b), password, card, &got), 0);
    assert_memory_equal(got.secret, pair.secret, 32);
    assert_int_equal(restorekey_unwrap(sm_buf_span(&b), SM_SPAN_STR("another"), card, &got), -SM_EAUTH);
    memcpy(other, card, 16);
    other[0] ^= 1;
    assert_int_equal(restorekey_unwrap(sm_buf_span(&b), password, other, &got), -SM_EAUTH);
    for (size_t i = 18; i < b.n; i++) { /* from the salt on: no costs are touched */
        b.p[i] ^= 0x40;
        assert_true(restorekey_unwrap(sm_buf_span(&b), password, card, &got) < 0);
        b.p[i] ^= 0x40;
    }
    sm_buf_wipe(&b);
}

static void weak_costly_and_unknown_wraps_are_refused_before_any_work(void **state)
{
    uint8_t w[RESTOREKEY_WRAP_LEN], pub[32];
    (void)state;
    for (size_t i = 6; i < 18; i += 4) {
        memcpy(w, wrap, sizeof w);
        memset(w + i, 0xff, 4);
        assert_int_equal(restorekey_wrap_check(SM_SPAN(w, sizeof w), NULL, pub), -SM_ELIMIT);
        memset(w + i, 0, 4);
        assert_int_equal(restorekey_wrap_check(SM_SPAN(w, sizeof w), &crypto_pass_wrap, pub), -SM_ELIMIT);
    }
    memcpy(w, wrap, sizeof w);
    w[4] = 2;
    assert_int_equal(restorekey_wrap_check(SM_SPAN(w, sizeof w), NULL, pub), -SM_EVERSION);
    for (size_t n = 0; n < sizeof wrap; n++)
        assert_int_equal(restorekey_wrap_check(SM_SPAN(wrap, n), NULL, pub), -SM_EFORMAT);
}

static void the_proof_of_the_vector_is_signed_over_the_same_bytes(void **state)
{
    struct crypto_sign_pair orders;
    struct sm_buf text = SM_BUF_INIT(256);
    uint8_t over[32];
    (void)state;
    crypto_sha256(SM_SPAN(wrap, sizeof wrap), over);
    assert_int_equal(crypto_sign_from_seed(orders_seed, &orders), 0);
    assert_int_equal(restorekey_proof_text(challenge, &vault, "card", over, &text), 0);
    assert_int_equal(crypto_sign_verify(orders.public_key, sm_buf_span(&text), sig), 0);
    sm_buf_clear(&text);
    assert_int_equal(restorekey_proof_text(challenge, &vault, "person", over, &text), 0);
    assert_int_equal(crypto_sign_verify(orders.public_key, sm_buf_span(&text), sig), -SM_EAUTH);
    sm_buf_wipe(&text);
    crypto_sign_wipe(&orders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_escrow_of_the_vector_opens_to_its_key),
        cmocka_unit_test(an_escrow_opens_with_the_sheet_it_was_sealed_to_and_no_other),
        cmocka_unit_test(every_flipped_bit_of_an_escrow_is_refused),
        cmocka_unit_test(an_escrow_that_holds_another_key_than_it_names_is_refused),
        cmocka_unit_test(the_wrap_of_the_vector_opens_with_its_password_and_card),
        cmocka_unit_test(a_wrap_opens_with_password_and_card_together_only),
        cmocka_unit_test(weak_costly_and_unknown_wraps_are_refused_before_any_work),
        cmocka_unit_test(the_proof_of_the_vector_is_signed_over_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
