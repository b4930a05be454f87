#include "store_kit.h"
#include <sys/stat.h>
#include "crypto/hash.h"
#include "vault/copy/copy.h"
#include "vault/copy/missing.h"

/* A vault with some generations, and copies of it beside it. */
struct x {
    struct kit k;
    char to[160];
    struct journal_signed_head head;
    struct copy_result res;
    unsigned damages, good, cancel_after;
    char why[COPY_WHY];
};

static void generation(struct x *x, unsigned n)
{
    struct kit_tree t;
    struct store_verdict v;
    kit_tree_init(&t, 2, 3, 300, 1);
    for (unsigned i = 1; i < n; i++)
        t.seed[i % 2][i % 3] = 1000 + i;
    assert_int_equal(kit_generation(&x->k, &x->k.client, &t, n, 0, NULL, &v), 0);
}

/* Open the vault, make these generations, sign the head. */
static void grow(struct x *x, unsigned from, unsigned to)
{
    assert_int_equal(kit_open(&x->k, 0), 0);
    assert_int_equal(kit_join(&x->k, &x->k.client), 0);
    for (unsigned i = from; i <= to; i++)
        generation(x, i);
    assert_int_equal(store_head(x->k.st, &x->head), 0);
    kit_close(&x->k);
}

static void make(struct x *x, const char *name, unsigned generations)
{
    memset(x, 0, sizeof *x);
    kit_init(&x->k, name);
    (void)snprintf(x->to, sizeof x->to, "%s/copy", x->k.base);
    assert_int_equal(mkdir(x->to, 0700), 0);
    grow(x, 1, generations);
}

static void on_damage(void *arg, const struct copy_damage *d)
{
    struct x *x = arg;
    x->damages++;
    x->good += d->copy_is_good;
    assert_true(d->file[0] && d->why[0]);
}

static int on_progress(void *arg, const struct copy_progress *p)
{
    struct x *x = arg;
    return x->cancel_after && --x->cancel_after == 0;
}

static int run(struct x *x, bool deep)
{
    struct copy *c = NULL;
    struct copy_args a = { .from = x->k.dir, .target = &copy_folder, .to = x->to, .head = x->head, .deep = deep,
        .progress = on_progress, .damage = on_damage, .arg = x };
    memcpy(a.head_pub, x->k.head.public_key, 32);
    x->damages = x->good = 0;
    x->why[0] = 0;
    int r = copy_new(&a, &c, x->why);
    if (r < 0)
        return r;
    while ((r = copy_step(c)) == 1)
        ;
    assert_int_equal(copy_step(c), r);
    copy_result(c, &x->res);
    copy_free(c);
    return r;
}

/* The copy opens as a vault of its own, is sound to the last byte, and holds this many generations. */
static void check(struct x *x, size_t least, size_t most)
{
    struct kit c = x->k;
    struct verify_result v;
    struct store_generation g[32];
    struct store_query q = { 0 };
    c.st = NULL;
    (void)snprintf(c.dir, sizeof c.dir, "%.120s", x->to);
    int r = kit_open(&c, STORE_READ_ONLY);
    if (r)
        print_message("%s: %s\n", sm_errname(r), c.why);
    assert_int_equal(r, 0);
    assert_int_equal(kit_verify(&c, VERIFY_DATA, &v), 0);
    assert_true(v.sound);
    assert_int_equal(store_recovered(c.st)->packs_missing, 0);
    size_t n = store_generations(c.st, &q, g, 32);
    assert_true(n >= least && n <= most);
    kit_close(&c);
}

static void a_copy_is_a_vault_of_its_own(void **state)
{
    struct x x;
    make(&x, "copy", 3);
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(x.res.generations, 3);
    assert_int_equal(x.res.head.seq, x.head.head.seq);
    assert_int_equal(x.res.before.seq, 0);
    assert_true(x.res.copied_packs == x.res.packs && x.res.packs > 0);
    check(&x, 3, 3);
    /* And can be gone on with as one: nothing in it is strange to the store. */
    struct kit c = x.k;
    (void)snprintf(c.dir, sizeof c.dir, "%.120s", x.to);
    assert_int_equal(kit_open(&c, 0), 0);
    assert_int_equal(store_recovered(c.st)->packs_set_aside, 0);
    kit_close(&c);
    kit_done(&x.k);
}

