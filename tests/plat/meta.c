#include "../test.h"
#include <errno.h>
#include <sys/acl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "plat/fs.h"
#include "plat/meta.h"

struct place {
    char path[64];
    int dir;
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    (void)snprintf(p->path, sizeof p->path, "/tmp/sakimori-meta-XXXXXX");
    *state = p;
    if (!mkdtemp(p->path))
        return -1;
    p->dir = plat_fs_open_dir(AT_FDCWD, p->path);
    return p->dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    close(p->dir);
    int r = plat_fs_remove_tree(AT_FDCWD, p->path);
    free(p);
    return r;
}

static void make(const struct place *p, const char *name)
{
    int fd = plat_fs_create(p->dir, name, PLAT_FS_EXCL, 0600);
    assert_true(fd >= 0);
    assert_ok(plat_fs_write_all(fd, SM_SPAN_STR("content")));
    close(fd);
}

static struct plat_meta read_all(const struct place *p, const char *name)
{
    struct plat_meta m;
    assert_ok(plat_meta_read(p->dir, name, PLAT_META_XATTR | PLAT_META_NAMES, &m));
    return m;
}

static void assert_same(const struct plat_meta *a, const struct plat_meta *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->gid, b->gid);
    assert_int_equal(sm_time_cmp(a->mtime, b->mtime), 0);
    assert_int_equal(sm_time_cmp(a->atime, b->atime), 0);
    assert_int_equal(a->xattr_n, b->xattr_n);
    for (size_t i = 0; i < a->xattr_n; i++) {
        assert_string_equal(a->xattr[i].name, b->xattr[i].name);
        assert_int_equal(a->xattr[i].value_n, b->xattr[i].value_n);
        assert_memory_equal(a->xattr[i].value, b->xattr[i].value, a->xattr[i].value_n);
    }
}

/* Give the metadata of one object to a bare one; they must then be the same. */
static void assert_travels(const struct place *p, const char *from, const char *to)
{
    struct plat_meta m = read_all(p, from), n;
    struct plat_meta_report report;
    assert_int_equal(m.xattr_err, 0);
    int r = plat_meta_apply(p->dir, to, &m, PLAT_APPLY_ALL, &report);
    if (r < 0 && report.n)
        fail_msg("%s: %s", report.fail[0].what, sm_strerror(report.fail[0].err));
    assert_ok(r);
    n = read_all(p, to);
    assert_same(&m, &n);
    plat_meta_wipe(&m);
    plat_meta_wipe(&n);
}

static void set_acl(const struct place *p, const char *name, acl_type_t type, const char *text)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/%s", p->path, name);
    acl_t acl = acl_from_text(text);
    assert_non_null(acl);
    assert_ok(acl_set_file(path, type, acl));
    acl_free(acl);
}

static void a_files_metadata_travels_whole(void **state)
{
    const struct place *p = *state;
    make(p, "a");
    make(p, "b");
    struct timespec t[2] = {{.tv_sec = -86400 * 365 * 3, .tv_nsec = 1}, {.tv_sec = 1234567890, .tv_nsec = 987654321}};
    int fd = openat(p->dir, "a", O_RDONLY | O_CLOEXEC);
    assert_ok(fsetxattr(fd, "user.empty", "", 0, 0));
    assert_ok(fsetxattr(fd, "user.\xe9\x98\xb2", "a\0b", 3, 0));
    close(fd);
    set_acl(p, "a", ACL_TYPE_ACCESS, "u::rw-,u:12345:r--,g::r--,g:54321:rwx,m::rwx,o::---");
    if (geteuid() == 0) {
        assert_ok(fchownat(p->dir, "a", 1234, 4321, 0));
        assert_ok(fchmodat(p->dir, "a", 04750, 0));
    }
    assert_ok(utimensat(p->dir, "a", t, 0));
    assert_travels(p, "a", "b");
    struct plat_meta m = read_all(p, "b");
    assert_int_equal(m.type, PLAT_FILE);
    assert_int_equal(m.size, 7);
    assert_int_equal(m.mtime.ns, 987654321);
    assert_int_equal(m.atime.s, -86400 * 365 * 3);
    assert_int_equal(m.xattr_n, 3);
    assert_string_equal(m.xattr[0].name, "system.posix_acl_access");
    assert_int_equal(m.nlink, 1);
    plat_meta_wipe(&m);
}

