/* Counting the rows of a dump: whatever the bytes, nothing is read beyond them; cut anywhere, the counts are the same. */
#include <stdlib.h>
#include "sakimori-agent/kinds/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void same(const struct rows *a, const struct rows *b)
{
    if (a->err != b->err || a->n != b->n)
        abort();
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->table[i].name, b->table[i].name) != 0 || a->table[i].rows != b->table[i].rows)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct rows whole, pieces;
    if (n < 1)
        return 0;
    enum rows_form form = data[0] & 1 ? ROWS_INSERT : ROWS_COPY;
    size_t step = 1 + data[0] / 2;
    rows_init(&whole, form);
    rows_init(&pieces, form);
    rows_feed(&whole, SM_SPAN(data + 1, n - 1));
    for (size_t at = 1; at < n; at += step)
        rows_feed(&pieces, SM_SPAN(data + at, n - at < step ? n - at : step));
    same(&whole, &pieces);
    rows_wipe(&whole);
    rows_wipe(&pieces);
    return 0;
}
