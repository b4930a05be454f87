/*
 * Reading a copy back through its target, without opening it as a vault: its journal's chain up to its signed head,
 * that
 * everything it names is there, and, by chance up to so many bytes or all, that packs and manifests are their names.
 * Nobody's word is taken for any of it.
 */
#ifndef VAULT_COPY_CHECK_H
#define VAULT_COPY_CHECK_H
#include "vault/copy/copy.h"

struct copy_check_args {
    const struct copy_target_ops *ops;
    void *target;                 /* borrowed */
    struct vault_id vault;
    uint8_t head_pub[32];
    uint64_t read_max;            /* bytes to read back, chosen by chance; 0: all */
    void (*damage)(void *arg, const char *file, const char *why);
    void *arg;
};
struct copy_checked { uint64_t packs, generations, files_read, bytes_read, damaged, done, total;
    struct journal_head head; };
struct copy_check;
sm_must_use int copy_check_new(const struct copy_check_args *a, struct copy_check **ret);
/* 1 more, 0 done (damage is no error), -SM_ENOTFOUND no complete copy there, -errno, the target's errors. */
sm_must_use int copy_check_step(struct copy_check *c);
void copy_checked(const struct copy_check *c, struct copy_checked *ret);
void copy_check_free(struct copy_check *c);     /* NULL is fine */
#endif
