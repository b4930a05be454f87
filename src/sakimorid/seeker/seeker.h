/*
 * What the files of this process share; and what `house` takes of it, which answers the same questions from a store of its own.
 */
#ifndef SAKIMORID_SEEKER_H
#define SAKIMORID_SEEKER_H
#include "journal/search.h"
#include "sakimorid/child.h"

/* A store beside the record.  begin: is it asked now?  (false: the record is, and seeker.away says why.)  After true, one question
 * and end, with what became of it.  The functions are those of evsearch_*; after an error with seeker.away set the record is asked. */
struct seek_store {
    bool (*begin)(struct child *c);
    void (*end)(struct child *c, int err);
    int (*run)(struct child *c, const struct evsearch *s, evsearch_fn fn, void *arg, struct evsearch_stats *ret_stats);
    int (*histogram)(struct child *c, const struct evsearch *s, uint32_t width_s, size_t n, uint64_t *ret_counts,
        struct evsearch_stats *ret_stats);
    int (*event)(struct child *c, uint64_t id, evsearch_fn fn, void *arg);
};

/* The state of a child that answers questions begins with this one. */
struct seeker {
    struct child *c;
    struct evreader *reader;
    struct verifying *verifying;
    struct sm_timer *idle;
    uint64_t until_ms;
    struct evexport_csv *keep;          /* has the converter of CP932 loaded while its file can be seen */
    char dir[4200];
    const struct seek_store *store;     /* NULL: none */
    char away[16];                      /* why the store did not answer this question, in a word; "" it did */
};
int seek_early(struct child *c);
int seek_start(struct child *c);
void seek_end(struct child *c);
/* The handlers of J_SEARCH, J_HISTOGRAM, J_EVENT and J_EXPORT, and of H_… */
void seek_search(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void seek_histogram(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void seek_event(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void seek_export(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);

struct verifying;
/* NULL when out of memory. */
struct verifying *verifying_new(const char *dir);
/* A check under way is given up. */
void verifying_free(struct verifying *v);
/* J_VERIFY {"start"?: true, "key"? (epoch 0, hex)} → how far it is, or what the last one found. */
void verifying_on(struct verifying *v, struct sm_ipc *ipc, struct sm_ipc_msg *m);
#endif
