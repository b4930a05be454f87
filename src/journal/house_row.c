/* Rows: an event of a block as the server takes it, and a row of an answer as an event again.  RowBinary: no text to
 * escape. */
#include "journal/house_int.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

const char house_columns[] =
    "box, kept, block, events, id, class, at, time, ns, seen, seen_ns, source, severity, notes, host, product, "
    "category, service, format, rules, user, address, process, event_id, names, types, vals, wide, nums, addrs, "
    "text, plain, raw";
const char house_shown[] =
    "block, id, class, time, ns, seen, seen_ns, source, severity, notes, names, types, vals, raw";

struct house_rower {
    struct evreader *r;
    struct house_block b;
    const char *box;
    struct ev_open open;
    uint32_t row;
    struct event event;
    struct sm_buf raw, plain, folded, text;
    struct ev_field field[HOUSE_OWN + EVENT_FIELDS_MAX];
    size_t n;
};

int house_rower_new(struct evreader *r, const char *box, const struct house_block *b, struct house_rower **ret)
{
    struct house_rower *w = calloc(1, sizeof *w);
    int e = -ENOENT;

    if (!w || event_init(&w->event) < 0) {
        free(w);
        return -ENOMEM;
    }
    w->r = r;
    w->b = *b;
    w->box = box;
    w->raw = w->plain = w->folded = w->text = SM_BUF_INIT(32 << 20);
    for (size_t i = 0; i < r->segs && !w->open.there && e == -ENOENT; i++)
        for (size_t k = 0; k < r->seg[i].n && e == -ENOENT; k++)
            if (r->seg[i].entry[k].number == b->number)
                e = ev_where_open(r, (struct ev_where){.seg = i, .entry = k, .mem = -1}, &w->open);
    if (e < 0) {
        house_rower_free(w);
        return e;
    }
    *ret = w;
    return 0;
}

void house_rower_free(struct house_rower *w)
{
    if (!w)
        return;
    ev_open_wipe(&w->open);
    event_wipe(&w->event);
    sm_buf_wipe(&w->raw);
    sm_buf_wipe(&w->plain);
    sm_buf_wipe(&w->folded);
    sm_buf_wipe(&w->text);
    free(w);
}

/* ---- what is searched ---- */

static size_t sequence(const uint8_t *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    return len <= n && sm_utf8_valid(SM_SPAN(p, len)) ? len : 0;
}

/* s, folded, as text that an expression of UTF-8 can walk: no NUL, and U+FFFD for what is no character. */
static int put_clean(struct sm_span s, struct sm_buf *ret)
{
    size_t i = 0;
    int r = 0;

    if (sm_utf8_valid(s))
        return sm_buf_put_span(ret, s);
    while (i < s.n && r >= 0) {
        size_t len = s.p[i] ? sequence(s.p + i, s.n - i) : 0;
        if (!s.p[i]) {
            r = sm_buf_put_u8(ret, 1);
            i++;
        } else if (len) {
            r = sm_buf_put(ret, s.p + i, len);
            i += len;
        } else { /* with the bytes that seem to belong to it: "?" means all of them */
            r = sm_buf_put(ret, "\xef\xbf\xbd", 3);
            for (i++; i < s.n && (s.p[i] & 0xc0) == 0x80;)
                i++;
        }
    }
    return r;
}

static bool is_edge(struct sm_span s, size_t at)
{
    return !at || at >= s.n || !ev_is_word(s.p[at - 1]) || !ev_is_word(s.p[at]);
}

/* Does v stand in s so that whatever is found in v is found there? */
static bool stands(struct sm_span s, struct sm_span v)
{
    for (size_t at = 0; at + v.n <= s.n; at++) {
        const uint8_t *hit = sm_find(SM_SPAN(s.p + at, s.n - at), v.p, v.n);
        if (!hit)
            return false;
        at = (size_t)(hit - s.p);
        if (is_edge(s, at) && is_edge(s, at + v.n))
            return true;
    }
    return false;
}

