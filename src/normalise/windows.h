/*
 * Windows events as XML and as JSON → the same fields that EVTX gives (evtx.h).
 *
 * XML: what Windows renders (wevtutil, Get-WinEvent, event forwarding, syslog agents): one <Event>, any prefix, with or
 * without a declaration.  No external entity, no DTD. JSON: Winlogbeat (winlog.event_data.X ...), NXLog (flat;
 * Hostname, SourceName, ExecutionProcessID ...), and {"Event": {"System": .., "EventData": ..}} with attributes as
 * "#attributes", "@Name" or "Tag_attributes".  What is none of Windows' own fields keeps its path as name. GUIDs are
 * written as EVTX has them ({…} in small letters), so that one process is one in every form; TimeCreated_SystemTime too
 * (seven digits of the second).  What these forms cannot say: XML does not tell an empty value from none (both
 * EVENT_TEXT of 0 bytes), and only numbers of System are EVENT_NUMBER there; JSON has the types it was given. One
 * struct windows belongs to one thread.
 */
#ifndef SM_NORMALISE_WINDOWS_H
#define SM_NORMALISE_WINDOWS_H

#include "event/event.h"

enum { WINDOWS_XML_DEPTH_MAX = 32, WINDOWS_TEXT_MAX = EVENT_RAW_MAX };

struct windows;
/* names is borrowed and must live as long.  -ENOMEM. */
sm_must_use int windows_new(struct event_names *names, struct windows **ret);
void windows_free(struct windows *w);

/* How sure is it that text (UTF-8) is such an event, 0 .. 100?  Looks at the first bytes, quickly. */
int windows_xml_detect(struct sm_span text);
int windows_json_detect(struct sm_span text);

/*
 * One event (UTF-8) into e, whose fields so far stay; e->time, host, severity, product and format are set.  Values are
 * borrowed from text and e.  zone_s: seconds east of UTC of a time without zone (NXLog's EventTime; EVENT_NO_ZONE).
 * Without a time EVENT_NO_TIME, and e->time as it was.  -SM_EFORMAT: it is not one after all, and e's fields are as
 * they were; -ENOMEM. An XML text that breaks off gives what was read (EVENT_DAMAGED) when at least its Provider or
 * EventID was.
 */
sm_must_use int windows_xml(struct windows *w, struct sm_span text, int zone_s, struct event *e);
sm_must_use int windows_json(struct windows *w, struct sm_span text, int zone_s, struct event *e);

/* How many of the bytes at p go up to the end of the first <Event>, and that event in *ret_event; white space, a
 * declaration and
 * what encloses several events (<Events>) are passed over.  0: none ends here. */
size_t windows_xml_frame(struct sm_span bytes, struct sm_span *ret_event);

#endif
