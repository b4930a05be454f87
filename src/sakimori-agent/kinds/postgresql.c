/*
 * PostgreSQL: pg_dump of each database in its own file, and what belongs to no database (roles, tablespaces) in
 * globals.sql.  Each dump is one snapshot of its database (pg_dump(1), repeatable read).
 *
 * -Fc -Z0: the custom form, which pg_restore can load in part and in order, and without compression: a changed row of a
 * compressed dump changes every byte behind it, so nothing would be shared between generations; the vault compresses
 * each chunk itself.
 */
#include "sakimori-agent/kinds/kind.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "sakimori-agent/kinds/names.h"

#define LIST_MAX ((size_t)KIND_DATABASES_MAX * (KIND_NAME_MAX + 1))

/* Debian's /usr/bin/pg_dump is a script that looks for the version of the server; the real ones come first. */
static const char *const psql[] = {"/usr/lib/postgresql/*/bin/psql", "/usr/pgsql-*/bin/psql", "/usr/bin/psql", NULL};
static const char *const pg_dump[] = {
    "/usr/lib/postgresql/*/bin/pg_dump", "/usr/pgsql-*/bin/pg_dump", "/usr/bin/pg_dump", NULL};
static const char *const pg_dumpall[] = {
    "/usr/lib/postgresql/*/bin/pg_dumpall", "/usr/pgsql-*/bin/pg_dumpall", "/usr/bin/pg_dumpall", NULL};
static const char *const pg_restore[] = {
    "/usr/lib/postgresql/*/bin/pg_restore", "/usr/pgsql-*/bin/pg_restore", "/usr/bin/pg_restore", NULL};
/* pg_dumpall asks pg_dump for its version through it. */
static const char *const shell[] = {"/bin/sh", NULL};
enum { PSQL, PG_DUMP, PG_DUMPALL, PG_RESTORE };

struct pg {
    struct prep *p;
    char host[300], port[32], user[160], secret[1400];
    const char *env[12];
};

/* pgpass(5): ":" and "\" of a field are escaped; a line break cannot be. */
static int secret_of(struct pg *g)
{
    size_t n = (size_t)snprintf(g->secret, sizeof g->secret, "*:*:*:*:");
    for (const char *s = g->p->access.password; *s; s++) {
        if (*s == '\n')
            return -SM_EINVAL;
        if (*s == ':' || *s == '\\')
            g->secret[n++] = '\\';
        g->secret[n++] = *s;
    }
    g->secret[n++] = '\n';
    g->secret[n] = 0;
    return 0;
}

static int pg_init(struct pg *g, struct prep *p)
{
    const struct access *a = &p->access;
    size_t n = 0;
    g->p = p;
    g->env[n++] = "PATH=/usr/bin:/bin";
    g->env[n++] = "LANG=C.UTF-8";
    g->env[n++] = "PGAPPNAME=sakimori-agent";
    g->env[n++] = "PGCONNECT_TIMEOUT=30";
    snprintf(g->host, sizeof g->host, "PGHOST=%s", a->host[0] ? a->host : "/var/run/postgresql");
    snprintf(g->port, sizeof g->port, "PGPORT=%d", a->port ? a->port : 5432);
    snprintf(g->user, sizeof g->user, "PGUSER=%s", a->user[0] ? a->user : "postgres");
    g->env[n++] = g->host;
    g->env[n++] = g->port;
    g->env[n++] = g->user;
    if (a->password[0])
        g->env[n++] = "PGPASSFILE=" PREP_SECRET;
    g->env[n] = NULL;
    return secret_of(g);
}

static int run(struct pg *g, int tool, const char *const *argv, int out, struct sm_buf *text, char *why)
{
    const struct prep_run t = {.path = g->p->tool[tool], .argv = argv, .env = g->env, .out = out,
        .secret = g->p->access.password[0] ? g->secret : NULL, .as_user = g->p->as_user, .uid = g->p->uid,
        .gid = g->p->gid};
    return prep_run(g->p, &t, text, why);
}

static int list(struct pg *g, struct sm_buf *text, char **ret, size_t *ret_n)
{
    static const char *const argv[] = {"psql", "-X", "-A", "-t", "-0", "-w", "-d", "postgres", "-c",
        "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname", NULL};
    char why[KIND_WHY] = "";
    prep_now(g->p, g->p->kind->root);
    int r = run(g, PSQL, argv, -1, text, why);
    if (r) {
        prep_problem(g->p, g->p->kind->root, r, why, true);
        return r;
    }
    return names_list(text, ret, KIND_DATABASES_MAX, ret_n);
}

static int ended(struct pg *g, const char *name, const char *file, int fd, int r, const char *why)
{
    if (!r && why[0])
        prep_problem(g->p, name, 0, why, false);
    if (!r)
        r = fsync(fd) ? -errno : 0;
    close(fd);
    if (!r)
        return 0;
    (void)unlinkat(g->p->staging, file, 0); /* half a dump is none */
    prep_problem(g->p, name, r, why, true);
    return r == -SM_ECANCEL || r == -SM_ETIME ? r : 0;
}

