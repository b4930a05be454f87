/*
 * FortiGate: key=value lines of traffic, event, utm and VPN logs.  Every key stays a field of its own name (rules
 * for FortiOS
 * speak them); the ones below are given a second time by their common name.
 */
#include "normalise/flow.h"

/* A key with its length: the loop below runs for each of forty pairs a line. */
#define K(key, to) { #key, sizeof #key - 1, to }
static const struct { const char *key; uint8_t n; uint16_t name; } common[] = {
    K(srcip, EVENT_F_src_ip), K(srcport, EVENT_F_src_port), K(dstip, EVENT_F_dst_ip), K(dstport, EVENT_F_dst_port),
    K(remip, EVENT_F_src_ip), K(user, EVENT_F_username), K(sentbyte, EVENT_F_bytes_out), K(rcvdbyte, EVENT_F_bytes_in),
    K(sentpkt, EVENT_F_packets_out), K(rcvdpkt, EVENT_F_packets_in), K(duration, EVENT_F_duration_s),
    K(srcintf, EVENT_F_interface_in), K(dstintf, EVENT_F_interface_out), K(srccountry, EVENT_F_src_country),
    K(dstcountry, EVENT_F_dst_country), K(policyid, EVENT_F_rule), K(qname, EVENT_F_query),
    K(sessionid, EVENT_F_session),
    K(tunnelip, EVENT_F_tunnel_ip), K(srcmac, EVENT_F_mac), K(msg, EVENT_F_Message), K(remote_ip, EVENT_F_src_ip),
};

/* What a line says of itself on the way. */
struct line { struct sm_span date, time, tz, eventtime, type, subtype, action, status, proto; bool user; };

static bool key_is(const struct pair *p, const char *key, size_t n)
{
    return p->key.n == n && p->key.p[0] == (uint8_t)key[0] && !memcmp(p->key.p, key, n);
}
#define KEY_IS(p, key) key_is((p), key, sizeof key - 1)

static void note(struct line *l, const struct pair *p)
{
    struct sm_span *to = KEY_IS(p, "date") ? &l->date : KEY_IS(p, "time") ? &l->time : KEY_IS(p, "tz") ? &l->tz
        : KEY_IS(p, "eventtime") ? &l->eventtime : KEY_IS(p, "type") ? &l->type : KEY_IS(p, "subtype") ? &l->subtype
        : KEY_IS(p, "action") ? &l->action : KEY_IS(p, "status") ? &l->status : KEY_IS(p, "proto") ? &l->proto : NULL;

    if (to)
        *to = p->value;
}

static void line_time(struct format_ctx *c, const struct line *l)
{
    struct scan s = scan_of(l->eventtime);
    struct when w;

    if (l->eventtime.n && when_epoch(&s, &w)) {
        when_set(c, &w);
        return;
    }
    char text[64];
    if (!l->date.n || l->date.n > 10 || !l->time.n || l->time.n > 18 || l->tz.n > 6)
        return;
    size_t n = 0;
    memcpy(text, l->date.p, l->date.n);
    n = l->date.n;
    text[n++] = ' ';
    memcpy(text + n, l->time.p, l->time.n);
    n += l->time.n;
    if (l->tz.n)
        memcpy(text + n, l->tz.p, l->tz.n);
    n += l->tz.n;
    s = scan_of(SM_SPAN(text, n));
    if (when_iso(&s, &w))
        when_set(c, &w);
}