static void a_folders_default_acl_travels_and_an_inherited_one_goes(void **state)
{
    const struct place *p = *state;
    assert_ok(plat_fs_mkdir(p->dir, "a", 0755));
    set_acl(p, "a", ACL_TYPE_DEFAULT, "u::rwx,g::r-x,u:12345:rwx,m::rwx,o::---");
    assert_ok(plat_fs_mkdir(p->dir, "b", 0700));
    assert_travels(p, "a", "b");
    /* Born with the ACLs of its parent, though the original had none. */
    assert_ok(plat_fs_mkdir(p->dir, "a/inherits", 0700));
    assert_ok(plat_fs_mkdir(p->dir, "plain", 02711));
    assert_travels(p, "plain", "a/inherits");
}

static void a_links_own_metadata_is_used_never_its_targets(void **state)
{
    const struct place *p = *state;
    make(p, "target");
    assert_ok(plat_fs_symlink("target", p->dir, "a"));
    assert_ok(plat_fs_symlink("/etc/\xff\xfe raw", p->dir, "b"));
    struct plat_meta before = read_all(p, "target"), m = read_all(p, "b");
    assert_span_is(sm_buf_span(&m.target), "/etc/\xff\xfe raw");
    assert_int_equal(m.type, PLAT_SYMLINK);
    plat_meta_wipe(&m);
    struct timespec t[2] = {{.tv_sec = 5}, {.tv_sec = 6, .tv_nsec = 7}};
    assert_ok(utimensat(p->dir, "b", t, AT_SYMLINK_NOFOLLOW));
    assert_travels(p, "b", "a");
    struct plat_meta after = read_all(p, "target");
    assert_same(&before, &after);
    plat_meta_wipe(&before);
    plat_meta_wipe(&after);
}

static void long_and_raw_names_are_read(void **state)
{
    const struct place *p = *state;
    char name[256];
    memset(name, 0xe9, 255);
    name[255] = 0;
    make(p, name);
    make(p, "plain");
    int fd = openat(p->dir, name, O_RDONLY | O_CLOEXEC);
    assert_ok(fsetxattr(fd, "user.x", "y", 1, 0));
    close(fd);
    assert_travels(p, name, "plain");
}

static void hard_links_have_one_identity_and_other_files_another(void **state)
{
    const struct place *p = *state;
    make(p, "a");
    make(p, "other");
    assert_ok(plat_fs_link(p->dir, "a", p->dir, "b"));
    struct plat_meta a = read_all(p, "a"), b = read_all(p, "b"), other = read_all(p, "other"), dir;
    assert_true(plat_id_eq(&a.id, &b.id));
    assert_false(plat_id_eq(&a.id, &other.id));
    assert_int_equal(a.nlink, 2);
    assert_ok(plat_meta_read(p->dir, "", 0, &dir));
    assert_int_equal(dir.type, PLAT_DIR);
    assert_int_equal(dir.xattr_n, 0);
    plat_meta_wipe(&a);
    plat_meta_wipe(&b);
    plat_meta_wipe(&other);
    plat_meta_wipe(&dir);
}

static void pipes_and_devices_say_what_they_are(void **state)
{
    const struct place *p = *state;
    assert_ok(plat_fs_mknod(p->dir, "pipe", S_IFIFO | 0600, 0));
    struct plat_meta m = read_all(p, "pipe");
    assert_int_equal(m.type, PLAT_FIFO);
    plat_meta_wipe(&m);
    if (geteuid() != 0)
        skip();
    assert_ok(plat_fs_mknod(p->dir, "null", S_IFCHR | 0600, makedev(1, 3)));
    m = read_all(p, "null");
    assert_int_equal(m.type, PLAT_CHAR);
    assert_int_equal(m.rdev_major, 1);
    assert_int_equal(m.rdev_minor, 3);
    plat_meta_wipe(&m);
}

static void a_sparse_file_shows_what_it_really_takes(void **state)
{
    const struct place *p = *state;
    int fd = plat_fs_create(p->dir, "s", 0, 0600);
    assert_true(fd >= 0);
    assert_ok(plat_fs_truncate(fd, 1ULL << 30));
    close(fd);
    struct plat_meta m = read_all(p, "s");
    assert_true(m.size == 1ULL << 30);
    assert_true(m.blocks_bytes < 1 << 20);
    plat_meta_wipe(&m);
}

static void capabilities_survive_the_change_of_owner(void **state)
{
    const struct place *p = *state;
    if (geteuid() != 0)
        skip();
    make(p, "a");
    make(p, "b");
    /* VFS_CAP_REVISION_2, cap_net_raw=ep */
    static const uint8_t cap[20] = {1, 0, 0, 2, 0, 0x20};
    int fd = openat(p->dir, "a", O_RDONLY | O_CLOEXEC);
    assert_ok(fchown(fd, 77, 88));
    assert_ok(fsetxattr(fd, "security.capability", cap, sizeof cap, 0));
    close(fd);
    assert_travels(p, "a", "b");
    struct plat_meta m = read_all(p, "b");
    assert_int_equal(m.xattr_n, 1);
    plat_meta_wipe(&m);
}

