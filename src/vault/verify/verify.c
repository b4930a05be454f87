#include "vault/verify/verify.h"
#include <errno.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/fs.h"
#include "vault/store/store_internal.h"

#define PAGES_KNOWN_MAX ((size_t)1 << 21)   /* 80 MiB; beyond it pages are read again for later generations */
#define KEYS_MAX 100000u

enum phase { PHASE_JOURNAL, PHASE_PACKS, PHASE_GENERATIONS, PHASE_END, PHASE_DONE };

struct key_row { uint32_t client; uint64_t seq; uint8_t sign_pub[32]; };
struct bad_row { struct cid id; uint32_t pack, damage; };
/* What is below a page: 0 sound, else the number of the first damage. */
struct page_note { struct cid id; uint32_t damage; };

struct verify {
    struct store *st;
    enum verify_kind kind;
    struct verify_hooks h;
    enum phase phase;
    size_t pack, packs, generation, generations;
    struct verify_progress progress;
    struct verify_result result;
    uint64_t start_ms;
    struct rows damage;                     /* struct verify_damage, numbered from 1 */
    struct rows keys;                       /* device keys over time */
    struct rows bad; struct idmap bad_map;  /* objects */
    uint32_t *bad_pack;                     /* whole packs: damage number */
    struct rows page; struct idmap page_map;
    struct reader reader;
};

const char *verify_what_name(enum verify_what w)
{
    static const char *const names[] = {
        [VERIFY_JOURNAL] = "journal", [VERIFY_PACK_MISSING] = "pack-missing", [VERIFY_PACK_HEAD] = "pack-head",
            [VERIFY_OBJECT] = "object",
        [VERIFY_MANIFEST_MISSING] = "manifest-missing", [VERIFY_MANIFEST] = "manifest",
            [VERIFY_SIGNATURE] = "signature",
        [VERIFY_COUNTERSIGN] = "countersign", [VERIFY_CLOSURE] = "closure", [VERIFY_INDEX] = "index",
            [VERIFY_HEAD] = "head",
    };
    return w >= VERIFY_JOURNAL && w <= VERIFY_HEAD ? names[w] : "?";
}

/* ---- naming ---- */

/* Was this said in the journal before?  Bit rot stays; one record of it is enough. */
static bool known_damage(const struct verify *v, const struct verify_damage *d, uint32_t pack)
{
    if (d->what == VERIFY_OBJECT && d->has_object) {
        struct place p;
        return !place_find(v->st, STORE_NONE, &d->object, &p) && place_raw(v->st, &d->object, &p) && p.pack == pack;
    }
    return (d->what == VERIFY_PACK_MISSING || d->what == VERIFY_PACK_HEAD) && pack != STORE_NONE &&
        store_pack_row(v->st, pack)->lost;
}

static int found(struct verify *v, const struct verify_damage *d, uint32_t pack, uint32_t *ret_number)
{
    struct verify_damage *row = rows_next(&v->damage, sizeof *row, UINT32_MAX - 1);
    if (!row)
        return -ENOMEM;
    *row = *d;
    if (ret_number)
        *ret_number = (uint32_t)v->damage.n + 1;
    v->damage.n++;
    v->result.damaged++;
    v->progress.damaged++;
    if (v->h.damage)
        v->h.damage(v->h.arg, d);
    /* The index is a cache and is made anew, a stored head is one of 32: named, but no damage of the vault's own. */
    if (!v->h.record || d->what == VERIFY_INDEX || d->what == VERIFY_HEAD || known_damage(v, d, pack))
        return 0;
    struct store_damage s = { .what = verify_what_name(d->what), .object = d->has_object ? &d->object : NULL,
        .file = d->file,
        .offset = d->offset, .found_by = "verify" };
    return store_damage(v->st, &s);
}

static void pack_file(const struct verify *v, uint32_t pack, struct verify_damage *d)
{
    char path[80];
    pack_path(&store_pack_row(v->st, pack)->id, path);
    (void)snprintf(d->file, sizeof d->file, "packs/%s", path); /* fits */
}

static int found_pack(struct verify *v, uint32_t pack, enum verify_what what, const char *why)
{
    struct verify_damage d = { .what = what };
    pack_file(v, pack, &d);
    (void)snprintf(d.why, sizeof d.why, "%s", why); /* fits: our own texts */
    return found(v, &d, pack, &v->bad_pack[pack]);
}

