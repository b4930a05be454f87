/*
 * Messages of a stream of bytes: RFC 6587.  Both framings, found out from the first bytes of a connection: "123 <..." is
 * octet counting (3.4.1; the only one of TLS, RFC 5425), anything else lines (3.4.2, ended by LF; CR, LF and NUL at the end of a message are
 * not of it).  Counting that breaks down goes on as lines from there: nothing that came is lost.
 * A message longer than the most it may have is given cut; the rest of it is skipped and counted.
 */
#ifndef SAKIMORID_COLLECTOR_FRAMING_H
#define SAKIMORID_COLLECTOR_FRAMING_H
#include "core/buf.h"

enum framing { FRAMING_UNKNOWN, FRAMING_LINES, FRAMING_COUNTED };
struct framer {
    enum framing framing;
    struct sm_buf part;     /* of the message under way */
    uint64_t left;          /* counted: bytes of it still to come */
    unsigned digits;        /* counted: of its length, read so far (they are in left) */
    bool in_body, cut;
    uint64_t skipped, broken;   /* bytes left out of long messages; breakdowns of counting */
};
/* A message, at least one byte; borrowed until fn returns. */
typedef void (*framer_fn)(void *arg, struct sm_span message, bool cut);

/* max: bytes of one message; part's own maximum is that. */
void framer_init(struct framer *f, size_t max);
void framer_wipe(struct framer *f);
/* Take in what came.  room: bytes of a message under way that may be kept (at most max; less when memory is short: it is cut
 * then).  -ENOMEM: what was kept of the message under way is given up, and counted as skipped. */
sm_must_use int framer_feed(struct framer *f, struct sm_span in, size_t room, framer_fn fn, void *arg);
/* The stream ends, or the rest does not come: what there is of a message is given (cut, if its length was known). */
void framer_end(struct framer *f, framer_fn fn, void *arg);
/* Is a message under way? */
bool framer_has_part(const struct framer *f);
#endif
