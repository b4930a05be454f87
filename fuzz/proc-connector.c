/* A message of the process connector, from any bytes. */
#include <stdlib.h>
#include "plat/procwatch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct procwatch_word w;
    if (procwatch_parse_connector(SM_SPAN(data, n), &w) == 1 && (!w.pid || !w.kind))
        abort();
    return 0;
}
