#include <errno.h>

#include "vault/snapshot/dirpage.h"
#include "vault/seal/refset.h"

/*
 * Where pages end.  A page may end after a name whose hash says so, once it has CUT_MIN entries, so that a change
 * moves no border but its own; the other figures keep pages from growing past use.
 */
#define CUT_MIN 128u
#define CUT_MASK 0xffu
#define CUT_ENTRIES 1024u
#define CUT_BODY ((size_t)512 << 10)
#define CUT_REFS (PAGE_REFS_MAX / 2)
#define REF_VARINT 3u /* an index + 1 of at most 65,537 */
#define BODY_HEAD 4u  /* version and count */

struct gap { size_t at; uint32_t number; uint8_t bias; }; /* an index stands at raw[at), once refs are sorted */

struct dirpage_builder {
    struct seal_ctx *c;
    const struct seal_keys *k;
    bool root;
    dirpage_emit_fn emit;
    void *arg;
    struct sm_buf raw;  /* entries without the indices */
    struct sm_buf gaps; /* struct gap, ascending */
    struct refset refs;
    uint32_t count;
    struct sm_buf last; /* the name before */
    bool any;
    size_t pages;
    struct sm_buf body, sealed;
};

int dirpage_builder_new(struct seal_ctx *c, const struct seal_keys *k, bool root, dirpage_emit_fn emit, void *arg,
    struct dirpage_builder **ret)
{
    struct dirpage_builder *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->c = c;
    b->k = k;
    b->root = root;
    b->emit = emit;
    b->arg = arg;
    *ret = b;
    return 0;
}

void dirpage_builder_free(struct dirpage_builder *b)
{
    if (!b)
        return;
    sm_buf_wipe(&b->raw);
    sm_buf_wipe(&b->gaps);
    refset_wipe(&b->refs);
    sm_buf_wipe(&b->last);
    sm_buf_wipe(&b->body);
    sm_buf_wipe(&b->sealed);
    free(b);
}

static size_t gap_count(const struct dirpage_builder *b)
{
    return b->gaps.n / sizeof(struct gap);
}

static int body_put(struct dirpage_builder *b)
{
    const struct gap *g = (const struct gap *)(const void *)b->gaps.p;
    size_t at = 0;
    int r;
    sm_buf_clear(&b->body);
    if ((r = sm_buf_put_u8(&b->body, 1)) < 0 || (r = sm_buf_put_varint(&b->body, b->count)) < 0)
        return r;
    for (size_t i = 0; i < gap_count(b); i++) {
        if ((r = sm_buf_put(&b->body, b->raw.p + at, g[i].at - at)) < 0)
            return r;
        if ((r = sm_buf_put_varint(&b->body, (uint64_t)refset_index(&b->refs, g[i].number) + g[i].bias)) < 0)
            return r;
        at = g[i].at;
    }
    return sm_buf_put(&b->body, b->raw.p + at, b->raw.n - at);
}

static int flush(struct dirpage_builder *b)
{
    struct chunk_info info;
    int r;
    if (b->count == 0)
        return 0;
    if ((r = refset_sort(&b->refs)) < 0 || (r = body_put(b)) < 0)
        return r;
    sm_buf_clear(&b->sealed);
    r = page_seal(b->c, b->k, OBJ_DIRPAGE, refset_sorted(&b->refs), refset_n(&b->refs), sm_buf_span(&b->body),
        (struct seal_how){.level = PAGE_LEVEL}, &info, &b->sealed);
    if (r < 0)
        return r;
    sm_buf_clear(&b->raw);
    sm_buf_clear(&b->gaps);
    refset_clear(&b->refs);
    b->count = 0;
    b->pages++;
    r = b->emit(b->arg, &info, sm_buf_span(&b->sealed));
    sm_zero(&info, sizeof info);
    return r;
}

