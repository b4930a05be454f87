/* A line of text with a time at its start, and nothing more: what the other rows did not take. */
#include "normalise/format.h"

static int detect(struct sm_span text)
{
    struct scan s = scan_of(text);
    struct when w;

    (void)scan_c(&s, '[');
    return is_digit(scan_peek(&s)) || scan_left(&s) > 10 ? when_any(&s, &w) : 0;
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
    int r = format_inside(c, body);
    if (r < 0 && r != -SM_EFORMAT)
        return r;
    if (r < 0)
        c->e->format = own;
    if (!event_get(c->e, EVENT_F_Message))
        put(c, EVENT_F_Message, body);
    return 0;
}

const struct format format_text = {
    .row = { "text", "時刻で始まる文字の行", "lines of text that begin with a time" },
    .detect = detect, .read = read,
};
