/*
 * A copy in a bucket with Object Lock (docs/FORMAT-vault.md section 12.1): the S3 requests, the catalogue of what lies
 * there under which version, and the target that copy.h fills.  Sees sealed objects, and the keys of that one bucket;
 * never logs.  Built apart from the vault library, so that only who talks to a bucket has libcurl and an XML reader.
 *
 * Invariants: 1. an object counts only after the server said, of that version, that it is whole and locked in compliance
 * mode long enough.  2. no request deletes, shortens or asks to pass over a lock.  3. what is found again is found by the
 * version written down in a list that a root signed by the box names: what somebody put over it later is not looked at.
 */
#ifndef VAULT_COPY_S3_H
#define VAULT_COPY_S3_H
#include <stdatomic.h>
#include "core/json.h"
#include "vault/copy/copy.h"

#define S3_WHY 200
#define S3_OBJECTS_MAX 300000u
#define S3_BODY_MAX ((size_t)40 << 20)     /* a pack with its trailer */
#define S3_XML_MAX ((size_t)4 << 20)
#define S3_LOCK_DAYS_MIN 90
#define S3_LOCK_DAYS_MAX 3650

/* ---- where ---- */

struct s3_conf {
    char host[260];               /* with ":port" when it is not the scheme's own */
    char bucket[64], prefix[200]; /* prefix "" or ending in "/" */
    char region[64], access[200], secret[300];
    bool plain;                   /* http, loopback only */
    bool host_style;              /* bucket.host instead of host/bucket */
    char ca[1024];                /* further certificate authorities, a file; "" */
    int lock_days;
    uint64_t rate_bytes;          /* a second, 0: as fast as it goes */
};
/* From {"endpoint","bucket","prefix"?,"region","access_key","secret_key","style"?: "path"/"host","plain"?,"ca"?,
 * "lock_days"?,"rate_bytes"?}.  -SM_EINVAL with ret_why. */
sm_must_use int s3_conf_get(const json_t *address, struct s3_conf *ret, char ret_why[S3_WHY]);
/* "https://host[:port]/bucket/prefix" into its parts (style path).  -SM_EINVAL with ret_why. */
sm_must_use int s3_conf_url(const char *url, struct s3_conf *ret, char ret_why[S3_WHY]);
void s3_conf_wipe(struct s3_conf *c);

/* ---- the target ---- */

/* Has the root of `number` with this SHA-256 signed by the box.  May be called on another thread than the loop's. */
typedef int (*s3_seal_fn)(void *arg, uint64_t number, const uint8_t digest[32], uint8_t ret_sig[64]);
struct s3_args {
    const struct s3_conf *conf;   /* copied */
    struct vault_id vault; uint8_t copy[16]; uint8_t head_pub[32]; /* of a box; a fetch learns them from the bucket */
    const char *label;            /* text of struct copy_label; a box only */
    s3_seal_fn seal; void *arg;   /* NULL: reading only */
    const atomic_bool *cancel;    /* looked at during transfers; may be NULL */
    int64_t before_s;             /* a fetch: as it was then; 0: the newest */
};
extern const struct copy_target_ops copy_s3; /* opened by s3_open, not by its open */
/*
 * Look at the bucket and read what lies there.  -SM_EINVAL and below with ret_why in English; s3_reason says which word.
 *   -SM_EUNSUPPORTED no versions or no Object Lock        -SM_EMISMATCH another box, vault or copy fills this place
 *   -SM_EAUTH        the keys are not accepted            -EACCES       they may not do what is needed
 *   -SM_ENOTFOUND    no such bucket; nothing there (fetch) -SM_EPEER    the server cannot be reached, or fails
 *   -SM_ESTATE       the clocks differ                    -ENOSPC      the server takes no more
 *   -SM_ECORRUPT     no root that is whole and signed     -SM_ECANCEL, -ENOMEM, -SM_ELIMIT
 */
sm_must_use int s3_open(const struct s3_args *args, void **ret, char ret_why[S3_WHY]);
/* The word for people of the last failure: "", "bucket", "nolock", "keys", "rights", "clock", "network", "tls", "busy",
 * "region", "full", "taken", "versions". */
const char *s3_reason(const void *t);
const char *s3_why(const void *t);

struct s3_facts { uint64_t objects, bytes, renewed, root; int64_t locked_until_s; }; /* the earliest lock; 0: none */
void s3_facts(const void *t, struct s3_facts *ret);

/* ---- reading back ---- */

struct s3_check {
    uint64_t read_max;            /* bytes to read back, chosen by chance; 0: all */
    uint64_t objects, bytes, locks, damaged, bytes_total; /* so far */
    size_t at; uint64_t skipped;
    void (*damage)(void *arg, const char *name, const char *why);
    void *arg;
};
/* The next object: its lock and size asked, and, when its turn comes, read and held against its name.  1: more, 0: done;
 * errors as of s3_open (damage is no error). */
sm_must_use int s3_check_step(void *t, struct s3_check *c);

/* ---- everything back into a folder ---- */

struct s3_fetch_progress { uint64_t objects, objects_total, bytes, bytes_total, had; };
/* Rebuild the vault at `dir` (made when missing); what is there and sound stays.  progress: non-zero ends it.  Packs that
 * are not what they should be are named by damage and left out.  -SM_EMISMATCH dir holds another vault. */
sm_must_use int s3_fetch(void *t, const char *dir, int (*progress)(void *, const struct s3_fetch_progress *),
    void (*damage)(void *, const char *name, const char *why), void *arg, char ret_why[S3_WHY]);
/* What the bucket said of itself. */
void s3_who(const void *t, struct vault_id *ret_vault, uint8_t ret_head_pub[32], int64_t *ret_at_s);
#endif
