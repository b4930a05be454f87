/* Servers of Unix: named, dnsmasq, unbound, dhcpd, the kernel's packet filter, vsftpd, dovecot, proftpd, samba,
 * clamd. */
#include "normalise/flow.h"
#include "normalise/syslog.h"

/* ---- names ---- */

/* "client @0x7f 10.0.0.1#80 (sl): query: name IN A +", "client 1.2.3.4#5: query (cache) 'n/A/IN' denied" */
static bool named(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, EVENT_W_dns, 0);
    struct sm_span at = span_after(body, "client ");
    struct scan s = scan_of(at);
    if (scan_c(&s, '@'))
        (void)scan_word(&s);
    struct sm_span client = scan_word(&s);
    if (client.n && client.p[client.n - 1] == ':')
        client.n--;
    put_address(c, EVENT_F_src_ip, EVENT_F_src_port, client);
    struct sm_span query = span_after(body, "query: ");
    if (query.n) {
        s = scan_of(query);
        put(c, EVENT_F_query, scan_word(&s));
        (void)scan_word(&s);
        put(c, EVENT_F_record_type, scan_word(&s));
        return true;
    }
    struct sm_span quoted = span_after(body, "query (cache) '");
    if (!quoted.n)
        quoted = span_after(body, "update '");
    s = scan_of(quoted);
    struct sm_span name = scan_past(&s, '/');
    if (quoted.n && s.p < s.end) {
        put(c, EVENT_F_query, name);
        put(c, EVENT_F_record_type, scan_past(&s, '/'));
    }
    if (span_ends(body, "denied"))
        put_str(c, EVENT_F_action, "deny");
    return true;
}

/* "21745 10.10.10.33/59490 query[A] name from 10.10.10.33", "reply name is 1.2.3.4" */
static bool dnsmasq(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, EVENT_W_dns, 0);
    struct scan s = scan_of(body);
    struct sm_span w = scan_word(&s);
    if (w.n && is_number(w)) {
        put_address(c, EVENT_F_src_ip, EVENT_F_src_port, scan_word(&s));
        w = scan_word(&s);
    }
    struct scan k = scan_of(w);
    struct sm_span kind = scan_past(&k, '[');
    if (span_is(kind, "query")) {
        put(c, EVENT_F_record_type, scan_past(&k, ']'));
        put(c, EVENT_F_query, scan_word(&s));
        if (!event_get(c->e, EVENT_F_src_ip))
            put(c, EVENT_F_src_ip, span_word_after(body, " from ", ""));
    } else if (span_is(kind, "reply") || span_is(kind, "cached") || span_is(kind, "config") || span_is(kind,
        "forwarded")) {
        put(c, EVENT_F_query, scan_word(&s));
        put(c, EVENT_F_answer, span_word_after(body, " is ", ""));
    } else if (span_starts(kind, "DHCP")) {
        source_words(c, 0, 0, EVENT_W_dhcp);
        c->e->category = 0;
    }
    put(c, EVENT_F_action, kind);
    return true;
}

/* "[1234:0] info: 10.0.0.1 name. A IN" */
static bool unbound(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, EVENT_W_dns, 0);
    struct scan s = scan_of(span_after(body, "info: "));
    struct sm_span client = scan_word(&s);
    if (is_address(client)) {
        put(c, EVENT_F_src_ip, client);
        struct sm_span name = scan_word(&s);
        if (name.n > 1 && name.p[name.n - 1] == '.')
            name.n--;
        put(c, EVENT_F_query, name);
        put(c, EVENT_F_record_type, scan_word(&s));
    }
    return true;
}

/* "DHCPACK on 192.168.1.5 to 00:11:22:33:44:55 (pc-01) via eth0", "DHCPREQUEST for ..." */
static bool dhcpd(struct format_ctx *c, struct sm_span body)
{
    struct scan s = scan_of(body);

    source_words(c, EVENT_W_linux, 0, EVENT_W_dhcp);
    if (!span_starts(body, "DHCP"))
        return true;
    put(c, EVENT_F_action, scan_word(&s));
    struct sm_span on = span_word_after(body, " on ", ""), for_ = span_word_after(body, " for ", ""),
        of = span_word_after(body, " of ", "");
    put(c, EVENT_F_src_ip, is_address(on) ? on : is_address(for_) ? for_ : is_address(of) ? of : SM_SPAN("", 0));
    struct sm_span to = span_word_after(body, " to ", ""), from = span_word_after(body, " from ", "");
    put(c, EVENT_F_mac, to.n ? to : from);
    struct sm_span name = span_word_after(body, " (", ")");
    if (name.n && !is_address(name))
        put(c, EVENT_F_SourceHostname, name);
    put(c, EVENT_F_interface_in, span_word_after(body, " via ", ":"));
    return true;
}

