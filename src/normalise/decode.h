/* Inside src/normalise: the converters of one struct normalise. */
#ifndef SM_NORMALISE_DECODE_H
#define SM_NORMALISE_DECODE_H

#include <iconv.h>
#include "normalise/normalise.h"

enum encoding { ENC_UNKNOWN, ENC_UTF8, ENC_CP932, ENC_EUCJP, ENC_ISO2022JP, ENC_UTF16LE, ENC_UTF16BE, ENC_LATIN1,
    ENC_COUNT };

struct decoders { iconv_t cd[ENC_COUNT]; };

/* Opens all that the C library has here; -ENOMEM. */
sm_must_use int decoders_init(struct decoders *d);
void decoders_wipe(struct decoders *d);
/* ENC_UNKNOWN for NULL and for a name there is none of. */
enum encoding encoding_named(const char *name);
/* What the bytes seem to be: never ENC_UNKNOWN. */
enum encoding encoding_guess(struct sm_span raw);
/* As normalise_decode; given is ENC_UNKNOWN to find out, *ret_was what was taken. */
sm_must_use int decode(struct decoders *d, enum encoding given, struct sm_span raw, struct event *e,
    struct sm_span *ret_text,
    enum encoding *ret_was);

#endif