static int dump(struct pg *g, const char *name)
{
    char file[300], db[2 * KIND_NAME_MAX + 32], shown[KIND_NAME_MAX + 32], why[KIND_WHY] = "";
    const char *const argv[] = {
        "pg_dump", "-Fc", "-Z0", "-w", "--lock-wait-timeout=600000", "-d", db, NULL};
    if (names_conninfo(name, db, sizeof db))
        return -SM_EINVAL; /* longer than names_list lets through */
    snprintf(shown, sizeof shown, "%s/%s", g->p->kind->root, name);
    prep_now(g->p, shown);
    int fd = prep_create(g->p, name, ".dump", file);
    if (fd < 0)
        return fd;
    int r = run(g, PG_DUMP, argv, fd, NULL, why);
    return ended(g, shown, file, fd, r, why);
}

/* Roles and tablespaces.  The passwords of roles need a superuser; without one the rest is still worth having. */
static int globals(struct pg *g)
{
    static const char *const argv[][6] = {{"pg_dumpall", "--globals-only", "-w", NULL},
        {"pg_dumpall", "--globals-only", "-w", "--no-role-passwords", NULL}};
    static const char path[] = "/postgresql/globals.sql";
    char file[300], why[KIND_WHY] = "", first[KIND_WHY] = "";
    int r = 0;
    prep_now(g->p, path);
    for (int i = 0; i < 2; i++) {
        int fd = prep_create(g->p, "globals", ".sql", file);
        if (fd < 0)
            return fd;
        r = run(g, PG_DUMPALL, argv[i], fd, NULL, why);
        if (i == 0 && r == -SM_EPARTIAL && strstr(why, "permission denied")) {
            close(fd);
            (void)unlinkat(g->p->staging, file, 0); /* made again by the second try */
            snprintf(first, sizeof first, "%s", why);
            continue;
        }
        if (!r && first[0])
            prep_problem(g->p, path, 0, "without the passwords of roles: this user may not read them", false);
        return ended(g, path, file, fd, r, why);
    }
    return r;
}

static int prepare(struct prep *p)
{
    struct pg g;
    struct sm_buf text = SM_BUF_INIT(LIST_MAX);
    char *name[KIND_DATABASES_MAX];
    size_t n = 0, taken = 0;
    int r = pg_init(&g, p);
    if (!r)
        r = list(&g, &text, name, &n);
    if (!r)
        prep_missing(p, "databases", name, n);
    for (size_t i = 0; i < n && !r; i++) {
        if (!prep_listed(p, "databases", name[i], true) || prep_listed(p, "exclude_databases", name[i], false))
            continue;
        unsigned failed = p->failed;
        r = dump(&g, name[i]);
        taken += !r && failed == p->failed;
    }
    if (!r)
        r = globals(&g);
    sm_zero(g.secret, sizeof g.secret);
    sm_buf_wipe(&text);
    return r ? r : taken ? 0 : -SM_ENOTFOUND;
}

/* ---- back ---- */

#define SCHEMA_MAX ((size_t)64 << 20)

static int tool(struct pg *g, int which, const char *const *argv, const char *input, int in, struct sm_buf *text)
{
    char why[KIND_WHY] = "";
    struct sm_buf none = SM_BUF_INIT(65536);
    const struct prep_run t = {.path = g->p->tool[which], .argv = argv, .env = g->env, .out = -1, .input = input, .in = in,
        .secret = g->p->access.password[0] ? g->secret : NULL, .as_user = g->p->as_user, .uid = g->p->uid,
        .gid = g->p->gid};
    int r = prep_run(g->p, &t, text ? text : &none, why);
    if (r)
        prep_problem(g->p, argv[0], r, why, true);
    sm_buf_wipe(&none);
    return r;
}

static int sql(struct pg *g, const char *statement, struct sm_buf *text)
{
    static const char *const argv[] = {"psql", "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-d", "postgres", NULL};
    return tool(g, PSQL, argv, statement, -1, text);
}

static int there_is(struct pg *g, const char *name, bool *ret)
{
    char literal[2 * KIND_NAME_MAX + 8], text[3 * KIND_NAME_MAX];
    struct sm_buf out = SM_BUF_INIT(4096);
    int r = names_quote(name, '\'', false, literal, sizeof literal);
    snprintf(text, sizeof text, "SELECT count(*) FROM pg_database WHERE datname=%s;", r ? "" : literal);
    if (!r)
        r = sql(g, text, &out);
    if (!r)
        *ret = out.n && out.p[0] != '0';
    sm_buf_wipe(&out);
    return r;
}

