/* Web servers and proxies: access logs (common, combined, with a virtual host), error logs of Apache and nginx,
 * squid. */
#include "normalise/web.h"
#include "normalise/flow.h"

static struct sm_span unless_dash(struct sm_span s)
{
    return s.n == 1 && s.p[0] == '-' ? SM_SPAN(s.p, 0) : s;
}

void put_agent(struct format_ctx *c, struct sm_span agent)
{
    agent = unless_dash(agent);
    put(c, EVENT_F_cs_user_agent, agent);
    put(c, EVENT_F_c_useragent, agent);
}

void put_url(struct format_ctx *c, struct sm_span url)
{
    struct scan s = scan_of(url);
    const uint8_t *scheme = span_find(SM_SPAN(url.p, url.n < 16 ? url.n : 16), "://");

    if (!url.n)
        return;
    put(c, EVENT_F_c_uri, url);
    if (scheme || url.p[0] != '/') {
        s.p = scheme ? scheme + 3 : url.p;
        const uint8_t *from = s.p;
        while (s.p < s.end && *s.p != '/' && *s.p != '?' && *s.p != ':')
            s.p++;
        put(c, EVENT_F_cs_host, SM_SPAN(from, (size_t)(s.p - from)));
        while (s.p < s.end && *s.p != '/' && *s.p != '?')
            s.p++;
    }
    struct sm_span stem = scan_past(&s, '?'), query = scan_rest(&s);
    put(c, EVENT_F_cs_uri_stem, stem);
    put(c, EVENT_F_cs_uri_query, query);
    put(c, EVENT_F_c_uri_query, query);
    for (size_t i = stem.n; i-- > 0 && stem.p[i] != '/' && stem.n - i < 12;)
        if (stem.p[i] == '.') {
            put_named(c, SM_SPAN_STR("c-uri-extension"), EVENT_TEXT, SM_SPAN(stem.p + i + 1, stem.n - i - 1));
            return;
        }
}

/* Between quotes, \" inside; false when no quote begins here. */
static bool quoted(struct scan *s, struct sm_span *ret)
{
    scan_blank(s);
    if (!scan_c(s, '"'))
        return false;
    const uint8_t *from = s->p;
    while (s->p < s->end && *s->p != '"')
        s->p += *s->p == '\\' && s->p + 1 < s->end ? 2 : 1;
    *ret = SM_SPAN(from, (size_t)((s->p < s->end ? s->p : s->end) - from));
    if (s->p < s->end)
        s->p++;
    return true;
}

/* ---- access logs ---- */

struct access { struct sm_span host, client, user, request, status, bytes, referer, agent; struct when when; };

static bool read_access(struct sm_span text, struct access *a)
{
    struct scan s = scan_of(text);
    struct sm_span before[4] = { 0 };
    size_t n = 0;

    *a = (struct access){ 0 };
    while (n < 4 && scan_left(&s) && *s.p != '[') {
        before[n++] = scan_word(&s);
        scan_blank(&s);
    }
    if (n < 2 || n > 4 || !scan_c(&s, '[') || !when_clf(&s, &a->when))
        return false;
    (void)scan_past(&s, ']');
    if (!quoted(&s, &a->request))
        return false;
    a->host = n == 4 ? before[0] : SM_SPAN(text.p, 0);
    a->client = before[n == 4 ? 1 : 0];
    a->user = unless_dash(before[n - 1]);
    a->status = scan_word(&s);
    a->bytes = unless_dash(scan_word(&s));
    (void)quoted(&s, &a->referer);
    (void)quoted(&s, &a->agent);
    return a->client.n > 0;
}

static int detect_access(struct sm_span t)
{
    struct access a;

    if (t.n < 30 || !memchr(t.p, '[', t.n < 300 ? t.n : 300))
        return 0;
    return read_access(t, &a) ? 88 : 0;
}

