/* Shared by recipients.c and envelope.c alone. */
#ifndef VAULT_SNAPSHOT_ENVELOPE_INTERNAL_H
#define VAULT_SNAPSHOT_ENVELOPE_INTERNAL_H
#include "vault/snapshot/envelope.h"

/* A set at the reader's place.  -SM_EFORMAT, -SM_ELIMIT. */
sm_must_use int recipients_read(struct sm_rd *rd, struct recipients *ret);

#endif
