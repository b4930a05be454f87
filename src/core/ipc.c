/*
 * Descriptors on a stream: the kernel hands a descriptor over with the first byte of the send it
 * travelled with, and never reads past such a send in the same call.  So a frame with one is always the
 * start of its own sendmsg, says so in its header, and takes the oldest descriptor received.
 */
#include "core/ipc.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/poll.h"

enum {
    HEAD = 16, READ_ROOM = 64 << 10, READS_A_TURN = 16, FRAMES_A_SEND = 16, SOCKET_BYTES = 1 << 20,
    FDS_MAX = 4, SMALL_REPLY = 64 << 10, WHY = 160,
};

/* Bytes waiting to be sent; fd must start its own send. */
struct out {
    struct out *next;
    size_t n, off;
    int fd;
    uint8_t bytes[];
};

/* A frame put aside by sm_ipc_call. */
struct kept {
    struct kept *next;
    struct sm_ipc_msg m;
    uint8_t bytes[];
};

struct ask {
    struct ask *next;
    uint64_t id;
    sm_ipc_answer_fn fn; /* NULL: nobody waits any more */
    void *arg;
};

struct sm_ipc {
    struct sm_loop *loop;
    struct sm_watch *watch;
    struct sm_timer *kick; /* frames in hand to be delivered without new input */
    int fd;
    struct sm_ipc_config config;
    uint64_t next_id;

    uint8_t *in;
    size_t in_start, in_end, in_cap;
    int in_fd[FDS_MAX];
    size_t in_fd_n;
    bool pinned;           /* a callback holds a body inside `in` */
    struct old *old_in;    /* buffers replaced while pinned */
    struct kept *kept, **kept_end, *last_kept;
    size_t kept_bytes;

    struct out *out, **out_end;
    size_t out_bytes;
    bool refused, write_dead;

    struct ask *asks;
    size_t asks_n;

    int depth; /* callbacks being run */
    bool freed, gone, paused;
    int failed; /* why a blocking call gave the channel up */
};

static void on_ready(void *arg, int fd, unsigned events);
static void on_kick(void *arg);

static void put_le(uint8_t *p, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

int sm_ipc_new(struct sm_loop *loop, int fd, const struct sm_ipc_config *config, struct sm_ipc **ret)
{
    struct sm_ipc *ipc = calloc(1, sizeof *ipc);
    if (!ipc)
        return -ENOMEM;
    ipc->config = *config;
    if (ipc->config.body_max == 0 || ipc->config.body_max > SM_IPC_BODY_MAX)
        ipc->config.body_max = SM_IPC_BODY_MAX;
    ipc->loop = loop;
    ipc->fd = fd;
    ipc->next_id = 1;
    ipc->out_end = &ipc->out;
    ipc->kept_end = &ipc->kept;
    int r = 0;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        r = -errno;
    /* Larger socket buffers save turns of the loop; a refusal costs only speed. */
    int want = SOCKET_BYTES;
    if (r == 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof want) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof want);
    if (r == 0 && loop)
        r = sm_loop_timer(loop, UINT64_MAX, 0, on_kick, ipc, &ipc->kick);
    if (r == 0 && loop)
        r = sm_loop_fd(loop, fd, SM_READ, on_ready, ipc, &ipc->watch);
    if (r < 0) {
        sm_timer_free(ipc->kick);
        free(ipc);
        return r;
    }
    *ret = ipc;
    return 0;
}

/* ---- life and death ---- */

static void drop_out(struct sm_ipc *ipc)
{
    while (ipc->out) {
        struct out *o = ipc->out;
        ipc->out = o->next;
        if (o->fd >= 0)
            close(o->fd);
        sm_zero(o->bytes, o->n); /* keys travel this way too */
        free(o);
    }
    ipc->out_end = &ipc->out;
    ipc->out_bytes = 0;
}

static void free_kept(struct kept *k)
{
    if (!k)
        return;
    if (k->m.fd >= 0)
        close(k->m.fd);
    sm_zero(k->bytes, k->m.body.n);
    free(k);
}

/* Lies over the head of the first frame of a replaced buffer. */
struct old {
    struct old *next;
    size_t cap;
};
_Static_assert(sizeof(struct old) <= HEAD, "bodies must not be touched");

static void drop_old(struct sm_ipc *ipc)
{
    while (ipc->old_in) {
        struct old *o = ipc->old_in;
        ipc->old_in = o->next;
        sm_zero(o, o->cap);
        free(o);
    }
}

