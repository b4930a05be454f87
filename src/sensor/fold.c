#include "sensor/fold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sensor/event.h"

enum { REACH = 8 /* places of the table a key may stand in */, TAIL_MAX = 64, MILLE = 1000 };

struct row {
    uint64_t key; /* 0: free */
    int64_t until;
    unsigned n, told;
    struct sm_buf kept; /* the one that stands for the counted ones */
};

struct fold {
    fold_fn *tell;
    void *ctx;
    struct row rows[FOLD_ROWS];
    int64_t purse, filled; /* thousandths of an event that may still go; when it was last filled */
    int64_t said;
    uint64_t dropped, folded, lost, told_dropped, told_lost;
};

int fold_new(fold_fn *tell, void *ctx, struct fold **ret)
{
    struct fold *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->tell = tell;
    f->ctx = ctx;
    f->purse = (int64_t)FOLD_BURST * MILLE;
    f->filled = -1;
    f->said = INT64_MIN / 2;
    *ret = f;
    return 0;
}

void fold_free(struct fold *f)
{
    for (size_t i = 0; f && i < FOLD_ROWS; i++)
        sm_buf_wipe(&f->rows[i].kept);
    free(f);
}

static void pass(struct fold *f, struct sm_span line, int64_t now)
{
    if (f->filled < 0)
        f->filled = now;
    if (now > f->filled) {
        f->purse += (now - f->filled) * FOLD_PACE;
        f->purse = f->purse > (int64_t)FOLD_BURST * MILLE ? (int64_t)FOLD_BURST * MILLE : f->purse;
        f->filled = now;
    }
    if (f->purse < MILLE) {
        f->dropped++;
        return;
    }
    f->purse -= MILLE;
    f->tell(f->ctx, line);
}

/* The window is over: the counted ones are told as one. */
static void close_row(struct fold *f, struct row *r, int64_t now)
{
    unsigned counted = r->n - r->told;
    if (r->kept.n && counted > 1) {
        r->kept.n--; /* its closing brace */
        if (sm_buf_printf(&r->kept, ",\"count\":%u}", counted))
            r->kept.n++;
    }
    if (r->kept.n)
        pass(f, sm_buf_span(&r->kept), now);
    sm_buf_wipe(&r->kept);
    r->key = 0;
}

static struct row *find(struct fold *f, uint64_t key)
{
    for (size_t i = 0; i < REACH; i++) {
        struct row *r = &f->rows[(key + i) % FOLD_ROWS];
        if (r->key == key)
            return r;
    }
    return NULL;
}

static struct row *take(struct fold *f, uint64_t key, int64_t now)
{
    struct row *best = &f->rows[key % FOLD_ROWS];
    for (size_t i = 0; i < REACH && best->key; i++) {
        struct row *r = &f->rows[(key + i) % FOLD_ROWS];
        best = !r->key || r->until < best->until ? r : best;
    }
    if (best->key)
        close_row(f, best, now);
    *best = (struct row){.key = key, .kept = SM_BUF_INIT(EVENT_MAX + TAIL_MAX)};
    return best;
}

enum fold_say fold_ask(struct fold *f, uint64_t key, unsigned told, int64_t window_ms, int64_t now_ms)
{
    key = key ? key : 1;
    struct row *r = find(f, key);
    if (r && r->until <= now_ms) {
        close_row(f, r, now_ms);
        r = NULL;
    }
    if (!r) {
        r = take(f, key, now_ms);
        r->until = now_ms + window_ms;
    }
    r->n++;
    if (r->n <= told) {
        r->told = r->n;
        return FOLD_TELL;
    }
    f->folded++;
    return r->kept.n ? FOLD_COUNTED : FOLD_KEEP;
}

void fold_put(struct fold *f, uint64_t key, enum fold_say say, struct sm_span line, int64_t now_ms)
{
    key = key ? key : 1;
    if (say == FOLD_TELL) {
        pass(f, line, now_ms);
        return;
    }
    struct row *r = find(f, key);
    if (r && say == FOLD_KEEP && sm_buf_put_span(&r->kept, line))
        f->dropped++;
}

/* What was dropped or lost since it was last said. */
static void say_overflow(struct fold *f, int64_t now, struct sm_time wall)
{
    struct sm_buf b = SM_BUF_INIT(EVENT_MAX);
    if ((f->dropped == f->told_dropped && f->lost == f->told_lost) || now < f->said + FOLD_SAY_MS)
        return;
    struct sensor_event e = sensor_event_begin(&b, wall, "service", "sakimori");
    sensor_event_text(&e, "action", "overflow");
    sensor_event_text(&e, "What", "events");
    sensor_event_number(&e, "Dropped", (int64_t)(f->dropped - f->told_dropped));
    sensor_event_number(&e, "Lost", (int64_t)(f->lost - f->told_lost));
    if (!sensor_event_end(&e)) {
        f->tell(f->ctx, sm_buf_span(&b)); /* past the pace: it is why */
        f->said = now;
        f->told_dropped = f->dropped;
        f->told_lost = f->lost;
    }
    sm_buf_wipe(&b);
}

void fold_tick(struct fold *f, int64_t now_ms, struct sm_time wall)
{
    for (size_t i = 0; i < FOLD_ROWS; i++)
        if (f->rows[i].key && f->rows[i].until <= now_ms)
            close_row(f, &f->rows[i], now_ms);
    say_overflow(f, now_ms, wall);
}

void fold_lost(struct fold *f, uint64_t n)
{
    f->lost += n;
}

uint64_t fold_dropped(const struct fold *f)
{
    return f->dropped;
}

uint64_t fold_folded(const struct fold *f)
{
    return f->folded;
}

uint64_t fold_key(const char *kind, const char *a, const char *b, const char *c)
{
    const char *const parts[] = {kind, a, b, c};
    uint64_t h = 14695981039346656037u; /* FNV-1a, 64 bits */
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        for (const char *p = parts[i]; *p; p++)
            h = (h ^ (uint8_t)*p) * 1099511628211u;
        h = (h ^ 0xFF) * 1099511628211u;
    }
    return h;
}
