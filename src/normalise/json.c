#include "normalise/json.h"
#include "normalise/utf8.h"

#include <errno.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* From this size of a text on, the event's memory may be full for its sake; below, it can only be the system's. */
enum { MAY_FILL_ARENA = 256 << 10 };

/* of the path and of its last part; an object of the text itself has none */
struct level { uint16_t path_n, name_n; bool array; };

struct at {
    const uint8_t *p, *end;
    struct event *e;
    json_each *each;
    void *ctx;
    size_t size;
    struct sm_span path;        /* of the member being read: in buf, or in the text where that does */
    struct sm_span name;
    unsigned depth;
    struct level levels[JSON_DEPTH_MAX + 1];
    uint8_t buf[JSON_PATH_MAX];
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void blanks(struct at *a)
{
    while (a->p < a->end && is_blank(*a->p))
        a->p++;
}

#ifdef __SSE2__
/* One bit for each byte of the 16 at p that a text may not pass over; *ret_high those >= 0x80. */
static inline unsigned special16(const uint8_t *p, unsigned *ret_high)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p), control = _mm_set1_epi8(0x1f);
    __m128i hit = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    hit = _mm_or_si128(hit, _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));

    *ret_high = (unsigned)_mm_movemask_epi8(v);
    return (unsigned)_mm_movemask_epi8(hit);
}
#endif

/* The first byte of [p, end) that a text may not pass over: quote, backslash, control.  *ret_high: a byte >= 0x80 came
 * before. */
static inline const uint8_t *special(const uint8_t *p, const uint8_t *end, bool *ret_high)
{
    unsigned high = 0;
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        unsigned top, at = special16(p, &top);
        if (at) {
            unsigned n = (unsigned)__builtin_ctz(at);
            *ret_high = high | (top & ((1u << n) - 1));
            return p + n;
        }
        high |= top;
    }
#endif
    for (; p < end && *p != '"' && *p != '\\' && *p >= 0x20; p++)
        high |= *p & 0x80;
    *ret_high = high;
    return p;
}

static int hex4(const uint8_t *p, uint32_t *ret)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i], d;
        if (c >= '0' && c <= '9')
            d = (uint8_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            d = (uint8_t)((c | 0x20) - 'a' + 10);
        else
            return -SM_EFORMAT;
        v = v << 4 | d;
    }
    *ret = v;
    return 0;
}

