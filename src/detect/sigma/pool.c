#include "detect/sigma/internal.h"

#include <stdlib.h>
#include <string.h>

enum { POOL_BLOCK = 256 << 10 };

struct pool_block {
    struct pool_block *next;
    size_t n, cap;
    _Alignas(16) uint8_t bytes[];
};

void *pool_get(struct pool *p, size_t n)
{
    size_t want = (n + 15) & ~(size_t)15;
    struct pool_block *b = p->blocks;

    if (!b || b->cap - b->n < want) {
        size_t cap = want > POOL_BLOCK / 4 ? want : POOL_BLOCK;
        struct pool_block *fresh = calloc(1, sizeof *fresh + cap);
        if (!fresh)
            return NULL;
        fresh->cap = cap;
        p->bytes += cap;
        if (b && want > POOL_BLOCK / 4) { /* a large one stands behind: the open block stays open */
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            p->blocks = fresh;
        }
        b = fresh;
    }
    void *at = b->bytes + b->n;
    b->n += want;
    return at;
}

char *pool_text(struct pool *p, const void *text, size_t n)
{
    char *to = pool_get(p, n + 1);

    if (to && n)
        memcpy(to, text, n);
    return to;
}

void pool_wipe(struct pool *p)
{
    for (struct pool_block *b = p->blocks; b;) {
        struct pool_block *next = b->next;
        free(b);
        b = next;
    }
    *p = (struct pool){ 0 };
}
