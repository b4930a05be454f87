/*
 * The scrub over whole vaults: what is damaged is healed within parity, else named with the generations it hits, and
 * never silently wrong; writing trailers and healing at every fault and power cut leaves no pack worse than it was.
 */
#include "store_kit.h"

#include "vault/scrub/scrub.h"
#include "vault/store/store_internal.h"

struct seen { unsigned healed, damaged, hits; struct scrub_finding last; struct cid hit[16]; };

static void on_found(void *arg, const struct scrub_finding *f)
{
    struct seen *s = arg;
    s->healed += f->verdict == SCRUB_HEALED;
    s->damaged += f->verdict != SCRUB_HEALED;
    s->last = *f;
}

static void on_hit(void *arg, const struct cid *manifest, const struct verify_damage *first)
{
    struct seen *s = arg;
    assert_non_null(first);
    if (s->hits < 16)
        s->hit[s->hits] = *manifest;
    s->hits++;
}

static struct scrub_hooks hooks(struct kit *k, struct seen *seen)
{
    return (struct scrub_hooks){ .found = on_found, .hit = on_hit, .arg = seen, .head_pub = k->head.public_key,
        .write = true, .record = true };
}

/* One round to its end; the first error. */
static int run(struct kit *k, const struct scrub_hooks *h, struct scrub_state *ret)
{
    struct scrub *s = NULL;
    int r = scrub_new(k->st, h, &s);
    if (r == 0) {
        scrub_begin(s, true);
        while ((r = scrub_step(s, 5000)) == 1)
            ;
        if (r == 0)
            while ((r = scrub_protect(s, 5000)) == 1)
                ;
        scrub_state(s, ret);
    }
    scrub_free(s);
    return r;
}

static struct seen round_of(struct kit *k, struct scrub_state *ret)
{
    struct seen seen = { 0 };
    struct scrub_hooks h = hooks(k, &seen);
    assert_int_equal(run(k, &h, ret), 0);
    assert_int_equal(ret->phase, SCRUB_IDLE);
    return seen;
}

/* Two generations of one source, the second with one chunk changed. */
static void two(struct kit *k, size_t bytes, struct store_verdict v[2], struct kit_tree *t)
{
    kit_tree_init(t, 2, 3, bytes, 1);
    assert_int_equal(kit_open(k, 0), 0);
    assert_int_equal(kit_join(k, &k->client), 0);
    assert_int_equal(kit_generation(k, &k->client, t, 1, 0, NULL, &v[0]), 0);
    t->seed[1][1] = 999;
    assert_int_equal(kit_generation(k, &k->client, t, 2, 0, NULL, &v[1]), 0);
}

static void reopen(struct kit *k)
{
    kit_close(k);
    assert_int_equal(kit_open(k, 0), 0);
}

static bool is_sound(struct kit *k)
{
    struct verify_result r;
    assert_int_equal(kit_verify(k, VERIFY_DATA, &r), 0);
    return r.sound;
}

static bool is_damaged(struct kit *k, const struct cid *manifest)
{
    struct store_generation g;
    assert_int_equal(store_generation(k->st, manifest, &g), 0);
    return g.damaged;
}

/* Every chunk of the tree: as it was, or refused; the number refused. */
static unsigned read_all(struct kit *k, const struct kit_tree *t)
{
    unsigned refused = 0;
    for (uint32_t d = 0; d < t->dirs; d++)
        for (uint32_t f = 0; f < t->files; f++) {
            struct sm_buf want = { 0 }, got = { 0 };
            struct cid c = kit_chunk(&k->client.id, t->seed[d][f], t->bytes, t->algorithm[d][f], &want);
            if (store_object(k->st, &k->client.id, &c, &got) < 0)
                refused++;
            else {
                assert_int_equal(got.n, want.n);
                assert_memory_equal(got.p, want.p, want.n);
            }
            sm_buf_wipe(&want);
            sm_buf_wipe(&got);
        }
    return refused;
}