/* No more events and no descriptor, but the memory stays for callbacks still on the stack. */
static void detach(struct sm_ipc *ipc)
{
    sm_watch_free(ipc->watch);
    sm_timer_free(ipc->kick);
    ipc->watch = NULL;
    ipc->kick = NULL;
    if (ipc->fd >= 0)
        close(ipc->fd);
    ipc->fd = -1;
    ipc->write_dead = true;
    drop_out(ipc);
    for (size_t i = 0; i < ipc->in_fd_n; i++)
        close(ipc->in_fd[i]);
    ipc->in_fd_n = 0;
    while (ipc->kept) {
        struct kept *k = ipc->kept;
        ipc->kept = k->next;
        free_kept(k);
    }
    ipc->kept_end = &ipc->kept;
}

static void enter(struct sm_ipc *ipc)
{
    ipc->depth++;
}

/* Returns false when the channel does not exist any more. */
static bool leave(struct sm_ipc *ipc)
{
    ipc->depth--;
    if (ipc->depth > 0)
        return !ipc->freed;
    drop_old(ipc);
    if (!ipc->freed)
        return true;
    free_kept(ipc->last_kept);
    sm_zero(ipc->in, ipc->in_cap);
    free(ipc->in);
    free(ipc);
    return false;
}

static void answer_all(struct sm_ipc *ipc, int err)
{
    while (ipc->asks) {
        struct ask *a = ipc->asks;
        ipc->asks = a->next;
        ipc->asks_n--;
        if (a->fn)
            a->fn(a->arg, err, NULL, sm_strerror(err));
        free(a);
    }
}

void sm_ipc_free(struct sm_ipc *ipc)
{
    if (!ipc || ipc->freed)
        return;
    enter(ipc);
    ipc->freed = true;
    detach(ipc);
    answer_all(ipc, -SM_EPEER);
    (void)leave(ipc); /* the end */
}

static void go(struct sm_ipc *ipc, int err)
{
    if (ipc->gone || ipc->freed)
        return;
    ipc->gone = true;
    detach(ipc);
    answer_all(ipc, -SM_EPEER);
    if (ipc->failed)
        err = ipc->failed;
    if (!ipc->freed && ipc->config.on_gone)
        ipc->config.on_gone(ipc->config.arg, ipc, err == -SM_EPEER ? 0 : err);
}

/* ---- sending ---- */

static ssize_t send_some(struct sm_ipc *ipc, struct iovec *iov, size_t iov_n, int fd)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = iov_n};
    if (fd >= 0) {
        m.msg_control = control.room;
        m.msg_controllen = sizeof control.room;
        control.h.cmsg_level = SOL_SOCKET;
        control.h.cmsg_type = SCM_RIGHTS;
        control.h.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.h), &fd, sizeof fd);
    }
    ssize_t n;
    do
        n = sendmsg(ipc->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return 0;
    int err = errno == EPIPE || errno == ECONNRESET ? -SM_EPEER : -errno;
    ipc->write_dead = true; /* what the peer still said can be read; then the end shows */
    drop_out(ipc);
    return err;
}

static void sent(struct sm_ipc *ipc, size_t n)
{
    ipc->out_bytes -= n;
    while (n > 0) {
        struct out *o = ipc->out;
        if (o->fd >= 0)
            close(o->fd);
        o->fd = -1;
        size_t k = o->n - o->off < n ? o->n - o->off : n;
        o->off += k;
        n -= k;
        if (o->off < o->n)
            return;
        ipc->out = o->next;
        if (!ipc->out)
            ipc->out_end = &ipc->out;
        sm_zero(o->bytes, o->n);
        free(o);
    }
}

static int flush(struct sm_ipc *ipc)
{
    while (ipc->out) {
        struct iovec iov[FRAMES_A_SEND];
        size_t n = 0;
        for (struct out *o = ipc->out; o && n < FRAMES_A_SEND && (n == 0 || o->fd < 0); o = o->next)
            iov[n++] = (struct iovec){o->bytes + o->off, o->n - o->off};
        ssize_t k = send_some(ipc, iov, n, ipc->out->fd);
        if (k < 0)
            return (int)k;
        if (k == 0)
            return 0;
        sent(ipc, (size_t)k);
    }
    return 0;
}

