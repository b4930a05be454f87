/*
 * What keyd holds: the CA, the server's key, the head key, the order key, the public halves of the recovery sheet, and
 * the restore key (wrapped on disk; open in memory for minutes after an unlock).  Files: keys.json, restore.skw
 * and restore.ske (FORMAT-vault.md section 9) in one folder of mode 0700, each replaced whole.
 * Nothing here logs, and no error text carries a secret.
 */
#ifndef SAKIMORID_KEYD_KEYS_H
#define SAKIMORID_KEYD_KEYS_H
#include <stdbool.h>
#include "core/buf.h"
#include "crypto/kem.h"
#include "crypto/sign.h"
#include "vault/seal/format.h"
#include "vault/seal/restorekey.h"

#define KEYS_UNLOCK_MS ((uint64_t)15 * 60 * 1000) /* the restore key stays open this long */
#define KEYS_UNLOCK_TRIES 5                       /* wrong unlocks before the first wait */
#define KEYS_OPENS_MAX 20000u                     /* envelopes opened in one unlock */
#define KEYS_CHALLENGE_MS ((uint64_t)10 * 60 * 1000)
#define KEYS_USED_MAX 32
#define KEYS_TEXT_MAX 256

struct keys;

/* Open the folder; makes CA, server key, head key, order key and vault id when there are none yet (first start).
 * names: what the server certificate is for (n <= CRYPTO_NAMES_MAX); a new certificate is made when they changed or
 * less than 30 days are left.  Returns 0, -errno, -SM_EVERSION, -SM_EFORMAT (which file, in ret_why of 160 bytes),
 * -SM_ECRYPTO. */
sm_must_use int keys_open(const char *folder, const char *const *names, size_t n, struct keys **ret, char *ret_why);
void keys_free(struct keys *k); /* wipes every secret */

struct keys_public {
    uint8_t vault[16], head_pub[32], order_pub[32], open_pub[32], orders_pub[32], restore_pub[32];
    bool sheet, restore;                      /* confirmed recovery sheet; restore key made */
    struct sm_span ca_der, ca_pem, chain_pem; /* borrowed until the keys change; chain = server, then CA */
};
void keys_public(const struct keys *k, struct keys_public *ret);
/* Appends the recipient set (FORMAT section 1).  -SM_ESTATE before sheet and restore key exist. */
sm_must_use int keys_recipients(const struct keys *k, struct sm_buf *ret);
/* A new server certificate when the names are others or less than 30 days are left; else nothing. */
sm_must_use int keys_server_renew(struct keys *k, const char *const *names, size_t n);

/* Two new recovery secrets, kept in memory only until confirmed; asking again makes others.  -SM_ESTATE when a sheet
 * was confirmed before. */
sm_must_use int keys_sheet_make(struct keys *k);
struct keys_sheet {
    const uint8_t *open, *orders;
    struct {
        bool orders;
        unsigned n;
    } ask[3];
};
sm_must_use int keys_sheet_get(const struct keys *k, struct keys_sheet *ret); /* -SM_ESTATE when none is pending */
/* Text of the QR: "SKR1:O:..." or "SKR1:D:...". */
sm_must_use int keys_sheet_qr(const struct keys *k, bool orders, struct sm_buf *ret);
/* The asked words, typed back; all right: the restore key is sealed to the open half, public halves are kept, secrets
 * wiped.  -SM_EMISMATCH: *ret_wrong is the index 0..2.  -SM_ESTATE: nothing to confirm, or the restore key was made
 * before a restart (make both again). */
sm_must_use int keys_sheet_confirm(struct keys *k, const struct sm_span typed[3], unsigned *ret_wrong);

/* New restore key under the director's password and a new card; the card's text ("SKC1-....") is appended.  -SM_ESTATE
 * when a sheet was confirmed (changing recipients then needs the orders key). */
sm_must_use int keys_restore_make(struct keys *k, struct sm_span password, struct sm_buf *ret_card);
sm_must_use int keys_restore_password(
    struct keys *k, struct sm_span old_password, struct sm_span new_password, struct sm_span card);
/* -SM_EAUTH (password or card), -SM_EFORMAT (the card's text is mistyped), -SM_EAGAIN and *ret_wait_s after too many
 * wrong tries. */
sm_must_use int keys_unlock(
    struct keys *k, struct sm_span password, struct sm_span card, uint64_t now_ms, unsigned *ret_wait_s);
void keys_lock(struct keys *k);
/* Milliseconds the restore key stays open; 0 = locked.  Locks when the time has come. */
uint64_t keys_unlocked_ms(struct keys *k, uint64_t now_ms);
/* Open one sealed envelope with the restore key.  -SM_ESTATE locked, -SM_ELIMIT too many, -SM_EAUTH and friends. */
sm_must_use int keys_open_envelope(struct keys *k, uint64_t now_ms, struct sm_span sealed, uint8_t ret_file_key[32]);

