#include "api_kit.h"
#include <stdio.h>
#include <unistd.h>
#include "crypto/init.h"
#include "crypto/pass.h"
#include "plat/clock.h"
#include "plat/fs.h"

struct kit_answer { struct kit_answer *next; char message[32]; struct sm_buf body; api_frame_fn fn; void *arg; };

static json_t *standard(const char *message)
{
    static const char h64[] = "1111111111111111111111111111111111111111111111111111111111111111";
    if (!strcmp(message, "K_STATUS") || !strcmp(message, "K_CERT_SERVER") || !strcmp(message, "K_SETUP_CONFIRM"))
        return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "vault", "0123456789abcdef0123456789abcdef",
            "orders_pub", h64, "head_pub", h64, "order_pub", h64, "ca_pem",
            "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "ca_sha256", h64, "cert_pem", "",
            "recipients", "00", "fingerprint", h64, "sheet", 1);
    if (!strcmp(message, "K_SETUP_SHEET"))
        return json_pack("{s:[s],s:[s],s:s,s:[s],s:[s],s:s,s:[{s:s,s:i}]}", "open_words_ja", "あ", "open_words_en", "a",
            "open_qr", "SKR1:O:A", "orders_words_ja", "い", "orders_words_en", "b", "orders_qr", "SKR1:D:A", "check",
            "which", "open", "n", 1);
    if (!strcmp(message, "K_SETUP_RESTORE"))
        return json_pack("{s:s}", "card", "SKC1-AAAA");
    if (!strcmp(message, "K_ORDER_SIGN")) {
        char sig[129];
        memset(sig, 'a', 128);
        sig[128] = 0;
        return json_pack("{s:s}", "sig", sig);
    }
    if (!strcmp(message, "K_UNLOCK"))
        return json_pack("{s:i}", "unlocked_ms", 900000);
    if (!strcmp(message, "K_CERT_DEVICE"))
        return json_pack("{s:s,s:s,s:I}", "cert_pem", "PEM", "cert_sha256", h64, "not_after_s",
            (json_int_t)plat_clock_wall().s + 86400 * 365);
    if (!strcmp(message, "V_SESSION"))
        return json_pack("{s:s,s:i,s:s,s:s}", "session", "5e5510005e5510005e5510005e551000", "number", 1, "previous",
            h64, "head_signed", "00");
    if (!strcmp(message, "V_GENERATIONS") || !strcmp(message, "V_LOG"))
        return json_pack("{s:[],s:n}", "items", "next_before_seq");
    return json_object();
}

static int op_ask(void *arg, const char *message, struct sm_span body, bool again, api_frame_fn fn, void *fn_arg)
{
    struct kit *k = arg;
    struct kit_answer *a = calloc(1, sizeof *a), **end = &k->queue;
    (void)again;
    assert_non_null(a);
    (void)snprintf(a->message, sizeof a->message, "%s", message);
    a->fn = fn;
    a->arg = fn_arg;
    json_t *j = NULL;
    if (body.n && sm_json_parse(body, (size_t)1 << 20, &j, NULL) < 0)
        j = NULL;
    char text[2000]; /* of a body that is no JSON: what can be read of it */
    size_t n = body.n < sizeof text ? body.n : sizeof text - 1;
    for (size_t i = 0; i < n; i++)
        text[i] = body.p[i] >= ' ' && body.p[i] < 127 ? (char)body.p[i] : '.';
    text[n] = 0;
    json_array_append_new(k->asked, json_pack("{s:s,s:s,s:o}", "message", message, "text", j ? "" : text, "body", j ? j : json_null()));
    while (*end)
        end = &(*end)->next;
    *end = a;
    return 0;
}

static void op_note(void *arg, const json_t *body)
{
    struct kit *k = arg;
    json_object_update(k->notes, (json_t *)(uintptr_t)body);
}

