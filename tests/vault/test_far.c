#include "store_kit.h"
#include <sys/stat.h>
#include "vault/copy/check.h"
#include "vault/copy/far_internal.h"

/* A vault, and another box that keeps its copy: the two meet in target operations that can be cut. */
struct x {
    struct kit k;
    char to[192], vault[256];
    struct far *far;
    uint64_t quota, reserve;
    struct journal_signed_head head;
    struct copy_result res;
    /* the how-manieth call is lost on its way there, or its answer on its way back */
    unsigned cut_before, cut_after, calls;
    struct cid pack; bool sending;
    struct sm_buf body;                     /* of the pack under way, until it ends */
    char why[COPY_WHY];
};
static struct x *now;

static void far_up(struct x *x)
{
    struct far_config c = { .dir = x->to, .vault = x->k.vault, .quota = x->quota, .reserve = x->reserve };
    memcpy(c.head_pub, x->k.head.public_key, 32);
    int r = far_open(&c, &x->far, x->why);
    if (r)
        print_message("%s: %s\n", sm_errname(r), x->why);
    assert_int_equal(r, 0);
}

static void far_again(struct x *x)
{
    far_close(x->far);
    far_up(x);
}

/* ---- the target ---- */

static bool lost(void)
{
    return ++now->calls == now->cut_before;
}

static int back(int r)
{
    return now->calls == now->cut_after ? -SM_EPEER : r;
}

static int t_open(const char *where, void **ret)
{
    (void)where;
    *ret = now;
    return 0;
}

static void t_close(void *t)
{
    (void)t;
}

static int t_size(void *t, const char *name, uint64_t *ret)
{
    (void)t;
    return lost() ? -SM_EPEER : back(far_size(now->far, name, ret));
}

static int t_read(void *t, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    (void)t;
    return lost() ? -SM_EPEER : back(far_read(now->far, name, off, to, n, ret_got));
}

static int t_begin(void *t, const char *name)
{
    (void)t;
    sm_buf_clear(&now->body);
    now->sending = true;
    return sm_unhex(name + 9, 64, now->pack.b, 32);
}

static int t_put(void *t, struct sm_span bytes)
{
    (void)t;
    return sm_buf_put_span(&now->body, bytes);
}

/* As the other box does: what lies there is read first, slice by slice. */
static int begin_judged(struct far *f, const struct cid *id, uint64_t length, uint64_t *ret_have)
{
    int r;
    while ((r = far_pack_begin(f, id, length, ret_have)) == -SM_EAGAIN)
        while ((r = far_judge_step(f)) == 1)
            ;
    return r;
}

static int t_end(void *t)
{
    (void)t;
    uint64_t have = 0;
    bool twice;
    int r = lost() ? -SM_EPEER : back(begin_judged(now->far, &now->pack, now->body.n, &have));
    while (!r && have < now->body.n) {
        size_t n = now->body.n - have < 700 ? now->body.n - (size_t)have : 700;
        r = lost() ? -SM_EPEER : back(far_pack_data(now->far, &now->pack, have, SM_SPAN(now->body.p + have, n)));
        have += n;
    }
    return r ? r : lost() ? -SM_EPEER : back(far_pack_end(now->far, &now->pack, &twice));
}

static void t_abort(void *t)
{
    (void)t;
}

static int t_append(void *t, const char *name, uint64_t at, struct sm_span bytes)
{
    (void)t;
    unsigned n = 0;
    int r = sscanf(name, "journal/%8u.skj", &n) == 1 ? 0 : -SM_EINVAL;
    while (!r && bytes.n) {
        size_t k = bytes.n < 500 ? bytes.n : 500;
        r = lost() ? -SM_EPEER : back(far_journal(now->far, n, at, SM_SPAN(bytes.p, k)));
        bytes = SM_SPAN(bytes.p + k, bytes.n - k);
        at += k;
    }
    return r;
}

static int t_replace(void *t, const char *name, struct sm_span content)
{
    (void)t;
    struct cid id;
    if (lost())
        return -SM_EPEER;
    if (!strcmp(name, "format"))
        return back(far_format(now->far, content));
    if (!strcmp(name, "heads/0.head"))
        return back(far_head(now->far, content, now->why));
    assert_int_equal(sm_unhex(name + 10, 64, id.b, 32), 0);
    return back(far_manifest(now->far, &id, content));
}

static const struct copy_target_ops direct = { .kind = "direct", .open = t_open, .close = t_close, .size = t_size,
    .read = t_read, .begin = t_begin, .put = t_put, .end = t_end, .abort = t_abort, .append = t_append,
    .replace = t_replace };

