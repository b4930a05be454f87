/*
 * NEC UNIVERGE IX: "IKE.082: text", a short name of the part, a number and a text.  Packets of an access list that
 * is logged,
 * and sign-ins to the router; everything else keeps its text.
 */
#include "normalise/flow.h"

/* Two to six capitals or digits, a dot, three digits, a colon. */
static bool code(struct scan *s, struct sm_span *ret_part, struct sm_span *ret_code)
{
    struct scan t = *s;
    uint64_t v;

    while (t.p < t.end && t.p - s->p < 7 && ((*t.p >= 'A' && *t.p <= 'Z') || (t.p > s->p && is_digit(*t.p))))
        t.p++;
    struct sm_span part = SM_SPAN(s->p, (size_t)(t.p - s->p));
    if (part.n < 2 || part.n > 6 || !scan_c(&t, '.') || !scan_uint(&t, 3, 3, &v))
        return false;
    *ret_code = SM_SPAN(s->p, (size_t)(t.p - s->p));
    if (!scan_c(&t, ':'))
        return false;
    scan_blank(&t);
    *ret_part = part;
    *s = t;
    return true;
}

static int detect(struct sm_span t)
{
    struct scan s = scan_of(t);
    struct sm_span a, b;

    return t.n > 8 && t.p[0] >= 'A' && t.p[0] <= 'Z' && code(&s, &a, &b) ? 75 : 0;
}

static int read(struct format_ctx *c, struct sm_span t)
{
    struct scan s = scan_of(t);
    struct sm_span part, number;

    if (!code(&s, &part, &number))
        return -SM_EFORMAT;
    struct sm_span rest = scan_rest(&s);
    source_words(c, EVENT_W_nec, 0, 0);
    put(c, EVENT_F_msgid, number);
    put(c, EVENT_F_program, part);
    bool block = span_has(rest, "BLOCK") || span_has(rest, "discard") || span_has(rest, "deny");
    if (put_flow(c, rest)) {
        source_words(c, 0, EVENT_W_firewall, 0);
        put_str(c, EVENT_F_action, block ? "deny" : "accept");
        put(c, EVENT_F_rule, span_word_after(rest, "match ", ","));
    } else if (span_has(rest, "ogin ") || span_has(rest, "uthentication ")) {
        bool failed = span_has(rest, "fail") || span_has(rest, "incorrect") || span_has(rest, "invalid") ||
            span_has(rest, "reject");
        struct sm_span user = span_word_after(rest, "user ", ",.:");
        struct sm_span from = span_word_after(rest, "from ", ",:");
        put_login(c, 0, !failed, user, is_address(from) ? from : SM_SPAN("", 0));
    } else if (span_is(part, "IKE") || span_is(part, "SEC") || span_is(part, "L2TP") || span_is(part, "PPP")) {
        source_words(c, 0, 0, EVENT_W_vpn);
        struct sm_span peer = span_word_after(rest, "peer ", ",:[");
        put(c, EVENT_F_src_ip, is_address(peer) ? peer : SM_SPAN("", 0));
    }
    return 0;
}

const struct format format_nec = {
    .row = { "nec", "NEC UNIVERGE IX ルーターのログ", "logs of NEC UNIVERGE IX routers" },
    .detect = detect, .read = read,
};
