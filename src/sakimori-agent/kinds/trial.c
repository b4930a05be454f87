/* What trying a database has in common for all kinds. */
#include "sakimori-agent/kinds/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"

#define READY_MS 120000
#define STOP_MS 60000
#define TURN_MS 100
#define DUMPS_MAX 512u

static const struct trial_kind *const kinds[] = {&trial_postgresql, &trial_mariadb, &trial_sqlite};

const struct trial_kind *trial_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

/* ---- the server ---- */

/* The log may hold rows: it stays in the folder and goes with it, and only SQLSTATEs are read out of it. */
static int launch(struct trial *t, const char *const *argv)
{
    snprintf(t->log, sizeof t->log, "%s/log", t->folder);
    t->p->quiet_log = t->log;
    int log = open(t->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC), r = log < 0 || null < 0 ? -errno : 0;
    const struct plat_spawn_fd fds[] = {{null, 0}, {log, 1}, {log, 2}};
    static const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TZ=UTC", NULL};
    const struct plat_spawn s = {.path = t->server, .argv = (char *const *)(uintptr_t)argv,
        .env = (char *const *)(uintptr_t)env, .fds = fds, .fds_n = 3, .dir = t->folder, .group = true, .with_us = true};
    if (!r)
        r = plat_proc_spawn(&s, &t->proc);
    if (log >= 0)
        close(log);
    if (null >= 0)
        close(null);
    return r;
}

int trial_serve(struct trial *t, const char *const *argv, int (*ready)(struct trial *t))
{
    uint64_t until = plat_clock_mono_ms() + READY_MS;
    int r = launch(t, argv);
    while (!r) {
        int status = 0;
        r = prep_check(t->p);
        if (r || ready(t) == 0)
            break;
        if (plat_proc_wait(&t->proc, TURN_MS, &status) != -SM_ETIME) {
            plat_proc_close(&t->proc);
            t->proc = PLAT_PROC_NONE;
            r = -SM_EPARTIAL;
        } else if (plat_clock_mono_ms() > until) {
            r = -SM_ETIME;
        }
    }
    if (r && r != -SM_ECANCEL)
        prep_problem(t->p, t->p->kind->root, r, "the server did not start", true);
    return r;
}

static void stop(struct trial *t, int signo)
{
    int status = 0;
    if (t->proc.pid == 0)
        return;
    (void)plat_proc_kill(&t->proc, signo); /* it may have ended just now */
    int r = plat_proc_wait(&t->proc, STOP_MS, &status);
    (void)plat_proc_kill_group(&t->proc, SIGKILL); /* what is left of it */
    if (r == -SM_ETIME)
        (void)plat_proc_wait(&t->proc, STOP_MS, &status);
    plat_proc_close(&t->proc);
    t->proc = PLAT_PROC_NONE;
}

/* ---- dumps ---- */

struct dumps {
    char *name[DUMPS_MAX];
    size_t n;
    const char *ending, *not_ending;
};

static bool ends(const char *s, const char *end)
{
    size_t n = strlen(s), k = end ? strlen(end) : 0;
    return k && n > k && strcmp(s + n - k, end) == 0;
}

