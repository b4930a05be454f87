#ifndef SAKIMORID_OUT_FIREWALL_H
#define SAKIMORID_OUT_FIREWALL_H
#include <curl/curl.h>
#include "core/buf.h"
#include "core/json.h"

/* settings: {"url", "pin", "token"} of P_FIREWALL; what: {"path", "json"} of X_FIREWALL.  Headers and body are set on e and live in *list
 * and body; url is for the caller to set.  -SM_ESTATE it is not set up, -SM_EINVAL, -SM_EUNSUPPORTED no pins here, -ENOMEM. */
sm_must_use int firewall_prepare(CURL *e, const json_t *settings, const json_t *what, struct sm_buf *body, struct curl_slist **list,
    char *url, size_t size);
#endif
