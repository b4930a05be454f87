/* The writer's own: front.c (taking in), journal.c (keeping, closing), open.c (recovery), retire.c (ledger, retention). */
#ifndef EVIDENCE_WRITER_H
#define EVIDENCE_WRITER_H

#include "journal/internal.h"

enum { EV_WALS_MAX = 8, EV_NAMES_FRAME = EVENT_NAMES_MAX + 1 };

struct ev_lane {                    /* a class */
    struct ev_build *build;         /* NULL until its first event */
    struct ev_segment open;         /* fd -1: none */
    uint64_t closed_id;             /* events up to this one are in blocks */
    /* when the open block got its first event by the clock of evidence_step; 0: not yet known */
    uint64_t since_ms;
};
struct ev_closed {                  /* a closed segment */
    uint64_t number, bytes, first_block, last_block, first_id, last_id, events, raw_bytes;
    int64_t seen_last, seen_first;
    uint64_t inode;                 /* of the file as it was closed or opened; 0 not known */
    struct event_time first, last;
    uint8_t klass;
    bool sources_all, damaged;
    size_t sources;
    uint64_t source[EV_SOURCES_MAX];
};
/* What a write-ahead file must be for as long as it stands: its frames' hashes one after the other, and its metadata. */
struct ev_stand { uint64_t inode, size; int64_t ctime_s; long ctime_ns; uint8_t chain[32]; };
struct ev_wal { uint64_t number, last_id; struct ev_stand stand; };

/* Events on their way to the disk, in the form of a write-ahead frame: it is also how they get into blocks. */
struct ev_frame {
    struct sm_buf names, events;
    struct sm_buf within;           /* ev_record.within of all, one after the other; not written down */
    uint64_t names_n, events_n, first_id, last_id;
    uint16_t *number;               /* of the process' table, by name of the frame */
};
/* All that evidence_append touches: the rest of struct evidence may be another thread's meanwhile. */
struct ev_front {
    struct ev_frame frame;
    struct sm_buf record, rest, scratch;
    uint16_t *known;                /* number of a process' name → its number in the frame + 1 */
    const struct event_names *table;
    struct ev_field *field;
    uint32_t *name;
    uint64_t next_id;
};

struct evidence {
    struct evidence_conf conf;
    int dirfd, lock, wal, ledger;
    struct ev_lane lane[EVIDENCE_CLASSES_MAX];
    struct ev_closed *closed;       /* by number */
    size_t closed_n, closed_cap;
    uint64_t next_segment;

    /* write-ahead */
    struct ev_wal old[EV_WALS_MAX]; /* files before the present one */
    size_t old_n;
    uint64_t wal_number, wal_off, wal_last_id;
    struct ev_front front;
    struct ev_frame handed;         /* what evidence_keep writes and puts into blocks */
    /* begun: some of it may be in open blocks; written: it is in the write-ahead file, at handed_off; unsynced: and the disk
     * was not waited for */
    bool handed_begun, handed_written, handed_unsynced;
    uint64_t handed_off;
    uint8_t handed_hash[32];
    size_t handed_at, handed_within; /* what of it is in open blocks, and the id of the next one */
    uint64_t handed_next;
    struct ev_record_buf store;
    struct sm_buf block;            /* being closed; its memory is used again */

    struct ev_stand wal_stand;
    uint64_t next_block, last_block; /* last_block: the newest there is, 0 none */
    uint8_t last_hash[32];
    uint64_t total_events, total_raw;
    struct event_time first, last;

    /* ledger */
    uint64_t ledger_off, sealed_block;
    uint64_t ledger_inode;
    struct evseal_walk walk;
    bool has_key, ledger_harmed;
    struct evseal_link link;        /* what this record goes on with; pending: not yet its first statement */
    bool link_pending;
    bool copied;                    /* evidence_copy was made in this life: what it left there is whole */
};

sm_must_use int ev_front_init(struct ev_front *f);
void ev_front_wipe(struct ev_front *f);
sm_must_use int ev_frame_init(struct ev_frame *f);
void ev_frame_wipe(struct ev_frame *f);
void ev_frame_clear(struct ev_frame *f);
/* Close the open block of a class (something is in it). */
sm_must_use int ev_close_block(struct evidence *j, struct ev_lane *l);
sm_must_use int ev_close_segment(struct evidence *j, struct ev_lane *l);
void ev_wal_clean(struct evidence *j);
/* Take what s holds into the list of closed ones. */
sm_must_use int ev_closed_add(struct evidence *j, const struct ev_segment *s);
void ev_total(struct evidence *j, const struct ev_segment *s, size_t from);
sm_must_use int ev_lane_build(struct ev_lane *l);
uint8_t ev_lane_of(const struct evidence *j, const struct ev_lane *l);
/* link.c */
sm_must_use int ev_link_apply(struct evidence *j, const struct evseal_link *l);
sm_must_use int ev_link_pending(struct evidence *j);
/* guard.c: the chain goes on by one frame; what the file is now. */
void ev_stand_frame(struct ev_stand *s, const uint8_t hash[32]);
void ev_stand_now(int fd, struct ev_stand *s);
/* The chain of what the file holds up to size.  -SM_ECORRUPT: not a row of whole frames. */
sm_must_use int ev_stand_read(int fd, uint64_t number, uint64_t size, uint8_t ret[32]);
uint64_t ev_inode(int fd);
/* Read the ledger; finish removals. */
sm_must_use int ev_ledger_open(struct evidence *j);
/* Remove the segment of a tombstone, if it is there. */
sm_must_use int ev_remove_segment(struct evidence *j, uint64_t number);

#endif
