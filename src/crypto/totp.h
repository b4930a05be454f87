/*
 * The second factor: TOTP (RFC 6238: SHA-1, 6 digits, 30 seconds) and printed one-time codes.
 */
#ifndef CRYPTO_TOTP_H
#define CRYPTO_TOTP_H
#include "core/buf.h"

#define CRYPTO_TOTP_SECRET_LEN 20
#define CRYPTO_TOTP_STEP_S 30
#define CRYPTO_TOTP_CODE 7 /* six digits and NUL */

/* Six digits for a counter (Unix time / 30). */
void crypto_totp_code(struct sm_span secret, uint64_t counter, char ret[CRYPTO_TOTP_CODE]);
/*
 * Check a typed code (spaces and one '-' are skipped; full-width digits count) against now and one
 * step to either side.  last_counter is the counter of the last code taken, 0 at first; the caller
 * stores *ret_counter as the next one.
 * Returns 0, or
 *   -SM_EAUTH    not a code of this moment
 *   -SM_EEXISTS  right, but this or a later one was already used
 */
sm_must_use int crypto_totp_verify(struct sm_span secret, const char *typed, int64_t now_s, uint64_t last_counter,
    uint64_t *ret_counter);
/* Append otpauth://totp/ISSUER:ACCOUNT?secret=...  Names are UTF-8, at most 200 bytes each.
 * -SM_EINVAL (empty, too long or ':' in a name), -ENOMEM, -SM_ELIMIT. */
sm_must_use int crypto_totp_uri(struct sm_span secret, const char *issuer, const char *account, struct sm_buf *ret);

/*
 * Ten printed codes, each for one use.  Kept as Argon2id hashes over one salt, so a stolen
 * database does not give them away.
 */
#define CRYPTO_ONCE_CODES 10
#define CRYPTO_ONCE_CODE 12 /* "ABCDE-FGHJK" and NUL: 10 characters of the RFC 4648 base32 set */
#define CRYPTO_ONCE_HASH_LEN 32
struct crypto_once { uint8_t salt[16]; uint8_t hash[CRYPTO_ONCE_CODES][CRYPTO_ONCE_HASH_LEN]; };
/* -ENOMEM, -SM_ECRYPTO. */
sm_must_use int crypto_once_new(struct crypto_once *ret, char ret_codes[CRYPTO_ONCE_CODES][CRYPTO_ONCE_CODE]);
/*
 * Which code is it?  The index (0 to 9) is stored in *ret_index; the caller then marks it as used
 * by crypto_once_use and stores the struct.  Case, spaces and '-' do not matter; 0, 1 and 8 are
 * read as O, I and B.  -SM_EAUTH none of the unused, -ENOMEM, -SM_ECRYPTO.
 */
sm_must_use int crypto_once_match(const struct crypto_once *once, const char *typed, unsigned *ret_index);
void crypto_once_use(struct crypto_once *once, unsigned index);
unsigned crypto_once_left(const struct crypto_once *once);

#endif
