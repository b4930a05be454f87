#include "crypto/hash.h"
#include <errno.h>
#include <gcrypt.h>

struct crypto_sha256_ctx { gcry_md_hd_t md; };

/* One leading block (an HMAC pad, may be NULL) and then the parts. */
static void hash_parts(int algo, const uint8_t *pad, const struct sm_span *parts, size_t n, uint8_t *ret)
{
    gcry_buffer_t iov[CRYPTO_PARTS_MAX + 1] = {0};
    int count = 0;
    if (n > CRYPTO_PARTS_MAX) {
        abort();
    }
    if (pad) {
        iov[count].data = (void *)pad;
        iov[count].len = 64;
        count++;
    }
    for (size_t i = 0; i < n; i++) {
        if (!parts[i].n) {
            continue;
        }
        iov[count].data = (void *)parts[i].p;
        iov[count].len = parts[i].n;
        count++;
    }
    /* This path of the library keeps its state on the stack and cannot fail for a known hash. */
    if (gcry_md_hash_buffers(algo, 0, ret, iov, count)) {
        abort();
    }
}

void crypto_sha256v(const struct sm_span *parts, size_t n, uint8_t ret[CRYPTO_SHA256_LEN])
{
    hash_parts(GCRY_MD_SHA256, NULL, parts, n, ret);
}

void crypto_sha256(struct sm_span in, uint8_t ret[CRYPTO_SHA256_LEN])
{
    hash_parts(GCRY_MD_SHA256, NULL, &in, 1, ret);
}

int crypto_sha256_new(struct crypto_sha256_ctx **ret)
{
    struct crypto_sha256_ctx *c = calloc(1, sizeof(*c));
    if (!c) {
        return -ENOMEM;
    }
    if (gcry_md_open(&c->md, GCRY_MD_SHA256, 0)) {
        free(c);
        return -SM_ECRYPTO;
    }
    *ret = c;
    return 0;
}

void crypto_sha256_free(struct crypto_sha256_ctx *c)
{
    if (c) {
        gcry_md_close(c->md);
        free(c);
    }
}

void crypto_sha256_reset(struct crypto_sha256_ctx *c)
{
    gcry_md_reset(c->md);
}

void crypto_sha256_put(struct crypto_sha256_ctx *c, struct sm_span in)
{
    gcry_md_write(c->md, in.p, in.n);
}

void crypto_sha256_final(struct crypto_sha256_ctx *c, uint8_t ret[CRYPTO_SHA256_LEN])
{
    memcpy(ret, gcry_md_read(c->md, GCRY_MD_SHA256), CRYPTO_SHA256_LEN);
    gcry_md_reset(c->md);
}

static void pads(int algo, struct sm_span key, struct crypto_hmac_key *k)
{
    uint8_t block[64] = {0};
    if (key.n > sizeof(block)) {
        hash_parts(algo, NULL, &key, 1, block);
    } else if (key.n) {
        memcpy(block, key.p, key.n);
    }
    for (size_t i = 0; i < sizeof(block); i++) {
        k->ipad[i] = block[i] ^ 0x36;
        k->opad[i] = block[i] ^ 0x5c;
    }
    sm_zero(block, sizeof(block));
}

void crypto_hmac_key_init(struct crypto_hmac_key *k, struct sm_span key)
{
    pads(GCRY_MD_SHA256, key, k);
}

void crypto_hmac_key_wipe(struct crypto_hmac_key *k)
{
    sm_zero(k, sizeof(*k));
}

void crypto_hmac(
    const struct crypto_hmac_key *k, const struct sm_span *parts, size_t n, uint8_t ret[CRYPTO_SHA256_LEN])
{
    uint8_t inner[CRYPTO_SHA256_LEN];
    hash_parts(GCRY_MD_SHA256, k->ipad, parts, n, inner);
    hash_parts(GCRY_MD_SHA256, k->opad, &SM_SPAN(inner, sizeof(inner)), 1, ret);
    sm_zero(inner, sizeof(inner));
}

void crypto_hmac_sha256(struct sm_span key, struct sm_span in, uint8_t ret[CRYPTO_SHA256_LEN])
{
    struct crypto_hmac_key k;
    crypto_hmac_key_init(&k, key);
    crypto_hmac(&k, &in, 1, ret);
    crypto_hmac_key_wipe(&k);
}

void crypto_hmac_sha1(struct sm_span key, struct sm_span in, uint8_t ret[CRYPTO_SHA1_LEN])
{
    struct crypto_hmac_key k;
    uint8_t inner[CRYPTO_SHA1_LEN];
    pads(GCRY_MD_SHA1, key, &k);
    hash_parts(GCRY_MD_SHA1, k.ipad, &in, 1, inner);
    hash_parts(GCRY_MD_SHA1, k.opad, &SM_SPAN(inner, sizeof(inner)), 1, ret);
    sm_zero(inner, sizeof(inner));
    crypto_hmac_key_wipe(&k);
}

void crypto_hkdf_extract(struct sm_span salt, struct sm_span ikm, uint8_t ret_prk[CRYPTO_SHA256_LEN])
{
    /* HMAC pads a short key with zeros, so the empty salt is the RFC's string of zeros by itself. */
    crypto_hmac_sha256(salt, ikm, ret_prk);
}

int crypto_hkdf_expand(const uint8_t prk[CRYPTO_SHA256_LEN], struct sm_span info, uint8_t *ret, size_t n)
{
    struct crypto_hmac_key k;
    uint8_t t[CRYPTO_SHA256_LEN];
    size_t t_n = 0;
    if (n > 255 * sizeof(t)) {
        return -SM_ELIMIT;
    }
    crypto_hmac_key_init(&k, SM_SPAN(prk, CRYPTO_SHA256_LEN));
    for (uint8_t counter = 1; n; counter++) {
        struct sm_span parts[3] = {SM_SPAN(t, t_n), info, SM_SPAN(&counter, 1)};
        uint8_t next[CRYPTO_SHA256_LEN];
        crypto_hmac(&k, parts, 3, next);
        memcpy(t, next, sizeof(t));
        sm_zero(next, sizeof(next));
        t_n = sizeof(t);
        size_t take = n < t_n ? n : t_n;
        memcpy(ret, t, take);
        ret += take;
        n -= take;
    }
    sm_zero(t, sizeof(t));
    crypto_hmac_key_wipe(&k);
    return 0;
}

int crypto_hkdf(struct sm_span salt, struct sm_span ikm, struct sm_span info, uint8_t *ret, size_t n)
{
    uint8_t prk[CRYPTO_SHA256_LEN];
    crypto_hkdf_extract(salt, ikm, prk);
    int r = crypto_hkdf_expand(prk, info, ret, n);
    sm_zero(prk, sizeof(prk));
    return r;
}

int crypto_md5(struct sm_span in, uint8_t ret[CRYPTO_MD5_LEN])
{
    gcry_md_hd_t md;
    if (gcry_md_open(&md, GCRY_MD_MD5, 0)) {
        return -SM_ECRYPTO;
    }
    gcry_md_write(md, in.p, in.n);
    memcpy(ret, gcry_md_read(md, GCRY_MD_MD5), CRYPTO_MD5_LEN);
    gcry_md_close(md);
    return 0;
}
