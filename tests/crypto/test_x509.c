#include "crypto_test.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

#define NOW INT64_C(1795305600) /* 2026-11-22 */
#define DAY INT64_C(86400)

static struct sm_buf ca_key, ca_cert, other_key, other_cert, key, csr;

#define SPAN(b) sm_buf_span(&(b))

static int make(void **state)
{
    int r = start_crypto(state);
    r = r < 0 ? r : crypto_x509_key_new(&ca_key);
    r = r < 0 ? r : crypto_x509_key_new(&other_key);
    r = r < 0 ? r : crypto_x509_key_new(&key);
    r = r < 0 ? r : crypto_x509_ca_new(SPAN(ca_key), "みどり内科", NOW, &ca_cert);
    r = r < 0 ? r : crypto_x509_ca_new(SPAN(other_key), "みどり内科", NOW, &other_cert);
    return r < 0 ? r : crypto_x509_csr_new(SPAN(key), "reception pc", &csr);
}

static int drop(void **state)
{
    struct sm_buf *all[] = {&ca_key, &ca_cert, &other_key, &other_cert, &key, &csr};
    for (size_t i = 0; i < 6; i++) {
        sm_buf_wipe(all[i]);
    }
    return 0;
}

static void device_cert(struct sm_buf *ret)
{
    sm_buf_clear(ret);
    assert_int_equal(
        crypto_x509_device_from_csr(SPAN(ca_cert), SPAN(ca_key), SPAN(csr), "dev-0001", NOW, 90, ret), 0);
}

static void the_ca_says_what_it_is(void **state)
{
    struct crypto_cert_info i;
    uint8_t hash[32];
    assert_int_equal(crypto_x509_info(SPAN(ca_cert), &i), 0);
    assert_string_equal(i.cn, "Sakimori みどり内科");
    assert_true(i.ca);
    assert_false(i.client_auth);
    assert_int_equal(i.serial_n, CRYPTO_SERIAL_LEN);
    assert_int_equal(i.not_before_s, NOW - 3600);
    assert_int_equal(i.not_after_s, NOW + CRYPTO_CA_DAYS * DAY);
    crypto_sha256(SPAN(ca_cert), hash);
    assert_memory_equal(i.fingerprint, hash, 32);
}

static void long_names_are_cut_between_characters_and_empty_ones_refused(void **state)
{
    struct sm_buf c = SM_BUF_INIT(CRYPTO_CERT_MAX), name = SM_BUF_INIT(1024);
    struct crypto_cert_info i;
    for (int n = 0; n < 60; n++) {
        assert_int_equal(sm_buf_put_span(&name, SM_SPAN_STR("院")), 0);
    }
    assert_int_equal(crypto_x509_ca_new(SPAN(ca_key), sm_buf_str(&name), NOW, &c), 0);
    assert_int_equal(crypto_x509_info(SPAN(c), &i), 0);
    assert_int_equal(strlen(i.cn), 9 + 55 * 3);
    sm_buf_clear(&c);
    assert_int_equal(crypto_x509_ca_new(SPAN(ca_key), "", NOW, &c), -SM_EINVAL);
    assert_int_equal(crypto_x509_ca_new(SPAN(ca_key), "a\nb", NOW, &c), -SM_EINVAL);
    assert_int_equal(crypto_x509_ca_new(SPAN(ca_key), "\xff", NOW, &c), -SM_EINVAL);
    assert_int_equal(crypto_x509_ca_new(SM_SPAN("junk", 4), "a", NOW, &c), -SM_EFORMAT);
    assert_int_equal(c.n, 0);
    sm_buf_wipe(&c);
    sm_buf_wipe(&name);
}

static void a_device_certificate_verifies_and_carries_only_what_the_box_says(void **state)
{
    struct sm_buf c = SM_BUF_INIT(CRYPTO_CERT_MAX);
    struct crypto_cert_info i;
    uint8_t spki[32];
    device_cert(&c);
    assert_int_equal(crypto_x509_verify_client(SPAN(ca_cert), SPAN(c), NOW, &i), 0);
    assert_string_equal(i.cn, "dev-0001"); /* not the request's own "reception pc" */
    assert_true(i.client_auth);
    assert_false(i.server_auth);
    assert_false(i.ca);
    assert_int_equal(i.not_after_s, NOW + 90 * DAY);
    assert_int_equal(i.serial_n, CRYPTO_SERIAL_LEN);
    assert_int_equal(crypto_x509_csr_check(SPAN(csr), spki), 0);
    assert_memory_equal(i.spki_sha256, spki, 32);
    assert_int_equal(crypto_x509_key_matches(SPAN(c), SPAN(key)), 0);
    assert_int_equal(crypto_x509_key_matches(SPAN(c), SPAN(ca_key)), -SM_EMISMATCH);
    sm_buf_wipe(&c);
}