static int read_access_line(struct format_ctx *c, struct sm_span text)
{
    struct access a;

    if (!read_access(text, &a))
        return -SM_EFORMAT;
    when_set(c, &a.when);
    uint16_t service = span_starts(c->program, "nginx") ? EVENT_W_nginx
        : span_starts(c->program, "apache") || span_starts(c->program, "httpd") ? EVENT_W_apache : 0;
    source_words(c, 0, EVENT_W_webserver, service);
    put(c, EVENT_F_c_ip, a.client);
    put(c, EVENT_F_src_ip, is_address(a.client) ? a.client : SM_SPAN("", 0));
    put(c, EVENT_F_cs_username, a.user);
    put(c, EVENT_F_username, a.user);
    struct scan r = scan_of(a.request);
    put(c, EVENT_F_cs_method, scan_word(&r));
    scan_blank(&r);
    /* The path may have blanks in it: what an attacker sends is no clean request. */
    struct sm_span url = scan_rest(&r);
    for (size_t i = url.n; i-- > 0;)
        if (url.p[i] == ' ' && span_starts(SM_SPAN(url.p + i + 1, url.n - i - 1), "HTTP/")) {
            put(c, EVENT_F_cs_version, SM_SPAN(url.p + i + 1, url.n - i - 1));
            url.n = i;
            break;
        }
    if (a.host.n) {
        struct scan h = scan_of(a.host);
        put(c, EVENT_F_cs_host, scan_until(&h, ':'));
    }
    put_url(c, url);
    put_number(c, EVENT_F_sc_status, a.status);
    put_number(c, EVENT_F_sc_bytes, a.bytes);
    put(c, EVENT_F_cs_referer, unless_dash(a.referer));
    put_agent(c, a.agent);
    return 0;
}

const struct format format_access = {
    .row = { "access", "ウェブサーバーの閲覧記録（Apache、nginx）", "access logs of Apache, nginx and others" },
    .detect = detect_access, .read = read_access_line,
};

/* ---- error logs ---- */

static const struct { const char *word; uint8_t severity; } levels[] = {
    { "emerg", 0 }, { "alert", 1 }, { "crit", 2 }, { "error", 3 }, { "warn", 4 }, { "notice", 5 }, { "info", 6 },
    { "debug", 7 },
    { "trace", 7 },
};

static bool level(struct sm_span word, uint8_t *ret)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (span_starts(word, levels[i].word)) {
            *ret = levels[i].severity;
            return true;
        }
    return false;
}

/* "[core:error]", "[error]": the part after the colon. */
static struct sm_span level_of(struct sm_span in)
{
    const uint8_t *colon = in.n ? memchr(in.p, ':', in.n) : NULL;

    return colon ? SM_SPAN(colon + 1, (size_t)(in.p + in.n - colon) - 1) : in;
}

struct error { struct when when; bool has_time, nginx; struct sm_span level, module, pid, client,
    text; uint8_t severity; };

static bool apache_error(struct sm_span t, struct error *r)
{
    struct scan s = scan_of(t);

    if (!scan_c(&s, '['))
        return false;
    r->has_time = when_ctime(&s, &r->when);
    if (r->has_time) {
        (void)scan_c(&s, ']');
        scan_blank(&s);
        if (!scan_c(&s, '['))
            return false;
    }
    struct sm_span in = scan_past(&s, ']');
    r->level = level_of(in);
    if (r->level.n < in.n)
        r->module = SM_SPAN(in.p, in.n - r->level.n - 1);
    if (!level(r->level, &r->severity))
        return false;
    for (;;) {
        scan_blank(&s);
        struct scan u = s;
        if (scan_lit(&u, "[pid "))
            r->pid = scan_past(&u, ']');
        else if (scan_lit(&u, "[client "))
            r->client = scan_past(&u, ']');
        else
            break;
        s = u;
    }
    r->text = scan_rest(&s);
    const uint8_t *at = span_find(SM_SPAN(r->text.p, r->text.n < 80 ? r->text.n : 80), "[client ");
    if (!r->client.n && at) { /* behind the system's reason: (13)Permission denied: [client 10.0.0.1:5] */
        struct scan u = { at + 8, r->text.p + r->text.n };
        r->client = scan_until(&u, ']');
    }
    return true;
}

static bool nginx_error(struct sm_span t, struct error *r)
{
    struct scan s = scan_of(t);

    if (t.n < 24 || t.p[4] != '/' || !when_iso(&s, &r->when))
        return false;
    r->has_time = r->nginx = true;
    scan_blank(&s);
    if (!scan_c(&s, '['))
        return false;
    r->level = scan_past(&s, ']');
    scan_blank(&s);
    struct scan u = s;
    uint64_t v;
    const uint8_t *from = u.p;
    if (!scan_uint(&u, 1, 10, &v) || (scan_peek(&u) != '#' && scan_peek(&u) != ':'))
        return false;
    r->pid = SM_SPAN(from, (size_t)(u.p - from));
    u.p++;
    (void)scan_uint(&u, 1, 10, &v);
    (void)scan_c(&u, ':');
    scan_blank(&u);
    r->severity = EVENT_NO_SEVERITY;
    (void)level(r->level, &r->severity);
    r->text = scan_rest(&u);
    r->client = span_word_after(r->text, "client: ", ",");
    return true;
}

