#include <errno.h>
#include <unistd.h>
#include "crypto/random.h"
#include "plat/fs.h"
#include "vault/store/store_internal.h"

#define STACK_REFS_MAX ((size_t)2 << 20)   /* page refs waiting on all levels: 64 MiB */
#define SEEN_MAX ((size_t)1 << 20)

/* ---- reading ---- */

void store_reader_close(struct reader *r)
{
    if (r->fd >= 0)
        (void)close(r->fd); /* opened for reading */
    *r = READER_INIT;
}

static int reader_turn(const struct store *st, struct reader *r, uint32_t pack)
{
    if (r->fd >= 0 && r->pack == pack)
        return 0;
    store_reader_close(r);
    int fd = place_open_pack(st, pack);
    if (fd < 0)
        return fd;
    *r = (struct reader){ pack, fd };
    return 0;
}

int reader_object(const struct store *st, struct reader *r, const struct cid *cid, const struct place *p,
    struct sm_buf *ret)
{
    int err = reader_turn(st, r, p->pack);
    struct pack_object o = { *cid, p->offset, p->length, p->type };
    return err ? err : pack_read_object(r->fd, &o, ret);
}

int reader_raw(const struct store *st, struct reader *r, const struct place *p, struct sm_buf *ret)
{
    int err = reader_turn(st, r, p->pack);
    if (!err && (p->length < OBJ_HDR_LEN || p->length > OBJ_SEALED_MAX))
        err = -SM_ECORRUPT;
    if (!err)
        err = sm_buf_reserve(ret, p->length);
    if (!err)
        err = plat_fs_pread_all(r->fd, ret->p + ret->n, p->length, p->offset);
    if (!err)
        ret->n += p->length;
    return err;
}

int reader_clear(const struct store *st, struct reader *r, const struct place *p, struct sm_buf *ret)
{
    int err = reader_turn(st, r, p->pack);
    size_t head = OBJ_HDR_LEN + 4;
    if (!err && p->length < head)
        err = -SM_ECORRUPT;
    sm_buf_clear(ret);
    if (!err)
        err = sm_buf_reserve(ret, head);
    if (!err)
        err = plat_fs_pread_all(r->fd, ret->p, head, p->offset);
    if (err)
        return err;
    uint32_t n = ret->p[24] | (uint32_t)ret->p[25] << 8 | (uint32_t)ret->p[26] << 16 | (uint32_t)ret->p[27] << 24;
    size_t bytes = (size_t)n * 32;
    if (n > PAGE_REFS_MAX || head + bytes > p->length)
        return -SM_ECORRUPT;
    err = sm_buf_reserve(ret, head + bytes);
    if (!err)
        err = plat_fs_pread_all(r->fd, ret->p + head, bytes, p->offset + head);
    if (!err)
        ret->n = head + bytes;
    return err;
}

/* ---- closure ---- */

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;   /* a hostile tree may count without end */
}

static void sums_add(struct sums *to, const struct sums *s)
{
    to->chunks = add(to->chunks, s->chunks);
    to->chunk_bytes = add(to->chunk_bytes, s->chunk_bytes);
    to->stored_bytes = add(to->stored_bytes, s->stored_bytes);
    to->pages = add(to->pages, s->pages);
    to->page_bytes = add(to->page_bytes, s->page_bytes);
}

struct seen_row { struct cid id; };
struct walk {
    struct store *st;
    uint32_t client;
    const struct client_id *id;
    struct reader reader;
    struct sm_buf *missing; bool more;
    struct rows seen; struct idmap seen_map;   /* pages that were found not closed in this walk */
    size_t stack_refs;
    struct walk_result *result;
};

static int bad(struct walk *w, const struct cid *cid, const char *why)
{
    char hex[CID_HEX];
    cid_hex(cid, hex);
    w->result->bad = true;
    (void)snprintf(w->result->why, sizeof w->result->why, "%.16s: %s", hex, why); /* cut short is fine */
    return -SM_ECORRUPT;
}

static int miss(struct walk *w, const struct cid *cid)
{
    if (w->missing->n >= STORE_MISSING_MAX * 32) {
        w->more = true;
        return 0;
    }
    for (size_t i = 0; i < w->missing->n && w->missing->n <= 32 * 64; i += 32)
        if (memcmp(w->missing->p + i, cid->b, 32) == 0)
            return 0;                      /* told already; past 64 a repetition does no harm */
    return sm_buf_put(w->missing, cid->b, 32);
}

