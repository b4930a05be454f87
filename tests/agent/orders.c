/* Orders of the box: only fresh ones, for this device, signed, once. */
#include "../test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/init.h"
#include "crypto/sign.h"
#include "sakimori-agent/orders.h"

#define NOW "2026-11-22T05:30:00Z"

static struct crypto_sign_pair key;
static char used[64];

static json_t *row_of(const char *text, const struct crypto_sign_pair *by, const char *now)
{
    struct sm_buf b64 = SM_BUF_INIT(ORDER_MAX * 2);
    uint8_t sig[64];
    char hex[129];
    assert_ok(crypto_sign_text(by, "sakimori/v1/order", SM_SPAN_STR(text), sig));
    sm_hex(sig, 64, hex);
    assert_ok(sm_base64(SM_SPAN_STR(text), &b64));
    json_t *o = json_pack("{s:s,s:s,s:s}", "order", sm_buf_str(&b64), "sig", hex, "now", now);
    sm_buf_wipe(&b64);
    return o;
}

static const char *order_text(const char *id, const char *device, const char *issued, const char *not_after)
{
    static char text[512];
    snprintf(text, sizeof text,
        "{\"args\":{\"source\":\"x\"},\"device\":\"%s\",\"id\":\"%s\",\"issued\":\"%s\",\"kind\":\"backup\",\"not_"
        "after\":\"%s\",\"v\":1}",
        device, id, issued, not_after);
    return text;
}

static const char *good(const char *id)
{
    return order_text(id, "dev1", "2026-11-22T05:00:00Z", "2026-11-22T06:00:00Z");
}

static int take(json_t *row)
{
    struct order o = {0};
    char why[160];
    int r = order_take(row, key.public_key, "dev1", used, &o, why);
    if (!r)
        order_wipe(&o);
    json_decref(row);
    return r;
}

static void a_fresh_signed_order_is_taken_once(void **s)
{
    (void)s;
    assert_ok(take(row_of(good("order-0001"), &key, NOW)));
    assert_int_equal(take(row_of(good("order-0001"), &key, NOW)), -SM_EEXISTS);
    assert_ok(take(row_of(good("order-0002"), &key, NOW)));
    assert_int_equal(take(row_of(good("order-0001"), &key, NOW)), -SM_EEXISTS);
}

static void another_key_or_device_is_refused(void **s)
{
    struct crypto_sign_pair other;
    (void)s;
    assert_ok(crypto_sign_generate(&other));
    assert_int_equal(take(row_of(good("order-1001"), &other, NOW)), -SM_EAUTH);
    assert_int_equal(
        take(row_of(order_text("order-1002", "dev2", "2026-11-22T05:00:00Z", "2026-11-22T06:00:00Z"), &key, NOW)),
        -SM_EAUTH);
}

static void every_altered_byte_of_an_order_is_refused(void **s)
{
    struct sm_buf b64 = SM_BUF_INIT(65536);
    char text[512];
    unsigned tried = 0;
    (void)s;
    snprintf(text, sizeof text, "%s", good("order-2001"));
    for (size_t i = 0; i < strlen(text); i++) {
        json_t *row = row_of(text, &key, NOW);
        char bent[512];
        snprintf(bent, sizeof bent, "%s", text);
        bent[i] ^= 1;
        sm_buf_clear(&b64);
        assert_ok(sm_base64(SM_SPAN_STR(bent), &b64));
        json_object_set_new(row, "order", json_string(sm_buf_str(&b64)));
        assert_int_equal(take(row), -SM_EAUTH);
        tried++;
    }
    print_message("%u altered orders refused\n", tried);
    sm_buf_wipe(&b64);
}

static void too_early_too_late_and_too_long_are_refused(void **s)
{
    (void)s;
    assert_int_equal(take(row_of(good("order-3001"), &key, "2026-11-22T06:00:01Z")), -SM_ETIME);
    assert_int_equal(take(row_of(good("order-3002"), &key, "2026-11-22T04:54:59Z")), -SM_ETIME);
    assert_int_equal(
        take(row_of(order_text("order-3003", "dev1", "2026-11-22T05:00:00Z", "2026-11-23T05:00:01Z"), &key, NOW)),
        -SM_ETIME);
    assert_int_equal(
        take(row_of(order_text("order-3004", "dev1", "2026-11-22T06:00:00Z", "2026-11-22T05:00:00Z"), &key, NOW)),
        -SM_ETIME);
}

static void nonsense_is_refused_with_a_reason(void **s)
{
    struct order o;
    char why[160];
    (void)s;
    json_t *rows[] = {json_object(), json_pack("{s:s}", "order", "e30="),
        json_pack("{s:s,s:s,s:s}", "order", "!!", "sig", "00", "now", NOW), row_of("[]", &key, NOW),
        row_of("{}", &key, NOW), row_of("{\"v\":1}", &key, NOW)};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(order_check(rows[i], key.public_key, "dev1", &o, why) < 0);
        json_decref(rows[i]);
    }
}

static void an_id_with_strange_letters_is_refused(void **s)
{
    (void)s;
    assert_int_equal(take(row_of(good("../../etc/x"), &key, NOW)), -SM_EFORMAT);
}

static void an_order_may_name_many_files_up_to_its_limit(void **s)
{
    (void)s;
    const size_t sizes[] = {20000, 40000, ORDER_TEXT_MAX - 300, ORDER_TEXT_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *paths = calloc(1, sizes[i] + 1), *text = calloc(1, sizes[i] + 400);
        assert_true(paths && text);
        memset(paths, 'x', sizes[i]);
        snprintf(text, sizes[i] + 400,
            "{\"args\":{\"paths\":\"%s\"},\"device\":\"dev1\",\"id\":\"order-4%03zu\",\"issued\":\"2026-11-22T05:00:00Z\","
            "\"kind\":\"restore\",\"not_after\":\"2026-11-22T06:00:00Z\",\"v\":1}",
            paths, i);
        bool fits = strlen(text) <= ORDER_TEXT_MAX;
        assert_int_equal(fits, sizes[i] != ORDER_TEXT_MAX);
        int r = take(row_of(text, &key, NOW));
        assert_true(fits ? r == 0 : r < 0);
        free(paths);
        free(text);
    }
}

static int setup(void **s)
{
    (void)s;
    snprintf(used, sizeof used, "/tmp/sakimori-orders-%d", (int)getpid());
    unlink(used);
    return crypto_init() || crypto_sign_generate(&key);
}

static int teardown(void **s)
{
    (void)s;
    unlink(used);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_signed_order_is_taken_once),
        cmocka_unit_test(another_key_or_device_is_refused),
        cmocka_unit_test(every_altered_byte_of_an_order_is_refused),
        cmocka_unit_test(too_early_too_late_and_too_long_are_refused),
        cmocka_unit_test(nonsense_is_refused_with_a_reason),
        cmocka_unit_test(an_id_with_strange_letters_is_refused),
        cmocka_unit_test(an_order_may_name_many_files_up_to_its_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
