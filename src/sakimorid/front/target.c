#include "sakimorid/front/target.h"
#include <errno.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One decoded byte at *p, which moves on; -SM_EFORMAT. */
static int next_byte(const char **p, const char *end, bool *ret_escaped)
{
    const char *s = *p;
    int high, low;

    *ret_escaped = *s == '%';
    if (*s != '%') {
        *p = s + 1;
        return (unsigned char)*s;
    }
    if (end - s < 3 || (high = hex_digit(s[1])) < 0 || (low = hex_digit(s[2])) < 0)
        return -SM_EFORMAT;
    *p = s + 3;
    return high << 4 | low;
}

static bool part_ok(const char *part, size_t n)
{
    return n > 0 && !(n == 1 && part[0] == '.') && !(n == 2 && part[0] == '.' && part[1] == '.');
}

static int decode_path(const char *p, const char *end, char *ret)
{
    size_t n = 0, part = 1;

    if (p == end || *p != '/')
        return -SM_EFORMAT;
    while (p < end) {
        bool escaped;
        int b = next_byte(&p, end, &escaped);
        if (b < 0)
            return b;
        if (b < 0x20 || b == 0x7f || b == '\\' || (escaped && b == '/'))
            return -SM_EFORMAT;
        /* A part ends here; only the very first '/' has none before it. */
        if (b == '/' && n > 0 && !part_ok(ret + part, n - part))
            return -SM_EFORMAT;
        ret[n++] = (char)b;
        if (b == '/')
            part = n;
    }
    /* A '/' at the end is allowed: its part is empty. */
    if (n > part && !part_ok(ret + part, n - part))
        return -SM_EFORMAT;
    ret[n] = '\0';
    return sm_utf8_valid(SM_SPAN(ret, n)) ? 0 : -SM_EFORMAT;
}

static int decode_text(const char *p, const char *end, char *ret, size_t *ret_n)
{
    size_t n = 0;

    while (p < end) {
        bool escaped;
        int b = next_byte(&p, end, &escaped);
        if (b < 0)
            return b;
        if (b == '+' && !escaped)
            b = ' ';
        if ((b < 0x20 && b != '\t' && b != '\n' && b != '\r') || b == 0x7f)
            return -SM_EFORMAT;
        ret[n++] = (char)b;
    }
    ret[n] = '\0';
    *ret_n = n;
    return sm_utf8_valid(SM_SPAN(ret, n)) ? 0 : -SM_EFORMAT;
}

static int add_arg(json_t *query, const char *p, const char *end)
{
    char name[TARGET_RAW_MAX], value[TARGET_RAW_MAX] = "";
    const char *eq = memchr(p, '=', (size_t)(end - p));
    size_t name_n, value_n = 0;
    int r = decode_text(p, eq ? eq : end, name, &name_n);

    if (r >= 0 && eq)
        r = decode_text(eq + 1, end, value, &value_n);
    if (r < 0)
        return r;
    if (name_n == 0 || json_object_get(query, name))
        return -SM_EFORMAT;
    if (json_object_size(query) >= TARGET_ARGS_MAX)
        return -SM_ELIMIT;
    return json_object_set_new(query, name, json_stringn(value, value_n)) < 0 ? -ENOMEM : 0;
}

static int decode_query(const char *p, json_t *query)
{
    while (*p) {
        size_t n = strcspn(p, "&");
        int r = n ? add_arg(query, p, p + n) : 0;
        if (r < 0)
            return r;
        p += n + (p[n] == '&');
    }
    return 0;
}

int target_parse(const char *raw, struct target *ret)
{
    struct target t = { .query = NULL };
    size_t n = strnlen(raw, TARGET_RAW_MAX), path_n = strcspn(raw, "?");
    int r;

    if (n >= TARGET_RAW_MAX)
        return -SM_ELIMIT;
    r = decode_path(raw, raw + path_n, t.path);
    if (r < 0)
        return r;
    t.query = json_object();
    if (!t.query)
        return -ENOMEM;
    r = raw[path_n] ? decode_query(raw + path_n + 1, t.query) : 0;
    if (r < 0) {
        json_decref(t.query);
        return r;
    }
    *ret = t;
    return 0;
}

void target_wipe(struct target *t)
{
    json_decref(t->query);
    t->query = NULL;
}
