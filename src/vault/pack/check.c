#include <errno.h>

#include "crypto/many.h"
#include "plat/fs.h"
#include "vault/pack/pack_internal.h"

/* Objects are gathered and hashed some at a time, which is quicker (crypto/many.h); long ones as they come. */
#define GATHER_BYTES ((size_t)2 << 20)
#define GATHER_MAX 64u
#define LONG_BYTES ((size_t)1 << 20)

enum state { IN_HEADER, IN_DIRECTORY, IN_BODY, DONE };

struct pack_check {
    struct cid id;
    struct vault_id vault;
    struct client_id client;
    struct session_id session;
    struct pack_expect expect; /* points to the four above, or NULL */
    pack_object_fn fn;
    void *arg;
    enum state state;
    int err;
    uint64_t taken;
    struct sm_buf head; /* until the directory is in */
    struct pack_header header;
    struct cid name;
    struct sm_buf objects;
    uint32_t at;        /* the object that is coming in */
    size_t have;        /* bytes of it */
    uint8_t hdr[OBJ_HDR_LEN];
    uint8_t algorithm;   /* the highest of all so far */
    uint32_t gathered;   /* objects before it that wait for their hash; */
    struct sm_buf whole; /* their bytes, and those of the one coming in; of a long one those of anything but a chunk */
    struct crypto_many *many; /* the caller's, or own, made when first needed */
    struct crypto_many *own; bool has_many;
    struct crypto_sha256_ctx *sha; /* for the long ones */
};

