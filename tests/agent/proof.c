/* Rows counted in dumps, and what a database is tried in. */
#include "../test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "crypto/init.h"
#include "plat/fs.h"
#include "sakimori-agent/proof.h"

static void feed(struct rows *r, enum rows_form form, const char *text, size_t step)
{
    rows_init(r, form);
    for (size_t at = 0, n = strlen(text); at < n; at += step)
        rows_feed(r, SM_SPAN(text + at, n - at < step ? n - at : step));
    assert_int_equal(r->err, 0);
}

static void rows_of_a_postgresql_dump_are_counted_wherever_it_is_cut(void **state)
{
    static const char text[] = "SET x = 'COPY y FROM stdin;';\nCOPY public.\"odd (\"\"t\" (a, \"b (\") FROM stdin;\n1\tx\n\\\\.\n\n\\.\n"
        "SELECT 1;\nCOPY public.empty (x) FROM stdin;\n\\.\nCOPY s.t FROM stdin;\n1\n2\n\\.\n";
    (void)state;
    for (size_t step = 1; step < 40; step++) {
        struct rows r;
        feed(&r, ROWS_COPY, text, step);
        assert_int_equal(r.n, 3);
        assert_int_equal(rows_take(&r, "public.\"odd (\"\"t\""), 3);
        assert_int_equal(rows_unseen(&r), 1);
        assert_int_equal(rows_take(&r, "s.t"), 2);
        assert_int_equal(rows_unseen(&r), 0); /* an empty one is missed by nobody */
        assert_int_equal(rows_take(&r, "public.empty"), 0);
        assert_true(rows_take(&r, "public.none") == UINT64_MAX);
        rows_wipe(&r);
    }
}

static void rows_of_a_mariadb_dump_are_counted_wherever_it_is_cut(void **state)
{
    static const char text[] = "-- x\nCREATE TABLE `t` (a int);\nINSERT INTO `t``x` VALUES\n(1,'),('),\n(2,'it\\'s; (('),(3,_binary '\\\\');\n"
        "INSERT INTO `t``x` VALUES (4,''';');\nDELIMITER ;;\nCREATE PROCEDURE p()\nBEGIN\nINSERT INTO `no` VALUES (1);\nEND ;;\nDELIMITER ;\n"
        "INSERT INTO `u` VALUES (0x41,NULL);\n";
    (void)state;
    for (size_t step = 1; step < 40; step++) {
        struct rows r;
        feed(&r, ROWS_INSERT, text, step);
        assert_int_equal(r.n, 2);
        assert_int_equal(rows_take(&r, "t`x"), 4);
        assert_int_equal(rows_take(&r, "u"), 1);
        rows_wipe(&r);
    }
}

static void what_a_server_counts_is_compared_with_the_dump(void **state)
{
    static const char text[] = "COPY a (x) FROM stdin;\n1\n2\n\\.\nCOPY b (x) FROM stdin;\n1\n\\.\nCOPY gone (x) FROM stdin;\n1\n\\.\n";
    static const char told[] = "2\ta\0" "0\tb\0" "9\tmore";
    struct rows r;
    struct trial_count c;
    struct sm_buf lines = SM_BUF_INIT(256);
    (void)state;
    feed(&r, ROWS_COPY, text, 7);
    assert_ok(sm_buf_put(&lines, told, sizeof told - 1));
    assert_ok(trial_compare(&lines, 0, &r, &c));
    assert_int_equal(c.tables, 3);
    assert_int_equal(c.rows, 11);
    assert_int_equal(c.compared, 2);
    assert_int_equal(c.differing, 2); /* b has lost its row, gone is not there */
    sm_buf_wipe(&lines);
    rows_wipe(&r);
}

static void only_files_and_folders_are_given_away(void **state)
{
    char base[] = "/tmp/sakimori-proof-XXXXXX", path[140], from[100], outer[100];
    struct stat st;
    uint64_t bytes = 0;
    (void)state;
    assert_non_null(mkdtemp(base));
    (void)snprintf(from, sizeof from, "%s/dumps", base);
    (void)snprintf(outer, sizeof outer, "%s/outer", base);
    assert_int_equal(mkdir(from, 0700), 0);
    int dir = plat_fs_open_dir(AT_FDCWD, from);
    int fd = openat(dir, "a.dump", O_CREAT | O_WRONLY, 0400);
    assert_int_equal(write(fd, "12345", 5), 5);
    close(fd);
    assert_int_equal(symlinkat("/etc/passwd", dir, "link"), 0);
    assert_int_equal(mkdirat(dir, "sub", 0500), 0);
    close(dir);
    bool root = geteuid() == 0;
    uid_t uid = root ? 12345 : geteuid();
    assert_ok(proof_take(outer, from, uid, root ? 12345 : getegid(), &bytes));
    assert_int_equal(bytes, 5);
    (void)snprintf(path, sizeof path, "%s/w/in/a.dump", outer);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_uid, uid);
    assert_int_equal(st.st_mode & 07777, 0600);
    (void)snprintf(path, sizeof path, "%s/w/in/link", outer);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(stat("/etc/passwd", &st), 0);
    assert_int_not_equal(st.st_uid, 12345);
    assert_int_equal(proof_take(outer, base, uid, 0, &bytes), -SM_EDENIED); /* never over what is there */
    (void)snprintf(from, sizeof from, "%s/none", base);
    (void)snprintf(outer, sizeof outer, "%s/other", base);
    assert_int_equal(proof_take(outer, from, uid, 0, &bytes), -ENOENT);
    assert_ok(plat_fs_remove_tree(AT_FDCWD, base));
}

