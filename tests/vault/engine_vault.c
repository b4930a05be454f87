#include "engine_vault.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>
#include "crypto/random.h"
#include "plat/fs.h"
#include "vault/snapshot/envelope.h"

int engine_vault_open(struct engine_vault *v, const char *dir)
{
    memset(v, 0, sizeof *v);
    (void)snprintf(v->dir, sizeof v->dir, "%s", dir);
    crypto_random(v->vault.b, 16);
    crypto_random(v->client.b, 16);
    crypto_random(v->source.b, 16);
    crypto_random(v->k_id, 32);
    crypto_random(v->k_look, 32);
    int e = plat_fs_mkdir_p(dir, 0700);
    e = e < 0 ? e : crypto_sign_generate(&v->device);
    e = e < 0 ? e : crypto_x25519_generate(&v->box);
    if (e < 0)
        return e;
    struct recipients set = { .n = 1 };
    set.r[0] = (struct recipient){ .role = RECIPIENT_BOX, .algorithm = RECIPIENT_X25519, .key = SM_SPAN(v->box.public_key, 32) };
    v->number = 1;
    return recipients_put(&set, &v->recipients);
}

void engine_vault_close(struct engine_vault *v)
{
    for (size_t i = 0; i < v->packs; i++)
        close(v->fd[i]);
    free(v->fd);
    free(v->row);
    sm_buf_wipe(&v->recipients);
    sm_buf_wipe(&v->last_manifest);
    memset(v, 0, sizeof *v);
}

static struct ev_row *row_of(struct engine_vault *v, const struct cid *cid)
{
    size_t i;
    memcpy(&i, cid->b, sizeof i);
    for (i &= v->slots - 1; v->slots && v->row[i].used; i = (i + 1) & (v->slots - 1))
        if (cid_eq(&v->row[i].cid, cid))
            return &v->row[i];
    return v->slots ? &v->row[i] : NULL;
}

static bool has(struct engine_vault *v, const struct cid *cid)
{
    struct ev_row *r = row_of(v, cid);
    return r && r->used && !r->lost;
}

static int grow(struct engine_vault *v)
{
    struct engine_vault w = *v;
    w.slots = v->slots ? v->slots * 2 : 1024;
    w.row = calloc(w.slots, sizeof *w.row);
    if (!w.row)
        return -ENOMEM;
    for (size_t i = 0; i < v->slots; i++)
        if (v->row[i].used)
            *row_of(&w, &v->row[i].cid) = v->row[i];
    free(v->row);
    v->row = w.row;
    v->slots = w.slots;
    return 0;
}

static int on_object(void *arg, const struct pack_object *o, struct sm_span bytes)
{
    struct engine_vault *v = arg;
    (void)bytes;
    if ((v->rows + 1) * 2 > v->slots && grow(v) < 0)
        return -ENOMEM;
    struct ev_row *r = row_of(v, &o->cid);
    v->duplicates += r->used && !r->lost;
    v->rows += !r->used;
    *r = (struct ev_row){ .cid = o->cid, .pack = (uint32_t)v->packs, .length = o->length, .offset = o->offset,
        .type = o->type, .used = true };
    v->objects_put++;
    v->chunks_put += obj_is_chunk(o->type);
    v->pages_put += o->type == OBJ_DIRPAGE || o->type == OBJ_STREAMPAGE;
    return 0;
}

struct putting { struct pack_check *check; int fd; };
static int on_bytes(void *arg, struct sm_span piece)
{
    struct putting *p = arg;
    int64_t n = pack_check_put(p->check, piece);
    if (n < 0)
        return (int)n;
    size_t done = 0;
    while (done < piece.n) {
        ssize_t k = write(p->fd, piece.p + done, piece.n - done);
        if (k < 0)
            return -errno;
        done += (size_t)k;
    }
    return 0;
}

static int put_pack(void *arg, unsigned place, const struct cid *id, const struct pack_builder *pack, uint64_t bytes)
{
    struct engine_vault *v = arg;
    if (v->window && place >= v->window)
        return -SM_EINVAL;
    if (v->fail_at_pack && --v->fail_at_pack == 0)
        return v->fail_err;
    char path[400], hex[CID_HEX];
    cid_hex(id, hex);
    (void)snprintf(path, sizeof path, "%s/%s.skp", v->dir, hex);
    struct pack_expect expect = { .id = id, .vault = &v->vault, .client = &v->client };
    struct putting p = { .fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) };
    if (p.fd < 0)
        return -errno;
    int e = pack_check_new(&expect, on_object, v, &p.check);
    e = e < 0 ? e : pack_emit(pack, 0, on_bytes, &p);
    if (e == 0 && pack_check_left(p.check) != 0)
        e = -SM_EPARTIAL;
    pack_check_free(p.check);
    int *fd = e < 0 ? NULL : realloc(v->fd, (v->packs + 1) * sizeof *fd);
    if (!fd) {
        close(p.fd);
        return e < 0 ? e : -ENOMEM;
    }
    v->fd = fd;
    v->fd[v->packs++] = p.fd;
    v->bytes_put += bytes;
    if (v->window)
        v->waiting[v->waiting_n++] = place;
    if (v->waiting_n > v->waiting_most)
        v->waiting_most = v->waiting_n;
    return 0;
}

