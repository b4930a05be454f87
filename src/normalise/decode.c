/*
 * Encodings of Japan → UTF-8.  Most records are ASCII or UTF-8 already and are borrowed as they are; the others go
 * through the
 * C library's converters, byte by wrong byte: what cannot be decoded becomes U+FFFD and is noted.
 */
#include "normalise/decode.h"

#include <errno.h>
#include <string.h>

static const struct { const char *name; enum encoding e; } names[] = {
    { "utf-8", ENC_UTF8 }, { "utf8", ENC_UTF8 }, { "ascii", ENC_UTF8 }, { "cp932", ENC_CP932 },
    { "shift_jis", ENC_CP932 },
    { "sjis", ENC_CP932 }, { "windows-31j", ENC_CP932 }, { "euc-jp", ENC_EUCJP }, { "eucjp", ENC_EUCJP },
    { "iso-2022-jp", ENC_ISO2022JP }, { "jis", ENC_ISO2022JP }, { "utf-16le", ENC_UTF16LE }, { "utf-16", ENC_UTF16LE },
    { "utf-16be", ENC_UTF16BE }, { "latin-1", ENC_LATIN1 }, { "iso-8859-1", ENC_LATIN1 },
};

/* The converters' names for them.  ISO-2022-JP-3 knows half-width katakana and what JIS X 0213 added. */
static const char *const converters[ENC_COUNT] = {
    [ENC_CP932] = "CP932", [ENC_EUCJP] = "EUC-JISX0213", [ENC_ISO2022JP] = "ISO-2022-JP-3", [ENC_UTF16LE] = "UTF-16LE",
    [ENC_UTF16BE] = "UTF-16BE", [ENC_LATIN1] = "ISO-8859-1",
};

enum encoding encoding_named(const char *name)
{
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(name, names[i].name))
            return names[i].e;
    return ENC_UNKNOWN;
}

bool normalise_knows_encoding(const char *name)
{
    return encoding_named(name) != ENC_UNKNOWN;
}

int decoders_init(struct decoders *d)
{
    for (int i = 0; i < ENC_COUNT; i++)
        d->cd[i] = (iconv_t)-1;
    for (int i = 0; i < ENC_COUNT; i++) {
        if (!converters[i])
            continue;
        d->cd[i] = iconv_open("UTF-8", converters[i]);
        if (d->cd[i] == (iconv_t)-1 && errno == ENOMEM) {
            decoders_wipe(d);
            return -ENOMEM;
        }
    }
    return 0;
}

void decoders_wipe(struct decoders *d)
{
    for (int i = 0; i < ENC_COUNT; i++) {
        if (d->cd[i] != (iconv_t)-1)
            iconv_close(d->cd[i]);
        d->cd[i] = (iconv_t)-1;
    }
}

/* ---- what is it? ---- */

enum { SEEN_HIGH = 1, SEEN_NUL = 2, SEEN_ESC = 4 };

static unsigned look(struct sm_span s)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    unsigned seen = 0;
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        uint64_t w, esc;
        memcpy(&w, s.p + i, 8);
        esc = w ^ ones * 0x1b;
        if (((w | ((w - ones) & ~w) | ((esc - ones) & ~esc)) & highs) == 0)
            continue;
        for (size_t k = i; k < i + 8; k++)
            seen |= (s.p[k] >= 0x80 ? SEEN_HIGH : 0) | (!s.p[k] ? SEEN_NUL : 0) | (s.p[k] == 0x1b ? SEEN_ESC : 0);
    }
    for (; i < s.n; i++)
        seen |= (s.p[i] >= 0x80 ? SEEN_HIGH : 0) | (!s.p[i] ? SEEN_NUL : 0) | (s.p[i] == 0x1b ? SEEN_ESC : 0);
    return seen;
}

/* ESC $ B and its like: text of seven bits that is not ASCII. */
static bool has_jis(struct sm_span s)
{
    for (size_t i = 0; i + 2 < s.n; i++)
        if (s.p[i] == 0x1b && ((s.p[i + 1] == '$' && memchr("@B(", s.p[i + 2], 3)) || (s.p[i + 1] == '(' &&
            memchr("JI", s.p[i + 2], 2))))
            return true;
    return false;
}

struct score { size_t good, odd, wrong; };

/* Kana and level-1 kanji are good; half-width katakana and rare kanji odd: EUC read as CP932 is full of them, and
 * the reverse. */
static struct score as_cp932(struct sm_span s)
{
    struct score r = { 0 };

