/* The keeping side's memory: what is kept, of which trees, and the way from a file to its record. */
#ifndef SM_GIVEBACK_KEEPER_H
#define SM_GIVEBACK_KEEPER_H
#include <pthread.h>
#include "giveback/internal.h"

struct entry {
    uint64_t id, tree, room;
    int64_t at;
    struct plat_object object;
    uint32_t frame;             /* length of its frame in the list */
    uint8_t kind;
    bool content, dead;
};
enum tree_state { TREE_NEW, TREE_SUSPECTED, TREE_HARMLESS, TREE_EARLIER };
struct tree { uint64_t tree, entries; uint8_t state; bool saved; };
struct slot { struct plat_object object; uint64_t tree, id; uint8_t kind, use; }; /* use: 0 free, 1 taken, 2 was, 3 busy */

struct giveback {
    pthread_mutex_t lock;
    pthread_cond_t settled;
    struct giveback_limits limits;
    int folder, cdir, list, lock_fd;
    uint64_t end, dead_bytes, next, synced, bytes, files, let_go, live;
    bool moved;                     /* something since the last sync */
    struct entry *entry; size_t entries, entries_cap;
    struct slot *slot; size_t slots, slots_used;
    struct tree *tree; size_t trees, trees_cap;     /* sorted */
};

/* ---- memory.c ---- */
sm_must_use int keeper_add(struct giveback *g, const struct entry *e);  /* sorted by id */
struct entry *keeper_entry(struct giveback *g, uint64_t id);            /* living; NULL */
struct slot *keeper_slot(struct giveback *g, uint64_t tree, const struct plat_object *o);
/* A place for it; *ret is borrowed until the next call. */
sm_must_use int keeper_slot_new(struct giveback *g, uint64_t tree, const struct plat_object *o, struct slot **ret);
struct tree *keeper_tree(struct giveback *g, uint64_t tree);
sm_must_use int keeper_tree_new(struct giveback *g, uint64_t tree, struct tree **ret);
void keeper_squeeze(struct giveback *g);                                /* forgets what is dead */

/* ---- room.c ---- */
sm_must_use int room_for(struct giveback *g, uint64_t bytes);
void room_old(struct giveback *g, int64_t now);
sm_must_use int list_append(struct giveback *g, struct sm_span payload);
sm_must_use int list_compact(struct giveback *g);
#endif
