#include "normalise/normalise.h"

#include <errno.h>
#include <stdlib.h>
#include "normalise/decode.h"
#include "normalise/formats.h"
#include "normalise/json.h"
#include "normalise/syslog.h"
#include "normalise/windows.h"

extern const char normalise_mapping_text[]; /* made of rules/mappings/csv.json when built */

struct normalise {
    struct event_names *names;
    struct decoders decoders;
    uint16_t word[FORMATS];     /* the rows' names in the table of names */
    struct windows *windows;
    struct normalise_map *map;  /* of rules/mappings/csv.json */
};

#define X(name) extern const struct format format_##name;
NORMALISE_FORMATS(X)
#undef X

static const struct format *const formats[FORMATS] = {
#define X(name) &format_##name,
    NORMALISE_FORMATS(X)
#undef X
};

static const struct format *format_named(const char *name)
{
    for (size_t i = 0; name && i < FORMATS; i++)
        if (!strcmp(formats[i]->row.name, name))
            return formats[i];
    return NULL;
}

bool normalise_knows_format(const char *name)
{
    return format_named(name) != NULL;
}

const struct normalise_row *normalise_row(size_t i)
{
    return i < FORMATS ? &formats[i]->row : NULL;
}

int normalise_new(struct event_names *names, struct normalise **ret)
{
    struct normalise *n = calloc(1, sizeof *n);

    if (!n)
        return -ENOMEM;
    int r = decoders_init(&n->decoders);
    if (r < 0) {
        free(n);
        return r;
    }
    n->names = names;
    for (size_t i = 0; i < FORMATS; i++)
        n->word[i] = event_names_add(names, SM_SPAN_STR(formats[i]->row.name));
    r = windows_new(names, &n->windows);
    if (r >= 0)
        r = normalise_map_parse(names, SM_SPAN_STR(normalise_mapping_text), &n->map, NULL);
    if (r < 0) {
        normalise_free(n);
        return r;
    }
    *ret = n;
    return 0;
}

void normalise_free(struct normalise *n)
{
    if (!n)
        return;
    decoders_wipe(&n->decoders);
    normalise_map_free(n->map);
    windows_free(n->windows);
    free(n);
}

struct windows *windows_of(const struct normalise *n)
{
    return n->windows;
}

const struct normalise_map *builtin_map(const struct normalise *n)
{
    return n->map;
}

struct normalise_state *normalise_state_new(void)
{
    return calloc(1, sizeof(struct normalise_state));
}

void normalise_state_free(struct normalise_state *s)
{
    for (size_t i = 0; s && i < GROUPS_MAX; i++)
        free(s->groups[i]);
    free(s);
}

int normalise_decode(struct normalise *n, const char *encoding, struct sm_span raw, struct event *e,
    struct sm_span *ret_text)
{
    enum encoding was;

    return decode(&n->decoders, encoding_named(encoding), raw, e, ret_text, &was);
}

/* What a format may have left when it gave up. */
struct mark { size_t n; uint16_t product, category,
    service; uint8_t severity; uint32_t notes; struct event_time time; struct sm_span host; };

static struct mark mark_of(const struct event *e)
{
    return (struct mark){ e->n, e->product, e->category, e->service, e->severity, e->notes, e->time, e->host };
}

static void back_to(struct event *e, const struct mark *m)
{
    e->n = m->n;
    e->product = m->product;
    e->category = m->category;
    e->service = m->service;
    e->severity = m->severity;
    e->notes = m->notes;
    e->time = m->time;
    e->host = m->host;
}

static int read_with(struct format_ctx *c, const struct format *f, struct sm_span text)
{
    struct mark before = mark_of(c->e);
    uint16_t format = c->e->format;

    for (size_t i = 0; i < FORMATS; i++)
        if (formats[i] == f)
            c->e->format = c->n->word[i];
    int r = f->read(c, text);
    r = c->err < 0 ? c->err : r;
    if (r < 0) {
        back_to(c->e, &before);
        c->e->format = format;
    }
    return r;
}

/* A priority and no other '<' near: of what can begin so only XML is surer than syslog, and this has no element. */
static bool is_plain_syslog(struct sm_span t)
{
    return t.n > 4 && t.p[0] == '<' && (uint8_t)(t.p[1] - '0') < 10 && !memchr(t.p + 1, '<', (t.n < 1024 ? t.n : 1024) - 1) &&
        format_syslog.detect(t) > 90;
}

