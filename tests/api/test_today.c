/* What Today says: the worst open line wins, and every line has something to do. */
#include "api_kit.h"
#include <stdio.h>
#include "plat/clock.h"
#include "plat/fs.h"

#define CERT "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"
#define CLIENT "bcdefabcdefabcdefabcdefabcdefabc"
#define DAY 86400
static const struct kit_who machine = { .port = "agent", .cert = CERT };

static void today(struct kit *k)
{
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/today", NULL), 200);
}

static void with_source(struct kit *k, char ret_source[40], const char *group)
{
    char device[33], body[300];
    kit_people(k);
    kit_device(k, CERT, device);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    (void)snprintf(body, sizeof body, "{\"device\":\"%s\",\"name\":\"書類\",\"group\":\"%s\",\"paths\":[\"/srv\"]}",
        device, group);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/sources", body), 201);
    (void)snprintf(ret_source, 40, "%s", kit_str(k, "id"));
}

static void saw(struct kit *k, const char *source, int seq, bool suspicious)
{
    char now[SM_TIME_TEXT];
    sm_time_rfc3339(plat_clock_wall(), now);
    json_t *e = json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:b,s:b}", "what", "generation", "manifest", CERT, "client",
        CLIENT, "source", source, "at", now, "seq", seq, "status", "complete", "suspicious", suspicious, "damaged", 0);
    api_on_vault(k->api, e);
    json_decref(e);
    kit_run(k);
}

static void a_box_without_machines_asks_for_one(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    today(k);
    assert_string_equal(kit_str(k, "state"), "look");
    assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "one"), "id")), "join");
    assert_true(json_array_size(json_object_get(k->body, "not_watched")) >= 4);
}

static void saved_in_time_is_ok(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "front");
    saw(k, source, 5, false);
    today(k);
    assert_string_equal(kit_str(k, "state"), "ok");
    assert_string_equal(kit_str(k, "headline"), "だいじょうぶです");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(k->body, "last"), "devices")), 1);
}

static void a_workstation_may_be_a_day_late_and_then_look(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "front");
    saw(k, source, 5, false);
    kit_clock(k, 2 * DAY - 600);
    today(k);
    assert_string_equal(kit_str(k, "state"), "ok");
    kit_clock(k, 2 * DAY + 600);
    today(k);
    assert_string_equal(kit_str(k, "state"), "look");
    assert_non_null(strstr(kit_str(k, "lead"), "受付パソコン1"));
    assert_non_null(strstr(json_string_value(json_object_get(json_object_get(k->body, "one"), "title")), "電源"));
    saw(k, source, 6, false);
    kit_clock(k, 2 * DAY + 700);
    today(k);
    assert_string_equal(kit_str(k, "state"), "ok");
}

static void a_server_is_late_after_one_missed_cycle(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "emr");
    saw(k, source, 5, false);
    kit_clock(k, DAY + 2 * 3600);
    today(k);
    assert_string_equal(kit_str(k, "state"), "look");
}

static void freeze(struct kit *k, const char *source)
{
    json_t *e = json_pack("{s:s,s:s,s:s,s:s,s:i,s:[{s:s,s:f},{s:s,s:i}]}", "what", "froze", "client", CLIENT, "source",
        source, "manifest", CERT, "score", 90, "reasons", "code", "replaced", "value", 0.83, "code", "canary_changed",
        "value", 2);
    api_on_vault(k->api, e);
    json_decref(e);
    kit_run(k);
}

static void a_suspicious_generation_says_call_with_reasons_and_what_is_safe(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "share");
    saw(k, source, 5, false);
    saw(k, source, 6, true);
    freeze(k, source);
    today(k);
    assert_string_equal(kit_str(k, "state"), "call");
    assert_non_null(strstr(kit_str(k, "lead"), "83%"));
    assert_non_null(strstr(kit_str(k, "lead"), "おとり"));
    assert_true(json_is_true(json_object_get(k->body, "paper")));
    assert_int_equal(json_array_size(json_object_get(k->body, "dont")), 3);
    assert_true(json_array_size(json_object_get(k->body, "calls")) > 0);
    assert_true(json_is_object(json_object_get(k->body, "safe")));
    assert_non_null(strstr(kit_str(k, "say"), "受付パソコン1"));
}

