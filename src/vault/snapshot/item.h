/*
 * Parts of a stream, and items (FORMAT 2.3): the keys of the parts, sealed under a key from F.
 */
#ifndef VAULT_SNAPSHOT_ITEM_H
#define VAULT_SNAPSHOT_ITEM_H
#include "vault/seal/chunk.h"

enum stream_layout { LAYOUT_NONE = 0, LAYOUT_CHUNKS = 1, LAYOUT_STREAMPAGES = 2, LAYOUT_DIRPAGES = 3 };

struct part {
    struct cid cid;          /* all zero for a hole */
    uint64_t offset, length; /* inside the plain chunk; see FORMAT 2.2 for pages */
    bool hole;
};
#define ITEM_KEYS_MAX ((size_t)VAULT_PARTS_MAX * OBJ_KEY_LEN)
#define ITEM_MAX (ITEM_KEYS_MAX + OBJ_TAG_LEN)

/* F of one generation. */
struct file_key { uint8_t b[OBJ_KEY_LEN]; };
/* The key items of this client are sealed with under F. */
sm_must_use int item_key(const struct file_key *f, const struct client_id *client, struct chunk_key *ret);

/*
 * Seal the keys of all parts that are not holes, in order; the item is appended to ret_item.  counter must never
 * be used twice with one F.  n 1..VAULT_PARTS_MAX; nkeys = parts that are no hole (-SM_EINVAL otherwise).
 */
sm_must_use int item_seal(struct seal_ctx *c, const struct chunk_key *k_item, uint64_t counter,
    const struct cid *envelope, uint8_t layout, const struct part *parts, size_t n, const struct chunk_key *keys,
    size_t nkeys, struct sm_buf *ret_item);
/*
 * Open an item; the keys (struct chunk_key each) are appended to ret_keys, as it was on failure.
 * Returns 0, -SM_EFORMAT (length does not fit the parts), -SM_EAUTH (another F, counter, envelope, layout or parts,
 * or altered), -ENOMEM, -SM_ELIMIT, -SM_ECRYPTO.
 */
sm_must_use int item_open(struct seal_ctx *c, const struct chunk_key *k_item, uint64_t counter,
    const struct cid *envelope, uint8_t layout, const struct part *parts, size_t n, struct sm_span item,
    struct sm_buf *ret_keys);

#endif
