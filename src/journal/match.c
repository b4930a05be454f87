/*
 * A query over one block.  A condition is looked for among the different values of a column, once each, and only then
 * spread to the events.
 */
#include <errno.h>
#include <stdlib.h>

#include "journal/query.h"

#define WORDS(b) (((size_t)(b)->head.events + 63) / 64)

static void set(uint64_t *bits, size_t i)
{
    bits[i >> 6] |= 1ULL << (i & 63);
}

static bool get(const uint64_t *bits, size_t i)
{
    return bits[i >> 6] >> (i & 63) & 1;
}

/* ---- one text ---- */

/* The piece [from, to) of a pattern, which has no * in it, at s[at]: bytes taken, -1 when it does not fit. */
static ssize_t piece_at(const struct q_pattern *p, size_t from, size_t to, struct sm_span s, size_t at)
{
    size_t i = at;

    for (size_t k = from; k < to; k++) {
        if (i >= s.n)
            return -1;
        if (p->wild[k] != Q_ONE) {
            if (s.p[i] != p->p[k])
                return -1;
            i++;
            continue;
        }
        i++;
        while (i < s.n && (s.p[i] & 0xc0) == 0x80)
            i++;
    }
    return (ssize_t)(i - at);
}

static bool is_edge(struct sm_span s, size_t at)
{
    return !at || at >= s.n || !ev_is_word(s.p[at - 1]) || !ev_is_word(s.p[at]);
}

struct piece { size_t from, to; bool first, last; };

/* Where a piece fits from `at` on: *ret_end behind it.  Ends of a pattern stand at ends of words, or of the text. */
static bool find_piece(const struct q_pattern *p, const struct piece *c, struct sm_span s, size_t at, size_t *ret_end)
{
    size_t n = c->to - c->from;

    for (size_t i = at; i <= s.n; i++) {
        if (!p->one && n) { /* jump to the next place where all of it stands */
            const uint8_t *hit = sm_find(SM_SPAN(s.p + i, s.n - i), p->p + c->from, n);
            if (!hit)
                return false;
            i = (size_t)(hit - s.p);
        }
        ssize_t took = piece_at(p, c->from, c->to, s, i);
        if (took < 0)
            continue;
        size_t end = i + (size_t)took;
        bool left = !c->first || (p->whole ? i == 0 : is_edge(s, i));
        bool right = !c->last || (p->whole ? end == s.n : is_edge(s, end));
        if (left && right) {
            *ret_end = end;
            return true;
        }
        if (c->first && p->whole)
            return false;
    }
    return false;
}

/* s is folded. */
static bool fits(const struct q_pattern *p, struct sm_span s)
{
    size_t at = 0, k = 0;

    if (!p->n)
        return p->whole ? !s.n : true;
    while (k < p->n) {
        if (p->wild[k] == Q_ANY) {
            k++;
            continue;
        }
        struct piece c = { .from = k, .first = k == 0 };
        while (k < p->n && p->wild[k] != Q_ANY)
            k++;
        c.to = k;
        c.last = k == p->n;
        if (!find_piece(p, &c, s, at, &at))
            return false;
    }
    return true;
}

int q_pattern_in(const struct q_pattern *p, struct sm_span text, bool *ret)
{
    struct sm_buf b = SM_BUF_INIT(EV_PLAIN_MAX);
    int r = ev_fold(text, &b);

    if (r >= 0)
        *ret = fits(p, sm_buf_span(&b));
    sm_buf_wipe(&b);
    return r < 0 ? r : 0;
}

/* ---- the different values of a column ---- */

/* All values of the column folded, with their places: as they lie when folding only changes ASCII. */
struct folded { uint8_t *own; uint32_t *own_off; const uint8_t *p; const uint32_t *off; };

static void folded_wipe(struct folded *f)
{
    free(f->own);
    free(f->own_off);
}

