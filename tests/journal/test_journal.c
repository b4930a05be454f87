#include "../test.h"
#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/fault.h"
#include "plat/fs.h"

/* Ids from 1 to n, each once, in any order. */
struct all { uint8_t seen[4096]; uint64_t most; };

static int take_id(void *arg, const struct evsearch_hit *h)
{
    struct all *a = arg;

    assert_in_range(h->id, 1, sizeof a->seen - 1);
    assert_int_equal(a->seen[h->id]++, 0);
    a->most = h->id > a->most ? h->id : a->most;
    return 0;
}

/* Every event up to `acknowledged` is there, and none twice. */
static void holds(const char *dir, uint64_t acknowledged)
{
    struct evsearch s = { .limit = 4000, .oldest_first = true };
    struct all *a = calloc(1, sizeof *a);
    struct evreader *r;

    assert_ok(evreader_open(dir, &r));
    assert_true(evsearch_run(r, &s, take_id, a, NULL, NULL) >= 0);
    for (uint64_t i = 1; i <= acknowledged; i++)
        if (!a->seen[i])
            fail_msg("event %llu of %llu is lost", (unsigned long long)i, (unsigned long long)acknowledged);
    evreader_free(r);
    free(a);
}

static const struct evidence_conf small = { .block_events = 20, .segment_bytes = 12000 };

static void what_was_committed_is_there_again_after_the_writer_was_killed(void **state)
{
    struct kit *k = *state;

    k->conf = small;
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) { /* 130 events committed, 5 not; then gone without a word */
        kit_open(k, NULL);
        kit_fill(k, 0, 130);
        for (unsigned n = 130; n < 135; n++)
            (void)kit_append(k, n);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct evidence_found found;
    kit_open(k, &found);
    assert_true(found.events > 0);
    holds(k->dir, 130);
    kit_fill(k, 200, 210);
    struct evidence_status s;
    evidence_status(k->j, &s);
    holds(k->dir, s.next_id - 1);
}

static void damage_in_a_write_ahead_file_is_told_and_a_torn_end_is_none(void **state)
{
    struct kit *k = *state;
    struct evidence_found found;
    char path[128];
    uint8_t x;

    k->conf = small;
    kit_open(k, NULL);
    kit_fill(k, 0, 5);
    kit_fill(k, 5, 10);
    kit_close(k);
    snprintf(path, sizeof path, "%s/wal-%020u.sjw", k->dir, 1);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "torn", 4, lseek(fd, 0, SEEK_END)), 4);
    kit_open(k, &found);
    assert_false(found.damaged);
    kit_close(k);
    assert_int_equal(pread(fd, &x, 1, 60), 1);
    x ^= 4;
    assert_int_equal(pwrite(fd, &x, 1, 60), 1);
    close(fd);
    kit_open(k, &found);
    assert_true(found.damaged);
    assert_non_null(strstr(found.note, "write-ahead file"));
    assert_int_equal(found.events, 5);
}

static void write_some(struct kit *k, uint64_t *acknowledged)
{
    for (unsigned n = 0; n < 90; n++) {
        const struct evidence_extra extra = { .klass = (uint8_t)(n % 2) };
        uint64_t id;
        kit_sample(k, n);
        if (evidence_append(k->j, k->names, &k->e, &extra, &id) < 0)
            continue;
        if (n % 4 == 3 && evidence_commit(k->j) >= 0)
            *acknowledged = id;
    }
}

/* Faults come once or from then on; either way what was acknowledged is kept, and the same journal goes on
 * afterwards. */
static void faults(struct kit *k, unsigned kinds, int err)
{
    for (uint64_t i = 1; i < 400; i++) {
        uint64_t acknowledged = 0;
        k->conf = small;
        kit_open(k, NULL);
        plat_fault_set(kinds, i, err);
        write_some(k, &acknowledged);
        bool fired = plat_fault_fired();
        plat_fault_clear();
        if (evidence_commit(k->j) >= 0) {
            struct evidence_status s;
            evidence_status(k->j, &s);
            holds(k->dir, s.next_id - 1);
        }
        kit_close(k);
        kit_open(k, NULL);
        holds(k->dir, acknowledged);
        kit_fill(k, 300, 304);
        kit_close(k);
        assert_ok(plat_fs_remove_tree(AT_FDCWD, k->dir));
        assert_ok(mkdir(k->dir, 0700));
        if (!fired)
            return;
    }
}

