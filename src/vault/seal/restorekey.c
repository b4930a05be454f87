#include "vault/seal/restorekey.h"

#include <errno.h>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#define TEXT_MAX 256
#define WRAP_AAD (4 + 1 + 1 + 12 + 16) /* all of the wrap before the nonce */
#define WRAP_PUBLIC (RESTOREKEY_WRAP_LEN - 32)
#define ESCROW_HEAD (4 + 1 + 1 + 16 + 32 + 32)
#define MEMORY_MAX_KIB (1u << 20) /* a wrap that asks for more would keep the box from ever opening it */
#define PASSES_MAX 16u
#define LANES_MAX 4u

/* ---- the card ---- */

int restorekey_card_text(const uint8_t card[RESTOREKEY_CARD_LEN], struct sm_buf *ret)
{
    uint8_t raw[RESTOREKEY_CARD_LEN + 2], sum[32];
    memcpy(raw, card, RESTOREKEY_CARD_LEN);
    crypto_sha256(SM_SPAN(card, RESTOREKEY_CARD_LEN), sum);
    memcpy(raw + RESTOREKEY_CARD_LEN, sum, 2);
    struct sm_buf b32 = SM_BUF_INIT(TEXT_MAX);
    int r = sm_base32(SM_SPAN(raw, sizeof raw), &b32);
    if (!r)
        r = sm_buf_put(ret, "SKC1", 4);
    for (size_t i = 0; i < b32.n && !r; i += 4)
        r = sm_buf_printf(ret, "-%.*s", (int)(b32.n - i < 4 ? b32.n - i : 4), (const char *)b32.p + i);
    sm_zero(raw, sizeof raw);
    sm_buf_wipe(&b32);
    return r;
}

int restorekey_card_read(struct sm_span typed, uint8_t ret[RESTOREKEY_CARD_LEN])
{
    /* People type it in lower case, with or without hyphens, and leave the first group out. */
    struct sm_buf raw = SM_BUF_INIT(TEXT_MAX), text = SM_BUF_INIT(TEXT_MAX);
    uint8_t sum[32];
    int r = 0;
    for (size_t i = 0; i < typed.n && !r; i++) {
        uint8_t c = typed.p[i];
        if (c != '-' && c != ' ' && c != '\t' && c != '\n' && c != '\r')
            r = sm_buf_put_u8(&text, c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c);
    }
    if (!r && text.n > 4 && memcmp(text.p, "SKC1", 4) == 0)
        sm_buf_shift(&text, 4);
    if (!r)
        r = sm_unbase32(sm_buf_span(&text), &raw);
    if (r || raw.n != RESTOREKEY_CARD_LEN + 2)
        r = -SM_EFORMAT;
    if (!r) {
        crypto_sha256(SM_SPAN(raw.p, RESTOREKEY_CARD_LEN), sum);
        r = sm_ct_eq(sum, raw.p + RESTOREKEY_CARD_LEN, 2) ? 0 : -SM_EFORMAT;
    }
    if (!r)
        memcpy(ret, raw.p, RESTOREKEY_CARD_LEN);
    sm_buf_wipe(&raw);
    sm_buf_wipe(&text);
    return r;
}

/* ---- under password and card ---- */

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int wrap_kek(struct sm_span password, const uint8_t card[RESTOREKEY_CARD_LEN],
    const struct crypto_pass_cost *cost, const uint8_t salt[16], uint8_t ret[32])
{
    uint8_t ikm[32 + RESTOREKEY_CARD_LEN];
    int r = crypto_pass_raw(password, SM_SPAN(salt, 16), cost, ikm, 32);
    memcpy(ikm + 32, card, RESTOREKEY_CARD_LEN);
    if (!r)
        r = crypto_hkdf(SM_SPAN(NULL, 0), SM_SPAN(ikm, sizeof ikm), SM_SPAN_STR("sakimori/v1/restore-key"), ret, 32);
    sm_zero(ikm, sizeof ikm);
    return r;
}

static int wrap_head(const struct crypto_pass_cost *cost, const uint8_t salt[16], struct sm_buf *out)
{
    int r = sm_buf_put(out, "SKW1\1\0", 6);
    if (!r)
        r = sm_buf_put_u32(out, cost->memory_kib);
    if (!r)
        r = sm_buf_put_u32(out, cost->passes);
    if (!r)
        r = sm_buf_put_u32(out, cost->lanes);
    return r ? r : sm_buf_put(out, salt, 16);
}

