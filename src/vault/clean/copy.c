#include <errno.h>
#include <unistd.h>
#include "crypto/random.h"
#include "plat/fs.h"
#include "vault/clean/clean_internal.h"

/*
 * Packs that are less than half alive: their live objects go, as they are, into new packs.  The old pack is left alone;
 * at the next clean-up nothing live rests in it.  Source packs are never mixed between clients or kinds.
 */
#define COPY_PACKS_MAX 256u               /* a run: the rest waits for the next one */
#define COPY_ROWS_A_STEP 4096u
#define COPY_ROOM ((uint64_t)128 << 20)   /* so much must be free besides */

void clean_copy_wipe(struct clean *c)
{
    pack_builder_free(c->builder);
    c->builder = NULL;
}

static int write_piece(void *arg, struct sm_span piece)
{
    return plat_fs_write_all(*(const int *)arg, piece);
}

/* Under its name, on disk, with its folder: like a pack of a client. */
static int put_file(struct store *st, const struct pack_builder *b, const struct cid *id)
{
    char path[80], folder[3];
    pack_path(id, path);
    (void)snprintf(folder, sizeof folder, "%.2s", path); /* fits */
    int fd = plat_fs_create(st->tmp, "copy.part", PLAT_FS_TRUNC, 0600);
    int err = fd < 0 ? fd : pack_emit(b, 0, write_piece, &fd);
    if (!err)
        err = plat_fs_sync(fd);
    if (fd >= 0)
        (void)close(fd); /* synced, or given up */
    if (err) {
        (void)plat_fs_unlink(st->tmp, "copy.part"); /* only space */
        return err;
    }
    err = plat_fs_rename(st->tmp, "copy.part", st->packs, path, false);
    int dir = err ? err : plat_fs_open_dir(st->packs, folder);
    err = dir < 0 ? dir : plat_fs_sync_dir(dir);
    if (dir >= 0)
        (void)close(dir); /* synced, or the error is told */
    if (!err)
        err = plat_fs_sync_dir(st->tmp);
    if (err)
        st->broken = true;                 /* it may have its name; the next open takes it in */
    return err;
}

static int record(struct clean *c, const struct cid *id, uint64_t bytes)
{
    struct store *st = c->st;
    json_t *o = json_object();
    bool ok = json_set(o, "pack", json_hex(id->b, 32)) &&
        json_set(o, "client", json_hex(store_client_row(st, c->builder_client)->c.id.b, 16)) &&
        json_set(o, "session", json_hex(c->builder_session.b, 16)) && json_set(o, "kind", json_integer(c->builder_kind)) &&
        json_set(o, "objects", json_integer(pack_count(c->builder))) &&
        json_set(o, "bytes", json_integer((json_int_t)bytes)) && json_set(o, "copied", json_true());
    if (!ok) {
        json_decref(o);
        return -ENOMEM;
    }
    uint64_t unclaimed = store_client_row(st, c->builder_client)->unclaimed;
    int err = store_record(st, JOURNAL_PACK, NULL, o, NULL);
    if (!err)
        err = store_sync(st);
    if (!err)
        store_client_row(st, c->builder_client)->unclaimed = unclaimed; /* the box's own pack is not the client's doing */
    return err;
}

/* Where the objects are now: in the new pack. */
static int index_new(struct clean *c, uint32_t pack)
{
    const struct pack_object *o = pack_objects(c->builder);
    uint32_t n = pack_count(c->builder);
    uint8_t *algorithm = calloc(n + 1, 1);
    if (!algorithm)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        struct place p;
        algorithm[i] = place_raw(c->st, &o[i].cid, &p) ? p.algorithm : 0;
    }
    int err = place_add(c->st, pack, (uint16_t)c->builder_client, o, n, algorithm);
    if (!err)
        place_marks(c->st);                /* only now: a flush in between must not claim what is not in it */
    free(algorithm);
    return err;
}

static int finish(struct clean *c)
{
    struct cid id;
    uint64_t bytes;
    if (!c->builder || pack_count(c->builder) == 0)
        return 0;
    int err = pack_finish(c->builder, &id, &bytes);
    if (!err)
        err = put_file(c->st, c->builder, &id);
    if (err)
        return err;
    err = record(c, &id, bytes);
    if (!err)
        err = index_new(c, store_find_pack(c->st, &id));
    if (err) {
        c->st->broken = true;              /* file, record and index may differ: found out by opening anew */
        return err;
    }
    c->r.copied++;
    c->r.bytes_copied += bytes;
    return 0;
}

