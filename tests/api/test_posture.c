/* Posture: points of a machine from facts, what is not known counts for nothing, and the route in both languages. */
#include "api_kit.h"
#include <stdio.h>
#include "api/internal.h"
#include "api/posture.h"

#define NOW INT64_C(1795000000) /* 2026-11-18 */
#define CERT "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"

static struct posture_facts good(void)
{
    return (struct posture_facts){ .now = NOW, .seen_s = NOW - 5, .there = true, .cover = 'o', .definitions_s = NOW - 3600, .backup_s = NOW - 7200, .sources = 2,
        .decoys = 2, .media = "read_only", .media_held = true, .logs = 1, .os = "Debian GNU/Linux 13 (trixie)" };
}

static struct posture judge(const struct posture_facts *f)
{
    struct posture p;
    posture_judge(f, &p);
    return p;
}

static void a_machine_with_everything_has_all_points_and_nothing_to_do(void **state)
{
    (void)state;
    struct posture_facts f = good();
    struct posture p = judge(&f);
    assert_int_equal(p.score, 100);
    assert_int_equal(p.unknown, 0);
    assert_int_equal(p.next, -1);
    assert_int_equal(p.guard, POSTURE_GUARDED);
    unsigned of = 0;
    for (size_t i = 0; i < POSTURE_FACTS; i++)
        of += p.rows[i].of;
    assert_int_equal(of, 100);
}

static void what_is_not_known_counts_for_nothing_and_is_said_so(void **state)
{
    (void)state;
    struct posture_facts f = good();
    f.definitions_s = f.decoys = f.logs = POSTURE_NOT_KNOWN;
    f.os = "Plan 9";
    f.remote = POSTURE_REMOTE_UNKNOWN;
    f.media_held = false;
    struct posture p = judge(&f);
    assert_int_equal(p.unknown, 6);
    assert_int_equal(p.score, 60);
    for (size_t i = 0; i < POSTURE_FACTS; i++)
        assert_true(p.rows[i].state != POSTURE_UNKNOWN || p.rows[i].points == 0);
}

static void a_machine_that_is_silent_is_not_said_to_be_watched(void **state)
{
    (void)state;
    struct posture_facts f = good();
    f.there = false;
    f.seen_s = NOW - 3 * 86400 - 10;
    struct posture p = judge(&f);
    assert_int_equal(p.rows[POSTURE_PROTECTION].state, POSTURE_UNKNOWN);
    assert_int_equal(p.rows[POSTURE_AGENT].state, POSTURE_BAD);
    assert_string_equal(p.rows[POSTURE_AGENT].args[0], "3");
    assert_int_equal(p.guard, POSTURE_LOOK);
}

static void sensors_that_are_off_are_the_first_thing_to_do(void **state)
{
    (void)state;
    struct posture_facts f = good();
    f.cover = 'f';
    f.media = "allow";
    struct posture p = judge(&f);
    assert_int_equal(p.guard, POSTURE_STOPPED);
    assert_int_equal(p.next, POSTURE_PROTECTION);
    assert_int_equal(p.score, 100 - 25 - 3); /* half of 5 is 2 */
    assert_int_equal(p.rows[POSTURE_PROTECTION].text, T_POSTURE_PROTECTION_OFF);
    f.by_policy = true; /* nothing failed: people set it so, and can set it otherwise */
    p = judge(&f);
    assert_int_equal(p.guard, POSTURE_STOPPED);
    assert_int_equal(p.rows[POSTURE_PROTECTION].text, T_POSTURE_PROTECTION_POLICY);
    f.by_policy = false;
    f.cover = 'n';
    p = judge(&f);
    assert_int_equal(p.guard, POSTURE_NONE);
}

static void a_machine_without_a_folder_to_protect_has_not_failed(void **state)
{
    (void)state;
    struct posture_facts f = good();
    f.cover = 'e';
    struct posture p = judge(&f);
    assert_int_equal(p.guard, POSTURE_LOOK);
    assert_int_equal(p.why, T_POSTURE_PROTECTION_EMPTY);
    assert_int_equal(p.rows[POSTURE_PROTECTION].todo, T_POSTURE_PROTECTION_EMPTY_DO);
    f.cover = 's';
    p = judge(&f);
    assert_int_equal(p.guard, POSTURE_LOOK);
    assert_int_equal(p.rows[POSTURE_PROTECTION].state, POSTURE_UNKNOWN);
    assert_int_equal(p.rows[POSTURE_PROTECTION].todo, TEXT_KEYS);
}

static void a_program_that_waits_for_a_decision_asks_to_be_looked_at(void **state)
{
    (void)state;
    struct posture_facts f = good();
    f.open = 2;
    struct posture p = judge(&f);
    assert_int_equal(p.guard, POSTURE_LOOK);
    assert_string_equal(p.why_arg, "2");
    f.open = 0;
    f.isolated = true;
    assert_int_equal(judge(&f).guard, POSTURE_LOOK);
}

