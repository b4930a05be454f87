/*
 * The console's files, read into memory once at the start and never from disk again.
 * Names: letters, digits, '.', '_', '-' and '/' only; at most WEB_FILES_MAX files, WEB_BYTES_MAX bytes, WEB_DEPTH_MAX deep.
 */
#ifndef FRONT_WEB_H
#define FRONT_WEB_H
#include "core/buf.h"

enum { WEB_FILES_MAX = 512, WEB_DEPTH_MAX = 5 };
#define WEB_BYTES_MAX ((size_t)48 << 20)

struct web_file {
    char *path;              /* "/app.js" */
    const char *type;        /* Content-Type */
    char etag[40];           /* with quotes */
    struct sm_buf body;
};
struct web { struct web_file *files; size_t n; size_t bytes; };

/* -errno, -SM_ELIMIT, -SM_ENOTFOUND (no index.html). */
sm_must_use int web_load(const char *dir, struct web *ret);
void web_wipe(struct web *w);
/*
 * The file for a decoded path: itself, in /manual also with ".html" or "/index.html" added; for a path whose last part
 * has no '.' and is not in /manual the console's index.html.  NULL: there is none.  Borrowed.
 */
const struct web_file *web_find(const struct web *w, const char *path);

#endif
