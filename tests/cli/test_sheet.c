/* The recovery sheet as typed, scanned or saved; the answers file; the exported audit log. */
#include "test.h"
#include <string.h>
#include "core/json.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/words.h"
#include "sakimori/auditfile.h"
#include "sakimori/cli.h"
#include "crypto/sheet.h"

static char why[160];
static uint8_t secret[32], vault[16];

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < 32; i++)
        secret[i] = (uint8_t)(7 * i + 3);
    for (size_t i = 0; i < 16; i++)
        vault[i] = (uint8_t)(200 - i);
    return crypto_init();
}

static void qr_text(char half, struct sm_buf *to)
{
    uint8_t raw[52], sum[32];
    memcpy(raw, vault, 16);
    memcpy(raw + 16, secret, 32);
    crypto_sha256(SM_SPAN(raw, 48), sum);
    memcpy(raw + 48, sum, 4);
    assert_ok(sm_buf_printf(to, "SKR1:%c:", half));
    assert_ok(sm_base32(SM_SPAN(raw, 52), to));
}

static void the_qr_text_is_found_wherever_it_stands(void **state)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    struct crypto_sheet s;
    (void)state;
    assert_ok(sm_buf_printf(&b, "{\"open\":{\"qr_text\":\""));
    qr_text('O', &b);
    assert_ok(sm_buf_printf(&b, "\"}}\n"));
    assert_ok(crypto_sheet_parse(sm_buf_span(&b), CRYPTO_SHEET_OPEN, &s, why));
    assert_true(s.has_vault);
    assert_memory_equal(s.vault, vault, 16);
    assert_memory_equal(s.secret, secret, 32);
    sm_buf_wipe(&b);
}

static void every_changed_character_of_the_qr_text_is_refused(void **state)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    struct crypto_sheet s;
    (void)state;
    qr_text('O', &b);
    for (size_t i = 7; i + 1 < b.n; i++) {
        uint8_t was = b.p[i];
        b.p[i] = was == 'A' ? 'B' : 'A';
        assert_true(crypto_sheet_parse(sm_buf_span(&b), CRYPTO_SHEET_OPEN, &s, why) < 0);
        b.p[i] = was;
    }
    assert_ok(crypto_sheet_parse(sm_buf_span(&b), CRYPTO_SHEET_OPEN, &s, why));
    sm_buf_wipe(&b);
}

static void the_other_half_of_the_sheet_is_named(void **state)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    struct crypto_sheet s;
    (void)state;
    qr_text('D', &b);
    assert_int_equal(crypto_sheet_parse(sm_buf_span(&b), CRYPTO_SHEET_OPEN, &s, why), -SM_EINVAL);
    assert_non_null(strstr(why, "orders"));
    sm_buf_wipe(&b);
}

static void numbered_words_of_both_languages_are_read(void **state)
{
    (void)state;
    for (int lang = 0; lang < 2; lang++) {
        const char *w[CRYPTO_WORDS];
        struct sm_buf b = SM_BUF_INIT(8192);
        struct crypto_sheet s;
        crypto_words_list(secret, lang ? CRYPTO_WORDS_JA : CRYPTO_WORDS_EN, w);
        assert_ok(sm_buf_printf(&b, "# from the safe\n"));
        for (int i = 0; i < CRYPTO_WORDS; i++)
            assert_ok(sm_buf_printf(&b, "%2d. %s,\n", i + 1, w[i]));
        assert_ok(crypto_sheet_parse(sm_buf_span(&b), CRYPTO_SHEET_OPEN, &s, why));
        assert_false(s.has_vault);
        assert_memory_equal(s.secret, secret, 32);
        sm_buf_wipe(&b);
    }
}

static void a_wrong_word_is_named_by_number_and_never_shown(void **state)
{
    const char *w[CRYPTO_WORDS];
    struct sm_buf b = SM_BUF_INIT(8192);
    struct crypto_sheet s;
    (void)state;
    crypto_words_list(secret, CRYPTO_WORDS_EN, w);
    for (int i = 0; i < CRYPTO_WORDS; i++)
        assert_ok(sm_buf_printf(&b, "%s ", i == 6 ? "sakimoribox" : w[i]));
    assert_int_equal(crypto_sheet_parse(sm_buf_span(&b), CRYPTO_SHEET_OPEN, &s, why), -SM_ENOTFOUND);
    assert_non_null(strstr(why, "word 7"));
    assert_null(strstr(why, "sakimoribox"));
    sm_buf_wipe(&b);
}

static void an_empty_or_overlong_sheet_is_refused(void **state)
{
    static uint8_t big[CRYPTO_SHEET_TEXT_MAX + 1];
    struct crypto_sheet s;
    (void)state;
    assert_int_equal(crypto_sheet_parse(SM_SPAN("", 0), CRYPTO_SHEET_OPEN, &s, why), -SM_EINVAL);
    assert_int_equal(crypto_sheet_parse(SM_SPAN(big, sizeof big), CRYPTO_SHEET_OPEN, &s, why), -SM_ELIMIT);
}

