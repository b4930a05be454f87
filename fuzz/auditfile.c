/* An exported audit log. */
#include "sakimori/auditfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct auditfile a = { 0 };
    while (n) {
        const uint8_t *end = memchr(p, '\n', n);
        size_t m = end ? (size_t)(end - p) : n;
        (void)auditfile_line(&a, SM_SPAN(p, m));
        m += end != NULL;
        p += m;
        n -= m;
    }
    return 0;
}