/* plain, text, and folded: the folded values one after the other when they are more than lower case (*ret_wide). */
static int fold_row(struct house_rower *w, bool *ret_wide)
{
    struct sm_buf one = SM_BUF_INIT(16 << 20);
    int r = 0;

    *ret_wide = false;
    sm_buf_clear(&w->text);
    sm_buf_clear(&w->folded);
    for (size_t i = 0; i < w->n && r >= 0; i++) {
        struct sm_span v = w->field[i].value;
        *ret_wide |= ev_folds_wide(v);
        sm_buf_clear(&one);
        r = ev_fold(v, &one);
        if (r >= 0)
            r = sm_buf_put_blob(&w->folded, sm_buf_span(&one));
        if (r < 0 || !one.n || stands(sm_buf_span(&w->plain), sm_buf_span(&one)))
            continue;
        if (w->text.n)
            r = sm_buf_put_u8(&w->text, 0);
        if (r >= 0)
            r = put_clean(sm_buf_span(&one), &w->text);
    }
    sm_buf_wipe(&one);
    return r;
}

static int read_row(struct house_rower *w, struct ev_row *ret)
{
    struct ev_block *b = &w->open.block;
    const struct event *e = &w->event;
    const struct event_names *names = w->r->names;
    struct sm_buf raw = SM_BUF_INIT(16 << 20);
    int r = ev_block_event(b, w->row, w->r->names, &w->event, &w->raw, ret);

    if (r >= 0)
        r = ev_block_fields(b, w->row, w->field + HOUSE_OWN, &w->n);
    if (r < 0)
        return r;
    w->n += HOUSE_OWN;
    const struct sm_span own[HOUSE_OWN] = {e->host, event_names_text(names, e->product),
        event_names_text(names, e->category), event_names_text(names, e->service), event_names_text(names, e->format),
        ret->rules};
    for (size_t i = 0; i < HOUSE_OWN; i++)
        w->field[i] = (struct ev_field){.name = SM_SPAN("", 0), .value = own[i]};
    sm_buf_clear(&w->plain);
    r = ev_block_plain(b, w->row, &raw);
    struct sm_buf folded = SM_BUF_INIT(16 << 20);
    if (r >= 0)
        r = ev_fold(sm_buf_span(&raw), &folded);
    if (r >= 0)
        r = put_clean(sm_buf_span(&folded), &w->plain);
    sm_buf_wipe(&folded);
    sm_buf_wipe(&raw);
    return r < 0 ? r : 0;
}

/* ---- writing ---- */

static uint64_t bits_of(double v)
{
    uint64_t u;

    memcpy(&u, &v, 8);
    return u;
}

static int put_i64(struct sm_buf *b, int64_t v)
{
    return sm_buf_put_u64(b, (uint64_t)v);
}

/* The first value of one of these fields. */
static struct sm_span first_of(const struct house_rower *w, const char *const *names)
{
    for (; *names; names++)
        for (size_t i = HOUSE_OWN; i < w->n; i++)
            if (sm_span_eq(w->field[i].name, SM_SPAN_STR(*names)))
                return w->field[i].value;
    return SM_SPAN("", 0);
}

static int put_head(struct house_rower *w, const struct ev_row *row, struct sm_buf *b)
{
    const struct event *e = &w->event;
    int64_t day = w->b.seen_s / 86400, at = e->time.s;
    int r = sm_buf_put_blob(b, SM_SPAN_STR(w->box));

    if (r >= 0)
        r = sm_buf_put_u16(b, (uint16_t)(day < 1 ? 1 : day > 49000 ? 49000 : day));
    if (r >= 0)
        r = sm_buf_put_u64(b, w->b.number);
    if (r >= 0)
        r = sm_buf_put_u32(b, w->b.events);
    if (r >= 0)
        r = sm_buf_put_u64(b, row->id);
    if (r >= 0)
        r = sm_buf_put_u8(b, row->klass);
    if (r >= 0)
        r = sm_buf_put_u32(b, at < 0 ? 0 : at > UINT32_MAX ? UINT32_MAX : (uint32_t)at);
    if (r >= 0)
        r = put_i64(b, e->time.s);
    if (r >= 0)
        r = sm_buf_put_u32(b, e->time.ns);
    if (r >= 0)
        r = put_i64(b, e->seen.s);
    if (r >= 0)
        r = sm_buf_put_u32(b, e->seen.ns);
    if (r >= 0)
        r = sm_buf_put_u64(b, e->source);
    if (r >= 0)
        r = sm_buf_put_u8(b, e->severity);
    return r < 0 ? r : sm_buf_put_u32(b, e->notes);
}