static void want_events(struct sm_ipc *ipc)
{
    if (ipc->watch)
        sm_watch_events(ipc->watch, (ipc->paused ? 0u : SM_READ) | (ipc->out ? SM_WRITE : 0u));
}

/* Without a loop: until all is out. */
static int flush_blocking(struct sm_ipc *ipc, uint64_t until_ms)
{
    while (ipc->out) {
        int r = flush(ipc);
        if (r < 0 || !ipc->out)
            return r;
        uint64_t now = plat_clock_mono_ms();
        if (now >= until_ms) {
            ipc->write_dead = true; /* half a frame is out: nothing sound can follow */
            drop_out(ipc);
            return -SM_ETIME;
        }
        r = plat_poll_one(ipc->fd, PLAT_POLL_WRITE, (int)(until_ms - now));
        if (r < 0)
            return r;
    }
    return 0;
}

/* head then body, less the first skip bytes; fd is borrowed. */
static int enqueue(struct sm_ipc *ipc, const uint8_t head[HEAD], struct sm_span body, size_t skip, int fd)
{
    size_t n = HEAD + body.n - skip;
    struct out *o = malloc(sizeof *o + n);
    if (!o)
        return -ENOMEM;
    o->next = NULL;
    o->n = n;
    o->off = 0;
    o->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0 && o->fd < 0) {
        int err = -errno;
        free(o);
        return err;
    }
    size_t from_head = skip < HEAD ? HEAD - skip : 0;
    memcpy(o->bytes, head + HEAD - from_head, from_head);
    if (n > from_head)
        memcpy(o->bytes + from_head, body.p + body.n - (n - from_head), n - from_head);
    *ipc->out_end = o;
    ipc->out_end = &o->next;
    ipc->out_bytes += n;
    return 0;
}

static bool has_room(const struct sm_ipc *ipc, uint16_t flags, size_t n)
{
    size_t max = ipc->config.queue_max;
    if (flags & SM_IPC_REPLY && !(flags & SM_IPC_MORE) && n <= SMALL_REPLY)
        max += SM_IPC_BODY_MAX;
    return !ipc->out || ipc->out_bytes + HEAD + n <= max;
}

static int send_frame(struct sm_ipc *ipc, uint16_t type, uint16_t flags, uint64_t id, struct sm_span body, int fd)
{
    if (body.n > SM_IPC_BODY_MAX)
        return -SM_ELIMIT;
    if (ipc->write_dead)
        return -SM_EPEER;
    if (!has_room(ipc, flags, body.n)) {
        ipc->refused = true;
        return -SM_EAGAIN;
    }
    uint8_t head[HEAD];
    put_le(head, body.n, 4);
    put_le(head + 4, type, 2);
    put_le(head + 6, (uint16_t)(flags | (fd >= 0 ? SM_IPC_FD : 0)), 2);
    put_le(head + 8, id, 8);
    ssize_t done = 0;
    if (!ipc->out) {
        struct iovec iov[2] = {{head, HEAD}, {(void *)body.p, body.n}};
        done = send_some(ipc, iov, body.n ? 2 : 1, fd);
    }
    if (done < 0)
        return (int)done;
    int r = 0;
    if ((size_t)done < HEAD + body.n) {
        r = enqueue(ipc, head, body, (size_t)done, done > 0 ? -1 : fd);
        if (r < 0 && done > 0)
            ipc->write_dead = true; /* half a frame is out */
    }
    if (r == 0 && ipc->out && !ipc->loop)
        r = flush_blocking(ipc, plat_clock_mono_ms() + SM_IPC_SEND_MS);
    want_events(ipc);
    return r;
}

int sm_ipc_send(struct sm_ipc *ipc, uint16_t type, struct sm_span body, int fd)
{
    return send_frame(ipc, type, 0, 0, body, fd);
}

static int new_ask(struct sm_ipc *ipc, sm_ipc_answer_fn fn, void *arg, struct ask **ret)
{
    if (ipc->asks_n >= SM_IPC_ASKS_MAX) {
        ipc->refused = true;
        return -SM_EAGAIN;
    }
    struct ask *a = malloc(sizeof *a);
    if (!a)
        return -ENOMEM;
    *a = (struct ask){.next = ipc->asks, .id = ipc->next_id++, .fn = fn, .arg = arg};
    ipc->asks = a;
    ipc->asks_n++;
    *ret = a;
    return 0;
}

