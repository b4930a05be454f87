/*
 * Reading the evidence record: query language, search, histogram, counts.  docs/FORMAT-journal.md has the language.
 *
 * A reader looks at a folder that a writer may be adding to; it never writes there.  Memory: one decoded block at
 * a time, one page of
 * results, tables with stated maxima.  One reader is for one thread (several may look at one folder).
 */
#ifndef EVIDENCE_SEARCH_H
#define EVIDENCE_SEARCH_H

#include "event/event.h"

/* ---- the query ---- */
enum { EVQUERY_TEXT_MAX = 8192, EVQUERY_NODES_MAX = 256, EVQUERY_DEPTH_MAX = 32 };
struct evquery;
/* Where and why a text is no query: byte and character position from 0, what was expected there. */
struct evquery_error { size_t at_byte, at_char; char ja[120], en[120]; };
/*
 * text is UTF-8; empty: everything.  Times without zone in it mean zone_s seconds east of UTC.
 * -SM_EINVAL with ret_error (may be NULL), -ENOMEM.
 */
sm_must_use int evquery_parse(struct sm_span text, int zone_s, struct evquery **ret, struct evquery_error *ret_error);
void evquery_free(struct evquery *q);
/* "2026-11-24", "2026-11-24 08:30" (T or a space), "…:15", RFC 3339: seconds since 1970, and how many the text names
 * (a day, a
 * minute, a second).  false: it is no such text. */
bool evquery_time(struct sm_span text, int zone_s, int64_t *ret_s, int64_t *ret_width_s);

/* ---- the reader ---- */
/* Blocks are decoded into pieces of some megabytes again and again: let the allocator keep them instead of giving each
 * back to the
 * kernel.  For the main of a program that searches, once; a matter of speed alone. */
void evsearch_tune_memory(void);
struct evreader;
/* -ENOENT, -SM_EVERSION, -SM_ECORRUPT (no journal at all), -errno.  Damaged parts are left out and counted
 * (evsearch_stats). */
sm_must_use int evreader_open(const char *dir, struct evreader **ret);
/* See what was added since (cheap when nothing was). */
sm_must_use int evreader_refresh(struct evreader *r);
void evreader_free(struct evreader *r);
/* The table of names of the events this reader gives. */
const struct event_names *evreader_names(const struct evreader *r);

enum { EVSEARCH_LIMIT_MAX = 10000, EVSEARCH_BUCKETS_MAX = 2000, EVSEARCH_VALUES_MAX = 65536 };
/* Where a page ended: the next one begins behind it.  Zeros: from the beginning. */
struct evsearch_cursor { struct event_time time; uint64_t id; };
struct evsearch {
    const struct evquery *query;          /* NULL: everything */
    struct event_time from, to;         /* from <= time < to; to.s 0: no end */
    bool oldest_first;
    uint32_t limit;                     /* 1 .. EVSEARCH_LIMIT_MAX */
    struct evsearch_cursor after;
    bool (*cancel)(void *arg);          /* asked before every block; true: stop with -SM_ECANCEL; may be NULL */
    void *cancel_arg;
    bool (*without)(void *arg, uint64_t block);     /* true: not this closed block; may be NULL */
    void *without_arg;
};
struct evsearch_stats {
    uint64_t blocks, blocks_read, blocks_damaged, events_looked_at, bytes_read, bytes_decoded;
};
/* One result, valid during the call.  rules: ids of matched rules.  Non-zero stops and is returned. */
struct evsearch_hit { const struct event *event; uint64_t id, block; uint8_t klass; struct sm_span rules; };
typedef int (*evsearch_fn)(void *arg, const struct evsearch_hit *hit);
/*
 * One page of results in order of (time, id), newest first unless asked.  Returns how many; when it is s->limit
 * there may be
 * more: ret_cursor (may be NULL) then goes into the next search.  -ENOMEM, -errno, what fn returned.  -SM_ECANCEL: fn had
 * what is certain by then, and a search from ret_cursor on finds the rest.
 */
sm_must_use int evsearch_run(struct evreader *r, const struct evsearch *s, evsearch_fn fn, void *arg,
    struct evsearch_cursor *ret_cursor,
    struct evsearch_stats *ret_stats);
/* Matching events per bucket of width_s seconds from s->from on; n <= EVSEARCH_BUCKETS_MAX buckets; limit and
 * after are not used.  -SM_ECANCEL: the counts are those of the newest part. */
sm_must_use int evsearch_histogram(struct evreader *r, const struct evsearch *s, uint32_t width_s, size_t n,
    uint64_t *ret_counts,
    struct evsearch_stats *ret_stats);
sm_must_use int evsearch_count(struct evreader *r, const struct evsearch *s, uint64_t *ret_count,
    struct evsearch_stats *ret_stats);
/* The commonest values of a field among the matching events, most first; s->limit of them.  Beyond
 * EVSEARCH_VALUES_MAX different
 * values the rest is counted together (*ret_others). */
typedef int (*evsearch_value_fn)(void *arg, struct sm_span value, uint64_t count);
sm_must_use int evsearch_top(struct evreader *r, const struct evsearch *s, const char *field,
    evsearch_value_fn fn, void *arg,
    uint64_t *ret_others, struct evsearch_stats *ret_stats);
/* One event by its number.  Returns 1, or 0 when it is not there (any more). */
sm_must_use int evsearch_event(struct evreader *r, uint64_t id, evsearch_fn fn, void *arg);

/* First and last moment of what is there; 0 when nothing is. */
int evreader_range(const struct evreader *r, struct event_time *ret_first, struct event_time *ret_last);

#endif
