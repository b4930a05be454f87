/*
 * The console's and the agents' API: one table of routes, the people's sign-in, the audit log, the schedule
 * of backups, alarms and the words of Today.  docs/API.md and docs/PROTOCOL-agent.md are the contract.
 *
 * This room sees parsed requests (front did the HTTP) and the state database.  It never touches a network,
 * a vault file or a private key: it asks vault, keyd, opener and out by the names of docs/PROCESSES.md through
 * struct api_ops, so that a test can be all of them.
 */
#ifndef API_API_H
#define API_API_H
#include <jansson.h>
#include "core/buf.h"
#include "core/loop.h"
#include "state/state.h"

/* One frame of an answer, or the error that came instead (err < 0; text is the peer's words or NULL).
 * The last frame has more == false.  Called exactly once with more == false, never before ask returns. */
typedef void (*api_frame_fn)(void *arg, int err, struct sm_span body, bool more, const char *text);

struct api_ops {
    void *arg;
    /* Send message (its name in docs/PROCESSES.md) to the process that takes it.  again: may be repeated when that
     * process is restarted.  0 (fn will be called) or an error (it will not). */
    int (*ask)(void *arg, const char *message, struct sm_span body, bool again, api_frame_fn fn, void *fn_arg);
    void (*note)(void *arg, const json_t *body);                                          /* to the parent */
    void (*event)(void *arg, const char *topic, const char *id, const json_t *data);      /* server-sent */
    void (*drop)(void *arg, const char *session);                                         /* end its event streams */
    void (*cert)(void *arg, const char *chain_pem);                                       /* serve with this */
    void (*doors)(void *arg, const json_t *doors);            /* which doors for logs are shut, to the collector; may be NULL */
};

/* What logs can be read as (the room normalise); format NULL: any name is taken.  format_at: NULL past the end. */
struct api_log_names {
    bool (*format)(const char *name);
    bool (*encoding)(const char *name);
    const char *(*format_at)(size_t i);
};

struct api_config {
    struct sm_loop *loop;          /* NULL: no timers, no worker thread; the test calls api_tick */
    struct state *state;           /* borrowed */
    const char *data;              /* data folder; state/audit and public below it are made */
    const json_t *names;           /* array: names and addresses of this box, for its certificate */
    const char *agent_url;         /* where machines join; shown with a join code.  NULL: made from names */
    const char *disks;             /* folder where disks are found by UUID; NULL: not known */
    const char *machine;           /* id of the machine the box stands on; NULL: not known */
    int64_t copier_uid, copier_gid; /* whose a prepared target must be */
    struct api_ops ops;
    /* The room decide, asked by name (src/sakimorid/brain/decider.h); NULL: signals are not taken. */
    int (*decide)(void *arg, const char *what, const json_t *in, json_t **ret);
    void *decide_arg;
    struct api_log_names log_names;
    int64_t log_ports[3];          /* for logs over UDP, TCP, TLS; 0: none */
    /* The room respond (src/sakimorid/brain/responder.h); NULL: no playbooks.  ret_why: 200 bytes, English. */
    int (*respond)(const char *what, const json_t *in, json_t **ret, char *ret_why);
    unsigned pass_memory_kib;      /* Argon2id memory at sign-in; 0 = the standard.  Smaller in tests only */
};

struct api;
/* -ENOMEM, or errors of files and database. */
sm_must_use int api_new(const struct api_config *config, struct api **ret);
void api_free(struct api *a);
/* Once the peers may be asked: keys made at the very first start, certificate, vault's clients, accepted work. */
void api_start(struct api *a);
/* The clockwork: schedule, alarms, held polls, outbox.  Called every few seconds. */
void api_tick(struct api *a);

struct api_response {
    int status;
    const json_t *headers;         /* name → text, or array of texts */
    const json_t *then;            /* NULL, or what front does after (docs/PROCESSES.md) */
    struct sm_span body;
};
typedef void (*api_done_fn)(void *arg, const struct api_response *r);
/*
 * One request: req is the JSON of B_HTTP, body its bytes (both borrowed).  done is called once, now or later, and
 * always (api_free answers what is open with 503).  *ret_call, when not NULL, is a number for api_gone.
 */
void api_handle(struct api *a, const json_t *req, struct sm_span body, api_done_fn done, void *arg, uint64_t *ret_call);
/* The client of that call went away: a held poll is let go.  done is still called. */
void api_gone(struct api *a, uint64_t call);

/* Notices of other processes. */
void api_on_child(struct api *a, const json_t *child);   /* P_CHILD */
void api_on_vault(struct api *a, const json_t *event);   /* V_EVENT */
void api_on_keyd(struct api *a, const json_t *event);    /* K_EVENT */
void api_on_disks(struct api *a, const json_t *disks);    /* P_DISKS */
void api_on_copier(struct api *a, const json_t *event);  /* Y_EVENT, N_EVENT */
bool api_copy_runs(const struct api *a, const char *copy); /* is this the copy that is made just now? */
void api_on_watch(struct api *a, const json_t *event);   /* W_SIGNALS */
void api_on_log_sources(struct api *a, const json_t *event);   /* W_SOURCES */
void api_on_log_senders(struct api *a, const json_t *event);   /* L_SENDERS */
void api_on_log_event(struct api *a, const json_t *event);     /* W_EVENT */
void api_on_rule_hits(struct api *a, const json_t *event);     /* W_HITS */
void api_on_house(struct api *a, const json_t *state);         /* H_STATE */
void api_on_sent(struct api *a, const json_t *result);   /* X_RESULT */
void api_on_peer(struct api *a, const char *peer, bool there);

#endif
