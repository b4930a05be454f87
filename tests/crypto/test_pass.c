#include "crypto_test.h"
#include "crypto/pass.h"
#include "crypto/pass_internal.h"

static const struct crypto_pass_cost quick = {64, 1, 1};

static void argon2id_gives_the_vector_of_rfc_9106(void **state)
{
    const struct crypto_pass_cost cost = {32, 3, 4};
    uint8_t password[32], salt[16], key[8], ad[12], tag[32];
    memset(password, 1, sizeof(password));
    memset(salt, 2, sizeof(salt));
    memset(key, 3, sizeof(key));
    memset(ad, 4, sizeof(ad));
    assert_int_equal(crypto_pass_argon2(SM_SPAN(password, 32), SM_SPAN(salt, 16), SM_SPAN(key, 8), SM_SPAN(ad, 12),
                         &cost, tag, sizeof(tag)),
        0);
    assert_bytes(tag, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
}

/* From the reference program: argon2 somesalt -id -t 2 -m 16 -p 1, password "password". */
#define STORED "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

static void a_text_of_the_reference_program_verifies(void **state)
{
    assert_int_equal(crypto_pass_verify(SM_SPAN("password", 8), STORED), 0);
    assert_int_equal(crypto_pass_verify(SM_SPAN("Password", 8), STORED), -SM_EAUTH);
    assert_int_equal(crypto_pass_verify(SM_SPAN("password", 7), STORED), -SM_EAUTH);
}

static void what_was_hashed_verifies_and_no_two_texts_are_equal(void **state)
{
    char a[CRYPTO_PASS_TEXT], b[CRYPTO_PASS_TEXT];
    struct sm_span p = SM_SPAN_STR("\xe6\xa1\x9c-Kyo-7291");
    assert_int_equal(crypto_pass_hash(p, &quick, a), 0);
    assert_int_equal(crypto_pass_hash(p, &quick, b), 0);
    assert_string_not_equal(a, b);
    assert_memory_equal(a, "$argon2id$v=19$m=64,t=1,p=1$", 28);
    assert_int_equal(crypto_pass_verify(p, a), 0);
    assert_int_equal(crypto_pass_verify(p, b), 0);
    assert_int_equal(crypto_pass_verify(SM_SPAN(p.p, p.n - 1), a), -SM_EAUTH);
    assert_false(crypto_pass_is_old(a, &quick));
    assert_true(crypto_pass_is_old(a, &crypto_pass_sign_in));
    assert_true(crypto_pass_is_old("nonsense", &quick));
}

static void damaged_texts_are_named_by_kind(void **state)
{
    static const struct { const char *text; int err; } v[] = {
        {"", -SM_EFORMAT},
        {"password", -SM_EFORMAT},
        {"$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q", -SM_EVERSION},
        {"$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q", -SM_EVERSION},
        {"$argon2id$v=19$m=64,t=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q", -SM_EFORMAT},
        {"$argon2id$v=19$m=064,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q", -SM_EFORMAT},
        {"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q$", -SM_EFORMAT},
        {"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFh", -SM_EFORMAT},
        {"$argon2id$v=19$m=64,t=1,p=1$c29t$CTFhFdXPJO1aFaMaO6Mm5Q", -SM_EFORMAT},
        {"$argon2id$v=19$m=64,t=1,p=1$c29t!XNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q", -SM_EFORMAT},
        {"$argon2id$v=19$m=4294967297,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q", -SM_EFORMAT},
        {"$argon2id$v=19$m=99999999,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q", -SM_ELIMIT},
        {"$argon2id$v=19$m=64,t=99,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q", -SM_ELIMIT},
        {"$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q", -SM_ELIMIT},
        {"$argon2id$v=19$m=7,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q", -SM_ELIMIT},
    };
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        assert_int_equal(crypto_pass_verify(SM_SPAN("x", 1), v[i].text), v[i].err);
    }
}

