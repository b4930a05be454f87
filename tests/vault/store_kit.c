#include "store_kit.h"
#include <dirent.h>
#include <sys/stat.h>
#include "crypto/hash.h"
#include "vault/seal/page.h"

uint64_t kit_random(uint64_t *s)
{
    uint64_t z = (*s += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static void fill(uint8_t *p, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = kit_random(&seed);
        memcpy(p + i, &v, n - i < 8 ? n - i : 8);
    }
}

bool kit_long(void)
{
    const char *v = getenv("SAKIMORI_LONG");
    return v && strcmp(v, "1") == 0;
}

void kit_client_make(struct kit_client *c, uint8_t n)
{
    uint8_t seed[32];
    memset(c, 0, sizeof *c);
    memset(c->id.b, n, sizeof c->id.b);
    memset(c->source.b, n ^ 0x55, sizeof c->source.b);
    memset(seed, n, sizeof seed);
    assert_int_equal(crypto_sign_from_seed(seed, &c->device), 0);
}

static int sign(void *arg, struct sm_span message, uint8_t ret_sig[64])
{
    struct kit *k = arg;
    return k->sign_fails ? -SM_EPEER : crypto_sign(&k->head, message, ret_sig);
}

void kit_init(struct kit *k, const char *name)
{
    /* Memory where there is any: power loss is simulated, so real syncs would only cost time. */
    const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    memset(k, 0, sizeof *k);
    assert_int_equal(crypto_init(), 0);
    (void)snprintf(k->base, sizeof k->base, "%.40s/sakimori-%.30s-XXXXXX", tmp, name);
    assert_non_null(mkdtemp(k->base));
    (void)snprintf(k->dir, sizeof k->dir, "%s/vault", k->base);
    memset(k->vault.b, 7, sizeof k->vault.b);
    uint8_t seed[32] = { 99 };
    assert_int_equal(crypto_sign_from_seed(seed, &k->head), 0);
    kit_client_make(&k->client, 1);
    k->limits = STORE_LIMITS_DEFAULT;
    k->limits.reserve_bytes = 0;
    k->limits.index_memory_bytes = (size_t)1 << 20;
    assert_int_equal(store_create(k->dir, &k->vault, "test"), 0);
}

int kit_open(struct kit *k, unsigned flags)
{
    struct store_config c = { .dir = k->dir, .flags = flags, .limits = k->limits,
        .journal_file_bytes = k->journal_file_bytes };
    if (!k->no_signer) {
        c.signer = (struct store_signer){ .sign = sign, .arg = k };
        memcpy(c.signer.public_key, k->head.public_key, 32);
    }
    return store_open(&c, &k->st, k->why);
}

void kit_close(struct kit *k)
{
    store_close(k->st);
    k->st = NULL;
}

void kit_done(struct kit *k)
{
    kit_close(k);
    kit_remove(k->base);
}

int kit_join(struct kit *k, const struct kit_client *c)
{
    struct store_client s = { .id = c->id, .state = STORE_JOINED };
    (void)snprintf(s.name, sizeof s.name, "受付-%u", c->id.b[0]);
    memcpy(s.sign_pub, c->device.public_key, 32);
    return store_client_put(k->st, &s);
}

/* ---- objects ---- */

static struct cid finish(const struct sm_buf *b, size_t from)
{
    struct cid cid;
    crypto_sha256(SM_SPAN(b->p + from, b->n - from), cid.b);
    return cid;
}

static void header(const struct client_id *c, uint8_t type, uint8_t algorithm, struct sm_buf *ret)
{
    struct obj_hdr h = { .algorithm = algorithm, .type = type, .client = *c };
    uint8_t b[OBJ_HDR_LEN];
    obj_hdr_put(&h, b);
    assert_int_equal(sm_buf_put(ret, b, sizeof b), 0);
}

static void body(struct sm_buf *ret, size_t n, uint64_t seed)
{
    assert_int_equal(sm_buf_reserve(ret, n), 0);
    fill(ret->p + ret->n, n, seed);
    ret->n += n;
}

struct cid kit_chunk(const struct client_id *c, uint64_t seed, size_t n, uint8_t algorithm, struct sm_buf *ret)
{
    size_t from = ret->n;
    header(c, OBJ_CHUNK, algorithm, ret);
    body(ret, CHUNK_OVERHEAD - OBJ_HDR_LEN + n, seed);
    return finish(ret, from);
}

static int cmp(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

struct cid kit_page(const struct client_id *c, uint8_t type, struct cid *refs, uint32_t n, uint64_t seed, size_t bytes,
    struct sm_buf *ret)
{
    size_t from = ret->n;
    uint32_t m = 0;
    if (n)
        qsort(refs, n, sizeof *refs, cmp);
    for (uint32_t i = 0; i < n; i++)
        if (!m || !cid_eq(&refs[m - 1], &refs[i]))
            refs[m++] = refs[i];
    header(c, type, OBJ_ZSTD, ret);
    assert_int_equal(sm_buf_put_u32(ret, m), 0);
    if (m)
        assert_int_equal(sm_buf_put(ret, refs, m * sizeof *refs), 0);
    body(ret, OBJ_NONCE_LEN + OBJ_TAG_LEN + bytes, seed);
    return finish(ret, from);
}

struct cid kit_envelope(const struct client_id *c, uint64_t seed, struct sm_buf *ret)
{
    size_t from = ret->n;
    header(c, OBJ_ENVELOPE, OBJ_STORED, ret);
    body(ret, 300, seed);
    return finish(ret, from);
}

/* ---- sending ---- */

void kit_load_init(struct kit_load *l, const struct kit *k, const struct client_id *c, const struct session_id *s)
{
    *l = (struct kit_load){ .session = *s, .client = *c };
    assert_int_equal(pack_builder_new(&k->vault, c, s, PACK_DATA, &l->data), 0);
    assert_int_equal(pack_builder_new(&k->vault, c, s, PACK_META, &l->meta), 0);
}

void kit_load_add(struct kit_load *l, const struct cid *cid, struct sm_span sealed)
{
    if (l->here && store_have(l->here, &l->client, cid, NULL))
        return;
    int err = pack_add(obj_is_chunk(sealed.p[6]) ? l->data : l->meta, cid, sealed);
    assert_true(err == 0 || err == -SM_EEXISTS);
}

void kit_load_wipe(struct kit_load *l)
{
    pack_builder_free(l->data);
    pack_builder_free(l->meta);
}

int kit_push(struct store_session *s, struct pack_builder *b, const struct cid *id, uint64_t bytes, size_t piece)
{
    uint64_t have;
    bool duplicate;
    int err = store_pack_begin(s, id, bytes, &have);
    uint8_t *p = malloc(piece);
    assert_non_null(p);
    while (!err && have < bytes) {
        size_t n = pack_copy(b, have, p, piece);
        err = store_pack_data(s, id, have, SM_SPAN(p, n));
        have += n;
    }
    free(p);
    return err ? err : store_pack_end(s, id, &duplicate);
}

int kit_send(struct store_session *s, struct pack_builder *b, size_t piece)
{
    struct cid id;
    uint64_t bytes;
    int err = pack_finish(b, &id, &bytes);
    return err ? err : kit_push(s, b, &id, bytes, piece);
}

int kit_send_load(struct kit *k, struct store_session *s, struct kit_load *l)
{
    int err = 0;
    if (pack_count(l->data))
        err = kit_send(s, l->data, 50000);
    if (!err && pack_count(l->meta))
        err = kit_send(s, l->meta, 50000);
    return err ? err : store_flush(k->st, NULL);
}

void kit_tree_init(struct kit_tree *t, uint32_t dirs, uint32_t files, size_t bytes, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->dirs = dirs;
    t->files = files;
    t->bytes = bytes;
    t->entry_bytes = 60;
    for (uint32_t d = 0; d < dirs; d++)
        for (uint32_t f = 0; f < files; f++) {
            t->seed[d][f] = seed * 1000003 + d * 1009 + f + 1;
            t->algorithm[d][f] = OBJ_ZSTD;
        }
}

struct cid kit_tree_load(const struct kit_tree *t, const struct client_id *c, const struct cid *envelope,
    struct kit_load *l)
{
    struct sm_buf b = { 0 };
    struct cid top[65];
    for (uint32_t d = 0; d < t->dirs; d++) {
        struct cid refs[65];
        uint32_t n = 0;
        uint64_t mix = t->page_salt;
        for (uint32_t f = 0; f < t->files; f++) {
            if (!t->seed[d][f])
                continue;
            sm_buf_clear(&b);
            refs[n] = kit_chunk(c, t->seed[d][f], t->bytes, t->algorithm[d][f], &b);
            kit_load_add(l, &refs[n], sm_buf_span(&b));
            mix = mix * 31 + t->seed[d][f];
            n++;
        }
        sm_buf_clear(&b);
        top[d] = kit_page(c, OBJ_DIRPAGE, refs, n, mix, 16 + n * t->entry_bytes, &b);
        kit_load_add(l, &top[d], sm_buf_span(&b));
    }
    uint64_t mix = 5;
    for (uint32_t d = 0; d < t->dirs; d++)
        mix = mix * 33 + top[d].b[0] + 256u * top[d].b[1];
    top[t->dirs] = *envelope;
    sm_buf_clear(&b);
    struct cid root = kit_page(c, OBJ_DIRPAGE, top, t->dirs + 1, mix, 40, &b);
    kit_load_add(l, &root, sm_buf_span(&b));
    sm_buf_wipe(&b);
    return root;
}

/* ---- manifests ---- */

struct run_id kit_run(uint64_t n)
{
    struct run_id r;
    fill(r.b, sizeof r.b, n ^ 0x1234);
    return r;
}

void kit_manifest_init(struct kit *k, struct kit_manifest *m, const struct kit_client *c, const struct cid *root,
    const struct cid *envelope,
    uint64_t seed)
{
    memset(m, 0, sizeof *m);
    m->c = c;
    m->root = *root;
    fill(m->item, sizeof m->item, seed);
    (void)snprintf(m->facts, sizeof m->facts, "{\"bytes\":0}");
    struct journal_head h = journal_durable(store_journal(k->st));
    m->m = (struct manifest){ .vault = k->vault, .client = c->id, .source = c->source, .run_id = kit_run(seed),
        .run = RUN_SCHEDULED,
        .status = RUN_COMPLETE, .envelope = *envelope, .head_seq = h.seq };
    memcpy(m->m.head_hash, h.hash, 32);
    store_next(k->st, &c->id, &c->source, &m->m.number, &m->m.previous);
}

void kit_manifest_bytes(const struct kit_manifest *m, struct sm_buf *ret)
{
    struct manifest x = m->m;
    x.roots = &m->root;
    x.nroots = 1;
    x.item = SM_SPAN(m->item, sizeof m->item);
    x.facts = SM_SPAN_STR(m->facts);
    x.label = SM_SPAN_STR("毎日");
    assert_int_equal(manifest_build(&x, &m->c->device, ret), 0);
}

int kit_session(struct kit *k, const struct kit_client *c, uint64_t run, uint8_t run_kind, struct store_session **ret)
{
    struct store_session_args a = { .client = c->id, .source = c->source, .run = kit_run(run),
        .run_kind = run_kind ? run_kind : RUN_SCHEDULED };
    return store_session_open(k->st, &a, ret);
}

int kit_generation(struct kit *k, const struct kit_client *c, const struct kit_tree *t, uint64_t seed, uint8_t run_kind,
    const char *facts,
    struct store_verdict *ret)
{
    struct store_session *s = NULL;
    struct store_verdict v = { 0 };
    int err = kit_session(k, c, seed, run_kind, &s);
    if (err)
        return err;
    struct store_session_info info;
    store_session_info(s, &info);
    struct kit_load l;
    struct sm_buf b = { 0 }, bytes = { 0 };
    kit_load_init(&l, k, &c->id, &info.id);
    l.here = k->st;
    struct cid envelope = kit_envelope(&c->id, 77, &b);   /* one envelope is enough: the box does not open it */
    kit_load_add(&l, &envelope, sm_buf_span(&b));
    struct cid root = kit_tree_load(t, &c->id, &envelope, &l);
    err = kit_send_load(k, s, &l);
    if (!err) {
        struct kit_manifest m;
        kit_manifest_init(k, &m, c, &root, &envelope, seed);
        m.m.run = run_kind ? run_kind : RUN_SCHEDULED;
        if (facts)
            (void)snprintf(m.facts, sizeof m.facts, "%s", facts);
        kit_manifest_bytes(&m, &bytes);
        err = store_manifest_commit(s, sm_buf_span(&bytes), &v);
    }
    sm_buf_wipe(&v.missing);
    v.missing = (struct sm_buf){ 0 };
    if (ret)
        *ret = v;
    sm_buf_wipe(&b);
    sm_buf_wipe(&bytes);
    kit_load_wipe(&l);
    return err;
}

/* ---- files ---- */

static void copy_file(const char *from, const char *to)
{
    struct sm_buf b = { 0 };
    assert_int_equal(plat_fs_read_file(AT_FDCWD, from, SM_BUF_MAX_DEFAULT, &b), 0);
    FILE *f = fopen(to, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b.p ? b.p : (uint8_t *)"", 1, b.n, f), b.n);
    assert_int_equal(fclose(f), 0);
    sm_buf_wipe(&b);
}

void kit_copy_tree(const char *from, const char *to)
{
    assert_int_equal(mkdir(to, 0700), 0);
    DIR *d = opendir(from);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char a[512], b[512];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        assert_true(snprintf(a, sizeof a, "%s/%s", from, e->d_name) < (int)sizeof a);
        assert_true(snprintf(b, sizeof b, "%s/%s", to, e->d_name) < (int)sizeof b);
        if (e->d_type == DT_DIR)
            kit_copy_tree(a, b);
        else
            copy_file(a, b);
    }
    closedir(d);
}

