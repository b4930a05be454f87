/*
 * Holding back to a limit of bytes a second that may change at any time.  Pure: the caller brings the clock.
 *
 * Invariants: 1. over any stretch with one limit at most limit × time + one burst (PACE_BURST_MS of the limit) + what
 * was sent
 * in one piece goes out.  2. time in which nothing was sent earns no more than that burst.  3. a change of the limit
 * keeps what is owed, and none (0) forgives it.
 */
#ifndef AGENT_PACE_H
#define AGENT_PACE_H
#include <stdint.h>

#define PACE_BURST_MS 1000u

struct pace { uint64_t rate, owed, at_ms; }; /* owed: bytes sent and not yet earned; all zero: no limit */

void pace_limit(struct pace *p, uint64_t bytes_s, uint64_t now_ms);
void pace_sent(struct pace *p, uint64_t bytes, uint64_t now_ms);
/* How long to wait before more is sent; 0: go on. */
uint64_t pace_wait_ms(struct pace *p, uint64_t now_ms);

#endif
