#include <errno.h>
#include "vault/backup/run_internal.h"

#define KEPT_BYTES ((size_t)512 << 10) /* records of an unchanged folder held back before its pages are built after all */
#define WAITING_MAX 4096u              /* entries waiting for a shared chunk; the reader closes them long before */
#define SHARED_TABLE 256u              /* shared chunks of one folder whose use is counted */

struct shared_use { struct cid cid; uint64_t plain, live; };
/* One folder on the way down. */
struct level {
    struct dirpage_builder *builder;
    bool building;                     /* entries go to the builder; else they are all old and held in kept */
    struct sm_buf kept;
    struct sm_buf pages, keys;         /* struct part, struct chunk_key of the pages handed out */
    struct shared_use *use; size_t uses;
};
/* An entry that may not yet know where its bytes are. */
struct waiting { struct sm_buf rec; bool ready, kept; uint64_t group, offset, length; };
struct finisher {
    struct run *r;
    struct seal_ctx *ctx;
    struct level level[SCAN_DEPTH_MAX + 3];
    size_t depth;
    struct stream_builder *stream;
    struct waiting *wait; size_t wait_head, wait_n; /* a ring of WAITING_MAX */
    struct part *parts;                /* VAULT_PARTS_MAX of them, for putting entries into pages */
    struct sm_buf item, rec;
};

static struct level *now(struct finisher *f)
{
    return &f->level[f->depth];
}

/* ---- pages ---- */

static int page_out(struct finisher *f, uint8_t type, const struct chunk_info *page, struct sm_span sealed)
{
    struct cid known;
    if (run_known(f->r, page->cid.b, &known))
        return 0;
    f->r->done.pages_new++;
    return out_add(f->r, type, page->cid.b, &page->cid, sealed);
}

static int on_dirpage(void *arg, const struct chunk_info *page, struct sm_span sealed)
{
    struct finisher *f = arg;
    struct part p = { .cid = page->cid };
    int e = page_out(f, OBJ_DIRPAGE, page, sealed);
    if (e == 0)
        e = sm_buf_put(&now(f)->pages, &p, sizeof p);
    return e < 0 ? e : sm_buf_put(&now(f)->keys, &page->ck, sizeof page->ck);
}

static int on_streampage(void *arg, const struct chunk_info *page, struct sm_span sealed)
{
    return page_out(arg, OBJ_STREAMPAGE, page, sealed);
}

/* ---- entries into pages and the tree cache ---- */

static int builder_add(struct finisher *f, const struct tree_record *rec)
{
    struct level *l = now(f);
    const struct tree_stream *s = &rec->stream;
    if (rec->has_stream && s->layout != LAYOUT_NONE)
        tree_parts(s, f->parts);
    struct dirpage_stream ds = { .kind = STREAM_MAIN, .size = s->size, .layout = s->layout, .envelope = s->envelope,
        .counter = s->counter, .parts = f->parts, .nparts = s->nparts, .item = s->item };
    struct dirpage_entry e = { .name = rec->name, .kind = rec->kind, .meta = rec->meta, .streams = &ds,
        .nstreams = rec->has_stream };
    return dirpage_add(l->builder, &e);
}

/* From here on the folder's pages are built: first what was held back. */
static int level_build(struct finisher *f)
{
    struct level *l = now(f);
    int e = 0;
    if (!l->builder)
        e = dirpage_builder_new(f->ctx, &f->r->keys, f->depth == 0, on_dirpage, f, &l->builder);
    struct sm_span left = sm_buf_span(&l->kept);
    while (e == 0 && left.n) {
        struct tree_record rec;
        e = tree_record_parse(left, &rec);
        if (e < 0)
            break;
        e = builder_add(f, &rec);
        left.p += rec.raw.n;
        left.n -= rec.raw.n;
    }
    sm_buf_clear(&l->kept);
    l->building = e == 0;
    return e;
}

static void use_note(struct level *l, const struct tree_record *rec)
{
    struct part p;
    size_t i = 0;
    if (rec->shared_plain == 0 || rec->stream.nparts != 1)
        return;
    tree_parts(&rec->stream, &p);
    while (i < l->uses && !cid_eq(&l->use[i].cid, &p.cid))
        i++;
    if (i == SHARED_TABLE)
        return;
    if (!l->use && !(l->use = calloc(SHARED_TABLE, sizeof *l->use)))
        return; /* only a hint for the next run */
    if (i == l->uses)
        l->use[l->uses++] = (struct shared_use){ .cid = p.cid, .plain = rec->shared_plain };
    l->use[i].live += p.length;
}

