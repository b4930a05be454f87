/* A bundle of rules: opened or refused, never half; what no trusted key signed is never opened.  bundle_look leaves the signature out
 * of account, so that what stands behind it is reached. */
#include <stdlib.h>
#include <string.h>
#include "detect/bundle/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct bundle_key key = { { 1 } };
    struct bundle *b = NULL;
    char why[BUNDLE_WHY_MAX] = "";

    if (bundle_open(SM_SPAN(data, n), &key, 1, &b, why) == 0 || b || !why[0])
        abort();
    if (bundle_look(SM_SPAN(data, n), &b, why) < 0)
        return 0;
    if (bundle_signer(b) || !bundle_head(b)->serial || !bundle_count(b))
        abort();
    for (size_t i = 0; i < bundle_count(b); i++) {
        const struct bundle_file *f = bundle_at(b, i);
        if (!bundle_name_good(f->name) || bundle_find(b, f->name) != f || f->text.n > BUNDLE_FILE_MAX)
            abort();
    }
    bundle_free(b);
    return 0;
}
