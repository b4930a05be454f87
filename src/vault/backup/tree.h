/*
 * The client's memory of the last acknowledged generation of one source: what every file looked like and how it stands
 * in the vault (items as ciphertext, never keys).  Streamed in the order of the walk, written anew by every run,
 * put in place only when the manifest was acknowledged.  A cache: losing it costs a full read.
 *
 *   header  "SKTC" | u8 1 | 3x0 | vault id 16 | client id 16 | source id 16
 *   frame   u32 n | first 8 bytes of SHA-256(u64 frame number | data) | data (n bytes, whole records)
 *   end     the last frame holds the END record alone; behind it u64 offset of that frame
 * records: u8 type, then
 *   ENTER   blob name
 *   ENTRY, LEAVE (a folder's own entry, after what is below it)
 *           blob name | u8 kind | u8 class | u64 identity | varint size | i64 mtime s | u32 ns | i64 ctime s | u32 ns
 *           | varint plain bytes of the shared chunk (0: none) | blob meta | u8 flags (1: a stream follows, 2: a sum)
 *           | with 2: u64 sum of the content (reread.h)
 *           | varint size | u8 layout | unless layout 0: envelope 32 | varint counter | varint nparts
 *           | nparts x (u8 hole | cid 32 unless hole | varint offset | varint length) | blob item
 *   END     u64 files | u64 bytes | u32 n | n x cid of shared chunks to cut anew
 * Invariants: 1. a file with its final name is whole (the last frame is checked when it is opened).  2. names of a
 * folder ascend.  3. every ENTER has its LEAVE.
 */
#ifndef VAULT_BACKUP_TREE_H
#define VAULT_BACKUP_TREE_H
#include "core/time.h"
#include "vault/snapshot/dirpage.h"

enum tree_type { TREE_ENTER = 1, TREE_ENTRY = 2, TREE_LEAVE = 3, TREE_END = 4 };
#define TREE_FRAME_MAX ((size_t)4 << 20)
#define TREE_FRAME_TARGET ((size_t)128 << 10)
#define TREE_PARTS_MAX 4096u     /* of one entry: more stand in stream pages */
#define TREE_RECUT_MAX 65536u

struct tree_stream {
    uint64_t size;
    uint8_t layout;
    struct cid envelope;
    uint64_t counter;
    uint32_t nparts;
    struct sm_span parts_raw, item;
};
struct tree_record {
    uint8_t type;
    struct sm_span raw;             /* the whole record */
    struct sm_span name;
    uint8_t kind, class;
    uint64_t id, size;
    struct sm_time mtime, ctime;
    uint64_t shared_plain;
    struct sm_span meta;
    bool has_stream, has_sum;
    uint64_t sum;
    struct tree_stream stream;
};
/* Read one record at the start of in; spans point into it.  -SM_EFORMAT, -SM_ELIMIT. */
sm_must_use int tree_record_parse(struct sm_span in, struct tree_record *ret);
/* Append a record (raw is not looked at).  parts and nparts instead of parts_raw. */
sm_must_use int tree_record_put(struct sm_buf *b, const struct tree_record *r, const struct part *parts);
/* The parts of a checked record to ret[0..nparts). */
void tree_parts(const struct tree_stream *s, struct part *ret);

struct tree_ids { struct vault_id vault; struct client_id client; struct source_id source; };
struct tree_totals { uint64_t files, bytes; };

/* ---- reading ---- */
struct tree_reader;
/* Open NAME in dirfd.  *ret_recut (struct cid each, ascending) is borrowed until close.
 * -SM_ENOTFOUND (none), -SM_EMISMATCH (other ids), -SM_ECORRUPT, -SM_EFORMAT, -SM_EVERSION, -ENOMEM, -errno. */
sm_must_use int tree_open(int dirfd, const char *name, const struct tree_ids *ids, struct tree_reader **ret);
void tree_close(struct tree_reader *t);
struct tree_totals tree_totals(const struct tree_reader *t);
bool tree_is_recut(const struct tree_reader *t, const struct cid *chunk);
/* A digest of the whole file by its frames' own check values, and the bytes of records in it. */
sm_must_use int tree_print(const struct tree_reader *t, uint8_t ret[32], uint64_t *ret_bytes);
/* Pass over the frames that both begin with; the bytes of records in them.  Before anything was peeked. */
sm_must_use int tree_same(struct tree_reader *a, struct tree_reader *b, uint64_t *ret_bytes);
const struct cid *tree_recuts(const struct tree_reader *t, uint32_t *ret_n);
/* The next record without taking it: NULL at the end, or after damage (tree_error tells).  Borrowed until tree_take. */
const struct tree_record *tree_peek(struct tree_reader *t);
void tree_take(struct tree_reader *t);
int tree_error(const struct tree_reader *t);

/* ---- writing ---- */
struct tree_writer;
/* Begin NAME.new.  dirfd is borrowed.  -ENOMEM, -errno. */
sm_must_use int tree_create(int dirfd, const char *name, const struct tree_ids *ids, struct tree_writer **ret);
/* Append a whole record's bytes.  -ENOMEM, -errno, -SM_ELIMIT. */
sm_must_use int tree_put(struct tree_writer *w, struct sm_span record);
/* Note a shared chunk that the next run should cut anew (more than TREE_RECUT_MAX are dropped). */
void tree_recut(struct tree_writer *w, const struct cid *chunk);
/* Write the end and sync; the file has still its temporary name. */
sm_must_use int tree_finish(struct tree_writer *w, const struct tree_totals *totals);
/* Put it in place of NAME. */
sm_must_use int tree_commit(struct tree_writer *w);
void tree_writer_free(struct tree_writer *w); /* an uncommitted file stays as NAME.new: the mark of a broken run */

#endif