/* The event's kind as Sigma names its service, and whether somebody signed in. */
static void classify(struct format_ctx *c, const struct line *l)
{
    bool traffic = span_is(l->type, "traffic"), vpn = span_is(l->subtype, "vpn");
    struct sm_span a = l->action;

    source_words(c, 0, traffic || span_is(l->type, "utm") ? EVENT_W_firewall : 0,
        traffic ? EVENT_W_traffic : vpn ? EVENT_W_vpn : span_is(l->type, "utm") ? event_names_add(c->names,
            l->subtype) : EVENT_W_event);
    bool tunnel_up = span_is(a, "tunnel-up") || span_is(a, "ssl-new-con"), tunnel_down = span_is(a, "tunnel-down");
    bool login = span_is(a, "login") || span_is(a, "ssl-login-fail") || span_is(a, "authentication") || span_is(a,
        "auth-logon") ||
        tunnel_up;
    bool failed = span_has(a, "fail") || span_starts(l->status, "fail") || span_is(a, "negotiate-error");
    if (!login && !failed && !tunnel_down && !span_is(a, "logout"))
        return;
    if (vpn || span_is(l->subtype, "system") || span_is(l->subtype, "user"))
        source_words(c, 0, EVENT_W_authentication, 0);
    if ((login || failed) && !(span_is(a, "ssl-new-con")))
        put_str(c, EVENT_F_outcome, failed ? "failure" : "success");
}

static void protocol(struct format_ctx *c, struct sm_span number)
{
    static const struct { const char *n, *name; } known[] = {
        { "6", "tcp" }, { "17", "udp" }, { "1", "icmp" }, { "47", "gre" }, { "50", "esp" }, { "58", "icmp6" },
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (span_is(number, known[i].n)) {
            put_str(c, EVENT_F_protocol, known[i].name);
            return;
        }
    put(c, EVENT_F_protocol, number);
}

/* "ui=ssh(192.168.1.5)": where an administrator sat. */
static void user_interface(struct format_ctx *c, struct sm_span value)
{
    struct sm_span in = span_word_after(value, "(", ")");

    if (is_address(in) && !event_get(c->e, EVENT_F_src_ip))
        put(c, EVENT_F_src_ip, in);
}

static int read(struct format_ctx *c, struct sm_span text)
{
    struct scan s = scan_of(text);
    struct line l = { 0 };
    struct pair p;
    struct sm_span head = SM_SPAN(text.p, text.n < 20 ? text.n : 20);
    char sep = span_starts(text, "date=") && memchr(head.p, ',', head.n) ? ',' : ' ';

    source_words(c, EVENT_W_fortigate, 0, 0);
    while (pair_next(&s, sep, &p)) {
        note(&l, &p);
        if (KEY_IS(&p, "devname"))
            c->e->host = p.value;
        if (KEY_IS(&p, "user") && (span_is(p.value, "N/A") || !p.value.n))
            continue;
        if (KEY_IS(&p, "hostname")) {
            put(c, EVENT_F_cs_host, p.value);
            continue;
        }
        uint16_t second = 0;
        for (size_t i = 0; i < sizeof common / sizeof *common && !second; i++)
            if (key_is(&p, common[i].key, common[i].n))
                second = common[i].name;
        bool number = !p.quoted && is_number(p.value);
        if (second)
            put_any(c, second, number && second != EVENT_F_rule ? EVENT_NUMBER : EVENT_TEXT, p.value);
        if (KEY_IS(&p, "ui"))
            user_interface(c, p.value);
        if (second != EVENT_F_Message)
            put_named(c, p.key, number ? EVENT_NUMBER : EVENT_TEXT, p.value);
    }
    if (!l.type.n && !l.date.n)
        return -SM_EFORMAT;
    line_time(c, &l);
    classify(c, &l);
    if (l.proto.n)
        protocol(c, l.proto);
    return 0;
}

static int detect(struct sm_span t)
{
    if (t.n < 20 || !memchr("dtlie", t.p[0], 5))
        return 0;
    if (!span_starts(t, "date=") && !span_starts(t, "devname=") && !span_starts(t, "logver=") && !span_starts(t,
        "time=") &&
        !span_starts(t, "timestamp=") && !span_starts(t, "itime=") && !span_starts(t, "eventtime="))
        return 0;
    struct sm_span head = SM_SPAN(t.p, t.n < 400 ? t.n : 400);
    return span_has(head, "logid=") || span_has(head, "devid=") || span_has(head, "devname=") ? 90 : 0;
}

const struct format format_fortigate = {
    .row = { "fortigate", "FortiGateのログ（key=value）", "FortiGate logs, key=value" },
    .detect = detect, .read = read,
};
