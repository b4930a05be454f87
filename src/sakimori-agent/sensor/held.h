/*
 * Files held open: for each tree of processes the files it opened, with our own descriptor of each, so that their contents can be
 * looked at and kept although the name is gone.  Bounded: the one that was touched longest ago is let go.  One thread.
 */
#ifndef AGENT_SENSOR_HELD_H
#define AGENT_SENSOR_HELD_H
#include "core/buf.h"

enum held_bit {
    HELD_MADE = 1,      /* the tree made it: nothing of it was there before */
    HELD_KEPT = 2,      /* kept names its pre-image */
    HELD_GONE = 4,      /* its name was removed or given to another file */
    HELD_GUARDED = 16,  /* asked for before it is cut by its name */
    HELD_REMOVABLE = 8, /* on a disk that may be removed: let go soon, since it cannot be unmounted meanwhile */
};
struct held_file {
    uint64_t tree, file;    /* file: fswatch_number */
    uint64_t kept;          /* number of giveback */
    uint64_t path;          /* held_hash of its name */
    uint64_t size;          /* when it was first opened */
    int64_t at_ms;          /* when it was touched last */
    int fd;                 /* ours */
    uint8_t bits, asked; /* asked: times that bytes of it were asked for because of that */
    int32_t next[3], older, newer; /* private */
};

struct held;
/* dropped is called when the last descriptor of a file is about to be closed.  NULL when out of memory. */
struct held *held_new(size_t max, void (*dropped)(void *ctx, uint64_t file, int fd), void *ctx);
void held_free(struct held *h);
struct held_file *held_find(struct held *h, uint64_t tree, uint64_t file);
struct held_file *held_any(struct held *h, uint64_t file);      /* of any tree */
/* One that has this name, of this tree, else (tree 0) of any. */
struct held_file *held_named(struct held *h, uint64_t tree, uint64_t path);
/* Takes fd.  An entry of the same tree and file is given back as it is (fd is closed).  NULL: it cannot be held, fd is closed. */
struct held_file *held_put(struct held *h, uint64_t tree, uint64_t file, int fd, uint64_t path, int64_t at_ms);
void held_touch(struct held *h, struct held_file *f, int64_t at_ms);
void held_rename(struct held *h, struct held_file *f, uint64_t path);
/* Bytes of a file whose name is gone stand on the disk as long as it is held: the oldest such are let go past max_bytes. */
void held_gone(struct held *h, struct held_file *f, uint64_t bytes, uint64_t max_bytes);
void held_drop(struct held *h, struct held_file *f);
void held_drop_tree(struct held *h, uint64_t tree);
/* Let go of what was not touched since before_ms, and of what is HELD_REMOVABLE since before_other_ms. */
void held_age(struct held *h, int64_t before_ms, int64_t before_other_ms);
size_t held_count(const struct held *h);
uint64_t held_hash(struct sm_span path);
#endif
