/*
 * Pieces of a client's cache (FORMAT 14): sealed by a key that only the client has, each bound to the one before it, so
 * that a row of them can be cut short but not mixed, exchanged or continued by anybody else.
 */
#ifndef VAULT_SEAL_CACHE_H
#define VAULT_SEAL_CACHE_H
#include "vault/seal/chunk.h"

#define CACHE_LOG_LEN 16
#define CACHE_PLAIN_MAX CHUNK_PLAIN_MAX
#define CACHE_SEALED_MAX (OBJ_HDR_LEN + CACHE_LOG_LEN + OBJ_NONCE_LEN + OBJ_TAG_LEN + CACHE_PLAIN_MAX)

struct cache_key { uint8_t b[OBJ_KEY_LEN]; struct client_id client; uint8_t log[CACHE_LOG_LEN]; };
void cache_key_make(const uint8_t k_id[OBJ_KEY_LEN], const struct vault_id *vault, const struct client_id *client,
    const struct source_id *source, const uint8_t log[CACHE_LOG_LEN], struct cache_key *ret);
/* Append the piece that follows prev (zero for the first); *ret_name is its name.  -SM_EINVAL, -ENOMEM, -SM_ELIMIT,
 * -SM_ECRYPTO. */
sm_must_use int cache_seal(struct seal_ctx *c, const struct cache_key *k, const struct cid *prev, struct sm_span plain,
    struct cid *ret_name, struct sm_buf *ret_sealed);
/* Append the plain bytes.  -SM_EFORMAT (no piece of this log), -SM_EAUTH (another key, place or byte), -SM_ELIMIT,
 * -ENOMEM. */
sm_must_use int cache_open(struct seal_ctx *c, const struct cache_key *k, const struct cid *prev, struct sm_span sealed,
    struct cid *ret_name, struct sm_buf *ret_plain);
#endif
