/* The searches of one bucket: which literals in which field lead to which rules. */
#include "detect/sigma/matcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 2, FEW_NEEDS = 4, BUCKET_MAX = 60000 }; /* so few rules are evaluated as fast as searched for */

struct entry {
    uint16_t name, who;
    const struct stretch *s;
};

static uint16_t renamed(const struct found *f, uint16_t name)
{
    for (size_t i = 0; i < f->rename_n; i++)
        if (f->rename[i].from == name)
            return f->rename[i].to;
    return name;
}

static int order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->name != y->name)
        return x->name < y->name ? -1 : 1;
    if (x->s->start != y->s->start || x->s->end != y->s->end)
        return x->s->start * 2 + x->s->end < y->s->start * 2 + y->s->end ? -1 : 1;
    int c = sm_span_cmp(SM_SPAN(x->s->p, x->s->n), SM_SPAN(y->s->p, y->s->n));
    return c ? c : x->who < y->who ? -1 : x->who > y->who;
}

static bool same_literal(const struct entry *a, const struct entry *b)
{
    return a->s->start == b->s->start && a->s->end == b->s->end &&
           sm_span_eq(SM_SPAN(a->s->p, a->s->n), SM_SPAN(b->s->p, b->s->n));
}

static int make_db(struct sigma_matcher *m, struct search *s, const struct literal *list)
{
    s->way = m->options.plain || !literal_vectorscan_runs() ? &literal_plain : &literal_vectorscan;
    int r = s->way->make(list, s->literals, &s->db);
    if (r == -SM_ELIMIT) { /* more than vectorscan takes: the other way takes any */
        s->way = &literal_plain;
        r = s->way->make(list, s->literals, &s->db);
    }
    if (r < 0)
        return r;
    m->size.databases++;
    m->size.literals += s->literals;
    m->size.bytes += s->way->bytes(s->db) + (s->literals + 1) * 4;
    return 0;
}

/* n entries of one field. */
static int search_make(struct sigma_matcher *m, const struct entry *e, size_t n, struct search *s)
{
    struct literal *list = malloc(n * sizeof *list);
    int r = -ENOMEM;

    s->name = e->name;
    s->first = malloc((n + 1) * sizeof *s->first);
    s->who = malloc(n * sizeof *s->who);
    if (list && s->first && s->who) {
        for (size_t i = 0; i < n; i++) {
            if (!i || !same_literal(&e[i], &e[i - 1])) {
                s->first[s->literals] = (uint32_t)i;
                list[s->literals++] = (struct literal){ e[i].s->p, e[i].s->n, e[i].s->start, e[i].s->end };
            }
            s->who[i] = e[i].who;
        }
        s->first[s->literals] = (uint32_t)n;
        r = make_db(m, s, list);
    }
    free(list);
    return r;
}

static int collect(const struct bucket *b, struct entry **ret, size_t *ret_n)
{
    size_t total = 0, n = 0;

    for (size_t i = 0; i < b->n; i++)
        total += b->instance[i]->anchor ? b->instance[i]->anchor->n : 0;
    struct entry *e = malloc((total + 1) * sizeof *e);
    if (!e)
        return -ENOMEM;
    for (size_t i = 0; i < b->n; i++) {
        const struct anchor *a = b->instance[i]->anchor;
        for (size_t k = 0; a && k < a->n; k++)
            e[n++] = (struct entry){ renamed(b->instance[i]->found, a->need[k].name), (uint16_t)i, &a->need[k].s };
    }
    qsort(e, n, sizeof *e, order);
    *ret = e;
    *ret_n = n;
    return 0;
}

static int searches(struct sigma_matcher *m, struct bucket *b)
{
    struct entry *e = NULL;
    size_t n = 0, fields = 0;
    int r = collect(b, &e, &n);

    for (size_t i = 0; i < n && r == 0; i++)
        fields += !i || e[i].name != e[i - 1].name;
    if (fields) {
        b->search = calloc(fields, sizeof *b->search);
        r = b->search ? 0 : -ENOMEM;
    }
    for (size_t i = 0, end; i < n && r == 0; i = end) {
        for (end = i; end < n && e[end].name == e[i].name;)
            end++;
        r = search_make(m, e + i, end - i, &b->search[b->search_n]);
        b->search_n++;
    }
    free(e);
    return r;
}

static bool cheap(const struct bucket *b)
{
    bool few = b->n <= FEW;

    for (size_t i = 0; i < b->n && few; i++) {
        const struct anchor *a = b->instance[i]->anchor;
        few = !a || a->n <= FEW_NEEDS;
        for (size_t k = 0; a && k < a->n; k++)
            few = few && a->need[k].name;
    }
    return few;
}

int bucket_build(struct sigma_matcher *m, struct bucket *b)
{
    bool few = cheap(b);

    if (b->n > BUCKET_MAX)
        return -SM_ELIMIT;
    m->size.buckets++;
    if (b->n > m->bucket_max)
        m->bucket_max = b->n;
    b->direct = malloc((b->n + 1) * sizeof *b->direct);
    if (!b->direct)
        return -ENOMEM;
    for (size_t i = 0; i < b->n; i++)
        if (few || !b->instance[i]->anchor)
            b->direct[b->direct_n++] = (uint16_t)i;
    m->size.direct += few ? 0 : b->direct_n;
    return few ? 0 : searches(m, b);
}

void bucket_wipe(struct bucket *b)
{
    for (size_t i = 0; i < b->search_n; i++) {
        if (b->search[i].db)
            b->search[i].way->free_db(b->search[i].db);
        free(b->search[i].first);
        free(b->search[i].who);
    }
    free(b->search);
    free(b->direct);
    free(b->instance);
}
