/*
 * What clients have kept of their own caches (FORMAT 14): one log a source, sealed by a key the box has not got,
 * beside the
 * vault's truth and no part of it.  No journal record; may be lost, emptied or left out of a copy at any time: it
 * costs a client
 * time.  A client can only harm its own.
 *
 * Invariants: 1. a log replaces another only when it is whole and on disk.  2. nothing is kept for, or given to, a
 * client that
 * is frozen or not joined, and what it had is removed when it is thawed or re-keyed.  3. a source has at most one log and
 * one that is begun, and neither takes of the vault's reserve.
 */
#ifndef VAULT_STORE_CACHES_H
#define VAULT_STORE_CACHES_H
#include "vault/store/store.h"

#define CACHES_LOG_LEN 16
#define CACHES_LOG_MAX ((uint64_t)2 << 30)   /* of one source */
#define CACHES_DAYS 100                      /* a log nobody added to for so long is removed */

struct caches_put {
    struct client_id client;
    struct source_id source;
    uint8_t log[CACHES_LOG_LEN];
    uint64_t at;                             /* what is there behind it is dropped */
    bool last; /* the end of an addition: make it durable, and a new log the one that counts */
};
/* -SM_EDENIED (frozen, not joined), -SM_EMISMATCH (there is less than `at`), -SM_ELIMIT, -ENOSPC, -SM_ENOTFOUND (no such
 * client), -errno. */
sm_must_use int caches_put(struct store *st, const struct caches_put *p, struct sm_span bytes);
/* At most max bytes from `at` on, appended.  -SM_ENOTFOUND: none (also for a client that is frozen or not joined). */
sm_must_use int caches_get(struct store *st, const struct client_id *client, const struct source_id *source,
    uint64_t at, size_t max, uint8_t ret_log[CACHES_LOG_LEN], uint64_t *ret_total, struct sm_buf *ret);
/* All of a client. */
sm_must_use int caches_drop(struct store *st, const struct client_id *client);
/* Those that are old. */
sm_must_use int caches_tidy(struct store *st, int64_t now_s);
#endif
