/*
 * What leaves the evidence record: events as JSON lines and CSV, and the evidence pack.
 */
#ifndef EVIDENCE_EXPORT_H
#define EVIDENCE_EXPORT_H

#include "journal/search.h"
#include "journal/verify.h"

/*
 * One result as one JSON object, no line end: as event_json, with "@id", "@class", "@rules" (text) in front and
 * "@raw" (text; "@raw_base64"
 * when it is not UTF-8) behind.  -ENOMEM, -SM_ELIMIT of ret.
 */
sm_must_use int evexport_json(const struct event_names *names, const struct evsearch_hit *hit, struct sm_buf *ret);

/* ---- CSV (RFC 4180) ---- */
enum { EVEXPORT_FIELDS_MAX = 64 };
enum evexport_encoding { EVEXPORT_UTF8, EVEXPORT_UTF8_BOM, EVEXPORT_CP932 };
struct evexport_csv;
/*
 * fields: names of the columns behind the fixed ones (time, seen, host, source, format, rules), NULL-ended, at most
 * EVEXPORT_FIELDS_MAX; raw is always the last.  Times are those of zone_s.  -EINVAL (fields), -SM_EUNSUPPORTED (no
 * CP932 here), -ENOMEM.
 */
sm_must_use int evexport_csv_new(const char *const *fields, enum evexport_encoding encoding, int zone_s, bool ja,
    struct evexport_csv **ret);
void evexport_csv_free(struct evexport_csv *c);
sm_must_use int evexport_csv_head(struct evexport_csv *c, struct sm_buf *ret);
/* A value that a spreadsheet would take for a formula gets an apostrophe in front.  Several values of a field are
 * joined by newline. */
sm_must_use int evexport_csv_row(struct evexport_csv *c, const struct event_names *names,
    const struct evsearch_hit *hit,
    struct sm_buf *ret);
/* Characters that the encoding does not have, written as "?" so far. */
uint64_t evexport_csv_replaced(const struct evexport_csv *c);

/* ---- evidence pack ---- */
/*
 * A tar (POSIX ustar) to fd: the segments that hold anything of [from, to), whole and as they are, the ledger, epoch
 * 0, index.html for people
 * (Japanese, English), and last SHA256SUMS over all of them.  It is verified again by unpacking it and
 * evidence_verify with `part` (or
 * sha256sum -c).  ret_digest: SHA-256 of SHA256SUMS, to be signed or written down.  What is in no block yet is not in
 * it: evidence_flush first.
 */
struct evpack { int64_t from_s, to_s; const char *title; /* UTF-8, may be NULL */ int64_t now_s; };
struct evpack_summary { uint64_t segments, blocks, events, bytes; uint8_t digest[32]; };
/* -SM_ENOTFOUND: nothing of that time.  -errno, -ENOMEM. */
sm_must_use int evpack_write(const char *dir, const struct evpack *p, int fd, struct evpack_summary *ret);

#endif
