#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "respond/internal.h"

static char why[RESPOND_WHY];

static json_t *incident(const char *entities)
{
    json_t *list = json_loads(entities, 0, NULL);

    assert_non_null(list);
    return json_pack("{s:i,s:s,s:o}", "id", 7, "severity", "call", "entities", list);
}

static int plan(const char *action, const char *params, const char *entities, json_t **ret)
{
    json_t *p = json_loads(params, 0, NULL), *i = incident(entities);
    int r = respond_plan(action, p, i, ret, why);

    json_decref(p);
    json_decref(i);
    return r;
}

static const char *line(const json_t *plan_, const char *key, size_t i)
{
    const char *s = json_string_value(json_array_get(json_object_get(plan_, key), i));

    return s ? s : "";
}

static void every_action_says_in_two_languages_what_it_does(void **state)
{
    static const char *const params[] = { "{\"to\":\"a@example.jp, b@example.jp\"}", "{\"url\":\"https://example.jp/x\"}", "{\"server\":\"192.168.1.9\",\"port\":\"5514\"}",
        "{\"text\":\"はり紙\"}",
        "{\"device\":\"fortigate\"}", "{\"device\":\"linux\"}", "{}", "{}", "{}", "{}", "{}", "{}" };

    assert_int_equal(respond_count(), sizeof params / sizeof *params);
    for (size_t i = 0; i < respond_count(); i++) {
        json_t *got = NULL;
        const struct respond_action *a = respond_at(i);
        if (plan(a->name, params[i], "[[\"address\",\"203.0.113.9\"],[\"account\",\"hoshu\"],[\"host\",\"pc1\"]]", &got) != 0)
            fail_msg("%s: %s", a->name, why);
        assert_true(*a->ja && *a->en);
        assert_true(json_string_length(json_object_get(got, "ja")) && json_string_length(json_object_get(got, "en")));
        assert_int_equal(json_is_true(json_object_get(got, "undo")), a->undo);
        json_decref(got);
    }
    assert_null(respond_at(respond_count()));
}

static void an_outside_address_is_blocked_with_a_way_back_on_every_device(void **state)
{
    static const char *const devices[] = { "fortigate", "yamaha-rtx", "nec-ix", "cisco-asa", "cisco-ios", "linux-iptables", "linux-nft" };

    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        char params[80], *all;
        json_t *got = NULL;
        snprintf(params, sizeof params, "{\"device\":\"%s\"}", devices[i]);
        assert_int_equal(plan("block-address", params, "[[\"address\",\"10.8.0.5\"],[\"address\",\"192.168.1.7\"],[\"address\",\"203.0.113.9\"]]", &got), 0);
        all = json_dumps(json_object_get(got, "commands"), 0);
        assert_non_null(strstr(all, "203.0.113.9"));
        assert_null(strstr(all, "%s"));
        free(all);
        all = json_dumps(json_object_get(got, "undo_commands"), 0);
        assert_non_null(strstr(all, "203.0.113.9"));
        free(all);
        json_decref(got);
    }
}

static void a_firewall_with_an_api_is_asked_for_hours_and_can_be_asked_back(void **state)
{
    static const char *const devices[] = { "fortigate-api", "generic-api" };

    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        char params[80];
        json_t *got = NULL;
        snprintf(params, sizeof params, "{\"device\":\"%s\",\"hours\":\"2\"}", devices[i]);
        assert_int_equal(plan("block-address", params, "[[\"address\",\"203.0.113.9\"]]", &got), 0);
        assert_string_equal(json_string_value(json_object_get(got, "effect")), "firewall");
        assert_int_equal(json_integer_value(json_object_get(got, "seconds")), 7200);
        assert_non_null(strstr(line(got, "commands", 0), "203.0.113.9"));
        assert_non_null(strstr(line(got, "undo_commands", 0), "203.0.113.9"));
        assert_true(json_is_true(json_object_get(got, "undo")));
        assert_true(json_is_object(json_object_get(json_object_get(got, "undo_request"), "json")));
        json_decref(got);
    }
    json_t *got = NULL;
    assert_int_equal(plan("block-address", "{\"device\":\"fortigate-api\",\"address\":\"10.1.2.3\"}", "[]", &got), -SM_EINVAL);
    assert_int_equal(plan("block-address", "{\"device\":\"fortigate-api\",\"hours\":\"169\"}", "[[\"address\",\"203.0.113.9\"]]", &got), -SM_EINVAL);
    assert_int_equal(plan("block-address", "{\"device\":\"fortigate-api\",\"hours\":\"1x\"}", "[[\"address\",\"203.0.113.9\"]]", &got), -SM_EINVAL);
    assert_non_null(strstr(why, "hours"));
}

