#include "vault/retention/retention.h"
#include <errno.h>
#include "core/time.h"

#define DAY_MS ((uint64_t)86400000)
#define JST 32400

int retention_policy_check(const struct retention_policy *p, char *ret_why)
{
    struct { const char *name; uint32_t value, min, max; } row[] = {
        { "hourly", p->hourly, 0, RETENTION_SLOTS_MAX }, { "daily", p->daily, 0, RETENTION_SLOTS_MAX },
        { "weekly", p->weekly, 0, RETENTION_SLOTS_MAX }, { "monthly", p->monthly, 0, RETENTION_SLOTS_MAX },
        { "min_days", p->min_days, 1, RETENTION_DAYS_MAX },
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        if (row[i].value >= row[i].min && row[i].value <= row[i].max)
            continue;
        if (ret_why)
            /* fits */
            (void)snprintf(ret_why, 120, "%s: a whole number from %u to %u", row[i].name, row[i].min, row[i].max);
        return -SM_EINVAL;
    }
    return 0;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t retention_slot(unsigned which, int64_t s)
{
    const int64_t far = INT64_MAX / 4;
    s = s > far ? far : s < -far ? -far : s;
    struct sm_time t = { .s = s };
    if (which == RETENTION_HOURLY)
        return floor_div(s + JST, 3600);
    if (which == RETENTION_DAILY)
        return sm_time_day_jst(t);
    if (which == RETENTION_WEEKLY)
        return floor_div(sm_time_day_jst(t) + 3, 7); /* 1970-01-01 was a Thursday */
    struct sm_civil c;
    sm_time_civil_jst(t, &c);
    return (int64_t)c.year * 12 + c.month;
}

const char *retention_why_name(enum retention_why w)
{
    static const char *const names[] = { "slot", "last", "hold", "pinned", "thinned", "span", "locked",
        "expired" };
    return w >= RETENTION_SLOT && w <= RETENTION_EXPIRED ? names[w] : "?";
}

bool retention_shorter(const struct retention_policy *a, const struct retention_policy *b)
{
    return b->hourly < a->hourly || b->daily < a->daily || b->weekly < a->weekly || b->monthly < a->monthly ||
        b->min_days < a->min_days;
}

/* One row of the sorted view: generations of a source by order. */
struct cell { uint32_t source; uint32_t at; int64_t slot; uint64_t seq; bool clean; };

static int cell_cmp(const void *pa, const void *pb)
{
    const struct cell *a = pa, *b = pb;
    if (a->source != b->source)
        return a->source < b->source ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static bool is_clean(const struct retention_generation *g)
{
    return !g->suspicious && !g->damaged;
}

/* Suspicious, and the freeze is younger than its 30 days. */
static bool under_freeze(const struct retention_generation *g, uint64_t now_ms)
{
    return g->frozen && g->suspicious && now_ms < g->frozen_ms + RETENTION_FREEZE_DAYS * DAY_MS;
}

static bool may_hold(const struct retention_generation *g, uint64_t now_ms)
{
    return g->status == RETENTION_COMPLETE && (g->run == RETENTION_SCHEDULED || g->run == RETENTION_MADE_UP) &&
        !under_freeze(g, now_ms);
}

/* Slots of one kind for all sources.  From the newest slot down, the first clean generation of each of the newest
   `keep`
 * slots that have one; slots without take their first, and are counted apart. */
static void fill(unsigned which, uint32_t keep, const struct cell *c, size_t n, struct retention_verdict *ret)
{
    uint32_t clean = 0, unclean = 0;
    for (size_t end = n; end > 0;) {
        size_t begin = end;
        while (begin > 0 && c[begin - 1].source == c[end - 1].source && c[begin - 1].slot == c[end - 1].slot)
            begin--;
        size_t pick = begin;
        while (pick < end && !c[pick].clean)
            pick++;
        if (pick < end && clean < keep) {
            clean++;
            ret[c[pick].at].slots |= (uint8_t)which;
        } else if (pick == end && unclean < keep) {
            unclean++;
            ret[c[begin].at].slots |= (uint8_t)which;
        }
        if (begin > 0 && c[begin - 1].source != c[end - 1].source)
            clean = unclean = 0;
        end = begin;
    }
}

/* The newest, and the newest clean complete one, of each source; c is sorted by source and order (slot 0). */
static void mark_last(const struct retention_generation *g, const struct cell *c, size_t n, bool *last)
{
    bool newest = true, clean = true;
    for (size_t i = n; i > 0; i--) {
        if (i < n && c[i].source != c[i - 1].source)
            newest = clean = true;
        const struct retention_generation *x = &g[c[i - 1].at];
        if (newest || (clean && c[i - 1].clean && x->status == RETENTION_COMPLETE)) {
            last[c[i - 1].at] = true;
            clean = clean && !(c[i - 1].clean && x->status == RETENTION_COMPLETE);
        }
        newest = false;
    }
}

/* The first suspicious one of each day of one frozen source: the newest, then from the oldest on, as long as their new
 * bytes fit in one clean copy of the source.  c is sorted by order; slot is the day. */
static void thin_source(const struct retention_generation *g, const struct cell *c, size_t n, uint64_t now_ms,
    bool *thinned)
{
    uint64_t room = UINT64_MAX;
    for (size_t i = n; i > 0 && room == UINT64_MAX; i--) {
        const struct retention_generation *x = &g[c[i - 1].at];
        if (is_clean(x) && x->status == RETENTION_COMPLETE && x->bytes)
            room = x->bytes;
    }
    uint64_t newest = g[c[n - 1].at].suspicious ? g[c[n - 1].at].new_bytes : 0;
    room -= room != UINT64_MAX ? (newest < room ? newest : room) : 0;
    bool any = false;
    int64_t day = 0;
    for (size_t i = 0; i < n; i++) {
        const struct retention_generation *x = &g[c[i].at];
        if (!under_freeze(x, now_ms) || (any && c[i].slot == day))
            continue;
        any = true;
        day = c[i].slot;
        if (room != UINT64_MAX && x->new_bytes > room)
            continue;
        room -= room != UINT64_MAX ? x->new_bytes : 0;
        thinned[c[i].at] = true;
    }
}

static void thin(const struct retention_generation *g, const struct cell *c, size_t n, uint64_t now_ms, bool *thinned)
{
    for (size_t begin = 0; begin < n;) {
        size_t end = begin;
        while (end < n && c[end].source == c[begin].source)
            end++;
        thin_source(g, c + begin, end - begin, now_ms, thinned);
        begin = end;
    }
}

/* Until when the slots that it ever held keep it. */
static uint64_t span_end(const struct retention_policy *p, const struct retention_generation *g, uint8_t slots)
{
    struct { uint8_t bit; uint64_t ms; } row[] = { { RETENTION_HOURLY, (uint64_t)p->hourly * (DAY_MS / 24) },
        { RETENTION_DAILY, (uint64_t)p->daily * DAY_MS }, { RETENTION_WEEKLY, (uint64_t)p->weekly * 7 * DAY_MS },
        { RETENTION_MONTHLY, (uint64_t)p->monthly * 31 * DAY_MS } };
    uint64_t most = 0;
    for (size_t i = 0; i < 4; i++)
        if (slots & row[i].bit && row[i].ms > most)
            most = row[i].ms;
    return g->running_ms > UINT64_MAX - most ? UINT64_MAX : g->running_ms + most;
}

struct kept { bool last, thinned; };

static void conclude(const struct retention_policy *p, const struct retention_generation *g, uint64_t now_ms,
    struct kept k, struct retention_verdict *v)
{
    uint64_t days = g->suspicious && p->min_days > RETENTION_SUSPICIOUS_DAYS ? RETENTION_SUSPICIOUS_DAYS : p->min_days;
    uint64_t lock = days * DAY_MS;
    uint64_t until = g->running_ms > UINT64_MAX - lock ? UINT64_MAX : g->running_ms + lock;
    v->locked_until_ms = until > g->locked_until_ms ? until : g->locked_until_ms;
    v->pinned = g->frozen && !g->suspicious;
    bool span = is_clean(g) && now_ms < span_end(p, g, g->slots_held | v->slots);
    v->why = v->slots ? RETENTION_SLOT : k.last ? RETENTION_LAST : g->held ? RETENTION_HELD :
        v->pinned ? RETENTION_PINNED : k.thinned ? RETENTION_THINNED : span ? RETENTION_SPAN :
        now_ms < v->locked_until_ms ? RETENTION_LOCKED : RETENTION_EXPIRED;
    v->expires = v->why == RETENTION_EXPIRED;
}

static void plan_slots(const struct retention_policy *p, const struct retention_generation *g, size_t n,
    uint64_t now_ms, struct cell *c, struct retention_verdict *ret)
{
    struct { unsigned which; uint32_t keep; } kind[] = { { RETENTION_HOURLY, p->hourly }, { RETENTION_DAILY, p->daily },
        { RETENTION_WEEKLY, p->weekly }, { RETENTION_MONTHLY, p->monthly } };
    for (size_t k = 0; k < 4; k++) {
        size_t m = 0;
        for (size_t i = 0; i < n; i++)
            if (may_hold(&g[i], now_ms))
                c[m++] = (struct cell){ g[i].source, (uint32_t)i, retention_slot(kind[k].which, g[i].box_s), g[i].seq,
                    is_clean(&g[i]) };
        qsort(c, m, sizeof *c, cell_cmp);
        fill(kind[k].which, kind[k].keep, c, m, ret);
    }
}

int retention_plan(const struct retention_policy *p, const struct retention_generation *g, size_t n,
    uint64_t now_running_ms,
    struct retention_verdict *ret)
{
    int err = retention_policy_check(p, NULL);
    if (err)
        return err;
    if (n > RETENTION_MAX)
        return -SM_ELIMIT;
    struct cell *c = calloc(n + 1, sizeof *c);
    struct kept *kept = calloc(n + 1, sizeof *kept);
    bool *flag = calloc(n + 1, sizeof *flag);
    if (!c || !kept || !flag) {
        free(c);
        free(kept);
        free(flag);
        return -ENOMEM;
    }
    memset(ret, 0, n * sizeof *ret);
    plan_slots(p, g, n, now_running_ms, c, ret);
    for (size_t i = 0; i < n; i++)
        c[i] = (struct cell){ g[i].source, (uint32_t)i, retention_slot(RETENTION_DAILY, g[i].box_s), g[i].seq,
            is_clean(&g[i]) };
    qsort(c, n, sizeof *c, cell_cmp);
    mark_last(g, c, n, flag);
    for (size_t i = 0; i < n; i++)
        kept[i].last = flag[i];
    memset(flag, 0, n * sizeof *flag);
    thin(g, c, n, now_running_ms, flag);
    for (size_t i = 0; i < n; i++)
        kept[i].thinned = flag[i];
    for (size_t i = 0; i < n; i++)
        conclude(p, &g[i], now_running_ms, kept[i], &ret[i]);
    free(c);
    free(kept);
    free(flag);
    return 0;
}
