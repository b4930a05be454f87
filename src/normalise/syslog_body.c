/* What the head of syslog carries: known programs first, then every other format, then plain text. */
#include <errno.h>
#include "normalise/syslog.h"

/* "last message repeated 5 times", "message repeated 2 times: [ ... ]": the inner text is read as if it came alone. */
static struct sm_span repeated(struct format_ctx *c, struct sm_span body)
{
    struct scan s = scan_of(body);
    uint64_t v;

    (void)scan_lit(&s, "last ");
    if (!scan_lit(&s, "message repeated "))
        return body;
    const uint8_t *from = s.p;
    if (!scan_uint(&s, 1, 9, &v))
        return body;
    put_named(c, SM_SPAN_STR("repeated"), EVENT_NUMBER, SM_SPAN(from, (size_t)(s.p - from)));
    if (!scan_lit(&s, " times: [ ") || !span_ends(scan_rest(&s), "]"))
        return body;
    struct sm_span in = scan_rest(&s);
    return span_trim(SM_SPAN(in.p, in.n - 1));
}

/* Solaris: [ID 800047 auth.notice] */
static struct sm_span without_id(struct sm_span body)
{
    struct scan s = scan_of(body);

    if (!scan_lit(&s, "[ID "))
        return body;
    (void)scan_past(&s, ']');
    scan_blank(&s);
    return scan_rest(&s);
}

bool vsftpd_line(struct format_ctx *c, struct sm_span body)
{
    if (!span_starts(body, "[pid ") || !span_has(body, "Client \""))
        return false;
    c->program = SM_SPAN_STR("vsftpd");
    put(c, EVENT_F_program, c->program);
    put_number(c, EVENT_F_pid, span_word_after(body, "[pid ", "]"));
    (void)unix_program(c, body);
    put(c, EVENT_F_Message, body);
    return true;
}

int syslog_body(struct format_ctx *c, struct sm_span body)
{
    uint16_t own = c->e->format;
    struct sm_span text = repeated(c, without_id(body));

    if (c->err < 0)
        return c->err;
    if (vsftpd_line(c, text))
        return c->err;
    if (c->program.n && unix_program(c, text)) {
        if (!event_get(c->e, EVENT_F_Message))
            put(c, EVENT_F_Message, body);
        return c->err;
    }
    int r = text.n ? format_inside(c, text) : 0;
    if (r < 0 && r != -SM_EFORMAT)
        return r;
    c->e->format = own;
    if (r == -SM_EFORMAT) { /* nobody's format: where it came from is worth most */
        struct sm_span from = span_word_after(text, " from ", ":,;)");
        put(c, EVENT_F_src_ip, is_address(from) ? from : SM_SPAN("", 0));
    }
    if (!event_get(c->e, EVENT_F_Message))
        put(c, EVENT_F_Message, body);
    return c->err;
}
