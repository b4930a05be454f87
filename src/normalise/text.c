/* A line of text with a time at its start, and nothing more: what the other rows did not take. */
#include "normalise/syslog.h"

static int detect(struct sm_span text)
{
    struct scan s = scan_of(text);
    struct when w;

    (void)scan_c(&s, '[');
    return is_digit(scan_peek(&s)) || scan_left(&s) > 10 ? when_any(&s, &w) : 0;
}

enum { PAIRS_MAX = 64 };

/* "利用者=220 医師一郎 職種=医師": a value goes on to the blank before the next key=.  Two pairs at least, or it is prose. */
static void loose_pairs(struct format_ctx *c, struct sm_span t)
{
    struct { size_t key, eq; } at[PAIRS_MAX];
    size_t n = 0, word = 0;

    for (size_t i = 0; i < t.n && n < PAIRS_MAX; i++) {
        if (t.p[i] == ' ') {
            word = i + 1;
        } else if (t.p[i] == '=' && word != SIZE_MAX && i > word && i - word <= 64) {
            at[n].key = word;
            at[n++].eq = i;
            word = SIZE_MAX;
        }
    }
    for (size_t k = 0; n >= 2 && k < n; k++) {
        size_t end = k + 1 < n ? at[k + 1].key : t.n;
        struct sm_span v = span_trim(SM_SPAN(t.p + at[k].eq + 1, end - at[k].eq - 1));
        if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
            v = SM_SPAN(v.p + 1, v.n - 2);
        put_named(c, SM_SPAN(t.p + at[k].key, at[k].eq - at[k].key), is_number(v) ? EVENT_NUMBER : EVENT_TEXT, v);
    }
}

static int read(struct format_ctx *c, struct sm_span text)
{
    struct scan s = scan_of(text);
    struct when w;

    bool bracket = scan_c(&s, '[');
    if (!when_any(&s, &w))
        return -SM_EFORMAT;
    when_set(c, &w);
    if (bracket)
        (void)scan_c(&s, ']');
    (void)scan_c(&s, ':');
    scan_blank(&s);
    struct sm_span body = scan_rest(&s);
    uint16_t own = c->e->format;
    if (vsftpd_line(c, body))
        return 0;
    int r = format_inside(c, body);
    if (r < 0 && r != -SM_EFORMAT)
        return r;
    if (r < 0) {
        c->e->format = own;
        loose_pairs(c, body);
    }
    if (!event_get(c->e, EVENT_F_Message))
        put(c, EVENT_F_Message, body);
    return 0;
}

const struct format format_text = {
    .row = { "text", "時刻で始まる文字の行", "lines of text that begin with a time" },
    .detect = detect, .read = read,
};
