/*
 * The open block: columns grow as events come (a table per column finds values that are there already), so that
 * closing is
 * only writing down.
 */
#include "journal/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "crypto/hash.h"
#include "crypto/random.h"

enum { COLUMN_SLOTS = 16, NAME_SLOTS = 2 * EV_COLUMNS_MAX, VALUES_FIRST = 64, RAW_MAX = 128 << 20,
    BYTES_MAX = 128 << 20 };
enum { NUMBERS = EV_NUMBERS_END - EV_ID, OUT_KEPT = 8 << 20 };

struct slot { uint32_t hash, value; };   /* value: number + 1, 0 free */
struct col {
    char *name;
    uint32_t name_n;
    uint8_t kind;
    struct sm_buf bytes;
    uint32_t *off, *index;
    struct slot *slot;
    uint32_t distinct, off_cap, n, index_cap, slots, last;
};
struct out { struct sm_buf head, body, a, c, filter; };
struct ev_build {
    struct col *col[EV_COLUMNS_MAX];
    size_t cols;
    uint16_t *name_slot;                /* column + 1, by name and kind */
    uint16_t by_number[EVENT_NAMES_MAX + 1][4];
    int64_t *number[NUMBERS];
    size_t number_cap;
    struct ev_build_state state;
    uint64_t seed, raw_bytes;
    uint64_t source[EV_SOURCES_MAX];
    uint8_t source_near[256];           /* place + 1 of a source, by its hash: a guess */
    size_t sources;
    bool sources_all;
    struct out out;                     /* its memory is used again for every block */
    struct event_time first, last;
    int64_t seen_first, seen_last;
    struct ev_keyset keys;
    struct sm_buf shape, scratch, plain;
    uint32_t *edge;
    size_t edges, edge_cap;
    ZSTD_CCtx *z;
};

const char *ev_kind_name(unsigned kind)
{
    static const char *const values[] = { "@shape", "@rest", "@host", "@product", "@category", "@service", "@format",
        "@rules" };
    static const char *const numbers[] = { "@id", "@time", "@time_ns", "@seen", "@seen_ns", "@source", "@severity",
        "@notes",
        "@raw" };

    if (kind >= EV_SHAPE && kind < EV_VALUES_END)
        return values[kind - EV_SHAPE];
    return kind >= EV_ID && kind < EV_NUMBERS_END ? numbers[kind - EV_ID] : NULL;
}

/* ---- columns ---- */

static void col_free(struct col *c)
{
    if (!c)
        return;
    sm_buf_wipe(&c->bytes);
    free(c->name);
    free(c->off);
    free(c->index);
    free(c->slot);
    free(c);
}

static struct col *col_new(struct sm_span name, uint8_t kind)
{
    struct col *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->name = malloc(name.n + 1);
    c->off = calloc(VALUES_FIRST, sizeof *c->off);
    c->index = calloc(VALUES_FIRST, sizeof *c->index);
    c->slot = calloc(COLUMN_SLOTS, sizeof *c->slot);
    c->bytes.max = EV_PLAIN_MAX;
    if (!c->name || !c->off || !c->index || !c->slot || sm_buf_reserve(&c->bytes, 64) < 0) {
        col_free(c);
        return NULL;
    }
    if (name.n)
        memcpy(c->name, name.p, name.n);
    c->name_n = (uint32_t)name.n;
    c->kind = kind;
    c->off_cap = c->index_cap = VALUES_FIRST;
    c->slots = COLUMN_SLOTS;
    return c;
}

static struct sm_span value_of(const struct col *c, uint32_t d)
{
    return SM_SPAN(c->bytes.p + c->off[d], c->off[d + 1] - c->off[d]);
}

/* Never 0. */
static uint32_t hash_of(const struct ev_build *b, struct sm_span v)
{
    uint32_t h = (uint32_t)(ev_hash(v.p, v.n, b->seed) >> 32);

    return h ? h : 1;
}

static inline bool same(struct sm_span a, struct sm_span b)
{
    return a.n == b.n && (!a.n || (a.p[a.n - 1] == b.p[b.n - 1] && !memcmp(a.p, b.p, a.n)));
}