/* Bytes of the pack itself, without its trailer. */
static uint64_t pack_bytes(const char *path)
{
    struct pack_header h;
    uint8_t b[PACK_HEADER_LEN];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, b, sizeof b, 0), sizeof b);
    close(fd);
    assert_int_equal(pack_header_parse(SM_SPAN(b, sizeof b), &h), 0);
    return PACK_HEADER_LEN + (uint64_t)h.n * PACK_DIRENT_LEN + h.body_bytes;
}

static void copy(const char *from, const char *to)
{
    struct sm_buf b = { 0 };
    assert_int_equal(plat_fs_read_file(AT_FDCWD, from, (size_t)1 << 26, &b), 0);
    assert_int_equal(plat_replace(AT_FDCWD, to, sm_buf_span(&b), 0600), 0);
    sm_buf_wipe(&b);
}

static void zero(const char *path, uint64_t at, uint64_t n)
{
    static const uint8_t nothing[65536];
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    while (n) {
        size_t len = n < sizeof nothing ? (size_t)n : sizeof nothing;
        assert_int_equal(pwrite(fd, nothing, len, (off_t)at), len);
        at += len;
        n -= len;
    }
    close(fd);
}

static void a_round_protects_every_pack_once_and_is_recorded(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    char file[8][256];
    kit_init(&k, "round");
    two(&k, 40000, v, &t);
    size_t n = kit_files(k.dir, ".skp", file, 8);
    assert_int_equal(n, 4);
    uint64_t before = kit_size(file[0]);
    struct seen seen = round_of(&k, &s);
    assert_int_equal(seen.healed + seen.damaged, 0);
    assert_int_equal(s.now.packs, n);
    assert_int_equal(s.now.protected_, n);
    assert_int_equal(s.now.manifests, 2);
    assert_true(kit_size(file[0]) > before);
    round_of(&k, &s);
    assert_int_equal(s.now.protected_, 0);
    assert_true(is_sound(&k));
    struct journal_head h = journal_durable(store_journal(k.st));
    reopen(&k);
    assert_true(is_sound(&k));
    assert_true(journal_durable(store_journal(k.st)).seq >= h.seq);
    assert_int_equal(read_all(&k, &t), 0);
    char spare[8][256], dir[200];
    (void)snprintf(dir, sizeof dir, "%s/spare", k.dir);
    assert_int_equal(kit_files(dir, ".skm", spare, 8), 2);
    kit_done(&k);
    (void)state;
}

static void a_round_goes_on_after_a_restart(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    struct seen seen = { 0 };
    struct scrub *scrub = NULL;
    kit_init(&k, "restart");
    two(&k, 40000, v, &t);
    struct scrub_hooks h = hooks(&k, &seen);
    assert_int_equal(scrub_new(k.st, &h, &scrub), 0);
    scrub_begin(scrub, false);
    do {
        assert_int_equal(scrub_step(scrub, 5000), 1);
        scrub_state(scrub, &s);
    } while (s.now.packs < 3);
    scrub_free(scrub);
    reopen(&k);
    assert_int_equal(scrub_new(k.st, &h, &scrub), 0);
    scrub_state(scrub, &s);
    assert_int_equal(s.phase, SCRUB_PACKS);
    assert_int_equal(s.now.packs, 3);
    int r;
    while ((r = scrub_step(scrub, 5000)) == 1)
        ;
    assert_int_equal(r, 0);
    scrub_state(scrub, &s);
    assert_int_equal(s.now.packs, 4);
    assert_int_equal(s.now.protected_, 4);
    assert_true(s.finished_s > 0);
    scrub_free(scrub);
    kit_done(&k);
    (void)state;
}

