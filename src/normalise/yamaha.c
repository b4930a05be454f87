/*
 * Yamaha RTX, NVR and vRX routers.  Their syslog has no time, no host and no program: the text stands right behind
 * the priority;
 * in `show log` a time stands before it.  Forms read: packets passed or rejected by a filter, [INSPECT], sign-ins
 * to the
 * router, tunnels and PP interfaces going up and down with their user, [IKE], [L2TP], [PPTP], [DHCPD].
 */
#include "normalise/flow.h"

static const char *const tags[] = {
    "INSPECT", "IKE", "IKE2", "L2TP", "L2TPv3", "PPTP", "DHCPD", "PPPOE", "NAT", "HTTPD", "SSHD", "SFTPD", "TELNETD",
        "LUA", "SWCTL", "IDS",
    "QAC-TM", "SCHEDULE", "NETVOLANTE-DNS", "DDNS", "DNS", "IPsec", "POLICY_FILTER", "RADIUS", "SYSTEM", "CLOCK",
        "LOCALTIME", "YNO",
};

static struct sm_span tag_of(struct sm_span t)
{
    struct scan s = scan_of(t);

    if (!scan_c(&s, '['))
        return SM_SPAN(t.p, 0);
    struct sm_span tag = scan_until(&s, ']');
    return s.p < s.end && tag.n < 20 ? tag : SM_SPAN(t.p, 0);
}

static bool known_tag(struct sm_span tag)
{
    for (size_t i = 0; tag.n && i < sizeof tags / sizeof *tags; i++)
        if (span_is(tag, tags[i]))
            return true;
    return false;
}

/* PP[01] LAN2 TUNNEL[1] LAN1/1 at the start */
static struct sm_span interface(struct sm_span t)
{
    struct scan s = scan_of(t);
    struct sm_span w = scan_word(&s);

    if (span_starts(w, "PP[") || span_starts(w, "TUNNEL[") || span_starts(w, "BRIDGE") || span_starts(w, "VLAN") ||
        span_starts(w, "WAN") || (span_starts(w, "LAN") && w.n > 3 && (is_digit(w.p[3]) || w.p[3] == '[')) ||
            span_starts(w, "ONU"))
        return w;
    return SM_SPAN(t.p, 0);
}

static int detect(struct sm_span t)
{
    if (t.n < 6)
        return 0;
    if (t.p[0] == '[')
        return known_tag(tag_of(t)) ? 85 : 0;
    if (t.p[0] == 'L' || t.p[0] == 'P' || t.p[0] == 'T' || t.p[0] == 'I' || t.p[0] == '\'' || t.p[0] == 'V' ||
        t.p[0] == 'B' || t.p[0] == 'W') {
        if (span_starts(t, "Login succeeded for ") || span_starts(t, "Login failed for ") || span_starts(t,
            "Logout from ") ||
            span_starts(t, "IP Tunnel["))
            return 85;
        if (t.p[0] == '\'')
            return span_has(t, "' succeeded for ") || span_has(t, "' failed for ") ? 85 : 0;
        return interface(t).n && (span_starts(t, "PP[") || span_starts(t, "TUNNEL[") || span_has(t, " at IN(") ||
            span_has(t, " at OUT(")) ? 85 : 0;
    }
    return 0;
}

/* "PP[01] Rejected at IN(2000) filter: TCP 203.0.113.5:1 > 192.0.2.1:22" */
static bool filtered(struct format_ctx *c, struct sm_span t)
{
    bool rejected = span_has(t, " Rejected at "), passed = !rejected && span_has(t, " Passed at ");

    if (!rejected && !passed)
        return false;
    source_words(c, 0, EVENT_W_firewall, 0);
    put_str(c, EVENT_F_action, rejected ? "deny" : "accept");
    struct sm_span at = span_after(t, " at ");
    struct scan s = scan_of(at);
    struct sm_span way = scan_past(&s, '(');
    put(c, EVENT_F_rule, scan_past(&s, ')'));
    put(c, span_is(way, "IN") ? EVENT_F_interface_in : EVENT_F_interface_out, interface(t));
    (void)put_flow(c, t);
    return true;
}

/* "[INSPECT] PP[01][out][101] TCP a:1 > b:80 (2016/02/23 10:59:24)": a dynamic filter saw a session end. */
static void inspected(struct format_ctx *c, struct sm_span t)
{
    struct scan s = scan_of(t);

    source_words(c, 0, EVENT_W_firewall, 0);
    (void)scan_past(&s, ' ');
    struct sm_span where = scan_word(&s);
    bool in = span_has(where, "[in]");
    struct sm_span name = where;
    const uint8_t *cut = span_find(where, in ? "[in]" : "[out]");
    if (cut)
        name.n = (size_t)(cut - where.p);
    put(c, in ? EVENT_F_interface_in : EVENT_F_interface_out, name);
    if (cut) {
        struct scan r = scan_of(SM_SPAN(cut, (size_t)(where.p + where.n - cut)));
        (void)scan_past(&r, ']');
        (void)scan_c(&r, '[');
        put(c, EVENT_F_rule, scan_until(&r, ']'));
    }
    put_str(c, EVENT_F_action, "accept");
    (void)put_flow(c, t);
}

