#include "../test.h"
#include "kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/verify.h"
#include "plat/fs.h"

enum { EVENTS = 400, FINDINGS = 64 };

struct found { struct evverify_finding f[FINDINGS]; size_t n; struct evverify_summary sum; };

static int take(void *arg, const struct evverify_finding *f)
{
    struct found *all = arg;

    assert_true(evverify_word(f->kind)[0] && evverify_text(f->kind, true)[0] && evverify_text(f->kind, false)[0]);
    if (f->kind < EVVERIFY_FAULTS && all->n < FINDINGS)
        all->f[all->n++] = *f;
    return 0;
}

static struct found look(const struct kit *k, const struct evverify_head *heads, size_t heads_n)
{
    struct found all = { 0 };
    const struct evverify v = { .key = k->key, .heads = heads, .heads_n = heads_n };

    assert_ok(evidence_verify(k->dir, &v, take, &all, &all.sum));
    return all;
}

static const struct evidence_conf small = { .block_events = 20, .segment_bytes = 12000 };

/* Many segments of two classes, sealed three times with a new epoch after each. */
static void sealed(struct kit *k)
{
    k->conf = small;
    kit_open(k, NULL);
    assert_ok(evseal_begin(&k->seal));
    memcpy(k->key, k->seal.pair.public_key, sizeof k->key);
    assert_ok(evidence_seal_begin(k->j, k->key));
    for (unsigned i = 0; i < 4; i++) {
        kit_fill(k, i * EVENTS / 4, (i + 1) * EVENTS / 4);
        assert_ok(evidence_flush(k->j));
        kit_seal(k);
        kit_advance(k);
    }
    kit_close(k);
}

static void segment(const struct kit *k, uint64_t n, char ret[128])
{
    snprintf(ret, 128, "%s/seg-%020llu.sjs", k->dir, (unsigned long long)n);
}

static void a_sound_record_verifies_and_says_what_it_holds(void **state)
{
    struct kit *k = *state;

    sealed(k);
    struct found f = look(k, NULL, 0);
    assert_int_equal(f.n, 0);
    assert_int_equal(f.sum.faults, 0);
    assert_int_equal(f.sum.events, EVENTS);
    assert_int_equal(f.sum.epoch, 4);
    assert_int_equal(f.sum.sealed_block, f.sum.blocks);
    assert_int_equal(f.sum.head.block, f.sum.blocks);
    assert_true(f.sum.segments > 3);
}

static uint64_t size_of(const char *path)
{
    struct stat st;

    assert_ok(stat(path, &st));
    return (uint64_t)st.st_size;
}

static uint8_t swap_byte(const char *path, uint64_t off, uint8_t x)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t was;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &was, 1, (off_t)off), 1);
    x ^= was;
    assert_int_equal(pwrite(fd, &x, 1, (off_t)off), 1);
    close(fd);
    return was;
}

/* Every byte would take long: each 37th, of every file that is evidence. */
static void an_altered_byte_anywhere_is_found_and_its_file_named(void **state)
{
    struct kit *k = *state;
    char path[128];

    sealed(k);
    for (uint64_t n = 1; n <= 3; n++) {
        segment(k, n, path);
        for (uint64_t off = n; off < size_of(path); off += 37) {
            (void)swap_byte(path, off, 0x41);
            struct found f = look(k, NULL, 0);
            if (!f.n)
                fail_msg("byte %llu of segment %llu", (unsigned long long)off, (unsigned long long)n);
            bool named = false;
            for (size_t i = 0; i < f.n; i++)
                named |= strstr(path, f.f[i].file) && f.f[i].file[0];
            assert_true(named);
            (void)swap_byte(path, off, 0x41);
        }
    }
    snprintf(path, sizeof path, "%s/seals", k->dir);
    for (uint64_t off = 0; off < size_of(path); off += 11) {
        (void)swap_byte(path, off, 0x10);
        struct found f = look(k, NULL, 0);
        if (!f.n)
            fail_msg("byte %llu of the ledger", (unsigned long long)off);
        (void)swap_byte(path, off, 0x10);
    }
    assert_int_equal(look(k, NULL, 0).n, 0);
}

