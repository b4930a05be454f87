/* What the files of the sensor share. */
#ifndef AGENT_SENSOR_INTERNAL_H
#define AGENT_SENSOR_INTERNAL_H
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "detect/ransom/ransom.h"
#include "plat/fswatch.h"
#include "sakimori-agent/sensor/acts.h"
#include "sakimori-agent/sensor/held.h"
#include "sakimori-agent/sensor/procs.h"
#include "sakimori-agent/sensor/sensor.h"
#include "sensor/event.h"

enum {
    SLOTS = 512,                /* asks that are not answered yet */
    WORKERS = 2,
    JOBS_MAX = 256,
    HELD_MAX = 8192,
    HELD_AGE_MS = 10 * 60 * 1000,
    HELD_OTHER_MS = 5 * 1000,
    TREES_MAX = RANSOM_TREES_MAX,
    DECOYS_MAX = 4096,
    ROOTS_MAX = 256,
    FOLDERS_MAX = 50000,        /* marked one by one; past it the file systems are */
    FILES_PINNED = 20000,       /* files marked themselves (for their other names) that stay in memory for it: some 20 MB of the kernel's */
    FILES_MAX = 200000,         /* marked themselves in one walk */
    PENDING_MAX = 1024,         /* new folders that are not marked yet */
    ANCESTORS_MAX = 32,
    ASKED_MAX = 64,             /* a guarded file that is read in so many pieces is no longer guarded */
    STAND_MS = 2000,            /* the deciding thread may take so long for one ask */
    WAIT_MS = 5000, WAIT_SUSPECT_MS = 30000, /* an ask may wait so long for its copy */
    QUIET_MS = 200, BUSY_MS = 10000, /* a new folder is marked when its maker is quiet, or after so long */
    SAY_BYTES = 4 << 20,        /* of what waits to be said */
};
#define ACTS_BYTES ((size_t)1 << 20)
#define INLINE_BYTES ((uint64_t)1 << 20)        /* copied by the deciding thread itself */
#define FILE_BYTES ((uint64_t)128 << 20)        /* the largest file kept for a tree that nobody suspects */
#define GONE_BYTES ((uint64_t)1 << 30)

/* ---- asks that are open (slots.c) ---- */
struct slot {
    int fd; /* -1: free */
    uint8_t group;
    bool waits; /* for a copy: bounded by its own time */
    bool rescued;
    int64_t since_ms;
};

/* ---- trees (trees.c) ---- */
enum tree_bit { TREE_CONDEMNED = 1, TREE_SUSPECT = 2, TREE_KEEPS = 4, TREE_REMOVED = 8, TREE_READ_DECOY = 16, TREE_SEEN = 32,
    TREE_CHANGED_DECOY = 64 };
struct tree {
    uint64_t tree, base;    /* base: its number in procs' tree; another one where it was narrowed (who.c) */
    uint32_t bits, pending; /* pending: jobs of the workers */
    uint32_t kept, unkept;
    unsigned score, touched, destroyed;
    int64_t first_ms, stop_ms, seen_ms, first_wall_ms; /* monotonic; first: of the first act that changed something */
    unsigned stopped;       /* processes */
    uint32_t rev;
    int64_t said_ms;
    uint64_t finding;
    char program[PROCTREE_PATH];
};

enum { WRITTEN_MAX = 50 };   /* programs written, told in a second */

/* A tree that was stopped and may still be in a system call. */
enum { SETTLING_MAX = 64, SETTLE_MS = 500, SETTLE_LOOK_MS = 2 };
struct settling {
    uint64_t tree;
    int64_t until_ms;
};

/* Who acts: what is known of it, copied. */
struct who {
    struct tree *t;
    uint32_t pid, uid;
    uint64_t start, group;
    uint8_t bits;           /* enum ransom_who, but RANSOM_SERVICE */
    bool service, own;
    char exe[PROCTREE_PATH], line[PROCTREE_LINE];
};

/* ---- what waits ---- */
enum waits_for { WAIT_COPY, WAIT_AGAIN, WAIT_HASH };
struct job {
    struct sensor *s;
    struct job *next, *waiting_next;
    uint8_t what;           /* WAIT_COPY or WAIT_HASH */
    int slot;               /* -1: nobody waits */
    int fd;                 /* of the slot, or our own (slot < 0) */
    struct giveback_what keep;
    uint64_t file, id, size;
    uint32_t tid;
    int64_t until_ms;
    bool cancel, answered;  /* answered: its ask is not to be any more */
    int err;
    uint8_t hash[32];
    struct stat st;
    char path[FSWATCH_PATH], was[FSWATCH_PATH];
};
struct again {
    int slot;
    int64_t at_ms;
    struct fswatch_ask ask;
};

