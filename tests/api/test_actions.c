/* What machines are told to do, by whom, and the evidence they send. */
#include "api_kit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/buf.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "plat/clock.h"

#define CERT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define CERT2 "10112233445566778899aabbccddeeff10112233445566778899aabbccddeeff"
static const struct kit_who machine = { .port = "agent", .cert = CERT }, other = { .port = "agent", .cert = CERT2 };
static char device[33], device2[33];

static struct crypto_sign_pair key;

static int open_box(void **state)
{
    static char pub[65];
    if (crypto_sign_generate(&key) != 0)
        return -1;
    sm_hex(key.public_key, 32, pub);
    kit_sign_pub = pub;
    if (kit_open(state) != 0)
        return -1;
    kit_people(*state);
    kit_device(*state, CERT, device);
    kit_device(*state, CERT2, device2);
    kit_run(*state);
    return 0;
}

static const char *of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static int as(struct kit *k, const char *account, const char *method, const char *path, const char *body)
{
    assert_int_equal(kit_sign_in(k, account, KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    return kit_call(k, &me, method, path, body);
}

static const char *actions_path(void)
{
    static char path[80];
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/actions", device);
    return path;
}

static int act(struct kit *k, const char *account, const char *body)
{
    return as(k, account, "POST", actions_path(), body);
}

/* The order that was signed last, and its id. */
static json_t *order(struct kit *k, char ret_id[65])
{
    for (size_t i = json_array_size(k->asked); i--;) {
        const json_t *a = json_array_get(k->asked, i);
        if (strcmp(of(a, "message"), "K_ORDER_SIGN") != 0)
            continue;
        json_t *o = json_loads(of(json_object_get(a, "body"), "order"), 0, NULL);
        (void)snprintf(ret_id, 65, "%s", of(o, "id"));
        return o;
    }
    fail_msg("no order");
    return NULL;
}

static void ack(struct kit *k, const struct kit_who *who, const char *id, const char *body, int status)
{
    char path[120];
    (void)snprintf(path, sizeof path, "/agent/v1/orders/%s/ack", id);
    assert_int_equal(kit_call(k, who, "POST", path, body), status);
}

/* The newest action, as people see it; the caller's. */
static json_t *newest(struct kit *k)
{
    assert_int_equal(as(k, "vendor", "GET", actions_path(), NULL), 200);
    return json_incref(json_array_get(json_object_get(k->body, "items"), 0));
}

static void is_state(struct kit *k, const char *state)
{
    json_t *row = newest(k);
    assert_string_equal(of(row, "state"), state);
    json_decref(row);
}

/* What the console shows of the machine's network. */
static json_t *isolated(struct kit *k)
{
    char path[80];
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/endpoint", device);
    assert_int_equal(as(k, "manager", "GET", path, NULL), 200);
    return json_object_get(json_object_get(json_object_get(k->body, "state"), "actor"), "isolated");
}

static void do_it(struct kit *k, const char *action)
{
    char id[65];
    assert_int_equal(act(k, "manager", action), 202);
    json_decref(order(k, id));
    ack(k, &machine, id, "{\"state\":\"done\"}", 200);
}

static void a_machine_is_shown_cut_off_once_it_said_so_and_not_with_its_next_poll(void **state)
{
    struct kit *k = *state;
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll",
                         "{\"endpoint\":{\"number\":0,\"sensor\":{\"armed\":true,\"why\":[]},\"actor\":{\"isolated\":null}}}"), 200);
    assert_true(json_is_null(isolated(k)));
    do_it(k, "{\"action\":\"isolate\",\"for_s\":3600}");
    assert_true(json_is_string(json_object_get(isolated(k), "until")));
    do_it(k, "{\"action\":\"release\"}");
    assert_true(json_is_null(isolated(k)));
}

