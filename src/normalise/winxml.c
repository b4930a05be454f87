/* Windows events as XML: expat, without DTD, entities from outside or depth. */
#include "core/find.h"
#include "normalise/windows_int.h"

#include <errno.h>
#include <expat.h>
#include <stdlib.h>

enum in { IN_NOTHING, IN_EVENT, IN_SYSTEM, IN_DATA, IN_OTHER, IN_RENDERING };

struct open {
    uint8_t in;             /* what its members stand in */
    bool elements, attributes, named;
    uint16_t name;          /* of Data's Name */
    size_t text;            /* where its text begins */
    size_t tag_at, tag_n;   /* in tags: the parser's names end with the callback */
};

struct winxml {
    XML_Parser parser;
    struct windows *w;
    struct sm_buf text, tags;
    struct open open[WINDOWS_XML_DEPTH_MAX + 1];
    unsigned depth;
    bool done;              /* the event is closed */
    bool refused;
};

int winxml_new(struct windows *w, struct winxml **ret)
{
    struct winxml *x = calloc(1, sizeof *x);

    if (!x)
        return -ENOMEM;
    x->w = w;
    x->text.max = 2 * WINDOWS_TEXT_MAX;
    x->tags.max = 1 << 20;
    x->parser = XML_ParserCreate("UTF-8");
    if (!x->parser) {
        winxml_free(x);
        return -ENOMEM;
    }
    *ret = x;
    return 0;
}

void winxml_free(struct winxml *x)
{
    if (!x)
        return;
    if (x->parser)
        XML_ParserFree(x->parser);
    sm_buf_wipe(&x->text);
    sm_buf_wipe(&x->tags);
    free(x);
}

static struct sm_span local(const char *name)
{
    const char *colon = strchr(name, ':');

    return SM_SPAN_STR(colon ? colon + 1 : name);
}

static void stop(struct winxml *x, int err)
{
    if (err == -ENOMEM)
        x->w->err = err;
    x->refused = true;
    (void)XML_StopParser(x->parser, XML_FALSE); /* already stopped is as well */
}

static enum in inside(enum in outer, struct sm_span tag)
{
    if (outer == IN_NOTHING)
        return windows_is(tag, "Event") ? IN_EVENT : IN_NOTHING;
    if (outer != IN_EVENT)
        return outer == IN_RENDERING ? IN_RENDERING : IN_OTHER;
    if (windows_is(tag, "System"))
        return IN_SYSTEM;
    return windows_is(tag, "EventData") ? IN_DATA : windows_is(tag, "RenderingInfo") ? IN_RENDERING : IN_OTHER;
}

/* The parser's texts end with the callback. */
static struct sm_span kept(struct winxml *x, const char *text, size_t n)
{
    uint8_t *p = event_room(x->w->e, n);

    if (!p) {
        stop(x, -ENOMEM);
        return SM_SPAN("", 0);
    }
    if (n)
        memcpy(p, text, n);
    return SM_SPAN(p, n);
}

static void attributes(struct winxml *x, struct open *o, enum in outer, struct sm_span tag, const char **at)
{
    for (; *at && !x->w->err; at += 2) {
        struct sm_span name = local(at[0]);
        if (!strncmp(at[0], "xmlns", 5) || !strncmp(at[0], "xml:", 4))
            continue;
        if (windows_is(name, "Name") && (outer == IN_DATA || windows_is(tag, "Data"))) {
            o->named = at[1][0] != 0;
            o->name = windows_data_name(x->w, SM_SPAN_STR(at[1]));
            continue;
        }
        o->attributes = true;
        struct sm_span value = kept(x, at[1], strlen(at[1]));
        uint16_t n = windows_name(x->w, tag, name);
        if (outer == IN_SYSTEM)
            windows_system(x->w, n, EVENT_TEXT, value);
        else
            windows_value(x->w, n, EVENT_TEXT, value, false);
    }
}

