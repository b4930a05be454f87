/*
 * What the files of the opener share: the generations that are loaded, and how one entry of them is told.
 */
#ifndef SAKIMORID_OPENER_INTERNAL_H
#define SAKIMORID_OPENER_INTERNAL_H
#include "sakimorid/wire.h"
#include "vault/snapshot/reader.h"

#define OPENER_LOADED_MAX 8
#define OPENER_TICKETS_MAX 64
#define OPENER_STREAMS_MAX 16
#define OPENER_PATH_MAX READER_PATH_MAX

struct opener;
struct file_key_row {
    struct cid envelope;
    struct file_key f;
};
struct loaded {
    bool used;
    struct cid manifest;
    uint8_t grant[16];
    struct reader *reader;
    struct opener *o;
};
struct ticket {
    bool used;
    uint8_t id[16];
    size_t loaded;
    struct sm_buf path;
};
struct stream {
    bool used;
    struct child_late late;
    size_t loaded;
    struct reader_node node;
    uint64_t at, size;
};
/* What a search over several generations has seen: folders that are the same in another generation are passed over. */
struct search {
    uint64_t *mark; /* search.c; NULL until a search */
    size_t n;
    char text[256], range[128];
    uint64_t seq; /* the generation it stands at */
};
struct opener {
    struct search search;
    struct child *c;
    struct loaded loaded[OPENER_LOADED_MAX];
    size_t next_loaded;
    struct file_key_row *keys;
    size_t keys_n, keys_cap;
    struct ticket tickets[OPENER_TICKETS_MAX];
    size_t next_ticket;
    struct stream streams[OPENER_STREAMS_MAX];
};

struct opener *opener_of(struct child *c);
/* The loaded generation, borrowed, or NULL. */
struct loaded *opener_find(struct opener *o, const struct cid *manifest);
/* The generation and the path of a request; the path is appended to ret_path.  -SM_ESTATE: not loaded.  why: 160 bytes. */
int opener_target(struct opener *o, json_t *in, struct loaded **ret, struct sm_buf *ret_path, char *why);

/* look.c */
/* An entry as the API tells it, without its path. */
json_t *opener_node(const struct reader_node *n);
/* Its whole path: path_b64, and path where it is UTF-8. */
int opener_put_path(json_t *o, struct sm_span path);
/* The number of the main stream and its size; -SM_ENOTFOUND for what has none (an empty folder, a link). */
int opener_main_stream(const struct reader_node *n, uint32_t *ret_i, uint64_t *ret_size);
void opener_on_list(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void opener_on_stat(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void opener_on_diff(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void opener_on_sample(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);

/* search.c */
void opener_search_forget(struct search *s);
void opener_on_find(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void opener_on_search(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);

/* stream.c */
void opener_stream_end(struct stream *s);
void opener_on_ticket(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void opener_on_stream(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);

#endif
