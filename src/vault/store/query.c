#include <errno.h>
#include "crypto/many.h"
#include "plat/fs.h"
#include "vault/store/store_internal.h"

/* ---- clients ---- */

int store_client_at(const struct store *st, size_t i, struct store_client *ret)
{
    if (i >= st->client_rows.n)
        return -SM_ENOTFOUND;
    const struct client_row *c = store_client_row(st, i);
    *ret = c->c;
    ret->unclaimed_bytes = c->unclaimed;
    ret->frozen_ms = c->freeze_ms;
    ret->quota = c->quota;
    return 0;
}

int store_client_get(const struct store *st, const struct client_id *id, struct store_client *ret)
{
    return store_client_at(st, store_find_client(st, id), ret);
}

size_t store_clients(const struct store *st)
{
    return st->client_rows.n;
}

/* ---- objects ---- */

int store_have(const struct store *st, const struct client_id *client, const struct cid *cid, struct store_place *ret)
{
    uint32_t c = store_find_client(st, client);
    struct place p;
    if (c == STORE_NONE || !place_find(st, c, cid, &p))
        return 0;
    if (ret)
        *ret = (struct store_place){ store_pack_row(st, p.pack)->id, p.offset, p.length, p.type, p.pack };
    return 1;
}

int store_object(const struct store *st, const struct client_id *client, const struct cid *cid, struct sm_buf *ret)
{
    uint32_t c = store_find_client(st, client);
    struct place p;
    if (c == STORE_NONE || !place_find(st, c, cid, &p))
        return -SM_ENOTFOUND;
    struct reader r = READER_INIT;
    int err = reader_object(st, &r, cid, &p, ret);
    store_reader_close(&r);
    return err == -SM_EPARTIAL || err == -ENOENT ? -SM_ECORRUPT : err;
}

/* Appended as it stands on the disk, its name not checked. */
static int object_raw(const struct store *st, struct reader *r, uint32_t client, const struct cid *cid,
    struct sm_buf *ret)
{
    struct place p;
    if (client == STORE_NONE || !place_find(st, client, cid, &p))
        return -SM_ENOTFOUND;
    int err = reader_raw(st, r, &p, ret);
    return err == -SM_EPARTIAL || err == -ENOENT ? -SM_ECORRUPT : err;
}

/* Take the objects whose bytes are not their names out again, the last first. */
static void objects_check(struct crypto_many *many, const struct cid *cids, struct store_got *got, size_t n,
    struct sm_buf *ret)
{
    struct crypto_message m[STORE_OBJECTS_MAX];
    for (size_t i = 0; i < n; i++)
        m[i] = (struct crypto_message){ .in = SM_SPAN(ret->p + got[i].at, got[i].n) };
    crypto_many(many, m, n);
    for (size_t i = n; i-- > 0; ) {
        if (got[i].err || memcmp(m[i].ret, cids[i].b, sizeof m[i].ret) == 0)
            continue;
        size_t end = got[i].at + got[i].n;
        memmove(ret->p + got[i].at, ret->p + end, ret->n - end);
        ret->n -= got[i].n;
        for (size_t k = i + 1; k < n; k++)
            got[k].at -= got[i].n;
        got[i] = (struct store_got){ .err = -SM_ECORRUPT, .at = got[i].at };
    }
}

int store_objects(const struct store *st, const struct client_id *client, const struct cid *cids, size_t n,
    struct crypto_many *many, size_t gap, size_t enough, struct sm_buf *ret, struct store_got *got, size_t *ret_n)
{
    uint32_t c = store_find_client(st, client);
    struct reader r = READER_INIT;
    size_t k = 0;
    int err = 0;
    for (; !err && k < n && k < STORE_OBJECTS_MAX && ret->n <= enough; k++) {
        err = sm_buf_reserve(ret, gap);
        if (err)
            break;
        memset(ret->p + ret->n, 0, gap);
        ret->n += gap;
        got[k] = (struct store_got){ .at = ret->n };
        got[k].err = object_raw(st, &r, c, &cids[k], ret);
        got[k].n = ret->n - got[k].at;
        if (got[k].err == -ENOMEM || got[k].err == -SM_ELIMIT)
            err = got[k].err;
    }
    store_reader_close(&r);
    if (err)
        return err;
    objects_check(many, cids, got, k, ret);
    *ret_n = k;
    return 0;
}

/* A generation that is not gone. */
static uint32_t generation_at(const struct store *st, const struct cid *manifest)
{
    uint32_t at = store_find_generation(st, manifest);
    return at != STORE_NONE && store_generation_row(st, at)->gone ? STORE_NONE : at;
}

int store_manifest(const struct store *st, const struct cid *manifest, struct sm_buf *ret)
{
    char hex[CID_HEX], name[80];
    if (generation_at(st, manifest) == STORE_NONE)
        return -SM_ENOTFOUND;
    cid_hex(manifest, hex);
    (void)snprintf(name, sizeof name, "%s.skm", hex); /* fits */
    struct sm_buf b = SM_BUF_INIT(MANIFEST_MAX + 4096);
    struct cid is;
    int err = plat_fs_read_file(st->manifests, name, MANIFEST_MAX, &b);
    if (err == -ENOENT || err == -SM_ELIMIT)
        err = -SM_ECORRUPT;               /* the journal says it was here */
    if (!err) {
        manifest_id(sm_buf_span(&b), &is);
        err = cid_eq(&is, manifest) ? sm_buf_put_span(ret, sm_buf_span(&b)) : -SM_ECORRUPT;
    }
    sm_buf_wipe(&b);
    return err;
}

