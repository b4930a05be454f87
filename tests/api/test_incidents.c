/* Signals to incidents, alarms and back: the API joined with decide as brain joins them. */
#include "api_kit.h"
#include <stdio.h>
#include "decide/decide.h"
#include "plat/clock.h"
#include "sakimorid/brain/decider.h"
#include "sakimorid/brain/responder.h"

static struct decide *engine;

static int open_box(void **state)
{
    engine = decide_new(1);
    kit_decide = decider_ask;
    kit_decide_arg = engine;
    kit_respond = responder_ask;
    if (!engine || kit_open(state) != 0)
        return -1;
    kit_people(*state);
    return 0;
}

static int close_box(void **state)
{
    int r = kit_close(state);
    decide_free(engine);
    return r;
}

static int64_t now_s(void)
{
    return plat_clock_wall().s;
}

/* One signal of watch; entities: "[[\"host\",\"pc1\"]]". */
static void told(struct kit *k, int64_t ago_s, const char *rule, const char *level, const char *stage, const char *entities, bool maintenance)
{
    char text[1500];
    (void)snprintf(text, sizeof text,
        "{\"signals\":[{\"at_s\":%lld,\"rule\":\"%s\",\"level\":\"%s\",\"stage\":\"%s\",\"title\":\"T %s\",\"title_ja\":\"題 %s\",\"text_ja\":\"本文\","
        "\"author\":\"Somebody\",\"entities\":%s,\"times\":2%s}]}",
        (long long)(now_s() - ago_s), rule, level, stage, rule, rule, entities, maintenance ? ",\"maintenance\":true" : "");
    json_t *j = json_loads(text, 0, NULL);
    assert_non_null(j);
    api_on_watch(k->api, j);
    json_decref(j);
    kit_run(k);
}

static void get(struct kit *k, const char *account, const char *path)
{
    assert_int_equal(kit_sign_in(k, account, KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
}

static size_t items(const struct kit *k)
{
    return json_array_size(json_object_get(k->body, "items"));
}

static const json_t *item(const struct kit *k, size_t i)
{
    return json_array_get(json_object_get(k->body, "items"), i);
}

static const char *of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static const char *message(const struct kit *k)
{
    return of(json_object_get(k->body, "error"), "message");
}

static void a_grave_signal_is_an_incident_and_an_alarm_with_its_own_steps(void **state)
{
    struct kit *k = *state;
    told(k, 60, "vpn", "high", "initial-access", "[[\"account\",\"hoshu\"],[\"address\",\"203.0.113.9\"]]", false);
    get(k, "staff", "/api/v1/incidents");
    assert_int_equal(items(k), 1);
    assert_string_equal(of(item(k, 0), "severity"), "look");
    assert_string_equal(of(item(k, 0), "title"), "ふだんとちがう入り方で、外から入った人がいます");
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms?open=1", NULL), 200);
    assert_int_equal(items(k), 1);
    const json_t *alarm = item(k, 0);
    assert_string_equal(of(alarm, "kind"), "incident");
    assert_string_equal(of(alarm, "title"), "ふだんとちがう入り方で、外から入った人がいます。");
    assert_int_equal(json_array_size(json_object_get(alarm, "next")), 3);
    assert_non_null(strstr(json_string_value(json_array_get(json_object_get(alarm, "next"), 0)), "外からの入口を止める"));
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents/1", NULL), 200);
    const json_t *line = json_object_get(k->body, "timeline");
    assert_int_equal(json_array_size(line), 1);
    assert_string_equal(of(json_array_get(line, 0), "title"), "題 vpn");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(line, 0), "times")), 2);
    assert_string_equal(of(json_object_get(json_array_get(line, 0), "facts"), "author"), "Somebody");
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents/77", NULL), 404);
    get(k, "staff", "/api/v1/today");
    assert_string_equal(kit_str(k, "state"), "look");
}

static void what_waits_is_listed_and_adopted(void **state)
{
    struct kit *k = *state;
    told(k, 120, "a", "medium", "execution", "[[\"host\",\"PC1\"]]", false);
    told(k, 119, "a", "medium", "execution", "[[\"host\",\"PC1\"]]", false); /* again: the same row */
    get(k, "manager", "/api/v1/signals?what=waits");
    assert_int_equal(items(k), 1);
    assert_int_equal(json_integer_value(json_object_get(item(k, 0), "times")), 4);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents", NULL), 200);
    assert_int_equal(items(k), 0);
    told(k, 60, "b", "critical", "defense-evasion", "[[\"host\",\"pc1.clinic.local\"]]", false);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents/1", NULL), 200);
    assert_string_equal(kit_str(k, "severity"), "call");
    assert_int_equal(json_array_size(json_object_get(k->body, "timeline")), 2);
}

