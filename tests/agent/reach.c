/* What the agent's parts can reach when a folder is to be left out: the box's data beside them. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/init.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/lend.h"
#include "sakimori-agent/reach.h"

static char base[] = "/tmp/sakimori-reach-XXXXXX";
static char home[64], box[80], notes[80];

static const char *at(const char *below)
{
    static char path[4][256];
    static unsigned k;
    char *p = path[k++ % 4];
    (void)snprintf(p, sizeof path[0], "%s%s", home, below);
    return p;
}

static void write_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0 && write(fd, "content", 7) == 7 && fchmod(fd, 0666) == 0);
    close(fd);
}

static int make(void **s)
{
    static const char *const folder[] = {"", "/docs", "/box", "/agent", "/agent/orders"};
    (void)s;
    if (!mkdtemp(base) || chmod(base, 0755) || crypto_init())
        return -1;
    (void)snprintf(home, sizeof home, "%s/home", base);
    for (size_t i = 0; i < sizeof folder / sizeof folder[0]; i++)
        if (mkdir(at(folder[i]), 0777) || chmod(at(folder[i]), 0777))
            return -1;
    write_file(at("/notes"));
    write_file(at("/docs/letter"));
    write_file(at("/box/secret"));
    write_file(at("/agent/key"));
    (void)snprintf(box, sizeof box, "%s", at("/box"));
    (void)snprintf(notes, sizeof notes, "%s", at("/agent/orders"));
    return symlink("box", at("/way")) || symlink("docs", at("/papers")) || symlink("notes", at("/link")) ||
        mkfifo(at("/fifo"), 0666);
}

static int clear(void **s)
{
    (void)s;
    return plat_fs_remove_tree(AT_FDCWD, base);
}

/* ---- lend ---- */

static int lent(const struct agent_policy *p, const char *path)
{
    int fd = lend_open(p, box, SM_SPAN_STR(path));
    if (fd >= 0)
        close(fd);
    return fd < 0 ? fd : 0;
}

static void only_files_outside_of_the_box_are_lent(void **s)
{
    struct agent_policy p = {0};
    char why[160] = "", text[PLAT_PATH_MAX + 8];
    (void)s;
    assert_ok(policy_load(at("/agent"), NULL, &p, why));
    assert_ok(lent(&p, at("/notes")));
    assert_ok(lent(&p, at("/papers/letter"))); /* a link above was set by its owner */
    assert_int_equal(lent(&p, at("/box/secret")), -EACCES);
    assert_int_equal(lent(&p, at("/way/secret")), -EACCES);
    assert_int_equal(lent(&p, at("/docs/../box/secret")), -EACCES);
    assert_int_equal(lent(&p, at("/agent/key")), -EACCES);
    assert_int_equal(lent(&p, at("/docs")), -EACCES);
    assert_int_equal(lent(&p, at("/fifo")), -EACCES);
    assert_int_equal(lent(&p, "/dev/null"), -EACCES);
    assert_int_equal(lent(&p, at("/link")), -EACCES);
    assert_int_equal(lent(&p, at("/none")), -ENOENT);
    assert_int_equal(lent(&p, at("/docs/..")), -SM_EINVAL);
    assert_int_equal(lent(&p, at("/docs/")), -SM_EINVAL);
    assert_int_equal(lent(&p, "notes"), -SM_EINVAL);
    assert_int_equal(lent(&p, ""), -SM_EINVAL);
    assert_int_equal(lend_open(&p, box, SM_SPAN("/etc\0passwd", 11)), -SM_EINVAL);
    memset(text, 'a', sizeof text);
    text[0] = '/';
    assert_int_equal(lend_open(&p, box, SM_SPAN(text, sizeof text)), -SM_EINVAL);
    policy_wipe(&p);
}

/* The box's folder under a name of another mount is known by what it is. */
static void what_is_skipped_is_known_by_any_name(void **s)
{
    struct agent_policy p = {0};
    char why[160] = "";
    (void)s;
    assert_ok(policy_load(at("/agent"), box, &p, why));
    assert_int_equal(p.skip_n, 2);
    int fd = lend_open(&p, "/no/such", SM_SPAN_STR(at("/box/secret")));
    assert_int_equal(fd, -EACCES);
    struct plat_id above[POLICY_KEEP_MAX];
    struct plat_meta m;
    assert_ok(plat_meta_read(AT_FDCWD, home, 0, &m));
    bool found = false;
    for (size_t n = policy_above(&p, above); n-- > 0;)
        found |= plat_id_eq(&above[n], &m.id);
    assert_true(found);
    plat_meta_wipe(&m);
    policy_wipe(&p);
}

