#include <errno.h>

#include "vault/seal/refset.h"
#include "vault/snapshot/streampage.h"

#define LEVELS (STREAMPAGE_LEVEL_MAX + 2) /* lists of chunks, of pages of level 0, ... of level 3 */
#define CUT_MASK 0x1ffu

struct level {
    struct sm_buf parts; /* struct part */
    struct sm_buf keys;  /* struct chunk_key */
    bool paged;          /* has outgrown one list: segments of it have become pages */
};

struct stream_builder {
    struct seal_ctx *c;
    const struct seal_keys *k;
    dirpage_emit_fn emit;
    void *arg;
    struct level level[LEVELS];
    uint64_t size;
    struct refset refs;
    struct sm_buf body, sealed;
};

int stream_builder_new(struct seal_ctx *c, const struct seal_keys *k, dirpage_emit_fn emit, void *arg,
    struct stream_builder **ret)
{
    struct stream_builder *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->c = c;
    b->k = k;
    b->emit = emit;
    b->arg = arg;
    *ret = b;
    return 0;
}

void stream_builder_free(struct stream_builder *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < LEVELS; i++) {
        sm_buf_wipe(&b->level[i].parts);
        sm_buf_wipe(&b->level[i].keys);
    }
    refset_wipe(&b->refs);
    sm_buf_wipe(&b->body);
    sm_buf_wipe(&b->sealed);
    free(b);
}

void stream_reset(struct stream_builder *b)
{
    for (size_t i = 0; i < LEVELS; i++) {
        sm_buf_clear(&b->level[i].parts);
        sm_buf_clear(&b->level[i].keys);
        b->level[i].paged = false;
    }
    b->size = 0;
}

static size_t part_count(const struct level *l)
{
    return l->parts.n / sizeof(struct part);
}

static struct part *part_list(const struct level *l)
{
    return (struct part *)(void *)l->parts.p;
}

static int body_put(struct stream_builder *b, const struct level *l, uint8_t level, uint64_t *ret_sum)
{
    const struct part *p = part_list(l);
    size_t n = part_count(l);
    uint32_t number = 0;
    uint64_t sum = 0;
    int64_t i64;
    int r;
    refset_clear(&b->refs);
    for (size_t i = 0; i < n; i++)
        if (!p[i].hole && (i64 = refset_add(&b->refs, &p[i].cid)) < 0)
            return (int)i64;
    sm_buf_clear(&b->body);
    if ((r = refset_sort(&b->refs)) < 0 || (r = sm_buf_put_u8(&b->body, 1)) < 0 ||
        (r = sm_buf_put_u8(&b->body, level)) < 0 || (r = sm_buf_put_varint(&b->body, n)) < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        sum += p[i].length;
        if (p[i].hole) {
            r = sm_buf_put_u8(&b->body, 0);
        } else {
            i64 = refset_add(&b->refs, &p[i].cid); /* is there: only its number is wanted */
            if (i64 < 0)
                return (int)i64;
            number = (uint32_t)i64;
            if ((r = sm_buf_put_varint(&b->body, (uint64_t)refset_index(&b->refs, number) + 1)) == 0)
                r = sm_buf_put_varint(&b->body, p[i].offset);
        }
        if (r < 0 || (r = sm_buf_put_varint(&b->body, p[i].length)) < 0)
            return r;
    }
    *ret_sum = sum;
    return sm_buf_put_span(&b->body, sm_buf_span(&l->keys));
}

/* Make a page of what stands at level i; ret is the part that names it. */
static int segment_seal(struct stream_builder *b, size_t i, struct part *ret, struct chunk_key *ret_ck)
{
    struct level *l = &b->level[i];
    struct part up = {0};
    struct chunk_info info;
    int r = body_put(b, l, (uint8_t)i, &up.length);
    if (r < 0)
        return r;
    sm_buf_clear(&b->sealed);
    r = page_seal(b->c, b->k, OBJ_STREAMPAGE, refset_sorted(&b->refs), refset_n(&b->refs), sm_buf_span(&b->body),
        (struct seal_how){.level = PAGE_LEVEL}, &info, &b->sealed);
    if (r < 0)
        return r;
    sm_buf_clear(&l->parts);
    sm_buf_clear(&l->keys);
    r = b->emit(b->arg, &info, sm_buf_span(&b->sealed));
    up.cid = info.cid;
    *ret = up;
    *ret_ck = info.ck;
    sm_zero(&info, sizeof info);
    return r;
}