/* How the database was made (encoding, collation), from what the dump itself says. */
static int make(struct pg *g, int dump, const char *into)
{
    static const char *const argv[] = {"pg_restore", "-C", "-s", "-f", "-", NULL};
    char name[2 * KIND_NAME_MAX + 8], how[1024] = "";
    struct sm_buf out = SM_BUF_INIT(SCHEMA_MAX), text = SM_BUF_INIT(8192);
    int r = tool(g, PG_RESTORE, argv, NULL, dump, &out);
    if (!r && lseek(dump, 0, SEEK_SET) < 0)
        r = -errno;
    const char *all = r ? NULL : sm_buf_str(&out), *at = all ? strstr(all, "\nCREATE DATABASE ") : NULL;
    const char *with = at ? strstr(at, " WITH TEMPLATE = template0") : NULL, *end = with ? strstr(with, ";\n") : NULL;
    if (end && (size_t)(end - with) < sizeof how && !memchr(with, '\n', (size_t)(end - with)))
        snprintf(how, sizeof how, "%.*s", (int)(end - with), with);
    if (!r)
        r = names_quote(into, '"', false, name, sizeof name);
    if (!r)
        r = sm_buf_printf(&text, "CREATE DATABASE %s%s;", name, how[0] ? how : " WITH TEMPLATE = template0");
    if (!r)
        r = sql(g, sm_buf_str(&text), NULL);
    sm_buf_wipe(&out);
    sm_buf_wipe(&text);
    return r;
}

static int load(struct pg *g, int dump, const char *into)
{
    char db[2 * KIND_NAME_MAX + 32], name[2 * KIND_NAME_MAX + 8], text[2 * KIND_NAME_MAX + 64];
    const char *const argv[] = {"pg_restore", "--exit-on-error", "-w", "-d", db, NULL};
    int r = names_conninfo(into, db, sizeof db);
    if (!r)
        r = names_quote(into, '"', false, name, sizeof name);
    if (!r)
        r = make(g, dump, into);
    if (r)
        return r;
    r = tool(g, PG_RESTORE, argv, NULL, dump, NULL);
    if (!r)
        return 0;
    snprintf(text, sizeof text, "DROP DATABASE %s;", name);
    (void)!sql(g, text, NULL); /* half of it is of no use; why it failed was told */
    return r;
}

/* Loaded beside it first; then the names are exchanged in one transaction. */
static int load_and_exchange(struct pg *g, int dump, const char *into)
{
    char fresh[KIND_NAME_MAX + 32], old[KIND_NAME_MAX + 32], q[3][2 * KIND_NAME_MAX + 72], text[8 * KIND_NAME_MAX + 512];
    long now = (long)time(NULL);
    snprintf(fresh, sizeof fresh, "%.40s_new_%ld", into, now);
    snprintf(old, sizeof old, "%.40s_before_%ld", into, now);
    const char *const names[] = {into, fresh, old};
    int r = 0;
    for (size_t i = 0; i < 3 && !r; i++)
        r = names_quote(names[i], '"', false, q[i], sizeof q[i]);
    if (!r)
        r = load(g, dump, fresh);
    if (r)
        return r;
    snprintf(text, sizeof text, "BEGIN; ALTER DATABASE %s RENAME TO %s; ALTER DATABASE %s RENAME TO %s; COMMIT;", q[0], q[2],
        q[1], q[0]);
    r = sql(g, text, NULL);
    if (r)
        prep_problem(g->p, fresh, 0, "the restored database stays under this name", false);
    else
        fprintf(stderr, "%s -> %s\n", into, old);
    return r;
}

static int restore(struct prep *p, int dump, const char *into, bool replace)
{
    struct pg g;
    bool there = false;
    int r = pg_init(&g, p);
    if (!r)
        r = there_is(&g, into, &there);
    if (!r && there && !replace)
        r = -SM_EEXISTS;
    if (!r)
        r = there ? load_and_exchange(&g, dump, into) : load(&g, dump, into);
    sm_zero(g.secret, sizeof g.secret);
    return r;
}

static int names(struct prep *p)
{
    struct pg g;
    struct sm_buf text = SM_BUF_INIT(LIST_MAX);
    char *name[KIND_DATABASES_MAX];
    size_t n = 0;
    int r = pg_init(&g, p);
    if (!r)
        r = list(&g, &text, name, &n);
    for (size_t i = 0; i < n; i++)
        puts(name[i]);
    sm_zero(g.secret, sizeof g.secret);
    sm_buf_wipe(&text);
    return r;
}

const struct kind kind_postgresql = {.name = "postgresql",
    .root = "/postgresql",
    .profile = "agent-dump",
    .as = "postgres",
    .has_access = true,
    .has_local = true,
    .tools = {psql, pg_dump, pg_dumpall, pg_restore, shell},
    .prepare = prepare,
    .restore = restore,
    .names = names};
