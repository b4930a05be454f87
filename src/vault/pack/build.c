#include <errno.h>

#include "crypto/random.h"
#include "vault/pack/pack_internal.h"

/* A pack's body is reserved at once: pages never touched cost nothing, growing would copy.  Of metadata less goes out. */
#define FIRST_ROOM (PACK_BODY_TARGET + ((size_t)1 << 20))
#define FIRST_ROOM_META ((size_t)3 << 20)

struct pack_builder {
    struct pack_header h;
    struct sm_buf body;    /* objects in the order they came */
    struct sm_buf objects; /* struct pack_object; offset in body until finished */
    struct sm_buf from;    /* after finish: size_t, where in body each stands */
    struct sm_buf head;    /* after finish: header and directory */
    struct refset seen;
    bool finished;
};

static struct pack_object *object_list(const struct pack_builder *b)
{
    return (struct pack_object *)(void *)b->objects.p;
}

int pack_builder_new(const struct vault_id *vault, const struct client_id *client, const struct session_id *session,
    uint8_t kind, struct pack_builder **ret)
{
    struct pack_builder *b;
    if (kind != PACK_DATA && kind != PACK_META)
        return -SM_EINVAL;
    b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->h = (struct pack_header){.kind = kind, .vault = *vault, .client = *client, .session = *session};
    b->body.max = PACK_BODY_MAX;
    *ret = b;
    return 0;
}

void pack_builder_free(struct pack_builder *b)
{
    if (!b)
        return;
    free(b->body.p); /* sealed bytes: nothing to wipe, and wiping would touch what never was */
    sm_buf_wipe(&b->objects);
    sm_buf_wipe(&b->from);
    sm_buf_wipe(&b->head);
    refset_wipe(&b->seen);
    free(b);
}

void pack_reset(struct pack_builder *b, uint8_t kind)
{
    sm_buf_clear(&b->body);
    sm_buf_clear(&b->objects);
    sm_buf_clear(&b->from);
    sm_buf_clear(&b->head);
    refset_clear(&b->seen);
    b->h.kind = kind;
    b->h.n = 0;
    b->h.body_bytes = 0;
    b->finished = false;
}

static int make_room(struct pack_builder *b, size_t n)
{
    size_t first = b->h.kind == PACK_DATA ? FIRST_ROOM : FIRST_ROOM_META;
    int r;
    if (b->body.cap == 0 && n <= first) {
        b->body.max = first;
        r = sm_buf_reserve(&b->body, first);
        b->body.max = PACK_BODY_MAX;
        if (r < 0)
            return r;
    }
    return sm_buf_reserve(&b->body, n);
}

int pack_add(struct pack_builder *b, const struct cid *cid, struct sm_span sealed)
{
    struct obj_hdr hdr;
    struct pack_object o = {.cid = *cid, .offset = b->body.n};
    int64_t number;
    int r = obj_hdr_parse(sealed, &hdr);
    if (r < 0 || b->finished)
        return r < 0 ? r : -SM_ESTATE;
    if (!pack_kind_takes(b->h.kind, hdr.type) || !client_id_eq(&hdr.client, &b->h.client))
        return -SM_EINVAL;
    if (sealed.n < obj_len_min(hdr.type) || sealed.n > obj_len_max(hdr.type))
        return -SM_EINVAL;
    if (b->h.n >= PACK_OBJECTS_MAX || sealed.n > PACK_BODY_MAX - b->body.n)
        return -SM_ELIMIT;
    o.length = (uint32_t)sealed.n;
    o.type = hdr.type;
    if ((r = make_room(b, sealed.n)) < 0 || (r = sm_buf_reserve(&b->objects, sizeof o)) < 0)
        return r;
    number = refset_add(&b->seen, cid);
    if (number < 0)
        return (int)number;
    if (number != b->h.n)
        return -SM_EEXISTS;
    if ((r = sm_buf_put_span(&b->body, sealed)) < 0 || (r = sm_buf_put(&b->objects, &o, sizeof o)) < 0)
        return r;
    b->h.n++;
    return 0;
}

