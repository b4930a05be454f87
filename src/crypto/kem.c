/* RFC 7748 and RFC 9180 (sections 4, 4.1 and 5.1), base mode. */
#include "crypto/kem.h"
#include "crypto/aead_internal.h"
#include "crypto/hash.h"
#include "crypto/kem_internal.h"
#include "crypto/random.h"
#include <gcrypt.h>

static const uint8_t kem_suite[] = {'K', 'E', 'M', 0x00, CRYPTO_HPKE_KEM};
#define VERSION_LABEL SM_SPAN("HPKE-v1", 7)

int crypto_x25519_from_secret(const uint8_t secret[CRYPTO_X25519_LEN], struct crypto_x25519_pair *ret)
{
    uint8_t point[CRYPTO_X25519_LEN];
    if (gcry_ecc_mul_point(GCRY_ECC_CURVE25519, point, secret, NULL)) {
        return -SM_ECRYPTO;
    }
    memmove(ret->secret, secret, CRYPTO_X25519_LEN);
    memcpy(ret->public_key, point, sizeof(point));
    return 0;
}

int crypto_x25519_generate(struct crypto_x25519_pair *ret)
{
    uint8_t secret[CRYPTO_X25519_LEN];
    crypto_random(secret, sizeof(secret));
    int r = crypto_x25519_from_secret(secret, ret);
    sm_zero(secret, sizeof(secret));
    return r;
}

void crypto_x25519_wipe(struct crypto_x25519_pair *p)
{
    sm_zero(p, sizeof(*p));
}

int crypto_x25519_shared(const uint8_t secret[CRYPTO_X25519_LEN], const uint8_t public_key[CRYPTO_X25519_LEN],
    uint8_t ret[CRYPTO_X25519_LEN])
{
    static const uint8_t zero[CRYPTO_X25519_LEN];
    uint8_t point[CRYPTO_X25519_LEN], dh[CRYPTO_X25519_LEN] = {0};
    memcpy(point, public_key, sizeof(point));
    point[31] &= 0x7f; /* RFC 7748 section 5: the top bit is ignored */
    int r = 0;
    if (gcry_ecc_mul_point(GCRY_ECC_CURVE25519, dh, secret, point)) {
        r = -SM_ECRYPTO;
    } else if (sm_ct_eq(dh, zero, sizeof(dh))) {
        r = -SM_EAUTH; /* the library calls a low-order point a success */
    } else {
        memcpy(ret, dh, sizeof(dh));
    }
    sm_zero(dh, sizeof(dh));
    return r;
}

static void labeled_extract(
    struct sm_span suite, struct sm_span salt, struct sm_span label, struct sm_span ikm, uint8_t ret[32])
{
    struct crypto_hmac_key k;
    struct sm_span parts[] = {VERSION_LABEL, suite, label, ikm};
    crypto_hmac_key_init(&k, salt);
    crypto_hmac(&k, parts, 4, ret);
    crypto_hmac_key_wipe(&k);
}

/* One block is enough: nothing here needs more than 32 bytes. */
static void labeled_expand(
    struct sm_span suite, const uint8_t prk[32], struct sm_span label, struct sm_span info, uint8_t *ret, uint8_t n)
{
    const uint8_t length[2] = {0, n}, counter = 1;
    struct crypto_hmac_key k;
    uint8_t block[32];
    struct sm_span parts[] = {
        SM_SPAN(length, 2), VERSION_LABEL, suite, label, info, SM_SPAN(&counter, 1)};
    crypto_hmac_key_init(&k, SM_SPAN(prk, 32));
    crypto_hmac(&k, parts, 6, block);
    crypto_hmac_key_wipe(&k);
    memcpy(ret, block, n);
    sm_zero(block, sizeof(block));
}

int crypto_x25519_derive(struct sm_span ikm, struct crypto_x25519_pair *ret)
{
    uint8_t prk[32], secret[32];
    struct sm_span suite = SM_SPAN(kem_suite, sizeof(kem_suite));
    if (ikm.n < 32) {
        return -SM_EINVAL;
    }
    labeled_extract(suite, SM_SPAN(NULL, 0), SM_SPAN("dkp_prk", 7), ikm, prk);
    labeled_expand(suite, prk, SM_SPAN("sk", 2), SM_SPAN(NULL, 0), secret, 32);
    int r = crypto_x25519_from_secret(secret, ret);
    sm_zero(prk, sizeof(prk));
    sm_zero(secret, sizeof(secret));
    return r;
}

void crypto_hpke_kem_secret(
    const uint8_t dh[32], const uint8_t enc[32], const uint8_t recipient[32], uint8_t ret[32])
{
    uint8_t prk[32], context[64];
    struct sm_span suite = SM_SPAN(kem_suite, sizeof(kem_suite));
    memcpy(context, enc, 32);
    memcpy(context + 32, recipient, 32);
    labeled_extract(suite, SM_SPAN(NULL, 0), SM_SPAN("eae_prk", 7), SM_SPAN(dh, 32), prk);
    labeled_expand(suite, prk, SM_SPAN("shared_secret", 13), SM_SPAN(context, sizeof(context)), ret, 32);
    sm_zero(prk, sizeof(prk));
}

