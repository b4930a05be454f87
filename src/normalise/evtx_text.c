/* Values of binary XML as text. */
#include "normalise/evtx_int.h"

#include <stdio.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* units that are plain ASCII without NUL, 8 at a time, as far as they go. */
static uint32_t ascii_run(const uint8_t *p, uint32_t units, uint8_t *to)
{
    uint32_t i = 0;
#ifdef __SSE2__
    const __m128i above = _mm_set1_epi16((short)0xff80), zero = _mm_setzero_si128();
    for (; units - i >= 8; i += 8) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 2 * i));
        __m128i plain = _mm_cmpeq_epi16(_mm_and_si128(v, above), zero), nul = _mm_cmpeq_epi16(v, zero);
        if (_mm_movemask_epi8(_mm_andnot_si128(nul, plain)) != 0xffff)
            break;
        _mm_storel_epi64((__m128i *)(void *)(to + i), _mm_packus_epi16(v, v));
    }
#endif
    for (; i < units && !p[2 * i + 1] && p[2 * i] && p[2 * i] < 0x80; i++)
        to[i] = p[2 * i];
    return i;
}

size_t evtx_utf8(struct bx_text t, uint8_t *to, bool *ret_replaced)
{
    size_t n = 0;

    while (t.units && !le16(t.p + 2 * (t.units - 1)))
        t.units--;
    for (uint32_t i = 0; i < t.units;) {
        uint32_t k = ascii_run(t.p + 2 * i, t.units - i, to + n);
        i += k;
        n += k;
        /* Text of Japan: several in a row. */
        for (; i < t.units; i++) {
            uint32_t c = le16(t.p + 2 * i);
            if (c && c < 0x80)
                break;
            if (c >= 0xd800 && c < 0xdc00 && i + 1 < t.units && (le16(t.p + 2 * i + 2) & 0xfc00) == 0xdc00)
                c = 0x10000 + ((c - 0xd800) << 10) + (le16(t.p + 2 * ++i) & 0x3ffu);
            else if (!c || (c & 0xf800) == 0xd800) {
                c = 0xfffd;
                *ret_replaced = true;
            }
            n += utf8_put(to + n, c);
        }
    }
    return n;
}

/* ---- numbers ---- */

static size_t decimal(uint8_t *to, uint64_t v)
{
    uint8_t tmp[20];
    size_t n = 0, i = 0;

    do
        tmp[n++] = (uint8_t)('0' + v % 10);
    while (v /= 10);
    while (n)
        to[i++] = tmp[--n];
    return i;
}

static size_t fixed(uint8_t *to, uint64_t v, int digits)
{
    for (int i = digits; i--; v /= 10)
        to[i] = (uint8_t)('0' + v % 10);
    return (size_t)digits;
}

static size_t integer(uint8_t *to, int64_t v)
{
    if (v >= 0)
        return decimal(to, (uint64_t)v);
    to[0] = '-';
    return 1 + decimal(to + 1, 0 - (uint64_t)v);
}

static size_t hexadecimal(uint8_t *to, uint64_t v)
{
    int shift = 60;
    size_t n = 2;

    to[0] = '0';
    to[1] = 'x';
    while (shift && !(v >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        to[n++] = (uint8_t)"0123456789abcdef"[v >> shift & 15];
    return n;
}

/* The shortest that reads back the same. */
static size_t real(uint8_t *to, double v, int digits, int most, bool is_float)
{
    char text[40];
    int n = 0;

    for (; digits <= most; digits++) {
        n = snprintf(text, sizeof text, "%.*g", digits, v);
        double back = strtod(text, NULL);
        if (is_float ? (float)back == (float)v : back == v)
            break;
    }
    memcpy(to, text, (size_t)n);
    return (size_t)n;
}

static bool is_real(const uint8_t *p, size_t n)
{
    return n && p[n - 1] >= '0' && p[n - 1] <= '9'; /* not "inf", "nan" */
}

/* ---- times ---- */

enum { EPOCH_1601_S = 134774 };    /* days from 1601 to 1970 */

struct event_time evtx_filetime(uint64_t t)
{
    return (struct event_time){ (int64_t)(t / 10000000) - (int64_t)EPOCH_1601_S * 86400,
        (uint32_t)(t % 10000000) * 100 };
}

/* Civil date of a day counted from 1601-03-01 backwards by two months: years that begin in March have the leap day
 * last. */
static void civil(uint64_t day_1601, uint64_t *y, unsigned *m, unsigned *d)
{
    uint64_t z = day_1601 + 584694 - 0;     /* days from 0000-03-01 to 1601-01-01 */
    uint64_t era = z / 146097;
    unsigned doe = (unsigned)(z % 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;

    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = yoe + era * 400 + (*m <= 2);
}

static size_t filetime(uint8_t *to, uint64_t t)
{
    uint64_t s = t / 10000000, y;
    unsigned m, d, day = (unsigned)(s % 86400);
    size_t n;

    civil(s / 86400, &y, &m, &d);
    n = y < 10000 ? fixed(to, y, 4) : decimal(to, y);
    to[n++] = '-';
    n += fixed(to + n, m, 2);
    to[n++] = '-';
    n += fixed(to + n, d, 2);
    to[n++] = 'T';
    n += fixed(to + n, day / 3600, 2);
    to[n++] = ':';
    n += fixed(to + n, day / 60 % 60, 2);
    to[n++] = ':';
    n += fixed(to + n, day % 60, 2);
    to[n++] = '.';
    n += fixed(to + n, t % 10000000, 7);
    to[n++] = 'Z';
    return n;
}

static size_t systemtime(uint8_t *to, const uint8_t *p)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", le16(p), le16(p + 2), le16(p + 6),
        le16(p + 8),
        le16(p + 10), le16(p + 12), le16(p + 14));

    memcpy(to, text, (size_t)n);
    return (size_t)n;
}

/* ---- the rest ---- */

static size_t hex_bytes(uint8_t *to, const uint8_t *p, size_t n, const char *digits)
{
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = (uint8_t)digits[p[i] >> 4];
        to[2 * i + 1] = (uint8_t)digits[p[i] & 15];
    }
    return 2 * n;
}

