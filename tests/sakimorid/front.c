/* front over real sockets: what it lets through, what it refuses, and how it streams. */
#include "tests/sakimorid/box.h"
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/x509.h"
#include "plat/clock.h"
#include "plat/fs.h"

static struct box box;

static int start(void **state)
{
    box_start(&box, "idle = 8s\nconnections_per_address = 40\n");
    return 0;
}

static int stop(void **state)
{
    int code = box_stop(&box);

    box_remove(&box);
    return code;
}

static const char *text(json_t *j, const char *a, const char *b)
{
    json_t *v = json_object_get(j, a);

    v = b ? json_object_get(v, b) : v;
    return json_is_string(v) ? json_string_value(v) : "";
}

static void console_files_come_with_all_headers(void **state)
{
    struct got g = box_get(&box, "/");

    assert_int_equal(g.status, 200);
    assert_span_is(sm_buf_span(&g.body), "<!doctype html>console\n");
    assert_true(got_has(&g, "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' "
        "data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'\r\n"));
    assert_true(got_has(&g, "Strict-Transport-Security: "));
    assert_true(got_has(&g, "X-Content-Type-Options: nosniff"));
    assert_true(got_has(&g, "Referrer-Policy: no-referrer"));
    assert_true(got_has(&g, "Cross-Origin-Opener-Policy: same-origin"));
    assert_true(got_has(&g, "Content-Type: text/html; charset=utf-8"));
    got_wipe(&g);
    g = box_get(&box, "/app.js");
    assert_true(got_has(&g, "Content-Type: text/javascript; charset=utf-8"));
    got_wipe(&g);
}

static void a_known_etag_is_not_sent_again(void **state)
{
    struct got g = box_get(&box, "/app.js");
    char *etag = strstr((char *)g.head.p, "ETag: ");
    char header[120];

    assert_non_null(etag);
    snprintf(header, sizeof header, "If-None-Match: %.34s", etag + 6);
    got_wipe(&g);
    g = box_ask(&box, (struct ask){ .path = "/app.js", .headers = { header } });
    assert_int_equal(g.status, 304);
    assert_int_equal(g.body.n, 0);
    got_wipe(&g);
}

static void expect_page(const char *path, long status, const char *body)
{
    struct got g = box_get(&box, path);

    assert_int_equal(g.status, status);
    if (body)
        assert_span_is(sm_buf_span(&g.body), body);
    got_wipe(&g);
}

static void console_paths_give_the_console_and_others_nothing(void **state)
{
    expect_page("/restore/step/2", 200, "<!doctype html>console\n");
    expect_page("/card", 200, "<!doctype html>console\n");
    expect_page("/manual", 200, "manual\n");
    expect_page("/manual/", 200, "manual\n");
    expect_page("/manual/restore", 200, "restore page\n");
    expect_page("/manual/nothing", 404, NULL);
    expect_page("/nothing.js", 404, NULL);
}

static void only_listed_headers_reach_brain(void **state)
{
    struct got g = box_ask(&box, (struct ask){ .path = "/api/v1/echo?a=%E9%98%B2+1&b=", .headers = { "Cookie: k=v",
        "X-Forwarded-For: 1.2.3.4", "X-Sakimori-Test: t", "X-CSRF-Token: c", "Accept-Language: en" } });
    json_t *j = got_json(&g);

    assert_string_equal(text(j, "path", NULL), "/api/v1/echo");
    assert_string_equal(text(j, "method", NULL), "GET");
    assert_string_equal(text(j, "query", "a"), "防 1");
    assert_string_equal(text(j, "query", "b"), "");
    assert_string_equal(text(j, "headers", "cookie"), "k=v");
    assert_string_equal(text(j, "headers", "x-sakimori-test"), "t");
    assert_string_equal(text(j, "headers", "x-csrf-token"), "c");
    assert_null(json_object_get(json_object_get(j, "headers"), "x-forwarded-for"));
    assert_string_equal(text(j, "remote", NULL), "127.0.0.1");
    assert_string_equal(text(j, "port", NULL), "console");
    assert_true(json_is_null(json_object_get(j, "peer")));
    json_decref(j);
}