/* One complete record of the present folder.  kept: its page bytes are those of the last generation. */
static int level_add(struct finisher *f, struct sm_span raw, bool kept)
{
    struct level *l = now(f);
    struct tree_record rec;
    int e = tree_record_parse(raw, &rec);
    if (e == 0)
        e = tree_put(f->r->new, raw);
    if (e < 0)
        return e;
    use_note(l, &rec);
    if (!l->building && kept && f->depth > 0 && l->kept.n + raw.n <= KEPT_BYTES)
        return sm_buf_put_span(&l->kept, raw);
    if (!l->building && (e = level_build(f)) < 0)
        return e;
    return builder_add(f, &rec);
}

/* ---- entries that wait ---- */

static struct waiting *wait_at(struct finisher *f, size_t i)
{
    return &f->wait[(f->wait_head + i) % WAITING_MAX];
}

static int drain(struct finisher *f)
{
    while (f->wait_n && wait_at(f, 0)->ready) {
        struct waiting *w = wait_at(f, 0);
        int e = level_add(f, sm_buf_span(&w->rec), w->kept);
        if (e < 0)
            return e;
        if (w->rec.cap > 4096)
            sm_buf_wipe(&w->rec);
        f->wait_head = (f->wait_head + 1) % WAITING_MAX;
        f->wait_n--;
    }
    return 0;
}

/* Append a record in order; ready: it is complete. */
static int enqueue(struct finisher *f, struct sm_span raw, bool ready, bool kept, const struct event *ev)
{
    if (ready && f->wait_n == 0)
        return level_add(f, raw, kept);
    if (f->wait_n == WAITING_MAX)
        return -SM_ELIMIT;
    struct waiting *w = wait_at(f, f->wait_n);
    sm_buf_clear(&w->rec);
    int e = sm_buf_put_span(&w->rec, raw);
    if (e < 0)
        return e;
    w->ready = ready;
    w->kept = kept;
    w->group = ev->group;
    w->offset = ev->offset;
    w->length = ev->length;
    f->wait_n++;
    return 0;
}

/* The record in raw with its stream, to f->rec. */
static int with_stream(struct finisher *f, struct sm_span raw, uint8_t layout, uint64_t size, const struct part *parts,
    size_t nparts, const struct chunk_key *keys, size_t nkeys, uint64_t shared_plain)
{
    struct tree_record rec;
    int e = tree_record_parse(raw, &rec);
    if (e < 0)
        return e;
    rec.has_stream = true;
    rec.shared_plain = shared_plain;
    rec.stream = (struct tree_stream){ .size = size, .layout = layout, .nparts = (uint32_t)nparts };
    sm_buf_clear(&f->item);
    if (layout != LAYOUT_NONE) {
        rec.stream.envelope = f->r->envelope;
        rec.stream.counter = ++f->r->counter;
        e = item_seal(f->ctx, &f->r->k_item, rec.stream.counter, &rec.stream.envelope, layout, parts, nparts, keys,
            nkeys, &f->item);
        rec.stream.item = sm_buf_span(&f->item);
    }
    sm_buf_clear(&f->rec);
    return e < 0 ? e : tree_record_put(&f->rec, &rec, parts);
}

static int add_job(struct finisher *f, struct event *ev)
{
    struct cid known;
    struct backup_counts *c = &f->r->done;
    if (ev->known || run_known(f->r, ev->look, &known))
        return 0;
    c->chunks_new++;
    c->bytes_new_plain += ev->plain.n;
    c->bytes_new_stored += ev->sealed_n;
    c->new_files_plain += ev->fresh ? ev->plain.n : 0;
    c->new_files_stored += ev->fresh ? ev->sealed_n : 0;
    return out_add(f->r, ev->type, ev->look, &ev->info.cid, SM_SPAN(ev->sealed, ev->sealed_n));
}

static int on_group(struct finisher *f, struct event *ev)
{
    int e = add_job(f, ev);
    for (size_t i = 0; e == 0 && i < f->wait_n; i++) {
        struct waiting *w = wait_at(f, i);
        if (w->ready || w->group != ev->group)
            continue;
        struct part p = { .cid = ev->info.cid, .offset = w->offset, .length = w->length };
        e = with_stream(f, sm_buf_span(&w->rec), LAYOUT_CHUNKS, w->length, &p, 1, &ev->info.ck, 1, ev->plain.n);
        if (e < 0)
            break;
        sm_buf_clear(&w->rec);
        e = sm_buf_put_span(&w->rec, sm_buf_span(&f->rec));
        w->ready = true;
    }
    return e < 0 ? e : drain(f);
}

