/*
 * Parity of a pack (docs/FORMAT-vault.md 5.1): finds which blocks of a pack file are damaged and works them out again
 * from the others.  Sees sealed bytes only, needs no key, never logs; a pack is never trusted because of what stands
 * here: whoever heals checks the result against the pack's name and cids (pack_check).
 * The code is systematic Reed-Solomon in GF(2^8) with a Cauchy matrix; libisal does the arithmetic.
 */
#ifndef VAULT_PARITY_PARITY_H
#define VAULT_PARITY_PARITY_H
#include "vault/pack/pack.h"

#define PARITY_BLOCK 4096u         /* what is written; read: a power of two from this to PARITY_BLOCK_MAX */
#define PARITY_BLOCK_MAX 65536u
#define PARITY_COLUMNS_MAX 250u
#define PARITY_ROWS_MAX 6u
#define PARITY_STRIPES_MAX 64u
#define PARITY_TRAILER_MAX ((size_t)32 << 20)

struct parity_shape {
    uint64_t pack_bytes;
    uint32_t block;                /* bytes */
    uint32_t blocks;               /* of the pack: ceil(pack_bytes / block) */
    uint32_t stripes, rows;        /* parity blocks: stripes * rows */
};
/* What is written for a pack of so many bytes.  -SM_EINVAL (0, or more than PACK_BYTES_MAX). */
sm_must_use int parity_shape_for(uint64_t pack_bytes, struct parity_shape *ret);
/* Do the numbers fit each other and the limits?  -SM_EFORMAT. */
sm_must_use int parity_shape_check(const struct parity_shape *s);
/* Bytes of the whole trailer of this shape. */
size_t parity_trailer_bytes(const struct parity_shape *s);

/* ---- the code ---- */
struct parity_code;
/* All parity blocks zero.  Memory: stripes * rows * block.  -ENOMEM, -SM_EFORMAT (shape). */
sm_must_use int parity_code_new(const struct parity_shape *s, struct parity_code **ret);
void parity_code_free(struct parity_code *c);
/* Add block i (s->block bytes, zeros behind the pack's end) to the parity blocks of its stripe.  Twice takes it out. */
void parity_code_add(struct parity_code *c, uint32_t i, const uint8_t *block);
/* Parity block of a row and stripe; writable, until free. */
uint8_t *parity_code_block(const struct parity_code *c, uint32_t row, uint32_t stripe);
/*
 * In a stripe n columns are missing, and in n rows the parity block holds the XOR of its stored value and of what the
 * columns there add up to.  Afterwards the i-th row of rows holds the i-th missing block.  1 <= n <= PARITY_ROWS_MAX.
 * -SM_EINVAL.
 */
sm_must_use int parity_code_solve(struct parity_code *c, uint32_t stripe, const uint32_t *columns, const uint32_t *rows,
    uint32_t n);

/* ---- making a trailer ---- */
struct parity_maker;
/* For the pack of this name and length.  -ENOMEM, -SM_EINVAL. */
sm_must_use int parity_maker_new(const struct cid *pack, uint64_t pack_bytes, struct parity_maker **ret);
void parity_maker_free(struct parity_maker *m);
/* The next bytes of the pack, in any split.  -SM_ELIMIT (more than said), -ENOMEM. */
sm_must_use int parity_maker_put(struct parity_maker *m, struct sm_span bytes);
/* The trailer appended to ret.  -SM_EPARTIAL (bytes are missing), -ENOMEM, -SM_ELIMIT. */
sm_must_use int parity_maker_finish(struct parity_maker *m, struct sm_buf *ret);

/* ---- reading a trailer ---- */
struct parity_root {
    struct parity_shape shape;
    struct cid pack;
    uint64_t at;                   /* where in the bytes given the trailer begins */
    struct sm_span hashes;         /* 8 bytes each: pieces of the table, then parity blocks; borrowed */
    uint32_t pieces;
};
/*
 * Look for a sound root of pack (NULL: of any) in tail, the bytes of a file from offset tail_at on.
 * -SM_ENOTFOUND.  Bounded: linear in tail.n but for what pretends to be a root (at most 64 are looked at).
 */
sm_must_use int parity_root_find(struct sm_span tail, uint64_t tail_at, const struct cid *pack,
    struct parity_root *ret);

/* ---- healing ---- */
struct parity_heal;
struct parity_damage {
    uint32_t blocks;               /* bad blocks of the pack */
    uint32_t healed;               /* of those, worked out again */
    uint32_t parity;               /* bad parity blocks */
    uint32_t pieces;               /* pieces of the table that are bad in both places */
    uint64_t first;                /* offset of the first bad block */
};
/* Read what follows byte pack_bytes of fd (borrowed, for reading).  -SM_ENOTFOUND (no trailer that could help),
 * -ENOMEM, -errno. */
sm_must_use int parity_heal_new(int fd, const struct cid *pack, uint64_t pack_bytes, struct parity_heal **ret);
void parity_heal_free(struct parity_heal *h);
/* Look at up to n more bytes of the pack.  1 = more, 0 = all was looked at and what can be worked out, is.
 * -ENOMEM, -errno other than a block that cannot be read (that one counts as bad). */
sm_must_use int parity_heal_step(struct parity_heal *h, size_t n);
void parity_heal_damage(const struct parity_heal *h, struct parity_damage *ret);
/* Can every bad block be replaced? */
bool parity_heal_whole(const struct parity_heal *h);
/* Bytes off..off+n of the healed pack (n <= PARITY_BLOCK_MAX, inside one block).  -SM_EPARTIAL (beyond repair), -errno. */
sm_must_use int parity_heal_read(const struct parity_heal *h, uint64_t off, void *to, size_t n);

#endif