    for (size_t i = 0; i < s.n; i++) {
        uint8_t a = s.p[i], b = i + 1 < s.n ? s.p[i + 1] : 0;
        if (a < 0x80)
            continue;
        if (a >= 0xa1 && a <= 0xdf) {
            r.odd++;
            continue;
        }
        bool lead = (a >= 0x81 && a <= 0x9f) || (a >= 0xe0 && a <= 0xfc);
        if (!lead || b < 0x40 || b == 0x7f || b > 0xfc) {
            r.wrong++;
            continue;
        }
        if (a <= 0x97)
            r.good += 2;
        else
            r.odd++;
        i++;
    }
    return r;
}

static struct score as_euc(struct sm_span s)
{
    struct score r = { 0 };

    for (size_t i = 0; i < s.n; i++) {
        uint8_t a = s.p[i], b = i + 1 < s.n ? s.p[i + 1] : 0;
        if (a < 0x80)
            continue;
        if (a == 0x8f && i + 2 < s.n && b >= 0xa1 && s.p[i + 2] >= 0xa1) {
            r.odd++;
            i += 2;
            continue;
        }
        if (a == 0x8e && b >= 0xa1 && b <= 0xdf) {
            r.good++;
            i++;
            continue;
        }
        if (a < 0xa1 || a == 0xff || b < 0xa1 || b == 0xff) {
            r.wrong++;
            continue;
        }
        if (a <= 0xa5 || (a >= 0xb0 && a <= 0xcf))
            r.good += 2;
        else
            r.odd++;
        i++;
    }
    return r;
}

/* UTF-8 cut off in the middle of a character, or with a few wrong bytes among many sound ones. */
static struct score as_utf8(struct sm_span s)
{
    struct score r = { 0 };

    for (size_t i = 0; i < s.n;) {
        uint8_t a = s.p[i];
        size_t len = a < 0x80 ? 1 : a < 0xe0 ? 2 : a < 0xf0 ? 3 : 4;
        if (a >= 0xc2 && i + len > s.n) {
            r.odd++; /* the end is missing */
            return r;
        }
        bool sound = a && i + len <= s.n && sm_utf8_valid(SM_SPAN(s.p + i, len));
        r.good += sound && len > 1;
        r.wrong += !sound;
        i += sound ? len : 1;
    }
    return r;
}

/* Every other byte zero, most of the text: UTF-16 that lost its mark. */
static enum encoding bare_utf16(struct sm_span s)
{
    size_t even = 0, odd = 0, pairs = s.n / 2;

    for (size_t i = 0; i + 1 < s.n; i += 2) {
        even += !s.p[i];
        odd += !s.p[i + 1];
    }
    if (pairs < 2 || s.n % 2)
        return ENC_UTF8;
    return odd * 2 > pairs && !even ? ENC_UTF16LE : even * 2 > pairs && !odd ? ENC_UTF16BE : ENC_UTF8;
}

enum encoding encoding_guess(struct sm_span s)
{
    if (s.n >= 2 && s.p[0] == 0xff && s.p[1] == 0xfe)
        return ENC_UTF16LE;
    if (s.n >= 2 && s.p[0] == 0xfe && s.p[1] == 0xff)
        return ENC_UTF16BE;
    unsigned seen = look(s);
    if (!seen)
        return ENC_UTF8;
    if ((seen & SEEN_ESC) && !(seen & SEEN_HIGH) && has_jis(s))
        return ENC_ISO2022JP;
    if (seen & SEEN_NUL) {
        enum encoding wide = bare_utf16(s);
        if (wide != ENC_UTF8)
            return wide;
    }
    if (!(seen & SEEN_HIGH) || sm_utf8_valid(s))
        return ENC_UTF8;
    struct score cp = as_cp932(s), euc = as_euc(s), utf = as_utf8(s);
    if (utf.good && (!utf.wrong || utf.good > 8 * utf.wrong))
        return ENC_UTF8;
    /* A byte of two in half is worth a whole text in the other encoding only when that has none. */
    size_t cp_points = cp.good + 1, euc_points = euc.good + 1;
    if (cp.wrong * 4 > cp.good + cp.odd && euc.wrong * 4 > euc.good + euc.odd)
        return ENC_UTF8; /* neither: UTF-8 with wrong bytes, or nothing at all */
    if (cp.wrong != euc.wrong)
        return cp.wrong < euc.wrong ? ENC_CP932 : ENC_EUCJP;
    return euc_points * (1 + cp.odd) > cp_points * (1 + euc.odd) ? ENC_EUCJP : ENC_CP932;
}

