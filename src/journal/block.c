/* A closed block: header, columns when they are asked for, events. */
#include "journal/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "crypto/hash.h"

void ev_block_hash(struct sm_span header, uint8_t ret[32])
{
    const struct sm_span parts[] = { SM_SPAN_STR("sakimori/v1/journal-block"), header };

    crypto_sha256v(parts, 2, ret);
}

/* ---- header ---- */

static struct event_time rd_time(struct sm_rd *rd)
{
    struct event_time t = { .s = (int64_t)sm_rd_u64(rd) };

    t.ns = sm_rd_u32(rd);
    return t;
}

static bool column_ok(const struct ev_column *c, const struct ev_head *h)
{
    if (c->values > h->events * (uint64_t)EVENT_FIELDS_MAX || c->values_plain > EV_PLAIN_MAX
        || c->index_plain > EV_PLAIN_MAX
        || c->enc_bad)
        return false;
    if (c->kind >= EV_ID && c->kind < EV_NUMBERS_END)
        return c->values == h->events && c->index_stored == 0;
    if (c->kind >= EV_SHAPE && c->kind < EV_VALUES_END && c->values != h->events)
        return false;
    if (c->distinct > c->values + EV_COLUMNS_MAX && c->kind < EV_VALUES_END)
        return false;
    return true;
}

static void rd_column(struct sm_rd *rd, struct ev_column *c, uint64_t *at)
{
    c->name = sm_rd_blob(rd, EVENT_NAME_MAX);
    c->kind = sm_rd_u8(rd);
    c->encoding = sm_rd_u8(rd);
    uint64_t values = sm_rd_varint(rd), distinct = sm_rd_varint(rd);
    c->values_stored = sm_rd_varint(rd);
    c->values_plain = sm_rd_varint(rd);
    c->index_stored = sm_rd_varint(rd);
    c->index_plain = sm_rd_varint(rd);
    sm_rd_copy(rd, c->hash, sizeof c->hash);
    c->enc_bad = values > UINT32_MAX || distinct > UINT32_MAX || c->values_stored > EV_BODY_MAX
        || c->index_stored > EV_BODY_MAX;
    c->values = (uint32_t)values;
    c->distinct = (uint32_t)distinct;
    c->at = *at;
    if (!c->enc_bad)
        *at += c->values_stored + c->index_stored;
}

static int rd_columns(struct sm_rd *rd, struct ev_head *h)
{
    uint64_t n = sm_rd_varint(rd), at = 0;

    if (rd->err || n > EV_COLUMNS_MAX || n > rd->n || n * h->events > EV_CELLS_MAX)
        return -SM_EFORMAT;
    h->column = calloc(n ? n : 1, sizeof *h->column);
    if (!h->column)
        return -ENOMEM;
    for (; h->columns < n; h->columns++) {
        struct ev_column *c = &h->column[h->columns];
        rd_column(rd, c, &at);
        if (rd->err || !column_ok(c, h) || at > h->body_len)
            return -SM_EFORMAT;
    }
    return sm_rd_done(rd) < 0 || at + h->filter_bytes != h->body_len ? -SM_EFORMAT : 0;
}

static int head_fixed(struct sm_rd *rd, struct ev_head *h)
{
    uint16_t version = sm_rd_u16(rd);

    if (!rd->err && version != 1)
        return -SM_EVERSION;
    h->klass = sm_rd_u8(rd);
    h->flags = sm_rd_u8(rd);
    h->number = sm_rd_u64(rd);
    h->first_id = sm_rd_u64(rd);
    h->last_id = sm_rd_u64(rd);
    h->events = sm_rd_u32(rd);
    h->raw_bytes = sm_rd_u64(rd);
    h->first = rd_time(rd);
    h->last = rd_time(rd);
    h->seen_first = (int64_t)sm_rd_u64(rd);
    h->seen_last = (int64_t)sm_rd_u64(rd);
    sm_rd_copy(rd, h->before, 32);
    h->body_len = sm_rd_u64(rd);
    h->filter_bytes = sm_rd_u32(rd);
    sm_rd_copy(rd, h->filter_hash, 32);
    uint64_t n = sm_rd_varint(rd);
    for (uint64_t i = 0; i < n && i < EV_SOURCES_MAX; i++)
        h->source[h->sources++] = sm_rd_varint(rd);
    if (rd->err || n > EV_SOURCES_MAX || !h->events || h->events > EVIDENCE_BLOCK_EVENTS_MAX
        || h->klass >= EVIDENCE_CLASSES_MAX
        || h->body_len > EV_BODY_MAX || h->filter_bytes > EV_FILTER_MAX || h->filter_bytes > h->body_len
        || (h->filter_bytes & (h->filter_bytes - 1)) || h->last_id < h->first_id || !h->number)
        return -SM_EFORMAT;
    return 0;
}

