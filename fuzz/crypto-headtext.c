/* What a person pastes: a mail, a print, anything. */
#include <stdlib.h>
#include "crypto/headtext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct headtext t, again;
    struct sm_buf b = SM_BUF_INIT(512);
    if (headtext_parse(SM_SPAN(data, size), &t) == 0 && t.whole &&
        (headtext_long(t.head, &b) || headtext_parse(sm_buf_span(&b), &again) || again.seq != t.seq))
        abort();
    sm_buf_wipe(&b);
    return 0;
}