static bool part_valid(const struct part *p, uint8_t layout)
{
    if (layout == LAYOUT_DIRPAGES)
        return !p->hole && p->length == 0 && p->offset == 0;
    if (p->length < 1 || p->length > VAULT_FILE_MAX)
        return false;
    if (p->hole)
        return true;
    if (layout == LAYOUT_STREAMPAGES)
        return p->offset == 0;
    return p->offset < CHUNK_PLAIN_MAX && p->length <= CHUNK_PLAIN_MAX - p->offset;
}

static bool stream_valid(const struct dirpage_entry *e, const struct dirpage_stream *s)
{
    uint64_t sum = 0;
    size_t keys = 0;
    bool pages = s->layout == LAYOUT_DIRPAGES;
    if (s->kind > STREAM_NAMED || s->layout > LAYOUT_DIRPAGES || s->size > VAULT_FILE_MAX)
        return false;
    if (s->kind == STREAM_NAMED && (s->name.n < 1 || s->name.n > VAULT_NAME_MAX || pages))
        return false;
    if (s->kind == STREAM_MAIN && e->kind == ENTRY_DIR && (s->size != 0 || (s->layout != LAYOUT_NONE && !pages)))
        return false;
    if (s->kind == STREAM_MAIN && e->kind != ENTRY_DIR && (e->kind != ENTRY_FILE || pages))
        return false;
    if (s->layout == LAYOUT_NONE)
        return true;
    if (s->nparts < 1 || s->nparts > VAULT_PARTS_MAX)
        return false;
    for (size_t i = 0; i < s->nparts; i++) {
        if (!part_valid(&s->parts[i], s->layout) || (sum += s->parts[i].length) > VAULT_FILE_MAX)
            return false;
        keys += !s->parts[i].hole;
    }
    return sum == s->size && keys > 0 && s->item.n == keys * OBJ_KEY_LEN + OBJ_TAG_LEN;
}

static bool entry_valid(const struct dirpage_builder *b, const struct dirpage_entry *e)
{
    if (!dirpage_name_ok(e->name, b->root) || e->kind < ENTRY_FILE || e->kind > ENTRY_BLOCK)
        return false;
    if (e->meta.n > VAULT_META_MAX || e->nstreams > VAULT_STREAMS_MAX)
        return false;
    if (b->any && sm_span_cmp(sm_buf_span(&b->last), e->name) >= 0)
        return false;
    for (size_t i = 0; i < e->nstreams; i++) {
        const struct dirpage_stream *s = &e->streams[i];
        if (!stream_valid(e, s))
            return false;
        if (i > 0 && (s->kind == STREAM_MAIN ||
                         (s[-1].kind == STREAM_NAMED && sm_span_cmp(s[-1].name, s->name) >= 0)))
            return false;
    }
    return true;
}

/* The most bytes and refs the entry can add to a page. */
static void entry_bound(const struct dirpage_entry *e, size_t *ret_bytes, size_t *ret_refs)
{
    size_t bytes = e->name.n + e->meta.n + 16, refs = 0;
    for (size_t i = 0; i < e->nstreams; i++) {
        const struct dirpage_stream *s = &e->streams[i];
        bytes += s->name.n + 48;
        if (s->layout == LAYOUT_NONE)
            continue;
        /* a chunk's offset and length take 4 bytes each; of other parts only the length is more than one byte */
        bytes += s->nparts * (REF_VARINT + 10) + s->item.n;
        refs += s->nparts + 1;
    }
    *ret_bytes = bytes;
    *ret_refs = refs;
}

static int put_ref(struct dirpage_builder *b, const struct cid *c, uint8_t bias)
{
    int64_t number = refset_add(&b->refs, c);
    struct gap g = {.at = b->raw.n, .bias = bias};
    if (number < 0)
        return (int)number;
    g.number = (uint32_t)number;
    return sm_buf_put(&b->gaps, &g, sizeof g);
}

