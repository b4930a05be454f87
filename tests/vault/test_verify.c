#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include "store_kit.h"

struct found { unsigned damage, hits; struct verify_damage first; struct cid hit[16]; unsigned steps, cancel_at; };

static void on_damage(void *arg, const struct verify_damage *d)
{
    struct found *f = arg;
    if (!f->damage++)
        f->first = *d;
}

static void on_hit(void *arg, const struct cid *manifest, const struct verify_damage *first)
{
    struct found *f = arg;
    assert_non_null(first);
    if (f->hits < 16)
        f->hit[f->hits] = *manifest;
    f->hits++;
}

static int on_progress(void *arg, const struct verify_progress *p)
{
    struct found *f = arg;
    assert_true(p->packs <= p->packs_total && p->generations <= p->generations_total);
    return ++f->steps == f->cancel_at;
}

static struct found look(struct kit *k, enum verify_kind kind, bool record, struct verify_result *r)
{
    struct found f = { 0 };
    struct verify_hooks h = { .progress = on_progress, .damage = on_damage, .hit = on_hit, .arg = &f,
        .head_pub = k->head.public_key, .record = record };
    assert_int_equal(verify_run(k->st, kind, &h, r), 0);
    assert_int_equal(r->damaged, f.damage);
    assert_int_equal(r->hit, f.hits);
    assert_int_equal(r->sound, f.damage == 0);
    return f;
}

/* Three generations: the second changes one chunk of the first, the third is of another source. */
static void three(struct kit *k, struct store_verdict v[3])
{
    struct kit_tree t;
    struct kit_client two = k->client;
    memset(two.source.b, 0x66, 16);
    kit_tree_init(&t, 3, 4, 300, 1);
    assert_int_equal(kit_open(k, 0), 0);
    assert_int_equal(kit_join(k, &k->client), 0);
    assert_int_equal(kit_generation(k, &k->client, &t, 1, 0, NULL, &v[0]), 0);
    t.seed[1][1] = 999;
    assert_int_equal(kit_generation(k, &k->client, &t, 2, 0, NULL, &v[1]), 0);
    kit_tree_init(&t, 1, 2, 300, 70);
    assert_int_equal(kit_generation(k, &two, &t, 3, 0, NULL, &v[2]), 0);
}

static void every_flip_in_packs_and_manifests_is_found_and_named(void **state)
{
    struct kit k;
    struct store_verdict v[3];
    struct verify_result r;
    char files[32][256];
    kit_init(&k, "flips");
    three(&k, v);
    struct found f = look(&k, VERIFY_DATA, false, &r);
    assert_int_equal(f.damage, 0);
    assert_int_equal(r.generations, 3);
    size_t n = kit_files(k.dir, ".skp", files, 32);
    n += kit_files(k.dir, ".skm", files + n, 32 - n);
    unsigned flips = 0;
    uint64_t seed = 1;
    for (size_t i = 0; i < n; i++) {
        uint64_t size = kit_size(files[i]);
        bool pack = strstr(files[i], ".skp") != NULL;
        for (uint64_t at = kit_random(&seed) % 7; at < size; at += kit_long() ? 1 + kit_random(&seed) % 12 :
            20 + kit_random(&seed) % 60) {
            uint8_t mask = (uint8_t)(1u << kit_random(&seed) % 8);
            kit_flip(files[i], at, mask);
            f = look(&k, VERIFY_DATA, false, &r);
            assert_true(f.damage > 0);
            assert_string_equal(f.first.file, files[i] + strlen(k.dir) + 1);
            assert_true(f.first.why[0]);
            if (pack && f.first.what == VERIFY_OBJECT)
                assert_true(f.first.offset <= at && f.first.has_object);
            assert_true(f.hits >= 1 && f.hits <= 3);
            /* And it is never given out silently wrong. */
            if (f.first.what == VERIFY_OBJECT) {
                struct sm_buf b = { 0 };
                assert_int_equal(store_object(k.st, &k.client.id, &f.first.object, &b), -SM_ECORRUPT);
                assert_int_equal(b.n, 0);
                sm_buf_wipe(&b);
            }
            kit_flip(files[i], at, mask);
            flips++;
        }
    }
    print_message("%u flips, all found\n", flips);
    kit_done(&k);
}

