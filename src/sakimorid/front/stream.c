/*
 * Answers that are longer than memory or than a moment: objects of the vault, files from the opener, server-sent
 * events.  A stream holds a bounded buffer; MHD's reader takes from it and the connection rests while it is empty.
 */
#include <errno.h>
#include "plat/clock.h"
#include "sakimorid/front/front.h"

enum stream_kind { STREAM_OBJECTS, STREAM_FILE, STREAM_EVENTS };
struct stream {
    struct stream *next, **prev;
    struct front *f;
    enum stream_kind kind;
    struct req *r;               /* NULL: the client has gone */
    struct sm_buf buf;
    size_t at;                   /* sent out of buf */
    bool asking, ended, failed;
    unsigned refs;
    /* objects */
    json_t *grant;
    struct sm_buf cids;
    size_t next_cid;
    /* events */
    char topics[FRONT_TOPICS][24];
    size_t topics_n;
    char session[72];
    uint64_t heartbeat_ms;
};

static void ask_objects(struct stream *s);
static void check_opener(struct front *f);

static void unref(struct stream *s)
{
    struct front *f = s->f;

    if (--s->refs)
        return;
    if (s->next)
        s->next->prev = s->prev;
    *s->prev = s->next;
    if (s->kind == STREAM_EVENTS)
        f->event_streams--;
    json_decref(s->grant);
    sm_buf_wipe(&s->cids);
    sm_buf_wipe(&s->buf);
    free(s);
    check_opener(f);
}

static size_t held(const struct stream *s)
{
    return s->buf.n - s->at;
}

static void wake(struct stream *s)
{
    if (s->r)
        req_resume(s->r);
}

static void feed(struct stream *s, struct sm_span bytes)
{
    if (s->at > 0 && s->at >= s->buf.n / 2) {
        sm_buf_shift(&s->buf, s->at);
        s->at = 0;
    }
    if (sm_buf_put_span(&s->buf, bytes) < 0)
        s->failed = true;
    wake(s);
}

/* ---- MHD's side ---- */

