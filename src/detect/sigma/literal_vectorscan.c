#include "detect/sigma/literal.h"

#include <errno.h>
#include <hs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool literal_vectorscan_runs(void)
{
    return hs_valid_platform() == HS_SUCCESS;
}

/* The library knows literals alone: anchors would make its compiling some hundred times slower, and are seen to where
 * it reports. */
struct database {
    hs_database_t *hs;
    uint8_t *anchor;
}; /* by literal: 0, or its length with the bits below */
enum { AT_START = 128, AT_END = 64, LENGTH = 63 };
_Static_assert((int)LITERAL_MAX <= (int)LENGTH, "a length fits beside its bits");

static void free_db(void *db)
{
    struct database *d = db;

    if (!d)
        return;
    hs_free_database(d->hs);
    free(d->anchor);
    free(d);
}

static int make(const struct literal *list, size_t n, void **ret_db)
{
    const char **text = calloc(n, sizeof *text);
    unsigned *flags = calloc(n, sizeof *flags), *ids = calloc(n, sizeof *ids);
    size_t *lens = calloc(n, sizeof *lens);
    struct database *d = calloc(1, sizeof *d);
    hs_compile_error_t *why = NULL;
    int r = -ENOMEM;

    if (d)
        d->anchor = calloc(n, 1);
    if (text && flags && ids && lens && d && d->anchor) {
        for (size_t i = 0; i < n; i++) {
            const struct literal *l = &list[i];
            text[i] = (const char *)l->p;
            lens[i] = l->n;
            ids[i] = (unsigned)i;
            /* An anchored one may stand elsewhere first. */
            flags[i] = l->start || l->end ? 0 : HS_FLAG_SINGLEMATCH;
            if (l->start || l->end)
                d->anchor[i] = (uint8_t)(l->n | (l->start ? AT_START : 0) | (l->end ? AT_END : 0));
        }
        r = hs_compile_lit_multi(text, flags, ids, lens, (unsigned)n, HS_MODE_BLOCK, NULL, &d->hs, &why) == HS_SUCCESS
                ? 0
                : -SM_ELIMIT;
    }
    if (why)
        hs_free_compile_error(why);
    free(text);
    free(flags);
    free(ids);
    free(lens);
    if (r == 0)
        *ret_db = d;
    else
        free_db(d);
    return r;
}

static size_t bytes(const void *db)
{
    size_t n = 0;

    return hs_database_size(((const struct database *)db)->hs, &n) == HS_SUCCESS ? n : 0;
}

static int fit(const void *db, void **scratch)
{
    return hs_alloc_scratch(((const struct database *)db)->hs, (hs_scratch_t **)scratch) == HS_SUCCESS ? 0 : -ENOMEM;
}

static void free_scratch(void *scratch)
{
    hs_free_scratch(scratch);
}

struct call {
    const uint8_t *anchor;
    size_t n;
    literal_fn *found;
    void *ctx;
};

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
    const struct call *c = ctx;

    uint8_t a = c->anchor[id];
    if ((!(a & AT_START) || to == (a & LENGTH)) && (!(a & AT_END) || to == c->n))
        c->found(c->ctx, id);
    return 0;
}

static int scan(const void *db, void *scratch, const uint8_t *text, size_t n, literal_fn *found, void *ctx)
{
    const struct database *d = db;
    struct call c = { d->anchor, n, found, ctx };

    return hs_scan(d->hs, (const char *)text, (unsigned)n, 0, scratch, on_match, &c) == HS_SUCCESS ? 0 : -ENOMEM;
}

const struct literal_way literal_vectorscan = { "vectorscan", make, free_db, bytes, fit, free_scratch, scan };
