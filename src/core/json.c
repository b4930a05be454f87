#include "core/json.h"
#include <errno.h>
#include <stdarg.h>

enum { DEPTH_MAX = 32, WHY = 160 };

/* Outside text goes into a message only cut and without control characters. */
static void put_why(char *why, const char *fmt, ...) sm_printf(2, 3);
static void put_why(char *why, const char *fmt, ...)
{
    if (!why)
        return;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(why, WHY, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : n < WHY ? (size_t)n : WHY - 1;
    why[len] = 0;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)why[i] < 0x20 || why[i] == 0x7f)
            why[i] = '?';
    }
    /* A cut, or bad bytes from outside, must not leave invalid UTF-8. */
    for (size_t cut = 0; cut < 4 && len > 0 && n >= WHY && !sm_utf8_valid(SM_SPAN(why, len)); cut++)
        why[--len] = 0;
    for (size_t i = 0; i < len && !sm_utf8_valid(SM_SPAN(why, len)); i++) {
        if ((unsigned char)why[i] >= 0x80)
            why[i] = '?';
    }
}

/* jansson nests to 2,048; our bound is found before it recurses.  Returns where it is broken, or NULL. */
static const uint8_t *too_deep(struct sm_span t)
{
    unsigned depth = 0;
    bool text = false;
    for (size_t i = 0; i < t.n; i++) {
        uint8_t c = t.p[i];
        if (text) {
            if (c == '\\')
                i++;
            else if (c == '"')
                text = false;
        } else if (c == '"') {
            text = true;
        } else if (c == '[' || c == '{') {
            if (++depth > DEPTH_MAX)
                return t.p + i;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return NULL;
}

static void position(struct sm_span t, const uint8_t *at, int *ret_line, int *ret_column)
{
    *ret_line = 1;
    *ret_column = 1;
    for (const uint8_t *p = t.p; p < at; p++) {
        *ret_column = *p == '\n' ? 1 : *ret_column + 1;
        *ret_line += *p == '\n';
    }
}

int sm_json_parse(struct sm_span text, size_t max, json_t **ret, char *ret_why)
{
    if (text.n > max) {
        put_why(ret_why, "%zu bytes, at most %zu are allowed", text.n, max);
        return -SM_ELIMIT;
    }
    const uint8_t *deep = too_deep(text);
    if (deep) {
        int line, column;
        position(text, deep, &line, &column);
        put_why(ret_why, "line %d column %d: nested deeper than %d", line, column, DEPTH_MAX);
        return -SM_ELIMIT;
    }
    json_error_t e;
    json_t *v = json_loadb(text.n ? (const char *)text.p : "", text.n, JSON_REJECT_DUPLICATES, &e);
    if (v) {
        *ret = v;
        return 0;
    }
    if (json_error_code(&e) == json_error_out_of_memory)
        return -ENOMEM;
    put_why(ret_why, "line %d column %d: %s", e.line < 1 ? 1 : e.line, e.column < 1 ? 1 : e.column, e.text);
    return -SM_EFORMAT;
}

struct sink {
    struct sm_buf *b;
    int err;
};

static int sink_put(const char *p, size_t n, void *arg)
{
    struct sink *s = arg;
    s->err = sm_buf_put(s->b, p, n);
    return s->err < 0 ? -1 : 0;
}

int sm_json_dump(const json_t *v, struct sm_buf *ret)
{
    struct sink s = {ret, 0};
    size_t before = ret->n;
    if (json_dump_callback(v, sink_put, &s, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) == 0)
        return 0;
    ret->n = before;
    return s.err < 0 ? s.err : -SM_EFORMAT;
}

/* refcount 1: nobody else reads it.  Deeper than what is parsed there is nothing from outside. */
static void zero_texts(json_t *v, unsigned depth)
{
    const char *key;
    json_t *below;
    size_t i;
    if (!v || v->refcount != 1 || depth > DEPTH_MAX)
        return;
    if (json_is_string(v))
        sm_zero((void *)(uintptr_t)json_string_value(v), json_string_length(v));
    json_array_foreach(v, i, below)
        zero_texts(below, depth + 1);
    json_object_foreach(v, key, below)
        zero_texts(below, depth + 1);
}

void sm_json_drop_secret(json_t *v)
{
    zero_texts(v, 0);
    json_decref(v);
}

void sm_json_free(json_t **v)
{
    json_decref(*v);
    *v = NULL;
}

/* The first failure stays: callers come here only while there is none. */
#define fail(o, ...) ((o)->err = -SM_EINVAL, put_why((o)->why, __VA_ARGS__))

/* The value of key, or NULL when absent, null, or after an error. */
static const json_t *look(struct sm_obj *o, const char *key)
{
    if (o->err)
        return NULL;
    if (!json_is_object(o->o)) {
        fail(o, "an object is needed");
        return NULL;
    }
    const json_t *v = json_object_get(o->o, key);
    return json_is_null(v) ? NULL : v;
}

static const char *check_str(struct sm_obj *o, const char *key, const json_t *v, size_t min, size_t max)
{
    size_t n = json_string_length(v);
    if (json_is_string(v) && n >= min && n <= max)
        return json_string_value(v);
    fail(o, "field \"%s\": text of %zu to %zu bytes", key, min, max);
    return NULL;
}

const char *sm_obj_str(struct sm_obj *o, const char *key, size_t min, size_t max)
{
    const json_t *v = look(o, key);
    const char *s = o->err ? NULL : check_str(o, key, v, min, max);
    return s ? s : "";
}

const char *sm_obj_str_opt(struct sm_obj *o, const char *key, size_t max)
{
    const json_t *v = look(o, key);
    return v ? check_str(o, key, v, 0, max) : NULL;
}

static int64_t check_int(struct sm_obj *o, const char *key, const json_t *v, int64_t min, int64_t max)
{
    int64_t n = json_integer_value(v);
    if (json_is_integer(v) && n >= min && n <= max)
        return n;
    fail(o, "field \"%s\": a whole number from %lld to %lld", key, (long long)min, (long long)max);
    return 0;
}

int64_t sm_obj_int(struct sm_obj *o, const char *key, int64_t min, int64_t max)
{
    const json_t *v = look(o, key);
    return o->err ? 0 : check_int(o, key, v, min, max);
}

int64_t sm_obj_int_opt(struct sm_obj *o, const char *key, int64_t min, int64_t max, int64_t otherwise)
{
    const json_t *v = look(o, key);
    if (!v)
        return otherwise;
    int64_t n = check_int(o, key, v, min, max);
    return o->err ? otherwise : n;
}

bool sm_obj_bool(struct sm_obj *o, const char *key, bool otherwise)
{
    const json_t *v = look(o, key);
    if (!v)
        return otherwise;
    if (json_is_boolean(v))
        return json_is_true(v);
    fail(o, "field \"%s\": true or false", key);
    return otherwise;
}

const json_t *sm_obj_arr(struct sm_obj *o, const char *key, size_t max)
{
    const json_t *v = look(o, key);
    if (o->err)
        return NULL;
    if (json_is_array(v) && json_array_size(v) <= max)
        return v;
    fail(o, "field \"%s\": a list of at most %zu", key, max);
    return NULL;
}

const json_t *sm_obj_obj(struct sm_obj *o, const char *key)
{
    const json_t *v = look(o, key);
    if (!v || json_is_object(v))
        return v;
    fail(o, "field \"%s\": an object", key);
    return NULL;
}

void sm_obj_hex(struct sm_obj *o, const char *key, void *ret, size_t n)
{
    const json_t *v = look(o, key);
    if (o->err)
        return;
    if (json_is_string(v) && sm_unhex(json_string_value(v), json_string_length(v), ret, n) == 0)
        return;
    fail(o, "field \"%s\": %zu bytes as hexadecimal digits", key, n);
}

static bool is_known(const char *key, const char *const *known)
{
    for (; *known; known++) {
        if (strcmp(key, *known) == 0)
            return true;
    }
    return false;
}

void sm_obj_only(struct sm_obj *o, const char *const *known)
{
    (void)look(o, ""); /* only to find out that it is an object */
    if (o->err)
        return;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)o->o, key, v)
    {
        if (!is_known(key, known)) {
            fail(o, "field \"%.80s\" is not known here", key);
            return;
        }
    }
}