static void XMLCALL start(void *ctx, const char *name, const char **at)
{
    struct winxml *x = ctx;

    if (x->done || x->refused)
        return;
    if (x->depth == WINDOWS_XML_DEPTH_MAX || x->text.n > WINDOWS_TEXT_MAX) {
        stop(x, -SM_ELIMIT);
        return;
    }
    struct sm_span tag = local(name);
    struct open *up = &x->open[x->depth], *o = up + 1;
    up->elements = true;
    *o = (struct open){ .text = x->text.n, .tag_at = x->tags.n, .tag_n = tag.n };
    int r = sm_buf_put_span(&x->tags, tag);
    if (r < 0) {
        stop(x, r);
        return;
    }
    enum in outer = x->depth ? (enum in)up->in : IN_NOTHING;
    o->in = (uint8_t)inside(outer, tag);
    x->depth++;
    if (outer != IN_NOTHING)
        attributes(x, o, outer, tag, at);
}

static void XMLCALL characters(void *ctx, const char *s, int n)
{
    struct winxml *x = ctx;

    if (x->done || x->refused || !x->depth)
        return;
    int r = sm_buf_put(&x->text, s, (size_t)n);
    if (r < 0)
        stop(x, r);
}

static bool blank(struct sm_span s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\t' || *s.p == '\r' || *s.p == '\n')) {
        s.p++;
        s.n--;
    }
    return !s.n;
}

/* A leaf's text; without any it is nothing where an attribute said it, or in System. */
static void leaf(struct winxml *x, const struct open *o, enum in outer, struct sm_span tag)
{
    struct windows *w = x->w;
    size_t n = x->text.n - o->text;

    if (!n && (outer == IN_SYSTEM || o->attributes))
        return;
    struct sm_span text = kept(x, (const char *)x->text.p + o->text, n);
    if (w->err)
        return;
    if (o->named)
        windows_value(w, o->name, EVENT_TEXT, text, false);
    else if (windows_is(tag, "Data"))
        windows_unnamed(w, text);
    else if (outer == IN_SYSTEM)
        windows_system(w, windows_name(w, tag, SM_SPAN("", 0)), EVENT_TEXT, text);
    else if (outer == IN_RENDERING && !windows_is(tag, "Message"))
        windows_value(w, windows_name(w, SM_SPAN("RenderingInfo", 13), tag), EVENT_TEXT, text, false);
    else
        windows_value(w, windows_name(w, tag, SM_SPAN("", 0)), EVENT_TEXT, text, false);
}

static void XMLCALL end(void *ctx, const char *name)
{
    struct winxml *x = ctx;

    if (x->done || x->refused || !x->depth)
        return;
    struct open *o = &x->open[x->depth];
    struct sm_span tag = SM_SPAN(x->tags.p + o->tag_at, o->tag_n);
    enum in outer = x->depth > 1 ? (enum in)x->open[x->depth - 1].in : IN_NOTHING;
    bool frame = outer == IN_NOTHING || (outer == IN_EVENT && (o->in != IN_OTHER || windows_is(tag, "UserData")));
    struct sm_span text = x->text.n ? SM_SPAN(x->text.p + o->text, x->text.n - o->text) : SM_SPAN("", 0);

    x->depth--;
    if (!frame && (!o->elements || !blank(text)))
        leaf(x, o, outer, tag);
    x->done = o->in == IN_EVENT && outer == IN_NOTHING;
    x->text.n = o->text;
    x->tags.n = o->tag_at;
}

static void XMLCALL doctype(void *ctx, const char *name, const char *system_id, const char *public_id, int internal)
{
    stop(ctx, -SM_EFORMAT);
}

int windows_xml(struct windows *w, struct sm_span text, int zone_s, struct event *e)
{
    struct winxml *x = w->xml;

    windows_begin(w, e, zone_s);
    if (text.n > WINDOWS_TEXT_MAX)
        return -SM_EFORMAT;
    x->depth = 0;
    x->done = x->refused = false;
    x->text.n = x->tags.n = 0;
    x->open[0] = (struct open){ 0 };
    if (!XML_ParserReset(x->parser, "UTF-8"))
        return -ENOMEM;
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, start, end);
    XML_SetCharacterDataHandler(x->parser, characters);
    XML_SetStartDoctypeDeclHandler(x->parser, doctype);
    enum XML_Status status = XML_Parse(x->parser, (const char *)text.p, (int)text.n, 1);
    if (!w->err && XML_GetErrorCode(x->parser) == XML_ERROR_NO_MEMORY)
        w->err = -ENOMEM;
    if (status != XML_STATUS_OK && !x->done)
        e->notes |= w->known ? EVENT_DAMAGED : 0;
    return windows_finish(w, EVENT_W_windows_xml);
}

