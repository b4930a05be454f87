/* Another box: let in by a code, once; what it is not; what a person sees and stops. */
#include "api_kit.h"
#include <errno.h>
#include <stdio.h>
#include "api/internal.h"
#include "core/buf.h"
#include "plat/clock.h"
#include "state/state.h"

#define DEVICE "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"
#define NEIGHBOUR "fedcbafedcbafedcbafedcbafedcbafedcbafedcbafedcbafedcbafedcbafedc"
#define V16 "a123456789abcdef0123456789abcde5"
#define H32 V16 V16

static const struct kit_who stranger = { .port = "agent" };
static const struct kit_who neighbour = { .port = "agent", .cert = NEIGHBOUR, .cn = "peer-x" };

/* A code as the manager; its secret as hex. */
static void code(struct kit *k, const char *body, char ret_secret[21])
{
    struct sm_buf text = SM_BUF_INIT(128), raw = SM_BUF_INIT(64);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/peers/codes", body), 201);
    const char *p = kit_str(k, "code");
    assert_memory_equal(p, "SKP1-", 5);
    for (p += 5; *p; p++)
        if (*p != '-')
            assert_int_equal(sm_buf_put_u8(&text, (uint8_t)*p), 0);
    assert_int_equal(sm_unbase32(sm_buf_span(&text), &raw), 0);
    assert_int_equal(raw.n, 26);
    sm_hex(raw.p, 10, ret_secret);
    sm_buf_wipe(&text);
    sm_buf_wipe(&raw);
}

static int join(struct kit *k, const char *secret, const char *vault)
{
    char body[1024];
    (void)snprintf(body, sizeof body, "{\"secret\":\"%s\",\"csr\":\"CSR\",\"vault\":\"%s\",\"head_pub\":\"" H32
        "\",\"label\":\"sakimori copy 1\\n\",\"institution\":\"もみじ医院\"}", secret, vault);
    return kit_call(k, &stranger, "POST", "/agent/v1/peer/join", body);
}

static const json_t *asked(const struct kit *k, const char *message)
{
    const json_t *found = NULL, *v;
    size_t i;
    json_array_foreach(k->asked, i, v)
        if (!strcmp(json_string_value(json_object_get(v, "message")), message))
            found = json_object_get(v, "body");
    return found;
}

static void a_code_lets_one_box_in_once(void **state)
{
    struct kit *k = *state;
    char secret[21];
    kit_people(k);
    code(k, "{\"name\":\"となり\",\"quota_gib\":500}", secret);
    assert_int_equal(join(k, "00000000000000000000", V16), 403);
    assert_int_equal(join(k, secret, V16), 200);
    assert_string_equal(kit_str(k, "cert_pem"), "PEM");
    assert_int_equal(strlen(kit_str(k, "peer")), 32);
    /* The certificate's name says what it is; the vault process pins vault and head key. */
    const char *cn = json_string_value(json_object_get(asked(k, "K_CERT_DEVICE"), "device"));
    assert_memory_equal(cn, "peer-", 5);
    const json_t *peer = json_object_get(asked(k, "V_PEER"), "peer");
    assert_string_equal(json_string_value(json_object_get(peer, "vault")), V16);
    assert_string_equal(json_string_value(json_object_get(peer, "head_pub")), H32);
    assert_int_equal(json_integer_value(json_object_get(peer, "quota")), (json_int_t)500 << 30);
    assert_int_equal(join(k, secret, "ff23456789abcdef0123456789abcdef"), 403);
    /* It is no machine: none was added. */
    assert_int_equal(state_number(k->state, STATE_peers_count, 0, STATE_NONE), 1);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/devices", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 0);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/peers", NULL), 200);
    const json_t *one = json_array_get(json_object_get(k->body, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(one, "name")), "となり");
    assert_string_equal(json_string_value(json_object_get(one, "institution")), "もみじ医院");
    assert_string_equal(json_string_value(json_object_get(one, "state")), "empty");
}

