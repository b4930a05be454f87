/*
 * The evidence record: writing.  docs/FORMAT-journal.md is the form on disk and the argument.
 *
 * A journal is a folder with one writer.  evidence_append() puts an event into the bytes waiting for the write-ahead
 * file; evidence_commit() writes and syncs those with one fdatasync and takes their events into the open block of their
 * class: what was appended before a commit that returned 0 survives kill -9 and power loss, and only then may the sender
 * be told so.  A block is closed when it is full or old; closed blocks lie in segments, are never changed, and each holds the hash of the one before.
 *
 * One journal is for one thread, or two that share it as evidence_keep says.  The room sees events, never keys (seal.h: what keyd calls).  Names begin with
 * evidence_, evseal_, evsearch_:
 * journal_ is the vault's.
 */
#ifndef EVIDENCE_JOURNAL_H
#define EVIDENCE_JOURNAL_H

#include "event/event.h"
#include "journal/seal.h"

enum {
    EVIDENCE_CLASSES_MAX = 16,           /* source classes, each with a retention of its own */
    EVIDENCE_BLOCK_EVENTS_MAX = 65536,
    EVIDENCE_BLOCK_BYTES_MAX = 32 << 20, /* values and raw bytes taken into one block before it is closed */
    EVIDENCE_HOLDS_MAX = 64,
    EVIDENCE_RULES_MAX = 4096,           /* bytes of rule ids kept with one event */
};

/* How the journal behaves; zeros take the standard in brackets. */
struct evidence_conf {
    uint32_t block_events;      /* [65536] */
    uint32_t block_bytes;       /* [EVIDENCE_BLOCK_BYTES_MAX] */
    uint64_t segment_bytes;     /* [128 MiB] a segment is closed when the next block would make it longer */
    uint32_t block_age_ms;      /* [3600000] an open block is closed by evidence_step after this long */
    /* [7] a segment does not hold more days than this, so that retention can take whole ones */
    uint32_t segment_days;
    int level;                  /* [3] of zstd */
    bool apart;                 /* evidence_keep runs on a thread of its own: evidence_append writes nothing by itself */
};

/* What opening found and did; texts are English, for the log, and hold no outside bytes. */
struct evidence_found {
    uint64_t events;            /* of the write-ahead file taken into open blocks again */
    uint64_t torn_bytes;        /* cut off behind the last whole record: never acknowledged */
    uint64_t torn_block_bytes;  /* of a block that was being written; its events were in the write-ahead file */
    bool damaged;               /* bytes that were written whole once are not so now: no torn end, and note says where */
    char note[160];             /* "" when nothing was out of order */
};

struct evidence;
/*
 * Open (make, when the folder is empty) the journal in dir, which exists.  Torn tails are cut and said in
 * ret_found (may be NULL).
 * -SM_EAGAIN   another writer has it open
 * -SM_EVERSION made by a newer program
 * -SM_ECORRUPT a closed part is damaged where recovery has to read it; nothing was changed (verify says where)
 * -errno
 */
sm_must_use int evidence_open(const char *dir, const struct evidence_conf *conf, struct evidence **ret,
    struct evidence_found *ret_found);
/* Commits nothing: what was not committed is gone.  NULL is fine. */
void evidence_free(struct evidence *j);

/* What is kept with an event besides the event itself. */
struct evidence_extra {
    uint8_t klass;              /* source class, < EVIDENCE_CLASSES_MAX: decides how long it is kept */
    /* ids of the rules that matched, UTF-8, separated by one space; cut at EVIDENCE_RULES_MAX */
    struct sm_span rules;
};
/*
 * Take e in.  names is the table its numbers belong to (may differ from call to call).  extra may be NULL.
 * *ret_id (may be NULL) is
 * its number in this journal, from 1, never used twice.  When very much waits it is committed first; with conf.apart
 * -SM_EAGAIN says so: hand over, keep, and call again.
 * After -ENOSPC or another -errno of the disk the event was NOT taken in, everything acknowledged is kept, and the
 * same call
 * may be tried again later.  -ENOMEM as well.  -SM_EINVAL: klass.
 */
sm_must_use int evidence_append(struct evidence *j, const struct event_names *names, const struct event *e,
    const struct evidence_extra *extra, uint64_t *ret_id);
/* One write, one fdatasync; then the events go into open blocks, which are closed when they are full.  Every event
 * appended so far is then safe.  After an error (-errno) none of those since the last commit may be acknowledged; try
 * again, they are kept in memory.  Nothing waiting: 0 at once. */
sm_must_use int evidence_commit(struct evidence *j);
/*
 * Commit in two halves, for two threads.  evidence_hand: what was appended waits to be kept, and what is appended from
 * now on is the next commit's; -SM_EAGAIN: the one before was not kept yet.  evidence_keep: as evidence_commit, of what
 * was handed over.  While one thread is in evidence_keep, another may call evidence_append and evidence_next_id, and
 * nothing else; a mutex or a join has to lie between evidence_hand and evidence_keep.
 */
sm_must_use int evidence_hand(struct evidence *j);
sm_must_use int evidence_keep(struct evidence *j);
/* The number the next event gets. */
uint64_t evidence_next_id(const struct evidence *j);
/* To be called about once a second with a clock that only moves forward: closes blocks that are old. */
sm_must_use int evidence_step(struct evidence *j, uint64_t monotonic_ms);
/* Close every open block now (before a seal that must cover everything, at the end of the program, before an
 * evidence pack). */
sm_must_use int evidence_flush(struct evidence *j);

/* The same for what was kept, without committing anything: what was appended since stays as it is.  -SM_EAGAIN: something was handed
 * over and is not kept yet. */
sm_must_use int evidence_close(struct evidence *j);

