#include "tests/sakimorid/box.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/json.h"
#include "plat/clock.h"
#include "plat/fs.h"

static void put_file(const char *dir, const char *name, const char *text)
{
    char path[300];

    snprintf(path, sizeof path, "%.200s/%.60s", dir, name);
    assert_ok(plat_replace(AT_FDCWD, path, SM_SPAN_STR(text), 0644));
}

static json_t *first_line(int fd)
{
    char line[4096];
    size_t n = 0;
    uint64_t until = plat_clock_mono_ms() + 60000;

    while (n < sizeof line - 1 && !memchr(line, '\n', n) && plat_clock_mono_ms() < until) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t k = poll(&p, 1, 1000) > 0 ? read(fd, line + n, sizeof line - 1 - n) : -2;
        if (k == 0)
            break;
        n += k > 0 ? (size_t)k : 0;
    }
    return json_loadb(line, n, JSON_DISABLE_EOF_CHECK, NULL);
}

void box_start(struct box *b, const char *settings)
{
    char conf[200], web[200];
    int out[2];

    memset(b, 0, sizeof *b);
    snprintf(b->dir, sizeof b->dir, "/tmp/sakimori-box-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    assert_int_equal(chmod(b->dir, 0755), 0);
    snprintf(b->data, sizeof b->data, "%s/data", b->dir);
    snprintf(web, sizeof web, "%s/web", b->dir);
    snprintf(conf, sizeof conf, "%s/box.conf", b->dir);
    assert_int_equal(mkdir(web, 0755), 0);
    put_file(web, "index.html", "<!doctype html>console\n");
    put_file(web, "app.js", "export {};\n");
    strncat(web, "/manual", 16);
    assert_int_equal(mkdir(web, 0755), 0);
    put_file(web, "index.html", "manual\n");
    put_file(web, "restore.html", "restore page\n");
    web[strlen(web) - 7] = '\0';
    put_file(b->dir, "box.conf", settings);
    assert_int_equal(pipe(out), 0);
    b->pid = fork();
    assert_true(b->pid >= 0);
    if (b->pid == 0) {
        /* Children are not dumpable, so the leak checker cannot look into them. */
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        execl(getenv("FAKEBOX"), "sakimorid", "--data", b->data, "--config", conf, "--port", "0", "--headless", "--web", web,
            (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    json_t *j = first_line(out[0]);
    close(out[0]);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "setup_code")), "TEST-CODE");
    assert_int_equal(strlen(json_string_value(json_object_get(j, "ca_fingerprint"))), 64);
    assert_int_equal(json_integer_value(json_object_get(j, "pid")), b->pid);
    assert_int_equal(sscanf(json_string_value(json_object_get(j, "console_url")), "https://127.0.0.1:%d", &b->port), 1);
    json_decref(j);
}

int box_stop(struct box *b)
{
    int status = -1;

    if (!b->pid)
        return -1;
    kill(b->pid, SIGTERM);
    assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
    b->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void box_remove(struct box *b)
{
    if (b->pid)
        (void)box_stop(b);
    assert_ok(plat_fs_remove_tree(AT_FDCWD, b->dir));
}

pid_t box_child(const struct box *b, const char *name)
{
    struct got g = box_get(b, "/api/v1/children");
    json_t *j = got_json(&g);
    json_t *c = json_object_get(j, name);
    const char *state = json_string_value(json_object_get(c, "state"));
    pid_t pid = state && !strcmp(state, "up") ? (pid_t)json_integer_value(json_object_get(c, "pid")) : 0;

    json_decref(j);
    return pid;
}

/* ---- client ---- */

static size_t keep(char *p, size_t size, size_t n, void *arg)
{
    return sm_buf_put(arg, p, size * n) < 0 ? 0 : size * n;
}

struct got box_ask(const struct box *b, struct ask a)
{
    struct got g = { .head = SM_BUF_INIT(1 << 20), .body = SM_BUF_INIT((size_t)256 << 20) };
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    char url[5000], sock[120];
    CURL *e = curl_easy_init();

    for (int i = 0; i < 6 && a.headers[i]; i++)
        list = curl_slist_append(list, a.headers[i]);
    if (a.door == LOCAL)
        snprintf(url, sizeof url, "http://box%s", a.path);
    else
        snprintf(url, sizeof url, "https://127.0.0.1:%d%s", b->port + (a.door == AGENT), a.path);
    snprintf(sock, sizeof sock, "%s/run/cli.sock", b->data);
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, a.timeout_ms ? a.timeout_ms : 40000L);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, keep);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, &g.head);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, &g.body);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    if (a.door == LOCAL)
        curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, sock);
    if (a.slow_bytes_per_s)
        curl_easy_setopt(e, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)a.slow_bytes_per_s);
    if (a.cert) {
        curl_easy_setopt(e, CURLOPT_SSLCERT, a.cert);
        curl_easy_setopt(e, CURLOPT_SSLKEY, a.key);
    }
    if (a.body) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)a.body_n);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, a.body);
    }
    if (a.method)
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, a.method);
    if (a.method && !strcmp(a.method, "HEAD"))
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    CURLcode code = curl_easy_perform(e);
    if (code == CURLE_OK || code == CURLE_OPERATION_TIMEDOUT || code == CURLE_PARTIAL_FILE)
        curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &g.status);
    curl_easy_cleanup(e);
    curl_slist_free_all(list);
    (void)sm_buf_str(&g.head);
    return g;
}

