/*
 * AES-256-GCM (NIST SP 800-38D): key 32 bytes, nonce 12, tag 16 appended to the sealed bytes.
 * A nonce must never be used twice with one key; this file cannot check that.
 * A handle belongs to one thread at a time; it exists so that sealing many chunks, each with its
 * own key, costs one key schedule and no allocation.
 */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H
#include "core/buf.h"

#define CRYPTO_AEAD_KEY_LEN 32
#define CRYPTO_AEAD_NONCE_LEN 12
#define CRYPTO_AEAD_TAG_LEN 16
#define CRYPTO_AEAD_PLAIN_MAX ((size_t)1 << 32) /* well under GCM's 64 GiB */

struct crypto_aead;
sm_must_use int crypto_aead_new(struct crypto_aead **ret); /* -ENOMEM, -SM_ECRYPTO */
/* The same, for much data: long messages with aad go through code for this processor where there is any. */
sm_must_use int crypto_aead_new_quick(struct crypto_aead **ret);
void crypto_aead_free(struct crypto_aead *a);              /* the key schedule is zeroed */

/*
 * Seal plain into ret_sealed, which has room for plain.n + 16 bytes and is either plain.p itself
 * or does not overlap it.
 * Returns 0, -SM_ELIMIT (more than CRYPTO_AEAD_PLAIN_MAX bytes), -SM_ECRYPTO.
 */
sm_must_use int crypto_aead_seal(struct crypto_aead *a, const uint8_t key[CRYPTO_AEAD_KEY_LEN],
    const uint8_t nonce[CRYPTO_AEAD_NONCE_LEN], struct sm_span aad, struct sm_span plain, uint8_t *ret_sealed);
/*
 * Open sealed (tag last) into ret_plain, which has room for sealed.n - 16 bytes and is either
 * sealed.p itself or does not overlap it.  When the tag is wrong ret_plain is zeroed, because GCM
 * decrypts before it knows (the one exception to "untouched on failure").
 * Returns 0, or
 *   -SM_EFORMAT  shorter than a tag
 *   -SM_EAUTH    wrong key, nonce or aad, or altered bytes
 *   -SM_ELIMIT, -SM_ECRYPTO
 */
sm_must_use int crypto_aead_open(struct crypto_aead *a, const uint8_t key[CRYPTO_AEAD_KEY_LEN],
    const uint8_t nonce[CRYPTO_AEAD_NONCE_LEN], struct sm_span aad, struct sm_span sealed, uint8_t *ret_plain);

#endif
