/* Machines: joining, held polls, orders, runs, made-up backups, restores. */
#include "api_kit.h"
#include <errno.h>
#include <stdio.h>
#include "api/internal.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "crypto/x509.h"
#include "plat/clock.h"

#define CERT "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"
#define CERT2 "bbbbbbabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"
#define DAY 86400

static const struct kit_who machine = { .port = "agent", .cert = CERT };
static const struct kit_who other = { .port = "agent", .cert = CERT2 };
static const struct kit_who stranger = { .port = "agent" };

static struct kit_who director(struct kit *k)
{
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    return kit_me(k);
}

/* ---- joining ---- */

static void make_code(struct kit *k, char ret[128])
{
    struct kit_who me = director(k);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/devices/codes", "{\"name\":\"受付パソコン1\"}"), 201);
    (void)snprintf(ret, 128, "%s", kit_str(k, "code"));
}

/* What an agent sends, with the proof made right or for another secret. */
static int join(struct kit *k, const char *code, bool good_proof)
{
    struct sm_buf raw = SM_BUF_INIT(64), key = SM_BUF_INIT(4096), csr = SM_BUF_INIT(4096), b64 = SM_BUF_INIT(4096),
                  m = SM_BUF_INIT(256), body = SM_BUF_INIT(16384);
    struct crypto_sign_pair pair;
    uint8_t h[32], sig[64];
    char secret[21], pub[65], proof[129];
    assert_int_equal(sm_unbase32(SM_SPAN_STR(code + 4), &raw), 0);
    assert_int_equal(raw.n, 26);
    assert_int_equal(crypto_sign_generate(&pair), 0);
    assert_int_equal(crypto_x509_key_new(&key), 0);
    assert_int_equal(crypto_x509_csr_new(sm_buf_span(&key), "pc1", &csr), 0);
    assert_int_equal(sm_base64(sm_buf_span(&csr), &b64), 0);
    crypto_sha256(sm_buf_span(&csr), h);
    assert_int_equal(sm_buf_printf(&m, "sakimori/v1/join"), 0);
    assert_int_equal(sm_buf_put(&m, h, 32), 0);
    assert_int_equal(sm_buf_put(&m, raw.p, 10), 0);
    if (!good_proof)
        m.p[m.n - 1] ^= 1;
    assert_int_equal(crypto_sign(&pair, sm_buf_span(&m), sig), 0);
    sm_hex(raw.p, 10, secret);
    sm_hex(pair.public_key, 32, pub);
    sm_hex(sig, 64, proof);
    assert_int_equal(sm_buf_printf(&body,
                         "{\"secret\":\"%s\",\"sign_pub\":\"%s\",\"sign_proof\":\"%s\",\"hostname\":\"pc1\",\"os\":"
                         "\"Linux\",\"machine_id\":\"m\",\"agent_version\":\"1\","
                         "\"features\":[],\"csr\":\"-----BEGIN CERTIFICATE REQUEST-----\\n%s\\n-----END CERTIFICATE "
                         "REQUEST-----\\n\"}",
                         secret, pub, proof, sm_buf_str(&b64)),
        0);
    int status = kit_call(k, &stranger, "POST", "/agent/v1/join", sm_buf_str(&body));
    sm_buf_wipe(&raw);
    sm_buf_wipe(&key);
    sm_buf_wipe(&csr);
    sm_buf_wipe(&b64);
    sm_buf_wipe(&m);
    sm_buf_wipe(&body);
    crypto_sign_wipe(&pair);
    return status;
}

static void a_code_joins_one_machine(void **state)
{
    struct kit *k = *state;
    char code[128];
    kit_people(k);
    make_code(k, code);
    assert_int_equal(join(k, code, true), 200);
    assert_int_equal(strlen(kit_str(k, "device")), 32);
    assert_int_equal(strlen(kit_str(k, "client")), 32);
    assert_int_equal(join(k, code, true), 403);
}

static void the_code_pins_certificate_recipients_and_both_order_keys(void **state)
{
    struct kit *k = *state;
    char code[128];
    uint8_t ones[32], pin[32];
    struct sm_buf raw = SM_BUF_INIT(64);
    kit_people(k);
    make_code(k, code);
    assert_int_equal(sm_unbase32(SM_SPAN_STR(code + 4), &raw), 0);
    memset(ones, 0x11, 32);
    const struct sm_span parts[] = { SM_SPAN_STR("sakimori/v2/pin"), SM_SPAN(ones, 32), SM_SPAN(ones, 32),
        SM_SPAN(ones, 32), SM_SPAN(ones, 32) };
    crypto_sha256v(parts, 5, pin);
    assert_memory_equal(raw.p + 10, pin, 16);
    sm_buf_wipe(&raw);
}

