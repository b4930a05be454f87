/* Bytes of the kernel about files: notices, and the text that says how a thread opens.  Neither may be believed for a length. */
#include <stdint.h>
#include <string.h>

#include "plat/fswatch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void on_notice(void *ctx, const struct fswatch_notice *e)
{
    uint64_t *sum = ctx;
    const struct sm_span all[] = {e->at.folder, e->at.name, e->to.folder, e->to.name};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (size_t k = 0; k < all[i].n; k++)
            *sum += all[i].p[k];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint64_t sum = 0, at = 0;
    int flags = 0;
    if (n == 0)
        return 0;
    if (data[0] & 1)
        (void)!fswatch_parse(SM_SPAN(data + 1, n - 1), on_notice, &sum);
    else
        (void)!fswatch_parse_call(SM_SPAN(data + 1, n - 1), &flags, &at);
    return 0;
}
