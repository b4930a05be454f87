#include "crypto/headtext.h"

#include <errno.h>

#include "crypto/hash.h"

#define SHORT "SKH1"
#define LONG "SKHF"
#define LONG_CHARS 205 /* base32 of 128 bytes */
#define CODE_BYTES (HEADTEXT_HASH + 2)
#define CODE_CHARS 16
#define SEQ_DIGITS 19
#define SEQ_AT 16
#define HASH_AT 24

static uint64_t seq_of(const uint8_t head[HEADTEXT_BYTES])
{
    uint64_t seq = 0;
    for (unsigned i = 0; i < 8; i++)
        seq |= (uint64_t)head[SEQ_AT + i] << (8 * i);
    return seq;
}

static void check_of(uint64_t seq, const uint8_t hash[HEADTEXT_HASH], uint8_t ret[2])
{
    uint8_t n[8], sum[CRYPTO_SHA256_LEN];
    for (unsigned i = 0; i < 8; i++)
        n[i] = (uint8_t)(seq >> (8 * i));
    const struct sm_span parts[] = {SM_SPAN_STR("sakimori/v1/head-text"), SM_SPAN(n, 8), SM_SPAN(hash, HEADTEXT_HASH)};
    crypto_sha256v(parts, 3, sum);
    memcpy(ret, sum, 2);
}

int headtext_short(const uint8_t head[HEADTEXT_BYTES], struct sm_buf *ret)
{
    uint8_t code[CODE_BYTES];
    struct sm_buf b32 = SM_BUF_INIT(64);
    memcpy(code, head + HASH_AT, HEADTEXT_HASH);
    check_of(seq_of(head), code, code + HEADTEXT_HASH);
    int r = sm_base32(SM_SPAN(code, sizeof code), &b32);
    if (!r)
        r = sm_buf_printf(ret, SHORT "-%llu", (unsigned long long)seq_of(head));
    for (size_t i = 0; i < b32.n && !r; i++) {
        if (i % 4 == 0)
            r = sm_buf_put_u8(ret, '-');
        if (!r)
            r = sm_buf_put_u8(ret, b32.p[i]);
    }
    sm_buf_wipe(&b32);
    return r;
}

int headtext_long(const uint8_t head[HEADTEXT_BYTES], struct sm_buf *ret)
{
    int r = sm_buf_put_span(ret, SM_SPAN_STR(LONG "-"));
    return r ? r : sm_base32(SM_SPAN(head, HEADTEXT_BYTES), ret);
}

/* ---- reading ---- */

static uint8_t upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
}

static bool between(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '-' || c == '>';
}

/* Up to n characters of set, from text, passing over what may stand in between; how many there were. */
static size_t gather(struct sm_span text, const char *set, size_t n, char *ret, size_t *ret_used)
{
    size_t got = 0, i = 0;
    for (; i < text.n && got < n; i++) {
        uint8_t c = upper(text.p[i]);
        if (c && strchr(set, c))
            ret[got++] = (char)c;
        else if (!between(c))
            break;
    }
    *ret_used = i;
    return got;
}

static const char base32_set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static int unbase32(const char *s, size_t n, uint8_t *ret, size_t want)
{
    struct sm_buf raw = SM_BUF_INIT(256);
    int r = sm_unbase32(SM_SPAN(s, n), &raw);
    if (!r && raw.n != want)
        r = -SM_EFORMAT;
    if (!r)
        memcpy(ret, raw.p, want);
    sm_buf_wipe(&raw);
    return r == -ENOMEM ? r : r ? -SM_EFORMAT : 0;
}

static void take_whole(struct headtext *t)
{
    t->whole = true;
    t->seq = seq_of(t->head);
    memcpy(t->hash, t->head + HASH_AT, 32);
    t->hash_n = 32;
}

static int read_long(struct sm_span rest, struct headtext *t)
{
    char chars[LONG_CHARS];
    size_t used;
    if (gather(rest, base32_set, LONG_CHARS, chars, &used) != LONG_CHARS)
        return -SM_EFORMAT;
    int r = unbase32(chars, LONG_CHARS, t->head, HEADTEXT_BYTES);
    if (!r)
        take_whole(t);
    return r;
}

/* The number ends at a hyphen or blank: base32 has digits of its own. */
static int read_short(struct sm_span rest, struct headtext *t)
{
    char chars[CODE_CHARS];
    uint8_t code[CODE_BYTES], check[2];
    size_t i = 0, digits = 0, used;
    uint64_t seq = 0;
    while (i < rest.n && between(rest.p[i]))
        i++;
    for (; i < rest.n && digits < SEQ_DIGITS && rest.p[i] >= '0' && rest.p[i] <= '9'; i++, digits++)
        seq = 10 * seq + (uint64_t)(rest.p[i] - '0');
    if (!digits || i >= rest.n || !between(rest.p[i]) ||
        gather(SM_SPAN(rest.p + i, rest.n - i), base32_set, CODE_CHARS, chars, &used) != CODE_CHARS)
        return -SM_EFORMAT;
    int r = unbase32(chars, CODE_CHARS, code, CODE_BYTES);
    if (r)
        return r;
    check_of(seq, code, check);
    if (memcmp(check, code + HEADTEXT_HASH, 2) != 0)
        return -SM_EFORMAT;
    t->seq = seq;
    t->hash_n = HEADTEXT_HASH;
    memcpy(t->hash, code, HEADTEXT_HASH);
    return 0;
}

/* Of mails before there were the other forms: one line of 256 digits, nothing beside it. */
static int read_hex(struct sm_span text, struct headtext *t)
{
    size_t run = 0;
    for (size_t i = 0; i <= text.n; i++) {
        uint8_t c = i < text.n ? upper(text.p[i]) : 0;
        bool hex = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
        if (!hex && run == 2 * HEADTEXT_BYTES) {
            char lower[2 * HEADTEXT_BYTES];
            for (size_t k = 0; k < sizeof lower; k++) {
                uint8_t d = text.p[i - sizeof lower + k];
                lower[k] = (char)(d >= 'A' && d <= 'F' ? d + 32 : d);
            }
            if (sm_unhex(lower, sizeof lower, t->head, HEADTEXT_BYTES))
                return -SM_EFORMAT;
            take_whole(t);
            return 0;
        }
        run = hex ? run + 1 : 0;
    }
    return -SM_ENOTFOUND;
}

static int find(struct sm_span text, const char *mark, int (*read)(struct sm_span, struct headtext *), struct headtext *t)
{
    int r = -SM_ENOTFOUND;
    for (size_t i = 0; i + 4 <= text.n && r != 0; i++) {
        bool here = true;
        for (size_t k = 0; k < 4 && here; k++)
            here = upper(text.p[i + k]) == (uint8_t)mark[k];
        if (!here)
            continue;
        r = read(SM_SPAN(text.p + i + 4, text.n - i - 4), t);
        if (r == -ENOMEM)
            return r;
    }
    return r;
}

int headtext_parse(struct sm_span text, struct headtext *ret)
{
    struct headtext t = {.seq = 0};
    if (text.n > HEADTEXT_TEXT_MAX)
        return -SM_ELIMIT;
    int whole = find(text, LONG, read_long, &t), r = whole;
    if (r == -SM_ENOTFOUND || r == -SM_EFORMAT)
        r = find(text, SHORT, read_short, &t);
    if (r == -SM_ENOTFOUND)
        r = read_hex(text, &t);
    if (r == 0)
        *ret = t;
    return r == -SM_ENOTFOUND && whole == -SM_EFORMAT ? whole : r;
}
