#include "sakimorid/out/mail.h"

enum { WORD_BYTES = 42, LINE_BYTES = 57 }; /* 42 bytes make a 75 character encoded word, 57 a 76 character line */

bool mail_address_ok(const char *address)
{
    size_t n = strnlen(address, MAIL_ADDRESS_MAX + 1);
    const char *at = strchr(address, '@');

    if (n == 0 || n > MAIL_ADDRESS_MAX || !at || at == address || !at[1] || strchr(at + 1, '@'))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)address[i] <= 0x20 || (unsigned char)address[i] >= 0x7f || strchr("<>()[]\\,;:\"", address[i]))
            return false;
    return true;
}

/* Bytes of whole characters, at most max. */
static size_t whole_characters(const char *s, size_t n, size_t max)
{
    if (n <= max)
        return n;
    for (n = max; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
        continue;
    return n;
}

static int put_subject(struct sm_buf *b, const char *s)
{
    size_t n = strlen(s);
    int r = sm_buf_printf(b, "Subject:");

    if (r >= 0 && n == 0)
        r = sm_buf_printf(b, "\r\n");
    while (r >= 0 && n > 0) {
        size_t k = whole_characters(s, n, WORD_BYTES);
        r = sm_buf_printf(b, " =?UTF-8?B?");
        if (r >= 0)
            r = sm_base64(SM_SPAN(s, k), b);
        if (r >= 0)
            r = sm_buf_printf(b, "?=\r\n");
        s += k;
        n -= k;
    }
    return r;
}

static int put_date(struct sm_buf *b, struct sm_time at)
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
        "Dec" };
    struct sm_civil c;

    sm_time_civil_jst(at, &c);
    return sm_buf_printf(b, "Date: %s, %d %s %d %02d:%02d:%02d +0900\r\n", days[c.weekday], c.day, months[c.month - 1],
        c.year, c.hour, c.minute, c.second);
}

static int put_text(struct sm_buf *b, const char *s)
{
    size_t n = strlen(s);
    int r = 0;

    while (r >= 0 && n > 0) {
        size_t k = n < LINE_BYTES ? n : LINE_BYTES;
        r = sm_base64(SM_SPAN(s, k), b);
        if (r >= 0)
            r = sm_buf_printf(b, "\r\n");
        s += k;
        n -= k;
    }
    return r;
}

static int check(const struct mail *m)
{
    if (m->to_n == 0 || m->to_n > MAIL_TO_MAX || !mail_address_ok(m->from))
        return -SM_EINVAL;
    for (size_t i = 0; i < m->to_n; i++)
        if (!mail_address_ok(m->to[i]))
            return -SM_EINVAL;
    if (strlen(m->subject) > MAIL_SUBJECT_MAX || strlen(m->text) > MAIL_TEXT_MAX)
        return -SM_ELIMIT;
    return sm_utf8_valid(SM_SPAN_STR(m->subject)) && sm_utf8_valid(SM_SPAN_STR(m->text)) ? 0 : -SM_EINVAL;
}

int mail_compose(const struct mail *m, struct sm_buf *ret)
{
    size_t start = ret->n;
    int r = check(m);

    if (r >= 0)
        r = sm_buf_printf(ret, "From: <%s>\r\nTo: ", m->from);
    for (size_t i = 0; r >= 0 && i < m->to_n; i++)
        r = sm_buf_printf(ret, "%s<%s>", i ? ",\r\n " : "", m->to[i]);
    if (r >= 0)
        r = sm_buf_printf(ret, "\r\n");
    if (r >= 0)
        r = put_subject(ret, m->subject);
    if (r >= 0)
        r = put_date(ret, m->at);
    if (r >= 0)
        r = sm_buf_printf(ret, "Message-ID: <%s@%s>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: base64\r\nAuto-Submitted: auto-generated\r\n\r\n", m->id, m->host);
    if (r >= 0)
        r = put_text(ret, m->text);
    if (r < 0)
        ret->n = start;
    return r < 0 ? r : 0;
}
