#include "crypto_test.h"
#include "crypto/random.h"
#include "crypto/words.h"

static const char *text_of(struct sm_buf *b, const uint8_t *secret, enum crypto_words_lang lang)
{
    sm_buf_clear(b);
    assert_int_equal(crypto_words_encode(secret, lang, b), 0);
    return sm_buf_str(b);
}

static void english_gives_the_vectors_of_bip39(void **state)
{
    static const struct { int byte; const char *words; } v[] = {
        {0x00, "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
               "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"},
        {0x7f, "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful "
               "legal winner thank year wave sausage worth title"},
        {0x80, "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor "
               "acoustic avoid letter advice cage absurd amount doctor acoustic bless"},
        {0xff, "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote"},
    };
    struct sm_buf b = SM_BUF_INIT(4096);
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        uint8_t secret[32], back[32];
        memset(secret, v[i].byte, sizeof(secret));
        assert_string_equal(text_of(&b, secret, CRYPTO_WORDS_EN), v[i].words);
        assert_int_equal(crypto_words_decode(sm_buf_span(&b), back, NULL), 0);
        assert_memory_equal(back, secret, 32);
    }
    sm_buf_wipe(&b);
}

static void five_hundred_random_secrets_come_back_in_both_languages(void **state)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    for (int i = 0; i < 500; i++) {
        uint8_t secret[32], back[32];
        crypto_random(secret, sizeof(secret));
        for (int lang = CRYPTO_WORDS_EN; lang <= CRYPTO_WORDS_JA; lang++) {
            (void)text_of(&b, secret, (enum crypto_words_lang)lang);
            assert_int_equal(crypto_words_decode(sm_buf_span(&b), back, NULL), 0);
            assert_memory_equal(back, secret, 32);
        }
    }
    sm_buf_wipe(&b);
}

static void english_forgives_case_spaces_width_and_cut_words(void **state)
{
    uint8_t want[32], got[32];
    memset(want, 0x7f, sizeof(want));
    const char *typed =
        "  LEGA Winner\tthan\nyear  wave saus wort usef legal winner thank year wave sausage worth useful\r\n"
        "legal\xe3\x80\x80winner thank year \xef\xbd\x97\xef\xbd\x81\xef\xbd\x96\xef\xbd\x85 "
        "sausage worth title \n";
    assert_int_equal(crypto_words_decode(SM_SPAN_STR(typed), got, NULL), 0);
    assert_memory_equal(got, want, 32);
}

/* Every kana with its mark apart, and in katakana, must be the same word. */
static void put_point(struct sm_buf *b, uint32_t c)
{
    assert_int_equal(sm_buf_put_u8(b, (uint8_t)(0xe0 | c >> 12)), 0);
    assert_int_equal(sm_buf_put_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f))), 0);
    assert_int_equal(sm_buf_put_u8(b, (uint8_t)(0x80 | (c & 0x3f))), 0);
}

static void put_decomposed(struct sm_buf *b, uint32_t c, uint32_t script)
{
    /* composed kana, in the order of Unicode: base + 1 is voiced, base + 2 half-voiced */
    static const uint32_t voiced[] = {0x304c, 0x304e, 0x3050, 0x3052, 0x3054, 0x3056, 0x3058, 0x305a, 0x305c, 0x305e,
        0x3060, 0x3062, 0x3065, 0x3067, 0x3069, 0x3070, 0x3073, 0x3076, 0x3079, 0x307c};
    for (size_t i = 0; i < sizeof(voiced) / sizeof(voiced[0]); i++) {
        if (c == voiced[i]) {
            put_point(b, c - 1 + script);
            put_point(b, 0x3099);
            return;
        }
        if (i >= 15 && c == voiced[i] + 1) {
            put_point(b, c - 2 + script);
            put_point(b, 0x309a);
            return;
        }
    }
    put_point(b, c >= 0x3041 && c <= 0x3096 ? c + script : c);
}

static void japanese_forgives_decomposed_kana_and_katakana(void **state)
{
    struct sm_buf b = SM_BUF_INIT(4096), typed = SM_BUF_INIT(8192);
    unsigned marks = 0;
    for (int round = 0; round < 300; round++) {
        uint8_t secret[32], got[32];
        crypto_random(secret, sizeof(secret));
        (void)text_of(&b, secret, CRYPTO_WORDS_JA);
        sm_buf_clear(&typed);
        for (size_t i = 0; i + 2 < b.n; i += 3) { /* kana and U+3000 all have three bytes */
            uint32_t c = (uint32_t)(b.p[i] & 15) << 12 | (uint32_t)(b.p[i + 1] & 63) << 6 | (b.p[i + 2] & 63u);
            put_decomposed(&typed, c, round % 2 ? 0x60 : 0);
        }
        marks += typed.n > b.n;
        if (typed.n <= CRYPTO_WORDS_TEXT_MAX) {
            assert_int_equal(crypto_words_decode(sm_buf_span(&typed), got, NULL), 0);
            assert_memory_equal(got, secret, 32);
        }
    }
    assert_true(marks > 200); /* the rounds really had voiced kana */
    sm_buf_wipe(&b);
    sm_buf_wipe(&typed);
}

