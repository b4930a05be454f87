#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "decide/decide.h"

enum { HOUR = 3600, DAY = 86400, START = 1800000000 };

static struct decide *d;
static uint64_t id;
static struct decide_result got;

static int set_up(void **state)
{
    d = decide_new(7);
    id = 0;
    return d ? 0 : -1;
}

static int tear_down(void **state)
{
    decide_free(d);
    return 0;
}

/* entities as "hreception-1 a192.0.2.7 uhoshu pguid": h host, a address, u account, p process */
static struct decide_signal make(int64_t at_s, const char *rule, int level, int stage, const char *entities)
{
    struct decide_signal s = { .id = ++id, .at_s = START + at_s, .level = (uint8_t)level, .stage = (uint8_t)stage };
    char text[400], *save = NULL;

    snprintf(s.rule, sizeof s.rule, "%s", rule);
    snprintf(text, sizeof text, "%s", entities);
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        s.entity[s.n].kind = (uint8_t)(*word == 'h' ? DECIDE_HOST : *word == 'u' ? DECIDE_ACCOUNT : *word == 'a' ? DECIDE_ADDRESS : DECIDE_PROCESS);
        snprintf(s.entity[s.n++].text, DECIDE_TEXT_MAX, "%s", word + 1);
    }
    return s;
}

static enum decide_what tell(int64_t at_s, const char *rule, int level, int stage, const char *entities)
{
    struct decide_signal s = make(at_s, rule, level, stage, entities);

    assert_int_equal(decide_signal(d, &s, &got), 0);
    return got.what;
}

static void one_grave_signal_opens_an_incident_and_its_repeats_are_folded(void **state)
{
    assert_int_equal(tell(0, "vpn", DECIDE_HIGH, DECIDE_STAGE_initial_access, "uhoshu a203.0.113.9"), DECIDE_OPENED);
    assert_int_equal(got.incident, 7);
    assert_int_equal(got.severity, DECIDE_LOOK);
    assert_int_equal(got.tell, DECIDE_TELL_OPENED);
    for (int i = 1; i < 100; i++) {
        assert_int_equal(tell(i, "vpn", DECIDE_HIGH, DECIDE_STAGE_initial_access, "uhoshu a203.0.113.9"), DECIDE_FOLDED);
        assert_int_equal(got.tell, 0);
    }
    struct decide_incident in;
    assert_int_equal(decide_get(d, 7, &in), 0);
    assert_int_equal(in.signals, 100);
    assert_int_equal(in.score, 8);
}

static void weak_signals_wait_and_are_adopted_when_they_make_sense_together(void **state)
{
    assert_int_equal(tell(0, "a", DECIDE_MEDIUM, DECIDE_STAGE_execution, "hpc1"), DECIDE_WAITS);
    assert_int_equal(tell(60, "b", DECIDE_MEDIUM, DECIDE_STAGE_execution, "hpc2"), DECIDE_WAITS);
    assert_int_equal(tell(120, "c", DECIDE_MEDIUM, DECIDE_STAGE_credential_access, "hPC1.clinic.local"), DECIDE_WAITS);
    assert_int_equal(tell(180, "d", DECIDE_MEDIUM, DECIDE_STAGE_execution, "hpc1"), DECIDE_WAITS);
    assert_int_equal(tell(240, "e", DECIDE_MEDIUM, DECIDE_STAGE_discovery, "hpc1"), DECIDE_OPENED);
    assert_int_equal(got.adopted_n, 3);
    assert_int_equal(got.adopted[0], 1);
    assert_int_equal(tell(300, "a", DECIDE_MEDIUM, DECIDE_STAGE_execution, "hpc2"), DECIDE_WAITS);
}

/* What a server does every night: many rules may speak of one command, and weak ones of several days are no story. */
static void weak_signals_of_one_moment_or_of_many_days_open_nothing(void **state)
{
    static const int stage[] = { DECIDE_STAGE_execution, DECIDE_STAGE_privilege_escalation, DECIDE_STAGE_defense_evasion, DECIDE_STAGE_impact };
    char rule[8];

    for (int k = 0; k < 12; k++) {
        snprintf(rule, sizeof rule, "r%d", k);
        assert_int_equal(tell(0, rule, DECIDE_MEDIUM, stage[k % 4], "hsrv usystem"), DECIDE_WAITS);
    }
    for (int k = 0; k < 12; k++) {
        snprintf(rule, sizeof rule, "s%d", k);
        assert_int_equal(tell((k + 1) * 3 * HOUR, rule, DECIDE_MEDIUM, stage[k % 4], "hsrv usystem"), DECIDE_WAITS);
        assert_int_equal(tell((k + 1) * 3 * HOUR + 1, rule, DECIDE_LOW, stage[k % 4], "hsrv usystem"), DECIDE_WAITS);
    }
    assert_int_equal(tell(60 * HOUR, "grave", DECIDE_HIGH, DECIDE_STAGE_impact, "hsrv usystem"), DECIDE_OPENED);
    assert_int_equal(got.adopted_n, 0);
}

