/*
 * Bytes: a borrowed span, a growing buffer with a hard maximum, and a reader with a
 * sticky error.  All integers on disk and wire are little-endian; varints are LEB128
 * (unsigned, at most 10 bytes, minimal form demanded when read).
 */
#ifndef SM_CORE_BUF_H
#define SM_CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/err.h"

struct sm_span { const uint8_t *p; size_t n; };
#define SM_SPAN(ptr, len) ((struct sm_span){ (const uint8_t *)(ptr), (len) })
#define SM_SPAN_STR(s) ((struct sm_span){ (const uint8_t *)(s), strlen(s) })
bool sm_span_eq(struct sm_span a, struct sm_span b);
/* memcmp order, shorter first on a common prefix: the order of names everywhere. */
int sm_span_cmp(struct sm_span a, struct sm_span b);

/* Growing buffer.  Zero-initialised is valid with max = SM_BUF_MAX_DEFAULT. */
#define SM_BUF_MAX_DEFAULT ((size_t)64 << 20)
struct sm_buf { uint8_t *p; size_t n, cap, max; };
#define SM_BUF_INIT(maximum) ((struct sm_buf){ .max = (maximum) })
void sm_buf_wipe(struct sm_buf *b);   /* zeroes and frees; b is then empty, max kept */
void sm_buf_clear(struct sm_buf *b);  /* length 0, memory kept */
/* Room for extra more bytes.  -ENOMEM, or -SM_ELIMIT past max. */
sm_must_use int sm_buf_reserve(struct sm_buf *b, size_t extra);
/* Appenders: 0, -ENOMEM, -SM_ELIMIT; the buffer is unchanged on failure. */
sm_must_use static inline int sm_buf_put(struct sm_buf *b, const void *p, size_t n)
{
    if (n > b->cap - b->n) {
        int r = sm_buf_reserve(b, n);
        if (r < 0)
            return r;
    }
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return 0;
}
sm_must_use static inline int sm_buf_put_span(struct sm_buf *b, struct sm_span s)
{
    return sm_buf_put(b, s.p, s.n);
}
sm_must_use static inline int sm_buf_put_u8(struct sm_buf *b, uint8_t v)
{
    return sm_buf_put(b, &v, 1);
}
sm_must_use int sm_buf_put_u16(struct sm_buf *b, uint16_t v);
sm_must_use int sm_buf_put_u32(struct sm_buf *b, uint32_t v);
sm_must_use int sm_buf_put_u64(struct sm_buf *b, uint64_t v);
sm_must_use int sm_buf_put_varint(struct sm_buf *b, uint64_t v);
/* varint length, then the bytes. */
sm_must_use int sm_buf_put_blob(struct sm_buf *b, struct sm_span s);
sm_must_use int sm_buf_printf(struct sm_buf *b, const char *fmt, ...) sm_printf(2, 3); /* no NUL is counted */
/* NUL after the last byte (not counted) and the start as a string; NULL when out of memory. */
const char *sm_buf_str(struct sm_buf *b);
struct sm_span sm_buf_span(const struct sm_buf *b);
/* Drop the first n bytes. */
void sm_buf_shift(struct sm_buf *b, size_t n);

/* Reader over borrowed bytes.  After the first error every get returns 0 and err stays. */
struct sm_rd { const uint8_t *p; size_t n; int err; };
#define SM_RD(span) ((struct sm_rd){ .p = (span).p, .n = (span).n })
uint8_t sm_rd_u8(struct sm_rd *r);
uint16_t sm_rd_u16(struct sm_rd *r);
uint32_t sm_rd_u32(struct sm_rd *r);
uint64_t sm_rd_u64(struct sm_rd *r);
uint64_t sm_rd_varint(struct sm_rd *r);           /* -SM_EFORMAT if not minimal or > 64 bits */
struct sm_span sm_rd_bytes(struct sm_rd *r, size_t n);
struct sm_span sm_rd_blob(struct sm_rd *r, size_t max); /* varint length; -SM_ELIMIT past max */
void sm_rd_copy(struct sm_rd *r, void *to, size_t n);
/* 0 when everything was read without error, else the error, or -SM_EFORMAT for left-over bytes. */
sm_must_use int sm_rd_done(const struct sm_rd *r);

/* Text forms.  Decoders accept upper and lower case; -SM_EFORMAT else. */
/* Every byte of text that is no printable ASCII becomes '?'. */
void sm_ascii_only(char *text);
void sm_hex(const void *p, size_t n, char *ret_hex /* 2n+1 */);
sm_must_use int sm_unhex(const char *hex, size_t hex_n, void *ret, size_t n);
sm_must_use int sm_base64(struct sm_span in, struct sm_buf *ret);       /* standard, padded */
sm_must_use int sm_unbase64(struct sm_span in, struct sm_buf *ret);
sm_must_use int sm_base32(struct sm_span in, struct sm_buf *ret);       /* RFC 4648, no padding */
sm_must_use int sm_unbase32(struct sm_span in, struct sm_buf *ret);     /* skips '-' and space */
/* Is s valid UTF-8 (RFC 3629, no surrogates, no NUL)? */
bool sm_utf8_valid(struct sm_span s);

/* Compare secrets in constant time. */
bool sm_ct_eq(const void *a, const void *b, size_t n);
/* Zero memory that the compiler may not optimise away. */
void sm_zero(void *p, size_t n);

#endif