static int put_part(struct dirpage_builder *b, const struct part *p)
{
    int r;
    if (p->hole)
        r = sm_buf_put_u8(&b->raw, 0);
    else if ((r = put_ref(b, &p->cid, 1)) == 0)
        r = sm_buf_put_varint(&b->raw, p->offset);
    return r < 0 ? r : sm_buf_put_varint(&b->raw, p->length);
}

static int put_stream(struct dirpage_builder *b, const struct dirpage_stream *s)
{
    int r = sm_buf_put_u8(&b->raw, s->kind);
    if (r == 0 && s->kind == STREAM_NAMED)
        r = sm_buf_put_blob(&b->raw, s->name);
    if (r < 0 || (r = sm_buf_put_varint(&b->raw, s->size)) < 0 || (r = sm_buf_put_u8(&b->raw, s->layout)) < 0)
        return r;
    if (s->layout == LAYOUT_NONE)
        return 0;
    if ((r = put_ref(b, &s->envelope, 0)) < 0 || (r = sm_buf_put_varint(&b->raw, s->counter)) < 0 ||
        (r = sm_buf_put_varint(&b->raw, s->nparts)) < 0)
        return r;
    for (size_t i = 0; i < s->nparts; i++)
        if ((r = put_part(b, &s->parts[i])) < 0)
            return r;
    return sm_buf_put_blob(&b->raw, s->item);
}

static int put_entry(struct dirpage_builder *b, const struct dirpage_entry *e)
{
    int r;
    if ((r = sm_buf_put_blob(&b->raw, e->name)) < 0 || (r = sm_buf_put_u8(&b->raw, e->kind)) < 0 ||
        (r = sm_buf_put_blob(&b->raw, e->meta)) < 0 || (r = sm_buf_put_varint(&b->raw, e->nstreams)) < 0)
        return r;
    for (size_t i = 0; i < e->nstreams; i++)
        if ((r = put_stream(b, &e->streams[i])) < 0)
            return r;
    sm_buf_clear(&b->last);
    return sm_buf_put_span(&b->last, e->name);
}

/* FNV-1a, 64 bits: only places a border. */
static uint64_t name_hash(struct sm_span name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ name.p[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

static size_t body_bytes(const struct dirpage_builder *b)
{
    return BODY_HEAD + b->raw.n + gap_count(b) * REF_VARINT;
}

static bool page_ends(const struct dirpage_builder *b, struct sm_span name)
{
    uint64_t h = name_hash(name);
    if (b->count >= CUT_ENTRIES || body_bytes(b) >= 2 * CUT_BODY || refset_n(&b->refs) >= CUT_REFS)
        return true;
    if (body_bytes(b) >= CUT_BODY && (h & 0xf) == 0)
        return true;
    return b->count >= CUT_MIN && (h & CUT_MASK) == 0;
}

int dirpage_add(struct dirpage_builder *b, const struct dirpage_entry *e)
{
    size_t bytes, refs;
    int r;
    if (!entry_valid(b, e))
        return -SM_EINVAL;
    entry_bound(e, &bytes, &refs);
    if (BODY_HEAD + bytes > PAGE_BODY_MAX || refs > PAGE_REFS_MAX)
        return -SM_ELIMIT;
    if (body_bytes(b) + bytes > PAGE_BODY_MAX || refset_n(&b->refs) + refs > PAGE_REFS_MAX) {
        r = flush(b);
        if (r != 0)
            return r;
    }
    r = put_entry(b, e);
    if (r < 0)
        return r;
    b->any = true;
    b->count++;
    return page_ends(b, e->name) ? flush(b) : 0;
}

int dirpage_finish(struct dirpage_builder *b, size_t *ret_pages)
{
    int r = flush(b);
    if (r != 0)
        return r;
    *ret_pages = b->pages;
    b->pages = 0;
    b->any = false;
    sm_buf_clear(&b->last);
    return 0;
}
