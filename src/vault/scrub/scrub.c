#include <errno.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/fs.h"
#include "vault/scrub/scrub.h"
#include "vault/store/store_internal.h"

#define SAVE_FILE "scrub"
#define SAVE_MAX ((size_t)256 << 10)
#define SAVE_EVERY 32u                      /* packs */
#define MANIFESTS_A_STEP 32u

struct scrub {
    struct store *st;
    struct scrub_hooks h;
    struct scrub_state s;
    struct scrub_pack *job; bool job_fresh;
    uint32_t next_pack, next_generation, unsaved;
    uint64_t spare_seq;                     /* the second journal is as far as this */
    uint32_t spare_generation;              /* generations whose second manifest was seen to */
    struct spare_compare compare;
    struct verify *naming; enum scrub_phase after;
    bool named;                             /* of this round: what was found first was named at once */
    bool final, wanted;                     /* naming: the round's last step; something new is to be named */
    uint64_t start_ms, ms;                  /* of this process; before it */
    uint32_t bad[SCRUB_BAD_MAX]; uint32_t nbad;
};

const char *scrub_phase_name(enum scrub_phase p)
{
    static const char *const names[] = { "idle", "packs", "manifests", "journal", "naming" };
    return p <= SCRUB_NAMING ? names[p] : "?";
}

/* ---- where we are, over restarts ---- */

static const struct { const char *key; size_t at; } count_rows[] = {
    { "packs", offsetof(struct scrub_counts, packs) }, { "bytes", offsetof(struct scrub_counts, bytes) },
    { "protected", offsetof(struct scrub_counts, protected_) }, { "bare", offsetof(struct scrub_counts, bare) },
    { "healed", offsetof(struct scrub_counts, healed) }, { "damaged", offsetof(struct scrub_counts, damaged) },
    { "manifests", offsetof(struct scrub_counts, manifests) }, { "hit", offsetof(struct scrub_counts, hit) },
    { "journal_files", offsetof(struct scrub_counts, journal_files) },
};
#define COUNTS (sizeof count_rows / sizeof *count_rows)

static uint64_t *count_at(struct scrub_counts *c, size_t i)
{
    return (uint64_t *)(void *)((uint8_t *)c + count_rows[i].at);
}

static uint64_t spent_ms(const struct scrub *s)
{
    return s->ms + (plat_clock_mono_ms() - s->start_ms);
}

static json_t *save_json(struct scrub *s)
{
    /* Naming is begun anew: from where it was called. */
    enum scrub_phase phase = s->s.phase != SCRUB_NAMING ? s->s.phase : s->final ? SCRUB_JOURNAL : s->after;
    const struct { const char *key; int64_t v; } row[] = {
        { "phase", phase }, { "pack", s->next_pack },
        { "generation", s->next_generation }, { "started", s->s.started_s }, { "finished", s->s.finished_s },
        { "fresh", (int64_t)s->s.fresh }, { "person", s->s.by_person }, { "ms", (int64_t)spent_ms(s) },
    };
    json_t *o = json_object(), *bad = json_array();
    bool ok = o && bad;
    for (size_t i = 0; ok && i < sizeof row / sizeof *row; i++)
        ok = json_set(o, row[i].key, json_integer(row[i].v));
    for (size_t i = 0; ok && i < COUNTS; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "now_%s", count_rows[i].key); /* fits */
        ok = json_set(o, key, json_integer((json_int_t)*count_at(&s->s.now, i)));
        (void)snprintf(key, sizeof key, "last_%s", count_rows[i].key); /* fits */
        ok = ok && json_set(o, key, json_integer((json_int_t)*count_at(&s->s.last, i)));
    }
    for (uint32_t i = 0; ok && i < s->nbad; i++)
        ok = json_array_append_new(bad, json_integer(s->bad[i])) == 0;
    ok = ok && json_object_set(o, "bad", bad) == 0;
    json_decref(bad);
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

/* A cache: losing it costs a round that begins anew. */
static void save(struct scrub *s)
{
    s->unsaved = 0;
    if (s->st->read_only || s->st->cache < 0 || s->st->broken)
        return;
    struct sm_buf b = SM_BUF_INIT(SAVE_MAX);
    json_t *o = save_json(s);
    if (o && sm_json_dump(o, &b) == 0)
        (void)plat_replace(s->st->cache, SAVE_FILE, sm_buf_span(&b), 0600); /* see above */
    json_decref(o);
    sm_buf_wipe(&b);
}

