/* Which limit counts at what hour. */
#include "api_kit.h"
#include "api/internal.h"

#define JST (9 * 3600)
#define SUNDAY ((int64_t)1795305600 - JST) /* 2026-11-22 00:00 JST */
#define AT(day, h, m) (SUNDAY + (int64_t)(day) * 86400 + (h) * 3600 + (m) * 60)
#define CLINIC "{\"days\":[1,2,3,4,5,6],\"from\":\"08:30\",\"to\":\"18:30\",\"kib_s\":500}"

static json_t *source(const char *hours)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "{\"bandwidth\":9000,\"options\":{\"hours\":%s}}", hours); /* fits */
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    return o;
}

static void expect(const char *hours, int64_t at, int64_t kib)
{
    json_t *o = source(hours);
    assert_null(bandwidth_bad(json_object_get(json_object_get(o, "options"), "hours")));
    assert_int_equal(bandwidth_now(o, at), kib);
    json_decref(o);
}

static void opening_hours_are_slow_and_the_rest_is_not(void **s)
{
    (void)s;
    expect("[" CLINIC "]", AT(1, 8, 29), 9000);
    expect("[" CLINIC "]", AT(1, 8, 30), 500);
    expect("[" CLINIC "]", AT(6, 18, 29), 500);
    expect("[" CLINIC "]", AT(6, 18, 30), 9000);
    expect("[" CLINIC "]", AT(0, 12, 0), 9000);
    expect("[" CLINIC "]", AT(7, 12, 0), 9000);
    expect("[]", AT(3, 12, 0), 9000);
}

static void the_first_row_that_covers_the_moment_counts(void **s)
{
    (void)s;
    const char *rows = "[{\"days\":[3],\"from\":\"12:00\",\"to\":\"13:00\",\"kib_s\":0}," CLINIC "]";
    expect(rows, AT(3, 12, 30), 0);
    expect(rows, AT(3, 13, 0), 500);
    expect(rows, AT(4, 12, 30), 500);
}

static void a_row_may_go_over_midnight(void **s)
{
    (void)s;
    const char *rows = "[{\"days\":[6],\"from\":\"22:00\",\"to\":\"06:00\",\"kib_s\":7}]";
    expect(rows, AT(6, 21, 59), 9000);
    expect(rows, AT(6, 23, 0), 7);
    expect(rows, AT(7, 5, 59), 7); /* Sunday morning */
    expect(rows, AT(7, 6, 0), 9000);
    expect(rows, AT(6, 3, 0), 9000); /* Friday's night is not of it */
    expect("[{\"days\":[0],\"from\":\"00:00\",\"to\":\"24:00\",\"kib_s\":7}]", AT(0, 23, 59), 7);
    expect("[{\"days\":[0],\"from\":\"00:00\",\"to\":\"24:00\",\"kib_s\":7}]", AT(1, 0, 0), 9000);
}

static void wrong_rows_are_named(void **s)
{
    static const struct { const char *rows, *bad; } row[] = {
        { "{}", "options.hours" }, { "[1]", "options.hours" }, { "[{}]", "options.hours" },
        { "[{\"days\":[],\"from\":\"08:30\",\"to\":\"18:30\",\"kib_s\":1}]", "options.hours.days" },
        { "[{\"days\":[7],\"from\":\"08:30\",\"to\":\"18:30\",\"kib_s\":1}]", "options.hours.days" },
        { "[{\"days\":[1,1],\"from\":\"08:30\",\"to\":\"18:30\",\"kib_s\":1}]", "options.hours.days" },
        { "[{\"days\":[1],\"from\":\"8:30\",\"to\":\"18:30\",\"kib_s\":1}]", "options.hours.from" },
        { "[{\"days\":[1],\"from\":\"24:00\",\"to\":\"18:30\",\"kib_s\":1}]", "options.hours.from" },
        { "[{\"days\":[1],\"from\":\"08:3:\",\"to\":\"18:30\",\"kib_s\":1}]", "options.hours.from" },
        { "[{\"days\":[1],\"from\":\"08:30\",\"to\":\"08:30\",\"kib_s\":1}]", "options.hours.to" },
        { "[{\"days\":[1],\"from\":\"08:30\",\"to\":\"24:01\",\"kib_s\":1}]", "options.hours.to" },
        { "[{\"days\":[1],\"from\":\"08:30\",\"to\":\"18:30\",\"kib_s\":-1}]", "options.hours.kib_s" },
        { "[{\"days\":[1],\"from\":\"08:30\",\"to\":\"18:30\",\"kib_s\":\"1\"}]", "options.hours.kib_s" },
        { "[{\"days\":[1],\"from\":\"08:30\",\"to\":\"18:30\",\"kib_s\":1,\"x\":1}]", "options.hours" },
    };
    (void)s;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        json_t *o = source(row[i].rows);
        const char *bad = bandwidth_bad(json_object_get(json_object_get(o, "options"), "hours"));
        assert_non_null(bad);
        assert_string_equal(bad, row[i].bad);
        json_decref(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_hours_are_slow_and_the_rest_is_not),
        cmocka_unit_test(the_first_row_that_covers_the_moment_counts),
        cmocka_unit_test(a_row_may_go_over_midnight),
        cmocka_unit_test(wrong_rows_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
