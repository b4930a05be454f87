/*
 * SHA-256 (FIPS 180-4), HMAC-SHA-256 (RFC 2104, 4231), HKDF (RFC 5869), and HMAC-SHA-1 for
 * TOTP alone.  Nothing here allocates, except crypto_sha256_new.  All parameters are borrowed.
 */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H
#include "core/buf.h"

#define CRYPTO_SHA256_LEN 32
#define CRYPTO_SHA1_LEN 20
#define CRYPTO_PARTS_MAX 14 /* spans given to one call of a ...v or crypto_hmac function */

/* One shot; any thread. */
void crypto_sha256(struct sm_span in, uint8_t ret[CRYPTO_SHA256_LEN]);
/* The parts one after the other, n <= CRYPTO_PARTS_MAX (more aborts: a bug of the caller). */
void crypto_sha256v(const struct sm_span *parts, size_t n, uint8_t ret[CRYPTO_SHA256_LEN]);

/* Streaming.  One thread at a time; after final it is ready for the next message. */
struct crypto_sha256_ctx;
sm_must_use int crypto_sha256_new(struct crypto_sha256_ctx **ret); /* -ENOMEM, -SM_ECRYPTO */
void crypto_sha256_free(struct crypto_sha256_ctx *c);
void crypto_sha256_reset(struct crypto_sha256_ctx *c);
void crypto_sha256_put(struct crypto_sha256_ctx *c, struct sm_span in);
void crypto_sha256_final(struct crypto_sha256_ctx *c, uint8_t ret[CRYPTO_SHA256_LEN]);

/* A prepared HMAC key: a plain value, read only once made, so threads may share it. */
struct crypto_hmac_key { uint8_t ipad[64], opad[64]; };
void crypto_hmac_key_init(struct crypto_hmac_key *k, struct sm_span key);
void crypto_hmac_key_wipe(struct crypto_hmac_key *k);
/* HMAC-SHA-256 over the parts one after the other, n <= CRYPTO_PARTS_MAX. */
void crypto_hmac(const struct crypto_hmac_key *k, const struct sm_span *parts, size_t n,
    uint8_t ret[CRYPTO_SHA256_LEN]);
/* The same with a key used once. */
void crypto_hmac_sha256(struct sm_span key, struct sm_span in, uint8_t ret[CRYPTO_SHA256_LEN]);

/* RFC 5869 with SHA-256.  An empty salt is the RFC's string of zeros. */
void crypto_hkdf_extract(struct sm_span salt, struct sm_span ikm, uint8_t ret_prk[CRYPTO_SHA256_LEN]);
/* n bytes to ret.  -SM_ELIMIT past 255 * 32 bytes. */
sm_must_use int crypto_hkdf_expand(const uint8_t prk[CRYPTO_SHA256_LEN], struct sm_span info, uint8_t *ret, size_t n);
/* Extract and expand. */
sm_must_use int crypto_hkdf(struct sm_span salt, struct sm_span ikm, struct sm_span info, uint8_t *ret, size_t n);

/* For the header Content-MD5 that servers of S3 ask for (RFC 1864), and nothing else: it protects nothing.
 * -SM_ECRYPTO where the library does not offer it. */
#define CRYPTO_MD5_LEN 16
sm_must_use int crypto_md5(struct sm_span in, uint8_t ret[CRYPTO_MD5_LEN]);

/* For TOTP (RFC 6238), and nothing else. */
void crypto_hmac_sha1(struct sm_span key, struct sm_span in, uint8_t ret[CRYPTO_SHA1_LEN]);

#endif
