/* The box's own backup: when it is made, what is told of it, and that it goes nowhere; the first start after a take-over. */
#include "api_kit.h"
#include "api/internal.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/fs.h"
#include "state/state.h"

#define CLIENT "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"
#define SOURCE "5050505050505050505050505050505c"
#define MANIFEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

enum { JST_S = 9 * 3600, NOON_S = 12 * 3600 };
static int64_t now; /* how far the clock of the box is moved */

static void at(struct kit *k, int64_t later)
{
    now += later;
    kit_clock(k, now);
    kit_run(k);
}

/* The kit's own database is in memory: a file stands where brain's would be. */
static void ready(struct kit *k)
{
    char path[120], ones[65];
    struct state *file = NULL;
    memset(ones, '1', 64);
    ones[64] = 0;
    (void)snprintf(path, sizeof path, "%s/state", k->dir);
    (void)mkdir(path, 0700); /* may be there */
    (void)snprintf(path, sizeof path, "%s/state/state.db", k->dir);
    assert_int_equal(state_open(path, &file), 0);
    state_close(file);
    json_object_set_new(k->answers, "P_SELF", json_object());
    json_object_set_new(k->answers, "V_CLIENT", json_object());
    json_object_set_new(k->answers, "S_HELLO",
        json_pack("{s:s,s:s,s:s}", "client", CLIENT, "source", SOURCE, "sign_pub", ones));
    json_object_set_new(k->answers, "V_SESSION",
        json_pack("{s:s,s:i,s:s}", "session", CLIENT, "number", 1, "previous", ones));
    json_object_set_new(k->answers, "S_RUN", json_pack("{s:s,s:s,s:i,s:i,s:i,s:[]}", "manifest", MANIFEST, "status",
        "complete", "files", 5, "bytes", 1000, "stored", 900, "problems"));
    kit_people(k);
    now = 86400 + NOON_S - (plat_clock_wall().s + JST_S) % 86400; /* a test at noon in Japan, whenever it runs: the daily one is at 04:40 */
    at(k, 0);
}

static const char *state_now(struct kit *k)
{
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who w = kit_me(k);
    assert_int_equal(kit_call(k, &w, "GET", "/api/v1/self", NULL), 200);
    return kit_str(k, "state");
}

static bool alarm_is_open(struct kit *k, const char *key)
{
    return state_number(k->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(key))) > 0;
}

static void the_box_saves_itself_soon_after_a_change_and_every_day(void **state)
{
    struct kit *k = *state;
    char laid[120];
    ready(k);
    assert_string_equal(state_now(k), "waiting");
    at(k, 300);
    assert_int_equal(kit_asked(k, "S_RUN"), 0);
    at(k, 400);
    assert_int_equal(kit_asked(k, "S_RUN"), 1);
    assert_string_equal(state_now(k), "ok");
    (void)snprintf(laid, sizeof laid, "%s/state/self", k->dir);
    assert_int_not_equal(access(laid, F_OK), 0); /* what was laid out is cleared away */
    at(k, 7200);
    assert_int_equal(kit_asked(k, "S_RUN"), 1);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200); /* the session was over meanwhile */
    struct kit_who w = kit_me(k);
    assert_int_equal(kit_call(k, &w, "POST", "/api/v1/people",
        "{\"account\":\"new\",\"name\":\"新しい人\",\"role\":\"staff\"}"), 201);
    at(k, 300);
    assert_int_equal(kit_asked(k, "S_RUN"), 1);
    at(k, 400);
    assert_int_equal(kit_asked(k, "S_RUN"), 2);
    at(k, 86400);
    assert_int_equal(kit_asked(k, "S_RUN"), 3);
    assert_false(alarm_is_open(k, "self_old"));
}

static void a_failure_is_told_and_tried_again_and_two_days_of_it_are_an_alarm(void **state)
{
    struct kit *k = *state;
    ready(k);
    json_object_set_new(k->answers, "S_RUN", json_integer(-28)); /* ENOSPC */
    at(k, 700);
    assert_string_equal(state_now(k), "failed");
    assert_true(kit_asked(k, "P_SELF") >= 2); /* it was ended */
    unsigned asked = kit_asked(k, "S_RUN");
    at(k, 1800);
    assert_int_equal(kit_asked(k, "S_RUN"), asked);
    at(k, 2000);
    assert_int_equal(kit_asked(k, "S_RUN"), asked + 1);
    assert_false(alarm_is_open(k, "self_old"));
    at(k, 2 * 86400);
    assert_true(alarm_is_open(k, "self_old"));
    json_object_set_new(k->answers, "S_RUN", json_pack("{s:s,s:s,s:i,s:i,s:i,s:[]}", "manifest", MANIFEST, "status",
        "complete", "files", 5, "bytes", 1000, "stored", 900, "problems"));
    at(k, 3700);
    at(k, 20);
    assert_string_equal(state_now(k), "ok");
    assert_false(alarm_is_open(k, "self_old"));
}

