#include <errno.h>

#include "vault/snapshot/reader_internal.h"

/*
 * Going through the parts of a stream.  Only what overlaps [from, to) is opened: a range of a large file costs the
 * pages above it.
 */
struct span_walk {
    struct reader *r;
    uint64_t from, to;
    reader_part_fn fn;
    void *arg;
};

static int walk_pages(struct span_walk *w, const struct part_list *l, uint64_t at, int level);

static int tell(struct span_walk *w, const struct part *p, const struct chunk_key *ck, uint64_t at)
{
    struct reader_part out = {.file_offset = at, .length = p->length, .hole = p->hole};
    int e;
    if (!p->hole) {
        out.cid = p->cid;
        out.ck = *ck;
        out.chunk_offset = p->offset;
    }
    e = w->fn(w->arg, &out);
    sm_zero(&out.ck, sizeof out.ck);
    return e;
}

static int keys_copy(const struct streampage *s, struct part_list *l)
{
    size_t bytes = (size_t)s->nparts * sizeof(struct part);
    int e = sm_buf_reserve(&l->parts, bytes);
    if (e < 0)
        return e;
    parts_decode(s->parts_raw, &s->refs, s->nparts, (struct part *)(void *)l->parts.p);
    l->parts.n = bytes;
    l->n = s->nparts;
    return sm_buf_put(&l->keys, s->keys, (size_t)s->nkeys * OBJ_KEY_LEN);
}

/* level: what the page must be, or -1 for the first of a stream, which may be any. */
static int page_list(struct reader *r, const struct part *p, const struct chunk_key *ck, int level,
    struct part_list *ret, int *ret_level)
{
    struct part_list l = {0};
    struct sm_buf sealed = SM_BUF_INIT(OBJ_SEALED_MAX), body = {0};
    struct page_refs refs;
    struct streampage s;
    int e;
    if ((e = reader_get(r, &p->cid, OBJ_STREAMPAGE, &sealed)) == 0 &&
        (e = page_open(r->ctx, sm_buf_span(&sealed), OBJ_STREAMPAGE, &r->m.client, ck, &refs, &body)) == 0)
        e = streampage_parse(&refs, sm_buf_span(&body), &s);
    if (e == 0 && (s.sum != p->length || (level >= 0 && s.level != level)))
        e = -SM_EFORMAT;
    if (e == 0)
        e = keys_copy(&s, &l);
    if (e == 0) {
        *ret = l;
        *ret_level = s.level;
    } else {
        part_list_wipe(&l);
    }
    sm_buf_wipe(&sealed);
    sm_buf_wipe(&body);
    return e;
}

static int walk_chunks(struct span_walk *w, const struct part_list *l, uint64_t at)
{
    const struct chunk_key *ck = (const struct chunk_key *)(const void *)l->keys.p;
    int e = 0;
    for (size_t i = 0; e == 0 && i < l->n && at < w->to; i++) {
        const struct part *p = part_list_at(l, i);
        if (at + p->length > w->from)
            e = tell(w, p, ck, at);
        at += p->length;
        ck += !p->hole;
    }
    return e;
}

/* Recursion: STREAMPAGE_LEVEL_MAX deep, because levels go down one by one. */
static int walk_pages(struct span_walk *w, const struct part_list *l, uint64_t at, int level)
{
    const struct chunk_key *ck = (const struct chunk_key *)(const void *)l->keys.p;
    int e = 0;
    for (size_t i = 0; e == 0 && i < l->n && at < w->to; i++) {
        const struct part *p = part_list_at(l, i);
        if (at + p->length > w->from && p->hole) {
            e = tell(w, p, ck, at);
        } else if (at + p->length > w->from) {
            struct part_list below;
            e = page_list(w->r, p, ck, level, &below, &level);
            if (e < 0)
                return e;
            e = level == 0 ? walk_chunks(w, &below, at) : walk_pages(w, &below, at, level - 1);
            part_list_wipe(&below);
        }
        at += p->length;
        ck += !p->hole;
    }
    return e;
}

static int walk_stream(struct span_walk *w, const struct stream_view *s)
{
    struct part_list l;
    int e;
    if (w->to > s->size)
        w->to = s->size;
    if (w->from >= w->to)
        return 0;
    if (s->layout == LAYOUT_NONE)
        return tell(w, &(struct part){.hole = true, .length = s->size}, NULL, 0);
    if (s->layout == LAYOUT_DIRPAGES)
        return -EISDIR;
    e = reader_stream_list(w->r, s, &l);
    if (e < 0)
        return e;
    e = s->layout == LAYOUT_CHUNKS ? walk_chunks(w, &l, 0) : walk_pages(w, &l, 0, -1);
    part_list_wipe(&l);
    return e;
}

int reader_parts(struct reader *r, const struct reader_node *n, uint32_t i, reader_part_fn fn, void *arg)
{
    struct span_walk w = {.r = r, .to = UINT64_MAX, .fn = fn, .arg = arg};
    struct stream_view s;
    int e = stream_at(&n->e, i, &s);
    return e < 0 ? e : walk_stream(&w, &s);
}

struct data_out {
    struct reader *r;
    uint64_t from, to;
    reader_data_fn fn;
    void *arg;
    struct cid last; /* whose bytes are in r->plain; zero: nobody's */
};

