/*
 * The vault process: the only one that opens the vault's files.  No key that opens a chunk, no network.
 * vaultd.c: life, verifying.c, scrubbing.c: in the background, uploads.c: packs from front, objects.c: sealed objects to front and opener, queries.c and records.c: what brain
 * asks.
 */
#ifndef SAKIMORID_VAULTD_H
#define SAKIMORID_VAULTD_H
#include "sakimorid/wire.h"
#include "vault/copy/far.h"
#include "vault/scrub/scrub.h"
#include "vault/store/deletion.h"
#include "vault/store/store.h"
#include "vault/verify/verify.h"

#define VAULTD_UPLOADS_MAX 64
#define VAULTD_GRANTS_MAX 64
#define VAULTD_JOBS_MAX 64
#define VAULTD_FRAME ((size_t)512 << 10) /* of a stream of objects */
#define VAULTD_READ ((size_t)2 << 20)    /* read and checked together */
#define VAULTD_OBJECTS_MAX 2048          /* cids of one request */
#define VAULTD_DAMAGES_MAX 200
#define VAULTD_PEERS_MAX 16

struct upload {
    uint32_t handle; /* 0 = free */
    struct far *far; /* a neighbour's: then no session; NULL else */
    unsigned sender; /* who sends it */
    struct session_id session;
    struct cid pack;
    uint64_t offset, total;
    bool ended, duplicate;  /* ended: waits for the flush */
    struct child_late late; /* who waits for the acknowledgement */
};
struct grant {
    bool used;
    uint8_t id[16];
    struct client_id client;
    int64_t until_s;
};
struct objects_job {
    struct child_late late;
    struct client_id client;
    struct cid *cids;
    size_t n, i;
    struct sm_buf out; /* bytes not yet sent, behind the `sent` that are */
    size_t sent;
    struct objects_job *next;
};

/* A neighbour whose copy is kept here. */
struct peer {
    uint8_t id[16];
    struct vault_id vault;
    uint8_t head_pub[32];
    struct far *far; /* NULL: free */
    int64_t head_told_s, refused_told_s;
    uint64_t next_check_ms;
};

struct cleaning {
    struct clean *clean; /* NULL: none runs */
    struct sm_timer *step;
    bool dry, cancel;
    json_t *expire, *last;
    uint64_t last_ms, looked_ms; /* running time of the last run, and look at what is frozen */
    uint64_t quota_told_hour;
};

struct vaultd {
    struct child *c;
    struct store *store; /* NULL until brain said which vault this is */
    struct vault_id vault;
    uint8_t head_pub[32];
    struct upload uploads[VAULTD_UPLOADS_MAX];
    uint32_t next_handle;
    struct grant grants[VAULTD_GRANTS_MAX];
    struct crypto_many *many;
    struct objects_job *jobs;
    size_t jobs_n;
    struct sm_buf spare_out; /* of a request that is over */
    struct sm_timer *flush, *clock, *mark, *step;
    struct verify *verify;
    struct verify_hooks hooks;
    enum verify_kind verify_kind;
    struct verify_progress progress;
    json_t *damaged, *last; /* of the running or last verify */
    bool cancel;
    struct cleaning cleaning;
    struct scrubbing *scrubbing; /* once the store is open */
    struct peer peers[VAULTD_PEERS_MAX];
    struct sm_timer *peers_check, *peers_judge;
    size_t peers_turn, judge_turn;
    bool peers_judging; /* the timer runs */
};

static inline struct vaultd *vaultd_of(struct child *c)
{
    return c->state;
}

/* The store, or NULL after answering SM_EAGAIN (not opened yet). */
struct store *vaultd_store(struct vaultd *v, struct sm_ipc *ipc, struct sm_ipc_msg *m);
/* A request with a JSON body, while its handler runs. */
struct asked {
    struct vaultd *v;
    struct store *st;
    json_t *in;
    struct sm_obj o; /* in's fields */
    struct sm_ipc *ipc;
    struct sm_ipc_msg *m;
};
/* False: answered already (the store is not open yet, or the body is no JSON).  Ended by vaultd_answer, or, when the answer is not
 * JSON, by json_decref(in). */
