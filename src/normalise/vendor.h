/* Inside src/normalise: what CEF and LEEF share. */
#ifndef SM_NORMALISE_VENDOR_H
#define SM_NORMALISE_VENDOR_H
#include "normalise/format.h"

/* device_vendor, device_product, msgid, event_name; and the product's word where this build has rules' word for it. */
void vendor_words(struct format_ctx *c, struct sm_span vendor, struct sm_span product, struct sm_span id,
    struct sm_span name);
/* \| \= \\ \n \r taken back; borrowed when there are none. */
struct sm_span unescaped(struct format_ctx *c, struct sm_span v);

#endif
