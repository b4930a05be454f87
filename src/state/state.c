#include "state/state.h"
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <unistd.h>
#include "core/json.h"
#include "core/time.h"
#include "plat/clock.h"
#include "state/schema.h"

static const char *const query_sql[STATE_QUERIES] = {
#define STATE_Q(name, sql) [STATE_##name] = sql,
#include "state/queries.def"
#undef STATE_Q
};

struct state {
    sqlite3 *db;
    sqlite3_stmt *stmt[STATE_QUERIES];
    unsigned depth;
    bool spoiled;
};

static int sql_err(struct state *s, int r)
{
    switch (r & 0xff) {
    case SQLITE_OK: case SQLITE_ROW: case SQLITE_DONE: return 0;
    case SQLITE_NOMEM: return -ENOMEM;
    case SQLITE_FULL: return -ENOSPC;
    case SQLITE_PERM: case SQLITE_READONLY: case SQLITE_AUTH: case SQLITE_CANTOPEN: return -EACCES;
    case SQLITE_CORRUPT: case SQLITE_NOTADB: return -SM_ECORRUPT;
    case SQLITE_BUSY: case SQLITE_LOCKED: return -SM_EAGAIN;
    case SQLITE_TOOBIG: return -SM_ELIMIT;
    case SQLITE_CONSTRAINT: break;
    default: return -EIO;
    }
    int x = sqlite3_extended_errcode(s->db);
    if (x == SQLITE_CONSTRAINT_FOREIGNKEY)
        return -SM_EMISSING;
    return x == SQLITE_CONSTRAINT_UNIQUE || x == SQLITE_CONSTRAINT_PRIMARYKEY ? -SM_EEXISTS : -SM_EINVAL;
}

