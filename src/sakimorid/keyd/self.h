#ifndef SAKIMORID_KEYD_SELF_H
#define SAKIMORID_KEYD_SELF_H
#include "core/buf.h"
#include "vault/seal/format.h"
/* The files of keyd's folder dir, sealed (SKB1), appended.  -SM_ELIMIT, -errno, those of selfkeys_seal. */
sm_must_use int keys_self_seal(int dir, const struct vault_id *vault, const uint8_t open_pub[32],
    const struct client_id *client, const uint8_t sign_pub[32], struct sm_buf *ret);
#endif