static void the_altered_column_is_named(void **state)
{
    struct kit *k = *state;
    char path[128];
    struct found f;
    bool column = false;

    sealed(k);
    segment(k, 2, path);
    for (uint64_t off = 2000; !column && off < 12000; off += 50) {
        (void)swap_byte(path, off, 1);
        f = look(k, NULL, 0);
        column = f.f[0].kind == EVVERIFY_ALTERED && f.f[0].column[0];
        (void)swap_byte(path, off, 1);
    }
    assert_true(column);
    assert_true(f.f[0].block > 0);
}

static void a_removed_segment_is_named_by_its_blocks(void **state)
{
    struct kit *k = *state;
    char path[128];

    sealed(k);
    segment(k, 2, path);
    assert_ok(unlink(path));
    struct found f = look(k, NULL, 0);
    assert_true(f.n > 0);
    assert_int_equal(f.f[0].kind, EVVERIFY_MISSING);
    assert_true(f.f[0].block >= 1 && f.f[0].until >= f.f[0].block);
}

static void exchanged_segments_are_found(void **state)
{
    struct kit *k = *state;
    char a[128], b[128], c[140];

    sealed(k);
    segment(k, 1, a);
    segment(k, 3, b);
    snprintf(c, sizeof c, "%s.x", a);
    assert_ok(rename(a, c));
    assert_ok(rename(b, a));
    assert_ok(rename(c, b));
    struct found f = look(k, NULL, 0);
    assert_true(f.n > 0);
    assert_int_equal(f.f[0].kind, EVVERIFY_ORDER);
}

static void a_cut_segment_is_found(void **state)
{
    struct kit *k = *state;
    char path[128];

    sealed(k);
    for (uint64_t n = 1; n <= 3; n++) {
        segment(k, n, path);
        struct sm_buf whole = { 0 };
        assert_ok(plat_fs_read_file(AT_FDCWD, path, 1 << 20, &whole));
        for (uint64_t at = 64; at < whole.n; at += whole.n / 7) {
            assert_ok(truncate(path, (off_t)at));
            struct found f = look(k, NULL, 0);
            if (!f.n)
                fail_msg("cut at %llu", (unsigned long long)at);
            assert_ok(plat_replace(AT_FDCWD, path, sm_buf_span(&whole), 0600));
        }
        sm_buf_wipe(&whole);
    }
}

/* Blocks inside a segment in another order: the attacker has the file and time. */
static void blocks_in_another_order_are_found(void **state)
{
    struct kit *k = *state;
    struct sm_buf all = { 0 };
    char path[128];

    sealed(k);
    segment(k, 1, path);
    assert_ok(plat_fs_read_file(AT_FDCWD, path, 1 << 20, &all));
    uint8_t *first = memmem(all.p, all.n, "SJB1", 4), *second = memmem(first + 4, all.n - 68, "SJB1", 4);
    assert_non_null(second);
    uint8_t *third = memmem(second + 4, (size_t)(all.p + all.n - second - 4), "SJB1", 4);
    assert_non_null(third);
    struct sm_buf other = { 0 };
    assert_ok(sm_buf_put(&other, all.p, (size_t)(first - all.p)));
    assert_ok(sm_buf_put(&other, second, (size_t)(third - second)));
    assert_ok(sm_buf_put(&other, first, (size_t)(second - first)));
    assert_ok(sm_buf_put(&other, third, (size_t)(all.p + all.n - third)));
    assert_ok(plat_replace(AT_FDCWD, path, sm_buf_span(&other), 0600));
    assert_true(look(k, NULL, 0).n > 0);
    sm_buf_wipe(&all);
    sm_buf_wipe(&other);
}

/* ---- somebody who has root now, with the key of now, and writes everything anew ---- */

