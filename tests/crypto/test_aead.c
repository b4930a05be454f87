#include "crypto_test.h"
#include "crypto/aead.h"
#include "crypto/random.h"

static struct crypto_aead *a;
static const char *const key_hex = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
static const char *const plain_hex =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
    "b16aedf5aa0de657ba637b39";
static const char *const sealed_hex =
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
    "c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b";

static void the_vector_of_the_gcm_specification_comes_out(void **state)
{
    struct hex key = hex(key_hex), nonce = hex("cafebabefacedbaddecaf888"), plain = hex(plain_hex);
    struct hex aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"), sealed = hex(sealed_hex);
    uint8_t out[128];
    assert_int_equal(crypto_aead_seal(a, key.p, nonce.p, HEX_SPAN(aad), HEX_SPAN(plain), out), 0);
    assert_memory_equal(out, sealed.p, sealed.n);
    assert_int_equal(crypto_aead_open(a, key.p, nonce.p, HEX_SPAN(aad), HEX_SPAN(sealed), out), 0);
    assert_memory_equal(out, plain.p, plain.n);
}

static void in_place_equals_apart_for_every_small_length(void **state)
{
    uint8_t key[32], nonce[12], plain[100], apart[116], same[116];
    crypto_random(key, sizeof(key));
    crypto_random(nonce, sizeof(nonce));
    crypto_random(plain, sizeof(plain));
    for (size_t n = 0; n <= sizeof(plain); n++) {
        memcpy(same, plain, n);
        assert_int_equal(crypto_aead_seal(a, key, nonce, SM_SPAN("x", 1), SM_SPAN(plain, n), apart), 0);
        assert_int_equal(crypto_aead_seal(a, key, nonce, SM_SPAN("x", 1), SM_SPAN(same, n), same), 0);
        assert_memory_equal(apart, same, n + 16);
        assert_int_equal(crypto_aead_open(a, key, nonce, SM_SPAN("x", 1), SM_SPAN(same, n + 16), same), 0);
        assert_memory_equal(same, plain, n);
    }
}

static void any_flipped_bit_is_refused_and_leaves_zeros(void **state)
{
    struct hex key = hex(key_hex), nonce = hex("cafebabefacedbaddecaf888"), sealed = hex(sealed_hex);
    struct hex aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    static const uint8_t zero[128];
    uint8_t out[128];
    for (size_t bit = 0; bit < sealed.n * 8; bit++) {
        sealed.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(out, 0x5a, sizeof(out));
        assert_int_equal(crypto_aead_open(a, key.p, nonce.p, HEX_SPAN(aad), HEX_SPAN(sealed), out), -SM_EAUTH);
        assert_memory_equal(out, zero, sealed.n - 16);
        assert_int_equal(out[sealed.n - 16], 0x5a);
        sealed.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    aad.p[0] ^= 1;
    assert_int_equal(crypto_aead_open(a, key.p, nonce.p, HEX_SPAN(aad), HEX_SPAN(sealed), out), -SM_EAUTH);
    aad.p[0] ^= 1;
    nonce.p[11] ^= 1;
    assert_int_equal(crypto_aead_open(a, key.p, nonce.p, HEX_SPAN(aad), HEX_SPAN(sealed), out), -SM_EAUTH);
    nonce.p[11] ^= 1;
    assert_int_equal(crypto_aead_open(a, key.p, nonce.p, HEX_SPAN(aad), HEX_SPAN(sealed), out), 0);
}

static void the_quick_way_gives_the_same_bytes_and_refuses_the_same(void **state)
{
    enum { MOST = 70000 };
    static uint8_t plain[MOST], want[MOST + 16], b[MOST + 16];
    struct crypto_aead *slow, *quick;
    uint8_t key[32], nonce[12];
    const size_t sizes[] = {0, 1, 255, 256, 257, 4095, 4096, 4111, 65536, 65553, MOST};
    assert_int_equal(crypto_aead_new(&slow), 0);
    assert_int_equal(crypto_aead_new_quick(&quick), 0);
    for (size_t i = 0; i < MOST; i++)
        plain[i] = (uint8_t)(i * 31 >> 3);
    for (size_t i = 0; i < 3 * sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i / 3];
        struct sm_span aad = SM_SPAN(plain + 5, i % 3 == 0 ? 0 : i % 3 == 1 ? 24 : 333);
        memset(key, (int)i, sizeof key);
        memset(nonce, (int)i + 1, sizeof nonce);
        assert_int_equal(crypto_aead_seal(slow, key, nonce, aad, SM_SPAN(plain, n), want), 0);
        memcpy(b, plain, n);
        assert_int_equal(crypto_aead_seal(quick, key, nonce, aad, SM_SPAN(b, n), b), 0); /* in place */
        assert_memory_equal(want, b, n + 16);
        assert_int_equal(crypto_aead_open(quick, key, nonce, aad, SM_SPAN(want, n + 16), b), 0);
        assert_memory_equal(b, plain, n);
        for (size_t at = 0; at < n + 16; at += n > 16 ? n / 7 + 1 : 1) {
            memcpy(b, want, n + 16);
            b[at] ^= 0x10;
            assert_int_equal(crypto_aead_open(quick, key, nonce, aad, SM_SPAN(b, n + 16), b), -SM_EAUTH);
            for (size_t j = 0; j < n; j++)
                assert_int_equal(b[j], 0);
        }
        key[31] ^= 1;
        assert_int_equal(crypto_aead_open(quick, key, nonce, aad, SM_SPAN(want, n + 16), b), -SM_EAUTH);
    }
    crypto_aead_free(slow);
    crypto_aead_free(quick);
}

static void less_than_a_tag_is_no_message(void **state)
{
    uint8_t key[32] = {0}, nonce[12] = {0}, in[15] = {0}, out[16];
    for (size_t n = 0; n < 16; n++) {
        assert_int_equal(crypto_aead_open(a, key, nonce, SM_SPAN(NULL, 0), SM_SPAN(in, n), out), -SM_EFORMAT);
    }
}

static int begin(void **state)
{
    int r = start_crypto(state);
    return r < 0 ? r : crypto_aead_new(&a);
}

static int end(void **state)
{
    crypto_aead_free(a);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_of_the_gcm_specification_comes_out),
        cmocka_unit_test(in_place_equals_apart_for_every_small_length),
        cmocka_unit_test(any_flipped_bit_is_refused_and_leaves_zeros),
        cmocka_unit_test(the_quick_way_gives_the_same_bytes_and_refuses_the_same),
        cmocka_unit_test(less_than_a_tag_is_no_message),
    };
    return cmocka_run_group_tests_name("crypto_aead", tests, begin, end);
}