static size_t guid(uint8_t *to, const uint8_t *p)
{
    static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
    size_t n = 0;

    to[n++] = '{';
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            to[n++] = '-';
        n += hex_bytes(to + n, p + order[i], 1, "0123456789abcdef");
    }
    to[n++] = '}';
    return n;
}

static size_t sid_bytes(const uint8_t *p, size_t n)
{
    return n >= 8 && p[1] <= 15 && n >= 8 + 4 * (size_t)p[1] ? 8 + 4 * (size_t)p[1] : 0;
}

static size_t sid(uint8_t *to, const uint8_t *p)
{
    uint64_t authority = 0;
    size_t n = 2;

    for (int i = 2; i < 8; i++)
        authority = authority << 8 | p[i];
    memcpy(to, "S-", 2);
    n += decimal(to + n, p[0]);
    to[n++] = '-';
    n += authority >> 32 ? hexadecimal(to + n, authority) : decimal(to + n, authority);
    for (unsigned i = 0; i < p[1]; i++) {
        to[n++] = '-';
        n += decimal(to + n, le32(p + 8 + 4 * (size_t)i));
    }
    return n;
}

/* One character at *w; how many bytes it was, 0 when it is none. */
static size_t ansi_char(struct evtx *x, const uint8_t *p, size_t n, uint8_t **w)
{
    for (size_t k = 1; k <= 2 && k <= n; k++) {
        char *in = (char *)p, *out = (char *)*w;
        size_t left = k, room = 6;
        (void)iconv(x->ansi, NULL, NULL, NULL, NULL); /* back to its beginning */
        if (iconv(x->ansi, &in, &left, &out, &room) == (size_t)-1 || left)
            continue;
        if (sm_utf8_valid(SM_SPAN(*w, (size_t)((uint8_t *)out - *w)))) {
            *w = (uint8_t *)out;
            return k;
        }
    }
    return 0;
}

/* The code page is that of the machine that wrote: UTF-8 if it can be, else Japan's. */
static size_t ansi(struct evtx *x, const uint8_t *p, size_t n, uint8_t *to, uint32_t *notes)
{
    while (n && !p[n - 1])
        n--;
    if (sm_utf8_valid(SM_SPAN(p, n))) {
        if (n)
            memcpy(to, p, n);
        return n;
    }
    uint8_t *w = to;
    *notes |= EVENT_DECODED;
    while (n) {
        size_t k = ansi_char(x, p, n, &w);
        if (!k) {
            w += utf8_put(w, 0xfffd);
            *notes |= EVENT_REPLACED;
            k = 1;
        }
        p += k;
        n -= k;
    }
    return (size_t)(w - to);
}

/* Bytes of one value of a type of fixed size, 0 for others. */
static uint32_t size_of(unsigned type)
{
    static const uint8_t sizes[] = {
        [BX_I8] = 1, [BX_U8] = 1, [BX_I16] = 2, [BX_U16] = 2, [BX_I32] = 4, [BX_U32] = 4, [BX_I64] = 8, [BX_U64] = 8,
        [BX_F32] = 4, [BX_F64] = 8, [BX_BOOL] = 4, [BX_GUID] = 16, [BX_FILETIME] = 8, [BX_SYSTEMTIME] = 16,
        [BX_HEX32] = 4,
        [BX_HEX64] = 8,
    };
    return type < sizeof sizes ? sizes[type] : 0;
}

