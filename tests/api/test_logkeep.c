/* The record of logs: into the vault every hour in which something was written, held when it is damaged, checked by night. */
#include "api_kit.h"
#include "api/internal.h"
#include "plat/clock.h"
#include "state/state.h"

#define CLIENT "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"
#define SOURCE "5050505050505050505050505050505c"
#define LOGS "6060606060606060606060606060606c"
#define MANIFEST "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static int64_t now;

static void at(struct kit *k, int64_t later)
{
    now += later;
    kit_clock(k, now);
    kit_run(k);
}

static void laid(struct kit *k, int block, int seq)
{
    json_object_set_new(k->answers, "W_SAVE", json_pack("{s:i,s:i,s:i,s:i,s:i,s:I}", "block", block, "sealed_block", block, "seq", seq,
        "segments", 1, "events", 10 * block, "at_s", (json_int_t)now));
}

static void checks(struct kit *k, int of, int faults)
{
    json_object_set_new(k->answers, "J_VERIFY", json_pack("{s:b,s:b,s:i,s:i,s:s,s:[{s:s,s:b,s:s,s:s,s:i}]}", "running", 0, "ok", !faults, "of",
        of, "faults", faults, "error", "", "findings", "file", "seg-1.sjs", "fault", faults > 0, "ja", "書き換え", "en", "altered", "block", 3));
}

static void ready(struct kit *k)
{
    char ones[65];

    memset(ones, '1', 64);
    ones[64] = 0;
    json_object_set_new(k->answers, "P_SELF", json_object());
    json_object_set_new(k->answers, "V_CLIENT", json_object());
    json_object_set_new(k->answers, "V_HOLD", json_object());
    json_object_set_new(k->answers, "S_HELLO",
        json_pack("{s:s,s:s,s:s,s:s}", "client", CLIENT, "source", SOURCE, "logs", LOGS, "sign_pub", ones));
    json_object_set_new(k->answers, "V_SESSION", json_pack("{s:s,s:i,s:s}", "session", CLIENT, "number", 1, "previous", ones));
    json_object_set_new(k->answers, "S_RUN", json_pack("{s:s,s:s,s:i,s:i,s:i,s:[]}", "manifest", MANIFEST, "status",
        "complete", "files", 5, "bytes", 1000, "stored", 900, "problems"));
    kit_people(k);
    now = plat_clock_wall().s;
    at(k, 0);
    /* Noon in Japan by the box's own clock: the check of the night has its own test; and the box's own backup was just made. */
    int64_t box = api_now(), noon = ((box + 32400) / 86400 + 1) * 86400 - 32400 + 12 * 3600;
    json_t *s = json_pack("{s:I,s:I,s:I}", "tried_s", (json_int_t)noon, "ok_s", (json_int_t)noon, "since_s", (json_int_t)noon);
    assert_int_equal(state_set(k->state, "self", s), 0);
    json_decref(s);
    s = json_pack("{s:I,s:I}", "whole_s", (json_int_t)noon, "part_s", (json_int_t)noon);
    assert_int_equal(state_set(k->state, "log_check", s), 0);
    json_decref(s);
    k->api->self_due_s = 0;
    laid(k, 2, 4);
    checks(k, 28, 0);
    at(k, noon - box);
}

/* What was asked last of this kind. */
static const json_t *last(const struct kit *k, const char *message)
{
    for (size_t i = json_array_size(k->asked); i; i--) {
        const json_t *a = json_array_get(k->asked, i - 1);
        if (!strcmp(json_string_value(json_object_get(a, "message")), message))
            return json_object_get(a, "body");
    }
    return NULL;
}

static bool alarm_is_open(struct kit *k, const char *key)
{
    return state_number(k->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(key))) > 0;
}

static void damaged(struct kit *k)
{
    json_t *e = json_pack("{s:s,s:s,s:s,s:s,s:b}", "what", "damaged", "why", "wal-1.sjw deleted", "file", "wal-1.sjw", "kind", "deleted", "rescued", 1);

    api_on_log_event(k->api, e);
    json_decref(e);
    kit_run(k);
}

static void the_record_is_saved_every_hour_in_which_something_was_written(void **state)
{
    struct kit *k = *state;
    ready(k);
    at(k, 20);
    assert_int_equal(kit_asked(k, "W_SAVE"), 0); /* watch is not there */
    api_on_peer(k->api, "watch", true);
    at(k, 20);
    assert_int_equal(kit_asked(k, "W_SAVE"), 1);
    assert_int_equal(kit_asked(k, "S_RUN"), 1);
    assert_string_equal(json_string_value(json_object_get(last(k, "S_RUN"), "what")), "logs");
    assert_string_equal(json_string_value(json_object_get(last(k, "V_SESSION"), "source")), LOGS);
    assert_string_equal(json_string_value(json_object_get(last(k, "V_SESSION"), "run_kind")), "adhoc"); /* takes no slot */
    at(k, 1800);
    assert_int_equal(kit_asked(k, "W_SAVE"), 1);
    at(k, 1900);
    assert_int_equal(kit_asked(k, "W_SAVE"), 2);
    assert_int_equal(kit_asked(k, "S_RUN"), 1); /* nothing new */
    laid(k, 3, 6);
    at(k, 3700);
    assert_int_equal(kit_asked(k, "S_RUN"), 2);
    assert_false(alarm_is_open(k, "log_unsaved"));
}