static void two_that_become_one_leave_one_alarm(void **state)
{
    struct kit *k = *state;
    told(k, 120, "a", "high", "initial-access", "[[\"account\",\"hoshu\"]]", false);
    told(k, 110, "b", "high", "execution", "[[\"host\",\"pc1\"]]", false);
    told(k, 100, "c", "high", "lateral-movement", "[[\"host\",\"pc1\"],[\"account\",\"hoshu\"]]", false);
    get(k, "director", "/api/v1/incidents");
    assert_int_equal(items(k), 1);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents/1", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "timeline")), 3);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents/2", NULL), 200);
    assert_int_equal(json_integer_value(json_object_get(k->body, "merged_into")), 1);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms?open=1", NULL), 200);
    assert_int_equal(items(k), 1);
}

static void a_false_alarm_is_learnt_shown_and_taken_back(void **state)
{
    struct kit *k = *state;
    const char *who = "[[\"host\",\"srv1\"],[\"account\",\"batch\"]]";
    told(k, 60, "night", "high", "execution", who, false);
    get(k, "manager", "/api/v1/signals");
    char path[80];
    (void)snprintf(path, sizeof path, "/api/v1/signals/%lld/false-alarm", (long long)json_integer_value(json_object_get(item(k, 0), "id")));
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "POST", path, "{\"why\":\"\"}"), 400);
    assert_int_equal(kit_call(k, &me, "POST", path, "{\"why\":\"夜の集計\",\"scope\":\"there\"}"), 400);
    assert_int_equal(kit_call(k, &me, "POST", path, "{\"why\":\"夜の集計\"}"), 201);
    assert_int_equal(kit_call(k, &me, "POST", path, "{\"why\":\"もう一度\"}"), 409);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents/1", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "closed");
    assert_string_equal(kit_str(k, "verdict"), "false-alarm");
    told(k, 30, "night", "high", "execution", who, false);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents?open=1", NULL), 200);
    assert_int_equal(items(k), 0);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/signal-filters?open=1", NULL), 200);
    assert_int_equal(items(k), 1);
    assert_int_equal(json_integer_value(json_object_get(item(k, 0), "hits")), 2);
    assert_string_equal(of(item(k, 0), "title"), "題 night");
    assert_int_equal(kit_call(k, &me, "DELETE", "/api/v1/signal-filters/1", NULL), 200);
    assert_int_equal(kit_call(k, &me, "DELETE", "/api/v1/signal-filters/1", NULL), 404);
    told(k, 10, "night", "high", "execution", who, false);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents?open=1", NULL), 200);
    assert_int_equal(items(k), 1);
}

static void booked_maintenance_is_filed_and_the_rest_is_told(void **state)
{
    struct kit *k = *state;
    char body[500], from[SM_TIME_TEXT], until[SM_TIME_TEXT];
    sm_time_rfc3339((struct sm_time){ .s = now_s() - 3600 }, from);
    sm_time_rfc3339((struct sm_time){ .s = now_s() + 3600 }, until);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    static const char form[] = "{\"vendor\":\"カルテ社\",\"purpose\":\"点検\",\"account\":\"hoshu\",\"address\":\"%s\",\"from\":\"%s\",\"until\":\"%s\"}";
    (void)snprintf(body, sizeof body, form, "203.0.113.300", from, until);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/maintenance", body), 400);
    (void)snprintf(body, sizeof body, form, "203.0.113.0/33", from, until);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/maintenance", body), 400);
    (void)snprintf(body, sizeof body, form, "203.0.113.0/24", until, from);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/maintenance", body), 400);
    (void)snprintf(body, sizeof body, form, "203.0.113.0/24", from, until);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/maintenance", body), 201);
    char id[40], path[90];
    (void)snprintf(id, sizeof id, "%s", kit_str(k, "id"));
    told(k, 60, "remote", "high", "initial-access", "[[\"account\",\"Hoshu\"],[\"address\",\"203.0.113.77\"]]", true);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents", NULL), 200);
    assert_int_equal(items(k), 0);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/maintenance?open=1", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(item(k, 0), "sessions")), 1);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/signals?what=booked", NULL), 200);
    assert_int_equal(items(k), 1);
    assert_string_equal(json_string_value(json_object_get(item(k, 0), "title")), "予定どおりの、外からのサインイン");
    assert_string_equal(json_string_value(json_object_get(item(k, 0), "level")), "informational");
    told(k, 50, "remote", "high", "initial-access", "[[\"account\",\"hoshu\"],[\"address\",\"198.51.100.9\"]]", true);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents", NULL), 200);
    assert_int_equal(items(k), 1);
    (void)snprintf(path, sizeof path, "/api/v1/maintenance/%s", id);
    assert_int_equal(kit_call(k, &me, "DELETE", path, NULL), 200);
    assert_int_equal(kit_call(k, &me, "DELETE", path, NULL), 404);
    told(k, 0, "remote", "high", "initial-access", "[[\"account\",\"hoshu2\"],[\"address\",\"203.0.113.77\"]]", true);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents", NULL), 200);
    assert_int_equal(items(k), 2);
}

