#include "core/opt.h"
#include <errno.h>
#include <stdarg.h>

enum { WHY = 240 };

/* One checked value, not yet in the settings. */
struct value {
    bool set;
    int64_t number; /* BOOL, INT, BYTES, DURATION */
    char *text;     /* TEXT, PATH, CHOICE */
};

struct unit {
    const char *name;
    int64_t factor;
};
static const struct unit byte_units[] = {
    {"T", 1LL << 40}, {"G", 1LL << 30}, {"M", 1LL << 20}, {"K", 1LL << 10}, {"", 1}};
static const struct unit time_units[] = {{"w", 604800}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};

static bool is_text(const struct sm_opt *o)
{
    return o->kind == SM_OPT_TEXT || o->kind == SM_OPT_PATH || o->kind == SM_OPT_CHOICE;
}

/* The largest unit that divides v, so that what is printed reads back as the same number. */
static void number_text(const struct sm_opt *o, int64_t v, char ret[32])
{
    const struct unit *u = o->kind == SM_OPT_BYTES ? byte_units : time_units;
    if (o->kind == SM_OPT_BOOL) {
        (void)snprintf(ret, 32, "%s", v ? "yes" : "no");
        return;
    }
    if (o->kind == SM_OPT_INT) {
        (void)snprintf(ret, 32, "%lld", (long long)v);
        return;
    }
    while (u->factor > 1 && (v == 0 || v % u->factor != 0))
        u++;
    (void)snprintf(ret, 32, "%lld%s", (long long)(v / u->factor), u->name);
}

static void allowed_text(const struct sm_opt *o, char *ret, size_t n)
{
    char min[32], max[32];
    number_text(o, o->min, min);
    number_text(o, o->max, max);
    switch (o->kind) {
    case SM_OPT_BOOL:
        (void)snprintf(ret, n, "yes or no");
        break;
    case SM_OPT_INT:
        (void)snprintf(ret, n, "a whole number from %s to %s", min, max);
        break;
    case SM_OPT_TEXT:
        (void)snprintf(
            ret, n, "text of %lld to %lld bytes without control characters", (long long)o->min, (long long)o->max);
        break;
    case SM_OPT_PATH:
        (void)snprintf(
            ret, n, "an absolute path%s of at most %lld bytes", o->min == 0 ? " (or nothing)" : "", (long long)o->max);
        break;
    case SM_OPT_CHOICE:
        (void)snprintf(ret, n, "one of %s", o->choices);
        break;
    case SM_OPT_BYTES:
        (void)snprintf(ret, n, "a size from %s to %s (K, M, G, T)", min, max);
        break;
    case SM_OPT_DURATION:
        (void)snprintf(ret, n, "a time from %s to %s (s, m, h, d, w)", min, max);
        break;
    }
}

/* Decimal digits, then one of the units.  False when malformed or too large. */
static bool parse_number(const char *s, size_t n, const struct unit *units, size_t units_n, int64_t *ret)
{
    size_t i = 0;
    bool minus = n > 0 && s[0] == '-';
    int64_t v = 0;
    for (i = minus; i < n && s[i] >= '0' && s[i] <= '9'; i++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s[i] - '0', &v))
            return false;
    }
    if (i == (size_t)minus)
        return false;
    for (size_t k = 0; k < units_n; k++) {
        if (strlen(units[k].name) != n - i || memcmp(units[k].name, s + i, n - i) != 0)
            continue;
        if (__builtin_mul_overflow(v, units[k].factor, &v))
            return false;
        *ret = minus ? -v : v;
        return true;
    }
    return false;
}

static bool parse_bool(const char *s, size_t n, int64_t *ret)
{
    static const char *const word[] = {"no", "yes", "false", "true"};
    for (size_t i = 0; i < 4; i++) {
        if (strlen(word[i]) == n && memcmp(word[i], s, n) == 0) {
            *ret = i % 2;
            return true;
        }
    }
    return false;
}

static bool is_choice(const char *choices, const char *s, size_t n)
{
    while (n > 0) {
        size_t k = strcspn(choices, "|");
        if (k == n && memcmp(choices, s, n) == 0)
            return true;
        if (!choices[k])
            return false;
        choices += k + 1;
    }
    return false;
}

static bool plain_text(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    }
    return true;
}

static bool text_ok(const struct sm_opt *o, const char *s, size_t n)
{
    if (o->kind == SM_OPT_CHOICE)
        return is_choice(o->choices, s, n);
    if ((int64_t)n < o->min || (int64_t)n > o->max || !plain_text(s, n))
        return false;
    if (o->kind == SM_OPT_PATH)
        return n == 0 || s[0] == '/';
    return sm_utf8_valid(SM_SPAN(s, n));
}

