/*
 * Check a vault: its structure (cheap: journal chain, manifests with both signatures, closure, index against packs), or
 * all data (every pack re-hashed).  Names what is damaged and which generations it hits; repairs nothing.
 * Works on a store opened read-only as well (offline, next to a running box: then nothing is recorded).
 */
#ifndef VAULT_VERIFY_H
#define VAULT_VERIFY_H
#include "vault/store/store.h"

enum verify_kind { VERIFY_STRUCTURE = 1, VERIFY_DATA = 2 };   /* DATA includes STRUCTURE */
struct verify_progress { enum verify_kind phase; uint64_t packs, packs_total, bytes, bytes_total, generations,
    generations_total, damaged; };
enum verify_what {
    VERIFY_JOURNAL = 1, VERIFY_PACK_MISSING, VERIFY_PACK_HEAD, VERIFY_OBJECT, VERIFY_MANIFEST_MISSING,
    VERIFY_MANIFEST, VERIFY_SIGNATURE, VERIFY_COUNTERSIGN, VERIFY_CLOSURE, VERIFY_INDEX, VERIFY_HEAD,
};
const char *verify_what_name(enum verify_what w);
struct verify_damage {
    enum verify_what what;
    char file[96];                    /* below the vault's folder */
    uint64_t offset;
    bool has_object; struct cid object; uint8_t type;
    char why[160];
};
struct verify_hooks {
    /* After each step; non-zero cancels (-SM_ECANCEL).  May sleep to hold the disk back: bytes tells how much was
       read. */
    int (*progress)(void *arg, const struct verify_progress *p);
    /* Each damage as it is found. */
    void (*damage)(void *arg, const struct verify_damage *d);
    /* At the end, each generation that reaches something damaged. */
    void (*hit)(void *arg, const struct cid *manifest, const struct verify_damage *first);
    /* STRUCTURE: which packs are to be read whole nevertheless; NULL: none. */
    bool (*data_of)(void *arg, uint32_t pack);
    void *arg;
    const uint8_t *head_pub;          /* to check countersignatures and signed heads; NULL: not checked */
    bool record;                      /* types 9 and 13; needs a writable store */
};
struct verify_result { uint64_t packs, objects, bytes, generations, damaged, hit, ms; bool sound; };
/*
 * The whole check.  0 whatever was found (*ret tells), -SM_ECANCEL, -ENOMEM, -errno.
 * With a big vault it takes hours: for a process that also answers requests use the steps below.
 */
sm_must_use int verify_run(struct store *st, enum verify_kind kind, const struct verify_hooks *h,
    struct verify_result *ret);
/* In steps: begin, step until it returns 0 (1 = more), free.  The first step reads the journal; then a step reads at
   most one
 * pack (32 MiB) or walks one generation (pages that were walked for another one are not read again).
 * New packs and generations may come meanwhile; those are not looked at. */
struct verify;
sm_must_use int verify_new(struct store *st, enum verify_kind kind, const struct verify_hooks *h, struct verify **ret);
sm_must_use int verify_step(struct verify *v);
void verify_result(const struct verify *v, struct verify_result *ret);
void verify_free(struct verify *v);
/* A vault whose journal is damaged cannot be opened: this says where, without opening.  0 sound, -SM_ECORRUPT... */
sm_must_use int verify_journal(const char *dir, struct journal_fault *ret);

#endif