static int fold_wide(const struct ev_values *v, struct folded *f)
{
    struct sm_buf b = SM_BUF_INIT(EV_PLAIN_MAX);
    int r = 0;

    f->own_off = calloc((size_t)v->distinct + 1, sizeof *f->own_off);
    if (!f->own_off)
        return -ENOMEM;
    for (uint32_t d = 0; d < v->distinct && r >= 0; d++) {
        r = ev_fold(ev_values_get(v, d), &b);
        f->own_off[d + 1] = (uint32_t)b.n;
    }
    if (r < 0) {
        sm_buf_wipe(&b);
        return r;
    }
    f->own = b.p;
    f->p = b.p;
    f->off = f->own_off;
    return 0;
}

static int fold_all(const struct ev_values *v, struct folded *f)
{
    size_t n = v->off[v->distinct];
    struct sm_span all = SM_SPAN(v->bytes, n);

    if (ev_folds_wide(all))
        return fold_wide(v, f);
    f->own = malloc(n + 1);
    if (!f->own)
        return -ENOMEM;
    ev_lower_all(v->bytes, n, f->own);
    f->p = f->own;
    f->off = v->off;
    return 0;
}

/* The longest run of bytes that stand for themselves: looked for first, over all values at once. */
static struct sm_span longest(const struct q_pattern *p)
{
    struct sm_span best = { 0 };

    for (size_t i = 0; i < p->n; i++) {
        size_t from = i;
        while (i < p->n && !p->wild[i])
            i++;
        if (i - from > best.n)
            best = SM_SPAN(p->p + from, i - from);
    }
    return best;
}

/* hit[d] for every value that fits; *ret_any. */
static int match_values(const struct q_pattern *p, const struct ev_values *v, uint8_t *hit, bool *ret_any)
{
    struct sm_span run = longest(p);
    struct folded f = { 0 };
    int r = fold_all(v, &f);

    *ret_any = false;
    if (r < 0 || !v->distinct) {
        folded_wipe(&f);
        return r;
    }
    const uint8_t *at = f.p, *end = f.p + f.off[v->distinct];
    for (uint32_t d = 0; d < v->distinct; d++) {
        if (run.n) { /* on to the value in which the run is found next */
            at = at < f.p + f.off[d] ? f.p + f.off[d] : at;
            at = sm_find(SM_SPAN(at, end - at), run.p, run.n);
            if (!at)
                break;
            while (f.p + f.off[d + 1] <= at)
                d++;
        }
        if (fits(p, SM_SPAN(f.p + f.off[d], f.off[d + 1] - f.off[d])))
            hit[d] = 1, *ret_any = true;
        if (run.n)
            at = f.p + f.off[d + 1];
    }
    folded_wipe(&f);
    return 0;
}

/* ---- other conditions on one value ---- */

static bool in_range(const struct q_node *n, struct sm_span v)
{
    uint8_t a[16], b[16];
    double x;

    for (unsigned k = 0; k < 2; k++) {
        const struct q_bound *q = k ? &n->high : &n->low;
        int c;
        if (!q->there)
            continue;
        if (q->number) {
            if (!q_number(v, &x))
                return false;
            c = x < q->value ? -1 : x > q->value;
        } else if (q_address(q->text, a) >= 0) {
            if (q_address(v, b) < 0)
                return false;
            c = memcmp(b, a, 16);
        } else {
            size_t m = v.n < q->text.n ? v.n : q->text.n;
            c = 0;
            for (size_t i = 0; i < m && !c; i++)
                c = ev_lower(v.p[i]) - q->text.p[i];
            c = c ? c : v.n < q->text.n ? -1 : v.n > q->text.n;
        }
        if (c == 0 ? !q->inclusive : k ? c > 0 : c < 0)
            return false;
    }
    return true;
}

static bool in_network(const struct q_node *n, struct sm_span v)
{
    uint8_t a[16];

    if (q_address(v, a) < 0)
        return false;
    unsigned whole = n->bits / 8, rest = n->bits % 8;
    if (memcmp(a, n->address, whole))
        return false;
    return !rest || !((a[whole] ^ n->address[whole]) & (uint8_t)(0xff00 >> rest));
}

static int hits(const struct q_node *n, const struct ev_values *v, uint8_t *hit, bool *ret_any)
{
    if (n->op == Q_TERM)
        return match_values(&n->pattern, v, hit, ret_any);
    *ret_any = false;
    for (uint32_t d = 0; d < v->distinct; d++) {
        struct sm_span s = ev_values_get(v, d);
        hit[d] = n->op == Q_EXISTS ? s.n > 0 || !n->own : n->op == Q_RANGE ? in_range(n, s) : in_network(n, s);
        *ret_any |= hit[d];
    }
    return 0;
}

