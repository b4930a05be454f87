/*
 * One backup run of one source: walk, compare with the last generation, read what changed, cut, seal, pack, hand to a
 * sink, and sign a manifest.  No network, no log: what happens is told by callbacks and in the result.
 *
 * Threads: the caller's (packs go to the sink from it, progress is told from it), one that reads and cuts, one that
 * puts pages together, and `sealers` that hash, compress and seal.  Memory is bounded: what is being sealed (pipe.h), a pack
 * of data and one of metadata being filled, the look table, names of folders (scan.h), and what the sink holds of packs under
 * way.
 *
 * Invariants: 1. a look-up value is remembered only when the pack with its object was acknowledged.  2. the tree cache
 * is replaced only when the manifest was acknowledged.  3. an interrupted run therefore costs reading again, never
 * sending again, and never makes a generation refer to something the box did not confirm.  4. F and every content key
 * are gone from memory when the run ends; the caches hold nothing that opens.
 */
#ifndef VAULT_BACKUP_BACKUP_H
#define VAULT_BACKUP_BACKUP_H
#include "vault/pack/pack.h"
#include "vault/scan/scan.h"
#include "vault/snapshot/manifest.h"

#define BACKUP_SMALL_MAX ((size_t)32 << 10)   /* files up to this share chunks with their neighbours */
#define BACKUP_SHARED_MAX ((size_t)256 << 10) /* plain bytes of a shared chunk */
#define BACKUP_DATA_TARGET ((size_t)4 << 20) /* a pack goes out when it holds this much */
#define BACKUP_META_TARGET ((size_t)2 << 20)
#define BACKUP_ROUNDS_MAX 3u                  /* manifests tried when the box misses objects */
#define BACKUP_MISSING_MAX 65536u
#define BACKUP_CANARIES_MAX 64u
#define BACKUP_SEALERS_MAX 8u
#define BACKUP_LABEL_MAX MANIFEST_LABEL_MAX

#define BACKUP_WINDOW_MAX 4u
#define BACKUP_ACK_WAIT_MS 250

/*
 * Where sealed things go.  Called from the thread that called backup_run, one call at a time.  0 or a negative
 * error, which ends the run and is returned; what was acknowledged before is used by the next run.  The manifest is put
 * only when every pack was acknowledged.
 */
struct backup_sink {
    /* Bit i of bitmap (least significant first) = the box has cids[i].  n <= 8192. */
    int (*have)(void *arg, const struct cid *cids, size_t n, uint8_t *bitmap);
    /* Send the finished pack (pack_emit, pack_copy, pack_objects).  With window 0 it returns when the box holds the pack
     * durably, else as soon as the builder may be used again; place (below window) is the pack's until acked gives it back. */
    int (*put_pack)(void *arg, unsigned place, const struct cid *id, const struct pack_builder *pack, uint64_t bytes);
    /* The place of a pack that the box now holds durably, each once, in any order.  -SM_EAGAIN: none, with wait after at most
     * BACKUP_ACK_WAIT_MS.  Not called with window 0. */
    int (*acked)(void *arg, bool wait, unsigned *ret_place);
    unsigned window; /* packs put and not acknowledged, at most BACKUP_WINDOW_MAX */
    /* -SM_EMISSING: cids (struct cid each) the box misses are appended to ret_missing, *ret_more when there are others. */
    int (*put_manifest)(void *arg, const struct cid *id, struct sm_span manifest, struct sm_buf *ret_missing,
        bool *ret_more);
    void *arg;
};

enum backup_phase { BACKUP_SCAN, BACKUP_READ, BACKUP_SEND, BACKUP_FINISH };
struct backup_progress {
    enum backup_phase phase;
    uint64_t files, files_total;      /* total: of the last generation, 0 when there is none */
    uint64_t bytes, bytes_total, sent_bytes;
    const char *now;                  /* the path being read, raw bytes, or "" */
};
struct backup_watch {
    /* At most every 250 ms, from the caller's thread.  May be NULL. */
    void (*progress)(void *arg, const struct backup_progress *p);
    /* Asked from any thread, so it must only look at an atomic.  May be NULL. */
    bool (*cancelled)(void *arg);
    /* A path that could not be taken whole; from any thread of the run, one call at a time.  May be NULL. */
    void (*problem)(void *arg, struct sm_span path, int err, const char *what);
    /* A file whose bytes are others than those of the last generation though its metadata are the same (the new ones are
     * in this one).  From the reading thread, not at the same time as problem.  May be NULL. */
    void (*silent)(void *arg, struct sm_span path);
    void *arg;
};

