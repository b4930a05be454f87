#include "vault/snapshot/dirpage.h"

#include <errno.h>

#define USED_BYTES (PAGE_REFS_MAX / 8)

static bool component_ok(struct sm_span c)
{
    if (c.n == 0 || (c.n == 1 && c.p[0] == '.') || (c.n == 2 && c.p[0] == '.' && c.p[1] == '.'))
        return false;
    return memchr(c.p, 0, c.n) == NULL;
}

bool dirpage_name_ok(struct sm_span name, bool root)
{
    if (name.n < 1 || name.n > VAULT_NAME_MAX)
        return false;
    if (!root)
        return component_ok(name) && !memchr(name.p, '/', name.n);
    if (name.p[0] != '/')
        return false;
    if (name.n == 1)
        return true;
    for (size_t at = 1; at <= name.n;) {
        const uint8_t *slash = memchr(name.p + at, '/', name.n - at);
        size_t end = slash ? (size_t)(slash - name.p) : name.n;
        if (!component_ok(SM_SPAN(name.p + at, end - at)))
            return false;
        at = end + 1;
        if (slash && at == name.n)
            return false;
    }
    return true;
}

static bool part_ok(const struct part *p, enum part_form form)
{
    switch (form) {
    case PART_CHUNK:
        return p->length >= 1 && p->offset < CHUNK_PLAIN_MAX && p->length <= CHUNK_PLAIN_MAX - p->offset;
    case PART_PAGE:
        return p->length >= 1 && p->offset == 0;
    case PART_DIRPAGE:
        return p->length == 0 && p->offset == 0;
    }
    return false;
}

int parts_parse(struct sm_rd *rd, const struct page_refs *refs, uint32_t nparts, enum part_form form, uint8_t *used,
    uint64_t *ret_sum, uint32_t *ret_keys)
{
    uint64_t sum = 0;
    uint32_t keys = 0;
    for (uint32_t i = 0; i < nparts; i++) {
        uint64_t ref = sm_rd_varint(rd);
        struct part p = {.hole = ref == 0};
        if (!p.hole)
            p.offset = sm_rd_varint(rd);
        p.length = sm_rd_varint(rd);
        if (rd->err || ref > refs->n)
            return -SM_EFORMAT;
        if (p.hole ? form == PART_DIRPAGE || p.length == 0 : !part_ok(&p, form))
            return -SM_EFORMAT;
        if (p.length > VAULT_FILE_MAX || (sum += p.length) > VAULT_FILE_MAX)
            return -SM_ELIMIT;
        if (p.hole)
            continue;
        keys++;
        if (used)
            used[(ref - 1) / 8] |= (uint8_t)(1u << ((ref - 1) % 8));
    }
    *ret_sum = sum;
    *ret_keys = keys;
    return 0;
}

void parts_decode(struct sm_span raw, const struct page_refs *refs, uint32_t nparts, struct part *to)
{
    struct sm_rd rd = SM_RD(raw);
    for (uint32_t i = 0; i < nparts; i++) {
        uint64_t ref = sm_rd_varint(&rd);
        struct part p = {.hole = ref == 0};
        if (!p.hole) {
            p.offset = sm_rd_varint(&rd);
            p.cid = refs->ref[ref - 1];
        }
        p.length = sm_rd_varint(&rd);
        to[i] = p;
    }
}

/* Which layouts an entry's stream may have; FORMAT 2.2. */
static bool stream_fits(uint8_t entry_kind, uint8_t stream_kind, uint8_t layout, uint64_t size)
{
    if (stream_kind == STREAM_NAMED)
        return layout <= LAYOUT_STREAMPAGES;
    if (entry_kind == ENTRY_FILE)
        return layout <= LAYOUT_STREAMPAGES;
    if (entry_kind == ENTRY_DIR)
        return (layout == LAYOUT_NONE || layout == LAYOUT_DIRPAGES) && size == 0;
    return false;
}

static int stream_layout_read(struct sm_rd *rd, uint8_t *used, struct stream_view *s)
{
    static const enum part_form form[] = {
        [LAYOUT_CHUNKS] = PART_CHUNK, [LAYOUT_STREAMPAGES] = PART_PAGE, [LAYOUT_DIRPAGES] = PART_DIRPAGE};
    uint64_t envelope = sm_rd_varint(rd), n, sum;
    uint32_t keys;
    const uint8_t *at;
    int r;
    s->counter = sm_rd_varint(rd);
    n = sm_rd_varint(rd);
    if (rd->err || envelope >= s->refs.n || n < 1)
        return -SM_EFORMAT;
    if (n > VAULT_PARTS_MAX)
        return -SM_ELIMIT;
    s->envelope = s->refs.ref[envelope];
    s->nparts = (uint32_t)n;
    if (used)
        used[envelope / 8] |= (uint8_t)(1u << (envelope % 8));
    at = rd->p;
    r = parts_parse(rd, &s->refs, s->nparts, form[s->layout], used, &sum, &keys);
    if (r < 0)
        return r;
    s->parts_raw = SM_SPAN(at, (size_t)(rd->p - at));
    s->item = sm_rd_blob(rd, ITEM_MAX);
    if (rd->err || sum != s->size || keys == 0 || s->item.n != (size_t)keys * OBJ_KEY_LEN + OBJ_TAG_LEN)
        return -SM_EFORMAT;
    return 0;
}

