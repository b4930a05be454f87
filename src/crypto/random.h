/*
 * Random numbers from the system (getrandom by way of libgcrypt).
 */
#ifndef CRYPTO_RANDOM_H
#define CRYPTO_RANDOM_H
#include "core/buf.h"

/* Cannot fail; the process ends if the system gives no random numbers. */
void crypto_random(void *ret, size_t n);
/* Uniform in [0, n); n >= 1 (0 gives 0). */
uint64_t crypto_random_below(uint64_t n);

/* The alphabet of codes people read out and type: Crockford base32 (no I, L, O, U). */
#define CRYPTO_CODE_ALPHABET "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#define CRYPTO_CODE_MAX 64
/* n characters (5 bits each, n <= CRYPTO_CODE_MAX) in groups of group joined by '-' (0: no groups).
 * ret has n + (n - 1) / group + 1 bytes. */
void crypto_code_new(size_t n, size_t group, char *ret);
/* What a person typed, in its one form without groups: upper case, spaces and '-' dropped,
 * I and L read as 1, O as 0, full-width letters and digits as plain ones.  ret has size bytes.
 * -SM_EFORMAT (another character), -SM_ELIMIT (does not fit). */
sm_must_use int crypto_code_read(const char *typed, char *ret, size_t size);

#endif
