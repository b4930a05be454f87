/* Inside src/normalise: what syslog carries.  c->program is set when the head named one. */
#ifndef SM_NORMALISE_SYSLOG_H
#define SM_NORMALISE_SYSLOG_H
#include "normalise/format.h"

/* The text behind the head: fields of the program or device that wrote it, Message in any case.  0 or -ENOMEM. */
sm_must_use int syslog_body(struct format_ctx *c, struct sm_span body);

/* A line of vsftpd's own log behind its time: read if it is one. */
bool vsftpd_line(struct format_ctx *c, struct sm_span body);
/* Programs of Unix (unix_auth.c): true when there is a reader for c->program, which then has read body. */
bool unix_program(struct format_ctx *c, struct sm_span body);
/* The same for servers (unix_service.c). */
bool unix_service(struct format_ctx *c, struct sm_span program, struct sm_span body);

/* The journal of systemd (journald.c, jsonl.c): a field, and the end of a record. */
void journal_field(struct format_ctx *c, struct sm_span name, struct sm_span value);
sm_must_use int journal_done(struct format_ctx *c, struct sm_span message, struct sm_span program, struct sm_span pid,
    struct sm_span priority, struct sm_span host);
sm_must_use int journal_json(struct format_ctx *c, struct sm_span text);
/* Up to the end of the block at bytes; 0 when it is not whole. */
size_t journal_frame(struct sm_span bytes);

#endif
