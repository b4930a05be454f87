/*
 * Chunks (FORMAT 2.1) and the keys of a client.  Sealing one chunk allocates nothing once the context
 * and the output buffer have grown to their size.
 */
#ifndef VAULT_SEAL_CHUNK_H
#define VAULT_SEAL_CHUNK_H
#include "crypto/hash.h"
#include "vault/seal/format.h"

/* What a client seals with.  Read only once made: threads may share it. */
struct seal_keys {
    struct crypto_hmac_key id, look; /* prepared K_id, K_look */
    struct client_id client;
};
void seal_keys_init(struct seal_keys *k, const uint8_t k_id[OBJ_KEY_LEN], const uint8_t k_look[OBJ_KEY_LEN],
    const struct client_id *client);
void seal_keys_wipe(struct seal_keys *k);

/* Working space of one thread: compressor, decompressor, cipher, scratch. */
struct seal_ctx;
sm_must_use int seal_ctx_new(struct seal_ctx **ret); /* -ENOMEM, -SM_ECRYPTO */
void seal_ctx_free(struct seal_ctx *c);

/* h of a chunk's plain bytes; never stored. */
struct chunk_hash { uint8_t b[32]; };
void chunk_hash(struct sm_span plain, struct chunk_hash *ret);
/* The client's local look-up value for h (type is OBJ_CHUNK or OBJ_CANARY). */
void chunk_look(const struct seal_keys *k, uint8_t type, const struct chunk_hash *h, uint8_t ret[32]);
/* The content key, and the nonce key unless ret_nk is NULL.  An unchanged chunk needs no more than ck. */
struct chunk_key { uint8_t b[OBJ_KEY_LEN]; };
void chunk_keys(const struct seal_keys *k, uint8_t type, const struct chunk_hash *h, struct chunk_key *ret_ck,
    uint8_t *ret_nk);

/* level: 0 = never compress, else a zstd level (1..19; -7..-1 too).  probe keeps zstd away from what
 * looks incompressible.  Stored is used whenever zstd saves less than 1/32.  match and table, where not 0, are used instead
 * of the level's: the shortest match that is looked for, and the log of the number of places remembered.  planes: what looks
 * like numbers of two bytes is sealed with OBJ_PLANES (chunks only; level not 0). */
struct seal_how { int level; bool probe, planes; uint8_t match, table; };
struct chunk_info { struct cid cid; struct chunk_key ck; uint8_t algorithm; };
/*
 * Seal plain (1..CHUNK_PLAIN_MAX bytes), whose hash is h; the object is appended to ret_sealed.
 * Returns 0, -SM_EINVAL (type, or length), -ENOMEM, -SM_ELIMIT (ret_sealed's maximum), -SM_ECRYPTO.
 */
sm_must_use int chunk_seal(struct seal_ctx *c, const struct seal_keys *k, uint8_t type, struct sm_span plain,
    const struct chunk_hash *h, struct seal_how how, struct chunk_info *ret, struct sm_buf *ret_sealed);
/*
 * Several chunks at once, the same as one by one and quicker (crypto/many.h): their hashes, then, of those that have to
 * be, the sealed objects.  n <= CHUNK_MANY_MAX, else -SM_EINVAL.
 */
#define CHUNK_MANY_MAX 64u
struct chunk_work {
    uint8_t type;
    struct seal_how how;
    struct sm_span plain;
    const struct chunk_hash *hash;   /* for sealing */
    uint8_t *to; size_t n;           /* room for plain.n + CHUNK_OVERHEAD bytes; what stands there when sealed */
    struct chunk_info info;
};
sm_must_use int chunk_hash_many(struct seal_ctx *c, const struct chunk_work *work, size_t n, struct chunk_hash *ret);
sm_must_use int chunk_seal_many(struct seal_ctx *c, const struct seal_keys *k, struct chunk_work *work, size_t n);
/* Have sealed objects their names?  Any n.  -ENOMEM. */
struct obj_named { struct sm_span sealed; const struct cid *name; bool same; };
sm_must_use int obj_names_check(struct seal_ctx *c, struct obj_named *objects, size_t n);
/*
 * Open a chunk of either type; the plain bytes are appended to ret_plain, which is as it was on failure.
 * The name is not checked here (obj_name_check).  client NULL: any.
 * Returns 0, or
 *   -SM_EFORMAT, -SM_EVERSION  not a chunk, or a zstd frame that breaks FORMAT 2.1
 *   -SM_EMISMATCH              another type or client
 *   -SM_EAUTH                  wrong key or altered bytes
 *   -SM_ELIMIT                 more than CHUNK_PLAIN_MAX bytes, or past ret_plain's maximum
 *   -ENOMEM, -SM_ECRYPTO
 */
sm_must_use int chunk_open(struct seal_ctx *c, struct sm_span sealed, const struct client_id *client,
    const struct chunk_key *ck, struct sm_buf *ret_plain);

/* Does a sample of plain look like compressed or encrypted bytes? */
bool seal_looks_random(struct sm_span plain);
/* Does a sample of it look like numbers of two bytes, most of which differ from the one before in one of the bytes only? */
bool seal_looks_paired(struct sm_span plain);

#endif
