/*
 * The one event form: what every parser of src/normalise makes and what matcher, journal and screens read.
 *
 * An event is a moment, a sender, a log source and a list of named values.  Names are those of the Sigma taxonomy where it
 * has one, so that every rule speaks them (event.def says what the common ones mean); a name is a number of a table of
 * names, a value a span of text.  The bytes as they came are always kept beside it (raw).
 *
 * Memory: values are borrowed from raw or from the event's own arena (event_add_copy, event_room).  One event is used again
 * and again: event_clear keeps its memory.  Nothing here is safe for two threads at once; each thread has a table of names
 * and events of its own.
 */
#ifndef SM_EVENT_EVENT_H
#define SM_EVENT_EVENT_H

#include "core/buf.h"
#include "event/names.h"

enum {
    EVENT_FIELDS_MAX = 1024,        /* values an event may have; the rest is cut off and said (EVENT_CUT) */
    EVENT_VALUE_MAX = 256 << 10,    /* bytes of one value; longer ones are cut at a UTF-8 boundary (EVENT_CUT) */
    EVENT_RAW_MAX = 1 << 20,        /* bytes of one record as it came */
    EVENT_ARENA_MAX = 4 << 20,      /* bytes of values of one event that are not borrowed from raw */
};

enum event_type {
    EVENT_TEXT,     /* UTF-8 */
    EVENT_NUMBER,   /* a JSON number, as text */
    EVENT_BOOL,     /* "true" or "false" */
    EVENT_NULL,     /* there, without a value: n is 0 */
};

struct event_field {
    const uint8_t *p;   /* n bytes of valid UTF-8, not ended by NUL */
    uint32_t n;
    uint16_t name;      /* of the table of names */
    uint8_t type;       /* enum event_type */
    uint8_t reserved;
};

enum event_note {
    EVENT_UNPARSED = 1,         /* no format understood it: raw and Message are all there is */
    EVENT_CUT = 2,              /* fields or bytes beyond a maximum were left out; raw is whole up to EVENT_RAW_MAX */
    EVENT_NO_TIME = 4,          /* the record has no time: time is when the box saw it */
    EVENT_NO_ZONE = 8,          /* the record has a time without zone: the source's zone was taken */
    EVENT_NO_YEAR = 16,         /* the record has a time without year: the latest that lies in the past was taken */
    EVENT_DECODED = 32,         /* raw was not UTF-8: values were decoded (CP932, EUC-JP, ISO-2022-JP, UTF-16 ...) */
    EVENT_REPLACED = 64,        /* some bytes could not be decoded and stand as U+FFFD */
    EVENT_DAMAGED = 128,        /* the container was damaged here: what was left of the record */
};

/* Moments: seconds and nanoseconds UTC since 1970, nanoseconds always 0 .. 999,999,999. */
struct event_time { int64_t s; uint32_t ns; };

struct event {
    struct event_time time;     /* when it happened, as the sender says */
    struct event_time seen;     /* when the box took it in */
    uint64_t source;            /* number of the source (settings of the box), 0 unknown */
    uint16_t product, category, service;    /* log source as words of the table of names, 0 unknown */
    uint16_t format;            /* word: the row of src/normalise that read it ("syslog", "evtx") */
    uint8_t severity;           /* syslog's 0 emergency .. 7 debug; EVENT_NO_SEVERITY */
    uint32_t notes;             /* enum event_note */
    struct sm_span host;        /* the machine it happened on, as the sender names it; may be empty */
    struct sm_span raw;         /* as it came; borrowed from who gave it */
    struct event_field *fields;
    size_t n;
    struct event_arena *arena;  /* private */
    size_t cap;                 /* private */
};
#define EVENT_NO_SEVERITY 255

/* e gets its own memory.  -ENOMEM. */
sm_must_use int event_init(struct event *e);
void event_wipe(struct event *e);
/* Empty again (memory kept up to 256 KiB of arena): no fields, no raw, no words, severity EVENT_NO_SEVERITY. */
void event_clear(struct event *e);

/*
 * One more value; a name may come several times (an array: a rule matches when one of them does).  The bytes of the first are
 * borrowed and must live as long as the event's content, those of the second are copied.  Values must be valid UTF-8
 * (event_decode in src/normalise makes them so).  Beyond a maximum the value is cut or left out, EVENT_CUT is set, and 0 is
 * returned.  -ENOMEM.
 */
sm_must_use int event_add(struct event *e, uint16_t name, enum event_type type, struct sm_span value);
sm_must_use int event_add_copy(struct event *e, uint16_t name, enum event_type type, struct sm_span value);
/* n bytes that live as long as the event's content, 8-byte aligned; NULL when out of memory or past EVENT_ARENA_MAX. */
void *event_room(struct event *e, size_t n);

/* The first value of that name, NULL if there is none; and the one after f (of the same name). */
const struct event_field *event_get(const struct event *e, uint16_t name);
const struct event_field *event_next(const struct event *e, const struct event_field *f);
/* Its bytes; an empty span if there is none. */
struct sm_span event_text(const struct event *e, uint16_t name);
static inline struct sm_span event_value(const struct event_field *f)
{
    return (struct sm_span){ f->p, f->n };
}

/*
 * The event as one JSON object, compact: "@timestamp" and "@seen" (RFC 3339, UTC, nanoseconds as far as they are not 0), "@host",
 * "@source", "@product", "@category", "@service", "@format", "@severity", "@notes" (list of words) where known, then every
 * field in order; a name that comes several times becomes an array.  raw is not in it.  -ENOMEM, -SM_ELIMIT of ret.
 */
sm_must_use int event_json(const struct event *e, const struct event_names *names, struct sm_buf *ret);
/* "unparsed", "cut" ... for one bit; NULL if there is none of it. */
const char *event_note_name(uint32_t bit);

#endif
