#include "journal/seal.h"

#include "crypto/hash.h"

#define LABEL_STATEMENT "sakimori/v1/journal-statement"
#define LABEL_SIGN "sakimori/v1/journal-seal"
#define LABEL_BODY "sakimori/v1/journal-body"

static const char magic[4] = "SJS1";
enum { SIGNED_LEN = EVSEAL_LEN - CRYPTO_SIGN_LEN };

static void put64(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static void labelled(const char *label, struct sm_span s, uint8_t ret[32])
{
    const struct sm_span parts[] = { SM_SPAN_STR(label), s };

    crypto_sha256v(parts, 2, ret);
}

void evseal_root_pack(const struct evseal_root *r, uint8_t ret[EVSEAL_ROOT_LEN])
{
    put64(ret, r->block);
    put64(ret + 8, r->events);
    put64(ret + 16, r->last_id);
    memcpy(ret + 24, r->hash, 32);
}

int evseal_root_unpack(struct sm_span body, struct evseal_root *ret)
{
    if (body.n != EVSEAL_ROOT_LEN)
        return -SM_EFORMAT;
    *ret = (struct evseal_root){ .block = get64(body.p), .events = get64(body.p + 8), .last_id = get64(body.p + 16) };
    memcpy(ret->hash, body.p + 24, 32);
    return 0;
}

void evseal_link_pack(const struct evseal_link *l, uint8_t ret[EVSEAL_LINK_LEN])
{
    memcpy(ret, "SJK1", 4);
    memcpy(ret + 4, l->key, 32);
    put64(ret + 36, l->seq);
    memcpy(ret + 44, l->last, 32);
    put64(ret + 76, l->block);
    memcpy(ret + 84, l->hash, 32);
    put64(ret + 116, l->sealed_block);
    put64(ret + 124, l->next_block);
    put64(ret + 132, l->next_id);
    put64(ret + 140, (uint64_t)l->time_s);
}

int evseal_link_unpack(struct sm_span body, struct evseal_link *ret)
{
    if (body.n != EVSEAL_LINK_LEN || memcmp(body.p, "SJK1", 4) != 0)
        return -SM_EFORMAT;
    struct evseal_link l = { .seq = get64(body.p + 36), .block = get64(body.p + 76), .sealed_block = get64(body.p + 116),
        .next_block = get64(body.p + 124), .next_id = get64(body.p + 132), .time_s = (int64_t)get64(body.p + 140) };
    memcpy(l.key, body.p + 4, 32);
    memcpy(l.last, body.p + 44, 32);
    memcpy(l.hash, body.p + 84, 32);
    if (l.next_block <= l.block || l.sealed_block > l.block || !l.next_id)
        return -SM_EFORMAT;
    *ret = l;
    return 0;
}

int evseal_parse(const uint8_t b[EVSEAL_LEN], struct evseal_statement *ret)
{
    struct evseal_statement s = { .kind = b[4] };

    if (memcmp(b, magic, 3) || b[5] || b[6] || b[7])
        return -SM_EFORMAT;
    if (b[3] != magic[3])
        return -SM_EVERSION;
    s.seq = get64(b + 8);
    s.epoch = get64(b + 16);
    s.time_s = (int64_t)get64(b + 24);
    memcpy(s.before, b + 32, 32);
    memcpy(s.body_hash, b + 64, 32);
    memcpy(s.signature, b + SIGNED_LEN, CRYPTO_SIGN_LEN);
    if (!s.seq || !s.kind)
        return -SM_EFORMAT;
    *ret = s;
    return 0;
}

void evseal_hash(const uint8_t bytes[EVSEAL_LEN], uint8_t ret[32])
{
    labelled(LABEL_STATEMENT, SM_SPAN(bytes, EVSEAL_LEN), ret);
}

/* ---- keyd's side ---- */

int evseal_begin(struct evseal_state *ret)
{
    struct evseal_state s = { 0 };
    int r = crypto_sign_generate(&s.pair);

    if (r < 0)
        return r;
    *ret = s;
    evseal_wipe(&s);
    return 0;
}

void evseal_wipe(struct evseal_state *s)
{
    sm_zero(s, sizeof *s);
}

void evseal_state_pack(const struct evseal_state *s, uint8_t ret[EVSEAL_STATE_LEN])
{
    put64(ret, s->seq);
    put64(ret + 8, s->epoch);
    put64(ret + 16, (uint64_t)s->time_s);
    memcpy(ret + 24, s->last, 32);
    memcpy(ret + 56, s->pair.seed, 32);
}

int evseal_state_unpack(struct sm_span bytes, struct evseal_state *ret)
{
    if (bytes.n != EVSEAL_STATE_LEN)
        return -SM_EFORMAT;
    struct evseal_state s = { .seq = get64(bytes.p), .epoch = get64(bytes.p + 8),
        .time_s = (int64_t)get64(bytes.p + 16) };
    memcpy(s.last, bytes.p + 24, 32);
    int r = crypto_sign_from_seed(bytes.p + 56, &s.pair);
    if (r >= 0)
        *ret = s;
    evseal_wipe(&s);
    return r < 0 ? r : 0;
}

static int state_sign(struct evseal_state *s, uint8_t kind, struct sm_span body, int64_t now_s, uint8_t ret[EVSEAL_LEN])
{
    uint8_t b[EVSEAL_LEN] = { 0 };
    int64_t time_s = now_s > s->time_s ? now_s : s->time_s;

    if (body.n > EVSEAL_BODY_MAX)
        return -SM_ELIMIT;
    memcpy(b, magic, 4);
    b[4] = kind;
    put64(b + 8, s->seq + 1);
    put64(b + 16, s->epoch);
    put64(b + 24, (uint64_t)time_s);
    memcpy(b + 32, s->last, 32);
    labelled(LABEL_BODY, body, b + 64);
    int r = crypto_sign_text(&s->pair, LABEL_SIGN, SM_SPAN(b, SIGNED_LEN), b + SIGNED_LEN);
    if (r < 0)
        return r;
    s->seq++;
    s->time_s = time_s;
    evseal_hash(b, s->last);
    memcpy(ret, b, sizeof b);
    return 0;
}

int evseal_sign(struct evseal_state *s, enum evseal_kind kind, struct sm_span body, int64_t now_s,
    uint8_t ret[EVSEAL_LEN])
{
    if (kind != EVSEAL_BLOCKS && kind != EVSEAL_TOMBSTONE && (kind != EVSEAL_LINK || s->seq))
        return -SM_EINVAL;
    return state_sign(s, (uint8_t)kind, body, now_s, ret);
}

int evseal_advance(struct evseal_state *s, int64_t now_s, uint8_t ret[EVSEAL_LEN],
    uint8_t ret_body[CRYPTO_SIGN_PUBLIC_LEN])
{
    struct crypto_sign_pair next;
    int r = crypto_sign_generate(&next);

    if (r < 0)
        return r;
    r = state_sign(s, EVSEAL_EPOCH, SM_SPAN(next.public_key, sizeof next.public_key), now_s, ret);
    if (r >= 0) {
        memcpy(ret_body, next.public_key, sizeof next.public_key);
        crypto_sign_wipe(&s->pair);
        s->pair = next;
        s->epoch++;
    }
    crypto_sign_wipe(&next);
    return r < 0 ? r : 0;
}

/* ---- the verifier's side ---- */

int evseal_step(struct evseal_walk *w, const uint8_t statement[EVSEAL_LEN], struct sm_span body)
{
    struct evseal_statement s;
    uint8_t hash[32];
    int r = evseal_parse(statement, &s);

    if (r < 0)
        return r;
    labelled(LABEL_BODY, body, hash);
    if (s.seq != w->seq + 1 || s.epoch != w->epoch || s.time_s < w->time_s || memcmp(s.before, w->last, 32)
        || memcmp(s.body_hash, hash, 32))
        return -SM_EMISMATCH;
    if (s.kind == EVSEAL_EPOCH && body.n != CRYPTO_SIGN_PUBLIC_LEN)
        return -SM_EFORMAT;
    r = w->unsigned_ ? 0 : crypto_sign_text_verify(w->key, LABEL_SIGN, SM_SPAN(statement, SIGNED_LEN), s.signature);
    if (r < 0)
        return r;
    w->seq = s.seq;
    w->time_s = s.time_s;
    evseal_hash(statement, w->last);
    if (s.kind == EVSEAL_EPOCH) {
        w->epoch++;
        memcpy(w->key, body.p, sizeof w->key);
    }
    return 0;
}
