#include "vault/snapshot/keylink.h"

#include "crypto/random.h"
#include "vault/snapshot/envelope_internal.h"

#define LABEL_COMMIT "sakimori/v1/link-commit"
#define LABEL_EPH "sakimori/v1/link-eph"
#define LABEL_LINK "sakimori/v1/link"

/* The one header there is: stored, of no client. */
static void header(uint8_t ret[OBJ_HDR_LEN])
{
    obj_hdr_put(&(struct obj_hdr){.algorithm = OBJ_STORED, .type = OBJ_KEYLINK}, ret);
}

int keylink_parse(struct sm_span sealed, struct keylink *ret)
{
    struct keylink k;
    uint8_t hdr[OBJ_HDR_LEN];
    if (sealed.n > KEYLINK_MAX)
        return -SM_ELIMIT;
    header(hdr);
    if (sealed.n < sizeof hdr)
        return -SM_EFORMAT;
    if (memcmp(sealed.p, hdr, sizeof hdr) != 0)
        return -SM_EMISMATCH;
    struct sm_rd rd = SM_RD(SM_SPAN(sealed.p + sizeof hdr, sealed.n - sizeof hdr));
    if (sm_rd_u8(&rd) != 1)
        return rd.err ? -SM_EFORMAT : -SM_EVERSION;
    k.eid = sm_rd_bytes(&rd, ENVELOPE_EID_LEN).p;
    k.old_public = sm_rd_bytes(&rd, CRYPTO_X25519_LEN).p;
    k.commit = sm_rd_bytes(&rd, ENVELOPE_COMMIT).p;
    const uint8_t *set_at = rd.p;
    int r = recipients_read(&rd, &k.set);
    if (r == 0)
        k.set_raw = SM_SPAN(set_at, (size_t)(rd.p - set_at));
    if (r == 0)
        r = wrapped_read(&rd, k.set.n, k.wrap);
    if (r == 0 && sm_rd_done(&rd) < 0)
        r = -SM_EFORMAT;
    if (r == 0)
        *ret = k;
    return r;
}

static int info_make(const struct vault_id *vault, const uint8_t *old_public, struct sm_span set_raw,
    struct sm_buf *ret)
{
    uint8_t fp[FINGERPRINT_LEN];
    recipients_fingerprint(set_raw, fp);
    int r = sm_buf_put_span(ret, SM_SPAN_STR(LABEL_LINK));
    if (r == 0)
        r = sm_buf_put(ret, vault, sizeof vault->b);
    if (r == 0)
        r = sm_buf_put(ret, old_public, CRYPTO_X25519_LEN);
    return r ? r : sm_buf_put(ret, fp, sizeof fp);
}

static int build(const struct vault_id *vault, struct sm_span set_raw, const struct crypto_x25519_pair *old,
    const uint8_t *eid, struct sm_buf *b)
{
    uint8_t hdr[OBJ_HDR_LEN], commit[ENVELOPE_COMMIT];
    struct recipients set;
    struct file_key s;
    struct sm_buf info = {0};
    int r = recipients_parse(set_raw, &set);
    if (r < 0)
        return r;
    header(hdr);
    memcpy(s.b, old->secret, sizeof s.b);
    const struct sm_span parts[] = {SM_SPAN(hdr, sizeof hdr), SM_SPAN(eid, ENVELOPE_EID_LEN),
        SM_SPAN(old->public_key, CRYPTO_X25519_LEN), set_raw};
    r = wrapped_derive(&s, LABEL_COMMIT, parts, 4, commit);
    if (r == 0)
        r = sm_buf_put(b, hdr, sizeof hdr);
    if (r == 0)
        r = sm_buf_put_u8(b, 1);
    for (size_t i = 1; i < 3 && r == 0; i++)
        r = sm_buf_put_span(b, parts[i]);
    if (r == 0)
        r = sm_buf_put(b, commit, sizeof commit);
    if (r == 0)
        r = sm_buf_put_span(b, set_raw);
    if (r == 0)
        r = info_make(vault, old->public_key, set_raw, &info);
    for (size_t i = 0; r == 0 && i < set.n; i++)
        r = wrapped_put(&s, LABEL_EPH, eid, &set.r[i], sm_buf_span(&info), b);
    sm_zero(&s, sizeof s);
    sm_buf_wipe(&info);
    return r;
}

