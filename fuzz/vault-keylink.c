/* A key link of a journal or a box: form, and that nobody's key opens one that nobody made. */
#include "crypto/init.h"
#include "vault/snapshot/keylink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keyring ring;
    struct keylink k;
    struct vault_id v = {{0}};
    struct sm_span in = SM_SPAN(data, size);
    struct crypto_x25519_pair pair = {{1}, {0}};
    size_t bad = 0;
    if (crypto_init() < 0)
        abort();
    if (keylink_parse(in, &k) != 0 || k.set.r[0].key.n != CRYPTO_X25519_LEN)
        return 0;
    memcpy(pair.public_key, k.set.r[0].key.p, CRYPTO_X25519_LEN);
    keyring_fill(&ring, &v, &pair, &in, 1, &bad);
    if (ring.n != 1)
        abort();
    return 0;
}
