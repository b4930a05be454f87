/* A vault's files without its box: shared by recover, vault verify and journal show. */
#ifndef SAKIMORI_VAULTDIR_H
#define SAKIMORI_VAULTDIR_H
#include "sakimori/cli.h"
#include "vault/store/store.h"

/* The vault that a person means by this folder: a vault, a copy of one, a disk with a copy, or a box's data.  Its real
 * path, or NULL; the caller frees. */
char *vaultdir_find(const char *given);
/* Is it the vault of a box that stands around it, not a copy? */
bool vaultdir_is_box(const char *vault);
/* The folder meant by --vault (see vaultdir_find), or the standard place; what was named when no vault is there.  NULL: no
 * memory. */
char *vaultdir_path(struct cli *c);
/* Open read-only: no lock, nothing written.  An exit code; the reason was said. */
int vaultdir_open(struct cli *c, struct store **ret);
/* Where and why a journal is bad, on standard error. */
void vaultdir_fault(const struct cli *c, const struct journal_fault *f);
#endif
