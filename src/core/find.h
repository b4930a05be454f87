/* Where a short text stands in another: memmem without its tables, which cost more than they give for short texts. */
#ifndef SM_CORE_FIND_H
#define SM_CORE_FIND_H

#include <string.h>

#include "core/buf.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Where m bytes first stand in `in`, NULL: nowhere. */
static inline const uint8_t *sm_find(struct sm_span in, const void *bytes, size_t m)
{
    const uint8_t *p = in.p, *what = bytes;
    size_t i = 0;

    if (!m || m > in.n)
        return m ? NULL : p;
#ifdef __SSE2__
    /* First and last byte of sixteen places at once; few of them need a closer look. */
    const __m128i first = _mm_set1_epi8((char)what[0]), last = _mm_set1_epi8((char)what[m - 1]);
    for (; i + m + 15 <= in.n; i += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(p + i)),
                b = _mm_loadu_si128((const __m128i *)(const void *)(p + i + m - 1));
        unsigned both = (unsigned)_mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(a, first), _mm_cmpeq_epi8(b, last)));
        for (; both; both &= both - 1) {
            size_t at = i + (size_t)__builtin_ctz(both);
            if (!memcmp(p + at, what, m))
                return p + at;
        }
    }
#endif
    for (; i + m <= in.n; i++) /* fewer than sixteen places */
        if (p[i] == what[0] && p[i + m - 1] == what[m - 1] && !memcmp(p + i, what, m))
            return p + i;
    return NULL;
}

#endif