static void damage_names_exactly_the_generations_it_hits(void **state)
{
    struct kit k;
    struct store_verdict v[3];
    struct verify_result r;
    struct sm_buf b = { 0 };
    kit_init(&k, "hits");
    three(&k, v);
    struct { uint64_t seed; unsigned hits; size_t first; } row[] = {
        { 1 * 1000003 + 1 * 1009 + 1 + 1, 1, 0 },   /* dir 1 file 1 of the first only */
        { 999, 1, 1 },                              /* of the second only */
        { 1 * 1000003 + 1, 2, 0 },                  /* shared by both */
        { 70 * 1000003ull + 2, 1, 2 },              /* the other source */
    };
    for (size_t i = 0; i < 4; i++) {
        struct store_place p;
        char file[300], hex[CID_HEX];
        sm_buf_clear(&b);
        struct cid c = kit_chunk(&k.client.id, row[i].seed, 300, OBJ_ZSTD, &b);
        assert_int_equal(store_have(k.st, &k.client.id, &c, &p), 1);
        cid_hex(&p.pack, hex);
        (void)snprintf(file, sizeof file, "%s/packs/%.2s/%s.skp", k.dir, hex, hex);
        kit_flip(file, p.offset + 100, 1);
        struct found f = look(&k, VERIFY_DATA, false, &r);
        assert_int_equal(f.damage, 1);
        assert_int_equal(f.first.what, VERIFY_OBJECT);
        assert_int_equal(f.first.offset, p.offset);
        assert_memory_equal(f.first.object.b, c.b, 32);
        assert_int_equal(f.hits, row[i].hits);
        assert_memory_equal(f.hit[0].b, v[row[i].first].manifest.b, 32);
        f = look(&k, VERIFY_STRUCTURE, false, &r);   /* a chunk's bytes are no matter of structure */
        assert_int_equal(f.damage, 0);
        kit_flip(file, p.offset + 100, 1);
    }
    sm_buf_wipe(&b);
    kit_done(&k);
}

static void missing_files_are_named_also_without_reading_data(void **state)
{
    struct kit k;
    struct store_verdict v[3];
    struct verify_result r;
    char files[32][256], aside[300];
    kit_init(&k, "missing");
    three(&k, v);
    size_t n = kit_files(k.dir, ".skp", files, 32);
    n += kit_files(k.dir, ".skm", files + n, 32 - n);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(aside, sizeof aside, "%s/aside", k.base);
        assert_int_equal(rename(files[i], aside), 0);
        struct found f = look(&k, VERIFY_STRUCTURE, false, &r);
        assert_true(f.damage >= 1 && f.hits >= 1);
        assert_string_equal(f.first.file, files[i] + strlen(k.dir) + 1);
        assert_int_equal(f.first.what, strstr(files[i], ".skp") ? VERIFY_PACK_MISSING : VERIFY_MANIFEST_MISSING);
        assert_int_equal(rename(aside, files[i]), 0);
        uint64_t size = kit_size(files[i]);
        uint8_t last;
        int fd = open(files[i], O_RDWR | O_CLOEXEC);
        assert_int_equal(pread(fd, &last, 1, (off_t)size - 1), 1);
        assert_int_equal(ftruncate(fd, (off_t)size - 1), 0);
        f = look(&k, VERIFY_STRUCTURE, false, &r);
        assert_true(f.damage >= 1 && f.hits >= 1);
        assert_int_equal(pwrite(fd, &last, 1, (off_t)size - 1), 1);
        close(fd);
        f = look(&k, VERIFY_DATA, false, &r);
        assert_int_equal(f.damage, 0);
    }
    kit_done(&k);
}

static int count(void *arg, const struct journal_record *r)
{
    (void)r;
    ++*(unsigned *)arg;
    return 0;
}

