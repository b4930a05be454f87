#include "vault/seal/chunk.h"

#include "vault/seal/seal_internal.h"

void seal_keys_init(struct seal_keys *k, const uint8_t k_id[OBJ_KEY_LEN], const uint8_t k_look[OBJ_KEY_LEN],
    const struct client_id *client)
{
    crypto_hmac_key_init(&k->id, SM_SPAN(k_id, OBJ_KEY_LEN));
    crypto_hmac_key_init(&k->look, SM_SPAN(k_look, OBJ_KEY_LEN));
    k->client = *client;
}

void seal_keys_wipe(struct seal_keys *k)
{
    crypto_hmac_key_wipe(&k->id);
    crypto_hmac_key_wipe(&k->look);
    sm_zero(k, sizeof *k);
}

void chunk_hash(struct sm_span plain, struct chunk_hash *ret)
{
    crypto_sha256(plain, ret->b);
}

static void hdr0(const struct seal_keys *k, uint8_t type, uint8_t ret[OBJ_HDR_LEN])
{
    obj_hdr_put(&(struct obj_hdr){.algorithm = 0, .type = type, .client = k->client}, ret);
}

void seal_derive(const struct seal_keys *k, const char label[2], uint8_t type, const uint8_t hash[32], uint8_t ret[32])
{
    uint8_t h0[OBJ_HDR_LEN];
    struct sm_span parts[3] = {SM_SPAN(label, 2), SM_SPAN(h0, sizeof h0), SM_SPAN(hash, 32)};
    hdr0(k, type, h0);
    crypto_hmac(&k->id, parts, 3, ret);
}

void chunk_look(const struct seal_keys *k, uint8_t type, const struct chunk_hash *h, uint8_t ret[32])
{
    uint8_t h0[OBJ_HDR_LEN];
    struct sm_span parts[2] = {SM_SPAN(h0, sizeof h0), SM_SPAN(h->b, 32)};
    hdr0(k, type, h0);
    crypto_hmac(&k->look, parts, 2, ret);
}

void chunk_keys(const struct seal_keys *k, uint8_t type, const struct chunk_hash *h, struct chunk_key *ret_ck,
    uint8_t *ret_nk)
{
    seal_derive(k, "ck", type, h->b, ret_ck->b);
    if (ret_nk)
        seal_derive(k, "nk", type, h->b, ret_nk);
}

void seal_nonce(const struct seal_keys *k, uint8_t type, const uint8_t hash[32], struct sm_span head,
    struct sm_span form, uint8_t *to)
{
    uint8_t nk[OBJ_KEY_LEN], mac[32];
    struct crypto_hmac_key key;
    struct sm_span parts[2] = {head, form};
    seal_derive(k, "nk", type, hash, nk);
    crypto_hmac_key_init(&key, SM_SPAN(nk, sizeof nk));
    crypto_hmac(&key, parts, 2, mac);
    crypto_hmac_key_wipe(&key);
    sm_zero(nk, sizeof nk);
    memcpy(to, mac, OBJ_NONCE_LEN);
}

int chunk_seal(struct seal_ctx *c, const struct seal_keys *k, uint8_t type, struct sm_span plain,
    const struct chunk_hash *h, struct seal_how how, struct chunk_info *ret, struct sm_buf *ret_sealed)
{
    struct chunk_info info;
    uint8_t *o, *form;
    size_t n;
    int r;
    if (!obj_is_chunk(type) || plain.n == 0 || plain.n > CHUNK_PLAIN_MAX)
        return -SM_EINVAL;
    r = sm_buf_reserve(ret_sealed, plain.n + CHUNK_OVERHEAD);
    if (r < 0)
        return r;
    o = ret_sealed->p + ret_sealed->n;
    form = o + OBJ_HDR_LEN + OBJ_NONCE_LEN;
    r = seal_form(c, plain, how, form, &n, &info.algorithm);
    if (r < 0)
        return r;
    chunk_keys(k, type, h, &info.ck, NULL);
    obj_hdr_put(&(struct obj_hdr){.algorithm = info.algorithm, .type = type, .client = k->client}, o);
    seal_nonce(k, type, h->b, SM_SPAN(o, OBJ_HDR_LEN), SM_SPAN(form, n), o + OBJ_HDR_LEN);
    r = crypto_aead_seal(c->aead, info.ck.b, o + OBJ_HDR_LEN, SM_SPAN(o, OBJ_HDR_LEN), SM_SPAN(form, n), form);
    if (r < 0)
        return r;
    n += CHUNK_OVERHEAD;
    obj_name(SM_SPAN(o, n), &info.cid);
    ret_sealed->n += n;
    *ret = info;
    return 0;
}

int chunk_open(struct seal_ctx *c, struct sm_span sealed, const struct client_id *client, const struct chunk_key *ck,
    struct sm_buf *ret_plain)
{
    struct obj_hdr h;
    struct sm_span boxed;
    int r = obj_hdr_expect(sealed, OBJ_ANY, client, &h);
    if (r < 0)
        return r;
    if (!obj_is_chunk(h.type))
        return -SM_EMISMATCH;
    if (sealed.n < CHUNK_OVERHEAD + 1)
        return -SM_EFORMAT;
    boxed = SM_SPAN(sealed.p + OBJ_HDR_LEN + OBJ_NONCE_LEN, sealed.n - OBJ_HDR_LEN - OBJ_NONCE_LEN);
    return seal_unform(c, ck, sealed.p + OBJ_HDR_LEN, SM_SPAN(sealed.p, OBJ_HDR_LEN), boxed, h.algorithm,
        CHUNK_PLAIN_MAX, ret_plain);
}
