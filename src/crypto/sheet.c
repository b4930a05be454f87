#include "crypto/sheet.h"
#include "crypto/hash.h"
#include "crypto/words.h"

#define QR_BYTES (16 + 32 + 4)

static const uint8_t *find(struct sm_span in, const char *what)
{
    return in.p && in.n ? memmem(in.p, in.n, what, strlen(what)) : NULL;
}

static bool is_base32(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7') || c == '-';
}

static int from_qr(struct sm_span rest, struct crypto_sheet *ret, char *why)
{
    struct sm_buf raw = SM_BUF_INIT(256);
    uint8_t sum[32];
    size_t n = 0;
    while (n < rest.n && n < 200 && is_base32(rest.p[n]))
        n++;
    int r = sm_unbase32(SM_SPAN(rest.p, n), &raw);
    if (r == 0 && raw.n != QR_BYTES)
        r = -SM_EFORMAT;
    if (r == 0) {
        crypto_sha256(SM_SPAN(raw.p, 48), sum);
        r = memcmp(sum, raw.p + 48, 4) ? -SM_EMISMATCH : 0;
    }
    if (r == 0) {
        ret->has_vault = true;
        memcpy(ret->vault, raw.p, 16);
        memcpy(ret->secret, raw.p + 16, 32);
    } else {
        snprintf(why, 160, r == -SM_EMISMATCH ? "QR の文字に、ちがう物があります / the text of the QR code has a wrong character in it"
            : "QR の文字が足りません / the text of the QR code is not whole");
    }
    sm_buf_wipe(&raw);
    return r;
}

/* Words alone: no comment lines, no numbers, no punctuation. */
static int tidy(struct sm_span in, struct sm_buf *to)
{
    bool line_start = true, comment = false;
    int r = 0;
    for (size_t i = 0; i < in.n && r == 0; i++) {
        uint8_t c = in.p[i];
        comment = c == '\n' ? false : comment || (line_start && c == '#');
        line_start = c == '\n' || (line_start && (c == ' ' || c == '\t'));
        bool drop = comment || (c < 0x80 && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'));
        r = sm_buf_put_u8(to, drop ? ' ' : c);
    }
    return r;
}

static int from_words(struct sm_span text, struct crypto_sheet *ret, char *why)
{
    struct sm_buf plain = SM_BUF_INIT(CRYPTO_SHEET_TEXT_MAX + 1), one = SM_BUF_INIT(CRYPTO_SHEET_TEXT_MAX + 1);
    unsigned n = 0;
    int r = tidy(text, &plain);
    /* Runs of blanks go: the limit of the word reader is for words. */
    for (size_t i = 0; r == 0 && i < plain.n; i++)
        if (plain.p[i] != ' ' || (one.n && one.p[one.n - 1] != ' '))
            r = sm_buf_put_u8(&one, plain.p[i]);
    if (r == 0)
        r = crypto_words_decode(sm_buf_span(&one), ret->secret, &n);
    if (r == -SM_ENOTFOUND)
        snprintf(why, 160, "%u番目のことばが表にありません / word %u is not on the list, or of the other language", n,
            n);
    else if (r == -SM_EINVAL)
        snprintf(why, 160, "ことばは24個いります。いまは%u個です / 24 words are needed, these are %u", n, n);
    else if (r == -SM_EMISMATCH)
        snprintf(why, 160, "どれか1つか、順番がちがいます / all words are known, but one is wrong or out of order");
    else if (r < 0)
        snprintf(why, 160, "%s", sm_strerror(r));
    sm_buf_wipe(&plain);
    sm_buf_wipe(&one);
    return r;
}

int crypto_sheet_parse(
    struct sm_span text, enum crypto_sheet_half half, struct crypto_sheet *ret, char *ret_why)
{
    struct crypto_sheet s = { 0 };
    if (text.n > CRYPTO_SHEET_TEXT_MAX) {
        snprintf(ret_why, 160, "長すぎます / too long");
        return -SM_ELIMIT;
    }
    bool orders = half == CRYPTO_SHEET_ORDERS;
    const uint8_t *qr = find(text, orders ? "SKR1:D:" : "SKR1:O:");
    int r;
    if (qr) {
        r = from_qr(SM_SPAN(qr + 7, text.n - (size_t)(qr + 7 - text.p)), &s, ret_why);
    } else if (find(text, orders ? "SKR1:O:" : "SKR1:D:")) {
        snprintf(ret_why, 160, "%s", orders
            ? "開く鍵の方です。命令の鍵を使います / this is the half for opening; the half for orders is needed"
            : "命令の鍵の方です。開く鍵を使います / this is the half for orders; the half for opening is needed");
        r = -SM_EINVAL;
    } else {
        r = from_words(text, &s, ret_why);
    }
    if (r == 0)
        *ret = s;
    crypto_sheet_wipe(&s);
    return r;
}

void crypto_sheet_wipe(struct crypto_sheet *s)
{
    sm_zero(s, sizeof *s);
}
