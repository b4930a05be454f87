#include "../test.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/fault.h"
#include "plat/fs.h"

/* A fresh folder for each test. */
struct place {
    char path[64];
    int dir;
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    (void)snprintf(p->path, sizeof p->path, "/tmp/sakimori-fs-XXXXXX");
    *state = p;
    if (!mkdtemp(p->path))
        return -1;
    p->dir = plat_fs_open_dir(AT_FDCWD, p->path);
    return p->dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    plat_fault_clear();
    plat_record_free();
    close(p->dir);
    int r = plat_fs_remove_tree(AT_FDCWD, p->path);
    free(p);
    return r;
}

static void assert_content(int dir, const char *name, const char *expected)
{
    struct sm_buf b = {0};
    assert_ok(plat_fs_read_file(dir, name, 1 << 20, &b));
    assert_span_is(sm_buf_span(&b), expected);
    sm_buf_wipe(&b);
}

static void a_file_longer_than_allowed_is_refused(void **state)
{
    const struct place *p = *state;
    struct sm_buf b = {0};
    assert_ok(sm_buf_put_u8(&b, '!'));
    assert_ok(plat_replace(p->dir, "f", SM_SPAN_STR("12345"), 0600));
    assert_int_equal(plat_fs_read_file(p->dir, "f", 4, &b), -SM_ELIMIT);
    assert_int_equal(b.n, 1);
    assert_ok(plat_fs_read_file(p->dir, "f", 5, &b));
    assert_span_is(sm_buf_span(&b), "!12345");
    assert_int_equal(plat_fs_read_file(p->dir, "none", 5, &b), -ENOENT);
    sm_buf_wipe(&b);
}

static void a_replaced_file_is_the_old_or_the_new_whatever_fails(void **state)
{
    const struct place *p = *state;
    uint64_t k = 1;
    for (;; k++) {
        assert_ok(plat_replace(p->dir, "f", SM_SPAN_STR("old"), 0600));
        plat_fault_set(PLAT_OP_FILES | PLAT_FAULT_SHORT, k, ENOSPC);
        int r = plat_replace(p->dir, "f", SM_SPAN_STR("new content"), 0600);
        bool fired = plat_fault_fired();
        plat_fault_clear();
        if (!fired) {
            assert_ok(r);
            break;
        }
        assert_int_equal(r, -ENOSPC);
        /* Only the last step, fsync of the folder, comes after the change. */
        assert_content(p->dir, "f", k == 5 ? "new content" : "old");
    }
    assert_int_equal(k, 6);
    assert_content(p->dir, "f", "new content");
}

static int count_names(void *arg, struct sm_span name, unsigned char type)
{
    (*(int *)arg)++;
    return 0;
}

static void a_failed_replacement_leaves_no_temporary_file(void **state)
{
    const struct place *p = *state;
    int n = 0;
    plat_fault_set(PLAT_OP_RENAME, 1, EIO);
    assert_int_equal(plat_replace(p->dir, "f", SM_SPAN_STR("x"), 0600), -EIO);
    plat_fault_clear();
    assert_ok(plat_fs_list(p->dir, count_names, &n));
    assert_int_equal(n, 0);
}

