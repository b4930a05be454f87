/*
 * From text to query.  Words people know: field:value, field=whole value, "quoted", * ?, AND OR NOT - ( ), field>5,
 * field:[a TO b],
 * addresses as a.b.c.d/n, field:* (is there).  Between two terms nothing means AND.  Full-width forms of signs are
 * the same.
 */
#include "journal/query.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/time.h"

struct parser {
    struct evquery *q;
    const uint8_t *p;
    size_t n, at;
    int zone_s;
    unsigned depth;
    struct evquery_error *why;
    int err;
};

/* ---- errors, memory ---- */

static int fail(struct parser *s, size_t at, const char *ja, const char *en)
{
    if (s->err)
        return -1;
    s->err = -SM_EINVAL;
    *s->why = (struct evquery_error){ .at_byte = at };
    for (size_t i = 0; i < at && i < s->n; i++)
        s->why->at_char += (s->p[i] & 0xc0) != 0x80;
    snprintf(s->why->ja, sizeof s->why->ja, "%s", ja);
    snprintf(s->why->en, sizeof s->why->en, "%s", en);
    return -1;
}

static int memory(struct parser *s)
{
    s->err = s->err ? s->err : -ENOMEM;
    return -1;
}

static uint8_t *own(struct parser *s, size_t n)
{
    uint8_t **more = realloc(s->q->owned, (s->q->owned_n + 1) * sizeof *more);

    if (!more)
        return NULL;
    s->q->owned = more;
    more[s->q->owned_n] = calloc(1, n + 1);
    return more[s->q->owned_n] ? more[s->q->owned_n++] : NULL;
}

static int node(struct parser *s, enum q_op op, int a, int b)
{
    if (s->err)
        return -1;
    if (s->q->n == EVQUERY_NODES_MAX)
        return fail(s, s->at, "条件が多すぎます", "too many conditions");
    s->q->node[s->q->n] = (struct q_node){ .op = op, .a = a, .b = b };
    return (int)s->q->n++;
}

/* ---- characters ---- */

/* The character at `at`, full-width signs as plain ones; its length in *ret_n.  0 at the end. */
static unsigned peek(const struct parser *s, size_t at, size_t *ret_n)
{
    static const struct { const char *wide; char plain; } same[] = { { "　", ' ' }, { "：", ':' }, { "（", '(' }, { "）",
        ')' },
        { "＊", '*' }, { "？", '?' }, { "＝", '=' }, { "＞", '>' }, { "＜", '<' }, { "「", '"' }, { "」", '"' }, { "“", '"' },
        { "”", '"' }, { "［", '[' }, { "］", ']' } };

    *ret_n = 1;
    if (at >= s->n)
        return 0;
    if (s->p[at] < 0x80)
        return s->p[at];
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (s->n - at >= 3 && !memcmp(s->p + at, same[i].wide, 3)) {
            *ret_n = 3;
            return (unsigned char)same[i].plain;
        }
    while (at + *ret_n < s->n && (s->p[at + *ret_n] & 0xc0) == 0x80)
        ++*ret_n;
    return 0x80;
}

