/*
 * Kinds of targets over the network: one file and one row of courier_kinds each.  All functions run
 * on the courier's working thread, where they may wait for the network; `cancel` is looked at while they do.
 */
#ifndef SAKIMORID_COURIER_H
#define SAKIMORID_COURIER_H
#include <stdatomic.h>
#include "core/json.h"
#include "vault/copy/copy.h"

#define COURIER_WHY 240

struct courier_job {
    const json_t *address;        /* what P_ADDRESS kept, with its secrets; borrowed */
    const char *label;            /* text of struct copy_label */
    struct vault_id vault; uint8_t copy[16], head_pub[32];
    const atomic_bool *cancel;
    int64_t lock_days, read_bytes;/* of N_RUN; 0: not said */
    /* Has brain ask the vault for a signature over (copy, number, digest); waits.  -SM_EPEER, -SM_ECANCEL. */
    int (*seal)(void *arg, uint64_t number, const uint8_t digest[32], uint8_t ret_sig[64]);
    void (*damage)(void *arg, const char *file, const char *why); /* while reading back */
    void (*progress)(void *arg, uint64_t bytes, uint64_t total);
    /* A further N_EVENT: what brain must keep or know before the end.  Takes o. */
    void (*tell)(void *arg, const char *what, json_t *o);
    void *arg;
};
struct courier_kind {
    const char *name;             /* of the address's "kind" and of N_RUN */
    const struct copy_target_ops *ops;
    /* Open the target.  *ret may be set on failure too, for reason; it is closed by ops->close.  ret_why: English. */
    int (*open)(const struct courier_job *job, void **ret, char ret_why[COURIER_WHY]);
    /* One word for people about the last failure, "" for none; NULL target: none. */
    const char *(*reason)(void *target);
    const char *(*why)(void *target);
    /* Read back: 1 more, 0 done; *state is the kind's own, NULL at first, freed by verify(…, NULL job). */
    int (*verify)(void *target, const struct courier_job *job, void **state);
    void (*verified)(void *state, json_t *out);     /* into the result */
    void (*facts)(void *target, json_t *out);       /* into every result */
};
extern const struct courier_kind courier_s3, courier_box; /* s3.c, box.c */
const struct courier_kind *courier_kind(const char *name); /* NULL */
#endif
