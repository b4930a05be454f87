/*
 * Syslog: RFC 3164 as devices really write it, and RFC 5424.  The head is read here; what it carries goes to
 * syslog_body.c.
 *
 * Of the head of RFC 3164 everything may be missing: priority, time, host, program.  A time may have a year, a
 * fraction, a
 * zone, or be ISO 8601; Cisco puts counters and * before it; routers send the bare text behind the priority.
 */
#include <errno.h>
#include "normalise/format.h"
#include "normalise/syslog.h"

enum { PRI_MAX = 191, TAG_MAX = 96, CISCO_HEAD_MAX = 200 };

static const char *const small_numbers[] = {
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
        "20", "21", "22",
    "23",
};

/* <13>: the priority, -1 if there is none; an impossible one is passed over. */
static int priority(struct scan *s)
{
    struct scan t = *s;
    uint64_t v;

    if (!scan_c(&t, '<') || !scan_uint(&t, 1, 3, &v) || !scan_c(&t, '>'))
        return -1;
    *s = t;
    return v <= PRI_MAX ? (int)v : -1;
}

static void put_priority(struct format_ctx *c, int pri)
{
    if (pri < 0)
        return;
    c->e->severity = (uint8_t)(pri & 7);
    put_any(c, EVENT_F_facility, EVENT_NUMBER, SM_SPAN_STR(small_numbers[pri >> 3]));
    put_any(c, EVENT_F_severity, EVENT_NUMBER, SM_SPAN_STR(small_numbers[pri & 7]));
}

static bool tag_byte(uint8_t ch)
{
    return is_digit(ch) || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') || ch >= 0x80 || (ch && strchr("_./()@+-", ch));
}

/* program: / program[123]: / program[123] ; s stands at the text behind it. */
static bool tag(struct scan *s, struct sm_span *ret_program, struct sm_span *ret_pid)
{
    struct scan t = *s;
    const uint8_t *from = t.p;

    while (t.p < t.end && t.p - from < TAG_MAX && tag_byte(*t.p))
        t.p++;
    struct sm_span program = SM_SPAN(from, (size_t)(t.p - from)), pid = SM_SPAN(t.p, 0);
    if (!program.n)
        return false;
    if (scan_c(&t, '[')) {
        pid = scan_until(&t, ']');
        if (!scan_c(&t, ']') || pid.n > 20 || !pid.n || !is_digit(pid.p[0]))
            return false;
        if (!scan_c(&t, ':') && scan_peek(&t) != ' ')
            return false;
    } else if (!scan_c(&t, ':') || (t.p < t.end && *t.p != ' ' && *t.p != '\t')) {
        return false;
    }
    (void)scan_c(&t, ' ');
    *s = t;
    *ret_program = program;
    *ret_pid = pid;
    return true;
}

/* 45: or 000045: before the time; not an hour. */
static void counter(struct scan *s)
{
    struct scan t = *s;
    uint64_t v;

    if (scan_uint(&t, 1, 10, &v) && scan_c(&t, ':') && scan_c(&t, ' ')) {
        scan_blank(&t);
        *s = t;
    }
}

/* Cisco marks clocks that are not set (*) or have lost their source (.). */
static bool any_time(struct scan *s, struct when *w, bool *ret_unset)
{
    struct scan t = *s;

    bool unset = scan_peek(&t) == '*';
    if (unset || scan_peek(&t) == '.')
        t.p++;
    if (!when_bsd(&t, w) && !when_iso(&t, w) && !when_ctime(&t, w))
        return false;
    *ret_unset |= unset;
    *s = t;
    return true;
}

/* What may be a host: no colon at its end (that is a program), no key=value, no % of a Cisco code. */
static bool host(struct scan *s, struct sm_span *ret)
{
    struct scan t = *s;
    struct sm_span w = scan_word(&t);
    struct scan behind = t;

    if (!w.n || w.n > 255 || memchr("%[{<\"", w.p[0], 5) || memchr(w.p, '=', w.n))
        return false;
    scan_blank(&behind);
    if (scan_lit(&behind, ": %") || scan_lit(&behind, ": date=")) { /* "asa01 : %ASA-6-..." */
        t.p = behind.p - (behind.p[-1] == '%' ? 1 : 5);
    } else if (w.p[w.n - 1] == ':') {
        if (scan_peek(&behind) != '%' || w.n < 2)
            return false;
        w.n--;
    } else if (w.p[w.n - 1] == ']' || t.p == t.end) {
        return false;
    }
    scan_blank(&t);
    *s = t;
    *ret = w;
    return true;
}

/* Routers begin their text with what looks like a program: "PP[01] Rejected ...", "IKE.082: ...". */
static bool of_a_router(const struct scan *s)
{
    struct sm_span rest = scan_rest(s);

    return format_yamaha.detect(rest) > 0 || format_nec.detect(rest) > 0;
}