/* ---- closure ---- */

struct closure {
    const struct store *st;
    uint32_t client;
    bool chunks;
    store_object_fn fn; void *arg;
    struct rows seen; struct idmap seen_map;
    struct reader reader;
    struct rows stack;                    /* pages still to be read, of all levels */
};

static int closure_first(struct closure *c, const struct cid *cid, bool *ret)
{
    *ret = idmap_get(&c->seen_map, c->seen.p, sizeof(struct cid), cid->b) == STORE_NONE;
    if (!*ret)
        return 0;
    struct cid *row = rows_next(&c->seen, sizeof *row, STORE_PAGES_MAX);
    if (!row)
        return c->seen.n >= STORE_PAGES_MAX ? -SM_ELIMIT : -ENOMEM;
    *row = *cid;
    int err = idmap_add(&c->seen_map, c->seen.p, sizeof *row, c->seen.n);
    c->seen.n += !err;
    return err;
}

static int closure_object(struct closure *c, const struct cid *cid)
{
    struct place p;
    if (!place_find(c->st, c->client, cid, &p))
        return -SM_EMISSING;
    bool chunk = obj_is_chunk(p.type), first = true;
    int err = chunk ? 0 : closure_first(c, cid, &first);
    if (err || !first || (chunk && !c->chunks))
        return err;
    struct store_place place = { store_pack_row(c->st, p.pack)->id, p.offset, p.length, p.type, p.pack };
    err = c->fn(c->arg, cid, &place);
    if (err || (p.type != OBJ_DIRPAGE && p.type != OBJ_STREAMPAGE))
        return err;
    struct cid *row = rows_next(&c->stack, sizeof *row, STORE_PAGES_MAX);
    if (!row)
        return -ENOMEM;
    *row = *cid;
    c->stack.n++;
    return 0;
}

static int closure_page(struct closure *c, const struct cid *page)
{
    struct sm_buf sealed = SM_BUF_INIT(PAGE_SEALED_MAX);
    struct page_refs refs = { 0 };
    struct place p;
    int err = place_find(c->st, c->client, page, &p) ? reader_object(c->st, &c->reader, page, &p, &sealed) :
        -SM_EMISSING;
    if (!err && page_refs(sm_buf_span(&sealed), &store_client_row(c->st, c->client)->c.id, &refs))
        err = -SM_ECORRUPT;
    for (uint32_t i = 0; !err && i < refs.n; i++)
        err = closure_object(c, &refs.ref[i]);
    sm_buf_wipe(&sealed);
    return err == -SM_EPARTIAL || err == -ENOENT ? -SM_ECORRUPT : err;
}

int store_closure(const struct store *st, const struct cid *manifest, bool with_chunks, store_object_fn fn, void *arg)
{
    uint32_t at = generation_at(st, manifest);
    if (at == STORE_NONE)
        return -SM_ENOTFOUND;
    struct closure c = { .st = st, .client = store_generation_row(st, at)->client, .chunks = with_chunks, .fn = fn,
        .arg = arg,
        .reader = READER_INIT };
    struct sm_buf bytes = SM_BUF_INIT(MANIFEST_MAX + 4096);
    struct manifest m = { 0 };
    int err = store_manifest(st, manifest, &bytes);
    if (!err && manifest_parse(sm_buf_span(&bytes), &m))
        err = -SM_ECORRUPT;
    if (!err)
        err = closure_object(&c, &m.envelope);
    for (size_t i = 0; !err && i < m.nroots; i++)
        err = closure_object(&c, &m.roots[i]);
    while (!err && c.stack.n) {
        struct cid page = ((struct cid *)c.stack.p)[--c.stack.n];
        err = closure_page(&c, &page);
    }
    sm_buf_wipe(&bytes);
    store_reader_close(&c.reader);
    free(c.seen.p);
    free(c.stack.p);
    idmap_wipe(&c.seen_map);
    return err;
}

static int put_envelope(void *arg, const struct cid *cid, const struct store_place *place)
{
    return place->type == OBJ_ENVELOPE ? sm_buf_put(arg, cid->b, 32) : 0;
}

int store_envelopes(const struct store *st, const struct cid *manifest, struct sm_buf *ret_cids)
{
    size_t before = ret_cids->n;
    int err = store_closure(st, manifest, false, put_envelope, ret_cids);
    if (err)
        ret_cids->n = before;
    return err;
}

/* ---- generations ---- */

