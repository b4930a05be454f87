/* Frames of the list and of journals. */
#include <errno.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "giveback/internal.h"
#include "plat/fs.h"

#define MARK "SGBF"
enum { WINDOW = FRAME_MAX + FRAME_HEAD + (1 << 20) };

int frame_begin(struct sm_buf *b, const char *magic)
{
    int r = sm_buf_put(b, magic, 4);
    if (r == 0)
        r = sm_buf_put_u32(b, 1);
    return r < 0 ? r : sm_buf_put_u64(b, 0);
}

static void check_of(uint64_t off, struct sm_span payload, uint8_t ret[8])
{
    uint8_t at[8], hash[CRYPTO_SHA256_LEN];
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(off >> (8 * i));
    crypto_sha256v((struct sm_span[]){SM_SPAN(at, 8), payload}, 2, hash);
    memcpy(ret, hash, 8);
}

int frame_put(struct sm_buf *b, uint64_t off, struct sm_span payload)
{
    uint8_t check[8];
    if (payload.n == 0 || payload.n > FRAME_MAX)
        return -SM_ELIMIT;
    check_of(off, payload, check);
    int r = sm_buf_put(b, MARK, 4);
    if (r == 0)
        r = sm_buf_put_u32(b, (uint32_t)payload.n);
    if (r == 0)
        r = sm_buf_put(b, check, 8);
    return r < 0 ? r : sm_buf_put_span(b, payload);
}

/* Is there a sound frame at the beginning of s, which lies at off in the file?  Its length, 0: no. */
static size_t sound(struct sm_span s, uint64_t off, struct sm_span *ret)
{
    uint8_t check[8];
    struct sm_rd rd = SM_RD(s);
    struct sm_span mark = sm_rd_bytes(&rd, 4);
    size_t n = sm_rd_u32(&rd);
    struct sm_span have = sm_rd_bytes(&rd, 8);
    if (rd.err || memcmp(mark.p, MARK, 4) != 0 || n == 0 || n > FRAME_MAX || n > rd.n)
        return 0;
    struct sm_span payload = sm_rd_bytes(&rd, n);
    check_of(off, payload, check);
    if (memcmp(check, have.p, 8) != 0)
        return 0;
    *ret = payload;
    return FRAME_HEAD + n;
}

struct window { uint8_t *p; size_t n; uint64_t off; };

/* The window from off on; what is in it already is moved, not read again. */
static int fill(struct window *w, int fd, uint64_t off)
{
    size_t have = off >= w->off && off < w->off + w->n ? (size_t)(w->off + w->n - off) : 0;
    if (have)
        memmove(w->p, w->p + (w->n - have), have);
    w->n = have;
    w->off = off;
    while (w->n < WINDOW) {
        ssize_t k = pread(fd, w->p + w->n, WINDOW - w->n, (off_t)(off + w->n));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        if (k == 0)
            break;
        w->n += (size_t)k;
    }
    return 0;
}

/* Offset of the next mark after off inside the window, or of its end. */
static uint64_t next_mark(const struct window *w, uint64_t off)
{
    size_t at = (size_t)(off - w->off) + 1;
    const uint8_t *p = at < w->n ? memmem(w->p + at, w->n - at, MARK, 4) : NULL;
    return p ? w->off + (uint64_t)(p - w->p) : w->off + w->n;
}

static int head_ok(struct sm_span s, const char *magic)
{
    struct sm_rd rd = SM_RD(s);
    struct sm_span m = sm_rd_bytes(&rd, 4);
    uint32_t version = sm_rd_u32(&rd);
    if (rd.err || memcmp(m.p, magic, 4) != 0)
        return -SM_EFORMAT;
    return version == 1 ? 0 : -SM_EVERSION;
}

static int read_all(int fd, struct window *w, frame_fn *fn, void *ctx, uint64_t *end, unsigned *damaged)
{
    uint64_t off = FRAME_HEAD;
    int r = 0;
    for (bool whole = true; r == 0;) {
        struct sm_span payload;
        if (off + FRAME_HEAD > w->off + w->n || off - w->off > WINDOW / 4)
            r = fill(w, fd, off);
        if (r < 0 || w->off + w->n <= off)
            break;
        size_t n = sound(SM_SPAN(w->p + (off - w->off), w->n - (size_t)(off - w->off)), off, &payload);
        if (n == 0 && w->off != off && (r = fill(w, fd, off)) == 0)
            n = sound(SM_SPAN(w->p, w->n), off, &payload); /* it may only have been cut by the window */
        if (r < 0)
            break;
        if (n == 0) {
            off = next_mark(w, off);
            whole = false;
            continue;
        }
        *damaged += !whole;
        whole = true;
        r = fn(ctx, off, payload);
        off += n;
        *end = off;
    }
    return r;
}

int frame_read(int fd, const char *magic, frame_fn *fn, void *ctx, uint64_t *ret_end, unsigned *ret_damaged)
{
    struct window w = {.p = malloc(WINDOW)};
    uint64_t end = FRAME_HEAD;
    unsigned damaged = 0;
    if (!w.p)
        return -ENOMEM;
    int r = fill(&w, fd, 0);
    if (r == 0)
        r = head_ok(SM_SPAN(w.p, w.n), magic);
    if (r == 0)
        r = read_all(fd, &w, fn, ctx, &end, &damaged);
    free(w.p);
    if (r == 0) {
        *ret_end = end;
        *ret_damaged = damaged;
    }
    return r;
}