/* ---- how far an order reaches ---- */

/* key: "place", "paths", "roots"; path below home, or absolute. */
static struct order order_of(const char *key, const char *path, const char *existing)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    assert_ok(sm_base64(SM_SPAN_STR(path), &b));
    bool place = strcmp(key, "place") == 0;
    json_t *text = json_stringn((const char *)b.p, b.n), *list = json_array();
    sm_buf_wipe(&b);
    if (!place)
        json_array_append(list, text);
    json_t *args = json_pack("{s:{s:s},s:s,s:[]}", "target", "mode", place ? "place" : "original", "existing", existing,
        "paths");
    json_object_set(place ? json_object_get(args, "target") : args, key, place ? text : list);
    json_decref(text);
    json_decref(list);
    return (struct order){.kind = "restore", .json = args, .args = args};
}

static int reach_of(const char *key, const char *path, const char *existing, struct reach *ret)
{
    struct order o = order_of(key, path, existing);
    int r = reach_take(&o, box, ret);
    json_decref(o.json);
    return r;
}

static void an_order_into_the_boxs_folder_is_refused_and_named(void **s)
{
    static const char *const key[] = {"place", "paths", "roots"}, *const below[] = {"/box", "/box/x", "/box/x/y"};
    struct reach r;
    (void)s;
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(reach_of(key[i], at(below[k]), "aside", &r), -SM_EDENIED);
            assert_string_equal(r.refused, at(below[k]));
        }
        assert_int_equal(reach_of(key[i], at("/way/x"), "aside", &r), -SM_EDENIED);
        assert_string_equal(r.refused, at("/box/x"));
        assert_int_equal(reach_of(key[i], "docs", "aside", &r), -SM_EINVAL);
        assert_int_equal(reach_of(key[i], at("/new/../box"), "aside", &r), -SM_EINVAL);
    }
    assert_int_equal(access(at("/box/x"), F_OK), -1);
}

static void assert_level(const char *key, const char *path, const char *existing, const char *level)
{
    struct reach r;
    assert_ok(reach_of(key, path, existing, &r));
    if (level)
        assert_string_equal(r.level[0], level);
    assert_int_equal(r.level_n, level != NULL);
}

static bool was_made(const char *below)
{
    return rmdir(at(below)) == 0;
}

static void only_what_an_order_needs_is_opened(void **s)
{
    (void)s;
    assert_level("roots", at("/docs"), "aside", NULL);
    assert_level("roots", at("/docs/deeper/still"), "aside", NULL);
    assert_false(was_made("/docs/deeper"));
    assert_level("roots", at("/records"), "aside", NULL);
    assert_true(was_made("/records"));
    assert_level("roots", at("/records/"), "overwrite", NULL);
    assert_true(was_made("/records"));
    assert_level("roots", at("/records"), "skip", home);
    assert_false(was_made("/records"));
    assert_level("roots", home, "aside", home);
    assert_level("roots", "/", "aside", "/");
    assert_level("paths", at("/docs/letter"), "aside", NULL);
    assert_level("paths", at("/notes"), "aside", home);
    assert_level("paths", at("/gone"), "aside", home);
    assert_false(was_made("/gone"));
    assert_level("paths", at("/gone/below"), "aside", NULL);
    assert_true(was_made("/gone"));
    assert_level("paths", at("/link"), "aside", home); /* the link itself is what is given back */
    assert_level("place", at("/back"), "aside", NULL);
    assert_true(was_made("/back"));
    assert_level("place", at("/papers"), "aside", NULL);
    assert_level("place", "/tmp", "aside", "/tmp");
    struct order o = order_of("roots", home, "aside");
    struct reach r;
    assert_ok(reach_take(&o, NULL, &r));
    assert_true(r.level_n == 0 && !r.out[0]);
    json_decref(o.json);
}

/* ---- confined ---- */

#define CHECK(condition) \
    do { \
        if (!(condition)) \
            return (int)(__LINE__ % 200) + 1; \
    } while (0)