static void a_second_copy_takes_only_what_is_new(void **state)
{
    struct x x;
    make(&x, "again", 2);
    x.k.journal_file_bytes = 0;
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(x.res.copied_packs, 0);
    assert_int_equal(x.res.copied_bytes, 0);
    uint64_t packs = x.res.packs;
    grow(&x, 3, 4);
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(x.res.copied_packs, x.res.packs - packs);
    assert_int_equal(x.res.generations, 4);
    assert_true(x.res.before.seq > 0 && x.res.before.seq < x.res.head.seq);
    check(&x, 4, 4);
    kit_done(&x.k);
}

static void a_journal_of_many_files_is_copied(void **state)
{
    struct x x;
    memset(&x, 0, sizeof x);
    kit_init(&x.k, "files");
    x.k.journal_file_bytes = 900;
    (void)snprintf(x.to, sizeof x.to, "%s/copy", x.k.base);
    assert_int_equal(mkdir(x.to, 0700), 0);
    for (unsigned i = 1; i < 6; i++) {
        char names[64][256];
        grow(&x, i, i);
        assert_int_equal(run(&x, false), 0);
        assert_true(kit_files(x.to, ".skj", names, 64) > i);
        check(&x, i, i);
    }
    kit_done(&x.k);
}

static void a_damaged_pack_is_named_and_never_replaces_a_good_one(void **state)
{
    struct x x;
    char packs[16][256], mine[512];
    make(&x, "damaged", 2);
    size_t n = kit_files(x.k.dir, ".skp", packs, 16);
    assert_true(n >= 2);
    uint64_t size = kit_size(packs[0]);
    kit_flip(packs[0], size - 1, 1);
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(x.res.damaged, 1);
    assert_int_equal(x.damages, 1);
    assert_int_equal(x.good, 0);
    (void)snprintf(mine, sizeof mine, "%s%s", x.to, packs[0] + strlen(x.k.dir));
    assert_int_equal(access(mine, F_OK), -1);
    /* In order again, it is copied after all. */
    kit_flip(packs[0], size - 1, 1);
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(x.res.damaged, 0);
    check(&x, 2, 2);
    /* Cut short later: the copy's stays, and it is said that it can heal. */
    assert_int_equal(truncate(packs[0], (off_t)size / 2), 0);
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(x.damages, 1);
    assert_int_equal(x.good, 1);
    assert_int_equal(kit_size(mine), size);
    check(&x, 2, 2);
    /* Gone altogether. */
    assert_int_equal(unlink(packs[0]), 0);
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(x.damages, 1);
    assert_int_equal(x.good, 1);
    check(&x, 2, 2);
    kit_done(&x.k);
}

static void what_rotted_in_the_copy_is_put_right_by_a_deep_run(void **state)
{
    struct x x;
    char files[16][256];
    make(&x, "rot", 2);
    assert_int_equal(run(&x, false), 0);
    size_t n = kit_files(x.to, ".skp", files, 16);
    kit_flip(files[n - 1], kit_size(files[n - 1]) / 2, 4);
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(x.res.healed, 0);
    assert_int_equal(run(&x, true), 0);
    assert_int_equal(x.res.healed, 1);
    check(&x, 2, 2);
    assert_true(kit_files(x.to, ".skm", files, 16) == 2);
    kit_flip(files[0], 100, 4);
    assert_int_equal(run(&x, true), 0);
    check(&x, 2, 2);
    assert_true(kit_files(x.to, ".skj", files, 16) == 1);
    kit_flip(files[0], 300, 4);
    assert_int_equal(run(&x, false), 0);
    assert_true(x.res.journal_mended);
    check(&x, 2, 2);
    kit_done(&x.k);
}

static void a_vault_that_went_back_or_forked_does_not_touch_the_copy(void **state)
{
    struct x x;
    char old[192], before[192];
    make(&x, "forked", 2);
    struct journal_signed_head early = x.head;
    (void)snprintf(old, sizeof old, "%s/old", x.k.base);
    (void)snprintf(before, sizeof before, "%s/before", x.k.base);
    kit_copy_tree(x.k.dir, old);
    grow(&x, 3, 3);
    assert_int_equal(run(&x, false), 0);
    /* The disk's image of yesterday. */
    kit_remove(x.k.dir);
    kit_copy_tree(old, x.k.dir);
    struct journal_signed_head late = x.head;
    x.head = early;
    assert_int_equal(run(&x, false), -SM_EDENIED);
    x.head = late;
    assert_int_equal(run(&x, false), -SM_EDENIED);
    check(&x, 3, 3);
    /* And gone on with differently. */
    assert_int_equal(kit_open(&x.k, 0), 0);
    for (unsigned i = 10; i < 14; i++)
        generation(&x, i);
    assert_int_equal(store_head(x.k.st, &x.head), 0);
    kit_close(&x.k);
    char packs[64][256];
    size_t had = kit_files(x.to, ".skp", packs, 64);
    assert_int_equal(run(&x, false), -SM_EDENIED);
    assert_true(strlen(x.res.why) > 10);
    assert_int_equal(kit_files(x.to, ".skp", packs, 64), had);
    check(&x, 3, 3);
    kit_done(&x.k);
}

