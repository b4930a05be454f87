#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"
#include "vault/store/store_internal.h"

/*
 * A vault whose journal is damaged or gone, read-only: packs prove themselves by their names and manifests by theirs,
 * so both
 * are taken from the folders.  What only the journal knew (the box's times, suspicion, marks) is not known for them.
 */
struct salvage { struct store *st; int folder; struct rows manifests; };
struct lone { struct cid id; struct manifest m; };   /* only the fixed fields of m are used: its spans are gone */

static int client_row_of(struct store *st, const struct client_id *id, uint32_t *ret)
{
    uint32_t at = store_find_client(st, id);
    if (at == STORE_NONE) {
        struct client_row *c = rows_next(&st->client_rows, sizeof *c, STORE_CLIENTS_MAX);
        if (!c)
            return -ENOMEM;
        char hex[33];
        sm_hex(id->b, 16, hex);
        c->c = (struct store_client){ .id = *id, .state = STORE_JOINED };
        (void)snprintf(c->c.name, sizeof c->c.name, "%s", hex); /* fits */
        at = (uint32_t)st->client_rows.n++;
    }
    *ret = at;
    return 0;
}

static int add_pack(struct store *st, const struct cid *id, const struct pack_header *h)
{
    struct pack_row p = { .id = *id, .objects = h->n, .seq = st->last_seq + 1,
        .bytes = PACK_HEADER_LEN + (uint64_t)h->n * PACK_DIRENT_LEN + h->body_bytes };
    int err = client_row_of(st, &h->client, &p.client);
    struct pack_row *row = err ? NULL : rows_next(&st->pack_rows, sizeof *row, STORE_PACKS_MAX);
    if (!row)
        return err ? err : -ENOMEM;
    *row = p;
    err = idmap_add(&st->pack_map, st->pack_rows.p, sizeof *row, st->pack_rows.n);
    if (err)
        return err;
    st->pack_rows.n++;
    st->objects += p.objects;
    st->pack_bytes += p.bytes;
    return 0;
}

static int pack_one(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    struct salvage *s = arg;
    struct cid id;
    struct pack_header h;
    uint8_t head[PACK_HEADER_LEN];
    const char *text = (const char *)name.p;
    if (name.n != 68 || strcmp(text + 64, ".skp") != 0 || sm_unhex(text, 64, id.b, 32) ||
        store_find_pack(s->st, &id) != STORE_NONE)
        return 0;
    int fd = plat_fs_open_read(s->folder, text);
    if (fd < 0)
        return 0;                          /* cannot be read: its objects are missing, and are named when asked for */
    int err = plat_fs_pread_all(fd, head, sizeof head, 0);
    (void)close(fd); /* opened for reading */
    /* The directory is checked against the name when it is indexed, each object when it is read. */
    if (err || pack_header_parse(SM_SPAN(head, sizeof head), &h) || memcmp(h.vault.b, s->st->vault.b, 16) != 0)
        return 0;
    return add_pack(s->st, &id, &h);
}

static int manifest_one(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    struct salvage *s = arg;
    struct cid id, is;
    struct lone l;
    const char *text = (const char *)name.p;
    if (name.n != 68 || strcmp(text + 64, ".skm") != 0 || sm_unhex(text, 64, id.b, 32) ||
        store_find_generation(s->st, &id) != STORE_NONE)
        return 0;
    struct sm_buf b = SM_BUF_INIT(MANIFEST_MAX + 4096);
    int err = plat_fs_read_file(s->folder, text, MANIFEST_MAX, &b);
    if (!err) {
        manifest_id(sm_buf_span(&b), &is);
        if (!cid_eq(&is, &id) || manifest_parse(sm_buf_span(&b), &l.m) || memcmp(l.m.vault.b, s->st->vault.b, 16) != 0)
            err = -SM_ECORRUPT;
    }
    sm_buf_wipe(&b);
    if (err)
        return err == -ENOMEM ? err : 0;   /* a damaged manifest is no generation; verify names it */
    l.id = id;
    struct lone *row = rows_next(&s->manifests, sizeof *row, STORE_GENERATIONS_MAX);
    if (!row)
        return -ENOMEM;
    *row = l;
    s->manifests.n++;
    return 0;
}

static int lone_cmp(const void *pa, const void *pb)
{
    const struct lone *a = pa, *b = pb;
    if (a->m.finished_s != b->m.finished_s)
        return a->m.finished_s < b->m.finished_s ? -1 : 1;
    return a->m.number < b->m.number ? -1 : a->m.number > b->m.number;
}

static int add_generation(struct store *st, const struct lone *l)
{
    struct generation_row g = { .manifest = l->id, .number = l->m.number,
        .seq = st->last_seq + st->generation_rows.n + 1,
        .time.s = l->m.finished_s, .started_s = l->m.started_s, .finished_s = l->m.finished_s, .run = l->m.run,
            .status = l->m.status };
    int err = client_row_of(st, &l->m.client, &g.client);
    if (err)
        return err;
    g.source = store_find_source(st, g.client, &l->m.source);
    if (g.source == STORE_NONE) {
        struct source_row *s = rows_next(&st->source_rows, sizeof *s, STORE_SOURCES_MAX);
        if (!s)
            return -ENOMEM;
        *s = (struct source_row){ g.client, l->m.source, STORE_NONE };
        g.source = (uint32_t)st->source_rows.n++;
    }
    struct generation_row *row = rows_next(&st->generation_rows, sizeof *row, STORE_GENERATIONS_MAX);
    if (!row)
        return -ENOMEM;
    g.previous = store_source_row(st, g.source)->last;
    *row = g;
    err = idmap_add(&st->generation_map, st->generation_rows.p, sizeof *row, st->generation_rows.n);
    if (err)
        return err;
    store_source_row(st, g.source)->last = (uint32_t)st->generation_rows.n++;
    store_client_row(st, g.client)->c.generations++;
    return 0;
}

static int each_file(struct salvage *s, int parent, const char *folder, plat_fs_dir_fn fn)
{
    s->folder = plat_fs_open_dir(parent, folder);
    if (s->folder < 0)
        return s->folder == -ENOENT ? 0 : s->folder;
    int err = plat_fs_list(s->folder, fn, s);
    (void)close(s->folder); /* opened for reading */
    return err;
}

int store_salvage(struct store *st)
{
    struct salvage s = { .st = st };
    int err = 0;
    for (unsigned i = 0; !err && i < 256; i++) {
        char name[4];
        (void)snprintf(name, sizeof name, "%02x", i); /* fits */
        err = each_file(&s, st->packs, name, pack_one);
    }
    if (!err)
        err = each_file(&s, st->dir, "manifests", manifest_one);
    if (s.manifests.n)
        qsort(s.manifests.p, s.manifests.n, sizeof(struct lone), lone_cmp);
    for (size_t i = 0; !err && i < s.manifests.n; i++)
        err = add_generation(st, (struct lone *)s.manifests.p + i);
    free(s.manifests.p);
    return err;
}