/* The surest row reads; the next one when it finds that it is not its own.  except: rows that are not asked. */
static int find_and_read(struct format_ctx *c, struct sm_span text, const struct format *except)
{
    int score[FORMATS];

    if (except != &format_syslog && is_plain_syslog(text)) {
        int r = read_with(c, &format_syslog, text);
        if (r >= 0 && c->state && c->depth == 0)
            c->state->last = &format_syslog;
        if (r != -SM_EFORMAT)
            return r;
    }
    for (size_t i = 0; i < FORMATS; i++)
        score[i] = formats[i] == except ? 0 : formats[i]->detect(text);
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i < FORMATS; i++)
            best = score[i] > score[best] ? i : best;
        if (score[best] <= 0)
            return -SM_EFORMAT;
        int r = read_with(c, formats[best], text);
        if (r >= 0 && c->state && c->depth == 0)
            c->state->last = formats[best];
        if (r != -SM_EFORMAT)
            return r;
        score[best] = 0;
    }
}

int format_inside(struct format_ctx *c, struct sm_span text)
{
    if (c->depth >= FORMAT_DEPTH_MAX)
        return -SM_EFORMAT;
    c->depth++;
    int r = find_and_read(c, text, &format_text);
    c->depth--;
    return r == FORMAT_NOTHING ? 0 : r;
}

static int read_text(struct format_ctx *c, struct sm_span text)
{
    const struct format *f = format_named(c->hint->format);

    if (f && c->state && c->depth == 0)
        c->state->last = f; /* what its records make together is asked of it (normalise_more) */
    if (f)
        return read_with(c, f, text);
    f = c->state ? c->state->last : NULL;
    /* A stream stays what it was; syslog carries anything and is read by its own head. */
    if (f && f != &format_text && f->detect(text) > 0) {
        int r = read_with(c, f, text);
        if (r != -SM_EFORMAT)
            return r;
    }
    return find_and_read(c, text, NULL);
}

static struct sm_span without_line_end(struct sm_span s)
{
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
        s.n--;
    return s;
}

static void apply(const struct normalise_hint *h, struct event *e)
{
    e->product = h->product ? h->product : e->product;
    e->category = h->category ? h->category : e->category;
    e->service = h->service ? h->service : e->service;
    if (!e->host.n)
        e->host = h->sender;
}

int normalise_record(struct normalise *n, const struct normalise_hint *hint, struct sm_span raw,
    struct event_time seen, struct event *e)
{
    struct format_ctx c = { .n = n, .names = n->names, .hint = hint, .state = hint->state, .e = e };
    struct sm_span text;
    enum encoding given = encoding_named(hint->encoding), was;

    event_clear(e);
    e->seen = e->time = seen;
    e->source = hint->source;
    e->notes = EVENT_NO_TIME;
    if (raw.n > EVENT_RAW_MAX) {
        raw.n = EVENT_RAW_MAX;
        e->notes |= EVENT_CUT;
    }
    e->raw = raw;
    /* What a stream wrote before in an encoding of Japan, it writes again: a short record alone says little. */
    if (!given && c.state && c.state->encoding && !sm_utf8_valid(raw) && encoding_guess(raw) != ENC_UTF16LE)
        given = c.state->encoding;
    int r = decode(&n->decoders, given, raw, e, &text, &was);
    if (r < 0)
        return r;
    if (c.state && (was == ENC_CP932 || was == ENC_EUCJP) && raw.n > 40)
        c.state->encoding = (uint8_t)was;
    text = without_line_end(text);
    r = text.n ? read_text(&c, text) : FORMAT_NOTHING;
    if (r == -SM_EFORMAT) {
        e->notes |= EVENT_UNPARSED;
        e->format = EVENT_W_unparsed;
        r = event_add(e, EVENT_F_Message, EVENT_TEXT, text);
    }
    apply(hint, e);
    return r;
}

int normalise_more(struct normalise *n, const struct normalise_hint *hint, struct event *e)
{
    struct format_ctx c = { .n = n, .names = n->names, .hint = hint, .state = hint->state, .e = e };
    struct event_time seen = e->seen;

    if (!hint->state || hint->state->last != &format_audit)
        return 0;
    event_clear(e);
    e->seen = seen;
    e->source = hint->source;
    int r = audit_more(&c);
    if (r == 1)
        apply(hint, e);
    return r;
}

/* The first record of a text: an object over several lines, an event behind an XML declaration, else a line. */
static struct sm_span first_record(struct sm_span text)
{
    struct sm_span record;
    size_t i = 0, n;

