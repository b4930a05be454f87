/*
 * seeker: reads the record for people.  It sees DATA/journal, reading only, and nothing else: no network, no key, no database.
 * What it reads strangers wrote.  One question at a time, each bounded in time; what a search has found by then is given, with
 * the place where it goes on.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/log.h"
#include "crypto/init.h"
#include "event/names.h"
#include "journal/export.h"
#include "journal/search.h"
#include "plat/clock.h"
#include "sakimorid/seeker/seeker.h"
#include "sakimorid/wire.h"

enum {
    ANSWER_MAX = 900 << 10,         /* bytes of one answer's events */
    EXPORT_MAX = 8 << 20,
    RAW_SHOWN = 4096,               /* of raw bytes in a list; all of them come with J_EVENT */
    RAW_WHOLE = 640 << 10,
    TIME_MS = 20000,                /* and no question asks for more */
    IDLE_MS = 60000,                /* after this the reader lets go of its memory */
    ZONE_S = 9 * 3600,
};

/* One answer being made. */
struct answer {
    struct seeker *k;
    json_t *items;                  /* of a search */
    struct sm_buf text;             /* of an export, and for one event */
    size_t bytes, most;
    bool raw, full;
    struct evexport_csv *csv;       /* of an export as CSV */
    uint64_t n, replaced;
    struct evsearch_cursor last;
};

static void on_idle(void *arg)
{
    struct seeker *k = arg;

    evreader_free(k->reader);
    k->reader = NULL;
}

static int ready(struct seeker *k, struct sm_obj *o)
{
    sm_timer_set(k->idle, IDLE_MS, 0);
    k->until_ms = plat_clock_mono_ms() + (uint64_t)sm_obj_int_opt(o, "within", 1, TIME_MS / 1000, TIME_MS / 1000) * 1000;
    return k->reader ? evreader_refresh(k->reader) : evreader_open(k->dir, &k->reader);
}

/* ---- where to look ---- */

static bool too_late(void *arg)
{
    const struct seeker *k = arg;

    return plat_clock_mono_ms() > k->until_ms;
}

/* In the record of this box alone? */
static bool is_here(const struct seeker *k)
{
    return !k->store || !k->store->begin(k->c);
}

/* A store that fails is left for this question, and what it gave is forgotten: the record of this box answers. */
static bool falls_back(struct seeker *k, int r)
{
    k->store->end(k->c, r);
    return r < 0 && r != -ENOMEM && r != -SM_ECANCEL && r != -SM_EINVAL && *k->away;
}

/* *reached: in as evsearch_run leaves it when it found nothing; out where a search that ran out of time goes on. */
static int run(struct seeker *k, const struct evsearch *s, struct answer *a, evsearch_fn fn, struct evsearch_cursor *reached,
    struct evsearch_stats *ret_stats)
{
    size_t start = a->text.n;

    if (!is_here(k)) {
        int r = k->store->run(k->c, s, fn, a, ret_stats);
        if (!falls_back(k, r)) {
            *reached = a->n ? a->last : s->after;
            return r;
        }
        (void)json_array_clear(a->items); /* an array, or nothing */
        a->text.n = start;
        a->n = a->bytes = a->replaced = 0;
        a->full = false;
    }
    return evsearch_run(k->reader, s, fn, a, reached, ret_stats);
}

static int histogram(struct seeker *k, const struct evsearch *s, uint32_t width_s, size_t n, uint64_t *counts, struct evsearch_stats *ret_stats)
{
    if (!is_here(k)) {
        int r = k->store->histogram(k->c, s, width_s, n, counts, ret_stats);
        if (!falls_back(k, r))
            return r;
    }
    return evsearch_histogram(k->reader, s, width_s, n, counts, ret_stats);
}

static int event(struct seeker *k, uint64_t id, struct answer *a, evsearch_fn fn)
{
    if (!is_here(k)) {
        int r = k->store->event(k->c, id, fn, a);
        if (!falls_back(k, r))
            return r;
    }
    return evsearch_event(k->reader, id, fn, a);
}

/* Which store answered, and why not the one that was set. */
static void put_store(const struct seeker *k, json_t *out)
{
    if (!k->store || !out)
        return;
    (void)json_object_set_new(out, "store", json_string(*k->away ? "local" : "clickhouse")); /* left out when memory is short */
    if (*k->away)
        (void)json_object_set_new(out, "away", json_string(k->away)); /* likewise */
}

/* ---- questions ---- */

