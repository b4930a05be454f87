/*
 * Another box goes on with a vault from a copy (docs/FORMAT-vault.md section 13): the order for it, signed with the
 * recovery sheet's *orders* half, and its record in the journal (type 42).  Agents check the order too, with the key they
 * have kept: a parser of outside bytes.
 */
#ifndef VAULT_STORE_TAKEOVER_H
#define VAULT_STORE_TAKEOVER_H
#include "vault/store/store.h"

#define TAKEOVER_LABEL "sakimori/v1/take-over"
#define TAKEOVER_TEXT_MAX 1024u
/* from: the last record of the copy, which the take-over's own record follows. */
struct takeover { struct vault_id vault; struct journal_head from; uint8_t nonce[16]; };

/* Canonical JSON, appended.  made: RFC 3339.  -ENOMEM, -SM_ELIMIT. */
sm_must_use int takeover_put(const struct takeover *t, const char *made, struct sm_buf *ret);
/* Form alone.  -SM_EFORMAT (also not canonical), -SM_EVERSION, -SM_ELIMIT, -ENOMEM. */
sm_must_use int takeover_parse(struct sm_span text, struct takeover *ret);
/* The bytes that are signed, appended. */
sm_must_use int takeover_message(struct sm_span text, struct sm_buf *ret);
/* Form and signature.  -SM_EAUTH, and those of takeover_parse. */
sm_must_use int takeover_check(struct sm_span text, const uint8_t sig[64], const uint8_t orders_pub[32],
    struct takeover *ret);

/*
 * Which generations a take-over looks at: any client can call its own as the box calls its, and as many as it likes.  So
 * each client has tries of its own: whoever fills the newest of a copy with false ones uses up no other's.
 */
#define TAKEOVER_TRIES 50u                   /* of one client, newest first */
#define TAKEOVER_CLIENTS 1024u
struct takeover_tries { struct client_id client[TAKEOVER_CLIENTS]; unsigned tried[TAKEOVER_CLIENTS]; size_t n; };
/* Counts one more try of this client.  False: it had all of its own, or there are too many that claim to be the box. */
bool takeover_may_try(struct takeover_tries *t, const struct client_id *client);

/*
 * A file of a generation that nobody vouches for yet, appended: a plain one, of at most max bytes.  A link that leads
 * elsewhere or a pipe that never says a word are what any client could have put there.  -SM_EFORMAT (or the system's own
 * error) for those, -SM_ELIMIT, -errno.
 */
sm_must_use int takeover_read(int dir, const char *name, size_t max, struct sm_buf *ret);

/* Record it, durable.  -SM_EMISMATCH (another vault, or from is not the present head), those of takeover_check,
 * -SM_ESTATE, -errno. */
sm_must_use int store_took_over(struct store *st, struct sm_span text, const uint8_t sig[64],
    const uint8_t orders_pub[32]);
/* The payload of the newest such record, or NULL; borrowed until the next. */
const json_t *store_takeover(const struct store *st);
#endif