static int take_name(void *arg, struct sm_span name, unsigned char type)
{
    struct dumps *d = arg;
    const char *s = (const char *)name.p;
    (void)type;
    if (!ends(s, d->ending) || ends(s, d->not_ending))
        return 0;
    if (d->n == DUMPS_MAX)
        return -SM_ELIMIT;
    d->name[d->n] = strdup(s);
    return d->name[d->n] ? (d->n++, 0) : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The database's name from the file's: %XX back (names_file). */
static void name_of(const char *file, size_t n, char *ret)
{
    size_t k = 0;
    for (size_t i = 0; i < n && k < NAMES_FILE_MAX - 1; i++) {
        bool coded = file[i] == '%' && i + 2 < n && hex_of(file[i + 1]) >= 0 && hex_of(file[i + 2]) >= 0;
        ret[k++] = coded ? (char)(hex_of(file[i + 1]) * 16 + hex_of(file[i + 2])) : file[i];
        i += coded ? 2 : 0;
    }
    ret[k] = 0;
}

static int one_dump(struct trial *t, int dir, const char *file, const char *ending, trial_dump_fn fn)
{
    char name[NAMES_FILE_MAX];
    struct stat st;
    int fd = plat_fs_open_read(dir, file), r = fd < 0 ? fd : fstat(fd, &st) ? -errno : 0;
    name_of(file, strlen(file) - strlen(ending), name);
    if (!r && S_ISREG(st.st_mode)) {
        prep_now(t->p, file);
        t->databases++;
        t->bytes += (uint64_t)st.st_size;
        r = fn(t, name, fd);
    }
    if (fd >= 0)
        close(fd);
    return r;
}

int trial_dumps(struct trial *t, const char *ending, const char *not_ending, trial_dump_fn fn)
{
    char path[160];
    struct dumps *d = calloc(1, sizeof *d);
    snprintf(path, sizeof path, "%s/in", t->folder);
    int dir = d ? plat_fs_open_dir(AT_FDCWD, path) : -ENOMEM, list = dir < 0 ? dir : plat_fs_open_dir(AT_FDCWD, path);
    int r = list < 0 ? list : 0;
    if (!r) {
        d->ending = ending;
        d->not_ending = not_ending;
        r = plat_fs_list(list, take_name, d);
    }
    if (!r)
        qsort(d->name, d->n, sizeof *d->name, by_name);
    for (size_t i = 0; d && i < d->n; i++) {
        if (!r)
            r = one_dump(t, dir, d->name[i], ending, fn);
        free(d->name[i]);
    }
    free(d);
    if (list >= 0)
        close(list);
    if (dir >= 0)
        close(dir);
    return r;
}

/* ---- counting ---- */

int trial_compare(struct sm_buf *lines, char between, struct rows *dump, struct trial_count *ret)
{
    struct trial_count c = {0};
    int r = sm_buf_put_u8(lines, (uint8_t)between);
    if (r)
        return r;
    for (size_t at = 0; at < lines->n;) {
        char *line = (char *)lines->p + at, *end = memchr(line, between, lines->n - at), *tab;
        *end = 0;
        at += (size_t)(end - line) + 1;
        line += strspn(line, "\n");
        uint64_t rows = strtoull(line, &tab, 10);
        if (tab == line || *tab != '\t')
            continue;
        uint64_t had = dump ? rows_take(dump, tab + 1) : UINT64_MAX;
        c.tables++;
        c.rows += rows;
        c.compared += had != UINT64_MAX;
        c.differing += had != UINT64_MAX && had != rows;
    }
    c.differing += dump ? rows_unseen(dump) : 0; /* a table that is not there at all */
    *ret = c;
    return 0;
}

void trial_note(struct trial *t, const char *name, const struct trial_count *c, bool loaded, bool sound, uint64_t ms)
{
    t->loaded += loaded;
    t->tables += c->tables;
    t->rows += c->rows;
    t->compared += c->compared;
    t->differing += c->differing > 0;
    t->unsound += loaded && !sound;
    if (json_array_size(t->list) < TRIAL_LIST_MAX && strlen(name) <= TRIAL_NAME_MAX && sm_utf8_valid(SM_SPAN_STR(name)))
        json_array_append_new(t->list,
            json_pack("{s:s,s:b,s:b,s:I,s:I,s:I,s:I,s:I}", "name", name, "loaded", loaded, "sound", sound, "tables",
                (json_int_t)c->tables, "rows", (json_int_t)c->rows, "compared", (json_int_t)c->compared, "differing",
                (json_int_t)c->differing, "ms", (json_int_t)ms));
}

/* ---- the whole ---- */

static void decide(struct trial *t, int r, bool started)
{
    bool all = t->databases > 0 && t->loaded == t->databases && !t->differing && !t->unsound && !t->p->failed;
    t->state = !r && all ? TRIAL_PROVED : TRIAL_FAILED;
    if (r == -SM_ETIME || r == -ENOSPC) {
        t->state = TRIAL_FILES;
        t->why = r == -ENOSPC ? "room" : "time";
    } else if (r && !started) {
        t->state = TRIAL_FILES; /* of the server, not of the backup: the dumps were not looked at */
        t->why = "start";
    } else if (!r && t->databases == 0) {
        t->state = TRIAL_FILES;
        t->why = "none";
    }
}

int trial_run(struct trial *t, const struct trial_kind *k)
{
    uint64_t began = plat_clock_mono_ms();
    bool started = !k->start;
    t->p->quiet = true;
    int r = k->start ? k->start(t) : 0;
    t->start_ms = plat_clock_mono_ms() - began;
    if (!r) {
        started = true;
        r = k->each(t);
    }
    stop(t, k->stop_signal);
    decide(t, r, started);
    return r == -SM_ECANCEL ? r : 0;
}
