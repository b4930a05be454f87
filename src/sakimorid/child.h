/*
 * What every child process of the box has in common: the channel to the parent, channels to peers that come
 * and go, waiting for a peer that is being restarted, and confinement.
 *
 * A child is one folder or file with an entry `int NAME_main(struct child *c)` that fills a child_spec and
 * returns child_run(c, &spec), and one row in the table of main.c.
 *
 * Order inside child_run: P_CONFIG arrives → spec->early → hygiene, Landlock (folders of the row), uid → spec->start →
 * seccomp → C_READY → spec->ready → loop until P_STOP (spec->stop, then child_done) or the parent is gone.
 * Descriptor 3 is the channel to the parent.
 */
#ifndef SAKIMORID_CHILD_H
#define SAKIMORID_CHILD_H
#include "core/ipc.h"
#include "core/json.h"
#include "core/loop.h"
#include "plat/sandbox.h"
#include "sakimorid/messages.h"

#define CHILD_FOLDERS_MAX 20
struct child;
/* One row of the table in main.c.  Folder paths: relative to the data folder, or absolute; created (0700, owned by
 * the child's uid) when relative and writable. */
struct child_row {
    const char *name;
    unsigned who;                     /* WHO_ bit */
    int (*entry)(struct child *c);    /* returns the exit code */
    const char *profile;              /* of plat_sandbox_seccomp */
    const char *user;                 /* "_sakimori-front"; when absent as root: 64300 + its place in WHO_ */
    struct plat_path_rule folders[CHILD_FOLDERS_MAX]; /* ends at path NULL */
    unsigned nofile;                  /* most descriptors */
    bool on_request;                  /* started by P_OPENER, P_COPIER, P_COURIER, P_SELF or P_HOUSE only */
    int caps[2]; size_t caps_n;       /* kept as root; everything else goes */
    bool rules_folder;                /* may read config's rules: the folder of the rules that are shipped */
    bool job_folder;                  /* may write below config's job.path, which the parent was asked for */
};

/* Called for every request or notice of the row's type.  peer is a WHO_ bit.  Requests must be answered with
 * sm_ipc_reply… on ipc, now or later; later the channel may be gone: look it up with child_peer_id. */