/* ---- the vault ---- */

static void generation(struct x *x, unsigned n)
{
    struct kit_tree t;
    struct store_verdict v;
    kit_tree_init(&t, 2, 3, 300, 1);
    for (unsigned i = 1; i < n; i++)
        t.seed[i % 2][i % 3] = 1000 + i;
    assert_int_equal(kit_generation(&x->k, &x->k.client, &t, n, 0, NULL, &v), 0);
}

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
    now = x;
    kit_init(&x->k, name);
    (void)snprintf(x->to, sizeof x->to, "%s/neighbour", x->k.base);
    (void)snprintf(x->vault, sizeof x->vault, "%s/sakimori-copy/vault", x->to);
    x->quota = (uint64_t)1 << 30;
    x->body = SM_BUF_INIT((size_t)64 << 20);
    grow(x, 1, generations);
    far_up(x);
}

static void done(struct x *x)
{
    far_close(x->far);
    sm_buf_wipe(&x->body);
    kit_done(&x->k);
}

static int run(struct x *x, bool deep)
{
    struct copy *c = NULL;
    struct copy_args a = { .from = x->k.dir, .target = &direct, .to = "there", .head = x->head, .deep = deep };
    memcpy(a.head_pub, x->k.head.public_key, 32);
    x->calls = 0;
    int r = copy_new(&a, &c, x->why);
    if (r < 0)
        return r;
    while ((r = copy_step(c)) == 1)
        ;
    copy_result(c, &x->res);
    copy_free(c);
    return r;
}

/* What lies there opens as a vault, is sound to the last byte, and holds this many generations. */
static void check(struct x *x, size_t least, size_t most)
{
    struct kit c = x->k;
    struct verify_result v;
    struct store_generation g[32];
    struct store_query q = { 0 };
    far_close(x->far);
    c.st = NULL;
    (void)snprintf(c.dir, sizeof c.dir, "%.120s", x->vault);
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
    far_up(x);
}

/* ---- tests ---- */

static void what_lies_there_is_a_vault_of_its_own(void **state)
{
    struct x x;
    struct far_status s;
    make(&x, "far", 3);
    assert_int_equal(run(&x, false), 0);
    check(&x, 3, 3);
    grow(&x, 4, 5);
    assert_int_equal(run(&x, false), 0);
    assert_true(x.res.copied_packs > 0 && x.res.copied_packs < x.res.packs);
    assert_true(x.res.before.seq > 0);
    far_status(x.far, &s);
    uint64_t used = s.used;
    assert_int_equal(s.head.head.seq, x.head.head.seq);
    assert_int_equal(s.packs, x.res.packs);
    assert_int_equal(s.manifests, 5);
    far_again(&x);
    far_status(x.far, &s);
    assert_in_range(s.used, used, used + 100);
    check(&x, 5, 5);
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(x.res.copied_packs, 0);
    done(&x);
}

static void a_journal_of_many_files_arrives(void **state)
{
    struct x x;
    memset(&x, 0, sizeof x);
    make(&x, "farfiles", 1);
    x.k.journal_file_bytes = 900;
    for (unsigned i = 2; i < 7; i++) {
        char names[64][256];
        grow(&x, i, i);
        assert_int_equal(run(&x, false), 0);
        assert_true(kit_files(x.vault, ".skj", names, 64) >= i);
        check(&x, i, i);
    }
    done(&x);
}

/* The line is cut at every call, before it arrives and after: what was there stays a vault, and the next run ends
 * it. */
static void a_cut_at_every_message_loses_nothing(void **state)
{
    struct x x;
    unsigned cuts = 0;
    make(&x, "farcut", 2);
    assert_int_equal(run(&x, false), 0);
    for (int after = 0; after < 2; after++) {
        for (unsigned k = 1;; k++) {
            if (k == 1)
                grow(&x, 3 + 3 * (unsigned)after, 4 + 3 * (unsigned)after);
            *(after ? &x.cut_after : &x.cut_before) = k;
            int r = run(&x, false);
            if (!r)
                break;
            cuts++;
            assert_int_equal(r, -SM_EPEER);
            assert_int_equal(x.res.head.seq, 0); /* not counted as copied */
            if (k % 3 == 0)
                far_again(&x); /* the other box was started again, too */
            if (k % 7 == 0)
                check(&x, 2, 7);
        }
        x.cut_before = x.cut_after = 0;
    }
    check(&x, 6, 6);
    print_message("%u cuts\n", cuts);
    assert_true(cuts > 40);
    done(&x);
}