static int found_object(struct verify *v, uint32_t pack, const struct pack_object *o, const char *why)
{
    struct verify_damage d = { .what = VERIFY_OBJECT, .offset = o->offset, .has_object = true, .object = o->cid,
        .type = o->type };
    pack_file(v, pack, &d);
    (void)snprintf(d.why, sizeof d.why, "%s", why); /* fits: our own texts */
    uint32_t number = 0;
    int err = found(v, &d, pack, &number);
    struct bad_row *row = err ? NULL : rows_next(&v->bad, sizeof *row, UINT32_MAX - 1);
    if (!row)
        return err ? err : -ENOMEM;
    *row = (struct bad_row){ o->cid, pack, number };
    err = idmap_add(&v->bad_map, v->bad.p, sizeof *row, v->bad.n);
    v->bad.n += !err;
    return err;
}

/* ---- journal ---- */

static int journal_row(void *arg, const struct journal_record *r)
{
    struct verify *v = arg;
    if (r->type != JOURNAL_CLIENT)
        return 0;
    json_t *o = NULL;
    if (sm_json_parse(r->payload, JOURNAL_RECORD_MAX, &o, NULL))
        /* it was readable when the vault was opened; the chain says whether it still is */
        return 0;
    struct sm_obj obj = SM_OBJ(o);
    struct client_id id;
    struct key_row k = { .seq = r->seq };
    sm_obj_hex(&obj, "client", id.b, 16);
    sm_obj_hex(&obj, "sign_pub", k.sign_pub, 32);
    k.client = obj.err ? STORE_NONE : store_find_client(v->st, &id);
    sm_json_free(&o);
    struct key_row *row = k.client == STORE_NONE ? NULL : rows_next(&v->keys, sizeof *row, KEYS_MAX);
    if (row) {
        *row = k;
        v->keys.n++;
    }
    return row || k.client == STORE_NONE ? 0 : -ENOMEM;
}

static int check_heads(struct verify *v)
{
    int err = 0;
    for (unsigned i = 0; !err && v->h.head_pub && v->st->heads >= 0 && i < STORE_HEADS; i++) {
        struct verify_damage d = { .what = VERIFY_HEAD };
        (void)snprintf(d.file, sizeof d.file, "heads/%u.head", i); /* fits */
        struct sm_buf b = SM_BUF_INIT(4096);
        struct journal_signed_head h;
        int got = plat_fs_read_file(v->st->heads, d.file + 6, JOURNAL_SIGNED_HEAD_BYTES, &b);
        /* Heads are not synced: after a power failure one may be there without its bytes. */
        static const uint8_t zero[JOURNAL_SIGNED_HEAD_BYTES];
        bool blank = got == 0 && b.n <= sizeof zero && memcmp(b.p ? b.p : zero, zero, b.n) == 0;
        if (got != -ENOENT && !blank) {
            bool signature = got == 0 && journal_head_get(sm_buf_span(&b), &h) == 0 &&
                journal_head_verify(&h, v->h.head_pub) == 0;
            int ours = signature ? journal_is_ancestor(v->st->journal, &h.head) : 1;
            (void)snprintf(d.why, sizeof d.why, "%s",
                signature ? "signed, but no part of this journal: rolled back or forked" :
                "not a head, or its signature is wrong"); /* fits */
            if (!signature || ours != 1)
                err = found(v, &d, STORE_NONE, NULL);
        }
        sm_buf_wipe(&b);
    }
    return err;
}

static int step_journal(struct verify *v)
{
    struct journal_fault f = { 0 };
    if (!v->st->journal) {
        struct verify_damage d = { .what = VERIFY_JOURNAL, .file = "journal", .why = "the journal cannot be read" };
        v->phase = PHASE_PACKS;
        return found(v, &d, STORE_NONE, NULL);
    }
    int err = journal_each(v->st->journal, 1, journal_row, v, &f);
    if (err == -SM_ECORRUPT) {
        struct verify_damage d = { .what = VERIFY_JOURNAL, .offset = f.offset };
        (void)snprintf(d.file, sizeof d.file, "journal/%s", f.file); /* fits */
        (void)snprintf(d.why, sizeof d.why, "record %llu: %s", (unsigned long long)f.seq, f.why); /* fits */
        err = found(v, &d, STORE_NONE, NULL);
    }
    if (!err)
        err = check_heads(v);
    v->phase = PHASE_PACKS;
    return err;
}

