/*
 * Key links (FORMAT 2.5): the restore key of an earlier set of recipients, wrapped to a later set, so that new recipients
 * open what is older than they are.  A parser of outside bytes.
 */
#ifndef VAULT_SNAPSHOT_KEYLINK_H
#define VAULT_SNAPSHOT_KEYLINK_H
#include "vault/snapshot/envelope.h"

#define KEYLINK_SET_MAX (1 + RECIPIENTS_MAX * (5 + CRYPTO_X25519_LEN))  /* X25519 recipients alone */
#define KEYLINK_MAX ((size_t)OBJ_HDR_LEN + 1 + 16 + 32 + 32 + KEYLINK_SET_MAX + RECIPIENTS_MAX * (2 + 32 + 48))
#define KEYLINKS_MAX 64    /* of one vault, ever */

struct keylink {
    const uint8_t *eid, *old_public, *commit;  /* 16, 32 and 32 bytes, in the sealed ones */
    struct sm_span set_raw;
    struct recipients set;
    struct sm_span wrap[RECIPIENTS_MAX];
};
/* Form alone, without a key.  -SM_EFORMAT, -SM_EVERSION, -SM_EMISMATCH (another object), -SM_ELIMIT. */
sm_must_use int keylink_parse(struct sm_span sealed, struct keylink *ret);
/* Wrap the old restore key for the new set (as recipients_put writes it); appended.  -SM_EFORMAT, -SM_EVERSION (a
 * recipient that is not X25519), -SM_EAUTH (low-order recipient key), -SM_ELIMIT, -ENOMEM, -SM_ECRYPTO. */
sm_must_use int keylink_make(const struct vault_id *vault, struct sm_span set_raw, const struct crypto_x25519_pair *old,
    struct cid *ret_cid, struct sm_buf *ret_sealed);
/* The same with eid given (vectors). */
sm_must_use int keylink_make_with(const struct vault_id *vault, struct sm_span set_raw,
    const struct crypto_x25519_pair *old, const uint8_t eid[ENVELOPE_EID_LEN], struct cid *ret_cid,
    struct sm_buf *ret_sealed);
/*
 * The old restore key, for one of the new recipients, after every wrap was computed again.
 * -SM_ENOTFOUND (the pair is no recipient), -SM_EAUTH (a wrap, the commitment or the key in it is not what an honest
 * maker would have written), those of keylink_parse, -ENOMEM, -SM_ECRYPTO.
 */
sm_must_use int keylink_open(const struct vault_id *vault, struct sm_span sealed,
    const struct crypto_x25519_pair *recipient, struct crypto_x25519_pair *ret_old);

/* All keys that one pair opens by links, itself first. */
struct keyring { size_t n; struct crypto_x25519_pair pair[KEYLINKS_MAX + 1]; };
/* Links may stand in any order; those for others, and unsound ones, are passed over (*ret_bad counts the latter).  It has
 * no error of its own: what cannot be opened is missing from the ring. */
void keyring_fill(struct keyring *ret, const struct vault_id *vault, const struct crypto_x25519_pair *pair,
    const struct sm_span *links, size_t n, size_t *ret_bad);
/* envelope_open with whichever key of the ring is a recipient.  Its errors. */
sm_must_use int keyring_open(const struct keyring *ring, const struct vault_id *vault, const struct client_id *client,
    struct sm_span sealed, struct file_key *ret_f);
void keyring_wipe(struct keyring *ring);
#endif