static void a_code_is_over_after_an_hour_and_wrong_ones_wait(void **state)
{
    struct kit *k = *state;
    char secret[21];
    kit_people(k);
    code(k, "{\"name\":\"a\",\"quota_gib\":1}", secret);
    int64_t now = plat_clock_wall().s;
    plat_clock_override((now + 3601) * 1000, (now + 3601) * 1000);
    assert_int_equal(join(k, secret, V16), 403);
    assert_int_equal(join(k, secret, V16), 403);
    assert_int_equal(join(k, secret, V16), 403);
    assert_int_equal(join(k, secret, V16), 429);
    plat_clock_override(0, 0);
}

static void what_fails_on_the_way_leaves_the_code_usable(void **state)
{
    struct kit *k = *state;
    char secret[21];
    kit_people(k);
    code(k, "{\"name\":\"a\",\"quota_gib\":1}", secret);
    json_object_set_new(k->answers, "K_CERT_DEVICE", json_integer(-SM_EPEER));
    assert_int_equal(join(k, secret, V16), 503);
    json_object_del(k->answers, "K_CERT_DEVICE");
    json_object_set_new(k->answers, "V_PEER", json_integer(-SM_EAUTH));
    assert_int_equal(join(k, secret, V16), 422);
    assert_string_equal(kit_code(k), "label");
    assert_int_equal(state_number(k->state, STATE_peers_count, 0, STATE_NONE), 0);
    json_object_del(k->answers, "V_PEER");
    assert_int_equal(join(k, secret, V16), 200);
}

static void a_vault_has_one_copy_here(void **state)
{
    struct kit *k = *state;
    char secret[21], id[33];
    kit_people(k);
    kit_peer(k, NEIGHBOUR, id);
    code(k, "{\"name\":\"a\",\"quota_gib\":1}", secret);
    assert_int_equal(join(k, secret, "00112233445566778899aabbccddeeff"), 409);
    assert_string_equal(kit_code(k), "known");
    assert_int_equal(join(k, secret, V16), 200); /* the code was not used up by that */
}

static void a_box_that_was_made_anew_gets_a_new_certificate(void **state)
{
    struct kit *k = *state;
    char secret[21], id[33], body[80];
    kit_people(k);
    kit_peer(k, NEIGHBOUR, id);
    assert_int_equal(kit_call(k, &neighbour, "GET", "/agent/v1/peer", NULL), 200);
    (void)snprintf(body, sizeof body, "{\"peer\":\"%s\"}", id);
    code(k, body, secret);
    (void)snprintf(body, sizeof body, "{\"secret\":\"%s\",\"csr\":\"CSR\"}", secret);
    assert_int_equal(kit_call(k, &stranger, "POST", "/agent/v1/peer/join", body), 200);
    assert_string_equal(kit_str(k, "peer"), id);
    assert_string_equal(kit_str(k, "vault"), "00112233445566778899aabbccddeeff");
    assert_int_equal(kit_call(k, &neighbour, "GET", "/agent/v1/peer", NULL), 401); /* the one before is nobody's */
}

static void a_machine_is_no_box_and_a_box_no_machine(void **state)
{
    struct kit *k = *state;
    char id[33];
    kit_people(k);
    kit_device(k, DEVICE, id);
    kit_peer(k, NEIGHBOUR, id);
    /* The name in the certificate and the table that knows it must say the same. */
    const struct kit_who odd[] = { { .port = "agent", .cert = DEVICE, .cn = "peer-abcdef" },
        { .port = "agent", .cert = NEIGHBOUR, .cn = "fedcba" }, { .port = "agent", .cert = NEIGHBOUR, .cn = "" } };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        assert_int_equal(kit_call(k, &odd[i], "GET", "/agent/v1/peer", NULL), 401);
        assert_int_equal(kit_call(k, &odd[i], "POST", "/agent/v1/poll", "{}"), 401);
    }
    const struct kit_who device = { .port = "agent", .cert = DEVICE, .cn = "abcdef" };
    assert_int_equal(kit_call(k, &device, "GET", "/agent/v1/peer", NULL), 403);
    assert_int_equal(kit_call(k, &neighbour, "POST", "/agent/v1/poll", "{}"), 403);
    assert_int_equal(kit_call(k, &neighbour, "POST", "/agent/v1/sessions", "{}"), 403);
    const struct kit_who console = { .cert = NEIGHBOUR, .cn = "peer-x" };
    assert_int_equal(kit_call(k, &console, "GET", "/agent/v1/peer", NULL), 404);
}