static bool web_error(struct sm_span t, struct error *r)
{
    *r = (struct error){ 0 };
    return apache_error(t, r) || nginx_error(t, r);
}

static int detect_error(struct sm_span t)
{
    struct error r;

    return t.n > 8 && (t.p[0] == '[' || is_digit(t.p[0])) && web_error(t, &r) ? (r.has_time ? 80 : 45) : 0;
}

static int read_error(struct format_ctx *c, struct sm_span text)
{
    struct error r;

    if (!web_error(text, &r))
        return -SM_EFORMAT;
    if (r.has_time)
        when_set(c, &r.when);
    source_words(c, 0, EVENT_W_webserver, r.nginx ? EVENT_W_nginx : EVENT_W_apache);
    c->e->severity = r.severity;
    put_named(c, SM_SPAN_STR("level"), EVENT_TEXT, r.level);
    if (r.module.n)
        put_named(c, SM_SPAN_STR("module"), EVENT_TEXT, r.module);
    struct scan pid = scan_of(r.pid);
    put_number(c, EVENT_F_pid, scan_until(&pid, ':'));
    put_address(c, EVENT_F_src_ip, EVENT_F_src_port, r.client);
    struct scan s = scan_of(r.text);
    struct sm_span id = scan_until(&s, ':');
    if (id.n == 7 && span_starts(id, "AH") && is_digit(id.p[2]))
        put(c, EVENT_F_msgid, id);
    struct sm_span request = span_after(r.text, "request: \"");
    if (r.nginx && request.n) {
        struct scan q = scan_of(request);
        put(c, EVENT_F_cs_method, scan_word(&q));
        put_url(c, scan_word(&q));
    }
    if (span_has(r.text, "authentication failure") || span_has(r.text, "password mismatch") || span_has(r.text,
        "Password Mismatch"))
        put_login(c, 0, false, span_word_after(r.text, "user ", ":"), SM_SPAN("", 0));
    put(c, EVENT_F_Message, r.text);
    return 0;
}

const struct format format_weberror = {
    .row = { "weberror", "ウェブサーバーの異常の記録（Apache、nginx）", "error logs of Apache and nginx" },
    .detect = detect_error, .read = read_error,
};

/* ---- squid: "1794678067.603 310 192.168.0.68 TCP_MISS/200 10 GET http://x/ - HIER_DIRECT/1.2.3.4 text/html" ---- */

static int detect_squid(struct sm_span t)
{
    struct scan s = scan_of(t);
    struct when w;
    uint64_t ms;

    if (t.n < 40 || !is_digit(t.p[0]) || !when_epoch(&s, &w) || scan_peek(&s) != ' ')
        return 0;
    scan_blank(&s);
    if (!scan_uint(&s, 1, 10, &ms) || !is_address(scan_word(&s)))
        return 0;
    struct sm_span result = scan_word(&s);
    return result.n && memchr(result.p, '/', result.n) ? 85 : 0;
}

static int read_squid(struct format_ctx *c, struct sm_span text)
{
    struct scan s = scan_of(text);
    struct when w;

    if (!when_epoch(&s, &w))
        return -SM_EFORMAT;
    when_set(c, &w);
    source_words(c, 0, EVENT_W_proxy, EVENT_W_squid);
    put_number(c, EVENT_F_time_taken, scan_word(&s));
    struct sm_span client = scan_word(&s);
    put(c, EVENT_F_c_ip, client);
    put(c, EVENT_F_src_ip, client);
    struct scan r = scan_of(scan_word(&s));
    put(c, EVENT_F_action, scan_past(&r, '/'));
    put_number(c, EVENT_F_sc_status, scan_rest(&r));
    put_number(c, EVENT_F_sc_bytes, scan_word(&s));
    put(c, EVENT_F_cs_method, scan_word(&s));
    struct sm_span url = scan_word(&s);
    put_url(c, url);
    put_named(c, SM_SPAN_STR("cs-uri"), EVENT_TEXT, url);
    struct sm_span user = unless_dash(scan_word(&s));
    put(c, EVENT_F_cs_username, user);
    put(c, EVENT_F_username, user);
    struct scan h = scan_of(scan_word(&s));
    (void)scan_past(&h, '/');
    put(c, EVENT_F_dst_ip, is_address(scan_rest(&h)) ? scan_rest(&h) : SM_SPAN("", 0));
    return 0;
}

const struct format format_squid = {
    .row = { "squid", "プロキシー squid の記録", "access log of the proxy squid" },
    .detect = detect_squid, .read = read_squid,
};
