/* Inside evtx*.c: binary XML of a chunk, compiled templates, the state of one record. */
#ifndef SM_NORMALISE_EVTX_INT_H
#define SM_NORMALISE_EVTX_INT_H

#include <iconv.h>
#include <string.h>
#include "normalise/evtx.h"
#include "normalise/utf8.h"

enum {
    EVTX_PROGRAMS_MAX = 512,            /* templates of one chunk; it has room for few hundred */
    EVTX_OPS_MAX = 16 << 10,            /* steps of all templates of one chunk */
    /* bytes of templates read for one chunk: each byte is of one template, of few kinds */
    EVTX_COMPILE_MAX = 4 * EVTX_CHUNK,
    EVTX_OUT_MAX = 512 << 10,           /* bytes of values made for one record, which itself has at most 64 KiB */
    EVTX_DATA_MAX = EVENT_FIELDS_MAX,   /* unnamed values of one record */
    EVTX_KEPT_MAX = 256,                /* templates remembered of sound chunks, and the bytes of all of them */
    EVTX_KEPT_BYTES = 2 << 20,
    EVTX_CHUNK_HEAD = 512,
    EVTX_RECORD_HEAD = 24,
    EVTX_RECORD_MIN = EVTX_RECORD_HEAD + 4,
};

enum bx_token {
    BX_END, BX_OPEN, BX_CLOSE_START, BX_CLOSE_EMPTY, BX_CLOSE, BX_TEXT, BX_ATTRIBUTE, BX_CDATA, BX_CHARACTER, BX_ENTITY,
    BX_PI_TARGET, BX_PI_DATA, BX_TEMPLATE, BX_VALUE, BX_OPTIONAL, BX_HEAD,
    BX_MORE = 0x40, /* flag: attributes follow, or more of the same */
};

enum bx_type {
    BX_NULL, BX_UTF16, BX_ANSI, BX_I8, BX_U8, BX_I16, BX_U16, BX_I32, BX_U32, BX_I64, BX_U64, BX_F32, BX_F64,
        BX_BOOL, BX_BINARY,
    BX_GUID, BX_SIZE, BX_FILETIME, BX_SYSTEMTIME, BX_SID, BX_HEX32, BX_HEX64,
    BX_HANDLE = 0x20, BX_XML = 0x21, BX_EVTXML = 0x23,
    BX_ARRAY = 0x80,
};

static inline uint16_t le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t le64(const uint8_t *p)
{
    return le32(p) | (uint64_t)le32(p + 4) << 32;
}

/* A place in a chunk; all numbers are bytes from its start.  bad: what was to be read is not there; it stays. */
struct bx { const uint8_t *chunk; uint32_t size, at, end; bool bad; };

static inline uint32_t bx_left(const struct bx *c)
{
    return c->end - c->at;
}

/* n bytes passed; NULL and bad when they are not there. */
static inline const uint8_t *bx_take(struct bx *c, uint32_t n)
{
    if (c->bad || bx_left(c) < n) {
        c->bad = true;
        return NULL;
    }
    c->at += n;
    return c->chunk + c->at - n;
}

static inline uint32_t bx_u8(struct bx *c)
{
    const uint8_t *p = bx_take(c, 1);
    return p ? *p : 0;
}

static inline uint32_t bx_u16(struct bx *c)
{
    const uint8_t *p = bx_take(c, 2);
    return p ? le16(p) : 0;
}

static inline uint32_t bx_u32(struct bx *c)
{
    const uint8_t *p = bx_take(c, 4);
    return p ? le32(p) : 0;
}

/* The token that comes, without its flag; BX_END past the end. */
static inline unsigned bx_peek(const struct bx *c)
{
    return c->bad || c->at >= c->end ? BX_END : c->chunk[c->at] & ~(unsigned)BX_MORE;
}

struct bx_text { const uint8_t *p; uint32_t units; };     /* UTF-16LE */
/* A reference to a name, which may stand right here. */
struct bx_text bx_name(struct bx *c);
/* Head of an element behind nothing: token, dependency (only inside of templates), size, name; *ret_more: attributes
 * follow. */
struct bx_text bx_open(struct bx *c, bool in_template, bool *ret_more);
/* Count and units, as behind BX_TEXT (with its type), BX_CDATA, BX_PI_DATA. */
struct bx_text bx_units(struct bx *c);
/* Character of BX_CHARACTER or of one of the five entities; 0: another one, *ret_name is its name. */
uint32_t bx_character(struct bx *c, struct bx_text *ret_name);

struct bx_value { const uint8_t *p; uint32_t n; uint8_t type; };
struct bx_values { const struct bx_value *v; uint32_t n; };

/* ---- text of values (evtx_text.c) ---- */

/* units of UTF-16LE as UTF-8 to, which has 3 * units + 16 bytes; NULs at the end are left out. */
size_t evtx_utf8(struct bx_text t, uint8_t *to, bool *ret_replaced);
enum { EVTX_SCALAR_TEXT = 256 };    /* more than a SID of 15 parts needs */
/* Bytes that the text of a value may need at most. */
size_t evtx_text_room(const struct bx_value *v);
struct evtx;
/* A value that is no array and no XML as UTF-8 to; sets *ret_type and the notes. */
size_t evtx_text(struct evtx *x, const struct bx_value *v, uint8_t *to, enum event_type *ret_type, uint32_t *notes);
/* The next element of an array, from *at on; false at its end. */
bool evtx_element(const struct bx_value *array, uint32_t *at, struct bx_value *ret);
struct event_time evtx_filetime(uint64_t t);

