#include <errno.h>
#include "vault/restore/restore_internal.h"

#define SEEN_SLOTS (RESTORE_LINKS_MAX * 2)
#define SMALL_PART 65536u  /* parts up to this may come from a shared chunk ... */
#define SHARED_GUESS 131072u /* ... of about this size */
#define ROOTS_BYTES ((size_t)1 << 20)

/* ---- objects for the reader ---- */

struct one { struct sm_buf *to; int err; };

static void on_one(void *arg, size_t i, int err, struct sm_span sealed)
{
    struct one *o = arg;
    (void)i;
    o->err = err < 0 ? err : sm_buf_put_span(o->to, sealed);
}

int plan_get(void *arg, const struct cid *cid, uint8_t type, struct sm_buf *ret)
{
    struct restore *r = arg;
    (void)type;
    for (size_t i = 0; i < AHEAD_PAGES && i < r->ahead_next; i++) {
        struct ahead_page *p = &r->ahead[i];
        if (!p->used || !cid_eq(&p->cid, cid))
            continue;
        int e = p->err < 0 ? p->err : sm_buf_put_span(ret, sm_buf_span(&p->sealed));
        r->ahead_bytes -= p->sealed.n;
        sm_buf_wipe(&p->sealed);
        p->used = false;
        return e;
    }
    struct one o = { .to = ret, .err = -SM_EMISSING };
    int e = restore_get(r, cid, 1, on_one, &o);
    return e < 0 ? e : o.err;
}

int plan_file_key(void *arg, const struct cid *envelope, struct file_key *ret)
{
    struct restore *r = arg;
    pthread_mutex_lock(&r->source_lock);
    int e = r->source->file_key(r->source->arg, envelope, ret);
    pthread_mutex_unlock(&r->source_lock);
    return e;
}

/* ---- folder pages fetched ahead ---- */

struct gather { struct restore *r; struct cid cid[RESTORE_GET_MAX]; size_t n, first; };

static bool is_ahead(const struct restore *r, const struct cid *c)
{
    for (size_t i = 0; i < r->ahead_next; i++)
        if (r->ahead[i].used && cid_eq(&r->ahead[i].cid, c))
            return true;
    return false;
}

/* The first page of every folder in this one: their names stand in the clear of the page. */
static int gather_child(void *arg, const struct reader_node *n)
{
    struct gather *g = arg;
    struct stream_view s;
    struct part p;
    if (n->e.kind != ENTRY_DIR || n->e.nstreams == 0 || stream_at(&n->e, 0, &s) < 0 || s.layout != LAYOUT_DIRPAGES)
        return 0;
    if (g->first > 0) {
        g->first--;
        return 0;
    }
    if (s.nparts > 1)
        return 0; /* large: fetched when it is its turn */
    parts_decode(s.parts_raw, &s.refs, 1, &p);
    if (!is_ahead(g->r, &p.cid))
        g->cid[g->n++] = p.cid;
    return g->n == RESTORE_GET_MAX ? -SM_EEXISTS : 0;
}

static void on_ahead(void *arg, size_t i, int err, struct sm_span sealed)
{
    struct gather *g = arg;
    struct restore *r = g->r;
    size_t at = 0;
    if (r->ahead_bytes + sealed.n > RESTORE_AHEAD_BYTES)
        return;
    while (at < r->ahead_next && r->ahead[at].used)
        at++;
    if (at == AHEAD_PAGES)
        return;
    struct ahead_page *p = &r->ahead[at];
    *p = (struct ahead_page){ .cid = g->cid[i], .err = err };
    if (err == 0 && sm_buf_put_span(&p->sealed, sealed) < 0)
        return; /* then it is fetched alone */
    p->used = true;
    r->ahead_bytes += p->sealed.n;
    r->ahead_next += at == r->ahead_next;
}

/* Fetch the pages of the folders in dir in one go: alone, each would cost a round trip. */
static int fetch_ahead(struct restore *r, const struct reader_node *dir)
{
    struct gather *g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    g->r = r;
    int e = reader_list_node(r->reader, dir, gather_child, g);
    if (e == -SM_EEXISTS || e == 0) {
        e = g->n > 1 ? restore_get(r, g->cid, g->n, on_ahead, g) : 0;
    }
    free(g);
    return e;
}

/* ---- batches ---- */

