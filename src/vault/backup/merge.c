#include "vault/backup/read_internal.h"

static const struct tree_record *peek(const struct merge *m)
{
    return m->run->old ? tree_peek(m->run->old) : NULL;
}

static void note_name(struct sm_buf *b, uint64_t id, struct sm_span name)
{
    if (b->n + name.n + 12 > RENAME_BYTES)
        return; /* only figures hang on it */
    uint16_t n = (uint16_t)name.n;
    if (sm_buf_reserve(b, name.n + 10) < 0)
        return;
    memcpy(b->p + b->n, &id, 8);
    memcpy(b->p + b->n + 8, &n, 2);
    memcpy(b->p + b->n + 10, name.p, name.n);
    b->n += name.n + 10;
}

static struct merge_level *now(struct merge *m)
{
    return &m->level[m->depth];
}

/* Pass over the record in front with all below it; every file in it is deleted. */
static void skip(struct merge *m)
{
    const struct tree_record *r = peek(m);
    size_t deep = 0;
    if (!r)
        return;
    now(m)->gone++;
    if (r->type == TREE_ENTRY)
        note_name(&now(m)->gone_names, r->id, r->name);
    do {
        deep += r->type == TREE_ENTER;
        deep -= r->type == TREE_LEAVE;
        m->run->read.files_deleted += r->type == TREE_ENTRY && r->kind == ENTRY_FILE;
        tree_take(m->run->old);
    } while (deep && (r = peek(m)));
}

const struct tree_record *merge_find(struct merge *m, struct sm_span name)
{
    if (!now(m)->old)
        return NULL;
    for (;;) {
        const struct tree_record *r = peek(m);
        if (!r || r->type == TREE_LEAVE)
            return NULL;
        int c = sm_span_cmp(r->name, name);
        if (c >= 0)
            return c == 0 ? r : NULL;
        skip(m);
    }
}

void merge_done(struct merge *m, bool gone)
{
    const struct tree_record *r = peek(m);
    if (gone || (r && r->type == TREE_ENTER))
        skip(m);
    else if (r)
        tree_take(m->run->old);
}

void merge_enter(struct merge *m, struct sm_span name)
{
    const struct tree_record *r = merge_find(m, name);
    bool same = r && r->type == TREE_ENTER;
    if (same)
        tree_take(m->run->old);
    else if (r)
        skip(m);
    m->depth++;
    now(m)->old = same;
    now(m)->gone = 0;
    sm_buf_clear(&now(m)->gone_names);
    sm_buf_clear(&now(m)->new_names);
}

void merge_new(struct merge *m, uint64_t id, struct sm_span name)
{
    note_name(&now(m)->new_names, id, name);
}

struct noted { uint64_t id; struct sm_span name; };

static bool noted_next(struct sm_span *s, struct noted *ret)
{
    uint16_t n;
    if (s->n < 10)
        return false;
    memcpy(&ret->id, s->p, 8);
    memcpy(&n, s->p + 8, 2);
    ret->name = SM_SPAN(s->p + 10, n);
    s->p += 10 + n;
    s->n -= 10 + (size_t)n;
    return true;
}

static struct sm_span extension(struct sm_span name)
{
    for (size_t i = name.n; i > 1; i--)
        if (name.p[i - 1] == '.')
            return SM_SPAN(name.p + i - 1, name.n - i + 1);
    return SM_SPAN(name.p + name.n, 0);
}

/* A file that came: is it one of those that went, under another name? */
static void compare_names(struct merge *m, const struct noted *came, struct sm_span gone)
{
    struct noted g;
    while (noted_next(&gone, &g)) {
        bool same = g.id == came->id;
        bool longer = came->name.n > g.name.n && memcmp(came->name.p, g.name.p, g.name.n) == 0 &&
            came->name.p[g.name.n] == '.';
        if (!same && !longer)
            continue;
        m->run->read.renamed++;
        m->run->read.extension_changed += longer || !sm_span_eq(extension(came->name), extension(g.name));
        return;
    }
}

uint64_t merge_leave(struct merge *m, const struct tree_record **ret)
{
    const struct tree_record *r = NULL;
    while (now(m)->old && (r = peek(m)) && r->type != TREE_LEAVE)
        skip(m);
    struct sm_span came = sm_buf_span(&now(m)->new_names);
    struct noted n;
    while (now(m)->gone_names.n && noted_next(&came, &n))
        compare_names(m, &n, sm_buf_span(&now(m)->gone_names));
    *ret = now(m)->old ? r : NULL;
    return now(m)->gone;
}

void merge_left(struct merge *m)
{
    const struct tree_record *r = now(m)->old ? peek(m) : NULL;
    if (r && r->type == TREE_LEAVE)
        tree_take(m->run->old);
    m->depth--;
}

void merge_wipe(struct merge *m)
{
    for (size_t i = 0; i < sizeof m->level / sizeof *m->level; i++) {
        sm_buf_wipe(&m->level[i].gone_names);
        sm_buf_wipe(&m->level[i].new_names);
    }
}
