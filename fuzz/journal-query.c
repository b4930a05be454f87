/* What people type into the search. */
#include <stdint.h>
#include <stdlib.h>

#include "journal/query.h"

static int ask(void *arg, uint64_t key)
{
    (void)arg;
    return key & 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct evquery_error why = { 0 };
    struct evquery *q;
    bool is;

    if (evquery_parse(SM_SPAN(data, size), 9 * 3600, &q, &why) < 0) {
        if (why.at_byte > size || (size <= EVQUERY_TEXT_MAX && !why.ja[0]))
            abort();
        return 0;
    }
    (void)q_maybe(q, ask, NULL);
    for (size_t i = 0; i < q->n; i++)
        if (q_pattern_in(&q->node[i].pattern, SM_SPAN(data, size), &is) < 0)
            abort();
    evquery_free(q);
    return 0;
}
