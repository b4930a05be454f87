/*
 * The program behind bench/watch-journal: each mode prints one JSON object a line {"name", "value", "unit"}.
 *   otrf DIR FILE...     lines of Windows JSON → journal in DIR: append rate, bytes stored
 *   make DIR N           N made events of devices → journal in DIR: append rate, bytes stored
 *   search DIR           queries on what make made, cold and warm; rate of a full scan of one field
 *   scan DIR NAME        that rate alone
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "journal/journal.h"
#include "journal/search.h"
#include "normalise/windows.h"
#include "plat/fs.h"

enum { BATCH = 500 };

static double clock_of(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
    return clock_of(CLOCK_PROCESS_CPUTIME_ID);
}

static void say(const char *name, double value, const char *unit)
{
    printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name, value, unit);
    fflush(stdout);
}

static void die(const char *what, int r)
{
    fprintf(stderr, "%s: %s\n", what, sm_strerror(r));
    exit(1);
}

/* without: only what comes before the journal, to know what that costs. */
struct to { struct evidence *j; struct event_names *names; struct event e; uint64_t n, raw; bool without; double spent; };

static void take(struct to *t)
{
    int r = t->without ? 0 : evidence_append(t->j, t->names, &t->e, NULL, NULL);

    t->n++;
    t->raw += t->e.raw.n;
    if (r >= 0 && !t->without && t->n % BATCH == 0)
        r = evidence_commit(t->j);
    if (r < 0)
        die("append", r);
}

/* First without the journal, then with it: spent is the difference. */
static void begin_pass(struct to *t, int pass)
{
    double now = cpu();

    t->spent = pass ? -(now + (now - t->spent)) : now;
    t->without = !pass;
    t->n = t->raw = 0;
}

static void finish(struct to *t, const char *what)
{
    struct evidence_status s;
    char name[80];
    int r = evidence_flush(t->j);

    if (r < 0)
        die("flush", r);
    t->spent += cpu();
    evidence_status(t->j, &s);
    snprintf(name, sizeof name, "%s: events", what);
    say(name, (double)s.events, "events");
    snprintf(name, sizeof name, "%s: raw bytes an event", what);
    say(name, (double)t->raw / (double)t->n, "B");
    snprintf(name, sizeof name, "%s: append, commit every %d, per core", what, BATCH);
    say(name, (double)t->n / t->spent, "events/s");
    snprintf(name, sizeof name, "%s: stored an event", what);
    say(name, (double)s.stored_bytes / (double)s.events, "B");
    snprintf(name, sizeof name, "%s: stored against raw", what);
    say(name, (double)s.stored_bytes / (double)s.raw_bytes, "x");
}

static void lines_of(struct to *t, struct windows *w, const char *file)
{
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0 || !st.st_size)
        return;
    const uint8_t *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0), *end = p + st.st_size;
    (void)close(fd);
    if (p == MAP_FAILED)
        return;
    for (const uint8_t *at = p; at < end;) {
        const uint8_t *nl = memchr(at, '\n', (size_t)(end - at));
        struct sm_span line = SM_SPAN(at, (nl ? nl : end) - at);
        at += line.n + 1;
        while (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (!line.n || line.n > EVENT_RAW_MAX)
            continue;
        event_clear(&t->e);
        t->e.raw = line;
        t->e.seen = (struct event_time){ 1795000000 + (int64_t)(t->n / 1000), 0 };
        if (windows_json(w, line, 0, &t->e) < 0)
            t->e.notes = EVENT_UNPARSED;
        take(t);
    }
    munmap((void *)p, (size_t)st.st_size);
}

static int run_otrf(struct to *t, char **files, int n)
{
    struct windows *w;
    int r = windows_new(t->names, &w);

    if (r < 0)
        die("windows", r);
    for (int pass = 0; pass < 2; pass++) {
        begin_pass(t, pass);
        for (int i = 0; i < n; i++)
            lines_of(t, w, files[i]);
    }
    windows_free(w);
    finish(t, "otrf");
    return 0;
}

/* ---- made events ---- */

static uint64_t seed = 88172645463325252ULL;

