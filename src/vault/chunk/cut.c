#include "vault/chunk/cut.h"

#define WINDOW 64u /* a byte leaves a 64-bit gear hash after 64 shifts */

void cut_table_init(struct cut_table *t, const struct crypto_hmac_key *k_id)
{
    for (unsigned i = 0; i < 256; i++) {
        uint8_t at = (uint8_t)i, mac[32];
        struct sm_span parts[2] = {SM_SPAN("gear", 4), SM_SPAN(&at, 1)};
        uint64_t v = 0;
        crypto_hmac(k_id, parts, 2, mac);
        for (int j = 7; j >= 0; j--)
            v = v << 8 | mac[j];
        t->gear[i] = v;
        t->gear2[i] = v << 1;
    }
}

/*
 * Look for a place in [i, end) after which the hash is below limit.  The top bits alone are compared, because
 * they have seen the whole window.  Returns the length up to and with that byte, or 0.
 */
static size_t scan(const struct cut_table *t, const uint8_t *p, size_t i, size_t end, uint64_t *h, uint64_t limit)
{
    uint64_t a, b = *h;
    /* Two bytes a turn: the chain from one hash to the next is then one shift and one addition. */
    for (; i + 2 <= end; i += 2) {
        a = (b << 1) + t->gear[p[i]];
        b = (b << 2) + (t->gear2[p[i]] + t->gear[p[i + 1]]);
        if (a < limit)
            return i + 1;
        if (b < limit)
            return i + 2;
    }
    if (i < end) {
        b = (b << 1) + t->gear[p[i]];
        if (b < limit)
            return i + 1;
    }
    *h = b;
    return 0;
}

size_t cut_next(const struct cut *c, const uint8_t *p, size_t n, bool last)
{
    const struct cut_policy *y = c->policy;
    size_t end = n < y->max ? n : y->max, normal, at;
    unsigned bits;
    uint64_t h = 0;
    if (n >= y->max && y->min == y->max)
        return y->max;
    if (n <= y->min || y->min == y->max)
        return last ? n : 0;
    bits = (unsigned)__builtin_ctz(y->avg);
    normal = end < y->avg ? end : y->avg;
    for (size_t i = y->min - WINDOW; i < y->min; i++)
        h = (h << 1) + c->table->gear[p[i]];
    /* Normalisation level 2: rarer before the average, commoner after it. */
    at = scan(c->table, p, y->min, normal, &h, (uint64_t)1 << (64 - bits - 2));
    if (at == 0)
        at = scan(c->table, p, normal, end, &h, (uint64_t)1 << (64 - bits + 2));
    if (at)
        return at;
    return n >= y->max || last ? end : 0;
}
