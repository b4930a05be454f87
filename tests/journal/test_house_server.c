/* The same search in a real server of ClickHouse and in the record: pages, order, histogram, single events.  Skipped
 * without one. */
#include "../test.h"
#include "house_kit.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"

enum { START_MS = 120000, EVENTS = 1500, QUERIES = 250 };
static const char *const programs[] = {"/usr/sbin/clickhouse-server", "/usr/bin/clickhouse-server"};
static const char box[] = "00112233445566778899aabbccddeeff";

struct server {
    struct kit *k;
    char dir[64];
    pid_t pid;
    unsigned port[3];
    struct house_conf conf;
    struct house *h;
};

static unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && !bind(fd, (struct sockaddr *)&a, n) && !getsockname(fd, (struct sockaddr *)&a, &n));
    (void)close(fd);
    return ntohs(a.sin_port);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[200];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && !fclose(f));
}

static const char *program(void)
{
    for (size_t i = 0; i < 2; i++)
        if (!access(programs[i], X_OK))
            return programs[i];
    return NULL;
}

static void start(struct server *s)
{
    char text[2000], config[200];

    for (size_t i = 0; i < 3; i++)
        s->port[i] = free_port();
    snprintf(text, sizeof text,
        "<yandex><logger><level>error</level><log>%s/log</log><errorlog>%s/err</errorlog></logger><http_port>%u</"
        "http_port>"
        "<tcp_port>%u</tcp_port><interserver_http_port>%u</interserver_http_port><listen_host>127.0.0.1</listen_host>"
        "<path>%s/data/</path><tmp_path>%s/tmp/</tmp_path><users_config>users.xml</"
        "users_config><default_profile>default</default_profile>"
        "<default_database>default</default_database><mark_cache_size>67108864</mark_cache_size><timezone>Asia/Tokyo</"
        "timezone></yandex>",
        s->dir, s->dir, s->port[0], s->port[1], s->port[2], s->dir, s->dir);
    write_file(s->dir, "config.xml", text);
    write_file(s->dir, "users.xml",
        "<yandex><profiles><default/></profiles><users><default><password>himitsu</password><networks><ip>127.0.0.1</"
        "ip>"
        "</networks><profile>default</profile><quota>default</quota></default></users><quotas><default/></quotas></"
        "yandex>");
    snprintf(config, sizeof config, "--config-file=%s/config.xml", s->dir);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (!s->pid) {
        unsetenv("LD_PRELOAD");
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(126);
        execl(program(), "clickhouse-server", config, (char *)NULL);
        _exit(127);
    }
}

static void open_house(struct server *s, const char *password)
{
    char url[60], why[HOUSE_WHY] = "";

    snprintf(url, sizeof url, "http://127.0.0.1:%u", s->port[0]);
    const struct house_texts t = {
        .urls = url, .database = "prob", .table = "events", .user = "default", .password = password, .ca = ""};
    if (house_conf_get(&t, &s->conf, why) < 0)
        fail_msg("%s", why);
    assert_ok(house_open(&s->conf, box, NULL, NULL, &s->h));
}

static int set_up(void **state)
{
    void *k = NULL;
    struct server *s = calloc(1, sizeof *s);

    *state = s;
    if (!s || curl_global_init(CURL_GLOBAL_DEFAULT) || kit_set_up(&k) < 0)
        return -1;
    s->k = k;
    s->pid = -1;
    if (!program())
        return 0;
    snprintf(s->dir, sizeof s->dir, "/tmp/sakimori-house-XXXXXX");
    if (!mkdtemp(s->dir))
        return -1;
    start(s);
    open_house(s, "himitsu");
    uint64_t until = plat_clock_mono_ms() + START_MS;
    int r;
    while ((r = house_init(s->h, NULL, 0)) == -SM_EPEER && plat_clock_mono_ms() < until)
        plat_clock_sleep_ms(100);
    if (r < 0)
        print_error("%s: %s\n", sm_strerror(r), house_why(s->h));
    return r;
}

static int tear_down(void **state)
{
    struct server *s = *state;
    void *k = s->k;

    house_free(s->h);
    if (s->pid > 0) {
        (void)kill(s->pid, SIGKILL);
        (void)waitpid(s->pid, NULL, 0);
        (void)plat_fs_remove_tree(AT_FDCWD, s->dir);
    }
    free(s);
    return kit_tear_down(&k);
}

/* ---- comparing ---- */

