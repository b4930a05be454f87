/*
 * Inside of the store: state rebuilt from the journal, shared by its files.
 *   open.c    create, open, recover, close       state.c   journal records -> state, and writing records
 *   place.c   where objects are (index)           ingest.c  sessions, packs, flush
 *   walk.c    closure, sums, differences          commit.c  manifests
 *   salvage.c a journal that is damaged           heal.c    damage that is no more
 *   admin.c   clients, freeze, policy, records    query.c   generations, totals, reading
 *   deletion.c  holds, orders, date, quotas, what expires and what is deleted      order.c  the text of an order
 */
#ifndef VAULT_STORE_INTERNAL_H
#define VAULT_STORE_INTERNAL_H
#include "core/json.h"
#include "vault/index/run.h"
#include "vault/pack/pack.h"
#include "vault/seal/page.h"
#include "vault/store/deletion.h"
#include "vault/store/store.h"

#define STORE_PENDING_OBJECTS 262144u  /* of packs that ended and were not flushed */
#define STORE_SOURCES_MAX 65535
#define STORE_GENERATIONS_MAX RETENTION_MAX
#define STORE_PACKS_MAX 16000000u
#define STORE_SESSIONS_MAX 1024
#define STORE_DAMAGED_MAX 1000000u
#define STORE_NONE UINT32_MAX
#define STORE_HEADS 32u

/* Rows that begin with a 32-byte id, found by it. */
struct idmap { uint32_t *slot; size_t slots; uint64_t salt; };
uint32_t idmap_get(const struct idmap *m, const void *rows, size_t stride, const uint8_t id[32]);  /* STORE_NONE */
/* Row n (the last of n + 1) was appended to rows. */
sm_must_use int idmap_add(struct idmap *m, const void *rows, size_t stride, size_t n);
void idmap_wipe(struct idmap *m);
/* A vector of rows. */
struct rows { void *p; size_t n, cap; };
/* Room for one more of `stride` bytes, at most max rows; the place of the new row, not yet counted; NULL. */
void *rows_next(struct rows *r, size_t stride, size_t max);

struct pack_row {
    struct cid id; uint32_t client; uint32_t objects; uint64_t bytes, seq;
    bool lost, gone, condemned;          /* gone: deleted by record; a pack of that name may come again, as a new row */
    uint32_t promised_h;                 /* hour of on time, + 1, of the last `have` that named one of its objects */
    uint64_t on_ms, condemned_on_ms;     /* on time of its record, and of its condemnation */
    struct session_id session;
};
struct tally { uint64_t hour; uint32_t n; };   /* of a running hour */
struct client_row {
    struct store_client c;
    uint64_t unclaimed;                  /* bytes of packs since the last manifest */
    uint64_t freeze_seq, freeze_ms;      /* record, and running time, of the freeze */
    uint64_t quota;                      /* bytes, 0 = the store's limit */
    struct tally refused;
};
struct source_row { uint32_t client; struct source_id id; uint32_t last; };   /* last: generation, STORE_NONE */
struct generation_row {
    struct cid manifest;
    uint32_t client, source;
    uint64_t number, seq; struct sm_time time; uint64_t running_ms;
    int64_t started_s, finished_s;
    struct suspicion_measures m;
    uint64_t locked_until_ms;
    uint32_t previous;                   /* the generation before it of its source, STORE_NONE */
    uint64_t files, bytes;               /* as facts says */
    enum { FACTS_UNREAD, FACTS_NONE, FACTS_KNOWN } facts;
    uint8_t run, status, slots, score;
    bool pinned, false_alarm, damaged;
    bool gone;                           /* expired */
    uint8_t slots_held;                  /* every slot it was ever marked for */
};
struct damaged_row { struct cid id; uint64_t seq; };

/* What the index says of an object. */
struct place { uint32_t pack, offset, length; uint8_t type, algorithm; uint16_t client; };
#define PLACE_BYTES 16
/* What is known of a page whose closure is complete: its own sums included. */
struct sums { uint64_t chunks, chunk_bytes, stored_bytes, pages, page_bytes; uint32_t height; };
#define SUMS_BYTES 44

struct flight {                           /* a pack being received */
    struct cid id; uint64_t total;
    int fd; struct pack_check *check;
    uint64_t begun;                       /* bytes whose writing to the disk was begun */
    uint8_t *algorithm; uint32_t seen;    /* of the objects, as far as their headers came by */
    struct flight *next;
};
struct store_session {
    struct store *st;
    struct store_session_info info;
    uint32_t client;
    uint64_t opened;                      /* order of opening */
    struct flight *flights;
    bool stale;                           /* read from tmp at open and not taken up since */
};
struct pending { struct flight *f; uint32_t client; struct session_id session; };

