/*
 * What the files of the room share.  Layers, from below: text (folding, keys of the filter), build (open block →
 * bytes), block (bytes →
 * columns → events), segment and wal (files), journal (writer), ledger, reader, match, search.
 */
#ifndef EVIDENCE_INTERNAL_H
#define EVIDENCE_INTERNAL_H

#include "core/find.h"
#include "event/event.h"
#include "journal/journal.h"

enum {
    EV_COLUMNS_MAX = 4096,          /* columns of one block; the builder says it is full before that */
    EV_CELLS_MAX = 32 << 20,        /* columns times events of one block */
    EV_BLOCK_HEAD = 8,              /* magic and length in front of a header; its hash follows it */
    EV_HEADER_MAX = 1 << 20,        /* bytes of a block's header */
    EV_BODY_MAX = 192 << 20,        /* bytes of a block's body */
    EV_PLAIN_MAX = 160 << 20,       /* decoded bytes of one part of a column */
    EV_SOURCES_MAX = 64,
    EV_FILTER_MAX = 4 << 20,        /* bytes of a filter */
    EV_SEGMENT_BLOCKS_MAX = 1024,
    EV_SEGMENT_HEAD = 64,
    EV_RECORD_MAX = 8 << 20,        /* bytes of one event record */
    EV_FRAME_MAX = 64 << 20,        /* bytes of one write-ahead frame */
    EV_WAL_HEAD = 16,
    EV_WAL_BYTES_MAX = 64 << 20,    /* a new write-ahead file begins after this */
};

enum ev_kind {
    EV_SHAPE = 16, EV_REST = 17, EV_HOST = 18, EV_PRODUCT, EV_CATEGORY, EV_SERVICE, EV_FORMAT, EV_RULES,
    EV_VALUES_END,
    EV_ID = 32, EV_TIME, EV_TIME_NS, EV_SEEN, EV_SEEN_NS, EV_SOURCE, EV_SEVERITY, EV_NOTES, EV_RAW,
    EV_NUMBERS_END,
};
const char *ev_kind_name(unsigned kind);   /* NULL: not one of the block's own */

static inline uint64_t ev_zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}
static inline int64_t ev_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}
/* A fast hash for tables in memory (seeded: strangers choose the values) and for keys of filters (seed 0: on disk). */
uint64_t ev_hash(const void *p, size_t n, uint64_t seed);

