/*
 * The client's tree, sealed, for the box to keep (FORMAT 14).  What the box holds is a log: a base, then what each run
 * changed.  A run leaves what has to be added to it in a file, which is sent after the run; a lost tree is made again
 * from the log.
 *
 * Files in the state folder: keep-SOURCE (what the box holds of it), keep-SOURCE.add (to be sent), keep-SOURCE.got
 * (fetched),
 * keep-SOURCE.plain (while it is opened).  All may be lost: then a base is sent, or everything is read.
 */
#ifndef VAULT_BACKUP_KEEP_H
#define VAULT_BACKUP_KEEP_H
#include "vault/backup/tree.h"
#include "vault/seal/cache.h"

#define KEEP_EXTENTS_MAX 4000000u
#define KEEP_LOG_MAX ((uint64_t)4 << 30)
#define KEEP_PIECE_HEAD 4u

/* ---- after a run: NAME is the tree before (it may be missing), NAME.new the finished one ---- */
/* Write what is to be added.  -ENOMEM, -errno, -SM_ECRYPTO; then there is nothing to send, and the next run sends a
 * base. */
sm_must_use int keep_note(int dirfd, const struct tree_ids *ids, const uint8_t *k_id, const struct cid *manifest,
    uint64_t number);

/* ---- sending ---- */
struct keep_add { uint8_t log[CACHE_LOG_LEN]; uint64_t at, bytes; }; /* bytes to be put at `at` of this log */
/* *ret_fd stands at their beginning and is the caller's.  -SM_ENOTFOUND, -SM_ECORRUPT, -errno. */
sm_must_use int keep_add_open(int dirfd, const struct source_id *source, struct keep_add *ret, int *ret_fd);
/* The box holds them.  not: it does not and will not, so that the next run sends a base. */
void keep_add_done(int dirfd, const struct source_id *source);
void keep_add_not(int dirfd, const struct source_id *source);

/* ---- a lost tree ---- */
/* Can the tree of this source not be used? */
bool keep_wanted(int dirfd, const struct tree_ids *ids);
enum keep_age { KEEP_EXACT, KEEP_OLD };
/*
 * Make the tree from the log in keep-SOURCE.got, whose id is log; previous is the last generation.  KEEP_OLD: it is of
 * an
 * earlier one, or what stands behind that in the log was no good.  Nothing is put in place on failure:
 *   -SM_EAUTH, -SM_EFORMAT, -SM_ECORRUPT, -SM_EMISMATCH   not ours, altered, or it does not fit together
 *   -SM_ENOTFOUND (no whole state in it), -SM_ELIMIT, -ENOMEM, -errno
 */
sm_must_use int keep_load(int dirfd, const struct tree_ids *ids, const uint8_t *k_id, const uint8_t log[CACHE_LOG_LEN],
    const struct cid *previous, enum keep_age *ret);
void keep_name(const struct source_id *source, const char *end, char ret[64]); /* "keep-HEX" ‖ end */

/* ---- for tests and the fuzzer ---- */
/* What one opened piece says, applied to the stream so far.  -SM_EFORMAT, -SM_ELIMIT, -ENOMEM, -errno. */
struct keep_stream;
sm_must_use int keep_stream_new(int plain_fd, struct keep_stream **ret);
void keep_stream_free(struct keep_stream *s);
sm_must_use int keep_stream_piece(struct keep_stream *s, struct sm_span plain, bool *ret_state);
uint64_t keep_stream_bytes(const struct keep_stream *s);
#endif