bool vaultd_asked(struct child *c, struct sm_ipc *ipc, struct sm_ipc_msg *m, struct asked *ret);
/* As wire_answer; frees in. */
void vaultd_answer(struct asked *q, json_t *out, int r, const char *why);
/* A notice to brain; o is taken. */
void vaultd_event(struct vaultd *v, const char *what, json_t *o);
/* Ask for a flush soon (group commit), or for new marks. */
void vaultd_flush_soon(struct vaultd *v);
void vaultd_mark_soon(struct vaultd *v);
/* Look whether the last error broke the store, and tell. */
void vaultd_after(struct vaultd *v, int r);

/* uploads.c */
void uploads_begin(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void uploads_data(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void uploads_end(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void uploads_abort(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void uploads_flush(struct vaultd *v);  /* flush and acknowledge */
void uploads_forget(struct vaultd *v, unsigned peer); /* front is gone: the half-sent packs stay for a resume */

/* objects.c */
void objects_ask(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void objects_grant(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void objects_ungrant(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void objects_pump(void *vaultd);
void objects_forget(struct vaultd *v, unsigned peer);

/* queries.c (clients, sessions, generations) and records.c (freezing, rules, access, log, heads): one function a message
 * of brain */
void query_client(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_session(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_pack_state(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_have(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_manifest(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_generations(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_generation(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_closure(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_freeze(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_thaw(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_policy(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_access(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_log(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_ancestry(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_copy_label(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_copy_seal(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void query_head(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
json_t *query_generation_json(struct vaultd *v, const struct store_generation *g);
void query_put_time(json_t *o, const char *key, struct sm_time t);
void query_put_head(json_t *o, const char *key, const struct journal_signed_head *h);

/* cleaning.c */
void cleaning_ask(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void cleaning_retention(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void cleaning_recipients(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
/* May keyd be told to take this change?  -SM_EINVAL: no change of recipients; -SM_ESTATE: not executed (it waits, or was
 * cancelled). */
sm_must_use int cleaning_change_due(const struct store_order *x);
void cleaning_change(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void cleaning_order(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void cleaning_hold(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void cleaning_date(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void cleaning_set_quota(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void cleaning_hour(struct vaultd *v); /* once an hour: the daily run, and a freeze that is told again */
/* An upload of so many bytes was refused: was it the client's quota?  Then brain is told, once an hour. */
void cleaning_quota(struct vaultd *v, const struct client_id *client, uint64_t more);
void cleaning_end(struct vaultd *v);

/* peers.c: the copies of other boxes */
void peers_ask(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void peers_pack(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void peers_file(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void peers_read(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void peers_list(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
/* Of the neighbour that o's field "peer" names.  NULL with *ret_err and why.
 * of: what brain says; opened when it was not, and the quota is set.  label: it is just being let in; when that is not
 * signed by its head key for its vault, nothing is opened.  NULL: known.
 * find: what anybody else says.  Only one that brain had opened, with the same vault and head key; -SM_EAGAIN: none. */
struct peer *peers_of(struct vaultd *v, struct sm_obj *o, const char *label, int *ret_err, char why[COPY_WHY]);
struct peer *peers_find(struct vaultd *v, struct sm_obj *o, int *ret_err);
/* far_pack_begin; -SM_EAGAIN: what lies there is being read, slice by slice between other requests. */
sm_must_use int peers_pack_begin(struct vaultd *v, struct peer *p, const struct cid *id, uint64_t length,
    uint64_t *ret_have);
int peers_start(struct vaultd *v);
void peers_end(struct vaultd *v);

/* keeping.c */
void keeping_put(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void keeping_get(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void keeping_drop(struct vaultd *v, const struct client_id *client);
void keeping_tidy(struct vaultd *v);

/* verifying.c */
void verifying_ask(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
json_t *verifying_now(struct vaultd *v); /* progress, or NULL */
void verifying_end(struct vaultd *v);

/* scrubbing.c */
int scrubbing_start(struct vaultd *v);
void scrubbing_end(struct vaultd *v);
void scrubbing_ask(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
json_t *scrubbing_now(struct vaultd *v);
/* Journal or format file from their second copies, before the store is opened: 1 = something was healed. */
int scrubbing_heal(struct vaultd *v, const char *dir, struct spare_healed *ret);
void scrubbing_healed(struct vaultd *v, const struct spare_healed *h); /* record and tell, once it is open */
/* Add to o (taken) whose generation that is. */
json_t *scrubbing_hit(struct vaultd *v, const struct cid *manifest, json_t *o);
#endif
