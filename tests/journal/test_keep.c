/* The record when its files are touched behind its back, saved beside itself, and gone on with by another box. */
#include "../test.h"
#include "kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/verify.h"
#include "plat/fs.h"

static const struct evidence_conf small = { .block_events = 20, .segment_bytes = 12000 };

struct found { unsigned faults, of[64]; struct evverify_finding first; };

static int count_finding(void *arg, const struct evverify_finding *f)
{
    struct found *n = arg;

    if (f->kind < EVVERIFY_FAULTS && !n->faults++)
        n->first = *f;
    n->of[f->kind]++;
    return 0;
}

static struct evverify_summary verify(const char *dir, const struct evverify *how, struct found *ret)
{
    struct evverify_summary s;

    *ret = (struct found){ 0 };
    assert_ok(evidence_verify(dir, how, count_finding, ret, &s));
    return s;
}

static void begin_sealing(struct kit *k)
{
    assert_ok(evseal_begin(&k->seal));
    memcpy(k->key, k->seal.pair.public_key, sizeof k->key);
    assert_ok(evidence_seal_begin(k->j, k->key));
}

/* The first file that begins so, in the folder. */
static void file_of(const char *dir, const char *begin, char ret[300])
{
    DIR *d = opendir(dir);
    struct dirent *e;

    ret[0] = 0;
    assert_non_null(d);
    while ((e = readdir(d)))
        if (!strncmp(e->d_name, begin, strlen(begin)) && (!ret[0] || strcmp(e->d_name, strrchr(ret, '/') + 1) < 0))
            snprintf(ret, 300, "%s/%s", dir, e->d_name);
    closedir(d);
    assert_true(ret[0]);
}

/* ---- the open files ---- */

static void with_open_events(struct kit *k)
{
    k->conf = small;
    kit_open(k, NULL);
    begin_sealing(k);
    kit_fill(k, 0, 35);
}

static void none_is_lost(struct kit *k, uint64_t n)
{
    struct found f;

    assert_int_equal(kit_count(k->dir, ""), n);
    kit_close(k);
    kit_open(k, NULL);
    assert_int_equal(kit_count(k->dir, ""), n);
    (void)verify(k->dir, &(struct evverify){ .key = k->key }, &f);
    assert_int_equal(f.faults, 0);
}

static void harmed(struct kit *k, bool all, enum evidence_harm_kind kind, const char *begin)
{
    struct evidence_harm h;

    assert_int_equal(evidence_guard(k->j, all, &h), 1);
    assert_int_equal(h.kind, kind);
    assert_true(h.rescued);
    assert_int_equal(strncmp(h.file, begin, strlen(begin)), 0);
    assert_int_equal(evidence_guard(k->j, all, &h), 0); /* once */
    kit_fill(k, 100, 103);
    assert_int_equal(evidence_guard(k->j, true, &h), 0);
    none_is_lost(k, 38);
}

static void an_untouched_record_is_not_called_harmed(void **state)
{
    struct kit *k = *state;
    struct evidence_harm h;

    with_open_events(k);
    for (unsigned n = 0; n < 300; n++) {
        kit_fill(k, 40 + n, 41 + n);
        assert_int_equal(evidence_guard(k->j, n % 10 == 0, &h), 0);
    }
    kit_close(k);
    kit_open(k, NULL); /* what a life before left */
    assert_int_equal(evidence_guard(k->j, true, &h), 0);
}

static void a_deleted_write_ahead_file_is_noticed_and_costs_nothing(void **state)
{
    struct kit *k = *state;
    char path[300];

    with_open_events(k);
    file_of(k->dir, "wal-", path);
    assert_ok(unlink(path));
    harmed(k, false, EVIDENCE_DELETED, "wal-");
}

static void a_truncated_write_ahead_file_is_noticed_and_costs_nothing(void **state)
{
    struct kit *k = *state;
    char path[300];

    with_open_events(k);
    file_of(k->dir, "wal-", path);
    assert_ok(truncate(path, 100));
    harmed(k, false, EVIDENCE_CUT, "wal-");
}

