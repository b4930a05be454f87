/* A poll row of the box: whatever it says, it is refused without the order key's signature. */
#include <stdlib.h>

#include "crypto/init.h"
#include "sakimori-agent/orders.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const uint8_t pub[32] = { 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
        0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a };
    json_t *row = NULL;
    struct order o;
    char why[160];
    if (crypto_init() || sm_json_parse(SM_SPAN(p, n), 1 << 18, &row, NULL))
        return 0;
    if (order_check(row, pub, "dev1", &o, why) == 0)
        abort();
    json_decref(row);
    return 0;
}