size_t pack_body_bytes(const struct pack_builder *b)
{
    return b->body.n;
}

uint32_t pack_count(const struct pack_builder *b)
{
    return b->h.n;
}

bool pack_full(const struct pack_builder *b)
{
    return b->body.n >= PACK_BODY_TARGET || b->h.n >= PACK_OBJECTS_MAX;
}

int pack_finish(struct pack_builder *b, struct cid *ret_id, uint64_t *ret_bytes)
{
    struct pack_object *o = object_list(b);
    uint64_t at = PACK_HEADER_LEN + (uint64_t)b->h.n * PACK_DIRENT_LEN;
    int r;
    if (b->h.n == 0 || b->finished)
        return -SM_ESTATE;
    if ((r = sm_buf_reserve(&b->head, (size_t)at)) < 0 || (r = sm_buf_reserve(&b->from, b->h.n * sizeof(size_t))) < 0)
        return r;
    for (uint32_t i = b->h.n - 1; i > 0; i--) {
        uint32_t j = (uint32_t)crypto_random_below((uint64_t)i + 1);
        struct pack_object t = o[i];
        o[i] = o[j];
        o[j] = t;
    }
    b->h.body_bytes = b->body.n;
    pack_header_put(&b->h, b->head.p);
    for (uint32_t i = 0; i < b->h.n; i++) {
        ((size_t *)(void *)b->from.p)[i] = (size_t)o[i].offset;
        o[i].offset = at;
        at += o[i].length;
        pack_dirent_put(&o[i], b->head.p + PACK_HEADER_LEN + (size_t)i * PACK_DIRENT_LEN);
    }
    b->from.n = b->h.n * sizeof(size_t);
    b->head.n = PACK_HEADER_LEN + (size_t)b->h.n * PACK_DIRENT_LEN;
    b->finished = true;
    pack_name(sm_buf_span(&b->head), ret_id);
    *ret_bytes = at;
    return 0;
}

/* The object in which the byte at off of the file stands. */
static uint32_t object_at(const struct pack_builder *b, uint64_t off)
{
    const struct pack_object *o = object_list(b);
    uint32_t lo = 0, hi = b->h.n;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (o[mid].offset <= off)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

int pack_emit(const struct pack_builder *b, uint64_t off, pack_bytes_fn fn, void *arg)
{
    const struct pack_object *o = object_list(b);
    const size_t *from = (const size_t *)(const void *)b->from.p;
    int r;
    if (!b->finished)
        return -SM_ESTATE;
    if (off > b->head.n + b->h.body_bytes)
        return -SM_EINVAL;
    if (off < b->head.n) {
        r = fn(arg, SM_SPAN(b->head.p + off, b->head.n - (size_t)off));
        if (r != 0)
            return r;
        off = b->head.n;
    }
    for (uint32_t i = object_at(b, off); i < b->h.n; i++) {
        uint64_t skip = off - o[i].offset;
        if (skip < o[i].length && (r = fn(arg, SM_SPAN(b->body.p + from[i] + skip, o[i].length - (size_t)skip))) != 0)
            return r;
        off = o[i].offset + o[i].length;
    }
    return 0;
}

struct copy { uint8_t *to; size_t room, n; };

static int copy_piece(void *arg, struct sm_span piece)
{
    struct copy *c = arg;
    size_t n = piece.n < c->room ? piece.n : c->room;
    memcpy(c->to + c->n, piece.p, n);
    c->n += n;
    c->room -= n;
    return c->room == 0;
}

size_t pack_copy(const struct pack_builder *b, uint64_t off, void *to, size_t n)
{
    struct copy c = {to, n, 0};
    if (n > 0)
        (void)pack_emit(b, off, copy_piece, &c); /* its answer is only whether the room was filled */
    return c.n;
}

const struct pack_object *pack_objects(const struct pack_builder *b)
{
    return object_list(b);
}
