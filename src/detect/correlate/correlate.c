#include "detect/correlate/correlate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/sigma/internal.h"

enum { GROUP_FIELDS_MAX = 16, KEY_MAX = GROUP_FIELDS_MAX * (CORRELATE_VALUE_MAX + 4), SLOTS_FIRST = 64, ENDED_MAX = 64 };

/* One hit that counts.  value: number of a distinct value, or the number itself. */
struct moment {
    int64_t s;
    uint32_t ns;
    uint16_t rule;   /* which of the correlation's rules */
    uint32_t weight; /* events it stands for: more than one when a long list was made shorter */
    double number;   /* value_sum and such */
    uint64_t value;  /* value_count, share: hash of the value */
    uint64_t ref;
};

struct group {
    struct group *chain;         /* same slot */
    struct group *older, *newer; /* by when they were last used */
    uint64_t hash;
    int64_t told_until; /* said already: what holds up to then is the same burst */
    int64_t touched;    /* by the clock of all events */
    size_t n, cap;
    struct moment *moment; /* by time */
    size_t key_n;
    uint8_t key[]; /* values of group-by: length (4 bytes) and bytes, each */
};

struct engine {
    const struct sigma_rule *rule;
    const struct correlation *c;
    struct group **slot, *oldest, *newest;
    size_t slots, groups;
};

/* Who hears of a rule's hits: engines by number of the rule. */
struct listeners {
    size_t n;
    struct {
        uint32_t engine;
        uint16_t which;
    } * to;
};

struct correlate {
    const struct sigma_set *set;
    struct event_names *names;
    size_t n;
    struct engine *engine;
    size_t rules;
    struct listeners *listeners;
    int64_t now; /* the latest event time seen */
    struct event made; /* stands for what a window held that nobody completed; its memory comes with the first */
    struct ended { const struct engine *engine; int64_t s; uint64_t ref; size_t key_n; uint8_t key[KEY_MAX]; } *ended;
    size_t ended_n;
    uint64_t seed;
    struct correlate_counts counts;
};

/* Decided when its window has ended: what must not be there may still come. */
static bool upper_bound(const struct correlation *c)
{
    if (c->when)
        return c->absence;
    return (c->has[CORRELATE_LT] || c->has[CORRELATE_LTE] || c->has[CORRELATE_EQ] || c->has[CORRELATE_NEQ]) &&
           !c->has[CORRELATE_GT] && !c->has[CORRELATE_GTE] && c->type != CORRELATE_VALUE_PERCENTILE &&
           c->type != CORRELATE_TEMPORAL && c->type != CORRELATE_TEMPORAL_ORDERED;
}

/* ---- making ---- */

static int listen(struct correlate *c, uint32_t engine, uint16_t which, const struct sigma_rule *rule)
{
    struct listeners *l = &c->listeners[rule->number];
    void *more = realloc(l->to, (l->n + 1) * sizeof *l->to);

    if (!more)
        return -ENOMEM;
    l->to = more;
    l->to[l->n].engine = engine;
    l->to[l->n++].which = which;
    return 0;
}

static int add_engine(struct correlate *c, const struct sigma_rule *rule)
{
    struct engine *e = &c->engine[c->n];
    int r = 0;

    *e = (struct engine){ .rule = rule, .c = sigma_correlation(rule), .slots = SLOTS_FIRST };
    e->slot = calloc(e->slots, sizeof *e->slot);
    if (!e->slot)
        return -ENOMEM;
    for (size_t i = 0; i < e->c->rules_n && r == 0; i++)
        r = listen(c, (uint32_t)c->n, (uint16_t)i, e->c->rule[i]);
    c->n++;
    return r;
}

