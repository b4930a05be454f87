/* What a person types, scans or saves of the recovery sheet. */
#include "crypto/sheet.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct crypto_sheet s;
    char why[160];
    if (crypto_sheet_parse(SM_SPAN(p, n), CRYPTO_SHEET_OPEN, &s, why) == 0)
        crypto_sheet_wipe(&s);
    if (crypto_sheet_parse(SM_SPAN(p, n), CRYPTO_SHEET_ORDERS, &s, why) == 0)
        crypto_sheet_wipe(&s);
    return 0;
}