static void brains_headers_pass_by_list_only(void **state)
{
    struct got g = box_get(&box, "/api/v1/cookies");

    assert_int_equal(g.status, 200);
    assert_true(got_has(&g, "Set-Cookie: a=1\r\n"));
    assert_true(got_has(&g, "Set-Cookie: b=2\r\n"));
    assert_true(got_has(&g, "Cache-Control: no-store"));
    assert_false(got_has(&g, "X-Evil"));
    got_wipe(&g);
}

static void a_body_is_passed_on_whole(void **state)
{
    static char body[60000];
    struct got g;

    memset(body, 'j', sizeof body);
    g = box_ask(&box, (struct ask){ .method = "POST", .path = "/api/v1/echo", .body = body, .body_n = sizeof body });
    json_t *j = got_json(&g);
    assert_int_equal(json_integer_value(json_object_get(j, "body_n")), sizeof body);
    json_decref(j);
}

static void expect_refusal(int door, const char *method, const char *path, size_t body_n, long status)
{
    char *body = body_n ? calloc(1, body_n) : NULL;
    struct got g = box_ask(&box, (struct ask){ .door = door, .method = method, .path = path, .body = body, .body_n = body_n });

    if (g.status != status)
        print_error("%s %s: %ld\n", method, path, g.status);
    assert_int_equal(status == 405, got_has(&g, "Allow: GET, HEAD"));
    assert_int_equal(g.status, status);
    got_wipe(&g);
    free(body);
}

static void crooked_paths_are_refused(void **state)
{
    static const char *const paths[] = { "/../etc/passwd", "/api/v1/../../x", "/api/%2e%2e/x", "/a%2fb", "/a%5cb", "/a%00b", "//x",
        "/a//b", "/./a", "/a/.", "/%zz", "/%e9%98", "/a%0d%0ab", "/api/v1/echo?a=1&a=2", "/api/v1/echo?a=%00" };

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        expect_refusal(CONSOLE, "GET", paths[i], 0, 400);
}

static void an_address_that_is_too_long_says_how_long_it_may_be(void **state)
{
    static char path[9100] = "/api/v1/logs/search?q=";

    memset(path + strlen(path), 'q', 9000);
    struct got g = box_get(&box, path);
    assert_int_equal(g.status, 414);
    json_t *j = got_json(&g);
    assert_string_equal(text(j, "error", "code"), "too_long");
    assert_non_null(strstr(text(j, "error", "message"), "4095"));
    assert_null(strstr(text(j, "error", "message"), "qqq"));
    json_decref(j);
}

static void methods_bodies_and_doors_have_limits(void **state)
{
    expect_refusal(CONSOLE, "TRACE", "/api/v1/echo", 0, 405);
    expect_refusal(CONSOLE, "BREW", "/", 0, 405);
    expect_refusal(CONSOLE, "POST", "/", 10, 405);
    expect_refusal(CONSOLE, "POST", "/api/v1/echo", 65537, 413);
    expect_refusal(CONSOLE, "GET", "/api/v1/echo", 10, 413);
    expect_refusal(AGENT, "POST", "/agent/v1/sessions/s/manifest", 300 << 10, 413);
    expect_refusal(AGENT, "POST", "/agent/v1/sessions/s/manifest", 256 << 10, 200);
    expect_refusal(AGENT, "PUT", "/agent/v1/sessions/s/packs/denied", 1 << 20, 403);
    expect_refusal(CONSOLE, "GET", "/agent/v1/poll", 0, 404);
    expect_refusal(AGENT, "GET", "/api/v1/echo", 0, 404);
    expect_refusal(AGENT, "GET", "/", 0, 404);
    expect_refusal(LOCAL, "GET", "/agent/v1/poll", 0, 404);
}