static void damage_known_before_is_healed_and_its_marks_go(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    struct verify_result r;
    char file[8][256];
    kit_init(&k, "marks");
    two(&k, 40000, v, &t);
    round_of(&k, &s);
    size_t n = kit_files(k.dir, ".skp", file, 8);
    for (size_t i = 0; i < n; i++)
        kit_flip(file[i], i % 2 ? 90 : pack_bytes(file[i]) - 200, 8);   /* directory or an object */
    struct verify_hooks vh = { .head_pub = k.head.public_key, .record = true };
    assert_int_equal(verify_run(k.st, VERIFY_DATA, &vh, &r), 0);
    assert_int_equal(r.damaged, n);
    assert_true(is_damaged(&k, &v[1].manifest));
    assert_true(read_all(&k, &t) > 0);
    struct seen seen = round_of(&k, &s);
    assert_int_equal(seen.healed, n);
    assert_int_equal(seen.damaged, 0);
    assert_false(is_damaged(&k, &v[0].manifest));
    assert_false(is_damaged(&k, &v[1].manifest));
    assert_int_equal(read_all(&k, &t), 0);
    reopen(&k);
    assert_false(is_damaged(&k, &v[1].manifest));
    assert_int_equal(read_all(&k, &t), 0);
    assert_true(is_sound(&k));
    kit_done(&k);
    (void)state;
}

static void damage_beyond_parity_names_its_generations_until_it_is_back(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    char file[8][256], kept[200];
    kit_init(&k, "beyond");
    two(&k, 40000, v, &t);
    round_of(&k, &s);
    /* The pack that holds the changed chunk belongs to the second generation alone: the smaller one of data. */
    size_t n = kit_files(k.dir, ".skp", file, 8), pick = n;
    for (size_t i = 0; i < n; i++) {
        uint64_t size = kit_size(file[i]);
        if (size > 45000 && size < 70000)
            pick = i;
    }
    assert_true(pick < n);
    (void)snprintf(kept, sizeof kept, "%s/kept", k.base);
    copy(file[pick], kept);
    zero(file[pick], 4096, 3 * 4096);
    struct seen seen = round_of(&k, &s);
    assert_int_equal(seen.healed, 0);
    assert_true(seen.damaged >= 1);
    assert_int_equal(seen.last.verdict, SCRUB_BEYOND);
    assert_int_equal(seen.last.blocks, 3);
    assert_true(seen.hits >= 1);
    for (unsigned i = 0; i < seen.hits; i++)
        assert_memory_equal(seen.hit[i].b, v[1].manifest.b, 32);
    assert_false(is_damaged(&k, &v[0].manifest));
    assert_true(is_damaged(&k, &v[1].manifest));
    assert_int_equal(read_all(&k, &t), 1);
    reopen(&k);
    assert_true(is_damaged(&k, &v[1].manifest));
    /* Somebody puts the file back. */
    assert_int_equal(unlink(file[pick]), 0);
    copy(kept, file[pick]);
    seen = round_of(&k, &s);
    assert_int_equal(seen.damaged, 0);
    assert_false(is_damaged(&k, &v[1].manifest));
    assert_int_equal(read_all(&k, &t), 0);
    assert_true(is_sound(&k));
    kit_done(&k);
    (void)state;
}

static void damage_before_there_is_parity_is_named_at_once(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    struct seen seen = { 0 };
    struct scrub *scrub = NULL;
    char file[8][256];
    int r;
    kit_init(&k, "atonce");
    two(&k, 40000, v, &t);
    size_t n = kit_files(k.dir, ".skp", file, 8);
    for (size_t i = 0; i < n; i++)
        kit_flip(file[i], pack_bytes(file[i]) - 300, 1);
    struct scrub_hooks h = hooks(&k, &seen);
    assert_int_equal(scrub_new(k.st, &h, &scrub), 0);
    while ((r = scrub_protect(scrub, 5000)) == 1)
        ;
    assert_int_equal(r, 0);
    scrub_state(scrub, &s);
    assert_int_equal(s.phase, SCRUB_NAMING);
    while ((r = scrub_step(scrub, 5000)) == 1)
        ;
    assert_int_equal(r, 0);
    scrub_state(scrub, &s);
    assert_int_equal(s.phase, SCRUB_IDLE);
    assert_int_equal(s.finished_s, 0);      /* this was no round */
    assert_int_equal(seen.damaged, n);
    assert_int_equal(seen.hits, 2);
    assert_true(is_damaged(&k, &v[0].manifest));
    assert_int_equal(scrub_protect(scrub, 5000), 0);
    scrub_free(scrub);
    kit_done(&k);
    (void)state;
}

