/*
 * Inside of the restore room.  The walker (plan.c) turns the generation into a row of operations, in batches; the opener
 * (open.c, three of them) fetches and opens the chunks of a batch; the writer (write.c with target.c) carries the
 * operations out.
 */
#ifndef VAULT_RESTORE_INTERNAL_H
#define VAULT_RESTORE_INTERNAL_H
#include <pthread.h>
#include <stdatomic.h>
#include "vault/restore/restore.h"
#include "vault/scan/names.h"

#define BATCH_CHUNKS RESTORE_GET_MAX
#define BATCH_OPS 8192u
#define BATCH_ARENA ((size_t)1 << 20)
#define NOW_MAX 512
#define OPENERS 3u
#define RESTORE_SEALED_MAX ((size_t)160 << 20) /* far beyond what a request can bring */

enum op_kind {
    OP_ROOT,    /* a root or a selected path begins: name is its parent folder's absolute path */
    OP_ENTER,   /* into folder name */
    OP_LEAVE,   /* out of it: metadata */
    OP_OTHER,   /* symlink, fifo, device */
    OP_LINK,    /* another name of file group */
    OP_BEGIN, OP_PART, OP_END, /* a file */
};
enum { OPF_BROKEN = 2, OPF_LINK = 4, OPF_DONE = 8 };
struct op {
    uint8_t kind, entry_kind, flags;
    uint32_t name_at, name_n, meta_at, meta_n; /* in the batch's arena */
    int32_t chunk;                             /* OP_PART: -1 is a hole */
    uint64_t offset, length, size, group;
};
struct batch_chunk { struct cid cid; struct chunk_key ck; int err; size_t plain_at, plain_n; };
struct batch {
    struct sm_buf ops, arena, plain;
    struct batch_chunk chunk[BATCH_CHUNKS]; size_t chunks;
    uint64_t bytes;
    bool last, opened;
};
enum { STAGE_PLAN, STAGE_OPEN, STAGE_WRITE, STAGES };

/* Folder pages fetched ahead, as they are sealed. */
struct ahead_page { struct cid cid; struct sm_buf sealed; int err; bool used; };
#define AHEAD_PAGES 1024u

struct owner_cache;

struct restore {
    const struct restore_config *c;
    const struct restore_source *source;
    const struct restore_watch *watch;
    bool compare;
    struct restore_result *result;

    pthread_mutex_t source_lock;
    pthread_mutex_t lock;                 /* the ring, err, problems, now */
    pthread_cond_t turn;
    struct batch batch[RESTORE_BATCHES];
    uint64_t made[STAGES];                /* batches each stage has finished, in order */
    uint64_t open_taken; bool open_end;   /* batches the openers have taken; the last of all was */
    int err;
    char now[NOW_MAX];
    atomic_ullong files, bytes;
    uint64_t told_ms;

    /* the walker's */
    struct reader *reader;
    struct batch *b;
    struct sm_buf path, parts;
    struct client_id client;
    struct ahead_page *ahead; size_t ahead_next, ahead_bytes;
    uint64_t *seen_group; size_t seen_n;
    bool resuming;                        /* still before the place where the last run stopped */
    struct sm_buf resume_at;
    char stamp[24];
    bool found;
    struct owner_cache *owners;           /* the writer's */
};

/* ---- ring (restore.c) ---- */
/* The next batch for a stage; NULL when the restore failed. */
struct batch *ring_get(struct restore *r, unsigned stage);
void ring_done(struct restore *r, unsigned stage);
/* For the openers: the next batch nobody took (NULL also after the last), and that it is open, in any order. */
struct batch *ring_take_open(struct restore *r);
void ring_done_open(struct restore *r, struct batch *b);
void restore_fail(struct restore *r, int err);
int restore_error(struct restore *r);
void restore_problem(struct restore *r, struct sm_span path, int err, const char *what);
bool restore_cancelled(struct restore *r);
/* get_many of the source, alone where it wants that. */
sm_must_use int restore_get(struct restore *r, const struct cid *cids, size_t n, restore_object_fn fn, void *arg);
void restore_progress_tell(struct restore *r);

/* ---- stages ---- */
sm_must_use int plan_run(struct restore *r);   /* caller's thread */
void plan_wipe(struct restore *r);
void *open_thread(void *restore);
void *write_thread(void *restore);
/* An object for the reader: from what was fetched ahead, or alone. */
int plan_get(void *restore, const struct cid *cid, uint8_t type, struct sm_buf *ret);
int plan_file_key(void *restore, const struct cid *envelope, struct file_key *ret);

/* ---- resume.c: how far an earlier run with the same id came ---- */
/* Reads the note, or makes a stamp for a new one. */
void resume_load(struct restore *r);
/* Everything before path in the order of the walk is finished. */
void resume_save(struct restore *r, struct sm_span path);
void resume_clear(struct restore *r);

/* ---- target.c: folders and what stands in them (the writer's) ---- */
#define TARGET_DEPTH (VAULT_DEPTH_MAX + 4)
struct place_level {
    int fd;                               /* -1: could not be made; what is below is passed over */
    struct names *names;                  /* what stood there, in order; NULL: ask the disk, or nothing (fresh) */
    struct sm_buf peek; bool peeked, any_peek;
    size_t path_n, name_n;                /* of target.path: of this folder; of its last part */
    bool fresh, made;                     /* fresh: nothing stands in it; made: by us */
};
struct target {
    struct restore *r;
    struct place_level level[TARGET_DEPTH];
    size_t depth;                         /* levels in use; level 0 is the folder a root stands in */
    struct sm_buf path;                   /* on the disk, of the entry at hand; its generation part begins at place_n */
    size_t place_n, trusted_n, root_n;    /* of path: the place; what may lead through links; the root */
    char tmp[40], work[RESTORE_WORK_NAME];
};
enum { TARGET_CREATE = 1 };
/* Open the folder path, below its first trusted_n bytes without following links; made if it is not there. */
sm_must_use int target_open_dir(struct sm_span path, size_t trusted_n, bool create);
void target_init(struct target *t, struct restore *r);
void target_wipe(struct target *t);
struct place_level *target_top(struct target *t);
struct sm_span target_told(const struct target *t);   /* the path in the generation, for messages */
sm_must_use int target_begin(struct target *t, struct sm_span parent, struct sm_span root);
sm_must_use int target_push_name(struct target *t, struct sm_span name);
void target_cut(struct target *t);
/* Does name (pushed) stand in the folder on top?  What comes before it and is not in the generation is dealt with. */
bool target_exists(struct target *t, struct sm_span name);
/* Move what stands under name to the aside folder. */
sm_must_use int target_aside(struct target *t, const char *name);
/* Into the folder on top's child name (pushed); the rest of what stands there is dealt with by leave. */
void target_enter(struct target *t, struct sm_span name);
void target_leave(struct target *t, const struct op *op, struct sm_span meta);

/* ---- what.c: metadata of entries ---- */
struct owner_cache { struct { char name[PLAT_NAME_MAX]; uint32_t id; bool used, known; } user[32], group[32]; };
/* Metadata of an entry, owners' names turned into this machine's numbers. */
sm_must_use int what_meta(struct owner_cache *o, struct sm_span meta, uint8_t kind, struct plat_meta *ret,
    struct meta_extra *ret_extra);
void what_apply(struct target *t, int dirfd, const char *name, const struct plat_meta *m);
/* Compare run: tell what differs. */
void what_compare(struct target *t, const struct plat_meta *want, const struct plat_meta *have);
#endif