static void the_same_cause_opens_one_alarm_and_one_mail(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "share");
    json_t *mail = json_pack("{s:[s],s:s}", "to", "in@example.jp", "host", "mail.example.jp");
    assert_int_equal(state_set(k->state, "mail", mail), 0);
    json_decref(mail);
    freeze(k, source);
    freeze(k, source);
    freeze(k, source);
    kit_clock(k, 30);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms?open=1", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 1);
    assert_int_equal(json_array_size(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "next")), 3);
    assert_int_equal(kit_asked(k, "X_MAIL"), 1);
}

/* Freeze, thaw with body, and what the vault was asked. */
static const json_t *thaw(struct kit *k, const char *body)
{
    char source[40], path[100];
    with_source(k, source, "share");
    saw(k, source, 5, false);
    freeze(k, source);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms", NULL), 200);
    (void)snprintf(path, sizeof path, "/api/v1/alarms/%s",
        json_string_value(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "id")));
    assert_int_equal(kit_call(k, &me, "POST", path, "{\"action\":\"thaw\",\"note\":\"\"}"), 400);
    assert_int_equal(kit_asked(k, "V_THAW"), 0);
    assert_int_equal(kit_call(k, &me, "POST", path, body), 200);
    assert_int_equal(kit_asked(k, "V_THAW"), 1);
    today(k);
    assert_string_equal(kit_str(k, "state"), "ok");
    for (size_t i = json_array_size(k->asked); i > 0; i--)
        if (!strcmp(json_string_value(json_object_get(json_array_get(k->asked, i - 1), "message")), "V_THAW"))
            return json_object_get(json_array_get(k->asked, i - 1), "body");
    return NULL;
}

static void a_change_of_ones_own_thaws_as_a_false_alarm(void **state)
{
    const json_t *asked = thaw(*state, "{\"action\":\"thaw\",\"false_alarm\":true,\"note\":\"引っこし\"}");
    assert_true(json_is_true(json_object_get(asked, "false_alarm")));
    assert_string_equal(json_string_value(json_object_get(asked, "reason")), "引っこし");
}

static void after_an_attack_the_bad_copies_stay_suspicious(void **state)
{
    const json_t *asked = thaw(*state, "{\"action\":\"thaw\",\"false_alarm\":false,\"note\":\"入れ直した\"}");
    assert_true(json_is_false(json_object_get(asked, "false_alarm")));
}

static void a_thaw_that_does_not_say_makes_nothing_clean(void **state)
{
    const json_t *asked = thaw(*state, "{\"action\":\"thaw\",\"note\":\"済\"}");
    assert_true(json_is_false(json_object_get(asked, "false_alarm")));
}

static void a_part_that_is_down_is_never_green(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "share");
    saw(k, source, 5, false);
    json_t *e = json_pack("{s:s,s:s,s:i}", "name", "vault", "state", "down", "restarts", 1);
    api_on_child(k->api, e);
    json_decref(e);
    today(k);
    assert_string_equal(kit_str(k, "state"), "unknown");
    assert_int_equal(kit_call(k, NULL, "GET", "/healthz", NULL), 503);
}

static void a_part_that_is_only_there_at_times_may_be_away(void **state)
{
    static const char *const names[] = {"opener", "copier", "courier", "selfsave"};
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "share");
    saw(k, source, 5, false);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *e = json_pack("{s:s,s:s,s:i}", "name", names[i], "state", "down", "restarts", 0);
        api_on_child(k->api, e);
        json_decref(e);
    }
    today(k);
    assert_string_not_equal(kit_str(k, "state"), "unknown");
    assert_int_equal(kit_call(k, NULL, "GET", "/healthz", NULL), 200);
}

/* A run by hand that the machine ends with status. */
static void ran(struct kit *k, const char *source, const char *status)
{
    char path[100], run[40], body[200];
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    (void)snprintf(run, sizeof run, "%s", kit_str(k, "run"));
    (void)snprintf(body, sizeof body, "{\"source\":\"%s\",\"run\":\"%s\",\"reason\":\"adhoc\"}", source, run);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/sessions", body), 200);
    if (!strcmp(status, "complete"))
        assert_int_equal(state_do(k->state, STATE_run_manifest, STATE_ARGS(state_t(CERT), state_t(run))), 1);
    (void)snprintf(path, sizeof path, "/agent/v1/runs/%s/end", run);
    (void)snprintf(body, sizeof body, "{\"status\":\"%s\",\"counters\":{},\"problems\":[],\"problems_total\":0}", status);
    assert_int_equal(kit_call(k, &machine, "POST", path, body), 200);
}

