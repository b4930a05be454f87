/* keyd's sealed files: the sealed form as a copy holds it, and the plain form behind it. */
#include "core/err.h"
#include "crypto/init.h"
#include "vault/seal/selfkeys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t secret[32] = {3, 10, 17, 24, 31, 38};
    struct vault_id vault = {{0}};
    struct sm_buf plain = SM_BUF_INIT(SELFKEYS_PLAIN_MAX);
    struct selfkeys k;
    struct sm_span in = SM_SPAN(data, n);
    if (crypto_init() < 0 || n > (64u << 10))
        return 0;
    if (selfkeys_parse(in, &k) == 0) {
        if (!k.n || k.n > SELFKEYS_FILES_MAX)
            abort();
        for (size_t i = 0; i < k.n; i++)
            if (!selfkeys_name_ok(SM_SPAN_STR(k.file[i].name)) || selfkeys_find(&k, k.file[i].name) != &k.file[i])
                abort();
    }
    if (n >= 24)
        memcpy(vault.b, data + 8, 16);
    (void)!selfkeys_open(in, &vault, secret, &plain, &k); /* no secret of that key is known to whoever chose the bytes */
    sm_buf_wipe(&plain);
    return 0;
}
