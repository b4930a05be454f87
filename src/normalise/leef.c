/* LEEF 1.0 (tabs) and 2.0 (a separator of the sender's choice) of IBM QRadar. */
#include "normalise/flow.h"
#include "normalise/vendor.h"

static const struct { const char *key; uint16_t name; } keys[] = {
    { "src", EVENT_F_src_ip }, { "srcPort", EVENT_F_src_port }, { "dst", EVENT_F_dst_ip },
    { "dstPort", EVENT_F_dst_port },
    { "usrName", EVENT_F_username }, { "proto", EVENT_F_protocol }, { "srcBytes", EVENT_F_bytes_out },
    { "dstBytes", EVENT_F_bytes_in },
    { "srcPackets", EVENT_F_packets_out }, { "dstPackets", EVENT_F_packets_in }, { "action", EVENT_F_action },
    { "url", EVENT_F_c_uri },
    { "policy", EVENT_F_rule }, { "srcMAC", EVENT_F_mac }, { "msg", EVENT_F_Message }, { "reason", EVENT_F_reason },
};

/* "^", "x09", "0x5E": the separator of version 2. */
static char separator(struct sm_span s)
{
    struct scan t = scan_of(s);
    uint8_t byte;

    (void)scan_c(&t, '0');
    if ((scan_c(&t, 'x') || scan_c(&t, 'X')) && scan_left(&t) == 2 && sm_unhex((const char *)t.p, 2, &byte, 1) == 0 &&
        byte && byte < 0x80)
        return (char)byte;
    return s.n == 1 ? (char)s.p[0] : '\t';
}

static void attributes(struct format_ctx *c, struct scan s, char sep)
{
    while (s.p < s.end) {
        struct scan one = scan_of(scan_past(&s, sep));
        struct sm_span key = span_trim(scan_past(&one, '=')), v = span_trim(scan_rest(&one));
        struct when w;
        if (!key.n)
            continue;
        struct scan t = scan_of(v);
        if (span_is(key, "devTime") && when_any(&t, &w))
            when_set(c, &w);
        if (span_is(key, "identHostName") || span_is(key, "devName"))
            c->e->host = v;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            if (span_is(key, keys[i].key))
                put_number(c, keys[i].name, v);
        put_named(c, key, is_number(v) ? EVENT_NUMBER : EVENT_TEXT, v);
    }
}

static int read(struct format_ctx *c, struct sm_span text)
{
    struct scan s = scan_of(text);

    if (!scan_lit(&s, "LEEF:"))
        return -SM_EFORMAT;
    struct sm_span version = scan_past(&s, '|'), vendor = scan_past(&s, '|'), product = scan_past(&s, '|');
    (void)scan_past(&s, '|');
    struct sm_span id = scan_past(&s, '|');
    if (s.p == s.end || !vendor.n)
        return -SM_EFORMAT;
    char sep = '\t';
    if (span_starts(version, "2")) {
        struct scan t = s;
        struct sm_span given = scan_past(&t, '|');
        if (given.n <= 4 && !memchr(s.p, '=', given.n)) {
            sep = separator(given);
            s = t;
        }
    }
    vendor_words(c, vendor, product, id, id);
    attributes(c, s, sep);
    if (event_get(c->e, EVENT_F_src_ip) && event_get(c->e, EVENT_F_dst_ip) && !c->e->category)
        source_words(c, 0, EVENT_W_firewall, 0);
    if (!c->depth && !event_get(c->e, EVENT_F_Message))
        put(c, EVENT_F_Message, text);
    return 0;
}

static int detect(struct sm_span t)
{
    return span_starts(t, "LEEF:") && t.n > 12 && is_digit(t.p[5]) ? 97 : 0;
}

const struct format format_leef = { .row = { "leef", "LEEF 形式", "LEEF" }, .detect = detect, .read = read };