static void op_event(void *arg, const char *topic, const char *id, const json_t *data)
{
    struct kit *k = arg;
    json_array_append_new(k->events, json_pack("{s:s,s:s,s:O}", "topic", topic, "id", id, "data", data));
}

static void op_doors(void *arg, const json_t *doors)
{
    struct kit *k = arg;
    json_object_set(k->notes, "doors", (json_t *)(uintptr_t)doors);
}

void kit_run(struct kit *k)
{
    for (unsigned guard = 0; k->queue; guard++) {
        struct kit_answer *a = k->queue;
        json_t *given = json_object_get(k->answers, a->message), *j = given ? json_incref(given) : standard(a->message);
        k->queue = a->next;
        assert_true(guard < 1000);
        struct sm_buf b = SM_BUF_INIT((size_t)1 << 20), all = SM_BUF_INIT((size_t)1 << 20);
        if (json_is_integer(j)) {
            a->fn(a->arg, (int)json_integer_value(j), SM_SPAN(NULL, 0), false, "0");
        } else {
            const json_t *joined = json_object_get(j, "joined"); /* u32 n ‖ JSON ‖ raw */
            assert_int_equal(sm_json_dump(joined ? joined : j, &b), 0);
            if (joined) {
                assert_int_equal(sm_buf_put_u32(&all, (uint32_t)b.n), 0);
                assert_int_equal(sm_buf_put_span(&all, sm_buf_span(&b)), 0);
                assert_int_equal(sm_buf_put_span(&all, SM_SPAN_STR("raw")), 0);
            }
            a->fn(a->arg, 0, sm_buf_span(joined ? &all : &b), false, NULL);
        }
        sm_buf_wipe(&b);
        sm_buf_wipe(&all);
        json_decref(j);
        free(a);
    }
}

int (*kit_decide)(void *arg, const char *what, const json_t *in, json_t **ret);
void *kit_decide_arg;
int (*kit_respond)(const char *what, const json_t *in, json_t **ret, char *ret_why);

int kit_open(void **state)
{
    struct kit *k = calloc(1, sizeof *k);
    assert_non_null(k);
    assert_int_equal(crypto_init(), 0);
    plat_clock_override(0, 0);
    (void)snprintf(k->dir, sizeof k->dir, "/tmp/sk-api-XXXXXX");
    assert_non_null(mkdtemp(k->dir));
    k->asked = json_array();
    k->answers = json_object();
    k->events = json_array();
    k->notes = json_object();
    k->raw = SM_BUF_INIT((size_t)16 << 20);
    assert_int_equal(state_open(":memory:", &k->state), 0);
    const struct api_config c = { .state = k->state,
        .data = k->dir,
        .agent_url = "https://box:8444",
        .machine = "m", /* as kit_device's */
        .pass_memory_kib = 64,
        .log_ports = { 5514, 0, 6514 },
        .ops = { .arg = k, .ask = op_ask, .note = op_note, .event = op_event, .doors = op_doors } };
    struct api_config given = c;
    given.decide = kit_decide;
    given.decide_arg = kit_decide_arg;
    given.respond = kit_respond;
    assert_int_equal(api_new(&given, &k->api), 0);
    api_start(k->api);
    kit_run(k);
    *state = k;
    return 0;
}

int kit_close(void **state)
{
    struct kit *k = *state;
    api_free(k->api);
    while (k->queue) {
        struct kit_answer *a = k->queue;
        k->queue = a->next;
        free(a);
    }
    state_close(k->state);
    json_decref(k->asked);
    json_decref(k->answers);
    json_decref(k->events);
    json_decref(k->notes);
    json_decref(k->body);
    json_decref(k->then);
    json_decref(k->headers);
    sm_buf_wipe(&k->raw);
    plat_clock_override(0, 0);
    int dir = plat_fs_open_dir(AT_FDCWD, "/tmp");
    assert_int_equal(plat_fs_remove_tree(dir, k->dir + 5), 0);
    (void)close(dir);
    free(k);
    return 0;
}