static void a_closed_incident_takes_its_alarm_along_and_the_other_way_round(void **state)
{
    struct kit *k = *state;
    told(k, 60, "a", "high", "execution", "[[\"host\",\"pc1\"]]", false);
    told(k, 60, "b", "high", "execution", "[[\"host\",\"pc2\"]]", false);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/incidents/1/close", "{\"verdict\":\"fine\",\"note\":\"x\"}"), 400);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/incidents/1/close", "{\"verdict\":\"harmless\",\"note\":\"業者の作業\"}"), 200);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/incidents/1/close", "{\"verdict\":\"harmless\",\"note\":\"x\"}"), 409);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms?open=1", NULL), 200);
    assert_int_equal(items(k), 1);
    char path[90];
    (void)snprintf(path, sizeof path, "/api/v1/alarms/%s", of(item(k, 0), "id"));
    assert_int_equal(kit_call(k, &me, "POST", path, "{\"action\":\"close\",\"note\":\"見た\"}"), 200);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents?open=1", NULL), 200);
    assert_int_equal(items(k), 0);
    told(k, 10, "a", "high", "execution", "[[\"host\",\"pc1\"]]", false);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents?open=1", NULL), 200);
    assert_int_equal(json_integer_value(json_object_get(item(k, 0), "id")), 3);
}

static void open_incidents_filters_and_what_waits_survive_a_restart(void **state)
{
    struct kit *k = *state;
    told(k, 60, "a", "high", "initial-access", "[[\"account\",\"hoshu\"]]", false);
    told(k, 50, "w", "medium", "execution", "[[\"host\",\"pc9\"]]", false);
    decide_free(engine);
    engine = decide_new(2);
    const struct api_config c = { .state = k->state, .data = k->dir, .agent_url = "https://box:8444", .decide = decider_ask, .decide_arg = engine };
    struct api *again = NULL;
    assert_int_equal(api_new(&c, &again), 0);
    json_t *j = json_pack("{s:[{s:I,s:s,s:s,s:s,s:[[s,s],[s,s]]}]}", "signals", "at_s", (json_int_t)now_s(), "rule", "z", "level", "high", "stage",
        "lateral-movement", "entities", "account", "hoshu", "host", "pc9");
    api_on_watch(again, j);
    json_decref(j);
    api_free(again);
    json_t *rows = NULL;
    assert_int_equal(state_rows(k->state, STATE_signals_of, &rows, STATE_ARGS(state_i(1))), 0);
    assert_int_equal(json_array_size(rows), 3); /* the one that waited belongs to it now */
    json_decref(rows);
    kit_decide_arg = engine;
}