size_t evtx_text_room(const struct bx_value *v)
{
    /* 3 bytes for a unit of UTF-16, 2 for a byte in hexadecimal, 6 for a byte of another code page. */
    if (v->type == BX_UTF16)
        return 3 * (size_t)(v->n / 2) + 16;
    return (v->type == BX_ANSI ? 6 : 2) * (size_t)v->n + EVTX_SCALAR_TEXT;
}

static size_t scalar(const struct bx_value *v, uint8_t *to, enum event_type *ret_type)
{
    const uint8_t *p = v->p;
    float f;
    double d;
    size_t n;

    *ret_type = EVENT_NUMBER;
    switch (v->type) {
    case BX_I8: return integer(to, (int8_t)*p);
    case BX_U8: return decimal(to, *p);
    case BX_I16: return integer(to, (int16_t)le16(p));
    case BX_U16: return decimal(to, le16(p));
    case BX_I32: return integer(to, (int32_t)le32(p));
    case BX_U32: return decimal(to, le32(p));
    case BX_I64: return integer(to, (int64_t)le64(p));
    case BX_U64: return decimal(to, le64(p));
    case BX_F32:
        memcpy(&f, p, sizeof f);
        n = real(to, (double)f, 6, 9, true);
        break;
    case BX_F64:
        memcpy(&d, p, sizeof d);
        n = real(to, d, 15, 17, false);
        break;
    case BX_BOOL:
        *ret_type = EVENT_BOOL;
        n = le32(p) ? 4 : 5;
        memcpy(to, n == 4 ? "true" : "false", n);
        return n;
    default:
        *ret_type = EVENT_TEXT;
        switch (v->type) {
        case BX_GUID: return guid(to, p);
        case BX_FILETIME: return filetime(to, le64(p));
        case BX_SYSTEMTIME: return systemtime(to, p);
        case BX_HEX32: return hexadecimal(to, le32(p));
        default: return hexadecimal(to, le64(p));
        }
    }
    *ret_type = is_real(to, n) ? EVENT_NUMBER : EVENT_TEXT;
    return n;
}

size_t evtx_text(struct evtx *x, const struct bx_value *v, uint8_t *to, enum event_type *ret_type, uint32_t *notes)
{
    bool replaced = false;
    uint32_t size = size_of(v->type);
    size_t n;

    if (size && v->n >= size)
        return scalar(v, to, ret_type);
    *ret_type = EVENT_TEXT;
    switch (v->type) {
    case BX_NULL:
        *ret_type = EVENT_NULL;
        return 0;
    case BX_UTF16:
        n = evtx_utf8((struct bx_text){ v->p, v->n / 2 }, to, &replaced);
        *notes |= replaced ? EVENT_REPLACED : 0;
        return n;
    case BX_ANSI:
        return ansi(x, v->p, v->n, to, notes);
    case BX_SID:
        if (sid_bytes(v->p, v->n))
            return sid(to, v->p);
        break;
    case BX_SIZE:
    case BX_HANDLE:
        if (v->n == 4 || v->n == 8)
            return hexadecimal(to, v->n == 8 ? le64(v->p) : le32(v->p));
        break;
    case BX_BINARY:
        break;
    default:
        /* A type this build does not know, or too few bytes for it: the bytes themselves. */
        *notes |= size && v->n ? EVENT_DAMAGED : 0;
        break;
    }
    if (!v->n)
        *ret_type = size ? EVENT_NULL : EVENT_TEXT;
    return hex_bytes(to, v->p, v->n, "0123456789ABCDEF");
}

/* ---- arrays ---- */

static uint32_t utf16_end(const uint8_t *p, uint32_t n)
{
    uint32_t i = 0;

    while (i + 1 < n && le16(p + i))
        i += 2;
    return i;
}

bool evtx_element(const struct bx_value *a, uint32_t *at, struct bx_value *ret)
{
    uint32_t left = a->n - *at, size, skip = 0;
    uint8_t type = a->type & (uint8_t)~BX_ARRAY;
    const uint8_t *p = a->p + *at;

    if (!left)
        return false;
    if (type == BX_UTF16) {
        size = utf16_end(p, left);
        skip = left - size < 2 ? left - size : 2;
    } else if (type == BX_ANSI) {
        const uint8_t *end = memchr(p, 0, left);
        size = end ? (uint32_t)(end - p) : left;
        skip = end ? 1 : 0;
    } else if (type == BX_SID) {
        size = (uint32_t)sid_bytes(p, left);
    } else if (type == BX_SIZE || type == BX_HANDLE) {
        size = a->n % 8 ? 4 : 8;
    } else {
        size = size_of(type);
    }
    if (size > left || (!size && !skip))
        size = left;
    *ret = (struct bx_value){ p, size, type };
    *at += size + skip;
    return true;
}
