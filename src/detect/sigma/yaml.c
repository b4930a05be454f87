#include "detect/sigma/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

enum { ANCHORS_MAX = 64 };

struct builder {
    struct pool *pool;
    struct sigma_fault *fault;
    size_t nodes;
    int err;
    struct node *top, *open[SIGMA_DEPTH_MAX];
    struct node *key[SIGMA_DEPTH_MAX]; /* of a map: waiting for its value */
    size_t depth, anchors;
    struct {
        const char *name;
        struct node *node;
    } anchor[ANCHORS_MAX];
};

static int refuse(struct builder *b, int err, size_t line, const char *why)
{
    b->fault->line = (unsigned)line + 1;
    snprintf(b->fault->why, sizeof b->fault->why, "%s", why);
    return b->err = err;
}

static struct node *fresh(struct builder *b, enum node_kind kind, size_t line)
{
    if (++b->nodes > SIGMA_NODES_MAX) {
        refuse(b, -SM_ELIMIT, line, "too many values in one file");
        return NULL;
    }
    struct node *n = pool_get(b->pool, sizeof *n);
    if (!n) {
        b->err = -ENOMEM;
        return NULL;
    }
    n->kind = kind;
    n->line = (unsigned)line + 1;
    return n;
}

static int attach(struct builder *b, struct node *n)
{
    if (!b->depth) {
        b->top = n;
        return 0;
    }
    struct node *in = b->open[b->depth - 1], **key = &b->key[b->depth - 1];
    if (in->kind == NODE_MAP && !*key) {
        if (n->kind != NODE_SCALAR)
            return refuse(b, -SM_EFORMAT, n->line - 1, "a key has to be a text");
        for (const struct node *c = in->child; c; c = c->next)
            if (c->key->text_n == n->text_n && !memcmp(c->key->text, n->text, n->text_n)) {
                refuse(b, -SM_EFORMAT, n->line - 1, "a key comes twice");
                snprintf(b->fault->why, sizeof b->fault->why, "the key \"%.80s\" comes twice", n->text);
                return b->err;
            }
        *key = n;
        return 0;
    }
    if (in->kind == NODE_MAP) {
        n->key = *key;
        *key = NULL;
    }
    if (in->last)
        in->last->next = n;
    else
        in->child = n;
    in->last = n;
    in->n++;
    return 0;
}

static int keep_anchor(struct builder *b, const yaml_char_t *name, struct node *n)
{
    if (!name)
        return 0;
    if (b->anchors == ANCHORS_MAX)
        return refuse(b, -SM_ELIMIT, n->line - 1, "too many anchors");
    const char *text = pool_text(b->pool, name, strlen((const char *)name));
    if (!text)
        return b->err = -ENOMEM;
    b->anchor[b->anchors].name = text;
    b->anchor[b->anchors++].node = n;
    return 0;
}

/* Counted like values written out: an alias of aliases cannot grow past the maximum.  Depth: a tree is no deeper than
 * where it stood, and checked again under where it is used. */
static struct node *copy(struct builder *b, const struct node *from, size_t line, size_t depth)
{
    if (depth > SIGMA_DEPTH_MAX) {
        refuse(b, -SM_ELIMIT, line, "nested too deeply");
        return NULL;
    }
    struct node *n = fresh(b, from->kind, line);
    if (!n)
        return NULL;
    n->plain = from->plain;
    n->text = from->text;
    n->text_n = from->text_n;
    for (const struct node *c = from->child; c; c = c->next) {
        struct node *k = copy(b, c, line, depth + 1);
        if (!k)
            return NULL;
        k->key = c->key;
        if (n->last)
            n->last->next = k;
        else
            n->child = k;
        n->last = k;
        n->n++;
    }
    return n;
}

static int on_alias(struct builder *b, const yaml_event_t *ev)
{
    const char *name = (const char *)ev->data.alias.anchor;
    size_t line = ev->start_mark.line;

    for (size_t i = b->anchors; i--;)
        if (!strcmp(b->anchor[i].name, name)) {
            for (size_t d = 0; d < b->depth; d++)
                if (b->open[d] == b->anchor[i].node)
                    return refuse(b, -SM_EFORMAT, line, "an alias inside of what it names");
            struct node *n = copy(b, b->anchor[i].node, line, b->depth);
            return n ? attach(b, n) : b->err;
        }
    return refuse(b, -SM_EFORMAT, line, "an alias of nothing");
}

static int on_scalar(struct builder *b, const yaml_event_t *ev)
{
    struct node *n = fresh(b, NODE_SCALAR, ev->start_mark.line);

    if (!n)
        return b->err;
    n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->text_n = ev->data.scalar.length;
    n->text = pool_text(b->pool, ev->data.scalar.value, n->text_n);
    if (!n->text)
        return b->err = -ENOMEM;
    if (memchr(n->text, 0, n->text_n))
        return refuse(b, -SM_EFORMAT, ev->start_mark.line, "a zero byte in a text");
    int r = attach(b, n);
    return r < 0 ? r : keep_anchor(b, ev->data.scalar.anchor, n);
}

static int on_open(struct builder *b, enum node_kind kind, size_t line, const yaml_char_t *anchor)
{
    struct node *n = fresh(b, kind, line);

    if (!n)
        return b->err;
    if (b->depth == SIGMA_DEPTH_MAX)
        return refuse(b, -SM_ELIMIT, line, "nested too deeply");
    int r = attach(b, n);
    if (r < 0)
        return r;
    b->key[b->depth] = NULL;
    b->open[b->depth++] = n;
    return keep_anchor(b, anchor, n);
}

static int on_event(struct builder *b, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        b->top = NULL;
        b->depth = b->anchors = 0;
        return 0;
    case YAML_ALIAS_EVENT:
        return on_alias(b, ev);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, ev);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, NODE_LIST, ev->start_mark.line, ev->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, NODE_MAP, ev->start_mark.line, ev->data.mapping_start.anchor);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return 0;
    default:
        return 0;
    }
}

int yaml_read(
    struct pool *pool, const char *file, struct sm_span text, yaml_each *each, void *ctx, struct sigma_fault *fault)
{
    struct builder b = { .pool = pool, .fault = fault };
    yaml_parser_t parser;

    *fault = (struct sigma_fault){ .file = file };
    if (text.n > SIGMA_TEXT_MAX)
        return refuse(&b, -SM_ELIMIT, 0, "the file is larger than 1 MiB");
    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, text.p, text.n);
    for (bool end = false; !end && b.err >= 0;) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&parser, &ev)) {
            if (parser.error == YAML_MEMORY_ERROR) {
                b.err = -ENOMEM;
            } else {
                refuse(&b, -SM_EFORMAT, parser.problem_mark.line, parser.problem ? parser.problem : "not YAML");
            }
            break;
        }
        on_event(&b, &ev);
        if (b.err >= 0 && ev.type == YAML_DOCUMENT_END_EVENT && b.top)
            b.err = each(ctx, b.top);
        end = ev.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&ev);
    }
    yaml_parser_delete(&parser);
    return b.err < 0 ? b.err : 0;
}

struct node *node_get(const struct node *map, const char *key)
{
    if (!map || map->kind != NODE_MAP)
        return NULL;
    for (struct node *c = map->child; c; c = c->next)
        if (!strcmp(c->key->text, key))
            return c;
    return NULL;
}

bool node_is_null(const struct node *n)
{
    return n->kind == NODE_SCALAR && n->plain && (!n->text_n || !strcmp(n->text, "~") || !strcasecmp(n->text, "null"));
}