static bool number_ok(const struct sm_opt *o, const char *s, size_t n, int64_t *ret)
{
    static const struct unit none[] = {{"", 1}};
    if (o->kind == SM_OPT_BOOL)
        return parse_bool(s, n, ret);
    bool ok = o->kind == SM_OPT_INT ? parse_number(s, n, none, 1, ret)
        : o->kind == SM_OPT_BYTES   ? parse_number(s, n, byte_units, 5, ret)
                                    : parse_number(s, n, time_units, 5, ret);
    return ok && *ret >= o->min && *ret <= o->max;
}

static int check(const struct sm_opt *o, const char *s, size_t n, struct value *ret)
{
    struct value v = {.set = true};
    if (is_text(o)) {
        if (!text_ok(o, s, n))
            return -SM_EINVAL;
        v.text = strndup(s, n);
        if (!v.text)
            return -ENOMEM;
    } else if (!number_ok(o, s, n, &v.number)) {
        return -SM_EINVAL;
    }
    *ret = v;
    return 0;
}

/* Takes v's text. */
static void apply(const struct sm_opt *o, struct value *v, void *settings)
{
    void *at = (char *)settings + o->offset;
    if (o->kind == SM_OPT_BOOL) {
        *(bool *)at = v->number != 0;
    } else if (is_text(o)) {
        free(*(char **)at);
        *(char **)at = v->text;
        v->text = NULL;
    } else {
        *(int64_t *)at = v->number;
    }
}

static void say(char *why, const char *fmt, ...) sm_printf(2, 3);
static void say(char *why, const char *fmt, ...)
{
    if (!why)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(why, WHY, fmt, ap);
    va_end(ap);
    for (char *p = why; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    }
    size_t n = strlen(why);
    for (size_t cut = 0; cut < 4 && n > 0 && !sm_utf8_valid(SM_SPAN(why, n)); cut++)
        why[--n] = 0; /* a character cut in two, or bytes that are none */
}

static const struct sm_opt *find(const struct sm_opt *table, size_t n, const char *name, size_t name_n)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(table[i].name) == name_n && memcmp(table[i].name, name, name_n) == 0)
            return &table[i];
    }
    return NULL;
}

/* Outside text shown in a message: short, and '?' for what is not ASCII text when it is not UTF-8. */
static const char *shown(const char *s, size_t n, char ret[48])
{
    bool utf8 = sm_utf8_valid(SM_SPAN(s, n));
    size_t k = n < 40 ? n : 40;
    while (utf8 && k < n && k > 0 && ((unsigned char)s[k] & 0xc0) == 0x80)
        k--;
    for (size_t i = 0; i < k; i++)
        ret[i] = !utf8 && (unsigned char)s[i] >= 0x80 ? '?' : s[i];
    (void)snprintf(ret + k, 48 - k, "%s", k < n ? "..." : "");
    return ret;
}

int sm_opt_defaults(const struct sm_opt *table, size_t n, void *settings)
{
    for (size_t i = 0; i < n; i++) {
        struct value v = {0};
        int r = check(&table[i], table[i].standard, strlen(table[i].standard), &v);
        if (r < 0) {
            sm_opt_wipe(table, i, settings);
            return r;
        }
        apply(&table[i], &v, settings);
    }
    return 0;
}

void sm_opt_wipe(const struct sm_opt *table, size_t n, void *settings)
{
    for (size_t i = 0; i < n; i++) {
        if (!is_text(&table[i]))
            continue;
        char **at = (char **)((char *)settings + table[i].offset);
        if (*at)
            sm_zero(*at, strlen(*at)); /* passwords of mail servers are settings too */
        free(*at);
        *at = NULL;
    }
}

static void trim(const char **s, size_t *n)
{
    while (*n && ((*s)[0] == ' ' || (*s)[0] == '\t'))
        (*s)++, (*n)--;
    while (*n && ((*s)[*n - 1] == ' ' || (*s)[*n - 1] == '\t' || (*s)[*n - 1] == '\r'))
        (*n)--;
}

struct parse {
    const struct sm_opt *table;
    size_t n;
    struct value *values; /* one for each row */
    const char *file;
    size_t line;
    char *why;
};