static void one_that_is_stopped_gets_no_further(void **state)
{
    struct kit *k = *state;
    char id[33], path[80];
    kit_people(k);
    kit_peer(k, NEIGHBOUR, id);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    (void)snprintf(path, sizeof path, "/api/v1/peers/%s", id);
    assert_int_equal(kit_call(k, &me, "PATCH", path, "{\"accepting\":false}"), 200);
    assert_string_equal(json_string_value(json_object_get(asked(k, "V_PEER"), "record")), "stopped");
    assert_int_equal(kit_call(k, &neighbour, "GET", "/agent/v1/peer", NULL), 401);
    assert_int_equal(kit_call(k, &me, "PATCH", path, "{\"accepting\":true,\"quota_gib\":7,\"name\":\"新\"}"), 200);
    assert_int_equal(json_integer_value(json_object_get(k->body, "quota")), (json_int_t)7 << 30);
    assert_string_equal(kit_str(k, "name"), "新");
    assert_int_equal(kit_call(k, &neighbour, "GET", "/agent/v1/peer", NULL), 200);
    assert_int_equal(kit_call(k, &me, "PATCH", path, "{\"quota_gib\":0}"), 400);
    assert_int_equal(kit_call(k, &me, "PATCH", path, "{\"vault\":\"x\"}"), 400);
}

static bool alarm(struct kit *k, const char *kind)
{
    bool found = false;
    size_t i;
    json_t *v;
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms?open=1", NULL), 200);
    json_array_foreach(json_object_get(k->body, "items"), i, v)
        found |= !strcmp(json_string_value(json_object_get(v, "kind")), kind) &&
            strstr(json_string_value(json_object_get(v, "title")), "となりの医院") != NULL;
    return found;
}

static void what_the_vault_refuses_is_said_and_raises_an_alarm(void **state)
{
    struct kit *k = *state;
    char id[33];
    kit_people(k);
    kit_peer(k, NEIGHBOUR, id);
    json_object_set_new(k->answers, "V_PEER_FILE", json_integer(-ENOSPC));
    assert_int_equal(kit_call(k, &neighbour, "PUT", "/agent/v1/peer/format", "x"), 507);
    assert_true(alarm(k, "peer_full"));
    json_object_set_new(k->answers, "V_PEER_FILE", json_integer(-SM_EDENIED));
    assert_int_equal(kit_call(k, &neighbour, "PUT", "/agent/v1/peer/head", "x"), 409);
    assert_string_equal(kit_code(k), "forked");
    assert_false(alarm(k, "peer_forked")); /* the vault says so itself: */
    json_t *e = json_pack("{s:s,s:s,s:s,s:s}", "what", "peer", "peer", id, "event", "forked", "why", "older");
    api_on_vault(k->api, e);
    json_decref(e);
    assert_true(alarm(k, "peer_forked"));
    e = json_pack("{s:s,s:s,s:s,s:{s:i,s:i}}", "what", "peer", "peer", id, "event", "checked", "checked", "at_s", 5,
        "rotten", 2);
    api_on_vault(k->api, e);
    json_decref(e);
    assert_true(alarm(k, "peer_damage"));
    e = json_pack("{s:s,s:s,s:s,s:{s:i,s:i}}", "what", "peer", "peer", id, "event", "checked", "checked", "at_s", 6,
        "rotten", 0);
    api_on_vault(k->api, e);
    json_decref(e);
    assert_false(alarm(k, "peer_damage"));
}

