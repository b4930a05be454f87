/* The rounds of looking: which sensor is due, what differs, and since when.  No clock of its own, no channel. */
#ifndef AGENT_INSPECT_ROUND_H
#define AGENT_INSPECT_ROUND_H
#include "sakimori-agent/inspect/inspect.h"

enum { ROUND_SENSORS = 32, ROUND_WATCHES = 64, ROUND_SOON_MS = 1000, ROUND_LATEST_MS = 10000 };
struct round {
    struct inspect_look look;
    int dir, inotify;           /* DATA/inspect; -1: without */
    struct baseline *baseline;
    struct {
        uint64_t due_ms, first_ms;  /* to be looked at; since when that is asked for (0: only by its turn) */
        bool looked;                /* since the start */
        struct items before;        /* of a steady one: the look before */
        int64_t at_s;               /* wall time of the last look */
    } state[ROUND_SENSORS];
    struct {
        int wd;
        uint32_t sensors;           /* a bit each */
    } watch[ROUND_WATCHES];
    size_t watch_n;
    bool unsaved;
    uint64_t changes;
    int64_t saved_s;                /* when the baseline was written, of an earlier life */
};
/* root and dir are borrowed descriptors.  A baseline that cannot be read is begun anew: *ret_err says why (0: read, or
 * none yet). */
sm_must_use int round_init(struct round *r, int root, int dir, int inotify, uint64_t now_ms, int *ret_err);
void round_wipe(struct round *r);
/* Looks at what is due; the changes are put to ret_lines.  The baseline is as it will be kept; round_keep writes it
 * when the lines are in safe hands. */
sm_must_use int round_go(struct round *r, uint64_t now_ms, struct sm_time wall, struct sm_buf *ret_lines);
sm_must_use int round_keep(struct round *r);
/* When the next is due (now_ms or later). */
uint64_t round_next(const struct round *r);
/* Something happened: events of inotify as they were read; a device. */
void round_inotify(struct round *r, struct sm_span events, uint64_t now_ms);
void round_uevent(struct round *r, uint64_t now_ms);
#endif
