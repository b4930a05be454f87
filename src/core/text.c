/* Text forms of bytes: hexadecimal, base64, base32 (RFC 4648) and the UTF-8 check (RFC 3629). */
#include "core/buf.h"
#include <errno.h>

void sm_ascii_only(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            *text = '?';
}

void sm_hex(const void *p, size_t n, char *ret_hex)
{
    static const char digit[] = "0123456789abcdef";
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        ret_hex[2 * i] = digit[b[i] >> 4];
        ret_hex[2 * i + 1] = digit[b[i] & 15];
    }
    ret_hex[2 * n] = 0;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int sm_unhex(const char *hex, size_t hex_n, void *ret, size_t n)
{
    if (hex_n / 2 != n || hex_n % 2)
        return -SM_EFORMAT;
    for (size_t i = 0; i < hex_n; i++) {
        if (nibble(hex[i]) < 0)
            return -SM_EFORMAT;
    }
    uint8_t *b = ret;
    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    return 0;
}

static const char set64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char set32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

int sm_base64(struct sm_span in, struct sm_buf *ret)
{
    if (in.n > SIZE_MAX / 2)
        return -SM_ELIMIT;
    int r = sm_buf_reserve(ret, (in.n + 2) / 3 * 4);
    if (r < 0)
        return r;
    uint8_t *o = ret->p + ret->n;
    for (size_t i = 0; i < in.n; i += 3) {
        size_t left = in.n - i;
        uint32_t v = (uint32_t)in.p[i] << 16;
        v |= left > 1 ? (uint32_t)in.p[i + 1] << 8 : 0;
        v |= left > 2 ? in.p[i + 2] : 0;
        *o++ = (uint8_t)set64[v >> 18];
        *o++ = (uint8_t)set64[v >> 12 & 63];
        *o++ = left > 1 ? (uint8_t)set64[v >> 6 & 63] : '=';
        *o++ = left > 2 ? (uint8_t)set64[v & 63] : '=';
    }
    ret->n += (in.n + 2) / 3 * 4;
    return 0;
}

static int value64(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of four; *ret_n bytes come of it.  Only the last group may be padded, and its spare bits must be 0. */
static int group64(const uint8_t *p, bool last, uint8_t ret[3], size_t *ret_n)
{
    size_t n = p[3] != '=' ? 3 : p[2] != '=' ? 2 : 1;
    if (n < 3 && !last)
        return -SM_EFORMAT;
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        int d = i <= n ? value64(p[i]) : 0;
        if (d < 0)
            return -SM_EFORMAT;
        v = v << 6 | (uint32_t)d;
    }
    if ((n == 1 && v & 0xffff) || (n == 2 && v & 0xff))
        return -SM_EFORMAT;
    ret[0] = (uint8_t)(v >> 16);
    ret[1] = (uint8_t)(v >> 8);
    ret[2] = (uint8_t)v;
    *ret_n = n;
    return 0;
}

int sm_unbase64(struct sm_span in, struct sm_buf *ret)
{
    if (in.n % 4)
        return -SM_EFORMAT;
    size_t before = ret->n;
    int r = sm_buf_reserve(ret, in.n / 4 * 3);
    if (r < 0)
        return r;
    for (size_t i = 0; i < in.n; i += 4) {
        uint8_t b[3];
        size_t n;
        r = group64(in.p + i, i + 4 == in.n, b, &n);
        if (r < 0) {
            ret->n = before;
            return r;
        }
        memcpy(ret->p + ret->n, b, n);
        ret->n += n;
    }
    return 0;
}

int sm_base32(struct sm_span in, struct sm_buf *ret)
{
    size_t before = ret->n;
    uint32_t v = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < in.n; i++) {
        v = (v << 8 | in.p[i]) & 0xffff;
        bits += 8;
        while (bits >= 5) {
            bits -= 5;
            int r = sm_buf_put_u8(ret, (uint8_t)set32[v >> bits & 31]);
            if (r < 0) {
                ret->n = before;
                return r;
            }
        }
    }
    int r = bits ? sm_buf_put_u8(ret, (uint8_t)set32[v << (5 - bits) & 31]) : 0;
    if (r < 0)
        ret->n = before;
    return r;
}

static int value32(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a';
    return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

static int unbase32(struct sm_span in, struct sm_buf *ret)
{
    uint32_t v = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == '-' || in.p[i] == ' ')
            continue;
        int d = value32(in.p[i]);
        if (d < 0)
            return -SM_EFORMAT;
        v = (v << 5 | (uint32_t)d) & 0xfff;
        bits += 5;
        if (bits < 8)
            continue;
        bits -= 8;
        int r = sm_buf_put_u8(ret, (uint8_t)(v >> bits));
        if (r < 0)
            return r;
    }
    /* Left-over bits: fewer than a digit's worth, and zero, or the text was cut or mistyped. */
    return bits >= 5 || (v & ((1u << bits) - 1)) ? -SM_EFORMAT : 0;
}

int sm_unbase32(struct sm_span in, struct sm_buf *ret)
{
    size_t before = ret->n;
    int r = unbase32(in, ret);
    if (r < 0)
        ret->n = before;
    return r;
}

/* Length of the valid sequence at p (n > 0 bytes are there), 0 if there is none. */
static size_t utf8_step(const uint8_t *p, size_t n)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return c != 0;
    size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f))
        return 0;
    if ((c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

bool sm_utf8_valid(struct sm_span s)
{
    while (s.n) {
        size_t k = utf8_step(s.p, s.n);
        if (!k)
            return false;
        s.p += k;
        s.n -= k;
    }
    return true;
}