int keylink_make_with(const struct vault_id *vault, struct sm_span set_raw, const struct crypto_x25519_pair *old,
    const uint8_t eid[ENVELOPE_EID_LEN], struct cid *ret_cid, struct sm_buf *ret_sealed)
{
    size_t before = ret_sealed->n;
    int r = build(vault, set_raw, old, eid, ret_sealed);
    if (r < 0) {
        ret_sealed->n = before;
        return r;
    }
    obj_name(SM_SPAN(ret_sealed->p + before, ret_sealed->n - before), ret_cid);
    return 0;
}

int keylink_make(const struct vault_id *vault, struct sm_span set_raw, const struct crypto_x25519_pair *old,
    struct cid *ret_cid, struct sm_buf *ret_sealed)
{
    uint8_t eid[ENVELOPE_EID_LEN];
    crypto_random(eid, sizeof eid);
    return keylink_make_with(vault, set_raw, old, eid, ret_cid, ret_sealed);
}

/* Every byte of an honest link follows from the key in it, eid and the set: make it again and compare. */
static int same_again(const struct vault_id *vault, struct sm_span sealed, const struct keylink *k,
    const struct crypto_x25519_pair *old)
{
    struct sm_buf again = SM_BUF_INIT(KEYLINK_MAX);
    int r = build(vault, k->set_raw, old, k->eid, &again);
    if (r == 0 && (again.n != sealed.n || !sm_ct_eq(again.p, sealed.p, sealed.n)))
        r = -SM_EAUTH;
    sm_buf_wipe(&again);
    return r;
}

int keylink_open(const struct vault_id *vault, struct sm_span sealed, const struct crypto_x25519_pair *recipient,
    struct crypto_x25519_pair *ret_old)
{
    struct keylink k;
    struct file_key s = {{0}};
    struct crypto_x25519_pair old = {0};
    struct sm_buf info = {0};
    int r = keylink_parse(sealed, &k);
    if (r < 0)
        return r;
    r = info_make(vault, k.old_public, k.set_raw, &info);
    if (r == 0)
        r = wrapped_open(&k.set, k.wrap, recipient, sm_buf_span(&info), &s);
    if (r == 0)
        r = crypto_x25519_from_secret(s.b, &old);
    if (r == 0 && !sm_ct_eq(old.public_key, k.old_public, CRYPTO_X25519_LEN))
        r = -SM_EAUTH;
    if (r == 0)
        r = same_again(vault, sealed, &k, &old);
    if (r == 0)
        *ret_old = old;
    sm_zero(&s, sizeof s);
    crypto_x25519_wipe(&old);
    sm_buf_wipe(&info);
    return r;
}

/* ---- the ring ---- */

static bool ring_has(const struct keyring *ring, const struct crypto_x25519_pair *p)
{
    for (size_t i = 0; i < ring->n; i++)
        if (!memcmp(ring->pair[i].public_key, p->public_key, CRYPTO_X25519_LEN))
            return true;
    return false;
}

/* Each key of the ring, also those just found, tries every link: at most KEYLINKS_MAX² of them. */
void keyring_fill(struct keyring *ret, const struct vault_id *vault, const struct crypto_x25519_pair *pair,
    const struct sm_span *links, size_t n, size_t *ret_bad)
{
    struct crypto_x25519_pair old;
    size_t bad = 0;
    ret->n = 1;
    ret->pair[0] = *pair;
    for (size_t at = 0; at < ret->n; at++) {
        for (size_t i = 0; i < n && i < KEYLINKS_MAX; i++) {
            int r = keylink_open(vault, links[i], &ret->pair[at], &old);
            bad += r != 0 && r != -SM_ENOTFOUND;
            if (r == 0 && ret->n <= KEYLINKS_MAX && !ring_has(ret, &old))
                ret->pair[ret->n++] = old;
        }
    }
    crypto_x25519_wipe(&old);
    *ret_bad = bad;
}

int keyring_open(const struct keyring *ring, const struct vault_id *vault, const struct client_id *client,
    struct sm_span sealed, struct file_key *ret_f)
{
    int r = -SM_ENOTFOUND;
    for (size_t i = 0; i < ring->n && r == -SM_ENOTFOUND; i++)
        r = envelope_open(vault, client, sealed, &ring->pair[i], ret_f);
    return r;
}

void keyring_wipe(struct keyring *ring)
{
    sm_zero(ring, sizeof *ring);
}
