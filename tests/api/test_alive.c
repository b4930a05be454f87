/* Who is alive: silence, good-bye, a slow box, many at once, and what an agent says was done to it. */
#include "api_kit.h"
#include <stdio.h>
#include <string.h>
#include "plat/clock.h"

static json_int_t clock_s;
static char device[4][33], certs[4][65];
static int the_wall(void **state)
{
    if (kit_open(state) != 0)
        return -1;
    struct kit *k = *state;
    kit_people(k);
    clock_s = 1000;
    kit_clock(k, clock_s);
    for (int i = 0; i < 4; i++) {
        memset(certs[i], 'a' + i, 64);
        certs[i][64] = 0;
        kit_device(k, certs[i], device[i]);
    }
    return 0;
}

/* The clock of the box, which turns every second. */
static void pass(struct kit *k, int s)
{
    for (int i = 0; i < s; i++)
        kit_clock(k, ++clock_s);
}

static int call(struct kit *k, int who, const char *path, const char *body)
{
    const struct kit_who me = {.port = "agent", .cert = certs[who]};
    return kit_call(k, &me, "POST", path, body);
}

static void alive(struct kit *k, int who, const char *more)
{
    char body[2000];
    (void)snprintf(body, sizeof body, "{\"life\":\"l1\",\"n\":1,\"parts\":{\"link\":10}%s}", more);
    assert_int_equal(call(k, who, "/agent/v1/alive", body), 200);
}

/* The events that went into the record, as the bytes of their batches say. */
static unsigned told(const struct kit *k, const char *action, int who)
{
    unsigned n = 0;
    size_t i;
    json_t *v;
    char want[64];
    (void)snprintf(want, sizeof want, "\"action\":\"%s\"", action);
    json_array_foreach(k->asked, i, v)
    {
        const char *raw = json_string_value(json_object_get(v, "text"));
        n += raw && strstr(raw, want) && (who < 0 || strstr(raw, device[who]));
    }
    return n;
}

static void a_server_that_falls_silent_is_told_after_eight_seconds_once(void **state)
{
    struct kit *k = *state;
    alive(k, 0, "");
    alive(k, 1, "");
    for (int i = 0; i < 5; i++) {
        pass(k, 1);
        alive(k, 1, "");
    }
    assert_int_equal(told(k, "agent_silent", -1), 0);
    for (int i = 0; i < 20; i++) {
        pass(k, 1);
        alive(k, 1, "");
    }
    assert_int_equal(told(k, "agent_silent", 0), 1);
    assert_int_equal(told(k, "agent_silent", 1), 0);
    alive(k, 0, "");
    assert_int_equal(told(k, "agent_back", 0), 1);
}

static void a_laptop_that_falls_silent_is_another_matter(void **state)
{
    struct kit *k = *state;
    alive(k, 0, ",\"machine\":\"portable\"");
    alive(k, 1, "");
    for (int i = 0; i < 20; i++) {
        pass(k, 1);
        alive(k, 1, "");
    }
    assert_int_equal(told(k, "agent_silent", 0), 0);
    assert_int_equal(told(k, "agent_quiet", 0), 1);
}

static void an_evening_and_a_sleeping_laptop_raise_nothing(void **state)
{
    struct kit *k = *state;
    alive(k, 0, ",\"machine\":\"portable\"");
    alive(k, 1, "");
    assert_int_equal(call(k, 0, "/agent/v1/bye", "{\"why\":\"sleep\"}"), 200);
    assert_int_equal(call(k, 1, "/agent/v1/bye", "{\"why\":\"shutdown\"}"), 200);
    pass(k, 900);
    assert_int_equal(told(k, "agent_silent", -1) + told(k, "agent_quiet", -1) + told(k, "agent_ended", -1), 0);
    assert_int_equal(told(k, "agent_left", -1), 2);
    alive(k, 0, "");
    pass(k, 1);
    alive(k, 1, "");
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms?open=1", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 0);
}

static void who_stops_the_service_is_told_of_but_not_who_starts_it_anew(void **state)
{
    struct kit *k = *state;
    alive(k, 0, "");
    assert_int_equal(call(k, 0, "/agent/v1/bye", "{\"why\":\"stop\"}"), 200);
    pass(k, 4);
    alive(k, 0, "");
    pass(k, 4);
    alive(k, 0, "");
    assert_int_equal(told(k, "agent_ended", 0), 0);
    assert_int_equal(call(k, 0, "/agent/v1/bye", "{\"why\":\"stop\"}"), 200);
    pass(k, 12);
    assert_int_equal(told(k, "agent_ended", 0), 1);
    assert_int_equal(call(k, 0, "/agent/v1/bye", "{\"why\":\"because\"}"), 400);
    assert_string_equal(kit_code(k), "bad_request");
}