/* A server that is attacked goes on with its work. */
static void weak_signals_come_along_and_lead_nowhere(void **state)
{
    assert_int_equal(tell(0, "a", DECIDE_HIGH, DECIDE_STAGE_execution, "hsrv uhoshu"), DECIDE_OPENED);
    assert_int_equal(tell(600, "b", DECIDE_LOW, DECIDE_STAGE_discovery, "hsrv unightly"), DECIDE_JOINED);
    assert_int_equal(tell(660, "c", DECIDE_HIGH, DECIDE_STAGE_execution, "hpc2 unightly"), DECIDE_OPENED);
    assert_int_equal(got.incident, 8);
    assert_int_equal(tell(3 * HOUR, "d", DECIDE_MEDIUM, DECIDE_STAGE_discovery, "hsrv"), DECIDE_WAITS);
    assert_int_equal(tell(3 * HOUR, "e", DECIDE_MEDIUM, DECIDE_STAGE_discovery, "uhoshu"), DECIDE_JOINED);
}

static void what_everybody_shares_joins_nothing(void **state)
{
    assert_int_equal(tell(0, "a", DECIDE_HIGH, DECIDE_STAGE_execution, "hpc1 uCLINIC\\Administrator a127.0.0.1"), DECIDE_OPENED);
    assert_int_equal(tell(1, "b", DECIDE_HIGH, DECIDE_STAGE_execution, "hpc2 uadministrator a127.0.0.1"), DECIDE_OPENED);
    assert_int_equal(decide_common(d, DECIDE_HOST, "DC1"), 0);
    assert_int_equal(tell(2, "c", DECIDE_HIGH, DECIDE_STAGE_execution, "hdc1 uPC9$"), DECIDE_OPENED);
    assert_int_equal(tell(3, "d", DECIDE_HIGH, DECIDE_STAGE_execution, "hdc1"), DECIDE_OPENED);
}

static void an_attack_of_a_week_is_one_story_told_three_times(void **state)
{
    unsigned told = 0, told_before_harm = 0;
    const struct { int64_t at; const char *rule; int level, stage; const char *who; } chain[] = {
        { 0, "vpn-fail-then-ok", DECIDE_HIGH, DECIDE_STAGE_initial_access, "hfw1 uhoshu a203.0.113.9" },
        { 180, "vpn-no-window", DECIDE_HIGH, DECIDE_STAGE_initial_access, "hfw1 uhoshu a203.0.113.9 a10.8.0.5" },
        { 480, "rdp-fail-ok", DECIDE_MEDIUM, DECIDE_STAGE_lateral_movement, "hreception-1 uAdministrator a10.8.0.5" },
        { 840, "sweep", DECIDE_HIGH, DECIDE_STAGE_discovery, "a192.168.1.21" },
        { DAY, "one-account-many", DECIDE_HIGH, DECIDE_STAGE_lateral_movement, "uAdministrator a192.168.1.21 hpc2 hpc3 hpc4" },
        { DAY + 600, "log-cleared", DECIDE_CRITICAL, DECIDE_STAGE_defense_evasion, "hpc3" },
        { 3 * DAY, "backup-deleted", DECIDE_CRITICAL, DECIDE_STAGE_impact, "hnas1 a192.168.1.21" },
        { 4 * DAY, "outflow", DECIDE_HIGH, DECIDE_STAGE_exfiltration, "hnas1 a198.51.100.4" },
        { 6 * DAY, "encryption", DECIDE_CRITICAL, DECIDE_STAGE_impact, "hreception-1 hnas1" },
        { 6 * DAY + 120, "note-printed", DECIDE_MEDIUM, DECIDE_STAGE_impact, "hreception-1 a192.168.1.90" },
    };

    decide_alias(d, "192.168.1.21", "RECEPTION-1.clinic.local", START);
    for (size_t i = 0; i < sizeof chain / sizeof *chain; i++) {
        enum decide_what what = tell(chain[i].at, chain[i].rule, chain[i].level, chain[i].stage, chain[i].who);
        if (what != (i ? DECIDE_JOINED : DECIDE_OPENED) || got.incident != 7)
            fail_msg("step %zu (%s) became %d of %llu", i + 1, chain[i].rule, what, (unsigned long long)got.incident);
        told += got.tell != 0;
        if (i < 8)
            told_before_harm = told;
    }
    assert_int_equal(told_before_harm, 3);
    assert_int_equal(told, 3);
    struct decide_incident in;
    assert_int_equal(decide_get(d, 7, &in), 0);
    assert_int_equal(in.severity, DECIDE_CALL);
    assert_int_equal(in.stage, DECIDE_STAGE_impact);
    char line[200];
    decide_headline(&in, DECIDE_JA, line, sizeof line);
    assert_string_equal(line, "reception-1で、データや保存がこわされています");
    struct decide_step step[3];
    decide_steps(&in, DECIDE_EN, step);
    assert_string_equal(step[0].id, "unplug_machine");
}

