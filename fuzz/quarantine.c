/* An entry of the quarantine, as a damaged disk or somebody with root's rights leaves it. */
#include "quarantine/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    json_t *e = NULL;
    struct sm_buf b = SM_BUF_INIT(2 * PATH_BYTES);
    struct plat_meta m;
    if (sm_json_parse(SM_SPAN(p, n), ENTRY_MAX, &e, NULL) < 0)
        return 0;
    if (entry_check(e) == 0 && (entry_path(e, "path", &b) < 0 || entry_meta(e, &m) < 0))
        __builtin_trap(); /* what was checked can be read */
    else if (entry_check(e) == 0)
        plat_meta_wipe(&m);
    sm_buf_wipe(&b);
    json_decref(e);
    return 0;
}
