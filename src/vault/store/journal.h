/*
 * The journal of a vault (docs/FORMAT-vault.md section 6): append-only files of hash-chained records.
 *
 * Invariants: 1. a record that journal_sync acknowledged is on disk, and so are all before it.  2. sequence numbers
 * have
 * no gaps.  3. only an incomplete end of the last file is ever cut off (by journal_open), and that is recorded (type
 * 10);
 * anything else that does not fit is -SM_ECORRUPT and is named, never repaired.  4. after an error while appending the
 * writer is broken (-SM_ESTATE) until it is opened anew: what reached the disk is then found out by reading.
 */
#ifndef VAULT_STORE_JOURNAL_H
#define VAULT_STORE_JOURNAL_H
#include "core/buf.h"
#include "core/time.h"

#define JOURNAL_RECORD_MAX ((size_t)128 << 10)
#define JOURNAL_FILE_BYTES ((uint64_t)64 << 20)
#define JOURNAL_HEADER_BYTES 64
#define JOURNAL_OVERHEAD 68          /* bytes of a record that are not payload: 4 + 8 + 8 + 4 + 8 + 2 + 2 + 32 */
#define JOURNAL_PAYLOAD_MAX (JOURNAL_RECORD_MAX - JOURNAL_OVERHEAD)
#define JOURNAL_FILES_MAX 1000000u
#define JOURNAL_GROUP_MAX ((uint64_t)1 << 20)  /* unsynced bytes; past it journal_append syncs by itself */

enum journal_type {
    JOURNAL_VAULT = 1, JOURNAL_CLIENT = 2, JOURNAL_PACK = 3, JOURNAL_MANIFEST = 4, JOURNAL_ACCESS = 5,
    JOURNAL_FREEZE = 6, JOURNAL_THAW = 7, JOURNAL_MARK = 8, JOURNAL_DAMAGE = 9, JOURNAL_TAIL = 10, JOURNAL_REFUSED = 11,
    JOURNAL_POLICY = 12, JOURNAL_VERIFY = 13, JOURNAL_CLOCK = 14,
    JOURNAL_HOLD = 15, JOURNAL_ORDER = 16, JOURNAL_ORDER_END = 17, JOURNAL_EXPIRED = 18, JOURNAL_PACK_STATE = 19,
    JOURNAL_PACK_DELETED = 20, JOURNAL_DATE = 21, JOURNAL_QUOTA = 22,
    JOURNAL_HEALED = 23, JOURNAL_SCRUB = 25,
    JOURNAL_PEER = 40, JOURNAL_TOOK_OVER = 42,
    JOURNAL_RECIPIENTS = 44, JOURNAL_RECIPIENTS_END = 45,
};
struct journal_head { uint64_t seq; uint8_t hash[32]; };   /* seq 0, hash 0: nothing yet */
struct journal_record {
    uint64_t seq; struct sm_time time; uint64_t running_ms;
    uint16_t type, version;
    struct sm_span payload;      /* canonical JSON, borrowed */
    uint8_t hash[32];
};
/* Where and why a journal is bad.  why is English, for logs and reports. */
struct journal_fault { char file[32]; uint64_t offset, seq; char why[96]; };

/* Parse one record at the start of in, of which at least the record must be there.  Checks length, hash against
 * previous and seq == previous->seq + 1.  *ret_used bytes belong to it.
 * -SM_EPARTIAL (in ends inside the record), -SM_EFORMAT, -SM_ECORRUPT (hash or sequence). */
sm_must_use int journal_parse(struct sm_span in, const struct journal_head *previous, struct journal_record *ret,
    size_t *ret_used);
/* File header.  -SM_EPARTIAL, -SM_EFORMAT, -SM_EVERSION. */
struct journal_file_header { uint8_t vault[16]; uint64_t first_seq; uint8_t before[32]; };
sm_must_use int journal_parse_header(struct sm_span in, struct journal_file_header *ret);

struct journal;
/* Called for each record in order.  Non-zero stops and is returned. */
typedef int (*journal_fn)(void *arg, const struct journal_record *r);
struct journal_cut { bool happened; char file[32]; uint64_t bytes; char why[96]; };

enum { JOURNAL_READ_ONLY = 1 };
/* The first file, empty of records, made durable.  -SM_EEXISTS.  dirfd is borrowed. */
sm_must_use int journal_create(int dirfd, const uint8_t vault[16]);
/*
 * Read the whole chain (fn may be NULL), and be ready to append unless JOURNAL_READ_ONLY.  dirfd is borrowed and
 * outlives the journal.  acked (NULL = none known) is the newest head that was signed for somebody: a journal that
 * does not hold it was rolled back, forked or damaged, -SM_ECORRUPT.
 * An incomplete last write is cut off and told in *ret_cut; the caller appends the type 10 record (read-only: only
 * told).  An incomplete last write is: the end of the last file, from the first byte that does not begin a whole,
 * chained
 * record; at most JOURNAL_GROUP_MAX bytes; after acked; and, where acked is NULL, with no whole record chained behind
 * it.
 * Or a last file that has not its whole header.
 * -SM_ECORRUPT (ret_fault says where), -SM_EVERSION, -SM_EMISMATCH (another vault), -SM_ENOTFOUND, -ENOMEM, -errno.
 */
