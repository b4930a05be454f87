/* The certificate of a machine is renewed before it ends: which of two is used, what is taken, what is kept. */
#include "../test.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/json.h"
#include "crypto/init.h"
#include "crypto/x509.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/renew.h"

#define DEVICE "abcdefabcdefabcdefabcdefabcdefab"
static char dir[64];
static struct sm_buf ca_key = SM_BUF_INIT(8192), ca = SM_BUF_INIT(8192), key = SM_BUF_INIT(8192), other_key = SM_BUF_INIT(8192);

static void put(const char *name, struct sm_span content)
{
    char path[80];
    snprintf(path, sizeof path, "%s/link", dir);
    int d = plat_fs_open_dir(AT_FDCWD, path);
    assert_true(d >= 0);
    assert_ok(plat_replace(d, name, content, 0600));
    close(d);
}

/* A certificate of this many days as PEM. */
static void cert(const struct sm_buf *k, const char *device, unsigned days, struct sm_buf *ret)
{
    struct sm_buf csr = SM_BUF_INIT(8192), der = SM_BUF_INIT(8192);
    assert_ok(crypto_x509_csr_new(sm_buf_span(k), "x", &csr));
    assert_ok(crypto_x509_device_from_csr(sm_buf_span(&ca), sm_buf_span(&ca_key), sm_buf_span(&csr), device,
        plat_clock_wall().s, days, &der));
    sm_buf_clear(ret);
    assert_ok(crypto_x509_to_pem(sm_buf_span(&der), ret));
    sm_buf_wipe(&csr);
    sm_buf_wipe(&der);
}

static int setup(void **state)
{
    char path[80];
    assert_ok(crypto_init());
    snprintf(dir, sizeof dir, "/tmp/sk-renew-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/link", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_ok(crypto_x509_key_new(&ca_key));
    assert_ok(crypto_x509_key_new(&key));
    assert_ok(crypto_x509_key_new(&other_key));
    assert_ok(crypto_x509_ca_new(sm_buf_span(&ca_key), "医院", plat_clock_wall().s, &ca));
    put("tls.key", sm_buf_span(&key));
    return 0;
}

static int teardown(void **state)
{
    sm_buf_wipe(&ca_key);
    sm_buf_wipe(&ca);
    sm_buf_wipe(&key);
    sm_buf_wipe(&other_key);
    return plat_fs_remove_tree(AT_FDCWD, dir);
}

static void picks(const char *name, int64_t days)
{
    char path[200];
    int64_t until = 0, left;
    assert_ok(renew_pick(dir, path, sizeof path, &until));
    assert_string_equal(strrchr(path, '/') + 1, name);
    left = (until - plat_clock_wall().s + 43200) / 86400;
    assert_int_equal(left, days);
}

static void the_next_certificate_is_used_when_it_continues_the_first(void **state)
{
    struct sm_buf pem = SM_BUF_INIT(16384);
    cert(&key, DEVICE, 20, &pem);
    put("cert.pem", sm_buf_span(&pem));
    picks("cert.pem", 20);
    cert(&key, DEVICE, 365, &pem);
    put(RENEW_NEXT, sm_buf_span(&pem));
    picks(RENEW_NEXT, 365);
    static const char *const bad[] = { "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" };
    for (size_t i = 0; i < 2; i++) {
        put(RENEW_NEXT, SM_SPAN_STR(bad[i]));
        picks("cert.pem", 20);
    }
    cert(&other_key, DEVICE, 365, &pem); /* of a join before */
    put(RENEW_NEXT, sm_buf_span(&pem));
    picks("cert.pem", 20);
    cert(&key, "another", 365, &pem);
    put(RENEW_NEXT, sm_buf_span(&pem));
    picks("cert.pem", 20);
    cert(&key, DEVICE, 10, &pem);
    put(RENEW_NEXT, sm_buf_span(&pem));
    picks("cert.pem", 20);
    sm_buf_wipe(&pem);
}

static void only_one_of_the_same_name_and_key_with_a_later_end_is_taken(void **state)
{
    const struct { const struct sm_buf *k; const char *device; unsigned days; int want; } rows[] = {
        { &key, DEVICE, 365, 0 }, { &key, DEVICE, 19, -SM_EMISMATCH }, { &key, "another", 365, -SM_EMISMATCH },
        { &other_key, DEVICE, 365, -SM_EMISMATCH } };
    struct sm_buf pem = SM_BUF_INIT(16384), text = SM_BUF_INIT(65536), got = SM_BUF_INIT(16384);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cert(rows[i].k, rows[i].device, rows[i].days, &pem);
        json_t *o = json_pack("{s:s}", "cert_pem", sm_buf_str(&pem));
        sm_buf_clear(&text);
        sm_buf_clear(&got);
        assert_ok(sm_json_dump(o, &text));
        assert_int_equal(renew_take(dir, sm_buf_span(&text), &got), rows[i].want);
        assert_int_equal(got.n > 0, rows[i].want == 0);
        json_decref(o);
    }
    assert_int_equal(renew_take(dir, SM_SPAN_STR("{}"), &got), -SM_EFORMAT);
    assert_int_equal(renew_take(dir, SM_SPAN_STR("no"), &got), -SM_EFORMAT);
    sm_buf_wipe(&pem);
    sm_buf_wipe(&text);
    sm_buf_wipe(&got);
}

static void what_is_no_certificate_is_not_kept(void **state)
{
    struct sm_buf pem = SM_BUF_INIT(16384);
    cert(&key, DEVICE, 365, &pem);
    assert_ok(renew_keep(dir, sm_buf_span(&pem)));
    picks(RENEW_NEXT, 365);
    assert_int_equal(renew_keep(dir, SM_SPAN_STR("-----BEGIN PRIVATE KEY-----\nAAAA\n")), -SM_EFORMAT);
    assert_int_equal(renew_keep(dir, SM_SPAN_STR("-----BEGIN CERTIFICATE-----\n\x01\n")), -SM_EFORMAT);
    assert_int_equal(renew_keep(dir, SM_SPAN(NULL, 0)), -SM_EFORMAT);
    picks(RENEW_NEXT, 365);
    sm_buf_wipe(&pem);
}

static void the_request_is_for_the_key_there_is(void **state)
{
    struct sm_buf text = SM_BUF_INIT(65536);
    uint8_t spki[32], own[32];
    json_t *o = NULL;
    struct crypto_cert_info i;
    struct sm_buf pem = SM_BUF_INIT(16384);
    assert_ok(renew_request(dir, &text));
    assert_ok(sm_json_parse(sm_buf_span(&text), 65536, &o, NULL));
    assert_ok(crypto_x509_csr_check(SM_SPAN_STR(json_string_value(json_object_get(o, "csr"))), spki));
    cert(&key, DEVICE, 30, &pem);
    assert_ok(crypto_x509_info(sm_buf_span(&pem), &i));
    memcpy(own, i.spki_sha256, 32);
    assert_memory_equal(spki, own, 32);
    json_decref(o);
    sm_buf_wipe(&text);
    sm_buf_wipe(&pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_certificate_is_used_when_it_continues_the_first),
        cmocka_unit_test(only_one_of_the_same_name_and_key_with_a_later_end_is_taken),
        cmocka_unit_test(what_is_no_certificate_is_not_kept),
        cmocka_unit_test(the_request_is_for_the_key_there_is),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