static void every_kind_of_change_can_be_made_to_fail(void **state)
{
    const struct place *p = *state;
    plat_fault_set(PLAT_OP_ALL | PLAT_FAULT_STICKY, 1, EIO);
    struct sm_buf b = {0};
    assert_int_equal(plat_fs_create(p->dir, "f", 0, 0600), -EIO);
    assert_int_equal(plat_fs_mkdir(p->dir, "d", 0700), -EIO);
    assert_int_equal(plat_fs_write_all(p->dir, SM_SPAN_STR("x")), -EIO);
    assert_int_equal(plat_fs_pwrite_all(p->dir, SM_SPAN_STR("x"), 0), -EIO);
    assert_int_equal(plat_fs_sync(p->dir), -EIO);
    assert_int_equal(plat_fs_sync_dir(p->dir), -EIO);
    assert_int_equal(plat_fs_rename(p->dir, "a", p->dir, "b", true), -EIO);
    assert_int_equal(plat_fs_unlink(p->dir, "a"), -EIO);
    assert_int_equal(plat_fs_truncate(p->dir, 0), -EIO);
    assert_int_equal(plat_fs_open_beneath(p->dir, "f", O_WRONLY | O_CREAT, 0600), -EIO);
    assert_int_equal(sm_buf_put(&b, "x", 1), -ENOMEM);
    assert_int_equal(plat_fault_seen(), 11);
    plat_fault_clear();
}

static void a_rename_that_may_not_replace_does_not(void **state)
{
    const struct place *p = *state;
    assert_ok(plat_replace(p->dir, "a", SM_SPAN_STR("a"), 0600));
    assert_ok(plat_replace(p->dir, "b", SM_SPAN_STR("b"), 0600));
    assert_int_equal(plat_fs_rename(p->dir, "a", p->dir, "b", false), -EEXIST);
    assert_content(p->dir, "b", "b");
    assert_ok(plat_fs_rename(p->dir, "a", p->dir, "b", true));
    assert_content(p->dir, "b", "a");
}

static void spans_are_written_one_after_the_other(void **state)
{
    const struct place *p = *state;
    const struct sm_span s[] = {SM_SPAN_STR("ab"), SM_SPAN_STR(""), SM_SPAN_STR("cde")};
    int fd = plat_fs_create(p->dir, "f", PLAT_FS_RW, 0600);
    assert_true(fd >= 0);
    assert_ok(plat_fs_pwritev_all(fd, s, 3, 2));
    plat_fault_set(0, 0, 0); /* the slow way, part by part */
    assert_ok(plat_fs_pwritev_all(fd, s, 3, 7));
    plat_fault_clear();
    char got[12];
    assert_ok(plat_fs_pread_all(fd, got, 12, 0));
    assert_memory_equal(got, "\0\0abcdeabcde", 12);
    assert_int_equal(plat_fs_pread_all(fd, got, 12, 1), -SM_EPARTIAL);
    close(fd);
}

