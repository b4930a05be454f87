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

void chunk_hash_pair(struct sm_span a, struct sm_span b, struct chunk_hash *ret_a, struct chunk_hash *ret_b)
{
    crypto_sha256_pair(a, b, ret_a->b, ret_b->b);
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

/* ---- sealing, step by step: the form, its nonce, the box around it, the name ---- */

struct sealing { uint8_t *o; size_t n; }; /* n: of the form, then of the whole object */

static struct sm_span form_of(const struct sealing *s)
{
    return SM_SPAN(s->o + OBJ_HDR_LEN + OBJ_NONCE_LEN, s->n);
}

static int seal_begin(struct seal_ctx *c, const struct seal_keys *k, struct chunk_job *j, struct sealing *ret)
{
    if (!obj_is_chunk(j->type) || j->plain.n == 0 || j->plain.n > CHUNK_PLAIN_MAX)
        return -SM_EINVAL;
    int r = sm_buf_reserve(j->sealed, j->plain.n + CHUNK_OVERHEAD);
    if (r < 0)
        return r;
    ret->o = j->sealed->p + j->sealed->n;
    r = seal_form(c, j->plain, j->how, ret->o + OBJ_HDR_LEN + OBJ_NONCE_LEN, &ret->n, &j->info.algorithm);
    if (r < 0)
        return r;
    chunk_keys(k, j->type, &j->h, &j->info.ck, NULL);
    obj_hdr_put(&(struct obj_hdr){.algorithm = j->info.algorithm, .type = j->type, .client = k->client}, ret->o);
    return 0;
}

static int seal_box(struct seal_ctx *c, const struct chunk_job *j, struct sealing *s)
{
    struct sm_span form = form_of(s);
    int r = crypto_aead_seal(
        c->aead, j->info.ck.b, s->o + OBJ_HDR_LEN, SM_SPAN(s->o, OBJ_HDR_LEN), form, s->o + OBJ_HDR_LEN + OBJ_NONCE_LEN);
    s->n += CHUNK_OVERHEAD;
    return r;
}

int chunk_seal(struct seal_ctx *c, const struct seal_keys *k, uint8_t type, struct sm_span plain,
    const struct chunk_hash *h, struct seal_how how, struct chunk_info *ret, struct sm_buf *ret_sealed)
{
    struct chunk_job j = {.type = type, .plain = plain, .h = *h, .how = how, .sealed = ret_sealed};
    struct sealing s;
    int r = seal_begin(c, k, &j, &s);
    if (r == 0) {
        seal_nonce(k, type, h->b, SM_SPAN(s.o, OBJ_HDR_LEN), form_of(&s), s.o + OBJ_HDR_LEN);
        r = seal_box(c, &j, &s);
    }
    if (r == 0) {
        obj_name(SM_SPAN(s.o, s.n), &j.info.cid);
        ret_sealed->n += s.n;
        *ret = j.info;
    }
    sm_zero(&j, sizeof j);
    return r;
}

static void nonce_pair(const struct seal_keys *k, const struct chunk_job job[2], struct sealing s[2])
{
    struct crypto_hmac_key key[2];
    struct sm_span part[2][2];
    uint8_t nk[OBJ_KEY_LEN], mac[2][32];
    for (unsigned i = 0; i < 2; i++) {
        seal_derive(k, "nk", job[i].type, job[i].h.b, nk);
        crypto_hmac_key_init(&key[i], SM_SPAN(nk, sizeof nk));
        part[i][0] = SM_SPAN(s[i].o, OBJ_HDR_LEN);
        part[i][1] = form_of(&s[i]);
    }
    crypto_hmac_pair((const struct crypto_hmac_key *const[]){&key[0], &key[1]},
        (const struct sm_span *const[]){part[0], part[1]}, 2, (uint8_t *const[]){mac[0], mac[1]});
    for (unsigned i = 0; i < 2; i++) {
        memcpy(s[i].o + OBJ_HDR_LEN, mac[i], OBJ_NONCE_LEN);
        crypto_hmac_key_wipe(&key[i]);
    }
    sm_zero(nk, sizeof nk);
}

int chunk_seal_pair(struct seal_ctx *c, const struct seal_keys *k, struct chunk_job job[2])
{
    struct sealing s[2];
    int r = seal_begin(c, k, &job[0], &s[0]);
    if (r == 0)
        r = seal_begin(c, k, &job[1], &s[1]);
    if (r < 0)
        return r;
    nonce_pair(k, job, s);
    for (unsigned i = 0; i < 2 && r == 0; i++)
        r = seal_box(c, &job[i], &s[i]);
    if (r < 0)
        return r;
    crypto_sha256_pair(SM_SPAN(s[0].o, s[0].n), SM_SPAN(s[1].o, s[1].n), job[0].info.cid.b, job[1].info.cid.b);
    for (unsigned i = 0; i < 2; i++)
        job[i].sealed->n += s[i].n;
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
