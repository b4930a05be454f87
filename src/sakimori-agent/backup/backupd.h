/*
 * The backup part's inside, one process, one run at a time:
 *
 *   main     its life            serve    what supervisor and link say: channels, settings, orders
 *   run      one run             box      an upload, as the box answers       packs    packs under way to it
 *   keep     the cache, kept by the box
 *   hooks    helpers of a run    borrow   files only lend may open            watch    progress and problems
 */
#ifndef AGENT_BACKUPD_H
#define AGENT_BACKUPD_H
#include <pthread.h>
#include <stdatomic.h>

#include "sakimori-agent/backup/pace.h"
#include "sakimori-agent/heads.h"
#include "sakimori-agent/helper.h"
#include "sakimori-agent/policy.h"
#include "sakimori-agent/recips.h"
#include "sakimori-agent/share.h"
#include "vault/backup/backup.h"

#define QUEUE_MAX 16
#define PACKS_AHEAD 3u /* packs with link and not acknowledged: one is written while the next comes */

struct wanted {
    char source[33], run[33], reason[16];
    bool reindex;
};

struct pack_way; /* packs.c */

struct backupd {
    struct agent_config config;
    struct agent_keys keys;
    struct agent_policy policy;
    struct heads heads;
    struct recips recips; /* for whom the present run wraps */
    struct sm_ipc *up, *link;
    pthread_mutex_t lending; /* lend is used by the thread that reads */
    struct sm_ipc *lend;
    bool lends;            /* there is such a part */
    atomic_bool lend_lost; /* waited for in vain: not again before it is back */
    int cache;              /* folder of caches */
    json_t *sources;
    struct wanted queue[QUEUE_MAX];
    size_t queue_n;
    bool stop;
    /* the present run */
    bool running;
    struct wanted now;
    char session[33];
    uint64_t number;
    struct cid previous;
    unsigned reopened;
    atomic_bool cancelled;
    uint64_t told_ms;
    struct pace pace;
    const char *kept;    /* the cache the box kept: "" (not needed), fetched, old, none, refused */
    uint64_t kept_bytes; /* of it, sent in this run */
    struct pack_way *pack[PACKS_AHEAD];
    json_t *problems;
    uint64_t problems_total;
    struct assist assist;
    struct assist_ready ready;
    bool followed; /* the box took over: what the caches believe of it must go */
    struct share share; /* of a run whose source is read over the network */
    bool partial; /* something is missing that the walk cannot know of */
};

/* serve: take what link and supervisor have to say.  The supervisor's end means the agent is going down. */
void backupd_serve(struct backupd *b, int timeout_ms);

/* box: through every link there will be, until the box has answered or patience ends.  0 with any status of HTTP;
 * -SM_EPEER, -SM_ETIME, -SM_ECANCEL, -SM_EPROTO. */
sm_must_use int backupd_wait_link(struct backupd *b);
sm_must_use int backupd_call(
    struct backupd *b, const char *path, const json_t *body, uint64_t patience_ms, int *ret_status, json_t **ret);
struct session_answer {
    struct session_id id;
    uint64_t number;
    struct cid previous;
    bool planes; /* the box knows objects of algorithm 3 */
};
sm_must_use int backupd_ask_session(struct backupd *b, struct session_answer *ret);
/* Whom to wrap for in this run: what is pinned, and the box's changes as far as the sheet signed them. */
sm_must_use int backupd_ask_recipients(struct backupd *b);
bool backupd_reopened(struct backupd *b, int status);           /* the upload goes on after this answer */
int backupd_refusal(int status, const json_t *answer_json);     /* as an error of this side */
sm_must_use int backupd_take_head(struct backupd *b, const json_t *o, uint64_t asked_seq);

/* The sink of struct backup_sink, arg = struct backupd. */
int backupd_have(void *arg, const struct cid *cids, size_t n, uint8_t *bitmap);
int backupd_put_pack(
    void *arg, unsigned place, const struct cid *id, const struct pack_builder *pack, uint64_t bytes);
int backupd_acked(void *arg, bool wait, unsigned *ret_place);
int backupd_put_manifest(
    void *arg, const struct cid *id, struct sm_span manifest, struct sm_buf *ret_missing, bool *ret_more);
void backupd_packs_drop(struct backupd *b); /* the run is over: what is still with link is let go when it answers */

int backupd_borrow(void *arg, const char *path); /* backup_config.denied */

/* watch: the watch of struct backup_watch, arg = struct backupd. */
void backupd_tell_progress(struct backupd *b, const struct backup_progress *p);
void backupd_progress(void *arg, const struct backup_progress *p);
bool backupd_cancelled(void *arg);
void backupd_problem(void *arg, struct sm_span path, int err, const char *what);
void backupd_silent(void *arg, struct sm_span path);
void backupd_problem_text(struct backupd *b, const char *path, const char *error, const char *what);

/* keep: the cache of the source of now, kept sealed by the box.  Neither fails a run. */
void backupd_keep_send(struct backupd *b, const struct source_id *source);
void backupd_keep_fetch(struct backupd *b, struct backup_config *c); /* once the session is open */
/* packs: so many bytes went out; hold back as the limit of the moment says. */
void backupd_paced(struct backupd *b, uint64_t bytes);

/* hooks */
const char *backupd_option(const json_t *source, const char *a, const char *key); /* "" when it is not there */
void backupd_assist(struct backupd *b);                                           /* fills b->assist */
void backupd_pending_run(struct backupd *b); /* a hook that a crash kept from running */
sm_must_use int backupd_hook_before(struct backupd *b, const json_t *s, struct helper_work *ret_after);
void backupd_hook_end(struct backupd *b, struct helper_work *after, const char *status);
sm_must_use int backupd_prepare(struct backupd *b, const json_t *s, const char *kind);

void backupd_run(struct backupd *b); /* run: the first of the queue */
const json_t *backupd_source(const struct backupd *b, const char *id); /* its settings as they are now, or NULL */
/* The label of a source's generations: its name, cut to BACKUP_LABEL_MAX at a character's end; empty for none and for
 * names in the box's own space ("sakimori:…").  Borrowed from the settings. */
struct sm_span backupd_label(const json_t *source);

#endif