int ev_head_parse(struct sm_span header, struct ev_head *ret)
{
    struct ev_head h = { 0 };
    struct sm_rd rd = SM_RD(header);
    int r = head_fixed(&rd, &h);

    if (r >= 0)
        r = rd_columns(&rd, &h);
    if (r < 0) {
        ev_head_wipe(&h);
        return r;
    }
    *ret = h;
    return 0;
}

void ev_head_wipe(struct ev_head *h)
{
    free(h->column);
    h->column = NULL;
    h->columns = 0;
}

/* ---- block ---- */

int ev_block_init(struct ev_block *b, struct sm_buf *header, ev_read_fn read, void *arg)
{
    struct ev_block n = { .read = read, .arg = arg };
    int r = ev_head_parse(sm_buf_span(header), &n.head);

    if (r < 0)
        return r;
    size_t cols = n.head.columns ? n.head.columns : 1;
    n.values = calloc(cols, sizeof *n.values);
    n.numbers = calloc(cols, sizeof *n.numbers);
    n.first = calloc(cols, sizeof *n.first);
    n.decoded = calloc(cols, 1);
    if (!n.values || !n.numbers || !n.first || !n.decoded) {
        ev_block_wipe(&n);
        return -ENOMEM;
    }
    n.header = *header;
    *header = (struct sm_buf){ .max = header->max };
    *b = n;
    return 0;
}

void ev_block_wipe(struct ev_block *b)
{
    for (size_t i = 0; i < b->head.columns && b->values && b->numbers && b->first; i++) {
        free(b->values[i].own_index);
        free(b->values[i].own_bytes);
        free(b->values[i].own_off);
        free(b->numbers[i]);
        free(b->first[i]);
    }
    free(b->values);
    free(b->numbers);
    free(b->first);
    free(b->decoded);
    free(b->shape_cols);
    free(b->shape_at);
    ev_head_wipe(&b->head);
    sm_buf_wipe(&b->header);
    *b = (struct ev_block){ 0 };
}

int ev_block_find(const struct ev_block *b, unsigned kind)
{
    for (size_t i = 0; i < b->head.columns; i++)
        if (b->head.column[i].kind == kind)
            return (int)i;
    return -1;
}

/* ---- parts ---- */

static int unpack(const uint8_t *stored, uint64_t stored_n, bool plain, uint64_t n, uint8_t **ret)
{
    uint8_t *p = malloc(n + 8); /* a few more: readers of whole words */
    bool ok;

    if (!p)
        return -ENOMEM;
    if (plain) {
        ok = stored_n == n;
        if (ok && n)
            memcpy(p, stored, n);
    } else {
        ok = ZSTD_decompress(p, n, stored, stored_n) == n;
    }
    if (!ok) {
        free(p);
        return -SM_EFORMAT;
    }
    memset(p + n, 0, 8);
    *ret = p;
    return 0;
}

/* Both parts of a column, decoded.  *ret_index may become NULL. */
static int parts(struct ev_block *b, const struct ev_column *c, uint8_t **ret_values, uint8_t **ret_index)
{
    uint64_t n = c->values_stored + c->index_stored;
    uint8_t hash[32], *values = NULL, *index = NULL, *stored = malloc(n + 1);

    if (!stored)
        return -ENOMEM;
    int r = b->read(b->arg, c->at, n, stored);
    if (r >= 0) {
        b->bytes_read += n;
        b->bytes_decoded += c->values_plain + c->index_plain;
        crypto_sha256(SM_SPAN(stored, n), hash);
        r = memcmp(hash, c->hash, 32) ? -SM_ECORRUPT : 0;
    }
    if (r >= 0)
        r = unpack(stored, c->values_stored, c->encoding & EV_ENC_VALUES_PLAIN, c->values_plain, &values);
    if (r >= 0 && c->index_plain)
        r = unpack(stored + c->values_stored, c->index_stored, c->encoding & EV_ENC_INDEX_PLAIN, c->index_plain,
            &index);
    free(stored);
    if (r < 0) {
        free(values);
        free(index);
        return r;
    }
    *ret_values = values;
    *ret_index = index;
    return 0;
}