static void done(void *arg, const struct api_response *r)
{
    struct kit *k = arg;
    json_decref(k->body);
    json_decref(k->then);
    json_decref(k->headers);
    k->body = NULL;
    k->answered = true;
    k->status = r->status;
    k->then = json_incref((json_t *)(uintptr_t)r->then);
    k->headers = json_incref((json_t *)(uintptr_t)r->headers);
    sm_buf_clear(&k->raw);
    assert_int_equal(sm_buf_put_span(&k->raw, r->body), 0);
    if (r->body.n && sm_json_parse(r->body, (size_t)16 << 20, &k->body, NULL) < 0)
        k->body = NULL;
}

/* "a=b&c=d" without escapes. */
static json_t *query_of(char *text)
{
    json_t *q = json_object();
    for (char *p = text; p && *p;) {
        char *next = strchr(p, '&'), *eq;
        if (next)
            *next++ = 0;
        eq = strchr(p, '=');
        if (eq) {
            *eq = 0;
            json_object_set_new(q, p, json_string(eq + 1));
        }
        p = next;
    }
    return q;
}

size_t kit_body_n;
const char *kit_sign_pub = "11";

void kit_begin(struct kit *k, const struct kit_who *who, const char *method, const char *path, const char *body)
{
    static const struct kit_who nobody = { 0 };
    const struct kit_who *w = who ? who : &nobody;
    char copy[10000], cookie[200] = "", bearer[120] = "";
    (void)snprintf(copy, sizeof copy, "%s", path);
    char *q = strchr(copy, '?');
    if (q)
        *q++ = 0;
    if (w->cookie)
        (void)snprintf(cookie, sizeof cookie, "x=y; %s", w->cookie);
    if (w->bearer)
        (void)snprintf(bearer, sizeof bearer, "Bearer %s", w->bearer);
    json_t *h = json_pack("{s:s,s:s,s:s,s:s,s:s}", "accept-language", w->lang ? w->lang : "ja", "cookie", cookie,
        "x-csrf-token", w->csrf ? w->csrf : "", "authorization", bearer, "content-type", "application/json");
    json_t *req = json_pack("{s:s,s:s,s:o,s:o,s:s,s:s,s:o}", "method", method, "path", copy, "query", query_of(q),
        "headers", h, "remote", w->remote ? w->remote : "192.0.2.1", "port", w->port ? w->port : "console", "peer",
        w->cert ? json_pack("{s:s,s:s}", "cert_sha256", w->cert, "cn", w->cn ? w->cn : "") : json_null());
    if (w->uid)
        json_object_set_new(req, "uid", json_integer(*w->uid));
    k->answered = false;
    api_handle(k->api, req, body ? SM_SPAN(body, kit_body_n ? kit_body_n : strlen(body)) : SM_SPAN(NULL, 0), done, k, &k->call);
    kit_body_n = 0;
    json_decref(req);
}

int kit_call(struct kit *k, const struct kit_who *who, const char *method, const char *path, const char *body)
{
    kit_begin(k, who, method, path, body);
    kit_run(k);
    assert_true(k->answered);
    return k->status;
}

static void person(struct kit *k, const char *role, const char *hash)
{
    static const char ids[] = "0123456789abcdef0123456789abcd";
    char id[33];
    (void)snprintf(id, sizeof id, "%c%c%s", role[0], role[1], ids);
    assert_int_equal(state_do(k->state, STATE_person_add,
                         STATE_ARGS(state_t(id), state_t(role), state_t(role), state_t(role), state_i(0), state_t(hash),
                             state_i(0), state_t(NULL), state_i(0), state_t(NULL), state_i(plat_clock_wall().s))),
        1);
}

