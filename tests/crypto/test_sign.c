#include "crypto_test.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

static const struct { const char *seed, *public_key, *message, *signature; } vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

static void the_vectors_of_rfc_8032_sign_and_verify(void **state)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct crypto_sign_pair p;
        struct hex seed = hex(vectors[i].seed), message = hex(vectors[i].message);
        uint8_t sig[64];
        assert_int_equal(crypto_sign_from_seed(seed.p, &p), 0);
        assert_bytes(p.public_key, vectors[i].public_key);
        assert_int_equal(crypto_sign(&p, HEX_SPAN(message), sig), 0);
        assert_bytes(sig, vectors[i].signature);
        assert_int_equal(crypto_sign_verify(p.public_key, HEX_SPAN(message), sig), 0);
    }
}

static void any_flipped_bit_is_refused(void **state)
{
    struct crypto_sign_pair p;
    uint8_t sig[64], message[3] = "abc";
    assert_int_equal(crypto_sign_generate(&p), 0);
    assert_int_equal(crypto_sign(&p, SM_SPAN(message, 3), sig), 0);
    for (size_t bit = 0; bit < 512; bit++) {
        sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(crypto_sign_verify(p.public_key, SM_SPAN(message, 3), sig), -SM_EAUTH);
        sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 256; bit++) {
        p.public_key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(crypto_sign_verify(p.public_key, SM_SPAN(message, 3), sig), -SM_EAUTH);
        p.public_key[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    message[0] ^= 1;
    assert_int_equal(crypto_sign_verify(p.public_key, SM_SPAN(message, 3), sig), -SM_EAUTH);
}

/* s + L verifies too if nobody looks: the same message would have two signatures. */
static void s_beyond_the_group_order_is_refused(void **state)
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde,
        0xf9, 0xde, 0x14, [31] = 0x10};
    struct hex public_key = hex(vectors[1].public_key), sig = hex(vectors[1].signature);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += sig.p[32 + i] + (unsigned)order[i];
        sig.p[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(carry, 0);
    assert_int_equal(crypto_sign_verify(public_key.p, SM_SPAN("\x72", 1), sig.p), -SM_EAUTH);
}

/* With A and R the neutral element and S = 0 the equation holds for every message. */
static void keys_and_points_of_small_order_are_refused(void **state)
{
    static const char *const small[] = {
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    };
    for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
        struct hex point = hex(small[i]);
        uint8_t sig[64] = {1};
        assert_int_equal(crypto_sign_verify(point.p, SM_SPAN("any", 3), sig), -SM_EAUTH);
        memcpy(sig, point.p, 32);
        assert_int_equal(crypto_sign_verify(point.p, SM_SPAN("any", 3), sig), -SM_EAUTH);
    }
}

static void messages_up_to_the_limit_work_and_longer_ones_are_refused(void **state)
{
    struct crypto_sign_pair p;
    uint8_t sig[64];
    uint8_t *m = calloc(1, CRYPTO_SIGN_MESSAGE_MAX + 1);
    assert_non_null(m);
    assert_int_equal(crypto_sign_generate(&p), 0);
    assert_int_equal(crypto_sign(&p, SM_SPAN(m, CRYPTO_SIGN_MESSAGE_MAX), sig), 0);
    assert_int_equal(crypto_sign_verify(p.public_key, SM_SPAN(m, CRYPTO_SIGN_MESSAGE_MAX), sig), 0);
    m[CRYPTO_SIGN_MESSAGE_MAX - 1] = 1;
    assert_int_equal(crypto_sign_verify(p.public_key, SM_SPAN(m, CRYPTO_SIGN_MESSAGE_MAX), sig), -SM_EAUTH);
    assert_int_equal(crypto_sign(&p, SM_SPAN(m, CRYPTO_SIGN_MESSAGE_MAX + 1), sig), -SM_ELIMIT);
    assert_int_equal(crypto_sign_verify(p.public_key, SM_SPAN(m, CRYPTO_SIGN_MESSAGE_MAX + 1), sig), -SM_ELIMIT);
    free(m);
}

static void texts_of_any_length_are_signed_under_their_label(void **state)
{
    static const char label[] = "sakimori/v1/test";
    const size_t edge = CRYPTO_SIGN_MESSAGE_MAX - (sizeof label - 1), sizes[] = {0, 1, edge, edge + 1, 300000};
    struct crypto_sign_pair p;
    uint8_t sig[64], direct[64], *m = calloc(1, 300001);
    (void)state;
    assert_non_null(m);
    assert_int_equal(crypto_sign_generate(&p), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(crypto_sign_text(&p, label, SM_SPAN(m, sizes[i]), sig), 0);
        assert_int_equal(crypto_sign_text_verify(p.public_key, label, SM_SPAN(m, sizes[i]), sig), 0);
        assert_int_equal(crypto_sign_text_verify(p.public_key, "sakimori/v1/tesu", SM_SPAN(m, sizes[i]), sig), -SM_EAUTH);
        assert_int_equal(crypto_sign_text_verify(p.public_key, label, SM_SPAN(m, sizes[i] + 1), sig), -SM_EAUTH);
        if (sizes[i] == 0)
            continue;
        m[sizes[i] - 1] ^= 1;
        assert_int_equal(crypto_sign_text_verify(p.public_key, label, SM_SPAN(m, sizes[i]), sig), -SM_EAUTH);
        m[sizes[i] - 1] ^= 1;
    }
    /* What a short text's signature covers is label and text themselves, as orders always were signed. */
    struct sm_buf b = SM_BUF_INIT(CRYPTO_SIGN_MESSAGE_MAX);
    assert_int_equal(sm_buf_put(&b, label, sizeof label - 1), 0);
    assert_int_equal(sm_buf_put(&b, m, 100), 0);
    assert_int_equal(crypto_sign(&p, sm_buf_span(&b), direct), 0);
    assert_int_equal(crypto_sign_text(&p, label, SM_SPAN(m, 100), sig), 0);
    assert_memory_equal(direct, sig, 64);
    /* And a long one's covers the words that say so, the label and the hash. */
    uint8_t hash[32];
    crypto_sha256(SM_SPAN(m, 300000), hash);
    sm_buf_clear(&b);
    assert_int_equal(sm_buf_put_span(&b, SM_SPAN_STR("sakimori/v1/hashed/")), 0);
    assert_int_equal(sm_buf_put(&b, label, sizeof label - 1), 0);
    assert_int_equal(sm_buf_put(&b, hash, 32), 0);
    assert_int_equal(crypto_sign_text(&p, label, SM_SPAN(m, 300000), sig), 0);
    assert_int_equal(crypto_sign_verify(p.public_key, sm_buf_span(&b), sig), 0);
    sm_buf_wipe(&b);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_8032_sign_and_verify),
        cmocka_unit_test(any_flipped_bit_is_refused),
        cmocka_unit_test(s_beyond_the_group_order_is_refused),
        cmocka_unit_test(keys_and_points_of_small_order_are_refused),
        cmocka_unit_test(messages_up_to_the_limit_work_and_longer_ones_are_refused),
        cmocka_unit_test(texts_of_any_length_are_signed_under_their_label),
    };
    return cmocka_run_group_tests_name("crypto_sign", tests, start_crypto, NULL);
}