int pack_check_new(const struct pack_expect *expect, pack_object_fn fn, void *arg, struct pack_check **ret)
{
    struct pack_check *c = calloc(1, sizeof *c);
    int r;
    if (!c)
        return -ENOMEM;
    if (expect->id)
        c->expect.id = memcpy(&c->id, expect->id, sizeof c->id);
    if (expect->vault)
        c->expect.vault = memcpy(&c->vault, expect->vault, sizeof c->vault);
    if (expect->client)
        c->expect.client = memcpy(&c->client, expect->client, sizeof c->client);
    if (expect->session)
        c->expect.session = memcpy(&c->session, expect->session, sizeof c->session);
    c->fn = fn;
    c->arg = arg;
    c->whole.max = OBJ_SEALED_MAX;
    r = crypto_sha256_new(&c->sha);
    if (r < 0) {
        pack_check_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void pack_check_free(struct pack_check *c)
{
    if (!c)
        return;
    sm_buf_wipe(&c->head);
    sm_buf_wipe(&c->objects);
    free(c->whole.p); /* sealed bytes: nothing to wipe */
    crypto_sha256_free(c->sha);
    crypto_many_free(c->own);
    free(c);
}

void pack_check_use(struct pack_check *c, struct crypto_many *many)
{
    c->many = many;
    c->has_many = true;
}

static size_t head_bytes(const struct pack_check *c)
{
    return PACK_HEADER_LEN + (c->state == IN_HEADER ? 0 : (size_t)c->header.n * PACK_DIRENT_LEN);
}

static const struct pack_object *now(const struct pack_check *c)
{
    return (const struct pack_object *)(const void *)c->objects.p + c->at;
}

static int header_in(struct pack_check *c)
{
    const struct pack_expect *x = &c->expect;
    int r = pack_header_parse(sm_buf_span(&c->head), &c->header);
    if (r < 0)
        return r;
    if ((x->vault && memcmp(x->vault, &c->header.vault, 16) != 0) ||
        (x->client && memcmp(x->client, &c->header.client, 16) != 0) ||
        (x->session && memcmp(x->session, &c->header.session, 16) != 0))
        return -SM_EMISMATCH;
    c->state = IN_DIRECTORY;
    return 0;
}

static int directory_in(struct pack_check *c)
{
    int r = pack_head_parse(sm_buf_span(&c->head), &c->header, &c->name, &c->objects);
    if (r < 0)
        return r;
    sm_buf_wipe(&c->head);
    if (c->expect.id && !cid_eq(c->expect.id, &c->name))
        return -SM_EMISMATCH;
    c->state = IN_BODY;
    return 0;
}

static int64_t take_head(struct pack_check *c, struct sm_span in)
{
    size_t need = head_bytes(c) - c->head.n, n = in.n < need ? in.n : need;
    int r = sm_buf_put(&c->head, in.p, n);
    if (r < 0)
        return r;
    if (n == need && (r = c->state == IN_HEADER ? header_in(c) : directory_in(c)) < 0)
        return r;
    return (int64_t)n;
}

/* The header comes first: what is of another client or type is refused before the rest of it is taken. */
static int object_header(struct pack_check *c, struct sm_span in)
{
    struct obj_hdr h;
    size_t n = OBJ_HDR_LEN - c->have;
    if (c->have >= OBJ_HDR_LEN)
        return 0;
    n = in.n < n ? in.n : n;
    memcpy(c->hdr + c->have, in.p, n);
    if (c->have + n < OBJ_HDR_LEN)
        return 0;
    int r = obj_hdr_expect(SM_SPAN(c->hdr, OBJ_HDR_LEN), now(c)->type, &c->header.client, &h);
    if (r == 0 && h.algorithm > c->algorithm)
        c->algorithm = h.algorithm;
    return r;
}

static int object_done(struct pack_check *c, const struct pack_object *o, const uint8_t hash[32], struct sm_span bytes)
{
    int r = 0;
    if (memcmp(hash, o->cid.b, 32) != 0)
        return -SM_ECORRUPT;
    if (c->fn)
        r = c->fn(c->arg, o, obj_is_chunk(o->type) ? SM_SPAN(NULL, 0) : bytes);
    return r < 0 ? r : 0;
}

/* What was gathered, hashed together. */
static int gathered_check(struct pack_check *c)
{
    struct crypto_message m[GATHER_MAX];
    const struct pack_object *o = now(c) - c->gathered;
    size_t at = 0;
    int r = c->has_many ? 0 : crypto_many_new(&c->own);
    if (r < 0)
        return r;
    if (!c->has_many)
        pack_check_use(c, c->own);
    for (uint32_t i = 0; i < c->gathered; i++) {
        m[i] = (struct crypto_message){ .in = SM_SPAN(c->whole.p + at, o[i].length) };
        at += o[i].length;
    }
    crypto_many(c->many, m, c->gathered);
    for (uint32_t i = 0; r == 0 && i < c->gathered; i++)
        r = object_done(c, &o[i], m[i].ret, m[i].in);
    c->gathered = 0;
    sm_buf_shift(&c->whole, at);
    return r;
}

static void object_next(struct pack_check *c)
{
    c->have = 0;
    if (++c->at == c->header.n)
        c->state = DONE;
}

static int take_long(struct pack_check *c, struct sm_span part, bool all)
{
    const struct pack_object *o = now(c);
    uint8_t hash[32];
    int r = 0;
    if (!obj_is_chunk(o->type) && (r = sm_buf_put_span(&c->whole, part)) < 0)
        return r;
    if (c->have == 0)
        crypto_sha256_reset(c->sha);
    crypto_sha256_put(c->sha, part);
    c->have += part.n;
    if (!all)
        return 0;
    crypto_sha256_final(c->sha, hash);
    r = object_done(c, o, hash, sm_buf_span(&c->whole));
    sm_buf_clear(&c->whole);
    object_next(c);
    return r;
}

/* Its full size at once: what grows is copied and wiped each time. */
static int whole_ready(struct pack_check *c)
{
    const size_t most = GATHER_BYTES + LONG_BYTES;
    return c->whole.cap ? 0 : sm_buf_reserve(&c->whole, c->header.body_bytes < most ? (size_t)c->header.body_bytes : most);
}

static int take_short(struct pack_check *c, struct sm_span part, bool all)
{
    int r = whole_ready(c);
    if (r == 0)
        r = sm_buf_put_span(&c->whole, part);
    c->have += part.n;
    if (r < 0 || !all)
        return r;
    c->gathered++;
    object_next(c);
    bool full = c->gathered == GATHER_MAX || c->whole.n >= GATHER_BYTES;
    return full || c->state == DONE ? gathered_check(c) : 0;
}

static int64_t take_body(struct pack_check *c, struct sm_span in)
{
    const struct pack_object *o = now(c);
    size_t need = o->length - c->have, n = in.n < need ? in.n : need;
    struct sm_span part = SM_SPAN(in.p, n);
    int r = object_header(c, part);
    if (r == 0 && o->length >= LONG_BYTES && c->gathered)
        r = gathered_check(c);
    if (r < 0)
        return r;
    r = o->length >= LONG_BYTES ? take_long(c, part, n == need) : take_short(c, part, n == need);
    return r != 0 ? r : (int64_t)n;
}

/* Everything whole that came is checked. */
static int settle(struct pack_check *c)
{
    int r = c->err == 0 && c->gathered ? gathered_check(c) : 0;
    if (r < 0)
        c->err = r;
    return r;
}

int64_t pack_check_put(struct pack_check *c, struct sm_span bytes)
{
    size_t took = 0;
    if (c->err != 0)
        return c->err;
    while (took < bytes.n && c->state != DONE) {
        struct sm_span in = SM_SPAN(bytes.p + took, bytes.n - took);
        int64_t n = c->state == IN_BODY ? take_body(c, in) : take_head(c, in);
        if (n < 0) {
            c->err = (int)n;
            return n;
        }
        took += (size_t)n;
        c->taken += (uint64_t)n;
    }
    return (int64_t)took;
}

#define READ_BYTES ((size_t)256 << 10)

static int feed(struct pack_check *c, int fd, uint64_t n)
{
    uint8_t *buf = malloc(READ_BYTES);
    int r = 0;
    if (!buf)
        return -ENOMEM;
    while (n > 0) {
        size_t k = n < READ_BYTES ? (size_t)n : READ_BYTES;
        int64_t took;
        r = plat_fs_pread_all(fd, buf, k, c->taken);
        if (r < 0)
            break;
        took = pack_check_put(c, SM_SPAN(buf, k));
        if (took < 0 || (size_t)took < k) {
            r = took < 0 ? (int)took : -SM_EFORMAT;
            break;
        }
        n -= k;
    }
    free(buf);
    return r;
}

int pack_check_file(struct pack_check *c, int fd, uint64_t n)
{
    if (c->err != 0)
        return c->err;
    int r = n > c->taken ? feed(c, fd, n - c->taken) : 0;
    return r < 0 ? r : settle(c);
}

int pack_check_whole(struct pack_check *c, int fd)
{
    /* Three rounds: what is left is known better after the header, and again after the directory. */
    uint64_t left;
    if (c->err != 0)
        return c->err;
    while ((left = pack_check_left(c)) > 0) {
        int r = feed(c, fd, left);
        if (r < 0)
            return r;
    }
    return 0;
}

uint64_t pack_check_left(const struct pack_check *c)
{
    if (c->state == IN_HEADER)
        return PACK_HEADER_LEN - c->head.n;
    return PACK_HEADER_LEN + (uint64_t)c->header.n * PACK_DIRENT_LEN + c->header.body_bytes - c->taken;
}

uint64_t pack_check_taken(const struct pack_check *c)
{
    return c->taken;
}

const struct pack_header *pack_check_header(const struct pack_check *c)
{
    return c->state >= IN_BODY ? &c->header : NULL;
}

const struct cid *pack_check_id(const struct pack_check *c)
{
    return c->state >= IN_BODY ? &c->name : NULL;
}

const struct pack_object *pack_check_objects(const struct pack_check *c)
{
    return c->state >= IN_BODY ? (const struct pack_object *)(const void *)c->objects.p : NULL;
}

uint8_t pack_check_algorithm(const struct pack_check *c)
{
    return c->algorithm;
}