static void a_lost_pack_weakens_no_other(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    char file[8][256];
    kit_init(&k, "lost");
    two(&k, 40000, v, &t);
    round_of(&k, &s);
    size_t n = kit_files(k.dir, ".skp", file, 8);
    for (size_t i = 1; i < n; i++)
        kit_flip(file[i], pack_bytes(file[i]) / 2, 1);
    assert_int_equal(unlink(file[0]), 0);
    struct seen seen = round_of(&k, &s);
    assert_int_equal(seen.healed, n - 1);
    assert_int_equal(seen.damaged, 1);
    assert_true(seen.hits > 0);
    kit_done(&k);
    (void)state;
}

/* ---- many places ---- */

static void harm(const char *path, uint64_t *seed, bool *ret_cut)
{
    uint64_t size = kit_size(path), at = kit_random(seed) % size, n = 1 + kit_random(seed) % 9000;
    switch (kit_random(seed) % 6) {
    case 0: case 1: case 2:
        kit_flip(path, at, (uint8_t)(1u << kit_random(seed) % 8));
        break;
    case 3:
        zero(path, at & ~(uint64_t)4095, size - (at & ~(uint64_t)4095) < 4096 ? size - (at & ~(uint64_t)4095) : 4096);
        break;
    case 4:
        zero(path, at, n < size - at ? n : size - at);
        break;
    default:
        assert_int_equal(truncate(path, (off_t)at), 0);
        *ret_cut = true;
    }
}

static void flips_cuts_and_lost_sectors_anywhere_are_healed_or_named(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    char template[160], file[16][256];
    unsigned rounds = kit_long() ? 1500 : 200, healed = 0, named = 0, unharmed = 0;
    kit_init(&k, "many");
    two(&k, 30000, v, &t);
    round_of(&k, &s);
    kit_close(&k);
    (void)snprintf(template, sizeof template, "%s/template", k.base);
    kit_copy_tree(k.dir, template);
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t seed = 0x5851f42d4c957f2du * (i + 1);
        bool cut = false;
        kit_remove(k.dir);
        kit_copy_tree(template, k.dir);
        size_t n = kit_files(k.dir, ".skp", file, 16);
        n += kit_files(k.dir, ".skm", file + n, 16 - n);  /* the second copies too */
        for (uint64_t j = 0, times = 1 + kit_random(&seed) % 3; j < times; j++)
            harm(file[kit_random(&seed) % n], &seed, &cut);
        assert_int_equal(kit_open(&k, 0), 0);
        bool before = is_sound(&k);
        struct seen seen = round_of(&k, &s);
        bool after = is_sound(&k);
        unsigned refused = read_all(&k, &t);           /* compares every byte that is given */
        if (after) {
            assert_int_equal(refused, 0);
            assert_int_equal(seen.damaged, 0);
            assert_true(before || seen.healed > 0);
        } else {
            assert_true(seen.damaged > 0);
            assert_true(seen.hits > 0);
            assert_true(is_damaged(&k, &v[0].manifest) || is_damaged(&k, &v[1].manifest));
        }
        unharmed += before;
        healed += !before && after;
        named += !after;
        kit_close(&k);
    }
    print_message("%u vaults: %u healed, %u named beyond repair, %u harmed only where nothing is kept\n", rounds,
        healed, named, unharmed);
    assert_true(healed > 0 && named > 0 && unharmed > 0);
    kit_done(&k);
    (void)state;
}