static int query_of(struct sm_obj *o, struct evquery **ret, char *why)
{
    struct evquery_error e = { 0 };
    const char *q = sm_obj_str(o, "q", 0, EVQUERY_TEXT_MAX);
    int r = o->err ? o->err : evquery_parse(SM_SPAN_STR(q), ZONE_S, ret, &e);

    if (r == -SM_EINVAL && !o->err) { /* JSON, for the API: two languages and the place */
        json_t *j = json_pack("{sI ss ss}", "at", (json_int_t)e.at_char, "ja", e.ja, "en", e.en);
        char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
        snprintf(why, 640, "%s", text ? text : "");
        free(text);
        json_decref(j);
    }
    return r;
}

static int cursor_of(const char *text, struct evsearch_cursor *ret)
{
    char *end = NULL;

    if (!text || !*text)
        return 0;
    ret->time.s = strtoll(text, &end, 10);
    if (*end != '.')
        return -SM_EINVAL;
    ret->time.ns = (uint32_t)strtoul(end + 1, &end, 10);
    if (*end != '.')
        return -SM_EINVAL;
    ret->id = strtoull(end + 1, &end, 10);
    return *end || ret->time.ns > 999999999 ? -SM_EINVAL : 0;
}

static void cursor_text(const struct evsearch_cursor *c, char ret[80])
{
    snprintf(ret, 80, "%" PRId64 ".%" PRIu32 ".%" PRIu64, c->time.s, c->time.ns, c->id);
}

static int search_of(struct seeker *k, struct sm_obj *o, struct evsearch *ret, char *why)
{
    struct evquery *query = NULL;

    *ret = (struct evsearch){ .cancel = too_late, .cancel_arg = k };
    ret->from.s = sm_obj_int_opt(o, "from_s", INT64_MIN / 4, INT64_MAX / 4, INT64_MIN / 4);
    ret->to.s = sm_obj_int_opt(o, "until_s", INT64_MIN / 4, INT64_MAX / 4, 0);
    ret->limit = (uint32_t)sm_obj_int_opt(o, "limit", 1, EVSEARCH_LIMIT_MAX, 50);
    ret->oldest_first = sm_obj_bool(o, "oldest", false);
    int r = cursor_of(sm_obj_str_opt(o, "cursor", 80), &ret->after);
    if (r >= 0)
        r = query_of(o, &query, why);
    ret->query = query;
    return r;
}

/* ---- events ---- */

static void put_raw(json_t *item, struct sm_span raw, size_t most)
{
    struct sm_span s = SM_SPAN(raw.p, raw.n < most ? raw.n : most);
    struct sm_buf b64 = SM_BUF_INIT(2 * RAW_WHOLE);

    while (s.n && s.n < raw.n && (raw.p[s.n] & 0xc0) == 0x80)
        s.n--;
    if (sm_utf8_valid(s))
        (void)json_object_set_new(item, "raw", json_stringn((const char *)s.p, s.n)); /* left out when memory is short */
    else if (sm_base64(s, &b64) >= 0)
        (void)json_object_set_new(item, "raw_b64", json_stringn((const char *)b64.p, b64.n)); /* likewise */
    if (s.n < raw.n)
        (void)json_object_set_new(item, "raw_bytes", json_integer((json_int_t)raw.n)); /* likewise */
    sm_buf_wipe(&b64);
}

static json_t *rules_of(struct sm_span rules)
{
    json_t *list = json_array();

    while (list && rules.n) {
        const uint8_t *end = memchr(rules.p, ' ', rules.n);
        size_t n = end ? (size_t)(end - rules.p) : rules.n;
        (void)json_array_append_new(list, json_stringn((const char *)rules.p, n)); /* one less when memory is short */
        n += end != NULL;
        rules.p += n;
        rules.n -= n;
    }
    return list;
}

static json_t *item_of(struct answer *a, const struct evsearch_hit *h, size_t raw)
{
    json_t *event = NULL, *item;

    sm_buf_clear(&a->text);
    if (event_json(h->event, evreader_names(a->k->reader), &a->text) >= 0)
        (void)!sm_json_parse(sm_buf_span(&a->text), a->text.n, &event, NULL); /* left out: too deep it cannot be */
    item = json_pack("{sI sI sI so so}", "id", (json_int_t)h->id, "block", (json_int_t)h->block, "class", (json_int_t)h->klass, "event",
        event ? event : json_object(), "rules", rules_of(h->rules));
    if (item && raw)
        put_raw(item, h->event->raw, raw);
    return item;
}