static void remove_ask(struct sm_ipc *ipc, struct ask *gone)
{
    for (struct ask **p = &ipc->asks; *p; p = &(*p)->next) {
        if (*p != gone)
            continue;
        *p = gone->next;
        ipc->asks_n--;
        free(gone);
        return;
    }
}

static struct ask *find_ask(struct sm_ipc *ipc, uint64_t id)
{
    struct ask *a = ipc->asks;
    while (a && a->id != id)
        a = a->next;
    return a;
}

int sm_ipc_ask(struct sm_ipc *ipc, uint16_t type, struct sm_span body, int fd, sm_ipc_answer_fn fn, void *arg)
{
    struct ask *a;
    int r = new_ask(ipc, fn, arg, &a);
    if (r < 0)
        return r;
    r = send_frame(ipc, type, 0, a->id, body, fd);
    if (r < 0)
        remove_ask(ipc, a);
    return r;
}

int sm_ipc_reply_id(struct sm_ipc *ipc, uint16_t type, uint64_t id, uint16_t extra_flags, struct sm_span body, int fd)
{
    if (id == 0 || extra_flags & ~(SM_IPC_ERROR | SM_IPC_MORE | SM_IPC_REPLY))
        return -SM_EINVAL;
    return send_frame(ipc, type, (uint16_t)(SM_IPC_REPLY | extra_flags), id, body, fd);
}

int sm_ipc_reply(struct sm_ipc *ipc, const struct sm_ipc_msg *to, uint16_t extra_flags, struct sm_span body, int fd)
{
    return sm_ipc_reply_id(ipc, to->type, to->id, extra_flags, body, fd);
}

int sm_ipc_reply_error(struct sm_ipc *ipc, const struct sm_ipc_msg *to, int err, const char *text)
{
    uint8_t body[4 + WHY];
    put_le(body, (uint32_t)(err < 0 ? err : -SM_ESTATE), 4);
    size_t n = text ? strnlen(text, WHY - 1) : 0;
    if (n)
        memcpy(body + 4, text, n);
    /* Cut inside a character, or with names of files in it that are not UTF-8: the peer insists on UTF-8. */
    for (size_t cut = 0; cut < 3 && n == WHY - 1 - cut && !sm_utf8_valid(SM_SPAN(body + 4, n)); cut++)
        n--;
    for (size_t i = 4, valid = sm_utf8_valid(SM_SPAN(body + 4, n)); !valid && i < 4 + n; i++)
        body[i] = body[i] < 0x80 ? body[i] : '?';
    return sm_ipc_reply_id(ipc, to->type, to->id, SM_IPC_ERROR, SM_SPAN(body, 4 + n), -1);
}

size_t sm_ipc_queued(const struct sm_ipc *ipc)
{
    return ipc->out_bytes;
}

/* ---- receiving ---- */

struct head {
    uint32_t n;
    uint16_t type, flags;
    uint64_t id;
};

static const struct sm_ipc_rule *find_rule(const struct sm_ipc *ipc, uint16_t type)
{
    for (size_t i = 0; i < ipc->config.may_receive_n; i++) {
        if (ipc->config.may_receive[i].type == type)
            return &ipc->config.may_receive[i];
    }
    return NULL;
}

/* Judged before the body is there, so that no memory is spent on what is not allowed. */
static bool head_ok(struct sm_ipc *ipc, const struct head *h)
{
    if (h->flags & ~(SM_IPC_REPLY | SM_IPC_ERROR | SM_IPC_MORE | SM_IPC_FD) || h->n > ipc->config.body_max)
        return false;
    if (h->flags & SM_IPC_REPLY) {
        bool error_ok = !(h->flags & SM_IPC_ERROR) || (!(h->flags & (SM_IPC_MORE | SM_IPC_FD)) && h->n >= 4);
        return error_ok && find_ask(ipc, h->id) != NULL;
    }
    const struct sm_ipc_rule *rule = find_rule(ipc, h->type);
    return rule && !(h->flags & (SM_IPC_ERROR | SM_IPC_MORE)) && h->n <= rule->body_max &&
        (rule->with_fd || !(h->flags & SM_IPC_FD));
}