static void what_the_vault_saw_is_told_once_and_joins_the_story(void **state)
{
    struct kit *k = *state;
    static const char cert[] = "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd";
    char device[33];
    kit_device(k, cert, device);
    json_t *e = json_pack("{s:s,s:s,s:s,s:i}", "what", "froze", "client", "bcdefabcdefabcdefabcdefabcdefabc", "manifest", cert, "score", 90);
    api_on_vault(k->api, e);
    json_decref(e);
    kit_run(k);
    get(k, "director", "/api/v1/alarms?open=1");
    assert_int_equal(items(k), 1);
    assert_string_equal(of(item(k, 0), "kind"), "suspicion");
    char path[90];
    (void)snprintf(path, sizeof path, "/api/v1/alarms/%s", of(item(k, 0), "id"));
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "POST", path, "{\"action\":\"thaw\",\"false_alarm\":true,\"note\":\"引っこし\"}"), 200);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/incidents/1", NULL), 200);
    assert_string_equal(kit_str(k, "verdict"), "false-alarm"); /* it ends with its alarm */
    e = json_pack("{s:s,s:s,s:s,s:i}", "what", "froze", "client", "bcdefabcdefabcdefabcdefabcdefabc", "manifest", cert, "score", 90);
    api_on_vault(k->api, e);
    json_decref(e);
    kit_run(k);
    told(k, 10, "note", "medium", "impact", "[[\"host\",\"PC1.clinic.local\"]]", false);
    get(k, "director", "/api/v1/incidents?open=1");
    assert_int_equal(items(k), 1);
    assert_string_equal(of(item(k, 0), "severity"), "call");
    get(k, "director", "/api/v1/alarms?open=1");
    assert_int_equal(items(k), 2); /* now it is more than what the vault saw */
}

static json_t *step_of(struct kit *k, const struct kit_who *me, size_t i)
{
    assert_int_equal(kit_call(k, me, "GET", "/api/v1/incidents/1", NULL), 200);
    return json_array_get(json_object_get(k->body, "responses"), i);
}

static int act(struct kit *k, const struct kit_who *me, const json_t *step, const char *what)
{
    char path[80], body[40];
    (void)snprintf(path, sizeof path, "/api/v1/responses/%lld", (long long)json_integer_value(json_object_get(step, "id")));
    (void)snprintf(body, sizeof body, "{\"do\":\"%s\"}", what);
    return kit_call(k, me, "POST", path, body);
}

static void a_step_that_was_not_possible_is_done_once_it_is(void **state)
{
    struct kit *k = *state;
    static const char cert[] = "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd";
    char device[33];
    kit_device(k, cert, device);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/playbooks", "{\"name\":\"x\",\"steps\":[{\"action\":\"freeze-vault\",\"mode\":\"auto\"}]}"), 201);
    told(k, 60, "vpn", "high", "initial-access", "[[\"account\",\"hoshu\"],[\"address\",\"203.0.113.9\"]]", false);
    assert_int_equal(kit_asked(k, "V_FREEZE"), 0);
    assert_string_equal(of(step_of(k, &me, 0), "state"), "failed");
    told(k, 50, "rdp", "high", "initial-access", "[[\"account\",\"hoshu\"],[\"host\",\"pc1\"]]", false);
    assert_int_equal(kit_asked(k, "V_FREEZE"), 1);
    assert_string_equal(of(step_of(k, &me, 1), "state"), "done");
    told(k, 40, "rdp2", "high", "initial-access", "[[\"account\",\"hoshu\"],[\"host\",\"pc1\"]]", false);
    assert_int_equal(kit_asked(k, "V_FREEZE"), 1); /* once */
}