void got_wipe(struct got *g)
{
    sm_buf_wipe(&g->head);
    sm_buf_wipe(&g->body);
}

struct got box_get(const struct box *b, const char *path)
{
    return box_ask(b, (struct ask){ .path = path });
}

json_t *got_json(struct got *g)
{
    json_t *j = g->body.n ? json_loadb((const char *)g->body.p, g->body.n, JSON_DECODE_ANY, NULL) : NULL;

    got_wipe(g);
    return j;
}

bool got_has(const struct got *g, const char *text)
{
    return g->head.p && memmem(g->head.p, g->head.n, text, strlen(text));
}

void box_wait(const struct box *b, const char *path, const char *want)
{
    uint64_t until = plat_clock_mono_ms() + 40000;
    bool found = false;

    while (!found && plat_clock_mono_ms() < until) {
        struct got g = box_get(b, path);
        found = g.body.n && memmem(g.body.p, g.body.n, want, strlen(want));
        got_wipe(&g);
        if (!found)
            (void)poll(NULL, 0, 50);
    }
    if (!found)
        print_error("%s never said %s\n", path, want);
    assert_true(found);
}

/* ---- raw ---- */

void raw_open(const struct box *b, int door, struct raw *r)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)(b->port + (door == AGENT))),
        .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int e;

    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&a, sizeof a), 0);
    gnutls_certificate_allocate_credentials(&r->cred);
    gnutls_init(&r->s, GNUTLS_CLIENT);
    gnutls_set_default_priority(r->s);
    gnutls_credentials_set(r->s, GNUTLS_CRD_CERTIFICATE, r->cred);
    gnutls_transport_set_int(r->s, r->fd);
    do
        e = gnutls_handshake(r->s);
    while (e < 0 && !gnutls_error_is_fatal(e));
    assert_int_equal(e, 0);
}

void raw_send(struct raw *r, const char *text)
{
    size_t n = strlen(text);

    while (n) {
        ssize_t k = gnutls_record_send(r->s, text, n);
        if (k < 0)
            return; /* closed already: what matters is what it said */
        text += k;
        n -= (size_t)k;
    }
}

bool raw_read(struct raw *r, int timeout_ms, struct sm_buf *ret, const char *until)
{
    uint64_t end = plat_clock_mono_ms() + (uint64_t)timeout_ms;
    char piece[4096];

    for (;;) {
        uint64_t now = plat_clock_mono_ms();
        struct pollfd p = { .fd = r->fd, .events = POLLIN };
        if (until && ret->n && memmem(ret->p, ret->n, until, strlen(until)))
            return false;
        if (now >= end)
            return false;
        if (!gnutls_record_check_pending(r->s) && poll(&p, 1, (int)(end - now)) == 0)
            return false;
        ssize_t k = gnutls_record_recv(r->s, piece, sizeof piece);
        if (k == GNUTLS_E_AGAIN || k == GNUTLS_E_INTERRUPTED)
            continue;
        if (k <= 0)
            return true;
        assert_ok(sm_buf_put(ret, piece, (size_t)k));
    }
}

void raw_close(struct raw *r)
{
    gnutls_deinit(r->s);
    gnutls_certificate_free_credentials(r->cred);
    close(r->fd);
}