/* Of holds, orders, and time gained. */
struct gain_row { uint64_t running_ms, gained_ms; };
struct deletion {
    struct rows holds, orders, gains;     /* struct store_hold, store_order, gain_row */
    uint64_t gained_ms;                   /* of running time: what type 21 added */
    int64_t first_s;                      /* wall time of the first record, at running time 0 */
    int64_t confirmed_gap_ms; bool confirmed;   /* how far the wall was ahead when the date was confirmed last */
    uint64_t generations_gone, packs_gone, packs_condemned, bytes_condemned, bytes_deleted;
    bool has_key; uint8_t key[32];        /* the orders key: of the first order, then of the last change of recipients */
    bool has_set; uint8_t fingerprint[FINGERPRINT_LEN];   /* of the last change of recipients */
};

struct queued { uint16_t type; uint64_t seq, running_ms; struct sm_time time; json_t *payload; };

struct store {
    int dir, journal_dir, packs, manifests, tmp, cache, heads, lock;
    bool read_only, salvage, broken;
    struct vault_id vault;
    struct store_limits limits;
    struct store_signer signer;
    struct journal *journal;
    uint64_t running_base_ms, running_last_ms, running_start_ns;
    struct store_recovery recovery;
    struct rows pack_rows; struct idmap pack_map;
    struct rows client_rows, source_rows;
    struct rows generation_rows; struct idmap generation_map;
    struct rows damaged_rows; struct idmap damaged_map;
    uint64_t last_seq;                    /* read from the journal at open */
    uint64_t damage_seq;                  /* of the last damage record */
    struct retention_policy policy;
    struct index_table *index, *closed;
    struct store_session *session[STORE_SESSIONS_MAX]; size_t sessions; uint64_t session_count;
    struct pending pending[STORE_PACKS_PENDING_MAX]; size_t pendings; uint64_t pending_objects;
    struct rows queue;                    /* struct queued: appended, applied after the sync */
    uint32_t next_head;
    struct tally refused;                 /* of nobody known */
    uint64_t objects, pack_bytes;
    struct deletion deletion;
    uint8_t format;                       /* the number in the file "format" */
    struct crypto_many *many; bool has_many; /* for packs that come in; made with the first */
    json_t *takeover;                     /* the newest record of type 42 */
};

static inline struct pack_row *store_pack_row(const struct store *st, size_t i)
{
    return (struct pack_row *)st->pack_rows.p + i;
}
static inline struct client_row *store_client_row(const struct store *st, size_t i)
{
    return (struct client_row *)st->client_rows.p + i;
}
static inline struct source_row *store_source_row(const struct store *st, size_t i)
{
    return (struct source_row *)st->source_rows.p + i;
}
static inline struct generation_row *store_generation_row(const struct store *st, size_t i)
{
    return (struct generation_row *)st->generation_rows.p + i;
}
static inline bool generation_suspicious(const struct generation_row *g)
{
    return g->score >= SUSPICION_THRESHOLD && !g->false_alarm;
}

/* ---- state.c ---- */
uint32_t store_find_client(const struct store *st, const struct client_id *id);          /* STORE_NONE */
uint32_t store_find_source(const struct store *st, uint32_t client, const struct source_id *id);
uint32_t store_find_pack(const struct store *st, const struct cid *id);
uint32_t store_find_generation(const struct store *st, const struct cid *manifest);
/* One record of the journal into the state. -SM_ECORRUPT (a payload that is not what its type says), -ENOMEM,
   -SM_ELIMIT. */
sm_must_use int store_apply(struct store *st, const struct queued *r);
sm_must_use int store_replay(void *arg, const struct journal_record *r);  /* journal_fn with a struct store */
/* Now, for a record. */
void store_now(struct store *st, struct sm_time *ret_time, uint64_t *ret_running_ms);
/* Append a record; takes payload, also on failure.  time NULL = now.  Applied by store_sync. */
sm_must_use int store_record(struct store *st, enum journal_type type, const struct sm_time *time, json_t *payload,
    uint64_t *ret_seq);
/* fdatasync, then apply what was queued. */
sm_must_use int store_sync(struct store *st);
void store_queue_drop(struct store *st);
/* -SM_ESTATE when nothing may be changed. */
sm_must_use int store_writable(const struct store *st);
json_t *json_hex(const void *p, size_t n);
json_t *json_text(const char *s);          /* invalid UTF-8 and over-long text made harmless; NULL -> null */
bool json_set(json_t *o, const char *key, json_t *v); /* takes v; false when out of memory */
json_t *measures_json(const struct suspicion_measures *m);
int measures_from(const json_t *o, struct suspicion_measures *ret);