/* Columns for people and their own statements; search uses the arrays. */
static int put_common(const struct house_rower *w, struct sm_buf *b)
{
    static const char *const user[] = {"TargetUserName", "User", "username", "SubjectUserName", "cs-username", NULL},
                             *const address[] = {"IpAddress", "src_ip", "SourceIp", "c-ip", "sender", NULL},
                             *const process[] = {"Image", "NewProcessName", "ProcessName", "exe", "program", NULL},
                             *const event_id[] = {"EventID", "msgid", NULL};
    const char *const *const all[] = {user, address, process, event_id};
    int r = 0;

    for (size_t i = 0; i < HOUSE_OWN && r >= 0; i++)
        r = sm_buf_put_blob(b, w->field[i].value);
    for (size_t i = 0; i < sizeof all / sizeof *all && r >= 0; i++)
        r = sm_buf_put_blob(b, first_of(w, all[i]));
    return r;
}

static int put_arrays(const struct house_rower *w, bool wide, struct sm_buf *b)
{
    int r = sm_buf_put_varint(b, w->n);

    for (size_t i = 0; i < w->n && r >= 0; i++)
        r = sm_buf_put_blob(b, w->field[i].name);
    if (r >= 0)
        r = sm_buf_put_varint(b, w->n);
    for (size_t i = 0; i < w->n && r >= 0; i++)
        r = sm_buf_put_u8(b, w->field[i].type);
    if (r >= 0)
        r = sm_buf_put_varint(b, w->n);
    for (size_t i = 0; i < w->n && r >= 0; i++)
        r = sm_buf_put_blob(b, w->field[i].value);
    if (r >= 0)
        r = sm_buf_put_varint(b, wide ? w->n : 0);
    if (r >= 0 && wide)
        r = sm_buf_put_span(b, sm_buf_span(&w->folded));
    if (r >= 0)
        r = sm_buf_put_varint(b, w->n);
    for (size_t i = 0; i < w->n && r >= 0; i++) {
        double x;
        r = sm_buf_put_u64(b, bits_of(q_number(w->field[i].value, &x) ? x : (double)NAN));
    }
    if (r >= 0)
        r = sm_buf_put_varint(b, w->n);
    for (size_t i = 0; i < w->n && r >= 0; i++) {
        uint8_t a[16];
        r = sm_buf_put_blob(b, SM_SPAN(a, q_address(w->field[i].value, a) < 0 ? 0 : 16));
    }
    return r;
}

int house_rower_next(struct house_rower *w, struct sm_buf *ret)
{
    struct ev_row row;
    bool wide;

    if (w->row >= w->b.events)
        return 0;
    int r = read_row(w, &row);
    if (r >= 0)
        r = fold_row(w, &wide);
    if (r >= 0)
        r = put_head(w, &row, ret);
    if (r >= 0)
        r = put_common(w, ret);
    if (r >= 0)
        r = put_arrays(w, wide, ret);
    if (r >= 0)
        r = sm_buf_put_blob(ret, sm_buf_span(&w->text));
    if (r >= 0)
        r = sm_buf_put_blob(ret, sm_buf_span(&w->plain));
    if (r >= 0)
        r = sm_buf_put_blob(ret, w->event.raw);
    if (r < 0)
        return r;
    w->row++;
    return 1;
}

/* ---- reading ---- */

struct cells {
    struct sm_span v[HOUSE_OWN + EVENT_FIELDS_MAX];
    size_t n;
};

static int get_texts(struct sm_rd *rd, size_t most, struct cells *ret)
{
    uint64_t n = sm_rd_varint(rd);

    if (rd->err || n > HOUSE_OWN + EVENT_FIELDS_MAX || n < HOUSE_OWN)
        return -SM_EFORMAT;
    ret->n = (size_t)n;
    for (size_t i = 0; i < ret->n; i++)
        ret->v[i] = sm_rd_blob(rd, most);
    return rd->err ? -SM_EFORMAT : 0;
}

/* UTF-8 in which a NUL may stand. */
static bool is_text(struct sm_span s)
{
    while (s.n) {
        const uint8_t *nul = memchr(s.p, 0, s.n);
        size_t n = nul ? (size_t)(nul - s.p) : s.n;
        if (n && !sm_utf8_valid(SM_SPAN(s.p, n)))
            return false;
        n += nul != NULL;
        s.p += n;
        s.n -= n;
    }
    return true;
}

