/* Katakana of half and full width: devices and old programs of Japan write ﾊﾞｯｸｱｯﾌﾟ, people ask for バックアップ.  A question
 * asks for both forms; what is on disk stays as it came. */
#include <errno.h>

#include "journal/query.h"

enum { HALF_FIRST = 0xff61, HALF_LAST = 0xff9f, HALF_VOICED = 0xff9e, HALF_ROUND = 0xff9f };

/* The full forms of U+FF61 to U+FF9F. */
static const uint16_t full_of[] = {
    0x3002, 0x300c, 0x300d, 0x3001, 0x30fb, 0x30f2, 0x30a1, 0x30a3, 0x30a5, 0x30a7, 0x30a9, 0x30e3, 0x30e5, 0x30e7, 0x30c3, 0x30fc,
    0x30a2, 0x30a4, 0x30a6, 0x30a8, 0x30aa, 0x30ab, 0x30ad, 0x30af, 0x30b1, 0x30b3, 0x30b5, 0x30b7, 0x30b9, 0x30bb, 0x30bd, 0x30bf,
    0x30c1, 0x30c4, 0x30c6, 0x30c8, 0x30ca, 0x30cb, 0x30cc, 0x30cd, 0x30ce, 0x30cf, 0x30d2, 0x30d5, 0x30d8, 0x30db, 0x30de, 0x30df,
    0x30e0, 0x30e1, 0x30e2, 0x30e4, 0x30e6, 0x30e8, 0x30e9, 0x30ea, 0x30eb, 0x30ec, 0x30ed, 0x30ef, 0x30f3, 0x309b, 0x309c,
};
_Static_assert(sizeof full_of / sizeof *full_of == HALF_LAST - HALF_FIRST + 1, "one for each");

/* カ to ト and ハ to ホ take the mark of a voiced sound, ハ to ホ also the round one, ウ becomes ヴ. */
static uint32_t marked(uint32_t full, uint32_t mark)
{
    bool h = full >= 0x30cf && full <= 0x30db && (full - 0x30cf) % 3 == 0;
    bool k = (full >= 0x30ab && full <= 0x30c1 && (full - 0x30ab) % 2 == 0) || full == 0x30c4 || full == 0x30c6 || full == 0x30c8;

    if (mark == HALF_ROUND)
        return h ? full + 2 : 0;
    if (full == 0x30a6)
        return 0x30f4;
    return h || k ? full + 1 : 0;
}

/* A character of three bytes at p; 0: it is of another length. */
static uint32_t three(struct sm_span s, size_t at)
{
    if (s.n - at < 3 || (s.p[at] & 0xf0) != 0xe0)
        return 0;
    return (uint32_t)(s.p[at] & 0x0f) << 12 | (uint32_t)(s.p[at + 1] & 0x3f) << 6 | (s.p[at + 2] & 0x3fu);
}

static int put(struct sm_buf *to, uint32_t c)
{
    const uint8_t b[3] = { (uint8_t)(0xe0 | c >> 12), (uint8_t)(0x80 | (c >> 6 & 0x3f)), (uint8_t)(0x80 | (c & 0x3f)) };

    return sm_buf_put(to, b, sizeof b);
}

static bool is_half(uint32_t c)
{
    return c >= HALF_FIRST && c <= HALF_LAST;
}

int q_kana_full(struct sm_span s, struct sm_buf *ret, bool *ret_changed)
{
    int r = 0;

    for (size_t i = 0; i < s.n && r >= 0;) {
        uint32_t c = three(s, i), mark = i + 3 <= s.n ? three(s, i + 3) : 0, both = 0;
        if (!is_half(c)) {
            r = sm_buf_put_u8(ret, s.p[i++]);
            continue;
        }
        *ret_changed = true;
        c = full_of[c - HALF_FIRST];
        if (mark == HALF_VOICED || mark == HALF_ROUND)
            both = marked(c, mark);
        r = put(ret, both ? both : c);
        i += both ? 6 : 3;
    }
    return r;
}

/* The half form of full, without its mark; 0: none. */
static uint32_t half_of(uint32_t full)
{
    for (size_t i = 0; i < sizeof full_of / sizeof *full_of; i++)
        if (full_of[i] == full)
            return HALF_FIRST + (uint32_t)i;
    return 0;
}

int q_kana_half(struct sm_span s, struct sm_buf *ret, bool *ret_changed)
{
    int r = 0;

    for (size_t i = 0; i < s.n && r >= 0;) {
        uint32_t c = three(s, i), half = c ? half_of(c) : 0, mark = 0;
        for (uint32_t back = 1; c >= 0x30ac && c <= 0x30dd && !half && back <= 2; back++) {
            uint32_t m = back == 1 ? HALF_VOICED : HALF_ROUND, bare = half_of(c - back);
            if (bare && marked(c - back, m) == c) {
                half = bare;
                mark = m;
            }
        }
        if (c == 0x30f4) {
            half = half_of(0x30a6);
            mark = HALF_VOICED;
        }
        if (!half) {
            r = sm_buf_put_u8(ret, s.p[i++]);
            continue;
        }
        *ret_changed = true;
        r = put(ret, half);
        if (r >= 0 && mark)
            r = put(ret, mark);
        i += 3;
    }
    return r;
}
