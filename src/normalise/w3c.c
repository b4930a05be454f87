/*
 * Logs with a head of columns in the W3C form: IIS, the Windows firewall, Exchange and others.  "#Fields: ..." is
 * kept in the
 * stream's state; lines of IIS without a head are read by the place of their method.
 */
#include "normalise/web.h"

static const struct { const char *name; uint16_t field; } known[] = {
    { "cs(User-Agent)", EVENT_F_cs_user_agent }, { "cs(Referer)", EVENT_F_cs_referer }, { "cs(Host)", EVENT_F_cs_host },
    { "src-ip", EVENT_F_src_ip }, { "dst-ip", EVENT_F_dst_ip }, { "src-port", EVENT_F_src_port },
    { "dst-port", EVENT_F_dst_port },
    { "client-ip", EVENT_F_src_ip }, { "server-ip", EVENT_F_dst_ip },
};

enum { KIND_VALUE, KIND_DATE, KIND_TIME, KIND_DATETIME, KIND_AGENT, KIND_STEM };

static uint8_t kind_of(struct sm_span name)
{
    return span_is(name, "date") ? KIND_DATE : span_is(name, "time") ? KIND_TIME : span_is(name,
        "date-time") ? KIND_DATETIME
        : span_is(name, "cs(User-Agent)") ? KIND_AGENT : span_is(name, "cs-uri-stem") ? KIND_STEM : KIND_VALUE;
}

extern const struct format format_w3c;

static void read_head(struct format_ctx *c, struct sm_span list)
{
    struct columns *h = &c->state->columns;
    bool comma = list.n && memchr(list.p, ',', list.n);

    *h = (struct columns){ .of = &format_w3c, .sep = comma ? ',' : ' ' };
    struct scan s = scan_of(list);
    while (h->n < COLUMNS_MAX) {
        scan_blank(&s);
        if (s.p == s.end)
            break;
        struct sm_span name = comma ? scan_past(&s, ',') : scan_word(&s);
        uint16_t field = 0;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (span_is(name, known[i].name))
                field = known[i].field;
        h->name[h->n] = field ? field : event_names_add(c->names, name);
        h->kind[h->n++] = kind_of(name);
    }
    if (span_has(list, "cs-method") || span_has(list, "cs-uri-stem")) {
        h->category = EVENT_W_webserver;
        h->service = EVENT_W_iis;
    } else if (span_has(list, "src-ip") && span_has(list, "action")) {
        h->category = EVENT_W_firewall;
    }
    h->product = EVENT_W_windows;
}

static void time_of(struct format_ctx *c, struct sm_span date, struct sm_span time, bool utc)
{
    char text[48];
    struct when w;

    if (!date.n || date.n > 20 || time.n > 20)
        return;
    memcpy(text, date.p, date.n);
    text[date.n] = ' ';
    if (time.n)
        memcpy(text + date.n + 1, time.p, time.n);
    struct scan s = scan_of(SM_SPAN(text, date.n + 1 + time.n));
    if (!when_iso(&s, &w))
        return;
    if (utc && !w.has_zone) {
        w.has_zone = true;
        w.zone_s = 0;
    }
    when_set(c, &w);
}

static void value(struct format_ctx *c, const struct columns *h, size_t i, struct sm_span v)
{
    if (!v.n || (v.n == 1 && v.p[0] == '-'))
        return;
    if (h->kind[i] == KIND_AGENT)
        put_agent(c, v);
    else
        put_number(c, h->name[i], v);
    if (h->name[i] == EVENT_F_c_ip)
        put(c, EVENT_F_src_ip, v);
    if (h->name[i] == EVENT_F_cs_username)
        put(c, EVENT_F_username, v);
}