typedef void (*child_msg_fn)(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
struct child_handler { unsigned peer; uint16_t type; child_msg_fn fn; }; /* peer: WHO_ bits */

struct child_spec {
    const struct child_handler *handlers; size_t handlers_n;
    int (*early)(struct child *c);    /* before confinement, still as the parent's user: read what only that one may.
                                         Nothing from outside has been seen yet.  < 0 ends the process; may be NULL */
    int (*start)(struct child *c);    /* c->config is there; open files, databases.  < 0 ends the process */
    int (*ready)(struct child *c);    /* confined; may be NULL.  Peers may not be attached yet */
    void (*attached)(struct child *c, unsigned peer, struct sm_ipc *ipc); /* may be NULL */
    void (*gone)(struct child *c, unsigned peer);                         /* may be NULL */
    void (*stop)(struct child *c);    /* P_STOP; NULL = end at once.  Calls child_done when finished (≤ 5 s) */
    void (*config)(struct child *c);  /* a later P_CONFIG replaced c->config; may be NULL */
    void (*end)(struct child *c);     /* after the loop: free everything; may be NULL */
    size_t queue_max;                 /* output queue of each channel; 0 = 4 MiB */
};

struct child_private;
struct child {
    struct sm_loop *loop;
    const struct child_row *row;
    const char *name;                 /* row->name */
    json_t *config;                   /* P_CONFIG: {"data", "settings":{}, …}; borrowed by everyone else */
    const char *data;                 /* the data folder, from config */
    struct plat_confined confined;
    void *state;                      /* the child's own */
    struct child_private *priv;
};

/* The current channel to peer (WHO_ bit), or NULL while it is away. */
struct sm_ipc *child_peer(struct child *c, unsigned peer);
/* A number that changes whenever peer is attached anew, 0 while away: keep it with a request that is answered late and
 * answer with child_reply_late, which drops the answer if that channel is gone. */
uint64_t child_peer_id(struct child *c, unsigned peer);

/* Flags of child_ask. */
enum { CHILD_IDEMPOTENT = 1 };        /* may be sent again to the restarted peer when it died before answering */
#define CHILD_WAIT_MS 10000           /* how long a peer that is away is waited for */
#define CHILD_WAITING_MAX 512         /* asks waiting for absent peers, else -SM_EAGAIN */
/*
 * Ask peer.  body is copied if it must be kept.  fn is called like sm_ipc_ask's: once a frame, the last one
 * without SM_IPC_MORE, exactly one last call; never before child_ask returns.  -SM_EPEER after CHILD_WAIT_MS
 * without the peer, or when it died and the ask was not idempotent (or had frames already).
 * A queue that is full waits too.  arg must live until the last call.
 */
sm_must_use int child_ask(struct child *c, unsigned peer, uint16_t type, struct sm_span body,
    sm_ipc_answer_fn fn, void *arg, unsigned flags);
/* The same with a JSON object as body (borrowed). */
sm_must_use int child_ask_json(struct child *c, unsigned peer, uint16_t type, const json_t *body,
    sm_ipc_answer_fn fn, void *arg, unsigned flags);
/* Blocking, for moments that cannot wait in the loop (a TLS handshake's signature).  -SM_EPEER when away. */
sm_must_use int child_call(struct child *c, unsigned peer, uint16_t type, struct sm_span body, int timeout_ms,
    struct sm_buf *ret_body, char *ret_why);
/* A notice; -SM_EPEER when the peer is away (nothing is kept), -SM_EAGAIN when its queue is full. */
sm_must_use int child_notify(struct child *c, unsigned peer, uint16_t type, struct sm_span body);
sm_must_use int child_notify_json(struct child *c, unsigned peer, uint16_t type, const json_t *body);

/* Answers: these end the process on -ENOMEM only by ending the channel; the result need not be looked at. */
void child_reply(struct sm_ipc *ipc, const struct sm_ipc_msg *to, struct sm_span body);
void child_reply_json(struct sm_ipc *ipc, const struct sm_ipc_msg *to, const json_t *body);
void child_reply_error(struct sm_ipc *ipc, const struct sm_ipc_msg *to, int err, const char *text);
/* A request put aside to be answered later. */
struct child_late { unsigned peer; uint64_t peer_id, id; uint16_t type; };
struct child_late child_later(struct child *c, unsigned peer, const struct sm_ipc_msg *m);
/* extra_flags: 0 or SM_IPC_MORE.  0; -SM_EPEER: the asker is gone; -SM_EAGAIN: its queue is full, go on at drained. */
sm_must_use int child_reply_late(struct child *c, const struct child_late *l, uint16_t extra_flags, struct sm_span body);
void child_reply_late_json(struct child *c, const struct child_late *l, const json_t *body);
void child_reply_late_error(struct child *c, const struct child_late *l, int err, const char *text);
/* Called whenever peer's output queue has drained (one function a peer; NULL removes it). */
void child_on_drained(struct child *c, unsigned peer, void (*fn)(void *arg), void *arg);

/* Say the reason to parent and log; the process then ends with exit code 1 once the loop turns. */
void child_fatal(struct child *c, const char *fmt, ...) sm_printf(2, 3);
/* C_NOTE to the parent, e.g. {"setup_code": "…"}. */
void child_note(struct child *c, const json_t *body);
/* stop is finished. */
void child_done(struct child *c);

sm_must_use int child_run(struct child *c, const struct child_spec *spec);
/* The user the child of this row becomes (as root; else the present one). */
void child_user(const struct child_row *row, uid_t *ret_uid, gid_t *ret_gid);
/* For main.c: the process `sakimorid --child=NAME`.  Returns the exit code. */
int child_start(const struct child_row *row, pid_t parent);

/* The entries (each in its own folder). */
int front_main(struct child *c);
int keyd_main(struct child *c);
int brain_main(struct child *c);
int vault_main(struct child *c);
int opener_main(struct child *c);
int out_main(struct child *c);
int copier_main(struct child *c);
int courier_main(struct child *c);
int selfsave_main(struct child *c);
int collector_main(struct child *c);
int watch_main(struct child *c);
int seeker_main(struct child *c);
int house_main(struct child *c);

#endif
