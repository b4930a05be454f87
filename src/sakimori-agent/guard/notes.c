#include "sakimori-agent/guard/notes.h"

#include "core/buf.h"
#include "plat/clock.h"

void notes_wipe(struct notes *n)
{
    json_decref(n->list);
    *n = (struct notes){0};
}

static void put_cut(json_t *o, const char *key, const char *text)
{
    size_t k = strnlen(text, NOTE_DETAIL_MAX);
    while (k && !sm_utf8_valid(SM_SPAN(text, k)))
        k--; /* a character that was cut; what is no text at all is left out */
    if (k)
        (void)!json_object_set_new(o, key, json_stringn(text, k)); /* without memory it is left out */
}

void notes_add(struct notes *n, const char *action, const char *part, const char *detail)
{
    char at[SM_TIME_TEXT];
    if (!n->list)
        n->list = json_array();
    if (json_array_size(n->list) >= NOTES_MAX) {
        n->dropped++;
        return;
    }
    sm_time_rfc3339(plat_clock_wall(), at);
    json_t *o = json_pack("{s:I,s:s,s:s}", "n", (json_int_t)++n->next, "at", at, "action", action);
    if (o && part)
        put_cut(o, "part", part);
    if (o && detail)
        put_cut(o, "detail", detail);
    (void)!json_array_append_new(n->list, o); /* without memory there are other troubles */
}

void notes_take(struct notes *n, const json_t *row)
{
    const char *action = json_string_value(json_object_get(row, "action"));
    if (action && strlen(action) <= 32)
        notes_add(n, action, json_string_value(json_object_get(row, "part")), json_string_value(json_object_get(row, "detail")));
}

void notes_said(struct notes *n, uint64_t upto)
{
    while (json_array_size(n->list) &&
           (uint64_t)json_integer_value(json_object_get(json_array_get(n->list, 0), "n")) <= upto)
        (void)json_array_remove(n->list, 0);
}

json_t *notes_due(const struct notes *n)
{
    json_t *out = json_array();
    for (size_t i = 0; out && i < json_array_size(n->list) && i < NOTES_AT_ONCE; i++)
        (void)!json_array_append(out, json_array_get(n->list, i)); /* the rest goes with the next word */
    return out;
}
