/*
 * The seal of the journal: a chain of signed statements with a key that forgets (forward-secure ratchet).
 *
 * Pure functions over src/crypto; keyd keeps a struct evseal_state (secret) and calls evseal_sign and
 * evseal_advance; whoever verifies has the
 * public key of epoch 0 alone, which leaves the box when it is set up.  A statement says what (kind, hash of a
 * body), when, its
 * number, the hash of the statement before, and is signed by the key of its epoch.  Advancing signs the next
 * public key with the
 * old secret and then destroys that: what was signed in an earlier epoch cannot be signed again by who takes the
 * box later.
 */
#ifndef EVIDENCE_SEAL_H
#define EVIDENCE_SEAL_H

#include "core/buf.h"
#include "crypto/sign.h"

enum evseal_kind {
    EVSEAL_BLOCKS = 1,    /* body: struct evseal_root, packed: every block up to this one is as it was */
    EVSEAL_EPOCH = 2,     /* body: the next public key (32 bytes) */
    EVSEAL_TOMBSTONE = 3, /* body: what was removed by policy (docs/FORMAT-journal.md) */
    EVSEAL_LINK = 4,      /* body: struct evseal_link, packed: the record of another box that this one goes on with */
};
enum { EVSEAL_BODY_MAX = 64 << 10, EVSEAL_ROOT_LEN = 56, EVSEAL_LINK_LEN = 148 };
/* Layout: "SJS1", kind u8, 3 zero bytes, seq u64, epoch u64, time_s i64, before[32], body_hash[32], signature[64]. */
#define EVSEAL_LEN (4 + 4 + 8 + 8 + 8 + 32 + 32 + 64)

struct evseal_root { uint64_t block, events, last_id; uint8_t hash[32]; };
void evseal_root_pack(const struct evseal_root *r, uint8_t ret[EVSEAL_ROOT_LEN]);
sm_must_use int evseal_root_unpack(struct sm_span body, struct evseal_root *ret);   /* -SM_EFORMAT */

/* The end of an older record, and where the new one goes on.  Numbers between are those of what was never saved. */
struct evseal_link {
    uint8_t key[CRYPTO_SIGN_PUBLIC_LEN];    /* of its epoch 0; zeros: it had none */
    uint64_t seq; uint8_t last[32];         /* its last statement, and that one's hash */
    uint64_t block; uint8_t hash[32];       /* its newest block there is */
    uint64_t sealed_block;
    uint64_t next_block, next_id;           /* first numbers of the new one */
    int64_t time_s;
};
void evseal_link_pack(const struct evseal_link *l, uint8_t ret[EVSEAL_LINK_LEN]);
sm_must_use int evseal_link_unpack(struct sm_span body, struct evseal_link *ret);   /* -SM_EFORMAT */

struct evseal_statement {
    uint8_t kind;   /* also one that this program does not know: its place in the chain is checked like any other's */
    uint64_t seq, epoch;        /* seq from 1 without a gap */
    int64_t time_s;             /* UTC, by the clock of who signed; never before the statement before */
    uint8_t before[32];         /* hash of the statement before, zeros for the first */
    uint8_t body_hash[32];
    uint8_t signature[64];
};
sm_must_use int evseal_parse(const uint8_t bytes[EVSEAL_LEN], struct evseal_statement *ret);  /* -SM_EFORMAT,
    -SM_EVERSION */
void evseal_hash(const uint8_t bytes[EVSEAL_LEN], uint8_t ret[32]);

/* ---- keyd's side ---- */
/* Secret; wiped with evseal_wipe.  The next statement gets seq + 1. */
struct evseal_state { uint64_t seq, epoch; int64_t time_s; uint8_t last[32]; struct crypto_sign_pair pair; };
enum { EVSEAL_STATE_LEN = 8 + 8 + 8 + 32 + 32 };
/* Epoch 0.  pair.public_key is what must leave the box.  -SM_ECRYPTO. */
sm_must_use int evseal_begin(struct evseal_state *ret);
void evseal_wipe(struct evseal_state *s);
/* To and from the bytes keyd keeps under its own lock (secret).  -SM_EFORMAT, -SM_ECRYPTO. */
void evseal_state_pack(const struct evseal_state *s, uint8_t ret[EVSEAL_STATE_LEN]);
sm_must_use int evseal_state_unpack(struct sm_span bytes, struct evseal_state *ret);
/*
 * The next statement over body; kind is EVSEAL_BLOCKS or EVSEAL_TOMBSTONE, or of the very first EVSEAL_LINK.  s goes on.  The caller stores s before
 * it hands the
 * statement out (or hands the same one out again after a crash; evidence_seal_put takes only what follows).
 * -SM_EINVAL (kind), -SM_ELIMIT (body), -SM_ECRYPTO.
 */
sm_must_use int evseal_sign(struct evseal_state *s, enum evseal_kind kind, struct sm_span body, int64_t now_s,
    uint8_t ret[EVSEAL_LEN]);
/* The statement of the next epoch; body is its public key.  The old secret is gone from *s when this returns 0. */
sm_must_use int evseal_advance(struct evseal_state *s, int64_t now_s, uint8_t ret[EVSEAL_LEN],
    uint8_t ret_body[CRYPTO_SIGN_PUBLIC_LEN]);

/* ---- the verifier's side ---- */
/* Where a walk along the chain stands; begin: { .key = public key of epoch 0 }. */
struct evseal_walk { uint64_t seq, epoch; int64_t time_s; uint8_t last[32],
    key[CRYPTO_SIGN_PUBLIC_LEN]; bool unsigned_; };
/*
 * Step over the next statement.  With w->unsigned_ (no key is known) only the chain is checked.
 * -SM_EFORMAT (form), -SM_EMISMATCH (number, hash before, epoch or time does not follow, or the body is another),
 * -SM_EAUTH.
 * w is as it was after an error.
 */
sm_must_use int evseal_step(struct evseal_walk *w, const uint8_t statement[EVSEAL_LEN], struct sm_span body);

#endif
