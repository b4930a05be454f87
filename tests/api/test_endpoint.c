/* The endpoint of machines: policies that are checked, signed and sent until they hold; findings that are kept once. */
#include "api_kit.h"
#include <stdio.h>
#include "api/endpoint.h"

#define CERT "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"
#define CERT2 "bbbbbbabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"
#define WATCHED "\"endpoint\":{\"number\":%lld,\"sensor\":{\"armed\":true,\"why\":[]}}"

static const struct kit_who machine = { .port = "agent", .cert = CERT };
static const struct kit_who other = { .port = "agent", .cert = CERT2 };

static struct kit_who boss(struct kit *k)
{
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    return kit_me(k);
}

static void machine_there(struct kit *k, char device[33])
{
    kit_people(k);
    kit_device(k, CERT, device);
}

static int poll(struct kit *k, long long number)
{
    char body[200];
    (void)snprintf(body, sizeof body, "{" WATCHED "}", number);
    int r = kit_call(k, &machine, "POST", "/agent/v1/poll", body);
    return r;
}

/* The order of the answer, decoded; NULL: none.  The caller's. */
static json_t *order_of(struct kit *k)
{
    const char *b64 = json_string_value(json_object_get(json_array_get(json_object_get(k->body, "orders"), 0), "order"));
    struct sm_buf text = SM_BUF_INIT(1 << 17);
    json_t *o = NULL;
    if (b64 && sm_unbase64(SM_SPAN_STR(b64), &text) == 0)
        assert_int_equal(sm_json_parse(sm_buf_span(&text), 1 << 17, &o, NULL), 0);
    sm_buf_wipe(&text);
    return o;
}

static void a_setting_that_is_none_is_refused_by_its_name(void **state)
{
    static const char *const wrong[][2] = {
        { "{}", "policy" },
        { "{\"policy\":1}", "policy" },
        { "{\"policy\":{\"ransom\":{\"mode\":\"ask\"}}}", "ransom.mode" },
        { "{\"policy\":{\"ransom\":{\"mood\":\"stop\"}}}", "ransom.mood" },
        { "{\"policy\":{\"ransom\":7}}", "ransom" },
        { "{\"policy\":{\"other\":7}}", "other" },
        { "{\"policy\":{\"protect\":[]}}", "protect" },
        { "{\"policy\":{\"protect\":[\"srv\"]}}", "protect" },
        { "{\"policy\":{\"exclude\":[\"/srv/../etc\"]}}", "exclude" },
        { "{\"policy\":{\"ransom\":{\"sensitivity\":3}}}", "ransom.sensitivity" },
        { "{\"policy\":{\"scan\":{\"schedule\":{\"weekday\":8,\"hour\":1}}}}", "scan.schedule" },
        { "{\"policy\":{\"block\":{\"files\":[\"abc\"]}}}", "block.files" },
        { "{\"policy\":{\"block\":{\"to\":[\"300.1.1.1\"]}}}", "block.to" },
        { "{\"policy\":{\"block\":{\"to\":[\"10.0.0.0/33\"]}}}", "block.to" },
        { "{\"policy\":{\"block\":{\"to\":[\"ex ample.jp\"]}}}", "block.to" },
        { "{\"policy\":{\"block\":{\"to\":[\"128.0.0.0/1\"]}}}", "block.to" },
        { "{\"policy\":{\"block\":{\"to\":[\"127.0.0.1\"]}}}", "block.to" },
        { "{\"policy\":{\"isolate\":{\"by_rule\":\"yes\"}}}", "isolate.by_rule" },
    };
    struct kit *k = *state;
    char device[33], path[100];
    machine_there(k, device);
    struct kit_who me = boss(k);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/endpoint/policy", device);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(kit_call(k, &me, "PUT", i % 2 ? path : "/api/v1/endpoint/policy", wrong[i][0]), 400);
        assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "error"), "field")), wrong[i][1]);
    }
}

static void settings_of_a_machine_come_before_the_institutions_and_these_before_the_standard(void **state)
{
    struct kit *k = *state;
    char device[33], path[100];
    machine_there(k, device);
    struct kit_who me = boss(k);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/endpoint/policy", device);
    assert_int_equal(kit_call(k, &me, "PUT", "/api/v1/endpoint/policy",
                         "{\"policy\":{\"ransom\":{\"mode\":\"kill\",\"sensitivity\":2},\"block\":{\"to\":[\"192.0.2.0/24\",\"bad.example\",\"2001:db8::1\"]}}}"),
        200);
    assert_int_equal(kit_call(k, &me, "PUT", path, "{\"policy\":{\"ransom\":{\"mode\":\"watch\"}}}"), 200);
    const json_t *p = json_object_get(k->body, "policy");
    assert_string_equal(api_str(json_object_get(p, "ransom"), "mode"), "watch");
    assert_int_equal(api_int(json_object_get(p, "ransom"), "sensitivity", 9), 2);
    assert_true(api_bool(json_object_get(p, "ransom"), "give_back"));
    assert_int_equal(json_array_size(json_object_get(json_object_get(p, "block"), "to")), 3);
    assert_string_equal(api_str(json_object_get(json_object_get(k->body, "institution"), "ransom"), "mode"), "kill");
    assert_string_equal(kit_str(k, "state"), "none");
    assert_int_equal(kit_call(k, &me, "PUT", path, "{\"policy\":null}"), 200);
    assert_string_equal(api_str(json_object_get(json_object_get(k->body, "policy"), "ransom"), "mode"), "kill");
    assert_true(json_is_null(json_object_get(k->body, "own")));
}

