/* Inside winxml.c, winjson.c and windows.c: what XML and JSON of Windows have in common. */
#ifndef SM_NORMALISE_WINDOWS_INT_H
#define SM_NORMALISE_WINDOWS_INT_H

#include <string.h>
#include "normalise/windows.h"

enum { WINDOWS_UNNAMED_MAX = 256 };

struct windows {
    struct event_names *names;
    struct winxml *xml;
    /* of this event */
    struct event *e;
    size_t before;          /* fields it had */
    int err;
    int zone_s;
    bool has_time, zoned;   /* the time found, and whether it said its zone */
    bool known;             /* Provider or EventID was there */
    struct sm_span unnamed[WINDOWS_UNNAMED_MAX];
    size_t unnamed_n;
    uint16_t pending;       /* JSON: the Name that came before its text */
    bool winlog;            /* JSON: by Winlogbeat */
    struct sm_span stamp;   /* JSON: @timestamp */
    uint16_t time;          /* TimeCreated_SystemTime */
    /* what a name of flat JSON means; by number */
    struct windows_flat { uint16_t to, kind; } flat[EVENT_NAMES_MAX + 1];
};

/* Parts of winxml.c.  -ENOMEM. */
sm_must_use int winxml_new(struct windows *w, struct winxml **ret);
void winxml_free(struct winxml *x);
/* What names of flat JSON mean. */
void winjson_names(struct windows *w);

void windows_begin(struct windows *w, struct event *e, int zone_s);
/* A value of System: numbers become EVENT_NUMBER, the time is the event's.  Sticky w->err. */
void windows_system(struct windows *w, uint16_t name, enum event_type type, struct sm_span value);
/* Any other value, borrowed: GUIDs as EVTX has them; bare_guid: also without braces. */
void windows_value(struct windows *w, uint16_t name, enum event_type type, struct sm_span value, bool bare_guid);
/* Tag_Attr. */
uint16_t windows_name(struct windows *w, struct sm_span tag, struct sm_span attribute);
/* EventData's name without its blanks. */
uint16_t windows_data_name(struct windows *w, struct sm_span name);
/* Data without a name. */
void windows_unnamed(struct windows *w, struct sm_span value);
/* A time that is not the event's own but may stand for it: with a zone always, without only if there is none yet.  Is
 * it one? */
bool windows_time(struct windows *w, struct sm_span value);
/* Head of the event from its fields: 0, w->err, -SM_EFORMAT when it was none. */
sm_must_use int windows_finish(struct windows *w, uint16_t format);

static inline bool windows_is(struct sm_span s, const char *word)
{
    size_t n = strlen(word);

    return s.n == n && !memcmp(s.p, word, n);
}

#endif
