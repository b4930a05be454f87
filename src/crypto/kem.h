/*
 * X25519 (RFC 7748) and HPKE base mode (RFC 9180), suite 0x0020/0x0001/0x0002:
 * DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.  One message a context (sequence 0).
 */
#ifndef CRYPTO_KEM_H
#define CRYPTO_KEM_H
#include "core/buf.h"

#define CRYPTO_X25519_LEN 32
#define CRYPTO_HPKE_EXTRA 16 /* sealed.n - plain.n; the encapsulated key (32 bytes) is apart */
#define CRYPTO_HPKE_KEM 0x0020
#define CRYPTO_HPKE_KDF 0x0001
#define CRYPTO_HPKE_AEAD 0x0002

struct crypto_x25519_pair { uint8_t secret[CRYPTO_X25519_LEN], public_key[CRYPTO_X25519_LEN]; };

sm_must_use int crypto_x25519_generate(struct crypto_x25519_pair *ret);         /* -SM_ECRYPTO */
sm_must_use int crypto_x25519_from_secret(const uint8_t secret[CRYPTO_X25519_LEN],
    struct crypto_x25519_pair *ret);                                            /* -SM_ECRYPTO */
/* RFC 9180 DeriveKeyPair: the same ikm (at least 32 good bytes) gives the same pair.
 * -SM_EINVAL (ikm shorter than 32 bytes), -SM_ECRYPTO. */
sm_must_use int crypto_x25519_derive(struct sm_span ikm, struct crypto_x25519_pair *ret);
void crypto_x25519_wipe(struct crypto_x25519_pair *p);
/* Raw shared secret.  -SM_EAUTH when it is all zero (a low-order public key), -SM_ECRYPTO. */
sm_must_use int crypto_x25519_shared(const uint8_t secret[CRYPTO_X25519_LEN],
    const uint8_t public_key[CRYPTO_X25519_LEN], uint8_t ret[CRYPTO_X25519_LEN]);

/*
 * Seal plain to a recipient; the sealed bytes are appended to ret_sealed.
 * Returns 0, -SM_EAUTH (low-order recipient key), -ENOMEM, -SM_ELIMIT (ret_sealed's maximum),
 * -SM_ECRYPTO.
 */
sm_must_use int crypto_hpke_seal(const uint8_t recipient[CRYPTO_X25519_LEN], struct sm_span info,
    struct sm_span aad, struct sm_span plain, uint8_t ret_enc[CRYPTO_X25519_LEN], struct sm_buf *ret_sealed);
/* The same with a given ephemeral pair: whoever knows what it was derived from can compute the
 * bytes again and compare.  One pair must never seal two different messages to one recipient and
 * info. */
sm_must_use int crypto_hpke_seal_with(const struct crypto_x25519_pair *ephemeral,
    const uint8_t recipient[CRYPTO_X25519_LEN], struct sm_span info, struct sm_span aad, struct sm_span plain,
    uint8_t ret_enc[CRYPTO_X25519_LEN], struct sm_buf *ret_sealed);
/*
 * Open; the plain bytes are appended to ret_plain.
 * Returns 0, -SM_EFORMAT (shorter than a tag), -SM_EAUTH (not for this key, altered, or low-order
 * enc), -ENOMEM, -SM_ELIMIT, -SM_ECRYPTO.
 */
sm_must_use int crypto_hpke_open(const struct crypto_x25519_pair *recipient, const uint8_t enc[CRYPTO_X25519_LEN],
    struct sm_span info, struct sm_span aad, struct sm_span sealed, struct sm_buf *ret_plain);

#endif
