/*
 * What was done to the agent, in the order it was seen, until the box has heard of it.  Numbers count up within one life of the
 * supervisor.  The actions are those of src/api/alive.def that come from the machine itself (PROTOCOL-agent.md, "Alive").
 */
#ifndef GUARD_NOTES_H
#define GUARD_NOTES_H
#include "core/json.h"

enum { NOTES_MAX = 64, NOTES_AT_ONCE = 16, NOTE_DETAIL_MAX = 300 };

struct notes {
    json_t *list; /* [{"n","at","action","part"?,"detail"?}], oldest first; NULL: none */
    uint64_t next, dropped;
};
void notes_wipe(struct notes *n);
/* part, detail: may be NULL; detail is cut.  Past NOTES_MAX it is only counted: the first ones tell how it began. */
void notes_add(struct notes *n, const char *action, const char *part, const char *detail);
/* One as JSON {"action","part"?,"detail"?} of another part.  What is none is passed over. */
void notes_take(struct notes *n, const json_t *row);
/* The box has heard of all up to this number. */
void notes_said(struct notes *n, uint64_t upto);
/* The oldest NOTES_AT_ONCE, a list that is the caller's; NULL when out of memory. */
json_t *notes_due(const struct notes *n);
#endif
