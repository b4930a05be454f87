#include "crypto/init.h"
#include <gcrypt.h>
#include <gnutls/gnutls.h>
#include <pthread.h>

#define SECURE_POOL_BYTES 65536

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_result;

static void start(void)
{
    /* Before the library's own start-up: no user-space pool that a fork would have to re-seed. */
    (void)gcry_control(GCRYCTL_SET_PREFERRED_RNG_TYPE, GCRY_RNG_TYPE_SYSTEM);
    if (!gcry_check_version("1.10.0") || !gnutls_check_version("3.7.0")) {
        once_result = -SM_EVERSION;
        return;
    }
    if (!gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P)) {
        /* A pool that is wiped when freed, for the library's own copies of keys.  Where it cannot be
         * locked against swapping it still works, hence no warning on somebody's terminal. */
        (void)gcry_control(GCRYCTL_SUSPEND_SECMEM_WARN);
        (void)gcry_control(GCRYCTL_INIT_SECMEM, SECURE_POOL_BYTES, 0);
        if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0)) {
            once_result = -SM_ECRYPTO;
            return;
        }
    }
    once_result = gnutls_global_init() == GNUTLS_E_SUCCESS ? 0 : -SM_ECRYPTO;
}

int crypto_init(void)
{
    (void)pthread_once(&once, start); /* cannot fail with a static control */
    return once_result;
}