int crypto_hpke_schedule(
    uint16_t aead, const uint8_t shared[32], struct sm_span info, struct crypto_hpke_keys *ret)
{
    if (aead != 1 && aead != 2) {
        return -SM_EUNSUPPORTED;
    }
    const uint8_t id[] = {'H', 'P', 'K', 'E', 0, CRYPTO_HPKE_KEM, 0, CRYPTO_HPKE_KDF, 0, (uint8_t)aead};
    struct sm_span suite = SM_SPAN(id, sizeof(id)), none = SM_SPAN(NULL, 0);
    uint8_t context[1 + 32 + 32] = {0}, secret[32]; /* mode_base is 0 */
    struct crypto_hpke_keys k = {.aead = aead};
    labeled_extract(suite, none, SM_SPAN("psk_id_hash", 11), none, context + 1);
    labeled_extract(suite, none, SM_SPAN("info_hash", 9), info, context + 33);
    labeled_extract(suite, SM_SPAN(shared, 32), SM_SPAN("secret", 6), none, secret);
    struct sm_span ctx = SM_SPAN(context, sizeof(context));
    labeled_expand(suite, secret, SM_SPAN("key", 3), ctx, k.key, aead == 1 ? 16 : 32);
    labeled_expand(suite, secret, SM_SPAN("base_nonce", 10), ctx, k.nonce, sizeof(k.nonce));
    *ret = k;
    sm_zero(secret, sizeof(secret));
    sm_zero(&k, sizeof(k));
    return 0;
}

int crypto_hpke_keys_seal(
    const struct crypto_hpke_keys *k, struct sm_span aad, struct sm_span plain, struct sm_buf *ret)
{
    struct crypto_aead *a = NULL;
    int r = sm_buf_reserve(ret, plain.n + CRYPTO_HPKE_EXTRA);
    if (r < 0) {
        return r;
    }
    r = crypto_aead_new_n(k->aead == 1 ? 16 : 32, &a);
    if (r < 0) {
        return r;
    }
    r = crypto_aead_seal(a, k->key, k->nonce, aad, plain, ret->p + ret->n);
    if (r == 0) {
        ret->n += plain.n + CRYPTO_HPKE_EXTRA;
    }
    crypto_aead_free(a);
    return r;
}

int crypto_hpke_seal_with(const struct crypto_x25519_pair *ephemeral, const uint8_t recipient[CRYPTO_X25519_LEN],
    struct sm_span info, struct sm_span aad, struct sm_span plain, uint8_t ret_enc[CRYPTO_X25519_LEN],
    struct sm_buf *ret_sealed)
{
    uint8_t dh[32], shared[32];
    struct crypto_hpke_keys k;
    int r = crypto_x25519_shared(ephemeral->secret, recipient, dh);
    if (r < 0) {
        return r;
    }
    crypto_hpke_kem_secret(dh, ephemeral->public_key, recipient, shared);
    r = crypto_hpke_schedule(CRYPTO_HPKE_AEAD, shared, info, &k);
    if (r == 0) {
        r = crypto_hpke_keys_seal(&k, aad, plain, ret_sealed);
    }
    if (r == 0) {
        memcpy(ret_enc, ephemeral->public_key, CRYPTO_X25519_LEN);
    }
    sm_zero(dh, sizeof(dh));
    sm_zero(shared, sizeof(shared));
    sm_zero(&k, sizeof(k));
    return r;
}

int crypto_hpke_seal(const uint8_t recipient[CRYPTO_X25519_LEN], struct sm_span info, struct sm_span aad,
    struct sm_span plain, uint8_t ret_enc[CRYPTO_X25519_LEN], struct sm_buf *ret_sealed)
{
    struct crypto_x25519_pair ephemeral;
    int r = crypto_x25519_generate(&ephemeral);
    if (r == 0) {
        r = crypto_hpke_seal_with(&ephemeral, recipient, info, aad, plain, ret_enc, ret_sealed);
    }
    crypto_x25519_wipe(&ephemeral);
    return r;
}

static int keys_open(
    const struct crypto_hpke_keys *k, struct sm_span aad, struct sm_span sealed, struct sm_buf *ret)
{
    struct crypto_aead *a = NULL;
    size_t n = sealed.n - CRYPTO_HPKE_EXTRA;
    int r = sm_buf_reserve(ret, n ? n : 1); /* the library wants a place to write even for nothing */
    if (r < 0) {
        return r;
    }
    r = crypto_aead_new(&a);
    if (r < 0) {
        return r;
    }
    r = crypto_aead_open(a, k->key, k->nonce, aad, sealed, ret->p + ret->n);
    if (r == 0) {
        ret->n += n;
    }
    crypto_aead_free(a);
    return r;
}

int crypto_hpke_open(const struct crypto_x25519_pair *recipient, const uint8_t enc[CRYPTO_X25519_LEN],
    struct sm_span info, struct sm_span aad, struct sm_span sealed, struct sm_buf *ret_plain)
{
    uint8_t dh[32], shared[32];
    struct crypto_hpke_keys k;
    if (sealed.n < CRYPTO_HPKE_EXTRA) {
        return -SM_EFORMAT;
    }
    int r = crypto_x25519_shared(recipient->secret, enc, dh);
    if (r < 0) {
        return r;
    }
    crypto_hpke_kem_secret(dh, enc, recipient->public_key, shared);
    r = crypto_hpke_schedule(CRYPTO_HPKE_AEAD, shared, info, &k);
    if (r == 0) {
        r = keys_open(&k, aad, sealed, ret_plain);
    }
    sm_zero(dh, sizeof(dh));
    sm_zero(shared, sizeof(shared));
    sm_zero(&k, sizeof(k));
    return r;
}
