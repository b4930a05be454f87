/*
 * Many literals searched at once in folded text: the seam between the matcher and what searches.
 * One row a way: vectorscan (literal_vectorscan.c), and plain C (literal_plain.c) for machines that vectorscan does not
 * run on.
 */
#ifndef SM_DETECT_SIGMA_LITERAL_H
#define SM_DETECT_SIGMA_LITERAL_H

#include "core/buf.h"

enum { LITERAL_MAX = 48 }; /* bytes of one; what is longer is cut by who makes it */
struct literal {
    const uint8_t *p;
    uint32_t n;
    bool start, end;
}; /* n > 0; at the start, the end of the text; both: all of it */

/* Called for each literal found (its place in the list), once for each at least; more often is harmless. */
typedef void literal_fn(void *ctx, uint32_t number);

struct literal_way {
    const char *name;
    /* The list is borrowed for the call.  -ENOMEM, -SM_ELIMIT (too much for this way). */
    int (*make)(const struct literal *list, size_t n, void **ret_db);
    void (*free_db)(void *db);
    size_t (*bytes)(const void *db);
    /* Scratch of one thread: made once, fitted to every database it is used with. */
    int (*fit)(const void *db, void **scratch);
    void (*free_scratch)(void *scratch);
    /* -ENOMEM. */
    int (*scan)(const void *db, void *scratch, const uint8_t *text, size_t n, literal_fn *found, void *ctx);
};
extern const struct literal_way literal_vectorscan, literal_plain;
/* This processor can run vectorscan. */
bool literal_vectorscan_runs(void);

#endif
