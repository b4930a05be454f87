/* Inside src/normalise: words that network devices share. */
#ifndef SM_NORMALISE_FLOW_H
#define SM_NORMALISE_FLOW_H
#include "normalise/format.h"

/* "TCP 192.0.2.1:1234 > 198.51.100.7:22" somewhere in text ("->" too): protocol, src_*, dst_*.  False when there is
 * none. */
bool put_flow(struct format_ctx *c, struct sm_span text);
/* Somebody signed in, or could not: category authentication, action and outcome. */
void put_login(struct format_ctx *c, uint16_t service, bool success, struct sm_span user, struct sm_span address);
void put_logout(struct format_ctx *c, uint16_t service, struct sm_span user, struct sm_span address);

#endif
