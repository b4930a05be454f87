#include "crypto_test.h"
#include "crypto/random.h"
#include "crypto/totp.h"

#define SECRET SM_SPAN("12345678901234567890", 20)

static void codes_are_those_of_rfc_6238(void **state)
{
    static const struct { int64_t time_s; const char *code; } v[] = {{59, "287082"}, {1111111109, "081804"},
        {1111111111, "050471"}, {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}};
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        char code[CRYPTO_TOTP_CODE];
        uint64_t counter = 0;
        crypto_totp_code(SECRET, (uint64_t)v[i].time_s / 30, code);
        assert_string_equal(code, v[i].code);
        assert_int_equal(crypto_totp_verify(SECRET, v[i].code, v[i].time_s, 0, &counter), 0);
        assert_int_equal(counter, v[i].time_s / 30);
    }
}

static void one_step_to_either_side_counts_and_two_do_not(void **state)
{
    uint64_t counter = 0;
    const char *code = "081804"; /* of 1111111109: step 37037036 */
    const int64_t step = 37037036, s = 30;
    assert_int_equal(crypto_totp_verify(SECRET, code, (step - 1) * s, 0, &counter), 0);
    assert_int_equal(crypto_totp_verify(SECRET, code, (step + 2) * s - 1, 0, &counter), 0);
    assert_int_equal(counter, step);
    assert_int_equal(crypto_totp_verify(SECRET, code, (step - 1) * s - 1, 0, &counter), -SM_EAUTH);
    assert_int_equal(crypto_totp_verify(SECRET, code, (step + 2) * s, 0, &counter), -SM_EAUTH);
}

static void a_code_counts_once(void **state)
{
    uint64_t last = 0, unchanged = 7;
    char older[CRYPTO_TOTP_CODE];
    assert_int_equal(crypto_totp_verify(SECRET, "050471", 1111111111, last, &last), 0);
    assert_int_equal(crypto_totp_verify(SECRET, "050471", 1111111111, last, &unchanged), -SM_EEXISTS);
    crypto_totp_code(SECRET, last - 1, older);
    assert_int_equal(crypto_totp_verify(SECRET, older, 1111111111, last, &unchanged), -SM_EEXISTS);
    assert_int_equal(unchanged, 7);
}

static void typing_habits_are_forgiven_and_other_things_are_not(void **state)
{
    uint64_t c = 0;
    assert_int_equal(crypto_totp_verify(SECRET, " 050 471 ", 1111111111, 0, &c), 0);
    assert_int_equal(crypto_totp_verify(SECRET, "050-471", 1111111111, 0, &c), 0);
    assert_int_equal(crypto_totp_verify(SECRET,
                         "\xef\xbc\x90\xef\xbc\x95\xef\xbc\x90\xef\xbc\x94\xef\xbc\x97\xef\xbc\x91", 1111111111, 0, &c),
        0);
    static const char *const bad[] = {"", "05047", "0504711", "05o47x", "050471050471", "\xff\xff", "\xef\xbc"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(crypto_totp_verify(SECRET, bad[i], 1111111111, 0, &c), -SM_EAUTH);
    }
}

static void the_uri_percent_encodes_japanese(void **state)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    assert_int_equal(crypto_totp_uri(SECRET, "防人 みどり", "incho@midori", &b), 0);
    assert_string_equal(sm_buf_str(&b),
        "otpauth://totp/%E9%98%B2%E4%BA%BA%20%E3%81%BF%E3%81%A9%E3%82%8A:incho%40midori"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        "&issuer=%E9%98%B2%E4%BA%BA%20%E3%81%BF%E3%81%A9%E3%82%8A&algorithm=SHA1&digits=6&period=30");
    sm_buf_clear(&b);
    assert_int_equal(crypto_totp_uri(SECRET, "", "a", &b), -SM_EINVAL);
    assert_int_equal(crypto_totp_uri(SECRET, "a:b", "a", &b), -SM_EINVAL);
    assert_int_equal(crypto_totp_uri(SECRET, "a", "\xff", &b), -SM_EINVAL);
    assert_int_equal(b.n, 0);
    sm_buf_wipe(&b);
}