static void a_playbook_acts_offers_and_takes_back(void **state)
{
    struct kit *k = *state;
    static const char cert[] = "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd";
    char device[33], path[90];
    kit_device(k, cert, device);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/playbooks", "{\"name\":\"x\",\"steps\":[]}"), 400);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/playbooks", "{\"name\":\"x\",\"steps\":[{\"action\":\"dance\",\"mode\":\"auto\"}]}"), 400);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/playbooks", "{\"name\":\"x\",\"steps\":[{\"action\":\"freeze-vault\",\"mode\":\"maybe\"}]}"), 400);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/playbooks",
        "{\"name\":\"x\",\"when\":{\"severity\":[\"high\"]},\"steps\":[{\"action\":\"backup-now\",\"mode\":\"auto\"}]}"), 400);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/playbooks",
        "{\"name\":\"x\",\"when\":{\"stages\":\"impact\"},\"steps\":[{\"action\":\"backup-now\",\"mode\":\"auto\"}]}"), 400);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/playbooks",
        "{\"name\":\"x\",\"when\":{\"stages\":[\"impact\",\"ransom\"]},\"steps\":[{\"action\":\"backup-now\",\"mode\":\"auto\"}]}"), 400);
    assert_non_null(strstr(message(k), "stages"));
    for (int stage = DECIDE_STAGE_none + 1; stage < DECIDE_STAGES; stage++) {
        char body[200], one[80];
        (void)snprintf(body, sizeof body, "{\"name\":\"x\",\"when\":{\"stages\":[\"%s\"]},\"steps\":[{\"action\":\"backup-now\",\"mode\":\"auto\"}]}",
            decide_stage_tag((enum decide_stage)stage));
        assert_int_equal(kit_call(k, &me, "POST", "/api/v1/playbooks", body), 201);
        (void)snprintf(one, sizeof one, "/api/v1/playbooks/%s", kit_str(k, "id"));
        assert_int_equal(kit_call(k, &me, "DELETE", one, NULL), 200);
    }
    static const char *const unreachable[] = { "\"mail\",\"params\":{\"to\":\"a@b\\r\\nBcc: x@y\"}", "\"mail\",\"params\":{\"to\":\"nobody\"}",
        "\"webhook\",\"params\":{\"url\":\"https://user:x@example.jp/\"}", "\"mail\",\"params\":7", "\"mail\"" };
    for (size_t i = 0; i < sizeof unreachable / sizeof *unreachable; i++) {
        char bad[300];
        (void)snprintf(bad, sizeof bad, "{\"name\":\"x\",\"steps\":[{\"mode\":\"auto\",\"action\":%s}]}", unreachable[i]);
        assert_int_equal(kit_call(k, &me, "POST", "/api/v1/playbooks", bad), 400);
    }
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/playbooks", "{\"name\":\"m\",\"when\":{\"stages\":[\"impact\"]},\"steps\":[{\"mode\":\"auto\",\"action\":\"mail\",\"params\":{\"to\":\"a@example.jp\"}}]}"), 201);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/playbooks",
        "{\"name\":\"外から\",\"when\":{\"stages\":[\"initial-access\"]},\"steps\":[{\"action\":\"freeze-vault\",\"mode\":\"auto\"},"
        "{\"action\":\"block-address\",\"mode\":\"click\",\"params\":{\"device\":\"fortigate\"}},"
        "{\"action\":\"block-account\",\"mode\":\"click\",\"params\":{\"device\":\"linux\"},\"limit_s\":60}]}"), 201);
    (void)snprintf(path, sizeof path, "/api/v1/playbooks/%s/try", kit_str(k, "id"));
    told(k, 60, "vpn", "high", "initial-access", "[[\"host\",\"kali\"],[\"host\",\"pc1\"],[\"account\",\"hoshu\"],[\"address\",\"203.0.113.9\"]]", false);
    assert_int_equal(kit_asked(k, "V_FREEZE"), 1);
    assert_string_equal(of(step_of(k, &me, 0), "state"), "done");
    assert_string_equal(of(step_of(k, &me, 0), "by"), "sakimori");
    assert_string_equal(of(step_of(k, &me, 0), "text"), "pc1 の古い保存を、消えないように止めます"); /* a machine that is not the box's is no obstacle */
    assert_string_equal(of(step_of(k, &me, 1), "state"), "offered");
    assert_string_equal(of(step_of(k, &me, 1), "text"), "203.0.113.9 を入口で止めます");
    assert_int_equal(act(k, &me, step_of(k, &me, 1), "undo"), 409);
    assert_int_equal(act(k, &me, step_of(k, &me, 1), "dance"), 400);
    assert_int_equal(act(k, &me, step_of(k, &me, 1), "run"), 200);
    const json_t *plan = json_object_get(step_of(k, &me, 1), "plan");
    assert_non_null(strstr(json_string_value(json_array_get(json_object_get(plan, "commands"), 0)), "203.0.113.9"));
    assert_string_equal(of(step_of(k, &me, 1), "state"), "todo");
    assert_int_equal(act(k, &me, step_of(k, &me, 1), "done"), 200);
    assert_int_equal(act(k, &me, step_of(k, &me, 1), "undo"), 200);
    assert_string_equal(of(step_of(k, &me, 1), "state"), "undone");
    assert_int_equal(act(k, &me, step_of(k, &me, 0), "undo"), 200);
    assert_int_equal(kit_asked(k, "V_THAW"), 1);
    kit_clock(k, 120);
    assert_string_equal(of(step_of(k, &me, 2), "state"), "expired");
    assert_int_equal(act(k, &me, step_of(k, &me, 2), "run"), 409);
    assert_int_equal(kit_call(k, &me, "POST", path, "{\"incident\":1}"), 200);
    assert_true(json_is_true(json_object_get(k->body, "fits")));
    assert_int_equal(json_array_size(json_object_get(k->body, "steps")), 3);
    told(k, 0, "vpn2", "critical", "defense-evasion", "[[\"host\",\"pc1\"]]", false); /* graver: not once more */
    assert_int_equal(kit_asked(k, "V_FREEZE"), 1);
    path[strlen(path) - 4] = 0;
    assert_int_equal(kit_call(k, &me, "PATCH", path, "{\"enabled\":false}"), 200);
    told(k, 0, "vpn", "high", "initial-access", "[[\"host\",\"pc1\"],[\"account\",\"other\"]]", false);
    assert_int_equal(kit_call(k, &me, "DELETE", path, NULL), 200);
    assert_int_equal(kit_call(k, &me, "DELETE", path, NULL), 404);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/playbooks", NULL), 200);
    assert_int_equal(items(k), 1);
    assert_true(json_array_size(json_object_get(k->body, "actions")) >= 7);
}

