#include "detect/sigma/internal.h"

/* Stretches of capital letters: every one (step 1), or those with the parity of the first (step 2), and what is added
 * for the small one. Unicode's simple case folding, as far as both have the same length in UTF-8. */
static const struct {
    uint16_t first, last;
    uint8_t step;
    int16_t add;
} capital[] = {
    { 0xc0, 0xd6, 1, 32 },
    { 0xd8, 0xde, 1, 32 },
    { 0x100, 0x12e, 2, 1 },
    { 0x132, 0x136, 2, 1 },
    { 0x139, 0x147, 2, 1 },
    { 0x14a, 0x176, 2, 1 },
    { 0x178, 0x178, 1, -121 },
    { 0x179, 0x17d, 2, 1 },
    { 0x1cd, 0x1db, 2, 1 },
    { 0x1de, 0x1ee, 2, 1 },
    { 0x1f8, 0x21e, 2, 1 },
    { 0x222, 0x232, 2, 1 },
    { 0x386, 0x386, 1, 38 },
    { 0x388, 0x38a, 1, 37 },
    { 0x38c, 0x38c, 1, 64 },
    { 0x38e, 0x38f, 1, 63 },
    { 0x391, 0x3a1, 1, 32 },
    { 0x3a3, 0x3ab, 1, 32 },
    { 0x3c2, 0x3c2, 1, 1 },
    { 0x3d8, 0x3ee, 2, 1 },
    { 0x400, 0x40f, 1, 80 },
    { 0x410, 0x42f, 1, 32 },
    { 0x460, 0x480, 2, 1 },
    { 0x48a, 0x4be, 2, 1 },
    { 0x4c1, 0x4cd, 2, 1 },
    { 0x4d0, 0x52e, 2, 1 },
    { 0x531, 0x556, 1, 48 },
    { 0x1e00, 0x1e94, 2, 1 },
    { 0x1ea0, 0x1efe, 2, 1 },
    { 0x2160, 0x216f, 1, 16 },
    { 0x24b6, 0x24cf, 1, 26 },
    { 0xff21, 0xff3a, 1, 32 },
};

static uint32_t small(uint32_t c)
{
    for (size_t i = 0; i < sizeof capital / sizeof *capital && c >= capital[i].first; i++)
        if (c <= capital[i].last)
            return (c - capital[i].first) % capital[i].step ? c : c + (uint32_t)(int32_t)capital[i].add;
    return c;
}

/* Past ASCII.  Bytes that are not UTF-8 stay. */
static void fold_wide(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint8_t a = p[i];
        if (a < 0x80 || a > 0xef || n - i < 2) {
            i++;
        } else if (a < 0xe0) {
            uint32_t c = small((uint32_t)(a & 0x1f) << 6 | (p[i + 1] & 0x3f));
            if (a >= 0xc2 && (p[i + 1] & 0xc0) == 0x80 && c < 0x800) {
                p[i] = (uint8_t)(0xc0 | c >> 6);
                p[i + 1] = (uint8_t)(0x80 | (c & 0x3f));
            }
            i += 2;
        } else if (n - i < 3) {
            i++;
        } else {
            uint32_t was = (uint32_t)(a & 15) << 12 | (uint32_t)(p[i + 1] & 0x3f) << 6 | (p[i + 2] & 0x3f),
                     c = small(was);
            if (c != was && was >= 0x800 && (p[i + 1] & 0xc0) == 0x80 && (p[i + 2] & 0xc0) == 0x80) {
                p[i] = (uint8_t)(0xe0 | c >> 12);
                p[i + 1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
                p[i + 2] = (uint8_t)(0x80 | (c & 0x3f));
            }
            i += 3;
        }
    }
}

void fold_text(uint8_t *restrict to, const uint8_t *restrict from, size_t n)
{
    uint8_t high = 0;

    for (size_t i = 0; i < n; i++) { /* no branches: the compiler makes vectors of it */
        uint8_t c = from[i];
        high |= c;
        to[i] = (uint8_t)(c | (uint8_t)((uint8_t)(c - 'A') < 26) << 5);
    }
    if (high & 0x80)
        fold_wide(to, n);
}
