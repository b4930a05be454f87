#include "vault/snapshot/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plat_meta m;
    struct meta_extra x, y;
    struct sm_buf b = {0};
    (void)meta_check(SM_SPAN(data, size));
    if (meta_to_plat(SM_SPAN(data, size), PLAT_FILE, &m, &x) < 0)
        return 0;
    /* what was understood can be written and understood again */
    if (meta_extra_of(SM_SPAN(data, size), &y) < 0)
        abort();
    if (meta_from_plat(&m, &x, META_WITH_ATIME | META_WITH_CTIME, &b) == 0 && meta_check(sm_buf_span(&b)) < 0)
        abort();
    plat_meta_wipe(&m);
    sm_buf_wipe(&b);
    return 0;
}