static void a_month_is_reviewed_signed_once_and_kept_as_it_was(void **state)
{
    struct kit *k = *state;
    char path[64], sign[80], body[80];
    struct sm_civil c;
    told(k, 60, "vpn", "high", "initial-access", "[[\"account\",\"hoshu\"]]", false);
    sm_time_civil_jst(plat_clock_wall(), &c);
    (void)snprintf(path, sizeof path, "/api/v1/reviews/%04d-%02d", c.year, c.month);
    (void)snprintf(sign, sizeof sign, "%s/sign", path);
    (void)snprintf(body, sizeof body, "{\"password\":\"%s\",\"note\":\"見た\"}", KIT_PASSWORD);
    get(k, "director", path);
    assert_int_equal(json_array_size(json_object_get(k->body, "incidents")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(k->body, "levels"), "high")), 2);
    assert_true(json_is_null(json_object_get(k->body, "signed")));
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "POST", sign, body), 409);
    assert_non_null(strstr(message(k), "終わって"));
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/reviews/2099-01/sign", body), 409);
    assert_non_null(strstr(message(k), "終わって"));
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/reviews/2020-01/sign", body), 409);
    assert_non_null(strstr(message(k), "設定より前"));
    kit_clock(k, 32 * 86400);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "POST", sign, "{\"password\":\"wrong-horse-1\"}"), 422);
    assert_non_null(strstr(message(k), "パスワードがちがいます"));
    assert_int_equal(kit_call(k, &me, "POST", sign, body), 200);
    assert_int_equal(strlen(kit_str(k, "hash")), 64);
    assert_true(kit_asked(k, "V_ACCESS") >= 1);
    assert_int_equal(kit_call(k, &me, "POST", sign, body), 409);
    assert_non_null(strstr(message(k), "もう署名"));
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/incidents/1/close", "{\"verdict\":\"harmless\",\"note\":\"x\"}"), 200);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_true(json_is_null(json_object_get(json_array_get(json_object_get(k->body, "incidents"), 0), "closed"))); /* as it was */
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/reviews", NULL), 200);
    assert_true(items(k) >= 2);
    assert_true(json_is_true(json_object_get(item(k, 1), "signed")));
    static const char *const bad[] = { "2026-13", "2026-00", "202611", "2026-1a", "1999-01" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)snprintf(path, sizeof path, "/api/v1/reviews/%s", bad[i]);
        assert_int_equal(kit_call(k, &me, "GET", path, NULL), 404);
    }
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "POST", sign, body), 403);
}

/* who: members of the booking that name somebody, or "". */
static int book(struct kit *k, int64_t from_in_s, int64_t until_in_s, const char *who)
{
    char body[500], from[SM_TIME_TEXT], until[SM_TIME_TEXT];
    struct kit_who me = kit_me(k);
    sm_time_rfc3339((struct sm_time){ .s = now_s() + from_in_s }, from);
    sm_time_rfc3339((struct sm_time){ .s = now_s() + until_in_s }, until);
    (void)snprintf(body, sizeof body, "{\"vendor\":\"カルテ社\",\"purpose\":\"点検\",\"from\":\"%s\",\"until\":\"%s\"%s}", from, until, who);
    return kit_call(k, &me, "POST", "/api/v1/maintenance", body);
}

