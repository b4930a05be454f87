/*
 * Firewalls that are told by their API.  A driver is one row: where its requests go, below the address that the settings name, and what
 * they say.  The device itself lets the address in again when its time is over.
 */
#include "respond/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *forti_add(const char *address, json_int_t seconds)
{
    return json_pack("{s:[s],s:I}", "ip_addresses", address, "expiry", seconds);
}

static json_t *forti_clear(const char *address, json_int_t seconds)
{
    (void)seconds;
    return json_pack("{s:[s]}", "ip_addresses", address);
}

static json_t *any_add(const char *address, json_int_t seconds)
{
    return json_pack("{s:i,s:s,s:s,s:I}", "v", 1, "do", "block", "address", address, "seconds", seconds);
}

static json_t *any_clear(const char *address, json_int_t seconds)
{
    (void)seconds;
    return json_pack("{s:i,s:s,s:s}", "v", 1, "do", "unblock", "address", address);
}

static const struct driver {
    const char *name, *add_path, *undo_path;
    json_t *(*add)(const char *address, json_int_t seconds), *(*undo)(const char *address, json_int_t seconds);
} drivers[] = {
    { "fortigate-api", "/api/v2/monitor/user/banned/add_users", "/api/v2/monitor/user/banned/clear_users", forti_add, forti_clear },
    { "generic-api", "", "", any_add, any_clear },
};

static json_t *request(const char *path, json_t *body /* taken */)
{
    return body ? json_pack("{s:s,s:o}", "path", path, "json", body) : NULL;
}

/* What is sent, as people read it. */
static json_t *shown(const json_t *req)
{
    char *body = json_dumps(json_object_get(req, "json"), JSON_COMPACT);
    json_t *out = body ? json_pack("[o]", json_sprintf("POST %s %s", respond_text(req, "path"), body)) : NULL;

    free(body);
    return out;
}

int respond_by_api(const char *device, const char *address, long hours, json_t **ret)
{
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
        const struct driver *d = &drivers[i];
        if (strcmp(d->name, device) != 0)
            continue;
        json_t *add = request(d->add_path, d->add(address, hours * 3600)), *undo = request(d->undo_path, d->undo(address, hours * 3600));
        *ret = add && undo ? json_pack("{s:s,s:o,s:o,s:s,s:s,s:I,s:O,s:O,s:o,s:o}", "effect", "firewall", "ja",
            json_sprintf("%s を入口で%ld時間止めます", address, hours), "en", json_sprintf("Blocks at the edge for %ld hours: %s", hours, address), "device",
            device, "address", address, "seconds", (json_int_t)hours * 3600, "request", add, "undo_request", undo, "commands", shown(add),
            "undo_commands", shown(undo)) : NULL;
        json_decref(add);
        json_decref(undo);
        return *ret ? 0 : -ENOMEM;
    }
    return -SM_ENOTFOUND;
}