static void what_was_deleted_does_not_come_back_and_is_no_damage(void **state)
{
    struct kit k;
    struct store_verdict v[2], w;
    struct kit_tree t;
    struct scrub_state s;
    char file[8][256], dir[200];
    kit_init(&k, "deleted");
    two(&k, 3000, v, &t);
    struct kit_client other = k.client;
    memset(other.source.b, 0x66, 16);
    struct kit_tree more;
    kit_tree_init(&more, 1, 2, 500, 4000);
    size_t before = k.st->pack_rows.n;
    assert_int_equal(kit_generation(&k, &other, &more, 3, 0, NULL, &w), 0);
    round_of(&k, &s);
    assert_int_equal(s.now.manifests, 3);
    assert_int_equal(deletion_expire(k.st, 2, NULL), 0);
    assert_int_equal(store_sync(k.st), 0);
    deletion_unlink_manifest(k.st, &w.manifest);
    uint32_t packs[2] = { (uint32_t)before, (uint32_t)before + 1 };
    assert_int_equal(deletion_pack_state(k.st, true, packs, 2), 0);
    assert_int_equal(store_sync(k.st), 0);
    assert_int_equal(deletion_packs(k.st, packs, 2), 0);
    (void)snprintf(dir, sizeof dir, "%s/spare", k.dir);
    assert_int_equal(kit_files(dir, ".skm", file, 8), 2);
    for (unsigned i = 0; i < 2; i++) {
        struct seen seen = round_of(&k, &s);
        assert_int_equal(seen.healed + seen.damaged + seen.hits, 0);
        assert_int_equal(s.now.packs, before);
        assert_int_equal(kit_files(dir, ".skm", file, 8), 2);
        assert_int_equal(kit_files(k.dir, ".skm", file, 8), 4);
        reopen(&k);
    }
    kit_done(&k);
    (void)state;
}

static void a_torn_trailer_is_no_trailer_and_is_written_again(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    char file[8][256];
    kit_init(&k, "torn");
    kit_tree_init(&t, 1, 1, 300, 1);
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(kit_join(&k, &k.client), 0);
    assert_int_equal(kit_generation(&k, &k.client, &t, 1, 0, NULL, &v[0]), 0);
    size_t n = kit_files(k.dir, ".skp", file, 8);
    uint64_t bare = kit_size(file[0]);
    round_of(&k, &s);
    uint64_t full = kit_size(file[0]);
    unsigned cuts = 0;
    for (uint64_t at = bare; at < full; at += at - bare < 60 || full - at < 60 ? 3 : 211, cuts++) {
        assert_int_equal(truncate(file[0], (off_t)at), 0);
        if (cuts % 2)
            assert_int_equal(truncate(file[0], (off_t)full), 0);    /* the length was there, the bytes were not */
        assert_true(is_sound(&k));
        struct seen seen = round_of(&k, &s);
        assert_int_equal(seen.damaged + seen.healed, 0);
        assert_int_equal(s.now.protected_, 1);
        assert_int_equal(kit_size(file[0]), full);
    }
    print_message("%u torn trailers, %zu packs\n", cuts, n);
    kit_done(&k);
    (void)state;
}

/* ---- second copies ---- */

static void a_manifest_lost_or_damaged_comes_back_from_its_second_copy(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    char file[8][256], dir[200];
    kit_init(&k, "manifest");
    two(&k, 3000, v, &t);
    round_of(&k, &s);
    (void)snprintf(dir, sizeof dir, "%s/manifests", k.dir);
    assert_int_equal(kit_files(dir, ".skm", file, 8), 2);
    kit_flip(file[0], 100, 1);
    assert_int_equal(unlink(file[1]), 0);
    assert_false(is_sound(&k));
    struct seen seen = round_of(&k, &s);
    assert_int_equal(seen.healed, 2);
    assert_true(is_sound(&k));
    /* Both copies: named. */
    (void)snprintf(dir, sizeof dir, "%s/spare", k.dir);
    char spare[8][256];
    assert_int_equal(kit_files(dir, ".skm", spare, 8), 2);
    for (size_t i = 0; i < 2; i++)
        if (strcmp(strrchr(spare[i], '/'), strrchr(file[0], '/')) == 0)
            kit_flip(spare[i], 9, 1);
    kit_flip(file[0], 9, 1);
    seen = round_of(&k, &s);
    assert_int_equal(seen.healed, 0);
    assert_true(seen.damaged > 0 && seen.hits > 0);
    kit_done(&k);
    (void)state;
}