/* A new folder whose maker may be in full run. */
struct pending {
    char *path;
    uint64_t tree, start, cpu;
    uint32_t pid;
    int64_t made_ms;
    bool told, marked;  /* marked: earlier files were moved into it */
};

struct root {
    char *path;
    size_t n;
};

struct sensor {
    struct sensor_setup setup;
    struct fswatch *w;
    struct procs *procs;
    struct ransom *ransom;
    struct giveback *give;
    char why[400], why_watch[240];
    _Atomic bool over, alone, ended, armed; /* alone: nobody decides any more */
    _Atomic int mode;           /* enum endpoint_mode */
    _Atomic int sensitivity;    /* to be taken; -1: nothing new */
    int sensitive;              /* the last, of the owner */

    /* the deciding thread's */
    pthread_t decider, watchdog, walker, worker[WORKERS];
    bool has_decider, has_watchdog, has_walker;
    size_t workers;
    _Atomic uint64_t tid[4 + WORKERS];
    _Atomic int64_t busy_ms;    /* since when it works on something; 0: it waits */
    struct held *held;
    struct acts *acts;
    struct tree *trees;         /* TREES_MAX */
    uint64_t now_file;          /* being opened, not held yet; 0: none */
    int now_fd;
    struct { uint64_t tree, file; uint32_t thread; int64_t at_ms; } cut[32]; /* by name: no close will tell that it is over */
    size_t cut_n;
    struct again again[64];
    size_t again_n;
    struct job *waiting;        /* jobs whose asks wait; of the deciding thread */
    struct pending pending[PENDING_MAX];
    size_t pending_n;
    int64_t written_s;  /* this second's programs that were written, and how many were told */
    unsigned written;
    struct settling settling[SETTLING_MAX];
    size_t settling_n;
    struct proctree_row *rows;  /* for stopping */
    size_t rows_max;
    struct { uint32_t pid; uint64_t tree; } ancestor[ANCESTORS_MAX]; /* of this process */
    size_t ancestor_n;
    uint64_t gone[256];         /* trees that ended a moment ago */
    size_t gone_n;
    uint64_t exe_dev, exe_ino;
    struct { uint32_t pid; uint64_t start; bool own; } own[256];
    struct who who;
    char path[FSWATCH_PATH], to[FSWATCH_PATH];
    uint64_t lost_notices_said;

    /* asks that are open */
    pthread_mutex_t slot_lock;
    struct slot slot[SLOTS];
    size_t slot_hint;

    /* settings (settings_lock) */
    pthread_mutex_t settings_lock;
    struct root root[ROOTS_MAX], out[ROOTS_MAX];
    size_t root_n, out_n;
    uint64_t *decoy;            /* held_hash of each, sorted */
    size_t decoy_n;
    struct timespec decoys_at; /* of the walker */
    uint8_t (*block)[32];
    size_t block_n;
    uint64_t block_gen;

    /* the walker's */
    pthread_mutex_t walk_lock;
    pthread_cond_t walk_cond;
    struct walk *walk_first, *walk_last;
    size_t walk_n;
    bool walk_anew, walk_flush, programs_armed;
    _Atomic size_t folders, folders_failed, files; /* files: marked themselves since everything was forgotten last */
    _Atomic bool filesystem, walked;

    /* workers */
    pthread_mutex_t job_lock;
    pthread_cond_t job_cond;
    struct job *todo[WORKERS], *todo_last[WORKERS], *done;
    size_t job_n;
    unsigned idle_rounds;
    _Atomic bool unsynced;
    int done_fd;

    /* commands to the deciding thread */
    pthread_mutex_t command_lock;
    struct { uint64_t tree; uint8_t what; } command[64];
    size_t command_n;
    int wake_fd;

    /* what is to be said */
    pthread_mutex_t say_lock;
    struct said *say_first, *say_last;
    size_t say_bytes;
    int say_fd;

    /* counts */
    _Atomic uint64_t asks, lost_events, lost_answers, unkept, overflows, denied;
    _Atomic size_t held_now;
};

int64_t sensor_now_ms(void);

/* slots.c: the only place that answers.  slot_take gives -1 when none is free (then it is answered at once). */
int slot_take(struct sensor *s, int fd, enum fswatch_group g);
int slot_fd(const struct sensor *s, int slot);
void slot_waits(struct sensor *s, int slot);
/* Answer; the descriptor is closed, or kept open for the caller (its number is returned). */
void slot_answer(struct sensor *s, int slot, bool allow);
int slot_answer_keep(struct sensor *s, int slot, bool allow);
void slots_init(struct sensor *s);
/* The watchdog's: answer all that stand longer than they may, and what nobody read.  How many. */
size_t slots_rescue(struct sensor *s, int64_t now_ms, bool alone);
void *watchdog_main(void *sensor);

