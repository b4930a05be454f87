/*
 * scan: looks at files for what is known to be bad: by clamd (its local socket, the open file goes along), by YARA rules (part `yara`,
 * which alone runs libyara) and by lists of indicators.  Reads everything (CAP_DAC_READ_SEARCH), writes DATA/scan alone, has no network
 * (sockets of this machine only).  What it finds goes to judge as event and finding, and, where the policy says so, to actor to be set
 * aside.
 *   DATA/scan/policy.json   endpoint.h        DATA/scan/used    orders.h
 *   DATA/scan/state.json    when all was scanned last, and the job under way: after a restart it goes on where it was
 */
#ifndef AGENT_SCAN_SCAN_H
#define AGENT_SCAN_SCAN_H
#include <pthread.h>
#include "detect/scan/clamd.h"
#include "detect/scan/indicators.h"
#include "sakimori-agent/agent.h"
#include "sakimori-agent/endpoint.h"

enum {
    SCAN_LOOKS_MAX = 512,       /* single files that wait; the oldest goes, and is counted */
    SCAN_PATHS_MAX = 64,        /* of one job */
    SCAN_FOUND_MAX = 256,       /* that wait for the loop */
    SCAN_DEPTH = 128, SCAN_FOLDER_NAMES = 200000,
    SCAN_FILE_MAX_MIB = 2048,
    SCAN_CLAMD_MS = 120000, SCAN_YARA_S = 30,
    SCAN_OLD_DAYS = 7,          /* definitions */
    SCAN_IDLE_DAYS = 30,        /* without a scan of all, where one is planned */
    SCAN_NAME = 160,
};

/* What a scanner said about one file. */
struct scan_found {
    struct scan_found *next;
    char *path;                 /* raw bytes */
    char name[SCAN_NAME], engine[16], sha256[65];
    uint64_t size;
};

/* A job: folders and files, one after the other. */
struct scan_job {
    char id[65];                /* of the order; "" of our own */
    char why[16];               /* order, schedule, idle, media */
    char *path[SCAN_PATHS_MAX];
    size_t n;
    char *at;                   /* the last file that was looked at; NULL: at the beginning */
    uint64_t files, found, faults, bytes;
    int64_t since;
};
void scan_job_wipe(struct scan_job *j);

/* ---- the worker: one thread that reads and asks (work.c) ---- */
struct worker;
struct worker_ways {
    const char *clamd;                  /* its socket */
    const char *const *rules; size_t rules_n; /* folders with lists of indicators (*.indicators) */
    char *const *skip; size_t skip_n;   /* folders that are never read */
    int wake;                           /* one byte is written for each event */
};
struct worker_now {                     /* how it is */
    bool clamd, old;
    struct clamd_version version;
    bool yara, busy;
    size_t indicators, faults;          /* faults: lists that were refused */
    uint64_t looked, dropped, errors;
    struct scan_job job;                /* paths are not filled; at is (free) */
    bool has_job, ended, cancelled;     /* ended: since asked last, job is how it ended */
};
sm_must_use int worker_start(const struct worker_ways *w, struct worker **ret);
void worker_stop(struct worker *w);
void worker_look(struct worker *w, const char *path);   /* one file, before the job goes on */
/* Takes the job's members.  -SM_EAGAIN: one is under way. */
sm_must_use int worker_job(struct worker *w, struct scan_job *take);
void worker_cancel(struct worker *w);
void worker_yara(struct worker *w, int take_fd);        /* a channel to part yara; -1: it is gone */
struct scan_found *worker_found(struct worker *w);      /* all that waits: the caller's */
void worker_now(struct worker *w, struct worker_now *ret);
/* What indicators say of an address or name (copied, INDICATORS_WORDS + 1 bytes); false: nothing. */
bool worker_indicator(struct worker *w, const char *to, char *ret_words);
void scan_found_free(struct scan_found *f);

/* Called for each regular file below path, in the order of names; those up to `after` (may be NULL) are passed over.  Links are not
 * followed, other file systems below are entered but proc, sysfs and the like are not.  Non-zero stops. */
typedef int scan_file_fn(void *ctx, const char *path, int fd);
sm_must_use int scan_files(const char *path, const char *after, const bool *cancel, scan_file_fn *fn, void *ctx);

/* ---- mounts of removable media that came since the last call (media.c) ---- */
struct media;
sm_must_use int media_new(struct media **ret);
void media_free(struct media *m);
/* Paths, at most max; owned by the caller. */
size_t media_look(struct media *m, char **ret, size_t max);

/* ---- what is kept over a restart (state.c) ---- */
struct scan_state { int64_t last_all, last_old; struct scan_job job; bool has_job; json_t *tell; };
void scan_state_load(const char *folder, struct scan_state *ret);   /* damaged or none: empty */
sm_must_use int scan_state_save(const char *folder, const struct scan_state *s);

/* The case of a file and its contents on this machine: told again it is the same; the same file on another machine is another case,
 * and nobody there can know its number before. */
void scan_finding_id(const char *device, const char *path, const char *sha256, char ret[17]);
#endif
