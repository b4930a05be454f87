/* Destinations of orders as text: what is read is written as it was, and is inside of itself. */
#include <stdlib.h>
#include <string.h>

#include "plat/netfilter.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct plat_nf_to t, again;
    struct sm_buf b = SM_BUF_INIT(65536);
    char text[65], out[64];
    if (n >= sizeof text)
        return 0;
    memcpy(text, p, n);
    text[n] = 0;
    if (plat_nf_parse(text, &t))
        return 0;
    plat_nf_text(&t, out);
    if (plat_nf_parse(out, &again) || memcmp(&t.address, &again.address, 16) != 0 || t.bits != again.bits || !plat_nf_inside(&t, &again))
        abort();
    if (plat_netfilter_text(&(struct plat_nf_rules){.to = &t, .to_n = 1}, &b) || !strstr(sm_buf_str(&b), out))
        abort();
    sm_buf_wipe(&b);
    return 0;
}