/* ---- conversion ---- */

static const uint8_t replacement[3] = { 0xef, 0xbf, 0xbd };

/* Valid UTF-8 of what is not: wrong bytes and NUL become U+FFFD. */
static size_t repair(struct sm_span s, uint8_t *to, bool *ret_replaced)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n;) {
        uint8_t a = s.p[i];
        size_t len = a < 0x80 ? 1 : a < 0xe0 ? 2 : a < 0xf0 ? 3 : 4;
        if (i + len <= s.n && sm_utf8_valid(SM_SPAN(s.p + i, len))) {
            memcpy(to + n, s.p + i, len);
            n += len;
            i += len;
            continue;
        }
        memcpy(to + n, replacement, 3);
        n += 3;
        i++;
        *ret_replaced = true;
    }
    return n;
}

/* EVENT_ARENA_MAX holds three bytes for each of a record of EVENT_RAW_MAX. */
static int convert(iconv_t cd, struct sm_span s, size_t unit, uint8_t *to, size_t cap, bool *ret_replaced)
{
    char *in = (char *)(uintptr_t)s.p, *out = (char *)to;
    size_t in_n = s.n, out_n = cap;

    iconv(cd, NULL, NULL, NULL, NULL);
    while (in_n && iconv(cd, &in, &in_n, &out, &out_n) == (size_t)-1) {
        if (errno == E2BIG || out_n < 3)
            break;
        memcpy(out, replacement, 3);
        out += 3;
        out_n -= 3;
        *ret_replaced = true;
        size_t step = in_n < unit ? in_n : unit;
        in += step;
        in_n -= step;
    }
    iconv(cd, NULL, NULL, &out, &out_n);
    return (int)(cap - out_n);
}

static struct sm_span without_mark(struct sm_span s, enum encoding was)
{
    if (was == ENC_UTF8 && s.n >= 3 && s.p[0] == 0xef && s.p[1] == 0xbb && s.p[2] == 0xbf)
        return SM_SPAN(s.p + 3, s.n - 3);
    if (was == ENC_UTF16LE && s.n >= 2 && s.p[0] == 0xff && s.p[1] == 0xfe)
        return SM_SPAN(s.p + 2, s.n - 2);
    if (was == ENC_UTF16BE && s.n >= 2 && s.p[0] == 0xfe && s.p[1] == 0xff)
        return SM_SPAN(s.p + 2, s.n - 2);
    return s;
}

int decode(struct decoders *d, enum encoding given, struct sm_span raw, struct event *e, struct sm_span *ret_text,
    enum encoding *ret_was)
{
    /* What is ASCII is so in every encoding but those of two bytes and the escapes. */
    enum encoding was = given;
    bool replaced = false;

    if (given != ENC_UTF16LE && given != ENC_UTF16BE && !look(raw)) {
        *ret_was = ENC_UTF8;
        *ret_text = raw;
        return 0;
    }
    if (was == ENC_UNKNOWN)
        was = encoding_guess(raw);
    struct sm_span s = without_mark(raw, was);
    while (was != ENC_UTF16LE && was != ENC_UTF16BE && s.n && !s.p[s.n - 1])
        s.n--; /* some senders end a datagram with NUL */
    if (was != ENC_UTF8 && d->cd[was] == (iconv_t)-1)
        was = ENC_UTF8; /* not installed: what is no UTF-8 is replaced, and raw is kept */
    if (was == ENC_UTF8 && sm_utf8_valid(s)) {
        *ret_was = was;
        *ret_text = s;
        return 0;
    }
    size_t cap = 3 * s.n + 8;
    uint8_t *to = event_room(e, cap);
    if (!to)
        return -ENOMEM;
    size_t n = was == ENC_UTF8 ? repair(s, to, &replaced)
                               : (size_t)convert(d->cd[was], s, was == ENC_UTF16LE || was == ENC_UTF16BE ? 2 : 1, to,
                                   cap, &replaced);
    if (was != ENC_UTF8) {
        e->notes |= EVENT_DECODED;
        for (size_t i = 0; i < n; i++)
            if (!to[i]) {
                to[i] = ' '; /* NUL decodes to itself; no value has one */
                replaced = true;
            }
    }
    e->notes |= replaced ? EVENT_REPLACED : 0;
    *ret_was = was;
    *ret_text = SM_SPAN(to, n);
    return 0;
}
