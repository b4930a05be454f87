/*
 * A vault on disk (docs/FORMAT-vault.md sections 5 to 8): takes packs and manifests, keeps the journal, answers
 * queries.
 * Sees sealed objects only; holds no key; never logs; one thread.  What removes a pack or a manifest is in
 * vault/store/deletion.h and vault/clean.
 *
 * Acknowledging: store_pack_end and store_manifest_commit say "sound"; what may be acknowledged is what a later
 * store_flush returned 0 for (store_manifest_commit flushes by itself).  Many packs may share one flush.
 * After a failed write the store is broken: every change says -SM_ESTATE until it is opened anew, which finds out what
 * reached
 * the disk (invariant 6).  A refused request (a client's fault) does not break it.
 */
#ifndef VAULT_STORE_H
#define VAULT_STORE_H
#include <jansson.h>
#include "vault/retention/retention.h"
#include "vault/seal/format.h"
#include "vault/snapshot/manifest.h"
#include "vault/store/journal.h"
#include "vault/suspicion/suspicion.h"

struct store;
struct store_session;
enum {
    STORE_READ_ONLY = 1,   /* takes no lock, writes nothing, not even caches */
    /* With READ_ONLY: where the journal is damaged or gone, packs and manifests are taken from their folders, so that
     * everything can still be listed and restored.  store_recovered()->salvaged says so; of generations the journal
     * did not tell, times are the client's, and suspicion and slots are not known. */
    STORE_SALVAGE = 2,
};

struct store_limits {
    uint64_t reserve_bytes;          /* this much of the disk stays free; default 1 GiB */
    uint64_t client_bytes;           /* quota of stored packs of a client, 0 = none */
    uint64_t unclaimed_bytes;        /* packs of a client since its last manifest, 0 = none */
    uint32_t packs_in_flight;        /* of a session, 1..16; default 4 */
    uint32_t sessions;               /* of a client, 1..16; default 4; a further one ends its oldest */
    uint32_t refusals_per_hour;      /* type 11 records of a client an hour; default 100 */
    size_t index_memory_bytes;       /* default 24 MiB */
};
#define STORE_LIMITS_DEFAULT ((struct store_limits){ .reserve_bytes = (uint64_t)1 << 30, .packs_in_flight = 4, \
    .sessions = 4, .refusals_per_hour = 100, .index_memory_bytes = (size_t)24 << 20 })
#define STORE_PACKS_PENDING_MAX 64   /* ended and not flushed; one more flushes by itself */
#define STORE_CLIENTS_MAX 65535
#define STORE_MISSING_MAX 4096
#define STORE_WHY 160
#define STORE_NAME_MAX 255

/* Signs with the head key, which lives in another process.  message begins with a label of the format.  0 or -SM_E. */
struct store_signer { int (*sign)(void *arg, struct sm_span message,
    uint8_t ret_sig[64]); void *arg; uint8_t public_key[32]; };

struct store_config {
    const char *dir;
    unsigned flags;
    struct store_limits limits;
    struct store_signer signer;      /* sign NULL: no countersignatures, no signed heads (offline, tests) */
    uint64_t journal_file_bytes;     /* 0 = the format's 64 MiB */
};

/* ---- life ---- */
/* Make dir (0700) and an empty vault in it.  -SM_EEXISTS when there is a vault, -SM_EINVAL when dir is not empty,
   -errno. */
sm_must_use int store_create(const char *dir, const struct vault_id *vault, const char *program_version);
/*
 * Open, recover, bring the caches up to date.  ret_why (STORE_WHY bytes, may be NULL) says what is wrong in English.
 * -SM_ENOTFOUND (no vault), -SM_EVERSION, -SM_EAGAIN (another process has it), -SM_ECORRUPT (journal; also one that was
 * rolled back behind a head it signed), -ENOMEM, -errno.
 */