struct evidence_status {
    uint64_t events, blocks, segments, stored_bytes;    /* closed */
    uint64_t raw_bytes;                                 /* of all closed events, as they came */
    uint64_t open_events, open_bytes, waiting;          /* not yet in a block; not yet committed */
    uint64_t next_id, next_block, sealed_block;         /* sealed_block: last one under a seal, 0 none */
    uint64_t last_block;                                /* the newest closed one, 0 none */
    struct event_time first, last;                      /* of closed events */
};
void evidence_status(const struct evidence *j, struct evidence_status *ret);
/* The same of one class: what lies in segments; first is the oldest event of a closed one, zeros when none is closed. */
struct evidence_class { uint64_t segments, bytes; struct event_time first; };
void evidence_class_status(const struct evidence *j, uint8_t klass, struct evidence_class *ret);

/* ---- seal ---- */
/* Keep the public key of epoch 0 (once; the same again is fine).  -SM_EEXISTS (another is there), -errno. */
sm_must_use int evidence_seal_begin(struct evidence *j, const uint8_t public_key[CRYPTO_SIGN_PUBLIC_LEN]);
/* The newest closed block, to be sealed: its body for evseal_sign(EVSEAL_BLOCKS).  Returns 1, or 0 when everything
 * closed is sealed. */
sm_must_use int evidence_seal_root(const struct evidence *j, struct evseal_root *ret);
/* Keep a statement that keyd made (any kind), with its body.  It must follow the last one kept (sequence, hash
 * before) and,
 * when the journal has epoch 0, verify.  Synced when it returns 0.  -SM_EAUTH, -SM_EMISMATCH (does not follow),
 * -errno. */
sm_must_use int evidence_seal_put(struct evidence *j, const uint8_t statement[EVSEAL_LEN], struct sm_span body);
/* Number and hash of the last statement kept: where keyd must go on (0 and zeros at the beginning). */
void evidence_seal_last(const struct evidence *j, uint64_t *ret_seq, uint8_t ret_hash[32]);

/* ---- going on with another box's record ---- */
/*
 * dir holds what was saved of one (segments, ledger, key) and nothing of a new one yet: its ledger and key are set aside under a
 * number, and the link that the new ledger must begin with is kept.  Returns 0, or 1 when parts of the old record are
 * damaged (verify says where).  -SM_ECORRUPT, -SM_EVERSION, -SM_ELIMIT (64 boxes), -errno, -ENOMEM.
 */
sm_must_use int evidence_continue(const char *dir, int64_t now_s, struct evseal_link *ret);
/* True: the first statement must be EVSEAL_LINK over this body; evidence_seal_put takes no other. */
bool evidence_link(const struct evidence *j, uint8_t ret[EVSEAL_LINK_LEN]);

/* ---- is it still as it was written? ---- */
enum evidence_harm_kind { EVIDENCE_DELETED = 1, EVIDENCE_REPLACED, EVIDENCE_CUT, EVIDENCE_REWRITTEN };
struct evidence_harm {
    char file[40];
    enum evidence_harm_kind kind;
    bool rescued;   /* what was in it was kept: in memory, or the file behind the open descriptor */
};
/*
 * Look after the files of the open record: each harm is told once.  Cheap without `all`: the open files.  With it: every closed
 * segment too, by its name and length, and the bytes of the write-ahead file.  What can be put right is: events of a harmed
 * write-ahead file are in memory and are written into blocks at once, files that were deleted are written again.
 * Returns 1 (ret is filled; call again), 0, -errno.
 */
sm_must_use int evidence_guard(struct evidence *j, bool all, struct evidence_harm *ret);

/*
 * Make dir/sub a whole record that nobody writes to until the next call: links to closed segments, copies of what still
 * grows (only what was added since the last time), ledgers and keys.  Call after evidence_flush and a seal, so that all
 * of it is sealed.  What went by retention goes there too.  -errno, -SM_EPARTIAL (a closed segment is not there).
 */
sm_must_use int evidence_copy(struct evidence *j, const char *sub);

/* ---- retention ---- */
struct evidence_policy { uint32_t days; uint64_t bytes; };   /* per class; 0: no limit */
/* Nothing of this time goes, by the events' own times or by when they were seen. */
struct evidence_hold {
    int64_t from_s, to_s;
    uint64_t source;            /* 0: every source */
    uint16_t classes;           /* a bit each; 0: every class */
};
struct evidence_rules {
    struct evidence_policy of[EVIDENCE_CLASSES_MAX];
    struct evidence_hold holds[EVIDENCE_HOLDS_MAX];
    size_t holds_n;
};
/*
 * The next segment that may go: closed, sealed, the oldest of its class that no hold touches, and all of it older than the
 * class's days, or the class is larger than its bytes (what is held does not count).  ret_body is the body of the tombstone (EVSEAL_TOMBSTONE)
 * for keyd to
 * sign.  Age counts from when the box saw the events, by now_s.  Returns 1, or 0 when nothing is to go.  -errno,
 * -ENOMEM.
 */
sm_must_use int evidence_retire_next(struct evidence *j, const struct evidence_rules *rules, int64_t now_s,
    struct sm_buf *ret_body);
/* Keep the signed tombstone, then remove what it names.  A crash in between is finished by the next evidence_open.
 * -SM_EAUTH, -SM_EMISMATCH, -errno. */
sm_must_use int evidence_retire(struct evidence *j, const uint8_t statement[EVSEAL_LEN], struct sm_span body);

/* Closed segments, oldest first: file names for the vault.  A name stays valid until the next call that changes
 * the journal. */
typedef int (*evidence_segment_fn)(void *arg, const char *name, uint64_t bytes, uint64_t first_block,
    uint64_t last_block);
sm_must_use int evidence_segments(const struct evidence *j, evidence_segment_fn fn, void *arg);

#endif
