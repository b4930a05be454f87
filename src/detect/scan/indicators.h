/*
 * Indicators: contents of files, addresses and names of machines that are known to be bad.  A list is a text file, one a line:
 *
 *   sakimori-indicators 1
 *   # a comment
 *   sha256  64 hexadecimal digits       words about it
 *   address 192.0.2.7, 2001:db8::/32    words
 *   domain  bad.example                 words; names below it count as well
 *
 * Fields are parted by a tab or blanks, the words run to the end of the line (≤ 200 bytes of UTF-8).  A line of a kind that is not known
 * is passed over; one that is damaged makes the list refused with its number, and the one before stays in force.
 */
#ifndef SM_DETECT_SCAN_INDICATORS_H
#define SM_DETECT_SCAN_INDICATORS_H
#include "core/buf.h"

enum { INDICATORS_MAX = 500000, INDICATORS_BYTES = 64 << 20, INDICATORS_WORDS = 200 };
struct indicators;
/* text is borrowed for the call alone.  -SM_EVERSION, -SM_EFORMAT, -SM_ELIMIT: *ret_line is the line; -ENOMEM. */
sm_must_use int indicators_parse(struct sm_span text, struct indicators **ret, unsigned *ret_line);
void indicators_free(struct indicators *i);
size_t indicators_count(const struct indicators *i);
/* What the list says of it, borrowed ("" without words); NULL: nothing.  i may be NULL. */
const char *indicators_file(const struct indicators *i, const uint8_t sha256[32]);
const char *indicators_address(const struct indicators *i, const char *address);
const char *indicators_domain(const struct indicators *i, const char *name);
#endif
