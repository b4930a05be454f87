/* A take-over order as an agent gets it from a box that it does not believe. */
#include "core/err.h"
#include "vault/store/takeover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct takeover t, again;
    struct sm_buf text = SM_BUF_INIT(TAKEOVER_TEXT_MAX);
    if (takeover_parse(SM_SPAN(data, n), &t) != 0)
        return 0;
    if (takeover_put(&t, "2026-11-22T05:30:00Z", &text) || takeover_parse(sm_buf_span(&text), &again) ||
        memcmp(&t.from.hash, &again.from.hash, 32) != 0 || t.from.seq != again.from.seq ||
        memcmp(t.nonce, again.nonce, 16) != 0)
        abort();
    sm_buf_wipe(&text);
    return 0;
}
