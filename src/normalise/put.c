/* Fields, addresses and key=value pairs: what all formats share. */
#include <errno.h>
#include "normalise/format.h"

void put_any(struct format_ctx *c, uint16_t name, enum event_type type, struct sm_span value)
{
    if (c->err >= 0 && name) {
        int r = event_add(c->e, name, type, value);
        c->err = r < 0 ? r : c->err;
    }
}

void put(struct format_ctx *c, uint16_t name, struct sm_span value)
{
    if (value.n)
        put_any(c, name, EVENT_TEXT, value);
}

/* As JSON writes whole and decimal numbers: no leading zero, no plus. */
bool is_number(struct sm_span s)
{
    struct scan t = scan_of(s);

    (void)scan_c(&t, '-');
    const uint8_t *from = t.p;
    while (is_digit(scan_peek(&t)))
        t.p++;
    if (t.p == from || (*from == '0' && t.p - from > 1) || s.n > 32)
        return false;
    if (scan_c(&t, '.')) {
        from = t.p;
        while (is_digit(scan_peek(&t)))
            t.p++;
        if (t.p == from)
            return false;
    }
    return t.p == t.end;
}

void put_number(struct format_ctx *c, uint16_t name, struct sm_span value)
{
    if (value.n)
        put_any(c, name, is_number(value) ? EVENT_NUMBER : EVENT_TEXT, value);
}

void put_named(struct format_ctx *c, struct sm_span name, enum event_type type, struct sm_span value)
{
    if (c->err < 0)
        return;
    uint16_t n = event_names_add(c->names, name);
    if (n != EVENT_F_other) {
        put_any(c, n, type, value);
        return;
    }
    /* No place in the table: the name stays with its value. */
    if (name.n > EVENT_NAME_MAX)
        name.n = 0;
    uint8_t *p = event_room(c->e, name.n + 1 + value.n);
    if (!p) {
        c->e->notes |= EVENT_CUT;
        return;
    }
    if (name.n)
        memcpy(p, name.p, name.n);
    p[name.n] = '=';
    if (value.n)
        memcpy(p + name.n + 1, value.p, value.n);
    put_any(c, EVENT_F_other, EVENT_TEXT, SM_SPAN(p, name.n + 1 + value.n));
}

void put_str(struct format_ctx *c, uint16_t name, const char *constant)
{
    put(c, name, SM_SPAN_STR(constant));
}

void put_u64(struct format_ctx *c, uint16_t name, uint64_t v)
{
    uint8_t digits[20];
    size_t n = 0;

    do
        digits[n++] = (uint8_t)('0' + v % 10);
    while (v /= 10);
    uint8_t *p = event_room(c->e, n);
    if (!p) {
        c->e->notes |= EVENT_CUT;
        return;
    }
    for (size_t i = 0; i < n; i++)
        p[i] = digits[n - 1 - i];
    put_any(c, name, EVENT_NUMBER, SM_SPAN(p, n));
}

static bool is_v4(struct sm_span s)
{
    struct scan t = scan_of(s);
    uint64_t v;

    for (int i = 0; i < 4; i++)
        if ((i && !scan_c(&t, '.')) || !scan_uint(&t, 1, 3, &v) || v > 255)
            return false;
    return t.p == t.end;
}

static bool is_v6(struct sm_span s)
{
    unsigned colons = 0;

    if (s.n < 2 || s.n > 64)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t ch = s.p[i];
        if (ch == '%')
            return colons >= 2;
        bool hex = is_digit(ch) || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f');
        if (!hex && ch != ':' && ch != '.')
            return false;
        colons += ch == ':';
    }
    return colons >= 2 && colons <= 8;
}

bool is_address(struct sm_span s)
{
    if (!s.n || s.n > 64)
        return false;
    return is_v4(s) || is_v6(s);
}

/* Where address and port part: the first of / ( # or the last ':' of an address of IPv4. */
static size_t port_at(struct sm_span v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] == '/' || v.p[i] == '(' || v.p[i] == '#')
            return i;
    size_t colon = v.n, colons = 0;
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] == ':') {
            colon = i;
            colons++;
        }
    return colons == 1 ? colon : v.n;
}

void put_address(struct format_ctx *c, uint16_t ip, uint16_t port, struct sm_span v)
{
    struct sm_span addr = v, rest = SM_SPAN(v.p, 0);
    uint64_t number;

    if (!v.n)
        return;
    if (v.p[0] == '[') {
        struct scan s = scan_of(SM_SPAN(v.p + 1, v.n - 1));
        addr = scan_past(&s, ']');
        rest = scan_rest(&s);
    } else {
        size_t at = port_at(v);
        addr.n = at;
        rest = SM_SPAN(v.p + at, v.n - at);
    }
    put(c, ip, addr);
    if (!port || rest.n < 2)
        return;
    struct scan s = scan_of(SM_SPAN(rest.p + 1, rest.n - 1));
    const uint8_t *from = s.p;
    if (scan_uint(&s, 1, 5, &number))
        put_number(c, port, SM_SPAN(from, (size_t)(s.p - from)));
}

/* Up to the closing quote that no backslash escapes; what follows is passed. */
static struct sm_span quoted(struct scan *s, uint8_t q)
{
    const uint8_t *from = ++s->p;

    for (; s->p < s->end && *s->p != q; s->p++)
        if (*s->p == '\\' && s->p + 1 < s->end && s->p[1] == q)
            s->p++;
    struct sm_span r = SM_SPAN(from, (size_t)(s->p - from));
    if (s->p < s->end)
        s->p++;
    return r;
}

bool pair_next(struct scan *s, char sep, struct pair *ret)
{
    while (s->p < s->end) {
        while (s->p < s->end && (*s->p == sep || *s->p == ' '))
            s->p++;
        const uint8_t *from = s->p;
        while (s->p < s->end && *s->p != '=' && *s->p != sep && *s->p != '"')
            s->p++;
        if (s->p == s->end)
            return false;
        if (*s->p != '=' || s->p == from) {
            s->p++;
            continue;
        }
        struct pair r = { .key = SM_SPAN(from, (size_t)(s->p - from)) };
        s->p++;
        int c = scan_peek(s);
        if (c == '"' || c == '\'') {
            r.value = quoted(s, (uint8_t)c);
            r.quoted = true;
        } else {
            r.value = scan_until(s, sep);
        }
        *ret = r;
        return true;
    }
    return false;
}
