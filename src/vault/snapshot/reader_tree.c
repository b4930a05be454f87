#include <errno.h>

#include "vault/snapshot/reader_internal.h"

/* ---- one folder ---- */

void reader_dir_it_wipe(struct dir_it *d)
{
    part_list_wipe(&d->list);
    reader_page_drop(d->page);
    sm_buf_wipe(&d->last);
    *d = (struct dir_it){0};
}

int reader_dir_it_init(struct reader *r, const struct reader_node *dir, struct dir_it *ret)
{
    struct dir_it d = {.root = dir == NULL};
    int e = reader_dir_list(r, dir, &d.list);
    if (e == 0)
        *ret = d;
    return e;
}

static int turn_page(struct reader *r, struct dir_it *d)
{
    struct reader_page *p;
    int e;
    reader_page_drop(d->page);
    d->page = NULL;
    e = reader_page_open(r, &d->list, d->next, d->root, &p);
    if (e < 0)
        return e;
    d->page = p;
    d->next++;
    dirpage_begin(&p->page, &d->it);
    if (r->src.want && d->next == 1 && d->list.n > 1) {
        /* What a folder of many pages will ask for, in pieces that need no memory of their own. */
        for (size_t i = 1; i < d->list.n; i++)
            r->src.want(r->src.arg, &part_list_at(&d->list, i)->cid, 1);
    }
    return 0;
}

/* Hold no page while the walk is further down: what is held then does not grow with the depth. */
void reader_dir_it_rest(struct dir_it *d)
{
    if (!d->page)
        return;
    d->rest_n = d->it.rd.n;
    d->rest_left = d->it.left;
    d->resting = true;
    reader_page_drop(d->page);
    d->page = NULL;
}

static int dir_it_wake(struct reader *r, struct dir_it *d)
{
    struct sm_span body;
    int e;
    if (!d->resting)
        return 0;
    e = reader_page_open(r, &d->list, d->next - 1, d->root, &d->page);
    if (e < 0)
        return e;
    dirpage_begin(&d->page->page, &d->it);
    body = d->page->page.body; /* same name, same bytes */
    d->it.rd = SM_RD(SM_SPAN(body.p + (body.n - d->rest_n), d->rest_n));
    d->it.left = d->rest_left;
    d->resting = false;
    return 0;
}

/* 1 and the next entry (held: the caller wipes), 0 at the end. */
int reader_dir_it_next(struct reader *r, struct dir_it *d, struct reader_node *ret)
{
    struct entry_view e;
    int x = dir_it_wake(r, d);
    if (x < 0)
        return x;
    while (!d->page || !dirpage_next(&d->it, &e)) {
        if (d->next >= d->list.n)
            return 0;
        x = turn_page(r, d);
        if (x < 0)
            return x;
    }
    if (d->any && sm_span_cmp(sm_buf_span(&d->last), e.name) >= 0)
        return -SM_EFORMAT;
    sm_buf_clear(&d->last);
    x = sm_buf_put_span(&d->last, e.name);
    if (x < 0)
        return x;
    d->any = true;
    d->page->holds++;
    *ret = (struct reader_node){e, d->page};
    return 1;
}

int reader_list_node(struct reader *r, const struct reader_node *dir, reader_entry_fn fn, void *arg)
{
    struct dir_it d;
    struct reader_node n;
    int e = reader_dir_it_init(r, dir, &d);
    if (e < 0)
        return e;
    while ((e = reader_dir_it_next(r, &d, &n)) > 0) {
        e = fn(arg, &n);
        reader_node_wipe(&n);
        if (e != 0)
            break;
    }
    reader_dir_it_wipe(&d);
    return e;
}

/* ---- paths ---- */

/* The last page whose first name is not behind name: names ascend across pages, so it is the only one to look in. */
static int page_for(struct reader *r, const struct part_list *l, bool root, struct sm_span name,
    struct reader_page **ret)
{
    size_t lo = 0, hi = l->n;
    struct reader_page *p, *best = NULL;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        struct dirpage_it it;
        struct entry_view first;
        int e = reader_page_open(r, l, mid, root, &p);
        if (e < 0) {
            reader_page_drop(best);
            return e;
        }
        dirpage_begin(&p->page, &it);
        if (dirpage_next(&it, &first) && sm_span_cmp(first.name, name) <= 0) {
            reader_page_drop(best);
            best = p;
            lo = mid + 1;
        } else {
            reader_page_drop(p);
            hi = mid;
        }
    }
    *ret = best;
    return best ? 0 : -SM_ENOTFOUND;
}

