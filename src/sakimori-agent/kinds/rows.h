/*
 * How many rows of which table stand in a dump: counted by us, from the bytes that were backed up, so that what a server
 * says after loading them can be compared with something it did not say itself.  Streamed; nothing of the rows is kept.
 */
#ifndef AGENT_ROWS_H
#define AGENT_ROWS_H
#include "core/buf.h"

#define ROWS_TABLES_MAX 20000u
#define ROWS_LINE_MAX 2048u /* of a line that could begin a table; a longer one begins none */
enum rows_form {
    ROWS_COPY,   /* pg_restore --data-only: "COPY public.t (a, b) FROM stdin;", a line a row, "\." */
    ROWS_INSERT, /* mariadb-dump: "INSERT INTO `t` VALUES", rows in brackets, ";" */
};
struct rows_table {
    char *name; /* as the dump writes it: public."T", or without its `` */
    uint64_t rows;
    bool seen; /* rows_take has named it */
};
struct rows {
    enum rows_form form;
    struct rows_table *table;
    size_t n, cap;
    char line[ROWS_LINE_MAX + 1]; /* the beginning of this line */
    size_t line_n;
    bool in_table, in_text, escaped, foreign; /* foreign: text of a routine or trigger */
    unsigned depth;
    int err; /* sticky: -ENOMEM, -SM_ELIMIT (tables) */
};
void rows_init(struct rows *r, enum rows_form form);
void rows_wipe(struct rows *r);
/* The next bytes. */
void rows_feed(struct rows *r, struct sm_span s);
/* Rows of that table, which is then seen; UINT64_MAX when the dump names none. */
uint64_t rows_take(struct rows *r, const char *name);
/* Tables that have rows and were not seen. */
size_t rows_unseen(const struct rows *r);
#endif
