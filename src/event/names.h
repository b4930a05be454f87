/*
 * The table of names: field names and words of log sources as small numbers.  The names of event.def have fixed numbers in
 * this build (EVENT_F_Image); others get theirs when they are first met.  Numbers are never written to disk or sent.
 *
 * A stranger who sends ever new names fills the table (EVENT_NAMES_MAX): after that a new name has no number, and the value
 * is kept as EVENT_F_other "name=value".  Names of rules are taken in first, so no rule loses its field by that.
 */
#ifndef SM_EVENT_NAMES_H
#define SM_EVENT_NAMES_H

#include "core/buf.h"

enum { EVENT_NAMES_MAX = 32768, EVENT_NAME_MAX = 200 /* bytes of a name */ };

enum event_f {
    EVENT_F_none,
#define F(symbol, text, type, group, ja, en, example) EVENT_F_##symbol,
#define W(symbol, text) EVENT_W_##symbol,
#include "event/event.def"
#undef F
#undef W
    EVENT_F_COUNT
};

struct event_names;
/* A table with what event.def has.  NULL when out of memory. */
struct event_names *event_names_new(void);
void event_names_free(struct event_names *names);
/* The number of a name (bytes compared exactly; Sigma's field names are case sensitive); 0 if it has none. */
uint16_t event_names_find(const struct event_names *names, struct sm_span name);
/* The same, and it gets one.  EVENT_F_other when the table is full or the name is empty, too long or not UTF-8. */
uint16_t event_names_add(struct event_names *names, struct sm_span name);
/* The name of a number; "" if there is none.  Lives as long as the table, ended by NUL. */
struct sm_span event_names_text(const struct event_names *names, uint16_t number);
/* Numbers are 1 .. count. */
size_t event_names_count(const struct event_names *names);

/* What event.def says of a field, for documents, search and screens: NULL for a name it does not have. */
struct event_field_doc { const char *name, *type, *group, *ja, *en, *example; };
const struct event_field_doc *event_field_doc(uint16_t number);

#endif
