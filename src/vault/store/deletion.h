/*
 * What may be deleted, and what keeps it from being deleted (docs/FORMAT-vault.md section 11): legal holds, orders by
 * the recovery sheet, the confirmed date, quotas.  Deciding and removing is vault/clean's work, in this process alone.
 * All of it is journaled; every function that changes something is durable when it returned 0, unless said.
 */
#ifndef VAULT_STORE_DELETION_H
#define VAULT_STORE_DELETION_H
#include "core/time.h"
#include "vault/store/order.h"

struct store;
#define STORE_DAY_MS ((uint64_t)86400000)
#define STORE_ORDER_WAIT_MS (7 * STORE_DAY_MS)       /* of on time, in which anybody may cancel */
#define STORE_CONDEMNED_WAIT_MS (3 * STORE_DAY_MS)   /* of on time, before a condemned pack is looked at again */
#define STORE_PACK_YOUNG_MS (3 * STORE_DAY_MS)       /* of on time: a pack so young is never condemned */
#define STORE_SESSION_OLD_MS (30 * STORE_DAY_MS)     /* so long an open session keeps its packs */
#define STORE_GAIN_MAX_MS STORE_DAY_MS               /* what a person may confirm ... */
#define STORE_GAIN_SPAN_MS (30 * STORE_DAY_MS)       /* ... in so much running time */
#define STORE_HOLDS_MAX 1000
#define STORE_ORDERS_MAX 10000                       /* ever: their nonces are remembered */
#define STORE_ORDERS_WAITING_MAX 64
#define STORE_ORDER_ID 16
#define STORE_PERSON_MAX 255

/* Running time without what was gained by confirming dates: time this box was really on. */
uint64_t store_on_ms(const struct store *st);

/* ---- holds ---- */
enum store_scope { STORE_SCOPE_CLIENT = 1, STORE_SCOPE_SOURCE = 2, STORE_SCOPE_MANIFEST = 3 };
const char *store_scope_name(enum store_scope s);    /* "client", "source", "manifest" */
struct store_hold {
    uint8_t id[16]; enum store_scope scope;
    uint8_t what[32];                                /* id of the client or source (16 bytes), or of the manifest */
    char reason[STORE_PERSON_MAX + 1], by[STORE_PERSON_MAX + 1];
    uint64_t seq; struct sm_time time;
};
/* id, seq and time are made here.  -SM_ENOTFOUND (nothing of that name), -SM_ELIMIT, -SM_EINVAL (no reason). */
sm_must_use int store_hold_put(struct store *st, const struct store_hold *h, const char *role, uint8_t ret_id[16]);
/* -SM_ENOTFOUND */
sm_must_use int store_hold_release(struct store *st, const uint8_t id[16], const char *why, const char *by,
    const char *role);
size_t store_holds(const struct store *st);
const struct store_hold *store_hold_at(const struct store *st, size_t i);   /* borrowed until the next change */

/* ---- orders ---- */
enum store_order_state { STORE_ORDER_WAITING = 0, STORE_ORDER_CANCELLED, STORE_ORDER_EXECUTED, STORE_ORDER_REFUSED };
const char *store_order_state_name(enum store_order_state s);
struct store_order {
    uint8_t id[STORE_ORDER_ID], nonce[ORDER_NONCE];
    enum order_kind kind; enum store_order_state state;
    uint64_t seq, due_on_ms; struct sm_time time;
    char by[STORE_PERSON_MAX + 1], ended_by[STORE_PERSON_MAX + 1], why[STORE_PERSON_MAX + 1], reason[ORDER_REASON_MAX + 1];
    struct sm_time ended; uint64_t done, kept;
    uint32_t manifests; struct retention_policy policy; uint64_t credit_ms;
    uint8_t before[FINGERPRINT_LEN], after[FINGERPRINT_LEN], orders[32];   /* recipients: of the sets; the key from then on */
    bool counted;                                    /* date: the journal has its type 21 */
};
struct store_order_args { struct sm_span text; uint8_t sig[64], key[32]; const char *by, *from;
    struct sm_span link; /* recipients: the key link the order names; else empty */ };
/*
 * Check an order and, when it is good, record it: from now on it waits.  key is the *orders* key as keyd says it.
 * ret_why (160 bytes) is English.  -SM_EFORMAT, -SM_EAUTH (signature, or another key than earlier orders),
 * -SM_EMISMATCH (another vault), -SM_EEXISTS (its nonce was used), -SM_ENOTFOUND (a manifest is not here),
 * -SM_ELIMIT (too many wait, or too many changes of recipients), -SM_ESTATE (also: a change of recipients waits), -errno.  A change of recipients also: -SM_EFORMAT
 * (the link is not the one it names, or of another set), -SM_EMISMATCH (it does not follow the present set).
 */
sm_must_use int store_order_accept(struct store *st, const struct store_order_args *a, struct store_order *ret,
    char *ret_why);
/* -SM_ENOTFOUND, -SM_ESTATE (not waiting any more) */
sm_must_use int store_order_cancel(struct store *st, const uint8_t id[STORE_ORDER_ID], const char *why,
    const char *by, const char *role);
size_t store_orders(const struct store *st);
const struct store_order *store_order_at(const struct store *st, size_t i);
/* The signed text of an order, from the journal. */
sm_must_use int store_order_text(const struct store *st, const struct store_order *o, struct sm_buf *ret);
/* The same with its signature and, of a change of recipients, its key link (ret_link may be NULL).  Appended. */
sm_must_use int store_order_proof(const struct store *st, const struct store_order *o, struct sm_buf *ret_text,
    uint8_t ret_sig[64], struct sm_buf *ret_link);
/* Every key link of the journal, of changes that were executed, one after the other in ret (each 4 bytes of length before
 * it, little-endian).  -SM_ECORRUPT, -ENOMEM.  Without a journal (salvaged): none. */
sm_must_use int store_keylinks(const struct store *st, struct sm_buf *ret);
/* Execute what waited long enough.  *ret_done: how many orders ended.  One that cannot be carried out any more ends as
 * refused, with the reason, and holds up nothing. */
sm_must_use int store_orders_execute(struct store *st, size_t *ret_done);

/* ---- the date ---- */
struct store_date {
    int64_t gap_ms;              /* how far the wall clock is ahead of counted running time; < 0: behind */
    uint64_t may_ms;             /* what a person may gain now */
    bool ask;                    /* the gap grew by half a day or more since it was confirmed (or the vault was made) */
    uint64_t gained_ms;          /* in all so far */
};
#define STORE_DATE_ASK_MS ((int64_t)12 * 3600 * 1000)
void store_date(const struct store *st, struct store_date *ret);
/* A person compared the date with a calendar.  *ret_gained: 0 when nothing may be gained (it is recorded all the
   same). */
sm_must_use int store_date_confirm(struct store *st, const char *by, const char *role, uint64_t *ret_gained);

/* ---- quota ---- */
/* bytes 0: the store's own limit again.  -SM_ENOTFOUND. */
sm_must_use int store_quota_set(struct store *st, const struct client_id *client, uint64_t bytes, const char *by);
uint64_t store_quota(const struct store *st, const struct client_id *client);   /* in force; 0 = none */

/* ---- what a `have` answer promised ---- */
/* This object was said to be here: its pack is not condemned for 24 h of on time, and revived if it was. */
void store_promise(struct store *st, const struct client_id *client, const struct cid *cid);

/* ---- totals ---- */
struct store_deletion_totals { uint64_t expired, packs_deleted, packs_condemned, bytes_condemned, bytes_deleted; };
void store_deletion_totals(const struct store *st, struct store_deletion_totals *ret);
#endif
