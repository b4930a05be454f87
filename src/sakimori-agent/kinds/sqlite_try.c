/*
 * SQLite has no server: each restored database is opened, checked whole (PRAGMA integrity_check, foreign keys) and its
 * rows are counted.  The file itself was compared with the vault byte for byte before.
 */
#include "sakimori-agent/kinds/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"

#define DEPTH_MAX 32
#define STEPS 100000 /* of SQLite's machine, between two looks at the clock */

struct walk {
    struct trial *t;
    char path[4096];
    size_t n;
    int depth;
};

static int look(void *arg)
{
    return prep_check(((struct trial *)arg)->p) != 0;
}

/* The first text of each row; others are added up as numbers. */
static int each_row(sqlite3 *db, const char *sql, int (*fn)(void *arg, const char *text), void *arg)
{
    sqlite3_stmt *s = NULL;
    int e = sqlite3_prepare_v2(db, sql, -1, &s, NULL), r = e == SQLITE_OK ? 0 : -SM_EFORMAT;
    while (!r && (e = sqlite3_step(s)) == SQLITE_ROW)
        r = fn(arg, (const char *)sqlite3_column_text(s, 0));
    if (!r && e != SQLITE_DONE)
        r = -SM_EFORMAT;
    (void)sqlite3_finalize(s); /* repeats e */
    return r;
}

struct one {
    struct trial *t;
    sqlite3 *db;
    const char *name;
    struct trial_count c;
    bool sound;
};

static int integrity(void *arg, const char *text)
{
    struct one *o = arg;
    if (text && strcmp(text, "ok") == 0)
        return 0;
    o->sound = false;
    prep_problem(o->t->p, o->name, -SM_EFORMAT, text && strstr(text, "index") ? "an index does not fit its table" :
        "the integrity check found damage", true); /* its own words hold names out of the database */
    return 0;
}

static int broken_key(void *arg, const char *text)
{
    struct one *o = arg;
    (void)text;
    /* A program may leave keys unguarded: told, but no fault of the backup. */
    prep_problem(o->t->p, o->name, 0, "a row refers to one that is not there", false);
    return 0;
}

static int add_rows(void *arg, const char *text)
{
    struct one *o = arg;
    o->c.rows += text ? strtoull(text, NULL, 10) : 0;
    return 0;
}

static int table(void *arg, const char *name)
{
    struct one *o = arg;
    char *sql = sqlite3_mprintf("SELECT count(*) FROM \"%w\"", name ? name : "");
    int r = sql ? each_row(o->db, sql, add_rows, o) : -ENOMEM;
    sqlite3_free(sql);
    o->c.tables++;
    return r;
}

static int database(struct trial *t, const char *path)
{
    struct one o = {.t = t, .name = path + strlen(t->folder) + 3, .sound = true};
    uint64_t began = plat_clock_mono_ms();
    prep_now(t->p, o.name);
    t->databases++;
    int e = sqlite3_open_v2(path, &o.db, SQLITE_OPEN_READWRITE, NULL), r = e == SQLITE_OK ? 0 : -SM_EFORMAT;
    if (!r)
        sqlite3_progress_handler(o.db, STEPS, look, t);
    if (!r)
        r = each_row(o.db, "PRAGMA integrity_check(10)", integrity, &o);
    if (!r)
        r = each_row(o.db, "SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1", broken_key, &o);
    if (!r)
        r = each_row(o.db, "SELECT name FROM sqlite_master WHERE type='table' AND rootpage>0 AND name NOT LIKE 'sqlite\\_%'"
            " ESCAPE '\\' ORDER BY name", table, &o);
    if (prep_check(t->p))
        r = prep_check(t->p);
    else if (r)
        prep_problem(t->p, o.name, r, o.db ? sqlite3_errstr(sqlite3_errcode(o.db)) : "", true);
    sqlite3_close(o.db);
    t->check_ms += plat_clock_mono_ms() - began;
    trial_note(t, o.name, &o.c, !r, o.sound, plat_clock_mono_ms() - began);
    return r == -SM_ECANCEL || r == -SM_ETIME ? r : 0;
}

static int into(void *arg, struct sm_span name, unsigned char type);

static int enter(struct walk *w)
{
    struct stat st;
    if (lstat(w->path, &st) || (S_ISDIR(st.st_mode) && w->depth >= DEPTH_MAX))
        return -SM_ELIMIT;
    if (S_ISREG(st.st_mode)) {
        w->t->bytes += (uint64_t)st.st_size;
        return database(w->t, w->path);
    }
    int dir = S_ISDIR(st.st_mode) ? plat_fs_open_dir(AT_FDCWD, w->path) : -1;
    if (dir < 0)
        return 0;
    w->depth++;
    int r = plat_fs_list(dir, into, w);
    w->depth--;
    close(dir);
    return r;
}

/* What SQLite itself makes beside a database while it is open. */
static bool is_companion(const char *name)
{
    static const char *const ends[] = {"-wal", "-shm", "-journal"};
    size_t n = strlen(name);
    for (size_t i = 0; i < 3; i++)
        if (n > strlen(ends[i]) && strcmp(name + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static int into(void *arg, struct sm_span name, unsigned char type)
{
    struct walk *w = arg;
    size_t n = w->n;
    (void)type;
    if (is_companion((const char *)name.p))
        return 0;
    int k = snprintf(w->path + n, sizeof w->path - n, "/%s", (const char *)name.p);
    if (k < 0 || (size_t)k >= sizeof w->path - n)
        return -ENAMETOOLONG;
    w->n = n + (size_t)k;
    int r = enter(w);
    w->n = n;
    w->path[n] = 0;
    return r;
}

static int each(struct trial *t)
{
    struct walk w = {.t = t};
    snprintf(t->version, sizeof t->version, "SQLite %s", sqlite3_libversion());
    w.n = (size_t)snprintf(w.path, sizeof w.path, "%s/in", t->folder);
    return enter(&w);
}

const struct trial_kind trial_sqlite = {.name = "sqlite", .times = 1, .each = each, .stop_signal = SIGTERM};
