/*
 * logs: the part that reads this machine's logs.  It follows files and the journal, makes batches of whole records, and
 * gives them to link, one batch of a log at a time (PROTOCOL-agent.md, "Logs").  It has no network and no key, reads
 * below the folders that the machine's own policy allows (roots.h) and writes its places alone: DATA/logs/NAME.at.
 *
 * Nothing is spooled.  What a batch holds is written down before it is sent (cursor.h): number, and from where to
 * where. After a crash the same bytes are read again and sent with the same number, which the box takes once.  While
 * the box is away the place stays where it is; what is rotated away meanwhile is looked for among the files beside it,
 * also those that gzip made smaller, and told as a gap when it is not found.
 */
#ifndef AGENT_LOGS_H
#define AGENT_LOGS_H
#include "sakimori-agent/logs/cursor.h"
#include "sakimori-agent/logs/roots.h"

#define LOGS_MAX 16u                 /* logs of a machine */
#define LOG_PLACES_MAX 128u          /* kept, of logs that are or were read */
#define LOG_PATHS_MAX 16u            /* patterns of a log */
#define LOG_FILES_MAX 64u            /* files of a log, followed at once */
#define LOG_READ ((size_t)256 << 10) /* read at once; a longer line is cut there */
#define LOG_BATCH                                                                                                      \
    ((size_t)512 << 10)    /* a batch is full; one record and a gap may make it longer, 960 KiB is the box's limit */
#define LOG_SENDING_MAX 4u /* batches on their way */

#define LOG_NO_FOLDER (-2) /* no descriptor, and no failed one */

struct logs;
struct log_input;

/* One log that the box wants. */
struct log {
    struct logs *all;
    char name[LOG_NAME_MAX + 1];
    const struct log_input *input;
    char *path[LOG_PATHS_MAX];
    size_t path_n;
    bool from_start; /* what was there before it is known is read too */
    void *in;        /* the input's own */
    struct log_cursor at;
    struct sm_buf batch; /* records on their way, empty: none */
    size_t batch_n;      /* of them */
    bool sending, dirty, unsaved;
    bool soon;                                   /* something here becomes readable by time alone */
    uint64_t backoff_ms, not_before_ms, save_ms; /* 0, or when */
    /* what the box is told; totals of this machine stand in at.counts */
    const char *state; /* "ok", "absent", "refused", "waiting", "error" */
    char detail[160];
    int64_t last_s;
    size_t files;
};

/* One row of the table of inputs (table.c).  All give 0 or more, or an error, and are only called by feed.c and main.c.
 */
struct log_input {
    const char *name;
    bool paths; /* it needs some */
    /* Begin where state (of save, NULL: never seen) ended.  A gap it finds is told by log_gap. */
    int (*open)(struct log *l, const json_t *state);
    void (*close)(struct log *l);
    /* What is there now: new files, rotation.  Cheap; called when something changed, and now and then. */
    void (*look)(struct log *l);
    /* The next whole records appended to l->batch, and where they are; what was taken stays where it is until took.
     * 1, 0: nothing now. */
    int (*next)(struct log *l, json_t **ret_range);
    /* The same records once more.  -SM_ENOTFOUND: not there any more. */
    int (*again)(struct log *l, const json_t *range);
    /* The box has them. */
    void (*took)(struct log *l, const json_t *range);
    json_t *(*save)(const struct log *l); /* NULL: out of memory */
    int (*fd)(const struct log *l);       /* readable when there is more, -1: by the folders' watch */
};
extern const struct log_input *const log_inputs[];
const struct log_input *log_input_named(const char *name); /* NULL */
extern const struct log_input log_input_file, log_input_audit, log_input_journald;

struct log_dir {
    int wd;
    char path[AGENT_PATH_MAX];
};
#define LOG_DIRS_MAX (LOGS_MAX * LOG_PATHS_MAX)

typedef int (*log_send_fn)(struct logs *all, struct log *l); /* begins to send l->batch; feed_answer comes later */
struct logs {
    struct log_roots roots;
    int folder; /* DATA/logs, or LOG_NO_FOLDER: places are kept in memory alone */
    struct log *log[LOGS_MAX];
    size_t log_n;
    size_t sending;
    uint8_t *buf; /* LOG_READ bytes to read into, for whoever reads now */
    int inotify;  /* -1: none */
    struct log_dir *dir;
    size_t dir_n;
    log_send_fn send;
    uint64_t (*now_ms)(void);
};

/* ---- log.c: one log ---- */
/* row: {"name","input","paths"?,"from_start"?} of the box.  -SM_EINVAL; why has 160 bytes. */
sm_must_use int log_new(struct logs *all, const json_t *row, struct log **ret, char *ret_why);
void log_free(struct log *l);
/* Something is lost between what was sent and what will be: files (at least), bytes as far as they are known. */
void log_gap(struct log *l, uint64_t files, uint64_t bytes, const char *why);
void log_state(struct log *l, const char *state, const char *fmt, ...) sm_printf(3, 4);
/* {"name","input","state","detail","files","records","bytes","cut","gaps","last"} for the box. */
json_t *log_tell(const struct log *l);
/* The folder behind fd is watched: changes in it make the logs that have a path there dirty. */
void logs_watch_dir(struct logs *all, int fd, const char *path);

/* ---- feed.c: batches ---- */
/* Send what there is, unless something is on its way; again after each answer and whenever l is dirty. */
void feed_go(struct log *l);
/* status: of the box, or an error.  The batch is taken, tried again later, or (malformed) given up. */
void feed_answer(struct log *l, int status);
/* Places that were not written down since the box took something. */
void feed_save(struct log *l);
#endif
