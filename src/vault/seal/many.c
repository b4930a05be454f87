#include "vault/seal/seal_internal.h"

static int many_ready(struct seal_ctx *c)
{
    int r = c->many_made ? 0 : crypto_many_new(&c->many);
    c->many_made = c->many_made || r == 0;
    return r;
}

int chunk_hash_many(struct seal_ctx *c, const struct chunk_work *work, size_t n, struct chunk_hash *ret)
{
    struct crypto_message m[CHUNK_MANY_MAX];
    int r = n > CHUNK_MANY_MAX ? -SM_EINVAL : many_ready(c);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        m[i] = (struct crypto_message){.in = work[i].plain};
    crypto_many(c->many, m, n);
    for (size_t i = 0; i < n; i++)
        memcpy(ret[i].b, m[i].ret, sizeof ret[i].b);
    sm_zero(m, sizeof m);
    return 0;
}

/* The stored form stands where it will be sealed, with the header straight before it, where the nonce will come. */
static uint8_t *form_of(const struct chunk_work *w)
{
    return w->to + OBJ_HDR_LEN + OBJ_NONCE_LEN;
}

static int form_make(struct seal_ctx *c, const struct seal_keys *k, struct chunk_work *w)
{
    if (!obj_is_chunk(w->type) || w->plain.n == 0 || w->plain.n > CHUNK_PLAIN_MAX)
        return -SM_EINVAL;
    int r = seal_form(c, w->plain, w->how, form_of(w), &w->n, &w->info.algorithm);
    if (r == 0)
        obj_hdr_put(&(struct obj_hdr){.algorithm = w->info.algorithm, .type = w->type, .client = k->client},
            w->to + OBJ_NONCE_LEN);
    return r;
}

static void nonces_put(struct seal_ctx *c, const struct seal_keys *k, struct chunk_work *work, size_t n)
{
    struct crypto_message m[CHUNK_MANY_MAX];
    struct crypto_hmac_key key[CHUNK_MANY_MAX];
    for (size_t i = 0; i < n; i++) {
        uint8_t nk[OBJ_KEY_LEN];
        seal_derive(k, "nk", work[i].type, work[i].hash->b, nk);
        crypto_hmac_key_init(&key[i], SM_SPAN(nk, sizeof nk));
        sm_zero(nk, sizeof nk);
        m[i] = (struct crypto_message){.in = SM_SPAN(work[i].to + OBJ_NONCE_LEN, OBJ_HDR_LEN + work[i].n), .key = &key[i]};
    }
    crypto_many(c->many, m, n);
    for (size_t i = 0; i < n; i++) {
        memmove(work[i].to, work[i].to + OBJ_NONCE_LEN, OBJ_HDR_LEN);
        memcpy(work[i].to + OBJ_HDR_LEN, m[i].ret, OBJ_NONCE_LEN);
    }
    sm_zero(key, sizeof key);
    sm_zero(m, sizeof m);
}

static void names_put(struct seal_ctx *c, struct chunk_work *work, size_t n)
{
    struct crypto_message m[CHUNK_MANY_MAX];
    for (size_t i = 0; i < n; i++)
        m[i] = (struct crypto_message){.in = SM_SPAN(work[i].to, work[i].n)};
    crypto_many(c->many, m, n);
    for (size_t i = 0; i < n; i++)
        memcpy(work[i].info.cid.b, m[i].ret, sizeof work[i].info.cid.b);
}

int chunk_seal_many(struct seal_ctx *c, const struct seal_keys *k, struct chunk_work *work, size_t n)
{
    int r = n > CHUNK_MANY_MAX ? -SM_EINVAL : many_ready(c);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = form_make(c, k, &work[i]);
    if (r < 0)
        return r;
    nonces_put(c, k, work, n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct chunk_work *w = &work[i];
        seal_derive(k, "ck", w->type, w->hash->b, w->info.ck.b);
        r = crypto_aead_seal(c->aead, w->info.ck.b, w->to + OBJ_HDR_LEN, SM_SPAN(w->to, OBJ_HDR_LEN),
            SM_SPAN(form_of(w), w->n), form_of(w));
        w->n += CHUNK_OVERHEAD;
    }
    if (r == 0)
        names_put(c, work, n);
    return r;
}

int obj_names_check(struct seal_ctx *c, struct obj_named *objects, size_t n)
{
    struct crypto_message m[CHUNK_MANY_MAX];
    int r = many_ready(c);
    for (size_t at = 0, k; r == 0 && at < n; at += k) {
        k = n - at < CHUNK_MANY_MAX ? n - at : CHUNK_MANY_MAX;
        for (size_t i = 0; i < k; i++)
            m[i] = (struct crypto_message){.in = objects[at + i].sealed};
        crypto_many(c->many, m, k);
        for (size_t i = 0; i < k; i++)
            objects[at + i].same = memcmp(m[i].ret, objects[at + i].name->b, sizeof m[i].ret) == 0;
    }
    return r;
}
