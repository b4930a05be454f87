#include "journal/export.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

#include "core/time.h"

/* ---- JSON lines ---- */

static int text(struct sm_span s, struct sm_buf *to)
{
    static const char hex[] = "0123456789abcdef";
    int r = sm_buf_put_u8(to, '"');

    for (size_t i = 0; i < s.n && r >= 0; i++) {
        uint8_t c = s.p[i];
        if (c == '"' || c == '\\')
            r = sm_buf_put(to, (const uint8_t[]){ '\\', c }, 2);
        else if (c == '\n')
            r = sm_buf_put(to, "\\n", 2);
        else if (c < 0x20 || c == 0x7f)
            r = sm_buf_put(to, (const uint8_t[]){ '\\', 'u', '0', '0', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15] }, 6);
        else
            r = sm_buf_put_u8(to, c);
    }
    return r < 0 ? r : sm_buf_put_u8(to, '"');
}

int evexport_json(const struct event_names *names, const struct evsearch_hit *hit, struct sm_buf *ret)
{
    struct sm_buf event = SM_BUF_INIT(ret->max);
    struct sm_span raw = hit->event->raw;
    bool utf8 = sm_utf8_valid(raw);
    size_t was = ret->n;
    int r = event_json(hit->event, names, &event);

    if (r >= 0)
        r = sm_buf_printf(ret, "{\"@id\":%llu,\"@class\":%u", (unsigned long long)hit->id, hit->klass);
    if (r >= 0 && hit->rules.n)
        r = sm_buf_printf(ret, ",\"@rules\":");
    if (r >= 0 && hit->rules.n)
        r = text(hit->rules, ret);
    if (r >= 0 && event.n > 2)
        r = sm_buf_put_u8(ret, ',');
    if (r >= 0 && event.n > 2)
        r = sm_buf_put(ret, event.p + 1, event.n - 2);
    if (r >= 0)
        r = sm_buf_printf(ret, ",\"%s\":", utf8 ? "@raw" : "@raw_base64");
    if (r >= 0 && !utf8)
        r = sm_buf_put_u8(ret, '"');
    if (r >= 0)
        r = utf8 ? text(raw, ret) : sm_base64(raw, ret);
    if (r >= 0)
        r = sm_buf_printf(ret, utf8 ? "}" : "\"}");
    sm_buf_wipe(&event);
    if (r < 0)
        ret->n = was;
    return r < 0 ? r : 0;
}

/* ---- CSV ---- */

struct evexport_csv {
    char *field[EVEXPORT_FIELDS_MAX];
    size_t n;
    enum evexport_encoding encoding;
    int zone_s;
    bool ja;
    iconv_t to;
    uint64_t replaced;
    struct sm_buf line, cell;
};

void evexport_csv_free(struct evexport_csv *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        free(c->field[i]);
    if (c->to != (iconv_t)-1)
        (void)iconv_close(c->to);
    sm_buf_wipe(&c->line);
    sm_buf_wipe(&c->cell);
    free(c);
}

int evexport_csv_new(const char *const *fields, enum evexport_encoding encoding, int zone_s, bool ja,
    struct evexport_csv **ret)
{
    struct evexport_csv *c = calloc(1, sizeof *c);
    int r = 0;