static void nothing_above_or_behind_a_link_is_opened(void **state)
{
    const struct place *p = *state;
    assert_ok(plat_fs_mkdir(p->dir, "in", 0700));
    assert_ok(plat_replace(p->dir, "out", SM_SPAN_STR("secret"), 0600));
    int in = plat_fs_open_dir(p->dir, "in");
    assert_true(in >= 0);
    assert_ok(plat_fs_mkdir(in, "deep", 0700));
    assert_ok(plat_fs_symlink("../out", in, "link"));
    assert_ok(plat_fs_symlink("..", in, "up"));
    assert_int_equal(plat_fs_open_beneath(in, "../out", O_RDONLY, 0), -EXDEV);
    assert_int_equal(plat_fs_open_beneath(in, "/etc/passwd", O_RDONLY, 0), -EXDEV);
    assert_int_equal(plat_fs_open_beneath(in, "link", O_RDONLY, 0), -ELOOP);
    assert_int_equal(plat_fs_open_beneath(in, "up/out", O_RDONLY, 0), -ELOOP);
    int fd = plat_fs_open_beneath(in, "deep/new", O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(plat_fs_open_beneath(in, "deep/new", O_WRONLY | O_CREAT | O_EXCL, 0600), -EEXIST);
    close(in);
}

static void a_name_is_one_plain_part(void **state)
{
    char longest[256];
    memset(longest, 'x', sizeof longest);
    assert_true(plat_fs_name_ok(SM_SPAN(longest, 255)));
    assert_false(plat_fs_name_ok(SM_SPAN(longest, 256)));
    assert_true(plat_fs_name_ok(SM_SPAN_STR("\xff\n ...")));
    assert_true(plat_fs_name_ok(SM_SPAN_STR("...")));
    assert_false(plat_fs_name_ok(SM_SPAN_STR("")));
    assert_false(plat_fs_name_ok(SM_SPAN_STR(".")));
    assert_false(plat_fs_name_ok(SM_SPAN_STR("..")));
    assert_false(plat_fs_name_ok(SM_SPAN_STR("a/b")));
    assert_false(plat_fs_name_ok(SM_SPAN("a\0b", 3)));
}

static void only_one_holds_the_lock(void **state)
{
    const struct place *p = *state;
    int a = plat_fs_lock(p->dir, "lock");
    assert_true(a >= 0);
    assert_int_equal(plat_fs_lock(p->dir, "lock"), -SM_EAGAIN);
    close(a);
    a = plat_fs_lock(p->dir, "lock");
    assert_true(a >= 0);
    close(a);
}

static void holes_are_walked_over(void **state)
{
    const struct place *p = *state;
    uint64_t start = 0, end = 0, size = (8 << 20) + 5;
    int fd = plat_fs_create(p->dir, "sparse", PLAT_FS_RW, 0600);
    assert_true(fd >= 0);
    assert_ok(plat_fs_truncate(fd, size));
    assert_int_equal(plat_fs_next_data(fd, 0, size, &start, &end), 0);
    assert_ok(plat_fs_pwrite_all(fd, SM_SPAN_STR("data"), 4 << 20));
    assert_int_equal(plat_fs_next_data(fd, 0, size, &start, &end), 1);
    assert_true(start <= 4 << 20 && start > 0 && end >= (4 << 20) + 4 && end <= size);
    assert_int_equal(plat_fs_next_data(fd, end, size, &start, &end), 0);
    int r = plat_fs_punch(fd, 4 << 20, 1 << 20);
    assert_true(r == 0 || r == -SM_EUNSUPPORTED);
    if (r == 0)
        assert_int_equal(plat_fs_next_data(fd, 0, size, &start, &end), 0);
    plat_fs_forget(fd, 0, 0);
    plat_fs_sequential(fd);
    close(fd);
}

static int find_raw(void *arg, struct sm_span name, unsigned char type)
{
    if (sm_span_eq(name, SM_SPAN_STR("\xff\xfe raw\n")))
        *(int *)arg += 1000;
    (*(int *)arg)++;
    return 0;
}

static int stop_at_once(void *arg, struct sm_span name, unsigned char type)
{
    return -SM_ECANCEL;
}

static void a_folder_of_any_names_is_listed_whole(void **state)
{
    const struct place *p = *state;
    char name[256];
    memset(name, 'n', 255);
    name[255] = 0;
    for (int i = 0; i < 500; i++) {
        (void)snprintf(name, 8, "%06d", i);
        name[6] = 'n';
        int fd = plat_fs_create(p->dir, name, PLAT_FS_EXCL, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_ok(plat_fs_mkdir(p->dir, "\xff\xfe raw\n", 0700));
    int n = 0;
    assert_ok(plat_fs_list(p->dir, find_raw, &n));
    assert_int_equal(n, 1501);
    assert_int_equal(plat_fs_list(p->dir, stop_at_once, NULL), -SM_ECANCEL);
}

static void missing_folders_are_made_and_existing_ones_left(void **state)
{
    const struct place *p = *state;
    char path[128];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/a/b//c/", p->path);
    assert_ok(plat_fs_mkdir_p(path, 0750));
    assert_ok(plat_fs_mkdir_p(path, 0750));
    assert_ok(fstatat(p->dir, "a/b/c", &st, 0));
    assert_ok(plat_replace(p->dir, "a/file", SM_SPAN_STR(""), 0600));
    (void)snprintf(path, sizeof path, "%s/a/file/x", p->path);
    assert_int_equal(plat_fs_mkdir_p(path, 0700), -ENOTDIR);
    struct plat_fs_space s = {0};
    assert_ok(plat_fs_space(AT_FDCWD, p->path, &s));
    assert_true(s.total_bytes >= s.free_bytes && s.free_bytes >= s.avail_bytes && s.total_bytes > 0);
}

static void a_removed_tree_takes_nothing_else_with_it(void **state)
{
    const struct place *p = *state;
    assert_ok(plat_replace(p->dir, "kept", SM_SPAN_STR("x"), 0600));
    assert_ok(plat_fs_mkdir(p->dir, "t", 0700));
    assert_ok(plat_fs_mkdir(p->dir, "t/u", 0700));
    assert_ok(plat_fs_mkdir(p->dir, "dir", 0700));
    assert_ok(plat_replace(p->dir, "dir/also", SM_SPAN_STR("y"), 0600));
    assert_ok(plat_fs_symlink("../kept", p->dir, "t/l"));
    assert_ok(plat_fs_symlink("../../dir", p->dir, "t/u/l"));
    assert_ok(plat_fs_remove_tree(p->dir, "t"));
    assert_content(p->dir, "kept", "x");
    assert_content(p->dir, "dir/also", "y");
    assert_int_equal(plat_fs_remove_tree(p->dir, "t"), -ENOENT);
}

/* ---- power loss ---- */

/* The careful way: temporary file, fsync, rename, fsync of the folder; then a file grows without any fsync. */
static void do_work(int dir)
{
    assert_ok(plat_replace(dir, "f", SM_SPAN_STR("new!"), 0600));
    int fd = plat_fs_create(dir, "log", PLAT_FS_APPEND, 0600);
    assert_true(fd >= 0);
    assert_ok(plat_fs_write_all(fd, SM_SPAN_STR("one;")));
    assert_ok(plat_fs_datasync(fd));
    assert_ok(plat_fs_write_all(fd, SM_SPAN_STR("two;")));
    close(fd);
}

static void replay_to(const char *base, size_t n, enum plat_replay how, int *ret_dir)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/after-%zu-%d", base, n, (int)how);
    assert_ok(plat_record_replay(path, n, how));
    *ret_dir = plat_fs_open_dir(AT_FDCWD, path);
    assert_true(*ret_dir >= 0);
}

static bool content_is(int dir, const char *name, const char *expected)
{
    struct sm_buf b = {0};
    bool yes = plat_fs_read_file(dir, name, 100, &b) == 0 && sm_span_eq(sm_buf_span(&b), SM_SPAN_STR(expected));
    sm_buf_wipe(&b);
    return yes;
}

static void whenever_the_power_goes_a_replaced_file_is_whole(void **state)
{
    const struct place *p = *state;
    char work[128], after[128];
    (void)snprintf(work, sizeof work, "%s/work", p->path);
    (void)snprintf(after, sizeof after, "%s/after", p->path);
    assert_ok(plat_fs_mkdir(p->dir, "work", 0700));
    assert_ok(plat_fs_mkdir(p->dir, "after", 0700));
    int dir = plat_fs_open_dir(p->dir, "work"), at;
    assert_ok(plat_replace(dir, "f", SM_SPAN_STR("old"), 0600));
    assert_ok(plat_record_start(work));
    do_work(dir);
    plat_record_stop();
    assert_int_equal(plat_record_count(), 9);
    assert_int_equal(plat_record_get(3)->kind, PLAT_OP_RENAME);
    assert_string_equal(plat_record_get(3)->to, "f");
    for (size_t n = 0; n <= plat_record_count(); n++) {
        for (int how = PLAT_REPLAY_ALL; how <= PLAT_REPLAY_DATA; how++) {
            replay_to(after, n, (enum plat_replay)how, &at);
            assert_true(content_is(at, "f", "old") || content_is(at, "f", "new!"));
            if (n >= 5) /* acknowledged */
                assert_true(content_is(at, "f", "new!"));
            close(at);
        }
    }
    close(dir);
}

static void the_simulation_shows_what_was_not_made_safe(void **state)
{
    const struct place *p = *state;
    char work[128];
    (void)snprintf(work, sizeof work, "%s/work", p->path);
    assert_ok(plat_fs_mkdir(p->dir, "work", 0700));
    int dir = plat_fs_open_dir(p->dir, "work"), at;
    assert_ok(plat_record_start(work));
    do_work(dir);
    plat_record_stop();
    size_t all = plat_record_count();
    replay_to(p->path, all, PLAT_REPLAY_ALL, &at);
    assert_content(at, "log", "one;two;");
    close(at);
    replay_to(p->path, all, PLAT_REPLAY_TORN, &at);
    assert_content(at, "log", "one;tw");
    close(at);
    replay_to(p->path, all, PLAT_REPLAY_NAMES, &at);
    assert_true(!content_is(at, "log", "one;two;"));
    assert_int_equal(faccessat(at, "log", F_OK, 0), 0);
    close(at);
    replay_to(p->path, all, PLAT_REPLAY_SYNCED, &at); /* the folder was never synced after the log was made */
    assert_int_equal(faccessat(at, "log", F_OK, 0), -1);
    close(at);
    replay_to(p->path, 2, PLAT_REPLAY_SYNCED, &at);
    assert_int_equal(faccessat(at, "f", F_OK, 0), -1);
    close(at);
    close(dir);
}

static void time_can_be_moved_for_all_at_once(void **state)
{
    const struct place *p = *state;
    char path[128], id[PLAT_BOOT_ID_TEXT];
    (void)snprintf(path, sizeof path, "%s/clock", p->path);
    assert_ok(plat_clock_boot_id(id));
    assert_int_equal(strlen(id), 36);
    assert_false(plat_clock_is_overridden());
    struct sm_time before = plat_clock_wall();
    uint64_t running = plat_clock_running_ns(), mono = plat_clock_mono_ns();
    assert_ok(plat_clock_override_write(path, 86400000, 3600000));
    assert_ok(plat_clock_override_file(path));
    assert_true(plat_clock_is_overridden());
    assert_in_range(plat_clock_wall().s - before.s, 86400, 86460);
    assert_in_range((plat_clock_running_ns() - running) / 1000000000, 3600, 3660);
    assert_in_range((plat_clock_mono_ns() - mono) / 1000000000, 0, 60);
    assert_ok(plat_clock_override_write(path, -86400001, 0));
    assert_in_range(before.s - plat_clock_wall().s, 86300, 86402);
    plat_clock_override(0, 0);
    assert_false(plat_clock_is_overridden());
    assert_ok(plat_replace(p->dir, "short", SM_SPAN_STR("x"), 0600));
    (void)snprintf(path, sizeof path, "%s/short", p->path);
    assert_int_equal(plat_clock_override_file(path), -SM_EFORMAT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_file_longer_than_allowed_is_refused),
        T(a_replaced_file_is_the_old_or_the_new_whatever_fails),
        T(a_failed_replacement_leaves_no_temporary_file),
        T(every_kind_of_change_can_be_made_to_fail),
        T(a_rename_that_may_not_replace_does_not),
        T(spans_are_written_one_after_the_other),
        T(nothing_above_or_behind_a_link_is_opened),
        T(a_name_is_one_plain_part),
        T(only_one_holds_the_lock),
        T(holes_are_walked_over),
        T(a_folder_of_any_names_is_listed_whole),
        T(missing_folders_are_made_and_existing_ones_left),
        T(a_removed_tree_takes_nothing_else_with_it),
        T(whenever_the_power_goes_a_replaced_file_is_whole),
        T(the_simulation_shows_what_was_not_made_safe),
        T(time_can_be_moved_for_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