static void the_k_th_write_there_fails_for_every_k(void **state)
{
    struct x x;
    unsigned failed = 0, n = 2;
    make(&x, "farfault", 2);
    assert_int_equal(run(&x, false), 0);
    static const struct { unsigned kinds; int err; } row[] = { { PLAT_OP_WRITE, EIO },
        { PLAT_OP_WRITE | PLAT_FAULT_SHORT, ENOSPC }, { PLAT_OP_FSYNC, EIO }, { PLAT_OP_RENAME, EIO },
        { PLAT_OP_FILES | PLAT_FAULT_STICKY, ENOSPC } };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        grow(&x, n + 1, n + 1);
        n++;
        for (unsigned k = 1;; k++) {
            plat_fault_set(row[i].kinds, k, row[i].err);
            int r = run(&x, false);
            plat_fault_clear();
            if (!r)
                break;
            failed++;
            far_again(&x);
            if (k % 5 == 1)
                check(&x, n - 1, n);
        }
        check(&x, n, n);
    }
    print_message("%u failures\n", failed);
    assert_true(failed > 25);
    done(&x);
}

static struct sm_buf head_bytes(const struct x *x)
{
    struct sm_buf b = SM_BUF_INIT(256);
    assert_int_equal(journal_head_put(&x->head, &b), 0);
    return b;
}

static int send_head(struct x *x)
{
    struct sm_buf b = head_bytes(x);
    int r = far_head(x->far, sm_buf_span(&b), x->why);
    sm_buf_wipe(&b);
    return r;
}

/* All of the present vault's journal from where the other box has it. */
static int send_journal(struct x *x)
{
    char path[256], name[64];
    uint64_t at = 0;
    struct sm_buf b = SM_BUF_INIT((size_t)64 << 20);
    (void)snprintf(path, sizeof path, "%s/journal/00000001.skj", x->k.dir);
    (void)snprintf(name, sizeof name, "journal/00000001.skj");
    int r = far_size(x->far, name, &at);
    assert_true(r == 0 || r == -SM_ENOTFOUND);
    assert_int_equal(plat_fs_read_file(AT_FDCWD, path, b.max, &b), 0);
    assert_true(b.n > at);
    r = far_journal(x->far, 1, at, SM_SPAN(b.p + at, b.n - at));
    sm_buf_wipe(&b);
    return r;
}

static void a_record_that_went_back_or_forked_is_refused_and_changes_nothing(void **state)
{
    struct x x;
    char old[192];
    make(&x, "farforked", 2);
    assert_int_equal(run(&x, false), 0);
    struct journal_signed_head early = x.head;
    (void)snprintf(old, sizeof old, "%s/old", x.k.base);
    kit_copy_tree(x.k.dir, old);
    grow(&x, 3, 3);
    assert_int_equal(run(&x, false), 0);
    struct journal_signed_head late = x.head;
    /* An older head, signed rightly. */
    x.head = early;
    assert_int_equal(send_head(&x), -SM_EDENIED);
    assert_true(strstr(x.why, "older") != NULL);
    /* Yesterday's disk, gone on with differently: longer than what is here, and every record chained. */
    kit_remove(x.k.dir);
    kit_copy_tree(old, x.k.dir);
    assert_int_equal(kit_open(&x.k, 0), 0);
    for (unsigned i = 10; i < 14; i++)
        generation(&x, i);
    assert_int_equal(store_head(x.k.st, &x.head), 0);
    kit_close(&x.k);
    assert_int_equal(run(&x, false), -SM_EDENIED); /* the near side sees it by itself */
    assert_int_equal(send_journal(&x), 0);         /* one that does not look is refused there */
    assert_int_equal(send_head(&x), -SM_EDENIED);
    assert_true(strstr(x.why, "forked") != NULL);
    struct far_status s;
    far_status(x.far, &s);
    assert_memory_equal(&s.head, &late, sizeof late);
    check(&x, 3, 3);
    done(&x);
}

