/* Reading a copy back.  The journal first: it says what there must be. */
#include "vault/copy/check.h"

#include <errno.h>

#include "core/json.h"
#include "crypto/random.h"
#include "vault/copy/copy_internal.h"
#include "vault/pack/pack.h"
#include "vault/snapshot/manifest.h"

#define PIECE ((size_t)512 << 10)
#define RECORDS_A_STEP 256
#define FILES_MAX ((size_t)4 << 20)
#define HEAD_FILE "heads/0.head"
#define ROW 33                       /* kind, id */

enum phase { HEAD, JOURNAL, FILES, DONE };

struct copy_check {
    struct copy_check_args a;
    enum phase phase;
    struct chain chain;
    bool walking;
    struct journal_head head;
    struct sm_buf files;             /* ROW bytes each: 'p' or 'm', and the id */
    struct copy_checked res;
    uint8_t *piece;
};

static int read_target(void *arg, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    struct copy_check *c = arg;
    return c->a.ops->read(c->a.target, name, off, to, n, ret_got);
}

static void damage(struct copy_check *c, const char *file, const char *why)
{
    c->res.damaged++;
    if (c->a.damage)
        c->a.damage(c->a.arg, file, why);
}

static int step_head(struct copy_check *c)
{
    uint8_t bytes[JOURNAL_SIGNED_HEAD_BYTES];
    struct journal_signed_head h;
    size_t got = 0;
    int r = read_target(c, HEAD_FILE, 0, bytes, sizeof bytes, &got);
    if (r)
        return r;
    r = journal_head_get(SM_SPAN(bytes, got), &h);
    if (!r)
        r = memcmp(h.vault, c->a.vault.b, 16) != 0 ? -SM_EMISMATCH : journal_head_verify(&h, c->a.head_pub);
    if (r) {
        damage(c, HEAD_FILE, "it is not a head that this box signed");
        c->phase = DONE;
        return 0;
    }
    c->head = c->res.head = h.head;
    r = chain_init(&c->chain, read_target, c, &c->a.vault);
    c->walking = r == 0;
    c->phase = JOURNAL;
    return r ? r : 1;
}

static int note(struct copy_check *c, char kind, const json_t *hex)
{
    struct cid id;
    const char *text = json_string_value(hex);
    if (!text || strlen(text) != 64 || cid_unhex(text, &id) != 0)
        return 0;
    int r = sm_buf_put_u8(&c->files, (uint8_t)kind);
    return r ? r : sm_buf_put(&c->files, id.b, 32);
}

/* Packs and manifests, and, with capitals, what was deleted again by policy. */
static int take(struct copy_check *c, const struct journal_record *rec)
{
    json_t *o = NULL, *v;
    size_t i;
    if (rec->type != JOURNAL_PACK && rec->type != JOURNAL_MANIFEST && rec->type != JOURNAL_EXPIRED &&
        rec->type != JOURNAL_PACK_DELETED)
        return 0;
    int r = sm_json_parse(rec->payload, JOURNAL_PAYLOAD_MAX, &o, NULL);
    if (r)
        return r == -ENOMEM ? r : 0;
    if (rec->type == JOURNAL_PACK)
        r = note(c, 'p', json_object_get(o, "pack"));
    else if (rec->type == JOURNAL_PACK_DELETED)
        json_array_foreach(json_object_get(o, "packs"), i, v)
            r = r ? r : note(c, 'P', v);
    else
        r = note(c, rec->type == JOURNAL_MANIFEST ? 'm' : 'M', json_object_get(o, "manifest"));
    json_decref(o);
    return r;
}

static int by_id(const void *a, const void *b)
{
    int k = memcmp((const uint8_t *)a + 1, (const uint8_t *)b + 1, 32);
    return k ? k : *(const uint8_t *)a - *(const uint8_t *)b; /* capitals first */
}

/* Once each; without what was deleted after it was there (a copy may have it still), in an order by chance. */
static void settle(struct copy_check *c)
{
    size_t n = c->files.n / ROW, kept = 0;
    uint8_t *p = c->files.p, was[ROW] = { 0 };
    if (n)
        qsort(p, n, ROW, by_id);
    for (size_t i = 0; i < n; i++) {
        uint8_t *row = p + i * ROW;
        bool twice = memcmp(row + 1, was + 1, 32) == 0 && was[0];
        memcpy(was, row, ROW);
        if (twice || row[0] == 'P' || row[0] == 'M')
            continue;
        memmove(p + kept++ * ROW, row, ROW);
    }
    c->files.n = kept * ROW;
    for (size_t i = kept; i > 1; i--) {
        uint32_t k = 0;
        uint8_t swap[ROW];
        crypto_random(&k, sizeof k);
        k %= (uint32_t)i;
        memcpy(swap, p + k * ROW, ROW);
        memcpy(p + k * ROW, p + (i - 1) * ROW, ROW);
        memcpy(p + (i - 1) * ROW, swap, ROW);
    }
    c->res.total = kept;
}

