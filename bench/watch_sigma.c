/*
 * What bench/watch-sigma measures with.
 *   watch_sigma load RULES-DIR...                  loads and compiles: counts, CPU seconds, memory, as JSON
 *   watch_sigma evtx RULES-DIR < list of files     file, record in file, EventRecordID, rule, EventID between tabs, a
 * line each watch_sigma speed RULES-DIR FILE...            JSON lines of Windows: events per CPU-second, and those of a
 * whole-line database
 */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <hs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include "detect/sigma/internal.h"
#include "detect/sigma/sigma.h"
#include "normalise/evtx.h"
#include "normalise/normalise.h"
#include "normalise/windows.h"

static struct event_names *names;
static struct sigma_set *set;
static struct sigma_matcher *matcher;
static size_t files, loaded, faults;
static double load_s, compile_s;

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, int err)
{
    fprintf(stderr, "watch_sigma: %s: %s\n", what, sm_strerror(err));
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
    faults++;
    fprintf(stderr, "%s:%u: %s\n", f->file, f->line, f->why);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    size_t n = strlen(path);

    if (type != FTW_F || n < 4 || strcmp(path + n - 4, ".yml") || strstr(path, "/tests/"))
        return 0;
    struct sm_span text = slurp(path);
    int r = sigma_add(set, path, text, on_fault, NULL);
    free((void *)text.p);
    files++;
    if (r < 0)
        die(path, r);
    loaded += (size_t)r;
    return 0;
}

static void load(const char *table, char **dir, int n)
{
    struct sigma_fault fault;
    double begin = cpu_s();

    names = event_names_new();
    set = names ? sigma_set_new(names) : NULL;
    if (!set)
        die("rules", -ENOMEM);
    struct sm_span text = slurp(table);
    int r = sigma_sources(set, table, text, &fault);
    if (r < 0) {
        on_fault(NULL, &fault);
        die(table, r);
    }
    free((void *)text.p);
    for (int i = 0; i < n; i++)
        nftw(dir[i], visit, 16, FTW_PHYS);
    r = sigma_link(set, on_fault, NULL);
    if (r < 0)
        die("rules", r);
    load_s = cpu_s() - begin;
    begin = cpu_s();
    r = sigma_compile(set, NULL, &matcher);
    if (r < 0)
        die("compiling", r);
    compile_s = cpu_s() - begin;
}

static long peak_kib(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static void say_load(void)
{
    struct sigma_size z;
    size_t waits = 0;

    sigma_matcher_size(matcher, &z);
    for (size_t i = 0; i < sigma_count(set); i++)
        waits += *sigma_rule_at(set, i)->waits != 0;
    printf("{\"files\":%zu,\"loaded\":%zu,\"faults\":%zu,\"waiting\":%zu,\"load_s\":%.3f,\"compile_s\":%.3f,"
           "\"instances\":%zu,\"buckets\":%zu,"
           "\"databases\":%zu,\"literals\":%zu,\"direct\":%zu,\"bytes\":%zu,\"peak_kib\":%ld}\n",
        files, loaded, faults, waits, load_s, compile_s, z.instances, z.buckets, z.databases, z.literals, z.direct,
        z.bytes, peak_kib());
}

/* ---- EVTX ---- */

struct at {
    const char *file;
    size_t record;
};

static void on_evtx_hit(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    const struct at *at = ctx;
    struct sm_span id = event_text(e, EVENT_F_EventRecordID);

    struct sm_span number = event_text(e, EVENT_F_EventID);
    printf("%s\t%zu\t%.*s\t%s\t%.*s\n", at->file, at->record, (int)id.n, (const char *)id.p, rule->id, (int)number.n,
        (const char *)number.p);
}

static void one_evtx(struct evtx *x, struct sigma_scratch *s, const char *path, size_t *records)
{
    struct sm_span file = slurp(path);
    struct event e;
    struct at at = { path, 0 };

    if (event_init(&e) < 0)
        die(path, -ENOMEM);
    int r = evtx_open(x, file, 0);
    while (r >= 0 && (r = evtx_next(x, &e)) == 1) {
        if (sigma_match(matcher, s, &e, on_evtx_hit, &at) < 0)
            die(path, -ENOMEM);
        at.record++;
        ++*records;
    }
    if (r < 0)
        fprintf(stderr, "%s: %s\n", path, sm_strerror(r));
    event_wipe(&e);
    free((void *)file.p);
}

static void all_evtx(void)
{
    struct sigma_scratch *s = sigma_scratch_new(matcher);
    struct evtx *x = NULL;
    char path[4096];
    size_t records = 0;

    if (!s || evtx_new(names, &x) < 0)
        die("evtx", -ENOMEM);
    while (fgets(path, sizeof path, stdin)) {
        path[strcspn(path, "\n")] = 0;
        one_evtx(x, s, path, &records);
    }
    struct sigma_counts c;
    sigma_scratch_counts(s, &c);
    fprintf(stderr, "%zu records, %.2f candidates a record, %llu hits, %llu expressions given up\n", records,
        (double)c.candidates / (double)(records ? records : 1), (unsigned long long)c.hits,
        (unsigned long long)c.regex_limits);
    sigma_scratch_free(s);
    evtx_free(x);
}

#include "watch_sigma_speed.h"

int main(int argc, char **argv)
{
    const char *table = getenv("SAKIMORI_LOGSOURCES");

    if (argc < 3 || !table) {
        fprintf(stderr, "usage: SAKIMORI_LOGSOURCES=FILE watch_sigma load|evtx|speed RULES-DIR [FILE...]\n");
        return 2;
    }
    bool speed = !strcmp(argv[1], "speed");
    load(table, argv + 2, speed ? 1 : argc - 2);
    if (!strcmp(argv[1], "load"))
        say_load();
    else if (speed)
        all_speed(argv + 3, argc - 3);
    else
        all_evtx();
    sigma_matcher_free(matcher);
    sigma_set_free(set);
    event_names_free(names);
    return 0;
}
