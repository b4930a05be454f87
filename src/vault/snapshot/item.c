#include "vault/snapshot/item.h"

#include "crypto/aead.h"
#include "vault/seal/seal_internal.h"

static const char label[] = "sakimori/v1/item";
#define LABEL_N (sizeof label - 1)

int item_key(const struct file_key *f, const struct client_id *client, struct chunk_key *ret)
{
    uint8_t info[LABEL_N + 16];
    memcpy(info, label, LABEL_N);
    memcpy(info + LABEL_N, client->b, 16);
    return crypto_hkdf(SM_SPAN(NULL, 0), SM_SPAN(f->b, sizeof f->b), SM_SPAN(info, sizeof info), ret->b, sizeof ret->b);
}

/* The associated data, in the context's scratch: 48 bytes a part, so at most 3 MiB. */
static int aad_put(struct sm_buf *b, const struct cid *envelope, uint8_t layout, const struct part *parts, size_t n)
{
    static const struct cid zero;
    int r;
    sm_buf_clear(b);
    r = sm_buf_reserve(b, LABEL_N + sizeof *envelope + 1 + n * 48);
    if (r < 0 || (r = sm_buf_put(b, label, LABEL_N)) < 0 || (r = sm_buf_put(b, envelope, sizeof *envelope)) < 0 ||
        (r = sm_buf_put_u8(b, layout)) < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        const struct cid *c = parts[i].hole ? &zero : &parts[i].cid;
        if ((r = sm_buf_put(b, c, sizeof *c)) < 0 || (r = sm_buf_put_u64(b, parts[i].offset)) < 0 ||
            (r = sm_buf_put_u64(b, parts[i].length)) < 0)
            return r;
    }
    return 0;
}

static size_t count_keys(const struct part *parts, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += !parts[i].hole;
    return k;
}

static void counter_nonce(uint64_t counter, uint8_t ret[OBJ_NONCE_LEN])
{
    memset(ret, 0, 4);
    for (int i = 0; i < 8; i++)
        ret[4 + i] = (uint8_t)(counter >> (8 * i));
}

int item_seal(struct seal_ctx *c, const struct chunk_key *k_item, uint64_t counter, const struct cid *envelope,
    uint8_t layout, const struct part *parts, size_t n, const struct chunk_key *keys, size_t nkeys,
    struct sm_buf *ret_item)
{
    uint8_t nonce[OBJ_NONCE_LEN];
    size_t bytes = nkeys * OBJ_KEY_LEN;
    int r;
    if (n < 1 || n > VAULT_PARTS_MAX || nkeys < 1 || nkeys != count_keys(parts, n))
        return -SM_EINVAL;
    r = aad_put(&c->scratch, envelope, layout, parts, n);
    if (r < 0 || (r = sm_buf_reserve(ret_item, bytes + OBJ_TAG_LEN)) < 0)
        return r;
    counter_nonce(counter, nonce);
    r = crypto_aead_seal(c->aead, k_item->b, nonce, sm_buf_span(&c->scratch), SM_SPAN(keys, bytes),
        ret_item->p + ret_item->n);
    if (r < 0)
        return r;
    ret_item->n += bytes + OBJ_TAG_LEN;
    return 0;
}

int item_open(struct seal_ctx *c, const struct chunk_key *k_item, uint64_t counter, const struct cid *envelope,
    uint8_t layout, const struct part *parts, size_t n, struct sm_span item, struct sm_buf *ret_keys)
{
    uint8_t nonce[OBJ_NONCE_LEN];
    size_t bytes;
    int r;
    if (n < 1 || n > VAULT_PARTS_MAX)
        return -SM_EFORMAT;
    bytes = count_keys(parts, n) * OBJ_KEY_LEN;
    if (bytes == 0 || item.n != bytes + OBJ_TAG_LEN)
        return -SM_EFORMAT;
    r = aad_put(&c->scratch, envelope, layout, parts, n);
    if (r < 0 || (r = sm_buf_reserve(ret_keys, bytes)) < 0)
        return r;
    counter_nonce(counter, nonce);
    r = crypto_aead_open(c->aead, k_item->b, nonce, sm_buf_span(&c->scratch), item, ret_keys->p + ret_keys->n);
    if (r < 0)
        return r;
    ret_keys->n += bytes;
    return 0;
}