static int read_columns(struct format_ctx *c, struct sm_span text)
{
    const struct columns *h = &c->state->columns;
    struct scan s = scan_of(text);
    struct sm_span date = { 0 }, time = { 0 };

    for (size_t i = 0; i < h->n && s.p < s.end; i++) {
        struct sm_span v = h->sep == ',' ? scan_past(&s, ',') : scan_past(&s, ' ');
        if (h->kind[i] == KIND_DATE || h->kind[i] == KIND_DATETIME)
            date = v;
        else if (h->kind[i] == KIND_TIME)
            time = v;
        else
            value(c, h, i, v);
    }
    source_words(c, h->product, h->category, h->service);
    struct scan whole = scan_of(date);
    struct when w;
    if (!time.n && when_iso(&whole, &w))
        when_set(c, &w);
    else /* IIS writes UTC, the firewall the machine's time */
        time_of(c, date, time, h->category != EVENT_W_firewall);
    return 0;
}

static bool method(struct sm_span w)
{
    static const char *const all[] = { "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PROPFIND", "TRACE",
        "CONNECT", "PATCH" };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (span_is(w, all[i]))
            return true;
    return false;
}

enum { WORDS_MAX = 24 };

static size_t words(struct sm_span text, struct sm_span *ret)
{
    struct scan s = scan_of(text);
    size_t n = 0;

    while (n < WORDS_MAX && s.p < s.end)
        ret[n++] = scan_past(&s, ' ');
    return n;
}

/* date time [site computer] s-ip method stem query port user c-ip [version] agent ... status sub-status
 * win32-status [ms] */
static int read_headless(struct format_ctx *c, struct sm_span text)
{
    struct sm_span w[WORDS_MAX];
    size_t n = words(text, w), m = 0;

    while (m < n && m < 7 && !method(w[m]))
        m++;
    if (m < 3 || m + 8 > n || !method(w[m]))
        return -SM_EFORMAT;
    const struct { size_t at; uint16_t name; } fixed[] = {
        { m - 1, EVENT_F_s_ip }, { m, EVENT_F_cs_method }, { m + 1, EVENT_F_cs_uri_stem },
        { m + 2, EVENT_F_cs_uri_query },
        { m + 3, EVENT_F_s_port }, { m + 4, EVENT_F_cs_username }, { m + 5, EVENT_F_c_ip }, { m + 5, EVENT_F_src_ip },
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (!span_is(w[fixed[i].at], "-"))
            put_number(c, fixed[i].name, w[fixed[i].at]);
    size_t agent = m + 6;
    if (span_starts(w[agent], "HTTP/"))
        put(c, EVENT_F_cs_version, w[agent++]);
    if (agent < n)
        put_agent(c, w[agent]);
    for (size_t i = agent + 1; i < n; i++)
        if (w[i].n == 3 && w[i].p[0] >= '1' && w[i].p[0] <= '5' && is_number(w[i])) {
            put_number(c, EVENT_F_sc_status, w[i]);
            break;
        }
    source_words(c, EVENT_W_windows, EVENT_W_webserver, EVENT_W_iis);
    time_of(c, w[0], w[1], true);
    return 0;
}

static int read(struct format_ctx *c, struct sm_span text)
{
    struct scan s = scan_of(text);

    if (scan_c(&s, '#')) {
        if (scan_lit(&s, "Fields:") && c->state)
            read_head(c, scan_rest(&s));
        return FORMAT_NOTHING;
    }
    if (c->state && c->state->columns.of == &format_w3c)
        return read_columns(c, text);
    return read_headless(c, text);
}

static int detect(struct sm_span t)
{
    struct sm_span w[WORDS_MAX];
    struct scan s = scan_of(t);
    struct when when;

    if (t.n > 4 && t.p[0] == '#')
        return span_starts(t, "#Fields:") || span_starts(t, "#Software:") || span_starts(t, "#Version:") ||
            span_starts(t, "#Date:") ? 95 : 0;
    if (t.n < 30 || !is_digit(t.p[0]) || t.p[4] != '-' || !when_iso(&s, &when))
        return 0;
    size_t n = words(t, w);
    for (size_t m = 3; m < 7 && m < n; m++)
        if (method(w[m]) && m + 8 <= n)
            return 78;
    return 5; /* with a head before it, it is one */
}

const struct format format_w3c = {
    .row = { "w3c", "列の見出しのある記録（IIS、Windows ファイアウォール）", "logs with W3C heads: IIS, Windows firewall" },
    .detect = detect, .read = read,
};
