#include <errno.h>
#include "crypto/hash.h"
#include "vault/parity/parity_internal.h"

#define FEW_BLOCKS 125u                     /* up to here two rows are written, else four */
#define TRIES_MAX 64u                       /* things that begin like a root and are none */
#define SECTION_HEAD 12u
static const uint8_t magic[4] = { 'S', 'K', 'P', 'R' };
static const char label[] = "sakimori/v1/parity";

/* ---- shapes ---- */

int parity_shape_check(const struct parity_shape *s)
{
    if (s->block < PARITY_BLOCK || s->block > PARITY_BLOCK_MAX || (s->block & (s->block - 1)) != 0)
        return -SM_EFORMAT;
    if (!s->pack_bytes || s->pack_bytes > PACK_BYTES_MAX || s->blocks != (s->pack_bytes - 1) / s->block + 1)
        return -SM_EFORMAT;
    if (!s->stripes || s->stripes > PARITY_STRIPES_MAX || s->stripes > s->blocks || !s->rows ||
        s->rows > PARITY_ROWS_MAX)
        return -SM_EFORMAT;
    return (s->blocks - 1) / s->stripes + 1 > PARITY_COLUMNS_MAX ? -SM_EFORMAT : 0;
}

int parity_shape_for(uint64_t pack_bytes, struct parity_shape *ret)
{
    if (!pack_bytes || pack_bytes > PACK_BYTES_MAX)
        return -SM_EINVAL;
    uint32_t n = (uint32_t)((pack_bytes - 1) / PARITY_BLOCK + 1);
    *ret = (struct parity_shape){ .pack_bytes = pack_bytes, .block = PARITY_BLOCK, .blocks = n,
        .stripes = (n - 1) / PARITY_COLUMNS_MAX + 1, .rows = n <= FEW_BLOCKS ? 2 : 4 };
    return 0;
}

void parity_layout(const struct parity_shape *s, struct parity_layout *ret)
{
    struct parity_layout l = { .table = 8 + SECTION_HEAD, .table_bytes = 4 + (size_t)s->blocks * PARITY_HASH };
    l.pieces = (uint32_t)((l.table_bytes - 1) / s->block + 1);
    l.root_bytes = PARITY_ROOT_FIXED + ((size_t)l.pieces + s->stripes * s->rows) * PARITY_HASH;
    l.root = l.table + l.table_bytes + SECTION_HEAD;
    l.parity = l.root + l.root_bytes;
    l.root2 = l.parity + (size_t)s->stripes * s->rows * s->block + SECTION_HEAD;
    l.table2 = l.root2 + l.root_bytes;
    l.end = l.table2 + l.table_bytes + 12;
    *ret = l;
}

size_t parity_trailer_bytes(const struct parity_shape *s)
{
    struct parity_layout l;
    parity_layout(s, &l);
    return l.end;
}

void parity_hash(struct sm_span block, uint8_t ret[PARITY_HASH])
{
    uint8_t h[32];
    crypto_sha256(block, h);
    memcpy(ret, h, PARITY_HASH);
}

/* ---- making ---- */

struct parity_maker {
    struct cid pack;
    struct parity_shape s;
    struct parity_code *code;
    struct sm_buf table;
    uint64_t taken;
    uint8_t block[PARITY_BLOCK];            /* the one under way */
};

