#include <errno.h>

#include "vault/snapshot/reader_internal.h"

int reader_open(const struct reader_source *source, struct sm_span manifest, const uint8_t *device_public,
    struct reader **ret)
{
    struct reader *r;
    int e = device_public ? manifest_verify(manifest, device_public) : 0;
    if (e < 0)
        return e;
    r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->src = *source;
    r->sealed.max = r->plain.max = OBJ_SEALED_MAX;
    if ((e = sm_buf_put_span(&r->manifest_bytes, manifest)) < 0 ||
        (e = manifest_parse(sm_buf_span(&r->manifest_bytes), &r->m)) < 0 || (e = seal_ctx_new(&r->ctx)) < 0) {
        sm_buf_wipe(&r->manifest_bytes);
        free(r);
        return e;
    }
    *ret = r;
    return 0;
}

static void page_free(struct reader_page *p)
{
    sm_buf_wipe(&p->sealed);
    sm_buf_wipe(&p->body);
    free(p);
}

void reader_close(struct reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < READER_CACHE_PAGES; i++) {
        struct reader_page *p = r->cache[i];
        if (!p)
            continue;
        /* A node that outlives its reader keeps its page. */
        p->cached = false;
        if (p->holds == 0)
            page_free(p);
    }
    seal_ctx_free(r->ctx);
    sm_buf_wipe(&r->manifest_bytes);
    sm_buf_wipe(&r->sealed);
    sm_buf_wipe(&r->plain);
    sm_zero(r, sizeof *r);
    free(r);
}

const struct manifest *reader_manifest(const struct reader *r)
{
    return &r->m;
}

void part_list_wipe(struct part_list *l)
{
    sm_buf_wipe(&l->parts);
    sm_buf_wipe(&l->keys);
    l->n = 0;
}

const struct part *part_list_at(const struct part_list *l, size_t i)
{
    return (const struct part *)(const void *)l->parts.p + i;
}

int reader_get(struct reader *r, const struct cid *cid, uint8_t type, struct sm_buf *ret)
{
    size_t before = ret->n;
    int e = r->src.get(r->src.arg, cid, type, ret);
    if (e == 0 && !r->src.names_checked)
        e = obj_name_check(SM_SPAN(ret->p + before, ret->n - before), cid);
    if (e < 0)
        ret->n = before;
    return e;
}

int reader_item_key(struct reader *r, const struct cid *envelope, struct chunk_key *ret)
{
    struct reader_key *oldest = &r->key[0];
    struct file_key f;
    int e;
    for (size_t i = 0; i < READER_KEYS; i++) {
        struct reader_key *k = &r->key[i];
        if (k->any && cid_eq(&k->envelope, envelope)) {
            k->used_at = ++r->clock;
            *ret = k->k_item;
            return 0;
        }
        if (k->used_at < oldest->used_at)
            oldest = k;
    }
    e = r->src.file_key(r->src.arg, envelope, &f);
    if (e == 0)
        e = item_key(&f, &r->m.client, ret);
    sm_zero(&f, sizeof f);
    if (e == 0)
        *oldest = (struct reader_key){*envelope, *ret, ++r->clock, true};
    return e;
}

static int open_keys(struct reader *r, const struct cid *envelope, uint64_t counter, uint8_t layout,
    struct sm_span item, struct part_list *l)
{
    struct chunk_key k;
    int e = reader_item_key(r, envelope, &k);
    if (e == 0)
        e = item_open(r->ctx, &k, counter, envelope, layout, part_list_at(l, 0), l->n, item, &l->keys);
    sm_zero(&k, sizeof k);
    return e;
}

int reader_stream_list(struct reader *r, const struct stream_view *s, struct part_list *ret)
{
    struct part_list l = {.n = s->nparts};
    int e;
    if (s->layout == LAYOUT_NONE) {
        *ret = l;
        return 0;
    }
    e = stream_parts(s, &l.parts);
    if (e == 0)
        e = open_keys(r, &s->envelope, s->counter, s->layout, s->item, &l);
    if (e < 0)
        part_list_wipe(&l);
    else
        *ret = l;
    return e;
}

static int root_list(struct reader *r, struct part_list *ret)
{
    struct part_list l = {.n = r->m.nroots};
    int e = 0;
    for (size_t i = 0; e == 0 && i < l.n; i++) {
        struct part p = {.cid = r->m.roots[i]};
        e = sm_buf_put(&l.parts, &p, sizeof p);
    }
    if (e == 0)
        e = open_keys(r, &r->m.envelope, r->m.counter, LAYOUT_DIRPAGES, r->m.item, &l);
    if (e < 0)
        part_list_wipe(&l);
    else
        *ret = l;
    return e;
}

