/* One connection to another box: requests one after the other, each waited for. */
#include <curl/curl.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plat/fs.h"
#include "vault/copy/box_internal.h"

#define CONNECT_MS 15000L
#define STALL_S 60L
#define NAME_BYTES 32

struct box_http {
    CURL *easy;
    char *url;
    int files[3];                    /* CA, certificate, key */
    char names[3][NAME_BYTES];
    bool verify;
    const atomic_bool *cancel;
    uint64_t rate;
    struct sm_span body;
    size_t sent;
    struct sm_buf *answer;
    int failed;
    char why[CURL_ERROR_SIZE];
};

static int memory_file(const char *text, int *ret_fd, char name[NAME_BYTES])
{
    int fd = memfd_create("pem", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = plat_fs_write_all(fd, SM_SPAN_STR(text));
    if (r) {
        (void)close(fd); /* of no use */
        return r;
    }
    (void)snprintf(name, NAME_BYTES, "/proc/self/fd/%d", fd); /* fits */
    *ret_fd = fd;
    return 0;
}

void box_http_free(struct box_http *h)
{
    if (!h)
        return;
    if (h->easy)
        curl_easy_cleanup(h->easy);
    for (size_t i = 0; i < 3; i++)
        if (h->files[i] >= 0)
            (void)close(h->files[i]); /* memory */
    free(h->url);
    free(h);
}

int box_http_new(const struct box_http_args *a, struct box_http **ret)
{
    struct box_http *h = calloc(1, sizeof *h);
    const char *const pems[] = { a->ca, a->cert, a->key };
    if (!h)
        return -ENOMEM;
    h->files[0] = h->files[1] = h->files[2] = -1;
    h->verify = a->verify;
    h->cancel = a->cancel;
    h->rate = a->rate_bytes;
    h->url = strdup(a->url);
    h->easy = curl_easy_init();
    int r = h->url && h->easy ? 0 : -ENOMEM;
    for (size_t i = 0; i < 3 && !r; i++)
        if (pems[i] && *pems[i])
            r = memory_file(pems[i], &h->files[i], h->names[i]);
    if (r) {
        box_http_free(h);
        return r;
    }
    *ret = h;
    return 0;
}

static size_t on_answer(char *p, size_t size, size_t n, void *arg)
{
    struct box_http *h = arg;
    int r = sm_buf_put(h->answer, p, size * n);
    if (r)
        h->failed = r;
    return r ? 0 : size * n;
}

static size_t on_send(char *to, size_t size, size_t n, void *arg)
{
    struct box_http *h = arg;
    size_t left = h->body.n - h->sent, take = size * n < left ? size * n : left;
    if (take)
        memcpy(to, h->body.p + h->sent, take);
    h->sent += take;
    return take;
}

static int on_seek(void *arg, curl_off_t off, int origin)
{
    struct box_http *h = arg;
    if (origin != SEEK_SET || off < 0 || (size_t)off > h->body.n)
        return CURL_SEEKFUNC_FAIL;
    h->sent = (size_t)off;
    return CURL_SEEKFUNC_OK;
}

static int on_progress(void *arg, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    const struct box_http *h = arg;
    (void)dt, (void)dn, (void)ut, (void)un;
    return h->cancel && atomic_load(h->cancel);
}

static void set_always(struct box_http *h)
{
    CURL *e = h->easy;
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, STALL_S);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, h->verify ? 1L : 0L);
    /* The CA signs the box's machines, too: only the name tells that it is the box that answers. */
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, h->verify ? 2L : 0L);
    if (h->names[0][0])
        curl_easy_setopt(e, CURLOPT_CAINFO, h->names[0]);
    curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    if (h->names[1][0] && h->names[2][0]) {
        curl_easy_setopt(e, CURLOPT_SSLCERT, h->names[1]);
        curl_easy_setopt(e, CURLOPT_SSLKEY, h->names[2]);
    }
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, h->why);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(e, CURLOPT_XFERINFODATA, h);
    if (h->rate)
        curl_easy_setopt(e, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)h->rate);
}

static void set_body(struct box_http *h, const struct box_request *r)
{
    bool put = !strcmp(r->method, "PUT");
    curl_easy_setopt(h->easy, CURLOPT_CUSTOMREQUEST, r->method);
    if (!strcmp(r->method, "GET"))
        return;
    curl_easy_setopt(h->easy, put ? CURLOPT_UPLOAD : CURLOPT_POST, 1L);
    curl_easy_setopt(h->easy, put ? CURLOPT_INFILESIZE_LARGE : CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
    curl_easy_setopt(h->easy, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(h->easy, CURLOPT_READDATA, h);
    curl_easy_setopt(h->easy, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(h->easy, CURLOPT_SEEKDATA, h);
}

static struct curl_slist *headers_of(const struct box_request *r)
{
    char text[160];
    struct curl_slist *l = curl_slist_append(NULL, "Expect:"); /* no waiting for "100 Continue" */
    if (strcmp(r->method, "GET") != 0) {
        (void)snprintf(text, sizeof text, "Content-Type: %s", r->type ? r->type
            : "application/octet-stream"); /* fits */
        l = curl_slist_append(l, text);
    }
    if (r->length) {
        (void)snprintf(text, sizeof text, "X-Sakimori-Offset: %llu", (unsigned long long)r->offset); /* fits */
        l = curl_slist_append(l, text);
        (void)snprintf(text, sizeof text, "X-Sakimori-Length: %llu", (unsigned long long)r->length); /* fits */
        l = curl_slist_append(l, text);
    }
    return l;
}

static int error_of(const struct box_http *h, CURLcode e, long status)
{
    if (h->cancel && atomic_load(h->cancel))
        return -SM_ECANCEL;
    if (h->failed)
        return h->failed;
    switch (e) {
    case CURLE_OK:
        return (int)status;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
        return -SM_EAUTH;
    case CURLE_OPERATION_TIMEDOUT:
        return -SM_ETIME;
    case CURLE_SEND_ERROR:
        /* The box may answer and close before it has read all of a body that it does not want. */
        return status >= 400 ? (int)status : -SM_EPEER;
    default:
        return -SM_EPEER;
    }
}

int box_http_do(struct box_http *h, const struct box_request *r, struct sm_buf *ret_body)
{
    char url[1024];
    long status = 0;
    int n = snprintf(url, sizeof url, "%s%s", h->url, r->path);
    if (n < 0 || (size_t)n >= sizeof url)
        return -SM_ELIMIT;
    curl_easy_reset(h->easy); /* keeps the connection */
    sm_buf_clear(ret_body);
    h->answer = ret_body;
    h->body = r->body;
    h->sent = 0;
    h->failed = 0;
    h->why[0] = 0;
    set_always(h);
    set_body(h, r);
    curl_easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, (long)box_limit_ms(r->body.n, BOX_ANSWER_MAX / 2, h->rate));
    struct curl_slist *headers = headers_of(r);
    curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h->easy, CURLOPT_URL, url);
    CURLcode e = curl_easy_perform(h->easy);
    curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (e != CURLE_OK && !h->why[0])
        (void)snprintf(h->why, sizeof h->why, "%s", curl_easy_strerror(e)); /* fits */
    return error_of(h, e, status);
}

const char *box_http_why(const struct box_http *h)
{
    return h->why;
}
