/*
 * Who is whose child: every process this machine was seen to have, the tree it belongs to, and its program.  Fed by
 * births, program changes and ends as they are told (plat/procwatch.h), and by looking (plat/procinfo.h) for whoever
 * was not; pure bookkeeping, no system call here.  One thread.
 *
 * A *tree* is a process and all that ever came from it, also after its parent ended and it was given to another.  Its
 * root is the topmost ancestor below a *gate*: process 1, a service manager, a login (sshd of a session, login, a
 * desktop), cron, a container's keeper, or an interactive shell (a shell that leads a session with a terminal).  So two
 * commands typed one after the other are two trees of one *session*, and everything one command starts is one.
 *
 * A gate's own number is a tree too: of what it does itself (`echo > file` typed into a shell).  Only a gate's child
 * can be a gate, and only if its file is the system's (PROC_PACKAGED): a program cannot divide its tree by starting
 * shells of its own.
 */
#ifndef SM_SENSOR_PROCTREE_H
#define SM_SENSOR_PROCTREE_H
#include "core/buf.h"
#include "core/json.h"

enum {
    PROCTREE_MAX = 65536,
    PROCTREE_PATH = 512,
    PROCTREE_LINE = 1024,
    PROCTREE_AFTER_MS = 10 * 60 * 1000, /* ended ones are remembered */
    PROCTREE_TEXT = 16 << 20            /* bytes of all names and lines; ended ones are forgotten for it */
};

enum proctree_bit {
    PROC_GATE = 1,
    PROC_PACKAGED = 2,
    PROC_INTERPRETER = 4,
    PROC_FRESH = 8,
    PROC_SHELL = 16,
    PROC_KERNEL = 32,
    PROC_ENDED = 64,
    PROC_SERVICE_USER = 128, /* a system account that is not root */
    PROC_TERMINAL = 256,     /* it leads its session, which has a terminal; or a shell that reads one */
};

struct proctree_row {
    uint32_t pid, parent, uid, session; /* pid: of the process, never of a thread */
    uint64_t start;             /* clock ticks since boot: with pid it names the process for ever */
    uint64_t tree, group;       /* tree: never 0, never used twice; group: number of the login or session above it */
    int64_t began_ms, ended_ms; /* since boot; 0: not yet */
    uint32_t bits;
    char exe[PROCTREE_PATH];    /* its program; "" unknown, cut ones end in "…" */
    char line[PROCTREE_LINE];   /* command line, arguments joined by blanks */
};

/* How to look at a process that was not told: fills pid, parent, uid, session, start, exe, line and bits (but
 * PROC_GATE).  id may be a thread's: pid is then its process.  -ESRCH. */
typedef int proctree_look_fn(void *ctx, uint32_t id, struct proctree_row *ret);

struct proctree;
sm_must_use int proctree_new(proctree_look_fn *look, void *ctx, struct proctree **ret);
void proctree_free(struct proctree *t);
/* Numbers of trees begin here: a caller that starts again begins above what it gave before. */
void proctree_number_from(struct proctree *t, uint64_t first);
/* What was told.  Out of order and doubled words do no harm.  -ENOMEM. */
sm_must_use int proctree_fork(struct proctree *t, uint32_t parent, uint32_t child, int64_t at_ms);
sm_must_use int proctree_exec(struct proctree *t, uint32_t pid, int64_t at_ms);
/* The same by a watcher that saw the program itself: row as proctree_look_fn gives it, copied. */
sm_must_use int proctree_exec_seen(struct proctree *t, const struct proctree_row *row, int64_t at_ms);
void proctree_exit(struct proctree *t, uint32_t pid, int64_t at_ms);
/* A quicker way than a look to learn whose thread an id is (0 and *ret_pid, which may be the id itself; -ESRCH).  NULL:
 * none. */
void proctree_threads(struct proctree *t, int (*process_of)(void *ctx, uint32_t id, uint32_t *ret_pid), void *ctx);
/* Words were lost: what is known is looked at again before it is believed. */
void proctree_doubt(struct proctree *t);
/* Told when the last living process of a tree ended (its ended ones are remembered yet), from within the calls above
 * and proctree_get; gone must not call back into t.  One listener; NULL: none. */
void proctree_on_gone(struct proctree *t, void (*gone)(void *ctx, uint64_t tree), void *ctx);
/* The process, looked at when unknown; id may be a thread's number.  *ret is borrowed until the next call.  -ESRCH gone
 * and never seen. */
sm_must_use int proctree_get(struct proctree *t, uint32_t id, const struct proctree_row **ret);
/* Living processes of a tree, parents first, at most n; gives how many there are. */
size_t proctree_members(const struct proctree *t, uint64_t tree, struct proctree_row *ret, size_t n);
/* Everything known of a tree, ended processes too, as
 * [{"pid","start","parent","uid","exe","line","began","ended"}…≤200].  -SM_ENOTFOUND. */
sm_must_use int proctree_tell(const struct proctree *t, uint64_t tree, json_t **ret);
size_t proctree_count(const struct proctree *t);
/* Processes that could not be kept, PROCTREE_MAX or PROCTREE_TEXT being reached with living ones, since the start. */
uint64_t proctree_unkept(const struct proctree *t);
#endif