static int64_t audited(struct kit *k)
{
    json_t *h = state_setting(k->state, "audit_head");
    int64_t n = json_integer_value(json_object_get(h, "n"));
    json_decref(h);
    return n;
}

static void a_box_that_finds_itself_rolled_back_says_so_here(void **state)
{
    struct kit *k = *state;
    char id[33];
    kit_people(k);
    kit_peer(k, NEIGHBOUR, id);
    assert_int_equal(kit_call(k, &neighbour, "POST", "/agent/v1/peer/forked", "{\"why\":\"older\"}"), 200);
    assert_true(alarm(k, "peer_forked"));
    assert_string_equal(json_string_value(json_object_get(asked(k, "V_PEER"), "record")), "refused");
    int64_t lines = audited(k);
    /* As often as it likes: the vault's journal, which cannot shrink, grows by one record until a person has answered. */
    for (int i = 0; i < 20; i++) {
        assert_int_equal(kit_call(k, &neighbour, "POST", "/agent/v1/peer/forked", "{}"), 200);
        assert_null(json_object_get(asked(k, "V_PEER"), "record"));
        assert_int_equal(audited(k), lines); /* nor the audit log */
    }
}

static void a_renewed_certificate_leaves_the_one_it_was_asked_with(void **state)
{
    struct kit *k = *state;
    static const char second[] = "1edcbafedcbafedcbafedcbafedcbafedcbafedcbafedcbafedcbafedcbafedc",
                      third[] = "2edcbafedcbafedcbafedcbafedcbafedcbafedcbafedcbafedcbafedcbafedc";
    const struct kit_who with2 = { .port = "agent", .cert = second, .cn = "peer-x" },
                         with3 = { .port = "agent", .cert = third, .cn = "peer-x" };
    char id[33];
    kit_people(k);
    kit_peer(k, NEIGHBOUR, id);
    json_object_set_new(k->answers, "K_CERT_DEVICE", json_pack("{s:s,s:s,s:I}", "cert_pem", "PEM", "cert_sha256", second,
        "not_after_s", (json_int_t)plat_clock_wall().s + 86400 * 397));
    assert_int_equal(kit_call(k, &neighbour, "POST", "/agent/v1/peer/renew", "{\"csr\":\"CSR\"}"), 200);
    assert_string_equal(kit_str(k, "cert_pem"), "PEM");
    assert_int_equal(json_integer_value(json_object_get(asked(k, "K_CERT_DEVICE"), "days")), 397);
    assert_int_equal(kit_call(k, &with2, "GET", "/agent/v1/peer", NULL), 200);
    assert_int_equal(kit_call(k, &neighbour, "GET", "/agent/v1/peer", NULL), 200); /* the answer may have been lost: */
    json_object_set_new(k->answers, "K_CERT_DEVICE", json_pack("{s:s,s:s,s:I}", "cert_pem", "PEM", "cert_sha256", third,
        "not_after_s", (json_int_t)plat_clock_wall().s + 86400 * 397));
    assert_int_equal(kit_call(k, &neighbour, "POST", "/agent/v1/peer/renew", "{\"csr\":\"CSR\"}"), 200);
    assert_int_equal(kit_call(k, &neighbour, "GET", "/agent/v1/peer", NULL), 200); /* and that again */
    assert_int_equal(kit_call(k, &with3, "GET", "/agent/v1/peer", NULL), 200);
    assert_int_equal(kit_call(k, &with2, "GET", "/agent/v1/peer", NULL), 401); /* nobody had it */
    assert_int_equal(kit_call(k, &neighbour, "POST", "/agent/v1/peer/renew", "{}"), 400);
}