static void a_wrong_proof_joins_nobody_and_three_wrong_tries_wait(void **state)
{
    struct kit *k = *state;
    char code[128];
    kit_people(k);
    make_code(k, code);
    assert_int_equal(join(k, code, false), 403);
    assert_int_equal(join(k, code, false), 403);
    assert_int_equal(join(k, code, false), 403);
    assert_int_equal(join(k, code, true), 429);
    kit_clock(k, 61);
    assert_int_equal(join(k, code, true), 200);
}

static void a_code_ends_after_a_quarter_of_an_hour(void **state)
{
    struct kit *k = *state;
    char code[128];
    kit_people(k);
    make_code(k, code);
    kit_clock(k, 901);
    assert_int_equal(join(k, code, true), 403);
}

static void a_code_may_be_tried_again_when_the_box_could_not_finish(void **state)
{
    struct kit *k = *state;
    char code[128];
    kit_people(k);
    make_code(k, code);
    json_object_set_new(k->answers, "V_CLIENT", json_integer(-SM_EPEER));
    assert_int_equal(join(k, code, true), 503);
    json_object_del(k->answers, "V_CLIENT");
    assert_int_equal(join(k, code, true), 200);
}

static void the_list_of_machines_says_what_is_kept_of_each(void **state)
{
    struct kit *k = *state;
    char device[33];
    kit_people(k);
    kit_device(k, CERT, device);
    struct kit_who me = director(k);
    json_object_set_new(k->answers, "V_CLIENT", json_pack("{s:i,s:i,s:i}", "generations", 24, "pack_bytes", 600, "quota", 1000));
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/devices", NULL), 200);
    const json_t *kept = json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "kept");
    assert_int_equal(json_integer_value(json_object_get(kept, "generations")), 24);
    assert_int_equal(json_integer_value(json_object_get(kept, "bytes")), 600);
    assert_int_equal(json_integer_value(json_object_get(kept, "quota")), 1000);
    json_object_set_new(k->answers, "V_CLIENT", json_integer(-SM_EPEER));
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/devices", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 1);
}

/* ---- polls, orders, runs ---- */

/* A machine with one source at 03:10 every day; its id. */
static void with_source(struct kit *k, char ret_source[40])
{
    char device[33], body[300];
    kit_people(k);
    kit_device(k, CERT, device);
    struct kit_who me = director(k);
    (void)snprintf(body, sizeof body,
        "{\"device\":\"%s\",\"name\":\"書類\",\"group\":\"share\",\"paths\":[\"/"
        "srv\"],\"schedule\":{\"every\":\"day\",\"at\":\"03:10\"}}",
        device);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/sources", body), 201);
    (void)snprintf(ret_source, 40, "%s", kit_str(k, "id"));
}

/* The number of orders in the last answer; the first one's args' field into ret. */
static size_t orders(struct kit *k, const char *field, char *ret, size_t size)
{
    const json_t *list = json_object_get(k->body, "orders");
    const char *b64 = json_string_value(json_object_get(json_array_get(list, 0), "order"));
    if (ret && b64) {
        struct sm_buf text = SM_BUF_INIT(65536);
        json_t *j = NULL;
        assert_int_equal(sm_unbase64(SM_SPAN_STR(b64), &text), 0);
        assert_int_equal(sm_json_parse(sm_buf_span(&text), 65536, &j, NULL), 0);
        const json_t *args = json_object_get(j, "args"), *v = json_object_get(args, field);
        (void)snprintf(ret, size, "%s", json_string_value(v ? v : json_object_get(j, field)));
        json_decref(j);
        sm_buf_wipe(&text);
    }
    return json_array_size(list);
}

static void a_held_poll_is_answered_the_moment_there_is_an_order(void **state)
{
    struct kit *k = *state;
    char source[40], path[100], run[40];
    with_source(k, source);
    struct kit_who me = director(k);
    kit_begin(k, &machine, "POST", "/agent/v1/poll", "{\"wait_s\":25}");
    kit_run(k);
    assert_false(k->answered);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    kit_begin(k, &me, "POST", path, "{}");
    assert_int_equal(k->status, 202);
    (void)snprintf(run, sizeof run, "%s", kit_str(k, "run"));
    k->answered = false;
    kit_run(k); /* keyd signs; the poll is let go */
    assert_true(k->answered);
    char got[40];
    assert_int_equal(orders(k, "run", got, sizeof got), 1);
    assert_string_equal(got, run);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200);
    assert_int_equal(orders(k, NULL, NULL, 0), 0); /* not twice */
}

static void a_poll_whose_client_went_away_takes_no_order(void **state)
{
    struct kit *k = *state;
    char source[40], path[100];
    with_source(k, source);
    struct kit_who me = director(k);
    kit_begin(k, &machine, "POST", "/agent/v1/poll", "{\"wait_s\":25}");
    api_gone(k->api, k->call);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    kit_begin(k, &me, "POST", path, "{}");
    kit_run(k);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200);
    assert_int_equal(orders(k, NULL, NULL, 0), 1);
}

