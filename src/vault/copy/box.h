/*
 * A copy at another box (docs/PROTOCOL-peer.md): being let in, and the target that copy.h fills.  Waits for the
 * network:
 * for a thread that may.  Sees sealed objects and the certificate and key of that one neighbourhood; writes no file;
 * never
 * logs.  Built apart from the vault library, so that only who talks to another box has libcurl.
 */
#ifndef VAULT_COPY_BOX_H
#define VAULT_COPY_BOX_H
#include <stdatomic.h>
#include "vault/copy/copy.h"

#define BOX_WHY 200
#define BOX_URL_MAX 300
#define BOX_SECRET_LEN 10
#define BOX_PIN_LEN 16

struct box_args {
    const char *url;              /* https://HOST:PORT */
    const char *ca, *cert, *key;  /* PEM; copied */
    const atomic_bool *cancel;    /* may be NULL */
    uint64_t rate_bytes;          /* a second, sending; 0: as fast as it goes */
};
struct box_join {
    const char *url, *key, *vault, *head_pub, *label, *institution; /* the last four "" for a neighbour that is known */
    uint8_t secret[BOX_SECRET_LEN], pin[BOX_PIN_LEN];
    const atomic_bool *cancel;
};
/* Certificate and CA as PEM, appended.  -SM_EAUTH (not the box that the code is of), -SM_EDENIED (code wrong, used,
 * late),
 * -SM_EEXISTS (a copy of this vault is there already), -SM_EPEER, -SM_ETIME, -SM_EPROTO, -ENOMEM. */
sm_must_use int box_join(const struct box_join *j, struct sm_buf *ret_cert, struct sm_buf *ret_ca,
    char ret_why[BOX_WHY]);

/* A new certificate for the same key, before the old one ends; a is how it is reached now.  PEM, appended: of that key and
 * name, and later than the present one.  -SM_EAUTH, -SM_EDENIED, -SM_EPEER, -SM_ETIME, -SM_EPROTO, -ENOMEM. */
sm_must_use int box_renew(const struct box_args *a, struct sm_buf *ret_cert, char ret_why[BOX_WHY]);
/* Seconds of wall time until a certificate (PEM) should be renewed; 0 or less: now.  INT64_MAX: it cannot be read. */
int64_t box_renew_due(const char *cert_pem, int64_t now_s);

extern const struct copy_target_ops copy_box; /* opened by box_open, not by its open */
/* -SM_EAUTH (certificates), -SM_EDENIED (it accepts us no more), -SM_EPEER, -SM_ETIME, -ENOMEM … */
sm_must_use int box_open(const struct box_args *a, void **ret, char ret_why[BOX_WHY]);
/* One word for people about the last failure: "" "network" "tls" "refused" "full" "busy"; and its words in English. */
const char *box_reason(const void *t);
const char *box_why(const void *t);
struct box_facts { uint64_t used, quota, rotten; int64_t checked_s; };
void box_facts(const void *t, struct box_facts *ret);
/* Have the other box read all of it again; the answer is in the facts of a later run. */
sm_must_use int box_check(void *t);
#endif