static void a_policy_is_sent_until_the_machine_says_its_number(void **state)
{
    struct kit *k = *state;
    char device[33], path[100];
    machine_there(k, device);
    struct kit_who me = boss(k);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/endpoint/policy", device);
    assert_int_equal(poll(k, 0), 200);
    assert_null(order_of(k)); /* the standard holds there by itself */
    assert_int_equal(kit_call(k, &me, "PUT", "/api/v1/endpoint/policy", "{\"policy\":{\"ransom\":{\"mode\":\"kill\"}}}"), 200);
    assert_int_equal(poll(k, 0), 200);
    json_t *o = order_of(k);
    assert_string_equal(api_str(o, "kind"), "endpoint");
    long long number = (long long)api_int(json_object_get(o, "args"), "number", 0);
    assert_true(number > 0);
    assert_string_equal(api_str(json_object_get(json_object_get(json_object_get(o, "args"), "policy"), "ransom"), "mode"), "kill");
    json_decref(o);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "state"), "on_its_way");
    unsigned asked = kit_asked(k, "K_ORDER_SIGN");
    assert_int_equal(poll(k, 0), 200);
    assert_int_equal(kit_asked(k, "K_ORDER_SIGN"), asked); /* not at every poll */
    kit_clock(k, 61);
    assert_int_equal(poll(k, 0), 200);
    assert_int_equal(kit_asked(k, "K_ORDER_SIGN"), asked + 1);
    kit_clock(k, 61);
    assert_int_equal(poll(k, number), 200);
    assert_int_equal(kit_asked(k, "K_ORDER_SIGN"), asked + 1);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "state"), "holds");
    assert_int_equal(api_int(k->body, "number", 0), number);
    /* A machine that knows more than this box: it was put back from a copy. */
    assert_int_equal(poll(k, number + 1000), 200);
    assert_int_equal(kit_asked(k, "K_ORDER_SIGN"), asked + 2);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_true(api_int(k->body, "number", 0) > number + 1000);
    /* One that says what no box ever gave it: with that believed, no policy would ever reach it again. */
    long long now = (long long)api_int(k->body, "number", 0);
    assert_int_equal(poll(k, 9223372036854775806), 200);
    assert_int_equal(poll(k, 9223372036854775807), 200);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_int_equal(api_int(k->body, "number", 0), now);
}

static void a_policy_that_a_machine_refuses_is_said(void **state)
{
    struct kit *k = *state;
    char device[33], path[100];
    machine_there(k, device);
    struct kit_who me = boss(k);
    assert_int_equal(poll(k, 0), 200);
    assert_int_equal(kit_call(k, &me, "PUT", "/api/v1/endpoint/policy", "{\"policy\":{\"ransom\":{\"mode\":\"kill\"}}}"), 200);
    assert_int_equal(poll(k, 0), 200);
    json_t *o = order_of(k);
    (void)snprintf(path, sizeof path, "/agent/v1/orders/%s/ack", api_str(o, "id"));
    json_decref(o);
    assert_int_equal(kit_call(k, &machine, "POST", path, "{\"state\":\"refused\",\"detail\":\"field \\\"x\\\"\"}"), 200);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/endpoint/policy", device);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "state"), "refused");
    assert_string_equal(kit_str(k, "detail"), "field \"x\"");
}

static void what_lacks_on_a_machine_is_said_with_its_beginning(void **state)
{
    struct kit *k = *state;
    char device[33], path[100];
    machine_there(k, device);
    struct kit_who me = boss(k);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/endpoint", device);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "cover"), "none");
    assert_int_equal(poll(k, 0), 200);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "cover"), "on");
    assert_true(json_is_null(json_object_get(k->body, "since")));
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll",
                         "{\"endpoint\":{\"number\":0,\"sensor\":{\"armed\":true,\"why\":[\"no bpf\"]}}}"),
        200);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "cover"), "part");
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{\"endpoint\":{\"number\":0,\"sensor\":{\"armed\":false,\"waits\":\"folders\",\"why\":[]}}}"), 200);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "cover"), "empty");
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{\"endpoint\":{\"number\":0,\"sensor\":{\"armed\":false,\"waits\":null,\"why\":[]}}}"), 200);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "cover"), "off");
    char since[40];
    (void)snprintf(since, sizeof since, "%s", kit_str(k, "since"));
    assert_int_equal(strlen(since), 20);
    kit_clock(k, 100);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200); /* switched off */
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "cover"), "none");
    assert_string_equal(kit_str(k, "since"), since);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/devices", NULL), 200);
    assert_string_equal(api_str(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "endpoint"), "cover"), "none");
    assert_int_equal(poll(k, 0), 200);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_true(json_is_null(json_object_get(k->body, "since")));
}

