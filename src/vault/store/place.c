#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"
#include "vault/store/store_internal.h"

/*
 * Where objects are, and which pages are closed.  Both are caches: each flush carries a mark (a journal head and the
 * number of
 * packs), so that what is older than the journal is caught up, and what belongs to another history is thrown away.
 */
#define MARK_BYTES 44
#define INDEX_SLACK 1000000u

static void put32(uint8_t *p, uint32_t v)
{
    for (size_t i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

static uint32_t get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

void pack_path(const struct cid *id, char ret[80])
{
    char hex[CID_HEX];
    cid_hex(id, hex);
    (void)snprintf(ret, 80, "%.2s/%s.skp", hex, hex); /* fits */
}

int place_open_pack(const struct store *st, uint32_t pack)
{
    char path[80];
    pack_path(&store_pack_row(st, pack)->id, path);
    return plat_fs_open_read(st->packs, path);
}

/* ---- marks ---- */

void place_marks(struct store *st)
{
    struct journal_head h = journal_durable(st->journal);
    uint8_t mark[MARK_BYTES];
    put64(mark, h.seq);
    memcpy(mark + 8, h.hash, 32);
    put32(mark + 40, (uint32_t)st->pack_rows.n);
    index_set_mark(st->index, SM_SPAN(mark, MARK_BYTES));
    index_set_mark(st->closed, SM_SPAN(mark, MARK_BYTES));
}

/* Does this table belong to our history, and how many packs does it cover? */
static int mark_read(const struct store *st, const struct index_table *t, bool *ret_ours, uint32_t *ret_packs)
{
    struct sm_span m = index_mark(t);
    *ret_ours = false;
    *ret_packs = 0;
    if (m.n != MARK_BYTES || !st->journal)
        return 0;
    struct journal_head h = { .seq = get64(m.p) };
    memcpy(h.hash, m.p + 8, 32);
    int is = journal_is_ancestor(st->journal, &h);
    if (is < 0)
        return is;
    *ret_packs = get32(m.p + 40);
    *ret_ours = is == 1 && *ret_packs <= st->pack_rows.n;
    return 0;
}

static int reset(struct store *st, struct index_table **t, const char *name, const struct index_config *c)
{
    if (!c->read_only)
        return index_reset(*t);
    /* Nothing may be written: an empty table that only lives in memory. */
    index_close(*t);
    *t = NULL;
    bool unsound;
    (void)name;
    return index_open(st->tmp, "none", c, t, &unsound);
}

static int open_table(struct store *st, const char *name, size_t value, struct index_table **ret, bool *ret_rebuilt,
    uint32_t *ret_packs)
{
    struct index_config c = { .key_bytes = 32, .value_bytes = value, .memory_bytes = st->limits.index_memory_bytes,
        .read_only = st->read_only };
    if (st->read_only)
        c.memory_bytes = (size_t)4 << 30;   /* grows only as far as it must; there may be no cache to lean on */
    bool unsound, ours;
    int err = index_open(st->cache, name, &c, ret, &unsound);
    if (!err)
        err = mark_read(st, *ret, &ours, ret_packs);
    if (err || ours)
        return err;
    *ret_packs = 0;
    *ret_rebuilt = unsound || index_mark(*ret).n > 0 || st->pack_rows.n > 0;
    return index_mark(*ret).n || index_rows(*ret) ? reset(st, ret, name, &c) : 0;
}

/* ---- the index ---- */

static void place_pack(const struct place *p, uint8_t v[PLACE_BYTES])
{
    put32(v, p->pack);
    put32(v + 4, p->offset);
    put32(v + 8, p->length);
    v[12] = (uint8_t)p->client;
    v[13] = (uint8_t)(p->client >> 8);
    v[14] = p->type;
    v[15] = p->algorithm;
}

int place_add(struct store *st, uint32_t pack, uint16_t client, const struct pack_object *o, size_t n,
    const uint8_t *algorithm)
{
    for (size_t i = 0; i < n; i++) {
        struct place p = { pack, (uint32_t)o[i].offset, o[i].length, o[i].type, algorithm ? algorithm[i] : 0, client };
        uint8_t v[PLACE_BYTES];
        place_pack(&p, v);
        int err = index_put(st->index, o[i].cid.b, v);
        if (err)
            return err;
    }
    return 0;
}

int place_raw(const struct store *st, const struct cid *cid, struct place *ret)
{
    uint8_t v[PLACE_BYTES];
    if (!index_get(st->index, cid->b, v))
        return 0;
    struct place p = { get32(v), get32(v + 4), get32(v + 8), v[14], v[15], (uint16_t)(v[12] | v[13] << 8) };
    if (p.pack >= st->pack_rows.n)
        return 0;
    *ret = p;
    return 1;
}

int place_find(const struct store *st, uint32_t client, const struct cid *cid, struct place *ret)
{
    struct place p;
    if (!place_raw(st, cid, &p) || (client != STORE_NONE && p.client != client))
        return 0;
    const struct pack_row *row = store_pack_row(st, p.pack);
    if (row->lost || row->gone)
        return 0;
    if (st->damaged_rows.n) {
        uint32_t at = idmap_get(&st->damaged_map, st->damaged_rows.p, sizeof(struct damaged_row), cid->b);
        /* Found damaged, and not sent again since: as good as not there. */
        if (at != STORE_NONE && ((struct damaged_row *)st->damaged_rows.p)[at].seq > row->seq)
            return 0;
    }
    *ret = p;
    return 1;
}

/* The directory of one pack into the index.  A pack that cannot be read is left out: its objects count as missing. */
static int index_pack(struct store *st, uint32_t pack)
{
    int fd = place_open_pack(st, pack);
    if (fd < 0)
        return fd == -ENOMEM || fd == -EMFILE || fd == -ENFILE ? fd : 0;
    struct sm_buf head = SM_BUF_INIT(PACK_HEADER_LEN + (size_t)PACK_OBJECTS_MAX * PACK_DIRENT_LEN);
    struct sm_buf objects = SM_BUF_INIT((size_t)PACK_OBJECTS_MAX * sizeof(struct pack_object));
    struct pack_header h;
    struct cid id;
    size_t n = PACK_HEADER_LEN + (size_t)store_pack_row(st, pack)->objects * PACK_DIRENT_LEN;
    int err = sm_buf_reserve(&head, n);
    if (!err) {
        err = plat_fs_pread_all(fd, head.p, n, 0);
        head.n = n;
        bool sound = !err && pack_head_parse(sm_buf_span(&head), &h, &id, &objects) == 0 &&
            cid_eq(&id, &store_pack_row(st, pack)->id);
        uint32_t client = sound ? store_find_client(st, &h.client) : STORE_NONE;
        err = 0;
        if (client != STORE_NONE)
            err = place_add(st, pack, (uint16_t)client, (const struct pack_object *)(const void *)objects.p,
                objects.n / sizeof(struct pack_object), NULL);
    }
    (void)close(fd); /* opened for reading */
    sm_buf_wipe(&head);
    sm_buf_wipe(&objects);
    return err;
}

int place_open(struct store *st)
{
    uint32_t covered = 0, closed_packs = 0;
    int err = open_table(st, "objects", PLACE_BYTES, &st->index, &st->recovery.index_rebuilt, &covered);
    if (!err)
        err = open_table(st, "closed", SUMS_BYTES, &st->closed, &st->recovery.closed_rebuilt, &closed_packs);
    if (err)
        return err;
    /* Damage found after the pages were closed: look at all of them again. */
    struct sm_span mark = index_mark(st->closed);
    if (mark.n == MARK_BYTES && get64(mark.p) < st->damage_seq) {
        struct index_config c = { .key_bytes = 32, .value_bytes = SUMS_BYTES, .memory_bytes = (size_t)1 << 24,
            .read_only = st->read_only };
        err = reset(st, &st->closed, "closed", &c);
    }
    /* Rows of packs that are gone are never taken out one by one: when they are most of it, it is made anew. */
    if (!err && !st->read_only && index_rows(st->index) > 2 * st->objects + INDEX_SLACK) {
        err = index_reset(st->index);
        covered = 0;
    }
    for (uint32_t i = covered; !err && i < st->pack_rows.n; i++)
        err = store_pack_row(st, i)->gone ? 0 : index_pack(st, i);
    if (!err && st->journal)
        place_marks(st);
    return err;
}

void place_close(struct store *st)
{
    if (st->index && st->closed && !st->read_only && !st->broken) {
        (void)index_flush(st->index);      /* a cache: what is not saved is caught up at the next open */
        (void)index_flush(st->closed);
    }
    index_close(st->index);
    index_close(st->closed);
    st->index = st->closed = NULL;
}

/* ---- closed pages ---- */

int closed_get(const struct store *st, const struct cid *page, struct sums *ret)
{
    uint8_t v[SUMS_BYTES];
    if (!index_get(st->closed, page->b, v))
        return 0;
    *ret = (struct sums){ get64(v), get64(v + 8), get64(v + 16), get64(v + 24), get64(v + 32), get32(v + 40) };
    return 1;
}

int closed_put(struct store *st, const struct cid *page, const struct sums *s)
{
    uint8_t v[SUMS_BYTES];
    put64(v, s->chunks);
    put64(v + 8, s->chunk_bytes);
    put64(v + 16, s->stored_bytes);
    put64(v + 24, s->pages);
    put64(v + 32, s->page_bytes);
    put32(v + 40, s->height);
    return index_put(st->closed, page->b, v);
}
