/* Logs in the API: kept searches, holds, doors, what of a source is said, times without zone, encodings of an export. */
#include "api_kit.h"
#include <stdio.h>
#include "core/time.h"
#include "plat/clock.h"

static int open_box(void **state)
{
    if (kit_open(state) != 0)
        return -1;
    kit_people(*state);
    api_on_peer(((struct kit *)*state)->api, "watch", true);
    kit_run(*state);
    return 0;
}

static int as(struct kit *k, const char *account, const char *method, const char *path, const char *body)
{
    assert_int_equal(kit_sign_in(k, account, KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    return kit_call(k, &me, method, path, body);
}

static const json_t *items(const struct kit *k)
{
    return json_object_get(k->body, "items");
}

static const char *of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* The body of the last message of this name. */
static const json_t *asked(const struct kit *k, const char *message)
{
    for (size_t i = json_array_size(k->asked); i--;)
        if (!strcmp(of(json_array_get(k->asked, i), "message"), message))
            return json_object_get(json_array_get(k->asked, i), "body");
    return NULL;
}

#define SAVED "/api/v1/logs/saved"

static void a_search_is_kept_for_everybody_who_may_search_and_removed(void **state)
{
    struct kit *k = *state;
    char path[100];
    assert_int_equal(as(k, "manager", "POST", SAVED, "{\"name\":\"VPN 失敗\",\"q\":\"vpn AND 失敗\",\"span\":\"24h\"}"), 201);
    (void)snprintf(path, sizeof path, SAVED "/%s", kit_str(k, "id"));
    assert_string_equal(of(asked(k, "J_SEARCH"), "q"), "vpn AND 失敗");
    assert_int_equal(as(k, "manager", "POST", SAVED, "{\"name\":\"VPN 失敗\",\"q\":\"\",\"span\":\"all\"}"), 409);
    assert_int_equal(as(k, "director", "GET", SAVED, NULL), 200);
    assert_int_equal(json_array_size(items(k)), 1);
    const json_t *one = json_array_get(items(k), 0);
    assert_string_equal(of(one, "q"), "vpn AND 失敗");
    assert_string_equal(of(one, "span"), "24h");
    assert_string_equal(of(one, "by"), "manager");
    assert_true(json_is_false(json_object_get(one, "own")));
    assert_null(json_object_get(one, "from"));
    assert_int_equal(as(k, "staff", "GET", SAVED, NULL), 403);
    assert_int_equal(as(k, "vendor", "DELETE", path, NULL), 403);
    assert_int_equal(as(k, "director", "DELETE", path, NULL), 200);
    assert_int_equal(as(k, "director", "DELETE", path, NULL), 404);
}

static void a_kept_search_has_a_span_that_is_one_and_a_query_that_is_one(void **state)
{
    struct kit *k = *state;
    assert_int_equal(as(k, "manager", "POST", SAVED, "{\"name\":\"a\",\"q\":\"\",\"span\":\"2h\"}"), 400);
    assert_int_equal(as(k, "manager", "POST", SAVED, "{\"name\":\"a\",\"q\":\"\",\"span\":\"fixed\",\"from\":\"2026-11-24\"}"), 400);
    assert_int_equal(as(k, "manager", "POST", SAVED, "{\"name\":\"a\",\"q\":\"\",\"span\":\"fixed\",\"from\":\"2026-11-24\",\"until\":\"2026-11-23\"}"), 400);
    assert_int_equal(as(k, "manager", "POST", SAVED, "{\"name\":\"\",\"q\":\"\",\"span\":\"all\"}"), 400);
    assert_int_equal(as(k, "manager", "POST", SAVED, "{\"name\":\"a\",\"q\":\"\",\"span\":\"fixed\",\"from\":\"2026-11-24\",\"until\":\"2026-11-24\"}"), 201);
    assert_int_equal(as(k, "manager", "GET", SAVED, NULL), 200);
    assert_string_equal(of(json_array_get(items(k), 0), "from"), "2026-11-23T15:00:00Z");
    assert_string_equal(of(json_array_get(items(k), 0), "until"), "2026-11-24T15:00:00Z");
    json_object_set_new(k->answers, "J_SEARCH", json_integer(-SM_EINVAL));
    assert_int_equal(as(k, "manager", "POST", SAVED, "{\"name\":\"b\",\"q\":\"(a\",\"span\":\"all\"}"), 400);
    assert_string_equal(kit_code(k), "bad_query");
}

static const char *message(const struct kit *k)
{
    return of(json_object_get(k->body, "error"), "message");
}

static void a_number_no_event_has_is_not_found_and_a_refusal_always_has_a_reason(void **state)
{
    struct kit *k = *state;
    static const char *const none[] = { "-1", "abc", "1x", "99999999999999999999999" };
    char path[80];
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        (void)snprintf(path, sizeof path, "/api/v1/logs/events/%s", none[i]);
        assert_int_equal(as(k, "manager", "GET", path, NULL), 404);
        assert_string_equal(kit_code(k), "not_found");
        assert_null(asked(k, "J_EVENT"));
    }
    assert_int_equal(as(k, "manager", "GET", "/api/v1/logs/events/7", NULL), 200);
    assert_int_equal(json_integer_value(json_object_get(asked(k, "J_EVENT"), "id")), 7);
    json_object_set_new(k->answers, "J_SEARCH", json_integer(-SM_EINVAL));
    assert_int_equal(as(k, "manager", "POST", SAVED, "{\"name\":\"b\",\"q\":\"(a\",\"span\":\"all\"}"), 400);
    assert_non_null(strstr(message(k), "書き方"));
    assert_int_equal(as(k, "manager", "GET", "/api/v1/logs/search?q=a&cursor=zzz", NULL), 400);
    assert_string_equal(of(json_object_get(k->body, "error"), "field"), "cursor");
    assert_non_null(strstr(message(k), "はじめから"));
}

static void a_query_that_is_too_long_says_how_long_it_may_be_and_is_not_said_back(void **state)
{
    struct kit *k = *state;
    static char path[9100] = "/api/v1/logs/search?q=";
    memset(path + strlen(path), 'q', 9000);
    assert_int_equal(as(k, "manager", "GET", path, NULL), 400);
    assert_non_null(strstr(message(k), "8192"));
    assert_null(strstr(message(k), "qqq"));
}

static const char *filter(struct kit *k, const char *condition)
{
    char body[500];
    (void)snprintf(body, sizeof body, "{\"conditions\":[%s],\"why\":\"x\"}", condition);
    assert_int_equal(as(k, "manager", "POST", "/api/v1/rules/r1/filters", body), 400);
    assert_string_equal(of(json_object_get(k->body, "error"), "field"), "conditions");
    return message(k);
}

static void a_filter_that_is_refused_names_the_modifier_that_is_not_known(void **state)
{
    struct kit *k = *state;
    assert_non_null(strstr(filter(k, "{\"field\":\"a\",\"values\":[\"x\"]},{\"field\":\"b\",\"modifier\":\"soundslike\",\"values\":[\"x\"]}"), "soundslike"));
    assert_null(strstr(filter(k, "{\"field\":\"b\",\"modifier\":\"a\\nb\",\"values\":[\"x\"]}"), "a\nb"));
    assert_non_null(strstr(filter(k, "{\"field\":\"b\",\"modifier\":\"re\",\"values\":[]}"), "50個"));
    assert_non_null(strstr(filter(k, ""), "8つ"));
}

static void going_back_without_an_earlier_bundle_says_that_there_is_none(void **state)
{
    struct kit *k = *state;
    json_object_set_new(k->answers, "W_BUNDLE", json_integer(-SM_ESTATE));
    assert_int_equal(as(k, "manager", "POST", "/api/v1/rule-bundle/back", "{}"), 409);
    assert_string_equal(kit_code(k), "bundle_none");
    assert_non_null(strstr(message(k), "前の束がない"));
    assert_int_equal(as(k, "manager", "POST", "/api/v1/rule-bundle", "{}"), 409);
    assert_string_equal(kit_code(k), "bundle_older");
}

static void a_time_without_zone_is_japans_and_that_is_said(void **state)
{
    struct kit *k = *state;
    assert_int_equal(as(k, "manager", "GET", "/api/v1/logs/search?q=a&from=2026-11-24T08:30&until=2026-11-24", NULL), 200);
    assert_string_equal(kit_str(k, "zone"), "+09:00");
    assert_int_equal(json_integer_value(json_object_get(asked(k, "J_SEARCH"), "from_s")), 1795476600);
    assert_int_equal(json_integer_value(json_object_get(asked(k, "J_SEARCH"), "until_s")), 1795532400); /* the end of that day */
    assert_int_equal(as(k, "manager", "GET", "/api/v1/logs/search?q=a&from=2026-11-23T23:30:00Z&within=3", NULL), 200);
    assert_string_equal(kit_str(k, "zone"), "");
    assert_int_equal(json_integer_value(json_object_get(asked(k, "J_SEARCH"), "from_s")), 1795476600);
    assert_int_equal(json_integer_value(json_object_get(asked(k, "J_SEARCH"), "within")), 3);
    assert_int_equal(as(k, "manager", "GET", "/api/v1/logs/search?from=2026-13-24", NULL), 400);
    assert_int_equal(as(k, "manager", "GET", "/api/v1/logs/search?from=yesterday", NULL), 400);
    assert_int_equal(as(k, "manager", "GET", "/api/v1/logs/search?within=21", NULL), 400);
    assert_int_equal(as(k, "manager", "GET", "/api/v1/logs/search?from=2026-11-24&until=2026-11-23", NULL), 400);
    assert_int_equal(as(k, "manager", "GET", "/api/v1/logs/histogram?from=2026-11-24&until=2026-11-22", NULL), 400);
    assert_string_equal(of(json_object_get(k->body, "error"), "field"), "until");
}

static void maintenance_takes_times_of_japan_too(void **state)
{
    struct kit *k = *state;
    char day[SM_TIME_TEXT], body[300], want[40];
    sm_time_rfc3339((struct sm_time){ .s = plat_clock_wall().s + 5 * 86400 }, day);
    day[10] = 0;
    (void)snprintf(body, sizeof body, "{\"vendor\":\"A\",\"purpose\":\"b\",\"account\":\"v\",\"from\":\"%sT13:00\",\"until\":\"%s 15:00\"}", day, day);
    assert_int_equal(as(k, "manager", "POST", "/api/v1/maintenance", body), 201);
    (void)snprintf(want, sizeof want, "%sT04:00:00Z", day);
    assert_string_equal(kit_str(k, "from"), want);
    (void)snprintf(want, sizeof want, "%sT06:00:00Z", day);
    assert_string_equal(kit_str(k, "until"), want);
    assert_int_equal(as(k, "manager", "POST", "/api/v1/maintenance",
        "{\"vendor\":\"A\",\"purpose\":\"b\",\"from\":\"2026-11-24 at one\",\"until\":\"2026-11-24 15:00\"}"), 400);
}

static void what_is_on_hold_has_no_end_until_the_director_says_so(void **state)
{
    struct kit *k = *state;
#define CLASSES "/api/v1/logs/classes"
    assert_int_equal(as(k, "manager", "PUT", CLASSES,
        "{\"classes\":[{\"class\":0,\"ja\":\"ふつう\",\"days\":400},{\"class\":3,\"ja\":\"電カル\",\"days\":30,\"bytes\":1000}]}"), 200);
    assert_int_equal(as(k, "manager", "POST", CLASSES "/3/hold", "{}"), 400);
    assert_int_equal(as(k, "manager", "POST", CLASSES "/9/hold", "{\"why\":\"警察\"}"), 404);
    assert_int_equal(as(k, "manager", "POST", CLASSES "/3/hold", "{\"why\":\"警察\"}"), 200);
    assert_int_equal(as(k, "manager", "POST", CLASSES "/3/hold", "{\"why\":\"警察\"}"), 409);
    const json_t *kept = json_array_get(json_object_get(asked(k, "W_CONFIG"), "retention"), 1);
    assert_int_equal(json_integer_value(json_object_get(kept, "days")), 0);
    assert_int_equal(json_integer_value(json_object_get(kept, "bytes")), 0);
    /* Other changes leave it, and it cannot be taken out. */
    assert_int_equal(as(k, "manager", "PUT", CLASSES, "{\"classes\":[{\"class\":0,\"ja\":\"ふつう\",\"days\":400}]}"), 409);
    assert_int_equal(as(k, "manager", "PUT", CLASSES,
        "{\"classes\":[{\"class\":0,\"ja\":\"ふつう\",\"days\":1,\"hold\":{\"by\":\"x\"}},{\"class\":3,\"ja\":\"電カル\",\"days\":1}]}"), 200);
    const json_t *list = json_object_get(k->body, "classes");
    assert_null(json_object_get(json_array_get(list, 0), "hold"));
    assert_string_equal(of(json_object_get(json_array_get(list, 1), "hold"), "why"), "警察");
    assert_int_equal(as(k, "manager", "POST", CLASSES "/3/release", "{\"why\":\"終わった\"}"), 403);
    assert_int_equal(as(k, "director", "POST", CLASSES "/3/release", "{\"why\":\"終わった\"}"), 200);
    kept = json_array_get(json_object_get(asked(k, "W_CONFIG"), "retention"), 1);
    assert_int_equal(json_integer_value(json_object_get(kept, "days")), 1);
}

static void a_door_is_shut_and_opened_and_one_without_a_port_is_neither(void **state)
{
    struct kit *k = *state;
#define DOORS "/api/v1/logs/doors/"
    assert_int_equal(as(k, "vendor", "PATCH", DOORS "udp", "{\"on\":false}"), 403);
    assert_int_equal(as(k, "manager", "PATCH", DOORS "udp", "{\"on\":false}"), 200);
    const json_t *udp = json_array_get(json_object_get(k->notes, "doors"), 0);
    assert_string_equal(of(udp, "listener"), "udp");
    assert_true(json_is_false(json_object_get(udp, "on")));
    assert_int_equal(as(k, "manager", "PATCH", DOORS "udp", "{\"on\":true}"), 200);
    assert_true(json_is_true(json_object_get(json_array_get(json_object_get(k->notes, "doors"), 0), "on")));
    assert_int_equal(as(k, "manager", "PATCH", DOORS "tcp", "{\"on\":true}"), 409);
    assert_int_equal(as(k, "manager", "PATCH", DOORS "quic", "{\"on\":true}"), 404);
    assert_int_equal(as(k, "manager", "PATCH", DOORS "tls", "{\"on\":1}"), 400);
}

static void heard(struct kit *k, int64_t last_s, int n)
{
    json_t *j = json_pack("{s:[{s:i,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:I,s:I,s:i}]}", "sources", "number", 7, "listener", "udp", "address", "192.0.2.1",
        "host", "fw1", "format", "fortigate", "count", n, "bytes", 100, "unparsed", 1, "cut", 0, "first_s", (json_int_t)last_s, "last_s",
        (json_int_t)last_s, "skew_s", 0);
    assert_non_null(j);
    api_on_log_sources(k->api, j);
    json_decref(j);
}

static void a_source_says_how_much_it_sends_and_whether_it_is_silent(void **state)
{
    struct kit *k = *state;
    const int64_t now = plat_clock_wall().s, ahead = 60 - now % 60, start = now + ahead; /* a whole minute */
    kit_clock(k, ahead);
    heard(k, start, 30);
    heard(k, start, 12);
    kit_clock(k, ahead + 60);
    assert_int_equal(as(k, "vendor", "GET", "/api/v1/logs/sources", NULL), 200);
    const json_t *one = json_array_get(items(k), 0);
    assert_int_equal(json_integer_value(json_object_get(one, "per_minute")), 42);
    assert_true(json_is_false(json_object_get(one, "silent")));
    assert_int_equal(as(k, "manager", "PATCH", "/api/v1/logs/sources/7", "{\"state\":\"ok\",\"silent_s\":600}"), 200);
    kit_clock(k, ahead + 800);
    assert_int_equal(as(k, "vendor", "GET", "/api/v1/logs/sources", NULL), 200);
    one = json_array_get(items(k), 0);
    assert_int_equal(json_integer_value(json_object_get(one, "per_minute")), 0);
    assert_true(json_is_true(json_object_get(one, "silent")));
    /* And the first screen says so. */
    assert_int_equal(as(k, "manager", "GET", "/api/v1/alarms", NULL), 200);
    assert_string_equal(of(json_array_get(items(k), 0), "kind"), "log_silent");
    assert_int_equal(as(k, "manager", "GET", "/api/v1/today", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "look");
    size_t i;
    const json_t *text;
    assert_true(json_array_size(json_object_get(k->body, "not_watched")) >= 3);
    json_array_foreach(json_object_get(k->body, "not_watched"), i, text)
        assert_null(strstr(json_string_value(text), "ルーター")); /* the records of other machines are watched now */
}

static void what_was_lost_is_on_the_first_screen(void **state)
{
    struct kit *k = *state;
    json_t *j = json_pack("{s:s,s:[{s:s,s:s,s:i}]}", "stream", "s1", "senders", "listener", "udp", "address", "192.0.2.1", "dropped", 5000);
    assert_non_null(j);
    api_on_log_senders(k->api, j);
    json_decref(j);
    kit_run(k);
    assert_int_equal(as(k, "manager", "GET", "/api/v1/alarms", NULL), 200);
    assert_string_equal(of(json_array_get(items(k), 0), "kind"), "log_lost");
    assert_int_equal(as(k, "staff", "GET", "/api/v1/today", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "look");
}

static void why_logs_are_not_taken_in_is_said_in_japanese(void **state)
{
    struct kit *k = *state;
    json_t *j = json_pack("{s:s,s:s}", "what", "stopped", "why", "No space left on device");
    assert_non_null(j);
    api_on_log_event(k->api, j);
    json_decref(j);
    kit_run(k);
    assert_int_equal(as(k, "manager", "GET", "/api/v1/alarms", NULL), 200);
    const char *text = of(json_array_get(items(k), 0), "text");
    assert_string_equal(of(json_array_get(items(k), 0), "kind"), "log_stopped");
    assert_null(strstr(text, "No space"));
    assert_non_null(strstr(text, "空き"));
}

static void an_export_says_its_encoding_and_what_it_could_not_say(void **state)
{
    struct kit *k = *state;
#define EXPORT "/api/v1/logs/export?q=a&as="
    json_object_set_new(k->answers, "J_EXPORT", json_pack("{s:{s:s,s:i,s:i}}", "joined", "next", "1.0.5", "n", 3, "replaced", 2));
    assert_int_equal(as(k, "manager", "GET", EXPORT "csv&encoding=cp932", NULL), 200);
    assert_true(json_is_true(json_object_get(asked(k, "J_EXPORT"), "cp932")));
    assert_string_equal(of(k->headers, "Content-Type"), "text/csv; charset=Windows-31J");
    assert_string_equal(of(k->headers, "X-Sakimori-Replaced"), "2");
    assert_string_equal(of(k->headers, "X-Sakimori-Events"), "3");
    assert_string_equal(of(k->headers, "X-Sakimori-Next"), "1.0.5");
    assert_int_equal(as(k, "manager", "GET", EXPORT "csv", NULL), 200);
    assert_true(json_is_false(json_object_get(asked(k, "J_EXPORT"), "cp932")));
    assert_int_equal(as(k, "manager", "GET", EXPORT "jsonl&encoding=cp932", NULL), 400);
    assert_int_equal(as(k, "manager", "GET", EXPORT "csv&encoding=euc", NULL), 400);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_box, kit_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_search_is_kept_for_everybody_who_may_search_and_removed),
        T(a_kept_search_has_a_span_that_is_one_and_a_query_that_is_one),
        T(a_number_no_event_has_is_not_found_and_a_refusal_always_has_a_reason),
        T(a_query_that_is_too_long_says_how_long_it_may_be_and_is_not_said_back),
        T(a_filter_that_is_refused_names_the_modifier_that_is_not_known),
        T(going_back_without_an_earlier_bundle_says_that_there_is_none),
        T(a_time_without_zone_is_japans_and_that_is_said),
        T(maintenance_takes_times_of_japan_too),
        T(what_is_on_hold_has_no_end_until_the_director_says_so),
        T(a_door_is_shut_and_opened_and_one_without_a_port_is_neither),
        T(a_source_says_how_much_it_sends_and_whether_it_is_silent),
        T(what_was_lost_is_on_the_first_screen),
        T(why_logs_are_not_taken_in_is_said_in_japanese),
        T(an_export_says_its_encoding_and_what_it_could_not_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