static const char *first_of(struct kit *k, const char *list, const char *field)
{
    return json_string_value(json_object_get(json_array_get(json_object_get(k->body, list), 0), field));
}

static void two_failed_runs_in_a_row_are_said_until_one_succeeds(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "share");
    saw(k, source, 5, false);
    ran(k, source, "failed");
    today(k);
    assert_string_equal(kit_str(k, "state"), "look"); /* at once, though the good copy is younger than a day */
    assert_non_null(strstr(kit_str(k, "lead"), "受付パソコン1の「書類」の、前回の保存が失敗しました"));
    ran(k, source, "failed");
    today(k);
    assert_string_equal(kit_str(k, "state"), "look");
    assert_non_null(strstr(kit_str(k, "lead"), "受付パソコン1の「書類」の保存が、続けて失敗しています"));
    assert_string_equal(first_of(k, "groups", "state"), "look");
    assert_string_equal(first_of(k, "groups", "text"), "1件の保存が失敗");
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/sources", NULL), 200);
    assert_string_equal(first_of(k, "items", "state"), "failed");
    ran(k, source, "complete");
    today(k);
    assert_string_equal(kit_str(k, "state"), "ok");
}

static void a_first_run_that_fails_is_said_at_once_with_what_to_do(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "front");
    ran(k, source, "failed");
    today(k);
    assert_string_equal(kit_str(k, "state"), "look");
    assert_non_null(strstr(kit_str(k, "lead"), "最初の保存が失敗しました"));
    assert_true(json_is_object(json_object_get(k->body, "one")));
    assert_int_equal(json_array_size(json_object_get(k->body, "lines")), 1);
    assert_string_equal(first_of(k, "groups", "state"), "look");
    ran(k, source, "complete");
    today(k);
    assert_string_equal(kit_str(k, "state"), "ok");
}

static void never(struct kit *k, const char *schedule)
{
    char source[40], path[100];
    with_source(k, source, "front");
    struct kit_who me = kit_me(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s", source);
    assert_int_equal(kit_call(k, &me, "PATCH", path, schedule), 200);
    today(k);
    assert_string_equal(kit_str(k, "state"), "ok");
    kit_clock(k, DAY + 600);
    today(k);
    assert_string_equal(kit_str(k, "state"), "look");
    assert_non_null(strstr(kit_str(k, "lead"), "まだ一度も保存していません"));
    assert_true(json_is_object(json_object_get(k->body, "one")));
    saw(k, source, 1, false);
    kit_clock(k, DAY + 900);
    today(k);
    assert_string_equal(kit_str(k, "state"), "ok");
}

static void a_weekly_source_never_saved_for_a_day_is_said(void **state)
{
    never(*state, "{\"schedule\":{\"every\":\"week\",\"at\":\"03:10\",\"weekday\":1}}");
}

static void a_source_run_by_hand_and_never_saved_for_a_day_is_said(void **state)
{
    never(*state, "{\"schedule\":{\"every\":\"off\"}}");
}

static json_int_t machines_saved(struct kit *k)
{
    today(k);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(k->body, "last"), "devices_total")), 1);
    return json_integer_value(json_object_get(json_object_get(k->body, "last"), "devices"));
}

static void a_source_that_is_not_due_yet_does_not_hold_its_machine_back(void **state)
{
    struct kit *k = *state;
    char source[40], second[40], body[300];
    with_source(k, source, "front");
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/sources", NULL), 200);
    (void)snprintf(body, sizeof body, "{\"device\":\"%s\",\"name\":\"二\",\"paths\":[\"/home\"]}",
        first_of(k, "items", "device"));
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/sources", body), 201);
    (void)snprintf(second, sizeof second, "%s", kit_str(k, "id"));
    assert_int_equal(machines_saved(k), 0);
    saw(k, source, 5, false);
    assert_int_equal(machines_saved(k), 1);
    ran(k, second, "failed");
    assert_int_equal(machines_saved(k), 0);
}

static void one_failed_run_is_said_when_the_good_copy_is_older_than_a_cycle(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "front");
    saw(k, source, 5, false);
    kit_clock(k, DAY + 600); /* a workstation is not late yet */
    today(k);
    assert_string_equal(kit_str(k, "state"), "ok");
    ran(k, source, "failed");
    today(k);
    assert_string_equal(kit_str(k, "state"), "look");
    assert_non_null(strstr(kit_str(k, "lead"), "失敗し"));
    assert_int_equal(json_array_size(json_object_get(k->body, "lines")), 1);
}

