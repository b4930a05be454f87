/*
 * Start of the crypto room.  This room is the only one that names a crypto library:
 * libgcrypt for hashes, ciphers, keys and random numbers, GnuTLS for certificates and TLS.
 */
#ifndef CRYPTO_INIT_H
#define CRYPTO_INIT_H
#include "core/err.h"

/*
 * Call once in every program, before threads start and before filters and folder rules are
 * applied; calling again costs nothing.  Random numbers come straight from getrandom(2), so a
 * fork needs no further care.
 * Returns 0, or
 *   -SM_EVERSION  libgcrypt older than 1.10.0 or GnuTLS older than 3.7.0
 *   -SM_ECRYPTO   a library would not start
 */
sm_must_use int crypto_init(void);

#endif