static void an_action_becomes_an_order_and_its_end_is_told_in_words(void **state)
{
    struct kit *k = *state;
    char id[65];
    assert_int_equal(act(k, "manager", "{\"action\":\"isolate\",\"for_s\":3600}"), 202);
    json_t *o = order(k, id);
    assert_string_equal(of(o, "kind"), "act");
    assert_string_equal(of(o, "device"), device);
    assert_string_equal(of(json_object_get(o, "args"), "action"), "isolate");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "args"), "for_s")), 3600);
    json_decref(o);
    is_state(k, "sent");
    ack(k, &other, id, "{\"state\":\"accepted\"}", 404); /* another machine's */
    ack(k, &machine, id, "{\"state\":\"accepted\"}", 200);
    is_state(k, "taken");
    ack(k, &machine, id, "{\"state\":\"done\",\"detail\":\"only the box stays reachable\",\"facts\":{\"until\":\"2026-11-24T00:00:00Z\"}}", 200);
    json_t *row = newest(k);
    assert_string_equal(of(row, "state"), "done");
    assert_string_equal(of(row, "detail"), "箱とだけ通信できます");
    assert_string_equal(of(row, "undo"), "release");
    assert_string_equal(of(row, "by_name"), "manager");
    assert_true(json_is_string(json_object_get(row, "until")));
    json_decref(row);
    ack(k, &machine, id, "{\"state\":\"failed\",\"detail\":\"x\"}", 200); /* over is over */
    is_state(k, "done");
}

static void what_takes_it_back_marks_it_and_time_ends_it(void **state)
{
    struct kit *k = *state;
    char id[65];
    assert_int_equal(act(k, "director", "{\"action\":\"block_address\",\"args\":{\"to\":\"203.0.113.9\"},\"for_s\":600}"), 202);
    json_decref(order(k, id));
    ack(k, &machine, id, "{\"state\":\"done\",\"detail\":\"the destination is blocked\"}", 200);
    kit_clock(k, 601);
    is_state(k, "ended");
    assert_int_equal(act(k, "director", "{\"action\":\"block_address\",\"args\":{\"to\":\"203.0.113.9\"}}"), 202);
    json_decref(order(k, id));
    ack(k, &machine, id, "{\"state\":\"done\"}", 200);
    assert_int_equal(act(k, "director", "{\"action\":\"unblock_address\",\"args\":{\"to\":\"203.0.113.9\"}}"), 202);
    json_decref(order(k, id));
    ack(k, &machine, id, "{\"state\":\"done\"}", 200);
    assert_int_equal(as(k, "manager", "GET", actions_path(), NULL), 200);
    size_t undone = 0, i;
    json_t *row;
    json_array_foreach(json_object_get(k->body, "items"), i, row) undone += !strcmp(of(row, "state"), "undone");
    assert_int_equal(undone, 1);
}

static void a_machine_that_is_off_is_not_waited_for_for_ever(void **state)
{
    struct kit *k = *state;
    assert_int_equal(act(k, "manager", "{\"action\":\"kill\",\"args\":{\"processes\":[{\"pid\":77,\"start\":9}]}}"), 202);
    kit_clock(k, 601);
    json_t *row = newest(k);
    assert_string_equal(of(row, "state"), "failed");
    assert_true(strlen(of(row, "detail")) > 10);
    json_decref(row);
}

static void a_vendor_may_cut_off_and_collect_but_not_kill_or_block(void **state)
{
    struct kit *k = *state;
    assert_int_equal(act(k, "vendor", "{\"action\":\"isolate\"}"), 202);
    assert_int_equal(act(k, "vendor", "{\"action\":\"release\"}"), 202);
    assert_int_equal(act(k, "vendor", "{\"action\":\"evidence\"}"), 202);
    assert_int_equal(act(k, "vendor", "{\"action\":\"scan\"}"), 202);
    assert_int_equal(act(k, "vendor", "{\"action\":\"kill\",\"args\":{\"processes\":[{\"pid\":7,\"start\":9}]}}"), 403);
    assert_int_equal(act(k, "vendor", "{\"action\":\"block_address\",\"args\":{\"to\":\"203.0.113.9\"}}"), 403);
    assert_int_equal(act(k, "vendor", "{\"action\":\"disable_account\",\"args\":{\"account\":\"tanaka\"}}"), 403);
    assert_int_equal(act(k, "staff", "{\"action\":\"isolate\"}"), 403);
}

