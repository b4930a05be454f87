/* The figures for a monitoring system: who may read them, that they are the box's, and their form. */
#include "api_kit.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

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

#define T(f) cmocka_unit_test_setup_teardown(f, kit_open, kit_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_line_has_the_form_of_the_exposition_format),
        T(the_state_is_that_of_the_first_screen),
        T(a_monitors_token_reads_the_figures_and_nothing_else),
        T(a_monitor_that_was_removed_reads_nothing),
    };
    return cmocka_run_group_tests_name("api metrics", tests, NULL, NULL);
}
