/*
 * What can be done about an incident: one action = one file's row in the table of respond.c.  An action makes a *plan* from its
 * parameters and the incident: what would be done, in words for people, and what undoes it.  Nothing is carried out here: the
 * API asks other processes (mail, web hook, vault) or shows the commands to whoever looks after the device.
 *
 * incident: what decide says of it ({id, severity, title: {ja, en}, entities: [[kind, text]], stages, steps}).  A plan:
 *   {"effect": mail|webhook|syslog|firewall|task|commands|freeze|backup|machine, "ja", "en": one sentence what is done,
 *    "undo": bool,                        it can be taken back
 *    "to": [addresses] | "url" | "server", "port" | "text": {ja, en} | "device": kind | "commands": [lines], "undo_commands": [lines] | "host": name | "hosts": [names] |
 *    "machine_action", "args", "for_s"?, "machine_undo"?: an order for the agents of the hosts |
 *    "request", "undo_request": {"path", "json"} of a firewall with an API}
 * Every value that goes into a command was checked to be an address or a plain account name; nothing else of an event does.
 */
#ifndef SM_RESPOND_RESPOND_H
#define SM_RESPOND_RESPOND_H
#include "core/json.h"

enum { RESPOND_WHY = 200 };

struct respond_param { const char *name; bool needed; const char *const *one_of; /* NULL-ended, or NULL */ const char *ja, *en; };
struct respond_action {
    const char *name, *ja, *en;
    const struct respond_param *params;     /* ended by a NULL name */
    bool undo;
    /* ret_why: RESPOND_WHY bytes, English.  -SM_ENOTFOUND the incident has nothing it could act on, -SM_EINVAL, -ENOMEM. */
    int (*plan)(const json_t *params, const json_t *incident, json_t **ret, char *ret_why);
};
/* The table; NULL past its end. */
size_t respond_count(void);
const struct respond_action *respond_at(size_t i);
/* NULL: no such action. */
const struct respond_action *respond_find(const char *name);
/* Are these parameters of that action?  -SM_ENOTFOUND no such action, -SM_EINVAL with ret_why. */
sm_must_use int respond_check(const char *action, const json_t *params, char *ret_why);
/* What would be done.  Errors of respond_check and of the action; *ret is the caller's. */
sm_must_use int respond_plan(const char *action, const json_t *params, const json_t *incident, json_t **ret, char *ret_why);

#endif
