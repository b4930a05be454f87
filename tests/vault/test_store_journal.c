#include "store_kit.h"

struct j { char dir[96]; int fd; uint8_t vault[16]; struct journal *j;
    struct journal_cut cut; struct journal_fault fault; struct journal_head acked; bool use_acked;
    uint64_t file_bytes; size_t seen; };

static void make(struct j *x)
{
    memset(x, 0, sizeof *x);
    assert_int_equal(crypto_init(), 0);
    (void)snprintf(x->dir, sizeof x->dir, "%s/sakimori-journal-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(x->dir));
    x->fd = plat_fs_open_dir(AT_FDCWD, x->dir);
    assert_true(x->fd >= 0);
    memset(x->vault, 3, 16);
    assert_int_equal(journal_create(x->fd, x->vault), 0);
}

static int count(void *arg, const struct journal_record *r)
{
    struct j *x = arg;
    x->seen++;
    return r->payload.n > 0 && r->payload.p[0] == '{' ? 0 : -SM_EFORMAT;
}

static int open_flags(struct j *x, unsigned flags)
{
    x->seen = 0;
    memset(&x->cut, 0, sizeof x->cut);
    memset(&x->fault, 0, sizeof x->fault);
    return journal_open(&(struct journal_open_args){ .dirfd = x->fd, .vault = x->vault, .flags = flags,
        .file_bytes = x->file_bytes,
        .acked = x->use_acked ? &x->acked : NULL, .fn = count, .arg = x }, &x->j, &x->cut, &x->fault);
}

static void shut(struct j *x)
{
    journal_close(x->j);
    x->j = NULL;
}

static void done(struct j *x)
{
    shut(x);
    close(x->fd);
    kit_remove(x->dir);
}

static void append(struct j *x, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "{\"n\":%u,\"pad\":\"%.*s\"}", i, (int)(i * 7 % 90),
            "..........................................................................................");
        assert_int_equal(journal_append(x->j, JOURNAL_ACCESS, (struct sm_time){ 1000 + i, 5 }, i, SM_SPAN_STR(text),
            NULL), 0);
    }
    assert_int_equal(journal_sync(x->j), 0);
}

static char *path_of(struct j *x, const char *name, char ret[256])
{
    (void)snprintf(ret, 256, "%s/%s", x->dir, name);
    return ret;
}

static void records_come_back_in_order_over_many_files(void **state)
{
    struct j x;
    make(&x);
    x.file_bytes = 3000;
    assert_int_equal(open_flags(&x, 0), 0);
    append(&x, 700);
    struct journal_head h = journal_durable(x.j);
    assert_int_equal(h.seq, 700);
    shut(&x);
    assert_int_equal(open_flags(&x, 0), 0);
    assert_int_equal(x.seen, 700);
    assert_false(x.cut.happened);
    assert_memory_equal(journal_head(x.j).hash, h.hash, 32);
    x.seen = 0;
    assert_int_equal(journal_each(x.j, 601, count, &x, NULL), 0);
    assert_int_equal(x.seen, 100);
    x.seen = 0;
    assert_int_equal(journal_latest(x.j, 300, 0, 1000, count, &x), 0);
    assert_int_equal(x.seen, 299);
    append(&x, 1);
    assert_int_equal(journal_head(x.j).seq, 701);
    char files[64][256];
    assert_true(kit_files(x.dir, ".skj", files, 64) > 10);
    done(&x);
}