static void after_a_take_over_each_copy_that_was_kept_is_asked_for(void **state)
{
    struct kit *k = *state;
    char id[33], secret[21], body[1024], ask[80];
    kit_people(k);
    kit_peer(k, NEIGHBOUR, id);
    peers_lost(k->api);
    assert_true(alarm(k, "peer_gone"));
    (void)snprintf(ask, sizeof ask, "{\"peer\":\"%s\"}", id);
    code(k, ask, secret);
    (void)snprintf(body, sizeof body, "{\"secret\":\"%s\",\"csr\":\"CSR\",\"label\":\"sakimori copy 1\\n\"}", secret);
    assert_int_equal(kit_call(k, &stranger, "POST", "/agent/v1/peer/join", body), 200);
    assert_string_equal(json_string_value(json_object_get(asked(k, "V_PEER"), "label")), "sakimori copy 1\n");
    assert_false(alarm(k, "peer_gone")); /* let in again: it sends all of it */
    /* A label that does not fit keeps nobody out. */
    code(k, ask, secret);
    (void)snprintf(body, sizeof body, "{\"secret\":\"%s\",\"csr\":\"CSR\",\"label\":\"another\"}", secret);
    json_object_set_new(k->answers, "V_PEER", json_integer(-SM_EMISMATCH));
    assert_int_equal(kit_call(k, &stranger, "POST", "/agent/v1/peer/join", body), 200);
}

static void a_box_has_all_read_again_twice_a_day_at_most(void **state)
{
    struct kit *k = *state;
    char id[33], path[80];
    kit_people(k);
    kit_peer(k, NEIGHBOUR, id);
    int64_t now = plat_clock_wall().s;
    static const struct { int64_t ago; bool may; } rows[] = { { 10, false }, { 11 * 3600, false }, { 13 * 3600, true },
        { -3600, true } };
    assert_int_equal(kit_call(k, &neighbour, "POST", "/agent/v1/peer/check", "{}"), 200);
    assert_true(json_is_true(json_object_get(asked(k, "V_PEER"), "check")));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_object_set_new(k->answers, "V_PEER", json_pack("{s:s,s:{s:I,s:i}}", "peer", id, "checked", "at_s",
            (json_int_t)(now - rows[i].ago), "rotten", 0));
        assert_int_equal(kit_call(k, &neighbour, "GET", "/agent/v1/peer", NULL), 200);
        assert_int_equal(kit_call(k, &neighbour, "POST", "/agent/v1/peer/check", "{}"), 200);
        assert_int_equal(json_is_true(json_object_get(asked(k, "V_PEER"), "check")), rows[i].may);
        assert_non_null(json_object_get(k->body, "checked")); /* in any case: what was found last */
    }
    /* A person may at any time. */
    json_object_set_new(k->answers, "V_PEER", json_pack("{s:s,s:{s:I,s:i}}", "peer", id, "checked", "at_s",
        (json_int_t)now, "rotten", 0));
    assert_int_equal(kit_call(k, &neighbour, "GET", "/agent/v1/peer", NULL), 200);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    (void)snprintf(path, sizeof path, "/api/v1/peers/%s/check", id);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 200);
    assert_true(json_is_true(json_object_get(asked(k, "V_PEER"), "check")));
}

