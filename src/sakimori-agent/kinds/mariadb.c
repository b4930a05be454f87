/*
 * MariaDB and MySQL: mariadb-dump of each database in its own file, and the users in users.sql.  --single-transaction
 * is one snapshot of the tables that know transactions (InnoDB); others are named, for they may have changed meanwhile.
 *
 * A dump names no database, so that it can be loaded under another name; its first line says how the database was made.
 */
#include "sakimori-agent/kinds/kind.h"

#include <errno.h>
#include <unistd.h>

#include "plat/fs.h"
#include "sakimori-agent/kinds/names.h"

#define LIST_MAX ((size_t)KIND_DATABASES_MAX * 2 * (KIND_NAME_MAX + 1))

static const char *const client[] = {"/usr/bin/mariadb", "/usr/bin/mysql", NULL};
static const char *const mysqldump[] = {"/usr/bin/mariadb-dump", "/usr/bin/mysqldump", NULL};
enum { CLIENT, DUMP };

struct my {
    struct prep *p;
    char secret[3000];
};

/* A value of an option file: in double quotes, with \ before what has a meaning there. */
static size_t quote(char *to, size_t size, const char *key, const char *s)
{
    size_t n = (size_t)snprintf(to, size, "%s=\"", key);
    for (; *s && n + 5 < size; s++) {
        if (*s == '"' || *s == '\\')
            to[n++] = '\\';
        to[n++] = *s;
    }
    to[n++] = '"';
    to[n++] = '\n';
    to[n] = 0;
    return n;
}

static int my_init(struct my *m, struct prep *p)
{
    const struct access *a = &p->access;
    m->p = p;
    if (strpbrk(a->password, "\r\n") || strpbrk(a->user, "\r\n") || strpbrk(a->host, "\r\n"))
        return -SM_EINVAL;
    size_t n = (size_t)snprintf(m->secret, sizeof m->secret, "[client]\n"), max = sizeof m->secret;
    n += quote(m->secret + n, max - n, "user", a->user[0] ? a->user : "root");
    if (a->password[0])
        n += quote(m->secret + n, max - n, "password", a->password);
    if (a->host[0])
        n += quote(m->secret + n, max - n, a->host[0] == '/' ? "socket" : "host", a->host);
    if (a->port)
        (void)snprintf(m->secret + n, max - n, "port=%d\n", a->port); /* fits */
    return 0;
}

static int run(struct my *m, int tool, const char *const *argv, int out, struct sm_buf *text, char *why)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent", NULL};
    const struct prep_run t = {
        .path = m->p->tool[tool], .argv = argv, .env = env, .out = out, .secret = m->secret, .as_user = m->p->as_user,
        .uid = m->p->uid, .gid = m->p->gid};
    return prep_run(m->p, &t, text, why);
}

static int list(struct my *m, struct sm_buf *text, struct names_row *ret, size_t *ret_n)
{
    static const char *const argv[] = {"mariadb", "--defaults-extra-file=" PREP_SECRET, "-N", "-B", "--raw",
        "--default-character-set=utf8mb4", "-e",
        "SELECT s.SCHEMA_NAME, s.DEFAULT_CHARACTER_SET_NAME, s.DEFAULT_COLLATION_NAME,"
        " (SELECT count(*) FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA=s.SCHEMA_NAME"
        " AND t.TABLE_TYPE='BASE TABLE' AND t.ENGINE<>'InnoDB') FROM information_schema.SCHEMATA s"
        " WHERE s.SCHEMA_NAME NOT IN ('information_schema','performance_schema','sys','mysql') ORDER BY 1",
        NULL};
    char why[KIND_WHY] = "";
    prep_now(m->p, m->p->kind->root);
    int r = run(m, CLIENT, argv, -1, text, why);
    if (!r)
        r = names_rows(text, ret, KIND_DATABASES_MAX, ret_n);
    if (r)
        prep_problem(m->p, m->p->kind->root, r, why, true);
    return r;
}

