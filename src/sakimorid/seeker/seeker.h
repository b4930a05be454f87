/* What the files of this process share. */
#ifndef SAKIMORID_SEEKER_H
#define SAKIMORID_SEEKER_H
#include "sakimorid/child.h"

struct verifying;
/* NULL when out of memory. */
struct verifying *verifying_new(const char *dir);
/* A check under way is given up. */
void verifying_free(struct verifying *v);
/* J_VERIFY {"start"?: true, "key"? (epoch 0, hex)} → how far it is, or what the last one found. */
void verifying_on(struct verifying *v, struct sm_ipc *ipc, struct sm_ipc_msg *m);
#endif
