/*
 * Passwords: Argon2id (RFC 9106), and the rules of the guideline for medical information systems
 * 7.0: at least 8 characters with a second factor and 13 without, letters and digits mixed, not
 * guessable.
 */
#ifndef CRYPTO_PASS_H
#define CRYPTO_PASS_H
#include <stdbool.h>
#include "core/buf.h"

#define CRYPTO_PASS_MAX 256       /* bytes of a password */
#define CRYPTO_PASS_TEXT 128      /* bytes of the stored text, NUL included */
#define CRYPTO_PASS_SALT_LEN 16
#define CRYPTO_PASS_MEMORY_MAX_KIB ((uint32_t)1 << 20)
#define CRYPTO_PASS_PASSES_MAX 16
#define CRYPTO_PASS_LANES_MAX 16

struct crypto_pass_cost { uint32_t memory_kib, passes, lanes; };
/* 64 MiB, 3 passes, 1 lane: sign-in.  256 MiB, 3 passes, 1 lane: what wraps a key. */
extern const struct crypto_pass_cost crypto_pass_sign_in, crypto_pass_wrap;

/*
 * Raw Argon2id: n bytes (4 to 64) to ret.
 * Returns 0, -SM_EINVAL (password empty, salt shorter than 8 or longer than 64 bytes, n), -SM_ELIMIT (cost outside
 * the maxima above, memory below 8 KiB a lane, password too long), -ENOMEM, -SM_ECRYPTO.
 */
sm_must_use int crypto_pass_raw(struct sm_span password, struct sm_span salt, const struct crypto_pass_cost *cost,
    uint8_t *ret, size_t n);
/* "$argon2id$v=19$m=..,t=..,p=..$salt$hash" with a fresh salt.  Errors as crypto_pass_raw. */
sm_must_use int crypto_pass_hash(struct sm_span password, const struct crypto_pass_cost *cost,
    char ret[CRYPTO_PASS_TEXT]);
/*
 * Compare in constant time.  Returns 0, or
 *   -SM_EAUTH    another password
 *   -SM_EFORMAT  not such a text; -SM_EVERSION another Argon2 version or variant
 *   -SM_ELIMIT   costs beyond the maxima; -ENOMEM, -SM_ECRYPTO
 */
sm_must_use int crypto_pass_verify(struct sm_span password, const char *stored);
/* Was stored made with another cost than this?  (True for a text that cannot be read.) */
bool crypto_pass_is_old(const char *stored, const struct crypto_pass_cost *cost);

/* Numbers are part of the API: append, never renumber. */
enum crypto_pass_reason {
    CRYPTO_PASS_GOOD = 0,
    CRYPTO_PASS_NOT_TEXT = 1,     /* not UTF-8, or control characters */
    CRYPTO_PASS_TOO_LONG = 2,     /* more than CRYPTO_PASS_MAX bytes */
    CRYPTO_PASS_SHORT_8 = 3,      /* with a second factor: fewer than 8 characters */
    CRYPTO_PASS_SHORT_13 = 4,     /* without: fewer than 13 */
    CRYPTO_PASS_NO_LETTER = 5,
    CRYPTO_PASS_NO_DIGIT = 6,
    CRYPTO_PASS_COMMON = 7,       /* on the ban list, after undoing the usual disguises */
    CRYPTO_PASS_REPEATED = 8,     /* one or two characters, or one short piece, over and over; or a run */
    CRYPTO_PASS_HAS_ACCOUNT = 9,  /* contains the account name */
    CRYPTO_PASS_HAS_INSTITUTION = 10,
};
/* Account and institution names are UTF-8; parts shorter than 3 characters are not looked for. */
enum crypto_pass_reason crypto_pass_check(struct sm_span password, bool second_factor, const char *account,
    const char *institution);
/* "SHORT_8", "COMMON", ...: stable, the key of the screen's sentence. */
const char *crypto_pass_reason_name(enum crypto_pass_reason reason);

#endif
