/* Inside src/normalise: Windows events whose values stand in a text for people. */
#ifndef SM_NORMALISE_WINTEXT_H
#define SM_NORMALISE_WINTEXT_H
#include "normalise/format.h"

/* "Subject: Account Name: x ... Logon Type: 3 ..." in English or Japanese → the fields of the event's XML. */
void windows_message(struct format_ctx *c, struct sm_span text);

#endif
