/* What box.c, box_http.c and box_join.c share. */
#ifndef VAULT_COPY_BOX_INTERNAL_H
#define VAULT_COPY_BOX_INTERNAL_H
#include "core/json.h"
#include "vault/copy/box.h"

#define BOX_ANSWER_MAX ((size_t)2 << 20)
#define BOX_BASE_MS ((uint64_t)120000)   /* connecting, and a far disk that flushes a pack */
#define BOX_RATE_MIN ((uint64_t)16 << 10) /* bytes a second; a line below that carries no copy */

struct box_http;
struct box_http_args { const char *url, *ca, *cert, *key; bool verify; const atomic_bool *cancel;
    uint64_t rate_bytes; };
/* PEMs go into memory files: the TLS library under libcurl reads names only. */
sm_must_use int box_http_new(const struct box_http_args *a, struct box_http **ret);
void box_http_free(struct box_http *h);
struct box_request {
    const char *method, *path;
    struct sm_span body;             /* borrowed */
    const char *type;                /* of the body, NULL: raw */
    uint64_t offset, length;         /* X-Sakimori-Offset and -Length, sent when length is not 0 */
};
/* The longest that a request may take, however its bytes trickle.  rate: what a person allows, 0: all. */
static inline uint64_t box_limit_ms(uint64_t sent, uint64_t answer_max, uint64_t rate)
{
    uint64_t slow = rate && rate / 2 < BOX_RATE_MIN ? rate / 2 + 1 : BOX_RATE_MIN;
    return BOX_BASE_MS + sent * 1000 / slow + answer_max * 1000 / BOX_RATE_MIN;
}
/* *ret_body is emptied, then filled.  The HTTP status, or -SM_EPEER, -SM_EAUTH (who answers is not the box), -SM_ETIME,
 * -SM_ECANCEL, -SM_ELIMIT, -ENOMEM. */
sm_must_use int box_http_do(struct box_http *h, const struct box_request *r, struct sm_buf *ret_body);
const char *box_http_why(const struct box_http *h);

/* What lies there whose names begin with these two digits; *ret is the caller's (free). */
struct box_row { struct cid id; uint64_t size; };
sm_must_use int box_rows(void *t, bool packs, unsigned digits, struct box_row **ret, size_t *ret_n);
#endif
