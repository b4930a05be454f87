/*
 * One file that is followed, whatever becomes of its name.  It is known by device and inode while it is open, and by a
 * mark (a hash of the last bytes before the place) when it has to be found again: after a restart, after a copy was
 * made and the file cut (copytruncate), after gzip made another file of it.
 */
#ifndef AGENT_LOG_TAIL_H
#define AGENT_LOG_TAIL_H
#include "sakimori-agent/logs/logs.h"
#include <sys/stat.h>

#define TAIL_MARK 256u
#define TAIL_MARK_HASH 16u

struct tail_gz; /* what was unpacked of a file that gzip made */
struct tail {
    uint64_t k; /* its number within the log, for ever */
    char *path; /* where it was seen last */
    char *of;   /* the path that is followed: files of one path are read one after the other */
    int fd;
    uint64_t dev, ino;
    uint64_t at; /* the box has what is before */
    bool inside; /* within a line that went cut */
    bool gone;   /* not at its path any more: renamed, removed, or one that was found beside it */
    bool here;   /* seen by the look that goes on */
    uint8_t mark[TAIL_MARK_HASH];
    unsigned mark_n;           /* bytes before at that mark is of; at the beginning: the first ones; 0: none */
    uint64_t size, changed_ms; /* when size was another for the last time */
    struct tail_gz *gz;
};
struct tail *tail_new(uint64_t k, const char *path, const char *of);
void tail_free(struct tail *t);
/* Begin to read fd (taken) at the place.  -SM_EFORMAT: not gzip's; -ENOMEM, -errno. */
sm_must_use int tail_open(struct tail *t, int fd, bool gz);
/* Bytes from at on, at most n.  0: none now; *ret_end: and none will come of a packed file. */
sm_must_use ssize_t tail_read(struct tail *t, uint8_t *to, size_t n, bool *ret_end);
/* The mark of the place at: n bytes (of bytes that end there) when given, else read. */
void tail_mark(struct tail *t, uint64_t at, struct sm_span bytes);
/* Is what is before the place what was there?  True when there is no mark. */
bool tail_is(int fd, bool gz, const struct tail *t);

/* A file beside path that rotation may have made of it: "NAME.1", "NAME-20261123.gz", "NAME.old". */
struct tail_beside {
    char *path;
    uint64_t dev, ino, size;
    int64_t mtime_ns;
    bool gz, packed; /* packed: by something that is not read here (xz, zstd, bzip2) */
    bool taken;
};
#define TAIL_BESIDE_MAX 64u
bool tail_is_rotated(const char *name, const char *base); /* base NULL: of whatever */
/* Oldest first.  Gives their number; the paths are the caller's. */
size_t tail_besides(const struct log_roots *r, const char *path, struct tail_beside ret[TAIL_BESIDE_MAX]);
void tail_besides_free(struct tail_beside *b, size_t n);
#endif
