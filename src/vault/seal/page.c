#include "vault/seal/page.h"

#include "vault/seal/seal_internal.h"

int page_refs(struct sm_span sealed, const struct client_id *client, struct page_refs *ret)
{
    struct page_refs p;
    struct sm_rd rd;
    const uint8_t *at;
    int r = obj_hdr_expect(sealed, OBJ_ANY, client, &p.hdr);
    if (r < 0)
        return r;
    if (p.hdr.type != OBJ_DIRPAGE && p.hdr.type != OBJ_STREAMPAGE)
        return -SM_EMISMATCH;
    if (sealed.n > PAGE_SEALED_MAX)
        return -SM_ELIMIT;
    rd = SM_RD(SM_SPAN(sealed.p + OBJ_HDR_LEN, sealed.n - OBJ_HDR_LEN));
    p.n = sm_rd_u32(&rd);
    if (rd.err)
        return -SM_EFORMAT;
    if (p.n > PAGE_REFS_MAX)
        return -SM_ELIMIT;
    at = sm_rd_bytes(&rd, (size_t)p.n * sizeof(struct cid)).p;
    if (rd.err || rd.n <= OBJ_NONCE_LEN + OBJ_TAG_LEN)
        return -SM_EFORMAT;
    p.ref = (const struct cid *)(const void *)at;
    for (uint32_t i = 1; i < p.n; i++)
        if (cid_cmp(&p.ref[i - 1], &p.ref[i]) >= 0)
            return -SM_EFORMAT;
    *ret = p;
    return 0;
}

int64_t page_refs_find(const struct page_refs *refs, const struct cid *name)
{
    uint32_t lo = 0, hi = refs->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int d = cid_cmp(&refs->ref[mid], name);
        if (d == 0)
            return mid;
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -SM_ENOTFOUND;
}

static bool seal_args_ok(uint8_t type, const struct cid *refs, size_t nrefs, struct sm_span body)
{
    if ((type != OBJ_DIRPAGE && type != OBJ_STREAMPAGE) || nrefs > PAGE_REFS_MAX)
        return false;
    for (size_t i = 1; i < nrefs; i++)
        if (cid_cmp(&refs[i - 1], &refs[i]) >= 0)
            return false;
    return body.n >= 1 && body.n <= PAGE_BODY_MAX;
}

static void put_u32(uint8_t *to, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

int page_seal(struct seal_ctx *c, const struct seal_keys *k, uint8_t type, const struct cid *refs, size_t nrefs,
    struct sm_span body, struct seal_how how, struct chunk_info *ret, struct sm_buf *ret_sealed)
{
    size_t clear = 4 + nrefs * sizeof *refs, n;
    uint8_t *o, *form, h[32];
    struct chunk_info info;
    struct sm_span hashed[2];
    int r;
    if (!seal_args_ok(type, refs, nrefs, body))
        return -SM_EINVAL;
    r = sm_buf_reserve(ret_sealed, CHUNK_OVERHEAD + clear + body.n);
    if (r < 0)
        return r;
    o = ret_sealed->p + ret_sealed->n;
    put_u32(o + OBJ_HDR_LEN, (uint32_t)nrefs);
    if (nrefs)
        memcpy(o + OBJ_HDR_LEN + 4, refs, nrefs * sizeof *refs);
    form = o + OBJ_HDR_LEN + clear + OBJ_NONCE_LEN;
    hashed[0] = SM_SPAN(o + OBJ_HDR_LEN, clear);
    hashed[1] = body;
    crypto_sha256v(hashed, 2, h);
    r = seal_form(c, body, how, form, &n, &info.algorithm);
    if (r < 0)
        return r;
    obj_hdr_put(&(struct obj_hdr){.algorithm = info.algorithm, .type = type, .client = k->client}, o);
    seal_derive(k, "ck", type, h, info.ck.b);
    seal_nonce(k, type, h, SM_SPAN(o, OBJ_HDR_LEN + clear), SM_SPAN(form, n), form - OBJ_NONCE_LEN);
    r = crypto_aead_seal(c->aead, info.ck.b, form - OBJ_NONCE_LEN, SM_SPAN(o, OBJ_HDR_LEN + clear),
        SM_SPAN(form, n), form);
    if (r < 0)
        return r;
    n += CHUNK_OVERHEAD + clear;
    obj_name(SM_SPAN(o, n), &info.cid);
    ret_sealed->n += n;
    *ret = info;
    return 0;
}

int page_open(struct seal_ctx *c, struct sm_span sealed, uint8_t type, const struct client_id *client,
    const struct chunk_key *ck, struct page_refs *ret, struct sm_buf *ret_body)
{
    struct page_refs p;
    size_t head;
    int r = page_refs(sealed, client, &p);
    if (r < 0)
        return r;
    if (p.hdr.type != type)
        return -SM_EMISMATCH;
    head = OBJ_HDR_LEN + 4 + (size_t)p.n * sizeof(struct cid);
    r = seal_unform(c, ck, sealed.p + head, SM_SPAN(sealed.p, head),
        SM_SPAN(sealed.p + head + OBJ_NONCE_LEN, sealed.n - head - OBJ_NONCE_LEN), p.hdr.algorithm, PAGE_BODY_MAX,
        ret_body);
    if (r < 0)
        return r;
    *ret = p;
    return 0;
}