int windows_xml_detect(struct sm_span text)
{
    struct sm_span head = { text.p, text.n < 1024 ? text.n : 1024 };
    size_t i = 0;

    while (i < head.n && (head.p[i] == ' ' || head.p[i] == '\t' || head.p[i] == '\r' || head.p[i] == '\n'))
        i++;
    if (!head.p || i == head.n || head.p[i] != '<')
        return 0;
    if (sm_find(head, "schemas.microsoft.com/win/2004/08/events", 40))
        return 98;
    return sm_find(head, "<Event", 6) && sm_find(head, "<System>", 8) ? 90 : 0;
}

/* ---- framing ---- */

struct cut { const uint8_t *p, *end; };

/* Behind the next lit; NULL when it does not come. */
static const uint8_t *behind(const struct cut *c, const uint8_t *p, const char *lit)
{
    size_t n = strlen(lit);
    const uint8_t *q = memmem(p, (size_t)(c->end - p), lit, n);

    return q ? q + n : NULL;
}

/* Is the name at p, with or without a prefix, "Event"? */
static bool is_event(const struct cut *c, const uint8_t *p)
{
    const uint8_t *from = p;

    for (; p < c->end && *p != '>' && *p != '/' && *p > ' '; p++)
        if (*p == ':')
            from = p + 1;
    return p < c->end && p - from == 5 && !memcmp(from, "Event", 5);
}

/* Behind the '>' of a tag, quotes passed over; *ret_empty: it ended in "/>". */
static const uint8_t *tag_end(const struct cut *c, const uint8_t *p, bool *ret_empty)
{
    for (uint8_t quote = 0; p < c->end; p++) {
        if (quote)
            quote = *p == quote ? 0 : quote;
        else if (*p == '"' || *p == '\'')
            quote = *p;
        else if (*p == '>') {
            *ret_empty = p[-1] == '/';
            return p + 1;
        }
    }
    return NULL;
}

/* At '<': behind what is no element (comment, declaration, CDATA); p itself when it is an element; NULL when it does
 * not end. */
static const uint8_t *no_element(const struct cut *c, const uint8_t *p)
{
    size_t left = (size_t)(c->end - p);

    if (left >= 4 && !memcmp(p, "<!--", 4))
        return behind(c, p + 4, "-->");
    if (left >= 9 && !memcmp(p, "<![CDATA[", 9))
        return behind(c, p + 9, "]]>");
    if (left >= 2 && p[1] == '?')
        return behind(c, p + 2, "?>");
    return left >= 2 && p[1] == '!' ? behind(c, p + 2, ">") : p;
}

size_t windows_xml_frame(struct sm_span bytes, struct sm_span *ret_event)
{
    struct cut c = { bytes.p, bytes.p + bytes.n };
    const uint8_t *p = bytes.p, *from = NULL;
    unsigned inner = 0;

    while (p && p < c.end && (p = memchr(p, '<', (size_t)(c.end - p)))) {
        const uint8_t *q = no_element(&c, p);
        bool empty = false, closes = c.end - p > 1 && p[1] == '/';
        if (q != p) {
            p = q;
            continue;
        }
        bool event = is_event(&c, p + 1 + closes);
        q = tag_end(&c, p + 1, &empty);
        if (!q)
            return 0;
        if (event && !closes && !from)
            from = p;
        if (event && !closes && !empty)
            inner++;
        if (event && closes && inner)
            inner--;
        if (event && from && !inner) {
            *ret_event = SM_SPAN(from, (size_t)(q - from));
            return (size_t)(q - bytes.p);
        }
        p = q;
    }
    return 0;
}