/* Decimal numbers as text again. */
static int decimals(const struct ev_column *c, const uint8_t *part, uint32_t *off, uint8_t **ret)
{
    struct sm_rd rd = SM_RD(SM_SPAN(part, c->values_plain));
    uint8_t *text = malloc((size_t)c->distinct * 20 + 8);
    uint64_t x = 0;
    size_t n = 0;

    if (!text)
        return -ENOMEM;
    for (uint32_t d = 0; d < c->distinct; d++) {
        char digits[24];
        x += (uint64_t)ev_unzigzag(sm_rd_varint(&rd));
        size_t k = sizeof digits;
        uint64_t v = x;
        do {
            digits[--k] = (char)('0' + v % 10);
            v /= 10;
        } while (v);
        memcpy(text + n, digits + k, sizeof digits - k);
        n += sizeof digits - k;
        off[d + 1] = (uint32_t)n;
    }
    if (sm_rd_done(&rd) < 0) {
        free(text);
        return -SM_EFORMAT;
    }
    *ret = text;
    return 0;
}

/* Lengths in front of the bytes: off becomes sums, *ret_bytes where the bytes begin. */
static int lengths(const struct ev_column *c, const uint8_t *part, uint32_t *off, const uint8_t **ret_bytes)
{
    struct sm_rd rd = SM_RD(SM_SPAN(part, c->values_plain));
    uint64_t sum = 0;

    for (uint32_t d = 0; d < c->distinct; d++) {
        if (rd.n && *rd.p < 0x80) { /* nearly always */
            sum += *rd.p++;
            rd.n--;
        } else {
            sum += sm_rd_varint(&rd);
        }
        if (rd.err || sum > c->values_plain)
            return -SM_EFORMAT;
        off[d + 1] = (uint32_t)sum;
    }
    if (rd.err || rd.n != sum)
        return -SM_EFORMAT;
    *ret_bytes = rd.p;
    return 0;
}

static int index_ok(const struct ev_column *c, struct ev_values *v)
{
    if (c->encoding & EV_ENC_NO_INDEX)
        return c->index_plain || (c->distinct != c->values && c->distinct != 1) ? -SM_EFORMAT : 0;
    v->width = c->distinct <= 256 ? 1 : c->distinct <= 65536 ? 2 : 4;
    if (c->index_plain != (uint64_t)c->values * v->width)
        return -SM_EFORMAT;
    for (uint32_t i = 0; i < c->values; i++)
        if (ev_values_at(v, i) >= c->distinct)
            return -SM_EFORMAT;
    return 0;
}

static int decode_values(struct ev_block *b, const struct ev_column *c, struct ev_values *v)
{
    uint8_t *part = NULL;

    if (c->distinct > c->values_plain)
        return -SM_EFORMAT; /* each has a byte at least: so a small header cannot ask for much memory */
    int r = parts(b, c, &part, &v->own_index);
    if (r < 0)
        return r;
    v->n = c->values;
    v->distinct = c->distinct;
    v->index = v->own_index;
    v->own_off = calloc((size_t)c->distinct + 1, sizeof *v->own_off);
    r = v->own_off ? 0 : -ENOMEM;
    if (r >= 0 && c->encoding & EV_ENC_DECIMAL) {
        r = decimals(c, part, v->own_off, &v->own_bytes);
        v->bytes = v->own_bytes;
        free(part);
    } else if (r >= 0) {
        v->own_bytes = part;
        r = lengths(c, part, v->own_off, &v->bytes);
    } else {
        free(part);
    }
    v->off = v->own_off;
    return r < 0 ? r : index_ok(c, v);
}

int ev_block_values(struct ev_block *b, size_t column, const struct ev_values **ret)
{
    const struct ev_column *c = &b->head.column[column];
    struct ev_values v = { 0 };

    if (c->kind >= EV_VALUES_END)
        return -SM_EFORMAT;
    if (!b->decoded[column]) {
        int r = decode_values(b, c, &v);
        if (r < 0) {
            free(v.own_index);
            free(v.own_bytes);
            free(v.own_off);
            return r;
        }
        b->values[column] = v;
        b->decoded[column] = 1;
    }
    *ret = &b->values[column];
    return 0;
}

