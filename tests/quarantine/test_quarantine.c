/* Set aside, given back exactly, whatever the moment of a kill. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "../test.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "plat/fault.h"
#include "plat/fs.h"
#include "quarantine/quarantine.h"

static char top[64];
static int folder;
static const struct quarantine_limits limits = {1 << 20, 512 << 10, 0};
/* The test string of the antivirus trade, in two halves, so that no scanner finds it here. */
static char bad[80];

static const char *path_of(const char *name)
{
    static char p[4][128];
    static unsigned turn;
    (void)snprintf(p[turn % 4], sizeof p[0], "%s/%s", top, name);
    return p[turn++ % 4];
}

static int begin(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char t[64], *real;
    (void)state;
    assert_ok(crypto_init());
    (void)snprintf(bad, sizeof bad, "%s%s", "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*");
    (void)snprintf(t, sizeof t, "%s/quarantine-XXXXXX", tmp && strlen(tmp) < 30 ? tmp : "/tmp");
    assert_non_null(mkdtemp(t));
    real = realpath(t, NULL);
    (void)snprintf(top, sizeof top, "%s", real);
    free(real);
    assert_ok(mkdir(path_of("q"), 0700));
    assert_ok(mkdir(path_of("d"), 0755));
    folder = open(path_of("q"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return 0;
}

static int end(void **state)
{
    (void)state;
    plat_fault_clear();
    close(folder);
    return plat_fs_remove_tree(AT_FDCWD, top);
}

static void make(const char *name, const char *text)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)fsetxattr(fd, "user.colour", "green", 5, 0);
    assert_ok(fchmod(fd, 0751));
    if (geteuid() == 0)
        assert_ok(fchown(fd, 1234, 4321));
    assert_ok(futimens(fd, (struct timespec[]){{1600000000, 5}, {1500000000, 7}}));
    close(fd);
}

static void is(const char *name, const char *text)
{
    struct stat st;
    char have[128], colour[8];
    int fd = open(path_of(name), O_RDONLY | O_CLOEXEC | O_NOATIME);
    assert_true(fd >= 0);
    ssize_t n = read(fd, have, sizeof have - 1);
    have[n < 0 ? 0 : n] = 0;
    assert_string_equal(have, text);
    assert_ok(fstat(fd, &st));
    assert_int_equal(st.st_mode & 07777, 0751);
    assert_int_equal(st.st_mtim.tv_sec, 1500000000);
    assert_int_equal(st.st_mtim.tv_nsec, 7);
    if (geteuid() == 0)
        assert_int_equal(st.st_uid, 1234);
    if (fgetxattr(fd, "user.colour", colour, 8) >= 0)
        assert_memory_equal(colour, "green", 5);
    close(fd);
}

static bool there(const char *name)
{
    struct stat st;
    return lstat(path_of(name), &st) == 0;
}

static int take(const char *name, char *id, json_t **entry)
{
    struct quarantine_what w = {.path = SM_SPAN_STR(path_of(name)), .reason = "Eicar-Test-Signature", .by = "policy", .finding = "f1"};
    return quarantine_take(folder, &limits, &w, id, entry);
}

static void what_is_set_aside_is_harmless_and_comes_back_exactly(void **state)
{
    char id[QUARANTINE_ID], file[64], have[128];
    json_t *e, *list;
    struct sm_buf where = SM_BUF_INIT(4096);
    make("d/bad\nname", bad);
    assert_ok(take("d/bad\nname", id, &e));
    assert_false(there("d/bad\nname"));
    assert_string_equal(json_string_value(json_object_get(e, "sha256")),
        "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f");
    json_decref(e);
    (void)snprintf(file, sizeof file, "q/%s.data", id);
    int fd = open(path_of(file), O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, have, sizeof have), strlen(bad));
    close(fd);
    assert_true(memcmp(have, bad, strlen(bad)) != 0);
    assert_null(memmem(have, strlen(bad), "EICAR", 5));
    assert_ok(quarantine_list(folder, &list));
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "state")), "kept");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "reason")), "Eicar-Test-Signature");
    json_decref(list);
    assert_ok(quarantine_give_back(folder, id, &where));
    assert_int_equal(where.n, strlen(path_of("d/bad\nname")));
    sm_buf_wipe(&where);
    is("d/bad\nname", bad);
    assert_false(there(file));
    assert_int_equal(quarantine_give_back(folder, id, NULL), -SM_ESTATE);
    assert_int_equal(quarantine_remove(folder, id), -SM_ESTATE);
    assert_int_equal(quarantine_remove(folder, "0000000000000000"), -SM_ENOTFOUND);
    assert_int_equal(quarantine_remove(folder, "../../etc/passwd"), -SM_ENOTFOUND);
    (void)state;
}

static void where_something_stands_it_comes_beside(void **state)
{
    char id[QUARANTINE_ID];
    struct sm_buf where = SM_BUF_INIT(4096);
    make("d/x", "first");
    assert_ok(take("d/x", id, NULL));
    make("d/x", "second");
    assert_ok(quarantine_give_back(folder, id, &where));
    assert_memory_equal(where.p + where.n - 12, "x.given-back", 12);
    sm_buf_wipe(&where);
    is("d/x", "second");
    is("d/x.given-back", "first");
    (void)state;
}

