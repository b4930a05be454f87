/*
 * A page, a histogram, one event: of the server what is in the blocks it has, of the reader the rest, in one order.
 *
 * A page is asked in two steps: first only the places (time, number) in a window of time that grows from the end where
 * the page begins, then the rows of those places, some at a time and only as far as somebody wants them.
 */
#include "journal/house_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { SLICE = 400, WINDOWS = 256, LOCAL_FULL = 0x5a4b };

struct place {
    struct event_time time;
    uint64_t id;
};
struct page {
    struct house *h;
    const struct house_search *w;
    const struct evsearch *s;
    struct sm_buf exact, least; /* conditions of the query */
    struct place *place;        /* of the server, in order */
    size_t n, next;
    struct sm_buf rows; /* of places[rows_from .. rows_to) */
    struct sm_rd rd;
    size_t rows_to;
    struct event event;
    evsearch_fn fn;
    void *arg;
    uint32_t given;
    int stop; /* what ended the reader's part before its end: of fn, an error, LOCAL_FULL */
    struct evsearch_stats stats;
};

static int cmp(struct event_time a, uint64_t a_id, struct event_time b, uint64_t b_id)
{
    if (a.s != b.s)
        return a.s < b.s ? -1 : 1;
    if (a.ns != b.ns)
        return a.ns < b.ns ? -1 : 1;
    return a_id < b_id ? -1 : a_id > b_id;
}

static bool without(void *arg, uint64_t block)
{
    const struct house_search *w = arg;

    return block != w->not_block && house_set_has(w->there, block);
}

/* ---- statements ---- */

static int table(const struct house *h, struct sm_buf *b)
{
    return sm_buf_printf(b, " FROM `%s`.`%s`", h->conf.database, h->conf.table);
}

/* Behind (or before) a moment and a number, in the order of (time, ns, id). */
static int beyond(struct sm_buf *b, bool after, struct event_time t, uint64_t id)
{
    const char *sign = after ? ">" : "<";

    return sm_buf_printf(b,
        " AND (time %s %" PRId64 " OR (time = %" PRId64 " AND (ns %s %" PRIu32 " OR (ns = %" PRIu32
        " AND id %s %" PRIu64 "))))",
        sign, t.s, t.s, sign, t.ns, t.ns, sign, id);
}

static int bounds(const struct page *p, int64_t from, int64_t to, struct sm_buf *b)
{
    const struct evsearch *s = p->s;
    int r = sm_buf_printf(
        b, " PREWHERE box = '%s' AND time >= %" PRId64 " AND time < %" PRId64 " AND ", p->h->box, from, to);

    if (r >= 0)
        r = sm_buf_put_span(b, sm_buf_span(&p->least));
    if (r >= 0)
        r = sm_buf_printf(b, " WHERE ");
    if (r >= 0)
        r = sm_buf_put_span(b, sm_buf_span(&p->exact));
    if (r >= 0 && p->w->not_block)
        r = sm_buf_printf(b, " AND block != %" PRIu64, p->w->not_block);
    if (r >= 0 && s->from.ns)
        r = sm_buf_printf(b, " AND (time > %" PRId64 " OR ns >= %" PRIu32 ")", s->from.s, s->from.ns);
    if (r >= 0 && s->to.s && s->to.ns)
        r = sm_buf_printf(b, " AND (time < %" PRId64 " OR ns < %" PRIu32 ")", s->to.s, s->to.ns);
    return r;
}

static int ask(struct page *p, struct sm_buf *sql, struct sm_buf *into)
{
    const char *text = sm_buf_str(sql);

    if (!text)
        return -ENOMEM;
    int r = house_do(p->h, &(struct house_request){.sql = text, .into = into, .until_ms = p->w->until_ms});
    p->stats.bytes_read += into->n;
    return r;
}

/* The seconds that the server can have anything in: [from, to).  false: none. */
static bool span(const struct page *p, int64_t *ret_from, int64_t *ret_to)
{
    const struct house_set *t = p->w->there;
    int64_t from = p->s->from.s, to = p->s->to.s ? p->s->to.s + (p->s->to.ns > 0) : INT64_MAX / 4;

    if (!t || !t->blocks)
        return false;
    *ret_from = from > t->first_s ? from : t->first_s;
    *ret_to = to <= t->last_s ? to : t->last_s + 1;
    return *ret_from < *ret_to;
}

/* ---- places ---- */

