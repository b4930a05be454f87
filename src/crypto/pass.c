/* Argon2id (RFC 9106) and its text form ($argon2id$v=19$m=..,t=..,p=..$salt$hash). */
#include "crypto/pass.h"
#include "crypto/pass_internal.h"
#include "crypto/random.h"
#include <errno.h>
#include <gcrypt.h>

#define HASH_LEN 32
#define HASH_MIN 4
#define HASH_MAX 64
#define SALT_MIN 8
#define SALT_MAX 64

const struct crypto_pass_cost crypto_pass_sign_in = {64 * 1024, 3, 1};
const struct crypto_pass_cost crypto_pass_wrap = {256 * 1024, 3, 1};

static int check_cost(const struct crypto_pass_cost *c)
{
    bool bad = c->lanes < 1 || c->lanes > CRYPTO_PASS_LANES_MAX || c->passes < 1 ||
               c->passes > CRYPTO_PASS_PASSES_MAX || c->memory_kib < 8 * c->lanes ||
               c->memory_kib > CRYPTO_PASS_MEMORY_MAX_KIB;
    return bad ? -SM_ELIMIT : 0;
}

int crypto_pass_argon2(struct sm_span password, struct sm_span salt, struct sm_span key, struct sm_span ad,
    const struct crypto_pass_cost *cost, uint8_t *ret, size_t n)
{
    gcry_kdf_hd_t h = NULL;
    uint8_t out[HASH_MAX];
    if (!password.n || salt.n < SALT_MIN || salt.n > SALT_MAX || n < HASH_MIN || n > HASH_MAX) {
        return -SM_EINVAL;
    }
    if (password.n > CRYPTO_PASS_MAX || check_cost(cost) < 0) {
        return -SM_ELIMIT;
    }
    const unsigned long param[4] = {n, cost->passes, cost->memory_kib, cost->lanes};
    gcry_error_t e = gcry_kdf_open(&h, GCRY_KDF_ARGON2, GCRY_KDF_ARGON2ID, param, 4, password.p, password.n,
        salt.p, salt.n, key.p, key.n, ad.p, ad.n);
    if (!e) {
        e = gcry_kdf_compute(h, NULL);
    }
    if (!e) {
        e = gcry_kdf_final(h, n, out);
    }
    if (h) {
        gcry_kdf_close(h);
    }
    if (!e) {
        memcpy(ret, out, n);
    }
    sm_zero(out, sizeof(out));
    return !e ? 0 : gcry_err_code(e) == GPG_ERR_ENOMEM ? -ENOMEM : -SM_ECRYPTO;
}

int crypto_pass_raw(struct sm_span password, struct sm_span salt, const struct crypto_pass_cost *cost, uint8_t *ret,
    size_t n)
{
    return crypto_pass_argon2(password, salt, SM_SPAN(NULL, 0), SM_SPAN(NULL, 0), cost, ret, n);
}

/* Base64 without padding, as the text form has it. */
static int put_base64(struct sm_buf *b, const uint8_t *p, size_t n)
{
    int r = sm_base64(SM_SPAN(p, n), b);
    while (r == 0 && b->n && b->p[b->n - 1] == '=') {
        b->n--;
    }
    return r;
}

int crypto_pass_hash(struct sm_span password, const struct crypto_pass_cost *cost, char ret[CRYPTO_PASS_TEXT])
{
    uint8_t salt[CRYPTO_PASS_SALT_LEN], hash[HASH_LEN];
    struct sm_buf b = SM_BUF_INIT(CRYPTO_PASS_TEXT - 1 + 4); /* padding comes and goes */
    crypto_random(salt, sizeof(salt));
    int r = crypto_pass_raw(password, SM_SPAN(salt, sizeof(salt)), cost, hash, sizeof(hash));
    if (r == 0) {
        r = sm_buf_printf(&b, "$argon2id$v=19$m=%u,t=%u,p=%u$", cost->memory_kib, cost->passes, cost->lanes);
    }
    if (r >= 0) {
        r = put_base64(&b, salt, sizeof(salt));
    }
    if (r == 0) {
        r = sm_buf_put_u8(&b, '$');
    }
    if (r == 0) {
        r = put_base64(&b, hash, sizeof(hash));
    }
    if (r == 0 && b.n >= CRYPTO_PASS_TEXT) {
        r = -SM_ELIMIT;
    }
    if (r == 0) {
        memcpy(ret, b.p, b.n);
        ret[b.n] = 0;
    }
    sm_buf_wipe(&b);
    sm_zero(hash, sizeof(hash));
    return r;
}