static void load_row(struct scrub *s, const json_t *v)
{
    struct sm_obj o = SM_OBJ(v);
    const json_t *bad = json_object_get(v, "bad");
    struct scrub_state n = { 0 };
    n.phase = (enum scrub_phase)sm_obj_int(&o, "phase", SCRUB_IDLE, SCRUB_NAMING);
    uint32_t pack = (uint32_t)sm_obj_int(&o, "pack", 0, STORE_PACKS_MAX);
    uint32_t generation = (uint32_t)sm_obj_int(&o, "generation", 0, STORE_GENERATIONS_MAX);
    n.started_s = sm_obj_int(&o, "started", INT64_MIN, INT64_MAX);
    n.finished_s = sm_obj_int(&o, "finished", INT64_MIN, INT64_MAX);
    n.fresh = (uint64_t)sm_obj_int(&o, "fresh", 0, STORE_PACKS_MAX);
    n.by_person = sm_obj_int(&o, "person", 0, 1) == 1;
    uint64_t ms = (uint64_t)sm_obj_int(&o, "ms", 0, INT64_MAX);
    for (size_t i = 0; i < COUNTS; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "now_%s", count_rows[i].key); /* fits */
        *count_at(&n.now, i) = (uint64_t)sm_obj_int(&o, key, 0, INT64_MAX);
        (void)snprintf(key, sizeof key, "last_%s", count_rows[i].key); /* fits */
        *count_at(&n.last, i) = (uint64_t)sm_obj_int(&o, key, 0, INT64_MAX);
    }
    if (o.err || n.fresh > s->st->pack_rows.n || pack > n.fresh)
        return;
    s->s = n;
    s->next_pack = pack;
    s->next_generation = generation;
    s->ms = ms;
    for (size_t i = 0; i < json_array_size(bad) && s->nbad < SCRUB_BAD_MAX; i++) {
        json_int_t at = json_integer_value(json_array_get(bad, i));
        if (at >= 0 && (uint64_t)at < s->st->pack_rows.n)
            s->bad[s->nbad++] = (uint32_t)at;
    }
}

static int load(struct scrub *s)
{
    struct sm_buf b = SM_BUF_INIT(SAVE_MAX);
    json_t *v = NULL;
    int r = s->st->cache < 0 || s->st->read_only ? -ENOENT :
        plat_fs_read_file(s->st->cache, SAVE_FILE, SAVE_MAX, &b);
    if (r == 0)
        r = sm_json_parse(sm_buf_span(&b), SAVE_MAX, &v, NULL);
    if (r == 0)
        load_row(s, v);
    sm_json_free(&v);
    sm_buf_wipe(&b);
    return r == -ENOMEM ? r : 0;
}

