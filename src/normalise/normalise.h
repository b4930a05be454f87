/*
 * Raw records → events.  One file per input format = one row of the table in normalise.c.
 *
 * A record is what one sender said once: a syslog message without its framing, a line of a file, an event as XML,
 * an object
 * of JSON.  Its bytes are decoded to UTF-8 (decode.c), its format is found or taken from the hint, and its values
 * become
 * fields by the names of event.def.  What no format understands is kept as it came: EVENT_UNPARSED, with the
 * decoded text as
 * Message.  Nothing in a record makes this room fail, and nothing of it is believed about lengths, depth or encodings.
 *
 * Not thread-safe: each thread has its struct normalise; a struct normalise_state belongs to one stream of records
 * and is
 * used by one thread at a time.  After normalise_new no file is opened: it may go into a sandbox.
 */
#ifndef SM_NORMALISE_NORMALISE_H
#define SM_NORMALISE_NORMALISE_H

#include "event/event.h"

struct normalise;
struct normalise_map;

/*
 * What a stream leaves for its next record: heads of columns (#Fields of W3C, first line of CSV), records of Linux
 * audit that
 * belong together, the format and encoding that fitted last.  At most NORMALISE_STATE_MAX bytes.  One per sender or
 * file;
 * whoever follows a file wipes it when the file begins anew.
 */
struct normalise_state;
enum { NORMALISE_STATE_MAX = 256 << 10, NORMALISE_ZONE_JST = 9 * 3600 };

struct normalise_hint {
    const char *format;     /* a name of the table, NULL: find out for every record */
    /* files: the row by whose records the bytes are cut, NULL: that of format (normalise_next) */
    const char *frame;
    const char *encoding;   /* "utf-8", "cp932", "euc-jp", "iso-2022-jp", "utf-16le", "utf-16be"; NULL: find out */
    int zone_s;             /* seconds east of UTC of times that have no zone */
    uint16_t product, category, service;    /* words that replace what the format found; 0 leaves it */
    uint64_t source;        /* number of the source */
    struct sm_span sender;  /* address the record came from, as text; may be empty */
    const struct normalise_map *map;        /* columns of CSV; NULL: those built in */
    struct normalise_state *state;          /* NULL: every record stands for itself */
};
/* Nothing known; times without zone are Japan's. */
#define NORMALISE_HINT ((struct normalise_hint){ .zone_s = NORMALISE_ZONE_JST })

/* names is borrowed and must live as long.  Opens the converters of all encodings.  -ENOMEM. */
sm_must_use int normalise_new(struct event_names *names, struct normalise **ret);
void normalise_free(struct normalise *n);
/* NULL when out of memory. */
struct normalise_state *normalise_state_new(void);
void normalise_state_free(struct normalise_state *s);

/*
 * raw into e, which is cleared first (its memory is used again).  Values are borrowed from raw, from e and, for
 * what came
 * from the head of a stream, from names; raw must live as long as e's content.  seen is when the box took the
 * record in: it gives the year
 * to times without one and stands in for a missing time.  raw longer than EVENT_RAW_MAX is cut (EVENT_CUT).
 * 0: e is an event.  1: nothing to tell (a head of columns, an empty line): e holds raw and notes alone and no field.
 * -ENOMEM: the only failure.
 */
sm_must_use int normalise_record(struct normalise *n, const struct normalise_hint *hint, struct sm_span raw,
    struct event_time seen, struct event *e);
/*
 * What the records so far make together, to be asked after each normalise_record of a stream with a state: Linux
 * audit's records of one
 * serial number become one event of process_creation beside the single ones.  Its raw is the records' texts joined
 * by newline.
 * 1: e is such an event (ask again); 0: none; -ENOMEM.  e's content lives until the next call with that state.
 */
sm_must_use int normalise_more(struct normalise *n, const struct normalise_hint *hint, struct event *e);

/*
 * Files: how many of the n bytes at p are the next record of that format (its line end included), and in
 * *ret_record the
 * record without it.  0: not whole yet (end is false), or nothing left.  A record longer than EVENT_RAW_MAX is
 * given in pieces.
 * The hint's frame, else its format decides: lines; CSV with newlines in quotes; blocks of journald; JSON over
 * several lines; XML.
 */
size_t normalise_next(const struct normalise_hint *hint, struct sm_span bytes, bool end, struct sm_span *ret_record);
/* What a file is, from its first bytes: the name of a row, NULL when none is surer than lines of text.  Good as a
 * frame. */
const char *normalise_guess(struct normalise *n, struct sm_span first);

/* Rows of the table, for documents and choices: name, and what it is in both languages; NULL past the last. */
struct normalise_row { const char *name, *ja, *en; };
const struct normalise_row *normalise_row(size_t i);
bool normalise_knows_format(const char *name);
bool normalise_knows_encoding(const char *name);
/* "+09:00", "+0900", "Z", "JST", "UTC" → seconds east of UTC.  -SM_EFORMAT. */
sm_must_use int normalise_zone(struct sm_span text, int *ret_s);

/*
 * A mapping of CSV columns (docs/INTAKE.md): JSON text, at most 64 KiB.  ret_why (160 bytes, may be NULL) says what
 * is wrong.
 * -SM_EFORMAT, -SM_ELIMIT, -ENOMEM.
 */
sm_must_use int normalise_map_parse(struct event_names *names, struct sm_span json, struct normalise_map **ret,
    char *ret_why);
void normalise_map_free(struct normalise_map *m);

/* Bytes of any encoding as UTF-8 of e's memory (or as they are, when they already are UTF-8).  encoding as in the hint.
 * Sets EVENT_DECODED and EVENT_REPLACED.  -ENOMEM. */
sm_must_use int normalise_decode(struct normalise *n, const char *encoding, struct sm_span raw, struct event *e,
    struct sm_span *ret_text);

#endif
