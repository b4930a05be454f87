/* Back from another box: the vault's folder, made of what lies in the copy there; `recover` then opens it with the sheet. */
#ifndef VAULT_COPY_BOX_FETCH_H
#define VAULT_COPY_BOX_FETCH_H
#include "vault/copy/box.h"

struct box_fetch_progress { uint64_t files_total, bytes, bytes_total, had, damaged; };
struct box_fetch_hooks {
    int (*progress)(void *arg, const struct box_fetch_progress *p);   /* non-zero: -SM_ECANCEL; may be NULL */
    void (*damage)(void *arg, const char *name, const char *why);     /* left out: not what its name says; may be NULL */
    void *arg;
};
/*
 * Into dir, made when missing; what is there whole stays, so that a fetch that was cut goes on.  from: of box_open.  Each
 * file is held against its name here; the journal and its head are taken as they are, recover checks them with the sheet.
 * -SM_EMISMATCH (dir holds another vault), -SM_EFORMAT, -SM_ECORRUPT (no journal), -SM_ECANCEL, -SM_EPEER, -errno.
 */
sm_must_use int box_fetch(void *from, const char *dir, const struct box_fetch_hooks *h, struct box_fetch_progress *ret,
    char ret_why[BOX_WHY]);
#endif
