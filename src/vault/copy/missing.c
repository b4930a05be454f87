#include "vault/copy/missing.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct cid *row(const struct missing *m, size_t i)
{
    return (struct cid *)(void *)(m->ids.p + i * sizeof(struct cid)); /* bytes only: no alignment to keep */
}

static size_t rows(const struct missing *m)
{
    return m->ids.n / sizeof(struct cid);
}

int missing_note(struct missing *m, const struct cid *id)
{
    int r = m->sorted ? -SM_ESTATE : sm_buf_put(&m->ids, id->b, sizeof id->b);
    m->open += r == 0;
    return r;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct cid));
}

static int sort(struct missing *m)
{
    size_t n = rows(m);
    int r = sm_buf_reserve(&m->explained, n);
    if (r)
        return r;
    if (n) {
        qsort(m->ids.p, n, sizeof(struct cid), by_id);
        memset(m->explained.p, 0, n);
    }
    m->explained.n = n;
    m->sorted = true;
    return 0;
}

int missing_explain(struct missing *m, const struct cid *id)
{
    int r = m->sorted ? 0 : sort(m);
    if (r)
        return r;
    size_t from = 0, to = rows(m);
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (by_id(row(m, mid), id) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    for (; from < rows(m) && by_id(row(m, from), id) == 0; from++)
        if (!m->explained.p[from]) {
            m->explained.p[from] = 1;
            m->open--;
            return 1;
        }
    return 0;
}

const struct cid *missing_next(const struct missing *m, size_t *at)
{
    while (*at < rows(m)) {
        size_t i = (*at)++;
        if (!m->sorted || !m->explained.p[i])
            return row(m, i);
    }
    return NULL;
}

void missing_wipe(struct missing *m)
{
    sm_buf_wipe(&m->ids);
    sm_buf_wipe(&m->explained);
    *m = MISSING_INIT;
}
