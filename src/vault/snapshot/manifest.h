/*
 * Manifests (FORMAT 4): one signed page a generation.
 */
#ifndef VAULT_SNAPSHOT_MANIFEST_H
#define VAULT_SNAPSHOT_MANIFEST_H
#include "crypto/sign.h"
#include "vault/snapshot/item.h"

#define MANIFEST_MAX ((size_t)256 << 10)
#define MANIFEST_ROOTS_MAX 1024u
#define MANIFEST_FACTS_MAX ((size_t)64 << 10)
#define MANIFEST_LABEL_MAX ((size_t)1 << 10)
enum manifest_run { RUN_SCHEDULED = 1, RUN_ADHOC = 2, RUN_MADE_UP = 3 };
enum manifest_status { RUN_COMPLETE = 1, RUN_PARTIAL = 2 };

struct manifest {
    struct vault_id vault;
    struct client_id client;
    struct source_id source;
    struct run_id run_id;
    uint64_t number;
    struct cid previous;                     /* zero for none */
    uint64_t head_seq; uint8_t head_hash[32];
    uint8_t run, status;
    int64_t started_s, finished_s;
    struct cid envelope;
    const struct cid *roots; size_t nroots;  /* borrowed; after parse they point into the bytes */
    uint64_t counter;
    struct sm_span item, facts, label;       /* borrowed */
};
/* Write and sign; appended to ret.  -SM_EINVAL (a value the format forbids), -SM_ELIMIT, -ENOMEM, -SM_ECRYPTO. */
sm_must_use int manifest_build(const struct manifest *m, const struct crypto_sign_pair *device, struct sm_buf *ret);
/* Read; the signature is not checked.  -SM_EFORMAT, -SM_EVERSION, -SM_ELIMIT. */
sm_must_use int manifest_parse(struct sm_span bytes, struct manifest *ret);
/* 0, -SM_EAUTH, -SM_EFORMAT (too short). */
sm_must_use int manifest_verify(struct sm_span bytes, const uint8_t device_public[CRYPTO_SIGN_PUBLIC_LEN]);
void manifest_id(struct sm_span bytes, struct cid *ret);
/* The counter-signature of the box (FORMAT 6, type 4): message is "…/countersign" ‖ id ‖ seq ‖ s. */
sm_must_use int manifest_countersign(const struct cid *id, uint64_t seq, int64_t s, const struct crypto_sign_pair *head,
    uint8_t ret[CRYPTO_SIGN_LEN]);
sm_must_use int manifest_countersign_verify(const struct cid *id, uint64_t seq, int64_t s,
    const uint8_t head_public[CRYPTO_SIGN_PUBLIC_LEN], const uint8_t signature[CRYPTO_SIGN_LEN]);

#endif
