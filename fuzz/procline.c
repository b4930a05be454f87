/* What /proc shows of a process, from any bytes. */
#include <stdlib.h>
#include <string.h>
#include "plat/procinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct procinfo_stat s;
    uint32_t tgid, uid;
    char line[64];
    if (!n)
        return 0;
    const struct sm_span text = SM_SPAN(data + 1, n - 1);
    if (data[0] % 3 == 0 && !procinfo_parse_stat(text, &s) && !s.pid)
        abort();
    if (data[0] % 3 == 1 && !procinfo_parse_status(text, &tgid, &uid) && !tgid)
        abort();
    if (data[0] % 3 == 2) {
        procinfo_join(text, line, sizeof line);
        if (strlen(line) >= sizeof line)
            abort();
    }
    return 0;
}
