#include "crypto_test.h"
#include "crypto/kem.h"
#include "crypto/kem_internal.h"

static void x25519_gives_the_vectors_of_rfc_7748(void **state)
{
    struct hex k = hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    struct hex u = hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    uint8_t out[32];
    assert_int_equal(crypto_x25519_shared(k.p, u.p, out), 0);
    assert_bytes(out, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    k = hex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d");
    u = hex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493");
    assert_int_equal(crypto_x25519_shared(k.p, u.p, out), 0);
    assert_bytes(out, "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

static void x25519_repeated_a_thousand_times_gives_the_rfcs_value(void **state)
{
    uint8_t k[32] = {9}, u[32] = {9}, out[32];
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(crypto_x25519_shared(k, u, out), 0);
        memcpy(u, k, 32);
        memcpy(k, out, 32);
        if (i == 0) {
            assert_bytes(k, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
        }
    }
    assert_bytes(k, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

static void both_sides_of_rfc_7748_agree(void **state)
{
    struct crypto_x25519_pair alice, bob;
    uint8_t ab[32], ba[32];
    struct hex a = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    struct hex b = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    assert_int_equal(crypto_x25519_from_secret(a.p, &alice), 0);
    assert_int_equal(crypto_x25519_from_secret(b.p, &bob), 0);
    assert_bytes(alice.public_key, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assert_bytes(bob.public_key, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_int_equal(crypto_x25519_shared(alice.secret, bob.public_key, ab), 0);
    assert_int_equal(crypto_x25519_shared(bob.secret, alice.public_key, ba), 0);
    assert_memory_equal(ab, ba, 32);
    assert_bytes(ab, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

static const char *const low_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void low_order_points_are_refused_with_and_without_the_top_bit(void **state)
{
    struct crypto_x25519_pair p;
    assert_int_equal(crypto_x25519_generate(&p), 0);
    for (size_t i = 0; i < sizeof(low_order) / sizeof(low_order[0]); i++) {
        struct hex u = hex(low_order[i]);
        uint8_t out[32], before[32];
        struct sm_buf b = SM_BUF_INIT(1024);
        memset(out, 0x5a, sizeof(out));
        memcpy(before, out, sizeof(out));
        for (int top = 0; top < 2; top++, u.p[31] ^= 0x80) {
            assert_int_equal(crypto_x25519_shared(p.secret, u.p, out), -SM_EAUTH);
            assert_memory_equal(out, before, 32);
            assert_int_equal(
                crypto_hpke_seal(u.p, SM_SPAN(NULL, 0), SM_SPAN(NULL, 0), SM_SPAN("x", 1), out, &b), -SM_EAUTH);
            assert_int_equal(b.n, 0);
            assert_int_equal(
                crypto_hpke_open(&p, u.p, SM_SPAN(NULL, 0), SM_SPAN(NULL, 0), SM_SPAN(before, 32), &b), -SM_EAUTH);
        }
        sm_buf_wipe(&b);
    }
}

#define INFO "4f6465206f6e2061204772656369616e2055726e"
#define PLAIN "4265617574792069732074727574682c20747275746820626561757479"
#define AAD "436f756e742d30"

static void the_steps_give_the_vectors_of_rfc_9180_a_1(void **state)
{
    struct hex ikm_e = hex("7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234");
    struct hex ikm_r = hex("6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037");
    struct hex info = hex(INFO), aad = hex(AAD), plain = hex(PLAIN);
    struct crypto_x25519_pair e, r;
    struct crypto_hpke_keys k;
    uint8_t dh[32], shared[32];
    struct sm_buf b = SM_BUF_INIT(1024);
    assert_int_equal(crypto_x25519_derive(HEX_SPAN(ikm_e), &e), 0);
    assert_int_equal(crypto_x25519_derive(HEX_SPAN(ikm_r), &r), 0);
    assert_bytes(e.secret, "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736");
    assert_bytes(e.public_key, "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431");
    assert_bytes(r.secret, "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8");
    assert_bytes(r.public_key, "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d");
    assert_int_equal(crypto_x25519_shared(e.secret, r.public_key, dh), 0);
    crypto_hpke_kem_secret(dh, e.public_key, r.public_key, shared);
    assert_bytes(shared, "fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc");
    assert_int_equal(crypto_hpke_schedule(1, shared, HEX_SPAN(info), &k), 0);
    assert_bytes(k.key, "4531685d41d65f03dc48f6b8302c05b0");
    assert_bytes(k.nonce, "56d890e5accaaf011cff4b7d");
    assert_int_equal(crypto_hpke_keys_seal(&k, HEX_SPAN(aad), HEX_SPAN(plain), &b), 0);
    assert_int_equal(b.n, plain.n + 16);
    assert_bytes(b.p, "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a");
    sm_buf_wipe(&b);
}

static void our_suite_gives_the_published_vector_of_aes_256(void **state)
{
    struct hex ikm_e = hex("2cd7c601cefb3d42a62b04b7a9041494c06c7843818e0ce28a8f704ae7ab20f9");
    struct hex ikm_r = hex("dac33b0e9db1b59dbbea58d59a14e7b5896e9bdf98fad6891e99d1686492b9ee");
    struct hex info = hex(INFO), aad = hex(AAD), plain = hex(PLAIN);
    struct crypto_x25519_pair e, r;
    uint8_t enc[32];
    struct sm_buf sealed = SM_BUF_INIT(1024), opened = SM_BUF_INIT(1024);
    assert_int_equal(crypto_x25519_derive(HEX_SPAN(ikm_e), &e), 0);
    assert_int_equal(crypto_x25519_derive(HEX_SPAN(ikm_r), &r), 0);
    assert_bytes(r.secret, "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d");
    assert_bytes(r.public_key, "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c");
    assert_int_equal(crypto_hpke_seal_with(
                         &e, r.public_key, HEX_SPAN(info), HEX_SPAN(aad), HEX_SPAN(plain), enc, &sealed),
        0);
    assert_bytes(enc, "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256");
    assert_int_equal(sealed.n, plain.n + CRYPTO_HPKE_EXTRA);
    assert_bytes(
        sealed.p, "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a");
    assert_int_equal(crypto_hpke_open(&r, enc, HEX_SPAN(info), HEX_SPAN(aad), sm_buf_span(&sealed), &opened), 0);
    assert_int_equal(opened.n, plain.n);
    assert_memory_equal(opened.p, plain.p, plain.n);
    sm_buf_wipe(&sealed);
    sm_buf_wipe(&opened);
}

static void a_message_opens_only_for_its_recipient_info_and_aad(void **state)
{
    struct crypto_x25519_pair r, other;
    uint8_t enc[32];
    struct sm_span info = SM_SPAN("vault", 5), aad = SM_SPAN("id", 2), none = SM_SPAN(NULL, 0);
    struct sm_buf s = SM_BUF_INIT(1024), o = SM_BUF_INIT(1024);
    assert_int_equal(crypto_x25519_generate(&r), 0);
    assert_int_equal(crypto_x25519_generate(&other), 0);
    assert_int_equal(crypto_hpke_seal(r.public_key, info, aad, SM_SPAN("file key", 8), enc, &s), 0);
    assert_int_equal(crypto_hpke_open(&other, enc, info, aad, sm_buf_span(&s), &o), -SM_EAUTH);
    assert_int_equal(crypto_hpke_open(&r, enc, none, aad, sm_buf_span(&s), &o), -SM_EAUTH);
    assert_int_equal(crypto_hpke_open(&r, enc, info, none, sm_buf_span(&s), &o), -SM_EAUTH);
    for (size_t bit = 0; bit < s.n * 8; bit++) {
        s.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(crypto_hpke_open(&r, enc, info, aad, sm_buf_span(&s), &o), -SM_EAUTH);
        s.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    enc[3] ^= 4;
    assert_int_equal(crypto_hpke_open(&r, enc, info, aad, sm_buf_span(&s), &o), -SM_EAUTH);
    enc[3] ^= 4;
    assert_int_equal(crypto_hpke_open(&r, enc, info, aad, SM_SPAN(s.p, 15), &o), -SM_EFORMAT);
    assert_int_equal(o.n, 0);
    assert_int_equal(crypto_hpke_open(&r, enc, info, aad, sm_buf_span(&s), &o), 0);
    assert_int_equal(o.n, 8);
    assert_memory_equal(o.p, "file key", 8);
    sm_buf_wipe(&s);
    sm_buf_wipe(&o);
}

static void an_empty_message_and_a_full_buffer_are_handled(void **state)
{
    struct crypto_x25519_pair r;
    uint8_t enc[32];
    struct sm_span none = SM_SPAN(NULL, 0);
    struct sm_buf s = SM_BUF_INIT(1024), o = SM_BUF_INIT(1024), small = SM_BUF_INIT(20);
    assert_int_equal(crypto_x25519_generate(&r), 0);
    assert_int_equal(crypto_hpke_seal(r.public_key, none, none, none, enc, &s), 0);
    assert_int_equal(s.n, 16);
    assert_int_equal(crypto_hpke_open(&r, enc, none, none, sm_buf_span(&s), &o), 0);
    assert_int_equal(o.n, 0);
    assert_int_equal(crypto_hpke_seal(r.public_key, none, none, SM_SPAN("12345", 5), enc, &small), -SM_ELIMIT);
    assert_int_equal(small.n, 0);
    assert_int_equal(crypto_x25519_derive(SM_SPAN("short", 5), &r), -SM_EINVAL);
    sm_buf_wipe(&s);
    sm_buf_wipe(&o);
    sm_buf_wipe(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x25519_gives_the_vectors_of_rfc_7748),
        cmocka_unit_test(x25519_repeated_a_thousand_times_gives_the_rfcs_value),
        cmocka_unit_test(both_sides_of_rfc_7748_agree),
        cmocka_unit_test(low_order_points_are_refused_with_and_without_the_top_bit),
        cmocka_unit_test(the_steps_give_the_vectors_of_rfc_9180_a_1),
        cmocka_unit_test(our_suite_gives_the_published_vector_of_aes_256),
        cmocka_unit_test(a_message_opens_only_for_its_recipient_info_and_aad),
        cmocka_unit_test(an_empty_message_and_a_full_buffer_are_handled),
    };
    return cmocka_run_group_tests_name("crypto_kem", tests, start_crypto, NULL);
}
