#include "crypto/sign.h"
#include <string.h>
#include "crypto/hash.h"
#include "crypto/random.h"
#include <errno.h>
#include <gcrypt.h>

static int map(gcry_error_t e)
{
    return gcry_err_code(e) == GPG_ERR_ENOMEM ? -ENOMEM : -SM_ECRYPTO;
}

/* A copy in the library's wiped memory; what is built from it then lives there too. */
static void *secure_seed(const uint8_t *seed)
{
    void *p = gcry_malloc_secure(CRYPTO_SIGN_SEED_LEN);
    if (p) {
        memcpy(p, seed, CRYPTO_SIGN_SEED_LEN);
    }
    return p;
}

int crypto_sign_from_seed(const uint8_t seed[CRYPTO_SIGN_SEED_LEN], struct crypto_sign_pair *ret)
{
    gcry_sexp_t key = NULL;
    gcry_ctx_t ctx = NULL;
    gcry_mpi_t q = NULL;
    unsigned int bits = 0;
    int r = -SM_ECRYPTO;
    void *d = secure_seed(seed);
    if (!d) {
        return -ENOMEM;
    }
    gcry_error_t e = gcry_sexp_build(
        &key, NULL, "(private-key (ecc (curve Ed25519) (flags eddsa) (d %b)))", CRYPTO_SIGN_SEED_LEN, d);
    if (!e) {
        e = gcry_mpi_ec_new(&ctx, key, NULL);
    }
    if (!e) {
        q = gcry_mpi_ec_get_mpi("q@eddsa", ctx, 0);
    }
    const void *p = q ? gcry_mpi_get_opaque(q, &bits) : NULL;
    if (p && bits == CRYPTO_SIGN_PUBLIC_LEN * 8) {
        memmove(ret->seed, seed, CRYPTO_SIGN_SEED_LEN);
        memcpy(ret->public_key, p, CRYPTO_SIGN_PUBLIC_LEN);
        r = 0;
    } else if (e) {
        r = map(e);
    }
    gcry_mpi_release(q);
    gcry_ctx_release(ctx);
    gcry_sexp_release(key);
    gcry_free(d);
    return r;
}

int crypto_sign_generate(struct crypto_sign_pair *ret)
{
    uint8_t seed[CRYPTO_SIGN_SEED_LEN];
    crypto_random(seed, sizeof(seed));
    int r = crypto_sign_from_seed(seed, ret);
    sm_zero(seed, sizeof(seed));
    return r;
}

void crypto_sign_wipe(struct crypto_sign_pair *p)
{
    sm_zero(p, sizeof(*p));
}

/* One 32-byte half of the result. */
static int half(gcry_sexp_t sig, const char *name, uint8_t *ret)
{
    gcry_sexp_t part = gcry_sexp_find_token(sig, name, 1);
    size_t n = 0;
    const char *p = part ? gcry_sexp_nth_data(part, 1, &n) : NULL;
    int r = p && n == 32 ? 0 : -SM_ECRYPTO;
    if (r == 0) {
        memcpy(ret, p, 32);
    }
    gcry_sexp_release(part);
    return r;
}

static gcry_error_t message_sexp(struct sm_span message, gcry_sexp_t *ret)
{
    return gcry_sexp_build(ret, NULL, "(data (flags eddsa) (hash-algo sha512) (value %b))", (int)message.n,
        message.n ? (const char *)message.p : "");
}

int crypto_sign(const struct crypto_sign_pair *pair, struct sm_span message, uint8_t ret[CRYPTO_SIGN_LEN])
{
    gcry_sexp_t key = NULL, data = NULL, sig = NULL;
    uint8_t out[CRYPTO_SIGN_LEN];
    if (message.n > CRYPTO_SIGN_MESSAGE_MAX) {
        return -SM_ELIMIT;
    }
    void *d = secure_seed(pair->seed);
    if (!d) {
        return -ENOMEM;
    }
    gcry_error_t e = gcry_sexp_build(&key, NULL, "(private-key (ecc (curve Ed25519) (flags eddsa) (q %b) (d %b)))",
        CRYPTO_SIGN_PUBLIC_LEN, pair->public_key, CRYPTO_SIGN_SEED_LEN, d);
    if (!e) {
        e = message_sexp(message, &data);
    }
    if (!e) {
        e = gcry_pk_sign(&sig, data, key);
    }
    int r = e ? map(e) : 0;
    if (r == 0) {
        r = half(sig, "r", out);
    }
    if (r == 0) {
        r = half(sig, "s", out + 32);
    }
    if (r == 0) {
        memcpy(ret, out, sizeof(out));
    }
    gcry_sexp_release(sig);
    gcry_sexp_release(data);
    gcry_sexp_release(key);
    gcry_free(d);
    return r;
}

