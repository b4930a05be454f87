/* What a machine is, from any bytes: always JSON within its limits. */
#include <stdlib.h>
#include "sakimori-agent/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct sm_buf b = { 0 };
    json_t *o = json_object();
    if (n && o) {
        facts_parse((enum facts_file)(data[0] % FACTS_FILES), SM_SPAN(data + 1, n - 1), o);
        if (sm_json_dump(o, &b) != 0 || b.n > FACTS_LIST_MAX * (6 * FACTS_TEXT_MAX + 4) + 4096)
            abort();
    }
    json_decref(o);
    sm_buf_wipe(&b);
    return 0;
}
