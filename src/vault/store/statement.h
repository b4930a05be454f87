/*
 * From one set of recipients to the next (docs/FORMAT-vault.md section 11): what a machine believes of a box's word.
 */
#ifndef VAULT_STORE_STATEMENT_H
#define VAULT_STORE_STATEMENT_H
#include "vault/snapshot/keylink.h"

/*
 * Walking from a set to the one after it: text must be an order of kind recipients for this vault, signed by orders, whose
 * `before` is fingerprint; then the set and the key it says are those that hold.  What it was is not changed on failure.
 * -SM_EAUTH (not signed by that key), -SM_EMISMATCH (another vault, or it does not follow that set), those of order_parse.
 */
struct recipients_state { uint8_t set[KEYLINK_SET_MAX]; size_t set_n; uint8_t fingerprint[FINGERPRINT_LEN], orders[32]; };
sm_must_use int recipients_follow(struct recipients_state *s, const struct vault_id *vault, struct sm_span text,
    const uint8_t sig[64]);
/* Read without belief: is it an order of kind recipients, and to which set would it lead?  -SM_EFORMAT, -ENOMEM. */
sm_must_use int recipients_after(struct sm_span text, uint8_t ret_fingerprint[FINGERPRINT_LEN]);
#endif
