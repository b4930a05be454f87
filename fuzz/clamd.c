/* What answers at clamd's socket. */
#include "detect/scan/clamd.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    char name[CLAMD_NAME];
    enum clamd_verdict v;
    struct clamd_version version;
    if (clamd_parse(SM_SPAN(p, n), &v, name) == 0 && (v == CLAMD_FOUND) != (name[0] != 0))
        __builtin_trap();
    if (clamd_parse_version(SM_SPAN(p, n), &version) == 0 && strlen(version.engine) >= sizeof version.engine)
        __builtin_trap();
    return 0;
}
