/* The state database: made, brought to the newest version, refused, taken back, kept over a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "plat/fs.h"
#include "state/schema.h"
#include "state/state.h"

struct box { char dir[64], path[96]; };

static int make(void **state)
{
    struct box *b = calloc(1, sizeof *b);
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/sk-state-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    (void)snprintf(b->path, sizeof b->path, "%s/state.db", b->dir);
    *state = b;
    return 0;
}

static int drop(void **state)
{
    struct box *b = *state;
    int dir = plat_fs_open_dir(AT_FDCWD, "/tmp");
    assert_int_equal(plat_fs_remove_tree(dir, b->dir + 5), 0);
    (void)close(dir);
    free(b);
    return 0;
}

static void raw_sql(const struct box *b, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_setting_is_there_after_opening_again(void **state)
{
    struct box *b = *state;
    struct state *s = NULL;
    json_t *v = json_string("ja"), *flag = json_true();
    assert_int_equal(state_open(b->path, &s), 0);
    assert_null(state_setting(s, "language"));
    assert_int_equal(state_set(s, "language", v), 0);
    assert_int_equal(state_set(s, "done", flag), 0);
    state_close(s);
    json_decref(v);
    assert_int_equal(state_open(b->path, &s), 0);
    v = state_setting(s, "language");
    assert_string_equal(json_string_value(v), "ja");
    json_decref(v);
    v = state_setting(s, "done");
    assert_true(json_is_true(v));
    json_decref(v);
    state_close(s);
}

static void a_newer_programs_file_is_refused_untouched(void **state)
{
    struct box *b = *state;
    struct state *s = NULL;
    assert_int_equal(state_open(b->path, &s), 0);
    state_close(s);
    s = NULL;
    raw_sql(b, "PRAGMA user_version=999");
    assert_int_equal(state_open(b->path, &s), -SM_EVERSION);
    assert_null(s);
}

static void an_older_programs_file_is_brought_up_and_keeps_what_it_has(void **state)
{
    struct box *b = *state;
    for (unsigned old = 1; old < state_schema_n; old++) {
        struct state *s = NULL;
        char version[60];
        (void)snprintf(b->path, sizeof b->path, "%s/old-%u.db", b->dir, old);
        for (unsigned i = 0; i < old; i++)
            raw_sql(b, state_schema[i]);
        (void)snprintf(version, sizeof version, "PRAGMA user_version=%u", old);
        raw_sql(b, "INSERT INTO settings VALUES('language','{\"v\":\"ja\"}')");
        raw_sql(b, version);
        assert_int_equal(state_open(b->path, &s), 0);
        json_t *v = state_setting(s, "language");
        assert_non_null(v);
        assert_string_equal(json_string_value(v), "ja");
        json_decref(v);
        assert_int_equal(state_number(s, STATE_log_searches_n, -1, STATE_NONE), 0);
        state_close(s);
    }
}

static void a_file_that_is_no_database_is_corrupt(void **state)
{
    struct box *b = *state;
    struct state *s = NULL;
    char junk[8192];
    memset(junk, 'x', sizeof junk);
    int dir = plat_fs_open_dir(AT_FDCWD, b->dir);
    assert_int_equal(plat_replace(dir, "state.db", SM_SPAN(junk, sizeof junk), 0600), 0);
    (void)close(dir);
    assert_int_equal(state_open(b->path, &s), -SM_ECORRUPT);
    assert_null(s);
}

static void what_is_taken_back_was_never_there_also_when_nested(void **state)
{
    struct box *b = *state;
    struct state *s = NULL;
    json_t *v = json_string("x");
    assert_int_equal(state_open(b->path, &s), 0);
    assert_int_equal(state_begin(s), 0);
    assert_int_equal(state_set(s, "a", v), 0);
    assert_int_equal(state_begin(s), 0);
    assert_int_equal(state_set(s, "b", v), 0);
    assert_int_equal(state_end(s, false), 0);
    assert_int_equal(state_end(s, true), 0);
    assert_null(state_setting(s, "a"));
    assert_null(state_setting(s, "b"));
    assert_int_equal(state_end(s, true), -SM_ESTATE);
    json_decref(v);
    state_close(s);
}

static void every_statement_is_sound_sql(void **state)
{
    struct box *b = *state;
    struct state *s = NULL;
    assert_int_equal(state_open(b->path, &s), 0);
    struct state_arg zero[16];
    for (size_t i = 0; i < 16; i++)
        zero[i] = state_i(0);
    for (unsigned q = 0; q < STATE_QUERIES; q++) {
        int r = -SM_EINVAL;
        json_t *rows = NULL;
        assert_int_equal(state_begin(s), 0);
        for (size_t n = 0; n <= 16 && r == -SM_EINVAL; n++) /* the right number of parameters is found by trying */
            r = state_rows(s, (enum state_query)q, &rows, zero, n);
        if (r < 0 && r != -SM_EEXISTS && r != -SM_EINVAL && r != -SM_EMISSING)
            fail_msg("statement %u: %d %s", q, r, state_why(s));
        json_decref(rows);
        assert_int_equal(state_end(s, false), 0);
    }
    state_close(s);
}

