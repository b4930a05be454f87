#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "event/event.h"

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

static uint16_t number(const char *name)
{
    return event_names_add(names, SM_SPAN_STR(name));
}

static void every_name_of_the_table_has_its_own_number(void **state)
{
    for (uint16_t i = 1; i < EVENT_F_COUNT; i++) {
        struct sm_span text = event_names_text(names, i);
        assert_true(text.n > 0);
        if (event_names_find(names, text) != i)
            fail_msg("%.*s stands twice", (int)text.n, (const char *)text.p);
    }
    assert_int_equal(number("EventID"), EVENT_F_EventID);
    assert_int_equal(number("cs-uri-query"), EVENT_F_cs_uri_query);
    assert_string_equal(event_field_doc(EVENT_F_Image)->type, "path");
    assert_null(event_field_doc(EVENT_W_windows));
    assert_null(event_field_doc(EVENT_F_none));
}

static void a_new_name_gets_a_number_and_keeps_it(void **state)
{
    assert_int_equal(event_names_find(names, SM_SPAN_STR("eventName")), 0);
    uint16_t n = number("eventName");
    assert_true(n >= EVENT_F_COUNT);
    assert_int_equal(number("eventName"), n);
    assert_true(number("eventname") != n);
    assert_string_equal((const char *)event_names_text(names, n).p, "eventName");
    assert_int_equal(event_names_add(names, SM_SPAN("a\xff", 2)), EVENT_F_other);
    assert_int_equal(event_names_add(names, SM_SPAN("", 0)), EVENT_F_other);
}

static void a_flood_of_names_fills_the_table_and_harms_no_known_one(void **state)
{
    char name[32];

    for (int i = 0; i < EVENT_NAMES_MAX + 100; i++) {
        snprintf(name, sizeof name, "flood%d", i);
        (void)number(name);
    }
    assert_int_equal(event_names_count(names), EVENT_NAMES_MAX);
    assert_int_equal(number("one more"), EVENT_F_other);
    assert_int_equal(number("Image"), EVENT_F_Image);
    assert_true(number("flood7") >= EVENT_F_COUNT);
}

static void an_event_becomes_json(void **state)
{
    struct sm_buf b = SM_BUF_INIT(1 << 20);

    e.time = (struct event_time){ 1636281480, 120000000 };
    e.host = SM_SPAN_STR("router\"1");
    e.product = EVENT_W_windows;
    e.severity = 5;
    e.notes = EVENT_NO_ZONE | EVENT_CUT;
    assert_int_equal(event_add(&e, EVENT_F_EventID, EVENT_NUMBER, SM_SPAN_STR("4625")), 0);
    assert_int_equal(event_add_copy(&e, EVENT_F_User, EVENT_TEXT, SM_SPAN_STR("受付\n\x01")), 0);
    assert_int_equal(event_add(&e, EVENT_F_User, EVENT_TEXT, SM_SPAN_STR("b")), 0);
    assert_int_equal(event_add(&e, EVENT_F_Status, EVENT_NULL, SM_SPAN("", 0)), 0);
    assert_int_equal(event_json(&e, names, &b), 0);
    assert_string_equal(sm_buf_str(&b), "{\"@timestamp\":\"2021-11-07T10:38:00.12Z\",\"@host\":\"router\\\"1\",\"@product\":\"windows\","
        "\"@severity\":5,\"@notes\":[\"cut\",\"no-zone\"],\"EventID\":4625,\"User\":[\"受付\\n\\u0001\",\"b\"],\"Status\":null}");
    b.max = b.n + 5;
    size_t n = b.n;
    assert_int_equal(event_json(&e, names, &b), -SM_ELIMIT);
    assert_int_equal(b.n, n);
    sm_buf_wipe(&b);
}

static void a_cleared_event_is_empty_and_can_be_filled_again(void **state)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++)
            assert_int_equal(event_add_copy(&e, EVENT_F_Image, EVENT_TEXT, SM_SPAN_STR("C:\\Windows\\explorer.exe")), 0);
        assert_int_equal(e.n, 300);
        assert_true(sm_span_eq(event_value(&e.fields[299]), SM_SPAN_STR("C:\\Windows\\explorer.exe")));
        event_clear(&e);
        assert_int_equal(e.n, 0);
        assert_int_equal(e.notes, 0);
        assert_int_equal(e.severity, EVENT_NO_SEVERITY);
    }
}

static void what_is_too_much_is_cut_and_said(void **state)
{
    static uint8_t big[EVENT_VALUE_MAX + 64];

    memset(big, 'x', sizeof big);
    memcpy(big + EVENT_VALUE_MAX - 1, "あ", 3); /* a character across the limit goes as a whole */
    assert_int_equal(event_add(&e, EVENT_F_Message, EVENT_TEXT, SM_SPAN(big, sizeof big)), 0);
    assert_int_equal(e.fields[0].n, EVENT_VALUE_MAX - 1);
    assert_true(e.notes & EVENT_CUT);
    event_clear(&e);
    for (int i = 0; i < EVENT_FIELDS_MAX + 5; i++)
        assert_int_equal(event_add(&e, EVENT_F_a0, EVENT_TEXT, SM_SPAN_STR("x")), 0);
    assert_int_equal(e.n, EVENT_FIELDS_MAX);
    assert_true(e.notes & EVENT_CUT);
    event_clear(&e);
    for (int i = 0; i < 40; i++)
        assert_int_equal(event_add_copy(&e, EVENT_F_a0, EVENT_TEXT, SM_SPAN(big, EVENT_VALUE_MAX)), 0);
    assert_true(e.n < 20);
    assert_true(e.notes & EVENT_CUT);
    assert_null(event_room(&e, EVENT_ARENA_MAX + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_name_of_the_table_has_its_own_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_name_gets_a_number_and_keeps_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flood_of_names_fills_the_table_and_harms_no_known_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_event_becomes_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cleared_event_is_empty_and_can_be_filled_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_too_much_is_cut_and_said, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
