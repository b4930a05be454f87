/* The flat JSON scanner. */
#include "../test.h"
#include <stdlib.h>
#include <string.h>
#include "normalise/json.h"

static struct event_names *names;
static struct event e;

static int set_up(void **state)
{
    names = event_names_new();
    return names && event_init(&e) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    event_wipe(&e);
    event_names_free(names);
    return 0;
}

/* From memory of exactly that size, so that the sanitizer sees a read past its end. */
static int scan_n(const char *text, size_t n)
{
    static uint8_t *exact;
    struct json_fields to = { &e, names };

    free(exact);
    exact = malloc(n ? n : 1);
    assert_non_null(exact);
    if (n)
        memcpy(exact, text, n);
    event_clear(&e);
    int r = json_flat(SM_SPAN(exact, n), &e, json_field, &to);
    if (r < 0) {
        free(exact);
        exact = NULL;
    }
    return r;
}

static int scan(const char *text)
{
    return scan_n(text, strlen(text));
}

static void field_is(size_t i, const char *name, enum event_type type, const char *value)
{
    assert_true(i < e.n);
    assert_span_is(event_names_text(names, e.fields[i].name), name);
    assert_int_equal(e.fields[i].type, type);
    assert_span_is(event_value(&e.fields[i]), value);
}

static void members_inside_members_get_dotted_names_and_arrays_repeat(void **state)
{
    assert_ok(scan(" { \"a\" : 1 , \"b\":{\"c\":\"x\",\"d\":{\"e\":true}},\"f\":[1,[2],{\"g\":null},3], \"h\":{}, "
        "\"i\":[] } \n"));
    assert_int_equal(e.n, 7);
    field_is(0, "a", EVENT_NUMBER, "1");
    field_is(1, "b.c", EVENT_TEXT, "x");
    field_is(2, "b.d.e", EVENT_BOOL, "true");
    field_is(3, "f", EVENT_NUMBER, "1");
    field_is(4, "f", EVENT_NUMBER, "2");
    field_is(5, "f.g", EVENT_NULL, "");
    field_is(6, "f", EVENT_NUMBER, "3");
}

static int last_names(void *ctx, const struct json_value *v)
{
    struct sm_buf *b = ctx;

    assert_ok(sm_buf_put_span(b, v->name));
    return sm_buf_printf(b, "%u%s;", v->depth, v->in_array ? "a" : "");
}

static void a_value_knows_its_own_name_also_with_dots_in_it(void **state)
{
    struct sm_buf b = { 0 };

    assert_ok(json_flat(SM_SPAN_STR("{\"a.b\":[1],\"c\":{\"d.e\":[{\"f\":2},3]}}"), &e, last_names, &b));
    assert_string_equal(sm_buf_str(&b), "a.b2a;f4;d.e3a;");
    sm_buf_wipe(&b);
}

static void escapes_are_undone_and_plain_text_is_borrowed(void **state)
{
    const char *text = "{\"p\":\"plain\",\"q\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u3042\\ud83d\\ude00z\"}";
    struct json_fields to = { &e, names };

    event_clear(&e);
    assert_ok(json_flat(SM_SPAN_STR(text), &e, json_field, &to));
    field_is(0, "p", EVENT_TEXT, "plain");
    assert_ptr_equal(e.fields[0].p, text + 6);
    field_is(1, "q", EVENT_TEXT, "a\"\\/\b\f\n\r\tあ😀z");
    assert_int_equal(e.notes, 0);
}

static void what_no_text_can_be_is_replaced_and_said(void **state)
{
    assert_ok(scan("{\"a\":\"x\\u0000y\",\"b\":\"\\ud800\\u0041\",\"c\":\"\\udc00\"}"));
    field_is(0, "a", EVENT_TEXT, "x\xef\xbf\xbdy");
    field_is(1, "b", EVENT_TEXT, "\xef\xbf\xbd" "A");
    field_is(2, "c", EVENT_TEXT, "\xef\xbf\xbd");
    assert_int_equal(e.notes, EVENT_REPLACED);
}

