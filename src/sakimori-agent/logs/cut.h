/* Bytes of a file as records of a batch: the only place that decides where a record begins and ends. */
#ifndef AGENT_LOG_CUT_H
#define AGENT_LOG_CUT_H
#include "core/buf.h"

struct log_cut {
    bool inside;  /* the bytes begin within a line whose beginning went as a cut record: its rest is dropped */
    bool full;    /* no more of the line can be read at once: without an end it is cut here */
    bool last;    /* nothing will be appended: a line without an end is whole */
    size_t limit; /* of what is appended, 0: all that is given; at least one record */
    int64_t seen_ns;
};
struct log_cut_done {
    size_t used;   /* bytes of the input; 0: no whole record yet */
    bool inside;   /* of what follows */
    size_t n, cut; /* records appended, and those of them that were cut */
};
/* Append the whole records of bytes.  Line ends, and NUL bytes that a truncated file left before a line, are dropped;
 * empty lines are no records.  -ENOMEM, -SM_ELIMIT. */
sm_must_use int log_cut_lines(
    const struct log_cut *how, struct sm_span bytes, struct sm_buf *to, struct log_cut_done *ret);
/* One record: u32 length, bit 31 cut | i64 seen | bytes. */
sm_must_use int log_cut_record(struct sm_buf *to, int64_t seen_ns, bool cut, struct sm_span bytes);
/* One field of a journal entry, "NAME=value", as a line or (newlines, no UTF-8) with its length, of the export format.
 */
sm_must_use int log_export_field(struct sm_buf *to, struct sm_span field);
#endif