struct stored { struct crypto_pass_cost cost; uint8_t salt[SALT_MAX], hash[HASH_MAX]; size_t salt_n, hash_n; };

/* Skip the literal word; false when it is not there. */
static bool take(const char **s, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*s, word, n)) {
        return false;
    }
    *s += n;
    return true;
}

/* A decimal of at most nine digits without leading zeros. */
static bool take_number(const char **s, uint32_t *ret)
{
    uint32_t v = 0;
    int n = 0;
    for (; **s >= '0' && **s <= '9' && n < 10; n++, (*s)++) {
        v = v * 10 + (uint32_t)(**s - '0');
        if (n == 1 && v < 10) {
            return false;
        }
    }
    *ret = v;
    return n > 0 && n < 10;
}

/* Base64 without padding up to '$' or the end. */
static bool take_base64(const char **s, uint8_t *ret, size_t max, size_t *ret_n)
{
    char padded[CRYPTO_PASS_TEXT + 4];
    size_t n = strcspn(*s, "$"), i;
    struct sm_buf b = SM_BUF_INIT(CRYPTO_PASS_TEXT);
    bool ok = false;
    if (!n || n >= CRYPTO_PASS_TEXT || n % 4 == 1) {
        return false;
    }
    memcpy(padded, *s, n);
    for (i = n; i % 4; i++) {
        padded[i] = '=';
    }
    if (sm_unbase64(SM_SPAN(padded, i), &b) == 0 && b.n <= max) {
        memcpy(ret, b.p, b.n);
        *ret_n = b.n;
        *s += n;
        ok = true;
    }
    sm_buf_wipe(&b);
    return ok;
}

static int parse(const char *s, struct stored *ret)
{
    struct stored t = {0};
    if (strnlen(s, CRYPTO_PASS_TEXT) >= CRYPTO_PASS_TEXT) {
        return -SM_EFORMAT;
    }
    if (!take(&s, "$argon2")) {
        return -SM_EFORMAT;
    }
    if (!take(&s, "id$v=19$")) {
        return -SM_EVERSION;
    }
    bool ok = take(&s, "m=") && take_number(&s, &t.cost.memory_kib) && take(&s, ",t=") &&
              take_number(&s, &t.cost.passes) && take(&s, ",p=") && take_number(&s, &t.cost.lanes) && take(&s, "$") &&
              take_base64(&s, t.salt, sizeof(t.salt), &t.salt_n) && take(&s, "$") &&
              take_base64(&s, t.hash, sizeof(t.hash), &t.hash_n) && !*s;
    if (!ok || t.salt_n < SALT_MIN || t.hash_n < 16) {
        return -SM_EFORMAT;
    }
    *ret = t;
    return check_cost(&t.cost);
}

int crypto_pass_verify(struct sm_span password, const char *stored)
{
    struct stored t;
    uint8_t hash[HASH_MAX];
    int r = parse(stored, &t);
    if (r < 0) {
        return r;
    }
    if (!password.n || password.n > CRYPTO_PASS_MAX) {
        return -SM_EAUTH; /* no such one was ever stored */
    }
    r = crypto_pass_raw(password, SM_SPAN(t.salt, t.salt_n), &t.cost, hash, t.hash_n);
    if (r == 0 && !sm_ct_eq(hash, t.hash, t.hash_n)) {
        r = -SM_EAUTH;
    }
    sm_zero(hash, sizeof(hash));
    return r;
}

bool crypto_pass_is_old(const char *stored, const struct crypto_pass_cost *cost)
{
    struct stored t;
    if (parse(stored, &t) < 0) {
        return true;
    }
    return t.cost.memory_kib != cost->memory_kib || t.cost.passes != cost->passes || t.cost.lanes != cost->lanes;
}