/* ---- packs ---- */

struct head { struct pack_header h; struct sm_buf objects; size_t n; };

static const struct pack_object *head_object(const struct head *h, size_t i)
{
    return (const struct pack_object *)(const void *)h->objects.p + i;
}

/* Header and directory of an open pack.  1 sound, 0 not. */
static int read_head(struct verify *v, uint32_t pack, int fd, struct head *ret)
{
    struct sm_buf b = SM_BUF_INIT(PACK_HEADER_LEN + (size_t)PACK_OBJECTS_MAX * PACK_DIRENT_LEN);
    size_t n = PACK_HEADER_LEN + (size_t)store_pack_row(v->st, pack)->objects * PACK_DIRENT_LEN;
    struct cid id;
    int err = sm_buf_reserve(&b, n);
    if (!err)
        err = plat_fs_pread_all(fd, b.p, n, 0);
    if (!err) {
        b.n = n;
        err = pack_head_parse(sm_buf_span(&b), &ret->h, &id, &ret->objects);
        if (!err && !cid_eq(&id, &store_pack_row(v->st, pack)->id))
            err = -SM_EMISMATCH;
    }
    sm_buf_wipe(&b);
    ret->n = err ? 0 : ret->objects.n / sizeof(struct pack_object);
    return err == -ENOMEM ? err : err == 0;
}

static int check_index(struct verify *v, uint32_t pack, const struct head *h)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct pack_object *o = head_object(h, i);
        struct place p;
        bool here = place_raw(v->st, &o->cid, &p);
        if (here && (p.pack != pack || (p.offset == o->offset && p.length == o->length && p.type == o->type)))
            continue;
        struct verify_damage d = { .what = VERIFY_INDEX, .offset = o->offset, .has_object = true, .object = o->cid,
            .type = o->type };
        pack_file(v, pack, &d);
        /* fits */
        (void)snprintf(d.why, sizeof d.why, "the index does not hold this object; removing cache/ makes it anew");
        return found(v, &d, pack, NULL);
    }
    return 0;
}

/* One object after the other: which of them are damaged? */
static int check_objects(struct verify *v, uint32_t pack, int fd, const struct head *h)
{
    struct sm_buf b = SM_BUF_INIT(OBJ_SEALED_MAX);
    int err = 0;
    for (size_t i = 0; !err && i < h->n; i++) {
        const struct pack_object *o = head_object(h, i);
        struct obj_hdr hdr;
        sm_buf_clear(&b);
        int got = pack_read_object(fd, o, &b);
        if (got == -ENOMEM)
            err = got;
        else if (got)
            err = found_object(v, pack, o, got == -SM_EPARTIAL ? "the file ends before or inside it" :
                "its bytes are not what its name says");
        else if (obj_hdr_expect(sm_buf_span(&b), o->type, &h->h.client, &hdr))
            err = found_object(v, pack, o, "of another type or client than its pack says");
    }
    sm_buf_wipe(&b);
    return err;
}

static int check_data(struct verify *v, uint32_t pack, int fd, const struct head *h)
{
    struct pack_check *check = NULL;
    struct pack_expect e = { .id = &store_pack_row(v->st, pack)->id, .vault = &v->st->vault };
    int err = pack_check_new(&e, NULL, NULL, &check);
    if (err)
        return err;
    int sound = pack_check_whole(check, fd);
    uint64_t bytes = pack_check_taken(check);
    pack_check_free(check);
    plat_fs_forget(fd, 0, store_pack_row(v->st, pack)->bytes);
    v->result.bytes += bytes;
    v->progress.bytes += bytes;
    if (sound == -ENOMEM)
        return sound;
    uint64_t before = v->result.damaged;
    err = sound ? check_objects(v, pack, fd, h) : 0;
    if (!err && sound && v->result.damaged == before)
        err = found_pack(v, pack, VERIFY_PACK_HEAD, "breaks a rule of the format");
    return err;
}