static void many_at_once_are_one_notice_that_goes_away_with_them(void **state)
{
    struct kit *k = *state;
    for (int i = 0; i < 4; i++)
        alive(k, i, "");
    pass(k, 15);
    assert_int_equal(told(k, "agent_silent", -1), 0);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms?open=1", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "kind")), "machines_away");
    for (int s = 0; s < 40; s++) { /* three are back; the fourth is one by itself */
        for (int i = 0; i < 3; i++)
            alive(k, i, "");
        pass(k, 1);
    }
    assert_int_equal(told(k, "agent_silent", 3), 1);
    assert_int_equal(told(k, "agent_silent", -1), 1);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms?open=1", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 0);
}

static void a_box_that_was_slow_itself_accuses_nobody(void **state)
{
    struct kit *k = *state;
    alive(k, 0, "");
    pass(k, 1);
    kit_clock(k, clock_s += 60); /* it stood for a minute */
    pass(k, 4);
    assert_int_equal(told(k, "agent_silent", -1), 0);
    api_on_peer(k->api, "front", false);
    api_on_peer(k->api, "front", true);
    pass(k, 10);
    assert_int_equal(told(k, "agent_silent", -1), 0);
    pass(k, 8);
    assert_int_equal(told(k, "agent_silent", 0), 1);
}

static void what_was_done_to_an_agent_is_told_once_whatever_is_said_twice(void **state)
{
    struct kit *k = *state;
    alive(k, 0, ",\"why\":[{\"n\":1,\"action\":\"part_killed\",\"part\":\"link\"},{\"n\":2,\"action\":\"agent_silent\"},{\"n\":3,\"action\":\"no such\"}]");
    assert_int_equal(json_integer_value(json_object_get(k->body, "said")), 3);
    alive(k, 0, ",\"why\":[{\"n\":1,\"action\":\"part_killed\",\"part\":\"link\"},{\"n\":4,\"action\":\"part_debugged\"}]");
    assert_int_equal(told(k, "part_killed", 0), 1);
    assert_int_equal(told(k, "part_debugged", 0), 1);
    assert_int_equal(told(k, "agent_silent", -1), 0); /* the box alone says that */
    for (int i = 5; i < 400; i++) {
        char more[120];
        (void)snprintf(more, sizeof more, ",\"why\":[{\"n\":%d,\"action\":\"part_fails\"}]", i);
        alive(k, 0, more);
    }
    assert_true(told(k, "part_fails", 0) < 130);
    assert_int_equal(call(k, 0, "/agent/v1/alive", "{\"life\":\"l\",\"n\":1,\"parts\":[]}"), 400);
    assert_int_equal(call(k, 0, "/agent/v1/alive", "{\"n\":1,\"parts\":{}}"), 400);
}

/* Its certificate may be in somebody's hands: the record is not his to fill. */
static void a_machine_that_comes_and_goes_without_end_fills_nothing(void **state)
{
    struct kit *k = *state;
    unsigned left = told(k, "agent_left", 1), stopped = told(k, "part_stopped", 1);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(call(k, 1, "/agent/v1/bye", "{\"why\":\"restart\"}"), 200);
        alive(k, 1, "");
        assert_int_equal(call(k, 1, "/agent/v1/alive", "{\"life\":\"l1\",\"n\":1,\"parts\":{\"judge\":60000}}"), 200);
    }
    left = told(k, "agent_left", 1) - left;
    stopped = told(k, "part_stopped", 1) - stopped;
    assert_true(left > 0 && stopped > 0);
    assert_true(left + stopped <= 130);
}

static void a_machine_that_was_removed_is_not_waited_for(void **state)
{
    struct kit *k = *state;
    char path[80];
    alive(k, 0, "");
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s", device[0]);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "alive"), "state")), "alive");
    assert_int_equal(kit_call(k, &me, "DELETE", path, "{\"reason\":\"lost\"}"), 200);
    pass(k, 15);
    assert_int_equal(told(k, "agent_silent", -1), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, the_wall, kit_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_server_that_falls_silent_is_told_after_eight_seconds_once),
        T(a_laptop_that_falls_silent_is_another_matter),
        T(an_evening_and_a_sleeping_laptop_raise_nothing),
        T(who_stops_the_service_is_told_of_but_not_who_starts_it_anew),
        T(many_at_once_are_one_notice_that_goes_away_with_them),
        T(a_box_that_was_slow_itself_accuses_nobody),
        T(what_was_done_to_an_agent_is_told_once_whatever_is_said_twice),
        T(a_machine_that_comes_and_goes_without_end_fills_nothing),
        T(a_machine_that_was_removed_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