static void records_that_no_head_covers_are_not_seen(void **state)
{
    struct x x;
    uint64_t before = 0, after = 0;
    char path[512];
    make(&x, "farunsigned", 2);
    assert_int_equal(run(&x, false), 0);
    assert_int_equal(far_size(x.far, "journal/00000001.skj", &before), 0);
    grow(&x, 3, 3);
    assert_int_equal(send_journal(&x), 0);
    assert_int_equal(far_size(x.far, "journal/00000001.skj", &after), 0);
    assert_int_equal(after, before);
    (void)snprintf(path, sizeof path, "%s/journal/00000001.skj", x.vault);
    assert_int_equal(kit_size(path), before);
    /* Signed by another key, or changed after it was signed. */
    struct journal_signed_head h = x.head;
    x.head.sig[3] ^= 1;
    assert_int_equal(send_head(&x), -SM_EAUTH);
    x.head = h;
    x.head.head.seq += 4;
    assert_int_equal(send_head(&x), -SM_EAUTH);
    x.head = h;
    x.head.vault[0] ^= 1;
    assert_int_equal(send_head(&x), -SM_EMISMATCH);
    x.head = h;
    far_again(&x); /* what waited is forgotten */
    assert_int_equal(send_head(&x), -SM_EPARTIAL);
    assert_int_equal(send_journal(&x), 0);
    assert_int_equal(send_head(&x), 0);
    assert_int_equal(far_size(x.far, "journal/00000001.skj", &after), 0);
    assert_true(after > before);
    done(&x);
}

static int pack(struct x *x, const struct cid *id, struct sm_span bytes, uint64_t length)
{
    uint64_t have = 0;
    bool twice = false;
    int r = begin_judged(x->far, id, length, &have);
    if (!r && have < bytes.n)
        r = far_pack_data(x->far, id, have, SM_SPAN(bytes.p + have, bytes.n - have));
    return r ? r : far_pack_end(x->far, id, &twice);
}

static struct sm_buf file_of(const char *path)
{
    struct sm_buf b = SM_BUF_INIT((size_t)64 << 20);
    assert_int_equal(plat_fs_read_file(AT_FDCWD, path, b.max, &b), 0);
    return b;
}

static void only_what_fits_its_name_gets_one(void **state)
{
    struct x x;
    struct cid id, other;
    char packs[16][256], there[512];
    unsigned refused = 0;
    make(&x, "farnames", 2);
    assert_true(kit_files(x.k.dir, ".skp", packs, 16) > 2);
    struct sm_buf b = file_of(packs[0]);
    assert_int_equal(sm_unhex(strrchr(packs[0], '/') + 1, 64, id.b, 32), 0);
    assert_int_equal(sm_unhex(strrchr(packs[1], '/') + 1, 64, other.b, 32), 0);
    (void)snprintf(there, sizeof there, "%s%s", x.vault, packs[0] + strlen(x.k.dir));
    for (size_t at = 0; at < b.n; at += 17) { /* any byte but the right one */
        b.p[at] ^= 16;
        assert_true(pack(&x, &id, sm_buf_span(&b), b.n) < 0);
        refused++;
        b.p[at] ^= 16;
        assert_int_equal(access(there, F_OK), -1);
    }
    assert_true(pack(&x, &other, sm_buf_span(&b), b.n) < 0); /* under another's name */
    assert_int_equal(pack(&x, &id, sm_buf_span(&b), b.n + 5), -SM_EPARTIAL);
    assert_int_equal(pack(&x, &id, sm_buf_span(&b), (uint64_t)1 << 40), -SM_ELIMIT);
    assert_int_equal(pack(&x, &id, sm_buf_span(&b), 3), -SM_ELIMIT);
    assert_true(pack(&x, &id, sm_buf_span(&b), b.n - 1) < 0);
    assert_int_equal(sm_buf_put(&b, "and more that is no trailer", 27), 0);
    assert_true(pack(&x, &id, sm_buf_span(&b), b.n) < 0);
    b.n -= 27;
    assert_int_equal(access(there, F_OK), -1);
    assert_int_equal(pack(&x, &id, sm_buf_span(&b), b.n), 0);
    uint64_t size = kit_size(there);
    /* Complete: it is not taken again, shorter or longer. */
    b.p[b.n - 1] ^= 1;
    assert_int_equal(pack(&x, &id, sm_buf_span(&b), b.n), 0);
    assert_true(pack(&x, &id, sm_buf_span(&b), b.n + 1) < 0);
    b.p[b.n - 1] ^= 1;
    struct sm_buf is = file_of(there);
    assert_true(is.n == size && memcmp(is.p, b.p, b.n) == 0);
    sm_buf_wipe(&is);
    sm_buf_wipe(&b);
    print_message("%u refused\n", refused);
    assert_true(refused > 10);
    done(&x);
}