/* What the journal says is damaged here: still?  What reads well again (healed, put back) is said to be whole. */
static int check_marked(struct verify *v, uint32_t pack, int fd, const struct head *h)
{
    bool lost = store_pack_row(v->st, pack)->lost;
    uint64_t before = v->result.damaged;
    if (!lost && !v->st->damaged_rows.n)
        return 0;
    struct sm_buf b = SM_BUF_INIT(OBJ_SEALED_MAX), whole = SM_BUF_INIT((size_t)PACK_OBJECTS_MAX * 32);
    int err = 0;
    for (size_t i = 0; !err && i < h->n; i++) {
        const struct pack_object *o = head_object(h, i);
        struct place p;
        uint32_t bad = idmap_get(&v->bad_map, v->bad.p, sizeof(struct bad_row), o->cid.b);
        if (!place_raw(v->st, &o->cid, &p) || p.pack != pack || place_find(v->st, STORE_NONE, &o->cid, &p) ||
            (bad != STORE_NONE && ((const struct bad_row *)v->bad.p)[bad].pack == pack))
            continue;
        sm_buf_clear(&b);
        int got = pack_read_object(fd, o, &b);
        if (got == -ENOMEM)
            err = got;
        else if (got)
            err = found_object(v, pack, o, "its bytes are not what its name says");
        else
            err = sm_buf_put(&whole, o->cid.b, 32);
    }
    struct verify_damage d = { .file = "" };
    pack_file(v, pack, &d);
    lost = lost && v->result.damaged == before;
    if (!err && v->h.record && (lost || whole.n))
        err = store_healed(v->st, &(struct store_healed){ .what = lost ? "pack" : "object", .file = d.file,
            .objects = (const struct cid *)(const void *)whole.p, .n = whole.n / 32, .found_by = "verify" });
    sm_buf_wipe(&b);
    sm_buf_wipe(&whole);
    return err;
}

static int check_pack(struct verify *v, uint32_t pack, int fd)
{
    struct head h = { .objects = SM_BUF_INIT((size_t)PACK_OBJECTS_MAX * sizeof(struct pack_object)) };
    uint64_t size = 0;
    int sound = read_head(v, pack, fd, &h);
    int err = sound < 0 ? sound : plat_fs_size(fd, &size);
    if (!err && !sound)
        err = found_pack(v, pack, VERIFY_PACK_HEAD, "header or directory is not what the pack's name says");
    else if (!err) {
        v->result.objects += h.n;
        err = check_index(v, pack, &h);
        if (!err && (v->kind == VERIFY_DATA || (v->h.data_of && v->h.data_of(v->h.arg, pack))))
            err = check_data(v, pack, fd, &h);
        else if (!err && size < store_pack_row(v->st, pack)->bytes)
            err = check_objects(v, pack, fd, &h);
        if (!err)
            err = check_marked(v, pack, fd, &h);
    }
    sm_buf_wipe(&h.objects);
    return err;
}

static int step_pack(struct verify *v)
{
    if (v->pack == v->packs) {
        v->phase = PHASE_GENERATIONS;
        return 0;
    }
    uint32_t pack = (uint32_t)v->pack++;
    v->progress.packs++;
    if (store_pack_row(v->st, pack)->gone)
        return 0;                           /* deleted, by record */
    v->result.packs++;
    int fd = place_open_pack(v->st, pack);
    if (fd == -ENOENT || fd == -EACCES || fd == -EIO || fd == -ELOOP)
        return found_pack(v, pack, VERIFY_PACK_MISSING, fd == -ENOENT ? "the file is missing" :
            "the file cannot be opened");
    if (fd < 0)
        return fd;
    int err = check_pack(v, pack, fd);
    if (err == -EIO)
        err = found_pack(v, pack, VERIFY_PACK_HEAD, "the disk cannot read it");
    (void)close(fd); /* opened for reading */
    return err;
}

/* ---- generations ---- */

