/*
 * Kinds of sources that need something made before they can be walked.  One row each (table.c), one file each.  A kind
 * makes files of a consistent state in the staging folder of its source (0700, DATA/staging/SOURCE); the ordinary
 * backup walks that folder under the row's root ("/postgresql"), so that generations of the same database share what
 * did not change.  The kind "files" needs none of this and has no row.
 */
#ifndef AGENT_KIND_H
#define AGENT_KIND_H
#include "sakimori-agent/access.h"
#include "sakimori-agent/kinds/names.h"
#include "sakimori-agent/policy.h"

#define KIND_TOOLS_MAX 5
#define KIND_ARGS_MAX 24
#define KIND_WHY 512
#define KIND_DATABASES_MAX 512
#define KIND_NAME_MAX NAMES_BYTES_MAX /* bytes of a database's name */

struct prep;
struct kind {
    const char *name, *root;
    const char *profile;                 /* of plat_sandbox_seccomp */
    const char *as;                      /* user of this system when the access names none; NULL: stays what it is */
    unsigned uid;                        /* of as, where this system has no such user; 0: then it fails */
    const char *const *reads;            /* files and folders it may read, NULL-ended; NULL: all (as its user may) */
    bool has_access, has_local;          /* has_access: reached by an access; has_local: there is always "local" */
    const int *caps; size_t caps_n;      /* kept (only with as NULL) */
    const char *const *tools[KIND_TOOLS_MAX]; /* for each tool the paths it may have, NULL-ended, best first; "*" stands
                                          * for a version number, the highest counts */
    /* Once the kind's process knows its access and before it gives its rights up: reads nothing from outside.  why has 160
     * bytes.  May be NULL. */
    int (*birth)(struct prep *p, char *ret_why);
    /* Make the files.  0 also when some failed (prep_problem was called for each); negative: nothing to back up. */
    int (*prepare)(struct prep *p);
    /* Not NULL: nothing is made; after prepare backup reads by asking (sharewire.h) until it lets go, and this answers. */
    void (*serve)(struct prep *p);
    /* Load the file behind dump, which prepare made, into a new database (`sakimori-agent db-restore`); NULL: the kind
     * has none.  replace: when there is a database of that name already, it is renamed, never dropped.  What is wrong was
     * told by prep_problem.  -SM_EEXISTS when there is one and replace is false. */
    int (*restore)(struct prep *p, int dump, const char *into, bool replace);
    /* Print the names of the databases that would be kept (`access test`); NULL: the kind has none. */
    int (*names)(struct prep *p);
};

/* NULL: no such kind. */
const struct kind *kind_find(const char *name);
const struct kind *kind_at(size_t i); /* NULL past the end */

/* ---- for the kinds ---- */
struct prep {
    const struct kind *kind;
    const char *data, *skip;          /* skip: the folder of a box beside it, or NULL */
    struct access access;
    struct agent_policy policy;
    const json_t *source, *options;
    char folder[AGENT_PATH_MAX + 64]; /* the staging folder */
    int staging;
    char *tool[KIND_TOOLS_MAX];       /* found, or NULL */
    struct sm_ipc *up, *to;
    uint64_t until_ms, told_ms, bytes;
    bool cancelled;
    uid_t uid; gid_t gid; bool as_user; /* db-restore: who the tools run as */
    unsigned failed;                  /* problems that make the run partial */
    /* A drill: what programs say may hold rows of the database, and goes to the box.  Then prep_run tells only fixed words
     * and at most an SQLSTATE, with quiet_log (NULL: none) the log of the server to look for it in. */
    bool quiet;
    const char *quiet_log;
};
/* Say what could not be taken (bad), or is worth knowing (not bad: the run stays complete). */
void prep_problem(struct prep *p, const char *path, int err, const char *text, bool bad);
/* What is being done, for the screen. */
void prep_now(struct prep *p, const char *text);
/* Cancelled, or the time is over?  0, -SM_ECANCEL, -SM_ETIME. */
sm_must_use int prep_check(struct prep *p);
/* A new empty file of the staging for one database: NAME with what a file name may not have as %XX, and ending.
 * Returns the descriptor; the name is in ret_name (NAME_MAX + 1 bytes). */
sm_must_use int prep_create(struct prep *p, const char *name, const char *ending, char *ret_name);
/* The same for a path of several parts, relative; folders are made.  Parts "." and ".." are refused (-SM_EINVAL). */
sm_must_use int prep_create_path(struct prep *p, const char *path);
/*
 * Start program path (NULL: this one) with argv (at most KIND_ARGS_MAX; the first becomes path) and env, standard input empty, standard output to out (or, when out is -1, gathered in
 * ret_text), and wait.  secret, when not NULL, can be read by it at PREP_SECRET.  0 only when it ended with 0.
 *   -SM_ECANCEL, -SM_ETIME   ended for that
 *   -ENOSPC                  ended because the disk of the staging was nearly full
 *   -SM_EPARTIAL             it failed; ret_why (KIND_WHY bytes) holds the last it said
 * After 0 ret_why holds what it said on standard error, "" when nothing.  With p->quiet it is never its own words.
 */
#define PREP_SECRET "/proc/self/fd/5"
struct prep_run {
    const char *path;
    const char *const *argv, *const *env;
    int out;
    const char *secret;
    const char *input; int in; /* standard input: this text, or (when NULL) the descriptor in when > 0 */
    bool as_user; uid_t uid; gid_t gid;
};
sm_must_use int prep_run(struct prep *p, const struct prep_run *t, struct sm_buf *ret_text, char *ret_why);
/* The SQLSTATE of what a program said, or of the last error in a log: ret is 6 bytes, "" when there is none.  Whatever the
 * text holds, nothing but five digits or capital letters comes out.  log: "STATE ERROR: ..." at the start of a line (a
 * server indents what it carries on); else "ERROR number (STATE)" at the very start. */
void prep_sqlstate(struct sm_span text, bool log, char *ret);
/* The tools of the kind, and whom they run as.  why has 160 bytes.  -SM_ENOTFOUND, -SM_EDENIED. */
sm_must_use int prep_tools(struct prep *p, char *ret_why);
/* Give up what the kind does not need.  user: of part_rules. */
sm_must_use int prep_confine(struct prep *p, const char *user, struct plat_confined *ret);
sm_must_use int prep_user(const struct prep *p, uid_t *ret_uid, gid_t *ret_gid, char *ret_why);
/* The first of paths ("*": a version number, the highest counts) that can be started; the caller's, NULL: none. */
char *prep_find(const char *const *paths);
/* Is name in the list of options named key (exact)?  An absent or empty list says otherwise. */
bool prep_listed(const struct prep *p, const char *key, const char *name, bool otherwise);
/* Names of the list that are not among have: a problem for each. */
void prep_missing(struct prep *p, const char *key, char *const *have, size_t n);

/* `access test NAME --kind K`: the same. */
int access_test_command(const char *data, const struct access_args *a, const char *name, bool japanese);
/* The program of it for a kind with birth (`--part=access-test NAME`): exit code, the reason on stderr. */
int access_test_part(const char *data, const struct access_args *a, const char *name);
/* `db-restore FILE --kind K --access A --into NAME [--replace]`: exit code. */
int db_restore_command(const char *data, const struct access_args *a, int argc, char **argv, bool japanese);

extern const struct kind kind_postgresql, kind_mariadb, kind_sqlite, kind_smb;
/* The program of a copy of one SQLite database (`--part=sqlite-copy FROM TO`): exit code, the reason on stderr.  skip may
 * be NULL. */
int sqlite_copy_main(const char *from, const char *to, const char *skip);
#endif