static void one_failed_run_by_hand_is_said_when_no_run_is_planned(void **state)
{
    struct kit *k = *state;
    char source[40], path[100];
    with_source(k, source, "front");
    struct kit_who me = kit_me(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s", source);
    assert_int_equal(kit_call(k, &me, "PATCH", path, "{\"schedule\":{\"every\":\"off\"}}"), 200);
    saw(k, source, 5, false);
    today(k);
    assert_string_equal(kit_str(k, "state"), "ok");
    ran(k, source, "failed"); /* no later run will make it good by itself */
    today(k);
    assert_string_equal(kit_str(k, "state"), "look");
    assert_non_null(strstr(kit_str(k, "lead"), "失敗し"));
    ran(k, source, "complete");
    today(k);
    assert_string_equal(kit_str(k, "state"), "ok");
}

static void a_guide_says_what_was_never_saved_and_what_fails(void **state)
{
    struct kit *k = *state;
    char source[40], path[100];
    with_source(k, source, "share");
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/sources", NULL), 200);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/guide", first_of(k, "items", "device"));
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(first_of(k, "sources", "saved"), "never");
    const json_t *of = json_object_get(k->body, "estimate_of");
    assert_int_equal(json_integer_value(json_object_get(of, "unsaved")), 1);
    assert_int_equal(json_integer_value(json_object_get(of, "measured")), 0);
    assert_true(json_is_null(json_object_get(k->body, "estimate_s")));
    json_object_set_new(k->answers, "V_GENERATION",
        json_pack("{s:{s:{s:s},s:{}}}", "joined", "generation", "at", "2026-01-01T00:00:00Z", "facts"));
    saw(k, source, 5, false);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(first_of(k, "sources", "saved"), "yes");
    ran(k, source, "failed");
    me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(first_of(k, "sources", "saved"), "failing");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(k->body, "estimate_of"), "unsaved")), 0);
}

static void no_source_takes_a_name_of_the_boxs_own(void **state)
{
    struct kit *k = *state;
    char source[40], path[100];
    with_source(k, source, "share");
    struct kit_who me = kit_me(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s", source);
    assert_int_equal(kit_call(k, &me, "PATCH", path, "{\"name\":\"sakimori:self\"}"), 400);
    assert_int_equal(kit_call(k, &me, "PATCH", path, "{\"name\":\"sakimori:other\"}"), 400);
    assert_int_equal(kit_call(k, &me, "PATCH", path, "{\"name\":\"sakimori\"}"), 200);
}

static void rewritten_files_are_told_before_refused_requests(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "share");
    saw(k, source, 5, false);
    freeze(k, source);
    kit_clock(k, 60);
    for (unsigned i = 0; i < 3; i++) {
        json_t *e = json_pack("{s:s,s:s,s:s}", "what", "refused", "client", CLIENT, "refusal", "range");
        api_on_vault(k->api, e);
        json_decref(e);
    }
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 2);
    assert_string_equal(first_of(k, "items", "kind"), "suspicion");
    today(k);
    assert_non_null(strstr(kit_str(k, "lead"), "83%"));
    assert_string_equal(first_of(k, "lines", "source"), source);
}

static size_t alarms_of(struct kit *k, const char *kind)
{
    size_t i, n = 0;
    json_t *v;
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms?open=1", NULL), 200);
    json_array_foreach(json_object_get(k->body, "items"), i, v)
        n += !strcmp(json_string_value(json_object_get(v, "kind")), kind);
    return n;
}

static void vault_says(struct kit *k, const char *what, const char *key, json_int_t n)
{
    json_t *e = json_pack("{s:s,s:s,s:I}", "what", what, "client", CLIENT, key, n);
    api_on_vault(k->api, e);
    json_decref(e);
    kit_run(k);
}

static void a_freeze_nobody_looked_at_is_told_again_each_week_and_a_full_quota_once(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "share");
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    vault_says(k, "still-frozen", "weeks", 1);
    vault_says(k, "still-frozen", "weeks", 1);
    assert_int_equal(alarms_of(k, "frozen"), 1);
    vault_says(k, "still-frozen", "weeks", 2);
    assert_int_equal(alarms_of(k, "frozen"), 2);
    vault_says(k, "quota", "quota", 1000);
    vault_says(k, "quota", "quota", 1000);
    assert_int_equal(alarms_of(k, "quota"), 1);
    today(k);
    assert_string_equal(kit_str(k, "state"), "call");
}