static void a_full_disk_at_any_moment_loses_nothing_acknowledged(void **state)
{
    faults(*state, PLAT_OP_WRITE | PLAT_OP_CREATE | PLAT_FAULT_STICKY | PLAT_FAULT_SHORT, ENOSPC);
}

static void any_single_failing_operation_loses_nothing_acknowledged(void **state)
{
    faults(*state, PLAT_OP_FILES, EIO);
    faults(*state, PLAT_OP_FSYNC | PLAT_FAULT_STICKY, EIO);
}

static void memory_that_ends_at_any_moment_loses_nothing_acknowledged(void **state)
{
    faults(*state, PLAT_OP_ALLOC, ENOMEM);
}

/* ---- two threads ---- */

static void what_is_appended_while_a_group_is_kept_is_the_next_ones(void **state)
{
    struct kit *k = *state;
    struct evidence_status s;

    k->conf = small;
    kit_open(k, NULL);
    for (unsigned n = 0; n < 50; n++)
        (void)kit_append(k, n);
    assert_ok(evidence_hand(k->j));
    for (unsigned n = 50; n < 60; n++)
        (void)kit_append(k, n);
    assert_int_equal(evidence_hand(k->j), -SM_EAGAIN);
    assert_int_equal(evidence_next_id(k->j), 61);
    assert_ok(evidence_keep(k->j));
    assert_ok(evidence_keep(k->j)); /* nothing is left to keep */
    evidence_status(k->j, &s);
    assert_int_equal(s.waiting, 10);
    assert_int_equal(s.events + s.open_events, 50);
    kit_close(k); /* the ten were not committed */
    kit_open(k, NULL);
    assert_int_equal(evidence_next_id(k->j), 51);
    holds(k->dir, 50);
}

/* The disk fails while a handed group is written or its blocks are: it is kept by a later try, whole and once. */
static void a_group_that_could_not_be_kept_is_kept_by_the_next_try(void **state)
{
    struct kit *k = *state;
    bool fired = true;

    for (uint64_t i = 1; fired; i++) {
        k->conf = small;
        k->conf.apart = true;
        kit_open(k, NULL);
        for (unsigned n = 0; n < 70; n++)
            (void)kit_append(k, n);
        assert_ok(evidence_hand(k->j));
        plat_fault_set(PLAT_OP_FILES | PLAT_FAULT_STICKY | PLAT_FAULT_SHORT, i, ENOSPC);
        int r = evidence_keep(k->j);
        fired = plat_fault_fired();
        assert_int_equal(evidence_keep(k->j) < 0, r < 0);
        plat_fault_clear();
        for (unsigned n = 70; n < 75; n++)
            (void)kit_append(k, n);
        if (i % 2 || r >= 0) { /* tried again, or killed: then the group may be there or not, but not half */
            assert_ok(evidence_commit(k->j));
            kit_close(k);
            kit_open(k, NULL);
            assert_int_equal(evidence_next_id(k->j), 76);
            holds(k->dir, 75);
        } else {
            kit_close(k);
            kit_open(k, NULL);
            uint64_t next = evidence_next_id(k->j);
            assert_true(next == 1 || next == 71);
            holds(k->dir, next - 1);
        }
        kit_close(k);
        assert_ok(plat_fs_remove_tree(AT_FDCWD, k->dir));
        assert_ok(mkdir(k->dir, 0700));
    }
}

struct keeping { struct kit *k; pthread_mutex_t lock; pthread_cond_t turn; bool full, stop; int result; };

static void *keep_all(void *arg)
{
    struct keeping *t = arg;

    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->full && !t->stop)
            pthread_cond_wait(&t->turn, &t->lock);
        if (!t->full)
            break;
        pthread_mutex_unlock(&t->lock);
        int r = evidence_keep(t->k->j);
        pthread_mutex_lock(&t->lock);
        t->result = r < 0 ? r : t->result;
        t->full = false;
        pthread_cond_signal(&t->turn);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