/* Sign with the head key: only texts that begin with a head, countersign or copy label.  -SM_EDENIED. */
sm_must_use int keys_sign_head(const struct keys *k, struct sm_span text, uint8_t ret[64]);
/* Sign an order: under "sakimori/v1/order" (crypto_sign_text). */
sm_must_use int keys_sign_order(const struct keys *k, struct sm_span order, uint8_t ret[64]);
/* TLS handshake signature of the server key. */
sm_must_use int keys_sign_tls(const struct keys *k, unsigned algorithm, struct sm_span hash, struct sm_buf *ret);
sm_must_use int keys_device_cert(
    const struct keys *k, struct sm_span csr, const char *device, unsigned days, struct sm_buf *ret_der);

/*
 * Whoever has the recovery sheet.  A challenge lasts KEYS_CHALLENGE_MS and proves one thing once; the text that is signed
 * is restorekey_proof_text's.  The box never sees the *open* half; of the *orders* half it sees a signature, or, when a
 * person can only type (a browser), the words.
 */
sm_must_use int keys_challenge(struct keys *k, uint64_t now_ms, uint8_t ret[RESTOREKEY_CHALLENGE_LEN]); /* -SM_ESTATE */
/* -SM_EAUTH (not signed by the orders half), -SM_EMISMATCH (the challenge is over, was used, or is not ours),
 * -SM_EAGAIN (too many were used), -SM_ESTATE (no sheet). */
sm_must_use int keys_sheet_check(struct keys *k, uint64_t now_ms, const uint8_t challenge[RESTOREKEY_CHALLENGE_LEN],
    const char *act, const uint8_t over[32], const uint8_t sig[64]);
/* The 24 words of the orders half, or the text of its QR.  -SM_EAUTH (another sheet), -SM_ESTATE, those of
 * crypto_sheet_parse with ret_why (160 bytes). */
sm_must_use int keys_sheet_words(const struct keys *k, struct sm_span typed, char *ret_why);
/* The restore key sealed to the open half (SKE1), appended.  -SM_ENOTFOUND (a box of an older version: the next unlock
 * makes it), -SM_ESTATE. */
sm_must_use int keys_escrow(const struct keys *k, struct sm_buf *ret);
/* Everything of this folder sealed to the open half (SKB1, FORMAT section 13), appended; client and sign_pub: who carries
 * it into the vault.  -SM_ESTATE (no sheet), -SM_ELIMIT, -errno, those of selfkeys_seal. */
sm_must_use int keys_self(const struct keys *k, const uint8_t client[16], const uint8_t sign_pub[32], struct sm_buf *ret);
/* Put a new wrap (SKW1) in the place of the present one, and lock: the old card opens nothing any more.  Errors of
 * restorekey_wrap_check and keys_sheet_check (act "card", over the SHA-256 of wrap); -SM_EDENIED: it holds another
 * key. */
sm_must_use int keys_card_new(struct keys *k, uint64_t now_ms, struct sm_span wrap,
    const uint8_t challenge[RESTOREKEY_CHALLENGE_LEN], const uint8_t sig[64]);

/*
 * A change of recipients (FORMAT section 11), in two steps.  keep: the order is signed by the present orders half, follows
 * the present set, and wrap (SKW1 under the new card; empty when the restore key stays) and escrow (SKE1) are of the keys
 * it names; both are kept beside the present ones.  -SM_ESTATE (no sheet yet), -SM_EAUTH, -SM_EMISMATCH (another vault or
 * set), -SM_EDENIED (wrap or escrow of other keys), -SM_EINVAL, those of order_parse and restorekey_wrap_check, -errno.
 * take: the vault, which alone may ask, executed it; from now on these are the keys, the restore key is locked, and every
 * other change that was kept is forgotten.  Signature and set are checked again; one that holds already is no error, and
 * one that a crash broke off is finished by keys_open.  -SM_EAUTH, -SM_EMISMATCH (it does not follow the present set),
 * -SM_ENOTFOUND (it was not kept here), -errno (nothing changed for who asks; to be asked again).
 * drop: the vault cancelled it: it is forgotten.  0 also when it is not there.  -errno.
 */
sm_must_use int keys_change_keep(
    struct keys *k, struct sm_span text, const uint8_t sig[64], struct sm_span wrap, struct sm_span escrow);
sm_must_use int keys_change_take(struct keys *k, struct sm_span text, const uint8_t sig[64]);
sm_must_use int keys_change_drop(struct keys *k, const uint8_t nonce[16]);
/* The vault's key links (u32 length ‖ sealed, one after the other): an unlock, and one that is open, reaches by them what
 * is older than the present restore key.  -SM_EFORMAT, -SM_ELIMIT, -ENOMEM. */
sm_must_use int keys_links(struct keys *k, struct sm_span links);
#endif
