/* Windows events as XML: the event and the framing of several. */
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
    struct sm_span text = SM_SPAN(data, size), one;
    size_t n;

    names = names ? names : event_names_new();
    must(names && event_init(&e) == 0 && windows_new(names, &w) == 0);
    (void)windows_xml_detect(text);
    while ((n = windows_xml_frame(text, &one)) > 0) {
        must(n <= text.n && one.n <= n && one.p >= text.p && one.p + one.n == text.p + n);
        event_clear(&e);
        int r = windows_xml(w, one, 32400, &e);
        must(r == 0 || r == -SM_EFORMAT);
        must(r == 0 || e.n == 0);
        for (size_t i = 0; i < e.n; i++)
            must(sm_utf8_valid(event_value(&e.fields[i])));
        text = SM_SPAN(text.p + n, text.n - n);
    }
    event_clear(&e);
    int r = windows_xml(w, SM_SPAN(data, size), 0, &e);
    must(r == 0 || r == -SM_EFORMAT);
    must(e.time.ns < 1000000000);
    windows_free(w);
    event_wipe(&e);
    return 0;
}
