/*
 * The restore key at rest (docs/FORMAT-vault.md, section 9): wrapped under a director's password and a card (SKW1),
 * sealed to the recovery sheet's *open* half (SKE1), the card's text, and what the *orders* half signs to prove that
 * the sheet is at hand.  keyd and the command line share it; both parsers take outside bytes.
 */
#ifndef VAULT_SEAL_RESTOREKEY_H
#define VAULT_SEAL_RESTOREKEY_H
#include "core/buf.h"
#include "crypto/kem.h"
#include "crypto/pass.h"
#include "vault/seal/format.h"

#define RESTOREKEY_CARD_LEN 16
#define RESTOREKEY_WRAP_LEN (4 + 1 + 1 + 12 + 16 + 12 + 32 + 16 + 32)
#define RESTOREKEY_ESCROW_LEN (4 + 1 + 1 + 16 + 32 + 32 + 32 + 32 + 16)
#define RESTOREKEY_CHALLENGE_LEN 32

/* "SKC1-XXXX-...", appended.  -ENOMEM, -SM_ELIMIT. */
sm_must_use int restorekey_card_text(const uint8_t card[RESTOREKEY_CARD_LEN], struct sm_buf *ret);
/* As people type it: any case, with or without hyphens and the first group.  -SM_EFORMAT (mistyped). */
sm_must_use int restorekey_card_read(struct sm_span typed, uint8_t ret[RESTOREKEY_CARD_LEN]);

/* Append the wrap.  Costs Argon2id of `cost` (crypto_pass_wrap outside of tests).  -ENOMEM, -SM_ECRYPTO, -SM_EINVAL. */
sm_must_use int restorekey_wrap(struct sm_span password, const uint8_t card[RESTOREKEY_CARD_LEN],
    const struct crypto_pass_cost *cost, const struct crypto_x25519_pair *pair, struct sm_buf *ret);
/* Form, version and costs: none that would choke the box, and none weaker than least (may be NULL).  Nothing secret is
 * needed.  *ret_public is the public key it says it holds.  -SM_EFORMAT, -SM_EVERSION, -SM_ELIMIT (costs). */
sm_must_use int restorekey_wrap_check(
    struct sm_span wrap, const struct crypto_pass_cost *least, uint8_t ret_public[32]);
/* -SM_EAUTH (password or card), -SM_EFORMAT, -SM_EVERSION, -SM_EMISMATCH (the secret is not of that public key),
 * -ENOMEM, -SM_ECRYPTO. */
sm_must_use int restorekey_unwrap(struct sm_span wrap, struct sm_span password,
    const uint8_t card[RESTOREKEY_CARD_LEN], struct crypto_x25519_pair *ret);

/* Append the pair's secret, sealed to the sheet.  -ENOMEM, -SM_EAUTH (low-order key), -SM_ECRYPTO. */
sm_must_use int restorekey_escrow(const struct vault_id *vault, const uint8_t open_public[32],
    const struct crypto_x25519_pair *pair, struct sm_buf *ret);
struct restorekey_escrow {
    struct vault_id vault;
    uint8_t restore_public[32], open_public[32];
    struct sm_span head, enc, sealed; /* borrowed */
};
/* -SM_EFORMAT, -SM_EVERSION. */
sm_must_use int restorekey_escrow_parse(struct sm_span escrow, struct restorekey_escrow *ret);
/* -SM_EMISMATCH (the secret is not the one it was sealed to), -SM_EAUTH (altered, or it holds another key), and those
 * of the parser. */
sm_must_use int restorekey_escrow_open(
    struct sm_span escrow, const uint8_t open_secret[32], struct crypto_x25519_pair *ret);

/* What the orders half signs: a challenge of the box, bound to the vault, to what is done ("card", "person") and to the
 * hash of the bytes it is done with.  Appended.  -ENOMEM, -SM_ELIMIT. */
sm_must_use int restorekey_proof_text(const uint8_t challenge[RESTOREKEY_CHALLENGE_LEN], const struct vault_id *vault,
    const char *act, const uint8_t over[32], struct sm_buf *ret);
#endif