static void the_same_key_as_a_bare_spki_works_too(void **state)
{
    struct sm_buf c = SM_BUF_INIT(CRYPTO_CERT_MAX), spki = SM_BUF_INIT(1024);
    struct crypto_cert_info i;
    assert_int_equal(crypto_x509_key_spki(SPAN(key), &spki), 0);
    assert_int_equal(
        crypto_x509_device_from_spki(SPAN(ca_cert), SPAN(ca_key), SPAN(spki), "dev-2", NOW, 1, &c), 0);
    assert_int_equal(crypto_x509_verify_client(SPAN(ca_cert), SPAN(c), NOW, &i), 0);
    assert_string_equal(i.cn, "dev-2");
    sm_buf_clear(&c);
    spki.p[spki.n - 1] ^= 1; /* now a point off the curve */
    assert_int_equal(crypto_x509_device_from_spki(SPAN(ca_cert), SPAN(ca_key), SPAN(spki), "dev-2", NOW, 1, &c),
        -SM_EUNSUPPORTED);
    assert_int_equal(c.n, 0);
    sm_buf_wipe(&c);
    sm_buf_wipe(&spki);
}

static void another_ca_of_the_same_name_is_not_ours(void **state)
{
    struct sm_buf c = SM_BUF_INIT(CRYPTO_CERT_MAX);
    struct crypto_cert_info i;
    device_cert(&c);
    assert_int_equal(crypto_x509_verify_client(SPAN(other_cert), SPAN(c), NOW, &i), -SM_EAUTH);
    assert_int_equal(crypto_x509_verify_client(SPAN(ca_cert), SPAN(ca_cert), NOW, &i), -SM_EAUTH);
    sm_buf_wipe(&c);
}

static void time_is_that_of_the_caller(void **state)
{
    struct sm_buf c = SM_BUF_INIT(CRYPTO_CERT_MAX);
    struct crypto_cert_info i;
    device_cert(&c);
    assert_int_equal(crypto_x509_verify_client(SPAN(ca_cert), SPAN(c), NOW - 3601, &i), -SM_ETIME);
    assert_int_equal(crypto_x509_verify_client(SPAN(ca_cert), SPAN(c), NOW + 90 * DAY, &i), 0);
    assert_int_equal(crypto_x509_verify_client(SPAN(ca_cert), SPAN(c), NOW + 90 * DAY + 1, &i), -SM_ETIME);
    sm_buf_wipe(&c);
}

static void no_certificate_outlives_its_ca(void **state)
{
    struct sm_buf c = SM_BUF_INIT(CRYPTO_CERT_MAX);
    struct crypto_cert_info i;
    int64_t late = NOW + (CRYPTO_CA_DAYS - 10) * DAY;
    assert_int_equal(crypto_x509_device_from_csr(SPAN(ca_cert), SPAN(ca_key), SPAN(csr), "d", late, 90, &c), 0);
    assert_int_equal(crypto_x509_info(SPAN(c), &i), 0);
    assert_int_equal(i.not_after_s, NOW + CRYPTO_CA_DAYS * DAY);
    sm_buf_wipe(&c);
}

static void a_server_certificate_is_not_a_clients(void **state)
{
    struct sm_buf c = SM_BUF_INIT(CRYPTO_CERT_MAX);
    struct crypto_cert_info i;
    const char *names[] = {"sakimori.local", "localhost", "127.0.0.1", "::1"}, *bad[] = {"a b"}, *evil[] = {"a\nb"};
    assert_int_equal(crypto_x509_server_new(SPAN(ca_cert), SPAN(ca_key), SPAN(key), names, 4, NOW, &c), 0);
    assert_int_equal(crypto_x509_verify_client(SPAN(ca_cert), SPAN(c), NOW, &i), -SM_EDENIED);
    assert_int_equal(crypto_x509_info(SPAN(c), &i), 0);
    assert_true(i.server_auth);
    assert_string_equal(i.cn, "sakimori.local");
    assert_int_equal(i.not_after_s, NOW + CRYPTO_SERVER_DAYS * DAY);
    sm_buf_clear(&c);
    assert_int_equal(crypto_x509_server_new(SPAN(ca_cert), SPAN(ca_key), SPAN(key), bad, 1, NOW, &c), -SM_EINVAL);
    assert_int_equal(crypto_x509_server_new(SPAN(ca_cert), SPAN(ca_key), SPAN(key), evil, 1, NOW, &c), -SM_EINVAL);
    assert_int_equal(crypto_x509_server_new(SPAN(ca_cert), SPAN(ca_key), SPAN(key), names, 0, NOW, &c), -SM_EINVAL);
    sm_buf_wipe(&c);
}

static void a_key_that_is_not_the_cas_cannot_issue(void **state)
{
    struct sm_buf c = SM_BUF_INIT(CRYPTO_CERT_MAX);
    assert_int_equal(crypto_x509_device_from_csr(SPAN(ca_cert), SPAN(other_key), SPAN(csr), "dev", NOW, 90, &c),
        -SM_EMISMATCH);
    sm_buf_wipe(&c);
}

