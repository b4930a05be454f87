/* The figures for a monitoring system: who may read them, that they are the box's, and their form. */
#include "api_kit.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "plat/clock.h"

#define CERT "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"

static char token[80], id[64];

static void with_monitor(struct kit *k)
{
    char device[33], body[300];
    kit_people(k);
    kit_device(k, CERT, device);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    (void)snprintf(body, sizeof body,
        "{\"device\":\"%s\",\"name\":\"a \\\"b\\\" \\\\ c\\nd\",\"group\":\"front\",\"paths\":[\"/srv\"]}", device);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/sources", body), 201);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/monitors", "{\"name\":\"vendor\"}"), 201);
    (void)snprintf(token, sizeof token, "%s", kit_str(k, "token"));
    (void)snprintf(id, sizeof id, "%s", kit_str(k, "id"));
}

static int read_with(struct kit *k, const char *bearer, const char *path)
{
    const struct kit_who who = { .bearer = bearer };
    return kit_call(k, &who, "GET", path, NULL);
}

/* name, then {label="…",…} or nothing, a blank, a whole number. */
static bool line_is_sound(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && (islower((unsigned char)p[i]) || p[i] == '_'))
        i++;
    if (i == 0)
        return false;
    if (i < n && p[i] == '{') {
        bool quoted = false;
        for (i++; i < n && (quoted || p[i] != '}'); i++) {
            if (quoted && p[i] == '\\')
                i++;
            else if (p[i] == '"')
                quoted = !quoted;
        }
        if (quoted || i++ >= n)
            return false;
    }
    if (i >= n || p[i++] != ' ')
        return false;
    i += i < n && p[i] == '-';
    size_t digits = i;
    while (i < n && isdigit((unsigned char)p[i]))
        i++;
    return i == n && i > digits;
}

static void every_line_has_the_form_of_the_exposition_format(void **state)
{
    struct kit *k = *state;
    size_t samples = 0, helps = 0, types = 0;
    with_monitor(k);
    assert_int_equal(read_with(k, token, "/metrics"), 200);
    assert_string_equal(json_string_value(json_object_get(k->headers, "Content-Type")),
        "text/plain; version=0.0.4; charset=utf-8");
    const char *text = sm_buf_str(&k->raw);
    for (const char *p = text, *end; *p; p = end + 1) {
        end = strchr(p, '\n');
        assert_non_null(end);
        if (!strncmp(p, "# HELP sakimori_", 16))
            helps++;
        else if (!strncmp(p, "# TYPE sakimori_", 16))
            types++;
        else if (!strncmp(p, "sakimori_", 9) && line_is_sound(p, (size_t)(end - p)))
            samples++;
        else
            fail_msg("%.*s", (int)(end - p), p);
    }
    assert_true(samples > 20);
    assert_int_equal(helps, types);
    assert_non_null(strstr(text, "name=\"a \\\"b\\\" \\\\ c\\nd\"} 0\n"));
    assert_non_null(strstr(text, "\nsakimori_machine_answers{machine=\""));
}

static void the_state_is_that_of_the_first_screen(void **state)
{
    struct kit *k = *state;
    char want[80];
    with_monitor(k);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/today", NULL), 200);
    (void)snprintf(want, sizeof want, "\nsakimori_state{state=\"%s\"} 1\n", kit_str(k, "state"));
    assert_int_equal(read_with(k, token, "/metrics"), 200);
    assert_non_null(strstr(sm_buf_str(&k->raw), want));
}

static void a_monitors_token_reads_the_figures_and_nothing_else(void **state)
{
    struct kit *k = *state;
    with_monitor(k);
    assert_int_equal(read_with(k, token, "/metrics"), 200);
    assert_int_equal(read_with(k, token, "/api/v1/today"), 403);
    assert_int_equal(read_with(k, token, "/api/v1/monitors"), 403);
    assert_int_equal(read_with(k, NULL, "/metrics"), 401);
    char wrong[80];
    memcpy(wrong, token, sizeof wrong);
    wrong[10] = wrong[10] == 'a' ? 'b' : 'a';
    assert_int_equal(read_with(k, wrong, "/metrics"), 401);
    /* As a cookie it is nobody's. */
    const struct kit_who cookie = { .cookie = token };
    assert_int_equal(kit_call(k, &cookie, "GET", "/metrics", NULL), 401);
}

static void a_monitor_that_was_removed_reads_nothing(void **state)
{
    struct kit *k = *state;
    char path[120];
    with_monitor(k);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/monitors", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 1);
    assert_null(strstr(sm_buf_str(&k->raw), token));
    (void)snprintf(path, sizeof path, "/api/v1/monitors/%s", id);
    assert_int_equal(kit_call(k, &me, "DELETE", path, NULL), 200);
    assert_int_equal(kit_call(k, &me, "DELETE", path, NULL), 404);
    assert_int_equal(read_with(k, token, "/metrics"), 401);
}

