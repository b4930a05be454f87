/* What the files of keys.h share; nobody else includes it. */
#ifndef SAKIMORID_KEYD_KEYS_INTERNAL_H
#define SAKIMORID_KEYD_KEYS_INTERNAL_H
#include "sakimorid/keyd/keys.h"
#include "vault/snapshot/keylink.h"

#define RESTORE_FILE "restore.skw"
#define ESCROW_FILE "restore.ske"

struct keys {
    int dir;
    uint8_t vault[16];
    struct crypto_sign_pair head, order;
    struct sm_buf ca_key, ca_der, ca_pem, server_key, chain_pem;
    struct crypto_tls_key *tls;
    bool sheet; /* confirmed */
    uint8_t open_pub[32], orders_pub[32];
    bool restore;
    uint8_t restore_pub[32];
    /* The pending sheet, in memory only. */
    bool pending;
    uint8_t open_secret[32], orders_secret[32];
    struct crypto_x25519_pair restore_pending;
    struct {
        bool orders;
        unsigned n;
    } ask[3];
    /* The open restore key. */
    bool unlocked;
    uint64_t until_ms;
    unsigned opens;
    struct crypto_x25519_pair restore_pair;
    struct keyring *ring;      /* it, and what it opens by key links; while unlocked */
    struct sm_buf links;       /* key links as the vault has them: u32 length ‖ sealed, nothing secret */
    unsigned wrong;
    uint64_t wait_until_ms;
    /* Challenges to whoever says that the sheet is at hand. */
    uint8_t challenge_key[32];
    struct {
        uint8_t challenge[RESTOREKEY_CHALLENGE_LEN];
        uint64_t until_ms;
    } used[KEYS_USED_MAX];
};

/* keys.json, replaced whole. */
sm_must_use int keys_save(struct keys *k);
/* A change whose taking over was broken off by a crash: finish it.  0 also when there is none. */
sm_must_use int keys_change_redo(struct keys *k);
/* The ring of what pair opens.  -ENOMEM. */
sm_must_use int keys_ring_fill(struct keys *k, const struct crypto_x25519_pair *pair);
void keys_ring_drop(struct keys *k);
#endif