/* ---- a target that tells where its journal ends, and is told what went ---- */

static struct { struct journal_head tip; uint32_t file; uint64_t off; unsigned gone, kept, reads; } teller;

static int told_tip(void *t, struct journal_head *ret, uint32_t *ret_file, uint64_t *ret_off)
{
    (void)t;
    *ret = teller.tip;
    *ret_file = teller.file;
    *ret_off = teller.off;
    return teller.tip.seq > 0;
}

static int told_gone(void *t, const char *name)
{
    (void)t;
    assert_true(!strncmp(name, "packs/", 6) || !strncmp(name, "manifests/", 10));
    teller.gone++;
    return 0;
}

static int told_keep(void *t)
{
    (void)t;
    return ++teller.kept % 3; /* two more, then done */
}

static int told_read(void *t, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    teller.reads += !strncmp(name, "journal/", 8);
    return copy_folder.read(t, name, off, to, n, ret_got);
}

static int run_told(struct x *x)
{
    struct copy_target_ops ops = copy_folder;
    struct copy *c = NULL;
    struct copy_args a = { .from = x->k.dir, .target = &ops, .head = x->head, .progress = on_progress, .damage = on_damage,
        .arg = x };
    ops.tip = told_tip;
    ops.gone = told_gone;
    ops.keep = told_keep;
    ops.read = told_read;
    ops.keeps = true;
    memcpy(a.head_pub, x->k.head.public_key, 32);
    teller.gone = teller.kept = teller.reads = 0;
    assert_int_equal(copy_folder.open(x->to, &a.opened), 0);
    int r = copy_new(&a, &c, x->why);
    assert_int_equal(r, 0);
    while ((r = copy_step(c)) == 1)
        ;
    copy_result(c, &x->res);
    copy_free(c);
    return r;
}

static void a_target_that_tells_its_end_is_not_read_and_still_finds_a_vault_that_went_back(void **state)
{
    struct x x;
    char files[4][256];
    make(&x, "teller", 2);
    memset(&teller, 0, sizeof teller);
    assert_int_equal(run_told(&x), 0);
    assert_int_equal(teller.kept, 3);
    assert_int_equal(kit_files(x.to, ".skj", files, 4), 1);
    teller.tip = x.head.head;
    teller.file = 1;
    teller.off = kit_size(files[0]);
    grow(&x, 3, 3);
    assert_int_equal(run_told(&x), 0);
    assert_int_equal(teller.reads, 0);
    check(&x, 3, 3);
    /* An end that the original does not have: nothing is written, nobody is told that something went. */
    uint64_t was = kit_size(files[0]);
    teller.tip.hash[5] ^= 1;
    grow(&x, 4, 4);
    assert_int_equal(run_told(&x), -SM_EDENIED);
    assert_int_equal(teller.gone + teller.kept, 0);
    assert_int_equal(kit_size(files[0]), was);
    teller.tip.hash[5] ^= 1;
    teller.tip.seq += 100;
    assert_int_equal(run_told(&x), -SM_EDENIED);
    kit_done(&x.k);
}

static void an_edited_journal_is_found_and_nothing_is_written(void **state)
{
    struct x x;
    char files[4][256];
    make(&x, "edited", 2);
    assert_int_equal(kit_files(x.k.dir, ".skj", files, 4), 1);
    for (uint64_t at = 70; at < kit_size(files[0]); at += 97) {
        kit_flip(files[0], at, 8);
        assert_int_equal(run(&x, false), -SM_ECORRUPT);
        kit_flip(files[0], at, 8);
        char packs[4][256];
        assert_int_equal(kit_files(x.to, ".skp", packs, 4), 0);
    }
    assert_int_equal(run(&x, false), 0);
    kit_done(&x.k);
}