static void what_a_dead_link_was_given_goes_to_the_next_one_at_once(void **state)
{
    struct kit *k = *state;
    char source[40], path[100];
    with_source(k, source);
    struct kit_who me = director(k);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{\"link\":\"one\"}"), 200);
    kit_begin(k, &machine, "POST", "/agent/v1/poll", "{\"wait_s\":25,\"link\":\"one\"}");
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    kit_begin(k, &me, "POST", path, "{}");
    kit_run(k); /* handed to a connection that nobody reads any more */
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{\"link\":\"one\"}"), 200);
    assert_int_equal(orders(k, NULL, NULL, 0), 0);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{\"link\":\"two\"}"), 200);
    assert_int_equal(orders(k, NULL, NULL, 0), 1);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{\"link\":\"two\"}"), 200);
    assert_int_equal(orders(k, NULL, NULL, 0), 0);
}

static void a_second_run_of_the_same_source_waits_for_the_first(void **state)
{
    struct kit *k = *state;
    char source[40], path[100];
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 409);
}

static void a_whole_backup_ends_complete_only_when_the_vault_took_the_manifest(void **state)
{
    struct kit *k = *state;
    char source[40], path[100], run[40], body[200];
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    (void)snprintf(run, sizeof run, "%s", kit_str(k, "run"));
    (void)snprintf(body, sizeof body, "{\"source\":\"%s\",\"run\":\"%s\",\"reason\":\"adhoc\"}", source, run);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/sessions", body), 200);
    (void)snprintf(path, sizeof path, "/agent/v1/runs/%s/end", run);
    json_t *refused = json_pack("{s:s,s:s}", "refusal", "fork", "why", "x");
    json_object_set_new(k->answers, "V_MANIFEST", refused);
    assert_int_equal(
        kit_call(k, &machine, "POST", "/agent/v1/sessions/5e5510005e5510005e5510005e551000/manifest", "raw"), 422);
    assert_string_equal(kit_code(k), "fork");
    assert_int_equal(kit_call(k, &machine, "POST", path, "{\"status\":\"complete\"}"), 200);
    (void)snprintf(path, sizeof path, "/api/v1/runs/%s", run);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "state"), "failed");
}

#define RAW_SUM "d7439bee24773bcbfa2d0a97947ee36227b10d1022b1a55847e928965bb6bfde" /* SHA-256 of "raw" */

static void a_manifest_whose_answer_was_lost_is_answered_again(void **state)
{
    struct kit *k = *state;
    char source[40], path[100], body[200];
    static const char manifest[] = "/agent/v1/sessions/5e5510005e5510005e5510005e551000/manifest";
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    (void)snprintf(body, sizeof body, "{\"source\":\"%s\",\"run\":\"%s\",\"reason\":\"adhoc\"}", source, kit_str(k, "run"));
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/sessions", body), 200);
    json_object_set_new(k->answers, "V_MANIFEST", json_pack("{s:s,s:i,s:s,s:{s:i,s:[]}}", "manifest", RAW_SUM, "seq", 5, "head", "00",
        "suspicion", "score", 0, "reasons"));
    json_object_set_new(k->answers, "V_HEAD", json_pack("{s:s,s:i}", "head", "11", "seq", 9));
    assert_int_equal(kit_call(k, &machine, "POST", manifest, "raw"), 200);
    json_object_set_new(k->answers, "V_MANIFEST", json_pack("{s:s,s:s}", "refusal", "replay", "why", "x"));
    assert_int_equal(kit_call(k, &machine, "POST", manifest, "raw"), 200);
    assert_string_equal(kit_str(k, "manifest"), RAW_SUM);
    assert_string_equal(kit_str(k, "head"), "11");
    assert_int_equal(kit_call(k, &machine, "POST", manifest, "other"), 422);
}

