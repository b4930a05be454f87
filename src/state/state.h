/*
 * What changes: settings, people, sessions, devices, sources, runs, restores, alarms, tasks.
 * One SQLite file (WAL, synchronous FULL, foreign keys), one writer: brain.  This room is the only
 * one that knows SQL; every statement is a row of queries.def and is prepared once.  The vault's own journal stays
 * the truth about generations.
 *
 * A row comes back as a JSON object.  The end of a column's name says its kind:
 *   x_j  JSON text, given as "x" parsed      x_b  0 or 1, given as "x" true or false
 *   x_t  Unix seconds, given as "x" RFC 3339, or null for 0 or NULL
 * Anything else is given as it is (text, whole number, null).
 */
#ifndef STATE_STATE_H
#define STATE_STATE_H
#include <jansson.h>
#include "core/buf.h"

#define STATE_ROWS_MAX 10000          /* rows of one answer at most */
#define STATE_SCHEMA_VERSION 6

enum state_query {
#define STATE_Q(name, sql) STATE_##name,
#include "state/queries.def"
#undef STATE_Q
    STATE_QUERIES
};

/* Parameters, in the order of the statement's question marks. */
struct state_arg { enum { STATE_ARG_NULL, STATE_ARG_TEXT, STATE_ARG_INT, STATE_ARG_JSON } kind;
    const char *text; int64_t number; const json_t *json; };
static inline struct state_arg state_t(const char *text)
{
    return (struct state_arg){ .kind = text ? STATE_ARG_TEXT : STATE_ARG_NULL, .text = text };
}
static inline struct state_arg state_i(int64_t number)
{
    return (struct state_arg){ .kind = STATE_ARG_INT, .number = number };
}
static inline struct state_arg state_j(const json_t *json)
{
    return (struct state_arg){ .kind = json ? STATE_ARG_JSON : STATE_ARG_NULL, .json = json };
}
#define STATE_ARGS(...) (const struct state_arg[]){ __VA_ARGS__ }, \
    sizeof((const struct state_arg[]){ __VA_ARGS__ }) / sizeof(struct state_arg)
#define STATE_NONE NULL, 0

struct state;
/*
 * Open or make the file at path (":memory:" for tests), bring it to the newest version, check it.
 *   -SM_EVERSION  made by a newer program   -SM_ECORRUPT  not a sound database
 *   -EIO, -ENOSPC, -EACCES as the system says, -ENOMEM
 */
sm_must_use int state_open(const char *path, struct state **ret);
void state_close(struct state *s);
/* Run one that gives no rows.  Returns the number of rows changed, -SM_EEXISTS (a unique column is taken),
 * -SM_EMISSING (names a row that is not there), or an error of state_open. */
sm_must_use int state_do(struct state *s, enum state_query q, const struct state_arg *args, size_t n);
/* The first row.  *ret is the caller's.  -SM_ENOTFOUND when there is none. */
sm_must_use int state_row(struct state *s, enum state_query q, json_t **ret, const struct state_arg *args, size_t n);
/* All rows as an array (the caller's); -SM_ELIMIT past STATE_ROWS_MAX. */
sm_must_use int state_rows(struct state *s, enum state_query q, json_t **ret, const struct state_arg *args, size_t n);
/* The first column of the first row as a number; otherwise when there is no row or NULL. */
int64_t state_number(struct state *s, enum state_query q, int64_t otherwise, const struct state_arg *args, size_t n);
/* Several together; they may nest, the outermost counts.  state_end(false) takes everything back. */
sm_must_use int state_begin(struct state *s);
sm_must_use int state_end(struct state *s, bool keep);
/* Settings are JSON values under a name.  NULL (borrowed none) when absent; the value is the caller's. */
json_t *state_setting(struct state *s, const char *key);
sm_must_use int state_set(struct state *s, const char *key, const json_t *value);
/*
 * A consistent copy of the database file at `from` as the new file `to`, page for page (its journal is taken in; nothing
 * stands beside it).  Of its own connection: may run in another thread while the database is used.
 * -SM_EEXISTS, and errors of state_open.
 */
sm_must_use int state_snapshot(const char *from, const char *to);
/* The last message of the database, English, for a log line of the main. */
const char *state_why(struct state *s);
#endif
