#include <ctype.h>
#include <math.h>
#include <string.h>
#include "detect/ransom/content.h"

void tally_add(struct tally *t, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        t->of[p[i]]++;
    t->n += n;
}

static double chi_square(const uint32_t *of, unsigned bins, double n)
{
    double expected = n / bins, sum = 0;
    for (unsigned i = 0; i < bins; i++)
        sum += (of[i] - expected) * (of[i] - expected);
    return sum / expected;
}

double tally_excess(const struct tally *t)
{
    return t->n ? (chi_square(t->of, 256, (double)t->n) - 255) / sqrt(2 * 255.0) : 0;
}

/* Neighbours that know of each other: sound, pictures, tables.  The limit is five standard deviations. */
static bool serial(const uint8_t *p, size_t n)
{
    double sum = 0, square = 0, product = 0;
    for (size_t i = 0; i < n; i++) {
        double v = p[i], next = p[(i + 1) % n];
        sum += v;
        square += v * v;
        product += v * next;
    }
    double below = (double)n * square - sum * sum;
    return below == 0 || fabs(((double)n * product - sum * sum) / below) > 5 / sqrt((double)n);
}

static unsigned distinct_of(const struct tally *t)
{
    unsigned k = 0;
    for (unsigned i = 0; i < 256; i++)
        k += t->of[i] != 0;
    return k;
}

/* 16 to 1023 bytes: half bytes are even, bits are half ones, and as many different bytes as dice would give. */
static bool few_random(const uint8_t *p, size_t n, const struct tally *t)
{
    uint32_t half[16] = {0};
    unsigned ones = 0;
    for (size_t i = 0; i < n; i++) {
        half[p[i] >> 4]++;
        half[p[i] & 15]++;
        ones += (unsigned)__builtin_popcount(p[i]);
    }
    double bits = 8.0 * (double)n, dice = 256 * (1 - exp(-(double)n / 256));
    if (fabs(ones - bits / 2) > 4 * sqrt(bits) / 2 || distinct_of(t) < dice - 4 * sqrt(dice) / 2 - 2)
        return false;
    if (n < 48)
        return true;
    return chi_square(half, 16, 2.0 * (double)n) < 15 + 5 * sqrt(30.0);
}

bool bytes_random(const uint8_t *p, size_t n)
{
    if (n < 16)
        return false;
    struct tally t = {0};
    tally_add(&t, p, n);
    if (n < 1024)
        return few_random(p, n, &t);
    double excess = tally_excess(&t);
    return excess > -5 && excess < 6 && !serial(p, n);
}

/* Value of a letter of base64 (both alphabets), -1 for others. */
static int letter_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Hexadecimal of what looks random. */
static bool few_digits(const uint8_t *p, size_t n)
{
    uint8_t out[256];
    size_t got = 0, digits = 0;
    for (size_t i = 0; i < n && digits < 2 * sizeof out; i++) {
        if (p[i] == '\n' || p[i] == '\r')
            continue;
        int c = p[i] | 0x20, v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0)
            return false;
        if (digits++ % 2)
            out[got - 1] = (uint8_t)(out[got - 1] << 4 | v);
        else
            out[got++] = (uint8_t)v;
    }
    return got >= 24 && bytes_random(out, got - 1);
}

/* A few hundred letters at most: too few to count, so they are read. */
static bool few_encoded(const uint8_t *p, size_t n)
{
    uint8_t out[512];
    size_t got = 0, bits = 0;
    if (few_digits(p, n))
        return true;
    uint32_t held = 0;
    bool upper = false, lower = false;
    for (size_t i = 0; i < n && got < sizeof out; i++) {
        int v = letter_of(p[i]);
        if (p[i] == '\n' || p[i] == '\r' || p[i] == '=')
            continue;
        if (v < 0)
            return false;
        upper |= v < 26;
        lower |= v >= 26 && v < 52;
        held = held << 6 | (uint32_t)v;
        bits += 6;
        if (bits >= 8)
            out[got++] = (uint8_t)(held >> (bits -= 8));
    }
    return upper && lower && got >= 24 && bytes_random(out, got);
}

