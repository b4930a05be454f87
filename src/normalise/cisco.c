/* Cisco: %ASA-6-302013 (also PIX, FTD, with one % too many) and %SEC_LOGIN-5-LOGIN_SUCCESS of IOS. */
#include "normalise/flow.h"

/* %FACILITY-S-MNEMONIC: ; sub-facilities between stay with the facility. */
struct code { struct sm_span facility, mnemonic, all; uint8_t severity; };

static bool code(struct scan *s, struct code *ret)
{
    struct scan t = *s;

    if (!scan_c(&t, '%'))
        return false;
    (void)scan_c(&t, '%');
    const uint8_t *from = t.p;
    while (t.p < t.end && t.p - from < 80 && *t.p != ':' && *t.p != ' ')
        t.p++;
    struct sm_span all = SM_SPAN(from, (size_t)(t.p - from));
    if (!scan_c(&t, ':') && !(scan_c(&t, ' ') && scan_c(&t, ':')))
        return false;
    for (size_t i = 1; i + 2 < all.n; i++) {
        if (all.p[i] != '-' || !is_digit(all.p[i + 1]) || all.p[i + 2] != '-')
            continue;
        *ret = (struct code){ SM_SPAN(all.p, i), SM_SPAN(all.p + i + 3, all.n - i - 3), all,
            (uint8_t)(all.p[i + 1] - '0') };
        scan_blank(&t);
        *s = t;
        return ret->mnemonic.n && ret->severity < 8;
    }
    return false;
}

static int detect(struct sm_span t)
{
    struct scan s = scan_of(t);
    struct code k;

    return t.n > 6 && t.p[0] == '%' && code(&s, &k) ? 90 : 0;
}

/* "outside:1.2.3.4/443", "inside/10.1.1.1(1234)", "1.2.3.4/443" */
static void endpoint(struct format_ctx *c, struct sm_span v, bool source)
{
    uint16_t ip = source ? EVENT_F_src_ip : EVENT_F_dst_ip, port = source ? EVENT_F_src_port : EVENT_F_dst_port;
    uint16_t interface = source ? EVENT_F_interface_in : EVENT_F_interface_out;
    const uint8_t *sep = v.n ? memchr(v.p, ':', v.n) : NULL;

    while (v.n && memchr(",.;)", v.p[v.n - 1], 4) && !(v.p[v.n - 1] == ')' && memchr(v.p, '(', v.n)))
        v.n--;
    bool paren = v.n && v.p[v.n - 1] == ')';
    if (paren)
        sep = memchr(v.p, '/', v.n);
    if (sep && !is_digit(v.p[0]) && !is_address(SM_SPAN(v.p, v.n))) {
        put(c, interface, SM_SPAN(v.p, (size_t)(sep - v.p)));
        v = SM_SPAN(sep + 1, (size_t)(v.p + v.n - sep) - 1);
    }
    put_address(c, ip, port, v);
}

static void ends(struct format_ctx *c, struct sm_span t, const char *a, const char *b, bool a_is_source)
{
    struct sm_span after = span_after(t, a);
    struct scan s = scan_of(after);
    struct sm_span first = scan_word(&s), second = span_word_after(scan_rest(&s), b, "");

    endpoint(c, a_is_source ? first : second, true);
    endpoint(c, a_is_source ? second : first, false);
}

/* 0h:39m:20s, 1d 19h:41m:14s, 0:00:05 */
static void duration(struct format_ctx *c, struct sm_span t)
{
    struct scan s = scan_of(t);
    uint64_t v, total = 0, part[3];
    size_t n = 0;

    while (n < 3 && scan_uint(&s, 1, 6, &v)) {
        if (scan_c(&s, 'd')) {
            total += v * 86400;
            scan_blank(&s);
            continue;
        }
        part[n++] = v;
        if (scan_peek(&s) == 'h' || scan_peek(&s) == 'm' || scan_peek(&s) == 's')
            s.p++;
        if (!scan_c(&s, ':'))
            break;
    }
    if (n == 3)
        put_u64(c, EVENT_F_duration_s, total + part[0] * 3600 + part[1] * 60 + part[2]);
}

