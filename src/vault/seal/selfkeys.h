/*
 * What keyd keeps, sealed for the box's own backup (docs/FORMAT-vault.md, section 13): the files of its folder under the
 * recovery sheet's *open* half.  keyd seals, the command line opens; nobody in between can read it.
 */
#ifndef VAULT_SEAL_SELFKEYS_H
#define VAULT_SEAL_SELFKEYS_H
#include "core/buf.h"
#include "vault/seal/format.h"

#define SELFKEYS_LABEL "sakimori:self" /* of the manifest of such a generation */
#define SELFKEYS_LOGS_LABEL "sakimori:logs" /* of one of the record of logs: the same client, another source */
#define SELFKEYS_FILES_MAX 64u
#define SELFKEYS_NAME_MAX 64u
#define SELFKEYS_PLAIN_MAX ((size_t)512 << 10)
#define SELFKEYS_MAX (SELFKEYS_PLAIN_MAX + 256)

struct selfkeys_file {
    char name[SELFKEYS_NAME_MAX + 1]; /* [a-z0-9._-], does not begin with a full stop */
    struct sm_span content;           /* borrowed */
};
/* client and sign_pub: who may carry it.  The generation it is found in must be theirs. */
struct selfkeys {
    struct client_id client;
    uint8_t sign_pub[32];
    struct selfkeys_file file[SELFKEYS_FILES_MAX]; /* names strictly ascending */
    size_t n;
};
bool selfkeys_name_ok(struct sm_span name);
/* Append the sealed form.  -SM_EINVAL (names, count), -SM_ELIMIT, -SM_EAUTH (low-order key), -SM_ECRYPTO, -ENOMEM. */
sm_must_use int selfkeys_seal(const struct vault_id *vault, const uint8_t open_public[32], const struct selfkeys *k,
    struct sm_buf *ret);
/* The plain form alone; ret borrows from it.  -SM_EFORMAT, -SM_EVERSION, -SM_ELIMIT. */
sm_must_use int selfkeys_parse(struct sm_span plain, struct selfkeys *ret);
/* Open: ret borrows from *plain, which the caller wipes.  -SM_EMISMATCH (another sheet's, or another vault's),
 * -SM_EAUTH (altered), and those of the parser. */
sm_must_use int selfkeys_open(struct sm_span sealed, const struct vault_id *vault, const uint8_t open_secret[32],
    struct sm_buf *plain, struct selfkeys *ret);
/* NULL when there is none of that name. */
const struct selfkeys_file *selfkeys_find(const struct selfkeys *k, const char *name);
#endif
