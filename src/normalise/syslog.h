/* Inside src/normalise: what syslog carries.  c->program is set when the head named one. */
#ifndef SM_NORMALISE_SYSLOG_H
#define SM_NORMALISE_SYSLOG_H
#include "normalise/format.h"

/* The text behind the head: fields of the program or device that wrote it, Message in any case.  0 or -ENOMEM. */
sm_must_use int syslog_body(struct format_ctx *c, struct sm_span body);

/* Programs of Unix (unix_auth.c): true when there is a reader for c->program, which then has read body. */
bool unix_program(struct format_ctx *c, struct sm_span body);
/* The same for servers (unix_service.c). */
bool unix_service(struct format_ctx *c, struct sm_span program, struct sm_span body);

#endif