static void a_shorter_policy_is_answered_with_what_it_needs(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    json_object_set_new(k->answers, "V_POLICY", json_integer(-SM_EDENIED));
    assert_int_equal(kit_call(k, &me, "PATCH", "/api/v1/settings",
        "{\"retention\":{\"hourly\":1,\"daily\":1,\"weekly\":1,\"monthly\":1,\"min_days\":1}}"), 409);
    assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "error"), "code")), "needs_order");
    assert_int_equal(kit_call(k, &me, "PATCH", "/api/v1/settings",
        "{\"retention\":{\"hourly\":1,\"daily\":1,\"weekly\":1,\"monthly\":1,\"min_days\":401}}"), 400);
}

static void an_order_is_told_to_everybody_until_it_is_stopped(void **state)
{
    struct kit *k = *state;
    char sig[129], body[400];
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    memset(sig, 'a', 128);
    sig[128] = 0;
    (void)snprintf(body, sizeof body, "{\"order\":\"{}\",\"sig\":\"%s\"}", sig);
    json_object_set_new(k->answers, "V_ORDER", json_integer(-SM_EAUTH));
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/retention/orders", body), 403);
    assert_int_equal(alarms_of(k, "deletion"), 0);
    json_object_set_new(k->answers, "V_ORDER", json_pack("{s:s,s:s,s:s,s:s}", "id", "00112233445566778899aabbccddeeff",
        "kind", "delete", "by", "director", "reason", "test"));
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/retention/orders", body), 201);
    assert_int_equal(alarms_of(k, "deletion"), 1);
    today(k);
    assert_string_equal(kit_str(k, "state"), "call");
    assert_non_null(strstr(kit_str(k, "lead"), "心当たりがなければ、すぐ業者に電話してください。"));
    assert_null(strstr(kit_str(k, "lead"), "紙に"));
    assert_true(json_is_false(json_object_get(k->body, "paper")));
    assert_int_equal(json_array_size(json_object_get(k->body, "dont")), 0);
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(k->body, "calls"), i, v)
        assert_null(strstr(json_string_value(json_object_get(v, "name")), "警察"));
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/retention/orders/00112233445566778899aabbccddeeff/cancel",
        "{\"why\":\"no\"}"), 200);
    assert_int_equal(alarms_of(k, "deletion"), 0);
}

static void order_waits(struct kit *k, const char *id, const char *kind)
{
    char sig[129], body[400];
    struct kit_who me = kit_me(k);
    memset(sig, 'a', 128);
    sig[128] = 0;
    (void)snprintf(body, sizeof body, "{\"order\":\"{}\",\"sig\":\"%s\"}", sig);
    json_object_set_new(
        k->answers, "V_ORDER", json_pack("{s:s,s:s,s:s,s:s}", "id", id, "kind", kind, "by", "director", "reason", "test"));
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/retention/orders", body), 201);
}

static void an_attack_speaks_before_an_order_that_waits(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "share");
    order_waits(k, "00112233445566778899aabbccddeeff", "recipients");
    today(k);
    assert_string_equal(kit_str(k, "state"), "call");
    assert_true(json_is_false(json_object_get(k->body, "paper")));
    freeze(k, source);
    kit_clock(k, 60);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    order_waits(k, "00112233445566778899aabbccddee00", "time");
    today(k);
    assert_true(json_is_true(json_object_get(k->body, "paper")));
    assert_non_null(strstr(kit_str(k, "lead"), "受付は、紙に切りかえてください。"));
    assert_int_equal(json_array_size(json_object_get(k->body, "dont")), 3);
}

static void a_waiting_order_is_told_with_its_numbers_not_by_its_reason_alone(void **state)
{
    struct kit *k = *state;
    char sig[129], body[400];
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    memset(sig, 'a', 128);
    sig[128] = 0;
    (void)snprintf(body, sizeof body, "{\"order\":\"{}\",\"sig\":\"%s\"}", sig);
    json_object_set_new(k->answers, "V_ORDER", json_pack("{s:s,s:s,s:s,s:s,s:{s:i,s:i,s:i,s:i,s:i}}", "id",
        "00112233445566778899aabbccddeeff", "kind", "policy", "by", "director", "reason", "a small tidy-up", "policy",
        "hourly", 1, "daily", 2, "weekly", 3, "monthly", 0, "min_days", 15));
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/retention/orders", body), 201);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms?open=1", NULL), 200);
    const json_t *alarm = json_array_get(json_object_get(k->body, "items"), 0);
    assert_non_null(strstr(json_string_value(json_object_get(alarm, "text")), "1 / 2 / 3 / 0, 15"));
}