static int run_text(struct state *s, const char *sql)
{
    return sql_err(s, sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

static int text_number(struct state *s, const char *sql, int64_t *ret)
{
    sqlite3_stmt *st = NULL;
    int r = sql_err(s, sqlite3_prepare_v2(s->db, sql, -1, &st, NULL));
    if (r == 0) {
        int step = sqlite3_step(st);
        r = step == SQLITE_ROW ? 0 : step == SQLITE_DONE ? -SM_ENOTFOUND : sql_err(s, step);
        if (r == 0)
            *ret = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    return r;
}

static int migrate(struct state *s)
{
    int64_t have = 0;
    int r = text_number(s, "PRAGMA user_version", &have);
    if (r < 0)
        return r;
    if (have < 0 || have > (int64_t)state_schema_n)
        return -SM_EVERSION;
    for (unsigned v = (unsigned)have; v < state_schema_n && r == 0; v++) {
        char end[160];
        (void)snprintf(end, sizeof end, "INSERT INTO migrations VALUES(%u,%lld);PRAGMA user_version=%u;COMMIT",
            v + 1, (long long)plat_clock_wall().s, v + 1); /* numbers only: it fits */
        r = run_text(s, "BEGIN IMMEDIATE");
        if (r == 0)
            r = run_text(s, state_schema[v]);
        if (r == 0)
            r = run_text(s, end);
        if (r < 0)
            (void)run_text(s, "ROLLBACK"); /* the first error is the one to tell */
    }
    return r;
}

int state_open(const char *path, struct state **ret)
{
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    int r = sql_err(s, sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL));
    if (r == 0) {
        sqlite3_extended_result_codes(s->db, 1);
        (void)sqlite3_busy_timeout(s->db, 2000); /* only a backup tool would ever hold it */
        r = run_text(s, "PRAGMA trusted_schema=OFF; PRAGMA foreign_keys=ON; PRAGMA journal_mode=WAL;"
            "PRAGMA synchronous=FULL; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=ON;");
    }
    if (r == 0)
        r = migrate(s);
    if (r == 0) {
        int64_t broken = 0;
        int q = text_number(s, "SELECT count(*) FROM pragma_quick_check WHERE quick_check<>'ok'", &broken);
        r = q < 0 ? q : broken ? -SM_ECORRUPT : 0;
    }
    if (r < 0) {
        state_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void state_close(struct state *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < STATE_QUERIES; i++)
        sqlite3_finalize(s->stmt[i]);
    sqlite3_close(s->db);
    free(s);
}

static int bind_one(sqlite3_stmt *st, int at, const struct state_arg *a)
{
    if (a->kind == STATE_ARG_TEXT)
        return sqlite3_bind_text(st, at, a->text, -1, SQLITE_TRANSIENT);
    if (a->kind == STATE_ARG_INT)
        return sqlite3_bind_int64(st, at, a->number);
    if (a->kind == STATE_ARG_NULL)
        return sqlite3_bind_null(st, at);
    struct sm_buf b = SM_BUF_INIT((size_t)16 << 20);
    int r = sm_json_dump(a->json, &b) < 0 ? SQLITE_NOMEM
        : sqlite3_bind_text(st, at, (const char *)b.p, (int)b.n, SQLITE_TRANSIENT);
    sm_buf_wipe(&b);
    return r;
}

static int prepare(struct state *s, enum state_query q, const struct state_arg *args, size_t n, sqlite3_stmt **ret)
{
    if (!s->stmt[q]) {
        int r = sql_err(s, sqlite3_prepare_v3(s->db, query_sql[q], -1, SQLITE_PREPARE_PERSISTENT, &s->stmt[q], NULL));
        if (r < 0)
            return r;
    }
    sqlite3_stmt *st = s->stmt[q];
    if ((size_t)sqlite3_bind_parameter_count(st) != n)
        return -SM_EINVAL;
    for (size_t i = 0; i < n; i++) {
        int r = sql_err(s, bind_one(st, (int)i + 1, &args[i]));
        if (r < 0)
            return r;
    }
    *ret = st;
    return 0;
}

static void done(sqlite3_stmt *st)
{
    (void)sqlite3_reset(st); /* repeats the error that step already told */
    (void)sqlite3_clear_bindings(st);
}

int state_do(struct state *s, enum state_query q, const struct state_arg *args, size_t n)
{
    sqlite3_stmt *st = NULL;
    int r = prepare(s, q, args, n, &st);
    if (r < 0)
        return r;
    r = sql_err(s, sqlite3_step(st));
    done(st);
    return r < 0 ? r : sqlite3_changes(s->db);
}

/* "last_seen_t" is kind 't' and name "last_seen"; 0 when there is no such end. */
static char column_kind(const char *name, char *ret_name, size_t size)
{
    size_t n = strlen(name);
    if (n > 2 && n < size && name[n - 2] == '_' && strchr("jbt", name[n - 1])) {
        memcpy(ret_name, name, n - 2);
        ret_name[n - 2] = 0;
        return name[n - 1];
    }
    (void)snprintf(ret_name, size, "%s", name); /* column names are ours and short */
    return 0;
}

static json_t *column_json(sqlite3_stmt *st, int i)
{
    json_t *v = NULL;
    struct sm_span text = SM_SPAN(sqlite3_column_text(st, i), (size_t)sqlite3_column_bytes(st, i));
    return sm_json_parse(text, (size_t)16 << 20, &v, NULL) < 0 ? json_null() : v;
}

static json_t *column(sqlite3_stmt *st, int i, char kind)
{
    if (sqlite3_column_type(st, i) == SQLITE_NULL)
        return kind == 'b' ? json_false() : json_null();
    if (kind == 'j')
        return column_json(st, i);
    if (kind == 'b')
        return json_boolean(sqlite3_column_int64(st, i) != 0);
    if (kind == 't') {
        char text[SM_TIME_TEXT];
        struct sm_time t = { .s = sqlite3_column_int64(st, i) };
        if (t.s == 0)
            return json_null();
        sm_time_rfc3339(t, text);
        return json_string(text);
    }
    if (sqlite3_column_type(st, i) == SQLITE_INTEGER)
        return json_integer(sqlite3_column_int64(st, i));
    return json_stringn((const char *)sqlite3_column_text(st, i), (size_t)sqlite3_column_bytes(st, i));
}

static json_t *row_of(sqlite3_stmt *st)
{
    json_t *row = json_object();
    for (int i = 0; row && i < sqlite3_column_count(st); i++) {
        char name[64];
        char kind = column_kind(sqlite3_column_name(st, i), name, sizeof name);
        if (json_object_set_new(row, name, column(st, i, kind)) < 0) {
            json_decref(row);
            row = NULL;
        }
    }
    return row;
}

int state_row(struct state *s, enum state_query q, json_t **ret, const struct state_arg *args, size_t n)
{
    sqlite3_stmt *st = NULL;
    int r = prepare(s, q, args, n, &st);
    if (r < 0)
        return r;
    int step = sqlite3_step(st);
    json_t *row = step == SQLITE_ROW ? row_of(st) : NULL;
    r = step == SQLITE_DONE ? -SM_ENOTFOUND : sql_err(s, step);
    done(st);
    if (r == 0 && !row)
        return -ENOMEM;
    if (r == 0)
        *ret = row;
    return r;
}

int state_rows(struct state *s, enum state_query q, json_t **ret, const struct state_arg *args, size_t n)
{
    sqlite3_stmt *st = NULL;
    int r = prepare(s, q, args, n, &st);
    if (r < 0)
        return r;
    json_t *all = json_array();
    int step = SQLITE_NOMEM;
    while (all && (step = sqlite3_step(st)) == SQLITE_ROW) {
        json_t *row = row_of(st);
        r = json_array_size(all) >= STATE_ROWS_MAX ? -SM_ELIMIT : row ? 0 : -ENOMEM;
        if (r < 0 || json_array_append_new(all, row) < 0)
            break;
    }
    if (r == 0 && step != SQLITE_DONE)
        r = step == SQLITE_ROW ? -ENOMEM : sql_err(s, step);
    done(st);
    if (r < 0)
        json_decref(all);
    else
        *ret = all;
    return r;
}

int64_t state_number(struct state *s, enum state_query q, int64_t otherwise, const struct state_arg *args, size_t n)
{
    sqlite3_stmt *st = NULL;
    if (prepare(s, q, args, n, &st) < 0)
        return otherwise;
    int64_t v = otherwise;
    if (sqlite3_step(st) == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL)
        v = sqlite3_column_int64(st, 0);
    done(st);
    return v;
}

int state_begin(struct state *s)
{
    if (s->depth == 0) {
        int r = run_text(s, "BEGIN IMMEDIATE");
        if (r < 0)
            return r;
        s->spoiled = false;
    }
    s->depth++;
    return 0;
}

int state_end(struct state *s, bool keep)
{
    if (s->depth == 0)
        return -SM_ESTATE;
    if (!keep)
        s->spoiled = true;
    if (--s->depth)
        return 0;
    if (s->spoiled)
        return run_text(s, "ROLLBACK");
    int r = run_text(s, "COMMIT");
    if (r < 0)
        (void)run_text(s, "ROLLBACK"); /* the commit's error is the one to tell */
    return r;
}

json_t *state_setting(struct state *s, const char *key)
{
    json_t *row = NULL;
    if (state_row(s, STATE_setting, &row, STATE_ARGS(state_t(key))) < 0)
        return NULL;
    json_t *v = json_incref(json_object_get(json_object_get(row, "value"), "v"));
    json_decref(row);
    return v;
}

int state_set(struct state *s, const char *key, const json_t *value)
{
    json_t *box = json_pack("{s:O?}", "v", value); /* our JSON texts are always objects or arrays */
    int r = box ? state_do(s, STATE_setting_set, STATE_ARGS(state_t(key), state_j(box))) : -ENOMEM;
    json_decref(box);
    return r < 0 ? r : 0;
}

const char *state_why(struct state *s)
{
    return sqlite3_errmsg(s->db);
}

static int db_err(int r)
{
    struct state none = { 0 };
    return (r & 0xff) == SQLITE_CONSTRAINT ? -EIO : sql_err(&none, r);
}

int state_snapshot(const char *from, const char *to)
{
    sqlite3 *a = NULL, *b = NULL;
    if (access(to, F_OK) == 0)
        return -SM_EEXISTS;
    int r = db_err(sqlite3_open_v2(from, &a, SQLITE_OPEN_READWRITE, NULL));
    if (r == 0)
        r = db_err(sqlite3_open_v2(to, &b, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL));
    if (r == 0) {
        (void)sqlite3_busy_timeout(a, 10000); /* only a checkpoint holds it, for moments */
        sqlite3_backup *k = sqlite3_backup_init(b, "main", a, "main");
        int step = k ? sqlite3_backup_step(k, -1) : SQLITE_ERROR; /* all at once: one moment of the database */
        int end = k ? sqlite3_backup_finish(k) : SQLITE_ERROR;
        r = step == SQLITE_DONE ? db_err(end) : step == SQLITE_OK ? -EIO : db_err(step);
    }
    if (r == 0) /* readable without a file beside it */
        r = db_err(sqlite3_exec(b, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL));
    sqlite3_close(a);
    sqlite3_close(b);
    return r;
}
