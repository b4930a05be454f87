/*
 * A new certificate before the old one ends: link asks for it (it has the network and the key), the supervisor keeps it as
 * link/cert.next.pem (it alone writes there), and link takes whichever of the two fits its key and ends later.
 */
#ifndef AGENT_RENEW_H
#define AGENT_RENEW_H
#include "core/buf.h"

#define RENEW_BEFORE_S ((int64_t)30 * 86400)
#define RENEW_NEXT "cert.next.pem"

/* The certificate to use, as a path in ret_path (size), and when it ends.  A next one that is damaged, of another key or
 * name, or over sooner counts as none.  -SM_EFORMAT: the first one cannot be read; -errno. */
sm_must_use int renew_pick(const char *data, char *ret_path, size_t size, int64_t *ret_until_s);
/* {"csr"} for the key there is. */
sm_must_use int renew_request(const char *data, struct sm_buf *ret);
/* The certificate out of the box's answer, when it continues the one in use: same name and key, a later end.
 * -SM_EFORMAT, -SM_EMISMATCH, -errno. */
sm_must_use int renew_take(const char *data, struct sm_span answer, struct sm_buf *ret_pem);
/* The supervisor: keep it, readable for link.  Only its form is looked at here: link does not trust it by being there. */
sm_must_use int renew_keep(const char *data, struct sm_span pem);
#endif