static void no_name_leads_out_of_the_copy(void **state)
{
    static const char *const names[] = { "", ".", "..", "/", "../label", "lock", "tmp", "tmp/copy.part", "heads",
        "heads/1.head", "heads/../format", "./format", "format/", "FORMAT", "journal/1.skj", "journal/0000001.skj",
        "journal/000000001.skj", "journal/00000000.skj", "journal/00000001.skj/", "packs/aa/../../format",
        "packs/../../../../../../../../../../etc/passwd", "manifests/../format", "/etc/passwd",
        "packs/ab/0000000000000000000000000000000000000000000000000000000000000000.skp",
        "packs/00/0000000000000000000000000000000000000000000000000000000000000000.skm",
        "packs/00/000000000000000000000000000000000000000000000000000000000000000000.skp",
        "packs/00/G000000000000000000000000000000000000000000000000000000000000000.skp" };
    struct x x;
    uint64_t n;
    uint8_t to[16];
    size_t got;
    make(&x, "farpaths", 1);
    assert_int_equal(run(&x, false), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(far_size(x.far, names[i], &n), -SM_ENOTFOUND);
        assert_int_equal(far_read(x.far, names[i], 0, to, sizeof to, &got), -SM_ENOTFOUND);
    }
    struct sm_buf b = SM_BUF_INIT(4096);
    assert_int_equal(far_list(x.far, true, "..", &b), -SM_EINVAL);
    assert_int_equal(far_list(x.far, true, "a", &b), -SM_EINVAL);
    assert_int_equal(far_list(x.far, false, "AB", &b), -SM_EINVAL);
    sm_buf_wipe(&b);
    done(&x);
}

static void quota_and_reserve_hold_against_many_small_files(void **state)
{
    struct x x;
    struct far_status s;
    unsigned taken = 0;
    make(&x, "farquota", 1);
    far_set_quota(x.far, 40 * FAR_FILE_BYTES);
    for (unsigned i = 0; i < 1000; i++) {
        struct cid id;
        char text[32];
        int n = snprintf(text, sizeof text, "small %u", i);
        obj_name(SM_SPAN(text, (size_t)n), &id);
        int r = far_manifest(x.far, &id, SM_SPAN(text, (size_t)n));
        assert_true(r == 0 || r == -EDQUOT);
        taken += r == 0;
    }
    far_status(x.far, &s);
    assert_in_range(taken, 38, 40);
    assert_true(s.used <= s.quota);
    assert_int_equal(run(&x, false), -EDQUOT);
    far_again(&x);
    far_status(x.far, &s);
    assert_int_equal(s.manifests, taken);
    /* The journal counts as well, also what waits. */
    far_set_quota(x.far, s.used + 100);
    uint8_t zeros[200] = { 0 };
    assert_int_equal(far_journal(x.far, 1, 0, SM_SPAN(zeros, 60)), 0);
    assert_int_equal(far_journal(x.far, 1, 60, SM_SPAN(zeros, 60)), -EDQUOT);
    assert_int_equal(far_journal(x.far, 1, 0, SM_SPAN(zeros, 60)), 0);
    x.reserve = UINT64_MAX / 2; /* the disk's reserve is never touched, whatever the quota says */
    far_again(&x);
    assert_int_equal(run(&x, false), -ENOSPC);
    done(&x);
}

static void journal_pieces_begin_where_something_ends(void **state)
{
    struct x x;
    uint8_t bytes[300] = { 0 };
    make(&x, "farpieces", 1);
    assert_int_equal(far_journal(x.far, 1, 5, SM_SPAN(bytes, 10)), -SM_ESTATE);
    assert_int_equal(far_journal(x.far, 2, 0, SM_SPAN(bytes, 10)), -SM_ESTATE);
    assert_int_equal(far_journal(x.far, 1, 0, SM_SPAN(bytes, 10)), 0);
    assert_int_equal(far_journal(x.far, 2, 0, SM_SPAN(bytes, 10)), 0); /* chains to nothing: no head will cover it */
    assert_int_equal(far_journal(x.far, 4, 0, SM_SPAN(bytes, 10)), -SM_ESTATE);
    assert_int_equal(far_journal(x.far, 0, 0, SM_SPAN(bytes, 10)), -SM_ELIMIT);
    assert_int_equal(far_journal(x.far, 9999, 0, SM_SPAN(bytes, 10)), -SM_ELIMIT);
    assert_int_equal(far_journal(x.far, 65, 0, SM_SPAN(bytes, 10)), -SM_ELIMIT);
    assert_int_equal(far_journal(x.far, 1, 0, SM_SPAN(bytes, 0)), -SM_ELIMIT);
    assert_int_equal(send_head(&x), -SM_EPARTIAL);
    /* It led nowhere and is forgotten: nobody has the same bytes followed again and again. */
    assert_int_equal(far_journal(x.far, 2, 0, SM_SPAN(bytes, 10)), -SM_ESTATE);
    assert_int_equal(run(&x, false), 0);
    uint64_t size = 0;
    assert_int_equal(far_size(x.far, "journal/00000001.skj", &size), 0);
    /* What is signed is not written again. */
    assert_int_equal(far_journal(x.far, 1, size - 1, SM_SPAN(bytes, 10)), -SM_ESTATE);
    assert_int_equal(far_journal(x.far, 1, 0, SM_SPAN(bytes, 10)), -SM_ESTATE);
    grow(&x, 2, 2);
    assert_int_equal(far_journal(x.far, 1, size, SM_SPAN(bytes, 300)), 0);
    assert_int_equal(send_head(&x), -SM_EDENIED); /* zeros are no records */
    check(&x, 1, 1);
    assert_int_equal(run(&x, false), 0);
    check(&x, 2, 2);
    done(&x);
}