void kit_remove(const char *path)
{
    assert_int_equal(plat_fs_remove_tree(AT_FDCWD, path), 0);
}

void kit_flip(const char *path, uint64_t at, uint8_t mask)
{
    uint8_t c;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
    c ^= mask;
    assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
    close(fd);
}

uint64_t kit_size(const char *path)
{
    struct stat s;
    assert_int_equal(stat(path, &s), 0);
    return (uint64_t)s.st_size;
}

size_t kit_files(const char *dir, const char *ending, char (*ret)[256], size_t max)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL && n < max;) {
        char a[256];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        assert_true(snprintf(a, sizeof a, "%s/%s", dir, e->d_name) < (int)sizeof a);
        size_t len = strlen(a), end = strlen(ending);
        if (e->d_type == DT_DIR)
            n += kit_files(a, ending, ret + n, max - n);
        else if (len >= end && strcmp(a + len - end, ending) == 0)
            memcpy(ret[n++], a, len + 1);
    }
    closedir(d);
    return n;
}

static void say_damage(void *arg, const struct verify_damage *d)
{
    (void)arg;
    if (getenv("KIT_TELL"))
        print_message("damage: %s %s at %llu: %s\n", verify_what_name(d->what), d->file, (unsigned long long)d->offset,
            d->why);
}

int kit_verify(struct kit *k, enum verify_kind kind, struct verify_result *ret)
{
    struct verify_hooks h = { .damage = say_damage, .head_pub = k->no_signer ? NULL : k->head.public_key };
    return verify_run(k->st, kind, &h, ret);
}
