/* What keyd keeps, sealed for the box's own backup (FORMAT-vault.md section 13). */
#include "vault_test.h"

#include "core/err.h"
#include "vault/seal/selfkeys.h"

static struct crypto_x25519_pair sheet;
static struct selfkeys sample;
static struct sm_buf sealed;

static int setup(void **state)
{
    (void)state;
    if (crypto_init() || crypto_x25519_generate(&sheet))
        return -1;
    sample = (struct selfkeys){.client = test_client, .n = 3};
    test_fill(sample.sign_pub, 32, 5);
    snprintf(sample.file[0].name, sizeof sample.file[0].name, "keys.json");
    sample.file[0].content = SM_SPAN_STR("{\"head_seed\":\"secret\"}");
    snprintf(sample.file[1].name, sizeof sample.file[1].name, "names");
    snprintf(sample.file[2].name, sizeof sample.file[2].name, "restore.skw");
    sample.file[2].content = SM_SPAN_STR("SKW1...");
    sealed = SM_BUF_INIT(SELFKEYS_MAX);
    return selfkeys_seal(&test_vault, sheet.public_key, &sample, &sealed);
}

static int teardown(void **state)
{
    (void)state;
    sm_buf_wipe(&sealed);
    return 0;
}

static void what_was_sealed_comes_back_file_by_file(void **state)
{
    struct sm_buf plain = SM_BUF_INIT(SELFKEYS_PLAIN_MAX);
    struct selfkeys k;
    (void)state;
    assert_int_equal(selfkeys_open(sm_buf_span(&sealed), &test_vault, sheet.secret, &plain, &k), 0);
    assert_int_equal(k.n, 3);
    assert_true(client_id_eq(&k.client, &test_client));
    assert_memory_equal(k.sign_pub, sample.sign_pub, 32);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(k.file[i].name, sample.file[i].name);
        assert_true(sm_span_eq(k.file[i].content, sample.file[i].content));
    }
    assert_non_null(selfkeys_find(&k, "names"));
    assert_null(selfkeys_find(&k, "name"));
    sm_buf_wipe(&plain);
}

static void another_sheet_or_vault_is_told_from_damage(void **state)
{
    struct crypto_x25519_pair other;
    struct sm_buf plain = SM_BUF_INIT(SELFKEYS_PLAIN_MAX);
    struct vault_id elsewhere = test_vault;
    struct selfkeys k;
    (void)state;
    assert_int_equal(crypto_x25519_generate(&other), 0);
    assert_int_equal(selfkeys_open(sm_buf_span(&sealed), &test_vault, other.secret, &plain, &k), -SM_EMISMATCH);
    elsewhere.b[3] ^= 1;
    assert_int_equal(selfkeys_open(sm_buf_span(&sealed), &elsewhere, sheet.secret, &plain, &k), -SM_EMISMATCH);
    sm_buf_wipe(&plain);
}

static void every_flipped_byte_and_every_cut_of_sealed_keys_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sealed.n; i++) {
        struct sm_buf plain = SM_BUF_INIT(SELFKEYS_PLAIN_MAX);
        struct selfkeys k;
        sealed.p[i] ^= 0x10;
        assert_true(selfkeys_open(sm_buf_span(&sealed), &test_vault, sheet.secret, &plain, &k) < 0);
        sealed.p[i] ^= 0x10;
        assert_true(selfkeys_open(SM_SPAN(sealed.p, i), &test_vault, sheet.secret, &plain, &k) < 0);
        sm_buf_wipe(&plain);
    }
}

static void names_that_lead_elsewhere_or_stand_twice_are_not_sealed(void **state)
{
    static const char *const bad[] = {"", "../x", "a/b", ".hidden", "Upper", "sp ace"};
    struct sm_buf out = SM_BUF_INIT(SELFKEYS_MAX);
    struct selfkeys k = sample;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        k = sample;
        snprintf(k.file[0].name, sizeof k.file[0].name, "%s", bad[i]);
        assert_int_equal(selfkeys_seal(&test_vault, sheet.public_key, &k, &out), -SM_EINVAL);
    }
    k = sample;
    snprintf(k.file[1].name, sizeof k.file[1].name, "keys.json");
    assert_int_equal(selfkeys_seal(&test_vault, sheet.public_key, &k, &out), -SM_EINVAL);
    k.n = 0;
    assert_int_equal(selfkeys_seal(&test_vault, sheet.public_key, &k, &out), -SM_EINVAL);
    assert_int_equal(out.n, 0);
    sm_buf_wipe(&out);
}

static void a_plain_form_with_anything_behind_or_missing_is_refused(void **state)
{
    struct sm_buf plain = SM_BUF_INIT(SELFKEYS_PLAIN_MAX);
    struct selfkeys k;
    (void)state;
    assert_int_equal(selfkeys_open(sm_buf_span(&sealed), &test_vault, sheet.secret, &plain, &k), 0);
    for (size_t n = 0; n < plain.n; n++)
        assert_true(selfkeys_parse(SM_SPAN(plain.p, n), &k) < 0);
    assert_int_equal(sm_buf_put_u8(&plain, 0), 0);
    assert_int_equal(selfkeys_parse(sm_buf_span(&plain), &k), -SM_EFORMAT);
    plain.p[0] = 2;
    assert_int_equal(selfkeys_parse(sm_buf_span(&plain), &k), -SM_EVERSION);
    sm_buf_wipe(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_comes_back_file_by_file),
        cmocka_unit_test(another_sheet_or_vault_is_told_from_damage),
        cmocka_unit_test(every_flipped_byte_and_every_cut_of_sealed_keys_is_refused),
        cmocka_unit_test(names_that_lead_elsewhere_or_stand_twice_are_not_sealed),
        cmocka_unit_test(a_plain_form_with_anything_behind_or_missing_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
