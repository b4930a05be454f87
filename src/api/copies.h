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
    bool heals;                       /* over the network, and yet what rotted there can be put right */
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
/* Another box let this one in: its certificate goes to the parent (copies_box.c). */
void copy_joined(struct api *a, const json_t *e);
/* ---- copies_place.c ---- */
/* A folder that is no place for a copy is answered with 400 (true).  Where it may be one of those that a source of this
 * machine saves, and it cannot be told, c->mem has a "warning". */
bool copy_place_refused(struct api_call *c, const char *place);

/* What is kept of another box, from the fields of a body; NULL with o->err. */
json_t *copy_box_address(struct api_call *c, struct sm_obj *o, char *ret_place, size_t size);
/* A new code for one that is known: the fields of its address that change. */
json_t *copy_box_code(struct sm_obj *o);
void copy_changed(struct api *a, const char *id);      /* tell the screens */
#endif
