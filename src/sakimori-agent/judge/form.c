#include "sakimori-agent/judge/form.h"

#include <string.h>

enum { REASONS_MAX = 40, PROCESSES_MAX = 200, PATHS_MAX = 32, TEXT_MAX = FORM_TEXT_MAX };

/* Names with plain values; what is more is left out, long texts are cut. */
json_t *form_flat(const json_t *o)
{
    json_t *out = json_is_object(o) ? json_object() : NULL;
    const char *key;
    const json_t *v;
    size_t n = 0;
    if (!out)
        return NULL;
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        if (json_is_object(v) || json_is_array(v) || strlen(key) > 40 || ++n > 40)
            continue;
        size_t len = json_string_length(v);
        while (len > TEXT_MAX && (len > TEXT_MAX + 4 || !sm_utf8_valid(SM_SPAN(json_string_value(v), len))))
            len = len > TEXT_MAX + 4 ? TEXT_MAX + 4 : len - 1;
        json_object_set_new(out, key, json_is_string(v) ? json_stringn(json_string_value(v), len) : json_deep_copy(v));
    }
    return out;
}

json_t *form_list(const json_t *list, size_t max)
{
    json_t *out = json_array();
    for (size_t i = 0; out && i < json_array_size(list) && i < max; i++) {
        json_t *o = form_flat(json_array_get(list, i));
        if (o && json_array_append_new(out, o))
            break;
    }
    return out;
}

json_t *form_finding(const json_t *f)
{
    static const struct {
        const char *key;
        size_t max; /* 0: an object */
    } parts[] = {{"reasons", REASONS_MAX}, {"processes", PROCESSES_MAX}, {"paths", PATHS_MAX}, {"files", 0}, {"timing", 0}, {"object", 0}};
    static const char *const numbers[] = {"tree", "score", "threshold"};
    static const char *const texts[] = {"kind", "at", "program"};
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const json_t *v = json_object_get(f, parts[i].key);
        json_t *good = !v ? NULL : parts[i].max ? form_list(v, parts[i].max) : form_flat(v);
        if (good)
            json_object_set_new(out, parts[i].key, good);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (json_is_integer(json_object_get(f, numbers[i])))
            json_object_set(out, numbers[i], json_object_get(f, numbers[i]));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const json_t *v = json_object_get(f, texts[i]);
        if (json_is_string(v) && json_string_length(v) <= TEXT_MAX)
            json_object_set(out, texts[i], (json_t *)(uintptr_t)v);
    }
    return out;
}