static int batch_begin(struct restore *r)
{
    struct batch *b = ring_get(r, STAGE_PLAN);
    if (!b)
        return restore_error(r);
    sm_buf_clear(&b->ops);
    sm_buf_clear(&b->arena);
    sm_buf_clear(&b->plain);
    b->chunks = 0;
    b->bytes = 0;
    b->last = false;
    r->b = b;
    return 0;
}

static int batch_send(struct restore *r, bool last)
{
    r->b->last = last;
    ring_done(r, STAGE_PLAN);
    if (restore_cancelled(r))
        return -SM_ECANCEL;
    restore_progress_tell(r);
    return last ? 0 : batch_begin(r);
}

/* Room for one more op with so many bytes beside it: a new batch when this one is full. */
static int op_room(struct restore *r, size_t bytes)
{
    const struct batch *b = r->b;
    bool full = b->ops.n / sizeof(struct op) >= BATCH_OPS || b->arena.n + bytes + 1 > BATCH_ARENA;
    return full ? batch_send(r, false) : 0;
}

static int op_put(struct restore *r, struct op *o, struct sm_span name, struct sm_span meta)
{
    int room = op_room(r, name.n + meta.n);
    if (room < 0)
        return room;
    struct batch *b = r->b;
    o->name_at = (uint32_t)b->arena.n;
    o->name_n = (uint32_t)name.n;
    int e = sm_buf_put_span(&b->arena, name);
    e = e < 0 ? e : sm_buf_put_u8(&b->arena, 0);
    o->meta_at = (uint32_t)b->arena.n;
    o->meta_n = (uint32_t)meta.n;
    e = e < 0 ? e : sm_buf_put_span(&b->arena, meta);
    return e < 0 ? e : sm_buf_put(&b->ops, o, sizeof *o);
}

/* The chunk's number in the batch; a new batch when it does not fit. */
static int chunk_of(struct restore *r, const struct reader_part *p)
{
    struct batch *b = r->b;
    for (size_t i = b->chunks, tries = 4; i > 0 && tries > 0; i--, tries--)
        if (cid_eq(&b->chunk[i - 1].cid, &p->cid))
            return (int)(i - 1);
    uint64_t guess = p->chunk_offset + p->length;
    if (p->length <= SMALL_PART && guess < SHARED_GUESS)
        guess = SHARED_GUESS;
    if (b->chunks == BATCH_CHUNKS || (b->chunks && b->bytes + guess > RESTORE_BATCH_BYTES)) {
        int e = batch_send(r, false);
        if (e < 0)
            return e;
        b = r->b;
    }
    b->bytes += guess;
    b->chunk[b->chunks] = (struct batch_chunk){ .cid = p->cid, .ck = p->ck };
    return (int)b->chunks++;
}

static int on_part(void *arg, const struct reader_part *p)
{
    struct restore *r = arg;
    struct op o = { .kind = OP_PART, .chunk = -1, .offset = p->chunk_offset, .length = p->length, .size = p->file_offset };
    /* A chunk's number counts in its batch only, so the batch may not end between taking the number and putting the op. */
    int e = op_room(r, 0);
    if (e == 0 && !p->hole) {
        e = chunk_of(r, p);
        o.chunk = e;
    }
    return e < 0 ? e : op_put(r, &o, SM_SPAN(NULL, 0), SM_SPAN(NULL, 0));
}

/* ---- entries ---- */

static bool group_seen(struct restore *r, uint64_t group)
{
    if (!r->seen_group && !(r->seen_group = calloc(SEEN_SLOTS, sizeof *r->seen_group)))
        return false;
    uint64_t key = group ? group : 1;
    size_t i = (size_t)(key * 0x9e3779b97f4a7c15) & (SEEN_SLOTS - 1);
    while (r->seen_group[i] && r->seen_group[i] != key)
        i = (i + 1) & (SEEN_SLOTS - 1);
    if (r->seen_group[i])
        return true;
    if (r->seen_n < RESTORE_LINKS_MAX) {
        r->seen_group[i] = key;
        r->seen_n++;
    }
    return false;
}

/* Errors that end the whole restore; all others belong to one entry. */
static bool is_fatal(struct restore *r, int e)
{
    return e == -ENOMEM || e == -SM_ECANCEL || restore_error(r) != 0;
}