/* The newest first, and only when it must: as late and as much out of order as can be. */
static int acked(void *arg, bool wait, unsigned *ret_place)
{
    struct engine_vault *v = arg;
    if (!wait || !v->waiting_n)
        return -SM_EAGAIN;
    if (v->fail_at_ack && --v->fail_at_ack == 0)
        return v->fail_err;
    *ret_place = v->waiting[--v->waiting_n];
    return 0;
}

static int have(void *arg, const struct cid *cids, size_t n, uint8_t *bitmap)
{
    struct engine_vault *v = arg;
    v->have_calls++;
    memset(bitmap, 0, (n + 7) / 8);
    for (size_t i = 0; i < n; i++)
        if (has(v, &cids[i]))
            bitmap[i / 8] |= (uint8_t)(1u << (i & 7));
    return 0;
}

static int object(struct engine_vault *v, const struct cid *cid, struct sm_buf *ret)
{
    if (!has(v, cid))
        return -SM_EMISSING;
    struct ev_row *r = row_of(v, cid);
    struct pack_object o = { .cid = *cid, .offset = r->offset, .length = r->length, .type = r->type };
    v->fetched++;
    return pack_read_object(v->fd[r->pack], &o, ret);
}

/* Everything below cid must be here.  Depth is bounded by the format. */
static int closure(struct engine_vault *v, const struct cid *cid, unsigned depth, struct sm_buf *missing)
{
    struct ev_row *r = row_of(v, cid);
    if (depth > VAULT_DEPTH_MAX + 4)
        return -SM_ELIMIT;
    if (!r || !r->used || r->lost)
        return sm_buf_put(missing, cid, sizeof *cid);
    if (r->type != OBJ_DIRPAGE && r->type != OBJ_STREAMPAGE)
        return 0;
    struct sm_buf sealed = SM_BUF_INIT(OBJ_SEALED_MAX);
    struct page_refs refs;
    int e = object(v, cid, &sealed);
    e = e < 0 ? e : page_refs(sm_buf_span(&sealed), &v->client, &refs);
    for (uint32_t i = 0; e == 0 && i < refs.n; i++)
        e = closure(v, &refs.ref[i], depth + 1, missing);
    sm_buf_wipe(&sealed);
    return e;
}

static int missing_cmp(const void *a, const void *b)
{
    return cid_cmp(a, b);
}

static int put_manifest(void *arg, const struct cid *id, struct sm_span bytes, struct sm_buf *ret_missing, bool *ret_more)
{
    struct engine_vault *v = arg;
    struct manifest m;
    struct sm_buf missing = { 0 };
    if (v->fail_manifest)
        return -SM_EPEER;
    int e = manifest_verify(bytes, v->device.public_key);
    e = e < 0 ? e : manifest_parse(bytes, &m);
    if (e == 0 && (m.number != v->number || !cid_eq(&m.previous, &v->previous)))
        e = -SM_EEXISTS;
    e = e < 0 ? e : closure(v, &m.envelope, 0, &missing);
    for (size_t i = 0; e == 0 && i < m.nroots; i++)
        e = closure(v, &m.roots[i], 0, &missing);
    size_t n = missing.n / sizeof(struct cid), kept = 0;
    struct cid *c = (struct cid *)(void *)missing.p;
    if (n)
        qsort(c, n, sizeof *c, missing_cmp);
    for (size_t i = 0; e == 0 && i < n; i++)
        if (i == 0 || !cid_eq(&c[i], &c[i - 1])) {
            *ret_more |= kept == 4096;
            if (kept < 4096)
                e = sm_buf_put(ret_missing, &c[i], sizeof *c);
            kept++;
        }
    v->missing_told += kept;
    sm_buf_wipe(&missing);
    if (e < 0 || kept)
        return e < 0 ? e : -SM_EMISSING;
    sm_buf_clear(&v->last_manifest);
    e = sm_buf_put_span(&v->last_manifest, bytes);
    v->previous = *id;
    v->number++;
    v->manifests++;
    return e;
}

void engine_config(struct engine_vault *v, struct backup_config *ret, const char *const *roots, size_t roots_n, int state_dir)
{
    *ret = (struct backup_config){ .vault = v->vault, .client = v->client, .source = v->source, .run = RUN_SCHEDULED,
        .number = v->number, .previous = v->previous, .k_id = v->k_id, .k_look = v->k_look, .device = &v->device,
        .recipients = sm_buf_span(&v->recipients), .state_dir = state_dir };
    crypto_random(ret->session.b, 16);
    crypto_random(ret->run_id.b, 16);
    ret->scan.roots = roots;
    ret->scan.roots_n = roots_n;
    ret->scan.tmp_dir = -1;
}

