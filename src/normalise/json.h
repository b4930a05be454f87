/*
 * JSON, flat and fast: one text → its values with their paths, in order, without a tree in between.
 *
 * Strict (RFC 8259): one object and white space around it, valid UTF-8, no raw control characters, numbers as the
 * grammar says, nothing after the end.  Members inside members are named a.b, members of an array by the array's name
 * (so an array gives its name several times), empty objects and arrays give nothing.  A name that comes twice is given
 * twice.  \u0000 and halves of surrogate pairs become U+FFFD. Text without escapes is borrowed from the input; the rest
 * is made in the event's memory.
 */
#ifndef SM_NORMALISE_JSON_H
#define SM_NORMALISE_JSON_H

#include "event/event.h"

enum {
    JSON_DEPTH_MAX = 32,        /* objects and arrays inside each other */
    JSON_PATH_MAX = 1024,       /* bytes of a path */
    JSON_TEXT_MAX = EVENT_RAW_MAX,
};

struct json_value {
    struct sm_span path;        /* dotted; lives until the callback returns */
    struct sm_span name;        /* its last part */
    struct sm_span text;        /* unescaped UTF-8 without NUL, a number or true/false as they stand, empty for null */
    enum event_type type;
    bool in_array;
    uint8_t depth;              /* 1: a member of the text itself */
};
/* Not 0 ends the scan and is its result. */
typedef int json_each(void *ctx, const struct json_value *v);

/*
 * Every value of text.  e lends its memory (event_room) to texts with escapes and gets EVENT_REPLACED; its fields are
 * not touched. 0, or -SM_EFORMAT (not JSON, not an object; values before the fault were given already), -SM_ELIMIT
 * (depth, path, size), -ENOMEM, or what each returned.
 */
sm_must_use int json_flat(struct sm_span text, struct event *e, json_each *each, void *ctx);

/* The usual each: a field of its path.  ctx is a struct json_fields. */
struct json_fields { struct event *e; struct event_names *names; };
int json_field(void *ctx, const struct json_value *v);
/* A value as a field of that name; one that finds no place in the table becomes "name=value" of EVENT_F_other.
 * -ENOMEM. */
sm_must_use int json_put(struct event *e, struct event_names *names, struct sm_span name, enum event_type type,
    struct sm_span value);

/* How many of the bytes at p make the first object of a stream of objects (spread over lines or not), white space
 * before it included: for
 * framing alone, the text is not looked at closely.  0: it does not end here.  More than EVENT_RAW_MAX never. */
size_t json_frame(struct sm_span bytes);

#endif
