/* For the room itself and its tests: AES-GCM with a key of 16 bytes too (RFC 9180 A.1 uses it). */
#ifndef CRYPTO_AEAD_INTERNAL_H
#define CRYPTO_AEAD_INTERNAL_H
#include "crypto/aead.h"

/* key_n is 16 or 32 and must stay the same over the life of a. */
sm_must_use int crypto_aead_new_n(size_t key_n, struct crypto_aead **ret);

#endif