int ev_block_numbers(struct ev_block *b, unsigned kind, const int64_t **ret)
{
    int col = ev_block_find(b, kind);

    if (col < 0)
        return -SM_EFORMAT;
    if (b->numbers[col]) {
        *ret = b->numbers[col];
        return 0;
    }
    const struct ev_column *c = &b->head.column[col];
    uint8_t *part = NULL, *none = NULL;
    if (c->values_plain < c->values)
        return -SM_EFORMAT;
    int r = parts(b, c, &part, &none);
    if (r < 0)
        return r;
    int64_t *n = malloc(((size_t)c->values + 1) * sizeof *n);
    struct sm_rd rd = SM_RD(SM_SPAN(part, c->values_plain));
    uint64_t x = 0;
    for (uint32_t i = 0; n && i < c->values; i++) {
        x += (uint64_t)ev_unzigzag(sm_rd_varint(&rd));
        n[i] = (int64_t)x;
    }
    r = !n ? -ENOMEM : sm_rd_done(&rd);
    free(part);
    free(none);
    if (r < 0) {
        free(n);
        return r == -ENOMEM ? r : -SM_EFORMAT;
    }
    b->numbers[col] = n;
    *ret = n;
    return 0;
}

/* ---- shapes ---- */

static int one_shape(struct ev_block *b, struct sm_span s, uint32_t *n)
{
    struct sm_rd rd = SM_RD(s);

    while (rd.n && !rd.err) {
        uint64_t c = sm_rd_varint(&rd);
        if (rd.err || c >= b->head.columns || b->head.column[c].kind >= EV_SHAPE)
            return -SM_EFORMAT;
        b->shape_cols[(*n)++] = (uint16_t)c;
    }
    return rd.err ? -SM_EFORMAT : 0;
}

int ev_block_shapes(struct ev_block *b)
{
    const struct ev_values *v;
    int col = ev_block_find(b, EV_SHAPE), r;

    if (b->shape_at)
        return 0;
    r = col < 0 ? -SM_EFORMAT : ev_block_values(b, (size_t)col, &v);
    if (r < 0)
        return r;
    uint32_t *at = calloc((size_t)v->distinct + 1, sizeof *at), n = 0;
    b->shape_cols = malloc(((size_t)v->off[v->distinct] + 1) * sizeof *b->shape_cols);
    r = at && b->shape_cols ? 0 : -ENOMEM;
    for (uint32_t d = 0; d < v->distinct && r >= 0; d++) {
        r = one_shape(b, ev_values_get(v, d), &n);
        at[d + 1] = n;
        if (r >= 0 && at[d + 1] - at[d] > EVENT_FIELDS_MAX)
            r = -SM_EFORMAT;
    }
    if (r < 0) {
        free(at);
        free(b->shape_cols);
        b->shape_cols = NULL;
        return r;
    }
    b->shape_at = at;
    b->shapes = v->distinct;
    return 0;
}

int ev_block_first(struct ev_block *b, size_t column, const uint32_t **ret_first)
{
    const struct ev_values *shape;
    int r = ev_block_shapes(b);

    if (r < 0)
        return r;
    if (b->first[column]) {
        *ret_first = b->first[column];
        return 0;
    }
    r = ev_block_values(b, (size_t)ev_block_find(b, EV_SHAPE), &shape);
    if (r < 0)
        return r;
    uint16_t *per = calloc((size_t)b->shapes + 1, sizeof *per);
    uint32_t *first = malloc(((size_t)b->head.events + 1) * sizeof *first), sum = 0;
    if (!per || !first) {
        free(per);
        free(first);
        return -ENOMEM;
    }
    for (uint32_t s = 0; s < b->shapes; s++)
        for (uint32_t i = b->shape_at[s]; i < b->shape_at[s + 1]; i++)
            per[s] = (uint16_t)(per[s] + (b->shape_cols[i] == column));
    for (uint32_t e = 0; e < b->head.events; e++) {
        first[e] = sum;
        sum += per[ev_values_at(shape, e)];
    }
    first[b->head.events] = sum;
    free(per);
    if (sum != b->head.column[column].values) {
        free(first);
        return -SM_EFORMAT;
    }
    *ret_first = b->first[column] = first;
    return 0;
}

/* ---- events ---- */