/* Little-endian a < b over 32 bytes; nothing here is secret. */
static bool less(const uint8_t *a, const uint8_t *b)
{
    for (int i = 31; i >= 0; i--) {
        if (a[i] != b[i]) {
            return a[i] < b[i];
        }
    }
    return false;
}

/* Canonical y coordinate, and not one of the eight points whose order divides 8. */
static bool good_point(const uint8_t encoded[32])
{
    static const uint8_t prime[32] = {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0x7f};
    /* Without their sign bit: y = 0, 1, -1, and the two y of order 8. */
    static const uint8_t small[5][32] = {
        {0},
        {1},
        {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
        {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    };
    uint8_t y[32];
    memcpy(y, encoded, sizeof(y));
    y[31] &= 0x7f;
    if (!less(y, prime)) {
        return false;
    }
    for (size_t i = 0; i < 5; i++) {
        if (!memcmp(y, small[i], sizeof(y))) {
            return false;
        }
    }
    return true;
}

int crypto_sign_verify(const uint8_t public_key[CRYPTO_SIGN_PUBLIC_LEN], struct sm_span message,
    const uint8_t signature[CRYPTO_SIGN_LEN])
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde,
        0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};
    if (message.n > CRYPTO_SIGN_MESSAGE_MAX) {
        return -SM_ELIMIT;
    }
    if (!good_point(public_key) || !good_point(signature) || !less(signature + 32, order)) {
        return -SM_EAUTH;
    }
    gcry_sexp_t key = NULL, data = NULL, sig = NULL;
    gcry_error_t e = gcry_sexp_build(&key, NULL, "(public-key (ecc (curve Ed25519) (flags eddsa) (q %b)))",
        CRYPTO_SIGN_PUBLIC_LEN, public_key);
    if (!e) {
        e = gcry_sexp_build(&sig, NULL, "(sig-val (eddsa (r %b) (s %b)))", 32, signature, 32, signature + 32);
    }
    if (!e) {
        e = message_sexp(message, &data);
    }
    int r = e ? map(e) : 0;
    if (r == 0) {
        e = gcry_pk_verify(sig, data, key);
        /* Any refusal of the library means: not a signature of this key (points off the curve included). */
        r = !e ? 0 : gcry_err_code(e) == GPG_ERR_ENOMEM ? -ENOMEM : -SM_EAUTH;
    }
    gcry_sexp_release(sig);
    gcry_sexp_release(data);
    gcry_sexp_release(key);
    return r;
}

/* ---- texts of any length ---- */

static int text_form(const char *label, struct sm_span text, struct sm_buf *ret)
{
    uint8_t hash[CRYPTO_SHA256_LEN];
    size_t n = strlen(label);
    if (n > 64)
        return -SM_EINVAL;
    bool hashed = text.n > CRYPTO_SIGN_MESSAGE_MAX - n;
    int r = hashed ? sm_buf_put_span(ret, SM_SPAN_STR("sakimori/v1/hashed/")) : 0;
    if (r == 0)
        r = sm_buf_put(ret, label, n);
    if (hashed)
        crypto_sha256(text, hash);
    if (r == 0)
        r = hashed ? sm_buf_put(ret, hash, sizeof hash) : sm_buf_put_span(ret, text);
    return r;
}

int crypto_sign_text(
    const struct crypto_sign_pair *pair, const char *label, struct sm_span text, uint8_t ret[CRYPTO_SIGN_LEN])
{
    struct sm_buf b = SM_BUF_INIT(CRYPTO_SIGN_MESSAGE_MAX);
    int r = text_form(label, text, &b);
    if (r == 0)
        r = crypto_sign(pair, sm_buf_span(&b), ret);
    sm_buf_wipe(&b);
    return r;
}

int crypto_sign_text_verify(const uint8_t public_key[CRYPTO_SIGN_PUBLIC_LEN], const char *label, struct sm_span text,
    const uint8_t signature[CRYPTO_SIGN_LEN])
{
    struct sm_buf b = SM_BUF_INIT(CRYPTO_SIGN_MESSAGE_MAX);
    int r = text_form(label, text, &b);
    if (r == 0)
        r = crypto_sign_verify(public_key, sm_buf_span(&b), signature);
    sm_buf_wipe(&b);
    return r;
}