static void a_backup_whose_manifest_brain_missed_is_found_in_the_vault(void **state)
{
    struct kit *k = *state;
    char source[40], path[100], run[40];
    with_source(k, source);
    struct kit_who me = director(k);
    for (int own = 0; own < 2; own++) {
        (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
        assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
        (void)snprintf(run, sizeof run, "%s", kit_str(k, "run"));
        json_object_set_new(k->answers, "V_GENERATION",
            json_pack("{s:{s:{s:s,s:s}}}", "joined", "generation", "client", "bcdefabcdefabcdefabcdefabcdefabc",
                "source", own ? source : "00000000000000000000000000000000"));
        (void)snprintf(path, sizeof path, "/agent/v1/runs/%s/end", run);
        assert_int_equal(
            kit_call(k, &machine, "POST", path, "{\"status\":\"complete\",\"manifest\":\"" CERT "\"}"), 200);
        (void)snprintf(path, sizeof path, "/api/v1/runs/%s", run);
        assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
        assert_string_equal(kit_str(k, "state"), own ? "complete" : "failed");
    }
}

static void another_machines_session_run_and_restore_are_not_there(void **state)
{
    struct kit *k = *state;
    char source[40], path[100], run[40], body[200], device[33];
    with_source(k, source);
    kit_device(k, CERT2, device);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    (void)snprintf(run, sizeof run, "%s", kit_str(k, "run"));
    (void)snprintf(body, sizeof body, "{\"source\":\"%s\",\"run\":\"%s\",\"reason\":\"adhoc\"}", source, run);
    assert_int_equal(kit_call(k, &other, "POST", "/agent/v1/sessions", body), 404);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/sessions", body), 200);
    assert_int_equal(
        kit_call(k, &other, "GET", "/agent/v1/sessions/5e5510005e5510005e5510005e551000/packs/" CERT, NULL), 404);
    assert_int_equal(
        kit_call(k, &other, "POST", "/agent/v1/sessions/5e5510005e5510005e5510005e551000/manifest", "x"), 404);
    assert_int_equal(kit_call(k, &other, "POST", "/agent/v1/sessions/5e5510005e5510005e5510005e551000/have", ""), 404);
    (void)snprintf(path, sizeof path, "/agent/v1/runs/%s/end", run);
    assert_int_equal(kit_call(k, &other, "POST", path, "{\"status\":\"complete\"}"), 404);
    me = director(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/alarms", NULL), 200); /* three broken rules make an alarm */
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "kind")), "hostile");
}

/* ---- schedule ---- */

static int64_t at(const char *text)
{
    struct sm_time t;
    assert_int_equal(sm_time_parse(text, &t), 0);
    return t.s;
}

static void the_next_time_is_in_japanese_time_the_whole_year(void **state)
{
    (void)state;
    json_t *day = json_pack("{s:s,s:s,s:i}", "every", "day", "at", "03:10", "weekday", 0),
           *week = json_pack("{s:s,s:s,s:i}", "every", "week", "at", "22:00", "weekday", 1),
           *hour = json_pack("{s:s,s:s,s:i}", "every", "hour", "at", "00:15", "weekday", 0),
           *off = json_pack("{s:s,s:s,s:i}", "every", "off", "at", "03:10", "weekday", 0);
    assert_int_equal(schedule_next(day, at("2026-11-24T03:00:00+09:00")), at("2026-11-24T03:10:00+09:00"));
    assert_int_equal(schedule_next(day, at("2026-11-24T03:10:00+09:00")), at("2026-11-25T03:10:00+09:00"));
    assert_int_equal(schedule_next(day, at("2026-07-01T12:00:00+09:00")), at("2026-07-02T03:10:00+09:00"));
    assert_int_equal(schedule_next(day, at("2026-12-31T23:59:59+09:00")), at("2027-01-01T03:10:00+09:00"));
    assert_int_equal(schedule_next(week, at("2026-11-24T08:00:00+09:00")), at("2026-11-30T22:00:00+09:00"));
    assert_int_equal(schedule_next(week, at("2026-11-30T21:00:00+09:00")), at("2026-11-30T22:00:00+09:00"));
    assert_int_equal(schedule_next(hour, at("2026-11-24T08:15:00+09:00")), at("2026-11-24T09:15:00+09:00"));
    assert_int_equal(schedule_next(off, at("2026-11-24T08:15:00+09:00")), 0);
    json_decref(day);
    json_decref(week);
    json_decref(hour);
    json_decref(off);
}

static void a_machine_that_was_off_for_days_makes_up_one_backup(void **state)
{
    struct kit *k = *state;
    char source[40], kind[40];
    with_source(k, source);
    kit_clock(k, 3 * DAY);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200);
    if (orders(k, NULL, NULL, 0) == 0)
        assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200); /* signed meanwhile */
    assert_int_equal(orders(k, "reason", kind, sizeof kind), 1);
    assert_string_equal(kind, "made-up");
    kit_clock(k, 3 * DAY + 30);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200);
    assert_int_equal(orders(k, NULL, NULL, 0), 0);
}

static void a_run_nobody_fetched_fails_after_a_day_and_an_expired_order_is_not_given(void **state)
{
    struct kit *k = *state;
    char source[40], path[100], run[40];
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    (void)snprintf(run, sizeof run, "%s", kit_str(k, "run"));
    kit_clock(k, 25 * 3600);
    me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/runs/%s", run);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "state"), "failed");
}

static void an_order_that_keyd_could_not_sign_is_signed_later(void **state)
{
    struct kit *k = *state;
    char source[40], path[100];
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    json_object_set_new(k->answers, "K_ORDER_SIGN", json_integer(-SM_EPEER));
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    json_object_del(k->answers, "K_ORDER_SIGN");
    kit_clock(k, 60);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200);
    assert_int_equal(orders(k, NULL, NULL, 0), 1);
}

