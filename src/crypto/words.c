/* BIP39 for 256 bits: 24 words of 11 bits, the last 8 bits are the first of SHA-256. */
#include "crypto/words.h"
#include "crypto/hash.h"
#include "crypto/words_internal.h"

#define LIST_N 2048
#define WORD_MAX 64  /* bytes of one typed word after normalising */
#define PREFIX 4     /* letters that tell English words apart */
#define DAKUTEN 0x3099
#define HANDAKUTEN 0x309a

static const char *const *list_of(enum crypto_words_lang lang)
{
    return lang == CRYPTO_WORDS_JA ? crypto_words_ja : crypto_words_en;
}

void crypto_words_list(const uint8_t secret[CRYPTO_WORDS_SECRET_LEN], enum crypto_words_lang lang,
    const char *ret[CRYPTO_WORDS])
{
    uint8_t bits[CRYPTO_WORDS_SECRET_LEN + 1], sum[CRYPTO_SHA256_LEN];
    crypto_sha256(SM_SPAN(secret, CRYPTO_WORDS_SECRET_LEN), sum);
    memcpy(bits, secret, CRYPTO_WORDS_SECRET_LEN);
    bits[CRYPTO_WORDS_SECRET_LEN] = sum[0];
    for (size_t w = 0; w < CRYPTO_WORDS; w++) {
        unsigned index = 0;
        for (size_t b = w * 11; b < w * 11 + 11; b++) {
            index = index << 1 | (bits[b / 8] >> (7 - b % 8) & 1);
        }
        ret[w] = list_of(lang)[index];
    }
    sm_zero(bits, sizeof(bits));
    sm_zero(sum, sizeof(sum));
}

int crypto_words_encode(
    const uint8_t secret[CRYPTO_WORDS_SECRET_LEN], enum crypto_words_lang lang, struct sm_buf *ret)
{
    const char *words[CRYPTO_WORDS];
    struct sm_buf b = SM_BUF_INIT(CRYPTO_WORDS_TEXT_MAX);
    int r = 0;
    crypto_words_list(secret, lang, words);
    for (size_t i = 0; i < CRYPTO_WORDS && r == 0; i++) {
        if (i) {
            r = sm_buf_put_span(&b, SM_SPAN_STR(lang == CRYPTO_WORDS_JA ? "\xe3\x80\x80" : " "));
        }
        r = r < 0 ? r : sm_buf_put_span(&b, SM_SPAN_STR(words[i]));
    }
    r = r < 0 ? r : sm_buf_put_span(ret, sm_buf_span(&b));
    sm_buf_wipe(&b);
    sm_zero(words, sizeof(words));
    return r;
}

/* One code point of valid UTF-8. */
static uint32_t next_point(const uint8_t **p)
{
    const uint8_t *s = *p;
    int more = s[0] < 0x80 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
    uint32_t c = more == 0 ? s[0] : s[0] & (0x3fu >> more);
    for (int i = 1; i <= more; i++) {
        c = c << 6 | (s[i] & 0x3f);
    }
    *p = s + more + 1;
    return c;
}

/* Case, width and script: what does not matter between a printed word and a typed one. */
static uint32_t fold(uint32_t c)
{
    if (c >= 0xff01 && c <= 0xff5e) {
        c = c - 0xff01 + 0x21;
    }
    if (c >= 'A' && c <= 'Z') {
        return c + 32;
    }
    if (c >= 0x30a1 && c <= 0x30f6) {
        return c - 0x60; /* katakana to hiragana */
    }
    if (c == 0x309b || c == 0xff9e) {
        return DAKUTEN; /* marks with a width of their own */
    }
    return c == 0x309c || c == 0xff9f ? HANDAKUTEN : c;
}

/* The composed kana of base and mark, or 0. */
static uint32_t compose(uint32_t base, uint32_t mark)
{
    bool ha = base >= 0x306f && base <= 0x307b && (base - 0x306f) % 3 == 0;
    if (mark == HANDAKUTEN) {
        return ha ? base + 2 : 0;
    }
    bool ka_to_ti = base >= 0x304b && base <= 0x3061 && (base - 0x304b) % 2 == 0;
    bool tu_te_to = base == 0x3064 || base == 0x3066 || base == 0x3068;
    if (ha || ka_to_ti || tu_te_to) {
        return base + 1;
    }
    return base == 0x3046 ? 0x3094 : 0;
}

static bool is_space(uint32_t c)
{
    return c <= ' ' || c == 0xa0 || c == 0x3000 || c == 0x2028 || c == 0x2029 || (c >= 0x2000 && c <= 0x200b) ||
           c == 0xfeff || c == ',' || c == 0x3001;
}

