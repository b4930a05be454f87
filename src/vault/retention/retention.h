/*
 * Which generations are kept, by which slots, and how long none may touch them.  A pure function: no clock, no files.
 *
 * Invariants: 1. client times play no part; order is by sequence, and a slot is an unbroken row (by sequence) of
 * generations of one hour, day, week (from Monday) or month of the box's time in Japan.  So a clock that goes back
 * begins a new slot and joins no old one.  2. in a slot the FIRST clean, complete generation of a scheduled (or
 * made-up) run stands; what comes later in the same slot displaces nothing.  3. ad hoc and partial generations never
 * take a slot.  4. a slot without a clean one keeps its first complete scheduled one, and such slots do not use up the
 * number of clean slots.  5. the numbers count slots that have generations, so a machine that was off, or a clock that
 * jumped, expires nothing.  6. locks count the box's running time and only ever extend.  7. while a client is frozen
 * all its clean generations are pinned; of the suspicious ones the first of a day is kept, within a quota, for 30 days.
 * 8. the newest generation and the newest clean one of a source are kept.  9. a clean generation that ever held a slot
 * stays for the span of that slot in running time (a daily one of 35: 35 days): a flood or a clock that runs ahead can
 * take its slot, but not its time.  10. what is on hold stays.
 */
#ifndef VAULT_RETENTION_H
#define VAULT_RETENTION_H
#include "core/buf.h"

struct retention_policy {
    uint32_t hourly, daily, weekly, monthly;   /* 0..RETENTION_SLOTS_MAX */
    /* lock of every generation, in days of running time, 1..RETENTION_DAYS_MAX */
    uint32_t min_days;
};
#define RETENTION_SLOTS_MAX 1000
/* A policy that locks for ever would let an attacker fill the disk, and could not be taken back: locks only extend. */
#define RETENTION_DAYS_MAX 400
#define RETENTION_SUSPICIOUS_DAYS 1  /* lock of a suspicious generation: evidence, not trust */
#define RETENTION_FREEZE_DAYS 30     /* after so many days of a freeze the suspicious ones rotate */
#define RETENTION_DEFAULT ((struct retention_policy){ 48, 35, 26, 60, 14 })
/* -SM_EINVAL; ret_why (>= 120 bytes, may be NULL) says which. */
sm_must_use int retention_policy_check(const struct retention_policy *p, char *ret_why);

enum { RETENTION_SCHEDULED = 1, RETENTION_ADHOC = 2, RETENTION_MADE_UP = 3 };   /* as in the manifest */
enum { RETENTION_COMPLETE = 1, RETENTION_PARTIAL = 2 };
struct retention_generation {
    uint32_t source;            /* the caller's number of (client, source) */
    uint64_t seq;               /* of its journal record: the order */
    int64_t box_s;              /* box wall time of the commit */
    uint64_t running_ms;        /* box running time of the commit */
    uint64_t locked_until_ms;   /* recorded so far, 0 = none */
    uint8_t run, status;
    bool suspicious;            /* and not declared a false alarm since */
    bool frozen;                /* its client is frozen now */
    bool damaged;               /* takes no clean slot, and is not the newest clean one */
    bool held;                  /* legal hold */
    uint8_t slots_held;         /* RETENTION_HOURLY | ...: what it ever held, as marked */
    uint64_t frozen_ms;         /* running time when the freeze began */
    uint64_t bytes, new_bytes;  /* stored bytes of the whole of it, and those it added; 0 = not known */
};
enum { RETENTION_HOURLY = 1, RETENTION_DAILY = 2, RETENTION_WEEKLY = 4, RETENTION_MONTHLY = 8 };
enum retention_why {
    RETENTION_SLOT,             /* holds a slot */
    RETENTION_LAST,             /* newest, or newest clean, of its source */
    RETENTION_HELD,             /* legal hold */
    RETENTION_PINNED,           /* clean, and its client is frozen */
    RETENTION_THINNED,          /* suspicious, and the one of its day kept while its client is frozen */
    RETENTION_SPAN,             /* the span of a slot it held is not over */
    RETENTION_LOCKED,           /* only the lock keeps it */
    RETENTION_EXPIRED,          /* nothing keeps it */
};
struct retention_verdict {
    uint8_t slots;              /* RETENTION_HOURLY | ... */
    bool pinned;
    uint64_t locked_until_ms;   /* never less than was recorded */
    enum retention_why why;     /* the strongest reason, in the order above */
    bool expires;               /* why == RETENTION_EXPIRED */
};
#define RETENTION_MAX 1000000
/* g in any order, n <= RETENTION_MAX; ret has n rows in the order of g.  -ENOMEM, -SM_ELIMIT, -SM_EINVAL (policy). */
sm_must_use int retention_plan(const struct retention_policy *p, const struct retention_generation *g, size_t n,
    uint64_t now_running_ms, struct retention_verdict *ret);
/* The slot a time belongs to (hour, JST day, week from Monday, month since 1970), which = RETENTION_HOURLY ... */
int64_t retention_slot(unsigned which, int64_t s);
const char *retention_why_name(enum retention_why w);
/* Is b shorter than a in any number? */
bool retention_shorter(const struct retention_policy *a, const struct retention_policy *b);

#endif