/* The tool's last line tells that it came to its end (its exit status alone did not in every version). */
static bool is_whole(int fd)
{
    static const char mark[] = "-- Dump completed";
    char end[256];
    uint64_t size = 0;
    if (plat_fs_size(fd, &size) || size == 0)
        return false;
    size_t n = size < sizeof end - 1 ? (size_t)size : sizeof end - 1;
    if (plat_fs_pread_all(fd, end, n, size - n))
        return false;
    end[n] = 0;
    return strstr(end, mark) != NULL;
}

static int into_file(struct my *m, const char *name, const char *ending, struct sm_span head, const char *const *argv)
{
    char file[300], shown[KIND_NAME_MAX + 32], why[KIND_WHY] = "";
    snprintf(shown, sizeof shown, "%s/%s", m->p->kind->root, name);
    prep_now(m->p, shown);
    int fd = prep_create(m->p, name, ending, file);
    if (fd < 0)
        return fd;
    int r = plat_fs_write_all(fd, head);
    if (!r)
        r = run(m, DUMP, argv, fd, NULL, why);
    if (!r && !is_whole(fd)) {
        r = -SM_EPARTIAL;
        snprintf(why, sizeof why, "the dump has no end");
    }
    if (!r && fsync(fd))
        r = -errno;
    close(fd);
    if (!r && why[0])
        prep_problem(m->p, shown, 0, why, false);
    if (!r)
        return 0;
    (void)unlinkat(m->p->staging, file, 0); /* half a dump is none */
    prep_problem(m->p, shown, r, why, true);
    return r == -SM_ECANCEL || r == -SM_ETIME ? r : 0;
}

static int dump(struct my *m, const struct names_row *d)
{
    const char *const argv[] = {"mariadb-dump", "--defaults-extra-file=" PREP_SECRET, "--single-transaction", "--quick",
        "--routines", "--events", "--triggers", "--hex-blob", "--skip-dump-date", "--default-character-set=utf8mb4",
        "--", d->name, NULL};
    char shown[KIND_NAME_MAX + 32];
    struct sm_buf head = SM_BUF_INIT(1024);
    int r = sm_buf_printf(&head, "-- sakimori: CHARACTER SET %s COLLATE %s\n", d->charset, d->collation);
    if (!r)
        r = into_file(m, d->name, ".sql", sm_buf_span(&head), argv);
    sm_buf_wipe(&head);
    if (!r && strcmp(d->loose, "0") != 0) {
        snprintf(shown, sizeof shown, "%s/%s", m->p->kind->root, d->name);
        prep_problem(m->p, shown, 0, "has tables that are not InnoDB: what changes during the dump may not fit together",
            false);
    }
    return r;
}

static int prepare(struct prep *p)
{
    static const char *const users[] = {"mariadb-dump", "--defaults-extra-file=" PREP_SECRET, "--system=users",
        "--skip-dump-date", NULL};
    struct my m;
    struct sm_buf text = SM_BUF_INIT(LIST_MAX);
    struct names_row *row = calloc(KIND_DATABASES_MAX, sizeof *row);
    char *name[KIND_DATABASES_MAX];
    size_t n = 0, taken = 0;
    int r = row ? my_init(&m, p) : -ENOMEM;
    if (!r)
        r = list(&m, &text, row, &n);
    for (size_t i = 0; i < n; i++)
        name[i] = (char *)(uintptr_t)row[i].name;
    if (!r)
        prep_missing(p, "databases", name, n);
    for (size_t i = 0; i < n && !r; i++) {
        if (!prep_listed(p, "databases", name[i], true) || prep_listed(p, "exclude_databases", name[i], false))
            continue;
        unsigned failed = p->failed;
        r = dump(&m, &row[i]);
        taken += !r && failed == p->failed;
    }
    if (!r)
        r = into_file(&m, "users", ".users.sql", SM_SPAN(NULL, 0), users);
    sm_zero(m.secret, sizeof m.secret);
    sm_buf_wipe(&text);
    free(row);
    return r ? r : taken ? 0 : -SM_ENOTFOUND;
}

/* ---- back ---- */