static int find(struct kit *k, const struct kit_who *who, const char *id, int rev, const char *more)
{
    char body[600];
    (void)snprintf(body, sizeof body, "{\"finding\":{\"id\":\"%s\",\"rev\":%d,\"kind\":\"ransomware\",\"at\":\"2026-11-23T05:00:00.250Z\"%s}}", id, rev, more);
    return kit_call(k, who, "POST", "/agent/v1/findings", body);
}

static void a_finding_is_kept_once_and_a_newer_telling_takes_its_place(void **state)
{
    struct kit *k = *state;
    char device[33], path[100];
    machine_there(k, device);
    struct kit_who me = boss(k);
    assert_int_equal(find(k, &machine, "00112233445566aa", 2, ",\"state\":\"stopped\",\"score\":70,\"program\":\"/tmp/x\",\"files\":{\"touched\":4},"
        "\"paths\":[{\"path\":\"L3Nydi9h\",\"how\":\"changed\"}]"), 200);
    assert_int_equal(find(k, &machine, "00112233445566aa", 1, ",\"state\":\"seen\""), 200);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/findings/00112233445566aa", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "stopped");
    assert_string_equal(kit_str(k, "program"), "/tmp/x");
    assert_int_equal(api_int(json_object_get(k->body, "files"), "touched", 0), 4);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/findings", NULL), 200);
    assert_string_equal(api_str(json_array_get(json_object_get(k->body, "items"), 0), "path"), "L3Nydi9h");
    assert_int_equal(find(k, &machine, "00112233445566aa", 3, ",\"state\":\"killed\",\"acts\":[{\"at\":\"x\",\"action\":\"kill\"}]"), 200);
    (void)snprintf(path, sizeof path, "/api/v1/findings?device=%s&open=1", device);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    const json_t *items = json_object_get(k->body, "items");
    assert_int_equal(json_array_size(items), 1);
    assert_string_equal(api_str(json_array_get(items, 0), "state"), "killed");
    assert_null(json_object_get(json_array_get(items, 0), "acts"));
    assert_int_equal(find(k, &machine, "00112233445566aa", 4, ",\"state\":\"ended\""), 200);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 0);
}

static void one_machine_cannot_write_into_another_ones_finding(void **state)
{
    struct kit *k = *state;
    char device[33];
    machine_there(k, device);
    kit_device(k, CERT2, device);
    struct kit_who me = boss(k);
    assert_int_equal(find(k, &machine, "00112233445566aa", 1, ",\"state\":\"stopped\""), 200);
    assert_int_equal(find(k, &other, "00112233445566aa", 9, ",\"state\":\"ended\""), 409);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/findings/00112233445566aa", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "stopped");
}

static void a_finding_that_is_none_is_refused_by_its_field(void **state)
{
    struct kit *k = *state;
    char device[33];
    static const char *const wrong[][2] = { { ",\"state\":\"gone\"", "state" }, { ",\"state\":\"seen\",\"paths\":[{\"a\":{\"b\":1}}]", "paths" },
        { ",\"state\":\"seen\",\"score\":\"7\"", "score" }, { ",\"state\":\"seen\",\"files\":[1]", "files" } };
    machine_there(k, device);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(find(k, &machine, "00112233445566aa", 1, wrong[i][0]), 400);
        assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "error"), "field")), wrong[i][1]);
    }
    assert_int_equal(find(k, &machine, "0011", 1, ",\"state\":\"seen\""), 400);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/findings", "{}"), 400);
}

#define T(name) cmocka_unit_test_setup_teardown(name, kit_open, kit_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_setting_that_is_none_is_refused_by_its_name),
        T(settings_of_a_machine_come_before_the_institutions_and_these_before_the_standard),
        T(a_policy_is_sent_until_the_machine_says_its_number),
        T(a_policy_that_a_machine_refuses_is_said),
        T(what_lacks_on_a_machine_is_said_with_its_beginning),
        T(a_finding_is_kept_once_and_a_newer_telling_takes_its_place),
        T(one_machine_cannot_write_into_another_ones_finding),
        T(a_finding_that_is_none_is_refused_by_its_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
