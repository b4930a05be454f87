/* First byte: which.  0: the bytes are a sealed object.  Else: they are the form inside a well-made AEAD, which a client
 * gone bad can make; 3: of planes. */
#include "crypto/aead.h"
#include "crypto/init.h"
#include "vault/seal/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seal_ctx *ctx;
    static struct crypto_aead *aead;
    const struct chunk_key ck = {{1}};
    struct sm_buf sealed = {0}, plain = SM_BUF_INIT(CHUNK_PLAIN_MAX);
    struct obj_hdr h = {.algorithm = size && data[0] == OBJ_PLANES ? OBJ_PLANES : OBJ_ZSTD, .type = OBJ_CHUNK};
    if (!ctx && (crypto_init() < 0 || seal_ctx_new(&ctx) < 0 || crypto_aead_new(&aead) < 0))
        abort();
    if (size < 1)
        return 0;
    if (data[0] == 0) {
        (void)chunk_open(ctx, SM_SPAN(data + 1, size - 1), NULL, &ck, &plain);
    } else if (sm_buf_reserve(&sealed, size + CHUNK_OVERHEAD) == 0) {
        size_t n = size - 1;
        obj_hdr_put(&h, sealed.p);
        memset(sealed.p + OBJ_HDR_LEN, 0, OBJ_NONCE_LEN);
        if (crypto_aead_seal(aead, ck.b, sealed.p + OBJ_HDR_LEN, SM_SPAN(sealed.p, OBJ_HDR_LEN), SM_SPAN(data + 1, n),
                sealed.p + OBJ_HDR_LEN + OBJ_NONCE_LEN) < 0)
            abort();
        if (chunk_open(ctx, SM_SPAN(sealed.p, n + CHUNK_OVERHEAD), NULL, &ck, &plain) == 0 &&
            (plain.n == 0 || plain.n > CHUNK_PLAIN_MAX))
            abort();
    }
    sm_buf_wipe(&sealed);
    sm_buf_wipe(&plain);
    return 0;
}