/* ---- the kernel: IN=eth0 OUT= MAC=... SRC=1.2.3.4 DST=... PROTO=TCP SPT=1 DPT=22; AppArmor ---- */

static const struct { const char *key; uint16_t name; } filter_keys[] = {
    { "IN", EVENT_F_interface_in }, { "OUT", EVENT_F_interface_out }, { "MAC", EVENT_F_mac }, { "SRC", EVENT_F_src_ip },
    { "DST", EVENT_F_dst_ip }, { "PROTO", EVENT_F_protocol }, { "SPT", EVENT_F_src_port }, { "DPT", EVENT_F_dst_port },
};

static bool packet(struct format_ctx *c, struct sm_span body)
{
    const uint8_t *in = span_find(body, "IN=");
    struct pair p;

    if (!in || !span_has(body, " SRC="))
        return false;
    source_words(c, EVENT_W_linux, EVENT_W_firewall, EVENT_W_iptables);
    struct scan s = scan_of(SM_SPAN(in, (size_t)(body.p + body.n - in)));
    while (pair_next(&s, ' ', &p))
        for (size_t i = 0; i < sizeof filter_keys / sizeof *filter_keys; i++)
            if (span_is(p.key, filter_keys[i].key))
                put_number(c, filter_keys[i].name, p.value);
    struct sm_span rule = span_trim(SM_SPAN(body.p, (size_t)(in - body.p)));
    put(c, EVENT_F_rule, rule);
    if (span_has(rule, "BLOCK") || span_has(rule, "DROP") || span_has(rule, "REJECT") || span_has(rule, "DENY"))
        put_str(c, EVENT_F_action, "deny");
    else if (span_has(rule, "ALLOW") || span_has(rule, "ACCEPT"))
        put_str(c, EVENT_F_action, "accept");
    return true;
}

static bool kernel(struct format_ctx *c, struct sm_span body)
{
    struct scan s = scan_of(body);

    source_words(c, EVENT_W_linux, 0, EVENT_W_syslog);
    if (packet(c, body))
        return true;
    if (scan_c(&s, '[')) { /* seconds since it started */
        (void)scan_past(&s, ']');
        scan_blank(&s);
    }
    if (format_audit.detect(scan_rest(&s)) > 0)
        (void)format_audit.read(c, scan_rest(&s));
    return true;
}

/* ---- others that people sign in to ---- */

/* dovecot: "imap-login: Disconnected (auth failed, 7 attempts): user=<x>, method=PLAIN, rip=1.2.3.4, lip=..." */
static bool dovecot(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, 0, event_names_add(c->names, SM_SPAN_STR("dovecot")));
    struct sm_span user = span_word_after(body, "user=<", ">"), rip = span_word_after(body, "rip=", ",");
    bool failed = span_has(body, "auth failed") || span_has(body, "Password mismatch") || span_has(body,
        "unknown user") ||
        span_has(body, "pam_authenticate() failed") || span_has(body, "Aborted login") || span_has(body,
            "Authentication Failure");
    if (!rip.n && failed) { /* auth(default): pam(user@example.com,1.2.3.4): ... */
        struct sm_span in = span_after(body, "): ");
        struct scan s = scan_of(span_after(in, "("));
        user = scan_past(&s, ',');
        rip = scan_until(&s, ')');
    }
    if (failed || span_has(body, "Login: "))
        put_login(c, 0, !failed, user, rip);
    else
        put(c, EVENT_F_src_ip, rip);
    return true;
}

/* proftpd: "host (name[1.2.3.4]) - USER x: Login successful" */
static bool proftpd(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, 0, event_names_add(c->names, SM_SPAN_STR("proftpd")));
    struct sm_span user = span_word_after(body, "USER ", ":"), address = span_word_after(body, "[", "]");
    if (span_has(body, "Login successful"))
        put_login(c, 0, true, user.n ? user : span_word_after(body, "ANON ", ":"), address);
    else if (span_has(body, "(Login failed)") || span_has(body, "no such user"))
        put_login(c, 0, false, user, address);
    else if (is_address(address))
        put(c, EVENT_F_src_ip, address);
    else if (is_address(span_word_after(body, " from ", "")))
        put(c, EVENT_F_src_ip, span_word_after(body, " from ", ""));
    if (span_has(body, "denied") || span_has(body, "refused connect"))
        put_str(c, EVENT_F_action, "deny");
    return true;
}