static void one_thread_takes_in_while_another_keeps(void **state)
{
    struct kit *k = *state;
    struct keeping t = { .k = k, .lock = PTHREAD_MUTEX_INITIALIZER, .turn = PTHREAD_COND_INITIALIZER };
    pthread_t thread;

    k->conf = small;
    k->conf.apart = true;
    kit_open(k, NULL);
    assert_int_equal(pthread_create(&thread, NULL, keep_all, &t), 0);
    for (unsigned n = 0; n < 3000; n++) {
        assert_int_equal(kit_append(k, n), n + 1);
        if (n % 37 != 36 && n != 2999)
            continue;
        pthread_mutex_lock(&t.lock);
        while (t.full)
            pthread_cond_wait(&t.turn, &t.lock);
        assert_ok(evidence_hand(k->j));
        t.full = true;
        pthread_cond_signal(&t.turn);
        pthread_mutex_unlock(&t.lock);
    }
    pthread_mutex_lock(&t.lock);
    t.stop = true;
    pthread_cond_signal(&t.turn);
    pthread_mutex_unlock(&t.lock);
    pthread_join(thread, NULL);
    assert_ok(t.result);
    kit_close(k);
    kit_open(k, NULL);
    holds(k->dir, 3000);
    assert_int_equal(kit_count(k->dir, "@id:[1500 TO 1500] 患者番号1499"), 0);
    assert_int_equal(kit_count(k->dir, "@id:[1501 TO 1501] 患者番号1500"), 1);
}

/* Acknowledged ids by number of recorded operations. */
static void the_power_may_go_at_any_moment(void **state)
{
    struct kit *k = *state;
    static uint64_t known[4096];
    char to[80];
    static const enum plat_replay how[] = { PLAT_REPLAY_ALL, PLAT_REPLAY_TORN, PLAT_REPLAY_SYNCED, PLAT_REPLAY_NAMES,
        PLAT_REPLAY_DATA };

    snprintf(to, sizeof to, "%s-power", k->dir);
    k->conf = small;
    assert_ok(plat_record_start(k->dir));
    kit_open(k, NULL);
    size_t at = 0;
    for (unsigned n = 0; n < 100; n++) {
        uint64_t id = kit_append(k, n);
        if (n % 7 != 6)
            continue;
        assert_ok(evidence_commit(k->j));
        for (; at < plat_record_count(); at++)
            known[at + 1] = known[at];
        known[at] = id;
    }
    plat_record_stop();
    kit_close(k);
    for (size_t n = 0; n <= at; n += 1 + n % 3) {
        uint64_t acknowledged = 0;
        for (size_t i = 0; i <= n; i++)
            acknowledged = known[i] > acknowledged ? known[i] : acknowledged;
        struct evidence *j;
        enum plat_replay h = how[n % 5];
        (void)plat_fs_remove_tree(AT_FDCWD, to);
        assert_ok(plat_record_replay(to, n, h));
        int r = evidence_open(to, &k->conf, &j, NULL);
        if (r < 0)
            fail_msg("cut after %zu, way %d: %s", n, (int)h, sm_errname(r));
        holds(to, acknowledged);
        evidence_free(j);
    }
    plat_record_free();
    assert_ok(plat_fs_remove_tree(AT_FDCWD, to));
}

static void two_writers_are_refused(void **state)
{
    struct kit *k = *state;
    struct evidence *second;

    kit_open(k, NULL);
    assert_int_equal(evidence_open(k->dir, NULL, &second, NULL), -SM_EAGAIN);
}

static void old_blocks_are_closed_by_the_clock(void **state)
{
    struct kit *k = *state;
    struct evidence_status s;

    kit_open(k, NULL);
    kit_fill(k, 0, 10);
    assert_ok(evidence_step(k->j, 1000));
    assert_ok(evidence_step(k->j, 3600999));
    evidence_status(k->j, &s);
    assert_int_equal(s.blocks, 0);
    assert_ok(evidence_step(k->j, 3601000));
    evidence_status(k->j, &s);
    assert_int_equal(s.blocks, 2);
    assert_int_equal(s.open_events, 0);
}