static ssize_t reader(void *arg, uint64_t pos, char *to, size_t max)
{
    struct stream *s = arg;
    size_t n = held(s) < max ? held(s) : max;

    if (s->failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n) {
        memcpy(to, s->buf.p + s->at, n);
        s->at += n;
        if (s->r)
            s->r->conn->door->progress++;
        if (s->kind == STREAM_OBJECTS && held(s) < FRONT_STREAM_LOW)
            ask_objects(s);
        if (s->kind == STREAM_FILE)
            check_opener(s->f);
        return (ssize_t)n;
    }
    if (s->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (!s->r)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    req_suspend(s->r);
    return 0;
}

static void reader_free(void *arg)
{
    struct stream *s = arg;

    if (s->r)
        s->r->stream = NULL;
    s->r = NULL;
    s->ended = true;
    sm_buf_wipe(&s->buf);
    s->at = 0;
    check_opener(s->f); /* one that was full holds up nobody any more */
    unref(s);
}

void stream_request_gone(struct stream *s)
{
    s->r->stream = NULL;
    s->r = NULL;
    s->ended = true;
}

static struct stream *stream_new(struct req *r, enum stream_kind kind, size_t max)
{
    struct front *f = r->conn->f;
    struct stream *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    *s = (struct stream){ .f = f, .kind = kind, .r = r, .refs = 1, .buf = SM_BUF_INIT(max),
        .cids = SM_BUF_INIT(FRONT_CIDS_MAX * 32) };
    s->prev = &f->streams;
    s->next = f->streams;
    if (s->next)
        s->next->prev = &s->next;
    f->streams = s;
    r->stream = s;
    if (kind == STREAM_EVENTS)
        f->event_streams++;
    return s;
}

/* The answer that reads s.  MHD frees s through reader_free in every case. */
static void stream_answer(struct stream *s, unsigned status, const json_t *headers, uint64_t size, const char *type)
{
    struct req *r = s->r;
    struct MHD_Response *m = MHD_create_response_from_callback(size, 64 << 10, reader, s, reader_free);

    if (!m) {
        reader_free(s);
        req_answer(r, 503, NULL);
        return;
    }
    reply_headers(m, r->conn, REPLY_API);
    reply_copy_headers(m, headers);
    if (!MHD_get_response_header(m, "Content-Type"))
        (void)MHD_add_response_header(m, "Content-Type", type);
    if (!MHD_get_response_header(m, "Cache-Control"))
        (void)MHD_add_response_header(m, "Cache-Control", "no-store");
    req_answer(r, status, m);
}

/* ---- objects ---- */

static void on_objects(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct stream *s = arg;
    bool last = err < 0 || !(m->flags & SM_IPC_MORE);

    if (err < 0)
        s->failed = true;
    else if (s->r)
        feed(s, m->body);
    if (!last)
        return;
    s->asking = false;
    if (s->r && !s->failed && held(s) < FRONT_STREAM_LOW)
        ask_objects(s);
    wake(s);
    unref(s);
}

static void ask_objects(struct stream *s)
{
    struct sm_buf body = SM_BUF_INIT(64 << 10);
    size_t left = s->cids.n / 32 - s->next_cid;
    size_t n = left < FRONT_CIDS_BATCH ? left : FRONT_CIDS_BATCH;
    int e;

    if (s->asking || s->ended || s->failed)
        return;
    if (!n) {
        s->ended = true;
        return;
    }
    e = msg_join(s->grant, SM_SPAN(s->cids.p + s->next_cid * 32, n * 32), &body);
    if (e >= 0)
        e = child_ask(s->f->c, WHO_VAULT, V_OBJECTS, sm_buf_span(&body), on_objects, s, CHILD_IDEMPOTENT);
    sm_buf_wipe(&body);
    if (e < 0) {
        s->failed = true;
        return;
    }
    s->next_cid += n;
    s->asking = true;
    s->refs++;
}

void stream_objects(struct req *r, unsigned status, const json_t *headers, const json_t *then, struct sm_span cids)
{
    struct stream *s;
    json_t *grant = json_object_get(then, "grant");

    if (cids.n % 32 || cids.n / 32 > FRONT_CIDS_MAX || !json_is_string(grant)) {
        reply_error(r, 400, "bad_request", NULL);
        return;
    }
    s = stream_new(r, STREAM_OBJECTS, FRONT_STREAM_MAX);
    if (s)
        s->grant = json_pack("{sO}", "grant", grant);
    if (!s || !s->grant || sm_buf_put_span(&s->cids, cids) < 0) {
        if (s)
            reader_free(s);
        reply_error(r, 503, "unavailable", NULL);
        return;
    }
    ask_objects(s);
    stream_answer(s, status, headers, MHD_SIZE_UNKNOWN, "application/octet-stream");
}

/* ---- a file ---- */

/* A reader that is slow holds up the opener, not our memory: its channel rests while any stream is full. */
static void check_opener(struct front *f)
{
    struct sm_ipc *ipc = child_peer(f->c, WHO_OPENER);
    bool full = false;

    for (struct stream *s = f->streams; s; s = s->next)
        full |= s->kind == STREAM_FILE && held(s) > (f->opener_paused ? FRONT_STREAM_LOW : FRONT_STREAM_HIGH);
    if (full == f->opener_paused)
        return;
    f->opener_paused = full;
    if (ipc)
        sm_ipc_pause(ipc, full);
}

static void on_file(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct stream *s = arg;
    bool last = err < 0 || !(m->flags & SM_IPC_MORE);

    if (err < 0)
        s->failed = true;
    else if (s->r)
        feed(s, m->body);
    if (!last) {
        check_opener(s->f);
        return;
    }
    s->ended = true;
    wake(s);
    unref(s);
}

void stream_file(struct req *r, unsigned status, const json_t *headers, const json_t *then)
{
    struct sm_obj o = SM_OBJ(then);
    int64_t length = sm_obj_int_opt(&o, "length", 0, INT64_MAX, -1);
    json_t *ticket = json_object_get(then, "ticket"), *ask;
    struct stream *s = stream_new(r, STREAM_FILE, FRONT_STREAM_MAX);
    int e;

    ask = s && json_is_string(ticket) ? json_pack("{sO}", "ticket", ticket) : NULL;
    e = ask ? child_ask_json(r->conn->f->c, WHO_OPENER, O_STREAM, ask, on_file, s, 0) : -SM_EPROTO;
    json_decref(ask);
    if (e < 0) {
        if (s)
            reader_free(s);
        reply_error(r, 503, "unavailable", NULL);
        return;
    }
    s->refs++;
    stream_answer(s, status, headers, length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)length, "application/octet-stream");
}