static unsigned records(struct kit *k, enum journal_type t)
{
    unsigned n = 0;
    assert_int_equal(store_log(k->st, 0, 1u << t, 1000, count, &n), 0);
    return n;
}

static void damage_is_recorded_once_and_healed_by_sending_again(void **state)
{
    struct kit k;
    struct store_verdict v[3], again;
    struct verify_result r;
    struct sm_buf b = { 0 };
    struct store_place p;
    struct store_generation g;
    char file[300], hex[CID_HEX];
    kit_init(&k, "heal");
    three(&k, v);
    struct cid c = kit_chunk(&k.client.id, 1 * 1000003 + 1, 300, OBJ_ZSTD, &b);
    assert_int_equal(store_have(k.st, &k.client.id, &c, &p), 1);
    cid_hex(&p.pack, hex);
    (void)snprintf(file, sizeof file, "%s/packs/%.2s/%s.skp", k.dir, hex, hex);
    kit_flip(file, p.offset + 50, 4);
    for (int i = 0; i < 2; i++) {
        struct found f = look(&k, VERIFY_DATA, true, &r);
        assert_int_equal(f.hits, 2);
        assert_int_equal(records(&k, JOURNAL_DAMAGE), 3);      /* the object and two generations, once */
        assert_int_equal(records(&k, JOURNAL_VERIFY), (unsigned)i + 1);
    }
    assert_int_equal(store_have(k.st, &k.client.id, &c, NULL), 0);
    assert_int_equal(store_generation(k.st, &v[1].manifest, &g), 0);
    assert_true(g.damaged);
    assert_int_equal(store_last_clean(k.st, &k.client.id, &k.client.source, &g), -SM_ENOTFOUND);
    kit_close(&k);
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(store_have(k.st, &k.client.id, &c, NULL), 0);
    struct kit_tree t;
    kit_tree_init(&t, 3, 4, 300, 1);
    t.seed[1][1] = 999;
    assert_int_equal(kit_generation(&k, &k.client, &t, 4, 0, NULL, &again), 0);   /* the client sends all of it again */
    assert_int_equal(store_have(k.st, &k.client.id, &c, NULL), 1);
    sm_buf_clear(&b);
    assert_int_equal(store_object(k.st, &k.client.id, &c, &b), 0);
    sm_buf_wipe(&b);
    assert_int_equal(store_last_clean(k.st, &k.client.id, &k.client.source, &g), 0);
    assert_memory_equal(g.manifest.b, again.manifest.b, 32);
    kit_done(&k);
}

struct reading { struct store *st; struct client_id client; struct sm_buf *b; unsigned *n; };

static int read_one(void *arg, const struct cid *cid, const struct store_place *place)
{
    struct reading *r = arg;
    sm_buf_clear(r->b);
    ++*r->n;
    int err = store_object(r->st, &r->client, cid, r->b);
    return err ? err : r->b->n == place->length ? 0 : -SM_ECORRUPT;
}

static void a_journal_rolled_back_or_forked_is_noticed(void **state)
{
    struct kit k;
    struct kit_tree t;
    struct store_verdict v[3], w;
    char old[200], journal[200];
    kit_init(&k, "rollback");
    three(&k, v);
    kit_close(&k);
    (void)snprintf(old, sizeof old, "%s/old", k.base);
    (void)snprintf(journal, sizeof journal, "%s/journal", k.dir);
    kit_copy_tree(journal, old);
    assert_int_equal(kit_open(&k, 0), 0);
    kit_tree_init(&t, 2, 2, 300, 5);
    assert_int_equal(kit_generation(&k, &k.client, &t, 9, 0, NULL, &w), 0);
    kit_close(&k);
    kit_remove(journal);
    kit_copy_tree(old, journal);            /* someone puts yesterday's journal back */
    assert_int_equal(kit_open(&k, 0), -SM_ECORRUPT);
    assert_non_null(strstr(k.why, "signed"));
    /* Someone who also removes the heads that the box kept: the client still knows. */
    char heads[200];
    (void)snprintf(heads, sizeof heads, "%s/heads", k.dir);
    kit_remove(heads);
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(journal_is_ancestor(store_journal(k.st), &w.head.head), 0);
    assert_int_equal(journal_is_ancestor(store_journal(k.st), &v[2].head.head), 1);
    struct sm_buf proof = { 0 };
    struct journal_head now = journal_durable(store_journal(k.st));
    assert_int_equal(journal_ancestry(store_journal(k.st), &w.head.head, &now, 1 << 20, &proof), -SM_EMISMATCH);
    assert_int_equal(journal_ancestry(store_journal(k.st), &v[0].head.head, &now, 1 << 20, &proof), 0);
    assert_int_equal(journal_ancestry_check(&v[0].head.head, &now, sm_buf_span(&proof)), 0);
    sm_buf_wipe(&proof);
    /* Its packs came back as adopted, its generation did not. */
    assert_true(store_recovered(k.st)->packs_adopted >= 1);
    assert_int_equal(store_recovered(k.st)->manifests_set_aside, 1);
    kit_done(&k);
}

