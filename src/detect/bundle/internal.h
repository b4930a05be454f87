/* What reading and writing share: the blocks of a tar. */
#ifndef SM_DETECT_BUNDLE_INTERNAL_H
#define SM_DETECT_BUNDLE_INTERNAL_H
#include "detect/bundle/bundle.h"

#define BUNDLE_LABEL "sakimori/v1/rule-bundle/"
enum { TAR_BLOCK = 512, BUNDLE_WINDOW_LOG = 23, BUNDLE_PARTS_MAX = 8 };
#define BUNDLE_SERIAL_MAX (INT64_C(1) << 53)
bool bundle_texts_good(const struct bundle_head *head, char *ret_why);
#endif