static int take_places(struct page *p, struct sm_span in)
{
    struct sm_rd rd = SM_RD(in);

    while (rd.n) {
        struct place at = {.time.s = (int64_t)sm_rd_u64(&rd)};
        at.time.ns = sm_rd_u32(&rd);
        at.id = sm_rd_u64(&rd);
        int c = p->n ? cmp(p->place[p->n - 1].time, p->place[p->n - 1].id, at.time, at.id) : 0;
        if (rd.err || at.time.ns > 999999999 || p->n >= p->s->limit)
            return house_fail(p->h, -SM_EFORMAT, "answer", "the places of events cannot be read");
        if (p->n && c == 0)
            continue; /* brought twice: shown once */
        if (p->n && (p->s->oldest_first ? c > 0 : c < 0))
            return house_fail(p->h, -SM_EFORMAT, "answer", "the places of events are not in order");
        p->place[p->n++] = at;
    }
    return 0;
}

static int ask_window(struct page *p, int64_t from, int64_t to)
{
    const struct evsearch *s = p->s;
    const struct evsearch_cursor *c = &s->after;
    struct sm_buf sql = SM_BUF_INIT(1 << 20), in = SM_BUF_INIT(HOUSE_ANSWER_MAX);
    const char *order = s->oldest_first ? "" : " DESC";
    int r = sm_buf_printf(&sql, "SELECT time, ns, id");

    if (r >= 0)
        r = table(p->h, &sql);
    if (r >= 0)
        r = bounds(p, from, to, &sql);
    if (r >= 0 && (c->id || c->time.s || c->time.ns))
        r = beyond(&sql, s->oldest_first, c->time, c->id);
    if (r >= 0)
        r = sm_buf_printf(
            &sql, " ORDER BY time%s, ns%s, id%s LIMIT %zu FORMAT RowBinary", order, order, order, s->limit - p->n);
    if (r >= 0)
        r = ask(p, &sql, &in);
    if (r >= 0)
        r = take_places(p, sm_buf_span(&in));
    sm_buf_wipe(&sql);
    sm_buf_wipe(&in);
    return r;
}

static int ask_places(struct page *p)
{
    int64_t from, to;
    int r = 0;

    if (!span(p, &from, &to))
        return 0;
    const struct evsearch_cursor *c = &p->s->after;
    if (c->id || c->time.s || c->time.ns) {
        if (p->s->oldest_first && c->time.s > from)
            from = c->time.s;
        else if (!p->s->oldest_first && c->time.s < to)
            to = c->time.s + 1;
    }
    int64_t width = (to - from) / WINDOWS + 60;
    while (r >= 0 && from < to && p->n < p->s->limit) {
        int64_t w = width < to - from ? width : to - from;
        r = p->s->oldest_first ? ask_window(p, from, from + w) : ask_window(p, to - w, to);
        if (p->s->oldest_first)
            from += w;
        else
            to -= w;
        width = width < INT64_MAX / 64 ? width * 8 : width;
    }
    return r;
}

/* ---- rows ---- */

static int ask_rows(struct page *p, size_t n)
{
    struct sm_buf sql = SM_BUF_INIT(1 << 20);
    const struct place *at = p->place + p->next;
    const char *order = p->s->oldest_first ? "" : " DESC";
    int64_t low = at[0].time.s < at[n - 1].time.s ? at[0].time.s : at[n - 1].time.s,
            high = at[0].time.s < at[n - 1].time.s ? at[n - 1].time.s : at[0].time.s;
    int r = sm_buf_printf(&sql, "SELECT %s", house_shown);

    if (r >= 0)
        r = table(p->h, &sql);
    if (r >= 0)
        r = sm_buf_printf(&sql, " PREWHERE box = '%s' AND time >= %" PRId64 " AND time <= %" PRId64 " AND time IN (",
            p->h->box, low, high);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = sm_buf_printf(&sql, "%s%" PRId64, i ? "," : "", at[i].time.s);
    if (r >= 0)
        r = sm_buf_printf(&sql, ") AND id IN (");
    for (size_t i = 0; i < n && r >= 0; i++)
        r = sm_buf_printf(&sql, "%s%" PRIu64, i ? "," : "", at[i].id);
    if (r >= 0)
        r = sm_buf_printf(&sql, ") ORDER BY time%s, ns%s, id%s LIMIT %zu FORMAT RowBinary", order, order, order, 2 * n);
    sm_buf_clear(&p->rows);
    if (r >= 0)
        r = ask(p, &sql, &p->rows);
    sm_buf_wipe(&sql);
    p->rd = SM_RD(sm_buf_span(&p->rows));
    return r;
}