/* The first word of why the run went as it did; its state is in the last answer. */
static const char *run_why(struct kit *k, const struct kit_who *me, const char *run)
{
    char path[100];
    (void)snprintf(path, sizeof path, "/api/v1/runs/%s", run);
    assert_int_equal(kit_call(k, me, "GET", path, NULL), 200);
    const char *what = json_string_value(json_object_get(json_array_get(json_object_get(k->body, "problems"), 0), "what"));
    return what ? what : "";
}

static void a_run_whose_process_died_is_ordered_again_three_times_and_then_fails_with_a_reason(void **state)
{
    struct kit *k = *state;
    char source[40], path[100], run[40], got[40];
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    (void)snprintf(run, sizeof run, "%s", kit_str(k, "run"));
    (void)snprintf(path, sizeof path, "/agent/v1/runs/%s/end", run);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200);
        assert_int_equal(orders(k, "run", got, sizeof got), 1);
        assert_string_equal(got, run);
        assert_int_equal(kit_call(k, &machine, "POST", path, "{\"status\":\"failed\",\"died\":true}"), 200);
        assert_string_equal(i < 3 ? "" : "the backup process on the machine ended before its work was done, several times",
            run_why(k, &me, run));
        assert_string_equal(kit_str(k, "state"), i < 3 ? "waiting" : "failed");
    }
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200);
    assert_int_equal(orders(k, NULL, NULL, 0), 0);
}

static void a_run_that_died_after_its_generation_was_accepted_is_over(void **state)
{
    struct kit *k = *state;
    char source[40], path[100], run[40], body[200];
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    (void)snprintf(run, sizeof run, "%s", kit_str(k, "run"));
    (void)snprintf(body, sizeof body, "{\"source\":\"%s\",\"run\":\"%s\",\"reason\":\"adhoc\"}", source, run);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/sessions", body), 200);
    json_object_set_new(k->answers, "V_MANIFEST", json_pack("{s:s,s:i,s:s,s:{s:i,s:[]}}", "manifest", RAW_SUM, "seq", 5, "head", "00",
        "suspicion", "score", 0, "reasons"));
    json_object_set_new(k->answers, "V_GENERATION", json_pack("{s:{s:{s:s}}}", "joined", "generation", "status", "complete"));
    assert_int_equal(
        kit_call(k, &machine, "POST", "/agent/v1/sessions/5e5510005e5510005e5510005e551000/manifest", "raw"), 200);
    (void)snprintf(path, sizeof path, "/agent/v1/runs/%s/end", run);
    assert_int_equal(kit_call(k, &machine, "POST", path, "{\"status\":\"failed\",\"died\":true}"), 200);
    assert_string_equal(run_why(k, &me, run), "");
    assert_string_equal(kit_str(k, "state"), "complete");
    /* A good run is not what saved an attack. */
    assert_null(json_object_get(k->body, "suspicious"));
    json_object_set_new(k->answers, "V_GENERATIONS", json_pack("{s:[{s:s,s:b}]}", "items", "manifest", RAW_SUM, "suspicious", 1));
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/runs", NULL), 200);
    assert_true(json_is_true(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "suspicious")));
    json_object_set_new(k->answers, "V_GENERATIONS", json_integer(-SM_EPEER));
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/runs", NULL), 200); /* its list is there without the vault */
}

static void a_run_the_restarted_machine_does_not_know_is_ordered_again(void **state)
{
    struct kit *k = *state;
    char source[40], path[100], run[40], got[40] = "";
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    (void)snprintf(run, sizeof run, "%s", kit_str(k, "run"));
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200);
    (void)orders(k, "id", got, sizeof got);
    (void)snprintf(path, sizeof path, "/agent/v1/orders/%s/ack", got);
    assert_int_equal(kit_call(k, &machine, "POST", path, "{\"state\":\"accepted\"}"), 200);
    kit_clock(k, 20);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{\"state\":{\"running\":[]}}"), 200);
    assert_int_equal(orders(k, NULL, NULL, 0), 0); /* a link that was restarted alone */
    kit_begin(k, &machine, "POST", "/agent/v1/poll", "{\"wait_s\":25,\"state\":{\"running\":[],\"whole\":true}}");
    kit_run(k);
    assert_int_equal(orders(k, "run", got, sizeof got), 1);
    assert_string_equal(got, run);
}

static void a_machine_that_gives_no_reason_for_a_failure_is_given_one(void **state)
{
    struct kit *k = *state;
    char source[40], path[100], run[40];
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    (void)snprintf(run, sizeof run, "%s", kit_str(k, "run"));
    (void)snprintf(path, sizeof path, "/agent/v1/runs/%s/end", run);
    assert_int_equal(kit_call(k, &machine, "POST", path, "{\"status\":\"failed\"}"), 200);
    assert_string_equal(run_why(k, &me, run), "the machine gave no reason");
    assert_string_equal(kit_str(k, "state"), "failed");
}