struct backup_config {
    struct vault_id vault;
    struct client_id client;
    struct source_id source;
    struct session_id session;
    struct run_id run_id;
    uint8_t run;                       /* enum manifest_run */
    uint64_t number;
    struct cid previous;
    uint64_t head_seq; uint8_t head_hash[32];
    const uint8_t *k_id, *k_look;      /* OBJ_KEY_LEN each */
    const struct crypto_sign_pair *device;
    struct sm_span recipients;         /* a set as recipients_put writes it */
    struct sm_span label;
    struct sm_span machine;            /* canonical JSON of an object for the facts ("machine"); empty = none */
    struct scan_config scan;           /* tmp_dir is taken from state_dir when -1 */
    int state_dir;                     /* caches of this client: tree-<source>, look.*; borrowed */
    bool forget;                       /* drop the caches and read everything (order "reindex") */
    /* Asked when a file may not be opened (-EACCES), for where somebody else may: a descriptor for reading, which becomes
     * the run's, or -errno.  From one thread of the run.  May be NULL. */
    int (*denied)(void *arg, const char *path); void *denied_arg;
    bool partial;                      /* parts are missing that the walk cannot know of: the generation is partial */
    bool ask_first;                    /* ask the sink what it has before sending (set by itself after a broken run) */
    const char *const *canaries; size_t canaries_n; /* absolute paths of laid decoys */
    bool planes;                       /* the box knows chunks of algorithm OBJ_PLANES */
    unsigned sealers;                  /* 0 = as many as processors, at most 4 */
    size_t look_memory;                /* bytes, 0 = 4 MiB */
    bool keep;                         /* leave in state_dir what the box is to keep of the tree (keep.h) */
    bool fetched, fetched_old;         /* the tree was made from what the box kept; it is of an earlier generation */
    uint32_t reread_days;              /* each unchanged file is read again within so many days; 0 = never */
    uint64_t reread_bytes_max;         /* about so much of it in one run at most; 0 = no limit */
    uint32_t racy_ms;                  /* files changed less than this before they were read are read again next time;
                                        * 0 = 2000 */
};

struct backup_counts {
    uint64_t files, dirs, others, bytes, files_new, files_changed, files_deleted;
    uint64_t bytes_read, files_read, bytes_new_plain, bytes_new_stored, chunks_new;
    uint64_t new_files_plain, new_files_stored;    /* of bytes_new_*: of files that are new themselves */
    uint64_t lost_magic, extension_changed, renamed;
    uint64_t canaries, canaries_changed, canaries_missing, unreadable, changed_while_read;
    uint64_t client_suspicion;
    uint64_t reread, reread_bytes, reread_changed; /* files read again though nothing seemed changed; other than they seemed */
    /* Beyond the manifest's facts: */
    uint64_t packs, sent_bytes, pages_new, rounds, problems;
};
struct backup_result {
    uint8_t status;                    /* enum manifest_status */
    struct cid manifest;
    struct backup_counts counts;
};
/*
 * Run.  Returns 0 (also when status is partial), or
 *   -SM_ECANCEL     cancelled
 *   -SM_ENOTFOUND   nothing of the source could be read: no generation was made
 *   -SM_EMISSING    the box still missed objects after BACKUP_ROUNDS_MAX rounds
 *   -SM_EINVAL      a value of the configuration
 *   the sink's answer, -ENOMEM, -errno of the state folder, -SM_ECRYPTO
 * ret is filled as far as known in every case (manifest is zero unless 0 is returned).
 */
sm_must_use int backup_run(const struct backup_config *c, const struct backup_sink *sink,
    const struct backup_watch *watch, struct backup_result *ret);

#endif