static int found_manifest(struct verify *v, const struct generation_row *g, enum verify_what what, const char *why,
    uint32_t *ret_number)
{
    struct verify_damage d = { .what = what, .has_object = what == VERIFY_MANIFEST || what == VERIFY_MANIFEST_MISSING,
        .object = g->manifest };
    char hex[CID_HEX];
    cid_hex(&g->manifest, hex);
    (void)snprintf(d.file, sizeof d.file, "manifests/%s.skm", hex); /* fits */
    (void)snprintf(d.why, sizeof d.why, "%s", why);                 /* fits: our own texts */
    uint32_t number = 0;
    int err = found(v, &d, STORE_NONE, &number);
    if (!*ret_number)
        *ret_number = number;
    return err;
}

static bool signed_by_device(const struct verify *v, const struct generation_row *g, struct sm_span manifest)
{
    /* The device's key at that time: it may have been given another since. */
    for (size_t i = v->keys.n; i > 0; i--) {
        const struct key_row *k = (const struct key_row *)v->keys.p + (i - 1);
        if (k->client == g->client && k->seq < g->seq)
            return manifest_verify(manifest, k->sign_pub) == 0;
    }
    return !v->st->journal;                 /* the keys are in the journal: nothing to compare with */
}

/* 1 sound or not to be judged, 0 not. */
static int countersigned(const struct verify *v, const struct generation_row *g)
{
    static const uint8_t none[64];
    json_t *o = NULL;
    uint8_t sig[64];
    if (!v->h.head_pub || !v->st->journal)
        return 1;
    int err = store_generation_json(v->st, &g->manifest, &o);
    if (err)
        return err == -ENOMEM ? err : 0;
    struct sm_obj obj = SM_OBJ(o);
    sm_obj_hex(&obj, "box_sig", sig, 64);
    sm_json_free(&o);
    if (obj.err || memcmp(sig, none, 64) == 0)
        return obj.err == 0;
    return manifest_countersign_verify(&g->manifest, g->seq, g->time.s, v->h.head_pub, sig) == 0;
}

static uint32_t object_damage(const struct verify *v, const struct cid *cid, const struct place *p)
{
    if (p->pack >= v->packs)
        return 0;                           /* came while we look: not looked at */
    if (v->bad_pack[p->pack])
        return v->bad_pack[p->pack];
    uint32_t at = idmap_get(&v->bad_map, v->bad.p, sizeof(struct bad_row), cid->b);
    const struct bad_row *b = at == STORE_NONE ? NULL : (const struct bad_row *)v->bad.p + at;
    return b && b->pack == p->pack ? b->damage : 0;
}

static int note_page(struct verify *v, const struct cid *page, uint32_t damage)
{
    if (v->page.n >= PAGES_KNOWN_MAX) {
        v->page.n = 0;
        idmap_wipe(&v->page_map);
    }
    struct page_note *row = rows_next(&v->page, sizeof *row, PAGES_KNOWN_MAX);
    if (!row)
        return -ENOMEM;
    *row = (struct page_note){ *page, damage };
    int err = idmap_add(&v->page_map, v->page.p, sizeof *row, v->page.n);
    v->page.n += !err;
    return err;
}

static int check_object(struct verify *v, const struct generation_row *g, const struct cid *cid, unsigned depth,
    uint32_t *damage);

static int check_refs(struct verify *v, const struct generation_row *g, const struct cid *page, const struct place *p,
    unsigned depth,
    uint32_t *damage)
{
    struct sm_buf sealed = SM_BUF_INIT(PAGE_SEALED_MAX), below = SM_BUF_INIT((size_t)PAGE_REFS_MAX * 32);
    struct pack_object o = { *page, p->offset, p->length, p->type };
    struct page_refs refs = { 0 };
    int got = reader_object(v->st, &v->reader, page, p, &sealed);
    int err = got == -ENOMEM ? got : 0;
    if (!err && got)
        err = found_object(v, p->pack, &o, "its bytes are not what its name says");
    else if (!err && page_refs(sm_buf_span(&sealed), &store_client_row(v->st, g->client)->c.id, &refs))
        err = found_object(v, p->pack, &o, "not a sound page");
    if (!err)
        *damage = object_damage(v, page, p);
    if (!err && refs.n)
        err = sm_buf_put(&below, refs.ref, (size_t)refs.n * 32);
    sm_buf_wipe(&sealed);                   /* not kept while deeper pages are read */
    for (size_t i = 0; !err && i < below.n; i += 32) {
        uint32_t deeper = 0;
        err = check_object(v, g, (const struct cid *)(const void *)(below.p + i), depth + 1, &deeper);
        if (!*damage)
            *damage = deeper;
    }
    sm_buf_wipe(&below);
    return err ? err : note_page(v, page, *damage);
}