static void what_is_no_action_is_named(void **state)
{
    static const struct { const char *body, *field; } bad[] = {
        { "{\"action\":\"dance\"}", "action" }, { "{\"action\":\"isolate\",\"for_s\":5}", "for_s" }, { "{\"action\":\"release\",\"for_s\":600}", "for_s" },
        { "{\"action\":\"block_address\",\"args\":{\"to\":\"a b\"}}", "to" }, { "{\"action\":\"block_address\"}", "to" },
        { "{\"action\":\"block_file\",\"args\":{\"sha256\":\"zz\"}}", "sha256" }, { "{\"action\":\"disable_account\",\"args\":{\"account\":\"-x\"}}", "account" },
        { "{\"action\":\"kill\",\"args\":{\"processes\":[{\"pid\":1,\"start\":9}]}}", "processes" }, { "{\"action\":\"kill\"}", "processes" },
        { "{\"action\":\"quarantine\",\"args\":{\"path\":\"etc\"}}", "path" }, { "{\"action\":\"resume\",\"args\":{\"tree\":4}}", "action" },
        { "{\"action\":\"isolate\",\"x\":1}", NULL },
    };
    struct kit *k = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(act(k, "director", bad[i].body), 400);
        if (bad[i].field)
            assert_string_equal(of(json_object_get(k->body, "error"), "field"), bad[i].field);
    }
    assert_int_equal(as(k, "director", "POST", "/api/v1/devices/ffffffffffffffffffffffffffffffff/actions", "{\"action\":\"isolate\"}"), 404);
}

static void a_block_of_too_much_or_of_the_machine_itself_is_refused_in_words(void **state)
{
    static const struct { const char *to, *says; } bad[] = {
        { "0.0.0.0/0", "広すぎ" }, { "::/0", "広すぎ" }, { "128.0.0.0/1", "広すぎ" }, { "2000::/3", "広すぎ" }, { "127.0.0.1", "自分自身" }, { "::1", "自分自身" },
        { "0.0.0.0", "自分自身" },
    };
    struct kit *k = *state;
    char body[200];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)snprintf(body, sizeof body, "{\"action\":\"block_address\",\"args\":{\"to\":\"%s\"}}", bad[i].to);
        assert_int_equal(act(k, "director", body), 400);
        assert_string_equal(of(json_object_get(k->body, "error"), "field"), "to");
        assert_non_null(strstr(of(json_object_get(k->body, "error"), "message"), bad[i].says));
    }
    /* What an older box let through can still be taken back. */
    assert_int_equal(act(k, "director", "{\"action\":\"unblock_address\",\"args\":{\"to\":\"128.0.0.0/1\"}}"), 202);
    assert_int_equal(act(k, "director", "{\"action\":\"block_address\",\"args\":{\"to\":\"10.0.0.0/8\"}}"), 202);
}

static void an_isolation_that_stayed_longer_has_the_end_of_that(void **state)
{
    struct kit *k = *state;
    char id[65];
    assert_int_equal(act(k, "manager", "{\"action\":\"isolate\",\"args\":{\"shorter\":1}}"), 400);
    assert_int_equal(act(k, "manager", "{\"action\":\"isolate\",\"for_s\":60}"), 202);
    json_decref(order(k, id));
    ack(k, &machine, id, "{\"state\":\"done\",\"detail\":\"it is cut off for longer already, and that stays\",\"facts\":{\"kept_s\":3000}}", 200);
    kit_clock(k, 2900);
    is_state(k, "done");
    kit_clock(k, 3001);
    is_state(k, "ended");
}