static int on_found(void *arg, const struct evsearch_hit *h)
{
    struct answer *a = arg;
    json_t *item = item_of(a, h, a->raw ? RAW_SHOWN : 0);
    size_t n = item ? json_dumpb(item, NULL, 0, JSON_COMPACT) + 1 : 0;

    if (!item)
        return -ENOMEM;
    if (a->bytes + n > a->most) {
        bool alone = !a->n;
        json_decref(item);
        if (!alone) {
            a->full = true;
            return 1; /* goes on with this one */
        }
        item = json_pack("{sI sb}", "id", (json_int_t)h->id, "large", 1);
        n = 0;
    }
    a->bytes += n;
    a->n++;
    a->last = (struct evsearch_cursor){ h->event->time, h->id };
    return json_array_append_new(a->items, item) < 0 ? -ENOMEM : 0;
}

static json_t *stats_json(const struct evsearch_stats *s)
{
    return json_pack("{sI sI sI sI sI}", "blocks", (json_int_t)s->blocks, "blocks_read", (json_int_t)s->blocks_read, "blocks_damaged",
        (json_int_t)s->blocks_damaged, "events_looked_at", (json_int_t)s->events_looked_at, "bytes_read", (json_int_t)s->bytes_read);
}

/* Where a search goes on: behind the last one given; out of time, where everything before was looked at. */
static int ran(struct answer *a, int r, const struct evsearch *s, const struct evsearch_cursor *reached, char next[80], bool *ret_more)
{
    *ret_more = a->full || r == -SM_ECANCEL || (r >= 0 && a->n >= s->limit);
    next[0] = '\0';
    if (*ret_more)
        cursor_text(r == -SM_ECANCEL ? reached : a->n ? &a->last : &s->after, next);
    return r == -SM_ECANCEL || a->full || r > 0 ? 0 : r;
}

void seek_search(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct seeker *k = c->state;
    struct answer a = { .k = k, .items = json_array(), .most = ANSWER_MAX, .text = SM_BUF_INIT(16 << 20) };
    json_t *in = wire_body(ipc, m), *out = NULL;
    struct sm_obj o = SM_OBJ(in);
    struct evsearch s = { 0 };
    struct evsearch_stats stats = { 0 };
    char why[640] = "", next[80];
    bool more = false;
    int r;

    if (!in) {
        json_decref(a.items);
        return;
    }
    a.raw = sm_obj_bool(&o, "raw", false);
    r = search_of(k, &o, &s, why);
    if (r >= 0)
        r = ready(k, &o);
    if (r >= 0) {
        struct evsearch_cursor reached = s.after;
        r = run(k, &s, &a, on_found, &reached, &stats);
        bool late = r == -SM_ECANCEL;
        r = ran(&a, r, &s, &reached, next, &more);
        if (r >= 0)
            out = json_pack("{sO sb sb ss so}", "items", a.items, "more", more, "late", late, "next", next, "stats", stats_json(&stats));
        if (out && late) /* how far it came, for who waits; left out when memory is short */
            (void)json_object_set_new(out, "reached_s", json_integer((json_int_t)reached.time.s));
        if (out && a.n) { /* for who waits for what comes next */
            cursor_text(&a.last, next);
            (void)json_object_set_new(out, "last", json_string(next)); /* left out when memory is short */
        }
        put_store(k, out);
    }
    wire_answer(ipc, m, out, r == -ENOENT ? -SM_ENOTFOUND : r, why);
    evquery_free((struct evquery *)(uintptr_t)s.query);
    sm_buf_wipe(&a.text);
    json_decref(a.items);
    json_decref(in);
}

