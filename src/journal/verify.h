/*
 * Is the evidence record as it was written?  Reads a folder (or a copy of one, or an unpacked evidence pack) and
 * names what is not.
 * Needs no box: the public key of epoch 0, and better also a later head, come from whoever asks.
 */
#ifndef EVIDENCE_VERIFY_H
#define EVIDENCE_VERIFY_H

#include "event/event.h"
#include "journal/seal.h"

enum evverify_kind {
    /* faults */
    EVVERIFY_ALTERED = 1,   /* stored bytes are not those of the hash: block and column are named */
    /* a block says another hash of the one before: that one, or this one, was put in its place */
    EVVERIFY_CHAIN,
    EVVERIFY_MISSING,       /* a block is not there, and no tombstone says why */
    EVVERIFY_TWICE,         /* two blocks of one number */
    EVVERIFY_ORDER,         /* a block lies where it was not written */
    EVVERIFY_SEAL,          /* sealed with another hash than it has now */
    EVVERIFY_CUT,           /* sealed, or known by a head, and no longer there: the end was cut away */
    EVVERIFY_LEDGER,        /* a statement of the ledger does not follow or is not signed by its key */
    EVVERIFY_FOOTER,        /* a segment's index is not that of its blocks */
    EVVERIFY_UNREADABLE,    /* a file, or part of one, is no segment at all */
    EVVERIFY_FAULTS,
    /* for information */
    EVVERIFY_NOTE_UNSEALED = 32, /* the newest blocks are not sealed yet */
    EVVERIFY_NOTE_REMOVED,  /* removed by policy, with a signed tombstone */
    EVVERIFY_NOTE_TORN,     /* bytes behind the last whole block of an open segment, or of the ledger */
    /* no key was given: that of the folder was believed, which whoever wrote it may have made */
    EVVERIFY_NOTE_KEY,
    EVVERIFY_NOTE_NOKEY,    /* nor has the folder one: no signature was checked */
    /* another box went on here after a take-over: what the old one wrote behind `block` and nobody saved is lost */
    EVVERIFY_NOTE_CONTINUED,
};
struct evverify_finding {
    enum evverify_kind kind;
    uint64_t block, until;      /* the first altered is one of these blocks; 0 unknown */
    uint64_t offset;            /* in file */
    char file[40];              /* "" when it is about no file */
    char column[64];            /* control characters replaced; "" */
};
/* A stable word: "altered", "chain" ...; and a sentence in each language. */
const char *evverify_word(enum evverify_kind kind);
const char *evverify_text(enum evverify_kind kind, bool ja);

struct evverify_head { uint64_t block; uint8_t hash[32]; };
/* "NUMBER:64 hexadecimal digits".  -SM_EFORMAT. */
sm_must_use int evverify_head_parse(const char *text, struct evverify_head *ret);
void evverify_head_text(const struct evverify_head *h, char ret[96]);

struct evverify {
    const uint8_t *key;                 /* of epoch 0, or NULL */
    const struct evverify_head *heads;  /* kept elsewhere */
    size_t heads_n;
    /* Of every segment's blocks the headers and the chain; what is stored only of segments whose number % of == share.
     * of 0: of all. */
    uint32_t share, of;
    bool part;                          /* an evidence pack: blocks before the first and between may be absent */
    void (*progress)(void *arg, uint64_t done_bytes, uint64_t all_bytes);   /* may be NULL */
    bool (*cancel)(void *arg);          /* may be NULL */
    void *arg;
};
struct evverify_summary {
    uint64_t segments, blocks, events, bytes, removed_blocks, statements, epoch, sealed_block, faults;
    int64_t sealed_time_s;
    struct event_time first, last;
    struct evverify_head head;          /* newest block there is: to be kept elsewhere */
    /* Not under a seal: in closed blocks, and in write-ahead files, where no more than a checksum keeps them. */
    uint64_t unsealed_events, open_events;
    uint32_t boxes;                     /* whose record this is, one after the other: 1, or more after take-overs */
    bool any, has_key;
    bool record;                        /* there is anything of a record in the folder */
};
typedef int (*evverify_fn)(void *arg, const struct evverify_finding *f);
/*
 * Findings come in order of blocks as far as they can; non-zero from fn stops and is returned.  0: looked at
 * everything (ret->faults says
 * how many faults).  -errno, -SM_ECANCEL, -ENOMEM, -SM_EVERSION.
 */
sm_must_use int evidence_verify(const char *dir, const struct evverify *v, evverify_fn fn, void *arg,
    struct evverify_summary *ret);

#endif
