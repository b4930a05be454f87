#include "store_kit.h"

/*
 * One history is played over and over, each time with another operation failing, with the power gone at another
 * operation, or with the process gone: what was acknowledged is there, nothing half is listed, and the history can be
 * gone on with.
 */
#define GENERATIONS 3

/* at: operations recorded when it was acknowledged */
struct ack { size_t at; unsigned packs_of, generation; struct cid manifest; };
struct acks { struct ack a[32]; size_t n; };

static void acknowledge(struct acks *a, unsigned packs_of, unsigned generation, const struct cid *manifest)
{
    assert_true(a->n < 32);
    a->a[a->n] = (struct ack){ .at = plat_record_count(), .packs_of = packs_of, .generation = generation };
    if (manifest)
        a->a[a->n].manifest = *manifest;
    a->n++;
}

static void tree_of(unsigned generation, struct kit_tree *t)
{
    kit_tree_init(t, 2, 3, 300, 1);
    for (unsigned i = 1; i < generation; i++)
        t->seed[i % 2][i % 3] = 1000 + i;
}

static int one_generation(struct kit *k, unsigned n, struct acks *acks)
{
    struct kit_tree t;
    struct store_session *s = NULL;
    struct store_verdict v = { 0 };
    struct sm_buf b = { 0 }, bytes = { 0 };
    tree_of(n, &t);
    int err = kit_session(k, &k->client, n, 0, &s);
    if (err)
        return err;
    struct store_session_info info;
    struct kit_load l;
    store_session_info(s, &info);
    kit_load_init(&l, k, &k->client.id, &info.id);
    struct cid envelope = kit_envelope(&k->client.id, 77, &b);
    kit_load_add(&l, &envelope, sm_buf_span(&b));
    struct cid root = kit_tree_load(&t, &k->client.id, &envelope, &l);
    err = kit_send_load(k, s, &l);
    if (!err) {
        struct kit_manifest m;
        acknowledge(acks, n, 0, NULL);
        kit_manifest_init(k, &m, &k->client, &root, &envelope, n);
        kit_manifest_bytes(&m, &bytes);
        err = store_manifest_commit(s, sm_buf_span(&bytes), &v);
        if (!err)
            acknowledge(acks, 0, n, &v.manifest);
    }
    sm_buf_wipe(&v.missing);
    sm_buf_wipe(&b);
    sm_buf_wipe(&bytes);
    kit_load_wipe(&l);
    return err;
}

/* Whatever of the history is not done yet; the first error. */
static int play(struct kit *k, struct acks *acks)
{
    size_t changed;
    int err = kit_open(k, 0);
    if (!err)
        err = store_clock(k->st, "start");
    if (!err)
        err = kit_join(k, &k->client);
    for (;;) {
        uint64_t number = 0;
        struct cid previous;
        if (err)
            break;
        store_next(k->st, &k->client.id, &k->client.source, &number, &previous);
        if (number > GENERATIONS)
            break;
        err = one_generation(k, (unsigned)number, acks);
        if (!err)
            err = store_access(k->st, &(struct store_access){ .what = "list", .who = "x" });
    }
    if (!err)
        err = store_mark(k->st, &changed);
    kit_close(k);
    return err;
}

/* Everything acknowledged up to operation `upto` is there, and what is listed is whole. */
static void check(struct kit *k, const struct acks *acks, size_t upto)
{
    struct verify_result r;
    struct store_generation g[GENERATIONS + 1];
    struct store_query q = { 0 };
    int err = kit_open(k, 0);
    if (err)
        print_message("open: %s (%s)\n", sm_errname(err), k->why);
    assert_int_equal(err, 0);
    assert_int_equal(kit_verify(k, VERIFY_DATA, &r), 0);
    assert_true(r.sound);
    size_t n = store_generations(k->st, &q, g, GENERATIONS + 1);
    assert_true(n <= GENERATIONS);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(g[i].number, n - i);
    for (size_t i = 0; i < acks->n && acks->a[i].at <= upto; i++) {
        const struct ack *a = &acks->a[i];
        struct store_generation x;
        if (a->generation) {
            assert_true(a->generation <= n);
            assert_int_equal(store_generation(k->st, &a->manifest, &x), 0);
        }
        if (a->packs_of) {
            struct kit_tree t;
            struct sm_buf b = { 0 };
            tree_of(a->packs_of, &t);
            for (unsigned d = 0; d < 2; d++)
                for (unsigned f = 0; f < 3; f++) {
                    sm_buf_clear(&b);
                    struct cid c = kit_chunk(&k->client.id, t.seed[d][f], t.bytes, t.algorithm[d][f], &b);
                    assert_int_equal(store_have(k->st, &k->client.id, &c, NULL), 1);
                }
            sm_buf_wipe(&b);
        }
    }
    kit_close(k);
}

