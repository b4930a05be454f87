/*
 * Ed25519 (RFC 8032, pure).  Secrets are the RFC's 32-byte seeds.
 */
#ifndef CRYPTO_SIGN_H
#define CRYPTO_SIGN_H
#include "core/buf.h"

#define CRYPTO_SIGN_SEED_LEN 32
#define CRYPTO_SIGN_PUBLIC_LEN 32
#define CRYPTO_SIGN_LEN 64
/* The library aborts on messages of 64 KiB and more: whoever signs more signs a hash of it. */
#define CRYPTO_SIGN_MESSAGE_MAX ((size_t)32768)

struct crypto_sign_pair { uint8_t seed[CRYPTO_SIGN_SEED_LEN], public_key[CRYPTO_SIGN_PUBLIC_LEN]; };

sm_must_use int crypto_sign_generate(struct crypto_sign_pair *ret); /* -SM_ECRYPTO */
sm_must_use int crypto_sign_from_seed(const uint8_t seed[CRYPTO_SIGN_SEED_LEN],
    struct crypto_sign_pair *ret);                                  /* -SM_ECRYPTO */
void crypto_sign_wipe(struct crypto_sign_pair *p);
/* Deterministic.  pair->public_key must belong to pair->seed.
 * -SM_ELIMIT (message past CRYPTO_SIGN_MESSAGE_MAX), -ENOMEM, -SM_ECRYPTO. */
sm_must_use int crypto_sign(const struct crypto_sign_pair *pair, struct sm_span message,
    uint8_t ret[CRYPTO_SIGN_LEN]);
/*
 * Returns 0, or -SM_EAUTH: wrong signature, S not below the group order, a point that is not
 * canonical, or a public key or R of small order (stricter than RFC 8032, so that one signature
 * cannot fit several messages or keys).  -SM_ELIMIT (message), -ENOMEM, -SM_ECRYPTO.
 */
sm_must_use int crypto_sign_verify(const uint8_t public_key[CRYPTO_SIGN_PUBLIC_LEN], struct sm_span message,
    const uint8_t signature[CRYPTO_SIGN_LEN]);
/*
 * The same over text of any length under a label (at most 64 bytes): signed is label ‖ text where that is no longer than
 * CRYPTO_SIGN_MESSAGE_MAX, else "sakimori/v1/hashed/" ‖ label ‖ SHA256(text).  The length alone decides, so one text has
 * one form; the second begins unlike any label.
 */
sm_must_use int crypto_sign_text(const struct crypto_sign_pair *pair, const char *label, struct sm_span text,
    uint8_t ret[CRYPTO_SIGN_LEN]);
sm_must_use int crypto_sign_text_verify(const uint8_t public_key[CRYPTO_SIGN_PUBLIC_LEN], const char *label,
    struct sm_span text, const uint8_t signature[CRYPTO_SIGN_LEN]);

#endif