/* The first damage at or below an object; 0 sound. */
static int check_object(struct verify *v, const struct generation_row *g, const struct cid *cid, unsigned depth,
    uint32_t *damage)
{
    struct place p;
    if (!place_raw(v->st, cid, &p) || p.client != g->client || store_pack_row(v->st, p.pack)->gone ||
        depth > VAULT_DEPTH_MAX + 1) {
        struct verify_damage d = { .what = VERIFY_CLOSURE, .has_object = true, .object = *cid };
        (void)snprintf(d.why, sizeof d.why, "%s", depth > VAULT_DEPTH_MAX + 1 ? "too deep" :
            "something refers to it, and it is not there"); /* fits */
        return found(v, &d, STORE_NONE, damage);
    }
    *damage = object_damage(v, cid, &p);
    if (*damage || (p.type != OBJ_DIRPAGE && p.type != OBJ_STREAMPAGE))
        return 0;
    uint32_t at = idmap_get(&v->page_map, v->page.p, sizeof(struct page_note), cid->b);
    if (at != STORE_NONE) {
        *damage = ((struct page_note *)v->page.p)[at].damage;
        return 0;
    }
    return check_refs(v, g, cid, &p, depth, damage);
}

static int check_generation(struct verify *v, const struct generation_row *g, uint32_t *damage)
{
    struct sm_buf b = SM_BUF_INIT(MANIFEST_MAX + 4096);
    struct manifest m = { 0 };
    int got = store_manifest(v->st, &g->manifest, &b);
    int err = got == -ENOMEM ? got : 0;
    if (!err && got) {
        char hex[CID_HEX], name[80];
        cid_hex(&g->manifest, hex);
        (void)snprintf(name, sizeof name, "%s.skm", hex); /* fits */
        int fd = plat_fs_open_read(v->st->manifests, name);
        err = found_manifest(v, g, fd == -ENOENT ? VERIFY_MANIFEST_MISSING : VERIFY_MANIFEST,
            fd == -ENOENT ? "the file is missing" : "its bytes are not what its name says", damage);
        if (fd >= 0)
            (void)close(fd); /* opened for reading */
        sm_buf_wipe(&b);
        return err;
    }
    if (!err && manifest_parse(sm_buf_span(&b), &m))
        err = found_manifest(v, g, VERIFY_MANIFEST, "not a manifest", damage);
    else if (!err && !signed_by_device(v, g, sm_buf_span(&b)))
        err = found_manifest(v, g, VERIFY_SIGNATURE, "the device's signature is wrong", damage);
    int sig = err ? 1 : countersigned(v, g);
    if (!err && sig < 0)
        err = sig;
    if (!err && sig == 0)
        err = found_manifest(v, g, VERIFY_COUNTERSIGN, "the box's signature in the journal is wrong", damage);
    uint32_t below = 0;
    if (!err && m.roots)
        err = check_object(v, g, &m.envelope, 0, &below);
    for (size_t i = 0; !err && i < m.nroots; i++) {
        if (!*damage)
            *damage = below;
        below = 0;
        err = check_object(v, g, &m.roots[i], 0, &below);   /* depth 0 = a root, as in walk.c */
    }
    if (!*damage)
        *damage = below;
    sm_buf_wipe(&b);
    return err;
}

static int step_generation(struct verify *v)
{
    if (v->generation == v->generations) {
        v->phase = PHASE_END;
        return 0;
    }
    struct generation_row g = *store_generation_row(v->st, v->generation++);
    uint32_t damage = 0;
    v->progress.generations++;
    if (g.gone)
        return 0;                           /* expired, by record */
    v->result.generations++;
    int err = check_generation(v, &g, &damage);
    if (!err && !damage && g.damaged && v->h.record)
        return store_healed(v->st, &(struct store_healed){ .what = "generation", .object = &g.manifest,
            .found_by = "verify" });
    if (err || !damage)
        return err;
    v->result.hit++;
    if (v->h.hit)
        v->h.hit(v->h.arg, &g.manifest, (struct verify_damage *)v->damage.p + (damage - 1));
    if (!v->h.record || g.damaged)
        return 0;
    return store_damage(v->st, &(struct store_damage){ .what = "generation", .object = &g.manifest,
        .found_by = "verify" });
}