int ev_block_fields(struct ev_block *b, uint32_t row, struct ev_field *ret, size_t *ret_n)
{
    const struct ev_values *shape, *v;
    const uint32_t *first;
    int r = ev_block_shapes(b);

    if (r >= 0)
        r = ev_block_values(b, (size_t)ev_block_find(b, EV_SHAPE), &shape);
    if (r < 0)
        return r;
    uint32_t s = ev_values_at(shape, row), from = b->shape_at[s], n = b->shape_at[s + 1] - from;
    for (uint32_t i = 0; i < n; i++) {
        size_t c = b->shape_cols[from + i];
        uint32_t nth = 0;
        for (uint32_t k = 0; k < i; k++)
            nth += b->shape_cols[from + k] == c;
        r = ev_block_values(b, c, &v);
        if (r >= 0)
            r = ev_block_first(b, c, &first);
        if (r < 0)
            return r;
        ret[i] = (struct ev_field){ .name = b->head.column[c].name, .type = b->head.column[c].kind,
            .value = ev_values_get(v, ev_values_at(v, first[row] + nth)) };
    }
    *ret_n = n;
    return 0;
}

static int own_text(struct ev_block *b, unsigned kind, uint32_t row, struct sm_span *ret)
{
    const struct ev_values *v;
    int col = ev_block_find(b, kind), r = col < 0 ? -SM_EFORMAT : ev_block_values(b, (size_t)col, &v);

    if (r >= 0)
        *ret = ev_values_get(v, ev_values_at(v, row));
    return r;
}

int ev_block_plain(struct ev_block *b, uint32_t row, struct sm_buf *ret)
{
    struct ev_field f[EVENT_FIELDS_MAX];
    struct sm_span rest;
    size_t n;
    int r = own_text(b, EV_REST, row, &rest);

    if (r >= 0)
        r = ev_block_fields(b, row, f, &n);
    return r < 0 ? r : ev_rest_raw(rest, f, n, true, ret);
}

static int put_words(struct ev_block *b, uint32_t row, struct event_names *names, struct event *e)
{
    uint16_t *const to[] = { &e->product, &e->category, &e->service, &e->format };

    for (unsigned k = 0; k < 4; k++) {
        struct sm_span w;
        int r = own_text(b, EV_PRODUCT + k, row, &w);
        if (r < 0)
            return r;
        *to[k] = w.n ? event_names_add(names, w) : 0;
    }
    return own_text(b, EV_HOST, row, &e->host);
}

static int put_own_numbers(struct ev_block *b, uint32_t row, struct event *e, struct ev_row *ret)
{
    const int64_t *n[EV_NUMBERS_END - EV_ID];

    for (unsigned k = EV_ID; k < EV_NUMBERS_END; k++) {
        int r = ev_block_numbers(b, k, &n[k - EV_ID]);
        if (r < 0)
            return r;
    }
#define AT(kind) n[(kind) - EV_ID][row]
    ret->id = (uint64_t)AT(EV_ID);
    e->time = (struct event_time){ AT(EV_TIME), (uint32_t)AT(EV_TIME_NS) % 1000000000u };
    e->seen = (struct event_time){ AT(EV_SEEN), (uint32_t)AT(EV_SEEN_NS) % 1000000000u };
    e->source = (uint64_t)AT(EV_SOURCE);
    e->severity = (uint8_t)AT(EV_SEVERITY);
    e->notes = (uint32_t)AT(EV_NOTES);
#undef AT
    return 0;
}

int ev_block_event(struct ev_block *b, uint32_t row, struct event_names *names, struct event *e, struct sm_buf *raw,
    struct ev_row *ret)
{
    struct ev_field f[EVENT_FIELDS_MAX];
    struct sm_span rest;
    size_t n;
    struct ev_row got = { .klass = b->head.klass };
    int r = ev_block_fields(b, row, f, &n);

    event_clear(e);
    if (r >= 0)
        r = put_own_numbers(b, row, e, &got);
    if (r >= 0)
        r = put_words(b, row, names, e);
    if (r >= 0)
        r = own_text(b, EV_RULES, row, &got.rules);
    if (r >= 0)
        r = own_text(b, EV_REST, row, &rest);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = event_add(e, event_names_add(names, f[i].name), (enum event_type)f[i].type, f[i].value);
    sm_buf_clear(raw);
    if (r >= 0)
        r = ev_rest_raw(rest, f, n, false, raw);
    if (r < 0)
        return r;
    e->raw = sm_buf_span(raw);
    *ret = got;
    return 0;
}
