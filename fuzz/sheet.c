/* What a person types, scans or saves of the recovery sheet. */
#include "sakimori/sheet.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct sheet s;
    char why[160];
    if (sheet_parse(SM_SPAN(p, n), &s, why) == 0)
        sheet_wipe(&s);
    return 0;
}
