#include "vault/snapshot/streampage.h"

int streampage_parse(const struct page_refs *refs, struct sm_span body, struct streampage *ret)
{
    uint8_t used[PAGE_REFS_MAX / 8] = {0};
    struct sm_rd rd = SM_RD(body);
    struct streampage p = {.refs = *refs};
    uint8_t version = sm_rd_u8(&rd);
    const uint8_t *at;
    uint64_t n;
    int r;
    p.level = sm_rd_u8(&rd);
    n = sm_rd_varint(&rd);
    if (rd.err || n < 1)
        return -SM_EFORMAT;
    if (version != 1)
        return -SM_EVERSION;
    if (n > VAULT_PARTS_MAX || p.level > STREAMPAGE_LEVEL_MAX || body.n > PAGE_BODY_MAX || refs->n > PAGE_REFS_MAX)
        return -SM_ELIMIT;
    p.nparts = (uint32_t)n;
    at = rd.p;
    r = parts_parse(&rd, refs, p.nparts, p.level == 0 ? PART_CHUNK : PART_PAGE, used, &p.sum, &p.nkeys);
    if (r < 0)
        return r;
    p.parts_raw = SM_SPAN(at, (size_t)(rd.p - at));
    p.keys = (const struct chunk_key *)(const void *)sm_rd_bytes(&rd, (size_t)p.nkeys * OBJ_KEY_LEN).p;
    if (sm_rd_done(&rd) < 0)
        return -SM_EFORMAT;
    for (uint32_t i = 0; i < refs->n; i++)
        if (!(used[i / 8] >> (i % 8) & 1))
            return -SM_EFORMAT;
    *ret = p;
    return 0;
}