static void an_alarm_outweighs_a_late_copy(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "emr");
    saw(k, source, 5, false);
    kit_clock(k, 3 * DAY);
    freeze(k, source);
    today(k);
    assert_string_equal(kit_str(k, "state"), "call");
}

static void english_is_there_for_those_who_ask(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    me.lang = "en-GB,en;q=0.8";
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/today", NULL), 200);
    assert_string_equal(kit_str(k, "headline"), "Please look");
}

static void the_settings_keep_every_field_of_the_institution(void **state)
{
    static const char all[] = "{\"institution\":{\"name\":\"新しい医院\",\"kind\":\"dental\",\"phone\":\"03-1\",\"address\":"
                              "\"東京\",\"vendor_updates\":\"yes\",\"responsible\":{\"name\":\"山田\",\"phone\":\"090\"}}}";
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "PATCH", "/api/v1/settings", all), 200);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/settings", NULL), 200);
    const json_t *inst = json_object_get(k->body, "institution");
    static const char *const want[][2] = { { "name", "新しい医院" }, { "kind", "dental" }, { "phone", "03-1" },
        { "address", "東京" }, { "vendor_updates", "yes" } };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_string_equal(json_string_value(json_object_get(inst, want[i][0])), want[i][1]);
    assert_string_equal(json_string_value(json_object_get(json_object_get(inst, "responsible"), "name")), "山田");
}

static void an_unknown_word_for_the_institution_changes_nothing(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "PATCH", "/api/v1/settings",
                         "{\"institution\":{\"name\":\"ほか\",\"vendor_updates\":\"perhaps\"}}"), 400);
    assert_int_equal(kit_call(k, &me, "PATCH", "/api/v1/settings", "{\"institution\":{\"kind\":7}}"), 400);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/settings", NULL), 200);
    assert_string_not_equal(json_string_value(json_object_get(json_object_get(k->body, "institution"), "name")), "ほか");
}

static void a_name_that_is_no_setting_is_refused(void **state)
{
    static const char *const wrong[] = { "{\"nosuch\":1}", "{\"mail\":{\"prot\":25}}", "{\"webhook\":{\"uri\":\"\"}}",
        "{\"institution\":{\"nme\":\"x\"}}", "{\"retention\":{\"hours\":1}}", "{\"mail\":{\"to\":\"a@example.jp\"}}" };
    static const char *const field[] = { "nosuch", "prot", "uri", "nme", "hours", "to" };
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(kit_call(k, &me, "PATCH", "/api/v1/settings", wrong[i]), 400);
        assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "error"), "field")), field[i]);
    }
}

static void a_new_mail_password_changes_nothing_else_of_the_mail(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "PATCH", "/api/v1/settings",
                         "{\"mail\":{\"to\":[\"a@example.jp\"],\"from\":\"b@example.jp\",\"host\":\"mail.example.jp\",\"port\":2525,"
                         "\"tls\":\"tls\"}}"), 200);
    assert_int_equal(kit_call(k, &me, "PATCH", "/api/v1/settings", "{\"mail\":{\"password\":\"secret\"}}"), 200);
    const json_t *mail = json_object_get(k->body, "mail");
    assert_int_equal(json_integer_value(json_object_get(mail, "port")), 2525);
    assert_string_equal(json_string_value(json_object_get(mail, "tls")), "tls");
    assert_true(json_is_true(json_object_get(mail, "password_set")));
    /* It is for that server: another one has none. */
    assert_int_equal(kit_call(k, &me, "PATCH", "/api/v1/settings", "{\"mail\":{\"host\":\"evil.example\"}}"), 200);
    assert_true(json_is_false(json_object_get(json_object_get(k->body, "mail"), "password_set")));
    assert_int_equal(kit_call(k, &me, "PATCH", "/api/v1/settings",
                         "{\"firewall\":{\"url\":\"https://fw.example.jp\",\"token\":\"t\"}}"), 200);
    assert_true(json_is_true(json_object_get(json_object_get(k->body, "firewall"), "token_set")));
    assert_int_equal(kit_call(k, &me, "PATCH", "/api/v1/settings", "{\"firewall\":{\"url\":\"https://evil.example\"}}"), 200);
    assert_true(json_is_false(json_object_get(json_object_get(k->body, "firewall"), "token_set")));
}