sm_must_use int store_open(const struct store_config *config, struct store **ret, char *ret_why);
/* Saves the caches as far as possible; sessions end but can be resumed after the next open.  NULL is fine. */
void store_close(struct store *st);
bool store_is_broken(const struct store *st);
const struct vault_id *store_vault(const struct store *st);
int store_dirfd(const struct store *st);   /* borrowed */

/* What the last store_open had to do. */
struct store_recovery {
    struct journal_cut cut;
    uint64_t packs_adopted, packs_set_aside, manifests_set_aside, parts_removed;
    bool index_rebuilt, closed_rebuilt;
    bool salvaged;
    uint64_t packs_missing;          /* in the journal, not on disk: damage, recorded (type 9) */
};
const struct store_recovery *store_recovered(const struct store *st);

/* ---- time ---- */
/* Running time of the box counted so far, in ms; what locks age by. */
uint64_t store_running_ms(const struct store *st);
/* Record the clocks (type 14).  Call at start and hourly.  note <= 200 bytes. */
sm_must_use int store_clock(struct store *st, const char *note);

/* ---- clients ---- */
enum store_client_state { STORE_JOINED = 1, STORE_REVOKED = 2, STORE_REKEYED = 3 };
struct store_client {
    struct client_id id;
    char name[STORE_NAME_MAX + 1];
    uint8_t sign_pub[32], recipients[32];   /* recipients: fingerprint */
    enum store_client_state state;
    bool frozen;
    uint64_t packs, pack_bytes, objects, unclaimed_bytes, generations;
    uint64_t frozen_ms, quota;              /* running time of the freeze; bytes, 0 = the store's limit */
};
/* Type 2 record when something differs.  -SM_EINVAL (name not UTF-8 or empty), -SM_ELIMIT, -SM_ESTATE, -errno. */
sm_must_use int store_client_put(struct store *st, const struct store_client *c);
/* -SM_ENOTFOUND */
sm_must_use int store_client_get(const struct store *st, const struct client_id *id, struct store_client *ret);
size_t store_clients(const struct store *st);
sm_must_use int store_client_at(const struct store *st, size_t i, struct store_client *ret);

/* ---- sessions and packs ---- */
struct store_session_args {
    struct client_id client;
    struct source_id source;
    struct run_id run;
    uint8_t run_kind;                       /* enum manifest_run: said by the box, the manifest must agree */
    const struct session_id *resume;        /* NULL: a new one */
    const char *from;                       /* for the record of a refusal, may be NULL */
};
struct store_session_info {
    struct session_id id; struct client_id client; struct source_id source; struct run_id run;
    uint8_t run_kind;
    uint64_t number; struct cid previous;   /* of the next generation */
    uint64_t bytes, packs;
};
/* The session stays the store's; it ends with its manifest, store_session_end, or the store.  With resume, the one
   that is
 * open already is given.  -SM_ENOTFOUND (client, or session to resume), -SM_EDENIED (client not joined, or another
 * client's session: recorded), -SM_EINVAL, -SM_ESTATE, -errno. */
sm_must_use int store_session_open(struct store *st, const struct store_session_args *a, struct store_session **ret);
struct store_session *store_session_find(struct store *st, const struct session_id *id);  /* NULL */
void store_session_info(const struct store_session *s, struct store_session_info *ret);
/* Give up: half-sent packs are removed, whole packs stay. */
void store_session_end(struct store_session *s);

/*
 * Begin or go on with a pack of total bytes.  *ret_have: bytes held; == total: it is here already, nothing to send.
 * Past packs_in_flight the one begun longest ago is forgotten, as by store_pack_abort.
 * -ENOSPC (reserve; nothing was written), -SM_ELIMIT (quota, total), -SM_EINVAL, -SM_ESTATE, -errno.
 */
