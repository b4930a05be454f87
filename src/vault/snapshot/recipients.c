#include "vault/snapshot/envelope.h"

#include "vault/snapshot/envelope_internal.h"

static int recipient_cmp(const struct recipient *a, const struct recipient *b)
{
    if (a->role != b->role)
        return a->role < b->role ? -1 : 1;
    return sm_span_cmp(a->key, b->key);
}

static bool recipient_ok(const struct recipient *r)
{
    if (r->role != RECIPIENT_SHEET && r->role != RECIPIENT_BOX)
        return false;
    if (r->algorithm == RECIPIENT_X25519)
        return r->key.n == CRYPTO_X25519_LEN;
    return r->key.n >= 1 && r->key.n <= RECIPIENT_KEY_MAX;
}

/* Insertion sort: sixteen at most. */
static int sorted(const struct recipients *set, struct recipients *ret)
{
    ret->n = 0;
    for (size_t i = 0; i < set->n; i++) {
        size_t at = ret->n;
        if (!recipient_ok(&set->r[i]))
            return -SM_EINVAL;
        while (at > 0 && recipient_cmp(&ret->r[at - 1], &set->r[i]) > 0)
            at--;
        if (at > 0 && recipient_cmp(&ret->r[at - 1], &set->r[i]) == 0)
            return -SM_EINVAL;
        memmove(&ret->r[at + 1], &ret->r[at], (ret->n - at) * sizeof ret->r[0]);
        ret->r[at] = set->r[i];
        ret->n++;
    }
    return 0;
}

int recipients_put(const struct recipients *set, struct sm_buf *ret)
{
    struct recipients s;
    size_t before = ret->n;
    int r;
    if (set->n < 1 || set->n > RECIPIENTS_MAX)
        return -SM_EINVAL;
    r = sorted(set, &s);
    if (r < 0)
        return r;
    r = sm_buf_put_u8(ret, (uint8_t)s.n);
    for (size_t i = 0; r == 0 && i < s.n; i++) {
        if ((r = sm_buf_put_u8(ret, s.r[i].role)) == 0 && (r = sm_buf_put_u16(ret, s.r[i].algorithm)) == 0 &&
            (r = sm_buf_put_u16(ret, (uint16_t)s.r[i].key.n)) == 0)
            r = sm_buf_put_span(ret, s.r[i].key);
    }
    if (r < 0)
        ret->n = before;
    return r;
}

int recipients_read(struct sm_rd *rd, struct recipients *ret)
{
    ret->n = sm_rd_u8(rd);
    if (rd->err || ret->n < 1)
        return -SM_EFORMAT;
    if (ret->n > RECIPIENTS_MAX)
        return -SM_ELIMIT;
    for (size_t i = 0; i < ret->n; i++) {
        struct recipient *r = &ret->r[i];
        r->role = sm_rd_u8(rd);
        r->algorithm = sm_rd_u16(rd);
        size_t n = sm_rd_u16(rd);
        if (n > RECIPIENT_KEY_MAX)
            return -SM_ELIMIT;
        r->key = sm_rd_bytes(rd, n);
        if (rd->err || !recipient_ok(r) || (i > 0 && recipient_cmp(&ret->r[i - 1], r) >= 0))
            return -SM_EFORMAT;
    }
    return 0;
}

int recipients_parse(struct sm_span raw, struct recipients *ret)
{
    struct recipients s;
    struct sm_rd rd = SM_RD(raw);
    int r = recipients_read(&rd, &s);
    if (r < 0)
        return r;
    if (sm_rd_done(&rd) < 0)
        return -SM_EFORMAT;
    *ret = s;
    return 0;
}

void recipients_fingerprint(struct sm_span raw, uint8_t ret[FINGERPRINT_LEN])
{
    struct sm_span parts[2] = {SM_SPAN_STR("sakimori/v1/recipients"), raw};
    crypto_sha256v(parts, 2, ret);
}
