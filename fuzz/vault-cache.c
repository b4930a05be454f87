/*
 * A log that a box kept of a client's cache.  Twice: as the bytes that came (nothing may open, whatever they are), and,
 * past the seal, as pieces of operations (u16 length ‖ bytes each): the stream they make is never longer than what they say.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crypto/init.h"
#include "vault/backup/keep.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void open_it(const uint8_t *p, size_t n)
{
    static struct seal_ctx *ctx;
    static const uint8_t k_id[OBJ_KEY_LEN] = {1}, log[CACHE_LOG_LEN] = {2};
    const struct vault_id v = {{3}};
    const struct client_id c = {{4}};
    const struct source_id s = {{5}};
    const struct cid none = {{0}};
    struct cid name;
    struct cache_key k;
    struct sm_buf plain = SM_BUF_INIT(CACHE_PLAIN_MAX);
    if (!ctx && (crypto_init() || seal_ctx_new(&ctx)))
        abort();
    cache_key_make(k_id, &v, &c, &s, log, &k);
    if (cache_open(ctx, &k, &none, SM_SPAN(p, n), &name, &plain) == 0)
        abort(); /* nobody has this key */
    sm_buf_wipe(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct keep_stream *s = NULL;
    bool state = false;
    open_it(p, n);
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || keep_stream_new(fd, &s))
        abort();
    struct sm_rd rd = SM_RD(SM_SPAN(p, n));
    while (rd.n >= 2) {
        size_t k = sm_rd_u16(&rd);
        struct sm_span piece = sm_rd_bytes(&rd, k < rd.n ? k : rd.n);
        if (keep_stream_piece(s, piece, &state))
            break;
        if (keep_stream_bytes(s) > KEEP_LOG_MAX * 8)
            abort();
    }
    keep_stream_free(s);
    (void)close(fd);
    return 0;
}