/* At "uXXXX" of an escape, and its second half when it is a pair. */
static int unicode(struct at *a, uint32_t *ret)
{
    uint32_t c, low;

    if (a->end - a->p < 5 || hex4(a->p + 1, &c) < 0)
        return -SM_EFORMAT;
    a->p += 5;
    if (c >= 0xd800 && c < 0xdc00 && a->end - a->p >= 6 && a->p[0] == '\\' && a->p[1] == 'u' && !hex4(a->p + 2, &low) &&
        low >= 0xdc00 && low < 0xe000) {
        a->p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (!c || (c >= 0xd800 && c < 0xe000)) {
        c = 0xfffd;
        a->e->notes |= EVENT_REPLACED;
    }
    *ret = c;
    return 0;
}

/* One escape behind its backslash. */
static int escape(struct at *a, uint8_t *to, size_t *n)
{
    static const uint8_t plain[256] = {
        ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
    };
    uint32_t c;

    if (a->p == a->end)
        return -SM_EFORMAT;
    if (plain[*a->p]) {
        to[(*n)++] = plain[*a->p++];
        return 0;
    }
    if (*a->p != 'u' || unicode(a, &c) < 0)
        return -SM_EFORMAT;
    *n += utf8_put(to + *n, c);
    return 0;
}

/* Where the text that began at from ends, escapes passed over. */
static const uint8_t *closing(const uint8_t *p, const uint8_t *end)
{
    bool high;

    while ((p = special(p, end, &high)) < end && *p != '"') {
        if (*p != '\\' || end - p < 2)
            return NULL;
        p += 2;
    }
    return p < end ? p : NULL;
}

/* A text with escapes: a->p at the first of them; high: a byte >= 0x80 came before. */
static int unescape(struct at *a, const uint8_t *from, bool high, struct sm_span *ret)
{
    const uint8_t *close = closing(a->p, a->end);

    if (!close)
        return -SM_EFORMAT;
    /* U+FFFD for one \uXXXX: no text grows. */
    uint8_t *to = event_room(a->e, (size_t)(close - from));
    if (!to)
        return a->size < MAY_FILL_ARENA ? -ENOMEM : -SM_ELIMIT;
    size_t n = 0;
    for (bool any = high;; any |= high) {
        size_t k = (size_t)(a->p - from);
        memcpy(to + n, from, k);
        n += k;
        if (a->p == close) {
            a->p++;
            *ret = SM_SPAN(to, n);
            return !any || sm_utf8_valid(*ret) ? 0 : -SM_EFORMAT;
        }
        a->p++;
        int r = escape(a, to, &n);
        if (r < 0)
            return r;
        from = a->p;
        a->p = special(a->p, close, &high);
    }
}

/* Behind the opening quote. */
static int string(struct at *a, struct sm_span *ret)
{
    const uint8_t *from = a->p;
    bool high;

    a->p = special(a->p, a->end, &high);
    if (a->p == a->end || *a->p < 0x20)
        return -SM_EFORMAT;
    if (*a->p == '\\')
        return unescape(a, from, high, ret);
    *ret = SM_SPAN(from, (size_t)(a->p - from));
    a->p++;
    return !high || sm_utf8_valid(*ret) ? 0 : -SM_EFORMAT;
}

static const uint8_t *digits(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static int number(struct at *a, struct sm_span *ret)
{
    const uint8_t *from = a->p, *p = from, *q;

    p += *p == '-';
    if (p < a->end && *p == '0')
        q = p + 1;
    else
        q = digits(p, a->end);
    if (q == p)
        return -SM_EFORMAT;
    p = q;
    if (p < a->end && *p == '.') {
        q = digits(++p, a->end);
        if (q == p)
            return -SM_EFORMAT;
        p = q;
    }
    if (p < a->end && (*p | 0x20) == 'e') {
        p++;
        p += p < a->end && (*p == '+' || *p == '-');
        q = digits(p, a->end);
        if (q == p)
            return -SM_EFORMAT;
        p = q;
    }
    a->p = p;
    *ret = SM_SPAN(from, (size_t)(p - from));
    return 0;
}

static int literal(struct at *a, const char *word, size_t n, struct sm_span *ret)
{
    if ((size_t)(a->end - a->p) < n || memcmp(a->p, word, n))
        return -SM_EFORMAT;
    *ret = SM_SPAN(a->p, n);
    a->p += n;
    return 0;
}

static int scalar(struct at *a, struct json_value *v)
{
    switch (*a->p) {
    case '"':
        a->p++;
        v->type = EVENT_TEXT;
        return string(a, &v->text);
    case 't':
        v->type = EVENT_BOOL;
        return literal(a, "true", 4, &v->text);
    case 'f':
        v->type = EVENT_BOOL;
        return literal(a, "false", 5, &v->text);
    case 'n': {
        int r = literal(a, "null", 4, &v->text);
        v->type = EVENT_NULL;
        v->text.n = 0;
        return r;
    }
    default:
        v->type = EVENT_NUMBER;
        return number(a, &v->text);
    }
}

/* The path of a member called name, of the object a is in. */
static int member(struct at *a, struct sm_span name)
{
    size_t base = a->levels[a->depth].path_n;

    a->name = name;
    if (!base) {
        a->path = name;
        return name.n < JSON_PATH_MAX ? 0 : -SM_ELIMIT;
    }
    if (name.n >= JSON_PATH_MAX - 1 - base)
        return -SM_ELIMIT;
    a->buf[base] = '.';
    memcpy(a->buf + base + 1, name.p, name.n);
    a->path = SM_SPAN(a->buf, base + 1 + name.n);
    return 0;
}

static int open_level(struct at *a, bool array)
{
    if (a->depth == JSON_DEPTH_MAX)
        return -SM_ELIMIT;
    if (a->path.n && a->path.p != a->buf) {
        memcpy(a->buf, a->path.p, a->path.n);
        a->path.p = a->buf;
    }
    a->levels[++a->depth] = (struct level){ .path_n = (uint16_t)a->path.n, .name_n = (uint16_t)a->name.n,
        .array = array };
    a->p++;
    return 0;
}

/* What stands at a->p as a value; an object or array is only opened. */
static int value(struct at *a)
{
    if (a->p == a->end)
        return -SM_EFORMAT;
    if (*a->p == '{' || *a->p == '[')
        return open_level(a, *a->p == '[');
    struct json_value v = { .path = a->path, .name = a->name, .in_array = a->levels[a->depth].array,
        .depth = (uint8_t)a->depth };
    int r = scalar(a, &v);
    return r < 0 ? r : a->each(a->ctx, &v);
}

/* "name": of the object a is in. */
static int name_of(struct at *a)
{
    struct sm_span name;

    if (a->p == a->end || *a->p != '"')
        return -SM_EFORMAT;
    a->p++;
    int r = string(a, &name);
    if (r < 0)
        return r;
    blanks(a);
    if (a->p == a->end || *a->p != ':')
        return -SM_EFORMAT;
    a->p++;
    blanks(a);
    return member(a, name);
}

/* Back in an array its members have its path again. */
static void back_in_array(struct at *a)
{
    const struct level *l = &a->levels[a->depth];

    a->path = SM_SPAN(a->buf, l->path_n);
    a->name = SM_SPAN(a->buf + l->path_n - l->name_n, l->name_n);
}

/* The next member of the innermost level, or its end.  first: nothing came in it yet. */
static int step(struct at *a, bool first)
{
    const struct level *l = &a->levels[a->depth];

    blanks(a);
    if (a->p == a->end)
        return -SM_EFORMAT;
    if (*a->p == (l->array ? ']' : '}')) {
        a->p++;
        a->depth--;
        return 0;
    }
    if (!first) {
        if (*a->p != ',')
            return -SM_EFORMAT;
        a->p++;
        blanks(a);
    }
    if (l->array) {
        back_in_array(a);
        return value(a);
    }
    int r = name_of(a);
    return r ? r : value(a);
}

int json_flat(struct sm_span text, struct event *e, json_each *each, void *ctx)
{
    struct at a;

    if (text.n > JSON_TEXT_MAX)
        return -SM_ELIMIT;
    a.p = text.p;
    a.end = text.p + text.n;
    a.e = e;
    a.each = each;
    a.ctx = ctx;
    a.size = text.n;
    a.depth = 0;
    a.path = a.name = SM_SPAN(a.buf, 0);
    a.levels[0] = (struct level){ 0 };
    blanks(&a);
    if (a.p == a.end || *a.p != '{')
        return -SM_EFORMAT;
    int r = open_level(&a, false);
    bool first = true;
    while (!r && a.depth) {
        unsigned before = a.depth;
        r = step(&a, first);
        first = a.depth > before;
    }
    if (r)
        return r;
    blanks(&a);
    return a.p == a.end ? 0 : -SM_EFORMAT;
}

int json_put(struct event *e, struct event_names *names, struct sm_span name, enum event_type type,
    struct sm_span value)
{
    uint16_t number = event_names_add(names, name);

    if (number != EVENT_F_other)
        return event_add(e, number, type, value);
    size_t n = name.n + 1 + value.n;
    uint8_t *p = event_room(e, n);
    if (!p) {
        e->notes |= EVENT_CUT;
        return 0;
    }
    memcpy(p, name.p, name.n);
    p[name.n] = '=';
    if (value.n)
        memcpy(p + name.n + 1, value.p, value.n);
    return event_add(e, EVENT_F_other, EVENT_TEXT, SM_SPAN(p, n));
}

int json_field(void *ctx, const struct json_value *v)
{
    const struct json_fields *f = ctx;

    return json_put(f->e, f->names, v->path, v->type, v->text);
}

size_t json_frame(struct sm_span bytes)
{
    const uint8_t *p = bytes.p, *end = p + (bytes.n < EVENT_RAW_MAX ? bytes.n : EVENT_RAW_MAX);
    size_t depth = 0;

    for (; p < end; p++) {
        if (*p == '"') {
            /* Raw control characters are no business of framing. */
            for (p++; p < end && *p != '"'; p++)
                p += *p == '\\';
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if ((*p == '}' || *p == ']') && depth && !--depth) {
            return (size_t)(p + 1 - bytes.p);
        }
    }
    return 0;
}