static void small_files_never_go_back(void **state)
{
    struct x x;
    char hex[33], one[64], two[64], path[512];
    make(&x, "farsmall", 1);
    sm_hex(x.k.vault.b, 16, hex);
    (void)snprintf(one, sizeof one, "sakimori vault 1\n%s\n", hex);
    (void)snprintf(two, sizeof two, "sakimori vault 2\n%s\n", hex);
    assert_int_equal(far_format(x.far, SM_SPAN_STR(one)), 0);
    assert_int_equal(far_format(x.far, SM_SPAN_STR(two)), 0);
    assert_int_equal(far_format(x.far, SM_SPAN_STR(one)), -SM_EDENIED);
    assert_int_equal(far_format(x.far, SM_SPAN_STR("sakimori vault 2\n")), -SM_EFORMAT);
    two[20] = two[20] == '0' ? '1' : '0';
    assert_int_equal(far_format(x.far, SM_SPAN_STR(two)), -SM_EMISMATCH);
    struct copy_label l = { .vault = x.k.vault, .copy = { 1 } };
    struct sm_buf m = SM_BUF_INIT(256), text = SM_BUF_INIT(COPY_LABEL_MAX);
    assert_int_equal(copy_label_put(&l, &text), 0);
    assert_int_equal(far_label(x.far, sm_buf_span(&text), SM_SPAN_STR("read me")), -SM_EAUTH);
    assert_int_equal(copy_label_message(&l, &m), 0);
    assert_int_equal(crypto_sign(&x.k.head, sm_buf_span(&m), l.sig), 0);
    sm_buf_clear(&text);
    assert_int_equal(copy_label_put(&l, &text), 0);
    assert_int_equal(far_label(x.far, sm_buf_span(&text), SM_SPAN_STR("read me")), 0);
    assert_int_equal(far_label(x.far, sm_buf_span(&text), SM_SPAN_STR("read me")), 0);
    l.copy[3] = 7;
    sm_buf_clear(&m);
    sm_buf_clear(&text);
    assert_int_equal(copy_label_message(&l, &m), 0);
    assert_int_equal(crypto_sign(&x.k.head, sm_buf_span(&m), l.sig), 0);
    assert_int_equal(copy_label_put(&l, &text), 0);
    assert_int_equal(far_label(x.far, sm_buf_span(&text), SM_SPAN_STR("read me")), -SM_EDENIED);
    (void)snprintf(path, sizeof path, "%s/sakimori-copy/README.txt", x.to);
    assert_int_equal(kit_size(path), 7);
    sm_buf_wipe(&m);
    sm_buf_wipe(&text);
    done(&x);
}

static void what_rots_there_is_named_and_put_right_from_here(void **state)
{
    struct x x;
    struct far_checked c;
    struct far_status s;
    char files[16][256];
    make(&x, "farrot", 2);
    assert_int_equal(run(&x, false), 0);
    int r;
    while ((r = far_check_step(x.far)) == 1)
        ;
    assert_int_equal(r, 0);
    far_checked(x.far, &c);
    assert_true(c.done_s > 0 && c.rotten == 0 && c.files == x.res.packs + 2);
    size_t n = kit_files(x.vault, ".skp", files, 16);
    kit_flip(files[n - 1], kit_size(files[n - 1]) / 2, 4);
    assert_int_equal(kit_files(x.vault, ".skm", files, 16), 2);
    kit_flip(files[0], 100, 4);
    while (far_check_step(x.far) == 1)
        ;
    far_checked(x.far, &c);
    assert_int_equal(c.rotten, 2);
    assert_int_equal(c.names_n, 2);
    assert_int_equal(run(&x, true), 0);
    assert_int_equal(x.res.healed, 1);
    far_checked(x.far, &c);
    assert_true(c.rotten == 0 && c.names_n == 0); /* without another round */
    while (far_check_step(x.far) == 1)
        ;
    far_checked(x.far, &c);
    assert_int_equal(c.rotten, 0);
    check(&x, 2, 2);
    /* Its journal, too: it is sent again from where it is sound. */
    assert_int_equal(kit_files(x.vault, ".skj", files, 16), 1);
    kit_flip(files[0], 300, 4);
    far_again(&x);
    far_status(x.far, &s);
    assert_true(s.journal_rotten && s.head.head.seq == x.head.head.seq);
    assert_int_equal(run(&x, false), 0);
    assert_true(x.res.journal_mended);
    far_status(x.far, &s);
    assert_false(s.journal_rotten);
    check(&x, 2, 2);
    done(&x);
}