/* ---- running ---- */

int verify_new(struct store *st, enum verify_kind kind, const struct verify_hooks *h, struct verify **ret)
{
    if ((kind != VERIFY_STRUCTURE && kind != VERIFY_DATA) || (h->record && st->read_only))
        return -SM_EINVAL;
    struct verify *v = calloc(1, sizeof *v);
    if (!v)
        return -ENOMEM;
    *v = (struct verify){ .st = st, .kind = kind, .h = *h, .packs = st->pack_rows.n,
        .generations = st->generation_rows.n,
        .start_ms = plat_clock_mono_ms(), .reader = READER_INIT };
    v->bad_pack = calloc(v->packs + 1, sizeof *v->bad_pack);
    if (!v->bad_pack) {
        free(v);
        return -ENOMEM;
    }
    v->progress = (struct verify_progress){ .phase = kind, .packs_total = v->packs, .generations_total = v->generations,
        .bytes_total = kind == VERIFY_DATA ? st->pack_bytes : 0 };
    *ret = v;
    return 0;
}

static int step_end(struct verify *v)
{
    v->phase = PHASE_DONE;
    v->result.ms = plat_clock_mono_ms() - v->start_ms;
    v->result.sound = v->result.damaged == 0;
    if (!v->h.record)
        return 0;
    return store_verified(v->st, v->kind == VERIFY_DATA ? "data" : "structure", v->result.packs, v->result.objects,
        v->result.bytes,
        v->result.damaged, v->result.ms);
}

int verify_step(struct verify *v)
{
    static int (*const steps[])(struct verify *) = { step_journal, step_pack, step_generation, step_end };
    if (v->phase == PHASE_DONE)
        return 0;
    int err = steps[v->phase](v);
    if (!err && v->h.progress && v->h.progress(v->h.arg, &v->progress))
        err = -SM_ECANCEL;
    if (err)
        v->phase = PHASE_DONE;
    return err ? err : v->phase != PHASE_DONE;
}

void verify_result(const struct verify *v, struct verify_result *ret)
{
    *ret = v->result;
}

void verify_free(struct verify *v)
{
    if (!v)
        return;
    store_reader_close(&v->reader);
    free(v->damage.p);
    free(v->keys.p);
    free(v->bad.p);
    free(v->page.p);
    free(v->bad_pack);
    idmap_wipe(&v->bad_map);
    idmap_wipe(&v->page_map);
    free(v);
}

int verify_run(struct store *st, enum verify_kind kind, const struct verify_hooks *h, struct verify_result *ret)
{
    struct verify *v = NULL;
    int err = verify_new(st, kind, h, &v);
    while (!err) {
        int more = verify_step(v);
        if (more <= 0) {
            err = more;
            break;
        }
    }
    if (!err)
        verify_result(v, ret);
    verify_free(v);
    return err;
}

int verify_journal(const char *dir, struct journal_fault *ret)
{
    struct sm_buf b = SM_BUF_INIT(256);
    uint8_t vault[16];
    int at = plat_fs_open_dir(AT_FDCWD, dir), fd = at < 0 ? at : plat_fs_open_dir(at, "journal");
    int err = fd < 0 ? fd : plat_fs_read_file(at, "format", 256, &b);
    if (!err && (b.n != 50 || sm_unhex((const char *)b.p + 17, 32, vault, 16)))
        err = -SM_ECORRUPT;
    struct journal *j = NULL;
    struct journal_cut cut;
    struct journal_fault f = { 0 };
    if (!err)
        err = journal_open(&(struct journal_open_args){ .dirfd = fd, .vault = vault, .flags = JOURNAL_READ_ONLY }, &j,
            &cut, &f);
    if (err)
        *ret = f;
    journal_close(j);
    sm_buf_wipe(&b);
    if (fd >= 0)
        (void)close(fd); /* opened for reading */
    if (at >= 0)
        (void)close(at); /* opened for reading */
    return err;
}