static void a_machine_in_the_log_has_its_name_beside_its_id(void **state)
{
    struct kit *k = *state;
    char source[40], path[100], run[40];
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    (void)snprintf(run, sizeof run, "%s", kit_str(k, "run"));
    (void)snprintf(path, sizeof path, "/agent/v1/runs/%s/end", run);
    assert_int_equal(kit_call(k, &machine, "POST", path, "{\"status\":\"failed\"}"), 200);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/audit", NULL), 200);
    const json_t *line = json_array_get(json_object_get(k->body, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(line, "role")), "device");
    assert_int_equal(strlen(json_string_value(json_object_get(line, "who"))), 32);
    assert_string_equal(json_string_value(json_object_get(line, "who_name")), "受付パソコン1");
    assert_null(json_object_get(json_array_get(json_object_get(k->body, "items"), 1), "who_name")); /* people sign as themselves */
}

/* ---- restores ---- */

static void generation(struct kit *k, bool suspicious)
{
    json_object_set_new(k->answers, "V_GENERATION",
        json_pack("{s:{s:{s:s,s:s,s:b},s:{s:{s:[{s:s,s:f}]}},s:s}}", "joined", "generation", "client",
            "bcdefabcdefabcdefabcdefabcdefabc", "manifest", CERT, "suspicious", suspicious, "record", "suspicion",
            "reasons", "code", "replaced", "value", 0.8, "sign_pub", "22"));
}

static void a_restore_needs_the_open_key_and_a_second_yes_when_suspicious(void **state)
{
    struct kit *k = *state;
    char source[40], body[600];
    static const char form[] = "{\"manifest\":\"" CERT "\",\"device\":\"%.32s\",\"paths_b64\":[],\"target\":{\"mode\":"
                                                       "\"original\"},\"existing\":\"aside\",\"why\":\"x\"%s}";
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(body, sizeof body, form, CERT, "");
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/restores", body), 409);
    assert_string_equal(kit_code(k), "unlock_needed");
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/unlock", "{\"password\":\"x\",\"card\":\"y\"}"), 200);
    generation(k, true);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/restores", body), 409);
    assert_string_equal(kit_code(k), "suspicious");
    (void)snprintf(body, sizeof body, form, CERT, ",\"suspicious_ok\":true");
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/restores", body), 202);
    assert_int_equal(kit_asked(k, "V_GRANT"), 1);
    char got[40];
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200);
    assert_int_equal(orders(k, "kind", got, sizeof got), 1);
    assert_string_equal(got, "restore");

    /* The machine takes it, and then its process vanishes without a word. */
    char order[80], path[120], restore[40];
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/restores", NULL), 200);
    (void)snprintf(restore, sizeof restore, "%s",
        json_string_value(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "id")));
    kit_clock(k, 120);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", "{}"), 200);
    if (orders(k, "id", order, sizeof order) == 0)
        fail_msg("an order nobody acknowledged is not offered again");
    (void)snprintf(path, sizeof path, "/agent/v1/orders/%s/ack", order);
    assert_int_equal(kit_call(k, &machine, "POST", path, "{\"state\":\"accepted\"}"), 200);
    static const char idle[] = "{\"state\":{\"restore\":false}}";
    (void)snprintf(path, sizeof path, "/api/v1/restores/%s", restore);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", idle), 200);
    me = director(k);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "state"), "running"); /* a poll may be older than the start */
    kit_clock(k, 200);
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll", idle), 200);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "state"), "waiting"); /* its process is gone: ordered again, at most three times */
    (void)snprintf(body, sizeof body, "/agent/v1/restores/%s/end", restore);
    for (int i = 0; i < 3; i++)
        assert_int_equal(kit_call(k, &machine, "POST", body, "{\"status\":\"failed\",\"died\":true}"), 200);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(kit_str(k, "state"), "failed");
    assert_non_null(strstr(json_string_value(json_object_get(json_array_get(json_object_get(k->body, "problems"), 0), "what")),
        "several times"));
}

static void the_open_key_closes_by_itself(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    struct kit_who me = director(k);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/unlock", "{\"password\":\"x\",\"card\":\"y\"}"), 200);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/generations/" CERT "/find?text=x", NULL) == 409, 0);
    kit_clock(k, 901);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/generations/" CERT "/find?text=x", NULL), 409);
    assert_int_equal(kit_asked(k, "K_LOCK"), 2); /* once at the start */
}

