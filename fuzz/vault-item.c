/* u8 refs, u8 parts, u8 what kind, the parts, and then an item: accepted parts must take a sealed item back. */
#include "crypto/init.h"
#include "vault/snapshot/dirpage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seal_ctx *ctx;
    static struct cid refs[256];
    static struct part parts[256];
    static const struct chunk_key keys[256];
    const struct chunk_key k = {{1}};
    const struct cid env = {{2}};
    struct page_refs r;
    struct sm_rd rd;
    struct sm_buf item = {0}, out = {0};
    uint64_t sum;
    uint32_t nkeys, n;
    if (!ctx && (crypto_init() < 0 || seal_ctx_new(&ctx) < 0))
        abort();
    if (size < 4)
        return 0;
    r = (struct page_refs){.ref = refs, .n = data[0]};
    n = data[1];
    rd = SM_RD(SM_SPAN(data + 3, size - 3));
    if (parts_parse(&rd, &r, n, (enum part_form)(data[2] % 3), NULL, &sum, &nkeys) < 0)
        return 0;
    parts_decode(SM_SPAN(data + 3, size - 3), &r, n, parts);
    (void)item_open(ctx, &k, 1, &env, LAYOUT_CHUNKS, parts, n, SM_SPAN(rd.p, rd.n), &out);
    if (nkeys > 0 && (item_seal(ctx, &k, 1, &env, LAYOUT_CHUNKS, parts, n, keys, nkeys, &item) < 0 ||
                         item_open(ctx, &k, 1, &env, LAYOUT_CHUNKS, parts, n, sm_buf_span(&item), &out) < 0))
        abort();
    sm_buf_wipe(&item);
    sm_buf_wipe(&out);
    return 0;
}
