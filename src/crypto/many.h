/*
 * SHA-256 and HMAC-SHA-256 of several messages at once: the same answers as crypto_sha256 and crypto_hmac of each, in a
 * third of the time where the processor can interleave them and the messages are many and of like length.
 */
#ifndef CRYPTO_MANY_H
#define CRYPTO_MANY_H
#include "crypto/hash.h"

struct crypto_message {
    struct sm_span in;
    const struct crypto_hmac_key *key; /* NULL: plain SHA-256 */
    uint8_t ret[CRYPTO_SHA256_LEN];
};

/* The working space of one thread (some hundred KiB). */
struct crypto_many;
sm_must_use int crypto_many_new(struct crypto_many **ret); /* -ENOMEM */
void crypto_many_free(struct crypto_many *c);
/* Fills ret of all; in and key are borrowed for the call. */
void crypto_many(struct crypto_many *c, struct crypto_message *messages, size_t n);

#endif