static void the_connection_goes_on_after_an_answer(void **state)
{
    struct raw r;
    struct sm_buf got = SM_BUF_INIT(1 << 20);

    raw_open(&box, CONSOLE, &r);
    for (int i = 0; i < 3; i++) {
        sm_buf_clear(&got);
        raw_send(&r, i == 1 ? "GET /app.js HTTP/1.1\r\nHost: x\r\n\r\n" : "GET /api/v1/echo HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_false(raw_read(&r, 10000, &got, i == 1 ? "export {};" : "body_n\":0}"));
        assert_non_null(memmem(got.p, got.n, "HTTP/1.1 200", 12));
    }
    raw_close(&r);
    sm_buf_wipe(&got);
}

/* The whole request, and what the answer must begin with; NULL: the connection just ends. */
static void expect_raw(const char *request, const char *status)
{
    struct raw r;
    struct sm_buf got = SM_BUF_INIT(1 << 20);

    raw_open(&box, CONSOLE, &r);
    raw_send(&r, request);
    bool closed = raw_read(&r, 15000, &got, NULL);
    if (!closed)
        print_error("still open after: %.60s\n", request);
    assert_true(closed);
    if (status && (got.n < strlen(status) || memcmp(got.p, status, strlen(status))))
        print_error("%.60s -> %.60s\n", request, got.n ? sm_buf_str(&got) : "");
    if (status)
        assert_true(got.n >= strlen(status) && !memcmp(got.p, status, strlen(status)));
    raw_close(&r);
    sm_buf_wipe(&got);
}

static void malformed_http_ends_the_connection(void **state)
{
    char *long_line = calloc(1, 300000), *many = calloc(1, 20000);

    expect_raw("\x16\x03\x01 not http\r\n\r\n", NULL);
    expect_raw("GET http\r\n\r\n", NULL);
    expect_raw("POST /api/v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 12x\r\n\r\n", "HTTP/1.1 400");
    expect_raw("POST /api/v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 400");
    /* Too long to be read and dropped: refused before a byte of it came. */
    expect_raw("POST /api/v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 67108865\r\n\r\n", "HTTP/1.1 413");
    /* Announced is enough: not a byte of it came. */
    expect_raw("POST /api/v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", "HTTP/1.1 413");
    expect_raw("GET /api/v1/echo HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n", "HTTP/1.1 400");
    expect_raw("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 400");
    expect_raw("GET /api/v1/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n", "HTTP/1.1 400");
    memset(long_line, 'a', 290000);
    memcpy(long_line, "GET /", 5);
    expect_raw(long_line, NULL);
    strncat(many, "GET /api/v1/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", 100);
    for (int i = 0; i < 70; i++)
        snprintf(many + strlen(many), 40, "X-Header-%d: value\r\n", i);
    strncat(many, "\r\n", 3);
    expect_raw(many, "HTTP/1.1 431");
    free(long_line);
    free(many);
    expect_page("/", 200, NULL);
}

static void a_client_that_dawdles_is_cut(void **state)
{
    struct raw r;
    struct sm_buf got = SM_BUF_INIT(1 << 16);
    uint64_t began = plat_clock_mono_ms();
    bool closed = false;

    raw_open(&box, CONSOLE, &r);
    raw_send(&r, "GET / HTTP/1.1\r\n");
    /* One byte now and then keeps it from being idle; it is cut all the same. */
    while (!closed && plat_clock_mono_ms() - began < 30000) {
        raw_send(&r, "X");
        closed = raw_read(&r, 500, &got, NULL);
    }
    assert_true(closed);
    raw_close(&r);
    sm_buf_wipe(&got);
}