/* ---- deletion.c ---- */
sm_must_use int apply_hold(struct store *st, const struct queued *r);
sm_must_use int apply_order(struct store *st, const struct queued *r);
sm_must_use int apply_order_end(struct store *st, const struct queued *r);
sm_must_use int apply_expired(struct store *st, const struct queued *r);
sm_must_use int apply_pack_state(struct store *st, const struct queued *r);
sm_must_use int apply_pack_deleted(struct store *st, const struct queued *r);
sm_must_use int apply_date(struct store *st, const struct queued *r);
sm_must_use int apply_quota(struct store *st, const struct queued *r);
bool deletion_held(const struct store *st, const struct generation_row *g);
/* Record that this generation expired; order NULL: by policy.  Applied by store_sync; then deletion_unlink_manifest. */
sm_must_use int deletion_expire(struct store *st, uint32_t generation, const uint8_t *order);
void deletion_unlink_manifest(struct store *st, const struct cid *manifest);
void deletion_unlink_pack(struct store *st, const struct cid *pack);
/* Record and apply, at most DELETION_BATCH packs. */
#define DELETION_BATCH 1000u
sm_must_use int deletion_pack_state(struct store *st, bool condemned, const uint32_t *packs, size_t n);
/* The whole of it: record, then the files. */
sm_must_use int deletion_packs(struct store *st, const uint32_t *packs, size_t n);
/* The row of a pack of this name, also of one that is gone. */
uint32_t store_find_pack_any(const struct store *st, const struct cid *id);
void deletion_wipe(struct store *st);
sm_must_use int policy_record(struct store *st, const struct retention_policy *p, const char *by,
    const uint8_t *order);

/* ---- admin.c ---- */
/* A verdict for each generation row; those that are gone have none (expires false, no slots).  The caller frees. */
sm_must_use int store_verdicts(const struct store *st, const struct retention_policy *p,
    struct retention_verdict **ret);

/* ---- heal.c ---- */
sm_must_use int apply_healed(struct store *st, const struct queued *r);

/* ---- takeover.c ---- */
sm_must_use int store_apply_takeover(struct store *st, const struct queued *r);

/* ---- salvage.c ---- */
sm_must_use int store_salvage(struct store *st);

/* ---- place.c ---- */
sm_must_use int place_open(struct store *st);   /* index and closed pages, caught up */
void place_close(struct store *st);
sm_must_use int place_add(struct store *st, uint32_t pack, uint16_t client, const struct pack_object *o, size_t n,
    const uint8_t *algorithm);
/* 1 and the place, if the object is here, of this client (STORE_NONE: any), and not damaged; else 0. */
int place_find(const struct store *st, uint32_t client, const struct cid *cid, struct place *ret);
/* The same without asking whether it was lost or damaged since. */
int place_raw(const struct store *st, const struct cid *cid, struct place *ret);
void place_marks(struct store *st);        /* what was put so far belongs to the durable head */
void pack_path(const struct cid *id, char ret[80]);   /* "ab/abcd….skp" below packs/ */
/* Open the pack's file for reading. */
sm_must_use int place_open_pack(const struct store *st, uint32_t pack);
int closed_get(const struct store *st, const struct cid *page, struct sums *ret);
sm_must_use int closed_put(struct store *st, const struct cid *page, const struct sums *s);

/* ---- walk.c ---- */
struct reader { uint32_t pack; int fd; };  /* the pack opened last */
#define READER_INIT ((struct reader){ STORE_NONE, -1 })
void store_reader_close(struct reader *r);
sm_must_use int reader_object(const struct store *st, struct reader *r, const struct cid *cid, const struct place *p,
    struct sm_buf *ret);
/* The same with its name not checked. */
sm_must_use int reader_raw(const struct store *st, struct reader *r, const struct place *p, struct sm_buf *ret);
/* Only the clear part of a page, unchecked: for measures. */
sm_must_use int reader_clear(const struct store *st, struct reader *r, const struct place *p, struct sm_buf *ret);
struct walk_result { struct sums sums; bool bad; char why[STORE_WHY]; };
/* Is everything below these roots here?  Missing cids are appended to missing (<= STORE_MISSING_MAX, then *more).
 * 0; bad when the closure breaks a rule.  -ENOMEM, -errno. */
sm_must_use int walk_closure(struct store *st, uint32_t client, const struct cid *roots, size_t n,
    struct sm_buf *missing, bool *more,
    struct walk_result *ret);
/* New and dropped against another generation's roots, into m. */
sm_must_use int walk_difference(struct store *st, uint32_t client, const struct cid *now, size_t now_n,
    const struct cid *base, size_t base_n,
    struct suspicion_measures *m);

/* ---- open.c ---- */
/* What the vault holds that a program of before would take for damage (FORMAT 7): it must not open it from then on. */
enum { FORMAT_PLAIN = 1, FORMAT_DELETED = 2 /* by record */, FORMAT_PLANES = 3 /* objects of OBJ_PLANES */, FORMAT_LAST = 3 };
/* Before the record.  -errno. */
sm_must_use int store_format_raise(struct store *st, uint8_t format);

/* ---- ingest.c ---- */
void session_drop(struct store_session *s, bool keep_files);
void flight_free(struct flight *f);
sm_must_use int sessions_load(struct store *st);
sm_must_use int store_flush_packs(struct store *st);
sm_must_use int store_refuse(struct store *st, uint32_t client, const struct client_id *id, const char *what,
    const char *why);
/* Sign and keep the durable head. */
sm_must_use int store_sign_head(struct store *st, struct journal_signed_head *ret);

#endif