static int find_in(struct reader *r, const struct reader_node *dir, struct sm_span name, struct reader_node *ret)
{
    struct part_list l;
    struct reader_page *p;
    struct entry_view v;
    int e = reader_dir_list(r, dir, &l);
    if (e < 0)
        return e == -ENOTDIR ? -SM_ENOTFOUND : e;
    e = page_for(r, &l, dir == NULL, name, &p);
    part_list_wipe(&l);
    if (e < 0)
        return e;
    if (!dirpage_find(&p->page, name, &v)) {
        reader_page_drop(p);
        return -SM_ENOTFOUND;
    }
    *ret = (struct reader_node){v, p};
    return 0;
}

/* The rest of path (without a leading '/') below a node, which is taken. */
static int descend(struct reader *r, struct reader_node from, struct sm_span rest, struct reader_node *ret)
{
    for (unsigned depth = 0; rest.n > 0; depth++) {
        const uint8_t *slash = memchr(rest.p, '/', rest.n);
        struct sm_span name = SM_SPAN(rest.p, slash ? (size_t)(slash - rest.p) : rest.n);
        struct reader_node next;
        int e = depth >= VAULT_DEPTH_MAX ? -SM_ELIMIT : find_in(r, &from, name, &next);
        reader_node_wipe(&from);
        if (e < 0)
            return e;
        from = next;
        rest = slash ? SM_SPAN(slash + 1, rest.n - name.n - 1) : SM_SPAN(NULL, 0);
    }
    *ret = from;
    return 0;
}

/* Is root the path itself or a folder above it?  Then *ret_rest is what is below. */
static bool is_above(struct sm_span root, struct sm_span path, struct sm_span *ret_rest)
{
    if (root.n > path.n || memcmp(root.p, path.p, root.n) != 0)
        return false;
    if (root.n == 1) { /* "/" */
        *ret_rest = SM_SPAN(path.p + 1, path.n - 1);
        return true;
    }
    if (root.n < path.n && path.p[root.n] != '/')
        return false;
    *ret_rest = root.n < path.n ? SM_SPAN(path.p + root.n + 1, path.n - root.n - 1) : SM_SPAN(NULL, 0);
    return true;
}

int reader_stat(struct reader *r, struct sm_span path, struct reader_node *ret)
{
    struct sm_span rest = {0};
    size_t n = path.n;
    if (path.n > READER_PATH_MAX)
        return -SM_ELIMIT;
    while (n > 1 && path.p[n - 1] == '/')
        n--;
    path.n = n;
    if (path.n == 0 || path.p[0] != '/')
        return -SM_ENOTFOUND;
    /* A source may have one root inside another: the longest that is there wins. */
    for (size_t end = path.n; end > 0; end--) {
        struct reader_node root, found;
        int e;
        if (end > 1 && end < path.n && path.p[end] != '/')
            continue;
        e = find_in(r, NULL, SM_SPAN(path.p, end), &root);
        if (e == -SM_ENOTFOUND)
            continue;
        if (e < 0)
            return e;
        if (!is_above(root.e.name, path, &rest)) {
            reader_node_wipe(&root);
            continue;
        }
        e = descend(r, root, rest, &found);
        if (e == -SM_ENOTFOUND)
            continue;
        if (e == 0)
            *ret = found;
        return e;
    }
    return -SM_ENOTFOUND;
}

int reader_list(struct reader *r, struct sm_span path, reader_entry_fn fn, void *arg)
{
    struct reader_node n;
    int e;
    if (path.n == 0)
        return reader_list_node(r, NULL, fn, arg);
    e = reader_stat(r, path, &n);
    if (e < 0)
        return e;
    e = reader_list_node(r, &n, fn, arg);
    reader_node_wipe(&n);
    return e;
}

/* ---- walking ---- */

struct frame {
    struct dir_it d;
    struct sm_buf own;     /* name and meta of the folder, for LEAVE */
    struct entry_view dir; /* into own; kind 0 for the list of roots */
    size_t path_n, bytes;
};

struct walk {
    struct reader *r;
    reader_walk_fn fn;
    void *arg;
    struct frame *stack; /* VAULT_DEPTH_MAX + 2 */
    size_t depth;
    struct sm_buf path;
};

static void pop(struct walk *w)
{
    struct frame *f = &w->stack[--w->depth];
    w->r->stack_bytes -= f->bytes;
    reader_dir_it_wipe(&f->d);
    sm_buf_wipe(&f->own);
}

static int keep_entry(struct frame *f, const struct entry_view *e)
{
    int r;
    if ((r = sm_buf_put_span(&f->own, e->name)) < 0 || (r = sm_buf_put_span(&f->own, e->meta)) < 0)
        return r;
    f->dir = (struct entry_view){.name = SM_SPAN(f->own.p, e->name.n), .kind = e->kind,
        .meta = SM_SPAN(f->own.p + e->name.n, e->meta.n)};
    return 0;
}

