/*
 * For the tests of backup and restore: a vault of pack files without journal, which checks every byte it takes as the
 * box does, refuses a manifest with missing objects, and can be told to fail or to lose objects.
 */
#ifndef TESTS_VAULT_ENGINE_VAULT_H
#define TESTS_VAULT_ENGINE_VAULT_H
#include <stdatomic.h>
#include "crypto/kem.h"
#include "vault/backup/backup.h"
#include "vault/restore/restore.h"
#include "vault/snapshot/reader.h"

struct ev_row { struct cid cid; uint32_t pack, length; uint64_t offset; uint8_t type; bool used, lost; };
struct engine_vault {
    char dir[256];
    struct ev_row *row; size_t rows, slots;
    int *fd; _Atomic size_t packs;           /* read by the cancel callback of any thread */
    uint64_t objects_put, chunks_put, pages_put, bytes_put, manifests, have_calls, duplicates;
    uint64_t fail_at_pack;            /* the k-th pack from now (from 1) is refused with fail_err; 0: never */
    int fail_err;
    unsigned window;                  /* packs under way at once; 0: each is acknowledged when it is put */
    unsigned waiting[BACKUP_WINDOW_MAX], waiting_n, waiting_most;
    uint64_t fail_at_ack;             /* as fail_at_pack, for acknowledgements */
    bool fail_manifest;
    uint64_t missing_told;
    /* Who seals and who opens. */
    struct vault_id vault; struct client_id client; struct source_id source;
    uint8_t k_id[32], k_look[32];
    struct crypto_sign_pair device;
    struct crypto_x25519_pair box;
    struct sm_buf recipients;
    struct sm_buf last_manifest;
    uint64_t number; struct cid previous;
    uint64_t fetched;
};
int engine_vault_open(struct engine_vault *v, const char *dir);
void engine_vault_close(struct engine_vault *v);
/* A configuration for the next run of this vault's source. */
void engine_config(struct engine_vault *v, struct backup_config *ret, const char *const *roots, size_t roots_n, int state_dir);
struct backup_sink engine_sink(struct engine_vault *v);
struct reader_source engine_source(struct engine_vault *v);
/* Lose the i-th object of this type (0 = any); false when there is none. */
bool engine_lose(struct engine_vault *v, uint8_t type, size_t i);
#endif
struct restore_source engine_restore_source(struct engine_vault *v);
/* Set: sources of restores hold what they gave until it is released, for several threads at once. */
extern bool engine_holds;
extern atomic_int engine_held;       /* and not released yet */
extern atomic_uint engine_fail_get;  /* the k-th fetch from now fails with -SM_EPEER; 0: none */
