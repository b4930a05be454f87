#include "sakimori-agent/http.h"

#include <curl/curl.h>
#include <errno.h>

#include "core/log.h"
#include "plat/fs.h"

#define STALL_S 60L
#define CONNECT_MS 10000L

struct http_call {
    struct http *h;
    CURL *easy;
    struct curl_slist *headers, *resolve;
    struct sm_buf answer, copy;
    struct sm_span body;
    bool from_fd;
    int body_fd;
    uint64_t body_at;
    size_t sent;
    http_done_fn done;
    http_data_fn data;
    void *arg;
    int failed;
    char error[CURL_ERROR_SIZE];
    struct http_call *next;
};

struct socket_watch {
    struct sm_watch *w;
};

struct http {
    struct http_config c;
    char *base, *ca, *cert, *key;
    char pin[1024]; /* "": nothing; "-HOST:PORT": what was pinned is forgotten */
    CURLM *multi;
    struct sm_timer *timer;
    struct http_call *calls;
};

static void settle(struct http *h);

/* ---- the loop and the multi handle ---- */

static void on_socket(void *arg, int fd, unsigned events)
{
    struct http *h = arg;
    int running, mask = 0;
    if (events & SM_READ)
        mask |= CURL_CSELECT_IN;
    if (events & SM_WRITE)
        mask |= CURL_CSELECT_OUT;
    if (events & SM_HUP)
        mask |= CURL_CSELECT_ERR;
    curl_multi_socket_action(h->multi, fd, mask, &running);
    settle(h);
}

static void on_timer(void *arg)
{
    struct http *h = arg;
    int running;
    curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    settle(h);
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
    (void)easy;
    struct http *h = arg;
    struct sm_watch *w = mine;
    if (what == CURL_POLL_REMOVE) {
        sm_watch_free(w);
        curl_multi_assign(h->multi, fd, NULL);
        return 0;
    }
    unsigned events = (what & CURL_POLL_IN ? SM_READ : 0u) | (what & CURL_POLL_OUT ? SM_WRITE : 0u);
    if (w) {
        sm_watch_events(w, events);
        return 0;
    }
    if (sm_loop_fd(h->c.loop, fd, events, on_socket, h, &w) < 0)
        return -1;
    curl_multi_assign(h->multi, fd, w);
    return 0;
}

/* The timer exists always; a long rest stands for "none". */
static int want_timer(CURLM *m, long ms, void *arg)
{
    (void)m;
    struct http *h = arg;
    sm_timer_set(h->timer, ms < 0 ? (uint64_t)86400 * 1000 : (uint64_t)ms, 0);
    return 0;
}

/* ---- one request ---- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct http_call *c = arg;
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (c->data && status == 200) {
        int r = c->data(c->arg, SM_SPAN(p, size * n));
        if (r == -SM_EAGAIN)
            return CURL_WRITEFUNC_PAUSE;
        if (r)
            c->failed = r;
        return r ? 0 : size * n;
    }
    int r = sm_buf_put(&c->answer, p, size * n);
    if (r)
        c->failed = r;
    return r ? 0 : size * n;
}

static size_t on_send(char *to, size_t size, size_t n, void *arg)
{
    struct http_call *c = arg;
    size_t left = c->body.n - c->sent, take = size * n < left ? size * n : left;
    if (c->from_fd && plat_fs_pread_all(c->body_fd, to, take, c->body_at + c->sent))
        return CURL_READFUNC_ABORT;
    if (!c->from_fd && take)
        memcpy(to, c->body.p + c->sent, take);
    c->sent += take;
    return take;
}

/* A body that was begun is sent again from the start when the connection had died in between. */
static int on_seek(void *arg, curl_off_t off, int origin)
{
    struct http_call *c = arg;
    if (origin != SEEK_SET || off < 0 || (size_t)off > c->body.n)
        return CURL_SEEKFUNC_FAIL;
    c->sent = (size_t)off;
    return CURL_SEEKFUNC_OK;
}

static void call_free(struct http_call *c)
{
    curl_multi_remove_handle(c->h->multi, c->easy);
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    curl_slist_free_all(c->resolve);
    sm_buf_wipe(&c->answer);
    sm_buf_wipe(&c->copy);
    free(c);
}

static void forget(struct http_call *c)
{
    for (struct http_call **at = &c->h->calls; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            return;
        }
    }
}

static int error_of(CURLcode e)
{
    switch (e) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
        return -SM_EAUTH;
    case CURLE_OPERATION_TIMEDOUT:
        return -SM_ETIME;
    default:
        return -SM_EPEER;
    }
}

static void settle(struct http *h)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
        if (m->msg != CURLMSG_DONE)
            continue;
        struct http_call *c = NULL;
        CURLcode e = m->data.result;
        long status = 0;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        forget(c);
        int r = c->failed ? c->failed : e != CURLE_OK && e != CURLE_SEND_ERROR ? error_of(e) : (int)status;
        /* The box may answer and close before it has read all of a body it does not want. */
        if (e == CURLE_SEND_ERROR && status < 400)
            r = -SM_EPEER;
        if (r < 0)
            sm_debug("request: %s", c->error[0] ? c->error : curl_easy_strerror(e));
        c->done(c->arg, r, sm_buf_span(&c->answer));
        call_free(c);
    }
}

static void set_common(CURL *e, const char *ca, bool verify)
{
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
    if (ca) {
        curl_easy_setopt(e, CURLOPT_CAINFO, ca);
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    }
}

