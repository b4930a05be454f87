/*
 * A pack on its way from an agent to the vault.  Never more than one frame here and FRONT_FRAMES_AHEAD on the way are
 * held for one upload, FRONT_FRAMES_ALL for all; beyond that the connection rests until the vault has answered.
 */
#include <errno.h>
#include "sakimorid/front/front.h"

struct upload {
    struct upload *next, **prev;
    struct front *f;
    struct req *r;               /* NULL: the client has gone; what came is still handed over */
    uint32_t handle;             /* 0: not open */
    uint64_t offset, length, sent;
    char pack[65];
    struct sm_buf frame;         /* u32 handle ‖ bytes */
    unsigned ahead;              /* unanswered frames */
    unsigned refs;               /* questions under way, and one for the request */
    bool complete, done, ended, failed, wants_room;
};

static void upload_go_on(struct upload *u);

/* Not inlined: gcc 12 takes the second of two references for a use after the first. */
__attribute__((noinline)) static void unref(struct upload *u)
{
    if (--u->refs)
        return;
    if (u->next)
        u->next->prev = u->prev;
    *u->prev = u->next;
    sm_buf_wipe(&u->frame);
    free(u);
}

/* ---- the end of it ---- */

static void answer(struct upload *u, unsigned status, const char *code, json_t *extra)
{
    struct req *r = u->r;

    u->ended = true;
    if (!r) {
        json_decref(extra);
        return;
    }
    u->r = NULL;
    r->up = NULL;
    if (code)
        reply_error(r, status, code, extra);
    else
        reply_json(r, status, extra);
    unref(u);
}

static void fail(struct upload *u, int err, const char *text)
{
    json_t *why = text && *text ? json_pack("{ss%}", "why", text, strnlen(text, 160)) : NULL;

    if (u->failed)
        json_decref(why);
    else if (u->failed = true, err == -SM_ECORRUPT || err == -SM_EFORMAT || err == -SM_EMISMATCH || err == -SM_EAUTH ||
        err == -SM_EVERSION)
        answer(u, 422, "content", why);
    else if (err == -ENOSPC)
        answer(u, 507, "full", why);
    else if (err == -SM_EPEER || err == -SM_EAGAIN || err == -SM_ETIME || err == -SM_ENOTFOUND)
        answer(u, 503, "unavailable", why); /* the vault was restarted: the agent goes on at what the vault has */
    else if (err == -SM_EDENIED)
        answer(u, 403, "denied", why);
    else if (err == -SM_ELIMIT)
        answer(u, 413, "too_large", why);
    else if (err == -SM_EINVAL)
        answer(u, 400, "bad_request", why); /* a length that no pack has, or another than it began with */
    else
        answer(u, 500, "internal", why);
}

static int ask_handle(struct upload *u, uint16_t type, sm_ipc_answer_fn fn)
{
    json_t *j = json_pack("{sI}", "handle", (json_int_t)u->handle);
    int e = j ? child_ask_json(u->f->c, WHO_VAULT, type, j, fn, u, 0) : -ENOMEM;

    json_decref(j);
    if (e >= 0)
        u->refs++;
    return e;
}

static void on_end(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct upload *u = arg;
    json_t *j = NULL;

    if (err >= 0)
        err = msg_json(m->body, 64 << 10, &j, NULL);
    if (err >= 0)
        answer(u, 200, NULL, j);
    else
        fail(u, err, text);
    unref(u);
}

static void on_abort(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    unref(arg);
}

static void finish(struct upload *u)
{
    json_t *j;
    int e;

    if (u->ended || !u->handle)
        return;
    if (!u->done && u->offset + u->sent != u->length) {
        /* Less came than the pack is long: what is there is kept, and the agent is told how much. */
        u->ended = true;
        (void)ask_handle(u, V_PACK_ABORT, on_abort); /* a vault that is away has forgotten the handle by itself */
        j = json_pack("{sI}", "have", (json_int_t)(u->offset + u->sent));
        answer(u, 409, "offset", j);
        return;
    }
    u->ended = true;
    e = ask_handle(u, V_PACK_END, on_end);
    if (e < 0)
        fail(u, e, NULL);
}

/* ---- frames ---- */

static void on_data(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct upload *u = arg;
    struct front *f = u->f;

    u->ahead--;
    f->frames--;
    if (err < 0)
        fail(u, err, text);
    upload_go_on(u);
    unref(u);
    /* Room for others that wait only because all were too many. */
    for (struct upload *o = f->uploads, *next; o && f->frames < FRONT_FRAMES_ALL; o = next) {
        next = o->next;
        if (o->wants_room)
            upload_go_on(o);
    }
}

static bool has_room(const struct upload *u)
{
    return u->ahead < FRONT_FRAMES_AHEAD && u->f->frames < FRONT_FRAMES_ALL;
}

static void send_frame(struct upload *u)
{
    size_t n = u->frame.n - 4;
    int e = child_ask(u->f->c, WHO_VAULT, V_PACK_DATA, sm_buf_span(&u->frame), on_data, u, 0);

    u->frame.n = 4;
    if (e < 0) {
        fail(u, e, NULL);
        return;
    }
    u->sent += n;
    u->ahead++;
    u->refs++;
    u->f->frames++;
}

static bool full(const struct upload *u)
{
    return u->frame.n == FRONT_FRAME + 4;
}

