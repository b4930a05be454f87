/*
 * The words of a message to people outside the console: one mail or one web hook for an alarm.  Pure: sending is
 * the process out's work, when to send is the alarms'.  Texts come from the caller, in its language.
 */
#ifndef API_NOTIFY_H
#define API_NOTIFY_H
#include <jansson.h>
#include "core/buf.h"

#define NOTIFY_TO_MAX 20
struct notify_alarm {
    const char *institution, *state_word, *title, *text, *at, *next_heading, *head_word, *head;
    const char *head_text;          /* for people: its short and its long form, a line each; NULL none */
    const json_t *next;             /* array of texts, at most 10 are used */
    const char *id, *kind, *state;
};
/* One line, no control characters, at most 200 bytes.  -ENOMEM, -SM_ELIMIT. */
sm_must_use int notify_subject(const struct notify_alarm *a, struct sm_buf *ret);
/* Plain text.  The signed head of the vault goes along, so that a rolled-back box shows.  -ENOMEM, -SM_ELIMIT. */
sm_must_use int notify_text(const struct notify_alarm *a, struct sm_buf *ret);
/* The JSON of a web hook (the caller's); NULL when out of memory. */
json_t *notify_hook(const struct notify_alarm *a);
/* One message of syslog (RFC 5424) about an incident; at: RFC 3339.  -ENOMEM, -SM_ELIMIT. */
sm_must_use int notify_syslog(int64_t incident, bool call, const char *at, const char *title, struct sm_buf *ret);
/* Is this one address of the plain form local@domain, without anything that could begin another header? */
bool notify_address_ok(const char *s);
/* https (or http to a private or loopback address literal), no user part, no control characters, at most 1,000 bytes.
 */
bool notify_url_ok(const char *s);
#endif
