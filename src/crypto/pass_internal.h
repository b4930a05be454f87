/* For the room itself and its tests: Argon2id with the key and associated data of RFC 9106. */
#ifndef CRYPTO_PASS_INTERNAL_H
#define CRYPTO_PASS_INTERNAL_H
#include "crypto/pass.h"

/* As crypto_pass_raw; key and ad may be empty. */
sm_must_use int crypto_pass_argon2(struct sm_span password, struct sm_span salt, struct sm_span key,
    struct sm_span ad, const struct crypto_pass_cost *cost, uint8_t *ret, size_t n);

#endif
