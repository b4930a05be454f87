/*
 * A query as a condition of SQL.  All that a person typed goes through house_quote, or is a number that this file
 * prints.
 *
 * A row has in plain: the record as it came, in text: what of its values does not stand in plain as words of their own,
 * both folded; and each value in vals (in wide when folding it is more than ASCII in lower case), with its number in
 * nums and its address in addrs where it is one.  The first HOUSE_OWN values are the row's own texts, and have no name.
 *
 * Words begin and end at words: \b of the server's expressions counts "_" as a letter, so the neighbours are written
 * out.  A NUL separates values in text; no query can hold one.
 */
#include "journal/house_int.h"

static const char values[] = "if(empty(wide),vals,wide)";

int house_quote(struct sm_span s, struct sm_buf *ret)
{
    int r = sm_buf_put_u8(ret, '\'');

    for (size_t i = 0; i < s.n && r >= 0; i++) {
        uint8_t c = s.p[i];
        if (c < 0x20 || c == 0x7f)
            r = sm_buf_printf(ret, "\\x%02X", c);
        else if (c == '\'' || c == '\\')
            r = sm_buf_printf(ret, "\\%c", c);
        else
            r = sm_buf_put_u8(ret, c);
    }
    return r < 0 ? r : sm_buf_put_u8(ret, '\'');
}

static int put(struct sm_buf *b, const char *text)
{
    return sm_buf_put(b, text, strlen(text));
}

/* ---- patterns ---- */

static bool is_word_end(const struct q_pattern *p, size_t i)
{
    return p->wild[i] == Q_LITERAL && ev_is_word(p->p[i]);
}

/* Does the pattern need an expression: is it more than "stands somewhere"? */
static bool is_simple(const struct q_pattern *p)
{
    return p->n && !p->whole && !p->any && !p->one && !is_word_end(p, 0) && !is_word_end(p, p->n - 1);
}

static int literal(struct sm_buf *b, uint8_t c)
{
    if (c < 0x80 && c && strchr("\\.+*?()|[]{}^$", c))
        return sm_buf_printf(b, "\\%c", c);
    return sm_buf_put_u8(b, c);
}

/* An end of the pattern that is a letter or digit needs another kind of character beside it. */
static int edge(struct sm_buf *b, const struct q_pattern *p, bool left)
{
    if (p->whole)
        return put(b, left ? "^" : "$");
    if (is_word_end(p, left ? 0 : p->n - 1))
        return put(b, left ? "(?:^|[^0-9a-z])" : "(?:$|[^0-9a-z])");
    return 0;
}

/* "?": one character; at an end where words have to end it is a letter or digit with another kind beside it, or another
 * kind. */
static int one(struct sm_buf *b, const struct q_pattern *p, size_t i, bool joined)
{
    bool left = i == 0 && !p->whole, right = i + 1 == p->n && !p->whole;

    if (!left && !right)
        return put(b, joined ? "[^\\x00]" : ".");
    return sm_buf_printf(b, "(?:%s[0-9a-z]%s|[^0-9a-z%s])", left ? "(?:^|[^0-9a-z])" : "",
        right ? "(?:$|[^0-9a-z])" : "", joined ? "\\x00" : "");
}

/* joined: over a text in which NUL separates values; nothing reaches from the one to the other. */
static int expression(const struct q_pattern *p, bool joined, struct sm_buf *b)
{
    int r = put(b, "(?s)");

    if (r >= 0)
        r = p->n ? edge(b, p, true) : put(b, "^$");
    for (size_t i = 0; i < p->n && r >= 0; i++) {
        if (p->wild[i] == Q_ANY)
            r = put(b, joined ? "[^\\x00]*" : ".*");
        else if (p->wild[i] == Q_ONE)
            r = one(b, p, i, joined);
        else
            r = literal(b, p->p[i]);
    }
    return r < 0 || !p->n ? r : edge(b, p, false);
}

static int call(struct sm_buf *b, const char *name, const char *what, struct sm_span text, const char *after)
{
    int r = sm_buf_printf(b, "%s%s%s", name, what, *name ? "," : "=");

    if (r >= 0)
        r = house_quote(text, b);
    return r < 0 ? r : put(b, after);
}

/* Does the pattern fit the text that the SQL `what` gives? */
static int fits(const struct q_pattern *p, const char *what, struct sm_buf *b)
{
    struct sm_buf e = SM_BUF_INIT(64 << 10);
    struct sm_span text = SM_SPAN(p->p, p->n);

    if (!p->n && !p->whole)
        return put(b, "1");
    if (is_simple(p))
        return call(b, "position(", what, text, ")>0");
    if (p->whole && !p->any && !p->one)
        return call(b, "", what, text, "");
    int r = expression(p, !strcmp(what, "text"), &e);
    if (r >= 0)
        r = call(b, "match(", what, sm_buf_span(&e), ")");
    sm_buf_wipe(&e);
    return r;
}