int correlate_new(const struct sigma_set *set, struct event_names *names, struct correlate **ret)
{
    struct correlate *c = calloc(1, sizeof *c);
    int r = 0;

    if (!c)
        return -ENOMEM;
    c->set = set;
    c->names = names;
    c->rules = sigma_count(set);
    c->seed = (uint64_t)(uintptr_t)c * 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)&c;
    c->listeners = calloc(c->rules + 1, sizeof *c->listeners);
    c->engine = calloc(c->rules + 1, sizeof *c->engine);
    c->now = INT64_MIN;
    if (!c->listeners || !c->engine)
        r = -ENOMEM;
    for (size_t i = 0; i < c->rules && r == 0; i++) {
        const struct sigma_rule *rule = sigma_rule_at(set, i);
        if (rule->kind == SIGMA_CORRELATION && !rule->off)
            r = add_engine(c, rule);
    }
    if (r < 0) {
        correlate_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

static void unlink_group(struct engine *e, struct group *g)
{
    *(g->older ? &g->older->newer : &e->oldest) = g->newer;
    *(g->newer ? &g->newer->older : &e->newest) = g->older;
}

static void touch(struct engine *e, struct group *g)
{
    g->newer = NULL;
    g->older = e->newest;
    *(e->newest ? &e->newest->newer : &e->oldest) = g;
    e->newest = g;
}

static size_t bytes_of(const struct group *g)
{
    return sizeof *g + g->key_n + g->cap * sizeof *g->moment;
}

static void drop(struct correlate *c, struct engine *e, struct group *g)
{
    struct group **at = &e->slot[g->hash & (e->slots - 1)];

    while (*at != g)
        at = &(*at)->chain;
    *at = g->chain;
    unlink_group(e, g);
    c->counts.bytes -= bytes_of(g);
    c->counts.groups--;
    e->groups--;
    free(g->moment);
    free(g);
}

void correlate_free(struct correlate *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++) {
        while (c->engine[i].oldest)
            drop(c, &c->engine[i], c->engine[i].oldest);
        free(c->engine[i].slot);
    }
    for (size_t i = 0; c->listeners && i < c->rules; i++)
        free(c->listeners[i].to);
    if (c->made.arena)
        event_wipe(&c->made);
    free(c->ended);
    free(c->listeners);
    free(c->engine);
    free(c);
}

/* ---- groups ---- */

static uint64_t hash_bytes(const struct correlate *c, const uint8_t *p, size_t n)
{
    uint64_t h = c->seed ^ n;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    h ^= h >> 29;
    return h * 0xff51afd7ed558ccdu ^ h >> 17;
}

/* The field a name of group-by means in events of the which-th rule. */
static uint16_t field_for(const struct correlation *c, size_t group, const struct sigma_rule *rule)
{
    if (c->group[group])
        return c->group[group];
    for (size_t i = 0; i < c->alias_n; i++) {
        const struct correlate_alias *a = &c->alias[i];
        for (size_t k = 0; k < a->n && !strcmp(a->name, c->group_name[group]); k++)
            if (!strcmp(a->rule[k], rule->name) || !strcmp(a->rule[k], rule->id))
                return a->field[k];
    }
    return 0;
}

static struct sm_span text_of(const struct event *e, uint16_t field)
{
    struct sm_span s = field ? event_text(e, field) : (struct sm_span){ 0 };

    return s.n > CORRELATE_VALUE_MAX ? SM_SPAN(s.p, CORRELATE_VALUE_MAX) : s;
}

/* Values as of group-by; upper and lower case are one, as everywhere in Sigma. */
static size_t key_of(const struct correlation *c, const struct sigma_rule *rule, const struct event *e, uint8_t *key)
{
    size_t n = 0;

    for (size_t i = 0; i < c->group_n; i++) {
        struct sm_span s = text_of(e, field_for(c, i, rule));
        uint32_t len = (uint32_t)s.n;
        memcpy(key + n, &len, 4);
        if (s.n)
            fold_text(key + n + 4, s.p, s.n);
        n += 4 + s.n;
    }
    return n;
}