static void a_decision_about_a_finding_knows_its_tree_and_processes(void **state)
{
    struct kit *k = *state;
    char id[65];
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/findings",
        "{\"finding\":{\"id\":\"0123456789abcdef\",\"rev\":1,\"kind\":\"ransomware\",\"tree\":42,\"at\":\"2026-11-23T05:00:00Z\",\"state\":\"stopped\",\"program\":\"/tmp/x\","
        "\"processes\":[{\"pid\":100,\"start\":5},{\"pid\":101,\"start\":6}]}}"), 200);
    assert_int_equal(as(k, "manager", "POST", "/api/v1/findings/0123456789abcdef/actions", "{\"action\":\"kill\"}"), 202);
    json_t *o = order(k, id), *args = json_object_get(json_object_get(o, "args"), "args");
    assert_int_equal(json_array_size(json_object_get(args, "processes")), 2);
    assert_int_equal(json_integer_value(json_object_get(args, "tree")), 42);
    assert_string_equal(of(json_object_get(o, "args"), "finding"), "0123456789abcdef");
    json_decref(o);
    assert_int_equal(as(k, "manager", "POST", "/api/v1/findings/0123456789abcdef/actions", "{\"action\":\"quarantine\"}"), 202);
    o = order(k, id);
    assert_string_equal(of(json_object_get(json_object_get(o, "args"), "args"), "path"), "/tmp/x");
    json_decref(o);
    assert_int_equal(as(k, "manager", "POST", "/api/v1/findings/0123456789abcdef/actions", "{\"action\":\"isolate\"}"), 400);
    assert_int_equal(as(k, "manager", "POST", "/api/v1/findings/0000000000000000/actions", "{\"action\":\"kill\"}"), 404);
    assert_int_equal(as(k, "vendor", "POST", "/api/v1/findings/0123456789abcdef/actions", "{\"action\":\"kill\"}"), 403);
}

/* ---- evidence ---- */

static int begin(struct kit *k, const struct kit_who *who, const char *id, const char *said_device, struct sm_span bytes)
{
    char statement[600], hex[129], pub[65], sum_hex[65], path[120];
    uint8_t sum[32], sig[64];
    crypto_sha256(bytes, sum);
    sm_hex(sum, 32, sum_hex);
    sm_hex(key.public_key, 32, pub);
    (void)snprintf(statement, sizeof statement,
        "{\"at\":\"2026-11-23T05:00:00Z\",\"bytes\":%zu,\"device\":\"%s\",\"files\":[],\"id\":\"%s\",\"sha256\":\"%s\",\"v\":1}", bytes.n, said_device, id, sum_hex);
    assert_int_equal(crypto_sign_text(&key, "sakimori/v1/evidence", SM_SPAN_STR(statement), sig), 0);
    sm_hex(sig, 64, hex);
    json_t *o = json_pack("{s:s,s:s}", "statement", statement, "sig", hex);
    char *body = json_dumps(o, JSON_COMPACT);
    (void)snprintf(path, sizeof path, "/agent/v1/evidence/%s/begin", id);
    int status = kit_call(k, who, "POST", path, body);
    free(body);
    json_decref(o);
    return status;
}

static int put(struct kit *k, const char *id, uint64_t at, struct sm_span piece)
{
    struct sm_buf b = SM_BUF_INIT(1 << 20);
    char path[120];
    assert_int_equal(sm_buf_put_u64(&b, at), 0);
    assert_int_equal(sm_buf_put_span(&b, piece), 0);
    (void)snprintf(path, sizeof path, "/agent/v1/evidence/%s/put", id);
    kit_body_n = b.n;
    int status = kit_call(k, &machine, "POST", path, sm_buf_str(&b));
    sm_buf_wipe(&b);
    return status;
}

static void ordered_evidence(struct kit *k, char id[65])
{
    assert_int_equal(act(k, "manager", "{\"action\":\"evidence\"}"), 202);
    json_decref(order(k, id));
}

