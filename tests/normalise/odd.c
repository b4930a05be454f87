/* What senders do wrong: nothing makes it fail, everything stays bounded, the bytes are kept. */
#include <stdlib.h>
#include "normalise/normalise.h"
#include "../test.h"

static struct event_names *names;
static struct normalise *norm;
static struct event e;
static const struct event_time seen = { 1795132800, 5 };

static int take(struct normalise_state *state, const void *p, size_t n)
{
    struct normalise_hint h = NORMALISE_HINT;

    h.state = state;
    return normalise_record(norm, &h, SM_SPAN(p, n), seen, &e);
}

static void an_endless_line_is_cut_and_says_so(void **state)
{
    size_t n = 100u << 20;
    char *line = malloc(n);

    (void)state;
    assert_non_null(line);
    memset(line, 'a', n);
    memcpy(line, "<13>Nov 15 02:41:09 h p: ", 25);
    assert_ok(take(NULL, line, n));
    assert_int_equal(e.raw.n, EVENT_RAW_MAX);
    assert_true(e.notes & EVENT_CUT);
    assert_int_equal(event_text(&e, EVENT_F_Message).n, EVENT_VALUE_MAX);
    free(line);
}

static void a_million_pairs_make_no_more_fields_than_there_may_be(void **state)
{
    size_t n = 0, max = EVENT_RAW_MAX;
    char *line = malloc(max);

    (void)state;
    assert_non_null(line);
    n = (size_t)snprintf(line, max, "date=2026-11-15 time=00:00:00 devname=x logid=1 type=event ");
    for (unsigned i = 0; n + 20 < max; i++)
        n += (size_t)snprintf(line + n, max - n, "k%u=%u ", i, i);
    assert_ok(take(NULL, line, n));
    assert_int_equal(e.n, EVENT_FIELDS_MAX);
    assert_true(e.notes & EVENT_CUT);
    /* The table of names is full of them now or not: known names go on. */
    const char *next = "<38>Nov 15 02:41:09 h sshd[1]: Accepted password for a from 192.0.2.1 port 2 ssh2";
    assert_ok(take(NULL, next, strlen(next)));
    assert_span_is(event_text(&e, EVENT_F_username), "a");
    free(line);
}

static void a_clock_that_was_never_set_has_no_time_before_1970(void **state)
{
    const char *before = "<13>1 1970-01-01T00:00:00+09:00 h p - - - x", *after = "<13>1 1970-01-01T09:00:01+09:00 h p - - - x";

    (void)state;
    assert_ok(take(NULL, before, strlen(before)));
    assert_true(e.notes & EVENT_NO_TIME);
    assert_int_equal(e.time.s, seen.s);
    assert_ok(take(NULL, after, strlen(after)));
    assert_false(e.notes & EVENT_NO_TIME);
    assert_int_equal(e.time.s, 1);
}

static void objects_nested_a_hundred_thousand_deep_are_kept_as_text(void **state)
{
    enum { DEEP = 100000 };
    char *text = malloc(DEEP * 6 + 10);
    size_t n = 0;

    (void)state;
    assert_non_null(text);
    for (int i = 0; i < DEEP; i++, n += 5)
        memcpy(text + n, "{\"a\":", 5);
    text[n++] = '1';
    for (int i = 0; i < DEEP; i++)
        text[n++] = '}';
    assert_ok(take(NULL, text, n));
    assert_true(e.notes & EVENT_UNPARSED);
    assert_int_equal(e.raw.n, n);
    free(text);
}

