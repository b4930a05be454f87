/* What the files of the house share: house_sql.c (query → SQL), house_row.c (rows), house_http.c, house.c,
 * house_search.c. */
#ifndef EVIDENCE_HOUSE_INT_H
#define EVIDENCE_HOUSE_INT_H

#include "journal/house.h"
#include "journal/query.h"
#include "journal/reader.h"

enum {
    HOUSE_ANSWER_MAX = 64 << 20, /* bytes of one answer */
    HOUSE_OWN = 6,               /* host, product, category, service, format, rules: the first values of every row */
    HOUSE_CELL_MAX = 4 << 20,    /* bytes of one text in an answer */
};

/* ---- house_sql.c ---- */
/* 'text' with everything that means something to SQL escaped. */
sm_must_use int house_quote(struct sm_span text, struct sm_buf *ret);

/* ---- house_row.c ---- */
extern const char house_columns[]; /* of an insert, in order, separated by ", " */
extern const char house_shown[];   /* of a select that gives events back */
struct house_rower;                /* makes rows of a block; for one block */
sm_must_use int house_rower_new(
    struct evreader *r, const char *box, const struct house_block *b, struct house_rower **ret);
void house_rower_free(struct house_rower *w);
/* The next row, appended: 1, 0 when all were given, -errno. */
sm_must_use int house_rower_next(struct house_rower *w, struct sm_buf *ret);
/* One row of house_shown into e and hit (borrowed of rd's bytes and of e).  What a server says is not believed:
 * -SM_EFORMAT. */
sm_must_use int house_row_get(struct sm_rd *rd, struct event_names *names, struct event *e, struct evsearch_hit *ret);

/* ---- house_http.c ---- */
struct house_request {
    const char *sql;          /* borrowed */
    struct sm_buf *into;      /* the answer, appended; may be NULL */
    struct house_rower *rows; /* an insert: sql goes into the address, these are the body */
    uint64_t until_ms;        /* 0: as long as it takes (an insert that moves) */
    const char *id;           /* of the query, NULL none */
};
sm_must_use int house_do(struct house *h, const struct house_request *q);
int house_fail(struct house *h, int err, const char *reason, const char *why);

struct house {
    struct house_conf conf;
    char box[HOUSE_BOX + 1];
    void *curl;
    bool (*stop)(void *arg);
    void *arg;
    size_t url;     /* the one that answered last */
    unsigned tries; /* names of inserts */
    char why[HOUSE_WHY], reason[16];
};

#endif