static int file_parts(struct restore *r, const struct reader_node *n)
{
    struct stream_view s;
    for (uint32_t i = 0; i < n->e.nstreams; i++) {
        int e = stream_at(&n->e, i, &s);
        if (e < 0)
            return e;
        if (s.kind == STREAM_MAIN)
            return s.size ? reader_parts(r->reader, n, i, on_part, r) : 0;
    }
    return 0;
}

static uint64_t main_size(const struct reader_node *n)
{
    struct stream_view s;
    for (uint32_t i = 0; i < n->e.nstreams; i++)
        if (stream_at(&n->e, i, &s) == 0 && s.kind == STREAM_MAIN)
            return s.size;
    return 0;
}

/* content: where the bytes are, the entry itself or the first name of its link group. */
static int plan_file(struct restore *r, const struct reader_node *n, const struct reader_node *content,
    const struct meta_extra *x)
{
    struct op o = { .kind = OP_BEGIN, .entry_kind = n->e.kind, .size = main_size(content), .group = x->link_group,
        .flags = (uint8_t)((x->has_link ? OPF_LINK : 0) | (r->resuming ? OPF_DONE : 0)) };
    if (r->resuming && sm_span_eq(sm_buf_span(&r->path), sm_buf_span(&r->resume_at)))
        r->resuming = false;
    int e = op_put(r, &o, n->e.name, n->e.meta);
    if (e < 0)
        return e;
    int got = o.flags & OPF_DONE ? 0 : file_parts(r, content);
    if (got < 0 && is_fatal(r, got))
        return got;
    struct op end = { .kind = OP_END, .flags = got < 0 ? OPF_BROKEN : 0, .chunk = got };
    return op_put(r, &end, SM_SPAN(NULL, 0), SM_SPAN(NULL, 0));
}

static int plan_leaf(struct restore *r, const struct reader_node *n)
{
    struct meta_extra x = { 0 };
    struct reader_node first = { 0 };
    int e = meta_extra_of(n->e.meta, &x);
    if (e < 0) {
        restore_problem(r, sm_buf_span(&r->path), e, "metadata");
        return 0;
    }
    bool seen = x.has_link && group_seen(r, x.link_group);
    struct op o = { .kind = seen ? OP_LINK : OP_OTHER, .entry_kind = n->e.kind, .group = x.link_group,
        .flags = x.has_link ? OPF_LINK : 0 };
    if ((seen && n->e.nstreams == 0) || n->e.kind != ENTRY_FILE)
        return op_put(r, &o, n->e.name, n->e.meta);
    if (!x.has_link || n->e.nstreams)
        return plan_file(r, n, n, &x);
    /* A part of the generation is restored, and the name that carries the bytes is not in it. */
    e = reader_link_source(r->reader, x.link_group, &first);
    if (e < 0 && is_fatal(r, e))
        return e;
    if (e < 0)
        restore_problem(r, sm_buf_span(&r->path), e, "link");
    else
        e = plan_file(r, n, &first, &x);
    reader_node_wipe(&first);
    return is_fatal(r, e) ? e : 0;
}

static int plan_entry(struct restore *r, const struct reader_node *n);

struct listing { struct restore *r; size_t path_n; };

static int on_child(void *arg, const struct reader_node *n)
{
    struct listing *l = arg;
    struct restore *r = l->r;
    r->path.n = l->path_n;
    int e = sm_buf_put_u8(&r->path, '/');
    if (l->path_n == 1)
        r->path.n = 1; /* the root "/" */
    e = e < 0 ? e : sm_buf_put_span(&r->path, n->e.name);
    e = e < 0 ? e : plan_entry(r, n);
    r->path.n = l->path_n;
    return e;
}

/* Recursion is bounded by the format: VAULT_DEPTH_MAX folders, which the reader checks by its own limits too. */
static int plan_dir(struct restore *r, const struct reader_node *n, unsigned depth)
{
    struct op o = { .kind = OP_ENTER, .entry_kind = n->e.kind };
    struct listing l = { .r = r, .path_n = r->path.n };
    int e = op_put(r, &o, n->e.name, n->e.meta);
    if (e < 0)
        return e;
    int got = depth > VAULT_DEPTH_MAX ? -SM_ELIMIT : fetch_ahead(r, n);
    if (got == 0)
        got = reader_list_node(r->reader, n, on_child, &l);
    r->path.n = l.path_n;
    if (got < 0 && is_fatal(r, got))
        return got;
    if (got < 0)
        restore_problem(r, sm_buf_span(&r->path), got, "folder");
    struct op end = { .kind = OP_LEAVE, .entry_kind = n->e.kind, .flags = got < 0 ? OPF_BROKEN : 0 };
    return op_put(r, &end, n->e.name, n->e.meta);
}