static int tool(struct my *m, const char *const *argv, const char *input, int in, struct sm_buf *text)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent", NULL};
    char why[KIND_WHY] = "";
    struct sm_buf none = SM_BUF_INIT(65536);
    const struct prep_run t = {.path = m->p->tool[CLIENT], .argv = argv, .env = env, .out = -1, .input = input, .in = in,
        .secret = m->secret, .as_user = m->p->as_user, .uid = m->p->uid, .gid = m->p->gid};
    int r = prep_run(m->p, &t, text ? text : &none, why);
    if (r)
        prep_problem(m->p, argv[0], r, why, true);
    sm_buf_wipe(&none);
    return r;
}

static int sql(struct my *m, const char *statement, struct sm_buf *text)
{
    static const char *const argv[] = {
        "mariadb", "--defaults-extra-file=" PREP_SECRET, "-N", "-B", "--default-character-set=utf8mb4", NULL};
    return tool(m, argv, statement, -1, text);
}

/* How the database was made, from the first line of the dump: two words of letters, digits and "_". */
static int how_made(int dump, char *ret, size_t size)
{
    static const char words[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    char head[256] = "", charset[65] = "", collation[65] = "";
    ssize_t n = pread(dump, head, sizeof head - 1, 0);
    ret[0] = 0;
    if (n <= 0)
        return n < 0 ? -errno : -SM_EFORMAT;
    if (sscanf(head, "-- sakimori: CHARACTER SET %64s COLLATE %64s", charset, collation) == 2 &&
        strspn(charset, words) == strlen(charset) && strspn(collation, words) == strlen(collation))
        snprintf(ret, size, " CHARACTER SET %s COLLATE %s", charset, collation);
    return 0;
}

static int load(struct my *m, int dump, const char *into)
{
    char name[2 * KIND_NAME_MAX + 8], how[200], text[2 * KIND_NAME_MAX + 300];
    const char *const argv[] = {"mariadb", "--defaults-extra-file=" PREP_SECRET, "--default-character-set=utf8mb4",
        "--binary-mode", "--", into, NULL};
    int r = how_made(dump, how, sizeof how);
    if (!r)
        r = names_quote(into, '`', false, name, sizeof name);
    snprintf(text, sizeof text, "CREATE DATABASE %s%s;", r ? "" : name, how);
    if (!r)
        r = sql(m, text, NULL);
    if (r)
        return r;
    r = tool(m, argv, NULL, dump, NULL);
    if (!r)
        return 0;
    snprintf(text, sizeof text, "DROP DATABASE %s;", name);
    (void)!sql(m, text, NULL); /* half of it is of no use; why it failed was told */
    return r;
}

static int restore(struct prep *p, int dump, const char *into, bool replace)
{
    struct my m;
    char name[2 * KIND_NAME_MAX + 8], text[2 * KIND_NAME_MAX + 128];
    struct sm_buf out = SM_BUF_INIT(4096);
    if (replace) {
        prep_problem(p, into, -SM_EUNSUPPORTED, "MariaDB cannot rename a database: give another name", true);
        return -SM_EUNSUPPORTED;
    }
    int r = my_init(&m, p);
    if (!r)
        r = names_quote(into, '\'', true, name, sizeof name);
    snprintf(text, sizeof text, "SELECT count(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME=%s;", r ? "" : name);
    if (!r)
        r = sql(&m, text, &out);
    if (!r && (!out.n || out.p[0] != '0'))
        r = -SM_EEXISTS;
    if (!r)
        r = load(&m, dump, into);
    sm_zero(m.secret, sizeof m.secret);
    sm_buf_wipe(&out);
    return r;
}

static int names(struct prep *p)
{
    struct my m;
    struct sm_buf text = SM_BUF_INIT(LIST_MAX);
    struct names_row *row = calloc(KIND_DATABASES_MAX, sizeof *row);
    size_t n = 0;
    int r = row ? my_init(&m, p) : -ENOMEM;
    if (!r)
        r = list(&m, &text, row, &n);
    for (size_t i = 0; i < n; i++)
        puts(row[i].name);
    sm_zero(m.secret, sizeof m.secret);
    sm_buf_wipe(&text);
    free(row);
    return r;
}

const struct kind kind_mariadb = {.name = "mariadb",
    .root = "/mariadb",
    .profile = "agent-dump",
    .as = "mysql",
    .has_access = true,
    .has_local = true,
    .tools = {client, mysqldump},
    .prepare = prepare,
    .restore = restore,
    .names = names};
