/* Pages of results, counts over time and by value: over the blocks whose time and filter say that something may be
 * in them. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "journal/reader.h"
#include "crypto/random.h"

enum { OPEN_MAX = 4, BLOCKS_MAX = 8 << 20 };

struct hit { struct event_time time; uint64_t id; struct ev_where where; uint32_t row; };
struct run {
    struct evreader *r;
    const struct evsearch *s;
    struct evsearch_stats stats;
    struct ev_where *block;
    size_t blocks, block_cap;
    /* of the block looked at now */
    uint64_t *bits;
    const int64_t *time, *ns, *id;
    /* page */
    struct hit *hit;
    size_t hits;
};

void evsearch_tune_memory(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 256 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

static int cmp_time(struct event_time a, struct event_time b)
{
    if (a.s != b.s)
        return a.s < b.s ? -1 : 1;
    return a.ns < b.ns ? -1 : a.ns > b.ns;
}

static int cmp_hit(const struct hit *a, const struct hit *b)
{
    int c = cmp_time(a->time, b->time);

    return c ? c : a->id < b->id ? -1 : a->id > b->id;
}

/* ---- which blocks ---- */

static bool in_time(const struct evsearch *s, const struct ev_entry *e)
{
    if (cmp_time(e->last, s->from) < 0)
        return false;
    return !s->to.s || cmp_time(e->first, s->to) < 0;
}

static int add_block(struct run *u, struct ev_where w)
{
    const struct ev_entry *entry = ev_where_entry(u->r, w);

    if (!in_time(u->s, entry) || (u->s->without && w.mem < 0 && u->s->without(u->s->without_arg, entry->number)))
        return 0;
    if (u->blocks == BLOCKS_MAX)
        return -SM_ELIMIT;
    if (u->blocks == u->block_cap) {
        size_t cap = u->block_cap ? 2 * u->block_cap : 256;
        struct ev_where *more = realloc(u->block, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        u->block = more;
        u->block_cap = cap;
    }
    u->block[u->blocks++] = w;
    return 0;
}

static int by_age(const void *a, const void *b, void *arg)
{
    const struct run *u = arg;
    const struct ev_entry *x = ev_where_entry(u->r, *(const struct ev_where *)a),
                          *y = ev_where_entry(u->r, *(const struct ev_where *)b);

    return u->s->oldest_first ? cmp_time(x->first, y->first) : cmp_time(y->last, x->last);
}

static int list_blocks(struct run *u)
{
    int e = 0;

    for (size_t i = 0; i < u->r->segs && e >= 0; i++)
        for (size_t k = 0; k < u->r->seg[i].n && e >= 0; k++)
            e = add_block(u, (struct ev_where){ .seg = i, .entry = k, .mem = -1 });
    for (size_t i = 0; i < u->r->mems && e >= 0; i++)
        if (u->r->mem[i].bytes.n)
            e = add_block(u, (struct ev_where){ .mem = (int)i });
    if (e >= 0 && u->blocks)
        qsort_r(u->block, u->blocks, sizeof *u->block, by_age, u);
    return e;
}

struct ask { struct evreader *r; struct ev_where w; };

static int ask(void *arg, uint64_t key)
{
    const struct ask *a = arg;

    return ev_where_has(a->r, a->w, key);
}

/* ---- one block ---- */

/* Times of the events, and bits of those outside the search cleared. */
static int limit_time(struct run *u, struct ev_block *b, const struct ev_entry *e)
{
    const struct evsearch *s = u->s;
    uint64_t any = 0;
    int r;

    for (size_t i = 0; i < ((size_t)b->head.events + 63) / 64; i++)
        any |= u->bits[i];
    if (!any) /* nothing whose time anybody would ask for */
        return 0;
    r = ev_block_numbers(b, EV_TIME, &u->time);

    if (r >= 0)
        r = ev_block_numbers(b, EV_TIME_NS, &u->ns);
    if (r >= 0)
        r = ev_block_numbers(b, EV_ID, &u->id);
    if (r < 0)
        return r;
    if (cmp_time(e->first, s->from) >= 0 && (!s->to.s || cmp_time(e->last, s->to) < 0))
        return 0;
    for (uint32_t i = 0; i < b->head.events; i++) {
        struct event_time t = { u->time[i], (uint32_t)u->ns[i] };
        if (cmp_time(t, s->from) < 0 || (s->to.s && cmp_time(t, s->to) >= 0))
            u->bits[i >> 6] &= ~(1ULL << (i & 63));
    }
    return 0;
}

static bool is_damage(int e)
{
    return e == -SM_ECORRUPT || e == -SM_EFORMAT || e == -SM_EPARTIAL || e == -SM_EVERSION;
}

/* Open, match, and leave the bits in u.  1: look at them; 0: nothing there, or damaged (counted). */
static int look(struct run *u, struct ev_where w, struct ev_open *o)
{
    struct ask a = { .r = u->r, .w = w };
    int e;

    o->there = false;
    if (u->s->cancel && u->s->cancel(u->s->cancel_arg))
        return -SM_ECANCEL;
    e = u->s->query ? q_maybe(u->s->query, ask, &a) : 1;
    if (e > 0) {
        e = ev_where_open(u->r, w, o);
        u->stats.blocks_read++;
    } else if (e == 0) {
        return 0;
    }
    if (e >= 0) {
        u->stats.events_looked_at += o->block.head.events;
        if (u->s->query)
            e = q_match(u->s->query, &o->block, u->bits);
        else
            memset(u->bits, 0xff, EVIDENCE_BLOCK_EVENTS_MAX / 8);
    }
    if (e >= 0)
        e = limit_time(u, &o->block, ev_where_entry(u->r, w));
    u->stats.bytes_read += o->block.bytes_read;
    u->stats.bytes_decoded += o->block.bytes_decoded;
    if (e < 0)
        ev_open_wipe(o);
    if (is_damage(e) || e == -ENOENT) {
        u->stats.blocks_damaged++;
        return 0;
    }
    return e < 0 ? e : 1;
}

static bool has(const struct run *u, uint32_t row)
{
    return u->bits[row >> 6] >> (row & 63) & 1;
}

static int begin(struct run *u, struct evreader *r, const struct evsearch *s)
{
    *u = (struct run){ .r = r, .s = s };
    if (s->limit > EVSEARCH_LIMIT_MAX)
        return -SM_EINVAL;
    u->bits = calloc(EVIDENCE_BLOCK_EVENTS_MAX / 64, sizeof *u->bits);
    int e = u->bits ? list_blocks(u) : -ENOMEM;
    u->stats.blocks = u->blocks;
    u->stats.blocks_damaged = r->damaged;
    return e;
}

static void end(struct run *u, struct evsearch_stats *ret)
{
    if (ret)
        *ret = u->stats;
    free(u->bits);
    free(u->block);
    free(u->hit);
}

/* ---- a page ---- */

/* Is a before b in the order asked for? */
static bool before(const struct run *u, const struct hit *a, const struct hit *b)
{
    int c = cmp_hit(a, b);

    return u->s->oldest_first ? c < 0 : c > 0;
}

/* The heap's top is the last of the page. */
static void sift(struct run *u, size_t i)
{
    for (;;) {
        size_t last = i, l = 2 * i + 1;
        if (l < u->hits && before(u, &u->hit[last], &u->hit[l]))
            last = l;
        if (l + 1 < u->hits && before(u, &u->hit[last], &u->hit[l + 1]))
            last = l + 1;
        if (last == i)
            return;
        struct hit t = u->hit[i];
        u->hit[i] = u->hit[last];
        u->hit[last] = t;
        i = last;
    }
}

static void offer(struct run *u, const struct hit *h)
{
    if (u->hits == u->s->limit) {
        if (!before(u, h, &u->hit[0]))
            return;
        u->hit[0] = *h;
        sift(u, 0);
        return;
    }
    size_t i = u->hits++;
    u->hit[i] = *h;
    while (i && before(u, &u->hit[(i - 1) / 2], &u->hit[i])) {
        struct hit t = u->hit[i];
        u->hit[i] = u->hit[(i - 1) / 2];
        u->hit[(i - 1) / 2] = t;
        i = (i - 1) / 2;
    }
}

static void offer_all(struct run *u, struct ev_where w, uint32_t events)
{
    const struct evsearch_cursor *c = &u->s->after;
    struct hit from = { .time = c->time, .id = c->id };
    bool any = c->id || c->time.s || c->time.ns;

    for (uint32_t i = 0; i < events; i++) {
        if (!has(u, i))
            continue;
        struct hit h = { .time = { u->time[i], (uint32_t)u->ns[i] }, .id = (uint64_t)u->id[i], .where = w, .row = i };
        if (!any || before(u, &from, &h))
            offer(u, &h);
    }
}

/* Nothing of this block, nor of those behind it, can be in the page any more. */
static bool page_is_full(const struct run *u, const struct ev_entry *e)
{
    if (u->hits < u->s->limit)
        return false;
    return u->s->oldest_first ? cmp_time(e->first, u->hit[0].time) > 0 : cmp_time(e->last, u->hit[0].time) < 0;
}

/* All of it lies before the cursor. */
static bool is_passed(const struct run *u, const struct ev_entry *e)
{
    const struct evsearch_cursor *c = &u->s->after;

    if (!c->id && !c->time.s && !c->time.ns)
        return false;
    return u->s->oldest_first ? cmp_time(e->last, c->time) < 0 : cmp_time(e->first, c->time) > 0;
}

static int by_order(const void *a, const void *b, void *arg)
{
    const struct run *u = arg;
    int c = cmp_hit(a, b);

    return u->s->oldest_first ? c : -c;
}

static bool same_place(struct ev_where a, struct ev_where b)
{
    return a.mem == b.mem && (a.mem >= 0 || (a.seg == b.seg && a.entry == b.entry));
}

static int give(struct run *u, struct ev_open *open, size_t *next, const struct hit *h, evsearch_fn fn, void *arg)
{
    struct ev_row row;
    size_t k = 0;
    int e = 0;

    while (k < OPEN_MAX && !(open[k].there && same_place(open[k].where, h->where)))
        k++;
    if (k == OPEN_MAX) {
        k = (*next)++ % OPEN_MAX;
        ev_open_wipe(&open[k]);
        e = ev_where_open(u->r, h->where, &open[k]);
    }
    if (e >= 0)
        e = ev_block_event(&open[k].block, h->row, u->r->names, &u->r->event, &u->r->raw, &row);
    if (is_damage(e)) {
        u->stats.blocks_damaged++;
        return 0;
    }
    if (e < 0)
        return e;
    const struct evsearch_hit hit = { .event = &u->r->event, .id = row.id, .klass = row.klass, .rules = row.rules,
        .block = h->where.mem >= 0 ? 0 : ev_where_entry(u->r, h->where)->number };
    return fn(arg, &hit);
}

static int give_all(struct run *u, evsearch_fn fn, void *arg)
{
    struct ev_open open[OPEN_MAX] = { 0 };
    size_t next = 0;
    int e = 0;

    if (u->hits)
        qsort_r(u->hit, u->hits, sizeof *u->hit, by_order, u);
    for (size_t i = 0; i < u->hits && !e; i++)
        e = give(u, open, &next, &u->hit[i], fn, arg);
    for (size_t k = 0; k < OPEN_MAX; k++)
        ev_open_wipe(&open[k]);
    return e;
}

/* How far a search is that stops before the block of x: everything before this place was looked at.  Never before its own
 * cursor. */
static struct hit reached(const struct run *u, const struct ev_entry *x)
{
    struct hit h = { .time = u->s->oldest_first ? x->first : x->last, .id = u->s->oldest_first ? 0 : UINT64_MAX };
    const struct evsearch_cursor *c = &u->s->after;
    struct hit from = { .time = c->time, .id = c->id };

    return (c->id || c->time.s || c->time.ns) && before(u, &h, &from) ? from : h;
}

static void keep_before(struct run *u, const struct hit *far)
{
    size_t n = 0;

    for (size_t i = 0; i < u->hits; i++)
        if (before(u, &u->hit[i], far))
            u->hit[n++] = u->hit[i];
    u->hits = n;
}

int evsearch_run(struct evreader *r, const struct evsearch *s, evsearch_fn fn, void *arg,
    struct evsearch_cursor *ret_cursor,
    struct evsearch_stats *ret_stats)
{
    struct run u;
    int e = s->limit ? begin(&u, r, s) : -SM_EINVAL;

    if (!s->limit)
        return e;
    u.hit = e >= 0 ? calloc(s->limit, sizeof *u.hit) : NULL;
    if (e >= 0 && !u.hit)
        e = -ENOMEM;
    size_t i = 0;
    for (; i < u.blocks && e >= 0; i++) {
        const struct ev_entry *x = ev_where_entry(r, u.block[i]);
        struct ev_open o;
        if (page_is_full(&u, x))
            break;
        if (is_passed(&u, x))
            continue;
        e = look(&u, u.block[i], &o);
        if (e > 0)
            offer_all(&u, u.block[i], o.block.head.events);
        ev_open_wipe(&o);
    }
    bool stopped = e == -SM_ECANCEL && i > 0;
    struct hit far = { 0 };
    if (stopped) { /* what lies before the block that was not looked at is certain */
        far = reached(&u, ev_where_entry(r, u.block[i - 1]));
        keep_before(&u, &far);
        e = 0;
    }
    if (e >= 0)
        e = give_all(&u, fn, arg);
    int n = (int)u.hits;
    if (!e && stopped && ret_cursor)
        *ret_cursor = (struct evsearch_cursor){ .time = far.time, .id = far.id };
    else if (!e && n && ret_cursor)
        *ret_cursor = (struct evsearch_cursor){ .time = u.hit[n - 1].time, .id = u.hit[n - 1].id };
    end(&u, ret_stats);
    return e ? e : stopped ? -SM_ECANCEL : n;
}

/* ---- over time, counts ---- */

int evsearch_histogram(struct evreader *r, const struct evsearch *s, uint32_t width_s, size_t n, uint64_t *ret_counts,
    struct evsearch_stats *ret_stats)
{
    struct evsearch within = *s;
    uint64_t count[EVSEARCH_BUCKETS_MAX] = { 0 };
    struct run u;

    if (!width_s || n > EVSEARCH_BUCKETS_MAX || !n)
        return -SM_EINVAL;
    int64_t end_s = s->from.s + (int64_t)width_s * (int64_t)n;
    if (!within.to.s || within.to.s > end_s)
        within.to = (struct event_time){ end_s, s->from.ns };
    within.limit = 1;
    int e = begin(&u, r, &within);
    for (size_t i = 0; i < u.blocks && e >= 0; i++) {
        struct ev_open o;
        e = look(&u, u.block[i], &o);
        for (uint32_t k = 0; e > 0 && k < o.block.head.events; k++) {
            if (!has(&u, k))
                continue;
            uint64_t at = (uint64_t)(u.time[k] - s->from.s) / width_s;
            count[at < n ? at : n - 1]++;
        }
        ev_open_wipe(&o);
    }
    end(&u, ret_stats);
    if (e < 0 && e != -SM_ECANCEL)
        return e;
    memcpy(ret_counts, count, n * sizeof *count);
    return e < 0 ? e : 0;
}

int evsearch_count(struct evreader *r, const struct evsearch *s, uint64_t *ret_count, struct evsearch_stats *ret_stats)
{
    struct evsearch any = *s;
    struct run u;
    uint64_t n = 0;

    any.limit = 1;
    int e = begin(&u, r, &any);
    for (size_t i = 0; i < u.blocks && e >= 0; i++) {
        const struct ev_entry *x = ev_where_entry(r, u.block[i]);
        struct ev_open o = { 0 };
        if (!s->query && cmp_time(x->first, s->from) >= 0 && (!s->to.s || cmp_time(x->last, s->to) < 0)) {
            n += x->events;
            continue;
        }
        e = look(&u, u.block[i], &o);
        for (uint32_t k = 0; e > 0 && k < o.block.head.events; k++)
            n += has(&u, k);
        ev_open_wipe(&o);
    }
    end(&u, ret_stats);
    if (e < 0)
        return e;
    *ret_count = n;
    return 0;
}

/* ---- the commonest values ---- */

struct value { uint8_t *p; uint32_t n; uint64_t count; };
struct table { struct value *v; uint32_t *slot; size_t n; uint64_t others, seed; };
enum { SLOTS = 2 * EVSEARCH_VALUES_MAX };

static int table_add(struct table *t, struct sm_span s, uint64_t count)
{
    size_t at = ev_hash(s.p, s.n, t->seed) & (SLOTS - 1);

    for (; t->slot[at]; at = (at + 1) & (SLOTS - 1)) {
        struct value *v = &t->v[t->slot[at] - 1];
        if (sm_span_eq(SM_SPAN(v->p, v->n), s)) {
            v->count += count;
            return 0;
        }
    }
    if (t->n == EVSEARCH_VALUES_MAX) {
        t->others += count;
        return 0;
    }
    uint8_t *p = malloc(s.n + 1);
    if (!p)
        return -ENOMEM;
    memcpy(p, s.p, s.n);
    t->v[t->n++] = (struct value){ .p = p, .n = (uint32_t)s.n, .count = count };
    t->slot[at] = (uint32_t)t->n;
    return 0;
}

static int top_numbers(struct run *u, struct ev_block *b, unsigned kind, struct table *t)
{
    const int64_t *v;
    int e = ev_block_numbers(b, kind, &v);

    for (uint32_t i = 0; e >= 0 && i < b->head.events; i++) {
        char text[24];
        if (has(u, i)) {
            int n = snprintf(text, sizeof text, "%lld", (long long)v[i]);
            e = table_add(t, SM_SPAN(text, n), 1);
        }
    }
    return e;
}

static int top_column(struct run *u, struct ev_block *b, size_t column, struct table *t)
{
    const struct ev_values *v;
    const uint32_t *first = NULL;
    bool one = b->head.column[column].kind >= EV_SHAPE;
    int e = ev_block_values(b, column, &v);

    if (e >= 0 && !one)
        e = ev_block_first(b, column, &first);
    uint32_t *count = e < 0 ? NULL : calloc((size_t)v->distinct + 1, sizeof *count);
    if (e >= 0 && !count)
        return -ENOMEM;
    for (uint32_t i = 0; e >= 0 && i < b->head.events; i++) {
        if (!has(u, i))
            continue;
        if (one)
            count[ev_values_at(v, i)]++;
        for (uint32_t k = one ? 0 : first[i]; !one && k < first[i + 1]; k++)
            count[ev_values_at(v, k)]++;
    }
    for (uint32_t d = 0; e >= 0 && d < v->distinct; d++)
        if (count[d])
            e = table_add(t, ev_values_get(v, d), count[d]);
    free(count);
    return e;
}

static unsigned field_kind(const char *field)
{
    static const struct { const char *name; unsigned kind; } own[] = { { "host", EV_HOST }, { "@source", EV_SOURCE },
        { "@severity", EV_SEVERITY }, { "@rule", EV_RULES } };

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!strcmp(field, own[i].name))
            return own[i].kind;
    for (unsigned k = EV_HOST; k < EV_VALUES_END; k++)
        if (!strcmp(field, ev_kind_name(k)))
            return k;
    return 0;
}

static bool same_name(struct sm_span name, const char *field)
{
    if (name.n != strlen(field))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (ev_lower(name.p[i]) != ev_lower((uint8_t)field[i]))
            return false;
    return true;
}

static int top_block(struct run *u, struct ev_block *b, const char *field, struct table *t)
{
    unsigned kind = field_kind(field);
    int e = 0;

    if (kind >= EV_ID)
        return top_numbers(u, b, kind, t);
    for (size_t i = 0; i < b->head.columns && e >= 0; i++) {
        const struct ev_column *c = &b->head.column[i];
        if (kind ? c->kind == kind : c->kind < EV_SHAPE && same_name(c->name, field))
            e = top_column(u, b, i, t);
    }
    return e;
}

static int by_count(const void *a, const void *b)
{
    const struct value *x = a, *y = b;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return sm_span_cmp(SM_SPAN(x->p, x->n), SM_SPAN(y->p, y->n));
}

static int top_give(struct table *t, uint32_t limit, evsearch_value_fn fn, void *arg, uint64_t *ret_others)
{
    int e = 0;

    qsort(t->v, t->n, sizeof *t->v, by_count);
    for (size_t i = 0; i < t->n && !e; i++) {
        if (i < limit)
            e = fn(arg, SM_SPAN(t->v[i].p, t->v[i].n), t->v[i].count);
        else
            t->others += t->v[i].count;
    }
    if (!e && ret_others)
        *ret_others = t->others;
    return e;
}

int evsearch_top(struct evreader *r, const struct evsearch *s, const char *field, evsearch_value_fn fn, void *arg,
    uint64_t *ret_others, struct evsearch_stats *ret_stats)
{
    struct table t = { .v = calloc(EVSEARCH_VALUES_MAX, sizeof *t.v), .slot = calloc(SLOTS, sizeof *t.slot) };
    struct run u;
    int e = begin(&u, r, s);

    crypto_random(&t.seed, sizeof t.seed);
    if (e >= 0 && (!t.v || !t.slot))
        e = -ENOMEM;
    for (size_t i = 0; i < u.blocks && e >= 0; i++) {
        struct ev_open o;
        e = look(&u, u.block[i], &o);
        if (e > 0)
            e = top_block(&u, &o.block, field, &t);
        if (is_damage(e)) {
            u.stats.blocks_damaged++;
            e = 0;
        }
        ev_open_wipe(&o);
    }
    if (e >= 0)
        e = top_give(&t, s->limit, fn, arg, ret_others);
    for (size_t i = 0; i < t.n; i++)
        free(t.v[i].p);
    free(t.v);
    free(t.slot);
    end(&u, ret_stats);
    return e < 0 ? e : e ? e : 0;
}

/* ---- one event ---- */

int evsearch_event(struct evreader *r, uint64_t id, evsearch_fn fn, void *arg)
{
    const struct evsearch all = { .limit = 1 };
    struct run u;
    int e = begin(&u, r, &all);

    for (size_t i = 0; i < u.blocks && e == 0; i++) {
        const struct ev_entry *x = ev_where_entry(r, u.block[i]);
        struct ev_open open[OPEN_MAX] = { 0 };
        size_t next = 1;
        if (id < x->first_id || id > x->last_id)
            continue;
        e = look(&u, u.block[i], &open[0]);
        uint32_t n = e > 0 ? open[0].block.head.events : 0, k = 0;
        while (k < n && (uint64_t)u.id[k] != id)
            k++;
        struct hit h = { .where = u.block[i], .row = k };
        e = e < 0 ? e : 0;
        if (k < n) {
            e = give(&u, open, &next, &h, fn, arg);
            e = e ? e : 1;
        }
        for (size_t o = 0; o < OPEN_MAX; o++)
            ev_open_wipe(&open[o]);
    }
    end(&u, NULL);
    return e;
}
