/* Windows events as JSON. */
#include <stdlib.h>
#include <string.h>
#include "normalise/windows.h"

static void must(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_names *names;
    struct event e = { 0 };
    struct windows *w = NULL;

    names = names ? names : event_names_new();
    must(names && event_init(&e) == 0 && windows_new(names, &w) == 0);
    (void)windows_json_detect(SM_SPAN(data, size));
    int r = windows_json(w, SM_SPAN(data, size), 32400, &e);
    must(r == 0 || r == -SM_EFORMAT);
    must(r == 0 || e.n == 0);
    for (size_t i = 0; i < e.n; i++)
        must(sm_utf8_valid(event_value(&e.fields[i])));
    must(e.time.ns < 1000000000);
    windows_free(w);
    event_wipe(&e);
    return 0;
}
