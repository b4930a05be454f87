/* What it takes to open a generation with the vault's files and the recovery sheet: shared by recover and mount. */
#ifndef SAKIMORI_VAULTOPEN_H
#define SAKIMORI_VAULTOPEN_H
#include "crypto/kem.h"
#include "sakimori/cli.h"
#include "vault/snapshot/keylink.h"
#include "vault/store/store.h"

/* The manifest's bytes into ret, after its signature was checked against every key its client ever had.  An exit code;
 * the reason was said.  Without a journal the keys may be lost: then that is said, and it is not refused for it. */
int vaultopen_manifest(struct cli *c, struct store *st, const struct store_generation *g, struct sm_buf *ret);
/* The sheet's opening key, asked for or read as --sheet says; it must be of this vault.  And what it opens by the vault's
 * key links, so that a new sheet opens what is older than it.  An exit code; said. */
int vaultopen_sheet(struct cli *c, struct store *st, struct keyring *ret);
/* F of an envelope. */
sm_must_use int vaultopen_file_key(struct store *st, const struct client_id *client, const struct keyring *open,
    const struct cid *envelope, struct file_key *ret);
#endif
