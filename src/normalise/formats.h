/* The table of formats: each name is a file's `const struct format format_NAME`.  Between equally sure ones the
 * first reads. */
#ifndef SM_NORMALISE_FORMATS_H
#define SM_NORMALISE_FORMATS_H

#include "normalise/format.h"

#define NORMALISE_FORMATS(X) \
    X(audit) \
    X(cef) \
    X(leef) \
    X(winxml) \
    X(winjson) \
    X(journald) \
    X(endpoint) \
    X(json) \
    X(wintext) \
    X(postgresql) \
    X(mssql) \
    X(mysql) \
    X(fortigate) \
    X(cisco) \
    X(yamaha) \
    X(nec) \
    X(access) \
    X(weberror) \
    X(squid) \
    X(w3c) \
    X(syslog) \
    X(csv) \
    X(text)

#define X(name) +1
enum { FORMATS = 0 NORMALISE_FORMATS(X) };
#undef X

#endif
