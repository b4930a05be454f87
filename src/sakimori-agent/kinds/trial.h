/*
 * Trying a restored database: a server of its own is started from the dumps of a restore drill, every database loaded,
 * its rows compared with those of the dump, its structure checked, the server stopped.  One row each (trial.c), one file
 * each.  It runs in the part "proof" (proof.c), which nobody and nothing of the machine's own servers can reach:
 * a user of its own, files only in its folder, no network, only a socket in that folder.
 */
#ifndef AGENT_TRIAL_H
#define AGENT_TRIAL_H
#include "core/json.h"
#include "plat/proc.h"
#include "sakimori-agent/kinds/kind.h"
#include "sakimori-agent/kinds/rows.h"

#define TRIAL_LIST_MAX 40 /* databases named in the report, with names of at most TRIAL_NAME_MAX bytes */
#define TRIAL_NAME_MAX 80u
/* proved: loaded, equal, sound.  failed: something of that was not so.  files: no server could be tried; what is known of
 * the files is all that is proved. */
enum trial_state { TRIAL_PROVED, TRIAL_FAILED, TRIAL_FILES };
struct trial {
    struct prep *p;
    char folder[128];   /* ours alone; what was restored lies in folder/in, a server's data in folder/db */
    char log[160];      /* of the server, in the folder */
    char *server;       /* its program, or NULL (sqlite) */
    struct plat_proc proc;
    enum trial_state state;
    const char *why;    /* files: "server" (none installed), "room", "time", "policy", "user", "start" */
    char version[80];
    unsigned databases, loaded, differing, unsound;
    uint64_t tables, rows, compared; /* compared: tables whose rows the dump tells too */
    uint64_t bytes, start_ms, load_ms, check_ms;
    json_t *list;
};
struct trial_kind {
    const char *name;                   /* of the kind */
    const char *const *server;          /* where its program may be (prep_find), NULL: none is needed */
    unsigned times;                     /* room needed, in sizes of the dumps */
    int (*start)(struct trial *t);      /* make a server and begin it */
    int (*each)(struct trial *t);       /* load, count, check what lies in folder/in */
    int stop_signal;
};
const struct trial_kind *trial_find(const char *name);
extern const struct trial_kind trial_postgresql, trial_mariadb, trial_sqlite;

/* Run it all: fills t, problems by prep_problem (names, fixed words and SQLSTATEs; never what a server or tool said).  Returns 0, or -SM_ECANCEL. */
sm_must_use int trial_run(struct trial *t, const struct trial_kind *k);

/* ---- for the kinds ---- */
/* Start the server with argv (t->server first) and wait until ready answers 0.  -SM_ETIME, -SM_EPARTIAL (it ended). */
sm_must_use int trial_serve(struct trial *t, const char *const *argv, int (*ready)(struct trial *t));
/* Every file of folder/in whose name has this ending: name is the database's, fd is open for reading. */
typedef int (*trial_dump_fn)(struct trial *t, const char *name, int fd);
sm_must_use int trial_dumps(struct trial *t, const char *ending, const char *not_ending, trial_dump_fn fn);
/* Of one database: counted lines "rows TAB table NUL" against the dump's (NULL: there is nothing to compare with). */
struct trial_count { uint64_t tables, rows, compared, differing; };
sm_must_use int trial_compare(struct sm_buf *lines, char between, struct rows *dump, struct trial_count *ret);
/* Note one database in the list and the sums. */
void trial_note(struct trial *t, const char *name, const struct trial_count *c, bool loaded, bool sound, uint64_t ms);
#endif