static bool seen(const struct walk *w, const struct cid *page)
{
    return idmap_get(&w->seen_map, w->seen.p, sizeof(struct seen_row), page->b) != STORE_NONE;
}

static int see(struct walk *w, const struct cid *page)
{
    struct seen_row *row = rows_next(&w->seen, sizeof *row, SEEN_MAX);
    if (!row)
        return w->seen.n >= SEEN_MAX ? -SM_ELIMIT : -ENOMEM;
    row->id = *page;
    int err = idmap_add(&w->seen_map, w->seen.p, sizeof *row, w->seen.n);
    w->seen.n += !err;
    return err;
}

static int walk_page(struct walk *w, const struct cid *page, unsigned depth, struct sums *ret, bool *ret_closed);

/* The refs that are no pages are counted, the pages are collected for later, so that the page itself needs not be
   kept. */
static int sort_refs(struct walk *w, const struct page_refs *refs, struct sums *s, struct sm_buf *pages, bool *closed)
{
    for (uint32_t i = 0; i < refs->n; i++) {
        struct place p;
        int err = 0;
        if (!place_find(w->st, w->client, &refs->ref[i], &p)) {
            *closed = false;
            err = miss(w, &refs->ref[i]);
        } else if (obj_is_chunk(p.type)) {
            struct sums one = { .chunks = 1, .chunk_bytes = p.length,
                .stored_bytes = p.algorithm == OBJ_STORED ? p.length : 0 };
            sums_add(s, &one);
        } else if (p.type == OBJ_DIRPAGE || p.type == OBJ_STREAMPAGE) {
            err = sm_buf_put(pages, refs->ref[i].b, 32);
        } else if (p.type != OBJ_ENVELOPE) {
            return bad(w, &refs->ref[i], "an object that no page may name");
        }
        if (err)
            return err;
    }
    return 0;
}

static int walk_children(struct walk *w, const struct sm_buf *pages, unsigned depth, struct sums *s, bool *closed)
{
    for (size_t i = 0; i < pages->n; i += 32) {
        struct sums below = { 0 };
        bool whole = true;
        int err = walk_page(w, (const struct cid *)(const void *)(pages->p + i), depth + 1, &below, &whole);
        if (err)
            return err;
        *closed &= whole;
        sums_add(s, &below);
        if (below.height + 1 > s->height)
            s->height = below.height + 1;
    }
    return 0;
}

/* A page that is here and not known to be closed. */
static int walk_new_page(struct walk *w, const struct cid *page, const struct place *p, unsigned depth,
    struct sums *ret, bool *ret_closed)
{
    struct sm_buf sealed = SM_BUF_INIT(PAGE_SEALED_MAX), pages = SM_BUF_INIT((size_t)PAGE_REFS_MAX * 32);
    struct page_refs refs;
    struct sums s = { 0 };
    bool closed = true;
    int err = reader_object(w->st, &w->reader, page, p, &sealed);
    if (err == -SM_ECORRUPT || err == -SM_EPARTIAL || err == -ENOENT) {
        closed = false;
        err = miss(w, page);               /* damaged on our disk: let it be sent again */
        refs.n = 0;
    } else if (!err) {
        err = page_refs(sm_buf_span(&sealed), w->id, &refs);
        if (err && err != -ENOMEM)
            err = bad(w, page, "not a sound page");
        if (!err && p->type == OBJ_DIRPAGE)
            s = (struct sums){ .pages = 1, .page_bytes = p->length };
        if (!err)
            err = sort_refs(w, &refs, &s, &pages, &closed);
    }
    sm_buf_wipe(&sealed);
    size_t mine = pages.n / 32;
    w->stack_refs += mine;
    if (!err && w->stack_refs > STACK_REFS_MAX)
        err = bad(w, page, "too many pages below one another");
    if (!err)
        err = walk_children(w, &pages, depth, &s, &closed);
    w->stack_refs -= mine;
    sm_buf_wipe(&pages);
    if (!err)
        err = closed ? closed_put(w->st, page, &s) : see(w, page);
    if (!err) {
        *ret = s;
        *ret_closed = closed;
    }
    return err;
}

static int walk_page(struct walk *w, const struct cid *page, unsigned depth, struct sums *ret, bool *ret_closed)
{
    if (depth > VAULT_DEPTH_MAX)
        return bad(w, page, "deeper than 64 pages below the root");
    struct sums s;
    struct place p;
    if (!place_find(w->st, w->client, page, &p)) {
        *ret_closed = false;
        return miss(w, page);
    }
    if (closed_get(w->st, page, &s)) {
        if (depth + s.height > VAULT_DEPTH_MAX)
            return bad(w, page, "deeper than 64 pages below the root");
        *ret = s;
        *ret_closed = true;
        return 0;
    }
    if (seen(w, page) || w->more) {
        *ret_closed = false;
        return 0;
    }
    return walk_new_page(w, page, &p, depth, ret, ret_closed);
}

