#include "crypto/totp.h"
#include "crypto/hash.h"
#include "crypto/pass.h"
#include "crypto/random.h"

#define NAME_MAX_BYTES 200
#define ONCE_CHARS 10
/* 50 random bits in each code: with this the search of one code costs centuries of a computer. */
static const struct crypto_pass_cost once_cost = {8 * 1024, 2, 1};
static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

void crypto_totp_code(struct sm_span secret, uint64_t counter, char ret[CRYPTO_TOTP_CODE])
{
    uint8_t be[8], mac[CRYPTO_SHA1_LEN];
    for (int i = 0; i < 8; i++) {
        be[i] = (uint8_t)(counter >> (56 - 8 * i));
    }
    crypto_hmac_sha1(secret, SM_SPAN(be, sizeof(be)), mac);
    const uint8_t *p = mac + (mac[19] & 15); /* RFC 4226 section 5.3 */
    uint32_t v = ((uint32_t)(p[0] & 0x7f) << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]) % 1000000;
    for (int i = 5; i >= 0; i--, v /= 10) {
        ret[i] = (char)('0' + v % 10);
    }
    ret[6] = 0;
    sm_zero(mac, sizeof(mac));
}

/* Six plain digits from what was typed. */
static bool read_digits(const char *typed, char ret[CRYPTO_TOTP_CODE])
{
    char out[CRYPTO_CODE_MAX + 1];
    if (crypto_code_read(typed, out, sizeof(out)) < 0 || strspn(out, "0123456789") != 6 || out[6]) {
        return false;
    }
    memcpy(ret, out, CRYPTO_TOTP_CODE);
    return true;
}

int crypto_totp_verify(
    struct sm_span secret, const char *typed, int64_t now_s, uint64_t last_counter, uint64_t *ret_counter)
{
    char digits[CRYPTO_TOTP_CODE], code[CRYPTO_TOTP_CODE];
    if (now_s < CRYPTO_TOTP_STEP_S || !read_digits(typed, digits)) {
        return -SM_EAUTH;
    }
    uint64_t now = (uint64_t)now_s / CRYPTO_TOTP_STEP_S, found = 0;
    /* All three are always computed; the newest match wins, so an equal older code is no replay. */
    for (uint64_t counter = now - 1; counter <= now + 1; counter++) {
        crypto_totp_code(secret, counter, code);
        if (sm_ct_eq(code, digits, 6)) {
            found = counter;
        }
    }
    sm_zero(code, sizeof(code));
    sm_zero(digits, sizeof(digits));
    if (!found) {
        return -SM_EAUTH;
    }
    if (found <= last_counter) {
        return -SM_EEXISTS;
    }
    *ret_counter = found;
    return 0;
}

static int put_percent(struct sm_buf *b, const char *s)
{
    int r = 0;
    for (; *s && r >= 0; s++) {
        uint8_t c = (uint8_t)*s;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
        r = plain ? sm_buf_put_u8(b, c) : sm_buf_printf(b, "%%%02X", c);
    }
    return r < 0 ? r : 0;
}

static bool good_name(const char *s)
{
    size_t n = strlen(s);
    return n && n <= NAME_MAX_BYTES && !strchr(s, ':') && sm_utf8_valid(SM_SPAN(s, n));
}

int crypto_totp_uri(struct sm_span secret, const char *issuer, const char *account, struct sm_buf *ret)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    if (!good_name(issuer) || !good_name(account)) {
        return -SM_EINVAL;
    }
    int r = sm_buf_put_span(&b, SM_SPAN_STR("otpauth://totp/"));
    r = r < 0 ? r : put_percent(&b, issuer);
    r = r < 0 ? r : sm_buf_put_u8(&b, ':');
    r = r < 0 ? r : put_percent(&b, account);
    r = r < 0 ? r : sm_buf_put_span(&b, SM_SPAN_STR("?secret="));
    r = r < 0 ? r : sm_base32(secret, &b);
    r = r < 0 ? r : sm_buf_put_span(&b, SM_SPAN_STR("&issuer="));
    r = r < 0 ? r : put_percent(&b, issuer);
    r = r < 0 ? r : sm_buf_put_span(&b, SM_SPAN_STR("&algorithm=SHA1&digits=6&period=30"));
    r = r < 0 ? r : sm_buf_put_span(ret, sm_buf_span(&b));
    sm_buf_wipe(&b);
    return r;
}

