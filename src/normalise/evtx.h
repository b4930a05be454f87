/*
 * Windows event logs (EVTX) → events, without XML in between.
 *
 * Format: Joachim Metz, "Windows XML Event Log (EVTX) format specification" (libevtx documentation), and [MS-EVEN6]
 * 2.2.12 for binary XML.  A file is a head of 4 KiB and chunks of 64 KiB; each chunk carries its own names and
 * templates, and a record is the number of a template and the values to put into it.  A template is compiled once per
 * chunk into a list "value i → field", so that a record becomes fields directly.
 *
 * Fields: EventData/Data by its Name (blanks taken out); Data without names joined by newline as `Data`; attributes of
 * elements below System as Tag_Attr (Provider_Name, Execution_ProcessID), elements by their tag; leaves of UserData
 * (and of anything else an event may hold) by their tag, attributes there as Tag_Attr; RenderingInfo as `Message` and
 * RenderingInfo_Tag.  An array is a field several times.
 * A value that is not there (type null) is EVENT_NULL, in System and as an attribute it is left out; an empty text is
 * EVENT_TEXT of 0 bytes.
 * Values: whole numbers in decimal (EVENT_NUMBER), "0x1f" hexadecimal, {8-4-4-4-12} GUIDs in small letters, S-1-5-…
 * SIDs, times as 2019-03-02T08:51:00.0085670Z, binary in capital hexadecimal, true and false.
 * event.time is TimeCreated (the time of the record's head where that is missing), host Computer, product windows,
 * format "evtx", severity from Level 1 … 5, raw the bytes of the record (which alone, without its chunk, cannot be read
 * again: keep evtx_xml's text as evidence).
 *
 * Damage: a file cut short, without head, with chunks missing, moved, half or overwritten gives every record that is
 * left.  A record that is damaged gives what can be read of it (EVENT_DAMAGED), or is counted where nothing can.
 * Nothing in a file makes this room fail; work per record is bounded (EVTX_STEPS_MAX), depth too (EVTX_DEPTH_MAX).
 * One struct evtx belongs to one thread.
 */
#ifndef SM_NORMALISE_EVTX_H
#define SM_NORMALISE_EVTX_H

#include "event/event.h"

enum {
    EVTX_CHUNK = 64 << 10,      /* bytes of a chunk */
    EVTX_DEPTH_MAX = 24,        /* elements inside elements, over all templates of a record */
    EVTX_NEST_MAX = 8,          /* templates inside templates */
    EVTX_VALUES_MAX = 4096,     /* values of one template; the rest is left out (EVENT_CUT) */
    EVTX_STEPS_MAX = 64 << 10,  /* steps of templates for one record; beyond them it is cut (EVENT_CUT) */
};

enum evtx_flag {
    /* also what stands behind the end that a sound chunk states: old records, half overwritten; they carry
     * EVENT_DAMAGED */
    EVTX_SLACK = 1,
};

struct evtx;

/* A file that is read in pieces.  read: n bytes from at into to; bytes read (fewer only at the end), or -errno. */
struct evtx_reader {
    int64_t (*read)(void *ctx, uint64_t at, void *to, size_t n);
    void *ctx;
    uint64_t size;
};

struct evtx_counts {
    uint64_t bytes;             /* of the file, as far as read */
    uint64_t chunks;            /* that had at least a head or a record */
    uint64_t bad_chunks;        /* of them: head or records do not match their checksums */
    uint64_t records;           /* events given */
    uint64_t damaged;           /* of them: with EVENT_DAMAGED */
    uint64_t lost;              /* places where a record was and nothing could be read */
    bool bad_head;              /* the head of the file is missing or wrong */
    bool dirty;                 /* it was copied from a running system: its head is older than its chunks */
};

/* Where the last record was. */
struct evtx_place {
    uint64_t chunk, record;     /* bytes from the start of the file */
    uint64_t number;            /* as the record's head says */
    struct event_time written;  /* as the record's head says */
    bool bad_chunk;             /* its chunk does not match its checksums */
    bool slack;                 /* from behind the stated end */
};

/* names is borrowed and must live as long.  -ENOMEM. */
sm_must_use int evtx_new(struct event_names *names, struct evtx **ret);
void evtx_free(struct evtx *x);
/* Enough of a file for its first chunk to begin in it, wherever the file was cut off. */
#define EVTX_FIRST_BYTES ((size_t)128 << 10)
/* Does a file with these first bytes look like one?  16 are enough of a whole one, EVTX_FIRST_BYTES of one without its beginning. */
bool evtx_is(struct sm_span first);

/*
 * Begin with a file; what was open before is let go.  file is borrowed until the next open or free.  flags: enum
 * evtx_flag. -SM_EFORMAT when there is neither a head nor a chunk; -ENOMEM; -errno of the reader.
 */
sm_must_use int evtx_open(struct evtx *x, struct sm_span file, uint32_t flags);
/* The same, 64 KiB in memory at a time; r is copied. */
sm_must_use int evtx_open_reader(struct evtx *x, const struct evtx_reader *r, uint32_t flags);

/*
 * The next record in order of the file, into e, which is cleared first.  Values are borrowed from x and e and live
 * until the next call on either.  1: e is an event; 0: the end; -ENOMEM; -errno of the reader.
 */
sm_must_use int evtx_next(struct evtx *x, struct event *e);
/* The last record as XML for people, on one line, appended.  -SM_ESTATE when there is none, -ENOMEM, -SM_ELIMIT of
 * ret. */
sm_must_use int evtx_xml(struct evtx *x, struct sm_buf *ret);
const struct evtx_place *evtx_place(const struct evtx *x);
const struct evtx_counts *evtx_counts(const struct evtx *x);

#endif
