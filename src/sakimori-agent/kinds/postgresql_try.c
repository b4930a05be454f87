/*
 * A PostgreSQL of its own from restored dumps.  Roles come first (globals.sql), then each database as `db-restore` loads it.
 * Rows: counted in what pg_restore gives out of the dump, and by the server.  Structure: amcheck (F.2 of PostgreSQL's
 * manual): every B-tree against its table, every table's heap.
 */
#include "sakimori-agent/kinds/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"

#define COUNT_MAX ((size_t)8 << 20)

static const char *const servers[] = {"/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres", NULL};
enum { PSQL = 0, PG_RESTORE = 3 }; /* of the kind's tools */

struct env {
    char host[160];
    const char *list[8];
};

static void env_of(const struct trial *t, struct env *e)
{
    snprintf(e->host, sizeof e->host, "PGHOST=%s", t->folder);
    const char *const list[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", e->host, "PGPORT=5432", "PGUSER=postgres",
        "PGCONNECT_TIMEOUT=30", NULL};
    memcpy(e->list, list, sizeof list);
}

static int run(struct trial *t, const char *tool, const char *const *argv, int in, int out, struct sm_buf *text, char *why)
{
    struct env e;
    struct sm_buf none = SM_BUF_INIT((size_t)1 << 20);
    env_of(t, &e);
    const struct prep_run g = {.path = tool, .argv = argv, .env = e.list, .out = out, .in = in};
    int r = prep_run(t->p, &g, out >= 0 ? NULL : text ? text : &none, why);
    sm_buf_wipe(&none);
    return r;
}

static int ready(struct trial *t)
{
    static const char *const argv[] = {"psql", "-X", "-A", "-t", "-w", "-d", "postgres", "-c", "SHOW server_version", NULL};
    char why[KIND_WHY] = "";
    struct sm_buf text = SM_BUF_INIT(4096);
    int r = run(t, t->p->tool[PSQL], argv, -1, -1, &text, why);
    if (!r)
        snprintf(t->version, sizeof t->version, "PostgreSQL %.*s", (int)(text.n ? text.n - 1 : 0), (const char *)text.p);
    sm_buf_wipe(&text);
    return r;
}

static int start(struct trial *t)
{
    char initdb[300], data[160], why[KIND_WHY] = "", path[300];
    snprintf(path, sizeof path, "%s", t->server);
    snprintf(initdb, sizeof initdb, "%.280s/initdb", dirname(path));
    snprintf(data, sizeof data, "%s/db", t->folder);
    const char *const make[] = {"initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
        "--no-sync", NULL};
    /* Alone: a socket in a folder of its own, no network; nothing that must outlive it is written twice. */
    const char *const argv[] = {t->server, "-D", data, "-k", t->folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c",
        "full_page_writes=off", "-c", "shared_buffers=64MB", "-c", "max_connections=20", "-c",
        "dynamic_shared_memory_type=mmap", "-c", "huge_pages=off", "-c", "jit=off", "-c", "autovacuum=off", "-c",
        "wal_level=minimal", "-c", "max_wal_senders=0", "-c", "max_wal_size=256MB", "-c", "logging_collector=off", "-c",
        "log_error_verbosity=terse", "-c", "log_min_error_statement=panic", "-c", "log_line_prefix=%e ", NULL};
    prep_now(t->p, "initdb");
    int r = run(t, initdb, make, -1, -1, NULL, why);
    if (r)
        prep_problem(t->p, "initdb", r, why, true);
    return r ? r : trial_serve(t, argv, ready);
}

/* ---- rows of the dump ---- */

struct counting {
    int fd;
    struct rows *rows;
};

static void *count_all(void *arg)
{
    struct counting *c = arg;
    static _Thread_local uint8_t piece[65536];
    for (;;) {
        ssize_t n = plat_fs_read(c->fd, piece, sizeof piece);
        if (n <= 0)
            break;
        rows_feed(c->rows, SM_SPAN(piece, (size_t)n));
    }
    return NULL;
}

static int dump_rows(struct trial *t, int dump, struct rows *rows)
{
    static const char *const argv[] = {"pg_restore", "--data-only", "-f", "-", NULL};
    char why[KIND_WHY] = "";
    int fd[2];
    pthread_t thread;
    if (pipe2(fd, O_CLOEXEC))
        return -errno;
    struct counting c = {.fd = fd[0], .rows = rows};
    int r = -pthread_create(&thread, NULL, count_all, &c);
    if (!r) {
        r = run(t, t->p->tool[PG_RESTORE], argv, dump, fd[1], NULL, why);
        close(fd[1]);
        fd[1] = -1;
        pthread_join(thread, NULL);
    }
    close(fd[0]);
    if (fd[1] >= 0)
        close(fd[1]);
    if (!r && lseek(dump, 0, SEEK_SET) < 0)
        r = -errno;
    if (r == -SM_EPARTIAL)
        prep_problem(t->p, "pg_restore", r, why, true);
    return r ? r : rows->err;
}

/* ---- one database ---- */