static void a_write_ahead_file_put_in_its_place_is_noticed_and_never_read(void **state)
{
    struct kit *k = *state;
    char path[300], other[320];

    with_open_events(k);
    file_of(k->dir, "wal-", path);
    snprintf(other, sizeof other, "%s.new", path);
    struct sm_buf b = SM_BUF_INIT(1 << 20);
    assert_ok(plat_fs_read_file(AT_FDCWD, path, 1 << 20, &b));
    int fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, b.p, b.n), (ssize_t)b.n);
    close(fd);
    sm_buf_wipe(&b);
    assert_ok(rename(other, path));
    harmed(k, false, EVIDENCE_REPLACED, "wal-");
}

/* Whoever changes a byte can make the checksum anew: what is remembered in memory is another. */
static void a_write_ahead_file_rewritten_in_place_is_noticed(void **state)
{
    struct kit *k = *state;
    char path[300];
    uint8_t x;

    with_open_events(k);
    file_of(k->dir, "wal-", path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &x, 1, 60), 1);
    x ^= 1;
    assert_int_equal(pwrite(fd, &x, 1, 60), 1);
    close(fd);
    harmed(k, true, EVIDENCE_REWRITTEN, "wal-");
}

static void a_deleted_ledger_and_a_deleted_open_segment_are_written_again(void **state)
{
    struct kit *k = *state;
    struct evidence_harm h;
    char path[300];

    with_open_events(k);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    kit_advance(k);
    snprintf(path, sizeof path, "%s/seals", k->dir);
    assert_ok(unlink(path));
    file_of(k->dir, "seg-", path);
    assert_ok(unlink(path));
    assert_int_equal(evidence_guard(k->j, false, &h), 1);
    assert_string_equal(h.file, "seals");
    assert_true(h.rescued);
    assert_int_equal(evidence_guard(k->j, false, &h), 1);
    assert_int_equal(strncmp(h.file, "seg-", 4), 0);
    assert_true(h.rescued);
    assert_int_equal(evidence_guard(k->j, true, &h), 0);
    kit_fill(k, 100, 103);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    none_is_lost(k, 38);
}

static void a_closed_segment_that_is_gone_is_told_once_and_not_let_go_as_if_whole(void **state)
{
    struct kit *k = *state;
    struct evidence_harm h;
    char path[300];
    struct found f;

    k->conf = small;
    kit_open(k, NULL);
    begin_sealing(k);
    kit_fill(k, 0, 400);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    file_of(k->dir, "seg-", path);
    assert_ok(unlink(path));
    assert_int_equal(evidence_guard(k->j, false, &h), 0);
    assert_int_equal(evidence_guard(k->j, true, &h), 1);
    assert_int_equal(h.kind, EVIDENCE_DELETED);
    assert_false(h.rescued);
    assert_int_equal(evidence_guard(k->j, true, &h), 0);
    assert_int_equal(evidence_copy(k->j, "saved"), -SM_EPARTIAL);
    (void)verify(k->dir, &(struct evverify){ .key = k->key }, &f);
    assert_true(f.of[EVVERIFY_MISSING] > 0);
}

/* ---- the copy that is saved ---- */

