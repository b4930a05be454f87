#include "detect/sigma/matcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SITES_MAX = 64, NAME_MAX_BYTES = 256 };

struct sigma_scratch {
    const struct sigma_matcher *m;
    struct view view;
    void *search[2];       /* of each way of searching */
    uint32_t *mark, round; /* by place in a bucket: found in this round */
    uint32_t *hit, event;  /* by rule: matched in this event */
    uint16_t *found;
    size_t found_n;
    const struct search *now;
    struct sigma_counts counts;
};

static void **scratch_of(struct sigma_scratch *s, const struct literal_way *way)
{
    return &s->search[way == &literal_plain];
}

static int fit(struct sigma_scratch *s, const struct bucket *b)
{
    for (size_t i = 0; i < b->search_n; i++) {
        int r = b->search[i].way->fit(b->search[i].db, scratch_of(s, b->search[i].way));
        if (r < 0)
            return r;
    }
    return 0;
}

struct sigma_scratch *sigma_scratch_new(const struct sigma_matcher *m)
{
    struct sigma_scratch *s = calloc(1, sizeof *s);
    int r = s ? view_init(&s->view, m->set, m->options.zone_s) : -ENOMEM;

    if (!s)
        return NULL;
    s->m = m;
    s->mark = calloc(m->bucket_max + 1, sizeof *s->mark);
    s->found = calloc(m->bucket_max + 1, sizeof *s->found);
    s->hit = calloc(m->set->n + 1, sizeof *s->hit);
    if (!s->mark || !s->found || !s->hit)
        r = -ENOMEM;
    for (size_t i = 0; i < m->site_n && r == 0; i++) {
        for (size_t k = 0; k < m->site[i].bucket_n && r == 0; k++)
            r = fit(s, &m->site[i].bucket[k]);
        if (r == 0)
            r = fit(s, &m->site[i].rest);
    }
    if (r < 0) {
        sigma_scratch_free(s);
        return NULL;
    }
    return s;
}

void sigma_scratch_free(struct sigma_scratch *s)
{
    if (!s)
        return;
    view_wipe(&s->view);
    literal_vectorscan.free_scratch(s->search[0]);
    literal_plain.free_scratch(s->search[1]);
    free(s->mark);
    free(s->found);
    free(s->hit);
    free(s);
}

/* ---- where an event belongs ---- */

struct places {
    size_t n;
    uint32_t site[SITES_MAX];
};

static void add_sites(struct places *p, const uint32_t *site, size_t n)
{
    for (size_t i = 0; i < n && p->n < SITES_MAX; i++)
        p->site[p->n++] = site[i];
}

static const uint32_t *lookup(const struct texts *t, struct sm_span name, size_t *ret_n)
{
    uint8_t low[NAME_MAX_BYTES];

    *ret_n = 0;
    if (!name.n || name.n > sizeof low)
        return NULL;
    fold_text(low, name.p, name.n);
    return texts_find(t, low, name.n, ret_n);
}

static void by_words(const struct sigma_matcher *m, const struct event *e, bool named, struct places *p)
{
    for (unsigned bits = 1; bits < 8; bits++) {
        struct words w = { bits & 1 ? e->product : 0, bits & 2 ? e->category : 0, bits & 4 ? e->service : 0, 0, false };
        if ((bits & 1 && !w.product) || (bits & 2 && !w.category) || (bits & 4 && !w.service))
            continue;
        size_t low = 0, high = m->words_n;
        while (low < high) {
            size_t mid = (low + high) / 2;
            const struct words *x = &m->words[mid];
            bool less = x->product != w.product     ? x->product < w.product
                        : x->category != w.category ? x->category < w.category
                                                    : x->service < w.service;
            if (less)
                low = mid + 1;
            else
                high = mid;
        }
        for (; low < m->words_n && m->words[low].product == w.product && m->words[low].category == w.category &&
               m->words[low].service == w.service;
             low++)
            if (!(m->words[low].alone && named))
                add_sites(p, &m->words[low].site, 1);
    }
}

/* By its channel; by its provider where the channel says nothing: it is absent, unknown, or that of a collector. */
static void find_places(const struct sigma_matcher *m, struct view *v, struct places *p)
{
    const struct event *e = v->e;
    const struct event_field *channel = view_get(v, EVENT_F_Channel), *provider = view_get(v, EVENT_F_Provider_Name);
    bool named = channel || provider;
    size_t n = 0;
    const uint32_t *site = channel ? lookup(&m->channels, event_value(channel), &n) : NULL;

    p->n = 0;
    if (!site && provider)
        site = lookup(&m->providers, event_value(provider), &n);
    add_sites(p, site, n);
    if (named)
        add_sites(p, m->windows, m->windows_n);
    if (e->product || e->category || e->service)
        by_words(m, e, named, p);
}

static uint32_t event_id(struct view *v)
{
    const struct event_field *f = view_get(v, EVENT_F_EventID);
    uint32_t id = 0;

    if (!f || !f->n || f->n > 9)
        return UINT32_MAX;
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->p[i] < '0' || f->p[i] > '9')
            return UINT32_MAX;
        id = id * 10 + (uint32_t)(f->p[i] - '0');
    }
    return id;
}