static void one_half_pack_at_a_time(void **state)
{
    struct x x;
    struct cid a, b;
    char packs[16][256], parts[16][256];
    uint64_t have = 0;
    make(&x, "farhalf", 2);
    assert_true(kit_files(x.k.dir, ".skp", packs, 16) > 2);
    struct sm_buf one = file_of(packs[0]), two = file_of(packs[1]);
    assert_int_equal(sm_unhex(strrchr(packs[0], '/') + 1, 64, a.b, 32), 0);
    assert_int_equal(sm_unhex(strrchr(packs[1], '/') + 1, 64, b.b, 32), 0);
    assert_int_equal(far_pack_begin(x.far, &a, one.n, &have), 0);
    assert_int_equal(have, 0);
    assert_int_equal(far_pack_data(x.far, &a, 0, SM_SPAN(one.p, one.n / 2)), 0);
    assert_int_equal(far_pack_data(x.far, &a, 0, SM_SPAN(one.p, one.n / 2)), -SM_EMISMATCH);
    far_again(&x); /* it goes on after a start */
    assert_int_equal(far_pack_begin(x.far, &a, one.n, &have), 0);
    assert_int_equal(have, one.n / 2);
    assert_int_equal(kit_files(x.vault, ".part", parts, 16), 1);
    far_again(&x);
    assert_int_equal(far_pack_begin(x.far, &b, two.n, &have), 0);
    assert_int_equal(have, 0);
    assert_int_equal(kit_files(x.vault, ".part", parts, 16), 1);
    assert_int_equal(far_pack_data(x.far, &a, one.n / 2, SM_SPAN(one.p, 1)), -SM_ESTATE);
    assert_int_equal(pack(&x, &b, sm_buf_span(&two), two.n), 0);
    assert_int_equal(kit_files(x.vault, ".part", parts, 16), 0);
    sm_buf_wipe(&one);
    sm_buf_wipe(&two);
    done(&x);
}

/* What reading back from here says of it. */
static struct copy_checked read_back(struct x *x, uint64_t read_max)
{
    struct copy_check_args a = { .ops = &direct, .target = x, .vault = x->k.vault, .read_max = read_max };
    struct copy_check *c = NULL;
    struct copy_checked res;
    int r;
    memcpy(a.head_pub, x->k.head.public_key, 32);
    assert_int_equal(copy_check_new(&a, &c), 0);
    while ((r = copy_check_step(c)) == 1)
        ;
    assert_int_equal(r, 0);
    copy_checked(c, &res);
    copy_check_free(c);
    return res;
}

static void reading_back_finds_what_is_rotten_missing_or_older(void **state)
{
    struct x x;
    char files[16][256], kept[512];
    make(&x, "farread", 3);
    assert_int_equal(run(&x, false), 0);
    struct copy_checked k = read_back(&x, 0);
    assert_true(k.damaged == 0 && k.packs == x.res.packs && k.generations == 3);
    assert_int_equal(k.head.seq, x.head.head.seq);
    assert_int_equal(k.files_read, k.packs + 3);
    k = read_back(&x, 1); /* a sample: one file by chance, and that the others are there */
    assert_true(k.damaged == 0 && k.files_read == 1 && k.packs == x.res.packs);
    size_t n = kit_files(x.vault, ".skp", files, 16);
    kit_flip(files[0], kit_size(files[0]) / 2, 4);
    assert_int_equal(read_back(&x, 0).damaged, 1);
    assert_int_equal(unlink(files[n - 1]), 0);
    assert_int_equal(read_back(&x, 0).damaged, 2);
    assert_int_equal(kit_files(x.vault, ".skm", files, 16), 3);
    kit_flip(files[1], 20, 1);
    assert_int_equal(read_back(&x, 0).damaged, 3);
    /* Its journal, and a head that nobody signed. */
    assert_int_equal(kit_files(x.vault, ".skj", files, 16), 1);
    kit_flip(files[0], 400, 1);
    far_again(&x);
    assert_true(read_back(&x, 0).damaged > 0);
    kit_flip(files[0], 400, 1);
    (void)snprintf(kept, sizeof kept, "%s/heads/0.head", x.vault);
    kit_flip(kept, 100, 1);
    assert_int_equal(read_back(&x, 0).damaged, 1);
    done(&x);
}