static void the_copy_is_a_whole_record_and_what_is_closed_is_not_stored_twice(void **state)
{
    struct kit *k = *state;
    char saved[128], path[300];
    struct stat st;
    struct found f;
    struct evverify_summary s;

    k->conf = small;
    kit_open(k, NULL);
    begin_sealing(k);
    snprintf(saved, sizeof saved, "%s/saved", k->dir);
    for (unsigned round = 0; round < 4; round++) {
        kit_fill(k, 150 * round, 150 * round + 150);
        assert_ok(evidence_flush(k->j));
        kit_seal(k);
        kit_advance(k);
        assert_ok(evidence_copy(k->j, "saved"));
        s = verify(saved, &(struct evverify){ .key = k->key }, &f);
        assert_int_equal(f.faults, 0);
        assert_int_equal(f.of[EVVERIFY_NOTE_UNSEALED] + f.of[EVVERIFY_NOTE_TORN], 0);
        assert_int_equal(s.events, 150 * (round + 1));
        assert_int_equal(kit_count(saved, ""), 150 * (round + 1));
    }
    kit_fill(k, 5000, 5100); /* goes on; the copy stands */
    assert_ok(evidence_flush(k->j));
    assert_int_equal(kit_count(saved, ""), 600);
    file_of(saved, "seg-", path);
    assert_ok(stat(path, &st));
    assert_int_equal(st.st_nlink, 2);
}

static void what_retention_took_goes_from_the_copy(void **state)
{
    struct kit *k = *state;
    struct evidence_rules rules = { .of[0].days = 1, .of[1].days = 1 };
    struct sm_buf body = { 0 };
    uint8_t statement[EVSEAL_LEN];
    char saved[128];
    struct found f;

    k->conf = small;
    kit_open(k, NULL);
    begin_sealing(k);
    kit_fill(k, 0, 400);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    kit_advance(k);
    snprintf(saved, sizeof saved, "%s/saved", k->dir);
    assert_ok(evidence_copy(k->j, "saved"));
    while (evidence_retire_next(k->j, &rules, 1795000000 + 40 * 86400, &body) > 0) {
        assert_ok(evseal_sign(&k->seal, EVSEAL_TOMBSTONE, sm_buf_span(&body), 1795000000, statement));
        assert_ok(evidence_retire(k->j, statement, sm_buf_span(&body)));
    }
    sm_buf_wipe(&body);
    assert_int_equal(kit_count(saved, ""), 400);
    assert_ok(evidence_copy(k->j, "saved"));
    assert_int_equal(kit_count(saved, ""), kit_count(k->dir, ""));
    struct evverify_summary s = verify(saved, &(struct evverify){ .key = k->key }, &f);
    assert_int_equal(f.faults, 0);
    assert_true(s.removed_blocks > 0);
}

/* ---- another box goes on ---- */

/* The old box: n events saved, and 60 more that nobody saved; k->dir is then the saved part. */
static void old_box(struct kit *k, struct evverify_head *ret_later)
{
    struct found f;
    char saved[160], old[128];

    k->conf = small;
    kit_open(k, NULL);
    begin_sealing(k);
    kit_fill(k, 0, 200);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    kit_advance(k);
    assert_ok(evidence_copy(k->j, "saved"));
    kit_fill(k, 200, 260);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    *ret_later = verify(k->dir, &(struct evverify){ .key = k->key }, &f).head;
    kit_close(k);
    snprintf(saved, sizeof saved, "%s/saved", k->dir);
    snprintf(old, sizeof old, "%s-old", k->dir);
    assert_ok(rename(k->dir, old));
    snprintf(saved, sizeof saved, "%s/saved", old);
    assert_ok(rename(saved, k->dir));
    assert_ok(plat_fs_remove_tree(AT_FDCWD, old));
}

static void new_box(struct kit *k, uint8_t ret_old_key[32], struct evseal_link *ret)
{
    memcpy(ret_old_key, k->key, 32);
    assert_int_equal(evidence_continue(k->dir, 1795009999, ret), 0);
    kit_open(k, NULL);
    begin_sealing(k);
}