static void a_booking_for_everybody_or_nobody_is_refused_with_its_reason(void **state)
{
    struct kit *k = *state;
    static const struct { int64_t from, until; const char *who, *field, *reason; } bad[] = {
        { 0, 3600, "", "address", "利用者の名前かアドレス" },
        { 0, 3600, ",\"account\":\"\",\"address\":\"\"", "address", "利用者の名前かアドレス" },
        { 0, 3600, ",\"address\":\"0.0.0.0/0\"", "address", "広すぎ" },
        { 0, 3600, ",\"account\":\"gyosha\",\"address\":\"0.0.0.0/0\"", "address", "広すぎ" },
        { 0, 3600, ",\"address\":\"128.0.0.0/1\"", "address", "広すぎ" },
        { 0, 3600, ",\"address\":\"::/0\"", "address", "広すぎ" },
        { 0, 3600, ",\"address\":\"192.0.2\"", "address", "192.0.2.0/24" },
        { 0, 32 * 86400, ",\"account\":\"gyosha\"", "until", "31日" },
        { 7200, 3600, ",\"account\":\"gyosha\"", "until", "始まりより後" },
        { -7200, -3600, ",\"account\":\"gyosha\"", "until", "過ぎて" },
        { 401 * 86400, 402 * 86400, ",\"account\":\"gyosha\"", "from", "400日" },
    };
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(book(k, bad[i].from, bad[i].until, bad[i].who), 400);
        assert_string_equal(of(json_object_get(k->body, "error"), "field"), bad[i].field);
        assert_non_null(strstr(message(k), bad[i].reason));
    }
    assert_int_equal(book(k, 0, 3600, ",\"address\":\"10.0.0.0/8\""), 201);
    assert_int_equal(book(k, 0, 3600, ",\"address\":\"2001:db8::/32\""), 201);
    assert_int_equal(book(k, 0, 30 * 86400, ",\"account\":\"gyosha\""), 201);
}

static void what_is_no_signal_is_left_alone(void **state)
{
    struct kit *k = *state;
    static const char *const bad[] = { "{}", "{\"signals\":[{}]}", "{\"signals\":[{\"at_s\":\"x\",\"rule\":\"r\"}]}", "{\"signals\":7}",
        "{\"signals\":[{\"at_s\":1,\"rule\":\"\"}]}", "{\"signals\":[{\"at_s\":1,\"rule\":\"r\",\"entities\":[[\"planet\",\"x\"]]}]}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *j = json_loads(bad[i], 0, NULL);
        api_on_watch(k->api, j);
        json_decref(j);
    }
    get(k, "director", "/api/v1/signals");
    assert_int_equal(items(k), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_grave_signal_is_an_incident_and_an_alarm_with_its_own_steps, open_box, close_box),
        cmocka_unit_test_setup_teardown(what_waits_is_listed_and_adopted, open_box, close_box),
        cmocka_unit_test_setup_teardown(two_that_become_one_leave_one_alarm, open_box, close_box),
        cmocka_unit_test_setup_teardown(a_false_alarm_is_learnt_shown_and_taken_back, open_box, close_box),
        cmocka_unit_test_setup_teardown(booked_maintenance_is_filed_and_the_rest_is_told, open_box, close_box),
        cmocka_unit_test_setup_teardown(a_booking_for_everybody_or_nobody_is_refused_with_its_reason, open_box, close_box),
        cmocka_unit_test_setup_teardown(a_closed_incident_takes_its_alarm_along_and_the_other_way_round, open_box, close_box),
        cmocka_unit_test_setup_teardown(open_incidents_filters_and_what_waits_survive_a_restart, open_box, close_box),
        cmocka_unit_test_setup_teardown(what_the_vault_saw_is_told_once_and_joins_the_story, open_box, close_box),
        cmocka_unit_test_setup_teardown(a_playbook_acts_offers_and_takes_back, open_box, close_box),
        cmocka_unit_test_setup_teardown(a_step_that_was_not_possible_is_done_once_it_is, open_box, close_box),
        cmocka_unit_test_setup_teardown(a_month_is_reviewed_signed_once_and_kept_as_it_was, open_box, close_box),
        cmocka_unit_test_setup_teardown(what_is_no_signal_is_left_alone, open_box, close_box),
    };
    return cmocka_run_group_tests_name("incidents", tests, NULL, NULL);
}