int parity_maker_new(const struct cid *pack, uint64_t pack_bytes, struct parity_maker **ret)
{
    struct parity_shape s;
    int r = parity_shape_for(pack_bytes, &s);
    struct parity_maker *m = r < 0 ? NULL : calloc(1, sizeof *m);
    if (!m)
        return r < 0 ? r : -ENOMEM;
    m->pack = *pack;
    m->s = s;
    m->table = SM_BUF_INIT(4 + (size_t)s.blocks * PARITY_HASH);
    r = parity_code_new(&s, &m->code);
    if (r == 0)
        r = sm_buf_reserve(&m->table, m->table.max);
    if (r == 0)
        r = sm_buf_put_u32(&m->table, s.block);
    if (r < 0) {
        parity_maker_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

void parity_maker_free(struct parity_maker *m)
{
    if (!m)
        return;
    parity_code_free(m->code);
    sm_buf_wipe(&m->table);
    free(m);
}

static int block_done(struct parity_maker *m, const uint8_t *block, size_t n)
{
    uint8_t h[PARITY_HASH];
    uint32_t i = (uint32_t)((m->taken - n) / m->s.block);
    parity_hash(SM_SPAN(block, n), h);
    parity_code_add(m->code, i, block);
    return sm_buf_put(&m->table, h, sizeof h);
}

int parity_maker_put(struct parity_maker *m, struct sm_span bytes)
{
    if (bytes.n > m->s.pack_bytes - m->taken)
        return -SM_ELIMIT;
    while (bytes.n) {
        size_t held = (size_t)(m->taken % m->s.block), n = m->s.block - held;
        const uint8_t *block = bytes.p;
        n = n < bytes.n ? n : bytes.n;
        m->taken += n;
        if (n < m->s.block) {               /* only in part, or the last one: collected, with zeros behind */
            if (held == 0)
                memset(m->block, 0, sizeof m->block);
            memcpy(m->block + held, bytes.p, n);
            block = m->block;
        }
        bytes.p += n;
        bytes.n -= n;
        if (held + n < m->s.block && m->taken < m->s.pack_bytes)
            return 0;
        int r = block_done(m, block, held + n);
        if (r < 0)
            return r;
    }
    return 0;
}

static int put_hashes(struct sm_span bytes, size_t block, struct sm_buf *ret)
{
    uint8_t h[PARITY_HASH];
    int r = 0;
    for (size_t at = 0; r == 0 && at < bytes.n; at += block) {
        parity_hash(SM_SPAN(bytes.p + at, bytes.n - at < block ? bytes.n - at : block), h);
        r = sm_buf_put(ret, h, sizeof h);
    }
    return r;
}

static int root_put(const struct parity_maker *m, struct sm_span parity, struct sm_buf *ret)
{
    uint8_t h[32];
    int r = sm_buf_put(ret, magic, 4);
    if (r == 0)
        r = sm_buf_put_u16(ret, 1);
    if (r == 0)
        r = sm_buf_put_u8(ret, (uint8_t)m->s.rows);
    if (r == 0)
        r = sm_buf_put_u8(ret, 0);
    if (r == 0)
        r = sm_buf_put_u32(ret, m->s.block);
    if (r == 0)
        r = sm_buf_put_u32(ret, m->s.stripes);
    if (r == 0)
        r = sm_buf_put_u64(ret, m->s.pack_bytes);
    if (r == 0)
        r = sm_buf_put(ret, m->pack.b, 32);
    if (r == 0)
        r = put_hashes(sm_buf_span(&m->table), m->s.block, ret);
    if (r == 0)
        r = put_hashes(parity, m->s.block, ret);
    if (r < 0)
        return r;
    crypto_sha256v((const struct sm_span[]){ SM_SPAN_STR(label), sm_buf_span(ret) }, 2, h);
    return sm_buf_put(ret, h, sizeof h);
}

/* A section of two parts. */
static int section_put(struct sm_buf *b, uint16_t type, struct sm_span first, struct sm_span second)
{
    int r = sm_buf_put_u16(b, type);
    if (r == 0)
        r = sm_buf_put_u16(b, 0);
    if (r == 0)
        r = sm_buf_put_u64(b, first.n + second.n);
    if (r == 0)
        r = sm_buf_put_span(b, first);
    return r == 0 ? sm_buf_put_span(b, second) : r;
}

static int trailer_put(struct sm_buf *b, struct sm_span table, struct sm_span root, struct sm_span parity)
{
    size_t before = b->n;
    int r = sm_buf_put(b, "SKT1", 4);
    if (r == 0)
        r = sm_buf_put_u16(b, 1);
    if (r == 0)
        r = sm_buf_put_u16(b, 3);
    if (r == 0)
        r = section_put(b, 1, table, SM_SPAN(NULL, 0));
    if (r == 0)
        r = section_put(b, 2, root, parity);
    if (r == 0)
        r = section_put(b, 3, root, table);
    if (r == 0)
        r = sm_buf_put_u64(b, b->n - before + 12);
    return r == 0 ? sm_buf_put(b, "SKTE", 4) : r;
}

int parity_maker_finish(struct parity_maker *m, struct sm_buf *ret)
{
    struct parity_layout l;
    if (m->taken != m->s.pack_bytes)
        return -SM_EPARTIAL;
    parity_layout(&m->s, &l);
    struct sm_span parity = SM_SPAN(parity_code_block(m->code, 0, 0), (size_t)m->s.stripes * m->s.rows * m->s.block);
    struct sm_buf root = SM_BUF_INIT(l.root_bytes);
    size_t before = ret->n;
    int r = sm_buf_reserve(&root, l.root_bytes);
    if (r == 0)
        r = root_put(m, parity, &root);
    if (r == 0)
        r = sm_buf_reserve(ret, l.end);
    if (r == 0)
        r = trailer_put(ret, sm_buf_span(&m->table), sm_buf_span(&root), parity);
    if (r < 0)
        ret->n = before;
    sm_buf_wipe(&root);
    return r;
}

/* ---- finding a root ---- */

/* Is there a sound root at p?  0, or -SM_EFORMAT. */
static int root_read(struct sm_span in, struct parity_root *ret)
{
    struct parity_root root = { 0 };
    struct parity_layout l;
    struct sm_rd rd = SM_RD(in);
    uint8_t h[32];
    (void)sm_rd_bytes(&rd, 4); /* the magic: looked for by the caller */
    uint16_t version = sm_rd_u16(&rd);
    root.shape.rows = sm_rd_u8(&rd);
    uint8_t zero = sm_rd_u8(&rd);
    root.shape.block = sm_rd_u32(&rd);
    root.shape.stripes = sm_rd_u32(&rd);
    root.shape.pack_bytes = sm_rd_u64(&rd);
    sm_rd_copy(&rd, root.pack.b, 32);
    if (rd.err || version != 1 || zero != 0 || root.shape.block == 0 || root.shape.pack_bytes == 0 ||
        root.shape.pack_bytes > PACK_BYTES_MAX)
        return -SM_EFORMAT;
    root.shape.blocks = (uint32_t)((root.shape.pack_bytes - 1) / root.shape.block + 1);
    if (parity_shape_check(&root.shape) < 0)
        return -SM_EFORMAT;
    parity_layout(&root.shape, &l);
    if (in.n < l.root_bytes)
        return -SM_EFORMAT;
    crypto_sha256v((const struct sm_span[]){ SM_SPAN_STR(label), SM_SPAN(in.p, l.root_bytes - 32) }, 2, h);
    if (memcmp(h, in.p + l.root_bytes - 32, 32) != 0)
        return -SM_EFORMAT;
    root.pieces = l.pieces;
    root.hashes = SM_SPAN(in.p + PARITY_ROOT_FIXED - 32, l.root_bytes - PARITY_ROOT_FIXED);
    *ret = root;
    return 0;
}

int parity_root_find(struct sm_span tail, uint64_t tail_at, const struct cid *pack, struct parity_root *ret)
{
    unsigned tries = 0;
    for (size_t at = 0; at + PARITY_ROOT_FIXED <= tail.n && tries < TRIES_MAX; at++) {
        struct parity_root root;
        const uint8_t *p = memmem(tail.p + at, tail.n - at, magic, sizeof magic);
        if (!p)
            break;
        at = (size_t)(p - tail.p);
        tries++;
        if (root_read(SM_SPAN(p, tail.n - at), &root) < 0 || (pack && !cid_eq(pack, &root.pack)))
            continue;
        struct parity_layout l;
        parity_layout(&root.shape, &l);
        /* It is one of the two, and the trailer begins where the pack ends. */
        uint64_t here = tail_at + at;
        if (here != root.shape.pack_bytes + l.root && here != root.shape.pack_bytes + l.root2)
            continue;
        root.at = root.shape.pack_bytes;
        *ret = root;
        return 0;
    }
    return -SM_ENOTFOUND;
}