static unsigned depth_of(const struct restore *r)
{
    unsigned n = 0;
    for (size_t i = 0; i < r->path.n; i++)
        n += r->path.p[i] == '/';
    return n;
}

static int plan_entry(struct restore *r, const struct reader_node *n)
{
    r->found = true;
    if (n->e.kind == ENTRY_DIR)
        return plan_dir(r, n, depth_of(r) > 4 * VAULT_DEPTH_MAX ? VAULT_DEPTH_MAX + 1 : 0);
    return plan_leaf(r, n);
}

/* ---- what is to be restored ---- */

/* Announce path, which stands in or is root, and plan it.  An entry's own name is its last part. */
static int plan_top(struct restore *r, struct sm_span path, struct sm_span root, const struct reader_node *n)
{
    size_t cut = path.n;
    while (cut > 0 && path.p[cut - 1] != '/')
        cut--;
    struct op o = { .kind = OP_ROOT, .size = root.n };
    sm_buf_clear(&r->path);
    int e = op_put(r, &o, SM_SPAN(path.p, path.n == 1 ? 1 : cut), root);
    e = e < 0 ? e : sm_buf_put_span(&r->path, path);
    if (e < 0)
        return e;
    /* A root's name is a whole path; below the folder it stands in it is the last part of it. */
    struct reader_node named = *n;
    named.e.name = path.n == 1 ? SM_SPAN(".", 1) : SM_SPAN(path.p + cut, path.n - cut);
    return plan_entry(r, &named);
}

struct roots { struct sm_buf names; };

static int on_root(void *arg, const struct reader_node *n)
{
    struct roots *t = arg;
    return sm_buf_put_blob(&t->names, n->e.name);
}

/* The longest root that is path or above it; empty if there is none. */
static struct sm_span root_above(const struct roots *t, struct sm_span path)
{
    struct sm_rd rd = SM_RD(sm_buf_span(&t->names));
    struct sm_span best = { 0 };
    while (rd.n && !rd.err) {
        struct sm_span s = sm_rd_blob(&rd, VAULT_NAME_MAX);
        bool above = s.n <= path.n && memcmp(s.p, path.p, s.n) == 0 && (s.n == path.n || s.n == 1 || path.p[s.n] == '/');
        if (above && s.n > best.n)
            best = s;
    }
    return best;
}

static int plan_path(struct restore *r, const struct roots *t, struct sm_span path)
{
    struct reader_node n = { 0 };
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    struct sm_span root = root_above(t, path);
    int e = root.n ? reader_stat(r->reader, path, &n) : -SM_ENOTFOUND;
    if (e == 0)
        e = plan_top(r, path, root, &n);
    else if (!is_fatal(r, e)) {
        restore_problem(r, path, e, "path");
        e = 0;
    }
    reader_node_wipe(&n);
    return e;
}

static int plan_all(struct restore *r, const struct roots *t)
{
    struct sm_rd rd = SM_RD(sm_buf_span(&t->names));
    int e = 0;
    if (r->c->paths_n == 0)
        while (e == 0 && rd.n && !rd.err)
            e = plan_path(r, t, sm_rd_blob(&rd, VAULT_NAME_MAX));
    for (size_t i = 0; e == 0 && i < r->c->paths_n; i++)
        e = plan_path(r, t, r->c->paths[i]);
    return e;
}

int plan_run(struct restore *r)
{
    struct roots t = { .names = SM_BUF_INIT(ROOTS_BYTES) };
    int e = batch_begin(r);
    e = e < 0 ? e : fetch_ahead(r, NULL);
    e = e < 0 ? e : reader_list_node(r->reader, NULL, on_root, &t);
    e = e < 0 ? e : plan_all(r, &t);
    e = e < 0 ? e : batch_send(r, true);
    sm_buf_wipe(&t.names);
    return e;
}

void plan_wipe(struct restore *r)
{
    for (size_t i = 0; r->ahead && i < AHEAD_PAGES; i++)
        sm_buf_wipe(&r->ahead[i].sealed);
    free(r->ahead);
    r->ahead = NULL;
}
