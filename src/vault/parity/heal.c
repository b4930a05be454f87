#include <errno.h>
#include "plat/fs.h"
#include "vault/parity/parity_internal.h"

#define UNKNOWN UINT32_MAX

struct parity_heal {
    int fd;
    struct parity_root root;
    struct parity_layout l;
    uint64_t size;                          /* of the file */
    struct sm_buf tail;                     /* the file behind the pack; root's hashes point into it */
    uint8_t *table, *known;                 /* hashes of the blocks, and whether a piece of them is */
    uint8_t *bad;                           /* a byte a block */
    struct parity_code *code;               /* what the blocks that are there add up to; later the missing ones */
    uint32_t next;
    struct parity_damage d;
    struct missing { uint32_t block, row; } *healed;  /* where in code a bad block stands */
    uint32_t nhealed;
};

/* What follows the pack, as far as it can be read: a sector that cannot be counts as zeros. */
static int read_tail(struct parity_heal *h, uint64_t at)
{
    uint64_t n = h->size > at ? h->size - at : 0;
    if (!n)
        return -SM_ENOTFOUND;
    if (n > PARITY_TRAILER_MAX)
        n = PARITY_TRAILER_MAX;
    h->tail = SM_BUF_INIT(PARITY_TRAILER_MAX);
    int r = sm_buf_reserve(&h->tail, (size_t)n);
    for (size_t off = 0; r == 0 && off < n; off += PARITY_BLOCK) {
        size_t len = n - off < PARITY_BLOCK ? (size_t)(n - off) : PARITY_BLOCK;
        r = plat_fs_pread_all(h->fd, h->tail.p + off, len, at + off);
        if (r == -EIO || r == -SM_EPARTIAL) {
            memset(h->tail.p + off, 0, len);
            r = 0;
        }
    }
    h->tail.n = r == 0 ? (size_t)n : 0;
    return r;
}

static struct sm_span part(const struct parity_heal *h, size_t off, size_t n)
{
    return off + n <= h->tail.n ? SM_SPAN(h->tail.p + off, n) : SM_SPAN(NULL, 0);
}

static bool fits(const struct parity_heal *h, struct sm_span bytes, uint32_t number)
{
    uint8_t is[PARITY_HASH];
    if (!bytes.p)
        return false;
    parity_hash(bytes, is);
    return memcmp(is, h->root.hashes.p + (size_t)number * PARITY_HASH, PARITY_HASH) == 0;
}

static void read_table(struct parity_heal *h)
{
    const size_t from[2] = { h->l.table, h->l.table2 }, block = h->root.shape.block;
    for (uint32_t i = 0; i < h->l.pieces; i++) {
        size_t off = i * block, n = h->l.table_bytes - off < block ? h->l.table_bytes - off : block;
        for (unsigned k = 0; k < 2 && !h->known[i]; k++) {
            struct sm_span s = part(h, from[k] + off, n);
            if (!fits(h, s, i))
                continue;
            memcpy(h->table + off, s.p, n);
            h->known[i] = 1;
        }
        h->d.pieces += !h->known[i];
    }
}

int parity_heal_new(int fd, const struct cid *pack, uint64_t pack_bytes, struct parity_heal **ret)
{
    struct parity_heal *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->fd = fd;
    int r = plat_fs_size(fd, &h->size);
    if (r == 0)
        r = read_tail(h, pack_bytes);
    if (r == 0)
        r = parity_root_find(sm_buf_span(&h->tail), pack_bytes, pack, &h->root);
    if (r == 0 && h->root.shape.pack_bytes != pack_bytes)
        r = -SM_ENOTFOUND;
    if (r == 0)
        r = parity_code_new(&h->root.shape, &h->code);
    if (r == 0) {
        const struct parity_shape *s = &h->root.shape;
        parity_layout(s, &h->l);
        h->table = calloc(h->l.table_bytes, 1);
        h->known = calloc(h->l.pieces, 1);
        h->bad = calloc(s->blocks, 1);
        h->healed = calloc((size_t)s->stripes * s->rows, sizeof *h->healed);
        r = h->table && h->known && h->bad && h->healed ? 0 : -ENOMEM;
    }
    if (r < 0) {
        parity_heal_free(h);
        return r;
    }
    read_table(h);
    *ret = h;
    return 0;
}

void parity_heal_free(struct parity_heal *h)
{
    if (!h)
        return;
    parity_code_free(h->code);
    sm_buf_wipe(&h->tail);
    free(h->table);
    free(h->known);
    free(h->bad);
    free(h->healed);
    free(h);
}

