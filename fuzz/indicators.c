/* A list of indicators, as somebody brings it. */
#include "detect/scan/indicators.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const uint8_t hash[32];
    struct indicators *i = NULL;
    unsigned line;
    if (indicators_parse(SM_SPAN(p, n), &i, &line) == 0) {
        (void)indicators_file(i, hash);
        (void)indicators_address(i, "192.0.2.7");
        (void)indicators_domain(i, "a.b.example.com");
    }
    indicators_free(i);
    return 0;
}
