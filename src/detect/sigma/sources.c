/* The table of log sources: rules/logsources.yml.  docs/RULES.md says how it is written. */
#include "detect/sigma/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LIST_MAX = 256, SOURCES_MAX = 4096 };

struct place {
    const char *name;
    const struct node *node;
    struct place *next;
};
struct table {
    struct reader r;
    struct place *places;
};

/* One text or a list of them, folded. */
static const char **folded(struct reader *r, const struct node *n, size_t *ret_n)
{
    size_t count = !n ? 0 : n->kind == NODE_LIST ? n->n : 1, k = 0;

    *ret_n = 0;
    if (!n)
        return NULL;
    if (count > LIST_MAX || n->kind == NODE_MAP) {
        sigma_fail(r, n->line, "\"%.40s\": a text or a list of at most %d", n->key->text, LIST_MAX);
        return NULL;
    }
    const char **to = sigma_get(r, (count + 1) * sizeof *to);
    for (const struct node *c = n->kind == NODE_LIST ? n->child : n; c && to;
         c = n->kind == NODE_LIST ? c->next : NULL) {
        char *low = c->kind == NODE_SCALAR ? sigma_get(r, c->text_n + 1) : NULL;
        if (!low) {
            sigma_fail(r, c->line, "\"%.40s\": a text or a list of texts", n->key->text);
            return NULL;
        }
        fold_text((uint8_t *)low, (const uint8_t *)c->text, c->text_n);
        to[k++] = low;
    }
    *ret_n = k;
    return to;
}

static void ids_read(struct reader *r, const struct node *n, struct found *f)
{
    const char **text = folded(r, n, &f->id_n);

    f->id = sigma_get(r, (f->id_n + 1) * sizeof *f->id);
    for (size_t i = 0; i < f->id_n && r->err >= 0; i++) {
        double v;
        if (!number_read(SM_SPAN_STR(text[i]), &v) || v < 0 || v > UINT32_MAX)
            sigma_fail(r, n->line, "id: numbers of events, not \"%.40s\"", text[i]);
        else
            f->id[i] = (uint32_t)v;
    }
}

static uint16_t field_of(struct reader *r, const char *name)
{
    return event_names_add(r->set->names, SM_SPAN_STR(name));
}

static void renames_read(struct reader *r, const struct node *n, struct found *f)
{
    if (!n)
        return;
    if (n->kind != NODE_MAP || n->n > LIST_MAX) {
        sigma_fail(r, n->line, "rename: a map of at most %d fields", LIST_MAX);
        return;
    }
    f->rename = sigma_get(r, (n->n + 1) * sizeof *f->rename);
    for (const struct node *c = n->child; c && r->err >= 0; c = c->next)
        f->rename[f->rename_n++] = (struct rename){ field_of(r, c->key->text), field_of(r, sigma_text(r, c)) };
}

static void where_read(struct reader *r, const struct node *n, struct found *f)
{
    if (!n)
        return;
    if (n->kind != NODE_MAP || n->n > LIST_MAX) {
        sigma_fail(r, n->line, "where: a map of fields and values");
        return;
    }
    f->where = sigma_get(r, (n->n + 1) * sizeof *f->where);
    for (const struct node *c = n->child; c && r->err >= 0; c = c->next) {
        struct where *w = &f->where[f->where_n++];
        w->name = field_of(r, c->key->text);
        w->value = folded(r, c, &w->n);
    }
}

static uint16_t word_of(struct reader *r, const struct node *words, const char *key)
{
    const char *text = sigma_text(r, node_get(words, key));

    return *text ? event_names_add(r->set->names, SM_SPAN_STR(text)) : 0;
}

static void found_read(struct table *t, const struct node *n, struct found *f)
{
    struct reader *r = &t->r;
    const struct node *at = n, *place = node_get(n, "place"), *words = node_get(n, "words");

    if (n->kind != NODE_MAP) {
        sigma_fail(r, n->line, "found: maps of place, id, rename, where, words");
        return;
    }
    if (place) {
        struct place *p = t->places;
        while (p && strcmp(p->name, sigma_text(r, place)))
            p = p->next;
        if (!p) {
            sigma_fail(r, place->line, "no place called \"%.60s\"", sigma_text(r, place));
            return;
        }
        f->place = p->name;
        at = p->node;
    }
    f->channel = folded(r, node_get(at, "channel"), &f->channel_n);
    f->provider = folded(r, node_get(at, "provider"), &f->provider_n);
    f->windows = !strcasecmp(sigma_text(r, node_get(n, "windows")), "true");
    ids_read(r, node_get(n, "id"), f);
    renames_read(r, node_get(n, "rename"), f);
    where_read(r, node_get(n, "where"), f);
    f->product = word_of(r, words, "product");
    f->category = word_of(r, words, "category");
    f->service = word_of(r, words, "service");
    if (!f->channel_n && !f->provider_n && !f->windows && !f->product && !f->category && !f->service)
        sigma_fail(r, n->line, "neither place, channel, provider nor words");
}