/* What would recurse, or look again and again, in a record as long as one may be. */
static void long_records_of_one_thing_take_no_stack_and_no_time(void **state)
{
    static const struct { const char *head, *again; } all[] = {
        { "type=EXECVE msg=audit(1.1:2): ", "a " }, { "type=USER msg=audit(1.1:2): ", "msg='" },
        { "CEF:0|a|b|c|d|e|5|", "a= " },
        { "{\"a\":[", "[" }, { "2026-11-15 00:00:00 ", "a=b " }, { "<13>1 - - - - - ", "[a b=\"c\"]" },
        { "<13>", "<13>" },
        { "x\tMSWinEventLog\t1\t2\t3\t4\t5\t6\t7\t8\t9\tA\tB\t", ":" },
        { "10.0.0.1 - - [1/Apr/2014:00:00:01] \"", "\\" },
        { "%ASA-6-302013: ", "Built for " }, { "[IKE] ", " > " }, { "", "," }, { "", "\"" }, { "<Event>", "<a>" },
        { "<13>Nov 15 00:00:00 h p: message repeated 2 times: [ ", "message repeated 2 times: [ " },
    };
    char *line = malloc(EVENT_RAW_MAX);

    (void)state;
    assert_non_null(line);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t n = strlen(all[i].head), k = strlen(all[i].again);
        memcpy(line, all[i].head, n);
        for (; n + k <= EVENT_RAW_MAX; n += k)
            memcpy(line + n, all[i].again, k);
        struct normalise_state *st = normalise_state_new();
        assert_non_null(st);
        assert_true(take(st, line, n) >= 0);
        assert_true(take(NULL, line, n) >= 0);
        normalise_state_free(st);
    }
    free(line);
}

static void every_byte_alone_and_every_pair_is_taken(void **state)
{
    uint8_t p[2];

    (void)state;
    for (unsigned a = 0; a < 65536; a++) {
        p[0] = (uint8_t)(a >> 8);
        p[1] = (uint8_t)a;
        assert_true(take(NULL, p, 2) >= 0);
        for (size_t i = 0; i < e.n; i++)
            assert_true(sm_utf8_valid(event_value(&e.fields[i])));
    }
}

static void every_beginning_of_a_good_line_is_taken(void **state)
{
    static const char *const lines[] = {
        "<165>1 2003-10-11T22:14:15.003Z m evntslog 99 ID47 [ex@32473 iut=\"3\" a=\"\\\"\"] \xef\xbb\xbfmessage",
        "<189>45: router1: *Mar  1 00:00:05.123: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: a] [Source: 10.0.0.5]",
        "CEF:0|a|b|c|d|e|5|cs1Label=x cs1=y msg=a\\=b src=1.2.3.4",
        "type=SYSCALL msg=audit(1794678067.243:24287): arch=c000003e syscall=59 success=yes exe=\"/bin/ls\"",
        "10.0.0.5 - - [1/Apr/2014:00:00:01 -0500] \"GET / HTTP/1.1\" 403 181 \"-\" \"a\\\"b\"",
        "2026-11-15 02:41:09.123 JST [1234] o@o FATAL:  password authentication failed for user \"o\"",
        "\xe4\xbb\xa4\xe5\x92\x8c\x38\xe5\xb9\xb4\x31\x31\xe6\x9c\x88\x31\x35\xe6\x97\xa5 08\xe6\x99\x82\x33\x31\xe5\x88\x86,\"x,y\",z",
    };

    (void)state;
    struct normalise_state *st = normalise_state_new();
    assert_non_null(st);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        for (size_t n = 0; n <= strlen(lines[i]); n++) {
            char *exact = malloc(n ? n : 1); /* so that a byte too far is seen */
            assert_non_null(exact);
            memcpy(exact, lines[i], n);
            assert_true(take(st, exact, n) >= 0);
            assert_true(e.time.ns <= 999999999);
            free(exact);
        }
    normalise_state_free(st);
}