/* The head of the frame at hand: 1, 0 when not all of it is there, or -SM_EPROTO. */
static int peek(struct sm_ipc *ipc, struct head *h)
{
    if (ipc->in_end - ipc->in_start < HEAD)
        return 0;
    struct sm_rd r = {.p = ipc->in + ipc->in_start, .n = HEAD};
    h->n = sm_rd_u32(&r);
    h->type = sm_rd_u16(&r);
    h->flags = sm_rd_u16(&r);
    h->id = sm_rd_u64(&r);
    return head_ok(ipc, h) ? 1 : -SM_EPROTO;
}

/* Room for at least `room` more bytes after in_end. */
static int make_room(struct sm_ipc *ipc, size_t room)
{
    size_t have = ipc->in_end - ipc->in_start;
    if (!ipc->pinned && have == 0)
        ipc->in_start = ipc->in_end = 0;
    if (ipc->in_cap - ipc->in_end >= room)
        return 0;
    if (!ipc->pinned && ipc->in_cap >= have + room) {
        memmove(ipc->in, ipc->in + ipc->in_start, have);
    } else {
        size_t cap = (have + room + READ_ROOM - 1) / READ_ROOM * READ_ROOM;
        uint8_t *p = malloc(cap);
        if (!p)
            return -ENOMEM;
        if (have)
            memcpy(p, ipc->in + ipc->in_start, have);
        if (ipc->pinned && ipc->in) {
            /* A callback still looks at a body in there, behind at least one head. */
            struct old *o = (struct old *)(void *)ipc->in;
            *o = (struct old){ipc->old_in, ipc->in_cap};
            ipc->old_in = o;
            ipc->pinned = false;
        } else {
            sm_zero(ipc->in, ipc->in_cap);
            free(ipc->in);
        }
        ipc->in = p;
        ipc->in_cap = cap;
    }
    ipc->in_start = 0;
    ipc->in_end = have;
    return 0;
}

static int take_fd(struct sm_ipc *ipc, struct msghdr *m)
{
    bool bad = (m->msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            bad = bad || n > 1 || ipc->in_fd_n == FDS_MAX;
            if (bad)
                close(fd);
            else
                ipc->in_fd[ipc->in_fd_n++] = fd;
        }
    }
    return bad ? -SM_EPROTO : 0;
}

/* One read.  2 something came, 1 something that seems to be all, 0 nothing there, -SM_EPEER end, -errno. */
static int fill(struct sm_ipc *ipc)
{
    struct head h = {0};
    size_t have = ipc->in_end - ipc->in_start;
    int r = peek(ipc, &h);
    if (r < 0)
        return r;
    /* Inside a long frame only little is read past its end: that is what has to be moved afterwards. */
    size_t want = r == 1 && HEAD + h.n > have ? HEAD + h.n - have + 4096 : READ_ROOM / 2;
    r = make_room(ipc, want);
    if (r < 0)
        return r;
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int) * 2)];
    } control;
    struct iovec iov = {ipc->in + ipc->in_end, want > READ_ROOM / 2 ? want : ipc->in_cap - ipc->in_end};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    ssize_t n;
    do
        n = recvmsg(ipc->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : errno == ECONNRESET ? -SM_EPEER : -errno;
    r = take_fd(ipc, &m);
    if (r < 0)
        return r;
    if (n == 0) /* an end inside a frame is none of ours */
        return have ? -SM_EPROTO : -SM_EPEER;
    ipc->in_end += (size_t)n;
    return (size_t)n == iov.iov_len ? 2 : 1;
}

/* The next whole frame: 1, 0 none yet, -SM_EPROTO.  Its fd is the caller's; its body lies in `in`, behind in_start. */
static int next_frame(struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct head h;
    int r = peek(ipc, &h);
    if (r <= 0 || ipc->in_end - ipc->in_start - HEAD < h.n) {
        /* Between frames no descriptor may be left over. */
        bool stray = r == 0 && ipc->in_end == ipc->in_start && ipc->in_fd_n > 0;
        return stray ? -SM_EPROTO : r < 0 ? r : 0;
    }
    int fd = -1;
    if (h.flags & SM_IPC_FD) {
        if (ipc->in_fd_n == 0)
            return -SM_EPROTO;
        fd = ipc->in_fd[0];
        memmove(ipc->in_fd, ipc->in_fd + 1, --ipc->in_fd_n * sizeof(int));
    }
    *m = (struct sm_ipc_msg){h.type, h.flags, h.id, {ipc->in + ipc->in_start + HEAD, h.n}, fd};
    ipc->in_start += HEAD + h.n;
    return 1;
}

