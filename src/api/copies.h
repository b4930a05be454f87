/* Shared by copies.c (routes, words, lamps) and copies_run.c (when copies are made, one at a time). */
#ifndef API_COPIES_H
#define API_COPIES_H
#include "api/internal.h"
#include "api/lamps.h"

#define COPIES_MAX 16
#define COPY_LEFT_IN_S 86400          /* a filled disk that stays in so long is spoken of */

/* One row a kind of target: what the copier calls it, and what it means for the lamps. */
struct copy_kind {
    const char *name, *target;        /* of the API; of vault/copy */
    bool detachable, append_only;
    bool net;                         /* made by the courier, with an address of its own; else by the copier */
    int64_t max_days;                 /* standard age */
};
extern const struct copy_kind copy_kinds[];
const struct copy_kind *copy_kind(const char *name);   /* NULL */

/* what: "copy" or "verify".  false: it is waiting or under way already. */
bool copy_want(struct api *a, const char *id, const char *what, const char *by);
/* NULL, or what the copy is doing: "waiting", "copy", "verify". */
const char *copy_doing(struct api *a, const char *id);
void copy_cancel(struct api *a, const char *id);
/* The facts of one row for the lamps; strings borrow from row. */
struct lamp_copy copy_facts(const json_t *row);
struct lamp_facts copies_facts(struct api *a, struct lamp_copy room[COPIES_MAX], json_t **ret_rows);
void copy_changed(struct api *a, const char *id);      /* tell the screens */
#endif