static int on_chunk(struct finisher *f, struct event *ev)
{
    struct cid before;
    /* Sealed twice at the same time: the first one's name counts. */
    if (!ev->known && run_known(f->r, ev->look, &before)) {
        ev->info.cid = before;
        ev->known = true;
    }
    int e = add_job(f, ev);
    struct part p = { .cid = ev->info.cid, .length = ev->plain.n };
    return e < 0 ? e : stream_add(f->stream, &p, &ev->info.ck);
}

static bool same_parts(const struct tree_record *old, const struct stream_result *s)
{
    struct part *p = calloc(old->stream.nparts + 1, sizeof *p);
    bool same = p && old->stream.layout == s->layout && old->stream.nparts == s->nparts;
    if (p)
        tree_parts(&old->stream, p);
    for (size_t i = 0; same && i < s->nparts; i++)
        same = cid_eq(&p[i].cid, &s->parts[i].cid);
    free(p);
    return same;
}

static int on_file(struct finisher *f, struct event *ev)
{
    struct stream_result s;
    struct tree_record old;
    int e = stream_finish(f->stream, &s);
    if (e == 0 && ev->rec2.n && tree_record_parse(sm_buf_span(&ev->rec2), &old) == 0)
        f->r->done.canaries_changed += !same_parts(&old, &s);
    if (e == 0) /* an all-hole stream has no parts, but a size */
        e = with_stream(f, sm_buf_span(&ev->rec), s.layout, s.layout == LAYOUT_NONE ? ev->length : s.size, s.parts,
            s.nparts, s.keys, s.nkeys, 0);
    if (e == 0)
        e = enqueue(f, sm_buf_span(&f->rec), true, false, ev);
    stream_reset(f->stream);
    return e;
}

static void level_reset(struct level *l)
{
    l->building = false;
    sm_buf_clear(&l->kept);
    sm_buf_clear(&l->pages);
    sm_buf_clear(&l->keys);
    l->uses = 0;
}

static int on_enter(struct finisher *f, struct event *ev)
{
    if (f->wait_n)
        return -SM_ESTATE;
    int e = tree_put(f->r->new, sm_buf_span(&ev->rec));
    f->depth++;
    level_reset(now(f));
    return e;
}

/* The pages of the folder that ends, and its item, as the record raw with its stream in f->rec. */
static int folder_stream(struct finisher *f, struct sm_span raw)
{
    struct level *l = now(f);
    size_t pages = 0;
    int e = l->building ? 0 : level_build(f);
    if (e == 0)
        e = dirpage_finish(l->builder, &pages);
    if (e < 0)
        return e;
    const struct part *p = (const struct part *)(const void *)l->pages.p;
    const struct chunk_key *k = (const struct chunk_key *)(const void *)l->keys.p;
    size_t n = l->pages.n / sizeof *p;
    return with_stream(f, raw, n ? LAYOUT_DIRPAGES : LAYOUT_NONE, 0, p, n, k, n, 0);
}

/* An untouched folder: its pages are those of the last generation, and so is its item. */
static int folder_same(struct finisher *f, struct event *ev, bool *ret_same)
{
    struct tree_record rec, old;
    int e = tree_record_parse(sm_buf_span(&ev->rec), &rec);
    if (e == 0)
        e = tree_record_parse(sm_buf_span(&ev->rec2), &old);
    if (e < 0)
        return e;
    *ret_same = sm_span_eq(rec.meta, old.meta);
    rec.has_stream = true;
    rec.stream = old.stream;
    if (old.stream.layout != LAYOUT_NONE)
        tree_parts(&old.stream, f->parts);
    sm_buf_clear(&f->rec);
    return tree_record_put(&f->rec, &rec, f->parts);
}

static int on_leave(struct finisher *f, struct event *ev)
{
    bool same = false;
    if (f->wait_n || f->depth == 0)
        return -SM_ESTATE;
    bool untouched = !now(f)->building && ev->intact;
    int e = untouched ? folder_same(f, ev, &same) : folder_stream(f, sm_buf_span(&ev->rec));
    for (size_t i = 0; e == 0 && i < now(f)->uses; i++)
        if (now(f)->use[i].live * 2 < now(f)->use[i].plain)
            tree_recut(f->r->new, &now(f)->use[i].cid);
    if (e < 0)
        return e;
    f->depth--;
    return level_add(f, sm_buf_span(&f->rec), same);
}