/* ---- events ---- */

void stream_events(struct req *r, unsigned status, const json_t *headers, const json_t *then)
{
    struct front *f = r->conn->f;
    const char *session = json_string_value(json_object_get(then, "session"));
    json_t *topics = json_object_get(then, "events"), *t;
    struct stream *s;
    size_t i;

    if (f->event_streams >= FRONT_EVENT_STREAMS) {
        reply_error(r, 503, "rate", NULL);
        return;
    }
    s = stream_new(r, STREAM_EVENTS, FRONT_EVENTS_MAX);
    if (!s) {
        reply_error(r, 503, "unavailable", NULL);
        return;
    }
    snprintf(s->session, sizeof s->session, "%s", session ? session : "");
    json_array_foreach (topics, i, t)
        if (s->topics_n < FRONT_TOPICS && json_is_string(t))
            snprintf(s->topics[s->topics_n++], sizeof s->topics[0], "%s", json_string_value(t));
    s->heartbeat_ms = plat_clock_mono_ms();
    feed(s, SM_SPAN_STR("retry: 3000\n: ok\n\n"));
    stream_answer(s, status, headers, MHD_SIZE_UNKNOWN, "text/event-stream; charset=utf-8");
}

static bool wants(const struct stream *s, const char *topic, const char *session)
{
    if (s->kind != STREAM_EVENTS || !s->r || (session && strcmp(session, s->session)))
        return false;
    for (size_t i = 0; i < s->topics_n; i++)
        if (!strcmp(s->topics[i], topic))
            return true;
    return false;
}

static bool one_line(const char *text)
{
    return text && !strpbrk(text, "\r\n");
}

void stream_on_event(struct front *f, const json_t *event)
{
    const char *topic = json_string_value(json_object_get(event, "topic"));
    const char *id = json_string_value(json_object_get(event, "id"));
    const char *session = json_string_value(json_object_get(event, "session"));
    const json_t *data = json_object_get(event, "data");
    struct sm_buf text = SM_BUF_INIT(FRONT_EVENTS_MAX);
    int e = one_line(topic) && (!id || one_line(id)) ? 0 : -SM_EFORMAT;

    if (e >= 0 && id)
        e = sm_buf_printf(&text, "id: %s\n", id);
    if (e >= 0)
        e = sm_buf_printf(&text, "event: %s\ndata: ", topic);
    /* JSON text has no line break inside, so it is one data line. */
    if (e >= 0)
        e = data ? sm_json_dump(data, &text) : sm_buf_printf(&text, "{}");
    if (e >= 0)
        e = sm_buf_printf(&text, "\n\n");
    for (struct stream *s = e < 0 ? NULL : f->streams; s; s = s->next)
        if (wants(s, topic, session))
            feed(s, sm_buf_span(&text)); /* one that does not read is cut by its own limit */
    sm_buf_wipe(&text);
}

void stream_on_drop(struct front *f, const char *session)
{
    for (struct stream *s = f->streams; s; s = s->next)
        if (s->kind == STREAM_EVENTS && !strcmp(s->session, session)) {
            s->ended = true;
            wake(s);
        }
}

void stream_tick(struct front *f)
{
    uint64_t now = plat_clock_mono_ms();

    for (struct stream *s = f->streams; s; s = s->next) {
        if (s->kind != STREAM_EVENTS || !s->r || now - s->heartbeat_ms < FRONT_HEARTBEAT_MS)
            continue;
        s->heartbeat_ms = now;
        feed(s, SM_SPAN_STR(": \n\n"));
    }
}

void stream_end_all(struct front *f)
{
    for (struct stream *s = f->streams; s; s = s->next) {
        s->ended = true;
        wake(s);
    }
}
