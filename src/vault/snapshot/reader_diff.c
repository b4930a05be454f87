#include <errno.h>
#include <stdlib.h>

#include "crypto/hash.h"
#include "vault/snapshot/reader_internal.h"

#define SIDES 2 /* 0 the older, 1 the newer */

/* One folder that is in both. */
struct pair {
    struct dir_it d[SIDES];
    struct reader_node n[SIDES]; /* the next entry of each, when have says so */
    bool have[SIDES];
    size_t path_n, bytes[SIDES];
};
struct diff {
    struct reader *r[SIDES];
    reader_diff_fn fn;
    void *arg;
    struct pair *stack; /* VAULT_DEPTH_MAX + 2 */
    size_t depth;
    struct sm_buf path;
    uint64_t hashed, visited;
};

/* ---- two entries of one name ---- */

static bool is_time(const struct meta_entry *m, bool dir)
{
    return m->os == META_ANY && (m->type == META_CTIME || m->type == META_ATIME || (dir && m->type == META_MTIME));
}

/* The next entry that counts; 0 at the end. */
static int meta_counting(struct meta_it *it, bool dir, struct meta_entry *ret)
{
    int e;
    while ((e = meta_next(it, ret)) > 0 && is_time(ret, dir))
        ;
    return e;
}

static int meta_differs(const struct entry_view *a, const struct entry_view *b, bool *ret)
{
    struct meta_it ia, ib;
    struct meta_entry ma, mb;
    bool dir = a->kind == ENTRY_DIR;
    int e = meta_begin(a->meta, &ia);
    if (e == 0)
        e = meta_begin(b->meta, &ib);
    *ret = false;
    while (e == 0) {
        int more_a = meta_counting(&ia, dir, &ma), more_b = meta_counting(&ib, dir, &mb);
        if (more_a < 0 || more_b < 0)
            return more_a < 0 ? more_a : more_b;
        *ret = more_a != more_b;
        if (!more_a || !more_b)
            return 0;
        *ret = ma.os != mb.os || ma.type != mb.type || sm_span_cmp(ma.value, mb.value) != 0;
        if (*ret)
            return 0;
    }
    return e;
}

static int add_bytes(void *arg, uint64_t offset, struct sm_span data)
{
    static const uint8_t zeros[4096];
    (void)offset;
    if (data.p) {
        crypto_sha256_put(arg, data);
        return 0;
    }
    for (size_t left = data.n; left > 0;) {
        size_t n = left < sizeof zeros ? left : sizeof zeros;
        crypto_sha256_put(arg, SM_SPAN(zeros, n));
        left -= n;
    }
    return 0;
}

static int hashes_differ(const struct diff *d, const struct reader_node *n, uint32_t stream, uint64_t size, bool *ret)
{
    struct crypto_sha256_ctx *c = NULL;
    uint8_t h[SIDES][CRYPTO_SHA256_LEN];
    int e = crypto_sha256_new(&c);
    for (int s = 0; s < SIDES && e == 0; s++) {
        e = reader_read(d->r[s], &n[s], stream, 0, size, add_bytes, c);
        if (e == 0)
            crypto_sha256_final(c, h[s]);
    }
    crypto_sha256_free(c);
    if (e == 0)
        *ret = memcmp(h[0], h[1], sizeof h[0]) != 0;
    return e;
}

static int same_parts(const struct stream_view *a, const struct stream_view *b, bool *ret)
{
    struct sm_buf pa = { 0 }, pb = { 0 };
    int e = a->layout != b->layout || a->nparts != b->nparts ? 1 : stream_parts(a, &pa);
    if (e == 0)
        e = stream_parts(b, &pb);
    const struct part *x = (const void *)pa.p, *y = (const void *)pb.p;
    *ret = e == 0;
    for (uint32_t i = 0; i < a->nparts && *ret; i++)
        *ret = cid_eq(&x[i].cid, &y[i].cid) && x[i].offset == y[i].offset && x[i].length == y[i].length &&
            x[i].hole == y[i].hole;
    sm_buf_wipe(&pa);
    sm_buf_wipe(&pb);
    return e < 0 ? e : 0;
}