static int ask(struct trial *t, const char *db, const char *sql, struct sm_buf *ret, char *why)
{
    const char *const argv[] = {"psql", "-X", "-A", "-t", "-q", "-0", "-w", "-v", "ON_ERROR_STOP=1", "-F", "\t", "-d", db,
        "-c", sql, NULL};
    return run(t, t->p->tool[PSQL], argv, -1, -1, ret, why);
}

static int count(struct trial *t, const char *db, struct rows *rows, struct trial_count *ret)
{
    static const char sql[] =
        "SELECT (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM ONLY %I.%I', n.nspname, c.relname),"
        " false, true, '')))[1]::text, quote_ident(n.nspname)||'.'||quote_ident(c.relname)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid=c.relnamespace WHERE c.relkind='r' AND c.relpersistence<>'t'"
        " AND n.nspname NOT IN ('pg_catalog','information_schema') AND n.nspname !~ '^pg_toast' ORDER BY 2";
    char why[KIND_WHY] = "";
    struct sm_buf text = SM_BUF_INIT(COUNT_MAX);
    int r = ask(t, db, sql, &text, why);
    if (r)
        prep_problem(t->p, db, r, why, true);
    else
        r = trial_compare(&text, 0, rows, ret);
    sm_buf_wipe(&text);
    return r;
}

static int check(struct trial *t, const char *db, bool *ret_sound)
{
    static const char *const sql[] = {"CREATE EXTENSION IF NOT EXISTS amcheck",
        "SELECT count(bt_index_check(c.oid, true)) FROM pg_index i JOIN pg_class c ON c.oid=i.indexrelid"
        " JOIN pg_am a ON a.oid=c.relam WHERE a.amname='btree' AND i.indisvalid AND c.relkind='i' AND c.relpersistence<>'t'",
        "SELECT c.relname, h.blkno, h.msg FROM pg_class c, LATERAL verify_heapam(c.oid) h"
        " WHERE c.relkind IN ('r','m','t') AND c.relpersistence<>'t' LIMIT 5"};
    char why[KIND_WHY] = "";
    struct sm_buf text = SM_BUF_INIT(65536);
    int r = 0;
    for (size_t i = 0; i < 3 && !r; i++) {
        sm_buf_clear(&text);
        r = ask(t, db, sql[i], &text, why);
    }
    bool bad = !r && text.n > 0;
    if (r || bad)
        prep_problem(t->p, db, r ? r : -SM_EFORMAT, r ? why : "amcheck found damage in a table", true);
    sm_buf_wipe(&text);
    *ret_sound = !r && !bad;
    return r == -SM_EPARTIAL ? 0 : r;
}

/* A fresh server has these already. */
static bool is_there(const char *name)
{
    return strcmp(name, "postgres") == 0 || strcmp(name, "template1") == 0;
}

static int one(struct trial *t, const char *name, int dump)
{
    char into[NAMES_FILE_MAX + 8], db[2 * NAMES_FILE_MAX + 32];
    struct trial_count c = {0};
    struct rows rows;
    uint64_t began = plat_clock_mono_ms(), checked = began;
    bool sound = false, loaded = false;
    rows_init(&rows, ROWS_COPY);
    snprintf(into, sizeof into, "%s%.240s", is_there(name) ? "drill_" : "", name);
    int r = names_conninfo(into, db, sizeof db);
    if (!r)
        r = dump_rows(t, dump, &rows);
    if (!r)
        r = t->p->kind->restore(t->p, dump, into, false);
    t->load_ms += plat_clock_mono_ms() - began;
    checked = plat_clock_mono_ms();
    loaded = !r;
    if (!r)
        r = count(t, db, &rows, &c);
    if (!r)
        r = check(t, db, &sound);
    t->check_ms += plat_clock_mono_ms() - checked;
    rows_wipe(&rows);
    trial_note(t, name, &c, loaded, sound, plat_clock_mono_ms() - began);
    return r == -SM_ECANCEL || r == -SM_ETIME || r == -ENOSPC ? r : 0; /* else the next one; it was told */
}

/* What is said about roles that are there already, or tablespaces of another machine, is no fault of the backup. */
static int globals(struct trial *t)
{
    static const char *const argv[] = {"psql", "-X", "-q", "-w", "-d", "postgres", NULL};
    char path[160], why[KIND_WHY] = "";
    snprintf(path, sizeof path, "%s/in/globals.sql", t->folder);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), r = 0;
    if (fd < 0)
        return 0; /* a sample may have left it out: then owners are missing, and loading says so */
    r = run(t, t->p->tool[PSQL], argv, fd, -1, NULL, why);
    close(fd);
    return r == -SM_EPARTIAL ? 0 : r;
}

static int each(struct trial *t)
{
    snprintf(t->p->access.host, sizeof t->p->access.host, "%s", t->folder);
    int r = globals(t);
    return r ? r : trial_dumps(t, ".dump", NULL, one);
}

const struct trial_kind trial_postgresql = {
    .name = "postgresql", .server = servers, .times = 3, .start = start, .each = each, .stop_signal = SIGINT};