static void raw_output_has_its_limits(void **state)
{
    uint8_t salt[65] = {0}, out[65];
    struct sm_span p = SM_SPAN("x", 1);
    const struct crypto_pass_cost none = {64, 1, 0}, many = {64, 1, 9};
    assert_int_equal(crypto_pass_raw(p, SM_SPAN(salt, 7), &quick, out, 32), -SM_EINVAL);
    assert_int_equal(crypto_pass_raw(p, SM_SPAN(salt, 65), &quick, out, 32), -SM_EINVAL);
    assert_int_equal(crypto_pass_raw(p, SM_SPAN(salt, 16), &quick, out, 65), -SM_EINVAL);
    assert_int_equal(crypto_pass_raw(p, SM_SPAN(salt, 16), &none, out, 32), -SM_ELIMIT);
    assert_int_equal(crypto_pass_raw(p, SM_SPAN(salt, 16), &many, out, 32), -SM_ELIMIT);
    assert_int_equal(crypto_pass_raw(SM_SPAN(NULL, 0), SM_SPAN(salt, 16), &quick, out, 64), -SM_EINVAL);
    assert_int_equal(crypto_pass_verify(SM_SPAN(NULL, 0), STORED), -SM_EAUTH);
    assert_int_equal(crypto_pass_raw(p, SM_SPAN(salt, 16), &quick, out, 64), 0);
}

static enum crypto_pass_reason check(const char *p, bool second_factor)
{
    return crypto_pass_check(SM_SPAN_STR(p), second_factor, "incho.yamane", "Midori Naika");
}

static void length_depends_on_the_second_factor(void **state)
{
    assert_int_equal(check("kV7qzr2", true), CRYPTO_PASS_SHORT_8);
    assert_int_equal(check("kV7qzr2w", true), CRYPTO_PASS_GOOD);
    assert_int_equal(check("kV7qzr2w", false), CRYPTO_PASS_SHORT_13);
    assert_int_equal(check("kV7qzr2wBm4x", false), CRYPTO_PASS_SHORT_13);
    assert_int_equal(check("kV7qzr2wBm4xT", false), CRYPTO_PASS_GOOD);
    /* Characters, not bytes: eight of them here in nineteen bytes. */
    assert_int_equal(check("\xe6\xa1\x9c\xe6\xa1\x9c\xe6\xa2\x85\xe6\xa2\x85q7", true), CRYPTO_PASS_SHORT_8);
}

static void letters_and_digits_are_both_needed(void **state)
{
    assert_int_equal(check("8261940375", true), CRYPTO_PASS_NO_LETTER);
    assert_int_equal(check("hvqmzrtwkx", true), CRYPTO_PASS_NO_DIGIT);
    assert_int_equal(check("826194!!375", true), CRYPTO_PASS_NO_LETTER);
}

static void what_everybody_chooses_is_refused_in_every_disguise(void **state)
{
    static const char *const common[] = {"password1", "P@ssw0rd", "P@ssw0rd2024!", "Passw0rd123456", "administrator1",
        "Adm1n1strat0r!", "qwerty123456", "1qaz2wsx", "1qaz2wsx3edc4rfv", "q1w2e3r4t5y6", "zaq12wsx", "byouin2024",
        "Byouin#2025", "karte12345", "k4rt3-karte", "sakimori1", "S4k1m0r1!", "s4k1m0r12024", "kurinikku777",
        "letmein99", "12345password", "password1password2", "admin1234admin", "iloveyou22", "Sakura2025",
        "denshikarte01", "abc12345", "\xef\xbd\x90\xef\xbd\x81ssword1", "hospital-karte-7391", "orca2024!!"};
    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++) {
        if (check(common[i], true) != CRYPTO_PASS_COMMON) {
            fail_msg("%s: %s", common[i], crypto_pass_reason_name(check(common[i], true)));
        }
    }
}

static void repetitions_and_runs_are_refused(void **state)
{
    static const char *const dull[] = {"aaaaaaaa1", "z9z9z9z9z9", "hijklmnop1234567", "kx7mqkx7mqkx7mq", "vutsr98765"};
    for (size_t i = 0; i < sizeof(dull) / sizeof(dull[0]); i++) {
        if (check(dull[i], true) != CRYPTO_PASS_REPEATED) {
            fail_msg("%s: %s", dull[i], crypto_pass_reason_name(check(dull[i], true)));
        }
    }
}

