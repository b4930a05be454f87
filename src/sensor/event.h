/*
 * Events of the one form: JSON lines with the field names of Sigma's Linux taxonomy (PROTOCOL-agent.md, "Events of the
 * endpoint"). Texts are bytes: control characters are escaped as JSON says, bytes that are not UTF-8 stand as \xNN.
 */
#ifndef SM_SENSOR_EVENT_H
#define SM_SENSOR_EVENT_H
#include "core/buf.h"
#include "core/time.h"
#include "sensor/proctree.h"

enum { EVENT_MAX = 16384 }; /* bytes of one event: what is built here is never longer */

/* Any event: begin with its time and its class (key is "category" or "service"), put fields, end.  Errors are sticky;
 * end tells them: -ENOMEM, -SM_ELIMIT past EVENT_MAX.  The text begins at ret's end; on failure it is cut off again. */
struct sensor_event {
    struct sm_buf *to;
    size_t from;
    int err;
};
struct sensor_event sensor_event_begin(struct sm_buf *to, struct sm_time at, const char *key, const char *value);
void sensor_event_text(struct sensor_event *e, const char *key, const char *value);  /* "" is left out */
void sensor_event_bytes(struct sensor_event *e, const char *key, struct sm_span value);
void sensor_event_number(struct sensor_event *e, const char *key, int64_t value);
void sensor_event_true(struct sensor_event *e, const char *key, bool value);
sm_must_use int sensor_event_end(struct sensor_event *e);

/* A program was started.  parent: NULL unknown; folder: its working folder, "" unknown; user: name. */
sm_must_use int sensor_event_process(struct sm_buf *ret, struct sm_time at, const struct proctree_row *row,
    const struct proctree_row *parent, const char *user, const char *folder);
/* A connection.  row: NULL unknown; texts of addresses; ours is the side of this machine. */
struct sensor_connection {
    bool initiated; /* by this machine */
    const char *ours, *other;
    uint16_t our_port, other_port; /* 0: not known */
};
sm_must_use int sensor_event_connection(struct sm_buf *ret, struct sm_time at, const struct proctree_row *row,
    const char *user, const struct sensor_connection *c);
#endif
