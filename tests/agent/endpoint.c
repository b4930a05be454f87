/* The policy of the endpoint: verified by each part, kept by it, numbers only rise. */
#include "../test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/init.h"
#include "crypto/sign.h"
#include "sakimori-agent/endpoint.h"
#include "sakimori-agent/orders.h"

static struct crypto_sign_pair key;
static struct agent_config config;
static char path[64];

static json_t *row_of(const char *kind, const char *args, const struct crypto_sign_pair *by, const char *device)
{
    struct sm_buf b64 = SM_BUF_INIT(ORDER_MAX * 2), text = SM_BUF_INIT(ORDER_TEXT_MAX);
    uint8_t sig[64];
    char hex[129];
    assert_ok(sm_buf_printf(&text,
        "{\"args\":%s,\"device\":\"%s\",\"id\":\"order-0001\",\"issued\":\"2026-11-22T05:00:00Z\",\"kind\":\"%s\","
        "\"not_after\":\"2026-11-22T06:00:00Z\",\"v\":1}",
        args, device, kind));
    assert_ok(crypto_sign_text(by, "sakimori/v1/order", sm_buf_span(&text), sig));
    sm_hex(sig, 64, hex);
    assert_ok(sm_base64(sm_buf_span(&text), &b64));
    json_t *o = json_pack("{s:s,s:s}", "order", sm_buf_str(&b64), "sig", hex);
    sm_buf_wipe(&b64);
    sm_buf_wipe(&text);
    return o;
}

static int take(const char *args, struct endpoint_policy *p, char *why)
{
    const struct endpoint_own own = {.config = &config, .path = path};
    json_t *row = row_of("endpoint", args, &key, "dev1");
    int r = endpoint_policy_take(row, &own, p, why);
    json_decref(row);
    return r;
}

static void without_a_policy_ransomware_is_stopped_and_nothing_is_blocked(void **s)
{
    const struct endpoint_own own = {.config = &config, .path = "/nonexistent/policy.json"};
    struct endpoint_policy p = {0};
    char why[160];
    (void)s;
    assert_ok(endpoint_policy_load(&own, &p, why));
    assert_int_equal(p.number, 0);
    assert_true(p.protect_auto && p.give_back && p.scan_on_write);
    assert_int_equal(p.ransom, ENDPOINT_STOP);
    assert_int_equal(p.answer, ENDPOINT_ANSWER_TELL);
    assert_int_equal(p.media, ENDPOINT_MEDIA_ALLOW);
    assert_int_equal(p.scan_weekday, ENDPOINT_NO_DAY);
    assert_false(p.may_disable || p.isolate_by_rule || p.block_file_n || p.block_to.n);
    endpoint_policy_wipe(&p);
}

static const char full[] =
    "{\"number\":7,\"policy\":{\"v\":1,\"protect\":[\"auto\",\"/srv/share\"],\"exclude\":[\"/srv/tmp\"],"
    "\"ransom\":{\"mode\":\"kill\",\"give_back\":false,\"sensitivity\":2},\"rules\":{\"answer\":\"stop\"},"
    "\"scan\":{\"on_write\":false,\"on_media\":true,\"schedule\":{\"weekday\":7,\"hour\":3},\"paths\":[\"/srv\"]},"
    "\"media\":{\"mode\":\"read_only\",\"allow\":[\"4C53000\"]},"
    "\"block\":{\"files\":[\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"],"
    "\"to\":[\"192.0.2.0/24\",\"bad.example\"]},\"accounts\":{\"may_disable\":true},\"isolate\":{\"by_rule\":true}}}";

static void a_signed_policy_is_taken_kept_and_read_again(void **s)
{
    const struct endpoint_own own = {.config = &config, .path = path};
    struct endpoint_policy p = {0}, again = {0};
    char why[160];
    (void)s;
    (void)unlink(path);
    assert_ok(endpoint_policy_default(NULL, &p));
    assert_ok(take(full, &p, why));
    assert_ok(endpoint_policy_load(&own, &again, why));
    assert_int_equal(again.number, 7);
    assert_true(again.protect_auto && !again.give_back && again.may_disable && again.isolate_by_rule);
    assert_int_equal(again.protect.n, 1);
    assert_string_equal(again.protect.at[0], "/srv/share");
    assert_string_equal(again.exclude.at[0], "/srv/tmp");
    assert_int_equal(again.ransom, ENDPOINT_KILL);
    assert_int_equal(again.answer, ENDPOINT_ANSWER_STOP);
    assert_int_equal(again.media, ENDPOINT_MEDIA_READ_ONLY);
    assert_int_equal(again.scan_weekday, ENDPOINT_EVERY_DAY);
    assert_int_equal(again.scan_hour, 3);
    assert_int_equal(again.block_file_n, 1);
    assert_int_equal(again.block_file[0][1], 0x11);
    assert_int_equal(again.block_to.n, 2);
    endpoint_policy_wipe(&p);
    endpoint_policy_wipe(&again);
}

static void a_number_that_does_not_rise_is_refused(void **s)
{
    struct endpoint_policy p = {0};
    char why[160];
    (void)s;
    (void)unlink(path);
    assert_ok(take("{\"number\":5,\"policy\":{\"v\":1,\"ransom\":{\"mode\":\"watch\"}}}", &p, why));
    assert_int_equal(take("{\"number\":5,\"policy\":{\"v\":1}}", &p, why), -SM_EEXISTS);
    assert_int_equal(take("{\"number\":4,\"policy\":{\"v\":1}}", &p, why), -SM_ETIME);
    assert_int_equal(p.ransom, ENDPOINT_WATCH);
    assert_int_equal(p.number, 5);
    endpoint_policy_wipe(&p);
}