void kit_people(struct kit *k)
{
    char hash[CRYPTO_PASS_TEXT];
    const struct crypto_pass_cost cheap = { 64, 1, 1 };
    assert_int_equal(crypto_pass_hash(SM_SPAN_STR(KIT_PASSWORD), &cheap, hash), 0);
    person(k, "director", hash);
    person(k, "manager", hash);
    person(k, "staff", hash);
    person(k, "vendor", hash);
    json_t *yes = json_true(), *inst = json_pack("{s:s,s:s}", "name", "さくら内科", "kind", "clinic");
    assert_int_equal(state_set(k->state, "setup_done", yes), 0);
    assert_int_equal(state_set(k->state, "institution", inst), 0);
    json_decref(inst);
}

void kit_take_cookie(struct kit *k)
{
    const char *set = json_string_value(json_array_get(json_object_get(k->headers, "Set-Cookie"), 0));
    assert_non_null(set);
    size_t n = strcspn(set, ";");
    assert_true(n < sizeof k->token);
    memcpy(k->token, set, n);
    k->token[n] = 0;
}

int kit_sign_in(struct kit *k, const char *account, const char *password, const char *totp)
{
    char body[512];
    (void)snprintf(body, sizeof body, "{\"account\":\"%s\",\"password\":\"%s\"%s%s%s}", account, password,
        totp ? ",\"totp\":\"" : "", totp ? totp : "", totp ? "\"" : "");
    int status = kit_call(k, NULL, "POST", "/api/v1/session", body);
    if (status == 200) {
        kit_take_cookie(k);
        (void)snprintf(k->csrf, sizeof k->csrf, "%s",
            json_string_value(json_object_get(json_object_get(k->body, "session"), "csrf")));
    }
    return status;
}

struct kit_who kit_me(const struct kit *k)
{
    return (struct kit_who){ .cookie = k->token, .csrf = k->csrf };
}

void kit_device(struct kit *k, const char *cert, char ret_device[33])
{
    char client[33];
    memcpy(ret_device, cert, 32);
    ret_device[32] = 0;
    memcpy(client, cert + 1, 32);
    client[32] = 0;
    assert_int_equal(
        state_do(k->state, STATE_device_add,
            STATE_ARGS(state_t(ret_device), state_t(client), state_t("受付パソコン1"), state_t("pc1"), state_t("Linux"),
                state_t("m"), state_t("1"), state_t(kit_sign_pub), state_t(cert), state_i(plat_clock_wall().s + 86400 * 300),
                state_i(365), state_i(plat_clock_wall().s), state_j(NULL))),
        1);
}

void kit_peer(struct kit *k, const char *cert, char ret_peer[33])
{
    memcpy(ret_peer, cert, 32);
    ret_peer[32] = 0;
    assert_int_equal(
        state_do(k->state, STATE_peer_add,
            STATE_ARGS(state_t(ret_peer), state_t("となりの医院"), state_t("00112233445566778899aabbccddeeff"),
                state_t("22"), state_t(cert), state_i(plat_clock_wall().s + 86400 * 300), state_i((int64_t)1 << 40),
                state_t("もみじ医院"), state_i(plat_clock_wall().s), state_t("192.0.2.7"), state_t("manager"))),
        1);
}

const char *kit_str(const struct kit *k, const char *key)
{
    const char *s = json_string_value(json_object_get(k->body, key));
    return s ? s : "";
}

const char *kit_code(const struct kit *k)
{
    const char *s = json_string_value(json_object_get(json_object_get(k->body, "error"), "code"));
    return s ? s : "";
}

void kit_clock(struct kit *k, int64_t s)
{
    plat_clock_override(s * 1000, s * 1000);
    api_tick(k->api);
    kit_run(k);
}

unsigned kit_asked(const struct kit *k, const char *message)
{
    unsigned n = 0;
    size_t i;
    json_t *v;
    json_array_foreach(k->asked, i, v)
        n += !strcmp(json_string_value(json_object_get(v, "message")), message);
    return n;
}