static void too_little_room_is_seen_before_anything_is_done(void **state)
{
    (void)state;
    assert_true(proof_room("/tmp", 1, 1));
    assert_false(proof_room("/tmp", (uint64_t)1 << 60, 3));
    assert_false(proof_room("/nonexistent", 1, 3));
    assert_non_null(trial_find("postgresql"));
    assert_null(trial_find("files"));
}

/* The agent's own user is never it: a program out of a dump could end the agent, or speak to the box as the agent may. */
static void without_root_nobody_tries_a_database(void **state)
{
    const char *user = NULL;
    uid_t uid = 7;
    gid_t gid = 7;
    (void)state;
    assert_string_equal(proof_who(1000, &user, &uid, &gid), "user");
    assert_null(user);
    assert_int_equal(uid, 7);
    if (proof_who(0, &user, &uid, &gid) == NULL) {
        assert_non_null(user);
        assert_int_not_equal(uid, 0);
    }
}

static void run_loud(bool quiet, const char *script, const char *log, char *ret_why, int expect)
{
    const char *const argv[] = {"sh", "-c", script, NULL}, *const env[] = {"PATH=/usr/bin:/bin", NULL};
    struct prep p = {.staging = -1, .quiet = quiet, .quiet_log = log};
    struct sm_buf text = SM_BUF_INIT(4096);
    const struct prep_run t = {.path = "/bin/sh", .argv = argv, .env = env, .out = -1};
    ret_why[0] = 0;
    assert_int_equal(prep_run(&p, &t, &text, ret_why), expect);
    sm_buf_wipe(&text);
}

static void in_a_drill_the_words_of_programs_are_not_told(void **state)
{
    char why[KIND_WHY], log[] = "/tmp/sakimori-log-XXXXXX", script[400];
    int fd = mkstemp(log);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    static const char *const told[] = {"echo 'CONTEXT: COPY karte, line 3, column name: \"YAMADA\"' >&2; exit 1",
        "echo \"ERROR 1062 (23000) at line 3: Duplicate entry 'YAMADA' for key 'n'\" >&2; exit 1", "echo YAMADA >&2"};
    run_loud(false, told[0], NULL, why, -SM_EPARTIAL);
    assert_non_null(strstr(why, "YAMADA")); /* else the rest of this shows nothing */
    run_loud(true, told[0], NULL, why, -SM_EPARTIAL);
    assert_string_equal(why, "the program failed");
    run_loud(true, told[1], NULL, why, -SM_EPARTIAL);
    assert_string_equal(why, "an error of the database: SQLSTATE 23000");
    run_loud(true, told[2], NULL, why, 0);
    assert_string_equal(why, "");
    (void)snprintf(script, sizeof script, "echo '22P02 ERROR:  invalid input: YAMADA' >> %s; echo YAMADA >&2; exit 1", log);
    run_loud(true, script, log, why, -SM_EPARTIAL);
    assert_string_equal(why, "an error of the database: SQLSTATE 22P02");
    run_loud(true, told[0], log, why, -SM_EPARTIAL); /* what stood there before is of another error */
    assert_string_equal(why, "the program failed");
    assert_int_equal(unlink(log), 0);
}

static void nothing_but_five_signs_comes_out_of_an_error(void **state)
{
    static const struct {
        bool log;
        const char *text, *want;
    } rows[] = {{true, "00000 LOG:  x\n23514 ERROR:  new row: YAMADA\n00000 LOG:  y\n", "23514"},
        {true, "42601 ERROR:  a\n\tYAMAD ERROR: x\n", "42601"}, {true, "yamad ERROR:  a\n", ""}, {true, "2351 ERROR:", ""},
        {true, "23514 ERROR", ""}, {true, "", ""}, {true, "57P01 FATAL:  x", "57P01"},
        {false, "ERROR 1136 (21S01) at line 3: x", "21S01"}, {false, "x\nERROR 1136 (21S01)", ""}, {false, "ERROR 1136 (21S01", ""},
        {false, "ERROR 1136 (21s01)", ""}, {false, "ERROR ", ""}, {false, "ERROR 1 (YAMADA)", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char got[6] = "old";
        prep_sqlstate(SM_SPAN_STR(rows[i].text), rows[i].log, got);
        assert_string_equal(got, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_a_postgresql_dump_are_counted_wherever_it_is_cut),
        cmocka_unit_test(rows_of_a_mariadb_dump_are_counted_wherever_it_is_cut),
        cmocka_unit_test(what_a_server_counts_is_compared_with_the_dump),
        cmocka_unit_test(only_files_and_folders_are_given_away),
        cmocka_unit_test(too_little_room_is_seen_before_anything_is_done),
        cmocka_unit_test(without_root_nobody_tries_a_database),
        cmocka_unit_test(in_a_drill_the_words_of_programs_are_not_told),
        cmocka_unit_test(nothing_but_five_signs_comes_out_of_an_error),
    };
    return crypto_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