/* ---- ASA ---- */

static void asa_built(struct format_ctx *c, struct sm_span t)
{
    bool inbound = span_has(t, " inbound ");
    struct scan s = scan_of(span_after(t, "bound "));

    put_str(c, EVENT_F_action, "accept");
    put(c, EVENT_F_protocol, scan_word(&s));
    put(c, EVENT_F_session, span_word_after(t, "connection ", ""));
    ends(c, t, " for ", " to ", inbound);
}

static void asa_teardown(struct format_ctx *c, struct sm_span t)
{
    struct scan s = scan_of(span_after(t, "Teardown "));

    put_str(c, EVENT_F_action, "close");
    put(c, EVENT_F_protocol, scan_word(&s));
    put(c, EVENT_F_session, span_word_after(t, "connection ", ""));
    ends(c, t, " for ", " to ", true);
    duration(c, span_after(t, " duration "));
    put_number(c, EVENT_F_bytes_out, span_word_after(t, " bytes ", ""));
}

static void asa_deny(struct format_ctx *c, struct sm_span t)
{
    struct sm_span how = span_word_after(t, "Deny ", "");

    put_str(c, EVENT_F_action, "deny");
    if (span_is(how, "inbound") || span_is(how, "protocol"))
        how = span_word_after(t, span_is(how, "inbound") ? "Deny inbound " : "Deny protocol ", "");
    put(c, EVENT_F_protocol, how.n ? how : span_word_after(t, "Inbound ", ""));
    if (span_has(t, " src "))
        ends(c, t, " src ", " dst ", true);
    else
        ends(c, t, " from ", " to ", true);
    struct scan s = scan_of(span_after(t, "access-group \""));
    put(c, EVENT_F_rule, scan_until(&s, '"'));
    put(c, EVENT_F_interface_in, span_word_after(t, " on interface ", ""));
}

/* access-list NAME denied tcp inside/10.1.1.1(1) -> outside/1.2.3.4(80) hit-cnt 1 */
static void asa_list(struct format_ctx *c, struct sm_span t)
{
    struct scan s = scan_of(span_after(t, "access-list "));
    put(c, EVENT_F_rule, scan_word(&s));
    put_str(c, EVENT_F_action, span_is(scan_word(&s), "permitted") ? "accept" : "deny");
    put(c, EVENT_F_protocol, scan_word(&s));
    endpoint(c, scan_word(&s), true);
    (void)scan_word(&s);
    endpoint(c, scan_word(&s), false);
}

/* "Group = g, Username = u, IP = 1.2.3.4, Session disconnected. ... Duration: ..., Bytes xmt: 1, Bytes rcv: 2,
 * Reason: r" */
static void asa_session_end(struct format_ctx *c, struct sm_span t)
{
    struct scan s = scan_of(span_after(t, "Username = "));

    put_logout(c, EVENT_W_vpn, scan_until(&s, ','), span_word_after(t, "IP = ", ","));
    struct scan g = scan_of(span_after(t, "Group = "));
    put_named(c, SM_SPAN_STR("group"), EVENT_TEXT, scan_until(&g, ','));
    duration(c, span_after(t, "Duration: "));
    put_number(c, EVENT_F_bytes_out, span_word_after(t, "Bytes xmt: ", ","));
    put_number(c, EVENT_F_bytes_in, span_word_after(t, "Bytes rcv: ", ","));
    put(c, EVENT_F_reason, span_after(t, "Reason: "));
}

/* "Group <g> User <u> IP <1.2.3.4> ..." */
static void asa_vpn(struct format_ctx *c, struct sm_span t)
{
    struct scan u = scan_of(span_after(t, "User <")), g = scan_of(span_after(t, "Group <"));
    struct sm_span user = scan_until(&u, '>'), address = span_word_after(t, "IP <", ">");

    if (span_has(t, "session started") || span_has(t, "assigned to session"))
        put_login(c, EVENT_W_vpn, true, user, address);
    else if (span_has(t, "terminated") || span_has(t, "disconnected"))
        put_logout(c, EVENT_W_vpn, user, address);
    else if (span_has(t, "Authentication: rejected"))
        put_login(c, EVENT_W_vpn, false, user, address);
    else {
        source_words(c, 0, 0, EVENT_W_vpn);
        put(c, EVENT_F_username, user);
        put_address(c, EVENT_F_src_ip, EVENT_F_none, address);
    }
    put_named(c, SM_SPAN_STR("group"), EVENT_TEXT, scan_until(&g, '>'));
    put(c, EVENT_F_tunnel_ip, span_word_after(t, "IPv4 Address <", ">"));
}