/* decide.c: the thread; open.c: one ask for an open */
void *decide_main(void *sensor);
void decide_open(struct sensor *s, const struct fswatch_ask *a, int slot, bool second);
void decide_piece(struct sensor *s, const struct fswatch_ask *a, int slot); /* of a guarded file: nothing to decide */
/* A file's pre-image is there, or could not be made. */
void decide_kept(struct sensor *s, struct job *j);
void decide_late(struct sensor *s, struct job *j);
/* The scores begin (anew), with this sensitivity.  -ENOMEM. */
int scores_make(struct sensor *s, int sensitivity);
uint64_t who_number(void *sensor, const struct proctree_row *row); /* the number of its tree; of procs_config */
uint64_t who_base(struct sensor *s, uint64_t number); /* the number that proctree has for such a one; 0: its first process is gone */
uint8_t who_bits(const struct who *w, uint32_t owner);

/* notice.c */
void notices_take(struct sensor *s);
void acts_write(struct sensor *s, struct tree *t);

/* who.c */
int who_is(struct sensor *s, uint32_t thread, struct who *ret); /* -ESRCH */
bool who_is_us(const struct sensor *s, uint32_t thread);
size_t who_members(struct sensor *s, const struct tree *t); /* into s->rows */
void who_init(struct sensor *s);

/* trees.c */
struct tree *trees_get(struct sensor *s, uint64_t tree, uint64_t base);
struct tree *trees_find(struct sensor *s, uint64_t tree);
void trees_verdict(struct sensor *s, struct tree *t, const struct ransom_verdict *v, const char *program);
void trees_stop(struct sensor *s, struct tree *t);   /* SIGSTOP to all of it, and again whenever it moves */
void trees_settle(struct sensor *s, int64_t now); /* findings of trees that stand now are told */
void trees_command(struct sensor *s, uint64_t tree, enum sensor_do what);
void trees_gone(void *sensor, uint64_t base);
void trees_tick(struct sensor *s);

/* marks.c */
void *walker_main(void *sensor);
void walk_add(struct sensor *s, const char *path, bool on); /* all below, from any thread */
void marks_anew(struct sensor *s);
/* One file, for its other names: name in dirfd, or (NULL) what dirfd is open at.  From any thread. */
void marks_file(struct sensor *s, int dirfd, const char *name);
/* The roots (settings_lock is held): what the policy names, with "auto" also what is there of people's folders.  -ENOMEM. */
int roots_set(struct sensor *s, const struct endpoint_policy *p, const char *const *sources, size_t n);
void roots_free(struct sensor *s);
uint64_t roots_sum(const struct sensor *s); /* another one when they are others (settings_lock is held) */
bool roots_have(struct sensor *s, const char *path);
void pending_add(struct sensor *s, const char *path, const struct who *who);
void pending_tick(struct sensor *s);
void pending_tell(struct sensor *s, const struct who *who);
/* An earlier file was moved into the folder of this path: it is watched from now on. */
void pending_moved(struct sensor *s, struct sm_span path);
void pending_word(void *sensor, enum procs_what what, const struct proctree_row *row);
void decoys_load(struct sensor *s);
bool decoy_is(struct sensor *s, struct sm_span path);

/* keep.c */
void *worker_main(void *sensor_and_number);
/* Copied; takes job.  -SM_EAGAIN the queue is full (job stays the caller's). */
int job_add(struct sensor *s, struct job *job);
void jobs_done(struct sensor *s);
void jobs_late(struct sensor *s);

/* programs.c */
void programs_ask(struct sensor *s, const struct fswatch_ask *a, int slot);
void programs_hashed(struct sensor *s, struct job *j);
void programs_arm(struct sensor *s);

/* say.c */
void say_event(struct sensor *s, struct sm_span line);              /* from any thread */
/* A fact of our own ("service":"sakimori"): begin, put fields with sensor_event_*, end says it. */
struct saying {
    struct sm_buf line;
    struct sensor_event e;
};
void say_begin(struct saying *x, const char *action);
void say_end(struct sensor *s, struct saying *x);
/* {"tree","processes":[{"pid","start"}…≤1000]}; t NULL: none. */
void say_members(struct sensor *s, uint64_t tree, const struct tree *t);
void say_overflow(struct sensor *s, const char *what, uint64_t count);
/* Once a tree each: that it read a decoy, that it was about to change one or has renamed or removed one. */
void say_written(struct sensor *s, struct sm_span path); /* a program was written */
void say_decoy(struct sensor *s, struct sm_span path, bool changed);
void say_who(struct saying *x, const struct who *w);
void say_finding(struct sensor *s, struct tree *t, const char *state);
void say_drop(struct sensor *s);
#endif