static void a_silent_handshake_costs_no_cpu(void **state)
{
    char path[64], line[512];
    pid_t front = box_child(&box, "front");
    unsigned long before[2] = { 0 }, after[2] = { 0 };
    struct raw r = { 0 };
    FILE *f;

    raw_open(&box, CONSOLE, &r); /* and then nothing */
    snprintf(path, sizeof path, "/proc/%d/stat", (int)front);
    for (int i = 0; i < 2; i++) {
        unsigned long *to = i ? after : before;
        f = fopen(path, "r");
        assert_non_null(f);
        assert_non_null(fgets(line, sizeof line, f));
        fclose(f);
        assert_int_equal(sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &to[0], &to[1]), 2);
        if (!i)
            assert_false(raw_read(&r, 2000, &(struct sm_buf){ 0 }, NULL));
    }
    /* Ticks of 10 ms: spinning for two seconds would be about 200. */
    assert_true(after[0] + after[1] - before[0] - before[1] < 60);
    raw_close(&r);
}

static void a_late_answer_is_waited_for(void **state)
{
    struct got g = box_get(&box, "/api/v1/late?ms=1500");

    assert_int_equal(g.status, 200);
    assert_span_is(sm_buf_span(&g.body), "{\"late\":true}");
    got_wipe(&g);
}

static void brain_hears_when_a_waiting_client_goes(void **state)
{
    struct raw r;

    raw_open(&box, CONSOLE, &r);
    raw_send(&r, "GET /api/v1/never HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_false(raw_read(&r, 300, &(struct sm_buf){ 0 }, NULL));
    raw_close(&r);
    box_wait(&box, "/api/v1/gone", "{\"gone\":1}");
}

static void a_long_answer_of_brain_comes_whole(void **state)
{
    struct got g = box_get(&box, "/api/v1/big");

    assert_int_equal(g.status, 200);
    assert_int_equal(g.body.n, 10 * (900 << 10));
    got_wipe(&g);
}

static void the_local_socket_says_who_asks(void **state)
{
    struct got g = box_ask(&box, (struct ask){ .door = LOCAL, .path = "/api/v1/echo" });
    json_t *j = got_json(&g);

    assert_string_equal(text(j, "port", NULL), "local");
    assert_int_equal(json_integer_value(json_object_get(j, "uid")), geteuid());
    json_decref(j);
}

/* ---- packs ---- */

struct pack { uint8_t *bytes; size_t n; char path[200], length[60]; };

static struct pack pack_new(size_t n, unsigned seed)
{
    struct pack p = { .bytes = malloc(n), .n = n };
    uint8_t sum[32];
    char hex[65];

    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245 + 12345;
        p.bytes[i] = (uint8_t)(seed >> 16);
    }
    crypto_sha256(SM_SPAN(p.bytes, n), sum);
    sm_hex(sum, 32, hex);
    snprintf(p.path, sizeof p.path, "/agent/v1/sessions/s1/packs/%s", hex);
    snprintf(p.length, sizeof p.length, "X-Sakimori-Length: %zu", n);
    return p;
}

static long put(struct pack *p, size_t offset, size_t n, struct sm_buf *ret_body)
{
    char off[60];
    struct got g;

    snprintf(off, sizeof off, "X-Sakimori-Offset: %zu", offset);
    g = box_ask(&box, (struct ask){ .door = AGENT, .method = "PUT", .path = p->path, .headers = { p->length, off },
        .body = p->bytes + offset, .body_n = n });
    long status = g.status;
    if (ret_body)
        assert_ok(sm_buf_put_span(ret_body, sm_buf_span(&g.body)));
    got_wipe(&g);
    return status;
}

static void a_pack_goes_through_and_is_checked_by_its_name(void **state)
{
    struct pack p = pack_new((8 << 20) + 12345, 1);

    assert_int_equal(put(&p, 0, p.n, NULL), 200);
    assert_int_equal(put(&p, p.n, 0, NULL), 200); /* again: known, nothing sent */
    free(p.bytes);
    p = pack_new(700000, 2);
    p.bytes[350000] ^= 1;
    assert_int_equal(put(&p, 0, p.n, NULL), 422);
    free(p.bytes);
}