/* "AAA user authentication Rejected : reason = Invalid password : local database : user = x : user IP = 1.2.3.4" */
static void asa_aaa(struct format_ctx *c, struct sm_span t)
{
    struct scan s = scan_of(span_after(t, ": user = "));
    struct sm_span user = span_trim(scan_until(&s, ':'));
    struct scan r = scan_of(span_after(t, "reason = "));

    put_login(c, EVENT_W_vpn, span_has(t, "Successful"), user, span_word_after(t, "user IP = ", ","));
    put(c, EVENT_F_reason, span_trim(scan_until(&r, ':')));
}

/* "Login denied from 1.2.3.4/5 to outside:5.6.7.8/ssh for user "root"" */
static void asa_admin(struct format_ctx *c, struct sm_span t)
{
    struct scan s = scan_of(span_after(t, "user \""));

    put_login(c, 0, span_has(t, "permitted"), scan_until(&s, '"'), span_word_after(t, "from ", ""));
    endpoint(c, span_word_after(t, " to ", ""), false);
}

static void asa_user(struct format_ctx *c, struct sm_span t)
{
    put_login(c, 0, span_has(t, "succeeded"), span_word_after(t, "Uname: ", ","), span_word_after(t, "IP address: ",
        ","));
}

/* "User 'admin' executed the 'no logging' command." */
static void asa_command(struct format_ctx *c, struct sm_span t)
{
    struct scan u = scan_of(span_after(t, "ser '")), k = scan_of(span_after(t, "executed the '"));

    source_words(c, 0, 0, EVENT_W_aaa);
    put(c, EVENT_F_username, scan_until(&u, '\''));
    put_str(c, EVENT_F_action, "command");
    put(c, EVENT_F_COMMAND, scan_until(&k, '\''));
}

static const struct { const char *number; void (*read)(struct format_ctx *, struct sm_span); bool firewall; } asa[] = {
    { "302013", asa_built, true }, { "302015", asa_built, true }, { "302014", asa_teardown, true },
    { "302016", asa_teardown, true },
    { "302020", asa_built, true }, { "302021", asa_teardown, true }, { "106023", asa_deny, true },
    { "106001", asa_deny, true },
    { "106006", asa_deny, true }, { "106007", asa_deny, true }, { "106014", asa_deny, true },
    { "106015", asa_deny, true },
    { "106021", asa_deny, true }, { "106100", asa_list, true }, { "113019", asa_session_end, false },
    { "113039", asa_vpn, false },
    { "722051", asa_vpn, false }, { "722022", asa_vpn, false }, { "722023", asa_vpn, false },
    { "716001", asa_vpn, false },
    { "716002", asa_vpn, false }, { "716038", asa_vpn, false }, { "716039", asa_vpn, false },
    { "722011", asa_vpn, false },
    { "722037", asa_vpn, false }, { "722055", asa_vpn, false }, { "113004", asa_aaa, false },
    { "113005", asa_aaa, false },
    { "113012", asa_aaa, false }, { "113015", asa_aaa, false }, { "605004", asa_admin, false },
    { "605005", asa_admin, false },
    { "611101", asa_user, false }, { "611102", asa_user, false }, { "111008", asa_command, false },
    { "111010", asa_command, false },
};