int reader_dir_list(struct reader *r, const struct reader_node *dir, struct part_list *ret)
{
    struct stream_view s;
    int e;
    if (!dir)
        return root_list(r, ret);
    if (dir->e.kind != ENTRY_DIR)
        return -ENOTDIR;
    e = stream_at(&dir->e, 0, &s);
    if (e == -SM_ENOTFOUND || (e == 0 && s.kind != STREAM_MAIN)) {
        *ret = (struct part_list){0};
        return 0;
    }
    return e < 0 ? e : reader_stream_list(r, &s, ret);
}

/* ---- opened pages ---- */

static size_t page_bytes(const struct reader_page *p)
{
    return p->sealed.cap + p->body.cap;
}

static void evict(struct reader *r, size_t slot)
{
    struct reader_page *p = r->cache[slot];
    r->cache_bytes -= page_bytes(p);
    r->cache[slot] = NULL;
    p->cached = false;
    if (p->holds == 0)
        page_free(p);
}

/* A free slot, and room for n bytes: the pages used longest ago go. */
static size_t make_room(struct reader *r, size_t n)
{
    for (;;) {
        size_t free_slot = READER_CACHE_PAGES, oldest = READER_CACHE_PAGES;
        for (size_t i = 0; i < READER_CACHE_PAGES; i++) {
            if (!r->cache[i])
                free_slot = i;
            else if (oldest == READER_CACHE_PAGES || r->cache[i]->used_at < r->cache[oldest]->used_at)
                oldest = i;
        }
        if (free_slot < READER_CACHE_PAGES &&
            (r->cache_bytes + n <= READER_CACHE_BYTES || oldest == READER_CACHE_PAGES))
            return free_slot;
        evict(r, oldest);
    }
}

static int page_load(struct reader *r, const struct cid *cid, const struct chunk_key *ck, bool root,
    struct reader_page **ret)
{
    struct reader_page *p = calloc(1, sizeof *p);
    struct page_refs refs;
    int e;
    if (!p)
        return -ENOMEM;
    p->cid = *cid;
    p->sealed.max = OBJ_SEALED_MAX;
    if ((e = reader_get(r, cid, OBJ_DIRPAGE, &p->sealed)) < 0 ||
        (e = page_open(r->ctx, sm_buf_span(&p->sealed), OBJ_DIRPAGE, &r->m.client, ck, &refs, &p->body)) < 0 ||
        (e = dirpage_parse(&refs, sm_buf_span(&p->body), root, &p->page)) < 0) {
        page_free(p);
        return e;
    }
    *ret = p;
    return 0;
}

/* i-th key that is not of a hole; pages have no holes, so it is the i-th. */
int reader_page_open(struct reader *r, const struct part_list *l, size_t i, bool root, struct reader_page **ret)
{
    const struct cid *cid = &part_list_at(l, i)->cid;
    const struct chunk_key *ck = (const struct chunk_key *)(const void *)l->keys.p + i;
    struct reader_page *p;
    size_t slot;
    int e;
    for (size_t k = 0; k < READER_CACHE_PAGES; k++) {
        p = r->cache[k];
        if (!p || !cid_eq(&p->cid, cid) || p->page.root != root)
            continue;
        p->used_at = ++r->clock;
        p->holds++;
        *ret = p;
        return 0;
    }
    e = page_load(r, cid, ck, root, &p);
    if (e < 0)
        return e;
    slot = make_room(r, page_bytes(p));
    r->cache[slot] = p;
    r->cache_bytes += page_bytes(p);
    p->cached = true;
    p->used_at = ++r->clock;
    p->holds = 1;
    *ret = p;
    return 0;
}

void reader_page_drop(struct reader_page *p)
{
    if (!p)
        return;
    p->holds--;
    if (p->holds == 0 && !p->cached)
        page_free(p);
}

void reader_node_wipe(struct reader_node *n)
{
    reader_page_drop(n->page);
    *n = (struct reader_node){0};
}

void reader_node_copy(const struct reader_node *n, struct reader_node *ret)
{
    struct reader_node c = *n;
    if (c.page)
        c.page->holds++;
    *ret = c;
}
