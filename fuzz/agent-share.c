/* What the part that speaks SMB tells of a folder: every name is a single part, every number of this world, and what
 * was read is what would be written. */
#include <stdlib.h>
#include <string.h>

#include "sakimori-agent/kinds/sharewire.h"

static void must(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct share_page page;
    struct share_facts f;
    struct sm_span name;
    struct sm_buf again = SM_BUF_INIT(1 << 20);
    int r;
    if (share_facts_get(SM_SPAN(p, n), &f) == 0) {
        must(share_facts_put(&again, &f) == 0);
        must(sm_span_eq(sm_buf_span(&again), SM_SPAN(p, n)));
    }
    (void)share_path_ok(SM_SPAN(p, n));
    if (n > SHARE_PAGE_MAX || share_page_get(SM_SPAN(p, n), &page)) {
        sm_buf_wipe(&again);
        return 0;
    }
    sm_buf_clear(&again);
    must(sm_buf_put(&again, p, 2) == 0);
    while ((r = share_row_next(&page, &name, &f)) == 1) {
        must(name.n > 0 && !memchr(name.p, '/', name.n) && !memchr(name.p, 0, name.n));
        must(f.size <= INT64_MAX && f.written.ns < 1000000000u);
        must(share_row_put(&again, name, &f) == 0);
    }
    if (r == 0)
        must(sm_span_eq(sm_buf_span(&again), SM_SPAN(p, n)));
    sm_buf_wipe(&again);
    return 0;
}
