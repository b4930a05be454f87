/* A mapping of CSV columns: any text is refused with a reason or read. */
#include <stdlib.h>
#include <string.h>
#include "normalise/normalise.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct event_names *names;
    struct normalise_map *m = NULL;
    char why[160] = "";

    if (!names && !(names = event_names_new()))
        abort();
    if (normalise_map_parse(names, SM_SPAN(p, n), &m, why) < 0 && (m || !memchr(why, 0, sizeof why)))
        abort();
    normalise_map_free(m);
    return 0;
}