static void generation_out(const struct store *st, const struct generation_row *g, struct store_generation *ret)
{
    *ret = (struct store_generation){
        .manifest = g->manifest, .client = store_client_row(st, g->client)->c.id,
            .source = store_source_row(st, g->source)->id,
        .number = g->number, .seq = g->seq, .time = g->time, .running_ms = g->running_ms, .started_s = g->started_s,
        .finished_s = g->finished_s, .run = g->run, .status = g->status, .measures = g->m, .score = g->score,
        .suspicious = generation_suspicious(g), .pinned = g->pinned, .slots = g->slots,
            .locked_until_ms = g->locked_until_ms,
        .damaged = g->damaged,
    };
}

size_t store_generations(const struct store *st, const struct store_query *q, struct store_generation *ret,
    size_t limit)
{
    uint32_t client = q->client ? store_find_client(st, q->client) : STORE_NONE;
    if (q->client && client == STORE_NONE)
        return 0;
    size_t n = 0;
    for (size_t i = st->generation_rows.n; i > 0 && n < limit; i--) {
        const struct generation_row *g = store_generation_row(st, i - 1);
        if (g->gone || (q->before_seq && g->seq >= q->before_seq) || (q->client && g->client != client) ||
            (q->source && memcmp(store_source_row(st, g->source)->id.b, q->source->b, 16) != 0))
            continue;
        generation_out(st, g, &ret[n++]);
    }
    return n;
}

int store_generation(const struct store *st, const struct cid *manifest, struct store_generation *ret)
{
    uint32_t at = generation_at(st, manifest);
    if (at == STORE_NONE)
        return -SM_ENOTFOUND;
    generation_out(st, store_generation_row(st, at), ret);
    return 0;
}

/* Once: what is not there now is not asked for with every list. */
static void facts_read(struct store *st, struct generation_row *g)
{
    struct sm_buf raw = SM_BUF_INIT(MANIFEST_MAX + 4096);
    struct manifest m;
    struct suspicion_facts f;
    g->facts = FACTS_NONE;
    if (store_manifest(st, &g->manifest, &raw) == 0 && manifest_parse(sm_buf_span(&raw), &m) == 0 && m.facts.n &&
        suspicion_facts_parse(m.facts, &f) == 0) {
        g->files = f.files;
        g->bytes = f.bytes;
        g->facts = FACTS_KNOWN;
    }
    sm_buf_wipe(&raw);
}

int store_facts(struct store *st, const struct cid *manifest, uint64_t *ret_files, uint64_t *ret_bytes)
{
    uint32_t at = generation_at(st, manifest);
    struct generation_row *g = at == STORE_NONE ? NULL : store_generation_row(st, at);
    if (g && g->facts == FACTS_UNREAD)
        facts_read(st, g);
    if (!g || g->facts != FACTS_KNOWN)
        return -SM_ENOTFOUND;
    *ret_files = g->files;
    *ret_bytes = g->bytes;
    return 0;
}

int store_last_clean(const struct store *st, const struct client_id *client, const struct source_id *source,
    struct store_generation *ret)
{
    uint32_t c = store_find_client(st, client), s = c == STORE_NONE ? c : store_find_source(st, c, source);
    uint32_t g = s == STORE_NONE ? s : store_source_row(st, s)->last;
    for (; g != STORE_NONE; g = store_generation_row(st, g)->previous) {
        const struct generation_row *row = store_generation_row(st, g);
        if (row->status == RUN_COMPLETE && !generation_suspicious(row) && !row->damaged && !row->gone) {
            generation_out(st, row, ret);
            return 0;
        }
    }
    return -SM_ENOTFOUND;
}

static int parse_payload(void *arg, const struct journal_record *r)
{
    int err = sm_json_parse(r->payload, JOURNAL_RECORD_MAX, arg, NULL);
    return err ? err : 1;
}

int store_generation_json(const struct store *st, const struct cid *manifest, json_t **ret)
{
    uint32_t at = store_find_generation(st, manifest);
    if (at == STORE_NONE)
        return -SM_ENOTFOUND;
    json_t *v = NULL;
    if (!st->journal)
        return -SM_ESTATE;
    int err = journal_each(st->journal, store_generation_row(st, at)->seq, parse_payload, &v, NULL);
    if (err != 1)
        return err ? err : -SM_ECORRUPT;
    *ret = v;
    return 0;
}

/* ---- records, totals ---- */

int store_log(const struct store *st, uint64_t before_seq, uint32_t types_mask, size_t limit, journal_fn fn, void *arg)
{
    return !st->journal ? -SM_ESTATE : journal_latest(st->journal, before_seq, types_mask, limit, fn, arg);
}

const struct journal *store_journal(const struct store *st)
{
    return st->journal;
}

int store_totals(const struct store *st, struct store_totals *ret)
{
    struct plat_fs_space space;
    int err = plat_fs_space(st->dir, ".", &space);
    if (err)
        return err;
    *ret = (struct store_totals){ .clients = st->client_rows.n,
        .generations = st->generation_rows.n - st->deletion.generations_gone,
        .packs = st->pack_rows.n - st->deletion.packs_gone,
        .pack_bytes = st->pack_bytes, .objects = st->objects, .disk_total = space.total_bytes,
            .disk_avail = space.avail_bytes,
        .reserve = st->limits.reserve_bytes, .index_memory = index_memory(st->index) + index_memory(st->closed) };
    return 0;
}