/* The longest run of a pattern that stands for itself, wherever it fits. */
static struct sm_span longest(const struct q_pattern *p)
{
    struct sm_span best = {0};

    for (size_t i = 0; i < p->n; i++) {
        size_t from = i;
        while (i < p->n && p->wild[i] == Q_LITERAL)
            i++;
        if (i - from > best.n)
            best = SM_SPAN(p->p + from, i - from);
    }
    return best;
}

/* ---- one value ---- */

/* Numbers go over exactly, as their bytes. */
static int number(double v, struct sm_buf *b)
{
    uint8_t bytes[8];
    char hex[17];

    if (v > -9007199254740992.0 && v < 9007199254740992.0 && v == (double)(int64_t)v)
        return sm_buf_printf(b, "%lld", (long long)v);
    memcpy(bytes, &v, 8);
    sm_hex(bytes, 8, hex);
    return sm_buf_printf(b, "reinterpretAsFloat64(unhex('%s'))", hex);
}

/* The SQL of what is compared: a value as it lies, as a number, as an address. */
struct names {
    const char *value, *number, *address;
};

static int bound(const struct q_bound *q, bool high, const struct names *n, struct sm_buf *b)
{
    static const char *const signs[2][2] = {{">", ">="}, {"<", "<="}};
    const char *sign = signs[high][q->inclusive];
    uint8_t a[16];
    char hex[33];
    int r;

    if (q->number) { /* what is no number is NaN, and never is */
        r = sm_buf_printf(b, "%s%s", n->number, sign);
        return r < 0 ? r : number(q->value, b);
    }
    if (q_address(q->text, a) >= 0) {
        sm_hex(a, 16, hex);
        return n->address ? sm_buf_printf(b, "(%s!='' AND %s%sunhex('%s'))", n->address, n->address, sign, hex)
                          : put(b, "0");
    }
    r = sm_buf_printf(b, "lower(%s)%s", n->value, sign);
    return r < 0 ? r : house_quote(q->text, b);
}

static int range(const struct q_node *q, const struct names *n, struct sm_buf *b)
{
    int r = 0;

    if (!q->low.there && !q->high.there)
        return put(b, "1");
    if (q->low.there)
        r = bound(&q->low, false, n, b);
    if (r >= 0 && q->low.there && q->high.there)
        r = put(b, " AND ");
    if (r >= 0 && q->high.there)
        r = bound(&q->high, true, n, b);
    return r;
}

/* Between the first and the last address of the network. */
static int network(const struct q_node *q, const char *address, struct sm_buf *b)
{
    uint8_t low[16], high[16];
    char from[33], to[33];

    for (unsigned i = 0; i < 16; i++) {
        unsigned bits = q->bits > 8 * i ? q->bits - 8 * i : 0;
        uint8_t mask = (uint8_t)(bits >= 8 ? 0xff : 0xff00 >> bits);
        low[i] = q->address[i] & mask;
        high[i] = low[i] | (uint8_t)~mask;
    }
    sm_hex(low, 16, from);
    sm_hex(high, 16, to);
    return sm_buf_printf(b, "(%s!='' AND %s>=unhex('%s') AND %s<=unhex('%s'))", address, address, from, address, to);
}

static int condition(const struct q_node *q, const struct names *n, struct sm_buf *b)
{
    char lower[40];

    (void)snprintf(lower, sizeof lower, "lower(%s)", n->value); /* names of this file */
    switch (q->op) {
    case Q_TERM:
        return fits(&q->pattern, lower, b);
    case Q_RANGE:
        return range(q, n, b);
    case Q_CIDR:
        return network(q, n->address, b);
    default:
        return put(b, "1");
    }
}

/* ---- where to look ---- */

/* A field: any of its values.  f is the folded value where it is asked for as text, v as it came. */
static int in_field(const struct q_node *q, struct sm_buf *b)
{
    static const struct names names = {"v", "x", "a"};
    uint8_t lower[EVENT_NAME_MAX];
    const char *second = values, *as = "v";
    size_t n = q->field.n < sizeof lower ? q->field.n : sizeof lower;

    for (size_t i = 0; i < n; i++)
        lower[i] = ev_lower(q->field.p[i]);
    if (q->op == Q_CIDR)
        second = "addrs", as = "a";
    bool both = q->op == Q_RANGE;
    int r = sm_buf_printf(b, "arrayExists((n,%s)->lower(n)=", both ? "v,x,a" : as);
    if (r >= 0)
        r = house_quote(SM_SPAN(lower, n), b);
    if (r >= 0)
        r = put(b, " AND ");
    if (r >= 0)
        r = condition(q, &names, b);
    return r < 0 ? r : sm_buf_printf(b, ",names,%s)", both ? "vals,nums,addrs" : second);
}