    while (i < text.n && (text.p[i] == ' ' || text.p[i] == '\t' || text.p[i] == '\r' || text.p[i] == '\n'))
        i++;
    text = SM_SPAN(text.p + i, text.n - i);
    if (text.n && *text.p == '{' && (n = json_frame(text)))
        return SM_SPAN(text.p, n);
    if (text.n && *text.p == '<' && windows_xml_frame(text, &record))
        return record;
    const uint8_t *nl = text.n ? memchr(text.p, '\n', text.n) : NULL;
    return nl ? without_line_end(SM_SPAN(text.p, (size_t)(nl - text.p))) : text;
}

const char *normalise_guess(struct normalise *n, struct sm_span first)
{
    struct event e;
    struct sm_span text;
    const char *name = NULL;
    int best = 1;

    if (event_init(&e) < 0)
        return NULL;
    if (normalise_decode(n, NULL, SM_SPAN(first.p, first.n < 65536 ? first.n : 65536), &e, &text) == 0) {
        struct sm_span line = first_record(text);
        for (size_t i = 0; i < FORMATS; i++) {
            int score = line.n ? formats[i]->detect(line) : 0;
            if (score > best) {
                best = score;
                name = formats[i]->row.name;
            }
        }
    }
    event_wipe(&e);
    return name;
}

/* ---- files ---- */

/* Past the end of a line; 0 when it is not whole yet. */
static size_t to_line_end(struct sm_span s, size_t from, bool wide_le, bool wide_be)
{
    size_t step = wide_le || wide_be ? 2 : 1;

    if (step == 1) {
        const uint8_t *q = from < s.n ? memchr(s.p + from, '\n', s.n - from) : NULL;
        return q ? (size_t)(q - s.p) + 1 : 0;
    }
    for (size_t i = from & ~(size_t)1; i + 1 < s.n; i += 2)
        if (s.p[i + wide_be] == '\n' && !s.p[i + wide_le])
            return i + 2;
    return 0;
}

/* A line whose quotes are even: newlines inside quotes belong to it. */
static size_t to_csv_end(struct sm_span s)
{
    bool quoted = false;

    for (size_t i = 0; i < s.n; i++) {
        quoted ^= s.p[i] == '"';
        if (s.p[i] == '\n' && !quoted)
            return i + 1;
    }
    return 0;
}

/* Past the next record; *ret_record is all of it but for what encloses an event of Windows. */
static size_t record_end(enum format_frame frame, struct sm_span s, enum encoding given, struct sm_span *ret_record)
{
    bool le = given == ENC_UTF16LE, be = given == ENC_UTF16BE;
    size_t n;

    if (frame == FRAME_XML && !le && !be)
        return windows_xml_frame(s, ret_record);
    if (le || be || frame == FRAME_LINE || (frame == FRAME_BLOCK && s.p[0] == '{'))
        n = to_line_end(s, 0, le, be);
    else
        n = frame == FRAME_CSV ? to_csv_end(s) : frame == FRAME_BLOCK ? journal_frame(s) : json_frame(s);
    *ret_record = SM_SPAN(s.p, n);
    return n;
}

static struct sm_span trim_record(struct sm_span s, enum format_frame frame)
{
    s = without_line_end(s);
    if (frame == FRAME_JSON || frame == FRAME_XML)
        while (s.n && memchr(" \t\r\n,[]", *s.p, 8)) {
            s.p++;
            s.n--;
        }
    return s;
}

size_t normalise_next(const struct normalise_hint *hint, struct sm_span bytes, bool end, struct sm_span *ret_record)
{
    const struct format *f = format_named(hint->frame ? hint->frame : hint->format);
    enum format_frame frame = f ? f->frame : FRAME_LINE;
    enum encoding given = encoding_named(hint->encoding);
    struct sm_span s = bytes;

    if (!s.n)
        return 0;
    if (s.n > EVENT_RAW_MAX)
        s.n = EVENT_RAW_MAX;
    struct sm_span record = s;
    size_t n = record_end(frame, s, given, &record);
    if (!n && !end && s.n < EVENT_RAW_MAX)
        return 0;
    if (!n && frame != FRAME_LINE) /* an open quote must not swallow the file */
        n = record_end(FRAME_LINE, s, given, &record);
    if (!n) {
        n = s.n;
        record = s;
    }
    bool wide = given == ENC_UTF16LE || given == ENC_UTF16BE;
    *ret_record = wide ? record : trim_record(record, frame);
    return n;
}