static void an_empty_record_makes_no_generation(void **state)
{
    struct kit *k = *state;
    ready(k);
    laid(k, 0, 0);
    api_on_peer(k->api, "watch", true);
    at(k, 20);
    assert_int_equal(kit_asked(k, "W_SAVE"), 1);
    assert_int_equal(kit_asked(k, "S_HELLO"), 0);
}

static void a_failure_is_tried_again_soon_and_two_days_of_it_are_an_alarm(void **state)
{
    struct kit *k = *state;
    ready(k);
    json_object_set_new(k->answers, "S_RUN", json_integer(-28)); /* ENOSPC */
    api_on_peer(k->api, "watch", true);
    at(k, 20);
    assert_int_equal(kit_asked(k, "S_RUN"), 1);
    at(k, 1000);
    assert_int_equal(kit_asked(k, "S_RUN"), 2);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who w = kit_me(k);
    assert_int_equal(kit_call(k, &w, "GET", "/api/v1/self", NULL), 200);
    assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "logs"), "state")), "failed");
    at(k, 2 * 86400 + 100);
    assert_true(alarm_is_open(k, "log_unsaved"));
    json_object_set_new(k->answers, "S_RUN", json_pack("{s:s,s:s,s:i,s:i,s:i,s:[]}", "manifest", MANIFEST, "status",
        "complete", "files", 5, "bytes", 1000, "stored", 900, "problems"));
    for (int i = 0; i < 4; i++)
        at(k, 1000);
    assert_false(alarm_is_open(k, "log_unsaved"));
}

static void damage_calls_a_person_and_holds_what_was_saved(void **state)
{
    struct kit *k = *state;
    ready(k);
    damaged(k);
    assert_true(alarm_is_open(k, "log_damaged"));
    assert_int_equal(kit_asked(k, "V_HOLD"), 0); /* nothing is saved yet */
    api_on_peer(k->api, "watch", true);
    at(k, 20);
    damaged(k);
    assert_int_equal(kit_asked(k, "V_HOLD"), 1);
    assert_string_equal(json_string_value(json_object_get(last(k, "V_HOLD"), "what")), MANIFEST);
    damaged(k);
    assert_int_equal(kit_asked(k, "V_HOLD"), 1);
}

static void the_record_is_checked_every_night_in_parts_and_once_a_month_whole(void **state)
{
    struct kit *k = *state;
    ready(k);
    api_on_peer(k->api, "seeker", true);
    at(k, 3600);
    assert_int_equal(kit_asked(k, "J_VERIFY"), 0);
    int parts = 0, whole = 0;
    for (int night = 0; night < 62; night++) {
        at(k, 86400);
        const json_t *ask = last(k, "J_VERIFY");
        assert_true(json_is_true(json_object_get(ask, "start")));
        bool all = !json_object_get(ask, "of");
        assert_true(all || json_integer_value(json_object_get(ask, "share")) == parts % 28);
        parts += !all;
        whole += all;
        checks(k, all ? 0 : 28, 0);
        at(k, 20); /* its end */
        at(k, 20);
    }
    assert_int_equal(parts + whole, 62);
    assert_in_range(whole, 2, 3); /* months that began */
    assert_false(alarm_is_open(k, "log_damaged"));
}

static void what_the_check_finds_is_an_alarm_and_stands_in_the_review(void **state)
{
    struct kit *k = *state;
    ready(k);
    api_on_peer(k->api, "seeker", true);
    at(k, 86400);
    checks(k, 28, 2);
    at(k, 20);
    assert_true(alarm_is_open(k, "log_damaged"));
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who w = kit_me(k);
    assert_int_equal(kit_call(k, &w, "GET", "/api/v1/reviews", NULL), 200);
    char path[64];
    (void)snprintf(path, sizeof path, "/api/v1/reviews/%s",
        json_string_value(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "month")));
    assert_int_equal(kit_call(k, &w, "GET", path, NULL), 200);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(k->body, "log_checks"), "faults")), 2);
}

static void a_check_that_ended_with_seeker_is_begun_again(void **state)
{
    struct kit *k = *state;
    ready(k);
    json_object_set_new(k->answers, "J_VERIFY", json_pack("{s:b}", "running", 1));
    api_on_peer(k->api, "seeker", true);
    at(k, 86400);
    at(k, 20);
    unsigned asked = kit_asked(k, "J_VERIFY");
    api_on_peer(k->api, "seeker", false);
    at(k, 1000);
    assert_int_equal(kit_asked(k, "J_VERIFY"), asked);
    api_on_peer(k->api, "seeker", true);
    at(k, 20);
    assert_true(json_is_true(json_object_get(last(k, "J_VERIFY"), "start")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_open, kit_close)
        T(the_record_is_saved_every_hour_in_which_something_was_written),
        T(an_empty_record_makes_no_generation),
        T(a_failure_is_tried_again_soon_and_two_days_of_it_are_an_alarm),
        T(damage_calls_a_person_and_holds_what_was_saved),
        T(the_record_is_checked_every_night_in_parts_and_once_a_month_whole),
        T(what_the_check_finds_is_an_alarm_and_stands_in_the_review),
        T(a_check_that_ended_with_seeker_is_begun_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
