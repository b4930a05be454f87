/*
 * Clean-up of a vault, in steps between other work (docs/FORMAT-vault.md section 11): orders whose waiting is over,
 * generations that the policy no longer keeps, then the mark over all manifests that are left, packs condemned,
 * revived and deleted, and half-dead packs copied out.
 *
 * Invariants: 1. a pack is deleted only when it was condemned 3 days of on time ago and a complete mark after that,
 * with every manifest accepted until this moment, met nothing in it.  2. a client of which a page cannot be read loses
 * no pack.  3. memory is bounded: a table of sorted runs, a bounded stack, 8 bytes a pack.  4. stopping after any step
 * (or write) leaves a valid vault; the next run begins anew.
 */
#ifndef VAULT_CLEAN_H
#define VAULT_CLEAN_H
#include "vault/store/store.h"
#include "vault/store/deletion.h"

enum clean_phase { CLEAN_ORDERS = 1, CLEAN_EXPIRE, CLEAN_MARK, CLEAN_SWEEP, CLEAN_COPY, CLEAN_DONE };
const char *clean_phase_name(enum clean_phase p);   /* "orders", "expire", "mark", "sweep", "copy", "done" */
struct clean_report {
    enum clean_phase phase;
    uint64_t generations, generations_total, packs, packs_total;   /* how far mark and sweep are */
    uint64_t orders, expired, condemned, bytes_condemned, revived, deleted, bytes_deleted, copied, bytes_copied;
    uint64_t half_dead, bytes_dead;    /* packs less than half alive, and bytes nothing refers to */
    uint64_t blocked;                  /* clients of which nothing may be deleted: a page cannot be read */
};
struct clean_hooks {
    /* Each generation that expires (or, dry, would). */
    void (*expire)(void *arg, const struct store_generation *g);
    void *arg;
};
struct clean;
/* dry: says what a run would do now and changes nothing (condemned: would be; deleted: condemned long enough).
 * One at a time of a store.  -SM_ESTATE (read-only or broken), -ENOMEM, -errno. */
sm_must_use int clean_new(struct store *st, bool dry, const struct clean_hooks *h, struct clean **ret);
/* At most some dozens of pages, or one pack.  1 = more, 0 = finished, or an error (then free it). */
sm_must_use int clean_step(struct clean *c);
void clean_report(const struct clean *c, struct clean_report *ret);
void clean_free(struct clean *c);
/* The file that is given up when something filled the disk to its end, and made again when there is room. */
void clean_room_give(struct store *st);
void clean_room_take(struct store *st);
/* All steps at once: for tests and for a vault without a box. */
sm_must_use int clean_run(struct store *st, bool dry, struct clean_report *ret);
#endif
