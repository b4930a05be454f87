/* Any history of writes, renames and removals: a roll-back is the state before, an undo the state after. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kit.h"
#include "plat/fault.h"

static void people_have(struct kit *k)
{
    char text[900];
    static const char *const name[] = {"a", "b", "c", "one/a", "one/b", "two/a"};
    kit_folder(k, "one", 0750);
    kit_folder(k, "two", 0701);
    for (size_t i = 0; i < 6; i++) {
        size_t n = 100 + 131 * i;
        memset(text, (int)('0' + i), n);
        kit_file(k, name[i], text, n);
    }
}

static void same(const char *is, const char *should, unsigned seed, const char *when)
{
    if (strcmp(is, should) != 0)
        print_error("history %u, %s:\n--- should\n%s--- is\n%s", seed, when, should, is);
    assert_string_equal(is, should);
}

static void any_history_is_given_back_and_undone(void **state)
{
    for (unsigned seed = 1; seed <= 100; seed++) {
        struct kit k = {.seed = seed * 7919};
        struct giveback_done done;
        uint64_t number;
        kit_begin(&k);
        people_have(&k);
        char *before = kit_picture(&k);
        kit_history(&k, 5 + seed % 40);
        assert_false(k.failed);
        char *after = kit_picture(&k);
        for (unsigned round = 0; round < 2; round++) {
            int r = kit_roll(&k, &number, &done);
            if (r == -SM_ENOTFOUND && strcmp(before, after) == 0)
                break;
            assert_ok(r);
            if (done.failed + done.left)
                print_error("history %u: %u failed, %u left\n", seed, done.failed, done.left);
            char *now = kit_picture(&k);
            same(now, before, seed, "given back");
            assert_int_equal(done.failed + done.left, 0);
            free(now);
            assert_int_equal(kit_roll(&k, &number, &done), -SM_ENOTFOUND);
            assert_ok(kit_undo(&k, number, &done));
            assert_int_equal(done.failed + done.left, 0);
            now = kit_picture(&k);
            same(now, after, seed, "undone");
            free(now);
            assert_int_equal(kit_undo(&k, number, &done), -SM_ESTATE);
        }
        free(before);
        free(after);
        kit_end(&k);
    }
    (void)state;
}

/* Killed at the k-th operation on the disk, whatever it is: everything after it fails, as for one who is dead. */
static void a_roll_back_that_is_killed_goes_on(void **state)
{
    for (unsigned seed = 1; seed <= 2; seed++) {
        bool fired = true;
        for (uint64_t at = 1; fired; at += 1 + at / 25) {
            struct kit k = {.seed = seed * 104729};
            struct giveback_done done;
            uint64_t number;
            kit_begin(&k);
            people_have(&k);
            char *before = kit_picture(&k);
            kit_history(&k, 25);
            char *after = kit_picture(&k);
            plat_fault_set(PLAT_OP_FILES | PLAT_FAULT_STICKY | (at % 2 ? PLAT_FAULT_SHORT : 0), at, EIO);
            int r = kit_roll(&k, &number, &done);
            fired = plat_fault_fired();
            plat_fault_clear();
            assert_true(fired || r == 0);
            r = kit_roll(&k, &number, &done);
            if (r == 0 && fired) /* what an operation refused was counted as failed; the next call tries those again */
                r = kit_roll(&k, &number, &done);
            assert_true(r == 0 || r == -SM_ENOTFOUND);
            char *now = kit_picture(&k);
            same(now, before, seed, "given back after a kill");
            free(now);
            free(before);
            free(after);
            kit_end(&k);
        }
    }
    (void)state;
}

static void an_undo_that_is_killed_goes_on(void **state)
{
    for (unsigned seed = 1; seed <= 2; seed++) {
        bool fired = true;
        for (uint64_t at = 1; fired; at += 1 + at / 25) {
            struct kit k = {.seed = seed * 15485863};
            struct giveback_done done;
            uint64_t number;
            kit_begin(&k);
            people_have(&k);
            kit_history(&k, 25);
            char *after = kit_picture(&k);
            assert_ok(kit_roll(&k, &number, &done));
            plat_fault_set(PLAT_OP_FILES | PLAT_FAULT_STICKY, at, EIO);
            int r = kit_undo(&k, number, &done);
            fired = plat_fault_fired();
            plat_fault_clear();
            if (r != 0) {
                r = kit_undo(&k, number, &done);
                assert_true(r == 0 || r == -SM_ESTATE); /* killed after its last word */
            }
            char *now = kit_picture(&k);
            same(now, after, seed, "undone after a kill");
            free(now);
            free(after);
            kit_end(&k);
        }
    }
    (void)state;
}

/* Killed while keeping: what was answered is there, and given back. */
static void a_keeper_that_is_killed_loses_nothing_it_answered(void **state)
{
    bool fired = true;
    for (uint64_t at = 1; fired; at++) {
        struct kit k = {.seed = 424242};
        struct giveback_done done;
        uint64_t number;
        kit_begin(&k);
        people_have(&k);
        char *before = kit_picture(&k);
        plat_fault_set(PLAT_OP_FILES | PLAT_FAULT_STICKY | (at % 2 ? PLAT_FAULT_SHORT : 0), at, EIO);
        kit_history(&k, 40);
        fired = plat_fault_fired();
        plat_fault_clear();
        assert_true(fired == k.failed);
        kit_reopen(&k);
        int r = kit_roll(&k, &number, &done);
        assert_true(r == 0 || r == -SM_ENOTFOUND);
        char *now = kit_picture(&k);
        same(now, before, (unsigned)at, "given back after the keeper was killed");
        free(now);
        free(before);
        kit_end(&k);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_history_is_given_back_and_undone),
        cmocka_unit_test(a_roll_back_that_is_killed_goes_on),
        cmocka_unit_test(an_undo_that_is_killed_goes_on),
        cmocka_unit_test(a_keeper_that_is_killed_loses_nothing_it_answered),
    };
    return cmocka_run_group_tests_name("giveback history", tests, NULL, NULL);
}