/* n[0] and n[1] are no folders. */
static int content_differs(struct diff *d, const struct reader_node *n, bool *ret)
{
    *ret = n[0].e.nstreams != n[1].e.nstreams;
    for (uint32_t i = 0; i < n[0].e.nstreams && !*ret; i++) {
        struct stream_view a, b;
        bool same = false;
        int e = stream_at(&n[0].e, i, &a);
        if (e == 0)
            e = stream_at(&n[1].e, i, &b);
        if (e < 0)
            return e;
        *ret = a.kind != b.kind || sm_span_cmp(a.name, b.name) != 0 || a.size != b.size;
        if (*ret)
            return 0;
        e = same_parts(&a, &b, &same);
        if (e < 0)
            return e;
        if (same)
            continue;
        *ret = true;
        if (a.size > READER_DIFF_HASH_MAX || d->hashed + a.size > READER_DIFF_HASH_ALL)
            continue;
        d->hashed += a.size;
        if ((e = hashes_differ(d, n, i, a.size, ret)) < 0)
            return e;
    }
    return 0;
}

static int tell(struct diff *d, enum reader_change change, unsigned what, const struct reader_node *was,
    const struct reader_node *is)
{
    const struct reader_difference one = { change, what, sm_buf_span(&d->path), was, is };
    return d->fn(d->arg, &one);
}

/* ---- folders ---- */

static void pop(struct diff *d)
{
    struct pair *p = &d->stack[--d->depth];
    for (int s = 0; s < SIDES; s++) {
        if (p->have[s])
            reader_node_wipe(&p->n[s]);
        d->r[s]->stack_bytes -= p->bytes[s];
        reader_dir_it_wipe(&p->d[s]);
    }
}

static bool same_pages(const struct part_list *a, const struct part_list *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; i < a->n && same; i++)
        same = cid_eq(&part_list_at(a, i)->cid, &part_list_at(b, i)->cid);
    return same;
}

/* dir[0] and dir[1]: the folder in both, or NULL for the lists of roots. */
static int push(struct diff *d, const struct reader_node *dir)
{
    struct pair *p = &d->stack[d->depth];
    int e = d->depth > VAULT_DEPTH_MAX ? -SM_ELIMIT : 0;
    *p = (struct pair){ .path_n = d->path.n };
    for (int s = 0; s < SIDES && e == 0; s++) {
        e = reader_dir_it_init(d->r[s], dir ? &dir[s] : NULL, &p->d[s]);
        size_t bytes = p->d[s].list.parts.cap + p->d[s].list.keys.cap;
        if (e == 0 && d->r[s]->stack_bytes + bytes > READER_STACK_BYTES)
            e = -SM_ELIMIT;
        if (e == 0)
            d->r[s]->stack_bytes += p->bytes[s] = bytes;
    }
    d->depth++;
    if (e < 0 || same_pages(&p->d[0].list, &p->d[1].list))
        pop(d);
    else if (d->depth > 1)
        for (int s = 0; s < SIDES; s++)
            reader_dir_it_rest(&p[-1].d[s]);
    return e;
}

/* Both stand between two pages and the next is the same in both: nothing differs in it. */
static void skip_same(struct pair *p)
{
    struct dir_it *a = &p->d[0], *b = &p->d[1];
    while (!p->have[0] && !p->have[1] && !a->page && !b->page && !a->resting && !b->resting && a->next < a->list.n &&
        b->next < b->list.n && cid_eq(&part_list_at(&a->list, a->next)->cid, &part_list_at(&b->list, b->next)->cid)) {
        a->next++;
        b->next++;
    }
}

/* Let go of a page that is read to its end, so that skip_same sees it. */
static void end_page(struct dir_it *d)
{
    if (d->page && d->it.left == 0) {
        reader_page_drop(d->page);
        d->page = NULL;
    }
}

static int fill(struct diff *d, struct pair *p)
{
    for (int s = 0; s < SIDES; s++)
        if (!p->have[s])
            end_page(&p->d[s]);
    skip_same(p);
    for (int s = 0; s < SIDES; s++) {
        if (p->have[s])
            continue;
        int e = reader_dir_it_next(d->r[s], &p->d[s], &p->n[s]);
        if (e < 0)
            return e;
        p->have[s] = e == 1;
    }
    return 0;
}

static int set_path(struct diff *d, size_t base, struct sm_span name)
{
    int e = 0;
    d->path.n = base;
    if (base > 0 && d->path.p[base - 1] != '/')
        e = sm_buf_put_u8(&d->path, '/');
    return e < 0 ? e : sm_buf_put_span(&d->path, name);
}