bool bytes_encoded(const uint8_t *p, size_t n)
{
    if (n < 512)
        return few_encoded(p, n);
    uint32_t of[256] = {0}, even[256];
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (p[i] != '\n' && p[i] != '\r' && p[i] != '=') {
            of[p[i]]++;
            m++;
        }
    unsigned k = 0;
    for (unsigned i = 0; i < 256; i++) {
        if (of[i] && (i < 0x21 || i > 0x7e))
            return false;
        if (of[i])
            even[k++] = of[i];
    }
    if (k < 15 || k > 90 || m < 5 * (size_t)k)
        return false;
    return chi_square(even, k, (double)m) < k - 1 + 6 * sqrt(2.0 * (k - 1));
}

bool bytes_constant(const uint8_t *p, size_t n)
{
    return n > 0 && (n == 1 || !memcmp(p, p + 1, n - 1));
}

/* Every byte is the one `period` before it. */
static bool repeats(const uint8_t *p, size_t n)
{
    for (size_t period = 1; period <= 64 && period * 4 <= n; period++)
        if (!memcmp(p, p + period, n - period))
            return true;
    return false;
}

bool bytes_poor(const uint8_t *p, size_t n)
{
    struct tally t = {0};
    if (bytes_constant(p, n))
        return true;
    if (n < 32)
        return false;
    tally_add(&t, p, n);
    return distinct_of(&t) <= 4 || repeats(p, n);
}

bool bytes_keyed(const uint8_t *a, const uint8_t *b, size_t n)
{
    uint8_t by[2][RANSOM_SAMPLE];
    size_t moved = 0;
    n = n < RANSOM_SAMPLE ? n : RANSOM_SAMPLE;
    for (size_t i = 0; i < n; i++) {
        by[0][i] = a[i] ^ b[i];
        by[1][i] = (uint8_t)(b[i] - a[i]);
        moved += a[i] != b[i];
    }
    return n >= 128 && moved * 4 >= n * 3 && !bytes_poor(a, n) && (repeats(by[0], n) || repeats(by[1], n));
}

bool bytes_sprinkled(const uint8_t *a, const uint8_t *b, size_t n)
{
    uint8_t was[RANSOM_SAMPLE], is[RANSOM_SAMPLE];
    size_t k = 0, runs = 0;
    n = n < RANSOM_SAMPLE ? n : RANSOM_SAMPLE;
    for (size_t i = 0; i < n; i++) {
        if (a[i] == b[i])
            continue;
        runs += !i || a[i - 1] == b[i - 1];
        was[k] = a[i];
        is[k++] = b[i];
    }
    if (k < 64 || k * 4 > n * 3 || runs < 16 || k > runs * 8 || !bytes_random(is, k))
        return false;
    return !bytes_random(was, k) || bytes_random(a, n);
}

static int descending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

bool bytes_substituted(const uint8_t *a, const uint8_t *b, size_t n)
{
    uint8_t to[256];
    bool known[256] = {0};
    size_t moved = 0, signs = 0;
    for (size_t i = 0; i < n; i++) {
        if (known[a[i]] && to[a[i]] != b[i])
            return false;
        /* Upper and lower case of one letter hide nothing. */
        signs += !known[a[i]] && a[i] != b[i] && tolower(a[i]) != tolower(b[i]);
        known[a[i]] = true;
        to[a[i]] = b[i];
        moved += a[i] != b[i];
    }
    /* One to one, or letters fell together (upper case) and nothing was hidden. */
    uint32_t x[256] = {0}, y[256] = {0};
    for (size_t i = 0; i < n; i++) {
        x[a[i]]++;
        y[b[i]]++;
    }
    qsort(x, 256, sizeof x[0], descending);
    qsort(y, 256, sizeof y[0], descending);
    bool turned = moved * 4 >= n * 3 || (signs >= 8 && moved * 8 >= n);
    return n >= 32 && turned && x[3] && !memcmp(x, y, sizeof x);
}