static bool has(const struct kit *k, const char *line)
{
    return strstr(sm_buf_str(&((struct kit *)(uintptr_t)k)->raw), line) != NULL;
}

static void figures_of_logs_and_rules_are_those_of_watch(void **state)
{
    struct kit *k = *state;
    with_monitor(k);
    json_t *sources = json_pack("{s:[{s:I,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:I,s:I,s:i}]}", "sources", "number", (json_int_t)7, "listener", "udp", "address",
        "192.0.2.1", "host", "fw", "format", "syslog", "count", 40, "bytes", 4000, "unparsed", 3, "cut", 1, "first_s", (json_int_t)1, "last_s", (json_int_t)2,
        "skew_s", 0);
    json_t *senders = json_pack("{s:s,s:[{s:s,s:s,s:i,s:i,s:i,s:i}],s:[{s:s,s:i}]}", "stream", "00", "senders", "listener", "udp", "address", "192.0.2.1",
        "received", 50, "dropped", 9, "cut", 1, "skipped", 0, "listeners", "listener", "udp", "lost", 5);
    api_on_log_sources(k->api, sources);
    api_on_log_senders(k->api, senders);
    json_decref(sources);
    json_decref(senders);
    json_object_set_new(k->answers, "W_STATUS", json_pack("{s:i,s:i,s:i,s:i,s:i,s:b,s:i,s:I}", "events", 40, "next_block", 4, "sealed_block", 2, "rules", 3805,
        "rules_refused", 2, "stopped", 1, "bundle_serial", 77, "bundle_made_s", (json_int_t)(1)));
    assert_int_equal(read_with(k, token, "/metrics"), 200);
    assert_true(has(k, "\nsakimori_logs_received_total{listener=\"udp\"} 50\n"));
    assert_true(has(k, "\nsakimori_logs_dropped_total{listener=\"udp\"} 9\n"));
    assert_true(has(k, "\nsakimori_logs_dropped_total{listener=\"tcp\"} 0\n"));
    assert_true(has(k, "\nsakimori_logs_lost_total{listener=\"udp\"} 5\n"));
    assert_true(has(k, "\nsakimori_logs_kept_total{listener=\"udp\"} 40\n"));
    assert_true(has(k, "\nsakimori_logs_unparsed_total{listener=\"udp\"} 3\n"));
    assert_true(has(k, "\nsakimori_logs_last_block 3\n"));
    assert_true(has(k, "\nsakimori_logs_sealed_block 2\n"));
    assert_true(has(k, "\nsakimori_logs_stopped 1\n"));
    assert_true(has(k, "\nsakimori_rules_loaded 3805\n"));
    assert_true(has(k, "\nsakimori_rules_refused 2\n"));
    assert_true(has(k, "\nsakimori_rule_bundle_serial 77\n"));
    assert_true(has(k, "\nsakimori_incidents_open{severity=\"call\"} 0\n"));
    json_object_set_new(k->answers, "W_STATUS", json_integer(-SM_EPEER));
    assert_int_equal(read_with(k, token, "/metrics"), 200);
    assert_true(has(k, "\nsakimori_watch_answers 0\n"));
    assert_false(has(k, "sakimori_rules_loaded"));
}

static void matches_of_days_are_counted_and_old_ones_go(void **state)
{
    struct kit *k = *state;
    with_monitor(k);
    struct kit_who me = kit_me(k);
    json_object_set_new(k->answers, "W_RULE", json_pack("{s:s,s:s,s:b}", "id", "r1", "source", "shipped", "off", 0));
    json_object_set_new(k->answers, "W_RULES", json_pack("{s:[{s:s,s:b}],s:i}", "items", "id", "r1", "off", 0, "found", 1));
    for (int i = 0; i < 2; i++) {
        json_t *hits = json_pack("{s:[[s,i],[s,i]]}", "hits", "r1", 20, "r2", 1);
        api_on_rule_hits(k->api, hits);
        json_decref(hits);
    }
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/rules/r1", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "days")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(k->body, "days"), 0), "n")), 40);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/rules", NULL), 200);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "hits_30")), 40);
    kit_clock(k, plat_clock_wall().s + 40 * 86400);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/rules/r1", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "days")), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_open, kit_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_line_has_the_form_of_the_exposition_format),
        T(the_state_is_that_of_the_first_screen),
        T(a_monitors_token_reads_the_figures_and_nothing_else),
        T(a_monitor_that_was_removed_reads_nothing),
        T(figures_of_logs_and_rules_are_those_of_watch),
        T(matches_of_days_are_counted_and_old_ones_go),
    };
    return cmocka_run_group_tests_name("api metrics", tests, NULL, NULL);
}
