/*
 * What bench/watch-intake measures stages with: lines of syslog → event → rules → record, one thread.
 *   watch_line FILE TABLE DIR RULES-DIR...   FILE: lines; TABLE: log sources; DIR: an empty folder for the record
 * CPU seconds of each stage, as JSON: reading, reading and matching, all with the record kept and committed.
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "detect/sigma/sigma.h"
#include "journal/journal.h"
#include "normalise/normalise.h"

enum { GROUP = 24000, ROUNDS = 3 };

static struct event_names *names;
static struct sigma_set *set;
static struct sigma_matcher *matcher;
static struct sigma_scratch *scratch;

static double clock_s(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, int err)
{
    fprintf(stderr, "watch_line: %s: %s\n", what, sm_strerror(err));
    exit(1);
}

static struct sm_span slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;

    if (!f || fstat(fileno(f), &st) < 0)
        die(path, -errno);
    uint8_t *p = malloc((size_t)st.st_size + 1);
    size_t n = p ? fread(p, 1, (size_t)st.st_size, f) : 0;
    fclose(f);
    return SM_SPAN(p, n);
}

static void on_fault(void *ctx, const struct sigma_fault *f)
{
    fprintf(stderr, "%s:%u: %s\n", f->file, f->line, f->why);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    size_t n = strlen(path);

    if (type != FTW_F || n < 4 || strcmp(path + n - 4, ".yml") || strstr(path, "/tests/") || strstr(path, "logsources"))
        return 0;
    struct sm_span text = slurp(path);
    int r = sigma_add(set, path, text, on_fault, NULL);
    free((void *)text.p);
    return r < 0 ? r : 0;
}

static void load(const char *table, char **dir, int n)
{
    struct sigma_fault fault;

    names = event_names_new();
    set = names ? sigma_set_new(names) : NULL;
    if (!set)
        die("rules", -ENOMEM);
    struct sm_span text = slurp(table);
    int r = sigma_sources(set, table, text, &fault);
    free((void *)text.p);
    for (int i = 0; i < n && r >= 0; i++)
        r = nftw(dir[i], visit, 16, FTW_PHYS);
    if (r >= 0)
        r = sigma_link(set, on_fault, NULL);
    if (r >= 0)
        r = sigma_compile(set, NULL, &matcher);
    scratch = r < 0 ? NULL : sigma_scratch_new(matcher);
    if (!scratch)
        die("rules", r < 0 ? r : -ENOMEM);
}

static void count_hit(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    ++*(size_t *)ctx;
}

struct run { struct normalise *norm; struct event e; size_t hits, lines, bytes; struct evidence *j; bool match; };

static int one(struct run *r, struct sm_span line)
{
    struct normalise_hint hint = NORMALISE_HINT;
    int err = normalise_record(r->norm, &hint, line, (struct event_time){ 1795132800 + (int64_t)(r->lines / 100000), 0 },
        &r->e);

    r->lines++;
    r->bytes += line.n;
    r->e.source = 1 + (r->e.host.n ? r->e.host.p[r->e.host.n - 1] : 0);
    if (err >= 0 && r->match)
        err = sigma_match(matcher, scratch, &r->e, count_hit, &r->hits);
    if (err >= 0 && r->j)
        err = evidence_append(r->j, names, &r->e, NULL, NULL);
    if (err >= 0 && r->j && r->lines % GROUP == 0)
        err = evidence_commit(r->j);
    return err;
}

static double all(struct run *r, struct sm_span text, double *ret_wall)
{
    double cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID), wall = clock_s(CLOCK_MONOTONIC);

    for (int round = 0; round < ROUNDS; round++)
        for (const uint8_t *p = text.p, *end = text.p + text.n; p < end;) {
            const uint8_t *nl = memchr(p, '\n', (size_t)(end - p));
            int err = one(r, SM_SPAN(p, (nl ? nl : end) - p));
            if (err < 0)
                die("a line", err);
            p = nl ? nl + 1 : end;
        }
    if (r->j && evidence_flush(r->j) < 0)
        die("flush", -EIO);
    *ret_wall = clock_s(CLOCK_MONOTONIC) - wall;
    return clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
}

int main(int argc, char **argv)
{
    struct run r = { 0 };
    struct evidence_status s;
    double wall, stage[3];

    if (argc < 5)
        return 2;
    load(argv[2], argv + 4, argc - 4);
    struct sm_span text = slurp(argv[1]);
    if (normalise_new(names, &r.norm) < 0 || event_init(&r.e) < 0)
        die("normalise", -ENOMEM);
    stage[0] = all(&r, text, &wall);
    r.match = true;
    stage[1] = all(&r, text, &wall);
    size_t lines = r.lines / 2;
    r.lines = r.bytes = 0;
    int err = evidence_open(argv[3], NULL, &r.j, NULL);
    if (err < 0)
        die(argv[3], err);
    stage[2] = all(&r, text, &wall);
    evidence_status(r.j, &s);
    printf("{\"lines\":%zu,\"bytes_per_line\":%.1f,\"read_us\":%.3f,\"match_us\":%.3f,\"keep_us\":%.3f,\"keep_wall_s\":%.3f,"
           "\"stored_per_event\":%.2f,\"hits\":%zu}\n",
        lines, (double)r.bytes / (double)lines, stage[0] / (double)lines * 1e6, (stage[1] - stage[0]) / (double)lines * 1e6,
        (stage[2] - stage[1]) / (double)lines * 1e6, wall, (double)s.stored_bytes / (double)s.events, r.hits);
    evidence_free(r.j);
    return 0;
}
