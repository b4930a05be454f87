/* First byte: length of the pieces the pack comes in (0: a trailer instead). */
#include "crypto/init.h"
#include "vault/pack/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct pack_expect any = {0};
    struct pack_check *c;
    struct pack_trailer t;
    struct pack_header h;
    struct cid id;
    struct sm_buf objects = {0};
    size_t piece;
    if (crypto_init() < 0)
        abort();
    if (size < 1)
        return 0;
    piece = data[0];
    if (piece == 0) {
        (void)pack_trailer_parse(SM_SPAN(data + 1, size - 1), &t);
        return 0;
    }
    (void)pack_head_parse(SM_SPAN(data + 1, size - 1), &h, &id, &objects);
    sm_buf_wipe(&objects);
    if (pack_check_new(&any, NULL, NULL, &c) < 0)
        abort();
    for (size_t at = 1; at < size;) {
        size_t n = size - at < piece ? size - at : piece;
        int64_t took = pack_check_put(c, SM_SPAN(data + at, n));
        if (took < 0 || (size_t)took < n)
            break;
        at += n;
    }
    pack_check_free(c);
    return 0;
}
