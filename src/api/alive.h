/*
 * Which machines' agents are alive, from one moment to the next (PROTOCOL-agent.md, "Alive").  An agent says so every three seconds;
 * what it says of its own parts, and silence, become events of the record, which rules make signals of.  Only files of this room
 * include it.
 */
#ifndef API_ALIVE_H
#define API_ALIVE_H
#include "api/internal.h"

enum {
    ALIVE_SILENT_MS = 8000,     /* without a word for so long: decided */
    ALIVE_LATE_MS = 4500,       /* one word is missing */
    ALIVE_MANY = 3,             /* so many at once, and half of all: the box's own network, said once */
    ALIVE_MAX = 4096,
};

struct alive;
sm_must_use int alive_new(struct alive **ret);
void alive_free(struct alive *v);
/* The machines that were heard of just before this box was started again are waited for. */
void alive_begin(struct api *a);
void alive_tick(struct api *a);
/* front came or went: nobody could be heard for a moment. */
void alive_deaf(struct api *a);
/* A held poll's connection was closed by the machine. */
void alive_closed(struct api *a, const char *device);
/* {"state": "alive|silent|left|unknown", "since", "said"?, "parts"?, "last_ms"?} of a machine; the caller's. */
json_t *alive_json(struct api *a, const char *device);

/*
 * An event of the box's own about a machine: fields (taken) are put behind {"v","at","service","action","Computer"} and go into the
 * record as the machine's stream "endpoint".  kind: row of alive.def by its action; when the record does not take it at once, the
 * signal is made here.
 */
void alive_event(struct api *a, const json_t *device, const char *action, json_t *fields);
#endif
