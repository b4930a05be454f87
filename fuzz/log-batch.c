/* What the collector hands on: a reader takes it apart within its bounds, and what was taken apart can be put together again. */
#include <stdlib.h>
#include <string.h>
#include "sakimorid/logbatch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct log_batch b;
    struct log_run run;
    struct log_record rec;
    struct sm_buf again = SM_BUF_INIT(n + 64);
    int r = log_batch_get(SM_SPAN(data, n), &b);

    if (r < 0)
        return 0;
    if (log_batch_begin(&again, b.stream, b.number) < 0)
        abort();
    while ((r = log_run_next(&b.runs, &run)) > 0) {
        if (log_run_begin(&again, run.listener, run.address, (uint32_t)run.records.n) < 0)
            abort();
        while ((r = log_record_next(&run.records, &rec)) > 0)
            if (rec.bytes.n > LOG_LINE_MAX || log_record_put(&again, rec.seen_ns, rec.cut, rec.bytes) < 0)
                abort();
        if (r < 0)
            break;
    }
    if (r == 0 && (again.n != n || memcmp(again.p, data, n) != 0))
        abort();
    sm_buf_wipe(&again);
    return 0;
}