struct backup_sink engine_sink(struct engine_vault *v)
{
    v->waiting_n = 0;
    return (struct backup_sink){ .have = have, .put_pack = put_pack, .acked = acked, .window = v->window,
        .put_manifest = put_manifest, .arg = v };
}

static int src_get(void *arg, const struct cid *cid, uint8_t type, struct sm_buf *ret)
{
    (void)type;
    return object(arg, cid, ret);
}

static int src_key(void *arg, const struct cid *envelope, struct file_key *ret)
{
    struct engine_vault *v = arg;
    struct sm_buf sealed = { 0 };
    int e = object(v, envelope, &sealed);
    e = e < 0 ? e : envelope_open(&v->vault, &v->client, sm_buf_span(&sealed), &v->box, ret);
    sm_buf_wipe(&sealed);
    return e;
}

struct reader_source engine_source(struct engine_vault *v)
{
    return (struct reader_source){ .get = src_get, .file_key = src_key, .names_checked = true, .arg = v };
}

bool engine_lose(struct engine_vault *v, uint8_t type, size_t i)
{
    for (size_t k = 0; k < v->slots; k++)
        if (v->row[k].used && !v->row[k].lost && (type == 0 || v->row[k].type == type) && i-- == 0) {
            v->row[k].lost = true;
            return true;
        }
    return false;
}

static int many(void *arg, const struct cid *cids, size_t n, restore_object_fn fn, void *fn_arg)
{
    struct engine_vault *v = arg;
    struct sm_buf sealed = SM_BUF_INIT(OBJ_SEALED_MAX);
    for (size_t i = 0; i < n; i++) {
        sm_buf_clear(&sealed);
        int e = object(v, &cids[i], &sealed);
        fn(fn_arg, i, e, e < 0 ? SM_SPAN(NULL, 0) : sm_buf_span(&sealed));
    }
    sm_buf_wipe(&sealed);
    return 0;
}

/* ---- the same, held: several threads at once ---- */

bool engine_holds;
atomic_int engine_held;
atomic_uint engine_fail_get;
static pthread_mutex_t hold_lock = PTHREAD_MUTEX_INITIALIZER;

static int many_locked(void *arg, const struct cid *cids, size_t n, restore_object_fn fn, void *fn_arg)
{
    pthread_mutex_lock(&hold_lock);
    int e = many(arg, cids, n, fn, fn_arg);
    pthread_mutex_unlock(&hold_lock);
    return e;
}

static int key_locked(void *arg, const struct cid *envelope, struct file_key *ret)
{
    pthread_mutex_lock(&hold_lock);
    int e = src_key(arg, envelope, ret);
    pthread_mutex_unlock(&hold_lock);
    return e;
}

static int hold(void *arg, const struct cid *cids, size_t n, restore_object_fn fn, void *fn_arg, void **ret_held)
{
    struct engine_vault *v = arg;
    if (atomic_load(&engine_fail_get) && atomic_fetch_sub(&engine_fail_get, 1) == 1)
        return -SM_EPEER;
    struct sm_buf *all = calloc(1, sizeof *all);
    size_t *end = calloc(n + 1, sizeof *end);
    int *err = calloc(n + 1, sizeof *err);
    if (!all || !end || !err) {
        free(all);
        free(end);
        free(err);
        return -ENOMEM;
    }
    all->max = (size_t)64 << 20;
    pthread_mutex_lock(&hold_lock);
    for (size_t i = 0; i < n; i++) {
        err[i] = object(v, &cids[i], all);
        end[i] = all->n;
    }
    pthread_mutex_unlock(&hold_lock);
    for (size_t i = n; i-- > 0;) { /* in any order */
        size_t from = i ? end[i - 1] : 0;
        fn(fn_arg, i, err[i], err[i] ? SM_SPAN(NULL, 0) : SM_SPAN(all->p + from, end[i] - from));
    }
    free(end);
    free(err);
    atomic_fetch_add(&engine_held, 1);
    *ret_held = all;
    return 0;
}

static void let_go(void *arg, void *held)
{
    (void)arg;
    sm_buf_wipe(held);
    free(held);
    atomic_fetch_sub(&engine_held, 1);
}

struct restore_source engine_restore_source(struct engine_vault *v)
{
    if (engine_holds)
        return (struct restore_source){ .get_many = many_locked, .get_held = hold, .release = let_go, .parallel = true,
            .file_key = key_locked, .names_checked = false, .arg = v };
    return (struct restore_source){ .get_many = many, .file_key = src_key, .names_checked = true, .arg = v };
}
