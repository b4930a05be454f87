#include "vault/snapshot/envelope.h"

#include "crypto/random.h"
#include "vault/snapshot/envelope_internal.h"

#define WRAP_LEN (CRYPTO_X25519_LEN + OBJ_KEY_LEN + CRYPTO_HPKE_EXTRA)
#define WRAP_MAX 2048
#define COMMIT_LEN 32
#define LABEL_COMMIT "sakimori/v1/commit"
#define LABEL_EPH "sakimori/v1/eph"
#define LABEL_ENVELOPE "sakimori/v1/envelope"

int envelope_parse(struct sm_span sealed, const struct client_id *client, struct envelope *ret)
{
    struct envelope e;
    struct sm_rd rd;
    const uint8_t *set_at;
    int r = obj_hdr_expect(sealed, OBJ_ENVELOPE, client, &e.hdr);
    if (r < 0)
        return r;
    if (sealed.n > ENVELOPE_MAX)
        return -SM_ELIMIT;
    if (e.hdr.algorithm != OBJ_STORED)
        return -SM_EFORMAT;
    rd = SM_RD(SM_SPAN(sealed.p + OBJ_HDR_LEN, sealed.n - OBJ_HDR_LEN));
    if (sm_rd_u8(&rd) != 1)
        return rd.err ? -SM_EFORMAT : -SM_EVERSION;
    e.eid = sm_rd_bytes(&rd, ENVELOPE_EID_LEN).p;
    e.commit = sm_rd_bytes(&rd, COMMIT_LEN).p;
    set_at = rd.p;
    r = recipients_read(&rd, &e.set);
    if (r < 0)
        return r;
    e.set_raw = SM_SPAN(set_at, (size_t)(rd.p - set_at));
    r = wrapped_read(&rd, e.set.n, e.wrap);
    if (r < 0)
        return r;
    if (sm_rd_done(&rd) < 0)
        return -SM_EFORMAT;
    *ret = e;
    return 0;
}

int wrapped_read(struct sm_rd *rd, size_t n, struct sm_span *ret)
{
    for (size_t i = 0; i < n; i++) {
        size_t length = sm_rd_u16(rd);
        if (length > WRAP_MAX)
            return -SM_ELIMIT;
        ret[i] = sm_rd_bytes(rd, length);
    }
    return 0;
}

int wrapped_derive(const struct file_key *secret, const char *label, const struct sm_span *parts, size_t n,
    uint8_t ret[32])
{
    struct sm_buf b = {0};
    int r = sm_buf_put_span(&b, SM_SPAN_STR(label));
    for (size_t i = 0; r == 0 && i < n; i++)
        r = sm_buf_put_span(&b, parts[i]);
    if (r == 0)
        r = crypto_hkdf(SM_SPAN(NULL, 0), SM_SPAN(secret->b, sizeof secret->b), sm_buf_span(&b), ret, 32);
    sm_buf_wipe(&b);
    return r;
}

static int commit_make(const struct file_key *f, struct sm_span hdr, const uint8_t *eid, struct sm_span set_raw,
    uint8_t ret[COMMIT_LEN])
{
    const struct sm_span parts[] = {hdr, SM_SPAN(eid, ENVELOPE_EID_LEN), set_raw};
    return wrapped_derive(f, LABEL_COMMIT, parts, 3, ret);
}

static int hpke_info(const struct vault_id *vault, const struct client_id *client, struct sm_span set_raw,
    struct sm_buf *ret)
{
    uint8_t fp[FINGERPRINT_LEN];
    int r;
    recipients_fingerprint(set_raw, fp);
    if ((r = sm_buf_put_span(ret, SM_SPAN_STR(LABEL_ENVELOPE))) == 0 && (r = sm_buf_put(ret, vault, 16)) == 0 &&
        (r = sm_buf_put(ret, client, 16)) == 0)
        r = sm_buf_put(ret, fp, sizeof fp);
    return r;
}

/* The pair a wrap was made with, so that every holder of the secret can make the same wrap. */
static int ephemeral(const struct file_key *f, const char *label, const uint8_t *eid, struct sm_span key,
    struct crypto_x25519_pair *ret)
{
    const struct sm_span parts[] = {SM_SPAN(eid, ENVELOPE_EID_LEN), key};
    uint8_t ikm[32];
    int r = wrapped_derive(f, label, parts, 2, ikm);
    if (r == 0)
        r = crypto_x25519_derive(SM_SPAN(ikm, sizeof ikm), ret);
    sm_zero(ikm, sizeof ikm);
    return r;
}

int wrapped_put(const struct file_key *f, const char *label, const uint8_t eid[ENVELOPE_EID_LEN],
    const struct recipient *to, struct sm_span info, struct sm_buf *ret)
{
    struct crypto_x25519_pair eph;
    struct sm_buf ct = SM_BUF_INIT(WRAP_MAX);
    uint8_t enc[CRYPTO_X25519_LEN];
    int r;
    if (to->algorithm != RECIPIENT_X25519)
        return -SM_EVERSION;
    r = ephemeral(f, label, eid, to->key, &eph);
    if (r < 0)
        return r;
    r = crypto_hpke_seal_with(&eph, to->key.p, info, SM_SPAN(NULL, 0), SM_SPAN(f->b, sizeof f->b), enc, &ct);
    if (r == 0 && (r = sm_buf_put_u16(ret, (uint16_t)(sizeof enc + ct.n))) == 0 &&
        (r = sm_buf_put(ret, enc, sizeof enc)) == 0)
        r = sm_buf_put_span(ret, sm_buf_span(&ct));
    crypto_x25519_wipe(&eph);
    sm_buf_wipe(&ct);
    return r;
}

