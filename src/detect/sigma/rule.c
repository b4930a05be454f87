#include "detect/sigma/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { SELECTIONS_MAX = 1000 };

void sigma_fail(struct reader *r, unsigned line, const char *fmt, ...)
{
    va_list ap;

    if (r->err < 0)
        return;
    r->err = -SM_EFORMAT;
    r->line = line;
    va_start(ap, fmt);
    vsnprintf(r->why, sizeof r->why, fmt, ap);
    va_end(ap);
}

void *sigma_get(struct reader *r, size_t n)
{
    void *p = r->err < 0 ? NULL : pool_get(r->pool, n);

    if (!p && r->err >= 0)
        r->err = -ENOMEM;
    return p;
}

const char *sigma_text(struct reader *r, const struct node *n)
{
    if (!n || n->kind != NODE_SCALAR || node_is_null(n))
        return "";
    return n->text; /* the node's text lives in the same pool */
}

static const char *const none[] = { NULL };

/* A list of texts, or one text; NULL-ended. */
static const char *const *texts(struct reader *r, const struct node *n)
{
    if (!n || node_is_null(n))
        return none;
    const char **to = sigma_get(r, ((n->kind == NODE_LIST ? n->n : 1) + 1) * sizeof *to);
    size_t k = 0;

    if (!to)
        return none;
    if (n->kind == NODE_SCALAR)
        to[k++] = n->text;
    for (const struct node *c = n->kind == NODE_LIST ? n->child : NULL; c; c = c->next)
        if (c->kind == NODE_SCALAR)
            to[k++] = c->text;
    return to;
}

static enum sigma_level level_of(struct reader *r, const struct node *n)
{
    static const char *const level[] = { "", "informational", "low", "medium", "high", "critical" };
    const char *text = sigma_text(r, n);

    for (size_t i = 0; i < sizeof level / sizeof *level; i++)
        if (!strcasecmp(level[i], text))
            return (enum sigma_level)i;
    sigma_fail(r, n->line, "level: informational, low, medium, high or critical, not \"%.60s\"", text);
    return SIGMA_NONE;
}

static uint16_t word(struct reader *r, const char *text)
{
    return *text ? event_names_add(r->set->names, SM_SPAN_STR(text)) : 0;
}

static void logsource_read(struct reader *r, const struct node *n, struct rule *rule)
{
    if (!n || n->kind != NODE_MAP) {
        sigma_fail(r, n ? n->line : rule->pub.line, "the rule has no logsource");
        return;
    }
    rule->pub.product = sigma_text(r, node_get(n, "product"));
    rule->pub.category = sigma_text(r, node_get(n, "category"));
    rule->pub.service = sigma_text(r, node_get(n, "service"));
    rule->product = word(r, rule->pub.product);
    rule->category = word(r, rule->pub.category);
    rule->service = word(r, rule->pub.service);
    if (!rule->product && !rule->category && !rule->service)
        sigma_fail(r, n->line, "logsource: neither product, category nor service");
}

/* The condition, or several of which one has to hold. */
static struct expr *conditions_read(struct reader *r, const struct node *n, const struct named *named, size_t named_n)
{
    if (n->kind == NODE_SCALAR)
        return condition_read(r, named, named_n, n->text, n->line);
    struct expr *x = n->kind == NODE_LIST && n->n ? expr_new(r, OP_OR, n->n) : NULL;
    if (!x)
        sigma_fail(r, n->line, "condition: a text, or a list of texts");
    for (const struct node *c = x ? n->child : NULL; c && r->err >= 0; c = c->next) {
        if (c->kind != NODE_SCALAR)
            sigma_fail(r, c->line, "condition: a text, or a list of texts");
        else
            x->kid[x->n++] = condition_read(r, named, named_n, c->text, c->line);
    }
    return r->err < 0 ? NULL : x;
}

/* Of a rule's `detection` and of a filter's `filter`. */
static struct expr *selections_read(struct reader *r, const struct node *map, bool filter)
{
    const struct node *condition = node_get(map, "condition");
    struct named *named = sigma_get(r, (map->n + 1) * sizeof *named);
    size_t n = 0;

