/* Any bytes as a record of any format: the first byte chooses the row (or none), the second the encoding and
 * whether records
 * belong to one stream; the rest is cut into records as a file of that format would be. */
#include <stdlib.h>
#include "normalise/normalise.h"

enum { RECORDS_MAX = 64 };

static struct event_names *names;
static struct normalise *norm;

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(const struct event *e)
{
    for (size_t i = 0; i < e->n; i++)
        if (!sm_utf8_valid(event_value(&e->fields[i])) || !e->fields[i].name)
            abort();
    if (e->time.ns > 999999999)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const char *const encodings[] = { NULL, "utf-8", "cp932", "euc-jp", "iso-2022-jp", "utf-16le", "utf-16be",
        "latin-1" };
    struct normalise_hint h = NORMALISE_HINT;
    struct event e;
    struct sm_buf json = SM_BUF_INIT((size_t)64 << 20);
    struct sm_span record;

    /* A table of names that fills up is another case than one that is new: both happen. */
    if (!names && (!(names = event_names_new()) || normalise_new(names, &norm) < 0))
        abort();
    if (n < 2 || event_init(&e) < 0)
        return 0;
    size_t rows = 0;
    while (normalise_row(rows))
        rows++;
    h.format = p[0] % (rows + 1) < rows ? normalise_row(p[0] % (rows + 1))->name : NULL;
    h.encoding = encodings[p[1] & 7];
    h.state = p[1] & 8 ? normalise_state_new() : NULL;
    struct sm_span rest = SM_SPAN(p + 2, n - 2);
    (void)normalise_guess(norm, rest);
    for (int i = 0; i < RECORDS_MAX; i++) {
        size_t used = normalise_next(&h, rest, true, &record);
        if (!used)
            break;
        if (used > rest.n || record.p < rest.p || record.p + record.n > rest.p + used)
            abort();
        rest = SM_SPAN(rest.p + used, rest.n - used);
        if (normalise_record(norm, &h, record, (struct event_time){ 1795132800, 0 }, &e) < 0)
            abort();
        check(&e);
        sm_buf_clear(&json);
        if (event_json(&e, names, &json) < 0)
            abort();
        while (normalise_more(norm, &h, &e) == 1)
            check(&e);
    }
    normalise_state_free(h.state);
    event_wipe(&e);
    sm_buf_wipe(&json);
    return 0;
}
