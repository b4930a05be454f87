/* Inside src/normalise: what syslog carries.  c->program is set when the head named one. */
#ifndef SM_NORMALISE_SYSLOG_H
#define SM_NORMALISE_SYSLOG_H
#include "normalise/format.h"

/* The text behind the head: fields of the program or device that wrote it, Message in any case.  0 or -ENOMEM. */
sm_must_use int syslog_body(struct format_ctx *c, struct sm_span body);

#endif
