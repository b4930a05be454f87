#include "crypto/hash.h"
#include "plat/fs.h"
#include "vault/pack/pack.h"

int pack_read_object(int fd, const struct pack_object *o, struct sm_buf *ret)
{
    int r;
    if (o->length < OBJ_HDR_LEN || o->length > OBJ_SEALED_MAX)
        return -SM_ELIMIT;
    r = sm_buf_reserve(ret, o->length);
    if (r < 0)
        return r;
    r = plat_fs_pread_all(fd, ret->p + ret->n, o->length, o->offset);
    if (r == 0)
        r = obj_name_check(SM_SPAN(ret->p + ret->n, o->length), &o->cid);
    if (r == 0)
        ret->n += o->length;
    return r;
}

static const uint8_t magic[4] = {'S', 'K', 'T', '1'}, magic_end[4] = {'S', 'K', 'T', 'E'};
enum { SECTION_HASHES = 1 };
#define SECTIONS_MAX 16u
#define TRAILER_FIXED (4 + 2 + 2 + 8 + 4)
#define TRAILER_MAX ((size_t)32 << 20)
#define BLOCK_HASH 8u

static int hashes_read(struct sm_span data, struct pack_trailer *ret)
{
    struct sm_rd rd = SM_RD(data);
    uint32_t block = sm_rd_u32(&rd);
    if (rd.err || block < PACK_BLOCK_MIN || rd.n == 0 || rd.n % BLOCK_HASH != 0 || ret->hashes.n != 0)
        return -SM_EFORMAT;
    ret->block_size = block;
    ret->hashes = SM_SPAN(rd.p, rd.n);
    return 0;
}

static int sections_read(struct sm_rd *rd, uint16_t n, struct pack_trailer *ret)
{
    for (uint16_t i = 0; i < n; i++) {
        uint16_t type = sm_rd_u16(rd), zero = sm_rd_u16(rd);
        uint64_t len = sm_rd_u64(rd);
        struct sm_span data;
        int r;
        if (rd->err || zero != 0 || len > rd->n)
            return -SM_EFORMAT;
        data = sm_rd_bytes(rd, (size_t)len);
        if (type == SECTION_HASHES && (r = hashes_read(data, ret)) < 0)
            return r;
    }
    return 0;
}

int pack_trailer_parse(struct sm_span bytes, struct pack_trailer *ret)
{
    struct pack_trailer t = {0};
    struct sm_rd rd = SM_RD(bytes);
    struct sm_span begin, end;
    uint16_t version, sections;
    uint64_t total;
    int r;
    if (bytes.n == 0) {
        *ret = t;
        return 0;
    }
    if (bytes.n > TRAILER_MAX)
        return -SM_ELIMIT;
    begin = sm_rd_bytes(&rd, 4);
    version = sm_rd_u16(&rd);
    sections = sm_rd_u16(&rd);
    if (rd.err || memcmp(begin.p, magic, 4) != 0)
        return -SM_EFORMAT;
    if (version != 1)
        return -SM_EVERSION;
    if (sections > SECTIONS_MAX)
        return -SM_ELIMIT;
    r = sections_read(&rd, sections, &t);
    if (r < 0)
        return r;
    total = sm_rd_u64(&rd);
    end = sm_rd_bytes(&rd, 4);
    if (sm_rd_done(&rd) < 0 || total != bytes.n || memcmp(end.p, magic_end, 4) != 0)
        return -SM_EFORMAT;
    *ret = t;
    return 0;
}

static int hashes_put(struct sm_span pack, uint32_t block, struct sm_buf *b)
{
    for (size_t at = 0; at < pack.n; at += block) {
        size_t n = pack.n - at < block ? pack.n - at : block;
        uint8_t h[32];
        int r;
        crypto_sha256(SM_SPAN(pack.p + at, n), h);
        if ((r = sm_buf_put(b, h, BLOCK_HASH)) < 0)
            return r;
    }
    return 0;
}

int pack_trailer_put(struct sm_span pack, uint32_t block_size, struct sm_buf *ret)
{
    size_t before = ret->n, blocks, data;
    int r;
    if (block_size < PACK_BLOCK_MIN || pack.n == 0 || pack.n > PACK_BYTES_MAX)
        return -SM_EINVAL;
    blocks = (pack.n - 1) / block_size + 1;
    data = 4 + blocks * BLOCK_HASH;
    if ((r = sm_buf_put(ret, magic, 4)) == 0 && (r = sm_buf_put_u16(ret, 1)) == 0 &&
        (r = sm_buf_put_u16(ret, 1)) == 0 &&
        (r = sm_buf_put_u16(ret, SECTION_HASHES)) == 0 && (r = sm_buf_put_u16(ret, 0)) == 0 &&
        (r = sm_buf_put_u64(ret, data)) == 0 && (r = sm_buf_put_u32(ret, block_size)) == 0 &&
        (r = hashes_put(pack, block_size, ret)) == 0 && (r = sm_buf_put_u64(ret, TRAILER_FIXED + 12 + data)) == 0)
        r = sm_buf_put(ret, magic_end, 4);
    if (r < 0)
        ret->n = before;
    return r;
}