static void grow(struct engine *e)
{
    size_t slots = 2 * e->slots;
    struct group **more = e->groups > e->slots ? calloc(slots, sizeof *more) : NULL;

    if (!more)
        return; /* longer chains are slower, not wrong */
    for (struct group *g = e->oldest; g; g = g->newer) {
        g->chain = more[g->hash & (slots - 1)];
        more[g->hash & (slots - 1)] = g;
    }
    free(e->slot);
    e->slot = more;
    e->slots = slots;
}

/* Quietest first: those of this rule when another is to come (keep is NULL), then of any when the bytes are used up. */
static void make_room(struct correlate *c, struct engine *e, const struct group *keep)
{
    while (!keep && e->groups >= CORRELATE_GROUPS_MAX) {
        drop(c, e, e->oldest);
        c->counts.evicted++;
    }
    for (size_t i = 0; c->counts.bytes > CORRELATE_BYTES_MAX && i < c->n; i++)
        while (c->counts.bytes > CORRELATE_BYTES_MAX && c->engine[i].oldest && c->engine[i].oldest != keep) {
            drop(c, &c->engine[i], c->engine[i].oldest);
            c->counts.evicted++;
        }
}

static struct group *group_get(struct correlate *c, struct engine *e, const uint8_t *key, size_t n)
{
    uint64_t h = hash_bytes(c, key, n);

    for (struct group *g = e->slot[h & (e->slots - 1)]; g; g = g->chain)
        if (g->hash == h && g->key_n == n && !memcmp(g->key, key, n)) {
            unlink_group(e, g);
            touch(e, g);
            return g;
        }
    make_room(c, e, NULL);
    struct group *g = calloc(1, sizeof *g + n);
    if (!g)
        return NULL;
    g->hash = h;
    g->key_n = n;
    memcpy(g->key, key, n);
    g->told_until = INT64_MIN;
    g->chain = e->slot[h & (e->slots - 1)];
    e->slot[h & (e->slots - 1)] = g;
    touch(e, g);
    e->groups++;
    c->counts.groups++;
    c->counts.bytes += bytes_of(g);
    grow(e);
    return g;
}

/* A full list: what is only counted or added up is told by half as many moments; of others the oldest goes. */
static void shorten(struct correlate *c, const struct correlation *k, struct group *g)
{
    size_t n = 0;

    if (k->type != CORRELATE_EVENT_COUNT && k->type != CORRELATE_VALUE_SUM && k->type != CORRELATE_VALUE_AVG) {
        memmove(g->moment, g->moment + 1, --g->n * sizeof *g->moment);
        c->counts.cut++;
        return;
    }
    for (size_t i = 0; i + 1 < g->n; i += 2) {
        struct moment *to = &g->moment[n++], *later = &g->moment[i + 1];
        uint32_t weight = g->moment[i].weight + later->weight;
        double number = g->moment[i].number + later->number;
        *to = *later;
        to->weight = weight;
        to->number = number;
    }
    if (g->n % 2)
        g->moment[n++] = g->moment[g->n - 1];
    g->n = n;
}

/* A value that comes again and again counts once: its latest moment is enough. */
static void drop_same(struct group *g, const struct moment *m)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->moment[i].value == m->value && g->moment[i].s <= m->s) {
            memmove(g->moment + i, g->moment + i + 1, (--g->n - i) * sizeof *g->moment);
            return;
        }
}

static int moment_put(struct correlate *c, const struct correlation *k, struct group *g, const struct moment *m)
{
    if (k->type == CORRELATE_VALUE_COUNT && !k->has[CORRELATE_LT] && !k->has[CORRELATE_LTE] && !k->has[CORRELATE_EQ])
        drop_same(g, m);
    if (g->n == CORRELATE_MOMENTS_MAX)
        shorten(c, k, g);
    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 4;
        struct moment *more = realloc(g->moment, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        c->counts.bytes += (cap - g->cap) * sizeof *more;
        g->moment = more;
        g->cap = cap;
    }
    size_t i = g->n++;
    while (i && (g->moment[i - 1].s > m->s || (g->moment[i - 1].s == m->s && g->moment[i - 1].ns > m->ns))) {
        g->moment[i] = g->moment[i - 1];
        i--;
    }
    g->moment[i] = *m;
    return 0;
}