/* ---- from values to events ---- */

static int spread(struct ev_block *b, size_t column, const struct ev_values *v, const uint8_t *hit, uint64_t *bits)
{
    const uint32_t *first;

    if (b->head.column[column].kind >= EV_SHAPE) { /* one an event */
        for (uint32_t i = 0; i < v->n; i++)
            if (hit[ev_values_at(v, i)])
                set(bits, i);
        return 0;
    }
    int r = ev_block_first(b, column, &first);
    if (r < 0)
        return r;
    for (uint32_t e = 0; e < b->head.events; e++)
        for (uint32_t i = first[e]; i < first[e + 1]; i++)
            if (hit[ev_values_at(v, i)]) {
                set(bits, e);
                break;
            }
    return 0;
}

static int match_column(const struct q_node *n, struct ev_block *b, size_t column, uint64_t *bits)
{
    const struct ev_values *v;
    bool any = false;
    int r = ev_block_values(b, column, &v);

    if (r < 0)
        return r;
    uint8_t *hit = calloc((size_t)v->distinct + 1, 1);
    if (!hit)
        return -ENOMEM;
    r = hits(n, v, hit, &any);
    if (r >= 0 && any)
        r = spread(b, column, v, hit, bits);
    free(hit);
    return r;
}

static bool same_name(struct sm_span a, struct sm_span b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ev_lower(a.p[i]) != ev_lower(b.p[i]))
            return false;
    return true;
}

/* ---- the record as it came ---- */

/*
 * Which forms of rest may hold the pattern outside of a single value: 1 in what stands between, or across where they
 * meet.  A
 * pattern can only reach across when it has the byte beside the edge in it; one with wildcards always may.
 */
static int rest_may(const struct q_pattern *p, const struct ev_values *v, uint8_t *may, bool *ret_any)
{
    struct sm_buf b = SM_BUF_INIT(EV_PLAIN_MAX);
    bool in[256] = { false }, wild = p->any || p->one || p->whole;
    int r = 0;

    *ret_any = false;
    for (size_t i = 0; i < p->n; i++)
        in[p->p[i]] = true;
    for (uint32_t d = 0; d < v->distinct && r >= 0; d++) {
        struct sm_rd rd = SM_RD(ev_values_get(v, d));
        struct ev_piece piece;
        bool after = false; /* a value stands before this piece */
        may[d] = wild && rd.n;
        while (!may[d] && (r = ev_rest_next(&rd, EVENT_FIELDS_MAX, &piece)) > 0) {
            sm_buf_clear(&b);
            r = ev_fold(piece.literal, &b);
            if (r < 0)
                break;
            bool before = piece.field >= 0;
            may[d] = (after && (!b.n || in[b.p[0]])) || (before && b.n && in[b.p[b.n - 1]]) || fits(p, sm_buf_span(&b));
            after = before;
        }
        *ret_any |= may[d];
    }
    sm_buf_wipe(&b);
    return r < 0 ? r : 0;
}

static int match_raw(const struct q_node *n, struct ev_block *b, bool all, uint64_t *bits)
{
    int col = ev_block_find(b, EV_REST);
    const struct ev_values *v;
    struct sm_buf plain = SM_BUF_INIT(16 << 20);
    bool any = all;
    int r = col < 0 ? -SM_EFORMAT : ev_block_values(b, (size_t)col, &v);

    if (r < 0)
        return r;
    uint8_t *may = calloc((size_t)v->distinct + 1, 1);
    if (!may)
        return -ENOMEM;
    if (!all)
        r = rest_may(&n->pattern, v, may, &any);
    for (uint32_t e = 0; any && r >= 0 && e < b->head.events; e++) {
        bool is = false;
        if (get(bits, e) || (!all && !may[ev_values_at(v, e)]))
            continue;
        sm_buf_clear(&plain);
        r = ev_block_plain(b, e, &plain);
        if (r >= 0)
            r = q_pattern_in(&n->pattern, sm_buf_span(&plain), &is);
        if (is)
            set(bits, e);
    }
    free(may);
    sm_buf_wipe(&plain);
    return r < 0 ? r : 0;
}

