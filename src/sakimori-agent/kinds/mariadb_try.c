/*
 * A MariaDB of its own from restored dumps: each database as `db-restore` loads it, its rows against those of the dump,
 * CHECK TABLE for every table.  The file of users is not loaded: it would change who may sign in to this server.
 */
#include "sakimori-agent/kinds/trial.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"

#define COUNT_MAX ((size_t)8 << 20)

static const char *const servers[] = {"/usr/sbin/mariadbd", "/usr/sbin/mysqld", "/usr/libexec/mariadbd", NULL};
static const char *const installers[] = {"/usr/bin/mariadb-install-db", "/usr/bin/mysql_install_db", NULL};
static const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent", NULL};

static int ask(struct trial *t, const char *db, const char *sql, struct sm_buf *ret, char *why)
{
    char socket[200];
    snprintf(socket, sizeof socket, "--socket=%s/s", t->folder);
    const char *const argv[] = {"mariadb", "--no-defaults", socket, "-u", "root", "-N", "-B", "--raw",
        "--default-character-set=utf8mb4", "--", db, NULL};
    const struct prep_run g = {.path = t->p->tool[0], .argv = argv, .env = env, .out = -1, .input = sql};
    return prep_run(t->p, &g, ret, why);
}

static int ready(struct trial *t)
{
    char why[KIND_WHY] = "";
    struct sm_buf text = SM_BUF_INIT(4096);
    int r = ask(t, "mysql", "SELECT version();", &text, why);
    if (!r)
        snprintf(t->version, sizeof t->version, "%.*s", (int)(text.n ? text.n - 1 : 0), (const char *)text.p);
    sm_buf_wipe(&text);
    return r;
}

static int start(struct trial *t)
{
    char data[160], tmp[160], socket[160], pid[160], why[KIND_WHY] = "", dir[160], none[160], priv[180];
    char *install = prep_find(installers);
    struct sm_buf text = SM_BUF_INIT((size_t)1 << 20);
    snprintf(data, sizeof data, "--datadir=%s/db", t->folder);
    snprintf(tmp, sizeof tmp, "--tmpdir=%s", t->folder);
    snprintf(socket, sizeof socket, "--socket=%s/s", t->folder);
    snprintf(pid, sizeof pid, "--pid-file=%s/pid", t->folder);
    snprintf(dir, sizeof dir, "%s/db", t->folder);
    snprintf(none, sizeof none, "%s/none", t->folder);
    snprintf(priv, sizeof priv, "--secure-file-priv=%s", none); /* no statement reads or writes other files */
    const char *const make[] = {"mariadb-install-db", "--no-defaults", data, tmp, "--auth-root-authentication-method=normal",
        "--skip-test-db", "--cross-bootstrap", "--skip-log-bin", NULL};
    const char *const argv[] = {t->server, "--no-defaults", data, tmp, socket, pid, "--skip-networking", "--skip-log-bin",
        "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0", "--innodb-use-native-aio=0",
        "--innodb-flush-method=fsync", "--event-scheduler=OFF", priv, "--max-connections=10",
        NULL};
    const struct prep_run g = {.path = install, .argv = make, .env = env, .out = -1};
    prep_now(t->p, "mariadb-install-db");
    int r = install ? plat_fs_mkdir(AT_FDCWD, dir, 0700) : -SM_ENOTFOUND;
    if (!r)
        r = plat_fs_mkdir(AT_FDCWD, none, 0700);
    if (!r)
        r = prep_run(t->p, &g, &text, why);
    if (r)
        prep_problem(t->p, "mariadb-install-db", r, why, true);
    if (!r)
        r = trial_serve(t, argv, ready);
    sm_buf_wipe(&text);
    free(install);
    return r;
}

/* Lines of `SELECT …` for each table of the database: what is asked then. */
static int each_table(struct trial *t, const char *db, const char *make, struct sm_buf *ret)
{
    char why[KIND_WHY] = "";
    struct sm_buf sql = SM_BUF_INIT(COUNT_MAX);
    int r = ask(t, db, make, &sql, why);
    if (!r)
        r = sql.n ? ask(t, db, sm_buf_str(&sql), ret, why) : 0;
    if (r)
        prep_problem(t->p, db, r, why, true);
    sm_buf_wipe(&sql);
    return r;
}

static int count(struct trial *t, const char *db, struct rows *rows, struct trial_count *ret)
{
    static const char make[] =
        "SELECT CONCAT('SELECT COUNT(*), ', QUOTE(TABLE_NAME), ' FROM `', REPLACE(TABLE_NAME, '`', '``'), '`;') FROM"
        " information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_TYPE='BASE TABLE';";
    struct sm_buf text = SM_BUF_INIT(COUNT_MAX);
    int r = each_table(t, db, make, &text);
    if (!r)
        r = trial_compare(&text, '\n', rows, ret);
    sm_buf_wipe(&text);
    return r;
}

/* CHECK TABLE: "db.table TAB check TAB status TAB OK" when it is sound; notes are no fault. */
static int check(struct trial *t, const char *db, bool *ret_sound)
{
    static const char make[] = "SELECT CONCAT('CHECK TABLE `', REPLACE(TABLE_NAME, '`', '``'), '` EXTENDED;') FROM"
        " information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_TYPE='BASE TABLE';";
    struct sm_buf text = SM_BUF_INIT(COUNT_MAX);
    int r = each_table(t, db, make, &text);
    bool sound = !r;
    for (char *line = r ? NULL : (char *)(uintptr_t)sm_buf_str(&text), *next; line && *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = 0;
        bool good = strstr(line, "\tcheck\tstatus\tOK") || strstr(line, "\tcheck\tnote\t");
        if (!good)
            prep_problem(t->p, db, -SM_EFORMAT, "CHECK TABLE found damage in a table", true);
        sound &= good;
    }
    sm_buf_wipe(&text);
    *ret_sound = sound;
    return r == -SM_EPARTIAL ? 0 : r;
}

static int dump_rows(int dump, struct rows *rows)
{
    static uint8_t piece[65536];
    ssize_t n;
    while ((n = plat_fs_read(dump, piece, sizeof piece)) > 0)
        rows_feed(rows, SM_SPAN(piece, (size_t)n));
    return n < 0 ? (int)n : lseek(dump, 0, SEEK_SET) < 0 ? -errno : rows->err;
}

static int one(struct trial *t, const char *name, int dump)
{
    struct trial_count c = {0};
    struct rows rows;
    uint64_t began = plat_clock_mono_ms(), checked;
    bool sound = false;
    rows_init(&rows, ROWS_INSERT);
    int r = dump_rows(dump, &rows);
    if (!r)
        r = t->p->kind->restore(t->p, dump, name, false);
    t->load_ms += plat_clock_mono_ms() - began;
    checked = plat_clock_mono_ms();
    bool loaded = !r;
    if (!r)
        r = count(t, name, &rows, &c);
    if (!r)
        r = check(t, name, &sound);
    t->check_ms += plat_clock_mono_ms() - checked;
    rows_wipe(&rows);
    trial_note(t, name, &c, loaded, sound, plat_clock_mono_ms() - began);
    return r == -SM_ECANCEL || r == -SM_ETIME || r == -ENOSPC ? r : 0;
}

static int each(struct trial *t)
{
    snprintf(t->p->access.host, sizeof t->p->access.host, "%s/s", t->folder);
    return trial_dumps(t, ".sql", ".users.sql", one);
}

const struct trial_kind trial_mariadb = {
    .name = "mariadb", .server = servers, .times = 3, .start = start, .each = each, .stop_signal = SIGTERM};