static size_t files(const char *dir, const char *beginning)
{
    size_t n = 0;
    char cmd[128];

    for (unsigned i = 1; i < 200; i++) {
        snprintf(cmd, sizeof cmd, "%s/%s%020u.sj%c", dir, beginning, i, beginning[0] == 's' ? 's' : 'w');
        n += access(cmd, F_OK) == 0;
    }
    return n;
}

static void write_ahead_files_go_when_their_events_are_in_blocks(void **state)
{
    struct kit *k = *state;

    kit_open(k, NULL);
    kit_fill(k, 0, 100);
    assert_int_equal(files(k->dir, "wal-"), 1);
    assert_ok(evidence_flush(k->j));
    assert_int_equal(files(k->dir, "wal-"), 0);
    kit_close(k);
    kit_open(k, NULL);
    holds(k->dir, 100);
}

static void a_long_raw_many_fields_and_strange_bytes_come_back(void **state)
{
    struct kit *k = *state;
    size_t n = EVENT_RAW_MAX;
    char *raw = malloc(n + 1);
    struct evsearch s = { .limit = 10 };
    struct evreader *r;

    for (size_t i = 0; i < n; i++)
        raw[i] = (char)(1 + i * 7 % 255);
    raw[n] = 0;
    kit_open(k, NULL);
    kit_text(k, 1795000000, raw);
    for (unsigned i = 0; i < EVENT_FIELDS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%u", i);
        assert_ok(event_add(&k->e, event_names_add(k->names, SM_SPAN_STR(name)), EVENT_TEXT,
            SM_SPAN(raw + 1000 - i / 2, 90)));
    }
    assert_ok(evidence_append(k->j, k->names, &k->e, NULL, NULL));
    kit_text(k, 1795000001, "");
    assert_ok(evidence_append(k->j, k->names, &k->e, NULL, NULL));
    assert_ok(evidence_flush(k->j));
    assert_ok(evreader_open(k->dir, &r));
    struct all a = { 0 };
    assert_int_equal(evsearch_run(r, &s, take_id, &a, NULL, NULL), 2);
    evreader_free(r);
    free(raw);
}

/* ---- retention ---- */

static void sealed_journal(struct kit *k, unsigned events)
{
    k->conf = small;
    kit_open(k, NULL);
    assert_ok(evseal_begin(&k->seal));
    memcpy(k->key, k->seal.pair.public_key, sizeof k->key);
    assert_ok(evidence_seal_begin(k->j, k->key));
    kit_fill(k, 0, events);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    kit_advance(k);
}

static size_t retire_all(struct kit *k, const struct evidence_rules *rules, int64_t now_s)
{
    struct sm_buf body = { 0 };
    uint8_t statement[EVSEAL_LEN];
    size_t n = 0;
    int r;

    while ((r = evidence_retire_next(k->j, rules, now_s, &body)) > 0) {
        assert_ok(evseal_sign(&k->seal, EVSEAL_TOMBSTONE, sm_buf_span(&body), now_s, statement));
        assert_ok(evidence_retire(k->j, statement, sm_buf_span(&body)));
        n++;
    }
    assert_int_equal(r, 0);
    sm_buf_wipe(&body);
    return n;
}

static void retention_takes_whole_old_segments_of_a_class_and_numbers_go_on(void **state)
{
    struct kit *k = *state;
    struct evidence_rules rules = { .of[0].days = 30 };
    struct evidence_status before, after;

    sealed_journal(k, 400);
    evidence_status(k->j, &before);
    assert_int_equal(retire_all(k, &rules, 1795000000 + 10 * 86400), 0);
    size_t n = retire_all(k, &rules, 1795000000 + 40 * 86400);
    assert_true(n > 1);
    assert_true(kit_count(k->dir, "") < 400);
    assert_int_equal(kit_count(k->dir, "@id:[2 TO 2]"), 1); /* class 1 is kept for ever */
    kit_close(k);
    kit_open(k, NULL);
    evidence_status(k->j, &after);
    assert_int_equal(after.next_id, before.next_id);
    assert_int_equal(after.next_block, before.next_block);
}