sm_must_use int store_pack_begin(struct store_session *s, const struct cid *pack, uint64_t total, uint64_t *ret_have);
/* As begin but only asks: *ret_done when durable. */
sm_must_use int store_pack_state(struct store_session *s, const struct cid *pack, uint64_t *ret_have, bool *ret_done);
/*
 * The next bytes, which begin at off (else -SM_EMISMATCH, nothing lost).  A byte that does not fit its name ends this
 * pack: nothing
 * of it is kept, it is recorded, and the answer is -SM_ECORRUPT, -SM_EFORMAT, -SM_EVERSION, -SM_ELIMIT or -SM_EDENIED
 * (another client's, session's or vault's).  -ENOSPC and other -errno: the pack is given up, the store is not broken.
 */
sm_must_use int store_pack_data(struct store_session *s, const struct cid *pack, uint64_t off, struct sm_span bytes);
/* All bytes are in (else -SM_EPARTIAL).  Durable, and to be acknowledged, after the next store_flush.  Of a pack that
   is
 * here already: 0 at once, *ret_duplicate. */
sm_must_use int store_pack_end(struct store_session *s, const struct cid *pack, bool *ret_duplicate);
/* Forget what was sent of it. */
void store_pack_abort(struct store_session *s, const struct cid *pack);
/* Make durable what ended (group commit), sign the head.  *ret_head (may be NULL) is for the acknowledgement; its sig
   is
 * zero without a signer.  -SM_ESTATE, -errno, the signer's error (then the data is durable, ask again). */
sm_must_use int store_flush(struct store *st, struct journal_signed_head *ret_head);
size_t store_pending(const struct store *st);

/* ---- manifests ---- */
enum store_refusal {
    STORE_OK = 0, STORE_MISSING, STORE_FORM, STORE_SIGNATURE, STORE_FOREIGN /* vault, client, source, run */,
        STORE_FORK, STORE_REPLAY,
    STORE_CLOSURE /* wrong type or client below it, too deep, damaged page */, STORE_HEAD, STORE_UNKNOWN_CLIENT,
};
const char *store_refusal_name(enum store_refusal r);   /* "missing", "fork", ... */
struct store_verdict {
    enum store_refusal refusal;
    char why[STORE_WHY];
    struct sm_buf missing;         /* cids, <= STORE_MISSING_MAX; the caller wipes it */
    bool more;                     /* there may be further missing ones */
    struct cid manifest; uint64_t seq;
    struct suspicion_measures measures;
    struct suspicion_result suspicion;
    bool froze;                    /* this one froze its client */
    bool known;                    /* it was recorded before: the same answer again */
    struct journal_signed_head head;
};
/*
 * Check and, when nothing is missing, record.  0: durable.  -SM_EMISSING (ret->missing), or, recorded as type 11,
 * -SM_EFORMAT, -SM_EAUTH, -SM_EDENIED, -SM_EEXISTS (fork or replay), -SM_ECORRUPT (closure), -SM_EMISMATCH (head);
 * -SM_ESTATE, -errno, -ENOMEM.  ret->refusal tells them apart.  The session ends when it is recorded.
 */
sm_must_use int store_manifest_commit(struct store_session *s, struct sm_span manifest, struct store_verdict *ret);
/* What the next manifest of a source must say.  number 1 and zeros for a new source. */
void store_next(const struct store *st, const struct client_id *client, const struct source_id *source,
    uint64_t *ret_number, struct cid *ret_previous);

/* ---- objects ---- */
struct store_place { struct cid pack; uint64_t offset; uint32_t length; uint8_t type; uint32_t pack_number; };
/* 1 when the object is here and this client's, else 0. */
int store_have(const struct store *st, const struct client_id *client, const struct cid *cid,
    struct store_place *ret /* may be NULL */);
/* Append the object, checked against its name.  -SM_ENOTFOUND, -SM_ECORRUPT, -errno, -ENOMEM, -SM_ELIMIT. */
sm_must_use int store_object(const struct store *st, const struct client_id *client, const struct cid *cid,
    struct sm_buf *ret);
/*
 * The same for several, appended one after the other with `gap` bytes left before each: of the first of cids as many as
 * STORE_OBJECTS_MAX, and no more once ret is longer than `enough`.  *ret_n says how many were taken, got[i] what became of
 * each (errors as store_object; then only the gap is there).  -ENOMEM and the like are returned.
 */
