/* Finding a name: in one generation, or in many, one after the other. */
#include <errno.h>

#include "crypto/hash.h"
#include "sakimorid/opener/internal.h"

#define FIND_MAX 500
#define FIND_VISIT_MAX 2000000u
#define MARKS_SLOTS ((size_t)1 << 20) /* of struct search; 0 = free */

void opener_search_forget(struct search *s)
{
    free(s->mark);
    *s = (struct search){0};
}

struct find_arg {
    json_t *items;
    struct sm_span text;
    uint64_t limit, visited;
    struct search *search; /* NULL: one generation, all of it */
    struct sm_span source; /* of the search: the same file of another source is another file */
};

/* Was this mark met in the search before?  If not it is now.  Past the bound nothing is added. */
static bool met(struct search *s, uint64_t mark)
{
    mark = mark ? mark : 1;
    size_t i = (size_t)mark & (MARKS_SLOTS - 1);
    while (s->mark[i] && s->mark[i] != mark)
        i = (i + 1) & (MARKS_SLOTS - 1);
    if (s->mark[i] == mark)
        return true;
    if (s->n < MARKS_SLOTS / 2) {
        s->mark[i] = mark;
        s->n++;
    }
    return false;
}

static uint64_t mark_of(const struct sm_span *parts, size_t n)
{
    uint64_t mark;
    uint8_t h[32];
    crypto_sha256v(parts, n, h);
    memcpy(&mark, h, sizeof mark);
    return mark;
}

/* A version of a file: whose, where it stands, its size, and what its metadata says. */
static uint64_t version_mark(struct sm_span source, struct sm_span path, const struct reader_node *n)
{
    uint64_t size = 0;
    uint32_t i;
    (void)opener_main_stream(n, &i, &size); /* 0 for what has no bytes */
    const struct sm_span parts[] = {source, SM_SPAN("\0", 1), path, SM_SPAN("\0", 1), SM_SPAN(&n->e.kind, 1),
        SM_SPAN(&size, sizeof size), n->e.meta};
    return mark_of(parts, sizeof parts / sizeof parts[0]);
}

/* Was this very folder of this source met in the search before? */
static bool folder_met(const struct find_arg *a, struct sm_span path, const struct reader_node *n)
{
    uint64_t pages;
    if (!a->search || n->e.kind != ENTRY_DIR || !reader_folder_mark(n, path, &pages))
        return false;
    const struct sm_span parts[] = {SM_SPAN_STR("folder"), a->source, SM_SPAN(&pages, sizeof pages)};
    return met(a->search, mark_of(parts, sizeof parts / sizeof parts[0]));
}

static uint8_t lower(uint8_t ch)
{
    return ch >= 'A' && ch <= 'Z' ? (uint8_t)(ch + 32) : ch;
}

static bool contains(struct sm_span name, struct sm_span text)
{
    for (size_t i = 0; i + text.n <= name.n; i++) {
        size_t k = 0;
        while (k < text.n && lower(name.p[i + k]) == lower(text.p[k]))
            k++;
        if (k == text.n)
            return true;
    }
    return false;
}

static int find_row(void *arg, enum reader_event event, struct sm_span path, const struct reader_node *n)
{
    struct find_arg *a = arg;
    if (event != READER_ENTRY)
        return 0;
    if (++a->visited > FIND_VISIT_MAX)
        return -SM_ELIMIT;
    /* A folder that another generation of this search had just so is not walked again. */
    bool seen = folder_met(a, path, n);
    if (!contains(n->e.name, a->text) || (a->search && met(a->search, version_mark(a->source, path, n))))
        return seen ? READER_SKIP : 0;
    if (json_array_size(a->items) >= a->limit)
        return -SM_ELIMIT;
    json_t *o = opener_node(n);
    int r = opener_put_path(o, path);
    if (json_array_append_new(a->items, o))
        r = -ENOMEM;
    return r < 0 ? r : seen ? READER_SKIP : 0;
}

/* What was found, which the answer takes; -SM_ELIMIT: there is more than was asked for. */
static void answer_found(struct sm_ipc *ipc, struct sm_ipc_msg *m, struct find_arg *a, int r, const char *why)
{
    bool more = r == -SM_ELIMIT;
    json_t *out = !r || more ? json_pack("{s:O,s:b}", "items", a->items, "more", more) : NULL;
    json_decref(a->items);
    wire_answer(ipc, m, out, more ? 0 : r, why);
}

void opener_on_find(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    char why[160] = "";
    struct loaded *l = NULL;
    struct sm_buf path = SM_BUF_INIT(OPENER_PATH_MAX);
    struct sm_obj f = SM_OBJ(in);
    struct find_arg a = {.items = json_array(), .text = wire_get(&f, "text", 255)};
    a.limit = (uint64_t)sm_obj_int_opt(&f, "limit", 1, FIND_MAX, 100);
    int r = f.err ? f.err : opener_target(opener_of(c), in, &l, &path, why);
    if (!r)
        r = reader_walk(l->reader, sm_buf_span(&path), find_row, &a);
    answer_found(ipc, m, &a, r, f.err ? f.why : why);
    sm_buf_wipe(&path);
    json_decref(in);
}

/* ---- a name in many generations, one after the other ---- */

/* Does this go on with the search that is remembered, where it stood?  Another person's, another range of generations or
 * a page asked for twice begins anew: what was told only there must not be missing here. */
static bool goes_on(const struct search *s, const char *text, const char *range, uint64_t after)
{
    return s->mark && after && after == s->seq && !strcmp(s->text, text) && !strcmp(s->range, range);
}

/* As O_FIND, but each version of a file is told once in the search: with the first generation asked that holds it. */
void opener_on_search(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    char why[160] = "";
    struct opener *o = opener_of(c);
    struct loaded *l = NULL;
    struct sm_buf path = SM_BUF_INIT(OPENER_PATH_MAX);
    struct sm_obj f = SM_OBJ(in);
    struct find_arg a = {.items = json_array(), .text = wire_get(&f, "text", 255), .search = &o->search};
    a.limit = (uint64_t)sm_obj_int_opt(&f, "limit", 1, FIND_MAX, 100);
    a.source = wire_get(&f, "source", 64);
    const char *range = sm_obj_str(&f, "range", 0, sizeof o->search.range - 1);
    uint64_t after = (uint64_t)sm_obj_int(&f, "after", 0, INT64_MAX), seq = (uint64_t)sm_obj_int(&f, "seq", 1, INT64_MAX);
    int r = f.err ? f.err : opener_target(o, in, &l, &path, why);
    if (!r && !goes_on(&o->search, (const char *)a.text.p, range, after))
        opener_search_forget(&o->search);
    if (!r && !o->search.mark && !(o->search.mark = calloc(MARKS_SLOTS, sizeof *o->search.mark)))
        r = -ENOMEM;
    if (!r) {
        snprintf(o->search.text, sizeof o->search.text, "%s", (const char *)a.text.p);
        snprintf(o->search.range, sizeof o->search.range, "%s", range);
        o->search.seq = seq;
        r = reader_walk(l->reader, sm_buf_span(&path), find_row, &a);
    }
    if (r)
        opener_search_forget(&o->search); /* a walk that was cut short has not seen what it marked */
    answer_found(ipc, m, &a, r, f.err ? f.why : why);
    sm_buf_wipe(&path);
    json_decref(in);
}
