/*
 * What servers of databases say about themselves, and names of databases in file names, SQL and connection strings.  A
 * name may hold anything but NUL: whoever may make a database chooses it.
 */
#ifndef AGENT_NAMES_H
#define AGENT_NAMES_H
#include "core/buf.h"

#define NAMES_BYTES_MAX 200 /* of one name; longer ones are left out (servers allow 63 and 64 characters) */
#define NAMES_FILE_MAX 256

/* Names that each end with NUL, the last perhaps with a line break (psql -0).  They are left in text, which gets one NUL
 * more; at most max of them, empty and longer ones left out.  -ENOMEM, -SM_ELIMIT (text is full). */
sm_must_use int names_list(struct sm_buf *text, char **ret, size_t max, size_t *ret_n);

struct names_row {
    const char *name, *charset, *collation, *loose;
};
/* Lines of four fields with tabs between them (mariadb -N -B --raw); the same.  A line of another form is left out. */
sm_must_use int names_rows(struct sm_buf *text, struct names_row *ret, size_t max, size_t *ret_n);

/* A single part of a path: "/", "%", spaces, control characters and a first "." as %XX.  -ENAMETOOLONG. */
sm_must_use int names_file(const char *name, const char *ending, char ret[NAMES_FILE_MAX]);
/* Within two q; q inside is doubled, \ too when backslash.  -ENAMETOOLONG. */
sm_must_use int names_quote(const char *name, char q, bool backslash, char *ret, size_t size);
/* "dbname='…'" (libpq, 34.1.1): ' and \ inside get a \ before them.  -ENAMETOOLONG. */
sm_must_use int names_conninfo(const char *name, char *ret, size_t size);
#endif