static void each_printed_code_works_once(void **state)
{
    struct crypto_once once;
    char codes[CRYPTO_ONCE_CODES][CRYPTO_ONCE_CODE], typed[32];
    assert_int_equal(crypto_once_new(&once, codes), 0);
    assert_int_equal(crypto_once_left(&once), 10);
    for (unsigned i = 0; i < CRYPTO_ONCE_CODES; i++) {
        unsigned index = 99;
        assert_int_equal(strlen(codes[i]), 11);
        assert_int_equal(codes[i][5], '-');
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(codes[i], codes[j]);
        }
        /* as a person types it: small letters, a space for the dash */
        for (size_t k = 0; k <= 11; k++) {
            char c = codes[i][k];
            typed[k] = c == '-' ? ' ' : c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        }
        assert_int_equal(crypto_once_match(&once, typed, &index), 0);
        assert_int_equal(index, i);
        crypto_once_use(&once, index);
        assert_int_equal(crypto_once_match(&once, typed, &index), -SM_EAUTH);
        assert_int_equal(crypto_once_left(&once), 9 - i);
    }
}

static void a_code_that_was_never_printed_is_refused(void **state)
{
    struct crypto_once once;
    char codes[CRYPTO_ONCE_CODES][CRYPTO_ONCE_CODE];
    static const char *const bad[] = {"", "AAAAA", "AAAAA-AAAAA-A", "AAAA9-AAAAA", "\xff"};
    unsigned index = 99;
    assert_int_equal(crypto_once_new(&once, codes), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(crypto_once_match(&once, bad[i], &index), -SM_EAUTH);
    }
    codes[4][0] = codes[4][0] == 'A' ? 'B' : 'A';
    assert_int_equal(crypto_once_match(&once, codes[4], &index), -SM_EAUTH);
    assert_int_equal(index, 99);
}

static void short_codes_use_only_the_clear_letters_and_read_back(void **state)
{
    for (int i = 0; i < 200; i++) {
        char code[32], read[32];
        crypto_code_new(12, 4, code);
        assert_int_equal(strlen(code), 14);
        assert_int_equal(code[4], '-');
        assert_int_equal(code[9], '-');
        assert_null(strpbrk(code, "ILOUilou"));
        assert_int_equal(crypto_code_read(code, read, sizeof(read)), 0);
        assert_int_equal(strlen(read), 12);
    }
    char read[8];
    assert_int_equal(crypto_code_read("o1l i-\xef\xbc\xa1\xe3\x80\x80", read, sizeof(read)), 0);
    assert_string_equal(read, "0111A");
    assert_int_equal(crypto_code_read("12345678", read, sizeof(read)), -SM_ELIMIT);
    assert_int_equal(crypto_code_read("12u", read, sizeof(read)), -SM_EFORMAT);
    assert_int_equal(crypto_code_read("\xe3\x81\x82", read, sizeof(read)), -SM_EFORMAT);
    assert_string_equal(read, "0111A");
}

static void uniform_numbers_stay_below_and_reach_everything(void **state)
{
    bool seen[7] = {0};
    for (int i = 0; i < 1000; i++) {
        uint64_t v = crypto_random_below(7);
        assert_true(v < 7);
        seen[v] = true;
    }
    for (int i = 0; i < 7; i++) {
        assert_true(seen[i]); /* missed once in 10^66 runs */
    }
    assert_int_equal(crypto_random_below(0), 0);
    assert_int_equal(crypto_random_below(1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_those_of_rfc_6238),
        cmocka_unit_test(one_step_to_either_side_counts_and_two_do_not),
        cmocka_unit_test(a_code_counts_once),
        cmocka_unit_test(typing_habits_are_forgiven_and_other_things_are_not),
        cmocka_unit_test(the_uri_percent_encodes_japanese),
        cmocka_unit_test(each_printed_code_works_once),
        cmocka_unit_test(a_code_that_was_never_printed_is_refused),
        cmocka_unit_test(short_codes_use_only_the_clear_letters_and_read_back),
        cmocka_unit_test(uniform_numbers_stay_below_and_reach_everything),
    };
    return cmocka_run_group_tests_name("crypto_totp", tests, start_crypto, NULL);
}
