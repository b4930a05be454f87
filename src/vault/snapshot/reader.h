/*
 * Reading a generation: list, stat, walk, read.  For recovery from the command line, the opener and the agent's
 * restore; where objects and keys come from is the source's business.  Everything read is checked: names, AEAD, order,
 * limits.  Memory is bounded (READER_CACHE_BYTES of opened pages, READER_STACK_BYTES of lists on the way down).
 * One thread at a time.
 */
#ifndef VAULT_SNAPSHOT_READER_H
#define VAULT_SNAPSHOT_READER_H
#include "vault/snapshot/dirpage.h"
#include "vault/snapshot/envelope.h"
#include "vault/snapshot/manifest.h"
#include "vault/snapshot/meta.h"
#include "vault/snapshot/streampage.h"

#define READER_CACHE_BYTES ((size_t)32 << 20)
#define READER_STACK_BYTES ((size_t)128 << 20)
#define READER_PATH_MAX ((size_t)16 << 10)

struct reader_source {
    /* Append the sealed object to ret; type is a hint (OBJ_ANY: unknown).  -SM_EMISSING when it is not there. */
    int (*get)(void *arg, const struct cid *cid, uint8_t type, struct sm_buf *ret);
    /* These will be asked for soon, in this order.  May be NULL; never an error. */
    void (*want)(void *arg, const struct cid *cids, size_t n);
    /* F of an envelope.  -SM_EDENIED, -SM_EMISSING, ... */
    int (*file_key)(void *arg, const struct cid *envelope, struct file_key *ret);
    /* The type of an object without its bytes, from an index.  May be NULL. */
    int (*type)(void *arg, const struct cid *cid);
    bool names_checked; /* get has compared the bytes with the name already */
    void *arg;
};

struct reader;
/*
 * Open a generation.  manifest is copied; device_public is checked unless NULL (the caller has checked it).  source is
 * copied, its arg borrowed.  -SM_EAUTH, -SM_EFORMAT, -SM_EVERSION, -SM_ELIMIT, -ENOMEM, -SM_ECRYPTO.
 * No object is fetched yet.
 */
sm_must_use int reader_open(const struct reader_source *source, struct sm_span manifest,
    const uint8_t *device_public, struct reader **ret);
void reader_close(struct reader *r);
const struct manifest *reader_manifest(const struct reader *r);

/* An entry, holding the page it stands in until it is wiped.  A zeroed one is valid for wipe. */
struct reader_node { struct entry_view e; struct reader_page *page; };
void reader_node_wipe(struct reader_node *n);
/* Another hold on the same entry. */
void reader_node_copy(const struct reader_node *n, struct reader_node *ret);

/* Errors of all calls below: what source answers, -SM_EMISSING, -SM_ECORRUPT (bytes are not the name), -SM_EAUTH,
 * -SM_EFORMAT, -SM_EVERSION, -SM_EMISMATCH, -SM_ELIMIT, -ENOMEM, and what a callback answered when not 0. */

/* path is absolute, as bytes.  -SM_ENOTFOUND. */
sm_must_use int reader_stat(struct reader *r, struct sm_span path, struct reader_node *ret);
typedef int (*reader_entry_fn)(void *arg, const struct reader_node *n);
/* The entries of a folder in order.  The empty path lists the source's roots (names are absolute paths). */
sm_must_use int reader_list(struct reader *r, struct sm_span path, reader_entry_fn fn, void *arg);
sm_must_use int reader_list_node(struct reader *r, const struct reader_node *dir, reader_entry_fn fn, void *arg);

/* LEAVE comes after all that is below a folder; its node has name, kind and meta only (not to be copied). */
enum reader_event { READER_ENTRY = 1, READER_LEAVE = 2 };
/* READER_SKIP from an ENTRY call: do not go into this folder.  -SM_...: stop. */
#define READER_SKIP 1
typedef int (*reader_walk_fn)(void *arg, enum reader_event event, struct sm_span path, const struct reader_node *n);
/* Depth first, names ascending.  The empty path walks all roots; a folder's own path begins with its own ENTRY. */
sm_must_use int reader_walk(struct reader *r, struct sm_span path, reader_walk_fn fn, void *arg);
/* The first entry in path order that carries the bytes of a hard-link group.  -SM_ENOTFOUND. */
sm_must_use int reader_link_source(struct reader *r, uint64_t group, struct reader_node *ret);

/* One part of a stream, in order. */
struct reader_part {
    uint64_t file_offset, length;
    bool hole;
    struct cid cid; struct chunk_key ck; uint64_t chunk_offset; /* not for a hole */
};
typedef int (*reader_part_fn)(void *arg, const struct reader_part *p);
/* All parts of stream i, for a restorer that fetches and opens by itself (chunk_open, then chunk_offset, length). */
sm_must_use int reader_parts(struct reader *r, const struct reader_node *n, uint32_t i, reader_part_fn fn, void *arg);
/* Bytes of a file; data.p is NULL for a hole of data.n bytes.  Must not call the same reader. */
typedef int (*reader_data_fn)(void *arg, uint64_t offset, struct sm_span data);
/* Stream i from offset, at most length bytes (fewer at the end; offset past the end gives none). */
sm_must_use int reader_read(struct reader *r, const struct reader_node *n, uint32_t i, uint64_t offset, uint64_t length,
    reader_data_fn fn, void *arg);

/* Every envelope this generation needs, each once, by the clear refs alone: no key is asked for.  At most
 * READER_CLOSURE_MAX pages are visited (-SM_ELIMIT). */
#define READER_CLOSURE_MAX ((size_t)1 << 20)
typedef int (*reader_cid_fn)(void *arg, const struct cid *cid);
sm_must_use int reader_envelopes(struct reader *r, reader_cid_fn fn, void *arg);

/* ---- two generations (reader_diff.c) ---- */
enum reader_change { READER_ADDED = 1, READER_REMOVED = 2, READER_CHANGED = 3 };
/* Of READER_CHANGED, bits. */
enum reader_what {
    READER_CONTENT = 1, READER_META = 2 /* mode, owner, time, ... */, READER_KIND = 4 /* a file became a folder, ... */
};
struct reader_difference {
    enum reader_change change;
    unsigned what;
    struct sm_span path;
    const struct reader_node *was, *is; /* in the older, in the newer; NULL where it is not */
};
/* d is borrowed for the call.  Non-zero stops the walk and is its answer. */
typedef int (*reader_diff_fn)(void *arg, const struct reader_difference *d);
/* Files of one size whose bytes are cut differently are compared by hash: up to this size, and so many bytes in one call;
 * beyond, they are called changed. */
#define READER_DIFF_HASH_MAX ((uint64_t)64 << 20)
#define READER_DIFF_HASH_ALL ((uint64_t)1 << 30)
#define READER_DIFF_VISIT_MAX ((uint64_t)2000000) /* entries looked at in one call */
/*
 * What differs between two generations of one client, below path (empty: all roots), names ascending; a folder that came
 * or went is told once, without what is in it.  Pages that are the same object in both are not opened: the price is the
 * difference, not the size.  The time of last change of a folder is no difference.
 * -SM_ENOTFOUND: path is in neither.  -SM_ELIMIT: past READER_DIFF_VISIT_MAX; what was told so far is right.
 */
sm_must_use int reader_diff(struct reader *older, struct reader *newer, struct sm_span path, reader_diff_fn fn, void *arg);
/* A number that says which pages a folder consists of, and where it stands: the same number, the same folder.  False
 * for what is no folder, or an empty one. */
bool reader_folder_mark(const struct reader_node *n, struct sm_span path, uint64_t *ret);

#endif