static int push(struct walk *w, const struct reader_node *dir)
{
    struct frame *f = &w->stack[w->depth];
    int e;
    if (w->depth > VAULT_DEPTH_MAX)
        return -SM_ELIMIT;
    *f = (struct frame){.path_n = w->path.n};
    e = reader_dir_it_init(w->r, dir, &f->d);
    if (e == 0 && dir)
        e = keep_entry(f, &dir->e);
    f->bytes = f->d.list.parts.cap + f->d.list.keys.cap + f->own.cap;
    if (e == 0 && w->r->stack_bytes + f->bytes > READER_STACK_BYTES)
        e = -SM_ELIMIT;
    if (e < 0) {
        reader_dir_it_wipe(&f->d);
        sm_buf_wipe(&f->own);
        return e;
    }
    w->r->stack_bytes += f->bytes;
    if (w->depth > 0)
        reader_dir_it_rest(&w->stack[w->depth - 1].d);
    w->depth++;
    return 0;
}

static int path_add(struct walk *w, size_t base, struct sm_span name)
{
    int e;
    w->path.n = base;
    if (base > 0 && w->path.p[base - 1] != '/' && (e = sm_buf_put_u8(&w->path, '/')) < 0)
        return e;
    return sm_buf_put_span(&w->path, name);
}

/* One entry: tell it, and go into it if it is a folder.  The node is taken. */
static int visit(struct walk *w, struct reader_node n)
{
    int e = w->fn(w->arg, READER_ENTRY, sm_buf_span(&w->path), &n);
    if (e >= 0 && e != READER_SKIP && n.e.kind == ENTRY_DIR)
        e = push(w, &n);
    reader_node_wipe(&n);
    return e < 0 ? e : 0;
}

static int step(struct walk *w)
{
    struct frame *f = &w->stack[w->depth - 1];
    struct reader_node n;
    int e = reader_dir_it_next(w->r, &f->d, &n);
    if (e < 0)
        return e;
    if (e == 1) {
        e = path_add(w, f->path_n, n.e.name);
        if (e < 0) {
            reader_node_wipe(&n);
            return e;
        }
        return visit(w, n);
    }
    w->path.n = f->path_n;
    n = (struct reader_node){.e = f->dir};
    e = f->dir.kind ? w->fn(w->arg, READER_LEAVE, sm_buf_span(&w->path), &n) : 0;
    pop(w);
    return e < 0 ? e : 0;
}

int reader_walk(struct reader *r, struct sm_span path, reader_walk_fn fn, void *arg)
{
    struct walk w = {.r = r, .fn = fn, .arg = arg, .path = SM_BUF_INIT(READER_PATH_MAX + VAULT_NAME_MAX)};
    struct reader_node n;
    int e;
    w.stack = calloc(VAULT_DEPTH_MAX + 2, sizeof *w.stack);
    if (!w.stack)
        return -ENOMEM;
    if (path.n == 0) {
        e = push(&w, NULL);
    } else {
        while (path.n > 1 && path.p[path.n - 1] == '/')
            path.n--;
        e = reader_stat(r, path, &n);
        if (e == 0 && (e = sm_buf_put_span(&w.path, path)) < 0)
            reader_node_wipe(&n);
        if (e == 0)
            e = visit(&w, n);
    }
    while (e == 0 && w.depth > 0)
        e = step(&w);
    while (w.depth > 0)
        pop(&w);
    free(w.stack);
    sm_buf_wipe(&w.path);
    return e;
}

struct link_search { uint64_t group; struct reader_node found; };
#define FOUND (-SM_EEXISTS) /* stops the walk; never leaves this file */

static int link_try(void *arg, enum reader_event event, struct sm_span path, const struct reader_node *n)
{
    struct link_search *s = arg;
    struct meta_extra x;
    int e;
    if (event != READER_ENTRY || n->e.kind == ENTRY_DIR || n->e.nstreams == 0)
        return 0;
    e = meta_extra_of(n->e.meta, &x);
    if (e < 0)
        return e;
    if (!x.has_link || x.link_group != s->group)
        return 0;
    reader_node_copy(n, &s->found);
    return FOUND;
}

int reader_link_source(struct reader *r, uint64_t group, struct reader_node *ret)
{
    struct link_search s = {.group = group};
    int e = reader_walk(r, SM_SPAN(NULL, 0), link_try, &s);
    if (e == FOUND && s.found.page) {
        *ret = s.found;
        return 0;
    }
    return e < 0 ? e : -SM_ENOTFOUND;
}
