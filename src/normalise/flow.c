/* Words that network devices share: who went where, and who signed in. */
#include "normalise/flow.h"

static struct sm_span word_before(struct sm_span text, const uint8_t *at)
{
    const uint8_t *end = at, *from;

    while (end > text.p && end[-1] == ' ')
        end--;
    for (from = end; from > text.p && from[-1] != ' ' && from[-1] != '[';)
        from--;
    return SM_SPAN(from, (size_t)(end - from));
}

/* Yamaha writes the port of an IPv6 address behind a dot. */
static void put_end(struct format_ctx *c, uint16_t ip, uint16_t port, struct sm_span v)
{
    size_t dot = v.n;

    while (v.n && (v.p[v.n - 1] == ']' || v.p[v.n - 1] == ','))
        v.n--;
    for (size_t i = 0; i < v.n; i++)
        dot = v.p[i] == '.' ? i : dot;
    struct sm_span number = dot < v.n ? SM_SPAN(v.p + dot + 1, v.n - dot - 1) : SM_SPAN(v.p, 0);
    if (v.n && memchr(v.p, ':', v.n) && dot < v.n && is_number(number) && is_address(SM_SPAN(v.p, dot)) &&
        v.p[0] != '[' &&
        !is_address(v)) {
        put(c, ip, SM_SPAN(v.p, dot));
        put_number(c, port, number);
        return;
    }
    size_t colons = 0, first = v.n;
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] == ':' && colons++ == 0)
            first = i;
    if (colons >= 2 && dot < v.n && dot > first && is_number(number)) {
        put(c, ip, SM_SPAN(v.p, dot));
        put_number(c, port, number);
        return;
    }
    put_address(c, ip, port, v);
}

bool put_flow(struct format_ctx *c, struct sm_span text)
{
    const uint8_t *arrow = span_find(text, " > ");
    size_t n = 3;

    if (!arrow) {
        arrow = span_find(text, " -> ");
        n = 4;
    }
    if (!arrow)
        return false;
    struct sm_span src = word_before(text, arrow);
    struct scan s = scan_of(SM_SPAN(arrow + n, (size_t)(text.p + text.n - arrow) - n));
    struct sm_span dst = scan_word(&s);
    if (!src.n || !dst.n || !(is_digit(src.p[0]) || memchr(src.p, ':', src.n)))
        return false;
    struct sm_span protocol = word_before(text, src.p);
    if (protocol.n && protocol.n < 8 && ((protocol.p[0] | 0x20) >= 'a' && (protocol.p[0] | 0x20) <= 'z'))
        put(c, EVENT_F_protocol, protocol);
    put_end(c, EVENT_F_src_ip, EVENT_F_src_port, src);
    put_end(c, EVENT_F_dst_ip, EVENT_F_dst_port, dst);
    return true;
}

void put_login(struct format_ctx *c, uint16_t service, bool success, struct sm_span user, struct sm_span address)
{
    source_words(c, 0, EVENT_W_authentication, service);
    put_str(c, EVENT_F_action, success ? "login" : "login-failed");
    put_str(c, EVENT_F_outcome, success ? "success" : "failure");
    put(c, EVENT_F_username, user);
    put_address(c, EVENT_F_src_ip, EVENT_F_src_port, address);
}

void put_logout(struct format_ctx *c, uint16_t service, struct sm_span user, struct sm_span address)
{
    source_words(c, 0, EVENT_W_authentication, service);
    put_str(c, EVENT_F_action, "logout");
    put(c, EVENT_F_username, user);
    put_address(c, EVENT_F_src_ip, EVENT_F_src_port, address);
}
