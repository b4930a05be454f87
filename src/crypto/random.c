#include "crypto/random.h"
#include <errno.h>
#include <gcrypt.h>

void crypto_random(void *ret, size_t n)
{
    /* STRONG is what keys need: the difference to VERY_STRONG is only a blocking pool of old kernels. */
    if (n) {
        gcry_randomize(ret, n, GCRY_STRONG_RANDOM);
    }
}

uint64_t crypto_random_below(uint64_t n)
{
    if (n < 2) {
        return 0;
    }
    /* Values under 2^64 mod n would make small answers likelier; draw again. */
    uint64_t least = (0 - n) % n, v;
    do {
        crypto_random(&v, sizeof(v));
    } while (v < least);
    return v % n;
}

void crypto_code_new(size_t n, size_t group, char *ret)
{
    uint8_t raw[CRYPTO_CODE_MAX];
    if (n > sizeof(raw)) {
        n = sizeof(raw);
    }
    crypto_random(raw, n);
    for (size_t i = 0; i < n; i++) {
        if (group && i && i % group == 0) {
            *ret++ = '-';
        }
        *ret++ = CRYPTO_CODE_ALPHABET[raw[i] & 31];
    }
    *ret = 0;
    sm_zero(raw, sizeof(raw));
}

/* One character of typed text as ASCII; full-width forms (U+FF01 to U+FF5E, U+3000) become plain. */
static int plain_char(const unsigned char **s)
{
    const unsigned char *p = *s;
    if (p[0] < 0x80) {
        *s = p + 1;
        return p[0];
    }
    if (p[0] == 0xef && (p[1] == 0xbc || p[1] == 0xbd) && p[2] >= 0x80 && p[2] <= 0xbf) {
        int c = ((p[1] & 3) << 6 | (p[2] & 0x3f)) + 0x20;
        *s = p + 3;
        return c <= 0x7e ? c : -1;
    }
    if (p[0] == 0xe3 && p[1] == 0x80 && p[2] == 0x80) {
        *s = p + 3;
        return ' ';
    }
    return -1;
}

int crypto_code_read(const char *typed, char *ret, size_t size)
{
    char out[CRYPTO_CODE_MAX + 1];
    size_t n = 0;
    const unsigned char *s = (const unsigned char *)typed;
    while (*s) {
        int c = plain_char(&s);
        if (c == ' ' || c == '-' || c == '\t') {
            continue;
        }
        if (c >= 'a' && c <= 'z') {
            c -= 32;
        }
        c = c == 'I' || c == 'L' ? '1' : c == 'O' ? '0' : c;
        if (c <= 0 || !strchr(CRYPTO_CODE_ALPHABET, c)) {
            return -SM_EFORMAT;
        }
        if (n + 1 >= size || n + 1 >= sizeof(out)) {
            return -SM_ELIMIT;
        }
        out[n++] = (char)c;
    }
    memcpy(ret, out, n);
    ret[n] = 0;
    return 0;
}
