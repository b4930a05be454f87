/* The text of an order, as a person's file or a hijacked brain brings it. */
#include "vault/store/order.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct order o;
    char why[160];
    struct sm_buf b = SM_BUF_INIT(ORDER_TEXT_MAX + 1);
    if (order_parse(SM_SPAN(p, n), &o, why) == 0 && (order_put(&o, &b) || !sm_span_eq(sm_buf_span(&b), SM_SPAN(p, n))))
        __builtin_trap(); /* what is accepted is written the same way, but for the order of its manifests */
    sm_buf_wipe(&b);
    return 0;
}