static void retention_by_size_takes_the_oldest_until_it_fits(void **state)
{
    struct kit *k = *state;
    struct evidence_rules rules = { .of[1].bytes = 30000 };

    sealed_journal(k, 800);
    assert_true(retire_all(k, &rules, 1795000000) > 0);
    assert_int_equal(kit_count(k->dir, "@id:[2 TO 2]"), 0);
    assert_int_equal(kit_count(k->dir, "@id:[800 TO 800]"), 1);
}

static void a_hold_keeps_what_it_touches(void **state)
{
    struct kit *k = *state;
    struct evidence_rules rules = { .of[0].days = 1, .of[1].days = 1, .holds_n = 1,
        .holds[0] = { .from_s = 1795000000, .to_s = 1795000001, .source = 0 } };

    sealed_journal(k, 400);
    struct evidence_status status;
    evidence_status(k->j, &status);
    rules.holds[0].to_s = 1795000400; /* all there is */
    assert_int_equal(retire_all(k, &rules, 1795000000 + 40 * 86400), 0);
    rules.holds[0].to_s = 1795000001;
    size_t went = retire_all(k, &rules, 1795000000 + 40 * 86400);
    assert_true(went > 0); /* what is behind the held ones goes all the same */
    assert_true(went < status.segments - 2);
    assert_true(kit_count(k->dir, "user1") > 0);
    rules.holds[0].source = 77; /* of which there is nothing */
    assert_true(retire_all(k, &rules, 1795000000 + 40 * 86400) > 0);
}

static void a_hold_of_a_class_keeps_that_class_from_age_and_size(void **state)
{
    struct kit *k = *state;
    struct evidence_rules rules = { .of[0] = { .days = 1, .bytes = 1 }, .of[1] = { .days = 1, .bytes = 1 }, .holds_n = 1,
        .holds[0] = { .from_s = 0, .to_s = INT64_MAX, .classes = 1u << 1 } };

    sealed_journal(k, 400);
    uint64_t before = kit_count(k->dir, "");
    assert_true(retire_all(k, &rules, 1795000000 + 40 * 86400) > 0);
    uint64_t left = kit_count(k->dir, "");
    assert_true(left < before && left >= before / 2); /* every other event is of class 1 */
    rules.of[0].days = rules.of[1].days = 0;
    assert_int_equal(retire_all(k, &rules, 1795000000 + 40 * 86400), 0); /* nor by size */
    rules.holds_n = 0;
    assert_true(retire_all(k, &rules, 1795000000 + 40 * 86400) > 0);
}

static void what_is_not_sealed_is_not_removed(void **state)
{
    struct kit *k = *state;
    struct evidence_rules rules = { .of[0].days = 1, .of[1].days = 1 };

    k->conf = small;
    kit_open(k, NULL);
    kit_fill(k, 0, 300);
    assert_ok(evidence_flush(k->j));
    assert_int_equal(retire_all(k, &rules, 1795000000 + 40 * 86400), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
        T(what_was_committed_is_there_again_after_the_writer_was_killed),
        T(damage_in_a_write_ahead_file_is_told_and_a_torn_end_is_none),
        T(a_full_disk_at_any_moment_loses_nothing_acknowledged),
        T(any_single_failing_operation_loses_nothing_acknowledged),
        T(memory_that_ends_at_any_moment_loses_nothing_acknowledged),
        T(the_power_may_go_at_any_moment),
        T(what_is_appended_while_a_group_is_kept_is_the_next_ones),
        T(a_group_that_could_not_be_kept_is_kept_by_the_next_try),
        T(one_thread_takes_in_while_another_keeps),
        T(two_writers_are_refused),
        T(old_blocks_are_closed_by_the_clock),
        T(write_ahead_files_go_when_their_events_are_in_blocks),
        T(a_long_raw_many_fields_and_strange_bytes_come_back),
        T(retention_takes_whole_old_segments_of_a_class_and_numbers_go_on),
        T(retention_by_size_takes_the_oldest_until_it_fits),
        T(a_hold_keeps_what_it_touches),
        T(a_hold_of_a_class_keeps_that_class_from_age_and_size),
        T(what_is_not_sealed_is_not_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