void seek_histogram(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct seeker *k = c->state;
    json_t *in = wire_body(ipc, m), *out = NULL, *list = json_array();
    struct sm_obj o = SM_OBJ(in);
    struct evsearch s = { 0 };
    struct evsearch_stats stats = { 0 };
    uint64_t *counts = NULL;
    char why[640] = "";

    if (!in) {
        json_decref(list);
        return;
    }
    size_t n = (size_t)sm_obj_int_opt(&o, "buckets", 1, EVSEARCH_BUCKETS_MAX, 60);
    int r = search_of(k, &o, &s, why);
    if (r >= 0 && s.to.s <= s.from.s)
        r = -SM_EINVAL;
    int64_t width = r < 0 ? 1 : (s.to.s - s.from.s + (int64_t)n - 1) / (int64_t)n;
    if (r >= 0 && (width > INT32_MAX || !(counts = calloc(n, sizeof *counts))))
        r = counts ? -SM_EINVAL : -ENOMEM;
    if (r >= 0)
        r = ready(k, &o);
    if (r >= 0)
        r = histogram(k, &s, (uint32_t)width, n, counts, &stats);
    bool late = r == -SM_ECANCEL;
    for (size_t i = 0; (r >= 0 || late) && i < n; i++)
        (void)json_array_append_new(list, json_integer((json_int_t)counts[i])); /* shorter when memory is short */
    if (r >= 0 || late) {
        out = json_pack("{sI sI sO sb so}", "from_s", (json_int_t)s.from.s, "width_s", (json_int_t)width, "counts", list, "late", late, "stats",
            stats_json(&stats));
        put_store(k, out);
        r = 0;
    }
    wire_answer(ipc, m, out, r == -ENOENT ? -SM_ENOTFOUND : r, why);
    evquery_free((struct evquery *)(uintptr_t)s.query);
    free(counts);
    json_decref(list);
    json_decref(in);
}

static int on_one(void *arg, const struct evsearch_hit *h)
{
    struct answer *a = arg;
    json_t *item = item_of(a, h, RAW_WHOLE);

    if (item && json_dumpb(item, NULL, 0, JSON_COMPACT) > ANSWER_MAX) {
        (void)json_object_set_new(item, "event", json_object()); /* raw says it all; less when memory is short */
        (void)json_object_set_new(item, "large", json_true());
    }
    json_decref(a->items);
    a->items = item;
    return item ? 0 : -ENOMEM;
}

void seek_event(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct seeker *k = c->state;
    struct answer a = { .k = k, .text = SM_BUF_INIT(16 << 20) };
    json_t *in = wire_body(ipc, m);
    struct sm_obj o = SM_OBJ(in);

    if (!in)
        return;
    int64_t id = sm_obj_int(&o, "id", 0, INT64_MAX);
    int r = o.err ? o.err : ready(k, &o);
    if (r >= 0)
        r = event(k, (uint64_t)id, &a, on_one);
    if (r == 0)
        r = -SM_ENOTFOUND;
    wire_answer(ipc, m, r < 0 ? NULL : json_incref(a.items), r < 0 ? r == -ENOENT ? -SM_ENOTFOUND : r : 0, NULL);
    json_decref(a.items);
    sm_buf_wipe(&a.text);
    json_decref(in);
}

/* ---- export ---- */

static int json_line(struct answer *a, const struct evsearch_hit *h)
{
    int r = sm_buf_printf(&a->text, "{\"id\":%" PRIu64 ",\"rules\":\"%.*s\",\"event\":", h->id, (int)h->rules.n,
        sm_utf8_valid(h->rules) && !memchr(h->rules.p ? (const void *)h->rules.p : "", '"', h->rules.n) ? (const char *)h->rules.p : "");

    if (r >= 0)
        r = event_json(h->event, evreader_names(a->k->reader), &a->text);
    return r < 0 ? r : sm_buf_put(&a->text, "}\n", 2);
}

static int on_line(void *arg, const struct evsearch_hit *h)
{
    struct answer *a = arg;
    size_t before = a->text.n;
    uint64_t replaced = a->csv ? evexport_csv_replaced(a->csv) : 0;
    int r = a->csv ? evexport_csv_row(a->csv, evreader_names(a->k->reader), h, &a->text) : json_line(a, h);

    if (a->csv && r >= 0)
        a->replaced += evexport_csv_replaced(a->csv) - replaced;
    if (r == -SM_ELIMIT && a->n) {
        a->text.n = before;
        a->full = true;
        return 1;
    }
    if (r < 0)
        return r;
    a->n++;
    a->last = (struct evsearch_cursor){ h->event->time, h->id };
    return 0;
}

/* What was made goes in frames; the first says where the next piece begins. */
static void send_export(struct child *c, struct child_late *late, const struct answer *a, const char *next)
{
    struct sm_buf out = SM_BUF_INIT(EXPORT_MAX + 4096);
    json_t *head = json_pack("{ss sI sI}", "next", next, "n", (json_int_t)a->n, "replaced", (json_int_t)a->replaced);
    put_store(a->k, head);
    int r = head ? msg_join(head, sm_buf_span(&a->text), &out) : -ENOMEM;

    json_decref(head);
    for (size_t at = 0; r >= 0 && at < out.n; at += ANSWER_MAX) {
        size_t n = out.n - at < ANSWER_MAX ? out.n - at : ANSWER_MAX;
        r = child_reply_late(c, late, at + n < out.n ? SM_IPC_MORE : 0, SM_SPAN(out.p + at, n));
    }
    if (r < 0)
        child_reply_late_error(c, late, r, "the piece could not be sent");
    sm_buf_wipe(&out);
}

