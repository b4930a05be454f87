#include "vault/seal/format.h"

#include "crypto/hash.h"

static const uint8_t magic[4] = {'S', 'K', 'O', '1'};

void obj_hdr_put(const struct obj_hdr *h, uint8_t ret[OBJ_HDR_LEN])
{
    memcpy(ret, magic, 4);
    ret[4] = 1;
    ret[5] = h->algorithm;
    ret[6] = h->type;
    ret[7] = 0;
    memcpy(ret + 8, h->client.b, 16);
}

int obj_hdr_parse(struct sm_span sealed, struct obj_hdr *ret)
{
    const uint8_t *p = sealed.p;
    if (sealed.n < OBJ_HDR_LEN || memcmp(p, magic, 4) != 0)
        return -SM_EFORMAT;
    if (p[4] != 1 || p[6] < OBJ_CHUNK || p[6] > OBJ_CANARY)
        return -SM_EVERSION;
    bool known = p[5] == OBJ_STORED || p[5] == OBJ_ZSTD || (p[5] == OBJ_PLANES && obj_is_chunk(p[6]));
    if (!known || p[7] != 0)
        return -SM_EFORMAT;
    ret->algorithm = p[5];
    ret->type = p[6];
    memcpy(ret->client.b, p + 8, 16);
    return 0;
}

int obj_hdr_expect(struct sm_span sealed, uint8_t type, const struct client_id *client, struct obj_hdr *ret)
{
    struct obj_hdr h;
    int r = obj_hdr_parse(sealed, &h);
    if (r < 0)
        return r;
    if (type != OBJ_ANY && h.type != type)
        return -SM_EMISMATCH;
    if (client && !client_id_eq(&h.client, client))
        return -SM_EMISMATCH;
    *ret = h;
    return 0;
}

static const struct { size_t min, max; } lengths[] = {
    [OBJ_CHUNK] = {CHUNK_OVERHEAD + 1, CHUNK_SEALED_MAX},
    [OBJ_DIRPAGE] = {CHUNK_OVERHEAD + 4 + 1, PAGE_SEALED_MAX},
    [OBJ_STREAMPAGE] = {CHUNK_OVERHEAD + 4 + 1, PAGE_SEALED_MAX},
    /* one X25519 recipient; sixteen recipients with the longest keys and wraps */
    [OBJ_ENVELOPE] = {OBJ_HDR_LEN + 1 + 16 + 32 + 1 + 5 + 1 + 2 + 1,
        OBJ_HDR_LEN + 1 + 16 + 32 + 1 + 16 * (5 + 2048) + 16 * (2 + 2048)},
    [OBJ_CANARY] = {CHUNK_OVERHEAD + 1, CHUNK_SEALED_MAX},
};
#define LENGTHS_N (sizeof lengths / sizeof lengths[0])

size_t obj_len_min(uint8_t type)
{
    return type < LENGTHS_N ? lengths[type].min : 0;
}

size_t obj_len_max(uint8_t type)
{
    return type < LENGTHS_N ? lengths[type].max : 0;
}

bool obj_is_chunk(uint8_t type)
{
    return type == OBJ_CHUNK || type == OBJ_CANARY;
}

void obj_name(struct sm_span sealed, struct cid *ret)
{
    crypto_sha256(sealed, ret->b);
}

int obj_name_check(struct sm_span sealed, const struct cid *name)
{
    struct cid c;
    obj_name(sealed, &c);
    return cid_eq(&c, name) ? 0 : -SM_ECORRUPT;
}

bool cid_eq(const struct cid *a, const struct cid *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

int cid_cmp(const struct cid *a, const struct cid *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

bool cid_is_zero(const struct cid *a)
{
    static const struct cid zero;
    return cid_eq(a, &zero);
}

bool client_id_eq(const struct client_id *a, const struct client_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

void cid_hex(const struct cid *c, char ret[CID_HEX])
{
    sm_hex(c->b, sizeof c->b, ret);
}

int cid_unhex(const char *hex, struct cid *ret)
{
    return sm_unhex(hex, strlen(hex), ret->b, sizeof ret->b);
}
