/* The payload of a write-ahead frame, a ledger's tombstone and statement. */
#include <stdint.h>
#include <stdlib.h>

#include "journal/internal.h"

static int taken(void *arg, const struct ev_record *r)
{
    struct sm_buf raw = SM_BUF_INIT(8 << 20);
    struct ev_build *b = arg;

    (void)ev_rest_raw(r->rest, r->fields, r->n, false, &raw);
    (void)ev_build_add(b, r);
    sm_buf_wipe(&raw);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t none[32];
    struct sm_buf block = SM_BUF_INIT((size_t)EV_BODY_MAX);
    struct evseal_statement s;
    struct evseal_root root;
    struct ev_build *b;
    struct ev_tomb t;
    uint8_t hash[32];
    uint64_t n = 0;

    if (ev_build_new(&b) < 0)
        abort();
    (void)ev_frame_read(SM_SPAN(data, size), taken, b, &n);
    if (ev_build_state(b).events && ev_build_encode(b, 1, 0, none, 1, &block, hash) < 0)
        abort(); /* whatever was taken in can be written down */
    (void)ev_tomb_parse(SM_SPAN(data, size), &t);
    (void)evseal_root_unpack(SM_SPAN(data, size), &root);
    if (size >= EVSEAL_LEN)
        (void)evseal_parse(data, &s);
    ev_build_free(b);
    sm_buf_wipe(&block);
    return 0;
}