static void read_asa(struct format_ctx *c, const struct code *k, struct sm_span t)
{
    put(c, EVENT_F_msgid, k->mnemonic);
    source_words(c, 0, 0, EVENT_W_asa);
    for (size_t i = 0; i < sizeof asa / sizeof *asa; i++) {
        if (!span_is(k->mnemonic, asa[i].number))
            continue;
        if (asa[i].firewall)
            source_words(c, 0, EVENT_W_firewall, 0);
        asa[i].read(c, t);
        return;
    }
    if (span_has(t, "Group <") && span_has(t, "User <"))
        asa_vpn(c, t);
    else if (span_has(t, "incorrect") || span_has(t, "authentication failed"))
        put_login(c, 0, false, span_word_after(t, "Username = ", ","), span_word_after(t, "remote ", ")"));
}

/* ---- IOS ---- */

static struct sm_span bracket(struct sm_span t, const char *key)
{
    struct scan s = scan_of(span_after(t, key));

    return scan_until(&s, ']');
}

static void read_ios(struct format_ctx *c, const struct code *k, struct sm_span t)
{
    put(c, EVENT_F_msgid, k->all);
    source_words(c, 0, 0, EVENT_W_ios);
    if (span_is(k->facility, "SEC_LOGIN")) {
        put_login(c, 0, span_has(k->mnemonic, "SUCCESS"), bracket(t, "[user: "), bracket(t, "[Source: "));
        put_number(c, EVENT_F_dst_port, bracket(t, "[localport: "));
        put(c, EVENT_F_reason, bracket(t, "[Reason: "));
    /* list 102 denied tcp 10.0.6.56(3067) -> 172.36.4.7(139), 1 packet */
    } else if (span_starts(k->mnemonic, "IPACCESSLOG")) {
        struct scan s = scan_of(span_after(t, "list "));
        source_words(c, 0, EVENT_W_firewall, 0);
        put(c, EVENT_F_rule, scan_word(&s));
        put_str(c, EVENT_F_action, span_is(scan_word(&s), "permitted") ? "accept" : "deny");
        put_flow(c, t);
        put_number(c, EVENT_F_packets_in, span_word_after(t, "), ", ""));
    } else if (span_is(k->facility, "PARSER") || span_is(k->facility, "AAA")) {
        struct scan u = scan_of(span_after(t, "User:"));
        source_words(c, 0, 0, EVENT_W_aaa);
        put(c, EVENT_F_username, scan_word(&u));
        put(c, EVENT_F_COMMAND, span_after(t, "logged command:"));
    } else if (span_is(k->mnemonic, "CONFIG_I")) {
        put_str(c, EVENT_F_action, "config");
        put(c, EVENT_F_username, span_word_after(t, " by ", ""));
        put(c, EVENT_F_src_ip, span_word_after(t, " (", ")"));
    } else if (span_is(k->facility, "SSH") && span_has(k->mnemonic, "USERAUTH")) {
        struct scan u = scan_of(span_after(t, "User '"));
        put_login(c, 0, span_ends(t, "Succeeded"), scan_until(&u, '\''), span_word_after(t, " from ", ""));
    } else if (span_is(k->facility, "BGP") || span_is(k->facility, "LDP")) {
        source_words(c, 0, 0, event_names_add(c->names, SM_SPAN_STR(k->facility.p[0] == 'B' ? "bgp" : "ldp")));
    } else {
        (void)put_flow(c, t);
    }
}

static int read(struct format_ctx *c, struct sm_span text)
{
    struct scan s = scan_of(text);
    struct code k;

    if (!code(&s, &k))
        return -SM_EFORMAT;
    source_words(c, EVENT_W_cisco, 0, 0);
    if (c->e->severity == EVENT_NO_SEVERITY)
        c->e->severity = k.severity;
    if (span_is(k.facility, "ASA") || span_is(k.facility, "PIX") || span_is(k.facility, "FTD") || span_is(k.facility,
        "FWSM"))
        read_asa(c, &k, scan_rest(&s));
    else
        read_ios(c, &k, scan_rest(&s));
    if (!c->depth)
        put(c, EVENT_F_Message, text);
    return 0;
}

const struct format format_cisco = {
    .row = { "cisco", "シスコ ASA・IOS のログ", "logs of Cisco ASA and IOS" },
    .detect = detect, .read = read,
};