static int parse_value(struct parse *p, const struct sm_opt *o, const char *s, size_t n)
{
    struct value *v = &p->values[o - p->table];
    if (v->set) {
        say(p->why, "%s:%zu: %s: set twice, once is allowed", p->file, p->line, o->name);
        return -SM_EINVAL;
    }
    /* Quotes keep blanks at the ends. */
    if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
        s++;
        n -= 2;
    }
    int r = check(o, s, n, v);
    if (r == -SM_EINVAL) {
        char allowed[160], bad[48];
        allowed_text(o, allowed, sizeof allowed);
        say(p->why, "%s:%zu: %s: %s, not \"%s\"", p->file, p->line, o->name, allowed, shown(s, n, bad));
    }
    return r;
}

static int parse_line(struct parse *p, const char *s, size_t n)
{
    char bad[48];
    trim(&s, &n);
    if (n == 0 || s[0] == '#')
        return 0;
    const char *eq = memchr(s, '=', n);
    if (!eq) {
        say(p->why, "%s:%zu: \"name = value\" or a comment, not \"%s\"", p->file, p->line, shown(s, n, bad));
        return -SM_EINVAL;
    }
    const char *name = s, *value = eq + 1;
    size_t name_n = (size_t)(eq - s), value_n = n - name_n - 1;
    trim(&name, &name_n);
    trim(&value, &value_n);
    const struct sm_opt *o = find(p->table, p->n, name, name_n);
    if (!o) {
        say(p->why, "%s:%zu: there is no setting \"%s\"", p->file, p->line, shown(name, name_n, bad));
        return -SM_EINVAL;
    }
    return parse_value(p, o, value, value_n);
}

static int parse_all(struct parse *p, struct sm_span text)
{
    const char *s = (const char *)text.p, *end = s + text.n;
    for (p->line = 1; s < end; p->line++) {
        const char *eol = memchr(s, '\n', (size_t)(end - s));
        size_t n = (size_t)((eol ? eol : end) - s);
        int r = parse_line(p, s, n);
        if (r < 0)
            return r;
        s = eol ? eol + 1 : end;
    }
    return 0;
}

int sm_opt_parse(const struct sm_opt *table, size_t n, const char *file_name, struct sm_span text, void *settings,
    char *ret_why)
{
    struct value *values = calloc(n ? n : 1, sizeof *values);
    if (!values)
        return -ENOMEM;
    struct parse p = {table, n, values, file_name, 1, ret_why};
    int r = text.n ? parse_all(&p, text) : 0;
    for (size_t i = 0; i < n; i++) {
        if (r == 0 && values[i].set)
            apply(&table[i], &values[i], settings);
        free(values[i].text);
    }
    free(values);
    return r;
}

int sm_opt_set(const struct sm_opt *table, size_t n, const char *name, const char *value, void *settings, char *ret_why)
{
    char allowed[160], bad[48];
    const struct sm_opt *o = find(table, n, name, strlen(name));
    if (!o) {
        say(ret_why, "there is no setting \"%s\"", shown(name, strlen(name), bad));
        return -SM_EINVAL;
    }
    struct value v = {0};
    int r = check(o, value, strlen(value), &v);
    if (r == -SM_EINVAL) {
        allowed_text(o, allowed, sizeof allowed);
        say(ret_why, "%s: %s, not \"%s\"", name, allowed, shown(value, strlen(value), bad));
    }
    if (r == 0)
        apply(o, &v, settings);
    return r;
}

static int print_value(const struct sm_opt *o, const void *settings, struct sm_buf *ret)
{
    const void *at = (const char *)settings + o->offset;
    char number[32];
    if (is_text(o)) {
        const char *s = *(char *const *)at ? *(char *const *)at : "";
        size_t n = strlen(s);
        bool quote = n > 0 && (strchr(" \t\"", s[0]) || strchr(" \t\"", s[n - 1]));
        return quote ? sm_buf_printf(ret, "%s = \"%s\"\n\n", o->name, s)
            : n      ? sm_buf_printf(ret, "%s = %s\n\n", o->name, s)
                     : sm_buf_printf(ret, "%s =\n\n", o->name);
    }
    number_text(o, o->kind == SM_OPT_BOOL ? *(const bool *)at : *(const int64_t *)at, number);
    return sm_buf_printf(ret, "%s = %s\n\n", o->name, number);
}

int sm_opt_print(const struct sm_opt *table, size_t n, const void *settings, struct sm_buf *ret)
{
    size_t before = ret->n;
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        const struct sm_opt *o = &table[i];
        char allowed[160];
        allowed_text(o, allowed, sizeof allowed);
        r = sm_buf_printf(
            ret, "# %s\n# %s\n# %s; standard: %s\n", o->ja, o->en, allowed, *o->standard ? o->standard : "nothing");
        if (r == 0)
            r = print_value(o, settings, ret);
    }
    if (r < 0)
        ret->n = before;
    return r;
}