static int build(const struct vault_id *vault, const struct client_id *client, struct sm_span set_raw,
    const struct file_key *f, const uint8_t *eid, struct sm_buf *b)
{
    uint8_t hdr[OBJ_HDR_LEN], commit[COMMIT_LEN];
    struct recipients set;
    struct sm_buf info = {0};
    int r = recipients_parse(set_raw, &set);
    if (r < 0)
        return r;
    obj_hdr_put(&(struct obj_hdr){.algorithm = OBJ_STORED, .type = OBJ_ENVELOPE, .client = *client}, hdr);
    r = commit_make(f, SM_SPAN(hdr, sizeof hdr), eid, set_raw, commit);
    if (r == 0 && (r = sm_buf_put(b, hdr, sizeof hdr)) == 0 && (r = sm_buf_put_u8(b, 1)) == 0 &&
        (r = sm_buf_put(b, eid, ENVELOPE_EID_LEN)) == 0 && (r = sm_buf_put(b, commit, sizeof commit)) == 0 &&
        (r = sm_buf_put_span(b, set_raw)) == 0)
        r = hpke_info(vault, client, set_raw, &info);
    for (size_t i = 0; r == 0 && i < set.n; i++)
        r = wrapped_put(f, LABEL_EPH, eid, &set.r[i], sm_buf_span(&info), b);
    sm_buf_wipe(&info);
    return r;
}

int envelope_make_with(const struct vault_id *vault, const struct client_id *client, struct sm_span set_raw,
    const struct file_key *f, const uint8_t eid[ENVELOPE_EID_LEN], struct cid *ret_cid, struct sm_buf *ret_sealed)
{
    size_t before = ret_sealed->n;
    int r = build(vault, client, set_raw, f, eid, ret_sealed);
    if (r < 0) {
        ret_sealed->n = before;
        return r;
    }
    obj_name(SM_SPAN(ret_sealed->p + before, ret_sealed->n - before), ret_cid);
    return 0;
}

int envelope_make(const struct vault_id *vault, const struct client_id *client, struct sm_span set_raw,
    struct file_key *ret_f, struct cid *ret_cid, struct sm_buf *ret_sealed)
{
    struct file_key f;
    uint8_t eid[ENVELOPE_EID_LEN];
    int r;
    crypto_random(f.b, sizeof f.b);
    crypto_random(eid, sizeof eid);
    r = envelope_make_with(vault, client, set_raw, &f, eid, ret_cid, ret_sealed);
    if (r == 0)
        *ret_f = f;
    sm_zero(&f, sizeof f);
    return r;
}

int envelope_verify(const struct vault_id *vault, const struct client_id *client, struct sm_span sealed,
    const struct file_key *f)
{
    struct envelope e;
    struct sm_buf again = SM_BUF_INIT(ENVELOPE_MAX);
    int r = envelope_parse(sealed, client, &e);
    if (r < 0)
        return r;
    /* Every byte of an honest envelope follows from F, eid and the set: make it again and compare. */
    r = build(vault, client, e.set_raw, f, e.eid, &again);
    if (r == 0 && (again.n != sealed.n || !sm_ct_eq(again.p, sealed.p, sealed.n)))
        r = -SM_EAUTH;
    sm_buf_wipe(&again);
    return r;
}

static int unwrap(struct sm_span wrap, const struct crypto_x25519_pair *own, struct sm_span info, struct file_key *ret)
{
    struct sm_buf plain = SM_BUF_INIT(OBJ_KEY_LEN);
    int r;
    if (wrap.n != WRAP_LEN)
        return -SM_EAUTH;
    r = crypto_hpke_open(own, wrap.p, info, SM_SPAN(NULL, 0),
        SM_SPAN(wrap.p + CRYPTO_X25519_LEN, wrap.n - CRYPTO_X25519_LEN), &plain);
    if (r == 0 && plain.n != OBJ_KEY_LEN)
        r = -SM_EAUTH;
    if (r == 0)
        memcpy(ret->b, plain.p, OBJ_KEY_LEN);
    sm_buf_wipe(&plain);
    return r;
}

int wrapped_open(const struct recipients *set, const struct sm_span *wraps, const struct crypto_x25519_pair *own,
    struct sm_span info, struct file_key *ret)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->r[i].algorithm == RECIPIENT_X25519 &&
            sm_span_eq(set->r[i].key, SM_SPAN(own->public_key, CRYPTO_X25519_LEN)))
            return unwrap(wraps[i], own, info, ret);
    return -SM_ENOTFOUND;
}

int envelope_open(const struct vault_id *vault, const struct client_id *client, struct sm_span sealed,
    const struct crypto_x25519_pair *recipient, struct file_key *ret_f)
{
    struct envelope e;
    struct file_key f;
    struct sm_buf info = {0};
    int r = envelope_parse(sealed, client, &e);
    if (r < 0)
        return r;
    r = hpke_info(vault, client, e.set_raw, &info);
    if (r == 0)
        r = wrapped_open(&e.set, e.wrap, recipient, sm_buf_span(&info), &f);
    if (r == 0)
        r = envelope_verify(vault, client, sealed, &f);
    if (r == 0)
        *ret_f = f;
    sm_zero(&f, sizeof f);
    sm_buf_wipe(&info);
    return r;
}
