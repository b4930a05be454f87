#include "vault/seal/cache.h"

#include "crypto/random.h"
#include "vault/seal/seal_internal.h"

#define HEAD_LEN (OBJ_HDR_LEN + CACHE_LOG_LEN)
#define AAD_LEN (HEAD_LEN + 32)
#define LEVEL 3

void cache_key_make(const uint8_t k_id[OBJ_KEY_LEN], const struct vault_id *vault, const struct client_id *client,
    const struct source_id *source, const uint8_t log[CACHE_LOG_LEN], struct cache_key *ret)
{
    struct crypto_hmac_key h;
    const struct sm_span parts[] = {SM_SPAN_STR("sakimori/v1/cache"), SM_SPAN(vault->b, sizeof vault->b),
        SM_SPAN(client->b, sizeof client->b), SM_SPAN(source->b, sizeof source->b), SM_SPAN(log, CACHE_LOG_LEN)};
    crypto_hmac_key_init(&h, SM_SPAN(k_id, OBJ_KEY_LEN));
    crypto_hmac(&h, parts, sizeof parts / sizeof *parts, ret->b);
    crypto_hmac_key_wipe(&h);
    ret->client = *client;
    memcpy(ret->log, log, CACHE_LOG_LEN);
}

static void aad_make(const struct cache_key *k, uint8_t algorithm, const struct cid *prev, uint8_t ret[AAD_LEN])
{
    obj_hdr_put(&(struct obj_hdr){.algorithm = algorithm, .type = OBJ_CACHE, .client = k->client}, ret);
    memcpy(ret + OBJ_HDR_LEN, k->log, CACHE_LOG_LEN);
    memcpy(ret + HEAD_LEN, prev->b, 32);
}

int cache_seal(struct seal_ctx *c, const struct cache_key *k, const struct cid *prev, struct sm_span plain,
    struct cid *ret_name, struct sm_buf *ret_sealed)
{
    uint8_t aad[AAD_LEN], algorithm;
    size_t n;
    if (plain.n == 0 || plain.n > CACHE_PLAIN_MAX)
        return -SM_EINVAL;
    int r = sm_buf_reserve(ret_sealed, HEAD_LEN + OBJ_NONCE_LEN + plain.n + OBJ_TAG_LEN);
    if (r < 0)
        return r;
    uint8_t *o = ret_sealed->p + ret_sealed->n, *nonce = o + HEAD_LEN, *form = nonce + OBJ_NONCE_LEN;
    r = seal_form(c, plain, (struct seal_how){.level = LEVEL}, form, &n, &algorithm);
    if (r < 0)
        return r;
    aad_make(k, algorithm, prev, aad);
    memcpy(o, aad, HEAD_LEN);
    /* Random: a piece whose sending failed may be made again with other content at the same place. */
    crypto_random(nonce, OBJ_NONCE_LEN);
    r = crypto_aead_seal(c->aead, k->b, nonce, SM_SPAN(aad, sizeof aad), SM_SPAN(form, n), form);
    if (r < 0)
        return r;
    n += HEAD_LEN + OBJ_NONCE_LEN + OBJ_TAG_LEN;
    obj_name(SM_SPAN(o, n), ret_name);
    ret_sealed->n += n;
    return 0;
}

int cache_open(struct seal_ctx *c, const struct cache_key *k, const struct cid *prev, struct sm_span sealed,
    struct cid *ret_name, struct sm_buf *ret_plain)
{
    uint8_t aad[AAD_LEN];
    if (sealed.n <= HEAD_LEN + OBJ_NONCE_LEN + OBJ_TAG_LEN || sealed.n > CACHE_SEALED_MAX)
        return -SM_EFORMAT;
    for (uint8_t algorithm = OBJ_STORED; algorithm <= OBJ_ZSTD; algorithm++) {
        aad_make(k, algorithm, prev, aad);
        if (memcmp(aad, sealed.p, HEAD_LEN) != 0)
            continue;
        struct sm_span boxed = SM_SPAN(sealed.p + HEAD_LEN + OBJ_NONCE_LEN, sealed.n - HEAD_LEN - OBJ_NONCE_LEN);
        struct chunk_key ck;
        memcpy(ck.b, k->b, sizeof ck.b);
        int r = seal_unform(c, &ck, sealed.p + HEAD_LEN, SM_SPAN(aad, sizeof aad), boxed, algorithm, CACHE_PLAIN_MAX,
            ret_plain);
        sm_zero(&ck, sizeof ck);
        if (r == 0)
            obj_name(sealed, ret_name);
        return r;
    }
    return -SM_EFORMAT;
}