/* ---- conditions ---- */

static bool within(const struct correlation *c, double v)
{
    bool eq = v >= c->limit[CORRELATE_EQ] && v <= c->limit[CORRELATE_EQ],
         ne = v >= c->limit[CORRELATE_NEQ] && v <= c->limit[CORRELATE_NEQ];

    return (!c->has[CORRELATE_GT] || v > c->limit[CORRELATE_GT]) &&
           (!c->has[CORRELATE_GTE] || v >= c->limit[CORRELATE_GTE]) &&
           (!c->has[CORRELATE_LT] || v < c->limit[CORRELATE_LT]) &&
           (!c->has[CORRELATE_LTE] || v <= c->limit[CORRELATE_LTE]) && (!c->has[CORRELATE_EQ] || eq) &&
           (!c->has[CORRELATE_NEQ] || !ne);
}

static bool any_limit(const struct correlation *c)
{
    for (size_t i = 0; i < CORRELATE_CMPS; i++)
        if (c->has[i])
            return true;
    return false;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* How many different values stand in moments [from, to). */
static double distinct(const struct moment *m, size_t n)
{
    uint64_t v[CORRELATE_MOMENTS_MAX];
    size_t k = 0;

    for (size_t i = 0; i < n; i++)
        v[i] = m[i].value;
    qsort(v, n, sizeof *v, by_value);
    for (size_t i = 0; i < n; i++)
        k += !i || v[i] != v[i - 1];
    return (double)k;
}

/* Nearest rank. */
static double percentile(const struct moment *m, size_t n, double p)
{
    double v[CORRELATE_MOMENTS_MAX];

    for (size_t i = 0; i < n; i++)
        v[i] = m[i].number;
    qsort(v, n, sizeof *v, by_number);
    size_t rank = (size_t)ceil(p / 100 * (double)n);
    return v[rank ? rank - 1 : 0];
}

static double share(const struct moment *m, size_t n, const struct moment *of)
{
    size_t same = 0;

    for (size_t i = 0; i < n; i++)
        same += m[i].value == of->value;
    return 100.0 * (double)same / (double)n;
}

/* Do those of the rules that are there come in the order of the rules? */
static bool in_order(const struct moment *m, size_t n, uint64_t there)
{
    for (size_t i = 0; i < n && there; i++)
        if (there & -there & (uint64_t)1 << m[i].rule)
            there &= there - 1;
    return !there;
}

/* How many of the rules have a moment, 0 when the condition on them does not hold; in the order of the rules when ordered. */
static double kinds(const struct correlation *c, const struct moment *m, size_t n)
{
    uint64_t seen = 0;
    size_t count = 0;

    for (size_t i = 0; c->when && i < n; i++)
        seen |= (uint64_t)1 << m[i].rule;
    if (c->when) {
        bool order = c->type == CORRELATE_TEMPORAL || in_order(m, n, seen);
        return order && correlation_when(c->when, seen) ? __builtin_popcountll(seen) : 0;
    }

    if (c->type == CORRELATE_TEMPORAL_ORDERED) {
        for (size_t i = 0; i < n && count < c->rules_n; i++)
            count += m[i].rule == count;
        return (double)count;
    }
    for (size_t i = 0; i < n; i++)
        seen |= (uint64_t)1 << m[i].rule;
    for (; seen; seen &= seen - 1)
        count++;
    return (double)count;
}

static double measure(const struct correlation *c, const struct moment *m, size_t n, const struct moment *last)
{
    double sum = 0, count = 0;

    for (size_t i = 0; i < n; i++) {
        count += m[i].weight;
        sum += m[i].number;
    }
    switch (c->type) {
    case CORRELATE_EVENT_COUNT:
        return count;
    case CORRELATE_VALUE_COUNT:
        return distinct(m, n);
    case CORRELATE_VALUE_PERCENTILE:
    case CORRELATE_VALUE_MEDIAN:
        return c->percentile < 0 ? share(m, n, last) : percentile(m, n, c->percentile);
    case CORRELATE_VALUE_SUM:
    case CORRELATE_VALUE_AVG:
        return c->type == CORRELATE_VALUE_SUM ? sum : sum / count;
    default:
        return kinds(c, m, n);
    }
}

static bool holds(const struct correlation *c, double v)
{
    bool temporal = c->type == CORRELATE_TEMPORAL || c->type == CORRELATE_TEMPORAL_ORDERED;

    if (c->when)
        return v > 0;
    return temporal && !any_limit(c) ? v >= (double)c->rules_n : within(c, v);
}

/* ---- hits ---- */

struct telling {
    struct correlate *c;
    correlate_hit_fn *hit;
    void *ctx;
    int n;
    bool made; /* the event is none that came */
};
static int feed(struct telling *t, const struct sigma_rule *rule, const struct event *e, struct event_time time,
    uint64_t ref, unsigned depth);

static size_t refs_of(const struct moment *m, size_t n, uint64_t *to)
{
    size_t k = 0;

    for (size_t i = 0; i < n && k < CORRELATE_REFS_MAX; i++) {
        /* Of many, half of the room tells the beginning and the rest the end. */
        if (n > CORRELATE_REFS_MAX && i == CORRELATE_REFS_MAX / 2)
            i = n - CORRELATE_REFS_MAX / 2;
        bool twice = false;
        for (size_t j = 0; j < k; j++)
            twice |= to[j] == m[i].ref;
        if (!twice)
            to[k++] = m[i].ref;
    }
    return k;
}

static void tell(struct telling *t, const struct engine *e, const struct group *g, size_t from, size_t to, double value,
    const struct event *event)
{
    struct sm_span values[GROUP_FIELDS_MAX];
    uint64_t refs[CORRELATE_REFS_MAX];
    const struct moment *first = &g->moment[from], *last = &g->moment[to - 1];

    for (size_t i = 0, at = 0; i < e->c->group_n; i++) {
        uint32_t n;
        memcpy(&n, g->key + at, 4);
        values[i] = SM_SPAN(g->key + at + 4, n);
        at += 4 + n;
    }
    struct correlate_hit hit = { .rule = e->rule,
        .value = value,
        .first = { first->s, first->ns },
        .last = { last->s, last->ns },
        .event = t->made ? NULL : event,
        .group_n = e->c->group_n,
        .group_name = e->c->group_name,
        .group_value = values,
        .ref_n = refs_of(first, to - from, refs),
        .ref = refs };
    t->n++;
    t->c->counts.hits++;
    t->hit(t->ctx, &hit);
}

/* Does it hold in the window that ends with the moment at i?  That of the event is `changed`. */
static bool window(const struct engine *e, const struct group *g, size_t i, const struct moment *changed,
    size_t *ret_from, double *ret_value)
{
    size_t from = i;

    while (from && g->moment[from - 1].s >= g->moment[i].s - e->c->timespan_s)
        from--;
    *ret_from = from;
    *ret_value = measure(e->c, g->moment + from, i + 1 - from, changed);
    return holds(e->c, *ret_value);
}

/* A spread over machines goes on: each further one is told. */
static bool further_machine(const struct engine *e, const struct group *g, size_t from, size_t to, const struct moment *changed)
{
    if (e->rule->level < SIGMA_HIGH || e->c->type != CORRELATE_VALUE_COUNT || e->c->field_n != 1 || e->c->field[0] != EVENT_F_Computer)
        return false;
    size_t same = 0;
    for (size_t i = from; i < to; i++)
        same += g->moment[i].value == changed->value;
    return same == 1;
}

/* The moment `changed` may complete windows that end at it or later. */
static int check(struct telling *t, struct engine *e, struct group *g, const struct moment *changed,
    const struct event *event, unsigned depth)
{
    bool one_by_one = e->c->type == CORRELATE_VALUE_PERCENTILE && e->c->percentile < 0;

    for (size_t i = g->n; i-- && g->moment[i].s >= changed->s;) {
        size_t from;
        double v;
        if (!window(e, g, i, changed, &from, &v))
            continue;
        struct event_time last = { g->moment[i].s, g->moment[i].ns };
        bool told = last.s <= g->told_until && !one_by_one && !further_machine(e, g, from, i + 1, changed);
        g->told_until = last.s + e->c->timespan_s;
        if (!told)
            tell(t, e, g, from, i + 1, v, event);
        /* Those that build on this one hear of it as long as it lasts.  They may drop this group: it is not touched
         * after. */
        return feed(t, e->rule, event, last, g->moment[i].ref, depth + 1);
    }
    return 0;
}

static bool read_value(const struct correlate *c, const struct correlation *k, const struct event *ev, struct moment *m)
{
    bool numeric = k->type == CORRELATE_VALUE_SUM || k->type == CORRELATE_VALUE_AVG ||
                   k->type == CORRELATE_VALUE_MEDIAN || (k->type == CORRELATE_VALUE_PERCENTILE && k->percentile >= 0);

    if (!k->field_n)
        return true;
    if (numeric)
        return number_read(event_text(ev, k->field[0]), &m->number);
    for (size_t i = 0; i < k->field_n; i++) {
        uint8_t low[CORRELATE_VALUE_MAX];
        if (!event_get(ev, k->field[i]))
            return false; /* a value that is not there is not counted */
        struct sm_span s = text_of(ev, k->field[i]);
        if (s.n)
            fold_text(low, s.p, s.n);
        m->value = (m->value ^ hash_bytes(c, low, s.n)) * 0x9e3779b97f4a7c15u;
    }
    return true;
}

static void forget(struct group *g, int64_t before)
{
    size_t n = 0;

    while (n < g->n && g->moment[n].s < before)
        n++;
    if (n) {
        g->n -= n;
        memmove(g->moment, g->moment + n, g->n * sizeof *g->moment);
    }
}

static int one(struct telling *t, struct engine *e, uint16_t which, const struct sigma_rule *rule,
    const struct event *ev, struct event_time time, uint64_t ref, unsigned depth)
{
    uint8_t key[KEY_MAX];
    struct moment m = { .s = time.s, .ns = time.ns, .rule = which, .weight = 1, .ref = ref };
    struct correlate *c = t->c;

    if (!read_value(c, e->c, ev, &m))
        return 0;
    struct group *g = group_get(c, e, key, key_of(e->c, rule, ev, key));
    if (!g)
        return -ENOMEM;
    g->touched = c->now;
    /* Each group goes by its own latest moment: a machine whose clock is slow keeps its place among its own. */
    int64_t latest = g->n ? g->moment[g->n - 1].s : m.s;
    if (m.s < latest - e->c->timespan_s - CORRELATE_LATE_S) {
        c->counts.late++;
        return 0;
    }
    if (!upper_bound(e->c))
        forget(g, latest - 2 * e->c->timespan_s - CORRELATE_LATE_S);
    int r = moment_put(c, e->c, g, &m);
    if (r < 0 || upper_bound(e->c))
        return r;
    make_room(c, e, g);
    return check(t, e, g, &m, ev, depth);
}

static int feed(struct telling *t, const struct sigma_rule *rule, const struct event *e, struct event_time time,
    uint64_t ref, unsigned depth)
{
    const struct listeners *l = &t->c->listeners[rule->number];

    if (depth > CORRELATE_DEPTH_MAX || !e)
        return 0;
    for (size_t i = 0; i < l->n; i++) {
        int r = one(t, &t->c->engine[l->to[i].engine], l->to[i].which, rule, e, time, ref, depth);
        if (r < 0)
            return r;
    }
    return 0;
}

int correlate_add(struct correlate *c, const struct sigma_rule *rule, const struct event *e, uint64_t ref,
    correlate_hit_fn *hit, void *ctx)
{
    struct telling t = { .c = c, .hit = hit, .ctx = ctx };
    struct event_time time = e->time;

    if (rule->number >= c->rules || !c->listeners[rule->number].n)
        return 0;
    c->counts.added++;
    /* A clock that is fast does not make everybody else's events old. */
    if (e->seen.s > 0 && time.s > e->seen.s + CORRELATE_LATE_S)
        time = e->seen;
    if (time.s > c->now)
        c->now = time.s;
    int r = feed(&t, rule, e, time, ref, 0);
    return r < 0 ? r : t.n;
}

/* ---- time goes on ---- */

/* An upper bound: each window begins with the first moment that no window had, and is decided when it is over. */
static void decide(struct telling *t, struct engine *e, struct group *g, int64_t now)
{
    struct correlate *c = t->c;

    while (c->ended_n < ENDED_MAX && g->n && now - g->moment[0].s > e->c->timespan_s + CORRELATE_LATE_S) {
        size_t n = 0;
        while (n < g->n && g->moment[n].s <= g->moment[0].s + e->c->timespan_s)
            n++;
        double v = measure(e->c, g->moment, n, &g->moment[n - 1]);
        if (holds(e->c, v)) {
            struct ended *d = &c->ended[c->ended_n++];
            *d = (struct ended){ .engine = e, .s = g->moment[n - 1].s, .ref = g->moment[n - 1].ref, .key_n = g->key_n };
            memcpy(d->key, g->key, g->key_n);
            tell(t, e, g, 0, n, v, NULL);
        }
        g->n -= n;
        memmove(g->moment, g->moment + n, g->n * sizeof *g->moment);
    }
}

/* Those that build on a correlation that its window decided hear of it, too: as of an event that has what the group has in common. */
static int pass_on(struct telling *t, const struct ended *d)
{
    struct correlate *c = t->c;
    const struct correlation *k = d->engine->c;
    struct event_time time = { .s = d->s };
    int r = 0;

    event_clear(&c->made);
    c->made.time = c->made.seen = time;
    for (size_t i = 0, at = 0; i < k->group_n && r >= 0; i++) {
        uint32_t n;
        memcpy(&n, d->key + at, 4);
        r = event_add_copy(&c->made, event_names_find(c->names, SM_SPAN_STR(k->group_name[i])), EVENT_TEXT, SM_SPAN(d->key + at + 4, n));
        at += 4 + n;
    }
    return r < 0 ? r : feed(t, d->engine->rule, &c->made, time, d->ref, 1);
}

static int pass_all_on(struct telling *t)
{
    int r = 0;

    t->made = true;
    for (size_t i = 0; i < t->c->ended_n && r >= 0; i++)
        r = pass_on(t, &t->c->ended[i]);
    t->c->ended_n = 0;
    return r;
}

int correlate_tick(struct correlate *c, struct event_time now, correlate_hit_fn *hit, void *ctx)
{
    struct telling t = { .c = c, .hit = hit, .ctx = ctx };

    if (!c->ended && !(c->ended = calloc(ENDED_MAX, sizeof *c->ended)))
        return -ENOMEM;
    if (!c->made.arena && event_init(&c->made) < 0)
        return -ENOMEM;

    if (now.s > c->now)
        c->now = now.s;
    for (size_t i = 0; i < c->n; i++) {
        struct engine *e = &c->engine[i];
        for (struct group *g = e->oldest; g && upper_bound(e->c); g = g->newer)
            decide(&t, e, g, c->now);
        while (e->oldest && c->now - e->oldest->touched > 2 * e->c->timespan_s + 2 * CORRELATE_LATE_S)
            drop(c, e, e->oldest);
    }
    int r = pass_all_on(&t);
    return r < 0 ? r : t.n;
}

void correlate_counts(const struct correlate *c, struct correlate_counts *ret)
{
    *ret = c->counts;
    ret->rules = c->n;
}