/* ---- looking ---- */

/* Is the hash of block i the one that was noted?  What nobody knows any more is taken as good: the pack's name decides. */
static bool block_good(const struct parity_heal *h, uint32_t i, struct sm_span bytes)
{
    size_t at = 4 + (size_t)i * PARITY_HASH;
    uint8_t is[PARITY_HASH];
    parity_hash(bytes, is);
    for (size_t k = 0; k < PARITY_HASH; k++)
        if (h->known[(at + k) / h->root.shape.block] && h->table[at + k] != is[k])
            return false;
    return true;
}

static int look(struct parity_heal *h, uint8_t *block)
{
    const struct parity_shape *s = &h->root.shape;
    uint32_t i = h->next++;
    size_t n = parity_block_bytes(s, i);
    int r = plat_fs_pread_all(h->fd, block, n, (uint64_t)i * s->block);
    if (r < 0 && r != -EIO && r != -SM_EPARTIAL)
        return r;
    memset(block + n, 0, s->block - n);
    if (r == 0 && block_good(h, i, SM_SPAN(block, n))) {
        parity_code_add(h->code, i, block);
        return 0;
    }
    h->bad[i] = 1;
    if (h->d.blocks++ == 0)
        h->d.first = (uint64_t)i * s->block;
    return 0;
}

/* ---- working out ---- */

static void stripe_heal(struct parity_heal *h, uint32_t stripe)
{
    const struct parity_shape *s = &h->root.shape;
    uint32_t columns[PARITY_ROWS_MAX], rows[PARITY_ROWS_MAX], e = 0, good = 0;
    for (uint32_t row = 0; row < s->rows; row++) {
        uint32_t q = row * s->stripes + stripe;
        struct sm_span stored = part(h, h->l.parity + (size_t)q * s->block, s->block);
        if (!fits(h, stored, h->l.pieces + q)) {
            h->d.parity++;
            continue;
        }
        uint8_t *b = parity_code_block(h->code, row, stripe);
        for (uint32_t k = 0; k < s->block; k++)
            b[k] ^= stored.p[k];
        rows[good++] = row;
    }
    for (uint32_t i = stripe; i < s->blocks; i += s->stripes)
        if (h->bad[i] && e++ < PARITY_ROWS_MAX)
            columns[e - 1] = i / s->stripes;
    if (e == 0 || e > good || parity_code_solve(h->code, stripe, columns, rows, e) < 0)
        return;
    for (uint32_t k = 0; k < e; k++) {
        uint32_t i = columns[k] * s->stripes + stripe;
        if (!block_good(h, i, SM_SPAN(parity_code_block(h->code, rows[k], stripe), parity_block_bytes(s, i))))
            continue;
        h->healed[h->nhealed++] = (struct missing){ i, rows[k] };
        h->d.healed++;
    }
}

int parity_heal_step(struct parity_heal *h, size_t n)
{
    uint8_t block[PARITY_BLOCK_MAX];
    const struct parity_shape *s = &h->root.shape;
    if (h->next == s->blocks)
        return 0;
    for (size_t done = 0; h->next < s->blocks && done < n; done += s->block) {
        int r = look(h, block);
        if (r < 0)
            return r;
    }
    if (h->next < s->blocks)
        return 1;
    for (uint32_t stripe = 0; stripe < s->stripes; stripe++)
        stripe_heal(h, stripe);
    return 0;
}

void parity_heal_damage(const struct parity_heal *h, struct parity_damage *ret)
{
    *ret = h->d;
}

bool parity_heal_whole(const struct parity_heal *h)
{
    return h->next == h->root.shape.blocks && h->d.healed == h->d.blocks;
}

int parity_heal_read(const struct parity_heal *h, uint64_t off, void *to, size_t n)
{
    const struct parity_shape *s = &h->root.shape;
    uint32_t i = (uint32_t)(off / s->block);
    size_t at = (size_t)(off % s->block);
    if (off >= s->pack_bytes || n > s->block - at || n > s->pack_bytes - off)
        return -SM_EINVAL;
    if (!h->bad[i])
        return plat_fs_pread_all(h->fd, to, n, off);
    for (uint32_t k = 0; k < h->nhealed; k++)
        if (h->healed[k].block == i) {
            memcpy(to, parity_code_block(h->code, h->healed[k].row, i % s->stripes) + at, n);
            return 0;
        }
    return -SM_EPARTIAL;
}