static bool segment_ends(const struct level *l)
{
    size_t n = part_count(l);
    const struct part *p = part_list(l) + n - 1;
    if (n >= STREAMPAGE_SEGMENT_MAX)
        return true;
    if (n < STREAMPAGE_SEGMENT_MIN || p->hole)
        return false;
    return (((uint32_t)p->cid.b[0] | (uint32_t)p->cid.b[1] << 8) & CUT_MASK) == 0;
}

static int append(struct level *l, const struct part *p, const struct chunk_key *ck)
{
    int r = sm_buf_put(&l->parts, p, sizeof *p);
    if (r == 0 && !p->hole && (r = sm_buf_put(&l->keys, ck, sizeof *ck)) < 0)
        l->parts.n -= sizeof *p;
    return r;
}

static int push(struct stream_builder *b, size_t i, const struct part *p, const struct chunk_key *ck);

static int push_paged(struct stream_builder *b, size_t i, const struct part *p, const struct chunk_key *ck)
{
    struct part up;
    struct chunk_key up_ck;
    int r = append(&b->level[i], p, ck);
    if (r != 0 || !segment_ends(&b->level[i]))
        return r;
    r = segment_seal(b, i, &up, &up_ck);
    return r != 0 ? r : push(b, i + 1, &up, &up_ck);
}

/* One list has grown too long for an entry: cut it into segments as if it had been paged from the start. */
static int begin_paging(struct stream_builder *b, size_t i)
{
    struct level *l = &b->level[i], was = *l;
    const struct part *p = part_list(&was);
    const struct chunk_key *ck = (const struct chunk_key *)(const void *)was.keys.p;
    int r = 0;
    *l = (struct level){.paged = true};
    for (size_t n = 0; r == 0 && n < part_count(&was); n++) {
        r = push_paged(b, i, &p[n], p[n].hole ? NULL : ck);
        ck += !p[n].hole;
    }
    sm_buf_wipe(&was.parts);
    sm_buf_wipe(&was.keys);
    return r;
}

/* Recursion: once a level, LEVELS in all. */
static int push(struct stream_builder *b, size_t i, const struct part *p, const struct chunk_key *ck)
{
    int r;
    if (b->level[i].paged)
        return push_paged(b, i, p, ck);
    r = append(&b->level[i], p, ck);
    if (r < 0 || part_count(&b->level[i]) <= STREAMPAGE_SEGMENT_MAX)
        return r;
    return i + 1 == LEVELS ? -SM_ELIMIT : begin_paging(b, i);
}

int stream_add(struct stream_builder *b, const struct part *p, const struct chunk_key *ck)
{
    struct level *l = &b->level[0];
    size_t n = part_count(l);
    if (p->length < 1 || (!p->hole && (!ck || p->offset >= CHUNK_PLAIN_MAX ||
                                          p->length > CHUNK_PLAIN_MAX - p->offset)))
        return -SM_EINVAL;
    if (p->length > VAULT_FILE_MAX - b->size)
        return -SM_ELIMIT;
    b->size += p->length;
    /* Holes side by side are one hole. */
    if (p->hole && n > 0 && part_list(l)[n - 1].hole) {
        part_list(l)[n - 1].length += p->length;
        return 0;
    }
    if (p->hole)
        return push(b, 0, &(struct part){.hole = true, .length = p->length}, NULL);
    return push(b, 0, p, ck);
}

int stream_finish(struct stream_builder *b, struct stream_result *ret)
{
    struct part up;
    struct chunk_key ck;
    size_t i = 0;
    int r;
    while (b->level[i].paged) {
        if (part_count(&b->level[i]) > 0 &&
            ((r = segment_seal(b, i, &up, &ck)) != 0 || (r = push(b, i + 1, &up, &ck)) != 0))
            return r;
        i++;
    }
    const struct level *top = &b->level[i];
    struct stream_result s = {.size = b->size, .parts = part_list(top), .nparts = part_count(top),
        .keys = (const struct chunk_key *)(const void *)top->keys.p, .nkeys = top->keys.n / OBJ_KEY_LEN};
    s.layout = s.nkeys == 0 ? LAYOUT_NONE : i == 0 ? LAYOUT_CHUNKS : LAYOUT_STREAMPAGES;
    if (s.layout == LAYOUT_NONE)
        s.nparts = 0;
    *ret = s;
    return 0;
}
