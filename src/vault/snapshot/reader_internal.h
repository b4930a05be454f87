/* Shared by the reader's files alone. */
#ifndef VAULT_SNAPSHOT_READER_INTERNAL_H
#define VAULT_SNAPSHOT_READER_INTERNAL_H
#include "vault/snapshot/reader.h"

/* An opened directory page, kept while anybody holds it. */
struct reader_page {
    unsigned holds;            /* nodes and loops; the cache itself does not count */
    bool cached;
    uint64_t used_at;
    struct cid cid;
    struct sm_buf sealed, body; /* refs point into sealed */
    struct dirpage page;
};

#define READER_CACHE_PAGES 64
#define READER_KEYS 256 /* item keys kept: an older generation's envelope names many entries */

struct reader_key { struct cid envelope; struct chunk_key k_item; uint64_t used_at; bool any; };

struct reader {
    struct reader_source src;
    struct seal_ctx *ctx;
    struct sm_buf manifest_bytes;
    struct manifest m;
    struct reader_page *cache[READER_CACHE_PAGES];
    size_t cache_bytes;
    struct reader_key key[READER_KEYS];
    uint64_t clock;
    size_t stack_bytes;
    struct sm_buf sealed, plain; /* scratch of reader_read */
};

/* A list of parts with its keys: a folder's pages, or a file's chunks or stream pages. */
struct part_list {
    struct sm_buf parts; /* struct part */
    struct sm_buf keys;  /* struct chunk_key, one for every part that is no hole */
    size_t n;
};
void part_list_wipe(struct part_list *l);
const struct part *part_list_at(const struct part_list *l, size_t i);

/* The sealed bytes of an object, name checked; appended to ret. */
sm_must_use int reader_get(struct reader *r, const struct cid *cid, uint8_t type, struct sm_buf *ret);
/* The key items under this envelope are sealed with. */
sm_must_use int reader_item_key(struct reader *r, const struct cid *envelope, struct chunk_key *ret);
/* Parts and keys of a stream. */
sm_must_use int reader_stream_list(struct reader *r, const struct stream_view *s, struct part_list *ret);
/* The pages of a folder, or of the root (dir NULL).  A folder without entries gives n = 0. */
sm_must_use int reader_dir_list(struct reader *r, const struct reader_node *dir, struct part_list *ret);
/* An opened directory page, held. */
sm_must_use int reader_page_open(struct reader *r, const struct part_list *l, size_t i, bool root,
    struct reader_page **ret);
void reader_page_drop(struct reader_page *p);

/* A place in a folder: which page, and where in it. */
struct dir_it {
    struct part_list list;
    bool root;
    size_t next;              /* the page to open next */
    struct reader_page *page; /* the one being read */
    struct dirpage_it it;
    struct sm_buf last;       /* the name before, for the order across pages */
    bool any;
    bool resting;             /* page is let go while the walk is below; these say where to go on */
    size_t rest_n;
    uint32_t rest_left;
};

void reader_dir_it_wipe(struct dir_it *d);
sm_must_use int reader_dir_it_init(struct reader *r, const struct reader_node *dir, struct dir_it *ret);
/* Hold no page while the walk is further down. */
void reader_dir_it_rest(struct dir_it *d);
/* 1 and the next entry (held: the caller wipes), 0 at the end. */
sm_must_use int reader_dir_it_next(struct reader *r, struct dir_it *d, struct reader_node *ret);

#endif
