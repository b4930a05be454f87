/*
 * A table of fixed-size rows on disk, for caches: key -> value, both of lengths fixed when it is made.
 *
 * Keys must be spread evenly (hashes); look-ups interpolate.  Rows live in a bounded table in memory and in sorted
 * runs on disk, mapped read-only; past INDEX_RUNS_MAX runs the smaller ones are merged.  Memory is bounded by
 * memory_bytes whatever the number of rows (the mapped runs are the system's to drop).  Rows are never removed; a
 * later put of the same key replaces the value.
 *
 * It is a cache: losing it must cost time only.  What was put after the last index_flush is lost with the process, so
 * the caller stores a mark with each flush (how far of its truth the table covers) and catches up from there.
 *
 * Files in the folder, little-endian:
 *   NAME.<number>.run  "SKX1" | u8 1 | 3x0 | u32 key bytes | u32 value bytes | u64 rows | rows, ascending, no key
 * twice | SHA-256 before
 *   NAME.set           "SKXS" | u8 1 | 3x0 | u32 key bytes | u32 value bytes | u32 next number | blob mark | varint
 * runs
 *                      | u32 numbers, oldest first | SHA-256 of all before     (replaced whole)
 * Every run is hashed when it is opened.
 */
#ifndef VAULT_INDEX_RUN_H
#define VAULT_INDEX_RUN_H
#include "core/buf.h"

#define INDEX_KEY_MAX 32
#define INDEX_VALUE_MAX 64
#define INDEX_MARK_MAX 64
#define INDEX_RUNS_MAX 8
#define INDEX_MEMORY_MIN ((size_t)64 << 10)

struct index_config {
    size_t key_bytes;     /* 8..INDEX_KEY_MAX */
    size_t value_bytes;   /* 0..INDEX_VALUE_MAX */
    size_t memory_bytes;  /* of the table in memory, >= INDEX_MEMORY_MIN */
    bool read_only;       /* put is allowed (in memory only, -SM_ELIMIT when full), flush and reset are not */
};
struct index_table;

/*
 * Open table NAME (plain letters, <= 32) in the folder dirfd (borrowed, must outlive the table), or begin an empty one.
 * Something unsound (checksum, other lengths, a run that is missing) also begins an empty one: then *ret_unsound
 * is true and the mark is empty.  -ENOMEM, -errno, -SM_EINVAL.
 */
sm_must_use int index_open(int dirfd, const char *name, const struct index_config *config,
    struct index_table **ret, bool *ret_unsound);
/* What was not flushed is dropped. */
void index_close(struct index_table *t);

/* 1 and the value (value_bytes; ret may be NULL), or 0. */
int index_get(const struct index_table *t, const uint8_t *key, uint8_t *ret_value);
/* Put or replace.  When the table in memory is full this flushes it with the present mark.  0, -ENOMEM, -errno. */
sm_must_use int index_put(struct index_table *t, const uint8_t *key, const uint8_t *value);
/* The mark belonging to what has been put so far; kept by the next flush.  n <= INDEX_MARK_MAX. */
void index_set_mark(struct index_table *t, struct sm_span mark);
/* The mark of the last flush on disk, borrowed until the next flush; empty for a new table. */
struct sm_span index_mark(const struct index_table *t);
/* Write what is in memory as a run and merge where there are too many.  After an error the table is as before. */
sm_must_use int index_flush(struct index_table *t);
/* Empty the table, on disk too. */
sm_must_use int index_reset(struct index_table *t);

/* Rows, those replaced and not yet merged counted twice; runs; bytes in memory. */
uint64_t index_rows(const struct index_table *t);
size_t index_runs(const struct index_table *t);
size_t index_memory(const struct index_table *t);
/* Every row once, ascending by key, with the newest value.  Non-zero of fn stops and is returned.  Do not put
   meanwhile. */
typedef int (*index_row_fn)(void *arg, const uint8_t *key, const uint8_t *value);
sm_must_use int index_each(const struct index_table *t, index_row_fn fn, void *arg);

#endif
