/*
 * Packs (FORMAT 5): a builder for clients, a checker that follows the bytes as they stream in, and reading one
 * object out of a file.
 */
#ifndef VAULT_PACK_PACK_H
#define VAULT_PACK_PACK_H
#include "vault/seal/format.h"

#define PACK_HEADER_LEN 80
#define PACK_DIRENT_LEN 40
#define PACK_OBJECTS_MAX 65536u
#define PACK_BODY_MAX ((size_t)32 << 20)
#define PACK_BODY_TARGET ((size_t)16 << 20)
#define PACK_BYTES_MAX (PACK_HEADER_LEN + (size_t)PACK_OBJECTS_MAX * PACK_DIRENT_LEN + PACK_BODY_MAX)
enum pack_kind { PACK_DATA = 1, PACK_META = 2 };

struct pack_header {
    uint8_t kind;
    struct vault_id vault;
    struct client_id client;
    struct session_id session;
    uint32_t n;
    uint64_t body_bytes;
};
struct pack_object { struct cid cid; uint64_t offset; uint32_t length; uint8_t type; }; /* offset in the file */

/* ---- building ---- */
struct pack_builder;
/* -ENOMEM, -SM_EINVAL (kind). */
sm_must_use int pack_builder_new(const struct vault_id *vault, const struct client_id *client,
    const struct session_id *session, uint8_t kind, struct pack_builder **ret);
void pack_builder_free(struct pack_builder *b);
/*
 * Add a sealed object (copied).  -SM_EEXISTS (is in this pack already), -SM_EINVAL (its type does not belong in this
 * kind, its client is another), -SM_ELIMIT (does not fit any more: finish and begin another), -SM_EFORMAT, -ENOMEM.
 */
sm_must_use int pack_add(struct pack_builder *b, const struct cid *cid, struct sm_span sealed);
size_t pack_body_bytes(const struct pack_builder *b);
uint32_t pack_count(const struct pack_builder *b);
bool pack_full(const struct pack_builder *b); /* at or past PACK_BODY_TARGET, or out of entries */
/* Shuffle and name.  -SM_ESTATE (empty).  Nothing can be added afterwards until reset. */
sm_must_use int pack_finish(struct pack_builder *b, struct cid *ret_id, uint64_t *ret_bytes);
/* The finished pack's bytes from off on, in pieces to fn; non-zero stops and is returned.  -SM_ESTATE, -SM_EINVAL. */
typedef int (*pack_bytes_fn)(void *arg, struct sm_span piece);
sm_must_use int pack_emit(const struct pack_builder *b, uint64_t off, pack_bytes_fn fn, void *arg);
/* Up to n bytes of the finished pack at off (for an upload that asks for them); returns how many. */
size_t pack_copy(const struct pack_builder *b, uint64_t off, void *to, size_t n);
/* Objects in their final order, with offsets in the file; valid until reset or free. */
const struct pack_object *pack_objects(const struct pack_builder *b);
void pack_reset(struct pack_builder *b, uint8_t kind); /* empty again, memory kept */

/* ---- head ---- */
/* The 80 bytes.  -SM_EFORMAT (also too short), -SM_EVERSION, -SM_ELIMIT. */
sm_must_use int pack_header_parse(struct sm_span bytes, struct pack_header *ret);
/* Header and directory; offsets are filled in.  objects (struct pack_object each) are appended to ret_objects.
 * -SM_EFORMAT (also too short, cid twice, sums), -SM_EVERSION, -SM_ELIMIT, -ENOMEM. */
sm_must_use int pack_head_parse(struct sm_span bytes, struct pack_header *ret, struct cid *ret_id,
    struct sm_buf *ret_objects);

/* ---- checking as it streams ---- */
struct pack_check;
/* What must hold; NULL: any. */
struct pack_expect {
    const struct cid *id;
    const struct vault_id *vault;
    const struct client_id *client;
    const struct session_id *session;
};
/*
 * Called for each object once its hash, type and client are proven.  bytes is the whole object unless it is a chunk
 * (then empty), borrowed.  A negative answer stops and is returned.
 */
typedef int (*pack_object_fn)(void *arg, const struct pack_object *o, struct sm_span bytes);
/* What expect points to is copied.  fn may be NULL.  -ENOMEM, -SM_ECRYPTO. */
sm_must_use int pack_check_new(const struct pack_expect *expect, pack_object_fn fn, void *arg, struct pack_check **ret);
/* Hash with this working space of the caller's (borrowed; crypto/many.h) and not one of its own. */
struct crypto_many;
void pack_check_use(struct pack_check *c, struct crypto_many *many);
void pack_check_free(struct pack_check *c);
/*
 * The next bytes, in any split.  Never reads past the body: returns how many bytes it took (less than n only when the
 * pack is complete), or, and then for ever,
 *   -SM_EFORMAT, -SM_EVERSION, -SM_ELIMIT  header, directory, or an object's header
 *   -SM_EMISMATCH   sound, but not the pack, vault, client or session expected; an object of another client or type
 *   -SM_ECORRUPT    an object's bytes are not its name
 *   -ENOMEM, fn's answer
 */
sm_must_use int64_t pack_check_put(struct pack_check *c, struct sm_span bytes);
/* Feed the first n bytes of a file (resuming an upload, scrubbing).  Errors as put, -errno, -SM_EPARTIAL (shorter). */
sm_must_use int pack_check_file(struct pack_check *c, int fd, uint64_t n);
/* Feed a file to the end of its body.  -SM_EPARTIAL when the file ends before. */
sm_must_use int pack_check_whole(struct pack_check *c, int fd);
/* Bytes still wanted; at the beginning those of the header, then of the whole.  0 = complete and proven. */
uint64_t pack_check_left(const struct pack_check *c);
uint64_t pack_check_taken(const struct pack_check *c);
/* Known once header and directory are in; NULL before. */
const struct pack_header *pack_check_header(const struct pack_check *c);
const struct cid *pack_check_id(const struct pack_check *c);
/* The highest algorithm (enum object_algorithm) of the objects whose headers came; 0: none yet. */
uint8_t pack_check_algorithm(const struct pack_check *c);
const struct pack_object *pack_check_objects(const struct pack_check *c);

/* ---- trailer ---- */
#define PACK_BLOCK_MIN 4096u
struct pack_trailer { uint32_t block_size; struct sm_span hashes; /* 8 bytes a block, borrowed; empty if none */ };
/* bytes: what follows the body (empty: no trailer, 0).  -SM_EFORMAT, -SM_EVERSION, -SM_ELIMIT. */
sm_must_use int pack_trailer_parse(struct sm_span bytes, struct pack_trailer *ret);
/* Append a trailer with block hashes over a pack's bytes.  -SM_EINVAL (block size), -ENOMEM, -SM_ELIMIT. */
sm_must_use int pack_trailer_put(struct sm_span pack, uint32_t block_size, struct sm_buf *ret);

/* ---- reading ---- */
/* Append one object of an open pack file to ret (as it was on failure) and check its name.
 * -SM_ELIMIT (length), -SM_ECORRUPT, -SM_EPARTIAL (file too short), -errno, -ENOMEM. */
sm_must_use int pack_read_object(int fd, const struct pack_object *o, struct sm_buf *ret);

#endif