struct word { uint32_t c[WORD_MAX]; size_t n; };

/* The next word of valid UTF-8 from *p to end; false at the end.  Too long a word is cut, and so
 * is on no list. */
static bool next_word(const uint8_t **p, const uint8_t *end, struct word *ret)
{
    ret->n = 0;
    while (*p < end) {
        uint32_t c = next_point(p);
        if (is_space(c)) {
            if (ret->n) {
                return true;
            }
            continue;
        }
        c = fold(c);
        uint32_t whole = ret->n && (c == DAKUTEN || c == HANDAKUTEN) ? compose(ret->c[ret->n - 1], c) : 0;
        if (whole) {
            ret->c[ret->n - 1] = whole;
        } else if (ret->n < WORD_MAX) {
            ret->c[ret->n++] = c;
        }
    }
    return ret->n > 0;
}

/* Is w the listed word, or in English its first four letters? */
static bool equals(const struct word *w, const char *listed)
{
    const uint8_t *p = (const uint8_t *)listed, *end = p + strlen(listed);
    size_t i = 0;
    while (i < w->n && p < end && next_point(&p) == w->c[i]) {
        i++;
    }
    return i == w->n && (p == end || (w->n == PREFIX && (uint8_t)*listed < 0x80));
}

/* Index in the list, or -1. */
static int find(const struct word *w, enum crypto_words_lang lang)
{
    const char *const *list = list_of(lang);
    for (int i = 0; i < LIST_N; i++) {
        if (equals(w, list[i])) {
            return i;
        }
    }
    return -1;
}

/* Put 11 bits of index at word number at. */
static void put_bits(uint8_t *bits, size_t at, unsigned index)
{
    for (size_t b = 0; b < 11; b++) {
        size_t to = at * 11 + b;
        bits[to / 8] |= (uint8_t)((index >> (10 - b) & 1) << (7 - to % 8));
    }
}

static int read_words(struct sm_span text, uint8_t bits[CRYPTO_WORDS_SECRET_LEN + 1], unsigned *ret_word)
{
    const uint8_t *p = text.p, *end = text.p + text.n;
    enum crypto_words_lang lang = CRYPTO_WORDS_EN;
    struct word w;
    unsigned n = 0, unknown = 0;
    while (next_word(&p, end, &w)) {
        if (n == 0) {
            lang = w.c[0] < 0x80 ? CRYPTO_WORDS_EN : CRYPTO_WORDS_JA;
        }
        int index = n < CRYPTO_WORDS ? find(&w, lang) : 0;
        n++;
        if (index < 0 && !unknown) {
            unknown = n;
        } else if (index >= 0 && n <= CRYPTO_WORDS) {
            put_bits(bits, n - 1, (unsigned)index);
        }
    }
    sm_zero(&w, sizeof(w));
    if (!unknown && n == CRYPTO_WORDS) {
        return 0;
    }
    if (ret_word) {
        *ret_word = unknown ? unknown : n;
    }
    return unknown ? -SM_ENOTFOUND : -SM_EINVAL;
}

int crypto_words_decode(struct sm_span text, uint8_t ret[CRYPTO_WORDS_SECRET_LEN], unsigned *ret_word)
{
    uint8_t bits[CRYPTO_WORDS_SECRET_LEN + 1] = {0}, sum[CRYPTO_SHA256_LEN];
    if (text.n > CRYPTO_WORDS_TEXT_MAX) {
        return -SM_ELIMIT;
    }
    if (!sm_utf8_valid(text)) {
        return -SM_EFORMAT;
    }
    int r = read_words(text, bits, ret_word);
    if (r == 0) {
        crypto_sha256(SM_SPAN(bits, CRYPTO_WORDS_SECRET_LEN), sum);
        r = sum[0] == bits[CRYPTO_WORDS_SECRET_LEN] ? 0 : -SM_EMISMATCH;
        sm_zero(sum, sizeof(sum));
    }
    if (r == 0) {
        memcpy(ret, bits, CRYPTO_WORDS_SECRET_LEN);
    }
    sm_zero(bits, sizeof(bits));
    return r;
}

bool crypto_words_same(struct sm_span typed, const char *word)
{
    const uint8_t *p = typed.p, *end = typed.p + typed.n;
    struct word w, more;
    if (typed.n > CRYPTO_WORDS_TEXT_MAX || !sm_utf8_valid(typed) || !next_word(&p, end, &w)) {
        return false;
    }
    bool same = !next_word(&p, end, &more) && equals(&w, word);
    sm_zero(&w, sizeof(w));
    return same;
}
