/*
 * Signals and incidents in the API: what came from watch and from the box's own eyes goes to decide (api_config.decide), is kept
 * in the database, and opens alarms.  Only files of this room include it.
 */
#ifndef API_WATCH_H
#define API_WATCH_H
#include "api/internal.h"

/* Puts open incidents, filters and what waits back into decide; once, at the start. */
void signals_begin(struct api *a);
/* One signal: as docs/PROCESSES.md, W_SIGNALS.  own: the box tells of it by an alarm of its own already. */
void signal_take(struct api *a, const json_t *signal, bool own);
/* Of the box's own: rule, level, stage, and the machine it is about. */
void signal_own(struct api *a, const char *rule, const char *level, const char *stage, const char *host, const char *title_ja,
    const char *title_en);
/* The alarm that told of it is over: an incident of nothing else is, too. */
void signal_own_over(struct api *a, const char *rule, const char *host, const char *by, const char *note, bool false_alarm);
/* A machine that joined was heard of from this address: what others say of the address is said of it. */
void signals_know(struct api *a, const char *address, const char *host);
void signals_daily(struct api *a, int64_t now);
/* Closes it for decide, database and alarm.  verdict: "attack", "harmless", "false-alarm" or NULL. */
void incident_close(struct api *a, int64_t incident, const char *verdict, const char *by, const char *note);
/* The signal in the words of lang. */
json_t *signal_json(const json_t *row, enum text_lang lang);
/* What its gravest signal says; NULL when none is critical, or has no words in that language.  The caller's. */
json_t *incident_words(struct api *a, int64_t incident, enum text_lang lang);
/* {ja, en} → text of lang, the other one when it lacks; "" for neither. */
const char *both_in(const json_t *both, enum text_lang lang);
/* Playbooks that fit it begin; once each for an incident.  incident: its facts as decide tells them. */
void playbooks_on(struct api *a, const json_t *incident, bool begin);
/* What was offered and done about it, in the words of lang: an array, the caller's. */
json_t *responses_of(struct api *a, int64_t incident, enum text_lang lang);
/* How a request to the firewall ended, by the id of its message: the step says so. */
void response_result(struct api *a, const char *message, bool ok);
/* The booked window that this session of remote maintenance is part of, and it is noted there; NULL none.  The caller's. */
char *maintenance_covers(struct api *a, const json_t *signal, int64_t at_s);

/* The window names its account, but it came from an address that was not booked. */
bool maintenance_elsewhere(struct api *a, const json_t *signal, int64_t at_s);

/* Addresses and nets as text, "192.0.2.0/24", "2001:db8::1". */
struct address_net { uint8_t bytes[16]; unsigned bits, len; };
bool address_net(const char *text, struct address_net *ret);
bool address_in(const char *address, const char *net);
/* Places outside that are known (places.c).  check: the field that is wrong, or NULL and the list (the caller's).  The other lists are the
 * caller's, too; patterns are as rules compare them. */
const char *places_check(const json_t *in, json_t **ret);
json_t *places_list(struct api *a);
json_t *places_patterns(struct api *a);
bool places_know(struct api *a, const char *address);

/* Logs (logs.c): what watch and collector tell, and what watch is told. */
/* device_logs.c: which logs a machine reads (of its row), for its poll; what watch is told of all of them; what one said.
 * The lists are the caller's. */
json_t *device_logs_settings(const json_t *device);
json_t *device_logs_hints(struct api *a);
void device_logs_said(struct api *a, const json_t *device, const json_t *poll);
void logs_configure(struct api *a, bool reload);
void logs_on_watch(struct api *a, bool there);
void logs_tick(struct api *a, int64_t now);
void logs_daily(struct api *a, int64_t now);
enum { LOG_CLASSES_MAX = 16 };
/* The classes of retention as people set them; the caller's. */
json_t *logs_classes(struct api *a);
/* The answer to a question that is none, in the seeker's words; why is taken. */
void logs_bad_query(struct api_call *c, json_t *why);
/* [{listener, port (0: none), on}]: the caller's; and the same to the collector. */
json_t *logs_doors(struct api *a);
void logs_doors_tell(struct api *a);
/* Rules (rules.c): the box's own and the filters of people, as watch is told them (the caller's); old counts are let go. */
json_t *rules_own(struct api *a);
void rules_daily(struct api *a, int64_t now);

/* Where logs are searched (logs_store.c): in ClickHouse too? */
bool logs_store_on(struct api *a);
/* A question ("SEARCH" …) to the process that answers it now; body is taken. */
void logs_ask(struct api_call *c, const char *what, json_t *body, api_then_fn then);
/* In then: when that process is gone the seeker is asked instead, then is called once more, and c->mem says "away": true. */
bool logs_ask_here(struct api_call *c, int err, api_then_fn then);
#endif