static int once_hash(const struct crypto_once *once, const char code[ONCE_CHARS], uint8_t *ret)
{
    return crypto_pass_raw(SM_SPAN(code, ONCE_CHARS), SM_SPAN(once->salt, sizeof(once->salt)), &once_cost, ret,
        CRYPTO_ONCE_HASH_LEN);
}

int crypto_once_new(struct crypto_once *ret, char ret_codes[CRYPTO_ONCE_CODES][CRYPTO_ONCE_CODE])
{
    struct crypto_once once;
    char codes[CRYPTO_ONCE_CODES][CRYPTO_ONCE_CODE];
    int r = 0;
    crypto_random(once.salt, sizeof(once.salt));
    for (size_t i = 0; i < CRYPTO_ONCE_CODES && r == 0; i++) {
        uint8_t raw[ONCE_CHARS];
        char plain[ONCE_CHARS];
        crypto_random(raw, sizeof(raw));
        for (size_t j = 0; j < ONCE_CHARS; j++) {
            plain[j] = base32[raw[j] & 31];
        }
        memcpy(codes[i], plain, 5);
        codes[i][5] = '-';
        memcpy(codes[i] + 6, plain + 5, 5);
        codes[i][11] = 0;
        r = once_hash(&once, plain, once.hash[i]);
        sm_zero(raw, sizeof(raw));
        sm_zero(plain, sizeof(plain));
    }
    if (r == 0) {
        *ret = once;
        memcpy(ret_codes, codes, sizeof(codes));
    }
    sm_zero(codes, sizeof(codes));
    return r;
}

/* Ten characters of the base32 set from what was typed. */
static bool read_once(const char *typed, char ret[ONCE_CHARS])
{
    size_t n = 0;
    for (; *typed; typed++) {
        char c = *typed;
        if (c == ' ' || c == '-') {
            continue;
        }
        c = c >= 'a' && c <= 'z' ? (char)(c - 32) : c == '0' ? 'O' : c == '1' ? 'I' : c == '8' ? 'B' : c;
        if (n == ONCE_CHARS || !strchr(base32, c)) {
            return false;
        }
        ret[n++] = c;
    }
    return n == ONCE_CHARS;
}

static bool is_used(const struct crypto_once *once, size_t i)
{
    static const uint8_t zero[CRYPTO_ONCE_HASH_LEN];
    return sm_ct_eq(once->hash[i], zero, sizeof(zero));
}

int crypto_once_match(const struct crypto_once *once, const char *typed, unsigned *ret_index)
{
    char plain[ONCE_CHARS];
    uint8_t hash[CRYPTO_ONCE_HASH_LEN];
    if (!read_once(typed, plain)) {
        return -SM_EAUTH;
    }
    int r = once_hash(once, plain, hash);
    sm_zero(plain, sizeof(plain));
    if (r < 0) {
        return r;
    }
    r = -SM_EAUTH;
    for (unsigned i = 0; i < CRYPTO_ONCE_CODES; i++) {
        if (sm_ct_eq(once->hash[i], hash, sizeof(hash)) && !is_used(once, i)) {
            *ret_index = i;
            r = 0;
        }
    }
    return r;
}

void crypto_once_use(struct crypto_once *once, unsigned index)
{
    if (index < CRYPTO_ONCE_CODES) {
        sm_zero(once->hash[index], CRYPTO_ONCE_HASH_LEN); /* all zero: used */
    }
}

unsigned crypto_once_left(const struct crypto_once *once)
{
    unsigned n = 0;
    for (size_t i = 0; i < CRYPTO_ONCE_CODES; i++) {
        n += !is_used(once, i);
    }
    return n;
}
