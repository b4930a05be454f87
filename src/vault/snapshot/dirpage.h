/*
 * Directory page bodies (FORMAT 2.2): a builder that takes a folder's entries in order and hands out sealed pages,
 * and a parser that checks a whole body before it shows any of it.
 */
#ifndef VAULT_SNAPSHOT_DIRPAGE_H
#define VAULT_SNAPSHOT_DIRPAGE_H
#include "vault/seal/page.h"
#include "vault/snapshot/item.h"

enum entry_kind {
    ENTRY_FILE = 1, ENTRY_DIR = 2, ENTRY_SYMLINK = 3, ENTRY_FIFO = 4, ENTRY_SOCKET = 5, ENTRY_CHAR = 6, ENTRY_BLOCK = 7
};
enum stream_kind { STREAM_MAIN = 0, STREAM_NAMED = 1 };

/* ---- building ---- */
struct dirpage_stream {
    uint8_t kind;             /* stream_kind */
    struct sm_span name;      /* of a named stream */
    uint64_t size;
    uint8_t layout;           /* stream_layout; for LAYOUT_NONE the rest is not looked at */
    struct cid envelope;      /* whose F the item was sealed under */
    uint64_t counter;
    const struct part *parts; size_t nparts;
    struct sm_span item;
};
struct dirpage_entry {
    struct sm_span name;
    uint8_t kind;             /* entry_kind */
    struct sm_span meta;      /* a metadata list */
    const struct dirpage_stream *streams; size_t nstreams;
};
/* Called with every finished page, in order.  Spans are borrowed.  Non-zero stops the builder and is returned. */
typedef int (*dirpage_emit_fn)(void *arg, const struct chunk_info *page, struct sm_span sealed);

struct dirpage_builder;
/* c, k and arg are borrowed until free.  root: names are absolute paths.  -ENOMEM. */
sm_must_use int dirpage_builder_new(struct seal_ctx *c, const struct seal_keys *k, bool root, dirpage_emit_fn emit,
    void *arg, struct dirpage_builder **ret);
void dirpage_builder_free(struct dirpage_builder *b);
/*
 * Add the next entry of the folder; everything is copied.  Pages end at boundaries chosen by the names, so that a
 * change leaves the other pages of a large folder as they are.
 * -SM_EINVAL (name, order, kind, streams that the format does not allow), -SM_ELIMIT (an entry that alone does not fit
 * a page): the entry is not added and the builder goes on.  -ENOMEM, -SM_ECRYPTO, emit's answer: the builder is good
 * for free only.
 */
sm_must_use int dirpage_add(struct dirpage_builder *b, const struct dirpage_entry *e);
/* Hand out the last page.  A folder without entries has no page: ret_pages is then 0 and the entry of the folder has
 * LAYOUT_NONE.  The builder is then empty and ready for another folder. */
sm_must_use int dirpage_finish(struct dirpage_builder *b, size_t *ret_pages);

/* ---- reading ---- */
/* An open body.  Borrowed: refs and body must outlive it. */
struct dirpage { struct page_refs refs; struct sm_span body; uint32_t count; bool root; };
/*
 * Check all of a body: form, limits, names, order, indices, sums of lengths, every ref named.
 * -SM_EFORMAT, -SM_EVERSION, -SM_ELIMIT, -ENOMEM (a bit a ref).
 */
sm_must_use int dirpage_parse(const struct page_refs *refs, struct sm_span body, bool root, struct dirpage *ret);

struct dirpage_it { struct dirpage page; struct sm_rd rd; uint32_t left; };
struct entry_view {
    struct sm_span name;
    uint8_t kind;
    struct sm_span meta;
    uint32_t nstreams;
    struct sm_span streams_raw; /* for stream_at */
    struct page_refs refs;
};
struct stream_view {
    uint8_t kind;
    struct sm_span name;
    uint64_t size;
    uint8_t layout;
    struct cid envelope;
    uint64_t counter;
    uint32_t nparts;
    struct sm_span parts_raw, item;
    struct page_refs refs;
};
void dirpage_begin(const struct dirpage *p, struct dirpage_it *ret);
/* 1 and an entry (borrowing from the page), or 0 at the end. */
int dirpage_next(struct dirpage_it *it, struct entry_view *ret);
/* The entry of that name in this page: 1, or 0. */
int dirpage_find(const struct dirpage *p, struct sm_span name, struct entry_view *ret);
/* The i-th stream of an entry; -SM_ENOTFOUND. */
sm_must_use int stream_at(const struct entry_view *e, uint32_t i, struct stream_view *ret);
/* All parts of a stream as an array: appended to ret (struct part each).  -ENOMEM, -SM_ELIMIT. */
sm_must_use int stream_parts(const struct stream_view *s, struct sm_buf *ret);
bool dirpage_name_ok(struct sm_span name, bool root);

/* ---- shared with stream pages ---- */
enum part_form { PART_CHUNK, PART_PAGE, PART_DIRPAGE };
/* Check nparts parts at rd's place; used (a bit a ref, may be NULL) collects what is named.  -SM_EFORMAT,
 * -SM_ELIMIT. */
sm_must_use int parts_parse(struct sm_rd *rd, const struct page_refs *refs, uint32_t nparts, enum part_form form,
    uint8_t *used, uint64_t *ret_sum, uint32_t *ret_keys);
/* The same for bytes already checked; to is filled with nparts parts. */
void parts_decode(struct sm_span raw, const struct page_refs *refs, uint32_t nparts, struct part *to);
#define PAGE_LEVEL 3 /* zstd level of page bodies */

#endif
