/*
 * Messages between processes over a stream socketpair.
 *
 * Frame (little-endian): u32 body length | u16 type | u16 flags | u64 request id | body.
 * At most one descriptor travels with a frame (SCM_RIGHTS).  Each end is made with a
 * maximum body and a table of the types it may RECEIVE; anything else (unknown type,
 * too long, unexpected descriptor) is -SM_EPROTO, and the owner ends the process: an
 * unexpected message between our own processes is an attack or a bug.
 *
 * A request has a fresh id and is answered by exactly one frame with the same id and
 * SM_IPC_REPLY set; an answer that failed carries SM_IPC_ERROR and as body i32 error
 * (negative) | UTF-8 text.  Long answers are several frames with SM_IPC_MORE set on all but
 * the last.  Nothing here blocks but sm_ipc_call.  Queued output is bounded: past
 * queue_max sm_ipc_send says -SM_EAGAIN and the sender must wait for the drained callback.
 */
#ifndef SM_CORE_IPC_H
#define SM_CORE_IPC_H
#include <stdint.h>
#include "core/buf.h"
#include "core/loop.h"

enum {
    SM_IPC_REPLY = 1, SM_IPC_ERROR = 2, SM_IPC_MORE = 4,
    SM_IPC_FD = 8,      /* set by the sender's end itself: a descriptor travels with this frame */
};
#define SM_IPC_BODY_MAX ((size_t)1 << 20)   /* the house maximum; a channel may have less */

struct sm_ipc;
struct sm_ipc_msg {
    uint16_t type, flags;
    uint64_t id;
    struct sm_span body;   /* borrowed until the callback returns */
    int fd;                /* -1, or a descriptor the callback takes by setting it to -1 */
};
struct sm_ipc_rule { uint16_t type; uint32_t body_max; bool with_fd; const char *name; };
typedef void (*sm_ipc_fn)(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m);
typedef void (*sm_ipc_gone_fn)(void *arg, struct sm_ipc *ipc, int err); /* 0 = closed by peer */
typedef void (*sm_ipc_drained_fn)(void *arg, struct sm_ipc *ipc);
/* Answer to sm_ipc_ask; called once per frame, last one without SM_IPC_MORE.  err < 0: no answer came
 * (peer gone or error frame: then text is the peer's words), m is NULL or the error frame. */
typedef void (*sm_ipc_answer_fn)(void *arg, int err, const struct sm_ipc_msg *m, const char *text);

struct sm_ipc_config {
    const struct sm_ipc_rule *may_receive; size_t may_receive_n;  /* requests and notices */
    size_t body_max, queue_max;
    sm_ipc_fn on_message; sm_ipc_gone_fn on_gone; sm_ipc_drained_fn on_drained; void *arg;
};
/* Takes fd (made non-blocking).  loop may be NULL: then only sm_ipc_call and sm_ipc_recv are used. */
sm_must_use int sm_ipc_new(struct sm_loop *loop, int fd, const struct sm_ipc_config *config, struct sm_ipc **ret);
void sm_ipc_free(struct sm_ipc *ipc);  /* pending asks are answered with -SM_EPEER */
/* A notice (id 0).  fd -1 or borrowed (duplicated into the queue). */
sm_must_use int sm_ipc_send(struct sm_ipc *ipc, uint16_t type, struct sm_span body, int fd);
sm_must_use int sm_ipc_ask(
    struct sm_ipc *ipc, uint16_t type, struct sm_span body, int fd, sm_ipc_answer_fn fn, void *arg);
sm_must_use int sm_ipc_reply(
    struct sm_ipc *ipc, const struct sm_ipc_msg *to, uint16_t extra_flags, struct sm_span body, int fd);
sm_must_use int sm_ipc_reply_id(
    struct sm_ipc *ipc, uint16_t type, uint64_t id, uint16_t extra_flags, struct sm_span body, int fd);
sm_must_use int sm_ipc_reply_error(struct sm_ipc *ipc, const struct sm_ipc_msg *to, int err, const char *text);
/* Send and wait for the one answer frame, blocking up to timeout_ms; other frames that come first are
 * kept and delivered later through the loop.  ret_body is appended to.  Error text in ret_why (160 bytes, may be NULL).
 */
sm_must_use int sm_ipc_call(struct sm_ipc *ipc, uint16_t type, struct sm_span body, int timeout_ms,
    struct sm_buf *ret_body, int *ret_fd, char *ret_why);
/* The same with a descriptor that goes along (borrowed). */
sm_must_use int sm_ipc_call_fd(
    struct sm_ipc *ipc, uint16_t type, struct sm_span body, int fd, int timeout_ms, struct sm_buf *ret_body);
/* For processes without a loop that have asked (sm_ipc_ask): block up to timeout_ms until an answer came and was given to
 * its callback; other frames that come first are kept for sm_ipc_recv.  -SM_ETIME, -SM_EPEER closed. */
sm_must_use int sm_ipc_await(struct sm_ipc *ipc, int timeout_ms);
/* Blocking receive for processes without a loop; answers that come first go to their callbacks. */
sm_must_use int sm_ipc_recv(struct sm_ipc *ipc, int timeout_ms, struct sm_ipc_msg *ret);
size_t sm_ipc_queued(const struct sm_ipc *ipc);
/* Stop reading (the peer then runs into its own queue_max), and go on. */
void sm_ipc_pause(struct sm_ipc *ipc, bool paused);

/*
 * More of the contract:
 * - Sends say -SM_ELIMIT for a body over SM_IPC_BODY_MAX, -SM_EPEER when the peer is gone, -SM_EAGAIN when the queue or
 *   the number of open asks (SM_IPC_ASKS_MAX) is full.  A frame is always taken when nothing is queued; answers of
 *   at most 64 KiB that end a request may go SM_IPC_BODY_MAX over queue_max, so that a full queue of
 *   data does not swallow them.
 * - on_drained comes when, after a refusal, the queue fell to half of queue_max.
 * - on_gone comes once, after which nothing else comes; free the channel in it or later.  err: 0, -SM_EPROTO, -errno.
 * - A callback may free its channel.  A body stays valid until its callback returns, also over a sm_ipc_call inside.
 * - Without a loop sends block, at most SM_IPC_SEND_MS (-SM_ETIME: the channel is then dead).
 * - sm_ipc_call joins the bodies of an answer of several frames.  An answer that comes after its time-out is dropped.
 * - sm_ipc_recv: ret's body is valid until the next call with this channel, ret->fd is the caller's.
 *   -SM_EPEER closed, -SM_ETIME.
 * - What sm_ipc_call has to keep for later is bounded by SM_IPC_KEEP_MAX bytes; beyond it -SM_ELIMIT ends the channel.
 */
enum { SM_IPC_ASKS_MAX = 1024, SM_IPC_SEND_MS = 60000, SM_IPC_KEEP_MAX = 16 << 20 };
#endif
