/* What the files of the S3 target share. */
#ifndef VAULT_COPY_S3_INTERNAL_H
#define VAULT_COPY_S3_INTERNAL_H
#include <curl/curl.h>
#include "vault/copy/copy_internal.h"
#include "vault/copy/s3.h"

#define S3_VERSION_MAX 256
#define S3_KEY_MAX 512
#define S3_DAY ((int64_t)86400)

/* ---- XML, s3_xml.c ---- */

#define S3_XML_DEPTH 12
#define S3_XML_TEXT 2048
/* One leaf or end of an element: path without the root ("Version/Key"), its text.  Non-zero ends the reading. */
typedef int (*s3_xml_fn)(void *arg, const char *path, const char *text);
/* No document types, no entities of its own, bounded in depth and text.  -SM_EFORMAT, -SM_ELIMIT, or what fn returned. */
sm_must_use int s3_xml_each(struct sm_span in, s3_xml_fn fn, void *arg);
/* The text at path, "" when it is not there. */
sm_must_use int s3_xml_text(struct sm_span in, const char *path, char *ret, size_t n);

/* ---- requests, s3_http.c ---- */

struct s3_http {
    struct s3_conf conf;
    CURL *curl;
    const atomic_bool *cancel;
    char reason[16], why[S3_WHY];
    int64_t server_s;             /* the server's clock at the last answer */
    int64_t skew_s;               /* server's minus ours */
};
struct s3_request {
    const char *method;           /* GET, HEAD, PUT */
    const char *key;              /* below the prefix; NULL: the bucket itself */
    const char *query;            /* ready for signing: sorted, escaped, each with "="; "" */
    const char *version;          /* a further query "versionId"; NULL */
    struct sm_span body;          /* of PUT */
    int64_t until_s;              /* lock a PUT of an object; 0: no */
    uint64_t from; size_t n;      /* a range of GET; n 0: all */
    size_t max;                   /* of the answer's body */
    struct sm_buf *into;          /* its body; NULL: dropped */
};
struct s3_reply {
    long status;
    char version[S3_VERSION_MAX], code[64], mode[16];
    int64_t until_s;              /* x-amz-object-lock-retain-until-date, 0: none */
    uint64_t length;
};
sm_must_use int s3_http_init(struct s3_http *h, const struct s3_conf *conf, const atomic_bool *cancel);
void s3_http_wipe(struct s3_http *h);
/* One request, tried again when that helps.  0: the answer is 2xx; else as s3_open says, with h->reason and why;
 * -SM_ENOTFOUND: 404. */
sm_must_use int s3_http_do(struct s3_http *h, const struct s3_request *q, struct s3_reply *ret);
/* Percent-escape what is not unreserved, "/" kept or not.  -SM_ELIMIT. */
sm_must_use int s3_escape(const char *text, bool slash, char *ret, size_t n);
sm_must_use int s3_url(const struct s3_conf *c, const struct s3_request *q, char *ret, size_t n);
void s3_lock_date(int64_t s, char ret[32]);
int s3_http_fail(struct s3_http *h, int err, const char *reason, const char *why);

/* All versions of keys that begin with start: fn(key below the prefix, version, delete marker, changed s).  At most max. */
typedef int (*s3_version_fn)(void *arg, const char *key, const char *version, bool marker, int64_t at_s);
sm_must_use int s3_versions(struct s3_http *h, const char *start, size_t max, s3_version_fn fn, void *arg);

/* ---- the catalogue, s3_list.c ---- */

enum s3_kind { S3_PACK = 'p', S3_MANIFEST = 'm', S3_JOURNAL = 'j', S3_BOX = 'b' };
struct s3_name { char kind; uint8_t id[32]; };   /* journal: file and offset in id, big-endian */
struct s3_entry { struct s3_name name; bool dirty; uint32_t size, until, version; };
struct s3_list {
    struct s3_entry *v; size_t n, cap;
    uint32_t *slots; size_t slots_n;
    struct sm_buf pool;            /* versions, each with its NUL */
    struct sm_buf removed;         /* struct s3_name, since the last commit */
    size_t dirty;
    uint64_t bytes;
};
void s3_list_wipe(struct s3_list *l);
struct s3_entry *s3_list_find(const struct s3_list *l, const struct s3_name *name);
const char *s3_list_version(const struct s3_list *l, const struct s3_entry *e);
/* Add or replace.  -ENOMEM, -SM_ELIMIT. */
sm_must_use int s3_list_set(struct s3_list *l, const struct s3_name *name, uint64_t size, int64_t until_s, const char *version);
sm_must_use int s3_list_remove(struct s3_list *l, const struct s3_name *name);
/* The text of what changed, or of everything, from entry *at on until about max bytes; *at is then where to go on, l->n
 * at the end.  s3_list_clean once all of it is kept. */