int restorekey_wrap(struct sm_span password, const uint8_t card[RESTOREKEY_CARD_LEN],
    const struct crypto_pass_cost *cost, const struct crypto_x25519_pair *pair, struct sm_buf *ret)
{
    uint8_t salt[16], nonce[12], kek[32], sealed[48], aad[WRAP_AAD + 32];
    struct sm_buf out = SM_BUF_INIT(RESTOREKEY_WRAP_LEN);
    struct crypto_aead *aead = NULL;
    crypto_random(salt, sizeof salt);
    crypto_random(nonce, sizeof nonce);
    int r = wrap_kek(password, card, cost, salt, kek);
    if (!r)
        r = wrap_head(cost, salt, &out);
    if (!r)
        r = crypto_aead_new(&aead);
    if (!r) {
        memcpy(aad, out.p, WRAP_AAD);
        memcpy(aad + WRAP_AAD, pair->public_key, 32);
        r = crypto_aead_seal(aead, kek, nonce, SM_SPAN(aad, sizeof aad), SM_SPAN(pair->secret, 32), sealed);
    }
    if (!r)
        r = sm_buf_put(&out, nonce, sizeof nonce);
    if (!r)
        r = sm_buf_put(&out, sealed, sizeof sealed);
    if (!r)
        r = sm_buf_put(&out, pair->public_key, 32);
    if (!r)
        r = sm_buf_put_span(ret, sm_buf_span(&out));
    crypto_aead_free(aead);
    sm_zero(kek, sizeof kek);
    sm_buf_wipe(&out);
    return r;
}

static int wrap_form(struct sm_span wrap)
{
    if (wrap.n != RESTOREKEY_WRAP_LEN || memcmp(wrap.p, "SKW1", 4) != 0)
        return -SM_EFORMAT;
    return wrap.p[4] == 1 && wrap.p[5] == 0 ? 0 : -SM_EVERSION; /* the TPM flag is for a later version */
}

int restorekey_wrap_check(struct sm_span wrap, const struct crypto_pass_cost *least, uint8_t ret_public[32])
{
    int r = wrap_form(wrap);
    if (r)
        return r;
    uint32_t memory = le32(wrap.p + 6), passes = le32(wrap.p + 10), lanes = le32(wrap.p + 14);
    if (memory > MEMORY_MAX_KIB || passes < 1 || passes > PASSES_MAX || lanes < 1 || lanes > LANES_MAX)
        return -SM_ELIMIT;
    if (least && (memory < least->memory_kib || passes < least->passes))
        return -SM_ELIMIT;
    memcpy(ret_public, wrap.p + WRAP_PUBLIC, 32);
    return 0;
}

int restorekey_unwrap(struct sm_span wrap, struct sm_span password, const uint8_t card[RESTOREKEY_CARD_LEN],
    struct crypto_x25519_pair *ret)
{
    uint8_t kek[32] = {0}, secret[32] = {0}, aad[WRAP_AAD + 32];
    struct crypto_aead *aead = NULL;
    struct crypto_x25519_pair pair = {0};
    int r = wrap_form(wrap);
    if (!r) {
        struct crypto_pass_cost cost = {le32(wrap.p + 6), le32(wrap.p + 10), le32(wrap.p + 14)};
        r = wrap_kek(password, card, &cost, wrap.p + 18, kek);
    }
    if (!r)
        r = crypto_aead_new(&aead);
    if (!r) {
        memcpy(aad, wrap.p, WRAP_AAD);
        memcpy(aad + WRAP_AAD, wrap.p + WRAP_PUBLIC, 32);
        r = crypto_aead_open(
            aead, kek, wrap.p + WRAP_AAD, SM_SPAN(aad, sizeof aad), SM_SPAN(wrap.p + WRAP_AAD + 12, 48), secret);
    }
    if (!r)
        r = crypto_x25519_from_secret(secret, &pair);
    if (!r && memcmp(pair.public_key, wrap.p + WRAP_PUBLIC, 32) != 0)
        r = -SM_EMISMATCH;
    if (!r)
        *ret = pair;
    crypto_aead_free(aead);
    crypto_x25519_wipe(&pair);
    sm_zero(kek, sizeof kek);
    sm_zero(secret, sizeof secret);
    return r;
}

/* ---- under the recovery sheet ---- */

static int escrow_info(const uint8_t *vault, const uint8_t *open_public, const uint8_t *restore_public,
    struct sm_buf *ret)
{
    int r = sm_buf_put(ret, "sakimori/v1/restore-escrow", 26);
    if (!r)
        r = sm_buf_put(ret, vault, 16);
    if (!r)
        r = sm_buf_put(ret, open_public, 32);
    return r ? r : sm_buf_put(ret, restore_public, 32);
}