static int col_grow(struct col *c)
{
    uint32_t n = 2 * c->slots;
    struct slot *more = calloc(n, sizeof *more);

    if (!more)
        return -ENOMEM;
    for (uint32_t i = 0; i < c->slots; i++) {
        uint32_t at = c->slot[i].hash & (n - 1);
        if (!c->slot[i].value)
            continue;
        while (more[at].value)
            at = (at + 1) & (n - 1);
        more[at] = c->slot[i];
    }
    free(c->slot);
    c->slot = more;
    c->slots = n;
    return 0;
}

static int grow32(uint32_t **p, uint32_t *cap, uint32_t want)
{
    if (want <= *cap)
        return 0;
    uint32_t *more = realloc(*p, 2 * (size_t)*cap * sizeof *more);
    if (!more)
        return -ENOMEM;
    *p = more;
    *cap *= 2;
    return 0;
}

/* The number of the value, made when it is new (*ret_new). */
static int col_value(struct ev_build *b, struct col *c, struct sm_span v, uint32_t hash, uint32_t *ret, bool *ret_new)
{
    int r = c->distinct + 1 > c->slots / 2 ? col_grow(c) : 0;
    if (r < 0)
        return r;
    uint32_t at = hash & (c->slots - 1);
    for (; c->slot[at].value; at = (at + 1) & (c->slots - 1))
        if (c->slot[at].hash == hash && same(value_of(c, c->slot[at].value - 1), v)) {
            *ret = c->slot[at].value - 1;
            return 0;
        }
    r = grow32(&c->off, &c->off_cap, c->distinct + 2);
    if (r >= 0)
        r = sm_buf_put_span(&c->bytes, v);
    if (r < 0)
        return r;
    c->off[c->distinct + 1] = (uint32_t)c->bytes.n;
    c->slot[at] = (struct slot){ hash, ++c->distinct };
    *ret = c->distinct - 1;
    *ret_new = true;
    b->state.bytes += v.n + 12;
    return 0;
}

static bool is_last(const struct col *c, struct sm_span v)
{
    return c->n && same(value_of(c, c->last), v);
}

/* hash: of v; 0: not known, since v may be the column's last value again. */
static int col_put(struct ev_build *b, struct col *c, struct sm_span v, uint32_t hash, bool *ret_new)
{
    uint32_t d = c->last;
    int r = grow32(&c->index, &c->index_cap, c->n + 1);

    *ret_new = false;
    if (r >= 0 && (hash || !is_last(c, v)))
        r = col_value(b, c, v, hash ? hash : hash_of(b, v), &d, ret_new);
    if (r < 0)
        return r;
    c->last = d;
    c->index[c->n++] = d;
    b->state.bytes += 2;
    return 0;
}

/* Column of a name; -SM_ELIMIT when there are too many. */
static int col_find(struct ev_build *b, struct sm_span name, uint8_t kind, uint16_t *ret)
{
    size_t at = ev_hash(name.p, name.n, b->seed + kind) & (NAME_SLOTS - 1);

    for (; b->name_slot[at]; at = (at + 1) & (NAME_SLOTS - 1)) {
        const struct col *c = b->col[b->name_slot[at] - 1];
        if (c->kind == kind && sm_span_eq(SM_SPAN(c->name, c->name_n), name)) {
            *ret = (uint16_t)(b->name_slot[at] - 1);
            return 0;
        }
    }
    if (b->cols == EV_COLUMNS_MAX - NUMBERS)
        return -SM_ELIMIT;
    struct col *c = col_new(name, kind);
    if (!c)
        return -ENOMEM;
    b->col[b->cols] = c;
    *ret = (uint16_t)b->cols++;
    b->name_slot[at] = (uint16_t)b->cols;
    b->state.bytes += 1024;
    return 0;
}