static void who_came_in_and_is_on_many_machines_is_telephoned_about(void **state)
{
    struct decide_incident in;

    assert_int_equal(tell(0, "vpn-fail-then-ok", DECIDE_HIGH, DECIDE_STAGE_initial_access, "utanaka a203.0.113.9"), DECIDE_OPENED);
    assert_int_equal(tell(60, "abroad", DECIDE_HIGH, DECIDE_STAGE_initial_access, "utanaka a203.0.113.9"), DECIDE_JOINED);
    assert_int_equal(tell(120, "rdp", DECIDE_HIGH, DECIDE_STAGE_lateral_movement, "utanaka hpc1"), DECIDE_JOINED);
    assert_int_equal(tell(180, "rdp-many", DECIDE_HIGH, DECIDE_STAGE_lateral_movement, "utanaka hpc2"), DECIDE_JOINED);
    assert_int_equal(decide_get(d, 7, &in), 0);
    assert_int_equal(in.severity, DECIDE_LOOK); /* two machines */
    assert_int_equal(tell(240, "rdp", DECIDE_HIGH, DECIDE_STAGE_lateral_movement, "utanaka hpc3"), DECIDE_JOINED);
    assert_int_equal(decide_get(d, 7, &in), 0);
    assert_int_equal(in.severity, DECIDE_CALL);
}

static void an_incident_is_called_after_what_is_grave_in_it(void **state)
{
    struct decide_incident in;

    assert_int_equal(tell(0, "failures", DECIDE_MEDIUM, DECIDE_STAGE_credential_access, "uhoshu a203.0.113.9"), DECIDE_WAITS);
    assert_int_equal(tell(60, "abroad", DECIDE_HIGH, DECIDE_STAGE_initial_access, "uhoshu a203.0.113.9"), DECIDE_OPENED);
    assert_int_equal(decide_get(d, 7, &in), 0);
    assert_int_equal(in.stage, DECIDE_STAGE_initial_access);
    assert_int_equal(tell(120, "cleared", DECIDE_CRITICAL, DECIDE_STAGE_defense_evasion, "uhoshu hpc1"), DECIDE_JOINED);
    assert_int_equal(tell(180, "outflow", DECIDE_HIGH, DECIDE_STAGE_exfiltration, "hpc1"), DECIDE_JOINED);
    assert_int_equal(decide_get(d, 7, &in), 0);
    assert_int_equal(in.stage, DECIDE_STAGE_exfiltration);
}

static void two_stories_become_one_when_a_signal_belongs_to_both(void **state)
{
    assert_int_equal(tell(0, "a", DECIDE_HIGH, DECIDE_STAGE_initial_access, "uhoshu"), DECIDE_OPENED);
    assert_int_equal(tell(60, "b", DECIDE_HIGH, DECIDE_STAGE_execution, "hpc1"), DECIDE_OPENED);
    assert_int_equal(tell(120, "c", DECIDE_MEDIUM, DECIDE_STAGE_lateral_movement, "hpc1 uhoshu"), DECIDE_JOINED);
    assert_int_equal(got.incident, 7);
    assert_int_equal(got.merged_n, 1);
    assert_int_equal(got.merged[0], 8);
    struct decide_incident in;
    assert_int_equal(decide_get(d, 8, &in), -SM_ENOTFOUND);
    assert_int_equal(decide_get(d, 7, &in), 0);
    assert_int_equal(in.signals, 3);
    assert_int_equal(in.score, 8 + 8 + 3 + 2 * 4);
}