static bool alive_here(const struct clean *c, uint32_t pack, const struct pack_object *o)
{
    struct place p;
    return clean_is_live(c, &o->cid) && place_raw(c->st, &o->cid, &p) && p.pack == pack;
}

static int add_object(struct clean *c, int fd, const struct pack_object *o, struct sm_buf *sealed)
{
    sm_buf_clear(sealed);
    int err = pack_read_object(fd, o, sealed);
    if (err)
        return err;
    err = pack_add(c->builder, &o->cid, sm_buf_span(sealed));
    if (err == -SM_ELIMIT || (!err && pack_full(c->builder))) {
        int again = err;
        err = finish(c);
        pack_reset(c->builder, c->builder_kind);
        if (!err && again)
            err = pack_add(c->builder, &o->cid, sm_buf_span(sealed));
    }
    return err;
}

/* The pack being filled, if it is of this client and kind; else that one is finished and another begun. */
static int builder_for(struct clean *c, uint32_t client, uint8_t kind)
{
    if (c->builder && c->builder_client == client && c->builder_kind == kind)
        return 0;
    int err = finish(c);
    clean_copy_wipe(c);
    if (err)
        return err;
    c->builder_client = client;
    c->builder_kind = kind;
    crypto_random(c->builder_session.b, sizeof c->builder_session.b);
    return pack_builder_new(&c->st->vault, &store_client_row(c->st, client)->c.id, &c->builder_session, kind,
        &c->builder);
}

/* All live objects of one pack into new ones.  What cannot be read stays where it is. */
static int copy_pack(struct clean *c, uint32_t pack)
{
    struct sm_buf head = SM_BUF_INIT((size_t)PACK_OBJECTS_MAX * sizeof(struct pack_object));
    struct sm_buf sealed = SM_BUF_INIT(OBJ_SEALED_MAX);
    int err = clean_read_head(c->st, pack, &head), fd = err ? -1 : place_open_pack(c->st, pack);
    const struct pack_object *o = (const struct pack_object *)(const void *)head.p;
    size_t n = head.n / sizeof *o;
    if (err || fd < 0) {
        sm_buf_wipe(&head);
        return err == -ENOMEM ? err : 0;   /* verify names what is wrong with it */
    }
    err = builder_for(c, store_pack_row(c->st, pack)->client, n && obj_is_chunk(o[0].type) ? PACK_DATA : PACK_META);
    for (size_t i = 0; !err && i < n; i++)
        if (alive_here(c, pack, &o[i])) {
            err = add_object(c, fd, &o[i], &sealed);
            err = err == -SM_ECORRUPT || err == -SM_EPARTIAL || err == -SM_EINVAL || err == -SM_EFORMAT ? 0 : err;
        }
    (void)close(fd); /* opened for reading */
    sm_buf_wipe(&head);
    sm_buf_wipe(&sealed);
    return err;
}

int clean_copy_step(struct clean *c)
{
    struct plat_fs_space space;
    int err = plat_fs_space(c->st->dir, ".", &space);
    if (err || space.avail_bytes < COPY_ROOM || c->copied_packs >= COPY_PACKS_MAX)
        return err ? err : finish(c);      /* first what is deleted must make room */
    for (size_t n = 0; c->at < c->packs && n < COPY_ROWS_A_STEP; n++) {
        uint32_t pack = (uint32_t)c->at++;
        const struct pack_row *row = store_pack_row(c->st, pack);
        uint64_t body = row->bytes - PACK_HEADER_LEN - (uint64_t)row->objects * PACK_DIRENT_LEN;
        if (row->gone || row->condemned || c->live_bytes[pack] == 0 || c->live_bytes[pack] * 2 >= body ||
            !clean_may_touch(c, pack))
            continue;
        c->copied_packs++;
        err = copy_pack(c, pack);
        return err == -ENOSPC && !c->st->broken ? 0 : err ? err : 1;
    }
    return c->at < c->packs ? 1 : finish(c);
}