static void a_head_that_the_box_did_not_sign_starts_nothing(void **state)
{
    struct x x;
    make(&x, "unsigned", 1);
    x.head.sig[5] ^= 1;
    assert_int_equal(run(&x, false), -SM_EAUTH);
    x.head.sig[5] ^= 1;
    x.head.head.seq++;
    assert_int_equal(run(&x, false), -SM_EAUTH);
    kit_done(&x.k);
}

static void anothers_copy_is_not_filled(void **state)
{
    struct x x;
    char path[256];
    make(&x, "foreign", 1);
    (void)snprintf(path, sizeof path, "%s/format", x.to);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(write(fd, "sakimori vault 1\n00000000000000000000000000000000\n", 50) == 50);
    close(fd);
    assert_int_equal(run(&x, false), -SM_EMISMATCH);
    /* Not even where only the journal tells. */
    assert_int_equal(unlink(path), 0);
    struct kit other = x.k;
    memset(other.vault.b, 9, 16);
    kit_remove(x.to);
    assert_int_equal(store_create(x.to, &other.vault, "test"), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(run(&x, false), -SM_EMISMATCH);
    kit_done(&x.k);
}

/* The vault records that a pack was taken away by policy, and takes it away; gives the head before that record. */
static struct journal_signed_head delete_pack(struct x *x, const char *file)
{
    char hex[65], path[256];
    struct journal *j = NULL;
    struct journal_cut cut;
    struct journal_fault fault;
    struct journal_signed_head before = x->head;
    struct sm_buf b = SM_BUF_INIT(4096);
    (void)snprintf(hex, sizeof hex, "%.64s", strrchr(file, '/') + 1);
    (void)snprintf(path, sizeof path, "%s/journal", x->k.dir);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(journal_open(&(struct journal_open_args){ .dirfd = dir, .vault = x->k.vault.b }, &j, &cut, &fault), 0);
    assert_int_equal(sm_buf_printf(&b, "{\"bytes\":1,\"packs\":[\"%s\"]}", hex), 0);
    assert_int_equal(journal_append(j, JOURNAL_PACK_DELETED, plat_clock_wall(), 1, sm_buf_span(&b), &x->head.head), 0);
    assert_int_equal(journal_sync(j), 0);
    journal_close(j);
    close(dir);
    sm_buf_clear(&b);
    assert_int_equal(journal_head_message(&x->head, &b), 0);
    assert_int_equal(crypto_sign(&x->k.head, sm_buf_span(&b), x->head.sig), 0);
    sm_buf_wipe(&b);
    assert_int_equal(unlink(file), 0);
    return before;
}

static void what_was_deleted_by_policy_is_not_missed(void **state)
{
    struct x x;
    char packs[16][256], path[256], text[64] = { 0 };
    make(&x, "deleted", 3);
    size_t n = kit_files(x.k.dir, ".skp", packs, 16);
    assert_true(n > 3);
    struct journal_signed_head before = delete_pack(&x, packs[0]), after = x.head;
    x.head = before;
    assert_int_equal(run(&x, false), -SM_EAGAIN); /* the head is older than the deletion */
    x.head = after;
    (void)snprintf(path, sizeof path, "%s/format", x.k.dir);
    kit_flip(path, 15, '1' ^ '2');
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(x.res.damaged, 0);
    assert_int_equal(kit_files(x.to, ".skp", packs, 16), n - 1);
    /* An older program must not take the copy for a damaged vault either. */
    (void)snprintf(path, sizeof path, "%s/format", x.to);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, 17) == 17);
    close(fd);
    assert_memory_equal(text, "sakimori vault 2\n", 17);
    /* One that is gone without a record is missed. */
    (void)kit_files(x.k.dir, ".skp", packs, 16);
    assert_int_equal(unlink(packs[0]), 0);
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(x.res.damaged, 1);
    kit_done(&x.k);
}

static void a_link_on_the_target_leads_nowhere(void **state)
{
    struct x x;
    char path[256], away[256];
    make(&x, "links", 1);
    (void)snprintf(away, sizeof away, "%s/away", x.k.base);
    (void)snprintf(path, sizeof path, "%s/manifests", x.to);
    assert_int_equal(mkdir(away, 0700), 0);
    assert_int_equal(symlink(away, path), 0);
    assert_true(run(&x, false) < 0);
    char names[4][256];
    assert_int_equal(kit_files(away, ".skm", names, 4), 0);
    kit_done(&x.k);
}