static void a_damaged_journal_is_healed_record_by_record_or_stays_named(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    struct spare_healed got;
    char template[160], file[256], second[256];
    unsigned healed = 0, named = 0, rounds = kit_long() ? 1000 : 150;
    kit_init(&k, "journal");
    two(&k, 3000, v, &t);
    round_of(&k, &s);
    struct journal_head head = journal_durable(store_journal(k.st));
    kit_close(&k);
    (void)snprintf(template, sizeof template, "%s/template", k.base);
    kit_copy_tree(k.dir, template);
    (void)snprintf(file, sizeof file, "%s/journal/00000001.skj", k.dir);
    (void)snprintf(second, sizeof second, "%s/spare/journal/00000001.skj", k.dir);
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t seed = 77 + i;
        kit_remove(k.dir);
        kit_copy_tree(template, k.dir);
        uint64_t size = kit_size(file), at = 0;
        assert_int_equal(kit_size(second), size);
        for (unsigned j = 0; j < (i % 5 ? 1 : 3); j++) {
            at = kit_random(&seed) % size;
            kit_flip(file, at, 1);
            kit_flip(second, (at + size / 2) % size, 1);          /* elsewhere in the other one */
        }
        if (i % 5 == 0)
            kit_flip(second, at, 4);                              /* and at the same place */
        int r = kit_open(&k, 0);
        if (r == 0) {                                             /* the end was cut, as after a power cut */
            kit_close(&k);
            continue;
        }
        assert_true(r == -SM_ECORRUPT || r == -SM_EMISMATCH || r == -SM_EVERSION || r == -SM_EFORMAT);
        assert_int_equal(spare_heal(k.dir, false, &got), 0);
        assert_int_equal(kit_open(&k, 0), r);                     /* only looked */
        assert_int_equal(spare_heal(k.dir, true, &got), 0);
        r = kit_open(&k, 0);
        if (r == 0) {
            struct journal_head now = journal_durable(store_journal(k.st));
            assert_true(now.seq <= head.seq);
            if (!store_recovered(k.st)->cut.happened)         /* the last record, in both, ends as a power cut does */
                assert_memory_equal(now.hash, head.hash, 32);
            assert_true(got.records > 0);
            assert_int_equal(read_all(&k, &t), 0);
            kit_close(&k);
            healed++;
        } else {
            assert_int_equal(i % 5, 0);
            named++;
        }
    }
    print_message("%u journals healed, %u damaged in both copies and named\n", healed, named);
    assert_true(healed > 0 && named > 0);
    kit_done(&k);
    (void)state;
}

static void a_damaged_format_file_is_healed_when_the_journal_agrees(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    struct spare_healed got;
    char file[200];
    kit_init(&k, "format");
    two(&k, 300, v, &t);
    round_of(&k, &s);
    kit_close(&k);
    (void)snprintf(file, sizeof file, "%s/format", k.dir);
    for (uint64_t at = 0; at < 50; at += 7) {
        kit_flip(file, at, 64);
        assert_true(kit_open(&k, 0) < 0);
        assert_int_equal(spare_heal(k.dir, true, &got), 0);
        assert_true(got.format);
        assert_int_equal(kit_open(&k, 0), 0);
        kit_close(&k);
    }
    (void)snprintf(file, sizeof file, "%s/spare", k.dir);
    kit_remove(file);
    assert_int_equal(spare_heal(k.dir, true, &got), 0);
    assert_false(got.format);
    kit_done(&k);
    (void)state;
}

/* ---- faults ---- */