int scrub_new(struct store *st, const struct scrub_hooks *h, struct scrub **ret)
{
    if (h->record && st->read_only)
        return -SM_EINVAL;
    struct scrub *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->st = st;
    s->h = *h;
    s->start_ms = plat_clock_mono_ms();
    int r = load(s);
    if (r < 0) {
        free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void scrub_free(struct scrub *s)
{
    if (!s)
        return;
    save(s);
    scrub_pack_free(s->job);
    verify_free(s->naming);
    free(s);
}

/* ---- findings ---- */

static void tell(struct scrub *s, struct scrub_finding *f)
{
    if (f->verdict == SCRUB_HEALED)
        s->s.now.healed++;
    else
        s->s.now.damaged++;
    if (s->h.found)
        s->h.found(s->h.arg, f);
}

/* One object of a healed pack: into the index, where its directory could not be read before; noted, where it was said
 * to be damaged. */
static int healed_object(struct scrub *s, uint32_t pack, const struct pack_object *o, struct sm_buf *ret)
{
    struct place p;
    if (!place_raw(s->st, &o->cid, &p))
        return place_add(s->st, pack, (uint16_t)store_pack_row(s->st, pack)->client, o, 1, NULL);
    if (p.pack != pack || place_find(s->st, STORE_NONE, &o->cid, &p))
        return 0;
    return sm_buf_put(ret, o->cid.b, 32);
}

static int healed_objects(struct scrub *s, uint32_t pack, struct sm_buf *ret)
{
    struct sm_buf head = SM_BUF_INIT(PACK_HEADER_LEN + (size_t)PACK_OBJECTS_MAX * PACK_DIRENT_LEN);
    struct sm_buf objects = SM_BUF_INIT((size_t)PACK_OBJECTS_MAX * sizeof(struct pack_object));
    size_t n = PACK_HEADER_LEN + (size_t)store_pack_row(s->st, pack)->objects * PACK_DIRENT_LEN;
    struct pack_header h;
    struct cid id;
    int fd = place_open_pack(s->st, pack);
    int r = fd < 0 ? fd : sm_buf_reserve(&head, n);
    if (r == 0)
        r = plat_fs_pread_all(fd, head.p, n, 0);
    if (r == 0) {
        head.n = n;
        r = pack_head_parse(sm_buf_span(&head), &h, &id, &objects);
    }
    for (size_t i = 0; r == 0 && i < objects.n / sizeof(struct pack_object); i++)
        r = healed_object(s, pack, (const struct pack_object *)(const void *)objects.p + i, ret);
    if (fd >= 0)
        (void)close(fd);                   /* opened for reading */
    sm_buf_wipe(&head);
    sm_buf_wipe(&objects);
    return r;
}

static int record_healed(struct scrub *s, uint32_t pack, const struct scrub_finding *f)
{
    struct sm_buf cids = SM_BUF_INIT((size_t)PACK_OBJECTS_MAX * 32);
    bool marked = s->st->damaged_rows.n || store_pack_row(s->st, pack)->lost;
    int r = healed_objects(s, pack, &cids);
    if (r == 0 && s->h.record)
        r = store_healed(s->st, &(struct store_healed){ .what = "pack", .file = f->file, .blocks = f->blocks,
            .objects = (const struct cid *)(const void *)cids.p, .n = cids.n / 32, .found_by = "scrub" });
    if (r == 0 && marked)
        s->named = false;                  /* which generations are whole again is worked out by verify */
    sm_buf_wipe(&cids);
    return r;
}

static void bad_pack(struct scrub *s, uint32_t pack)
{
    for (uint32_t i = 0; i < s->nbad; i++)
        if (s->bad[i] == pack)
            return;
    if (s->nbad < SCRUB_BAD_MAX)
        s->bad[s->nbad++] = pack;
    s->wanted = true;
}

static int pack_verdict(struct scrub *s, uint32_t pack)
{
    enum scrub_verdict v = scrub_pack_verdict(s->job);
    struct parity_damage d;
    struct scrub_finding f = { .what = "pack", .verdict = v };
    char path[80];
    int r = 0;
    scrub_pack_damage(s->job, &d);
    pack_path(&store_pack_row(s->st, pack)->id, path);
    (void)snprintf(f.file, sizeof f.file, "packs/%s", path); /* fits */
    f.offset = d.first;
    f.blocks = d.blocks;
    s->s.now.packs++;
    s->s.now.bytes += store_pack_row(s->st, pack)->bytes; /* as the total counts it: without parity, however often read */
    s->s.now.protected_ += v == SCRUB_PROTECTED;
    s->s.now.bare += v == SCRUB_BARE;
    if (v == SCRUB_HEALED || v == SCRUB_BEYOND || v == SCRUB_NO_ROOM || v == SCRUB_MISSING) {
        tell(s, &f);
        if (v == SCRUB_HEALED && s->h.write)
            r = record_healed(s, pack, &f);
        else if (v != SCRUB_HEALED)
            bad_pack(s, pack);
    } else if (store_pack_row(s->st, pack)->lost && s->h.record) {
        r = record_healed(s, pack, &f);    /* it was put back by hand */
    }
    return r;
}

/* ---- packs ---- */

/* Go on behind this pack, which is done with or was deleted. */
static void pass(struct scrub *s)
{
    if (s->job_fresh) {
        if (s->s.phase == SCRUB_PACKS && s->next_pack == s->s.fresh)
            s->next_pack++;
        s->s.fresh++;
    } else {
        s->next_pack++;
    }
}

static int job_begin(struct scrub *s, bool fresh_only)
{
    for (;; pass(s)) {
        s->job_fresh = fresh_only || s->next_pack >= s->s.fresh;
        uint64_t at = s->job_fresh ? s->s.fresh : s->next_pack;
        if (at >= s->st->pack_rows.n)
            return 0;
        if (store_pack_row(s->st, at)->gone)
            continue;
        int r = scrub_pack_new(s->st, (uint32_t)at, s->h.write, &s->job);
        return r < 0 ? r : 1;
    }
}

static void job_end(struct scrub *s)
{
    scrub_pack_free(s->job);
    s->job = NULL;
    pass(s);
    if (++s->unsaved >= SAVE_EVERY)
        save(s);
}

/* 1 = one is under way or done, 0 = there is none left. */
static int job_step(struct scrub *s, size_t n, bool fresh_only)
{
    int r = s->job ? 1 : job_begin(s, fresh_only);
    if (r <= 0)
        return r;
    uint32_t pack = (uint32_t)(s->job_fresh ? s->s.fresh : s->next_pack);
    r = scrub_pack_step(s->job, n);
    if (r == 1)
        return 1;
    /* Deleted while it was looked at: nothing is said of it. */
    if (r == 0 && !store_pack_row(s->st, pack)->gone)
        r = pack_verdict(s, pack);
    job_end(s);
    return r < 0 ? r : 1;
}

/* ---- naming ---- */

static bool data_of(void *arg, uint32_t pack)
{
    const struct scrub *s = arg;
    for (uint32_t i = 0; i < s->nbad; i++)
        if (s->bad[i] == pack)
            return true;
    return false;
}

static void on_damage(void *arg, const struct verify_damage *d)
{
    struct scrub *s = arg;
    if (s->h.damage)
        s->h.damage(s->h.arg, d);
}

static void on_hit(void *arg, const struct cid *manifest, const struct verify_damage *first)
{
    struct scrub *s = arg;
    s->s.now.hit++;
    if (s->h.hit)
        s->h.hit(s->h.arg, manifest, first);
}

static int naming_begin(struct scrub *s, enum scrub_phase after)
{
    const struct verify_hooks h = { .damage = on_damage, .hit = on_hit, .data_of = data_of, .arg = s,
        .head_pub = s->h.head_pub, .record = s->h.record };
    s->s.now.hit = 0;
    s->named = true;
    s->wanted = s->final = false;
    s->after = after;
    s->s.phase = SCRUB_NAMING;
    return verify_new(s->st, VERIFY_STRUCTURE, &h, &s->naming);
}

static int complete(struct scrub *s)
{
    int64_t now = plat_clock_wall().s;
    const struct scrub_counts *c = &s->s.now;
    uint64_t ms = spent_ms(s);
    s->s.phase = SCRUB_IDLE;
    s->s.finished_s = now;
    s->s.last = s->s.now;
    int r = 0;
    if (s->h.record)
        r = store_scrubbed(s->st, &(struct store_scrub){ .packs = c->packs, .bytes = c->bytes,
            .protected_ = c->protected_, .healed = c->healed, .damaged = c->damaged, .manifests = c->manifests,
            .journal_files = c->journal_files, .ms = ms, .rate_bytes_s = ms ? c->bytes * 1000 / ms : 0,
            .started_s = s->s.started_s, .by = s->s.by_person ? "person" : "schedule" });
    save(s);
    return r;
}

static int step_naming(struct scrub *s, size_t n)
{
    (void)n;
    if (!s->naming) {                      /* taken up after a restart */
        int r = naming_begin(s, s->after);
        if (r < 0)
            return r;
    }
    int r = verify_step(s->naming);
    if (r == 1)
        return 1;
    struct verify_result res = { 0 };
    verify_result(s->naming, &res);
    verify_free(s->naming);
    s->naming = NULL;
    s->s.phase = s->after;
    if (r == 0 && s->final) {
        if (res.damaged > s->s.now.damaged)
            s->s.now.damaged = res.damaged;
        r = complete(s);
        return r;
    }
    s->final = false;
    return r < 0 ? r : s->s.phase != SCRUB_IDLE;
}

/* ---- phases ---- */

static int step_packs(struct scrub *s, size_t n)
{
    uint32_t bad = s->nbad;
    int r = job_step(s, n, false);
    if (r == 0)
        s->s.phase = SCRUB_MANIFESTS;
    if (r >= 0 && !s->job && s->nbad > bad && !s->named)
        r = naming_begin(s, s->s.phase);   /* the first one at once, the others at the end */
    return r < 0 ? r : 1;
}

static int manifest_one(struct scrub *s, uint32_t generation)
{
    enum spare_verdict v = SPARE_SOUND;
    char hex[CID_HEX];
    const struct cid *id = &store_generation_row(s->st, generation)->manifest;
    struct scrub_finding f = { .what = "manifest", .has_object = true, .object = *id };
    if (store_generation_row(s->st, generation)->gone)
        return 0;                           /* expired: what was deleted does not come back */
    int r = spare_manifest(s->st, generation, s->h.write, &v);
    if (r < 0 || (v != SPARE_HEALED && v != SPARE_LOST))
        return r;
    cid_hex(id, hex);
    (void)snprintf(f.file, sizeof f.file, "manifests/%s.skm", hex); /* fits */
    f.verdict = v == SPARE_HEALED ? SCRUB_HEALED : SCRUB_BEYOND;
    tell(s, &f);
    s->wanted |= v == SPARE_LOST;
    if (v == SPARE_HEALED && s->h.record)
        r = store_healed(s->st, &(struct store_healed){ .what = "manifest", .file = f.file, .object = id,
            .found_by = "scrub" });
    return r;
}

static int step_manifests(struct scrub *s, size_t n)
{
    (void)n;
    for (unsigned i = 0; i < MANIFESTS_A_STEP && s->next_generation < s->st->generation_rows.n; i++) {
        int r = manifest_one(s, s->next_generation++);
        if (r < 0)
            return r;
        s->s.now.manifests++;
    }
    if (s->next_generation < s->st->generation_rows.n)
        return 1;
    int r = s->h.write ? spare_sweep(s->st) : 0;
    s->spare_generation = s->next_generation;
    s->compare = (struct spare_compare){ 0 };
    s->s.phase = SCRUB_JOURNAL;
    save(s);
    return r < 0 ? r : 1;
}

static int step_journal(struct scrub *s, size_t n)
{
    int r = spare_journal_compare(s->st, &s->compare, s->h.write, n);
    if (r != 0)
        return r;
    s->s.now.journal_files = s->compare.files;
    r = naming_begin(s, SCRUB_IDLE);
    s->final = true;
    return r < 0 ? r : 1;
}

void scrub_begin(struct scrub *s, bool by_person)
{
    /* A person means everything, from now on: a planned round, which may be weeks old, gives way. */
    if (s->s.phase != SCRUB_IDLE && (!by_person || s->s.by_person))
        return;
    scrub_pack_free(s->job);
    verify_free(s->naming);
    s->job = NULL;
    s->naming = NULL;
    uint64_t fresh = s->s.fresh;
    struct scrub_counts last = s->s.last;
    s->s = (struct scrub_state){ .last = last, .phase = SCRUB_PACKS, .started_s = plat_clock_wall().s,
        .finished_s = s->s.finished_s, .by_person = by_person, .fresh = fresh };
    s->next_pack = s->next_generation = s->nbad = 0;
    s->named = false;
    s->ms = 0;
    s->start_ms = plat_clock_mono_ms();
    save(s);
}

int scrub_step(struct scrub *s, size_t n)
{
    static int (*const steps[])(struct scrub *, size_t) = { [SCRUB_PACKS] = step_packs,
        [SCRUB_MANIFESTS] = step_manifests, [SCRUB_JOURNAL] = step_journal, [SCRUB_NAMING] = step_naming };
    if (s->s.phase == SCRUB_IDLE)
        return 0;
    int r = steps[s->s.phase](s, n);
    return r < 0 ? r : s->s.phase != SCRUB_IDLE;
}

/* ---- what is new ---- */

static int protect_spares(struct scrub *s, size_t n)
{
    for (unsigned i = 0; i < MANIFESTS_A_STEP && s->spare_generation < s->st->generation_rows.n; i++) {
        int r = manifest_one(s, s->spare_generation++);
        if (r < 0)
            return r;
    }
    if (s->spare_generation < s->st->generation_rows.n)
        return 1;
    uint64_t seq = s->st->journal ? journal_durable(s->st->journal).seq : 0;
    if (seq == s->spare_seq || !s->st->journal || journal_head(s->st->journal).seq != seq)
        return 0;
    int r = spare_journal_follow(s->st, n);
    if (r == 0)
        s->spare_seq = seq;
    return r;
}

int scrub_protect(struct scrub *s, size_t n)
{
    if (!s->h.write)
        return 0;
    int r = s->job && !s->job_fresh ? 0 : job_step(s, n, true);   /* a round is at a pack: that goes first */
    if (r == 0)
        r = protect_spares(s, n);
    /* Damaged before it got its parity: named at once, by the next scrub_step. */
    int named = r >= 0 && s->wanted && s->s.phase == SCRUB_IDLE ? naming_begin(s, SCRUB_IDLE) : 0;
    return named < 0 ? named : r;
}

void scrub_state(const struct scrub *s, struct scrub_state *ret)
{
    *ret = s->s;
    uint64_t packs = s->st->pack_rows.n - s->st->deletion.packs_gone, bytes = s->st->pack_bytes;
    ret->packs_total = packs > s->s.now.packs ? packs : s->s.now.packs; /* what was read and deleted since belongs to the round */
    ret->bytes_total = bytes > s->s.now.bytes ? bytes : s->s.now.bytes;
    ret->fresh = s->st->pack_rows.n - s->s.fresh;
}