struct said {
    struct sm_buf text;
    uint64_t n, last_id;
    struct evsearch_cursor last;
    const struct event_names *names;
};

static int say(void *arg, const struct evsearch_hit *h)
{
    struct said *s = arg;

    assert_ok(sm_buf_printf(&s->text, "%llu/%u/", (unsigned long long)h->id, h->klass));
    assert_ok(sm_buf_put_span(&s->text, h->rules));
    assert_ok(event_json(h->event, s->names, &s->text));
    assert_ok(sm_buf_put_span(&s->text, h->event->raw));
    assert_ok(sm_buf_put(&s->text, "\n", 1));
    s->last = (struct evsearch_cursor){h->event->time, h->id};
    s->n++;
    return 0;
}

static void same(const struct said *a, const struct said *b, const char *query)
{
    if (sm_span_eq(sm_buf_span(&a->text), sm_buf_span(&b->text)))
        return;
    size_t i = 0;
    while (i < a->text.n && i < b->text.n && a->text.p[i] == b->text.p[i])
        i++;
    size_t from = i > 200 ? i - 200 : 0;
    print_error("%s\nrecord %llu, server %llu\nrecord: %.*s\nserver: %.*s\n", query, (unsigned long long)a->n,
        (unsigned long long)b->n, (int)(a->text.n - from < 600 ? a->text.n - from : 600), a->text.p + from,
        (int)(b->text.n - from < 600 ? b->text.n - from : 600), b->text.p + from);
    struct evquery *q = NULL;
    struct sm_buf x = SM_BUF_INIT(1 << 20), y = SM_BUF_INIT(1 << 20);
    assert_ok(evquery_parse(SM_SPAN_STR(query), 0, &q, NULL));
    assert_ok(house_where(q, &x, &y));
    print_error("%s\n%s\n", sm_buf_str(&x), sm_buf_str(&y));
    fail_msg("%s", query);
}

/* Every page of both, one after the other. */
static void compare(
    struct server *s, struct evreader *r, const struct house_search *w, const char *text, struct chance *c)
{
    struct said a = {.text = SM_BUF_INIT(64 << 20), .names = evreader_names(r)}, b = a;
    struct evsearch q = {.limit = 1 + chance(c, 300), .oldest_first = chance(c, 2)};
    struct evquery *query = NULL;
    uint64_t x[40], y[40];
    int n, m;

    assert_ok(evquery_parse(SM_SPAN_STR(text), 0, &query, NULL));
    q.query = query;
    q.from.s = INT64_MIN / 4;
    if (chance(c, 3) == 0)
        q.from = (struct event_time){1795000000 + chance(c, 1000), chance(c, 2) ? 0 : 500000000};
    if (chance(c, 3) == 0)
        q.to = (struct event_time){1795001000 + chance(c, 1000), chance(c, 2) ? 0 : 500000000};
    for (unsigned page = 0; page < 4; page++) {
        n = evsearch_run(r, &q, say, &a, NULL, NULL);
        m = house_run(s->h, w, &q, say, &b, NULL);
        if (m < 0)
            fail_msg("%s: %s: %s", text, sm_strerror(m), house_why(s->h));
        same(&a, &b, text);
        assert_int_equal(n, m);
        if (n < (int)q.limit)
            break;
        q.after = a.last;
    }
    q.from = (struct event_time){1795000000, 0};
    q.to = (struct event_time){1795002000, 0};
    assert_ok(evsearch_histogram(r, &q, 50, 40, x, NULL));
    m = house_histogram(s->h, w, &q, 50, 40, y, NULL);
    if (m < 0)
        fail_msg("%s: %s: %s", text, sm_strerror(m), house_why(s->h));
    assert_memory_equal(x, y, sizeof x);
    sm_buf_wipe(&a.text);
    sm_buf_wipe(&b.text);
    evquery_free(query);
}

static void bring_all(struct server *s, struct house_set *there, size_t most)
{
    struct evreader *r = NULL;
    struct house_block b;
    uint64_t waiting;

    assert_ok(evreader_open_closed(s->k->dir, &r));
    for (size_t i = 0; i < most && house_next(r, there, 0, &b, &waiting) > 0; i++) {
        int e = house_put(s->h, r, &b);
        if (e < 0)
            fail_msg("%s: %s", sm_strerror(e), house_why(s->h));
        assert_ok(house_set_add(there, b.number));
    }
    evreader_free(r);
}

