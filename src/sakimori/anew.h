/* What the recovery sheet makes new: shared by restore-card and recipients.  Every secret stays in this process. */
#ifndef SAKIMORI_ANEW_H
#define SAKIMORI_ANEW_H
#include "crypto/kem.h"
#include "sakimori/cli.h"

/* A QR on the terminal or on paper. */
void anew_qr(const char *text);
/* What was typed leaves the screen and its scroll-back. */
void anew_clear(void);
/* The sheet's orders half (--orders, or in the file of --sheet).  The caller wipes.  An exit code; said. */
int anew_orders(struct cli *c, struct crypto_sheet *ret);
/* Its open half (--sheet), and with it the box's restore key out of the escrow.  The same. */
int anew_open(struct cli *c, struct crypto_sheet *ret, struct crypto_x25519_pair *ret_restore);
/* Was it certainly not taken?  A broken connection or an inner error leaves that open. */
bool anew_refused(const json_t *answer);
#endif
