#include "crypto_test.h"
#include "crypto/hash.h"
#include <pthread.h>

static void sha256_gives_the_vectors_of_fips_180(void **state)
{
    uint8_t d[32];
    crypto_sha256(SM_SPAN("abc", 3), d);
    assert_bytes(d, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256(SM_SPAN(NULL, 0), d);
    assert_bytes(d, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    char *a = malloc(1000000);
    assert_non_null(a);
    memset(a, 'a', 1000000);
    crypto_sha256(SM_SPAN(a, 1000000), d);
    assert_bytes(d, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(a);
}

static void streaming_in_any_cut_equals_one_shot_and_can_be_used_again(void **state)
{
    uint8_t in[300], one[32], many[32];
    struct crypto_sha256_ctx *c = NULL;
    for (size_t i = 0; i < sizeof(in); i++) {
        in[i] = (uint8_t)(i * 7);
    }
    assert_int_equal(crypto_sha256_new(&c), 0);
    crypto_sha256(SM_SPAN(in, sizeof(in)), one);
    for (size_t cut = 0; cut <= sizeof(in); cut++) {
        crypto_sha256_put(c, SM_SPAN(in, cut));
        crypto_sha256_put(c, SM_SPAN(in + cut, sizeof(in) - cut));
        crypto_sha256_final(c, many);
        assert_memory_equal(one, many, 32);
    }
    crypto_sha256_put(c, SM_SPAN("junk", 4));
    crypto_sha256_reset(c);
    crypto_sha256_put(c, SM_SPAN(in, sizeof(in)));
    crypto_sha256_final(c, many);
    assert_memory_equal(one, many, 32);
    crypto_sha256_free(c);
}

static void parts_equal_their_concatenation(void **state)
{
    uint8_t one[32], parts[32];
    struct sm_span p[] = {SM_SPAN("ab", 2), SM_SPAN(NULL, 0), SM_SPAN("c", 1)};
    crypto_sha256v(p, 3, parts);
    crypto_sha256(SM_SPAN("abc", 3), one);
    assert_memory_equal(one, parts, 32);
}

static void hmac_gives_the_vectors_of_rfc_4231(void **state)
{
    static const struct { int key_byte; size_t key_n; const char *key, *data, *mac; } v[] = {
        {0x0b, 20, NULL, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {0, 4, "Jefe", "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {0xaa, 131, NULL, "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {0xaa, 131, NULL,
            "This is a test using a larger than block-size key and a larger than block-size data. The key needs to "
            "be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        uint8_t key[131], mac[32];
        struct crypto_hmac_key k;
        memset(key, v[i].key_byte, sizeof(key));
        if (v[i].key) {
            memcpy(key, v[i].key, v[i].key_n);
        }
        crypto_hmac_sha256(SM_SPAN(key, v[i].key_n), SM_SPAN_STR(v[i].data), mac);
        assert_bytes(mac, v[i].mac);
        size_t half = strlen(v[i].data) / 2;
        struct sm_span parts[] = {SM_SPAN(v[i].data, half), SM_SPAN_STR(v[i].data + half)};
        crypto_hmac_key_init(&k, SM_SPAN(key, v[i].key_n));
        for (int again = 0; again < 2; again++) {
            memset(mac, 0, sizeof(mac));
            crypto_hmac(&k, parts, 2, mac);
            assert_bytes(mac, v[i].mac);
        }
    }
}

static void hkdf_gives_the_vectors_of_rfc_5869(void **state)
{
    uint8_t ikm[80], salt[80], info[80], prk[32], okm[82];
    memset(ikm, 0x0b, 22);
    for (unsigned i = 0; i < 80; i++) {
        salt[i] = (uint8_t)i;
        info[i] = (uint8_t)(0xf0 + i);
    }
    crypto_hkdf_extract(SM_SPAN(salt, 13), SM_SPAN(ikm, 22), prk);
    assert_bytes(prk, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    assert_int_equal(crypto_hkdf_expand(prk, SM_SPAN(info, 10), okm, 42), 0);
    assert_bytes(okm, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    assert_int_equal(crypto_hkdf(SM_SPAN(NULL, 0), SM_SPAN(ikm, 22), SM_SPAN(NULL, 0), okm, 42), 0);
    assert_bytes(okm, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    for (unsigned i = 0; i < 80; i++) {
        ikm[i] = (uint8_t)i;
        salt[i] = (uint8_t)(0x60 + i);
        info[i] = (uint8_t)(0xb0 + i);
    }
    assert_int_equal(crypto_hkdf(SM_SPAN(salt, 80), SM_SPAN(ikm, 80), SM_SPAN(info, 80), okm, 82), 0);
    assert_bytes(okm, "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e"
                      "09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

static void hkdf_refuses_more_than_255_blocks(void **state)
{
    uint8_t prk[32] = {1};
    uint8_t *out = calloc(1, 255 * 32 + 1);
    assert_non_null(out);
    assert_int_equal(crypto_hkdf_expand(prk, SM_SPAN(NULL, 0), out, 255 * 32), 0);
    memset(out, 0x5a, 255 * 32 + 1);
    assert_int_equal(crypto_hkdf_expand(prk, SM_SPAN(NULL, 0), out, 255 * 32 + 1), -SM_ELIMIT);
    assert_int_equal(out[0], 0x5a);
    free(out);
}

static void hmac_sha1_gives_the_vector_of_rfc_2202(void **state)
{
    uint8_t mac[20];
    crypto_hmac_sha1(SM_SPAN("Jefe", 4), SM_SPAN_STR("what do ya want for nothing?"), mac);
    assert_bytes(mac, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
}

static void *worker(void *arg)
{
    const struct crypto_hmac_key *k = arg;
    uint8_t mac[32], first[32];
    struct sm_span in = SM_SPAN("what do ya want for nothing?", 28);
    crypto_hmac(k, &in, 1, first);
    for (int i = 0; i < 2000; i++) {
        crypto_hmac(k, &in, 1, mac);
        if (memcmp(mac, first, 32)) {
            return arg;
        }
    }
    return NULL;
}

static void one_prepared_key_serves_several_threads(void **state)
{
    struct crypto_hmac_key k;
    pthread_t t[3];
    crypto_hmac_key_init(&k, SM_SPAN("Jefe", 4));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, worker, &k), 0);
    }
    for (int i = 0; i < 3; i++) {
        void *bad = NULL;
        assert_int_equal(pthread_join(t[i], &bad), 0);
        assert_null(bad);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_vectors_of_fips_180),
        cmocka_unit_test(streaming_in_any_cut_equals_one_shot_and_can_be_used_again),
        cmocka_unit_test(parts_equal_their_concatenation),
        cmocka_unit_test(hmac_gives_the_vectors_of_rfc_4231),
        cmocka_unit_test(hkdf_gives_the_vectors_of_rfc_5869),
        cmocka_unit_test(hkdf_refuses_more_than_255_blocks),
        cmocka_unit_test(hmac_sha1_gives_the_vector_of_rfc_2202),
        cmocka_unit_test(one_prepared_key_serves_several_threads),
    };
    return cmocka_run_group_tests_name("crypto_hash", tests, start_crypto, NULL);
}