static void a_cancelled_copy_goes_on_where_it_was(void **state)
{
    struct x x;
    unsigned at = 1;
    make(&x, "cancel", 2);
    for (;; at++) {
        x.cancel_after = at;
        int r = run(&x, false);
        if (!r)
            break;
        assert_int_equal(r, -SM_ECANCEL);
    }
    assert_true(at > 5);
    x.cancel_after = 0;
    check(&x, 2, 2);
    kit_done(&x.k);
}

/* An older complete copy stays one, whatever fails while it is brought up to date; a full disk and a pulled one too. */
static void the_k_th_change_of_the_target_fails_for_every_k(void **state)
{
    static const struct { unsigned kinds; int err; const char *name; } row[] = {
        { PLAT_OP_WRITE, EIO, "writes" }, { PLAT_OP_WRITE | PLAT_FAULT_SHORT, ENOSPC, "short writes" },
        { PLAT_OP_FSYNC, EIO, "syncs" }, { PLAT_OP_RENAME, EIO, "renames" }, { PLAT_OP_CREATE, EROFS, "creations" },
        { PLAT_OP_UNLINK | PLAT_OP_TRUNCATE | PLAT_OP_MKDIR, EIO, "others" },
        { PLAT_OP_FILES | PLAT_FAULT_STICKY, ENOSPC, "full from then on" },
        { PLAT_OP_FILES | PLAT_FAULT_STICKY, EIO, "pulled" },
    };
    struct x x;
    char template[192];
    unsigned total = 0;
    make(&x, "copyfaults", 1);
    assert_int_equal(run(&x, false), 0);
    grow(&x, 2, 3);
    (void)snprintf(template, sizeof template, "%s/template", x.k.base);
    kit_copy_tree(x.to, template);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        uint64_t at = 1;
        for (;; at++) {
            kit_remove(x.to);
            kit_copy_tree(template, x.to);
            plat_fault_set(row[i].kinds, at, row[i].err);
            int r = run(&x, false);
            bool fired = plat_fault_fired();
            plat_fault_clear();
            if (!fired) {
                assert_int_equal(r, 0);
                break;
            }
            assert_true(r <= 0); /* what cannot be removed is no failure */
            check(&x, r ? 1 : 3, 3);
            assert_int_equal(run(&x, false), 0);
            check(&x, 3, 3);
        }
        print_message("%s: %llu\n", row[i].name, (unsigned long long)at - 1);
        total += (unsigned)at - 1;
    }
    print_message("%u faults in all\n", total);
    assert_true(total > 60);
    kit_done(&x.k);
}

static void the_power_of_the_target_goes_after_every_operation(void **state)
{
    static const enum plat_replay how[] = { PLAT_REPLAY_ALL, PLAT_REPLAY_TORN, PLAT_REPLAY_SYNCED, PLAT_REPLAY_NAMES,
        PLAT_REPLAY_DATA };
    struct x x;
    make(&x, "copypower", 1);
    assert_int_equal(run(&x, false), 0);
    grow(&x, 2, 3);
    assert_int_equal(plat_record_start(x.to), 0);
    assert_int_equal(run(&x, false), 0);
    plat_record_stop();
    size_t n = plat_record_count();
    unsigned total = 0;
    kit_remove(x.to);
    for (size_t cut = 0; cut <= n; cut++)
        for (size_t h = 0; h < 5; h++) {
            assert_int_equal(plat_record_replay(x.to, cut, how[h]), 0);
            if (getenv("KIT_TELL"))
                print_message("cut %zu how %d\n", cut, (int)how[h]);
            check(&x, cut == n ? 3 : 1, 3);
            assert_int_equal(run(&x, false), 0);
            check(&x, 3, 3);
            kit_remove(x.to);
            total++;
        }
    print_message("%zu operations, %u ways to lose power\n", n, total);
    plat_record_free();
    kit_done(&x.k);
}

static void memory_that_runs_out_leaves_the_copy_as_it_was(void **state)
{
    struct x x;
    uint64_t at = 1;
    make(&x, "copymemory", 1);
    assert_int_equal(run(&x, false), 0);
    grow(&x, 2, 2);
    for (;; at++) {
        plat_fault_set(PLAT_OP_ALLOC, at, ENOMEM);
        int r = run(&x, false);
        bool fired = plat_fault_fired();
        plat_fault_clear();
        check(&x, 1, 2);
        if (!fired) {
            assert_int_equal(r, 0);
            break;
        }
    }
    check(&x, 2, 2);
    kit_done(&x.k);
}