sm_must_use int s3_list_put(const struct s3_list *l, bool all, size_t max, size_t *at, struct sm_buf *ret);
void s3_list_clean(struct s3_list *l);
/* Take in such a text.  -SM_EFORMAT, -SM_EVERSION, -SM_ELIMIT, -ENOMEM. */
sm_must_use int s3_list_get(struct s3_list *l, struct sm_span text);
/* "packs/ab/….skp", "manifests/….skm".  -SM_EINVAL. */
sm_must_use int s3_name_of(const char *file, struct s3_name *ret);
struct s3_name s3_name_journal(uint32_t file, uint64_t off);
void s3_name_journal_get(const struct s3_name *n, uint32_t *ret_file, uint64_t *ret_off);
void s3_name_key(const struct s3_name *n, char ret[S3_KEY_MAX]);

/* ---- roots, s3_root.c ---- */

#define S3_LISTS_MAX 64
#define S3_ROOT_MAX ((size_t)64 << 10)
struct s3_list_ref { uint64_t number; uint8_t hash[32]; uint32_t size; int64_t until_s; char version[S3_VERSION_MAX]; };
struct s3_root {
    struct vault_id vault; uint8_t copy[16];
    uint64_t number; uint8_t before[32]; int64_t at_s;
    uint8_t format;               /* of the vault: 1 or 2; 0: not yet */
    bool has_head; uint8_t head[JOURNAL_SIGNED_HEAD_BYTES];
    struct journal_head tip; uint32_t tip_file; uint64_t tip_off;
    uint64_t objects;
    struct s3_list_ref lists[S3_LISTS_MAX]; size_t lists_n;
};
/* Text and back.  put: without the signature.  get: *ret_sig, and the signed part's digest.  -SM_EFORMAT, -SM_EVERSION. */
sm_must_use int s3_root_put(const struct s3_root *r, struct sm_buf *ret);
sm_must_use int s3_root_get(struct sm_span text, struct s3_root *ret, uint8_t ret_digest[32], uint8_t ret_sig[64]);
sm_must_use int s3_root_message(const struct s3_root *r, const uint8_t digest[32], struct sm_buf *ret);

/* ---- the target, s3_target.c ---- */

struct s3 {
    struct s3_http http;
    struct s3_list list;
    struct s3_root root; uint8_t root_digest[32];
    struct vault_id vault; uint8_t copy[16], head_pub[32];
    s3_seal_fn seal; void *arg;
    bool root_dirty;
    uint64_t renewed;
    size_t keep_at;
    int64_t before_s;
    struct sm_buf body;           /* the object under way */
    struct s3_name body_name; bool body_open;
    struct sm_buf ahead; struct s3_name ahead_name; uint64_t ahead_off; /* what was read in advance */
};
/* Bytes of one object, its recorded version; n 0: all of it. */
sm_must_use int s3_get(struct s3 *t, const struct s3_entry *e, uint64_t from, size_t n, struct sm_buf *ret);
sm_must_use int s3_commit(struct s3 *t);
sm_must_use int s3_load(struct s3 *t);
int64_t s3_now(const struct s3 *t);      /* by the server's clock */
int64_t s3_renew_at(const struct s3 *t); /* what is locked no longer than this is renewed */
/* Store an object and see it locked.  *ret_until. */
sm_must_use int s3_store(struct s3 *t, const char *key, struct sm_span body, char ret_version[S3_VERSION_MAX], int64_t *ret_until);
/* All of the journal is forgotten: it is copied anew. */
sm_must_use int s3_forget_journal(struct s3 *t);
/* Do the bytes fit the name (a part of the journal: only the length)? */
bool s3_body_fits(struct s3 *t, const struct s3_entry *e, struct sm_span b);
/* From its first record to the signed head; what is wrong is told. */
sm_must_use int s3_whole_journal(struct s3 *t, struct s3_check *c);
int s3_read(void *t, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got);
#endif
