/*
 * Measures for bench/watch-evtx:  watch_evtx SECONDS fields|xml FILE...   event logs
 *                                 watch_evtx SECONDS json|windows FILE... JSON lines
 * Files are in memory; the time is that of the processor.  One JSON object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "normalise/evtx.h"
#include "normalise/json.h"
#include "normalise/windows.h"

static struct event_names *names;
static struct event e;
static struct evtx *x;
static struct windows *w;
static struct sm_buf out;
static uint64_t records, damaged, lost, record_bytes, file_bytes, fields;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sm_span slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    size_t cap = 64 << 20, n = 0, k;
    uint8_t *p = malloc(cap);

    if (!f || !p) {
        perror(path);
        exit(1);
    }
    while ((k = fread(p + n, 1, cap - n, f)) > 0)
        n += k;
    (void)fclose(f);
    uint8_t *fit = realloc(p, n ? n : 1);
    return SM_SPAN(fit ? fit : p, n);
}

static int log_file(struct sm_span file, bool xml)
{
    int r = evtx_open(x, file, 0);

    while (r >= 0 && (r = evtx_next(x, &e)) == 1) {
        record_bytes += e.raw.n;
        fields += e.n;
        out.n = 0;
        if (xml && (r = evtx_xml(x, &out)) < 0)
            break;
    }
    records += evtx_counts(x)->records;
    damaged += evtx_counts(x)->damaged;
    lost += evtx_counts(x)->lost;
    return r;
}

static int lines(struct sm_span file, bool windows)
{
    struct json_fields to = { &e, names };
    int r = 0;

    while (file.n && r == 0) {
        const uint8_t *end = memchr(file.p, '\n', file.n);
        size_t n = end ? (size_t)(end - file.p) : file.n;
        event_clear(&e);
        if (n)
            r = windows ? windows_json(w, SM_SPAN(file.p, n), 0, &e) : json_flat(SM_SPAN(file.p, n), &e, json_field,
            &to);
        records += n > 0;
        record_bytes += n;
        fields += e.n;
        n += end != NULL;
        file = SM_SPAN(file.p + n, file.n - n);
    }
    return r;
}

int main(int argc, char **argv)
{
    double limit = argc > 3 ? strtod(argv[1], NULL) : 0, spent = 0;
    const char *what = argc > 3 ? argv[2] : "";
    unsigned rounds = 0;

    if (argc < 4)
        return 2;
    names = event_names_new();
    if (!names || event_init(&e) < 0 || evtx_new(names, &x) < 0 || windows_new(names, &w) < 0)
        return 1;
    struct sm_span *files = calloc((size_t)argc, sizeof *files);
    if (!files)
        return 1;
    for (int i = 3; i < argc; i++)
        files[i] = slurp(argv[i]);
    for (; spent < limit || !rounds; rounds++) {
        double from = now();
        for (int i = 3; i < argc; i++) {
            int r = *what == 'f' || *what == 'x' ? log_file(files[i], *what == 'x') : lines(files[i], *what == 'w');
            if (r < 0) {
                (void)fprintf(stderr, "%s: %s\n", argv[i], sm_strerror(r));
                return 1;
            }
            file_bytes += files[i].n;
        }
        spent += now() - from;
    }
    printf("{\"rounds\": %u, \"cpu_s\": %.4f, \"records\": %llu, \"damaged\": %llu, \"lost\": %llu, \"record_bytes\": "
        "%llu, \"file_bytes\": %llu, "
        "\"fields\": %llu}\n", rounds, spent, (unsigned long long)(records / rounds),
        (unsigned long long)(damaged / rounds),
        (unsigned long long)(lost / rounds), (unsigned long long)record_bytes, (unsigned long long)file_bytes,
        (unsigned long long)(fields / rounds));
    return 0;
}
