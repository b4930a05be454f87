/*
 * Names, numbers and limits of the vault format (docs/FORMAT-vault.md, sections 1, 2 and 8), and the
 * 24-byte header every object begins with.  Sees sealed bytes only; never a key.
 */
#ifndef VAULT_SEAL_FORMAT_H
#define VAULT_SEAL_FORMAT_H
#include "core/buf.h"

struct cid { uint8_t b[32]; };        /* SHA-256 of a sealed object, a manifest or a pack's head */
struct client_id { uint8_t b[16]; };
struct vault_id { uint8_t b[16]; };
struct source_id { uint8_t b[16]; };
struct session_id { uint8_t b[16]; };
struct run_id { uint8_t b[16]; };

enum object_type {
    OBJ_ANY = 0,        /* only as "expected type" in calls */
    OBJ_CHUNK = 1,
    OBJ_DIRPAGE = 2,
    OBJ_STREAMPAGE = 3,
    OBJ_ENVELOPE = 4,
    OBJ_CANARY = 5,     /* a chunk of a canary file */
    OBJ_KEYLINK = 6,    /* stands in the journal, never in a pack */
    OBJ_CACHE = 7,      /* of a log of its own (cache.h), never in a pack */
};
enum object_algorithm { OBJ_STORED = 1, OBJ_ZSTD = 2, OBJ_PLANES = 3 /* chunks only */ };

#define OBJ_HDR_LEN 24
#define OBJ_NONCE_LEN 12
#define OBJ_TAG_LEN 16
#define OBJ_KEY_LEN 32
#define CHUNK_PLAIN_MAX ((size_t)4 << 20)
#define CHUNK_OVERHEAD (OBJ_HDR_LEN + OBJ_NONCE_LEN + OBJ_TAG_LEN)
#define CHUNK_SEALED_MAX (CHUNK_OVERHEAD + CHUNK_PLAIN_MAX)
#define PAGE_BODY_MAX ((size_t)4 << 20)
#define PAGE_REFS_MAX 65536u
#define PAGE_SEALED_MAX (CHUNK_OVERHEAD + 4 + (size_t)PAGE_REFS_MAX * 32 + PAGE_BODY_MAX)
#define OBJ_SEALED_MAX PAGE_SEALED_MAX /* the longest object there is */
#define VAULT_NAME_MAX 4096u           /* bytes of one name, and of a root's path */
#define VAULT_META_MAX ((size_t)256 << 10)
#define VAULT_STREAMS_MAX 64u          /* of one entry */
#define VAULT_PARTS_MAX 65536u         /* of one stream or stream page */
#define DIRPAGE_ENTRIES_MAX 4096u
#define STREAMPAGE_LEVEL_MAX 3u
#define VAULT_DEPTH_MAX 64u            /* folders below a root, and pages below the root pages */
#define VAULT_FILE_MAX ((uint64_t)1 << 62) /* bytes of one stream */

struct obj_hdr { uint8_t algorithm, type; struct client_id client; };

/* Write the header.  With algorithm 0 it is the format's hdr0. */
void obj_hdr_put(const struct obj_hdr *h, uint8_t ret[OBJ_HDR_LEN]);
/*
 * Read the header an object begins with; bytes after it are not looked at.
 * Returns 0, -SM_EFORMAT (too short, wrong magic, an algorithm that is unknown or not of this type, non-zero reserved byte), or
 * -SM_EVERSION (a format or a type this build does not know; types 6 and 7 among them).
 */
sm_must_use int obj_hdr_parse(struct sm_span sealed, struct obj_hdr *ret);
/* obj_hdr_parse, and -SM_EMISMATCH if it is not of this type (OBJ_ANY: any; OBJ_CHUNK does not accept
 * OBJ_CANARY) or not of this client (NULL: any). */
sm_must_use int obj_hdr_expect(struct sm_span sealed, uint8_t type, const struct client_id *client,
    struct obj_hdr *ret);
/* Shortest and longest an object of this type can be; 0 for an unknown type. */
size_t obj_len_min(uint8_t type);
size_t obj_len_max(uint8_t type);
bool obj_is_chunk(uint8_t type); /* 1 or 5: data packs; all else goes to metadata packs */

/* The name of an object. */
void obj_name(struct sm_span sealed, struct cid *ret);
/* 0, or -SM_ECORRUPT: the bytes are not the object of that name. */
sm_must_use int obj_name_check(struct sm_span sealed, const struct cid *name);

bool cid_eq(const struct cid *a, const struct cid *b);
int cid_cmp(const struct cid *a, const struct cid *b); /* memcmp order */
bool cid_is_zero(const struct cid *a);
bool client_id_eq(const struct client_id *a, const struct client_id *b);
#define CID_HEX 65
void cid_hex(const struct cid *c, char ret[CID_HEX]);
sm_must_use int cid_unhex(const char *hex, struct cid *ret); /* exactly 64 digits; -SM_EFORMAT */

#endif