/* A number as JSON writes it: it goes into JSON as it is. */
static bool is_json_number(struct sm_span s)
{
    size_t i = s.n && s.p[0] == '-', from = i;

#define DIGIT(k) ((k) < s.n && (uint8_t)(s.p[k] - '0') < 10)
    while (DIGIT(i))
        i++;
    if (i == from || (s.p[from] == '0' && i > from + 1))
        return false;
    if (i < s.n && s.p[i] == '.') {
        from = ++i;
        while (DIGIT(i))
            i++;
        if (i == from)
            return false;
    }
    if (i < s.n && (s.p[i] | 0x20) == 'e') {
        i++;
        i += i < s.n && (s.p[i] == '+' || s.p[i] == '-');
        from = i;
        while (DIGIT(i))
            i++;
        if (i == from)
            return false;
    }
#undef DIGIT
    return i == s.n;
}

/* What a value is called must be what it is. */
static enum event_type type_of(uint8_t said, struct sm_span v)
{
    if (said == EVENT_NUMBER && is_json_number(v))
        return EVENT_NUMBER;
    if (said == EVENT_BOOL && (sm_span_eq(v, SM_SPAN_STR("true")) || sm_span_eq(v, SM_SPAN_STR("false"))))
        return EVENT_BOOL;
    return said == EVENT_NULL && !v.n ? EVENT_NULL : EVENT_TEXT;
}

static int get_fields(struct sm_rd *rd, struct event_names *names, struct event *e, struct sm_span *ret_rules)
{
    struct cells name, value;

    name.n = value.n = 0;
    int r = get_texts(rd, EVENT_NAME_MAX, &name);
    uint64_t n = r < 0 ? 0 : sm_rd_varint(rd);
    struct sm_span type = sm_rd_bytes(rd, n == name.n ? name.n : SIZE_MAX);

    if (r >= 0)
        r = rd->err ? -SM_EFORMAT : get_texts(rd, HOUSE_CELL_MAX, &value);
    if (r < 0 || value.n != name.n)
        return -SM_EFORMAT;
    for (size_t i = 0; i < value.n; i++)
        if (!is_text(value.v[i]) || (i >= HOUSE_OWN && value.v[i].n > EVENT_VALUE_MAX))
            return -SM_EFORMAT;
    uint16_t *const words[] = {&e->product, &e->category, &e->service, &e->format};
    for (size_t i = 0; i < 4; i++)
        *words[i] = value.v[1 + i].n ? event_names_add(names, value.v[1 + i]) : 0;
    e->host = value.v[0];
    *ret_rules = value.v[HOUSE_OWN - 1];
    for (size_t i = HOUSE_OWN; i < value.n && r >= 0; i++)
        r = event_add(e, event_names_add(names, name.v[i]), type_of(type.p[i], value.v[i]), value.v[i]);
    return r;
}

int house_row_get(struct sm_rd *rd, struct event_names *names, struct event *e, struct evsearch_hit *ret)
{
    struct evsearch_hit h = {.event = e};

    event_clear(e);
    h.block = sm_rd_u64(rd);
    h.id = sm_rd_u64(rd);
    h.klass = sm_rd_u8(rd);
    e->time.s = (int64_t)sm_rd_u64(rd);
    e->time.ns = sm_rd_u32(rd);
    e->seen.s = (int64_t)sm_rd_u64(rd);
    e->seen.ns = sm_rd_u32(rd);
    e->source = sm_rd_u64(rd);
    e->severity = sm_rd_u8(rd);
    e->notes = sm_rd_u32(rd);
    int r = rd->err ? -SM_EFORMAT : get_fields(rd, names, e, &h.rules);
    if (r < 0)
        return r == -ENOMEM ? r : -SM_EFORMAT;
    e->raw = sm_rd_blob(rd, EVENT_RAW_MAX);
    if (rd->err || e->time.ns > 999999999 || e->seen.ns > 999999999 || h.klass >= EVIDENCE_CLASSES_MAX)
        return -SM_EFORMAT;
    *ret = h;
    return 0;
}