int restorekey_escrow(const struct vault_id *vault, const uint8_t open_public[32],
    const struct crypto_x25519_pair *pair, struct sm_buf *ret)
{
    uint8_t enc[32];
    struct sm_buf out = SM_BUF_INIT(RESTOREKEY_ESCROW_LEN), info = SM_BUF_INIT(256), sealed = SM_BUF_INIT(64);
    int r = sm_buf_put(&out, "SKE1\1\0", 6);
    if (!r)
        r = sm_buf_put(&out, vault->b, 16);
    if (!r)
        r = sm_buf_put(&out, pair->public_key, 32);
    if (!r)
        r = sm_buf_put(&out, open_public, 32);
    if (!r)
        r = escrow_info(vault->b, open_public, pair->public_key, &info);
    if (!r)
        r = crypto_hpke_seal(
            open_public, sm_buf_span(&info), sm_buf_span(&out), SM_SPAN(pair->secret, 32), enc, &sealed);
    if (!r)
        r = sm_buf_put(&out, enc, sizeof enc);
    if (!r)
        r = sm_buf_put_span(&out, sm_buf_span(&sealed));
    if (!r)
        r = sm_buf_put_span(ret, sm_buf_span(&out));
    sm_buf_wipe(&out);
    sm_buf_wipe(&info);
    sm_buf_wipe(&sealed);
    return r;
}

int restorekey_escrow_parse(struct sm_span escrow, struct restorekey_escrow *ret)
{
    if (escrow.n != RESTOREKEY_ESCROW_LEN || memcmp(escrow.p, "SKE1", 4) != 0)
        return -SM_EFORMAT;
    if (escrow.p[4] != 1 || escrow.p[5] != 0)
        return -SM_EVERSION;
    memcpy(ret->vault.b, escrow.p + 6, 16);
    memcpy(ret->restore_public, escrow.p + 22, 32);
    memcpy(ret->open_public, escrow.p + 54, 32);
    ret->head = SM_SPAN(escrow.p, ESCROW_HEAD);
    ret->enc = SM_SPAN(escrow.p + ESCROW_HEAD, 32);
    ret->sealed = SM_SPAN(escrow.p + ESCROW_HEAD + 32, 48);
    return 0;
}

int restorekey_escrow_open(struct sm_span escrow, const uint8_t open_secret[32], struct crypto_x25519_pair *ret)
{
    struct restorekey_escrow e;
    struct crypto_x25519_pair sheet = {0}, pair = {0};
    struct sm_buf info = SM_BUF_INIT(256), secret = SM_BUF_INIT(64);
    int r = restorekey_escrow_parse(escrow, &e);
    if (!r)
        r = crypto_x25519_from_secret(open_secret, &sheet);
    if (!r && memcmp(sheet.public_key, e.open_public, 32) != 0)
        r = -SM_EMISMATCH;
    if (!r)
        r = escrow_info(e.vault.b, e.open_public, e.restore_public, &info);
    if (!r)
        r = crypto_hpke_open(&sheet, e.enc.p, sm_buf_span(&info), e.head, e.sealed, &secret);
    if (!r)
        r = secret.n == 32 ? crypto_x25519_from_secret(secret.p, &pair) : -SM_EAUTH;
    if (!r && memcmp(pair.public_key, e.restore_public, 32) != 0)
        r = -SM_EAUTH;
    if (!r)
        *ret = pair;
    crypto_x25519_wipe(&sheet);
    crypto_x25519_wipe(&pair);
    sm_buf_wipe(&info);
    sm_buf_wipe(&secret);
    return r;
}

/* ---- the proof ---- */

int restorekey_proof_text(const uint8_t challenge[RESTOREKEY_CHALLENGE_LEN], const struct vault_id *vault,
    const char *act, const uint8_t over[32], struct sm_buf *ret)
{
    size_t n = strlen(act);
    int r = n > 32 ? -SM_ELIMIT : sm_buf_put(ret, "sakimori/v1/sheet", 17);
    if (!r)
        r = sm_buf_put(ret, challenge, RESTOREKEY_CHALLENGE_LEN);
    if (!r)
        r = sm_buf_put(ret, vault->b, 16);
    if (!r)
        r = sm_buf_put_u8(ret, (uint8_t)n);
    if (!r)
        r = sm_buf_put(ret, act, n);
    return r ? r : sm_buf_put(ret, over, 32);
}