/* A journal of the same events, one of them changed, in k->dir; no seals. */
static void write_anew(struct kit *k, unsigned changed)
{
    assert_ok(plat_fs_remove_tree(AT_FDCWD, k->dir));
    assert_ok(mkdir(k->dir, 0700));
    kit_open(k, NULL);
    for (unsigned i = 0; i < EVENTS; i++) {
        const struct evidence_extra extra = { .klass = (uint8_t)(i % 2), .rules = SM_SPAN_STR(i % 10
            ? "" : "rule-a rule-b") };
        kit_sample(k, i == changed ? i + 1 : i);
        assert_ok(evidence_append(k->j, k->names, &k->e, &extra, NULL));
        if ((i + 1) % (EVENTS / 4) == 0)
            assert_ok(evidence_flush(k->j));
    }
}

static void keep_file(const struct kit *k, const char *name, struct sm_buf *ret)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", k->dir, name);
    assert_ok(plat_fs_read_file(AT_FDCWD, path, 1 << 20, ret));
}

static void put_file(const struct kit *k, const char *name, const struct sm_buf *b)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", k->dir, name);
    assert_ok(plat_replace(AT_FDCWD, path, sm_buf_span(b), 0600));
}

static void history_written_anew_under_the_old_seals_is_found_and_placed(void **state)
{
    struct kit *k = *state;
    struct sm_buf seals = { 0 }, key = { 0 };

    sealed(k);
    keep_file(k, "seals", &seals);
    keep_file(k, "epoch0", &key);
    write_anew(k, 150); /* in the second quarter, so under the second seal */
    kit_close(k);
    put_file(k, "seals", &seals);
    put_file(k, "epoch0", &key);
    struct found f = look(k, NULL, 0);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.f[0].kind, EVVERIFY_SEAL);
    assert_true(f.f[0].block > 5 && f.f[0].until <= f.sum.blocks / 2);
    sm_buf_wipe(&seals);
    sm_buf_wipe(&key);
}

static void the_key_of_now_cannot_seal_what_was_sealed_before(void **state)
{
    struct kit *k = *state;
    uint8_t printed[32];
    struct evseal_state stolen;

    sealed(k);
    memcpy(printed, k->key, 32);
    stolen = k->seal; /* the whole secret of keyd, four epochs later */
    write_anew(k, 10);
    /* as if it had been the key of the first epoch */
    k->seal = (struct evseal_state){ .pair = stolen.pair };
    assert_ok(evidence_seal_begin(k->j, stolen.pair.public_key));
    kit_seal(k);
    kit_close(k);
    memcpy(k->key, printed, 32);
    struct found f = look(k, NULL, 0);
    assert_true(f.n > 0);
    assert_int_equal(f.f[0].kind, EVVERIFY_LEDGER);
}

static void a_new_seal_of_now_over_a_false_past_does_not_help(void **state)
{
    struct kit *k = *state;
    struct sm_buf seals = { 0 }, key = { 0 };

    sealed(k);
    keep_file(k, "seals", &seals);
    keep_file(k, "epoch0", &key);
    write_anew(k, 10);
    kit_close(k);
    put_file(k, "seals", &seals);
    put_file(k, "epoch0", &key);
    kit_open(k, NULL);
    kit_fill(k, EVENTS, EVENTS + 50); /* goes on, and is sealed with the true key of now */
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    kit_close(k);
    struct found f = look(k, NULL, 0);
    assert_true(f.n > 0);
    assert_int_equal(f.f[0].kind, EVVERIFY_SEAL);
    assert_int_equal(f.f[0].block, 1);
    sm_buf_wipe(&seals);
    sm_buf_wipe(&key);
}