static unsigned any(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 20) % n;
}

static void part(struct to *t, uint16_t name, const char *raw, size_t at, size_t n)
{
    if (event_add(&t->e, name, EVENT_TEXT, SM_SPAN(raw + at, n)) < 0)
        die("event", -ENOMEM);
}

/* A line of a firewall, a sign-in or an electronic chart; one in 5 million has the word that is searched for. */
static void made(struct to *t, uint64_t n)
{
    static char raw[400];
    static const char *const what[] = { "accept", "deny", "accept", "accept", "close" };
    int at[8], to[8], k;

    event_clear(&t->e);
    t->e.time = (struct event_time){ 1780000000 + (int64_t)(n / 4), (uint32_t)(n % 4) * 250000000 };
    t->e.seen = t->e.time;
    t->e.format = EVENT_W_syslog;
    t->e.source = n % 11;
    time_t s = (time_t)t->e.time.s;
    struct tm tm;
    gmtime_r(&s, &tm);
    k = (int)strftime(raw, sizeof raw, "<134>%b %d %H:%M:%S ", &tm);
#define PUT(i, ...) \
    do { \
        at[i] = k; \
        k += snprintf(raw + k, sizeof raw - (size_t)k, __VA_ARGS__); \
        to[i] = k - at[i]; \
    } while (0)
    PUT(0, "fw%u", any(6));
    k += snprintf(raw + k, sizeof raw - (size_t)k, " kernel: action=");
    PUT(1, "%s", what[any(5)]);
    k += snprintf(raw + k, sizeof raw - (size_t)k, " src=");
    PUT(2, "192.168.%u.%u", any(4), 1 + any(250));
    k += snprintf(raw + k, sizeof raw - (size_t)k, " dst=");
    PUT(3, "203.0.%u.%u", any(60), 1 + any(250));
    k += snprintf(raw + k, sizeof raw - (size_t)k, " sport=");
    PUT(4, "%u", 1024 + any(60000));
    k += snprintf(raw + k, sizeof raw - (size_t)k, " dport=");
    PUT(5, "%u", any(3) ? 443 : any(1024));
    k += snprintf(raw + k, sizeof raw - (size_t)k, " user=");
    PUT(6, "jimu%u", any(40));
    k += snprintf(raw + k, sizeof raw - (size_t)k, " msg=");
    if (n % 5000000 == 777777)
        PUT(7, "患者一覧をUSBに書き出した mimikatz.exe 198.51.100.77");
    else
        PUT(7, "session %u bytes %u of policy %u", any(1000000), any(100000), any(90));
#undef PUT
    static const uint16_t name[8] = { EVENT_F_hostname, EVENT_F_action, EVENT_F_src_ip, EVENT_F_dst_ip,
        EVENT_F_src_port,
        EVENT_F_dst_port, EVENT_F_username, EVENT_F_Message };
    for (unsigned i = 0; i < 8; i++)
        part(t, name[i], raw, (size_t)at[i], (size_t)to[i]);
    t->e.host = SM_SPAN(raw + at[0], to[0]);
    t->e.raw = SM_SPAN(raw, k);
}

static int run_make(struct to *t, uint64_t n)
{
    uint64_t same = seed;

    for (int pass = 0; pass < 2; pass++) {
        begin_pass(t, pass);
        seed = same;
        for (uint64_t i = 0; i < n; i++) {
            made(t, i);
            take(t);
        }
    }
    finish(t, "made");
    return 0;
}

/* ---- search ---- */

static int drop_one(void *arg, struct sm_span name, unsigned char type)
{
    char path[600];

    (void)type;
    snprintf(path, sizeof path, "%s/%.*s", (const char *)arg, (int)name.n, (const char *)name.p);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fdatasync(fd);
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void)close(fd);
    }
    return 0;
}

static void forget(const char *dir)
{
    int fd = plat_fs_open_dir(AT_FDCWD, dir);

    if (fd < 0 || plat_fs_list(fd, drop_one, (void *)(uintptr_t)dir) < 0)
        die("folder", fd);
    (void)close(fd);
}