static int csv_of(struct sm_obj *o, struct answer *a)
{
    static const char *const fields[] = { "Message", NULL };
    bool cp932 = sm_obj_bool(o, "cp932", false);

    return evexport_csv_new(fields, cp932 ? EVEXPORT_CP932 : EVEXPORT_UTF8_BOM, ZONE_S, sm_obj_bool(o, "ja", true), &a->csv);
}

void seek_export(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct seeker *k = c->state;
    struct answer a = { .k = k, .text = SM_BUF_INIT(EXPORT_MAX) };
    struct child_late late = child_later(c, peer, m);
    json_t *in = wire_body(ipc, m);
    struct sm_obj o = SM_OBJ(in);
    struct evsearch s = { 0 };
    char why[640] = "", next[80] = "";
    bool more = false;
    int r;

    if (!in)
        return;
    struct evsearch_cursor reached = { 0 };
    r = search_of(k, &o, &s, why);
    s.oldest_first = true;
    if (r >= 0)
        r = ready(k, &o);
    if (r >= 0 && sm_obj_bool(&o, "csv", false))
        r = csv_of(&o, &a);
    if (r >= 0 && a.csv && !s.after.id && !s.after.time.s) /* the first piece */
        r = evexport_csv_head(a.csv, &a.text);
    reached = s.after;
    if (r >= 0)
        r = ran(&a, run(k, &s, &a, on_line, &reached, NULL), &s, &reached, next, &more);
    if (r < 0)
        child_reply_late_error(c, &late, r == -ENOENT ? -SM_ENOTFOUND : r, why);
    else
        send_export(c, &late, &a, next);
    evquery_free((struct evquery *)(uintptr_t)s.query);
    evexport_csv_free(a.csv);
    sm_buf_wipe(&a.text);
    json_decref(in);
}

static void on_verify(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct seeker *k = c->state;

    verifying_on(k->verifying, ipc, m);
}

/* ---- life ---- */

int seek_start(struct child *c)
{
    struct seeker *k = c->state;
    int n = snprintf(k->dir, sizeof k->dir, "%s/journal", c->data);

    k->c = c;
    if (n < 0 || (size_t)n >= sizeof k->dir)
        return -SM_ELIMIT;
    return sm_loop_timer(c->loop, UINT64_MAX, 0, on_idle, k, &k->idle);
}

void seek_end(struct child *c)
{
    struct seeker *k = c->state;

    evreader_free(k->reader);
    evexport_csv_free(k->keep);
    sm_timer_free(k->idle);
}

static int start(struct child *c)
{
    struct seeker *k = c->state;
    int r = seek_start(c);

    if (r < 0)
        return r;
    k->verifying = verifying_new(k->dir);
    return k->verifying ? 0 : -ENOMEM;
}

static void end(struct child *c)
{
    struct seeker *k = c->state;

    verifying_free(k->verifying);
    seek_end(c);
}

/* The converters of encodings are files of the system. */
int seek_early(struct child *c)
{
    struct seeker *k = c->state;
    int r = crypto_init();

    return r < 0 ? r : evexport_csv_new(NULL, EVEXPORT_CP932, ZONE_S, true, &k->keep);
}

int seeker_main(struct child *c)
{
    static const struct child_handler handlers[] = {
        { WHO_BRAIN, J_SEARCH, seek_search },
        { WHO_BRAIN, J_HISTOGRAM, seek_histogram },
        { WHO_BRAIN, J_EVENT, seek_event },
        { WHO_BRAIN, J_EXPORT, seek_export },
        { WHO_BRAIN, J_VERIFY, on_verify },
    };
    static const struct child_spec spec = {
        .handlers = handlers, .handlers_n = sizeof handlers / sizeof handlers[0], .early = seek_early, .start = start, .end = end,
        .queue_max = 16 << 20,
    };
    struct seeker *k = calloc(1, sizeof *k);

    if (!k)
        return 1;
    c->state = k;
    int r = child_run(c, &spec);
    free(k);
    return r;
}
