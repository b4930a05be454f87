/*
 * For the tests of the store: a vault in a throw-away folder, and a client that makes objects the box cannot tell from
 * real ones (right headers and names, random bodies).  The box has no key, so nothing more is needed.
 */
#ifndef STORE_KIT_H
#define STORE_KIT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>
#include <errno.h>
#include "crypto/init.h"
#include "crypto/sign.h"
#include "plat/clock.h"
#include "plat/fault.h"
#include "plat/fs.h"
#include "vault/pack/pack.h"
#include "vault/store/store.h"
#include "vault/verify/verify.h"

struct kit_client { struct client_id id; struct source_id source; struct crypto_sign_pair device; };
struct kit {
    char base[96], dir[128];
    struct store *st;
    struct vault_id vault;
    struct crypto_sign_pair head;
    struct kit_client client;
    struct store_limits limits;
    uint64_t journal_file_bytes;
    bool no_signer, sign_fails;
    char why[STORE_WHY];
};
/* A box of objects waiting to be sent. */
struct kit_load { struct pack_builder *data, *meta; struct session_id session;
    /* here set: what is there already is left out, as a client does */
    const struct store *here; struct client_id client;
};

void kit_init(struct kit *k, const char *name);      /* folder below $TMPDIR, empty vault, client not yet joined */
void kit_done(struct kit *k);                        /* closes and removes */
int kit_open(struct kit *k, unsigned flags);
void kit_close(struct kit *k);
int kit_join(struct kit *k, const struct kit_client *c);
void kit_client_make(struct kit_client *c, uint8_t n);
uint64_t kit_random(uint64_t *seed);

/* Objects: sealed bytes appended to ret, their name returned. */
struct cid kit_chunk(const struct client_id *c, uint64_t seed, size_t n, uint8_t algorithm, struct sm_buf *ret);
struct cid kit_page(const struct client_id *c, uint8_t type, struct cid *refs, uint32_t n, uint64_t seed, size_t body,
    struct sm_buf *ret);
struct cid kit_envelope(const struct client_id *c, uint64_t seed, struct sm_buf *ret);

void kit_load_init(struct kit_load *l, const struct kit *k, const struct client_id *c, const struct session_id *s);
void kit_load_add(struct kit_load *l, const struct cid *cid, struct sm_span sealed);   /* twice the same: once */
void kit_load_wipe(struct kit_load *l);
/* Send a finished pack in pieces; not flushed. */
int kit_push(struct store_session *s, struct pack_builder *b, const struct cid *id, uint64_t bytes, size_t piece);
int kit_send(struct store_session *s, struct pack_builder *b, size_t piece);
/* Both packs of a load, those that are not empty, and flush. */
int kit_send_load(struct kit *k, struct store_session *s, struct kit_load *l);

/* A source of `dirs` folders with `files` chunks each; a file's content is its seed (0: none).  The pages follow. */
struct kit_tree { uint32_t dirs,
    files; uint64_t seed[64][64]; uint8_t algorithm[64][64]; size_t bytes; uint64_t page_salt; size_t entry_bytes; };
void kit_tree_init(struct kit_tree *t, uint32_t dirs, uint32_t files, size_t bytes, uint64_t seed);
/* All its objects into the load; the root page. */
struct cid kit_tree_load(const struct kit_tree *t, const struct client_id *c, const struct cid *envelope,
    struct kit_load *l);

struct kit_manifest {
    const struct kit_client *c; struct manifest m;
    char facts[512]; struct cid root; uint8_t item[48];
};
/* A manifest as an honest client would make it next; change what you like, then kit_manifest_bytes. */
void kit_manifest_init(struct kit *k, struct kit_manifest *m, const struct kit_client *c, const struct cid *root,
    const struct cid *envelope,
    uint64_t seed);
void kit_manifest_bytes(const struct kit_manifest *m, struct sm_buf *ret);

/* A whole generation: session, packs, manifest.  run kind 0 = scheduled.  ret may be NULL. */
int kit_generation(struct kit *k, const struct kit_client *c, const struct kit_tree *t, uint64_t seed, uint8_t run_kind,
    const char *facts,
    struct store_verdict *ret);
int kit_session(struct kit *k, const struct kit_client *c, uint64_t run, uint8_t run_kind, struct store_session **ret);
struct run_id kit_run(uint64_t n);

/* Files. */
void kit_copy_tree(const char *from, const char *to);
void kit_remove(const char *path);
void kit_flip(const char *path, uint64_t at, uint8_t mask);
uint64_t kit_size(const char *path);
/* Names of files below dir/sub with this ending, at most max; their number. */
size_t kit_files(const char *dir, const char *ending, char (*ret)[256], size_t max);
bool kit_long(void);     /* SAKIMORI_LONG=1 */
int kit_verify(struct kit *k, enum verify_kind kind, struct verify_result *ret);

#endif
