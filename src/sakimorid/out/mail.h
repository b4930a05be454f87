/*
 * A mail as bytes: RFC 5322 with a UTF-8 text, subject as RFC 2047 words, body in base64 (RFC 2045), CRLF lines.
 */
#ifndef OUT_MAIL_H
#define OUT_MAIL_H
#include "core/buf.h"
#include "core/time.h"

enum { MAIL_TO_MAX = 16, MAIL_ADDRESS_MAX = 254, MAIL_SUBJECT_MAX = 1000, MAIL_TEXT_MAX = 200 << 10 };

struct mail {
    const char *from, *subject, *text, *host;  /* host: of the Message-ID; subject and text UTF-8 */
    const char *to[MAIL_TO_MAX];
    size_t to_n;
    struct sm_time at;
    const char *id;                            /* letters, digits, '-' */
};
/* A plain address, local@domain, ASCII without spaces, quotes, brackets or control bytes? */
bool mail_address_ok(const char *address);
/* -SM_EINVAL (an address, no recipient, text that is not UTF-8), -SM_ELIMIT, -ENOMEM. */
sm_must_use int mail_compose(const struct mail *m, struct sm_buf *ret);

#endif