/* Cisco, with logging origin-id: "router1: *Mar  1 00:00:01: %..." */
static bool host_and_time(struct scan *s, struct sm_span *ret_host, struct when *ret_when, bool *ret_unset)
{
    struct scan t = *s;
    struct sm_span w = scan_word(&t);

    if (w.n < 2 || w.p[w.n - 1] != ':' || !tag_byte(w.p[0]))
        return false;
    scan_blank(&t);
    counter(&t);
    if (!any_time(&t, ret_when, ret_unset))
        return false;
    *ret_host = SM_SPAN(w.p, w.n - 1);
    *s = t;
    return true;
}

struct head { int pri; bool has_time, unset; struct when when; struct sm_span host, program, pid, body; };

/* How long a device is up: "2y10w", "1d02h", "3w4d", "00:01:15". */
static bool is_uptime(struct sm_span w)
{
    bool unit = false;

    for (size_t i = 0; i < w.n; i++) {
        if (!is_digit(w.p[i]) && !memchr("ywdh:", w.p[i], 5))
            return false;
        unit |= !is_digit(w.p[i]);
    }
    return unit && is_digit(w.p[0]);
}

/* Where a code of Cisco begins among the first bytes; the end when there is none. */
static const uint8_t *cisco_code(const struct scan *s)
{
    struct scan t = { s->p, scan_left(s) < CISCO_HEAD_MAX ? s->end : s->p + CISCO_HEAD_MAX };

    for (; t.p < t.end; t.p++) {
        (void)scan_until(&t, '%');
        if (t.p < t.end && format_cisco.detect(SM_SPAN(t.p, (size_t)(s->end - t.p))) > 0)
            return t.p;
    }
    return s->end;
}

/*
 * Before Cisco's code, each of them or none: the time and address of a relay, the number of the message, the name of the device
 * (origin-id), its own count, its clock or how long it is up.  What stands last counts.  False: something else stands there.
 */
static bool cisco_head(struct scan s, struct head *h)
{
    const uint8_t *code = cisco_code(&s);
    struct head to = { .pri = h->pri };
    struct scan t = { s.p, code };
    uint64_t v;

    if (code == s.end)
        return false;
    for (unsigned words = 0;;) {
        scan_blank(&t);
        if (t.p == t.end)
            break;
        struct scan number = t;
        if (scan_c(&t, ':') || (scan_uint(&number, 1, 10, &v) && scan_c(&number, ':') && scan_peek(&number) == ' ')) {
            t = number.p > t.p ? number : t;
            continue;
        }
        if (any_time(&t, &to.when, &to.unset)) {
            to.has_time = true;
            continue;
        }
        struct sm_span w = scan_word(&t);
        if (w.n > 1 && w.p[w.n - 1] == ':')
            w.n--;
        if (++words > 3 || !tag_byte(w.p[0]) || memchr(w.p, '=', w.n) || w.n > 255)
            return false;
        if (!to.host.n || !is_uptime(w))
            to.host = w;
    }
    to.body = SM_SPAN(code, (size_t)(s.end - code));
    *h = to;
    return true;
}

static void read_head(struct scan s, struct head *h)
{
    *h = (struct head){ .pri = priority(&s) };
    scan_blank(&s);
    if (cisco_head(s, h))
        return;
    counter(&s);
    h->has_time = any_time(&s, &h->when, &h->unset) || host_and_time(&s, &h->host, &h->when, &h->unset);
    if (h->has_time) {
        (void)scan_c(&s, ':');
        scan_blank(&s);
        if (!of_a_router(&s) && !tag(&s, &h->program, &h->pid) && !h->host.n && host(&s, &h->host) && !of_a_router(&s))
            (void)tag(&s, &h->program, &h->pid);
    } else if (!of_a_router(&s)) {
        (void)tag(&s, &h->program, &h->pid);
    }
    h->body = scan_rest(&s);
}

static int read_3164(struct format_ctx *c, struct scan s)
{
    struct head h;

    read_head(s, &h);
    if (h.pri < 0 && !h.has_time && !h.program.n)
        return -SM_EFORMAT;
    put_priority(c, h.pri);
    if (h.has_time && !h.unset) /* a clock that was never set says nothing: the time it came stands */
        when_set(c, &h.when);
    if (h.host.n)
        c->e->host = h.host;
    put(c, EVENT_F_hostname, h.host);
    put(c, EVENT_F_program, h.program);
    put_number(c, EVENT_F_pid, h.pid);
    c->program = h.program;
    return syslog_body(c, h.body);
}

/* ---- RFC 5424 ---- */

static struct sm_span unless_nil(struct sm_span s)
{
    return s.n == 1 && s.p[0] == '-' ? SM_SPAN(s.p, 0) : s;
}

/* A value with \" \\ \] taken back; borrowed when there are none. */
static struct sm_span sd_value(struct format_ctx *c, struct scan *s)
{
    const uint8_t *from = s->p;
    size_t escapes = 0, n = 0;

