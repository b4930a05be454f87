/* Shared by chunk.c, page.c and snapshot/item.c: the working space of one thread.  Nobody else includes this. */
#ifndef VAULT_SEAL_INTERNAL_H
#define VAULT_SEAL_INTERNAL_H
#include <zstd.h>
#include "crypto/aead.h"
#include "crypto/many.h"
#include "vault/seal/chunk.h"

struct seal_ctx {
    struct crypto_aead *aead;
    ZSTD_CCtx *cctx; /* made when first needed */
    ZSTD_DCtx *dctx;
    struct seal_how set; /* what cctx is set to; level 0: nothing yet */
    struct sm_buf scratch, planes; /* the form that is opened; the two planes of a chunk */
    struct crypto_many *many; /* made when first needed */
    bool many_made;
};

/*
 * The form of body before sealing, written to `to` (room for body.n bytes).  *ret_algorithm says which it is.
 */
sm_must_use int seal_form(struct seal_ctx *c, struct sm_span body, struct seal_how how, uint8_t *to,
    size_t *ret_n, uint8_t *ret_algorithm);
/*
 * Decrypt boxed (tag last) and undo the form; at most max bytes are appended to ret.
 */
sm_must_use int seal_unform(struct seal_ctx *c, const struct chunk_key *ck, const uint8_t *nonce, struct sm_span aad,
    struct sm_span boxed, uint8_t algorithm, size_t max, struct sm_buf *ret);
/* ck (or nk) of an object with header h and hash hash. */
void seal_derive(const struct seal_keys *k, const char label[2], uint8_t type, const uint8_t hash[32], uint8_t ret[32]);
/* The nonce of an object.  It belongs to the stored form (head ‖ form), because zstd promises no equal bytes over its
 * versions. */
void seal_nonce(const struct seal_keys *k, uint8_t type, const uint8_t hash[32], struct sm_span head,
    struct sm_span form, uint8_t *to);

#endif
