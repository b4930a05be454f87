/* CEF (ArcSight): CEF:0|vendor|product|version|event class|name|severity|key=value ... ; values may hold blanks. */
#include "normalise/flow.h"
#include "normalise/vendor.h"

static const struct { const char *key; uint16_t name; } keys[] = {
    { "src", EVENT_F_src_ip }, { "spt", EVENT_F_src_port }, { "dst", EVENT_F_dst_ip }, { "dpt", EVENT_F_dst_port },
    { "suser", EVENT_F_username }, { "duser", EVENT_F_target_user }, { "act", EVENT_F_action },
    { "proto", EVENT_F_protocol },
    { "in", EVENT_F_bytes_in }, { "out", EVENT_F_bytes_out }, { "request", EVENT_F_c_uri },
    { "requestMethod", EVENT_F_cs_method },
    { "requestClientApplication", EVENT_F_c_useragent }, { "msg", EVENT_F_Message }, { "outcome", EVENT_F_outcome },
    { "reason", EVENT_F_reason }, { "fname", EVENT_F_Filename }, { "filePath", EVENT_F_TargetFilename },
    { "fileHash", EVENT_F_Hashes },
    { "shost", EVENT_F_SourceHostname }, { "sproc", EVENT_F_Image }, { "smac", EVENT_F_mac },
    { "app", EVENT_F_ServiceName },
    { "deviceInboundInterface", EVENT_F_interface_in }, { "deviceOutboundInterface", EVENT_F_interface_out },
};

/* Up to an unescaped '|'; \| and \\ are taken back. */
static bool part(struct format_ctx *c, struct scan *s, struct sm_span *ret)
{
    const uint8_t *from = s->p;

    while (s->p < s->end && *s->p != '|')
        s->p += *s->p == '\\' && s->p + 1 < s->end ? 2 : 1;
    if (s->p >= s->end)
        return false;
    *ret = unescaped(c, SM_SPAN(from, (size_t)(s->p - from)));
    s->p++;
    return true;
}

static bool key_byte(uint8_t ch)
{
    return is_digit(ch) || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') || ch == '_' || ch == '.' || ch == '-' ||
        ch == '[' || ch == ']';
}

/* Where the value that begins at s ends: before " key=" or at the end.  An escaped '=' begins no key. */
static struct sm_span value(struct scan *s)
{
    const uint8_t *from = s->p, *blank = NULL;

    for (; s->p < s->end; s->p++) {
        if (*s->p == '\\' && s->p + 1 < s->end) {
            s->p++;
            blank = NULL;
        } else if (*s->p == ' ') {
            blank = s->p;
        } else if (*s->p == '=' && blank && blank + 1 < s->p) {
            s->p = blank + 1;
            return span_trim(SM_SPAN(from, (size_t)(blank - from)));
        } else if (!key_byte(*s->p)) {
            blank = NULL;
        }
    }
    return span_trim(SM_SPAN(from, (size_t)(s->end - from)));
}

enum { LABELS_MAX = 16 };
struct labelled { struct sm_span key, label, value; };

/* cs1Label=Rule cs1=... : the label is the name.  Either may come first. */
static bool label(struct labelled *l, size_t *n, struct sm_span key, struct sm_span v)
{
    bool is_label = span_ends(key, "Label");
    struct sm_span base = is_label ? SM_SPAN(key.p, key.n - 5) : key;
    bool custom = base.n >= 3 && is_digit(base.p[base.n - 1]) && (base.p[0] == 'c' || base.p[0] == 'd' ||
        base.p[0] == 'f');

    if (!custom)
        return false;
    for (size_t i = 0; i <= *n && i < LABELS_MAX; i++) {
        if (i < *n && !sm_span_eq(l[i].key, base))
            continue;
        if (i == *n)
            l[(*n)++] = (struct labelled){ .key = base };
        *(is_label ? &l[i].label : &l[i].value) = v;
        return true;
    }
    return false;
}

static void put_labelled(struct format_ctx *c, const struct labelled *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!l[i].value.n)
            continue;
        put_named(c, l[i].label.n ? l[i].label : l[i].key, EVENT_TEXT, l[i].value);
        if (span_has(l[i].label, "irus") || span_has(l[i].label, "hreat") || span_has(l[i].label, "alware")) {
            source_words(c, 0, EVENT_W_antivirus, 0);
            put(c, EVENT_F_Signature, l[i].value);
        }
    }
}

static void extension(struct format_ctx *c, struct scan s)
{
    struct labelled labels[LABELS_MAX];
    size_t n = 0;
    struct when w;
    bool timed = false;

    while (s.p < s.end) {
        scan_blank(&s);
        struct sm_span key = scan_past(&s, '=');
        if (s.p == s.end && !key.n)
            break;
        struct sm_span v = unescaped(c, value(&s));
        if (label(labels, &n, key, v))
            continue;
        uint16_t name = 0;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            if (span_is(key, keys[i].key))
                name = keys[i].name;
        struct scan t = scan_of(v);
        if (!timed && (span_is(key, "rt") || span_is(key, "end") || span_is(key, "start")) && when_any(&t, &w)) {
            when_set(c, &w);
            timed = span_is(key, "rt");
        }
        if (span_is(key, "dvchost") || span_is(key, "deviceHostName"))
            c->e->host = v;
        if (name)
            put_number(c, name, v);
        put_named(c, key, is_number(v) ? EVENT_NUMBER : EVENT_TEXT, v);
    }
    put_labelled(c, labels, n);
}

static int read(struct format_ctx *c, struct sm_span text)
{
    struct scan s = scan_of(text);
    struct sm_span vendor, product, version, id, name, severity;

    if (!scan_lit(&s, "CEF:") || !part(c, &s, &version) || !part(c, &s, &vendor) || !part(c, &s, &product) || !part(c,
        &s, &version) ||
        !part(c, &s, &id) || !part(c, &s, &name) || !part(c, &s, &severity))
        return -SM_EFORMAT;
    vendor_words(c, vendor, product, id, name);
    put_named(c, SM_SPAN_STR("device_severity"), EVENT_TEXT, severity);
    extension(c, s);
    if (event_get(c->e, EVENT_F_src_ip) && event_get(c->e, EVENT_F_dst_ip) && event_get(c->e, EVENT_F_action) &&
        !c->e->category)
        source_words(c, 0, EVENT_W_firewall, 0);
    if (!event_get(c->e, EVENT_F_Message))
        put(c, EVENT_F_Message, name);
    return 0;
}

static int detect(struct sm_span t)
{
    return span_starts(t, "CEF:") && t.n > 12 && is_digit(t.p[4]) ? 97 : 0;
}

const struct format format_cef = { .row = { "cef", "CEF 形式", "CEF" }, .detect = detect, .read = read };
