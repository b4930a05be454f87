/*
 * ClickHouse as the store past one machine: what is in closed blocks is also there, and is searched there.  The sealed
 * record of the box stays the evidence; docs/CLICKHOUSE.md says what is where and why.
 *
 * A house is a connection to servers over HTTP, for one thread.  Nothing a server says is believed beyond what it was
 * asked: answers are bounded, checked, and make no other statement than "these rows".  Errors: -SM_EPEER (not reached,
 * or it will not now), -SM_EAUTH (who we are, or what we may), -SM_ECANCEL (cancelled, or out of time), -SM_EFORMAT (no
 * answer of that form), -SM_ESTATE (the table is not there or is another one), -ENOSPC, -SM_ELIMIT, -ENOMEM; house_why
 * says it in words.
 */
#ifndef EVIDENCE_HOUSE_H
#define EVIDENCE_HOUSE_H

#include "journal/search.h"

enum { HOUSE_URLS_MAX = 8, HOUSE_NAME_MAX = 60, HOUSE_WHY = 240, HOUSE_BOX = 32 };

struct house_conf {
    char url[HOUSE_URLS_MAX][300]; /* https://HOST[:PORT]; http:// for this machine alone.  Tried in turn */
    size_t urls;
    char database[HOUSE_NAME_MAX + 1], table[HOUSE_NAME_MAX + 1];
    char user[100], password[260], ca[260]; /* ca: file of certificates, "" the system's */
};
/* texts as the settings have them: urls separated by spaces or commas.  -SM_EINVAL with ret_why (HOUSE_WHY bytes). */
struct house_texts {
    const char *urls, *database, *table, *user, *password, *ca;
};
sm_must_use int house_conf_get(const struct house_texts *t, struct house_conf *ret, char *ret_why);
void house_conf_wipe(struct house_conf *c);

/* The statements that make the tables, each ended by ";\n".  cluster NULL: one server.  -SM_EINVAL (a name), -ENOMEM.
 */
sm_must_use int house_schema(const char *database, const char *table, const char *cluster, struct sm_buf *ret);

struct house;
/* Which record: the first HOUSE_BOX digits of the public key of epoch 0, so that boxes and records can share a table.
 * DIR/epoch0 has it.  -ENOENT before the first seal, -SM_EFORMAT, -errno. */
sm_must_use int house_box(const char *dir, char ret[HOUSE_BOX + 1]);
/* stop (may be NULL) is asked several times a second during a request; true ends it with -SM_ECANCEL. */
sm_must_use int house_open(
    const struct house_conf *conf, const char *box, bool (*stop)(void *arg), void *arg, struct house **ret);
void house_free(struct house *h);
/* What went wrong last, for people: one line of ASCII; and one word: network, tls, keys, rights, table, busy, full,
 * time, answer. */
const char *house_why(const struct house *h);
const char *house_reason(const struct house *h);
/* Make what house_schema says, one statement after the other; of a cluster on each of the servers.  until_ms as in
 * house_search. */
sm_must_use int house_init(struct house *h, const char *cluster, uint64_t until_ms);

/* ---- what is there ---- */
/* Blocks of the record that the server has, as bits; and what is wrong with them. */
struct house_set {
    uint8_t *bits;
    uint64_t most; /* the largest number */
    uint64_t blocks, events;
    uint64_t odd;            /* blocks with more or fewer rows than events */
    uint64_t odd_first;      /* the first of them */
    int64_t first_s, last_s; /* times of its events, when there are any */
};
bool house_set_has(const struct house_set *s, uint64_t block);
sm_must_use int house_set_add(struct house_set *s, uint64_t block); /* -ENOMEM, -SM_ELIMIT */
void house_set_wipe(struct house_set *s);
sm_must_use int house_blocks(struct house *h, struct house_set *ret);
/* How many rows of one block are there. */
sm_must_use int house_count(struct house *h, uint64_t block, uint64_t *ret);

/* Are all of them there, and the table?  Reads next to nothing. */
sm_must_use int house_ping(struct house *h);
/* Does an insert of this record run there still?  false also where the server does not tell. */
sm_must_use int house_busy(struct house *h, bool *ret);

/* ---- bringing ---- */
/* As evreader_open, but sees closed blocks alone: for who brings them. */
sm_must_use int evreader_open_closed(const char *dir, struct evreader **ret);
struct house_block {
    uint64_t number;
    uint32_t events;
    int64_t first_s, last_s, seen_s;
};
/* The first closed block of r with a number above `after` that is not in there (NULL: none is).  1, or 0 when there is
 * none. *ret_waiting: how many events such blocks have in all. */
int house_next(const struct evreader *r, const struct house_set *there, uint64_t after, struct house_block *ret,
    uint64_t *ret_waiting);
/*
 * Bring one block: all its rows in one insert, compressed, so that a connection cut in the middle leaves none of them.
 * Returned 0: the server has said that it keeps them.  After an error it is not known: ask house_count.
 * Also -SM_ECORRUPT, -ENOENT, … of the block itself.
 */
sm_must_use int house_put(struct house *h, struct evreader *r, const struct house_block *b);

/* ---- searching ---- */
struct house_search {
    struct evreader *reader; /* what is not there yet is searched here */
    const struct house_set *there;
    uint64_t not_block; /* one that is on its way just now, 0 none: searched in the reader */
    uint64_t until_ms;  /* plat_clock_mono_ms; then -SM_ECANCEL */
};
/* As evsearch_run, evsearch_histogram and evsearch_event, with the same results in the same order. */
sm_must_use int house_run(struct house *h, const struct house_search *w, const struct evsearch *s, evsearch_fn fn,
    void *arg, struct evsearch_stats *ret_stats);
sm_must_use int house_histogram(struct house *h, const struct house_search *w, const struct evsearch *s,
    uint32_t width_s, size_t n, uint64_t *ret_counts, struct evsearch_stats *ret_stats);
sm_must_use int house_event(struct house *h, const struct house_search *w, uint64_t id, evsearch_fn fn, void *arg);

/* The condition a query becomes: what must hold exactly, and what must hold at least (cheap, may be "1").  For tests
 * and fuzzing. */
sm_must_use int house_where(const struct evquery *q, struct sm_buf *ret_exact, struct sm_buf *ret_least);

#endif