/* A vault of two generations where one pack is damaged within its parity and another has no trailer. */
static void make_ill(struct kit *k, struct kit_tree *t, struct store_verdict v[2])
{
    struct scrub_state s;
    char file[8][256];
    two(k, 2000, v, t);
    round_of(k, &s);
    size_t n = kit_files(k->dir, ".skp", file, 8);
    assert_int_equal(n, 4);
    kit_flip(file[0], 100, 2);
    kit_flip(file[1], kit_size(file[1]) - 20, 2);     /* in its trailer */
    struct kit_tree more;
    kit_tree_init(&more, 1, 2, 500, 4000);
    struct store_verdict w;
    assert_int_equal(kit_generation(k, &k->client, &more, 3, 0, NULL, &w), 0);
    kit_close(k);
}

/* Opens, and after another round all is sound: nothing was made worse. */
static void check_and_heal(struct kit *k, const struct kit_tree *t)
{
    struct scrub_state s;
    int r = kit_open(k, 0);
    if (r < 0)
        print_message("open: %s %s\n", sm_errname(r), k->why);
    assert_int_equal(r, 0);
    struct seen seen = round_of(k, &s);
    assert_int_equal(seen.damaged, 0);
    assert_true(is_sound(k));
    assert_int_equal(read_all(k, t), 0);
    kit_close(k);
}

static int whole_round(struct kit *k)
{
    struct seen seen = { 0 };
    struct scrub_hooks h = hooks(k, &seen);
    struct scrub_state s;
    int r = kit_open(k, 0);
    if (r == 0)
        r = run(k, &h, &s);
    kit_close(k);
    return r;
}

static void the_k_th_change_of_a_file_fails_for_every_k(void **state)
{
    static const struct { unsigned kinds; int err; const char *name; } row[] = {
        { PLAT_OP_WRITE, EIO, "writes" }, { PLAT_OP_WRITE | PLAT_FAULT_SHORT, ENOSPC, "short writes" },
        { PLAT_OP_FSYNC, EIO, "syncs" }, { PLAT_OP_RENAME, EIO, "renames" }, { PLAT_OP_CREATE, EMFILE, "creations" },
        { PLAT_OP_UNLINK | PLAT_OP_TRUNCATE | PLAT_OP_MKDIR, EIO, "others" },
        { PLAT_OP_FILES | PLAT_FAULT_STICKY, ENOSPC, "all from then on" },
    };
    struct kit k;
    struct kit_tree t;
    struct store_verdict v[2];
    char template[160];
    unsigned total = 0;
    kit_init(&k, "scrubfault");
    make_ill(&k, &t, v);
    (void)snprintf(template, sizeof template, "%s/template", k.base);
    kit_copy_tree(k.dir, template);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        for (uint64_t at = 1;; at++) {
            kit_remove(k.dir);
            kit_copy_tree(template, k.dir);
            plat_fault_set(row[i].kinds, at, row[i].err);
            int err = whole_round(&k);
            bool fired = plat_fault_fired();
            plat_fault_clear();
            if (!fired) {
                assert_int_equal(err, 0);
                print_message("%s: %llu\n", row[i].name, (unsigned long long)at - 1);
                break;
            }
            check_and_heal(&k, &t);
            total++;
        }
    print_message("%u faults in all\n", total);
    kit_done(&k);
    (void)state;
}

static void the_power_goes_after_every_operation(void **state)
{
    static const enum plat_replay how[] = { PLAT_REPLAY_ALL, PLAT_REPLAY_TORN, PLAT_REPLAY_SYNCED, PLAT_REPLAY_NAMES,
        PLAT_REPLAY_DATA };
    struct kit k, after;
    struct kit_tree t;
    struct store_verdict v[2];
    unsigned total = 0;
    kit_init(&k, "scrubpower");
    make_ill(&k, &t, v);
    assert_int_equal(plat_record_start(k.dir), 0);
    assert_int_equal(whole_round(&k), 0);
    plat_record_stop();
    size_t n = plat_record_count();
    after = k;
    after.st = NULL;
    (void)snprintf(after.dir, sizeof after.dir, "%.90s/after", k.base);
    for (size_t cut = 0; cut <= n; cut++)
        for (size_t h = 0; h < 5; h++, total++) {
            assert_int_equal(plat_record_replay(after.dir, cut, how[h]), 0);
            check_and_heal(&after, &t);
            kit_remove(after.dir);
        }
    print_message("%zu operations, %u ways to lose power\n", n, total);
    plat_record_free();
    kit_done(&k);
    (void)state;
}