static int error_body(const struct sm_ipc_msg *m, char why[WHY])
{
    struct sm_rd r = SM_RD(m->body);
    int32_t err = (int32_t)sm_rd_u32(&r);
    size_t n = r.n < WHY - 1 ? r.n : WHY - 1;
    while (n > 0 && n < r.n && (r.p[n] & 0xc0) == 0x80)
        n--; /* not in the middle of a character */
    if (err >= 0 || err == INT32_MIN || !sm_utf8_valid((struct sm_span){r.p, n}))
        return 0;
    if (n)
        memcpy(why, r.p, n);
    why[n] = 0;
    return err;
}

/* An answer to one of our asks.  0 or -SM_EPROTO. */
static int deliver_answer(struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct ask *a = find_ask(ipc, m->id);
    if (!a)
        return -SM_EPROTO;
    char why[WHY] = "";
    int err = 0;
    if (m->flags & SM_IPC_ERROR) {
        err = error_body(m, why);
        if (err == 0)
            return -SM_EPROTO;
    }
    sm_ipc_answer_fn fn = a->fn;
    void *arg = a->arg;
    if (!(m->flags & SM_IPC_MORE))
        remove_ask(ipc, a); /* before the callback, which may free everything */
    if (fn)
        fn(arg, err, m, why);
    return 0;
}

/* Runs callbacks; the channel is entered. */
static int deliver(struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    int r = 0;
    if (m->flags & SM_IPC_REPLY)
        r = deliver_answer(ipc, m);
    else if (ipc->config.on_message)
        ipc->config.on_message(ipc->config.arg, ipc, m);
    if (m->fd >= 0)
        close(m->fd);
    return r;
}

static bool alive(const struct sm_ipc *ipc)
{
    return !ipc->freed && !ipc->gone && !ipc->paused;
}

/* Frames put aside come first; a callback may put more aside. */
static int deliver_kept(struct sm_ipc *ipc)
{
    int r = 0;
    while (alive(ipc) && ipc->kept && r == 0) {
        struct kept *k = ipc->kept;
        ipc->kept = k->next;
        if (!ipc->kept)
            ipc->kept_end = &ipc->kept;
        ipc->kept_bytes -= sizeof *k + k->m.body.n;
        r = deliver(ipc, &k->m);
        k->m.fd = -1;
        free_kept(k);
    }
    return r;
}

static int deliver_all(struct sm_ipc *ipc)
{
    int r = deliver_kept(ipc);
    while (r >= 0 && alive(ipc)) {
        struct sm_ipc_msg m;
        r = next_frame(ipc, &m);
        if (r <= 0)
            return r;
        bool outer = ipc->pinned;
        ipc->pinned = true;
        r = deliver(ipc, &m);
        ipc->pinned = outer;
        if (r == 0)
            r = deliver_kept(ipc);
    }
    return r < 0 ? r : 0;
}

static int turn(struct sm_ipc *ipc, unsigned events)
{
    int r = deliver_all(ipc);
    for (int i = 0; i < READS_A_TURN && r == 0 && alive(ipc) && events & (SM_READ | SM_HUP); i++) {
        int got = fill(ipc);
        r = got > 0 ? deliver_all(ipc) : got;
        if (got < 2)
            break;
    }
    return r < 0 ? r : 0;
}

static void after_write(struct sm_ipc *ipc)
{
    if (!ipc->refused || ipc->out_bytes > ipc->config.queue_max / 2)
        return;
    ipc->refused = false;
    if (ipc->config.on_drained)
        ipc->config.on_drained(ipc->config.arg, ipc);
}

static void run(struct sm_ipc *ipc, unsigned events)
{
    enter(ipc);
    if (ipc->out)
        (void)flush(ipc); /* a failure shows when reading: the peer is gone */
    if (alive(ipc))
        after_write(ipc);
    int r = alive(ipc) ? turn(ipc, events) : 0;
    if (r < 0)
        go(ipc, r);
    if (!ipc->freed && !ipc->gone)
        after_write(ipc);
    if (leave(ipc))
        want_events(ipc);
}

static void on_ready(void *arg, int fd, unsigned events)
{
    run(arg, events);
}

static void on_kick(void *arg)
{
    run(arg, 0);
}

void sm_ipc_pause(struct sm_ipc *ipc, bool paused)
{
    bool resumed = ipc->paused && !paused;
    ipc->paused = paused;
    want_events(ipc);
    if (resumed && ipc->kick)
        sm_timer_set(ipc->kick, 0, 0); /* whole frames may be in hand already */
}