static void a_rule_that_both_stories_had_counts_once(void **state)
{
    assert_int_equal(tell(0, "a", DECIDE_HIGH, DECIDE_STAGE_initial_access, "uhoshu"), DECIDE_OPENED);
    assert_int_equal(tell(60, "a", DECIDE_HIGH, DECIDE_STAGE_initial_access, "hpc1"), DECIDE_OPENED);
    assert_int_equal(tell(120, "b", DECIDE_MEDIUM, DECIDE_STAGE_initial_access, "hpc1 uhoshu"), DECIDE_JOINED);
    struct decide_incident in;
    assert_int_equal(got.merged_n, 1);
    assert_int_equal(decide_get(d, 7, &in), 0);
    assert_int_equal(in.score, 8 + 3);
}

static void a_false_alarm_is_learnt_and_can_be_taken_back(void **state)
{
    struct decide_signal s = make(0, "night-batch", DECIDE_HIGH, DECIDE_STAGE_execution, "hsrv1 ubatch a192.168.1.5");
    struct decide_entity e[DECIDE_ENTITIES_MAX];

    size_t n = decide_suggest(&s, e);
    assert_int_equal(n, 2); /* the machine says more than its address */
    assert_int_equal(decide_filter(d, 1, "night-batch", e, n), 0);
    assert_int_equal(decide_filter(d, 1, "night-batch", e, n), -SM_EEXISTS);
    assert_int_equal(tell(1, "night-batch", DECIDE_HIGH, DECIDE_STAGE_execution, "hSRV1.clinic.local uCLINIC\\batch"), DECIDE_FILTERED);
    assert_int_equal(got.filter, 1);
    assert_int_equal(tell(2, "night-batch", DECIDE_HIGH, DECIDE_STAGE_execution, "hsrv2 ubatch"), DECIDE_OPENED);
    assert_int_equal(decide_unfilter(d, 1), 0);
    assert_int_equal(decide_unfilter(d, 1), -SM_ENOTFOUND);
    assert_int_equal(tell(3, "night-batch", DECIDE_HIGH, DECIDE_STAGE_execution, "hsrv1 ubatch"), DECIDE_JOINED);
}

static void old_things_join_less_the_weaker_a_signal_is(void **state)
{
    assert_int_equal(tell(0, "a", DECIDE_HIGH, DECIDE_STAGE_execution, "hpc1"), DECIDE_OPENED);
    assert_int_equal(tell(10 * HOUR, "b", DECIDE_LOW, DECIDE_STAGE_discovery, "hpc1"), DECIDE_WAITS);
    assert_int_equal(tell(5 * DAY, "c", DECIDE_MEDIUM, DECIDE_STAGE_discovery, "hpc1"), DECIDE_WAITS);
    assert_int_equal(tell(5 * DAY + 1, "d", DECIDE_HIGH, DECIDE_STAGE_discovery, "hpc1"), DECIDE_JOINED);
    assert_int_equal(got.adopted_n, 1); /* c, which waited; b is too old for it */
    assert_int_equal(tell(30 * DAY, "e", DECIDE_HIGH, DECIDE_STAGE_discovery, "hpc1"), DECIDE_OPENED);
    assert_int_equal(got.incident, 8);
}

static void an_incident_survives_a_restart(void **state)
{
    json_t *kept = NULL;
    struct decide_incident before, after;

    assert_int_equal(tell(0, "a", DECIDE_HIGH, DECIDE_STAGE_initial_access, "uhoshu a203.0.113.9"), DECIDE_OPENED);
    assert_int_equal(tell(60, "b", DECIDE_CRITICAL, DECIDE_STAGE_defense_evasion, "uhoshu hpc1"), DECIDE_JOINED);
    assert_int_equal(decide_get(d, 7, &before), 0);
    assert_int_equal(decide_dump(d, 7, &kept), 0);
    assert_int_equal(decide_restore(d, kept), -SM_EEXISTS);
    decide_free(d);
    d = decide_new(1);
    assert_int_equal(decide_restore(d, kept), 0);
    assert_int_equal(decide_get(d, 7, &after), 0);
    assert_int_equal(after.score, before.score);
    assert_int_equal(after.severity, DECIDE_CALL);
    assert_int_equal(after.n, before.n);
    id = 10;
    assert_int_equal(tell(120, "c", DECIDE_HIGH, DECIDE_STAGE_discovery, "hpc1"), DECIDE_JOINED);
    assert_int_equal(got.tell, 0); /* was told already */
    assert_int_equal(tell(130, "z", DECIDE_HIGH, DECIDE_STAGE_discovery, "hother"), DECIDE_OPENED);
    assert_int_equal(got.incident, 8);
    json_object_set_new(kept, "v", json_integer(2));
    assert_int_equal(decide_restore(d, kept), -SM_EVERSION);
    json_object_set_new(kept, "v", json_integer(1));
    json_object_set_new(kept, "id", json_integer(99));
    json_array_append_new(json_object_get(kept, "rules"), json_pack("[s,i,i]", "x", 9, 0));
    assert_int_equal(decide_restore(d, kept), -SM_EFORMAT);
    json_decref(kept);
}