#define STORE_OBJECTS_MAX 32u
struct store_got { int err; size_t at, n; }; /* the object's bytes in ret */
struct crypto_many;
sm_must_use int store_objects(const struct store *st, const struct client_id *client, const struct cid *cids, size_t n,
    struct crypto_many *many, size_t gap, size_t enough, struct sm_buf *ret, struct store_got *got, size_t *ret_n);
/* The manifest's bytes appended, checked against its name.  -SM_ENOTFOUND, -SM_ECORRUPT. */
sm_must_use int store_manifest(const struct store *st, const struct cid *manifest, struct sm_buf *ret);
/* Walk everything a manifest reaches: each page and envelope once, chunks once a page that names them.  Depth first.
 * Non-zero of fn stops and is returned.  -SM_EMISSING, -SM_ECORRUPT, -SM_ELIMIT (more than STORE_PAGES_MAX pages). */
#define STORE_PAGES_MAX ((uint64_t)4 << 20)
typedef int (*store_object_fn)(void *arg, const struct cid *cid, const struct store_place *place);
sm_must_use int store_closure(const struct store *st, const struct cid *manifest, bool with_chunks, store_object_fn fn,
    void *arg);
/* The distinct envelopes of a manifest's closure from index `from` on, in a fixed order: cids appended.  For
   V_CLOSURE. */
sm_must_use int store_envelopes(const struct store *st, const struct cid *manifest, struct sm_buf *ret_cids);

/* ---- generations ---- */
struct store_generation {
    struct cid manifest;
    struct client_id client;
    struct source_id source;
    uint64_t number, seq;
    struct sm_time time;               /* the box's */
    uint64_t running_ms;
    int64_t started_s, finished_s;     /* the client's word */
    uint8_t run, status;
    struct suspicion_measures measures;
    unsigned score;
    bool suspicious;                   /* score >= SUSPICION_THRESHOLD and not declared a false alarm */
    bool pinned; uint8_t slots; uint64_t locked_until_ms;   /* the last mark */
    bool damaged;                      /* something it reaches was found damaged */
};
/* How much is in it, by the client's word.  Of generations whose record does not say it the manifest is read, once in the
 * life of st.  -SM_ENOTFOUND: it does not say. */
sm_must_use int store_facts(struct store *st, const struct cid *manifest, uint64_t *ret_files, uint64_t *ret_bytes);
struct store_query {
    const struct client_id *client; const struct source_id *source;   /* NULL = any */
    uint64_t before_seq;                                              /* 0 = newest */
};
/* Newest first, at most limit rows to ret; the number given. */
size_t store_generations(const struct store *st, const struct store_query *q, struct store_generation *ret,
    size_t limit);
/* -SM_ENOTFOUND */
sm_must_use int store_generation(const struct store *st, const struct cid *manifest, struct store_generation *ret);
/* The newest complete one that is not suspicious and not damaged.  -SM_ENOTFOUND. */
sm_must_use int store_last_clean(const struct store *st, const struct client_id *client, const struct source_id *source,
    struct store_generation *ret);
/* The payload of its type 4 record (measures, suspicion with reasons, box_sig).  The caller decrefs.  -SM_ENOTFOUND. */
sm_must_use int store_generation_json(const struct store *st, const struct cid *manifest, json_t **ret);

/* ---- freeze, policy, marks ---- */
sm_must_use int store_freeze(struct store *st, const struct client_id *client, const char *reason, const char *by);
/* false_alarm: the generations that were suspicious since the freeze count as clean from now on. */
sm_must_use int store_thaw(struct store *st, const struct client_id *client, const char *reason, const char *by,
    bool false_alarm);
