#include "detect/sigma/matcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint32_t text_hash(const uint8_t *p, size_t n)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 16777619u;
    return h ^ h >> 15;
}

static int texts_add(struct pool *pool, struct texts *t, const char *text, uint32_t site)
{
    size_t len = strlen(text), i = 0;

    while (i < t->n && (t->row[i].len != len || memcmp(t->row[i].text, text, len)))
        i++;
    if (i == t->n) {
        if (t->n == t->cap) {
            size_t cap = t->cap ? 2 * t->cap : 64;
            void *more = realloc(t->row, cap * sizeof *t->row);
            if (!more)
                return -ENOMEM;
            t->row = more;
            t->cap = cap;
        }
        memset(&t->row[i], 0, sizeof t->row[i]);
        t->row[i].text = text;
        t->row[i].len = len;
        t->n++;
    }
    for (size_t k = 0; k < t->row[i].n; k++)
        if (t->row[i].site[k] == site)
            return 0;
    uint32_t *more = pool_get(pool, (t->row[i].n + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    if (t->row[i].n)
        memcpy(more, t->row[i].site, t->row[i].n * sizeof *more);
    more[t->row[i].n++] = site;
    t->row[i].site = more;
    return 0;
}

static int texts_index(struct texts *t)
{
    for (t->slots = 16; t->slots < 3 * t->n; t->slots *= 2)
        ;
    t->slot = calloc(t->slots, sizeof *t->slot);
    if (!t->slot)
        return -ENOMEM;
    for (size_t i = 0; i < t->n; i++) {
        size_t k = text_hash((const uint8_t *)t->row[i].text, t->row[i].len) & (t->slots - 1);
        while (t->slot[k])
            k = (k + 1) & (t->slots - 1);
        t->slot[k] = (uint32_t)i + 1;
    }
    return 0;
}

const uint32_t *texts_find(const struct texts *t, const uint8_t *p, size_t n, size_t *ret_n)
{
    for (size_t k = text_hash(p, n) & (t->slots - 1); t->slot[k]; k = (k + 1) & (t->slots - 1)) {
        uint32_t i = t->slot[k] - 1;
        if (t->row[i].len == n && !memcmp(t->row[i].text, p, n)) {
            *ret_n = t->row[i].n;
            return t->row[i].site;
        }
    }
    return NULL;
}

/* ---- sites ---- */

static bool same_site(const struct found *a, const struct found *b)
{
    if (a->place || b->place)
        return a->place && b->place && !strcmp(a->place, b->place);
    return a->channel == b->channel && a->provider == b->provider && a->windows == b->windows &&
           a->product == b->product && a->category == b->category && a->service == b->service && a->alone == b->alone;
}

static int site_of(struct sigma_matcher *m, const struct found *f, struct site **ret)
{
    for (size_t i = 0; i < m->site_n; i++)
        if (same_site(m->site[i].found, f)) {
            *ret = &m->site[i];
            return 0;
        }
    if (m->site_n == m->site_cap) {
        size_t cap = m->site_cap ? 2 * m->site_cap : 64;
        struct site *more = realloc(m->site, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        m->site = more;
        m->site_cap = cap;
    }
    m->site[m->site_n] = (struct site){ .found = f };
    *ret = &m->site[m->site_n++];
    return 0;
}

/* The EventIDs of an instance: those of the way it comes, those of the condition, or what both share.  False: never
 * both. */
static bool narrow(struct pool *pool, const struct found *f, size_t rule_n, uint32_t *rule_id, struct instance *in)
{
    if (!f->id_n || !rule_n) {
        in->id_n = f->id_n ? f->id_n : rule_n;
        in->id = f->id_n ? f->id : rule_id;
        return true;
    }
    in->id = pool_get(pool, f->id_n * sizeof *in->id);
    for (size_t i = 0; i < f->id_n && in->id; i++)
        for (size_t k = 0; k < rule_n; k++)
            if (f->id[i] == rule_id[k])
                in->id[in->id_n++] = f->id[i];
    return in->id_n > 0;
}

static int put_instance(
    struct sigma_matcher *m, struct rule *rule, const struct found *f, size_t rule_n, uint32_t *rule_id)
{
    struct instance *in = pool_get(&m->pool, sizeof *in);
    struct site *s = NULL;
    int r = in ? site_of(m, f, &s) : -ENOMEM;

    if (r < 0)
        return r;
    in->rule = rule;
    in->found = f;
    in->anchor = m->anchor[rule->pub.number];
    if (!narrow(&m->pool, f, rule_n, rule_id, in))
        return 0;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 16;
        struct instance **more = realloc(s->instance, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        s->instance = more;
        s->cap = cap;
    }
    s->instance[s->n++] = in;
    m->size.instances++;
    return 0;
}

static int put_rule(struct sigma_matcher *m, struct rule *rule)
{
    struct found *words = pool_get(&m->pool, sizeof *words);
    size_t n = 0, id_n = 0;
    uint32_t *id = NULL;
    int r = words ? anchor_of(&m->pool, m->set, rule->cond, &m->anchor[rule->pub.number]) : -ENOMEM;

    if (r == 0)
        r = ids_of(&m->pool, rule->cond, &id_n, &id);
    if (r < 0)
        return r;
    const struct found *f = sources_find(m->set, rule, words, &n);
    m->size.rules++;
    for (size_t i = 0; i < n && r == 0; i++)
        r = put_instance(m, rule, &f[i], id_n, id);
    return r < 0 ? r : put_instance(m, rule, words, id_n, id);
}

/* ---- buckets ---- */

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static bool takes(const struct instance *in, bool rest, uint32_t id)
{
    if (!in->id_n)
        return true;
    for (size_t i = 0; i < in->id_n && !rest; i++)
        if (in->id[i] == id)
            return true;
    return false;
}

static int fill(struct sigma_matcher *m, struct site *s, bool rest, uint32_t id, struct bucket *b)
{
    b->id = id;
    b->instance = malloc((s->n + 1) * sizeof *b->instance);
    if (!b->instance)
        return -ENOMEM;
    for (size_t i = 0; i < s->n; i++)
        if (takes(s->instance[i], rest, id))
            b->instance[b->n++] = s->instance[i];
    return bucket_build(m, b);
}

static int index_buckets(struct site *s)
{
    for (s->slots = 4; s->slots < 2 * s->bucket_n; s->slots *= 2)
        ;
    s->slot = calloc(s->slots, sizeof *s->slot);
    if (!s->slot)
        return -ENOMEM;
    for (size_t i = 0; i < s->bucket_n; i++) {
        size_t k = s->bucket[i].id * 2654435761u >> 7 & (s->slots - 1);
        while (s->slot[k])
            k = (k + 1) & (s->slots - 1);
        s->slot[k] = (uint32_t)i + 1;
    }
    return 0;
}

const struct bucket *site_bucket(const struct site *s, uint32_t id)
{
    for (size_t k = id * 2654435761u >> 7 & (s->slots - 1); s->slot[k]; k = (k + 1) & (s->slots - 1))
        if (s->bucket[s->slot[k] - 1].id == id)
            return &s->bucket[s->slot[k] - 1];
    return &s->rest;
}

static int site_build(struct sigma_matcher *m, struct site *s)
{
    size_t total = 0, n = 0;

    for (size_t i = 0; i < s->n; i++)
        total += s->instance[i]->id_n;
    uint32_t *id = malloc((total + 1) * sizeof *id);
    if (!id)
        return -ENOMEM;
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->instance[i]->id_n; k++)
            id[n++] = s->instance[i]->id[k];
    qsort(id, n, sizeof *id, by_id);
    s->bucket = calloc(n + 1, sizeof *s->bucket);
    int r = s->bucket ? 0 : -ENOMEM;
    for (size_t i = 0; i < n && r == 0; i++)
        if (!i || id[i] != id[i - 1]) {
            r = fill(m, s, false, id[i], &s->bucket[s->bucket_n]);
            s->bucket_n++;
        }
    free(id);
    if (r == 0)
        r = fill(m, s, true, 0, &s->rest);
    return r < 0 ? r : index_buckets(s);
}

static int by_words(const void *a, const void *b)
{
    const struct words *x = a, *y = b;

    if (x->product != y->product)
        return x->product < y->product ? -1 : 1;
    if (x->category != y->category)
        return x->category < y->category ? -1 : 1;
    return x->service < y->service ? -1 : x->service > y->service;
}

/* How events find the sites. */
static int directory(struct sigma_matcher *m)
{
    int r = 0;

    m->windows = calloc(m->site_n + 1, sizeof *m->windows);
    m->words = calloc(m->site_n + 1, sizeof *m->words);
    if (!m->windows || !m->words)
        return -ENOMEM;
    for (uint32_t i = 0; i < m->site_n && r == 0; i++) {
        const struct found *f = m->site[i].found;
        for (size_t k = 0; k < f->channel_n && r == 0; k++)
            r = texts_add(&m->pool, &m->channels, f->channel[k], i);
        for (size_t k = 0; k < f->provider_n && r == 0; k++)
            r = texts_add(&m->pool, &m->providers, f->provider[k], i);
        if (f->windows)
            m->windows[m->windows_n++] = i;
        if (f->product || f->category || f->service)
            m->words[m->words_n++] = (struct words){ f->product, f->category, f->service, i, f->alone };
    }
    qsort(m->words, m->words_n, sizeof *m->words, by_words);
    if (r == 0)
        r = texts_index(&m->channels);
    return r < 0 ? r : texts_index(&m->providers);
}

int sigma_compile(struct sigma_set *set, const struct sigma_options *options, struct sigma_matcher **ret)
{
    struct sigma_matcher *m = calloc(1, sizeof *m);
    int r = 0;

    if (!m)
        return -ENOMEM;
    m->set = set;
    m->options = options ? *options : (struct sigma_options){ .zone_s = 32400 };
    m->anchor = calloc(set->n + 1, sizeof *m->anchor);
    if (!m->anchor)
        r = -ENOMEM;
    for (size_t i = 0; i < set->n && r == 0; i++)
        if (set->rule[i]->pub.kind == SIGMA_RULE && !set->rule[i]->pub.off && !*set->rule[i]->pub.waits)
            r = put_rule(m, set->rule[i]);
    for (size_t i = 0; i < m->site_n && r == 0; i++)
        r = site_build(m, &m->site[i]);
    if (r == 0)
        r = directory(m);
    if (r < 0) {
        sigma_matcher_free(m);
        return r;
    }
    m->size.bytes += m->pool.bytes;
    *ret = m;
    return 0;
}

void sigma_matcher_free(struct sigma_matcher *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->site_n; i++) {
        struct site *s = &m->site[i];
        for (size_t k = 0; k < s->bucket_n; k++)
            bucket_wipe(&s->bucket[k]);
        bucket_wipe(&s->rest);
        free(s->bucket);
        free(s->slot);
        free(s->instance);
    }
    free(m->site);
    free(m->channels.row);
    free(m->channels.slot);
    free(m->providers.row);
    free(m->providers.slot);
    free(m->windows);
    free(m->words);
    free(m->anchor);
    pool_wipe(&m->pool);
    free(m);
}

void sigma_matcher_size(const struct sigma_matcher *m, struct sigma_size *ret)
{
    *ret = m->size;
}
