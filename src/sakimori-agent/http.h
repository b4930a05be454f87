/*
 * HTTPS requests of the link, many at a time, on the event loop (libcurl's multi interface).  TLS 1.3, the box's CA
 * only, the device's certificate; no redirects, no proxies, no cookies.
 */
#ifndef AGENT_HTTP_H
#define AGENT_HTTP_H
#include "core/buf.h"
#include "core/loop.h"

#define HTTP_ANSWER_MAX ((size_t)8 << 20)
#define HTTP_HEADERS_MAX 8

struct http;
struct http_config {
    struct sm_loop *loop;
    const char *base, *ca_file, *cert_file, *key_file;
};
sm_must_use int http_new(const struct http_config *c, struct http **ret);
void http_free(struct http *h); /* open requests are answered with -SM_EPEER */

sm_must_use int http_cert(struct http *h, const char *cert_file); /* of connections from now on */

/* The box is at these addresses ("HOST:PORT:ADDRESS,…", <= 900 bytes) whatever a name server says; "": looked up again. */
void http_pin(struct http *h, const char *text);

struct http_call;
/* status: HTTP status, or a negative error (-SM_EPEER could not reach, -SM_EAUTH the box is not who it should be,
 * -SM_ETIME, -SM_ELIMIT answer too long).  body is borrowed. */
typedef void (*http_done_fn)(void *arg, int status, struct sm_span body);
/* A piece of a streamed answer of status 200.  0, or -SM_EAGAIN: hold it, the same bytes come again after http_go_on;
 * other: end. */
typedef int (*http_data_fn)(void *arg, struct sm_span piece);
struct http_request {
    const char *method, *path;
    const char *headers[HTTP_HEADERS_MAX]; /* "Name: value", NULL-ended; copied */
    struct sm_span body;                   /* borrowed until done */
    bool copy_body;
    bool from_fd; /* the body is body.n bytes of body_fd from body_at on; borrowed until done */
    int body_fd;
    uint64_t body_at;
    uint64_t bytes_s; /* sent at most so fast on the whole; 0: no limit */
    long timeout_s; /* whole; 0: only stalls (60 s without a byte) end it */
    http_done_fn done;
    http_data_fn data;
    void *arg;
};
sm_must_use int http_start(struct http *h, const struct http_request *r, struct http_call **ret);
void http_go_on(struct http_call *c);
void http_cancel(struct http_call *c); /* done is not called */

/* One request, blocking, for `join`: verify false trusts anybody (only to read what the pin then proves). */
sm_must_use int http_once(const char *url, const char *ca_file, bool verify, const char *method,
    struct sm_span json_body, int *ret_status, struct sm_buf *ret_body, char *ret_why /* 256 */);
#endif
