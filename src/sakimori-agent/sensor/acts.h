/*
 * What trees did that costs nothing to remember and something to write down: files made, renamed, removed.  Most of it is
 * harmless and forgotten; when a tree is to be given back, its acts are taken out in their order.  One ring of bounded size,
 * the oldest act makes room.  One thread.
 */
#ifndef AGENT_SENSOR_ACTS_H
#define AGENT_SENSOR_ACTS_H
#include "core/buf.h"

struct act {
    uint64_t tree, file; /* file: 0 or a number of held.h */
    int64_t at_s;
    uint32_t pid;
    uint8_t kind;        /* enum giveback_kind */
    struct sm_span path, was; /* borrowed */
};
struct acts;
struct acts *acts_new(size_t bytes); /* NULL when out of memory */
void acts_free(struct acts *a);
void acts_add(struct acts *a, const struct act *act); /* one that is too long is left out */
/* Give fn the acts of tree, oldest first, and forget them; fn must not add any.  How many. */
size_t acts_take(struct acts *a, uint64_t tree, void (*fn)(void *ctx, const struct act *act), void *ctx);
#endif
