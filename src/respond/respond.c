#include "respond/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- the table: an action is a file and a row ---- */

static const struct respond_action *const rows[] = { &respond_mail, &respond_webhook, &respond_syslog, &respond_task, &respond_block_address,
    &respond_block_account, &respond_freeze, &respond_backup, &respond_isolate, &respond_machine_block,
    &respond_machine_account, &respond_kill };

size_t respond_count(void)
{
    return sizeof rows / sizeof *rows;
}

const struct respond_action *respond_at(size_t i)
{
    return i < respond_count() ? rows[i] : NULL;
}

const struct respond_action *respond_find(const char *name)
{
    for (size_t i = 0; i < respond_count(); i++)
        if (!strcmp(rows[i]->name, name))
            return rows[i];
    return NULL;
}

/* ---- checks ---- */

static bool among(const char *text, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(text, *list))
            return true;
    return false;
}

static int check_param(const struct respond_param *p, const json_t *params, char *ret_why)
{
    const json_t *v = json_object_get(params, p->name);

    if (!v && !p->needed)
        return 0;
    if (!v || !json_is_string(v) || !json_string_length(v) || json_string_length(v) > 1000) {
        snprintf(ret_why, RESPOND_WHY, "%s: a text of 1 to 1,000 bytes", p->name);
        return -SM_EINVAL;
    }
    if (p->one_of && !among(json_string_value(v), p->one_of)) {
        snprintf(ret_why, RESPOND_WHY, "%s: not one of those that are known", p->name);
        return -SM_EINVAL;
    }
    return 0;
}

int respond_check(const char *action, const json_t *params, char *ret_why)
{
    const struct respond_action *a = respond_find(action);
    const char *key;
    const json_t *v;

    if (!a) {
        snprintf(ret_why, RESPOND_WHY, "no such action");
        return -SM_ENOTFOUND;
    }
    for (const struct respond_param *p = a->params; p->name; p++) {
        int r = check_param(p, params, ret_why);
        if (r < 0)
            return r;
    }
    json_object_foreach((json_t *)params, key, v) {
        const struct respond_param *p = a->params;
        while (p->name && strcmp(p->name, key) != 0)
            p++;
        if (!p->name) {
            snprintf(ret_why, RESPOND_WHY, "%.60s: not a parameter of this action", key);
            return -SM_EINVAL;
        }
    }
    return 0;
}

int respond_plan(const char *action, const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    int r = respond_check(action, params, ret_why);
    json_t *plan = NULL;

    if (r >= 0)
        r = respond_find(action)->plan(params, incident, &plan, ret_why);
    if (r < 0)
        return r;
    if (!plan || json_object_set_new(plan, "undo", json_boolean(respond_find(action)->undo)) < 0) {
        json_decref(plan);
        return -ENOMEM;
    }
    *ret = plan;
    return 0;
}

/* ---- what the actions share ---- */

const char *respond_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

const char *respond_entity(const json_t *incident, const char *kind, bool (*ok)(const char *text))
{
    size_t i;
    const json_t *row;

    json_array_foreach(json_object_get(incident, "entities"), i, row) {
        const char *k = json_string_value(json_array_get(row, 0)), *text = json_string_value(json_array_get(row, 1));
        if (k && text && !strcmp(k, kind) && ok(text))
            return text;
    }
    return NULL;
}

json_t *respond_lines(const char *const *lines, const char *value)
{
    json_t *out = json_array();

    for (; out && *lines; lines++) {
        const char *mark = strstr(*lines, "%s");
        json_t *line = mark ? json_sprintf("%.*s%s%s", (int)(mark - *lines), *lines, value, mark + 2) : json_string(*lines);
        if (!line || json_array_append_new(out, line) < 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}
