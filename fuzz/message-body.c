/* Bodies between processes, u32 n ‖ JSON ‖ raw: what is taken apart goes together again to the same. */
#include <stdlib.h>
#include <string.h>
#include "sakimorid/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    json_t *j = NULL, *again = NULL;
    struct sm_span raw, raw_again;
    struct sm_buf b = SM_BUF_INIT(SM_IPC_BODY_MAX * 2);
    char why[160];

    if (msg_split(SM_SPAN(data, n), 64 << 10, &j, &raw, why) < 0)
        return 0;
    /* Long or deep numbers may be refused on the way out; what came out must come back. */
    if (msg_join(j, raw, &b) >= 0) {
        if (msg_split(sm_buf_span(&b), SM_IPC_BODY_MAX, &again, &raw_again, why) < 0 || !sm_span_eq(raw, raw_again))
            abort();
        json_decref(again);
    }
    json_decref(j);
    sm_buf_wipe(&b);
    return 0;
}
