#include "crypto/init.h"
#include "vault/snapshot/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct envelope e;
    struct recipients set;
    struct sm_buf again = {0};
    struct vault_id v = {{0}};
    struct file_key f = {{0}}, got;
    struct crypto_x25519_pair pair = {{1}, {0}};
    if (crypto_init() < 0)
        abort();
    /* a set that is accepted has one form */
    if (recipients_parse(SM_SPAN(data, size), &set) == 0 &&
        (recipients_put(&set, &again) < 0 || !sm_span_eq(sm_buf_span(&again), SM_SPAN(data, size))))
        abort();
    sm_buf_wipe(&again);
    if (envelope_parse(SM_SPAN(data, size), NULL, &e) == 0) {
        if (envelope_verify(&v, &e.hdr.client, SM_SPAN(data, size), &f) == 0)
            abort(); /* nobody made one under F = 0 */
        if (e.set.r[0].key.n == CRYPTO_X25519_LEN) {
            memcpy(pair.public_key, e.set.r[0].key.p, CRYPTO_X25519_LEN);
            if (envelope_open(&v, &e.hdr.client, SM_SPAN(data, size), &pair, &got) == 0)
                abort();
        }
    }
    return 0;
}