static int more_rows(struct page *p)
{
    size_t n = p->n - p->next < SLICE ? p->n - p->next : SLICE;
    int r = ask_rows(p, n);

    while (r == -SM_ELIMIT && n > 1) /* large ones */
        r = ask_rows(p, n /= 8 < n ? 8 : 2);
    p->rows_to = p->next + n;
    return r;
}

/* The row of the next place.  1, or 0 when it is not there any more. */
static int next_row(struct page *p, struct evsearch_hit *ret)
{
    const struct place *at = &p->place[p->next];
    int r = p->next >= p->rows_to ? more_rows(p) : 0;

    while (r >= 0 && p->rd.n) {
        struct sm_rd before = p->rd;
        r = house_row_get(&p->rd, p->w->reader->names, &p->event, ret);
        if (r < 0)
            return r == -ENOMEM ? r : house_fail(p->h, r, "answer", "a row cannot be read");
        int c = cmp(p->event.time, ret->id, at->time, at->id);
        if (c == 0)
            return 1;
        if (p->s->oldest_first ? c > 0 : c < 0) {
            p->rd = before; /* of a later place */
            return 0;
        }
    }
    return r;
}

/* ---- the two together ---- */

/* Give what the server has before (time, id); NULL: all. */
static int give_until(struct page *p, const struct event_time *time, uint64_t id)
{
    while (p->next < p->n && p->given < p->s->limit) {
        const struct place *at = &p->place[p->next];
        struct evsearch_hit hit;
        int c = time ? cmp(at->time, at->id, *time, id) : 0;
        if (time && (p->s->oldest_first ? c >= 0 : c <= 0))
            return 0;
        int r = next_row(p, &hit);
        if (r < 0)
            return r;
        if (r > 0) {
            r = p->fn(p->arg, &hit);
            if (r)
                return r;
            p->given++;
        }
        p->next++;
    }
    return 0;
}

static int on_local(void *arg, const struct evsearch_hit *h)
{
    struct page *p = arg;
    int r = give_until(p, &h->event->time, h->id);

    if (!r && p->given >= p->s->limit)
        r = LOCAL_FULL;
    if (!r) {
        r = p->fn(p->arg, h);
        p->given += !r;
    }
    p->stop = r;
    return r;
}

static void add_stats(struct evsearch_stats *to, const struct evsearch_stats *s)
{
    to->blocks += s->blocks;
    to->blocks_read += s->blocks_read;
    to->blocks_damaged += s->blocks_damaged;
    to->events_looked_at += s->events_looked_at;
    to->bytes_read += s->bytes_read;
    to->bytes_decoded += s->bytes_decoded;
}

static struct evsearch the_rest(const struct house_search *w, const struct evsearch *s)
{
    struct evsearch rest = *s;

    rest.without = without;
    rest.without_arg = (void *)(uintptr_t)w;
    return rest;
}

int house_run(struct house *h, const struct house_search *w, const struct evsearch *s, evsearch_fn fn, void *arg,
    struct evsearch_stats *ret_stats)
{
    struct page p = {.h = h,
        .w = w,
        .s = s,
        .fn = fn,
        .arg = arg,
        .exact = SM_BUF_INIT(1 << 20),
        .least = SM_BUF_INIT(1 << 20),
        .rows = SM_BUF_INIT(HOUSE_ANSWER_MAX)};
    struct evsearch rest = the_rest(w, s);
    struct evsearch_stats local = {0};
    int r = !s->limit || s->limit > EVSEARCH_LIMIT_MAX ? -SM_EINVAL : event_init(&p.event);

    if (r < 0)
        return r;
    p.place = calloc(s->limit, sizeof *p.place);
    r = p.place ? house_where(s->query, &p.exact, &p.least) : -ENOMEM;
    if (r >= 0)
        r = ask_places(&p);
    if (r >= 0)
        r = evsearch_run(w->reader, &rest, on_local, &p, NULL, &local);
    if (r >= 0)
        r = p.stop ? p.stop : give_until(&p, NULL, 0);
    add_stats(&p.stats, &local);
    if (ret_stats)
        *ret_stats = p.stats;
    int n = (int)p.given;
    event_wipe(&p.event);
    free(p.place);
    sm_buf_wipe(&p.exact);
    sm_buf_wipe(&p.least);
    sm_buf_wipe(&p.rows);
    return r == LOCAL_FULL ? n : r ? r : n;
}

/* ---- over time ---- */