static void a_record_goes_on_in_another_box_and_says_what_is_lost(void **state)
{
    struct kit *k = *state;
    struct evseal_link l;
    struct evverify_head later;
    uint8_t old_key[32], none[EVSEAL_LINK_LEN];
    struct found f;

    old_box(k, &later);
    new_box(k, old_key, &l);
    assert_true(l.next_block > later.block);
    assert_int_equal(kit_count(k->dir, ""), 200);
    (void)verify(k->dir, &(struct evverify){ .key = k->key }, &f); /* before the first seal */
    assert_int_equal(f.faults, 0);
    kit_link(k);
    assert_false(evidence_link(k->j, none));
    kit_fill(k, 300, 350);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    kit_advance(k);
    assert_int_equal(kit_count(k->dir, ""), 250);
    struct evverify_summary s = verify(k->dir, &(struct evverify){ .key = k->key }, &f);
    assert_int_equal(f.faults, 0);
    assert_int_equal(f.of[EVVERIFY_NOTE_CONTINUED], 1);
    assert_int_equal(s.boxes, 2);
    assert_int_equal(s.events, 250);
    assert_int_equal(s.sealed_block, s.head.block);
    (void)verify(k->dir, &(struct evverify){ .key = old_key }, &f); /* the sheet of the old box */
    assert_int_equal(f.faults, 0);
    (void)verify(k->dir, &(struct evverify){ .key = k->key, .heads = &later, .heads_n = 1 }, &f);
    assert_int_equal(f.of[EVVERIFY_CUT], 1); /* a later head of the old box is not explained away */
    kit_close(k);
    struct evidence_found found;
    kit_open(k, &found);
    assert_false(found.damaged);
    kit_fill(k, 350, 380);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    assert_int_equal(kit_count(k->dir, ""), 280);
}

static void the_record_of_three_boxes_is_one(void **state)
{
    struct kit *k = *state;
    struct evseal_link l;
    struct evverify_head later;
    uint8_t key[32];
    struct found f;

    old_box(k, &later);
    for (unsigned box = 0; box < 2; box++) {
        new_box(k, key, &l);
        kit_link(k);
        kit_fill(k, 300 + 50 * box, 350 + 50 * box);
        assert_ok(evidence_flush(k->j));
        kit_seal(k);
        kit_advance(k);
        kit_close(k);
        struct evverify_summary s = verify(k->dir, &(struct evverify){ .key = k->key }, &f);
        assert_int_equal(f.faults, 0);
        assert_int_equal(s.boxes, box + 2);
        assert_int_equal(s.events, 250 + 50 * box);
        evseal_wipe(&k->seal);
    }
    kit_open(k, NULL);
}

/* A byte somewhere of a file. */
static void flip(const char *dir, const char *name, off_t at)
{
    char path[300];
    uint8_t x;

    file_of(dir, name, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &x, 1, at), 1);
    x ^= 4;
    assert_int_equal(pwrite(fd, &x, 1, at), 1);
    close(fd);
}

static void nothing_of_the_old_box_can_be_altered_behind_the_link(void **state)
{
    struct kit *k = *state;
    struct evseal_link l;
    struct evverify_head later;
    uint8_t old_key[32];
    struct found f;
    static const struct { const char *file; off_t at; } places[] = {
        { "seals-1", 300 }, { "seals-1", 30 }, { "epoch0-1", 5 }, { "seg-00000000000000000001", 900 }, { "seals", 60 } };

    old_box(k, &later);
    new_box(k, old_key, &l);
    kit_link(k);
    kit_fill(k, 300, 350);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    kit_close(k);
    const struct evverify how = { .key = k->key };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        flip(k->dir, places[i].file, places[i].at);
        (void)verify(k->dir, &how, &f);
        if (!f.faults)
            fail_msg("%s at %ld", places[i].file, (long)places[i].at);
        flip(k->dir, places[i].file, places[i].at);
    }
    char path[300];
    file_of(k->dir, "seals-1", path);
    struct stat st;
    assert_ok(stat(path, &st));
    assert_ok(truncate(path, st.st_size - (4 + EVSEAL_LEN + 32)));
    (void)verify(k->dir, &how, &f);
    assert_true(f.of[EVVERIFY_LEDGER] > 0); /* shorter than the link says */
    assert_ok(unlink(path));
    (void)verify(k->dir, &how, &f);
    assert_true(f.of[EVVERIFY_LEDGER] > 0);
    kit_open(k, NULL);
}

