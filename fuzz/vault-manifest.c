#include "vault/snapshot/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest m;
    if (manifest_parse(SM_SPAN(data, size), &m) == 0) {
        volatile uint8_t last = m.roots[m.nroots - 1].b[31]; /* readable to its end */
        (void)last;
        if (m.nroots < 1 || m.nroots > MANIFEST_ROOTS_MAX)
            abort();
    }
    return 0;
}