static int col_of(struct ev_build *b, const struct ev_field *f, uint16_t *ret)
{
    uint16_t *known = f->number <= EVENT_NAMES_MAX ? &b->by_number[f->number][f->type & 3] : NULL;

    if (known && *known) {
        const struct col *c = b->col[*known - 1];
        if (sm_span_eq(SM_SPAN(c->name, c->name_n), f->name)) {
            *ret = (uint16_t)(*known - 1);
            return 0;
        }
    }
    int r = col_find(b, f->name, f->type & 3, ret);
    if (r >= 0 && known)
        *known = (uint16_t)(*ret + 1);
    return r;
}

/* ---- a builder ---- */

static int own_columns(struct ev_build *b)
{
    for (unsigned k = EV_SHAPE; k < EV_VALUES_END; k++) {
        uint16_t at;
        int r = col_find(b, SM_SPAN_STR(ev_kind_name(k)), (uint8_t)k, &at);
        if (r < 0)
            return r;
    }
    return 0;
}

int ev_build_new(struct ev_build **ret)
{
    struct ev_build *b = calloc(1, sizeof *b);

    if (!b)
        return -ENOMEM;
    crypto_random(&b->seed, sizeof b->seed);
    b->name_slot = calloc(NAME_SLOTS, sizeof *b->name_slot);
    b->z = ZSTD_createCCtx();
    b->edge_cap = 64;
    b->edge = calloc(b->edge_cap, sizeof *b->edge);
    b->shape.max = 1 << 16;
    b->scratch.max = b->plain.max = 16 << 20;
    int r = b->name_slot && b->z && b->edge ? ev_keyset_init(&b->keys) : -ENOMEM;
    if (r >= 0)
        r = own_columns(b);
    if (r < 0) {
        ev_build_free(b);
        return r;
    }
    *ret = b;
    return 0;
}

static void drop(struct ev_build *b)
{
    for (size_t i = 0; i < b->cols; i++)
        col_free(b->col[i]);
    b->cols = 0;
    for (size_t i = 0; i < NUMBERS; i++) {
        free(b->number[i]);
        b->number[i] = NULL;
    }
    b->number_cap = 0;
}

void ev_build_free(struct ev_build *b)
{
    if (!b)
        return;
    drop(b);
    ev_keyset_wipe(&b->keys);
    sm_buf_wipe(&b->shape);
    sm_buf_wipe(&b->scratch);
    sm_buf_wipe(&b->plain);
    struct sm_buf *const out[] = { &b->out.head, &b->out.body, &b->out.a, &b->out.c, &b->out.filter };
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        sm_buf_wipe(out[i]);
    free(b->edge);
    free(b->name_slot);
    ZSTD_freeCCtx(b->z);
    free(b);
}

void ev_build_clear(struct ev_build *b)
{
    drop(b);
    memset(b->name_slot, 0, NAME_SLOTS * sizeof *b->name_slot);
    memset(b->by_number, 0, sizeof b->by_number);
    ev_keyset_clear(&b->keys);
    b->state = (struct ev_build_state){ 0 };
    b->raw_bytes = 0;
    b->sources = 0;
    b->sources_all = false;
    memset(b->source_near, 0, sizeof b->source_near);
    crypto_random(&b->seed, sizeof b->seed);
    if (own_columns(b) < 0)
        drop(b); /* the next add makes them */
}

struct ev_build_state ev_build_state(const struct ev_build *b)
{
    return b->state;
}

/* ---- keys of the filter ---- */

/* within: the value is part of another one of its event, whose keys have all of its own but that of its name. */
static int value_keys(struct ev_build *b, const struct col *c, struct sm_span v, bool within)
{
    int r = 0;

    sm_buf_clear(&b->scratch);
    if (!within)
        r = ev_keyset_text(&b->keys, v, &b->scratch);
    else if (v.n <= 3 * EV_VALUE_KEY_MAX)
        r = ev_fold(v, &b->scratch);
    else
        return 0;
    if (r >= 0 && b->scratch.n <= EV_VALUE_KEY_MAX)
        ev_keyset_put(&b->keys, ev_key_value(SM_SPAN(c->name, c->name_n), sm_buf_span(&b->scratch)));
    return r;
}