/* What Cisco may write before its code, alone or through a relay. */
static void what_stands_before_a_code_of_cisco_is_told_apart(void **state)
{
    static const char *const heads[][2] = {
        { "<190>3132517: Jul 13 08:23:43 192.168.100.2 sw01: 3132779: Jul 14 2023 08:23:43.398 UTC", "sw01" },
        { "<190>Jul 13 08:23:43 192.168.100.2 sw01: 3132779: Jul 14 2023 08:23:43 UTC", "sw01" },
        { "<190>31: 192.168.100.2 32: *Jul 14 2023 08:23:43 UTC", "192.168.100.2" },
        { "<190>3132517: 3132513: Jul 14 2023 08:23:43.398 UTC", "" },
        { "<190>: sw01: Jul 14 2023 08:23:43 UTC", "sw01" },
        { "<190>: Jul 14 2023 08:23:43 UTC", "" },
        { "<190>7: sw01: 3132513: 2y10w", "sw01" },
        { "Jul 13 08:23:43 192.168.100.2 585917: Jul 14 2023 08:23:43 UTC", "192.168.100.2" },
    };
    char line[256];

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        snprintf(line, sizeof line, "%s: %%SYS-5-CONFIG_I: Configured from console by admin on vty0 (10.0.0.9)", heads[i][0]);
        assert_ok(take(NULL, line, strlen(line)));
        assert_span_is(event_text(&e, EVENT_F_hostname), heads[i][1]);
        assert_span_is(event_text(&e, EVENT_F_username), "admin");
        assert_span_is(event_names_text(names, e.product), "cisco");
        assert_int_equal(e.time.s, strchr(line, '*') || strstr(line, "2y10w") ? seen.s : 1689323023);
    }
    /* A code that is only spoken of is no head. */
    const char *about = "<13>Nov 15 02:41:09 srv1 app: the switch said a=1 %SYS-5-CONFIG_I: Configured";
    assert_ok(take(NULL, about, strlen(about)));
    assert_span_is(event_text(&e, EVENT_F_program), "app");
    assert_span_is(event_text(&e, EVENT_F_hostname), "srv1");
}

static void a_time_without_a_year_lies_in_the_past(void **state)
{
    static const struct { const char *time; int64_t s; } rows[] = {
        { "Nov 27 00:00:00", 1795705200 },  /* a clock that is days ahead */
        { "Nov 28 01:00:00", 1764259200 },  /* more than a week: a year ago */
        { "Jan  6 22:11:43", 1767705103 },  { "Feb 29 12:00:00", 1709175600 },
    };
    char line[128];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(line, sizeof line, "<13>%s srv1 app: text", rows[i].time);
        assert_ok(take(NULL, line, strlen(line)));
        assert_true(e.notes & EVENT_NO_YEAR);
        assert_int_equal(e.time.s, rows[i].s);
    }
}

static void records_of_audit_that_never_end_fill_no_memory(void **state)
{
    char line[300];
    struct normalise_state *st = normalise_state_new();
    struct normalise_hint h = NORMALISE_HINT;
    unsigned told = 0;

    (void)state;
    assert_non_null(st);
    h.state = st;
    for (unsigned i = 0; i < 5000; i++) {
        int n = snprintf(line, sizeof line,
            "type=SYSCALL msg=audit(1794678067.243:%u): syscall=59 success=yes pid=%u exe=\"/bin/x\"", i, i);
        assert_true(normalise_record(norm, &h, SM_SPAN(line, (size_t)n), seen, &e) >= 0);
        while (normalise_more(norm, &h, &e) == 1)
            told++;
        n = snprintf(line, sizeof line, "type=EXECVE msg=audit(1794678067.243:%u): argc=1 a0=\"x%u\"", i, i);
        assert_true(normalise_record(norm, &h, SM_SPAN(line, (size_t)n), seen, &e) >= 0);
        while (normalise_more(norm, &h, &e) == 1) {
            told++;
            assert_span_is(event_text(&e, EVENT_F_Image), "/bin/x");
        }
    }
    /* Those that were pushed out were told all the same. */
    assert_in_range(told, 4990, 5000);
    normalise_state_free(st);
}

