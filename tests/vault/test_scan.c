/* Patterns, names in bounded memory, and the walk. */
#include "engine_kit.h"
#include <errno.h>
#include "vault/scan/names.h"
#include "vault/scan/scan.h"

static bool matches(const char *pattern, const char *path, bool dir)
{
    struct scan_rules *r = NULL;
    assert_int_equal(scan_rules_new(NULL, 0, &pattern, 1, &r, NULL), 0);
    const char *slash = strrchr(path, '/');
    struct scan_subject s = { .path = SM_SPAN_STR(path), .root_n = strlen("/data"), .name_n = strlen(slash + 1), .dir = dir };
    bool m = scan_rules_excludes(r, &s);
    assert_false(scan_rules_includes(r, &s) != true);
    scan_rules_free(r);
    return m;
}

static void patterns_match_as_in_gitignore(void **state)
{
    static const struct { const char *pattern, *path; bool dir, match; } row[] = {
        { "*.tmp", "/data/a/b.tmp", false, true }, { "*.tmp", "/data/a/b.tmpx", false, false },
        { "*.tmp", "/data/.tmp", false, true }, { "b", "/data/a/b", false, true }, { "b", "/data/a/bb", false, false },
        { "/data/cache", "/data/cache", true, true }, { "/data/cache", "/data/x/cache", true, false },
        { "**/x", "/data/x", false, true }, { "**/x", "/data/a/b/x", false, true }, { "**/x", "/data/a/xx", false, false },
        { "a/b", "/data/a/b", false, true }, { "a/b", "/data/c/a/b", false, false }, { "a/**/b", "/data/a/b", false, true },
        { "a/**/b", "/data/a/x/y/b", false, true }, { "a/**", "/data/a/x/y", false, true }, { "a/**", "/data/a", true, false },
        { "dir/", "/data/dir", true, true }, { "dir/", "/data/dir", false, false }, { "?", "/data/x", false, true },
        { "?", "/data/xy", false, false }, { "[a-c]x", "/data/bx", false, true }, { "[!a-c]x", "/data/bx", false, false },
        { "[]]", "/data/]", false, true }, { "\\*", "/data/*", false, true }, { "\\*", "/data/a", false, false },
        { "/data/*/z", "/data/q/z", false, true }, { "/data/*/z", "/data/q/r/z", false, false },
        { "/**/z", "/data/q/r/z", false, true }, { "\x8e*", "/data/\x8e\xd2", false, true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (matches(row[i].pattern, row[i].path, row[i].dir) != row[i].match)
            fail_msg("%s on %s", row[i].pattern, row[i].path);
}

static void a_pattern_that_would_explode_is_matched_at_once(void **state)
{
    char path[4000] = "/data/";
    (void)state;
    memset(path + 6, 'a', 3000);
    assert_false(matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", path, false));
    assert_false(matches("/**/a/**/a/**/a/**/a/**/a/**/a/**/b", path, false));
}

static void a_broken_pattern_is_refused_by_name(void **state)
{
    static const char *const bad[] = { "", "/", "[a", "a[", "[!]" };
    char longer[SCAN_PATTERN_BYTES + 2];
    struct scan_rules *r = NULL;
    const char *which = NULL, *p = longer;
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        which = NULL;
        assert_int_equal(scan_rules_new(&bad[i], 1, NULL, 0, &r, &which), -SM_EINVAL);
        assert_ptr_equal(which, bad[i]);
        assert_null(r);
    }
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(scan_rules_new(NULL, 0, &p, 1, &r, &which), -SM_ELIMIT);
}

static void names_come_in_order_however_many_they_are(void **state)
{
    char dir[256], name[64];
    struct names *n;
    struct sm_span got;
    unsigned char type;
    uint64_t seed = 5;
    (void)state;
    tree_tmp(dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(names_new(NAMES_RUN_MIN, fd, &n), 0);
    for (int i = 0; i < 300000; i++) {
        (void)snprintf(name, sizeof name, "%016llx-%06d", (unsigned long long)tree_random(&seed), i);
        assert_int_equal(names_add(n, SM_SPAN_STR(name), (unsigned char)(i & 7)), 0);
    }
    assert_int_equal(names_sort(n), 0);
    assert_true(names_memory(n) < (size_t)8 << 20);
    char last[64] = "";
    int count = 0, e;
    while ((e = names_next(n, &got, &type)) == 1) {
        assert_true(strcmp(last, (const char *)got.p) < 0);
        (void)snprintf(last, sizeof last, "%s", (const char *)got.p);
        assert_int_equal(type, (int)strtol(last + 17, NULL, 10) & 7);
        count++;
    }
    assert_int_equal(e, 0);
    assert_int_equal(count, 300000);
    names_free(n);
    assert_int_equal(names_new(NAMES_RUN_MIN, -1, &n), 0); /* nowhere to put them */
    for (e = 0; e == 0;)
        e = names_add(n, SM_SPAN_STR("a-name-of-some-length"), 0);
    assert_int_equal(e, -SM_ELIMIT);
    names_free(n);
    close(fd);
    tree_remove(dir);
}

/* The walk as text: "+dir" "-dir" "name" */
struct log { struct sm_buf b; size_t problems; int last_err; char what[32]; size_t cut; };
static int log_enter(void *arg, const struct scan_entry *d)
{
    struct log *l = arg;
    return sm_buf_printf(&l->b, "+%.*s ", d->root ? 1 : (int)d->name.n, d->root ? "R" : (const char *)d->name.p);
}
static int log_entry(void *arg, const struct scan_entry *e)
{
    struct log *l = arg;
    assert_int_equal(e->path.p[e->path.n], 0);
    return sm_buf_printf(&l->b, "%.*s ", (int)e->name.n, (const char *)e->name.p);
}
static int log_leave(void *arg, const struct scan_entry *d, bool whole)
{
    struct log *l = arg;
    return sm_buf_printf(&l->b, "-%s%.*s ", whole ? "" : "!", d->root ? 1 : (int)d->name.n,
        d->root ? "R" : (const char *)d->name.p);
}
static void log_problem(void *arg, struct sm_span path, int err, const char *what)
{
    struct log *l = arg;
    (void)path;
    l->problems++;
    l->last_err = err;
    (void)snprintf(l->what, sizeof l->what, "%s", what);
}

static int walk(const struct kit *k, const struct scan_config *extra, struct log *l)
{
    struct scan_config c = *extra;
    struct scan_calls calls = { .enter = log_enter, .entry = log_entry, .leave = log_leave, .problem = log_problem, .arg = l };
    sm_buf_clear(&l->b);
    l->problems = 0;
    if (!c.roots) {
        c.roots = k->roots;
        c.roots_n = k->roots_n;
    }
    return scan_walk(&c, &calls);
}

static void make(struct kit *k, const char *name)
{
    char p[700];
    kit_path(k, name, p);
    if (name[strlen(name) - 1] == '/')
        assert_int_equal(mkdir(p, 0755), 0);
    else
        tree_text_file(k->src, name, "x");
}

static void the_walk_is_in_order_and_follows_no_link(void **state)
{
    static const char *const what[] = { "b/", "b/2", "b/10", "a", "c", "B", "b.x", "b/sub/", "b/sub/x", "empty/" };
    struct kit *k = kit_new();
    struct log l = { 0 };
    char p[700];
    (void)state;
    for (size_t i = 0; i < sizeof what / sizeof *what; i++)
        make(k, what[i]);
    kit_path(k, "link", p);
    assert_int_equal(symlink("/", p), 0);
    assert_int_equal(walk(k, &(struct scan_config){ .tmp_dir = -1 }, &l), 0);
    assert_string_equal(sm_buf_str(&l.b), "+R B a +b 10 2 +sub x -sub -b b.x c +empty -empty link -R ");
    assert_int_equal(l.problems, 0);
    sm_buf_wipe(&l.b);
    kit_free(k);
}

static void excluded_and_not_included_names_are_left_out(void **state)
{
    static const char *const what[] = { "a.tmp", "a.doc", "d/", "d/b.doc", "d/b.txt", "e/", "e/c.txt" };
    static const char *const exclude[] = { "*.tmp", "d/" }, *const include[] = { "*.doc", "e/" };
    struct kit *k = kit_new();
    struct log l = { 0 };
    struct scan_rules *r;
    (void)state;
    for (size_t i = 0; i < sizeof what / sizeof *what; i++)
        make(k, what[i]);
    assert_int_equal(scan_rules_new(NULL, 0, exclude, 2, &r, NULL), 0);
    assert_int_equal(walk(k, &(struct scan_config){ .tmp_dir = -1, .rules = r }, &l), 0);
    assert_string_equal(sm_buf_str(&l.b), "+R a.doc +e c.txt -e -R ");
    scan_rules_free(r);
    assert_int_equal(scan_rules_new(include, 2, exclude, 1, &r, NULL), 0);
    assert_int_equal(walk(k, &(struct scan_config){ .tmp_dir = -1, .rules = r }, &l), 0);
    assert_string_equal(sm_buf_str(&l.b), "+R a.doc +d b.doc -d +e c.txt -e -R ");
    scan_rules_free(r);
    sm_buf_wipe(&l.b);
    kit_free(k);
}

static void the_boxs_own_folder_is_known_by_identity_not_by_name(void **state)
{
    struct kit *k = kit_new();
    struct log l = { 0 };
    struct plat_meta m = { 0 };
    char p[700], q[700];
    (void)state;
    make(k, "own/");
    make(k, "own/x");
    make(k, "y");
    kit_path(k, "own", p);
    kit_path(k, "renamed", q);
    assert_int_equal(plat_meta_read(AT_FDCWD, p, 0, &m), 0);
    assert_int_equal(rename(p, q), 0);
    assert_int_equal(walk(k, &(struct scan_config){ .tmp_dir = -1, .skip = &m.id, .skip_n = 1 }, &l), 0);
    assert_string_equal(sm_buf_str(&l.b), "+R y -R ");
    plat_meta_wipe(&m);
    sm_buf_wipe(&l.b);
    kit_free(k);
}

static void views_of_the_kernel_are_never_entered(void **state)
{
    static const char *const proc[] = { "/proc" };
    struct kit *k = kit_new();
    struct log l = { 0 };
    (void)state;
    assert_int_equal(walk(k, &(struct scan_config){ .tmp_dir = -1, .roots = proc, .roots_n = 1 }, &l), 0);
    assert_string_equal(sm_buf_str(&l.b), "+R -R ");
    sm_buf_wipe(&l.b);
    kit_free(k);
}

static void folders_below_the_formats_depth_are_named(void **state)
{
    struct kit *k = kit_new();
    struct log l = { 0 };
    char p[4600];
    (void)state;
    tree_text_file(k->src, "a", "a");
    (void)snprintf(p, sizeof p, "%s", k->src);
    for (int i = 0; i < 70; i++) {
        size_t n = strlen(p);
        (void)snprintf(p + n, sizeof p - n, "/d");
        assert_int_equal(mkdir(p, 0755), 0);
    }
    assert_int_equal(walk(k, &(struct scan_config){ .tmp_dir = -1 }, &l), 0);
    assert_int_equal(l.problems, 1);
    assert_int_equal(l.last_err, -SM_ELIMIT);
    assert_non_null(strstr(sm_buf_str(&l.b), "-!R"));
    sm_buf_wipe(&l.b);
    assert_int_equal(kit_backup(k), 0); /* and what is above them is a generation the format takes */
    assert_int_equal(k->result.status, RUN_PARTIAL);
    kit_free(k);
}

static int told_path(void *arg, const struct scan_entry *e)
{
    struct sm_buf *b = arg;
    char text[2];
    int fd = e->meta->type == PLAT_DIR ? 0 : openat(e->dirfd, e->at, O_RDONLY);
    assert_true(fd >= 0);
    if (fd > 0) {
        assert_int_equal(read(fd, text, 1), 1); /* what is told under one path is read at the other */
        (void)close(fd);
    }
    return sm_buf_printf(b, "%.*s ", (int)e->path.n, (const char *)e->path.p);
}

static int left_path(void *arg, const struct scan_entry *e, bool whole)
{
    (void)whole;
    return sm_buf_printf(arg, "-%.*s ", (int)e->path.n, (const char *)e->path.p);
}

static void a_root_can_stand_for_another_path(void **state)
{
    struct kit *k = kit_new();
    struct sm_buf b = SM_BUF_INIT(4096);
    const char *roots[] = { k->src }, *shown[] = { "/postgresql" };
    const struct scan_calls calls = { .enter = told_path, .entry = told_path, .leave = left_path, .problem = log_problem,
        .arg = &b };
    (void)state;
    make(k, "orca.dump");
    make(k, "more/");
    make(k, "more/x");
    assert_int_equal(scan_walk(&(struct scan_config){ .tmp_dir = -1, .roots = roots, .roots_n = 1, .shown = shown }, &calls), 0);
    assert_string_equal(sm_buf_str(&b),
        "/postgresql /postgresql/more /postgresql/more/x -/postgresql/more /postgresql/orca.dump -/postgresql ");
    shown[0] = "postgresql";
    assert_int_equal(scan_walk(&(struct scan_config){ .tmp_dir = -1, .roots = roots, .roots_n = 1, .shown = shown }, &calls),
        -SM_EINVAL);
    sm_buf_wipe(&b);
    kit_free(k);
}

static void roots_are_absolute_sorted_and_taken_once(void **state)
{
    struct kit *k = kit_new();
    struct log l = { 0 };
    char a[400], b[400], link_to[400];
    const char *roots[4] = { b, a, b, a }, *relative = "src", *one = link_to;
    (void)state;
    (void)snprintf(a, sizeof a, "%s/a", k->base);
    (void)snprintf(b, sizeof b, "%s/b", k->base);
    (void)snprintf(link_to, sizeof link_to, "%s/link", k->base);
    assert_int_equal(mkdir(a, 0755), 0);
    tree_text_file(k->base, "b", "a file as a source");
    assert_int_equal(symlink(a, link_to), 0);
    assert_int_equal(walk(k, &(struct scan_config){ .tmp_dir = -1, .roots = roots, .roots_n = 4 }, &l), 0);
    assert_true(strncmp(sm_buf_str(&l.b), "+R -R ", 6) == 0);
    assert_string_equal(sm_buf_str(&l.b) + 6 + strlen(k->base), "/b ");
    assert_int_equal(walk(k, &(struct scan_config){ .tmp_dir = -1, .roots = &relative, .roots_n = 1 }, &l), -SM_EINVAL);
    assert_int_equal(walk(k, &(struct scan_config){ .tmp_dir = -1, .roots = &one, .roots_n = 1 }, &l), 0);
    assert_int_equal(l.problems, 1);
    assert_int_equal(l.last_err, -ELOOP);
    sm_buf_wipe(&l.b);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_in_gitignore),
        cmocka_unit_test(a_pattern_that_would_explode_is_matched_at_once),
        cmocka_unit_test(a_broken_pattern_is_refused_by_name),
        cmocka_unit_test(names_come_in_order_however_many_they_are),
        cmocka_unit_test(the_walk_is_in_order_and_follows_no_link),
        cmocka_unit_test(excluded_and_not_included_names_are_left_out),
        cmocka_unit_test(the_boxs_own_folder_is_known_by_identity_not_by_name),
        cmocka_unit_test(views_of_the_kernel_are_never_entered),
        cmocka_unit_test(folders_below_the_formats_depth_are_named),
        cmocka_unit_test(a_root_can_stand_for_another_path),
        cmocka_unit_test(roots_are_absolute_sorted_and_taken_once),
    };
    return cmocka_run_group_tests_name("vault scan", tests, NULL, NULL);
}
