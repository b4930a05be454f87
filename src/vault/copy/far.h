/*
 * The far side of a copy from box to box (docs/FORMAT-vault.md section 12.2): another box's sealed vault, kept here in
 * DIR/sakimori-copy as any copy is.  The other box may add, and nothing else.  No key that opens anything is needed,
 * and
 * none is here; what comes in is foreign, whoever was let in.
 *
 * Invariants: 1. no byte of a pack's body, of a manifest, of the label, or of the journal up to the last head that was
 * taken, changes or goes away; only what is provably rotten (its bytes are not its name) is replaced, by what fits, and
 * a pack may get a trailer.  2. the journal grows only by whole records that chain to a head signed by the key that was
 * pinned when the neighbour was let in; until then they lie apart, in tmp/.  3. the quota and the disk's reserve
 * hold at
 * every moment.  4. one file at a time is under way.
 */
#ifndef VAULT_COPY_FAR_H
#define VAULT_COPY_FAR_H
#include "vault/copy/copy.h"

/* the least that a file counts: a million small ones are no way around a quota */
#define FAR_FILE_BYTES ((uint64_t)16384)
#define FAR_PIECE ((size_t)512 << 10)     /* of the journal, and of what is read back */
#define FAR_PACK_MAX ((uint64_t)64 << 20)
#define FAR_HEADER_MAX 1024u
#define FAR_ROTTEN_MAX 100u

struct far_config {
    const char *dir;              /* made when missing; not its parent */
    struct vault_id vault;
    uint8_t head_pub[32];
    uint64_t quota, reserve;      /* bytes: most of this neighbour's; never taken of the disk */
};
struct far_status {
    uint64_t used, quota, packs, manifests, files;
    struct journal_signed_head head;   /* head.seq 0: none yet */
    bool journal_rotten;               /* it does not reach its own head any more: the neighbour puts it right */
};
struct far;
/* Reads every name once.  -SM_EAGAIN (open elsewhere), -SM_ECORRUPT (why), -SM_ENOTFOUND, -ENOMEM, -errno. */
sm_must_use int far_open(const struct far_config *c, struct far **ret, char ret_why[COPY_WHY]);
void far_close(struct far *f);                              /* NULL is fine */
void far_status(const struct far *f, struct far_status *ret);
void far_set_quota(struct far *f, uint64_t bytes);          /* less than is used: nothing more comes in */
/* What needs no folder: -SM_EFORMAT, -SM_EVERSION, -SM_EAUTH, -SM_EMISMATCH (another vault's). */
sm_must_use int far_label_sound(struct sm_span label, const struct vault_id *vault, const uint8_t head_pub[32]);
/* label and README, when the neighbour is let in.  -SM_EFORMAT, -SM_EVERSION, -SM_EAUTH, -SM_EMISMATCH, -SM_EDENIED (it
 * has another), -ENOSPC, -errno. */
sm_must_use int far_label(struct far *f, struct sm_span label, struct sm_span readme);

/*
 * A pack.  have: bytes that are there already (length: all of it, nothing is to be sent).  One that is begun forgets
 * another that is not complete.  -SM_ELIMIT (length), -EDQUOT (its quota), -ENOSPC (the disk), -SM_EAGAIN: what lies
 * there must be read first, which far_judge_step does; ask again.  A verdict holds for ten minutes.  -errno.
 */
sm_must_use int far_pack_begin(struct far *f, const struct cid *id, uint64_t length, uint64_t *ret_have);
/* The next slice of what is read because somebody asked.  1: more; 0: nothing is under way; an error. */
sm_must_use int far_judge_step(struct far *f);
/* -SM_EMISMATCH (off is not what is there), -SM_ESTATE (not begun), as pack_check_put: then nothing of it is kept. */
sm_must_use int far_pack_data(struct far *f, const struct cid *id, uint64_t off, struct sm_span bytes);
/* 0: it is on disk under its name.  -SM_EPARTIAL, -SM_EFORMAT (what follows its body is no trailer), -errno. */
sm_must_use int far_pack_end(struct far *f, const struct cid *id, bool *ret_duplicate);

/* -SM_ECORRUPT (not its name), -SM_ELIMIT, -EDQUOT, -ENOSPC, -errno. */
sm_must_use int far_manifest(struct far *f, const struct cid *id, struct sm_span bytes);
/* -SM_EFORMAT, -SM_EMISMATCH (another vault's), -SM_EVERSION, -SM_EDENIED (an older one than is there). */
sm_must_use int far_format(struct far *f, struct sm_span bytes);
/* Bytes of journal file `file` at `at`, kept apart until a head.  -SM_ESTATE: they do not begin where something
 * ends. */
sm_must_use int far_journal(struct far *f, uint32_t file, uint64_t at, struct sm_span bytes);
/*
 * A signed head: the records that were sent become the copy's.  -SM_EFORMAT, -SM_EAUTH, -SM_EMISMATCH (another vault),
 * -SM_EPARTIAL (records are missing: send them again), -SM_EDENIED with why: it is older than what is here, or its
 * records do not continue it: the other box's record was rolled back or forked.  Nothing changed then.
 */
sm_must_use int far_head(struct far *f, struct sm_span bytes, char ret_why[COPY_WHY]);

/* By the names of FORMAT section 7.  The journal is seen only as far as its signed head.  -SM_ENOTFOUND (also for names
 * that no copy has), -errno. */
sm_must_use int far_size(struct far *f, const char *name, uint64_t *ret);
sm_must_use int far_read(struct far *f, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got);
/* What begins with two hex digits, appended as id 32 ‖ u64 size, no order.  packs: else manifests. */
sm_must_use int far_list(struct far *f, bool packs, const char *digits, struct sm_buf *ret);

/*
 * Reading all of it again, at most 2 MiB a step.  1: more; 0: a round is over, the next step begins another; an error.
 * Rotten files stay where they are, and are named until the neighbour has sent them again.
 */
struct far_checked { uint64_t files, bytes, rotten; int64_t done_s; char names[FAR_ROTTEN_MAX][COPY_NAME_MAX];
    size_t names_n; };
sm_must_use int far_check_step(struct far *f);
void far_checked(const struct far *f, struct far_checked *ret);   /* of the last complete round; done_s 0: none */
#endif