static void a_disk_that_is_full_leaves_packs_bare_and_says_so(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    kit_init(&k, "scrubfull");
    two(&k, 3000, v, &t);
    kit_close(&k);
    k.limits.reserve_bytes = (uint64_t)1 << 60;
    assert_int_equal(kit_open(&k, 0), 0);
    struct seen seen = round_of(&k, &s);
    assert_int_equal(seen.damaged + seen.healed, 0);
    assert_int_equal(s.now.bare, 4);
    assert_int_equal(s.now.protected_, 0);
    kit_close(&k);
    k.limits.reserve_bytes = 0;
    assert_int_equal(kit_open(&k, 0), 0);
    round_of(&k, &s);
    assert_int_equal(s.now.protected_, 4);
    kit_done(&k);
    (void)state;
}

static void looking_only_changes_nothing(void **state)
{
    struct kit k;
    struct store_verdict v[2];
    struct kit_tree t;
    struct scrub_state s;
    struct seen seen = { 0 };
    char file[8][256];
    kit_init(&k, "look");
    two(&k, 20000, v, &t);
    round_of(&k, &s);
    size_t n = kit_files(k.dir, ".skp", file, 8);
    kit_flip(file[0], pack_bytes(file[0]) - 1, 1);
    kit_close(&k);
    assert_int_equal(plat_record_start(k.dir), 0);
    assert_int_equal(kit_open(&k, STORE_READ_ONLY), 0);
    struct scrub_hooks h = { .found = on_found, .hit = on_hit, .arg = &seen };
    assert_int_equal(run(&k, &h, &s), 0);
    kit_close(&k);
    plat_record_stop();
    assert_int_equal(plat_record_count(), 0);
    plat_record_free();
    assert_int_equal(seen.healed, 1);
    assert_int_equal(s.now.packs, n);
    /* And with leave to write, on a vault that is still not opened for changes: files only. */
    assert_int_equal(kit_open(&k, STORE_READ_ONLY), 0);
    h.write = true;
    assert_int_equal(run(&k, &h, &s), 0);
    kit_close(&k);
    assert_int_equal(kit_open(&k, STORE_READ_ONLY), 0);
    assert_true(is_sound(&k));
    kit_done(&k);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_protects_every_pack_once_and_is_recorded),
        cmocka_unit_test(a_round_goes_on_after_a_restart),
        cmocka_unit_test(damage_known_before_is_healed_and_its_marks_go),
        cmocka_unit_test(damage_beyond_parity_names_its_generations_until_it_is_back),
        cmocka_unit_test(damage_before_there_is_parity_is_named_at_once),
        cmocka_unit_test(a_lost_pack_weakens_no_other),
        cmocka_unit_test(flips_cuts_and_lost_sectors_anywhere_are_healed_or_named),
        cmocka_unit_test(what_was_deleted_does_not_come_back_and_is_no_damage),
        cmocka_unit_test(a_torn_trailer_is_no_trailer_and_is_written_again),
        cmocka_unit_test(a_manifest_lost_or_damaged_comes_back_from_its_second_copy),
        cmocka_unit_test(a_damaged_journal_is_healed_record_by_record_or_stays_named),
        cmocka_unit_test(a_damaged_format_file_is_healed_when_the_journal_agrees),
        cmocka_unit_test(the_k_th_change_of_a_file_fails_for_every_k),
        cmocka_unit_test(the_power_goes_after_every_operation),
        cmocka_unit_test(a_disk_that_is_full_leaves_packs_bare_and_says_so),
        cmocka_unit_test(looking_only_changes_nothing),
    };
    return cmocka_run_group_tests_name("scrub", tests, NULL, NULL);
}
