#include "vault/seal/selfkeys.h"

#include <errno.h>

#include "crypto/kem.h"

#define MAGIC "SKB1\1\0\0"
#define HEAD (8 + 16 + 32)
#define INFO "sakimori/v1/self-keys"

bool selfkeys_name_ok(struct sm_span name)
{
    if (!name.n || name.n > SELFKEYS_NAME_MAX || name.p[0] == '.')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static int plain_put(const struct selfkeys *k, struct sm_buf *out)
{
    int r = k->n >= 1 && k->n <= SELFKEYS_FILES_MAX ? sm_buf_put_u8(out, 1) : -SM_EINVAL;
    if (!r)
        r = sm_buf_put(out, k->client.b, 16);
    if (!r)
        r = sm_buf_put(out, k->sign_pub, 32);
    if (!r)
        r = sm_buf_put_u8(out, (uint8_t)k->n);
    for (size_t i = 0; i < k->n && !r; i++) {
        const struct selfkeys_file *f = &k->file[i];
        size_t len = strnlen(f->name, sizeof f->name);
        if (!selfkeys_name_ok(SM_SPAN(f->name, len)) || (i && strcmp(k->file[i - 1].name, f->name) >= 0))
            return -SM_EINVAL;
        r = sm_buf_put_u8(out, (uint8_t)len);
        if (!r)
            r = sm_buf_put(out, f->name, len);
        if (!r)
            r = sm_buf_put_u32(out, (uint32_t)f->content.n);
        if (!r)
            r = sm_buf_put_span(out, f->content);
    }
    return r;
}

static int file_get(struct sm_rd *rd, struct selfkeys_file *ret)
{
    uint8_t len = sm_rd_u8(rd);
    struct sm_span name = sm_rd_bytes(rd, len);
    uint32_t n = sm_rd_u32(rd);
    ret->content = sm_rd_bytes(rd, n);
    if (rd->err || !selfkeys_name_ok(name))
        return -SM_EFORMAT;
    memcpy(ret->name, name.p, name.n);
    ret->name[name.n] = 0;
    return 0;
}

int selfkeys_parse(struct sm_span plain, struct selfkeys *ret)
{
    struct selfkeys k = {0};
    struct sm_rd rd = SM_RD(plain);
    if (plain.n > SELFKEYS_PLAIN_MAX)
        return -SM_ELIMIT;
    uint8_t version = sm_rd_u8(&rd);
    if (!rd.err && version != 1)
        return -SM_EVERSION;
    sm_rd_copy(&rd, k.client.b, 16);
    sm_rd_copy(&rd, k.sign_pub, 32);
    k.n = sm_rd_u8(&rd);
    if (rd.err || !k.n || k.n > SELFKEYS_FILES_MAX)
        return -SM_EFORMAT;
    for (size_t i = 0; i < k.n; i++) {
        int r = file_get(&rd, &k.file[i]);
        if (r)
            return r;
        if (i && strcmp(k.file[i - 1].name, k.file[i].name) >= 0)
            return -SM_EFORMAT;
    }
    if (rd.n)
        return -SM_EFORMAT;
    *ret = k;
    return 0;
}

static int info_put(const uint8_t *vault, const uint8_t *open_public, struct sm_buf *out)
{
    int r = sm_buf_put(out, INFO, sizeof INFO - 1);
    if (!r)
        r = sm_buf_put(out, vault, 16);
    return r ? r : sm_buf_put(out, open_public, 32);
}

int selfkeys_seal(
    const struct vault_id *vault, const uint8_t open_public[32], const struct selfkeys *k, struct sm_buf *ret)
{
    uint8_t enc[32];
    struct sm_buf plain = SM_BUF_INIT(SELFKEYS_PLAIN_MAX), head = SM_BUF_INIT(HEAD), info = SM_BUF_INIT(128),
                  sealed = SM_BUF_INIT(SELFKEYS_MAX);
    int r = plain_put(k, &plain);
    if (!r)
        r = sm_buf_put(&head, MAGIC, 8);
    if (!r)
        r = sm_buf_put(&head, vault->b, 16);
    if (!r)
        r = sm_buf_put(&head, open_public, 32);
    if (!r)
        r = info_put(vault->b, open_public, &info);
    if (!r)
        r = crypto_hpke_seal(open_public, sm_buf_span(&info), sm_buf_span(&head), sm_buf_span(&plain), enc, &sealed);
    if (!r)
        r = sm_buf_put_span(ret, sm_buf_span(&head));
    if (!r)
        r = sm_buf_put(ret, enc, sizeof enc);
    if (!r)
        r = sm_buf_put_span(ret, sm_buf_span(&sealed));
    sm_buf_wipe(&plain);
    sm_buf_wipe(&head);
    sm_buf_wipe(&info);
    sm_buf_wipe(&sealed);
    return r;
}

/* *ret_enc and *ret_ct borrow from sealed. */
static int split(struct sm_span sealed, const struct vault_id *vault, const uint8_t open_public[32],
    struct sm_span *ret_enc, struct sm_span *ret_ct)
{
    if (sealed.n > SELFKEYS_MAX)
        return -SM_ELIMIT;
    if (sealed.n < HEAD + 32 + CRYPTO_HPKE_EXTRA || memcmp(sealed.p, MAGIC, 4) != 0)
        return -SM_EFORMAT;
    if (memcmp(sealed.p, MAGIC, 8) != 0)
        return -SM_EVERSION;
    if (memcmp(sealed.p + 8, vault->b, 16) != 0 || memcmp(sealed.p + 24, open_public, 32) != 0)
        return -SM_EMISMATCH;
    *ret_enc = SM_SPAN(sealed.p + HEAD, 32);
    *ret_ct = SM_SPAN(sealed.p + HEAD + 32, sealed.n - HEAD - 32);
    return 0;
}

int selfkeys_open(struct sm_span sealed, const struct vault_id *vault, const uint8_t open_secret[32],
    struct sm_buf *plain, struct selfkeys *ret)
{
    struct crypto_x25519_pair open = {0};
    struct sm_span enc, ct;
    struct sm_buf info = SM_BUF_INIT(128);
    int r = crypto_x25519_from_secret(open_secret, &open);
    if (!r)
        r = split(sealed, vault, open.public_key, &enc, &ct);
    if (!r)
        r = info_put(vault->b, open.public_key, &info);
    if (!r)
        r = crypto_hpke_open(&open, enc.p, sm_buf_span(&info), SM_SPAN(sealed.p, HEAD), ct, plain);
    if (!r)
        r = selfkeys_parse(sm_buf_span(plain), ret);
    crypto_x25519_wipe(&open);
    sm_buf_wipe(&info);
    return r;
}

const struct selfkeys_file *selfkeys_find(const struct selfkeys *k, const char *name)
{
    for (size_t i = 0; i < k->n; i++)
        if (strcmp(k->file[i].name, name) == 0)
            return &k->file[i];
    return NULL;
}