static void what_is_not_json_is_refused(void **state)
{
    static const char *const bad[] = {
        "", " ", "1", "[]", "[{}]", "{", "{}x", "{}{}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":01}",
            "{\"a\":+1}", "{\"a\":.5}",
        "{\"a\":1.}", "{\"a\":1e}", "{\"a\":-}", "{\"a\":nul}", "{\"a\":True}", "{\"a\":\"x}", "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\u12\"}", "{\"a\":\"\t\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\xe3\x81\"}", "{\"a\":\"\\n\xe3\x81\"}",
        "{a:1}", "{'a':1}",
        "{\"a\":[1}", "{\"a\":{1]}", "{\"a\":[1 2]}", "{\"a\":1 \"b\":2}", "{\"a\":[,]}", "{\"a\":\"\\",
        "{\"a\":\"\\u", "{\"a\":\"x\\\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (scan(bad[i]) != -SM_EFORMAT)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(scan_n("{\"a\":\"\0\"}", 9), -SM_EFORMAT);
}

static void every_beginning_of_a_text_is_refused_without_reading_past_it(void **state)
{
    const char *text = "{\"name of sixteen+\":\"value that is longer than sixteen\",\"b\":[1.5e-3,\"\\ud83d\\ude00\","
        "{\"c\":null}],\"d\":false}";

    assert_ok(scan(text));
    for (size_t n = 0; n < strlen(text); n++)
        assert_int_equal(scan_n(text, n), -SM_EFORMAT);
}

static void depth_and_paths_have_a_maximum(void **state)
{
    struct sm_buf b = { 0 };

    for (int levels = JSON_DEPTH_MAX; levels <= JSON_DEPTH_MAX + 1; levels++) {
        b.n = 0;
        for (int i = 0; i < levels; i++)
            assert_ok(sm_buf_put(&b, "{\"a\":", 5));
        assert_ok(sm_buf_put(&b, "1", 1));
        for (int i = 0; i < levels; i++)
            assert_ok(sm_buf_put(&b, "}", 1));
        assert_int_equal(scan_n((char *)b.p, b.n), levels == JSON_DEPTH_MAX ? 0 : -SM_ELIMIT);
    }
    b.n = 0;
    assert_ok(sm_buf_put(&b, "{\"", 2));
    for (int i = 0; i < JSON_PATH_MAX; i++)
        assert_ok(sm_buf_put(&b, "n", 1));
    assert_ok(sm_buf_put(&b, "\":1}", 4));
    assert_int_equal(scan_n((char *)b.p, b.n), -SM_ELIMIT);
    sm_buf_wipe(&b);
}

static void a_name_without_a_place_in_the_table_is_kept_with_its_value(void **state)
{
    char text[400], want[300];

    memset(want, 'n', 250);
    (void)snprintf(want + 250, 50, "=5");
    (void)snprintf(text, sizeof text, "{\"%.250s\":5}", want);
    assert_ok(scan(text));
    field_is(0, "other", EVENT_TEXT, want);
}

static void objects_in_a_stream_are_told_apart(void **state)
{
    const char *text = "\n{\"a\":\"}\\\"{\",\"b\":[{}]}\n{\"c\":1}";
    size_t n = json_frame(SM_SPAN_STR(text));

    assert_int_equal(n, strlen("\n{\"a\":\"}\\\"{\",\"b\":[{}]}"));
    assert_int_equal(json_frame(SM_SPAN(text, n - 1)), 0);
    assert_int_equal(json_frame(SM_SPAN_STR(text + n)), strlen("\n{\"c\":1}"));
    assert_int_equal(json_frame(SM_SPAN_STR("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_inside_members_get_dotted_names_and_arrays_repeat),
        cmocka_unit_test(a_value_knows_its_own_name_also_with_dots_in_it),
        cmocka_unit_test(escapes_are_undone_and_plain_text_is_borrowed),
        cmocka_unit_test(what_no_text_can_be_is_replaced_and_said),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(every_beginning_of_a_text_is_refused_without_reading_past_it),
        cmocka_unit_test(depth_and_paths_have_a_maximum),
        cmocka_unit_test(a_name_without_a_place_in_the_table_is_kept_with_its_value),
        cmocka_unit_test(objects_in_a_stream_are_told_apart),
    };
    return cmocka_run_group_tests_name("normalise-json", tests, set_up, tear_down);
}
