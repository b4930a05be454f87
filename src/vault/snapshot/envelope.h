/*
 * Recipient sets (FORMAT 1) and envelopes (FORMAT 2.4): F wrapped to every recipient so that any one opener can
 * compute all wraps again.
 */
#ifndef VAULT_SNAPSHOT_ENVELOPE_H
#define VAULT_SNAPSHOT_ENVELOPE_H
#include "crypto/kem.h"
#include "vault/snapshot/item.h"

#define RECIPIENTS_MAX 16
#define RECIPIENT_KEY_MAX 2048
#define RECIPIENTS_BYTES_MAX (1 + RECIPIENTS_MAX * (5 + RECIPIENT_KEY_MAX))
#define FINGERPRINT_LEN 32
enum recipient_role { RECIPIENT_SHEET = 1, RECIPIENT_BOX = 2 };
#define RECIPIENT_X25519 0x0020

struct recipient { uint8_t role; uint16_t algorithm; struct sm_span key; /* borrowed */ };
struct recipients { size_t n; struct recipient r[RECIPIENTS_MAX]; };
/* Append the set in its one order.  -SM_EINVAL (empty, twice the same, unknown role, key length), -ENOMEM. */
sm_must_use int recipients_put(const struct recipients *set, struct sm_buf *ret);
/* Read a set; the keys point into raw.  -SM_EFORMAT (also wrong order), -SM_ELIMIT. */
sm_must_use int recipients_parse(struct sm_span raw, struct recipients *ret);
/* The fingerprint the join code pins, over the bytes of the set. */
void recipients_fingerprint(struct sm_span raw, uint8_t ret[FINGERPRINT_LEN]);

#define ENVELOPE_EID_LEN 16
#define ENVELOPE_MAX ((size_t)OBJ_HDR_LEN + 1 + 16 + 32 + RECIPIENTS_BYTES_MAX + RECIPIENTS_MAX * (2 + 2048))
/* What stands in an envelope; every span points into the sealed bytes. */
struct envelope {
    struct obj_hdr hdr;
    const uint8_t *eid, *commit; /* 16 and 32 bytes */
    struct sm_span set_raw;
    struct recipients set;
    struct sm_span wrap[RECIPIENTS_MAX]; /* set.n of them, without their length */
};
/* Read without a key.  client NULL: any.  -SM_EFORMAT, -SM_EVERSION, -SM_EMISMATCH, -SM_ELIMIT. */
sm_must_use int envelope_parse(struct sm_span sealed, const struct client_id *client, struct envelope *ret);

/*
 * Make F and its envelope, appended to ret_sealed.  set_raw as recipients_put writes it.
 * -SM_EFORMAT (the set), -SM_EVERSION (a recipient of an algorithm this build cannot wrap to), -SM_EAUTH (low-order
 * recipient key), -ENOMEM, -SM_ELIMIT, -SM_ECRYPTO.
 */
sm_must_use int envelope_make(const struct vault_id *vault, const struct client_id *client, struct sm_span set_raw,
    struct file_key *ret_f, struct cid *ret_cid, struct sm_buf *ret_sealed);
/* The same with F and eid given (test vectors). */
sm_must_use int envelope_make_with(const struct vault_id *vault, const struct client_id *client,
    struct sm_span set_raw, const struct file_key *f, const uint8_t eid[ENVELOPE_EID_LEN], struct cid *ret_cid,
    struct sm_buf *ret_sealed);
/*
 * Unwrap with one recipient's pair, then compute commitment and every wrap again.
 * Returns 0, or
 *   -SM_ENOTFOUND   the pair is no recipient of this envelope
 *   -SM_EAUTH       a wrap, the commitment or the set is not what an honest client would have made
 *   -SM_EMISMATCH   another client's or type's object
 *   -SM_EFORMAT, -SM_EVERSION, -SM_ELIMIT, -ENOMEM, -SM_ECRYPTO
 * Whether the set is the pinned one is the caller's to check (recipients_fingerprint).
 */
sm_must_use int envelope_open(const struct vault_id *vault, const struct client_id *client, struct sm_span sealed,
    const struct crypto_x25519_pair *recipient, struct file_key *ret_f);
/* The recomputation alone, for a holder of F. */
sm_must_use int envelope_verify(const struct vault_id *vault, const struct client_id *client, struct sm_span sealed,
    const struct file_key *f);

#endif