static void the_japanese_words_are_those_of_the_same_numbers(void **state)
{
    uint8_t secret[32] = {0};
    const char *ja[CRYPTO_WORDS];
    crypto_words_list(secret, CRYPTO_WORDS_JA, ja);
    assert_string_equal(ja[0], "あいこくしん");
    assert_string_equal(ja[23], "いってい");
    memset(secret, 0xff, sizeof(secret));
    crypto_words_list(secret, CRYPTO_WORDS_JA, ja);
    assert_string_equal(ja[0], "われる");
}

static void an_unknown_word_is_named_by_its_number(void **state)
{
    uint8_t got[32];
    unsigned word = 0;
    const char *typed =
        "zoo zoo zoo zoo zoo zoo zop zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote";
    assert_int_equal(crypto_words_decode(SM_SPAN_STR(typed), got, &word), -SM_ENOTFOUND);
    assert_int_equal(word, 7);
    typed = "zoo zoo zoo zoo われる zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote";
    assert_int_equal(crypto_words_decode(SM_SPAN_STR(typed), got, &word), -SM_ENOTFOUND);
    assert_int_equal(word, 5);
    typed = "aban abandon aba";
    assert_int_equal(crypto_words_decode(SM_SPAN_STR(typed), got, &word), -SM_ENOTFOUND);
    assert_int_equal(word, 3);
}

static void a_wrong_count_and_a_wrong_word_are_told_apart(void **state)
{
    uint8_t got[32] = {0x5a};
    unsigned word = 0;
    const char *typed = "zoo zoo zoo";
    assert_int_equal(crypto_words_decode(SM_SPAN_STR(typed), got, &word), -SM_EINVAL);
    assert_int_equal(word, 3);
    typed = "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote vote";
    assert_int_equal(crypto_words_decode(SM_SPAN_STR(typed), got, &word), -SM_EINVAL);
    assert_int_equal(word, 25);
    word = 77;
    typed = "zoo zoo zoo zoo zoo zoo zone zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote";
    assert_int_equal(crypto_words_decode(SM_SPAN_STR(typed), got, &word), -SM_EMISMATCH);
    assert_int_equal(word, 77);
    assert_int_equal(crypto_words_decode(SM_SPAN("", 0), got, &word), -SM_EINVAL);
    assert_int_equal(crypto_words_decode(SM_SPAN("zoo\xff", 4), got, &word), -SM_EFORMAT);
    assert_int_equal(got[0], 0x5a);
}

static void too_much_text_is_refused(void **state)
{
    uint8_t got[32];
    char *typed = malloc(CRYPTO_WORDS_TEXT_MAX + 1);
    assert_non_null(typed);
    memset(typed, 'z', CRYPTO_WORDS_TEXT_MAX + 1);
    assert_int_equal(crypto_words_decode(SM_SPAN(typed, CRYPTO_WORDS_TEXT_MAX + 1), got, NULL), -SM_ELIMIT);
    assert_int_equal(crypto_words_decode(SM_SPAN(typed, CRYPTO_WORDS_TEXT_MAX), got, NULL), -SM_ENOTFOUND);
    free(typed);
}

static void one_word_typed_back_is_recognised(void **state)
{
    assert_true(crypto_words_same(SM_SPAN_STR(" Saus "), "sausage"));
    assert_true(crypto_words_same(SM_SPAN_STR("ガキ"), "がき"));
    assert_true(crypto_words_same(SM_SPAN_STR("\xe3\x81\x8b\xe3\x82\x99き"), "がき"));
    assert_false(crypto_words_same(SM_SPAN_STR("かき"), "がき"));
    assert_false(crypto_words_same(SM_SPAN_STR("sausage worth"), "sausage"));
    assert_false(crypto_words_same(SM_SPAN_STR(""), "sausage"));
    assert_false(crypto_words_same(SM_SPAN("\xff", 1), "sausage"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(english_gives_the_vectors_of_bip39),
        cmocka_unit_test(five_hundred_random_secrets_come_back_in_both_languages),
        cmocka_unit_test(english_forgives_case_spaces_width_and_cut_words),
        cmocka_unit_test(japanese_forgives_decomposed_kana_and_katakana),
        cmocka_unit_test(the_japanese_words_are_those_of_the_same_numbers),
        cmocka_unit_test(an_unknown_word_is_named_by_its_number),
        cmocka_unit_test(a_wrong_count_and_a_wrong_word_are_told_apart),
        cmocka_unit_test(too_much_text_is_refused),
        cmocka_unit_test(one_word_typed_back_is_recognised),
    };
    return cmocka_run_group_tests_name("crypto_words", tests, start_crypto, NULL);
}