static void a_damaged_journal_is_named_without_opening(void **state)
{
    struct kit k;
    struct store_verdict v[3];
    struct journal_fault f;
    char name[256];
    kit_init(&k, "journal");
    three(&k, v);
    kit_close(&k);
    assert_int_equal(verify_journal(k.dir, &f), 0);
    (void)snprintf(name, sizeof name, "%s/journal/00000001.skj", k.dir);
    kit_flip(name, 200, 1);
    assert_int_equal(verify_journal(k.dir, &f), -SM_ECORRUPT);
    assert_string_equal(f.file, "00000001.skj");
    assert_int_equal(f.seq, 2);
    assert_int_equal(kit_open(&k, 0), -SM_ECORRUPT);
    assert_non_null(strstr(k.why, "00000001.skj"));
    kit_flip(name, 200, 1);
    kit_done(&k);
}

static void with_its_journal_gone_everything_can_still_be_read(void **state)
{
    struct kit k;
    struct store_verdict v[3];
    struct store_generation g[4];
    struct store_query q = { 0 };
    struct sm_buf b = { 0 };
    char name[256];
    kit_init(&k, "salvage");
    three(&k, v);
    kit_close(&k);
    (void)snprintf(name, sizeof name, "%s/journal/00000001.skj", k.dir);
    uint64_t size = kit_size(name);
    for (unsigned i = 0; i < 4; i++) {
        if (i < 2)
            kit_flip(name, i ? size - 300 : 80, 1);
        else if (i == 2)
            assert_int_equal(unlink(name), 0);
        else {
            (void)snprintf(name, sizeof name, "%s/journal", k.dir);
            assert_int_equal(rmdir(name), 0);
        }
        assert_true(kit_open(&k, STORE_READ_ONLY) < 0);
        assert_true(kit_open(&k, STORE_SALVAGE) < 0);          /* never for writing */
        assert_int_equal(kit_open(&k, STORE_READ_ONLY | STORE_SALVAGE), 0);
        assert_true(store_recovered(k.st)->salvaged && k.why[0]);
        assert_int_equal(store_generations(k.st, &q, g, 4), 3);
        for (unsigned n = 0; n < 3; n++) {
            unsigned objects = 0;
            assert_int_equal(store_closure(k.st, &v[n].manifest, true, read_one,
                &(struct reading){ k.st, k.client.id, &b, &objects }), 0);
            assert_true(objects > 4);
        }
        struct verify_result r;
        struct found f = look(&k, VERIFY_DATA, false, &r);
        assert_int_equal(f.damage, 1);
        assert_int_equal(f.first.what, VERIFY_JOURNAL);
        struct journal_signed_head h;
        json_t *o;
        assert_int_equal(store_head(k.st, &h), -SM_ESTATE);
        assert_true(store_generation_json(k.st, &v[0].manifest, &o) < 0);
        assert_int_equal(store_log(k.st, 0, 0, 10, count, NULL), -SM_ESTATE);
        kit_close(&k);
        if (i < 2)
            kit_flip(name, i ? size - 300 : 80, 1);
    }
    sm_buf_wipe(&b);
    kit_done(&k);
}

