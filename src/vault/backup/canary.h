/*
 * Decoys: harmless files with the look of a clinic's papers, laid where a program that goes through a folder from
 * either end meets them first and last.  Nobody has a reason to touch one, so a changed or missing one is a sign.
 * They hold no real data; a restored or copied one is worth nothing.
 */
#ifndef VAULT_BACKUP_CANARY_H
#define VAULT_BACKUP_CANARY_H
#include "vault/backup/backup.h"

#define CANARY_PATH_MAX 4096u
#define CANARY_EACH 2u                  /* laid in one folder: one sorts first, one last */
struct canary { char path[CANARY_PATH_MAX]; uint64_t size; uint8_t sha256[32]; };
enum canary_state { CANARY_WHOLE, CANARY_CHANGED, CANARY_GONE };

/*
 * Lay the decoys of one folder (absolute), with names and content made from seed, so that no two clinics have the same.
 * What stands there already is left as it is and recorded.  ret has CANARY_EACH rows.
 * staging: a folder of the same file system, when they may not be written in their folder but moved there; -1 none.
 * -SM_EEXISTS (another file has the name), -SM_ELIMIT (path too long), -errno.
 */
sm_must_use int canary_lay(const char *folder, const uint8_t seed[32], int staging, struct canary *ret);
/* Look at one: 0 and *ret_state, or -errno when it cannot be read. */
sm_must_use int canary_check(const struct canary *c, enum canary_state *ret_state);
/* Remove it if it is whole.  -SM_EMISMATCH when it is not (it may be somebody's by now), -errno. */
sm_must_use int canary_remove(const struct canary *c);

/* The list of a source's decoys in the client's state folder ("canaries-<source>", text, replaced whole).
 * Load: at most max rows, *ret_n of them; -SM_ENOTFOUND (none laid), -SM_EFORMAT, -SM_ELIMIT, -errno. */
sm_must_use int canary_list_save(int state_dir, const struct source_id *source, const struct canary *c, size_t n);
sm_must_use int canary_list_load(int state_dir, const struct source_id *source, struct canary *ret, size_t max,
    size_t *ret_n);

#endif
