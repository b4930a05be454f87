/* The walk of a scan: in order, going on where it was, never through a link; what is kept over a restart. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../test.h"
#include "plat/fs.h"
#include "sakimori-agent/scan/scan.h"

static char top[64];

static void put(const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", top, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void folder(const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", top, name);
    assert_ok(mkdir(path, 0700));
}

static int begin(void **state)
{
    char path[160];
    (void)state;
    (void)snprintf(top, sizeof top, "/tmp/scan-walk-XXXXXX");
    assert_non_null(mkdtemp(top));
    folder("a");
    folder("a/b");
    folder("a.d");
    put("a/b/1");
    put("a/b/2\n3");
    put("a/x");
    put("a.d/y");
    put("z");
    (void)snprintf(path, sizeof path, "%s/link", top);
    assert_ok(symlink("/etc", path));
    (void)snprintf(path, sizeof path, "%s/fifo", top);
    return mkfifo(path, 0600);
}

static int end(void **state)
{
    (void)state;
    return plat_fs_remove_tree(AT_FDCWD, top);
}

struct seen { char text[512]; unsigned n, stop; };

static int see(void *ctx, const char *path, int fd)
{
    struct seen *s = ctx;
    size_t n = strlen(s->text);
    assert_true(fd >= 0);
    (void)snprintf(s->text + n, sizeof s->text - n, "%s|", path + strlen(top) + 1);
    return ++s->n == s->stop ? -SM_ECANCEL : 0;
}

static void files_come_in_order_and_links_are_not_followed(void **state)
{
    struct seen s = {0};
    (void)state;
    assert_ok(scan_files(top, NULL, NULL, see, &s));
    assert_string_equal(s.text, "a/b/1|a/b/2\n3|a/x|a.d/y|z|");
    char path[160];
    (void)snprintf(path, sizeof path, "%s/link", top);
    s = (struct seen){0};
    assert_true(scan_files(path, NULL, NULL, see, &s) <= 0);
    assert_int_equal(s.n, 0);
    assert_int_equal(scan_files("relative", NULL, NULL, see, &s), -SM_EINVAL);
}

static void one_that_was_stopped_anywhere_goes_on_behind_it(void **state)
{
    static const char *const all[] = {"a/b/1", "a/b/2\n3", "a/x", "a.d/y", "z"};
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        char after[160], want[512] = "";
        struct seen s = {.stop = i + 1};
        assert_int_equal(scan_files(top, NULL, NULL, see, &s), -SM_ECANCEL);
        for (unsigned k = i + 1; k < 5; k++)
            (void)snprintf(want + strlen(want), sizeof want - strlen(want), "%s|", all[k]);
        (void)snprintf(after, sizeof after, "%s/%s", top, all[i]);
        s = (struct seen){0};
        assert_ok(scan_files(top, after, NULL, see, &s));
        assert_string_equal(s.text, want);
    }
}

static void a_cancelled_one_ends(void **state)
{
    struct seen s = {0};
    bool cancel = true;
    (void)state;
    assert_int_equal(scan_files(top, NULL, &cancel, see, &s), -SM_ECANCEL);
    assert_int_equal(s.n, 0);
}

static void the_job_under_way_is_kept(void **state)
{
    struct scan_state a = {.last_all = 1790000000, .last_old = 5, .has_job = true, .tell = json_pack("[{s:s}]", "order", "o1")}, b;
    (void)state;
    (void)snprintf(a.job.id, sizeof a.job.id, "o2");
    (void)snprintf(a.job.why, sizeof a.job.why, "order");
    a.job.path[0] = strdup("/srv/\xff\n");
    a.job.n = 1;
    a.job.at = strdup("/srv/\xff\n/x");
    a.job.files = 7;
    assert_ok(scan_state_save(top, &a));
    scan_state_load(top, &b);
    assert_true(b.has_job);
    assert_int_equal(b.last_all, 1790000000);
    assert_string_equal(b.job.path[0], "/srv/\xff\n");
    assert_string_equal(b.job.at, "/srv/\xff\n/x");
    assert_int_equal(b.job.files, 7);
    assert_int_equal(json_array_size(b.tell), 1);
    json_decref(b.tell);
    scan_job_wipe(&b.job);
    put("other");
    char path[160];
    (void)snprintf(path, sizeof path, "%s/state.json", top);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, "{\"v\":1,\"job\":", 13), 13);
    close(fd);
    scan_state_load(top, &b);
    assert_false(b.has_job);
    json_decref(b.tell);
    json_decref(a.tell);
    scan_job_wipe(&a.job);
}

/* The box keeps a case under its number: two machines with one file on a share must not take each other's. */
static void the_same_file_on_two_machines_is_two_cases(void **state)
{
    char a[17], again[17], b[17];
    (void)state;
    scan_finding_id("d1", "/srv/share/x", "aa", a);
    scan_finding_id("d1", "/srv/share/x", "aa", again);
    scan_finding_id("d2", "/srv/share/x", "aa", b);
    assert_string_equal(a, again);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_come_in_order_and_links_are_not_followed, begin, end),
        cmocka_unit_test_setup_teardown(one_that_was_stopped_anywhere_goes_on_behind_it, begin, end),
        cmocka_unit_test_setup_teardown(a_cancelled_one_ends, begin, end),
        cmocka_unit_test_setup_teardown(the_job_under_way_is_kept, begin, end),
        cmocka_unit_test(the_same_file_on_two_machines_is_two_cases),
    };
    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