static void renew(struct kit *k, const char *template)
{
    kit_remove(k->dir);
    kit_copy_tree(template, k->dir);
}

static void template_of(struct kit *k, char ret[160])
{
    (void)snprintf(ret, 160, "%s/template", k->base);
    kit_copy_tree(k->dir, ret);
}

static void the_k_th_change_of_a_file_fails_for_every_k(void **state)
{
    static const struct { unsigned kinds; int err; const char *name; } row[] = {
        { PLAT_OP_WRITE, EIO, "writes" }, { PLAT_OP_WRITE | PLAT_FAULT_SHORT, ENOSPC, "short writes" },
            { PLAT_OP_FSYNC, EIO, "syncs" },
        { PLAT_OP_RENAME, EIO, "renames" }, { PLAT_OP_CREATE, EMFILE, "creations" },
            { PLAT_OP_UNLINK | PLAT_OP_TRUNCATE | PLAT_OP_MKDIR, EIO, "others" },
        { PLAT_OP_FILES | PLAT_FAULT_STICKY, ENOSPC, "all from then on" },
    };
    struct kit k;
    char template[160];
    unsigned total = 0;
    kit_init(&k, "faults");
    template_of(&k, template);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        uint64_t at = 1;
        for (;; at++) {
            struct acks acks = { .n = 0 };
            renew(&k, template);
            plat_fault_set(row[i].kinds, at, row[i].err);
            int err = play(&k, &acks);
            bool fired = plat_fault_fired();
            plat_fault_clear();
            if (!fired) {
                assert_int_equal(err, 0);
                break;
            }
            check(&k, &acks, SIZE_MAX);
            struct acks more = { .n = 0 };
            assert_int_equal(play(&k, &more), 0);
            check(&k, &more, SIZE_MAX);
            if (row[i].kinds & PLAT_FAULT_STICKY && !kit_long() && at > 8)
                at += 2;
        }
        print_message("%s: %llu\n", row[i].name, (unsigned long long)at - 1);
        total += (unsigned)at - 1;
    }
    print_message("%u faults in all\n", total);
    kit_done(&k);
}

static void the_power_goes_after_every_operation(void **state)
{
    static const enum plat_replay how[] = { PLAT_REPLAY_ALL, PLAT_REPLAY_TORN, PLAT_REPLAY_SYNCED, PLAT_REPLAY_NAMES,
        PLAT_REPLAY_DATA };
    struct kit k, after;
    struct acks acks = { .n = 0 };
    kit_init(&k, "power");
    assert_int_equal(plat_record_start(k.dir), 0);
    assert_int_equal(play(&k, &acks), 0);
    plat_record_stop();
    size_t n = plat_record_count();
    unsigned total = 0;
    assert_int_equal(acks.n, GENERATIONS * 2);
    for (size_t i = 0; getenv("KIT_TELL") && i < n; i++) {
        const struct plat_record_op *o = plat_record_get(i);
        print_message("%zu: %d %s %s %llu %llu %d\n", i + 1, (int)o->kind, o->path, o->to ? o->to : "",
            (unsigned long long)o->off,
            (unsigned long long)o->len, o->dir);
    }
    after = k;
    after.st = NULL;
    (void)snprintf(after.dir, sizeof after.dir, "%.90s/after", k.base);
    for (size_t cut = 0; cut <= n; cut++)
        for (size_t h = 0; h < 5; h++) {
            assert_int_equal(plat_record_replay(after.dir, cut, how[h]), 0);
            if (getenv("KIT_TELL"))
                print_message("cut %zu how %d\n", cut, (int)how[h]);
            check(&after, &acks, cut);
            total++;
            /* And it goes on from there. */
            if (kit_long() || (cut * 5 + h) % 7 == 0) {
                struct acks more = { .n = 0 };
                assert_int_equal(play(&after, &more), 0);
                check(&after, &more, SIZE_MAX);
            }
            kit_remove(after.dir);
        }
    print_message("%zu operations, %u ways to lose power\n", n, total);
    plat_record_free();
    kit_done(&k);
}

/* What a client has ready before the memory runs out: packs and a manifest, made for one session. */
struct ready { struct store_session_info info; struct kit_load l; struct cid data, meta; uint64_t data_bytes,
    meta_bytes; struct sm_buf manifest; };