static void what_cannot_be_applied_is_named_and_the_rest_is_done(void **state)
{
    const struct place *p = *state;
    make(p, "a");
    struct plat_meta m = read_all(p, "a"), after;
    assert_ok(plat_meta_add_xattr(&m, "nonsense.space", SM_SPAN_STR("x")));
    assert_ok(plat_meta_add_xattr(&m, "user.good", SM_SPAN_STR("x")));
    assert_int_equal(plat_meta_add_xattr(&m, "user.good", SM_SPAN_STR("y")), -SM_EEXISTS);
    m.mtime = (struct sm_time){99, 5};
    struct plat_meta_report report;
    assert_int_equal(plat_meta_apply(p->dir, "a", &m, PLAT_APPLY_ALL, &report), -SM_EPARTIAL);
    assert_int_equal(report.n, 1);
    assert_string_equal(report.fail[0].what, "xattr nonsense.space");
    assert_int_equal(report.fail[0].err, -EOPNOTSUPP);
    after = read_all(p, "a");
    assert_int_equal(after.xattr_n, 1);
    assert_int_equal(after.mtime.s, 99);
    plat_meta_wipe(&after);
    assert_int_equal(plat_meta_apply(p->dir, "none", &m, PLAT_APPLY_ALL, &report), -ENOENT);
    plat_meta_wipe(&m);
}

static void set_user_id_is_never_given_to_the_wrong_owner(void **state)
{
    const struct place *p = *state;
    make(p, "a");
    struct plat_meta m = read_all(p, "a"), after;
    m.uid += 1;
    m.mode = 06755;
    struct plat_meta_report report;
    assert_ok(plat_meta_apply(p->dir, "a", &m, 0, &report)); /* the owner was not asked for */
    after = read_all(p, "a");
    assert_int_equal(after.mode, 0755);
    plat_meta_wipe(&after);
    plat_meta_wipe(&m);
}

static void names_of_this_machine_win_when_asked(void **state)
{
    const struct place *p = *state;
    if (geteuid() != 0)
        skip();
    make(p, "a");
    struct plat_meta m = read_all(p, "a"), after;
    assert_string_equal(m.user, "root");
    m.uid = m.gid = 4242;
    (void)snprintf(m.user, sizeof m.user, "nobody");
    (void)snprintf(m.group, sizeof m.group, "no-such-group");
    struct plat_meta_report report;
    assert_ok(plat_meta_apply(p->dir, "a", &m, PLAT_APPLY_ALL, &report));
    after = read_all(p, "a");
    assert_int_equal(after.uid, 65534);
    assert_int_equal(after.gid, 4242);
    plat_meta_wipe(&after);
    plat_meta_wipe(&m);
}

static void stored_attributes_are_bounded(void **state)
{
    struct plat_meta m = {0};
    static uint8_t big[PLAT_XATTR_BYTES];
    char name[32];
    assert_int_equal(plat_meta_add_xattr(&m, "user.big", SM_SPAN(big, sizeof big)), -SM_ELIMIT);
    for (int i = 0; i < PLAT_XATTR_MAX; i++) {
        (void)snprintf(name, sizeof name, "user.%d", i * 7919 % 1000);
        assert_ok(plat_meta_add_xattr(&m, name, SM_SPAN_STR("v")));
    }
    assert_int_equal(plat_meta_add_xattr(&m, "user.more", SM_SPAN_STR("v")), -SM_ELIMIT);
    for (size_t i = 1; i < m.xattr_n; i++)
        assert_true(strcmp(m.xattr[i - 1].name, m.xattr[i].name) < 0);
    plat_meta_wipe(&m);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_files_metadata_travels_whole),
        T(a_folders_default_acl_travels_and_an_inherited_one_goes),
        T(a_links_own_metadata_is_used_never_its_targets),
        T(long_and_raw_names_are_read),
        T(hard_links_have_one_identity_and_other_files_another),
        T(pipes_and_devices_say_what_they_are),
        T(a_sparse_file_shows_what_it_really_takes),
        T(capabilities_survive_the_change_of_owner),
        T(what_cannot_be_applied_is_named_and_the_rest_is_done),
        T(set_user_id_is_never_given_to_the_wrong_owner),
        T(names_of_this_machine_win_when_asked),
        T(stored_attributes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