/* "Login succeeded for HTTP: 192.168.100.31", "... for SSH: 192.168.100.31 hoshu", "'administrator' succeeded for
 * TELNET: 1.2.3.4" */
static bool signed_in(struct format_ctx *c, struct sm_span t)
{
    struct scan s = scan_of(t);
    bool out = scan_lit(&s, "Logout from ");
    bool admin = !out && scan_c(&s, '\'');
    struct sm_span user = admin ? scan_past(&s, '\'') : SM_SPAN("", 0);

    scan_blank(&s);
    if (!out && !admin && !scan_lit(&s, "Login "))
        return false;
    bool ok = !out && scan_lit(&s, "succeeded for ");
    if (!out && !ok && !scan_lit(&s, "failed for "))
        return false;
    struct sm_span how = scan_past(&s, ':');
    struct sm_span address = scan_word(&s), who = scan_word(&s);
    if (is_address(who) && !is_address(address)) {
        struct sm_span a = address;
        address = who;
        who = a;
    }
    if (!user.n)
        user = who;
    if (out)
        put_logout(c, 0, user, address);
    else
        put_login(c, 0, ok, user, address);
    put(c, EVENT_F_protocol, how);
    if (admin)
        put_str(c, EVENT_F_target_user, "administrator");
    return true;
}

/* VPN: who came in through which tunnel. */
static void tunnels(struct format_ctx *c, struct sm_span t, struct sm_span tag)
{
    bool l2tp = span_is(tag, "L2TP") || span_is(tag, "PPTP");
    struct sm_span user = span_word_after(t, " user '", "'");

    if (user.n && span_has(t, "Call detected from user")) {
        put_login(c, EVENT_W_vpn, true, user, SM_SPAN("", 0));
    } else if (span_has(t, "authentication failed") || span_has(t, "Authentication failed") || span_has(t,
        "auth failed")) {
        put_login(c, EVENT_W_vpn, false, user, SM_SPAN("", 0));
    } else if (span_starts(t, "IP Tunnel[") || span_has(t, "PPP/IPCP up") || span_has(t, "PPP/IPCP down") ||
        (l2tp && (span_has(t, "established") || span_has(t, "connected from") || span_has(t, "disconnect")))) {
        source_words(c, 0, 0, EVENT_W_vpn);
        bool down = span_has(t, " Down") || span_has(t, " down") || span_has(t, "disconnect");
        put_str(c, EVENT_F_action, down ? "tunnel-down" : "tunnel-up");
        put(c, EVENT_F_tunnel_ip, span_word_after(t, "Remote: ", ")"));
        put(c, EVENT_F_session, span_word_after(t, "unnel[", "]"));
    } else if (span_is(tag, "IKE") || span_is(tag, "IKE2") || l2tp) {
        source_words(c, 0, 0, EVENT_W_vpn);
    }
    static const char *const before[] = { "connected from ", " phase to ", " to ", " from ", "peer " };
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        struct sm_span a = span_word_after(t, before[i], ",:)(");
        if (!is_address(a) || event_get(c->e, EVENT_F_src_ip))
            continue;
        put(c, EVENT_F_src_ip, a);
    }
}

/* "[DHCPD] LAN1(port1) Allocates 192.168.100.2: 00:a0:de:01:02:03" */
static void dhcp(struct format_ctx *c, struct sm_span t)
{
    struct scan s = scan_of(span_after(t, "] "));

    source_words(c, 0, 0, EVENT_W_dhcp);
    put(c, EVENT_F_interface_in, scan_word(&s));
    put(c, EVENT_F_action, scan_word(&s));
    struct sm_span a = scan_word(&s);
    if (a.n && a.p[a.n - 1] == ':')
        a.n--;
    put(c, EVENT_F_src_ip, a);
    put(c, EVENT_F_mac, scan_word(&s));
}

static int read(struct format_ctx *c, struct sm_span t)
{
    struct sm_span tag = tag_of(t);

    source_words(c, EVENT_W_yamaha, 0, 0);
    if (known_tag(tag))
        put(c, EVENT_F_program, tag);
    if (span_is(tag, "INSPECT"))
        inspected(c, t);
    else if (span_is(tag, "DHCPD"))
        dhcp(c, t);
    else if (!filtered(c, t) && !signed_in(c, t))
        tunnels(c, t, tag);
    return 0;
}

const struct format format_yamaha = {
    .row = { "yamaha", "ヤマハ RTX・NVR ルーターのログ", "logs of Yamaha RTX and NVR routers" },
    .detect = detect, .read = read,
};
