/* The flat scanner against jansson: both take the same texts and find the same values in the same order. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "normalise/json.h"

struct seen { struct event_field *at; size_t n; struct event *e; struct event_names *names; };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void same_scalar(const struct event_field *f, const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        must(f->type == EVENT_TEXT && f->n == json_string_length(v) && !memcmp(f->p, json_string_value(v), f->n));
        return;
    case JSON_NULL:
        must(f->type == EVENT_NULL && !f->n);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        must(f->type == EVENT_BOOL && f->n == (json_is_true(v) ? 4 : 5));
        return;
    default: {
        char text[400];
        must(f->type == EVENT_NUMBER);
        if (f->n >= sizeof text)
            return;
        memcpy(text, f->p, f->n);
        text[f->n] = 0;
        must(json_is_integer(v) ? strtoll(text, NULL, 10) == json_integer_value(v) : 
            strtod(text, NULL) == json_real_value(v));
    }
    }
}

static void walk(struct seen *s, const json_t *v, struct sm_buf *path)
{
    size_t before = path->n, i;
    const char *key;
    json_t *m;

    if (json_is_object(v)) {
        json_object_foreach((json_t *)v, key, m) {
            must(!before || sm_buf_put(path, ".", 1) == 0);
            must(sm_buf_put(path, key, strlen(key)) == 0);
            walk(s, m, path);
            path->n = before;
        }
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, m)
            walk(s, m, path);
    } else {
        must(s->n < s->e->n);
        const struct event_field *f = &s->e->fields[s->n++];
        if (f->name != EVENT_F_other) {
            must(sm_span_eq(event_names_text(s->names, f->name), sm_buf_span(path)));
            same_scalar(f, v);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_names *names = event_names_new();
    struct event e = { 0 };
    struct sm_span text = SM_SPAN(data, size);

    must(names && event_init(&e) == 0);
    struct json_fields to = { &e, names };
    int r = json_flat(text, &e, json_field, &to);
    must(r == 0 || r == -SM_EFORMAT || r == -SM_ELIMIT);
    for (size_t i = 0; i < e.n; i++)
        must(e.fields[i].type == EVENT_NULL || sm_utf8_valid(event_value(&e.fields[i])));
    json_error_t why;
    json_t *v = json_loadb((const char *)data, size, 0, &why);
    if (v && !json_is_object(v))
        must(r == -SM_EFORMAT || r == -SM_ELIMIT);
    else if (v)
        must(r == 0 || r == -SM_ELIMIT);
    else if (r == 0 && !(e.notes & EVENT_REPLACED))
        must(strstr(why.text, "too big") || strstr(why.text, "overflow") || strstr(why.text, "\\u0000"));
    json_decref(v);
    v = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (v && r == 0 && !(e.notes & EVENT_CUT)) {
        struct seen s = { .e = &e, .names = names };
        struct sm_buf path = { 0 };
        walk(&s, v, &path);
        must(s.n == e.n);
        sm_buf_wipe(&path);
        must(json_frame(text) <= size && json_frame(text) > 0);
    }
    json_decref(v);
    event_wipe(&e);
    event_names_free(names);
    return 0;
}
