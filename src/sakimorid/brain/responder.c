#include "sakimorid/brain/responder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "respond/respond.h"

static json_t *words_json(const char *const *words)
{
    json_t *out = words ? json_array() : json_null();

    for (; words && out && *words; words++)
        if (json_array_append_new(out, json_string(*words)) < 0)
            return NULL;
    return out;
}

static json_t *params_json(const struct respond_param *p)
{
    json_t *out = json_array();

    for (; out && p->name; p++)
        if (json_array_append_new(out, json_pack("{s:s,s:b,s:o,s:{s:s,s:s}}", "name", p->name, "needed", p->needed, "one_of",
                words_json(p->one_of), "title", "ja", p->ja, "en", p->en)) < 0)
            return NULL;
    return out;
}

static int ask_actions(const json_t *in, json_t **ret, char *ret_why)
{
    json_t *items = json_array();

    (void)in;
    (void)ret_why;
    for (size_t i = 0; items && i < respond_count(); i++) {
        const struct respond_action *a = respond_at(i);
        if (json_array_append_new(items, json_pack("{s:s,s:{s:s,s:s},s:b,s:o}", "name", a->name, "title", "ja", a->ja, "en", a->en, "undo", a->undo,
                "params", params_json(a->params))) < 0)
            return -ENOMEM;
    }
    *ret = json_pack("{s:o}", "items", items);
    return *ret ? 0 : -ENOMEM;
}

static const char *action_of(const json_t *in)
{
    const char *s = json_string_value(json_object_get(in, "action"));

    return s ? s : "";
}

static int ask_check(const json_t *in, json_t **ret, char *ret_why)
{
    int r = respond_check(action_of(in), json_object_get(in, "params"), ret_why);

    if (r >= 0)
        *ret = json_object();
    return r;
}

static int ask_plan(const json_t *in, json_t **ret, char *ret_why)
{
    return respond_plan(action_of(in), json_object_get(in, "params"), json_object_get(in, "incident"), ret, ret_why);
}

int responder_ask(const char *what, const json_t *in, json_t **ret, char *ret_why)
{
    static const struct { const char *what; int (*fn)(const json_t *in, json_t **ret, char *ret_why); } table[] = {
        { "actions", ask_actions }, { "check", ask_check }, { "plan", ask_plan },
    };

    for (size_t k = 0; k < sizeof table / sizeof *table; k++)
        if (!strcmp(table[k].what, what))
            return table[k].fn(in, ret, ret_why);
    return -SM_EINVAL;
}