int walk_closure(struct store *st, uint32_t client, const struct cid *roots, size_t n, struct sm_buf *missing,
    bool *more,
    struct walk_result *ret)
{
    *ret = (struct walk_result){ 0 };
    struct walk w = { .st = st, .client = client, .id = &store_client_row(st, client)->c.id, .reader = READER_INIT,
        .missing = missing, .result = ret };
    int err = 0;
    for (size_t i = 0; !err && i < n; i++) {
        struct sums s = { 0 };
        struct place p;
        bool closed;
        if (place_find(st, client, &roots[i], &p) && p.type != OBJ_DIRPAGE)
            err = bad(&w, &roots[i], "a root that is not a directory page");
        if (!err)
            err = walk_page(&w, &roots[i], 0, &s, &closed);
        if (!err)
            sums_add(&ret->sums, &s);
    }
    *more = w.more;
    store_reader_close(&w.reader);
    free(w.seen.p);
    idmap_wipe(&w.seen_map);
    return ret->bad ? 0 : err;
}

/* ---- difference ---- */

/*
 * Both trees are walked together from the top, level by level; pages that stand on both sides of a level are left out,
 * so the cost
 * follows what changed.  Chunks go into two bounded sets by a keyed 64-bit value of their names.  When a set would
 * outgrow its bound, both
 * keep only every second value, again and again, and the result is scaled: a fair sample, since the key is ours.
 */
#define SET_MAX ((size_t)1 << 20)
#define PAGES_MAX ((size_t)1 << 20)

struct member { uint64_t h; uint32_t length; bool stored; };
struct set { struct member *m; size_t n, cap; };
struct diff {
    struct store *st;
    uint32_t client;
    uint64_t key; unsigned shift;
    struct set side[2];                    /* 0 now, 1 base */
    struct reader reader;
    struct sm_buf clear;
};

static int member_cmp(const void *a, const void *b)
{
    uint64_t x = ((const struct member *)a)->h, y = ((const struct member *)b)->h;
    return x < y ? -1 : x > y;
}

static void set_tidy(struct set *s, uint64_t mask)
{
    if (!s->n)
        return;
    qsort(s->m, s->n, sizeof *s->m, member_cmp);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!(s->m[i].h & mask) && (n == 0 || s->m[n - 1].h != s->m[i].h))
            s->m[n++] = s->m[i];
    s->n = n;
}

static uint64_t diff_mask(const struct diff *d)
{
    return ((uint64_t)1 << d->shift) - 1;
}

static int set_add(struct diff *d, unsigned side, const struct cid *cid, const struct place *p)
{
    uint64_t h;
    memcpy(&h, cid->b, sizeof h);
    h = (h ^ d->key) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 32) * (d->key | 1);
    h ^= h >> 29;
    if (h & diff_mask(d))
        return 0;
    struct set *s = &d->side[side];
    if (s->n == s->cap && s->cap == SET_MAX) {
        set_tidy(s, diff_mask(d));
        while (s->n > SET_MAX / 2) {
            d->shift++;
            set_tidy(&d->side[0], diff_mask(d));
            set_tidy(&d->side[1], diff_mask(d));
        }
        if (h & diff_mask(d))
            return 0;
    } else if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 1024;
        struct member *m = realloc(s->m, cap * sizeof *m);
        if (!m)
            return -ENOMEM;
        s->m = m;
        s->cap = cap;
    }
    s->m[s->n++] = (struct member){ h, p->length, p->algorithm == OBJ_STORED };
    return 0;
}

