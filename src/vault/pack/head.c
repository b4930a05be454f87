#include "crypto/hash.h"
#include "vault/pack/pack_internal.h"

static const uint8_t magic[4] = {'S', 'K', 'P', '1'};

bool pack_kind_takes(uint8_t kind, uint8_t type)
{
    if (obj_len_max(type) == 0)
        return false;
    return kind == (obj_is_chunk(type) ? PACK_DATA : PACK_META);
}

static void le_put(uint8_t *to, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

void pack_header_put(const struct pack_header *h, uint8_t ret[PACK_HEADER_LEN])
{
    memset(ret, 0, PACK_HEADER_LEN);
    memcpy(ret, magic, 4);
    ret[4] = 1;
    ret[5] = h->kind;
    memcpy(ret + 8, h->vault.b, 16);
    memcpy(ret + 24, h->client.b, 16);
    memcpy(ret + 40, h->session.b, 16);
    le_put(ret + 56, h->n, 4);
    le_put(ret + 64, h->body_bytes, 8);
}

void pack_dirent_put(const struct pack_object *o, uint8_t ret[PACK_DIRENT_LEN])
{
    memset(ret, 0, PACK_DIRENT_LEN);
    memcpy(ret, o->cid.b, 32);
    le_put(ret + 32, o->length, 4);
    ret[36] = o->type;
}

void pack_name(struct sm_span head, struct cid *ret)
{
    struct sm_span parts[2] = {SM_SPAN_STR("sakimori/v1/pack"), head};
    crypto_sha256v(parts, 2, ret->b);
}

int pack_header_parse(struct sm_span bytes, struct pack_header *ret)
{
    struct pack_header h;
    struct sm_rd rd = SM_RD(bytes);
    struct sm_span head = sm_rd_bytes(&rd, 4);
    uint8_t version = sm_rd_u8(&rd);
    uint64_t zero;
    h.kind = sm_rd_u8(&rd);
    zero = sm_rd_u16(&rd);
    sm_rd_copy(&rd, h.vault.b, 16);
    sm_rd_copy(&rd, h.client.b, 16);
    sm_rd_copy(&rd, h.session.b, 16);
    h.n = sm_rd_u32(&rd);
    zero |= sm_rd_u32(&rd);
    h.body_bytes = sm_rd_u64(&rd);
    zero |= sm_rd_u64(&rd);
    if (rd.err || memcmp(head.p, magic, 4) != 0)
        return -SM_EFORMAT;
    if (version != 1)
        return -SM_EVERSION;
    if ((h.kind != PACK_DATA && h.kind != PACK_META) || zero != 0 || h.n < 1)
        return -SM_EFORMAT;
    if (h.n > PACK_OBJECTS_MAX || h.body_bytes > PACK_BODY_MAX)
        return -SM_ELIMIT;
    if (h.body_bytes < h.n)
        return -SM_EFORMAT;
    *ret = h;
    return 0;
}

static int dirent_read(struct sm_rd *rd, uint8_t kind, struct pack_object *ret)
{
    struct sm_span zero;
    sm_rd_copy(rd, ret->cid.b, 32);
    ret->length = sm_rd_u32(rd);
    ret->type = sm_rd_u8(rd);
    zero = sm_rd_bytes(rd, 3);
    if (rd->err || zero.p[0] || zero.p[1] || zero.p[2] || !pack_kind_takes(kind, ret->type))
        return -SM_EFORMAT;
    if (ret->length < obj_len_min(ret->type))
        return -SM_EFORMAT;
    return ret->length > obj_len_max(ret->type) ? -SM_ELIMIT : 0;
}

static int directory_read(struct sm_rd *rd, const struct pack_header *h, struct refset *seen, struct sm_buf *ret)
{
    uint64_t at = PACK_HEADER_LEN + (uint64_t)h->n * PACK_DIRENT_LEN, end = at + h->body_bytes;
    for (uint32_t i = 0; i < h->n; i++) {
        struct pack_object o = {.offset = at};
        int64_t number;
        int r = dirent_read(rd, h->kind, &o);
        if (r < 0)
            return r;
        number = refset_add(seen, &o.cid);
        if (number < 0)
            return (int)number;
        at += o.length;
        if (number != i || at > end)
            return -SM_EFORMAT;
        if ((r = sm_buf_put(ret, &o, sizeof o)) < 0)
            return r;
    }
    return at == end ? 0 : -SM_EFORMAT;
}

int pack_head_parse(struct sm_span bytes, struct pack_header *ret, struct cid *ret_id, struct sm_buf *ret_objects)
{
    struct pack_header h;
    struct refset seen = {0};
    struct sm_rd rd;
    size_t before = ret_objects->n, n;
    int r = pack_header_parse(bytes, &h);
    if (r < 0)
        return r;
    n = PACK_HEADER_LEN + (size_t)h.n * PACK_DIRENT_LEN;
    if (bytes.n < n)
        return -SM_EFORMAT;
    rd = SM_RD(SM_SPAN(bytes.p + PACK_HEADER_LEN, n - PACK_HEADER_LEN));
    r = sm_buf_reserve(ret_objects, h.n * sizeof(struct pack_object));
    if (r == 0)
        r = directory_read(&rd, &h, &seen, ret_objects);
    refset_wipe(&seen);
    if (r < 0) {
        ret_objects->n = before;
        return r;
    }
    pack_name(SM_SPAN(bytes.p, n), ret_id);
    *ret = h;
    return 0;
}
