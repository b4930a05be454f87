/* What the files of this room share. */
#ifndef VAULT_COPY_INTERNAL_H
#define VAULT_COPY_INTERNAL_H
#include "vault/copy/copy.h"

/* Reads like copy_target_ops.read. */
typedef int (*chain_read_fn)(void *arg, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got);

/* Walks the journal of an original or of a copy, record by record, checking the chain.  chain.c. */
#define CHAIN_WINDOW (4 * JOURNAL_RECORD_MAX)
struct chain {
    chain_read_fn read; void *arg;
    struct vault_id vault;
    struct journal_head head;     /* of the last record given */
    uint32_t file;                /* 1…; 0: not begun */
    uint64_t off;                 /* end of the last record in that file */
    uint8_t *window; size_t at, n;
    const char *why;              /* of an error */
};
sm_must_use int chain_init(struct chain *c, chain_read_fn read, void *arg, const struct vault_id *vault);
void chain_wipe(struct chain *c);
/* 1: *ret (payload borrowed until the next call); 0: the end; -SM_EPARTIAL: bytes follow that are no whole record;
 * -SM_EMISMATCH: another vault; -SM_EFORMAT, -SM_ECORRUPT, -SM_EVERSION; -errno. */
sm_must_use int chain_next(struct chain *c, struct journal_record *ret);
void chain_file(uint32_t file, char ret[COPY_NAME_MAX]);

/* Reading below a folder's descriptor: the original, and folder targets.  folder.c. */
int folder_read_at(int dir, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got);
#endif