static bool is_space(unsigned c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void spaces(struct parser *s)
{
    size_t n;

    while (is_space(peek(s, s->at, &n)))
        s->at += n;
}

static bool ends_word(unsigned c)
{
    return !c || is_space(c) || c == '(' || c == ')' || c == '"';
}

/* Letters and digits of full width as plain ones (U+FF10 to U+FF5A); every other byte as it stands. */
static size_t narrow(const struct parser *s, size_t at, uint8_t *ret)
{
    size_t left = s->n - at;

    *ret = s->p[at];
    if (left < 3 || s->p[at] != 0xef || (s->p[at + 1] != 0xbc && s->p[at + 1] != 0xbd))
        return 1;
    unsigned c = 0xf000u | (s->p[at + 1] & 0x3fu) << 6 | (s->p[at + 2] & 0x3fu);
    if (c < 0xff10 || c > 0xff5a || !ev_is_word((uint8_t)(c - 0xfee0)))
        return 1;
    *ret = (uint8_t)(c - 0xfee0);
    return 3;
}

/* Is this word here, standing alone? */
static bool word(struct parser *s, const char *w)
{
    size_t at = s->at, k;
    uint8_t c;

    for (; *w; w++) {
        if (at >= s->n)
            return false;
        at += narrow(s, at, &c);
        if (c != (uint8_t)*w)
            return false;
    }
    if (!ends_word(peek(s, at, &k)))
        return false;
    s->at = at;
    return true;
}

static bool sign(struct parser *s, char c)
{
    size_t n;

    if (peek(s, s->at, &n) != (unsigned char)c)
        return false;
    s->at += n;
    return true;
}

/* ---- values ---- */

/* Raw text of a value with wildcards marked; not yet folded. */
struct value { struct sm_buf text, wild; bool quoted; size_t at; };

static void value_wipe(struct value *v)
{
    sm_buf_wipe(&v->text);
    sm_buf_wipe(&v->wild);
}

static int value_put(struct parser *s, struct value *v, const uint8_t *p, size_t n, uint8_t wild)
{
    for (size_t i = 0; i < n; i++)
        if (sm_buf_put_u8(&v->text, p[i]) < 0 || sm_buf_put_u8(&v->wild, wild) < 0)
            return memory(s);
    if (v->text.n > QUERY_PATTERN_MAX)
        return fail(s, v->at, "言葉が長すぎます（1024バイトまで）", "the value is too long (1024 bytes at most)");
    return 0;
}

static int quoted(struct parser *s, struct value *v)
{
    size_t n, from = s->at;

    v->quoted = true;
    sign(s, '"');
    for (;;) {
        unsigned c = peek(s, s->at, &n);
        if (!c)
            return fail(s, from, "引用符「\"」が閉じていません", "a closing quotation mark \" was expected");
        s->at += n;
        if (c == '"')
            return 0;
        const uint8_t *p = s->p + s->at - n;
        if (c == '\\' && (peek(s, s->at, &n) == '"' || peek(s, s->at, &n) == '\\')) {
            p = s->p + s->at;
            s->at += n;
        }
        if (value_put(s, v, p, n, Q_LITERAL) < 0)
            return -1;
    }
}

/* stop: also ends at these characters. */
static int bare(struct parser *s, struct value *v, const char *stop)
{
    size_t n;

    for (;;) {
        unsigned c = peek(s, s->at, &n);
        if (ends_word(c) || (c < 0x80 && strchr(stop, (int)c)))
            return 0;
        const uint8_t *p = s->p + s->at;
        uint8_t wild = c == '*' ? Q_ANY : c == '?' ? Q_ONE : Q_LITERAL;
        s->at += n;
        if (c == '\\' && s->at < s->n && s->p[s->at] < 0x80 && strchr("\\*?\"():=<> ", s->p[s->at])) {
            p = s->p + s->at++;
            n = 1;
            wild = Q_LITERAL;
        }
        if (value_put(s, v, wild ? (const uint8_t *)"*" : p, wild ? 1 : n, wild) < 0)
            return -1;
    }
}

static int value(struct parser *s, struct value *v, const char *stop)
{
    size_t n;

    v->at = s->at;
    return peek(s, s->at, &n) == '"' ? quoted(s, v) : bare(s, v, stop);
}

/* ---- patterns and their keys ---- */

static int fold_pattern(struct parser *s, const struct value *v, struct q_pattern *ret)
{
    struct sm_buf b = SM_BUF_INIT(4 * QUERY_PATTERN_MAX);
    uint8_t *p = own(s, v->text.n), *wild = own(s, v->text.n);
    size_t n = 0;
    int r = p && wild ? 0 : -ENOMEM;

    for (size_t i = 0; i < v->text.n && r >= 0;) {
        size_t end = i + 1;
        while (end < v->text.n && v->wild.p[end] == v->wild.p[i] && v->wild.p[i] == Q_LITERAL)
            end++;
        sm_buf_clear(&b);
        r = ev_fold(SM_SPAN(v->text.p + i, end - i), &b);
        bool twice = n && v->wild.p[i] == Q_ANY && wild[n - 1] == Q_ANY;
        if (r >= 0 && !twice) {
            memcpy(p + n, b.p, b.n);
            memset(wild + n, v->wild.p[i], b.n);
            n += b.n;
        }
        ret->any |= v->wild.p[i] == Q_ANY;
        ret->one |= v->wild.p[i] == Q_ONE;
        i = end;
    }
    sm_buf_wipe(&b);
    if (r < 0)
        return memory(s);
    ret->p = p;
    ret->wild = wild;
    ret->n = n;
    return 0;
}

static void put_key(void *arg, uint64_t key)
{
    struct q_node *n = arg;

    if (n->keys < QUERY_KEYS_MAX)
        n->key[n->keys++] = key;
}

static void keys(struct q_node *n)
{
    const struct q_pattern *p = &n->pattern;

    if (p->whole && !p->any && !p->one && p->n <= EV_VALUE_KEY_MAX && !n->own)
        put_key(n, ev_key_value(n->field, SM_SPAN(p->p, p->n)));
    for (size_t i = 0; i < p->n;) {
        if (p->wild[i]) {
            i++;
            continue;
        }
        size_t end = i;
        while (end < p->n && !p->wild[end])
            end++;
        const struct ev_keys k = { .put = put_key, .arg = n, .open_left = i > 0, .open_right = end < p->n,
            .trigrams = true };
        ev_keys_of(SM_SPAN(p->p + i, end - i), &k);
        i = end;
    }
}

/* ---- numbers, addresses, times ---- */

bool q_number(struct sm_span t, double *ret)
{
    double v = 0, scale = 1;
    size_t i = 0, digits = 0;
    bool minus = t.n && t.p[0] == '-';

    if (t.n > 40)
        return false;
    if (t.n > 2 && t.p[0] == '0' && (t.p[1] | 0x20) == 'x') {
        for (i = 2; i < t.n; i++) {
            uint8_t c = ev_lower(t.p[i]);
            if ((uint8_t)(c - '0') > 9 && (uint8_t)(c - 'a') > 5)
                return false;
            v = 16 * v + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        *ret = v;
        return true;
    }
    for (i = minus; i < t.n && (uint8_t)(t.p[i] - '0') < 10; i++, digits++)
        v = 10 * v + (t.p[i] - '0');
    if (i < t.n && t.p[i] == '.')
        for (i++; i < t.n && (uint8_t)(t.p[i] - '0') < 10; i++, digits++)
            v += (t.p[i] - '0') * (scale /= 10);
    if (i != t.n || !digits)
        return false;
    *ret = minus ? -v : v;
    return true;
}

static int four(struct sm_span t, uint8_t ret[4])
{
    size_t i = 0;

    for (unsigned k = 0; k < 4; k++) {
        unsigned v = 0, digits = 0;
        if (k && (i >= t.n || t.p[i++] != '.'))
            return -SM_EFORMAT;
        for (; i < t.n && (uint8_t)(t.p[i] - '0') < 10 && digits < 4; i++, digits++)
            v = 10 * v + (unsigned)(t.p[i] - '0');
        if (!digits || v > 255 || digits > 3)
            return -SM_EFORMAT;
        ret[k] = (uint8_t)v;
    }
    return i == t.n ? 0 : -SM_EFORMAT;
}

/* Groups of hexadecimal digits from *i on, up to the end or "::".  Returns how many bytes, or -SM_EFORMAT. */
static int groups(struct sm_span t, size_t *i, uint8_t *to, unsigned room)
{
    unsigned n = 0;

    while (*i < t.n && n < room) {
        unsigned v = 0, digits = 0;
        size_t from = *i;
        for (; *i < t.n && digits < 5; ++*i, digits++) {
            uint8_t c = ev_lower(t.p[*i]);
            if ((uint8_t)(c - '0') > 9 && (uint8_t)(c - 'a') > 5)
                break;
            v = 16 * v + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        if (*i < t.n && t.p[*i] == '.' && n + 4 <= room && four(SM_SPAN(t.p + from, t.n - from), to + n) >= 0) {
            *i = t.n;
            return (int)n + 4;
        }
        if (!digits || digits > 4)
            return -SM_EFORMAT;
        to[n++] = (uint8_t)(v >> 8);
        to[n++] = (uint8_t)v;
        if (*i == t.n)
            break;
        if (t.p[*i] != ':')
            return -SM_EFORMAT;
        ++*i;
        if (*i < t.n && t.p[*i] == ':')
            break;
    }
    return (int)n;
}

int q_address(struct sm_span t, uint8_t ret[16])
{
    uint8_t a[16] = { 0 }, tail[16];
    size_t i = 0;

    if (four(t, a + 12) >= 0) {
        a[10] = a[11] = 0xff;
        memcpy(ret, a, 16);
        return 0;
    }
    if (t.n < 2 || t.n > 45)
        return -SM_EFORMAT;
    memset(a, 0, sizeof a);
    bool gap = t.p[0] == ':' && t.p[1] == ':';
    int head = gap ? 0 : groups(t, &i, a, 16);
    if (head < 0)
        return head;
    if (gap || (i < t.n && t.p[i] == ':')) {
        i += gap ? 2 : 1;
        int n = groups(t, &i, tail, 14u - (unsigned)(head > 14 ? 14 : head));
        if (n < 0 || i != t.n || head + n > 14)
            return -SM_EFORMAT;
        memcpy(a + 16 - n, tail, (size_t)n);
    } else if (head != 16 || i != t.n) {
        return -SM_EFORMAT;
    }
    memcpy(ret, a, 16);
    return 0;
}

/* "192.0.2.0/24".  false: no such thing. */
static bool cidr(struct sm_span t, struct q_node *n)
{
    const uint8_t *slash = memchr(t.p, '/', t.n);
    double bits;

    if (!slash || q_address(SM_SPAN(t.p, slash - t.p), n->address) < 0
        || !q_number(SM_SPAN(slash + 1, t.p + t.n - slash - 1), &bits))
        return false;
    bool v4 = !memchr(t.p, ':', t.n);
    if (bits < 0 || bits > (v4 ? 32 : 128) || bits != floor(bits))
        return false;
    n->bits = (unsigned)bits + (v4 ? 96 : 0);
    return true;
}

/* "2026-11-24", "2026-11-24 08:30", RFC 3339; *ret_width: how long the moment lasts that the text names. */
bool evquery_time(struct sm_span t, int zone_s, int64_t *ret_s, int64_t *ret_width)
{
    char text[SM_TIME_TEXT];
    struct sm_time at;
    bool zoned;

    if (t.n < 10 || t.n > 32)
        return false;
    memcpy(text, t.p, t.n);
    text[t.n] = 0;
    if (t.n > 10 && (text[10] == ' ' || text[10] == 't'))
        text[10] = 'T';
    *ret_width = t.n == 10 ? 86400 : t.n == 16 ? 60 : 1;
    zoned = t.n > 19;
    if (t.n == 10)
        memcpy(text + 10, "T00:00:00Z", 11);
    else if (t.n == 16)
        memcpy(text + 16, ":00Z", 5);
    else if (t.n == 19)
        memcpy(text + 19, "Z", 2);
    else if (text[t.n - 1] == 'z')
        text[t.n - 1] = 'Z';
    if (sm_time_parse(text, &at) < 0)
        return false;
    *ret_s = at.s - (zoned ? 0 : zone_s);
    return true;
}

/* ---- conditions ---- */

static const struct { const char *name; unsigned kind; } own_fields[] = {
    { "host", EV_HOST }, { "@host", EV_HOST }, { "@product", EV_PRODUCT }, { "@category", EV_CATEGORY },
    { "@service", EV_SERVICE }, { "@format", EV_FORMAT }, { "@rules", EV_RULES }, { "@rule", EV_RULES }, { "@id",
    EV_ID },
    { "@time", EV_TIME }, { "@timestamp", EV_TIME }, { "@seen", EV_SEEN }, { "@source", EV_SOURCE },
    { "@severity", EV_SEVERITY }, { "raw", EV_RAW }, { "@raw", EV_RAW },
};

static unsigned own_kind(struct sm_span field)
{
    for (size_t i = 0; i < sizeof own_fields / sizeof *own_fields; i++)
        if (sm_span_eq(field, SM_SPAN_STR(own_fields[i].name)))
            return own_fields[i].kind;
    return 0;
}

static int copy_text(struct parser *s, const struct value *v, struct sm_span *ret)
{
    struct q_pattern p = { 0 };

    if (fold_pattern(s, v, &p) < 0)
        return -1;
    *ret = SM_SPAN(p.p, p.n);
    return 0;
}

static int time_range(struct parser *s, struct q_node *n, const struct value *low, const struct value *high)
{
    int64_t at, width;

    n->op = Q_TIME;
    n->from.s = INT64_MIN;
    n->to.s = INT64_MAX;
    if (n->low.there) {
        if (!evquery_time(sm_buf_span(&low->text), s->zone_s, &at, &width))
            return fail(s, low->at, "日時（例 2026-11-24、2026-11-24T08:30）が必要です",
                "a date or time (2026-11-24, 2026-11-24T08:30) was expected");
        n->from.s = n->low.inclusive ? at : at + width;
    }
    if (n->high.there) {
        if (!evquery_time(sm_buf_span(&high->text), s->zone_s, &at, &width))
            return fail(s, high->at, "日時（例 2026-11-24、2026-11-24T08:30）が必要です",
                "a date or time (2026-11-24, 2026-11-24T08:30) was expected");
        n->to.s = n->high.inclusive ? at + width : at;
    }
    return 0;
}

static int range(struct parser *s, int at, const struct value *low, const struct value *high)
{
    struct q_node *n = &s->q->node[at];

    if (!n->field.n)
        return fail(s, s->at, "範囲には項目名が必要です（例 LogonType>3）", "a range needs a field (LogonType>3)");
    if (n->own == EV_TIME || n->own == EV_SEEN)
        return time_range(s, n, low, high) < 0 ? -1 : at;
    n->op = Q_RANGE;
    if ((n->low.there && copy_text(s, low, &n->low.text) < 0) || (n->high.there && copy_text(s, high,
        &n->high.text) < 0))
        return -1;
    n->low.number = n->low.there && q_number(n->low.text, &n->low.value);
    n->high.number = n->high.there && q_number(n->high.text, &n->high.value);
    return at;
}

static bool is_star(const struct value *v)
{
    return v->text.n == 1 && v->wild.p[0] == Q_ANY;
}

/* [a TO b], {a TO b}; the first bracket is read already. */
static int brackets(struct parser *s, int at, bool inclusive)
{
    struct value low = { 0 }, high = { 0 };
    int r = -1;

    spaces(s);
    if (value(s, &low, "]}") < 0)
        goto out;
    spaces(s);
    if (!word(s, "TO") && !word(s, "to") && !word(s, "から")) {
        fail(s, s->at, "「TO」が必要です（例 [1 TO 5]）", "TO was expected ([1 TO 5])");
        goto out;
    }
    spaces(s);
    if (value(s, &high, "]}") < 0)
        goto out;
    spaces(s);
    bool last = sign(s, ']');
    if (!last && !sign(s, '}')) {
        fail(s, s->at, "「]」が必要です", "] was expected");
        goto out;
    }
    s->q->node[at].low = (struct q_bound){ .there = low.text.n && !is_star(&low), .inclusive = inclusive };
    s->q->node[at].high = (struct q_bound){ .there = high.text.n && !is_star(&high), .inclusive = last };
    r = range(s, at, &low, &high);
out:
    value_wipe(&low);
    value_wipe(&high);
    return r;
}

static int compare(struct parser *s, int at, bool greater, bool inclusive)
{
    struct value v = { 0 };
    int r = -1;

    spaces(s);
    if (value(s, &v, ")") < 0)
        goto out;
    if (!v.text.n) {
        fail(s, s->at, "比べる値が必要です", "a value to compare with was expected");
        goto out;
    }
    if (greater)
        s->q->node[at].low = (struct q_bound){ .there = true, .inclusive = inclusive };
    else
        s->q->node[at].high = (struct q_bound){ .there = true, .inclusive = inclusive };
    r = range(s, at, &v, &v);
out:
    value_wipe(&v);
    return r;
}

static int number_term(struct parser *s, int at, const struct value *v)
{
    struct q_node *n = &s->q->node[at];

    n->low = n->high = (struct q_bound){ .there = true, .inclusive = true };
    return range(s, at, v, v);
}

/* The same value with its katakana in the other form: 1, or 0 when it has none of that form. */
static int other_width(struct parser *s, const struct value *v, int (*change)(struct sm_span, struct sm_buf *, bool *), struct value *ret)
{
    struct sm_buf run = SM_BUF_INIT(4 * QUERY_PATTERN_MAX);
    bool changed = false;
    int r = 0;

    *ret = (struct value){ .quoted = v->quoted, .at = v->at, .text = SM_BUF_INIT(4 * QUERY_PATTERN_MAX), .wild = SM_BUF_INIT(4 * QUERY_PATTERN_MAX) };
    for (size_t i = 0; i < v->text.n && r >= 0;) {
        size_t end = i + 1;
        while (end < v->text.n && v->wild.p[end] == v->wild.p[i] && v->wild.p[i] == Q_LITERAL)
            end++;
        sm_buf_clear(&run);
        r = v->wild.p[i] == Q_LITERAL ? change(SM_SPAN(v->text.p + i, end - i), &run, &changed) : sm_buf_put_u8(&run, v->text.p[i]);
        if (r >= 0)
            r = sm_buf_put_span(&ret->text, sm_buf_span(&run));
        for (size_t k = 0; k < run.n && r >= 0; k++)
            r = sm_buf_put_u8(&ret->wild, v->wild.p[i]);
        i = end;
    }
    sm_buf_wipe(&run);
    return r < 0 ? memory(s) : changed;
}

/* A term with katakana also stands for what has it in the other width: the terms are joined by OR. */
static int other_widths(struct parser *s, int at, const struct value *v)
{
    static int (*const change[])(struct sm_span, struct sm_buf *, bool *) = { q_kana_full, q_kana_half };
    int left = at;

    for (size_t i = 0; i < 2 && left >= 0; i++) {
        struct value other;
        int r = other_width(s, v, change[i], &other);
        int also = r > 0 ? node(s, Q_TERM, -1, -1) : -1;
        if (also >= 0) {
            struct q_node *n = &s->q->node[also], *same = &s->q->node[at];
            n->field = same->field;
            n->own = same->own;
            r = fold_pattern(s, &other, &n->pattern);
            n->pattern.whole = same->pattern.whole;
            if (r >= 0)
                keys(n);
            left = r < 0 ? -1 : node(s, Q_OR, left, also);
        } else if (r) {
            left = -1;
        }
        value_wipe(&other);
    }
    return left;
}

static int term(struct parser *s, int at, const struct value *v, bool whole)
{
    struct q_node *n = &s->q->node[at];

    if (!v->text.n && !v->quoted)
        return fail(s, v->at, "探す言葉が必要です", "something to look for was expected");
    if (n->field.n && is_star(v)) {
        n->op = Q_EXISTS;
        return at;
    }
    if (n->own >= EV_ID && n->own != EV_RAW)
        return number_term(s, at, v);
    if (n->field.n && !v->quoted && cidr(sm_buf_span(&v->text), n)) {
        n->op = Q_CIDR;
        return at;
    }
    n->op = !v->text.n && !whole ? Q_EXISTS : Q_TERM;
    if (!n->field.n && (is_star(v) || !v->text.n))
        n->op = Q_ALL;
    if (fold_pattern(s, v, &n->pattern) < 0)
        return -1;
    n->pattern.whole = whole;
    keys(n);
    return n->op == Q_TERM ? other_widths(s, at, v) : at;
}

static int expression(struct parser *s);
static int or_list(struct parser *s, struct sm_span field, unsigned own);

/* What follows a field and its sign. */
static int condition(struct parser *s, struct sm_span field, unsigned own_kind_, char op)
{
    struct value v = { 0 };
    size_t n;
    int at = node(s, Q_TERM, -1, -1);

    if (at < 0)
        return -1;
    s->q->node[at].field = field;
    s->q->node[at].own = own_kind_;
    if (op == ':' && peek(s, s->at, &n) == '(') {
        sign(s, '(');
        return or_list(s, field, own_kind_);
    }
    bool greater = op == '>', less = op == '<';
    if (op == ':' && (sign(s, '>') || (less = sign(s, '<'))))
        greater = !less;
    if (greater || less) {
        bool inclusive = sign(s, '=');
        return compare(s, at, greater, inclusive);
    }
    if (op == ':' && (sign(s, '[') || (peek(s, s->at, &n) == '{' && sign(s, '{'))))
        return brackets(s, at, s->p[s->at - 1] != '{');
    int r = value(s, &v, "") < 0 ? -1 : term(s, at, &v, op == '=');
    value_wipe(&v);
    return r;
}

/* field:(a b OR c): the terms inside are of that field. */
static int or_list(struct parser *s, struct sm_span field, unsigned own_kind_)
{
    int left = -1;
    bool either = false;

    for (;;) {
        spaces(s);
        if (sign(s, ')'))
            break;
        if (s->at >= s->n)
            return fail(s, s->at, "「)」が必要です", ") was expected");
        if (word(s, "OR") || word(s, "または")) {
            either = true;
            continue;
        }
        if (word(s, "AND") || word(s, "かつ")) {
            either = false;
            continue;
        }
        struct value v = { 0 };
        int at = node(s, Q_TERM, -1, -1);
        if (at >= 0) {
            s->q->node[at].field = field;
            s->q->node[at].own = own_kind_;
            at = value(s, &v, "") < 0 ? -1 : term(s, at, &v, false);
        }
        value_wipe(&v);
        if (at < 0)
            return -1;
        left = left < 0 ? at : node(s, either ? Q_OR : Q_AND, left, at);
        either = false;
        if (left < 0)
            return -1;
    }
    return left < 0 ? fail(s, s->at, "かっこの中に言葉が必要です", "something inside the parentheses was expected") : left;
}

/* The length of a field's name here when one of : = < > follows; 0 else. */
static size_t field_here(const struct parser *s, size_t *ret_op_n, unsigned *ret_op)
{
    size_t at = s->at, n;

    for (;;) {
        unsigned c = peek(s, at, &n);
        if (c == ':' || c == '=' || c == '<' || c == '>') {
            *ret_op = c;
            *ret_op_n = n;
            return at - s->at;
        }
        if (c >= 0x80 || ev_is_word((uint8_t)c) || (c && strchr("_-.@/", (int)c)))
            at += n;
        else
            return 0;
    }
}

static int leaf(struct parser *s)
{
    struct value v = { 0 };
    size_t op_n = 0;
    unsigned op = 0;
    size_t n = field_here(s, &op_n, &op);

    if (n && n <= EVENT_NAME_MAX) {
        uint8_t *name = own(s, n);
        if (!name)
            return memory(s);
        size_t end = s->at + n, len = 0;
        while (s->at < end)
            s->at += narrow(s, s->at, &name[len++]);
        s->at += op_n;
        struct sm_span field = SM_SPAN(name, len);
        return condition(s, field, own_kind(field), (char)op);
    }
    int at = node(s, Q_TERM, -1, -1), r = at;
    if (at >= 0)
        r = value(s, &v, "") < 0 ? -1 : term(s, at, &v, false);
    value_wipe(&v);
    return r;
}

static int factor(struct parser *s)
{
    size_t n;

    spaces(s);
    if (++s->depth > EVQUERY_DEPTH_MAX)
        return fail(s, s->at, "かっこが深すぎます", "nested too deeply");
    int r;
    if (word(s, "NOT") || word(s, "not") || word(s, "除く")) {
        r = factor(s);
        r = r < 0 ? -1 : node(s, Q_NOT, r, -1);
    } else if ((peek(s, s->at, &n) == '-' || peek(s, s->at, &n) == '!') && !ends_word(peek(s, s->at + 1, &n))) {
        s->at++;
        r = factor(s);
        r = r < 0 ? -1 : node(s, Q_NOT, r, -1);
    } else if (sign(s, '(')) {
        r = expression(s);
        spaces(s);
        if (r >= 0 && !sign(s, ')'))
            r = fail(s, s->at, "「)」が必要です", ") was expected");
    } else if (peek(s, s->at, &n) == ')' || s->at >= s->n) {
        r = fail(s, s->at, "探す言葉が必要です", "something to look for was expected");
    } else {
        r = leaf(s);
    }
    s->depth--;
    return r;
}

static bool is_or(struct parser *s)
{
    spaces(s);
    if (s->n - s->at >= 2 && !memcmp(s->p + s->at, "||", 2)) {
        s->at += 2;
        return true;
    }
    return word(s, "OR") || word(s, "or") || word(s, "または");
}

static int both(struct parser *s)
{
    int left = factor(s);

    while (left >= 0) {
        size_t n, was = s->at;
        spaces(s);
        if (s->at >= s->n || peek(s, s->at, &n) == ')')
            break;
        if (is_or(s)) {
            s->at = was;
            break;
        }
        if (s->n - s->at >= 2 && !memcmp(s->p + s->at, "&&", 2))
            s->at += 2;
        else if (!word(s, "AND") && !word(s, "and"))
            (void)word(s, "かつ"); /* nothing between two terms is AND, too */
        int right = factor(s);
        left = right < 0 ? -1 : node(s, Q_AND, left, right);
    }
    return left;
}

static int expression(struct parser *s)
{
    int left = both(s);

    while (left >= 0 && is_or(s)) {
        int right = both(s);
        left = right < 0 ? -1 : node(s, Q_OR, left, right);
    }
    return left;
}

int evquery_parse(struct sm_span text, int zone_s, struct evquery **ret, struct evquery_error *ret_error)
{
    struct evquery_error why = { 0 };
    struct evquery *q = calloc(1, sizeof *q);
    struct parser s = { .q = q, .p = text.p, .n = text.n, .zone_s = zone_s, .why = &why };

    if (q)
        q->node = calloc(EVQUERY_NODES_MAX, sizeof *q->node);
    if (!q || !q->node) {
        evquery_free(q);
        return -ENOMEM;
    }
    if (text.n > EVQUERY_TEXT_MAX)
        fail(&s, EVQUERY_TEXT_MAX, "検索の文が長すぎます", "the query is too long");
    else if (!sm_utf8_valid(text))
        fail(&s, 0, "文字コードがUTF-8ではありません", "the query is not UTF-8");
    spaces(&s);
    q->root = s.err ? -1 : s.at >= s.n ? node(&s, Q_ALL, -1, -1) : expression(&s);
    spaces(&s);
    if (!s.err && s.at < s.n)
        fail(&s, s.at, "ここで終わるはずです（余分な「)」）", "the end was expected here (a ) too many)");
    if (s.err) {
        evquery_free(q);
        if (ret_error && s.err == -SM_EINVAL)
            *ret_error = why;
        return s.err;
    }
    *ret = q;
    return 0;
}

void evquery_free(struct evquery *q)
{
    if (!q)
        return;
    for (size_t i = 0; i < q->owned_n; i++)
        free(q->owned[i]);
    free(q->owned);
    free(q->node);
    free(q);
}
