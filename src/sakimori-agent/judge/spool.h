/*
 * Events on their way to the box, on disk: one file is one batch of the log `endpoint`, its bytes as they are sent, its name the life and
 * number they are sent with (docs/PROTOCOL-agent.md, "The spool").  What was added is there after a kill; what was sent is sent again
 * with the same number until the box has it.  No clock, no sending here.  One thread.
 */
#ifndef AGENT_JUDGE_SPOOL_H
#define AGENT_JUDGE_SPOOL_H
#include "core/buf.h"

enum {
    SPOOL_BATCH = 512 << 10,    /* a batch is closed */
    SPOOL_LINE_MAX = 256 << 10, /* longer lines are cut */
    SPOOL_GATHER_MS = 500,      /* what comes within is one batch, unless it is urgent */
    SPOOL_LIFE = 16,            /* hex digits */
};
#define SPOOL_BYTES_MAX ((uint64_t)64 << 20)
#define SPOOL_BATCHES_MAX 4096u

struct spool;
/* folder: of the part alone, taken.  max: bytes of all.  What a crash left is taken up: torn records are cut off.  -ENOMEM, -errno. */
sm_must_use int spool_open(int folder, uint64_t max, struct spool **ret);
void spool_free(struct spool *s);
/* One line.  urgent: the batch need not wait.  It is on disk after the next spool_write.  -ENOMEM. */
sm_must_use int spool_add(struct spool *s, struct sm_span line, int64_t seen_ns, uint64_t now_ms, bool urgent);
/* All that was added, into the file (its pages, not yet the disk); makes room when there is too much.  -errno: a full disk; the lines
 * are dropped then, and counted. */
sm_must_use int spool_write(struct spool *s);

struct spool_batch {
    char life[SPOOL_LIFE + 1];
    uint64_t number;
    struct sm_span bytes; /* borrowed until the next call */
};
/* The oldest batch, closed and synced; the same one until it is settled.  1; 0 nothing, or not yet: *ret_wait_ms says how long, UINT64_MAX
 * until something is added.  -errno. */
sm_must_use int spool_next(struct spool *s, uint64_t now_ms, struct spool_batch *ret, uint64_t *ret_wait_ms);
/* The box has the batch that spool_next gave last, or refused it for good (then its records count as dropped). */
void spool_settled(struct spool *s, bool taken);

struct spool_counts {
    uint64_t bytes, batches;    /* that stand here */
    uint64_t added, sent, dropped; /* records, since this process began */
    uint64_t untold;            /* dropped, not said yet */
};
void spool_counts(const struct spool *s, struct spool_counts *ret);
void spool_told(struct spool *s, uint64_t n); /* n of untold were said */
#endif