static int rest_keys(struct ev_build *b, struct sm_span rest, size_t fields)
{
    struct sm_rd rd = SM_RD(rest);
    struct ev_piece p;
    int r;

    while ((r = ev_rest_next(&rd, fields, &p)) > 0) {
        r = ev_keyset_text(&b->keys, p.literal, &b->scratch);
        if (r < 0)
            return r;
    }
    return r;
}

static int edge(struct ev_build *b)
{
    if (b->plain.n > UINT32_MAX)
        return -SM_ELIMIT;
    if (b->edges == b->edge_cap) {
        uint32_t *more = realloc(b->edge, 2 * b->edge_cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        b->edge = more;
        b->edge_cap *= 2;
    }
    b->edge[b->edges++] = (uint32_t)b->plain.n;
    return 0;
}

/* Raw as search sees it, and where its pieces meet. */
static int lay_out(struct ev_build *b, const struct ev_record *r)
{
    struct sm_rd rd = SM_RD(r->rest);
    struct ev_piece p;
    int err;

    sm_buf_clear(&b->plain);
    b->edges = 0;
    while ((err = ev_rest_next(&rd, r->n, &p)) > 0) {
        err = ev_fold(p.literal, &b->plain);
        if (err >= 0)
            err = edge(b);
        if (err >= 0 && p.field >= 0)
            err = ev_fold(r->fields[p.field].value, &b->plain);
        if (err >= 0)
            err = edge(b);
        if (err < 0)
            return err;
    }
    return err;
}

static bool joins(uint8_t c)
{
    return c == '.' || c == ':' || c == '-' || c == '_' || c == '/' || c == '\\' || c == '@';
}

/* Is i inside what tokens and single joints between them make? */
static bool linked(struct sm_span s, size_t i)
{
    if (ev_is_word(s.p[i]))
        return true;
    return joins(s.p[i]) && i && i + 1 < s.n && ev_is_word(s.p[i - 1]) && ev_is_word(s.p[i + 1]);
}

/* The stretch around an edge in which a key of tokens may lie that is in no piece: up to three whole tokens on each
 * side. */
static struct sm_span around(struct sm_span s, size_t at)
{
    size_t from = at, to = at;
    unsigned words = 0;

    while (from && linked(s, from - 1)) {
        if (ev_is_word(s.p[from - 1]) && !ev_is_word(s.p[from]) && ++words > 3)
            break;
        from--;
    }
    words = 0;
    while (to < s.n && linked(s, to)) {
        if (ev_is_word(s.p[to]) && !ev_is_word(s.p[to - 1]) && ++words > 3)
            break;
        to++;
    }
    return SM_SPAN(s.p + from, to - from);
}

/* Keys that no piece of raw has for itself: where pieces meet. */
static void edge_keys(struct ev_build *b)
{
    struct sm_span s = sm_buf_span(&b->plain);
    size_t token_end = 0; /* of the token that the edge before lay in: the same stretch is not looked at twice */

    for (size_t i = 0; i < b->edges; i++) {
        size_t at = b->edge[i];
        if (!at || at >= s.n || (i && b->edge[i - 1] == at))
            continue;
        size_t reach = (s.p[at - 1] | s.p[at]) & 0x80 ? 8 : 2;
        size_t from = at > reach ? at - reach : 0, to = s.n - at > reach ? at + reach : s.n;
        ev_keyset_folded(&b->keys, SM_SPAN(s.p + from, to - from));
        if (!linked(s, at) || !linked(s, at - 1) || at < token_end)
            continue;
        ev_keyset_folded(&b->keys, around(s, at));
        for (token_end = at; token_end < s.n && ev_is_word(s.p[token_end]);)
            token_end++;
    }
}

/* ---- taking an event ---- */

static bool earlier(struct event_time a, struct event_time b)
{
    return a.s != b.s ? a.s < b.s : a.ns < b.ns;
}

static int number_room(struct ev_build *b)
{
    if (b->state.events < b->number_cap)
        return 0;
    size_t cap = b->number_cap ? 2 * b->number_cap : 256;
    for (size_t i = 0; i < NUMBERS; i++) {
        int64_t *more = realloc(b->number[i], cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        b->number[i] = more;
    }
    b->number_cap = cap;
    return 0;
}

static void put_numbers(struct ev_build *b, const struct ev_record *r)
{
    const int64_t v[NUMBERS] = { (int64_t)r->id, r->time.s, r->time.ns, r->seen.s, r->seen.ns, (int64_t)r->source,
        r->severity,
        r->notes, (int64_t)r->raw_n };
    size_t i = b->state.events;

    for (size_t k = 0; k < NUMBERS; k++)
        b->number[k][i] = v[k];
    if (!i || earlier(r->time, b->first))
        b->first = r->time;
    if (!i || earlier(b->last, r->time))
        b->last = r->time;
    b->seen_first = !i || r->seen.s < b->seen_first ? r->seen.s : b->seen_first;
    b->seen_last = !i || r->seen.s > b->seen_last ? r->seen.s : b->seen_last;
    uint8_t *near = &b->source_near[(r->source * 0x9e3779b97f4a7c15ULL) >> 56];
    if (*near && b->source[*near - 1] == r->source)
        return;
    for (size_t k = 0; k < b->sources; k++)
        if (b->source[k] == r->source) {
            *near = (uint8_t)(k + 1);
            return;
        }
    if (b->sources < EV_SOURCES_MAX)
        b->source[b->sources++] = r->source;
    else
        b->sources_all = true;
}

/* Where each column ends now, to go back to when memory ends in the middle of an event. */
static void undo(struct ev_build *b, const uint16_t *used, size_t n, unsigned own)
{
    while (n)
        b->col[used[--n]]->n--;
    while (own)
        b->col[--own]->n--;
}

/* Where a value will be looked for, asked of memory before it is needed. */
static uint32_t ask_for(const struct ev_build *b, const struct col *c, struct sm_span v)
{
    if (is_last(c, v))
        return 0;
    uint32_t hash = hash_of(b, v);
    __builtin_prefetch(&c->slot[hash & (c->slots - 1)], 1);
    return hash;
}

/* Columns of all fields, and the hashes of their values. */
static int find_columns(struct ev_build *b, const struct ev_record *r, uint16_t *col, uint32_t *hash)
{
    int err = 0;

    for (size_t i = 0; i < r->n && err >= 0; i++) {
        err = col_of(b, &r->fields[i], &col[i]);
        if (err >= 0)
            hash[i] = ask_for(b, b->col[col[i]], r->fields[i].value);
    }
    return err;
}

static int put_fields(struct ev_build *b, const struct ev_record *r, const uint16_t *col, const uint32_t *hash,
    size_t *ret_n)
{
    for (size_t i = 0; i < r->n; i++) {
        struct col *c = b->col[col[i]];
        struct sm_span v = r->fields[i].value;
        bool fresh;
        int err = col_put(b, c, v, hash[i], &fresh);
        if (err < 0)
            return err;
        *ret_n = i + 1;
        if (fresh)
            err = value_keys(b, c, v, r->within && r->within[i]);
        if (err >= 0)
            err = sm_buf_put_varint(&b->shape, col[i]);
        if (err < 0)
            return err;
    }
    return 0;
}

static int put_own(struct ev_build *b, const struct ev_record *r, unsigned *ret_n)
{
    const struct sm_span v[] = { sm_buf_span(&b->shape), r->rest, r->host, r->word[0], r->word[1], r->word[2],
        r->word[3],
        r->rules };

    for (unsigned k = 0; k < sizeof v / sizeof *v; k++) {
        bool fresh;
        int err = col_put(b, b->col[k], v[k], 0, &fresh);
        if (err < 0)
            return err;
        *ret_n = k + 1;
        if (fresh && k)
            err = k == EV_REST - EV_SHAPE ? rest_keys(b, v[k], r->n) : value_keys(b, b->col[k], v[k], false);
        if (err < 0)
            return err;
    }
    return 0;
}

static int take(struct ev_build *b, const struct ev_record *r)
{
    uint16_t used[EVENT_FIELDS_MAX];
    uint32_t hash[EVENT_FIELDS_MAX];
    size_t n = 0;
    unsigned own = 0;
    int err = number_room(b);

    sm_buf_clear(&b->shape);
    if (err >= 0)
        err = find_columns(b, r, used, hash);
    if (err >= 0)
        err = lay_out(b, r);
    if (err >= 0)
        err = put_fields(b, r, used, hash, &n);
    if (err >= 0)
        err = put_own(b, r, &own);
    if (err < 0) {
        /* Values that stay behind are not new when they come again, and may lack their keys: no answer, never a wrong one. */
        b->keys.full = true;
        undo(b, used, n, own);
        return err;
    }
    edge_keys(b);
    put_numbers(b, r);
    if (!b->state.events)
        b->state.first_id = r->id;
    b->state.last_id = r->id;
    b->state.events++;
    b->state.bytes += 24;
    b->raw_bytes += r->raw_n;
    return 1;
}

int ev_build_add(struct ev_build *b, const struct ev_record *r)
{
    if (r->n > EVENT_FIELDS_MAX)
        return -SM_ELIMIT;
    if (b->cols < EV_VALUES_END - EV_SHAPE) {
        drop(b);
        memset(b->name_slot, 0, NAME_SLOTS * sizeof *b->name_slot);
        int err = own_columns(b);
        if (err < 0)
            return err;
    }
    if (b->state.events
        && (b->cols + r->n > EV_COLUMNS_MAX - NUMBERS || b->state.events >= EVIDENCE_BLOCK_EVENTS_MAX
            || (b->cols + r->n + NUMBERS) * (b->state.events + 1) > EV_CELLS_MAX || b->raw_bytes + r->raw_n > RAW_MAX
            || b->state.bytes > BYTES_MAX))
        return 0;
    return take(b, r);
}

/* ---- writing down ---- */

static int decimal(struct sm_span v, uint64_t *ret)
{
    uint64_t x = 0;

    if (!v.n || v.n > 18 || (v.p[0] == '0' && v.n > 1))
        return 0;
    for (size_t i = 0; i < v.n; i++) {
        if ((uint8_t)(v.p[i] - '0') > 9)
            return 0;
        x = 10 * x + (uint64_t)(v.p[i] - '0');
    }
    *ret = x;
    return 1;
}

static bool all_decimal(const struct col *c)
{
    uint64_t x;

    for (uint32_t d = 0; d < c->distinct; d++)
        if (!decimal(value_of(c, d), &x))
            return false;
    return c->distinct > 0;
}

static int values_part(const struct col *c, bool dec, struct sm_buf *to)
{
    uint64_t before = 0, x = 0;
    int r = 0;

    for (uint32_t d = 0; d < c->distinct && r >= 0; d++) {
        if (dec) {
            (void)decimal(value_of(c, d), &x); /* all_decimal said so */
            r = sm_buf_put_varint(to, ev_zigzag((int64_t)(x - before)));
            before = x;
        } else {
            r = sm_buf_put_varint(to, value_of(c, d).n);
        }
    }
    return r < 0 || dec ? r : sm_buf_put_span(to, sm_buf_span(&c->bytes));
}

/* Is every value new where it stands?  (Counting is not enough: a value may be left over from an event that was not
 * taken.) */
static bool is_identity(const struct col *c)
{
    uint32_t i = 0;

    while (i < c->n && c->index[i] == i)
        i++;
    return i == c->n && c->n == c->distinct;
}

static int index_part(const struct col *c, struct sm_buf *to)
{
    unsigned width = c->distinct <= 256 ? 1 : c->distinct <= 65536 ? 2 : 4;
    int r = sm_buf_reserve(to, (size_t)c->n * width);

    if (r < 0)
        return r;
    for (uint32_t i = 0; i < c->n; i++) {
        memcpy(to->p + to->n, &c->index[i], width); /* little-endian machines alone are supported by this house */
        to->n += width;
    }
    return 0;
}

/* Compressed if that is shorter; appended to body.  *ret_plain: it was not. */
static int put_part(struct ev_build *b, struct sm_span part, int level, struct sm_buf *body, uint64_t *ret_stored,
    bool *ret_plain)
{
    size_t bound = ZSTD_compressBound(part.n);
    int r = sm_buf_reserve(body, bound);

    if (r < 0)
        return r;
    size_t n = part.n > 32 ? ZSTD_compressCCtx(b->z, body->p + body->n, bound, part.p, part.n, level) : part.n;
    *ret_plain = ZSTD_isError(n) || n >= part.n;
    if (*ret_plain) {
        if (part.n)
            memcpy(body->p + body->n, part.p, part.n);
        n = part.n;
    }
    body->n += n;
    *ret_stored = n;
    return 0;
}

struct parts { uint8_t kind, enc; struct sm_span name; uint32_t values, distinct; };

static int put_column(struct ev_build *b, struct parts p, int level, struct out *o)
{
    uint64_t stored[2], plain[2] = { o->a.n, o->c.n };
    uint8_t hash[32];
    bool as_is = false;
    size_t from = o->body.n;
    int r = put_part(b, sm_buf_span(&o->a), level, &o->body, &stored[0], &as_is);

    p.enc |= as_is ? EV_ENC_VALUES_PLAIN : 0;
    if (r >= 0)
        r = put_part(b, sm_buf_span(&o->c), level, &o->body, &stored[1], &as_is);
    p.enc |= as_is ? EV_ENC_INDEX_PLAIN : 0;
    if (r < 0)
        return r;
    crypto_sha256(SM_SPAN(o->body.p + from, o->body.n - from), hash);
    r = sm_buf_put_blob(&o->head, p.name);
    if (r >= 0)
        r = sm_buf_put_u8(&o->head, p.kind);
    if (r >= 0)
        r = sm_buf_put_u8(&o->head, p.enc);
    const uint64_t v[] = { p.values, p.distinct, stored[0], plain[0], stored[1], plain[1] };
    for (size_t i = 0; i < sizeof v / sizeof *v && r >= 0; i++)
        r = sm_buf_put_varint(&o->head, v[i]);
    return r < 0 ? r : sm_buf_put(&o->head, hash, sizeof hash);
}

static int encode_values(struct ev_build *b, const struct col *c, int level, struct out *o)
{
    struct parts p = { .kind = c->kind, .name = SM_SPAN(c->name, c->name_n), .values = c->n, .distinct = c->distinct };
    bool dec = c->kind < EV_SHAPE && all_decimal(c);
    int r = values_part(c, dec, &o->a);

    p.enc |= dec ? EV_ENC_DECIMAL : 0;
    if (c->distinct == 1 || is_identity(c))
        p.enc |= EV_ENC_NO_INDEX;
    else if (r >= 0)
        r = index_part(c, &o->c);
    return r < 0 ? r : put_column(b, p, level, o);
}

static int encode_numbers(struct ev_build *b, unsigned kind, int level, struct out *o)
{
    const int64_t *v = b->number[kind - EV_ID];
    struct parts p = { .kind = (uint8_t)kind, .name = SM_SPAN_STR(ev_kind_name(kind)), .values = b->state.events };
    uint64_t before = 0;
    int r = 0;

    for (uint32_t i = 0; i < b->state.events && r >= 0; i++) {
        r = sm_buf_put_varint(&o->a, ev_zigzag((int64_t)((uint64_t)v[i] - before)));
        before = (uint64_t)v[i];
    }
    return r < 0 ? r : put_column(b, p, level, o);
}

static int encode_columns(struct ev_build *b, int level, struct out *o)
{
    int r = sm_buf_put_varint(&o->head, b->cols + NUMBERS);

    for (size_t i = 0; i < b->cols + NUMBERS && r >= 0; i++) {
        sm_buf_clear(&o->a);
        sm_buf_clear(&o->c);
        r = i < b->cols ? encode_values(b, b->col[i], level, o)
                        : encode_numbers(b, EV_ID + (unsigned)(i - b->cols), level, o);
    }
    return r;
}

/* Fixed part of the header; its lengths of body and filter come later, so columns are made first. */
static int put_head(const struct ev_build *b, uint64_t number, uint8_t klass, const uint8_t before[32], uint64_t body_n,
    struct sm_span filter, struct sm_buf *to)
{
    uint8_t hash[32];
    int r = sm_buf_put_u16(to, 1);
    const uint64_t a[] = { number, b->state.first_id, b->state.last_id };

    if (r >= 0)
        r = sm_buf_put(to, (const uint8_t[]){ klass, b->sources_all }, 2);
    for (size_t i = 0; i < 3 && r >= 0; i++)
        r = sm_buf_put_u64(to, a[i]);
    if (r >= 0)
        r = sm_buf_put_u32(to, b->state.events);
    if (r >= 0)
        r = sm_buf_put_u64(to, b->raw_bytes);
    const struct event_time t[] = { b->first, b->last };
    for (size_t i = 0; i < 2 && r >= 0; i++) {
        r = sm_buf_put_u64(to, (uint64_t)t[i].s);
        if (r >= 0)
            r = sm_buf_put_u32(to, t[i].ns);
    }
    if (r >= 0)
        r = sm_buf_put_u64(to, (uint64_t)b->seen_first);
    if (r >= 0)
        r = sm_buf_put_u64(to, (uint64_t)b->seen_last);
    if (r >= 0)
        r = sm_buf_put(to, before, 32);
    if (r >= 0)
        r = sm_buf_put_u64(to, body_n);
    if (r >= 0)
        r = sm_buf_put_u32(to, (uint32_t)filter.n);
    crypto_sha256(filter, hash);
    if (r >= 0)
        r = sm_buf_put(to, hash, 32);
    size_t sources = b->sources_all ? 0 : b->sources;
    if (r >= 0)
        r = sm_buf_put_varint(to, sources);
    for (size_t i = 0; i < sources && r >= 0; i++)
        r = sm_buf_put_varint(to, b->source[i]);
    return r;
}

static int finish(const struct ev_build *b, uint64_t number, uint8_t klass, const uint8_t before[32],
    const struct out *o,
    struct sm_span filter, struct sm_buf *ret, uint8_t ret_hash[32])
{
    struct sm_buf head = SM_BUF_INIT(EV_HEADER_MAX);
    uint8_t hash[32];
    size_t was = ret->n;
    int r = put_head(b, number, klass, before, o->body.n + filter.n, filter, &head);

    if (r >= 0)
        r = sm_buf_put_span(&head, sm_buf_span(&o->head));
    if (r >= 0)
        r = sm_buf_put(ret, "SJB1", 4);
    if (r >= 0)
        r = sm_buf_put_u32(ret, (uint32_t)head.n);
    ev_block_hash(sm_buf_span(&head), hash);
    if (r >= 0)
        r = sm_buf_put_span(ret, sm_buf_span(&head));
    if (r >= 0)
        r = sm_buf_put(ret, hash, sizeof hash);
    if (r >= 0)
        r = sm_buf_put_span(ret, sm_buf_span(&o->body));
    if (r >= 0)
        r = sm_buf_put_span(ret, filter);
    if (r >= 0)
        memcpy(ret_hash, hash, sizeof hash);
    else
        ret->n = was;
    sm_buf_wipe(&head);
    return r;
}

int ev_build_encode(struct ev_build *b, uint64_t number, uint8_t klass, const uint8_t before[32], int level,
    struct sm_buf *ret, uint8_t ret_hash[32])
{
    struct out *o = &b->out;
    struct sm_buf *const all[] = { &o->head, &o->body, &o->a, &o->c, &o->filter };
    const size_t most[] = { EV_HEADER_MAX, EV_BODY_MAX, EV_PLAIN_MAX, EV_PLAIN_MAX, EV_FILTER_MAX };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        all[i]->max = most[i];
        sm_buf_clear(all[i]);
    }
    int r = encode_columns(b, level, o);
    if (r >= 0)
        r = ev_keyset_filter(&b->keys, &o->filter);
    if (r >= 0)
        r = finish(b, number, klass, before, o, sm_buf_span(&o->filter), ret, ret_hash);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]->cap > OUT_KEPT)
            sm_buf_wipe(all[i]);
    return r < 0 ? r : 0;
}