static void only_the_link_begins_such_a_ledger_and_it_begins_no_other(void **state)
{
    struct kit *k = *state;
    struct evseal_link l;
    struct evverify_head later;
    uint8_t old_key[32], statement[EVSEAL_LEN], body[EVSEAL_LINK_LEN];
    struct evseal_state copy;

    old_box(k, &later);
    new_box(k, old_key, &l);
    assert_true(evidence_link(k->j, body));
    copy = k->seal;
    assert_ok(evseal_sign(&copy, EVSEAL_TOMBSTONE, SM_SPAN("x", 1), 1795000000, statement));
    assert_int_equal(evidence_seal_put(k->j, statement, SM_SPAN("x", 1)), -SM_EMISMATCH);
    body[50] ^= 1;
    copy = k->seal;
    assert_ok(evseal_sign(&copy, EVSEAL_LINK, SM_SPAN(body, sizeof body), 1795000000, statement));
    assert_int_equal(evidence_seal_put(k->j, statement, SM_SPAN(body, sizeof body)), -SM_EMISMATCH);
    kit_link(k);
    assert_int_equal(evseal_sign(&k->seal, EVSEAL_LINK, SM_SPAN(body, sizeof body), 1795000000, statement), -SM_EINVAL);
}

/* ---- a part of the content each day ---- */

static void a_share_finds_content_in_its_segments_and_headers_everywhere(void **state)
{
    struct kit *k = *state;
    struct found f;
    unsigned found = 0;

    k->conf = small;
    kit_open(k, NULL);
    begin_sealing(k);
    kit_fill(k, 0, 400);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    char path[300];
    struct stat st;
    file_of(k->dir, "seg-00000000000000000003", path);
    assert_ok(stat(path, &st));
    struct evverify how = { .key = k->key, .of = 4 };
    off_t at = 200; /* in a column, not in a header */
    for (;; at += 97) {
        flip(k->dir, "seg-00000000000000000003", at);
        (void)verify(k->dir, &(struct evverify){ .key = k->key }, &f);
        if (f.of[EVVERIFY_ALTERED] == 1 && f.faults == 1 && f.first.column[0])
            break;
        flip(k->dir, "seg-00000000000000000003", at);
        assert_true(at < st.st_size);
    }
    for (how.share = 0; how.share < 4; how.share++) {
        (void)verify(k->dir, &how, &f);
        found += f.of[EVVERIFY_ALTERED];
        assert_int_equal(f.faults > 0, how.share == 3);
    }
    assert_int_equal(found, 1);
    assert_ok(unlink(path));
    for (how.share = 0; how.share < 4; how.share++) {
        (void)verify(k->dir, &how, &f);
        assert_true(f.of[EVVERIFY_MISSING] > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
        T(an_untouched_record_is_not_called_harmed),
        T(a_deleted_write_ahead_file_is_noticed_and_costs_nothing),
        T(a_truncated_write_ahead_file_is_noticed_and_costs_nothing),
        T(a_write_ahead_file_put_in_its_place_is_noticed_and_never_read),
        T(a_write_ahead_file_rewritten_in_place_is_noticed),
        T(a_deleted_ledger_and_a_deleted_open_segment_are_written_again),
        T(a_closed_segment_that_is_gone_is_told_once_and_not_let_go_as_if_whole),
        T(the_copy_is_a_whole_record_and_what_is_closed_is_not_stored_twice),
        T(what_retention_took_goes_from_the_copy),
        T(a_record_goes_on_in_another_box_and_says_what_is_lost),
        T(the_record_of_three_boxes_is_one),
        T(nothing_of_the_old_box_can_be_altered_behind_the_link),
        T(only_the_link_begins_such_a_ledger_and_it_begins_no_other),
        T(a_share_finds_content_in_its_segments_and_headers_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