/* ---- blocking calls ---- */

static int keep(struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    size_t n = sizeof(struct kept) + m->body.n;
    struct kept *k = ipc->kept_bytes + n > SM_IPC_KEEP_MAX ? NULL : malloc(n);
    if (!k) {
        if (m->fd >= 0)
            close(m->fd);
        return ipc->kept_bytes + n > SM_IPC_KEEP_MAX ? -SM_ELIMIT : -ENOMEM;
    }
    k->next = NULL;
    k->m = *m;
    k->m.body.p = k->bytes;
    if (m->body.n)
        memcpy(k->bytes, m->body.p, m->body.n);
    *ipc->kept_end = k;
    ipc->kept_end = &k->next;
    ipc->kept_bytes += n;
    return 0;
}

/* Wait for input, sending what is queued meanwhile.  0 something may be there, -SM_ETIME, errors. */
static int wait_input(struct sm_ipc *ipc, uint64_t until_ms, bool for_ever)
{
    if (ipc->out)
        (void)flush(ipc); /* a failure shows when reading */
    uint64_t now = plat_clock_mono_ms();
    if (!for_ever && now >= until_ms)
        return -SM_ETIME;
    uint64_t left = for_ever ? 1000 : until_ms - now;
    int r = plat_poll_one(ipc->fd, PLAT_POLL_READ | (ipc->out ? PLAT_POLL_WRITE : 0u), left > 1000 ? 1000 : (int)left);
    return r < 0 ? r : 0;
}

struct call {
    struct sm_ipc *ipc;
    uint64_t id;
    struct sm_buf *body;
    int fd;
    char why[WHY];
    int result;
    bool done;
};

/* One frame of the answer we wait for. */
static void call_frame(struct call *c, struct sm_ipc_msg *m)
{
    if (m->flags & SM_IPC_ERROR) {
        int err = error_body(m, c->why);
        c->result = err ? err : -SM_EPROTO;
    } else if (c->result == 0 && c->body) {
        c->result = sm_buf_put_span(c->body, m->body);
    }
    if (m->fd >= 0 && c->fd < 0)
        c->fd = m->fd;
    else if (m->fd >= 0)
        close(m->fd);
    c->done = !(m->flags & SM_IPC_MORE);
}