/* ---- text.c ---- */
/* Folded as the filter and every comparison see it, appended to ret. */
sm_must_use int ev_fold(struct sm_span s, struct sm_buf *ret);
/* ASCII alone: n bytes from p to `to`. */
void ev_lower_all(const uint8_t *p, size_t n, uint8_t *to);
/* Is the fold of s other than by the case of ASCII? */
bool ev_folds_wide(struct sm_span s);
static inline uint8_t ev_lower(uint8_t c)
{
    return (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : c;
}
static inline bool ev_is_word(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10;
}
/* Keys of folded text, handed to put.  open_left, open_right: what stands at that end may go on (a wildcard), so
 * tokens there are
 * not whole.  trigrams: also those of ASCII. */
struct ev_keys { void (*put)(void *arg, uint64_t key); void *arg; bool open_left, open_right, trigrams; };
void ev_keys_of(struct sm_span folded, const struct ev_keys *k);
uint64_t ev_key_value(struct sm_span name, struct sm_span folded);
enum { EV_VALUE_KEY_MAX = 256 };

/* A set of keys that becomes a filter. */
enum { EV_KEYS_WAIT = 64 };
struct ev_keyset {
    uint64_t *slot;
    size_t cap, n;
    uint8_t *tri;
    bool full;
    uint64_t wait[EV_KEYS_WAIT];    /* keys whose slots are on their way from memory */
    size_t waiting;
};
sm_must_use int ev_keyset_init(struct ev_keyset *s);
void ev_keyset_wipe(struct ev_keyset *s);
void ev_keyset_clear(struct ev_keyset *s);
/* The keys of text (folded here). */
sm_must_use int ev_keyset_text(struct ev_keyset *s, struct sm_span text, struct sm_buf *scratch);
void ev_keyset_folded(struct ev_keyset *s, struct sm_span folded);
void ev_keyset_put(struct ev_keyset *s, uint64_t key);
sm_must_use int ev_keyset_filter(struct ev_keyset *s, struct sm_buf *ret);
/* Bit numbers of key in a filter of bytes (a power of two). */
static inline void ev_filter_bits(uint64_t key, uint64_t bytes, uint64_t ret[3])
{
    uint64_t mask = bytes * 8 - 1, step = (key >> 32) | 1;
    for (unsigned i = 0; i < 3; i++)
        ret[i] = (key + i * step) & mask;
}

/* ---- rest.c, build.c ---- */
/* One event as it goes into block and write-ahead file: everything borrowed. */
struct ev_field { struct sm_span name,
    value; uint8_t type; uint16_t number; /* of the names of whoever made it, 0 none */ };
struct ev_record {
    uint64_t id, source;
    struct event_time time, seen;
    uint32_t notes;
    uint8_t klass, severity;
    struct sm_span word[4];         /* product, category, service, format */
    struct sm_span host, rules, rest;
    const struct ev_field *fields;
    size_t n;
    size_t raw_n;
    /* NULL, or for each field: all keys of its text are those of another value of this event, too */
    const uint8_t *within;
};
/* Give raw back: appended to ret.  plain: escapes undone (the text that search sees).  -SM_EFORMAT, -ENOMEM,
 * -SM_ELIMIT. */
sm_must_use int ev_rest_raw(struct sm_span rest, const struct ev_field *fields, size_t n, bool plain,
    struct sm_buf *ret);
struct ev_piece { struct sm_span literal; int field; /* -1: the end */ bool escaped; };
/* The next piece of rest; begin with SM_RD(rest).  1, 0 at the end, -SM_EFORMAT. */
sm_must_use int ev_rest_next(struct sm_rd *rd, size_t fields, struct ev_piece *ret);
/* Make rest of raw and the values; ret is cleared first. */
sm_must_use int ev_rest_make(const struct event *e, struct sm_buf *ret, struct sm_buf *scratch);

struct ev_build;
sm_must_use int ev_build_new(struct ev_build **ret);
void ev_build_free(struct ev_build *b);
/* 1 taken, 0 full (close it and try again).  -ENOMEM: b is as it was in effect (the event is not counted). */
sm_must_use int ev_build_add(struct ev_build *b, const struct ev_record *r);
struct ev_build_state { uint32_t events; uint64_t bytes, first_id, last_id; };
struct ev_build_state ev_build_state(const struct ev_build *b);
/* The block, appended to ret, with its hash.  b stays as it is (ev_build_clear afterwards). */
sm_must_use int ev_build_encode(struct ev_build *b, uint64_t number, uint8_t klass, const uint8_t before[32], int level,
    struct sm_buf *ret, uint8_t ret_hash[32]);
void ev_build_clear(struct ev_build *b);

/* ---- block.c ---- */
struct ev_column {
    struct sm_span name;            /* of the header */
    uint8_t kind, encoding;
    bool enc_bad;                   /* private to the parser */
    uint32_t values, distinct;
    uint64_t values_stored, values_plain, index_stored, index_plain, at; /* at: in the body */
    uint8_t hash[32];
};
enum { EV_ENC_DECIMAL = 1, EV_ENC_NO_INDEX = 2, EV_ENC_VALUES_PLAIN = 4, EV_ENC_INDEX_PLAIN = 8 };
struct ev_head {
    uint8_t klass, flags;
    uint64_t number, first_id, last_id, raw_bytes, body_len;
    uint32_t events, filter_bytes;
    struct event_time first, last;
    int64_t seen_first, seen_last;
    uint8_t before[32], filter_hash[32];
    uint64_t source[EV_SOURCES_MAX];
    size_t sources;
    struct ev_column *column;       /* owned */
    size_t columns;
};
/* header: the bytes behind "SJB1" and the length; names in ret are borrowed of it.  -SM_EFORMAT, -SM_EVERSION,
 * -ENOMEM. */
sm_must_use int ev_head_parse(struct sm_span header, struct ev_head *ret);
void ev_head_wipe(struct ev_head *h);
void ev_block_hash(struct sm_span header, uint8_t ret[32]);

/* Values of one decoded column. */
struct ev_values {
    uint32_t n, distinct, width;    /* width 0: value i is i, or 0 when distinct is 1 */
    const uint8_t *index;
    const uint32_t *off;            /* distinct + 1 */
    const uint8_t *bytes;
    uint8_t *own_index, *own_bytes; /* private */
    uint32_t *own_off;
};
static inline uint32_t ev_values_at(const struct ev_values *v, uint32_t i)
{
    if (v->width == 1)
        return v->index[i];
    if (v->width == 2)
        return (uint32_t)v->index[2 * i] | (uint32_t)v->index[2 * i + 1] << 8;
    if (v->width == 4) {
        uint32_t x;
        memcpy(&x, v->index + 4 * (size_t)i, 4);
        return x;
    }
    return v->distinct == 1 ? 0 : i;
}
static inline struct sm_span ev_values_get(const struct ev_values *v, uint32_t d)
{
    return SM_SPAN(v->bytes + v->off[d], v->off[d + 1] - v->off[d]);
}

/* Where a block's body is read from: exactly n bytes at off of the body. */
typedef int (*ev_read_fn)(void *arg, uint64_t off, size_t n, void *to);
struct ev_block {
    struct ev_head head;
    struct sm_buf header;           /* owned bytes behind head */
    ev_read_fn read;
    void *arg;
    struct ev_values *values;       /* a column each, decoded when asked for */
    int64_t **numbers;
    uint8_t *decoded;
    /* private: for each column, which value begins at each event; made when asked for */
    uint32_t **first;
    uint16_t *shape_cols;
    uint32_t *shape_at;             /* shape s has columns shape_cols[shape_at[s] .. shape_at[s + 1]) */
    uint32_t shapes;
    uint64_t bytes_read, bytes_decoded;
};
/* header is taken over on success. */
sm_must_use int ev_block_init(struct ev_block *b, struct sm_buf *header, ev_read_fn read, void *arg);
void ev_block_wipe(struct ev_block *b);
int ev_block_find(const struct ev_block *b, unsigned kind);    /* column of a kind >= 16, -1 */
/* Decode; checked against the column's hash.  -SM_ECORRUPT, -SM_EFORMAT, -ENOMEM, what read said. */
sm_must_use int ev_block_values(struct ev_block *b, size_t column, const struct ev_values **ret);
sm_must_use int ev_block_numbers(struct ev_block *b, unsigned kind, const int64_t **ret);
sm_must_use int ev_block_shapes(struct ev_block *b);
/* For a field's column: ret_first[i] is the number of its first value in event i, ret_first[events] their sum. */
sm_must_use int ev_block_first(struct ev_block *b, size_t column, const uint32_t **ret_first);
/* The values of row in the order they came; ret has room for EVENT_FIELDS_MAX. */
sm_must_use int ev_block_fields(struct ev_block *b, uint32_t row, struct ev_field *ret, size_t *ret_n);
/* Event row, into e (cleared first; values borrowed of b, raw of scratch).  names: where field names get numbers. */
struct ev_row { uint64_t id; uint8_t klass; struct sm_span rules; };
sm_must_use int ev_block_event(struct ev_block *b, uint32_t row, struct event_names *names, struct event *e,
    struct sm_buf *raw, struct ev_row *ret);
/* The text of row that search looks through as the record came: appended. */
sm_must_use int ev_block_plain(struct ev_block *b, uint32_t row, struct sm_buf *ret);

/* ---- segment.c ---- */
struct ev_entry {                   /* of a footer */
    uint64_t off, len, number, first_id, last_id, filter_off;
    uint32_t events, filter_bytes;
    struct event_time first, last;
    int64_t seen_first, seen_last;
    uint64_t raw_bytes;
    uint8_t hash[32];
};
struct ev_segment {
    int fd;
    uint64_t number, first_block, size, good;   /* good: end of the last whole block */
    uint8_t klass, before[32];
    bool closed;
    struct ev_entry *entry;
    size_t n, cap;
    uint64_t *source;               /* of all blocks; sources_all: more than EV_SOURCES_MAX */
    size_t sources;
    bool sources_all;
};
#define EV_SEGMENT_NAME "seg-%020llu.sjs"
#define EV_WAL_NAME "wal-%020llu.sjw"
enum { EV_NAME_LEN = 32 };
/* Name → number; 0 when it is none of that form. */
uint64_t ev_name_number(struct sm_span name, const char *prefix, const char *suffix);
/*
 * Load fd (kept open by ret on success).  A closed one by its footer, an open one block by block.  For an open one
 * `good` may be
 * less than size.  -SM_EFORMAT, -SM_EVERSION, -SM_ECORRUPT (footer), -ENOMEM, -errno.
 */
sm_must_use int ev_segment_load(int fd, struct ev_segment *ret);
/* Blocks added since (an open one).  1 when there are new ones. */
sm_must_use int ev_segment_more(struct ev_segment *s);
void ev_segment_wipe(struct ev_segment *s);
/* Read the header of a block at off and check it against the hash behind it: 1, or 0 when there is no whole block. */
sm_must_use int ev_segment_header(int fd, uint64_t off, uint64_t size, struct sm_buf *ret_header);
sm_must_use int ev_segment_footer(const struct ev_segment *s, struct sm_buf *ret);
sm_must_use int ev_segment_add(struct ev_segment *s, const struct ev_head *h, uint64_t off, uint64_t header_len,
    const uint8_t hash[32]);
/* Are all stored bytes of the block as its header says?  *ret_what: name of the first column that is not
 * ("@filter"). */
sm_must_use int ev_block_check(struct ev_block *b, struct sm_span *ret_what);
/* Does a sound header begin anywhere in [from, size)?  1, 0, -errno. */
sm_must_use int ev_segment_any(int fd, uint64_t from, uint64_t size);
/* Reads a block's body from a file. */
struct ev_at { int fd; uint64_t body; };
int ev_at_read(void *arg, uint64_t off, size_t n, void *to);
sm_must_use int ev_segment_block(const struct ev_segment *s, size_t i, struct ev_at *at, struct ev_block *ret);

/* ---- wal.c ---- */
/* Event records of a frame: both sides of one form.  names: a number of the frame for each field of r. */
sm_must_use int ev_record_put(const struct ev_record *r, const uint32_t *names, struct sm_buf *ret);
struct ev_record_buf { struct ev_field *field; size_t cap; };
/* names: texts of the frame.  Fields in ret are of store, their number that of the frame + 1. */
sm_must_use int ev_record_get(struct sm_span in, const struct sm_span *names, size_t names_n,
    struct ev_record_buf *store,
    struct ev_record *ret);
typedef int (*ev_wal_fn)(void *arg, const struct ev_record *r);
struct ev_wal_found { uint64_t number, good, size, events, skipped_bytes, skipped_at /* the first */; };
/* Every event of a write-ahead file, from ret->good on (0: all of it).  A bad frame is stepped over when a good one
 * follows it, else it is the torn end. */
sm_must_use int ev_wal_read(int fd, ev_wal_fn fn, void *arg, struct ev_wal_found *ret);
/* The events of one payload (of outside bytes: checked whole).  *events counts on. */
sm_must_use int ev_frame_read(struct sm_span payload, ev_wal_fn fn, void *arg, uint64_t *events);
/* Hash of a frame, of a payload in n ≤ 7 parts; its beginning is the frame's check. */
void ev_wal_hashv(uint64_t number, uint64_t off, const struct sm_span *payload, size_t n, uint8_t ret[32]);
void ev_wal_check(uint64_t number, uint64_t off, struct sm_span payload, uint8_t ret[8]);

/* ---- ledger.c ---- */
enum { EV_LEDGER_HEAD = 8, EV_LEDGER_LINKED = 2 /* version of one that begins with a link */ };
/* Ledgers and keys of the boxes before, oldest 1; what waits to be the first statement. */
#define EV_LEDGER_OLD "seals-%u"
#define EV_KEY_OLD "epoch0-%u"
#define EV_LINK_FILE "link"
enum { EV_LINKS_MAX = 64 };
typedef int (*ev_ledger_fn)(void *arg, uint64_t off, const uint8_t *statement, struct sm_span body);
/* Every whole entry in order.  *ret_good: end of the last whole one. */
sm_must_use int ev_ledger_read(int fd, ev_ledger_fn fn, void *arg, uint64_t *ret_good);
/* n x (number, hash) */
struct ev_tomb { uint8_t klass, reason; uint64_t segment; int64_t time_s; uint64_t n; struct sm_span blocks;
    uint64_t first_id, last_id; };
enum { EV_TOMB_BLOCK = 40 };
sm_must_use int ev_tomb_parse(struct sm_span body, struct ev_tomb *ret);   /* -SM_EFORMAT */
sm_must_use int ev_tomb_put(const struct ev_tomb *t, struct sm_buf *ret);
enum { EV_GONE_AGE = 1, EV_GONE_SIZE = 2 };

#endif
