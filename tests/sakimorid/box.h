/* A test box in a folder of its own, and a small client for it. */
#ifndef TESTS_BOX_H
#define TESTS_BOX_H
#include "tests/test.h"
#include <curl/curl.h>
#include <gnutls/gnutls.h>
#include <jansson.h>

struct box { pid_t pid; char dir[64], data[80]; int port; };
struct got { long status; struct sm_buf head, body; };

/* settings: lines of sakimori.conf, may be "". */
void box_start(struct box *b, const char *settings);
int box_stop(struct box *b);                 /* SIGTERM; the exit code */
void box_remove(struct box *b);
pid_t box_child(const struct box *b, const char *name);   /* 0: none now */

enum { CONSOLE, AGENT, LOCAL };
struct ask {
    int door;
    const char *method, *path;
    const char *headers[6];
    const void *body; size_t body_n;
    const char *cert, *key;                  /* files */
    long timeout_ms;
    long slow_bytes_per_s;
};
/* The caller wipes; status 0 = no answer. */
struct got box_ask(const struct box *b, struct ask a);
void got_wipe(struct got *g);
struct got box_get(const struct box *b, const char *path);
json_t *got_json(struct got *g);             /* wipes g */
bool got_has(const struct got *g, const char *header_text);
/* GET path until its JSON text has `want`, bounded. */
void box_wait(const struct box *b, const char *path, const char *want);

/* Bytes over a TLS connection of their own. */
struct raw { int fd; gnutls_session_t s; gnutls_certificate_credentials_t cred; };
void raw_open(const struct box *b, int door, struct raw *r);
void raw_send(struct raw *r, const char *text);
/* Up to the end of the connection or timeout_ms; text appended.  true: the connection was closed. */
bool raw_read(struct raw *r, int timeout_ms, struct sm_buf *ret, const char *until);
void raw_close(struct raw *r);
#endif
