/* For the room itself and its tests: the steps of HPKE, with AES-128 allowed (RFC 9180 A.1). */
#ifndef CRYPTO_KEM_INTERNAL_H
#define CRYPTO_KEM_INTERNAL_H
#include "crypto/kem.h"

/* HPKE AEAD 0x0001 (16-byte key) or 0x0002 (32). */
struct crypto_hpke_keys { uint16_t aead; uint8_t key[32], nonce[12]; };

/* DHKEM shared secret of dh, and both public keys. */
void crypto_hpke_kem_secret(const uint8_t dh[32], const uint8_t enc[32], const uint8_t recipient[32],
    uint8_t ret[32]);
/* Base-mode key schedule. */
sm_must_use int crypto_hpke_schedule(uint16_t aead, const uint8_t shared[32], struct sm_span info,
    struct crypto_hpke_keys *ret);
/* Sequence 0; appended. */
sm_must_use int crypto_hpke_keys_seal(const struct crypto_hpke_keys *k, struct sm_span aad, struct sm_span plain,
    struct sm_buf *ret);

#endif
