/* Inside of clean-up.  clean.c: expire, mark, sweep; copy.c: the live rest of half-dead packs. */
#ifndef VAULT_CLEAN_INTERNAL_H
#define VAULT_CLEAN_INTERNAL_H
#include "vault/clean/clean.h"
#include "vault/store/store_internal.h"

struct clean {
    struct store *st;
    bool dry;
    enum clean_phase phase;
    struct clean_hooks h;
    struct clean_report r;
    struct retention_verdict *verdicts; size_t verdicts_n;
    size_t at;                            /* generation, or pack, of the phase */
    struct index_table *live;             /* names that were met */
    uint64_t *live_bytes;                 /* of each pack there was at the start */
    size_t packs, clients;
    bool *blocked;                        /* clients */
    struct rows stack;                    /* cids of pages met and not read yet, all of one client */
    uint32_t client;
    size_t generation;                    /* the next to be marked */
    uint64_t read_bytes;                  /* of pages, in this step */
    struct reader reader;
    /* copy.c: the pack being built, of one client and kind */
    struct pack_builder *builder; uint32_t builder_client; uint8_t builder_kind; struct session_id builder_session;
    size_t copied_packs;
};
bool clean_is_live(const struct clean *c, const struct cid *cid);
bool clean_may_touch(const struct clean *c, uint32_t pack);
/* struct pack_object each, appended.  Any error: not readable now. */
sm_must_use int clean_read_head(struct store *st, uint32_t pack, struct sm_buf *ret_objects);
/* One half-dead pack.  1 = more, 0 = finished. */
sm_must_use int clean_copy_step(struct clean *c);
void clean_copy_wipe(struct clean *c);
#endif
