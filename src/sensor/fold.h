/*
 * Floods are told in few words: the same again within a window is counted and told once at its end, with "count";
 * whatever is beyond the pace is dropped, counted, and said as an event "overflow".  Nothing here reads a clock.  One
 * thread.
 */
#ifndef SM_SENSOR_FOLD_H
#define SM_SENSOR_FOLD_H
#include "core/buf.h"
#include "core/time.h"

enum {
    FOLD_ROWS = 2048,               /* different things at a time; when all are taken, the oldest gives way */
    FOLD_PACE = 50, FOLD_BURST = 2000, /* events a second in the long run, and at once */
    FOLD_SAY_MS = 10000             /* an overflow is said at most so often */
};
struct fold;
typedef void fold_fn(void *ctx, struct sm_span line);
/* tell (not NULL) gets each event, from within fold_put and fold_tick. */
sm_must_use int fold_new(fold_fn *tell, void *ctx, struct fold **ret);
void fold_free(struct fold *f);
/* Is an event of this key worth being built?  In its window (which begins with the first) the first `told` are told,
 * one more is kept to be told at the end, the others only counted: FOLD_COUNTED means that this is done and nothing is
 * to be put. */
enum fold_say { FOLD_TELL, FOLD_KEEP, FOLD_COUNTED };
enum fold_say fold_ask(struct fold *f, uint64_t key, unsigned told, int64_t window_ms, int64_t now_ms);
/* After FOLD_TELL or FOLD_KEEP, at once: its line (a JSON object). */
void fold_put(struct fold *f, uint64_t key, enum fold_say say, struct sm_span line, int64_t now_ms);
/* About once a second: what ended its window; what was dropped. */
void fold_tick(struct fold *f, int64_t now_ms, struct sm_time wall);
/* Words of others that were lost before they came here, to be said as overflow too. */
void fold_lost(struct fold *f, uint64_t n);
uint64_t fold_dropped(const struct fold *f), fold_folded(const struct fold *f);
/* A key of texts, in order. */
uint64_t fold_key(const char *kind, const char *a, const char *b, const char *c);
#endif