static void no_step_reads_more_than_a_slice(void **state)
{
    struct x x;
    struct kit_tree t;
    struct store_verdict v;
    char files[16][256];
    unsigned steps = 0, slices = 0;
    make(&x, "farslice", 1);
    assert_int_equal(kit_open(&x.k, 0), 0);
    assert_int_equal(kit_join(&x.k, &x.k.client), 0);
    kit_tree_init(&t, 2, 3, (size_t)1 << 20, 77);
    assert_int_equal(kit_generation(&x.k, &x.k.client, &t, 2, 0, NULL, &v), 0);
    assert_int_equal(store_head(x.k.st, &x.head), 0);
    kit_close(&x.k);
    assert_int_equal(run(&x, false), 0);
    size_t n = kit_files(x.vault, ".skp", files, 16), most = 0;
    for (size_t i = 0; i < n; i++) {
        size_t size = (size_t)kit_size(files[i]);
        slices += (unsigned)(size >> 21);
        most = size > most ? size : most;
    }
    assert_true(most > (size_t)4 << 20);
    int r;
    for (; (r = far_check_step(x.far)) == 1; steps++)
        ;
    assert_int_equal(r, 0);
    struct far_checked c;
    far_checked(x.far, &c);
    assert_true(c.rotten == 0 && c.files == n + 2);
    assert_true(steps >= n + slices + 2);
    done(&x);
}

static void what_was_judged_is_not_read_again_at_every_question(void **state)
{
    struct x x;
    struct cid id;
    char files[16][256];
    uint64_t have = 0;
    make(&x, "farjudge", 1);
    assert_int_equal(run(&x, false), 0);
    assert_true(kit_files(x.vault, ".skp", files, 16) > 0);
    struct sm_buf body = file_of(files[0]);
    assert_int_equal(sm_unhex(strrchr(files[0], '/') + 1, 64, id.b, 32), 0);
    /* No question reads anything itself, however often it comes. */
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(far_pack_begin(x.far, &id, body.n, &have), -SM_EAGAIN);
    assert_int_equal(far_judge_step(x.far), 0);
    for (unsigned i = 0; i < 5; i++) {
        have = 0;
        assert_int_equal(far_pack_begin(x.far, &id, body.n, &have), 0);
        assert_int_equal(have, body.n);
        assert_null(x.far->judging.check);
    }
    /* It rots, which a round finds: then it may be sent again, and the verdict is a new one. */
    kit_flip(files[0], body.n / 2, 4);
    int r;
    while ((r = far_check_step(x.far)) == 1)
        ;
    assert_int_equal(r, 0);
    assert_int_equal(far_pack_begin(x.far, &id, body.n, &have), 0);
    assert_int_equal(have, 0);
    assert_int_equal(pack(&x, &id, sm_buf_span(&body), body.n), 0);
    assert_int_equal(far_pack_begin(x.far, &id, body.n, &have), -SM_EAGAIN);
    assert_int_equal(far_judge_step(x.far), 0);
    assert_int_equal(far_pack_begin(x.far, &id, body.n, &have), 0);
    assert_int_equal(have, body.n);
    sm_buf_wipe(&body);
    done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lies_there_is_a_vault_of_its_own),
        cmocka_unit_test(a_journal_of_many_files_arrives),
        cmocka_unit_test(a_cut_at_every_message_loses_nothing),
        cmocka_unit_test(the_k_th_write_there_fails_for_every_k),
        cmocka_unit_test(a_record_that_went_back_or_forked_is_refused_and_changes_nothing),
        cmocka_unit_test(records_that_no_head_covers_are_not_seen),
        cmocka_unit_test(only_what_fits_its_name_gets_one),
        cmocka_unit_test(no_name_leads_out_of_the_copy),
        cmocka_unit_test(quota_and_reserve_hold_against_many_small_files),
        cmocka_unit_test(journal_pieces_begin_where_something_ends),
        cmocka_unit_test(small_files_never_go_back),
        cmocka_unit_test(no_step_reads_more_than_a_slice),
        cmocka_unit_test(what_was_judged_is_not_read_again_at_every_question),
        cmocka_unit_test(what_rots_there_is_named_and_put_right_from_here),
        cmocka_unit_test(one_half_pack_at_a_time),
        cmocka_unit_test(reading_back_finds_what_is_rotten_missing_or_older),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