static void another_key_kind_or_machine_gives_no_policy(void **s)
{
    const struct endpoint_own own = {.config = &config, .path = path};
    static const char args[] = "{\"number\":9,\"policy\":{\"v\":1}}";
    struct endpoint_policy p = {0};
    struct crypto_sign_pair other;
    char why[160];
    (void)s;
    assert_ok(crypto_sign_generate(&other));
    json_t *rows[] = {row_of("endpoint", args, &other, "dev1"), row_of("endpoint", args, &key, "dev2"),
        row_of("backup", args, &key, "dev1"), json_object()};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(endpoint_policy_take(rows[i], &own, &p, why) < 0);
        json_decref(rows[i]);
    }
    assert_int_equal(p.number, 0);
}

static void a_wrong_field_is_named_and_changes_nothing(void **s)
{
    static const char *const wrong[][2] = {
        {"{\"policy\":{\"v\":1}}", "number"},
        {"{\"number\":9}", "policy"},
        {"{\"number\":9,\"policy\":{\"v\":2}}", "policy.v"},
        {"{\"number\":9,\"policy\":{\"v\":1,\"protect\":[\"relative\"]}}", "protect"},
        {"{\"number\":9,\"policy\":{\"v\":1,\"exclude\":[\"/a/../b\"]}}", "exclude"},
        {"{\"number\":9,\"policy\":{\"v\":1,\"ransom\":{\"mode\":\"ask\"}}}", "ransom.mode"},
        {"{\"number\":9,\"policy\":{\"v\":1,\"ransom\":\"stop\"}}", "ransom"},
        {"{\"number\":9,\"policy\":{\"v\":1,\"ransom\":{\"sensitivity\":3}}}", "ransom.sensitivity"},
        {"{\"number\":9,\"policy\":{\"v\":1,\"rules\":{\"answer\":1}}}", "rules.answer"},
        {"{\"number\":9,\"policy\":{\"v\":1,\"scan\":{\"schedule\":{\"hour\":24,\"weekday\":1}}}}", "scan.schedule"},
        {"{\"number\":9,\"policy\":{\"v\":1,\"block\":{\"files\":[\"00\"]}}}", "block.files"},
        {"{\"number\":9,\"policy\":{\"v\":1,\"block\":{\"to\":[\"a b\"]}}}", "block.to"},
        {"{\"number\":9,\"policy\":{\"v\":1,\"isolate\":{\"by_rule\":1}}}", "isolate.by_rule"},
    };
    struct endpoint_policy p = {0};
    char why[160], want[64];
    (void)s;
    (void)unlink(path);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(take(wrong[i][0], &p, why), -SM_EINVAL);
        snprintf(want, sizeof want, "field \"%s\"", wrong[i][1]);
        assert_string_equal(why, want);
    }
    assert_int_equal(access(path, F_OK), -1);
}

static void the_machine_has_the_last_word_on_what_is_protected(void **s)
{
    char one[] = "/srv/mine", two[] = "/srv/mine/tmp", why[160];
    struct agent_policy local = {.protect = {one}, .protect_n = 1, .unprotect = {two}, .unprotect_n = 1};
    json_t *args = json_loads(full, 0, NULL);
    struct endpoint_policy p = {0};
    (void)s;
    assert_ok(endpoint_policy_parse(args, &local, &p, why));
    assert_false(p.protect_auto);
    assert_int_equal(p.protect.n, 1);
    assert_string_equal(p.protect.at[0], one);
    assert_int_equal(p.exclude.n, 2);
    assert_string_equal(p.exclude.at[1], two);
    json_decref(args);
    endpoint_policy_wipe(&p);
}

static void a_kept_policy_that_was_touched_is_not_believed(void **s)
{
    const struct endpoint_own own = {.config = &config, .path = path};
    struct endpoint_policy p = {0};
    char why[160];
    (void)s;
    (void)unlink(path);
    assert_ok(take("{\"number\":5,\"policy\":{\"v\":1,\"ransom\":{\"mode\":\"kill\"}}}", &p, why));
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, 40, SEEK_SET), 0);
    int was = fgetc(f);
    assert_int_equal(fseek(f, 40, SEEK_SET), 0);
    assert_int_not_equal(fputc(was == 'A' ? 'B' : 'A', f), EOF);
    assert_int_equal(fclose(f), 0);
    assert_true(endpoint_policy_load(&own, &p, why) < 0);
    assert_int_equal(p.number, 0);
    assert_int_equal(p.ransom, ENDPOINT_STOP);
    endpoint_policy_wipe(&p);
}

static int begin(void **s)
{
    char dir[] = "/tmp/sakimori-endpoint-XXXXXX";
    (void)s;
    if (crypto_init() || crypto_sign_generate(&key) || !mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/policy.json", dir);
    snprintf(config.device, sizeof config.device, "dev1");
    memcpy(config.order_pub, key.public_key, 32);
    return 0;
}

static int end(void **s)
{
    (void)s;
    (void)unlink(path);
    *strrchr(path, '/') = 0;
    return rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_policy_ransomware_is_stopped_and_nothing_is_blocked),
        cmocka_unit_test(a_signed_policy_is_taken_kept_and_read_again),
        cmocka_unit_test(a_number_that_does_not_rise_is_refused),
        cmocka_unit_test(another_key_kind_or_machine_gives_no_policy),
        cmocka_unit_test(a_wrong_field_is_named_and_changes_nothing),
        cmocka_unit_test(the_machine_has_the_last_word_on_what_is_protected),
        cmocka_unit_test(a_kept_policy_that_was_touched_is_not_believed),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