static int stream_read(struct sm_rd *rd, const struct page_refs *refs, uint8_t entry_kind, uint8_t *used,
    struct stream_view *ret)
{
    struct stream_view s = {.refs = *refs};
    s.kind = sm_rd_u8(rd);
    if (s.kind > STREAM_NAMED)
        return -SM_EFORMAT;
    if (s.kind == STREAM_NAMED) {
        s.name = sm_rd_blob(rd, VAULT_NAME_MAX);
        if (rd->err || s.name.n == 0)
            return -SM_EFORMAT;
    }
    s.size = sm_rd_varint(rd);
    s.layout = sm_rd_u8(rd);
    if (rd->err || !stream_fits(entry_kind, s.kind, s.layout, s.size))
        return -SM_EFORMAT;
    if (s.size > VAULT_FILE_MAX)
        return -SM_ELIMIT;
    if (s.layout != LAYOUT_NONE) {
        int r = stream_layout_read(rd, used, &s);
        if (r < 0)
            return r;
    }
    *ret = s;
    return 0;
}

/* The main stream comes first, named ones follow in the order of their names. */
static bool streams_ordered(const struct stream_view *before, const struct stream_view *now)
{
    if (now->kind == STREAM_MAIN)
        return false;
    return before->kind == STREAM_MAIN || sm_span_cmp(before->name, now->name) < 0;
}

static int entry_read(struct sm_rd *rd, const struct page_refs *refs, bool root, uint8_t *used, struct entry_view *ret)
{
    struct entry_view e = {.refs = *refs};
    struct stream_view s = {0}, before;
    const uint8_t *at;
    uint64_t n;
    e.name = sm_rd_blob(rd, VAULT_NAME_MAX);
    e.kind = sm_rd_u8(rd);
    e.meta = sm_rd_blob(rd, VAULT_META_MAX);
    n = sm_rd_varint(rd);
    if (rd->err)
        return rd->err == -SM_ELIMIT ? -SM_ELIMIT : -SM_EFORMAT;
    if (!dirpage_name_ok(e.name, root) || e.kind < ENTRY_FILE || e.kind > ENTRY_BLOCK)
        return -SM_EFORMAT;
    if (n > VAULT_STREAMS_MAX)
        return -SM_ELIMIT;
    e.nstreams = (uint32_t)n;
    at = rd->p;
    for (uint32_t i = 0; i < e.nstreams; i++) {
        int r;
        before = s;
        r = stream_read(rd, refs, e.kind, used, &s);
        if (r < 0)
            return r;
        if (i > 0 && !streams_ordered(&before, &s))
            return -SM_EFORMAT;
    }
    e.streams_raw = SM_SPAN(at, (size_t)(rd->p - at));
    *ret = e;
    return 0;
}

static bool all_used(const uint8_t *used, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!(used[i / 8] >> (i % 8) & 1))
            return false;
    return true;
}

int dirpage_parse(const struct page_refs *refs, struct sm_span body, bool root, struct dirpage *ret)
{
    uint8_t used[USED_BYTES] = {0};
    struct sm_rd rd = SM_RD(body);
    struct entry_view e = {0};
    struct sm_span last;
    uint8_t version = sm_rd_u8(&rd);
    uint64_t count = sm_rd_varint(&rd);
    if (rd.err || count < 1)
        return -SM_EFORMAT;
    if (version != 1)
        return -SM_EVERSION;
    if (count > DIRPAGE_ENTRIES_MAX || body.n > PAGE_BODY_MAX || refs->n > PAGE_REFS_MAX)
        return -SM_ELIMIT;
    for (uint64_t i = 0; i < count; i++) {
        int r;
        last = e.name;
        r = entry_read(&rd, refs, root, used, &e);
        if (r < 0)
            return r;
        if (i > 0 && sm_span_cmp(last, e.name) >= 0)
            return -SM_EFORMAT;
    }
    if (sm_rd_done(&rd) < 0 || !all_used(used, refs->n))
        return -SM_EFORMAT;
    *ret = (struct dirpage){.refs = *refs, .body = body, .count = (uint32_t)count, .root = root};
    return 0;
}

void dirpage_begin(const struct dirpage *p, struct dirpage_it *ret)
{
    struct dirpage_it it = {.page = *p, .rd = SM_RD(p->body), .left = p->count};
    (void)sm_rd_u8(&it.rd);
    (void)sm_rd_varint(&it.rd);
    *ret = it;
}

int dirpage_next(struct dirpage_it *it, struct entry_view *ret)
{
    struct entry_view e;
    if (it->left == 0)
        return 0;
    it->left--;
    /* dirpage_parse has been over these bytes: it cannot fail now. */
    if (entry_read(&it->rd, &it->page.refs, it->page.root, NULL, &e) < 0)
        return 0;
    *ret = e;
    return 1;
}

int dirpage_find(const struct dirpage *p, struct sm_span name, struct entry_view *ret)
{
    struct dirpage_it it;
    struct entry_view e;
    dirpage_begin(p, &it);
    while (dirpage_next(&it, &e)) {
        int d = sm_span_cmp(e.name, name);
        if (d > 0)
            return 0;
        if (d == 0) {
            *ret = e;
            return 1;
        }
    }
    return 0;
}

int stream_at(const struct entry_view *e, uint32_t i, struct stream_view *ret)
{
    struct sm_rd rd = SM_RD(e->streams_raw);
    struct stream_view s;
    if (i >= e->nstreams)
        return -SM_ENOTFOUND;
    for (uint32_t k = 0; k <= i; k++) {
        int r = stream_read(&rd, &e->refs, e->kind, NULL, &s);
        if (r < 0)
            return r;
    }
    *ret = s;
    return 0;
}

int stream_parts(const struct stream_view *s, struct sm_buf *ret)
{
    size_t bytes = (size_t)s->nparts * sizeof(struct part);
    int r = sm_buf_reserve(ret, bytes);
    if (r < 0)
        return r;
    parts_decode(s->parts_raw, &s->refs, s->nparts, (struct part *)(void *)(ret->p + ret->n));
    ret->n += bytes;
    return 0;
}