static void old_things_lose_points_by_their_age(void **state)
{
    (void)state;
    struct posture_facts f = good();
    f.definitions_s = NOW - 5 * 86400;
    assert_int_equal(judge(&f).rows[POSTURE_DEFINITIONS].state, POSTURE_PART);
    f.definitions_s = NOW - 16 * 86400;
    struct posture p = judge(&f);
    assert_int_equal(p.rows[POSTURE_DEFINITIONS].state, POSTURE_BAD);
    assert_string_equal(p.rows[POSTURE_DEFINITIONS].args[0], "16");
    assert_int_equal(p.guard, POSTURE_LOOK);
    f = good();
    f.late = true;
    assert_int_equal(judge(&f).rows[POSTURE_BACKUP].state, POSTURE_PART);
    f.backup_s = NOW - 9 * 86400;
    assert_int_equal(judge(&f).rows[POSTURE_BACKUP].state, POSTURE_BAD);
    f.sources = 0;
    assert_int_equal(judge(&f).rows[POSTURE_BACKUP].text, T_POSTURE_BACKUP_NONE);
}

static void a_system_is_known_by_its_name_and_whole_version(void **state)
{
    (void)state;
    assert_int_equal(posture_system_until("Debian GNU/Linux 12 (bookworm)"), 1845936000);
    assert_true(posture_system_until("Ubuntu 22.04.5 LTS") > NOW);
    assert_true(posture_system_until("Ubuntu 18.04 LTS") < NOW);
    assert_true(posture_system_until("CentOS Linux 7 (Core)") < NOW);
    assert_true(posture_system_until("AlmaLinux 9.8 (Moss Jungle Cat)") > posture_system_until("AlmaLinux 8.9"));
    assert_int_equal(posture_system_until("Debian GNU/Linux 112"), 0);
    assert_int_equal(posture_system_until(""), 0);
    struct posture_facts f = good();
    f.os = "Debian GNU/Linux 11 (bullseye)";
    assert_int_equal(judge(&f).rows[POSTURE_SYSTEM].state, POSTURE_BAD);
    f.os = "とても長い名前のシステムとても長い名前のシステム"; /* cut between characters */
    struct posture p = judge(&f);
    assert_true(sm_utf8_valid(SM_SPAN_STR(p.rows[POSTURE_SYSTEM].args[0])));
}

static void every_door_has_its_name_and_remote_desktop_is_worse_than_ssh(void **state)
{
    (void)state;
    struct posture_facts f = good();
    f.remote = POSTURE_SSH;
    assert_int_equal(judge(&f).rows[POSTURE_REMOTE].state, POSTURE_PART);
    f.remote = POSTURE_SSH | POSTURE_RDP | POSTURE_SMB | POSTURE_VNC | POSTURE_TELNET;
    struct posture p = judge(&f);
    assert_int_equal(p.rows[POSTURE_REMOTE].state, POSTURE_BAD);
    assert_string_equal(p.rows[POSTURE_REMOTE].args[0], "RDP, VNC, telnet, SSH, SMB");
}

static const json_t *fact(const json_t *body, const char *id)
{
    json_t *v;
    size_t i;
    json_array_foreach(json_object_get(body, "facts"), i, v)
        if (!strcmp(api_str(v, "id"), id))
            return v;
    return NULL;
}

static void the_route_judges_what_the_machine_told_and_speaks_both_languages(void **state)
{
    static const struct kit_who machine = { .port = "agent", .cert = CERT };
    struct kit *k = *state;
    char device[33], path[100];
    kit_people(k);
    kit_device(k, CERT, device);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/posture", device);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(api_str(k->body, "state"), "none");
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll",
                         "{\"endpoint\":{\"number\":0,\"sensor\":{\"armed\":true,\"why\":[]},\"scan\":{\"definitions\":null},\"inspect\":{\"listening\":[22,445]}}}"), 200);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(api_str(fact(k->body, "protection"), "state"), "good");
    assert_string_equal(api_str(fact(k->body, "definitions"), "state"), "bad");
    assert_string_equal(api_str(fact(k->body, "backup"), "state"), "bad");
    assert_non_null(strstr(api_str(fact(k->body, "remote"), "text"), "SSH, SMB"));
    assert_string_equal(api_str(k->body, "state"), "look"); /* no definitions */
    assert_non_null(strstr(api_str(k->body, "why"), "検査が入っていません"));
    assert_string_equal(api_str(json_object_get(k->body, "next"), "id"), "backup");
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/posture", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 1);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/session", NULL), 200);
    bool room = false;
    json_t *v;
    size_t i;
    json_array_foreach(json_object_get(k->body, "rooms"), i, v)
        room |= !strcmp(json_string_value(v), "endpoint");
    assert_true(room);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/devices/00000000000000000000000000000000/posture", NULL), 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_with_everything_has_all_points_and_nothing_to_do),
        cmocka_unit_test(what_is_not_known_counts_for_nothing_and_is_said_so),
        cmocka_unit_test(a_machine_that_is_silent_is_not_said_to_be_watched),
        cmocka_unit_test(sensors_that_are_off_are_the_first_thing_to_do),
        cmocka_unit_test(a_machine_without_a_folder_to_protect_has_not_failed),
        cmocka_unit_test(a_program_that_waits_for_a_decision_asks_to_be_looked_at),
        cmocka_unit_test(old_things_lose_points_by_their_age),
        cmocka_unit_test(a_system_is_known_by_its_name_and_whole_version),
        cmocka_unit_test(every_door_has_its_name_and_remote_desktop_is_worse_than_ssh),
        cmocka_unit_test_setup_teardown(the_route_judges_what_the_machine_told_and_speaks_both_languages, kit_open, kit_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
