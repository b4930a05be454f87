#include "crypto_test.h"

#include "crypto/headtext.h"

static uint8_t head[HEADTEXT_BYTES];

static int setup(void **s)
{
    (void)s;
    for (unsigned i = 0; i < sizeof head; i++)
        head[i] = (uint8_t)(i * 37 + 11);
    memset(head + 16, 0, 8);
    head[16] = 0x39;
    head[17] = 0x30; /* 12345 */
    return 0;
}

static int parse(const char *text, struct headtext *t)
{
    return headtext_parse(SM_SPAN_STR(text), t);
}

static void both_forms_are_read_back_out_of_a_mail_in_any_dress(void **s)
{
    struct sm_buf a = SM_BUF_INIT(64), b = SM_BUF_INIT(512), mail = SM_BUF_INIT(4096);
    struct headtext t;
    (void)s;
    assert_int_equal(headtext_short(head, &a), 0);
    assert_int_equal(headtext_long(head, &b), 0);
    assert_memory_equal(a.p, "SKH1-12345-", 11);
    assert_int_equal(parse(sm_buf_str(&a), &t), 0);
    assert_int_equal(t.seq, 12345);
    assert_int_equal(t.hash_n, HEADTEXT_HASH);
    assert_memory_equal(t.hash, head + 24, HEADTEXT_HASH);
    assert_false(t.whole);
    /* Quoted, wrapped, in small letters; the long form counts, wherever it stands. */
    assert_int_equal(sm_buf_printf(&mail, "> Sakimori\n> %s\n> %.60s\n> %s\n", sm_buf_str(&a), sm_buf_str(&b), sm_buf_str(&b) + 60), 0);
    for (size_t i = 0; i < mail.n; i++)
        if (mail.p[i] >= 'A' && mail.p[i] <= 'Z')
            mail.p[i] += 32;
    assert_int_equal(parse(sm_buf_str(&mail), &t), 0);
    assert_true(t.whole);
    assert_memory_equal(t.head, head, sizeof head);
    sm_buf_wipe(&a);
    sm_buf_wipe(&b);
    sm_buf_wipe(&mail);
}

static void the_line_of_an_older_mail_is_read_too(void **s)
{
    char text[2 * HEADTEXT_BYTES + 40];
    struct headtext t;
    (void)s;
    snprintf(text, sizeof text, "x\n");
    sm_hex(head, sizeof head, text + 2);
    assert_int_equal(parse(text, &t), 0);
    assert_true(t.whole && t.seq == 12345);
    text[strlen(text) - 1] = 0;
    assert_int_equal(parse(text, &t), -SM_ENOTFOUND);
}

static void a_mistyped_letter_or_digit_is_no_alarm_but_mistyped(void **s)
{
    struct sm_buf a = SM_BUF_INIT(64);
    struct headtext t;
    unsigned wrong = 0;
    (void)s;
    assert_int_equal(headtext_short(head, &a), 0);
    for (size_t i = 5; i < a.n; i++) {
        uint8_t was = a.p[i];
        if (was == '-')
            continue;
        a.p[i] = was == 'A' ? 'B' : was == '7' ? '6' : was == '2' ? '3' : was >= '0' && was <= '9' ? '7' : 'A';
        assert_int_equal(parse(sm_buf_str(&a), &t), -SM_EFORMAT);
        a.p[i] = was;
        wrong++;
    }
    assert_int_equal(wrong, 5 + 16);
    assert_int_equal(parse("SKH1-", &t), -SM_EFORMAT);
    assert_int_equal(parse("SKHF-ABC", &t), -SM_EFORMAT);
    assert_int_equal(parse("", &t), -SM_ENOTFOUND);
    assert_int_equal(parse("ただの文", &t), -SM_ENOTFOUND);
    sm_buf_wipe(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_are_read_back_out_of_a_mail_in_any_dress),
        cmocka_unit_test(the_line_of_an_older_mail_is_read_too),
        cmocka_unit_test(a_mistyped_letter_or_digit_is_no_alarm_but_mistyped),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
