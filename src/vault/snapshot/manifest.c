#include "vault/snapshot/manifest.h"
#include "crypto/hash.h"

static const uint8_t magic[4] = {'S', 'K', 'M', '1'};
static const char label[] = "sakimori/v1/manifest";
static const char countersign_label[] = "sakimori/v1/countersign";

static bool fields_ok(const struct manifest *m)
{
    if (m->run < RUN_SCHEDULED || m->run > RUN_MADE_UP || m->status < RUN_COMPLETE || m->status > RUN_PARTIAL)
        return false;
    if (m->nroots < 1 || m->nroots > MANIFEST_ROOTS_MAX || m->item.n != m->nroots * OBJ_KEY_LEN + OBJ_TAG_LEN)
        return false;
    return m->facts.n <= MANIFEST_FACTS_MAX && m->label.n <= MANIFEST_LABEL_MAX && sm_utf8_valid(m->label);
}

static int put_fixed(const struct manifest *m, struct sm_buf *b)
{
    int r;
    if ((r = sm_buf_put(b, magic, 4)) < 0 || (r = sm_buf_put_u8(b, 1)) < 0 ||
        (r = sm_buf_put(b, m->vault.b, 16)) < 0 || (r = sm_buf_put(b, m->client.b, 16)) < 0 ||
        (r = sm_buf_put(b, m->source.b, 16)) < 0 || (r = sm_buf_put(b, m->run_id.b, 16)) < 0 ||
        (r = sm_buf_put_u64(b, m->number)) < 0 || (r = sm_buf_put(b, m->previous.b, 32)) < 0 ||
        (r = sm_buf_put_u64(b, m->head_seq)) < 0 || (r = sm_buf_put(b, m->head_hash, 32)) < 0 ||
        (r = sm_buf_put_u8(b, m->run)) < 0 || (r = sm_buf_put_u8(b, m->status)) < 0 ||
        (r = sm_buf_put_u64(b, (uint64_t)m->started_s)) < 0 || (r = sm_buf_put_u64(b, (uint64_t)m->finished_s)) < 0)
        return r;
    return sm_buf_put(b, m->envelope.b, 32);
}

static int put_rest(const struct manifest *m, struct sm_buf *b)
{
    int r;
    if ((r = sm_buf_put_varint(b, m->nroots)) < 0 || (r = sm_buf_put(b, m->roots, m->nroots * 32)) < 0 ||
        (r = sm_buf_put_varint(b, m->counter)) < 0 || (r = sm_buf_put_blob(b, m->item)) < 0 ||
        (r = sm_buf_put_blob(b, m->facts)) < 0)
        return r;
    return sm_buf_put_blob(b, m->label);
}

static int signed_bytes(struct sm_span body, struct sm_buf *ret)
{
    uint8_t hash[CRYPTO_SHA256_LEN];
    crypto_sha256(body, hash);
    int r = sm_buf_put_span(ret, SM_SPAN_STR(label));
    return r < 0 ? r : sm_buf_put(ret, hash, sizeof hash);
}

int manifest_build(const struct manifest *m, const struct crypto_sign_pair *device, struct sm_buf *ret)
{
    struct sm_buf msg = {0};
    uint8_t sig[CRYPTO_SIGN_LEN];
    size_t before = ret->n;
    int r;
    if (!fields_ok(m))
        return -SM_EINVAL;
    if ((r = put_fixed(m, ret)) == 0 && (r = put_rest(m, ret)) == 0 &&
        (r = signed_bytes(SM_SPAN(ret->p + before, ret->n - before), &msg)) == 0 &&
        (r = crypto_sign(device, sm_buf_span(&msg), sig)) == 0)
        r = sm_buf_put(ret, sig, sizeof sig);
    if (r == 0 && ret->n - before > MANIFEST_MAX)
        r = -SM_ELIMIT;
    if (r < 0)
        ret->n = before;
    sm_buf_wipe(&msg);
    return r;
}

static void read_fixed(struct sm_rd *rd, struct manifest *m)
{
    sm_rd_copy(rd, m->vault.b, 16);
    sm_rd_copy(rd, m->client.b, 16);
    sm_rd_copy(rd, m->source.b, 16);
    sm_rd_copy(rd, m->run_id.b, 16);
    m->number = sm_rd_u64(rd);
    sm_rd_copy(rd, m->previous.b, 32);
    m->head_seq = sm_rd_u64(rd);
    sm_rd_copy(rd, m->head_hash, 32);
    m->run = sm_rd_u8(rd);
    m->status = sm_rd_u8(rd);
    m->started_s = (int64_t)sm_rd_u64(rd);
    m->finished_s = (int64_t)sm_rd_u64(rd);
    sm_rd_copy(rd, m->envelope.b, 32);
}