static int step_journal(struct copy_check *c)
{
    for (int i = 0; i < RECORDS_A_STEP; i++) {
        struct journal_record rec;
        int k = c->chain.head.seq < c->head.seq ? chain_next(&c->chain, &rec) : 0;
        if (k == -ENOMEM || (k < 0 && k != -SM_EPARTIAL && k != -SM_ECORRUPT && k != -SM_EFORMAT && k != -SM_EMISMATCH))
            return k;
        if (k == 1) {
            int r = take(c, &rec);
            if (r)
                return r;
            continue;
        }
        if (c->chain.head.seq != c->head.seq || memcmp(c->chain.head.hash, c->head.hash, 32) != 0)
            damage(c, "journal", k == 0 ? "it does not reach its own head" : c->chain.why);
        chain_wipe(&c->chain);
        c->walking = false;
        settle(c);
        c->phase = FILES;
        return 1;
    }
    return 1;
}

static int read_pack(struct copy_check *c, const char *name, const struct cid *id)
{
    struct pack_expect e = { .id = id, .vault = &c->a.vault };
    struct pack_check *check = NULL;
    uint64_t off = 0;
    int r = pack_check_new(&e, NULL, NULL, &check);
    int64_t took = 0;
    while (!r && took >= 0 && (off == 0 || pack_check_left(check))) {
        size_t got = 0;
        r = read_target(c, name, off, c->piece, PIECE, &got);
        took = r || !got ? -SM_EPARTIAL : pack_check_put(check, SM_SPAN(c->piece, got));
        off += got;
    }
    pack_check_free(check);
    c->res.bytes_read += off;
    if (!r && took < 0)
        damage(c, name, "its bytes do not match its name");
    return r;
}

static int read_manifest(struct copy_check *c, const char *name, const struct cid *id, uint64_t size)
{
    struct sm_buf b = SM_BUF_INIT(MANIFEST_MAX + 1);
    struct cid is = { { 0 } };
    int r = size <= MANIFEST_MAX ? sm_buf_reserve(&b, (size_t)size + 1) : 0;
    while (!r && size <= MANIFEST_MAX && b.n < size) {
        size_t got = 0;
        r = read_target(c, name, b.n, b.p + b.n, (size_t)size - b.n, &got);
        if (!r && !got)
            break;
        b.n += r ? 0 : got;
    }
    obj_name(sm_buf_span(&b), &is);
    c->res.bytes_read += b.n;
    if (!r && !cid_eq(&is, id))
        damage(c, name, "its bytes do not match its name");
    sm_buf_wipe(&b);
    return r;
}

static int step_file(struct copy_check *c)
{
    char name[COPY_NAME_MAX], hex[CID_HEX];
    struct cid id;
    uint64_t size = 0;
    if (!c->files.n) {
        c->phase = DONE;
        return 0;
    }
    c->files.n -= ROW;
    bool pack = c->files.p[c->files.n] == 'p';
    memcpy(id.b, c->files.p + c->files.n + 1, 32);
    cid_hex(&id, hex);
    if (pack)
        (void)snprintf(name, sizeof name, "packs/%.2s/%.64s.skp", hex, hex); /* fits */
    else
        (void)snprintf(name, sizeof name, "manifests/%.64s.skm", hex); /* fits */
    *(pack ? &c->res.packs : &c->res.generations) += 1;
    c->res.done++;
    int r = c->a.ops->size(c->a.target, name, &size);
    if (r == -SM_ENOTFOUND) {
        damage(c, name, "the file is not there");
        return 1;
    }
    if (!r && c->a.read_max && c->res.bytes_read >= c->a.read_max)
        return 1;
    c->res.files_read++;
    if (!r)
        r = pack ? read_pack(c, name, &id) : read_manifest(c, name, &id, size);
    return r ? r : 1;
}

int copy_check_step(struct copy_check *c)
{
    switch (c->phase) {
    case HEAD:
        return step_head(c);
    case JOURNAL:
        return step_journal(c);
    case FILES:
        return step_file(c);
    default:
        return 0;
    }
}

int copy_check_new(const struct copy_check_args *a, struct copy_check **ret)
{
    struct copy_check *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->a = *a;
    c->files = SM_BUF_INIT(FILES_MAX * ROW);
    c->piece = malloc(PIECE);
    if (!c->piece) {
        free(c);
        return -ENOMEM;
    }
    *ret = c;
    return 0;
}

void copy_checked(const struct copy_check *c, struct copy_checked *ret)
{
    *ret = c->res;
}

void copy_check_free(struct copy_check *c)
{
    if (!c)
        return;
    if (c->walking)
        chain_wipe(&c->chain);
    sm_buf_wipe(&c->files);
    free(c->piece);
    free(c);
}