static bool samba(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, 0, event_names_add(c->names, SM_SPAN_STR("samba")));
    struct sm_span address = span_word_after(body, "connection from (", ")");
    put(c, EVENT_F_src_ip, address);
    if (span_has(body, "Denied") || span_has(body, "Permission denied"))
        put_str(c, EVENT_F_action, "deny");
    put(c, EVENT_F_username, span_word_after(body, "User name: ", "."));
    put(c, EVENT_F_printer, span_word_after(body, "Printer name: ", "."));
    return true;
}

/* dropbear: "Bad password attempt for 'root' from 1.2.3.4:5", "Password auth succeeded for 'x' from ..." */
static bool dropbear(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, 0, EVENT_W_sshd);
    struct sm_span user = span_word_after(body, " for '", "'"), address = span_word_after(body, " from ", "");
    bool failed = span_starts(body, "Bad password attempt") || span_starts(body, "Login attempt for nonexistent user");
    if (failed || span_has(body, " auth succeeded for "))
        put_login(c, 0, !failed, user, address);
    return true;
}

/* clamd: "/tmp/x: Eicar-Signature FOUND" */
static bool clamav(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, EVENT_W_antivirus, EVENT_W_clamav);
    if (!span_ends(body, " FOUND"))
        return true;
    const uint8_t *colon = span_find(body, ": ");
    if (!colon)
        return true;
    put(c, EVENT_F_Filename, SM_SPAN(body.p, (size_t)(colon - body.p)));
    put(c, EVENT_F_Signature, SM_SPAN(colon + 2, (size_t)(body.p + body.n - colon) - 2 - 6));
    put_str(c, EVENT_F_action, "found");
    return true;
}

static bool vsftpd(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, 0, EVENT_W_vsftpd);
    struct sm_span client = span_word_after(body, "Client \"", "\",");
    bool failed = span_has(body, "FAIL LOGIN"), ok = span_has(body, "OK LOGIN");
    struct sm_span user = SM_SPAN("", 0);
    const uint8_t *at = failed || ok ? span_find(body, failed ? "] FAIL LOGIN" : "] OK LOGIN") : NULL;
    for (const uint8_t *q = at; q && q > body.p; q--)
        if (q[-1] == '[') {
            user = SM_SPAN(q, (size_t)(at - q));
            break;
        }
    if (failed || ok)
        put_login(c, 0, ok, user, client);
    else
        put(c, EVENT_F_src_ip, client);
    return true;
}

/* Known for what they are; their text is left as it is. */
static bool plain(struct format_ctx *c, struct sm_span body)
{
    (void)body;
    source_words(c, EVENT_W_linux, 0, EVENT_W_syslog);
    return false;
}

static bool mail(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, 0, event_names_add(c->names, SM_SPAN_STR("postfix")));
    struct sm_span a = span_word_after(body, "[", "]"), b = span_word_after(body, "from [", "]");
    put(c, EVENT_F_src_ip, is_address(b) ? b : is_address(a) ? a : SM_SPAN("", 0));
    if (span_has(body, "reject: "))
        put_str(c, EVENT_F_action, "deny");
    return true;
}

static const struct { const char *name; bool (*read)(struct format_ctx *, struct sm_span); } services[] = {
    { "kernel", kernel }, { "named", named }, { "dnsmasq", dnsmasq }, { "dnsmasq-dhcp", dnsmasq },
    { "unbound", unbound },
    { "dhcpd", dhcpd }, { "dovecot", dovecot }, { "proftpd", proftpd }, { "smbd", samba }, { "dropbear", dropbear },
    { "clamd", clamav }, { "clamscan", clamav }, { "freshclam", clamav }, { "vsftpd", vsftpd },
    { "systemd", plain }, { "NetworkManager", plain }, { "rsyslogd", plain }, { "syslogd", plain }, { "guacd", plain },
    { "firewalld", plain }, { "smtpd", plain }, { "ftpd", plain }, { "xinetd", plain }, { "rshd", plain },
    { "in.rshd", plain },
};

bool unix_service(struct format_ctx *c, struct sm_span p, struct sm_span body)
{
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (services[i].name[0] == (char)p.p[0] && span_is(p, services[i].name)) {
            if (services[i].read == plain && p.p[0] == 'g')
                source_words(c, 0, 0, event_names_add(c->names, SM_SPAN_STR("guacamole")));
            return services[i].read(c, body);
        }
    return span_starts(p, "postfix/") ? mail(c, body) : false;
}