/* ---- candidates ---- */

static void on_literal(void *ctx, uint32_t number)
{
    struct sigma_scratch *s = ctx;

    for (uint32_t i = s->now->first[number]; i < s->now->first[number + 1]; i++) {
        uint16_t who = s->now->who[i];
        if (s->mark[who] != s->round) {
            s->mark[who] = s->round;
            s->found[s->found_n++] = who;
        }
    }
}

static int search_text(struct sigma_scratch *s, const struct search *x, const uint8_t *folded, size_t n)
{
    if (!n)
        return 0;
    if (!folded)
        return -ENOMEM;
    s->now = x;
    return x->way->scan(x->db, *scratch_of(s, x->way), folded, n, on_literal, s);
}

static int search_field(struct sigma_scratch *s, const struct search *x)
{
    struct view *v = &s->view;
    int r = 0;

    if (x->name) {
        for (const struct event_field *f = view_get(v, x->name); f && r == 0; f = view_next(v, f))
            r = search_text(s, x, view_folded(v, f), f->n);
        return r;
    }
    size_t n = 0;
    const uint8_t *all = view_folded_all(v, &n);
    return search_text(s, x, all, n);
}

static void sort_found(struct sigma_scratch *s)
{
    for (size_t i = 1; i < s->found_n; i++) {
        uint16_t who = s->found[i];
        size_t k = i;
        for (; k && s->found[k - 1] > who; k--)
            s->found[k] = s->found[k - 1];
        s->found[k] = who;
    }
}

static bool holds(struct sigma_scratch *s, const struct instance *in)
{
    struct view *v = &s->view;
    bool yes = true;

    v->rename = in->found->rename;
    v->rename_n = in->found->rename_n;
    v->limit = false;
    for (size_t i = 0; i < in->found->where_n && yes; i++)
        yes = eval_where(v, &in->found->where[i]);
    yes = yes && eval_expr(v, in->rule->cond);
    v->rename_n = 0;
    if (v->limit)
        s->counts.ret_rule = &in->rule->pub;
    return yes;
}

/* Returns how many rules of the bucket matched. */
static int match_bucket(struct sigma_scratch *s, const struct bucket *b, sigma_hit_fn *hit, void *ctx)
{
    int hits = 0;

    s->round++;
    if (!s->round) {
        memset(s->mark, 0, (s->m->bucket_max + 1) * sizeof *s->mark);
        s->round = 1;
    }
    s->found_n = 0;
    for (size_t i = 0; i < b->search_n; i++) {
        int r = search_field(s, &b->search[i]);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < b->direct_n; i++)
        s->found[s->found_n++] = b->direct[i];
    sort_found(s);
    s->counts.candidates += s->found_n;
    for (size_t i = 0; i < s->found_n; i++) {
        const struct instance *in = b->instance[s->found[i]];
        uint32_t number = in->rule->pub.number;
        if (s->hit[number] == s->event || !holds(s, in))
            continue;
        s->hit[number] = s->event;
        hits++;
        hit(ctx, &in->rule->pub, s->view.e);
    }
    return hits;
}

int sigma_match(
    const struct sigma_matcher *m, struct sigma_scratch *s, const struct event *e, sigma_hit_fn *hit, void *ctx)
{
    struct places p;
    int hits = 0;

    view_open(&s->view, e);
    if (s->view.err < 0)
        return s->view.err;
    s->counts.events++;
    if (!++s->event) {
        memset(s->hit, 0, (m->set->n + 1) * sizeof *s->hit);
        s->event = 1;
    }
    find_places(m, &s->view, &p);
    uint32_t id = event_id(&s->view);
    const struct bucket *bucket[SITES_MAX];
    for (size_t i = 0; i < p.n; i++) {
        bucket[i] = site_bucket(&m->site[p.site[i]], id);
        size_t n;
        if (bucket[i]->search_n && !bucket[i]->search[0].name) /* fields stand in order of their numbers */
            (void)view_folded_all(&s->view, &n);
    }
    for (size_t i = 0; i < p.n; i++) {
        const struct bucket *b = bucket[i];
        int r = b->n ? match_bucket(s, b, hit, ctx) : 0;
        if (r < 0)
            return r;
        hits += r;
    }
    s->counts.hits += (uint64_t)hits;
    s->counts.regex_limits = s->view.regex_limits;
    return hits;
}

void sigma_scratch_counts(const struct sigma_scratch *s, struct sigma_counts *ret)
{
    *ret = s->counts;
}

/* ---- for explain.c ---- */

struct view *scratch_view(struct sigma_scratch *s)
{
    return &s->view;
}

bool match_place(const struct sigma_matcher *m, struct sigma_scratch *s, const struct instance *in)
{
    struct places p;
    uint32_t id = event_id(&s->view);

    find_places(m, &s->view, &p);
    for (size_t i = 0; i < p.n; i++) {
        const struct bucket *b = site_bucket(&m->site[p.site[i]], id);
        for (size_t k = 0; k < b->n; k++)
            if (b->instance[k] == in)
                return true;
    }
    return false;
}