static void a_verify_can_be_cancelled_and_goes_in_steps(void **state)
{
    struct kit k;
    struct store_verdict v[3];
    struct verify_result r;
    kit_init(&k, "steps");
    three(&k, v);
    struct found f = { .cancel_at = 3 };
    struct verify_hooks h = { .progress = on_progress, .arg = &f };
    assert_int_equal(verify_run(k.st, VERIFY_DATA, &h, &r), -SM_ECANCEL);
    f = (struct found){ 0 };
    struct verify *x;
    assert_int_equal(verify_new(k.st, VERIFY_DATA, &h, &x), 0);
    unsigned steps = 0;
    struct kit_tree t;
    struct store_verdict w;
    kit_tree_init(&t, 1, 2, 300, 71);
    while (verify_step(x) == 1)
        if (steps++ == 2)                   /* backups go on meanwhile */
            assert_int_equal(kit_generation(&k, &k.client, &t, 50, 0, NULL, &w), 0);
    verify_result(x, &r);
    assert_true(r.sound && steps > 6);
    verify_free(x);
    kit_done(&k);
}

static void killed_at_any_moment_it_opens_again(void **state)
{
    struct kit k;
    uint64_t seed = 42;
    const unsigned cycles = kit_long() ? 200 : 40;
    kit_init(&k, "kill");
    char counter[200];
    (void)snprintf(counter, sizeof counter, "%s/acked", k.base);
    uint64_t acked = 0, there = 0, zero = 0;
    int fd = open(counter, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(pwrite(fd, &zero, 8, 0), 8);
    for (unsigned i = 0; i < cycles; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            /* A box of its own that backs up as fast as it can and notes what it acknowledged. */
            struct kit_tree t;
            struct store_verdict v;
            kit_tree_init(&t, 2, 3, 200, 1);
            if (kit_open(&k, 0) || kit_join(&k, &k.client))
                _exit(3);
            for (;;) {
                uint64_t number;
                struct cid previous;
                store_next(k.st, &k.client.id, &k.client.source, &number, &previous);
                t.seed[number % 2][number % 3] = number * 7;
                if (kit_generation(&k, &k.client, &t, number, 0, NULL, &v))
                    _exit(4);
                if (pwrite(fd, &number, 8, 0) != 8)
                    _exit(5);
            }
        }
        struct timespec wait = { 0, (long)(20000000 + kit_random(&seed) % 90000000) };
        nanosleep(&wait, NULL);
        kill(pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(pread(fd, &acked, 8, 0), 8);
        uint64_t number;
        struct cid previous;
        struct verify_result r;
        assert_int_equal(kit_open(&k, 0), 0);
        store_next(k.st, &k.client.id, &k.client.source, &number, &previous);
        /* What was there when it was opened last, or acknowledged since; and at most one more. */
        uint64_t known = acked > there ? acked : there;
        assert_in_range(number, known + 1, known + 2);
        there = number - 1;
        if (i % 10 == 9) {                  /* all signatures of all generations: not every time */
            assert_int_equal(kit_verify(&k, VERIFY_DATA, &r), 0);
            assert_true(r.sound);
        }
        kit_close(&k);
    }
    close(fd);
    print_message("%u kills, %llu generations acknowledged\n", cycles, (unsigned long long)acked);
    kit_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flip_in_packs_and_manifests_is_found_and_named),
        cmocka_unit_test(damage_names_exactly_the_generations_it_hits),
        cmocka_unit_test(missing_files_are_named_also_without_reading_data),
        cmocka_unit_test(damage_is_recorded_once_and_healed_by_sending_again),
        cmocka_unit_test(a_journal_rolled_back_or_forked_is_noticed),
        cmocka_unit_test(a_damaged_journal_is_named_without_opening),
        cmocka_unit_test(with_its_journal_gone_everything_can_still_be_read),
        cmocka_unit_test(a_verify_can_be_cancelled_and_goes_in_steps),
        cmocka_unit_test(killed_at_any_moment_it_opens_again),
    };
    return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