/* ---- text ---- */
static bool sjis_pair(uint8_t a, uint8_t b)
{
    return ((a >= 0x81 && a <= 0x9f) || (a >= 0xe0 && a <= 0xfc)) && b >= 0x40 && b != 0x7f && b <= 0xfc;
}

/* How many bytes the sign at p has: 1 to 4, 0 for none of this encoding. */
typedef size_t sign_fn(const uint8_t *p, size_t n);

static size_t sign_utf8(const uint8_t *p, size_t n)
{
    size_t want = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 :
        p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < want && i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return want;
}

static size_t sign_sjis(const uint8_t *p, size_t n)
{
    if (p[0] < 0x80 || (p[0] >= 0xa1 && p[0] <= 0xdf))
        return 1;
    return n < 2 || sjis_pair(p[0], p[1]) ? 2 : 0;
}

static size_t sign_euc(const uint8_t *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t want = p[0] == 0x8f ? 3 : 2;
    if (p[0] != 0x8e && p[0] != 0x8f && p[0] < 0xa1)
        return 0;
    for (size_t i = 1; i < want && i < n; i++)
        if (p[i] < 0xa1 || p[i] == 0xff)
            return 0;
    return want;
}

static bool all_signs(const uint8_t *p, size_t n, sign_fn *sign)
{
    size_t i = 0;
    /* A sample begins anywhere: up to three bytes may belong to a sign before it. */
    for (size_t skip = 0; skip < 4; skip++) {
        for (i = skip; i < n;) {
            size_t k = sign(p + i, n - i);
            if (!k)
                break;
            i += k;
        }
        if (i >= n)
            return true;
    }
    return false;
}

/* Every second byte is of a page that Japanese text is made of (little end first, or big), and the others are not all the same. */
static bool wide_text(const uint8_t *p, size_t n)
{
    struct tally t = {0};
    size_t page[2] = {0};
    for (size_t i = 0; i < n; i++)
        page[i % 2] += p[i] == 0 || p[i] == 0x30 || (p[i] >= 0x4e && p[i] <= 0x9f) || p[i] == 0xff;
    for (unsigned odd = 0; odd < 2; odd++) {
        if (n < 32 || page[odd] * 20 < n / 2 * 19)
            continue;
        size_t low = 0, control = 0;
        for (size_t i = 1 - odd; i < n; i += 2) {
            size_t k = odd ? i + 1 : i - 1;
            bool ascii = k < n && p[k] == 0;
            tally_add(&t, p + i, 1);
            low += ascii;
            control += ascii && (p[i] >= 0x7f || (p[i] < 0x20 && !(p[i] >= 9 && p[i] <= 13)));
        }
        return distinct_of(&t) >= 8 && low && control * 50 <= low;
    }
    return false;
}

bool bytes_text(const uint8_t *p, size_t n)
{
    if (n >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff))) {
        size_t low = 0;
        for (size_t i = 2 + (p[0] == 0xff); i < n; i += 2)
            low += p[i] == 0 || p[i] == 0x30 || (p[i] >= 0x4e && p[i] <= 0x9f) || p[i] == 0xff;
        return low * 10 >= (n - 2) / 2 * 8;
    }
    if (n && memchr(p, 0, n))
        return wide_text(p, n);
    size_t control = 0, high = 0, kana = 0;
    for (size_t i = 0; i < n; i++) {
        control += p[i] < 0x20 && !(p[i] >= 9 && p[i] <= 13) && p[i] != 0x1b && !(p[i] >= 0x1c && p[i] <= 0x1f);
        high += p[i] >= 0x80;
        kana += p[i] >= 0xa1 && p[i] <= 0xdf;
    }
    if (!n || control * 100 > n || (control && n < 200))
        return false;
    if (!high || all_signs(p, n, sign_utf8) || all_signs(p, n, sign_euc))
        return true;
    /* Half-width kana make nearly every byte a sign of Shift_JIS: text is seldom made of them. */
    return all_signs(p, n, sign_sjis) && (kana * 4 <= n * 3) && !bytes_random(p, n);
}
