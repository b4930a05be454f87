/*
 * Inside of the backup room: the row of events between the threads of a run.
 *
 * One reader pushes events in the order of the walk; any number of sealers pick the chunk jobs among them; one
 * finisher takes the events out in order, each only when it is done.  Bounded: PIPE_SLOTS events, PIPE_BLOCKS blocks of
 * plain bytes, PIPE_SEALED sealed bytes.  The first error of any thread stops all.
 */
#ifndef VAULT_BACKUP_PIPE_H
#define VAULT_BACKUP_PIPE_H
#include <pthread.h>
#include <stdatomic.h>
#include "vault/seal/chunk.h"

#define PIPE_SLOTS 1024u
#define PIPE_BLOCK ((size_t)5 << 18)
#define PIPE_BLOCKS 3u
#define PIPE_SEALED ((size_t)2 << 20) /* sealed bytes waiting to be packed */
#define PIPE_SHARED 8u       /* blocks for shared chunks besides */
#define PIPE_JOBS 16u        /* taken by a sealer at once: together they are hashed quicker */

/* Plain bytes, shared by the jobs cut from them; back in its pool when the last one is done. */
struct block { atomic_int refs; uint8_t *p; size_t cap; bool shared; struct block *next; };

enum event_kind {
    EV_ENTER,       /* rec: name */
    EV_KEEP,        /* rec: an unchanged ENTRY record */
    EV_OTHER,       /* rec: an entry without content */
    EV_MEMBER,      /* rec: a small file, at offset..offset+length of shared chunk number `group` */
    EV_GROUP,       /* job: shared chunk number `group` */
    EV_CHUNK,       /* job: next part of the file being read */
    EV_HOLE,        /* length: a hole in it */
    EV_DROP,        /* forget the parts of the file being read: it is read again */
    EV_FILE,        /* rec: the file being read is complete */
    EV_LEAVE,       /* rec: the folder's own entry; rec2: the old LEAVE record or empty; intact */
    EV_END,
};
struct event {
    uint8_t kind;
    bool done, known, intact, changed, fresh; /* known: the box has the chunk; fresh: of new files only */
    uint64_t group, offset, length;
    struct sm_buf rec, rec2;
    /* a job */
    uint8_t type;
    struct seal_how how;
    struct block *block;
    struct sm_span plain;
    uint8_t look[32];
    struct chunk_info info;
    uint8_t *sealed; size_t sealed_n;
};

struct pipe;
/* Called by a sealer for some jobs (n <= PIPE_JOBS); fills known, look, info, sealed. */
typedef int (*pipe_seal_fn)(void *arg, struct seal_ctx *ctx, struct event **job, size_t n);
sm_must_use int pipe_new(unsigned sealers, pipe_seal_fn seal, void *arg, struct pipe **ret);
/* Stops and joins the sealers. */
void pipe_free(struct pipe *p);
/* First error wins; everything waiting wakes up.  err < 0. */
void pipe_fail(struct pipe *p, int err);
int pipe_error(struct pipe *p);

/* Reader: the next free slot to fill (cleared, its rec buffers keep their memory), then push.  NULL after a failure. */
struct event *pipe_slot(struct pipe *p);
void pipe_push(struct pipe *p);
/* A block with one hold; NULL after a failure. */
struct block *pipe_block(struct pipe *p, bool shared);
void pipe_hold(struct block *b);
void pipe_release(struct pipe *p, struct block *b);
/* Finisher: the oldest event once it is done; NULL after a failure.  pop gives the slot back. */
struct event *pipe_front(struct pipe *p);
void pipe_pop(struct pipe *p);

#endif
