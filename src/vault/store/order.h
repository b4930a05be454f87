/*
 * The text of an order that only the *orders* key of the recovery sheet can give (docs/FORMAT-vault.md section 11):
 * delete before time, a shorter policy, more time than a person may confirm, or other recipients.  Form only: who signed it, whether it
 * was seen before and whether its manifests are here is asked elsewhere.
 */
#ifndef VAULT_STORE_ORDER_H
#define VAULT_STORE_ORDER_H
#include "core/json.h"
#include "vault/retention/retention.h"
#include "vault/seal/format.h"
#include "vault/snapshot/keylink.h"
#include "vault/store/statement.h"

#define ORDER_LABEL "sakimori/v1/vault-order"
#define ORDER_TEXT_MAX ((size_t)16 << 10)
#define ORDER_MANIFESTS_MAX 200
#define ORDER_NONCE 16
#define ORDER_REASON_MAX 500
#define ORDER_CREDIT_MAX_MS ((uint64_t)3650 * 86400000)
enum order_kind { ORDER_DELETE = 1, ORDER_POLICY = 2, ORDER_DATE = 3, ORDER_RECIPIENTS = 4 };
/* Who generations are wrapped for from now on; machines follow the signed text (FORMAT section 11). */
struct order_recipients {
    uint8_t before[FINGERPRINT_LEN];        /* of the set there is now */
    uint8_t orders[32];                     /* the key that signs orders from then on */
    struct cid link;                        /* the key link that goes with it */
    uint8_t set[KEYLINK_SET_MAX]; size_t set_n;
};
struct order {
    enum order_kind kind;
    struct vault_id vault;
    uint8_t nonce[ORDER_NONCE];
    char reason[ORDER_REASON_MAX + 1], made[41];
    uint32_t manifests; struct cid manifest[ORDER_MANIFESTS_MAX];   /* delete; ascending */
    struct retention_policy policy;                                  /* policy */
    uint64_t credit_ms;                                              /* date */
    struct order_recipients recipients;                              /* recipients */
};
const char *order_kind_name(enum order_kind k);   /* "delete", "policy", "date", "recipients" */
/*
 * text must be the canonical JSON of the format and nothing else.  ret_why (160 bytes) says in English what is wrong.
 * -SM_EFORMAT (also not canonical, unknown fields, a manifest twice), -SM_ELIMIT, -SM_EINVAL (policy), -ENOMEM.
 */
sm_must_use int order_parse(struct sm_span text, struct order *ret, char *ret_why);
/* The canonical text of an order, appended.  -SM_EINVAL (nothing in it, or over a maximum), -ENOMEM. */
sm_must_use int order_put(const struct order *o, struct sm_buf *ret);
/* The bytes to sign, appended. */
sm_must_use int order_message(struct sm_span text, struct sm_buf *ret);
/* The signature of text by an orders key.  -SM_EAUTH, -ENOMEM. */
sm_must_use int order_verify(struct sm_span text, const uint8_t sig[64], const uint8_t key[32]);
#endif
