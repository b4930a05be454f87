/* Inside src/normalise: parts of a URL as fields. */
#ifndef SM_NORMALISE_WEB_H
#define SM_NORMALISE_WEB_H
#include "normalise/format.h"

/* "http://host/path?query", "/path?query", "host:443": c-uri, cs-host, cs-uri-stem, cs-uri-query, c-uri-query,
 * c-uri-extension. */
void put_url(struct format_ctx *c, struct sm_span url);
void put_agent(struct format_ctx *c, struct sm_span agent);

#endif
