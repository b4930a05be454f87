/*
 * Inside src/normalise: what a format's file sees.  A format has a row in normalise.c, a detect and a read.
 *
 * detect looks at decoded text (valid UTF-8 without NUL, no line end) and says how sure it is, 0 .. 100; it is
 * asked for
 * every record of an unknown stream and must be quick.  read makes fields; returns 0, FORMAT_NOTHING (a head of
 * columns: no
 * event), -SM_EFORMAT (not of this format after all: the event is as before, another row is asked) or -ENOMEM.
 * Values are borrowed from text or made in e's room.
 */
#ifndef SM_NORMALISE_FORMAT_H
#define SM_NORMALISE_FORMAT_H

#include "normalise/normalise.h"
#include "normalise/scan.h"

enum { FORMAT_NOTHING = 1, FORMAT_DEPTH_MAX = 3 };

struct format_ctx {
    struct normalise *n;
    struct event_names *names;
    const struct normalise_hint *hint;
    struct normalise_state *state;  /* may be NULL */
    struct event *e;
    struct sm_span program;         /* of syslog, lower levels look at it; may be empty */
    int depth;                      /* formats inside formats: syslog carrying JSON */
    int err;                        /* the first failure of the put functions: 0 or -ENOMEM */
};

enum format_frame { FRAME_LINE, FRAME_CSV, FRAME_BLOCK, FRAME_JSON, FRAME_XML };

struct format {
    struct normalise_row row;
    enum format_frame frame;
    int (*detect)(struct sm_span text);
    int (*read)(struct format_ctx *c, struct sm_span text);
};

extern const struct format format_audit, format_cisco, format_csv, format_nec, format_text, format_yamaha;
/* The reader of Windows events, and the mapping of CSV that is built in (rules/mappings/csv.json), of this thread. */
struct windows;
struct windows *windows_of(const struct normalise *n);
const struct normalise_map *builtin_map(const struct normalise *n);

/* ---- fields: sticky error in c->err ---- */

/* A text value, left out when empty. */
void put(struct format_ctx *c, uint16_t name, struct sm_span value);
/* The same, typed a number when it is one as JSON writes it, else a text. */
void put_number(struct format_ctx *c, uint16_t name, struct sm_span value);
/* Also when empty. */
void put_any(struct format_ctx *c, uint16_t name, enum event_type type, struct sm_span value);
/* A name that is not of event.def. */
void put_named(struct format_ctx *c, struct sm_span name, enum event_type type, struct sm_span value);
/* A constant of the program. */
void put_str(struct format_ctx *c, uint16_t name, const char *constant);
/* A number made here. */
void put_u64(struct format_ctx *c, uint16_t name, uint64_t v);
/* "10.0.0.1:443", "10.0.0.1/443", "[::1]:443", "10.0.0.1(443)", "10.0.0.1#443", or an address alone, into two
 * fields. */
void put_address(struct format_ctx *c, uint16_t ip, uint16_t port, struct sm_span value);
/* Is it an address of IPv4 or IPv6 (nothing around it)? */
bool is_address(struct sm_span s);
bool is_number(struct sm_span s);
/* Words of the log source, where not yet said. */
static inline void source_words(struct format_ctx *c, uint16_t product, uint16_t category, uint16_t service)
{
    c->e->product = product ? product : c->e->product;
    c->e->category = category ? category : c->e->category;
    c->e->service = service ? service : c->e->service;
}

/*
 * Another format inside this one (what syslog carries): the best row that is not syslog.  0 when one read it,
 * -SM_EFORMAT
 * when none did, -ENOMEM.
 */
sm_must_use int format_inside(struct format_ctx *c, struct sm_span text);

/* What the records of a stream make together (audit.c): as normalise_more. */
sm_must_use int audit_more(struct format_ctx *c);

/* ---- key=value: values bare, in "..." (with \" when escaped) or '...' ---- */
struct pair { struct sm_span key, value; bool quoted; };
/* The next pair; sep is the byte between pairs (' ', ',', ';').  False at the end.  Words without '=' are passed
 * over. */
bool pair_next(struct scan *s, char sep, struct pair *ret);

/* ---- moments (when.c) ---- */
struct when {
    int year, month, day, h, m, sec;    /* year 0: not said; 24:00:00 and :60 are the moment after */
    uint32_t ns;
    bool has_zone, epoch;               /* epoch: s is all there is */
    int zone_s;
    int64_t s;
};
/* Each takes a time from the start of s and stands behind it; false: s is as it was. */
/* 2026-11-15T08:32:11.5+09:00, with ' ' or '/', zone optional */
bool when_iso(struct scan *s, struct when *ret);
/* Nov 15 08:32:11, with year before the time or after it, fraction */
bool when_bsd(struct scan *s, struct when *ret);
bool when_clf(struct scan *s, struct when *ret);        /* 10/Oct/2000:13:55:36 -0700 */
bool when_ctime(struct scan *s, struct when *ret);      /* Fri Dec 13 06:59:54.123 2013, weekday optional */
bool when_wareki(struct scan *s, struct when *ret);     /* 令和8年11月15日 08時31分02秒, R8.11.15 08:31:40, 2026年11月15日 8:31 */
bool when_epoch(struct scan *s, struct when *ret);      /* 1794678067, with ms, us, ns or a fraction */
bool when_any(struct scan *s, struct when *ret);        /* whichever fits, taking most */
/* Make it e's time: zone of the source, latest year that is past, notes. */
void when_set(struct format_ctx *c, const struct when *w);

/* ---- what a stream leaves (struct normalise_state) ---- */

enum { COLUMNS_MAX = 256, GROUPS_MAX = 8, GROUP_BYTES = 24 << 10 };

/* The head of a file with columns: names of the table, 0 for a column without one. */
struct columns {
    const struct format *of;    /* the format that read the head */
    size_t n;
    uint16_t name[COLUMNS_MAX];
    uint8_t kind[COLUMNS_MAX];  /* the format's own */
    char sep;
    uint16_t category, product, service;
};

/* Records of Linux audit with one serial number, joined by newline. */
struct group { uint64_t serial, ms; size_t n; bool done, process; uint32_t age; uint8_t text[GROUP_BYTES]; };

struct normalise_state {
    const struct format *last;  /* the row that read the record before */
    uint8_t encoding;           /* enum encoding that a record before had, when it was no UTF-8 */
    uint32_t clock;             /* counts records: the oldest group makes room */
    struct columns columns;
    struct group *groups[GROUPS_MAX];   /* made when first needed */
};

#endif