static int data_part(void *arg, const struct reader_part *p)
{
    struct data_out *o = arg;
    struct reader *r = o->r;
    uint64_t begin = p->file_offset < o->from ? o->from : p->file_offset;
    uint64_t end = p->file_offset + p->length > o->to ? o->to : p->file_offset + p->length;
    uint64_t skip = begin - p->file_offset;
    int e;
    if (p->hole)
        return o->fn(o->arg, begin, (struct sm_span){NULL, (size_t)(end - begin)});
    if (!cid_eq(&o->last, &p->cid)) {
        memset(&o->last, 0, sizeof o->last);
        sm_buf_clear(&r->sealed);
        sm_buf_clear(&r->plain);
        if ((e = reader_get(r, &p->cid, OBJ_ANY, &r->sealed)) < 0 ||
            (e = chunk_open(r->ctx, sm_buf_span(&r->sealed), &r->m.client, &p->ck, &r->plain)) < 0)
            return e;
        o->last = p->cid;
    }
    if (p->chunk_offset > r->plain.n || p->length > r->plain.n - p->chunk_offset)
        return -SM_EFORMAT;
    return o->fn(o->arg, begin, SM_SPAN(r->plain.p + p->chunk_offset + skip, (size_t)(end - begin)));
}

int reader_read(struct reader *r, const struct reader_node *n, uint32_t i, uint64_t offset, uint64_t length,
    reader_data_fn fn, void *arg)
{
    struct data_out o = {.r = r, .from = offset, .fn = fn, .arg = arg};
    struct span_walk w = {.r = r, .from = offset, .fn = data_part, .arg = &o};
    struct stream_view s;
    int e = stream_at(&n->e, i, &s);
    if (e < 0)
        return e;
    o.to = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
    if (o.to > s.size)
        o.to = s.size;
    w.to = o.to;
    return walk_stream(&w, &s);
}

/* ---- envelopes ---- */

struct cid_set { struct cid *slot; size_t slots, n; };

/* 1 if new, 0 if known.  The zero name stands for a free slot; no object has it. */
static int cid_set_add(struct cid_set *s, const struct cid *c)
{
    uint64_t v;
    if (cid_is_zero(c))
        return -SM_EFORMAT;
    if ((s->n + 1) * 2 > s->slots) {
        struct cid_set bigger = {.slots = s->slots ? s->slots * 2 : 1024};
        bigger.slot = calloc(bigger.slots, sizeof *bigger.slot);
        if (!bigger.slot)
            return -ENOMEM;
        for (size_t i = 0; i < s->slots; i++)
            if (!cid_is_zero(&s->slot[i]) && cid_set_add(&bigger, &s->slot[i]) < 0)
                return -ENOMEM; /* not reached: the new table has room */
        free(s->slot);
        *s = bigger;
    }
    memcpy(&v, c->b, sizeof v);
    for (size_t k = (size_t)v & (s->slots - 1);; k = (k + 1) & (s->slots - 1)) {
        if (cid_eq(&s->slot[k], c))
            return 0;
        if (!cid_is_zero(&s->slot[k]))
            continue;
        s->slot[k] = *c;
        s->n++;
        return 1;
    }
}

struct closure {
    struct reader *r;
    struct cid_set pages, envelopes;
    struct sm_buf todo; /* struct cid: pages not yet read */
    struct sm_buf got;
    reader_cid_fn fn;
    void *arg;
};

static int type_of(struct closure *c, const struct cid *cid)
{
    struct obj_hdr h;
    int e;
    if (c->r->src.type)
        return c->r->src.type(c->r->src.arg, cid);
    sm_buf_clear(&c->got);
    e = reader_get(c->r, cid, OBJ_ANY, &c->got);
    if (e == 0)
        e = obj_hdr_expect(sm_buf_span(&c->got), OBJ_ANY, &c->r->m.client, &h);
    return e < 0 ? e : h.type;
}

static int closure_ref(struct closure *c, const struct cid *cid)
{
    int type = type_of(c, cid), e = 0;
    if (type < 0)
        return type;
    if (type == OBJ_ENVELOPE) {
        e = cid_set_add(&c->envelopes, cid);
        return e == 1 ? c->fn(c->arg, cid) : e;
    }
    if (type != OBJ_DIRPAGE && type != OBJ_STREAMPAGE)
        return 0;
    e = cid_set_add(&c->pages, cid);
    if (e == 1)
        e = c->pages.n > READER_CLOSURE_MAX ? -SM_ELIMIT : sm_buf_put(&c->todo, cid, sizeof *cid);
    return e;
}

static int closure_page(struct closure *c)
{
    struct sm_buf sealed = SM_BUF_INIT(OBJ_SEALED_MAX);
    struct page_refs refs;
    struct cid cid;
    int e;
    c->todo.n -= sizeof cid;
    memcpy(&cid, c->todo.p + c->todo.n, sizeof cid);
    e = reader_get(c->r, &cid, OBJ_ANY, &sealed);
    if (e == 0)
        e = page_refs(sm_buf_span(&sealed), &c->r->m.client, &refs);
    for (uint32_t i = 0; e == 0 && i < refs.n; i++)
        e = closure_ref(c, &refs.ref[i]);
    sm_buf_wipe(&sealed);
    return e;
}

int reader_envelopes(struct reader *r, reader_cid_fn fn, void *arg)
{
    struct closure c = {.r = r, .fn = fn, .arg = arg, .todo = SM_BUF_INIT(READER_CLOSURE_MAX * sizeof(struct cid)),
        .got = SM_BUF_INIT(OBJ_SEALED_MAX)};
    int e = closure_ref(&c, &r->m.envelope);
    for (size_t i = 0; e == 0 && i < r->m.nroots; i++)
        e = closure_ref(&c, &r->m.roots[i]);
    while (e == 0 && c.todo.n > 0)
        e = closure_page(&c);
    free(c.pages.slot);
    free(c.envelopes.slot);
    sm_buf_wipe(&c.todo);
    sm_buf_wipe(&c.got);
    return e;
}