static void nothing_of_an_event_becomes_a_command_unchecked(void **state)
{
    json_t *got = NULL;

    assert_int_equal(plan("block-address", "{\"device\":\"fortigate\"}", "[[\"address\",\"203.0.113.9; reboot\"],[\"address\",\"10.0.0.1\"]]", &got), -SM_ENOTFOUND);
    assert_int_equal(plan("block-address", "{\"device\":\"fortigate\",\"address\":\"192.168.0.1\"}", "[]", &got), -SM_EINVAL);
    assert_int_equal(plan("block-address", "{\"device\":\"toaster\"}", "[]", &got), -SM_EINVAL);
    assert_int_equal(plan("block-account", "{\"device\":\"linux\"}", "[[\"account\",\"x'; rm -rf /\"],[\"account\",\"-rf\"]]", &got), -SM_ENOTFOUND);
    assert_int_equal(plan("block-account", "{\"device\":\"linux\",\"account\":\"a b\"}", "[]", &got), -SM_EINVAL);
    assert_int_equal(plan("block-account", "{\"device\":\"linux\"}", "[[\"account\",\"x'; rm\"],[\"account\",\"hoshu\"]]", &got), 0);
    assert_string_equal(line(got, "commands", 0), "usermod --lock --expiredate 1 'hoshu'");
    json_decref(got);
    assert_int_equal(plan("freeze-vault", "{}", "[]", &got), -SM_ENOTFOUND);
}

static void every_account_of_the_incident_is_offered_but_built_in_ones(void **state)
{
    json_t *got = NULL;

    assert_int_equal(plan("block-account", "{\"device\":\"linux\"}",
        "[[\"account\",\"Administrator\"],[\"account\",\"tanaka\"],[\"host\",\"pc1\"],[\"account\",\"suzuki\"]]", &got), 0);
    assert_string_equal(line(got, "commands", 0), "usermod --lock --expiredate 1 'tanaka'");
    char *all = json_dumps(got, JSON_COMPACT);
    assert_non_null(strstr(all, "'suzuki'"));
    assert_null(strstr(all, "Administrator"));
    free(all);
    assert_non_null(strstr(json_string_value(json_object_get(got, "ja")), "suzuki、tanaka を使えなくします"));
    assert_int_equal(json_array_size(json_object_get(got, "undo_commands")) % 2, 0);
    json_decref(got);
    assert_int_equal(plan("block-account", "{\"device\":\"linux\"}", "[[\"account\",\"root\"]]", &got), -SM_ENOTFOUND);
    assert_non_null(strstr(why, "built-in"));
    assert_int_equal(plan("block-account", "{\"device\":\"linux\",\"account\":\"root\"}", "[]", &got), 0); /* said by a person */
    json_decref(got);
}

static void every_machine_of_the_incident_is_held(void **state)
{
    json_t *got = NULL;

    assert_int_equal(plan("freeze-vault", "{}", "[[\"host\",\"pc1\"],[\"account\",\"hoshu\"],[\"host\",\"pc2\"]]", &got), 0);
    assert_string_equal(line(got, "hosts", 0), "pc1");
    assert_string_equal(line(got, "hosts", 1), "pc2");
    assert_non_null(strstr(json_string_value(json_object_get(got, "ja")), "pc1, pc2 の"));
    json_decref(got);
    assert_int_equal(plan("backup-now", "{}", "[[\"host\",\"a\"],[\"host\",\"b\"],[\"host\",\"c\"],[\"host\",\"d\"],[\"host\",\"e\"],[\"host\",\"f\"],[\"host\",\"g\"]]", &got), 0);
    assert_int_equal(json_array_size(json_object_get(got, "hosts")), 7);
    assert_non_null(strstr(json_string_value(json_object_get(got, "ja")), "a, b, c, d, e ほか2台"));
    json_decref(got);
}