static void evidence_comes_in_pieces_and_is_read_by_chiefs_alone(void **state)
{
    static const uint8_t bytes[] = "a pack\0of evidence";
    const struct sm_span all = SM_SPAN(bytes, sizeof bytes);
    struct kit *k = *state;
    char id[65], path[120];
    ordered_evidence(k, id);
    assert_int_equal(begin(k, &other, id, device2, all), 404);   /* not ordered of that one */
    assert_int_equal(begin(k, &machine, id, device2, all), 400); /* signed, but for another */
    assert_int_equal(begin(k, &machine, id, device, all), 200);
    assert_int_equal(put(k, id, 0, SM_SPAN(bytes, 7)), 200);
    assert_int_equal(json_integer_value(json_object_get(k->body, "have")), 7);
    assert_int_equal(put(k, id, 3, SM_SPAN(bytes + 3, 7)), 200); /* not where it ends: nothing changes */
    assert_int_equal(json_integer_value(json_object_get(k->body, "have")), 7);
    assert_int_equal(begin(k, &machine, id, device, all), 200);  /* a new connection asks */
    assert_int_equal(json_integer_value(json_object_get(k->body, "have")), 7);
    assert_int_equal(put(k, id, 7, SM_SPAN(bytes + 7, sizeof bytes - 7)), 200);
    assert_true(json_is_true(json_object_get(k->body, "done")));
    (void)snprintf(path, sizeof path, "/api/v1/evidence-packs/%s/file?offset=2", id);
    assert_int_equal(as(k, "manager", "GET", path, NULL), 200);
    assert_int_equal(k->raw.n, sizeof bytes - 2);
    assert_memory_equal(k->raw.p, bytes + 2, sizeof bytes - 2);
    assert_int_equal(as(k, "vendor", "GET", path, NULL), 403);
    assert_int_equal(as(k, "staff", "GET", "/api/v1/evidence-packs", NULL), 403);
    assert_int_equal(as(k, "director", "GET", "/api/v1/evidence-packs", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 1);
    json_t *row = newest(k);
    assert_string_equal(of(row, "pack"), id);
    json_decref(row);
    kit_clock(k, 91 * 86400);
    assert_int_equal(as(k, "director", "GET", "/api/v1/evidence-packs", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 0);
}

static void evidence_that_is_not_what_was_signed_is_not_kept(void **state)
{
    struct kit *k = *state;
    char id[65];
    ordered_evidence(k, id);
    assert_int_equal(begin(k, &machine, id, device, SM_SPAN("abcdef", 6)), 200);
    assert_int_equal(put(k, id, 0, SM_SPAN("abcdeX", 6)), 422);
    assert_int_equal(put(k, id, 0, SM_SPAN("abcdef", 6)), 404);
    ordered_evidence(k, id);
    struct crypto_sign_pair mine = key;
    assert_int_equal(crypto_sign_generate(&key), 0);
    assert_int_equal(begin(k, &machine, id, device, SM_SPAN("abcdef", 6)), 403);
    key = mine;
    assert_int_equal(begin(k, &machine, id, device, SM_SPAN("abcdef", 6)), 200);
    assert_int_equal(put(k, id, 0, SM_SPAN("abcdefg", 7)), 200); /* more than was stated: nothing is taken */
    assert_int_equal(json_integer_value(json_object_get(k->body, "have")), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_box, kit_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_action_becomes_an_order_and_its_end_is_told_in_words),
        T(a_machine_is_shown_cut_off_once_it_said_so_and_not_with_its_next_poll),
        T(what_takes_it_back_marks_it_and_time_ends_it),
        T(a_machine_that_is_off_is_not_waited_for_for_ever),
        T(a_vendor_may_cut_off_and_collect_but_not_kill_or_block),
        T(what_is_no_action_is_named),
        T(an_isolation_that_stayed_longer_has_the_end_of_that),
        T(a_block_of_too_much_or_of_the_machine_itself_is_refused_in_words),
        T(a_decision_about_a_finding_knows_its_tree_and_processes),
        T(evidence_comes_in_pieces_and_is_read_by_chiefs_alone),
        T(evidence_that_is_not_what_was_signed_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