/* A policy that is shorter in any number is -SM_EDENIED: that needs an order (vault/store/deletion.h). */
sm_must_use int store_policy_set(struct store *st, const struct retention_policy *p, const char *by);
void store_policy(const struct store *st, struct retention_policy *ret);
/* Work out slots, locks and pins of all generations and record what changed (type 8).  *ret_changed: how many. */
sm_must_use int store_mark(struct store *st, size_t *ret_changed);
/* The plan without recording it: for each generation, oldest first, to fn. */
typedef int (*store_plan_fn)(void *arg, const struct store_generation *g, const struct retention_verdict *v);
sm_must_use int store_plan(const struct store *st, const struct retention_policy *p, store_plan_fn fn, void *arg);

/* ---- records ---- */
struct store_access {
    const char *what;                 /* unlock, list, read, restore, download, verify, grant */
    const char *who, *role, *from, *why, *result;    /* UTF-8, <= 255 bytes each, may be NULL */
    const struct client_id *client; const struct cid *manifest;  /* may be NULL */
    uint64_t path_count;
};
/* Record and make durable before the thing itself is done.  -SM_EINVAL, -SM_ESTATE, -errno. */
sm_must_use int store_access(struct store *st, const struct store_access *a);
/* What happened with another box's copy that is kept here (type 40): "joined", "head", "refused", "stopped", "accepting".
 * head may be NULL, why and by too.  -SM_EINVAL. */
struct store_peer { const char *what, *why, *by; const uint8_t *peer, *vault; const struct journal_head *head; };
sm_must_use int store_peer(struct store *st, const struct store_peer *p);
/* A request that broke the rules before it came here.  Bounded by refusals_per_hour. */
sm_must_use int store_refused(struct store *st, const struct client_id *client, const char *what, const char *why);
/* found_by: "verify", "read"... ; object may be NULL (a file), file may be NULL. */
struct store_damage {
    const char *what; const struct cid *object; const char *file;
    uint64_t offset; const char *found_by;
};
sm_must_use int store_damage(struct store *st, const struct store_damage *d);
sm_must_use int store_verified(struct store *st, const char *kind, uint64_t packs, uint64_t objects, uint64_t bytes,
    uint64_t damaged, uint64_t ms);
/* What was damaged and is whole again, by parity, a second copy, or because it reads now: type 23. */
struct store_healed {
    const char *what;                 /* pack, manifest, journal, format, object, generation */
    const char *file;                 /* below the vault's folder, may be NULL */
    const struct cid *object;         /* a manifest, object or generation, may be NULL */
    uint64_t blocks;                  /* worked out again */
    const struct cid *objects; size_t n;   /* whose earlier damage no longer holds */
    const char *found_by;
};
sm_must_use int store_healed(struct store *st, const struct store_healed *h);
/* A round of the scrub is complete: type 25. */
struct store_scrub { uint64_t packs, bytes, protected_, healed, damaged, manifests, journal_files, ms;
    uint64_t rate_bytes_s; int64_t started_s; const char *by; };
sm_must_use int store_scrubbed(struct store *st, const struct store_scrub *s);
/* Newest first; see journal_latest.  The access log is types 5, 6, 7, 9 to 13, 15 to 18, 21, 22. */
#define STORE_LOG_ACCESS ((1u << 5) | (1u << 6) | (1u << 7) | (1u << 9) \
    | (1u << 10) | (1u << 11) | (1u << 12) | (1u << 13) | (1u << 15) | (1u << 16) | (1u << 17) | (1u << 18) \
    | (1u << 21) | (1u << 22))
sm_must_use int store_log(const struct store *st, uint64_t before_seq, uint32_t types_mask, size_t limit, journal_fn fn,
    void *arg);
const struct journal *store_journal(const struct store *st);   /* NULL when salvaged */
/* Sign the present durable head and keep it under heads/. */
sm_must_use int store_head(struct store *st, struct journal_signed_head *ret);

/* ---- totals ---- */
struct store_totals { uint64_t clients, generations, packs, pack_bytes, objects, disk_total, disk_avail, reserve,
    index_memory; };
sm_must_use int store_totals(const struct store *st, struct store_totals *ret);

#endif