static void a_flood_stays_within_its_bounds(void **state)
{
    char who[64], rule[32];

    for (int i = 0; i < 3 * DECIDE_WAITING_MAX; i++) {
        snprintf(who, sizeof who, "hm%d", i);
        snprintf(rule, sizeof rule, "r%d", i % 7);
        assert_int_equal(tell(i / 100, rule, DECIDE_MEDIUM, DECIDE_STAGE_execution, who), DECIDE_WAITS);
    }
    for (int i = 0; i < DECIDE_INCIDENTS_MAX + 3; i++) {
        snprintf(who, sizeof who, "ho%d", i);
        assert_int_equal(tell(1000 + i, "h", DECIDE_HIGH, DECIDE_STAGE_execution, who), DECIDE_OPENED);
        assert_int_equal(got.given_up, i < DECIDE_INCIDENTS_MAX ? 0 : (uint64_t)(7 + i - DECIDE_INCIDENTS_MAX));
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(who, sizeof who, "ho%d uu%d", DECIDE_INCIDENTS_MAX + 2, i);
        snprintf(rule, sizeof rule, "r%d", i);
        assert_int_equal(tell(2000 + i, rule, DECIDE_HIGH, DECIDE_STAGE_execution, who), DECIDE_JOINED);
    }
    struct decide_incident in;
    assert_int_equal(decide_get(d, got.incident, &in), 0);
    assert_int_equal(in.n, DECIDE_INCIDENT_ENTITIES);
    assert_int_equal(in.signals, 1001);
}

static void tags_and_levels_are_read_in_every_spelling(void **state)
{
    assert_int_equal(decide_stage_of("attack.initial-access"), DECIDE_STAGE_initial_access);
    assert_int_equal(decide_stage_of("attack.initial_access"), DECIDE_STAGE_initial_access);
    assert_int_equal(decide_stage_of("attack.stealth"), DECIDE_STAGE_defense_evasion);
    assert_int_equal(decide_stage_of("attack.t1059"), DECIDE_STAGE_none);
    assert_int_equal(decide_stage_of("cve.2021-44228"), DECIDE_STAGE_none);
    assert_int_equal(decide_level_of("critical"), DECIDE_CRITICAL);
    assert_int_equal(decide_level_of("?"), DECIDE_MEDIUM);
    assert_string_equal(decide_stage_tag(DECIDE_STAGE_impact), "impact");
}

static void a_headline_is_cut_at_a_character(void **state)
{
    struct decide_incident in = { .stage = DECIDE_STAGE_impact };
    char line[12];

    decide_headline(&in, DECIDE_JA, line, sizeof line);
    assert_string_equal(line, "院内の"); /* 11 bytes hold three characters of three */
    in.entity[in.n++] = (struct decide_entity){ .kind = DECIDE_HOST, .text = "pc" };
    decide_headline(&in, DECIDE_JA, line, sizeof line);
    assert_string_equal(line, "pcで、デ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_grave_signal_opens_an_incident_and_its_repeats_are_folded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weak_signals_wait_and_are_adopted_when_they_make_sense_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weak_signals_of_one_moment_or_of_many_days_open_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weak_signals_come_along_and_lead_nowhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_everybody_shares_joins_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_attack_of_a_week_is_one_story_told_three_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_came_in_and_is_on_many_machines_is_telephoned_about, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_incident_is_called_after_what_is_grave_in_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_stories_become_one_when_a_signal_belongs_to_both, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rule_that_both_stories_had_counts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_false_alarm_is_learnt_and_can_be_taken_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_things_join_less_the_weaker_a_signal_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_incident_survives_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flood_stays_within_its_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tags_and_levels_are_read_in_every_spelling, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_headline_is_cut_at_a_character, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