static int both(struct diff *d, const struct reader_node *n)
{
    unsigned what = 0;
    bool differs = false;
    if (n[0].e.kind != n[1].e.kind)
        return tell(d, READER_CHANGED, READER_KIND, &n[0], &n[1]);
    int e = meta_differs(&n[0].e, &n[1].e, &differs);
    what |= differs ? READER_META : 0;
    if (e == 0 && n[0].e.kind != ENTRY_DIR) {
        e = content_differs(d, n, &differs);
        what |= differs ? READER_CONTENT : 0;
    }
    if (e == 0 && what)
        e = tell(d, READER_CHANGED, what, &n[0], &n[1]);
    return e == 0 && n[0].e.kind == ENTRY_DIR ? push(d, n) : e;
}

static int step(struct diff *d)
{
    struct pair *p = &d->stack[d->depth - 1];
    int e = ++d->visited > READER_DIFF_VISIT_MAX ? -SM_ELIMIT : fill(d, p);
    if (e < 0)
        return e;
    if (!p->have[0] && !p->have[1]) {
        pop(d);
        return 0;
    }
    int c = !p->have[0] ? 1 : !p->have[1] ? -1 : sm_span_cmp(p->n[0].e.name, p->n[1].e.name);
    struct reader_node n[SIDES] = { p->n[0], p->n[1] };
    if (c <= 0)
        p->have[0] = false;
    if (c >= 0)
        p->have[1] = false;
    e = set_path(d, p->path_n, c <= 0 ? n[0].e.name : n[1].e.name);
    if (e == 0)
        e = c < 0 ? tell(d, READER_REMOVED, 0, &n[0], NULL) : c > 0 ? tell(d, READER_ADDED, 0, NULL, &n[1]) : both(d, n);
    if (c <= 0)
        reader_node_wipe(&n[0]);
    if (c >= 0)
        reader_node_wipe(&n[1]);
    return e;
}

/* One path: it may be in one of them only. */
static int begin(struct diff *d, struct sm_span path)
{
    struct reader_node n[SIDES] = { { .page = NULL }, { .page = NULL } };
    int have[SIDES];
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    int e = sm_buf_put_span(&d->path, path);
    for (int s = 0; s < SIDES && e == 0; s++) {
        have[s] = reader_stat(d->r[s], path, &n[s]);
        if (have[s] < 0 && have[s] != -SM_ENOTFOUND)
            e = have[s];
    }
    if (e == 0 && have[0] < 0 && have[1] < 0)
        e = -SM_ENOTFOUND;
    else if (e == 0)
        e = have[0] < 0 ? tell(d, READER_ADDED, 0, NULL, &n[1])
            : have[1] < 0 ? tell(d, READER_REMOVED, 0, &n[0], NULL) : both(d, n);
    reader_node_wipe(&n[0]);
    reader_node_wipe(&n[1]);
    return e;
}

int reader_diff(struct reader *older, struct reader *newer, struct sm_span path, reader_diff_fn fn, void *arg)
{
    struct diff d = { .r = { older, newer }, .fn = fn, .arg = arg,
        .path = SM_BUF_INIT(READER_PATH_MAX + VAULT_NAME_MAX) };
    d.stack = calloc(VAULT_DEPTH_MAX + 2, sizeof *d.stack);
    if (!d.stack)
        return -ENOMEM;
    int e = path.n ? begin(&d, path) : push(&d, NULL);
    while (e == 0 && d.depth > 0)
        e = step(&d);
    while (d.depth > 0)
        pop(&d);
    free(d.stack);
    sm_buf_wipe(&d.path);
    return e;
}

bool reader_folder_mark(const struct reader_node *n, struct sm_span path, uint64_t *ret)
{
    struct stream_view s;
    struct sm_buf parts = { 0 };
    uint8_t h[CRYPTO_SHA256_LEN];
    struct crypto_sha256_ctx *c = NULL;
    if (n->e.kind != ENTRY_DIR || n->e.nstreams == 0 || stream_at(&n->e, 0, &s) < 0 || s.layout != LAYOUT_DIRPAGES ||
        stream_parts(&s, &parts) < 0)
        return false;
    int e = crypto_sha256_new(&c);
    if (e == 0) {
        crypto_sha256_put(c, path);
        for (uint32_t i = 0; i < s.nparts; i++)
            crypto_sha256_put(c, SM_SPAN(((const struct part *)(const void *)parts.p)[i].cid.b, 32));
        crypto_sha256_final(c, h);
        memcpy(ret, h, sizeof *ret);
    }
    crypto_sha256_free(c);
    sm_buf_wipe(&parts);
    return e == 0;
}
