/* Inside of keep: what keep.c (writing, sending) and keep_load.c (a lost tree) share. */
#ifndef VAULT_BACKUP_KEEP_INTERNAL_H
#define VAULT_BACKUP_KEEP_INTERNAL_H
#include "vault/backup/keep.h"

enum { KEEP_OPS = 1, KEEP_STATE = 2 };     /* first byte of a piece */
enum { OP_LITERAL = 0, OP_COPY = 1 };

/* What the box holds of a source: "SKKP" | u8 1 | 3x0 | log 16 | u64 bytes | u64 base | last piece 32 | print of the
 * tree 32 | manifest 32 | first 8 bytes of SHA-256 of all before. */
struct keep_state {
    uint8_t log[CACHE_LOG_LEN];
    uint64_t bytes, base;
    struct cid last;
    uint8_t print[32];
    struct cid manifest;
};
#define KEEP_STATE_LEN 144u
sm_must_use int keep_state_put(const struct keep_state *s, struct sm_buf *b);
sm_must_use int keep_state_get(struct sm_span in, struct keep_state *ret);
/* -SM_ENOTFOUND too */
sm_must_use int keep_state_load(int dirfd, const struct source_id *source, struct keep_state *ret);
sm_must_use int keep_state_save(int dirfd, const struct source_id *source, const struct keep_state *s);
void keep_tree_name(const struct source_id *source, const char *end, char ret[64]);
#endif
