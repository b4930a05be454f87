/*
 * The signed head of the journal as people read, print and type it (docs/FORMAT-vault.md section 6).  Form alone: whether
 * it holds is asked of the journal, and of the head key for the long form.  A parser of outside bytes.
 */
#ifndef CRYPTO_HEADTEXT_H
#define CRYPTO_HEADTEXT_H
#include "core/buf.h"

#define HEADTEXT_BYTES 128                     /* a signed head */
#define HEADTEXT_TEXT_MAX ((size_t)256 << 10)  /* a whole mail, pasted */
#define HEADTEXT_HASH 8                        /* bytes of the hash in the short form */
/* "SKH1-1234-ABCD-EFGH-IJKL-MNOP": the sequence number; 8 bytes of the hash and 2 check bytes.  Appended.  -ENOMEM. */
sm_must_use int headtext_short(const uint8_t head[HEADTEXT_BYTES], struct sm_buf *ret);
/* "SKHF-" and all of it in base32: for a QR code, or a line of a mail.  Appended. */
sm_must_use int headtext_long(const uint8_t head[HEADTEXT_BYTES], struct sm_buf *ret);

struct headtext {
    uint64_t seq;
    uint8_t hash[32]; size_t hash_n;           /* HEADTEXT_HASH bytes, or all 32 */
    bool whole;                                /* head holds the signed head */
    uint8_t head[HEADTEXT_BYTES];
};
/*
 * The first one that stands anywhere in text: a long form before a short one, any case, with blanks, line ends or
 * hyphens in between; older mails have 256 hexadecimal digits.
 * -SM_ENOTFOUND (there is none), -SM_EFORMAT (mistyped: the check does not fit), -SM_ELIMIT, -ENOMEM.
 */
sm_must_use int headtext_parse(struct sm_span text, struct headtext *ret);
#endif