static int call_wait(struct call *c, uint64_t until_ms, bool for_ever)
{
    struct sm_ipc *ipc = c->ipc;
    while (!c->done) {
        struct sm_ipc_msg m;
        int r = next_frame(ipc, &m);
        if (r < 0)
            return r;
        if (r > 0 && m.flags & SM_IPC_REPLY && m.id == c->id) {
            call_frame(c, &m);
            continue;
        }
        if (r > 0) {
            r = keep(ipc, &m);
            if (r < 0)
                return r;
            continue;
        }
        r = fill(ipc);
        if (r == 0)
            r = wait_input(ipc, until_ms, for_ever);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A channel that failed inside a call: the loop finds out by itself where there is one. */
static void call_failed(struct sm_ipc *ipc, int err)
{
    if (err == -SM_ETIME)
        return;
    ipc->write_dead = true;
    drop_out(ipc);
    (void)shutdown(ipc->fd, SHUT_RDWR); /* so that the loop reads an end */
    ipc->in_start = ipc->in_end;
    ipc->failed = err;
}

/* Descriptor and body of a finished call go to the caller, or away. */
static void call_result(struct call *c, int r, size_t before, int *ret_fd)
{
    if (r < 0 && c->body)
        c->body->n = before;
    if (c->fd >= 0 && (r < 0 || !ret_fd))
        close(c->fd);
    else if (r == 0 && ret_fd)
        *ret_fd = c->fd;
}

static int call(struct call *c, uint16_t type, struct sm_span body, int fd, int timeout_ms)
{
    struct sm_ipc *ipc = c->ipc;
    struct ask *a;
    int r = new_ask(ipc, NULL, NULL, &a);
    if (r < 0)
        return r;
    c->id = a->id;
    r = send_frame(ipc, type, 0, c->id, body, fd);
    if (r < 0) {
        remove_ask(ipc, a);
        return r;
    }
    r = call_wait(c, plat_clock_mono_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms), timeout_ms < 0);
    if (r < 0)
        call_failed(ipc, r);
    /* After a time-out the ask stays, answered to nobody: its late answer is no breach of protocol. */
    if (r != -SM_ETIME)
        remove_ask(ipc, find_ask(ipc, c->id));
    return r < 0 ? r : c->result;
}

static int call_whole(struct sm_ipc *ipc, uint16_t type, struct sm_span body, int fd, int timeout_ms,
    struct sm_buf *ret_body, int *ret_fd, char *ret_why)
{
    struct call c = {.ipc = ipc, .body = ret_body, .fd = -1};
    size_t before = ret_body ? ret_body->n : 0;
    int r = call(&c, type, body, fd, timeout_ms);
    call_result(&c, r, before, ret_fd);
    if (r < 0 && ret_why)
        (void)snprintf(ret_why, WHY, "%s", c.why[0] ? c.why : sm_strerror(r));
    if ((ipc->kept || ipc->in_end > ipc->in_start) && ipc->kick)
        sm_timer_set(ipc->kick, 0, 0);
    want_events(ipc);
    return r;
}

int sm_ipc_call(struct sm_ipc *ipc, uint16_t type, struct sm_span body, int timeout_ms, struct sm_buf *ret_body,
    int *ret_fd, char *ret_why)
{
    return call_whole(ipc, type, body, -1, timeout_ms, ret_body, ret_fd, ret_why);
}

int sm_ipc_call_fd(
    struct sm_ipc *ipc, uint16_t type, struct sm_span body, int fd, int timeout_ms, struct sm_buf *ret_body)
{
    return call_whole(ipc, type, body, fd, timeout_ms, ret_body, NULL, NULL);
}

/* The next frame that is not an answer, from those put aside first.  1, 0 none in hand, or an error. */
static int recv_in_hand(struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    free_kept(ipc->last_kept);
    ipc->last_kept = NULL;
    struct kept *k = ipc->kept;
    if (!k)
        return next_frame(ipc, m);
    ipc->kept = k->next;
    if (!ipc->kept)
        ipc->kept_end = &ipc->kept;
    ipc->kept_bytes -= sizeof *k + k->m.body.n;
    *m = k->m;
    k->m.fd = -1;
    ipc->last_kept = k;
    return 1;
}

int sm_ipc_recv(struct sm_ipc *ipc, int timeout_ms, struct sm_ipc_msg *ret)
{
    uint64_t until = plat_clock_mono_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);
    for (;;) {
        struct sm_ipc_msg m;
        int r = recv_in_hand(ipc, &m);
        if (r > 0 && !(m.flags & SM_IPC_REPLY)) {
            *ret = m;
            return 0;
        }
        if (r > 0) {
            enter(ipc);
            r = deliver(ipc, &m);
            if (!leave(ipc))
                return -SM_ECANCEL;
        } else if (r == 0) {
            r = fill(ipc);
            r = r == 0 ? wait_input(ipc, until, timeout_ms < 0) : r;
        }
        if (r < 0)
            return r;
    }
}

/* The first answer among the frames put aside, or NULL. */
static struct kept *take_kept_answer(struct sm_ipc *ipc)
{
    for (struct kept **at = &ipc->kept; *at; at = &(*at)->next) {
        struct kept *k = *at;
        if (!(k->m.flags & SM_IPC_REPLY))
            continue;
        *at = k->next;
        if (!*at)
            ipc->kept_end = at;
        ipc->kept_bytes -= sizeof *k + k->m.body.n;
        return k;
    }
    return NULL;
}

static int deliver_alone(struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    enter(ipc);
    int r = deliver(ipc, m);
    return leave(ipc) ? r : -SM_ECANCEL;
}

int sm_ipc_await(struct sm_ipc *ipc, int timeout_ms)
{
    uint64_t until = plat_clock_mono_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);
    struct kept *k = take_kept_answer(ipc);
    if (k) {
        int r = deliver_alone(ipc, &k->m);
        k->m.fd = -1;
        free_kept(k);
        return r;
    }
    for (;;) {
        struct sm_ipc_msg m;
        int r = next_frame(ipc, &m);
        if (r > 0 && m.flags & SM_IPC_REPLY)
            return deliver_alone(ipc, &m);
        if (r > 0)
            r = keep(ipc, &m);
        else if (r == 0 && (r = fill(ipc)) == 0)
            r = wait_input(ipc, until, timeout_ms < 0);
        if (r < 0)
            return r;
    }
}