static void no_key_leaves_without_its_line_in_the_access_log(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    struct kit_who me = director(k);
    json_object_set_new(k->answers, "V_ACCESS", json_integer(-ENOSPC));
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/unlock", "{\"password\":\"x\",\"card\":\"y\"}"), 503);
    assert_int_equal(kit_asked(k, "K_LOCK"), 2);
}

static int post_source(struct kit *k, const char *device, const char *name, const char *more)
{
    struct kit_who me = kit_me(k);
    char body[500];
    (void)snprintf(body, sizeof body, "{\"device\":\"%s\",\"name\":\"%s\",%s}", device, name, more);
    return kit_call(k, &me, "POST", "/api/v1/sources", body);
}

static void two_sources_of_one_name_on_one_machine_are_refused(void **state)
{
    struct kit *k = *state;
    char source[40], device[33], second[33], path[100], other_id[40];
    static const char files[] = "\"paths\":[\"/srv\"]";
    with_source(k, source); /* 書類 */
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s", source);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/sources", NULL), 200);
    (void)snprintf(device, sizeof device, "%s",
        json_string_value(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "device")));
    static const char *const same[] = { "書類", " 書類", "書類 " };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(post_source(k, device, same[i], files), 409);
        assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "error"), "field")), "name");
        assert_non_null(strstr(json_string_value(json_object_get(json_object_get(k->body, "error"), "message")), "ちがう名前"));
    }
    kit_device(k, CERT2, second);
    me = director(k);
    assert_int_equal(post_source(k, second, "書類", files), 201); /* the machine's name tells them apart */
    assert_int_equal(post_source(k, device, "会計", files), 201);
    (void)snprintf(other_id, sizeof other_id, "%s", kit_str(k, "id"));
    me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "PATCH", path, "{\"name\":\"会計\"}"), 409);
    assert_int_equal(kit_call(k, &me, "PATCH", path, "{\"name\":\"書類\",\"enabled\":true}"), 200); /* its own */
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s", other_id);
    assert_int_equal(kit_call(k, &me, "DELETE", path, NULL), 200);
    assert_int_equal(post_source(k, device, "会計", files), 201); /* one that was stopped holds no name */
}

/* The first "where" of the source of that kind in a list. */
static const char *where(const json_t *list, const char *kind)
{
    size_t i;
    const json_t *s;
    json_array_foreach(list, i, s)
        if (!strcmp(json_string_value(json_object_get(s, "kind")), kind))
            return json_string_value(json_array_get(json_object_get(s, "where"), 0));
    return "";
}

