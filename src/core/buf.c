#include "core/buf.h"
#include <errno.h>
#include <stdarg.h>
#include "plat/fault.h"

bool sm_span_eq(struct sm_span a, struct sm_span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

int sm_span_cmp(struct sm_span a, struct sm_span b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c)
        return c < 0 ? -1 : 1;
    return (a.n > b.n) - (a.n < b.n);
}

void sm_zero(void *p, size_t n)
{
    if (n)
        explicit_bzero(p, n);
}

bool sm_ct_eq(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t d = 0;
    for (size_t i = 0; i < n; i++)
        d = (uint8_t)(d | (x[i] ^ y[i]));
    return d == 0;
}

void sm_buf_wipe(struct sm_buf *b)
{
    sm_zero(b->p, b->cap);
    free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

void sm_buf_clear(struct sm_buf *b)
{
    b->n = 0;
}

/* Not realloc: what was secret must not stay behind in freed memory. */
static int grow(struct sm_buf *b, size_t need, size_t limit)
{
    size_t cap = b->cap ? b->cap : 256;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > limit)
        cap = limit;
    if (__builtin_expect(plat_fault_on, 0) && plat_fault_ask(PLAT_OP_ALLOC) < 0)
        return -ENOMEM;
    uint8_t *p = malloc(cap);
    if (!p)
        return -ENOMEM;
    if (b->n)
        memcpy(p, b->p, b->n);
    sm_zero(b->p, b->cap);
    free(b->p);
    b->p = p;
    b->cap = cap;
    return 0;
}

int sm_buf_reserve(struct sm_buf *b, size_t extra)
{
    if (b->max == 0)
        b->max = SM_BUF_MAX_DEFAULT;
    if (b->n > b->max || extra > b->max - b->n)
        return -SM_ELIMIT;
    if (extra <= b->cap - b->n)
        return 0;
    return grow(b, b->n + extra, b->max);
}

int sm_buf_put_u16(struct sm_buf *b, uint16_t v)
{
    uint8_t x[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    return sm_buf_put(b, x, sizeof x);
}

int sm_buf_put_u32(struct sm_buf *b, uint32_t v)
{
    uint8_t x[4];
    for (int i = 0; i < 4; i++)
        x[i] = (uint8_t)(v >> (8 * i));
    return sm_buf_put(b, x, sizeof x);
}

int sm_buf_put_u64(struct sm_buf *b, uint64_t v)
{
    uint8_t x[8];
    for (int i = 0; i < 8; i++)
        x[i] = (uint8_t)(v >> (8 * i));
    return sm_buf_put(b, x, sizeof x);
}

int sm_buf_put_varint(struct sm_buf *b, uint64_t v)
{
    uint8_t x[10];
    size_t n = 0;
    while (v >= 0x80) {
        x[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    x[n++] = (uint8_t)v;
    return sm_buf_put(b, x, n);
}

int sm_buf_put_blob(struct sm_buf *b, struct sm_span s)
{
    size_t before = b->n;
    int r = sm_buf_put_varint(b, s.n);
    if (r == 0)
        r = sm_buf_put_span(b, s);
    if (r < 0)
        b->n = before;
    return r;
}

int sm_buf_printf(struct sm_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return -SM_EINVAL;
    int r = sm_buf_reserve(b, (size_t)n);
    if (r == 0 && b->cap - b->n <= (size_t)n) /* the NUL needs a place, but does not count */
        r = grow(b, b->n + (size_t)n + 1, SIZE_MAX);
    if (r < 0)
        return r;
    va_start(ap, fmt);
    (void)vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, ap); /* measured above */
    va_end(ap);
    b->n += (size_t)n;
    return 0;
}

const char *sm_buf_str(struct sm_buf *b)
{
    if (b->n == b->cap && grow(b, b->n + 1, SIZE_MAX) < 0)
        return NULL;
    b->p[b->n] = 0;
    return (const char *)b->p;
}

struct sm_span sm_buf_span(const struct sm_buf *b)
{
    return (struct sm_span){b->p, b->n};
}

void sm_buf_shift(struct sm_buf *b, size_t n)
{
    if (n > b->n)
        n = b->n;
    if (n && b->n - n)
        memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

static const uint8_t *take(struct sm_rd *r, size_t n)
{
    if (r->err)
        return NULL;
    if (n > r->n) {
        r->err = -SM_EFORMAT;
        return NULL;
    }
    const uint8_t *p = r->p;
    if (n)
        r->p += n;
    r->n -= n;
    return p;
}

static uint64_t take_le(struct sm_rd *r, size_t n)
{
    const uint8_t *p = take(r, n);
    uint64_t v = 0;
    for (size_t i = 0; p && i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

uint8_t sm_rd_u8(struct sm_rd *r)
{
    return (uint8_t)take_le(r, 1);
}

uint16_t sm_rd_u16(struct sm_rd *r)
{
    return (uint16_t)take_le(r, 2);
}

uint32_t sm_rd_u32(struct sm_rd *r)
{
    return (uint32_t)take_le(r, 4);
}

uint64_t sm_rd_u64(struct sm_rd *r)
{
    return take_le(r, 8);
}

uint64_t sm_rd_varint(struct sm_rd *r)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 10; i++) {
        const uint8_t *p = take(r, 1);
        if (!p)
            return 0;
        uint8_t c = *p;
        if (i == 9 && c > 1)
            break;
        v |= (uint64_t)(c & 0x7f) << (7 * i);
        if (c & 0x80)
            continue;
        if (i > 0 && c == 0)
            break;
        return v;
    }
    r->err = -SM_EFORMAT;
    return 0;
}

struct sm_span sm_rd_bytes(struct sm_rd *r, size_t n)
{
    const uint8_t *p = take(r, n);
    return p ? (struct sm_span){p, n} : (struct sm_span){NULL, 0};
}

struct sm_span sm_rd_blob(struct sm_rd *r, size_t max)
{
    uint64_t n = sm_rd_varint(r);
    if (!r->err && n > max)
        r->err = -SM_ELIMIT;
    if (!r->err && n > r->n)
        r->err = -SM_EFORMAT;
    return r->err ? (struct sm_span){NULL, 0} : sm_rd_bytes(r, (size_t)n);
}

void sm_rd_copy(struct sm_rd *r, void *to, size_t n)
{
    const uint8_t *p = take(r, n);
    if (!n)
        return;
    if (p)
        memcpy(to, p, n);
    else
        memset(to, 0, n);
}

int sm_rd_done(const struct sm_rd *r)
{
    if (r->err)
        return r->err;
    return r->n ? -SM_EFORMAT : 0;
}
