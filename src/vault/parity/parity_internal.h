/* Shared by the files of this folder alone. */
#ifndef VAULT_PARITY_INTERNAL_H
#define VAULT_PARITY_INTERNAL_H
#include "vault/parity/parity.h"

#define PARITY_HASH 8u                      /* bytes of a block's hash */
#define PARITY_ROOT_FIXED 88u               /* bytes of a root that are no hashes */
/* Where the parts of a trailer stand, counted from its begin. */
struct parity_layout { size_t table, table_bytes, root, root_bytes, parity, root2, table2, end; uint32_t pieces; };
void parity_layout(const struct parity_shape *s, struct parity_layout *ret);
void parity_hash(struct sm_span block, uint8_t ret[PARITY_HASH]);
/* Bytes of block i that are the pack's: the last one may be shorter. */
static inline size_t parity_block_bytes(const struct parity_shape *s, uint32_t i)
{
    uint64_t left = s->pack_bytes - (uint64_t)i * s->block;
    return left < s->block ? (size_t)left : s->block;
}

#endif
