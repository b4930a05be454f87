/* First set-up, shared by the wizard and the demo. */
#ifndef SAKIMORI_SETUP_H
#define SAKIMORI_SETUP_H
#include "sakimori/cli.h"

/* What the set-up gave, once: account, totp_secret, codes, card, open, orders (the shapes of docs/API.md). */
struct setup_result { json_t *secrets; };
/* The whole set-up without questions; afterwards this process has the director's session.
 * answers: {"code","institution":{…},"director":{"account","name","password"}} (borrowed).  ret->secrets is the
 * caller's. */
int setup_run(struct cli *c, const json_t *answers, struct setup_result *ret);
#endif
