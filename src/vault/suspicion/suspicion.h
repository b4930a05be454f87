/*
 * How likely is it that a generation was made by something that destroys data?  A pure function over measures the box
 * made by itself (from sealed sizes and refs, without any key) and what the client said.  The client's word can
 * only raise the score, never lower it.
 *
 * What the box sees: chunks and sealed bytes that the base generation had and this one has not (dropped), those that
 * came (new), how much of the new is stored uncompressed, and the volume of directory pages, which follows the number
 * of files.  Files added, however incompressible, drop nothing and are clean.
 */
#ifndef VAULT_SUSPICION_H
#define VAULT_SUSPICION_H
#include "core/buf.h"

#define SUSPICION_THRESHOLD 50     /* score from which a generation is suspicious */
#define SUSPICION_REASONS_MAX 12
#define SUSPICION_TEXT 120

/* Made by the box.  "Total" counts with repetition (a chunk used by two pages twice). */
struct suspicion_measures {
    uint64_t chunks, chunk_bytes;              /* total, sealed */
    uint64_t stored_bytes;                     /* of chunk_bytes: sealed without compression */
    uint64_t pages, page_bytes;                /* directory pages: total, sealed */
    uint64_t chunks_new, chunk_bytes_new;      /* not in the base generation */
    uint64_t chunks_dropped, chunk_bytes_dropped;  /* in the base, not here */
    uint64_t stored_bytes_new;                 /* of chunk_bytes_new: sealed without compression */
    uint64_t stored_bytes_dropped;             /* of chunk_bytes_dropped: the same */
};
/* The client's word (manifest facts); all 0 when it says nothing. */
struct suspicion_facts {
    uint64_t files, files_new, files_changed, files_deleted; /* changed: other bytes, not other times or rights */
    uint64_t bytes, bytes_read, bytes_new_plain, bytes_new_stored, chunks_new;
    uint64_t lost_magic, extension_changed, renamed;
    uint64_t canaries, canaries_changed, canaries_missing;
    uint64_t client_suspicion;                 /* 0..100 */
    uint64_t new_files_plain, new_files_stored; /* of bytes_new_*: of files that are new themselves; 0: not told */
};
struct suspicion_past { bool known; struct suspicion_measures m; };
struct suspicion_input {
    struct suspicion_measures now;
    struct suspicion_facts facts;
    struct suspicion_past base;       /* what now was compared with: the previous, or while frozen the last clean one */
    struct suspicion_past days30, days90;  /* newest clean one at least that old, by the box's time */
};
/* Stable codes, for texts in Japanese elsewhere; text is English with numbers. */
enum suspicion_code {
    SUSPICION_REPLACED = 1, SUSPICION_DELETED, SUSPICION_SHRUNK, SUSPICION_INCOMPRESSIBLE, SUSPICION_LOST_MAGIC,
    SUSPICION_RENAMED, SUSPICION_CANARY_CHANGED, SUSPICION_CANARY_MISSING, SUSPICION_SLOW, SUSPICION_CLIENT,
    SUSPICION_CHANGED, SUSPICION_CODE_END
};
/* "replaced", "deleted", ... ; NULL past the end. */
const char *suspicion_code_name(enum suspicion_code c);
struct suspicion_reason { enum suspicion_code code; unsigned score; double value; char text[SUSPICION_TEXT]; };
struct suspicion_result {
    unsigned score;                   /* 0..100: the strongest reason, a little more for each further one */
    /* strongest first; those below 10 are left out */
    size_t n; struct suspicion_reason reasons[SUSPICION_REASONS_MAX];
};
void suspicion_judge(const struct suspicion_input *in, struct suspicion_result *ret);
/* facts of a manifest (canonical JSON, outside bytes; empty = all 0).  -SM_EFORMAT, -SM_EINVAL, -SM_ELIMIT, -ENOMEM. */
sm_must_use int suspicion_facts_parse(struct sm_span json, struct suspicion_facts *ret);

#endif