    if (!condition)
        sigma_fail(r, map->line, "no condition");
    if (map->n > SELECTIONS_MAX)
        sigma_fail(r, map->line, "more than %d search identifiers", SELECTIONS_MAX);
    for (const struct node *c = map->child; c && r->err >= 0; c = c->next) {
        if (!strcmp(c->key->text, "condition") || (filter && !strcmp(c->key->text, "rules")))
            continue;
        if (!strcmp(c->key->text, "timeframe")) {
            sigma_fail(r, c->line, "timeframe: the old form of counting; correlation rules took its place");
            break;
        }
        named[n].name = c->key->text;
        named[n].expr = detection_read(r, c, c->key->text);
        n++;
    }
    if (r->err >= 0 && !n)
        sigma_fail(r, map->line, "no search identifier");
    return r->err < 0 ? NULL : conditions_read(r, condition, named, n);
}

static void filter_read(struct reader *r, const struct node *map, struct rule *rule)
{
    const struct node *rules = node_get(map, "rules");
    struct filter *f = sigma_get(r, sizeof *f);

    if (!f)
        return;
    f->any = !rules || (rules->kind == NODE_SCALAR && !strcasecmp(rules->text, "any")) ||
             (rules->kind == NODE_LIST && !rules->n);
    if (!f->any) {
        const char *const *t = texts(r, rules);
        while (t[f->n])
            f->n++;
        f->rule = (const char **)t;
    }
    rule->filter = f;
    rule->cond = selections_read(r, map, true);
}

static void head_read(struct reader *r, const struct node *d, struct rule *rule)
{
    struct sigma_rule *p = &rule->pub;
    const struct node *own = node_get(d, "x-sakimori");

    p->file = r->file;
    p->line = d->child ? d->child->key->line : d->line;
    p->id = sigma_text(r, node_get(d, "id"));
    p->name = sigma_text(r, node_get(d, "name"));
    p->title = sigma_text(r, node_get(d, "title"));
    p->status = sigma_text(r, node_get(d, "status"));
    p->description = sigma_text(r, node_get(d, "description"));
    p->author = sigma_text(r, node_get(d, "author"));
    p->license = sigma_text(r, node_get(d, "license"));
    p->date = sigma_text(r, node_get(d, "date"));
    p->modified = sigma_text(r, node_get(d, "modified"));
    p->level = node_get(d, "level") ? level_of(r, node_get(d, "level")) : SIGMA_NONE;
    p->tags = texts(r, node_get(d, "tags"));
    p->references = texts(r, node_get(d, "references"));
    p->falsepositives = texts(r, node_get(d, "falsepositives"));
    p->fields = texts(r, node_get(d, "fields"));
    p->title_ja = sigma_text(r, node_get(own, "title_ja"));
    p->what_ja = sigma_text(r, node_get(own, "what_ja"));
    p->todo_ja = sigma_text(r, node_get(own, "todo_ja"));
    p->product = p->category = p->service = p->waits = "";
    if (!*p->title && !*p->id && !*p->name)
        sigma_fail(r, p->line, "neither title, id nor name");
    if (node_get(d, "action"))
        sigma_fail(r, node_get(d, "action")->line,
            "action: the collections of old; this form is no longer of the specification");
}

int rule_read(struct reader *r, const struct node *d, struct rule **ret)
{
    if (d->kind != NODE_MAP) {
        sigma_fail(r, d->line, "a rule has to be a map");
        return r->err;
    }
    struct rule *rule = sigma_get(r, sizeof *rule);
    const struct node *detection = node_get(d, "detection"), *correlation = node_get(d, "correlation"),
                      *filter = node_get(d, "filter");
    if (!rule)
        return r->err;
    head_read(r, d, rule);
    if (!!detection + !!correlation + !!filter != 1)
        sigma_fail(r, rule->pub.line, "one of detection, correlation and filter is needed");
    const struct node *part = detection ? detection : correlation ? correlation : filter;
    if (r->err >= 0 && part->kind != NODE_MAP)
        sigma_fail(r, part->line, "\"%.40s\" has to be a map", part->key->text);
    if (r->err >= 0 && correlation) {
        rule->pub.kind = SIGMA_CORRELATION;
        rule->correlation = correlation_read(r, correlation);
        const struct node *generate = node_get(d, "generate");
        if (generate && rule->correlation && !strcasecmp(sigma_text(r, generate), "true"))
            rule->correlation->generate = true;
    } else if (r->err >= 0) {
        logsource_read(r, node_get(d, "logsource"), rule);
        if (detection && r->err >= 0)
            rule->cond = selections_read(r, detection, false);
        if (filter && r->err >= 0) {
            rule->pub.kind = SIGMA_FILTER;
            filter_read(r, filter, rule);
        }
    }
    if (r->err < 0)
        return r->err;
    rule->pub.waits = r->waits ? r->waits : "";
    *ret = rule;
    return 0;
}