static int ref_cmp(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

static void cids_tidy(struct sm_buf *b)
{
    if (b->n)
        qsort(b->p, b->n / 32, 32, ref_cmp);
    size_t n = 0;
    for (size_t i = 0; i < b->n; i += 32)
        if (n == 0 || memcmp(b->p + n - 32, b->p + i, 32) != 0) {
            memmove(b->p + n, b->p + i, 32);
            n += 32;
        }
    b->n = n;
}

/* Take out of both (sorted) what stands in both. */
static void cids_cancel(struct sm_buf *a, struct sm_buf *b)
{
    size_t i = 0, j = 0, an = 0, bn = 0;
    while (i < a->n || j < b->n) {
        int c = i >= a->n ? 1 : j >= b->n ? -1 : memcmp(a->p + i, b->p + j, 32);
        if (c < 0) {
            memmove(a->p + an, a->p + i, 32);
            an += 32;
        } else if (c > 0) {
            memmove(b->p + bn, b->p + j, 32);
            bn += 32;
        }
        i += c <= 0 ? 32 : 0;
        j += c >= 0 ? 32 : 0;
    }
    a->n = an;
    b->n = bn;
}

/* The refs of one page: chunks into the set, pages into next.  A page that cannot be read is passed over: this is
 * only measuring. */
static int expand(struct diff *d, unsigned side, const struct cid *page, struct sm_buf *next)
{
    struct place p;
    if (!place_find(d->st, d->client, page, &p))
        return 0;
    int err = reader_clear(d->st, &d->reader, &p, &d->clear);
    if (err)
        return err == -ENOMEM ? err : 0;
    for (size_t i = OBJ_HDR_LEN + 4; !err && i < d->clear.n; i += 32) {
        const struct cid *ref = (const struct cid *)(const void *)(d->clear.p + i);
        if (!place_find(d->st, d->client, ref, &p))
            continue;
        if (obj_is_chunk(p.type))
            err = set_add(d, side, ref, &p);
        else if (p.type != OBJ_ENVELOPE && next->n < PAGES_MAX * 32)
            err = sm_buf_put(next, ref->b, 32);
    }
    return err;
}

static void diff_result(struct diff *d, struct suspicion_measures *m)
{
    struct set *a = &d->side[0], *b = &d->side[1];
    set_tidy(a, diff_mask(d));
    set_tidy(b, diff_mask(d));
    uint64_t v[6] = { 0 };
    for (size_t i = 0, j = 0; i < a->n || j < b->n;) {
        int c = i >= a->n ? 1 : j >= b->n ? -1 : member_cmp(&a->m[i], &b->m[j]);
        const struct member *x = c < 0 ? &a->m[i] : &b->m[j];
        uint64_t *to = c < 0 ? v : v + 3;
        if (c != 0) {
            to[0]++;
            to[1] += x->length;
            to[2] += x->stored ? x->length : 0;
        }
        i += c <= 0;
        j += c >= 0;
    }
    m->chunks_new = v[0] << d->shift;
    m->chunk_bytes_new = v[1] << d->shift;
    m->stored_bytes_new = v[2] << d->shift;
    m->chunks_dropped = v[3] << d->shift;
    m->chunk_bytes_dropped = v[4] << d->shift;
    m->stored_bytes_dropped = v[5] << d->shift;
}

int walk_difference(struct store *st, uint32_t client, const struct cid *now, size_t now_n, const struct cid *base,
    size_t base_n,
    struct suspicion_measures *m)
{
    struct diff d = { .st = st, .client = client, .reader = READER_INIT,
        .clear = SM_BUF_INIT(OBJ_HDR_LEN + 4 + (size_t)PAGE_REFS_MAX * 32) };
    crypto_random(&d.key, sizeof d.key);
    struct sm_buf level[2] = { SM_BUF_INIT(PAGES_MAX * 32), SM_BUF_INIT(PAGES_MAX * 32) };
    int err = sm_buf_put(&level[0], now, now_n * 32);
    if (!err && base_n)
        err = sm_buf_put(&level[1], base, base_n * 32);
    for (unsigned depth = 0; !err && depth <= VAULT_DEPTH_MAX && (level[0].n || level[1].n); depth++) {
        cids_tidy(&level[0]);
        cids_tidy(&level[1]);
        cids_cancel(&level[0], &level[1]);
        struct sm_buf next[2] = { SM_BUF_INIT(PAGES_MAX * 32), SM_BUF_INIT(PAGES_MAX * 32) };
        for (unsigned side = 0; side < 2; side++)
            for (size_t i = 0; !err && i < level[side].n; i += 32)
                err = expand(&d, side, (const struct cid *)(const void *)(level[side].p + i), &next[side]);
        for (unsigned side = 0; side < 2; side++) {
            sm_buf_wipe(&level[side]);
            level[side] = next[side];
        }
    }
    if (!err)
        diff_result(&d, m);
    sm_buf_wipe(&level[0]);
    sm_buf_wipe(&level[1]);
    sm_buf_wipe(&d.clear);
    store_reader_close(&d.reader);
    free(d.side[0].m);
    free(d.side[1].m);
    return err;
}
