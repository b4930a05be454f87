/* What the actions share. */
#ifndef SM_RESPOND_INTERNAL_H
#define SM_RESPOND_INTERNAL_H
#include "respond/respond.h"

const char *respond_text(const json_t *o, const char *key);     /* "" when absent */
/* The first entity of that kind that ok() takes, NULL if none. */
const char *respond_entity(const json_t *incident, const char *kind, bool (*ok)(const char *text));
/* Lines of commands with %s put in once each; NULL-ended. */
json_t *respond_lines(const char *const *lines, const char *value);

/* A plan for all machines of the incident.  -SM_ENOTFOUND there are none. */
int respond_on_hosts(const char *effect, const char *ja, const char *en, const json_t *incident, json_t **ret, char *ret_why);
bool respond_outside(const char *text);     /* an IPv4 address of the outside */
bool respond_somebodys(const char *text);   /* a plain name of an account, and no built-in one */

/* A plan for a device that is told by its API.  -SM_ENOTFOUND no driver of that name, -ENOMEM. */
int respond_by_api(const char *device, const char *address, long hours, json_t **ret);

extern const struct respond_action respond_mail, respond_webhook, respond_syslog, respond_task, respond_block_address, respond_block_account, respond_freeze,
    respond_backup, respond_isolate, respond_machine_block, respond_machine_account, respond_kill;
#endif