static void a_pack_goes_on_where_the_box_stopped(void **state)
{
    struct pack p = pack_new(3000000, 3);
    struct sm_buf body = SM_BUF_INIT(4096);

    assert_int_equal(put(&p, 0, 1234567, &body), 409); /* less than the pack is long */
    assert_non_null(memmem(body.p, body.n, "\"have\":1234567", 14));
    sm_buf_clear(&body);
    assert_int_equal(put(&p, 1000000, p.n - 1000000, &body), 409);
    assert_non_null(memmem(body.p, body.n, "\"have\":1234567", 14));
    assert_non_null(memmem(body.p, body.n, "\"code\":\"offset\"", 15));
    assert_int_equal(put(&p, 1234567, p.n - 1234567, NULL), 200);
    assert_int_equal(put(&p, 0, 0, NULL), 200);
    free(p.bytes);
    sm_buf_wipe(&body);
}

static void what_came_before_a_cut_is_kept(void **state)
{
    struct pack p = pack_new(2000000, 4);
    struct raw r;
    char head[400];
    struct sm_buf body = SM_BUF_INIT(4096);
    long status = 0;

    raw_open(&box, AGENT, &r);
    snprintf(head, sizeof head, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n%s\r\n\r\n", p.path, p.length);
    raw_send(&r, head);
    size_t sent = 0;
    while (sent < 1000000) {
        ssize_t k = gnutls_record_send(r.s, p.bytes + sent, 1000000 - sent);
        assert_true(k > 0);
        sent += (size_t)k;
    }
    raw_close(&r);
    /* Until the vault has heard of the end, the offset 0 is told to be wrong by another number. */
    for (int i = 0; i < 100 && !(body.n && memmem(body.p, body.n, "\"have\":1000000", 14)); i++) {
        sm_buf_clear(&body);
        status = put(&p, 1, 1, &body);
    }
    assert_int_equal(status, 409);
    assert_int_equal(put(&p, 1000000, 1000000, NULL), 200);
    free(p.bytes);
    sm_buf_wipe(&body);
}

static void *put_one(void *arg)
{
    struct pack *p = arg;
    struct sm_buf body = SM_BUF_INIT(65536);
    long status = put(p, 0, p->n, &body);

    if (status != 200)
        print_error("%ld %s\n", status, body.n ? sm_buf_str(&body) : "");
    sm_buf_wipe(&body);
    return status == 200 ? arg : NULL;
}

static void many_packs_at_once_all_arrive(void **state)
{
    struct pack p[8];
    pthread_t t[8];
    void *ok;

    for (unsigned i = 0; i < 8; i++) {
        p[i] = pack_new(6 << 20, 100 + i);
        assert_int_equal(pthread_create(&t[i], NULL, put_one, &p[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(t[i], &ok), 0);
        assert_non_null(ok);
        free(p[i].bytes);
    }
}

/* ---- downloads ---- */

static void objects_come_in_the_order_asked(void **state)
{
    enum { N = 300 };
    static uint8_t cids[N * 32];
    struct got g;

    for (int i = 0; i < N; i++) {
        cids[i * 32] = (uint8_t)(i % 50 == 7 ? 255 : 1 + i % 200);
        cids[i * 32 + 1] = (uint8_t)i;
    }
    g = box_ask(&box, (struct ask){ .door = AGENT, .method = "POST", .path = "/agent/v1/restores/r1/objects", .body = cids,
        .body_n = sizeof cids });
    assert_int_equal(g.status, 200);
    struct sm_rd rd = SM_RD(sm_buf_span(&g.body));
    for (int i = 0; i < N; i++) {
        uint32_t n = sm_rd_u32(&rd);
        assert_int_equal(n, cids[i * 32] == 255 ? 0xffffffffu : cids[i * 32] * 1024u);
        struct sm_span s = sm_rd_bytes(&rd, n == 0xffffffffu ? 0 : n);
        if (s.n)
            assert_true(s.p[0] == (uint8_t)i && s.p[s.n - 1] == (uint8_t)i);
    }
    assert_ok(sm_rd_done(&rd));
    got_wipe(&g);
}

static long front_memory_kib(void)
{
    char path[64], line[200];
    long kib = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)box_child(&box, "front"));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    fclose(f);
    return kib;
}

static void a_file_streams_to_a_slow_reader_in_bounded_memory(void **state)
{
    struct got g = box_ask(&box, (struct ask){ .method = "POST", .path = "/api/v1/opener", .body = "{\"start\":true}", .body_n = 14 });
    long before;

    assert_int_equal(g.status, 200);
    got_wipe(&g);
    box_wait(&box, "/api/v1/children", "\"name\":\"opener\",\"pid\":");
    before = front_memory_kib();
    g = box_ask(&box, (struct ask){ .path = "/api/v1/file?n=200000000", .timeout_ms = 3000, .slow_bytes_per_s = 1 << 20 });
    assert_int_equal(g.status, 200);
    assert_true(g.body.n < 200000000);
    assert_true(front_memory_kib() - before < 60000);
    got_wipe(&g);
    g = box_get(&box, "/api/v1/file?n=20000001");
    assert_int_equal(g.status, 200);
    assert_int_equal(g.body.n, 20000001);
    assert_true(got_has(&g, "Content-Length: 20000001"));
    got_wipe(&g);
}

/* ---- events ---- */

static void events_reach_their_readers_until_the_session_is_dropped(void **state)
{
    struct raw r;
    struct sm_buf got = SM_BUF_INIT(1 << 20);

    raw_open(&box, CONSOLE, &r);
    raw_send(&r, "GET /api/v1/events?session=S1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_false(raw_read(&r, 10000, &got, ": ok"));
    assert_non_null(memmem(got.p, got.n, "Content-Type: text/event-stream", 31));
    box_wait(&box, "/api/v1/fire?topic=other&text=no", "{}");
    box_wait(&box, "/api/v1/fire?topic=today&text=%E9%98%B2", "{}");
    assert_false(raw_read(&r, 10000, &got, "id: 7\nevent: today\ndata: {\"text\":\"防\"}\n\n"));
    assert_null(memmem(got.p, got.n, "event: other", 12));
    box_wait(&box, "/api/v1/drop?session=S2", "{}");
    box_wait(&box, "/api/v1/fire?topic=run&text=2", "{}");
    assert_false(raw_read(&r, 10000, &got, "event: run\n"));
    box_wait(&box, "/api/v1/drop?session=S1", "{}");
    assert_false(raw_read(&r, 10000, &got, "\r\n0\r\n\r\n"));
    assert_non_null(memmem(got.p, got.n, "\r\n0\r\n\r\n", 7));
    raw_close(&r);
    sm_buf_wipe(&got);
}

/* ---- who the agent is ---- */

static void write_pem(const char *name, struct sm_span pem, char *ret_path)
{
    snprintf(ret_path, 200, "%s/%s", box.dir, name);
    assert_ok(plat_replace(AT_FDCWD, ret_path, pem, 0600));
}

static json_t *ask_as(const char *cert, const char *key)
{
    struct got g = box_ask(&box, (struct ask){ .door = AGENT, .path = "/agent/v1/echo", .cert = cert, .key = key });

    return got_json(&g);
}

static void an_agent_is_known_by_a_certificate_of_our_ca_only(void **state)
{
    struct sm_buf key = SM_BUF_INIT(4096), csr = SM_BUF_INIT(8192), pem = SM_BUF_INIT(8192), ca = SM_BUF_INIT(8192);
    char cert_file[200], key_file[200];
    json_t *ask, *j;

    assert_ok(crypto_x509_key_new(&key));
    assert_ok(crypto_x509_csr_new(sm_buf_span(&key), "dev1", &csr));
    ask = json_object();
    struct sm_buf b64 = SM_BUF_INIT(16384);
    assert_ok(sm_buf_printf(&b64, "-----BEGIN CERTIFICATE REQUEST-----\n"));
    assert_ok(sm_base64(sm_buf_span(&csr), &b64));
    assert_ok(sm_buf_printf(&b64, "\n-----END CERTIFICATE REQUEST-----\n"));
    json_object_set_new(ask, "csr", json_string(sm_buf_str(&b64)));
    char *body = json_dumps(ask, 0);
    json_decref(ask);
    struct got g = box_ask(&box, (struct ask){ .method = "POST", .path = "/api/v1/device", .body = body, .body_n = strlen(body) });
    free(body);
    j = got_json(&g);
    write_pem("dev.crt", SM_SPAN_STR(text(j, "cert_pem", NULL)), cert_file);
    json_decref(j);
    write_pem("dev.key", sm_buf_span(&key), key_file);
    j = ask_as(cert_file, key_file);
    assert_string_equal(text(j, "peer", "cn"), "dev1");
    assert_int_equal(strlen(text(j, "peer", "cert_sha256")), 64);
    json_decref(j);
    /* The same request signed by somebody else's CA. */
    sm_buf_clear(&csr);
    assert_ok(crypto_x509_ca_new(sm_buf_span(&key), "other", plat_clock_wall().s, &ca));
    struct sm_buf der = SM_BUF_INIT(8192), req = SM_BUF_INIT(8192);
    assert_ok(crypto_x509_csr_new(sm_buf_span(&key), "dev1", &req));
    assert_ok(crypto_x509_device_from_csr(sm_buf_span(&ca), sm_buf_span(&key), sm_buf_span(&req), "dev1", plat_clock_wall().s,
        30, &der));
    assert_ok(crypto_x509_to_pem(sm_buf_span(&der), &pem));
    write_pem("dev.crt", sm_buf_span(&pem), cert_file);
    j = ask_as(cert_file, key_file);
    assert_true(json_is_null(json_object_get(j, "peer")));
    assert_string_equal(text(j, "peer_error", NULL), "SM_EAUTH");
    json_decref(j);
    j = ask_as(NULL, NULL);
    assert_true(json_is_null(json_object_get(j, "peer")));
    json_decref(j);
    sm_buf_wipe(&key); sm_buf_wipe(&csr); sm_buf_wipe(&pem); sm_buf_wipe(&ca); sm_buf_wipe(&der); sm_buf_wipe(&req);
    sm_buf_wipe(&b64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(console_files_come_with_all_headers),
        cmocka_unit_test(a_known_etag_is_not_sent_again),
        cmocka_unit_test(console_paths_give_the_console_and_others_nothing),
        cmocka_unit_test(only_listed_headers_reach_brain),
        cmocka_unit_test(brains_headers_pass_by_list_only),
        cmocka_unit_test(a_body_is_passed_on_whole),
        cmocka_unit_test(crooked_paths_are_refused),
        cmocka_unit_test(methods_bodies_and_doors_have_limits),
        cmocka_unit_test(an_address_that_is_too_long_says_how_long_it_may_be),
        cmocka_unit_test(the_connection_goes_on_after_an_answer),
        cmocka_unit_test(malformed_http_ends_the_connection),
        cmocka_unit_test(a_client_that_dawdles_is_cut),
        cmocka_unit_test(a_silent_handshake_costs_no_cpu),
        cmocka_unit_test(a_late_answer_is_waited_for),
        cmocka_unit_test(brain_hears_when_a_waiting_client_goes),
        cmocka_unit_test(a_long_answer_of_brain_comes_whole),
        cmocka_unit_test(the_local_socket_says_who_asks),
        cmocka_unit_test(a_pack_goes_through_and_is_checked_by_its_name),
        cmocka_unit_test(a_pack_goes_on_where_the_box_stopped),
        cmocka_unit_test(what_came_before_a_cut_is_kept),
        cmocka_unit_test(many_packs_at_once_all_arrive),
        cmocka_unit_test(objects_come_in_the_order_asked),
        cmocka_unit_test(a_file_streams_to_a_slow_reader_in_bounded_memory),
        cmocka_unit_test(events_reach_their_readers_until_the_session_is_dropped),
        cmocka_unit_test(an_agent_is_known_by_a_certificate_of_our_ca_only),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    assert_ok(crypto_init());
    return cmocka_run_group_tests(tests, start, stop);
}
