/* The reader's own: reader.c (files), search.c (pages, counts). */
#ifndef EVIDENCE_READER_H
#define EVIDENCE_READER_H

#include "journal/internal.h"
#include "journal/query.h"
#include "journal/search.h"

enum { READER_FDS_MAX = 128, READER_MEM_MAX = 64 };

/* A block that lies in write-ahead files alone, made in memory. */
struct ev_mem { struct sm_buf bytes; struct ev_entry entry; uint8_t klass; };
struct ev_tail { struct ev_build *build; uint64_t first_id; bool changed; int made; /* of mem, -1 none */ };
struct ev_seen { uint64_t number, good; };
struct evreader {
    int dirfd;
    struct ev_segment *seg;         /* by number; fd -1 when it is not open now */
    size_t segs, seg_cap, open_fds, damaged;
    struct ev_mem mem[READER_MEM_MAX];
    size_t mems;
    struct ev_tail tail[EVIDENCE_CLASSES_MAX];
    uint64_t closed_id[EVIDENCE_CLASSES_MAX];
    struct ev_seen *wal;
    size_t wals;
    bool overflow, closed_only;
    struct event_names *names;
    struct event event;
    struct sm_buf raw;
};

/* A block to look at: of a segment (mem -1) or of memory. */
struct ev_where { size_t seg, entry; int mem; };
const struct ev_entry *ev_where_entry(const struct evreader *r, struct ev_where w);
uint8_t ev_where_class(const struct evreader *r, struct ev_where w);
struct ev_open { struct ev_block block; struct ev_at at; struct ev_where where; bool there; };
sm_must_use int ev_where_open(struct evreader *r, struct ev_where w, struct ev_open *ret);
void ev_open_wipe(struct ev_open *o);
/* Is key in the filter?  1, 0, -errno; 1 when there is no filter. */
sm_must_use int ev_where_has(struct evreader *r, struct ev_where w, uint64_t key);

#endif
