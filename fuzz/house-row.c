/* Rows of an answer of a server that lies: an event, and its JSON, or an error. */
#include <jansson.h>
#include <stdlib.h>

#include "journal/house_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_names *names = event_names_new();
    struct sm_buf text = SM_BUF_INIT(64 << 20);
    struct evsearch_hit hit;
    struct event e;

    if (!names || event_init(&e) < 0)
        abort();
    for (struct sm_rd rd = SM_RD(SM_SPAN(data, size)); rd.n && house_row_get(&rd, names, &e, &hit) >= 0;) {
        sm_buf_clear(&text);
        if (event_json(&e, names, &text) < 0)
            continue;
        json_t *j = json_loadb((const char *)text.p, text.n, JSON_ALLOW_NUL, NULL);
        if (!j)
            abort();
        json_decref(j);
    }
    sm_buf_wipe(&text);
    event_wipe(&e);
    event_names_free(names);
    return 0;
}
