/*
 * The seal of the evidence record: the ratchet's secret and the statements that the record may not have yet.  One file of keyd's
 * folder, `.journal-seal`, replaced whole before a statement leaves this process; its name keeps it out of the box's own
 * backup, for a secret that can be fetched back has not been destroyed.
 */
#ifndef SAKIMORID_KEYD_SEAL_H
#define SAKIMORID_KEYD_SEAL_H
#include "journal/seal.h"

struct seal;
/* Open, or make epoch 0 when there is none.  folder: keyd's.  -errno, -SM_EFORMAT, -SM_ECRYPTO, -ENOMEM. */
sm_must_use int seal_open(const char *folder, struct seal **ret);
void seal_free(struct seal *s);
/* Public key of epoch 0: what everything is verified with, for ever. */
const uint8_t *seal_public(const struct seal *s);
/*
 * have: number of the last statement the record has.  kind 0: nothing new is signed.  Else body is signed, and the key goes on to
 * the next epoch: what was sealed cannot be signed again by anybody.  Appends every statement after have, each as
 * u32 length of the body | statement | body.
 * -SM_EMISMATCH (the record has less than was handed out long ago, or more than was ever signed: it, or this folder, was put
 * back), -SM_EINVAL (kind), -SM_ELIMIT, -errno, -ENOMEM.
 */
sm_must_use int seal_statements(struct seal *s, uint64_t have, unsigned kind, struct sm_span body, int64_t now_s,
    struct sm_buf *ret);
#endif