static void a_share_is_listed_with_its_server_and_folder(void **state)
{
    struct kit *k = *state;
    char source[40], device[33], path[100];
    with_source(k, source);
    struct kit_who me = director(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/sources", NULL), 200);
    const json_t *one = json_array_get(json_object_get(k->body, "items"), 0);
    (void)snprintf(device, sizeof device, "%s", json_string_value(json_object_get(one, "device")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(one, "where"), 0)), "/srv");
    assert_int_equal(post_source(k, device, "NAS",
        "\"kind\":\"smb\",\"options\":{\"access\":\"nas\",\"share\":\"karte\",\"folder\":\"2025/11\"}"), 201);
    assert_string_equal(json_string_value(json_array_get(json_object_get(k->body, "where"), 0)), "karte\\2025\\11");
    assert_int_equal(kit_call(k, &machine, "POST", "/agent/v1/poll",
        "{\"wait_s\":0,\"features\":[\"access:smb:nas\",\"server:smb:nasa:10.0.0.1\",\"server:smb:nas:192.0.2.9\"]}"), 200);
    me = director(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/sources", NULL), 200);
    assert_string_equal(where(json_object_get(k->body, "items"), "smb"), "\\\\192.0.2.9\\karte\\2025\\11");
    assert_string_equal(where(json_object_get(k->body, "items"), "files"), "/srv");
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/guide", device);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    assert_string_equal(where(json_object_get(k->body, "sources"), "smb"), "\\\\192.0.2.9\\karte\\2025\\11");
}

static void progress_never_passes_its_total_and_problems_are_in_the_readers_words(void **state)
{
    struct kit *k = *state;
    char source[40], path[100], run[40];
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    (void)snprintf(run, sizeof run, "%s", kit_str(k, "run"));
    (void)snprintf(path, sizeof path, "/agent/v1/runs/%s/progress", run);
    assert_int_equal(kit_call(k, &machine, "POST", path,
        "{\"phase\":\"read\",\"files\":212,\"files_total\":145,\"bytes\":7,\"bytes_total\":0,\"sent\":1}"), 200);
    (void)snprintf(path, sizeof path, "/api/v1/runs/%s", run);
    assert_int_equal(kit_call(k, &me, "GET", path, NULL), 200);
    const json_t *p = json_object_get(k->body, "progress");
    assert_int_equal(json_integer_value(json_object_get(p, "files_total")), 212);
    assert_int_equal(json_integer_value(json_object_get(p, "bytes_total")), 0); /* not known stays not known */
    (void)snprintf(path, sizeof path, "/agent/v1/runs/%s/end", run);
    assert_int_equal(kit_call(k, &machine, "POST", path, "{\"status\":\"failed\",\"problems\":[{\"path\":\"/srv/a\","
        "\"error\":\"Permission denied\",\"what\":\"open\"},{\"path\":\"\",\"error\":\"took too long\","
        "\"what\":\"the time limit of this source\"}],\"problems_total\":2}"), 200);
    (void)snprintf(path, sizeof path, "/api/v1/runs/%s", run);
    for (int ja = 0; ja < 2; ja++) {
        struct kit_who reader = me;
        reader.lang = ja ? "ja" : "en";
        assert_int_equal(kit_call(k, &reader, "GET", path, NULL), 200);
        const json_t *list = json_object_get(k->body, "problems"), *one = json_array_get(list, 0), *two = json_array_get(list, 1);
        assert_string_equal(json_string_value(json_object_get(one, "code")), "EACCES");
        assert_string_equal(json_string_value(json_object_get(one, "text")), ja ? "開くことを許されていません" : "Permission denied");
        assert_string_equal(json_string_value(json_object_get(two, "code")), "SM_ETIME");
        assert_non_null(strstr(json_string_value(json_object_get(two, "text")), ja ? "決めた時間の上限" : "the time limit of this source"));
    }
}

static void the_audit_log_is_read_in_words_and_names(void **state)
{
    struct kit *k = *state;
    char source[40], path[100];
    with_source(k, source);
    struct kit_who me = director(k);
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", source);
    assert_int_equal(kit_call(k, &me, "POST", path, "{}"), 202);
    me.lang = "ja";
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/audit", NULL), 200);
    const json_t *line = json_array_get(json_object_get(k->body, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(line, "act")), "run");
    assert_string_equal(json_string_value(json_object_get(line, "act_text")), "保存を始めた");
    assert_string_equal(json_string_value(json_object_get(line, "what_text")), "「書類」");
    assert_string_equal(json_string_value(json_object_get(line, "result_text")), "できた");
    assert_string_equal(json_string_value(json_object_get(line, "role_text")), "院長");
    me.lang = "en";
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/audit", NULL), 200);
    line = json_array_get(json_object_get(k->body, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(line, "act_text")), "started a backup");
    assert_string_equal(json_string_value(json_object_get(line, "what_text")), "“書類”");
}

#define T(name) cmocka_unit_test_setup_teardown(name, kit_open, kit_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_code_joins_one_machine),
        T(the_code_pins_certificate_recipients_and_both_order_keys),
        T(a_wrong_proof_joins_nobody_and_three_wrong_tries_wait),
        T(a_code_ends_after_a_quarter_of_an_hour),
        T(a_code_may_be_tried_again_when_the_box_could_not_finish),
        T(the_list_of_machines_says_what_is_kept_of_each),
        T(a_held_poll_is_answered_the_moment_there_is_an_order),
        T(a_poll_whose_client_went_away_takes_no_order),
        T(what_a_dead_link_was_given_goes_to_the_next_one_at_once),
        T(a_second_run_of_the_same_source_waits_for_the_first),
        T(a_whole_backup_ends_complete_only_when_the_vault_took_the_manifest),
        T(a_manifest_whose_answer_was_lost_is_answered_again),
        T(a_backup_whose_manifest_brain_missed_is_found_in_the_vault),
        T(another_machines_session_run_and_restore_are_not_there),
        T(the_next_time_is_in_japanese_time_the_whole_year),
        T(a_machine_that_was_off_for_days_makes_up_one_backup),
        T(a_run_nobody_fetched_fails_after_a_day_and_an_expired_order_is_not_given),
        T(an_order_that_keyd_could_not_sign_is_signed_later),
        T(a_run_whose_process_died_is_ordered_again_three_times_and_then_fails_with_a_reason),
        T(a_run_that_died_after_its_generation_was_accepted_is_over),
        T(a_run_the_restarted_machine_does_not_know_is_ordered_again),
        T(a_machine_that_gives_no_reason_for_a_failure_is_given_one),
        T(a_machine_in_the_log_has_its_name_beside_its_id),
        T(a_restore_needs_the_open_key_and_a_second_yes_when_suspicious),
        T(the_open_key_closes_by_itself),
        T(no_key_leaves_without_its_line_in_the_access_log),
        T(two_sources_of_one_name_on_one_machine_are_refused),
        T(a_share_is_listed_with_its_server_and_folder),
        T(progress_never_passes_its_total_and_problems_are_in_the_readers_words),
        T(the_audit_log_is_read_in_words_and_names),
    };
    return cmocka_run_group_tests_name("api agent", tests, NULL, NULL);
}
