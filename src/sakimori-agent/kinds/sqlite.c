/*
 * SQLite: a copy of each database file by SQLite's own backup (sqlite.org/backup.html): a consistent state with what
 * stands in the WAL, while the program that uses it goes on.  Which files: the source's paths, patterns of glob(7).
 *
 * Each copy is made by a process of its own as the owner of the file (SQLite has to open the shared memory beside a
 * database for writing), without capabilities and network, that may write only beside the file and the copy.
 */
#include "sakimori-agent/kinds/kind.h"

#include <errno.h>
#include <glob.h>
#include <libgen.h>
#include <linux/capability.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/fs.h"

#define FILES_MAX 1024u
#define STEP_PAGES 2048
#define BUSY_MS 60000

static bool is_database(const char *path)
{
    char head[16] = "";
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool is = fd >= 0 && plat_fs_pread_all(fd, head, sizeof head, 0) == 0 && memcmp(head, "SQLite format 3", 16) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

static bool is_companion(const char *path)
{
    size_t n = strlen(path);
    static const char *const ends[] = {"-wal", "-shm", "-journal"};
    for (size_t i = 0; i < 3; i++)
        if (n > strlen(ends[i]) && strcmp(path + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static int copy(struct prep *p, const char *path, const struct stat *st)
{
    char to[2 * AGENT_PATH_MAX], why[KIND_WHY] = "";
    const char *name = path + 1;
    const char *const argv[] = {"sakimori-agent", "--part=sqlite-copy", path, to, p->skip ? "--skip" : NULL, p->skip,
        NULL};
    prep_now(p, path);
    int fd = prep_create_path(p, name);
    if (fd < 0) {
        prep_problem(p, path, fd, "the copy", true);
        return 0;
    }
    snprintf(to, sizeof to, "%s/%s", p->folder, name);
    int r = geteuid() == 0 && fchown(fd, st->st_uid, st->st_gid) ? -errno : 0;
    const struct prep_run t = {.path = NULL, .argv = argv, .out = -1, .as_user = geteuid() == 0, .uid = st->st_uid,
        .gid = st->st_gid};
    struct sm_buf text = SM_BUF_INIT(4096);
    if (!r)
        r = prep_run(p, &t, &text, why);
    sm_buf_wipe(&text);
    if (!r && fchmod(fd, st->st_mode & 07777))
        r = -errno;
    close(fd);
    if (!r)
        return 0;
    (void)unlinkat(p->staging, name, 0); /* half a copy is none */
    prep_problem(p, path, r, why, true);
    return r == -SM_ECANCEL || r == -SM_ETIME ? r : 0;
}

/* In a folder that is never read?  Known by where it really is, for these are told to the copy by name. */
static bool is_skipped(const struct prep *p, const char *path)
{
    char real[PLAT_PATH_MAX], out[PLAT_PATH_MAX];
    size_t there;
    if (plat_real_path(path, real, &there))
        return true;
    for (size_t i = 0; i < p->policy.skip_n; i++)
        if (plat_real_path(p->policy.skip_path[i], out, &there) || plat_but_place(real, out) == PLAT_INSIDE)
            return true;
    return false;
}

static int take(struct prep *p, const char *path, size_t *taken)
{
    struct stat st;
    unsigned failed = p->failed;
    if (is_companion(path))
        return 0;
    if (!policy_may_read(&p->policy, path) || is_skipped(p, path)) {
        prep_problem(p, path, -SM_EDENIED, "this machine's policy", true);
        return 0;
    }
    if (lstat(path, &st) || !S_ISREG(st.st_mode) || !is_database(path)) {
        prep_problem(p, path, -SM_EFORMAT, "not a SQLite database", true);
        return 0;
    }
    int r = copy(p, path, &st);
    *taken += !r && failed == p->failed;
    return r;
}

static int prepare(struct prep *p)
{
    const json_t *paths = json_object_get(p->source, "paths");
    size_t taken = 0, seen = 0;
    int r = 0;
    for (size_t i = 0; i < json_array_size(paths) && !r; i++) {
        const char *pattern = json_string_value(json_array_get(paths, i));
        glob_t g = {0};
        if (!pattern || pattern[0] != '/' || glob(pattern, GLOB_NOSORT, NULL, &g) || g.gl_pathc == 0)
            prep_problem(p, pattern ? pattern : "", -ENOENT, "no such file", true);
        for (size_t k = 0; k < g.gl_pathc && !r; k++)
            r = seen++ < FILES_MAX ? take(p, g.gl_pathv[k], &taken) : -SM_ELIMIT;
        globfree(&g);
    }
    return r ? r : taken ? 0 : -SM_ENOTFOUND;
}

static const int caps[] = {CAP_DAC_READ_SEARCH, CAP_CHOWN, CAP_FOWNER, CAP_SETUID, CAP_SETGID, CAP_KILL};
const struct kind kind_sqlite = {.name = "sqlite",
    .root = "/sqlite",
    .profile = "agent-dump",
    .caps = caps,
    .caps_n = sizeof caps / sizeof caps[0],
    .prepare = prepare};

/* ---- the copy itself ---- */

/* In pieces, so that a program that writes is not kept waiting; begun anew by every change from outside, so after a
 * while all at once. */
static int copy_pages(sqlite3_backup *b)
{
    long done = 0;
    for (;;) {
        int left = sqlite3_backup_remaining(b), all = sqlite3_backup_pagecount(b);
        int e = sqlite3_backup_step(b, done > 3L * all + STEP_PAGES && left ? -1 : STEP_PAGES);
        done += STEP_PAGES;
        if (e == SQLITE_DONE)
            return SQLITE_OK;
        if (e != SQLITE_OK)
            return e;
        sqlite3_sleep(1);
    }
}

static int first_text(void *arg, int n, char **values, char **names)
{
    (void)names;
    if (n > 0 && values[0])
        snprintf(arg, 200, "%s", values[0]);
    return 1; /* one row is enough */
}

/* Read as what cannot change: a copy of a database with a WAL would want one beside it. */
static int check(const char *path)
{
    char said[200] = "";
    struct sm_buf uri = SM_BUF_INIT(4 * AGENT_PATH_MAX);
    sqlite3 *db = NULL;
    int r = sm_buf_printf(&uri, "file:");
    for (; *path && !r; path++)
        r = strchr("%?#", *path) ? sm_buf_printf(&uri, "%%%02X", (unsigned char)*path)
                                 : sm_buf_put_u8(&uri, (uint8_t)*path);
    if (!r)
        r = sm_buf_printf(&uri, "?immutable=1");
    if (!r && sqlite3_open_v2(sm_buf_str(&uri), &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK)
        (void)sqlite3_exec(db, "PRAGMA quick_check(1)", first_text, said, NULL); /* ends with our own 1 */
    if (strcmp(said, "ok") != 0)
        fputs("the database is damaged\n", stderr); /* its own words hold what stands in the damaged pages */
    sqlite3_close(db);
    sm_buf_wipe(&uri);
    return strcmp(said, "ok") != 0;
}

static int copy_database(sqlite3 *from, sqlite3 *to)
{
    (void)sqlite3_busy_timeout(from, BUSY_MS);
    /* The folder of the copy is not ours: no journal beside it. */
    int e = sqlite3_exec(to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL);
    sqlite3_backup *b = e == SQLITE_OK ? sqlite3_backup_init(to, "main", from, "main") : NULL;
    if (!b) {
        fprintf(stderr, "%s\n", sqlite3_errmsg(to));
        return 1;
    }
    e = copy_pages(b);
    (void)sqlite3_backup_finish(b); /* repeats e */
    if (e == SQLITE_OK)
        return 0;
    fprintf(stderr, "%s\n", sqlite3_errstr(e));
    return 1;
}

int sqlite_copy_main(const char *from, const char *to, const char *skip)
{
    char beside[AGENT_PATH_MAX];
    snprintf(beside, sizeof beside, "%s", from);
    const struct plat_path_rule paths[] = {{dirname(beside), true, false, false}, {to, true, false, false},
        {"/", false, false, false}};
    const struct part_rules rules = {.profile = "agent-sqlite", .user = "", .paths = paths, .paths_n = skip ? 2 : 3,
        .landlock = true, .out = skip, .nofile = 64};
    struct plat_confined c = {0};
    int r = part_confine(&rules, &c);
    if (r) {
        fprintf(stderr, "%s\n", sm_strerror(r));
        return 1;
    }
    sqlite3 *a = NULL, *b = NULL;
    int e = sqlite3_open_v2(from, &a, SQLITE_OPEN_READONLY, NULL);
    if (e == SQLITE_OK)
        e = sqlite3_open_v2(to, &b, SQLITE_OPEN_READWRITE, NULL);
    if (e != SQLITE_OK)
        fprintf(stderr, "%s\n", sqlite3_errmsg(b ? b : a));
    else
        e = copy_database(a, b);
    sqlite3_close(b);
    sqlite3_close(a);
    return e || check(to) ? 1 : 0;
}
