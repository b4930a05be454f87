/*
 * front: the only process with a network.  It speaks TLS and HTTP, checks form and size, and carries requests to
 * brain, packs to the vault and downloads back.  It holds no key, no session and no file of the data folder.
 * One thread; libmicrohttpd's epoll descriptors hang in the child's loop.
 */
#ifndef FRONT_FRONT_H
#define FRONT_FRONT_H
#include <microhttpd.h>
#include "sakimorid/child.h"
#include "sakimorid/front/target.h"
#include "sakimorid/front/web.h"

enum {
    FRONT_HEADER_BYTES = 16 << 10, FRONT_HEADERS = 64, FRONT_POOL = 160 << 10,
    FRONT_HEAD_MS = 20000,           /* from the first byte of a connection or request to the end of its headers */
    FRONT_ANSWER_MS = 90000,         /* brain's longest answer (a poll is held 30 s) */
    FRONT_BODY_SLACK_MS = 30000, FRONT_BODY_BYTES_PER_S = 4096, /* slowest body */
    FRONT_ANSWER_BYTES = 16 << 20,   /* of brain */
    FRONT_FRAME = 256 << 10,         /* of a pack */
    FRONT_FRAMES_AHEAD = 8,          /* unanswered, one upload */
    FRONT_FRAMES_ALL = 48,           /* unanswered, all uploads */
    FRONT_CIDS_MAX = 2048, FRONT_CIDS_BATCH = 32,
    FRONT_STREAM_LOW = 512 << 10, FRONT_STREAM_HIGH = 2 << 20, FRONT_STREAM_MAX = 34 << 20,
    FRONT_EVENTS_MAX = 256 << 10, FRONT_TOPICS = 16, FRONT_EVENT_STREAMS = 128,
    FRONT_HEARTBEAT_MS = 15000,
};
#define FRONT_PACK_MAX ((uint64_t)64 << 20)

enum door_kind { DOOR_CONSOLE, DOOR_AGENT, DOOR_LOCAL, DOORS };
struct front;
struct door {
    struct front *f;
    enum door_kind kind;
    int fd;                          /* listening; -1 until P_LISTEN */
    struct MHD_Daemon *d;
    struct sm_watch *watch;
    struct sm_timer *timer;
    uint64_t progress;               /* counts bytes moved and callbacks: see door_run */
    unsigned resumed;                /* runs still owed to a connection that was resumed */
    bool kicked;                     /* something was resumed */
};

struct req;
struct conn {
    struct conn *next, **prev;
    struct front *f;
    struct door *door;
    struct MHD_Connection *mc;
    int fd;
    char remote[64];
    int64_t uid;                     /* local socket; -1 else */
    uint64_t idle_since_ms;
    bool fresh;                      /* no request yet */
    struct req *req;
    /* TLS read buffer: see tls_pull */
    uint8_t *in;
    size_t in_at, in_n, in_size;
    /* client certificate */
    bool peer_known, peer_ok;
    char peer_sha256[65], peer_cn[128], peer_error[40];
    int64_t peer_not_after_s;
};

enum req_phase { REQ_HEAD, REQ_BODY, REQ_ASKING, REQ_UPLOAD, REQ_READY, REQ_SENT, REQ_DROP };
struct ask;
struct upload;
struct stream;
struct req {
    struct conn *conn;
    char *raw;                       /* target as it came */
    struct target target;
    bool in_head;                    /* MHD has not gone on to the body */
    const char *allow;               /* with 405; a literal */
    bool target_ok, head, idempotent, is_pack, no_body_read, suspended, end_of_body, english;
    char method[8];
    uint64_t id;
    enum req_phase phase;
    struct sm_buf body;
    uint64_t content_length, body_bytes;
    struct ask *ask;
    struct upload *up;
    struct stream *stream;
    uint64_t began_ms, asked_ms, body_ms, paused_ms, paused_since_ms;
    unsigned status;
    struct MHD_Response *response;   /* with phase REQ_READY */
};

struct front {
    struct child *c;
    struct door doors[DOORS];
    struct web web;
    char *chain;                     /* PEM now served */
    struct sm_buf ca_der;
    char ca_sha256[65];
    struct conn *conns;
    struct stream *streams;
    size_t event_streams;
    struct upload *uploads;
    size_t frames;                   /* unanswered pack frames of all uploads */
    struct sm_timer *tick;
    uint64_t next_id, tick_n;
    unsigned connections, per_address, idle_s;
    bool stopping, opener_paused;
};

/* ---- front.c ---- */
void front_kick(struct door *d);               /* run its daemon soon */

/* ---- request.c ---- */
struct req *req_new(struct conn *c, const char *raw);
void req_free(struct req *r, bool complete);   /* not complete: the connection was cut */
enum MHD_Result req_handle(struct req *r, const char *method, const char *data, size_t *data_n);
/* The answer is there: queued when MHD asks next.  Takes response. */
void req_answer(struct req *r, unsigned status, struct MHD_Response *response);
void req_suspend(struct req *r);
void req_resume(struct req *r);
/* The client of a resting request has gone, or all ends: let go of everything and let MHD close it. */
void req_gone(struct req *r);
/* Every second: what has waited too long, whose client has gone. */
void req_tick(struct req *r, uint64_t now_ms);

/* ---- reply.c ---- */
enum reply_kind { REPLY_PAGE, REPLY_API };
/* Headers every answer has. */
void reply_headers(struct MHD_Response *m, const struct conn *c, enum reply_kind kind);
/* {"error": {code, message}} in the language asked for; extra (taken, may be NULL) is merged. */
void reply_error(struct req *r, unsigned status, const char *code, json_t *extra);
void reply_json(struct req *r, unsigned status, json_t *j /* taken */);
/* brain's headers, those of the list only. */
void reply_copy_headers(struct MHD_Response *m, const json_t *headers);
void reply_static(struct req *r);

/* ---- upload.c ---- */
/* then: {"vault":"pack", session, pack, offset, length}.  r is suspended. */
void upload_begin(struct req *r, const json_t *then);
/* Takes up to *n bytes of the body; leaves the rest when it must wait (r is then suspended). */
void upload_data(struct req *r, const char *data, size_t *n);
void upload_end(struct req *r);                /* the body is complete */
void upload_cut(struct upload *u);             /* the request is gone */

/* ---- stream.c ---- */
void stream_objects(struct req *r, unsigned status, const json_t *headers, const json_t *then, struct sm_span cids);
void stream_file(struct req *r, unsigned status, const json_t *headers, const json_t *then);
void stream_events(struct req *r, unsigned status, const json_t *headers, const json_t *then);
void stream_request_gone(struct stream *s);
void stream_on_event(struct front *f, const json_t *event);
void stream_on_drop(struct front *f, const char *session);
void stream_tick(struct front *f);
void stream_end_all(struct front *f);

#endif