int manifest_parse(struct sm_span bytes, struct manifest *ret)
{
    struct manifest m = {0};
    struct sm_rd rd = SM_RD(bytes);
    struct sm_span head;
    uint64_t n;
    if (bytes.n > MANIFEST_MAX)
        return -SM_ELIMIT;
    head = sm_rd_bytes(&rd, 4);
    if (rd.err || memcmp(head.p, magic, 4) != 0)
        return -SM_EFORMAT;
    if (sm_rd_u8(&rd) != 1)
        return rd.err ? -SM_EFORMAT : -SM_EVERSION;
    read_fixed(&rd, &m);
    n = sm_rd_varint(&rd);
    if (rd.err)
        return -SM_EFORMAT;
    if (n > MANIFEST_ROOTS_MAX)
        return -SM_ELIMIT;
    m.nroots = (size_t)n;
    m.roots = (const struct cid *)(const void *)sm_rd_bytes(&rd, m.nroots * 32).p;
    m.counter = sm_rd_varint(&rd);
    m.item = sm_rd_blob(&rd, MANIFEST_ROOTS_MAX * OBJ_KEY_LEN + OBJ_TAG_LEN);
    m.facts = sm_rd_blob(&rd, MANIFEST_FACTS_MAX);
    m.label = sm_rd_blob(&rd, MANIFEST_LABEL_MAX);
    (void)sm_rd_bytes(&rd, CRYPTO_SIGN_LEN); /* manifest_verify reads it */
    if (rd.err)
        return rd.err == -SM_ELIMIT ? -SM_ELIMIT : -SM_EFORMAT;
    if (sm_rd_done(&rd) < 0 || !fields_ok(&m))
        return -SM_EFORMAT;
    *ret = m;
    return 0;
}

int manifest_verify(struct sm_span bytes, const uint8_t device_public[CRYPTO_SIGN_PUBLIC_LEN])
{
    struct sm_buf msg = {0};
    size_t n;
    int r;
    if (bytes.n <= CRYPTO_SIGN_LEN || bytes.n > MANIFEST_MAX)
        return -SM_EFORMAT;
    n = bytes.n - CRYPTO_SIGN_LEN;
    r = signed_bytes(SM_SPAN(bytes.p, n), &msg);
    if (r == 0)
        r = crypto_sign_verify(device_public, sm_buf_span(&msg), bytes.p + n);
    sm_buf_wipe(&msg);
    return r;
}

void manifest_id(struct sm_span bytes, struct cid *ret)
{
    crypto_sha256(bytes, ret->b);
}

#define COUNTERSIGN_N (sizeof countersign_label - 1 + 32 + 8 + 8)

static void countersign_bytes(const struct cid *id, uint64_t seq, int64_t s, uint8_t ret[COUNTERSIGN_N])
{
    uint8_t *p = ret;
    memcpy(p, countersign_label, sizeof countersign_label - 1);
    p += sizeof countersign_label - 1;
    memcpy(p, id->b, 32);
    p += 32;
    for (int i = 0; i < 8; i++) {
        p[i] = (uint8_t)(seq >> (8 * i));
        p[8 + i] = (uint8_t)((uint64_t)s >> (8 * i));
    }
}

int manifest_countersign(const struct cid *id, uint64_t seq, int64_t s, const struct crypto_sign_pair *head,
    uint8_t ret[CRYPTO_SIGN_LEN])
{
    uint8_t msg[COUNTERSIGN_N];
    countersign_bytes(id, seq, s, msg);
    return crypto_sign(head, SM_SPAN(msg, sizeof msg), ret);
}

int manifest_countersign_verify(const struct cid *id, uint64_t seq, int64_t s,
    const uint8_t head_public[CRYPTO_SIGN_PUBLIC_LEN], const uint8_t signature[CRYPTO_SIGN_LEN])
{
    uint8_t msg[COUNTERSIGN_N];
    countersign_bytes(id, seq, s, msg);
    return crypto_sign_verify(head_public, SM_SPAN(msg, sizeof msg), signature);
}
