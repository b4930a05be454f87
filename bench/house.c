/*
 * The program behind bench/watch-house: the searches of bench-journal, on the same events, in ClickHouse.  One JSON
 * object a line. put DIR URL DB       the record of DIR into tables made there: rate, and bytes stored search DIR URL
 * DB    the queries, each asked four times of the server alone
 */
#include <curl/curl.h>
#include <stdlib.h>
#include <time.h>

#include "journal/house.h"

static const char box[] = "00112233445566778899aabbccddeeff";

static double clock_of(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void say(const char *name, double value, const char *unit)
{
    printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name, value, unit);
    fflush(stdout);
}

static void die(const struct house *h, const char *what, int r)
{
    fprintf(stderr, "%s: %s %s\n", what, sm_strerror(r), h ? house_why(h) : "");
    exit(1);
}

static int run_put(struct house *h, const char *dir)
{
    struct house_set there = {0};
    struct evreader *r;
    struct house_block b = {0};
    uint64_t waiting, n = 0;
    int e = house_init(h, NULL, 0);

    if (e >= 0)
        e = evreader_open_closed(dir, &r);
    if (e < 0)
        die(h, dir, e);
    double from = clock_of(CLOCK_MONOTONIC), c = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    while (house_next(r, &there, b.number, &b, &waiting) > 0) {
        e = house_put(h, r, &b);
        if (e < 0)
            die(h, "put", e);
        n += b.events;
    }
    say("clickhouse: events", (double)n, "events");
    say("clickhouse: bringing, box and server", (double)n / (clock_of(CLOCK_MONOTONIC) - from), "events/s");
    say("clickhouse: bringing, the box's part, per core", (double)n / (clock_of(CLOCK_PROCESS_CPUTIME_ID) - c),
        "events/s");
    evreader_free(r);
    return 0;
}

static int count(void *arg, const struct evsearch_hit *hit)
{
    (void)hit;
    ++*(uint64_t *)arg;
    return 0;
}

struct asked {
    const char *name, *query;
    bool page;
};

static double once(struct house *h, const struct house_search *w, const struct asked *q, uint64_t *ret_n)
{
    struct evsearch s = {.limit = 100, .from.s = INT64_MIN / 4};
    struct evquery *query = NULL;
    int e = evquery_parse(SM_SPAN_STR(q->query), 0, &query, NULL);
    double from = clock_of(CLOCK_MONOTONIC);

    s.query = query;
    *ret_n = 0;
    if (e >= 0 && q->page) {
        e = house_run(h, w, &s, count, ret_n, NULL);
    } else if (e >= 0) {
        s.from.s = 1780000000;
        s.to.s = 1780000000 + 100000000;
        e = house_histogram(h, w, &s, 100000000, 1, ret_n, NULL);
    }
    if (e < 0)
        die(h, q->query, e);
    evquery_free(query);
    return clock_of(CLOCK_MONOTONIC) - from;
}

static int run_search(struct house *h, const char *dir, const char *how)
{
    static const struct asked all[] = {
        {"selective word", "mimikatz", true},
        {"selective address", "198.51.100.77", true},
        {"two characters of Japanese", "患者", true},
        {"word and field", "mimikatz AND username:jimu1*", true},
        {"absent word", "nosuchword", true},
        {"newest 100 of a common value", "action=deny", true},
        {"count of a common value", "action=deny", false},
    };
    struct house_set there;
    struct evreader *r;
    int e = house_blocks(h, &there);

    if (e >= 0)
        e = evreader_open_closed(dir, &r);
    if (e < 0)
        die(h, dir, e);
    struct house_search w = {.reader = r, .there = &there};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        uint64_t n;
        char name[100];
        double t = once(h, &w, &all[i], &n);
        if (!strcmp(how, "warm"))
            for (unsigned k = 0; k < 2; k++) {
                double again = once(h, &w, &all[i], &n);
                t = again < t ? again : t;
            }
        snprintf(name, sizeof name, "clickhouse: search, %s, %s", all[i].name, how);
        say(name, t, "s");
        fprintf(stderr, "%-32s %8llu found\n", all[i].name, (unsigned long long)n);
    }
    evreader_free(r);
    house_set_wipe(&there);
    return 0;
}

int main(int argc, char **argv)
{
    struct house_conf conf;
    struct house *h;
    char why[HOUSE_WHY];

    if (argc < 5 || curl_global_init(CURL_GLOBAL_DEFAULT))
        return 2;
    const struct house_texts t = {
        .urls = argv[3], .database = argv[4], .table = "events", .user = "", .password = "", .ca = ""};
    int e = house_conf_get(&t, &conf, why);
    if (e >= 0)
        e = house_open(&conf, box, NULL, NULL, &h);
    if (e < 0)
        die(NULL, argv[3], e);
    evsearch_tune_memory();
    e = !strcmp(argv[1], "put") ? run_put(h, argv[2]) : run_search(h, argv[2], argc > 5 ? argv[5] : "warm");
    house_free(h);
    return e;
}