static void a_part_that_was_not_read_whole_does_not_count(void **state)
{
    struct kit *k = *state;
    ready(k);
    json_object_set_new(k->answers, "S_RUN", json_pack("{s:s,s:s,s:i,s:i,s:i,s:[{s:s,s:s,s:s}]}", "manifest", MANIFEST,
        "status", "partial", "files", 4, "bytes", 10, "stored", 9, "problems", "path", "/state", "what", "open", "error",
        "denied"));
    at(k, 700);
    assert_string_equal(state_now(k), "failed");
    assert_non_null(strstr(kit_str(k, "why"), "/state"));
}

static void suspicion_against_the_box_itself_freezes_nothing(void **state)
{
    struct kit *k = *state;
    ready(k);
    at(k, 700);
    json_t *e = json_pack("{s:s,s:s,s:s,s:s}", "what", "froze", "client", CLIENT, "source", SOURCE, "manifest", MANIFEST);
    api_on_vault(k->api, e);
    json_decref(e);
    kit_run(k);
    assert_int_equal(kit_asked(k, "V_THAW"), 1);
    assert_false(alarm_is_open(k, "suspicion:" SOURCE));
}

/* DATA/self was lost, and selfsave is another client from now on: passwords lie in what it saved before all the same. */
static void what_was_saved_under_an_earlier_name_stays_the_boxs_own(void **state)
{
    struct kit *k = *state;
    ready(k);
    at(k, 700);
    json_object_set_new(json_object_get(k->answers, "S_HELLO"), "client", json_string("d1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"));
    at(k, 86400);
    assert_int_equal(kit_asked(k, "S_RUN"), 2);
    assert_true(self_is(k->api, "d1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"));
    assert_true(self_is(k->api, CLIENT));
    assert_false(self_is(k->api, SOURCE));
    assert_false(self_is(k->api, ""));
}

/* The box was made anew on the same machine: its agent's keys stand where the old box's data stood. */
static void after_a_take_over_the_machine_of_the_box_is_not_joined_twice(void **state)
{
    struct kit *k = *state;
    static const char cert[] = "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd",
                      ask[] = "{\"machine_id\":\"m\"}", path[] = "/api/v1/local/join-code";
    const json_int_t root = 0;
    const struct kit_who owner = { .port = "local", .uid = &root }, machine = { .port = "agent", .cert = cert };
    char device[33], name[80];
    ready(k);
    kit_device(k, cert, device); /* of machine "m" */
    assert_int_equal(kit_call(k, &owner, "POST", path, ask), 201); /* no take-over: as ever */
    at(k, 10);
    json_t *self = json_pack("{s:{s:s},s:I}", "took_over", "saved", "x", "took_over_s", (json_int_t)plat_clock_wall().s);
    assert_int_equal(state_set(k->state, "self", self), 0);
    json_decref(self);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kit_call(k, &owner, "POST", path, ask), 409);
        assert_string_equal(kit_code(k), "known");
    }
    assert_true(alarm_is_open(k, "local_known"));
    assert_int_equal(kit_call(k, &owner, "POST", path, "{\"machine_id\":\"another\"}"), 201);
    assert_int_equal(kit_call(k, &owner, "POST", path, "{}"), 201); /* an older agent says none */
    assert_true(alarm_is_open(k, "local_known"));
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200); /* its folder was brought */
    assert_false(alarm_is_open(k, "local_known"));
    assert_int_equal(kit_call(k, &owner, "POST", path, ask), 409);
    assert_true(alarm_is_open(k, "local_known"));
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    (void)snprintf(name, sizeof name, "/api/v1/devices/%s", device);
    assert_int_equal(kit_call(k, &me, "DELETE", name, "{\"reason\":\"lost\"}"), 200);
    assert_false(alarm_is_open(k, "local_known"));
    assert_int_equal(kit_call(k, &owner, "POST", path, ask), 201); /* removed: it joins anew */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, kit_open, kit_close)
    const struct CMUnitTest tests[] = { T(the_box_saves_itself_soon_after_a_change_and_every_day),
        T(a_failure_is_told_and_tried_again_and_two_days_of_it_are_an_alarm),
        T(a_part_that_was_not_read_whole_does_not_count), T(suspicion_against_the_box_itself_freezes_nothing),
        T(what_was_saved_under_an_earlier_name_stays_the_boxs_own),
        T(after_a_take_over_the_machine_of_the_box_is_not_joined_twice) };
    return cmocka_run_group_tests_name("self", tests, NULL, NULL);
}