static void the_same_head_again_leaves_no_line(void **state)
{
    struct kit *k = *state;
    char id[33];
    kit_people(k);
    kit_peer(k, NEIGHBOUR, id);
    int64_t n = audited(k);
    json_object_set_new(k->answers, "V_PEER_FILE", json_pack("{s:b}", "moved", 1));
    assert_int_equal(kit_call(k, &neighbour, "PUT", "/agent/v1/peer/head", "x"), 200);
    assert_int_equal(audited(k), n + 1);
    json_object_set_new(k->answers, "V_PEER_FILE", json_pack("{s:b}", "moved", 0));
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(kit_call(k, &neighbour, "PUT", "/agent/v1/peer/head", "x"), 200);
    assert_int_equal(audited(k), n + 1);
    /* Refused: a line until a person was called, none for what is no head at all. */
    json_object_set_new(k->answers, "V_PEER_FILE", json_integer(-SM_EAUTH));
    assert_int_equal(kit_call(k, &neighbour, "PUT", "/agent/v1/peer/head", "x"), 422);
    assert_int_equal(audited(k), n + 1);
    json_object_set_new(k->answers, "V_PEER_FILE", json_integer(-SM_EDENIED));
    assert_int_equal(kit_call(k, &neighbour, "PUT", "/agent/v1/peer/head", "x"), 409);
    assert_int_equal(audited(k), n + 2);
    json_t *e = json_pack("{s:s,s:s,s:s,s:s}", "what", "peer", "peer", id, "event", "forked", "why", "older");
    api_on_vault(k->api, e);
    json_decref(e);
    n = audited(k);
    assert_int_equal(kit_call(k, &neighbour, "PUT", "/agent/v1/peer/head", "x"), 409);
    assert_int_equal(audited(k), n);
}

static void what_is_asked_for_has_bounds(void **state)
{
    static const char *const bad[] = { "GET /agent/v1/peer/file", "GET /agent/v1/peer/file?name=format&offset=0",
        "GET /agent/v1/peer/file?name=format&offset=-1&length=1",
        "GET /agent/v1/peer/file?name=format&offset=0&length=600000",
        "GET /agent/v1/peer/file?name=&offset=0&length=1", "GET /agent/v1/peer/list/packs/zz",
        "GET /agent/v1/peer/list/other/00",
        "GET /agent/v1/peer/list/packs/AB", "PUT /agent/v1/peer/packs/short",
        "GET /agent/v1/peer/packs/" H32 "?length=x",
        "PUT /agent/v1/peer/manifests/short", "PUT /agent/v1/peer/journal/0", "PUT /agent/v1/peer/journal/x",
        "PUT /agent/v1/peer/journal/1" };
    struct kit *k = *state;
    char id[33];
    kit_people(k);
    kit_peer(k, NEIGHBOUR, id);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char method[8];
        size_t n = strcspn(bad[i], " ");
        memcpy(method, bad[i], n);
        method[n] = 0;
        assert_int_equal(kit_call(k, &neighbour, method, strchr(bad[i], ' ') + 1, NULL), 400);
    }
    assert_int_equal(kit_call(k, &neighbour, "GET", "/agent/v1/peer/file?name=format&offset=0&length=524288", NULL),
        200);
    /* Of one box eight questions at a time. */
    for (unsigned i = 0; i < 9; i++)
        kit_begin(k, &neighbour, "GET", "/agent/v1/peer", NULL);
    assert_true(k->answered);
    assert_int_equal(k->status, 429);
    kit_run(k);
}

/* ---- the near side ---- */

static const char good_code[] = "SKP1-AAAA-AAAA-AAAA-AAAA-BBBB-BBBB-BBBB-BBBB-BBBB-BBBB-BA";

