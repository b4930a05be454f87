/*
 * Stream pages (FORMAT 2.2): lists of the parts of large files, with their keys inside the sealed body.
 */
#ifndef VAULT_SNAPSHOT_STREAMPAGE_H
#define VAULT_SNAPSHOT_STREAMPAGE_H
#include "vault/snapshot/dirpage.h"

#define STREAMPAGE_SEGMENT_MIN 128u
#define STREAMPAGE_SEGMENT_MAX 2048u

/* ---- building a whole stream ---- */
/*
 * Takes the parts of one file in order.  Up to STREAMPAGE_SEGMENT_MAX parts stand in the entry itself (LAYOUT_CHUNKS);
 * more become stream pages, handed out as they fill, so memory stays small whatever the size.
 */
struct stream_builder;
/* emit as for directory pages.  c, k and arg are borrowed until free.  -ENOMEM. */
sm_must_use int stream_builder_new(struct seal_ctx *c, const struct seal_keys *k, dirpage_emit_fn emit, void *arg,
    struct stream_builder **ret);
void stream_builder_free(struct stream_builder *b);
/* The next part; ck is NULL for a hole.  -SM_EINVAL, -SM_ELIMIT (a file beyond the format), -ENOMEM, emit's answer. */
sm_must_use int stream_add(struct stream_builder *b, const struct part *p, const struct chunk_key *ck);
/* What the entry's stream and item need; pointers are the builder's until the next call on it. */
struct stream_result {
    uint8_t layout;                          /* LAYOUT_NONE when there was no part, or only holes */
    uint64_t size;
    const struct part *parts; size_t nparts;
    const struct chunk_key *keys; size_t nkeys;
};
sm_must_use int stream_finish(struct stream_builder *b, struct stream_result *ret);
/* Ready for another file; memory kept. */
void stream_reset(struct stream_builder *b);

/* ---- reading ---- */
struct streampage {
    struct page_refs refs;
    uint8_t level;
    uint32_t nparts;
    struct sm_span parts_raw;
    const struct chunk_key *keys; uint32_t nkeys; /* into the body */
    uint64_t sum;                                 /* of the parts' lengths */
};
/* Check all of a body.  -SM_EFORMAT, -SM_EVERSION, -SM_ELIMIT, -ENOMEM. */
sm_must_use int streampage_parse(const struct page_refs *refs, struct sm_span body, struct streampage *ret);

#endif