static int opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? errno : 0;
}

static int box_is_out(void)
{
    CHECK(opens(at("/box/secret"), O_RDONLY) == EACCES && opens(at("/way/secret"), O_RDONLY) == EACCES);
    CHECK(opens(at("/box/secret"), O_WRONLY) == EACCES && opens(at("/box/secret"), O_RDWR) == EACCES);
    return 0;
}

struct case_of {
    const char *key, *path;
    bool level, user;
};

static int restores(const struct case_of *t)
{
    struct reach r;
    struct plat_confined c = {0};
    const uint8_t id[16] = {1};
    struct order o = order_of(t->key, t->path, "aside");
    CHECK(!t->user || setresuid(65534, 65534, 65534) == 0);
    CHECK(plat_sandbox_hygiene(64, 0, &c) == 0);
    CHECK(reach_take(&o, box, &r) == 0 && reach_confine(&r, notes, id, &c) == 0 && c.landlock);
    int e = box_is_out();
    if (e)
        return e;
    CHECK(opens(at("/docs/new"), O_RDWR | O_CREAT | O_TRUNC) == 0 && unlink(at("/docs/new")) == 0);
    CHECK(opens(at("/agent/orders/note"), O_RDWR | O_CREAT) == 0 && unlink(at("/agent/orders/note")) == 0);
    CHECK((r.work >= 0) == t->level);
    if (!t->level) {
        CHECK(unlink(at("/box/secret")) < 0 && errno == EACCES && opens(at("/box/new"), O_RDWR | O_CREAT) == EACCES);
        CHECK(mkdir(at("/made"), 0700) < 0 && errno == EACCES);
        return 0;
    }
    int fd = openat(r.work, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && renameat(r.work, "file", AT_FDCWD, at("/placed")) == 0 && unlink(at("/placed")) == 0);
    CHECK(mkdir(at("/made"), 0700) == 0 && rmdir(at("/made")) == 0);
    reach_wipe(&r);
    CHECK(access(r.work_path, F_OK) < 0);
    return 0;
}

static int reads(const struct case_of *t)
{
    const struct plat_path_rule rule = {notes, true, false};
    const struct part_rules rules = {
        .profile = "agent-backup", .user = "", .paths = &rule, .paths_n = 1, .landlock = true, .out = box, .nofile = 64};
    struct plat_confined c = {0};
    CHECK(!t->user || setresuid(65534, 65534, 65534) == 0);
    CHECK(part_confine(&rules, &c) == 0 && c.landlock && c.nnp);
    int e = box_is_out();
    if (e)
        return e;
    CHECK(opens(at("/notes"), O_RDONLY) == 0 && opens(at("/notes"), O_WRONLY) == EACCES);
    CHECK(opens(at("/agent/orders/x"), O_RDWR | O_CREAT) == 0 && unlink(at("/agent/orders/x")) == 0);
    return 0;
}

static void assert_ends_well(int (*fn)(const struct case_of *), const struct case_of *t)
{
    int status = 0;
    char text[48];
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn(t));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    plat_proc_status_text(status, text);
    if (strcmp(text, "exit 0") != 0)
        fail_msg("%s %s%s: %s", t->key, t->path, t->user ? " as an ordinary user" : "", text);
}

static void a_confined_restore_or_backup_cannot_reach_the_box(void **s)
{
    (void)s;
    if (plat_sandbox_landlock_abi() < 2)
        skip();
    for (int user = 0; user <= (geteuid() == 0); user++) {
        const struct case_of row[] = {{"roots", at("/docs"), false, user}, {"roots", home, true, user},
            {"paths", at("/notes"), true, user}, {"place", at("/docs/x"), false, user}};
        for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
            assert_ends_well(restores, &row[i]);
        assert_ends_well(reads, &row[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_files_outside_of_the_box_are_lent),
        cmocka_unit_test(what_is_skipped_is_known_by_any_name),
        cmocka_unit_test(an_order_into_the_boxs_folder_is_refused_and_named),
        cmocka_unit_test(only_what_an_order_needs_is_opened),
        cmocka_unit_test(a_confined_restore_or_backup_cannot_reach_the_box),
    };
    return cmocka_run_group_tests(tests, make, clear);
}
