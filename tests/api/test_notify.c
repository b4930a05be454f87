/* Messages to people outside: one line stays one line, and nothing of it can begin a header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "api/notify.h"

static struct notify_alarm alarm_of(const char *title)
{
    return (struct notify_alarm){ .institution = "さくら内科",
        .state_word = "すぐ電話してください",
        .title = title,
        .text = "本文",
        .at = "令和8年",
        .next_heading = "次にすること",
        .head_word = "しるし",
        .head = "00ff",
        .head_text = "SKH1-1-00ff",
        .id = "1",
        .kind = "suspicion",
        .state = "call" };
}

static void a_line_break_in_a_title_cannot_begin_a_header(void **state)
{
    (void)state;
    struct sm_buf b = SM_BUF_INIT(1000);
    struct notify_alarm a = alarm_of("x\r\nBcc: evil@example.com");
    assert_int_equal(notify_subject(&a, &b), 0);
    assert_null(memchr(b.p, '\n', b.n));
    assert_null(memchr(b.p, '\r', b.n));
    sm_buf_wipe(&b);
}

static void a_long_title_is_cut_between_characters(void **state)
{
    (void)state;
    char title[700];
    for (size_t i = 0; i + 3 < sizeof title; i += 3)
        memcpy(title + i, "あ", 3);
    title[sizeof title - 1] = 0;
    title[699 - 699 % 3] = 0;
    struct sm_buf b = SM_BUF_INIT(1000);
    struct notify_alarm a = alarm_of(title);
    assert_int_equal(notify_subject(&a, &b), 0);
    assert_true(b.n <= 200);
    assert_true(sm_utf8_valid(sm_buf_span(&b)));
    sm_buf_wipe(&b);
}

static void the_text_names_what_to_do_and_the_head(void **state)
{
    (void)state;
    struct sm_buf b = SM_BUF_INIT(1000);
    struct notify_alarm a = alarm_of("題");
    json_t *next = json_pack("[s,s]", "電話する", "線を抜く");
    a.next = next;
    assert_int_equal(notify_text(&a, &b), 0);
    const char *s = sm_buf_str(&b);
    assert_non_null(strstr(s, "1. 電話する"));
    assert_non_null(strstr(s, "2. 線を抜く"));
    assert_non_null(strstr(s, "00ff"));
    json_t *hook = notify_hook(&a);
    assert_string_equal(json_string_value(json_object_get(hook, "state")), "call");
    json_decref(hook);
    json_decref(next);
    sm_buf_wipe(&b);
}

static void addresses_are_plain(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "a", "a@", "@b", "a b@c.jp", "a@b\r\nTo: x", "a@b c", "a@b..c", "-a@b.c",
        "a@b.", "\"x\"@y.z", "a@b,c@d" };
    assert_true(notify_address_ok("in.cho+kinkyu@clinic.example.jp"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(notify_address_ok(bad[i]));
}

static void plain_http_goes_only_to_the_own_network(void **state)
{
    (void)state;
    static const char *const good[] = { "https://hooks.example.jp/x?y=1", "http://192.168.1.5:8080/hook",
        "http://127.0.0.1/", "http://10.1.2.3", "http://[::1]:80/x" };
    static const char *const bad[] = { "", "http://hooks.example.jp/", "http://8.8.8.8/",
        "http://192.168.1.5.evil.com/", "http://192.168.1.5@evil.com/", "https://user@host/", "file:///etc/passwd",
        "https://", "https://a b/", "ftp://x", "http://300.168.1.1/", "http://172.32.0.1/" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(notify_url_ok(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (notify_url_ok(bad[i]))
            fail_msg("%s", bad[i]);
}

static void a_line_of_syslog_is_one_line_and_says_how_grave_it_is(void **state)
{
    struct sm_buf b = SM_BUF_INIT(4096);

    (void)state;
    assert_int_equal(notify_syslog(7, true, "2026-11-23T01:02:03Z", "外から\n入られ\x01ました", &b), 0);
    assert_string_equal(sm_buf_str(&b), "<105>1 2026-11-23T01:02:03Z sakimori sakimori - INCIDENT-7 - \xef\xbb\xbf外から 入られ ました");
    sm_buf_wipe(&b);
    b = SM_BUF_INIT(4096);
    char longer[2000];
    for (size_t k = 0; k + 3 < sizeof longer; k += 3)
        memcpy(longer + k, "あ", 4);
    assert_int_equal(notify_syslog(8, false, NULL, longer, &b), 0);
    assert_true(b.n < 480 && sm_utf8_valid(SM_SPAN(b.p, b.n)));
    assert_int_equal(strncmp(sm_buf_str(&b), "<108>1 - ", 9), 0);
    sm_buf_wipe(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_line_break_in_a_title_cannot_begin_a_header),
        cmocka_unit_test(a_line_of_syslog_is_one_line_and_says_how_grave_it_is),
        cmocka_unit_test(a_long_title_is_cut_between_characters),
        cmocka_unit_test(the_text_names_what_to_do_and_the_head), cmocka_unit_test(addresses_are_plain),
        cmocka_unit_test(plain_http_goes_only_to_the_own_network) };
    return cmocka_run_group_tests_name("api notify", tests, NULL, NULL);
}