static void a_password_of_the_store_of_logs_is_for_its_servers(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    static const struct { const char *said; bool set; } steps[] = {
        { "{\"store\":\"clickhouse\",\"urls\":\"https://ch.example.jp\",\"user\":\"box\",\"password\":\"secret\"}", true },
        { "{\"store\":\"local\"}", true }, { "{\"store\":\"clickhouse\",\"urls\":\"https://ch.example.jp\"}", true },
        { "{\"store\":\"clickhouse\",\"urls\":\"https://evil.example\"}", false } };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(kit_call(k, &me, "PUT", "/api/v1/logs/store", steps[i].said), 200);
        assert_int_equal(json_is_true(json_object_get(k->body, "password_set")), steps[i].set);
    }
}

static void went(struct kit *k, const char *kind, bool ok)
{
    json_t *r = json_pack("{s:s,s:s,s:b,s:s,s:i}", "id", "00112233445566778899aabbccddeeff", "kind", kind, "ok", ok,
        "detail", "Connection refused", "tries", 4);
    api_on_sent(k->api, r);
    json_decref(r);
}

static void a_notice_that_was_not_sent_stands_on_today_until_one_is(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "share");
    struct kit_who me = kit_me(k);
    went(k, "mail", false);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/settings", NULL), 200);
    const json_t *last = json_object_get(json_object_get(k->body, "mail"), "last");
    assert_true(json_is_false(json_object_get(last, "ok")));
    assert_string_equal(json_string_value(json_object_get(last, "detail")), "Connection refused");
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/today", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "look");
    assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "one"), "link")), "/settings");
    went(k, "mail", true);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/today", NULL), 200);
    assert_string_not_equal(kit_str(k, "state"), "look");
    /* Another address: what was said of the old one is forgotten. */
    went(k, "webhook", false);
    assert_int_equal(kit_call(k, &me, "PATCH", "/api/v1/settings", "{\"webhook\":{\"url\":\"\"}}"), 200);
    assert_true(json_is_null(json_object_get(json_object_get(k->body, "webhook"), "last")));
}

static void whoever_adds_a_source_answers_for_it_unless_it_is_said_otherwise(void **state)
{
    struct kit *k = *state;
    char device[33], body[300], id[40];
    kit_people(k);
    kit_device(k, CERT, device);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/session", NULL), 200);
    const json_t *person = json_object_get(k->body, "person");
    (void)snprintf(id, sizeof id, "%s", json_string_value(json_object_get(person, "id")));
    (void)snprintf(body, sizeof body, "{\"device\":\"%s\",\"name\":\"a\",\"paths\":[\"/srv\"]}", device);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/sources", body), 201);
    assert_string_equal(kit_str(k, "responsible"), id);
    (void)snprintf(body, sizeof body, "{\"device\":\"%s\",\"name\":\"b\",\"paths\":[\"/srv\"],\"responsible\":null}", device);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/sources", body), 201);
    assert_true(json_is_null(json_object_get(k->body, "responsible")));
}

static void the_numbers_nobody_changed_are_in_the_language_of_the_reader(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    me.lang = "en";
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/card", NULL), 200);
    json_t *all = json_object_get(k->body, "contacts"), *row;
    size_t i;
    json_array_foreach(all, i, row)
        for (const char *p = json_string_value(json_object_get(row, "note")); p && *p; p++)
            assert_true((unsigned char)*p < 0x80);
    assert_string_equal(json_string_value(json_object_get(json_array_get(all, 1), "name")), "Vendor of the network");
}

static void the_card_is_one_file_that_needs_nothing_else(void **state)
{
    struct kit *k = *state;
    char path[100];
    struct sm_buf html = SM_BUF_INIT(1 << 20);
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(
        kit_call(k, &me, "PUT", "/api/v1/contacts",
            "{\"items\":[{\"name\":\"<b>業者</"
            "b>\",\"role\":\"vendor\",\"phone\":\"03-1\",\"hours\":\"\",\"note\":\"\",\"checked_on\":null}]}"),
        200);
    (void)snprintf(path, sizeof path, "%s/public/card.html", k->dir);
    assert_int_equal(plat_fs_read_file(AT_FDCWD, path, 1 << 20, &html), 0);
    const char *s = sm_buf_str(&html);
    assert_non_null(strstr(s, "&lt;b&gt;業者&lt;/b&gt;"));
    assert_non_null(strstr(s, "さくら内科"));
    assert_null(strstr(s, "<script"));
    assert_null(strstr(s, "href="));
    assert_null(strstr(s, "src="));
    assert_true(strstr(s, "写真") < strstr(s, "保存を守る"));
    const char *guide = strstr(s, "建て直しの手順"); /* behind the card, for the day the console is dead */
    assert_true(guide && guide > strstr(s, "保存を守る"));
    assert_non_null(strstr(guide, "sakimori recover --vault"));
    assert_non_null(strstr(guide, "sakimori takeover"));
    assert_null(strstr(s, "pc1")); /* nothing of a machine: anybody may read it */
    sm_buf_wipe(&html);
}

