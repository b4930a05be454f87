/*
 * Inside of the backup room: what the threads of a run share.  Each part says who touches it.
 */
#ifndef VAULT_BACKUP_RUN_INTERNAL_H
#define VAULT_BACKUP_RUN_INTERNAL_H
#include "vault/backup/backup.h"
#include "vault/backup/pipe.h"
#include "vault/backup/tree.h"
#include "vault/chunk/cut.h"
#include "vault/index/run.h"
#include "vault/snapshot/streampage.h"

/* How zstd is used, measured on a clinic's data: records gathered in shared chunks come out as small at 1 as at 2, in three
 * quarters of the time, and smaller still when short matches are left alone; pages of databases are 5 % smaller at 2, and
 * at 3 by 2 % more for a third more time.  Pictures that are not compressed yet are rows of numbers of two bytes, whose
 * matches are short: searched as level 1 does, but for them, they are within 2 % of level 3 in half its time. */
#define RUN_HOW_SHARED { .level = 1, .match = 7, .probe = true }
#define RUN_HOW_IMAGES(split) { .level = 1, .match = 5, .table = 15, .probe = true, .planes = split }
#define RUN_LEVEL 2
#define RUN_NOW_MAX 512

/* ---- objects on their way out ---- */

/* What is in a pack and not acknowledged: look-up value (or a page's own name) to name. */
struct pending_row { uint8_t key[32]; struct cid cid; };
struct pending { struct pending_row *row; uint32_t *slot; size_t n, cap, slots; };
void pending_wipe(struct pending *p);
void pending_clear(struct pending *p);
const struct cid *pending_get(const struct pending *p, const uint8_t key[32]);
sm_must_use int pending_put(struct pending *p, const uint8_t key[32], const struct cid *cid); /* -ENOMEM */

enum { OUT_DATA, OUT_META, OUT_KINDS };
/* The finisher's while not ready, the sender's while ready (guarded by run.send_lock); pending by look_lock. */
struct out_lane { struct pack_builder *pack; struct pending pending; bool ready; };
/* A pack under way: what is remembered when it is acknowledged.  The sender's; pending by look_lock. */
struct flight { struct pending pending; bool used; };

/* The key of the sums that reading again compares (reread.h), and where on the circle of paths it stands. */
struct run_sum_key { uint64_t k0, k1; };
struct reread_state { uint64_t place; int64_t at_s; uint64_t rounds; int64_t round_s; };

struct run {
    const struct backup_config *c;
    const struct backup_sink *sink;
    const struct backup_watch *watch;
    struct seal_keys keys;
    struct cut_table cut;
    struct pipe *pipe;

    pthread_mutex_t look_lock;      /* look, and every pending */
    struct index_table *look;
    const struct cid *missing; size_t missing_n;
    bool forget, ask;

    pthread_mutex_t send_lock;
    pthread_cond_t send_work, send_room;
    struct out_lane lane[OUT_KINDS];
    struct flight flight[BACKUP_WINDOW_MAX]; unsigned flying;
    bool finished;                  /* the finisher has ended (error or not) */
    uint64_t packs_acked;

    struct tree_reader *old;        /* the reader's; NULL: none */
    struct tree_writer *new;        /* the finisher's */

    struct run_sum_key sum_key;
    struct reread_state reread; uint64_t reread_arc; /* constant during a run */

    struct cid envelope;            /* constant during a round */
    struct chunk_key k_item;
    uint64_t counter;               /* the finisher's */
    struct cid roots[MANIFEST_ROOTS_MAX]; size_t roots_n; /* the finisher's result */
    uint64_t root_counter; struct sm_buf root_item;

    struct backup_counts read, done; /* the reader's; the finisher's and sender's share */
    atomic_ullong files, bytes, sent_bytes;
    pthread_mutex_t note_lock;      /* now, problems, watch->problem */
    char now[RUN_NOW_MAX];
    uint64_t problems;
    bool partial;
};

void run_problem(struct run *r, struct sm_span path, int err, const char *what);
void run_silent(struct run *r, struct sm_span path);
bool run_cancelled(const struct run *r);
/* Does the box have what stands under key (or will it, with a pack on its way)?  Any thread. */
bool run_known(struct run *r, const uint8_t key[32], struct cid *ret);
bool run_is_missing(const struct run *r, const struct cid *cid);

/* ---- threads ---- */
int run_seal_jobs(void *arg, struct seal_ctx *ctx, struct event **job, size_t n);
/* Both are whole threads: walk and push events until EV_END; take events until EV_END.  Errors go to the pipe. */
void *run_reader(void *run);
void *run_finisher(void *run);

/* Finisher: put a sealed object into the pack being filled, handing a full one over.  key NULL: not remembered. */
sm_must_use int out_add(struct run *r, uint8_t type, const uint8_t *key, const struct cid *cid, struct sm_span sealed);
/* Finisher: hand over what is left. */
sm_must_use int out_flush(struct run *r);
/* Caller's thread: send packs until the finisher is done and everything is out.  Errors go to the pipe too. */
sm_must_use int out_send_all(struct run *r);
sm_must_use int out_init(struct run *r);
void out_wipe(struct run *r);

/* ---- facts ---- */
enum file_class { CLASS_NONE, CLASS_EMPTY, CLASS_TEXT, CLASS_RANDOM, CLASS_MAGIC = 16 /* and above: a known beginning */ };
#define CLASS_CANARY 0x80u /* flag beside the class */
/* What the first bytes of a file look like. */
uint8_t class_of(struct sm_span head);
/* Had a known form, and now looks random? */
bool class_is_lost(uint8_t before, uint8_t now);
unsigned facts_suspicion(const struct backup_counts *c);
sm_must_use int facts_json(const struct backup_counts *c, struct sm_span machine, struct sm_buf *ret);
#endif