/* ---- conditions ---- */

static int match_numbers(const struct q_node *n, struct ev_block *b, uint64_t *bits)
{
    const int64_t *v;
    int r = ev_block_numbers(b, n->own, &v);

    for (uint32_t e = 0; r >= 0 && e < b->head.events; e++) {
        char text[24];
        bool is;
        if (n->op == Q_TIME) {
            is = v[e] >= n->from.s && v[e] < n->to.s;
        } else {
            int k = snprintf(text, sizeof text, "%lld", (long long)v[e]);
            is = n->op == Q_EXISTS || in_range(n, SM_SPAN(text, k));
        }
        if (is)
            set(bits, e);
    }
    return r < 0 ? r : 0;
}

static bool concerns(const struct q_node *n, const struct ev_column *c)
{
    if (n->own)
        return c->kind == n->own;
    if (!n->field.n) /* free text */
        return c->kind < EV_SHAPE || (c->kind >= EV_HOST && c->kind <= EV_RULES);
    return c->kind < EV_SHAPE && same_name(c->name, n->field);
}

static int match_leaf(const struct q_node *n, struct ev_block *b, uint64_t *bits)
{
    int r = 0;

    if (n->own == EV_RAW)
        return n->op == Q_TERM ? match_raw(n, b, true, bits) : 0;
    if (n->own >= EV_ID)
        return match_numbers(n, b, bits);
    for (size_t i = 0; i < b->head.columns && r >= 0; i++)
        if (concerns(n, &b->head.column[i]))
            r = match_column(n, b, i, bits);
    if (r >= 0 && !n->field.n)
        r = match_raw(n, b, false, bits);
    return r;
}

static int match_node(const struct evquery *q, int at, struct ev_block *b, uint64_t *bits)
{
    const struct q_node *n = &q->node[at];
    size_t words = WORDS(b);
    int r;

    if (n->op == Q_ALL) {
        memset(bits, 0xff, words * sizeof *bits);
        return 0;
    }
    if (n->op != Q_AND && n->op != Q_OR && n->op != Q_NOT)
        return match_leaf(n, b, bits);
    uint64_t *other = calloc(words, sizeof *other);
    if (!other)
        return -ENOMEM;
    r = match_node(q, n->a, b, n->op == Q_NOT ? other : bits);
    uint64_t any = 0;
    for (size_t i = 0; i < words && n->op == Q_AND; i++)
        any |= bits[i];
    if (r >= 0 && n->op != Q_NOT && (n->op == Q_OR || any))
        r = match_node(q, n->b, b, other);
    for (size_t i = 0; r >= 0 && i < words; i++)
        bits[i] = n->op == Q_AND ? bits[i] & other[i] : n->op == Q_OR ? bits[i] | other[i] : ~other[i];
    free(other);
    return r;
}

int q_match(const struct evquery *q, struct ev_block *b, uint64_t *bits)
{
    size_t words = WORDS(b), last = b->head.events & 63;

    memset(bits, 0, words * sizeof *bits);
    int r = match_node(q, q->root, b, bits);
    if (last)
        bits[words - 1] &= (1ULL << last) - 1;
    return r < 0 ? r : 0;
}

/* ---- filters ---- */

static int maybe(const struct evquery *q, int at, q_ask_fn ask, void *arg)
{
    const struct q_node *n = &q->node[at];
    int r;

    switch (n->op) {
    case Q_AND:
        r = maybe(q, n->a, ask, arg);
        return r <= 0 ? r : maybe(q, n->b, ask, arg);
    case Q_OR:
        r = maybe(q, n->a, ask, arg);
        return r ? r : maybe(q, n->b, ask, arg);
    case Q_TERM:
        for (size_t i = 0; i < n->keys; i++)
            if ((r = ask(arg, n->key[i])) <= 0)
                return r;
        return 1;
    default:
        return 1;
    }
}

int q_maybe(const struct evquery *q, q_ask_fn ask, void *arg)
{
    return maybe(q, q->root, ask, arg);
}
