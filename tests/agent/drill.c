/* The scratch place of a drill: only what we made ourselves is gone on with, and it leaves nothing. */
#include "../test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "crypto/init.h"
#include "crypto/random.h"
#include "plat/fs.h"
#include "sakimori-agent/drill.h"

static void place(char ret[DRILL_PATH_MAX])
{
    uint8_t raw[16];
    char id[33];
    crypto_random(raw, sizeof raw);
    sm_hex(raw, sizeof raw, id);
    drill_path(id, ret);
}

static void it_is_made_for_its_owner_alone_and_removed_with_all_in_it(void **state)
{
    char path[DRILL_PATH_MAX], file[DRILL_PATH_MAX + 16];
    struct stat st;
    (void)state;
    place(path);
    assert_int_equal(drill_make(path), 0);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    (void)snprintf(file, sizeof file, "%s/sub", path);
    assert_int_equal(mkdir(file, 0500), 0);
    assert_int_equal(drill_make(path), 0); /* the same drill again */
    assert_true(drill_remove(path));
    assert_int_equal(lstat(path, &st), -1);
    assert_true(drill_remove(path));
}

static void what_somebody_else_put_there_is_refused(void **state)
{
    char path[DRILL_PATH_MAX];
    (void)state;
    place(path);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(drill_make(path), -SM_EDENIED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0); /* open to others */
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(drill_make(path), -SM_EDENIED);
    assert_int_equal(rmdir(path), 0);
}

static void only_what_was_left_days_ago_is_cleared(void **state)
{
    char old[DRILL_PATH_MAX], fresh[DRILL_PATH_MAX];
    struct stat st;
    (void)state;
    place(old);
    place(fresh);
    assert_int_equal(drill_make(old), 0);
    assert_int_equal(drill_make(fresh), 0);
    const struct timespec then[2] = { { .tv_sec = time(NULL) - 3 * 86400 }, { .tv_sec = time(NULL) - 3 * 86400 } };
    assert_int_equal(utimensat(AT_FDCWD, old, then, 0), 0);
    drill_clear();
    assert_int_equal(lstat(old, &st), -1);
    assert_int_equal(lstat(fresh, &st), 0);
    assert_true(drill_remove(fresh));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_made_for_its_owner_alone_and_removed_with_all_in_it),
        cmocka_unit_test(what_somebody_else_put_there_is_refused),
        cmocka_unit_test(only_what_was_left_days_ago_is_cleared),
    };
    return crypto_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