static void device_names_and_days_have_limits(void **state)
{
    static const char *const bad[] = {"", "a b", "a/b", "日本", "a,CN=b",
        "12345678901234567890123456789012345678901234567890123456789012345"};
    struct sm_buf c = SM_BUF_INIT(CRYPTO_CERT_MAX);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(crypto_x509_device_from_csr(SPAN(ca_cert), SPAN(ca_key), SPAN(csr), bad[i], NOW, 90, &c),
            -SM_EINVAL);
    }
    assert_int_equal(
        crypto_x509_device_from_csr(SPAN(ca_cert), SPAN(ca_key), SPAN(csr), "d", NOW, 0, &c), -SM_EINVAL);
    assert_int_equal(
        crypto_x509_device_from_csr(SPAN(ca_cert), SPAN(ca_key), SPAN(csr), "d", NOW, 3651, &c), -SM_EINVAL);
    assert_int_equal(c.n, 0);
    sm_buf_wipe(&c);
}

static void no_flipped_bit_of_a_request_or_certificate_passes(void **state)
{
    struct sm_buf c = SM_BUF_INIT(CRYPTO_CERT_MAX);
    struct crypto_cert_info i, good;
    uint8_t spki[32];
    device_cert(&c);
    assert_int_equal(crypto_x509_info(SPAN(c), &good), 0);
    for (size_t bit = 0; bit < csr.n * 8; bit += 3) {
        csr.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(crypto_x509_csr_check(SPAN(csr), spki) < 0);
        csr.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < c.n * 8; bit += 3) {
        c.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(crypto_x509_verify_client(SPAN(ca_cert), SPAN(c), NOW, &i) < 0);
        c.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(crypto_x509_csr_check(SPAN(csr), spki), 0);
    sm_buf_wipe(&c);
}

static void cut_and_oversized_inputs_are_refused(void **state)
{
    uint8_t spki[32], *big = calloc(1, CRYPTO_CERT_MAX + 1);
    struct crypto_cert_info i;
    assert_non_null(big);
    for (size_t n = 0; n < csr.n; n++) {
        assert_int_equal(crypto_x509_csr_check(SM_SPAN(csr.p, n), spki), -SM_EFORMAT);
    }
    for (size_t n = 0; n < ca_cert.n; n++) {
        assert_int_equal(crypto_x509_info(SM_SPAN(ca_cert.p, n), &i), -SM_EFORMAT);
    }
    assert_int_equal(crypto_x509_csr_check(SM_SPAN(big, CRYPTO_CERT_MAX + 1), spki), -SM_ELIMIT);
    assert_int_equal(crypto_x509_info(SM_SPAN(big, CRYPTO_CERT_MAX + 1), &i), -SM_ELIMIT);
    free(big);
}

/* A request for an RSA key, made with certtool; its signature is sound. */
static const char rsa_csr[] =
#include "rsa_csr.inc"
    ;

static void a_request_for_another_kind_of_key_is_refused(void **state)
{
    uint8_t spki[32];
    assert_int_equal(crypto_x509_csr_check(SM_SPAN_STR(rsa_csr), spki), -SM_EUNSUPPORTED);
}

static void pem_and_der_convert_and_are_both_taken(void **state)
{
    struct sm_buf pem = SM_BUF_INIT(CRYPTO_CERT_MAX), der = SM_BUF_INIT(CRYPTO_CERT_MAX);
    assert_int_equal(crypto_x509_to_pem(SPAN(ca_cert), &pem), 0);
    assert_memory_equal(pem.p, "-----BEGIN CERTIFICATE-----", 27);
    assert_int_equal(crypto_x509_to_der(SPAN(pem), &der), 0);
    assert_true(sm_span_eq(SPAN(der), SPAN(ca_cert)));
    assert_int_equal(crypto_x509_key_matches(SPAN(pem), SPAN(ca_key)), 0);
    sm_buf_wipe(&pem);
    sm_buf_wipe(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ca_says_what_it_is),
        cmocka_unit_test(long_names_are_cut_between_characters_and_empty_ones_refused),
        cmocka_unit_test(a_device_certificate_verifies_and_carries_only_what_the_box_says),
        cmocka_unit_test(the_same_key_as_a_bare_spki_works_too),
        cmocka_unit_test(another_ca_of_the_same_name_is_not_ours),
        cmocka_unit_test(time_is_that_of_the_caller),
        cmocka_unit_test(no_certificate_outlives_its_ca),
        cmocka_unit_test(a_server_certificate_is_not_a_clients),
        cmocka_unit_test(a_key_that_is_not_the_cas_cannot_issue),
        cmocka_unit_test(device_names_and_days_have_limits),
        cmocka_unit_test(no_flipped_bit_of_a_request_or_certificate_passes),
        cmocka_unit_test(cut_and_oversized_inputs_are_refused),
        cmocka_unit_test(a_request_for_another_kind_of_key_is_refused),
        cmocka_unit_test(pem_and_der_convert_and_are_both_taken),
    };
    return cmocka_run_group_tests_name("crypto_x509", tests, make, drop);
}