static void results_order_and_histogram_are_those_of_the_record(void **state)
{
    struct server *s = *state;
    struct chance c = {0x5eed5eed};
    struct house_set there = {0};
    struct evreader *r = NULL;
    char query[1500];

    if (s->pid < 0) {
        print_message("skipped: clickhouse-server is not installed\n");
        skip();
    }
    s->k->conf.block_events = 200;
    kit_open(s->k, NULL);
    for (unsigned n = 0; n < EVENTS; n++) {
        const struct evidence_extra extra = {
            .klass = (uint8_t)(n % 3), .rules = SM_SPAN_STR(n % 10 ? "" : "rule-a rule-b")};
        house_event_by_chance(s->k, &c, n);
        assert_ok(evidence_append(s->k->j, s->k->names, &s->k->e, &extra, NULL));
    }
    assert_ok(evidence_commit(s->k->j));
    assert_ok(house_blocks(s->h, &there));
    assert_int_equal(there.blocks, 0);
    bring_all(s, &there, 4); /* some blocks there, some here, some open */
    house_set_wipe(&there);
    assert_ok(house_blocks(s->h, &there));
    assert_int_equal(there.blocks, 4);
    assert_int_equal(there.odd, 0);
    assert_ok(evreader_open(s->k->dir, &r));
    struct house_search w = {.reader = r, .there = &there, .until_ms = 0};
    compare(s, r, &w, "", &c);
    for (unsigned i = 0; i < QUERIES; i++) {
        if (i == QUERIES / 2) { /* and then all of it there */
            assert_ok(evidence_flush(s->k->j));
            bring_all(s, &there, SIZE_MAX);
            house_set_wipe(&there);
            assert_ok(house_blocks(s->h, &there));
            assert_int_equal(there.events, EVENTS);
            assert_ok(evreader_refresh(r));
        }
        w.not_block = i % 3 ? 0 : 2;
        house_query_by_chance(&c, query, sizeof query);
        compare(s, r, &w, query, &c);
    }
    evreader_free(r);
    house_set_wipe(&there);
    kit_close(s->k);
}

static int count_one(void *arg, const struct evsearch_hit *h)
{
    (void)h;
    ++*(unsigned *)arg;
    return 0;
}

static void a_block_brought_twice_is_counted_and_shown_once(void **state)
{
    struct server *s = *state;
    struct house_set there = {0};
    struct evreader *r = NULL;
    struct house_block b;
    uint64_t n, waiting;
    unsigned seen = 0;

    if (s->pid < 0)
        skip();
    assert_ok(evreader_open_closed(s->k->dir, &r));
    assert_int_equal(house_next(r, NULL, 0, &b, &waiting), 1);
    assert_ok(house_put(s->h, r, &b));
    assert_ok(house_count(s->h, b.number, &n));
    assert_int_equal(n, 2 * b.events);
    assert_ok(house_blocks(s->h, &there));
    assert_int_equal(there.odd, 1);
    assert_int_equal(there.odd_first, b.number);
    struct house_search w = {.reader = r, .there = &there};
    struct evsearch q = {.limit = EVSEARCH_LIMIT_MAX, .from.s = INT64_MIN / 4};
    assert_int_equal(house_run(s->h, &w, &q, count_one, &seen, NULL), EVENTS);
    assert_int_equal(seen, EVENTS);
    house_set_wipe(&there);
    evreader_free(r);
}

static void a_wrong_password_and_a_missing_table_are_said_in_a_word(void **state)
{
    struct server *s = *state;
    struct house_set there = {0};
    struct house *was = s->h;

    if (s->pid < 0)
        skip();
    open_house(s, "wrong");
    assert_int_equal(house_blocks(s->h, &there), -SM_EAUTH);
    assert_string_equal(house_reason(s->h), "keys");
    house_free(s->h);
    s->h = was;
    struct house_conf other = s->conf;
    snprintf(other.table, sizeof other.table, "nothing");
    snprintf(other.password, sizeof other.password, "himitsu");
    assert_ok(house_open(&other, box, NULL, NULL, &s->h));
    assert_int_equal(house_blocks(s->h, &there), -SM_ESTATE);
    assert_string_equal(house_reason(s->h), "table");
    house_free(s->h);
    s->h = was;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_order_and_histogram_are_those_of_the_record),
        cmocka_unit_test(a_block_brought_twice_is_counted_and_shown_once),
        cmocka_unit_test(a_wrong_password_and_a_missing_table_are_said_in_a_word),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
