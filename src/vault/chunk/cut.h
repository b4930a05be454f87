/*
 * Where a stream is cut into chunks: FastCDC (Xia et al., USENIX ATC 2016) with a gear table keyed by the
 * client and normalised sizes, or fixed blocks.  Nothing in the format depends on the cut: any cut restores.
 */
#ifndef VAULT_CHUNK_CUT_H
#define VAULT_CHUNK_CUT_H
#include "crypto/hash.h"
#include "core/buf.h"

struct cut_table { uint64_t gear[256], gear2[256]; }; /* gear2 = gear << 1 */
/* The table of a client: gear[i] = HMAC(K_id, "gear" ‖ u8 i)[0..8), little-endian (FORMAT 10). */
void cut_table_init(struct cut_table *t, const struct crypto_hmac_key *k_id);

/* IMAGES: probed, and where it pays compressed harder: they are most of what is kept, and never change. */
enum cut_compress { CUT_COMPRESS_NO, CUT_COMPRESS_YES, CUT_COMPRESS_PROBE, CUT_COMPRESS_IMAGES };
struct cut_policy {
    const char *name;
    uint32_t min, avg, max;   /* bytes; avg is a power of two; all three equal = fixed blocks */
    enum cut_compress compress;
};
#define CUT_MAX ((size_t)1 << 20) /* the longest max of any row */
extern const struct cut_policy cut_policy_cdc, cut_policy_fixed16k, cut_policy_large;
#define CUT_HEAD 512 /* how much of the beginning cut_policy_for looks at */
/* The row for a file: name is its last part, head its first bytes (up to CUT_HEAD, may be shorter). */
const struct cut_policy *cut_policy_for(struct sm_span name, struct sm_span head, uint64_t size);

struct cut { const struct cut_table *table; const struct cut_policy *policy; };
/*
 * Length of the next chunk at the beginning of p[0..n).  last: nothing follows after n.
 * Returns 1..policy->max, or 0: give more bytes (never when n >= policy->max, and with last only for n = 0).
 * The answer does not depend on how many bytes beyond the cut are given; after 0 the search begins again,
 * so give at least policy->max where the stream has them.
 */
size_t cut_next(const struct cut *c, const uint8_t *p, size_t n, bool last);

#endif