/* Something was answered: go on with what waited for it. */
static void upload_go_on(struct upload *u)
{
    bool last = u->complete || !u->r;

    u->wants_room = false;
    if (u->ended || u->failed)
        return;
    u->refs++; /* a failure on the way lets go of the request's */
    if (full(u) || (last && u->frame.n > 4)) {
        if (has_room(u))
            send_frame(u);
        else
            u->wants_room = true;
    }
    if (last && u->frame.n <= 4 && u->ahead == 0 && !u->failed)
        finish(u);
    else if (!last && u->r && !full(u))
        req_resume(u->r);
    unref(u);
}

void upload_data(struct req *r, const char *data, size_t *n)
{
    size_t left = *n;

    while (left && r->up && !r->up->done) {
        struct upload *u = r->up;
        size_t room = FRONT_FRAME + 4 - u->frame.n, k = left < room ? left : room;
        if (u->offset + u->sent + (u->frame.n - 4) + k > u->length || sm_buf_put(&u->frame, data, k) < 0) {
            fail(u, -SM_ELIMIT, NULL);
            break;
        }
        data += k;
        left -= k;
        if (!full(u))
            break;
        if (has_room(u)) {
            send_frame(u);
            continue;
        }
        u->wants_room = true;
        req_suspend(r);
        *n = left;
        return;
    }
    *n = 0; /* taken, or of no use any more */
}

void upload_end(struct req *r)
{
    struct upload *u = r->up;

    u->complete = true;
    req_suspend(r);
    upload_go_on(u);
}

void upload_cut(struct upload *u)
{
    u->r->up = NULL;
    u->r = NULL;
    /* The bytes that came are good: the agent need not send them again. */
    upload_go_on(u);
    unref(u);
}

/* ---- the beginning ---- */

static void opened(struct upload *u, const json_t *j)
{
    struct sm_obj o = SM_OBJ(j);
    uint32_t handle = (uint32_t)sm_obj_int(&o, "handle", 1, UINT32_MAX);
    uint64_t have = (uint64_t)sm_obj_int(&o, "have", 0, INT64_MAX);

    if (o.err) {
        fail(u, -SM_EPROTO, NULL);
        return;
    }
    u->handle = handle;
    u->done = sm_obj_bool(&o, "done", false);
    if (!u->r) {
        u->ended = true;
        (void)ask_handle(u, V_PACK_ABORT, on_abort); /* as in finish */
        return;
    }
    if (!u->done && have != u->offset) {
        answer(u, 409, "offset", json_pack("{sI}", "have", (json_int_t)have));
        return;
    }
    u->frame.n = 0;
    if (sm_buf_reserve(&u->frame, FRONT_FRAME + 4) < 0 || sm_buf_put_u32(&u->frame, handle) < 0) {
        fail(u, -ENOMEM, NULL);
        return;
    }
    u->r->phase = REQ_UPLOAD;
    req_resume(u->r);
}

static void on_begin(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct upload *u = arg;
    json_t *j = NULL;
    long long have = 0;

    if (err >= 0)
        err = msg_json(m->body, 4096, &j, NULL);
    if (err >= 0)
        opened(u, j);
    else if (err == -SM_EMISMATCH && text && sscanf(text, "%15lld", &have) == 1)
        answer(u, 409, "offset", json_pack("{sI}", "have", (json_int_t)have));
    else if (err == -SM_ENOTFOUND)
        answer(u, 404, "not_found", NULL);
    else
        fail(u, err, text);
    json_decref(j);
    unref(u);
}

static int ask_begin(struct upload *u, const json_t *then)
{
    /* Of a machine brain names the session, of a neighbour the neighbour. */
    const char *whose = json_object_get(then, "peer") ? "peer" : "session";
    json_t *j = json_pack("{sO sO sI sI}", whose, json_object_get(then, whose), "pack",
        json_object_get(then, "pack"), "length", (json_int_t)u->length, "offset", (json_int_t)u->offset);
    int e = j ? child_ask_json(u->f->c, WHO_VAULT, V_PACK_BEGIN, j, on_begin, u, CHILD_IDEMPOTENT) : -SM_EPROTO;

    json_decref(j);
    if (e >= 0)
        u->refs++;
    return e;
}

void upload_begin(struct req *r, const json_t *then)
{
    struct front *f = r->conn->f;
    struct sm_obj o = SM_OBJ(then);
    const char *pack = sm_obj_str(&o, "pack", 64, 64);
    int64_t offset = sm_obj_int(&o, "offset", 0, (int64_t)FRONT_PACK_MAX);
    int64_t length = sm_obj_int(&o, "length", 1, (int64_t)FRONT_PACK_MAX);
    struct upload *u = o.err ? NULL : calloc(1, sizeof *u);
    int e;

    if (!u) {
        reply_error(r, o.err ? 400 : 503, o.err ? "bad_request" : "unavailable", NULL);
        return;
    }
    *u = (struct upload){ .f = f, .r = r, .offset = (uint64_t)offset, .length = (uint64_t)length, .refs = 1,
        .frame = SM_BUF_INIT(FRONT_FRAME + 4) };
    snprintf(u->pack, sizeof u->pack, "%s", pack);
    u->prev = &f->uploads;
    u->next = f->uploads;
    if (u->next)
        u->next->prev = &u->next;
    f->uploads = u;
    r->up = u;
    if (u->offset + r->content_length > u->length) {
        fail(u, -SM_ELIMIT, NULL);
        return;
    }
    e = ask_begin(u, then);
    if (e < 0)
        fail(u, e, NULL);
}