/* ---- templates (evtx_compile.c) ---- */

/* What a piece of XML stands in. */
enum evtx_in { IN_NOTHING, IN_EVENT, IN_SYSTEM, IN_DATA, IN_OTHER, IN_RENDERING };

struct evtx_part {
    const uint8_t *p;       /* UTF-8 of the template; NULL: value number n */
    uint32_t n;
};

enum evtx_kind {
    OP_LEAF,        /* an element without elements */
    OP_ATTRIBUTE,   /* left out when its values are null */
    OP_SYSTEM,      /* as OP_LEAF, left out when null */
    OP_DATA,        /* Data without a name */
    OP_DYNAMIC,     /* Data whose name is not constant: its first names parts */
    OP_NEST,        /* XML may come here */
    OP_TIME,        /* OP_ATTRIBUTE, and it is the time of the event */
};

struct evtx_op {
    uint16_t name;
    uint8_t kind, in;       /* in: what XML stands in that comes as value */
    uint16_t names, parts;
    uint32_t part;
};

struct evtx_program {
    uint32_t at;            /* of the definition in the chunk */
    uint32_t end;           /* behind it */
    uint8_t in;
    bool bad;               /* the template is damaged: it is what could be read */
    uint32_t op, ops;
    uint32_t values;        /* one more than the highest value it names */
};

/* A template of a sound chunk.  Its program's op is right in the chunk `here` (of counts.chunks) alone. */
struct evtx_kept {
    uint32_t id, parts_n;
    struct evtx_program program;
    struct evtx_op *ops;        /* their parts count from 0 */
    struct evtx_part *parts;
    uint64_t here;
    void *memory;
};

struct evtx_block { struct evtx_block *next; size_t n, cap; };

struct evtx {
    struct event_names *names;
    iconv_t ansi;
    struct evtx_reader reader;
    uint32_t flags;
    uint64_t chunk_at, next_at;     /* in the file */
    uint8_t *buf;                   /* a chunk read, when the file is not in memory */
    struct sm_span file;
    const uint8_t *chunk;
    uint32_t size;                  /* bytes of it that are there */
    uint32_t at, limit;             /* next record, end of records */
    bool sure;                      /* the chunk's head is sound: limit is what it states */
    bool bad_chunk, slack, any, opened;
    uint64_t last;                  /* number of the record before */
    struct event_time last_time;    /* of the event before, for those whose own is destroyed */
    uint32_t record, record_end;    /* the last one given; 0 none */
    struct evtx_counts counts;
    struct evtx_place place;
    struct evtx_kept kept[EVTX_KEPT_MAX];
    uint32_t kept_n;
    size_t kept_bytes;

    /* of this chunk */
    struct evtx_program programs[EVTX_PROGRAMS_MAX];
    uint32_t programs_n;
    uint16_t slot[2 * EVTX_PROGRAMS_MAX];
    struct evtx_op *ops;
    uint32_t ops_n, ops_cap;
    struct evtx_part *parts;
    uint32_t parts_n, parts_cap;
    struct evtx_part *stack;        /* parts of elements not yet closed */
    uint32_t stack_n, stack_cap;
    struct evtx_block *blocks;      /* constant text */
    uint32_t compile_left;

    /* of this record */
    struct event *e;
    uint8_t *out, *out_end;
    uint32_t out_left;
    uint32_t steps;
    struct sm_span data[EVTX_DATA_MAX];
    uint32_t data_n;
    bool data_any;                  /* one of them was not null */
    struct bx_value (*values)[EVTX_VALUES_MAX];     /* EVTX_NEST_MAX of them */
};

void evtx_forget_programs(struct evtx *x);
/* *at has n elements of that size: room for one more.  -ENOMEM. */
sm_must_use int evtx_grow(void *at, uint32_t *cap, uint32_t n, size_t size);
/* The definition at that place, compiled for what it stands in.  0 and *ret_index; -SM_EFORMAT when there is none;
 * -ENOMEM. */
sm_must_use int evtx_compile(struct evtx *x, uint32_t at, enum evtx_in in, uint32_t *ret_index);
/* An element that stands in a record without template: c goes behind it. */
sm_must_use int evtx_compile_here(struct evtx *x, struct bx *c, enum evtx_in in, struct evtx_program *ret);
struct bx_template { uint32_t id, at; };
/* A template's use, behind its token: definition (passed when it stands here) and values, into room for
 * EVTX_VALUES_MAX. */
bool evtx_instance(struct bx *c, struct bx_value *room, struct bx_template *ret, struct bx_values *ret_values,
    bool *ret_cut);

/* ---- templates of other chunks (evtx_kept.c) ---- */

void evtx_kept_wipe(struct evtx *x);
void evtx_remember(struct evtx *x, uint32_t id, const struct evtx_program *p);
/* For a damaged chunk, the template of that number with no more than that many values; NULL if there is none. */
const struct evtx_program *evtx_recall(struct evtx *x, uint32_t id, enum evtx_in in, uint32_t values);

/* ---- records (evtx_run.c) ---- */

/* The binary XML in [at, end) of the chunk into e.  -ENOMEM. */
sm_must_use int evtx_run(struct evtx *x, uint32_t at, uint32_t end, struct event *e);

#endif