static void source_read(struct table *t, const struct node *n)
{
    struct sigma_set *set = t->r.set;
    const struct node *found = node_get(n, "found");

    if (n->kind != NODE_MAP || !found) {
        sigma_fail(&t->r, n->line, "a source needs `found`");
        return;
    }
    if (set->source_n == set->source_cap) {
        size_t cap = set->source_cap ? 2 * set->source_cap : 64;
        struct source *more = cap > SOURCES_MAX ? NULL : realloc(set->source, cap * sizeof *more);
        if (!more) {
            t->r.err = cap > SOURCES_MAX ? -SM_ELIMIT : -ENOMEM;
            return;
        }
        set->source = more;
        set->source_cap = cap;
    }
    struct source s = { .product = sigma_text(&t->r, node_get(n, "product")),
        .category = sigma_text(&t->r, node_get(n, "category")),
        .service = sigma_text(&t->r, node_get(n, "service")) };
    size_t count = found->kind == NODE_LIST ? found->n : 1;
    s.found = sigma_get(&t->r, (count + 1) * sizeof *s.found);
    for (const struct node *c = found->kind == NODE_LIST ? found->child : found; c && t->r.err >= 0;
         c = found->kind == NODE_LIST ? c->next : NULL)
        found_read(t, c, &s.found[s.n++]);
    if (t->r.err >= 0)
        set->source[set->source_n++] = s;
}

static int table_read(void *ctx, struct node *d)
{
    struct table *t = ctx;
    const struct node *places = node_get(d, "places"), *sources = node_get(d, "sources");

    if (!sources || sources->kind != NODE_LIST)
        sigma_fail(&t->r, d->line, "a table of log sources has a list `sources`");
    for (const struct node *c = places ? places->child : NULL; c && t->r.err >= 0; c = c->next) {
        struct place *p = sigma_get(&t->r, sizeof *p);
        if (!p || !c->key)
            break;
        *p = (struct place){ .name = c->key->text, .node = c, .next = t->places };
        t->places = p;
    }
    for (const struct node *c = t->r.err >= 0 ? sources->child : NULL; c && t->r.err >= 0; c = c->next)
        source_read(t, c);
    return t->r.err;
}

int sigma_sources(struct sigma_set *set, const char *file, struct sm_span text, struct sigma_fault *ret)
{
    struct table t = { .r = { .set = set, .pool = &set->pool, .file = file } };
    struct sigma_fault f = { 0 };
    size_t before = set->source_n;
    int err = yaml_read(&set->pool, file, text, table_read, &t, &f);

    if (t.r.err == -SM_EFORMAT) {
        f.line = t.r.line;
        memcpy(f.why, t.r.why, sizeof f.why);
    }
    if (err < 0) {
        set->source_n = before;
        f.file = file;
        *ret = f;
    }
    return err;
}

static const struct source *entry(
    const struct sigma_set *set, const char *product, const char *category, const char *service)
{
    for (size_t i = set->source_n; i--;) /* what was added last counts */
        if (!strcmp(set->source[i].product, product) && !strcmp(set->source[i].category, category) &&
            !strcmp(set->source[i].service, service))
            return &set->source[i];
    return NULL;
}

const struct found *sources_find(
    const struct sigma_set *set, const struct rule *rule, struct found *ret_words, size_t *ret_n)
{
    const struct sigma_rule *p = &rule->pub;
    const struct source *s = entry(set, p->product, p->category, p->service);

    /* A rule that says more than the table does is found where the table says less. */
    if (!s && *p->category && *p->service)
        s = entry(set, p->product, p->category, "");
    if (!s && *p->category && *p->service)
        s = entry(set, p->product, "", p->service);
    *ret_words = (struct found){
        .product = rule->product, .category = rule->category, .service = rule->service, .alone = s != NULL
    };
    *ret_n = s ? s->n : 0;
    return s ? s->found : NULL;
}