static void a_file_is_cut_into_the_records_of_its_format(void **state)
{
    struct normalise_hint h = NORMALISE_HINT;
    struct sm_span r;

    (void)state;
    h.frame = "csv";
    struct sm_span s = SM_SPAN_STR("a,\"x\ny\",b\r\nc,d\n");
    size_t n = normalise_next(&h, s, true, &r);
    assert_span_is(r, "a,\"x\ny\",b");
    n += normalise_next(&h, SM_SPAN(s.p + n, s.n - n), true, &r);
    assert_span_is(r, "c,d");
    assert_int_equal(n, s.n);
    h.frame = "json";
    s = SM_SPAN_STR("[\n {\"a\": {\n\"b\": \"}\"}},\n {\"c\":1}\n]");
    n = normalise_next(&h, s, false, &r);
    h.frame = NULL;
    s = SM_SPAN_STR("half a li");
    assert_int_equal(normalise_next(&h, s, false, &r), 0);
    assert_int_equal(normalise_next(&h, s, true, &r), s.n);
    h.encoding = "utf-16le";
    s = SM_SPAN("a\0\n\0b\0\n\0", 8);
    assert_int_equal(normalise_next(&h, s, false, &r), 4);
    h.frame = "journald";
    h.encoding = NULL;
    s = SM_SPAN("A=1\nM\n\x03\0\0\0\0\0\0\0\n\n\n\nB=2\n\nC=", 30);
    assert_int_equal(normalise_next(&h, s, false, &r), 23);
}

static void a_mapping_that_is_wrong_says_what(void **state)
{
    struct normalise_map *m = NULL;
    char why[160] = "";

    (void)state;
    assert_true(normalise_map_parse(names,
        SM_SPAN_STR("{\"tables\":[{\"name\":\"x\",\"needs\":[\"a\"],\"columns\":{\"a\":1}}]}"), &m, why) < 0);
    assert_null(m);
    assert_non_null(strstr(why, "x"));
    assert_true(normalise_map_parse(names, SM_SPAN_STR("{"), &m, why) < 0);
    assert_ok(normalise_map_parse(names,
        SM_SPAN_STR("{\"tables\":[{\"name\":\"x\",\"category\":\"pc_operation\",\"needs\":[\"When\"],"
        "\"columns\":{\"When\":\"@time\",\"Who\":\"username\"}}]}"), &m, why));
    struct normalise_hint h = NORMALISE_HINT;
    h.state = normalise_state_new();
    h.map = m;
    assert_non_null(h.state);
    assert_int_equal(normalise_record(norm, &h, SM_SPAN_STR("When,Who,Else"), seen, &e), 1);
    assert_ok(normalise_record(norm, &h, SM_SPAN_STR("2026-11-15 10:00:00,jimu,7"), seen, &e));
    assert_span_is(event_text(&e, EVENT_F_username), "jimu");
    assert_span_is(event_text(&e, event_names_find(names, SM_SPAN_STR("Else"))), "7");
    assert_int_equal(e.time.s, 1794704400);
    normalise_state_free(h.state);
    normalise_map_free(m);
}

static int begin(void **state)
{
    (void)state;
    names = event_names_new();
    return names && normalise_new(names, &norm) == 0 && event_init(&e) == 0 ? 0 : -1;
}

static int finish(void **state)
{
    (void)state;
    event_wipe(&e);
    normalise_free(norm);
    event_names_free(names);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_endless_line_is_cut_and_says_so),
        cmocka_unit_test(a_clock_that_was_never_set_has_no_time_before_1970), cmocka_unit_test(objects_nested_a_hundred_thousand_deep_are_kept_as_text),
        cmocka_unit_test(long_records_of_one_thing_take_no_stack_and_no_time),
        cmocka_unit_test(every_byte_alone_and_every_pair_is_taken),
        cmocka_unit_test(every_beginning_of_a_good_line_is_taken),
        cmocka_unit_test(what_stands_before_a_code_of_cisco_is_told_apart),
        cmocka_unit_test(a_time_without_a_year_lies_in_the_past),
        cmocka_unit_test(records_of_audit_that_never_end_fill_no_memory),
        cmocka_unit_test(a_file_is_cut_into_the_records_of_its_format),
        cmocka_unit_test(a_mapping_that_is_wrong_says_what),
        cmocka_unit_test(a_million_pairs_make_no_more_fields_than_there_may_be),
    };
    return cmocka_run_group_tests(tests, begin, finish);
}
