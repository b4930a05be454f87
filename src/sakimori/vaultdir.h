/* A vault's files without its box: shared by recover, vault verify and journal show. */
#ifndef SAKIMORI_VAULTDIR_H
#define SAKIMORI_VAULTDIR_H
#include "sakimori/cli.h"
#include "vault/store/store.h"

/* The folder meant by --vault (the vault itself, or the box's data folder), or the standard place.  NULL: said. */
char *vaultdir_path(struct cli *c);
/* Open read-only: no lock, nothing written.  An exit code; the reason was said. */
int vaultdir_open(struct cli *c, struct store **ret);
/* Where and why a journal is bad, on standard error. */
void vaultdir_fault(const struct cli *c, const struct journal_fault *f);
#endif