static void a_label_is_read_back_and_every_change_of_it_is_refused(void **state)
{
    struct crypto_sign_pair head;
    uint8_t seed[32] = { 4 };
    struct copy_label l = { .vault = { { 1, 2, 3 } }, .copy = { 9, 8, 7 } }, back;
    struct sm_buf b = SM_BUF_INIT(1024), m = SM_BUF_INIT(1024);
    assert_int_equal(crypto_sign_from_seed(seed, &head), 0);
    assert_int_equal(copy_label_message(&l, &m), 0);
    assert_int_equal(crypto_sign(&head, sm_buf_span(&m), l.sig), 0);
    assert_int_equal(copy_label_put(&l, &b), 0);
    assert_int_equal(copy_label_get(sm_buf_span(&b), &back), 0);
    assert_memory_equal(&back, &l, sizeof l);
    assert_int_equal(copy_label_verify(&back, head.public_key), 0);
    for (size_t i = 0; i < b.n; i++) {
        b.p[i] ^= 1;
        int r = copy_label_get(sm_buf_span(&b), &back);
        assert_true(r < 0 || copy_label_verify(&back, head.public_key) == -SM_EAUTH);
        b.p[i] ^= 1;
        assert_true(copy_label_get(SM_SPAN(b.p, i), &back) < 0);
    }
    sm_buf_wipe(&b);
    sm_buf_wipe(&m);
}

static struct cid some_id(uint32_t n)
{
    struct cid id;
    crypto_sha256(SM_SPAN(&n, sizeof n), id.b);
    return id;
}

static void what_a_vault_of_years_deleted_is_explained_and_the_rest_is_named(void **state)
{
    (void)state;
    const uint32_t many = 300000; /* three and a half years at 240 a day */
    struct missing m = MISSING_INIT;
    struct cid twice = some_id(7), never = some_id(many + 1);
    for (uint32_t i = 0; i < many; i++) {
        struct cid id = some_id(i);
        assert_int_equal(missing_note(&m, &id), 0);
    }
    assert_int_equal(missing_note(&m, &twice), 0); /* a pack of that name came again, and went again */
    for (uint32_t i = 0; i < many; i++) {
        struct cid id = some_id(i);
        if (i != 5 && i != 299999)
            assert_int_equal(missing_explain(&m, &id), 1);
    }
    assert_int_equal(m.open, 3);
    assert_int_equal(missing_explain(&m, &never), 0);
    assert_int_equal(missing_explain(&m, &twice), 1);
    assert_int_equal(missing_explain(&m, &twice), 0);
    struct cid left[2] = {some_id(5), some_id(299999)};
    size_t at = 0, n = 0;
    for (const struct cid *id; (id = missing_next(&m, &at)) != NULL; n++)
        assert_true(cid_eq(id, &left[0]) || cid_eq(id, &left[1]));
    assert_int_equal(n, 2);
    assert_int_equal(m.open, 2);
    missing_wipe(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_a_vault_of_its_own),
        cmocka_unit_test(a_second_copy_takes_only_what_is_new),
        cmocka_unit_test(a_journal_of_many_files_is_copied),
        cmocka_unit_test(a_damaged_pack_is_named_and_never_replaces_a_good_one),
        cmocka_unit_test(what_rotted_in_the_copy_is_put_right_by_a_deep_run),
        cmocka_unit_test(a_vault_that_went_back_or_forked_does_not_touch_the_copy),
        cmocka_unit_test(a_target_that_tells_its_end_is_not_read_and_still_finds_a_vault_that_went_back),
        cmocka_unit_test(an_edited_journal_is_found_and_nothing_is_written),
        cmocka_unit_test(a_head_that_the_box_did_not_sign_starts_nothing),
        cmocka_unit_test(anothers_copy_is_not_filled),
        cmocka_unit_test(what_was_deleted_by_policy_is_not_missed),
        cmocka_unit_test(a_link_on_the_target_leads_nowhere),
        cmocka_unit_test(a_cancelled_copy_goes_on_where_it_was),
        cmocka_unit_test(the_k_th_change_of_the_target_fails_for_every_k),
        cmocka_unit_test(the_power_of_the_target_goes_after_every_operation),
        cmocka_unit_test(memory_that_runs_out_leaves_the_copy_as_it_was),
        cmocka_unit_test(a_label_is_read_back_and_every_change_of_it_is_refused),
        cmocka_unit_test(what_a_vault_of_years_deleted_is_explained_and_the_rest_is_named),
    };
    return cmocka_run_group_tests_name("copy", tests, NULL, NULL);
}
