/* What the two files of `sakimori takeover` share. */
#ifndef SAKIMORI_TAKEOVER_H
#define SAKIMORI_TAKEOVER_H
#include <stdatomic.h>
#include "crypto/kem.h"
#include "crypto/sign.h"
#include "journal/journal.h"
#include "sakimori/cli.h"
#include "vault/seal/selfkeys.h"
#include "vault/snapshot/keylink.h"
#include "vault/store/store.h"

#define TAKEOVER_PATH 4096

struct takeover_run {
    struct cli *c;
    char *from, *data;                        /* the copy's vault; the new folder: real paths */
    char vault[TAKEOVER_PATH + 64], gen[TAKEOVER_PATH + 64];
    int dir, work;                            /* of data, and of the folder below it that is gone at the end */
    bool in_place, check;
    struct store *st;                         /* the copy, reading only */
    struct keyring open;
    struct crypto_sign_pair orders, head;
    struct store_generation g;
    struct sm_buf plain;                      /* of keys */
    struct selfkeys keys;
    struct journal_head from_head;
    bool has_logs;                            /* work/logs/journal is the record of logs, ready to be gone on with */
    struct store_generation logs;             /* whose newest generation it is */
    struct evseal_link link;
    bool lost;                                /* a file of it could not be given back */
    bool only_keys;                           /* nothing else of it is believed yet */
    atomic_bool too_much;                     /* ... and what comes is more than those can be */
    uint64_t damaged;
};
/* Give everything but the vault its place.  An exit code; said. */
int takeover_place(struct takeover_run *t);
void takeover_wipe(struct takeover_run *t);
#endif
