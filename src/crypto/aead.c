#include "crypto/aead.h"
#include "crypto/aead_internal.h"
#include <errno.h>
#include <gcrypt.h>

struct crypto_aead { gcry_cipher_hd_t hd; size_t key_n; };

int crypto_aead_new_n(size_t key_n, struct crypto_aead **ret)
{
    struct crypto_aead *a = calloc(1, sizeof(*a));
    if (!a) {
        return -ENOMEM;
    }
    a->key_n = key_n;
    int algo = key_n == 16 ? GCRY_CIPHER_AES128 : GCRY_CIPHER_AES256;
    gcry_error_t e = gcry_cipher_open(&a->hd, algo, GCRY_CIPHER_MODE_GCM, 0);
    if (e) {
        free(a);
        return gcry_err_code(e) == GPG_ERR_ENOMEM ? -ENOMEM : -SM_ECRYPTO;
    }
    *ret = a;
    return 0;
}

int crypto_aead_new(struct crypto_aead **ret)
{
    return crypto_aead_new_n(CRYPTO_AEAD_KEY_LEN, ret);
}

void crypto_aead_free(struct crypto_aead *a)
{
    if (a) {
        gcry_cipher_close(a->hd); /* the library wipes the context */
        free(a);
    }
}

static int begin(struct crypto_aead *a, const uint8_t *key, const uint8_t *nonce, struct sm_span aad)
{
    /* setkey also drops whatever a failed message left behind. */
    if (gcry_cipher_setkey(a->hd, key, a->key_n) || gcry_cipher_setiv(a->hd, nonce, CRYPTO_AEAD_NONCE_LEN)) {
        return -SM_ECRYPTO;
    }
    if (aad.n && gcry_cipher_authenticate(a->hd, aad.p, aad.n)) {
        return -SM_ECRYPTO;
    }
    return 0;
}

int crypto_aead_seal(struct crypto_aead *a, const uint8_t key[CRYPTO_AEAD_KEY_LEN],
    const uint8_t nonce[CRYPTO_AEAD_NONCE_LEN], struct sm_span aad, struct sm_span plain, uint8_t *ret_sealed)
{
    if (plain.n > CRYPTO_AEAD_PLAIN_MAX) {
        return -SM_ELIMIT;
    }
    int r = begin(a, key, nonce, aad);
    if (r < 0) {
        return r;
    }
    const void *in = plain.p == ret_sealed ? NULL : plain.p; /* NULL means in place to the library */
    if (plain.n && gcry_cipher_encrypt(a->hd, ret_sealed, plain.n, in, in ? plain.n : 0)) {
        return -SM_ECRYPTO;
    }
    if (gcry_cipher_gettag(a->hd, ret_sealed + plain.n, CRYPTO_AEAD_TAG_LEN)) {
        return -SM_ECRYPTO;
    }
    return 0;
}

int crypto_aead_open(struct crypto_aead *a, const uint8_t key[CRYPTO_AEAD_KEY_LEN],
    const uint8_t nonce[CRYPTO_AEAD_NONCE_LEN], struct sm_span aad, struct sm_span sealed, uint8_t *ret_plain)
{
    if (sealed.n < CRYPTO_AEAD_TAG_LEN) {
        return -SM_EFORMAT;
    }
    size_t n = sealed.n - CRYPTO_AEAD_TAG_LEN;
    if (n > CRYPTO_AEAD_PLAIN_MAX) {
        return -SM_ELIMIT;
    }
    int r = begin(a, key, nonce, aad);
    if (r < 0) {
        return r;
    }
    const void *in = sealed.p == ret_plain ? NULL : sealed.p;
    if (n && gcry_cipher_decrypt(a->hd, ret_plain, n, in, in ? n : 0)) {
        sm_zero(ret_plain, n);
        return -SM_ECRYPTO;
    }
    gcry_error_t e = gcry_cipher_checktag(a->hd, sealed.p + n, CRYPTO_AEAD_TAG_LEN);
    if (e) {
        sm_zero(ret_plain, n);
        return gcry_err_code(e) == GPG_ERR_CHECKSUM ? -SM_EAUTH : -SM_ECRYPTO;
    }
    return 0;
}