    for (; s->p < s->end && *s->p != '"'; s->p++)
        if (*s->p == '\\' && s->p + 1 < s->end && memchr("\"\\]", s->p[1], 3)) {
            s->p++;
            escapes++;
        }
    struct sm_span r = SM_SPAN(from, (size_t)(s->p - from));
    if (!escapes)
        return r;
    uint8_t *to = event_room(c->e, r.n);
    if (!to) {
        c->e->notes |= EVENT_CUT;
        return SM_SPAN(from, 0);
    }
    for (size_t i = 0; i < r.n; i++) {
        if (r.p[i] == '\\' && i + 1 < r.n && memchr("\"\\]", r.p[i + 1], 3))
            i++;
        to[n++] = r.p[i];
    }
    return SM_SPAN(to, n);
}

static void sd_param(struct format_ctx *c, struct sm_span id, struct sm_span key, struct sm_span value)
{
    uint8_t name[EVENT_NAME_MAX];
    bool windows = span_starts(id, "NXLOG@");

    if (windows) {
        source_words(c, EVENT_W_windows, 0, 0);
        put_named(c, key, is_number(value) ? EVENT_NUMBER : EVENT_TEXT, value);
        return;
    }
    if (id.n + 1 + key.n > sizeof name) {
        put_named(c, SM_SPAN("", 0), EVENT_TEXT, value);
        return;
    }
    memcpy(name, id.p, id.n);
    name[id.n] = '.';
    memcpy(name + id.n + 1, key.p, key.n);
    put_named(c, SM_SPAN(name, id.n + 1 + key.n), EVENT_TEXT, value);
}

/* [id key="value" ...][...] or -; false when it breaks off or is none. */
static bool structured(struct format_ctx *c, struct scan *s)
{
    if (scan_c(s, '-'))
        return s->p == s->end || *s->p == ' ';
    if (scan_peek(s) != '[')
        return false;
    while (scan_c(s, '[')) {
        const uint8_t *from = s->p;
        while (s->p < s->end && *s->p != ' ' && *s->p != ']')
            s->p++;
        struct sm_span id = SM_SPAN(from, (size_t)(s->p - from));
        while (!scan_c(s, ']')) {
            scan_blank(s);
            if (scan_c(s, ']'))
                break;
            struct sm_span key = scan_past(s, '=');
            if (!scan_c(s, '"'))
                return false;
            struct sm_span value = sd_value(c, s);
            if (!scan_c(s, '"'))
                return false;
            sd_param(c, id, key, value);
        }
    }
    return true;
}

/* "<13>1 " and a time or "-" */
static bool is_5424(struct scan *s)
{
    struct scan t = *s;

    if (!scan_c(&t, '1') || !scan_c(&t, ' '))
        return false;
    if (scan_left(&t) < 2 || !(is_digit(*t.p) || (*t.p == '-' && t.p[1] == ' ')))
        return false;
    *s = t;
    return true;
}

static int read_5424(struct format_ctx *c, struct scan s, int pri)
{
    struct when w;
    struct scan time = scan_of(scan_past(&s, ' '));

    put_priority(c, pri);
    if (when_iso(&time, &w))
        when_set(c, &w);
    struct sm_span host_name = unless_nil(scan_past(&s, ' ')), app = unless_nil(scan_past(&s, ' ')),
        pid = unless_nil(scan_past(&s, ' '));
    c->e->host = host_name.n ? host_name : c->e->host;
    put(c, EVENT_F_hostname, host_name);
    put(c, EVENT_F_program, app);
    put_number(c, EVENT_F_pid, pid);
    put(c, EVENT_F_msgid, unless_nil(scan_past(&s, ' ')));
    c->program = app;
    struct scan sd = s;
    if (structured(c, &sd)) {
        (void)scan_c(&sd, ' ');
        s = sd;
    }
    (void)scan_lit(&s, "\xef\xbb\xbf");
    return syslog_body(c, scan_rest(&s));
}

static int read(struct format_ctx *c, struct sm_span text)
{
    struct scan s = scan_of(text), t = s;
    int pri = priority(&t);

    if (pri >= 0 && is_5424(&t))
        return read_5424(c, t, pri);
    return read_3164(c, s);
}

static int detect(struct sm_span text)
{
    struct scan s = scan_of(text), t = s;
    struct head h;

    if (text.n < 4)
        return 0;
    if (scan_c(&t, '<') && is_digit(scan_peek(&t)))
        return priority(&s) >= 0 || scan_peek(&s) != '<' ? 95 : 0;
    /* Without priority: a time at least, and a program or Cisco's sign behind it. */
    if (!memchr("*.JFMASOND0123456789", text.p[0], 20) && !((text.p[0] | 0x20) >= 'a' && (text.p[0] | 0x20) <= 'z'))
        return text.p[0] == '%' ? 40 : 0;
    read_head(s, &h);
    if (h.has_time && h.program.n)
        return 70;
    if (h.has_time && h.host.n && (span_starts(h.body, "%") || span_starts(h.body, "last message repeated")))
        return 70;
    if (h.has_time && !is_digit(text.p[0]))
        return 30;
    return !h.has_time && h.program.n && h.pid.n ? 35 : 0;
}

const struct format format_syslog = {
    .row = { "syslog", "シスログ（RFC 3164、RFC 5424）", "syslog, RFC 3164 and RFC 5424" },
    .detect = detect, .read = read,
};
