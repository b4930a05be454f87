#include "../test.h"
#include "core/time.h"

static struct sm_time at(const char *text)
{
    struct sm_time t = {-1, 0};
    assert_ok(sm_time_parse(text, &t));
    return t;
}

static void assert_wareki(const char *when, const char *expected)
{
    char text[96];
    sm_time_wareki(at(when), text);
    assert_string_equal(text, expected);
}

static void rfc_3339_comes_back_with_milliseconds(void **state)
{
    char text[SM_TIME_TEXT];
    sm_time_rfc3339((struct sm_time){0, 0}, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
    sm_time_rfc3339(at("2026-11-24T08:30:00.1239+09:00"), text);
    assert_string_equal(text, "2026-11-23T23:30:00.123Z");
    sm_time_rfc3339((struct sm_time){-1, 0}, text);
    assert_string_equal(text, "1969-12-31T23:59:59Z");
    sm_time_rfc3339((struct sm_time){INT64_MAX, 999999999}, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    sm_time_rfc3339((struct sm_time){INT64_MIN, 0}, text);
    assert_string_equal(text, "0000-01-01T00:00:00Z");
}

static void malformed_times_are_refused_and_leave_the_result(void **state)
{
    static const char *const bad[] = {"", "2026", "2026-11-24", "2026-11-24T08:30:00", "2026-11-24T08:30Z",
        "2026-11-31T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T12:00:60Z",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+9:00", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00Zx",
        "2026-01-01X00:00:00Z", "+2026-1-01T00:00:00Z", "2026-01-01T00:00:00 Z"};
    struct sm_time t = {42, 7};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(sm_time_parse(bad[i], &t), -SM_EFORMAT);
    assert_int_equal(t.s, 42);
}

static void a_leap_second_is_known_only_at_the_end_of_a_utc_day(void **state)
{
    assert_int_equal(at("2016-12-31T23:59:60Z").s, at("2017-01-01T00:00:00Z").s);
    assert_int_equal(at("2017-01-01T08:59:60+09:00").s, at("2017-01-01T00:00:00Z").s);
    assert_int_equal(at("2024-02-29T00:00:00Z").s, 1709164800);
    assert_int_equal(at("2000-02-29T00:00:00z").s, 951782400);
}

static void an_era_begins_on_its_day_in_japan(void **state)
{
    assert_wareki("2026-11-24T08:30:00+09:00", "令和8年(2026年) 11月24日(火) 8:30");
    assert_wareki("2019-05-01T00:00:00+09:00", "令和元年(2019年) 5月1日(水) 0:00");
    assert_wareki("2019-04-30T23:59:59+09:00", "平成31年(2019年) 4月30日(火) 23:59");
    assert_wareki("1989-01-08T00:00:00+09:00", "平成元年(1989年) 1月8日(日) 0:00");
    assert_wareki("1989-01-07T23:59:59+09:00", "昭和64年(1989年) 1月7日(土) 23:59");
    assert_wareki("1926-12-25T00:00:00+09:00", "昭和元年(1926年) 12月25日(土) 0:00");
    assert_wareki("1926-12-24T23:59:00+09:00", "大正15年(1926年) 12月24日(金) 23:59");
    assert_wareki("1912-07-30T00:00:00+09:00", "大正元年(1912年) 7月30日(火) 0:00");
    assert_wareki("1912-07-29T12:05:00+09:00", "明治45年(1912年) 7月29日(月) 12:05");
    assert_wareki("1868-10-23T00:00:00+09:00", "明治元年(1868年) 10月23日(金) 0:00");
    assert_wareki("1868-10-22T23:59:00+09:00", "1868年 10月22日(木) 23:59");
    assert_wareki("2020-01-01T00:00:00+09:00", "令和2年(2020年) 1月1日(水) 0:00");
}

static void a_day_in_japan_begins_at_15_utc(void **state)
{
    char text[SM_TIME_TEXT];
    struct sm_time before = at("2025-12-31T14:59:59Z"), after = at("2025-12-31T15:00:00Z");
    sm_time_jst(before, text);
    assert_string_equal(text, "2025-12-31 23:59");
    sm_time_jst(after, text);
    assert_string_equal(text, "2026-01-01 00:00");
    assert_int_equal(sm_time_day_jst(after), sm_time_day_jst(before) + 1);
    assert_int_equal(sm_time_day_jst((struct sm_time){0, 0}), 0);
    assert_int_equal(sm_time_day_jst((struct sm_time){-9 * 3600 - 1, 0}), -1);
    struct sm_civil c;
    sm_time_civil_jst(after, &c);
    assert_int_equal(c.weekday, 4);
    assert_int_equal(c.hour, 0);
}

static void every_day_of_four_centuries_comes_back(void **state)
{
    for (int64_t day = -60000; day < 90000; day++) {
        struct sm_civil c;
        struct sm_time t = {day * 86400 - 9 * 3600, 0}, again;
        sm_time_civil_jst(t, &c);
        char text[64];
        (void)snprintf(text, sizeof text, "%04d-%02d-%02dT00:00:00+09:00", c.year, c.month, c.day);
        assert_ok(sm_time_parse(text, &again));
        assert_int_equal(sm_time_cmp(t, again), 0);
        assert_int_equal(c.weekday, ((day + 4) % 7 + 7) % 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_3339_comes_back_with_milliseconds),
        cmocka_unit_test(malformed_times_are_refused_and_leave_the_result),
        cmocka_unit_test(a_leap_second_is_known_only_at_the_end_of_a_utc_day),
        cmocka_unit_test(an_era_begins_on_its_day_in_japan),
        cmocka_unit_test(a_day_in_japan_begins_at_15_utc),
        cmocka_unit_test(every_day_of_four_centuries_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