static void answers_are_one_object_without_doubles(void **state)
{
    json_t *j = NULL;
    (void)state;
    assert_ok(cli_answers_parse(SM_SPAN_STR("{\"director\":{\"account\":\"incho\"}}"), &j, why));
    assert_string_equal(cli_str(j, "director.account"), "incho");
    json_decref(j);
    assert_int_equal(cli_answers_parse(SM_SPAN_STR("[1]"), &j, why), -SM_EFORMAT);
    assert_int_equal(cli_answers_parse(SM_SPAN_STR("{\"a\":1,\"a\":2}"), &j, why), -SM_EFORMAT);
    assert_int_equal(cli_answers_parse(SM_SPAN_STR("{\"a\":"), &j, why), -SM_EFORMAT);
}

/* ---- the audit log ---- */

#define LINES 6
static struct sm_buf line[LINES];

static void log_line(size_t i, const char *prev, char ret_hash[65])
{
    uint8_t h[32];
    json_t *j = json_pack("{s:i,s:s,s:s,s:s}", "n", (int)i + 1, "prev", prev, "who", "院長", "act", "unlock");
    struct sm_buf b = SM_BUF_INIT(4096);
    assert_ok(sm_json_dump(j, &b));
    const struct sm_span parts[] = { SM_SPAN_STR("sakimori/v1/audit"), sm_buf_span(&b) };
    crypto_sha256v(parts, 2, h);
    sm_hex(h, 32, ret_hash);
    json_object_set_new(j, "hash", json_string(ret_hash));
    sm_buf_clear(&line[i]);
    assert_ok(sm_json_dump(j, &line[i]));
    json_decref(j);
    sm_buf_wipe(&b);
}

static int make_log(void **state)
{
    char hash[65], prev[65];
    (void)state;
    memset(prev, '0', 64);
    prev[64] = 0;
    for (size_t i = 0; i < LINES; i++) {
        log_line(i, prev, hash);
        memcpy(prev, hash, 65);
    }
    return 0;
}

static enum auditfile_fault check(const size_t *order, size_t n, uint64_t *ret_line)
{
    struct auditfile a = { 0 };
    enum auditfile_fault f = AUDITFILE_SOUND;
    for (size_t i = 0; i < n && f == AUDITFILE_SOUND; i++)
        f = auditfile_line(&a, sm_buf_span(&line[order[i]]));
    *ret_line = a.lines;
    return f;
}

static void an_audit_log_as_written_is_sound(void **state)
{
    uint64_t n;
    (void)state;
    assert_int_equal(check((const size_t[]){ 0, 1, 2, 3, 4, 5 }, 6, &n), AUDITFILE_SOUND);
    assert_int_equal(n, 6);
}

static void a_removed_line_of_the_audit_log_is_named(void **state)
{
    uint64_t n;
    (void)state;
    assert_int_equal(check((const size_t[]){ 0, 1, 3, 4, 5 }, 5, &n), AUDITFILE_REMOVED);
    assert_int_equal(n, 3);
    assert_int_equal(check((const size_t[]){ 1, 2 }, 2, &n), AUDITFILE_REMOVED);
    assert_int_equal(n, 1);
}

static void lines_out_of_order_or_twice_are_named(void **state)
{
    uint64_t n;
    (void)state;
    assert_int_equal(check((const size_t[]){ 0, 1, 1 }, 3, &n), AUDITFILE_ORDER);
    assert_int_equal(n, 3);
    assert_int_equal(check((const size_t[]){ 0, 1, 2, 1 }, 4, &n), AUDITFILE_ORDER);
    assert_int_equal(n, 4);
}

static void any_changed_byte_of_any_line_is_named(void **state)
{
    uint64_t n;
    (void)state;
    for (size_t i = 0; i < LINES; i++)
        for (size_t k = 0; k < line[i].n; k++) {
            line[i].p[k] ^= 1;
            enum auditfile_fault f = check((const size_t[]){ 0, 1, 2, 3, 4, 5 }, 6, &n);
            assert_int_not_equal(f, AUDITFILE_SOUND);
            assert_int_equal(n, i + 1);
            line[i].p[k] ^= 1;
        }
}

static int drop_log(void **state)
{
    (void)state;
    for (size_t i = 0; i < LINES; i++)
        sm_buf_wipe(&line[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_qr_text_is_found_wherever_it_stands),
        cmocka_unit_test(every_changed_character_of_the_qr_text_is_refused),
        cmocka_unit_test(the_other_half_of_the_sheet_is_named),
        cmocka_unit_test(numbered_words_of_both_languages_are_read),
        cmocka_unit_test(a_wrong_word_is_named_by_number_and_never_shown),
        cmocka_unit_test(an_empty_or_overlong_sheet_is_refused),
        cmocka_unit_test(answers_are_one_object_without_doubles),
        cmocka_unit_test_setup_teardown(an_audit_log_as_written_is_sound, make_log, drop_log),
        cmocka_unit_test_setup_teardown(a_removed_line_of_the_audit_log_is_named, make_log, drop_log),
        cmocka_unit_test_setup_teardown(lines_out_of_order_or_twice_are_named, make_log, drop_log),
        cmocka_unit_test_setup_teardown(any_changed_byte_of_any_line_is_named, make_log, drop_log),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