static void a_copy_at_another_box_keeps_its_key_with_the_parent_alone(void **state)
{
    struct kit *k = *state;
    char body[400], head[257];
    kit_people(k);
    memset(head, 'a', 256);
    head[256] = 0;
    json_object_set_new(k->answers, "V_HEAD", json_pack("{s:s}", "head", head));
    json_object_set_new(k->answers, "V_COPY_LABEL", json_pack("{s:s}", "label", "sakimori copy 1\n"));
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    (void)snprintf(body, sizeof body, "{\"kind\":\"box\",\"name\":\"となり\",\"place\":\"https://192.0.2.9:8444/\","
        "\"code\":\"%s\"}", good_code);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/copies", body), 201);
    assert_string_equal(kit_str(k, "place"), "https://192.0.2.9:8444");
    assert_true(json_is_true(json_object_get(k->body, "elsewhere")));
    const json_t *a = json_object_get(asked(k, "P_ADDRESS"), "address");
    assert_non_null(strstr(json_string_value(json_object_get(a, "key")), "PRIVATE KEY"));
    assert_string_equal(json_string_value(json_object_get(a, "secret")), "00000000000000000000");
    assert_string_equal(json_string_value(json_object_get(a, "cert")), "");
    assert_string_equal(json_string_value(json_object_get(a, "label")), "sakimori copy 1\n");
    char *text = json_dumps(k->body, 0);
    assert_null(strstr(text, "PRIVATE"));
    free(text);
    /* Let in: the certificate goes to the parent, the secret is forgotten. */
    char id[33];
    (void)snprintf(id, sizeof id, "%s", kit_str(k, "id"));
    kit_clock(k, plat_clock_wall().s + 60);
    json_t *e = json_pack("{s:s,s:s,s:s,s:s}", "what", "joined", "copy", id, "cert", "CERT", "ca", "CA");
    api_on_copier(k->api, e);
    json_decref(e);
    kit_run(k);
    a = json_object_get(asked(k, "P_ADDRESS"), "address");
    assert_string_equal(json_string_value(json_object_get(a, "cert")), "CERT");
    assert_string_equal(json_string_value(json_object_get(a, "secret")), "");
    plat_clock_override(0, 0);
}

static void an_address_or_code_that_is_none_is_said(void **state)
{
    static const char *const places[] = { "http://192.0.2.9:8444", "https://", "https://x", "https://h/a",
        "https://h:1/?x",
        "https://user@h:1", "https://h:1/a/b", "ftp://host:1234" };
    static const char *const codes[] = { "SKJ1-AAAA-AAAA-AAAA-AAAA-BBBB-BBBB-BBBB-BBBB-BBBB-BBBB-BA", "SKP1-AAAA",
        "SKP1-11118888",
        "nothing at all" };
    struct kit *k = *state;
    char body[400];
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    for (size_t i = 0; i < sizeof places / sizeof *places + sizeof codes / sizeof *codes; i++) {
        bool code = i >= sizeof places / sizeof *places;
        (void)snprintf(body, sizeof body, "{\"kind\":\"box\",\"name\":\"n\",\"place\":\"%s\",\"code\":\"%s\"}",
            code ? "https://host:8444" : places[i], code ? codes[i - sizeof places / sizeof *places] : good_code);
        assert_int_equal(kit_call(k, &me, "POST", "/api/v1/copies", body), 400);
        assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "error"), "field")),
            code ? "code" : "place");
        assert_non_null(strstr(json_string_value(json_object_get(json_object_get(k->body, "error"), "message")),
            code ? "SKP1-" : "https://"));
    }
    assert_int_equal(kit_asked(k, "P_ADDRESS"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_code_lets_one_box_in_once, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(a_code_is_over_after_an_hour_and_wrong_ones_wait, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(what_fails_on_the_way_leaves_the_code_usable, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(a_vault_has_one_copy_here, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(a_box_that_was_made_anew_gets_a_new_certificate, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(a_machine_is_no_box_and_a_box_no_machine, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(one_that_is_stopped_gets_no_further, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(what_the_vault_refuses_is_said_and_raises_an_alarm, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(a_box_that_finds_itself_rolled_back_says_so_here, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(a_box_has_all_read_again_twice_a_day_at_most, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(after_a_take_over_each_copy_that_was_kept_is_asked_for, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(a_renewed_certificate_leaves_the_one_it_was_asked_with, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(the_same_head_again_leaves_no_line, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(what_is_asked_for_has_bounds, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(a_copy_at_another_box_keeps_its_key_with_the_parent_alone, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(an_address_or_code_that_is_none_is_said, kit_open, kit_close),
    };
    return cmocka_run_group_tests_name("peers", tests, NULL, NULL);
}