static void machines_of_the_incident_are_told_by_order_and_with_a_way_back(void **state)
{
    static const char entities[] = "[[\"host\",\"pc1\"],[\"address\",\"10.0.0.3\"],[\"address\",\"203.0.113.9\"],[\"account\",\"root\"],[\"account\",\"hoshu\"]]";
    json_t *got = NULL;

    assert_int_equal(plan("isolate-machine", "{\"hours\":\"2\"}", entities, &got), 0);
    assert_string_equal(respond_text(got, "effect"), "machine");
    assert_string_equal(respond_text(got, "machine_action"), "isolate");
    assert_string_equal(respond_text(got, "machine_undo"), "release");
    assert_int_equal(json_integer_value(json_object_get(got, "for_s")), 7200);
    assert_string_equal(line(got, "hosts", 0), "pc1");
    json_decref(got);
    assert_int_equal(plan("block-on-machine", "{}", entities, &got), 0);
    assert_string_equal(respond_text(json_object_get(got, "args"), "to"), "203.0.113.9"); /* never one of the inside */
    assert_string_equal(respond_text(got, "address"), "203.0.113.9");
    json_decref(got);
    assert_int_equal(plan("disable-on-machine", "{}", entities, &got), 0);
    assert_string_equal(respond_text(json_object_get(got, "args"), "account"), "hoshu"); /* never a built-in one */
    json_decref(got);
    assert_int_equal(plan("disable-on-machine", "{\"account\":\"root\"}", entities, &got), -SM_EINVAL);
    assert_int_equal(plan("block-on-machine", "{\"address\":\"192.168.1.1\"}", entities, &got), -SM_EINVAL);
    assert_int_equal(plan("isolate-machine", "{\"hours\":\"0\"}", entities, &got), -SM_EINVAL);
    assert_int_equal(plan("isolate-machine", "{}", "[[\"account\",\"hoshu\"]]", &got), -SM_ENOTFOUND);
    assert_int_equal(plan("kill-suspects", "{}", entities, &got), 0);
    assert_string_equal(respond_text(got, "machine_action"), "kill");
    json_decref(got);
}

static void parameters_that_are_none_are_named(void **state)
{
    json_t *got = NULL;

    assert_int_equal(plan("dance", "{}", "[]", &got), -SM_ENOTFOUND);
    assert_int_equal(plan("mail", "{}", "[]", &got), -SM_EINVAL);
    assert_non_null(strstr(why, "to"));
    assert_int_equal(plan("mail", "{\"to\":\" , \"}", "[]", &got), -SM_EINVAL);
    assert_int_equal(plan("mail", "{\"to\":7}", "[]", &got), -SM_EINVAL);
    assert_int_equal(plan("webhook", "{\"url\":\"http://example.jp/\"}", "[]", &got), -SM_EINVAL);
    assert_int_equal(plan("syslog", "{\"server\":\"203.0.113.9\"}", "[]", &got), -SM_EINVAL);
    assert_int_equal(plan("syslog", "{\"server\":\"log.example.jp\"}", "[]", &got), -SM_EINVAL);
    assert_int_equal(plan("syslog", "{\"server\":\"10.0.0.9\",\"port\":\"0x10\"}", "[]", &got), -SM_EINVAL);
    assert_non_null(strstr(why, "port"));
    assert_int_equal(plan("syslog", "{\"server\":\"10.0.0.9\",\"port\":\"65536\"}", "[]", &got), -SM_EINVAL);
    assert_int_equal(plan("task", "{\"text\":\"x\",\"colour\":\"red\"}", "[]", &got), -SM_EINVAL);
    assert_non_null(strstr(why, "colour"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_action_says_in_two_languages_what_it_does),
        cmocka_unit_test(an_outside_address_is_blocked_with_a_way_back_on_every_device),
        cmocka_unit_test(a_firewall_with_an_api_is_asked_for_hours_and_can_be_asked_back),
        cmocka_unit_test(nothing_of_an_event_becomes_a_command_unchecked), cmocka_unit_test(every_machine_of_the_incident_is_held),
        cmocka_unit_test(every_account_of_the_incident_is_offered_but_built_in_ones),
        cmocka_unit_test(machines_of_the_incident_are_told_by_order_and_with_a_way_back),
        cmocka_unit_test(parameters_that_are_none_are_named),
    };
    return cmocka_run_group_tests_name("respond", tests, NULL, NULL);
}
