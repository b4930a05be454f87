/* Shared by recipients.c, envelope.c and link.c alone. */
#ifndef VAULT_SNAPSHOT_ENVELOPE_INTERNAL_H
#define VAULT_SNAPSHOT_ENVELOPE_INTERNAL_H
#include "vault/snapshot/envelope.h"

/* A set at the reader's place.  -SM_EFORMAT, -SM_ELIMIT. */
sm_must_use int recipients_read(struct sm_rd *rd, struct recipients *ret);

#define ENVELOPE_COMMIT 32
/* HKDF(secret, label ‖ parts...), 32 bytes: how everything of a wrapped secret is derived from it. */
sm_must_use int wrapped_derive(const struct file_key *secret, const char *label, const struct sm_span *parts, size_t n,
    uint8_t ret[32]);
/* One wrap with its length, appended.  label: of the ephemeral key.  -SM_EVERSION (algorithm), -SM_EAUTH, -ENOMEM. */
sm_must_use int wrapped_put(const struct file_key *secret, const char *label, const uint8_t eid[ENVELOPE_EID_LEN],
    const struct recipient *to, struct sm_span info, struct sm_buf *ret);
/* The wraps of a set of n, read.  -SM_ELIMIT; the reader's own error stands in rd. */
sm_must_use int wrapped_read(struct sm_rd *rd, size_t n, struct sm_span *ret);
/* The secret out of the wrap that is for own.  -SM_ENOTFOUND (none is), -SM_EAUTH, -ENOMEM. */
sm_must_use int wrapped_open(const struct recipients *set, const struct sm_span *wraps,
    const struct crypto_x25519_pair *own, struct sm_span info, struct file_key *ret);

#endif