static int nothing(void *arg, const struct evsearch_hit *h)
{
    (void)h;
    ++*(uint64_t *)arg;
    return 0;
}

struct asked { const char *name, *query; bool page; };

static double once(struct evreader *r, const struct asked *q, uint64_t *ret_n, struct evsearch_stats *ret)
{
    struct evsearch s = { .limit = 100 };
    struct evquery *query = NULL;
    int e = evquery_parse(SM_SPAN_STR(q->query), 0, &query, NULL);
    double from = clock_of(CLOCK_MONOTONIC);

    s.query = query;
    *ret_n = 0;
    if (e >= 0)
        e = q->page ? evsearch_run(r, &s, nothing, ret_n, NULL, ret) : evsearch_count(r, &s, ret_n, ret);
    if (e < 0)
        die(q->query, e);
    evquery_free(query);
    return clock_of(CLOCK_MONOTONIC) - from;
}

static int run_scan(const char *dir, const char *what)
{
    const struct asked scan = { "", "Message:*qz*", false }; /* two bytes: no filter can help */
    struct evsearch_stats st;
    struct evreader *r;
    char name[100];
    uint64_t n;
    int e = evreader_open(dir, &r);

    if (e < 0)
        die(dir, e);
    (void)once(r, &scan, &n, &st);
    double c = cpu();
    (void)once(r, &scan, &n, &st);
    c = cpu() - c;
    snprintf(name, sizeof name, "%s: full scan of one field, column bytes per core", what);
    say(name, (double)st.bytes_decoded / c / 1e9, "GB/s");
    snprintf(name, sizeof name, "%s: full scan of one field, events per core", what);
    say(name, (double)st.events_looked_at / c / 1e6, "M/s");
    evreader_free(r);
    return 0;
}

static int run_search(const char *dir)
{
    static const struct asked all[] = {
        { "selective word", "mimikatz", true }, { "selective address", "198.51.100.77", true },
        { "two characters of Japanese", "患者", true }, { "word and field", "mimikatz AND username:jimu1*", true },
        { "absent word", "nosuchword", true }, { "newest 100 of a common value", "action=deny", true },
        { "count of a common value", "action=deny", false },
    };
    struct evsearch_stats st;
    struct evreader *r;
    uint64_t n;
    char name[100];

    forget(dir);
    double from = clock_of(CLOCK_MONOTONIC);
    int e = evreader_open(dir, &r);
    if (e < 0)
        die(dir, e);
    say("opening, cold", clock_of(CLOCK_MONOTONIC) - from, "s");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        forget(dir);
        double cold = once(r, &all[i], &n, &st), warm = once(r, &all[i], &n, &st), again = once(r, &all[i], &n, &st);
        snprintf(name, sizeof name, "search, %s, cold", all[i].name);
        say(name, cold, "s");
        snprintf(name, sizeof name, "search, %s, warm", all[i].name);
        say(name, again < warm ? again : warm, "s");
        fprintf(stderr, "%-32s %8llu found, %llu of %llu blocks read\n", all[i].name, (unsigned long long)n,
            (unsigned long long)st.blocks_read, (unsigned long long)st.blocks);
    }
    evreader_free(r);
    return run_scan(dir, "made");
}

int main(int argc, char **argv)
{
    struct to t = { 0 };
    int r = 0;

    if (argc < 3)
        return 2;
    evsearch_tune_memory();
    if (!strcmp(argv[1], "scan") && argc > 3)
        return run_scan(argv[2], argv[3]);
    if (!strcmp(argv[1], "search"))
        return run_search(argv[2]);
    t.names = event_names_new();
    if (!t.names || event_init(&t.e) < 0)
        return 1;
    r = evidence_open(argv[2], NULL, &t.j, NULL);
    if (r < 0)
        die(argv[2], r);
    if (!strcmp(argv[1], "otrf"))
        r = run_otrf(&t, argv + 3, argc - 3);
    else
        r = run_make(&t, argc > 3 ? strtoull(argv[3], NULL, 10) : 1000000);
    evidence_free(t.j);
    event_wipe(&t.e);
    event_names_free(t.names);
    return r;
}