static void names_of_account_and_institution_are_refused(void **state)
{
    assert_int_equal(check("Yamane-72vq", true), CRYPTO_PASS_HAS_ACCOUNT);
    assert_int_equal(check("xY4man3zq72", true), CRYPTO_PASS_HAS_ACCOUNT);
    assert_int_equal(check("72vqMIDORIkx", true), CRYPTO_PASS_HAS_INSTITUTION);
    assert_int_equal(crypto_pass_check(SM_SPAN_STR("\xe3\x81\xbf\xe3\x81\xa9\xe3\x82\x8a-kx72vq9"), true, "a",
                         "\xe3\x81\xbf\xe3\x81\xa9\xe3\x82\x8a"),
        CRYPTO_PASS_HAS_INSTITUTION);
    assert_int_equal(crypto_pass_check(SM_SPAN_STR("kV7qzr2w"), true, NULL, NULL), CRYPTO_PASS_GOOD);
    assert_int_equal(crypto_pass_check(SM_SPAN_STR("kV7qzr2w"), true, "kv", ""), CRYPTO_PASS_GOOD);
}

static void good_passwords_are_not_refused(void **state)
{
    static const char *const good[] = {"taiko7Vrznu", "mV3-tsubame-Kage", "Kv9#mq2L", "hotaru no 31 mizuumi",
        "Nz4wq8Rt2", "tsuru-kame-84-zorome", "ameni7moMakezu"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (check(good[i], true) != CRYPTO_PASS_GOOD) {
            fail_msg("%s: %s", good[i], crypto_pass_reason_name(check(good[i], true)));
        }
    }
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    char longest[CRYPTO_PASS_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(crypto_pass_check(SM_SPAN("kV7\xff" "qzr2w", 9), true, "a", "b"), CRYPTO_PASS_NOT_TEXT);
    assert_int_equal(crypto_pass_check(SM_SPAN("kV7\nqzr2w", 9), true, "a", "b"), CRYPTO_PASS_NOT_TEXT);
    assert_int_equal(crypto_pass_check(SM_SPAN("kV7\0qzr2w", 9), true, "a", "b"), CRYPTO_PASS_NOT_TEXT);
    assert_int_equal(crypto_pass_check(SM_SPAN(longest, sizeof(longest)), true, "a", "b"), CRYPTO_PASS_TOO_LONG);
    assert_int_equal(crypto_pass_check(SM_SPAN(NULL, 0), true, "a", "b"), CRYPTO_PASS_SHORT_8);
}

static void every_reason_has_a_name(void **state)
{
    for (int i = CRYPTO_PASS_GOOD; i <= CRYPTO_PASS_HAS_INSTITUTION; i++) {
        assert_string_not_equal(crypto_pass_reason_name((enum crypto_pass_reason)i), "?");
    }
    assert_string_equal(crypto_pass_reason_name((enum crypto_pass_reason)(CRYPTO_PASS_HAS_INSTITUTION + 1)), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(argon2id_gives_the_vector_of_rfc_9106),
        cmocka_unit_test(a_text_of_the_reference_program_verifies),
        cmocka_unit_test(what_was_hashed_verifies_and_no_two_texts_are_equal),
        cmocka_unit_test(damaged_texts_are_named_by_kind),
        cmocka_unit_test(raw_output_has_its_limits),
        cmocka_unit_test(length_depends_on_the_second_factor),
        cmocka_unit_test(letters_and_digits_are_both_needed),
        cmocka_unit_test(what_everybody_chooses_is_refused_in_every_disguise),
        cmocka_unit_test(repetitions_and_runs_are_refused),
        cmocka_unit_test(names_of_account_and_institution_are_refused),
        cmocka_unit_test(good_passwords_are_not_refused),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(every_reason_has_a_name),
    };
    return cmocka_run_group_tests_name("crypto_pass", tests, start_crypto, NULL);
}