static void links_and_other_contents_are_refused(void **state)
{
    char id[QUARANTINE_ID];
    uint8_t hash[32] = {1};
    make("d/x", "text");
    assert_ok(symlink(path_of("d/x"), path_of("link")));
    assert_ok(symlink(path_of("d"), path_of("other")));
    assert_int_equal(take("link", id, NULL), -ELOOP);
    int r = take("other/x", id, NULL);
    assert_true(r == -ELOOP || r == -ENOTDIR);
    assert_int_equal(take("d", id, NULL), -SM_EINVAL);
    struct quarantine_what w = {.path = SM_SPAN_STR(path_of("d/x")), .sha256 = hash};
    assert_int_equal(quarantine_take(folder, &limits, &w, id, NULL), -SM_EMISMATCH);
    crypto_sha256(SM_SPAN("text", 4), hash);
    assert_ok(quarantine_take(folder, &limits, &w, id, NULL));
    (void)state;
}

/* A stick brings a program that would run as root if this were its disk; it is given back where the stick was. */
static void rights_of_a_disk_that_lends_none_do_not_come_back(void **state)
{
    char id[QUARANTINE_ID];
    struct stat st;
    struct sm_buf where = SM_BUF_INIT(4096);
    (void)state;
    assert_ok(mkdir(path_of("stick"), 0755));
    if (geteuid() != 0 || unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", path_of("stick"), "tmpfs", MS_NOSUID, NULL))
        skip();
    make("stick/shell", bad);
    assert_ok(chmod(path_of("stick/shell"), 06755));
    assert_ok(take("stick/shell", id, NULL));
    assert_ok(umount(path_of("stick")));
    assert_ok(quarantine_give_back(folder, id, &where));
    assert_ok(stat(path_of("stick/shell"), &st));
    assert_int_equal(st.st_mode & 07777, 0755);
    sm_buf_wipe(&where);
    make("d/own", bad);
    assert_ok(chmod(path_of("d/own"), 06755));
    assert_ok(take("d/own", id, NULL));
    assert_ok(quarantine_give_back(folder, id, &where));
    assert_ok(stat(path_of("d/own"), &st));
    assert_int_equal(st.st_mode & 07777, 06755);
    sm_buf_wipe(&where);
}

static void room_is_bounded(void **state)
{
    char id[QUARANTINE_ID], name[16], *big = calloc(1, 600 << 10);
    uint64_t bytes;
    unsigned files;
    memset(big, 'x', 599 << 10);
    make("d/big", big);
    assert_int_equal(take("d/big", id, NULL), -EFBIG);
    big[400 << 10] = 0;
    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "d/f%d", i);
        make(name, big);
        assert_int_equal(take(name, id, NULL), i == 2 ? -ENOSPC : 0);
    }
    assert_true(there("d/f2"));
    assert_ok(quarantine_remove(folder, id));
    assert_ok(take("d/f2", id, NULL));
    assert_ok(quarantine_room(folder, &bytes, &files));
    assert_int_equal(bytes, 800 << 10);
    assert_int_equal(files, 2);
    free(big);
    (void)state;
}

/* At every moment the file is where it was, or in the list, or given back; never nowhere. */
static void killed_at_any_step_nothing_is_lost(void **state)
{
    bool fired = true;
    for (uint64_t at = 1; fired; at++) {
        char id[QUARANTINE_ID] = "";
        json_t *list;
        make("d/x", bad);
        plat_fault_set(PLAT_OP_FILES | PLAT_FAULT_STICKY | (at % 2 ? PLAT_FAULT_SHORT : 0), at, EIO);
        int r = take("d/x", id, NULL);
        if (r == 0)
            r = quarantine_give_back(folder, id, NULL);
        fired = plat_fault_fired();
        plat_fault_clear();
        assert_ok(quarantine_list(folder, &list));
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *e = json_array_get(list, i);
            if (strcmp(json_string_value(json_object_get(e, "state")), "kept") != 0)
                continue;
            assert_false(there("d/x"));
            assert_ok(quarantine_give_back(folder, json_string_value(json_object_get(e, "id")), NULL));
        }
        json_decref(list);
        is("d/x", bad);
        assert_false(there("d/x.given-back"));
    }
    (void)state;
}

static void a_damaged_one_is_not_given_back(void **state)
{
    char id[QUARANTINE_ID], file[64];
    make("d/x", "contents");
    assert_ok(take("d/x", id, NULL));
    (void)snprintf(file, sizeof file, "q/%s.data", id);
    int fd = open(path_of(file), O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "?", 1, 3), 1);
    close(fd);
    assert_int_equal(quarantine_give_back(folder, id, NULL), -SM_ECORRUPT);
    assert_false(there("d/x"));
    assert_true(there(file));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_set_aside_is_harmless_and_comes_back_exactly, begin, end),
        cmocka_unit_test_setup_teardown(where_something_stands_it_comes_beside, begin, end),
        cmocka_unit_test_setup_teardown(links_and_other_contents_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(rights_of_a_disk_that_lends_none_do_not_come_back, begin, end),
        cmocka_unit_test_setup_teardown(room_is_bounded, begin, end),
        cmocka_unit_test_setup_teardown(killed_at_any_step_nothing_is_lost, begin, end),
        cmocka_unit_test_setup_teardown(a_damaged_one_is_not_given_back, begin, end),
    };
    return cmocka_run_group_tests_name("quarantine", tests, NULL, NULL);
}
