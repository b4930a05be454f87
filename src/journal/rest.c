/*
 * Raw stored once: what of it is not the value of a field, with references to the values in between.
 */
#include "journal/internal.h"

#include <stdlib.h>

enum { REFS_MAX = EVENT_FIELDS_MAX, MISSES_MAX = 8, LOOK_FOR_MIN = 4, REACH = 2048 };
struct ref { uint32_t at, n; uint16_t field; bool escaped; };

static bool needs_escape(struct sm_span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] == '"' || s.p[i] == '\\')
            return true;
    return false;
}

static int escape(struct sm_span s, struct sm_buf *ret)
{
    static const char hex[] = "0123456789abcdef", from[] = "\b\f\n\r\t", to[] = "bfnrt";
    int r = sm_buf_reserve(ret, 6 * s.n);

    if (r < 0)
        return r;
    uint8_t *p = ret->p + ret->n;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        const char *short_form = c && c < 0x20 ? strchr(from, c) : NULL;
        if (c == '"' || c == '\\' || c < 0x20)
            *p++ = '\\';
        if (c >= 0x20) {
            *p++ = c;
        } else if (short_form) {
            *p++ = (uint8_t)to[short_form - from];
        } else {
            memcpy(p, "u00", 3);
            p[3] = (uint8_t)hex[c >> 4];
            p[4] = (uint8_t)hex[c & 15];
            p += 5;
        }
    }
    ret->n = (size_t)(p - ret->p);
    return 0;
}

/* ---- reading ---- */

int ev_rest_next(struct sm_rd *rd, size_t fields, struct ev_piece *ret)
{
    if (rd->err)
        return rd->err;
    if (!rd->n)
        return 0;
    ret->literal = sm_rd_blob(rd, EVENT_RAW_MAX);
    ret->field = -1;
    if (!rd->err && rd->n) {
        uint64_t ref = sm_rd_varint(rd);
        if (ref >> 1 >= fields)
            return -SM_EFORMAT;
        ret->field = (int)(ref >> 1);
        ret->escaped = ref & 1;
    }
    return rd->err ? rd->err : 1;
}

int ev_rest_raw(struct sm_span rest, const struct ev_field *fields, size_t n, bool plain, struct sm_buf *ret)
{
    struct sm_rd rd = SM_RD(rest);
    struct ev_piece p;
    int r;

    while ((r = ev_rest_next(&rd, n, &p)) > 0) {
        r = sm_buf_put_span(ret, p.literal);
        if (r >= 0 && p.field >= 0)
            r = p.escaped && !plain ? escape(fields[p.field].value, ret) : sm_buf_put_span(ret, fields[p.field].value);
        if (r < 0)
            return r;
    }
    return r;
}

/* ---- making ---- */

static int by_place(const void *a, const void *b)
{
    const struct ref *x = a, *y = b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->n > y->n ? -1 : x->n < y->n;
}

/* Values that are parts of raw where they lie. */
static size_t borrowed(const struct event *e, struct ref *ref, bool *ret_sorted)
{
    size_t n = 0;

    *ret_sorted = true;
    for (size_t i = 0; i < e->n && n < REFS_MAX; i++) {
        uintptr_t p = (uintptr_t)e->fields[i].p, raw = (uintptr_t)e->raw.p;
        if (!e->fields[i].n || p < raw || p > raw + e->raw.n || e->fields[i].n > raw + e->raw.n - p)
            continue;
        ref[n] = (struct ref){ .at = (uint32_t)(p - raw), .n = e->fields[i].n, .field = (uint16_t)i };
        if (n && by_place(&ref[n - 1], &ref[n]) > 0)
            *ret_sorted = false;
        n++;
    }
    return n;
}

/* The longest of those that begin at one place, and none inside another. */
static size_t apart(struct ref *ref, size_t n)
{
    size_t kept = 0;
    uint32_t end = 0;

    for (size_t i = 0; i < n; i++) {
        if (ref[i].at < end)
            continue;
        end = ref[i].at + ref[i].n;
        ref[kept++] = ref[i];
    }
    return kept;
}

static uint32_t find(struct sm_span raw, uint32_t from, struct sm_span what)
{
    size_t end = raw.n - from < REACH + what.n ? raw.n : from + REACH + what.n;
    const uint8_t *p = sm_find(SM_SPAN(raw.p + from, end - from), what.p, what.n);

    return p ? (uint32_t)(p - raw.p) : UINT32_MAX;
}

/*
 * Values that were unescaped or decoded lie elsewhere: looked for behind the value before, as they are or in JSON's
 * escapes.
 * `pos` follows the borrowed ones too, since parsers go from left to right.
 */
static int copied(const struct event *e, struct ref *ref, size_t n, struct sm_buf *scratch, size_t *ret_n)
{
    uint32_t pos = 0;
    unsigned misses = 0;
    size_t b = 0, known = n;

    for (size_t i = 0; i < e->n && n < REFS_MAX && misses < MISSES_MAX; i++) {
        if (b < known && ref[b].field == i) {
            pos = ref[b].at + ref[b].n;
            b++;
            continue;
        }
        struct sm_span v = event_value(&e->fields[i]);
        if (v.n < LOOK_FOR_MIN || v.n > e->raw.n)
            continue;
        bool escaped = needs_escape(v);
        if (escaped) {
            sm_buf_clear(scratch);
            int r = escape(v, scratch);
            if (r < 0)
                return r;
            v = sm_buf_span(scratch);
        }
        uint32_t at = find(e->raw, pos, v);
        if (at == UINT32_MAX) {
            misses++;
            continue;
        }
        ref[n++] = (struct ref){ .at = at, .n = (uint32_t)v.n, .field = (uint16_t)i, .escaped = escaped };
        pos = at + (uint32_t)v.n;
    }
    *ret_n = n;
    return 0;
}

int ev_rest_make(const struct event *e, struct sm_buf *ret, struct sm_buf *scratch)
{
    struct ref ref[REFS_MAX];
    struct sm_span raw = e->raw;
    bool sorted;
    size_t found = borrowed(e, ref, &sorted), n;
    int r = sorted ? copied(e, ref, found, scratch, &n) : 0;

    sm_buf_clear(ret);
    if (r < 0)
        return r;
    if (!sorted || n > found)
        qsort(ref, sorted ? n : found, sizeof *ref, by_place);
    n = apart(ref, sorted ? n : found);
    r = sm_buf_reserve(ret, raw.n + 16 * (n + 1));
    uint32_t at = 0;
    for (size_t i = 0; i < n && r >= 0; i++) {
        r = sm_buf_put_blob(ret, SM_SPAN(raw.p + at, ref[i].at - at));
        if (r >= 0)
            r = sm_buf_put_varint(ret, (uint64_t)ref[i].field << 1 | ref[i].escaped);
        at = ref[i].at + ref[i].n;
    }
    if (r >= 0 && (at < raw.n || (n && !raw.n)))
        r = sm_buf_put_blob(ret, SM_SPAN(raw.p + at, raw.n - at));
    return r;
}