static void a_journal_cut_at_every_byte_loses_only_what_was_cut(void **state)
{
    struct j x;
    char name[256];
    make(&x);
    assert_int_equal(open_flags(&x, 0), 0);
    append(&x, 12);
    uint64_t starts[14] = { JOURNAL_HEADER_BYTES };
    shut(&x);
    struct sm_buf whole = { 0 };
    assert_int_equal(plat_fs_read_file(x.fd, "00000001.skj", 1 << 20, &whole), 0);
    size_t n = 0;
    for (uint64_t at = JOURNAL_HEADER_BYTES; at < whole.n; n++) {
        uint32_t len;
        memcpy(&len, whole.p + at, 4);
        at += len + 4u;
        starts[n + 1] = at;
    }
    assert_int_equal(n, 12);
    unsigned cuts = 0;
    for (uint64_t at = JOURNAL_HEADER_BYTES; at <= whole.n; at++, cuts++) {
        int fd = open(path_of(&x, "00000001.skj", name), O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_int_equal(write(fd, whole.p, at), (ssize_t)at);
        close(fd);
        size_t left = 0;
        while (left < 12 && starts[left + 1] <= at)
            left++;
        x.use_acked = false;
        assert_int_equal(open_flags(&x, 0), 0);
        assert_int_equal(x.seen, left);
        assert_int_equal(x.cut.happened, starts[left] != at);
        if (x.cut.happened)
            assert_int_equal(x.cut.bytes, at - starts[left]);
        append(&x, 1);                      /* it can be gone on with */
        shut(&x);
        assert_int_equal(open_flags(&x, 0), 0);
        assert_int_equal(x.seen, left + 1);
        shut(&x);
    }
    /* With a signed head in hand the same cuts are no accident. */
    int fd = open(path_of(&x, "00000001.skj", name), O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, whole.p, whole.n), (ssize_t)whole.n);
    close(fd);
    assert_int_equal(open_flags(&x, 0), 0);
    x.acked = journal_head(x.j);
    x.use_acked = true;
    shut(&x);
    for (uint64_t at = JOURNAL_HEADER_BYTES; at < whole.n; at += 3) {
        assert_int_equal(truncate(name, (off_t)at), 0);
        assert_int_equal(open_flags(&x, 0), -SM_ECORRUPT);
        assert_true(x.fault.seq >= 1 && x.fault.why[0]);
        fd = open(name, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_int_equal(write(fd, whole.p, whole.n), (ssize_t)whole.n);
        close(fd);
    }
    print_message("%u cuts\n", cuts);
    sm_buf_wipe(&whole);
    done(&x);
}

static void every_flipped_bit_is_found_and_named(void **state)
{
    struct j x;
    char name[256];
    make(&x);
    x.file_bytes = 900;
    assert_int_equal(open_flags(&x, 0), 0);
    append(&x, 30);
    x.acked = journal_durable(x.j);
    x.use_acked = true;
    shut(&x);
    char files[16][256];
    size_t n = kit_files(x.dir, ".skj", files, 16);
    assert_true(n > 3);
    unsigned flips = 0;
    for (size_t f = 0; f < n; f++) {
        uint64_t size = kit_size(files[f]);
        for (uint64_t at = 0; at < size; at += kit_long() ? 1 : 3) {
            kit_flip(files[f], at, (uint8_t)(1u << at % 8));
            int err = open_flags(&x, JOURNAL_READ_ONLY);
            assert_true(err == -SM_ECORRUPT || err == -SM_EMISMATCH || err == -SM_EVERSION);
            if (err == -SM_ECORRUPT) {
                assert_string_equal(x.fault.file, files[f] + strlen(x.dir) + 1);
                assert_true(x.fault.offset <= at);
            }
            kit_flip(files[f], at, (uint8_t)(1u << at % 8));
            flips++;
        }
    }
    x.use_acked = false;
    /* Without a signed head: all but the very end of the last file. */
    kit_flip(path_of(&x, "00000001.skj", name), 100, 1);
    assert_int_equal(open_flags(&x, 0), -SM_ECORRUPT);
    print_message("%u flips\n", flips);
    done(&x);
}

static void a_flip_before_whole_records_is_damage_and_never_cut(void **state)
{
    struct j x;
    char name[256];
    make(&x);
    assert_int_equal(open_flags(&x, 0), 0);
    append(&x, 20);
    shut(&x);
    path_of(&x, "00000001.skj", name);
    uint64_t size = kit_size(name);
    for (uint64_t at = JOURNAL_HEADER_BYTES; at < size - 1000; at += 11) {
        kit_flip(name, at, 0x20);
        assert_int_equal(open_flags(&x, 0), -SM_ECORRUPT);
        assert_int_equal(kit_size(name), size);
        kit_flip(name, at, 0x20);
    }
    done(&x);
}

static void a_file_without_its_header_is_cut_and_a_missing_one_is_damage(void **state)
{
    struct j x;
    char name[256];
    make(&x);
    x.file_bytes = 900;
    assert_int_equal(open_flags(&x, 0), 0);
    append(&x, 30);
    shut(&x);
    char files[16][256];
    size_t n = kit_files(x.dir, ".skj", files, 16);
    char next[32];
    (void)snprintf(next, sizeof next, "%08zu.skj", n + 1);
    for (unsigned k = 0; k < 3; k++) {
        int fd = open(path_of(&x, next, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(ftruncate(fd, k * 32), 0);   /* nothing, half, whole but zeros */
        close(fd);
        assert_int_equal(open_flags(&x, 0), 0);
        assert_true(x.cut.happened);
        assert_int_equal(access(name, F_OK), -1);
        shut(&x);
    }
    assert_int_equal(unlink(path_of(&x, "00000002.skj", name)), 0);
    assert_int_equal(open_flags(&x, 0), -SM_ECORRUPT);
    assert_string_equal(x.fault.file, "00000002.skj");
    done(&x);
}

static void ancestry_proves_and_forks_are_noticed(void **state)
{
    struct j x, y;
    make(&x);
    make(&y);
    assert_int_equal(open_flags(&x, 0), 0);
    append(&x, 10);
    struct journal_head a = journal_head(x.j);
    append(&x, 300);
    struct journal_head b = journal_head(x.j), none = { 0 };
    struct sm_buf proof = { 0 };
    assert_int_equal(journal_ancestry(x.j, &a, &b, 1 << 20, &proof), 0);
    assert_int_equal(journal_ancestry_check(&a, &b, sm_buf_span(&proof)), 0);
    assert_int_equal(journal_ancestry_check(&b, &b, SM_SPAN(NULL, 0)), 0);
    assert_int_equal(journal_ancestry_check(&none, &b, sm_buf_span(&proof)), -SM_EAUTH);
    for (size_t i = 0; i < proof.n; i += 97) {
        proof.p[i] ^= 2;
        assert_true(journal_ancestry_check(&a, &b, sm_buf_span(&proof)) < 0);
        proof.p[i] ^= 2;
    }
    assert_int_equal(journal_ancestry(x.j, &a, &b, 1000, &proof), -SM_ELIMIT);
    struct journal_head at = a;
    struct sm_buf part = { 0 };
    unsigned steps = 0;
    for (; at.seq < b.seq; steps++) { /* the same proof in parts that end with a record */
        sm_buf_clear(&part);
        assert_int_equal(journal_ancestry_part(x.j, &at, &b, 1000, &part), 0);
        assert_in_range(part.n, 1, 1000);
        assert_int_equal(journal_ancestry_walk(&at, sm_buf_span(&part)), 0);
    }
    assert_in_range(steps, 2, 300);
    assert_memory_equal(at.hash, b.hash, 32);
    at = a;
    assert_int_equal(journal_ancestry_walk(&at, sm_buf_span(&part)), -SM_EAUTH);
    assert_int_equal(at.seq, a.seq);
    assert_int_equal(journal_ancestry_part(x.j, &a, &b, 20, &part), -SM_ELIMIT);
    assert_int_equal(journal_ancestry_part(x.j, &b, &a, 1 << 20, &part), -SM_EMISMATCH);
    sm_buf_wipe(&part);
    assert_int_equal(journal_ancestry(x.j, &b, &a, 1 << 20, &proof), -SM_EMISMATCH);
    /* Another history of the same vault: the same numbers, other records. */
    assert_int_equal(open_flags(&y, 0), 0);
    append(&y, 9);
    assert_int_equal(journal_append(y.j, JOURNAL_ACCESS, (struct sm_time){ 1, 0 }, 1, SM_SPAN_STR("{}"), NULL), 0);
    append(&y, 400);
    assert_int_equal(journal_is_ancestor(y.j, &a), 0);
    assert_int_equal(journal_is_ancestor(x.j, &a), 1);
    assert_int_equal(journal_is_ancestor(x.j, &(struct journal_head){ .seq = 99999 }), 0);
    assert_int_equal(journal_ancestry(y.j, &a, &b, 1 << 20, &proof), -SM_EMISMATCH);
    sm_buf_wipe(&proof);
    done(&x);
    done(&y);
}

static void a_signed_head_is_128_bytes_and_checks(void **state)
{
    struct crypto_sign_pair pair;
    struct journal_signed_head h = { .head.seq = 7, .s = -3 }, g;
    struct sm_buf m = { 0 }, b = { 0 };
    assert_int_equal(crypto_init(), 0);
    assert_int_equal(crypto_sign_generate(&pair), 0);
    assert_int_equal(journal_head_message(&h, &m), 0);
    assert_int_equal(crypto_sign(&pair, sm_buf_span(&m), h.sig), 0);
    assert_int_equal(journal_head_put(&h, &b), 0);
    assert_int_equal(b.n, JOURNAL_SIGNED_HEAD_BYTES);
    assert_int_equal(journal_head_get(sm_buf_span(&b), &g), 0);
    assert_int_equal(journal_head_verify(&g, pair.public_key), 0);
    for (size_t i = 0; i < b.n; i++) {
        b.p[i] ^= 1;
        assert_int_equal(journal_head_get(sm_buf_span(&b), &g), 0);
        assert_int_equal(journal_head_verify(&g, pair.public_key), -SM_EAUTH);
        b.p[i] ^= 1;
    }
    assert_int_equal(journal_head_get(SM_SPAN(b.p, 127), &g), -SM_EFORMAT);
    sm_buf_wipe(&m);
    sm_buf_wipe(&b);
}

static void after_a_failed_write_the_writer_stops(void **state)
{
    const unsigned kinds[] = { PLAT_OP_WRITE, PLAT_OP_FSYNC, PLAT_OP_CREATE };
    for (size_t i = 0; i < 3; i++)
        for (uint64_t k = 1;; k++) {
            struct j x;
            make(&x);
            x.file_bytes = 900;
            assert_int_equal(open_flags(&x, 0), 0);
            plat_fault_set(kinds[i] | (k % 2 ? PLAT_FAULT_SHORT : 0), k, ENOSPC);
            uint64_t acked = 0;
            int err = 0;
            for (unsigned n = 0; !err && n < 12; n++) {
                err = journal_append(x.j, JOURNAL_ACCESS, (struct sm_time){ 1, 0 }, n,
                    SM_SPAN_STR("{\"some\":\"longer text, so that files turn over\"}"), NULL);
                if (!err)
                    err = journal_sync(x.j);
                if (!err)
                    acked = journal_durable(x.j).seq;
            }
            bool fired = plat_fault_fired();
            plat_fault_clear();
            if (fired) {
                assert_true(err < 0 && journal_is_broken(x.j));
                assert_int_equal(journal_append(x.j, JOURNAL_ACCESS, (struct sm_time){ 1, 0 }, 0, SM_SPAN_STR("{}"),
                    NULL), -SM_ESTATE);
            }
            shut(&x);
            assert_int_equal(open_flags(&x, 0), 0);
            assert_true(x.seen >= acked && x.seen <= acked + 1);
            append(&x, 3);
            done(&x);
            if (!fired)
                break;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back_in_order_over_many_files),
        cmocka_unit_test(a_journal_cut_at_every_byte_loses_only_what_was_cut),
        cmocka_unit_test(every_flipped_bit_is_found_and_named),
        cmocka_unit_test(a_flip_before_whole_records_is_damage_and_never_cut),
        cmocka_unit_test(a_file_without_its_header_is_cut_and_a_missing_one_is_damage),
        cmocka_unit_test(ancestry_proves_and_forks_are_noticed),
        cmocka_unit_test(a_signed_head_is_128_bytes_and_checks),
        cmocka_unit_test(after_a_failed_write_the_writer_stops),
    };
    return cmocka_run_group_tests_name("store_journal", tests, NULL, NULL);
}