static void a_poll_marks_the_machine_as_there(void **state)
{
    struct kit *k = *state;
    char source[40];
    with_source(k, source, "front");
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/devices", NULL), 200);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "state")), "ok");
    kit_clock(k, 120);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/devices", NULL), 200);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "state")), "silent");
}

#define T(name) cmocka_unit_test_setup_teardown(name, kit_open, kit_close)
static void each_day_the_certificate_of_the_server_is_looked_at(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    int64_t now = plat_clock_wall().s;
    kit_clock(k, now);
    unsigned was = kit_asked(k, "K_STATUS") + kit_asked(k, "K_CERT_SERVER");
    kit_clock(k, now + 60);
    assert_int_equal(kit_asked(k, "K_STATUS") + kit_asked(k, "K_CERT_SERVER"), was);
    kit_clock(k, now + 86400);
    assert_int_equal(kit_asked(k, "K_STATUS") + kit_asked(k, "K_CERT_SERVER"), was + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_box_without_machines_asks_for_one),
        T(saved_in_time_is_ok),
        T(a_workstation_may_be_a_day_late_and_then_look),
        T(a_server_is_late_after_one_missed_cycle),
        T(a_suspicious_generation_says_call_with_reasons_and_what_is_safe),
        T(the_same_cause_opens_one_alarm_and_one_mail),
        T(a_change_of_ones_own_thaws_as_a_false_alarm),
        T(after_an_attack_the_bad_copies_stay_suspicious),
        T(a_thaw_that_does_not_say_makes_nothing_clean),
        T(a_part_that_is_down_is_never_green),
        T(a_part_that_is_only_there_at_times_may_be_away),
        T(two_failed_runs_in_a_row_are_said_until_one_succeeds),
        T(a_first_run_that_fails_is_said_at_once_with_what_to_do),
        T(a_weekly_source_never_saved_for_a_day_is_said),
        T(a_source_run_by_hand_and_never_saved_for_a_day_is_said),
        T(a_source_that_is_not_due_yet_does_not_hold_its_machine_back),
        T(one_failed_run_by_hand_is_said_when_no_run_is_planned),
        T(one_failed_run_is_said_when_the_good_copy_is_older_than_a_cycle),
        T(a_guide_says_what_was_never_saved_and_what_fails),
        T(no_source_takes_a_name_of_the_boxs_own),
        T(rewritten_files_are_told_before_refused_requests),
        T(a_freeze_nobody_looked_at_is_told_again_each_week_and_a_full_quota_once),
        T(a_shorter_policy_is_answered_with_what_it_needs),
        T(an_order_is_told_to_everybody_until_it_is_stopped),
        T(an_attack_speaks_before_an_order_that_waits),
        T(a_waiting_order_is_told_with_its_numbers_not_by_its_reason_alone),
        T(an_alarm_outweighs_a_late_copy),
        T(english_is_there_for_those_who_ask),
        T(the_settings_keep_every_field_of_the_institution),
        T(whoever_adds_a_source_answers_for_it_unless_it_is_said_otherwise),
        T(the_numbers_nobody_changed_are_in_the_language_of_the_reader),
        T(a_name_that_is_no_setting_is_refused),
        T(a_new_mail_password_changes_nothing_else_of_the_mail),
        T(a_password_of_the_store_of_logs_is_for_its_servers),
        T(a_notice_that_was_not_sent_stands_on_today_until_one_is),
        T(an_unknown_word_for_the_institution_changes_nothing),
        T(the_card_is_one_file_that_needs_nothing_else),
        T(a_poll_marks_the_machine_as_there),
        T(each_day_the_certificate_of_the_server_is_looked_at),
    };
    return cmocka_run_group_tests_name("api today", tests, NULL, NULL);
}