static void set_body(struct http_call *c, const struct http_request *r)
{
    CURL *e = c->easy;
    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method);
    if (strcmp(r->method, "GET") == 0)
        return;
    bool put = strcmp(r->method, "PUT") == 0;
    curl_easy_setopt(e, put ? CURLOPT_UPLOAD : CURLOPT_POST, 1L);
    curl_easy_setopt(e, put ? CURLOPT_INFILESIZE_LARGE : CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.n);
    curl_easy_setopt(e, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(e, CURLOPT_READDATA, c);
    curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(e, CURLOPT_SEEKDATA, c);
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
    c->headers = curl_slist_append(c->headers, "Expect:"); /* no waiting for "100 Continue" */
}

int http_start(struct http *h, const struct http_request *r, struct http_call **ret)
{
    struct http_call *c = calloc(1, sizeof *c);
    char url[2048];
    if (!c)
        return -ENOMEM;
    c->h = h;
    c->done = r->done;
    c->data = r->data;
    c->arg = r->arg;
    c->answer.max = HTTP_ANSWER_MAX;
    c->body = r->body;
    c->from_fd = r->from_fd;
    c->body_fd = r->body_fd;
    c->body_at = r->body_at;
    int e = r->copy_body ? sm_buf_put_span(&c->copy, r->body) : 0;
    c->easy = e ? NULL : curl_easy_init();
    if (!c->easy || (size_t)snprintf(url, sizeof url, "%s%s", h->base, r->path) >= sizeof url) {
        if (c->easy)
            curl_easy_cleanup(c->easy);
        sm_buf_wipe(&c->copy);
        free(c);
        return e ? e : -ENOMEM;
    }
    if (r->copy_body)
        c->body = sm_buf_span(&c->copy);
    for (size_t i = 0; i < HTTP_HEADERS_MAX && r->headers[i]; i++)
        c->headers = curl_slist_append(c->headers, r->headers[i]);
    set_common(c->easy, h->ca, true);
    if (h->pin[0])
        c->resolve = curl_slist_append(NULL, h->pin);
    if (c->resolve)
        curl_easy_setopt(c->easy, CURLOPT_RESOLVE, c->resolve);
    curl_easy_setopt(c->easy, CURLOPT_URL, url);
    curl_easy_setopt(c->easy, CURLOPT_SSLCERT, h->cert);
    curl_easy_setopt(c->easy, CURLOPT_SSLKEY, h->key);
    curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_BUFFERSIZE, 256L << 10);
    curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(c->easy, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)r->bytes_s);
    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT, r->timeout_s);
    curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_TIME, STALL_S);
    curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_LIMIT, r->timeout_s ? 0L : 1L);
    set_body(c, r);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    c->next = h->calls;
    h->calls = c;
    curl_multi_add_handle(h->multi, c->easy);
    *ret = c;
    return 0;
}

void http_pin(struct http *h, const char *text)
{
    size_t host = strcspn(h->pin, ":"), port = host + (h->pin[host] ? 1 + strcspn(h->pin + host + 1, ":") : 0);
    if (text[0]) {
        (void)snprintf(h->pin, sizeof h->pin, "%.900s", text); /* fits */
    } else if (h->pin[0] && h->pin[0] != '-') {
        memmove(h->pin + 1, h->pin, port);
        h->pin[0] = '-';
        h->pin[port + 1] = 0;
    }
}

void http_go_on(struct http_call *c)
{
    curl_easy_pause(c->easy, CURLPAUSE_CONT);
    sm_timer_set(c->h->timer, 0, 0);
}

void http_cancel(struct http_call *c)
{
    forget(c);
    call_free(c);
}

int http_new(const struct http_config *config, struct http **ret)
{
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->c = *config;
    h->base = strdup(config->base);
    h->ca = strdup(config->ca_file);
    h->cert = strdup(config->cert_file);
    h->key = strdup(config->key_file);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    h->multi = curl_multi_init();
    int r = h->base && h->ca && h->cert && h->key && h->multi ? 0 : -ENOMEM;
    if (!r)
        r = sm_loop_timer(config->loop, (uint64_t)86400 * 1000, 0, on_timer, h, &h->timer);
    if (r) {
        http_free(h);
        return r;
    }
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, want_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, 8L);
    *ret = h;
    return 0;
}

int http_cert(struct http *h, const char *cert_file)
{
    char *s = strdup(cert_file);
    if (!s)
        return -ENOMEM;
    free(h->cert);
    h->cert = s;
    return 0;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    while (h->calls) {
        struct http_call *c = h->calls;
        h->calls = c->next;
        c->done(c->arg, -SM_EPEER, SM_SPAN(NULL, 0));
        call_free(c);
    }
    if (h->multi)
        curl_multi_cleanup(h->multi);
    sm_timer_free(h->timer);
    free(h->base);
    free(h->ca);
    free(h->cert);
    free(h->key);
    free(h);
}

static size_t once_body(char *p, size_t size, size_t n, void *arg)
{
    return sm_buf_put(arg, p, size * n) ? 0 : size * n;
}

int http_once(const char *url, const char *ca_file, bool verify, const char *method, struct sm_span json_body,
    int *ret_status, struct sm_buf *ret_body, char *ret_why)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURL *e = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    char error[CURL_ERROR_SIZE] = "";
    long status = 0;
    if (!e)
        return -ENOMEM;
    set_common(e, ca_file, verify);
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, once_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, ret_body);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    if (strcmp(method, "POST") == 0) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)json_body.n);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, json_body.p);
    }
    CURLcode r = curl_easy_perform(e);
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    if (r != CURLE_OK)
        snprintf(ret_why, 256, "%s", error[0] ? error : curl_easy_strerror(r));
    else
        *ret_status = (int)status;
    curl_slist_free_all(headers);
    curl_easy_cleanup(e);
    return r == CURLE_OK ? 0 : error_of(r);
}
