/*
 * What the collector hands to watch (the body of L_BATCH, and of what an agent sent, L_EVENTS): raw records, grouped by who
 * sent them.  The reader believes nothing: the collector is the process that strangers talk to.
 *
 *   batch   stream (16 bytes: whose numbering) | u64 number | runs
 *   run     u8 listener | u8 length of the address | u16 0 | u32 bytes of the records | address (text) | records
 *   record  u32 length, bit 31: it was cut | i64 seen, nanoseconds since 1970 | bytes
 * Integers are little-endian.  A batch with the number of one that was taken in before is answered and not taken again.
 */
#ifndef SAKIMORID_LOGBATCH_H
#define SAKIMORID_LOGBATCH_H
#include "core/buf.h"

enum log_listener { LOG_UDP = 1, LOG_TCP = 2, LOG_TLS = 3, LOG_AGENT = 4, LOG_LISTENERS = 5 };
enum {
    LOG_RECORD_HEAD = 12,
    LOG_RUN_HEAD = 8,
    LOG_ADDRESS_MAX = 100,              /* bytes of an address, or of "device/stream" */
    LOG_LINE_MAX = (1 << 20) - 4096,    /* bytes of one record: what fits into a message; EVENT_RAW_MAX holds it */
    LOG_BATCH_FULL = 256 << 10,         /* a batch is sent when it has so much; one record may make it longer */
    LOG_BATCH_HEAD = 24,
};
#define LOG_CUT 0x80000000u

/* "udp" ... of a listener, "?" else. */
const char *log_listener_name(unsigned listener);

struct log_batch { uint8_t stream[16]; uint64_t number; struct sm_span runs; };
struct log_run { unsigned listener; struct sm_span address, records; };
struct log_record { int64_t seen_ns; bool cut; struct sm_span bytes; };

/* Append the head of a batch, the head of a run (its bytes follow), or one record whole.  -ENOMEM, -SM_ELIMIT. */
sm_must_use int log_batch_begin(struct sm_buf *to, const uint8_t stream[16], uint64_t number);
sm_must_use int log_run_begin(struct sm_buf *to, unsigned listener, struct sm_span address, uint32_t bytes);
sm_must_use int log_record_put(struct sm_buf *to, int64_t seen_ns, bool cut, struct sm_span bytes);
/* Bytes of the first record of p, its head included; p is what log_record_put made. */
static inline size_t log_record_size(const uint8_t *p)
{
    return LOG_RECORD_HEAD + (((size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24) & ~(size_t)LOG_CUT);
}

/* All spans borrow from body.  0 or -SM_EFORMAT. */
sm_must_use int log_batch_get(struct sm_span body, struct log_batch *ret);
/* Take the next run off *runs, the next record off *records.  1; 0 at the end; -SM_EFORMAT. */
sm_must_use int log_run_next(struct sm_span *runs, struct log_run *ret);
sm_must_use int log_record_next(struct sm_span *records, struct log_record *ret);
#endif