static int take_counts(struct page *p, struct sm_span in, size_t n, uint64_t *counts)
{
    struct sm_rd rd = SM_RD(in);

    while (rd.n) {
        int64_t at = (int64_t)sm_rd_u64(&rd);
        uint64_t count = sm_rd_u64(&rd);
        if (rd.err || at < 0)
            return house_fail(p->h, -SM_EFORMAT, "answer", "the counts cannot be read");
        counts[(size_t)at < n ? (size_t)at : n - 1] += count;
    }
    return 0;
}

static int ask_counts(struct page *p, uint32_t width_s, size_t n, uint64_t *counts)
{
    struct sm_buf sql = SM_BUF_INIT(1 << 20), in = SM_BUF_INIT(HOUSE_ANSWER_MAX);
    int64_t from, to;

    if (!span(p, &from, &to))
        return 0;
    int r = sm_buf_printf(
        &sql, "SELECT toInt64(intDiv(time - %" PRId64 ", %" PRIu32 ")) AS part, count()", p->s->from.s, width_s);
    if (r >= 0)
        r = table(p->h, &sql);
    if (r >= 0)
        r = bounds(p, from, to, &sql);
    if (r >= 0)
        r = sm_buf_printf(&sql, " GROUP BY part FORMAT RowBinary");
    if (r >= 0)
        r = ask(p, &sql, &in);
    if (r >= 0)
        r = take_counts(p, sm_buf_span(&in), n, counts);
    sm_buf_wipe(&sql);
    sm_buf_wipe(&in);
    return r;
}

int house_histogram(struct house *h, const struct house_search *w, const struct evsearch *s, uint32_t width_s, size_t n,
    uint64_t *ret_counts, struct evsearch_stats *ret_stats)
{
    struct evsearch within = *s;
    uint64_t counts[EVSEARCH_BUCKETS_MAX] = {0};
    struct page p = {.h = h, .w = w, .s = &within, .exact = SM_BUF_INIT(1 << 20), .least = SM_BUF_INIT(1 << 20)};
    struct evsearch_stats local = {0};

    if (!width_s || n > EVSEARCH_BUCKETS_MAX || !n)
        return -SM_EINVAL;
    int64_t end_s = s->from.s + (int64_t)width_s * (int64_t)n;
    if (!within.to.s || within.to.s > end_s)
        within.to = (struct event_time){end_s, s->from.ns};
    struct evsearch rest = the_rest(w, &within);
    int r = house_where(s->query, &p.exact, &p.least);
    if (r >= 0)
        r = evsearch_histogram(w->reader, &rest, width_s, n, counts, &local);
    if (r >= 0)
        r = ask_counts(&p, width_s, n, counts);
    add_stats(&p.stats, &local);
    if (ret_stats)
        *ret_stats = p.stats;
    sm_buf_wipe(&p.exact);
    sm_buf_wipe(&p.least);
    if (r >= 0)
        memcpy(ret_counts, counts, n * sizeof *counts);
    return r < 0 ? r : 0;
}

/* ---- one event ---- */

int house_event(struct house *h, const struct house_search *w, uint64_t id, evsearch_fn fn, void *arg)
{
    const struct evsearch s = {.limit = 1};
    struct page p = {.h = h, .w = w, .s = &s, .rows = SM_BUF_INIT(HOUSE_ANSWER_MAX)};
    struct sm_buf sql = SM_BUF_INIT(4096);
    struct evsearch_hit hit;
    int r = evsearch_event(w->reader, id, fn, arg); /* what the box has itself is nearer, and under its seal */

    if (r || event_init(&p.event) < 0)
        return r ? r : -ENOMEM;
    r = sm_buf_printf(&sql, "SELECT %s", house_shown);
    if (r >= 0)
        r = table(h, &sql);
    if (r >= 0)
        r = sm_buf_printf(&sql, " PREWHERE box = '%s' AND id = %" PRIu64 " LIMIT 1 FORMAT RowBinary", h->box, id);
    if (r >= 0)
        r = ask(&p, &sql, &p.rows);
    p.rd = SM_RD(sm_buf_span(&p.rows));
    if (r >= 0 && p.rd.n) {
        r = house_row_get(&p.rd, w->reader->names, &p.event, &hit);
        if (r >= 0 && hit.id != id)
            r = -SM_EFORMAT;
        r = r < 0 ? house_fail(h, r, "answer", "a row cannot be read") : fn(arg, &hit);
        r = r ? r : 1;
    }
    sm_buf_wipe(&sql);
    sm_buf_wipe(&p.rows);
    event_wipe(&p.event);
    return r;
}