    if (!c)
        return -ENOMEM;
    *c = (struct evexport_csv){ .encoding = encoding, .zone_s = zone_s, .ja = ja, .to = (iconv_t)-1 };
    for (; fields && fields[c->n] && !r; c->n++) {
        if (c->n == EVEXPORT_FIELDS_MAX) {
            r = -EINVAL;
            break;
        }
        c->field[c->n] = strdup(fields[c->n]);
        if (!c->field[c->n])
            r = -ENOMEM;
    }
    if (!r && encoding == EVEXPORT_CP932) {
        c->to = iconv_open("CP932", "UTF-8");
        r = c->to == (iconv_t)-1 ? -SM_EUNSUPPORTED : 0;
    }
    if (r < 0) {
        evexport_csv_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

uint64_t evexport_csv_replaced(const struct evexport_csv *c)
{
    return c->replaced;
}

/* The letter a spreadsheet sees first: blanks, and what is made one (a NUL), may stand before it, and the tags U+E0000 to U+E007F,
 * which iconv drops without a word. */
static struct sm_span from_first(struct sm_span s)
{
    for (;;) {
        size_t n = s.n && (*s.p <= ' ' || *s.p == 0x7f) ? 1 : s.n >= 4 && !memcmp(s.p, "\xf3\xa0", 2) && (s.p[2] == 0x80 || s.p[2] == 0x81) ? 4 : 0;
        if (!n)
            return s;
        s.p += n;
        s.n -= n;
    }
}

/* A number and nothing else: "-1+cmd|..." is none. */
static bool is_number(struct sm_span s)
{
    size_t digits = 0, points = 0;

    for (size_t i = s.n && s.p[0] == '-'; i < s.n; i++) {
        if (s.p[i] == '.')
            points++;
        else if (s.p[i] >= '0' && s.p[i] <= '9')
            digits++;
        else
            return false;
    }
    return digits && points <= 1;
}

/* Does a spreadsheet calculate this?  Japanese ones take the wide signs for the others. */
static bool is_formula(struct sm_span s)
{
    static const char *const wide[] = { "\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d", "\xef\xbc\xa0" }; /* = + - @ */

    if (s.n && (*s.p == '\t' || *s.p == '\r'))
        return true;
    s = from_first(s);
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (s.n >= 3 && !memcmp(s.p, wide[i], 3))
            return true;
    return s.n && (strchr("=+@", s.p[0]) || (s.p[0] == '-' && s.n > 1 && !is_number(s)));
}

static int cell(struct evexport_csv *c, struct sm_span s)
{
    int r = c->line.n && c->line.p[c->line.n - 1] != '\n' ? sm_buf_put_u8(&c->line, ',') : 0;

    if (r >= 0)
        r = sm_buf_put_u8(&c->line, '"');
    if (r >= 0 && is_formula(s))
        r = sm_buf_put_u8(&c->line, '\'');
    for (size_t i = 0; i < s.n && r >= 0; i++) {
        if (s.p[i] == '"')
            r = sm_buf_put_u8(&c->line, '"');
        if (r >= 0)
            r = sm_buf_put_u8(&c->line, s.p[i] ? s.p[i] : ' ');
    }
    return r < 0 ? r : sm_buf_put_u8(&c->line, '"');
}

/* The line in the encoding asked for. */
static int finish(struct evexport_csv *c, struct sm_buf *ret)
{
    char *in = (char *)c->line.p;
    size_t left = c->line.n;
    int r = 0;

    if (c->encoding != EVEXPORT_CP932)
        return sm_buf_put_span(ret, sm_buf_span(&c->line));
    while (left && r >= 0) {
        char out[4096], *to = out;
        size_t room = sizeof out;
        size_t e = iconv(c->to, &in, &left, &to, &room);
        if (e == (size_t)-1 && (errno == EILSEQ || errno == EINVAL) && room) {
            *to++ = '?';
            c->replaced++;
            do { /* the whole character */
                in++;
                left--;
            } while (left && ((uint8_t)*in & 0xc0) == 0x80);
        }
        r = sm_buf_put(ret, out, (size_t)(to - out));
    }
    return r;
}

int evexport_csv_head(struct evexport_csv *c, struct sm_buf *ret)
{
    static const char *const names[6][2] = { { "発生日時", "time" }, { "受信日時", "received" }, { "機器", "host" },
        { "送り手の番号", "source" }, { "形式", "format" }, { "合った規則", "rules" } };
    int r = c->encoding == EVEXPORT_UTF8_BOM ? sm_buf_put(ret, "\xef\xbb\xbf", 3) : 0;

    sm_buf_clear(&c->line);
    for (size_t i = 0; i < 6 && r >= 0; i++)
        r = cell(c, SM_SPAN_STR(names[i][c->ja ? 0 : 1]));
    for (size_t i = 0; i < c->n && r >= 0; i++)
        r = cell(c, SM_SPAN_STR(c->field[i]));
    if (r >= 0)
        r = cell(c, SM_SPAN_STR(c->ja ? "届いたままの記録" : "raw"));
    if (r >= 0)
        r = sm_buf_put(&c->line, "\r\n", 2);
    return r < 0 ? r : finish(c, ret);
}

static int moment(struct evexport_csv *c, struct event_time t)
{
    char at[SM_TIME_TEXT];

    sm_time_rfc3339((struct sm_time){ t.s + c->zone_s, t.ns }, at);
    for (char *p = at; *p; p++) /* as spreadsheets know it: local time, without zone */
        *p = *p == 'T' ? ' ' : *p == 'Z' ? 0 : *p;
    return cell(c, SM_SPAN_STR(at));
}

static int values(struct evexport_csv *c, const struct event_names *names, const struct event *e, const char *name)
{
    uint16_t number = event_names_find(names, SM_SPAN_STR(name));
    const struct event_field *f = number ? event_get(e, number) : NULL;
    int r = 0;

    sm_buf_clear(&c->cell);
    for (bool first = true; f && r >= 0; f = event_next(e, f), first = false) {
        r = first ? 0 : sm_buf_put_u8(&c->cell, '\n');
        if (r >= 0)
            r = sm_buf_put_span(&c->cell, event_value(f));
    }
    return r < 0 ? r : cell(c, sm_buf_span(&c->cell));
}

int evexport_csv_row(struct evexport_csv *c, const struct event_names *names, const struct evsearch_hit *hit,
    struct sm_buf *ret)
{
    const struct event *e = hit->event;
    char source[24];

    sm_buf_clear(&c->line);
    int r = moment(c, e->time);
    if (r >= 0)
        r = moment(c, e->seen);
    if (r >= 0)
        r = cell(c, e->host);
    snprintf(source, sizeof source, "%llu", (unsigned long long)e->source);
    if (r >= 0)
        r = cell(c, SM_SPAN_STR(source));
    if (r >= 0)
        r = cell(c, event_names_text(names, e->format));
    if (r >= 0)
        r = cell(c, hit->rules);
    for (size_t i = 0; i < c->n && r >= 0; i++)
        r = values(c, names, e, c->field[i]);
    if (r >= 0)
        r = cell(c, sm_utf8_valid(e->raw) ? e->raw : SM_SPAN("", 0)); /* its values were decoded: bytes of another encoding spoil the file */
    if (r >= 0)
        r = sm_buf_put(&c->line, "\r\n", 2);
    return r < 0 ? r : finish(c, ret);
}