/* n past runs of one source, and its uploads and orders. */
static void past(const struct box *b, unsigned n)
{
    char sql[1200];
    (void)snprintf(sql, sizeof sql,
        "DELETE FROM uploads; DELETE FROM orders; DELETE FROM runs;"
        "INSERT OR IGNORE INTO devices(id,client,name,sign_pub,cert,cert_until_s,days,state,created_s)"
        " VALUES('d','c','n','p','x',0,1,'joined',1);"
        "INSERT OR IGNORE INTO sources(id,device,name,grp,kind,paths,include,exclude,schedule,canaries,bandwidth,"
        "one_fs,enabled,created_s) VALUES('s','d','n','emr','files','[]','[]','[]','{}',0,0,0,1,1);"
        "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM k WHERE i<%u)"
        " INSERT INTO runs(id,source,device,kind,state,created_s,finished_s,manifest,counters)"
        " SELECT hex(randomblob(16)),'s','d','scheduled','complete',i,i,hex(randomblob(32)),hex(randomblob(150)) FROM k;"
        "INSERT INTO uploads(session,run,device,source,number,made_s) SELECT id,id,'d','s',1,1 FROM runs;"
        "INSERT INTO orders(id,device,kind,ref,body,sig,issued_s,not_after_s,state)"
        " SELECT id,'d','backup',id,'','',created_s,created_s,'over' FROM runs;", n);
    raw_sql(b, sql);
}

/* CPU time of so many backups' questions. */
static clock_t asked(const struct box *b)
{
    struct state *s = NULL;
    json_t *rows = NULL;
    assert_int_equal(state_open(b->path, &s), 0);
    clock_t from = clock();
    for (int i = 0; i < 200; i++) {
        assert_int_equal(state_number(s, STATE_runs_open_of, 9, STATE_ARGS(state_t("s"))), 0);
        assert_int_equal(state_number(s, STATE_orders_of, 9, STATE_ARGS(state_t("none"), state_t("backup"))), 0);
        assert_int_equal(state_do(s, STATE_orders_over, STATE_ARGS(state_t("none"))), 0);
        assert_int_equal(state_do(s, STATE_runs_forget, STATE_ARGS(state_i(0))), 0);
        assert_int_equal(state_row(s, STATE_upload_of_run, &rows, STATE_ARGS(state_t("none"))), -SM_ENOTFOUND);
        assert_int_equal(state_rows(s, STATE_runs_orderless, &rows, STATE_ARGS(state_i(1), state_i(1))), 0);
        json_decref(rows);
        assert_int_equal(state_rows(s, STATE_runs, &rows,
            STATE_ARGS(state_t(""), state_t(""), state_t(""), state_t(""), state_i(2), state_i(0))), 0);
        assert_int_equal(json_array_size(rows), 2);
        json_decref(rows);
        assert_int_equal(state_row(s, STATE_run_last_good, &rows, STATE_ARGS(state_t("s"))), 0);
        json_decref(rows);
    }
    clock_t took = clock() - from;
    state_close(s);
    return took;
}

static void what_each_backup_asks_costs_the_same_after_ten_thousand(void **state)
{
    struct box *b = *state;
    struct state *s = NULL;
    assert_int_equal(state_open(b->path, &s), 0);
    state_close(s);
    past(b, 100);
    clock_t few = asked(b);
    past(b, 10000);
    clock_t many = asked(b);
    assert_true(many < 5 * few); /* all rows for one of them: fifty times and more */
}

static void a_name_that_is_taken_and_a_row_that_is_missing_are_told_apart(void **state)
{
    struct box *b = *state;
    struct state *s = NULL;
    assert_int_equal(state_open(b->path, &s), 0);
    for (int i = 0; i < 2; i++) {
        char id[8];
        (void)snprintf(id, sizeof id, "p%d", i);
        int r = state_do(s, STATE_person_add,
            STATE_ARGS(state_t(id), state_t("hanako"), state_t("花子"), state_t("staff"), state_i(0), state_t("x"),
                state_i(0), state_t(NULL), state_i(0), state_t(NULL), state_i(1)));
        assert_int_equal(r, i ? -SM_EEXISTS : 1);
    }
    assert_int_equal(state_do(s, STATE_run_add,
                         STATE_ARGS(state_t("r"), state_t("no-source"), state_t("no-device"), state_t("adhoc"),
                             state_t(NULL), state_i(1))),
        -SM_EMISSING);
    json_t *row = NULL;
    assert_int_equal(state_row(s, STATE_person, &row, STATE_ARGS(state_t("nobody"))), -SM_ENOTFOUND);
    assert_null(row);
    state_close(s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, make, drop)
static void a_snapshot_is_one_moment_and_stands_alone(void **state)
{
    struct box *b = *state;
    struct state *s = NULL, *copy = NULL;
    char to[120], wal[130];
    (void)snprintf(to, sizeof to, "%s/copy.db", b->dir);
    (void)snprintf(wal, sizeof wal, "%s-wal", to);
    assert_int_equal(state_open(b->path, &s), 0);
    json_t *one = json_string("before"), *two = json_string("after");
    assert_int_equal(state_set(s, "x", one), 0);
    assert_int_equal(state_snapshot(b->path, to), 0); /* while it is open, and its journal not taken in */
    assert_int_not_equal(access(wal, F_OK), 0);
    assert_int_equal(state_set(s, "x", two), 0);
    assert_int_equal(state_snapshot(b->path, to), -SM_EEXISTS);
    state_close(s);
    assert_int_equal(state_open(to, &copy), 0);
    json_t *got = state_setting(copy, "x");
    assert_string_equal(json_string_value(got), "before");
    json_decref(got);
    json_decref(one);
    json_decref(two);
    state_close(copy);
    assert_true(state_snapshot("/nonexistent/state.db", wal) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { T(a_setting_is_there_after_opening_again),
        T(a_newer_programs_file_is_refused_untouched), T(a_file_that_is_no_database_is_corrupt),
        T(an_older_programs_file_is_brought_up_and_keeps_what_it_has),
        T(what_is_taken_back_was_never_there_also_when_nested), T(every_statement_is_sound_sql),
        T(what_each_backup_asks_costs_the_same_after_ten_thousand), T(a_snapshot_is_one_moment_and_stands_alone),
        T(a_name_that_is_taken_and_a_row_that_is_missing_are_told_apart) };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
