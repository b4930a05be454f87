/* The attack simulator: does what it should below its marker, and nothing anywhere else. */
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "plat/fs.h"
#include "plat/proc.h"

#define BIG ((size_t)300 << 10)
static char dir[64], folder[96], outside[96];

static void put(const char *path, const void *p, size_t n)
{
    int fd = plat_fs_create(AT_FDCWD, path, PLAT_FS_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_ok(plat_fs_write_all(fd, SM_SPAN(p, n)));
    close(fd);
}

static int setup(void **state)
{
    static uint8_t text[BIG];
    char path[128];
    (void)state;
    memset(text, 'a', sizeof text);
    snprintf(dir, sizeof dir, "/tmp/sakimori-sim-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(folder, sizeof folder, "%s/clinic", dir);
    snprintf(path, sizeof path, "%s/sub", folder);
    assert_ok(plat_fs_mkdir_p(path, 0700));
    snprintf(path, sizeof path, "%s/sub/big", folder);
    put(path, text, sizeof text);
    snprintf(outside, sizeof outside, "%s/outside", dir);
    put(outside, "untouched", 9);
    snprintf(path, sizeof path, "%s/link", folder);
    assert_int_equal(symlink(outside, path), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return plat_fs_remove_tree(AT_FDCWD, dir);
}

static void allow(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/.sakimori-sim-allowed", folder);
    put(path, "sakimori-sim\n", 13);
}

static int sim(const char *style)
{
    char *argv[] = { (char *)SIM, folder, (char *)"--style", (char *)style, NULL };
    char *env[] = { (char *)"PATH=/usr/bin:/bin", (char *)"ASAN_OPTIONS=detect_leaks=0", NULL };
    struct plat_proc p = PLAT_PROC_NONE;
    int status = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct plat_spawn_fd map[] = { { null, 1 }, { null, 2 } };
    const struct plat_spawn s = { .path = SIM, .argv = argv, .env = env, .fds = map, .fds_n = 2 };
    assert_ok(plat_proc_spawn(&s, &p));
    assert_ok(plat_proc_wait(&p, 60000, &status));
    plat_proc_close(&p);
    close(null);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* How many of the 64 KiB blocks of the big file changed at offset at. */
static size_t changed(const char *name, size_t at)
{
    static uint8_t now[BIG];
    char path[128];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/sub/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_ok(plat_fs_pread_all(fd, now, sizeof now, 0));
    close(fd);
    for (size_t off = 0; off < sizeof now; off += (size_t)64 << 10) {
        bool same = true;
        for (size_t i = 0; i < 1024; i++)
            same &= now[off + at + i] == 'a';
        n += !same;
    }
    return n;
}

static bool there(const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void without_its_marker_nothing_is_touched(void **state)
{
    (void)state;
    assert_int_equal(sim("full,rename,note"), 1);
    assert_true(there("sub/big"));
    assert_int_equal(changed("big", 0), 0);
    assert_false(there("HOW_TO_GET_BACK.txt"));
}

static void full_encryption_renames_and_leaves_a_note(void **state)
{
    struct stat st;
    (void)state;
    allow();
    assert_int_equal(sim("full,rename,note"), 0);
    assert_false(there("sub/big"));
    assert_int_equal(changed("big.locked", 0), 5);
    assert_int_equal(changed("big.locked", 20000), 5);
    assert_true(there("HOW_TO_GET_BACK.txt"));
    assert_true(there(".sakimori-sim-allowed"));
    assert_int_equal(lstat(outside, &st), 0);
    assert_int_equal(st.st_size, 9);
}

static void partial_encryption_leaves_most_of_a_file_alone(void **state)
{
    (void)state;
    allow();
    assert_int_equal(sim("partial"), 0);
    assert_int_equal(changed("big", 0), 5);
    assert_int_equal(changed("big", 8192), 0);
}

static void what_a_link_points_to_is_never_touched(void **state)
{
    char text[16] = "";
    (void)state;
    allow();
    assert_int_equal(sim("full,delete"), 0);
    assert_false(there("sub/big"));
    int fd = open(outside, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof text), 9);
    close(fd);
    assert_string_equal(text, "untouched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_its_marker_nothing_is_touched, setup, teardown),
        cmocka_unit_test_setup_teardown(full_encryption_renames_and_leaves_a_note, setup, teardown),
        cmocka_unit_test_setup_teardown(partial_encryption_leaves_most_of_a_file_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_link_points_to_is_never_touched, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