static void an_end_cut_away_with_its_seals_shows_against_a_later_head(void **state)
{
    struct kit *k = *state;
    struct evverify_head head;
    struct sm_buf seals = { 0 };
    char text[96];

    k->conf = small;
    kit_open(k, NULL);
    assert_ok(evseal_begin(&k->seal));
    memcpy(k->key, k->seal.pair.public_key, sizeof k->key);
    assert_ok(evidence_seal_begin(k->j, k->key));
    kit_fill(k, 0, 100);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    kit_advance(k);
    keep_file(k, "seals", &seals);
    struct evidence_status before;
    evidence_status(k->j, &before);
    kit_fill(k, 100, 400);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    kit_close(k);
    head = look(k, NULL, 0).sum.head;
    evverify_head_text(&head, text);
    struct evverify_head again;
    assert_ok(evverify_head_parse(text, &again));
    assert_memory_equal(again.hash, head.hash, 32);
    /* every segment begun since goes, and the ledger becomes the old one */
    for (uint64_t n = before.segments + 1; n < 100; n++) {
        char path[128];
        segment(k, n, path);
        (void)unlink(path);
    }
    put_file(k, "seals", &seals);
    assert_int_equal(look(k, &head, 1).f[0].kind, EVVERIFY_CUT);
    sm_buf_wipe(&seals);
}

static void what_policy_removed_is_said_and_the_rest_still_verifies(void **state)
{
    struct kit *k = *state;
    struct evidence_rules rules = { .of[0].days = 1 };
    struct sm_buf body = { 0 };
    uint8_t s[EVSEAL_LEN];
    size_t n = 0;

    sealed(k);
    kit_open(k, NULL);
    while (evidence_retire_next(k->j, &rules, 1795000000 + 9 * 86400, &body) > 0) {
        assert_ok(evseal_sign(&k->seal, EVSEAL_TOMBSTONE, sm_buf_span(&body), 1795000000, s));
        assert_ok(evidence_retire(k->j, s, sm_buf_span(&body)));
        n++;
    }
    assert_true(n > 0);
    kit_close(k);
    struct found f = look(k, NULL, 0);
    assert_int_equal(f.n, 0);
    assert_true(f.sum.removed_blocks > 0);
    sm_buf_wipe(&body);
}

static void a_statement_that_does_not_follow_is_not_kept(void **state)
{
    struct kit *k = *state;
    uint8_t s[EVSEAL_LEN], body[EVSEAL_ROOT_LEN] = { 1 };
    struct evseal_state other;

    sealed(k);
    kit_open(k, NULL);
    assert_ok(evseal_begin(&other));
    assert_ok(evseal_sign(&other, EVSEAL_BLOCKS, SM_SPAN(body, sizeof body), 5, s));
    assert_int_equal(evidence_seal_put(k->j, s, SM_SPAN(body, sizeof body)), -SM_EMISMATCH);
    other.seq = k->seal.seq;
    other.epoch = k->seal.epoch;
    memcpy(other.last, k->seal.last, 32);
    assert_ok(evseal_sign(&other, EVSEAL_BLOCKS, SM_SPAN(body, sizeof body), 1795000000, s));
    assert_int_equal(evidence_seal_put(k->j, s, SM_SPAN(body, sizeof body)), -SM_EAUTH);
    uint8_t packed[EVSEAL_STATE_LEN];
    evseal_state_pack(&k->seal, packed);
    struct evseal_state back;
    assert_ok(evseal_state_unpack(SM_SPAN(packed, sizeof packed), &back));
    assert_memory_equal(&back, &k->seal, sizeof back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
        T(a_sound_record_verifies_and_says_what_it_holds),
        T(an_altered_byte_anywhere_is_found_and_its_file_named),
        T(the_altered_column_is_named),
        T(a_removed_segment_is_named_by_its_blocks),
        T(exchanged_segments_are_found),
        T(a_cut_segment_is_found),
        T(blocks_in_another_order_are_found),
        T(history_written_anew_under_the_old_seals_is_found_and_placed),
        T(the_key_of_now_cannot_seal_what_was_sealed_before),
        T(a_new_seal_of_now_over_a_false_past_does_not_help),
        T(an_end_cut_away_with_its_seals_shows_against_a_later_head),
        T(what_policy_removed_is_said_and_the_rest_still_verifies),
        T(a_statement_that_does_not_follow_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