static void make_ready(struct kit *k, struct ready *r)
{
    struct store_session *s;
    struct sm_buf b = { 0 };
    struct kit_tree t;
    struct kit_manifest m;
    memset(r, 0, sizeof *r);
    assert_int_equal(kit_open(k, 0), 0);
    assert_int_equal(kit_join(k, &k->client), 0);
    assert_int_equal(kit_session(k, &k->client, 1, 0, &s), 0);
    store_session_info(s, &r->info);
    kit_load_init(&r->l, k, &k->client.id, &r->info.id);
    kit_tree_init(&t, 3, 4, 300, 1);
    struct cid envelope = kit_envelope(&k->client.id, 77, &b);
    kit_load_add(&r->l, &envelope, sm_buf_span(&b));
    struct cid root = kit_tree_load(&t, &k->client.id, &envelope, &r->l);
    assert_int_equal(pack_finish(r->l.data, &r->data, &r->data_bytes), 0);
    assert_int_equal(pack_finish(r->l.meta, &r->meta, &r->meta_bytes), 0);
    kit_manifest_init(k, &m, &k->client, &root, &envelope, 1);
    kit_manifest_bytes(&m, &r->manifest);
    sm_buf_wipe(&b);
    kit_close(k);
}

static int send_ready(struct kit *k, struct ready *r, bool *ret_done)
{
    struct store_session *s = NULL;
    struct store_verdict v = { 0 };
    struct verify_result result;
    struct store_session_args a = { .client = k->client.id, .source = k->client.source, .run = kit_run(1),
        .run_kind = RUN_SCHEDULED,
        .resume = &r->info.id };
    int err = kit_open(k, 0);
    if (!err)
        err = store_session_open(k->st, &a, &s);
    if (!err)
        err = kit_push(s, r->l.data, &r->data, r->data_bytes, 500);
    if (!err)
        err = kit_push(s, r->l.meta, &r->meta, r->meta_bytes, 500);
    if (!err)
        err = store_flush(k->st, NULL);
    if (!err)
        err = store_manifest_commit(s, sm_buf_span(&r->manifest), &v);
    *ret_done = !err;
    sm_buf_wipe(&v.missing);
    if (!err)
        err = kit_verify(k, VERIFY_DATA, &result);
    kit_close(k);
    return err;
}

static void memory_that_runs_out_is_an_error_and_nothing_else(void **state)
{
    struct kit k;
    struct ready r;
    char template[160];
    uint64_t at = 1;
    kit_init(&k, "memory");
    make_ready(&k, &r);
    template_of(&k, template);
    for (;; at++) {
        bool sent, again;
        renew(&k, template);
        plat_fault_set(PLAT_OP_ALLOC, at, ENOMEM);
        int err = send_ready(&k, &r, &sent);
        bool fired = plat_fault_fired();
        plat_fault_clear();
        if (!fired) {
            assert_int_equal(err, 0);
            break;
        }
        struct store_query q = { 0 };
        struct store_generation g[2];
        assert_int_equal(kit_open(&k, 0), 0);
        size_t n = store_generations(k.st, &q, g, 2);
        assert_true(n >= sent);
        kit_close(&k);
        if (!n) {
            err = send_ready(&k, &r, &again);
            assert_int_equal(err, 0);
        }
    }
    print_message("%llu allocations\n", (unsigned long long)at - 1);
    kit_load_wipe(&r.l);
    sm_buf_wipe(&r.manifest);
    kit_done(&k);
}

static void a_full_disk_refuses_before_writing_and_recovers(void **state)
{
    struct kit k;
    struct kit_tree t;
    struct store_verdict v;
    struct plat_fs_space space;
    kit_init(&k, "full");
    kit_tree_init(&t, 2, 3, 300, 1);
    assert_int_equal(plat_fs_space(AT_FDCWD, k.base, &space), 0);
    k.limits.reserve_bytes = space.avail_bytes + ((uint64_t)1 << 40);
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(kit_join(&k, &k.client), 0);
    assert_int_equal(kit_generation(&k, &k.client, &t, 1, 0, NULL, &v), -ENOSPC);
    assert_false(store_is_broken(k.st));
    char parts[1][256];
    assert_int_equal(kit_files(k.dir, ".part", parts, 1), 0);
    kit_close(&k);
    k.limits.reserve_bytes = 0;
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(kit_generation(&k, &k.client, &t, 1, 0, NULL, &v), 0);
    kit_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_k_th_change_of_a_file_fails_for_every_k),
        cmocka_unit_test(the_power_goes_after_every_operation),
        cmocka_unit_test(memory_that_runs_out_is_an_error_and_nothing_else),
        cmocka_unit_test(a_full_disk_refuses_before_writing_and_recovers),
    };
    return cmocka_run_group_tests_name("store_faults", tests, NULL, NULL);
}