static int on_other(struct finisher *f, struct event *ev)
{
    return enqueue(f, sm_buf_span(&ev->rec), true, false, ev);
}

static int on_end(struct finisher *f)
{
    struct level *l = now(f);
    struct run *r = f->r;
    size_t pages = 0;
    if (f->wait_n || f->depth)
        return -SM_ESTATE;
    int e = l->building ? dirpage_finish(l->builder, &pages) : 0;
    size_t n = l->pages.n / sizeof(struct part);
    if (e < 0 || n == 0)
        return e < 0 ? e : -SM_ENOTFOUND; /* not one root could be looked at */
    if (n > MANIFEST_ROOTS_MAX)
        return -SM_ELIMIT;
    const struct part *p = (const struct part *)(const void *)l->pages.p;
    for (size_t i = 0; i < n; i++)
        r->roots[i] = p[i].cid;
    r->roots_n = n;
    r->root_counter = ++r->counter;
    sm_buf_clear(&r->root_item);
    e = item_seal(f->ctx, &r->k_item, r->root_counter, &r->envelope, LAYOUT_DIRPAGES, p, n,
        (const struct chunk_key *)(const void *)l->keys.p, n, &r->root_item);
    return e < 0 ? e : out_flush(r);
}

static int take(struct finisher *f, struct event *ev)
{
    switch (ev->kind) {
    case EV_ENTER: return on_enter(f, ev);
    case EV_KEEP: return enqueue(f, sm_buf_span(&ev->rec), true, true, ev);
    case EV_OTHER: return on_other(f, ev);
    case EV_MEMBER: return enqueue(f, sm_buf_span(&ev->rec), false, false, ev);
    case EV_GROUP: return on_group(f, ev);
    case EV_CHUNK: return on_chunk(f, ev);
    case EV_HOLE: {
        struct part hole = { .hole = true, .length = ev->length };
        return stream_add(f->stream, &hole, NULL);
    }
    case EV_DROP: stream_reset(f->stream); return 0;
    case EV_FILE: return on_file(f, ev);
    case EV_LEAVE: return on_leave(f, ev);
    case EV_END: return on_end(f);
    default: return -SM_ESTATE;
    }
}

static int finisher_run(struct finisher *f)
{
    for (;;) {
        struct event *ev = pipe_front(f->r->pipe);
        if (!ev)
            return -ECANCELED;
        bool end = ev->kind == EV_END;
        int e = take(f, ev);
        if (e < 0)
            return e;
        pipe_pop(f->r->pipe);
        if (end)
            return 0;
    }
}

static int finisher_init(struct finisher *f)
{
    for (size_t i = 0; i < sizeof f->level / sizeof *f->level; i++)
        f->level[i].keys.max = f->level[i].pages.max = (size_t)16 << 20;
    f->parts = malloc(VAULT_PARTS_MAX * sizeof *f->parts);
    f->wait = calloc(WAITING_MAX, sizeof *f->wait);
    if (!f->parts || !f->wait)
        return -ENOMEM;
    int e = seal_ctx_new(&f->ctx);
    return e < 0 ? e : stream_builder_new(f->ctx, &f->r->keys, on_streampage, f, &f->stream);
}

static void finisher_free(struct finisher *f)
{
    for (size_t i = 0; i < sizeof f->level / sizeof *f->level; i++) {
        struct level *l = &f->level[i];
        dirpage_builder_free(l->builder);
        sm_buf_wipe(&l->kept);
        sm_buf_wipe(&l->pages);
        sm_buf_wipe(&l->keys);
        free(l->use);
    }
    for (size_t i = 0; f->wait && i < WAITING_MAX; i++)
        sm_buf_wipe(&f->wait[i].rec);
    free(f->wait);
    free(f->parts);
    sm_buf_wipe(&f->item);
    sm_buf_wipe(&f->rec);
    stream_builder_free(f->stream);
    seal_ctx_free(f->ctx);
    free(f);
}

void *run_finisher(void *arg)
{
    struct run *r = arg;
    struct finisher *f = calloc(1, sizeof *f);
    int e = f ? 0 : -ENOMEM;
    if (f) {
        f->r = r;
        e = finisher_init(f);
        e = e < 0 ? e : finisher_run(f);
        finisher_free(f);
    }
    if (e < 0)
        pipe_fail(r->pipe, e);
    pthread_mutex_lock(&r->send_lock);
    r->finished = true;
    pthread_cond_signal(&r->send_work);
    pthread_mutex_unlock(&r->send_lock);
    return NULL;
}