static int in_own_text(const struct q_node *q, struct sm_buf *b)
{
    unsigned i = q->own - EV_HOST + 1;
    char value[48], number_[24], address[24];
    const struct names names = {value, number_, address};

    /* as it came for a range, folded for a word */
    (void)snprintf(value, sizeof value, q->op == Q_TERM ? "if(empty(wide),vals,wide)[%u]" : "vals[%u]", i); /* short */
    (void)snprintf(number_, sizeof number_, "nums[%u]", i);                                                 /* short */
    (void)snprintf(address, sizeof address, "addrs[%u]", i);                                                /* short */
    return q->op == Q_EXISTS ? sm_buf_printf(b, "vals[%u]!=''", i) : condition(q, &names, b);
}

/* A moment that every server reads as a whole number. */
static long long within(int64_t s)
{
    const int64_t most = INT64_MAX / 4;

    return s < -most ? -most : s > most ? most : s;
}

static int in_own_number(const struct q_node *q, struct sm_buf *b)
{
    static const struct {
        unsigned kind;
        const char *column;
    } columns[] = {
        {EV_ID, "id"}, {EV_TIME, "time"}, {EV_SEEN, "seen"}, {EV_SOURCE, "source"}, {EV_SEVERITY, "severity"}};
    char as_text[40], as_number[40];
    const struct names names = {as_text, as_number, NULL};

    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        const char *c = columns[i].column;
        if (columns[i].kind != q->own)
            continue;
        if (q->op == Q_TIME)
            return sm_buf_printf(b, "(%s>=%lld AND %s<%lld)", c, within(q->from.s), c, within(q->to.s));
        (void)snprintf(as_text, sizeof as_text, "toString(%s)", c);      /* short */
        (void)snprintf(as_number, sizeof as_number, "toFloat64(%s)", c); /* short */
        return q->op == Q_EXISTS ? put(b, "1") : range(q, &names, b);
    }
    return put(b, "0");
}

static int leaf(const struct q_node *q, struct sm_buf *b)
{
    int r;

    if (q->own == EV_RAW)
        return q->op == Q_TERM ? fits(&q->pattern, "plain", b) : put(b, "0");
    if (q->own >= EV_ID)
        return in_own_number(q, b);
    if (q->own)
        return in_own_text(q, b);
    if (q->field.n)
        return in_field(q, b);
    r = fits(&q->pattern, "plain", b);
    if (r >= 0)
        r = put(b, " OR ");
    return r < 0 ? r : fits(&q->pattern, "text", b);
}

static int exact(const struct evquery *q, int at, struct sm_buf *b)
{
    const struct q_node *n = &q->node[at];
    int r = 0;

    if (n->op == Q_ALL)
        return put(b, "1");
    r = put(b, n->op == Q_NOT ? "NOT (" : "(");
    if (r >= 0 && n->op != Q_AND && n->op != Q_OR && n->op != Q_NOT)
        r = leaf(n, b);
    else if (r >= 0)
        r = exact(q, n->a, b);
    if (r >= 0 && (n->op == Q_AND || n->op == Q_OR)) {
        r = put(b, n->op == Q_AND ? " AND " : " OR ");
        if (r >= 0)
            r = exact(q, n->b, b);
    }
    return r < 0 ? r : put(b, ")");
}

/* ---- at least ---- */

/* Can anything be said of this part without looking at values one by one? */
static bool says(const struct evquery *q, int at)
{
    const struct q_node *n = &q->node[at];

    if (n->op == Q_AND)
        return says(q, n->a) || says(q, n->b);
    if (n->op == Q_OR)
        return says(q, n->a) && says(q, n->b);
    return n->op == Q_TERM && (!n->own || n->own == EV_RAW) && longest(&n->pattern).n > 0;
}

static int least(const struct evquery *q, int at, struct sm_buf *b)
{
    const struct q_node *n = &q->node[at];
    int r;

    if (n->op == Q_AND && says(q, n->a) != says(q, n->b))
        return least(q, says(q, n->a) ? n->a : n->b, b);
    r = put(b, "(");
    if (r >= 0 && (n->op == Q_AND || n->op == Q_OR)) {
        r = least(q, n->a, b);
        if (r >= 0)
            r = put(b, n->op == Q_AND ? " AND " : " OR ");
        if (r >= 0)
            r = least(q, n->b, b);
        return r < 0 ? r : put(b, ")");
    }
    struct sm_span run = longest(&n->pattern);
    if (r >= 0)
        r = put(b, "position(plain,");
    if (r >= 0)
        r = house_quote(run, b);
    if (r >= 0)
        r = put(b, n->own == EV_RAW ? ")>0" : ")>0 OR position(text,");
    if (r >= 0 && n->own != EV_RAW)
        r = house_quote(run, b);
    if (r >= 0 && n->own != EV_RAW)
        r = put(b, ")>0");
    return r < 0 ? r : put(b, ")");
}

int house_where(const struct evquery *q, struct sm_buf *ret_exact, struct sm_buf *ret_least)
{
    int r = q ? exact(q, q->root, ret_exact) : put(ret_exact, "1");

    if (r < 0)
        return r;
    return q && says(q, q->root) ? least(q, q->root, ret_least) : put(ret_least, "1");
}