struct journal_open_args {
    int dirfd; const uint8_t *vault; unsigned flags;
    uint64_t file_bytes;                 /* 0 = JOURNAL_FILE_BYTES (tests use less) */
    const struct journal_head *acked;
    journal_fn fn; void *arg;
};
sm_must_use int journal_open(const struct journal_open_args *a, struct journal **ret, struct journal_cut *ret_cut,
    struct journal_fault *ret_fault);
void journal_close(struct journal *j);   /* NULL is fine; what was appended but not synced may be lost */

/*
 * Append a record to the file without waiting for the disk.  payload is canonical JSON.  *ret_head (may be NULL) is the
 * head after it.  Not acknowledged before journal_sync.  -SM_ELIMIT, -SM_ESTATE (broken, or read-only), -errno.
 */
sm_must_use int journal_append(struct journal *j, enum journal_type type, struct sm_time time, uint64_t running_ms,
    struct sm_span payload, struct journal_head *ret_head);
/* fdatasync of all that was appended.  -SM_ESTATE, -errno (then broken). */
sm_must_use int journal_sync(struct journal *j);
/* The last appended, and the last synced, head. */
struct journal_head journal_head(const struct journal *j);
struct journal_head journal_durable(const struct journal *j);
bool journal_is_broken(const struct journal *j);

/* Records from seq `from` (>= 1) on, of those on disk when called; payloads are borrowed during the call.
 * Chain and hashes are checked while reading.  -SM_ECORRUPT with ret_fault (may be NULL). */
sm_must_use int journal_each(const struct journal *j, uint64_t from, journal_fn fn, void *arg,
    struct journal_fault *ret_fault);
/* Newest first, from seq `before` - 1 down (0 = from the head), types_mask = bits 1 << type (0 = all), at most `limit`
   calls. */
sm_must_use int journal_latest(const struct journal *j, uint64_t before, uint32_t types_mask, size_t limit,
    journal_fn fn, void *arg);
/* The hash of record seq (seq 0 gives zeros).  -SM_ENOTFOUND past the head. */
sm_must_use int journal_hash_at(const struct journal *j, uint64_t seq, uint8_t ret_hash[32]);
/* Is h a head this journal once had?  1 yes, 0 no (fork or rollback), or an error. */
sm_must_use int journal_is_ancestor(const struct journal *j, const struct journal_head *h);

/*
 * Ancestry: the raw records (from.seq, to.seq] one after the other, appended to ret.
 * -SM_EMISMATCH when either is not a head of this journal; -SM_ELIMIT past max bytes (ask in steps).
 */
sm_must_use int journal_ancestry(const struct journal *j, const struct journal_head *from,
    const struct journal_head *to,
    size_t max, struct sm_buf *ret);
/* The same, but as many whole records as fit into max (the first at least): who asks goes on from the last of them.
 * -SM_ELIMIT when the first alone does not fit. */
sm_must_use int journal_ancestry_part(const struct journal *j, const struct journal_head *from,
    const struct journal_head *to, size_t max, struct sm_buf *ret);
/* Follow such records from *at, which is then the head after the last of them (untouched on failure).  -SM_EAUTH (they do
 * not go on from there), -SM_EFORMAT. */
sm_must_use int journal_ancestry_walk(struct journal_head *at, struct sm_span proof);
/* Check such a proof without a journal: 0, or -SM_EAUTH (does not lead from `from` to `to`), -SM_EFORMAT. */
sm_must_use int journal_ancestry_check(const struct journal_head *from, const struct journal_head *to,
    struct sm_span proof);

/* A signed head, 128 bytes: vault 16, u64 seq, hash 32, i64 s, signature 64 over "sakimori/v1/head" and those. */
#define JOURNAL_SIGNED_HEAD_BYTES 128
#define JOURNAL_HEAD_LABEL "sakimori/v1/head"
struct journal_signed_head { uint8_t vault[16]; struct journal_head head; int64_t s; uint8_t sig[64]; };
/* The bytes to sign (label and fields), appended. */
sm_must_use int journal_head_message(const struct journal_signed_head *h, struct sm_buf *ret);
sm_must_use int journal_head_put(const struct journal_signed_head *h, struct sm_buf *ret);
sm_must_use int journal_head_get(struct sm_span in, struct journal_signed_head *ret);              /* -SM_EFORMAT */
sm_must_use int journal_head_verify(const struct journal_signed_head *h, const uint8_t head_pub[32]); /* -SM_EAUTH */

#endif
