/* What actor can do: one file a row, or a pair of rows that undo each other.  Nothing that is not here is ever done. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sakimori-agent/actor/actor.h"

const struct action *const actor_table[] = {&act_isolate, &act_release, &act_block_address, &act_unblock_address, &act_block_file,
    &act_unblock_file, &act_kill, &act_stop, &act_resume, &act_excuse, &act_give_back, &act_undo_give_back,
    &act_quarantine, &act_unquarantine, &act_quarantine_remove, &act_evidence, &act_disable_account, &act_enable_account, &act_uninstall};
const size_t actor_table_n = sizeof actor_table / sizeof actor_table[0];

const struct action *actor_find(const char *name)
{
    for (size_t i = 0; i < actor_table_n; i++)
        if (strcmp(actor_table[i]->name, name) == 0)
            return actor_table[i];
    return NULL;
}

static void put_detail(struct act *t, const char *fmt, va_list ap)
{
    (void)vsnprintf(t->detail, sizeof t->detail, fmt, ap); /* cut is fine */
    while (t->detail[0] && !sm_utf8_valid(SM_SPAN_STR(t->detail)))
        t->detail[strlen(t->detail) - 1] = 0;
}

void act_fail(struct act *t, int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    t->err = err;
    put_detail(t, fmt, ap);
    va_end(ap);
}

void act_say(struct act *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_detail(t, fmt, ap);
    va_end(ap);
}

void act_filter(struct act *t, int err, const char *why)
{
    act_fail(t, err, "%s", err == -SM_EUNSUPPORTED && !why[0] ? "this machine has no packet filter (libnftables)" : "the packet filter could not be set");
    if (why[0])
        act_fact(t, "why", json_string(why));
}

void act_fact(struct act *t, const char *key, json_t *v)
{
    if (!t->facts)
        t->facts = json_object();
    (void)json_object_set_new(t->facts, key, v); /* one fact less, where there is no memory */
}

const char *act_text(const struct act *t, const char *key)
{
    const char *s = json_string_value(json_object_get(t->args, key));
    return s ? s : "";
}

struct act *act_new(struct actor *a, const struct action *row, const char *id, const json_t *args)
{
    struct act *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->a = a;
    t->row = row;
    t->args = args ? json_deep_copy(args) : json_object();
    (void)snprintf(t->id, sizeof t->id, "%s", id);
    if (t->args)
        return t;
    free(t);
    return NULL;
}

void act_free(struct act *t)
{
    if (!t)
        return;
    json_decref(t->args);
    json_decref(t->facts);
    free(t);
}
