/* Shared by the files of this folder alone. */
#ifndef VAULT_PACK_INTERNAL_H
#define VAULT_PACK_INTERNAL_H
#include "vault/pack/pack.h"
#include "vault/seal/refset.h"

bool pack_kind_takes(uint8_t kind, uint8_t type);
void pack_header_put(const struct pack_header *h, uint8_t ret[PACK_HEADER_LEN]);
void pack_dirent_put(const struct pack_object *o, uint8_t ret[PACK_DIRENT_LEN]);
void pack_name(struct sm_span head, struct cid *ret);

#endif
